"""The sampler moves the independent innovations from which autoregressive effects along a series of levels are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Tensor


@dataclass(frozen=True, eq=False)
class AutoregressiveTransform(Transform):
    """u_t = weight_t u_s + scale_t z_t along each series, s the level before t; log|du/dz| = sum log scale.

    `before` (levels,) has the level before each one, the first of a series itself; `blocks` are those of `along_series`.
    """

    before: np.ndarray
    blocks: Sequence[np.ndarray]

    name = "z"
    ndim_supp = 2

    @staticmethod
    def _parameters(inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """weight and scale are the parameters of real numbers among size, parameters and random generator."""
        weight, scale = (x for x in inputs if getattr(x.type, "dtype", "") == "float64")
        return weight, scale

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        return along_series(self.blocks, *self._parameters(inputs), value[:, 0])[:, None]

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        weight, scale = self._parameters(inputs)
        return ((value[:, 0] - weight * value[self.before, 0]) / scale)[:, None]

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        return pt.sum(pt.log(self._parameters(inputs)[1]))


def along_series(blocks: Sequence[np.ndarray], weight: Tensor, scale: Tensor, z: Tensor) -> Tensor:
    """u (..., levels): the k-th block has the k-th level of every series, the longest series first."""
    made = [scale[blocks[0]] * z[..., blocks[0]]]
    for block in blocks[1:]:
        made.append(weight[block] * made[-1][..., : len(block)] + scale[block] * z[..., block])
    u: Tensor = pt.concatenate(made, axis=-1)
    return u[..., np.argsort(np.concatenate(blocks))]
