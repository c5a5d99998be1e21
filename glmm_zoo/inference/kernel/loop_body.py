"""The inside of a loop as LLVM code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glmm_zoo.families.conway_maxwell import MANY_ROWS
from glmm_zoo.inference.kernel import conway_maxwell, conway_plane, conway_table, count_tails, rising
from glmm_zoo.inference.kernel.expression import PREDICATES, PRODUCTS, RECURRENCES, Node
from glmm_zoo.inference.kernel.functions import MACHINE_FUNCTIONS, Lines

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.emit import Emitter

MEMORY = {"load", "data", "scatter", "pack", *PRODUCTS, *RECURRENCES}  # vectors that are in memory by themselves
_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq"}


class LoopBody:
    """The inside of a loop over one domain, for several lanes at once or one."""

    def __init__(self, emitter: Emitter, lanes: int, stage: int, names: str, size: int):
        self.emitter, self.b, self.stage, self.size = emitter, Lines(lanes, names), stage, size
        self.i = f"%{names}i"
        self._known: dict[Node, str] = {}
        self._lanes: dict[int, list[str]] = {}

    def floats(self, node: Node) -> str:
        name = self.value(node)
        return self.emitter.as_float(self.b, name, node) if node.domain is not None else name

    def value(self, node: Node) -> str:
        stack = [node]
        while stack:
            n = stack[-1]
            if n in self._known:
                stack.pop()
                continue
            inside = self._inside(n)
            missing = [a for a in n.args if a not in self._known] if inside else []
            if missing:
                stack.extend(missing)
                continue
            self._known[n] = self._made(n, inside)
            stack.pop()
        return self._known[node]

    def _inside(self, n: Node) -> bool:
        """Whether it is computed here from its arguments."""
        if n.domain is None or n.op in MEMORY or n.op == "gather":
            return False
        return not (n in self.emitter.kept and self.emitter.stage[n] < self.stage)

    def _made(self, n: Node, inside: bool) -> str:
        emitter, b = self.emitter, self.b
        if n.domain is None:
            scalar = emitter.as_float(emitter.main, emitter.number(n), n)
            if b.lanes == 1:
                return scalar
            one = b(f"insertelement {b.type} undef, double {scalar}, i32 0")
            return b(f"shufflevector {b.type} {one}, {b.type} undef, <{b.lanes} x i32> zeroinitializer")
        if n.op in MEMORY:
            return self.load(*emitter.memory(n))
        if n in emitter.kept and emitter.stage[n] < self.stage:
            stored = self.load(emitter.scratch(n), 1)
            return b.compare("one", stored, b.number(0.0)) if n.op in PREDICATES else stored
        if n.op == "gather":
            base, stride = emitter.memory(n.args[0])
            return self.gather(base, stride, n.static)
        assert inside
        kinds = [a.op in PREDICATES and a.domain is not None for a in n.args]
        return operation(b, n.op, [*(self._known[a] for a in n.args), *self._table(n)], kinds)

    def _table(self, n: Node) -> list[str]:
        """The memory of the table that an operation has."""
        if n.op.startswith(count_tails.TAILS):
            one = n.args[2].domain is None and n.args[2].op != "number" and (n.domain or 0) >= MANY_ROWS
            return [self.emitter.scratch(count_tails.TABLE_SIZE)] if one else []
        if n.op not in conway_maxwell.RESULTS:
            return []
        return [self.emitter.scratch(conway_table.SIZE if len(n.args) == 3 else conway_plane.PLANE_SIZE)]

    def _addresses(self, base: str, stride: int, index: Sequence[str]) -> list[str]:
        addresses = []
        for at in index:
            place = at if stride == 1 else self.b(f"mul i64 {at}, {stride}")
            addresses.append(self.b(f"getelementptr double, ptr {base}, i64 {place}"))
        return addresses

    def _own(self) -> list[str]:
        """This iteration's indices, lane by lane."""
        if -1 not in self._lanes:
            more = [self.b(f"add i64 {self.i}, {lane}") for lane in range(1, self.b.lanes)]
            self._lanes[-1] = [self.i, *more]
        return self._lanes[-1]

    def _index(self, which: int) -> list[str]:
        """Elements of an index vector, lane by lane."""
        if which not in self._lanes:
            b, base = self.b, self.emitter.array("index", which)
            elements = []
            for at in self._own():
                address = b(f"getelementptr i32, ptr {base}, i64 {at}")
                elements.append(b(f"sext i32 {b(f'load i32, ptr {address}, align 4')} to i64"))
            self._lanes[which] = elements
        return self._lanes[which]

    def load(self, base: str, stride: int) -> str:
        b = self.b
        if stride == 1 or b.lanes == 1:
            (address,) = self._addresses(base, stride, [self.i])
            return b(f"load {b.type}, ptr {address}, align 8")
        return self._collected(self._addresses(base, stride, self._own()))

    def gather(self, base: str, stride: int, which: int) -> str:
        return self._collected(self._addresses(base, stride, self._index(which)))

    def _collected(self, addresses: Sequence[str]) -> str:
        return self.b.packed([self.b(f"load double, ptr {a}, align 8") for a in addresses])

    def store(self, base: str, stride: int, value: str) -> None:
        b = self.b
        if stride == 1 or b.lanes == 1:
            (address,) = self._addresses(base, stride, [self.i])
            b.do(f"store {b.type} {value}, ptr {address}, align 8")
            return
        for address, one in zip(self._addresses(base, stride, self._own()), self.b.separate(value), strict=True):
            b.do(f"store double {one}, ptr {address}, align 8")

    def scatter(self, base: str, node: Node) -> None:
        b = self.b
        values = self.b.separate(self.floats(node.args[0]))
        for address, value in zip(self._addresses(base, 1, self._index(node.static)), values, strict=True):
            old = b(f"load double, ptr {address}, align 8")
            b.do(f"store double {b(f'fadd double {old}, {value}')}, ptr {address}, align 8")


def operation(b: Lines, op: str, args: list[str], predicates: list[bool]) -> str:
    """One elementwise operation; `predicates` says which arguments are true or false rather than numbers."""
    logical = op in ("and", "or", "not")
    for i, predicate in enumerate(predicates):
        wanted = logical or (op == "select" and i == 0)
        if predicate and not wanted:
            args[i] = b.select(args[i], b.number(1.0), b.number(0.0))
        elif wanted and not predicate:
            args[i] = b.compare("one", args[i], b.number(0.0))
    boolean = "i1" if b.lanes == 1 else f"<{b.lanes} x i1>"
    match op:
        case "add" | "sub" | "mul" | "div" | "neg":
            return getattr(b, op)(*args)
        case "sqrt":
            return b.intrinsic("sqrt", args[0])
        case "abs":
            return b.intrinsic("fabs", args[0])
        case "max" | "min":
            return b.select(b.compare("uge" if op == "max" else "ule", *args), *args)
        case "select":
            return b.select(*args)
        case "known_slopes":
            return args[0]
        case "and" | "or":
            return b(f"{op} {boolean} {args[0]}, {args[1]}")
        case "not":
            return b(f"xor {boolean} {args[0]}, {'true' if b.lanes == 1 else 'splat (i1 true)'}")
        case _ if op in _COMPARE:
            return b.compare(_COMPARE[op], *args)
        case _ if op in rising.RISING:
            return rising.one_of_both(b, op, *args)
        case _ if op.startswith(count_tails.TAILS):
            return count_tails.one_of_them(b, op, args)
        case _ if op in conway_maxwell.RESULTS:
            of = {2: "conway", 3: "conway_plane", 4: "conway_table"}[len(args)]
            return conway_maxwell.all_of_the_sums(b, of, *args)[conway_maxwell.RESULTS.index(op)]
    assert op in MACHINE_FUNCTIONS, op
    return b.function(op, args[0])
