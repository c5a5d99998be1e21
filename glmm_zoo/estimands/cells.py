"""How rows are averaged: into cells, within which each row, or each level of a factor, has its weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from glmm_zoo.errors import InputError, shown
from glmm_zoo.tables.columns import Column, Table

By = Literal[True] | str | Sequence[str] | None


@dataclass(frozen=True)
class Averaging:
    """Rows are kept apart by the columns `by`; `each` keeps every row apart. `over` weighs levels of a column alike, `weights` rows."""

    by: tuple[str, ...] = ()
    each: bool = False
    over: str | None = None
    weights: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        return (*self.by, *(c for c in (self.over, self.weights) if c is not None))


def read_averaging(by: Any, over: Any, weights: Any, *, each: bool) -> Averaging:
    """What by, over and weights ask for; `each` says whether rows are kept apart where by is None.

    Raises
    ------
    InputError
        What is no name of a column; averages of single rows.
    """
    for name, value in (("over", over), ("weights", weights)):
        if value is not None and not isinstance(value, str):
            raise InputError(f"{name} is the name of a column, not {shown(value)}")
    columns: tuple[Any, ...] = ()
    if by is not None and by is not True:
        columns = (by,) if isinstance(by, str) else tuple(by) if isinstance(by, Sequence) else (by,)
    if not all(isinstance(c, str) for c in columns):
        raise InputError(f"by is True for one average, or names of columns, not {shown(by)}")
    single = each and by is None and over is None and weights is None
    return Averaging(columns, single, over, weights)


def cells_of_rows(averaging: Averaging, table: Table, shown: Sequence[str]) -> tuple[pd.DataFrame, sparse.csr_array]:
    """What each cell is of, and the weights (cells, rows) of the rows in it, which sum to one.

    Of single rows these are their numbers and their values of the columns `shown`.
    """
    n = table.rows
    for c in (c for c in (*averaging.by, averaging.over, averaging.weights) if c is not None):
        if table[c].missing.any():
            raise InputError(
                f"column {c!r} has no value in {table.at(table[c].missing)} of the fit, so that rows cannot be averaged by it; give data="
            )
    if averaging.each:
        values = {c: [_value(table[c], i) for i in range(n)] for c in shown if c in table.columns}
        rows = pd.DataFrame({"row": table.row_numbers + 1, **values})
        return rows, sparse.csr_array(sparse.identity(n, format="csr"))
    cell, of_cell = np.zeros(n, int), pd.DataFrame(index=range(1))
    if averaging.by:
        codes = np.column_stack([_codes(table[c]) for c in averaging.by])
        _, first, cell = np.unique(codes, axis=0, return_index=True, return_inverse=True)
        of_cell = pd.DataFrame({c: [_value(table[c], i) for i in first] for c in averaging.by})
        cell = cell.ravel()
    weight = np.ones(n)
    if averaging.weights is not None:
        weight = table[averaging.weights].numbers("weights")
        if (weight < 0).any():
            raise InputError(
                f"column {averaging.weights!r} must be >= 0 (weights); it is {weight[weight < 0][0]:g} in {table.at(weight < 0)}"
            )
    if averaging.over is None:
        total = np.bincount(cell, weight)[cell]
    else:
        level = table[averaging.over].group_labels()[0]
        pair, of_pair = np.unique(np.column_stack([cell, level]), axis=0, return_inverse=True)
        levels_of_cell = np.bincount(pair[:, 0])
        total = np.bincount(of_pair.ravel(), weight)[of_pair.ravel()] * levels_of_cell[cell]
    if (total <= 0).any():
        raise InputError(
            f"column {averaging.weights!r} is 0 in all rows of an average ({table.at(total <= 0)}); leave them out"
        )
    return of_cell, sparse.csr_array((weight / total, (cell, np.arange(n))), (len(of_cell), n))


def _codes(column: Column) -> np.ndarray:
    """The level of each row (n,), in the order of the levels."""
    return np.unique(column.values, return_inverse=True)[1].ravel()


def _value(column: Column, row: int) -> Any:
    """The value of a row as a user has it; not a number where it is an unknown of the fit."""
    if column.missing[row]:
        return math.nan
    return column.levels[column.values[row]] if column.is_coded else column.values[row].item()
