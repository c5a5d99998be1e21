"""Group effects, moved in units of their distribution given everything else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.triangular import (
    ONE,
    ZERO,
    forward_substituted,
    log_determinant,
    lower_positions,
    solve_levels,
    unpacked,
)


class Transport(Transform):
    """u = L v, v = R'^-1 (z + R^-1 L' r) for each level, L L' the covariance of the effects, R R' = I + L' A L.

    A (k, k) and r = c - B coefficients - (effects of earlier factors) are what a Gaussian approximation of the
    likelihood, fixed before sampling, says of a level: then u | everything else ~ Normal(P^-1 r, P^-1),
    P = (L L')^-1 + A, and the sampler moves z, whose distribution is close to Normal(0, 1) where the level has much data
    and where it has none. With A = 0 and r = 0 it is the non-centred form. The change of variables is exact whatever A
    and r are. log|du/dz| = sum log diag L - sum log diag R. (DESIGN.md of the project's outset; Osmundsen, Kleppe &
    Liesenfeld 2021.)

    Symbols: A (levels, k, k), c (levels, k), B (levels, k, p); for each earlier factor of k' effects the pairs of levels
    that share rows, `own` and `other` (pairs,), with weights (k, k', pairs). The inputs are L, packed, the coefficients
    and the effects of earlier factors.
    """

    name = "z"
    ndim_supp = 1

    def __init__(self, effects: int):
        self.size = effects
        self.known: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self.pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]] = ()

    def set(
        self,
        A: np.ndarray,
        c: np.ndarray,
        B: np.ndarray,
        pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]] = (),
    ) -> None:
        """Take an approximation; graphs made from now on use it."""
        self.known, self.pairs = (A, c, B), pairs

    def _solved(self, inputs: Sequence[Tensor]) -> tuple[list[list[Tensor]], list[list[Tensor]], list[Tensor]]:
        """L, R and y = R^-1 L' r, elements (levels,) or scalars."""
        packed, coefficients, *earlier = (x for x in inputs if getattr(x.type, "dtype", "") == "float64")
        L, k = unpacked(packed), self.size
        if self.known is None:
            return L, [[ONE if i == j else ZERO for j in range(i + 1)] for i in range(k)], [ZERO] * k
        A_, c, B = self.known
        A = {(i, j): pt.constant(np.ascontiguousarray(A_[:, i, j])) for i, j in lower_positions(k)}
        r: list[Tensor] = [
            pt.constant(np.ascontiguousarray(c[:, i])) - coefficients @ pt.constant(np.ascontiguousarray(B[:, i].T))
            for i in range(k)
        ]
        for (own, other, weights), u in zip(self.pairs, earlier, strict=True):
            there = u[other]
            for i in range(k):
                shared = (pt.constant(np.ascontiguousarray(weights[i].T)) * there).sum(axis=1)
                r[i] = pt.inc_subtensor(r[i][own], -shared)
        AL = [
            [sum((A[max(a, b), min(a, b)] * L[b][j] for b in range(j, k)), start=ZERO) for j in range(k)]
            for a in range(k)
        ]
        R: list[list[Tensor]] = []
        for i in range(k):
            row: list[Tensor] = []
            for j in range(i + 1):
                Mij = float(i == j) + sum((L[a][i] * AL[a][j] for a in range(i, k)), start=ZERO)
                left = Mij - sum((row[m] * R[j][m] for m in range(j)), start=ZERO) if j < i else Mij
                row.append(left / R[j][j] if j < i else pt.sqrt(left - sum((x * x for x in row), start=ZERO)))
            R.append(row)
        q = [sum((L[a][i] * r[a] for a in range(i, k)), start=ZERO) for i in range(k)]
        return L, R, forward_substituted(R, q)

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        L, R, y = self._solved(inputs)
        t = [value[:, i] + y[i] for i in range(self.size)]
        v: list[Tensor] = [ZERO] * self.size
        for i in reversed(range(self.size)):
            known = sum((R[m][i] * v[m] for m in range(i + 1, self.size)), start=ZERO)
            v[i] = (t[i] - known) / R[i][i]
        return pt.stack([sum((Lim * v[m] for m, Lim in enumerate(row)), start=ZERO) for row in L], axis=1)

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        L, R, y = self._solved(inputs)
        v = solve_levels(L, value)
        t = [sum((R[m][i] * v[m] for m in range(i, self.size)), start=ZERO) for i in range(self.size)]
        return pt.stack([ti - yi for ti, yi in zip(t, y, strict=True)], axis=1)

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        L, R, _ = self._solved(inputs)
        return log_determinant(L) - log_determinant(R) + pt.zeros(value.shape[0])
