"""log P(Y < n) and log P(Y >= n) of negative binomial counts, with their slopes in eta and log a, as LLVM code.

With f(k) = f(0) t_1 ... t_k, t_k = x (a + k - 1) / k and x = mu / (mu + a), P(Y < n) is f(0) times a sum of n terms, and P(Y >= n) what is
left of 1 where that is not small. Where many rows have one a, the sum is a polynomial of x, whose coefficients and their slopes in log a
stand in a table. Elsewhere, of n above `_MOST` and of means far above n, the smaller tail is n f(n) r with the continued fraction r of
Didonato & Morris 1992, which all lanes go on with until the last has its digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmm_zoo.inference.kernel import rising
from glmm_zoo.inference.kernel.conway_maxwell import all_lanes, any_lane, begin, both, branch, do_while, larger, splat

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.functions import Lines

TAILS = ("count_below", "count_at_least")
TAIL_RESULTS = ("", "_by_eta", "_by_size")  # after the name of a tail
FRACTION, RECIPROCALS, COEFFICIENTS = "count_fraction", "reciprocals", "count_coefficients"
OF_ONE = "_of_one"  # after the name of a tail of rows with one a
ARGUMENTS = ("n", "eta", "log_a", "a", "s", "x")  # s = -log f(0)
_MOST = 256  # counts that are summed, of means up to twice as many: sums of more are not numbers
_MOST_OF_ONE = 700  # counts with one a
_FEW, _FAR = 32.0, math.exp(17.0)  # counts of which sums of such means are numbers
_MOST_TABULATED = 64.0  # of a: the coefficients of larger ones are not numbers
_HEAD = 4  # numbers before the coefficients: log a, how many there are, and what the next one needs
_AT_ONCE = 4  # powers that do not wait for each other
TABLE_SIZE = _HEAD + 2 * (_MOST_OF_ONE + 1 + _AT_ONCE)
_SMALL = 1 / 1024  # of P(Y > 0), below which a difference from it has lost too many digits
_LEAST = 1e-300  # of what a logarithm is taken of, where it is left out
_CLOSE, _CLOSE_SLOPE, _STEPS = 4e-16, 1e-14, 20_000.0  # of the continued fraction
_BENIGN = (1.0, 0.0, 0.0, 1.0, math.log(2.0), 0.5)  # arguments of lanes that are left out


def tail_definition(b: Lines, name: str) -> list[str]:
    """The function of `ARGUMENTS`, and of a table where that is used, that gives `TAIL_RESULTS`."""
    number, zero, one = b.number, b.number(0.0), b.number(1.0)
    plain = name.removesuffix(OF_ONE)
    at_least, u = plain == TAILS[1], b.mul("%a", "%x")
    if plain != name:
        branch(b, all_lanes(b, b.compare("ole", "%a", number(_MOST_TABULATED))), "tabulated", "plain")
        begin(b, "plain")
        b.do(f"ret {_several(b, 3)} {_called(b, plain, [f'%{x}' for x in ARGUMENTS], 3)}")
        begin(b, "tabulated")
    if plain != name:
        summed = b.compare("ole", "%n", number(float(_MOST_OF_ONE)))
    else:
        near = both(b, "and", b.compare("ole", "%n", number(float(_MOST))), b.compare("ole", u, b.add("%n", "%n")))
        few = both(b, "and", b.compare("ole", "%n", number(_FEW)), b.compare("ole", u, number(_FAR)))
        summed = both(b, "or", near, few)
    n = b.select(summed, "%n", one)
    term, rest, by_size = _summed(b, n, u) if plain == name else _looked_up(b, n)
    f0, total = b.function("exp", b.neg("%s")), b.add(rest, one)
    if at_least:
        some = b.neg(b.function("expm1", b.neg("%s")))
        direct = b.sub(some, b.mul(f0, rest))
        large = b.compare("oge", direct, b.mul(some, number(_SMALL)))
        summed, p = both(b, "and", summed, large), larger(b, direct, number(_LEAST))
        share = b.div(f0, p)
        value, by_z = b.function("log", p), b.mul(b.mul("%n", term), share)
        by_size = b.mul(share, b.sub(b.mul("%s", total), by_size))
    else:
        inverse = b.div(one, total)
        value, by_z = b.sub(b.function("log1p", rest), "%s"), b.neg(b.mul(b.mul("%n", term), inverse))
        by_size = b.sub(b.mul(by_size, inverse), "%s")
    found = [value, by_z, b.sub(by_size, by_z)]
    others = both(b, "xor", summed, "true" if b.lanes == 1 else "splat (i1 true)")
    branch(b, any_lane(b, others), "others", "alone")
    begin(b, "alone")
    _give(b, found)
    begin(b, "others")
    given = [b.select(others, f"%{x}", number(y)) for x, y in zip(ARGUMENTS, _BENIGN, strict=True)]
    value, by_z, by_size, below = (
        b(f"extractvalue {_several(b, 4)} {_called(b, FRACTION, given, 4)}, {k}") for k in range(4)
    )
    small = b.compare("ole" if at_least else "ogt", below, zero)
    p = b.function("exp", b.select(b.compare("olt", value, number(-1e-12)), value, number(-1e-12)))
    factor = b.select(small, one, b.div(b.neg(p), b.sub(one, p)))
    further = [
        b.select(small, value, b.function("log1p", b.neg(p))), b.mul(factor, by_z), b.mul(factor, b.sub(by_size, by_z)),
    ]  # fmt: skip
    _give(b, [b.select(summed, x, y) for x, y in zip(found, further, strict=True)])
    return _function(b, name, 3, ", ptr %table" if plain != name else "")


def _looked_up(b: Lines, n: str) -> tuple[str, str, str]:
    """What `_summed` gives, by the table, which is made as long as it must be."""
    least, most = (_reduced(b, how, n) for how in ("min", "max"))
    log_a, a = (b.separate(x)[0] for x in ("%log_a", "%a"))
    held, known = (b(f"load double, ptr {b(f'getelementptr double, ptr %table, i64 {j}')}, align 8") for j in (0, 1))
    there = b(f"and i1 {b(f'fcmp oeq double {held}, {log_a}')}, {b(f'fcmp ogt double {known}, {most}')}")
    branch(b, there, "filled", "fill")
    begin(b, "fill")
    b.used.add((COEFFICIENTS, 1))
    b.do(f"call void @{COEFFICIENTS}(double {log_a}, double {a}, double {most}, ptr %table)")
    b.do("br label %filled")
    begin(b, "filled")
    start = b(f"getelementptr double, ptr %table, i64 {_HEAD}")
    least, most = (b(f"fptosi double {x} to i64") for x in (least, most))  # below the least no lane has an end
    block = b(f"lshr i64 {b(f'call i64 @llvm.smax.i64(i64 {b(f"sub i64 {most}, 2")}, i64 0)')}, 2")
    first = b(f"add i64 {b(f'shl i64 {block}, 2')}, 1")
    whole = b(f"call i64 @llvm.smax.i64(i64 {b(f'sub i64 {least}, {_AT_ONCE}')}, i64 0)")
    ends = [b.sub(n, b.number(float(i))) for i in range(_AT_ONCE)]
    square = b.mul("%x", "%x")
    fourth = b.mul(square, square)

    def coefficient(at: str, further: int) -> str:
        return b(f"load double, ptr {b(f'getelementptr [2 x double], ptr {start}, i64 {at}, i64 {further}')}, align 8")

    def add(state: list[str], ending: bool) -> list[str]:
        at, *sums, new = *state, []
        k = splat(b, b(f"sitofp i64 {at} to double")) if ending else ""
        for i, end in enumerate(ends):
            within = b.compare("olt", k, end) if ending else ""
            for j in (0, 1):
                c = splat(b, coefficient(at, 2 * i + j))
                new.append(b.fma(sums[2 * i + j], fourth, b.select(within, c, b.number(0.0)) if ending else c))
        return [b(f"sub i64 {at}, {_AT_ONCE}"), *new]

    state = [first, *[b.number(0.0)] * (2 * _AT_ONCE)]
    state = _while_above(b, "ending", state, whole, lambda state: add(state, True))
    _, *sums = _while_above(b, "going_on", state, "0", lambda state: add(state, False))
    rest, by_size = (b.mul("%x", _of_powers(b, sums[j::2], square)) for j in (0, 1))
    places = b.separate(b(f"fptosi {b.type} {n} to {b.integer}"), "i64")
    power = b.function("exp", b.mul(n, b.sub(b.sub("%eta", "%log_a"), b.div("%s", "%a"))))
    return b.mul(b.packed([coefficient(at, 0) for at in places]), power), rest, by_size


def _while_above(b: Lines, name: str, start: list[str], end: str, body: Callable[[list[str]], list[str]]) -> list[str]:
    """The state after `body` has been run while the whole number that comes first in it is above the end."""
    before, kinds = b.block, ["i64", *[b.type] * (len(start) - 1)]
    b.do(f"br label %{name}")
    begin(b, name)
    at, state = len(b.lines), [f"%{name}{k}" for k in range(len(start))]
    branch(b, b(f"icmp sgt i64 {state[0]}, {end}"), f"{name}_body", f"{name}_end")
    begin(b, f"{name}_body")
    new = body(state)
    b.lines[at:at] = [
        f"  {s} = phi {kind} [ {first}, %{before} ], [ {n}, %{b.block} ]"
        for s, kind, first, n in zip(state, kinds, start, new, strict=True)
    ]
    b.do(f"br label %{name}")
    begin(b, f"{name}_end")
    return state


def _reduced(b: Lines, how: str, x: str) -> str:
    """The least or the largest of the lanes."""
    return x if b.lanes == 1 else b(f"call double @llvm.vector.reduce.f{how}.v{b.lanes}f64({b.type} {x})")


def _of_powers(b: Lines, c: list[str], square: str) -> str:
    """c_0 + c_1 x + c_2 x^2 + c_3 x^3"""
    return b.fma(b.fma(c[3], "%x", c[2]), square, b.fma(c[1], "%x", c[0]))


def coefficients_definition(b: Lines, name: str) -> list[str]:
    """The function that adds (a)_k / k! and its slope in log a to the table, for k up to `most`."""
    one = b.number(1.0)
    held, many, sum_place = (b(f"getelementptr double, ptr %table, i64 {j}") for j in range(3))
    known = b.select(
        b.compare("oeq", b(f"load double, ptr {held}, align 8"), "%log_a"),
        b(f"load double, ptr {many}, align 8"),
        b.number(0.0),
    )
    none = b.compare("olt", known, one)
    at = b.select(none, one, known)
    place = b(f"fptosi double {at} to i64")
    start = b(f"getelementptr double, ptr %table, i64 {_HEAD}")
    last = b(f"getelementptr [2 x double], ptr {start}, i64 {b(f'sub i64 {place}, 1')}")
    c = b.select(none, one, b(f"load double, ptr {last}, align 8"))
    total = b.select(none, b.number(0.0), b(f"load double, ptr {sum_place}, align 8"))

    def store(at: str, c: str, slope: str) -> None:
        address = b(f"getelementptr [2 x double], ptr {start}, i64 {at}")
        b.do(f"store double {c}, ptr {address}, align 8")
        b.do(f"store double {slope}, ptr {b(f'getelementptr double, ptr {address}, i64 1')}, align 8")

    store(b(f"sub i64 {place}, 1"), c, b.mul(c, total))

    def add(state: list[str]) -> tuple[list[str], str]:
        place, k, c, total = state
        risen = b.add("%a", b.sub(k, one))
        c, total = b.mul(c, b.div(risen, k)), b.add(total, b.div("%a", risen))
        store(place, c, b.mul(c, total))
        next_k = b.add(k, one)
        return [b(f"add i64 {place}, 1"), next_k, c, total], b.compare("ole", next_k, "%most")

    _, k, _, total = do_while(b, "terms", [("i64", place), ("double", at), ("double", c), ("double", total)], add)
    for value, address in (("%log_a", held), (k, many), (total, sum_place)):
        b.do(f"store double {value}, ptr {address}, align 8")
    b.do("ret void")
    head = f"define internal void @{name}(double %log_a, double %a, double %most, ptr %table) noinline nounwind {{"
    return [head, "entry:", *b.lines, "}"]


def _summed(b: Lines, n: str, u: str) -> tuple[str, str, str]:
    """t_1 ... t_n; t_1 + t_1 t_2 + ... of n - 1 terms; and the slope of that in log a where x is fixed, in which that of t_k is u / k."""
    b.used.add((RECIPROCALS, 1))
    zero, one = b.number(0.0), b.number(1.0)
    least = b(f"fptosi double {_reduced(b, 'min', n)} to i64")

    def share(at: str) -> str:
        return splat(b, b(f"load double, ptr {b(f'getelementptr double, ptr @{RECIPROCALS}, i64 {at}')}, align 8"))

    def add(state: list[str]) -> list[str]:
        """A term that all lanes have."""
        left, less, term, slope, rest, by_size = state
        of_k = share(b(f"sub i64 {least}, {b(f'add i64 {left}, 1')}"))
        t = b.mul(of_k, b.fma(less, "%x", u))
        slope, term = b.fma(slope, t, b.mul(term, of_k)), b.mul(term, t)
        return [b(f"sub i64 {left}, 1"), b.add(less, one), term, slope, b.add(rest, term), b.add(by_size, slope)]

    def end(state: list[str]) -> tuple[list[str], str]:
        """A term that some lanes do not have, or not in the sum."""
        at, less, term, slope, rest, by_size = state
        k, of_k = b.add(less, one), share(at)
        within, before = b.compare("ole", k, n), b.compare("olt", k, n)
        t = b.select(within, b.mul(of_k, b.fma(less, "%x", u)), one)
        slope = b.fma(slope, t, b.select(within, b.mul(term, of_k), zero))
        term = b.mul(term, t)
        rest, by_size = (b.add(x, b.select(before, more, zero)) for x, more in ((rest, term), (by_size, slope)))
        return [b(f"add i64 {at}, 1"), k, term, slope, rest, by_size], before

    last = b(f"sub i64 {least}, 1")
    _, *state = _while_above(b, "terms", [last, zero, one, zero, zero, zero], "0", add)
    _, _, term, _, rest, by_size = do_while(b, "last_terms", [("i64", last), *((b.type, x) for x in state)], end)
    return term, rest, b.mul(by_size, u)


def reciprocals_definition(b: Lines, name: str) -> list[str]:
    """A table of 1, 1 / 2, 1 / 3, ..."""
    numbers = ", ".join(f"double {b.number(1 / k)}" for k in range(1, _MOST + 1))
    return [f"@{name} = internal constant [{_MOST} x double] [{numbers}]"]


@dataclass(frozen=True)
class _Sloped:
    """A number and its slope in log a."""

    b: Lines
    value: str
    slope: str

    def __add__(self, other: _Sloped) -> _Sloped:
        b = self.b
        return _Sloped(b, b.add(self.value, other.value), b.add(self.slope, other.slope))

    def __sub__(self, other: _Sloped) -> _Sloped:
        b = self.b
        return _Sloped(b, b.sub(self.value, other.value), b.sub(self.slope, other.slope))

    def __mul__(self, other: _Sloped) -> _Sloped:
        b = self.b
        return _Sloped(
            b, b.mul(self.value, other.value), b.fma(self.slope, other.value, b.mul(self.value, other.slope))
        )

    def __truediv__(self, other: _Sloped) -> _Sloped:
        b = self.b
        inverse = b.div(b.number(1.0), other.value)
        quotient = b.mul(self.value, inverse)
        return _Sloped(b, quotient, b.mul(b.sub(self.slope, b.mul(quotient, other.slope)), inverse))

    def times(self, factor: str) -> _Sloped:
        """By a number without a slope."""
        return _Sloped(self.b, self.b.mul(self.value, factor), self.b.mul(self.slope, factor))


def fraction_definition(b: Lines, name: str) -> list[str]:
    """The function of `ARGUMENTS` that gives the logarithm of the smaller tail, its slopes in eta and, where x is fixed, in log a, and
    whether it is the one below."""
    zero, one = b.number(0.0), b.number(1.0)
    of_one = b.div("%s", "%a")  # log (1 + mu / a)
    y, u = b.function("exp", b.neg(of_one)), b.mul("%a", "%x")
    distance = b.sub(u, b.mul("%n", y))
    below = b.compare("ogt", distance, zero)
    p = _Sloped(b, b.select(below, "%a", "%n"), b.select(below, "%a", zero))
    q = _Sloped(b, b.select(below, "%n", "%a"), b.select(below, zero, "%a"))
    far = _Sloped(b, b.intrinsic("fabs", distance), b.select(below, u, b.neg(u)))
    r = _fraction(b, p, q, far, b.select(below, y, "%x"), b.select(below, "%x", y))
    log_rising, rising_slope = (rising.one_of_both(b, which, "%n", "%log_a", "%a") for which in rising.RISING)
    density = b.sub(b.fma("%n", b.sub("%eta", of_one), log_rising), b.add("%s", b.function("lgamma", "%n")))
    by_z, sign = b.div(one, r.value), b.select(below, b.number(-1.0), one)
    by_size = b.add(b.sub(b.add(rising_slope, "%n"), "%s"), b.mul(r.slope, by_z))
    _give(b, [b.add(density, b.function("log", r.value)), b.mul(by_z, sign), by_size, b.select(below, one, zero)])
    return _function(b, name, 4)


def _fraction(b: Lines, p: _Sloped, q: _Sloped, far: _Sloped, x: str, y: str) -> _Sloped:
    """What I_x(p, q) is divided by x^p y^q / B(p, q), with far = p - (p + q) x >= 0."""
    number, none = b.number, b.number(0.0)
    one = _Sloped(b, number(1.0), none)
    c, c0, of_p, more = far + one, q / p, one / p, b.add(y, number(1.0))
    c1 = of_p + one
    first = c1 / c

    def step(state: list[str]) -> tuple[list[str], str]:
        last, k = state[0], b.add(state[0], number(1.0))
        above, under, r = (_Sloped(b, *state[j : j + 2]) for j in (1, 3, 5))
        of_k, before, t = _Sloped(b, k, none), of_p.times(last) + one, of_p.times(k)
        of_s, w = one / (p + _Sloped(b, b.add(k, last), none)), (q - of_k).times(b.mul(k, x))
        e = p * of_s
        alpha = before * (before + c0) * e * e * w.times(x)
        beta = of_k + w * of_s + (t + one) / (c1 + t + t) * (c + _Sloped(b, b.mul(k, more), none))
        inverse = one / (alpha * under + beta)
        new = (alpha * above + beta * r) * inverse
        moved, moved_slope = (b.intrinsic("fabs", b.sub(i, j)) for i, j in ((new.value, r.value), (new.slope, r.slope)))
        wide = b.mul(number(_CLOSE_SLOPE), b.add(new.value, b.intrinsic("fabs", new.slope)))
        going = both(
            b, "or", b.compare("ogt", moved, b.mul(number(_CLOSE), new.value)), b.compare("ogt", moved_slope, wide)
        )
        kept = r * inverse
        following = [k, kept.value, kept.slope, inverse.value, inverse.slope, new.value, new.slope]
        return following, both(b, "and", going, b.compare("olt", k, number(_STEPS)))

    start = [none, none, none, first.value, first.slope, first.value, first.slope]
    found = do_while(b, "steps", [(b.type, s) for s in start], step)
    return _Sloped(b, *found[-2:])


def one_of_them(b: Lines, op: str, args: list[str]) -> str:
    """A tail or a slope of it; calls with the same arguments are made once."""
    which = next(tail for tail in TAILS if op.startswith(tail))
    called = which + OF_ONE if len(args) > len(ARGUMENTS) else which
    return b(
        f"extractvalue {_several(b, 3)} {_called(b, called, args, 3)}, {TAIL_RESULTS.index(op.removeprefix(which))}"
    )


def _several(b: Lines, many: int) -> str:
    return f"{{ {', '.join([b.type] * many)} }}"


def _called(b: Lines, name: str, args: list[str], many: int) -> str:
    call = f"call {_several(b, many)} @{name}_{b.lanes}({', '.join(f'{b.type} {x}' for x in args[:6])}{''.join(f', ptr {x}' for x in args[6:])})"
    if call not in b.made:
        b.used.add((name, b.lanes))
        b.made[call] = b(call)
    return b.made[call]


def _give(b: Lines, found: list[str]) -> None:
    several, made = _several(b, len(found)), "undef"
    for k, x in enumerate(found):
        made = b(f"insertvalue {several} {made}, {b.type} {x}, {k}")
    b.do(f"ret {several} {made}")


def _function(b: Lines, name: str, many: int, more: str = "") -> list[str]:
    arguments = ", ".join(f"{b.type} %{x}" for x in ARGUMENTS) + more
    head = f"define internal {_several(b, many)} @{name}_{b.lanes}({arguments}) noinline nounwind {{"
    return [head, "entry:", *b.lines, "}"]
