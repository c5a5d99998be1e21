"""What a family is: the record by which every builder and every report knows the distribution of a response."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from glmm_zoo.families import log_densities, moments
from glmm_zoo.families.law import Law
from glmm_zoo.families.links import LINKS, probability_link
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.formulas.predictor import PredictorDesign, code_predictor
from glmm_zoo.formulas.terms import Formula, Response
from glmm_zoo.priors import Parameter
from glmm_zoo.tables.columns import Table

type Responses = Literal["measured", "binary", "count", "ordered", "unordered", "time"]


@dataclass(frozen=True)
class OwnParameter:
    """A parameter of a family beside its linear predictor.

    `scale` is that on which the density takes it, and on which a linear predictor of its own would be: "identity", "log" or
    "logit"; "thresholds" are the cutpoints of ordered categories. `default` gives the parameter with its default prior; None of
    what is 1 but where it has a linear predictor. `option` is the keyword by which builders give it a linear predictor, None
    where it has none; `location` is where the intercept of that predictor is expected, `code` how it is coded if not as the main
    one; `doubts` are its, as a family's. A vector has `labels` along the dimension `dim`; where `to_zero` (k, k) makes of it the
    one at zero of covariates, the density takes that at the means.

    What reports tell: `words` for what it is, of a share for what it is the probability of; its `symbol` in formulas; what its
    prior `allows`, a sentence with `{low}`, `{middle}`, `{high}` for the 2.5 %, 50 % and 97.5 % quantiles, `{most}` for that of
    95 %, each put through `shown`, `{unit}` for the unit of the response and `{inner}` for "95 %"; `why` its default is what it is.
    """

    name: str
    scale: str
    default: Callable[[Outcome], Parameter] | None
    option: str | None = None
    location: Callable[[Outcome], float] = lambda _: 0.0
    code: Callable[[Formula, Table, str], PredictorDesign] | None = None
    dim: str = ""
    labels: tuple[str, ...] = ()
    to_zero: np.ndarray | None = None
    doubts: Callable[[Outcome, DesignMatrix], Sequence[str]] = lambda _, __: ()
    words: str = ""
    symbol: str = ""
    allows: str = "Values from {low} to {high} ({inner})"
    shown: Callable[[float], float] = lambda value: value
    why: str = ""

    def on_its_scale(self, draws: np.ndarray) -> np.ndarray:
        """Draws as the density takes them: the logarithm of a positive parameter, the logit of a share."""
        if self.scale == "logit":
            return np.log(draws) - np.log1p(-draws)
        return np.log(draws) if self.scale == "log" else draws


class EventTimes(Protocol):
    """A distribution of times to an event: log h and H (..., n) at times (n,), given eta (..., n) and the own parameters.

    `origin` is the time before which nothing is said of the hazard, `breaks` those at which it jumps.
    """

    @property
    def origin(self) -> float: ...

    @property
    def breaks(self) -> np.ndarray: ...

    def spread(self, own: Mapping[str, np.ndarray]) -> np.ndarray | float:
        """The size of a change of eta over which survival at a time falls from nearly 1 to nearly 0."""
        ...

    def log_variance(self, own: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """The variance of the logarithm of a time given eta; None where eta is not its level."""
        ...

    def log_hazard(self, t: np.ndarray, eta: Any, own: Mapping[str, Any]) -> Any:
        """log h"""
        ...

    def cumulative(self, t: np.ndarray, eta: Any, own: Mapping[str, Any]) -> Any:
        """H"""
        ...

    def course(
        self, t: np.ndarray, own: Mapping[str, np.ndarray]
    ) -> Callable[[np.ndarray], Callable[[int], np.ndarray]]:
        """From eta (S, m) to H (S, m) at the j-th of times (k,), with draws in NumPy: what eta does not change is computed once."""
        ...


def is_open(end: float | str) -> bool:
    """Whether a bound of a response, a number or a column, is none."""
    return not isinstance(end, str) and bool(np.isinf(end))


@dataclass(frozen=True)
class Family:
    """A distribution of a response given its linear predictor eta.

    Attributes
    ----------
    name
        The word for it in `family=` and in fit files.
    links
        The links it may have; the first is the default.
    read
        `read(table, response, choice)` checks the response of a formula. `choice` is what the user gave by the keyword that
        the attribute `choice` names, None if nothing.
    observe
        `observe(name, outcome, eta, link, own)` adds the observed variable `name`, with its density and its simulation, to the
        model of the context; `own` holds the family's own parameters, each (n,) or a scalar, on their scales.
    moments
        `moments(eta, own, link)`: mean and variance of the response in NumPy, for what a report computes.
    log_density
        `log_density(y, eta, own, link, trials)`: log f(y) in NumPy, `own` as in `observe`, for what is computed of a fit's draws.
    responses
        What its responses are, and with it what their mean is called: "measured" (a mean, in a unit), "binary" (a risk), "count" (a
        mean number, or a rate), "ordered" (an expected score), "unordered" (a probability of each category), "time" to an event (none:
        survival at a time is told).
    called
        The word for it in "a Bayesian ... mixed model".
    distribution
        The predicate of the sentence on a response, with the symbols of `formula`: "has a Poisson distribution with mean μ"; of
        ordered categories the sentence on their thresholds; of times that of their hazard or their logarithm.
    formula
        The distribution as a formula, "NegBinomial(μ, φ)", of which every letter is a symbol, with an index where it differs between
        rows; of ordered categories the event that the threshold k is of; of times what their hazard or their logarithm is.
    own
        The family's own parameters, in the order in which they enter the graph.
    centre
        What the inverse link of eta is; unless it is the mean, `moments` has the mean. With it goes the symbol of the formulas.
    zeros
        What the share "zi" of zeros of counts is of: "structural" zeros beyond those of the count, or "all" zeros.
    draw
        `draw(rng, eta, own, link)`: responses in NumPy, `own` as in `moments`, of binary ones the probability of success of a row;
        None of those that are drawn by their probabilities.
    ends
        Of proportions, what may happen at the ends of the scale and how probable it is, as formulas with the symbols of `formula`.
    choice
        The keyword that `read` listens to: "success", "levels", "reference" or "censored".
    code
        How the right side of the formula is coded, where the intercept is another than usual.
    one_per_row
        Whether a group effect for every row can be told from the family's own variation, given the outcome.
    doubts
        Sentences that a user should know before trusting the fit, given the outcome and its population columns.
    latent
        Whether the response is a latent variable that is cut, whose error has the link's `latent_variance`.
    findings
        What the report of a single outcome looks into: names of files of `results/findings`.
    counted
        What a rate of this family counts; None where there are no rates.
    count_alone
        Of counts, `count_alone(eta, own)`: E(y), E(y^2) and P(y > 0) of the count alone, without a share of further zeros.
    probabilities
        Of ordered categories: their probabilities (K, ...) given x = thresholds - eta (K - 1, ...) and the inverse link.
    predictors
        The names of its main linear predictors given the outcome, each made by the whole formula: "" alone for a family that has
        one; else eta (..., K - 1) holds them in this order.
    event_times
        Of times to an event, whose response is Surv(...): the distribution of each cause by the name of its predictor, "" of an only one.
    law
        Its distribution function, with which responses may be censored, `y | cens(c)`, or truncated, `y | trunc(lb, ub)`.
    bounds
        Where responses are seen in part: the least and the largest value that is seen, minus and plus infinity where it is only that
        they may be censored. Moments, draws and densities are those of what is seen.
    """

    name: str
    links: tuple[str, ...]
    read: Callable[[Table, Response, Any], Outcome]
    observe: Callable[[str, Outcome, Tensor, str, Mapping[str, Tensor]], None]
    moments: Callable[[np.ndarray, Mapping[str, np.ndarray], str], tuple[np.ndarray, np.ndarray]]
    log_density: log_densities.RowLogDensity
    responses: Responses
    called: str
    distribution: str
    formula: str
    own: tuple[OwnParameter, ...] = ()
    choice: str | None = None
    code: Callable[[Formula, Table, str], PredictorDesign] = code_predictor
    one_per_row: Callable[[Outcome], bool] = lambda _: False
    doubts: Callable[[Outcome, DesignMatrix], Sequence[str]] = lambda _, __: ()
    latent: bool = False
    centre: str = "mean"
    zeros: Literal["structural", "all"] | None = None
    draw: Callable[[np.random.Generator, np.ndarray, Mapping[str, np.ndarray], str], np.ndarray] | None = None
    ends: tuple[tuple[str, str], ...] = ()
    findings: tuple[str, ...] = ()
    counted: str | None = None
    count_alone: Callable[[np.ndarray, Mapping[str, np.ndarray]], tuple[np.ndarray, np.ndarray, np.ndarray]] | None = (
        None
    )
    probabilities: moments.Probabilities | None = None
    predictors: Callable[[Outcome], Sequence[str]] = lambda _: ("",)
    event_times: Mapping[str, EventTimes] | None = None
    law: Law | None = None
    bounds: tuple[float | str, float | str] | None = None

    @property
    def options(self) -> dict[str, str]:
        """The keywords that give the family's own parameters linear predictors, and the parameters' names."""
        return {own.option: own.name for own in self.own if own.option}

    @property
    def scales(self) -> dict[str, str]:
        """The links of those linear predictors, by the parameters' names."""
        return {own.name: own.scale for own in self.own if own.option}

    @property
    def described_bounds(self) -> list[float | str | None] | None:
        """The bounds as a spec has them, with None for an open end."""
        return None if self.bounds is None else [None if is_open(end) else end for end in self.bounds]

    @property
    def truncated(self) -> bool:
        """Whether there are values of the response that are not seen."""
        return self.bounds is not None and not all(map(is_open, self.bounds))

    @property
    def symbol(self) -> str:
        """The symbol of the inverse link of eta; of categories and times, whose mean no formula has, that of eta."""
        of_mean = "μ" if self.centre == "mean" else "m"
        return {"binary": "p", "ordered": "η", "unordered": "η", "time": "η"}.get(self.responses, of_mean)

    def ratio(self, link: str) -> str | None:
        """What exp of a coefficient is called, None where it has no name: "rate_ratio", of what is measured "ratio_of_means"."""
        return "ratio_of_means" if link == "log" and self.responses == "measured" else LINKS[link].ratio

    def median_ratio(self, link: str) -> str | None:
        """What the median ratio between two levels of a group is called, None where it has no name."""
        return "median_ratio_of_means" if link == "log" and self.responses == "measured" else LINKS[link].median_ratio

    def own_parameter(self, name: str) -> OwnParameter | None:
        """The own parameter of that name, None where it has none."""
        return next((own for own in self.own if own.name == name), None)

    def parameters(self, outcome: Outcome, predicted: Collection[str]) -> list[Parameter]:
        """The family's own parameters but for those that are `predicted`, each with its default prior."""
        return [p.default(outcome) for p in self.own if p.default is not None and p.name not in predicted]

    def locations(self, outcome: Outcome) -> dict[str, float]:
        """Where the intercepts of several main linear predictors, and of those of its own parameters, are expected, by name."""
        of_own = {own.name: own.location(outcome) for own in self.own if own.option}
        return dict(zip(self.predictors(outcome), outcome.locations, strict=False)) | of_own

    def coder(self, part: str) -> Callable[[Formula, Table, str], PredictorDesign]:
        """How the right side of the main predictor, "", or of an own parameter's is coded."""
        return next((own.code for own in self.own if own.name == part and own.code is not None), self.code)

    def latent_variance(self, link: str) -> float | None:
        """The variance of the latent variable's error, None where there is none."""
        return probability_link(link).latent_variance if self.latent else None
