"""Covariates with missing values, mi(x), each with a linear predictor of its own, which the option `impute` gives.

    x_i ~ Normal(mu_i, sigma_x),   mu_i = Intercept + w_i' beta + group effects, all prefixed with the covariate's name

Rows with a value are its likelihood, the gaps are unknowns with this distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from glmm_zoo.errors import InputError, at_rows, plural, raise_all
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.group_effects import GroupingFactor
from glmm_zoo.formulas.missing_values import filled
from glmm_zoo.formulas.names import prefixed, variable_name
from glmm_zoo.formulas.predictor import PredictorDesign, check_groups, code_predictor, some_rows
from glmm_zoo.formulas.terms import Expression, Formula, Response
from glmm_zoo.plans.parameters import predictor_parameters
from glmm_zoo.priors import Parameter
from glmm_zoo.tables.columns import Column, Table

_GAUSSIAN = FAMILIES["gaussian"]


@dataclass(frozen=True)
class MissingCovariate:
    """A covariate that stands in mi(): its column and the text of its own linear predictor; the Gaussian outcome that it is in the rows
    `observed` that have a value, with the predictor `main` there; and that predictor in the rows `missing` (G,) that have none. Rows have
    their numbers in the data."""

    column: str
    text: str
    outcome: Outcome
    main: PredictorDesign
    observed: np.ndarray
    gaps: PredictorDesign
    missing: np.ndarray

    @property
    def prefix(self) -> str:
        """What stands before the names of its parameters, and the name of its observed variable."""
        return self.main.prefix

    @property
    def unknown(self) -> str:
        """The variable of its missing values."""
        return f"mi_{self.prefix}"


def formulas_of_covariates(
    formulas: Mapping[str, Formula], impute: Mapping[str, str] | None, weights: str | None
) -> dict[str, Formula]:
    """The formula of each covariate that stands in mi(), by its column, in the order in which `impute` gives them.

    `formulas` are those of the outcome's predictors, by prefix.

    Raises
    ------
    InputError
        mi(x) without a formula for x, or one without mi(x); x in mi() and elsewhere; formulas that depend on each other; weights.
    """
    if impute is None:
        used = [c for f in formulas.values() for c in columns_in_mi(f)]
        if used:
            raise InputError(
                f"mi({used[0]}) is not available in this model; leave rows without {used[0]!r} out, missing='drop' (--missing drop)"
            )
        return {}
    if not isinstance(impute, Mapping):
        raise InputError(f"impute is {{column: right side}}, such as {{'x': '~ z'}}, not {type(impute).__name__}")
    if impute and weights is not None:
        raise InputError(
            "weights= and mi() are not available together: a weight is of the response alone; leave one of them out"
        )
    texts = {str(column): text for column, text in impute.items()}
    parsed = {column: _parse(column, text) for column, text in texts.items()}
    every = [*formulas.values(), *parsed.values()]
    used = dict.fromkeys(c for f in every for c in columns_in_mi(f))
    problems = [
        f"mi({c}) needs a linear predictor of {c!r}: impute={{'{c}': '~ z'}} (--option \"impute={{'{c}': '~ z'}}\")"
        for c in used
        if c not in texts
    ]
    problems += [f"impute names {c!r}, and no formula has mi({c}); write it" for c in texts if c not in used]
    for column in used:
        if any(column in columns_elsewhere(f) for f in every):
            problems.append(
                f"{column!r} stands in mi({column}) and elsewhere in the formulas; write mi({column}) in all places"
            )
    response = formulas[""].response
    problems += [
        f"impute: the response {c!r} is used in the predictor of {column!r}; leave it out"
        for column, f in parsed.items()
        for c in (response.columns if response else ())
        if c in f.predictor_columns
    ]
    for place, (column, formula) in enumerate(parsed.items()):
        later = [c for c in columns_in_mi(formula) if c in list(texts)[place:]]
        if later:
            problems.append(
                f"impute: the predictor of {column!r} has mi({later[0]}), so that {later[0]!r} comes first and without mi({column}); "
                "give it before"
            )
    raise_all(problems)
    return parsed


def _parse(column: str, text: str) -> Formula:
    try:
        formula = parse_formula(text, response=False)
    except InputError as err:
        raise InputError(*(f"impute of {column!r}: {p}" for p in err.problems)) from None
    if column in formula.predictor_columns:
        raise InputError(f"impute: {column!r} is used in its own predictor; leave it out")
    refused = [f"mo({s.columns[0]})" for s in formula.population if isinstance(s, Expression) and s.kind == "monotonic"]
    refused += [g.source for g in formula.groups if g.process or g.members]
    if refused:
        raise InputError(f"impute: {refused[0]} is not available in the predictor of {column!r}; leave it out")
    if any(g.label for g in formula.groups):
        raise InputError(
            f"impute: effects in the predictor of {column!r} are independent of others; write (1 | g) without a label"
        )
    return replace(formula, response=Response(Expression("column", column, (column,), "{0}")))


def columns_in_mi(formula: Formula) -> list[str]:
    """The columns that stand in mi()."""
    return [s.columns[0] for s in formula.population if isinstance(s, Expression) and s.kind == "missing"]


def columns_elsewhere(formula: Formula) -> set[str]:
    """The columns of the right side that stand not only in mi()."""
    others = tuple(s for s in formula.population if isinstance(s, str) or s.kind != "missing")
    return {*replace(formula, population=others).predictor_columns}


def with_covariates(table: Table, columns: Mapping[str, Column]) -> Table:
    """The table with these columns of its rows, in which missing values have the mean of the others in their place."""
    problems: list[str] = []
    found = {}
    for name, column in columns.items():
        if column.missing.all():
            problems.append(f"column {name!r} has no value in any row; leave mi({name}) out")
        elif column.kind == "logical" or set(np.unique(column.numbers(f"mi({name})")[~column.missing])) <= {0.0, 1.0}:
            problems.append(
                f"mi({name}) takes a continuous covariate, and {name!r} has two values; impute tables beforehand and give --data of each"
            )
        else:
            found[name] = filled(column, f"mi({name})")
    raise_all(problems)
    notes = tuple(
        f"{name!r} has no value in {plural(int(c.missing.sum()), 'row')} of {table.rows} ({at_rows(table.row_numbers[c.missing])}), "
        "which are unknowns of the model"
        for name, c in found.items()
        if c.missing.any()
    )
    return replace(table, columns={**table.columns, **found}, notes=(*table.notes, *notes))


def read_covariates(table: Table, formulas: Mapping[str, Formula]) -> tuple[tuple[MissingCovariate, ...], list[str]]:
    """The covariates of a table, coded and checked, and what to note of them."""
    covariates, notes = [], []
    for column, formula in formulas.items():
        prefix = variable_name(column)
        missing = table[column].missing
        whole = code_predictor(formula, table, prefix)
        observed, gaps = np.flatnonzero(~missing), np.flatnonzero(missing)
        dim = f"{prefix}_row"
        assert formula.response is not None
        outcome = replace(_GAUSSIAN.read(table.take(observed), formula.response, None), dim=dim)
        design = replace(some_rows(whole, observed), dim=dim)
        notes += [*whole.notes, *check_groups([design], len(observed), False)]
        in_gaps = replace(some_rows(whole, gaps), dim=f"mi_{prefix}_row")
        numbers = table.row_numbers
        covariates.append(
            MissingCovariate(column, formula.text, outcome, design, numbers[observed], in_gaps, numbers[gaps])
        )
    return tuple(covariates), notes


def constant_covariates(
    table: Table, covariates: Sequence[MissingCovariate], factors: Sequence[GroupingFactor]
) -> list[str]:
    """A sentence for each covariate that has one value in all rows of a level of a factor, wherever it is known, and lacks several rows
    of a level: its gaps there are one missing number, and this model takes each for another."""
    doubts = []
    for c in covariates:
        known, values = ~table[c.column].missing, table[c.column].numbers(f"mi({c.column})")
        for factor in (f for f in factors if f.shares is None):
            size, of_known = len(factor.levels), factor.codes[known]
            low, high = np.full(size, np.inf), np.full(size, -np.inf)
            np.minimum.at(low, of_known, values[known])
            np.maximum.at(high, of_known, values[known])
            repeated = np.bincount(of_known, minlength=size) > 1
            lost = np.bincount(factor.codes[~known], minlength=size)
            if repeated.sum() > 1 and (low == high)[repeated].all() and (lost > 1).any():
                doubts.append(
                    f"{c.column!r} has one value within each {factor.name}, and mi({c.column}) takes the {plural(int(lost.max()), 'gap')} of "
                    f"one {factor.name} for as many unknowns, so that its coefficient shrinks towards 0; impute it beforehand, once for each "
                    f"{factor.name}, and give the completed tables to fit_imputed (--data of each)"
                )
                break
    return doubts


def parameters_of_covariates(covariates: Sequence[MissingCovariate]) -> list[Parameter]:
    """What their predictors and standard deviations need priors for."""
    needed = []
    for c in covariates:
        needed += predictor_parameters([c.main], 0.0, 1.0, {c.prefix: (c.outcome.location, c.outcome.scale)})
        for p in _GAUSSIAN.parameters(c.outcome, ()):
            keys = tuple(tuple(prefixed(c.prefix, key) for key in keys) for keys in p.keys)
            needed.append(replace(p, name=prefixed(c.prefix, p.name), keys=keys))
    return needed


def describe_covariates(covariates: Sequence[MissingCovariate]) -> dict[str, dict[str, object]]:
    """What a reader of the fit needs to know of them, by their prefix, JSON-able."""
    return {
        c.prefix: {
            "column": c.column,
            "formula": c.text,
            "unknown": c.unknown,
            "missing": len(c.missing),
            "observed": len(c.observed),
        }
        for c in covariates
    }
