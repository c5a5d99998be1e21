"""Effects of studies, moved in units of what the data of each study say of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Tensor


class Informed(Transform):
    """u = mean + r (m - mean) + z sd sqrt(1 - r), r = sd^2 / (sd^2 + v): what the data say of u, an estimate m with
    variance v, taken into account, so that z is near Normal(0, 1) under the posterior.

    The posterior is the same whatever m and v are; poor ones cost speed. v = infinity is the non-centred form.
    """

    name = "z"
    ndim_supp = 0

    def __init__(self, estimate: np.ndarray, variance: np.ndarray):
        self.estimate, self.variance = estimate, variance

    def _location_scale(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        mean, sd = inputs[-2:]
        r = sd * sd / (sd * sd + self.variance)
        return mean + r * (self.estimate - mean), sd * pt.sqrt(1.0 - r)

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        location, scale = self._location_scale(inputs)
        return location + value * scale

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        location, scale = self._location_scale(inputs)
        return (value - location) / scale

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        log_scale: Tensor = pt.log(self._location_scale(inputs)[1])
        return log_scale + pt.zeros_like(value)
