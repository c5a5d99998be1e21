"""Cells of the data that a design singles out: rows of a level, combinations of levels that never occur."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from glmm_zoo.errors import listing
from glmm_zoo.formulas.population import DesignMatrix, aliased, code_terms
from glmm_zoo.formulas.terms import Expression, Symbol, as_text, signed_summands
from glmm_zoo.tables.columns import Table


def rows_of_levels(design: DesignMatrix) -> Iterator[tuple[str, str, np.ndarray]]:
    """What a coefficient of the design compares, the rows (n,) on one side of it in words, and these rows as a mask.

    They are the levels of every factor with main effects, the reference among them, and both values of all other columns
    that have two.
    """
    seen: set[str] = set()
    for name, levels in design.learnt.get("levels", {}).items():
        place = {
            level: design.labels.index(f"{name}[{level}]") for level in levels if f"{name}[{level}]" in design.labels
        }
        if not place:
            continue
        seen |= {f"{name}[{level}]" for level in place}
        for level in levels:
            others = design.values[:, list(place.values())]
            rows = design.values[:, place[level]] == 1 if level in place else np.all(others == 0, axis=1)
            yield name, f"{name} is {level!r}", rows
    for k, label in enumerate(design.labels):
        values = np.unique(design.values[:, k])
        if label not in seen and len(values) == 2:
            for value in values:
                yield label, f"{label} is {value:g}", design.values[:, k] == value


def empty_cells(symbols: Sequence[Symbol], table: Table) -> str | None:
    """A sentence on combinations of levels that never occur, of factors whose interaction is in the formula; None if all occur."""
    for _, summand in signed_summands(symbols):
        if not {":", "*"} & {symbol for symbol in summand if isinstance(symbol, str)}:
            continue
        factors = {e.columns[0]: e for e in summand if isinstance(e, Expression) and _is_factor(e, table)}
        for size in range(2, len(factors) + 1):
            for chosen in combinations(factors, size):
                cells = _empty(chosen, table)
                if cells:
                    without = _sum([factors[name] for name in chosen], table)
                    return (
                        f"formula: no rows with {listing(cells, 3)}, so that the interaction of {listing(chosen)} cannot be estimated; "
                        f"{without}join levels, or make a column of the combinations that occur"
                    )
    return None


def _sum(factors: Sequence[Expression], table: Table) -> str:
    """Advice to leave the interaction out, where the factors' main effects can be told apart."""
    plus = [symbol for factor in factors for symbol in ("+", factor)][1:]
    return "" if aliased(code_terms(plus, table)) else f"write {as_text(plus)} without it, "


def _is_factor(expression: Expression, table: Table) -> bool:
    kind = table[expression.columns[0]].kind
    return expression.kind == "factor" or (expression.kind == "column" and kind in ("text", "logical"))


def _empty(names: Sequence[str], table: Table) -> list[str]:
    """The combinations of levels that no row has, "arm 'A' and region 'N'"."""
    factors = [table[name].codes_and_levels() for name in names]
    shape = tuple(len(levels) for _, levels in factors)
    if np.prod(shape, dtype=float) > 1e6:
        return []
    counts = np.bincount(np.ravel_multi_index([codes for codes, _ in factors], shape), minlength=int(np.prod(shape)))
    return [
        " and ".join(f"{name} {levels[i]!r}" for name, (_, levels), i in zip(names, factors, cell, strict=True))
        for cell in np.argwhere(counts.reshape(shape) == 0)
    ]
