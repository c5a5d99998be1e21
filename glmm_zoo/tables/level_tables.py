"""Tables of numbers between the levels of a factor: covariances of relatives, which areas are neighbours."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, plural, raise_all
from glmm_zoo.tables.files import RawTable, read_table

MOST_TABLE_LEVELS = 3000  # of a square table: 72 MB, and some seconds for its eigenvalues
MOST_NEIGHBOURS_LEVELS = 100_000  # of a list of neighbours
_ENDS = ("from", "to")
_FORM = "a square table has the levels in its first column and in its header, a list of neighbours the columns 'from' and 'to'"


@dataclass(frozen=True, eq=False)
class LevelTable:
    """A number for each pair of levels, as it was read from `source`: `values` (levels, levels), or of a list of neighbours the places
    of each pair once (pairs, 2), as whole numbers, the lower one first."""

    name: str
    source: str
    levels: tuple[str, ...]
    values: np.ndarray

    @property
    def is_list(self) -> bool:
        return self.values.dtype.kind == "i"

    def square(self) -> np.ndarray:
        """The numbers (levels, levels); of neighbours 1."""
        if not self.is_list:
            return self.values
        whole = np.zeros((len(self.levels),) * 2)
        whole[tuple(self.values.T)] = whole[tuple(self.values[:, ::-1].T)] = 1.0
        return whole

    def sha256(self) -> str:
        """Digest of levels and numbers; the same for a file and for a frame of its values."""
        digest = hashlib.sha256("\0".join(self.levels).encode())
        digest.update(np.ascontiguousarray(self.values, dtype=np.int64 if self.is_list else np.float64).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class WithLevelTables:
    """A table of data in any form, and level tables beside it by name."""

    data: Any
    beside: Mapping[str, LevelTable]


def with_level_tables(data: Any, given: Mapping[str, Any] | None) -> Any:
    """The data with these tables beside them, each a file, a frame or a table that was read before.

    Raises
    ------
    InputError
        What is no mapping of names to tables; everything that is wrong with one of them.
    """
    if given is None:
        return data
    if not isinstance(given, Mapping):
        raise InputError(f"tables is a dict of tables by name, {{'A': 'file.csv'}}, not {type(given).__name__}")
    problems: list[str] = []
    read = {str(n): attempt(lambda n=n, t=t: read_level_table(str(n), t), problems) for n, t in given.items()}
    raise_all(problems)
    found = {name: table for name, table in read.items() if table is not None}
    return WithLevelTables(data, found) if found else data


def read_level_table(name: str, given: Any) -> LevelTable:
    """A table from a file, a `RawTable`, or a data frame.

    Its levels stand in the first column (or are row names, or a pandas frame's index) and in the header, in any order;
    or its columns are 'from' and 'to', which name neighbours, each pair once or twice.

    Raises
    ------
    InputError
        Everything that is wrong with it, in sentences that begin with its name.
    """
    try:
        if isinstance(given, LevelTable):
            return given
        source, columns, rows = _columns_and_rows(given)
        if tuple(c.strip().lower() for c in columns) == _ENDS:
            return LevelTable(name, source, *_from_pairs(*columns.values()))
        return LevelTable(name, source, *_from_square(columns, rows))
    except InputError as err:
        raise InputError(*(f"table {name!r}: {problem}" for problem in err.problems)) from None


def _columns_and_rows(given: Any) -> tuple[str, dict[str, list[Any]], list[str] | None]:
    """The source in words, the columns by name, and the names of the rows where there are any beside the columns."""
    if isinstance(given, str | os.PathLike):
        given = read_table(given)
    if isinstance(given, RawTable):
        columns = {n: given.written.get(n, given.arrow.column(n)).to_pylist() for n in given.arrow.column_names}
        return given.source, columns, list(given.row_names) or None
    if type(given).__module__.startswith("pandas") and hasattr(given, "columns"):
        names = [str(c) for c in given.columns]
        if len(set(names)) < len(names):
            raise InputError("a column appears twice; each level has one column")
        columns = {name: given.iloc[:, i].tolist() for i, name in enumerate(names)}
        return "the data frame", columns, [str(i) for i in given.index] if len(given) == len(names) else None
    try:
        arrow = pa.table(given)
    except (pa.ArrowException, TypeError, ValueError):
        raise InputError(
            f"it is a {type(given).__name__}, which does not name its levels; give a file or a data frame with the levels as columns and index"
        ) from None
    return "the table", {n: arrow.column(n).to_pylist() for n in arrow.column_names}, None


def _from_pairs(first: Sequence[Any], second: Sequence[Any]) -> tuple[tuple[str, ...], np.ndarray]:
    """Levels of a list of neighbours, and the places of each pair."""
    for i, pair in enumerate(zip(first, second, strict=True)):
        if any(value is None or value != value for value in pair):
            raise InputError(f"row {i + 1} lacks one of two neighbours; fill it in, or leave the row out")
    pairs = [(str(a), str(b)) for a, b in zip(first, second, strict=True)]
    levels = tuple(sorted({level for pair in pairs for level in pair}))
    if len(levels) > MOST_NEIGHBOURS_LEVELS:
        raise InputError(
            f"it has {len(levels):,} levels, and at most {MOST_NEIGHBOURS_LEVELS:,} are computed with; join small ones"
        )
    place = {level: i for i, level in enumerate(levels)}
    places = np.array([(place[a], place[b]) for a, b in pairs], np.int64).reshape(-1, 2)
    return levels, np.unique(np.sort(places, axis=1), axis=0)


def _from_square(columns: Mapping[str, list[Any]], rows: list[str] | None) -> tuple[tuple[str, ...], np.ndarray]:
    """Levels and numbers of a square table, its rows brought into the order of its columns."""
    names = list(columns)
    if rows is None and names:
        rows = [str(value) for value in columns[names[0]]]
        names = names[1:]
    if not names or rows is None or len(rows) != len(names):
        raise InputError(
            f"it has {plural(len(rows or ()), 'row')} and {plural(len(names), 'column')} of levels; {_FORM}"
        )
    _refuse_many(names)
    repeated = [row for row in dict.fromkeys(rows) if rows.count(row) > 1]
    strangers = [row for row in rows if row not in columns or row not in names]
    if repeated or strangers:
        row = (repeated or strangers)[0]
        said = "stands twice in the first column" if repeated else f"has a row and no column{did_you_mean(row, names)}"
        raise InputError(f"level {row!r} {said}; {_FORM}")
    place = {row: i for i, row in enumerate(rows)}
    order = [place[name] for name in names]
    values = np.empty((len(names), len(names)))
    for j, name in enumerate(names):
        values[:, j] = _numbers(name, columns[name], rows)[order]
    return tuple(names), values


def _numbers(name: str, values: Sequence[Any], rows: Sequence[str]) -> np.ndarray:
    """A column as numbers."""
    for row, value in zip(rows, values, strict=True):
        try:
            number = float("nan" if value is None else value)
        except (TypeError, ValueError):
            number = float("nan")
        if not np.isfinite(number):
            raise InputError(f"row {row!r}, column {name!r} has {value!r}; all of a square table are numbers")
    return np.array([float(value) for value in values])


def _refuse_many(levels: Sequence[str]) -> None:
    if len(levels) > MOST_TABLE_LEVELS:
        raise InputError(
            f"it has {len(levels):,} levels, and at most {MOST_TABLE_LEVELS:,} are computed with, because the table is held whole; of neighbours "
            "give a list instead, with the columns 'from' and 'to'; else leave out levels that the data do not need"
        )


def missing_levels(table: LevelTable, levels: Sequence[str]) -> list[str]:
    """Levels of a factor that the table lacks."""
    known = set(table.levels)
    return [level for level in levels if level not in known]


def refuse_missing_levels(table: LevelTable, factor: str, levels: Sequence[str]) -> None:
    """Refuse data with levels that the table lacks.

    Raises
    ------
    InputError
        With their names.
    """
    missing = missing_levels(table, levels)
    if missing:
        raise InputError(
            f"{plural(len(missing), 'level')} of {factor!r} {'is' if len(missing) == 1 else 'are'} not in table {table.name!r}: "
            f"{listing(map(repr, missing), 6)}{did_you_mean(missing[0], table.levels)}; every level of the data needs its row and column there"
        )


def refuse_unused(given: Iterable[Any], used: Collection[str]) -> None:
    """Refuse tables that no term names.

    Raises
    ------
    InputError
        With the first of them.
    """
    for name in given:
        if name not in used:
            raise InputError(
                f"table {name!r} is given and no term names it; write (1 | gr(g, cov={name})) or "
                f'car({name}, gr=g, type="bym2"), or leave it out'
            )
