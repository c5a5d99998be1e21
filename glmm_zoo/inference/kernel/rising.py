"""`families.rising` and its slope as LLVM code.

Where 1 + a is below 1024 in all lanes, and y + a within the table, they are differences of two values of `log_gamma_table`; else of two of
Stirling's series, from a on, or from a + 8 on where a is below 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmm_zoo.inference.kernel.conway_maxwell import all_lanes, any_lane, begin, both, branch, larger
from glmm_zoo.inference.kernel.log_gamma_table import MOST_TABULATED, log_gamma

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.functions import Lines

RISING = ("log_rising", "rising_slope")
_MOST_LOW = 1024.0  # up to here the table keeps what is left of two values that are nearly the same
_LEAST_LARGE = 8.0  # from here on Stirling's series is right
_MOST = 1e150  # of a: the square of one beyond is infinite


def rising_definition(b: Lines, name: str) -> list[str]:
    """The function of y, log a and a."""
    number, one = b.number, b.number(1.0)
    a, less = b.select(b.compare("olt", "%a", number(_MOST)), "%a", number(_MOST)), b.sub("%y", one)
    low, high = b.add(a, one), b.add(a, larger(b, "%y", one))
    inside = both(b, "and", b.compare("olt", low, number(_MOST_LOW)), b.compare("olt", high, number(MOST_TABULATED)))
    branch(b, all_lanes(b, inside), "table", "series")
    begin(b, "series")
    b.do(f"ret {_both(b)} {_called(b, f'{name}_series', '%y', '%log_a', a)}")
    begin(b, "table")
    (value, slope), (value_low, slope_low) = (log_gamma(b, x) for x in (high, low))
    _give(b, b.sub(b.sub(value, value_low), b.mul(less, "%log_a")), b.sub(b.mul(a, b.sub(slope, slope_low)), less))
    return [*_series_definition(b, f"{name}_series"), *_function(b, name, "alwaysinline")]


def _series_definition(beside: Lines, name: str) -> list[str]:
    """The same of any y, for a that is not infinite."""
    b = type(beside)(beside.lanes)
    number, one = b.number, b.number(1.0)
    a, less = "%a", b.sub("%y", one)
    moved = b.compare("olt", a, number(_LEAST_LARGE))
    low = b.select(moved, b.add(a, number(8.0)), a)
    high = b.add(low, "%y")
    inverse = b.div(one, b.mul(low, high))
    w, v = b.mul(high, inverse), b.mul(low, inverse)
    ratio = b.function("log1p", b.mul("%y", w))
    far = b.sub(b.mul(b.sub(high, number(0.5)), ratio), "%y")
    far = b.add(far, b.sub(_stirling(b, v), _stirling(b, w)))
    psi = b.add(ratio, b.sub(_digamma_rest(b, v), _digamma_rest(b, w)))
    branch(b, any_lane(b, moved), "some_moved", "none_moved")
    begin(b, "none_moved")
    _give(b, far, b.sub(b.mul(a, psi), "%y"))
    begin(b, "some_moved")
    at_a = b.select(moved, a, one)
    at_y = b.add(at_a, "%y")
    (p1, d1), (p2, d2) = _factors(b, at_y, 0), _factors(b, at_a, 1)
    inverse = b.div(one, b.mul(p1, p2))
    log_low, quotient = b.function("log", low), b.function("log", b.mul(p1, b.mul(p1, inverse)))
    near = b.add(far, b.sub(b.sub(b.mul("%y", log_low), b.mul(less, "%log_a")), quotient))
    psi_near = b.sub(psi, b.mul(b.sub(b.mul(d1, p2), b.mul(d2, p1)), inverse))
    value = b.select(moved, near, far)
    slope = b.sub(b.mul(a, b.select(moved, psi_near, psi)), "%y")
    _give(b, value, b.add(slope, b.select(moved, one, number(0.0))))
    beside.used |= b.used
    return _function(b, name, "noinline")


def _function(b: Lines, name: str, how: str) -> list[str]:
    head = f"define internal {_both(b)} @{name}_{b.lanes}({b.type} %y, {b.type} %log_a, {b.type} %a) {how} nounwind willreturn memory(none) {{"
    return [head, "entry:", *b.lines, "}"]


def one_of_both(b: Lines, which: str, *args: str) -> str:
    """The value or the slope; calls with the same arguments are made once."""
    b.used.add(("rising", b.lanes))
    return b(f"extractvalue {_both(b)} {_called(b, 'rising', *args)}, {RISING.index(which)}")


def _called(b: Lines, name: str, *args: str) -> str:
    call = f"call {_both(b)} @{name}_{b.lanes}({', '.join(f'{b.type} {x}' for x in args)})"
    if call not in b.made:
        b.made[call] = b(call)
    return b.made[call]


def _both(b: Lines) -> str:
    return f"{{ {b.type}, {b.type} }}"


def _give(b: Lines, value: str, slope: str) -> None:
    """0 where y is 0."""
    zero, some, made = b.number(0.0), b.compare("ogt", "%y", b.number(0.0)), "undef"
    for k, x in enumerate((value, slope)):
        made = b(f"insertvalue {_both(b)} {made}, {b.type} {b.select(some, x, zero)}, {k}")
    b.do(f"ret {_both(b)} {made}")


def _stirling(b: Lines, w: str) -> str:
    """What lgamma(x) has beside (x - 1/2) log x - x + log(2 pi) / 2, w = 1 / x."""
    series = b.polynomial(b.mul(w, w), [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156])
    return b.mul(series, w)


def _digamma_rest(b: Lines, w: str) -> str:
    """What digamma(x) has beside log x."""
    z = b.mul(w, w)
    series = b.polynomial(z, [-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12])
    return b.sub(b.mul(series, z), b.mul(b.number(0.5), w))


def _factors(b: Lines, x: str, first: int) -> tuple[str, str]:
    """p = (x + first) ... (x + 7) and dp / dx."""
    p, dp = b.add(x, b.number(float(first))), b.number(1.0)
    for j in range(first + 1, 8):
        factor = b.add(x, b.number(float(j)))
        dp, p = b.fma(dp, factor, p), b.mul(p, factor)
    return p, dp
