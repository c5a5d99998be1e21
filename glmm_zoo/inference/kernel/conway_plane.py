"""The Conway-Maxwell-Poisson sums of many means that have a nu each, from a table in LLVM code.

As in `conway_table` the entropy and E log y! are polynomials of eta in cells of 1 / 32; here their coefficients are polynomials of nu, of
degree 7 through Chebyshev points of a quarter of an octave. A cell does not depend on the unknowns: it is filled when it is first asked
for, eight points at once whatever the lanes, and stays. Where the table does not reach, the sums are taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.families.conway_maxwell import CELLS_PER_UNIT, TABLE_FROM, TABLE_TO
from glmm_zoo.inference.kernel import conway_maxwell, conway_table

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.functions import Lines

FILL, POINTS = "conway_plane_fill", 8  # of nu, which are the lanes of what fills a cell
_LEAST, _OCTAVES, _BITS = -4, 8, 2  # nu from 1 / 16 to 16, in steps of a quarter of an octave
_SHIFT, _FIRST = 52 - _BITS, (1023 + _LEAST) << _BITS
_COLUMNS = round((TABLE_TO - TABLE_FROM) * CELLS_PER_UNIT)
_ROW = 16  # numbers for a power of nu: 8 of the entropy, 6 of E log y!, none, and whether the cell is filled
_CELL = POINTS * _ROW
PLANE_SIZE = (_COLUMNS * _OCTAVES << _BITS) * _CELL


def plane_definition(b: Lines, name: str) -> list[str]:
    """The function of eta, nu and the table, which gives the sums."""
    number, both = b.number, conway_maxwell.both
    mu, inside = conway_table.within_cells(b)
    for compared in (
        b.compare("oge", "%nu", number(2.0**_LEAST)),
        b.compare("olt", "%nu", number(2.0 ** (_LEAST + _OCTAVES))),
    ):
        inside = both(b, "and", inside, compared)
    conway_maxwell.branch(b, conway_maxwell.all_lanes(b, inside), "look", "sums")
    conway_maxwell.begin(b, "sums")
    conway_maxwell.give(b, conway_maxwell.all_of_the_sums(b, "conway", "%eta", "%nu"))
    conway_maxwell.begin(b, "look")
    place = b.mul(b.sub("%eta", number(TABLE_FROM)), number(CELLS_PER_UNIT))
    below = b.intrinsic("floor", place)
    line = b.integers("sub", b.integers("lshr", b.bits("%nu"), b.whole(_SHIFT)), b.whole(_FIRST))
    column = b(f"fptosi {b.type} {below} to {b.integer}")
    index = b.separate(b.integers("add", b.integers("mul", line, b.whole(_COLUMNS)), column), "i64")
    cells = [b(f"getelementptr [{_CELL} x double], ptr %table, i64 {at}") for at in index]
    flags = [b(f"getelementptr double, ptr {cell}, i64 {_ROW - 1}") for cell in cells]
    filled = b.compare("une", b.packed([b(f"load double, ptr {flag}, align 8") for flag in flags]), number(0.0))
    conway_maxwell.branch(b, conway_maxwell.all_lanes(b, filled), "take", "fill")
    conway_maxwell.begin(b, "fill")
    b.used.add((FILL, POINTS))
    for at in index:
        b.do(f"call void @{FILL}(i64 {at}, ptr %table)")
    b.do("br label %take")
    conway_maxwell.begin(b, "take")
    powers = _at_nu(b, cells, b.separate(_within(b, "%nu")))
    t, by_mean = b.sub(place, below), b.div(number(1.0), mu)
    entropy, by_eta, twice = conway_table.derivatives(b, powers[:8], t, 3)
    log_factorial, slope = conway_table.derivatives(b, powers[8:14], t, 2)
    variance = b.div(b.mul(mu, mu), b.sub(twice, by_eta))
    conway_maxwell.give(b, [
        b.mul(by_eta, by_mean), b.sub(by_eta, entropy), variance, log_factorial, b.mul(b.mul(slope, by_mean), variance),
        number(0.0), number(0.0),
    ])  # fmt: skip
    several = conway_maxwell.several(b)
    head = f"define internal {several} @{name}_{b.lanes}({b.type} %eta, {b.type} %nu, ptr %table) noinline nounwind {{"
    room = f"  %rows = alloca [{b.lanes * _ROW} x double], align 64"
    return [head, "entry:", room, *b.lines, "}"]


def _within(b: Lines, nu: str) -> str:
    """Where nu is in its quarter of an octave, from -1 to 1."""
    exact = b.integers("and", b.bits(nu), b.whole((1 << _SHIFT) - 1))
    whole = b.from_bits(b.integers("or", b.integers("shl", exact, b.whole(_BITS)), b.whole(1023 << 52)))
    return b.sub(b.mul(whole, b.number(2.0)), b.number(3.0))


def _at_nu(b: Lines, cells: list[str], where: list[str]) -> list[str]:
    """The coefficients of the powers of eta at each lane's nu."""
    w, rows = type(b)(_ROW // 2, "w"), []
    w.lines = b.lines
    for lane, (cell, x) in enumerate(zip(cells, where, strict=True)):
        x = conway_maxwell.splat(w, x)
        rows.append(w(f"getelementptr double, ptr %rows, i64 {_ROW * lane}"))
        for half in (0, w.lanes):
            read = [
                w(f"load {w.type}, ptr {w(f'getelementptr double, ptr {cell}, i64 {_ROW * j + half}')}, align 8")
                for j in range(POINTS)
            ]
            total = read[-1]
            for c in read[-2::-1]:
                total = w.fma(total, x, c)
            w.do(f"store {w.type} {total}, ptr {w(f'getelementptr double, ptr {rows[-1]}, i64 {half}')}, align 8")
    return b.columns(rows, _ROW)


def fill_definition(f: Lines, name: str) -> list[str]:
    """The function that fills a cell unless it is filled."""
    x = np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)
    of_powers = np.linalg.inv(np.vander(x, increasing=True))
    cell = f(f"getelementptr [{_CELL} x double], ptr %table, i64 %at")
    flag = f(f"getelementptr double, ptr {cell}, i64 {_ROW - 1}")
    f.do(f"br i1 {f(f'fcmp une double {f(f"load double, ptr {flag}, align 8")}, 0.0')}, label %done, label %fill")
    conway_maxwell.begin(f, "fill")
    line, column = f(f"udiv i64 %at, {_COLUMNS}"), f(f"urem i64 %at, {_COLUMNS}")
    bits = f(f"shl i64 {f(f'add i64 {line}, {_FIRST}')}, {_SHIFT}")
    low = conway_maxwell.splat(f, f(f"bitcast i64 {bits} to double"))
    high = conway_maxwell.splat(f, f(f"bitcast i64 {f(f'add i64 {bits}, {1 << _SHIFT}')} to double"))
    shares = f"<{', '.join(f'double {type(f)(1).number(share)}' for share in (1 + x) / 2)}>"
    nu = f.fma(f.sub(high, low), shares, low)
    place = conway_maxwell.splat(f, f(f"uitofp i64 {column} to double"))
    eta = f.fma(place, f.number(1 / CELLS_PER_UNIT), f.number(TABLE_FROM))
    here, there = (conway_table.scaled(f, e, nu) for e in (eta, f.add(eta, f.number(1 / CELLS_PER_UNIT))))
    none = f.number(0.0)
    made = [*conway_table.completed(f, here[0], there[0]), *conway_table.completed(f, here[1], there[1]), none, none]
    rows = [f(f"getelementptr {f.type}, ptr %rows, i64 {k}") for k in range(_ROW)]
    for row, value in zip(rows, made, strict=True):
        f.do(f"store {f.type} {value}, ptr {row}, align 64")
    for half in (0, f.lanes):
        of_points = f.columns(rows[half : half + f.lanes], POINTS)
        for j, weights in enumerate(of_powers):
            total = f.number(0.0)
            for weight, value in zip(weights, of_points, strict=True):
                total = f.fma(f.number(float(weight)), value, total)
            f.do(
                f"store {f.type} {total}, ptr {f(f'getelementptr double, ptr {cell}, i64 {_ROW * j + half}')}, align 8"
            )
    f.do(f"store double 1.0, ptr {flag}, align 8")
    f.lines += ["  br label %done", "done:", "  ret void"]
    head = f"define internal void @{name}(i64 %at, ptr %table) noinline nounwind {{"
    return [head, "entry:", f"  %rows = alloca [{_ROW} x {f.type}], align 64", *f.lines, "}"]
