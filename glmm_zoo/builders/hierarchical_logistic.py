"""Logistic mixed model: a yes/no outcome or binomial counts, varying intercepts and slopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.families import families
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.predictor import collapse_rows
from glmm_zoo.plans import intake
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.terms import Model

ALIASES = ("logistic",)


def hierarchical_logistic(
    data: Any,
    formula: str,
    *,
    link: str = "logit",
    success: str | int | bool | None = None,
    collapse: bool = False,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Bernoulli or binomial responses with group effects.

        y_i ~ Binomial(n_i, p_i),  link(p_i) = eta_i        (n_i = 1: Bernoulli)
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    Parameters
    ----------
    data
        A data frame, one row for each observation, or for each count of successes.
    formula
        `"y ~ x + (1 + x | g)"` for 0/1, logicals or two labels; `"successes | trials(n) ~ ..."` for counts.
    link
        "logit", "probit" or "cloglog".
    success
        The label that counts as success; by default 1, True, or the second label in sorted order.
    collapse
        Sum Bernoulli rows with the same predictor to binomial counts. The posterior is exactly the same; the pointwise
        log-likelihood is then for the counts, not for the rows.
    center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[x]`, `sd`, `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>` and `u_<g>`, on the link scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    options = {
        "link": link, "success": success, "collapse": collapse, "center": center, "clusters": clusters, "missing": missing
    }  # fmt: skip
    of_link = families.link(link)
    part = intake.single(
        data,
        formula,
        lambda table, response: families.binomial_outcome(table, response, success),
        one_per_row=lambda outcome: outcome.trials is not None and bool((outcome.trials > 1).any()),
        missing=missing,
        clusters=clusters,
    )
    columns = part.main.population
    part = intake.remark(part, families.separated(part.outcome, columns.values, columns.labels))
    if collapse:
        part = _collapsed(part)
    plan = intake.plan(
        "hierarchical_logistic", part, options, priors, link=link, latent_variance=of_link.latent_variance
    )
    from glmm_zoo.graph import terms  # PyMC is imported once the input has proved sound

    with terms.Model(plan) as model:
        eta = terms.linear_predictors(model, center=center)[""]
        families.binomial(variable_name(part.outcome.name), eta, part.outcome, of_link)
    return model


def _collapsed(part: intake.Single) -> intake.Single:
    if part.outcome.trials is not None:
        raise InputError("collapse=True sums single trials; this response already has trials(n)")
    predictor, cell, trials = collapse_rows(part.main)
    successes = np.bincount(cell, part.outcome.values, len(trials))
    outcome = replace(part.outcome, values=successes, trials=trials.astype(np.float64))
    note = f"{len(cell)} rows were collapsed to {len(trials)} binomial counts with the same predictor"
    return replace(part, outcome=outcome, predictors=(predictor,), notes=(*part.notes, note))
