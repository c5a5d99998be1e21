"""Responses drawn from the likelihood, for all draws of the posterior at once: of the groups of the fit, and of new ones."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.datatree import MAX_POINTWISE, dims_of_outcomes, labels_of_dims, pointwise_draws
from glmm_zoo.inference.draws import Draws
from glmm_zoo.inference.random_graphs import drawer, seed_of, written_out

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

_AT_ONCE = 500_000  # numbers drawn together
_ROOT_OF_32_BITS = 46_340
NEW_GROUP_DRAWS = 200  # of responses of new groups, of all chains together


def posterior_predictive(model: Model, compiled: Compiled, drawn: Draws, seed: int | None) -> xr.Dataset:
    """The group of the tree, of the draws of which the log-likelihood is kept.

    What the likelihood takes from the unknowns comes from the sampler's compiled graph.
    """
    chains, draws = drawn.stats["diverging"].shape
    kept = pointwise_draws(draws, chains, model.rows)
    return _responses(model, compiled, drawn, kept, set(model.unobserved_RVs), seed_of(0, seed))


def new_groups(model: Model, compiled: Compiled, drawn: Draws, seed: int | None) -> xr.Dataset | None:
    """Responses (sample, row) in the rows of the fit of groups with new effects, drawn from the distributions that it has of them.

    They are of `NEW_GROUP_DRAWS` draws at most, evenly chosen. None for a model without group effects on an outcome, and for a joint model of
    survival, whose visits end with an event that new effects would move.
    """
    covariates = {c.prefix for c in model.covariates}
    effects = {model[name] for g in model.groups if not covariates & {*g.owners} for name in g.randoms} | {
        v for v in model.free_RVs if v.name == "study_effect"
    }
    if not effects or model.event is not None:
        return None
    chains, draws = drawn.stats["diverging"].shape
    kept = pointwise_draws(draws, chains, model.rows)
    most = max(1, min(NEW_GROUP_DRAWS, MAX_POINTWISE // model.rows) // chains)  # of a chain
    kept = kept[:: -(-len(kept) // most)]
    replicated = _responses(model, compiled, drawn, kept, _not_from(effects, model.unobserved_RVs), seed_of(2, seed))
    # a dimension of its own: tree.sel(draw=...) chooses draws that are not here
    return replicated.stack(sample=("chain", "draw"), create_index=False).transpose("sample", ...)


def _not_from(effects: set[Any], variables: Collection[Any]) -> set[Any]:
    """The variables that are none of the effects and do not depend on them."""
    from pytensor.graph.traversal import ancestors

    return {v for v in variables if effects.isdisjoint(ancestors([v]))}


def _responses(
    model: Model, compiled: Compiled, drawn: Draws, kept: np.ndarray, unknown: set[Any], seed: int
) -> xr.Dataset:
    """Responses of these draws of each chain, with the unknowns as they were drawn and all else drawn anew."""
    chains = len(drawn.finished)
    responses, parameters = written_out(model.outcomes, unknown)
    values, draw = compiled.variables(parameters), drawer(responses, parameters, seed)
    x, step = drawn.x_of(kept), max(1, _AT_ONCE // model.rows)
    parts = [[_as_counts(y) for y in draw(*values(x[i : i + step]))] for i in range(0, len(x), step)]
    dims = dims_of_outcomes(model)
    variables = {
        name: (("chain", "draw", dim), np.concatenate([part[k] for part in parts]).reshape(chains, len(kept), -1))
        for k, (name, dim) in enumerate(dims.items())
    }
    coords = {"chain": np.arange(chains), "draw": kept, **labels_of_dims(model, list(dims.values()))}
    return xr.Dataset(variables, coords)


def _as_counts(values: np.ndarray) -> np.ndarray:
    """Whole numbers as integers, which is how ArviZ's plots tell counts from measurements; of 32 bits if these have room for their
    squares."""
    if not np.all(values == np.round(values)):
        return values
    return values.astype(np.int32 if np.abs(values).max(initial=0) <= _ROOT_OF_32_BITS else np.int64)
