"""Columns of a formula in other rows, coded by formulaic with what the rows of the fit taught it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, raise_all
from glmm_zoo.formulas.terms import Symbol, as_text
from glmm_zoo.tables.columns import Column, Table
from glmm_zoo.tables.text_values import as_number

CONTEXT = {"abs": np.abs, "sqrt": np.sqrt, "log1p": np.log1p, "expm1": np.expm1}  # what formulaic does not know
_LOGICALS = {"0": "False", "1": "True"}  # a logical that other rows have as a number


@dataclass(frozen=True)
class SafeNames:
    """What the names v0, v1, ... that formulaic sees stand for; filled while the terms are read."""

    columns: dict[str, str] = field(default_factory=dict)  # the column's own name
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of factors, in the order of their codes
    monotonic: dict[str, tuple[str, ...]] = field(default_factory=dict)  # levels of mo(), from the lowest

    missing: set[str] = field(default_factory=set)  # those of mi()

    def of_numbers(self, column: str) -> str:
        """The name of a column of numbers, a new one for a new column."""
        coded = {*self.levels, *self.monotonic, *self.missing}
        known = (name for name, of_table in self.columns.items() if of_table == column and name not in coded)
        return next(known, f"v{len(self.columns)}")

    def shown(self, name: str) -> str | None:
        """As a user reads it: "age", "mo(income)", "mi(age)"; None of what is no name."""
        column = self.columns.get(name)
        if name in self.missing:
            return f"mi({column})"
        return f"mo({column})" if name in self.monotonic else column


def code_learnt_columns(
    table: Table,
    spec: Any,
    symbols: Sequence[Symbol],
    names: SafeNames,
    keep: Sequence[int],
    labels: Sequence[str],
    at_one: str = "",
) -> np.ndarray:
    """The columns `keep` of formulaic's model_spec `spec` for the rows of another table (m, p); the column `at_one` is 1 in all rows."""
    import pandas as pd
    from formulaic.errors import FormulaicError

    problems: list[str] = []
    columns = {
        name: attempt(lambda n=name, c=column: _recoded(table[c], names, n), problems)
        for name, column in names.columns.items()
    }
    raise_all(problems)
    if at_one:
        columns[at_one] = np.ones(table.rows)
    new_frame = pd.DataFrame(columns)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            matrix = spec.get_model_matrix(new_frame, context=CONTEXT, na_action="ignore")
            values = np.asarray(matrix, float)[:, keep]
    except (FormulaicError, ValueError) as err:
        raise_all(_beyond_bounds(table, spec, new_frame, names))
        detail = readable(str(err.__cause__ or err), names).splitlines()[-1:]
        raise InputError(f"formula: {as_text(symbols)!r} cannot be computed there: {' '.join(detail)}") from None
    infinite = ~np.isfinite(values)
    if infinite.any():
        first = int(np.argmax(infinite.any(axis=0)))
        raise InputError(
            f"formula: {labels[first]!r} is not finite in {table.at(infinite[:, first])}; log() and sqrt() need numbers in their range"
        )
    return values


def _beyond_bounds(table: Table, spec: Any, frame: Any, names: SafeNames) -> list[str]:
    """A sentence on each spline whose variable has values outside the range for which its basis was made."""
    from formulaic import model_matrix

    problems = []
    for code, state in spec.transform_state.items():
        low, high = state.get("lower_bound"), state.get("upper_bound")
        if low is None or high is None:
            continue
        call = ast.parse(code, mode="eval").body
        assert isinstance(call, ast.Call)
        variable = ast.unparse(call.args[0])
        x = np.asarray(model_matrix(f"0 + I({variable})", frame, context=CONTEXT, na_action="ignore"))[:, 0]
        outside = ~((x >= low) & (x <= high))
        if outside.any():
            problems.append(
                f"{readable(variable, names)!r} is {x[outside][0]:g} in {table.at(outside)}, outside the range {low:g} to {high:g} of the fit, where "
                f"{readable(code, names)!r} is known; use s() in the formula to go on beyond it, or leave these rows out"
            )
    return problems


def _recoded(column: Column, names: SafeNames, name: str) -> Any:
    """A column of other rows as numbers, or as codes of the levels that were learnt."""
    import pandas as pd

    if name in names.monotonic:
        return codes_of_levels(column, names.monotonic[name]).astype(float)
    levels = names.levels.get(name)
    if levels is None:
        return column.numbers("the formula")
    return pd.Categorical.from_codes(codes_of_levels(column, levels), categories=[str(i) for i in range(len(levels))])


def codes_of_levels(column: Column, levels: Sequence[str]) -> np.ndarray:
    """The place among the levels of a factor of the fit of each row (m,) of another table's column.

    Raises
    ------
    InputError
        A level that the fit does not have.
    """
    codes, found = column.codes_and_levels()
    if {*found} <= {*_LOGICALS} and {*levels} <= {*_LOGICALS.values()}:
        found = tuple(_LOGICALS[level] for level in found)
    elif column.kind == "number":  # 0 is called "0.0" where other rows have decimals
        same = {as_number(level): level for level in levels}
        found = tuple(same.get(as_number(level), level) for level in found)
    unknown = [level for level in found if level not in levels]
    if unknown:
        near = did_you_mean(unknown[0], levels) or ";"
        raise InputError(
            f"level {unknown[0]!r} of {column.name!r} ({column.at(codes == found.index(unknown[0]))}) was not in the data of the fit{near} "
            f"levels: {listing(levels)}"
        )
    return np.array([levels.index(level) for level in found])[codes]


def readable(text: str, names: SafeNames) -> str:
    """Text of formulaic's with the user's names, spelt as users spell it."""
    text = re.sub(r" ?(\*\*|[-+*/<>=!]+) ?", r"\1", text.replace(", constraints='center'", ""))
    return re.sub(r"\bv\d+\b", lambda m: names.shown(m.group()) or m.group(), text)
