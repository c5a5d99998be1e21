"""The sampler moves the weights of a smooth standardised by their approximate distribution given everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.triangular import ZERO


@dataclass(frozen=True, eq=False)
class SmoothWeightsInformation:
    """What a Gaussian approximation of the likelihood says of the weights w (q,) of a smooth given p coefficients:

        t' (c - B coefficients) - t' diag(a) t / 2,  t = V' w

    V (q, q) orthogonal, a (q,), c (q,), B (q, p).
    """

    V: np.ndarray
    a: np.ndarray
    c: np.ndarray
    B: np.ndarray


@dataclass(frozen=True, eq=False)
class SmoothWeightsTransform(Transform):
    """w = V t, t = (sd^2 r + sd sqrt(1 + sd^2 a) z) / (1 + sd^2 a), r = c - B coefficients.

    V, a, c and B come from a Gaussian approximation of the likelihood that is fixed before sampling. Under it z, which the
    sampler moves, is near Normal(0, 1) for every sd. Without information w = sd z: the non-centred form. The change of
    variables is exact whatever V, a, c and B are. log|dw/dz| = sum log sd - log(1 + sd^2 a) / 2.

    The inputs of the methods are the sds (q,) and the coefficients (p,).
    """

    information: SmoothWeightsInformation | None = None

    name = "z"
    ndim_supp = 1

    def _location_scale(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        sd, coefficients = (x for x in inputs if getattr(x.type, "dtype", "") == "float64")
        if self.information is None:
            return ZERO, sd
        a, c, B = self.information.a, self.information.c, self.information.B
        shrunk: Tensor = 1.0 + sd * sd * a
        return sd * sd * (c - pt.constant(B) @ coefficients) / shrunk, sd / pt.sqrt(shrunk)

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        location, scale = self._location_scale(inputs)
        if self.information is None:
            return scale * value
        V: Tensor = pt.constant(self.information.V)
        return V @ (location + scale * value)

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        location, scale = self._location_scale(inputs)
        if self.information is None:
            return value / scale
        turned: Tensor = pt.constant(np.ascontiguousarray(self.information.V.T))
        return (turned @ value - location) / scale

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        return pt.sum(pt.log(self._location_scale(inputs)[1]))
