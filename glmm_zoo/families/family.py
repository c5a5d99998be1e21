"""What a family is: the record by which every builder and every report knows the distribution of a response."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from glmm_zoo.families import log_densities, moments
from glmm_zoo.families.links import probability_link
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.formulas.predictor import PredictorDesign, code_predictor
from glmm_zoo.formulas.terms import Formula, Response
from glmm_zoo.priors import Parameter
from glmm_zoo.tables.columns import Table


@dataclass(frozen=True)
class OwnParameter:
    """A parameter of a family beside its linear predictor.

    `scale` is that on which the density takes it, and on which a linear predictor of its own would be: "identity", "log" or
    "logit"; "thresholds" are the cutpoints of ordered categories. `default` gives the parameter with its default prior.
    `option` is the keyword by which builders give it a linear predictor, None where it has none; `doubts` are those of that
    predictor, as a family's are of the main one. A vector has `labels` along the dimension `dim`; where `to_zero` (k, k) makes
    of it the one at zero of covariates, the density takes that at the means.
    """

    name: str
    scale: str
    default: Callable[[Outcome], Parameter]
    option: str | None = None
    dim: str = ""
    labels: tuple[str, ...] = ()
    to_zero: np.ndarray | None = None
    doubts: Callable[[Outcome, DesignMatrix], Sequence[str]] = lambda _, __: ()


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

    def log_hazard(self, t: np.ndarray, eta: Any, own: Mapping[str, Any]) -> Any:
        """log h"""
        ...

    def cumulative(self, t: np.ndarray, eta: Any, own: Mapping[str, Any]) -> Any:
        """H"""
        ...


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
    own
        The family's own parameters, in the order in which they enter the graph.
    choice
        The keyword that `read` listens to: "success", "levels" or "censored".
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
        Of ordered categories: their probabilities (..., K) given x = thresholds - eta (..., K - 1) and the inverse link.
    event_times
        Of times to an event: their distribution, with `log_hazard` and `cumulative` hazard; the response is Surv(...).
    """

    name: str
    links: tuple[str, ...]
    read: Callable[[Table, Response, Any], Outcome]
    observe: Callable[[str, Outcome, Tensor, str, Mapping[str, Tensor]], None]
    moments: Callable[[np.ndarray, Mapping[str, np.ndarray], str], tuple[np.ndarray, np.ndarray]]
    log_density: log_densities.RowLogDensity
    own: tuple[OwnParameter, ...] = ()
    choice: str | None = None
    code: Callable[[Formula, Table, str], PredictorDesign] = code_predictor
    one_per_row: Callable[[Outcome], bool] = lambda _: False
    doubts: Callable[[Outcome, DesignMatrix], Sequence[str]] = lambda _, __: ()
    latent: bool = False
    findings: tuple[str, ...] = ()
    counted: str | None = None
    count_alone: Callable[[np.ndarray, Mapping[str, np.ndarray]], tuple[np.ndarray, np.ndarray, np.ndarray]] | None = (
        None
    )
    probabilities: moments.Probabilities | None = None
    event_times: EventTimes | None = None

    @property
    def options(self) -> dict[str, str]:
        """The keywords that give the family's own parameters linear predictors, and the parameters' names."""
        return {own.option: own.name for own in self.own if own.option}

    @property
    def scales(self) -> dict[str, str]:
        """The links of those linear predictors, by the parameters' names."""
        return {own.name: own.scale for own in self.own if own.option}

    def latent_variance(self, link: str) -> float | None:
        """The variance of the latent variable's error, None where there is none."""
        return probability_link(link).latent_variance if self.latent else None
