"""Competing causes of an event in rows of covariates: incidence of each, time lost to each, and being free of all.

    survival    S(t) = E exp(-sum_k H_k(t | eta_k)),  eta normal over the group effects, correlated between causes by a label
    incidence   F_k(t) = E int_0^t h_k(s | eta_k) exp(-sum_l H_l(s | eta_l)) ds
    rmtl        int_0^t F_k(s) ds,  rmst = t - sum_k rmtl_k

Time is cut into short intervals, at jumps of the hazards too, in each of which the ratio of the hazards and their sum are constant: of
piecewise hazards that is exact, of others the error is about 1e-3 of the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce

import numpy as np

from glmm_zoo.estimands.fitted import INCIDENCE, OF_CAUSES, RESTRICTED_MEAN, SURVIVAL, TIME_LOST
from glmm_zoo.estimands.normal_means import Normal, mean_of_several
from glmm_zoo.estimands.row_values import RowPredictors
from glmm_zoo.families.causes import own_of_cause
from glmm_zoo.families.family import EventTimes

_INTERVALS = 30  # until the last time, shorter in the beginning
_LITTLE = 1e-8  # of a cumulative hazard in an interval, below which its course there does not matter
_WIDE = (0.6, 1.2, 2.4)  # sds
_STEEPNESS = 1.3  # of exp(-exp(.)) against the inverse logit
_RADIUS = 4.4  # outside of which is 6e-5 of two effects


def values_over_time(
    laws: Mapping[str, EventTimes],
    own: Mapping[str, np.ndarray],
    p: RowPredictors,
    scale: str,
    times: Sequence[float],
) -> np.ndarray:
    """What a scale is at increasing times: (times, S, m), of each cause (causes times, S, m); `own` on the scales of the density.

    Draws in which effects are wide need many more points than most do, so that they are computed apart.
    """
    scaled = _scaled(laws, own, p).values()
    sds = np.sqrt(np.max([np.broadcast_to(x.variance.max(axis=1), len(x.mean)) for x in scaled], axis=0))  # (S,)
    parts = [np.flatnonzero(np.digitize(sds, _WIDE) == k) for k in range(len(_WIDE) + 1)]
    found = [_values(laws, *_of_draws(own, p, at), scale, times) for at in parts if len(at)]
    return np.concatenate(found, axis=1)[:, np.argsort(np.concatenate(parts))]


def _values(
    laws: Mapping[str, EventTimes],
    own: Mapping[str, np.ndarray],
    p: RowPredictors,
    scale: str,
    times: Sequence[float],
) -> np.ndarray:
    ends = _ends(laws, scale, np.asarray(times, float))
    courses = {cause: law.course(ends, own_of_cause(cause, own)) for cause, law in laws.items()}
    spreads = {cause: law.spread(own_of_cause(cause, own)) for cause, law in laws.items()}

    def at(scaled: Mapping[str, np.ndarray]) -> np.ndarray:
        of_row = {cause: courses[cause](z * spreads[cause]) for cause, z in scaled.items()}
        found = dict(zip(ends.tolist(), _along(list(of_row.values()), ends, scale), strict=True))
        values = [
            found[t] if t > ends[0] else found[ends[0]] - (ends[0] - t) * (scale == RESTRICTED_MEAN) for t in times
        ]
        return np.stack(values, axis=-3).reshape(-1, *values[0].shape[-2:])

    covariances = {
        pair: C / reduce(lambda a, b: a * b, (spreads[c] for c in pair)) for pair, C in p.covariances.items()
    }
    return mean_of_several(at, _scaled(laws, own, p), covariances, _STEEPNESS, _RADIUS)


def _scaled(laws: Mapping[str, EventTimes], own: Mapping[str, np.ndarray], p: RowPredictors) -> dict[str, Normal]:
    """The linear predictors in units of the change over which survival falls."""
    spreads = {cause: law.spread(own_of_cause(cause, own)) for cause, law in laws.items()}
    return {c: Normal(x.mean / spreads[c], x.variance / spreads[c] ** 2) for c, x in p.variables.items()}


def _of_draws(
    own: Mapping[str, np.ndarray], p: RowPredictors, at: np.ndarray
) -> tuple[dict[str, np.ndarray], RowPredictors]:
    """Only these draws, where there is more than one."""

    def taken(x: np.ndarray) -> np.ndarray:
        return x[at] if len(x) > 1 else x

    variables = {c: Normal(taken(x.mean), taken(x.variance)) for c, x in p.variables.items()}
    covariances = {pair: taken(C) for pair, C in p.covariances.items()}
    return {name: taken(x) for name, x in own.items()}, RowPredictors(variables, covariances, {})


def _along(risks: Sequence[Callable[[int], np.ndarray]], ends: np.ndarray, scale: str) -> Iterator[np.ndarray]:
    """What a scale is at each of the ends, the first of which is the origin, (S, m) or (causes, S, m), of given cumulative hazards."""
    before = [0.0 * risk(0) for risk in risks]
    total = reduce(np.add, before)
    free, alive = np.ones_like(total), np.full_like(total, ends[0])
    F, lost = np.zeros((2, len(risks), *total.shape))
    told = {INCIDENCE: F, TIME_LOST: lost, RESTRICTED_MEAN: alive}
    yield told.get(scale, free).copy()
    for j, width in enumerate(np.diff(ends), start=1):
        until = [risk(j) for risk in risks]
        in_all = reduce(np.add, until)
        still, while_free = np.exp(-in_all), free.copy()  # the mean of S in the interval
        added = in_all - total
        if scale != SURVIVAL:
            np.divide(free - still, added, out=while_free, where=added > _LITTLE)
            alive += width * while_free
        for k, (a, b) in enumerate(zip(before, until, strict=True) if scale in OF_CAUSES else ()):
            rise = b - a
            if scale == TIME_LOST:
                lost[k] += width * (F[k] + rise / np.maximum(added, _LITTLE) * (free - while_free))
            rise *= while_free
            F[k] += rise
        free, before, total = still, until, in_all
        yield told.get(scale, free).copy()


def _ends(laws: Mapping[str, EventTimes], scale: str, times: np.ndarray) -> np.ndarray:
    """The ends of the intervals, the first of which is the origin of the hazards."""
    origin = min(law.origin for law in laws.values())
    steps = (np.arange(1, _INTERVALS + 1) / _INTERVALS) ** 2 if scale != SURVIVAL else np.empty(0)
    breaks = np.concatenate([law.breaks for law in laws.values()])
    ends = np.unique([*times, *(origin + max(times[-1] - origin, 0.0) * steps), *breaks])
    return np.append(origin, ends[(ends > origin) & (ends <= times[-1])])
