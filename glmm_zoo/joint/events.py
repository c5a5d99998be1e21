"""The time to an event, read and checked: who was followed from when to when, and how it ended. Imports the rooms to its left;
no PyMC.

Subject i of n is followed from entry_i to time_i in one row or several, (start_r, stop_r], each with covariates of its own.
status_i is 0 where it was censored, else the cause, from 1; an event seen only between two visits came in (left_i, time_i].
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, at_rows, attempt, did_you_mean, listing, plural
from glmm_zoo.families.families import level_text
from glmm_zoo.formulas.population import DesignMatrix, aliased, code_terms, evaluate_expression
from glmm_zoo.formulas.predictor import check_columns
from glmm_zoo.formulas.terms import EventFormula, Expression, StatusTest
from glmm_zoo.tables.columns import Table, suspicious_text
from glmm_zoo.tables.frames import Missing, take_columns, take_columns_with_gaps

CENSORED = frozenset({"0", "censored", "censor", "cens", "alive", "none", "no", "no event", "event-free", "false"})
OTHER_UNIT = 100.0  # visits over a share of the follow-up smaller than 1 / this are in another unit
DOUBTFUL_UNIT = 10.0
EVENTS_PER_PARAMETER = 10
_SHOWN = 5  # ids in a message


@dataclass(frozen=True)
class Events:
    """The follow-up of n subjects in R rows, sorted by subject and time.

    `subject` (R,) is the position of each row's subject among `ids`; `start`, `stop` (R,), the first row of a subject
    starting at 0: covariates are those of the first row until then. `last` (n,) is the row in which its follow-up ends.
    `entry`, `left`, `time`, `status` (n,); left = time where the time of the event is known. `covariates` (R, p) of the rows,
    `offset` (R,) or None. `table` holds the columns as read, in the order of the rows.
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
    notes: tuple[str, ...] = ()

    @property
    def last(self) -> np.ndarray:
        return np.append(np.flatnonzero(np.diff(self.subject)), len(self.subject) - 1)

    @property
    def competing(self) -> bool:
        return len(self.causes) > 1

    @property
    def horizon(self) -> float:
        return float(self.time.max())


def read(
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
    """
    gaps = {c for t in formula.times for c in t.columns} if formula.kind in ("interval", "interval2") else set()
    needed = [c for c in dict.fromkeys([id, *formula.columns, *columns]) if c not in gaps]
    table = take_columns(data, needed, missing, problems)
    known = len(problems)
    check_columns(formula.covariates, table, problems)
    sound = len(problems) == known
    found = [_times(data, t, table, bool(gaps)) for t in formula.times]
    status, names = _status(formula, table, censored, causes, problems)
    if status is None:
        return None
    if repeated and formula.kind != "counting":
        first = _first_rows(table, id, problems)
        table, found, status = table.take(first), [t[first] for t in found], status[first]
    codes, found_ids = table[id].codes_and_levels()
    here = set(found_ids)
    ids = tuple(dict.fromkeys([*(x for x in order if x in here), *found_ids]))
    place = {x: i for i, x in enumerate(ids)}
    codes = np.array([place[x] for x in found_ids])[codes]
    if formula.kind != "counting" and len(ids) < table.rows:
        twice = [ids[i] for i in np.flatnonzero(np.bincount(codes) > 1)]
        problems.append(
            f"event: {_subjects(id, twice)} {'has' if len(twice) == 1 else 'have'} several rows; one row for each subject is "
            "expected, or rows Surv(start, stop, event) ~ ... for covariates that change"
        )
        return None
    start, left, stop, status = _intervals(formula.kind, found, status)
    by_time = np.lexsort((stop, codes))
    codes, start, left, stop, status = (x[by_time] for x in (codes, start, left, stop, status))
    table = table.take(by_time)
    if gaps:
        table = replace(
            table, columns={**table.columns, **take_columns_with_gaps(data, gaps).take(table.row_numbers).columns}
        )
    _check_times(formula, table, id, ids, codes, start, left, stop, status, problems)
    last = np.append(np.flatnonzero(np.diff(codes)), len(codes) - 1)
    if not (status[last] > 0).any():
        what = "the event" if formula.event is None else repr(_said(formula.event))
        problems.append(
            f"event: no events: {what} is censored for all {plural(len(ids), 'subject')}, so nothing is known of the hazard"
        )
    coded = attempt(lambda: _covariates(formula, table), problems) if sound else None
    if coded is None:
        return None
    first = np.append(0, last[:-1] + 1)
    entry = start[first].copy()
    start = start.copy()
    start[first] = 0.0
    offsets = [evaluate_expression(o, table) for o in formula.covariates.offsets]
    return Events(
        formula, table, ids, codes, start, stop, entry, left[last], stop[last], status[last], names, coded,
        np.sum(offsets, axis=0) if offsets else None, tuple(table.notes),
    )  # fmt: skip


def few(ids: Iterable[str]) -> str:
    """`"'3', '7'"`: subjects in words, the first of them where they are many."""
    return listing(map(repr, ids), _SHOWN)


def _subjects(id: str, found: Iterable[str]) -> str:
    """`"id '3', '7'"`."""
    return f"{id} {few(found)}"


def subject_of(table: Table, id: str, place: Mapping[str, int]) -> np.ndarray:
    """The place of every row's subject, -1 for others."""
    codes, labels = table[id].codes_and_levels()
    return np.array([place.get(label, -1) for label in labels])[codes]


def _said(event: Expression | StatusTest) -> str:
    if isinstance(event, StatusTest):
        return f"{event.column} {'==' if event.equal else '!='} {event.level!r}"
    return event.text


def _first_rows(table: Table, id: str, problems: list[str]) -> np.ndarray:
    """The first row of every subject of a table that repeats what it says of the subject in every row."""
    codes, ids = table[id].codes_and_levels()
    _, first = np.unique(codes, return_index=True)
    for name, column in table.columns.items():
        values, known = column.codes_and_levels()
        varies = np.flatnonzero(values != values[first][codes])
        if len(varies) and name != id:
            subjects = [ids[i] for i in np.unique(codes[varies])]
            pair = np.array([first[codes[varies[0]]], varies[0]])
            problems.append(
                f"event: column {name!r} varies within {_subjects(id, subjects)} "
                f"({', '.join(known[v] for v in values[pair])} in {at_rows(table.row_numbers[pair])}); what is said of an "
                "event is constant within a subject; for covariates that change write Surv(start, stop, event) ~ ..."
            )
    return first


def _times(data: Any, operand: Expression, table: Table, gaps: bool) -> np.ndarray:
    """Times of the rows of a table; NaN where they may be missing and are."""
    if not gaps:
        return evaluate_expression(operand, table)
    whole = take_columns(data, operand.columns, "error", None, operand.columns)
    found = np.full(int(max(table.row_numbers.max(), whole.row_numbers.max())) + 1, np.nan)
    found[whole.row_numbers] = evaluate_expression(operand, whole)
    return found[table.row_numbers]


def _status(
    formula: EventFormula, table: Table, censored: Any, causes: Sequence[Any] | None, problems: list[str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """0 or the number of the cause of every row (R,), and the names of the causes."""
    event = formula.event
    if event is None:
        return np.ones(table.rows, int), ("1",)
    if isinstance(event, StatusTest):
        codes, levels = table[event.column].codes_and_levels()
        if event.level not in levels:
            near = did_you_mean(event.level, levels) or ";"
            problems.append(
                f"event: column {event.column!r} has no level {event.level!r}{near} levels: {listing(levels)}"
            )
            return None, ()
        return ((codes == levels.index(event.level)) == event.equal).astype(int), ("1",)
    column = table[event.columns[0]] if event.kind == "column" else None
    if column is not None and (column.kind == "date" or suspicious_text(column)):
        attempt(lambda: column.numbers("the event"), problems)
        return None, ()
    if column is not None and column.kind in ("text", "logical"):
        codes, levels = column.codes_and_levels()
    else:
        values = evaluate_expression(event, table)
        seen, codes = np.unique(values, return_inverse=True)
        levels = tuple(str(int(v)) if v == round(v) else str(v) for v in seen.tolist())
        if formula.kind in ("interval", "left"):
            return _coded(event, values, 3 if formula.kind == "interval" else 1, table, problems), ("1",)
        broken = values != np.round(values)
        if broken.any():
            problems.append(
                f"event: {_said(event)!r} should be 0 (censored) and 1 (event), or 0 and a number for each cause; "
                f"{table.at(broken)} has {values[broken][0]:g}"
            )
            return None, ()
    none = _no_event(event, levels, censored, causes, problems)
    wanted = [level for level in levels if level != none]
    if causes is not None:
        declared = [level_text(c) for c in ([causes] if isinstance(causes, str | int) else causes)]
        other = [level for level in wanted if level not in declared]
        if other:
            problems.append(
                f"event: {_said(event)!r} has values {listing(map(repr, other))} beside the declared causes {listing(declared)} and "
                f"{none!r} for censored; declare them too, or count them as censored: Surv(..., {_said(event)} == {declared[0]!r})"
            )
            return None, ()
        wanted = declared
    if none is None:
        return None, ()
    counts = dict(zip(levels, np.bincount(codes, minlength=len(levels)), strict=True))
    once = [level for level in wanted if counts.get(level) == 1]
    if causes is None and len(wanted) > 1 and once:
        problems.append(
            f"event: {_said(event)!r} is {once[0]!r} in one row only ({table.at(codes == levels.index(once[0]))}), which is too few "
            f"for a cause of its own; correct it, or declare the causes: causes=[{', '.join(map(repr, wanted))}]"
        )
        return None, ()
    place = np.array([0 if level == none else wanted.index(level) + 1 for level in levels])
    return place[codes], tuple(wanted) if wanted else ("1",)


def _coded(event: Expression, values: np.ndarray, most: int, table: Table, problems: list[str]) -> np.ndarray | None:
    """R's codes of censoring as they are: 0 right, 1 event, 2 left, 3 interval."""
    bad = ~np.isin(values, np.arange(most + 1))
    if bad.any():
        problems.append(
            f"event: {_said(event)!r} is 0 (censored), 1 (event)"
            + (", 2 (before the time) or 3 (between the times)" if most == 3 else "")
            + f" for this type of Surv(); {table.at(bad)} has {values[bad][0]:g}"
        )
        return None
    return values.astype(int)


def _no_event(
    event: Expression, levels: Sequence[str], censored: Any, causes: Sequence[Any] | None, problems: list[str]
) -> str | None:
    """The level that stands for no event."""
    said = _said(event)
    if censored is not None:
        if level_text(censored) not in levels:
            problems.append(
                f"event: {said!r} has no value {level_text(censored)!r} for censored; values: {listing(levels)}"
            )
            return None
        return level_text(censored)
    known = [level for level in levels if level.casefold() in CENSORED]
    whole = all(level.lstrip("-").isdigit() for level in levels)
    if len(known) == 1 and (not whole or not any(level.startswith("-") for level in levels)):
        return known[0]
    if causes is not None:
        rest = [level for level in levels if level not in [level_text(c) for c in causes]]
        if len(rest) == 1:
            return rest[0]
    if set(levels) == {"1"}:
        return "0"
    hint = f"Surv(..., {said} == {levels[-1] if whole else repr(levels[-1])})"
    problems.append(
        f"event: {said!r} should be 0 (censored) and 1 (event), or 0 and a number for each cause; found {listing(levels, 6)}; "
        f"write {hint}, or say which one is censored: censored={levels[0]!r}"
    )
    return None


def _intervals(
    kind: str, times: Sequence[np.ndarray], status: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """start, left, stop and status (0 or a cause) of every row (R,)."""
    zero = np.zeros(len(status))
    if kind == "right":
        return zero, times[0], times[0], status
    if kind == "counting":
        return times[0], times[1], times[1], status
    if kind == "left":  # R: 0 where the event came before the time
        return zero, np.where(status == 0, 0.0, times[0]), times[0], np.ones(len(status), int)
    if kind == "interval":
        low = np.where(status == 2, 0.0, times[0])
        high = np.where(status == 3, times[1], times[0])
        return zero, low, high, (status > 0).astype(int)
    low, high = np.nan_to_num(times[0], nan=0.0), times[1]
    open_ended = ~np.isfinite(high)
    return zero, np.where(open_ended, times[0], low), np.where(open_ended, times[0], high), (~open_ended).astype(int)


def _check_times(
    formula: EventFormula,
    table: Table,
    id: str,
    ids: Sequence[str],
    codes: np.ndarray,
    start: np.ndarray,
    left: np.ndarray,
    stop: np.ndarray,
    status: np.ndarray,
    problems: list[str],
) -> None:
    def of(rows: np.ndarray) -> str:
        return _subjects(id, [ids[int(i)] for i in np.unique(codes[rows])])

    name = formula.times[-1].text
    bad = ~(np.isfinite(stop) & (stop > 0))
    if bad.any():
        value = stop[bad][0]
        problems.append(
            f"event: times must be > 0: {name!r} is {f'{value:g}' if np.isfinite(value) else 'missing'} for {of(bad)} "
            f"({table.at(bad)}); correct or drop them, in the longitudinal data too"
        )
    bad = np.isfinite(stop) & ~(left <= stop)
    if bad.any():
        problems.append(f"event: the interval of {of(bad)} ends before it begins ({left[bad][0]:g} > {stop[bad][0]:g})")
    bad = (left < 0) | (start < 0)
    if bad.any():
        problems.append(f"event: times must be >= 0: {of(bad)} begins before 0, the origin of time")
    if formula.kind != "counting":
        return
    bad = ~(start < stop)
    if bad.any():
        problems.append(f"event: a row (start, stop] needs start < stop; not so for {of(bad)} ({table.at(bad)})")
    same, after = np.append(codes[1:] == codes[:-1], False), np.append(start[1:], 0.0)
    bad = same & (np.abs(after - stop) > 1e-9 * np.maximum(1.0, np.abs(stop)))
    if bad.any():
        problems.append(
            f"event: rows (start, stop] of a subject follow each other without gap or overlap; not so for {of(bad)} "
            f"({stop[bad][0]:g} is followed by {after[bad][0]:g})"
        )
    bad = same & (status > 0)
    if bad.any():
        problems.append(f"event: {of(bad)} has an event before the last row; an event ends the follow-up")


def _covariates(formula: EventFormula, table: Table) -> DesignMatrix:
    """The covariates' columns; a constant among them is the baseline hazard's."""
    columns = code_terms(formula.covariates.population, table)
    if not columns.intercept:
        raise InputError("event: the baseline hazard is the intercept of an event; leave 0 and - 1 out of its formula")
    problem = aliased(columns)
    if problem:
        raise InputError(f"event: {problem.removeprefix('formula: ')}")
    return columns


# ------------------------------------------------------------------------------------------------ with the longitudinal part


def check_together(
    events: Events,
    visits: Mapping[str, Table],
    whole: Table,
    *,
    id: str,
    time: str,
    problems: list[str],
) -> list[str]:
    """What can be wrong only of both parts together is added to `problems`; returned are sentences to know.

    `visits` has, by outcome, the columns of subject and time of the rows with a value of it, `whole` those of all rows.
    """
    notes: list[str] = []
    seen: set[str] = set()
    spans: list[float] = []
    after = _late(events, whole, id, time)[0]
    for outcome, table in visits.items():
        seen |= set(table[id].codes_and_levels()[1])
        late, at, t = _late(events, table, id, time)
        negative = t < 0
        if negative.any():
            problems.append(
                f"column {time!r} must be >= 0, the time since the origin of the event's time; {table.at(negative)} has {t[negative][0]:g}"
            )
        spans.append(float(t[at >= 0].max()) if (at >= 0).any() else 0.0)
        if late.any():
            problems.append(_too_late(events, outcome, late, at, t, after, id, time))
    problems += _in_one_only(events, seen, id)
    longest = max(spans, default=0.0)
    several = any(len(np.unique(table[time].values)) > 1 for table in visits.values())
    if several and 0 < longest < float(np.median(events.time)) / OTHER_UNIT:
        problems.append(
            f"visits ({time!r}) end at {longest:g} while subjects are followed for {np.median(events.time):g} (median of the event's "
            "time): the two are on different scales; give both in one unit, for example days / 365.25"
        )
    elif several and 0 < longest < float(np.median(events.time)) / DOUBTFUL_UNIT:
        notes.append(
            f"visits ({time!r}) end at {longest:g}, long before the follow-up (median {np.median(events.time):g}): the marker is "
            "extrapolated for most of it; if the two are in different units, give both in one"
        )
    parameters = len(events.covariates.labels) + 1
    for k, cause in enumerate(events.causes, 1):
        count = int((events.status == k).sum())
        if count == 0 and events.competing:
            problems.append(f"event: cause {cause!r} never occurs; leave it out of the causes, or correct its name")
        if 0 < count < EVENTS_PER_PARAMETER * parameters:
            of = f" of cause {cause!r}" if events.competing else ""
            notes.append(
                f"{plural(count, 'event')}{of} for {parameters} association and covariate parameters: fewer than "
                f"{EVENTS_PER_PARAMETER} for each, so their priors matter"
            )
    return notes


def _late(events: Events, table: Table, id: str, time: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every row (N,): whether it is later than its subject's follow-up, the subject, -1 where not known, and the time."""
    at = subject_of(table, id, {level: i for i, level in enumerate(events.ids)})
    t = table[time].numbers("the time of a visit")
    return (at >= 0) & (t > np.where(at >= 0, events.time[at], np.inf) * (1 + 1e-9)), at, t


def _too_late(
    events: Events,
    outcome: str,
    late: np.ndarray,
    at: np.ndarray,
    t: np.ndarray,
    after: np.ndarray,
    id: str,
    time: str,
) -> str:
    name = events.formula.times[-1].text
    ids = _subjects(id, [events.ids[i] for i in np.unique(at[late])])
    unit = (
        f"; most visits are: {time!r} and {name!r} seem to be in different units, give both in one"
        if late.mean() > 0.5
        else "; correct the times, or drop these rows: the marker is modelled while a subject is followed"
    )
    first = int(np.flatnonzero(late)[0])
    more = (
        f"; {int(after.sum())} of {plural(len(after), 'row')}, those without a value included"
        if len(after) > len(late)
        else ""
    )
    return (
        f"{int(late.sum())} of {plural(len(late), 'measurement')} of {outcome!r} come after their subject's event or censoring "
        f"({time!r} > {name!r}; {id} {events.ids[at[first]]!r}: {t[first]:g} > {events.time[at[first]]:g}; {ids}{more}){unit}"
    )


def _in_one_only(events: Events, seen: Collection[str], id: str) -> list[str]:
    problems = []
    missing = [x for x in events.ids if x not in seen]
    if missing:
        problems.append(
            f"{plural(len(missing), 'subject')} of the event data {'has' if len(missing) == 1 else 'have'} no measurement "
            f"({_subjects(id, missing)}); drop them, or correct the ids"
        )
    unknown = sorted(set(seen) - set(events.ids))
    if unknown:
        problems.append(
            f"{plural(len(unknown), 'subject')} with measurements {'is' if len(unknown) == 1 else 'are'} not in the event data "
            f"({_subjects(id, unknown)}); add their follow-up, or drop them"
        )
    return problems
