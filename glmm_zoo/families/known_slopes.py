"""Functions of a graph whose slopes are known: no back end then takes them step by step backwards through what the values are made of."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from glmm_zoo.families.tensors import Tensor, elementwise_operation, import_pytensor


def with_known_slopes(value: Tensor, *slopes: tuple[Tensor, Tensor]) -> Tensor:
    """The value, whose slope in each x is the one beside it. Second derivatives are not known."""
    return known_slopes()()(value, *(x for pair in slopes for x in pair))


@cache
def known_slopes() -> Any:
    """The class of the operation of a value, and of each x and the slope in it."""
    pt = import_pytensor()

    class KnownSlopes(elementwise_operation()):
        __props__ = ()

        def of(self, *inputs: np.ndarray) -> np.ndarray:
            return inputs[0].copy()

        def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
            passed = [pt.zeros_like(x) for x in inputs]
            for k in range(1, len(inputs), 2):
                passed[k] = cotangents[0] * inputs[k + 1]
            return passed

    return KnownSlopes
