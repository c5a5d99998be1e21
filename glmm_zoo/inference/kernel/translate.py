"""From a PyTensor graph to expressions, by walking it once as it stands: no rewriting, no compiling by PyTensor.

What depends on data alone is computed on the way. A tensor of the rest is an array of expressions: the axes that are
narrow are written out, at most one long axis becomes a domain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.inference.kernel.expression import Expressions, Node, UnsupportedError

NARROW = 16  # an axis of the argument up to this is written out
WIDEST = 200  # no axis beyond this is


@dataclass(frozen=True)
class ExpressionArray:
    """A tensor as expressions: `items` has its axes, but length 1 along the `long` one, whose length is `size`."""

    items: Any
    long: int | None = None
    size: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.size if i == self.long else n for i, n in enumerate(self.items.shape))

    @property
    def ndim(self) -> int:
        return self.items.ndim


def _items(values: Any, shape: tuple[int, ...]) -> Any:
    found = np.empty(shape, dtype=object)
    found.reshape(-1)[:] = list(values)
    return found


class Translation:
    """Translates variables of a graph whose free inputs have known values in `inputs`."""

    def __init__(self, E: Expressions, inputs: Mapping[Any, ExpressionArray]):
        self.E = E
        self._known: dict[Any, Any] = dict(inputs)

    def __call__(self, variable: Any) -> ExpressionArray:
        """The expressions of a variable.

        Raises
        ------
        UnsupportedError
            An operation that is not known here.
        """
        found = self._value(variable)
        return found if isinstance(found, ExpressionArray) else self.lifted(found)

    def _value(self, variable: Any) -> Any:
        from pytensor.compile.sharedvalue import SharedVariable
        from pytensor.graph.basic import Constant

        stack = [variable]
        while stack:
            v = stack[-1]
            if v in self._known:
                stack.pop()
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
            self._known.update(zip(node.outputs, _performed(node, inputs), strict=True))
        else:
            handler = _HANDLERS.get(name)
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
            return ExpressionArray(_items((self.E.number(float(x)) for x in array.ravel()), array.shape))
        first = np.moveaxis(array, long, 0)
        columns = first.reshape(first.shape[0], -1)
        shape = tuple(1 if i == long else n for i, n in enumerate(array.shape))
        items = _items((self.E.constant(c) for c in columns.T), first.shape[1:])
        return ExpressionArray(items.reshape(shape), long, array.shape[long])

    def written_out(self, t: Any) -> ExpressionArray:
        """Without a long axis."""
        if not isinstance(t, ExpressionArray):
            array = np.asarray(t)
            if array.size > WIDEST**2:
                raise UnsupportedError(f"an array of shape {array.shape} written out")
            return ExpressionArray(_items((self.E.number(float(x)) for x in array.ravel()), array.shape))
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
        return ExpressionArray(_items(packed, first.shape[1:]).reshape(shape), axis, first.shape[0])

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
        out = _items((operation(*args) for args in joined), joined.shape)
        return ExpressionArray(out, None if axis is None else out.ndim + axis, size)


def _performed(node: Any, inputs: Sequence[Any]) -> list[Any]:
    """What a node gives for data."""
    storage: list[list[Any]] = [[None] for _ in node.outputs]
    values = [
        np.asarray(x, dtype=v.type.dtype) if hasattr(v.type, "ndim") and v.type.ndim else x
        for v, x in zip(node.inputs, inputs, strict=True)
    ]
    if hasattr(node.op, "prepare_node"):
        node.op.prepare_node(node, None, None, "py")
    node.op.perform(node, values, storage)
    return [s[0] for s in storage]


# ------------------------------------------------------------------------------------------------- scalar operations


def _chain(op: str) -> Callable[..., Node]:
    def run(E: Expressions, *args: Node) -> Node:
        found = args[0]
        for a in args[1:]:
            found = E(op, found, a)
        return found

    return run


def _plain(op: str) -> Callable[..., Node]:
    return lambda E, *args: E(op, *args)


def _softplus(E: Expressions, x: Node) -> Node:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).

    The slope of |x| at 0 is taken to be 1, and |-x| is |x|: so there the maximum is x, but 0 for the negative of something.
    """
    zero = E.number(0.0)
    high = E("select", E("gt" if x.op == "neg" else "ge", x, zero), x, zero)
    return E("add", high, E("log1p", E("exp", E("neg", E("abs", x)))))


def _sigmoid(E: Expressions, x: Node) -> Node:
    """e^min(x, 0) / (1 + e^-|x|)"""
    e = E("exp", E("neg", E("abs", x)))
    return E("div", E("select", E("ge", x, E.number(0.0)), E.number(1.0), e), E("add", E.number(1.0), e))


def _power(E: Expressions, a: Node, b: Node) -> Node:
    if b.op == "number":
        exponent = b.static[0]
        if exponent == round(exponent) and 0 < abs(exponent) <= 8:
            found = a
            for _ in range(int(abs(exponent)) - 1):
                found = E("mul", found, a)
            return found if exponent > 0 else E("div", E.number(1.0), found)
        if exponent == 0.5:
            return E("sqrt", a)
    return E("exp", E("mul", b, E("log", a)))


def _log_add_exp(E: Expressions, a: Node, b: Node) -> Node:
    high = E("select", E("ge", a, b), a, b)
    return E("add", high, E("log1p", E("exp", E("neg", E("abs", E("sub", a, b))))))


def _sign(E: Expressions, x: Node) -> Node:
    zero, one = E.number(0.0), E.number(1.0)
    return E("select", E("gt", x, zero), one, E("select", E("lt", x, zero), E.number(-1.0), zero))


def _erf(E: Expressions, x: Node) -> Node:
    return E("sub", E.number(1.0), E("erfc", x))


_SCALAR: dict[str, Callable[..., Node]] = {
    "Add": _chain("add"), "Mul": _chain("mul"), "Sub": _plain("sub"), "TrueDiv": _plain("div"), "Neg": _plain("neg"),
    "Exp": _plain("exp"), "Log": _plain("log"), "Log1p": _plain("log1p"), "Expm1": _plain("expm1"), "Sqrt": _plain("sqrt"),
    "Abs": _plain("abs"), "Maximum": _plain("max"), "Minimum": _plain("min"), "Switch": _plain("select"),
    "LT": _plain("lt"), "LE": _plain("le"), "GT": _plain("gt"), "GE": _plain("ge"), "EQ": _plain("eq"),
    "AND": _chain("and"), "OR": _chain("or"), "Invert": _plain("not"), "GammaLn": _plain("lgamma"), "Psi": _plain("digamma"),
    "Erfc": _plain("erfc"), "Erf": _erf, "Softplus": _softplus, "Sigmoid": _sigmoid, "Pow": _power,
    "LogAddExp": _log_add_exp, "Sign": _sign,
    "Sqr": lambda E, x: E("mul", x, x), "Reciprocal": lambda E, x: E("div", E.number(1.0), x),
    "Identity": lambda E, x: x, "Second": lambda E, _, x: x,
    "Clip": lambda E, x, low, high: E("min", E("max", x, low), high),
    "Log2": lambda E, x: E("mul", E("log", x), E.number(1 / np.log(2))),
}  # fmt: skip


def _scalar(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    name = type(op).__name__
    if name == "Cast":
        if op.o_type.dtype not in ("float64", "bool"):
            raise UnsupportedError(f"{op} of an unknown")
        return inputs[0]
    if name not in _SCALAR:
        raise UnsupportedError(f"the function {op}")
    return t.elementwise(lambda *args: _SCALAR[name](t.E, *args), inputs)


# --------------------------------------------------------------------------------------------------- array operations


def _elementwise(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    return _scalar(t, op.scalar_op, inputs)


def _dimshuffle(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    (x,) = inputs
    items = x.items.transpose(
        [i for i in op.new_order if i != "x"] + [i for i in range(x.ndim) if i not in op.new_order]
    )
    items = items.reshape(items.shape[: sum(i != "x" for i in op.new_order)])
    for axis, i in enumerate(op.new_order):
        if i == "x":
            items = np.expand_dims(items, axis)
    return ExpressionArray(items, None if x.long is None else op.new_order.index(x.long), x.size)


def _axes(op: Any, x: ExpressionArray) -> list[int]:
    axes = range(x.ndim) if op.axis is None else op.axis
    return [a % x.ndim for a in (axes if np.iterable(axes) else [axes])]


def _reduce(
    combine: Callable[[Translation, ExpressionArray, Node], Node] | None, op_name: str
) -> Callable[..., ExpressionArray]:
    def run(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
        (x,) = inputs
        axes = _axes(op, x)
        if x.long in axes:
            if combine is None:
                x = t.written_out(x)
            else:
                x = ExpressionArray(_items((combine(t, x, v) for v in x.items.ravel()), x.items.shape))
        rest = [i for i in range(x.ndim) if i not in axes]
        moved = x.items.transpose([*rest, *axes]).reshape([x.items.shape[i] for i in rest] + [-1])
        step = _chain(op_name)
        items = _items((step(t.E, *row) for row in moved.reshape(-1, moved.shape[-1])), tuple(moved.shape[:-1]))
        long = rest.index(x.long) if x.long in rest else None
        return ExpressionArray(items, long, x.size if long is not None else 1)

    return run


_sum = _reduce(lambda t, x, v: t.E.sum(v, x.size), "add")
_maximum = _reduce(None, "max")
_any, _all = _reduce(None, "or"), _reduce(None, "and")


def _log_sum_exp(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    (x,) = inputs
    axes = _axes(op, x)
    if x.long in axes:
        x = t.written_out(x)
    high = _maximum(t, op, [x])
    spread = ExpressionArray(np.expand_dims(high.items, tuple(axes)), x.long, x.size)
    shifted = t.elementwise(lambda a, b: t.E("exp", t.E("sub", a, b)), [x, spread])
    return t.elementwise(lambda s, m: t.E("add", t.E("log", s), m), [_sum(t, op, [shifted]), high])


def _factor(t: Translation, x: Any, axis: int) -> ExpressionArray:
    """A factor with the axis that is summed written out; the other is a domain where it is not narrow."""
    if isinstance(x, ExpressionArray):
        return t.written_out(x) if x.long == axis else x
    array = np.asarray(x)
    return t.lifted(array, 1 - axis) if array.ndim == 2 and array.shape[1 - axis] > NARROW else t.written_out(array)


def _dot(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    """Inner products of vectors and matrices, written out along the axis that is summed unless it is a domain."""
    if type(op).__name__ == "Blockwise" and type(op.core_op).__name__ not in ("Dot",):
        raise UnsupportedError(str(op))
    a, b = inputs
    shape_a, shape_b = (list(x.shape if isinstance(x, ExpressionArray) else np.shape(x)) for x in (a, b))
    if len(shape_a) > 2 or len(shape_b) > 2:
        raise UnsupportedError(f"a product of shapes {shape_a} and {shape_b}")
    p, inner = shape_b[0], (len(shape_a) - 1, 0)
    over_domain = p > WIDEST and any(
        isinstance(x, ExpressionArray) and x.long == i for x, i in zip((a, b), inner, strict=True)
    )
    if over_domain:
        a, b = t.vectors(a, inner[0]), t.vectors(b, 0)
    elif p > WIDEST:
        raise UnsupportedError(f"a product over {p} terms")
    else:
        a, b = (_factor(t, x, i) for x, i in zip((a, b), inner, strict=True))
    rows = a.items if a.ndim == 2 else a.items[None]
    columns = b.items if b.ndim == 2 else b.items[:, None]
    size = a.size if a.long is not None else b.size
    outer_a = a.ndim == 2 and a.long == 0
    outer_b = b.ndim == 2 and b.long == 1
    if outer_a and outer_b:
        raise UnsupportedError("an outer product")
    found = np.empty((rows.shape[0], columns.shape[1]), dtype=object)
    for i, j in np.ndindex(*found.shape):
        terms = [t.E("mul", x, y) for x, y in zip(rows[i], columns[:, j], strict=True)]
        total = _chain("add")(t.E, *terms)
        found[i, j] = t.E.sum(total, size) if over_domain else total
    keep = tuple(slice(None) if x.ndim == 2 else 0 for x in (a, b))
    items = np.asarray(found[keep], dtype=object).reshape(
        [n for n, x in zip(found.shape, (a, b), strict=True) if x.ndim == 2]
    )
    long = 0 if outer_a else items.ndim - 1 if outer_b else None
    return ExpressionArray(items, long, size if long is not None else 1)


def _join(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    if op is not None and hasattr(op, "axis"):
        axis, parts = op.axis, inputs
    else:
        axis, parts = int(inputs[0]), inputs[1:]
    ndim = max(x.ndim if isinstance(x, ExpressionArray) else np.ndim(x) for x in parts)
    axis %= ndim
    along = [x.shape[axis] if isinstance(x, ExpressionArray) else np.shape(x)[axis] for x in parts]
    lengthy = (
        any(isinstance(x, ExpressionArray) and x.long == axis and x.size > NARROW for x in parts) or sum(along) > WIDEST
    )
    if lengthy:
        if ndim > 1:
            raise UnsupportedError("matrices joined along their long axis")
        total, found = sum(along), None
        for x, n, start in zip(parts, along, np.cumsum([0, *along[:-1]]), strict=True):
            (v,) = t.vectors(x).items
            if v.domain is None:
                hot = np.zeros(total)
                hot[start : start + n] = 1
                piece = t.E("mul", v, t.E.constant(hot))
            else:
                piece = t.E.scatter(v, np.arange(start, start + n), total)
            found = piece if found is None else t.E("add", found, piece)
        return ExpressionArray(_items([found], (1,)), 0, total)
    domains = [
        (x.long, x.size) for x in parts if isinstance(x, ExpressionArray) and x.long is not None and x.long != axis
    ]
    if domains:
        long, size = domains[0]
        ready = [t.vectors(x, long) for x in parts]
        return ExpressionArray(np.concatenate([x.items for x in ready], axis=axis), long, size)
    return ExpressionArray(np.concatenate([t.written_out(x).items for x in parts], axis=axis))


def _make_vector(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    return ExpressionArray(_items((t.written_out(x).items.item() for x in inputs), (len(inputs),)))


def _alloc(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    value, *lengths = inputs
    like = np.broadcast_to(np.zeros(()), [int(n) for n in lengths])
    return t.elementwise(lambda x, _: x, [value, like])


def _reshape(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    x, shape = inputs
    shape = [int(n) for n in np.atleast_1d(shape)]
    total = int(np.prod(x.shape))
    shape = [n if n >= 0 else total // max(1, -int(np.prod(shape))) for n in shape]
    if x.long is None:
        return ExpressionArray(x.items.reshape(shape))
    if x.items.size == 1 and x.size in shape:
        long = shape.index(x.size)
        return ExpressionArray(x.items.reshape([1] * len(shape)), long, x.size)
    return ExpressionArray(t.written_out(x).items.reshape(shape))


def _index(entry: Any, inputs: list[Any]) -> Any:
    """An entry of PyTensor's index list with its variables filled in."""

    def fill(e: Any) -> Any:
        if isinstance(e, bool) or not isinstance(e, int | np.integer):
            return e
        value = inputs[e]
        if isinstance(value, ExpressionArray):
            raise UnsupportedError("an index that is unknown")
        return np.asarray(value)

    if isinstance(entry, slice):
        return slice(*(None if e is None else int(fill(e)) for e in (entry.start, entry.stop, entry.step)))
    return fill(entry)


def _subtensor(t: Translation, op: Any, inputs: list[Any]) -> ExpressionArray:
    x, rest = inputs[0], inputs[1:]
    index = [_index(e, rest) for e in op.idx_list]
    index += [slice(None)] * (x.ndim - len(index))
    if any(e is None or (isinstance(e, np.ndarray) and (e.ndim > 1 or e.dtype == bool)) for e in index):
        raise UnsupportedError(f"{op}")
    arrays = [i for i, e in enumerate(index) if isinstance(e, np.ndarray) and e.ndim == 1]
    if len(arrays) > 1:
        raise UnsupportedError(f"{op}")
    if arrays and x.long is None and len(index[arrays[0]]) > NARROW:
        x = t.vectors(x, arrays[0])
    plain = [int(e) if isinstance(e, np.ndarray) and e.ndim == 0 else e for e in index]
    if x.long is None:
        return (
            ExpressionArray(x.items[tuple(plain)] if x.ndim else x.items)
            if not _is_node(x.items[tuple(plain)])
            else ExpressionArray(_items([x.items[tuple(plain)]], ()))
        )
    along = plain[x.long]
    others = tuple(slice(None) if i == x.long else e for i, e in enumerate(plain))
    items = x.items[others]
    before = sum(not isinstance(e, int) for e in plain[: x.long])
    if isinstance(along, int):
        found = _items((t.E.element(v, along % x.size) for v in items.ravel()), items.shape)
        return ExpressionArray(found.reshape([n for i, n in enumerate(items.shape) if i != before]))
    if isinstance(along, slice) and along == slice(None):
        return ExpressionArray(items, before, x.size)
    at = np.arange(x.size)[along]
    return ExpressionArray(_items((t.E.gather(v, at) for v in items.ravel()), items.shape), before, len(at))


def _is_node(x: Any) -> bool:
    return isinstance(x, Node)


def _inc_subtensor(t: Translation, op: Any, inputs: list[Any]) -> ExpressionArray:
    x, y, rest = inputs[0], inputs[1], inputs[2:]
    x_shape = x.shape if isinstance(x, ExpressionArray) else np.shape(x)
    index = [_index(e, rest) for e in op.idx_list]
    index += [slice(None)] * (len(x_shape) - len(index))
    if len(x_shape) == 1 and isinstance(index[0], np.ndarray) and index[0].ndim == 1 and not op.set_instead_of_inc:
        (v,) = t.vectors(y).items if not isinstance(y, ExpressionArray) or y.ndim else y.items.reshape(1)
        base = t.vectors(x).items[0]
        moved = t.E.scatter(v, index[0] % x_shape[0], x_shape[0])
        return ExpressionArray(_items([t.E("add", base, moved)], (1,)), 0, x_shape[0])
    items = t.written_out(x).items.copy()
    at = tuple(int(e) if isinstance(e, np.ndarray) and e.ndim == 0 else e for e in index)
    new = t.written_out(y).items
    if op.set_instead_of_inc:
        items[at] = new if new.ndim else new.item()
    else:
        places = np.arange(items.size).reshape(items.shape)[at]
        for place, value in zip(np.ravel(places), np.broadcast_to(new, np.shape(places)).ravel(), strict=True):
            items.flat[place] = t.E("add", items.flat[place], value)
    return ExpressionArray(items)


def _cumulative(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    (x,) = inputs
    axis = 0 if op.axis is None else op.axis % x.ndim
    if op.mode != "add" or (op.axis is None and x.ndim > 1):
        raise UnsupportedError(str(op))
    if x.long == axis:
        x = t.written_out(x)
    items = x.items.copy()
    rows = np.moveaxis(items, axis, 0)
    for i in range(1, rows.shape[0]):
        for at in np.ndindex(*rows.shape[1:]):
            rows[(i, *at)] = t.E("add", rows[(i - 1, *at)], rows[(i, *at)])
    return ExpressionArray(items, x.long, x.size)


def _softmax(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    (x,) = inputs
    axes = _axes(op, x)
    whole = _log_sum_exp(t, op, inputs)
    spread = ExpressionArray(np.expand_dims(whole.items, tuple(axes)), x.long if x.long not in axes else None, x.size)
    return t.elementwise(lambda a, b: t.E("exp", t.E("sub", a, b)), [x, spread])


_HANDLERS: dict[str, Callable[[Translation, Any, list[Any]], ExpressionArray]] = {
    "Elemwise": _elementwise, "DimShuffle": _dimshuffle, "Sum": _sum, "Max": _maximum, "Any": _any, "All": _all, "LogSumExp": _log_sum_exp,
    "Dot": _dot, "Blockwise": _dot, "Join": _join, "MakeVector": _make_vector, "Alloc": _alloc, "Reshape": _reshape,
    "Subtensor": _subtensor, "AdvancedSubtensor": _subtensor, "IncSubtensor": _inc_subtensor,
    "AdvancedIncSubtensor": _inc_subtensor, "CumOp": _cumulative, "Softmax": _softmax,
    "TensorFromScalar": lambda t, op, x: x[0], "ScalarFromTensor": lambda t, op, x: x[0],
    **dict.fromkeys(_SCALAR, _scalar), "Cast": _scalar,
}  # fmt: skip
