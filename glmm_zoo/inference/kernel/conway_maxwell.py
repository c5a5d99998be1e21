"""`families.conway_maxwell` as LLVM code: all lanes go on until the last has what it needs.

Where the means of all lanes are below `SMALL`, terms are counted from 0 and made of products of the powers of prime numbers; where
that leaves out a term that counts, as for large means, every term has its logarithm and exponential.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from glmm_zoo.families.conway_maxwell import (
    FAR,
    FAR_MEAN,
    FAR_SPREAD,
    LEAST_SHARE,
    NEGLIGIBLE,
    SHARE,
    STEPS,
    TERMS,
    TINY,
    TWO,
    Sums,
)

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.functions import Lines

RESULTS = tuple(f"conway_{name}" for name in Sums._fields)
LOG_FACTORIALS = "log_factorials"
SMALL, MOST = 30.0, 48  # a mean; terms of it
_LARGEST = 1e290  # sum of terms, beyond which they are not numbers
type SumsOf = Callable[[Lines, str, str], list[str]]


def sums_definition(b: Lines, name: str, close: float) -> list[str]:
    """The function of eta and nu, which gives the five sums; calls with the same arguments are made once. A root is `close` to what
    derivatives are taken at."""
    number, one = b.number, b.number(1.0)
    b.do(f"%powers = alloca [{MOST + 1} x {b.type}]")
    mu = b.function("exp", larger(b, "%eta", number(TINY)))
    tiny = b.compare("olt", "%eta", number(TINY))
    far = both(b, "and", b.compare("oge", mu, number(FAR_MEAN)), b.compare("oge", b.mul(mu, "%nu"), number(FAR)))
    far = both(b, "and", far, b.compare("oge", mu, b.mul("%nu", number(FAR_SPREAD))))
    outside = both(b, "or", far, tiny)
    near_mu, near_nu = (b.select(outside, one, x) for x in (mu, "%nu"))

    def give_with_others(found: Sequence[str], block: str) -> None:
        """Beside those of lanes that are far or tiny."""
        branch(b, any_lane(b, outside), f"{block}_others", f"{block}_alone")
        begin(b, f"{block}_alone")
        give(b, found)
        begin(b, f"{block}_others")
        mean = b.function("exp", "%eta")
        at_tiny = ["%eta", mean, mean, number(0.0), number(0.0), mean, number(0.0)]
        columns = zip(at_tiny, _series(b, mu, "%nu"), found, strict=True)
        give(b, [b.select(tiny, t, b.select(far, f, n)) for t, f, n in columns])

    branch(b, all_lanes(b, b.compare("olt", near_mu, number(SMALL))), "small", "large")
    begin(b, "small")
    _powers(b, near_nu)
    whole: list[str] = []
    found = _solved(b, near_mu, near_nu, lambda b, rate, nu: _small_sums(b, rate, nu, whole), "small_solve", close)
    branch(b, all_lanes(b, whole[-1]), "done", "large")
    begin(b, "done")
    give_with_others(found, "small")
    begin(b, "large")
    give_with_others(_solved(b, near_mu, near_nu, _sums, "solve", close), "large")
    head = f"define internal {several(b)} @{name}_{b.lanes}({b.type} %eta, {b.type} %nu) noinline nounwind willreturn memory(none) {{"
    return [head, "entry:", *b.lines, "}"]


def log_factorials_definition(b: Lines, name: str) -> list[str]:
    """A table."""
    logs = [math.log(max(j, 1)) for j in range(MOST + 1)]
    numbers = ", ".join(f"double {b.number(x)}" for x in accumulate(logs))
    return [f"@{name} = internal constant [{len(logs)} x double] [{numbers}]"]


def all_of_the_sums(b: Lines, name: str, eta: str, nu: str, *table: str) -> list[str]:
    """The results of the function `name`; one with a table takes a common nu, where it is for that, and the memory of the table."""
    kinds = [b.type] * (1 + len(table)) + ["ptr" if table else b.type]
    arguments = ", ".join(f"{kind} {x}" for kind, x in zip(kinds, (eta, nu, *table), strict=True))
    if arguments not in b.made:
        b.used.add((name, b.lanes))
        b.made[arguments] = b(f"call {several(b)} @{name}_{b.lanes}({arguments})")
    made = b.made[arguments]
    return [b(f"extractvalue {several(b)} {made}, {k}") for k in range(len(RESULTS) + 2)]


def several(b: Lines) -> str:
    """The type of the sums and, for derivatives of them, two more cumulants: of y thrice, and of y twice and log y!."""
    return f"{{ {', '.join([b.type] * (len(RESULTS) + 2))} }}"


def give(b: Lines, found: Sequence[str]) -> None:
    """The results of a function."""
    packed = "undef"
    for k, value in enumerate(found):
        packed = b(f"insertvalue {several(b)} {packed}, {b.type} {value}, {k}")
    b.do(f"ret {several(b)} {packed}")


def all_lanes(b: Lines, condition: str) -> str:
    return (
        condition if b.lanes == 1 else b(f"call i1 @llvm.vector.reduce.and.v{b.lanes}i1(<{b.lanes} x i1> {condition})")
    )


def any_lane(b: Lines, condition: str) -> str:
    return (
        condition if b.lanes == 1 else b(f"call i1 @llvm.vector.reduce.or.v{b.lanes}i1(<{b.lanes} x i1> {condition})")
    )


def branch(b: Lines, condition: str, then: str, otherwise: str) -> None:
    b.do(f"br i1 {condition}, label %{then}, label %{otherwise}")


def begin(b: Lines, block: str) -> None:
    b.lines.append(f"{block}:")
    b.block = block


def larger(b: Lines, x: str, y: str) -> str:
    return b.select(b.compare("ogt", x, y), x, y)


def do_while(
    b: Lines, name: str, start: Sequence[tuple[str, str]], body: Callable[[list[str]], tuple[list[str], str]]
) -> list[str]:
    """The state, of these types and first values, after `body` has been run as long as it goes on in any lane: it gives the next
    state and where it goes on."""
    before = b.block
    b.do(f"br label %{name}")
    b.lines.append(f"{name}:")
    at, b.block = len(b.lines), name
    state = [f"%{name}{k}" for k in range(len(start))]
    new, going = body(state)
    going = any_lane(b, going)
    b.lines[at:at] = [
        f"  {s} = phi {kind} [ {first}, %{before} ], [ {n}, %{b.block} ]"
        for s, (kind, first), n in zip(state, start, new, strict=True)
    ]
    b.do(f"br i1 {going}, label %{name}, label %{name}_end")
    b.lines.append(f"{name}_end:")
    b.block = f"{name}_end"
    return new


def both(b: Lines, how: str, p: str, q: str) -> str:
    return b(f"{how} {'i1' if b.lanes == 1 else f'<{b.lanes} x i1>'} {p}, {q}")


def _first_rate(b: Lines, mu: str, nu: str) -> str:
    number = b.number
    mode = b.add(mu, b.div(b.sub(nu, number(1.0)), b.mul(number(2.0), nu)))
    bend = b.div(b.sub(number(1.0), nu), b.add(number(1.0), nu))
    below = b.function("log", larger(b, b.fma(bend, mu, number(1.0)), number(0.1)))
    small = b.sub(b.function("log", mu), below)
    of_mode = b.mul(nu, b.function("log", larger(b, mode, number(0.1))))
    begun = b.select(b.compare("ogt", mode, larger(b, number(1.0), b.mul(mu, number(0.5)))), of_mode, small)
    below, one = b.intrinsic("floor", mu), number(1.0)
    share = b.sub(mu, below)
    share = b.select(b.compare("olt", share, number(SHARE)), number(SHARE), share)
    share = b.select(b.compare("ogt", share, number(1 - SHARE)), number(1 - SHARE), share)
    odds = b.function("log", b.div(share, b.sub(one, share)))
    of_two = b.fma(nu, b.function("log", b.add(below, one)), odds)
    return b.select(b.compare("ogt", nu, b.mul(number(TWO), b.add(mu, one))), of_two, begun)


def _solved(b: Lines, mu: str, nu: str, sums: SumsOf, name: str, close: float) -> list[str]:
    number, two = b.number, b.number(2.0)
    c = larger(b, b.div(b.sub(number(1.0), nu), b.add(number(1.0), nu)), number(0.0))
    state: list[str] = []
    found: list[str] = []

    def step(given: list[str]) -> tuple[list[str], str]:
        state[:] = given
        rate, low, high, count = given
        found[:] = sums(b, rate, nu)
        mean = found[0]
        variance = found[2] = larger(b, found[2], b.mul(mean, number(LEAST_SHARE)))
        low = b.select(b.compare("olt", mean, mu), rate, low)
        high = b.select(b.compare("ogt", mean, mu), rate, high)
        bent = b.fma(c, mean, number(1.0))
        ratio = b.div(b.mul(mu, bent), b.mul(mean, b.fma(c, mu, number(1.0))))
        move = b.div(b.mul(b.function("log", ratio), b.mul(mean, bent)), variance)
        move = b.select(b.compare("ogt", move, two), two, move)
        move = b.select(b.compare("olt", move, number(-2.0)), number(-2.0), move)
        new, size = b.add(rate, move), b.intrinsic("fabs", move)
        outside = both(b, "or", b.compare("ole", new, low), b.compare("oge", new, high))
        new = b.select(
            both(b, "and", outside, b.compare("ogt", size, number(0.1))), b.mul(b.add(low, high), number(0.5)), new
        )
        scaled = b.mul(size, larger(b, b.intrinsic("sqrt", variance), number(1.0)))
        going = both(b, "and", b.compare("ogt", scaled, number(close)), b.compare("olt", count, number(STEPS)))
        return [new, low, high, b.add(count, number(1.0))], going

    start = [_first_rate(b, mu, nu), number(-math.inf), number(math.inf), number(1.0)]
    do_while(b, name, [(b.type, x) for x in start], step)
    mean, log_norm, variance, third, log_factorial, covariance, second = found
    ratio, d = b.div(third, variance), b.div(b.sub(mu, mean), variance)
    bent = b.mul(d, ratio)
    d = b.mul(d, b.sub(number(1.0), b.mul(b.mul(bent, number(0.5)), b.sub(number(1.0), bent))))
    half = b.mul(d, number(0.5))
    return [
        b.add(state[0], d), b.fma(d, b.fma(half, b.fma(b.mul(d, number(1 / 3)), third, variance), mean), log_norm),
        b.fma(d, third, variance), b.fma(d, b.fma(half, second, covariance), log_factorial), b.fma(d, second, covariance),
        third, second,
    ]  # fmt: skip


def _powers(b: Lines, nu: str) -> None:
    """j^-nu at `%powers`, those of prime numbers by an exponential."""
    of: dict[int, str] = {1: b.number(1.0)}
    for j in range(1, MOST + 1):
        factor = next((p for p in range(2, j) if j % p == 0), None)
        if factor is not None:
            of[j] = b.mul(of[factor], of[j // factor])
        elif j > 1:
            of[j] = b.function("exp", b.mul(nu, b.number(-math.log(j))))
        address = b(f"getelementptr {b.type}, ptr %powers, i64 {j}")
        b.do(f"store {b.type} {of[j]}, ptr {address}")


def splat(b: Lines, scalar: str) -> str:
    """The number in all lanes."""
    if b.lanes == 1:
        return scalar
    one = b(f"insertelement {b.type} undef, double {scalar}, i32 0")
    return b(f"shufflevector {b.type} {one}, {b.type} undef, <{b.lanes} x i32> zeroinitializer")


def _small_sums(b: Lines, rate: str, nu: str, whole: list[str]) -> list[str]:
    """`_sums` from the term of 0 on, at most `MOST`; whether that is all that count is added to `whole`."""
    zero, one = b.number(0.0), b.number(1.0)
    b.used.add((LOG_FACTORIALS, 1))
    first = b.function("exp", rate)
    counts = ""

    def add(state: list[str]) -> tuple[list[str], str]:
        nonlocal counts
        at, j, term, total, *sums = state
        power = b(f"load {b.type}, ptr {b(f'getelementptr {b.type}, ptr %powers, i64 {at}')}")
        place = b(f"getelementptr double, ptr @{LOG_FACTORIALS}, i64 {at}")
        f = splat(b, b(f"load double, ptr {place}"))
        term = b.mul(term, b.mul(first, power))
        total, new = b.add(total, term), _added(b, sums, term, j, f)
        next_at = b(f"add i64 {at}, 1")
        counts = b.compare("ugt", term, b.mul(total, b.number(NEGLIGIBLE)))
        within = b(f"icmp sle i64 {next_at}, {MOST}")
        if b.lanes > 1:
            within = _splat_boolean(b, within)
        return [next_at, b.add(j, one), term, total, *new], both(b, "and", counts, within)

    start = [("i64", "1"), *((b.type, x) for x in (one, one, one, zero, zero, zero, zero, zero, zero))]
    _, _, _, total, *sums = do_while(b, f"terms{b.block}", start, add)
    true = "true" if b.lanes == 1 else "splat (i1 true)"
    whole.append(both(b, "and", both(b, "xor", counts, true), b.compare("olt", total, b.number(_LARGEST))))
    return _cumulants(b, sums, total)


def _splat_boolean(b: Lines, scalar: str) -> str:
    kind = f"<{b.lanes} x i1>"
    one = b(f"insertelement {kind} undef, i1 {scalar}, i32 0")
    return b(f"shufflevector {kind} {one}, {kind} undef, <{b.lanes} x i32> zeroinitializer")


def _added(b: Lines, sums: Sequence[str], term: str, d: str, f: str) -> list[str]:
    """Sums of d, d^2, d^3, f, d f and d^2 f with one more term."""
    d1, d2, d3, f1, df, d2f = sums
    more, with_f, square = b.mul(term, d), b.mul(term, f), b.mul(d, d)
    return [
        b.add(d1, more), b.fma(more, d, d2), b.fma(more, square, d3), b.add(f1, with_f), b.fma(with_f, d, df),
        b.fma(with_f, square, d2f),
    ]  # fmt: skip


def _cumulants(b: Lines, sums: Sequence[str], total: str) -> list[str]:
    """The mean of d, the log of the total, and the cumulants of d twice, d thrice, f, d and f, d twice and f."""
    d1, d2, d3, f1, df, d2f = (b.div(x, total) for x in sums)
    square = b.mul(d1, d1)
    third = b.sub(d3, b.mul(d1, b.sub(b.mul(b.number(3.0), d2), b.mul(b.number(2.0), square))))
    second = b.sub(b.sub(d2f, b.mul(b.number(2.0), b.mul(d1, df))), b.mul(f1, b.sub(d2, b.mul(b.number(2.0), square))))
    return [d1, b.function("log", total), b.sub(d2, square), third, f1, b.sub(df, b.mul(d1, f1)), second]


def _sums(b: Lines, rate: str, nu: str) -> list[str]:
    number, zero, one = b.number, b.number(0.0), b.number(1.0)
    exponent = b.div(rate, nu)
    mode = b.function("exp", b.select(b.compare("olt", exponent, number(30.0)), exponent, number(30.0)))
    reach = b.fma(number(9.0), b.intrinsic("sqrt", b.div(mode, nu)), one)
    first = larger(b, b.intrinsic("floor", b.sub(mode, reach)), zero)
    going = ""

    def add(state: list[str]) -> tuple[list[str], str]:
        nonlocal going
        d, f, term, total, *sums = state
        d = b.add(d, one)
        j = b.add(first, d)
        log_j = b.function("log", j)
        f = b.add(f, log_j)
        term = b.mul(term, b.function("exp", b.sub(rate, b.mul(nu, log_j))))
        total, new = b.add(total, term), _added(b, sums, term, d, f)
        going = both(b, "or", b.compare("olt", j, mode), b.compare("ogt", term, b.mul(total, number(NEGLIGIBLE))))
        return [d, f, term, total, *new], both(b, "and", going, b.compare("olt", d, number(TERMS)))

    start = [(b.type, x) for x in (zero, zero, one, one, zero, zero, zero, zero, zero, zero)]
    _, _, _, total, *sums = do_while(b, "terms", start, add)
    mean, log_total, variance, third, f, *rest = _cumulants(b, sums, b.select(going, number(math.nan), total))
    at_first = b.function("lgamma", b.add(first, one))
    log_norm = b.sub(b.fma(first, rate, log_total), b.mul(nu, at_first))
    return [b.add(first, mean), log_norm, variance, third, b.add(at_first, f), *rest]


def _series(b: Lines, mu: str, nu: str) -> list[str]:
    number, one = b.number, b.number(1.0)

    def sum_of(*terms: str) -> str:
        total = terms[0]
        for term in terms[1:]:
            total = b.add(total, term)
        return total

    def times(factor: float, x: str) -> str:
        return b.mul(number(factor), x)

    square = b.mul(nu, nu)
    less = b.sub(square, one)
    a1, a2 = times(1 / 24, less), times(1 / 48, less)
    a3 = times(1 / 5760, b.mul(less, b.fma(number(-9.0), square, number(161.0))))
    shift = b.div(b.sub(nu, one), times(2.0, nu))
    m = mu
    for _ in range(5):
        x = b.div(one, b.mul(nu, m))
        inner = b.fma(x, b.fma(times(3.0, a3), x, times(2.0, a2)), a1)
        m = sum_of(mu, shift, b.div(b.mul(x, inner), nu))
    x, log_m, w = b.div(one, b.mul(nu, m)), b.function("log", m), b.div(one, m)
    squared = b.mul(x, x)
    slope = b.fma(squared, b.fma(x, b.fma(times(9.0, a3), x, times(4.0, a2)), a1), one)
    b1 = times(1 / 24, b.add(square, one))
    b3 = times(1 / 5760, b.fma(square, b.fma(number(-9.0), square, number(-170.0)), number(483.0)))
    half_log = b.fma(number(0.5), log_m, number(0.5 * math.log(2 * math.pi)))
    further = b.mul(b.mul(m, squared), b.fma(x, b.fma(b3, x, number(1 / 24)), b1))
    by_nu = sum_of(b.sub(m, half_log), b.div(number(-0.5), nu), further)
    bend = b.fma(squared, b.fma(x, b.fma(times(3.0, b3), x, number(1 / 12)), b1), times(0.5, w))
    spread = b.div(m, nu)
    series = b.mul(x, b.fma(x, b.fma(a3, x, a2), a1))
    log_norm = sum_of(b.mul(nu, m), b.neg(b.mul(b.sub(nu, one), half_log)), times(-0.5, b.function("log", nu)), series)
    inner = sum_of(b.mul(slope, log_m), b.mul(mu, w), b.sub(bend, one))
    by_m = b.fma(
        squared, b.fma(x, b.fma(times(27.0, a3), x, times(8.0, a2)), a1), number(-1.0)
    )  # less m times that of the spread
    third = b.neg(b.mul(b.div(spread, nu), by_m))
    slope_by_m = b.neg(b.mul(squared, b.fma(x, b.fma(times(36.0, a3), x, times(12.0, a2)), times(2.0, a1))))
    bend_by_m = b.fma(squared, b.fma(x, b.fma(times(12.0, b3), x, number(0.25)), times(2.0, b1)), times(0.5, w))
    of_inner = sum_of(b.mul(slope_by_m, log_m), times(2.0, slope), b.neg(b.mul(mu, w)), b.neg(bend_by_m))
    second = b.mul(b.div(spread, nu), b.add(inner, of_inner))
    return [
        b.mul(nu, log_m), log_norm, b.mul(spread, slope), b.sub(b.mul(mu, log_m), by_nu), b.mul(spread, inner), third, second,
    ]  # fmt: skip
