"""Whose prediction is asked for, and whether it can be made: subjects free of the event at their landmark, with values that are
possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing, raise_all, warn
from glmm_zoo.families.event_status import intervals, read_status
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.joint.event_checks import contradictions
from glmm_zoo.joint.events import Events, subject_positions
from glmm_zoo.joint.followed_rows import quoted_ids
from glmm_zoo.joint.prediction.fitted import FittedJointModel
from glmm_zoo.tables.columns import Table, stack_tables
from glmm_zoo.tables.frames import column_names, take_columns_with_gaps

_FARTHEST = 100.0  # beyond the values of the fit, in widths of their range: no real value, and sums overflow


@dataclass(frozen=True)
class FollowUp:
    """What tables say of the end of a subject's follow-up: free of the event from `entry` to `left`, `end` and whether it had the
    event then."""

    entry: float
    left: float
    end: float
    event: bool

    def had_event_by(self, t: float) -> bool:
        return self.event and self.end <= t

    def followed_at(self, t: float) -> bool:
        return self.entry <= t <= self.left and t < self.end


def end_of_follow_up(fit: FittedJointModel, data: Any) -> dict[str, FollowUp]:
    """The follow-up by subject: of the fit's own, or of those in a table that has the event's columns, where they are complete."""
    events = fit.hazard.events
    if data is None:
        rows = zip(events.ids, events.entry, events.left, events.time, events.status > 0, strict=True)
        return {i: FollowUp(float(v), float(left), float(end), bool(had)) for i, v, left, end, had in rows}
    formula, columns = events.formula, [fit.id, *events.formula.columns]
    if not set(columns) <= set(column_names(data)):
        return {}
    table = take_columns_with_gaps(data, list(dict.fromkeys(columns)))
    table = table.take(~np.logical_or.reduce([table[c].missing for c in columns]))
    if not table.rows:
        return {}
    parts = [*formula.times, *([formula.event] if formula.event else [])]
    told = list(dict.fromkeys(c for part in parts for c in part.columns))
    old = replace(events.table, columns={c: events.table[c] for c in told})
    both = stack_tables(old, replace(table, columns={c: table[c] for c in told}))
    problems: list[str] = []
    causes = events.causes if events.competing else fit.options["causes"]
    status, _ = read_status(formula, both, fit.options["censored"], causes, problems)
    raise_all(problems)
    assert status is not None
    times = [evaluate_expression(t, table) for t in formula.times]
    entry, left, end, status = intervals(formula.kind, times, status[old.rows :])
    codes, labels = table[fit.id].group_labels()
    found: dict[str, FollowUp] = {}
    for row in np.lexsort((end, codes)):  # the last row of each subject stays
        label = labels[codes[row]]
        begin = min(entry[row], found[label].entry) if label in found else entry[row]
        found[label] = FollowUp(float(begin), float(left[row]), float(end[row]), bool(status[row] > 0))
    return found


def asked_subjects(
    fit: FittedJointModel,
    known: Sequence[str],
    landmark: float | Mapping[Any, float],
    ids: Sequence[Any] | None,
    follow_up: Mapping[str, FollowUp],
    of_the_fit: bool,
) -> tuple[tuple[str, ...], np.ndarray]:
    """The subjects to predict, and the landmark of each (n,).

    Without ids, subjects of the fit are those that were followed at the landmark, and those of other tables all that did not
    have the event by then.
    """
    by_subject = isinstance(landmark, Mapping)
    if by_subject and not landmark:
        raise InputError("landmark names nobody; give a time, or one for each id")
    if ids is not None and not len(ids):
        raise InputError("ids names nobody; leave it out for all, or name some")
    asked = [str(i) for i in ids] if ids is not None else [str(i) for i in landmark] if by_subject else list(known)
    landmarks = {str(i): float(t) for i, t in landmark.items()} if by_subject else dict.fromkeys(asked, float(landmark))
    lacking = [i for i in asked if i not in landmarks]
    problems = (
        [f"landmark has no time for {fit.id} {quoted_ids(lacking)}; give one for each of the ids"] if lacking else []
    )
    problems += [
        f"no {fit.id} {i!r}{did_you_mean(i, known) or ';'} known: {listing(known)}"
        for i in asked
        if i not in set(known)
    ]
    problems += [f"{fit.id} {i!r} is asked for twice" for i in dict.fromkeys(asked) if asked.count(i) > 1]
    problems += [
        f"a landmark is a time >= 0, not {t:g}" for t in dict.fromkeys(landmarks.values()) if not 0 <= t < np.inf
    ]
    raise_all(problems)
    dead = [i for i in asked if i in follow_up and follow_up[i].had_event_by(landmarks[i])]
    unseen = [i for i in asked if i in follow_up and i not in dead and not follow_up[i].followed_at(landmarks[i])]
    if not of_the_fit:  # new subjects are known until their landmark, which may be the end of what the table has
        unseen = [i for i in unseen if follow_up[i].end != landmarks[i]]
    everybody = ids is None and not by_subject
    left_out = {*dead, *(unseen if of_the_fit else ())} if everybody else set()
    asked = [i for i in asked if i not in left_out]
    if not asked:
        raise InputError(
            f"nobody of the {'fit' if of_the_fit else 'tables'} was followed at the landmark {landmark:g}; choose an earlier one"
        )
    if dead and not everybody:
        i = dead[0]
        raise InputError(
            f"{fit.id} {quoted_ids(dead)} had the event by the landmark ({i!r} at {follow_up[i].end:g}, the landmark is {landmarks[i]:g}); "
            "a prediction is of subjects who are free of it then: choose an earlier landmark, or leave them out"
        )
    if dead and not of_the_fit:
        warn(
            f"{fit.id} {quoted_ids(dead)}: had the event by the landmark {landmark:g}; left out, nothing is left to predict"
        )
    if [i for i in unseen if i not in left_out]:
        warn(
            f"{fit.id} {quoted_ids(unseen)}: not followed at the landmark; the prediction supposes that they were free of the event then"
        )
    return tuple(asked), np.array([landmarks[i] for i in asked])


def tell_without_event_row(fit: FittedJointModel, visited: Sequence[str], known: Sequence[str]) -> None:
    """Say who has visits and no row of the event, and so is not predicted."""
    lost = [i for i in visited if i not in set(known)]
    if lost:
        warn(
            f"{fit.id} {quoted_ids(lost)}: visits, but no row in survival, which says whom to predict; left out; give a row with {fit.id} and "
            "the covariates of the event for each"
        )


def check_agreement(
    fit: FittedJointModel,
    visits: Table,
    event_rows: Events,
    longitudinal: Any,
    follow_up: Mapping[str, FollowUp],
    landmarks: np.ndarray,
) -> None:
    """Refuse tables that contradict each other: a covariate that never changes and is another in each, a visit after the event.

    `event_rows` are those of the subjects asked for. Visits after the landmark are not used, and may be later than a follow-up that
    was cut there.
    """
    shared = [c for c in event_rows.table.columns if c in column_names(longitudinal) and c not in (fit.id, fit.time)]
    problems = contradictions(event_rows, take_columns_with_gaps(longitudinal, [fit.id, *shared]), shared, fit.id)
    subject = subject_positions(visits, fit.id, {label: i for i, label in enumerate(event_rows.ids)})
    t, first = visits[fit.time].numbers("the time of a visit"), dict[str, float]()
    for i, (label, landmark) in enumerate(zip(event_rows.ids, landmarks, strict=True)):
        if label in follow_up:
            last = np.inf if follow_up[label].event else landmark
            late = t[(subject == i) & (t > follow_up[label].end * (1 + 1e-9)) & (t <= last)]
            first |= {label: float(late.min())} if len(late) else {}
    if first:
        label, visit = next(iter(first.items()))
        problems.append(
            f"{fit.id} {quoted_ids(first)} has visits after the end of its follow-up ({label!r} at {visit:g}, and the "
            f"{'event was' if follow_up[label].event else 'follow-up ends'} at {follow_up[label].end:g}); correct one of the tables, or drop "
            "these visits"
        )
    raise_all(problems)


def check_values(fit: FittedJointModel, visits: Table, event_rows: Table, asked: Sequence[str]) -> None:
    """Numbers that are impossibly far from those of the fit are refused: nothing is known there, and sums overflow.

    Far is measured by the values of the column, times by those of the follow-up, and what is zero in all of the fit by one.
    """
    problems = []
    events = fit.hazard.events
    times = {c: events.table[c] for expression in events.formula.times for c in expression.columns}
    follow_up = max(float(np.abs(column.values[~column.missing]).max(initial=0)) for column in times.values())
    for table, fitted in ((visits, fit.joint.table), (event_rows, events.table)):
        codes, labels = table[fit.id].group_labels()
        is_asked = np.isin(labels, list(asked))[codes]
        for name, column in table.columns.items():
            if name == fit.id or column.kind != "number" or name not in fitted.columns or fitted[name].kind != "number":
                continue
            old = fitted[name].values[~fitted[name].missing].astype(float)
            x = np.where(column.missing | ~is_asked, np.nan, column.values.astype(float))
            low, high = float(old.min()), float(old.max())
            width = max(high - low, abs(low), abs(high), follow_up if name == fit.time or name in times else 0.0) or 1.0
            far = np.flatnonzero((x < low - _FARTHEST * width) | (x > high + _FARTHEST * width))
            if len(far):
                problems.append(
                    f"column {name!r} of {fit.id} {labels[codes[far[0]]]!r} is {x[far[0]]:g}, and in the data of the fit from {low:g} to "
                    f"{high:g}; correct it, since nothing can be predicted so far outside"
                )
    raise_all(problems)
