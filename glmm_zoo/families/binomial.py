"""Bernoulli and binomial responses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing, plural, raise_all
from glmm_zoo.families.links import ProbabilityLink
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome, level_called, level_of, level_text
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.formulas.cells import rows_of_levels
from glmm_zoo.formulas.population import DesignMatrix, evaluate_expression
from glmm_zoo.formulas.terms import Response, quoted
from glmm_zoo.tables.columns import Column, Table

_SUCCESS = re.compile(r"^(1|y|yes|t|true|\+|pos|positive|present|dead|died|deceased|case|event|success)$")
_FAILURE = re.compile(r"^(0|n|no|f|false|-|neg|negative|absent|alive|control|failure|(no|not|non)[ -].+)$")


def read_binomial(table: Table, response: Response, success: Any = None) -> Outcome:
    """`successes | trials(n)`, or a column of 0 and 1, of logicals, or of two labels.

    Parameters
    ----------
    success
        The value that counts as success; by default 1, True, the second level in a declared order, or of two labels the one that
        is plainly it, such as "yes" beside "no".
    """
    if response.value.kind != "column":
        ratio = re.fullmatch(r"\(?\{0\} ?/ ?\{1\}\)?", response.value.code)
        columns = [quoted(c) for c in response.value.columns]
        raise InputError(
            f"the response of a binomial model is a column, not {response.value.text!r}; "
            + (f"write {columns[0]} | trials({columns[1]})" if ratio else "make the column first")
        )
    column = table[response.value.columns[0]]
    if response.trials is not None:
        if success is not None:
            raise InputError(
                "success= names a level of a single-trial response; with trials(n) the response counts successes"
            )
        return _read_counts_of_successes(table, response)
    return _read_single_trials(table, column, success)


def read_bernoulli(table: Table, response: Response, success: Any = None) -> Outcome:
    """As `read_binomial`, with one trial in each row."""
    if response.trials is not None:
        raise InputError("family 'bernoulli' has one trial in each row; with trials(n) it is 'binomial'")
    return read_binomial(table, response, success)


def has_many_trials(outcome: Outcome) -> bool:
    """Whether any row has more than one trial."""
    return outcome.trials is not None and bool((outcome.trials > 1).any())


def _read_counts_of_successes(table: Table, response: Response) -> Outcome:
    name = response.value.columns[0]
    y, n, size = successes(table, response)
    if np.all(y == 0) or np.all(y == n):
        raise InputError(
            f"response {name!r} has a single value: {'no' if np.all(y == 0) else 'nothing but'} successes in every row"
        )
    return Outcome(name, y, n, description=f"{name} of {size}: binomial counts of successes")


def successes(table: Table, response: Response) -> tuple[np.ndarray, np.ndarray, str]:
    """Counts of successes and trials (n,), whole numbers with 0 <= y <= n and n >= 1, and the trials in words."""
    assert response.trials is not None
    name, trials = response.value.columns[0], response.trials
    y = table[name].numbers("a count of successes")
    n = np.full(len(y), float(trials)) if isinstance(trials, int) else evaluate_expression(trials, table)
    size = str(trials) if isinstance(trials, int) else trials.text
    problems = []
    for label, values in ((name, y), (size, n)):
        bad = values != np.round(values)
        if bad.any():
            of = _proportion_of(values, n) if label == name else None
            problems.append(
                f"column {label!r} needs whole numbers; {plural(int(bad.sum()), 'value')} not ({table.at(bad)})"
                + (
                    f"; it looks like {of[0]} of {size}: make a column of successes, round({name}{of[1]} * {size}), and write successes | trials({size})"
                    if of
                    else ""
                )
            )
        bad = values < 0
        if bad.any():
            problems.append(
                f"column {label!r} must be >= 0; {plural(int(bad.sum()), 'value')} negative ({table.at(bad)})"
            )
    bad = n == 0
    if bad.any():
        problems.append(f"trials({size}) must be >= 1; 0 in {table.at(bad)}; drop these rows")
    bad = y > n
    if bad.any():
        problems.append(
            f"{plural(int(bad.sum()), 'row')} with more successes than trials ({name} > {size}: {table.at(bad)})"
        )
    raise_all(problems)
    return y, n, size


def _proportion_of(values: np.ndarray, n: np.ndarray) -> tuple[str, str] | None:
    """What values that are no counts are of n, and how they become shares; None if they are neither proportions nor percentages."""
    if values.min() < 0 or values.max() > 100:
        return None
    return ("a proportion", "") if values.max() <= 1 else ("a percentage", " / 100")


def _read_single_trials(table: Table, column: Column, success: Any) -> Outcome:
    name = column.name
    if column.kind == "date":
        column.numbers("a response")
    codes, levels = column.codes_and_levels()
    if column.kind == "number" and success is None:
        y = column.values.astype(np.float64)
        fractions = y != np.round(y)
        if fractions.any():
            raise InputError(
                f"response {name!r} needs 0/1; {plural(int(fractions.sum()), 'value')} "
                f"{'is' if fractions.sum() == 1 else 'are'} not whole ({table.at(fractions)}); "
                f"for proportions of n make a column of successes, round({name} * n), and write successes | trials(n)"
            )
        if not set(levels) <= {"0", "1"}:
            if len(levels) == 2:
                raise InputError(f"response {name!r} needs 0/1; found {{{listing(levels)}}}; {_say_which(name)}")
            raise InputError(
                f"response {name!r} needs 0/1; found {len(levels)} values ({listing(levels, 5)}); if it counts successes, "
                f"give trials: {name} | trials(n)"
            )
    if len(levels) == 1:
        raise InputError(f"response {name!r} has a single value ({levels[0]}) in every row; there is nothing to model")
    if len(levels) != 2:
        raise InputError(
            f"response {name!r} has {len(levels)} levels ({listing(levels, 5)}) where two are expected; for ordered levels use an ordinal model"
        )
    if success is not None:
        wanted = level_of(success, levels) or level_text(success)
    else:
        wanted = levels[1] if column.has_declared_order else success_by_name(levels)
    if wanted is None:
        raise InputError(
            f"response {name!r} has the labels {listing(map(repr, levels))}, of which neither is plainly the success; {_say_which(name)}"
        )
    if wanted not in levels:
        raise InputError(f"response {name!r} has no level {wanted!r} to be the success; levels: {listing(levels)}")
    y = (codes == levels.index(wanted)).astype(np.float64)
    other = levels[1 - levels.index(wanted)]
    by_itself = success is None and column.is_coded
    why = "the order of the levels" if column.has_declared_order else "their names"
    taken = (
        f"response {name!r}: {wanted!r} is the success and {other!r} the failure by {why}; success= says it otherwise"
    )
    description = f"{name}: success is {wanted!r}, failure {other!r}"
    return Outcome(name, y, None, description=description, notes=(taken,) if by_itself else ())


def success_by_name(levels: Sequence[str]) -> str | None:
    """The one of two labels that is plainly the success: "yes" beside "no", "relapse" beside "no relapse"; None if neither is."""
    failure = level_called(levels, _FAILURE)
    rest = [level for level in levels if level != failure]
    if failure is None or len(rest) != 1:
        return None
    negated = re.fullmatch(rf"(no|not|non)[ _-]{re.escape(rest[0].strip())}", failure.strip(), re.IGNORECASE)
    return rest[0] if negated or level_called(rest, _SUCCESS) else None


def _say_which(name: str) -> str:
    return (
        f"say which is the success: success=LABEL (--option success=LABEL), and of one response among several "
        f"success={{{name!r}: LABEL}}"
    )


def observe_binomial(name: str, outcome: Outcome, eta: Tensor, link: ProbabilityLink) -> None:
    """y_i ~ Binomial(n_i, p_i), p_i = link^-1(eta_i); Bernoulli where there are no trials.

    log f(y | eta) = log C(n, y) + y log p + (n - y) log(1 - p)
    """
    import pymc as pm

    pt = import_pytensor()

    def log_f(y: Tensor, eta: Tensor) -> Tensor:
        return pt.switch(y > 0.5, link.log_p(eta), link.log_q(eta))

    def draw(eta: Tensor, size: Any) -> Tensor:
        return pt.cast(pm.Bernoulli.dist(p=link.p(eta), size=size), "float64")

    if outcome.trials is None:
        observe_rows(name, "Bernoulli", outcome, [eta], log_f, draw)
        return
    n = pm.Data(f"_{name}_trials", outcome.trials, dims=outcome.dim)
    observe_rows(
        name,
        "Binomial",
        outcome,
        [n, eta],
        lambda y, n, eta: log_binomial(y, n, eta, link),
        lambda n, eta, size: pt.cast(draw_binomial(n, eta, link, size), "float64"),
    )


def log_binomial(y: Array, n: Array, eta: Array, link: ProbabilityLink) -> Array:
    """log C(n, y) + y log p + (n - y) log(1 - p)"""
    pt = functions_of(eta)
    log_choose = pt.gammaln(n + 1) - pt.gammaln(y + 1) - pt.gammaln(n - y + 1)
    return log_choose + y * link.log_p(eta) + (n - y) * link.log_q(eta)


def draw_binomial(n: Tensor, eta: Tensor, link: ProbabilityLink, shape: Any = None) -> Tensor:
    import pymc as pm

    return pm.Binomial.dist(n=import_pytensor().cast(n, "int64"), p=link.p(eta), size=shape)


def doubts_of_successes(outcome: Outcome, columns: DesignMatrix) -> list[str]:
    """Sentences for columns and reference levels that alone separate failures from successes."""
    return [*separated(outcome, columns.values, columns.labels), *separated_references(outcome, columns)]


def separated(outcome: Outcome, columns: np.ndarray, labels: tuple[str, ...]) -> list[str]:
    """Sentences for columns (n, p) each of which alone separates failures from successes, completely or at its edge."""
    failures = np.ones(len(outcome.values)) if outcome.trials is None else outcome.trials
    failures = failures - outcome.values
    success, failure = outcome.values > 0, failures > 0
    sentences = []
    for k, label in enumerate(labels):
        x = columns[:, k]
        values = np.unique(x)
        if len(values) == 2:
            for value in values:
                rows = x == value
                if not (success & rows).any() or not (failure & rows).any():
                    what = "failures" if not (success & rows).any() else "successes"
                    sentences.append(
                        f"column {label!r} separates the outcome: nothing but {what} in {plural(int(rows.sum()), 'row')} "
                        f"where it is {value:g}; its coefficient rests on its prior"
                    )
                    break
        elif len(values) > 2 and (x[success].min() >= x[failure].max() or x[success].max() <= x[failure].min()):
            sentences.append(
                f"column {label!r} separates the outcome: all successes lie on one side of it; its coefficient rests on its prior"
            )
    return sentences


def separated_references(outcome: Outcome, design: DesignMatrix) -> list[str]:
    """Sentences for reference levels of factors of three levels or more in which all rows are failures, or all successes."""
    failures = (1.0 if outcome.trials is None else outcome.trials) - outcome.values
    sentences = []
    for name, words, rows in rows_of_levels(design):
        levels = design.learnt.get("levels", {}).get(name, ())
        is_column = any(words == f"{name} is {level!r}" and f"{name}[{level}]" in design.labels for level in levels)
        if len(levels) < 3 or is_column or not rows.any():
            continue
        only = [
            w for w, counts in (("failures", outcome.values), ("successes", failures)) if not (counts[rows] > 0).any()
        ]
        if only:
            sentences.append(
                f"factor {name!r} has nothing but {only[0]} in the {plural(int(rows.sum()), 'row')} of its reference level, where "
                f"{words}; its coefficients rest on their priors"
            )
    return sentences
