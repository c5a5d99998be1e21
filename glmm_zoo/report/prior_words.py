"""Priors in the words of a paper."""

from __future__ import annotations

from glmm_zoo.priors import Prior
from glmm_zoo.results import numbers

DISTRIBUTION_WORDS = {
    "Normal": "normal", "StudentT": "Student-t", "Exponential": "exponential", "HalfNormal": "half-normal", "Gamma": "gamma",
    "InverseGamma": "inverse-gamma", "Beta": "beta", "LogNormal": "log-normal", "Uniform": "uniform", "HalfCauchy": "half-Cauchy",
    "HalfStudentT": "half-Student-t", "SkewNormal": "skew-normal", "InverseGaussian": "inverse-Gaussian",
}  # fmt: skip
_ARGUMENTS = {
    "Exponential": {"lam": "rate"},
    "HalfNormal": {"sigma": "scale"},
    "StudentT": {"nu": "degrees of freedom", "sigma": "scale"},
}


def prior_words(prior: Prior) -> str:
    """ "Student-t (3 degrees of freedom, 0, scale 2.5)", "normal (0, 2.5)"."""
    names = _ARGUMENTS.get(prior.distribution, {})
    texts = []
    for argument, value in prior.arguments.items():
        number = f"{value:g}".replace("-", numbers.MINUS)
        name = names.get(argument, "")
        texts.append(f"{number} {name}" if name.startswith("degrees") else f"{name} {number}".strip())
    return f"{DISTRIBUTION_WORDS.get(prior.distribution, prior.distribution)} ({', '.join(texts)})"
