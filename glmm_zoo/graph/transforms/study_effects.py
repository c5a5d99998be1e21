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
    """u = L f, f moved as above with mean L^-1 mean: contrasts of studies of several arms are correlated, L L' says how.

    `estimate` and `variance` (C,) are those of f; `blocks` are those of `with_contrasts`.
    """

    blocks: Sequence[np.ndarray]

    ndim_supp = 1

    def backward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        mean, sd = self._mean_and_sd(inputs)
        return with_contrasts(self.blocks, super().backward(value, apart(self.blocks, mean), sd))

    def forward(self, value: Tensor, *inputs: Tensor) -> Tensor:
        mean, sd = self._mean_and_sd(inputs)
        return super().forward(apart(self.blocks, value), apart(self.blocks, mean), sd)

    def log_jac_det(self, value: Tensor, *inputs: Tensor) -> Tensor:
        mean, sd = self._mean_and_sd(inputs)
        total: Tensor = pt.sum(super().log_jac_det(value, mean, sd))
        return total + log_scales(self.blocks)


def with_contrasts(blocks: Sequence[np.ndarray], f: Tensor) -> Tensor:
    """L f (C,) for independent f of one variance: contrasts with correlation 1/2 within a study (Dias et al. 2013).

        d_j = (d_1 + ... + d_(j - 1)) / j + sqrt((j + 1) / (2 j)) f_j                 the j-th contrast of a study

    The j-th block has the places of the j-th contrasts, the study of most of them first.
    """
    made = [f[blocks[0]]]
    total = made[0]
    for j, block in enumerate(blocks[1:], start=2):
        made.append(total[: len(block)] / j + _scale(j) * f[block])
        total = total[: len(block)] + made[-1]
    return _in_place(blocks, made)


def apart(blocks: Sequence[np.ndarray], d: Tensor) -> Tensor:
    """L^-1 d (C,)."""
    made = [d[blocks[0]]]
    total = made[0]
    for j, block in enumerate(blocks[1:], start=2):
        made.append((d[block] - total[: len(block)] / j) / _scale(j))
        total = total[: len(block)] + d[block]
    return _in_place(blocks, made)


def log_scales(blocks: Sequence[np.ndarray]) -> float:
    """log |L|."""
    return float(sum(len(block) * np.log(_scale(j)) for j, block in enumerate(blocks, start=1)))


def _scale(j: int) -> float:
    return float(np.sqrt((j + 1) / (2 * j)))


def _in_place(blocks: Sequence[np.ndarray], made: Sequence[Tensor]) -> Tensor:
    whole: Tensor = pt.concatenate(made)
    return whole[np.argsort(np.concatenate(blocks))]
