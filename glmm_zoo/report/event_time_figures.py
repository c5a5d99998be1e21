"""The figures of a fit whose response is a time to an event: standardised survival or incidence over the data, the hazard, residuals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.estimands.event_times import hazard_over_time, residuals, rows_of_fit
from glmm_zoo.estimands.fitted import INCIDENCE, SURVIVAL, FittedOutcome, read_fitted
from glmm_zoo.estimands.predictions import predictions
from glmm_zoo.joint.risk_curves import aalen_johansen, kaplan_meier
from glmm_zoo.report.answer import Answer
from glmm_zoo.report.entry import Entry
from glmm_zoo.report.imputed import of_first
from glmm_zoo.report.parts import read_parts
from glmm_zoo.report.time_words import cause_words
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.estimates import Estimates, summarised
from glmm_zoo.results.figures.cox_snell import cox_snell
from glmm_zoo.results.figures.hazard import ObservedEnds, hazard
from glmm_zoo.results.figures.incidence_curves import incidence_curves
from glmm_zoo.results.figures.picture import Picture
from glmm_zoo.results.figures.survival_curves import observed_at, survival_curves
from glmm_zoo.results.imputations import imputations_of
from glmm_zoo.results.storage import metadata

_DRAWS, _DRAWS_OF_CAUSES, _TIMES, _MOST_ARMS, _MOST_CAUSES = 200, 100, 16, 3, 3


def event_time_figures(tree: xr.DataTree, answer: Answer) -> Iterator[tuple[str, Entry]]:
    """Survival, or the incidence of competing causes, by the answering variable, and the hazard over time."""
    if metadata(tree)["spec"]["levels"]:
        yield "incidence_curves", Entry("key", "", partial(_incidence_curves, tree, answer))
    else:
        yield "survival_curves", Entry("key", "", partial(_survival_curves, tree, answer))
    yield "hazard", Entry("estimates", "Hazard over time", partial(of_first, tree, _hazard))


def _survival_curves(tree: xr.DataTree, answer: Answer) -> Picture:
    """Standardised survival by level of the answering variable where it has a few levels, else of all; the data where they tell."""
    outcome, about = _outcome(tree), about_of(tree)
    variable, arms, survival, told = _over_time(tree, outcome, answer, SURVIVAL, _DRAWS)
    rows = rows_of_fit(outcome)
    observed = {arm: kaplan_meier(rows.stop[of], rows.status[of]) for arm, of in arms.items()}
    return survival_curves(survival, variable, observed, about, f"{_DRAWS} draws.", told=told)


def _incidence_curves(tree: xr.DataTree, answer: Answer) -> Picture:
    """The same of the standardised incidence of each cause, of many those that came most often."""
    outcome, about, parts = _outcome(tree), about_of(tree), read_parts(tree)
    variable, arms, incidence, told = _over_time(tree, outcome, answer, INCIDENCE, _DRAWS_OF_CAUSES)
    rows, causes = rows_of_fit(outcome), list(outcome.levels)
    often = np.bincount(rows.status.astype(int), minlength=len(causes) + 1)[1:]
    shown = sorted(np.argsort(-often, kind="stable")[:_MOST_CAUSES].tolist())
    observed = {
        causes[k]: {arm: aalen_johansen(rows.stop[of], rows.status[of], k + 1) for arm, of in arms.items()}
        for k in shown
    }
    words = {cause: cause_words(parts, cause) for cause in observed}
    left_out = f" {len(causes) - len(shown)} rarer causes are not drawn." if len(shown) < len(causes) else ""
    note = f"{_DRAWS_OF_CAUSES} draws.{left_out}"
    return incidence_curves(incidence, variable, observed, words, about, note, told=told)


def _over_time(
    tree: xr.DataTree, outcome: FittedOutcome, answer: Answer, scale: str, draws: int
) -> tuple[str, dict[str, np.ndarray], Estimates, bool]:
    """The answering variable, the rows (n,) of each of its levels, what is estimated of them over time, and whether the data have a simple
    curve; of a variable without a few levels "" and all rows."""
    rows, about = rows_of_fit(outcome), about_of(tree)
    arms = _arms(outcome, answer.variable, about)
    origin, end = float(rows.start.min()), float(np.quantile(rows.stop, 0.98))
    times = np.linspace(origin, end, _TIMES + 1)[1:].tolist()
    at: Mapping[str, Any] = {answer.variable: list(arms)} if arms and answer.variable else {}
    estimates = predictions(tree, scale=scale, times=times, at=at, by=True, draws=draws)
    told = bool((~rows.interval).all() and (rows.start == origin).all())
    return (answer.variable or "") if arms else "", arms or {"": np.ones(len(rows.stop), bool)}, estimates, told


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
    """The hazard over time in a group whose effect is 0, averaged over the rows' covariates on the log scale; of the first causes each."""
    model, parts = read_fitted(tree, _DRAWS, SURVIVAL), read_parts(tree)
    outcome, about = _outcome(tree), about_of(tree)
    rows = rows_of_fit(outcome)
    times = np.linspace(rows.start.min(), np.quantile(rows.stop, 0.98), 2 * _TIMES + 1)[1:]
    lines = [cause_words(parts, cause) for cause in outcome.levels] or [""]
    draws = list(hazard_over_time(outcome, model.draws, times).values())[:_MOST_CAUSES]
    of = pd.DataFrame([{"line": line, "time": t, "measure": "hazard"} for line in lines[:_MOST_CAUSES] for t in times])
    curves = summarised(of, model.draws.by_chain(np.hstack(draws)), "")
    holds = "At the mean of the linear predictor over the rows, in a group whose effect is 0."
    return hazard(curves, ObservedEnds(rows.start, rows.stop, rows.status), holds, about)


def cox_snell_of(tree: xr.DataTree) -> Picture:
    """Residuals of the rows against the exponential distribution that they have where the model is right, of each cause, with the others
    censored."""
    model, parts = read_fitted(tree, _DRAWS, SURVIVAL), read_parts(tree)
    outcome = _outcome(tree)
    status = rows_of_fit(outcome).status

    def beyond(cause: int, r: np.ndarray, at: np.ndarray) -> np.ndarray:
        return observed_at(kaplan_meier(r, status == cause if outcome.levels else status > 0), at)

    found = residuals(outcome, model.draws).values()
    lines = [cause_words(parts, cause) for cause in outcome.levels] or [""]
    of_lines = {line: (r, partial(beyond, k)) for k, (line, r) in enumerate(zip(lines, found, strict=True), start=1)}
    return cox_snell(dict(list(of_lines.items())[:_MOST_CAUSES]), about_of(tree))


def _outcome(tree: xr.DataTree) -> FittedOutcome:
    return next(iter(read_fitted(imputations_of(tree)[0], _DRAWS, SURVIVAL).outcomes.values()))
