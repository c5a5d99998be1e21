"""Quantiles of priors, by SciPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp

from glmm_zoo.priors import Prior

type Arguments = Mapping[str, float]


def prior_quantile(prior: Prior, q: float) -> float:
    """The value that the prior is below with probability `q`; LKJ and Dirichlet have none, since they are of several numbers."""
    from scipy import stats

    name, arguments = _IN_SCIPY[prior.distribution]
    if prior.distribution == "HalfStudentT":
        q = (1 + q) / 2
    return float(getattr(stats, name).ppf(q, **arguments(prior.arguments)))


def correlation_quantile(prior: Prior, size: int, q: float) -> float:
    """The quantile of each correlation r of a matrix (size, size) with an LKJ prior: (r + 1) / 2 ~ Beta(b, b), b = eta + size / 2 - 1."""
    from scipy import stats

    b = prior.arguments["eta"] + size / 2 - 1
    return float(2 * stats.beta(b, b).ppf(q) - 1)


def _gamma(a: Arguments) -> Arguments:
    if "alpha" in a:
        return {"a": a["alpha"], "scale": 1 / a["beta"]}
    return {"a": a["mu"] ** 2 / a["sigma"] ** 2, "scale": a["sigma"] ** 2 / a["mu"]}


def _inverse_gamma(a: Arguments) -> Arguments:
    shape = a["alpha"] if "alpha" in a else a["mu"] ** 2 / a["sigma"] ** 2 + 2
    return {"a": shape, "scale": a["beta"] if "alpha" in a else a["mu"] * (shape - 1)}


def _beta(a: Arguments) -> Arguments:
    if "alpha" in a:
        return {"a": a["alpha"], "b": a["beta"]}
    size = a["mu"] * (1 - a["mu"]) / a["sigma"] ** 2 - 1
    return {"a": a["mu"] * size, "b": (1 - a["mu"]) * size}


_IN_SCIPY: Mapping[
    str, tuple[str, Callable[[Arguments], Arguments]]
] = {  # the name there, and how arguments are called
    "Normal": ("norm", lambda a: {"loc": a["mu"], "scale": a["sigma"] if "sigma" in a else a["tau"] ** -0.5}),
    "StudentT": ("t", lambda a: {"df": a["nu"], "loc": a["mu"], "scale": a["sigma"]}),
    "Cauchy": ("cauchy", lambda a: {"loc": a["alpha"], "scale": a["beta"]}),
    "Laplace": ("laplace", lambda a: {"loc": a["mu"], "scale": a["b"]}),
    "Logistic": ("logistic", lambda a: {"loc": a["mu"], "scale": a["s"]}),
    "SkewNormal": ("skewnorm", lambda a: {"a": a["alpha"], "loc": a["mu"], "scale": a["sigma"]}),
    "Uniform": ("uniform", lambda a: {"loc": a["lower"], "scale": a["upper"] - a["lower"]}),
    "Exponential": ("expon", lambda a: {"scale": a["scale"] if "scale" in a else 1 / a["lam"]}),
    "HalfNormal": ("halfnorm", lambda a: {"scale": a["sigma"]}),
    "HalfCauchy": ("halfcauchy", lambda a: {"scale": a["beta"]}),
    "HalfStudentT": ("t", lambda a: {"df": a["nu"], "scale": a["sigma"]}),
    "Gamma": ("gamma", _gamma),
    "InverseGamma": ("invgamma", _inverse_gamma),
    "LogNormal": ("lognorm", lambda a: {"s": a["sigma"], "scale": exp(a["mu"])}),
    "Weibull": ("weibull_min", lambda a: {"c": a["alpha"], "scale": a["beta"]}),
    "Beta": ("beta", _beta),
}
