"""Read the status column of an event: which of its values stands for censored, and which for a cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from glmm_zoo.errors import attempt, did_you_mean, listing
from glmm_zoo.families.outcome import level_of, level_text
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.formulas.terms import Expression, StatusTest, Surv
from glmm_zoo.tables.columns import Table, suspicious_text

CENSORED = frozenset({"0", "censored", "censor", "cens", "alive", "none", "no", "no event", "event-free", "false"})


def event_text(event: Expression | StatusTest) -> str:
    """The third argument of Surv(), as the user wrote it."""
    if isinstance(event, StatusTest):
        return f"{event.column} {'==' if event.equal else '!='} {event.level!r}"
    return event.text


def read_status(
    formula: Surv, table: Table, censored: Any, causes: Sequence[Any] | None, problems: list[str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The status (R,) of every row, 0 or the number of its cause from 1, and the names of the causes.

    The status is None where it cannot be read; what is wrong is then in `problems`. For the types "interval" and "left" of
    Surv() the status is R's code of censoring. `censored` and `causes` are as in `read_events`.
    """
    event = formula.event
    causes = [causes] if isinstance(causes, str | int) else causes
    if causes is not None and len(set(map(level_text, causes))) < max(1, len(causes)):
        problems.append(
            f"event: causes are different values of the event, one or more, not [{listing(map(repr, causes))}]"
        )
        return None, ()
    if event is None:
        return np.ones(table.rows, int), ("1",)
    if isinstance(event, StatusTest):
        return _tested_status(event, table, problems), ("1",)
    column = table[event.columns[0]] if event.kind == "column" else None
    if column is not None and (column.kind == "date" or suspicious_text(column)):
        attempt(lambda: column.numbers("the event"), problems)
        return None, ()
    if column is not None and column.kind in ("text", "logical"):
        codes, levels = column.codes_and_levels()
    else:
        values = evaluate_expression(event, table)
        distinct, codes = np.unique(values, return_inverse=True)
        levels = tuple(str(int(v)) if v == round(v) else str(v) for v in distinct.tolist())
        if formula.kind in ("interval", "left"):
            return _censoring_codes(event, values, 3 if formula.kind == "interval" else 1, table, problems), ("1",)
        fractional = values != np.round(values)
        if fractional.any():
            problems.append(
                f"event: {event_text(event)!r} should be 0 (censored) and 1 (event), or 0 and a number for each cause; "
                f"{table.at(fractional)} has {values[fractional][0]:g}"
            )
            return None, ()
    return _status_of_levels(event, codes, levels, table, censored, causes, problems)


def _tested_status(event: StatusTest, table: Table, problems: list[str]) -> np.ndarray | None:
    """1 (R,) where a test such as `status == "dead"` is true, else 0."""
    codes, levels = table[event.column].codes_and_levels()
    if event.level not in levels:
        near = did_you_mean(event.level, levels) or ";"
        problems.append(f"event: column {event.column!r} has no level {event.level!r}{near} levels: {listing(levels)}")
        return None
    return ((codes == levels.index(event.level)) == event.equal).astype(int)


def _status_of_levels(
    event: Expression,
    codes: np.ndarray,
    levels: Sequence[str],
    table: Table,
    censored: Any,
    causes: Sequence[Any] | None,
    problems: list[str],
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Status (R,) and causes of a column with a level for no event and one for each cause."""
    no_event = _level_of_no_event(event, levels, censored, causes, problems)
    event_levels = [level for level in levels if level != no_event]
    if causes is not None:
        declared = [level_of(c, levels) or level_text(c) for c in causes]
        other = [level for level in event_levels if level not in declared]
        if other:
            problems.append(
                f"event: {event_text(event)!r} has values {listing(map(repr, other))} beside the declared causes {listing(declared)} and "
                f"{no_event!r} for censored; declare them too, or count them as censored: Surv(..., {event_text(event)} == {declared[0]!r})"
            )
            return None, ()
        event_levels = declared
    if no_event is None:
        return None, ()
    counts = dict(zip(levels, np.bincount(codes, minlength=len(levels)), strict=True))
    once = [level for level in event_levels if counts.get(level) == 1]
    if causes is None and len(event_levels) > 1 and once:
        problems.append(
            f"event: {event_text(event)!r} is {once[0]!r} in one row only ({table.at(codes == levels.index(once[0]))}), which is too few "
            f"for a cause of its own; correct it, or declare the causes: causes=[{', '.join(map(repr, event_levels))}]"
        )
        return None, ()
    status_of_level = np.array([0 if level == no_event else event_levels.index(level) + 1 for level in levels])
    return status_of_level[codes], tuple(event_levels) if event_levels else ("1",)


def _censoring_codes(
    event: Expression, values: np.ndarray, largest: int, table: Table, problems: list[str]
) -> np.ndarray | None:
    """R's codes of censoring (R,) as they are: 0 right, 1 event, 2 left, 3 interval."""
    unknown = ~np.isin(values, np.arange(largest + 1))
    if unknown.any():
        problems.append(
            f"event: {event_text(event)!r} is 0 (censored), 1 (event)"
            + (", 2 (before the time) or 3 (between the times)" if largest == 3 else "")
            + f" for this type of Surv(); {table.at(unknown)} has {values[unknown][0]:g}"
        )
        return None
    return values.astype(int)


def _level_of_no_event(
    event: Expression, levels: Sequence[str], censored: Any, causes: Sequence[Any] | None, problems: list[str]
) -> str | None:
    """The level that stands for no event: the one given as `censored`, else a word of `CENSORED`, else the only one that is no
    declared cause."""
    text = event_text(event)
    if censored is not None:
        level = level_of(censored, levels)
        if level is None:
            problems.append(
                f"event: {text!r} has no value {level_text(censored)!r} for censored; values: {listing(levels)}"
            )
            return None
        return level
    known = [level for level in levels if level.casefold() in CENSORED]
    whole_numbers = all(level.lstrip("-").isdigit() for level in levels)
    if len(known) == 1 and (not whole_numbers or not any(level.startswith("-") for level in levels)):
        return known[0]
    if causes is not None:
        rest = [level for level in levels if level not in [level_of(c, levels) for c in causes]]
        if len(rest) == 1:
            return rest[0]
    if set(levels) == {"1"}:
        return "0"
    hint = f"Surv(..., {text} == {levels[-1] if whole_numbers else repr(levels[-1])})"
    problems.append(
        f"event: {text!r} should be 0 (censored) and 1 (event), or 0 and a number for each cause; found {listing(levels, 6)}; "
        f"write {hint}, or say which one is censored: censored={levels[0]!r}"
    )
    return None


def intervals(
    kind: str, times: Sequence[np.ndarray], status: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """start, left, stop and status (0 or a cause) of every row (R,), from the times and status of one kind of Surv()."""
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
