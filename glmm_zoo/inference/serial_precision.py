"""A stationary process along series as the Gaussian approximation has it: Normal with a tridiagonal precision.

Its correlation is a number without bounds: log((1 + ar1) / (1 - ar1)), or the logarithm of the range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpttrf, dpttrs

from glmm_zoo.formulas.series import Series


@dataclass(frozen=True)
class Tridiagonal:
    """A symmetric positive definite matrix: its diagonal (levels,) and the entries above it (levels - 1,)."""

    diagonal: np.ndarray
    above: np.ndarray

    def plus(self, diagonal: np.ndarray) -> Tridiagonal:
        return Tridiagonal(self.diagonal + diagonal, self.above)

    def pivots(self) -> tuple[np.ndarray, np.ndarray]:
        d, e, failed = dpttrf(self.diagonal, self.above)
        if failed:
            raise np.linalg.LinAlgError("a precision of a process is not positive definite")
        return d, e

    def solved(self, columns: np.ndarray) -> np.ndarray:
        """Its inverse times columns (levels, m)."""
        return dpttrs(*self.pivots(), columns)[0] if columns.shape[1] else columns

    def log_determinant(self) -> float:
        return float(np.sum(np.log(self.pivots()[0])))

    def diagonal_of_inverse(self) -> np.ndarray:
        """1 / (pivots downwards + pivots upwards - diagonal)."""
        upwards = Tridiagonal(self.diagonal[::-1], self.above[::-1]).pivots()[0][::-1]
        return 1.0 / (self.pivots()[0] + upwards - self.diagonal)

    def full(self) -> np.ndarray:
        return np.diag(self.diagonal) + np.diag(self.above, 1) + np.diag(self.above, -1)


def first_correlation(series: Series) -> float:
    """Where the approximation begins: half a correlation between neighbours."""
    return float(np.log(3.0) if series.process == "ar1" else np.log(series.middle_gap / np.log(2.0)))


def precision(series: Series, variance: float, correlation: float) -> Tridiagonal:
    """That of the values of all levels."""
    later, gaps = series.later, series.gaps
    if series.process == "ar1":
        w = series.natural(correlation) ** gaps
        left = (1.0 - w) * (1.0 + w)
    else:
        w, left = np.exp(-gaps / series.natural(correlation)), -np.expm1(-2.0 * gaps / series.natural(correlation))
    w, left = np.where(later, w, 0.0), np.where(later, np.maximum(left, 1e-12), 1.0)
    diagonal = 1.0 / left
    diagonal[:-1] += w[1:] ** 2 / left[1:]
    return Tridiagonal(diagonal / variance, -(w / left)[1:] / variance)
