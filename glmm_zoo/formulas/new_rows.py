"""A linear predictor in other rows, coded by what the rows of the fit taught: levels, means, knots.

The rows of a new table, those of the fit with other values, and the histories of a dynamic prediction all go through here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from glmm_zoo.errors import attempt, raise_all
from glmm_zoo.formulas.group_effects import GroupingFactor, grouping_factor
from glmm_zoo.formulas.learnt_columns import codes_of_levels
from glmm_zoo.formulas.members import member_weights, members_in_rows
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.smooths.smooth import Smooth, smooth_in_rows
from glmm_zoo.formulas.terms import GroupTerm, SmoothTerm
from glmm_zoo.tables.columns import Table


def predictor_in_rows(predictor: PredictorDesign, table: Table) -> PredictorDesign:
    """The predictor in the m rows of another table, with the labels, levels and bases that it has.

    Levels of grouping factors are those of `levels_in_rows`. Curves of groups, bs="fs", stay as they are.

    Raises
    ------
    InputError
        Levels of population factors that were not in the fit, text where numbers are needed, values outside a spline's range:
        all of them, with column and row.
    """
    problems: list[str] = []
    population = attempt(lambda: predictor.population.code_new_rows(table), problems)
    steps = [attempt(lambda m=m: m.code_new_rows(table), problems) for m in predictor.population.monotonic]
    terms = {g.name: g for g in predictor.formula.groups}
    z = [attempt(lambda e=e: e.code_new_rows(table), problems) for e in predictor.effects]
    smooths = [
        attempt(lambda t=t, s=s: _smooth_in_rows(t, s, table), problems)
        for t, s in zip(predictor.formula.smooths, predictor.smooths, strict=True)
    ]
    raise_all(problems)
    assert population is not None
    has_offset = predictor.code_offset is not None and all(
        c in table.columns for o in predictor.formula.offsets for c in o.columns
    )
    return replace(
        predictor,
        population=replace(
            predictor.population,
            values=population,
            monotonic=tuple(
                replace(m, steps=of_m)
                for m, of_m in zip(predictor.population.monotonic, steps, strict=True)
                if of_m is not None
            ),
            missing=tuple(m.in_rows(table) for m in predictor.population.missing),
        ),
        offset=predictor.code_offset(table) if has_offset and predictor.code_offset else None,
        effects=tuple(
            replace(e, z=values, factor=_factor_in_rows(e.factor, terms.get(e.factor.name), table))
            for e, values in zip(predictor.effects, z, strict=True)
            if values is not None
        ),
        smooths=tuple(s for s in smooths if s is not None),
    )


def levels_in_rows(levels: Sequence[str], columns: Sequence[str], table: Table) -> tuple[np.ndarray, np.ndarray | None]:
    """The level of each row (m,) as its place among `levels`, -1 where it is none of them, and as it is called there (m,).

    A row without a value is called "". All are -1, and have no name, where the table lacks a column of the factor.
    """
    codes = np.full(table.rows, -1)
    if not columns or any(c not in table.columns for c in columns):
        return codes, None
    known = ~np.logical_or.reduce([table[c].missing for c in columns])
    if not known.any():
        return codes, np.full(table.rows, "")
    in_rows = grouping_factor(columns, table.take(known))
    place = {level: i for i, level in enumerate(levels)}
    others = [level for level in in_rows.levels if level not in place]
    if others and any(table[c].kind == "number" for c in columns):  # 0 is called "0.0" where other rows have decimals
        whole = {_without_decimals(level): i for level, i in place.items()}
        place |= {level: whole.get(_without_decimals(level), -1) for level in others}
    codes[known] = np.array([place.get(level, -1) for level in in_rows.levels])[in_rows.codes]
    labels = np.full(table.rows, "", np.array(in_rows.levels).dtype)
    labels[known] = np.array(in_rows.levels)[in_rows.codes]
    return codes, labels


def _without_decimals(level: str) -> str:
    """ "3:a" for "3.0:a"."""
    return re.sub(r"(?<=\d)\.0+(?=:|$)", "", level)


def members_of_rows(
    levels: Sequence[str], columns: Sequence[str], weights: Sequence[str] | None, table: Table
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """As `members_in_rows`; all levels are -1, and have no name, where the table lacks one of their columns."""
    if all(c in table.columns for c in columns):
        return members_in_rows(levels, columns, weights, table)
    return np.full((table.rows, len(columns)), -1), None, member_weights(len(columns), weights, table)


def _factor_in_rows(factor: GroupingFactor, term: GroupTerm | None, table: Table) -> GroupingFactor:
    if term is not None and term.members:
        codes, _, shares = members_of_rows(factor.levels, term.factor, term.weights, table)
        return replace(factor, codes=codes, shares=shares)
    return replace(factor, codes=levels_in_rows(factor.levels, () if term is None else term.factor, table)[0])


def variables_in_rows(term: SmoothTerm, table: Table) -> np.ndarray:
    """The values (m, variables) at which a smooth is wanted."""
    return np.column_stack([table[name].numbers("s()") for name in term.variables])


def _smooth_in_rows(term: SmoothTerm, smooth: Smooth, table: Table) -> Smooth:
    """A smooth at the values of its variables, in the curve of its factor's level or times its numbers."""
    x = variables_in_rows(term, table)
    if term.bs == "fs":
        return smooth
    if term.by is None:
        return smooth_in_rows(smooth, x, [np.ones(len(x))])
    if smooth.curves == ("",):
        return smooth_in_rows(smooth, x, [table[term.by].numbers("s()")])
    codes = codes_of_levels(table[term.by], smooth.curves)
    return smooth_in_rows(smooth, x, [(codes == j).astype(float) for j in range(len(smooth.curves))])
