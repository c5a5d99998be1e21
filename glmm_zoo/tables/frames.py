"""From a file or any data frame to the checked columns that a model names.

pandas, polars and arrow tables and files all pass through arrow. No frame is changed, and columns that the model does
not name are not looked at.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, plural, raise_all, warn
from glmm_zoo.tables.columns import Column, Table
from glmm_zoo.tables.files import RawTable
from glmm_zoo.tables.level_tables import WithLevelTables
from glmm_zoo.tables.text_values import are_dates, differ_in_outer_blanks, near_duplicates

Missing = Literal["error", "drop"]


@dataclass(frozen=True)
class SomeRows:
    """Some rows of a raw table or of any data frame; `kept` (n,) of bool. Messages count the rows of the whole."""

    data: Any
    kept: np.ndarray


def column_names(data: Any) -> list[str]:
    """Column names of a raw table or of any data frame."""
    if isinstance(data, SomeRows | WithLevelTables):
        return column_names(data.data)
    if isinstance(data, RawTable):
        return list(data.arrow.column_names)
    if isinstance(data, pa.Table | pa.RecordBatch):
        return list(data.schema.names)
    if type(data).__name__ == "LazyFrame":
        raise InputError("data is a lazy frame; give data.collect()")
    if hasattr(data, "columns"):
        return [c for c in data.columns if isinstance(c, str)]
    raise InputError(f"data must be a data frame (pandas, polars, pyarrow), not {type(data).__name__}")


def take_columns(
    data: Any,
    needed: Collection[str],
    missing: Missing = "error",
    problems: list[str] | None = None,
    may_be_missing: Collection[str] = (),
    remedy: str = "drop these rows with missing='drop' (--missing drop)",
) -> Table:
    """The columns that a model uses, without missing values.

    Parameters
    ----------
    data
        A `RawTable`, a pandas DataFrame, or anything that speaks the Arrow interface. It is never changed.
    needed
        Names of the columns; no other column is looked at.
    missing
        "error" refuses rows with a missing value in any of them; "drop" drops these rows and says so in `notes`.
    problems
        Where given, what is wrong with values is added to it instead of raised, and the rows that are right come
        back, so that a caller can look at them and tell all problems together.
    may_be_missing
        Columns whose missing values are no fault: rows without one of them are left out, and `notes` count them.
    remedy
        What can be done about missing values beside correcting the file.

    Raises
    ------
    InputError
        Columns that are not there (with the nearest name), missing values, infinite values, control characters.
    """
    if isinstance(data, WithLevelTables):
        table = take_columns(data.data, needed, missing, problems, may_be_missing, remedy)
        return replace(table, beside=data.beside)
    if missing not in ("error", "drop"):
        raise InputError(f"missing must be 'error' or 'drop', not {missing!r}")
    known = column_names(data)
    raise_all(
        [_no_column(name, known) for name in needed if name not in known]
        + [f"column {n!r} appears twice; rename one of them" for n in needed if known.count(n) > 1]
    )
    columns, rows, source, notes = _columns_of(data, needed)
    left_out = np.logical_or.reduce([np.zeros(rows, bool), *(columns[name].missing for name in may_be_missing)])
    if left_out.any():
        if left_out.all():
            raise InputError(f"{listing(map(repr, may_be_missing))} has no value in any row of {source}")
        notes = (*notes, f"{listing(may_be_missing)} has no value in {int(left_out.sum())} of {plural(rows, 'row')}")
        columns = {name: replace(c, missing=c.missing & ~left_out) for name, c in columns.items()}
        rows -= int(left_out.sum())
    faults: list[str] = []
    for column in columns.values():
        faulty, sentences = _faulty_values(column, missing, remedy)
        left_out |= faulty | column.missing
        faults += sentences
    dropped = int(np.logical_or.reduce([c.missing for c in columns.values()]).sum())
    if dropped == rows:
        raise InputError(f"every row of {source} has a missing value in {listing(columns)}")
    if problems is None or left_out.all():
        raise_all(faults)
    else:
        problems += faults
    if dropped:
        counts = listing(f"{c.name} {int(c.missing.sum())}" for c in columns.values() if c.missing.any())
        notes = (*notes, f"dropped {dropped} of {plural(rows, 'row')} with a missing value ({counts})")
    if left_out.any():
        columns = {name: c.take(~left_out) for name, c in columns.items()}
    for sentence in (s for column in columns.values() for s in _labels_spelt_twice(column)):
        warn(sentence)
        notes = (*notes, sentence)
    row_numbers = _row_numbers(data, len(left_out))[~left_out]
    return Table(columns, len(row_numbers), source, notes, dropped, row_numbers, data)


def take_columns_with_gaps(data: Any, needed: Collection[str]) -> Table:
    """Columns of all rows, with missing values marked as missing; sources as for `take_columns`.

    Raises
    ------
    InputError
        Columns that are not there (with the nearest name), no rows, infinite values, control characters.
    """
    if isinstance(data, WithLevelTables):
        return replace(take_columns_with_gaps(data.data, needed), beside=data.beside)
    known = column_names(data)
    raise_all([_no_column(name, known) for name in needed if name not in known])
    columns, rows, source, notes = _columns_of(data, needed)
    raise_all([sentence for column in columns.values() for sentence in _faulty_values(column, "drop")[1]])
    return Table(columns, rows, source, notes, 0, _row_numbers(data, rows), data)


def further_columns(table: Table, names: Collection[str]) -> dict[str, Column]:
    """Other columns of the source of a table in the table's rows, with missing values marked as missing.

    Raises
    ------
    InputError
        Columns that are not there (with the nearest name); a source that was changed after the table was taken from it.
    """
    data = table.data
    while isinstance(data, SomeRows):  # row numbers are those of the whole
        data = data.data
    whole = take_columns_with_gaps(data, [*names, *(n for n in table.columns if n not in names)])
    if whole.rows <= table.row_numbers.max() or not all(
        _same_values(column, whole[name].take(table.row_numbers)) for name, column in table.columns.items()
    ):
        raise InputError(f"{table.source} was changed after the model was built; build the model again")
    return {name: whole[name].take(table.row_numbers) for name in names}


def _same_values(column: Column, again: Column) -> bool:
    """Whether a column has the values of the other where it is not missing."""
    a, b = (c.as_written().text if column.is_coded else c.values for c in (column, again))
    return bool(np.all((a == b)[~column.missing]))


def _columns_of(data: Any, needed: Collection[str]) -> tuple[dict[str, Column], int, str, tuple[str, ...]]:
    """The columns of a source that has them all, unchecked; the number of rows, the source in words, remarks."""
    if isinstance(data, SomeRows):
        columns, _, source, notes = _columns_of(data.data, needed)
        return {n: c.take(data.kept) for n, c in columns.items()}, int(data.kept.sum()), source, notes
    source, notes, arrow = _as_arrow(data, list(dict.fromkeys(needed)))
    if arrow.num_rows == 0:
        raise InputError(f"{source} has no rows")
    columns = {name: _column(name, arrow.column(name)) for name in arrow.column_names}
    if isinstance(data, RawTable):
        columns = {name: _with_texts(column, data) for name, column in columns.items()}
    return columns, arrow.num_rows, source, notes


def _row_numbers(data: Any, rows: int) -> np.ndarray:
    """The numbers of the rows in the source, from 0."""
    return _row_numbers(data.data, len(data.kept))[data.kept] if isinstance(data, SomeRows) else np.arange(rows)


@dataclass(frozen=True, eq=False)
class _AsWritten:
    """A column of text when it is asked for; unlike a cached function it goes to other processes."""

    name: str
    text: Any
    missing: np.ndarray

    @functools.cached_property
    def _column(self) -> Column:
        return _text_column(self.name, self.text, self.missing)

    def __call__(self) -> Column:
        return self._column


def _with_texts(column: Column, data: RawTable) -> Column:
    """The column with what the file has as text: numbers as they are written, and codes of missing values."""
    text = data.written.get(column.name)
    written = None if text is None else _AsWritten(column.name, text, column.missing)
    return replace(column, written=written, missing_codes=data.missing_codes.get(column.name, ()))


def _labels_spelt_twice(column: Column) -> list[str]:
    """A sentence on labels of a text column that differ only in blanks or case."""
    if column.kind != "text":
        return []
    pairs = near_duplicates(column.codes_and_levels()[1])
    if not pairs:
        return []
    remedy = "write each in one way in the file"
    if all(map(differ_in_outer_blanks, pairs)):
        remedy = "--strip takes blanks off"
    return [
        f"column {column.name!r} has labels that differ only in blanks or case and count as different levels "
        f"({listing((' and '.join(map(repr, pair)) for pair in pairs), 3)}); if they are one, {remedy}"
    ]


def _no_column(name: str, known: Sequence[str]) -> str:
    with_spaces = [k for k in known if k != k.strip() and k.strip() == name]
    if with_spaces:
        return f"no column {name!r}; did you mean {with_spaces[0]!r}? (use --strip)"
    return f"no column {name!r}{did_you_mean(name, known) or ';'} columns: {listing(known)}"


def _faulty_values(column: Column, missing: Missing, remedy: str = "") -> tuple[np.ndarray, list[str]]:
    """Rows (n,) with values that no model takes, and a sentence for each kind of them."""
    faulty = np.zeros(len(column.values), bool)
    problems = []
    if column.missing.any() and missing == "error":
        problems.append(
            f"column {column.name!r} has {plural(int(column.missing.sum()), 'missing value')} "
            f"({column.at(column.missing)}{_codes_found(column)}); correct the file or {remedy}{_keep_codes(column)}"
        )
    if column.kind == "number" and column.values.dtype.kind == "f":
        faulty = np.isinf(column.values)
        if faulty.any():
            problems.append(
                f"column {column.name!r} has {plural(int(faulty.sum()), 'infinite value')} "
                f"({column.at(faulty)}); correct or drop"
            )
    for code, level in enumerate(column.levels):
        if any(ord(ch) < 32 for ch in level) and (column.values == code).any():
            faulty |= column.values == code
            where = column.at(column.values == code)
            problems.append(f"column {column.name!r} {where} has a control character ({level!r}); clean the file")
    return faulty, problems


def _codes_found(column: Column) -> str:
    """The texts that were taken for missing values, in words."""
    return f": {listing(map(repr, column.missing_codes), 3)}" if column.missing_codes else ""


def _keep_codes(column: Column) -> str:
    """How to keep codes of missing values in a column of text, where one of them may be a value."""
    if column.kind != "text" or not column.missing_codes:
        return ""
    options = " ".join(f"--not-na {code!r}" for code in column.missing_codes)
    return f"; if {listing(map(repr, column.missing_codes), 3)} is a value and not a missing one, add {options}"


# ------------------------------------------------------------------------------------------------------- through arrow


def _as_arrow(data: Any, needed: list[str]) -> tuple[str, tuple[str, ...], pa.Table]:
    """The source in words, the remarks that concern these columns, and the columns as arrow's."""
    if isinstance(data, RawTable):
        notes = tuple(n for n in data.notes if not n.startswith("column ") or any(repr(c) in n for c in needed))
        return data.source, notes, data.arrow.select(needed)
    try:
        if isinstance(data, pa.Table | pa.RecordBatch):
            return "the table", (), pa.table(data).select(needed)
        if not type(data).__module__.startswith("pandas"):
            return "the data frame", (), pa.table(data).select(needed)
    except (pa.ArrowException, TypeError, ValueError) as err:
        raise InputError(f"data must be a data frame (pandas, polars, pyarrow): {str(err).splitlines()[0]}") from None
    problems = [f"column {name!r} appears twice; rename one of them" for name in needed if data[name].ndim > 1]
    raise_all(problems)
    columns = {name: attempt(lambda name=name: _from_pandas(name, data[name]), problems) for name in needed}
    raise_all(problems)
    return "the data frame", (), pa.table(columns)


def _from_pandas(name: str, series: Any) -> pa.Array | pa.ChunkedArray:
    if str(series.dtype) == "category":
        series = series.cat.rename_categories([str(level) for level in series.cat.categories])
    try:
        return pa.array(series, from_pandas=True)
    except OverflowError:
        raise InputError(f"column {name!r} has values too large for a 64-bit number") from None
    except (pa.ArrowException, ValueError) as err:
        raise InputError(
            f"column {name!r} mixes values of different types ({str(err).splitlines()[0]}); make it all numbers or all text"
        ) from None


def _numpy(array: pa.Array, fill: float = 0) -> np.ndarray:
    """A primitive array read from its buffer, nulls as `fill`: pyarrow's to_numpy and fill_null import pandas."""
    if pa.types.is_boolean(array.type):
        return _numpy(array.cast(pa.uint8()), fill).astype(bool)
    dtype = np.dtype(array.type.to_pandas_dtype())
    if len(array) == 0:
        return np.empty(0, dtype)
    values = np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize).copy()
    if array.null_count:
        values[_numpy(array.is_null())] = fill
    return values


def _column(name: str, chunked: pa.ChunkedArray) -> Column:
    """An arrow column as one of ours, by its type."""
    array = chunked.combine_chunks()
    arrow_type = array.type
    if pa.types.is_nested(arrow_type):
        raise InputError(f"column {name!r} holds {arrow_type}; a model needs numbers, text or logicals")
    missing = _numpy(array.is_null())
    if pa.types.is_boolean(arrow_type):
        return Column(name, "logical", _numpy(array, False), missing)
    if pa.types.is_integer(arrow_type):
        values = _numpy(array, 0)
        if values.dtype == np.uint64 and (values > np.iinfo(np.int64).max).any():
            raise InputError(f"column {name!r} has values too large for a 64-bit number")
        return Column(name, "number", values.astype(np.int64), missing)
    if pa.types.is_floating(arrow_type) or pa.types.is_decimal(arrow_type) or pa.types.is_null(arrow_type):
        values = _numpy(array.cast(pa.float64()), np.nan)
        return Column(name, "number", values, missing | np.isnan(values))
    if pa.types.is_temporal(arrow_type):
        as_text = _column(name, pa.chunked_array([array.cast(pa.string())]))
        return Column(name, "date", as_text.values, missing, as_text.levels)
    if pa.types.is_dictionary(arrow_type):
        codes = _numpy(array.indices.cast(pa.int64()), -1)
        declared = tuple(str(level) for level in array.dictionary.to_pylist())
        return Column(name, "text", codes, missing | (codes < 0), declared, arrow_type.ordered)
    if pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type) or pa.types.is_string_view(arrow_type):
        return _text_column(name, array, missing)
    raise InputError(f"column {name!r} holds {arrow_type}; a model needs numbers, text or logicals")


def _text_column(name: str, array: pa.Array, missing: np.ndarray) -> Column:
    """Text as codes into its sorted levels."""
    encoded = array.cast(pa.string()).dictionary_encode()
    levels = encoded.dictionary.to_pylist()
    order = np.array(sorted(range(len(levels)), key=levels.__getitem__), dtype=np.int64)
    rank = np.empty(len(levels) + 1, np.int64)
    rank[order] = np.arange(len(levels))
    rank[-1] = -1  # what the code -1 of a null finds
    codes = rank[_numpy(encoded.indices, -1)]
    kind = "date" if are_dates(levels) else "text"
    return Column(name, kind, codes, missing, tuple(levels[i] for i in order))
