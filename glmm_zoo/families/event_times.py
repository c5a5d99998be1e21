"""Read Surv(...) as a response: from when each row is followed, when its event came, and what is known of it. Imports no PyMC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.families.event_status import event_text, intervals, read_status
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.cells import rows_of_levels
from glmm_zoo.formulas.population import DesignMatrix, evaluate_expression
from glmm_zoo.formulas.terms import Expression, Response
from glmm_zoo.tables.columns import Table

EVENTS_PER_PARAMETER = 10  # Peduzzi et al. (1995)


@dataclass(frozen=True)
class RowsFollowed:
    """Of every row (n,): (start, stop], the left end of the interval in which the event came, and the status, 0 or 1.

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
            "in_intervals": int((self.interval & (self.left > 0)).sum()),
            "before": int((self.interval & (self.left == 0)).sum()),
            "person_time": float((self.stop - self.start).sum()),
            "origin": float(self.start.min()),
            "horizon": float(self.stop.max()),
            "entered_late": int((self.start > self.start.min()).sum()),
        }

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


def read_event_time(table: Table, response: Response, censored: Any) -> Outcome:
    """The response Surv(...): `values` are the ends of the rows, `trials` (n, 3) their starts, left ends and status."""
    surv = response.event
    if surv is None:
        raise InputError(
            f"the response of survival is Surv(time, event), or Surv(start, stop, event), not {response.value.text!r}"
        )
    problems: list[str] = []
    status, causes = read_status(surv, table, censored, None, problems)
    if status is None:
        raise InputError(*problems)
    event = "the event" if surv.event is None else event_text(surv.event)
    if len(causes) > 1:
        raise InputError(
            f"event: {event!r} has {len(causes)} causes, {listing(map(repr, causes))}: the hazard of each is a model of its own, in which "
            f"the others are censored, Surv(..., {event} == {causes[0]!r})"
        )
    start, left, stop, status = intervals(surv.kind, [_times(t, table) for t in surv.times], status)
    name = surv.times[-1].text
    _check_times(table, name, start, left, stop)
    if not (status > 0).any():
        raise InputError(
            f"event: no events: {event!r} is censored in all {plural(table.rows, 'row')}, so nothing is known of the hazard"
        )
    followed = (stop - start).sum()
    log_rate = float(np.log((status > 0).sum() / followed))
    words = f"{name}: time to {event}, {plural(int((status > 0).sum()), 'event')} in {table.rows} rows"
    return Outcome(name, stop, np.column_stack([start, left, status]).astype(float), log_rate, 1.0, words)


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
    """Sentences on few events for the coefficients, and on levels in which there is none."""
    status = follow_up(outcome).status > 0
    count, parameters = int(status.sum()), len(columns.labels)
    notes = []
    if parameters and count < EVENTS_PER_PARAMETER * parameters:
        notes.append(
            f"{plural(count, 'event')} for {plural(parameters, 'coefficient')}: fewer than {EVENTS_PER_PARAMETER} for each, so their priors matter"
        )
    return notes + [
        f"event: no event in the {plural(int(rows.sum()), 'row')} where {words}; what the model says of {name} there rests on its prior"
        for name, words, rows in rows_of_levels(columns)
        if rows.any() and not (status & rows).any()
    ]
