"""Arrays of many small matrices, and an inverse. Imports nothing of the zoo."""

from __future__ import annotations

import numpy as np


def diagonals(matrices: np.ndarray) -> np.ndarray:
    """Diagonals (..., k) of matrices (..., k, k)."""
    return np.diagonal(matrices, axis1=-2, axis2=-1)


def by_effect(X: np.ndarray) -> np.ndarray:
    """(levels, k, R) as (levels x k, R)."""
    return X.reshape(X.shape[0] * X.shape[1], X.shape[2])


def symmetric_inverse(H: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric positive definite matrix."""
    if not len(H):
        return H
    inverse = np.linalg.inv(H)
    return 0.5 * (inverse + inverse.T)
