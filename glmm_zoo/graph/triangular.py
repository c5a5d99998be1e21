"""Lower triangular matrices of few rows as lists of scalars, so that a graph simplifies to arithmetic on these scalars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Tensor

ZERO: Tensor = pt.constant(0.0)
ONE: Tensor = pt.constant(1.0)
ROUNDING = 2.0**-52  # of 1 - p^2 near p = 1, which may be 0 for a correlation that is not 1


def lower_positions(k: int) -> list[tuple[int, int]]:
    """Positions of the lower triangle of a (k, k) matrix, row by row: how a Cholesky factor is packed in a vector.

    A vector of scalars, not a matrix, so that the graph simplifies to arithmetic on these scalars.
    """
    return [(i, j) for i in range(k) for j in range(i + 1)]


def unpacked(packed: Tensor) -> list[list[Tensor]]:
    """Rows of the lower triangle L, L[i][j] for j <= i; of packed (levels, k (k + 1) / 2) each an element (levels,)."""
    size = packed.type.shape[-1]
    assert size is not None, "the number of effects is fixed when the model is built"
    k = int((np.sqrt(8 * size + 1) - 1) / 2)
    return [[packed[..., i * (i + 1) // 2 + j] for j in range(i + 1)] for i in range(k)]


def with_root(L: list[list[Tensor]], z: Any) -> Tensor:
    """L z for every z (..., k)."""
    return pt.stack([sum(Lim * z[..., m] for m, Lim in enumerate(row)) for row in L], axis=-1)


def solve_levels(L: list[list[Tensor]], u: Tensor) -> list[Tensor]:
    """Columns of L^-1 u for every level, by forward substitution written out: few effects, one fused loop."""
    return forward_substituted(L, [u[:, k] for k in range(len(L))])


def forward_substituted(L: list[list[Tensor]], q: list[Tensor]) -> list[Tensor]:
    z: list[Tensor] = []
    for k, row in enumerate(L):
        known = sum((row[m] * z[m] for m in range(k)), start=ZERO)
        z.append((q[k] - known) / row[k])
    return z


def log_determinant(L: list[list[Tensor]]) -> Tensor:
    diagonal: list[Tensor] = [pt.log(row[-1]) for row in L]
    return sum(diagonal, start=ZERO)
