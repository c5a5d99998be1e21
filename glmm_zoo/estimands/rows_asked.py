"""The rows that a question is about: those of the fit, or of a table, with columns set to other values."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from glmm_zoo.errors import InputError, did_you_mean, listing, raise_all, shown
from glmm_zoo.estimands.fitted import FittedOutcome
from glmm_zoo.estimands.group_choice import GroupChoice
from glmm_zoo.tables.columns import Column, Table
from glmm_zoo.tables.frames import column_names, further_columns, take_columns
from glmm_zoo.tables.text_values import as_number

Value = str | float | bool
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def rows_asked(
    outcome: FittedOutcome, data: Any, choice: GroupChoice, at: Collection[str], others: Sequence[str]
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
    table = take_columns(data, list(dict.fromkeys([*needed, *also])) or known[:1], remedy="leave these rows out")
    members = {c for e in coding.effects.values() if e.members for c in e.columns}  # a row may have one level twice
    told = [c for c in known if c in members and c not in table.columns and c not in at]
    return replace(table, columns={**table.columns, **further_columns(table, told)}) if told else table


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
        raise InputError(f"at is {{column: value or values}}, such as {{'age': [40, 60]}}, not {shown(at)}")
    read: dict[str, tuple[Value, ...]] = {}
    for name, values in at.items():
        several: Any = values.tolist() if isinstance(values, np.ndarray | pd.Series | pd.Index) else values
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
    none, known = np.zeros(rows, bool), outcome.coding.levels.get(name, ())
    if like.kind == "number" if like is not None else name in outcome.coding.optional:
        number = finite_number(value)
        if number is None:
            raise InputError(f"column {name!r} is a number in the fit and cannot be {shown(value)}")
        if known and number not in map(as_number, known):
            raise InputError(_unknown_level(name, f"{number:g}", known))
        return Column(name, "number", np.full(rows, number), none)
    if like is not None and like.kind == "logical":
        truth = _WORDS.get(str(value).lower())
        if truth is None:
            raise InputError(f"column {name!r} is true or false in the fit and cannot be {shown(value)}")
        return Column(name, "logical", np.full(rows, truth), none)
    label = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if known and label not in known:
        raise InputError(_unknown_level(name, label, known))
    return Column(name, "text", np.zeros(rows, int), none, (label,))


def _unknown_level(name: str, label: str, known: Sequence[str]) -> str:
    near = did_you_mean(label, known) or ";"
    return f"level {label!r} of {name!r} was not in the data of the fit{near} levels: {listing(known)}"


def finite_number(value: Any) -> float | None:
    """The number that a value is, or that text says; None where it is none, or is not finite."""
    number = as_number(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    try:
        return float(number) if np.isfinite(float(number)) else None
    except OverflowError:
        return None


def shifted(table: Table, name: str, by: float | np.ndarray) -> Table:
    """The table with a number added to a column (scalar, or (m,))."""
    column = table[name]
    moved = Column(name, "number", column.numbers("a comparison") + by, column.missing, source_rows=column.source_rows)
    return replace(table, columns={**table.columns, name: moved})
