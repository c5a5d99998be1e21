"""Ordinal mixed model: ordered categories, cumulative or sequential, with partial proportional odds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.families import families
from glmm_zoo.families import ordinal as ordered
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.plans import intake
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.terms import Model

ALIASES = ("cumulative_logit",)


def ordinal(
    data: Any,
    formula: str,
    *,
    nominal: str | None = None,
    link: str = "logit",
    levels: Sequence[str | float] | str | None = None,
    family: str = "cumulative",
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
    report gives the effect at every threshold and says whether the data speak against proportional odds.

    Parameters
    ----------
    data
        A data frame, one row for each observation.
    formula
        `"rating ~ x + (1 + x | g)"`. The response has a declared order (an ordered Categorical, an Enum), or whole
        numbers without a gap, or text with `levels`.
    nominal
        `"~ x"`: columns of the formula whose effects differ between cutpoints; family "cumulative", 3 levels or more.
    link
        "logit", "probit" or "cloglog": P(y <= k) = 1 - exp(-exp(cutpoint_k - eta)).
    levels
        All categories from lowest to highest, as a list or as text "low,mid,high".
    family
        "cumulative"; "sratio", stopping ratio, P(y = k | y >= k) = F(cutpoint_k - eta), for stages that are passed one
        after another; "acat", adjacent categories, P(y = k | y = k or k + 1) = F(cutpoint_k - eta), logit link only.
        The cutpoints of the last two need not be in order.
    center
        The prior of `cutpoints` holds at the covariates' means; the cutpoints reported are at zero covariates. False:
        the prior is on the cutpoints as reported.
    clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: `cutpoints` (one density for each element of the ordered vector), `beta`, `beta[x]`, `sd`,
        `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`, `nominal_beta`, `nominal_beta[x: 2|3]`.

    Returns
    -------
    A PyMC model with `cutpoints` (cutpoint) labelled "2|3" by the categories that each divides, `beta` (coef),
    `sd_<g>`, `corr_<g>` and `u_<g>`, on the link scale; `nominal_beta` (nominal_coef), gamma, labelled "x: 2|3" by the threshold
    whose distance from the one below it changes.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    names = ordered.level_names(levels)
    options = {
        "nominal": nominal, "link": link, "levels": names and list(names), "family": family, "center": center,
        "clusters": clusters, "missing": missing,
    }  # fmt: skip
    of_link, of_family = families.link(link), ordered.family(family, link)
    if nominal is not None and not of_family.cumulative:
        raise InputError(f"nominal belongs to family 'cumulative', not {family!r}")
    part = intake.single(
        data,
        formula,
        lambda table, response: ordered.ordered_outcome(table, response, names),
        one_per_row=lambda _: False,
        code=ordered.predictor,
        also={"nominal": nominal},
        missing=missing,
        clusters=clusters,
    )
    outcome = part.outcome
    varying = ordered.nominal(part.predictors[1], part.main, outcome.levels) if nominal else None
    plan = intake.plan(
        "ordinal",
        replace(part, predictors=(part.main,)),
        options,
        priors,
        link=link,
        latent_variance=of_link.latent_variance if of_family.cumulative else None,
        extra=[ordered.CUTPOINTS, *([varying.parameter] if varying else [])],
        aspects=("proportional_odds",) if varying else (),
        facts={"levels": list(outcome.levels), "nominal": varying.facts if varying else {}},
    )
    from glmm_zoo.graph import terms  # PyMC is imported once the input has proved sound

    with terms.Model(plan) as model:
        eta = terms.linear_predictors(model, center=center)[""]
        start = ordered.start(outcome) if of_family.cumulative else None
        labels = [f"{a}|{b}" for a, b in pairwise(outcome.levels)]
        cutpoints = terms.cutpoints(model, part.main, labels, start, center=center)
        steps, pattern = ordered.steps(cutpoints), np.zeros(len(outcome.values), int)
        if varying:
            model.add_coord("nominal_coef", list(varying.labels))
            gamma = terms.variable(model, "nominal_beta", "nominal_coef")
            steps, pattern = ordered.nominal_steps(cutpoints, varying, gamma), varying.pattern
        ordered.observe(variable_name(outcome.name), of_family, outcome, of_link, eta, steps, pattern)
    return model
