"""Joint outcomes: several responses of the same subjects, of any families, with correlated subject effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from glmm_zoo.plans.joint_outcomes import formula_family_pairs, plan_joint_outcomes, read_joint_outcomes
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("mv",)


def joint_outcomes(
    data: Any,
    formulas: Mapping[str, str] | Sequence[tuple[str, str]] | Sequence[str] | str,
    *,
    families: Sequence[str] | str | None = None,
    shared: str = "correlation",
    residual_correlation: bool = False,
    zi: Mapping[str, str] | None = None,
    zoi: Mapping[str, str] | None = None,
    coi: Mapping[str, str] | None = None,
    dispersion: Mapping[str, str] | None = None,
    disc: Mapping[str, str] | None = None,
    success: Mapping[str, str | float | bool] | None = None,
    levels: Mapping[str, Sequence[str | float] | str] | None = None,
    reference: Mapping[str, str | float | bool] | None = None,
    bounds: Mapping[str, Sequence[float] | str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Several outcomes of the same subjects, each with a family and a formula of its own.

        y_mi ~ F_m(eta_mi),  outcome m, row i
        eta_mi = Intercept_m + x_mi' beta_m + sum_g z_mgi' u_mg[level of row i] + offset_mi
        u_g[level] = (u_1g[level], u_2g[level], ...) ~ Normal(0, S_g),  S_g = diag(sd_g) corr_g diag(sd_g)

    u_g joins the effects of all terms on factor g with one label: in `"infected ~ time + (1 |p| id)"` and
    `"severity ~ time + (1 + time |p| id)"` three effects of a subject are correlated. Effects without a label, or with
    labels of their own, are independent between outcomes. Given the effects the outcomes are independent.

    With `shared="loading"`, for few subjects, one effect u of a subject stands for the correlation: it enters the first
    outcome as u and outcome m as loading_m u. The first loading is 1, which fixes sign and scale of the others: loading_m
    is below 0 where outcome m falls as the first one rises. All propensities are then correlated perfectly. The first
    outcome should be the one that says most of a subject; where it says little, the sign of u is in doubt.

    With `residual_correlation=True` two Gaussian outcomes have correlated residuals in the rows that have both. The
    pointwise log-likelihood of the second is then that given the first.

    Parameters
    ----------
    data
        A data frame. A row counts for an outcome when it has a value of it, so outcomes may be missing separately, and
        a stacked table, one outcome in each row, has a column for each outcome with values in its rows only (pandas:
        `d.pivot(columns="outcome", values="value")` beside the other columns).
    formulas
        `{"infected ~ time + (1 |p| id)": "bernoulli", "severity ~ time + (1 |p| id)": "negative_binomial"}`, a list of such
        pairs, or a list of formulas with `families` in step. On the command line --formula is repeated. The time to an event is a
        Weibull, gamma or lognormal outcome, `{"years | cens(alive) ~ arm + (1 |p| id)": "weibull"}`, right-censored where alive is true.
    families
        "gaussian", "student_t", "gamma", "lognormal", "weibull" (by its mean), "bernoulli", "binomial" and "beta_binomial" (y | trials(n)), "beta", "zero_inflated_beta",
        "zero_one_inflated_beta", "ordered_beta", "poisson", "negative_binomial", "zero_inflated_poisson",
        "zero_inflated_negative_binomial", "hurdle_poisson", "hurdle_negative_binomial", "com_poisson", "zero_inflated_com_poisson",
        "ordinal", "sratio", "acat", "categorical", as in
        the builders of these names; "bernoulli(probit)", "ordinal(cloglog)" for other links.
    shared
        "correlation" or "loading".
    residual_correlation
        For two Gaussian outcomes.
    zi, zoi, coi, dispersion, disc
        By response, `{"severity": "~ x + (1 |p| id)"}`: as in the builders of counts, `beta`, `hierarchical_linear` and `ordinal`.
    success, levels, reference, bounds
        By response, `{"reply": "yes"}`, `{"grade": ["low", "mid", "high"]}`, `{"mode": "walk"}` and `{"pain": "0,100"}`: as in
        `hierarchical_logistic`, `ordinal`, `categorical` and `ordered_beta`.
    center, clusters
        As in `hierarchical_linear`.
    missing
        As in `hierarchical_linear`, for covariates and factors of rows that have the outcome.
    priors
        Text by parameter, prefixed by the outcome's name: `severity_Intercept`, `severity_beta`, `severity_beta[x]`,
        `severity_alpha`, `y_sigma`; without a name for all outcomes: `beta`, `alpha`. `sd`, `sd[id]`, `sd[id, severity:Intercept]`,
        `corr`, `corr[id]` for effects with a label, `severity_sd[id]` for others; `corr[residual]`; `severity_loading`,
        by default Normal(0, 2.5 ratio of the units of both links).

    Returns
    -------
    A PyMC model with `<outcome>_Intercept`, `<outcome>_beta` (<outcome>_coef) and each family's own parameters
    (`severity_alpha`, `y_sigma`, `grade_cutpoints`); `sd_<g>`, `corr_<g>` and `u_<g>` of effects with a label, called
    "severity:Intercept", `severity_sd_<g>` and `severity_u_<g>` of others; `corr_residual`; `severity_loading`. An outcome's name is
    its response's, without the marks of an expression (log(y): logy). Rows are numbered by `<outcome>_row`, as in the data.

    Raises
    ------
    InputError
        Everything that is wrong with formulas, families, data or priors.
    """
    pairs = formula_family_pairs(formulas, families)
    by_response = {
        "zi": zi, "zoi": zoi, "coi": coi, "dispersion": dispersion, "disc": disc, "success": success, "levels": levels,
        "reference": reference, "bounds": bounds,
    }  # fmt: skip
    options = {
        "families": [family for _, family in pairs], "shared": shared,
        "residual_correlation": residual_correlation, **by_response, "center": center, "clusters": clusters, "missing": missing,
    }  # fmt: skip
    joint = read_joint_outcomes(
        data,
        pairs,
        choices=by_response,
        residual_correlation=residual_correlation,
        shared=shared,
        missing=missing,
        clusters=clusters,
    )
    plan = plan_joint_outcomes("joint_outcomes", joint, options, priors, findings=("propensities",))
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
