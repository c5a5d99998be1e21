"""`counts.log_rising` as one operation of a graph, of which machine code makes the value and the slope together."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from glmm_zoo.families.counts import log_rising
from glmm_zoo.families.tensors import Array, elementwise_operation, import_pytensor

_LARGE = 1000.0  # from this a on the slope is that of Stirling's series


def log_rising_at_once(y: Array, log_a: Array, a: Array | None = None) -> Array:
    """log Gamma(y + a) / (Gamma(a) a^y) of counts y, for a that differ between rows; a graph may know a itself, of which no slope is taken."""
    if isinstance(log_a, np.ndarray | np.number | float):
        return log_rising(y, log_a)
    return _operation()(slope=False)(y, log_a, import_pytensor().exp(log_a) if a is None else a)


def rising_slope(y: np.ndarray, log_a: np.ndarray) -> np.ndarray:
    """d / d log a of it: 1 - y + a (digamma(y + a) - digamma(1 + a)) for y > 0, 0 for y = 0."""
    from scipy.special import digamma

    some, a = np.maximum(y, 1), np.exp(log_a)
    near, far = np.minimum(a, _LARGE), np.maximum(a, _LARGE)
    direct = near * (digamma(some + near) - digamma(1 + near)) + 1 - y
    r = y / far
    series = far * np.log1p(r) - y + 0.5 * r / (1 + r) + r * (2 + r) / (12 * far * (1 + r) ** 2)
    return np.where(y > 0, np.where(a < _LARGE, direct, series), 0.0)


@cache
def _operation() -> Any:
    pt = import_pytensor()

    class LogRising(elementwise_operation()):
        __props__ = ("slope",)

        def __init__(self, slope: bool):
            self.slope = slope

        def of(self, *inputs: np.ndarray) -> np.ndarray:
            return (rising_slope if self.slope else log_rising)(*inputs[:2])

        def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
            assert not self.slope, "second derivatives are not known"
            y, _, a = inputs
            return [pt.zeros_like(y), cotangents[0] * LogRising(slope=True)(*inputs), pt.zeros_like(a)]

    return LogRising
