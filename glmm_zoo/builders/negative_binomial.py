"""Negative binomial mixed model: counts that vary more than Poisson."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import negative_binomial_family
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("nb",)


def negative_binomial(
    data: Any,
    formula: str,
    *,
    dispersion: str | None = None,
    parameterization: str = "nb2",
    exposure: str | None = None,
    per: float = 1.0,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Overdispersed counts with group effects.

        y_i ~ NegativeBinomial(mean mu_i, shape alpha),  log mu_i = eta_i
        var y_i = mu_i + mu_i^2 / alpha        (nb2)
        var y_i = mu_i + mu_i / alpha          (nb1)
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + log exposure_i
        u_g[level] ~ Normal(0, S_g)

    alpha -> infinity is Poisson. lme4's and brms's `shape` is alpha; glmmTMB's nbinom1 reports 1 / alpha.

    Parameters
    ----------
    data, formula, exposure, per, weights, impute, center, clusters, missing
        As in `poisson`.
    dispersion
        `"~ x + (1 | g)"` models log alpha; without it alpha is one number.
    parameterization
        "nb2" or "nb1": variance quadratic or linear in the mean.
    priors
        Text by parameter: those of `poisson`, and `alpha` or `alpha_Intercept`, `alpha_beta`.

    Returns
    -------
    A PyMC model with the variables of `poisson`, and `alpha`, or `alpha_Intercept` and `alpha_beta` (alpha_coef) on its
    log scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors; an unknown parameterization.
    """
    options = {
        "dispersion": dispersion, "parameterization": parameterization, "exposure": exposure, "per": per,
        "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing,
    }  # fmt: skip
    family = negative_binomial_family("negative_binomial", parameterization)
    plan = plan_of_family("negative_binomial", family, data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
