"""Random variables under the priors that the plan chose for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.transforms import LogTransform

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.model import Model
from glmm_zoo.priors import Prior


def data_name(name: str) -> str:
    """The name of data in the graph. It begins with an underscore, which no name made from a column does."""
    return f"_{name}"


def variable(model: Model, name: str, dim: str | tuple[str, ...] | None = None, *, key: str | None = None) -> Tensor:
    """A random variable under its prior (that of `key`, if not its own), or an array over `dim` with one each.

    Elements under the same distribution are one variable; a mixture of distributions becomes one auxiliary variable
    for each, put together under `name`.
    """
    chosen = model.chosen[key or name]
    dims = (dim,) if isinstance(dim, str) else dim
    if not dims:
        return _random(name, chosen[0].distribution, dict(chosen[0].arguments), {})
    shape = tuple(len(model.coords[d]) for d in dims)
    kinds = list(dict.fromkeys((p.distribution, tuple(p.arguments)) for p in chosen))
    if len(kinds) == 1:
        each = len(chosen) > 1  # else one prior for all
        arguments = {a: x.reshape(shape) if each else x for a, x in _columns(chosen).items()}
        return _random(name, kinds[0][0], arguments, {"dims": dims})
    whole: Tensor = pt.zeros(len(chosen))
    labels = ["|".join(map(str, each)) for each in product(*(model.coords[d] for d in dims))]
    for distribution, arguments in kinds:
        at = [i for i, p in enumerate(chosen) if (p.distribution, tuple(p.arguments)) == (distribution, arguments)]
        part = f"{name}_{distribution}" + ("" if [k[0] for k in kinds].count(distribution) == 1 else f"_{at[0]}")
        places = "_".join((part, *dims))
        model.add_coord(places, [labels[i] for i in at])
        model.auxiliary.add(part)
        values = _random(part, distribution, _columns([chosen[i] for i in at]), {"dims": places})
        whole = pt.set_subtensor(whole[np.array(at)], values)
    return pm.Deterministic(name, whole.reshape(shape), dims=dims)


def regression_coefficients(model: Model, name: str, dims: str | tuple[str, ...], to_zero: np.ndarray | None) -> Tensor:
    """Coefficients (k, ...) under their priors, which hold at the covariates' means where there is a matrix `to_zero` (k, k).

    Then those at the means are returned, and the variable `name` are those at zero, `to_zero` times these.
    """
    if to_zero is None:
        return variable(model, name, dims)
    free = f"{name}_at_means"
    model.auxiliary.add(free)
    model.to_zero[name] = to_zero
    at_means = variable(model, free, dims, key=name)
    pm.Deterministic(name, pt.constant(to_zero) @ at_means, dims=dims)
    return at_means


def standard_deviation(
    model: Model, name: str, dim: str | tuple[str, ...] | None = None, *, key: str | None = None, near: float = 1.0
) -> Tensor:
    """A `variable` whose log scale may be bent below its estimate, or below `near` where the approximation has none."""
    sd = variable(model, name, dim, key=key)
    if isinstance(model.rvs_to_transforms.get(sd), LogTransform):
        model.expected_sds[name] = near
    return sd


def _columns(chosen: Sequence[Prior]) -> dict[str, Any]:
    return {a: np.array([p.arguments[a] for p in chosen]) for a in chosen[0].arguments}


def _random(name: str, distribution: str, arguments: Mapping[str, Any], extra: Mapping[str, Any]) -> Tensor:
    return getattr(pm, distribution)(name, **arguments, **extra)


def logit_share(model: Model, name: str, etas: Mapping[str, Tensor]) -> Tensor:
    """logit of the probability `name`: its own predictor where it has one, else of one variable for all rows."""
    if name in etas:
        return etas[name]
    share = variable(model, name)
    log_share: Tensor = pt.log(share)
    return log_share - pt.log1p(-share)


def log_positive(model: Model, name: str, etas: Mapping[str, Tensor]) -> Tensor:
    """log of the positive parameter `name`: its own predictor where it has one, else of one variable for all rows."""
    return etas[name] if name in etas else pt.log(variable(model, name))
