"""Subjects with an event and no measurement of any marker: what their trajectories are made of. Imports no PyMC.

They inform the hazard. Their effects have the distribution of all, and their covariates stand in the event's rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.formulas.group_effects import GroupEffects, GroupingFactor, grouping_factor
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.joint.events import Events, rows_of
from glmm_zoo.joint.followed_rows import ids_in_words
from glmm_zoo.plans.joint_outcomes import JointOutcomes
from glmm_zoo.plans.plan import PlannedOutcome
from glmm_zoo.tables.columns import Column, Table, stack_tables
from glmm_zoo.tables.frames import column_names, take_columns_with_gaps
from glmm_zoo.tables.level_tables import refuse_missing_levels


@dataclass(frozen=True)
class AllSubjects:
    """The longitudinal part with the levels of all subjects, and with rows of all; the event with what these rows need.

    In `with_rows` every subject without a measurement has a row for each of its rows of the event, at the beginning of that.
    """

    joint: JointOutcomes
    with_rows: JointOutcomes
    events: Events
    notes: Sequence[str] = ()


def with_unmeasured_subjects(
    joint: JointOutcomes, events: Events, longitudinal: Any, survival: Any, *, id: str, time: str
) -> AllSubjects:
    """Both parts of a joint model with the subjects who have an event and no measurement.

    Columns that a marker needs are those of the event's rows, or of the subject's first visit where the event has none.

    Raises
    ------
    InputError
        A column that a marker needs has no value for such a subject.
    """
    unmeasured = _unmeasured(joint, events, id)
    if not unmeasured:
        return AllSubjects(joint, joint, events)
    lost, lacking = subjects_without_a_course(joint, events, longitudinal, survival, id=id, time=time)
    if lost:
        raise InputError(
            f"{plural(len(lost), 'subject')} of the event data {_have(lost)} no measurement ({ids_in_words(id, lost)}), and the course of the "
            f"marker needs a value of {listing(map(repr, lacking))}; add it to the event data, drop these subjects there, or correct the ids"
        )
    columns = _columns_of_the_course(joint, events, longitudinal, survival, id, time)
    events = replace(events, table=replace(events.table, columns={**events.table.columns, **columns}))
    of_unmeasured = np.isin(events.subject, [events.ids.index(i) for i in unmeasured])
    rows = events.table.take(of_unmeasured)
    start = Column(time, "number", events.start[of_unmeasured], np.zeros(rows.rows, bool))
    rows = replace(rows, columns={c: rows[c] for c in (id, *columns)} | {time: start})
    joint, levels = _with_levels_of(joint, rows)
    note = (
        f"{plural(len(unmeasured), 'subject')} of the event data {_have(unmeasured)} no measurement ({ids_in_words(id, unmeasured)}): what is "
        "known of them is the event, and their effects have the distribution of all subjects' effects"
    )
    return AllSubjects(joint, _with_rows(joint, rows, levels, id), events, [note])


def subjects_without_a_course(
    joint: JointOutcomes, events: Events, longitudinal: Any, survival: Any, *, id: str, time: str
) -> tuple[list[str], list[str]]:
    """The subjects with an event, no measurement and a row without a value that the markers need; and the columns that lack one."""
    unmeasured = _unmeasured(joint, events, id)
    of_unmeasured = np.isin(events.subject, [events.ids.index(i) for i in unmeasured])
    columns = _columns_of_the_course(joint, events, longitudinal, survival, id, time) if unmeasured else {}
    lacking = {
        c: column.missing & of_unmeasured for c, column in columns.items() if column.missing[of_unmeasured].any()
    }
    subjects = np.unique(events.subject[np.logical_or.reduce([np.zeros(len(events.subject), bool), *lacking.values()])])
    return [events.ids[s] for s in subjects], list(lacking)


def _unmeasured(joint: JointOutcomes, events: Events, id: str) -> list[str]:
    measured = set(joint.table[id].group_labels()[1])
    return [i for i in events.ids if i not in measured]


def _columns_of_the_course(
    joint: JointOutcomes, events: Events, longitudinal: Any, survival: Any, id: str, time: str
) -> dict[str, Column]:
    """The columns (R,) that the markers need beside subject and time, in the rows of the event."""
    needed = dict.fromkeys(
        c for part in joint.parts for c in part.main.formula.predictor_columns if c not in (id, time)
    )
    return {c: _column_of_subjects(events, c, longitudinal, survival, id) for c in needed}


def _have(subjects: Sequence[str]) -> str:
    return "has" if len(subjects) == 1 else "have"


def _column_of_subjects(events: Events, name: str, longitudinal: Any, survival: Any, id: str) -> Column:
    """A column in the rows of the event (R,): of the event's own table, else that of each subject's first visit."""
    if name in events.table.columns:
        return events.table[name]
    if survival is not None and name in column_names(survival):
        return rows_of(events.table, take_columns_with_gaps(survival, [name]))[name]
    visits = take_columns_with_gaps(longitudinal, [id, name])
    codes, labels = visits[id].group_labels()
    known = np.flatnonzero(~(visits[id].missing | visits[name].missing))
    first_of_code = dict(zip(*np.unique(codes[known], return_index=True), strict=True))
    first = {label: known[first_of_code[k]] for k, label in enumerate(labels) if k in first_of_code}
    found = [first.get(events.ids[s], -1) for s in events.subject]
    return replace(visits[name].take(np.array(found)), missing=np.array(found) < 0)


def _with_levels_of(joint: JointOutcomes, rows: Table) -> tuple[JointOutcomes, Mapping[str, np.ndarray]]:
    """The longitudinal part with the levels in more rows added to every factor of the markers, and those rows' codes by factor."""
    columns = {g.name: g.factor for part in joint.parts for g in part.main.formula.groups}
    effects = [e for part in joint.parts for e in part.main.effects]
    factors = {e.factor.name: e.factor for e in effects}
    tables = {e.factor.name: e.structure.table for e in effects if e.structure is not None}
    codes: dict[str, np.ndarray] = {}
    for name, factor in factors.items():
        own = grouping_factor(columns[name], rows)
        if name in tables:
            refuse_missing_levels(tables[name], name, own.levels)
        levels = tuple(dict.fromkeys([*factor.levels, *own.levels]))
        factors[name] = replace(factor, levels=levels)
        codes[name] = np.array([levels.index(level) for level in own.levels])[own.codes]

    def enlarged(e: GroupEffects) -> GroupEffects:
        levels = factors[e.factor.name].levels if e.factor.name in factors else e.factor.levels
        return replace(e, factor=GroupingFactor(e.factor.name, levels, e.factor.codes))

    def predictor(p: PredictorDesign) -> PredictorDesign:
        return replace(p, effects=tuple(map(enlarged, p.effects)))

    parts = tuple(replace(part, main=predictor(part.main)) for part in joint.parts)
    return replace(joint, parts=parts, predictors=tuple(map(predictor, joint.predictors))), codes


def _with_rows(joint: JointOutcomes, rows: Table, levels: Mapping[str, np.ndarray], id: str) -> JointOutcomes:
    """The longitudinal part with more rows, which have these levels by factor and no value of any outcome."""
    first, second = (replace(t, columns={**t.columns, id: t[id].as_written()}) for t in (joint.table, rows))
    numbers = joint.table.row_numbers.max() + 1 + np.arange(rows.rows)
    table = replace(stack_tables(first, second), row_numbers=np.concatenate([joint.table.row_numbers, numbers]))

    def longer(part: PlannedOutcome) -> PlannedOutcome:
        effects = tuple(
            replace(e, factor=replace(e.factor, codes=np.concatenate([e.factor.codes, levels[e.factor.name]])))
            for e in part.main.effects
        )
        return replace(part, main=replace(part.main, effects=effects), rows=np.concatenate([part.rows, numbers]))

    return replace(joint, parts=tuple(map(longer, joint.parts)), table=table)
