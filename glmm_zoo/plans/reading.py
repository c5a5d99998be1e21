"""One outcome and its linear predictors, read from a table and checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, at_rows, attempt, listing, plural, raise_all, warn
from glmm_zoo.families.family import Family
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.partly_observed import partly_observed
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.predictor import (
    FEW_LEVELS,
    PredictorDesign,
    check_columns,
    check_groups,
    doubtful_terms,
    few_levels,
)
from glmm_zoo.formulas.terms import Formula, Response, fixed_formula
from glmm_zoo.plans.missing_covariates import (
    MissingCovariate,
    constant_covariates,
    formulas_of_covariates,
    read_covariates,
    with_covariates,
)
from glmm_zoo.tables.columns import Table
from glmm_zoo.tables.frames import Missing, further_columns, take_columns

PARTLY_OBSERVED_ELSEWHERE = "trunc() and cens() are for models of one outcome whose rows are independent given their predictors; leave them out here"


@dataclass(frozen=True)
class SingleOutcome:
    """One outcome, read and checked, with its linear predictors.

    `texts` holds the formula of every predictor by its prefix, "" for the main one, which stands first in `predictors`; of a family
    that has several they stand there, each with the whole formula.
    """

    family: Family
    texts: Mapping[str, str]
    table: Table
    outcome: Outcome
    predictors: tuple[PredictorDesign, ...]
    notes: tuple[str, ...]
    covariates: tuple[MissingCovariate, ...] = ()

    @property
    def main(self) -> PredictorDesign:
        return self.predictors[0]


def read_outcome(
    data: Any,
    formula: str,
    family: Family,
    *,
    choice: Any = None,
    also: Mapping[str, str | None] | None = None,
    units: Mapping[str, str] | None = None,
    exposure: str | None = None,
    columns: Sequence[str] = (),
    missing: Missing = "error",
    clusters: str = "random",
    gaps: bool = False,
    partly: bool = False,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
) -> SingleOutcome:
    """Read and check one outcome with all its linear predictors, before any graph is built.

    Parameters
    ----------
    family
        Says how the response is read and how right sides are coded.
    choice
        What the user said of the response beside the formula: `success` or `levels`.
    also
        Further predictors by the prefix of their names, as right sides: `{"zi": "~ x + (1 | g)"}`; None for those that
        are not wanted.
    units
        Predictors about subjects, the levels of a column, and not about rows: `{"never": "id"}`. They are coded on one
        row for each subject, in the order of the levels.
    exposure
        A column > 0 whose logarithm is the offset of the main predictor.
    columns
        Columns that the builder reads itself.
    clusters
        "random" keeps group terms as written, with a warning for factors of fewer than 6 levels; "fixed" writes those
        factors as population terms.
    gaps
        Rows without a response are left out instead of refused.
    partly
        Whether the response may be seen in part, `y | trunc(lb, ub) + cens(c)`; the family is then that of what is seen.
    weights
        A column >= 0 by which the log-likelihood of each row is multiplied.
    impute
        The right side of the predictor of each covariate that stands in mi(), by its column; None where the model takes no mi().

    Raises
    ------
    InputError
        All problems of formula, data and response together.
    """
    if clusters not in ("random", "fixed"):
        raise InputError(f"clusters must be 'random' or 'fixed', not {clusters!r}")
    units = units or {}
    texts = {"": formula, **{p: t for p, t in (also or {}).items() if t is not None}}
    formulas, response = _parse_all(texts, exposure, family)
    family = _as_seen(family, response, partly)
    covariates = formulas_of_covariates(formulas, impute, weights)
    used = [
        *(c for f in (*formulas.values(), *covariates.values()) for c in f.columns),
        *columns,
        *(c for c in (exposure, weights) if c is not None),
    ]
    problems: list[str] = []
    open_ends = response.may_be_missing
    complete = [c for c in dict.fromkeys(used) if c not in open_ends and c not in covariates]
    table = take_columns(data, complete, missing, problems, response.value.columns if gaps else ())
    if open_ends:
        table = replace(table, columns={**table.columns, **further_columns(table, open_ends)})
    if covariates:
        with_gaps = attempt(lambda: with_covariates(table, further_columns(table, covariates)), problems)
        raise_all(problems if with_gaps is None else ())
        table = with_gaps or table
    outcome = attempt(lambda: family.read(table, response, choice), problems)
    offset = attempt(lambda: log_exposure(table, exposure), problems) if exposure is not None else None
    if weights is not None:
        weighted = attempt(lambda: row_weights(table, weights), problems)
        outcome = outcome and replace(outcome, weights=weighted)
    groups = {c for f in formulas.values() for g in f.groups for c in g.factor} if gaps else ()
    tables = dict.fromkeys(formulas, _with_levels_that_occur(table, groups))
    for parsed in covariates.values():
        check_columns(parsed, table, problems)
    for prefix, parsed in formulas.items():
        check_columns(parsed, table, problems)
        if prefix in units:
            one_row_each = attempt(lambda p=prefix, f=parsed: _one_row_each(table, units[p], f, p), problems)
            tables[prefix] = one_row_each or table
    raise_all(problems)
    assert outcome is not None
    predictors = {
        p: replace(family.coder(p)(f, tables[p], p), dim=variable_name(units[p]) if p in units else "row")
        for p, f in formulas.items()
    }
    if offset is not None:
        predictors[""] = replace(predictors[""], offset=offset)
    notes = [*table.notes, *outcome.notes, *(note for p in predictors.values() for note in p.notes)]
    for p in predictors.values():
        notes += check_groups([p], p.rows, family.one_per_row(outcome) and p.prefix == "")
    unknown, of_covariates = read_covariates(table, covariates)
    notes += of_covariates
    single = SingleOutcome(family, texts, table, outcome, tuple(predictors.values()), tuple(notes), unknown)
    single = _without_small_factors(single, tables, clusters)
    doubts = [*family.doubts(outcome, single.main.population)]
    own_doubts = {own.name: own.doubts for own in family.own}
    doubts += [
        s for p in single.predictors if p.prefix in own_doubts for s in own_doubts[p.prefix](outcome, p.population)
    ]
    doubts += [s for p in single.predictors for s in doubtful_terms(p, tables[p.prefix], _log_or_not(family, p.prefix))]
    doubts += constant_covariates(table, unknown, [e.factor for e in single.main.effects])
    main = (replace(single.main, prefix=of) for of in family.predictors(outcome))
    return remark(replace(single, predictors=(*main, *single.predictors[1:])), doubts)


def _with_levels_that_occur(table: Table, names: Collection[str]) -> Table:
    """Grouping columns without levels that have no row: such a level may have one of another outcome, or an event."""
    columns = dict(table.columns)
    for name in names:
        column = columns[name]
        if column.kind == "text":
            codes, levels = column.codes_and_levels()
            columns[name] = replace(column, values=codes, levels=levels)
    return replace(table, columns=columns)


def _log_or_not(family: Family, prefix: str) -> str:
    """The link of a predictor, as far as offsets need to know it: the main one of counts and sizes have "log"."""
    return family.scales.get(prefix, "") if prefix else family.links[0]


def _parse_all(texts: Mapping[str, str], exposure: str | None, family: Family) -> tuple[dict[str, Formula], Response]:
    """The formulas of all predictors by prefix, and the response of the main one."""
    problems: list[str] = []
    attempted = {p: attempt(lambda p=p, t=t: parse_part(p, t), problems) for p, t in texts.items()}
    raise_all(problems)
    formulas = {p: f for p, f in attempted.items() if f is not None}
    response = formulas[""].response
    assert response is not None
    if response.event is not None and family.event_times is None:
        beside = (
            ""
            if family.responses == "count"
            else ", or write years | cens(censored) with family weibull, gamma or lognormal"
        )
        problems.append(f"Surv() is the response of survival models, not of {family.name}; use survival{beside}")
    for prefix, parsed in formulas.items():
        again = [c for c in response.value.columns if prefix and c in parsed.predictor_columns]
        problems += [f"{prefix}: the response {c!r} is also used as a predictor" for c in again]
    if exposure is not None and not isinstance(exposure, str):
        problems.append(f"exposure is the name of a column, such as 'days', not {type(exposure).__name__}")
    raise_all(problems)
    if exposure is not None and formulas[""].offsets:
        raise InputError(
            f"exposure={exposure!r} and offset({formulas[''].offsets[0].source}) in the formula say the same thing twice; "
            "keep one: the offset is the logarithm of the exposure"
        )
    return formulas, response


def _as_seen(family: Family, response: Response, partly: bool) -> Family:
    """The family of what is seen of the response."""
    if not response.seen_in_part:
        return family
    role = "trunc()" if response.bounds else "cens()"
    if family.law is None:
        known = listing([f.name for f in FAMILIES.values() if f.law], 9)
        raise InputError(f"{role} is not there for family {family.name!r}; families that have it: {known}")
    if not partly:
        raise InputError(PARTLY_OBSERVED_ELSEWHERE)
    return partly_observed(family, response)


def _without_small_factors(single: SingleOutcome, tables: Mapping[str, Table], clusters: str) -> SingleOutcome:
    """The same with grouping factors of few levels written as population terms (`clusters` "fixed"), or noted."""
    texts, predictors, notes = dict(single.texts), [], list(single.notes)
    for predictor in single.predictors:
        prefix, few = predictor.prefix, few_levels([predictor])
        if few:
            as_population = fixed_formula(texts[prefix], predictor.formula, [f.name for f in few]).strip()
            levels = " and ".join(f"{f.name!r} has {len(f.levels)} levels" for f in few)
            if clusters == "fixed":
                notes.append(f"grouping factor {levels}: written as population terms, {as_population}")
                texts[prefix] = as_population
                again = single.family.coder(prefix)(parse_part(prefix, as_population), tables[prefix], prefix)
                predictor = replace(again, offset=predictor.offset, dim=predictor.dim)
            else:
                sentence = (
                    f"grouping factor {levels}; from fewer than {FEW_LEVELS} the variance between them is poorly known and its "
                    f"posterior rests on the prior of sd. Without partial pooling the formula is {as_population!r}; "
                    "clusters='fixed' (--option clusters=fixed) builds that"
                )
                notes.append(sentence)
                warn(sentence)
        predictors.append(predictor)
    return replace(single, texts=texts, predictors=tuple(predictors), notes=tuple(notes))


def parse_part(prefix: str, text: str) -> Formula:
    """The formula of the predictor of that prefix, "" the main one; a problem of another says which."""
    try:
        return parse_formula(text, response=prefix == "")
    except InputError as err:
        if prefix == "":
            raise
        raise InputError(*(f"{prefix}: {p}" for p in err.problems)) from None


def _one_row_each(table: Table, name: str, formula: Formula, prefix: str) -> Table:
    """The first row of every level of column `name`, in the order of the levels: a formula's columns by subject."""
    codes, levels = table[name].group_labels()
    _, first = np.unique(codes, return_index=True)
    problems = [
        f"{prefix}: ({group.effects_text} |{group.label}| {group.name}) is about subjects and cannot share the label "
        f"{group.label!r} with terms about rows; write ({group.effects_text} | {group.name})"
        for group in formula.groups
        if group.label
    ]
    for column in formula.predictor_columns:
        values, known = table[column].codes_and_levels()
        varies = np.flatnonzero(values != values[first][codes])
        if len(varies):
            pair = np.array([first[codes[varies[0]]], varies[0]])
            problems.append(
                f"column {column!r} varies within subject {levels[codes[varies[0]]]!r} "
                f"({', '.join(known[v] for v in values[pair])}; {at_rows(table.row_numbers[pair])}); "
                f"{prefix}= takes covariates that are constant within a subject"
            )
    raise_all(problems)
    columns = {c: table[c].take(first) for c in formula.predictor_columns}
    return replace(table, columns=columns, rows=len(first), row_numbers=table.row_numbers[first])


def log_exposure(table: Table, name: str) -> np.ndarray:
    """log of a column that must be > 0 (n,)."""
    days = table[name].numbers("exposure")
    bad = np.flatnonzero(~(days > 0))
    if len(bad):
        row = at_rows(table.row_numbers[bad])
        raise InputError(
            f"column {name!r} must be > 0 (exposure); {row} has {days[bad[0]]:g}"
            if len(bad) == 1
            else f"column {name!r} must be > 0 (exposure); {plural(len(bad), 'value')} not ({row}: {days[bad[0]]:g}, ...)",
        )
    return np.log(days)


def row_weights(table: Table, name: str) -> np.ndarray:
    """A column (n,) of numbers >= 0, not all of them 0."""
    w = table[name].numbers("weights")
    bad = ~(np.isfinite(w) & (w >= 0))
    if bad.any():
        raise InputError(
            f"column {name!r} must be >= 0 and finite (weights); {table.at(bad)} {'has' if bad.sum() == 1 else 'have'} {w[bad][0]:g}"
            f"{', ...' if bad.sum() > 1 else ''}"
        )
    if not w.any():
        raise InputError(
            f"column {name!r} is 0 in every row (weights), so that nothing is learnt from the data; give some row a weight"
        )
    return w


def remark(single: SingleOutcome, sentences: Sequence[str]) -> SingleOutcome:
    """The same with more notes, each of which the user is warned of."""
    for sentence in sentences:
        warn(sentence)
    return replace(single, notes=(*single.notes, *sentences))
