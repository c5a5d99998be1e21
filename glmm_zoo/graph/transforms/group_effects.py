"""The sampler moves group effects standardised by their approximate distribution given everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False)
class SharedInformation:
    """What the likelihood says of the effects of one factor and of an earlier one together, for the levels that share rows.

    `own` and `other` (pairs,) are the levels of the two factors, `weights` (k, k', pairs) the information that the k
    effects of the one share with the k' effects of the other.
    """

    own: np.ndarray
    other: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class TwinInformation:
    """Of effects beside independent ones of the same levels, over which `GroupEffectsInformation` averages with the standard deviation `sd`:
    the `weights` (levels,) that the likelihood has without them. At a standard deviation s it says
    (1 + weights sd^2) / (1 + weights s^2) times as much."""

    weights: np.ndarray
    sd: float


@dataclass(frozen=True, eq=False)
class GroupEffectsInformation:
    """What a Gaussian approximation of the likelihood says of the effects u (k,) of each level of a factor:

        u'r - u'A u / 2,  r = c - B coefficients - (weights) (effects of the earlier factors)

    A (levels, k, k), c (levels, k), B (levels, k, p), and `shared` for each earlier factor. Of effects whose covariance is the same in
    all directions, `turn` (levels, levels) is orthogonal, and what is said is said of turn' u, which has the same prior.
    With a `twin`, the transform's last input is the standard deviation (1,) of that.
    """

    A: np.ndarray
    c: np.ndarray
    B: np.ndarray
    shared: Sequence[SharedInformation] = ()
    turn: np.ndarray | None = None
    twin: TwinInformation | None = None


@dataclass(frozen=True, eq=False)
class GroupEffectsTransform(Transform):
    """u = L v, v = R'^-1 (z + R^-1 L' r) for each level, L L' the covariance of the effects, R R' = I + L' A L.

    A and r come from a Gaussian approximation of the likelihood that is fixed before sampling, see
    `GroupEffectsInformation`. Under it u | everything else ~ Normal(P^-1 r, P^-1), P = (L L')^-1 + A, so that z, which the
    sampler moves, is close to Normal(0, 1) for a level with much data and for one with none. Without information A = 0 and
    r = 0: the non-centred form. The change of variables is exact whatever A and r are.
    log|du/dz| = sum log diag L - sum log diag R. (Osmundsen, Kleppe & Liesenfeld 2021.)

    `effects` is k. The inputs of the methods are L, packed, the coefficients, the effects of the earlier factors, and of Student-t
    effects, whose scale L is, the degrees of freedom, a scalar that is not used.
    """

    effects: int
    information: GroupEffectsInformation | None = None

    name = "z"
    ndim_supp = 1

    def _solved(self, inputs: Sequence[Tensor]) -> tuple[list[list[Tensor]], list[list[Tensor]], list[Tensor]]:
        """L, R and y = R^-1 L' r, elements (levels,) or scalars."""
        packed, coefficients, *earlier = (
            x for x in inputs if getattr(x.type, "dtype", "") == "float64" and x.type.ndim
        )
        L, k = unpacked(packed), self.effects
        if self.information is None:
            return L, [[ONE if i == j else ZERO for j in range(i + 1)] for i in range(k)], [ZERO] * k
        twin = self.information.twin
        r = right_hand_side(self.information, coefficients, earlier if twin is None else earlier[:-1])
        A: dict[tuple[int, int], Tensor] = {
            (i, j): pt.constant(np.ascontiguousarray(self.information.A[:, i, j])) for i, j in lower_positions(k)
        }
        if twin is not None:
            share = (1.0 + twin.weights * twin.sd**2) / (1.0 + twin.weights * earlier[-1][0] ** 2)
            r, A = [share * x for x in r], {at: share * x for at, x in A.items()}
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
        t = [value[:, i] + y[i] for i in range(self.effects)]
        v: list[Tensor] = [ZERO] * self.effects
        for i in reversed(range(self.effects)):
            known = sum((R[m][i] * v[m] for m in range(i + 1, self.effects)), start=ZERO)
            v[i] = (t[i] - known) / R[i][i]
        u: list[Tensor] = [sum((Lim * v[m] for m, Lim in enumerate(row)), start=ZERO) for row in L]
        if self.information is not None and self.information.turn is not None:
            turn: Tensor = pt.constant(self.information.turn)
            u = [turn @ x for x in u]
        return pt.stack(u, axis=1)

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        L, R, y = self._solved(inputs)
        if self.information is not None and self.information.turn is not None:
            back: Tensor = pt.constant(np.ascontiguousarray(self.information.turn.T))
            value = pt.stack([back @ value[:, i] for i in range(self.effects)], axis=1)
        v = solve_levels(L, value)
        t = [sum((R[m][i] * v[m] for m in range(i, self.effects)), start=ZERO) for i in range(self.effects)]
        return pt.stack([ti - yi for ti, yi in zip(t, y, strict=True)], axis=1)

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        L, R, _ = self._solved(inputs)
        return log_determinant(L) - log_determinant(R) + pt.zeros(value.shape[0])


def right_hand_side(
    information: GroupEffectsInformation, coefficients: Tensor, earlier: Sequence[Tensor]
) -> list[Tensor]:
    """r given the coefficients and the effects of the earlier factors, one element (levels,) for each effect."""
    c, B = information.c, information.B
    r: list[Tensor] = [
        pt.constant(np.ascontiguousarray(c[:, i])) - coefficients @ pt.constant(np.ascontiguousarray(B[:, i].T))
        for i in range(c.shape[1])
    ]
    for shared, u in zip(information.shared, earlier, strict=True):
        u_of_pairs = u[shared.other]
        for i in range(c.shape[1]):
            weights = pt.constant(np.ascontiguousarray(shared.weights[i].T))
            r[i] = pt.inc_subtensor(r[i][shared.own], -(weights * u_of_pairs).sum(axis=1))
    return r
