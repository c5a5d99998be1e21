"""Draws from the prior of a model, and a fit whose posterior is its prior. Drawn forwards: there is no sampler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glmm_zoo.inference.datatree import data_groups, labels_of_dims
from glmm_zoo.results.storage import write_metadata

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


def prior_draws(model: Model, variables: Sequence[Any], draws: int, seed: int | None) -> xr.Dataset:
    """Draws (draw, ...) of variables of a model from its prior, group effects and all, with their named dims."""
    from pymc.pytensorf import compile as compile_graph
    from pytensor.compile.mode import Mode
    from pytensor.graph.rewriting.db import RewriteDatabaseQuery
    from pytensor.link.vm import VMLinker

    # compiling costs more than so few evaluations gain
    as_it_stands = Mode(VMLinker(use_cloop=False, c_thunks=False), RewriteDatabaseQuery(include=()))
    own_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    draw = compile_graph([], list(variables), random_seed=own_seed, mode=as_it_stands)
    with np.errstate(all="ignore"):  # exp of a number of a wide prior may be infinite
        values = [np.stack(of_variable) for of_variable in zip(*(draw() for _ in range(draws)), strict=True)]
    names = [str(rv.name) for rv in variables]
    dims = {
        n: model.named_vars_to_dims.get(n) or tuple(f"{n}_dim_{i}" for i in range(v.ndim - 1))
        for n, v in zip(names, values, strict=True)
    }
    used = [d for d in dict.fromkeys(d for of in dims.values() for d in of) if d in model.coords]
    return xr.Dataset(
        {n: (("draw", *dims[n]), v) for n, v in zip(names, values, strict=True)},
        {"draw": np.arange(draws), **labels_of_dims(model, used)},
    )


def prior_as_fit(model: Model, draws: int, seed: int | None) -> xr.DataTree:
    """The tree of a fit to no data, whose posterior is the prior: one chain of all unobserved variables, and the data groups."""
    drawn = prior_draws(model, model.unobserved_RVs, draws, seed).expand_dims(chain=[0])
    tree = xr.DataTree.from_dict({"posterior": drawn, **data_groups(model)})
    spec = {**model.spec, "auxiliary": sorted(model.auxiliary)}
    write_metadata(tree, {"spec": spec, "sampling": {"seed": seed, "draws": draws, "chains": 1}})
    return tree
