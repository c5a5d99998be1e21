"""Response families: which values a response may have, and its density given the linear predictor.

Imports `errors`, `data`, `formula`, `design`, `priors`. Every density is written on the scale of the linear predictor,
where it neither overflows nor loses digits, and is paired with the distribution that simulates it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing, plural, raise_all
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.formulas.terms import Response
from glmm_zoo.tables.columns import Column, Table

Tensor = Any  # a PyTensor variable: its own types do not describe arithmetic


@dataclass(frozen=True)
class Outcome:
    """A checked response of n rows.

    `values` (n,); `trials` (n,) for binomial counts, else None; `scale` and `location` in the unit of the link, for
    the default priors; `description` for the report; `levels` of ordered categories, from the lowest: `values` are
    their positions. `dim` names what the n rows are, where there are several outcomes with rows of their own.
    """

    name: str
    values: np.ndarray
    trials: np.ndarray | None = None
    location: float = 0.0
    scale: float = 1.0
    description: str = ""
    levels: tuple[str, ...] = ()
    dim: str = "row"


# --------------------------------------------------------------------------------------------------------------- links


@dataclass(frozen=True)
class Link:
    """A link of a probability p: `log_p(eta)` = log p, `log_q(eta)` = log(1 - p), neither lost to underflow in the tails;
    `log_between(a, b, gap)` = log(p(b) - p(a)), whose digits are those of gap = b - a > 0."""

    name: str
    p: Callable[[Tensor], Tensor]
    log_p: Callable[[Tensor], Tensor]
    log_q: Callable[[Tensor], Tensor]
    log_between: Callable[[Tensor, Tensor, Tensor], Tensor]
    latent_variance: float  # of the error of the latent variable that is cut at 0


def tensor() -> Any:
    """PyTensor, imported when a graph is built."""
    return importlib.import_module("pytensor.tensor")


def _softplus(x: Tensor) -> Tensor:
    return tensor().softplus(x)


def _sigmoid(x: Tensor) -> Tensor:
    return tensor().sigmoid(x)


def _log_normal_cdf(x: Tensor) -> Tensor:
    """log Phi(x): log1p(-Q(x)) above 0, log Q(-x) with Q = erfc / 2 down to -20. Below, before erfc runs out of
    exponent at -37, the series of Mills' ratio, relative error below 1e-11:
    log phi(x) - log(-x) + log(1 - x^-2 + 3 x^-4 - 15 x^-6 + 105 x^-8)."""
    pt = tensor()
    above, between, far = pt.maximum(x, 0.0), pt.clip(x, -20.0, 0.0), pt.minimum(x, -20.0)
    upper = pt.log1p(-0.5 * pt.erfc(above / np.sqrt(2.0)))
    lower = pt.log(0.5 * pt.erfc(-between / np.sqrt(2.0)))
    w = 1.0 / (far * far)
    series = pt.log1p(-w * (1.0 - w * (3.0 - w * (15.0 - w * 105.0))))
    tail = -0.5 * far * far - 0.5 * np.log(2 * np.pi) - pt.log(-far) + series
    return pt.switch(x > 0.0, upper, pt.switch(x > -20.0, lower, tail))


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * tensor().erfc(-x / np.sqrt(2.0))


def _log_one_minus_exp_minus_exp(x: Tensor) -> Tensor:
    """log(1 - exp(-e^x)); below -15 its series x - e^x / 2, before the difference from 1 is lost."""
    pt = tensor()
    far = pt.minimum(x, -15.0)
    return pt.switch(x > -15.0, pt.log(-pt.expm1(-pt.exp(pt.maximum(x, -15.0)))), far - 0.5 * pt.exp(far))


def _minus_exp(x: Tensor) -> Tensor:
    return -tensor().exp(x)


def _cloglog(x: Tensor) -> Tensor:
    pt = tensor()
    return -pt.expm1(-pt.exp(x))


def _log_1m_exp_minus(x: Tensor) -> Tensor:
    """log(1 - e^-x), x > 0."""
    pt = tensor()
    near, far = pt.minimum(x, np.log(2)), pt.maximum(x, np.log(2))
    return pt.switch(x < np.log(2), pt.log(-pt.expm1(-near)), pt.log1p(-pt.exp(-far)))


def _logit_between(a: Tensor, b: Tensor, gap: Tensor) -> Tensor:
    """p(b) - p(a) = p(b) q(a) (1 - e^-gap)"""
    return -_softplus(-b) - _softplus(a) + _log_1m_exp_minus(gap)


def _probit_between(a: Tensor, b: Tensor, gap: Tensor) -> Tensor:
    """log Phi(high) + log(1 - Phi(low) / Phi(high)), low and high the ends reflected so that their middle -m is below 0.
    There log Phi rises by more than max(m, 1/2) gap, which is known where the difference has lost its digits. Where it
    rises by little, gap < 0.01 / max(m, 1), log[gap phi(m) (1 + (m^2 - 1) gap^2 / 24)] is right to 1e-11."""
    pt = tensor()
    m = pt.abs(0.5 * (a + b))
    narrow = 0.01 / pt.maximum(m, 1.0)
    thin, wide = pt.minimum(gap, narrow), pt.maximum(gap, narrow)
    series = pt.log(thin) - 0.5 * m * m - 0.5 * np.log(2 * np.pi) + pt.log1p((m * m - 1.0) * thin * thin / 24.0)
    low, high = _log_normal_cdf(pt.minimum(a, -b)), _log_normal_cdf(pt.minimum(b, -a))
    rise = pt.maximum(high - low, pt.maximum(m, 0.5) * wide)
    return pt.switch(gap > narrow, high + _log_1m_exp_minus(rise), series)


def _cloglog_between(a: Tensor, b: Tensor, gap: Tensor) -> Tensor:
    """p(b) - p(a) = q(a) (1 - exp(-(e^b - e^a))), log(e^b - e^a) = b + log(1 - e^-gap)"""
    return _minus_exp(a) + _log_one_minus_exp_minus_exp(b + _log_1m_exp_minus(gap))


LINKS: Mapping[str, Link] = {
    "logit": Link("logit", _sigmoid, lambda x: -_softplus(-x), lambda x: -_softplus(x), _logit_between, np.pi**2 / 3),
    "probit": Link("probit", _normal_cdf, _log_normal_cdf, lambda x: _log_normal_cdf(-x), _probit_between, 1.0),
    "cloglog": Link("cloglog", _cloglog, _log_one_minus_exp_minus_exp, _minus_exp, _cloglog_between, np.pi**2 / 6),
}


def link(name: str) -> Link:
    if name not in LINKS:
        raise InputError(f"unknown link {name!r}; known: {listing(LINKS)}")
    return LINKS[name]


# ------------------------------------------------------------------------------------------------------------ Gaussian


def gaussian_outcome(table: Table, response: Response) -> Outcome:
    """Any real response with more than one value."""
    if response.trials is not None:
        raise InputError("trials() belongs to a binomial response; a Gaussian one is y ~ ...")
    name = response.value.text
    if response.value.kind == "factor":
        raise InputError(f"the response is numeric here; write {name} ~ ... without C()")
    y = evaluate_expression(response.value, table)
    if len(y) > 1 and np.all(y == y[0]):
        raise InputError(f"response {name!r} has a single value ({y[0]:g}) in every row; there is nothing to model")
    return Outcome(name, y, None, float(np.mean(y)), float(np.std(y)), f"{name}: Gaussian, identity link")


def gaussian(name: str, eta: Tensor, sigma: Tensor, outcome: Outcome) -> None:
    """y_i ~ Normal(eta_i, sigma)."""
    import pymc as pm

    y = pm.Data(f"_{name}_observed", outcome.values, dims=outcome.dim)
    pm.Normal(name, mu=eta, sigma=sigma, observed=y, dims=outcome.dim)


# ------------------------------------------------------------------------------------------------ Bernoulli, binomial


def binomial_outcome(table: Table, response: Response, success: Any = None) -> Outcome:
    """`successes | trials(n)`, or a column of 0 and 1, of logicals, or of two labels.

    Parameters
    ----------
    success
        The value that counts as success; by default 1, True, or the second label in order.
    """
    if response.value.kind != "column":
        raise InputError(
            f"the response of a binomial model is a column, not {response.value.text!r}; make the column first"
        )
    column = table[response.value.columns[0]]
    if response.trials is not None:
        if success is not None:
            raise InputError(
                "success= names a level of a single-trial response; with trials(n) the response counts successes"
            )
        return _counts(table, response)
    return _single_trials(table, column, success)


def _counts(table: Table, response: Response) -> Outcome:
    name = response.value.columns[0]
    y, n, size = successes(table, response)
    if np.all(y == 0) or np.all(y == n):
        raise InputError(
            f"response {name!r} has a single value: {'no' if np.all(y == 0) else 'nothing but'} successes in every row"
        )
    return Outcome(name, y, n, description=f"{name} of {size}: binomial counts of successes")


def successes(table: Table, response: Response) -> tuple[np.ndarray, np.ndarray, str]:
    """Counts of successes and trials (n,), whole numbers with 0 <= y <= n and n >= 1, and the trials in words."""
    assert response.trials is not None
    name, trials = response.value.columns[0], response.trials
    y = table[name].numbers("a count of successes")
    n = np.full(len(y), float(trials)) if isinstance(trials, int) else evaluate_expression(trials, table)
    size = str(trials) if isinstance(trials, int) else trials.text
    problems = []
    for label, values in ((name, y), (size, n)):
        bad = values != np.round(values)
        if bad.any():
            problems.append(
                f"column {label!r} needs whole numbers; {plural(int(bad.sum()), 'value')} not ({table.at(bad)})"
            )
        bad = values < 0
        if bad.any():
            problems.append(
                f"column {label!r} must be >= 0; {plural(int(bad.sum()), 'value')} negative ({table.at(bad)})"
            )
    bad = n == 0
    if bad.any():
        problems.append(f"trials({size}) must be >= 1; 0 in {table.at(bad)}; drop these rows")
    bad = y > n
    if bad.any():
        problems.append(
            f"{plural(int(bad.sum()), 'row')} with more successes than trials ({name} > {size}: {table.at(bad)})"
        )
    raise_all(problems)
    return y, n, size


def _single_trials(table: Table, column: Column, success: Any) -> Outcome:
    name = column.name
    if column.kind == "date":
        column.numbers("a response")
    codes, levels = column.codes_and_levels()
    if column.kind == "number" and success is None:
        y = column.values.astype(np.float64)
        fractions = y != np.round(y)
        if fractions.any():
            raise InputError(
                f"response {name!r} needs 0/1; {plural(int(fractions.sum()), 'value')} "
                f"{'is' if fractions.sum() == 1 else 'are'} not whole ({table.at(fractions)}); "
                f"for proportions give counts: successes | trials(n)"
            )
        if not set(levels) <= {"0", "1"}:
            if len(levels) == 2:
                raise InputError(
                    f"response {name!r} needs 0/1; found {{{listing(levels)}}}. Use --option success={levels[1]} (success={levels[1]!r} in Python)"
                )
            raise InputError(
                f"response {name!r} needs 0/1; found {len(levels)} values ({listing(levels, 5)}); if it counts successes, "
                f"give trials: {name} | trials(n)"
            )
    if len(levels) == 1:
        raise InputError(f"response {name!r} has a single value ({levels[0]}) in every row; there is nothing to model")
    if len(levels) != 2:
        raise InputError(
            f"response {name!r} has {len(levels)} levels ({listing(levels, 5)}) where two are expected; for ordered levels use an ordinal model"
        )
    wanted = levels[1] if success is None else level_text(success)
    if wanted not in levels:
        raise InputError(f"response {name!r} has no level {wanted!r} to be the success; levels: {listing(levels)}")
    y = (codes == levels.index(wanted)).astype(np.float64)
    other = levels[1 - levels.index(wanted)]
    return Outcome(name, y, None, description=f"{name}: success is {wanted!r}, failure {other!r}")


def level_text(value: Any) -> str:
    """A value of a column as its levels are written."""
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)


def binomial(name: str, eta: Tensor, outcome: Outcome, link: Link) -> None:
    """y_i ~ Binomial(n_i, p_i), p_i = link^-1(eta_i); Bernoulli where there are no trials.

    log f(y | eta) = log C(n, y) + y log p + (n - y) log(1 - p)
    """
    import pymc as pm

    pt = tensor()
    y = pm.Data(f"_{name}_observed", outcome.values, dims=outcome.dim)
    if outcome.trials is None:
        pm.CustomDist(
            name,
            eta,
            logp=lambda y, eta: pt.switch(y > 0.5, link.log_p(eta), link.log_q(eta)),
            dist=lambda eta, size: pt.cast(pm.Bernoulli.dist(p=link.p(eta), size=size), "float64"),
            observed=y,
            dims=outcome.dim,
            class_name="Bernoulli",
        )
        return
    n = pm.Data(f"_{name}_trials", outcome.trials, dims=outcome.dim)
    pm.CustomDist(
        name,
        n,
        eta,
        logp=lambda y, n, eta: log_binomial(y, n, eta, link),
        dist=lambda n, eta, size: pt.cast(draw_binomial(n, eta, link, size), "float64"),
        observed=y,
        dims=outcome.dim,
        class_name="Binomial",
    )


def log_binomial(y: Tensor, n: Tensor, eta: Tensor, link: Link) -> Tensor:
    """log C(n, y) + y log p + (n - y) log(1 - p)"""
    pt = tensor()
    log_choose = pt.gammaln(n + 1) - pt.gammaln(y + 1) - pt.gammaln(n - y + 1)
    return log_choose + y * link.log_p(eta) + (n - y) * link.log_q(eta)


def draw_binomial(n: Tensor, eta: Tensor, link: Link, shape: Any = None) -> Tensor:
    import pymc as pm

    return pm.Binomial.dist(n=tensor().cast(n, "int64"), p=link.p(eta), size=shape)


def separated(outcome: Outcome, columns: np.ndarray, labels: tuple[str, ...]) -> list[str]:
    """Sentences for columns (n, p) each of which alone separates failures from successes, completely or at its edge."""
    failures = np.ones(len(outcome.values)) if outcome.trials is None else outcome.trials
    failures = failures - outcome.values
    success, failure = outcome.values > 0, failures > 0
    found = []
    for k, label in enumerate(labels):
        x = columns[:, k]
        values = np.unique(x)
        if len(values) == 2:
            for value in values:
                here = x == value
                if not (success & here).any() or not (failure & here).any():
                    what = "failures" if not (success & here).any() else "successes"
                    found.append(
                        f"column {label!r} separates the outcome: nothing but {what} in {plural(int(here.sum()), 'row')} "
                        f"where it is {value:g}; its coefficient rests on its prior"
                    )
                    break
        elif len(values) > 2 and (x[success].min() >= x[failure].max() or x[success].max() <= x[failure].min()):
            found.append(
                f"column {label!r} separates the outcome: all successes lie on one side of it; its coefficient rests on its prior"
            )
    return found
