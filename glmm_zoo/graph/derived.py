"""What follows from a PyMC model as it stands and is asked for several times in a fit, derived once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pymc as pm
from pymc.distributions.distribution import support_point

from glmm_zoo.families.tensors import Tensor, evaluated


class Derived:
    """Graphs and values that follow from a model's variables, their values and transforms; of no use once one of these is another."""

    def __init__(self, model: Any):
        self._free, self._starts = list(model.free_RVs), dict(model.rvs_to_initial_values)
        self._values, self._transforms = dict(model.rvs_to_values), dict(model.rvs_to_transforms)
        self.log_densities: dict[bool, list[Tensor]] = {}  # of all random variables, with the Jacobian or without

    def holds_for(self, model: Any) -> bool:
        """Whether the model is as it was."""
        return _same(self._values, model.rvs_to_values) and _same(self._transforms, model.rvs_to_transforms)

    @cached_property
    def stands(self) -> dict[Any, Tensor]:
        """What stands for each random variable: its value, transformed back, where it has a transform.

        As in PyMC's `replace_rvs_by_values`, but the graph is left as it is: what the transform depends on are random variables again.
        """
        return {rv: self._back(rv, value) for rv, value in self._values.items()}

    def _back(self, rv: Any, value: Any) -> Tensor:
        transform = self._transforms.get(rv)
        if transform is None:
            return value
        return rv.type.filter_variable(transform.backward(value, *rv.owner.inputs), allow_convert=True)

    def log_prior(self, rv: Any, *, jacobian: bool) -> Tensor:
        """The log density of a random variable that has one of its own, where the variables stand that it depends on; as in PyMC summed
        over the axes that its transform takes together. With the Jacobian it is that of its value."""
        density, transform = pm.logp(rv, rv), self._transforms.get(rv)
        if transform is None:
            return density
        log_jacobian = transform.log_jac_det(self._values[rv], *rv.owner.inputs)
        together = density.ndim - log_jacobian.ndim
        density = density.sum(axis=tuple(range(-together, 0))) if together else density
        return density + log_jacobian if jacobian else density

    @cached_property
    def initial_point(self) -> dict[str, np.ndarray]:
        """As PyMC's `Model.initial_point`: the support points of the free random variables given those before them, transformed."""
        known: dict[Any, Any] = {}
        point = {}
        for rv in self._free:  # in the order in which they depend on each other
            start, value, transform = self._starts.get(rv), self._values[rv], self._transforms.get(rv)
            first = np.asarray(evaluated([support_point(rv)], known)[0] if start is None else start, rv.dtype)
            if transform is None:
                point[value.name] = known[rv] = first
            else:
                there: Any = rv.type(f"{rv.name}_first")
                (unbounded,) = evaluated([transform.forward(there, *rv.owner.inputs)], known | {there: first})
                point[value.name] = known[value] = np.asarray(unbounded, value.dtype)
                (known[rv],) = evaluated([self.stands[rv]], known)
        return point


def derived_of(model: Any) -> Derived:
    """What follows from a model of the zoo, which keeps it, or from another of PyMC."""
    return getattr(model, "derived", None) or Derived(model)


def _same(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    """Whether both have the same objects in the same order."""
    parts: Sequence[tuple[Any, Any]] = list(zip(one.items(), other.items(), strict=False))
    return len(one) == len(other) and all(a is c and b is d for (a, b), (c, d) in parts)
