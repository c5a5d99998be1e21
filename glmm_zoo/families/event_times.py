"""Read Surv(...) as a response: from when each row is followed, when its event came, and what is known of it. Imports no PyMC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.families.event_status import event_text, intervals, read_status
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.cells import rows_of_levels
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.population import DesignMatrix, evaluate_expression
from glmm_zoo.formulas.terms import Expression, Response
from glmm_zoo.tables.columns import Table

EVENTS_PER_PARAMETER = 10  # Peduzzi et al. (1995)


@dataclass(frozen=True)
class RowsFollowed:
    """Of every row (n,): (start, stop], the left end of the interval in which the event came, and the status, 0 or the cause from 1.

    left = stop where the time of the event is known.
    """

    start: np.ndarray
    left: np.ndarray
    stop: np.ndarray
    status: np.ndarray

    @property
    def facts(self) -> dict[str, Any]:
        """What a report says of it, JSON-able."""
        return {
            "rows": len(self.stop),
            "events": int((self.status > 0).sum()),
            "by_cause": np.bincount(self.status.astype(int))[1:].tolist(),
            "in_intervals": int((self.interval & (self.left > 0)).sum()),
            "before": int((self.interval & (self.left == 0)).sum()),
            "person_time": float((self.stop - self.start).sum()),
            "origin": float(self.start.min()),
            "horizon": float(self.stop.max()),
            "entered_late": int((self.start > self.start.min()).sum()),
        }

    def of_cause(self, cause: int) -> RowsFollowed:
        """The same with the events of other causes censored."""
        return replace(self, status=(self.status == cause).astype(float))

    @property
    def interval(self) -> np.ndarray:
        """Whose event is known only to lie in an interval (n,)."""
        return (self.status > 0) & (self.left < self.stop)


def follow_up(outcome: Outcome) -> RowsFollowed:
    """That of an outcome whose response is Surv(...)."""
    assert outcome.trials is not None
    return rows_followed(outcome.values, outcome.trials)


def rows_followed(stop: np.ndarray, others: np.ndarray) -> RowsFollowed:
    """That of an outcome's `values` (n,) and `trials` (n, 3)."""
    return RowsFollowed(others[:, 0], others[:, 1], stop, others[:, 2])


def read_event_time(table: Table, response: Response, censored: Any, declared: Sequence[Any] | None = None) -> Outcome:
    """The response Surv(...): `values` are the ends of the rows, `trials` (n, 3) their starts, left ends and status, `levels` several
    causes; `declared` are those that the user named."""
    surv = response.event
    if surv is None:
        raise InputError(
            f"the response of survival is Surv(time, event), or Surv(start, stop, event), not {response.value.text!r}"
        )
    problems: list[str] = []
    status, causes = read_status(surv, table, censored, declared, problems)
    if status is None:
        raise InputError(*problems)
    event = "the event" if surv.event is None else event_text(surv.event)
    start, left, stop, status = intervals(surv.kind, [_times(t, table) for t in surv.times], status)
    name = surv.times[-1].text
    _check_times(table, name, start, left, stop)
    if not (status > 0).any():
        raise InputError(
            f"event: no events: {event!r} is censored in all {plural(table.rows, 'row')}, so nothing is known of the hazard"
        )
    counts = np.bincount(status, minlength=len(causes) + 1)[1:]
    words = f"{name}: time to {event}, {plural(int(counts.sum()), 'event')} in {table.rows} rows"
    rows = np.column_stack([start, left, status]).astype(float)
    log_rate = float(np.log(counts.sum() / (stop - start).sum()))
    if len(causes) == 1:
        return Outcome(name, stop, rows, log_rate, 1.0, words)
    _check_causes(causes, counts)
    of_causes = listing(f"{n} of {cause!r}" for n, cause in zip(counts, causes, strict=True))
    note = (
        f"event: {event!r} has {len(causes)} causes, {listing(map(repr, causes))}, each with a hazard of its own; of one event alone write "
        f"Surv(..., {event} == {causes[0]!r})"
    )
    log_rates = tuple((log_rate + np.log(counts / counts.sum())).tolist())
    return Outcome(
        name, stop, rows, log_rate, 1.0, f"{words}: {of_causes}", levels=causes, locations=log_rates, notes=(note,)
    )


def _check_causes(causes: Sequence[str], counts: np.ndarray) -> None:
    """Causes that never occur, and names that are one in the fit, are problems."""
    problems = [
        f"event: cause {cause!r} never occurs; leave it out of the causes, or correct its name"
        for cause, count in zip(causes, counts, strict=True)
        if count == 0
    ]
    names: dict[str, str] = {}
    for cause in causes:
        other = names.setdefault(variable_name(cause), cause)
        if other != cause:
            problems.append(
                f"event: causes {other!r} and {cause!r} would share the name {variable_name(cause)!r}; rename one"
            )
    if problems:
        raise InputError(*problems)


def cause_names(outcome: Outcome) -> tuple[str, ...]:
    """The names of the linear predictors: those of the causes, "" of an only one."""
    return tuple(map(variable_name, outcome.levels)) or ("",)


def _times(operand: Expression, table: Table) -> np.ndarray:
    """One of the times of Surv() (n,); NaN where it is missing."""
    missing = np.logical_or.reduce([table[c].missing for c in operand.columns])
    times = np.full(table.rows, np.nan)
    if not missing.all():
        times[~missing] = evaluate_expression(operand, table.take(~missing))
    return times


def _check_times(table: Table, name: str, start: np.ndarray, left: np.ndarray, stop: np.ndarray) -> None:
    """Times must be positive, and rows must not end before they begin."""
    problems = []
    bad = ~(np.isfinite(stop) & (stop > 0))
    if bad.any():
        value = f"{stop[bad][0]:g}" if np.isfinite(stop[bad][0]) else "missing"
        problems.append(f"event: times must be > 0: column {name!r} is {value} in {table.at(bad)}; correct or drop it")
    bad = (left < 0) | (start < 0)
    if bad.any():
        problems.append(
            f"event: times must be >= 0, the origin of time; {table.at(bad)} begins at {min(left[bad][0], start[bad][0]):g}"
        )
    bad = np.isfinite(stop) & (left > stop)
    if bad.any():
        problems.append(
            f"event: the interval in {table.at(bad)} ends before it begins ({left[bad][0]:g} > {stop[bad][0]:g})"
        )
    bad = np.isfinite(stop) & (start >= stop)
    if bad.any():
        problems.append(
            f"event: entry must be before exit, a row (start, stop] needs start < stop; {table.at(bad)} has {start[bad][0]:g} and {stop[bad][0]:g}"
        )
    if problems:
        raise InputError(*problems)


def doubtful_events(outcome: Outcome, columns: DesignMatrix) -> list[str]:
    """Sentences on few events for the coefficients, and on levels in which there is none, of each cause."""
    status, parameters, notes = follow_up(outcome).status, len(columns.labels), []
    for k, cause in enumerate(outcome.levels or ("",), start=1):
        had = status == k
        count, of = int(had.sum()), f" of cause {cause!r}" if cause else ""
        if parameters and count < EVENTS_PER_PARAMETER * parameters:
            notes.append(
                f"{plural(count, 'event')}{of} for {plural(parameters, 'coefficient')}: fewer than {EVENTS_PER_PARAMETER} for each, so their "
                "priors matter"
            )
        notes += [
            f"event: no event{of} in the {plural(int(rows.sum()), 'row')} where {words}; what the model says of {name} there rests on its prior"
            for name, words, rows in rows_of_levels(columns)
            if rows.any() and not (had & rows).any()
        ]
    return notes
