"""Priors of meta-analyses: effects, studies' levels, and heterogeneity, with named empirical ones for log odds ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glmm_zoo.errors import InputError, attempt, did_you_mean
from glmm_zoo.priors import Parameter, Prior, coefficients

EFFECT = Prior("Normal", {"mu": 0.0, "sigma": 2.5})
TAU = Prior("HalfNormal", {"sigma": 1.0})

# Log-normal predictive distributions of tau^2, the variance of log odds ratios over the trials of a future
# meta-analysis: mean and standard deviation of log tau^2. Turner, Davey, Clarke, Thompson & Higgins (2012), Int J
# Epidemiol 41:818-827, from 14,886 meta-analyses of the Cochrane Database.
_OUTCOMES = ("all-cause mortality", "semi-objective", "subjective")
_TURNER = {
    "pharmacological vs placebo": ((-4.06, 1.45), (-3.02, 1.85), (-2.13, 1.58)),
    "pharmacological vs pharmacological": ((-4.27, 1.48), (-3.23, 1.88), (-2.34, 1.62)),
    "non-pharmacological": ((-3.93, 1.51), (-2.89, 1.91), (-2.01, 1.64)),
}
HETEROGENEITY: Mapping[str, tuple[float, float]] = {
    **{
        f"{outcome}, {comparison}": moments
        for comparison, by_outcome in _TURNER.items()
        for outcome, moments in zip(_OUTCOMES, by_outcome, strict=True)
    },
    "general": (-2.56, 1.74),
}


def heterogeneity_prior(name: str) -> Prior:
    """The prior of tau with this name of `HETEROGENEITY`: log tau is Normal(m / 2, s / 2) where log tau^2 is Normal(m, s).

    Raises
    ------
    InputError
        Unknown names.
    """
    if name not in HETEROGENEITY:
        near = did_you_mean(name, HETEROGENEITY) or ";"
        raise InputError(f"unknown heterogeneity {name!r}{near} known: {'; '.join(HETEROGENEITY)}")
    m, s = HETEROGENEITY[name]
    return Prior("LogNormal", {"mu": round(m / 2, 4), "sigma": round(s / 2, 4)})


def heterogeneity_note(name: str) -> str:
    """The sentence that a fit keeps of the prior with this name."""
    m, s = HETEROGENEITY[name]
    return f"prior of tau: tau^2 ~ LogNormal({m}, {s}), {name} (Turner et al. 2012)"


def heterogeneity_problems(options: Mapping[str, Any], priors: Mapping[str, str], *, tau: bool) -> list[str]:
    """Sentences about `heterogeneity=` beside other options and priors; `tau` says whether the model has it as a parameter."""
    named = options["heterogeneity"]
    if named is None:
        return []
    problems: list[str] = []
    attempt(lambda: heterogeneity_prior(named), problems)
    if "tau" in priors:
        problems.append(f"heterogeneity={named!r} is a prior for tau and priors has another; keep one of them")
    if options["exposure"] is not None:
        problems.append(
            "heterogeneity= names priors for log odds ratios; with exposure= the effects are log rate ratios: give priors={'tau': ...}"
        )
    if not tau:
        problems.append(
            "heterogeneity= is a prior for tau, which sd and corr determine in a bivariate model; use another baseline"
            if options["baseline"] == "bivariate"
            else "heterogeneity= is a prior for tau, and fixed effects have none; leave it out, or use trt_effects='random'"
        )
    return problems


def tau_prior(heterogeneity: str | None) -> Prior:
    """The default prior of tau, or the named one."""
    return TAU if heterogeneity is None else heterogeneity_prior(heterogeneity)


def study_levels(levels: Sequence[str], log_rate: float) -> Parameter:
    """The studies' own levels under wide priors, around 0 or the log of the crude rate."""
    default = Prior("Normal", {"mu": float(f"{log_rate:.4g}"), "sigma": 5.0})
    return coefficients("study_Intercept", levels, [default] * len(levels))
