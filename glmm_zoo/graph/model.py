"""The PyMC model that a builder returns, and what the sampler needs to know of it beside its graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from glmm_zoo.errors import InputError
from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.names import prefixed, variable_name
from glmm_zoo.graph.derived import Derived
from glmm_zoo.plans.groups import groups_of, smooth_name
from glmm_zoo.plans.plan import Plan
from glmm_zoo.priors import Prior
from glmm_zoo.results.about import About


class Model(pm.Model):
    """A PyMC model that remembers what it was built from.

    A builder fills it. After that nothing changes it: `with_transforms` returns another model of the same graph.

    From the plan
    -------------
    spec
        What a fit file says of the model, JSON-able: builder, arguments, priors in force, notes, facts.
    frame
        The columns used, of the main table.
    also
        Those of further tables, by the dimension of their rows.
    predictors
        Formulas and design matrices of the linear predictors.
    groups
        The group effects of all linear predictors.
    chosen
        The priors, by the name of the parameter: one for each element, or one for all.
    rows
        How many rows the likelihood has.
    about
        What its card says of it in words; empty without one.
    unit
        The dimension of the pointwise log-likelihood where it has a term for each subject and not for each row; else None.
    covariates
        Those with missing values, mi(x).
    scales
        The unit in which a linear predictor is of size one, by its prefix; 1 where there is none.

    From the graph, as its parts are added
    --------------------------------------
    linear
        The linear predictors, by prefix.
    auxiliary
        Names of variables that only carry others and are not reported.
    attributes
        What the file says of variables beside their values, by name: numbers and text.
    to_zero
        By the name of coefficients whose priors hold at the covariates' means, the matrix that makes them of those there.
    group_effect_names
        Names of the group effects that are independent between levels, those of the factor with the fewest levels first, and of the
        coordinates of others. Their transform is a `GroupEffectsTransform`, of the values of a process a `SerialEffectsTransform`, whose
        inputs are the effects of the factors before it.
    smooth_weight_names
        Names of the penalised weights of smooths. Their transform is a `SmoothWeightsTransform`.
    covariance_roots
        Cholesky factors of the covariances of the group effects, packed row by row (k (k + 1) / 2,), by the effects' name; of
        levels with covariances of their own (levels, k (k + 1) / 2).
    expected_sds
        Standard deviations on a log scale that may be bent below their estimate, with what is expected of each where the
        Gaussian approximation has no estimate.
    event
        The submodel of the time to an event, as the Gaussian approximation sees it; None without one.
    working_log_likelihood
        A log-likelihood by row (n,) for the Gaussian approximation, where the model's own has no terms by row; else None.
    preview_note
        What a preview from the Gaussian approximation has wrong, and in which rows; empty where nothing is known to be.
    no_preview
        Why there is no preview; empty where there is one.
    """

    def __init__(self, plan: Plan):
        self.frame = plan.table
        self.also = plan.also
        super().__init__()
        for dim, labels in _labels_of_dims(plan):
            self.add_coord(dim, labels)
        self.spec = dict(plan.spec)
        self.predictors = plan.predictors
        self.groups = groups_of(plan.predictors, plan.center)
        self.chosen = plan.chosen
        self.about = About()
        self.rows = plan.rows
        self.unit = variable_name(plan.unit.name) if plan.unit else None
        self.scales = plan.scales
        self.covariates = plan.covariates
        self.linear: dict[str, LinearPredictor] = {}
        self.auxiliary: set[str] = set()
        self.attributes: dict[str, dict[str, Any]] = {}
        self.to_zero: dict[str, np.ndarray] = {}
        self.group_effect_names: list[str] = []
        self.smooth_weight_names: list[str] = []
        self.covariance_roots: dict[str, Tensor] = {}
        self.expected_sds: dict[str, float] = {}
        self.event: Event | None = None
        self.working_log_likelihood: Tensor | None = None
        self.preview_note = ""
        self.no_preview = ""
        self._derived: Derived | None = None

    @property
    def outcomes(self) -> list[Any]:
        """The observed variables of the outcomes; those of covariates with missing values are none."""
        return [rv for rv in self.observed_RVs if rv.name not in [c.prefix for c in self.covariates]]

    def add_coord(self, name: str, values: Any = None, **options: Any) -> None:
        """As PyMC's, but a name that is taken is an InputError."""
        try:
            super().add_coord(name, values, **options)
        except ValueError as err:
            raise self._taken(name) from err

    def add_named_variable(self, var: Any, dims: Any = None) -> None:
        """As PyMC's, but a name that is taken is an InputError."""
        if var.name in self.named_vars or var.name in self.coords:
            raise self._taken(var.name)
        super().add_named_variable(var, dims)

    def _taken(self, name: str) -> InputError:
        """Names are made from names of columns, so two things have one only where a column is named as the model's own are."""
        tables = (self.frame, *self.also.values())
        found = [c for table in tables for c in table.columns if variable_name(c) in name]
        whose = f"column {max(found, key=len)!r} is named so that " if found else ""
        return InputError(f"{whose}two parts of the model would have the name {name!r}; rename the column")

    @property
    def derived(self) -> Derived:
        """What follows from the graph as it stands."""
        if self._derived is None or not self._derived.holds_for(self):
            self._derived = Derived(self)
        return self._derived

    def initial_point(self, random_seed: Any = None) -> dict[str, np.ndarray]:
        """As PyMC's, computed once for the variables that the sampler moves, from the graph as it stands."""
        return {name: value.copy() for name, value in self.derived.initial_point.items()}

    def logp(self, vars: Any = None, jacobian: bool = True, sum: bool = True) -> Any:
        """As PyMC's, which derives the terms of all variables, whichever are asked for: here they are derived once.

        Where a potential was added to the model, or something else is asked for than variables of the model, PyMC answers.
        """
        asked = self.basic_RVs if vars is None else vars if isinstance(vars, list | tuple) else [vars]
        rvs = [self.values_to_rvs.get(v, v) for v in asked]
        if self.potentials or not {*rvs} <= {*self.basic_RVs}:
            return super().logp(vars, jacobian, sum)
        known = self.derived.log_densities
        if jacobian not in known:
            known[jacobian] = super().logp(self.basic_RVs, jacobian, sum=False)
        of_rvs = dict(zip(self.basic_RVs, known[jacobian], strict=True))
        terms = [of_rvs[rv] for rv in rvs]
        return pt.add(*(term.sum() for term in terms)) if sum else terms

    def with_transforms(self, transforms: Mapping[str, Transform | None]) -> Model:
        """A model of the same graph in which the sampler moves these random variables through other transforms.

        A variable with None is moved itself. A transform takes the place of one that names its value variable alike.
        """
        changed = object.__new__(type(self))  # not a copy by PyMC, which would clone the graph
        changed.__dict__.update(self.__dict__)
        changed.rvs_to_transforms = self.rvs_to_transforms.copy()
        changed.rvs_to_values = self.rvs_to_values.copy()
        changed.values_to_rvs = self.values_to_rvs.copy()
        changed._derived = None
        for name, transform in transforms.items():
            rv = self[name]
            changed.rvs_to_transforms[rv] = transform
            if transform is None:
                value = rv.clone(name=name)
                del changed.values_to_rvs[changed.rvs_to_values[rv]]
                changed.rvs_to_values[rv], changed.values_to_rvs[value] = value, rv
        return changed


class Event(Protocol):
    """The time to an event, as the Gaussian approximation sees it. `name` is that of the observed variable."""

    name: str

    def approximate(
        self, coefficients: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray]
    ) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]:
        """Elements (variable, position) of its parameters, unconstrained, with their mean (m,) and covariance (m, m).

        They are given estimates of the coefficients, by prefix, and of the group effects (levels, k), by "prefix factor".
        """
        ...

    def transforms(
        self, coefficients: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray]
    ) -> Mapping[str, Transform]:
        """What the sampler moves in the place of effects of its own, given the same."""
        ...


@dataclass(frozen=True)
class LinearPredictor:
    """One linear predictor in the graph, with what it is made of: eta = design @ coefficients + offset + Z u.

    `design` (n, p) holds a column of ones for the intercept, then the columns as they are multiplied; `elements` names
    the random variable and the position in it of every coefficient, `priors` their priors. The columns of monotonic effects, after these,
    have a prior and no element: their coefficients are products of two variables. The last columns are those of the smooths' weights,
    which have neither: `smooth_weights` has their names and sizes.
    """

    design: np.ndarray
    coefficients: Tensor
    elements: list[tuple[str, int]]
    priors: list[Prior]
    offset: np.ndarray | None
    eta: Tensor
    smooth_weights: tuple[SmoothWeights, ...] = ()


@dataclass(frozen=True)
class SmoothWeights:
    """The penalised weights (q,) of a smooth in the graph: the name of the variable, that of its standard deviations, and
    which of these each weight has, `sd_of` (q,).

    Of group effects whose levels depend on each other they are the coordinates of the effects of one predictor: `prior` is the name
    by which the sds have their prior, `places` are the positions of these effects among all of the group."""

    name: str
    sd: str
    sd_of: np.ndarray
    prior: str = ""
    places: tuple[int, ...] = ()


def _labels_of_dims(plan: Plan) -> Iterator[tuple[str, Any]]:
    """Every dimension with its labels."""
    yield from (plan.labels or {"row": np.arange(plan.rows)}).items()
    if plan.unit:
        yield variable_name(plan.unit.name), list(plan.unit.levels)
    for p in plan.predictors:
        if p.population.labels:
            yield prefixed(p.prefix, "coef"), list(p.population.labels)
        for m in p.population.monotonic:
            yield m.dim(p.prefix), m.step_labels
        for s in p.smooths:
            yield smooth_name(p, s, "weight"), list(s.weight_labels)
            if len(s.sds) > 1:
                yield smooth_name(p, s, "part"), list(s.sds)
            if s.linear.shape[1] > 1:
                yield smooth_name(p, s, "coef"), list(s.linear_labels)
    for g in groups_of(plan.predictors, plan.center):
        yield g.dim, list(g.factor.levels)
        yield g.effect_dim, list(g.labels)
        if g.by:
            yield g.by.dim, list(g.by.levels)
        if g.correlated or g.to_zero is not None:
            yield f"{g.effect_dim}_bis", list(g.labels)
