"""Check the event against the longitudinal measurements: what can be wrong, or worth knowing, only of both tables together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from glmm_zoo.errors import plural
from glmm_zoo.families.event_times import EVENTS_PER_PARAMETER
from glmm_zoo.formulas.cells import rows_of_levels
from glmm_zoo.joint.events import Events, subject_positions
from glmm_zoo.joint.followed_rows import ids_in_words
from glmm_zoo.tables.columns import Column, Table

OTHER_UNIT = 100.0  # visits over a share of the follow-up smaller than 1 / this are in another unit
DOUBTFUL_UNIT = 10.0
LONG_FOLLOW_UP = 100.0  # times the median: arbitrary, far beyond what studies have
LATE_START = 0.5  # of the median follow-up: when nobody was seen before, time does not begin at 0


def check_events_and_visits(
    events: Events,
    visits: Mapping[str, Table],
    all_visits: Table,
    *,
    id: str,
    time: str,
    problems: list[str],
) -> list[str]:
    """Add to `problems` what is wrong between the event and the visits; return sentences that the user should know.

    `visits` has, by outcome, the columns of subject and time of the rows with a value of it, `all_visits` those of all rows.
    """
    measured: set[str] = set()
    last_visits: list[float] = []
    late_in_all = _late_visits(events, all_visits, id, time)[0]
    for outcome, table in visits.items():
        measured |= set(table[id].group_labels()[1])
        late, subject, t = _late_visits(events, table, id, time)
        negative = t < 0
        if negative.any():
            problems.append(
                f"column {time!r} must be >= 0, the time since the origin of the event's time; {table.at(negative)} has {t[negative][0]:g}"
            )
        last_visits.append(float(t[subject >= 0].max()) if (subject >= 0).any() else 0.0)
        if late.any():
            problems.append(_late_problem(events, outcome, late, subject, t, late_in_all, id, time))
    problems += _without_follow_up(events, measured, id)
    several_times = any(len(np.unique(table[time].values)) > 1 for table in visits.values())
    notes = _check_units(events, max(last_visits, default=0.0), several_times, time, problems)
    return [
        *notes, *_nobody_seen_early(events, all_visits, time), *_check_event_counts(events, problems), *_of_recurrence(events, id)
    ]  # fmt: skip


def _of_recurrence(events: Events, id: str) -> list[str]:
    """Sentences on time that rows leave out, and on a frailty that nothing tells of."""
    notes = []
    apart = np.append(events.start[1:] > events.stop[:-1] * (1 + 1e-9), False) & (
        events.subject == np.append(events.subject[1:], -1)
    )
    if events.recurrent and apart.any():
        who = ids_in_words(id, [events.ids[i] for i in np.unique(events.subject[apart])])
        notes.append(f"event: rows leave time out ({who}): they count as not at risk then")
    if events.frailty and events.counts.max() < 2:
        notes.append(
            "event: nobody has two events, so that the data hardly tell a frailty from the baseline hazard, and its sd rests on its prior"
        )
    return notes


def _nobody_seen_early(events: Events, all_visits: Table, time: str) -> list[str]:
    """A sentence where time runs from long before anybody was seen, such as age, and no entry is given."""
    t = all_visits[time].numbers("the time of a visit")
    if events.formula.kind != "right" or not len(t) or not t.min() > LATE_START * float(np.median(events.time)):
        return []
    times = ", ".join([*(x.text for x in events.formula.times), "..."])
    return [
        f"nobody is observed before {time!r} {t.min():g}, and the event's time runs from 0: all count as having survived until then; if they "
        f"are in the data because they did, give the time of entry, Surv(entry, {times}), or measure both times from the entry"
    ]


def _check_units(events: Events, last_visit: float, several_times: bool, time: str, problems: list[str]) -> list[str]:
    """Visits that end long before the follow-up are in another unit of time, or at least worth a note."""
    if not several_times or not last_visit > 0:
        return []
    if last_visit < float(np.median(events.time)) / OTHER_UNIT:
        problems.append(
            f"visits ({time!r}) end at {last_visit:g} while subjects are followed for {np.median(events.time):g} (median of the event's "
            "time): the two are on different scales; give both in one unit, for example days / 365.25"
        )
    elif last_visit < float(np.median(events.time)) / DOUBTFUL_UNIT:
        return [
            f"visits ({time!r}) end at {last_visit:g}, long before the follow-up (median {np.median(events.time):g}): the marker is "
            "extrapolated for most of it; if the two are in different units, give both in one"
        ]
    return []


def _check_event_counts(events: Events, problems: list[str]) -> list[str]:
    """Causes that never occur are a problem; few events for each parameter are worth a note."""
    notes = []
    parameters = len(events.covariates.labels) + 1
    for k, cause in enumerate(events.causes, 1):
        count = int((events.row_status == k).sum())
        if count == 0 and events.competing:
            problems.append(f"event: cause {cause!r} never occurs; leave it out of the causes, or correct its name")
        if 0 < count < EVENTS_PER_PARAMETER * parameters:
            by_cause = f" of cause {cause!r}" if events.competing else ""
            notes.append(
                f"{plural(count, 'event')}{by_cause} for {parameters} association and covariate parameters: fewer than "
                f"{EVENTS_PER_PARAMETER} for each, so their priors matter"
            )
        notes += _arms_without_events(events, k)
    return notes + _odd_times(events)


def _arms_without_events(events: Events, cause: int) -> list[str]:
    """Sentences on levels, and values of columns that have two, in which nobody has an event of the cause."""
    had = events.row_status == cause
    by_cause = f" of cause {events.causes[cause - 1]!r}" if events.competing else ""
    return [
        f"event: no event{by_cause} among the {plural(len(np.unique(events.subject[rows])), 'subject')} where {words}; what the model says of "
        f"{name} there rests on its prior"
        for name, words, rows in rows_of_levels(events.covariates)
        if had.any() and rows.any() and not (had & rows).any()
    ]


def _odd_times(events: Events) -> list[str]:
    """Sentences on events that all come at one time, and on a follow-up that is very much longer than the others."""
    name, came = events.formula.times[-1].text, events.stop[events.event_rows]
    notes = []
    if len(came) > 1 and len(np.unique(came)) == 1:
        notes.append(
            f"event: all {len(came)} events come at one time, {name!r} is {came[0]:g}: nothing tells when the hazard is high; "
            "give the time of each event, or, of a status at the end of a study, model the status itself (hierarchical_logistic)"
        )
    longest, usual = int(np.argmax(events.time)), float(np.median(events.time))
    if events.time[longest] > LONG_FOLLOW_UP * usual:
        notes.append(
            f"event: the longest follow-up, {name!r} of {events.ids[longest]!r}, is {events.time[longest]:g}, and half of all are below {usual:g}: "
            "the baseline hazard is spread over the longest; correct the time if it is a slip or in another unit"
        )
    return notes


def _late_visits(events: Events, table: Table, id: str, time: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every row (N,): whether its visit is after the end of follow-up, its subject (-1: not in the event data), its time."""
    subject = subject_positions(table, id, {label: i for i, label in enumerate(events.ids)})
    t = table[time].numbers("the time of a visit")
    return (subject >= 0) & (t > np.where(subject >= 0, events.time[subject], np.inf) * (1 + 1e-9)), subject, t


def _late_problem(
    events: Events,
    outcome: str,
    late: np.ndarray,
    subject: np.ndarray,
    t: np.ndarray,
    late_in_all: np.ndarray,
    id: str,
    time: str,
) -> str:
    """The sentence about measurements of an outcome after the end of their subject's follow-up."""
    name = events.formula.times[-1].text
    ids = ids_in_words(id, [events.ids[i] for i in np.unique(subject[late])])
    unit = (
        f"; most visits are: {time!r} and {name!r} seem to be in different units, give both in one"
        if late.mean() > 0.5
        else "; correct the times, or drop these rows: the marker is modelled while a subject is followed"
    )
    first = int(np.flatnonzero(late)[0])
    more = (
        f"; {int(late_in_all.sum())} of {plural(len(late_in_all), 'row')}, those without a value included"
        if len(late_in_all) > len(late)
        else ""
    )
    return (
        f"{int(late.sum())} of {plural(len(late), 'measurement')} of {outcome!r} come after their subject's event or censoring "
        f"({time!r} > {name!r}; {id} {events.ids[subject[first]]!r}: {t[first]:g} > {events.time[subject[first]]:g}; {ids}{more}){unit}"
    )


def contradictions(events: Events, visits: Table, columns: Sequence[str], id: str) -> list[str]:
    """Sentences on columns of both tables that never change within a subject in either, and are not the same in both."""
    own = {
        c
        for part in (*events.formula.times, *([events.formula.event] if events.formula.event else []))
        for c in part.columns
    }
    subject = subject_positions(visits, id, {label: i for i, label in enumerate(events.ids)})
    problems = []
    for name in (c for c in columns if c not in own):
        known = (subject >= 0) & ~visits[name].missing
        if visits[name].is_coded != events.table[name].is_coded or not known.any():
            continue
        label = _labels(visits[name])[known]
        other = _labels(events.table[name])
        first, of_event = np.unique(subject[known], return_index=True)[1], other[events.last]
        of_visit = np.empty(len(events.ids), object)
        of_visit[subject[known][first]] = label[first]
        changes = (label != of_visit[subject[known]]).any() or (other != of_event[events.subject]).any()
        differs = np.flatnonzero([v is not None and v != e for v, e in zip(of_visit, of_event, strict=True)])
        if len(differs) and not changes:
            i = int(differs[0])
            problems.append(
                f"column {name!r} says {of_visit[i]} of {id} {events.ids[i]!r} in the visits and {of_event[i]} in the event data "
                f"({ids_in_words(id, [events.ids[k] for k in differs])}); it never changes within a subject: correct one of the tables, or "
                "give what differs another name"
            )
    return problems


def _labels(column: Column) -> np.ndarray:
    """Values (n,) that can be compared between tables: text, numbers in 12 digits."""
    if column.is_coded:
        codes, levels = column.codes_and_levels()
        return np.array(levels, object)[codes]
    return np.array([f"{x:.12g}" for x in column.values.astype(float)], object)


def _without_follow_up(events: Events, measured: Collection[str], id: str) -> list[str]:
    """A sentence about subjects with measurements and no follow-up."""
    unknown = sorted(set(measured) - set(events.ids))
    if not unknown:
        return []
    return [
        f"{plural(len(unknown), 'subject')} with measurements {'is' if len(unknown) == 1 else 'are'} not in the event data "
        f"({ids_in_words(id, unknown)}); add their follow-up, or drop them"
    ]
