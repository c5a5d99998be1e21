"""Levels that several outcomes have of one grouping factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.group_effects import levels_of_term
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.terms import GroupTerm
from glmm_zoo.tables.columns import Table, stack_columns


def with_all_levels(predictors: Sequence[tuple[PredictorDesign, Table]]) -> tuple[PredictorDesign, ...]:
    """Levels of a factor become those of all outcomes' rows, so that a level is the same place in each of them."""
    designs = [p for p, _ in predictors]
    terms = {
        e.factor.name: g
        for p in designs
        for e in p.effects
        for g in p.formula.groups
        if g.name == e.factor.name and e.structure is None  # else they are those of a table
    }
    for name, term in terms.items():
        _refuse_two_ways([g for p in designs for g in p.formula.groups if g.name == name])
        users = [i for i, p in enumerate(designs) if name in [e.factor.name for e in p.effects if e.structure is None]]
        tables = [predictors[i][1] for i in users]
        rows = [t.rows for t in tables]
        stacked = {c: reduce(stack_columns, [t[c] for t in tables]) for c in term.columns}
        together = Table(stacked, sum(rows), "", row_numbers=np.concatenate([t.row_numbers for t in tables]))
        whole = levels_of_term(term, together)
        for i, own_rows in zip(users, np.split(np.arange(sum(rows)), np.cumsum(rows)[:-1]), strict=True):
            own = whole.take(own_rows)
            effects = tuple(replace(e, factor=own) if e.factor.name == name else e for e in designs[i].effects)
            designs[i] = replace(designs[i], effects=effects)
    return tuple(designs)


def _refuse_two_ways(terms: Sequence[GroupTerm]) -> None:
    """Refuse a factor whose levels lie in strata for one outcome and not for another: they are one set of levels."""
    other = next((g for g in terms if g.factor_source != terms[0].factor_source), None)
    if other is not None:
        raise InputError(
            f"group {other.name!r} stands as {terms[0].factor_source} and as {other.factor_source}; write its factor alike for all outcomes"
        )
