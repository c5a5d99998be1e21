"""Tables: files and data frames in, checked columns out. Imports only `errors`, and no PyMC.

Every source ends as a pyarrow table of the columns that the model names, then as `Column` objects of NumPy
arrays, so that a file, a pandas, a polars and an arrow table with the same values give the same model.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from glmm_zoo.errors import InputError, at_rows, attempt, did_you_mean, listing, plural, raise_all

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>")
Missing = Literal["error", "drop"]


@dataclass(frozen=True)
class Column:
    """One column of n rows.

    `kind` "number": `values` float64 or int64. "logical": bool. "text": int codes into `levels`, in sorted or
    declared order, with -1 where missing. "date": the same, only good for grouping. `ordered` says that the source
    declares the order of the levels to mean something: an ordered Categorical, an Enum.
    """

    name: str
    kind: Literal["number", "logical", "text", "date"]
    values: np.ndarray
    missing: np.ndarray  # (n,) bool
    levels: tuple[str, ...] = ()
    ordered: bool = False

    def numbers(self, use: str) -> np.ndarray:
        """Values as float64 (n,); `use` names what they are for in the error."""
        if self.kind in ("number", "logical"):
            return self.values.astype(np.float64)
        if self.kind == "date":
            raise InputError(
                f"column {self.name!r} holds dates and {use} needs numbers; make a number of it, e.g. days since entry"
            )
        bad = np.flatnonzero([_as_number(level) is None for level in self.levels])
        if len(bad) == 0:
            raise InputError(
                f"column {self.name!r} has values too large for a 64-bit number or ids with leading zeros; "
                "it can be a factor, C(), or a grouping factor"
            )
        rows = np.flatnonzero(np.isin(self.values, bad))
        if suspicious_text(self):
            example = self.levels[self.values[rows[0]]]
            raise InputError(
                f"column {self.name!r} should be numeric; {plural(len(rows), 'value')} "
                f"{'is' if len(rows) == 1 else 'are'} not ({example!r}, {at_rows(rows)}); "
                f"correct the file, name what stands for a missing value with --na {example!r}, or write C({self.name}) for a factor"
            )
        raise InputError(f"column {self.name!r} is text ({listing(self.levels, 3)}) and {use} needs numbers")

    def factor(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """Codes (n,) and the levels that occur, in order: declared for a categorical, else sorted; numbers by value."""
        seen, codes = np.unique(self.values, return_inverse=True)
        if self.kind in ("text", "date"):
            return codes, tuple(self.levels[i] for i in seen)
        if seen.dtype.kind == "f" and np.all(seen == np.round(seen)):
            seen = seen.astype(np.int64)
        return codes, tuple(str(v) for v in seen.tolist())

    @property
    def text(self) -> np.ndarray:
        """Levels of a text column by row (n,), "" where it is missing."""
        return np.asarray((*self.levels, ""))[self.values]

    def take(self, rows: np.ndarray) -> Column:
        """The column with only the rows given, by a mask (n,) of bool or by their numbers."""
        return Column(self.name, self.kind, self.values[rows], self.missing[rows], self.levels, self.ordered)


@dataclass(frozen=True)
class Table:
    """The columns that a model uses, all of `rows` rows, none missing, with what was done to get them."""

    columns: Mapping[str, Column]
    rows: int
    source: str
    notes: tuple[str, ...] = ()
    dropped: int = 0
    row_numbers: np.ndarray = field(default_factory=lambda: np.empty(0, int))  # (n,) row of the source, from 0

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def sha256(self) -> str:
        """Digest of the values used, in column order by name; the same for a file and for a frame of its values."""
        digest = hashlib.sha256()
        for name in sorted(self.columns):
            column = self.columns[name]
            digest.update(f"{name}\0{column.kind}\0".encode())
            if column.kind in ("text", "date"):
                digest.update("\0".join(column.text).encode())
            else:
                digest.update(np.ascontiguousarray(column.values, dtype=np.float64).tobytes())
        return digest.hexdigest()

    def take(self, rows: np.ndarray) -> Table:
        """The table with only the rows given, by a mask (n,) of bool or by their places."""
        numbers = self.row_numbers[rows]
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        return replace(self, columns=columns, rows=len(numbers), row_numbers=numbers)

    def at(self, mask: np.ndarray) -> str:
        """Rows of the source where `mask` (n,) holds, in words."""
        return at_rows(self.row_numbers[np.flatnonzero(mask)])


def stacked(first: Table, second: Table) -> Table:
    """The rows of one table and then those of another, in the columns of the first; missing where the second has no such
    column. Levels of text are those of the first, and after them what else occurs in the second.

    Raises
    ------
    InputError
        A column that is text in one and not in the other.
    """
    columns: dict[str, Column] = {}
    for name, a in first.columns.items():
        coded = a.kind in ("text", "date")
        nothing = np.full(second.rows, -1 if coded else np.nan)
        b = second.columns.get(name, Column(name, a.kind, nothing, np.ones(second.rows, bool)))
        if coded != (b.kind in ("text", "date")) and not b.missing.all():
            raise InputError(
                f"column {name!r} is {b.kind} in {second.source} and {a.kind} in {first.source}; give it as it was there"
            )
        levels = tuple(dict.fromkeys([*a.levels, *b.levels]))
        values = np.array([*(levels.index(level) for level in b.levels), -1])[b.values] if b.levels else b.values
        values = nothing if coded and not b.levels else values
        both = np.concatenate([a.values, values])
        columns[name] = replace(
            a, values=both.astype(int) if coded else both, missing=np.concatenate([a.missing, b.missing]), levels=levels
        )
    return replace(
        first, columns=columns, rows=first.rows + second.rows, row_numbers=np.arange(first.rows + second.rows)
    )


def joined(tables: Sequence[Table]) -> Table:
    """One table of all rows and columns that any of some tables of one source has; missing where none has a value."""
    row_numbers = np.unique(np.concatenate([t.row_numbers for t in tables]))
    columns: dict[str, Column] = {}
    for name in dict.fromkeys(name for t in tables for name in t.columns):
        having = [t for t in tables if name in t.columns]
        first = having[0][name]
        covered = np.isin(row_numbers, np.concatenate([t.row_numbers for t in having]))
        coded = first.kind in ("text", "date")
        whole = np.full(len(row_numbers), -1 if coded else np.nan)
        for t in having:
            whole[np.searchsorted(row_numbers, t.row_numbers)] = t[name].values
        kind = "number" if first.kind == "logical" and not covered.all() else first.kind
        exact = coded or covered.all()  # not NaN anywhere
        columns[name] = replace(
            first, kind=kind, values=whole.astype(first.values.dtype) if exact else whole, missing=~covered
        )
    notes = tuple(dict.fromkeys(note for t in tables for note in t.notes))
    return Table(columns, len(row_numbers), tables[0].source, notes, max(t.dropped for t in tables), row_numbers)


@dataclass(frozen=True)
class RawTable:
    """A file as read: text or typed columns, and remarks on it."""

    arrow: pa.Table
    source: str
    notes: tuple[str, ...] = ()


# ---------------------------------------------------------------------------------------------------- reading files


@dataclass(frozen=True)
class ReadOptions:
    """How to read a text file; `sep` None means by the file's ending (tab for .tsv and .tab, else comma)."""

    encoding: str = "utf-8"
    sep: str | None = None
    decimal: str = "."
    na: tuple[str, ...] = ()
    comment: str | None = None
    strip: bool = False


def read_table(path: str | os.PathLike[str], options: ReadOptions | None = None) -> RawTable:
    """Read CSV, TSV or Parquet, each also gzipped (.gz).

    Parameters
    ----------
    path
        The file. Text is UTF-8, with or without a byte order mark, unless `options` says otherwise.
    options
        Separator, decimal mark, encoding, further codes for missing values, comment mark.

    Raises
    ------
    InputError
        With everything that is wrong with the file, one sentence each.
    """
    options = options or ReadOptions()
    path = Path(path)
    if path.is_dir():
        raise InputError(f"data: {str(path)!r} is a folder; give the file in it")
    if not path.exists():
        near = did_you_mean(path.name, os.listdir(path.parent) if path.parent.is_dir() else [])
        raise InputError(f"data: file {str(path)!r} does not exist{near}")
    suffixes = [s.lower() for s in path.suffixes]
    ending = next((s for s in reversed(suffixes) if s != ".gz"), "")
    if ending in (".xlsx", ".xls", ".ods", ".sav", ".dta", ".rds", ".rdata", ".sas7bdat", ".zip"):
        raise InputError(f"data: {path.name} is not a CSV, TSV or Parquet file; export it as CSV and give that")
    _refuse_too_large(path)
    try:
        raw = path.read_bytes()
        if suffixes and suffixes[-1] == ".gz":
            raw = gzip.decompress(raw)
    except (OSError, EOFError) as err:
        raise InputError(f"data: {path.name} cannot be read: {err}") from None
    if not raw:
        raise InputError(f"{path.name} is empty")
    if ending in (".parquet", ".pq"):
        import pyarrow.parquet as pa_parquet

        try:
            return RawTable(pa_parquet.read_table(pa.BufferReader(raw)), path.name)
        except (pa.ArrowException, OSError) as err:
            raise InputError(f"{path.name} is not a whole Parquet file: {err}") from None
    sep = options.sep or ("\t" if ending in (".tsv", ".tab") else ",")
    return _read_text(_decode(raw, path.name, options.encoding), path.name, sep, options)


def _refuse_too_large(path: Path) -> None:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return
    need = 4 * path.stat().st_size  # bytes, decoded text, arrow strings and typed columns
    if need > free:
        raise InputError(
            f"{path.name} needs about {need / 2**30:.0f} GB of memory, {free / 2**30:.0f} GB are free; "
            "keep only the columns the model uses, or save it as Parquet"
        )


def _decode(raw: bytes, name: str, encoding: str) -> str:
    for mark, guess in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if raw.startswith(mark) and "16" not in encoding:
            raise InputError(
                f"{name} is not UTF-8 (it starts with a UTF-16 mark); looks like UTF-16; use --encoding {guess}"
            )
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as err:
        line = raw.count(b"\n", 0, err.start) + 1
        raise InputError(
            f"{name} is not {encoding.removesuffix('-sig').upper()} (line {line}, byte 0x{raw[err.start]:02x}). "
            "Looks like latin-1; use --encoding latin-1"
        ) from None
    except LookupError:
        raise InputError(f"unknown encoding {encoding!r}; try utf-8, latin-1 or utf-16") from None


def _read_text(text: str, name: str, sep: str, options: ReadOptions) -> RawTable:
    for option, value in (("sep", sep), ("decimal", options.decimal)):
        if len(value) != 1:
            raise InputError(f"--{option} must be one character, not {value!r}")
    if options.comment:
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(options.comment))
    text = text.lstrip("\r\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")  # an old Macintosh's line ends
    first = text.split("\n", 1)[0].strip("\r")
    if not text.strip():
        raise InputError(f"{name} is empty")
    if first.startswith("#") and not options.comment:
        raise InputError(f"{name}: first line starts with '#'; use --comment '#'")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{name} has a NUL character (line {line}); it is damaged, or not a text file")
    header = next(csv.reader(io.StringIO(text, newline=""), delimiter=sep))
    notes = []
    if len(header) == 1:
        for other, label in ((";", "';' --decimal ','"), ("\t", "tab"), ("|", "'|'"), (",", "','")):
            if other != sep and other in first:
                raise InputError(f"{name}: only one column found; the file seems to use {other!r}. Use --sep {label}")
    problems = []
    if options.strip:
        header = [h.strip() for h in header]
    rownames = len(header) > 1 and header[0].strip() in ("", "Unnamed: 0")
    for i, h in enumerate(header):
        if not h.strip() and not (i == 0 and rownames):
            problems.append(f"{name}: column {i + 1} has no name; name it in the header")
    for h in dict.fromkeys(header):
        if h and header.count(h) > 1:
            problems.append(f"{name}: column {h!r} appears twice; rename one of them")
    raise_all(problems)
    names = [f"\0{i}" if i == 0 and rownames else h for i, h in enumerate(header)]
    try:
        arrow = pa_csv.read_csv(
            pa.BufferReader(text.encode()),
            read_options=pa_csv.ReadOptions(column_names=names, skip_rows_after_names=0, skip_rows=0),
            parse_options=pa_csv.ParseOptions(delimiter=sep, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=[*MISSING, *options.na],
            ),
        ).slice(1)
    except pa.ArrowInvalid as err:
        raise InputError(_why_broken(text, name, sep, len(header), str(err))) from None
    _check_quotes(text, name, sep)
    if arrow.num_rows == 0:
        raise InputError(f"{name} has a header but no rows")
    if rownames:
        arrow = arrow.drop_columns(names[0])
        notes.append(f"{name}: the first column has no name and was taken for row names; it is ignored")
    return RawTable(_typed(arrow, options, notes), name, tuple(notes))


def _check_quotes(text: str, name: str, sep: str) -> None:
    if text.count('"') % 2:
        start = 1
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep, strict=True)
        try:
            for _ in reader:
                start = reader.line_num + 1
        except csv.Error:
            raise InputError(f"{name}: unclosed quote starting at line {start}") from None


def _why_broken(text: str, name: str, sep: str, width: int, err: str) -> str:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep, strict=True)
    start = 1
    try:
        for row in reader:
            if row and len(row) != width:
                line = text.splitlines()[reader.line_num - 1]
                return (
                    f"{name}: line {reader.line_num} has {plural(len(row), 'field')}, the header has {width}: "
                    f"{line[:60]!r}; check separators and quotes"
                )
            start = reader.line_num + 1
    except csv.Error:
        return f"{name}: unclosed quote starting at line {start}"
    return f"{name} cannot be read: {err.splitlines()[0]}"


def _typed(arrow: pa.Table, options: ReadOptions, notes: list[str]) -> pa.Table:
    """Text columns become numbers or logicals where every value is one."""
    columns = []
    for name, column in zip(arrow.column_names, arrow.columns, strict=True):
        column = column.combine_chunks()
        trimmed = pc.utf8_trim_whitespace(column)
        plain = pc.replace_substring(trimmed, options.decimal, ".") if options.decimal != "." else trimmed
        column = trimmed if options.strip else column
        if pc.any(pc.match_substring_regex(plain, r"^[+-]?0\d")).as_py():
            columns.append(column)
            notes.append(f"column {name!r} has numbers with leading zeros and is read as text")
            continue
        columns.append(_cast(plain, column))
    return pa.Table.from_arrays(columns, names=arrow.column_names)  # pa.table would import pandas


def _cast(plain: pa.Array, column: pa.Array) -> pa.Array:
    if plain.null_count == len(plain):
        return plain.cast(pa.float64())
    try:
        return plain.cast(pa.int64())
    except pa.ArrowInvalid:
        pass
    if pc.any(pc.match_substring_regex(plain, r"^[+-]?\d{19,}$")).as_py():
        return column
    try:
        return plain.cast(pa.float64())
    except pa.ArrowInvalid:
        pass
    lower = pc.utf8_lower(plain)
    if pc.all(pc.match_substring_regex(lower, "^(true|false)$")).as_py():
        return pc.equal(lower, "true")
    return column


# ---------------------------------------------------------------------------------------------- columns for a model


def names_of(data: Any) -> list[str]:
    """Column names of a raw table or of any data frame."""
    if isinstance(data, RawTable):
        return list(data.arrow.column_names)
    if isinstance(data, pa.Table | pa.RecordBatch):
        return list(data.schema.names)
    if type(data).__name__ == "LazyFrame":
        raise InputError("data is a lazy frame; give data.collect()")
    if hasattr(data, "columns"):
        return [c for c in data.columns if isinstance(c, str)]
    raise InputError(f"data must be a data frame (pandas, polars, pyarrow), not {type(data).__name__}")


def take(
    data: Any,
    needed: Collection[str],
    missing: Missing = "error",
    problems: list[str] | None = None,
    unless: Collection[str] = (),
) -> Table:
    """The columns that a model uses, complete.

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
    unless
        Columns whose missing values are no fault: rows without one of them are left out, and `notes` count them.

    Raises
    ------
    InputError
        Columns that are not there (with the nearest name), missing values, infinite values, control characters.
    """
    if missing not in ("error", "drop"):
        raise InputError(f"missing must be 'error' or 'drop', not {missing!r}")
    known = names_of(data)
    raise_all(
        [_no_column(name, known) for name in needed if name not in known]
        + [f"column {n!r} appears twice; rename one of them" for n in needed if known.count(n) > 1]
    )
    source, notes, arrow = _arrow(data, list(dict.fromkeys(needed)))
    rows = arrow.num_rows
    if rows == 0:
        raise InputError(f"{source} has no rows")
    columns = {name: _column(name, arrow.column(name)) for name in arrow.column_names}
    found: list[str] = []
    aside = np.logical_or.reduce([np.zeros(rows, bool), *(columns[name].missing for name in unless)])
    if aside.any():
        if aside.all():
            raise InputError(f"{listing(map(repr, unless))} has no value in any row of {source}")
        notes = (*notes, f"{listing(unless)} has no value in {int(aside.sum())} of {plural(rows, 'row')}")
        columns = {name: replace(c, missing=c.missing & ~aside) for name, c in columns.items()}
    rows -= int(aside.sum())
    for column in columns.values():
        wrong, sentences = _bad_values(column, missing)
        aside |= wrong | column.missing
        found += sentences
    dropped = int(np.logical_or.reduce([c.missing for c in columns.values()]).sum())
    if dropped == rows:
        raise InputError(f"every row of {source} has a missing value in {listing(columns)}")
    if problems is None or aside.all():
        raise_all(found)
    else:
        problems += found
    if dropped:
        per = listing(f"{c.name} {int(c.missing.sum())}" for c in columns.values() if c.missing.any())
        notes = (*notes, f"dropped {dropped} of {plural(rows, 'row')} with a missing value ({per})")
    if aside.any():
        columns = {name: c.take(~aside) for name, c in columns.items()}
    return Table(columns, int((~aside).sum()), source, notes, dropped, np.flatnonzero(~aside))


def with_gaps(data: Any, needed: Collection[str]) -> Table:
    """Columns of all rows, with what is missing in them marked as such; sources as for `take`.

    Raises
    ------
    InputError
        Columns that are not there (with the nearest name), no rows, infinite values, control characters.
    """
    known = names_of(data)
    raise_all([_no_column(name, known) for name in needed if name not in known])
    source, notes, arrow = _arrow(data, list(dict.fromkeys(needed)))
    if arrow.num_rows == 0:
        raise InputError(f"{source} has no rows")
    columns = {name: _column(name, arrow.column(name)) for name in arrow.column_names}
    raise_all([sentence for column in columns.values() for sentence in _bad_values(column, "drop")[1]])
    return Table(columns, arrow.num_rows, source, notes, 0, np.arange(arrow.num_rows))


def _no_column(name: str, known: Sequence[str]) -> str:
    stripped = [k for k in known if k != k.strip() and k.strip() == name]
    if stripped:
        return f"no column {name!r}; did you mean {stripped[0]!r}? (use --strip)"
    return f"no column {name!r}{did_you_mean(name, known) or ';'} columns: {listing(known)}"


def _arrow(data: Any, needed: list[str]) -> tuple[str, tuple[str, ...], pa.Table]:
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
    problems: list[str] = []
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
    kind = np.dtype(array.type.to_pandas_dtype())
    if len(array) == 0:
        return np.empty(0, kind)
    values = np.frombuffer(array.buffers()[1], kind, len(array), array.offset * kind.itemsize).copy()
    if array.null_count:
        values[_numpy(array.is_null())] = fill
    return values


def _column(name: str, chunked: pa.ChunkedArray) -> Column:
    array = chunked.combine_chunks()
    kind = array.type
    if pa.types.is_nested(kind):
        raise InputError(f"column {name!r} holds {kind}; a model needs numbers, text or logicals")
    missing = _numpy(array.is_null())
    if pa.types.is_boolean(kind):
        return Column(name, "logical", _numpy(array, False), missing)
    if pa.types.is_integer(kind):
        values = _numpy(array, 0)
        if values.dtype == np.uint64 and (values > np.iinfo(np.int64).max).any():
            raise InputError(f"column {name!r} has values too large for a 64-bit number")
        return Column(name, "number", values.astype(np.int64), missing)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        values = _numpy(array.cast(pa.float64()), np.nan)
        return Column(name, "number", values, missing | np.isnan(values))
    if pa.types.is_temporal(kind):
        dates = _column(name, pa.chunked_array([array.cast(pa.string())]))
        return Column(name, "date", dates.values, missing, dates.levels)
    if pa.types.is_dictionary(kind):
        codes = _numpy(array.indices.cast(pa.int64()), -1)
        declared = tuple(str(level) for level in array.dictionary.to_pylist())
        return Column(name, "text", codes, missing | (codes < 0), declared, kind.ordered)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        encoded = array.cast(pa.string()).dictionary_encode()
        levels = encoded.dictionary.to_pylist()
        order = np.array(sorted(range(len(levels)), key=levels.__getitem__), dtype=np.int64)
        rank = np.empty(len(levels) + 1, np.int64)
        rank[order] = np.arange(len(levels))
        rank[-1] = -1
        codes = rank[_numpy(encoded.indices, -1)]
        return Column(name, "text", codes, missing, tuple(levels[i] for i in order))
    raise InputError(f"column {name!r} holds {kind}; a model needs numbers, text or logicals")


def _bad_values(column: Column, missing: Missing) -> tuple[np.ndarray, list[str]]:
    """Rows (n,) with values that no model takes, and a sentence for each kind of them."""
    wrong = np.zeros(len(column.values), bool)
    problems = []
    if column.missing.any() and missing == "error":
        problems.append(
            f"column {column.name!r} has {plural(int(column.missing.sum()), 'missing value')} "
            f"({at_rows(np.flatnonzero(column.missing))}); correct the file or drop these rows with missing='drop' "
            "(--missing drop)"
        )
    if column.kind == "number" and column.values.dtype.kind == "f":
        wrong = np.isinf(column.values)
        if wrong.any():
            problems.append(
                f"column {column.name!r} has {plural(int(wrong.sum()), 'infinite value')} "
                f"({at_rows(np.flatnonzero(wrong))}); correct or drop"
            )
    for code, level in enumerate(column.levels):
        if any(ord(ch) < 32 for ch in level) and (column.values == code).any():
            wrong |= column.values == code
            where = at_rows(np.flatnonzero(column.values == code))
            problems.append(f"column {column.name!r} {where} has a control character ({level!r}); clean the file")
    return wrong, problems


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def suspicious_text(column: Column) -> bool:
    """Whether a text column looks like numbers with a few other values in it ('.', '1,234', '5%'), or too large ones."""
    if column.kind != "text" or not column.levels:
        return False
    if all(_as_number(level) is not None for level in column.levels):
        return any(len(level.strip("+- ")) >= 19 for level in column.levels)
    like = sum(_as_number(level.translate(_DECORATION)) is not None for level in column.levels)
    return like >= 2 and 2 * like >= len(column.levels)


_DECORATION = str.maketrans("", "", ",%$€ ")
