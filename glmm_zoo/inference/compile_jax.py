"""A model's functions compiled by JAX: for graphs that the kernel does not know, and for `backend="jax"`.

Where JAX has several devices, each has some of the rows: XLA then adds up what they find.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import FitError
from glmm_zoo.families.tensors import as_it_stands
from glmm_zoo.formulas.banded import Triangle
from glmm_zoo.inference.kernel.code_cache import private_folder

if TYPE_CHECKING:
    import pymc as pm
    from pytensor.graph.fg import FunctionGraph

    from glmm_zoo.graph.mean_survival import MeanSurvival

# One gradient stays on one thread: 30 us instead of 80 us for 180 rows with correlated slopes. XLA ends the process at
# a flag that it does not know, so only with versions of JAX that it was tried with.
_XLA_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
_XLA_TRIED = ("0.12.",)
_CHUNK_BYTES = 64 * 2**20
_LARGE = 8  # numbers; a constant with more is an argument of the compiled function, as the data are
_CACHE_BYTES = 200 * 2**20

Vectorized = Callable[[np.ndarray], list[np.ndarray]]  # x (draws, n) -> one array (draws, ...) for each variable


@dataclass(frozen=True)
class CompiledFunctions:
    """Of the unconstrained vector x (n,): the log density with its gradient, and any variables of the graph.

    `density` is the former as JAX has it, `density(x, *data)`, with its data.
    """

    value_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]]
    variables: Callable[[Sequence[Any]], Vectorized]  # compiled when asked for
    density: tuple[Callable[..., Any], Sequence[Any]] | None = None


def by_jax(model: pm.Model, shapes: Sequence[tuple[int, ...]], start: np.ndarray) -> CompiledFunctions:
    """The model's functions of x (n,), whose parts are its value variables in these shapes; compiled here and now."""
    jax = _jax()
    import jax.numpy as jnp

    ends = np.cumsum([int(np.prod(s)) for s in shapes])
    rows = {
        len(model.coords[dim] or ()) for rv in model.observed_RVs for dim in model.named_vars_to_dims.get(rv.name, ())
    }

    def lowered(outputs: Sequence[Any]) -> tuple[Callable[..., Any], list[Any]]:
        function, data = _lower(outputs, model.value_vars, shapes)
        lengths = [len(d) for d in data]

        def evaluate(x: Any, *data: Any) -> Any:
            parts = [part.reshape(shape) for part, shape in zip(jnp.split(x, ends[:-1]), shapes, strict=True)]
            return function(*parts, *(d[:n] for d, n in zip(data, lengths, strict=True)))

        return evaluate, [_placed(jax, d, rows) for d in data]

    of_values, data = lowered([model.logp()])

    def density(x: Any, *data: Any) -> Any:
        return of_values(x, *data)[0]

    def value_then_gradient(x: Any, *data: Any) -> Any:
        value, gradient = jax.value_and_grad(density)(x, *data)
        return jnp.concatenate([value[None], gradient])

    compiled = jax.jit(value_then_gradient)
    compiled(start, *data)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        both = np.asarray(compiled(x, *data))
        return both[0], both[1:]

    def variables(wanted: Sequence[Any]) -> Vectorized:
        evaluate, arrays = lowered(model.replace_rvs_by_values(list(wanted)))
        mapped = jax.jit(jax.vmap(evaluate, in_axes=(0, *[None] * len(arrays))))
        return lambda x: _in_chunks(mapped, x, arrays)

    return CompiledFunctions(value_and_gradient, variables, (density, data))


def _placed(jax: Any, array: np.ndarray, rows: Collection[int]) -> Any:
    """An array with as many elements along its first axis as there are rows, spread over all devices: those of the last device are
    filled up with its last element, which nothing reads. Any other array is on each device."""
    devices = jax.devices()
    if len(devices) == 1:
        return jax.device_put(array)
    spec, short = jax.sharding.PartitionSpec(), -len(array) % len(devices)
    if len(array) in rows:
        spec = jax.sharding.PartitionSpec("rows")
        array = np.concatenate([array, np.repeat(array[-1:], short, axis=0)])
    return jax.device_put(array, jax.sharding.NamedSharding(jax.sharding.Mesh(devices, "rows"), spec))


def _jax() -> Any:
    flags = os.environ.get("XLA_FLAGS", "")
    if "jax" not in sys.modules and version("jax").startswith(_XLA_TRIED) and _XLA_FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_XLA_FLAG}".strip()
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    folder = private_folder("jax")  # compiled code of one process serves the next, where it may be kept
    if folder is not None and os.access(folder, os.W_OK) and not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES)
    _finite_softplus(jax)
    _recurrences(jax)
    return jax


def _finite_softplus(jax: Any) -> None:
    """log(1 + e^x) whose gradient is finite for |x| > 709 too, where PyTensor's own translation gives NaN."""
    from pytensor.link.jax.dispatch.basic import jax_funcify
    from pytensor.scalar.math import Softplus

    @jax.custom_jvp
    def softplus(x: Any) -> Any:
        return jax.numpy.maximum(x, 0) + jax.numpy.log1p(jax.numpy.exp(-jax.numpy.abs(x)))

    softplus.defjvps(lambda t, _, x: t * jax.nn.sigmoid(x))
    jax_funcify.register(Softplus)(lambda op, **_: softplus)


def _recurrences(jax: Any) -> None:
    """The vectors of `graph.recurrences`, `graph.bands` and `graph.mean_survival`, and those of `families` with slopes of their own, which PyTensor cannot translate."""
    from pytensor.link.jax.dispatch.basic import jax_funcify

    from glmm_zoo.families.count_tails import count_tails
    from glmm_zoo.families.known_slopes import known_slopes
    from glmm_zoo.graph.bands import BandSolved
    from glmm_zoo.graph.mean_survival import MeanSurvival
    from glmm_zoo.graph.recurrences import PredictedVariance, Recurrence

    def along(step: Callable[..., Any], backward: bool) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            def one(last: Any, x: Any) -> Any:
                made = step(last, *x)
                return made, made

            return jax.lax.scan(one, 0.0, args, reverse=backward)[1]

        return run

    register: Any = jax_funcify.register
    register(Recurrence)(lambda op, **_: along(lambda y, a, b: b + a * y, op.backward))
    register(known_slopes())(lambda op, **_: lambda value, *_: value)
    register(count_tails())(lambda op, **_: lambda *inputs: inputs[-1])
    register(BandSolved)(lambda op, **_: _band_solved(jax, op.A, op.B, op.transposed))
    register(MeanSurvival)(lambda op, **_: _mean_survival(jax, op))
    register(PredictedVariance)(lambda op, **_: along(lambda p, q, c, k: q + c * p / (1.0 + k * p), False))


def _mean_survival(jax: Any, op: MeanSurvival) -> Callable[..., Any]:
    """All subjects at once, each with as many points as the one with most; those that it does not have are without hazard."""
    from glmm_zoo.graph.mean_survival import (
        HIGHEST_LOG_HAZARD,
        LEAST_SURVIVAL,
        LONG_AXIS,
        STEEPEST_SLOPE,
        across,
        long_weights,
    )

    assert not op.slopes, "JAX has derivatives of its own"
    begin, sizes = np.array(op.starts[:-1]), np.diff(op.starts)
    places = np.arange(sizes.max())
    point = np.minimum(begin[:, None] + places, op.starts[-1] - 1)
    there = (places < sizes[:, None]).astype(float)

    def run(a: Any, *c: Any) -> Any:
        y, w = across(len(c))
        first, *others = (jax.numpy.clip(x, -STEEPEST_SLOPE, STEEPEST_SLOPE)[point][..., None] for x in c)
        A = jax.numpy.exp(jax.numpy.minimum(a, HIGHEST_LOG_HAZARD))[point] * there
        F = jax.numpy.exp(sum((x * y[:, k] for k, x in enumerate(others)), jax.numpy.zeros((*point.shape, len(w)))))
        H = jax.numpy.einsum("it,itk,itj->ikj", A, jax.numpy.exp(first * LONG_AXIS), F)
        survival = jax.numpy.einsum("k,ikj,j->i", long_weights(), jax.numpy.exp(-H), w)
        return jax.numpy.log(jax.numpy.maximum(survival, LEAST_SURVIVAL))

    return run


def _band_solved(jax: Any, A: Triangle, B: Triangle, transposed: bool) -> Callable[..., Any]:
    """Row by row, with as many elements before it as the widest row has."""
    width, n = len(A.below) - 1, len(A.diagonal)
    rows = (A.below, B.below)  # entry j of column i is the row i + j
    if not transposed:  # entry j of row i is the column i - j
        rows = tuple(np.stack([np.roll(of_one, j) for j, of_one in enumerate(x)]) for x in rows)

    def run(s: Any, x: Any) -> Any:
        K = (rows[0] + s * rows[1]).T

        def one(last: Any, x: Any) -> Any:
            k, value = x
            made = (value - k[1:] @ last) / k[0]
            return jax.numpy.concatenate([made[None], last[:-1]])[:width], made

        return jax.lax.scan(one, jax.numpy.zeros(width), (K, x), reverse=transposed, length=n)[1]

    return run


def _lower(
    outputs: Sequence[Any], values: Sequence[Any], shapes: Sequence[tuple[int, ...]]
) -> tuple[Callable[..., Any], list[np.ndarray]]:
    """A JAX function of the value variables and the model's data; the data stay arguments, so they are not compiled in."""
    from pytensor.compile.mode import get_mode
    from pytensor.compile.sharedvalue import SharedVariable
    from pytensor.graph.basic import Constant
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.replace import clone_replace
    from pytensor.graph.traversal import graph_inputs
    from pytensor.link.jax.dispatch.basic import jax_funcify
    from pytensor.tensor import as_tensor_variable

    leaves = list(dict.fromkeys(graph_inputs(outputs)))
    shared = {v: v.get_value(borrow=True) for v in leaves if isinstance(v, SharedVariable)}
    large = {v: v.data for v in leaves if isinstance(v, Constant) and np.size(v.data) > _LARGE}
    arrays = {v: x for v, x in {**shared, **large}.items() if np.ndim(x) > 0}
    static = {v: v.type.clone(shape=shape)(v.name) for v, shape in zip(values, shapes, strict=True)}
    inputs = {v: v.type.clone(shape=x.shape)(v.name) for v, x in arrays.items()}
    scalars = {v: as_tensor_variable(x) for v, x in shared.items() if v not in inputs}
    graph = clone_replace(list(outputs), replace={**static, **inputs, **scalars}, rebuild_strict=False)
    fgraph = FunctionGraph([*static.values(), *inputs.values()], graph, clone=True)
    get_mode("JAX").including("local_remove_check_parameter").optimizer.rewrite(fgraph)
    outputs, remaining, constants = _evaluated(fgraph, len(static), list(arrays.values()))
    try:
        return jax_funcify(FunctionGraph(remaining, outputs, clone=False)), constants
    except NotImplementedError as err:
        raise FitError(
            f"JAX has no translation of a function in this model's density ({str(err).splitlines()[0]}); leave backend out"
        ) from err


def _evaluated(
    fgraph: FunctionGraph, parameters: int, data: Sequence[np.ndarray]
) -> tuple[list[Any], list[Any], list[np.ndarray]]:
    """The graph with whatever depends on data alone, log y! for example, computed once instead of at every gradient.

    Returns the outputs, the inputs, and the values of the inputs that follow the first `parameters`.
    """
    from pytensor.compile.maker import function
    from pytensor.graph.basic import Constant
    from pytensor.graph.replace import clone_replace
    from pytensor.tensor import as_tensor_variable

    inputs: list[Any] = list(fgraph.inputs)
    outputs: list[Any] = list(fgraph.outputs)
    known = {*inputs[parameters:], *(v for v in fgraph.variables if isinstance(v, Constant))}
    edge: dict[Any, None] = {}  # what depends on data alone and is used by what does not
    for node in fgraph.toposort():
        if all(v in known for v in node.inputs):
            known.update(node.outputs)
        else:
            edge.update(dict.fromkeys(v for v in node.inputs if v in known and v.owner is not None))
    edge.update(dict.fromkeys(v for v in outputs if v in known and v.owner is not None))
    if not edge:
        return outputs, inputs, list(data)
    run: Any = function(inputs[parameters:], list(edge), mode=as_it_stands(), on_unused_input="ignore")
    values: dict[Any, np.ndarray] = dict(zip(edge, run(*data), strict=True))
    fresh: dict[Any, Any] = {v: v.type() if np.ndim(x) else as_tensor_variable(x) for v, x in values.items()}
    outputs = clone_replace(outputs, replace=fresh, rebuild_strict=False)
    arrays = [(fresh[v], x) for v, x in values.items() if np.ndim(x)]
    return outputs, [*inputs, *(v for v, _ in arrays)], [*data, *(x for _, x in arrays)]


def _in_chunks(function: Callable[..., Any], x: np.ndarray, data: Sequence[Any]) -> list[np.ndarray]:
    """Apply a vectorised function to draws (draws, n) in pieces that stay within memory, all of one compiled shape."""
    width = sum(np.asarray(o).nbytes for o in function(x[:1], *data)) if len(x) > 2000 else 1
    chunk = int(np.clip(_CHUNK_BYTES // max(width, 1), 1, len(x)))
    pieces = []
    for start in range(0, len(x), chunk):
        part = x[start : start + chunk]
        short = chunk - len(part)
        padded = np.concatenate([part, np.repeat(part[-1:], short, axis=0)]) if short else part
        pieces.append([np.asarray(o)[: len(part)] for o in function(padded, *data)])
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
