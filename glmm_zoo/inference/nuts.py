"""From a PyMC model to draws: compiled by `kernel`, sampled by nutpie's NUTS. Sees a PyMC model, never a builder.

For data of the usual size a user waits for start-up, compiling and calls, not for arithmetic. So:

* the density and its gradient are one function in machine code, which nutpie calls without returning to Python;
* nutpie moves the unconstrained vector only, in coordinates of unit size; what users see is computed from it afterwards;
* where draws are correlated and cost little, more are made in coordinates learnt from those there are;
* a graph that the kernel does not know is compiled by JAX.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from glmm_zoo.errors import FitError
from glmm_zoo.inference.kernel.expression import UnsupportedError
from glmm_zoo.inference.moments import Moments, statistics

if TYPE_CHECKING:
    import pymc as pm
    from pytensor.graph.fg import FunctionGraph

    from glmm_zoo.inference.kernel.machine import Function

_log = logging.getLogger("glmm_zoo")

MAX_TREE_DEPTH = 10
_SLOW_GRADIENT = 150e-6  # seconds; from here on threads of Python gain more than they lose to the interpreter lock
# One gradient stays on one thread: 30 us instead of 80 us for 180 rows with correlated slopes. XLA ends the process at
# a flag that it does not know, so only with versions of JAX that it was tried with.
_XLA_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
_XLA_TRIED = ("0.12.",)
_CHUNK_BYTES = 64 * 2**20
_LARGE = 8  # numbers; a constant with more is an argument of the compiled function, as the data are
_CACHE_BYTES = 200 * 2**20
_MOST_LEARNT = 100  # elements whose correlations are learnt from draws
_STATS = {
    "diverging": ("diverging", bool),
    "energy": ("energy", float),
    "logp": ("lp", float),
    "depth": ("tree_depth", int),
    "maxdepth_reached": ("reached_max_treedepth", bool),
    "n_steps": ("n_steps", int),
    "step_size": ("step_size", float),
    "mean_tree_accept": ("acceptance_rate", float),
}


Vectorized = Callable[[np.ndarray], list[np.ndarray]]  # x (draws, n) -> one array (draws, ...) for each variable


@dataclass(frozen=True)
class Axes:
    """The coordinates z that the sampler moves: x[index] = mean + root z[index], and x = z for all others.

    `index` (m,), `mean` (m,), `root` (m, m) lower triangular.
    """

    index: np.ndarray
    mean: np.ndarray
    root: np.ndarray

    def x(self, z: np.ndarray) -> np.ndarray:
        """The unconstrained vectors (..., n)."""
        x = z.copy()
        x[..., self.index] = self.part_of_x(z[..., self.index])
        return x

    def z(self, x: np.ndarray) -> np.ndarray:
        """The inverse of `x`."""
        z = x.copy()
        z[..., self.index] = self.part_of_z(x[..., self.index])
        return z

    def part_of_x(self, z: np.ndarray) -> np.ndarray:
        """x[index] of z[index] (..., m)."""
        return self.mean + z @ self.root.T

    def part_of_z(self, x: np.ndarray) -> np.ndarray:
        """z[index] of x[index] (..., m)."""
        return (x - self.mean) @ np.linalg.inv(self.root).T

    def beside(self, index: np.ndarray, mean: np.ndarray, root: np.ndarray) -> Axes:
        """The same with a block of other elements."""
        m = len(self.index)
        whole = np.zeros((m + len(index),) * 2)
        whole[:m, :m], whole[m:, m:] = self.root, root
        return Axes(np.append(self.index, index), np.append(self.mean, mean), whole)


_PLAIN = Axes(np.zeros(0, int), np.zeros(0), np.zeros((0, 0)))


@dataclass(frozen=True)
class Compiled:
    """A model's functions of the unconstrained vector x (n,), and the coordinates in which to sample it."""

    start: np.ndarray
    value_and_grad: Callable[[np.ndarray], tuple[float, np.ndarray]]
    function: Callable[[Sequence[Any]], Vectorized]  # of variables of the graph, compiled when asked for
    seconds: float
    axes: Axes
    program: Function | None = None  # in machine code, to be called without Python

    @property
    def size(self) -> int:
        return len(self.start)

    def of_z(self) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        """The density and its gradient as functions of z, for callers in Python."""
        axes = self.axes
        if self.program is not None:
            return _valued(self.native())

        def value_and_grad(z: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self.value_and_grad(axes.x(z))
            gradient = gradient.copy()
            gradient[axes.index] = axes.root.T @ gradient[axes.index]
            return value, gradient

        return value_and_grad

    def native(self) -> Function:
        """The same in machine code."""
        from glmm_zoo.inference.kernel.machine import Moved

        assert self.program is not None
        axes = self.axes
        return Moved(self.program, axes.index, axes.mean, axes.root) if len(axes.index) else self.program

    def learnt(self, draws: Sequence[np.ndarray], elements: np.ndarray, effective: float) -> Compiled:
        """The same in coordinates in which these elements of draws x (chains, draws, n), together worth so many independent
        ones, are uncorrelated and of unit size.

        The fewer draws there are for an element, the less is made of its correlations.
        """
        if len(elements) > _MOST_LEARNT:
            return self
        more = np.setdiff1d(elements, self.axes.index)
        axes = self.axes.beside(more, np.zeros(len(more)), np.eye(len(more)))
        m = len(axes.index)
        z = np.concatenate([axes.part_of_z(x[:, :, axes.index]).reshape(-1, m) for x in draws])
        covariance = np.cov(z.T).reshape(m, m)
        covariance *= np.where(np.eye(m, dtype=bool), 1.0, effective / (effective + m))
        root = np.linalg.cholesky(covariance + 1e-9 * np.eye(m))
        return replace(self, axes=Axes(axes.index, axes.mean + axes.root @ z.mean(axis=0), axes.root @ root))


@dataclass(frozen=True)
class Recording:
    """What is kept of a draw x (n,) where not x itself: `every` of each draw, of `moments` only the moments.

    Of the draws `whole`, x is kept too.
    """

    every: Vectorized
    moments: Vectorized
    whole: np.ndarray


@dataclass(frozen=True)
class Draws:
    """Unconstrained draws, NaN from where a chain was stopped, and sampler statistics."""

    x: np.ndarray  # (chains, draws, n), or of the draws `at` only
    at: np.ndarray
    stats: Mapping[str, np.ndarray]  # (chains, draws) each
    finished: np.ndarray  # (chains,) draws made after warm-up
    gradients: int  # of warm-up and sampling together
    interrupted: bool
    seconds: float
    recorded: Sequence[np.ndarray] | None = None  # (chains, draws, ...) of each variable recorded
    moments: np.ndarray | None = None  # (statistics, k)

    def held(self, draws: np.ndarray) -> np.ndarray:
        """x of these draws of every chain (chains x draws, n)."""
        return self.x[:, np.searchsorted(self.at, draws)].reshape(-1, self.x.shape[2])

    def after(self, other: Draws) -> Draws:
        """These, with the work of both."""
        return replace(self, gradients=self.gradients + other.gradients, seconds=self.seconds + other.seconds)


def joined(parts: Sequence[Draws], every: int) -> Draws:
    """Chains of equally many draws one after another, of which every so many-th is kept, with what statistics say of those
    since the one before."""
    if every == len(parts) == 1:
        return parts[0]
    draws = parts[0].x.shape[1]
    kept = np.arange(every - 1, draws * len(parts), every)
    x = np.concatenate([p.x[:, kept[kept // draws == i] % draws] for i, p in enumerate(parts)], axis=1)
    stats = {}
    for name, v in parts[0].stats.items():
        whole = [p.stats[name] for p in parts]
        if name == "energy":  # which has a constant for each mass matrix
            whole = [e - _mean(e) + _mean(v) for e in whole]
        each = np.concatenate(whole, axis=1)[:, : every * len(kept)].reshape(len(v), -1, every)
        stats[name] = each.any(axis=2) if v.dtype == bool else each[:, :, -1]
    return replace(
        parts[-1],
        x=x,
        at=np.arange(len(kept)),
        stats=stats,
        finished=sum(p.finished for p in parts) // every,
        gradients=sum(p.gradients for p in parts),
        seconds=sum(p.seconds for p in parts),
    )


def _mean(v: np.ndarray) -> np.ndarray:
    """Over the draws of each chain that were made (chains, 1)."""
    made = np.isfinite(v)
    return np.where(made, v, 0.0).sum(axis=1, keepdims=True) / np.maximum(made.sum(axis=1, keepdims=True), 1)


def _jax() -> Any:
    flags = os.environ.get("XLA_FLAGS", "")
    if "jax" not in sys.modules and version("jax").startswith(_XLA_TRIED) and _XLA_FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_XLA_FLAG}".strip()
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(home, "glmm_zoo", "jax")
    with contextlib.suppress(OSError):  # compiled code of one process serves the next, where it may be kept
        os.makedirs(folder, exist_ok=True)
    if os.access(folder, os.W_OK) and not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES)
    _finite_softplus(jax)
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


def _nutpie() -> Any:
    """nutpie, without waiting for what it imports for conversions that are not used here: ArviZ with its plots, Numba.

    nutpie gets stand-ins that import these when something is asked of them, so its other functions work as ever.
    """
    deferred: dict[str, ModuleType] = {}
    if "nutpie" not in sys.modules:
        compiler = ModuleType("nutpie.compile_pymc")
        compiler.compile_pymc_model = lambda *args, **options: importlib.import_module(  # type: ignore[attr-defined]
            "nutpie.compile_pymc"
        ).compile_pymc_model(*args, **options)
        arviz = ModuleType("arviz")
        arviz.__getattr__ = lambda name: getattr(importlib.import_module("arviz"), name)  # type: ignore[method-assign]
        deferred = {m.__name__: m for m in (compiler, arviz) if m.__name__ not in sys.modules}
    sys.modules.update(deferred)
    try:
        return importlib.import_module("nutpie")
    finally:
        for name in deferred:
            del sys.modules[name]


# ------------------------------------------------------------------------------------------------------------- compile


def check_density(model: pm.Model) -> None:
    """Evaluate the log density once in a mode that checks array bounds, which the compiled backends do not.

    Raises
    ------
    FitError
        When a term of it is not finite at the initial point, or an index is out of range.
    """
    point = model.initial_point()
    try:
        value = model.compile_logp(mode="FAST_COMPILE")(point)
    except IndexError as err:
        raise FitError(f"the model indexes past the levels of a factor: {err}") from err
    if not np.isfinite(value):
        bad = [name for name, term in model.point_logps(point).items() if not np.isfinite(term)]
        raise FitError(
            f"the log density is {value} at the initial point; not finite: {', '.join(bad)}; check priors and data"
        )


class Geometry(Protocol):
    """Where to start and how to scale: unconstrained values by variable, and blocks of elements (variable, position)
    with their mean (m,) and a root of their covariance (m, m)."""

    @property
    def point(self) -> Mapping[str, np.ndarray]: ...

    @property
    def blocks(self) -> Sequence[tuple[Sequence[tuple[str, int]], np.ndarray, np.ndarray]]: ...


def compile_model(model: pm.Model, geometry: Geometry | None = None) -> Compiled:
    """Compile the log density with its gradient.

    With a geometry, the sampler's coordinates z are such that z = 0 is its mean in each block and the block's covariance I.

    Raises
    ------
    FitError
        When an index of the model is out of range, which would sample silently, or the log density is not finite at
        the start.
    """
    began = time.perf_counter()
    point = model.initial_point()
    shapes = [np.shape(point[v.name]) for v in model.value_vars]
    firsts = [0, *np.cumsum([int(np.prod(s)) for s in shapes])]
    beginning = {**point, **(geometry.point if geometry else {})}
    start = np.concatenate([np.ravel(beginning[v.name]).astype(float) for v in model.value_vars])
    first = dict(zip([model.values_to_rvs[v].name for v in model.value_vars], firsts, strict=False))
    axes = _PLAIN
    for elements, mean, root in geometry.blocks if geometry else ():
        axes = axes.beside(np.array([first[rv] + i for rv, i in elements]), mean, root)
    start[axes.index] = axes.mean
    try:
        compiled = _machine_code(model, shapes, start, axes)
    except UnsupportedError as err:
        _log.info("compiled by JAX, because the kernel does not know %s", err)
        check_density(model)
        compiled = _by_jax(model, shapes, start, axes)
    except IndexError as err:
        raise FitError(f"the model indexes past the levels of a factor: {err}") from err
    if not np.isfinite(compiled.value_and_grad(start)[0]):
        check_density(model)
    return replace(compiled, seconds=time.perf_counter() - began)


def _machine_code(model: pm.Model, shapes: Sequence[tuple[int, ...]], start: np.ndarray, axes: Axes) -> Compiled:
    from glmm_zoo.inference.kernel.density import Unconstrained

    unconstrained = Unconstrained(model.value_vars, shapes)
    program = unconstrained.with_gradient(model.logp())

    def function(variables: Sequence[Any]) -> Vectorized:
        run, found = unconstrained.outputs(variables)
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in found)])

        def by_draw(x: np.ndarray) -> list[np.ndarray]:
            out = np.zeros((len(x), ends[-1]))
            for one, result in zip(np.ascontiguousarray(x), out, strict=True):
                run(one, result)
            parts = zip(ends[:-1], ends[1:], found, strict=True)
            return [out[:, a:b].reshape(len(x), *shape) for a, b, shape in parts]

        return by_draw

    return Compiled(start, _valued(program), function, 0.0, axes, program)


def _valued(program: Function) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.zeros(len(x))
        return program(np.ascontiguousarray(x), gradient), gradient

    return value_and_grad


def _by_jax(model: pm.Model, shapes: Sequence[tuple[int, ...]], start: np.ndarray, axes: Axes) -> Compiled:
    jax = _jax()
    import jax.numpy as jnp

    ends = np.cumsum([int(np.prod(s)) for s in shapes])

    def lowered(outputs: Sequence[Any]) -> tuple[Callable[..., Any], list[Any]]:
        function, data = _lower(outputs, model.value_vars, shapes)

        def evaluate(x: Any, *data: Any) -> Any:
            parts = [part.reshape(shape) for part, shape in zip(jnp.split(x, ends[:-1]), shapes, strict=True)]
            return function(*parts, *data)

        return evaluate, [jax.device_put(d) for d in data]

    density, data = lowered([model.logp()])

    def joined(x: Any, *data: Any) -> Any:
        value, gradient = jax.value_and_grad(lambda x: density(x, *data)[0])(x)
        return jnp.concatenate([value[None], gradient])

    compiled = jax.jit(joined)
    compiled(start, *data)

    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        both = np.asarray(compiled(x, *data))
        return both[0], both[1:]

    def function(variables: Sequence[Any]) -> Vectorized:
        evaluate, arrays = lowered(variables)
        mapped = jax.jit(jax.vmap(evaluate, in_axes=(0, *[None] * len(arrays))))
        return lambda x: _in_chunks(mapped, x, arrays)

    return Compiled(start, value_and_grad, function, 0.0, axes)


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
    return jax_funcify(FunctionGraph(remaining, outputs, clone=False)), constants


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
    run: Any = function(inputs[parameters:], list(edge), mode="FAST_COMPILE", on_unused_input="ignore")
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


# -------------------------------------------------------------------------------------------------------------- sample


def sample(
    compiled: Compiled,
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int | None,
    seed: int,
    thin: int,
    target_accept: float,
    progress: bool,
    recording: Recording | None = None,
    beginnings: np.ndarray | None = None,
) -> Draws:
    """Run NUTS and keep every `thin`-th of draws x thin draws, or what the recording says of it.

    Chains begin near the model's start, or each at one of `beginnings` (m, n) at random. Chain k has its own stream of
    random numbers, so the number of cores changes nothing but the time.

    Ctrl-C ends sampling and returns what there is, with `interrupted` set.
    """
    nutpie = _nutpie()
    recorders: list[_Recorder] = []

    def begin(seed: int) -> np.ndarray:
        """A chain's first z; nutpie gives the seed."""
        rng = np.random.default_rng(seed)
        if beginnings is not None:
            return compiled.axes.z(beginnings[rng.integers(len(beginnings))])
        return compiled.axes.z(compiled.start) + rng.uniform(-1, 1, compiled.size)

    if recording is not None:

        def recorder() -> _Recorder:
            recorders.append(_Recorder(recording, len(recorders), compiled, tune, draws, thin))
            return recorders[-1]

        runner = _python_runner(compiled, recorder, recorder().size, begin)
    elif compiled.program is None:
        runner = _python_runner(compiled, lambda: compiled.axes.x, compiled.size, begin)
    else:
        runner = _NativeRunner(compiled, begin)
    began = time.perf_counter()
    try:
        raw = nutpie.sample(
            runner,
            draws=draws * thin,
            tune=tune,
            chains=chains,
            cores=_cores(compiled, cores, chains),
            seed=seed,
            target_accept=target_accept,
            maxdepth=MAX_TREE_DEPTH,
            save_warmup=False,
            progress_bar=progress,
            return_raw_trace=True,
        )
    except RuntimeError as err:
        raise FitError(
            f"sampling could not start: {str(err).splitlines()[0]}; try tighter priors or check the scale of the data"
        ) from err
    size = recorders[0].size if recorders else compiled.size
    drawn = joined([_unpack(raw, size, draws * thin, chains, time.perf_counter() - began)], thin)
    if recorders:
        return _recorded(drawn, recorders)
    if compiled.program is not None:
        axes = compiled.axes
        drawn.x[..., axes.index] = axes.part_of_x(drawn.x[..., axes.index])
    return drawn


class _NativeRunner:
    """What nutpie calls a compiled model, for a function in machine code."""

    def __init__(self, compiled: Compiled, begin: Callable[[int], np.ndarray]):
        self.compiled, self.begin, self.n_dim = compiled, begin, compiled.size

    def _make_sampler(self, settings: Any, _: Any, cores: int, *rest: Any) -> Any:
        from nutpie import _lib

        from glmm_zoo.inference.kernel.machine import copy

        compiled, program = self.compiled, self.compiled.native()
        table, (keep, address) = program.table.ctypes.data, copy()
        model = _lib.PyMcModel(
            _lib.LogpFunc(program.address, table, program),
            _lib.ExpandFunc(compiled.size, compiled.size, address, table, keep),
            _lib.PyVariable.new_variables(["x"], ["float64"], [(compiled.size,)], {"i": compiled.size}, {"x": ["i"]}),
            compiled.size,
            {"i": compiled.size},
            {},
            self.begin,
            None,
        )
        return _lib.PySampler.from_pymc(settings, cores, model, *rest)


class _Recorder:
    """What one chain hands on at each draw: its number, then the variables recorded. nutpie calls it in order, once for
    each draw, those of the warm-up included."""

    def __init__(self, recording: Recording, number: int, compiled: Compiled, tune: int, draws: int, thin: int):
        x, self.axes = compiled.start, compiled.axes
        first = recording.every(x[None])
        self.shapes = [v.shape[1:] for v in first]
        self.size = 1 + sum(v.size for v in first)
        size = sum(v.size for v in recording.moments(x[None]))
        self.recording, self.number, self.thin = recording, number, thin
        self.halves = Moments(size), Moments(size)
        self.middle = draws * thin // 2
        self.made = -tune
        self.x = np.full((len(recording.whole), len(x)), np.nan)
        self.row = {int(draw): row for row, draw in enumerate(recording.whole)}

    def __call__(self, z: np.ndarray) -> np.ndarray:
        made, self.made = self.made, self.made + 1
        found = np.zeros(self.size)
        found[0] = self.number
        if made < 0:
            return found
        x = self.axes.x(z)
        self.halves[made >= self.middle].add(_joined(self.recording.moments(x[None])))
        if (made + 1) % self.thin == 0:
            found[1:] = _joined(self.recording.every(x[None]))
            if made // self.thin in self.row:
                self.x[self.row[made // self.thin]] = x
        return found


def _joined(variables: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([v.ravel() for v in variables]) if variables else np.zeros(0)


def _recorded(drawn: Draws, recorders: Sequence[_Recorder]) -> Draws:
    """The draws, of which x is what recorders handed on, sorted out."""
    number = np.array([chain[0, 0] if done else 0 for chain, done in zip(drawn.x, drawn.finished, strict=True)], int)
    of_chain = [recorders[k] for k in number]
    ends = 1 + np.cumsum([int(np.prod(shape)) for shape in of_chain[0].shapes])
    parts = np.split(drawn.x[:, :, 1:], ends[:-1] - 1, axis=2)
    return replace(
        drawn,
        x=np.stack([r.x for r in of_chain]),
        at=recorders[0].recording.whole,
        recorded=[p.reshape(*p.shape[:2], *s) for p, s in zip(parts, of_chain[0].shapes, strict=True)],
        moments=statistics([half for r in of_chain for half in r.halves]),
    )


def _python_runner(
    compiled: Compiled,
    recorder: Callable[[], Callable[[np.ndarray], np.ndarray]],
    size: int,
    begin: Callable[[int], np.ndarray],
) -> Any:
    from nutpie.compiled_pyfunc import from_pyfunc

    def expand(*_: int) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        record = recorder()
        return lambda x: {"x": record(x)}

    return from_pyfunc(
        ndim=compiled.size,
        make_logp_fn=compiled.of_z,
        make_expand_fn=expand,
        make_initial_point_fn=begin,
        expanded_dtypes=[np.dtype("float64")],
        expanded_shapes=[(size,)],
        expanded_names=["x"],
    )


def _cores(compiled: Compiled, cores: int | None, chains: int) -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores is not None:
        return max(1, min(cores, chains))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        compiled.value_and_grad(compiled.start)
        times.append(time.perf_counter() - began)
    _log.info("one gradient takes %.0f us", 1e6 * min(times))
    return min(chains, available) if compiled.program is not None or min(times) > _SLOW_GRADIENT else 1


def _column(batch: Any, name: str) -> np.ndarray:
    return pa.array(batch.column(name)).to_numpy(zero_copy_only=False)


def _unpack(raw: Any, size: int, draws: int, chains: int, seconds: float) -> Draws:
    batches, statistics = raw.get_arrow_trace()
    x = np.full((chains, draws, size), np.nan)
    stats = {
        name: np.full((chains, draws), np.nan) if kind is float else np.zeros((chains, draws), kind)
        for name, kind in _STATS.values()
    }
    finished = np.zeros(chains, int)
    gradients = 0
    for chain, (batch, stat) in enumerate(zip(batches, statistics, strict=True)):
        sampling = ~_column(stat, "tuning").astype(bool)
        flat = pa.array(batch.column("x")).flatten().to_numpy().reshape(batch.num_rows, size)[sampling]
        made = finished[chain] = len(flat)
        x[chain, :made] = flat
        gradients += int(_column(stat, "n_steps").sum())
        for theirs, (ours, _) in _STATS.items():
            stats[ours][chain, :made] = _column(stat, theirs)[sampling]
    return Draws(x, np.arange(draws), stats, finished, gradients, bool((finished < draws).any()), seconds)
