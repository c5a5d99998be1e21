"""Gamma mixed model: positive outcomes such as costs and durations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ()


def gamma(
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
    """Positive responses whose standard deviation is in proportion to their mean.

        y_i ~ Gamma(mean mu_i, shape a),  log mu_i = eta_i
        var y_i = mu_i^2 / a
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    exp(beta) are ratios of means. 1 / sqrt(a) is the coefficient of variation; a = 1 is the exponential distribution. The shape is
    brms's; glmmTMB's dispersion is its inverse square root.

    Parameters
    ----------
    data, formula, weights, impute, center, clusters, missing
        As in `hierarchical_linear`; the response is above 0 in every row. There is no hurdle for zeros.
    dispersion
        `"~ x + (1 | g)"` models the log of the shape; without it the shape is one number. `"~ offset(log(n))"` is for means of n.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[x]`, `sd`, `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`, and `shape` or
        `shape_Intercept`, `shape_beta`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>` and `u_<g>` on the log scale, and `shape`, or
    `shape_Intercept` and `shape_beta` (shape_coef) on its log scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors; a response that is not above 0.
    """
    options = {"dispersion": dispersion, "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing}  # fmt: skip
    plan = plan_of_family("gamma", FAMILIES["gamma"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
