"""Elementary functions as LLVM code for one number or several lanes at once, to about one unit in the last place.

exp: r = x - k log 2, |r| <= log(2) / 2, Taylor to r^13, times 2^k. log, log1p: fdlibm's. lgamma, digamma: Stirling's series
from x + 8 on, and the recurrence down to x > 0.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

from glmm_zoo.families.conway_maxwell import CLOSE, CLOSER
from glmm_zoo.inference.kernel import conway_maxwell, conway_plane, conway_table, count_tails, log_gamma_table, rising


def hexadecimal(value: float) -> str:
    """A double as LLVM writes it."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


class Lines:
    """Instructions on `lanes` doubles at once."""

    def __init__(self, lanes: int, names: str = "v"):
        self.lanes, self.names, self.lines, self._count = lanes, names, [], 0
        self.type = "double" if lanes == 1 else f"<{lanes} x double>"
        self.integer = "i64" if lanes == 1 else f"<{lanes} x i64>"
        self.suffix = "f64" if lanes == 1 else f"v{lanes}f64"
        self.used: set[tuple[str, int]] = set()
        self.made: dict[str, str] = {}  # calls of functions that are not free of memory, by their arguments
        self.block = "entry"

    def __call__(self, instruction: str) -> str:
        self._count += 1
        name = f"%{self.names}{self._count}"
        self.lines.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        self.lines.append(f"  {instruction}")

    def number(self, value: float) -> str:
        text = hexadecimal(value)
        return text if self.lanes == 1 else f"splat (double {text})"

    def whole(self, value: int) -> str:
        return str(value) if self.lanes == 1 else f"splat (i64 {value})"

    def separate(self, vector: str, kind: str = "double") -> list[str]:
        """The lanes of a vector of this kind of numbers."""
        if self.lanes == 1:
            return [vector]
        return [self(f"extractelement <{self.lanes} x {kind}> {vector}, i32 {lane}") for lane in range(self.lanes)]

    def packed(self, values: Sequence[str]) -> str:
        """The vector that has these lanes."""
        if self.lanes == 1:
            return values[0]
        vector = "undef"
        for lane, value in enumerate(values):
            vector = self(f"insertelement {self.type} {vector}, double {value}, i32 {lane}")
        return vector

    def columns(self, addresses: Sequence[str], many: int) -> list[str]:
        """The lanes of `many` numbers, a multiple of the lanes, that stand one after the other at the address of each lane."""
        found = []
        for first in range(0, many, self.lanes):
            rows = [self(f"getelementptr double, ptr {address}, i64 {first}") for address in addresses]
            rows = [self(f"load {self.type}, ptr {row}, align 8") for row in rows]
            step = self.lanes // 2
            while step:
                for k in (k for k in range(self.lanes) if not k & step):
                    rows[k], rows[k + step] = (self._mixed(rows[k], rows[k + step], step, high) for high in (0, step))
                step //= 2
            found += rows
        return found

    def _mixed(self, a: str, b: str, step: int, first: int) -> str:
        """Of a and of b, in turn, the lanes of a block of `step` that are `first` lanes on."""
        lanes = [lane + first if not lane & step else lane + first - step + self.lanes for lane in range(self.lanes)]
        mask = ", ".join(f"i32 {lane}" for lane in lanes)
        return self(f"shufflevector {self.type} {a}, {self.type} {b}, <{self.lanes} x i32> <{mask}>")

    def add(self, a: str, b: str) -> str:
        return self(f"fadd contract {self.type} {a}, {b}")

    def sub(self, a: str, b: str) -> str:
        return self(f"fsub contract {self.type} {a}, {b}")

    def mul(self, a: str, b: str) -> str:
        return self(f"fmul contract {self.type} {a}, {b}")

    def div(self, a: str, b: str) -> str:
        return self(f"fdiv {self.type} {a}, {b}")

    def neg(self, a: str) -> str:
        return self(f"fneg {self.type} {a}")

    def fma(self, a: str, b: str, c: str) -> str:
        return self(f"call {self.type} @llvm.fma.{self.suffix}({self.type} {a}, {self.type} {b}, {self.type} {c})")

    def intrinsic(self, name: str, a: str) -> str:
        return self(f"call {self.type} @llvm.{name}.{self.suffix}({self.type} {a})")

    def compare(self, how: str, a: str, b: str) -> str:
        return self(f"fcmp {how} {self.type} {a}, {b}")

    def select(self, condition: str, a: str, b: str) -> str:
        boolean = "i1" if self.lanes == 1 else f"<{self.lanes} x i1>"
        return self(f"select {boolean} {condition}, {self.type} {a}, {self.type} {b}")

    def bits(self, a: str) -> str:
        return self(f"bitcast {self.type} {a} to {self.integer}")

    def from_bits(self, a: str) -> str:
        return self(f"bitcast {self.integer} {a} to {self.type}")

    def integers(self, op: str, a: str, b: str) -> str:
        return self(f"{op} {self.integer} {a}, {b}")

    def function(self, name: str, a: str) -> str:
        """Call of a function below."""
        self.used.add((name, self.lanes))
        return self(f"call {self.type} @{name}_{self.lanes}({self.type} {a})")

    def polynomial(self, x: str, coefficients: Sequence[float]) -> str:
        """sum_j c_j x^j, even and odd powers side by side."""
        square = self.mul(x, x)
        halves = []
        for part in (coefficients[0::2], coefficients[1::2]):
            found = self.number(part[-1])
            for c in part[-2::-1]:
                found = self.fma(found, square, self.number(c))
            halves.append(found)
        return self.fma(halves[1], x, halves[0])


_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_SHIFT = 6755399441055744.0  # 1.5 * 2^52: adding it leaves a whole number in the low bits


def _exp(b: Lines, x: str) -> str:
    low, high = -708.39, 709.4
    inside = b.select(b.compare("olt", x, b.number(low)), b.number(low), x)
    inside = b.select(b.compare("ogt", inside, b.number(high)), b.number(high), inside)
    k = b.intrinsic("rint", b.mul(inside, b.number(1 / math.log(2))))
    minus = b.neg(k)
    r = b.fma(minus, b.number(_LN2_LOW), b.fma(minus, b.number(_LN2_HIGH), inside))
    p = b.polynomial(r, [1 / math.factorial(j) for j in range(14)])
    whole = b.integers("add", b.bits(b.add(k, b.number(_SHIFT))), b.whole(1023))
    found = b.mul(p, b.from_bits(b.integers("shl", whole, b.whole(52))))
    found = b.select(b.compare("olt", x, b.number(low)), b.number(0.0), found)
    return b.select(b.compare("ogt", x, b.number(high)), b.number(math.inf), found)


def _expm1(b: Lines, x: str) -> str:
    far = b.sub(b.function("exp", x), b.number(1.0))
    near = b.mul(x, b.polynomial(x, [1 / math.factorial(j + 1) for j in range(14)]))
    return b.select(b.compare("olt", b.intrinsic("fabs", x), b.number(0.35)), near, far)


_LOG = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
)  # fmt: skip


def _log(b: Lines, x: str) -> str:
    tiny = b.compare("olt", x, b.number(2.2250738585072014e-308))
    scaled = b.select(tiny, b.mul(x, b.number(2.0**54)), x)
    root_half = 0x3FE6A09E667F3BCD
    shifted = b.integers("add", b.bits(scaled), b.whole(0x3FF0000000000000 - root_half))
    exponent = b.integers("or", b.integers("lshr", shifted, b.whole(52)), b.whole(0x4330000000000000))
    k = b.sub(b.from_bits(exponent), b.number(4503599627370496.0))
    k = b.sub(k, b.select(tiny, b.number(1023.0 + 54.0), b.number(1023.0)))
    mantissa = b.integers("and", shifted, b.whole(0x000FFFFFFFFFFFFF))
    f = b.sub(b.from_bits(b.integers("add", mantissa, b.whole(root_half))), b.number(1.0))
    half = b.mul(b.mul(f, f), b.number(0.5))
    s = b.div(f, b.add(f, b.number(2.0)))
    z = b.mul(s, s)
    R = b.mul(z, b.polynomial(z, _LOG))
    inner = b.fma(k, b.number(_LN2_LOW), b.mul(s, b.add(half, R)))
    found = b.fma(k, b.number(_LN2_HIGH), b.sub(f, b.sub(half, inner)))
    found = b.select(b.compare("oeq", x, b.number(math.inf)), x, found)
    found = b.select(b.compare("oeq", x, b.number(0.0)), b.number(-math.inf), found)
    return b.select(b.compare("oge", x, b.number(0.0)), found, b.number(math.nan))


def _log1p(b: Lines, x: str) -> str:
    """log u + (x - (u - 1)) / u with u = 1 + x as rounded."""
    u = b(f"fadd {b.type} {x}, {b.number(1.0)}")
    lost = b(f"fsub {b.type} {x}, {b(f'fsub {b.type} {u}, {b.number(1.0)}')}")
    plain = b.function("log", u)
    found = b.add(plain, b.div(lost, u))
    ends = b.compare("oeq", u, b.number(0.0)), b.compare("oeq", u, b.number(math.inf))
    return b.select(ends[0], plain, b.select(ends[1], plain, found))


def _stirling_range(b: Lines, x: str) -> tuple[str, str, str, str, str]:
    """y = x + 8 where x < 8, else x; 1 / y; p = x (x + 1) ... (x + 7), dp / dx and 1 / p there, else 1, 0 and 1."""
    moved = b.compare("olt", x, b.number(8.0))
    y = b.select(moved, b.add(x, b.number(8.0)), x)
    p, dp = x, b.number(1.0)
    for j in range(1, 8):
        factor = b.add(x, b.number(float(j)))
        dp = b.fma(dp, factor, p)
        p = b.mul(p, factor)
    p, dp = b.select(moved, p, b.number(1.0)), b.select(moved, dp, b.number(0.0))
    inverse = b.div(b.number(1.0), b.mul(y, p))
    return y, b.mul(p, inverse), p, dp, b.mul(y, inverse)


def _lgamma(b: Lines, x: str) -> str:
    y, w, p, *_ = _stirling_range(b, x)
    series = b.polynomial(b.mul(w, w), [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156])
    found = b.sub(b.mul(b.sub(y, b.number(0.5)), b.function("log", y)), y)
    found = b.fma(series, w, b.add(found, b.number(0.5 * math.log(2 * math.pi))))
    return b.sub(found, b.function("log", p))


def _digamma(b: Lines, x: str) -> str:
    y, w, _, dp, of_p = _stirling_range(b, x)
    z = b.mul(w, w)
    series = b.polynomial(z, [-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12])
    found = b.fma(series, z, b.sub(b.function("log", y), b.mul(b.number(0.5), w)))
    return b.sub(found, b.mul(dp, of_p))


def _erfc(b: Lines, x: str) -> str:
    """The C library's, lane by lane."""
    if b.lanes == 1:
        return b(f"call double @erfc(double {x})")
    found = "undef"
    for lane in range(b.lanes):
        one = b(f"extractelement {b.type} {x}, i32 {lane}")
        value = b(f"call double @erfc(double {one})")
        found = b(f"insertelement {b.type} {found}, double {value}, i32 {lane}")
    return found


MACHINE_FUNCTIONS: dict[str, Callable[[Lines, str], str]] = {
    "exp": _exp, "expm1": _expm1, "log": _log, "log1p": _log1p, "lgamma": _lgamma, "digamma": _digamma, "erfc": _erfc,
}  # fmt: skip


LARGE_FUNCTIONS: dict[str, Callable[[Lines, str], list[str]]] = {
    conway_maxwell.LOG_FACTORIALS: conway_maxwell.log_factorials_definition,
    "conway": lambda b, name: conway_maxwell.sums_definition(b, name, CLOSE),
    "conway_nodes": lambda b, name: conway_maxwell.sums_definition(b, name, CLOSER),
    "rising": rising.rising_definition,
    log_gamma_table.NAME: log_gamma_table.definition,
    **{tail + of: count_tails.tail_definition for tail in count_tails.TAILS for of in ("", count_tails.OF_ONE)},
    count_tails.COEFFICIENTS: count_tails.coefficients_definition,
    count_tails.FRACTION: count_tails.fraction_definition,
    count_tails.RECIPROCALS: count_tails.reciprocals_definition,
    "conway_table": conway_table.table_definition,
    "conway_plane": conway_plane.plane_definition,
    conway_plane.FILL: conway_plane.fill_definition,
}


def definitions(used: set[tuple[str, int]]) -> list[str]:
    """LLVM code of functions by name and lanes, and of those that they use."""
    found: dict[tuple[str, int], list[str]] = {}
    waiting = sorted(used)
    while waiting:
        name, lanes = waiting.pop()
        if (name, lanes) in found:
            continue
        b = Lines(lanes)
        if name in LARGE_FUNCTIONS:
            found[name, lanes] = LARGE_FUNCTIONS[name](b, name)
            waiting += sorted(b.used - set(found))
            continue
        result = MACHINE_FUNCTIONS[name](b, "%x")
        how = "alwaysinline" if lanes > 1 and name != "erfc" else "noinline"
        found[name, lanes] = [
            f"define internal {b.type} @{name}_{lanes}({b.type} %x) {how} nounwind {{", *b.lines, f"  ret {b.type} {result}", "}"
        ]  # fmt: skip
        waiting += sorted(b.used - set(found))
    return [line for key in sorted(found) for line in found[key]]
