"""Covariates of the studies of a meta-analysis, from a table with rows for their arms. Imports no PyMC."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glmm_zoo.errors import InputError, at_rows, listing, plural, raise_all
from glmm_zoo.formulas.group_effects import GroupingFactor
from glmm_zoo.formulas.population import DesignMatrix, aliased, code_terms
from glmm_zoo.formulas.terms import Formula
from glmm_zoo.tables.columns import Table


def covariates_of_studies(
    formula: Formula, table: Table, study: GroupingFactor, treatments: int = 2
) -> DesignMatrix | None:
    """The study covariates, coded over the studies (S, p), None where the formula has none.

    Raises
    ------
    InputError
        Covariates that are not the same in all rows of a study, that repeat each other, or are too many for the studies.
    """
    if not formula.population:
        return None
    first = np.unique(study.codes, return_index=True)[1]  # of each study, in the order of the levels
    raise_all(_that_vary(formula, table, study, first))
    columns = {name: table[name].take(first) for name in formula.predictor_columns}
    one_row_each = replace(table, columns=columns, rows=len(first), row_numbers=table.row_numbers[first])
    coded = code_terms(formula.population, one_row_each)
    problem = aliased(replace(coded, intercept=True))
    if problem:
        raise InputError(problem)
    if len(coded.labels) + treatments > len(first):
        among = "" if treatments == 2 else f" of {treatments} treatments"
        raise InputError(
            f"formula: {plural(len(coded.labels), 'column')} of study covariates for {len(first)} studies{among} leave nothing to "
            "learn tau from; use fewer"
        )
    return coded


def _that_vary(formula: Formula, table: Table, study: GroupingFactor, first: np.ndarray) -> list[str]:
    """Sentences about covariates that are not the same in all rows of a study; `first` (S,) is a row of each study."""
    problems = []
    for name in formula.predictor_columns:
        values = table[name].values
        odd = np.unique(study.codes[values != values[first][study.codes]])
        if len(odd):
            where = [f"{study.levels[k]!r} ({at_rows(table.row_numbers[study.codes == k])})" for k in odd]
            problems.append(
                f"column {name!r} varies within {'study' if len(odd) == 1 else 'studies'} {listing(where, 3)}; a study "
                "covariate has one value for all arms of a study"
            )
    return problems
