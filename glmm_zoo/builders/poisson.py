"""Poisson mixed model: counts and rates, with an exposure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("poisson_offset",)


def poisson(
    data: Any,
    formula: str,
    *,
    exposure: str | None = None,
    per: float = 1.0,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Counts with group effects.

        y_i ~ Poisson(mu_i),  log mu_i = eta_i
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + log exposure_i
        u_g[level] ~ Normal(0, S_g)

    Parameters
    ----------
    data
        A data frame, one row for each count.
    formula
        `"y ~ x + (1 + x | g)"`; `offset(log(days))` in it is the same as `exposure="days"`.
    exposure
        A column > 0: time at risk, area, number of animals.
    per
        Rates are for this many units of exposure, in tables, figures and answers.
    weights, impute, center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[x]`, `sd`, `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>` and `u_<g>`, logarithms of rates.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    options = {"exposure": exposure, "per": per, "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing}  # fmt: skip
    plan = plan_of_family("poisson", FAMILIES["poisson"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
