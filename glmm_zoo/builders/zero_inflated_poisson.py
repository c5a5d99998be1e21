"""Zero-inflated Poisson mixed model: counts with more zeros than Poisson."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families import counts
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.plans import intake
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.terms import Model

ALIASES = ("zip",)


def zero_inflated_poisson(
    data: Any,
    formula: str,
    *,
    zi: str | None = None,
    exposure: str | None = None,
    per: float = 1.0,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Counts, some of which are zero for another reason.

        P(y_i = 0) = zi_i + (1 - zi_i) e^(-mu_i)
        P(y_i = y) = (1 - zi_i) Poisson(y | mu_i),  y > 0
        log mu_i = eta_i,  logit zi_i = w_i' gamma + group effects
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + log exposure_i

    zi is the probability that a row is a structural zero: PyMC's `psi` is 1 - zi.

    Parameters
    ----------
    data, formula, exposure, per
        As in `poisson`.
    zi
        `"~ x + (1 | g)"` models logit zi, with covariates and group effects of its own; without it zi is one
        probability. A label correlates effects of both parts on one factor: `(1 |p| site)` in both formulas.
    center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[x]`, `sd`, `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`,
        `zi` or `zi_Intercept`, `zi_beta`, `zi_sd`, `zi_corr`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>` and `u_<g>`, logarithms of rates;
    `zi` or `zi_Intercept`, `zi_beta` (zi_coef), `zi_sd_<g>`, `zi_u_<g>`, on the logit scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    options = {"zi": zi, "exposure": exposure, "per": per, "center": center, "clusters": clusters, "missing": missing}
    part = intake.single(
        data,
        formula,
        counts.count_outcome,
        one_per_row=lambda _: True,
        also={"zi": zi},
        exposure=exposure,
        missing=missing,
        clusters=clusters,
    )
    part = intake.remark(part, counts.without_zeros(part.outcome))
    plan = intake.plan(
        "zero_inflated_poisson",
        part,
        options,
        priors,
        link="log",
        links={"zi": "logit"},
        extra=[counts.probability("zi")],
        aspects=("rates", "dispersion", "zeros"),
        facts=intake.rates(exposure, per, part.main.formula.offsets, of="expected count but for structural zeros"),
    )
    from glmm_zoo.graph import terms  # PyMC is imported once the input has proved sound

    with terms.Model(plan) as model:
        eta = terms.linear_predictors(model, center=center)
        logit_zi = terms.logit_share(model, "zi", eta)
        counts.observe_zero_inflated(variable_name(part.outcome.name), counts.POISSON, part.outcome, logit_zi, eta[""])
    return model
