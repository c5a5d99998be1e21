"""What a prior is of, in the words that were said of the model; where nothing was said, by the names of its columns."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from glmm_zoo.estimands.asking import Setting
from glmm_zoo.estimands.fitted import SURVIVAL
from glmm_zoo.estimands.prior_quantities import PriorOfOutcome, PriorQuantity
from glmm_zoo.estimands.wording import amount, of_outcome
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.estimated import amount_of, response_name
from glmm_zoo.results.figures.over_time import at_time
from glmm_zoo.results.figures.value_words import column_and_level, comparison_words, value_words


@dataclass(frozen=True)
class PriorWords:
    """`tree` is the fit whose posterior is the prior; of `several` outcomes each has words of its own."""

    about: About
    tree: xr.DataTree
    several: bool

    def variable(self, prior: PriorOfOutcome) -> str | None:
        """The variable that the words ask about, where the outcome depends on it."""
        return self.about.of if self.about.of in prior.outcome.coding.columns else None

    def amount(self, setting: Setting) -> str:
        """ "risk of a new case", "mean log(bilirubin)", "risk of incidence"."""
        name = setting.outcome.name if self.several else None
        said, what = self.about.outcome_of(name or ""), amount(setting)
        scale, times = setting.question.quantity.scale, setting.question.quantity.times
        if scale == SURVIVAL and self.about.event:
            return f"{amount_of(self.tree, self.about, SURVIVAL, name).words}, at {at_time(self.about, times[0])},"
        if not said.outcome or scale == SURVIVAL:
            return f"{what} {of_outcome(setting)}"
        if scale == "probability":
            return f"probability of each category of {said.outcome}"
        if what == "risk" and said.an_outcome:
            return f"risk of {said.an_outcome}"
        return amount_of(self.tree, self.about, scale, name).words

    def new_groups(self, prior: PriorOfOutcome) -> str:
        """ " in a new herd", " in new groups" where there are several or their name was not said."""
        factors = list(prior.outcome.coding.factors)
        if len(factors) == 1 and factors[0] in self.about.names:
            return f" in a new {self.about.name(factors[0])}"
        return " in new groups" if factors else ""

    def category(self, outcome: str, category: str) -> str:
        """ "'bad'", or the words for it."""
        words = value_words(
            self.about, response_name(self.tree, outcome if self.several else None), category, short=True
        )
        return repr(category) if words == category else words

    def contrast(self, quantity: PriorQuantity) -> str:
        """ "terbinafine vs itraconazole", "period 2 vs 1"; of what is no contrast its own name."""
        variable, _, contrast = quantity.of.partition(" ")
        return comparison_words(self.about, variable, contrast) if contrast else quantity.of

    def named(self, outcome: str) -> str:
        """The outcome whose averages are compared."""
        return self.about.outcome_of(outcome if self.several else "").outcome or outcome

    def hazard_ratio(self, label: str) -> str:
        """ "D-penicillamine" of "drug[D-penicil]", "value of bilirubin" of "value"."""
        column, level = column_and_level(label)
        if level is not None:
            return value_words(self.about, column, level)
        marker = "" if self.several else self.about.outcome
        return f"{label} of {marker}" if label in ("value", "slope", "area") and marker else self.about.name(label)
