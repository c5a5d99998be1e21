"""A linear predictor as arrays: a formula's right side, coded on a table and checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from glmm_zoo.errors import InputError, attempt, listing, plural, raise_all
from glmm_zoo.formulas.cells import empty_cells
from glmm_zoo.formulas.group_effects import GroupEffects, GroupingFactor, code_group_terms
from glmm_zoo.formulas.neighbours import AreaStructure, map_in_words
from glmm_zoo.formulas.population import (
    CodeNewRows,
    DesignMatrix,
    aliased,
    code_terms,
    coded_expression,
    evaluate_expression,
)
from glmm_zoo.formulas.smooths.smooth import (
    Smooth,
    factor_smooth,
    plain_smooth,
    smooth_by_factor,
    smooth_by_numbers,
    surface_smooth,
)
from glmm_zoo.formulas.terms import Expression, Formula, SmoothTerm
from glmm_zoo.tables.columns import Table, suspicious_text

MOST_LOG_SPAN = 7.0  # of an offset, a rate ratio of 1100; arbitrary
MOST_IN_COLUMNS = 250_000_000  # in the columns of levels of which a row has several
FEW_LEVELS = 6  # from fewer, the variance of group effects is poorly known


@dataclass(frozen=True)
class PredictorDesign:
    """One linear predictor as arrays: eta = Intercept + X beta + sum of group effects + smooths + offset, all of n rows.

    `prefix` names its parameters: "" for the main one, "zi" or an outcome's name for others. `population` is X, `offset`
    (n,). `dim` names what its n rows are, where they are not the rows of the likelihood. `cutpoints` says that thresholds
    stand for the intercept. `code_offset(table)` (m,) is the offset of other rows.
    """

    prefix: str
    formula: Formula
    population: DesignMatrix
    offset: np.ndarray | None
    effects: tuple[GroupEffects, ...]
    notes: tuple[str, ...] = ()
    dim: str = "row"
    cutpoints: bool = False
    smooths: tuple[Smooth, ...] = ()
    code_offset: CodeNewRows | None = field(default=None, compare=False)

    @property
    def rows(self) -> int:
        return len(self.population.values)


def code_predictor(formula: Formula, table: Table, prefix: str = "") -> PredictorDesign:
    """Code a formula's right side on a table.

    Raises
    ------
    InputError
        All problems at once: text where numbers are needed, factors with one level, values that are not finite,
        columns that are combinations of others, grouping factors that cannot be estimated.
    """
    problems: list[str] = []
    population = attempt(lambda: code_terms(formula.population, table, special=True), problems)
    offsets = [attempt(lambda o=o: coded_expression(o, table), problems) for o in formula.offsets]
    effects = code_group_terms(formula.groups, table, problems)
    curves = [attempt(lambda s=s: _code_smooth(s, table), problems) for s in formula.smooths]
    if problems or population is None:
        raise InputError(*problems)
    smooths = tuple(s for s in curves if s is not None)
    problem = aliased(_with_linear_parts(population, smooths))
    if problem:
        raise InputError(empty_cells(formula.population, table) or problem)
    coded = [o for o in offsets if o is not None]
    notes = tuple(_unused_levels(formula, table))
    notes += tuple(n for e in effects if isinstance(e.structure, AreaStructure) and (n := map_in_words(e.structure)))
    design = PredictorDesign(prefix, formula, population, None, effects, notes, smooths=smooths)
    if not coded:
        return design
    return replace(
        design,
        offset=np.sum([values for values, _ in coded], axis=0),
        code_offset=lambda other: np.sum([code(other) for _, code in coded], axis=0),
    )


def _code_smooth(term: SmoothTerm, table: Table) -> Smooth:
    x = np.column_stack([table[name].numbers("s()") for name in term.variables])
    if len(term.variables) == 2:
        first, second = term.variables
        return surface_smooth(term.source, (first, second), x, term.bs, term.k)
    name, values = term.variables[0], x[:, 0]
    if term.by is None:
        return plain_smooth(term.source, name, values, term.bs, term.k)
    by = table[term.by]
    if by.kind == "number" and term.bs != "fs":
        numbers = by.values.astype(np.float64)
        return smooth_by_numbers(term.source, name, values, term.bs, term.k, term.by, numbers)
    codes, levels = by.group_labels() if term.bs == "fs" else by.codes_and_levels()
    if len(levels) == 1:
        raise InputError(f"{term.source}: factor {by.name!r} has one level ({levels[0]!r}); leave it out")
    if term.bs == "fs":
        return factor_smooth(term.source, name, values, term.k, term.by, (levels, codes))
    return smooth_by_factor(term.source, name, values, term.bs, term.k, term.by, (levels, codes))


def _with_linear_parts(population: DesignMatrix, smooths: Sequence[Smooth]) -> DesignMatrix:
    """The population columns and the unpenalised ones of the smooths, which must not repeat each other."""
    values = np.hstack([population.values, *(s.linear for s in smooths)])
    labels = [f"{s.label} ({part})" for s in smooths for part in s.linear_labels]
    return replace(population, values=values, labels=(*population.labels, *labels))


def _unused_levels(formula: Formula, table: Table) -> list[str]:
    """A note on every text column of the right side that declares levels which do not occur."""
    notes = []
    for name in formula.predictor_columns:
        column = table[name]
        if column.kind == "text":
            occurring = set(np.unique(column.values).tolist())
            unused = [level for i, level in enumerate(column.levels) if i not in occurring]
            if unused:
                notes.append(
                    f"{plural(len(unused), 'level')} of {name!r} never occur{'s' * (len(unused) == 1)} and {'is' if len(unused) == 1 else 'are'} dropped: {listing(unused)}"
                )
    return notes


# -------------------------------------------------------------------------------------------------------------- checks


def check_columns(formula: Formula, table: Table, problems: list[str]) -> None:
    """Tell what is wrong with predictors before they are coded: text meant as numbers, dates, factors with one level."""
    grouping = {name for group in formula.groups for name in group.factor}
    in_calls = {c for e in _expressions(formula) if e.kind == "call" for c in e.columns}
    in_calls |= {name for smooth in formula.smooths for name in smooth.variables}
    alone = {c for e in _expressions(formula) if e.kind == "column" for c in e.columns}
    for name in formula.predictor_columns:
        column = table[name]
        doubtful = name in alone and (suspicious_text(column) or column.kind == "date")
        if name in in_calls or doubtful:
            attempt(lambda column=column: column.numbers("the formula"), problems)
        elif column.kind in ("text", "logical") and np.all(column.values == column.values[0]):
            level = column.codes_and_levels()[1][0]
            role = "grouping factor" if name in grouping else "factor"
            problems.append(f"{role} {name!r} has one level ({level!r}); leave it out of the formula")


def _expressions(formula: Formula) -> Iterator[Expression]:
    for symbols in (formula.population, *(g.effects for g in formula.groups), formula.offsets):
        yield from (symbol for symbol in symbols if isinstance(symbol, Expression))


def check_groups(predictors: Sequence[PredictorDesign], rows: int, one_per_row: bool) -> list[str]:
    """Notes on group terms the data can hardly support; `one_per_row` says whether an effect per row is estimable.

    Raises
    ------
    InputError
        An intercept for each row in a family whose own variation it would repeat (Gaussian, Bernoulli); levels of mm() whose columns would
        not fit in memory.
    """
    notes, problems = [], []
    for effects in (e for p in predictors for e in p.effects if e.structure is None):
        name, levels, k = effects.factor.name, len(effects.factor.levels), len(effects.labels)
        single = effects.series is None and effects.factor.shares is None  # a row has no effect of its own else
        if levels == rows and not one_per_row and single:
            problems.append(
                f"grouping factor {name!r} has {levels} levels for {rows} rows, one row each: its variance cannot be told "
                "from the variation of single rows in this family; use a factor with repeated rows"
            )
        elif k > 1 and levels * k >= rows:
            notes.append(
                f"{name!r} has {levels} levels with {k} effects each, {levels * k} in all, for {rows} rows: their sds rest on the prior"
            )
        if effects.factor.shares is not None and levels * k * rows > MOST_IN_COLUMNS:
            problems.append(
                f"{name!r} has {levels} levels, of which each of {rows} rows has several: their columns would take "
                f"{8e-9 * levels * k * rows:.0f} GB, and {8e-9 * MOST_IN_COLUMNS:.0f} GB are the most; use fewer rows, or coarser levels"
            )
        elif effects.factor.shares is not None and levels < FEW_LEVELS:
            notes.append(
                f"{name!r} has {levels} levels, of which a row has several; from fewer than {FEW_LEVELS} the variance between them is poorly "
                "known and its posterior rests on the prior of sd; no population terms stand for them"
            )
    raise_all(problems)
    return notes


def few_levels(predictors: Sequence[PredictorDesign]) -> list[GroupingFactor]:
    """Grouping factors with so few levels that their variance is poorly known, which population terms may stand for."""
    factors = [e.factor for p in predictors for e in p.effects if e.series is None]
    return [f for f in factors if len(f.levels) < FEW_LEVELS and f.shares is None]


def doubtful_terms(predictor: PredictorDesign, table: Table, link: str) -> list[str]:
    """Sentences on terms that are likely a mistake: offsets without a logarithm, groups that have population effects too,
    labels that begin anew in every group."""
    doubts = [s for offset in predictor.formula.offsets if link == "log" for s in _unlogged(offset, table)]
    X = predictor.population.values
    X = np.column_stack([np.ones(len(X)), X])
    for factor in _factors_of_intercepts(predictor):
        if len(factor.levels) <= X.shape[1] and len(factor.codes) == len(X) and _spans(X, factor):
            doubts.append(
                f"every level of {factor.name!r} has an effect of its own among the population terms, so that nothing is left for "
                f"(1 | {factor.name}) and its sd is its prior; leave one of the two out"
            )
    return doubts + _labels_begin_anew(predictor)


def _factors_of_intercepts(predictor: PredictorDesign) -> list[GroupingFactor]:
    """The factors over which an intercept varies and of which a row has one level."""
    return [e.factor for e in predictor.effects if "Intercept" in e.labels and e.factor.shares is None]


def _unlogged(offset: Expression, table: Table) -> list[str]:
    """A sentence on an offset that is no logarithm by its values: > 0 and whole, or of a span that no rate has."""
    if offset.kind == "call" and "log" in offset.code:
        return []
    values = evaluate_expression(offset, table)
    span = float(np.ptp(values))
    whole = bool(np.all(values == np.round(values))) and len(np.unique(values)) > 2
    if values.min() <= 0 or not (span > MOST_LOG_SPAN or whole):
        return []
    inside = re.sub(r"^I\(([^()]*)\)$", r"\1", offset.source)
    return [
        f"offset({offset.source}) goes from {values.min():g} to {values.max():g} and is added on the log scale, where that is a factor of "
        f"exp({span:.4g}) between rows; offset(log({inside})) is likely meant"
    ]


def _spans(X: np.ndarray, factor: GroupingFactor) -> bool:
    """Whether the columns X (n, p) give every level of the factor an effect of its own."""
    indicators = np.zeros((len(X), len(factor.levels)))
    indicators[np.arange(len(X)), factor.codes] = 1
    scaled = X / np.maximum(np.linalg.norm(X, axis=0), 1e-300)
    weights = np.linalg.lstsq(scaled, indicators, rcond=None)[0]
    return float(np.abs(scaled @ weights - indicators).max()) < 1e-8


def _labels_begin_anew(predictor: PredictorDesign) -> list[str]:
    """A sentence on each factor whose labels are 1, 2, ..., in every level of another, each combination in several rows."""
    doubts = []
    factors = [f for f in _factors_of_intercepts(predictor) if ":" not in f.name]
    joined = {e.factor.name for e in predictor.effects}
    for parent, child in ((a, b) for a in factors for b in factors if a is not b):
        counters = [str(i + 1) for i in range(len(child.levels))]
        is_counter = sorted(child.levels, key=len) == counters and len(child.levels) < len(parent.levels)
        if not is_counter or len(parent.codes) != len(child.codes) or f"{parent.name}:{child.name}" in joined:
            continue
        pairs = np.unique(np.column_stack([parent.codes, child.codes]), axis=0)
        in_each = np.bincount(pairs[:, 0])  # parents have 1, 2, ... each, and several rows of each
        if (
            (pairs[:, 1] == child.levels.index("1")).sum() == len(parent.levels)
            and in_each.min() > 1
            and len(parent.codes) >= 2 * len(pairs)
        ):
            doubts.append(
                f"the labels {child.levels[0]} to {child.levels[-1]} of {child.name!r} occur in several levels of {parent.name!r}; if "
                f"{child.name} {child.levels[0]} of one {parent.name} is another than that of the next, write (1 | {parent.name}/{child.name}), "
                f"which has {len(pairs)} groups"
            )
    return doubts


# ------------------------------------------------------------------------------------------------------- equal rows


def collapse_rows(predictor: PredictorDesign) -> tuple[PredictorDesign, np.ndarray, np.ndarray]:
    """Rows with the same linear predictor become one cell; the means and spreads of columns stay those of all rows.

    Returns
    -------
    The predictor over the cells, the cell of every row (n,), and how many rows each cell has (cells,).
    """
    population, offset = predictor.population, predictor.offset
    parts = [population.values]
    if offset is not None:
        parts.append(offset[:, None])
    parts += [np.column_stack([e.factor.codes, e.z]) for e in predictor.effects]
    parts += [e.factor.shares for e in predictor.effects if e.factor.shares is not None]
    parts += [np.hstack([s.linear, s.penalised]) for s in predictor.smooths]
    parts += [m.steps for m in population.monotonic]
    parts += [np.column_stack([m.slopes, m.gaps]) for m in population.missing]
    _, first, cell, counts = np.unique(
        np.column_stack(parts), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    return some_rows(predictor, first), cell.ravel(), counts


def some_rows(predictor: PredictorDesign, rows: np.ndarray) -> PredictorDesign:
    """The predictor in these of its rows, by their places; the means and spreads of columns stay those of all rows."""
    population, offset = predictor.population, predictor.offset
    return replace(
        predictor,
        population=replace(
            population,
            values=np.asfortranarray(population.values[rows]),
            monotonic=tuple(replace(m, steps=m.steps[rows]) for m in population.monotonic),
            missing=tuple(m.take(rows) for m in population.missing),
        ),
        offset=None if offset is None else offset[rows],
        effects=tuple(replace(e, z=e.z[rows], factor=e.factor.take(rows)) for e in predictor.effects),
        smooths=tuple(replace(s, linear=s.linear[rows], penalised=s.penalised[rows]) for s in predictor.smooths),
    )
