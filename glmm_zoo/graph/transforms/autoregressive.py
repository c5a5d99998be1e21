"""Effects along series of levels, moved as the independent innovations they are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Tensor


class Autoregressive(Transform):
    """u_t = weight_t u_s + scale_t z_t along each series, s the level before t; log|du/dz| = sum log scale."""

    name = "z"
    ndim_supp = 2

    def __init__(self, before: np.ndarray, blocks: Sequence[np.ndarray]):
        self.before, self.blocks = before, blocks

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
    """u (levels,): the k-th block has the k-th level of every series, the longest series first."""
    made = [scale[blocks[0]] * z[blocks[0]]]
    for block in blocks[1:]:
        made.append(weight[block] * made[-1][: len(block)] + scale[block] * z[block])
    u: Tensor = pt.concatenate(made)
    return u[np.argsort(np.concatenate(blocks))]
