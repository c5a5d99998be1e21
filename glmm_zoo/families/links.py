"""Links: every link function's inverse and derivative, and the names of the ratios that it gives.

A link g takes the mean mu of a response, or a probability p, to its linear predictor: eta = g(mu). Densities of
probabilities are written on the scale of eta, where they neither overflow nor lose digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing
from glmm_zoo.families.tensors import Array, functions_of, import_pytensor


@dataclass(frozen=True)
class Link:
    """A link function, for NumPy arrays and for graphs.

    `inverse(eta, xp)` is the mean, `derivative(eta, xp)` d mean / d eta; xp is `numpy`, the
    default, or `pytensor.tensor`. `ratio` is what exp(coefficient) is called, `median_ratio` what
    exp(sqrt(2) sd Phi^-1(3/4)) of a varying intercept's sd is called; None where they have no name.
    """

    name: str
    inverse: Callable[..., Array]
    derivative: Callable[..., Array]
    ratio: str | None = None
    median_ratio: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProbabilityLink(Link):
    """A link of a probability p: `log_p(eta)` = log p and `log_q(eta)` = log(1 - p), neither lost to
    underflow in the tails; `log_between(a, b, gap)` = log(p(b) - p(a)), whose digits are those of gap = b - a > 0.

    `latent_variance` is that of the error of the latent variable that is cut at 0.
    """

    log_p: Callable[[Array], Array]
    log_q: Callable[[Array], Array]
    log_between: Callable[[Array, Array, Array], Array]
    latent_variance: float

    def p(self, eta: Array) -> Array:
        """The probability, in a graph."""
        return self.inverse(eta, import_pytensor())

    def p_and_q(self, eta: Array) -> tuple[Array, Array]:
        """p and 1 - p, in a graph: from what log p and log(1 - p) are made of."""
        pt = import_pytensor()
        return (
            (self.p(eta), self.p(-eta)) if self.name == "logit" else (pt.exp(self.log_p(eta)), pt.exp(self.log_q(eta)))
        )


# ------------------------------------------------------------------------------------------------ inverses, derivatives


def _identity(eta: Array, xp: Any = np) -> Array:
    return eta


def _one(eta: Array, xp: Any = np) -> Array:
    return xp.ones_like(eta)


def _exp(eta: Array, xp: Any = np) -> Array:
    return xp.exp(eta)


def _inverse_logit(eta: Array, xp: Any = np) -> Array:
    """1 / (1 + e^-eta)"""
    if xp is not np:
        return xp.sigmoid(eta)
    with np.errstate(over="ignore"):  # 0 where e^-eta is infinite; twice as fast as SciPy's
        return 1.0 / (1.0 + np.exp(-eta))


def _derivative_of_inverse_logit(eta: Array, xp: Any = np) -> Array:
    """p (1 - p)"""
    return 1.0 / (2.0 + xp.exp(eta) + xp.exp(-eta))


def _inverse_probit(eta: Array, xp: Any = np) -> Array:
    """Phi(eta), the distribution function of the standard normal distribution."""
    return _special().ndtr(eta) if xp is np else 0.5 * xp.erfc(-eta / np.sqrt(2.0))


def _derivative_of_inverse_probit(eta: Array, xp: Any = np) -> Array:
    """phi(eta), the density of the standard normal distribution."""
    return xp.exp(-0.5 * eta * eta) / np.sqrt(2.0 * np.pi)


def _inverse_cloglog(eta: Array, xp: Any = np) -> Array:
    """1 - exp(-e^eta)"""
    with np.errstate(over="ignore"):  # 1 where e^eta is infinite
        return -xp.expm1(-xp.exp(eta))


def _derivative_of_inverse_cloglog(eta: Array, xp: Any = np) -> Array:
    """e^(eta - e^eta)"""
    return xp.exp(eta - xp.exp(eta))


def _special() -> Any:
    from scipy import special  # imported when a probability is asked for

    return special


# ------------------------------------------------------------------------------------- logarithms of probabilities


def _softplus(x: Array) -> Array:
    return functions_of(x).softplus(x)


def _log_normal_cdf(x: Array) -> Array:
    """log Phi(x): log1p(-Q(x)) above 0, log Q(-x) with Q = erfc / 2 down to -20. Below, before erfc runs out of
    exponent at -37, the series of Mills' ratio, relative error below 1e-11:
    log phi(x) - log(-x) + log(1 - x^-2 + 3 x^-4 - 15 x^-6 + 105 x^-8)."""
    pt = functions_of(x)
    above, between, far = pt.maximum(x, 0.0), pt.clip(x, -20.0, 0.0), pt.minimum(x, -20.0)
    upper = pt.log1p(-0.5 * pt.erfc(above / np.sqrt(2.0)))
    lower = pt.log(0.5 * pt.erfc(-between / np.sqrt(2.0)))
    w = 1.0 / (far * far)
    series = pt.log1p(-w * (1.0 - w * (3.0 - w * (15.0 - w * 105.0))))
    tail = -0.5 * far * far - 0.5 * np.log(2 * np.pi) - pt.log(-far) + series
    return pt.switch(x > 0.0, upper, pt.switch(x > -20.0, lower, tail))


def _log_one_minus_exp_minus_exp(x: Array) -> Array:
    """log(1 - exp(-e^x)); below -15 its series x - e^x / 2, before the difference from 1 is lost."""
    pt = functions_of(x)
    far = pt.minimum(x, -15.0)
    return pt.switch(x > -15.0, pt.log(-pt.expm1(-pt.exp(pt.maximum(x, -15.0)))), far - 0.5 * pt.exp(far))


def _minus_exp(x: Array) -> Array:
    return -functions_of(x).exp(x)


def log_1m_exp_minus(x: Array) -> Array:
    """log(1 - e^-x), x > 0."""
    pt = functions_of(x)
    near, far = pt.minimum(x, np.log(2)), pt.maximum(x, np.log(2))
    return pt.switch(x < np.log(2), pt.log(-pt.expm1(-near)), pt.log1p(-pt.exp(-far)))


def _logit_between(a: Array, b: Array, gap: Array) -> Array:
    """p(b) - p(a) = p(b) q(a) (1 - e^-gap)"""
    return -_softplus(-b) - _softplus(a) + log_1m_exp_minus(gap)


def _probit_between(a: Array, b: Array, gap: Array) -> Array:
    """log Phi(high) + log(1 - Phi(low) / Phi(high)), low and high the ends reflected so that their middle -m is below 0.
    There log Phi rises by more than max(m, 1/2) gap, which is known where the difference has lost its digits. Where it
    rises by little, gap < 0.01 / max(m, 1), log[gap phi(m) (1 + (m^2 - 1) gap^2 / 24)] is right to 1e-11."""
    pt = functions_of(gap)
    m = pt.abs(0.5 * (a + b))
    narrow = 0.01 / pt.maximum(m, 1.0)
    thin, wide = pt.minimum(gap, narrow), pt.maximum(gap, narrow)
    series = pt.log(thin) - 0.5 * m * m - 0.5 * np.log(2 * np.pi) + pt.log1p((m * m - 1.0) * thin * thin / 24.0)
    low, high = _log_normal_cdf(pt.minimum(a, -b)), _log_normal_cdf(pt.minimum(b, -a))
    rise = pt.maximum(high - low, pt.maximum(m, 0.5) * wide)
    return pt.switch(gap > narrow, high + log_1m_exp_minus(rise), series)


def _cloglog_between(a: Array, b: Array, gap: Array) -> Array:
    """p(b) - p(a) = q(a) (1 - exp(-(e^b - e^a))), log(e^b - e^a) = b + log(1 - e^-gap)"""
    return _minus_exp(a) + _log_one_minus_exp_minus_exp(b + log_1m_exp_minus(gap))


PROBABILITY_LINKS: Mapping[str, ProbabilityLink] = {
    link.name: link
    for link in (
        ProbabilityLink(
            "logit",
            _inverse_logit,
            _derivative_of_inverse_logit,
            "odds_ratio",
            "median_odds_ratio",
            log_p=lambda eta: -_softplus(-eta),
            log_q=lambda eta: -_softplus(eta),
            log_between=_logit_between,
            latent_variance=np.pi**2 / 3,
        ),
        ProbabilityLink(
            "probit",
            _inverse_probit,
            _derivative_of_inverse_probit,
            log_p=_log_normal_cdf,
            log_q=lambda eta: _log_normal_cdf(-eta),
            log_between=_probit_between,
            latent_variance=1.0,
        ),
        ProbabilityLink(
            "cloglog",
            _inverse_cloglog,
            _derivative_of_inverse_cloglog,
            ratio="hazard_ratio",
            log_p=_log_one_minus_exp_minus_exp,
            log_q=_minus_exp,
            log_between=_cloglog_between,
            latent_variance=np.pi**2 / 6,
        ),
    )
}
LINKS: Mapping[str, Link] = {
    "identity": Link("identity", _identity, _one),
    "log": Link("log", _exp, _exp, "rate_ratio", "median_rate_ratio"),
    "log_hazard": Link("log_hazard", _exp, _exp, "hazard_ratio", "median_hazard_ratio"),
    "log_time": Link("log_time", _exp, _exp, "time_ratio", "median_time_ratio"),
    **PROBABILITY_LINKS,
}


def probability_link(name: str) -> ProbabilityLink:
    """The link of a probability of that name.

    Raises
    ------
    InputError
        An unknown name.
    """
    if name not in PROBABILITY_LINKS:
        raise InputError(f"unknown link {name!r}; known: {listing(PROBABILITY_LINKS)}")
    return PROBABILITY_LINKS[name]
