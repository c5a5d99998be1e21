"""Poisson mixed model: counts and rates, with an exposure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families import counts
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.plans import intake
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.terms import Model

ALIASES = ("poisson_offset",)


def poisson(
    data: Any,
    formula: str,
    *,
    exposure: str | None = None,
    per: float = 1.0,
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
        Rates in the summary are for this many units of exposure.
    center, clusters, missing
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
    options = {"exposure": exposure, "per": per, "center": center, "clusters": clusters, "missing": missing}
    part = intake.single(
        data,
        formula,
        counts.count_outcome,
        one_per_row=lambda _: True,
        exposure=exposure,
        missing=missing,
        clusters=clusters,
    )
    plan = intake.plan(
        "poisson",
        part,
        options,
        priors,
        link="log",
        aspects=("rates", "dispersion", "zeros"),
        facts=intake.rates(exposure, per, part.main.formula.offsets),
    )
    from glmm_zoo.graph import terms  # PyMC is imported once the input has proved sound

    with terms.Model(plan) as model:
        eta = terms.linear_predictors(model, center=center)[""]
        counts.observe(variable_name(part.outcome.name), counts.POISSON, part.outcome, eta)
    return model
