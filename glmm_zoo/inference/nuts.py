"""Sampling by nutpie's NUTS; many group effects in blocks of their own, see `within_blocks`.

For data of the usual size a user waits for start-up, compiling and calls, not for arithmetic. So:

* the density and its gradient are one function in machine code, which nutpie calls without returning to Python;
* nutpie moves the unconstrained vector only, in coordinates of unit size; what users see is computed from it afterwards;
* where the draws of all variables do not fit in memory, they are computed at each draw and only their moments are kept.
"""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from glmm_zoo.errors import FitError
from glmm_zoo.inference import interrupts
from glmm_zoo.inference.beginnings import by_seed
from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.draws import Draws, beside_each_other, joined_and_thinned, of_one_chain
from glmm_zoo.inference.kept import LOOK, Chain, KeptChains, KeptRun
from glmm_zoo.inference.kernel.far_out import DISTANCE, NormalFarOut, normal_far_out
from glmm_zoo.inference.kernel.machine import NO_MEMORY, out_of_memory
from glmm_zoo.inference.nuts_jax import run_by_jax
from glmm_zoo.inference.recording import Recorders, Recording
from glmm_zoo.inference.settings import MAX_TREE_DEPTH, TARGET_ACCEPT, Settings
from glmm_zoo.inference.within_blocks import run_chains
from glmm_zoo.results.parameter_statistics import processors

if TYPE_CHECKING:
    from glmm_zoo.inference.kernel.machine import Function

_log = logging.getLogger("glmm_zoo")

NUTPIE_TRIED = "0.16.11"  # as in pyproject.toml
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


def sample(
    compiled: Compiled,
    settings: Settings,
    beginnings: np.ndarray,
    *,
    progress: bool,
    recording: Recording | None = None,
    kept: KeptChains | None = None,
    elsewhere: Callable[..., dict[int, Chain]] | None = None,
) -> Draws:
    """Run NUTS and keep every `thin`-th of draws x thin draws, or what the recording says of it.

    Chain k begins at x = beginnings[k] (chains, n). It has its own stream of random numbers, so the number of cores changes
    nothing but the time, and neither does it which chains there are already among those `kept`, or whether they are made `elsewhere`.

    Ctrl-C ends sampling and returns what there is, with `interrupted` set.

    Raises
    ------
    FitError
        When the density is not finite where chains begin, memory is short, or nutpie is not as it was when it was tried.
    InputError
        Kept chains that began elsewhere.
    KeyboardInterrupt
        Ctrl-C before the chains begin.
    """
    began = time.perf_counter()
    run = None if kept is None else kept.next_run(compiled.coordinates, settings, beginnings)
    there = {} if run is None else run.chains(settings.chains)
    make = elsewhere or (run_by_jax if settings.backend == "jax" else _run)
    recorders = _recorders(recording, compiled, settings)
    chains = there
    if len(there) < settings.chains:
        chains = make(compiled, settings, beginnings, progress, recorders, run, there)
    spent = max((chain.draws.seconds for chain in there.values()), default=0.0)
    of_all, recorded = ([getattr(chains[k], part) for k in range(settings.chains)] for part in ("draws", "recorded"))
    del chains, there  # whose draws are given up one by one
    made = beside_each_other(of_all, spent + time.perf_counter() - began)
    if recorders is not None:
        return recorders.first.of_all(made, recorded)
    if compiled.program is not None:
        coordinates = compiled.coordinates
        if coordinates.bends is not None:
            of_bends = coordinates.bends.log_jacobian(made.x[..., coordinates.bends.index])
            made = replace(made, stats={**made.stats, "lp": made.stats["lp"] - of_bends})
        coordinates.put_x(made.x)
    return made


def one_chain(
    compiled: Compiled, settings: Settings, beginnings: np.ndarray, recording: Recording | None, chain: int
) -> Chain:
    """The chain of this number as `sample` makes it among the others, of which nothing is made here."""
    recorders, others = _recorders(recording, compiled, settings), dict.fromkeys({*range(settings.chains)} - {chain})
    return _run(compiled, replace(settings, cores=1), beginnings, False, recorders, None, others)[chain]


def _recorders(recording: Recording | None, compiled: Compiled, settings: Settings) -> Recorders | None:
    told = settings.backend != "jax" and compiled.blocks is None  # only nutpie hands on its warm-up
    asked = replace(settings, tune=settings.tune if told else 0)
    return None if recording is None else Recorders(recording, compiled, asked)


def _run(
    compiled: Compiled,
    settings: Settings,
    beginnings: np.ndarray,
    progress: bool,
    recorders: Recorders | None,
    run: KeptRun | None,
    there: Mapping[int, Any],
) -> dict[int, Chain]:
    """All chains, those that are `there` and those that are made."""
    target, cores = settings.target_accept or TARGET_ACCEPT, _cores(compiled, settings.cores, settings.chains)
    if compiled.blocks is not None:
        options = {"target": target, "depth": MAX_TREE_DEPTH, "cores": cores, "progress": progress}
        return run_chains(compiled, settings, beginnings, recorders, run, there, **options)
    nutpie, making = _nutpie(), _Making(compiled, settings, recorders, run, there)
    z = compiled.coordinates.z_of(beginnings).copy()
    z[list(there)] = DISTANCE + 1
    try:
        with interrupts.sampling():
            begin = by_seed(nutpie, z, settings.seed)
            background = nutpie.sample(
                _runner(compiled, recorders, begin, some_far_out=bool(there)),
                draws=making.draws,
                tune=settings.tune,
                chains=settings.chains,
                cores=cores,
                seed=settings.seed,
                target_accept=target,
                maxdepth=MAX_TREE_DEPTH,
                **({} if compiled.coordinates.bends is None else _nearly_normal(compiled.size)),
                save_warmup=False,
                progress_bar=progress,
                progress_callback=None if run is None else making.look,
                return_raw_trace=True,
                blocking=False,
            )
            raw = making.wait_for(background)
    except FitError:
        raise
    except RuntimeError as err:
        if _short_of_memory(compiled, str(err)):
            raise FitError(out_of_memory(compiled.size)) from err
        raise FitError(
            f"sampling could not start: {str(err).splitlines()[0]}; try tighter priors or check the scale of the data"
        ) from err
    return making.all_of(raw)


def _nearly_normal(unknowns: int) -> dict[str, Any]:
    """Steps that are exact for a normal density of unit size, a turn being 2 pi long. A quarter is as long as it pays, and with their number
    errors let steps grow shorter like its fourth root."""
    return {"exact_normal_trajectory": True, "max_step_size": min(1.2, 4 / unknowns**0.25)}


class _Making:
    """Chains that nutpie makes, written as they end where they are kept.

    nutpie runs all chains or none: those that are there already begin far out, in a density that costs nothing.
    """

    def __init__(
        self,
        compiled: Compiled,
        settings: Settings,
        recorders: Recorders | None,
        run: KeptRun | None,
        there: Mapping[int, Chain],
    ):
        self.recorders, self.run, self.chains = recorders, run, dict(there)
        self.thin = settings.thin or 1
        self.draws = settings.draws * self.thin
        self.size = compiled.size if recorders is None else recorders.first.size
        self.ended: set[int] = set()
        self.began = time.perf_counter()

    def look(self, chains: Sequence[Any]) -> None:
        """Remember which chains have ended, of what nutpie tells of its progress."""
        self.ended.update(k for k, chain in enumerate(chains) if chain.finished_draws >= chain.total_draws)

    def wait_for(self, background: Any) -> Any:
        """What nutpie returns in the end, or when Ctrl-C ends it."""
        try:
            while True:
                try:
                    return background.wait(timeout=None if self.run is None else LOOK)
                except TimeoutError:
                    if self.run is not None and self.run.kept.due and self.ended - set(self.chains):
                        self._keep(self._made(background.inspect()))
        except KeyboardInterrupt:
            return background.abort()
        except BaseException:
            background.cancel()
            raise

    def all_of(self, raw: Any) -> dict[int, Chain]:
        """All chains. They are written if that was not for long, or if there are others that are not whole."""
        made = self._made(raw)
        if self.run is not None and (self.run.kept.due or any(c.draws.interrupted for c in made.values())):
            self._keep(made)
        return {**made, **self.chains}

    def _keep(self, made: Mapping[int, Chain]) -> None:
        """Write the chains that have ended."""
        assert self.run is not None
        for k, chain in made.items():
            if not chain.draws.interrupted:
                self.run.write(k, chain)
                self.chains[k] = chain
        self.run.kept.written()

    def _made(self, raw: Any) -> dict[int, Chain]:
        """The chains that nutpie returned and that are not written yet, whole or not."""
        made = enumerate(zip(*raw.get_arrow_trace(), strict=True))
        return {k: self._chain(*of_chain) for k, of_chain in made if k not in self.chains}

    def _chain(self, batch: Any, stat: Any) -> Chain:
        made = _unpack(batch, stat, self.size, self.draws, time.perf_counter() - self.began)
        recorded = None if self.recorders is None else self.recorders.recorded(made.x[0])
        return Chain(joined_and_thinned([made], self.thin), recorded)


def _short_of_memory(compiled: Compiled, told: str) -> bool:
    """Whether the density found no memory: nutpie says so of a draw, but not of a beginning."""
    try:
        compiled.value_and_gradient_of_z()(compiled.coordinates.z_of(compiled.start))
    except MemoryError:
        return True
    return f"error code: {NO_MEMORY}" in told


def _runner(
    compiled: Compiled,
    recorders: Recorders | None,
    begin: Callable[[int], np.ndarray],
    *,
    some_far_out: bool,
) -> Any:
    """What nutpie calls a compiled model, each of whose chains has a recorder of its own if any has."""
    if recorders is not None:
        return _python_runner(compiled, recorders.another, recorders.first.size, begin, some_far_out)
    program = compiled.program_of_z()
    if program is None:
        return _python_runner(compiled, lambda: compiled.coordinates.x_of, compiled.size, begin, some_far_out)
    return _NativeRunner(NormalFarOut(program) if some_far_out else program, compiled.size, begin)


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


def _python_runner(
    compiled: Compiled,
    recorder: Callable[[], Callable[[np.ndarray], np.ndarray]],
    size: int,
    begin: Callable[[int], np.ndarray],
    some_far_out: bool,
) -> Any:
    """What nutpie calls a compiled model, for a density and the recorder of each chain in Python; `size` is the length of
    what a recorder returns."""
    from nutpie.compiled_pyfunc import from_pyfunc

    def expand(*_: int) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        record = recorder()
        return lambda x: {"x": record(x)}

    def density() -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        of_z = compiled.value_and_gradient_of_z()
        return normal_far_out(of_z) if some_far_out else of_z

    return from_pyfunc(
        ndim=compiled.size,
        make_logp_fn=density,
        make_expand_fn=expand,
        make_initial_point_fn=begin,
        expanded_dtypes=[np.dtype("float64")],
        expanded_shapes=[(size,)],
        expanded_names=["x"],
    )


def _cores(compiled: Compiled, cores: int | None, chains: int) -> int:
    """How many chains run at a time: as many as there are processors, or one where threads would wait for each other."""
    if cores is not None:
        return max(1, min(cores, chains))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        compiled.value_and_gradient(compiled.start)
        times.append(time.perf_counter() - began)
    _log.info("one gradient takes %.0f us", 1e6 * min(times))
    return min(chains, processors()) if compiled.program is not None or min(times) > _SLOW_GRADIENT else 1


def _column(batch: Any, name: str) -> np.ndarray:
    return pa.array(batch.column(name)).to_numpy(zero_copy_only=False)


def _unpack(batch: Any, stat: Any, size: int, draws: int, seconds: float) -> Draws:
    """One chain of what nutpie returned, without the warm-up; `size` is the length of what it has for x."""
    sampling = ~_column(stat, "tuning").astype(bool)
    x = pa.array(batch.column("x")).flatten().to_numpy().reshape(1, batch.num_rows, size)
    x = x if sampling.all() else x[:, sampling]
    stats = {ours: _column(stat, theirs)[None, sampling].astype(kind) for theirs, (ours, kind) in _STATS.items()}
    gradients = int(_column(stat, "n_steps").sum())
    return of_one_chain(x, stats, gradients, seconds, interrupted=x.shape[1] < draws)


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
