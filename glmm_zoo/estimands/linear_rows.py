"""Linear predictors in rows, as what their draws are computed from: columns with coefficients, and group effects.

eta_i = sum over blocks of x_i' b + b z_i (unknown of row i) + offset_i + sum over factors g of z_gi' u_g[level of row i],  u_g[level] ~ Normal(0, S_g)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from glmm_zoo.estimands.serial_rows import Neighbours, ProcessDraws
from glmm_zoo.formulas.group_effects import Strata


@dataclass(frozen=True)
class EffectDraws:
    """The effects of one grouping factor: draws of the covariance (S, K, K) of a level's effects, and of the effects, which are read
    when they are asked for: `of_levels()` (S, levels, K).

    `variable` is the name under which the fit has them, `columns` are the columns of the data that make the factor. `table` is the name of
    the one that says how levels depend on each other; the covariance is then the mean of those of the levels. Where the levels of another
    column have covariances of their own, `gr(g, by=arm)`, `strata` has them, and `covariance` is (S, strata, K, K). Of Student-t effects
    `covariance` is the square of the scale, `df` (S,) their degrees of freedom.
    """

    factor: str
    variable: str
    columns: tuple[str, ...]
    levels: tuple[str, ...]
    covariance: np.ndarray = field(compare=False)
    of_levels: Callable[[], np.ndarray] = field(compare=False)
    for_each_row: bool = False  # as many levels as the fit has rows: overdispersion
    table: str = ""
    strata: Strata | None = None
    df: np.ndarray | None = field(default=None, compare=False)
    process: ProcessDraws | None = None  # along which the effects of levels correlate
    weights: tuple[str, ...] | None = None  # the columns of the weights of mm()
    members: bool = False  # whether each of the columns has a level, mm(g1, g2)


@dataclass(frozen=True)
class RandomTerm:
    """The effects of a factor in m rows: z (m, k) times the effects at `places` (k,) of the row's level, times `loading` (S,) if any.

    `codes` (m,) are the levels of the fit, -1 for others; `labels` (m,) are the levels as the rows name them; `stratum` (m,) says
    which of the effects' covariances a row has, where there are several. `neighbours` are those of rows at times of a process. Rows that
    belong to several levels, mm(g1, g2), have a term for each `member`, whose levels differ, with its weight in z.
    """

    effects: EffectDraws
    places: tuple[int, ...]
    z: np.ndarray
    codes: np.ndarray
    labels: np.ndarray | None = None
    loading: np.ndarray | None = None
    stratum: np.ndarray | None = None
    neighbours: Neighbours | None = None
    member: int = 0

    def take(self, rows: np.ndarray) -> RandomTerm:
        labels, stratum = (None if x is None else x[rows] for x in (self.labels, self.stratum))
        neighbours = None if self.neighbours is None else self.neighbours.take(rows)
        return replace(
            self, z=self.z[rows], codes=self.codes[rows], labels=labels, stratum=stratum, neighbours=neighbours
        )

    @property
    def covariances(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The covariances (S, K, K) of the effects, each with the rows that have it."""
        if self.stratum is None:
            yield np.arange(len(self.z)), self.effects.covariance
        else:
            for stratum in np.unique(self.stratum):
                yield np.flatnonzero(self.stratum == stratum), self.effects.covariance[:, stratum]


@dataclass(frozen=True)
class UnknownTerm:
    """What missing values of a covariate change in m rows: `slopes` (m, q) times `coefficients` (S, q) times the unknown, `unknowns`
    (S, G) less what the columns have in its place, of which a row has the one of number `gaps` (m,)."""

    slopes: np.ndarray
    coefficients: np.ndarray
    gaps: np.ndarray
    unknowns: np.ndarray

    def take(self, rows: np.ndarray) -> UnknownTerm:
        return replace(self, slopes=self.slopes[rows], gaps=self.gaps[rows])

    def values(self) -> np.ndarray:
        """(S, m)"""
        return (self.coefficients @ self.slopes.T) * self.unknowns[:, self.gaps]


@dataclass(frozen=True)
class LinearRows:
    """One linear predictor in m rows: blocks of columns (m, c) with draws (S, c) of their coefficients, offset (m,), group effects,
    unknowns of missing values; and the bounds (m,) of the rows' response by "lb" and "ub", where they differ between rows."""

    blocks: tuple[tuple[np.ndarray, np.ndarray], ...]
    offset: np.ndarray
    random: tuple[RandomTerm, ...] = ()
    bounds: Mapping[str, np.ndarray] = field(default_factory=dict)
    unknown: tuple[UnknownTerm, ...] = ()

    def take(self, rows: np.ndarray) -> LinearRows:
        """Only these rows, by their places or a slice."""
        blocks = tuple((columns[rows], draws) for columns, draws in self.blocks)
        bounds = {name: of_rows[rows] for name, of_rows in self.bounds.items()}
        unknown = tuple(term.take(rows) for term in self.unknown)
        return LinearRows(blocks, self.offset[rows], tuple(term.take(rows) for term in self.random), bounds, unknown)

    def fixed(self, size: int) -> np.ndarray:
        """Draws (S, m) without group effects."""
        eta = np.broadcast_to(self.offset, (size, len(self.offset))).copy()
        for columns, draws in self.blocks:
            eta += draws @ columns.T
        for term in self.unknown:
            if term.slopes.any():
                eta += term.values()
        return eta

    def keys(self, by_level: Sequence[str]) -> list[np.ndarray]:
        """What two rows must have alike to have the same predictor: columns, offset, z, and levels of the factors `by_level`."""
        parts = [columns for columns, _ in self.blocks] + [
            self.offset[:, None],
            *(b[:, None] for b in self.bounds.values()),
            *(np.column_stack([term.slopes, term.gaps]) for term in self.unknown),
        ]
        for term in self.random:
            parts.append(term.z)
            if term.stratum is not None:
                parts.append(term.stratum[:, None].astype(float))
            if term.effects.factor in by_level:
                labels = term.codes if term.labels is None else np.unique(term.labels, return_inverse=True)[1]
                parts.append(np.column_stack([term.codes, labels]).astype(float))
        return parts


def covariance(a: RandomTerm, b: RandomTerm) -> np.ndarray:
    """Draws (S, m) of the covariance of two terms of one factor in the same rows: z_a' S_g z_b."""
    products = (a.z[:, :, None] * b.z[:, None, :]).reshape(len(a.z), -1)  # (m, k_a k_b)
    total = np.empty((len(a.effects.covariance), len(a.z)))
    for rows, of_all in a.covariances:
        S = of_all[:, a.places][:, :, b.places]
        if len(rows) == len(a.z):
            np.matmul(S.reshape(len(S), -1), products.T, out=total)
        else:
            total[:, rows] = S.reshape(len(S), -1) @ products[rows].T
    for loading in (a.loading, b.loading):
        if loading is not None:
            total = total * loading[:, None]
    return total


def own_effects(term: RandomTerm, effects: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Draws (S, m) of z' u[level] for effects (S, L, K) and the level of each row (m,)."""
    total = np.zeros((len(effects), len(levels)))
    for j, place in enumerate(term.places):
        total += effects[:, :, place][:, levels] * term.z[:, j]
    return total if term.loading is None else total * term.loading[:, None]
