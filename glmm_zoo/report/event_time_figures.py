"""The figures of a fit whose response is a time to an event: standardised survival over the data, the hazard, Cox-Snell residuals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.estimands.event_times import hazard_over_time, residuals, rows_of_fit
from glmm_zoo.estimands.fitted import SURVIVAL, FittedOutcome, read_fitted
from glmm_zoo.estimands.predictions import predictions
from glmm_zoo.joint.risk_curves import kaplan_meier
from glmm_zoo.report.answer import Answer
from glmm_zoo.report.entry import Entry
from glmm_zoo.report.imputed import of_first
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.estimates import summarised
from glmm_zoo.results.figures.cox_snell import cox_snell
from glmm_zoo.results.figures.hazard import ObservedEnds, hazard
from glmm_zoo.results.figures.picture import Picture
from glmm_zoo.results.figures.survival_curves import observed_at, survival_curves
from glmm_zoo.results.imputations import imputations_of

_DRAWS, _TIMES, _MOST_ARMS = 200, 16, 3


def event_time_figures(tree: xr.DataTree, answer: Answer) -> Iterator[tuple[str, Entry]]:
    """Survival by the answering variable, and the hazard over time."""
    yield "survival_curves", Entry("key", "", partial(_survival_curves, tree, answer))
    yield "hazard", Entry("estimates", "Hazard over time", partial(of_first, tree, _hazard))


def _survival_curves(tree: xr.DataTree, answer: Answer) -> Picture:
    """Standardised survival by level of the answering variable where it has a few levels, else of all; the data where they tell."""
    outcome, about = _outcome(tree), about_of(tree)
    rows = rows_of_fit(outcome)
    arms = _arms(outcome, answer.variable, about)
    end = float(np.quantile(rows.stop, 0.98))
    origin = float(rows.start.min())
    times = np.linspace(origin, end, _TIMES + 1)[1:].tolist()
    at: Mapping[str, Any] = {answer.variable: list(arms)} if arms and answer.variable else {}
    survival = predictions(tree, scale=SURVIVAL, times=times, at=at, by=True, draws=_DRAWS)
    whole = {"": np.ones(len(rows.stop), bool)}
    told = bool((~rows.interval).all() and (rows.start == origin).all())
    observed = {arm: kaplan_meier(rows.stop[of], rows.status[of]) for arm, of in (arms or whole).items()}
    return survival_curves(
        survival, answer.variable or "" if arms else "", observed, about, f"{_DRAWS} draws.", told=told
    )


def _arms(outcome: FittedOutcome, variable: str | None, about: About) -> dict[str, np.ndarray]:
    """Which rows (n,) are of each level of a variable that has a few levels, the control first."""
    levels = outcome.coding.levels.get(variable or "", ())
    if variable is None or not 2 <= len(levels) <= _MOST_ARMS:
        return {}
    codes, seen = outcome.table[variable].codes_and_levels()
    found = {level: codes == seen.index(level) for level in levels}
    control = about.control if about.control in levels else levels[0]
    return {control: found[control], **found}


def _hazard(tree: xr.DataTree) -> Picture:
    """The hazard over time in a group whose effect is 0, averaged over the rows' covariates on the log scale."""
    model = read_fitted(tree, _DRAWS, SURVIVAL)
    outcome, about = _outcome(tree), about_of(tree)
    rows = rows_of_fit(outcome)
    times = np.linspace(rows.start.min(), np.quantile(rows.stop, 0.98), 2 * _TIMES + 1)[1:]
    draws = hazard_over_time(outcome, model.draws, times)
    of = pd.DataFrame({"line": "", "time": times, "measure": "hazard"})
    curves = summarised(of, model.draws.by_chain(draws), "")
    holds = "At the mean of the linear predictor over the rows, in a group whose effect is 0."
    return hazard(curves, ObservedEnds(rows.start, rows.stop, rows.status), holds, about)


def cox_snell_of(tree: xr.DataTree) -> Picture:
    """Residuals of the rows against the exponential distribution that they have where the model is right."""
    model = read_fitted(tree, _DRAWS, SURVIVAL)
    outcome = _outcome(tree)
    status = rows_of_fit(outcome).status

    def beyond(r: np.ndarray, at: np.ndarray) -> np.ndarray:
        return observed_at(kaplan_meier(r, status), at)

    return cox_snell(residuals(outcome, model.draws), beyond, about_of(tree))


def _outcome(tree: xr.DataTree) -> FittedOutcome:
    return next(iter(read_fitted(imputations_of(tree)[0], _DRAWS, SURVIVAL).outcomes.values()))
