"""Solutions of triangular systems whose matrix K = A + s B has rows of known width, A and B data and s a number.

below(A, B, s, x)      y = K^-1 x
above(A, B, s, x)      y = K'^-1 x
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.banded import Triangle


class BandSolved(Op):
    """K^-1 x, or the same of the transpose."""

    __props__ = ("A", "B", "transposed")
    gufunc_signature = "(),(n)->(n)"

    def __init__(self, A: Triangle, B: Triangle, transposed: bool):
        self.A, self.B, self.transposed = A, B, transposed

    def make_node(self, s: Any, x: Any) -> Apply:
        s, x = pt.as_tensor_variable(s), pt.as_tensor_variable(x)
        return Apply(self, [s, x], [x.type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        s, x = inputs
        output_storage[0][0] = self.A.plus(self.B, float(s)).solved(np.asarray(x), self.transposed)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [shapes[1]]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (s, _), (y,), (g,) = inputs, outputs, cotangents
        passed: Any = BandSolved(self.A, self.B, not self.transposed)(s, g)
        left, right = (y, passed) if self.transposed else (passed, y)
        by_s: Any = pt.sum(left * BandTimes(self.B, False)(right))
        return [-by_s, passed]


class BandTimes(Op):
    """A triangular matrix times x, or its transpose times x."""

    __props__ = ("matrix", "transposed")
    gufunc_signature = "(n)->(n)"

    def __init__(self, matrix: Triangle, transposed: bool):
        self.matrix, self.transposed = matrix, transposed

    def make_node(self, x: Any) -> Apply:
        x = pt.as_tensor_variable(x)
        return Apply(self, [x], [x.type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        output_storage[0][0] = self.matrix.times(np.asarray(inputs[0]), self.transposed)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [shapes[0]]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [BandTimes(self.matrix, not self.transposed)(cotangents[0])]


def solved_below(A: Triangle, B: Triangle, s: Tensor, x: Tensor) -> Tensor:
    """K^-1 x."""
    return BandSolved(A, B, False)(s, x)


def solved_above(A: Triangle, B: Triangle, s: Tensor, x: Tensor) -> Tensor:
    """K'^-1 x."""
    return BandSolved(A, B, True)(s, x)


def transposed_times(A: Triangle, B: Triangle, s: Tensor, x: Tensor) -> Tensor:
    """K' x."""
    return BandTimes(A, True)(x) + s * BandTimes(B, True)(x)
