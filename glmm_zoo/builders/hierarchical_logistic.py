"""Logistic mixed model: a yes/no outcome or binomial counts, varying intercepts and slopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.predictor import collapse_rows
from glmm_zoo.plans.reading import SingleOutcome
from glmm_zoo.plans.single_outcome import plan_single_outcome, read_single_outcome
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("logistic",)


def hierarchical_logistic(
    data: Any,
    formula: str,
    *,
    link: str = "logit",
    success: str | float | bool | None = None,
    collapse: bool = False,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
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
        The label that counts as success; by default 1, True, the second level in a declared order, or the label that is plainly
        it: "yes" of yes and no, "dead" of dead and alive, "relapse" of relapse and no relapse. Others are asked for.
    collapse
        Sum Bernoulli rows with the same predictor to binomial counts. The posterior is exactly the same; the pointwise
        log-likelihood is then for the counts, not for the rows.
    weights, impute, center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter, with the names of `hierarchical_linear`; there is no `sigma`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>` and `u_<g>`, on the link scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors; `collapse` with trials(n).
    """
    options = {
        "link": link, "success": success, "collapse": collapse, "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing
    }  # fmt: skip
    single = read_single_outcome(data, formula, FAMILIES["binomial"], options)
    if collapse and weights is not None:
        raise InputError("collapse=True sums rows, and weights= gives each row its own weight; leave one of them out")
    if collapse and single.covariates:
        raise InputError("collapse=True sums rows, and mi() has unknowns of single rows; leave one of them out")
    if collapse:
        single = _collapsed(single)
    plan = plan_single_outcome("hierarchical_logistic", single, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)


def _collapsed(single: SingleOutcome) -> SingleOutcome:
    """Bernoulli rows with the same predictor as binomial counts."""
    if single.outcome.trials is not None:
        raise InputError("collapse=True sums single trials; this response already has trials(n)")
    predictor, count_of_row, trials = collapse_rows(single.main)
    successes = np.bincount(count_of_row, single.outcome.values, len(trials))
    outcome = replace(single.outcome, values=successes, trials=trials.astype(np.float64))
    note = f"{len(count_of_row)} rows were collapsed to {len(trials)} binomial counts with the same predictor"
    return replace(single, outcome=outcome, predictors=(predictor,), notes=(*single.notes, note))
