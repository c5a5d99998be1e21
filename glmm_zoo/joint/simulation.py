"""Events drawn from a joint model, given its parameters and effects: times at which the cumulative hazard reaches what is drawn.

    H_i(T_i) = H_i(V_i) + E_i,  E_i ~ Exponential(1),   the cause at T_i is k with probability h_ik(T_i) / h_i(T_i)

from the entry V_i on. Events that come again follow each other with E's of their own. H is added up over short pieces of the follow-up, and
within a piece the time is found by bisection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from glmm_zoo.families.tensors import VariableLookup
from glmm_zoo.joint.hazards import HazardIntegral, HazardModel

_PIECES = 16  # of every row of the follow-up
_HALVINGS = 45
_MOST = 1000  # events of one subject


@dataclass(frozen=True)
class DrawnEvents:
    """Events (m,) by subject and time: the `row` of the follow-up in which each came, its `time` and its `cause`, from 1."""

    row: np.ndarray
    time: np.ndarray
    cause: np.ndarray


def draw_events(
    hazard: HazardModel, value_of: VariableLookup, until: np.ndarray, rng: np.random.Generator
) -> DrawnEvents | None:
    """The events of subjects (n,) who are followed until `until` (n,), in the last of their rows too; of those that do not come again
    the first. None where the hazard is too large for numbers, or has more than a thousand events of one subject.
    """
    events, n = hazard.events, len(hazard.events.ids)
    end = events.stop.copy()
    end[events.last] = until
    share = np.arange(_PIECES + 1) / _PIECES
    ends = events.begin[:, None] + np.maximum(end - events.begin, 0.0)[:, None] * share
    row, low, high = np.repeat(np.arange(len(end)), _PIECES), ends[:, :-1].ravel(), ends[:, 1:].ravel()
    dH = _integrals(hazard, row, low, high, value_of)
    total = np.cumsum(dH)
    if not np.isfinite(total[-1]):
        return None
    last = total[(events.last + 1) * _PIECES - 1]
    reached, targets = np.append(0.0, last[:-1]), []
    for _ in range(_MOST if events.recurrent else 1):
        reached = reached + rng.exponential(size=n)
        targets.append(reached[reached < last])
    if events.recurrent and len(targets[-1]):
        return None
    target = np.sort(np.concatenate(targets))
    piece = np.searchsorted(total, target)
    time = _time_within(hazard, row[piece], low[piece], high[piece], target - (total - dH)[piece], value_of)
    return DrawnEvents(row[piece], time, _causes(hazard, row[piece], time, value_of, rng))


def survives_to_entry(
    hazard: HazardModel, subjects: np.ndarray
) -> Callable[[VariableLookup, np.random.Generator], np.ndarray]:
    """From effects to whether each of these subjects (k,) survives from the origin until its entry, drawn."""
    events, each = hazard.events, np.arange(len(subjects))
    first, origin = np.searchsorted(events.subject, subjects), np.full(len(subjects), events.origin)
    integral = hazard.integral(subjects, first, origin, events.entry[subjects])
    return lambda value_of, rng: rng.exponential(size=len(each)) > _sums(integral, each, value_of)


def _sums(integral: HazardIntegral, each: np.ndarray, value_of: VariableLookup) -> np.ndarray:
    """The cumulative hazard of all causes (k,) over each interval."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sum([integral.sums(each, len(each), k, value_of, np) for k in integral.hazard.causes], axis=0)


def _integrals(
    hazard: HazardModel, row: np.ndarray, a: np.ndarray, b: np.ndarray, value_of: VariableLookup
) -> np.ndarray:
    """The cumulative hazard (k,) of all causes over intervals (a, b] in rows of the event."""
    return _sums(hazard.integral(hazard.events.subject[row], row, a, b), np.arange(len(row)), value_of)


def _time_within(
    hazard: HazardModel, row: np.ndarray, low: np.ndarray, high: np.ndarray, H: np.ndarray, value_of: VariableLookup
) -> np.ndarray:
    """The times (k,) in intervals (low, high] at which the hazard has added up to H (k,) since low."""
    start = low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        over = _integrals(hazard, row, start, middle, value_of) >= H
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return high


def _causes(
    hazard: HazardModel, row: np.ndarray, t: np.ndarray, value_of: VariableLookup, rng: np.random.Generator
) -> np.ndarray:
    """The cause (k,) of each event, from 1."""
    points = hazard.points(hazard.events.subject[row], row, t)
    log_h = np.array([hazard.log_hazard(points, k, value_of, np) for k in hazard.causes])
    return 1 + np.argmax(log_h + rng.gumbel(size=log_h.shape), axis=0)
