"""The figures of a joint survival model, in the order of the page."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.estimands.event_numbers import numbers_exist
from glmm_zoo.estimands.event_rows import subject_rows
from glmm_zoo.estimands.fitted import EXPECTED_EVENTS, SURVIVAL
from glmm_zoo.estimands.predictions import predictions
from glmm_zoo.joint.prediction.accuracy import accuracy_by_horizon
from glmm_zoo.joint.prediction.dynamic import dynamic_prediction
from glmm_zoo.joint.risk_curves import kaplan_meier
from glmm_zoo.report.answer import Answer
from glmm_zoo.report.entry import Entry
from glmm_zoo.report.survival_estimates import FollowedMarker, SurvivalEstimates
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.event_numbers import MeanNumber, event_numbers
from glmm_zoo.results.figures.hazard import ObservedEnds, hazard
from glmm_zoo.results.figures.landmark import landmark
from glmm_zoo.results.figures.marker_hazard import MarkerRisks, marker_hazard
from glmm_zoo.results.figures.over_time import at_time, event_word
from glmm_zoo.results.figures.patients import PatientCourse, patients
from glmm_zoo.results.figures.picture import Picture
from glmm_zoo.results.figures.survival_curves import survival_curves
from glmm_zoo.results.numbers import alone

_PATIENT_DRAWS, _CURVE_DRAWS, _LANDMARK_DRAWS = 100, 100, 20  # enough for a picture, within tenths of a second
_TIMES = 16  # of a patient's course
_CURVE_TIMES = 12
_MOST_ARMS = 3


def survival_figures(tree: xr.DataTree, answer: Answer) -> Iterator[tuple[str, Entry]]:
    """The figures of a fit of `joint_survival` by name; of events that come again none that predicts one event, and
    none of subjects with a history where their effects depend on each other."""
    of = SurvivalEstimates(tree)
    marker, events = of.marker, of.fit.hazard.events
    if marker is not None:
        yield "marker_hazard", Entry("key", "", partial(marker_hazard_of, of, marker))
    if events.recurrent:
        yield "hazard", Entry("estimates" if marker else "key", "Hazard over time", partial(hazard_of, of, marker))
        if numbers_exist(of.fit.hazard):
            told = "Numbers of events and the data"
            yield "event_numbers", Entry("checks", told, partial(event_numbers_of, of, answer.variable))
        return
    independent = not of.fit.dependent_subjects
    if independent:
        yield "patients", Entry("estimates", "Three patients", partial(patients_of, of))
    yield "hazard", Entry("estimates" if marker else "key", "Hazard over time", partial(hazard_of, of, marker))
    exact = bool((events.left == events.time).all())
    if exact and (events.entry == events.origin).all():
        yield (
            "survival_curves",
            Entry("checks", "Survival and the data", partial(survival_curves_of, of, answer.variable)),
        )
    if exact and independent:
        yield "landmark", Entry("asked", "Predictions at a landmark", partial(landmark_of, of))


def marker_hazard_of(of: SurvivalEstimates, marker: FollowedMarker) -> Picture:
    """The hazard against today's marker."""
    ratios, step = of.ratios(marker)
    estimates = of.risks(marker)
    risks = None
    if estimates is not None:
        from_then = at_time(of.about, of.landmark)
        title = f"{event_word(of.about).capitalize()} within {_while(of)}, from {from_then}"
        holds = "averaged over the covariates of the subjects, the marker going on as it does on average"
        risks = MarkerRisks(estimates, title, holds)
    return marker_hazard(ratios, marker.axis, step, of.about, risks)


def hazard_of(of: SurvivalEstimates, marker: FollowedMarker | None) -> Picture:
    """The hazard over time."""
    events = of.fit.hazard.events
    followed = ObservedEnds(events.entry, events.time, events.status)
    if events.recurrent:
        followed = ObservedEnds(events.begin, events.stop, events.row_status)
    means = events.covariates.means if events.covariates.labels else []
    at = [f"{label} {alone(mean)}" for label, mean in zip(events.covariates.labels, means, strict=True)]
    of_covariates = f"At the mean of each covariate ({', '.join(at)})" if at else "Without covariates"
    by_level = marker is not None and len(of.causes) == 1
    others = [t for i, t in enumerate(of.fit.hazard.terms) if not (by_level and marker and i == marker.number)]
    stays = f"with a {marker.axis.name} that stays at the value beside each line" if by_level and marker else ""
    middle = "at the middle of " + ", ".join(f"{t.label} {alone(t.centre)}" for t in others) if others else ""
    holds = ", ".join(filter(None, (of_covariates, stays, middle)))
    return hazard(of.hazards(marker), followed, f"{holds}.", of.about)


def patients_of(of: SurvivalEstimates) -> Picture:
    """Three patients at the landmark."""
    L, horizon = of.landmark, of.fit.hazard.events.horizon
    asked = of.three_patients()
    step = max(horizon - L, L) / (_TIMES / 2)
    times = np.unique(np.concatenate([np.arange(L, 0, -step), np.arange(L, horizon, step), [horizon]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        found = dynamic_prediction(of.tree, landmark=L, times=times.tolist(), ids=list(asked), draws=_PATIENT_DRAWS)
    axis, of_log = of.marker_axis(0), of.of_log(0)
    courses = [_course(of, found.sel(id=i), times, i, words) for i, words in asked.items()]
    title = f"{axis.name}, {axis.unit}" if axis.unit else axis.name
    note = f"Chosen by their last measurement before, near the 10th, 50th and 90th of 100, as those who had been measured most often. {_PATIENT_DRAWS} draws."
    return patients(courses, L, title, of_log, of.about, note)


def _course(of: SurvivalEstimates, found: xr.Dataset, times: np.ndarray, name: str, words: str) -> PatientCourse:
    """A patient's measurements, predictions and end."""
    events = of.fit.hazard.events
    own = of.measurements().query("id == @name").sort_values("time")
    which = "marker" if of.of_log(0) else "response"
    ends = (f"{which}_lower", which, f"{which}_upper")
    marker = np.stack([found[v].isel(outcome=0).values for v in ends])
    marker = np.exp(marker) if of.of_log(0) else marker
    survival = np.stack([found[v].values for v in ("lower", "survival", "upper")])
    place = events.ids.index(name)
    return PatientCourse(
        name, words, own["time"].to_numpy(float), own["value"].to_numpy(float), times, marker,
        np.where(times >= of.landmark, survival, np.nan), float(events.time[place]), bool(events.status[place] > 0),
    )  # fmt: skip


def survival_curves_of(of: SurvivalEstimates, variable: str | None) -> Picture:
    """Survival by level of a variable, or of another factor of the event, where subjects have a few levels of it, else of all."""
    events = of.fit.hazard.events
    variable, survival, arms = _over_time(of, variable, SURVIVAL)
    observed = {arm: kaplan_meier(events.time[rows], events.status[rows]) for arm, rows in arms.items()}
    return survival_curves(survival, variable, observed, of.about, f"{_CURVE_DRAWS} draws.")


def event_numbers_of(of: SurvivalEstimates, variable: str | None) -> Picture:
    """The same of the expected number of events that come again."""
    events = of.fit.hazard.events
    variable, expected, arms = _over_time(of, variable, EXPECTED_EVENTS)
    rows = {arm: subjects[events.subject] for arm, subjects in arms.items()}
    observed = {
        arm: MeanNumber.of(events.begin[r], events.stop[r], events.row_status[r] > 0) for arm, r in rows.items()
    }
    return event_numbers(expected, variable, observed, of.about, f"{_CURVE_DRAWS} draws.")


def _over_time(of: SurvivalEstimates, variable: str | None, scale: str) -> tuple[str, Estimates, dict[str, np.ndarray]]:
    """The factor by whose levels a scale is told over time, "" for none, what it is, and the subjects (n,) of each level."""
    events = of.fit.hazard.events
    horizon = float(np.quantile(events.time, 0.98))
    times = np.linspace(events.origin, horizon, _CURVE_TIMES + 1)[1:].tolist()
    factors = [variable, *events.covariates.learnt.get("levels", {})]
    variable, arms = next(((v, found) for v in factors if (found := _arms(of, v))), (None, {}))
    at: Mapping[str, Any] = {variable: list(arms)} if variable else {}
    found = predictions(of.tree, scale=scale, times=times, at=at, by=True, draws=_CURVE_DRAWS)
    return variable or "", found, arms or {"": np.ones(len(events.ids), bool)}


def _arms(of: SurvivalEstimates, variable: str | None) -> dict[str, np.ndarray]:
    """Which subjects (n,) are of each level of a variable of theirs that has a few levels, the control first."""
    rows = subject_rows(of.fit)
    if variable is None or variable not in rows.columns or not rows[variable].is_coded:
        return {}
    codes, levels = rows[variable].codes_and_levels()
    learnt = of.fit.hazard.events.covariates.learnt.get("levels", {}).get(variable, levels)
    control = of.about.control if of.about.control in levels else learnt[0]
    found = {level: codes == i for i, level in enumerate(levels)}
    return {control: found[control], **found} if 2 <= len(levels) <= _MOST_ARMS else {}


def landmark_of(of: SurvivalEstimates) -> Picture:
    """Calibration and AUC of predictions at the landmark, as far ahead as there are events."""
    events, L = of.fit.hazard.events, of.landmark
    last = np.quantile(events.time[events.time > L], 0.75)
    horizons = [L + k * of.window for k in (1, 2, 3, 4) if L + k * of.window <= max(last, L + of.window)]
    cause = None if not events.competing else events.causes[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        found = accuracy_by_horizon(of.tree, landmark=L, horizons=horizons, cause=cause, draws=_LANDMARK_DRAWS)
    if not found:
        raise InputError(
            f"no event is predicted from {at_time(of.about, L)} on; choose times yourself: zoo.landmark_accuracy"
        )
    note = (
        f"They are of the subjects that the model was fitted to; for others they are less good. {_LANDMARK_DRAWS} draws."
        + (f" The event is {cause}." if cause else "")
    )
    return landmark(found, of.about, note)


def _while(of: SurvivalEstimates) -> str:
    """ "a year", "2 years", "0.5 units of time"."""
    unit = of.about.time_unit
    if unit and of.window == 1:
        return f"a {unit.removesuffix('s')}"
    return f"{of.window:g} {unit or 'units of time'}"
