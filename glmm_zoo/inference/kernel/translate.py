"""From a PyTensor graph to expressions, by walking it once as it stands: no rewriting, no compiling by PyTensor.

What depends on data alone is computed on the way. A tensor of the rest is an array of expressions: the axes that are
narrow are written out, at most one long axis becomes a domain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from glmm_zoo.families.tensors import performed
from glmm_zoo.inference.kernel.arrays import NARROW, WIDEST, ExpressionArray, items_of
from glmm_zoo.inference.kernel.expression import Expressions, Node, UnsupportedError
from glmm_zoo.inference.kernel.operations import HANDLERS


class Translation:
    """Translates variables of a graph whose free inputs have known values in `inputs`; for others another variable `stands`."""

    def __init__(self, E: Expressions, inputs: Mapping[Any, ExpressionArray], stands: Mapping[Any, Any]):
        self.E = E
        self._stands = stands
        self._known: dict[Any, Any] = dict(inputs)

    def __call__(self, variable: Any) -> ExpressionArray:
        """The expressions of a variable.

        Raises
        ------
        UnsupportedError
            An operation that is not known here.
        """
        value = self._value(variable)
        return value if isinstance(value, ExpressionArray) else self.lifted(value)

    def _value(self, variable: Any) -> Any:
        from pytensor.compile.sharedvalue import SharedVariable
        from pytensor.graph.basic import Constant

        stack = [variable]
        while stack:
            v = stack[-1]
            if v in self._known:
                stack.pop()
            elif v in self._stands:
                other = self._stands[v]
                if other in self._known:
                    self._known[stack.pop()] = self._known[other]
                else:
                    stack.append(other)
            elif isinstance(v, Constant):
                self._known[stack.pop()] = v.data
            elif isinstance(v, SharedVariable):
                self._known[stack.pop()] = v.get_value(borrow=True)
            elif v.owner is None:
                raise UnsupportedError(f"the input {v}")
            else:
                check = type(v.owner.op).__name__ == "CheckParameterValue"
                needed = v.owner.inputs[:1] if check else v.owner.inputs
                missing = [i for i in needed if i not in self._known]
                stack.extend(missing)
                if not missing:
                    self._apply(v.owner, [self._known[i] for i in needed])
                    stack.pop()
        return self._known[variable]

    def _apply(self, node: Any, inputs: list[Any]) -> None:
        name = type(node.op).__name__
        if name in ("CheckParameterValue", "ViewOp", "SpecifyShape"):
            self._known[node.outputs[0]] = inputs[0]
        elif name == "Shape":
            self._known[node.outputs[0]] = np.array(
                np.shape(inputs[0]) if not isinstance(inputs[0], ExpressionArray) else inputs[0].shape
            )
        elif name == "Shape_i":
            shape = inputs[0].shape if isinstance(inputs[0], ExpressionArray) else np.shape(inputs[0])
            self._known[node.outputs[0]] = np.array(shape[node.op.i])
        elif not any(isinstance(x, ExpressionArray) for x in inputs):
            self._known.update(zip(node.outputs, performed(node, inputs), strict=True))
        else:
            handler = HANDLERS.get(name)
            if handler is None:
                raise UnsupportedError(str(node.op))
            self._known[node.outputs[0]] = handler(self, node.op, inputs)

    # ------------------------------------------------------------------------------------------------- shapes and axes

    def lifted(self, value: Any, long: int | None = None) -> ExpressionArray:
        """Data as expressions; without a `long` axis given, the axis that is not narrow is long."""
        array = np.asarray(value)
        if long is None:
            wide = [i for i, n in enumerate(array.shape) if n > NARROW]
            if len(wide) > 1:
                raise UnsupportedError(f"data of shape {array.shape} beside unknowns")
            long = wide[0] if wide else None
        if long is None or array.shape[long] == 1:
            return ExpressionArray(items_of((self.E.number(float(x)) for x in array.ravel()), array.shape))
        first = np.moveaxis(array, long, 0)
        columns = first.reshape(first.shape[0], -1)
        shape = tuple(1 if i == long else n for i, n in enumerate(array.shape))
        items = items_of((self.E.constant(c) for c in columns.T), first.shape[1:])
        return ExpressionArray(items.reshape(shape), long, array.shape[long])

    def written_out(self, t: Any) -> ExpressionArray:
        """Without a long axis."""
        if not isinstance(t, ExpressionArray):
            array = np.asarray(t)
            if array.size > WIDEST**2:
                raise UnsupportedError(f"an array of shape {array.shape} written out")
            return ExpressionArray(items_of((self.E.number(float(x)) for x in array.ravel()), array.shape))
        if t.long is None:
            return t
        if t.size > WIDEST:
            raise UnsupportedError(f"a vector of {t.size} elements written out")
        shape, E = t.shape, self.E
        items = np.empty(shape, dtype=object)
        for at in np.ndindex(*shape):
            place = tuple(0 if i == t.long else k for i, k in enumerate(at))
            items[at] = E.element(t.items[place], at[t.long])
        return ExpressionArray(items)

    def vectors(self, t: Any, axis: int = 0) -> ExpressionArray:
        """With `axis` as the long one, whatever its length."""
        if not isinstance(t, ExpressionArray):
            return self.lifted(t, axis)
        if t.long == axis:
            return t
        t, E = self.written_out(t), self.E
        first = np.moveaxis(t.items, axis, 0)
        packed = [E.pack(list(column)) for column in first.reshape(first.shape[0], -1).T]
        shape = tuple(1 if i == axis else n for i, n in enumerate(t.items.shape))
        return ExpressionArray(items_of(packed, first.shape[1:]).reshape(shape), axis, first.shape[0])

    def together(self, values: Sequence[Any]) -> tuple[list[np.ndarray], int | None, int]:
        """Items of broadcast operands with one long axis among them, and the axis counted from the right."""
        shapes = [v.shape if isinstance(v, ExpressionArray) else np.shape(v) for v in values]
        whole = np.broadcast_shapes(*shapes)
        back = {v.long - v.ndim for v in values if isinstance(v, ExpressionArray) and v.long is not None}
        spread = set()  # axes along which some operand is written out
        for v in values:
            if isinstance(v, ExpressionArray):
                spread |= {i - v.ndim for i, n in enumerate(v.shape) if n > 1 and i != v.long}
        keep = back - spread
        if len(keep) > 1:
            raise UnsupportedError("operands with different long axes")
        if not keep:
            wide = [i - len(whole) for i, n in enumerate(whole) if n > NARROW and i - len(whole) not in spread]
            if len(wide) > 1:
                raise UnsupportedError(f"a tensor of shape {whole}")
            keep = set(wide)
        axis = keep.pop() if keep else None
        operands = []
        for v in values:
            ndim = v.ndim if isinstance(v, ExpressionArray) else np.ndim(v)
            if isinstance(v, ExpressionArray):
                same = v.long is None or v.long - v.ndim == axis
                operands.append(v.items if same else self.written_out(v).items)
            elif axis is not None and ndim >= -axis and np.shape(v)[axis] > 1:
                operands.append(self.lifted(v, ndim + axis).items)
            else:
                operands.append(self.written_out(v).items)
        return operands, axis, whole[axis] if axis is not None else 1

    def elementwise(self, operation: Callable[..., Node], values: Sequence[Any]) -> ExpressionArray:
        operands, axis, size = self.together(values)
        joined = np.broadcast(*operands)
        out = items_of((operation(*args) for args in joined), joined.shape)
        return ExpressionArray(out, None if axis is None else out.ndim + axis, size)
