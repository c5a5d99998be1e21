"""The baseline hazard: the hazard at zero of covariates and marker, as a function of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing, shown
from glmm_zoo.families.tensors import Array, VariableLookup, matrix_product

BASELINE_WORDS = {
    "bspline": "a penalised B-spline of time", "piecewise": "constant between cut points",
    "weibull": "that of a Weibull distribution", "exponential": "constant over time",
}  # fmt: skip
BASELINE_HAZARDS = tuple(BASELINE_WORDS)
PIECES = 7
SEGMENTS, DEGREE = 9, 2  # of the spline, as in JMbayes2
EVENTS_PER_PIECE = 5
MOST_CUTS = 1000  # far above what events can tell; arbitrary


@dataclass(frozen=True)
class BaselineHazard:
    """log h0(t) on (origin, horizon], of one of the kinds `BASELINE_HAZARDS`; t counts from the origin.

    `cuts` are the inner cut points of "piecewise"; the pieces are open on the left, as in JM.

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
    origin: float = 0.0

    @cached_property
    def knots(self) -> np.ndarray:
        width = (self.horizon - self.origin) / SEGMENTS
        return self.origin + width * np.arange(-DEGREE, SEGMENTS + DEGREE + 1)

    @property
    def ends(self) -> np.ndarray:
        """The knots of "bspline", also those outside the follow-up; else where pieces, or the one piece, begin and end."""
        return self.knots if self.kind == "bspline" else np.array([self.origin, *self.cuts, self.horizon])

    @property
    def size(self) -> int:
        """The number of coefficients of log h0, but for the shape of "weibull"."""
        return {"piecewise": len(self.cuts) + 1, "bspline": SEGMENTS + DEGREE}.get(self.kind, 1)

    @property
    def variable(self) -> str:
        """The name of the coefficients' variable, as reported."""
        return {"piecewise": "log_h0", "bspline": "h0_weights"}.get(self.kind, "surv_Intercept")

    @property
    def dim(self) -> str | None:
        """The dimension of the coefficients; None for a single one."""
        return {"piecewise": "piece", "bspline": "h0_basis"}.get(self.kind)

    @property
    def labels(self) -> list[str]:
        """A label of every coefficient: its piece, or its number."""
        if self.kind == "piecewise":
            ends = [self.origin, *self.cuts, self.horizon]
            return [f"{a:g}-{b:g}" for a, b in pairwise(ends)]
        return [str(i + 1) for i in range(self.size)]

    @cached_property
    def random_walk(self) -> tuple[np.ndarray, np.ndarray]:
        """v (size,) and A (size, size - 2) of the random walk of "bspline"."""
        D2 = np.diff(np.eye(self.size), 2, axis=0)
        return np.linspace(-1.0, 1.0, self.size), D2.T @ np.linalg.inv(D2 @ D2.T)

    def basis(self, t: np.ndarray) -> np.ndarray:
        """Columns (N, size) that the coefficients of log h0(t) are multiplied with, but for the shape of "weibull"."""
        if self.kind == "piecewise":
            return np.eye(self.size)[self.piece(t)]
        if self.kind == "bspline":
            x = (np.clip(t, self.origin, self.horizon) - self.origin) / (self.horizon - self.origin) * SEGMENTS
            segment = np.minimum(x.astype(int), SEGMENTS - 1)
            u, columns = x - segment, np.zeros((len(x), self.size))
            for k, values in enumerate(((1 - u) ** 2 / 2, (1 + 2 * u - 2 * u**2) / 2, u**2 / 2)):  # quadratic
                columns[np.arange(len(x)), segment + k] = values
            return columns
        return np.ones((len(t), 1))

    def piece(self, t: np.ndarray) -> np.ndarray:
        """The number (N,) of the piece that each time is in."""
        return np.searchsorted(self.cuts, t, side="left")

    def log_hazard(self, t: np.ndarray, cause: int | None, value_of: VariableLookup, xp: Any) -> Array:
        """log h0(t) (N,) of a cause, or a scalar where it does not change; `xp` is NumPy or `pytensor.tensor`."""
        coefficients = for_cause(value_of(self.variable), cause)
        if self.kind == "piecewise":
            return coefficients[self.piece(t)]
        if self.kind == "bspline":
            return matrix_product(self.basis(t), coefficients)
        if self.kind == "exponential":
            return coefficients
        shape = for_cause(value_of("weibull_shape"), cause)
        return coefficients + xp.log(shape) + (shape - 1.0) * np.log(t - self.origin)


class CachedBaselineHazard(BaselineHazard):
    """A baseline hazard that keeps the columns of each array of times it is given: in prediction the same points in time come again
    with every draw."""

    @cached_property
    def _columns(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        return {}

    def basis(self, t: np.ndarray) -> np.ndarray:
        if id(t) not in self._columns:
            self._columns[id(t)] = t, super().basis(t)  # with t, so that no other array has its id
        return self._columns[id(t)][1]


def for_cause(values: Array, cause: int | None) -> Array:
    """The elements of a variable for one cause, its last axis; the whole variable where there is one cause, None."""
    return values if cause is None else values[..., cause]


def read_baseline_hazard(
    kind: str, cuts: Any, event_times: np.ndarray, origin: float, horizon: float
) -> BaselineHazard:
    """The baseline hazard that the user asked for, of a follow-up from the origin to the horizon.

    `cuts` is a number of cut points, at quantiles of the times of events, or their times, or None for a number that leaves
    `EVENTS_PER_PIECE` events or more in each piece; or what the spec of another fit says of its baseline, which this one is then.

    Raises
    ------
    InputError
        Unknown kinds; cut points that are not increasing inside the follow-up, or belong to another kind.
    """
    if kind not in BASELINE_HAZARDS:
        raise InputError(
            f"unknown baseline {kind!r}{did_you_mean(str(kind), BASELINE_HAZARDS) or ';'} known: {listing(BASELINE_HAZARDS)}"
        )
    if isinstance(cuts, Mapping):
        return _baseline_of_another_fit(kind, cuts, origin)
    if cuts is not None and kind != "piecewise":
        raise InputError(f"cuts belong to baseline='piecewise', not to {kind!r}")
    if kind != "piecewise":
        return BaselineHazard(kind, horizon, origin=origin)
    if isinstance(cuts, int) and cuts > MOST_CUTS:
        raise InputError(f"cuts must be at most {MOST_CUTS:,} cut points, not {cuts:,}")
    if isinstance(cuts, Sequence | np.ndarray) and not isinstance(cuts, str):
        points = np.asarray(cuts, float)
        inside = np.all((points > origin) & (points < horizon))
        if not (inside and np.all(np.diff(points) > 0)):
            raise InputError(
                f"cuts are increasing times inside the follow-up, between {origin:g} and {horizon:g}, not {listing(points.tolist())}"
            )
    elif cuts is None or (isinstance(cuts, int) and not isinstance(cuts, bool) and cuts >= 0):
        pieces = cuts + 1 if cuts is not None else max(1, min(PIECES, len(event_times) // EVENTS_PER_PIECE))
        points = np.unique(np.quantile(event_times, np.linspace(0, 1, pieces + 1)[1:-1]))
    else:
        raise InputError(f"cuts is a number of cut points or a list of times, not {cuts!r}")
    return BaselineHazard(kind, horizon, points[points < horizon], origin)


def _baseline_of_another_fit(kind: str, known: Mapping[str, Any], origin: float) -> BaselineHazard:
    try:
        other, start, horizon = known["baseline"], float(known["origin"]), float(known["horizon"])
        points = np.array(known["cuts"], float)
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"cuts as a dict are what the spec of another fit says of its baseline, with 'baseline', 'cuts', 'origin' and 'horizon', not {shown(known)}"
        ) from None
    if (other, start) != (kind, origin):
        raise InputError(
            f"cuts are of baseline={other!r} from {start:g} on, and this is baseline={kind!r} from {origin:g} on; give cuts of a fit with the same "
            "baseline and first entry"
        )
    return BaselineHazard(kind, horizon, points, origin)
