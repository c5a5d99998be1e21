"""The sampler moves the values of a process standardised by their approximate distribution given everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.recurrences import back, beside, onward, predicted
from glmm_zoo.graph.transforms.group_effects import GroupEffectsInformation, right_hand_side
from glmm_zoo.graph.triangular import ZERO


@dataclass(frozen=True, eq=False)
class SerialEffectsTransform(Transform):
    """A Markov process u_i = w_i u_(i-1) + sqrt(q_i) e_i by the filter and the smoother of a Gaussian approximation:

        p_i = q_i + w_i^2 f_(i-1),   f_i = p_i / (1 + A_i p_i),   m_i = w_i m_(i-1) / (1 + A_i p_i) + f_i r_i,
        u_i = g_i m_i + f_i w_(i+1) / p_(i+1) u_(i+1) + sqrt(f_i g_i) z_i,   g_i = q_(i+1) / p_(i+1), 1 for the last of a series

    A and r are `GroupEffectsInformation`, fixed before sampling. Under it u | everything else ~ Normal(P^-1 r, P^-1), P the
    tridiagonal precision of the process plus diag(A), so that z, which the sampler moves, is near Normal(0, 1) for every
    standard deviation and correlation. Without information A = 0 and r = 0: the non-centred form, backwards in time. The
    change of variables is exact whatever A and r are. log|du/dz| = sum log(q / (1 + A p)) / 2.
    (Forward filtering, backward sampling: Carter & Kohn 1994; Fruehwirth-Schnatter 1994.)

    The inputs of the methods are w (levels,), q (levels,), the coefficients and the effects of the earlier factors; w is 0 for the
    first of a series.
    """

    information: GroupEffectsInformation | None = None

    name = "z"
    ndim_supp = 2

    def _filtered(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """p and 1 / (1 + A p), each (levels,)."""
        w, q, *_ = _numbers(inputs)
        A = np.zeros(w.type.shape[0]) if self.information is None else self.information.A[:, 0, 0]
        p = predicted(q, w * w, np.append(0.0, A[:-1]))
        return p, 1.0 / (1.0 + np.ascontiguousarray(A) * p)

    def _given_the_next(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Of each value (levels,) given the one behind it: the slope on that, the mean where that is 0, the standard deviation."""
        w, q, coefficients, *earlier = _numbers(inputs)
        p, shrunk = self._filtered(inputs)
        f: Tensor = p * shrunk
        g: Tensor = beside(q / p, -1) + np.append(np.zeros(w.type.shape[0] - 1), 1.0)
        mean: Tensor = ZERO
        if self.information is not None:
            (r,) = right_hand_side(self.information, coefficients, earlier)
            mean = g * onward(w * shrunk, f * r)
        return f * beside(w / p, -1), mean, pt.sqrt(f * g)

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        slope, mean, sd = self._given_the_next(inputs)
        return back(slope, mean + sd * value[:, 0])[:, None]

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        slope, mean, sd = self._given_the_next(inputs)
        u = value[:, 0]
        return ((u - slope * beside(u, -1) - mean) / sd)[:, None]

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        logs: Tensor = pt.log(_numbers(inputs)[1] * self._filtered(inputs)[1])
        return 0.5 * logs.sum()


def _numbers(inputs: Sequence[Tensor]) -> list[Tensor]:
    """The parameters of real numbers among size, parameters and random generator."""
    return [x for x in inputs if getattr(x.type, "dtype", "") == "float64"]
