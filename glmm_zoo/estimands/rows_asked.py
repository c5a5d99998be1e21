"""The rows that a question is about: those of the fit, or of a table, with columns set to other values."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing, raise_all
from glmm_zoo.estimands.fitted import FittedOutcome
from glmm_zoo.estimands.group_choice import GroupChoice
from glmm_zoo.tables.columns import Column, Table
from glmm_zoo.tables.frames import column_names, take_columns
from glmm_zoo.tables.text_values import as_number

Value = str | float | bool
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def rows_asked(
    outcome: FittedOutcome, data: Any, choice: GroupChoice, at: Mapping[str, Sequence[Value]], others: Sequence[str]
) -> Table:
    """The rows of the fit, or of `data`, with the columns that are needed: of the model, and `others` by which rows are averaged.

    Raises
    ------
    InputError
        Columns that are not there, missing and infinite values, with the nearest name or the rows.
    """
    coding = outcome.coding
    observed = [c for factor in choice.by_level for c in coding.factors[factor]]
    needed = [c for c in dict.fromkeys([*coding.columns, *observed, *others]) if c not in at]
    known = list(outcome.table.columns) if data is None else column_names(data)
    raise_all([_unknown(c, known, data is None, c in others) for c in needed if c not in known])
    if data is None:
        return outcome.table
    also = [c for c in coding.optional if c in known]
    return take_columns(data, list(dict.fromkeys([*needed, *also])) or known[:1])


def _unknown(name: str, known: Sequence[str], of_fit: bool, other: bool) -> str:
    near = did_you_mean(name, known) or ";"
    if of_fit and other:
        return f"no column {name!r} among those that the fit has{near} columns: {listing(known)}; for others give data="
    return f"the data lack column {name!r}{near} columns: {listing(known)}"


# --------------------------------------------------------------------------------------------------------- other values


def settings(at: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    """Every combination of the values of `at`; one that is empty where nothing is set."""
    for values in itertools.product(*at.values()):
        yield dict(zip(at, values, strict=True))


def read_at(at: Mapping[str, Any] | None) -> dict[str, tuple[Value, ...]]:
    """`at` with a tuple of values for each column."""
    if at is None:
        return {}
    if not isinstance(at, Mapping):
        raise InputError(f"at is {{column: value or values}}, such as {{'age': [40, 60]}}, not {at!r}")
    read: dict[str, tuple[Value, ...]] = {}
    for name, values in at.items():
        several: Any = values.tolist() if isinstance(values, np.ndarray) else values
        several = [several] if isinstance(several, str) or not isinstance(several, Sequence) else several
        read[str(name)] = tuple(v.item() if isinstance(v, np.generic) else v for v in several)
        if not several:
            raise InputError(f"at: {name!r} has no value")
    return read


def with_values(outcome: FittedOutcome, table: Table, values: Mapping[str, Value]) -> Table:
    """The table with columns set to one value in every row, of the kind that they have in the fit."""
    columns = dict(table.columns)
    for name, value in values.items():
        columns[name] = constant(outcome, name, value, table.rows)
    return replace(table, columns=columns)


def constant(outcome: FittedOutcome, name: str, value: Value, rows: int) -> Column:
    """A column of one value, as a column of the fit is: a number, a logical, or a level.

    Raises
    ------
    InputError
        A value of another kind, a level that the fit does not have.
    """
    like = outcome.table.columns.get(name)
    none = np.zeros(rows, bool)
    if like.kind == "number" if like is not None else name in outcome.coding.optional:
        number = as_number(value) if isinstance(value, str) else value
        if number is None or isinstance(number, bool) or not np.isfinite(number):
            raise InputError(f"column {name!r} is a number in the fit and cannot be {value!r}")
        return Column(name, "number", np.full(rows, float(number)), none)
    if like is not None and like.kind == "logical":
        truth = _WORDS.get(str(value).lower())
        if truth is None:
            raise InputError(f"column {name!r} is true or false in the fit and cannot be {value!r}")
        return Column(name, "logical", np.full(rows, truth), none)
    label = str(int(value)) if isinstance(value, float) and value == int(value) else str(value)
    known = outcome.coding.levels.get(name, ())
    if known and label not in known:
        raise InputError(
            f"level {label!r} of {name!r} was not in the data of the fit{did_you_mean(label, known) or ';'} levels: {listing(known)}"
        )
    return Column(name, "text", np.zeros(rows, int), none, (label,))


def shifted(table: Table, name: str, by: float | np.ndarray) -> Table:
    """The table with a number added to a column (scalar, or (m,))."""
    column = table[name]
    moved = Column(name, "number", column.numbers("a comparison") + by, column.missing, source_rows=column.source_rows)
    return replace(table, columns={**table.columns, name: moved})
