"""Poisson and negative binomial counts, plain, zero-inflated and hurdle: densities given eta = log of the mean, and draws.

Symbols: mu = e^eta; f the density of a count; a the size of a negative binomial, var = mu + mu^2 / a, which is alpha (nb2)
or alpha mu (nb1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, plural, raise_all
from glmm_zoo.families.links import probability_link
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome, column_of_response
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.formulas.cells import rows_of_levels
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.formulas.terms import Response
from glmm_zoo.priors import Parameter, Prior, parameter
from glmm_zoo.tables.columns import Table

# brms's default since 2.19, from the Stan group's advice on priors: near the complexity prior that has the Poisson as
# its simplest case.
ALPHA_DEFAULT = Prior("InverseGamma", {"alpha": 0.4, "beta": 0.3})
ALPHA = parameter("alpha", "positive", ALPHA_DEFAULT)
_MOST = 1e15  # means are cut here in simulation: beyond it NumPy's generators refuse to draw
_LARGE = 1000.0
_LEAST = 1e-300  # of what a logarithm is taken of
_LARGEST_LOG = 700.0  # beyond it a mean is infinite, and slopes of what a switch leaves out are 0 times infinity
_ANY = probability_link("cloglog")  # P(y > 0) = 1 - exp(-e^x) with x = log(-log f(0)), which is eta itself for Poisson


def uniform_share(name: str) -> Parameter:
    """A share without covariates, uniform by default."""
    return parameter(name, "unit", Prior("Beta", {"alpha": 1.0, "beta": 1.0}))


# ------------------------------------------------------------------------------------------------------------ responses


def read_count(table: Table, response: Response, _: object = None) -> Outcome:
    """A column of whole numbers >= 0, not all of them 0."""
    name = column_of_response(table, response, "a count model", "a count is y ~ ..., with exposure= or offset()").name
    y = counted(table, name)
    if np.all(y == 0):
        raise InputError(f"response {name!r} has a single value (0) in every row; there is nothing to model")
    return Outcome(name, y, None, float(np.log(np.mean(y))), 1.0, f"{name}: counts")


def counted(table: Table, name: str) -> np.ndarray:
    """A column of whole numbers >= 0 (n,)."""
    y = table[name].numbers("a count")
    problems = []
    for bad, words in ((y != np.round(y), "whole numbers"), (y < 0, "counts >= 0")):
        if bad.any():
            row = np.flatnonzero(bad)[0]
            problems.append(
                f"response {name!r} needs {words}; {plural(int(bad.sum()), 'value')} not ({y[row]:g}, {table.at(bad)})"
            )
    raise_all(problems)
    return y


def without_zeros(outcome: Outcome) -> tuple[str, ...]:
    """A sentence when no count is zero, so that nothing is known of the share of zeros."""
    if (outcome.values == 0).any():
        return ()
    return (f"response {outcome.name!r} has no zeros: what the model says of their share rests on its prior",)


def separated_share(part: str, zero: np.ndarray, zeros: str, unit: str, design: DesignMatrix) -> list[str]:
    """Sentences for levels of the covariates of a part of the model, and columns, that alone tell who is `zero` (n,), in words `zeros`."""
    if zero.all() or not zero.any():
        return []
    sentences = []
    for name, words, rows in rows_of_levels(design):
        if rows.any() and len(np.unique(zero[rows])) == 1:
            sentences.append(
                f"{part}: {'nothing but' if zero[rows][0] else 'no'} {zeros} among the {plural(int(rows.sum()), unit)} where {words}; "
                f"what {part} says of {name} there rests on its prior"
            )
    for label, x in zip(design.labels, design.values.T, strict=True):
        apart = x[zero].max() <= x[~zero].min() or x[~zero].max() <= x[zero].min()
        if apart and len(np.unique(x)) > 2:
            sentences.append(f"{part}: all {zeros} lie on one side of {label}; its coefficient rests on its prior")
    return sentences


def without_large(outcome: Outcome, design: DesignMatrix, least: int = 1) -> list[str]:
    """Sentences for levels, and ends of columns, where no count that informs the mean is above the least of these, so that a log rate
    ratio has no lower end: all counts are 0, or, with `least` 2, all positive ones are 1."""
    sentences, large = [], outcome.values >= least
    counts, only = ("counts", 0) if least == 1 else ("positive counts", 1)
    for name, words, rows in rows_of_levels(design):
        rows = rows & (outcome.values >= least - 1)
        if rows.any() and not (large & rows).any():
            sentences.append(
                f"all {counts} of {outcome.name!r} are {only} in the {plural(int(rows.sum()), 'row')} where {words}; what the model says of "
                f"{name} there rests on its prior"
            )
    for label, x in zip(design.labels, design.values.T, strict=True):
        x, of_large = x[outcome.values >= least - 1], x[large]
        at = np.unique(of_large)
        if len(at) == 1 and at[0] in (x.min(), x.max()) and len(np.unique(x)) > 2:
            sentences.append(
                f"all {counts} of {outcome.name!r} are {only} but where {label} is {at[0]:g}, its {'lowest' if at[0] == x.min() else 'highest'} "
                "value; its coefficient rests on its prior"
            )
    return sentences


# ------------------------------------------------------------------------------------------------------------ densities


@dataclass(frozen=True)
class Count:
    """A distribution of counts with mean e^eta; `size` holds log alpha where the distribution is `sized`, else nothing.

    `log_f(y, eta, *size)` = log f(y), `log_f0(eta, *size)` = log f(0), `log_1m_f0(eta, *size)` = log(1 - f(0));
    `draw(eta, *size, shape=)` is a random variable, `draw_above_zero` one that is never zero.
    """

    name: str
    log_f: Callable[..., Tensor]
    log_f0: Callable[..., Tensor]
    log_1m_f0: Callable[..., Tensor]
    draw: Callable[..., Tensor]
    draw_above_zero: Callable[..., Tensor]
    sized: bool = False


def _mean(eta: Tensor) -> Tensor:
    pt = import_pytensor()
    return pt.clip(pt.exp(eta), 1e-300, _MOST)


def _poisson_log_f(y: Array, eta: Array) -> Array:
    """log f(y) = y eta - e^eta - log y!"""
    pt = functions_of(eta)
    return y * eta - pt.exp(eta) - pt.gammaln(y + 1)


def _poisson_log_f0(eta: Array) -> Array:
    return -functions_of(eta).exp(eta)


def _poisson_draw(eta: Tensor, shape: Any = None) -> Tensor:
    import pymc as pm

    return pm.Poisson.dist(mu=_mean(eta), size=shape)


def _poisson_above_zero(eta: Tensor, shape: Any = None) -> Tensor:
    """Given at least one event in a time of length 1, the first comes at t, P(T > t) = e^(-mu t); the rest is Poisson."""
    import pymc as pm

    pt = import_pytensor()
    mu = _mean(eta)
    u = pm.Uniform.dist(0, 1, size=mu.shape if shape is None else shape)
    t = -pt.log1p(u * pt.expm1(-mu)) / mu
    return 1 + pm.Poisson.dist(mu=mu * pt.clip(1 - t, 0, 1))


def _negative_binomial_log_f(y: Array, eta: Array, log_a: Array) -> Array:
    """log f(y) = log Gamma(y + a) / (Gamma(a) y!) + y log(mu / (mu + a)) - a log(1 + mu / a)"""
    pt = functions_of(eta)
    return log_rising(y, log_a) - pt.gammaln(y + 1) + y * eta - (y + pt.exp(log_a)) * pt.softplus(eta - log_a)


def log_rising(y: Array, log_a: Array) -> Array:
    """log Gamma(y + a) / (Gamma(a) a^y), 0 for y = 0; Gamma(a) = Gamma(1 + a) / a keeps it finite for small a, and from
    a = 1000 on it is Stirling's series, to 3e-12, since the difference loses its digits."""
    pt = functions_of(log_a)
    some = pt.maximum(y, 1)
    a = pt.exp(log_a)
    near, far = pt.minimum(a, _LARGE), pt.maximum(a, _LARGE)
    direct = pt.gammaln(some + near) - pt.gammaln(1 + near) + (1 - y) * log_a
    r = y / far
    series = (far + y - 0.5) * pt.log1p(r) - y - r / (12 * (far + y))
    return pt.switch(y > 0, pt.switch(a < _LARGE, direct, series), 0.0)


def _negative_binomial_log_f0(eta: Array, log_a: Array) -> Array:
    pt = functions_of(eta)
    return -pt.exp(log_a) * pt.softplus(eta - log_a)


def _negative_binomial_log_1m_f0(eta: Array, log_a: Array) -> Array:
    """log(1 - e^-s) with s = -log f(0), which has all its digits however small it is."""
    pt = functions_of(eta)
    return pt.log(-pt.expm1(-pt.maximum(-_negative_binomial_log_f0(eta, log_a), _LEAST)))


def _negative_binomial_draw(eta: Tensor, log_a: Tensor, shape: Any = None) -> Tensor:
    return _gamma_poisson(_mean(eta), _size(log_a), shape)


def _negative_binomial_above_zero(eta: Tensor, log_a: Tensor, shape: Any = None) -> Tensor:
    """As for Poisson, with a Gamma(a, a / mu) rate: P(T > t) = (1 + mu t / a)^-a, and after an event at t the rest is
    negative binomial of size a + 1 and mean (a + 1) mu (1 - t) / (a + mu t)."""
    import pymc as pm

    pt = import_pytensor()
    mu, a = _mean(eta), _size(log_a)
    u = pm.Uniform.dist(0, 1, size=(mu + a).shape if shape is None else shape)
    log_survival = pt.log1p(u * pt.expm1(-a * pt.log1p(mu / a)))
    t = pt.clip(pt.expm1(-log_survival / a) * a / mu, 0, 1)
    return 1 + _gamma_poisson((a + 1) * mu * (1 - t) / (a + mu * t), a + 1)


def _size(log_a: Tensor) -> Tensor:
    pt = import_pytensor()
    return pt.clip(pt.exp(log_a), 1 / _MOST, _MOST)


def _gamma_poisson(mu: Tensor, a: Tensor, shape: Any = None) -> Tensor:
    """NumPy's negative binomial takes a / (mu + a), which has lost the digits of mu for large a."""
    import pymc as pm

    rate = mu * pm.Gamma.dist(alpha=a, beta=a, size=(mu + a).shape if shape is None else shape)
    return pm.Poisson.dist(mu=import_pytensor().minimum(rate, _MOST))


POISSON = Count("Poisson", _poisson_log_f, _poisson_log_f0, _ANY.log_p, _poisson_draw, _poisson_above_zero)
NEGATIVE_BINOMIAL = Count(
    "NegativeBinomial",
    _negative_binomial_log_f,
    _negative_binomial_log_f0,
    _negative_binomial_log_1m_f0,
    _negative_binomial_draw,
    _negative_binomial_above_zero,
    sized=True,
)


def _of_linear_variance(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function f(..., eta, log a) of a negative binomial with a = alpha mu, as one of (..., eta, log alpha)."""
    return lambda *arguments, **shape: f(*arguments[:-1], arguments[-1] + arguments[-2], **shape)


NEGATIVE_BINOMIALS = {  # var = mu + mu^2 / alpha, and var = mu + mu / alpha
    "nb2": NEGATIVE_BINOMIAL,
    "nb1": Count(
        NEGATIVE_BINOMIAL.name,
        *map(_of_linear_variance, (_negative_binomial_log_f, _negative_binomial_log_f0, _negative_binomial_log_1m_f0)),
        *map(_of_linear_variance, (_negative_binomial_draw, _negative_binomial_above_zero)),
        sized=True,
    ),
}


def zero_inflated_log_f(count: Count, y: Array, logit_zi: Array, eta: Array, *size: Array) -> Array:
    """P(y = 0) = zi + (1 - zi) f(0), P(y) = (1 - zi) f(y) for y > 0."""
    pt = functions_of(eta)
    log_zi, log_rest = -pt.softplus(-logit_zi), -pt.softplus(logit_zi)
    eta = pt.minimum(eta, _LARGEST_LOG)
    zero = pt.logaddexp(log_zi, log_rest + count.log_f0(eta, *size))
    return pt.switch(y > 0, log_rest + count.log_f(y, eta, *size), zero)


def hurdle_log_f(count: Count, y: Array, logit_zi: Array, eta: Array, *size: Array) -> Array:
    """P(y = 0) = zi, P(y) = (1 - zi) f(y) / (1 - f(0)) for y > 0."""
    pt = functions_of(eta)
    eta = pt.minimum(eta, _LARGEST_LOG)
    above = count.log_f(y, eta, *size) - count.log_1m_f0(eta, *size)
    return pt.switch(y > 0, -pt.softplus(logit_zi) + above, -pt.softplus(-logit_zi))


# ----------------------------------------------------------------------------------------------------------- likelihood


def observe_count(name: str, count: Count, outcome: Outcome, eta: Tensor, *size: Tensor) -> None:
    """y_i ~ f(mu_i)."""
    _likelihood(name, count.name, outcome, [eta, *size], count.log_f, lambda *p, size: count.draw(*p, shape=size))


def observe_zero_inflated(
    name: str, count: Count, outcome: Outcome, logit_zi: Tensor, eta: Tensor, *size: Tensor
) -> None:
    """P(y = 0) = zi + (1 - zi) f(0), P(y) = (1 - zi) f(y) for y > 0."""

    def draw(logit_zi: Tensor, eta: Tensor, *parameters: Tensor, size: Any) -> Tensor:
        return _bernoulli(-logit_zi, eta, size) * count.draw(eta, *parameters, shape=size)

    _likelihood(
        name, f"ZeroInflated{count.name}", outcome, [logit_zi, eta, *size], partial(zero_inflated_log_f, count), draw
    )


def observe_hurdle(name: str, count: Count, outcome: Outcome, logit_zi: Tensor, eta: Tensor, *size: Tensor) -> None:
    """P(y = 0) = zi, P(y) = (1 - zi) f(y) / (1 - f(0)) for y > 0."""

    def draw(logit_zi: Tensor, eta: Tensor, *parameters: Tensor, size: Any) -> Tensor:
        return _bernoulli(-logit_zi, eta, size) * count.draw_above_zero(eta, *parameters, shape=size)

    _likelihood(name, f"Hurdle{count.name}", outcome, [logit_zi, eta, *size], partial(hurdle_log_f, count), draw)


def _bernoulli(logit: Tensor, like: Tensor, shape: Any) -> Tensor:
    import pymc as pm

    pt = import_pytensor()
    return pm.Bernoulli.dist(logit_p=logit + pt.zeros_like(like), size=shape)


def _likelihood(
    name: str,
    family: str,
    outcome: Outcome,
    parameters: list[Tensor],
    log_p: Callable[..., Tensor],
    draw: Callable[..., Tensor],
) -> None:
    cast = import_pytensor().cast
    observe_rows(name, family, outcome, parameters, log_p, lambda *p: cast(draw(*p[:-1], size=p[-1]), "float64"))
