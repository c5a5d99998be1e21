"""What the priors of a model say of risks, rates, means and differences before the data.

The model is drawn from forwards, group effects anew in each draw, and these draws are asked as those of a fit are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, listing
from glmm_zoo.estimands.asking import Setting, read_asked, settings_asked
from glmm_zoo.estimands.comparisons import comparisons
from glmm_zoo.estimands.fitted import FittedModel, FittedOutcome, read_fitted
from glmm_zoo.estimands.group_choice import GroupChoice, predictors_of_rows
from glmm_zoo.estimands.linear_rows import LinearRows
from glmm_zoo.estimands.row_values import SHARES
from glmm_zoo.estimands.wording import amount, of_what
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.inference.prior_draws import prior_as_fit
from glmm_zoo.results.findings import event
from glmm_zoo.results.numbers import Scale, alone, estimate_text, nominal, percent
from glmm_zoo.results.storage import metadata, stored_table
from glmm_zoo.tables.columns import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from glmm_zoo.graph.model import Model

EXTREME = 0.01  # a risk below it, or above one minus it, is nearly certain
_TOO_MUCH = 0.5  # of the prior on extreme risks
_TOO_MANY_ORDERS = 6.0  # of magnitude between the ends of the interval of a mean count
_TOO_WIDE = 10.0  # times the range of the data that the interval of a mean may have
_MOST_ROWS = 1000  # that are computed
AT_MEANS, ROWS = "row at the means", "rows"


@dataclass(frozen=True, repr=False, eq=False)
class PriorPredictive:
    """What priors say before the data.

    Attributes
    ----------
    table
        One row for each quantity: `outcome`, `measure` ("risk", "difference"), what it is `of` (a row at the means of the
        covariates, rows of the data, or a contrast), `category` of ordered categories; `median`, `lower`, `upper` of the prior;
        of risks the shares of the prior `below` 1 % and `above` 99 %.
    sentences
        The same in words, with what to change where the priors say too much or too little.
    draws
        `value` (draw, quantity), with the columns that say what a quantity is as coordinates.
    """

    table: pd.DataFrame
    sentences: tuple[str, ...]
    draws: xr.Dataset

    def __repr__(self) -> str:
        return "\n\n".join([*self.sentences, self.table.to_string(index=False, float_format="%.3g", na_rep="-")])

    def plot(self) -> Figure:
        """The prior of rows' risks, rates or means, and of the first difference or ratio."""
        from glmm_zoo.results.figures.prior_predictive import prior_predictive_picture

        return prior_predictive_picture(self.table, self.draws, self.sentences).figure()


def prior_predictive(
    model: Model, *, draws: int = 1000, seed: int = 0, variable: str | None = None, prob: float = 0.95
) -> PriorPredictive:
    """What the priors say of risks, rates, means and differences before the data.

    Parameters
    ----------
    model
        What a builder returned.
    draws
        How many draws of the prior are made.
    seed
        The same seed gives the same draws.
    variable
        The variable whose effect is told; by default the treatment, else the first one of the formula.
    prob
        Probability inside the equal-tailed intervals.

    Raises
    ------
    InputError
        Arguments out of range, a variable that the model does not have.
    """
    from glmm_zoo.graph.model import Model

    if not isinstance(model, Model):
        raise InputError(
            f"prior_predictive takes a model that a builder of the zoo returned, not {type(model).__name__}"
        )
    if not (isinstance(draws, int) and draws >= 100):
        raise InputError(f"draws must be a whole number >= 100, not {draws!r}")
    if not 0 < prob < 1:
        raise InputError(f"prob must be between 0 and 1, not {prob}")
    tree = prior_as_fit(model, draws, seed)
    fitted = read_fitted(tree, draws)
    if variable is not None:
        fitted.outcome(None, [variable])
    found: list[_Quantity] = []
    told: list[str] = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exp of a number of a wide prior may be infinite
        for outcome in fitted.outcomes.values():
            asking = _Asking(tree, fitted, outcome, seed, prob)
            own = list(asking.of_rows())
            contrasts = list(asking.of_contrasts(variable))
            found += [*own, *contrasts]
            told += [*asking.words_of_rows(own), *asking.words_of_contrasts(contrasts)]
        if "event" in metadata(tree)["spec"]:
            ratios = list(_hazard_ratios(tree))
            found += ratios
            told += _words_of_ratios(ratios, prob)
    lead = f"The priors before the data, {len(found[0].draws)} draws, median and {nominal(prob)} interval."
    return PriorPredictive(*_table(found, prob, (lead, *told)))


@dataclass(frozen=True)
class _Quantity:
    """Draws (S,) of one quantity, what it is, and on which scale its numbers are written."""

    outcome: str
    measure: str
    of: str
    category: str
    scale: Scale
    draws: np.ndarray

    def text(self, prob: float) -> str:
        lower, median, upper = self.interval(prob)
        if self.scale == "number" or not np.isfinite([lower, median, upper]).all():
            return f"{alone(median)} ({alone(lower)} to {alone(upper)})"
        return estimate_text(median, lower, upper, self.scale)

    def interval(self, prob: float) -> np.ndarray:
        tail = (1 - prob) / 2
        return np.quantile(self.draws, [tail, 0.5, 1 - tail], method="inverted_cdf")


def _table(
    found: Sequence[_Quantity], prob: float, sentences: tuple[str, ...]
) -> tuple[pd.DataFrame, tuple[str, ...], xr.Dataset]:
    rows = []
    for q in found:
        lower, median, upper = q.interval(prob)
        shares = (
            {"below": float(np.mean(q.draws < EXTREME)), "above": float(np.mean(q.draws > 1 - EXTREME))}
            if q.scale == "risk"
            else {"below": np.nan, "above": np.nan}
        )
        of = {"outcome": q.outcome, "measure": q.measure, "of": q.of, "category": q.category}
        rows.append({**of, "median": median, "lower": lower, "upper": upper, **shares})
    table = pd.DataFrame(rows)
    coords = {c: ("quantity", table[c].to_numpy()) for c in ("outcome", "measure", "of", "category")}
    values = np.stack([q.draws for q in found], axis=1)
    return table, sentences, xr.Dataset({"value": (("draw", "quantity"), values)}, coords)


# ------------------------------------------------------------------------------------------------------- of one outcome


@dataclass(frozen=True)
class _Asking:
    """One outcome of a prior that is asked as a fit is."""

    tree: xr.DataTree
    fitted: FittedModel
    outcome: FittedOutcome
    seed: int
    prob: float

    @property
    def ordered(self) -> bool:
        return self.outcome.family.choice == "levels"

    @property
    def scales(self) -> list[str]:
        """What is told of rows: also the probability of a zero, where the model has a part for it."""
        if self.ordered:
            return ["probability"]
        parts = {*self.outcome.parts, *self.outcome.own}
        return ["mean", "zero"] if parts & set(SHARES) else ["mean"]

    def setting(self, scale: str = "mean") -> Setting:
        """All rows, each with the effects of its own levels, which a draw of the prior has anew."""
        asked = read_asked(
            at=None, by=None, over=None, weights=None, each=True, groups="observed", unseen="error", scale=scale,
            outcome=self.outcome.name, times=None, per=None, prob=self.prob, draws=self.fitted.draws.size, seed=self.seed,
        )  # fmt: skip
        return next(settings_asked(self.fitted, self.outcome, asked, None))

    def of_rows(self) -> Iterator[_Quantity]:
        """A row at the means of the covariates in new groups, then in each draw one row of the data."""
        for scale in self.scales:
            setting = self.setting(scale)
            rows, rng = self._rows(setting), np.random.default_rng([self.seed, 2])
            share = scale != "mean" or self.outcome.family.choice == "success"
            measure = amount(setting)
            for of, values in ((AT_MEANS, self._at_means(setting, rows)), (ROWS, self._values(setting, rows))):
                picked = values[:, np.arange(values.shape[1]), rng.integers(values.shape[2], size=values.shape[1])]
                for category, draws in zip(setting.question.quantity.categories, picked, strict=True):
                    yield _Quantity(self.outcome.name, measure, of, category, "risk" if share else "number", draws)

    def _rows(self, setting: Setting) -> dict[str, LinearRows]:
        """The linear predictors of at most `_MOST_ROWS` of the rows, evenly spaced."""
        table = _some_rows(setting.table)
        return self.outcome.coding.code(table, setting.question.exposure)

    def _values(self, setting: Setting, rows: dict[str, LinearRows], choice: GroupChoice | None = None) -> np.ndarray:
        """(categories, S, m)"""
        question: Any = setting.question if choice is None else replace(setting.question, choice=choice)
        m = len(next(iter(rows.values())).offset)
        return question.of_rows(rows, np.ones(m), np.random.default_rng(self.seed))

    def _at_means(self, setting: Setting, rows: dict[str, LinearRows]) -> np.ndarray:
        new = GroupChoice(dict.fromkeys(self.outcome.coding.factors, "new"), seed=self.seed)
        return self._values(setting, {part: _mean_row(linear) for part, linear in rows.items()}, new)

    def of_contrasts(self, variable: str | None) -> Iterator[_Quantity]:
        """The differences and ratios of the averages over rows that the variable makes."""
        name = variable or self._first_variable()
        if name not in self.outcome.coding.columns:
            return
        data = stored_table(self.tree)
        several = _places(len(data))
        estimates = comparisons(
            self.tree, name, None if len(several) == len(data) else data.iloc[several], outcome=self.outcome.name,
            draws=self.fitted.draws.size, seed=self.seed,
        )  # fmt: skip
        of_risks = self.outcome.family.choice == "success"
        scales: dict[str, Scale] = {
            "difference": "points" if of_risks else "number",
            "ratio": "ratio",
            "better": "risk",
        }
        for i, (_, row) in enumerate(estimates.table.iterrows()):
            if row["measure"] in scales:
                draws = estimates.draws["value"].values[0, :, i]
                of = f"{row['variable']} {row['contrast']}"
                yield _Quantity(self.outcome.name, row["measure"], of, "", scales[row["measure"]], draws)

    def _first_variable(self) -> str:
        treatment = self.fitted.spec["options"].get("treatment")
        return str(treatment) if treatment is not None else next(iter(self.outcome.coding.columns), "")

    # ------------------------------------------------------------------------------------------------------- words

    def words_of_rows(self, quantities: Sequence[_Quantity]) -> Iterator[str]:
        """Where the prior of each quantity lies, and what to change where it says nearly nothing, or nearly everything."""
        for scale in self.scales:
            setting = self.setting(scale)
            what = f"{amount(setting)} {of_what(setting)}"
            own = [q for q in quantities if q.measure == amount(setting)]
            at_means, rows = ([q for q in own if q.of == of] for of in (AT_MEANS, ROWS))
            if self.ordered:
                several = "; ".join(f"{q.category} {q.text(self.prob)}" for q in rows)
                yield f"The {what} over the rows: {several}."
            else:
                yield (
                    f"The {what} is {at_means[0].text(self.prob)} for a row at the means of the covariates in new groups, "
                    f"{rows[0].text(self.prob)} over the rows of the data."
                )
            yield from self._judged(what, rows)

    def _judged(self, what: str, rows: Sequence[_Quantity]) -> Iterator[str]:
        if rows[0].scale == "risk":
            values = np.stack([q.draws for q in rows])
            extreme = (values.max(0) > 1 - EXTREME) | (not self.ordered and values[0] < EXTREME)
            share = float(np.mean(extreme))
            where = "one category above 99 %" if self.ordered else "below 1 % or above 99 %"
            certain = f"a share of {percent(share)} of the prior has it {where}"
            too_much = share >= _TOO_MUCH
            why = "before the data that calls it all but certain"
        elif self.outcome.family.counted is not None:
            lower, _, upper = rows[0].interval(self.prob)
            orders = np.log10(upper) - np.log10(lower)
            certain = f"{nominal(self.prob)} of the prior lies between {alone(lower)} and {alone(upper)}, {orders:.0f} orders of magnitude apart"
            too_much, why = orders > _TOO_MANY_ORDERS, "no count is expected over so many"
        else:
            lower, _, upper = rows[0].interval(self.prob)
            data = self.tree["observed_data"][self.outcome.name].values
            low, high = data.min(), data.max()
            certain = f"{nominal(self.prob)} of the prior lies between {alone(lower)} and {alone(upper)}, the data between {alone(low)} and {alone(high)}"
            too_much, why = (
                upper - lower > _TOO_WIDE * (high - low),
                f"more than {_TOO_WIDE:g} times as wide as the data",
            )
        advice = f": {why}; {self._narrower()}" if too_much else ""
        yield f"The {what}: {certain}{advice}."

    def _narrower(self) -> str:
        """Which priors most of the spread of the rows' linear predictors comes from, and what to do about it."""
        setting = self.setting("linear")
        rows, factors = self._rows(setting), self.outcome.coding.factors
        typical = GroupChoice(dict.fromkeys(factors, "typical"))
        size, main = self.fitted.draws.size, {"": rows[""]}

        def eta(of: dict[str, LinearRows], choice: GroupChoice) -> np.ndarray:
            return predictors_of_rows(of, choice, size)[0][""].mean

        at_means = eta({"": _mean_row(rows[""])}, typical)
        in_typical = eta(main, typical)
        with_groups = eta(main, setting.question.choice)
        spreads = {
            "intercept": _spread(at_means),
            "coefficients": _spread(in_typical - at_means),
            "groups": _spread(with_groups - in_typical),
        }
        widest = max(spreads, key=lambda name: spreads[name])
        priors = self._priors_of(widest) or self._priors_of("intercept")
        return f"give narrower priors to {listing(priors, 4)}, where most of the spread comes from (--prior, priors=)"

    def _priors_of(self, kind: str) -> list[str]:
        """The priors of the intercept, of coefficients or of group effects, each with its text."""
        found = []
        for key, text in self.fitted.spec["priors"].items():
            bare = key.removeprefix(prefixed(self.outcome.prefix, "")) if self.outcome.prefix else key
            of_groups = key.startswith("sd_") or bare.startswith("sd_") or bare == "tau"
            of_intercept = bare in ("Intercept", "cutpoints", "study_Intercept")
            of_columns = bare in ("beta", "effect") or (bare.startswith("s_") and bare.endswith("_linear"))
            if {"groups": of_groups, "intercept": of_intercept, "coefficients": of_columns}[kind]:
                texts = dict.fromkeys(text.values() if isinstance(text, Mapping) else [text])
                found.append(f"{key} ({listing(texts, 2)})")
        return found

    def words_of_contrasts(self, quantities: Sequence[_Quantity]) -> Iterator[str]:
        if quantities:
            first = [q for q in quantities if q.of == quantities[0].of]
            told = "; ".join(f"{_MEASURES[q.measure]} {q.text(self.prob)}" for q in first)
            yield f"{self.outcome.name}, {first[0].of.replace(' vs ', ' against ')}: {told}."


_MEASURES = {"difference": "difference", "ratio": "ratio", "better": "probability of a higher score"}


def _mean_row(linear: LinearRows) -> LinearRows:
    """One row whose columns, offset and z are the means of those of the rows."""
    one = linear.take(np.array([0]))
    return LinearRows(
        tuple((columns.mean(axis=0, keepdims=True), draws) for columns, draws in linear.blocks),
        linear.offset.mean(keepdims=True),
        tuple(
            replace(t, z=whole.z.mean(axis=0, keepdims=True))
            for t, whole in zip(one.random, linear.random, strict=True)
        ),
    )


def _spread(values: np.ndarray) -> float:
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)


def _places(rows: int) -> np.ndarray:
    return np.unique(np.linspace(0, rows - 1, min(rows, _MOST_ROWS)).round().astype(int))


def _some_rows(table: Table) -> Table:
    return table.take(_places(table.rows))


# ------------------------------------------------------------------------------------------------------------- the event


def _hazard_ratios(tree: xr.DataTree) -> Iterator[_Quantity]:
    """Hazard ratios of covariates, and of the marker for one standard deviation more."""
    name = metadata(tree)["spec"]["event"].get("name", "event")
    for label, draws in event.find(tree, 0.95).quantities.items():
        if not label.startswith("assoc_hazard_ratio["):
            yield _Quantity(str(name), "hazard ratio", label.partition("[")[2][:-1], "", "ratio", draws[0])


def _words_of_ratios(ratios: Sequence[_Quantity], prob: float) -> Iterator[str]:
    told = "; ".join(f"{q.of} {q.text(prob)}" for q in ratios)
    yield f"Hazard ratios of the event, of a marker for one standard deviation more: {told}."
