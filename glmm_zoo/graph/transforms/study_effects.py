"""The sampler moves the effects of studies standardised by their approximate distribution given each study's own data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Tensor


@dataclass(frozen=True, eq=False)
class StudyEffectsTransform(Transform):
    """u = mean + r (m - mean) + z sd sqrt(1 - r), r = sd^2 / (sd^2 + v).

    Study by study, `estimate` m (S,) is a rough estimate of the effect from the study's own data and `variance` v (S,) that
    of its error. With them z, which the sampler moves, is near Normal(0, 1) under the posterior. The posterior is the same
    whatever m and v are; poor ones cost speed. v = infinity is the non-centred form.

    The last two inputs of the methods are mean and sd of the study effects.
    """

    estimate: np.ndarray
    variance: np.ndarray

    name = "z"
    ndim_supp = 0

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
