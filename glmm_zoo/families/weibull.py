"""Weibull responses: times, whose hazard falls, stays or rises as a power of time.

    P(Y > y) = exp(-e^(k t)),  t = log y - eta + log Gamma(1 + 1 / k),  with the mean e^eta

brms's parameterization. log y is accelerated: slopes are those of R's survreg, whose intercept is eta's less log Gamma(1 + 1 / k) and
whose scale is 1 / k.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glmm_zoo.families import moments
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.gamma import DRAWN_BETWEEN, reader_of_positive
from glmm_zoo.families.law import Law, mass_between
from glmm_zoo.families.links import probability_link
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.families.time_laws import SHAPE
from glmm_zoo.priors import parameter


def _log_cumulative_hazard(y: Array, eta: Array, log_k: Array) -> Array:
    """k t"""
    pt = functions_of(log_k)
    return pt.exp(log_k) * (np.log(y) - eta + pt.gammaln(1 + pt.exp(-log_k)))


def weibull_log_f(y: Array, eta: Array, log_k: Array) -> Array:
    """log k + k t - e^(k t) - log y"""
    z, pt = _log_cumulative_hazard(y, eta, log_k), functions_of(log_k)
    return log_k + z - pt.exp(z) - np.log(y)


def _observe(name: str, outcome: Outcome, eta: Tensor, _: str, own: Mapping[str, Tensor]) -> None:
    """y_i ~ Weibull(k_i, mu_i / Gamma(1 + 1 / k_i))."""
    import pymc as pm

    pt = import_pytensor()

    def draw(eta: Tensor, log_k: Tensor, size: object) -> Tensor:
        scale = pt.exp(eta - pt.gammaln(1 + pt.exp(-log_k)))
        return pt.clip(scale * pm.Weibull.dist(alpha=pt.exp(log_k), beta=1.0, size=size), *DRAWN_BETWEEN)

    observe_rows(name, "Weibull", outcome, [eta, own["shape"]], weibull_log_f, draw)


def _moments(eta: np.ndarray, own: moments.Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    """mu and mu^2 (Gamma(1 + 2 / k) / Gamma(1 + 1 / k)^2 - 1)"""
    mu = np.exp(eta)
    return mu, mu**2 * relative_variance(own["shape"])


def relative_variance(k: Any) -> Any:
    """Of a Weibull variable of shape k and mean 1."""
    from scipy.special import gammaln

    return np.expm1(gammaln(1 + 2 / k) - 2 * gammaln(1 + 1 / k))


def _log_density(y: np.ndarray, eta: np.ndarray, own: moments.Own, link: str, trials: np.ndarray | None) -> np.ndarray:
    return weibull_log_f(y, eta, own["shape"])


def _draw(rng: np.random.Generator, eta: np.ndarray, own: moments.Own, link: str) -> np.ndarray:
    from scipy.special import gammaln

    k = np.broadcast_to(own["shape"], eta.shape)
    return np.clip(np.exp(eta - gammaln(1 + 1 / k)) * rng.weibull(k), *DRAWN_BETWEEN)


def _log_mass(low: Any, high: Any, eta: Array, own: Mapping[str, Array]) -> Array:
    log_k, link = own["shape"], probability_link("cloglog")

    def tails(y: np.ndarray) -> tuple[Array, Array]:
        z = _log_cumulative_hazard(y, eta, log_k)
        return link.log_p(z), link.log_q(z)

    def between(low: np.ndarray, high: np.ndarray) -> Array:
        gap = np.where(high > low, np.log(high) - np.log(low), 1.0)
        first, last = (_log_cumulative_hazard(y, eta, log_k) for y in (low, high))
        return link.log_between(first, last, gap * functions_of(log_k).exp(log_k))

    return mass_between(np.where(np.asarray(low) > 0, low, -np.inf), high, tails, between)


def _within(low: Any, high: Any, eta: np.ndarray, own: moments.Own) -> tuple[np.ndarray, np.ndarray]:
    """E(Y^j; low < Y <= high) = scale^j Gamma(1 + j / k) P(H(low) < G <= H(high)), G a Gamma(1 + j / k) variable."""
    from scipy.special import gammainc, gammaincc, gammaln

    log_k = own["shape"]
    k, log_all = np.exp(log_k), _log_mass(low, high, eta, own)
    with np.errstate(divide="ignore", over="ignore"):
        below, above = (np.exp(_log_cumulative_hazard(np.maximum(end, 0.0), eta, log_k)) for end in (low, high))

    def raised(j: int) -> np.ndarray:
        a = 1 + j / k
        p, q = gammainc(a, above) - gammainc(a, below), gammaincc(a, below) - gammaincc(a, above)
        with np.errstate(divide="ignore"):
            inside = np.log(np.where(below < a, p, q))
        return np.exp(j * (eta - gammaln(1 + 1 / k)) + gammaln(a) + inside - log_all)

    mean = np.clip(raised(1), low, high)
    return mean, np.maximum(raised(2) - mean**2, 0.0)


def _frozen(eta: np.ndarray, own: moments.Own) -> Any:
    from scipy import stats  # slow to import
    from scipy.special import gammaln

    return stats.weibull_min(own["shape"], scale=np.exp(eta - gammaln(1 + 1 / own["shape"])))


WEIBULL = Family(
    "weibull",
    ("log",),
    reader_of_positive("Weibull", "log link"),
    _observe,
    _moments,
    _log_density,
    responses="measured",
    called="Weibull",
    distribution="has a Weibull distribution with mean μ and shape k, whose hazard is proportional to the power k − 1 of time",
    formula="Weibull(μ, k)",
    own=(
        OwnParameter(
            "shape", "log", lambda _: parameter("shape", "positive", SHAPE), option="dispersion", words="the shape", symbol="k",
            shown=lambda k: float(np.sqrt(relative_variance(k))), allows="Standard deviations from {high} to {low} times the mean ({inner})",
            why="a hazard that is constant (1), falls or rises",
        ),
    ),
    draw=_draw,
    law=Law(_log_mass, _within, _frozen),
)  # fmt: skip
