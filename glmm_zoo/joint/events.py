"""Read the time to an event: when each subject was followed, how its follow-up ended, and its covariates. Imports no PyMC.

Subject i of n is followed from entry_i to time_i in one row or several, (start_r, stop_r], each with covariates of its own.
status_i is 0 where it was censored, else the cause, from 1; an event seen only between two visits came in (left_i, time_i].
Events that come again end rows, not the follow-up; between rows a subject is not at risk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, at_rows, attempt, raise_all
from glmm_zoo.families.event_status import event_text, intervals, read_status
from glmm_zoo.formulas.population import (
    CodeNewRows,
    DesignMatrix,
    aliased,
    code_terms,
    coded_expression,
    evaluate_expression,
)
from glmm_zoo.formulas.predictor import check_columns
from glmm_zoo.formulas.terms import EventFormula, Expression
from glmm_zoo.joint.followed_rows import (
    FollowedRows,
    check_some_event,
    check_times,
    ids_in_words,
    last_rows,
    misplaced_parts,
    own_columns_as_covariates,
)
from glmm_zoo.tables.columns import Column, Table
from glmm_zoo.tables.frames import Missing, take_columns, take_columns_with_gaps


@dataclass(frozen=True)
class Events:
    """The follow-up of n subjects in R rows, sorted by subject and time.

    `subject` (R,) is the position of each row's subject among `ids`; `start`, `stop` (R,), the first row of a subject
    starting at the origin: covariates are those of the first row until then. `last` (n,) is the row in which its follow-up ends.
    `entry`, `left`, `time`, `status` (n,); left = time where the time of the event is known. `covariates` (R, p) of the rows,
    `offset` (R,) or None, `code_offset(table)` that of other rows. `table` holds the columns as read, in the order of the rows.
    `row_status` (R,) is how each row ended, and `recurrent` says that events come again, and then status (n,) is that of the last row.
    """

    formula: EventFormula
    table: Table
    ids: tuple[str, ...]
    subject: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    entry: np.ndarray
    left: np.ndarray
    time: np.ndarray
    status: np.ndarray
    causes: tuple[str, ...]
    covariates: DesignMatrix
    offset: np.ndarray | None
    row_status: np.ndarray
    recurrent: bool = False
    notes: tuple[str, ...] = ()
    code_offset: CodeNewRows | None = field(default=None, compare=False)

    @property
    def begin(self) -> np.ndarray:
        """When the subject of each row (R,) is at risk from."""
        return np.maximum(self.start, self.entry[self.subject])

    @property
    def event_rows(self) -> np.ndarray:
        """The rows that end with an event, of those known only to lie in an interval too."""
        return np.flatnonzero(self.row_status > 0)

    @property
    def counts(self) -> np.ndarray:
        """How many events each subject (n,) has."""
        return np.bincount(self.subject, self.row_status > 0, len(self.ids)).astype(int)

    @property
    def frailty(self) -> bool:
        """Whether subjects have a frailty, effects of their own in the hazard alone."""
        return bool(self.formula.covariates.groups)

    @property
    def last(self) -> np.ndarray:
        return last_rows(self.subject)

    def of_others(
        self,
        table: Table,
        ids: tuple[str, ...],
        subject: np.ndarray,
        start: np.ndarray,
        stop: np.ndarray,
        left: np.ndarray,
    ) -> Events:
        """Other subjects, free of the event until `left` (n,), whose rows (R,) are coded as those of these."""
        none = np.zeros(len(ids))
        return replace(
            self, table=table, ids=ids, subject=subject, start=start, stop=stop, entry=none, left=left, time=left,
            status=none.astype(int), row_status=np.zeros(len(subject), int), covariates=replace(self.covariates, values=self.covariates.code_new_rows(table)),
            offset=None if self.code_offset is None else self.code_offset(table),
        )  # fmt: skip

    @property
    def competing(self) -> bool:
        """Whether there are several causes."""
        return len(self.causes) > 1

    @property
    def origin(self) -> float:
        """When the first subject entered: of what was before there are no data. Hazards begin here, and effects are those of who
        was there."""
        return float(self.entry.min())

    @property
    def horizon(self) -> float:
        """The longest follow-up."""
        return float(self.time.max())


def read_events(
    data: Any,
    formula: EventFormula,
    *,
    id: str,
    repeated: bool,
    columns: Sequence[str] = (),
    censored: Any = None,
    causes: Sequence[Any] | None = None,
    order: Sequence[str] = (),
    missing: Missing = "error",
    recurrent: bool = False,
    problems: list[str],
) -> Events | None:
    """Read the event of every subject; what is wrong is added to `problems`.

    Parameters
    ----------
    data
        One row for each subject, or rows (start, stop].
    repeated
        Whether the rows are those of the visits, each of which repeats the time and event of its subject.
    columns
        Further columns of the event's rows: covariates of the association.
    censored
        The value of the event's column that stands for no event, where it is not 0 or a word of `CENSORED`.
    causes
        The values that stand for events, one for each cause, where not all that occur are meant.
    order
        Subjects in the order that they are to have.
    recurrent
        Whether events come again.
    """
    raise_all([*own_columns_as_covariates(formula, columns), *misplaced_parts(formula, recurrent, id)])
    needed, may_miss = _needed_columns(formula, id, columns)
    table = take_columns(data, needed, missing, problems)
    problems_before = len(problems)
    check_columns(formula.covariates, table, problems)
    covariates_sound = len(problems) == problems_before
    times = [_read_times(data, t, table, bool(may_miss)) for t in formula.times]
    status, cause_names = read_status(formula, table, censored, causes, problems)
    if status is None:
        return None
    if repeated and formula.kind != "counting":
        first = _first_row_of_each_subject(table, id, problems)
        table, times, status = table.take(first), [t[first] for t in times], status[first]
    subject, ids = _ordered_subjects(table[id], order)
    if formula.kind != "counting" and len(ids) < table.rows:
        twice = [ids[i] for i in np.flatnonzero(np.bincount(subject) > 1)]
        problems.append(
            f"event: {ids_in_words(id, twice)} {'has' if len(twice) == 1 else 'have'} several rows; one row for each subject is "
            "expected, or rows Surv(start, stop, event) ~ ... for covariates that change"
        )
        return None
    rows = FollowedRows(subject, *intervals(formula.kind, times, status))
    by_time = np.lexsort((rows.stop, rows.subject))
    rows, table = rows.take(by_time), table.take(by_time)
    if may_miss:
        with_missing = rows_of(table, take_columns_with_gaps(data, may_miss))
        table = replace(table, columns={**table.columns, **with_missing.columns})
    check_times(formula, table, id, ids, rows, recurrent, problems)
    check_some_event(formula, rows, ids, problems)
    if recurrent and len(cause_names) > 1:
        problems.append(
            f"event: recurrent=True is for events of one kind, and {event_text(formula.event) if formula.event else 'the event'!r} has "
            f"{len(cause_names)} causes; write Surv(..., column == {cause_names[0]!r})"
        )
    covariates = attempt(lambda: _read_covariates(formula, table), problems) if covariates_sound else None
    return None if covariates is None else _assemble(formula, table, ids, rows, cause_names, covariates, recurrent)


def _needed_columns(formula: EventFormula, id: str, columns: Sequence[str]) -> tuple[list[str], set[str]]:
    """The columns of the event's rows that must have a value, and those that need none: ends of intervals."""
    may_miss = set(formula.may_be_missing)
    return [c for c in dict.fromkeys([id, *formula.columns, *columns]) if c not in may_miss], may_miss


def rows_of(table: Table, whole: Table) -> Table:
    """The rows of `whole`, the same source without any left out, in which `table` was read."""
    return whole.take(np.searchsorted(whole.row_numbers, table.row_numbers))


def subjects_left_out(data: Any, formula: EventFormula, id: str, columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """The subjects all of whose rows of the event lack a value which the model needs, and the columns that lack one."""
    table = take_columns_with_gaps(data, _needed_columns(formula, id, columns)[0])
    lacking = np.logical_or.reduce([c.missing for c in table.columns.values()])
    whole = set(table[id].take(~lacking).group_labels()[1])
    named = table[id].take(lacking & ~table[id].missing).group_labels()[1]
    return [s for s in named if s not in whole], [n for n, c in table.columns.items() if n != id and c.missing.any()]


def _assemble(
    formula: EventFormula,
    table: Table,
    ids: tuple[str, ...],
    rows: FollowedRows,
    causes: tuple[str, ...],
    covariates: DesignMatrix,
    recurrent: bool,
) -> Events:
    """The checked rows as `Events`, with the first row of every subject starting at the origin."""
    last = last_rows(rows.subject)
    first = np.append(0, last[:-1] + 1)
    entry = rows.start[first].copy()
    start = rows.start.copy()
    start[first] = entry.min()
    offsets = [coded_expression(o, table) for o in formula.covariates.offsets]
    return Events(
        formula, table, ids, rows.subject, start, rows.stop, entry, rows.left[last], rows.stop[last], rows.status[last],
        causes, covariates, np.sum([values for values, _ in offsets], axis=0) if offsets else None, rows.status, recurrent,
        tuple(table.notes),
        (lambda other: np.sum([code(other) for _, code in offsets], axis=0)) if offsets else None,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ subjects


def subject_positions(table: Table, id: str, position: Mapping[str, int]) -> np.ndarray:
    """The position (R,) of every row's subject, -1 for subjects without one."""
    codes, labels = table[id].group_labels()
    return np.array([position.get(label, -1) for label in labels])[codes]


def _ordered_subjects(column: Column, order: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The position (R,) of every row's subject, and the ids: first those of `order`, then the others."""
    codes, labels = column.group_labels()
    present = set(labels)
    ids = tuple(dict.fromkeys([*(x for x in order if x in present), *labels]))
    position = {x: i for i, x in enumerate(ids)}
    return np.array([position[x] for x in labels])[codes], ids


def _first_row_of_each_subject(table: Table, id: str, problems: list[str]) -> np.ndarray:
    """The first row (n,) of every subject, of a table that must say the same of the event in all rows of a subject."""
    codes, ids = table[id].group_labels()
    _, first = np.unique(codes, return_index=True)
    for name, column in table.columns.items():
        value_codes, labels = column.codes_and_levels()
        differing = np.flatnonzero(value_codes != value_codes[first][codes])
        if len(differing) and name != id:
            subjects = [ids[i] for i in np.unique(codes[differing])]
            pair = np.array([first[codes[differing[0]]], differing[0]])
            problems.append(
                f"event: column {name!r} varies within {ids_in_words(id, subjects)} "
                f"({', '.join(labels[v] for v in value_codes[pair])} in {at_rows(table.row_numbers[pair])}); what is said of an "
                "event is constant within a subject; for covariates that change write Surv(start, stop, event) ~ ..."
            )
    return first


# ------------------------------------------------------------------------------------------------- times and covariates


def _read_times(data: Any, operand: Expression, table: Table, may_miss: bool) -> np.ndarray:
    """One of the times of Surv() in the rows of `table` (R,); NaN where it is missing and may be."""
    if not may_miss:
        return evaluate_expression(operand, table)
    complete = take_columns(data, operand.columns, "error", None, operand.columns)
    times = np.full(int(max(table.row_numbers.max(), complete.row_numbers.max())) + 1, np.nan)
    times[complete.row_numbers] = evaluate_expression(operand, complete)
    return times[table.row_numbers]


def _read_covariates(formula: EventFormula, table: Table) -> DesignMatrix:
    """The covariates' columns (R, p), without a constant, which would repeat the baseline hazard."""
    columns = code_terms(formula.covariates.population, table)
    if not columns.intercept:
        raise InputError("event: the baseline hazard is the intercept of an event; leave 0 and - 1 out of its formula")
    problem = aliased(columns)
    if problem:
        raise InputError(f"event: {problem.removeprefix('formula: ')}")
    return columns
