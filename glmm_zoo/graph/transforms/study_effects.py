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

    Mean and sd of the study effects are the inputs of the methods that are real numbers; the others are size and generator.
    """

    estimate: np.ndarray
    variance: np.ndarray

    name = "z"
    ndim_supp = 0

    @staticmethod
    def _mean_and_sd(inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        mean, sd = (x for x in inputs if getattr(x.type, "dtype", "") == "float64")
        return mean, sd

    def _location_scale(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        mean, sd = self._mean_and_sd(inputs)
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


@dataclass(frozen=True, eq=False)
class ContrastsTransform(StudyEffectsTransform):
    """u = L f, f moved as above with mean L^-1 mean: the effects of studies of several arms are correlated, L L' says how.

    `estimate` and `variance` (C,) are those of f; L is `root` (C, C) and `inverse` its inverse.
    """

    root: np.ndarray
    inverse: np.ndarray

    ndim_supp = 1

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        mean, sd = self._mean_and_sd(inputs)
        return pt.dot(self.root, super().backward(value, pt.dot(self.inverse, mean), sd))

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        mean, sd = self._mean_and_sd(inputs)
        return super().forward(pt.dot(self.inverse, value), pt.dot(self.inverse, mean), sd)

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        mean, sd = self._mean_and_sd(inputs)
        each = super().log_jac_det(value, pt.dot(self.inverse, mean), sd)
        return pt.sum(each) + float(np.log(np.diag(self.root)).sum())
