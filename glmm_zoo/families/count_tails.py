"""Tails of negative binomial counts as one operation of a graph, which machine code makes with its slopes in another way."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from glmm_zoo.families.tensors import Tensor, elementwise_operation, import_pytensor

_LARGE = 1e25  # a size that leaves nothing but a Poisson count


def count_tail(at_least: bool, n: np.ndarray, eta: Tensor, log_a: Tensor, value: Tensor) -> Tensor:
    """log P(Y >= n) or log P(Y < n) of counts with mean e^eta and size a, for n >= 1; back ends other than machine code take the `value`."""
    pt = import_pytensor()
    a, z = pt.exp(log_a), eta - log_a
    return count_tails()(at_least)(n, eta, log_a, a, a * pt.softplus(z), pt.sigmoid(z), value)


def poisson_tail(at_least: bool, n: np.ndarray, eta: Tensor, value: Tensor) -> Tensor:
    """The same of Poisson counts."""
    pt = import_pytensor()
    mu = pt.exp(eta)
    return count_tails()(at_least)(n, eta, np.log(_LARGE), _LARGE, mu, mu / _LARGE, value)


@cache
def count_tails() -> Any:
    """The class of the operation of n, eta, log a, a, -log f(0), mu / (mu + a), and the value, which alone has a slope."""
    pt = import_pytensor()

    class CountTail(elementwise_operation()):
        __props__ = ("at_least",)

        def __init__(self, at_least: bool):
            self.at_least = at_least

        def of(self, *inputs: np.ndarray) -> np.ndarray:
            return inputs[-1].copy()

        def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
            return [*map(pt.zeros_like, inputs[:-1]), cotangents[0]]

    return CountTail
