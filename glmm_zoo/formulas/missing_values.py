"""Covariates with missing values, mi(x), whose gaps are unknowns.

    b z mi(x) = b z x,   in a row without a value  b z fill + b z (unknown - fill)

The columns of a design have the fill, the mean of the values that there are, in the gaps: so they are constant, and what an unknown
changes is linear in the coefficients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from glmm_zoo.tables.columns import Column, Table

CodeGaps = Callable[[Table], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class MissingValues:
    """mi(x) in one design: its column, and the columns of the design that it is in.

    `places` (q,) are those columns, mi(x) and its interactions; `slopes` (n, q) what multiplies x there in rows without a value, 0 in
    others; `gaps` (n,) the number of a row's unknown, 0 where it has none. `code_new_rows(table)` are the slopes and gaps of other rows.
    """

    column: str
    fill: float
    places: tuple[int, ...]
    slopes: np.ndarray = field(compare=False)
    gaps: np.ndarray = field(compare=False)
    code_new_rows: CodeGaps = field(compare=False)

    def take(self, rows: np.ndarray) -> MissingValues:
        """In these rows only, by their places."""
        return replace(self, slopes=self.slopes[rows], gaps=self.gaps[rows])

    def in_rows(self, table: Table) -> MissingValues:
        """In the rows of another table; those without a value are rows of the fit, which have its unknowns."""
        slopes, gaps = self.code_new_rows(table)
        return replace(self, slopes=slopes, gaps=gaps)


def filled(column: Column, use: str) -> Column:
    """The column as numbers, with the mean of those that there are in the place of missing ones, which stay marked."""
    values = np.where(column.missing, 0.0, column.numbers(use))
    return replace(column, kind="number", values=np.where(column.missing, values[~column.missing].mean(), values))


def missing_values(
    column: str, places: tuple[int, ...], table: Table, code_with_ones: Callable[[Table], np.ndarray]
) -> MissingValues:
    """mi(x) of the rows of a table; `code_with_ones(table)` are all products where x is 1."""
    rows = table.row_numbers[table[column].missing]
    fill = float(table[column].values[table[column].missing][0]) if len(rows) else 0.0

    def code_new_rows(other: Table) -> tuple[np.ndarray, np.ndarray]:
        missing = other[column].missing
        slopes, gaps = np.zeros((other.rows, len(places))), np.zeros(other.rows, int)
        if missing.any():
            slopes[missing] = code_with_ones(other)[missing][:, places]
            gaps[missing] = np.searchsorted(rows, other.row_numbers[missing])
            assert np.array_equal(rows[gaps[missing]], other.row_numbers[missing]), (
                "gaps of other rows have no unknowns"
            )
        return slopes, gaps

    return MissingValues(column, fill, places, *code_new_rows(table), code_new_rows)
