"""Random variables of a graph drawn by NumPy for many draws of what they depend on at once, without a compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from glmm_zoo.families.tensors import as_it_stands


def draw_all(
    responses: Sequence[Any], parameters: Sequence[Any], values: Sequence[np.ndarray], seed: int
) -> list[np.ndarray]:
    """Draws of each response for all `values` (draws, ...) of the parameters of what `written_out` has made of them."""
    return drawer(responses, parameters, seed)(*values)


def drawer(responses: Sequence[Any], parameters: Sequence[Any], seed: int) -> Callable[..., list[np.ndarray]]:
    """A function of the values (draws, ...) of the parameters that draws as `draw_all` does; called for some draws after others it draws
    what it would have drawn for all of them at once."""
    from pymc.pytensorf import compile as compile_graph

    # rewriting would bring in slower operations
    return compile_graph(*_of_all_draws(responses, parameters), random_seed=seed, mode=as_it_stands())


def seed_of(purpose: int, seed: int | None) -> int:
    """A seed of its own for responses (0), for the prior (1) and for responses of new groups (2) of a fit with this seed."""
    return int(np.random.SeedSequence(seed).spawn(purpose + 1)[purpose].generate_state(1)[0])


def written_out(responses: Sequence[Any], unknown: set[Any]) -> tuple[list[Any], list[Any]]:
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
    from pytensor.graph.traversal import ancestors, toposort
    from pytensor.tensor.random.op import RandomVariable

    of_one_draw = {p: p.type() for p in parameters}
    dependence = pt.max(of_one_draw[parameters[0]])
    replaced = dict(of_one_draw)
    nodes: list[Any] = [n for n in toposort(responses, blockers=parameters) if isinstance(n.op, RandomVariable)]
    for node in nodes:
        known = replaced.keys().isdisjoint(ancestors(node.inputs))  # cloning takes a hundred times as long as this
        inputs: list[Any] = node.inputs if known else clone_replace(node.inputs, replaced, rebuild_strict=False)
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

    gamma: Any = basic.gamma
    normal: Any = basic.normal
    uniform: Any = basic.uniform
    cumsum: Any = pt.cumsum
    rng, size, first, *others = inputs
    zero: Any = pt.zeros_like(dependence, dtype=first.dtype)
    spread: Any = zero if isinstance(size.type, NoneTypeT) else zero + pt.zeros(size, dtype=first.dtype)
    if isinstance(op, basic.CategoricalRV):
        u = uniform(spread + 0.0 * first[..., 0], 1.0, rng=rng, return_next_rng=True)[1]
        return pt.sum(u[..., None] > cumsum(first, axis=-1)[..., :-1], axis=-1)
    # the draws of these import SciPy's statistics, which is slow
    if isinstance(op, basic.BernoulliRV):
        u = uniform(spread + 0.0 * first, 1.0, rng=rng, return_next_rng=True)[1]
        return pt.switch(u < first, 1, 0)
    if isinstance(op, basic.HalfNormalRV):
        return first + abs(normal(spread, others[0], rng=rng, return_next_rng=True)[1])
    if isinstance(op, basic.StudentTRV):
        location, scale = others
        rng, precision = gamma(
            0.5 * first + spread + 0.0 * (location + scale), scale=2.0 / first, rng=rng, return_next_rng=True
        )
        return location + scale * normal(0.0, precision**-0.5, rng=rng, return_next_rng=True)[1]
    return op(first + spread, *others, rng=rng, return_next_rng=True)[1]


def _without_cast(y: Any) -> Any:
    """What a cast is of: PyTensor casts number by number, in Python."""
    from pytensor.scalar.basic import Cast
    from pytensor.tensor.elemwise import Elemwise

    return y.owner.inputs[0] if isinstance(y.owner.op, Elemwise) and isinstance(y.owner.op.scalar_op, Cast) else y
