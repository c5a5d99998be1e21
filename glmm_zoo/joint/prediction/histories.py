"""Read the histories of subjects up to their landmarks, coded as the model was fitted.

Subjects are those of the fit, or those of other tables. What is known of a subject at its landmark are its measurements until then,
the covariates that the event has then, and that the event has not happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, at_rows, did_you_mean, listing, raise_all
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.group_effects import GroupEffects, GroupingFactor
from glmm_zoo.formulas.new_rows import levels_in_rows, predictor_in_rows
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.joint.association import association_covariates
from glmm_zoo.joint.events import Events, subject_positions
from glmm_zoo.joint.followed_rows import quoted_ids
from glmm_zoo.joint.hazards import HazardModel
from glmm_zoo.joint.prediction.fitted import EVENT_TABLE, FittedJointModel
from glmm_zoo.joint.prediction.who import (
    asked_subjects,
    check_agreement,
    check_values,
    end_of_follow_up,
    tell_without_event_row,
)
from glmm_zoo.joint.trajectories import MarkerDesign, Trajectory, read_trajectories
from glmm_zoo.plans.joint_outcomes import JointOutcomes
from glmm_zoo.plans.plan import PlannedOutcome
from glmm_zoo.results.storage import stored_table
from glmm_zoo.tables.columns import Column, Table, stack_tables
from glmm_zoo.tables.frames import column_names, take_columns, take_columns_with_gaps


@dataclass(frozen=True)
class MeasurementHistory:
    """Measurements of one outcome up to the landmarks, R rows sorted by subject.

    `part` has their values, `subject` (R,) says whose they are; `designs` are those of the outcome's linear predictors, and
    `offsets` (R,) what else these have, one for each of `predictors`.
    """

    part: PlannedOutcome
    predictors: Sequence[PredictorDesign]
    subject: np.ndarray
    designs: Sequence[MarkerDesign]
    offsets: Sequence[np.ndarray]


@dataclass(frozen=True)
class SubjectHistories:
    """n subjects with their landmarks (n,), hazards and histories; those of an outcome that nobody has are left out."""

    ids: tuple[str, ...]
    landmark: np.ndarray
    hazard: HazardModel
    histories: Sequence[MeasurementHistory]

    @property
    def measurement_counts(self) -> np.ndarray:
        """The number of measurements of each subject (n,)."""
        n = len(self.ids)
        return sum((np.bincount(h.subject, minlength=n) for h in self.histories), np.zeros(n, int))


def read_histories(
    fit: FittedJointModel,
    longitudinal: Any,
    survival: Any,
    landmark: float | Mapping[Any, float],
    ids: Sequence[Any] | None,
) -> SubjectHistories:
    """The subjects asked for, of the fit or of other tables, with what was known of them at their landmarks."""
    of_the_fit = longitudinal is None and survival is None
    longitudinal = stored_table(fit.tree) if longitudinal is None else longitudinal
    survival = stored_table(fit.tree, EVENT_TABLE) if of_the_fit else survival
    visits, event_rows = _read_visits(fit, longitudinal), _read_event_rows(fit, longitudinal, survival)
    known = event_rows[fit.id].group_labels()[1]
    follow_up = end_of_follow_up(fit, None if of_the_fit else longitudinal if survival is None else survival)
    asked, t = asked_subjects(fit, known, landmark, ids, follow_up, of_the_fit)
    if ids is None and not isinstance(landmark, Mapping):
        tell_without_event_row(fit, visits[fit.id].levels, known)
    check_values(fit, visits, event_rows, asked)
    position = {label: i for i, label in enumerate(asked)}
    events = _events_at_landmark(fit, event_rows, position, t)
    if not of_the_fit:
        check_agreement(fit, visits, events, longitudinal, follow_up, t)
    visits = _visits_by_landmark(fit, _with_row_for_everybody(fit, visits, survival, position), position, t)
    joint, problems = _joint_of_rows(fit, visits, position), list[str]()
    trajectories = read_trajectories(
        joint, asked, id=fit.id, time=fit.time, carry_forward=fit.options["carry_forward"],
        origin=fit.hazard.baseline.origin, horizon=fit.hazard.events.horizon, problems=problems,
    )  # fmt: skip
    for name, level in trajectories[0].levels.items():
        without = [asked[i] for i in np.flatnonzero(level < 0)]
        if without:
            problems.append(f"{fit.id} {quoted_ids(without)} has no value of {name!r}; the marker has its effect")
    raise_all(problems)
    histories = [_read_history(fit, joint, trajectory, position, t) for trajectory in trajectories]
    hazard = fit.hazard.of_others(events, trajectories)
    return SubjectHistories(asked, t, hazard, [h for h in histories if len(h.subject)])


# ------------------------------------------------------------------------------------------------------------ the event


def _read_event_rows(fit: FittedJointModel, longitudinal: Any, survival: Any) -> Table:
    """Rows of the event's covariates; where they stand with the visits, the first of each subject, as all say the same."""
    formula = fit.hazard.events.formula
    start_columns = formula.times[0].columns if formula.kind == "counting" else ()
    interactions = association_covariates(fit.options["association"])
    columns = list(dict.fromkeys([*start_columns, *formula.covariates.predictor_columns, *interactions]))
    rows = take_columns(longitudinal if survival is None else survival, [fit.id, *columns])
    codes, labels = rows[fit.id].group_labels()
    if formula.kind == "counting":
        return rows
    first = np.unique(codes, return_index=True)[1]
    if survival is not None and len(first) < len(codes):
        twice = [labels[i] for i in np.flatnonzero(np.bincount(codes) > 1)]
        raise InputError(
            f"survival: {fit.id} {quoted_ids(twice)} has several rows; one row for each subject is expected"
        )
    varies = [c for c in columns if (rows[c].values != rows[c].values[first][codes]).any()]
    raise_all(
        [f"column {c!r} of the event varies within {fit.id}; give survival=, a row for each subject" for c in varies]
    )
    return rows.take(first)


def _events_at_landmark(fit: FittedJointModel, rows: Table, position: Mapping[str, int], t: np.ndarray) -> Events:
    """Rows of the event that had begun at the landmarks t (n,); the last one goes on, with its covariates, for ever."""
    formula, subject = fit.hazard.events.formula, subject_positions(rows, fit.id, position)
    start = evaluate_expression(formula.times[0], rows) if formula.kind == "counting" else np.zeros(rows.rows)
    order = np.lexsort((start, subject))
    order = order[subject[order] >= 0]
    subject, start = subject[order], start[order]
    first = np.diff(subject, prepend=-1) > 0
    begun = first | (start <= t[subject])
    start = np.where(first, fit.hazard.baseline.origin, start)
    subject, start, table = subject[begun], start[begun], rows.take(order[begun])
    stop = np.where(np.diff(subject, append=len(position)) > 0, np.inf, np.append(start[1:], np.inf))
    return fit.hazard.events.of_others(table, tuple(position), subject, start, stop, t)


# ----------------------------------------------------------------------------------------------------------- the visits


def _read_visits(fit: FittedJointModel, data: Any) -> Table:
    """All rows of visits, which may have gaps except in subject and time; subjects are labels."""
    take_columns(data, [fit.id, fit.time])
    visits = take_columns_with_gaps(
        data, [fit.id, fit.time, *(c for p in fit.joint.predictors for c in p.formula.columns)]
    )
    t = visits[fit.time].numbers("the time of a visit")
    if (t < 0).any():
        row = at_rows(np.flatnonzero(t < 0)[:1])
        raise InputError(f"column {fit.time!r} must be >= 0; {row} has {t[t < 0][0]:g}; correct the times")
    codes, labels = visits[fit.id].group_labels()
    return replace(visits, columns={**visits.columns, fit.id: Column(fit.id, "text", codes, codes < 0, labels)})


def _with_row_for_everybody(fit: FittedJointModel, visits: Table, survival: Any, position: Mapping[str, int]) -> Table:
    """The visits, with a row at time 0 for those who have none: their covariates stand with those of the event."""
    unvisited = [i for i in position if i not in visits[fit.id].levels]
    if not unvisited:
        return visits
    formulas = [part.main.formula for part in fit.joint.parts]
    columns = list(dict.fromkeys(c for f in formulas for c in f.predictor_columns if c not in (fit.id, fit.time)))
    lacking = [c for c in columns if c not in column_names(survival)]
    if lacking:
        raise InputError(
            f"{fit.id} {quoted_ids(unvisited)} has no visit, and the marker needs {listing(map(repr, lacking))}; add columns of that name to "
            "survival, or a row of visits without a measurement"
        )
    rows = take_columns_with_gaps(survival, [fit.id, *columns])
    subject = subject_positions(rows, fit.id, {i: k for k, i in enumerate(unvisited)})
    rows = rows.take(np.array([np.flatnonzero(subject == k)[0] for k in range(len(unvisited))]))
    codes = np.arange(len(unvisited))
    at_zero = {
        fit.id: Column(fit.id, "text", codes, codes < 0, tuple(unvisited)),
        fit.time: Column(fit.time, "number", np.zeros(len(unvisited)), codes < 0),
    }
    return stack_tables(visits, replace(rows, columns={**rows.columns, **at_zero}))


def _visits_by_landmark(fit: FittedJointModel, visits: Table, position: Mapping[str, int], t: np.ndarray) -> Table:
    """Visits up to the landmarks t (n,), sorted by subject and time. The first visit of a subject is kept in any case, because it
    has the covariates that never change."""
    subject = subject_positions(visits, fit.id, position)
    visit_time = visits[fit.time].numbers("the time of a visit")
    order = np.lexsort((visit_time, subject))
    order = order[subject[order] >= 0]
    subject, visit_time = subject[order], visit_time[order]
    known = visits.take(order[(np.diff(subject, prepend=-1) > 0) | (visit_time <= t[subject])])
    return replace(known, row_numbers=np.arange(known.rows))


def _joint_of_rows(fit: FittedJointModel, visits: Table, position: Mapping[str, int]) -> JointOutcomes:
    """The longitudinal part at other visits: all that have a level of each factor, which is a subject or a level of the fit."""
    problems: list[str] = []
    predictors = {
        p.prefix: replace(p, effects=tuple(_effects_in_rows(fit, p, visits, position, problems)))
        for p in fit.joint.predictors
    }
    raise_all(problems)
    parts = []
    for part in fit.joint.parts:
        main = predictors[part.prefix]
        rows = np.flatnonzero(np.logical_and.reduce([e.factor.codes >= 0 for e in main.effects]))
        effects = (replace(e, factor=replace(e.factor, codes=e.factor.codes[rows])) for e in main.effects)
        parts.append(replace(part, main=replace(main, effects=tuple(effects)), rows=rows))
    return replace(fit.joint, parts=tuple(parts), predictors=tuple(predictors.values()), table=visits)


def _effects_in_rows(
    fit: FittedJointModel, p: PredictorDesign, visits: Table, position: Mapping[str, int], problems: list[str]
) -> list[GroupEffects]:
    """The group effects of a linear predictor with the levels at other visits, -1 where a level is missing.

    Levels of the subjects' own factors are the subjects; those of others must be levels of the fit.
    """
    subject_factors = {g.factor.name for g in fit.subject_groups}
    columns = {g.name: g.factor for g in p.formula.groups}
    effects = []
    for e in p.effects:
        if e.factor.name in subject_factors:
            subjects = GroupingFactor(e.factor.name, tuple(position), subject_positions(visits, fit.id, position))
            effects.append(replace(e, factor=subjects))
            continue
        codes, labels = levels_in_rows(e.factor.levels, columns[e.factor.name], visits)
        assert labels is not None  # `_read_visits` has seen that the columns are there
        unknown = (codes < 0) & (labels != "")
        if unknown.any():
            new = dict.fromkeys(labels[unknown].tolist())
            near = did_you_mean(next(iter(new)), e.factor.levels) or ";"
            problems.append(
                f"{e.factor.name} {quoted_ids(new)} ({visits[columns[e.factor.name][-1]].at(unknown)}) was not in the data of the fit{near} "
                f"levels: {listing(e.factor.levels)}"
            )
        effects.append(replace(e, factor=replace(e.factor, codes=codes)))
    return effects


def _read_history(
    fit: FittedJointModel, joint: JointOutcomes, trajectory: Trajectory, position: Mapping[str, int], t: np.ndarray
) -> MeasurementHistory:
    """The measurements of the outcome of a trajectory by the landmarks t (n,)."""
    visits, part = joint.table, trajectory.part
    response_columns = _outcome_columns(part)
    subject = subject_positions(visits, fit.id, position)
    visit_time = visits[fit.time].numbers("the time of a visit")
    open_ends = part.main.formula.response.may_be_missing if part.main.formula.response else ()
    complete = ~np.logical_or.reduce([visits[c].missing for c in response_columns if c not in open_ends])
    rows = np.flatnonzero(complete & (visit_time <= t[subject]))
    predictors = [p for p in joint.predictors if p.dim == part.main.dim]
    if not len(rows):
        return MeasurementHistory(part, predictors, subject[rows], (), ())
    measured = visits.take(rows)
    needed = dict.fromkeys(c for p in predictors for c in p.formula.predictor_columns)
    lacking = [c for c in needed if measured[c].missing.any() and c not in trajectory.covariates.columns]
    raise_all(
        [
            f"column {c!r} has no value in {visits.at(visits[c].missing)}, where {part.name!r} is measured"
            for c in lacking
        ]
    )
    outcome = _read_outcome(fit, part, measured, response_columns)
    designs = [
        trajectory.value_design(subject[rows], visit_time[rows])
        if p.prefix == part.prefix
        else _design_in_rows(p, measured, rows)
        for p in predictors
    ]
    offsets = [np.zeros(len(rows)) if p.code_offset is None else p.code_offset(measured) for p in predictors]
    return MeasurementHistory(replace(part, outcome=outcome, rows=rows), predictors, subject[rows], designs, offsets)


def _design_in_rows(p: PredictorDesign, measured: Table, rows: np.ndarray) -> MarkerDesign:
    """The design of a linear predictor that is no marker's, in the visits `rows` of those that its levels are of."""
    in_rows = predictor_in_rows(p, measured)
    level = {e.factor.name: e.factor.codes[rows] for e in p.effects}
    return MarkerDesign(
        np.ones(len(rows)), in_rows.population.values, level, {e.factor.name: e.z for e in in_rows.effects},
        {m.column: m.steps for m in in_rows.population.monotonic},
    )  # fmt: skip


def _outcome_columns(part: PlannedOutcome) -> tuple[str, ...]:
    """The columns of an outcome's response, with those of its trials and limits."""
    response = part.main.formula.response
    assert response is not None
    return response.columns


def _read_outcome(fit: FittedJointModel, part: PlannedOutcome, measured: Table, columns: Sequence[str]) -> Outcome:
    """An outcome's values in the rows `measured`, read together with those of the fit, so that both are coded alike."""
    fitted = next(p for p in fit.joint.parts if p.prefix == part.prefix)
    response = part.main.formula.response
    assert response is not None
    table = fit.joint.table
    fitted_rows = np.searchsorted(table.row_numbers, fitted.rows)
    old = replace(table.take(fitted_rows), columns={c: table[c].take(fitted_rows) for c in columns})
    both = stack_tables(old, replace(measured, columns={c: measured[c] for c in columns}))
    outcome = part.family.read(both, response, fit.choice(part))
    new = slice(old.rows, None)
    return replace(
        fitted.outcome, values=outcome.values[new], trials=None if outcome.trials is None else outcome.trials[new]
    )
