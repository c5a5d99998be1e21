"""Symmetric matrices with a narrow band, and their triangular roots, whose rows begin where they may.

What is not 0 of a symmetric sparse matrix lies near its diagonal in the order of Cuthill and McKee (1969); its Cholesky factor has the
same band. Shapes: n levels, b entries below the diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Banded:
    """A symmetric positive definite matrix: `below` (b + 1, n) has M[j + i, j] at i, j."""

    below: np.ndarray

    @cached_property
    def root(self) -> np.ndarray:
        """The lower triangular K with K K' = M, as `below`.

        Raises
        ------
        numpy.linalg.LinAlgError
            A matrix that is not positive definite.
        """
        from scipy.linalg import cholesky_banded

        return cholesky_banded(self.below, lower=True, check_finite=False)

    def plus(self, diagonal: np.ndarray) -> Banded:
        """With this (n,) added to the diagonal."""
        below = self.below.copy()
        below[0] += diagonal
        return Banded(below)

    def solved(self, columns: np.ndarray) -> np.ndarray:
        """The inverse times columns (n, m)."""
        from scipy.linalg import cho_solve_banded

        return cho_solve_banded((self.root, True), columns, check_finite=False) if columns.shape[1] else columns

    def log_determinant(self) -> float:
        return 2.0 * float(np.log(self.root[0]).sum())

    def diagonal_of_inverse(self) -> np.ndarray:
        """By blocks as wide as the band, from the last to the first: with D_i on and E_i below the diagonal, S_i = D_i - E_(i-1)
        S_(i-1)^-1 E_(i-1)', the blocks of the inverse are Z_i = S_i^-1 + G_i' Z_(i+1) G_i, G_i = E_i S_i^-1 (Takahashi et al. 1973)."""
        n, width = self.below.shape[1], max(self.below.shape[0] - 1, 8)
        starts = range(0, n, width)
        inverses, passed = [], []
        left: np.ndarray | float = 0.0  # E S^-1 E' of the block before
        for start in starts:
            S = self._block(start, start, width) - left
            S, E = np.linalg.inv((S + S.T) / 2), self._block(start + width, start, width)
            inverses.append(S)
            passed.append(E @ S)
            left = passed[-1] @ E.T
        Z = inverses[-1]
        diagonals = [np.diag(Z)]
        for S, G in zip(inverses[-2::-1], passed[-2::-1], strict=True):
            Z = S + G.T @ Z @ G
            diagonals.append(np.diag(Z))
        return np.concatenate(diagonals[::-1])

    def _block(self, row: int, column: int, width: int) -> np.ndarray:
        """The entries from these on, at most `width` each way."""
        b, n = self.below.shape[0] - 1, self.below.shape[1]
        i, j = np.ogrid[row : min(row + width, n), column : min(column + width, n)]
        low, high = np.minimum(i, j), np.maximum(i, j)
        return np.where(high - low <= b, self.below[np.minimum(high - low, b), low], 0.0)


@dataclass(frozen=True, eq=False, repr=False)
class Triangle:
    """A lower triangular matrix: `diagonal` (n,), and the entries before it in its rows, one row after the other, `entries`
    (starts[n],), those of row i from starts[i] to starts[i + 1]."""

    diagonal: np.ndarray
    entries: np.ndarray
    starts: np.ndarray

    @classmethod
    def of_band(cls, below: np.ndarray, widths: np.ndarray) -> Triangle:
        """The rows of a band, of which so many entries (n,) before the diagonal may be other than 0."""
        starts = np.concatenate([[0], np.cumsum(widths)])
        row = np.repeat(np.arange(len(widths)), widths)
        column = row - widths[row] + np.arange(starts[-1]) - starts[row]
        return cls(np.ascontiguousarray(below[0]), below[row - column, column], starts)

    @cached_property
    def below(self) -> np.ndarray:
        """As of `Banded`."""
        widths = np.diff(self.starts)
        below = np.zeros((int(widths.max(initial=0)) + 1, len(widths)), order="F")
        row = np.repeat(np.arange(len(widths)), widths)
        column = row - widths[row] + np.arange(len(self.entries)) - self.starts[row]
        below[0], below[row - column, column] = self.diagonal, self.entries
        return below

    def times(self, x: np.ndarray, transposed: bool = False) -> np.ndarray:
        """The matrix, or its transpose, times x (n,)."""
        from scipy.linalg.blas import dtbmv

        below = self.below
        return dtbmv(len(below) - 1, below, x, lower=1, trans=int(transposed))

    def plus(self, other: Triangle, factor: float) -> Triangle:
        """The sum with `factor` times another matrix of the same rows."""
        return Triangle(self.diagonal + factor * other.diagonal, self.entries + factor * other.entries, self.starts)

    def solved(self, x: np.ndarray, transposed: bool = False) -> np.ndarray:
        """The inverse, or its transpose, times x (n,)."""
        from scipy.linalg.blas import dtbsv

        below = self.below
        return dtbsv(len(below) - 1, below, x, lower=1, trans=int(transposed))


def widths_of(pairs: np.ndarray, size: int) -> np.ndarray:
    """How far the rows of a root reach before the diagonal (size,), where these places (pairs, 2) of a symmetric matrix are not 0."""
    widths = np.zeros(size, np.int64)
    np.maximum.at(widths, pairs.max(axis=1), np.abs(pairs[:, 1] - pairs[:, 0]))
    return widths
