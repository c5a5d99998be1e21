"""Averages of several settings of a fit: rows are coded together, and what several scales have in common is computed once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
from scipy import sparse

from glmm_zoo.errors import InputError
from glmm_zoo.estimands.asking import Setting
from glmm_zoo.estimands.averages import Question
from glmm_zoo.estimands.linear_rows import LinearRows
from glmm_zoo.estimands.row_values import Quantity, RowPredictors
from glmm_zoo.estimands.survival import EventQuestion
from glmm_zoo.tables.columns import Table, stack_columns

_ROWS = 50_000  # coded at a time


def averages_of(groups: Sequence[Sequence[Setting]]) -> Iterator[list[np.ndarray]]:
    """The averages (categories, S, cells) of settings; those of a group are of the same rows on several scales."""
    for _, alike in itertools.groupby(groups, lambda group: group[0].outcome.name):
        of_outcome = list(alike)
        size = max(1, _ROWS // max(1, of_outcome[0][0].table.rows))
        for some in itertools.batched(of_outcome, size):
            if isinstance(some[0][0].question, EventQuestion):
                yield from _of_events([setting for (setting,) in some])
                continue
            known = [all(setting.is_kept for setting in group) for group in some]
            coded = _coded([group[0] for group, is_known in zip(some, known, strict=True) if not is_known])
            for group, is_known in zip(some, known, strict=True):
                yield _on_scales(group, None if is_known else next(coded))


def _of_events(settings: Sequence[Setting]) -> Iterator[list[np.ndarray]]:
    """The averages of settings of an event, whose hazards are those of their rows one after the other."""
    try:
        weights = sparse.csr_array(sparse.block_diag([s.weights for s in settings]))
        found = settings[0].averages(_stacked([s.table for s in settings]), weights)
    except InputError:  # it is said again, of the rows of one setting
        yield from ([setting.averages()] for setting in settings)
        return
    ends = np.cumsum([s.weights.shape[0] for s in settings])
    yield from ([part] for part in np.split(found, ends[:-1], axis=2))


def _coded(settings: Sequence[Setting]) -> Iterator[dict[str, LinearRows] | None]:
    """The linear predictors in the rows of each setting, coded together; None where each must be coded by itself."""
    questions = [s.question for s in settings if isinstance(s.question, Question)]
    if len(questions) < 2:
        return itertools.repeat(None)
    try:
        together = questions[0].outcome.coding.code(_stacked([s.table for s in settings]), questions[0].exposure)
    except InputError:  # it is said again, of the rows of one setting
        return itertools.repeat(None)
    ends = np.cumsum([0, *(s.table.rows for s in settings)]).tolist()
    return (
        {part: linear.take(np.arange(a, b)) for part, linear in together.items()} for a, b in itertools.pairwise(ends)
    )


def _stacked(tables: Sequence[Table]) -> Table:
    """The rows of tables that differ in the values of some columns, one after the other."""
    first = tables[0]
    again = np.tile(np.arange(first.rows), len(tables))
    columns = {
        name: column.take(again)
        if all(table[name] is column for table in tables)
        else reduce(stack_columns, (table[name] for table in tables))
        for name, column in first.columns.items()
    }
    return replace(first, columns=columns, rows=len(again), row_numbers=first.row_numbers[again])


def _on_scales(settings: Sequence[Setting], rows: dict[str, LinearRows] | None) -> list[np.ndarray]:
    """The averages of settings of the same rows, whose values are computed beside each other."""
    first, *others = settings
    questions = [s.question for s in settings if isinstance(s.question, Question)]
    if not others:
        return [first.averages(rows=rows)]
    quantities = [q.quantity for q in questions]

    def values(p: RowPredictors) -> np.ndarray:
        of_each = [q.values(p) for q in quantities]
        shape = np.broadcast_shapes(*(v.shape[1:] for v in of_each))
        return np.concatenate([np.broadcast_to(v, (len(v), *shape)) for v in of_each])

    categories = tuple(c for q in quantities for c in q.categories)
    scales, interpolated = " ".join(q.scale for q in quantities), all(q.interpolated for q in quantities)
    joint = replace(questions[0], quantity=Quantity(scales, categories, values, interpolated=interpolated))
    averages = replace(first, question=joint).averages(rows=rows)
    parts = np.split(averages, np.cumsum([len(q.categories) for q in quantities])[:-1])
    for setting, part in zip(settings, parts, strict=True):
        setting.keep(part)
    return parts
