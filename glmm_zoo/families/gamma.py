"""Gamma responses: positive numbers whose standard deviation grows as their mean does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, plural
from glmm_zoo.families import moments
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.law import Law, mass_between, within_by_raising
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tails import log_gamma_tails
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.formulas.terms import Response
from glmm_zoo.priors import Prior, parameter
from glmm_zoo.tables.columns import Table

# The square of the coefficient of variation, 1 / shape, is Gamma(0.4, rate 0.3): most of it below 1, some far above. It is the
# default of a negative binomial's alpha, which is the shape of the gamma distribution that its rates have.
_SHAPE = parameter("shape", "positive", Prior("InverseGamma", {"alpha": 0.4, "beta": 0.3}))
_LARGE = np.log(1000)
DRAWN_BETWEEN = (1e-300, 1e30)  # of what is drawn: what a small shape, or an absurd mean, rounds to 0 or infinity


# ------------------------------------------------------------------------------------------------------------- responses


def read_positive(table: Table, response: Response, name: str) -> np.ndarray:
    """A response > 0 (n,), a column or an expression of numbers, of the family called `name`.

    Raises
    ------
    InputError
        Values that are not above 0, which says where and what to do; a single value in all rows.
    """
    if response.trials is not None:
        raise InputError(f"trials() belongs to a binomial response; a {name} one is y ~ ...")
    text = response.value.text
    if response.value.kind == "factor":
        raise InputError(f"the response is numeric here; write {text} ~ ... without C()")
    y = evaluate_expression(response.value, table)
    bad = ~(y > 0)
    if bad.any():
        row = np.flatnonzero(bad)[0]
        zeros = (
            "zeros" if (y[bad] == 0).all() else "values below 0" if (y[bad] < 0).all() else "zeros and values below 0"
        )
        instead = (
            "; there is no hurdle for zeros of measured values: model whether there is any with hierarchical_logistic, and how "
            "much with the rows above 0" if (y == 0).any() else "; hierarchical_linear and student_t take any number"
        )  # fmt: skip
        raise InputError(
            f"response {text!r} needs numbers > 0; {plural(int(bad.sum()), 'value')} not ({y[row]:g}, {table.at(bad)}), {zeros}{instead}"
        )
    if len(y) > 1 and np.all(y == y[0]):
        raise InputError(f"response {text!r} has a single value ({y[0]:g}) in every row; there is nothing to model")
    return y


def log_of_mean(y: np.ndarray) -> float:
    return float(np.log(np.mean(y)))


def reader_of_positive(
    called: str, words: str, location: Callable[[np.ndarray], float] = log_of_mean
) -> Callable[[Table, Response, object], Outcome]:
    """What reads the response of the family `called`, whose kind has these words and whose intercept is expected at the `location`."""

    def read(table: Table, response: Response, _: object) -> Outcome:
        y, name = read_positive(table, response, called), response.value.text
        return Outcome(name, y, None, location(y), 1.0, f"{name}: {called}, {words}")

    return read


# --------------------------------------------------------------------------------------------------------------- density


def gamma_log_f(y: Array, eta: Array, log_a: Array) -> Array:
    """a (log a + t - e^t) - log Gamma(a) - log y with t = log y - eta, the shape a and the mean e^eta.

    From a = 1000 on, a log a - a - log Gamma(a) is Stirling's series, to 3e-12, since the difference loses its digits.
    """
    pt = functions_of(log_a)
    t = pt.log(y) - eta
    near, far = pt.exp(pt.minimum(log_a, _LARGE)), pt.exp(pt.maximum(log_a, _LARGE))
    direct = near * (log_a - 1) - pt.gammaln(near)
    series = 0.5 * log_a - 0.5 * np.log(2 * np.pi) - 1 / (12 * far)
    return pt.switch(log_a < _LARGE, direct, series) + pt.exp(log_a) * (t - pt.expm1(t)) - pt.log(y)


def _observe(name: str, outcome: Outcome, eta: Tensor, _: str, own: Mapping[str, Tensor]) -> None:
    """y_i ~ Gamma(shape a_i, rate a_i / mu_i)."""
    import pymc as pm

    pt = import_pytensor()

    def draw(eta: Tensor, log_a: Tensor, size: object) -> Tensor:
        a = pt.exp(log_a)
        return pt.clip(
            pt.exp(eta) * pt.maximum(pm.Gamma.dist(alpha=a, beta=a, size=size), DRAWN_BETWEEN[0]), *DRAWN_BETWEEN
        )

    observe_rows(name, "Gamma", outcome, [eta, own["shape"]], gamma_log_f, draw)


def _moments(eta: np.ndarray, own: moments.Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    """mu and mu^2 / shape"""
    mu = np.exp(eta)
    return mu, mu**2 / own["shape"]


def _log_density(y: np.ndarray, eta: np.ndarray, own: moments.Own, link: str, trials: np.ndarray | None) -> np.ndarray:
    return gamma_log_f(y, eta, own["shape"])


def _draw(rng: np.random.Generator, eta: np.ndarray, own: moments.Own, link: str) -> np.ndarray:
    shape = own["shape"]
    return np.clip(np.exp(eta) * rng.gamma(np.broadcast_to(shape, eta.shape)) / shape, *DRAWN_BETWEEN)


def _log_mass(low: Any, high: Any, eta: Array, own: Mapping[str, Array]) -> Array:
    log_a = own["shape"]

    def tails(y: np.ndarray) -> tuple[Array, Array]:
        return log_gamma_tails(
            functions_of(log_a).exp(log_a), log_a + np.log(y) - eta, gamma_log_f(y, eta, log_a) + np.log(y)
        )

    return mass_between(np.where(np.asarray(low) > 0, low, -np.inf), high, tails)


def _raised(k: int, eta: np.ndarray, own: moments.Own) -> tuple[np.ndarray, np.ndarray, moments.Own]:
    """E[Y^k; ...] = mu^k (a + 1) ... (a + k - 1) / a^(k - 1) P(...) of a gamma variable of shape a + k and the same rate."""
    log_a = own["shape"]
    log_raised = np.log(np.exp(log_a) + k)
    log_moment = k * eta + (np.log1p(np.exp(-log_a)) if k == 2 else 0.0)
    return log_moment, eta + log_raised - log_a, {"shape": log_raised}


def _frozen(eta: np.ndarray, own: moments.Own) -> Any:
    from scipy import stats  # slow to import

    return stats.gamma(own["shape"], scale=np.exp(eta) / own["shape"])


GAMMA = Family(
    "gamma",
    ("log",),
    reader_of_positive("gamma", "log link"),
    _observe,
    _moments,
    _log_density,
    responses="measured",
    called="gamma",
    distribution="has a gamma distribution with mean μ and variance μ²/φ",
    formula="Gamma(μ, φ)",
    own=(
        OwnParameter(
            "shape", "log", lambda _: _SHAPE, option="dispersion", words="the shape", symbol="φ", shown=lambda shape: shape**-0.5,
            allows="Standard deviations from {high} to {low} times the mean ({inner})",
            why="the square of the coefficient of variation, 1/φ, is mostly below 1 and may be far above",
        ),
    ),
    draw=_draw,
    law=Law(_log_mass, within_by_raising(_log_mass, _raised), _frozen),
)  # fmt: skip
