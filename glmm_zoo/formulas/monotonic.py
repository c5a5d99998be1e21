"""Monotonic effects of ordered covariates, mo(x): the steps between their levels as columns.

    b mo(x) = b D (zeta_1 + ... + zeta_x),   x = 0, ..., D,   zeta_k >= 0,   sum zeta = 1

b is the mean step, zeta the shares that the steps have of the whole (Bürkner & Charpentier 2020). With even steps mo(x) = x: so it
stands among the columns of a design, where interactions multiply it, and what uneven steps change is linear in b zeta:

    b z mo(x) = b z x + sum over k of b zeta_k z (D [x >= k] - x)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.formulas.learnt_columns import codes_of_levels
from glmm_zoo.formulas.names import prefixed, variable_name
from glmm_zoo.tables.columns import Column, Table, suspicious_text
from glmm_zoo.tables.text_values import certain_order

MOST_STEPS = 20  # of a column of whole numbers; arbitrary


@dataclass(frozen=True)
class Monotonic:
    """mo(x) in one design: its column and levels from the lowest, and the columns of the design that it is in.

    `places` (q,) are those columns, mo(x) and its interactions; `steps` (n, q D), D columns z (D [x >= k] - x) for each of them, z what it
    multiplies there; `code_new_rows(table)` (m, q D) is the same in other rows.
    """

    column: str
    levels: tuple[str, ...]
    places: tuple[int, ...]
    steps: np.ndarray = field(compare=False)
    code_new_rows: Callable[[Table], np.ndarray] = field(compare=False)

    @property
    def size(self) -> int:
        """D, the number of steps."""
        return len(self.levels) - 1

    @property
    def step_labels(self) -> list[str]:
        """ "low|mid": the levels that a step is between."""
        return [f"{a}|{b}" for a, b in pairwise(self.levels)]

    def name(self, prefix: str) -> str:
        """The name of zeta in the predictor of this prefix, `simplex_x`."""
        return prefixed(prefix, f"simplex_{variable_name(self.column)}")

    def dim(self, prefix: str) -> str:
        """The dimension of zeta."""
        return prefixed(prefix, f"{variable_name(self.column)}_step")


def steps_of(codes: np.ndarray, size: int, slopes: np.ndarray) -> np.ndarray:
    """z (D [x >= k] - x) (n, q D) of the codes x (n,), D = `size`, and what multiplies them, z (n, q)."""
    x = codes[:, None]
    each = size * (x > np.arange(size)) - x
    return np.ascontiguousarray((slopes[:, :, None] * each[:, None, :]).reshape(len(x), slopes.shape[1] * size))


def codes_from_lowest(column: Column, order: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """x (n,) and its levels: whole numbers, a declared order, or the `order` that the formula gives.

    Raises
    ------
    InputError
        Levels without an order, whole numbers with gaps, fewer than three levels.
    """
    codes, seen = column.codes_and_levels()
    if column.kind in ("date", "logical"):
        raise InputError(f"mo({column.name}): the column holds {column.kind}s and mo() takes ordered levels")
    if order is None:
        order = column.levels if column.ordered else _by_value(column, seen)
        unseen = [level for level in order if level not in seen]
        if unseen:
            kept = [level for level in order if level in seen]
            raise InputError(
                f"mo({column.name}): level {listing(map(repr, unseen), 5)} never occurs; if it is no step of the scale, say so: "
                f"{_call(column.name, kept)}; if it is one, {_call(column.name, order)}"
            )
    strange = [level for level in seen if level not in order]
    if strange:
        rows = codes == seen.index(strange[0])
        raise InputError(
            f"mo({column.name}): level {strange[0]!r} ({column.at(rows)}) is none of levels={listing(order)}; add it or correct the data"
        )
    if len(order) < 3:
        raise InputError(
            f"mo({column.name}) needs three levels or more and has {listing(order)}; write {column.name} alone"
        )
    return codes_of_levels(column, order).astype(float), tuple(order)


def _call(name: str, levels: Sequence[str]) -> str:
    return f'mo({name}, levels="{",".join(levels)}")'


def _by_value(column: Column, seen: Sequence[str]) -> tuple[str, ...]:
    """Every whole number from the lowest to the highest."""
    name = column.name
    if column.kind == "text" and not all(re.fullmatch(r"[+-]?\d{1,15}", level) for level in seen):
        if suspicious_text(column):
            column.numbers(f"mo({name})")
        certain = certain_order(seen)
        ask = (
            f"if they are in this order, say so: {_call(name, certain)}"
            if certain
            else f"list all of them from the lowest to the highest: {_call(name, ['lowest', '...', 'highest'])}"
        )
        raise InputError(f"mo({name}): text levels without an order ({listing(map(repr, seen), 5)}); {ask}")
    if column.kind == "number" and np.any(bad := column.values != np.round(column.values)):
        raise InputError(
            f"mo({name}) needs whole numbers or named levels; {plural(int(bad.sum()), 'value')} not whole "
            f"({column.values[bad][0]:g}, {column.at(bad)}); write s({name}) for a curve"
        )
    low, high = min(map(int, seen)), max(map(int, seen))
    if high - low > MOST_STEPS:
        raise InputError(
            f"mo({name}) would have {high - low} steps ({low} to {high}), each with a share of its own; write s({name}) for a curve, or join levels"
        )
    return tuple(map(str, range(low, high + 1)))
