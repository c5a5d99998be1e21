"""Counts that vary less than Poisson, or more: the Conway-Maxwell-Poisson distribution by its mean (Huang 2017).

    f(y) = lambda^y / (y!)^nu / Z(lambda, nu), lambda such that the mean is mu = e^eta

nu = 1 is Poisson, nu > 1 less variable (var about mu / nu), nu < 1 more; it is a distribution for every mu and nu.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from glmm_zoo.families import counts, moments
from glmm_zoo.families.conway_maxwell import Sums, conway_maxwell, possible
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.moments import Own
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.shares import share_of_zeros
from glmm_zoo.families.tensors import Array, Tensor, elementwise_operation, functions_of, import_pytensor
from glmm_zoo.priors import Prior, parameter

_LEAST, _MOST = -650.0, 300.0  # logarithms of means and of nu are cut here, beyond what variances can hold
_WIDE = 1000.0  # from this standard deviation on a draw is that of a normal distribution, rounded
_LARGEST_LOG_MEAN = 34.0  # of what is drawn


def variance_at_ten(nu: float) -> float:
    """The variance of a count of mean 10."""
    return float(conway_maxwell(np.log(10.0), np.array(nu)).variance)


NU = OwnParameter(
    "nu", "log", lambda _: parameter("nu", "positive", Prior("LogNormal", {"mu": 0.0, "sigma": 1.0})), option="dispersion",
    words="the shape", symbol="ν", shown=variance_at_ten,
    allows="At a mean of 10, variances from {high} to {low} ({inner}); a Poisson count has 10",
    why="a Poisson count is its median, and less variation is as likely as more",
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------ in graphs


@cache
def _operations() -> tuple[Any, Any]:
    """PyTensor's operations for one of the sums given eta, a possible nu and nu as it was, which tells the rows that have it in common,
    and for the quantile of u given eta and nu."""
    pt, Elementwise = import_pytensor(), elementwise_operation()

    class ConwayMaxwell(Elementwise):
        __props__ = ("which",)

        def __init__(self, which: str):
            self.which = which

        def of(self, *inputs: np.ndarray) -> np.ndarray:
            return getattr(conway_maxwell(*inputs[:2]), self.which)

        def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
            eta, _, common = inputs
            of = Sums(*(ConwayMaxwell(name)(*inputs) for name in Sums._fields))
            mu, rate_by_nu = pt.exp(eta), of.covariance / of.variance
            if self.which == "log_rate":
                slopes = mu / of.variance, rate_by_nu
            else:
                slopes = mu * mu / of.variance, mu * rate_by_nu - of.log_factorial
            return [*(cotangents[0] * slope for slope in slopes), pt.zeros_like(common)]

    class ConwayMaxwellQuantile(Elementwise):
        __props__ = ()

        def of(self, *inputs: np.ndarray) -> np.ndarray:
            return quantile(*inputs)

    return ConwayMaxwell, ConwayMaxwellQuantile


def _rate_and_norm(eta: Array, log_nu: Array) -> tuple[Array, Array, Array]:
    """log lambda, log Z and nu."""
    if isinstance(eta, np.ndarray | np.number | float):
        eta = np.clip(eta, _LEAST, _MOST)
        nu = possible(eta, np.exp(np.clip(log_nu, _LEAST, _MOST)))
        found = conway_maxwell(eta, nu)
        return found.log_rate, found.log_norm, nu
    pt, (of, _) = import_pytensor(), _operations()
    eta = pt.clip(eta, _LEAST, _MOST)
    common = pt.exp(pt.clip(log_nu, _LEAST, _MOST))
    nu = possible(eta, common)
    return of("log_rate")(eta, nu, common), of("log_norm")(eta, nu, common), nu


def _log_f(y: Array, eta: Array, log_nu: Array) -> Array:
    """log f(y) = y log lambda - nu log y! - log Z"""
    return _log_f_given(y, *_rate_and_norm(eta, log_nu))


def _log_f_given(y: Array, log_rate: Array, log_norm: Array, nu: Array) -> Array:
    return y * log_rate - nu * functions_of(log_rate).gammaln(y + 1) - log_norm


def _log_f0(eta: Array, log_nu: Array) -> Array:
    return -_rate_and_norm(eta, log_nu)[1]


def _log_1m_f0(eta: Array, log_nu: Array) -> Array:
    pt, log_norm = functions_of(eta), _rate_and_norm(eta, log_nu)[1]
    return pt.log(-pt.expm1(-log_norm))


def quantile(u: Array, eta: Array, nu: Array) -> np.ndarray:
    """The least count with P(Y <= y) > u; where the standard deviation is above 1000 by the Cornish-Fisher series of its cumulants, of
    which the k-th is about mu / nu^(k - 1)."""
    from scipy.special import gammaln, ndtri

    shape = np.broadcast_shapes(np.shape(u), np.shape(eta), np.shape(nu))
    u, eta, nu = (np.broadcast_to(x, shape).ravel() for x in (u, eta, possible(eta, nu)))
    found = conway_maxwell(eta, nu)
    mean, sd, z = np.exp(eta), np.sqrt(found.variance), ndtri(u)
    skew = 1 / np.sqrt(mean * nu)
    y = np.maximum(np.round(mean + sd * (z + skew * (z * z - 1) / 6 + skew**2 * (z - z**3) / 72)), 0.0)
    near = np.flatnonzero(sd < _WIDE)
    at = np.maximum(np.floor(mean[near] - 10 * sd[near] - 1), 0.0)
    going, below = near, np.zeros(len(near))
    while len(going):
        below = below + np.exp(at * found.log_rate[going] - nu[going] * gammaln(at + 1) - found.log_norm[going])
        more = (below < u[going]) & (at < mean[going] + 40 * sd[going] + 40)
        y[going] = at
        going, below, at = going[more], below[more], at[more] + 1
    return y.reshape(shape)


def _draw(eta: Tensor, log_nu: Tensor, shape: Any = None) -> Tensor:
    return _drawn_above(0.0, eta, log_nu, shape)


def _draw_above_zero(eta: Tensor, log_nu: Tensor, shape: Any = None) -> Tensor:
    return _drawn_above(import_pytensor().exp(_log_f0(eta, log_nu)), eta, log_nu, shape)


def _drawn_above(least: Tensor, eta: Tensor, log_nu: Tensor, shape: Any) -> Tensor:
    """The quantile of a probability that is uniform above this one."""
    import pymc as pm

    pt, (_, of_probability) = import_pytensor(), _operations()
    eta, nu = pt.clip(eta, _LEAST, _LARGEST_LOG_MEAN), pt.exp(pt.clip(log_nu, _LEAST, _MOST))
    u = pm.Uniform.dist(0, 1, size=(eta + nu).shape if shape is None else shape)
    return of_probability()(least + (1 - least) * u, eta, nu)


COUNT = counts.Count("ComPoisson", _log_f, _log_f0, _log_1m_f0, _draw, _draw_above_zero, sized=True)


# ------------------------------------------------------------------------------------------------------------ records


def _count_alone(eta: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """mu, var + mu^2 and 1 - 1 / Z"""
    mu, found = np.exp(eta), conway_maxwell(eta, possible(eta, own["nu"]))
    return mu, found.variance + mu**2, -np.expm1(-found.log_norm)


def _moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    return moments.with_share_of_zeros(_count_alone(eta, own), own)


def _drawn(rng: np.random.Generator, eta: np.ndarray, own: Own, link: str) -> np.ndarray:
    y = quantile(rng.random(eta.shape), eta, own["nu"])
    return y * (rng.random(eta.shape) >= own["zi"]) if "zi" in own else y


def _observe(name: str, outcome: Outcome, eta: Tensor, link: str, own: Mapping[str, Tensor]) -> None:
    if "zi" in own:
        counts.observe_zero_inflated(name, COUNT, outcome, own["zi"], eta, own["nu"])
    else:
        counts.observe_count(name, COUNT, outcome, eta, own["nu"])


def _log_density(y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
    log_rate, log_norm, nu = _rate_and_norm(eta, own["nu"])
    log_f = _log_f_given(y, log_rate, log_norm, nu)
    if "zi" not in own:
        return log_f
    known = replace(COUNT, log_f=lambda *_: log_f, log_f0=lambda *_: -log_norm)
    return counts.zero_inflated_log_f(known, y, own["zi"], eta)


COM_POISSON = Family(
    "com_poisson",
    ("log",),
    counts.read_count,
    _observe,
    _moments,
    _log_density,
    responses="count",
    called="Conway-Maxwell-Poisson",
    distribution="has a Conway-Maxwell-Poisson distribution with mean μ and shape ν, with about 1/ν of the variance of a Poisson count",
    formula="ComPoisson(μ, ν)",
    own=(NU,),
    one_per_row=lambda _: True,
    doubts=counts.without_large,
    draw=_drawn,
    findings=("rates", "dispersion", "zeros"),
    counted="expected count",
    count_alone=_count_alone,
)
ZERO_INFLATED_COM_POISSON = replace(
    COM_POISSON,
    name="zero_inflated_com_poisson",
    called="zero-inflated Conway-Maxwell-Poisson",
    distribution="is a structural zero with probability π; otherwise it has a Conway-Maxwell-Poisson distribution with mean μ and shape ν, "
    "which may be 0 too",
    own=(share_of_zeros("a structural zero"), NU),
    zeros="structural",
    doubts=lambda outcome, columns: [*counts.without_zeros(outcome), *counts.without_large(outcome, columns)],
    counted="expected count but for structural zeros",
)  # fmt: skip
