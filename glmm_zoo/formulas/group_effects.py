"""Group effects: the grouping factor of every group term as codes of rows, and its effects as narrow columns z.

Never a dense matrix of rows by levels. One function makes the codes of every factor and checks them, because the
compiled samplers do not: a wrong index would sample silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from glmm_zoo.errors import InputError, at_rows, attempt, did_you_mean, listing
from glmm_zoo.formulas.group_terms import LAWS
from glmm_zoo.formulas.members import member_levels, members_in_rows
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.neighbours import neighbour_structure
from glmm_zoo.formulas.population import CodeNewRows, DesignMatrix, code_terms
from glmm_zoo.formulas.series import Series
from glmm_zoo.formulas.structures import LevelStructure, covariance_structure
from glmm_zoo.formulas.terms import GroupTerm
from glmm_zoo.tables.columns import Table
from glmm_zoo.tables.level_tables import refuse_missing_levels


@dataclass(frozen=True)
class Strata:
    """The column whose levels have covariances of their own, `gr(g, by=arm)`: its levels, and in which of them each level of g lies,
    `codes` (levels of g,)."""

    column: str
    levels: tuple[str, ...]
    codes: np.ndarray

    @property
    def dim(self) -> str:
        return variable_name(self.column)


@dataclass(frozen=True)
class GroupingFactor:
    """Levels of a grouping factor and the level of every row: `codes` (n,) in 0..len(levels)-1.

    Where rows belong to several levels, mm(g1, g2), `codes` and their weights `shares` are (n, members).
    """

    name: str
    levels: tuple[str, ...]
    codes: np.ndarray
    by: Strata | None = None
    shares: np.ndarray | None = None

    @property
    def rows_by_level(self) -> np.ndarray:
        """How many rows each level has (levels,)."""
        of_rows = self.codes if self.shares is None else self.codes[self.shares > 0]
        return np.bincount(of_rows, minlength=len(self.levels))

    def take(self, rows: np.ndarray) -> GroupingFactor:
        """The same levels in some of the rows."""
        return replace(self, codes=self.codes[rows], shares=None if self.shares is None else self.shares[rows])


@dataclass(frozen=True)
class GroupEffects:
    """The effects of one predictor that vary over a factor: `z` (n, k), labels, and which are correlated.

    `blocks` partitions range(k): effects of one block share a correlation matrix. `code_new_rows(table)` (m, k) is z for
    other rows. Where an intercept varies with slopes, the effects at zero of their columns are `to_zero` (k, k) times those at
    the columns' means, which belong to the columns z @ to_zero. `taken` are names that variables of the builder's own have, so
    that the effects' dimension has another. `structure` says how the levels depend on each other; None where they do not. `student`
    says that the effects of a level are Student-t, not normal. Levels that are times of a process have a `series`.
    """

    factor: GroupingFactor
    z: np.ndarray
    labels: tuple[str, ...]
    blocks: tuple[tuple[int, ...], ...]
    spreads: tuple[float, ...]  # of the columns of z, 1 for an intercept
    shared: tuple[str | None, ...]  # the label of brms's (1 |p| g) for each block
    code_new_rows: CodeNewRows = field(default=lambda table: np.ones((table.rows, 1)), compare=False)
    to_zero: np.ndarray | None = None
    taken: tuple[str, ...] = ()
    structure: LevelStructure | None = None
    student: bool = False
    series: Series | None = None


def grouping_factor(columns: Sequence[str], table: Table) -> GroupingFactor:
    """The levels that occur of a factor, or of an interaction ("site:ward", levels "a:1"), and each row's code."""
    codes, levels = table[columns[0]].group_labels()
    for column in columns[1:]:
        inner_codes, inner_levels = table[column].group_labels()
        m = len(inner_levels)
        pairs, codes = np.unique(codes.astype(np.int64) * m + inner_codes, return_inverse=True)
        levels = _distinct([f"{levels[pair // m]}:{inner_levels[pair % m]}" for pair in pairs.tolist()])
    codes = codes.astype(np.int64)
    if codes.min() < 0 or codes.max() >= len(levels):  # the compiled samplers would read past the end
        raise AssertionError(f"group index of {':'.join(columns)!r} is outside its {len(levels)} levels")
    return GroupingFactor(":".join(columns), levels, codes)


def levels_of_term(term: GroupTerm, table: Table) -> GroupingFactor:
    """The levels of a group term and each row's code, or codes and weights, with the strata of the levels."""
    if term.members:
        levels = member_levels(term.factor, table)
        codes, _, shares = members_in_rows(levels, term.factor, term.weights, table)
        return GroupingFactor(term.name, levels, codes, shares=shares)
    return with_strata(replace(grouping_factor(term.factor, table), name=term.name), term.by, table)


def with_strata(factor: GroupingFactor, by: str | None, table: Table) -> GroupingFactor:
    """The factor with the levels of the column `by` in which its own lie.

    Raises
    ------
    InputError
        A level of the factor with rows in several levels of `by`, or one level of `by` alone.
    """
    if by is None:
        return factor
    of_row, strata = table[by].group_labels()
    if len(strata) == 1:
        raise InputError(f"gr({factor.name}, by={by}): {by!r} has one level ({strata[0]!r}); leave by= out")
    _, first = np.unique(factor.codes, return_index=True)
    codes = of_row[first].astype(np.int64)
    other = np.flatnonzero(of_row != codes[factor.codes])
    if len(other):
        level = factor.codes[other[0]]
        rows = np.array([first[level], other[0]])
        raise InputError(
            f"gr({factor.name}, by={by}): {factor.name} {factor.levels[level]!r} has {by} "
            f"{listing(repr(strata[s]) for s in of_row[rows])} ({at_rows(table.row_numbers[rows])}); each {factor.name} must lie "
            f"in one level of {by}, or write (1 | {factor.name}:{by})"
        )
    return replace(factor, by=Strata(by, strata, codes))


def _distinct(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, with "#2", "#3" on those that stood before: levels "1" of "1:2" and "1:1" of "2" would share a name."""
    counts: dict[str, int] = {}
    distinct = []
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
        distinct.append(label if counts[label] == 1 else f"{label}#{counts[label]}")
    return tuple(distinct)


# ---------------------------------------------------------------------------------------------------- of one predictor


@dataclass(frozen=True)
class _CodedTerm:
    """A group term with its factor and with its effects as columns."""

    term: GroupTerm
    factor: GroupingFactor
    matrix: DesignMatrix
    structure: LevelStructure | None
    series: Series | None

    @property
    def labels(self) -> list[str]:
        return [*(["Intercept"] if self.matrix.intercept else []), *self.matrix.labels]


def code_group_terms(terms: Iterable[GroupTerm], table: Table, problems: list[str]) -> tuple[GroupEffects, ...]:
    """The effects of every factor, in which all terms on one factor are joined; what is wrong is added to `problems`."""
    by_factor: dict[str, list[_CodedTerm]] = {}
    for term in terms:
        matrix = attempt(lambda term=term: code_terms(term.effects, table), problems)
        if matrix is None:
            continue
        found = attempt(lambda term=term: _factor_of(term, table), problems)
        if found is None:
            continue
        factor, structure = found
        series = attempt(lambda term=term, factor=factor: _series_of(term, factor, table), problems)
        coded = _CodedTerm(term, factor, matrix, structure, series)
        earlier = by_factor.setdefault(term.name, [])
        problem = _problem_of(coded, earlier)
        if problem:
            problems.append(problem)
        else:
            earlier.append(coded)
    return tuple(_join(coded) for coded in by_factor.values() if coded)


def _factor_of(term: GroupTerm, table: Table) -> tuple[GroupingFactor, LevelStructure | None]:
    """The factor, with the levels of the table that a term names, if it names one, and how they depend on each other."""
    if term.cov and (term.by or term.dist != LAWS[0]):
        raise InputError(
            f"{term.source}: effects of levels with a known covariance are normal with one covariance; leave "
            f"{'by=' if term.by else 'dist='} or cov= out"
        )
    factor = levels_of_term(term, table)
    if term.structure is None:
        return factor, None
    name, kind = term.structure
    if name not in table.beside:
        given = f"tables: {listing(table.beside)}" if table.beside else "none is given"
        raise InputError(
            f"{term.source} names the table {name!r}, and {given}{did_you_mean(name, table.beside)}; give it as "
            f"tables={{{name!r}: ...}} (--table {name}=FILE)"
        )
    levels = table.beside[name]
    refuse_missing_levels(levels, factor.name, factor.levels)
    place = {level: i for i, level in enumerate(levels.levels)}
    codes = np.array([place[level] for level in factor.levels])[factor.codes]
    structure = covariance_structure(levels) if kind == "cov" else neighbour_structure(levels, kind)
    return GroupingFactor(factor.name, levels.levels, codes), structure


def _series_of(term: GroupTerm, factor: GroupingFactor, table: Table) -> Series | None:
    """The series that the levels of a process belong to."""
    if not term.process:
        return None
    *of, time = term.factor
    series = grouping_factor(of, table)
    return Series.of_rows(term.process, (series.name, series.levels, series.codes), table[time], factor.codes)


def _problem_of(coded: _CodedTerm, earlier: Sequence[_CodedTerm]) -> str | None:
    """Why the term cannot stand beside the earlier ones of its factor, or None."""
    term, levels = coded.term, coded.factor.levels
    if term.label and (term.by or term.dist != LAWS[0]):
        return (
            f"group term ({term.effects_text} |{term.label}| {term.factor_source}): effects that share a label are normal with one "
            "covariance; leave the label or gr() out"
        )
    if any(_of_factor(other.term) != _of_factor(term) for other in earlier):
        return (
            f"group {term.name!r} stands as {earlier[0].term.factor_source} and as {term.factor_source}; write its factor "
            "alike in all terms"
        )
    if len(levels) == 1:
        return f"grouping factor {term.name!r} has one level ({levels[0]!r}); leave ({term.effects_text} | {term.name}) out"
    known = [label for other in earlier for label in other.labels]
    repeated = [label for label in coded.labels if label in known]
    if repeated:
        return f"group {term.name!r} has the effect {repeated[0]!r} twice; keep one of the terms"
    if not coded.labels:
        return f"the group term ({term.effects_text} | {term.name}) has no effects"
    return None


def _of_factor(term: GroupTerm) -> GroupTerm:
    """What a term says of its factor, without the effects."""
    return replace(term, effects=(), correlated=True, label=None)


def _join(terms: Sequence[_CodedTerm]) -> GroupEffects:
    """The effects of all terms of one factor; a term that is not correlated has a block for each effect."""
    labels: list[str] = []
    blocks: list[tuple[int, ...]] = []
    shared: list[str | None] = []
    for coded in terms:
        places = range(len(labels), len(labels) + len(coded.labels))
        new_blocks = [tuple(places)] if coded.term.correlated else [(place,) for place in places]
        labels += coded.labels
        blocks += new_blocks
        shared += [coded.term.label] * len(new_blocks)

    def code_new_rows(other: Table) -> np.ndarray:
        return np.hstack([part for c in terms for part in _with_ones(c.matrix, c.matrix.code_new_rows(other))])

    z = np.hstack([part for c in terms for part in _with_ones(c.matrix, c.matrix.values)])
    spreads = [d for c in terms for d in (*([1.0] if c.matrix.intercept else []), *c.matrix.spreads.tolist())]
    return GroupEffects(
        terms[0].factor, z, tuple(labels), tuple(blocks), tuple(spreads), tuple(shared), code_new_rows,
        _to_zero(terms, labels), structure=terms[0].structure, student=terms[0].term.dist == "student", series=terms[0].series,
    )  # fmt: skip


def _to_zero(terms: Sequence[_CodedTerm], labels: Sequence[str]) -> np.ndarray | None:
    """Slopes at zero as the terms have them; u_Intercept at zero is that at the means less means' u of the slopes."""
    if "Intercept" not in labels or len(labels) == 1:
        return None
    to_zero, place = np.eye(len(labels)), 0
    for coded in terms:
        X, first = coded.matrix, place + int(coded.matrix.intercept)
        place += len(coded.labels)
        if X.labels:
            own = np.eye(len(X.labels)) if X.to_zero is None else X.to_zero
            to_zero[first:place, first:place] = own
            to_zero[labels.index("Intercept"), first:place] = -X.means @ own
    return to_zero


def _with_ones(matrix: DesignMatrix, values: np.ndarray) -> list[np.ndarray]:
    """The columns of a term, after a column of ones where it has an intercept."""
    return [np.ones((len(values), 1)), values] if matrix.intercept else [values]
