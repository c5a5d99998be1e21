"""Unordered categories (multinomial logit): which responses have them, and their probabilities given K - 1 linear predictors.

Symbols: y in 0, ..., K - 1 the position of a category, the reference first; eta_k (..., K - 1) the log odds of each other
category against it, eta_0 = 0:

    P(y = k) = e^eta_k / (1 + e^eta_1 + ... + e^eta_{K-1})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing, plural
from glmm_zoo.families.family import Family
from glmm_zoo.families.moments import Own
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.ordered_categories import MOST_LEVELS
from glmm_zoo.families.outcome import Outcome, column_of_response, level_of
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.formulas.cells import rows_of_levels
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.formulas.terms import Response
from glmm_zoo.tables.columns import Column, Table

# ----------------------------------------------------------------------------------------------------------- responses


def read_categorical(table: Table, response: Response, reference: Any = None) -> Outcome:
    """Positions 0, ..., K - 1 of the levels of a column: `reference` first, by default the first level, then the others in their order."""
    column = column_of_response(table, response, "a categorical model", "one of unordered categories is y ~ ...")
    name, (codes, levels) = column.name, _codes_and_levels(column, table)
    first = levels[0] if reference is None else level_of(reference, levels)
    if first is None:
        near = did_you_mean(str(reference), levels) or ";"
        raise InputError(
            f"response {name!r} has no level {reference!r} to be the reference{near} levels: {listing(levels)}"
        )
    ordered = (first, *(level for level in levels if level != first))
    names = {}
    for level in ordered:
        other = names.setdefault(variable_name(level), level)
        if other != level:
            raise InputError(
                f"levels {other!r} and {level!r} of {name!r} would share the name {variable_name(level)!r}; rename one"
            )
    values = np.array([ordered.index(level) for level in levels], float)[codes]
    words = f"{name}: {len(ordered)} unordered categories, {', '.join(ordered[1:])}, and {first} as the reference"
    taken = f"response {name!r}: {first!r} is the reference, the first of its levels; reference= takes another"
    unseen = [level for level in column.levels if level not in levels]
    notes = [taken] if reference is None else []
    if unseen:
        notes.append(
            f"response {name!r}: {listing(map(repr, unseen), 5)} never occur{'s' * (len(unseen) == 1)}, and the model is without"
        )
    return Outcome(name, values, description=words, levels=ordered, notes=tuple(notes))


def _codes_and_levels(column: Column, table: Table) -> tuple[np.ndarray, tuple[str, ...]]:
    """The column as categories, at least two and at most `MOST_LEVELS`."""
    name = column.name
    if column.kind == "date":
        raise InputError(f"response {name!r} holds dates and a categorical model needs categories")
    if column.kind == "number":
        bad = column.values != np.round(column.values)
        if bad.any():
            raise InputError(
                f"response {name!r} needs categories, named or whole numbers; {plural(int(bad.sum()), 'value')} not whole "
                f"({column.values[bad][0]:g}, {table.at(bad)}); for measurements use hierarchical_linear"
            )
    codes, levels = column.codes_and_levels()
    if len(levels) == 1:
        raise InputError(f"response {name!r} has a single value ({levels[0]}) in every row; there is nothing to model")
    if len(levels) > MOST_LEVELS:
        raise InputError(
            f"response {name!r} has {len(levels)} levels, each of which but one would need a linear predictor; join levels "
            f"until there are at most {MOST_LEVELS}"
        )
    return codes, levels


def category_names(outcome: Outcome) -> tuple[str, ...]:
    """The names of the linear predictors: those of the categories but the reference."""
    return tuple(variable_name(level) for level in outcome.levels[1:])


def separated_from_reference(outcome: Outcome, design: DesignMatrix) -> list[str]:
    """Sentences for what leaves a category out, so that nothing bounds its log odds against the reference: levels of a factor, and
    columns along which it lies beyond the reference."""
    y, sentences = outcome.values, {}
    reference, *others = outcome.levels
    for name, words, rows in rows_of_levels(design):
        lacking = [level for k, level in enumerate(outcome.levels) if not (y[rows] == k).any()]
        if lacking and rows.any():
            whose = (
                "its coefficients rest on their priors"
                if reference in lacking
                else f"its coefficient for {listing(map(repr, lacking), 5)} rests on its prior"
            )
            sentences.setdefault(
                name,
                f"{name} separates the categories of {outcome.name!r}: no {listing(map(repr, lacking), 5)} in the {plural(int(rows.sum()), 'row')} where {words}; {whose}",
            )
    for label, x in zip(design.labels, design.values.T, strict=True):
        for k, level in enumerate(others, start=1):
            one, of_reference = x[y == k], x[y == 0]
            if len(np.unique(x)) > 2 and (one.min() >= of_reference.max() or one.max() <= of_reference.min()):
                sentences.setdefault(
                    label,
                    f"column {label!r} separates the categories of {outcome.name!r}: all {level!r} lie on one side of all {reference!r} along it; its coefficient for {level!r} rests on its prior",
                )
    return list(sentences.values())


# ---------------------------------------------------------------------------------------------------------- likelihood


def category_log_f(y: Array, eta: Array, top: int) -> Array:
    """log P(y) = eta_y - log(1 + sum_k e^eta_k) (...), for eta (..., top), top = K - 1"""
    pt = functions_of(eta)
    chosen = pt.sum(pt.switch(pt.eq(np.arange(1, top + 1), y[..., None]), eta, 0.0), axis=-1)
    return chosen - pt.logsumexp(pt.concatenate([pt.zeros_like(eta[..., :1]), eta], axis=-1), axis=-1)


def softmax_probabilities(eta: np.ndarray) -> np.ndarray:
    """P(y = k) (..., K) of eta (..., K - 1)."""
    scores = np.concatenate([np.zeros_like(eta[..., :1]), eta], axis=-1)
    weight = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weight / weight.sum(axis=-1, keepdims=True)


def position_moments(eta: np.ndarray, _: Own, __: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the position of the category, for eta (..., K - 1)."""
    P = softmax_probabilities(eta)
    k = np.arange(P.shape[-1])
    return P @ k, P @ k**2 - (P @ k) ** 2


def _observe(name: str, outcome: Outcome, eta: Tensor, _: str, __: Mapping[str, Tensor]) -> None:
    """y_i falls in category k with the probability that eta_i (K - 1,) gives."""
    import pymc as pm
    from pymc.distributions.shape_utils import rv_size_is_none

    pt, top = import_pytensor(), len(outcome.levels) - 1

    def draw(eta: Tensor, size: Any) -> Tensor:
        scores = pt.concatenate([pt.zeros_like(eta[..., :1]), eta], axis=-1)
        up_to = pt.cumsum(pt.special.softmax(scores, axis=-1), axis=-1)[..., :top]
        u = pm.Uniform.dist(0.0, 1.0, size=eta.shape[:-1] if rv_size_is_none(size) else size)
        return pt.sum(u[..., None] > up_to, axis=-1, dtype="float64")

    observe_rows(
        name, "Categorical", outcome, [eta], lambda y, eta: category_log_f(y, eta, top), draw, signature="(k)->()"
    )


CATEGORICAL = Family(
    "categorical",
    ("logit",),
    read_categorical,
    _observe,
    position_moments,
    lambda y, eta, own, link, trials: category_log_f(y, eta, eta.shape[-1]),
    responses="unordered",
    called="multinomial",
    distribution="is one of several unordered categories",
    formula="y=k",
    choice="reference",
    doubts=separated_from_reference,
    predictors=category_names,
)
