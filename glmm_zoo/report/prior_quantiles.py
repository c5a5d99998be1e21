"""Quantiles of priors, by the functions of scipy.special, since scipy.stats is slow to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import special

from glmm_zoo.priors import Prior
from glmm_zoo.results.figures.densities import usual_arguments


def prior_quantile(prior: Prior, q: float) -> float:
    """The value that the prior is below with probability `q`; LKJ and Dirichlet have none, since they are of several numbers."""
    return float(_QUANTILES[prior.distribution](q, usual_arguments(prior.distribution, dict(prior.arguments))))


def correlation_quantile(prior: Prior, size: int, q: float) -> float:
    """The quantile of each correlation r of a matrix (size, size) with an LKJ prior: (r + 1) / 2 ~ Beta(b, b), b = eta + size / 2 - 1."""
    b = prior.arguments["eta"] + size / 2 - 1
    return float(2 * special.betaincinv(b, b, q) - 1)


def _skew_normal(q: float, a: Mapping[str, float]) -> float:
    from scipy import stats

    return stats.skewnorm.ppf(q, a["alpha"], a["mu"], a["sigma"])


def _cauchy(q: float) -> float:
    return float(np.tan(np.pi * (q - 0.5)))


_QUANTILES: Mapping[str, Callable[[float, Mapping[str, float]], float]] = {
    "Normal": lambda q, a: a["mu"] + a["sigma"] * special.ndtri(q),
    "StudentT": lambda q, a: a["mu"] + a["sigma"] * special.stdtrit(a["nu"], q),
    "Cauchy": lambda q, a: a["alpha"] + a["beta"] * _cauchy(q),
    "Laplace": lambda q, a: a["mu"] - a["b"] * np.sign(q - 0.5) * np.log1p(-2 * abs(q - 0.5)),
    "Logistic": lambda q, a: a["mu"] + a["s"] * special.logit(q),
    "SkewNormal": _skew_normal,
    "Uniform": lambda q, a: a["lower"] + q * (a["upper"] - a["lower"]),
    "Exponential": lambda q, a: -np.log1p(-q) / a["lam"],
    "HalfNormal": lambda q, a: a["sigma"] * special.ndtri((1 + q) / 2),
    "HalfCauchy": lambda q, a: a["beta"] * _cauchy((1 + q) / 2),
    "HalfStudentT": lambda q, a: a["sigma"] * special.stdtrit(a["nu"], (1 + q) / 2),
    "Gamma": lambda q, a: special.gammaincinv(a["alpha"], q) / a["beta"],
    "InverseGamma": lambda q, a: a["beta"] / special.gammainccinv(a["alpha"], q),
    "LogNormal": lambda q, a: np.exp(a["mu"] + a["sigma"] * special.ndtri(q)),
    "Weibull": lambda q, a: a["beta"] * (-np.log1p(-q)) ** (1 / a["alpha"]),
    "Beta": lambda q, a: special.betaincinv(a["alpha"], a["beta"], q),
}
