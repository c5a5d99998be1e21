"""Rows that belong to several levels of one factor, mm(g1, g2): pupils of two schools, matches of two players.

The columns share one set of levels, and a row has the sum over its members m of w_m u[level of m], with weights w that sum to one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.tables.columns import Table
from glmm_zoo.tables.text_values import as_number


def member_levels(columns: Sequence[str], table: Table) -> tuple[str, ...]:
    """The levels that occur in any of the columns: numbers by their values, text by the alphabet unless a column declares an order."""
    levels = list(dict.fromkeys(level for c in columns for level in table[c].group_labels()[1]))
    if all(table[c].kind == "number" for c in columns):
        levels.sort(key=lambda level: (as_number(level) or 0.0, level))
    elif not any(table[c].has_declared_order for c in columns):
        levels.sort()
    return tuple(levels)


def members_in_rows(
    levels: Sequence[str], columns: Sequence[str], weights: Sequence[str] | None, table: Table
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The level of each member of a row (m, M) as its place among `levels`, -1 where it is none of them; as it is called there, ""
    where it has no value; and its weight (m, M). Of a level that a row has twice the first has the weight of both.

    Raises
    ------
    InputError
        Weights that are negative or infinite, or 0 for all members of a row.
    """
    place = {level: i for i, level in enumerate(levels)}
    codes, labels = np.full((table.rows, len(columns)), -1), np.full((table.rows, len(columns)), "", object)
    for m, column in enumerate(columns):
        known = ~table[column].missing
        if known.any():
            of_rows, names = table.take(known)[column].group_labels()
            codes[known, m] = np.array([place.get(name, -1) for name in names])[of_rows]
            labels[known, m] = np.array(names, object)[of_rows]
    shares = member_weights(len(columns), weights, table)
    for m in range(1, len(columns)):
        for first in range(m):
            twice = (labels[:, m] == labels[:, first]) & (labels[:, m] != "")
            shares[twice, first] += shares[twice, m]
            shares[twice, m] = 0.0
    return codes, labels.astype(str), shares


def member_weights(members: int, columns: Sequence[str] | None, table: Table) -> np.ndarray:
    """The weights (m, M) of the members of each row, which sum to one; equal ones where no columns have them."""
    if columns is None:
        return np.full((table.rows, members), 1.0 / members)
    given = np.column_stack([table[c].numbers("weights of mm()") for c in columns])
    bad = ~(np.isfinite(given) & (given >= 0))
    if bad.any():
        row, m = np.argwhere(bad)[0]
        several = bad[:, m].sum() > 1
        raise InputError(
            f"column {columns[m]!r} must be >= 0 and finite (weights of mm()); {table.at(bad[:, m])} {'have' if several else 'has'} "
            f"{given[row, m]:g}{', ...' if several else ''}"
        )
    total = given.sum(axis=1)
    if not total.all():
        raise InputError(
            f"columns {', '.join(map(repr, columns))} are all 0 in {table.at(total == 0)} (weights of mm()), which would belong to no level; "
            "give one of the members a weight, or leave these rows out"
        )
    return given / total[:, None]
