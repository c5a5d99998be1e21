"""CSV, TSV and Parquet files, each also gzipped, become arrow tables, or one sentence for each thing that is wrong.

Text is read whole and every cell as text first, so that a fault can be told with its line; then columns of which every
value is a number or a logical become that.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from glmm_zoo.errors import InputError, did_you_mean, plural, raise_all

MISSING_CODES = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>")
_OTHER_FORMATS = (".xlsx", ".xls", ".ods", ".sav", ".dta", ".rds", ".rdata", ".sas7bdat", ".zip")


@dataclass(frozen=True)
class RawTable:
    """A file as read: columns of text, numbers or logicals, and remarks on them.

    `written` has the text of columns of numbers where it says more than the numbers; `missing_codes` the texts that stand for
    missing values in a column of text; `row_names` the first column where it has no name.
    """

    arrow: pa.Table
    source: str
    notes: tuple[str, ...] = ()
    written: Mapping[str, pa.Array] = field(default_factory=dict)
    missing_codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    row_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadOptions:
    """How to read a text file.

    `sep` None means by the file's ending: tab for .tsv and .tab, else comma. `na` are codes for missing values beside
    `MISSING_CODES`, `not_na` those of them that are values, as "NA" for Namibia is. Lines that begin with `comment` are left out. `strip` takes spaces off names and text.
    """

    encoding: str = "utf-8"
    sep: str | None = None
    decimal: str = "."
    na: tuple[str, ...] = ()
    comment: str | None = None
    strip: bool = False
    not_na: tuple[str, ...] = ()


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
    if ending in _OTHER_FORMATS:
        raise InputError(f"data: {path.name} is not a CSV, TSV or Parquet file; export it as CSV and give that")
    raw = _read_bytes(path, gzipped=bool(suffixes) and suffixes[-1] == ".gz")
    if ending in (".parquet", ".pq"):
        return _read_parquet(raw, path.name)
    sep = options.sep or ("\t" if ending in (".tsv", ".tab") else ",")
    return _read_text(_decode(raw, path.name, options.encoding), path.name, sep, options)


def _read_bytes(path: Path, gzipped: bool) -> bytes:
    """The content of the file, which is not empty."""
    _refuse_too_large(path)
    try:
        raw = path.read_bytes()
        if gzipped:
            raw = gzip.decompress(raw)
    except (OSError, EOFError) as err:
        raise InputError(f"data: {path.name} cannot be read: {err}") from None
    if not raw:
        raise InputError(f"{path.name} is empty")
    return raw


def _refuse_too_large(path: Path) -> None:
    """Refuse a file that does not fit into free memory, where the system tells how much is free."""
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


def _read_parquet(raw: bytes, name: str) -> RawTable:
    import pyarrow.parquet as pa_parquet  # slow to import

    try:
        return RawTable(pa_parquet.read_table(pa.BufferReader(raw)), name)
    except (pa.ArrowException, OSError) as err:
        raise InputError(f"{name} is not a whole Parquet file: {err}") from None


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


# ------------------------------------------------------------------------------------------------------- text of cells


def _read_text(text: str, name: str, sep: str, options: ReadOptions) -> RawTable:
    for option, value in (("sep", sep), ("decimal", options.decimal)):
        if len(value) != 1:
            raise InputError(f"--{option} must be one character, not {value!r}")
    text = _clean_lines(text, name, options.comment)
    header = _read_header(text, name, sep, options.strip)
    has_row_names = _has_row_names(header)
    names = ["\0row names", *header[1:]] if has_row_names else header  # no column of a file can be called that
    arrow = _read_cells(text, name, sep, names)
    _refuse_open_quote(text, name, sep)
    if arrow.num_rows == 0:
        raise InputError(f"{name} has a header but no rows")
    notes, row_names = [], ()
    if has_row_names:
        row_names = tuple(str(name) for name in arrow.column(names[0]).to_pylist())
        arrow = arrow.drop_columns(names[0])
        notes.append(f"{name}: the first column has no name and was taken for row names; it is ignored")
    arrow, codes = _without_missing_codes(arrow, options)
    typed, written = _typed(arrow, options, notes)
    return RawTable(typed, name, tuple(notes), written, codes, row_names)


def _clean_lines(text: str, name: str, comment: str | None) -> str:
    """The text from its header on, without comment lines and with line ends that end lines."""
    if comment:
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(comment))
    text = text.lstrip("\r\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")  # an old Macintosh's line ends
    if not text.strip():
        raise InputError(f"{name} is empty")
    if text.startswith("#") and not comment:
        raise InputError(f"{name}: first line starts with '#'; use --comment '#'")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{name} has a NUL character (line {line}); it is damaged, or not a text file")
    return text


def _read_header(text: str, name: str, sep: str, strip: bool) -> list[str]:
    """The names of the columns, of which only the first may be empty, for row names."""
    header = next(csv.reader(io.StringIO(text, newline=""), delimiter=sep))
    if len(header) == 1:
        first_line = text.split("\n", 1)[0]
        for other, option in ((";", "';' --decimal ','"), ("\t", "tab"), ("|", "'|'"), (",", "','")):
            if other != sep and other in first_line:
                raise InputError(f"{name}: only one column found; the file seems to use {other!r}. Use --sep {option}")
    if strip:
        header = [column.strip() for column in header]
    problems = []
    for i, column in enumerate(header):
        if not column.strip() and not (i == 0 and _has_row_names(header)):
            problems.append(f"{name}: column {i + 1} has no name; name it in the header")
    for column in dict.fromkeys(header):
        if column and header.count(column) > 1:
            problems.append(f"{name}: column {column!r} appears twice; rename one of them")
    raise_all(problems)
    return header


def _has_row_names(header: list[str]) -> bool:
    """Whether the first column holds row names, as R's write.csv() and pandas' to_csv() write them: it has no name."""
    return len(header) > 1 and header[0].strip() in ("", "Unnamed: 0")


def _read_cells(text: str, name: str, sep: str, names: list[str]) -> pa.Table:
    """The rows below the header, every cell as text, null where it is empty."""
    try:
        return pa_csv.read_csv(
            pa.BufferReader(text.encode()),
            read_options=pa_csv.ReadOptions(column_names=names, skip_rows_after_names=0, skip_rows=0),
            parse_options=pa_csv.ParseOptions(delimiter=sep, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=[""],
            ),
        ).slice(1)
    except pa.ArrowInvalid as err:
        raise InputError(_why_broken(text, name, sep, len(names), str(err))) from None


def _refuse_open_quote(text: str, name: str, sep: str) -> None:
    """Refuse a quote that is never closed, which arrow reads as one long cell."""
    if text.count('"') % 2:
        start = 1
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep, strict=True)
        try:
            for _ in reader:
                start = reader.line_num + 1
        except csv.Error:
            raise InputError(f"{name}: unclosed quote starting at line {start}") from None


def _why_broken(text: str, name: str, sep: str, width: int, arrow_says: str) -> str:
    """A sentence on the first row that has not `width` fields."""
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
    return f"{name} cannot be read: {arrow_says.splitlines()[0]}"


# ------------------------------------------------------------------------------------------------- numbers and logicals


def _without_missing_codes(arrow: pa.Table, options: ReadOptions) -> tuple[pa.Table, dict[str, tuple[str, ...]]]:
    """The cells with null for codes of missing values, and the codes found in each column."""
    codes = pa.array([c for c in (*MISSING_CODES, *options.na) if c and c not in options.not_na], pa.string())
    columns, found = [], {}
    for name, column in zip(arrow.column_names, arrow.columns, strict=True):
        column = column.combine_chunks()
        is_code = pc.is_in(column, value_set=codes)
        if pc.any(is_code).as_py():
            found[name] = tuple(pc.unique(column.filter(is_code)).to_pylist())
            column = pc.if_else(is_code, pa.scalar(None, pa.string()), column)
        columns.append(column)
    return pa.Table.from_arrays(columns, names=arrow.column_names), found


def _typed(arrow: pa.Table, options: ReadOptions, notes: list[str]) -> tuple[pa.Table, dict[str, pa.Array]]:
    """Text columns become numbers or logicals where every value is one; remarks are added to `notes`.

    Second the texts of columns of numbers, where numbers would lose something of them.
    """
    columns, written = [], {}
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
        is_number = pa.types.is_integer(columns[-1].type) or pa.types.is_floating(columns[-1].type)
        if is_number and pc.all(_says_no_more(trimmed, columns[-1])).as_py() is False:
            written[name] = trimmed
    # pa.table would import pandas
    return pa.Table.from_arrays(columns, names=arrow.column_names), written


def _says_no_more(text: pa.Array, numbers: pa.Array) -> pa.Array:
    """Whether each text is but its number: whole numbers as they are usually written, or all with ".0" as pandas has them."""
    if pa.types.is_integer(numbers.type):
        return pc.equal(numbers.cast(pa.string()), text)
    return pc.match_substring_regex(text, r"^-?\d+\.0$")


def _cast(plain: pa.Array, column: pa.Array) -> pa.Array:
    """`plain`, whose decimal mark is a point, as integers, reals or logicals; else the column as it is."""
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
