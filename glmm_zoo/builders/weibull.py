"""Weibull mixed model: durations, strengths and times with limits of detection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ()


def weibull(
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
    """Positive responses, times above all, whose hazard falls, stays or rises as a power of time.

        y_i ~ Weibull(mean mu_i, shape k),  log mu_i = eta_i
        P(y_i > y) = exp(-(y Gamma(1 + 1 / k) / mu_i)^k)
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    exp(beta) are ratios of means, by which times are longer. The hazard is in proportion to y^(k - 1); k = 1 is the exponential
    distribution. The shape and the mean are brms's; R's survreg has the same slopes, the intercept less log Gamma(1 + 1 / k), and
    the scale 1 / k. `survival` with distribution="weibull" is the same of times to an event that are `Surv(...)`, for curves and hazards.

    Parameters
    ----------
    data, formula, weights, impute, center, clusters, missing
        As in `gamma`; `"years | cens(alive) ~ arm"` of times that are known to be longer.
    dispersion
        `"~ x + (1 | g)"` models the log of the shape; without it the shape is one number.
    priors
        As in `gamma`; the shape is LogNormal(0, 0.5) by default.

    Returns
    -------
    A PyMC model with the variables of `gamma`.

    Raises
    ------
    InputError
        As in `gamma`.
    """
    options = {"dispersion": dispersion, "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing}  # fmt: skip
    plan = plan_of_family("weibull", FAMILIES["weibull"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
