"""Vectors whose elements are made one after another: linear recurrences, and the variances of a Kalman filter.

    onward(a, b)         y_i = b_i + a_i y_(i-1)
    back(a, b)           y_i = b_i + a_i y_(i+1)
    predicted(q, c, k)   p_i = q_i + c_i p_(i-1) / (1 + k_i p_(i-1))

What stands before the first element, and behind the last, is 0. All are vectors (n,); k is data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from glmm_zoo.families.tensors import Tensor


class Recurrence(Op):
    """y_i = b_i + a_i times the element of y before it, or behind it where it goes `backward`."""

    __props__ = ("backward",)
    gufunc_signature = "(n),(n)->(n)"

    def __init__(self, backward: bool):
        self.backward = backward

    def make_node(self, a: Any, b: Any) -> Apply:
        a, b = pt.as_tensor_variable(a), pt.as_tensor_variable(b)
        return Apply(self, [a, b], [b.type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        step = -1 if self.backward else 1
        a, b = (np.asarray(x)[::step].tolist() for x in inputs)
        y = np.empty(len(b))
        last = 0.0
        for i, (slope, own) in enumerate(zip(a, b, strict=True)):
            y[i] = last = own + slope * last
        output_storage[0][0] = np.ascontiguousarray(y[::step])

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [shapes[1]]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (a, _), (y,), (g,) = inputs, outputs, cotangents
        step = -1 if self.backward else 1
        passed = Recurrence(not self.backward)(beside(a, -step), g)
        return [passed * beside(y, step), passed]


class PredictedVariance(Op):
    """p_i = q_i + c_i p_(i-1) / (1 + k_i p_(i-1))."""

    __props__ = ()
    gufunc_signature = "(n),(n),(n)->(n)"

    def make_node(self, q: Any, c: Any, k: Any) -> Apply:
        q, c, k = (pt.as_tensor_variable(x) for x in (q, c, k))
        return Apply(self, [q, c, k], [q.type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        p = np.empty(len(inputs[0]))
        last = 0.0
        for i, (q, c, k) in enumerate(zip(*(np.asarray(x).tolist() for x in inputs), strict=True)):
            p[i] = last = q + c * last / (1.0 + k * last)
        output_storage[0][0] = p

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [shapes[0]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], [True], [False]]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (_, c, k), (p,), (g,) = inputs, outputs, cotangents
        before = beside(p, 1)
        left = 1.0 + k * before
        passed = back(beside(c / (left * left), -1), g)
        return [passed, passed * before / left, disconnected_type()]


def onward(a: Tensor, b: Tensor) -> Tensor:
    """y_i = b_i + a_i y_(i-1)."""
    return Recurrence(False)(a, b)


def back(a: Tensor, b: Tensor) -> Tensor:
    """y_i = b_i + a_i y_(i+1)."""
    return Recurrence(True)(a, b)


def predicted(q: Tensor, c: Tensor, k: np.ndarray) -> Tensor:
    """p_i = q_i + c_i p_(i-1) / (1 + k_i p_(i-1))."""
    return PredictedVariance()(q, c, k)


def beside(x: Tensor, places: int) -> Tensor:
    """x_(i-1) for one place, x_(i+1) for -1; 0 where there is none."""
    edge = pt.zeros(1)
    return pt.concatenate([edge, x[:-1]] if places == 1 else [x[1:], edge])
