"""PyTensor's operations on tensors as operations on arrays of expressions: what `Translation` does at each node of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.families.conway_maxwell import MANY_ROWS
from glmm_zoo.inference.kernel.arrays import MANY, NARROW, WIDEST, ExpressionArray, items_of
from glmm_zoo.inference.kernel.expression import Node, UnsupportedError
from glmm_zoo.inference.kernel.mean_survival import mean_survival_node
from glmm_zoo.inference.kernel.scalars import SCALARS, chain

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.translate import Translation


def _scalar(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    name = type(op).__name__
    if name == "Cast":
        if op.o_type.dtype not in ("float64", "bool"):
            raise UnsupportedError(f"{op} of an unknown")
        return inputs[0]
    if name not in SCALARS:
        raise UnsupportedError(f"the function {op}")
    return t.elementwise(lambda *args: SCALARS[name](t.E, *args), inputs)


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
                x = ExpressionArray(items_of((combine(t, x, v) for v in x.items.ravel()), x.items.shape))
        rest = [i for i in range(x.ndim) if i not in axes]
        moved, kept = x.items.transpose([*rest, *axes]), tuple(x.items.shape[i] for i in rest)
        step = chain(op_name)
        items = items_of((step(t.E, *moved[(*at, ...)].ravel()) for at in np.ndindex(*kept)), kept)
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
    if shape_b[0] > MANY and not isinstance(a, ExpressionArray) and len(shape_a) == 2 and _is_narrow(shape_b[1:]):
        return _product(t, np.asarray(a), b)
    if shape_b[0] > MANY and not isinstance(b, ExpressionArray) and len(shape_b) == 2 and _is_narrow(shape_a[:-1]):
        return _turned(_product(t, np.asarray(b).T, _turned(a)))
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
    product = np.empty((rows.shape[0], columns.shape[1]), dtype=object)
    for i, j in np.ndindex(*product.shape):
        terms = [t.E("mul", x, y) for x, y in zip(rows[i], columns[:, j], strict=True)]
        total = chain("add")(t.E, *terms)
        product[i, j] = t.E.sum(total, size) if over_domain else total
    keep = tuple(slice(None) if x.ndim == 2 else 0 for x in (a, b))
    items = np.asarray(product[keep], dtype=object).reshape(
        [n for n, x in zip(product.shape, (a, b), strict=True) if x.ndim == 2]
    )
    long = 0 if outer_a else items.ndim - 1 if outer_b else None
    return ExpressionArray(items, long, size if long is not None else 1)


def _is_narrow(axes: Sequence[int]) -> bool:
    return all(n <= NARROW for n in axes)


def _turned(x: ExpressionArray) -> ExpressionArray:
    """The transpose of a matrix; a vector as it is."""
    return ExpressionArray(x.items.T, None if x.long is None else x.ndim - 1 - x.long, x.size)


def _product(t: Translation, matrix: np.ndarray, columns: ExpressionArray) -> ExpressionArray:
    """A matrix of data times a vector, or times a matrix of few columns, each in a loop of its own."""
    items, matrix = t.vectors(columns, 0).items, np.asarray(matrix, dtype=np.float64)
    if len(matrix) == 1:  # numbers: what has one element is no domain
        sums = (t.E.sum(t.E("mul", v, t.E.constant(matrix[0])), matrix.shape[1]) for v in items.ravel())
        return ExpressionArray(items_of(sums, items.shape)[None], None, 1)
    made = (t.E.product(matrix, v) for v in items.ravel())
    return ExpressionArray(items_of(made, items.shape), 0, len(matrix))


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
        total, joined = sum(along), None
        for x, n, start in zip(parts, along, np.cumsum([0, *along[:-1]]), strict=True):
            (v,) = t.vectors(x).items
            if v.domain is None:
                hot = np.zeros(total)
                hot[start : start + n] = 1
                piece = t.E("mul", v, t.E.constant(hot))
            else:
                piece = t.E.scatter(v, np.arange(start, start + n), total)
            joined = piece if joined is None else t.E("add", joined, piece)
        return ExpressionArray(items_of([joined], (1,)), 0, total)
    domains = [
        (x.long, x.size) for x in parts if isinstance(x, ExpressionArray) and x.long is not None and x.long != axis
    ]
    if domains:
        long, size = domains[0]
        ready = [t.vectors(x, long) for x in parts]
        return ExpressionArray(np.concatenate([x.items for x in ready], axis=axis), long, size)
    return ExpressionArray(np.concatenate([t.written_out(x).items for x in parts], axis=axis))


def _make_vector(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    return ExpressionArray(items_of((t.written_out(x).items.item() for x in inputs), (len(inputs),)))


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
            else ExpressionArray(items_of([x.items[tuple(plain)]], ()))
        )
    along = plain[x.long]
    others = tuple(slice(None) if i == x.long else e for i, e in enumerate(plain))
    items = x.items[others]
    before = sum(not isinstance(e, int) for e in plain[: x.long])
    if isinstance(along, int):
        elements = items_of((t.E.element(v, along % x.size) for v in items.ravel()), items.shape)
        return ExpressionArray(elements.reshape([n for i, n in enumerate(items.shape) if i != before]))
    if isinstance(along, slice) and along == slice(None):
        return ExpressionArray(items, before, x.size)
    at = np.arange(x.size)[along]
    return ExpressionArray(items_of((t.E.gather(v, at) for v in items.ravel()), items.shape), before, len(at))


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
        return ExpressionArray(items_of([t.E("add", base, moved)], (1,)), 0, x_shape[0])
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


def _conway_maxwell(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    def of(eta: Node, nu: Node, common: Node) -> Node:
        one = common.domain is None and (eta.domain or 0) >= MANY_ROWS
        return t.E(f"conway_{op.which}", eta, nu, *([common] if one else []))

    return t.elementwise(of, inputs)


def _rising(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    return t.elementwise(partial(t.E, "rising_slope" if op.slope else "log_rising"), inputs)


def _count_tail(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    return t.elementwise(partial(t.E, "count_at_least" if op.at_least else "count_below"), inputs[:-1])


def _known_slopes(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    return t.elementwise(partial(t.E, "known_slopes"), inputs)


def _recurrence(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    of = "predicted" if type(op).__name__ == "PredictedVariance" else "back" if op.backward else "onward"
    size = max(x.shape[0] if isinstance(x, ExpressionArray) else len(x) for x in inputs)
    args = tuple(t.vectors(x).items[0] for x in inputs)
    return ExpressionArray(items_of([t.E.recurrence(of, args, size)], (1,)), 0, size)


def _mean_survival(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    if op.slopes:
        raise UnsupportedError(str(op))
    node, n = mean_survival_node(t.E, op.starts, [t.vectors(x).items[0] for x in inputs])
    if n == 1:  # a number: what has one element is no domain
        return ExpressionArray(items_of([t.E.element(node, 0)], (1,)))
    return ExpressionArray(items_of([t.E.gather(node, np.arange(n))], (1,)), 0, n)


def _band(t: Translation, op: Any, inputs: Sequence[Any]) -> ExpressionArray:
    if type(op).__name__ == "BandTimes":
        raise UnsupportedError(str(op))
    s, x = t.written_out(inputs[0]).items.item(), t.vectors(inputs[1])
    (starts, *A), (_, *B) = t.E.triangle(op.A), t.E.triangle(op.B)
    y = t.E.band("above" if op.transposed else "below", (starts, *A, *B), (s, x.items[0]))
    return ExpressionArray(items_of([y], (1,)), 0, x.size)


HANDLERS: dict[str, Callable[[Translation, Any, list[Any]], ExpressionArray]] = {
    "Elemwise": _elementwise, "DimShuffle": _dimshuffle, "Sum": _sum, "Max": _maximum, "Any": _any, "All": _all, "LogSumExp": _log_sum_exp,
    "Dot": _dot, "Blockwise": _dot, "Join": _join, "MakeVector": _make_vector, "Alloc": _alloc, "Reshape": _reshape,
    "Subtensor": _subtensor, "AdvancedSubtensor": _subtensor, "IncSubtensor": _inc_subtensor,
    "Recurrence": _recurrence, "PredictedVariance": _recurrence, "BandSolved": _band, "BandTimes": _band, "MeanSurvival": _mean_survival,
    "AdvancedIncSubtensor": _inc_subtensor, "CumOp": _cumulative, "Softmax": _softmax,
    "ConwayMaxwell": _conway_maxwell, "LogRising": _rising, "KnownSlopes": _known_slopes, "CountTail": _count_tail,
    "TensorFromScalar": lambda t, op, x: x[0], "ScalarFromTensor": lambda t, op, x: x[0],
    **dict.fromkeys(SCALARS, _scalar), "Cast": _scalar,
}  # fmt: skip
