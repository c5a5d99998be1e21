"""Responses drawn from the likelihood, for all draws of the posterior at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.datatree import dims_of_outcomes, labels_of_dims, pointwise_draws
from glmm_zoo.inference.draws import Draws

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


def posterior_predictive(model: Model, compiled: Compiled, drawn: Draws, seed: int | None) -> xr.Dataset:
    """The group of the tree, of the draws of which the log-likelihood is kept.

    What the likelihood takes from the unknowns comes from the sampler's compiled graph.
    """
    from pymc.pytensorf import compile as compile_graph
    from pytensor.compile.mode import Mode
    from pytensor.graph.rewriting.db import RewriteDatabaseQuery
    from pytensor.link.vm import VMLinker

    chains, draws = drawn.stats["diverging"].shape
    kept = pointwise_draws(draws, chains, model.rows)
    responses, parameters = _written_out(model.observed_RVs, set(model.unobserved_RVs))
    values = compiled.variables(model.replace_rvs_by_values(parameters))(drawn.x_of(kept))
    # rewriting would bring in slower operations
    as_it_stands = Mode(VMLinker(use_cloop=False, c_thunks=False), RewriteDatabaseQuery(include=()))
    own_seed = int(np.random.SeedSequence(seed).spawn(1)[0].generate_state(1)[0])
    draw = compile_graph(*_of_all_draws(responses, parameters), random_seed=own_seed, mode=as_it_stands)
    dims = dims_of_outcomes(model)
    variables = {
        name: (("chain", "draw", dim), _as_counts(y.reshape(chains, len(kept), -1)))
        for (name, dim), y in zip(dims.items(), draw(*values), strict=True)
    }
    coords = {"chain": np.arange(chains), "draw": kept, **labels_of_dims(model, list(dims.values()))}
    return xr.Dataset(variables, coords)


def _written_out(responses: Sequence[Any], unknown: set[Any]) -> tuple[list[Any], list[Any]]:
    """Responses as a graph of elementary random variables, and what in it is known once the unknowns are."""
    from pymc.distributions.distribution import SymbolicRandomVariable
    from pytensor.compile.rewriting import inline_ofg_node
    from pytensor.graph.replace import graph_replace
    from pytensor.graph.traversal import ancestors, toposort
    from pytensor.tensor.random.op import RandomVariable

    written = list(responses)
    while composed := next(
        (n for n in toposort(written, blockers=unknown) if isinstance(n.op, SymbolicRandomVariable)), None
    ):
        replaced = dict(zip(composed.outputs, inline_ofg_node(composed), strict=True))
        written = graph_replace(written, replaced, strict=False)
    random: set[Any] = set()
    parameters: dict[Any, None] = {}
    for node in toposort(written, blockers=unknown):
        if isinstance(node.op, RandomVariable) or not random.isdisjoint(node.inputs):
            random.update(node.outputs)
            fixed = [v for v in node.inputs if v not in random]
            parameters.update(dict.fromkeys(v for v in fixed if not unknown.isdisjoint(ancestors([v]))))
    return written, list(parameters)


def _of_all_draws(responses: Sequence[Any], parameters: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The parameters of many draws (draws, ...), and the responses written out for all of them at once.

    Each random variable, which has scalar parameters or is a category, is made to depend on a parameter, since PyTensor
    draws once for all what does not.
    """
    import pytensor.tensor as pt
    from pytensor.graph.replace import clone_replace, vectorize_graph
    from pytensor.graph.traversal import toposort
    from pytensor.tensor.random.op import RandomVariable

    of_one_draw = {p: p.type() for p in parameters}
    dependence = pt.max(of_one_draw[parameters[0]])
    replaced = dict(of_one_draw)
    nodes: list[Any] = [n for n in toposort(responses, blockers=parameters) if isinstance(n.op, RandomVariable)]
    for node in nodes:
        inputs: list[Any] = clone_replace(node.inputs, replaced, rebuild_strict=False)
        replaced[node.outputs[1]] = _dependent_draw(node.op, inputs, dependence)
    given = {v: pt.tensor(dtype=v.type.dtype, shape=(None, *v.type.shape)) for v in of_one_draw.values()}
    return list(given.values()), vectorize_graph(
        clone_replace([_without_cast(y) for y in responses], replaced, rebuild_strict=False), given
    )


def _dependent_draw(op: Any, inputs: Sequence[Any], dependence: Any) -> Any:
    """The random variable `op` of these inputs, made to depend on another number without being changed by it."""
    import pytensor.tensor as pt
    from pytensor.tensor.random import basic
    from pytensor.tensor.type_other import NoneTypeT

    uniform: Any = basic.uniform
    cumsum: Any = pt.cumsum
    rng, size, first, *others = inputs
    zero: Any = pt.zeros_like(dependence, dtype=first.dtype)
    spread: Any = zero if isinstance(size.type, NoneTypeT) else zero + pt.zeros(size, dtype=first.dtype)
    if isinstance(op, basic.CategoricalRV):
        u = uniform(spread + 0.0 * first[..., 0], 1.0, rng=rng, return_next_rng=True)[1]
        return pt.sum(u[..., None] > cumsum(first, axis=-1)[..., :-1], axis=-1)
    if isinstance(op, basic.BernoulliRV):  # its own draws import SciPy's statistics, which is slow
        u = uniform(spread + 0.0 * first, 1.0, rng=rng, return_next_rng=True)[1]
        return pt.switch(u < first, 1, 0)
    return op(first + spread, *others, rng=rng, return_next_rng=True)[1]


def _without_cast(y: Any) -> Any:
    """What a cast is of: PyTensor casts number by number, in Python."""
    from pytensor.scalar.basic import Cast
    from pytensor.tensor.elemwise import Elemwise

    return y.owner.inputs[0] if isinstance(y.owner.op, Elemwise) and isinstance(y.owner.op.scalar_op, Cast) else y


def _as_counts(values: np.ndarray) -> np.ndarray:
    """Whole numbers as integers, which is how ArviZ's plots tell counts from measurements."""
    return values.astype(np.int64) if np.all(values == np.round(values)) else values
