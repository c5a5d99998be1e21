"""Negative binomial mixed model: counts that vary more than Poisson."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families import counts
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.plans import intake
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.terms import Model

ALIASES = ("nb",)


def negative_binomial(
    data: Any,
    formula: str,
    *,
    dispersion: str | None = None,
    parameterization: str = "nb2",
    exposure: str | None = None,
    per: float = 1.0,
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
    data, formula, exposure, per
        As in `poisson`.
    dispersion
        `"~ x + (1 | g)"` models log alpha; without it alpha is one number.
    parameterization
        "nb2" or "nb1": variance quadratic or linear in the mean.
    center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[x]`, `sd`, `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`,
        `alpha` or `alpha_Intercept`, `alpha_beta`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>` and `u_<g>`, logarithms of rates;
    `alpha`, or `alpha_Intercept` and `alpha_beta` (alpha_coef) on its log scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    options = {
        "dispersion": dispersion,
        "parameterization": parameterization,
        "exposure": exposure,
        "per": per,
        "center": center,
        "clusters": clusters,
        "missing": missing,
    }
    counts.check_parameterization(parameterization)
    part = intake.single(
        data,
        formula,
        counts.count_outcome,
        one_per_row=lambda _: True,
        also={"alpha": dispersion},
        exposure=exposure,
        missing=missing,
        clusters=clusters,
    )
    plan = intake.plan(
        "negative_binomial",
        part,
        options,
        priors,
        link="log",
        links={"alpha": "log"},
        extra=[counts.ALPHA],
        aspects=("rates", "dispersion", "zeros"),
        facts=intake.rates(exposure, per, part.main.formula.offsets),
    )
    from glmm_zoo.graph import terms  # PyMC is imported once the input has proved sound

    with terms.Model(plan) as model:
        eta = terms.linear_predictors(model, center=center)
        log_alpha = terms.log_positive(model, "alpha", eta)
        size = counts.log_size(eta[""], log_alpha, parameterization)
        counts.observe(variable_name(part.outcome.name), counts.NEGATIVE_BINOMIAL, part.outcome, eta[""], size)
    return model
