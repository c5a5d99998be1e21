"""The sampler moves the logarithm of a standard deviation, bent below the estimate so that its density falls off like a normal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Tensor

_LOWEST = -345.0


@dataclass(frozen=True, eq=False)
class BentLogTransform(Transform):
    """sd = mode e^b(x), b(x) = x + log(2)^2 - softplus(-x)^2: a log scale that is bent below the mode.

    Where the data cannot tell an sd from 0, its posterior density does not vanish towards 0. That is an exponential tail on
    the log scale, which NUTS explores slowly; here it falls like a normal density. Above the mode this is the log scale. The
    change of variables is exact whatever the mode is. log|dsd/dx| = log mode + b(x) + log b'(x).

    Below e^-345 modes, where sd^2 would soon be 0 and 1 / sd^2 infinite, the sd stays there: no response can tell it from 0.

    `mode` is a number or one for each sd, in the shape of the variable.
    """

    mode: np.ndarray

    name = "log"

    def backward(self, value: Tensor, *_: Tensor) -> Tensor:
        return self.mode * pt.exp(pt.maximum(_bend(value), _LOWEST))

    def forward(self, value: Tensor, *_: Tensor) -> Tensor:
        y: Tensor = pt.log(value / self.mode)
        below: Tensor = pt.sqrt(pt.abs(y))
        x: Tensor = pt.switch(y > 0, y, -below)
        for _step in range(8):  # of Newton's method
            x = x - (_bend(x) - y) / _slope_of_bend(x)
        return x

    def log_jac_det(self, value: Tensor, *_: Tensor) -> Tensor:
        return np.log(self.mode) + _bend(value) + pt.log(_slope_of_bend(value))


def _bend(x: Tensor) -> Tensor:
    below: Tensor = pt.softplus(-x)
    return x + np.log(2) ** 2 - below * below


def _slope_of_bend(x: Tensor) -> Tensor:
    below: Tensor = pt.softplus(-x)
    return 1.0 + 2.0 * below * pt.sigmoid(-x)
