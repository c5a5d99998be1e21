"""Draws from the prior of a model: beside those of the posterior, and as a fit whose posterior is its prior. There is no sampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glmm_zoo.inference.datatree import data_groups, labels_of_dims, top_level_parameters
from glmm_zoo.inference.random_graphs import draw_all, seed_of, written_out
from glmm_zoo.results.storage import random_effect_variables, write_metadata

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


def prior(model: Model, chains: int, draws: int, seed: int | None) -> xr.Dataset:
    """Draws (chain, draw, ...) from the prior of the parameters of which the file has the log prior, and of what is reported that
    these alone determine, such as the intercept at zero covariates."""
    return _draws(model, determined_by_the_prior(model), chains, draws, seed)


def prior_as_fit(
    model: Model,
    draws: int,
    seed: int | None,
    *,
    responses: bool = False,
    fixed: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> xr.DataTree:
    """The tree of a fit to no data, whose posterior is the prior: one chain of all unobserved variables, and the data groups.

    With `responses` also the group posterior_predictive, of responses drawn with these variables. Random variables that are `fixed` have
    these values in each draw.
    """
    observed = model.outcomes if responses else []
    drawn = _draws(model, [*model.unobserved_RVs, *observed], 1, draws, seed, fixed)
    names = [str(v.name) for v in observed]
    groups = {"posterior": drawn.drop_vars(names)}
    if responses:
        groups["posterior_predictive"] = drawn[names]
    tree = xr.DataTree.from_dict({**groups, **data_groups(model)})
    spec = {**model.spec, "auxiliary": sorted(model.auxiliary)}
    write_metadata(tree, {"spec": spec, "sampling": {"seed": seed, "draws": draws, "chains": 1}})
    return tree


def _draws(
    model: Model,
    variables: Sequence[Any],
    chains: int,
    draws: int,
    seed: int | None,
    fixed: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> xr.Dataset:
    """Draws (chain, draw, ...) of variables of a model from its prior, with their named dims."""
    import pytensor.tensor as pt
    from pytensor.graph.replace import clone_replace

    known = {model[name]: pt.constant(np.asarray(value, float)) for name, value in fixed.items()}
    unknown = [v for v in variables if v not in known]
    written, _ = written_out(clone_replace(unknown, known, rebuild_strict=False) if known else unknown, set())
    with np.errstate(all="ignore"):  # exp of a number of a wide prior may be infinite
        values = draw_all(written, [pt.scalar()], [np.zeros(chains * draws)], seed_of(1, seed))
    drawn = {**{v: of.value for v, of in known.items()}, **dict(zip(unknown, values, strict=True))}
    values = [
        np.broadcast_to(y, (chains * draws, *y.shape)) if y.ndim == v.ndim else y  # of what nothing random is in
        for v, y in ((v, np.asarray(drawn[v])) for v in variables)
    ]
    dims = {str(v.name): tuple(map(str, model.named_vars_to_dims.get(v.name) or ())) for v in variables}
    by_chain = {
        name: (
            ("chain", "draw", *(of or [f"{name}_dim_{i}" for i in range(y.ndim - 1)])),
            y.reshape(chains, draws, *y.shape[1:]),
        )
        for (name, of), y in zip(dims.items(), values, strict=True)
    }
    used = dict.fromkeys(d for named in dims.values() for d in named if d in model.coords)
    coords = {"chain": np.arange(chains), "draw": np.arange(draws), **labels_of_dims(model, list(used))}
    return xr.Dataset(by_chain, coords)


def determined_by_the_prior(model: Model) -> list[Any]:
    """Top-level parameters, and the reported variables that are made of nothing else."""
    from pytensor.graph.traversal import ancestors

    top = top_level_parameters(model)
    others = {*model.basic_RVs, *model.data_vars} - {*top}
    at_means = {group.free(what) for group in model.groups for what in ("sd", "corr")}
    left_out = (model.auxiliary - at_means) | random_effect_variables(model.spec)
    made = [v for v in model.deterministics if v.name not in left_out and others.isdisjoint(ancestors([v]))]
    return [*top, *made]
