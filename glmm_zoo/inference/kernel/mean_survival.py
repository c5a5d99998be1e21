"""`graph.mean_survival` as LLVM code: log S of every subject with its derivatives, in one pass over the subjects.

The values along the first axis are five vectors of 8, each the one before it times a number. A vector's own memory has the
derivatives behind its elements, and behind these what the passes over a subject's points leave for the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from glmm_zoo.graph.mean_survival import (
    HIGHEST_LOG_HAZARD,
    LEAST_SURVIVAL,
    LONG_AXIS,
    STEEPEST_SLOPE,
    across,
    long_weights,
)
from glmm_zoo.inference.kernel.functions import Lines, hexadecimal

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.emit import Emitter
    from glmm_zoo.inference.kernel.expression import Expressions, Node

LANES = 8
_BLOCKS = math.ceil(len(LONG_AXIS) / LANES)
_STEP = float(LONG_AXIS[1] - LONG_AXIS[0])
_LONG = LONG_AXIS[0] + _STEP * np.arange(LANES * _BLOCKS)  # with some more, which have no weight
_FIRST_ACROSS = 3  # among the factors of a point
_AT_ONCE = 5  # points across whose hazards are held in registers


class Subjects(NamedTuple):
    """How many there are and how many points they have, the most of one, and the place of where each one's points begin."""

    count: int
    points: int
    most: int
    starts: int


def _size_of_factors(q: int) -> int:
    """How many numbers a point's factors take, whole vectors."""
    return LANES * math.ceil((_FIRST_ACROSS + len(across(q)[1])) / LANES)


def mean_survival_node(E: Expressions, starts: Sequence[int], args: Sequence[Node]) -> tuple[Node, int]:
    """The vector whose first elements are log S, and how many these are."""
    sizes, q = np.diff(starts), len(args) - 1
    of = Subjects(len(sizes), starts[-1], int(sizes.max()), E.index(np.asarray(starts)))
    memory = LANES * _BLOCKS * len(across(q)[1]) + of.most * _size_of_factors(q)
    return E.mean_survival(args, of.points, of.count + (1 + q) * of.points + memory, of), of.count


def survival_slopes(E: Expressions, node: Node, g: Node) -> Iterable[tuple[Node, Node]]:
    """What the vector passes to its arguments of its own adjoint g."""
    of: Subjects = node.static
    starts = E.indices[of.starts]
    by_point = E.gather(g, np.repeat(np.arange(of.count), np.diff(starts)))
    for k, a in enumerate(node.args):
        yield a, E("mul", by_point, E.gather(node, of.count + k * of.points + np.arange(of.points)))


def write_mean_survival(emitter: Emitter, node: Node) -> None:
    """The call of the function, which stores the vector in scratch memory."""
    of: Subjects = node.static
    memory = [emitter.memory(a) for a in node.args]
    assert all(stride == 1 for _, stride in memory)
    emitter.used |= {("exp", LANES), ("log", 1)}
    pointers = ", ".join(
        f"ptr {x}" for x in (emitter.scratch(node), emitter.array("places", of.starts), *(p for p, _ in memory))
    )
    sizes = f"i64 {emitter.slot('size', of.count)}, i64 {emitter.slot('size', of.points)}"
    emitter.main.do(f"call void @mean_survival_{len(memory) - 1}({pointers}, {sizes})")


def mean_survival_function(q: int) -> list[str]:
    """The function for effects of q dimensions, by name `mean_survival_q`."""
    return _Function(q).text()


class _Function:
    """The function for effects of q dimensions. A subject's points are gone through for their factors, then for the hazards at all
    nodes, those of a few points across at a time, and for the derivatives."""

    def __init__(self, q: int):
        self.q, (self.y, self.w) = q, across(q)
        self.b, self.one = Lines(LANES), Lines(1, "u")
        self.one.lines = self.b.lines

    def text(self) -> list[str]:
        b, q = self.b, self.q
        names = ["out", "starts", "a", *(f"c{k}" for k in range(q))]
        head = f"define private void @mean_survival_{q}({', '.join(f'ptr noalias %{x}' for x in names)}, i64 %subjects, i64 %points) nounwind {{"
        weights = np.outer(self.w, np.append(long_weights(), np.zeros(len(_LONG) - len(LONG_AXIS)))).ravel()
        table = ", ".join(f"double {hexadecimal(x)}" for x in weights)
        constant = f"@mean_survival_weights_{q} = private constant [{len(weights)} x double] [{table}], align 64"
        for k in range(1 + q):
            before = "%out" if not k else f"%slope{k - 1}"
            b.do(f"%slope{k} = getelementptr double, ptr {before}, i64 {'%points' if k else '%subjects'}")
        b.do(f"%nodes = getelementptr double, ptr %slope{q}, i64 %points")
        b.do(f"%kept = getelementptr double, ptr %nodes, i64 {len(weights)}")
        b.do("br label %subject")
        b.lines.append("subject:")
        b.do("%i = phi i64 [ 0, %entry ], [ %i1, %slopes_after ]")
        b.do("%i1 = add i64 %i, 1")
        for name, at in (("begin", "%i"), ("end", "%i1")):
            b.do(f"%{name}_at = getelementptr i32, ptr %starts, i64 {at}")
            b.do(f"%{name}32 = load i32, ptr %{name}_at, align 4")
            b.do(f"%{name} = sext i32 %{name}32 to i64")
        self._loop("factors", "%begin", "%end", 1, 0, self._factors)
        for first in range(0, len(self.y), _AT_ONCE):
            some = range(first, min(first + _AT_ONCE, len(self.y)))
            hazards = self._loop(
                f"hazards{first}", "%begin", "%end", 1, _BLOCKS * len(some),
                lambda point, so_far, some=some: self._hazards(point, so_far, some),
            )  # fmt: skip
            for k, hazard in enumerate(hazards):
                self._write(hazard, "%nodes", LANES * (_BLOCKS * first + k))
        (total,) = self._loop("survivals", "0", str(len(weights)), LANES, 1, self._survivals)
        self._log_of(total)
        self._loop("slopes", "%begin", "%end", 1, 0, self._slopes)
        b.do("%more = icmp slt i64 %i1, %subjects")
        b.do("br i1 %more, label %subject, label %end_of_subjects")
        b.lines.append("end_of_subjects:")
        return [constant, head, "entry:", *b.lines, "  ret void", "}"]

    def _loop(
        self, name: str, begin: str, end: str, step: int, totals: int, body: Callable[[str, list[str]], Sequence[str]]
    ) -> list[str]:
        """A loop whose body takes the index and the totals so far, which begin at 0, and gives the next ones."""
        b = self.b
        b.do(f"br label %{name}_before")
        b.lines += [f"{name}_before:", f"  br label %{name}", f"{name}:"]
        b.do(f"%{name}_k = phi i64 [ {begin}, %{name}_before ], [ %{name}_next, %{name} ]")
        place, so_far = len(b.lines), [f"%{name}_t{j}" for j in range(totals)]
        made = list(body(f"%{name}_k", so_far))
        phis = zip(so_far, made, strict=True)
        b.lines[place:place] = [
            f"  {t} = phi {b.type} [ zeroinitializer, %{name}_before ], [ {m}, %{name} ]" for t, m in phis
        ]
        b.do(f"%{name}_next = add i64 %{name}_k, {step}")
        b.do(f"%{name}_more = icmp slt i64 %{name}_next, {end}")
        b.do(f"br i1 %{name}_more, label %{name}, label %{name}_after")
        b.lines.append(f"{name}_after:")
        return made

    # --------------------------------------------------------------------------------------------------------- memory

    def _at(self, base: str, place: str | int) -> str:
        return self.b(f"getelementptr double, ptr {base}, i64 {place}")

    def _read(self, base: str, place: str | int) -> str:
        return self.b(f"load {self.b.type}, ptr {self._at(base, place)}, align 8")

    def _write(self, vector: str, base: str, place: str | int) -> None:
        self.b.do(f"store {self.b.type} {vector}, ptr {self._at(base, place)}, align 8")

    def _number(self, base: str, place: str | int) -> str:
        return self.b(f"load double, ptr {self._at(base, place)}, align 8")

    def _spread(self, number: str) -> str:
        b = self.b
        first = b(f"insertelement {b.type} undef, double {number}, i32 0")
        return b(f"shufflevector {b.type} {first}, {b.type} undef, <{LANES} x i32> zeroinitializer")

    def _reduced(self, vector: str) -> str:
        b = self.b
        return b(
            f"call reassoc double @llvm.vector.reduce.fadd.v{LANES}f64(double {hexadecimal(-0.0)}, {b.type} {vector})"
        )

    def _own(self, point: str) -> str:
        """Where the factors of a point are."""
        b = self.b
        return self._at("%kept", b(f"mul i64 {b(f'sub i64 {point}, %begin')}, {_size_of_factors(self.q)}"))

    # ------------------------------------------------------------------------------------------------------ arithmetic

    def _factors(self, point: str, _: Sequence[str]) -> Sequence[str]:
        """Exponentials of a, of the first value along the long axis, of its step, and of the points across."""
        b, u, own = self.b, self.one, self._own(point)
        table = np.zeros((_size_of_factors(self.q), 1 + self.q))  # exponents as sums of a and c
        table[0, 0], table[1, 1], table[2, 1] = 1.0, LONG_AXIS[0], _STEP
        table[_FIRST_ACROSS : _FIRST_ACROSS + len(self.y), 2:] = self.y
        inside = []
        for k, name in enumerate(("a", *(f"c{k}" for k in range(self.q)))):
            x, high = self._number(f"%{name}", point), HIGHEST_LOG_HAZARD if k == 0 else STEEPEST_SLOPE
            x = u.select(u.compare("ogt", x, u.number(high)), u.number(high), x)
            inside.append(
                self._spread(
                    u.select(u.compare("olt", x, u.number(-STEEPEST_SLOPE)), u.number(-STEEPEST_SLOPE), x) if k else x
                )
            )
        for k in range(0, len(table), LANES):
            exponent = b.number(0.0)
            for x, column in zip(inside, table[k : k + LANES].T, strict=True):
                if column.any():
                    exponent = b.fma(x, _several(column), exponent)
            self._write(b.function("exp", exponent), own, k)
        return ()

    def _along(self, own: str, times: str | None = None) -> list[str]:
        """The factors of a point along the first axis, times a number: powers of that of a step."""
        b, u, power = self.b, self.one, self._number(own, 2)
        first = self._number(own, 1)
        e = self._spread(u.mul(first, times) if times else first)
        for digit in (1, 2, 4):  # of the lane, in binary
            lanes = ", ".join(f"i1 {'true' if lane & digit else 'false'}" for lane in range(LANES))
            e = b.mul(e, b.select(f"<{lanes}>", self._spread(power), b.number(1.0)))
            power = u.mul(power, power)
        ratio, found = self._spread(power), [e]
        for _ in range(1, _BLOCKS):
            found.append(b.mul(found[-1], ratio))
        return found

    def _hazards(self, point: str, so_far: Sequence[str], some: Sequence[int]) -> Sequence[str]:
        """Add a point's hazard at the nodes of some points across."""
        b, own = self.b, self._own(point)
        along = self._along(own, self._number(own, 0))
        f = [self._spread(self._number(own, _FIRST_ACROSS + j)) for j in some]
        return [b.fma(e, fj, H) for (fj, e), H in zip(product(f, along), so_far, strict=True)]

    def _survivals(self, node: str, so_far: Sequence[str]) -> Sequence[str]:
        """Survival at nodes times their weights, in place of their hazards."""
        b = self.b
        survival = b.function("exp", b.neg(self._read("%nodes", node)))
        weighted = b.mul(survival, self._read(f"@mean_survival_weights_{self.q}", node))
        self._write(weighted, "%nodes", node)
        return [b.add(so_far[0], weighted)]

    def _log_of(self, total: str) -> None:
        """Store the logarithm of a subject's survival; `minus` is what its derivatives are multiplied with."""
        b, u = self.b, self.one
        survival = self._reduced(total)
        some = u.compare("ogt", survival, u.number(LEAST_SURVIVAL))
        safe = u.select(some, survival, u.number(LEAST_SURVIVAL))
        b.do(f"store double {u.function('log', safe)}, ptr {self._at('%out', '%i')}, align 8")
        self.minus = u.select(some, u.div(u.number(-1.0), safe), u.number(0.0))

    def _slopes(self, point: str, _: Sequence[str]) -> Sequence[str]:
        """Store a point's derivatives."""
        b, u, own = self.b, self.one, self._own(point)
        along = self._along(own)
        sums = [
            [b.number(0.0)] * _BLOCKS for _ in range(self.q)
        ]  # of survivals times factors across, and times each of y
        for j, y in enumerate(self.y):
            factor = self._number(own, _FIRST_ACROSS + j)
            f = [self._spread(factor), *(self._spread(u.mul(factor, u.number(x))) if x else None for x in y)]
            for k in range(_BLOCKS):
                p = self._read("%nodes", LANES * (_BLOCKS * j + k))
                for of_y, x in zip(sums, f, strict=True):
                    of_y[k] = b.fma(x, p, of_y[k]) if x else of_y[k]
        totals = [b.number(0.0)] * (1 + self.q)
        for k, e in enumerate(along):
            plain = b.mul(e, sums[0][k])
            totals[0] = b.add(totals[0], plain)
            totals[1] = b.fma(plain, _several(_LONG[LANES * k : LANES * (k + 1)]), totals[1])
            for n, of_y in enumerate(sums[1:]):
                totals[2 + n] = b.fma(e, of_y[k], totals[2 + n])
        share = u.mul(self.minus, self._number(own, 0))
        for k, total in enumerate(totals):
            b.do(f"store double {u.mul(share, self._reduced(total))}, ptr {self._at(f'%slope{k}', point)}, align 8")
        return ()


def _several(values: Sequence[float]) -> str:
    return f"<{', '.join(f'double {hexadecimal(x)}' for x in values)}>"
