"""The PyMC model that a builder returns, and what the sampler needs to know of it beside its graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pymc as pm
from pymc.distributions.transforms import log

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.names import prefixed, variable_name
from glmm_zoo.graph.transforms.bent_log import BentLog
from glmm_zoo.graph.transforms.smooth_weights import Smoothed
from glmm_zoo.graph.transforms.transport import Transport
from glmm_zoo.plans.groups import groups_of, smooth_name
from glmm_zoo.plans.plan import Plan
from glmm_zoo.priors import Prior


class Model(pm.Model):
    """A PyMC model that remembers what it was built from.

    `spec` is JSON-able: builder, arguments, priors in force, notes. `frame` holds the columns used, `also` those
    of further tables by the dimension of their rows, `predictors` the design, `chosen` the priors, `auxiliary` the names of
    variables that only carry others and are not reported. `unit` is the dimension of the pointwise log-likelihood where it has one term for each subject and not for each row.
    """

    def __init__(self, plan: Plan):
        super().__init__(coords=_coords(plan))
        self.spec = dict(plan.spec)
        self.frame = plan.table
        self.also = plan.also
        self.predictors = plan.predictors
        self.chosen = plan.chosen
        self.rows = plan.rows
        self.unit = variable_name(plan.unit.name) if plan.unit else None
        self.scales = plan.scales
        self.auxiliary: set[str] = set()
        self.linear: dict[str, Linear] = {}
        self.transports: dict[str, Transport] = {}  # by name of the group effects
        self.smoothed: dict[str, Smoothed] = {}  # by name of a smooth's weights
        self.near: dict[str, float] = {}  # a value by name of the standard deviations whose log scale may be bent
        self.roots: dict[str, Tensor] = {}  # packed Cholesky factors of the group effects' covariances, by their name
        self.event: Event | None = None  # the time to an event, given the predictors
        self.working: Tensor | None = None  # a log-likelihood by row for `geometry`, where the model's own is not one
        self._beginning: tuple[list[int], dict[str, np.ndarray]] | None = None

    def initial_point(self, random_seed: Any = None) -> dict[str, np.ndarray]:
        """As PyMC's, computed once for the variables that the sampler moves."""
        moved = [id(v) for v in self.value_vars]
        if self._beginning is None or self._beginning[0] != moved:
            self._beginning = moved, super().initial_point(random_seed)
        return {name: value.copy() for name, value in self._beginning[1].items()}

    def uncentre(self) -> None:
        """Let the sampler move standard normal variables, whatever an approximation said: the non-centred form."""
        for transform in (*self.transports.values(), *self.smoothed.values()):
            transform.known = None
        self.rvs_to_transforms.update({self[name]: log for name in self.near})
        self._beginning = None

    @property
    def bent(self) -> bool:
        """Whether the log scales are bent."""
        return any(isinstance(self.rvs_to_transforms[self[name]], BentLog) for name in self.near)

    def bend(self, modes: Mapping[str, np.ndarray]) -> None:
        """Let the sampler move standard deviations on a log scale that is bent below these values."""
        self.rvs_to_transforms.update({self[name]: BentLog(mode) for name, mode in modes.items()})
        self._beginning = None

    def centre(self) -> None:
        """Let the sampler move group effects and smooths' weights themselves: the centred form."""
        for name in (*self.transports, *self.smoothed):
            rv = self[name]
            value = rv.clone(name=name)
            del self.values_to_rvs[self.rvs_to_values[rv]]
            self.rvs_to_values[rv], self.values_to_rvs[value] = value, rv
            self.rvs_to_transforms[rv] = None


class Event(Protocol):
    """What `geometry` needs to know of an outcome that is not a family's: the observed variable's name, and, given
    estimates of coefficients and group effects, elements (variable, position) of its parameters, unconstrained, with
    their mean (m,) and covariance (m, m)."""

    name: str

    def approximate(
        self, coefficients: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray]
    ) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]: ...


@dataclass
class Linear:
    """One linear predictor in the graph, with what it is made of: eta = design @ coefficients + offset + Z u.

    `design` (n, p) holds a column of ones for the intercept, then the columns as they are multiplied; `elements` names
    the random variable and the position in it of every coefficient, `priors` their priors. The last columns are those of
    the smooths' weights, which are not among the elements: `curves` has their names and sizes.
    """

    design: np.ndarray
    coefficients: Tensor
    elements: list[tuple[str, int]]
    priors: list[Prior]
    offset: np.ndarray | None
    eta: Tensor
    curves: list[Curves] = field(default_factory=list)


@dataclass(frozen=True)
class Curves:
    """The weights of a smooth in the graph: their name, that of their sd, and which sd each has (q,)."""

    weights: str
    sd: str
    sd_of: np.ndarray


def _coords(plan: Plan) -> dict[str, Any]:
    """Labels of every dimension."""
    found: dict[str, Any] = dict(plan.labels) or {"row": np.arange(plan.rows)}
    if plan.unit:
        found[variable_name(plan.unit.name)] = list(plan.unit.levels)
    for p in plan.predictors:
        if p.population.labels:
            found[prefixed(p.prefix, "coef")] = list(p.population.labels)
        for s in p.smooths:
            found[smooth_name(p, s, "weight")] = list(s.weight_labels)
            if len(s.sds) > 1:
                found[smooth_name(p, s, "part")] = list(s.sds)
            if s.linear.shape[1] > 1:
                found[smooth_name(p, s, "coef")] = list(s.linear_labels)
    for g in groups_of(plan.predictors):
        found[g.dim] = list(g.factor.levels)
        found[g.effect_dim] = list(g.labels)
        if g.correlated:
            found[f"{g.effect_dim}_bis"] = list(g.labels)
    return found
