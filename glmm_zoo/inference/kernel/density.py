"""Functions of a PyMC model's unconstrained vector x as machine code, from the graphs of its variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from glmm_zoo.inference.kernel.arrays import NARROW, ExpressionArray
from glmm_zoo.inference.kernel.derivatives import gradient
from glmm_zoo.inference.kernel.emit import Store
from glmm_zoo.inference.kernel.expression import Expressions, rows_in_order
from glmm_zoo.inference.kernel.machine import Program
from glmm_zoo.inference.kernel.translate import Translation


class GraphCompiler:
    """Compiles graphs of value variables as functions of x, which holds these one after another, in these shapes; in the graphs other
    variables may `stand` for some."""

    def __init__(
        self, values: Sequence[Any], shapes: Sequence[tuple[int, ...]], stands: Mapping[Any, Any] = MappingProxyType({})
    ):
        self.E = Expressions()
        sizes = [int(np.prod(s)) for s in shapes]
        self.starts, self.size = [0, *np.cumsum(sizes)[:-1].tolist()], sum(sizes)
        self.inputs = {v: self._part(j, s) for j, (v, s) in enumerate(zip(values, shapes, strict=True))}
        self.translate = Translation(self.E, self.inputs, stands)

    def _part(self, j: int, shape: tuple[int, ...]) -> ExpressionArray:
        E, size = self.E, int(np.prod(shape))
        if not shape or max(shape) <= NARROW or len(shape) > 2:
            items: Any = np.empty(shape, dtype=object)
            items.reshape(-1)[:] = [E.input(j, i) for i in range(size)]
            return ExpressionArray(items)
        long = int(np.argmax(shape))
        length, others = shape[long], size // shape[long]
        columns = [
            E.load(j, others, c, length) if long == 0 else E.load(j, 1, c * length, length) for c in range(others)
        ]
        items = np.empty([1 if i == long else n for i, n in enumerate(shape)], dtype=object)
        items.reshape(-1)[:] = columns
        return ExpressionArray(items, long, length)

    def with_gradient(self, density: Any, beside: Any = None) -> Program:
        """x -> the density, a number, and in `out` its gradient (n,) and after that a vector `beside` of many numbers, if there is one."""
        value = self.translate(density).items.item()
        stores = []
        for leaf, adjoint in gradient(self.E, value).items():
            if leaf.op == "load":
                part, stride, offset = leaf.static
                stores.append(Store(adjoint, part, offset, stride, leaf.domain))
            else:
                part, position = leaf.static
                stores.append(Store(adjoint, part, position, 1, None))
        outs, more = list(self.starts), 0
        if beside is not None:
            vector = self.translate(beside)
            more = vector.size
            stores.append(Store(vector.items.item(), len(outs), 0, 1, more))
            outs.append(self.size)
        order = rows_in_order(self.E, [value, *(s.node for s in stores)])
        return Program(self.E, stores, value, self.starts, outs, order, beside=more)

    def outputs(self, variables: Sequence[Any]) -> tuple[Program, list[tuple[int, ...]]]:
        """x -> variables one after another in `out`, and their shapes."""
        arrays = [self.translate(v) for v in variables]
        shapes = [t.shape for t in arrays]
        starts = [0, *np.cumsum([int(np.prod(s)) for s in shapes]).tolist()]
        stores = []
        for j, t in enumerate(arrays):
            inner = int(np.prod(t.shape[t.long + 1 :])) if t.long is not None else 1
            for at in np.ndindex(*t.items.shape):
                offset = int(np.ravel_multi_index(at, t.shape)) if at else 0
                stores.append(Store(t.items[at], j, offset, inner, None if t.long is None else t.size))
        return Program(self.E, stores, None, self.starts, starts[:-1]), shapes
