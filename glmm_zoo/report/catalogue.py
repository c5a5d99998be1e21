"""Which figures a fit has, by name, in the order of the page, and from which estimates each is drawn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import xarray as xr

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.estimands.comparisons import comparisons
from glmm_zoo.estimands.fitted import USUAL_DRAWS, FittedOutcome, read_fitted
from glmm_zoo.estimands.predictions import predictions
from glmm_zoo.report.answer import Answer, answering, of_categories, part_column, scales_of
from glmm_zoo.report.entry import Entry, Section
from glmm_zoo.report.imputed import of_first, of_least_agreeing
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.diagnostics import incomplete
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.adjusted_means import adjusted_means
from glmm_zoo.results.figures.baseline_risks import baseline_risks
from glmm_zoo.results.figures.bubble import bubble
from glmm_zoo.results.figures.categories import categories
from glmm_zoo.results.figures.caterpillar import caterpillar, heading
from glmm_zoo.results.figures.correlation import correlation
from glmm_zoo.results.figures.curves import curves_by, smooths
from glmm_zoo.results.figures.design_map import design_map
from glmm_zoo.results.figures.effects import conditional_effects, conditional_ratios, effects
from glmm_zoo.results.figures.exposure_effect import exposure_effect
from glmm_zoo.results.figures.forest import forest
from glmm_zoo.results.figures.group_effect_words import correlated_factors
from glmm_zoo.results.figures.network import network
from glmm_zoo.results.figures.never_share import never_share
from glmm_zoo.results.figures.outcomes_effects import outcomes_effects
from glmm_zoo.results.figures.period_risks import period_risks
from glmm_zoo.results.figures.picture import WIDE, Picture, check_width
from glmm_zoo.results.figures.predictive_check import predictive_check
from glmm_zoo.results.figures.prior_posterior import prior_posterior
from glmm_zoo.results.figures.ranks import ranks, trace
from glmm_zoo.results.figures.residual_correlation import residual_correlation
from glmm_zoo.results.figures.slopes_scatter import slopes_scatter
from glmm_zoo.results.figures.study_effects import numeric_covariate
from glmm_zoo.results.figures.treatment_slopes import sloped_covariate, treatment_slopes
from glmm_zoo.results.figures.treatments_forest import treatments_forest
from glmm_zoo.results.figures.zero_part import zero_part
from glmm_zoo.results.imputations import imputations_of
from glmm_zoo.results.networks import network_of
from glmm_zoo.results.once import computed_once
from glmm_zoo.results.storage import groups_of_outcomes, metadata, stored_table
from glmm_zoo.results.whole_fit import of_a_whole_fit
from glmm_zoo.trials.arms import META_ANALYSES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BASELINES = (0.001, 0.01, 0.05, 0.1)  # 1, 10, 50 and 100 in 1000
MOST_FACTORS = 3  # with a caterpillar on the page; the others are drawn where they are asked for


class Catalogue:
    """The figures of a fit; what several of them need is computed once, when the first is made."""

    def __init__(self, tree: xr.DataTree, *, prob: float = 0.95):
        self.tree = tree
        self.prob = prob
        self.spec = metadata(tree)["spec"]
        self.about = about_of(tree)
        self.of_times = "event_times" in self.spec["facts"]

    @cached_property
    def answer(self) -> Answer:
        """The answer of the fit."""
        return answering(self.tree, prob=self.prob)

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
        elif builder == "network_meta_analysis":
            yield "forest", Entry("key", "", partial(treatments_forest, self.tree, self.about))
        elif builder == "stepped_wedge" and answer.means is None:
            yield "exposure_effect", Entry("key", "", partial(exposure_effect, self.tree, self.about))
        elif builder == "stepped_wedge":
            yield "period_risks", Entry("key", "", self._period_risks)
        elif builder == "joint_survival":
            from glmm_zoo.report.survival_figures import survival_figures

            yield from survival_figures(self.tree, answer)
        elif self.of_times:
            from glmm_zoo.report.event_time_figures import event_time_figures

            yield from event_time_figures(self.tree, answer)
        elif builder == "joint_outcomes":
            if answer.comparisons is not None:
                yield "outcomes_effects", Entry("key", "", partial(outcomes_effects, answer.comparisons, self.about))
        elif builder == "never_at_risk":
            yield "never_at_risk", Entry("key", "", partial(never_share, self.tree, self.about))
        elif (probabilities := of_categories(answer)) is not None:
            yield "categories", Entry("key", "", partial(categories, self.tree, probabilities, self.about))
        elif "zero" in answer.further:
            parts = [answer.further["zero"], answer.means, answer.further["positive"]]
            yield "zero_part", Entry("key", "", partial(zero_part, self.tree, parts, self.about))
        elif answer.trajectories is not None:
            yield "curves", Entry("key", "", partial(curves_by, self.tree, answer.trajectories, self.about))
        elif answer.variable is not None:
            yield from self._means("key")

    def _means(self, section: Section) -> Iterator[tuple[str, Entry]]:
        """Means of the answering variable, of each outcome: a curve over a number, or intervals by level."""
        answer = self.answer
        assert answer.means is not None
        for i, outcome in enumerate(dict.fromkeys(answer.means.table.get("outcome", [None]))):
            name = "curves" if answer.numeric else "adjusted_means"
            if answer.numeric:
                make = partial(curves_by, self.tree, answer.means, self.about, outcome=outcome)
            else:
                make = partial(adjusted_means, self.tree, answer.means, self.about, answer.comparisons, outcome=outcome)
            yield f"{name}:{outcome}" if i else name, Entry(section, "", make)

    def _period_risks(self) -> Picture:
        """Means under both conditions and their difference, by period."""
        answer, period = self.answer, self.spec["options"]["period"]
        assert answer.variable is not None
        means = predictions(self.tree, at={answer.variable: list(answer.values)}, by=[period], prob=self.prob)
        by_period = comparisons(self.tree, answer.variable, measures="difference", by=[period], prob=self.prob)
        return period_risks(self.tree, means, by_period, self.about)

    def _estimates(self) -> Iterator[tuple[str, Entry]]:
        """What follows the key figure: effects, and what the builder has of its own."""
        builder, answer = self.spec["builder"], self.answer
        another = {"joint_survival", "never_at_risk", "survival"} & {builder} or "zero" in answer.further
        drawn_already = answer.means is None or part_column(answer.means.table) is not None
        if answer.variable is not None and not drawn_already and (another or answer.trajectories is not None):
            yield from self._means("estimates")
        if answer.comparisons is not None and builder not in ("meta_analysis", "joint_outcomes"):
            several = "outcome" in answer.comparisons.table
            drawn = outcomes_effects if several else effects
            yield drawn.__name__, Entry("asked", "", partial(drawn, answer.comparisons, self.about))
        if builder == "joint_outcomes":
            yield from self._of_each_outcome()
        if builder == "network_meta_analysis":
            yield "network", Entry("estimates", "The network", partial(network, self.tree, self.about))
            if sloped_covariate(network_of(self.tree)) is not None:
                title = "Why studies differ"
                yield "treatment_slopes", Entry("estimates", title, partial(treatment_slopes, self.tree, self.about))
        elif conditional_ratios(self.tree):
            yield "conditional_effects", Entry("estimates", "", partial(conditional_effects, self.tree, self.about))
        if builder == "meta_analysis":
            if not self.spec["options"].get("exposure"):  # of risks, not of rates
                yield "baseline_risks", Entry("estimates", "", self._baseline_risks)
            if numeric_covariate(self.tree) is not None:
                yield "bubble", Entry("estimates", "Why trials differ", partial(bubble, self.tree, self.about))
        if builder == "stepped_wedge":
            yield "design_map", Entry("estimates", "The design", partial(design_map, self.tree, self.about))
        if "visits" in self.spec["facts"]:
            visits = f"How {self.about.plural(self.spec['facts']['visit'])} go together"
            yield (
                "residual_correlation",
                Entry("estimates", visits, partial(residual_correlation, self.tree, self.about)),
            )
        if any(len(smooth["variables"]) == 1 for smooth in self.spec["smooths"]):
            yield "smooths", Entry("estimates", "Smooth curves", partial(smooths, self.tree, self.about))
        if (builder == "joint_outcomes" or len(self.spec.get("outcomes", ())) > 1) and correlated_factors(self.tree):
            title = "How outcomes go together"
            yield "correlation", Entry("groups", title, partial(correlation, self.tree, self.about))

    def _of_each_outcome(self) -> Iterator[tuple[str, Entry]]:
        """Of several outcomes the categories of those that have some, and how often counts with a part for zeros are none."""
        drawn = set[str]()
        for outcome in read_fitted(imputations_of(self.tree)[0], USUAL_DRAWS).outcomes.values():
            scales = scales_of(outcome)
            if scales:
                name = "zero_part" if "zero" in scales else "categories"
                make = partial(self._categories_or_zeros, outcome)
                yield f"{name}:{outcome.name}" if name in drawn else name, Entry("estimates", "", make)
                drawn.add(name)

    def _categories_or_zeros(self, outcome: FittedOutcome) -> Picture:
        """Those of one outcome, at the values of the answering variable where it has an effect on it."""
        answer = self.answer
        at = dict(answer.at) if answer.variable is None else {answer.variable: list(answer.values), **answer.at}
        at = {column: value for column, value in at.items() if column in outcome.coding.known}
        asked: dict[str, Any] = {"at": at, "by": True, "outcome": outcome.name, "prob": self.prob}
        if "zero" not in scales_of(outcome):
            found = predictions(self.tree, scale="probability", **asked)
            return categories(self.tree, found, self.about, outcome=outcome.name)
        parts = [predictions(self.tree, scale=scale, **asked) for scale in ("zero", "mean", "positive")]
        return zero_part(self.tree, parts, self.about, outcome=outcome.name)

    def _baseline_risks(self) -> Picture:
        """Cases fewer at four risks without treatment, in a trial at the means of the covariates."""
        variable = self.answer.variable
        table = stored_table(self.tree)
        covariates = [c for c in read_fitted(self.tree, USUAL_DRAWS).outcome(None)[0].coding.columns if c != variable]
        means = {c: float(table[c].mean()) for c in covariates if table[c].dtype.kind in "iuf"}
        at = {"baseline": list(_BASELINES), **means}
        asked: dict[str, Any] = {"at": at, "measures": ["difference", "nnt"], "prob": self.prob}
        mean, new = (comparisons(self.tree, variable, groups=groups, **asked) for groups in ("typical", "new"))
        return baseline_risks(mean, new, self.about)

    def _groups(self) -> Iterator[tuple[str, Entry]]:
        """How groups differ: a caterpillar for each factor, and the effects of a group against each other."""
        if self.spec["builder"] in META_ANALYSES:
            return
        factors = [factor for factor, group in groups_of_outcomes(self.spec).items() if "process" not in group]
        for i, factor in enumerate(factors):
            name = "caterpillar" if i == 0 else f"caterpillar:{factor}"
            group = self.spec["groups"][factor]
            for_every_row = 2 * group["levels"] > self.spec["data"]["rows"] and "structure" not in group
            section: Section = "asked" if for_every_row or i >= MOST_FACTORS else "groups"
            title = heading(self.tree, factor, self.about)
            yield name, Entry(section, title, partial(caterpillar, self.tree, factor, self.about))
        if correlated_factors(self.tree):
            yield "slopes_scatter", Entry("groups", "", partial(slopes_scatter, self.tree, self.about))

    def _checks(self) -> Iterator[tuple[str, Entry]]:
        """What checks priors, fit and sampler."""
        yield "prior_posterior", Entry("priors", "", partial(prior_posterior, self.tree, self.about))
        if self.of_times:
            from glmm_zoo.report.event_time_figures import cox_snell_of

            check = "Does the model reproduce the data? (Cox–Snell residuals)"
            yield "cox_snell", Entry("checks", check, partial(of_first, self.tree, cox_snell_of))
        else:
            yield from self._predictive_check()
        yield (
            "ranks",
            Entry("checks", "Did the chains agree? (ranks)", partial(of_least_agreeing, self.tree, self._drawn(ranks))),
        )
        yield "trace", Entry("asked", "", partial(of_least_agreeing, self.tree, self._drawn(trace)))

    def _drawn(self, draw: Callable[[xr.DataTree, About], Picture]) -> Callable[[xr.DataTree], Picture]:
        return lambda tree: draw(tree, self.about)

    def _predictive_check(self) -> Iterator[tuple[str, Entry]]:
        check = "Does the model reproduce the data? (posterior predictive check)"
        yield "predictive_check", Entry("checks", check, partial(of_first, self.tree, self._drawn(predictive_check)))

    def of_stored(self, stored: Estimates) -> Picture | None:
        """The figure of estimates that the file holds; None where they are too many, or of a kind that has none."""
        with contextlib.suppress(InputError):
            if "contrast" in stored.of:
                return effects(stored, self.about)
            return adjusted_means(self.tree, stored, self.about)
        return None


@of_a_whole_fit
def plot(tree: xr.DataTree, figure: str, *, prob: float = 0.95, width: int = WIDE) -> Figure:
    """A figure of a fit, as the report has it.

    Parameters
    ----------
    figure
        Its name: "forest", "curves", "caterpillar", ...; a wrong one is answered with those that the fit has.
    prob
        Probability inside the intervals of estimates.
    width
        In pixels, 720 as on a page and 343 as on a telephone.

    Raises
    ------
    InputError
        A name of no figure of this fit; a width in which nothing can be read; a fit that was interrupted.
    """
    check_width(width)
    with computed_once():
        return picture_of(tree, figure, prob=prob).figure(width)


def picture_of(tree: xr.DataTree, figure: str, *, prob: float) -> Picture:
    """A figure that is asked for by name.

    Raises
    ------
    InputError
        A name of no figure of this fit; a fit that was interrupted.
    """
    gap = incomplete(tree)
    if gap is not None:
        raise InputError(f"no figure: {gap}; fit again")
    return Catalogue(tree, prob=prob).picture(figure)
