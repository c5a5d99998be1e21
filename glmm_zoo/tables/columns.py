"""Columns and tables: NumPy arrays of the values that a model uses, with their levels and their places in the source.

Every source ends here, so that a file, a pandas, a polars and an arrow table with the same values give the same model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from glmm_zoo.errors import InputError, at_rows, listing, plural
from glmm_zoo.tables.level_tables import LevelTable
from glmm_zoo.tables.text_values import as_number, in_time_order, like_number, number_remedy

SMALLEST_SIZE, LARGEST_SIZE = 1e-50, 1e50  # of a column's largest number; arbitrary, beyond every unit of measurement


@dataclass(frozen=True)
class Column:
    """One column of n rows.

    `kind` says what `values` (n,) are. "number": float64 or int64. "logical": bool. "text": int codes into `levels`,
    which are sorted or in declared order; -1 where missing. "date": coded as text is, and only good for grouping.
    `ordered` says that the source declares the order of the levels to mean something: an ordered Categorical, an Enum.
    `written()` are the cells of numbers as text, where the text says more than the number: "1E5", "2.50". `missing_codes` are
    the texts that stood for missing values. `source_rows` (n,) are the rows in the source, from 0; None for all in their order.
    """

    name: str
    kind: Literal["number", "logical", "text", "date"]
    values: np.ndarray
    missing: np.ndarray  # (n,) bool
    levels: tuple[str, ...] = ()
    ordered: bool = False
    written: Callable[[], Column] | None = field(default=None, compare=False)
    missing_codes: tuple[str, ...] = ()
    source_rows: np.ndarray | None = None

    def at(self, rows: np.ndarray) -> str:
        """Rows of the source, in words, of rows of the column, given as a mask (n,) or by their numbers."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return at_rows(rows if self.source_rows is None else self.source_rows[rows])

    @property
    def is_coded(self) -> bool:
        """Whether `values` are codes into `levels`."""
        return self.kind in ("text", "date")

    def numbers(self, use: str) -> np.ndarray:
        """The values as float64 (n,); `use` says in the error what they are for.

        Raises
        ------
        InputError
            The column is text or dates, or its numbers are too large or too small to reckon with.
        """
        if self.kind in ("number", "logical"):
            values = self.values.astype(np.float64)
            self._check_sizes(values, use)
            return values
        if self.kind == "date":
            raise InputError(
                f"column {self.name!r} holds dates and {use} needs numbers; make a number of it, e.g. days since entry"
            )
        not_numbers = np.flatnonzero([as_number(level) is None for level in self.levels])
        if len(not_numbers) == 0:
            raise InputError(
                f"column {self.name!r} has values too large for a 64-bit number or ids with leading zeros; "
                "it can be a factor, C(), or a grouping factor"
            )
        rows = np.flatnonzero(np.isin(self.values, not_numbers))
        if suspicious_text(self):
            texts = list(dict.fromkeys(self.levels[code] for code in self.values[rows]))
            raise InputError(
                f"column {self.name!r} should be numeric; {plural(len(rows), 'value')} "
                f"{'is' if len(rows) == 1 else 'are'} not ({texts[0]!r}, {self.at(rows)}); {number_remedy(self.name, texts)}"
            )
        raise InputError(f"column {self.name!r} is text ({listing(self.levels, 3)}) and {use} needs numbers")

    def _check_sizes(self, values: np.ndarray, use: str) -> None:
        """Refuse numbers whose squares, or those of their products, would leave the range of floating point."""
        sizes = np.where(np.isfinite(values) & ~self.missing, np.abs(values), 0.0)
        largest = sizes.max(initial=0.0)
        if largest > LARGEST_SIZE or 0 < largest < SMALLEST_SIZE:
            raise InputError(
                f"column {self.name!r} has numbers up to {largest:g} in size ({self.at(sizes == largest)}), and {use} takes a largest one "
                f"between {SMALLEST_SIZE:g} and {LARGEST_SIZE:g}; correct it or give the column in another unit"
            )

    def codes_and_levels(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """The column as a factor: codes (n,) into the levels that occur.

        Levels stand in declared order for a categorical, else sorted; those of numbers are sorted by value.
        """
        occurring, codes = np.unique(self.values, return_inverse=True)
        if self.is_coded:
            return codes, tuple(self.levels[i] for i in occurring)
        if self.kind == "number":
            self._check_sizes(self.values.astype(np.float64), "a factor")
        if occurring.dtype.kind == "f" and np.all(occurring == np.round(occurring)):
            return codes, tuple(str(int(value)) for value in occurring.tolist())
        return codes, tuple(str(value) for value in occurring.tolist())

    def group_labels(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """The column as names of groups: codes (n,) into the levels that occur, which are as the source writes them.

        So "1E5" and "100000" are two groups, and 2.50 stays "2.50"; numbers stand in the order of their values, dates in time's.
        """
        column = self if self.written is None else self.written()
        codes, levels = column.codes_and_levels()
        order = in_time_order(levels) if self.kind == "date" else None
        if self.written is not None:
            order = sorted(range(len(levels)), key=lambda i: (as_number(levels[i]) or 0.0, levels[i]))
        return (codes, levels) if order is None else (np.argsort(order)[codes], tuple(levels[i] for i in order))

    @property
    def has_declared_order(self) -> bool:
        """Whether the order of its levels is that of numbers, of logicals or one that the source declares, not the alphabet's."""
        levels = list(self.codes_and_levels()[1])
        return self.kind in ("number", "logical") or self.ordered or levels != sorted(levels)

    @property
    def text(self) -> np.ndarray:
        """The level of every row (n,) of a text column, "" where it is missing."""
        return np.asarray((*self.levels, ""))[self.values]

    def take(self, rows: np.ndarray) -> Column:
        """The column with only the given rows: a mask (n,) of bool or their numbers."""
        places = np.arange(len(self.values)) if self.source_rows is None else self.source_rows
        return replace(
            self,
            values=self.values[rows],
            missing=self.missing[rows],
            written=None if self.written is None else lambda: self.as_written().take(rows),
            source_rows=places[rows],
        )

    def as_written(self) -> Column:
        """The column as text: as the source has it, or numbers as their levels are written."""
        if self.is_coded:
            return self
        if self.written is not None:
            return self.written()
        codes, levels = self.codes_and_levels()
        return Column(self.name, "text", np.where(self.missing, -1, codes), self.missing, levels)


@dataclass(frozen=True)
class Table:
    """Columns of `rows` rows each, and what was done to get them: remarks, and how many rows were dropped.

    `data` is the source, which has further columns; `beside` are tables of numbers between levels, by name.
    """

    columns: Mapping[str, Column]
    rows: int
    source: str
    notes: tuple[str, ...] = ()
    dropped: int = 0
    row_numbers: np.ndarray = field(default_factory=lambda: np.empty(0, int))  # (n,) row of the source, from 0
    data: Any = field(default=None, compare=False, repr=False)
    beside: Mapping[str, LevelTable] = field(default_factory=dict, compare=False, repr=False)

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def sha256(self) -> str:
        """Digest of the values, columns by name; the same for a file and for a frame of its values."""
        digest = hashlib.sha256()
        for name in sorted(self.columns):
            column = self.columns[name]
            digest.update(f"{name}\0{column.kind}\0".encode())
            if column.is_coded:
                digest.update("\0".join(column.text).encode())
            else:
                digest.update(np.ascontiguousarray(column.values, dtype=np.float64).tobytes())
        return digest.hexdigest()

    def take(self, rows: np.ndarray) -> Table:
        """The table with only the given rows: a mask (n,) of bool or their places in the table."""
        numbers = self.row_numbers[rows]
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        return replace(self, columns=columns, rows=len(numbers), row_numbers=numbers)

    def at(self, mask: np.ndarray) -> str:
        """Rows of the source where `mask` (n,) holds, in words."""
        return at_rows(self.row_numbers[np.flatnonzero(mask)])


# ------------------------------------------------------------------------------------------------ tables put together


def stack_tables(first: Table, second: Table) -> Table:
    """The rows of `first`, then those of `second`, in the columns of `first`.

    A column that `second` lacks is missing in its rows. Levels of text are those of `first`, followed by what else occurs
    in `second`.

    Raises
    ------
    InputError
        A column that is text in one and not in the other.
    """
    rows = first.rows + second.rows
    columns: dict[str, Column] = {}
    for name, column in first.columns.items():
        empty = np.full(second.rows, -1 if column.is_coded else np.nan)
        added = second.columns.get(name, Column(name, column.kind, empty, np.ones(second.rows, bool)))
        if column.is_coded != added.is_coded and not added.missing.all():
            raise InputError(
                f"column {name!r} is {added.kind} in {second.source} and {column.kind} in {first.source}; give it as it was there"
            )
        columns[name] = stack_columns(column, added)
    return replace(first, columns=columns, rows=rows, row_numbers=np.arange(rows))


def stack_columns(column: Column, added: Column) -> Column:
    """The rows of `column`, then those of `added`, which is of the same kind or missing."""
    levels = tuple(dict.fromkeys([*column.levels, *added.levels]))
    if added.levels:  # codes into the levels of both; the last entry is what the code -1 finds
        added_values = np.array([*(levels.index(level) for level in added.levels), -1])[added.values]
    else:
        added_values = np.full(len(added.values), -1) if column.is_coded else added.values
    values = np.concatenate([column.values, added_values])
    as_numbers = column.written is None and added.written is None
    return replace(
        column,
        values=values.astype(int) if column.is_coded else values,
        missing=np.concatenate([column.missing, added.missing]),
        levels=levels,
        written=None if as_numbers else lambda: stack_columns(column.as_written(), added.as_written()),
        source_rows=None,
    )


def merge_tables(tables: Sequence[Table]) -> Table:
    """One table of all rows and all columns that any of `tables` has, which are of one source.

    Rows are matched by their numbers in the source. A column is missing in the rows of tables that lack it.
    """
    row_numbers = np.unique(np.concatenate([t.row_numbers for t in tables]))
    columns: dict[str, Column] = {}
    for name in dict.fromkeys(name for t in tables for name in t.columns):
        owners = [t for t in tables if name in t.columns]
        columns[name] = _merge_columns([t[name] for t in owners], [t.row_numbers for t in owners], row_numbers)
    notes = tuple(dict.fromkeys(note for t in tables for note in t.notes))
    first = tables[0]
    return replace(
        first,
        columns=columns,
        rows=len(row_numbers),
        notes=notes,
        dropped=max(t.dropped for t in tables),
        row_numbers=row_numbers,
    )


def _merge_columns(owned: Sequence[Column], rows: Sequence[np.ndarray], row_numbers: np.ndarray) -> Column:
    """The column at `row_numbers`, put together from columns at `rows`, missing at all other rows."""
    column = owned[0]
    covered = np.isin(row_numbers, np.concatenate(rows))
    values = np.full(len(row_numbers), -1 if column.is_coded else np.nan)
    for part, numbers in zip(owned, rows, strict=True):
        values[np.searchsorted(row_numbers, numbers)] = part.values
    has_no_nan = column.is_coded or covered.all()
    as_numbers = column.written is None
    return replace(
        column,
        kind="number" if column.kind == "logical" and not covered.all() else column.kind,
        values=values.astype(column.values.dtype) if has_no_nan else values,
        missing=~covered,
        written=None if as_numbers else lambda: _merge_columns([c.as_written() for c in owned], rows, row_numbers),
        source_rows=row_numbers,
    )


def suspicious_text(column: Column) -> bool:
    """Whether a text column was probably meant as numbers.

    Its levels are numbers with a few others among them ('.', '1,234', '5%'), or numbers too large for 64 bits.
    """
    if column.kind != "text" or not column.levels:
        return False
    if all(as_number(level) is not None for level in column.levels):
        return any(len(level.strip("+- ")) >= 19 for level in column.levels)
    like_numbers = sum(map(like_number, column.levels))
    return like_numbers >= 2 and 2 * like_numbers >= len(column.levels)
