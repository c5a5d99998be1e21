"""Lognormal mixed model: positive outcomes whose logarithm is normal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ()


def lognormal(
    data: Any,
    formula: str,
    *,
    dispersion: str | None = None,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Positive responses whose logarithm has a linear mixed model, with means on the scale of the responses.

        log y_i ~ Normal(eta_i, sigma)
        E(y_i) = exp(eta_i + sigma^2 / 2)
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    It is `hierarchical_linear` of log(y) but for what is estimated: averages and differences are of y itself. exp(beta) are ratios of
    medians, and of means where sigma is one number. brms's mu is eta.

    Parameters
    ----------
    data, formula, weights, impute, center, clusters, missing
        As in `gamma`.
    dispersion
        `"~ x + s(z)"` models log sigma; without it sigma is one number. It takes no group effects: over a population of groups that
        differ in sigma the mean is infinite.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[x]`, `sd`, `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`, and `sigma` or
        `sigma_Intercept`, `sigma_beta`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>`, `u_<g>` and `sigma` on the scale of log(y), or
    `sigma_Intercept` and `sigma_beta` (sigma_coef) on the log scale of sigma.

    Raises
    ------
    InputError
        As in `gamma`; group effects on sigma.
    """
    options = {"dispersion": dispersion, "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing}  # fmt: skip
    plan = plan_of_family("lognormal", FAMILIES["lognormal"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
