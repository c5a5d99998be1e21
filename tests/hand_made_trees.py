"""Fits without sampling: a model's tree with draws that are given, or that come from its prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr

from glmm_zoo.inference.datatree import data_groups, labels_of_dims
from glmm_zoo.results.storage import write_metadata


def tree_of(model: Any, values: Mapping[str, Any]) -> xr.DataTree:
    """The tree of a fit whose posterior has these draws, arrays (chain, draw, ...) by variable; numbers are one draw."""
    variables, dims_used = {}, {}
    for name, value in values.items():
        dims = model.named_vars_to_dims.get(name) or ()
        array = np.asarray(value, float)
        array = array if array.ndim == len(dims) + 2 else array[None, None]
        variables[name] = (("chain", "draw", *dims), array)
        dims_used |= dict.fromkeys(dims)
    posterior = xr.Dataset(variables)
    return _tree(model, posterior.assign_coords(labels_of_dims(model, list(dims_used))))


def tree_of_prior(model: Any, draws: int = 6, seed: int = 1) -> xr.DataTree:
    """The tree of a fit whose posterior is the prior, two chains of so many draws."""
    prior = pm.sample_prior_predictive(
        2 * draws, model, random_seed=seed, var_names=[v.name for v in model.unobserved_RVs]
    )
    values = {}
    for name, array in prior["prior"].data_vars.items():
        v = array.values[0]
        values[str(name)] = v.reshape(2, draws, *v.shape[1:])
    return tree_of(model, values)


def _tree(model: Any, posterior: xr.Dataset) -> xr.DataTree:
    tree = xr.DataTree.from_dict({"posterior": posterior, **data_groups(model)})
    write_metadata(tree, {"spec": {**model.spec, "auxiliary": sorted(model.auxiliary)}, "sampling": {"seed": 1}})
    return tree
