"""Averages of what is predicted of very many rows: values at few points, and moments of where the rows are.

A mean over group effects is in each draw a smooth function of few numbers: mean and variance of the linear predictor, which differ
between rows; the rest of the draw is the same in all of them. Of its polynomial through Chebyshev points, sum_jk C_jk T_j(u) T_k(v), the
average over rows is sum_jk C_jk M_jk with the rows' moments M_jk = sum_i w_i T_j(u_i) T_k(v_i). Rows whose predictors are those of others
moved by a constant, as along the grid of a covariate, have the moments of those. How many points there are is decided by the last
coefficients, in every draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from scipy import sparse

from glmm_zoo.estimands.linear_rows import LinearRows, RandomTerm
from glmm_zoo.estimands.normal_means import Normal

FEWEST_ROWS = 1000  # that differ, for which it is worthwhile
_POINTS = 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 64  # along an axis
_LEAST = 12, 8, 8  # at first, along the axis with most rows apart and others
_MOST_AXES = 3
_WORTHWHILE, _MOST_POINTS = 0.5, 5000  # points times cells for each row, and at most
_LAST = 1e-9  # of the largest value in any draw: the last two coefficients
_ERROR = 1e-7  # of an average, by the same
_ROWS_AT_ONCE, _AT_ONCE, _VALUES_AT_ONCE = 500_000, 8_000, 200_000  # numbers
_BEND = 0.34  # 1 / sqrt(1 + v / 3): in that of the variance v a mean of the inverse logit is nearly a function of the mean alone

type Place = tuple[str, frozenset[str]]  # "mean", "variance" or "covariance" of linear predictors
type Places = dict[Place, np.ndarray]  # draws (S, m) of each, or (S, 1), (1, 1)
type Values = Callable[[Mapping[str, Normal], Mapping[frozenset[str], np.ndarray], slice], np.ndarray]  # of some draws
type Predictors = Callable[
    [dict[str, LinearRows]], tuple[Mapping[str, Normal], Mapping[frozenset[str], np.ndarray]]
]  # of the parts in rows


@dataclass(frozen=True)
class _Axis:
    """One number in which rows differ, between its ends (S, 1) in each draw; of a variance v they are those of 1 / sqrt(1 + v / 3)."""

    place: Place
    low: np.ndarray
    high: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        return 0.5 * (self.low + self.high)

    @property
    def half(self) -> np.ndarray:
        return np.maximum(0.5 * (self.high - self.low), 1e-12)

    def u(self, x: np.ndarray, draws: slice) -> np.ndarray:
        """Where values (S, m) are between the ends, from -1 to 1."""
        return (_bent(self.place, x) - self.centre[draws]) / self.half[draws]

    def at(self, u: np.ndarray) -> np.ndarray:
        """The values (S, n) at places u (n,)."""
        bent = self.centre + self.half * u
        return np.maximum((bent**-2.0 - 1.0) / _BEND, 0.0) if self.place[0] == "variance" else bent

    def moved(self, by: np.ndarray) -> _Axis:
        return _Axis(self.place, self.low + by, self.high + by)


@dataclass(frozen=True)
class _Moments:
    """Moments (cells, S, n_1 n_2 ...) of rows by their axes, and what all of them have in common."""

    rows: Mapping[str, LinearRows]
    weights: sparse.csr_array
    axes: tuple[_Axis, ...]
    common: Places
    of_first: Places
    counts: tuple[int, ...]
    most: float
    moments: np.ndarray


@dataclass
class RowMoments:
    """Averages of many rows by moments, which are kept for rows that are the same but for a constant."""

    _kept: list[_Moments] = field(default_factory=list)

    def averages(
        self,
        rows: dict[str, LinearRows],
        weights: sparse.csr_array,
        by_level: Sequence[str],
        predictors: Predictors,
        values: Values,
        different: Callable[[], int],
        *,
        share: bool,
    ) -> np.ndarray | None:
        """Weighted sums (k, S, cells) for `weights` (cells, m); None where that is not worthwhile.

        `values(variables, covariances, draws)` gives (k, S, n_1, ...) of linear predictors whose means and variances are
        (S, n_1, ...), or 1 along some axes, in these draws; a `share` is between 0 and 1. Of the factors `by_level` each row has the
        effects of its own level. So many rows are `different`, each of which takes a value otherwise.
        """
        place = self._of_kept(rows, weights, by_level, predictors) or _of_rows(rows, weights, predictors, different)
        if place is None:
            return None
        axes, common, most, kept = place
        counts = kept.counts if kept else tuple(_LEAST[: len(axes)])
        while True:
            C, last = _coefficients(axes, common, counts, values)
            largest = np.abs(C).sum(axis=-1).max(axis=1)[:, None] + 1e-300
            short = [bool((of_axis > _LAST * largest).any()) for of_axis in last]
            if not any(short):
                break
            counts = tuple(_more(n) if is_short else n for n, is_short in zip(counts, short, strict=True))
            if 0 in counts or np.prod(counts) > most:
                return None
        if kept is None or counts != kept.counts:
            moments = _moments(rows, weights, predictors, axes, counts)
            first = _places(*predictors(_taken(rows, [0])))
            kept = _Moments(rows, weights, axes, common, first, counts, most, moments)
            self._kept[:] = [kept]
        found = np.einsum("ksn,csn->ksc", C, kept.moments)
        if share:
            return np.maximum(found, 0.0)
        error = np.sum(last, axis=0)  # (k, S)
        return found if (error[:, :, None] * weights.sum(axis=1) <= _ERROR * np.abs(found)).all() else None

    def _of_kept(
        self, rows: dict[str, LinearRows], weights: sparse.csr_array, by_level: Sequence[str], predictors: Predictors
    ) -> tuple[tuple[_Axis, ...], Places, float, _Moments] | None:
        """Axes of rows that have the moments of those that are kept, the rest, and the most points."""
        for kept in self._kept:
            if not _same_weights(weights, kept.weights) or rows.keys() != kept.rows.keys():
                continue
            apart = {part for axis in kept.axes if axis.place[0] != "mean" for part in axis.place[1]}
            if not all(_differ_by_constant(rows[part], kept.rows[part], part in apart, by_level) for part in rows):
                continue
            first = _places(*predictors(_taken(rows, [0])))
            if first.keys() != kept.of_first.keys():
                continue
            moved = {
                axis.place: axis.moved(first[axis.place] - kept.of_first[axis.place])
                if axis.place[0] == "mean"
                else axis
                for axis in kept.axes
            }
            common = {place: x for place, x in first.items() if place not in moved}
            return tuple(moved.values()), common, kept.most, kept
        return None


# ---------------------------------------------------------------------------------------------------- where the rows are


def _places(variables: Mapping[str, Normal], covariances: Mapping[frozenset[str], np.ndarray]) -> Places:
    found: Places = {}
    for part, x in variables.items():
        found[("mean", frozenset((part,)))] = x.mean
        found[("variance", frozenset((part,)))] = x.variance
    return found | {("covariance", pair): x for pair, x in covariances.items()}


def _taken(rows: Mapping[str, LinearRows], places: Sequence[int] | np.ndarray) -> dict[str, LinearRows]:
    return {part: linear.take(np.asarray(places)) for part, linear in rows.items()}


def _bent(place: Place, x: np.ndarray) -> np.ndarray:
    return 1.0 / np.sqrt(1.0 + _BEND * x) if place[0] == "variance" else x


def _blocks(rows: Mapping[str, LinearRows], predictors: Predictors) -> Iterator[tuple[np.ndarray, Places]]:
    """Rows, some after the other, and where they are."""
    m = len(next(iter(rows.values())).offset)
    size = len(next(iter(predictors(_taken(rows, [0]))[0].values())).mean)
    step = max(1, _ROWS_AT_ONCE // size)
    for start in range(0, m, step):
        some = np.arange(start, min(start + step, m))
        yield some, _places(*predictors(_taken(rows, some)))


def _of_rows(
    rows: dict[str, LinearRows], weights: sparse.csr_array, predictors: Predictors, different: Callable[[], int]
) -> tuple[tuple[_Axis, ...], Places, float, None] | None:
    """In what the rows differ, the rest, and the most points; None where few rows differ, or in too much."""
    if (many := different()) < FEWEST_ROWS:
        return None
    most = min(_WORTHWHILE * many, _MOST_POINTS) / weights.shape[0]
    ends: dict[Place, tuple[np.ndarray, np.ndarray]] = {}
    for _, places in _blocks(rows, predictors):
        for place, x in places.items():
            bent = _bent(place, x)
            low, high = bent.min(axis=1, keepdims=True), bent.max(axis=1, keepdims=True)
            a, b = ends.get(place, (low, high))
            ends[place] = np.minimum(a, low), np.maximum(b, high)
        wide = [p for p, (low, high) in ends.items() if _apart(low, high)]
        if len(wide) > _MOST_AXES or np.prod(_LEAST[: len(wide)]) > most:
            return None
    first = _places(*predictors(_taken(rows, [0])))
    if not wide or first.keys() != ends.keys():  # all rows are the same, or covariances are 0 in some
        return None
    order = sorted(wide, key=lambda place: place[0] != "mean")
    return tuple(_Axis(p, *ends[p]) for p in order), {p: x for p, x in first.items() if p not in wide}, most, None


def _apart(low: np.ndarray, high: np.ndarray) -> bool:
    return bool((high - low > 1e-12 * (1 + np.abs(low) + np.abs(high))).any())


def _same_weights(a: sparse.csr_array, b: sparse.csr_array) -> bool:
    if a is b:
        return True
    parts = ((getattr(x, name) for x in (a, b)) for name in ("indptr", "indices", "data"))
    return a.shape == b.shape and all(np.array_equal(*pair) for pair in parts)


def _differ_by_constant(new: LinearRows, old: LinearRows, same_variance: bool, by_level: Sequence[str]) -> bool:
    """Whether the mean of a linear predictor is another one's and a constant, and its variance the same, or that of one row."""
    if len(new.blocks) != len(old.blocks) or len(new.random) != len(old.random) or new.unknown or old.unknown:
        return False
    if new.bounds or old.bounds or len(new.offset) != len(old.offset):
        return False
    pairs = [(a, b) for (a, _), (b, _) in zip(new.blocks, old.blocks, strict=True)]
    pairs.append((new.offset[:, None], old.offset[:, None]))
    if any(a.shape != b.shape or not _constant(a - b) for a, b in pairs):
        return False
    terms = zip(new.random, old.random, strict=True)
    return all(_same_term(a, b, same_variance or a.effects.factor in by_level) for a, b in terms)


def _constant(x: np.ndarray) -> bool:
    return bool((np.ptp(x, axis=0) <= 1e-12 * (1 + np.abs(x).max(axis=0, initial=0.0))).all())


def _same_term(new: RandomTerm, old: RandomTerm, same_columns: bool) -> bool:
    """Whether these are the same effects, with the same columns, or with some that are the same in all rows."""
    alike = [(new.codes, old.codes), (new.labels, old.labels), (new.stratum, old.stratum)]
    if new.neighbours is not None or new.effects.variable != old.effects.variable or new.places != old.places:
        return False
    if not all(a is b or np.array_equal(a, b) for a, b in alike):  # pyright: ignore[reportArgumentType, reportCallIssue]
        return False
    return np.array_equal(new.z, old.z) or (not same_columns and _constant(new.z) and _constant(old.z))


# ------------------------------------------------------------------------------------------------------------ polynomials


def _more(n: int) -> int:
    """The next number of points, 0 where there is none."""
    return next((k for k in _POINTS if k > n), 0)


@cache
def _chebyshev(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (n,), and the matrix (n, n) from values at them to coefficients of Chebyshev polynomials."""
    u = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    matrix = np.polynomial.chebyshev.chebvander(u, n - 1) * (2 / n)
    matrix[:, 0] /= 2
    return u, matrix


def _coefficients(
    axes: Sequence[_Axis], common: Places, counts: tuple[int, ...], values: Values
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Coefficients (k, S, n_1 n_2 ...), and for each axis the sums (k, S) of the last two along it."""
    size, d = max(x.shape[0] for x in [*common.values(), *(axis.low for axis in axes)]), len(axes)
    at = {place: x.reshape(len(x), *[1] * d) for place, x in common.items()}
    for j, (axis, n) in enumerate(zip(axes, counts, strict=True)):
        at[axis.place] = axis.at(_chebyshev(n)[0]).reshape(-1, *(n if i == j else 1 for i in range(d)))
    step, found = max(1, _VALUES_AT_ONCE // int(np.prod(counts))), []
    for start in range(0, size, step):
        draws = slice(start, min(start + step, size))
        here = {place: _draws_of(x, draws) for place, x in at.items()}
        variables = {
            part: Normal(here[("mean", only)], here[("variance", only)])
            for (kind, only) in here
            if kind == "mean"
            for part in only
        }
        of_some = values(variables, {pair: x for (kind, pair), x in here.items() if kind == "covariance"}, draws)
        found.append(np.broadcast_to(of_some, (len(of_some), draws.stop - start, *counts)))
    C = np.concatenate(found, axis=1)
    for j, n in enumerate(counts):
        C = np.moveaxis(np.moveaxis(C, j + 2, -1) @ _chebyshev(n)[1], -1, j + 2)
    sums = [np.abs(C).sum(axis=tuple(i + 2 for i in range(d) if i != j)) for j in range(d)]
    return C.reshape(*C.shape[:2], -1), [of_axis[..., -2:].sum(axis=-1) for of_axis in sums]


def _moments(
    rows: dict[str, LinearRows],
    weights: sparse.csr_array,
    predictors: Predictors,
    axes: Sequence[_Axis],
    counts: tuple[int, ...],
) -> np.ndarray:
    """(cells, S, n_1 n_2 ...)"""
    size = max(axis.low.shape[0] for axis in axes)
    found = np.zeros((weights.shape[0], size, int(np.prod(counts))))
    by_row = weights.tocsc()
    for some, places in _blocks(rows, predictors):
        in_block = sparse.csr_array(by_row[:, some])
        step = max(1, _AT_ONCE // len(some))
        for start in range(0, size, step):
            draws = slice(start, min(start + step, size))
            T = _products([axis.u(_draws_of(places[axis.place], draws), draws) for axis in axes], counts)
            for cell in np.flatnonzero(np.diff(in_block.indptr)):
                of_cell = slice(in_block.indptr[cell], in_block.indptr[cell + 1])
                own, w = in_block.indices[of_cell], in_block.data[of_cell]
                found[cell, draws] += _weighted(T, slice(None) if len(own) == len(some) else own, w)
    return found


def _draws_of(x: np.ndarray, draws: slice) -> np.ndarray:
    return x[draws] if len(x) > 1 else x


def _products(u: Sequence[np.ndarray], counts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev polynomials along the first axis (S, n_1, m), and the products of those along the others (S, n_2 ..., m)."""
    S, m = u[0].shape
    first, others = _polynomials(u[0], counts[0]), np.ones((1, S, m))
    for x, n in zip(u[1:], counts[1:], strict=True):
        others = (others[:, None] * _polynomials(x, n)).reshape(-1, S, m)
    return first.transpose(1, 0, 2), others.transpose(1, 0, 2)


def _polynomials(u: np.ndarray, n: int) -> np.ndarray:
    """(n, S, m)"""
    T = np.empty((n, *u.shape))
    T[0], T[1], twice = 1.0, u, 2.0 * u
    for j in range(2, n):
        np.multiply(twice, T[j - 1], out=T[j])
        T[j] -= T[j - 2]
    return T


def _weighted(T: tuple[np.ndarray, np.ndarray], rows: np.ndarray | slice, w: np.ndarray) -> np.ndarray:
    """Sums (S, n_1 n_2 ...) over these rows."""
    first, others = (x[:, :, rows] for x in T)
    sums = first @ (others * w).transpose(0, 2, 1)
    return sums.reshape(len(sums), -1)
