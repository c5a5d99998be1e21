"""What predictions, comparisons and slopes have in common: the fit, whose groups, which rows, what, averaged how."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, raise_all, shown, warn
from glmm_zoo.estimands.averages import Question, quantity_asked
from glmm_zoo.estimands.cells import Averaging, cells_of_rows, read_averaging
from glmm_zoo.estimands.fitted import EVENT_SCALES, FittedModel, FittedOutcome
from glmm_zoo.estimands.group_choice import read_group_choice
from glmm_zoo.estimands.linear_rows import LinearRows
from glmm_zoo.estimands.row_coding import Exposure, RowCoding
from glmm_zoo.estimands.rows_asked import Value, read_at, rows_asked, settings, with_values
from glmm_zoo.estimands.survival import EventQuestion, event_question
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.smooths.tensor_products import TensorProduct
from glmm_zoo.plans.options import OptionType, increasing_times, read_option
from glmm_zoo.results.estimates import Estimates, Region, summarised
from glmm_zoo.results.once import computed_before
from glmm_zoo.tables.columns import Table
from glmm_zoo.tables.frames import column_names

_TYPES = {
    "prob": OptionType(number=True), "draws": OptionType(whole_number=True), "seed": OptionType(whole_number=True),
    "per": OptionType(number=True, nothing=True), "times": OptionType(nothing=True, items=OptionType(number=True)),
    "scale": OptionType(text=True), "unseen": OptionType(text=True), "outcome": OptionType(text=True, nothing=True),
}  # fmt: skip


_TABLE = {
    "variable",
    "contrast",
    "outcome",
    "category",
    "measure",
    "groups",
    "share",
}  # columns that a table has of its own, or rows on their way there


@dataclass(frozen=True)
class Asked:
    """The arguments that predictions, comparisons and slopes share, read and checked."""

    at: Mapping[str, tuple[Value, ...]]
    averaging: Averaging
    groups: str | Mapping[str, str]
    unseen: str
    scale: str
    outcome: str | None
    times: tuple[float, ...]
    per: float | None
    prob: float
    draws: int
    seed: int


def read_asked(
    *, at: Any, by: Any, over: Any, weights: Any, each: bool, groups: Any, unseen: Any, scale: Any, outcome: Any, times: Any,
    per: Any, prob: Any, draws: Any, seed: Any,
) -> Asked:  # fmt: skip
    """The arguments, checked as far as they can be without a fit.

    Raises
    ------
    InputError
        All that is wrong with them.
    """
    problems: list[str] = []
    given = {
        "prob": prob, "draws": draws, "seed": seed, "per": per, "times": times, "scale": scale, "unseen": unseen,
        "outcome": outcome,
    }  # fmt: skip
    read: dict[str, Any] = {n: attempt(lambda n=n: read_option(n, given[n], _TYPES[n]), problems) for n in given}
    raise_all(problems)
    if not 0 < read["prob"] < 1:
        problems.append(f"prob must be between 0 and 1, not {prob}")
    problems += [f"draws must be a whole number >= 1, not {draws}"] if read["draws"] < 1 else []
    problems += [f"seed must be a whole number >= 0, not {seed}"] if read["seed"] < 0 else []
    if read["per"] is not None and not 0 < read["per"] < np.inf:
        problems.append(f"per must be a number > 0, the units of exposure that counts are for, not {per}")
    if scale in EVENT_SCALES and read["times"] is None:
        problems.append(f"scale={scale!r} is at times; give times=, such as times=[1, 5]")
    elif scale in EVENT_SCALES:
        read["times"] = attempt(lambda: increasing_times(read["times"]), problems)
    elif read["times"] is not None:
        problems.append(f"times= goes with scale= {listing(EVENT_SCALES)}; name one of these, or leave it out")
    if not isinstance(groups, str | Mapping):
        problems.append(f"groups is a word, or one for each factor, {{'site': 'population'}}, not {shown(groups)}")
    values = attempt(lambda: read_at(at), problems)
    averaging = attempt(lambda: read_averaging(by, over, weights, each=each), problems)
    raise_all(problems)
    assert values is not None and averaging is not None
    return Asked(
        values, averaging, groups, read["unseen"], read["scale"], read["outcome"], read["times"] or (), read["per"],
        read["prob"], read["draws"], read["seed"],
    )  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """Rows of one outcome with columns set to `values`, and how they are averaged: `cells` says what each average is of."""

    question: Question | EventQuestion
    table: Table
    values: Mapping[str, Value]
    cells: pd.DataFrame
    weights: sparse.csr_array

    def averages(
        self,
        table: Table | None = None,
        weights: sparse.csr_array | None = None,
        rows: dict[str, LinearRows] | None = None,
    ) -> np.ndarray:
        """(categories, S, cells) of these rows, coded already or not, or of the same rows with other values or weights."""
        of = replace(
            self, table=self.table if table is None else table, weights=self.weights if weights is None else weights
        )
        if isinstance(of.question, EventQuestion):  # whose notes are made on the way
            return of.question.averages(of.table, of.weights)
        known = computed_before()
        if known is None:
            return of.question.averages(of.table, of.weights, rows)
        if of._key not in known:
            of.keep(of.question.averages(of.table, of.weights, rows))
        return known[of._key][1]

    @property
    def is_kept(self) -> bool:
        """Whether the averages were computed already, within `computed_once`."""
        known = computed_before()
        return known is not None and isinstance(self.question, Question) and self._key in known

    def keep(self, averages: np.ndarray) -> None:
        """Keep the averages of these rows within `computed_once`."""
        known = computed_before()
        if known is not None:
            known[self._key] = self.question, averages

    @cached_property
    def _key(self) -> Hashable:
        assert isinstance(self.question, Question)
        digest = hashlib.sha256()
        for name in sorted(self.table.columns):
            column = self.table[name]
            digest.update("\0".join((name, column.kind, *column.levels)).encode())
            digest.update(np.ascontiguousarray(column.values))
            digest.update(np.ascontiguousarray(column.missing))
        for part in (self.weights.data, self.weights.indices, self.weights.indptr):
            digest.update(np.ascontiguousarray(part))
        return "averages", *self.question.key, digest.digest()

    @property
    def outcome(self) -> FittedOutcome:
        return self.question.outcome

    @property
    def is_share(self) -> bool:
        """Whether the averages are of probabilities."""
        return self.outcome.is_share(self.question.quantity.scale)

    def of_scale(self, scale: str) -> Setting:
        """The same rows on another scale."""
        return replace(self, question=self.question.of_scale(scale))

    def restricted_to(self, horizon: float) -> Setting:
        """The restricted mean survival time of the same rows up to a horizon."""
        return replace(self, question=self.question.restricted_to(horizon))

    def identities(self, model: FittedModel) -> Iterator[dict[str, Any]]:
        """What each cell is of: values that were set, columns by which rows are kept apart, the outcome where there are several."""
        several = {"outcome": self.outcome.name} if len(model.outcomes) > 1 else {}
        for cell in self.cells.to_dict("records"):
            of_data = {**self.values, **cell}
            yield {**{f"{name}_" if name in _TABLE else str(name): value for name, value in of_data.items()}, **several}


def settings_asked(
    model: FittedModel,
    outcome: FittedOutcome,
    asked: Asked,
    data: Any,
    variables: Sequence[str] = (),
    replaced: Mapping[str, Value] | None = None,
) -> Iterator[Setting]:
    """The rows of an outcome with every combination of the values that columns are set to; `variables` are changed afterwards.

    Those of `replaced` are then set to a value in every row, so that `data` may lack them.
    """
    coding = outcome.coding
    _check_columns(model, asked)
    choice = read_group_choice(asked.groups, asked.unseen, coding.factors, asked.seed)
    with_effect = {
        *coding.columns,
        *coding.optional,
        *(c for factor in choice.by_level for c in coding.factors[factor]),
    }
    raise_all([_without_effect(name, coding) for name in variables if name not in with_effect])
    exposure = _exposure(model, coding, asked)
    others = [*asked.averaging.columns, *variables, *(coding.exposure if exposure.given else ())]
    known = () if data is None else column_names(data)
    lacking = {name: v for name, v in (replaced or {}).items() if data is not None and name not in known}
    table = rows_asked(outcome, data, choice, {*asked.at, *lacking}, others)
    question: Question | EventQuestion
    if outcome.event is None:
        question = Question(outcome, quantity_asked(outcome, asked.scale, asked.times), choice, exposure, model.draws)
    else:
        question = event_question(outcome, outcome.event, asked.scale, asked.times, choice, model.draws)
    groups = [c for columns in coding.factors.values() for c in columns]
    shown = dict.fromkeys([*coding.columns, *groups, *coding.optional])
    told: set[str] = set()
    for values in settings(asked.at):
        rows = with_values(outcome, table, {**lacking, **values})
        for name, sentence in _extrapolations(outcome, rows, values):
            if name not in told:
                told.add(name)
                warn(sentence)
        cells, weights = cells_of_rows(asked.averaging, rows, list(shown))
        yield Setting(question, rows, values, cells, weights)


def estimates_of(
    model: FittedModel,
    asked: Asked,
    rows: Sequence[Mapping[str, Any]],
    values: Sequence[np.ndarray],
    words: str,
    rope: Region | None = None,
) -> Estimates:
    """Estimates of draws (S,), one for each of the `rows`, which say what each is of, and under "share" whether that is a probability."""
    draws, of = model.draws.by_chain(np.stack(values, axis=1)), pd.DataFrame(list(rows))
    shares = of.pop("share").tolist()
    return summarised(of, draws, words, prob=asked.prob, rope=rope, shares=shares)


def _without_effect(name: str, coding: RowCoding) -> str:
    if name in coding.exposure:
        return (
            f"{name!r} is the exposure of the counts and is not compared; per= or at= say for how much of it they are"
        )
    return f"{name!r} is a grouping factor, whose levels differ only in what each has of its own: ask for groups='observed'"


def _check_columns(model: FittedModel, asked: Asked) -> None:
    """What no outcome of the model has: columns that are to be set, and an exposure."""
    outcomes = model.outcome(asked.outcome)
    known = dict.fromkeys(c for outcome in outcomes for c in (*outcome.coding.known, *outcome.coding.optional))
    problems = [
        f"at: the model has no column {c!r}{did_you_mean(c, known) or ';'} columns: {listing(known)}"
        for c in asked.at
        if c not in known
    ]
    if asked.per is not None and not any(outcome.coding.exposure for outcome in outcomes):
        problems.append("per= is for counts with an exposure, and this model has none; leave it out")
    raise_all(problems)


def _exposure(model: FittedModel, coding: RowCoding, asked: Asked) -> Exposure:
    """What counts are for. Rates are for as many units as the builder was told by its own `per`."""
    given = frozenset(asked.at) & set(coding.exposure)
    if asked.per is not None and given:
        raise InputError(f"per= and at= both say for how much exposure ({sorted(given)[0]!r}) counts are; keep one")
    rates = asked.scale == "mean" and bool(coding.exposure) and not given
    own = model.spec["facts"].get("per", 1.0) if rates else 1.0
    return Exposure(own if asked.per is None else asked.per, given)


def _extrapolations(outcome: FittedOutcome, table: Table, values: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Each variable of a curve that has values beyond the data of the fit, and a sentence on it."""
    for name, lower, upper, label in (
        known for p in outcome.parts.values() for known in _ranges(p) if known[0] in table.columns
    ):
        x = table[name].numbers(label)
        beyond = (x < lower) | (x > upper)
        if beyond.any():
            where = "" if name in values else f" ({table.at(beyond)})"
            yield (
                name,
                f"{name} = {x[beyond][0]:g}{where} goes beyond the data of the fit, {lower:g} to {upper:g}: {label} is an extrapolation there",
            )


def _ranges(design: PredictorDesign) -> Iterator[tuple[str, float, float, str]]:
    """The variables of curves that go on beyond the data of the fit, with the ends of these and the curve: s(), t2(), cr()."""
    for smooth in design.smooths:
        margins = smooth.basis.margins if isinstance(smooth.basis, TensorProduct) else (smooth.basis,)
        for name, basis in zip(smooth.variables, margins, strict=True):
            yield name, basis.lower, basis.upper, smooth.label
    for code, learnt in design.population.learnt.get("transforms", {}).items():
        spline = re.fullmatch(r"c[rs]\((.+?)(?:,.*)?\)", code)
        if spline:
            yield spline[1], learnt["lower_bound"], learnt["upper_bound"], code
