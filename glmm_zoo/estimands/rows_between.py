"""What is predicted of many rows that differ only in the means of their linear predictors: computed at few points, and interpolated.

A mean over group effects is a smooth function of the means of the linear predictors. Its polynomial through n Chebyshev points of an
interval of half width H has errors of about rho^-n with rho = y / H + sqrt(1 + (y / H)^2) for any y up to which it is analytic beside
the real line and bounded (Trefethen 2013, theorem 8.2). The probabilities themselves are so up to a `strip`; their mean over a normal
variable of standard deviation sd is so everywhere, and exp((y - strip)^2 / (2 sd^2)) times as large there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from glmm_zoo.estimands.row_values import RowPredictors

_DIGITS = {1: np.log(1e9), 2: np.log(1e5)}  # errors of about 1e-9 between points of one predictor, 1e-5 of two
_STRIP_OF_LOG_SCALE = 1.0
_WORTHWHILE = 0.7  # points for each row
_AT_ONCE = 4_000_000  # numbers
_FURTHER = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0])  # of y beyond the strip, in sds

type AtPoints = Callable[[Mapping[str, np.ndarray], int], np.ndarray]


def values_between(p: RowPredictors, pole: float, values: AtPoints, narrower: float = 1.0) -> np.ndarray | None:
    """Values (k, S, m) of rows; None where it is not worthwhile.

    `values(means, row)` gives those (k, S, n) of the row with other means (S, n) of its linear predictors; they are means of functions of
    scale times the main one without a pole nearer to the real line than `pole`. `narrower` is the share of its sd that a variable keeps.
    """
    shape = np.broadcast_shapes(*(x.mean.shape for x in p.variables.values()))
    alike = list(_alike(p, shape[1]))
    if len(alike) > _WORTHWHILE * shape[1]:
        return None
    grids = [(rows, _Grid.of(p, rows, pole, narrower)) for rows in alike]
    if sum(grid.points for _, grid in grids) > _WORTHWHILE * shape[1]:
        return None
    out: np.ndarray | None = None
    for rows, grid in grids:
        at_points = values(grid.means(), int(rows[0]))
        out = np.empty((len(at_points), *shape)) if out is None else out
        for draws, found in grid.between(at_points):
            out[:, draws][..., slice(None) if len(rows) == shape[1] else rows] = found
    return out


def _alike(p: RowPredictors, m: int) -> Iterator[np.ndarray]:
    """Rows (m,) in groups that have all in common but the means."""
    parts = [x.variance for x in p.variables.values()] + list(p.covariances.values())
    parts += [] if p.thresholds is None else list(p.thresholds)
    differing = [part.T for part in parts if part.shape[-1] > 1]
    if not differing:
        yield np.arange(m)
        return
    keys = np.ascontiguousarray(np.concatenate(differing, axis=1), dtype=np.float32)
    _, group = np.unique(keys.view(np.dtype((np.void, keys.itemsize * keys.shape[1]))).ravel(), return_inverse=True)
    order = np.argsort(group, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


@dataclass(frozen=True)
class _Axis:
    """The means (S, R) of a linear predictor in R rows as centre + half u, -1 <= u <= 1, and how many points of u there are."""

    u: np.ndarray
    centre: np.ndarray
    half: np.ndarray
    points: int

    @classmethod
    def of(cls, mean: np.ndarray, strip: np.ndarray, sd: np.ndarray, digits: np.ndarray) -> _Axis:
        """With the points that are needed for all of the strips (S, T) with as many digits (T,) each."""
        low, high = mean.min(axis=1, keepdims=True), mean.max(axis=1, keepdims=True)
        centre, half = 0.5 * (low + high), np.maximum(0.5 * (high - low), 1e-12)
        y = strip[..., None] + sd[..., None] * _FURTHER
        needed = (digits[:, None] + 0.5 * _FURTHER**2) / np.arcsinh(y / half[..., None])
        points = 1 if half.max() < 1e-9 else 1 + int(np.ceil(needed.min(axis=-1).max()))
        return cls((mean - centre) / half, centre, half, points)

    @property
    def places(self) -> np.ndarray:
        """The points (S, n)."""
        return self.centre + self.half * self._chebyshev

    @property
    def _chebyshev(self) -> np.ndarray:
        return np.cos(np.pi * (np.arange(self.points) + 0.5) / self.points)

    @property
    def to_coefficients(self) -> np.ndarray:
        """The matrix (n, n) from values at the points to coefficients of Chebyshev polynomials."""
        matrix = np.polynomial.chebyshev.chebvander(self._chebyshev, self.points - 1) * (2 / self.points)
        matrix[:, 0] /= 2
        return matrix

    def polynomials(self, draws: slice) -> np.ndarray:
        """Chebyshev polynomials (S, n, R)."""
        u = self.u[draws]
        T = np.empty((len(u), self.points, u.shape[1]))
        T[:, 0] = 1.0
        if self.points > 1:
            T[:, 1] = u
        for j in range(2, self.points):
            np.multiply(u, T[:, j - 1], out=T[:, j])
            T[:, j] *= 2
            T[:, j] -= T[:, j - 2]
        return T


@dataclass(frozen=True)
class _Grid:
    """Points of all linear predictors of some rows, those of one that needs most first."""

    axes: Mapping[str, _Axis]

    @classmethod
    def of(cls, p: RowPredictors, rows: np.ndarray, pole: float, narrower: float) -> _Grid:
        def own(x: np.ndarray) -> np.ndarray:
            return x[:, rows[:1]] if x.shape[1] > 1 else x

        sds = {name: np.sqrt(own(x.variance)) * narrower for name, x in p.variables.items()}
        zero, axes, digits = np.zeros((1, 1)), dict[str, _Axis](), _DIGITS[len(p.variables)]
        sd, highest = sds.get("disc", zero), zero
        if "disc" in p.variables:
            mean = p.variables["disc"].mean[:, rows]
            axes["disc"] = _Axis.of(mean, np.full((1, 1), _STRIP_OF_LOG_SCALE), sd, np.array([digits]))
            highest = mean.max(axis=1, keepdims=True)
        t = np.linspace(0.0, np.sqrt(2 * digits), 9) if sd.any() else np.zeros(1)
        slope = own(p.covariances.get(frozenset(("", "disc")), zero)) * narrower**2 / np.where(sd > 0, sd, 1.0)
        left = np.sqrt(np.maximum(sds[""] ** 2 - slope**2, 0.0))
        strips = pole * np.exp(-highest - sd * t)
        axes[""] = _Axis.of(p.variables[""].mean[:, rows], strips, left, digits - 0.5 * t**2)
        return cls(dict(sorted(axes.items(), key=lambda item: -item[1].points)))

    @property
    def points(self) -> int:
        return int(np.prod([axis.points for axis in self.axes.values()]))

    def means(self) -> dict[str, np.ndarray]:
        """The points (S, n) of each predictor, all with all."""
        first, *second = self.axes.items()
        many = second[0][1].points if second else 1
        found = {first[0]: np.repeat(first[1].places, many, axis=1)}
        return found | {name: np.tile(axis.places, (1, first[1].points)) for name, axis in second}

    def between(self, values: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Values (k, S, R) in the rows given those (k, S, n) at the points, some draws after the other."""
        k, size = values.shape[:2]
        first, *second = self.axes.values()
        many = second[0].points if second else 1
        C = np.einsum("ksab,ai->ksbi", values.reshape(k, size, first.points, many), first.to_coefficients)
        if second:
            C = np.einsum("ksbi,bj->ksji", C, second[0].to_coefficients)
        C = np.moveaxis(C, 0, 1)  # (S, k, points of the second, of the first)
        step = max(1, _AT_ONCE // (first.u.shape[1] * (first.points + (k + 1) * many)))
        for start in range(0, size, step):
            draws = slice(start, start + step)
            found = C[draws].reshape(-1, k * many, first.points) @ first.polynomials(draws)
            if many > 1:
                found = found.reshape(len(found), k, many, -1) * second[0].polynomials(draws)[:, None]
                found = found.sum(axis=2)
            yield draws, np.moveaxis(found, 0, 1)
