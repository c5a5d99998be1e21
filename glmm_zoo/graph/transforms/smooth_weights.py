"""Weights of a smooth, moved in units of their distribution given everything else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.triangular import ZERO


class Smoothed(Transform):
    """w = V t, t = (sd^2 r + sd sqrt(1 + sd^2 a) z) / (1 + sd^2 a), r = c - B coefficients: the weights of a smooth.

    What a Gaussian approximation of the likelihood says of w given the coefficients is w' (c - B coefficients) - w' A w / 2;
    V diag(a) V' = A, V orthogonal, c and B turned by V'. So z is near Normal(0, 1) for every sd, as with `Transport`, and
    the change of variables is exact whatever A, B and c are. log|dw/dz| = sum log sd - log(1 + sd^2 a) / 2.
    """

    name = "z"
    ndim_supp = 1

    def __init__(self) -> None:
        self.known: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None

    def set(self, V: np.ndarray, a: np.ndarray, c: np.ndarray, B: np.ndarray) -> None:
        """Take an approximation: V (q, q), a and c (q,), B (q, p); graphs made from now on use it."""
        self.known = V, a, c, B

    def _location_scale(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        sd, coefficients = (x for x in inputs if getattr(x.type, "dtype", "") == "float64")
        if self.known is None:
            return ZERO, sd
        _, a, c, B = self.known
        shrunk: Tensor = 1.0 + sd * sd * a
        return sd * sd * (c - pt.constant(B) @ coefficients) / shrunk, sd / pt.sqrt(shrunk)

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        location, scale = self._location_scale(inputs)
        if self.known is None:
            return scale * value
        V: Tensor = pt.constant(self.known[0])
        return V @ (location + scale * value)

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        location, scale = self._location_scale(inputs)
        if self.known is None:
            return value / scale
        turned: Tensor = pt.constant(np.ascontiguousarray(self.known[0].T))
        return (turned @ value - location) / scale

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        return pt.sum(pt.log(self._location_scale(inputs)[1]))
