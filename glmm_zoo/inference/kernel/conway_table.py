"""The Conway-Maxwell-Poisson sums of many means with one nu, from a table: `families.conway_maxwell` has what is interpolated.

A cell of the table holds the nu that it is for and the polynomials of the entropy and of E log y!; cells are filled when they are first
asked for, as many at a time as there are lanes. Where the table does not reach, the sums are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glmm_zoo.families.conway_maxwell import CELLS_PER_UNIT, COMPLETED, TABLE_FROM, TABLE_NU, TABLE_SPREAD, TABLE_TO
from glmm_zoo.inference.kernel import conway_maxwell

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.functions import Lines

_CELLS = round((TABLE_TO - TABLE_FROM) * CELLS_PER_UNIT)
_CELL = 16  # numbers of a cell: nu, 8 coefficients and 6
SIZE = (_CELLS + 8) * _CELL


def within_cells(b: Lines) -> tuple[str, str]:
    """The mean of a function of eta and nu, and whether it is where polynomials of eta in cells are right."""
    both, mu = conway_maxwell.both, b.function("exp", "%eta")
    above, below = b.compare("oge", "%eta", b.number(TABLE_FROM)), b.compare("olt", "%eta", b.number(TABLE_TO))
    few = b.compare("ole", "%nu", b.number(TABLE_NU))
    smooth = both(b, "or", few, b.compare("oge", mu, b.mul("%nu", b.number(TABLE_SPREAD))))
    return mu, both(b, "and", both(b, "and", above, below), smooth)


def table_definition(b: Lines, name: str) -> list[str]:
    """The function of eta, a nu for each lane, the one that is common, and the table, which gives the sums."""
    several, number, both = conway_maxwell.several(b), b.number, conway_maxwell.both
    mu, inside = within_cells(b)
    inside = both(b, "and", inside, b.compare("oeq", "%nu", "%common"))
    conway_maxwell.branch(b, conway_maxwell.all_lanes(b, inside), "look", "sums")
    conway_maxwell.begin(b, "sums")
    conway_maxwell.give(b, conway_maxwell.all_of_the_sums(b, "conway_nodes", "%eta", "%nu"))
    conway_maxwell.begin(b, "look")
    place = b.mul(b.sub("%eta", number(TABLE_FROM)), number(CELLS_PER_UNIT))
    below = b.intrinsic("floor", place)
    t = b.sub(place, below)
    index = b.separate(b(f"fptosi {b.type} {below} to {b.integer}"), "i64")
    cells = [b(f"getelementptr double, ptr %table, i64 {b(f'mul i64 {at}, {_CELL}')}") for at in index]
    found = b.compare("oeq", _read(b, cells, 0), "%common")
    conway_maxwell.branch(b, conway_maxwell.all_lanes(b, found), "take", "fill")
    conway_maxwell.begin(b, "fill")
    common = b.separate("%common")[0]
    for at in index:
        b.do(f"call void @{name}_fill_{b.lanes}(i64 {at}, double {common}, ptr %table)")
    b.do("br label %take")
    conway_maxwell.begin(b, "take")
    entropy, by_eta, twice = derivatives(b, [_read(b, cells, k) for k in range(1, 9)], t, 3)
    log_factorial, slope = derivatives(b, [_read(b, cells, k) for k in range(9, 15)], t, 2)
    by_mean = b.div(number(1.0), mu)
    variance = b.div(b.mul(mu, mu), b.sub(twice, by_eta))
    conway_maxwell.give(b, [
        b.mul(by_eta, by_mean), b.sub(by_eta, entropy), variance, log_factorial, b.mul(b.mul(slope, by_mean), variance),
        number(0.0), number(0.0),
    ])  # fmt: skip
    head = f"define internal {several} @{name}_{b.lanes}({b.type} %eta, {b.type} %nu, {b.type} %common, ptr %table) noinline nounwind {{"
    return [*_fill(b, f"{name}_fill_{b.lanes}"), head, "entry:", *b.lines, "}"]


def _read(b: Lines, cells: Sequence[str], k: int) -> str:
    return b.packed(
        [b(f"load double, ptr {b(f'getelementptr double, ptr {cell}, i64 {k}')}, align 8") for cell in cells]
    )


def derivatives(b: Lines, coefficients: Sequence[str], t: str, many: int) -> list[str]:
    """The polynomial and its first derivatives by eta."""
    held = [coefficients[-1], *[""] * (many - 1)]
    for step, c in enumerate(coefficients[-2::-1], 1):
        for d in reversed(range(1, min(step, many - 1) + 1)):
            held[d] = b.fma(held[d], t, held[d - 1]) if step > d else held[d - 1]
        held[0] = b.fma(held[0], t, c)
    factors = (1.0, CELLS_PER_UNIT, 2.0 * CELLS_PER_UNIT**2)
    return [held[0], *(b.mul(x, b.number(factor)) for x, factor in zip(held[1:], factors[1:], strict=False))]


def _fill(b: Lines, name: str) -> list[str]:
    """The function that fills a cell and those beside it unless it is for this nu."""
    f = type(b)(b.lanes)
    cell = f(f"getelementptr double, ptr %table, i64 {f(f'mul i64 %at, {_CELL}')}")
    f.do(f"br i1 {f(f'fcmp oeq double {f(f"load double, ptr {cell}, align 8")}, %nu')}, label %done, label %fill")
    f.lines.append("fill:")
    first = f(f"and i64 %at, {-f.lanes}")
    left = f(f"sitofp i64 {first} to double")
    step, W = type(b)(1).number, f.lanes
    eta = f.packed([
        f(f"fadd double {f(f'fmul double {f(f"fadd double {left}, {step(float(lane))}")}, {step(1 / CELLS_PER_UNIT)}')}, {step(TABLE_FROM)}")
        for lane in range(W)
    ])  # fmt: skip
    nu = f.packed(["%nu"] * W)
    here, there = (scaled(f, x, nu) for x in (eta, f.add(eta, f.number(1 / CELLS_PER_UNIT))))
    columns = [nu, *completed(f, here[0], there[0]), *completed(f, here[1], there[1])]
    for k, column in enumerate(columns):
        for lane, value in enumerate(f.separate(column)):
            place = f(f"mul i64 {f(f'add i64 {first}, {lane}')}, {_CELL}")
            address = f(f"getelementptr double, ptr %table, i64 {f(f'add i64 {place}, {k}')}")
            f.do(f"store double {value}, ptr {address}, align 8")
    f.lines += ["  br label %done", "done:", "  ret void"]
    b.used |= f.used
    return [
        f"define internal void @{name}(i64 %at, double %nu, ptr %table) noinline nounwind {{",
        "entry:",
        *f.lines,
        "}",
    ]


def scaled(b: Lines, eta: str, nu: str) -> tuple[list[str], list[str]]:
    """The entropy and E log y! at eta with their derivatives, as coefficients of Taylor series in cells."""
    rate, log_norm, variance, f, covariance, third, second = conway_maxwell.all_of_the_sums(b, "conway_nodes", eta, nu)
    mu, h = b.function("exp", eta), 1 / CELLS_PER_UNIT
    r1 = b.div(mu, variance)
    r2 = b.sub(r1, b.div(b.mul(b.mul(r1, r1), third), variance))
    H1 = b.mul(mu, rate)
    H2 = b.fma(mu, r1, H1)
    H3 = b.fma(mu, b.add(r1, r2), H2)
    F2 = b.fma(b.mul(r1, r1), second, b.mul(covariance, r2))
    entropy = [b.sub(H1, log_norm), H1, H2, H3]
    of_f = [f, b.mul(covariance, r1), F2]
    factors = [b.number(x) for x in (1.0, h, h * h / 2, h**3 / 6)]
    return (
        [b.mul(x, factor) for x, factor in zip(entropy, factors, strict=True)],
        [b.mul(x, factor) for x, factor in zip(of_f, factors, strict=False)],
    )


def completed(b: Lines, here: Sequence[str], there: Sequence[str]) -> list[str]:
    """The coefficients of the polynomial that has these Taylor coefficients at both ends of a cell."""
    n = len(here)
    matrix = COMPLETED[n]
    rest = []
    for row in matrix:
        total = b.number(0.0)
        for weight, x in zip(row, [*here, *there], strict=True):
            total = b.fma(b.number(float(weight)), x, total)
        rest.append(total)
    return [*here, *rest]
