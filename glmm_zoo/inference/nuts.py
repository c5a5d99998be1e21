"""Sampling by nutpie's NUTS.

For data of the usual size a user waits for start-up, compiling and calls, not for arithmetic. So:

* the density and its gradient are one function in machine code, which nutpie calls without returning to Python;
* nutpie moves the unconstrained vector only, in coordinates of unit size; what users see is computed from it afterwards;
* where the draws of all variables do not fit in memory, they are computed at each draw and only their moments are kept.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from glmm_zoo.errors import FitError
from glmm_zoo.inference import interrupts
from glmm_zoo.inference.beginnings import by_seed
from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.compile_jax import Vectorized
from glmm_zoo.inference.draws import Draws, joined_and_thinned
from glmm_zoo.inference.kernel.machine import NO_MEMORY, out_of_memory
from glmm_zoo.inference.moments import Moments, pooled_moments
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results import convergence

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.machine import Function

_log = logging.getLogger("glmm_zoo")

NUTPIE_TRIED = "0.16.11"  # as in pyproject.toml
TARGET_ACCEPT = 0.8  # where the settings leave it open
MAX_TREE_DEPTH = 10
_SLOW_GRADIENT = 150e-6  # seconds; from here on threads of Python gain more than they lose to the interpreter lock
_STATS = {  # nutpie's name of a statistic: ours, and its type
    "diverging": ("diverging", bool),
    "energy": ("energy", float),
    "logp": ("lp", float),
    "depth": ("tree_depth", int),
    "maxdepth_reached": ("reached_max_treedepth", bool),
    "n_steps": ("n_steps", int),
    "step_size": ("step_size", float),
    "mean_tree_accept": ("acceptance_rate", float),
}


@dataclass(frozen=True)
class Recording:
    """What is kept of a draw x (n,) where not x itself.

    `every` are the variables kept of each draw, `moments` those of which only the moments are. Of the draws `x_draws`, x is
    kept too.
    """

    every: Vectorized
    moments: Vectorized
    x_draws: np.ndarray


def sample(
    compiled: Compiled,
    settings: Settings,
    beginnings: np.ndarray,
    *,
    progress: bool,
    recording: Recording | None = None,
) -> Draws:
    """Run NUTS and keep every `thin`-th of draws x thin draws, or what the recording says of it.

    Chain k begins at x = beginnings[k] (chains, n). It has its own stream of random numbers, so the number of cores changes
    nothing but the time.

    Ctrl-C ends sampling and returns what there is, with `interrupted` set.

    Raises
    ------
    FitError
        When the density is not finite where chains begin, memory is short, or nutpie is not as it was when it was tried.
    KeyboardInterrupt
        Ctrl-C before the chains begin.
    """
    nutpie = _nutpie()
    recorders: list[_Recorder] = []
    thin = settings.thin or 1
    draws = settings.draws * thin
    began = time.perf_counter()
    try:
        with interrupts.sampling():
            begin = by_seed(nutpie, compiled.coordinates.z_of(beginnings), settings.seed)
            raw = nutpie.sample(
                _runner(compiled, settings, recording, recorders, begin),
                draws=draws,
                tune=settings.tune,
                chains=settings.chains,
                cores=_cores(compiled, settings.cores, settings.chains),
                seed=settings.seed,
                target_accept=settings.target_accept or TARGET_ACCEPT,
                maxdepth=MAX_TREE_DEPTH,
                save_warmup=False,
                progress_bar=progress,
                return_raw_trace=True,
            )
    except FitError:
        raise
    except RuntimeError as err:
        if _short_of_memory(compiled, str(err)):
            raise FitError(out_of_memory(compiled.size)) from err
        raise FitError(
            f"sampling could not start: {str(err).splitlines()[0]}; try tighter priors or check the scale of the data"
        ) from err
    size = recorders[0].size if recorders else compiled.size
    made = joined_and_thinned([_unpack(raw, size, draws, settings.chains, time.perf_counter() - began)], thin)
    if recorders:
        return _recorded(made, recorders)
    if compiled.program is not None:
        coordinates = compiled.coordinates
        made.x[..., coordinates.index] = coordinates.part_of_x(made.x[..., coordinates.index])
    return made


def _short_of_memory(compiled: Compiled, told: str) -> bool:
    """Whether the density found no memory: nutpie says so of a draw, but not of a beginning."""
    try:
        compiled.value_and_gradient_of_z()(compiled.coordinates.z_of(compiled.start))
    except MemoryError:
        return True
    return f"error code: {NO_MEMORY}" in told


def _runner(
    compiled: Compiled,
    settings: Settings,
    recording: Recording | None,
    recorders: list[_Recorder],
    begin: Callable[[int], np.ndarray],
) -> Any:
    """What nutpie calls a compiled model; the recorders of chains that it starts are added to `recorders`."""
    if recording is None:
        program = compiled.program_of_z()
        if program is not None:
            return _NativeRunner(program, compiled.size, begin)
        return _python_runner(compiled, lambda: compiled.coordinates.x_of, compiled.size, begin)

    def recorder() -> _Recorder:
        recorders.append(_Recorder(recording, len(recorders), compiled, settings))
        return recorders[-1]

    return _python_runner(compiled, recorder, recorder().size, begin)


class _NativeRunner:
    """What nutpie calls a compiled model, for a density of z (n,) in machine code."""

    def __init__(self, program: Function, size: int, begin: Callable[[int], np.ndarray]):
        self.program, self.begin, self.n_dim = program, begin, size

    def _make_sampler(self, settings: Any, _: Any, cores: int, *rest: Any) -> Any:
        """The sampler, made of private classes of nutpie: those of another version may be called or take something else."""
        try:
            return self._sampler(settings, cores, rest)
        except (ImportError, AttributeError, TypeError) as err:
            raise FitError(
                f"nutpie {version('nutpie')} has not the inner parts that this program was tried with, those of version "
                f"{NUTPIE_TRIED} ({err}); install that one: pip install nutpie=={NUTPIE_TRIED}"
            ) from err

    def _sampler(self, settings: Any, cores: int, rest: Sequence[Any]) -> Any:
        from nutpie import _lib

        from glmm_zoo.inference.kernel.machine import copy

        program, n = self.program, self.n_dim
        table, (keep, address) = program.table.ctypes.data, copy()
        model = _lib.PyMcModel(
            _lib.LogpFunc(program.address, table, program),
            _lib.ExpandFunc(n, n, address, table, keep),
            _lib.PyVariable.new_variables(["x"], ["float64"], [(n,)], {"i": n}, {"x": ["i"]}),
            n,
            {"i": n},
            {},
            self.begin,
            None,
        )
        return _lib.PySampler.from_pymc(settings, cores, model, *rest)


class _Recorder:
    """What one chain hands on at each draw: the number of the chain, then the variables recorded.

    nutpie calls it in order, once for each draw, those of the warm-up included. It counts them and adds to the moments.
    """

    def __init__(self, recording: Recording, number: int, compiled: Compiled, settings: Settings):
        start = compiled.start[None]
        recorded = recording.every(start)
        size_of_moments = sum(v.size for v in recording.moments(start))
        self.recording, self.number, self.coordinates = recording, number, compiled.coordinates
        self.shapes = [v.shape[1:] for v in recorded]
        self.size = 1 + sum(v.size for v in recorded)
        self.thin = settings.thin or 1
        self.halves = Moments(size_of_moments), Moments(size_of_moments)
        self.middle = settings.draws * self.thin // 2
        self.made = -settings.tune  # draws so far, negative during warm-up
        self.x = np.full((len(recording.x_draws), compiled.size), np.nan)
        self.row_of_draw = {int(draw): row for row, draw in enumerate(recording.x_draws)}

    def __call__(self, z: np.ndarray) -> np.ndarray:
        made, self.made = self.made, self.made + 1
        handed_on = np.zeros(self.size)
        handed_on[0] = self.number
        if made < 0:
            return handed_on
        x = self.coordinates.x_of(z)
        self.halves[made >= self.middle].add(_flat(self.recording.moments(x[None])))
        if (made + 1) % self.thin == 0:
            handed_on[1:] = _flat(self.recording.every(x[None]))
            if made // self.thin in self.row_of_draw:
                self.x[self.row_of_draw[made // self.thin]] = x
        return handed_on


def _flat(variables: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([v.ravel() for v in variables]) if variables else np.zeros(0)


def _recorded(made: Draws, recorders: Sequence[_Recorder]) -> Draws:
    """The draws with x and moments from the recorder of each chain, and what `made` has in place of x as variables."""
    number = np.array([chain[0, 0] if done else 0 for chain, done in zip(made.x, made.finished, strict=True)], int)
    of_chain = [recorders[k] for k in number]
    ends = 1 + np.cumsum([int(np.prod(shape)) for shape in of_chain[0].shapes])
    parts = np.split(made.x[:, :, 1:], ends[:-1] - 1, axis=2)
    return replace(
        made,
        x=np.stack([r.x for r in of_chain]),
        x_draws=recorders[0].recording.x_draws,
        recorded=[p.reshape(*p.shape[:2], *s) for p, s in zip(parts, of_chain[0].shapes, strict=True)],
        moments=pooled_moments([half for r in of_chain for half in r.halves]),
    )


def _python_runner(
    compiled: Compiled,
    recorder: Callable[[], Callable[[np.ndarray], np.ndarray]],
    size: int,
    begin: Callable[[int], np.ndarray],
) -> Any:
    """What nutpie calls a compiled model, for a density and recorders in Python; `size` is the length of what a recorder
    returns."""
    from nutpie.compiled_pyfunc import from_pyfunc

    def expand(*_: int) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        record = recorder()
        return lambda x: {"x": record(x)}

    return from_pyfunc(
        ndim=compiled.size,
        make_logp_fn=compiled.value_and_gradient_of_z,
        make_expand_fn=expand,
        make_initial_point_fn=begin,
        expanded_dtypes=[np.dtype("float64")],
        expanded_shapes=[(size,)],
        expanded_names=["x"],
    )


def _cores(compiled: Compiled, cores: int | None, chains: int) -> int:
    """How many chains run at a time: as many as there are processors, or one where threads would wait for each other."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores is not None:
        return max(1, min(cores, chains))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        compiled.value_and_gradient(compiled.start)
        times.append(time.perf_counter() - began)
    _log.info("one gradient takes %.0f us", 1e6 * min(times))
    return min(chains, available) if compiled.program is not None or min(times) > _SLOW_GRADIENT else 1


def _column(batch: Any, name: str) -> np.ndarray:
    return pa.array(batch.column(name)).to_numpy(zero_copy_only=False)


def _unpack(raw: Any, size: int, draws: int, chains: int, seconds: float) -> Draws:
    """What nutpie returned, without the warm-up, up to the last draw of the longest chain; `size` is the length of what it has
    for x."""
    batches, statistics = raw.get_arrow_trace()
    most = max((int((~_column(stat, "tuning").astype(bool)).sum()) for stat in statistics), default=0)
    x = np.full((chains, most, size), np.nan)
    stats = {
        name: np.full((chains, most), np.nan) if kind is float else np.zeros((chains, most), kind)
        for name, kind in _STATS.values()
    }
    finished, bfmi = np.zeros(chains, int), np.full(chains, np.nan)
    gradients = 0
    for chain, (batch, stat) in enumerate(zip(batches, statistics, strict=True)):
        sampling = ~_column(stat, "tuning").astype(bool)
        flat = pa.array(batch.column("x")).flatten().to_numpy().reshape(batch.num_rows, size)[sampling]
        made = finished[chain] = len(flat)
        x[chain, :made] = flat
        gradients += int(_column(stat, "n_steps").sum())
        for nutpies, (ours, _) in _STATS.items():
            stats[ours][chain, :made] = _column(stat, nutpies)[sampling]
        bfmi[chain] = convergence.bfmi(stats["energy"][chain, :made])
    return Draws(
        x,
        np.arange(most),
        stats,
        finished,
        gradients,
        bool((finished < draws).any()),
        seconds,
        divergences=int(stats["diverging"].sum()),
        bfmi=bfmi,
    )


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
