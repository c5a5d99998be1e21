"""Follow-up and visits of a joint model of survival, drawn from it: who enters as the design has it, and what ends with the event.

Subjects, entries, covariates and times of visits are those of the data, and ends of follow-up are as in `event_data`. Who entered late
is one of those who survived until then: its effects are drawn until it has. Visits are made until the event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.calibration.event_data import refuse_times, seen, write_events
from glmm_zoo.errors import InputError
from glmm_zoo.families.event_times import RowsFollowed
from glmm_zoo.inference.prior_draws import prior_as_fit
from glmm_zoo.joint.event_approximation import EventApproximation
from glmm_zoo.joint.events import Events, subject_positions
from glmm_zoo.joint.late_entry import levels_of_subjects, subject_group
from glmm_zoo.joint.prediction.fitted import EVENT_TABLE
from glmm_zoo.joint.simulation import DrawnEvents, draw_events, survives_to_entry
from glmm_zoo.results.storage import stored_table
from glmm_zoo.tables.frames import take_columns

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

_AT_ONCE, _ROUNDS = 64, 10  # draws of effects, until all have survived to their entry


@dataclass(frozen=True)
class DrawnFollowUp:
    """Parameters with responses, as `prior_as_fit` has them; the table of the event; and which rows of the visits were made."""

    drawn: xr.DataTree
    events: pd.DataFrame
    made: np.ndarray


def joint_event(model: Model) -> EventApproximation:
    """The event of a joint model."""
    assert isinstance(model.event, EventApproximation)
    return model.event


def refuse_follow_up(model: Model) -> None:
    """Raise an InputError for a joint model whose priors depend on the follow-up, or whose events have no place in its table."""
    of = joint_event(model)
    refuse_times(of.hazard.events.formula)
    if of.center:
        raise InputError(
            "with center=True the priors of a joint model of survival hold at the means of visits and markers, which are drawn too; calibrate it with "
            "center=False"
        )
    if not (of.hazard.events.row_status == 0).any():
        raise InputError(
            "calibration follows subjects as long as those without an event, and all have one; give data in which some are censored"
        )


def draw_follow_up(model: Model, seed: int, fixed: Mapping[str, np.ndarray]) -> DrawnFollowUp | None:
    """Parameters, effects and events of a joint model, and its responses given these; None where hazards are beyond all numbers, or nobody
    lives until an entry."""
    hazard, rng = joint_event(model).hazard, np.random.default_rng([seed, 1])
    truth = _of_survivors(model, seed, fixed, rng)
    if truth is None:
        return None
    events = hazard.events
    was = _rows(events)
    censored = (events.status == 0) | events.recurrent
    until = np.where(censored | (events.left < events.time), events.time, events.horizon)
    found = draw_events(hazard, truth.__getitem__, until, rng)
    if found is None:
        return None
    row, now = _seen(events, was, found, until)
    table = stored_table(
        prior := prior_as_fit(model, 1, seed, responses=True, fixed=_random(model, truth)), EVENT_TABLE
    )
    followed = table.loc[events.table.row_numbers].iloc[row].reset_index(drop=True)
    write_events(followed, events.formula, _take(was, row), now)
    visits = take_columns(stored_table(prior), [hazard.id, hazard.trajectories[0].time], "error", [])
    subject = subject_positions(visits, hazard.id, {label: i for i, label in enumerate(events.ids)})
    end = np.zeros(len(events.ids))
    np.maximum.at(end, events.subject[row], now.stop)
    return DrawnFollowUp(
        prior, followed, visits[hazard.trajectories[0].time].numbers("the time of a visit") <= end[subject]
    )


def _of_survivors(
    model: Model, seed: int, fixed: Mapping[str, np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray] | None:
    """All unobserved variables by name, drawn from their priors; effects of those who entered late are drawn until they survive to it."""
    hazard = joint_event(model).hazard
    truth = _by_name(prior_as_fit(model, 1, seed, fixed=fixed))(0)
    late = np.flatnonzero(hazard.events.entry > hazard.events.origin)
    if not len(late) or hazard.events.recurrent:
        return truth
    group = subject_group(model, hazard)
    if group.free("u") in fixed:
        return truth
    level = levels_of_subjects(hazard, group)
    others = {name: value for name, value in _random(model, truth).items() if name != group.free("u")}
    u, survive = truth[group.name("u")].copy(), survives_to_entry(hazard, late)
    waiting = np.full(len(late), True)
    for again in np.random.SeedSequence([seed, 2]).generate_state(_ROUNDS):
        draws = _by_name(prior_as_fit(model, _AT_ONCE, int(again), fixed=others))
        for m in range(_AT_ONCE):
            candidate = draws(m)
            here = level[late[waiting & survive(candidate.__getitem__, rng)]]
            u[here] = candidate[group.name("u")][here]
            waiting &= ~np.isin(level[late], here)
            if not waiting.any():
                return {**truth, group.name("u"): u}
    return None


def _by_name(tree: xr.DataTree) -> Callable[[int], dict[str, np.ndarray]]:
    """From a draw of the only chain to the variables by name."""
    values = {str(name): v.values[0] for name, v in tree["posterior"].dataset.data_vars.items()}
    return lambda m: {name: v[m] for name, v in values.items()}


def _random(model: Model, truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {str(v.name): truth[str(v.name)] for v in model.free_RVs}


def _rows(events: Events) -> RowsFollowed:
    """The rows (R,) of the event's table."""
    left = events.stop.copy()
    left[events.last] = events.left
    return RowsFollowed(events.begin, left, events.stop, events.row_status)


def _take(rows: RowsFollowed, at: np.ndarray) -> RowsFollowed:
    return RowsFollowed(rows.start[at], rows.left[at], rows.stop[at], rows.status[at])


def _seen(events: Events, was: RowsFollowed, found: DrawnEvents, until: np.ndarray) -> tuple[np.ndarray, RowsFollowed]:
    """Rows of the event that take the place of those in the data: which row each is a copy of, and what it says."""
    if events.formula.kind not in ("right", "counting"):
        times, causes = np.full(len(events.ids), np.inf), np.ones(len(events.ids), int)
        times[events.subject[found.row]] = found.time
        return np.arange(len(times)), seen(events.formula, was, times, causes)
    end = events.stop.copy()
    end[events.last] = until
    pieces: list[tuple[int, float, float, int]] = []
    ended = np.full(len(events.ids), False)
    for r, subject in enumerate(events.subject.tolist()):
        begin = was.start[r]
        for m in np.flatnonzero(found.row == r):
            pieces.append((r, begin, found.time[m], found.cause[m]))
            begin, ended[subject] = found.time[m], not events.recurrent
        if begin < end[r] and not ended[subject]:
            pieces.append((r, begin, end[r], 0))
    row, start, stop, status = (np.array(column) for column in zip(*pieces, strict=True))
    return row, RowsFollowed(start, stop, stop, status)
