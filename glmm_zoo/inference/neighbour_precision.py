"""The effects of areas with neighbours as the Gaussian approximation has them; the share of neighbours as log(rho / (1 - rho))."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from glmm_zoo.formulas.banded import Banded
from glmm_zoo.formulas.neighbours import AreaStructure
from glmm_zoo.graph.transforms.neighbour_effects import GROUND


def parts_of_variance(of: AreaStructure, variance: float, logit: float) -> tuple[float, float]:
    """a and b, the variances of the structured and of the plain part."""
    rho = 1.0 / (1.0 + np.exp(-logit)) if of.shared else 1.0
    return variance * rho, variance * (1.0 - rho)


@dataclass(frozen=True, eq=False)
class NeighbourPrecision:
    """The inverse of C = a Q^- + b I plus a diagonal A, which is not 0 where it is solved. With T = 1 / (1 + b A) and V the inverse of
    Q / a + A T between effects that sum to zero in each part, its own inverse is b T + T V T."""

    of: AreaStructure
    a: float
    b: float
    A: np.ndarray

    def plus(self, diagonal: np.ndarray) -> NeighbourPrecision:
        return replace(self, A=self.A + diagonal)

    @cached_property
    def _left(self) -> np.ndarray:
        return 1.0 / (1.0 + self.b * self.A)

    @cached_property
    def _inner(self) -> Banded:
        of_band = self.of.grounded(GROUND).below / self.a
        return Banded(of_band).plus((self.A * self._left)[self.of.order])

    @cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The sums (levels,) of the rows of the inverse of the inner matrix, and those of its parts (parts,)."""
        rows = self._inner_solved(np.ones((len(self.A), 1)))[:, 0]
        return rows, np.bincount(self.of.part, rows)

    def _inner_solved(self, columns: np.ndarray) -> np.ndarray:
        found = np.empty(columns.shape)
        found[self.of.order] = self._inner.solved(columns[self.of.order])
        return found

    def solved(self, columns: np.ndarray) -> np.ndarray:
        """Its inverse times columns (levels, m)."""
        rows, wholes = self._rows
        x = self._inner_solved(self._left[:, None] * columns)
        sums = np.stack([np.bincount(self.of.part, column) for column in x.T], axis=1) if x.shape[1] else x[:0]
        if x.shape[1]:
            summing = self.of.summing[:, None]
            x = x - summing * (rows / wholes[self.of.part])[:, None] * sums[self.of.part]
        return self._left[:, None] * (self.b * columns + x)

    def diagonal_of_inverse(self) -> np.ndarray:
        rows, wholes = self._rows
        own = np.empty(len(self.A))
        own[self.of.order] = self._inner.diagonal_of_inverse()
        own -= self.of.summing * rows**2 / wholes[self.of.part]
        return self._left * (self.b + self._left * own)

    def log_determinant(self) -> float:
        """Less that of the inverse of C: log det(I + A C)."""
        if not self.A.any():
            return 0.0
        of, (_, wholes) = self.of, self._rows
        several = of.sizes > 1
        inner = self._inner.log_determinant() + float(np.sum(np.log(wholes / of.sizes)[several]))
        alone = inner + (len(self.A) - several.sum()) * np.log(self.a) - of.log_determinant
        return float(alone - np.sum(np.log(self._left)))

    def full(self) -> np.ndarray:
        """The inverse of C, with effects that hardly sum to anything but zero where b is 0."""
        of = self.of
        Q = np.zeros((len(self.A),) * 2)
        np.add.at(Q, tuple(of.pairs.T), -of.weights)
        Q += Q.T
        np.fill_diagonal(Q, of.summing * -Q.sum(axis=1) + ~of.summing)
        mean = (of.part[:, None] == of.part) * (of.summing / of.sizes[of.part])
        if not self.b:
            return Q / self.a + mean / (self.a * GROUND)
        return np.linalg.solve(self.a * np.eye(len(Q)) + self.b * Q, Q) + mean / self.b
