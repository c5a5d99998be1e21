"""The hazard at zero of covariates and marker as a function of time. Imports the rooms to its left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.joint.events import Events
from glmm_zoo.joint.trajectories import Array, Get, times

BASELINES = ("bspline", "piecewise", "weibull", "exponential")
PIECES = 7
SEGMENTS, DEGREE = 9, 2  # of the spline, as in JMbayes2
EVENTS_PER_PIECE = 5


@dataclass(frozen=True)
class Baseline:
    """log h0(t) on (0, horizon]. `cuts` are the inner cut points of `piecewise`, left-open as in JM.

        exponential   log lambda
        weibull       log lambda + log k + (k - 1) log t                    h0 = lambda k t^(k - 1)
        piecewise     log xi_j on (c_(j-1), c_j]
        bspline       B(t)' theta, B quadratic on equal segments; theta = level + trend v + A e / sqrt(precision)

    with v from -1 to 1, e ~ Normal(0, 1) and D2 A = I: the second differences of theta are Normal(0, 1 / sqrt(precision)), a
    random walk of second order (JMbayes2's penalty). After the horizon, h0 stays as it was there.
    """

    kind: str
    horizon: float
    cuts: np.ndarray = field(default_factory=lambda: np.empty(0))

    @cached_property
    def knots(self) -> np.ndarray:
        width = self.horizon / SEGMENTS
        return width * np.arange(-DEGREE, SEGMENTS + DEGREE + 1)

    @property
    def size(self) -> int:
        """How many coefficients log h0 has."""
        return {"piecewise": len(self.cuts) + 1, "bspline": SEGMENTS + DEGREE}.get(self.kind, 1)

    @property
    def name(self) -> str:
        """The variable of the coefficients, as reported."""
        return {"piecewise": "log_h0", "bspline": "h0_weights"}.get(self.kind, "surv_Intercept")

    @property
    def dim(self) -> str | None:
        """Their dimension; None for a single one."""
        return {"piecewise": "piece", "bspline": "h0_basis"}.get(self.kind)

    @property
    def labels(self) -> list[str]:
        if self.kind == "piecewise":
            ends = [0.0, *self.cuts, self.horizon]
            return [f"{a:g}-{b:g}" for a, b in pairwise(ends)]
        return [str(i + 1) for i in range(self.size)]

    @cached_property
    def walk(self) -> tuple[np.ndarray, np.ndarray]:
        """v (size,) and A (size, size - 2)."""
        D2 = np.diff(np.eye(self.size), 2, axis=0)
        return np.linspace(-1.0, 1.0, self.size), D2.T @ np.linalg.inv(D2 @ D2.T)

    def basis(self, t: np.ndarray) -> np.ndarray:
        """Columns (N, size) of log h0(t), but for the shape of `weibull`."""
        if self.kind == "piecewise":
            return np.eye(self.size)[self.piece(t)]
        if self.kind == "bspline":
            from scipy.interpolate import BSpline

            inside = np.clip(t, 0.0, self.horizon * (1 - 1e-12))
            return BSpline.design_matrix(inside, self.knots, DEGREE).toarray()
        return np.ones((len(t), 1))

    def piece(self, t: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.cuts, t, side="left")

    def at(self, t: np.ndarray, k: int | None, get: Get, xp: Any) -> Array:
        """log h0_k(t) (N,), or a scalar."""
        coefficients = of_cause(get(self.name), k)
        if self.kind == "piecewise":
            return coefficients[self.piece(t)]
        if self.kind == "bspline":
            return times(self.basis(t), coefficients)
        if self.kind == "exponential":
            return coefficients
        shape = of_cause(get("weibull_shape"), k)
        return coefficients + xp.log(shape) + (shape - 1.0) * np.log(t)


def of_cause(values: Array, k: int | None) -> Array:
    """The part of a variable that is about cause k, its last axis; None where there is one cause."""
    return values if k is None else values[..., k]


def read_baseline(kind: str, cuts: Any, events: Events) -> Baseline:
    """The baseline hazard asked for.

    Raises
    ------
    InputError
        Unknown kinds; cut points that are not increasing inside the follow-up, or belong to another kind.
    """
    if kind not in BASELINES:
        raise InputError(
            f"unknown baseline {kind!r}{did_you_mean(str(kind), BASELINES) or ';'} known: {listing(BASELINES)}"
        )
    if cuts is not None and kind != "piecewise":
        raise InputError(f"cuts belong to baseline='piecewise', not to {kind!r}")
    times = np.sort(events.time[events.status > 0])
    if kind != "piecewise":
        return Baseline(kind, events.horizon)
    if isinstance(cuts, Sequence | np.ndarray) and not isinstance(cuts, str):
        points = np.asarray(cuts, float)
        if len(points) and not (np.all(np.diff(points) > 0) and points[0] > 0 and points[-1] < events.horizon):
            raise InputError(
                f"cuts are increasing times inside the follow-up, between 0 and {events.horizon:g}, not {listing(points.tolist())}"
            )
    elif cuts is None or (isinstance(cuts, int) and not isinstance(cuts, bool) and cuts >= 0):
        pieces = cuts + 1 if cuts is not None else max(1, min(PIECES, len(times) // EVENTS_PER_PIECE))
        points = np.unique(np.quantile(times, np.linspace(0, 1, pieces + 1)[1:-1]))
    else:
        raise InputError(f"cuts is a number of cut points or a list of times, not {cuts!r}")
    return Baseline(kind, events.horizon, points[points < events.horizon])
