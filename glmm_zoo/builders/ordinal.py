"""Ordinal mixed model: ordered categories, cumulative or sequential, with partial proportional odds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glmm_zoo.errors import InputError, listing
from glmm_zoo.families.family import Family
from glmm_zoo.families.nominal import read_nominal, separated_thresholds
from glmm_zoo.families.ordered_categories import level_names
from glmm_zoo.families.registry import FAMILIES, checked_link, with_nominal
from glmm_zoo.plans.reading import read_outcome, remark
from glmm_zoo.plans.single_outcome import plan_single_outcome
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("cumulative_logit",)


def ordinal(
    data: Any,
    formula: str,
    *,
    nominal: str | None = None,
    disc: str | None = None,
    link: str = "logit",
    levels: Sequence[str | float] | str | None = None,
    family: str = "cumulative",
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Ordered categories with group effects.

        P(y_i <= k) = F(cutpoint_k - eta_i),  cutpoint_1 < ... < cutpoint_{K-1}
        eta_i = x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    F is the inverse of the link. A larger eta moves to higher categories: with the logit link exp(beta) is the ratio of
    the odds of a higher category, the same at every cutpoint (proportional odds). The cutpoints are the intercepts, so
    there is no other, and `0 +` in the formula changes nothing: factors are coded with a reference level.

    With `nominal` the effects of some covariates w differ between cutpoints. Row i has thresholds of its own,

        c_1(w_i) = cutpoint_1
        log(c_{k+1}(w_i) - c_k(w_i)) = log(cutpoint_{k+1} - cutpoint_k) + (w_i - mean(w))' gamma_k

    in place of the cutpoints: they are in order whatever the values, so no probability is negative. w is in the formula
    too: its beta is the effect at the first threshold, and gamma lets the others follow at distances of their own.
    gamma = 0 is proportional odds, to which its prior shrinks, by default Normal(0, 0.5 / spread of the covariate). The
    report gives the effect at every threshold, of a covariate in a product x:w with the other at its mean, and says
    whether the data speak against proportional odds.

    With `disc` rows differ in how well they tell categories apart, the inverse of the latent variable's standard deviation:

        P(y_i <= k) = F(disc_i (c_k - eta_i)),  log disc_i = v_i' disc_beta + group effects

    and so in every family: disc_i multiplies each of the distances c_k - eta_i.
    It has no intercept, which the cutpoints stand for: disc is 1 where its covariates and group effects are 0, and there cutpoints
    and beta are what they are without it. exp(-disc_beta) is a ratio of standard deviations. A label correlates effects of a group on
    eta and log disc: `(1 |p| rater)` in both.

    Parameters
    ----------
    data
        A data frame, one row for each observation.
    formula
        `"rating ~ x + (1 + x | g)"`. The response has a declared order (an ordered Categorical, an Enum), or whole
        numbers without a gap, or text with `levels`.
    nominal
        `"~ x"`: columns of the formula whose effects differ between cutpoints; family "cumulative", 3 levels or more.
    disc
        `"~ x + (1 | g)"` models log disc, as brms's `disc`; columns that are not in `nominal`.
    link
        "logit", "probit" or "cloglog": P(y <= k) = 1 - exp(-exp(cutpoint_k - eta)).
    levels
        All categories from lowest to highest, as a list or as text "low,mid,high".
    family
        "cumulative"; "sratio", stopping ratio, P(y = k | y >= k) = F(cutpoint_k - eta), for stages that are passed one
        after another; "acat", adjacent categories, P(y = k | y = k or k + 1) = F(cutpoint_k - eta), logit link only.
        The cutpoints of the last two need not be in order.
    center
        As in `hierarchical_linear`, for `nominal` too; the prior of `cutpoints` holds at the covariates' means, those
        reported are at zero.
        False: the priors are on what is reported.
    weights, impute, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: `cutpoints` (one density for each element of the ordered vector), `beta`, `beta[x]`, `sd`,
        `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`, `nominal_beta`, `nominal_beta[x: 2|3]`, `disc_beta`, `disc_sd`, `disc_corr`.

    Returns
    -------
    A PyMC model with `cutpoints` (cutpoint) labelled "2|3" by the categories that each divides, `beta` (coef),
    `sd_<g>`, `corr_<g>` and `u_<g>`, on the link scale; `nominal_beta` (nominal_coef), gamma, labelled "x: 2|3" by the threshold
    whose distance from the one below it changes; `disc_beta` (disc_coef), `disc_sd_<g>`, `disc_u_<g>`, on the log scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    names = level_names(levels)
    options = {
        "nominal": nominal, "disc": disc, "link": link, "levels": names and list(names), "family": family, "weights": weights, "impute": impute,
        "center": center, "clusters": clusters, "missing": missing,
    }  # fmt: skip
    single = read_outcome(
        data, formula, _family(family, link, nominal), choice=names,
        also={"nominal": nominal, "disc": disc}, missing=missing, clusters=clusters, weights=weights,
        impute=impute or {},
    )  # fmt: skip
    facts = {"levels": list(single.outcome.levels), "nominal": {}}
    if nominal is not None:
        main, asked, *others = single.predictors
        thresholds = read_nominal(asked, main, single.outcome.levels, center, others)
        single = remark(single, separated_thresholds(single.outcome, asked.population))
        single = replace(single, family=with_nominal(single.family, thresholds), predictors=(main, *others))
        facts["nominal"] = thresholds.facts
    plan = plan_single_outcome("ordinal", single, options, priors, facts=facts)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)


def _family(family: str, link: str, nominal: str | None) -> Family:
    """The family that this builder calls "cumulative", "sratio" or "acat", if it has the link and takes `nominal`."""
    names = {"cumulative": "ordinal", "sratio": "sratio", "acat": "acat"}
    if family not in names:
        raise InputError(f"unknown family {family!r}; known: {listing(names)}")
    if nominal is not None and family != "cumulative":
        raise InputError(f"nominal belongs to family 'cumulative', not {family!r}")
    checked_link(FAMILIES[names[family]], link)
    return FAMILIES[names[family]]
