"""Draws from the prior of what the model expects of rows, and of what a variable changes: a prior is asked as a fit is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.estimands.asking import Setting, read_asked, settings_asked
from glmm_zoo.estimands.averages import Question
from glmm_zoo.estimands.comparisons import comparisons
from glmm_zoo.estimands.fitted import SURVIVAL, FittedModel, FittedOutcome
from glmm_zoo.estimands.group_choice import GroupChoice, predictors_of_rows
from glmm_zoo.estimands.linear_rows import LinearRows
from glmm_zoo.estimands.row_values import SHARES
from glmm_zoo.estimands.wording import amount
from glmm_zoo.results.findings import event
from glmm_zoo.results.numbers import Scale
from glmm_zoo.results.storage import metadata, stored_table
from glmm_zoo.trials.arms import META_ANALYSES

AT_MEANS, ROWS = "row at the means", "rows"
_MOST_ROWS = 1000  # that are computed


@dataclass(frozen=True)
class PriorQuantity:
    """Draws (S,) of one quantity from the prior, what it is, and on which scale its numbers are written."""

    outcome: str
    measure: str
    of: str
    category: str
    scale: Scale
    draws: np.ndarray

    def interval(self, prob: float) -> np.ndarray:
        """Lower end, median and upper end."""
        known = self.draws[~np.isnan(self.draws)]  # a ratio of two infinite means is none
        return np.quantile(known, [(1 - prob) / 2, 0.5, (1 + prob) / 2], method="inverted_cdf")


@dataclass(frozen=True)
class PriorOfOutcome:
    """One outcome of a prior. `tree` is the fit whose posterior is the prior."""

    tree: xr.DataTree
    fitted: FittedModel
    outcome: FittedOutcome
    seed: int

    @property
    def of_categories(self) -> bool:
        return self.outcome.family.choice in ("levels", "reference")

    @property
    def scales(self) -> list[str]:
        """What is told of rows: also the probability of a zero, where the model has a part for it."""
        if self.of_categories:
            return ["probability"]
        if self.times:
            return [SURVIVAL]
        return ["mean", "zero"] if {*self.outcome.parts, *self.outcome.own} & set(SHARES) else ["mean"]

    @property
    def times(self) -> list[float] | None:
        """Half of the follow-up of times to an event, when survival is told."""
        if self.outcome.family.responses != "time":
            return None
        return [0.5 * float(np.max(self.tree["observed_data"].dataset[self.outcome.name].values))]

    def setting(self, scale: str) -> Setting:
        """All rows, each with the effects of its own levels, which every draw of the prior has anew."""
        asked = read_asked(
            at=None, by=None, over=None, weights=None, each=True, groups="observed", unseen="error", scale=scale,
            outcome=self.outcome.name, times=self.times, per=None, prob=0.95, draws=self.fitted.draws.size, seed=self.seed,
        )  # fmt: skip
        return next(settings_asked(self.fitted, self.outcome, asked, None))

    @property
    def first_setting(self) -> Setting:
        """The rows on the first scale."""
        return self.setting(self.scales[0])

    def of_rows(self) -> Iterator[PriorQuantity]:
        """On every scale a row at the means of the covariates in new groups, then one row of the data for each draw."""
        for scale in self.scales:
            setting, rng = self.setting(scale), np.random.default_rng([self.seed, 2])
            assert isinstance(setting.question, Question)  # a marker, or an outcome
            is_share = scale != "mean" or self.outcome.is_share("mean")
            rows = self._linear(setting)
            choices = {ROWS: (rows, setting.question.choice)}
            if self.fitted.spec["builder"] not in META_ANALYSES:  # whose studies each have columns of their own
                choices = {AT_MEANS: (self._mean_row(rows), self._all("new")), **choices}
            for of, (linear, choice) in choices.items():
                values = self._values(setting, linear, choice)
                picked = values[:, np.arange(values.shape[1]), rng.integers(values.shape[2], size=values.shape[1])]
                for category, draws in zip(setting.question.quantity.categories, picked, strict=True):
                    unit: Scale = "risk" if is_share else "number"
                    yield PriorQuantity(self.outcome.name, amount(setting), of, category, unit, draws)

    def of_contrasts(self, variable: str | None) -> Iterator[PriorQuantity]:
        """The differences and ratios of averages over rows that a variable makes; none where the outcome does not have it."""
        treatment = self.fitted.spec["options"].get("treatment")
        name = variable or treatment or next(iter(self.outcome.coding.columns), "")
        if name not in self.outcome.coding.columns:
            return
        data = stored_table(self.tree)
        estimates = comparisons(
            self.tree, name, data.iloc[_places(len(data))] if len(data) > _MOST_ROWS else None,
            contrast=self._contrast(name), groups="observed", outcome=self.outcome.name, draws=self.fitted.draws.size,
            seed=self.seed, **({"scale": SURVIVAL, "times": self.times} if self.times else {}),
        )  # fmt: skip
        of_risks = self.outcome.is_share(SURVIVAL if self.times else "mean")
        scales: dict[str, Scale] = {
            "difference": "points" if of_risks else "number",
            "ratio": "ratio",
            "better": "risk",
        }
        for i, (_, row) in enumerate(estimates.table.iterrows()):
            if row["measure"] in scales:
                of, draws = f"{row['variable']} {row['contrast']}", estimates.draws["value"].values[0, :, i]
                category = row.get("category", "")
                yield PriorQuantity(self.outcome.name, row["measure"], of, category, scales[row["measure"]], draws)

    def _contrast(self, name: str) -> Any:
        """One standard deviation more of a number; the levels of all else against the reference."""
        column = self.outcome.table.columns.get(name)
        if column is None or column.kind != "number" or name in self.outcome.coding.levels:
            return "reference"
        values = np.unique(column.values[~column.missing])
        return "reference" if len(values) <= 2 else float(f"{np.std(column.values[~column.missing]):.2g}")

    def spreads(self) -> dict[str, float]:
        """The interquartile range that each kind of parameter gives to the main linear predictor of the rows, or the first of these."""
        setting = self.setting(self.scales[0] if self.times else "mean")
        part, linear = next(iter(self._linear(setting).items()))
        rows = {part: linear}

        def eta(linear: Mapping[str, LinearRows], choice: GroupChoice) -> np.ndarray:
            return predictors_of_rows(linear, choice, self.fitted.draws.size, np.ones((1, 1)))[0][part].mean

        at_means, in_typical = eta(self._mean_row(rows), self._all("typical")), eta(rows, self._all("typical"))
        parts = {
            "intercept": at_means,
            "coefficients": in_typical - at_means,
            "groups": eta(rows, setting.question.choice) - in_typical,
        }
        return {name: float(np.subtract(*np.quantile(values, [0.75, 0.25]))) for name, values in parts.items()}

    def _linear(self, setting: Setting) -> dict[str, LinearRows]:
        """The linear predictors of at most `_MOST_ROWS` of the rows, evenly spaced."""
        table = setting.table.take(_places(setting.table.rows))
        return self.outcome.coding.code(table, setting.question.exposure)

    def _values(self, setting: Setting, linear: dict[str, LinearRows], choice: GroupChoice) -> np.ndarray:
        """(categories, S, m)"""
        assert isinstance(setting.question, Question)  # a marker, or an outcome
        trials = np.ones(len(next(iter(linear.values())).offset))
        return replace(setting.question, choice=choice).of_rows(linear, trials, np.random.default_rng(self.seed))

    def _all(self, how: str) -> GroupChoice:
        return GroupChoice(dict.fromkeys(self.outcome.coding.factors, how), seed=self.seed)

    @staticmethod
    def _mean_row(rows: Mapping[str, LinearRows]) -> dict[str, LinearRows]:
        """One row whose columns, offset and z are the means of those of the rows."""
        return {part: _mean_row(linear) for part, linear in rows.items()}


def hazard_ratios(tree: xr.DataTree) -> Sequence[PriorQuantity]:
    """Of the event of a joint model: those of covariates, and of a marker for one standard deviation more."""
    if "event" not in metadata(tree)["spec"]:
        return []
    return [
        PriorQuantity("event", "hazard ratio", label.partition("[")[2][:-1], "", "ratio", draws[0])
        for label, draws in event.find(tree, 0.95).quantities.items()
        if not label.startswith("assoc_hazard_ratio[")
    ]


def _mean_row(linear: LinearRows) -> LinearRows:
    one = linear.take(np.array([0]))
    return LinearRows(
        (
            *((columns.mean(axis=0, keepdims=True), draws) for columns, draws in linear.blocks),
            *((np.ones((1, 1)), term.values().mean(axis=1, keepdims=True)) for term in linear.unknown),
        ),
        linear.offset.mean(keepdims=True),
        tuple(replace(t, z=of.z.mean(axis=0, keepdims=True)) for t, of in zip(one.random, linear.random, strict=True)),
        {name: of_rows.mean(keepdims=True) for name, of_rows in linear.bounds.items()},
    )


def _places(rows: int) -> np.ndarray:
    return np.unique(np.linspace(0, rows - 1, min(rows, _MOST_ROWS)).round().astype(int))
