"""Draws from the prior, beside those of the posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glmm_zoo.inference.datatree import labels_of_dims, top_level_parameters
from glmm_zoo.inference.random_graphs import draw_all, seed_of, written_out
from glmm_zoo.results.storage import random_effect_variables

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


def prior(model: Model, chains: int, draws: int, seed: int | None) -> xr.Dataset:
    """Draws (chain, draw, ...) from the prior of the parameters of which the file has the log prior, and of what is reported that
    these alone determine, such as the intercept at zero covariates."""
    import pytensor.tensor as pt

    variables = _determined_by_the_prior(model)
    written, _ = written_out(variables, set())
    values = draw_all(written, [pt.scalar()], [np.zeros(chains * draws)], seed_of(1, seed))
    dims = {v.name: tuple(map(str, model.named_vars_to_dims.get(v.name) or ())) for v in variables}
    by_chain = {
        name: (("chain", "draw", *dims[name]), y.reshape(chains, draws, *y.shape[1:]))
        for name, y in zip(dims, values, strict=True)
    }
    used = dict.fromkeys(d for named in dims.values() for d in named)
    coords = {"chain": np.arange(chains), "draw": np.arange(draws), **labels_of_dims(model, list(used))}
    return xr.Dataset(by_chain, coords)


def _determined_by_the_prior(model: Model) -> list[Any]:
    """Top-level parameters, and the reported variables that are made of nothing else."""
    from pytensor.graph.traversal import ancestors

    top = top_level_parameters(model)
    others = {*model.basic_RVs, *model.data_vars} - {*top}
    at_means = {group.free(what) for group in model.groups for what in ("sd", "corr")}
    left_out = (model.auxiliary - at_means) | random_effect_variables(model.spec)
    made = [v for v in model.deterministics if v.name not in left_out and others.isdisjoint(ancestors([v]))]
    return [*top, *made]
