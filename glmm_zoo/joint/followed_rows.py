"""What can be wrong with the rows of an event: rows that do not follow each other, and parts of its formula. Imports no PyMC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from glmm_zoo.errors import listing, plural
from glmm_zoo.families.event_status import event_text
from glmm_zoo.formulas.terms import EventFormula, quoted
from glmm_zoo.tables.columns import Table

_SHOWN_IDS = 5  # ids in a message


@dataclass(frozen=True)
class FollowedRows:
    """Rows (R,) of follow-up: the subject's position, (start, stop], the left end of an event's interval, the status."""

    subject: np.ndarray
    start: np.ndarray
    left: np.ndarray
    stop: np.ndarray
    status: np.ndarray

    def take(self, rows: np.ndarray) -> FollowedRows:
        return FollowedRows(*(x[rows] for x in (self.subject, self.start, self.left, self.stop, self.status)))


def quoted_ids(ids: Iterable[str]) -> str:
    """`"'3', '7'"`: ids for a message, cut after the first few."""
    return listing(map(repr, ids), _SHOWN_IDS)


def ids_in_words(id: str, ids: Iterable[str]) -> str:
    """`"id '3', '7'"`: the name of the subject column and ids, for a message."""
    return f"{id} {quoted_ids(ids)}"


def last_rows(subject: np.ndarray) -> np.ndarray:
    """The last row (n,) of every subject; rows are sorted by subject (R,)."""
    return np.append(np.flatnonzero(np.diff(subject)), len(subject) - 1)


def own_columns_as_covariates(formula: EventFormula, columns: Sequence[str]) -> list[str]:
    """A sentence on columns of Surv() that are covariates of the event, or of its association, too."""
    own = {c for part in (*formula.times, *([formula.event] if formula.event else [])) for c in part.columns}
    both = [c for c in dict.fromkeys([*formula.covariates.predictor_columns, *columns]) if c in own]
    return (
        [
            f"event: {listing(map(repr, both))} is a part of {formula.text.split('~')[0].strip()} and a covariate too: how and when follow-up "
            "ended cannot explain itself; leave it out of the covariates"
        ]
        if both
        else []
    )


def misplaced_parts(formula: EventFormula, recurrent: bool, id: str) -> list[str]:
    """Sentences on a frailty that is none of subjects with recurrent events, and on recurrent events without rows."""
    if formula.covariates.groups and not recurrent:
        return [
            f"event: a frailty, {formula.covariates.groups[0].source}, is of events that come again, recurrent=True; of one event for each "
            'subject it is association="shared_effects"'
        ]
    others = [
        g.source
        for g in formula.covariates.groups
        if (g.effects_text, g.factor_source, g.label) != ("1", quoted(id), None)
    ]
    if others:
        return [f"event: its only group effects are a frailty of the subject, (1 | {id}), not {others[0]}"]
    if recurrent and formula.kind != "counting":
        return [
            "event: recurrent=True needs rows (start, stop], one up to each event and one from the last to the end of follow-up: "
            "Surv(start, stop, event) ~ ..."
        ]
    return []


def check_times(
    formula: EventFormula,
    table: Table,
    id: str,
    ids: Sequence[str],
    rows: FollowedRows,
    recurrent: bool,
    problems: list[str],
) -> None:
    """Times must be positive, intervals must not end before they begin, and rows of a subject must follow each other; where events come
    again there may be time between them."""

    def subjects(where: np.ndarray) -> str:
        return ids_in_words(id, [ids[int(i)] for i in np.unique(rows.subject[where])])

    start, left, stop = rows.start, rows.left, rows.stop
    name = formula.times[-1].text
    bad = ~(np.isfinite(stop) & (stop > 0))
    if bad.any():
        value = stop[bad][0]
        problems.append(
            f"event: times must be > 0: {name!r} is {f'{value:g}' if np.isfinite(value) else 'missing'} for {subjects(bad)} "
            f"({table.at(bad)}); correct or drop them, in the longitudinal data too"
        )
    bad = np.isfinite(stop) & ~(left <= stop)
    if bad.any():
        problems.append(
            f"event: the interval of {subjects(bad)} ends before it begins ({left[bad][0]:g} > {stop[bad][0]:g})"
        )
    bad = (left < 0) | (start < 0)
    if bad.any():
        problems.append(f"event: times must be >= 0: {subjects(bad)} begins before 0, the origin of time")
    if formula.kind != "counting":
        return
    bad = ~(start < stop)
    if bad.any():
        problems.append(f"event: a row (start, stop] needs start < stop; not so for {subjects(bad)} ({table.at(bad)})")
    goes_on = np.append(rows.subject[1:] == rows.subject[:-1], False)  # in a further row of the subject
    next_start = np.append(start[1:], 0.0)
    apart = next_start - stop
    bad = goes_on & ((-apart if recurrent else np.abs(apart)) > 1e-9 * np.maximum(1.0, np.abs(stop)))
    if bad.any():
        problems.append(
            f"event: rows (start, stop] of a subject follow each other without {'' if recurrent else 'gap or '}overlap; not so for "
            f"{subjects(bad)} ({stop[bad][0]:g} is followed by {next_start[bad][0]:g})"
        )
    bad = goes_on & (rows.status > 0) & (not recurrent)
    if bad.any():
        problems.append(
            f"event: {subjects(bad)} has an event before the last row; an event ends the follow-up, unless events come again, "
            "recurrent=True"
        )


def check_some_event(formula: EventFormula, rows: FollowedRows, ids: Sequence[str], problems: list[str]) -> None:
    """There must be an event."""
    if (rows.status > 0).any():
        return
    what = "the event" if formula.event is None else repr(event_text(formula.event))
    problems.append(
        f"event: no events: {what} is censored for all {plural(len(ids), 'subject')}, so nothing is known of the hazard"
    )
