"""Arithmetic on numbers and on vectors over a domain.

An expression is a number, or a vector with one element for each index of its domain (rows, levels of a factor), given by
the domain's size. Matrices with one narrow side are that many vectors. So everything becomes a few loops over domains,
with sums, gathers and scatters between them:

    sum_i v_i          gather(v, index)_i = v[index_i]          scatter(v, index)_j = sum of v_i over index_i = j
    product(M, v)_j = sum_i M_ji v_i for a matrix of data

Equal expressions are one object, which is how common parts of a density and its gradient are computed once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from glmm_zoo.formulas.banded import Triangle


class UnsupportedError(Exception):
    """The graph holds something that this compiler does not know; another backend takes it."""


class Node:
    """One expression: an operation on arguments. `domain` is None for a number; `order` that of creation."""

    __slots__ = ("args", "domain", "op", "order", "static")

    def __init__(self, op: str, args: tuple[Node, ...], domain: int | None, static: Any, order: int):
        self.op, self.args, self.domain, self.static, self.order = op, args, domain, static, order


RECURRENCES = {"onward", "back", "predicted"}  # see `recurrences`
TRIANGULAR = {"below", "above", "times"}  # see `bands`
PRODUCTS = {"product", "mean_survival", *TRIANGULAR}  # vectors that a function makes of whole vectors
PREDICATES = {"lt", "le", "gt", "ge", "eq", "and", "or", "not"}
SPARSE = 8  # of a matrix of which at most one number in so many is not zero the zeros are left out
LARGE = 20_000  # rows; what smaller loops read is in the cache in any order
_FOLD = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "neg": lambda a: -a, "exp": np.exp, "log": np.log, "log1p": np.log1p, "expm1": np.expm1, "sqrt": np.sqrt,
    "abs": abs, "max": max, "min": min,
    "lt": lambda a, b: float(a < b), "le": lambda a, b: float(a <= b), "gt": lambda a, b: float(a > b),
    "ge": lambda a, b: float(a >= b), "eq": lambda a, b: float(a == b),
    "and": lambda a, b: float(bool(a) and bool(b)), "or": lambda a, b: float(bool(a) or bool(b)), "not": lambda a: float(not a),
}  # fmt: skip


class Nonzeros(NamedTuple):
    """A matrix of data row by row without its zeros, as places of arrays: `values` and their `columns`, those of row i from starts[i] on."""

    values: int
    columns: int
    starts: int


class Expressions:
    """All expressions of one function, with the arrays that they read.

    `data` are float64 vectors, `indices` int32 vectors; `parts` give position and size of the parts of the argument x.
    `sigmoids` has the x of every 1 / (1 + e^-x), whose logarithm and distance from 1 keep their digits only if it is known.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Node] = {}
        self.data: list[np.ndarray] = []
        self.indices: list[np.ndarray] = []
        self._places: dict[Any, int] = {}
        self._sums: dict[int, float] = {}
        self.parts: list[tuple[int, int]] = []
        self.sigmoids: dict[Node, Node] = {}

    # leaves
    def number(self, value: float) -> Node:
        value = float(value)
        return self._make("number", (), None, (value, math.copysign(1.0, value)) if value == 0 else (value, 1.0))

    def input(self, part: int, position: int) -> Node:
        return self._make("input", (), None, (part, position))

    def load(self, part: int, stride: int, offset: int, size: int) -> Node:
        """The vector x[part][offset + i stride], i < size."""
        return self._make("load", (), size, (part, stride, offset))

    def constant(self, values: np.ndarray) -> Node:
        """A vector of data."""
        values = np.asarray(values)
        if values.size and (values == values.flat[0]).all():
            return self.number(float(values.flat[0]))
        return self._make("data", (), len(values), self._kept(self.data, values, np.float64))

    def index(self, values: np.ndarray) -> int:
        return self._kept(self.indices, values, np.int32)

    def _kept(self, where: list[np.ndarray], values: np.ndarray, dtype: Any) -> int:
        array = np.ascontiguousarray(values, dtype=dtype)
        key = (dtype, len(array), hash(array.tobytes()))
        place = self._places.get(key)
        if place is None or not np.array_equal(where[place], array):
            where.append(array)
            place = self._places[key] = len(where) - 1
        return place

    def _make(self, op: str, args: tuple[Node, ...], domain: int | None, static: Any = None) -> Node:
        key = (op, tuple(id(a) for a in args), domain, static)
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = Node(op, args, domain, static, len(self._known))
        return node

    # across loops
    def sum(self, v: Node, size: int) -> Node:
        """Sum over a domain of `size`; a number counts that often."""
        if v.domain is None:
            return self("mul", v, self.number(size))
        if v.op == "neg":
            return self("neg", self.sum(v.args[0], size))
        if v.op == "data":
            if v.static not in self._sums:
                self._sums[v.static] = float(np.sum(self.data[v.static]))
            return self.number(self._sums[v.static])
        if v.op == "mul" and any(a.domain is None for a in v.args):
            one, other = v.args if v.args[0].domain is None else v.args[::-1]
            return self("mul", one, self.sum(other, size))
        if v.op in ("add", "sub") and any(a.domain is None or a.op == "data" for a in v.args):
            return self(v.op, *(self.sum(a, size) for a in v.args))
        return self._make("sum", (v,), None)

    def element(self, v: Node, position: int) -> Node:
        if v.domain is None:
            return v
        if v.op == "data":
            return self.number(float(self.data[v.static][position]))
        if v.op == "load":
            part, stride, offset = v.static
            return self.input(part, offset + position * stride)
        if v.op == "pack":
            return v.args[position]
        return self._make("element", (v,), None, position)

    def gather(self, v: Node, index: np.ndarray) -> Node:
        if v.domain is None:
            return v
        _check(index, v.domain)
        if v.op == "data":
            return self.constant(self.data[v.static][index])
        if len(index) == v.domain and np.array_equal(index, np.arange(v.domain)):
            return v
        return self._make("gather", (v,), len(index), self.index(index))

    def scatter(self, v: Node, index: np.ndarray | int, size: int) -> Node:
        place = index if isinstance(index, int) else self.index(index)
        _check(self.indices[place], size)
        if v.domain is None:
            counts = np.bincount(self.indices[place], minlength=size).astype(float)
            return self("mul", v, self.constant(counts))
        return self._make("scatter", (v,), size, place)

    def product(self, matrix: np.ndarray, v: Node) -> Node:
        """The vector matrix @ v."""
        if v.domain is None:
            return self("mul", v, self.constant(matrix.sum(axis=1)))
        if v.op == "data":
            return self.constant(matrix @ self.data[v.static])
        if np.count_nonzero(matrix) * SPARSE > matrix.size:
            usual = np.median(matrix, axis=0)  # as of the columns of a factor of many levels about their means
            others = matrix - usual
            if np.count_nonzero(others) * SPARSE > matrix.size:
                return self._make("product", (v,), len(matrix), self._kept(self.data, matrix.ravel(), np.float64))
            return self("add", self.product(others, v), self.sum(self("mul", v, self.constant(usual)), v.domain))
        rows, columns = np.nonzero(matrix)
        starts = self.index(np.searchsorted(rows, np.arange(len(matrix) + 1)))
        values = self._kept(self.data, matrix[rows, columns], np.float64)
        return self._make("product", (v,), len(matrix), Nonzeros(values, self.index(columns), starts))

    def matrix(self, product: Node) -> np.ndarray:
        """The matrix of data of a product."""
        (v,), rows = product.args, product.domain
        assert v.domain is not None and rows is not None
        if not isinstance(product.static, Nonzeros):
            return self.data[product.static].reshape(rows, v.domain)
        matrix, of = np.zeros((rows, v.domain)), product.static
        places = np.repeat(np.arange(rows), np.diff(self.indices[of.starts])), self.indices[of.columns]
        matrix[places] = self.data[of.values]
        return matrix

    def triangle(self, matrix: Triangle) -> tuple[int, int, int]:
        """The places of the data of a triangular matrix: where its rows start, its entries, its diagonal."""
        entries, diagonal = (self._kept(self.data, x, np.float64) for x in (matrix.entries, matrix.diagonal))
        return self.index(matrix.starts), entries, diagonal

    def band(self, op: str, matrices: tuple[int, ...], args: tuple[Node, ...]) -> Node:
        """The vector of one of `TRIANGULAR`; the last of `args` is x."""
        size = args[-1].domain
        if size is None:
            raise UnsupportedError("a triangular system with one number on its right")
        return self._make(op, args, size, matrices)

    def mean_survival(self, args: Sequence[Node], points: int, size: int, subjects: Any) -> Node:
        """A vector of `size` that is made of some over so many points, see `mean_survival`."""
        return self._make("mean_survival", tuple(self._vector(a, points) for a in args), size, subjects)

    def _vector(self, v: Node, size: int) -> Node:
        """A vector over a domain of `size`, of a number too."""
        if v.domain is not None:
            return v
        if v.op == "number":
            return self._make("data", (), size, self._kept(self.data, np.full(size, v.static[0]), np.float64))
        return self.gather(self.pack([v]), np.zeros(size, int))

    def recurrence(self, op: str, args: tuple[Node, ...], size: int) -> Node:
        """A vector whose elements are made one after another, one of `RECURRENCES`."""
        return self._make(op, args, size)

    def pack(self, numbers: Sequence[Node]) -> Node:
        if all(v.op == "number" for v in numbers):
            return self.constant(np.array([v.static[0] for v in numbers]))
        return self._make("pack", tuple(numbers), len(numbers))

    # elementwise
    def __call__(self, op: str, *args: Node) -> Node:
        """An operation element by element, simplified where the result is plain."""
        simple = self._simplified(op, args)
        if simple is not None:
            return simple
        domains = {a.domain for a in args} - {None}
        if len(domains) > 1:
            raise UnsupportedError(f"{op} of vectors over different domains")
        return self._make(op, args, domains.pop() if domains else None)

    def _simplified(self, op: str, args: tuple[Node, ...]) -> Node | None:
        if op in _FOLD and all(a.op == "number" for a in args):
            with np.errstate(all="ignore"):
                return self.number(_FOLD[op](*(np.float64(a.static[0]) for a in args)))
        if op == "select":
            condition, a, b = args
            if condition.op == "number":
                return a if condition.static[0] else b
            return a if a is b else None
        values = [a.static[0] if a.op == "number" else None for a in args]
        if op == "add":
            if 0.0 in values:
                return args[1 - values.index(0.0)]
            if args[1].op == "neg":
                return self("sub", args[0], args[1].args[0])
            if args[0].op == "neg":
                return self("sub", args[1], args[0].args[0])
            return None if args[0].order <= args[1].order else self("add", args[1], args[0])
        if op == "sub":
            if values[1] == 0:
                return args[0]
            if values[0] == 0:
                return self("neg", args[1])
            if args[0] is args[1]:
                return self.number(0.0)
            return self("add", args[0], args[1].args[0]) if args[1].op == "neg" else None
        if op == "mul":
            if 0.0 in values:
                return self.number(0.0)
            for one, minus in ((1.0, False), (-1.0, True)):
                if one in values:
                    other = args[1 - values.index(one)]
                    return self("neg", other) if minus else other
            for i in (0, 1):
                if args[i].op == "neg":
                    return self("neg", self("mul", args[i].args[0], args[1 - i]))
            return None if args[0].order <= args[1].order else self("mul", args[1], args[0])
        if op == "div":
            if values[1] == 1:
                return args[0]
            if values[0] == 0:
                return self.number(0.0)
            if values[1] is not None and values[1] != 0:
                return self("mul", args[0], self.number(1.0 / values[1]))
            if args[0].op == "neg":
                return self("neg", self("div", args[0].args[0], args[1]))
        if op == "neg" and args[0].op in ("neg", "sub"):
            inner = args[0].args
            return inner[0] if args[0].op == "neg" else self("sub", inner[1], inner[0])
        if op == "log" and args[0].op == "exp":
            return args[0].args[0]
        if op == "abs" and args[0].op == "neg":
            return self("abs", args[0].args[0])
        if op in ("and", "or"):
            for value, other in ((values[0], args[1]), (values[1], args[0])):
                if value is not None:
                    return other if bool(value) == (op == "and") else self.number(float(op == "or"))
        return None


def _check(index: np.ndarray, size: int) -> None:
    """The loops do not: an index out of range would read foreign memory."""
    if len(index) and not (index.min() >= 0 and index.max() < size):
        raise IndexError(f"index {index.min()} to {index.max()} of a vector of {size} elements")


def reachable(roots: Iterable[Node]) -> list[Node]:
    """All expressions that the roots are made of, arguments first."""
    ordered: dict[Node, None] = {}
    stack = [(r, False) for r in roots]
    while stack:
        node, ready = stack.pop()
        if ready:
            ordered[node] = None
        elif node not in ordered:
            stack.append((node, True))
            stack.extend((a, False) for a in node.args if a not in ordered)
    return list(ordered)


def rows_in_order(E: Expressions, roots: Iterable[Node]) -> Mapping[int, np.ndarray]:
    """For domains that are only summed over, the order of their elements in which the longest vector is read in sequence.

    Rows sorted by the levels of the largest factor gather and scatter in memory that is at hand. By size of the domain.
    """
    nodes = reachable(roots)
    fixed = {n.domain for n in nodes if n.op in {"load", "scatter", "pack", *PRODUCTS, *RECURRENCES}}
    fixed |= {a.domain for n in nodes if n.op in {"gather", "element", *PRODUCTS} for a in n.args}
    fixed |= {len(E.indices[n.static[0]]) for n in nodes if n.op in TRIANGULAR} | {
        len(E.data[n.static[1]]) for n in nodes if n.op in TRIANGULAR
    }
    longest: dict[int, int] = {}
    for n in nodes:
        if n.op == "gather" and n.domain is not None and n.domain >= LARGE and n.domain not in fixed:
            held = longest.get(n.domain)
            if held is None or E.indices[n.static].max() > E.indices[held].max():
                longest[n.domain] = n.static
    return {size: np.argsort(E.indices[which], kind="stable") for size, which in longest.items()}
