"""Which figures a fit has, by name, in the order of the page, and from which estimates each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import xarray as xr

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.estimands.comparisons import comparisons
from glmm_zoo.estimands.fitted import SURVIVAL
from glmm_zoo.report.answer import Answer, answering
from glmm_zoo.report.survival_figures import survival_figures
from glmm_zoo.results.about import about_of
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.estimates_files import stored_estimates
from glmm_zoo.results.figures.adjusted_means import adjusted_means
from glmm_zoo.results.figures.baseline_risks import baseline_risks
from glmm_zoo.results.figures.bubble import bubble
from glmm_zoo.results.figures.caterpillar import caterpillar
from glmm_zoo.results.figures.categories import categories
from glmm_zoo.results.figures.correlation import correlation
from glmm_zoo.results.figures.curves import curves_by, smooths
from glmm_zoo.results.figures.design_map import design_map
from glmm_zoo.results.figures.effects import conditional_effects, effects
from glmm_zoo.results.figures.exposure_effect import exposure_effect
from glmm_zoo.results.figures.forest import forest
from glmm_zoo.results.figures.never_at_risk import never_at_risk
from glmm_zoo.results.figures.outcomes_effects import outcomes_effects
from glmm_zoo.results.figures.period_risks import period_risks
from glmm_zoo.results.figures.picture import Picture
from glmm_zoo.results.figures.predictive_check import predictive_check
from glmm_zoo.results.figures.prior_posterior import prior_posterior
from glmm_zoo.results.figures.ranks import ranks
from glmm_zoo.results.figures.slopes_scatter import slopes_scatter
from glmm_zoo.results.figures.zero_part import zero_part
from glmm_zoo.results.storage import metadata, stored_table

type Section = Literal["key", "estimates", "groups", "priors", "checks", "asked"]
BASELINES = (0.001, 0.01, 0.05, 0.1)  # 1, 10, 50 and 100 in 1000
MOST_FACTORS = 3  # with a caterpillar on the page; the others are drawn where they are asked for


@dataclass(frozen=True)
class Entry:
    """A figure of a fit.

    Attributes
    ----------
    section
        Of the page; "asked" only where it is asked for.
    heading
        Above the figure, or of the folded part that it stands in.
    make
        Draws it.
    """

    section: Section
    heading: str
    make: Callable[[], Picture]


class Catalogue:
    """The figures of a fit; what several of them need is computed once, when the first is made."""

    def __init__(self, tree: xr.DataTree, *, prob: float = 0.95, answer: Answer | None = None):
        self.tree = tree
        self.prob = prob
        self.spec = metadata(tree)["spec"]
        self.about = about_of(tree)
        self._given = answer

    @cached_property
    def answer(self) -> Answer:
        """The answer of the fit."""
        return self._given if self._given is not None else answering(self.tree, prob=self.prob)

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """The figures by name, in the order of the page."""
        return {**dict(self._key()), **dict(self._estimates()), **dict(self._groups()), **dict(self._checks())}

    def picture(self, name: str) -> Picture:
        """The figure of that name.

        Raises
        ------
        InputError
            A name of no figure of this fit.
        """
        if name not in self.entries:
            near = did_you_mean(name, self.entries) or ";"
            raise InputError(f"this fit has no figure {name!r}{near} its figures: {listing(self.entries, 40)}")
        return self.entries[name].make()

    # ------------------------------------------------------------------------------------------- by section of the page

    def _key(self) -> Iterator[tuple[str, Entry]]:
        """The figure that answers, first, and where it is another one, the means of the answering variable."""
        builder, answer = self.spec["builder"], self.answer
        if builder == "meta_analysis":
            yield "forest", Entry("key", "", partial(forest, self.tree, self.about))
        elif builder == "stepped_wedge":
            yield "period_risks", Entry("key", "", self._period_risks)
        elif builder == "joint_survival":
            yield from survival_figures(self.tree, answer)
        elif builder == "joint_outcomes":
            yield "outcomes_effects", Entry("key", "", self._of(outcomes_effects, answer.comparisons))
        elif builder == "never_at_risk":
            yield "never_at_risk", Entry("key", "", partial(never_at_risk, self.tree, answer.means, self.about))
        elif "probability" in answer.further:
            yield "categories", Entry("key", "", partial(categories, self.tree, answer.further["probability"], self.about))
        elif "zero" in answer.further:
            yield "zero_part", Entry("key", "", partial(zero_part, self.tree, answer, self.about))
        elif answer.trajectories is not None:
            yield "curves", Entry("key", "", partial(curves_by, self.tree, answer.trajectories, self.about))
        elif answer.means is not None:
            yield self._means("key")

    def _means(self, section: Section) -> tuple[str, Entry]:
        """Means of the answering variable: a curve over a number, or intervals by level."""
        answer = self.answer
        assert answer.means is not None
        if answer.numeric:
            return "curves", Entry(section, "", partial(curves_by, self.tree, answer.means, self.about))
        return "adjusted_means", Entry(
            section, "", partial(adjusted_means, self.tree, answer.means, self.about, answer.comparisons)
        )
