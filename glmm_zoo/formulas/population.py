"""From a formula and a table to arrays: population columns, offsets, group indices. Imports `errors`, `data`, `formula`,
`smooths`.

formulaic codes the population terms and remembers what its transforms learnt (means, knots). Group terms are index
arrays and narrow `Z` blocks, never a dense rows-by-groups matrix. One function makes the codes of every factor and
checks them, because the compiled samplers do not: a wrong index would sample silently.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, at_rows, attempt, did_you_mean, listing, plural, raise_all
from glmm_zoo.formulas.grammar import Formula, GroupTerm, Operand, Piece, SmoothTerm, as_text, quoted
from glmm_zoo.formulas.smooths import bases as build
from glmm_zoo.formulas.smooths.bases import Smooth
from glmm_zoo.tables.columns import Column, Table, suspicious_text

Again = Callable[[Table], np.ndarray]
_CONTEXT = {"abs": np.abs, "sqrt": np.sqrt, "log1p": np.log1p, "expm1": np.expm1}
FEW_LEVELS = 6


@dataclass(frozen=True)
class Columns:
    """Coded columns of one right side: `values` (n, p) float64 in Fortran order, without the intercept.

    `again(table)` (m, p) codes other rows by what was learnt from these: levels, means, knots.
    """

    values: np.ndarray
    labels: tuple[str, ...]
    intercept: bool
    learnt: Mapping[str, Any] = field(default_factory=dict)  # what the transforms learnt, JSON-able
    means: np.ndarray = field(default_factory=lambda: np.empty(0))  # (p,) over the rows of the data
    spreads: np.ndarray = field(default_factory=lambda: np.empty(0))  # (p,) see `spread`
    again: Again = field(default=lambda table: np.empty((table.rows, 0)), compare=False)


@dataclass(frozen=True)
class Factor:
    """Levels of a grouping factor and the level of every row: `codes` (n,) in 0..len(levels)-1."""

    name: str
    levels: tuple[str, ...]
    codes: np.ndarray


@dataclass(frozen=True)
class Effects:
    """The effects of one predictor that vary over a factor: `z` (n, k), labels, and which are correlated.

    `blocks` partitions range(k): effects of one block share a correlation matrix. `again(table)` (m, k) is z for other
    rows.
    """

    factor: Factor
    z: np.ndarray
    labels: tuple[str, ...]
    blocks: tuple[tuple[int, ...], ...]
    spreads: tuple[float, ...]  # of the columns of z, 1 for an intercept
    shared: tuple[str | None, ...]  # the label of brms's (1 |p| g) for each block
    again: Again = field(default=lambda table: np.ones((table.rows, 1)), compare=False)


@dataclass(frozen=True)
class Predictor:
    """One linear predictor as arrays: eta = Intercept + X beta + sum of group effects + smooths + offset, all of n rows.

    `prefix` names its parameters: "" for the main one, "zi" or an outcome's name for others. `dim` names what its n
    rows are, where they are not the rows of the likelihood. `cutpoints` says that thresholds stand for the intercept.
    """

    prefix: str
    formula: Formula
    population: Columns
    offset: np.ndarray | None
    effects: tuple[Effects, ...]
    notes: tuple[str, ...] = ()
    dim: str = "row"
    cutpoints: bool = False
    smooths: tuple[Smooth, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.population.values)


def predictor(formula: Formula, table: Table, prefix: str = "") -> Predictor:
    """Code a formula's right side on a table.

    Raises
    ------
    InputError
        All problems at once: text where numbers are needed, factors with one level, values that are not finite,
        columns that are combinations of others, grouping factors that cannot be estimated.
    """
    problems: list[str] = []
    population = attempt(lambda: code(formula.population, table), problems)
    offsets = [attempt(lambda o=o: evaluate(o, table), problems) for o in formula.offsets]
    effects = _group_effects(formula.groups, table, problems)
    curves = [attempt(lambda s=s: _smooth(s, table), problems) for s in formula.smooths]
    raise_all(problems)
    assert population is not None
    smooths = tuple(s for s in curves if s is not None)
    problem = aliased(_with_lines(population, smooths))
    if problem:
        raise InputError(problem)
    offset = np.sum([o for o in offsets if o is not None], axis=0) if offsets else None
    return Predictor(prefix, formula, population, offset, effects, tuple(_unused(formula, table)), smooths=smooths)


def _smooth(term: SmoothTerm, table: Table) -> Smooth:
    x = np.column_stack([table[name].numbers("s()") for name in term.variables])
    if len(term.variables) == 2:
        first, second = term.variables
        return build.surface(term.source, (first, second), x, term.bs, term.k)
    name, one = term.variables[0], x[:, 0]
    if term.by is None:
        return build.smooth(term.source, name, one, term.bs, term.k)
    by = table[term.by]
    if by.kind == "number" and term.bs != "fs":
        return build.by_numbers(term.source, name, one, term.bs, term.k, term.by, by.values.astype(np.float64))
    codes, found = by.factor()
    if len(found) == 1:
        raise InputError(f"{term.source}: factor {by.name!r} has one level ({found[0]!r}); leave it out")
    if term.bs == "fs":
        return build.by_group(term.source, name, one, term.k, term.by, (found, codes))
    return build.by_factor(term.source, name, one, term.bs, term.k, term.by, (found, codes))


def _with_lines(population: Columns, smooths: Sequence[Smooth]) -> Columns:
    """The population columns and the unpenalised ones of the smooths, which must not repeat each other."""
    values = np.hstack([population.values, *(s.linear for s in smooths)])
    labels = [f"{s.label} ({part})" for s in smooths for part in s.linear_labels]
    return replace(population, values=values, labels=(*population.labels, *labels))


def check_columns(formula: Formula, table: Table, problems: list[str]) -> None:
    """What can be said of the predictors before they are coded: text that was meant as numbers, dates, single levels."""
    grouping = {f for g in formula.groups for f in g.factor}
    called = {c for o in _operands(formula) if o.kind == "call" for c in o.columns}
    called |= {name for s in formula.smooths for name in s.variables}
    plain = {c for o in _operands(formula) if o.kind == "column" for c in o.columns}
    for name in formula.predictor_columns:
        column = table[name]
        doubtful = name in plain and (suspicious_text(column) or column.kind == "date")
        if name in called or doubtful:
            attempt(lambda column=column: column.numbers("the formula"), problems)
        elif column.kind in ("text", "logical") and np.all(column.values == column.values[0]):
            level = column.factor()[1][0]
            what = "grouping factor" if name in grouping else "factor"
            problems.append(f"{what} {name!r} has one level ({level!r}); leave it out of the formula")


def _operands(formula: Formula) -> Iterator[Operand]:
    for pieces in (formula.population, *(g.effects for g in formula.groups), formula.offsets):
        yield from (p for p in pieces if isinstance(p, Operand))


# ------------------------------------------------------------------------------------------------- coding by formulaic


def code(pieces: Sequence[Piece], table: Table) -> Columns:
    """Columns of a term algebra, named as users read them ("trt[drug]", "age:trt[drug]", "poly(x, 2)[1]")."""
    import pandas as pd
    from formulaic import Formula as Coding
    from formulaic.errors import FormulaicError

    frame: dict[str, Any] = {}
    shown: dict[str, str] = {}  # safe name -> column as written
    levels: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    text = " ".join(p if isinstance(p, str) else _safe(p, table, frame, shown, levels, problems) for p in pieces)
    raise_all(problems)
    if not frame:
        intercept = not {"0", "-1"} & set(_terms(pieces))
        return Columns(np.empty((table.rows, 0), order="F"), (), intercept)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            matrix = Coding(text).get_model_matrix(
                pd.DataFrame(frame), context=_CONTEXT, output="numpy", na_action="ignore"
            )
    except (FormulaicError, ValueError, TypeError, ZeroDivisionError, OverflowError, np.linalg.LinAlgError) as err:
        detail = _readable(str(err.__cause__ or err), shown).splitlines()[-1:]
        raise InputError(f"formula: {as_text(pieces)!r} cannot be computed: {' '.join(detail)}") from None
    spec = matrix.model_spec
    raw = list(spec.column_names)
    values = np.asarray(matrix, dtype=np.float64)
    keep = [i for i, name in enumerate(raw) if name != "Intercept"]
    values = np.asfortranarray(values[:, keep])
    labels = tuple(_label(raw[i], shown, levels) for i in keep)
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(np.flatnonzero(bad.any(axis=0))[0])
        rows = table.row_numbers[np.flatnonzero(bad[:, first])]
        raise InputError(
            f"formula: {labels[first]!r} is not finite in {at_rows(rows)}; log() and sqrt() need numbers in their range"
        )
    learnt = {_readable(key, shown): _jsonable(state) for key, state in spec.transform_state.items() if state}
    coding = {shown[name]: list(found) for name, found in levels.items()}

    def again(other: Table) -> np.ndarray:
        fresh = pd.DataFrame({name: _recoded(other[column], levels.get(name)) for name, column in shown.items()})
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                found = np.asarray(spec.get_model_matrix(fresh, context=_CONTEXT, na_action="ignore"), float)[:, keep]
        except (FormulaicError, ValueError) as err:
            detail = _readable(str(err.__cause__ or err), shown).splitlines()[-1:]
            raise InputError(f"formula: {as_text(pieces)!r} cannot be computed there: {' '.join(detail)}") from None
        bad = ~np.isfinite(found).all(axis=0)
        if bad.any():
            raise InputError(f"formula: {labels[int(np.argmax(bad))]!r} is not finite there")
        return found

    spreads = np.array([spread(values[:, k]) for k in range(len(labels))])
    return Columns(
        values,
        labels,
        "Intercept" in raw,
        {"transforms": learnt, "levels": coding},
        values.mean(axis=0),
        spreads,
        again,
    )


def _recoded(column: Column, levels: tuple[str, ...] | None) -> Any:
    """A column of other rows as numbers, or as codes of the levels that were learnt."""
    import pandas as pd

    if levels is None:
        return column.numbers("the formula")
    codes, found = column.factor()
    unknown = [level for level in found if level not in levels]
    if unknown:
        raise InputError(
            f"level {unknown[0]!r} of {column.name!r} was not in the data of the fit; levels: {listing(levels)}"
        )
    known = np.array([levels.index(level) for level in found])
    return pd.Categorical.from_codes(known[codes], categories=[str(i) for i in range(len(levels))])


def spread(column: np.ndarray) -> float:
    """The distance of a column's two values where it has two, else its standard deviation; 1 for a constant column."""
    low, high = float(column.min()), float(column.max())
    if low == high:
        return 1.0
    return high - low if np.all((column == low) | (column == high)) else float(np.std(column))


def _safe(
    operand: Operand,
    table: Table,
    frame: dict[str, Any],
    shown: dict[str, str],
    levels: dict[str, tuple[str, ...]],
    problems: list[str],
) -> str:
    """The operand with its columns renamed to v0, v1, ...; their values go into `frame`."""
    import pandas as pd

    columns = [table[c] for c in operand.columns]
    if operand.kind == "call":
        names = []
        for column in columns:
            name = next((v for v, c in shown.items() if c == column.name and v not in levels), f"v{len(shown)}")
            values = attempt(lambda column=column: column.numbers(f"{operand.text!r}"), problems)
            if values is not None and name not in frame:
                frame[name], shown[name] = values, column.name
            names.append(name)
        return _centred_splines(operand.code.format(*names))
    column = columns[0]
    if operand.kind == "column" and column.kind == "number":
        name = next((v for v, c in shown.items() if c == column.name and v not in levels), f"v{len(shown)}")
        frame[name], shown[name] = column.values.astype(np.float64), column.name
        return name
    if column.kind == "date":
        attempt(lambda: column.numbers("a predictor"), problems)
        return "0"
    codes, found = column.factor()
    if operand.reference is not None:
        if operand.reference not in found:
            near = did_you_mean(operand.reference, found) or ";"
            problems.append(f"C({column.name}): no level {operand.reference!r}{near} levels: {listing(found)}")
            return "0"
        first = found.index(operand.reference)
        order = [first, *(i for i in range(len(found)) if i != first)]
        codes, found = np.argsort(order)[codes], tuple(found[i] for i in order)
    if len(found) == 1:
        problems.append(f"factor {column.name!r} has one level ({found[0]!r}); leave it out of the formula")
        return "0"
    key = f"{column.name}\0{found[0]}"
    name = next((v for v in levels if f"{shown[v]}\0{levels[v][0]}" == key), f"v{len(shown)}")
    frame[name] = pd.Categorical.from_codes(codes, categories=[str(i) for i in range(len(found))])
    shown[name], levels[name] = column.name, found
    return name


def _centred_splines(code: str) -> str:
    """A cubic basis sums to one; centred, it does not repeat the intercept."""
    tree = ast.parse(code, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("cr", "cs", "cc"):
            node.keywords.append(ast.keyword("constraints", ast.Constant("center")))
    return ast.unparse(tree)


def _label(name: str, shown: Mapping[str, str], levels: Mapping[str, tuple[str, ...]]) -> str:
    """A column of formulaic's, "v0:v1[T.2]", with the user's names and levels: "age:trt[drug]"."""

    def part(text: str) -> str:
        level = re.fullmatch(r"(v\d+)\[(?:T\.)?(\d+)\]", text)
        if level and level[1] in levels:
            return f"{shown[level[1]]}[{levels[level[1]][int(level[2])]}]"
        return shown.get(text) or _readable(text, shown)

    return ":".join(part(text) for text in name.split(":"))


def _readable(text: str, shown: Mapping[str, str]) -> str:
    text = re.sub(r" ?(\*\*|[-+*/<>=!]+) ?", r"\1", text.replace(", constraints='center'", ""))
    return re.sub(r"\bv\d+\b", lambda m: shown.get(m.group(), m.group()), text)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple | set):
        return [_jsonable(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def evaluate(operand: Operand, table: Table) -> np.ndarray:
    """One arithmetic expression of columns as numbers (n,), for offsets and transformed responses."""
    if operand.kind == "column":
        return table[operand.columns[0]].numbers("the formula")
    coded = code(("0", "+", replace(operand, code=f"I({operand.code})")), table)
    if coded.values.shape[1] != 1:
        raise InputError(f"formula: {operand.text!r} gives {coded.values.shape[1]} columns where one is expected")
    return np.ascontiguousarray(coded.values[:, 0])


def aliased(columns: Columns, tolerance: float = 1e-8) -> str | None:
    """A sentence that names the columns that are linear combinations of the ones before them, or None.

    Each column, scaled to length one, is regressed on the ones kept before it; where the residual is shorter than
    `tolerance`, the column is aliased.
    """
    values = columns.values
    labels = list(columns.labels)
    if columns.intercept:
        values = np.column_stack([np.ones(len(values)), values])
        labels = ["Intercept", *labels]
    if not labels:
        return None
    length = np.linalg.norm(values, axis=0)
    zero = [labels[i] for i in np.flatnonzero(length == 0)]
    if zero:
        return f"formula: {listing(map(repr, zero))} is zero in every row (levels that never occur together); join levels, or make a column of the combinations that occur"
    scaled = values / length
    kept: list[int] = []
    found: list[str] = []
    for i in range(scaled.shape[1]):
        if kept:
            basis = scaled[:, kept]
            weights = np.linalg.lstsq(basis, scaled[:, i], rcond=None)[0]
            if np.linalg.norm(scaled[:, i] - basis @ weights) < tolerance:
                others = [labels[k] for k, w in zip(kept, weights, strict=True) if abs(w) > 1e-6]
                found.append(f"{labels[i]!r} is a linear combination of {listing(map(repr, others), 6)}")
                continue
        kept.append(i)
    if len(kept) > len(values):
        return f"formula: {len(labels)} population columns for {plural(len(values), 'row')}; use fewer terms"
    return (
        f"formula: the design is rank deficient: {'; '.join(found)}; leave the repeated columns out" if found else None
    )


def _unused(formula: Formula, table: Table) -> list[str]:
    notes = []
    for name in formula.predictor_columns:
        column = table[name]
        if column.kind == "text":
            seen = set(np.unique(column.values).tolist())
            gone = [level for i, level in enumerate(column.levels) if i not in seen]
            if gone:
                notes.append(
                    f"{plural(len(gone), 'level')} of {name!r} never occur{'s' * (len(gone) == 1)} and {'is' if len(gone) == 1 else 'are'} dropped: {listing(gone)}"
                )
    return notes


# ------------------------------------------------------------------------------------------------------- group effects


def factor(names: Sequence[str], table: Table) -> Factor:
    """The levels seen of a factor, or of an interaction of factors ("site:ward", levels "a:1"), and each row's code."""
    codes, levels = table[names[0]].factor()
    for name in names[1:]:
        inner, found = table[name].factor()
        pairs, codes = np.unique(codes.astype(np.int64) * len(found) + inner, return_inverse=True)
        levels = _distinct([f"{levels[p // len(found)]}:{found[p % len(found)]}" for p in pairs.tolist()])
    codes = codes.astype(np.int64)
    if codes.min() < 0 or codes.max() >= len(levels):  # the compiled samplers would read past the end
        raise AssertionError(f"group index of {':'.join(names)!r} is outside its {len(levels)} levels")
    return Factor(":".join(names), levels, codes)


def _distinct(labels: list[str]) -> tuple[str, ...]:
    """The labels, with "#2", "#3" on those that stood before: levels "1" of "1:2" and "1:1" of "2" would share a name."""
    seen: dict[str, int] = {}
    for i, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        labels[i] = label if seen[label] == 1 else f"{label}#{seen[label]}"
    return tuple(labels)


def _group_effects(groups: Iterable[GroupTerm], table: Table, problems: list[str]) -> tuple[Effects, ...]:
    """Terms on the same factor become one block of effects with several correlation blocks."""
    found: dict[str, tuple[Factor, list[Columns], list[str], list[tuple[int, ...]], list[str | None]]] = {}
    for group in groups:
        coded = attempt(lambda group=group: code(group.effects, table), problems)
        if coded is None:
            continue
        level = factor(group.factor, table)
        if len(level.levels) == 1:
            problems.append(
                f"grouping factor {group.name!r} has one level ({level.levels[0]!r}); leave ({group.effects_text} | {group.name}) out"
            )
            continue
        labels = (["Intercept"] if coded.intercept else []) + list(coded.labels)
        _, parts, known, blocks, shared = found.setdefault(group.name, (level, [], [], [], []))
        again = [label for label in labels if label in known]
        if again:
            problems.append(f"group {group.name!r} has the effect {again[0]!r} twice; keep one of the terms")
            continue
        if not labels:
            problems.append(f"the group term ({group.effects_text} | {group.name}) has no effects")
            continue
        start = len(known)
        new = (
            [tuple(range(start, start + len(labels)))]
            if group.correlated
            else [(start + k,) for k in range(len(labels))]
        )
        parts.append(coded)
        known += labels
        blocks += new
        shared += [group.label] * len(new)
    return tuple(
        _effects(level, parts, tuple(labels), tuple(blocks), tuple(shared))
        for level, parts, labels, blocks, shared in found.values()
        if parts
    )


def _effects(
    level: Factor,
    parts: Sequence[Columns],
    labels: tuple[str, ...],
    blocks: tuple[tuple[int, ...], ...],
    shared: tuple[str | None, ...],
) -> Effects:
    """The effects of all terms of one factor, each with a column of ones before its own where it has an intercept."""

    def with_ones(columns: Columns, values: np.ndarray) -> list[np.ndarray]:
        return [*([np.ones((len(values), 1))] if columns.intercept else []), values]

    def again(other: Table) -> np.ndarray:
        return np.hstack([x for part in parts for x in with_ones(part, part.again(other))])

    z = np.hstack([x for part in parts for x in with_ones(part, part.values)])
    return Effects(level, z, labels, blocks, tuple(spread(column) for column in z.T), shared, again)


def check_groups(predictors: Sequence[Predictor], rows: int, one_per_row: bool) -> list[str]:
    """Notes on group terms the data can hardly support; `one_per_row` says whether an effect per row is estimable.

    Raises
    ------
    InputError
        An intercept for each row in a family whose own variation it would repeat (Gaussian, Bernoulli).
    """
    notes, problems = [], []
    for effects in (e for p in predictors for e in p.effects):
        name, levels, k = effects.factor.name, len(effects.factor.levels), len(effects.labels)
        if levels == rows and not one_per_row:
            problems.append(
                f"grouping factor {name!r} has {levels} levels for {rows} rows, one row each: its variance cannot be told "
                "from the variation of single rows in this family; use a factor with repeated rows"
            )
        elif k > 1 and levels * k >= rows:
            notes.append(
                f"{name!r} has {levels} levels with {k} effects each, {levels * k} in all, for {rows} rows: their sds rest on the prior"
            )
    raise_all(problems)
    return notes


def few_levels(predictors: Sequence[Predictor]) -> list[Factor]:
    """Grouping factors with so few levels that their variance is poorly known."""
    return [e.factor for p in predictors for e in p.effects if len(e.factor.levels) < FEW_LEVELS]


def collapse(predictor: Predictor) -> tuple[Predictor, np.ndarray, np.ndarray]:
    """Rows with the same linear predictor become one; its means and spreads stay those of all rows.

    Returns
    -------
    The predictor over the cells, the cell of every row (n,), and how many rows each cell has (cells,).
    """
    parts = [predictor.population.values]
    if predictor.offset is not None:
        parts.append(predictor.offset[:, None])
    parts += [np.column_stack([e.factor.codes, e.z]) for e in predictor.effects]
    parts += [np.hstack([s.linear, s.penalised]) for s in predictor.smooths]
    _, first, cell, counts = np.unique(
        np.column_stack(parts), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    return (
        replace(
            predictor,
            population=replace(predictor.population, values=np.asfortranarray(predictor.population.values[first])),
            offset=None if predictor.offset is None else predictor.offset[first],
            effects=tuple(
                replace(e, z=e.z[first], factor=replace(e.factor, codes=e.factor.codes[first]))
                for e in predictor.effects
            ),
            smooths=tuple(replace(s, linear=s.linear[first], penalised=s.penalised[first]) for s in predictor.smooths),
        ),
        cell.ravel(),
        counts,
    )


def fixed_formula(text: str, formula: Formula, names: Iterable[str]) -> str:
    """The formula with the group terms of the factors `names` written as population terms: no partial pooling."""
    names = set(names)
    left = text.split("~", 1)[0].strip()
    parts = [as_text(formula.population)]
    kept = []
    for group in formula.groups:
        if group.name not in names:
            bar = f"|{group.label}|" if group.label else "|" if group.correlated else "||"
            kept.append(f"({group.effects_text} {bar} {':'.join(map(quoted, group.factor))})")
            continue
        cells = ":".join(f"C({quoted(f)})" for f in group.factor)
        terms = _terms(group.effects)
        if not {"0", "-1"} & set(terms):
            parts.append(cells)
        slopes = [t for t in terms if t not in ("0", "1", "-1")]
        parts += [
            f"{cells}:{slope}" if re.fullmatch(r"[^*/]*|\w+\(.*\)", slope) else f"{cells}:({slope})" for slope in slopes
        ]
    parts += [s.source for s in formula.smooths]
    parts += [f"offset({o.source})" for o in formula.offsets]
    return f"{left} ~ {' + '.join(parts + kept)}"


def _terms(pieces: Sequence[Piece]) -> list[str]:
    """The summands of a term algebra, each as text."""
    found: list[list[Piece]] = [[]]
    depth = 0
    for piece in pieces:
        depth += (piece == "(") - (piece == ")")
        if piece in ("+", "-") and depth == 0:
            found.append(["-"] if piece == "-" else [])
        else:
            found[-1].append(piece)
    return [as_text(part).replace("- ", "-") for part in found if part]
