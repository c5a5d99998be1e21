"""NUTS for the parameters of the population, and group effects block by block, in turn.

The sampler moves group effects z in units of their approximate distribution given the parameters (decision 18), so z is about standard
normal and nearly independent of the parameters theta, and taking turns loses little:

* theta given z moves by NUTS (`population_nuts`), and the effects themselves move along with it;
* z given theta moves in each block by Hamiltonian dynamics, accepted or not by itself, as blocks are independent given theta. The normal
  part of the density, -|z|^2 / 2, turns z and its momentum about by an angle, exactly; the rest, of which there is little, gives pushes
  before and after (Shahbaba et al. 2014). A quarter turn makes z new.

Each of the two leaves the posterior as it is. What NUTS needs for a draw does not grow with the number of blocks.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import numpy as np

from glmm_zoo.inference import interrupts
from glmm_zoo.inference.blocks import LEAST_ACCEPTANCE, EffectBlocks, turned
from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.draws import Draws, joined_and_thinned, of_one_chain
from glmm_zoo.inference.kept import LOOK, Chain, KeptRun
from glmm_zoo.inference.population_nuts import Point, PopulationNuts, StepSize, Transition
from glmm_zoo.inference.recording import Recorder, Recorders
from glmm_zoo.inference.settings import Settings

FIRST_STEP = 0.5  # of NUTS, in coordinates of unit size
MOST_PUSHES = 8  # in a turn, where the worst block is seldom accepted
RENEWALS = (0.2, 0.5)  # parts of the warm-up after which coordinates are estimated from its draws
LEAST_LEARNT = 40  # of which they are
_TELL = 0.5  # seconds between lines of progress
_STATS = {  # of each draw, in this order
    "diverging": bool,
    "energy": float,
    "lp": float,
    "tree_depth": int,
    "reached_max_treedepth": bool,
    "n_steps": int,
    "step_size": float,
    "acceptance_rate": float,
}


class BlocksChain:
    """One chain, which begins at x (n,).

    It hands on z, its draws in the coordinates of `compiled`, or what `recorder` makes of them.
    """

    def __init__(
        self,
        compiled: Compiled,
        blocks: EffectBlocks,
        x: np.ndarray,
        rng: np.random.Generator,
        target: float,
        depth: int,
    ):
        assert compiled.program is not None
        self.blocks, self.program, self.rng, self.target = blocks, compiled.program, rng, target
        self.given = compiled.coordinates
        missing = np.setdiff1d(blocks.population, self.given.index)
        self.coordinates = self.given.with_block(missing, np.zeros(len(missing)), np.eye(len(missing)))
        self.nuts = PopulationNuts(self._at, rng, depth)
        self.x, self.value, self.pushes, self.gradients = x.copy(), -np.inf, 1, 0
        self.step = StepSize(target, FIRST_STEP)
        self.made = 0  # transitions, those of the warm-up included
        self._forget()

    def _forget(self) -> None:
        """Nothing is known of the acceptance of the blocks."""
        self._acceptance, self._turns = np.zeros(self.blocks.count), 0

    def density(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The log density at x, with its gradient (n,) and the terms of the blocks (count,) one after the other."""
        out = np.zeros(len(x) + self.program.beside)
        self.gradients += 1
        return self.program(x, out), out

    def _at(self, q: np.ndarray) -> Point:
        x, at = self.x.copy(), self.coordinates
        x[at.index] = at.part_of_x(q)
        value, out = self.density(x)
        if not np.isfinite(value):
            return Point(q, -np.inf, np.zeros(len(q)), x, out)
        return Point(q, value, at.root.T @ out[at.index], x, out)

    def sweep(self, step: float) -> Transition:
        """The population's parameters, then the effects."""
        moved = self.nuts.transition(self._at(self.coordinates.part_of_w(self.x[self.coordinates.index])), step)
        self.x, change = self._turned(moved.point.x, moved.point.out)
        self.value = moved.point.value + change
        return moved

    def _turned(self, x: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, float]:
        """x with the effects of each block moved, or where they were, and by how much the log density changed; `out` is what the density
        wrote at x."""
        there, terms, probability = turned(self.blocks, self.density, x, out, self.pushes, self.rng)
        accepted = self.rng.uniform(size=self.blocks.count) < probability
        self._acceptance += probability
        self._turns += 1
        places = self.blocks.effects
        there[places] = np.where(accepted[self.blocks.block_of], there[places], x[places])
        return there, float((terms - out[len(x) :])[accepted].sum())

    def warm_up(self, sweeps: int, stop: threading.Event) -> None:
        """Learn the step size, coordinates, and in how many parts effects turn."""
        own, draws = self.blocks.population, list[np.ndarray]()
        renewals = [int(part * sweeps) for part in RENEWALS]
        for i in range(sweeps):
            if stop.is_set():
                return
            if i in renewals:
                self._renew(draws[len(draws) // 2 :])
            self.step.learn(self.sweep(self.step.now).acceptance)
            self.made += 1
            draws.append(self.x[own])

    def _renew(self, draws: Sequence[np.ndarray]) -> None:
        if self._turns and self._acceptance.min() < LEAST_ACCEPTANCE * self._turns:
            self.pushes = min(2 * self.pushes, MOST_PUSHES)
        self._forget()
        if len(draws) >= LEAST_LEARNT:
            x = np.zeros((1, len(draws), len(self.x)))
            x[0][:, self.blocks.population] = draws
            self.coordinates = self.coordinates.estimated_from([x], self.blocks.population, len(draws))
        self.step = StepSize(self.target, self.step.mean)

    def run(self, settings: Settings, recorder: Recorder | None, stop: threading.Event) -> Draws:
        """All draws, or those made until it is told to stop."""
        began, draws = time.perf_counter(), settings.draws * (settings.thin or 1)
        size = len(self.x) if recorder is None else recorder.size
        kept, stats = np.empty((1, draws, size)), list[tuple[float, ...]]()
        self.warm_up(settings.tune, stop)
        step = self.step.mean
        while len(stats) < draws and not stop.is_set():
            before, moved = self.gradients, self.sweep(step)
            z = self.given.z_of(self.x)
            kept[0, len(stats)] = z if recorder is None else recorder(z)
            cost = self.gradients - before
            stats.append(
                (moved.diverged, moved.energy, self.value, moved.depth, moved.cut, cost, step, moved.acceptance)
            )
            self.made += 1
        made = len(stats)
        columns = np.array(stats).reshape(made, len(_STATS)).T
        by_name = {name: v.astype(kind)[None] for (name, kind), v in zip(_STATS.items(), columns, strict=True)}
        seconds = time.perf_counter() - began
        return of_one_chain(kept[:, :made], by_name, self.gradients, seconds, interrupted=made < draws)


def run_chains(
    compiled: Compiled,
    settings: Settings,
    beginnings: np.ndarray,
    recorders: Recorders | None,
    run: KeptRun | None,
    there: Mapping[int, Chain],
    *,
    target: float,
    depth: int,
    cores: int,
    progress: bool,
) -> dict[int, Chain]:
    """All chains, those that are `there` and those that are made, so many at a time; fewer draws of them after Ctrl-C."""
    assert compiled.blocks is not None
    making, stop = dict[int, BlocksChain](), threading.Event()
    for k in range(settings.chains):
        if k not in there:
            rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(k, 2)))
            making[k] = BlocksChain(compiled, compiled.blocks, beginnings[k], rng, target, depth)
    recorder_of = {k: None if recorders is None else recorders.another() for k in making}

    def made(k: int) -> Chain:
        draws = making[k].run(settings, recorder_of[k], stop)
        recorded = None if recorders is None else recorders.recorded(draws.x[0])
        return Chain(joined_and_thinned([draws], settings.thin or 1), recorded)

    futures = dict[Future[Chain], int]()
    with ThreadPoolExecutor(cores) as pool, interrupts.sampling():
        try:
            futures |= {pool.submit(made, k): k for k in making}
            _wait(futures, making, settings, run, progress=progress)
        except KeyboardInterrupt:
            stop.set()
            if len(futures) < len(making):
                raise
        finally:
            stop.set()
    chains = {k: future.result() for future, k in futures.items()}
    if run is not None and any(chain.draws.interrupted for chain in chains.values()):
        _keep(run, chains)
    return {**there, **chains}


def _wait(
    futures: Mapping[Future[Chain], int],
    making: Mapping[int, BlocksChain],
    settings: Settings,
    run: KeptRun | None,
    *,
    progress: bool,
) -> None:
    """Wait for the chains, write those that have ended where they are kept, and tell how far they are."""
    waiting, ended, told = set(futures), dict[int, Chain](), 0.0
    total = len(making) * (settings.tune + settings.draws * (settings.thin or 1))
    while waiting:
        done, waiting = wait(waiting, timeout=LOOK, return_when=FIRST_COMPLETED)
        if progress and (time.monotonic() - told > _TELL or not waiting):
            told = time.monotonic()
            so_far = sum(chain.made for chain in making.values())
            sys.stderr.write(f"\r{so_far} of {total} transitions of {len(making)} chains" + "\n" * (not waiting))
            sys.stderr.flush()
        ended |= {futures[future]: future.result() for future in done}
        if run is not None and ended and run.kept.due:
            _keep(run, ended)
            ended.clear()


def _keep(run: KeptRun, chains: Mapping[int, Chain]) -> None:
    """Write the chains that are whole."""
    for k, chain in chains.items():
        if not chain.draws.interrupted:
            run.write(k, chain)
    run.kept.written()
