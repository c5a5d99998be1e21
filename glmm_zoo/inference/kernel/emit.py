"""From expressions to LLVM code: which loop computes what, and the loops.

An expression's stage is the number of loops that must have run before it. Everything at one stage over one domain is one
loop, with its sums, scatters and stores. A vector that a later loop needs is stored, unless it is quickly computed again.
The code does not depend on the lengths of the domains or on the data, which it finds in a table: fits of the same model
to other rows share it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from glmm_zoo.inference.kernel.expression import PREDICATES, PRODUCTS, RECURRENCES, Expressions, Node, reachable
from glmm_zoo.inference.kernel.functions import Lines, definitions, hexadecimal
from glmm_zoo.inference.kernel.loop_body import MEMORY, LoopBody, operation
from glmm_zoo.inference.kernel.products import product_functions, write_product
from glmm_zoo.inference.kernel.recurrence_loop import write_recurrence

_CHEAP = {"add", "sub", "mul", "neg", "select", "abs", "max", "min", "gather", *PREDICATES}
_PLAIN = {0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, math.inf, -math.inf}  # written into the code
FIRST_SLOT = 5  # of the table: before it numbers, scratch memory, its stride, how many, and their locks


@dataclass(frozen=True)
class Store:
    """Where a result goes: to out[start + offset + i stride]; `start` counts from the beginning of part `part`."""

    node: Node
    part: int
    offset: int
    stride: int
    size: int | None  # of the domain; None for a number, which is added to what is there


@dataclass
class Code:
    """LLVM code of one function and what its table holds: `slots` name the entries from FIRST_SLOT on."""

    text: str
    slots: list[tuple[str, int]] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    scratch: list[int] = field(default_factory=list)  # lengths of the vectors in scratch memory


class Emitter:
    """Writes the code of one function: `stores` of expressions into `out`, and a `value`, in loops of `lanes` doubles."""

    def __init__(self, E: Expressions, roots: Sequence[Node], stores: Sequence[Store], value: Node | None, lanes: int):
        self.E, self.stores, self.value, self.lanes = E, stores, value, lanes
        self.order = reachable(roots)
        self.code = Code("")
        self.main = Lines(1, "s")
        self.entry = Lines(1, "e")
        self._slots: dict[tuple[str, int], str] = {}
        self._numbers: dict[float, str] = {}
        self._scratch: dict[Node | int, str] = {}
        self.numbers_of: dict[Node, str] = {}  # numbers that are computed, by name
        self.used: set[tuple[str, int]] = set()
        self._loops = 0
        self._plan()

    # ------------------------------------------------------------------------------------------------------- planning

    def _plan(self) -> None:
        stage: dict[Node, int] = {}
        for node in self.order:
            arguments = max((stage[a] for a in node.args), default=0)
            moved = node.op in {"sum", "element", "scatter", *PRODUCTS, *RECURRENCES} or (
                node.op == "gather" and node.args[0].op not in MEMORY
            )
            if node.op == "element" and node.args[0].op in MEMORY:
                moved = False
            stage[node] = arguments + 1 if moved else arguments
        uses: dict[Node, list[Node]] = {n: [] for n in self.order}
        for node in self.order:
            for a in node.args:
                uses[a].append(node)
        stored = {s.node for s in self.stores}

        def loop_of(user: Node, a: Node) -> int:
            """The stage of the loop in which `user` needs its argument."""
            across = user.op in {"sum", "scatter", *PRODUCTS, *RECURRENCES} or (
                user.op in ("element", "gather") and a.op not in MEMORY
            )
            return stage[user] - 1 if across else stage[user]

        for node in reversed(self.order):  # as late as its uses allow
            if self._computed(node) and node not in stored and uses[node]:
                stage[node] = max(stage[node], min(loop_of(u, node) for u in uses[node]))
        self.stage = stage
        self.kept = set()
        for node in self.order:
            if not self._computed(node):
                continue
            later = [
                u
                for u in uses[node]
                if u.domain is not None and u.op not in ("scatter",) and loop_of(u, node) > stage[node]
            ]
            needs = any(u.op in {"element", "gather", "pack", *PRODUCTS} for u in uses[node])
            if needs or (later and not self._cheap(node)):
                self.kept.add(node)
        self.loops: dict[tuple[int, int], list[Node]] = {}
        for node in self.order:
            if node.domain is not None:
                wanted = node in self.kept and self._computed(node)
                for u in uses[node]:
                    if u.op in ("sum", "scatter"):
                        at = stage[u] - 1
                        self.loops.setdefault((at, self._size(node)), []).append(u)
                if wanted:
                    self.loops.setdefault((stage[node], self._size(node)), []).append(node)
        self.stored_in: dict[tuple[int, int], list[Store]] = {}
        for s in self.stores:
            if s.size is not None:
                at = stage[s.node] if s.node.domain is not None else max(stage.values())
                at = max(at, stage[s.node])
                self.stored_in.setdefault((at, s.size), []).append(s)
                self.loops.setdefault((at, s.size), [])

    def _computed(self, node: Node) -> bool:
        return node.domain is not None and node.op not in MEMORY

    def _cheap(self, node: Node) -> bool:
        return node.op in _CHEAP and all(a.domain is None or a.op in MEMORY for a in node.args)

    def _size(self, node: Node) -> int:
        assert node.domain is not None
        return node.domain

    # ------------------------------------------------------------------------------------------------------- the table

    def slot(self, kind: str, which: int) -> str:
        """A whole number of the table, read once on entry."""
        key = (kind, which)
        if key not in self._slots:
            self.code.slots.append(key)
            place = FIRST_SLOT + len(self.code.slots) - 1
            address = self.entry(f"getelementptr i64, ptr %table, i64 {place}")
            self._slots[key] = self.entry(f"load i64, ptr {address}, align 8")
        return self._slots[key]

    def array(self, kind: str, which: int) -> str:
        key = (f"{kind} pointer", which)
        if key not in self._slots:
            self._slots[key] = self.entry(f"inttoptr i64 {self.slot(kind, which)} to ptr")
        return self._slots[key]

    def scratch(self, what: Node | int) -> str:
        """Memory for a vector, or for so many numbers that stay from call to call, zeros at first."""
        if what not in self._scratch:
            self.code.scratch.append(what if isinstance(what, int) else self._size(what))
            offset = self.slot("scratch", len(self.code.scratch) - 1)
            self._scratch[what] = self.entry(f"getelementptr i8, ptr %scratch, i64 {offset}")
        return self._scratch[what]

    def literal(self, value: float) -> str:
        if value in _PLAIN or math.isnan(value):
            return hexadecimal(value)
        if value not in self._numbers:
            self.code.numbers.append(value)
            address = self.entry(f"getelementptr double, ptr %numbers, i64 {len(self.code.numbers) - 1}")
            self._numbers[value] = self.entry(f"load double, ptr {address}, align 8")
        return self._numbers[value]

    def part(self, pointer: str, kind: str, part: int) -> str:
        """Address of the beginning of a part of x or of the result."""
        key = (f"{kind} {pointer}", part)
        if key not in self._slots:
            start = self.slot(kind, part)
            self._slots[key] = self.entry(f"getelementptr double, ptr {pointer}, i64 {start}")
        return self._slots[key]

    # --------------------------------------------------------------------------------------------------------- numbers

    def number(self, node: Node) -> str:
        """The name of a number at function level, computed where it is first needed."""
        stack = [node]
        while stack:
            n = stack[-1]
            if n in self.numbers_of:
                stack.pop()
                continue
            missing = [a for a in n.args if a.domain is None and a not in self.numbers_of]
            if missing:
                stack.extend(missing)
                continue
            self.numbers_of[n] = self._number(n)
            stack.pop()
        return self.numbers_of[node]

    def _number(self, n: Node) -> str:
        b = self.main
        if n.op == "number":
            return self.literal(n.static[0])
        if n.op == "input":
            part, position = n.static
            address = b(f"getelementptr double, ptr {self.part('%x', 'part', part)}, i64 {position}")
            return b(f"load double, ptr {address}, align 8")
        if n.op == "element":
            base, stride = self.memory(n.args[0])
            address = b(f"getelementptr double, ptr {base}, i64 {n.static * stride}")
            return b(f"load double, ptr {address}, align 8")
        assert n.op != "sum", "a sum is made by its loop"
        return operation(b, n.op, [self.numbers_of[a] for a in n.args], [a.op in PREDICATES for a in n.args])

    def memory(self, v: Node) -> tuple[str, int]:
        """Address and stride of a vector in memory."""
        if v.op == "load":
            part, stride, offset = v.static
            key = (f"load {stride} {offset}", part)
            if key not in self._slots:
                start = self.part("%x", "part", part)
                self._slots[key] = self.entry(f"getelementptr double, ptr {start}, i64 {offset}") if offset else start
            return self._slots[key], stride
        if v.op == "data":
            return self.array("data", v.static), 1
        return self.scratch(v), 1

    # ----------------------------------------------------------------------------------------------------------- loops

    def run(self) -> Code:
        b = self.main
        if self.value is not None:
            b.do(f"call void @llvm.memset.p0.i64(ptr %out, i8 0, i64 {b('shl i64 %n, 3')}, i1 false)")
        last = max([*self.stage.values(), *(at for at, _ in self.loops)], default=0)
        for at in range(last + 1):
            for node in self.order:
                if node.op in PRODUCTS and self.stage[node] == at:
                    write_product(self, node)
            for node in self.order:
                if node.op == "pack" and self.stage[node] == at:
                    base = self.scratch(node)
                    for i, a in enumerate(node.args):
                        address = b(f"getelementptr double, ptr {base}, i64 {i}")
                        value = self.as_float(b, self.number(a), a)
                        b.do(f"store double {value}, ptr {address}, align 8")
            for stage, size in [key for key in self.loops if key[0] == at]:
                self._loop(stage, size)
            for node in self.order:
                if node.op in RECURRENCES and self.stage[node] == at + 1:
                    write_recurrence(self, node, at, self._loops)
                    self._loops += 1
        for s in self.stores:
            if s.size is None:
                value = self.number(s.node)
                address = b(f"getelementptr double, ptr {self.part('%out', 'out', s.part)}, i64 {s.offset}")
                old = b(f"load double, ptr {address}, align 8")
                b.do(f"store double {b.add(old, self.as_float(b, value, s.node))}, ptr {address}, align 8")
        if self.value is not None:
            value = self.number(self.value)
            b.do(f"store double {value}, ptr %value, align 8")
            b.do(f"%zero = fsub double {value}, {value}")  # NaN unless finite
            b.do(f"%finite = fcmp oeq double %zero, {hexadecimal(0.0)}")
            b.do("%status = select i1 %finite, i64 0, i64 4")
        self.used |= b.used
        self.code.text = self._assembled()
        return self.code

    def as_float(self, b: Lines, name: str, node: Node) -> str:
        if node.op in PREDICATES:
            return b.select(name, b.number(1.0), b.number(0.0))
        return name

    def _loop(self, stage: int, size: int) -> None:
        targets = list(dict.fromkeys(self.loops[stage, size]))
        sums = [n for n in targets if n.op == "sum"]
        scatters = [n for n in targets if n.op == "scatter"]
        kept = [n for n in targets if n.op not in ("sum", "scatter")]
        stores = self.stored_in.get((stage, size), [])
        b, k = self.main, self._loops
        self._loops += 1
        n = self.slot("size", size)
        for node in scatters:
            length = self.main(f"shl i64 {self.slot('size', self._size(node))}, 3")
            b.do(f"call void @llvm.memset.p0.i64(ptr {self.scratch(node)}, i8 0, i64 {length}, i1 false)")
        bodies = {}
        for lanes in (self.lanes, 1):
            body = LoopBody(self, lanes, stage, f"l{k}w{lanes}_", size)
            results = [body.floats(s.args[0]) for s in sums]
            for node in kept:
                body.store(self.scratch(node), 1, body.floats(node))
            for s in stores:
                base = self.part("%out", "out", s.part)
                at = self.entry(f"getelementptr double, ptr {base}, i64 {s.offset}") if s.offset else base
                body.store(at, s.stride, body.floats(s.node))
            for node in scatters:
                body.scatter(self.scratch(node), node)
            bodies[lanes] = (body, results)
            self.used |= body.b.used
        self._write_loop(k, n, sums, bodies)

    def _write_loop(self, k: int, n: str, sums: Sequence[Node], bodies: dict[int, tuple[LoopBody, list[str]]]) -> None:
        """Loop k over n elements: as many at a time as there are lanes, then the rest one by one."""
        b, W = self.main, self.lanes
        T = bodies[W][0].b.type
        enough = b(f"icmp sge i64 {n}, {W}")
        whole = b(f"and i64 {n}, {-W}")
        b.do(f"br label %before{k}")
        b.lines.append(f"before{k}:")
        b.do(f"br i1 {enough}, label %wide{k}, label %between{k}")
        zeros = ["zeroinitializer"] * len(sums)
        wide = self._write_iterations("wide", k, *bodies[W], ("before", "0", zeros), ("between", whole))
        for j in range(len(sums)):
            b.do(f"%ba{k}_{j} = phi {T} [ zeroinitializer, %before{k} ], [ {wide[j]}, %wide{k} ]")
        for j in range(len(sums)):
            zero = hexadecimal(-0.0)
            b.do(f"%bs{k}_{j} = call reassoc double @llvm.vector.reduce.fadd.v{W}f64(double {zero}, {T} %ba{k}_{j})")
        b.do(f"%bc{k} = icmp slt i64 {whole}, {n}")
        b.do(f"br i1 %bc{k}, label %narrow{k}, label %after{k}")
        so_far = [f"%bs{k}_{j}" for j in range(len(sums))]
        narrow = self._write_iterations("narrow", k, *bodies[1], ("between", whole, so_far), ("after", n))
        for j, node in enumerate(sums):
            b.do(f"%total{k}_{j} = phi double [ {so_far[j]}, %between{k} ], [ {narrow[j]}, %narrow{k} ]")
            self.numbers_of[node] = f"%total{k}_{j}"

    def _write_iterations(
        self,
        name: str,
        k: int,
        body: LoopBody,
        terms: Sequence[str],
        begin: tuple[str, str, Sequence[str]],
        end: tuple[str, str],
    ) -> list[str]:
        """The block `name` of loop k, in which the body is repeated and each of the `terms` is added to a total; and the
        beginning of the block after it.

        It begins after the block, at the index and with the totals that `begin` says, and ends before the block and the
        index that `end` says. Returns the names of the totals.
        """
        b, short = self.main, name[0]
        (before, first, so_far), (after, last) = begin, end
        totals = [f"%{short}n{k}_{j}" for j in range(len(terms))]
        b.lines.append(f"{name}{k}:")
        b.do(f"{body.i} = phi i64 [ {first}, %{before}{k} ], [ %{short}i{k}, %{name}{k} ]")
        for j, total in enumerate(totals):
            b.do(f"%{short}a{k}_{j} = phi {body.b.type} [ {so_far[j]}, %{before}{k} ], [ {total}, %{name}{k} ]")
        b.lines += body.b.lines
        for j, (total, term) in enumerate(zip(totals, terms, strict=True)):
            b.do(f"{total} = fadd {body.b.type} %{short}a{k}_{j}, {term}")
        b.do(f"%{short}i{k} = add i64 {body.i}, {body.b.lanes}")
        b.do(f"%{short}c{k} = icmp slt i64 %{short}i{k}, {last}")
        b.do(f"br i1 %{short}c{k}, label %{name}{k}, label %{after}{k}")
        b.lines.append(f"{after}{k}:")
        return totals

    # -------------------------------------------------------------------------------------------------------- assembly

    def _assembled(self) -> str:
        W = self.lanes
        wide = sorted({W, *(lanes for _, lanes in self.used if lanes > 1)})
        types = [("double", "f64"), *((f"<{n} x double>", f"v{n}f64") for n in wide)]
        head = [
            "define i64 @run(i64 %n, ptr noalias %x, ptr noalias %out, ptr noalias %value, ptr %table) nounwind {",
            "entry:",
        ]
        for place, name in enumerate(("numbers", "memory")):
            head += [
                f"  %{name}_at = getelementptr i64, ptr %table, i64 {place}", f"  %{name}_int = load i64, ptr %{name}_at, align 8",
                f"  %{name} = inttoptr i64 %{name}_int to ptr",
            ]  # fmt: skip
        if self.code.scratch:
            head += [
                "  %stride_at = getelementptr i64, ptr %table, i64 2", "  %stride = load i64, ptr %stride_at, align 8",
                "  %many_at = getelementptr i64, ptr %table, i64 3", "  %many = load i64, ptr %many_at, align 8",
                "  %locks_at = getelementptr i64, ptr %table, i64 4", "  %locks_int = load i64, ptr %locks_at, align 8",
                "  %locks = inttoptr i64 %locks_int to ptr", "  br label %acquire", "acquire:",
                "  %place = phi i64 [ 0, %entry ], [ %place_next, %busy ]",
                "  %lock = getelementptr i64, ptr %locks, i64 %place",
                "  %pair = cmpxchg ptr %lock, i64 0, i64 1 acquire monotonic", "  %free = extractvalue { i64, i1 } %pair, 1",
                "  br i1 %free, label %acquired, label %busy", "busy:", "  %place_up = add i64 %place, 1",
                "  %place_next = urem i64 %place_up, %many", "  br label %acquire", "acquired:",
                "  %place_bytes = mul i64 %place, %stride", "  %scratch = getelementptr i8, ptr %memory, i64 %place_bytes",
            ]  # fmt: skip
        tail = ["  store atomic i64 0, ptr %lock release, align 8"] if self.code.scratch else []
        declare = [
            f"declare {t} @llvm.{f}.{s}({t})" for t, s in types for f in ("rint", "fabs", "sqrt", "floor")
        ] + [
            f"declare {t} @llvm.fma.{s}({t}, {t}, {t})" for t, s in types
        ] + [
            *(f"declare double @llvm.vector.reduce.fadd.{s}(double, {t})" for t, s in types[1:]),
            *(f"declare i1 @llvm.vector.reduce.{how}.v{n}i1(<{n} x i1>)" for n in wide for how in ("or", "and")),
            "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)", "declare double @erfc(double)",
        ]  # fmt: skip
        functions = [*definitions(self.used), *product_functions(self.order, W)]
        end = ["  ret i64 0" if self.value is None else "  ret i64 %status", "}", ""]
        return "\n".join([*declare, *functions, *head, *self.entry.lines, *self.main.lines, *tail, *end])


def emit(E: Expressions, stores: Sequence[Store], value: Node | None, lanes: int) -> Code:
    """Code of `run(n, x, out, value, table)`: what `stores` say goes to out, `value` to value.

    It returns 0, or 4 where the value is not finite. With a value, out is set to zero first; else it is taken to be.
    """
    roots = [s.node for s in stores] + ([value] if value is not None else [])
    return Emitter(E, roots, stores, value, lanes).run()
