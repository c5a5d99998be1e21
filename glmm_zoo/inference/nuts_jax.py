"""NUTS in JAX: all chains move at once, and the rows of the data lie on all devices that JAX has.

Transitions and their adaptation are BlackJAX's: step size and a diagonal metric for each chain, as Stan has them. Chains move in the
coordinates z of `Compiled`, as those of nutpie do.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.inference import interrupts
from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.draws import Draws, joined_and_thinned, of_one_chain
from glmm_zoo.inference.kept import Chain, KeptRun
from glmm_zoo.inference.recording import Recorder, Recorders
from glmm_zoo.inference.settings import MAX_TREE_DEPTH, TARGET_ACCEPT, Settings

_BLOCK_BYTES = 64 * 2**20  # of draws that are made at once, between which Ctrl-C is heard
_BLOCK = 100  # draws at most


def check_blackjax() -> None:
    """Raise an `InputError` where BlackJAX is not installed."""
    if importlib.util.find_spec("blackjax") is None:
        raise InputError('backend="jax" samples by BlackJAX, which is not installed: pip install "glmm-zoo[jax]"')


def run_by_jax(
    compiled: Compiled,
    settings: Settings,
    beginnings: np.ndarray,
    progress: bool,
    recorders: Recorders | None,
    run: KeptRun | None,
    _: Mapping[int, Chain],
) -> dict[int, Chain]:
    """All chains, which are kept when they have ended; those that are there already are made anew with the others.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C during warm-up.
    """
    began = time.perf_counter()
    thin = settings.thin or 1
    moves = _Moves.of(compiled, settings)
    made = [_MadeChain.of(compiled, recorders) for _ in beginnings]
    with interrupts.sampling():
        at = moves.warm_up(compiled.coordinates.z_of(beginnings))
        interrupted = False
        try:
            for block in _blocks(settings.draws * thin, compiled.size, len(beginnings), progress):
                at, z, stats = moves.draw(at, block)
                for k, chain in enumerate(made):
                    chain.add(z[k], {name: values[k] for name, values in stats.items()})
        except KeyboardInterrupt:
            interrupted = True
    seconds = time.perf_counter() - began
    chains = {}
    for k, chain in enumerate(made):
        draws = chain.draws(int(moves.steps_of_warm_up[k]), seconds, interrupted=interrupted)
        recorded = None if chain.recorder is None else chain.recorder.recorded
        chains[k] = Chain(joined_and_thinned([draws], thin), recorded)
        if run is not None and not interrupted:
            run.write(k, chains[k])
    return chains


@dataclass
class _Moves:
    """The compiled transitions of all chains, and how many steps those of the warm-up took (chains,)."""

    keys: Any
    adapt: Callable[..., Any]
    transitions: Callable[..., Any]
    data: Sequence[Any]
    tune: int
    steps_of_warm_up: np.ndarray

    @classmethod
    def of(cls, compiled: Compiled, settings: Settings) -> _Moves:
        import blackjax
        import jax

        assert compiled.density is not None
        density, data = compiled.density
        coordinates = compiled.coordinates

        def of_z(z: Any, *data: Any) -> Any:
            part = coordinates.mean + coordinates.root @ z[coordinates.index]
            return density(z.at[coordinates.index].set(part), *data)

        def adapt(key: Any, z: Any, *data: Any) -> tuple[Any, Any, Any]:
            adaptation = blackjax.window_adaptation(
                blackjax.nuts,
                lambda z: of_z(z, *data),
                target_acceptance_rate=settings.target_accept or TARGET_ACCEPT,
                adaptation_info_fn=lambda state, info, _: info.num_integration_steps,
                max_num_doublings=MAX_TREE_DEPTH,
            )
            (state, found), steps = adaptation.run(key, z, settings.tune)
            return state, (found["step_size"], found["inverse_mass_matrix"]), steps.sum()

        step = blackjax.nuts.build_kernel()

        def transition(found: Any, data: Any, state: Any, key: Any) -> tuple[Any, Any]:
            size, metric = found
            state, info = step(key, state, lambda z: of_z(z, *data), size, metric, MAX_TREE_DEPTH)
            stats = {
                "diverging": info.is_divergent,
                "energy": info.energy,
                "lp": state.logdensity,
                "tree_depth": info.num_trajectory_expansions,
                "reached_max_treedepth": ~(info.is_divergent | info.is_turning),
                "n_steps": info.num_integration_steps,
                "step_size": size,
                "acceptance_rate": info.acceptance_rate,
            }
            return state, (state.position, stats)

        def transitions(state: Any, found: Any, keys: Any, *data: Any) -> tuple[Any, Any]:
            return jax.lax.scan(partial(transition, found, data), state, keys)

        chains = (0, *[None] * len(data))
        seed = np.random.SeedSequence(settings.seed).generate_state(1)[0]
        return cls(
            jax.random.split(jax.random.key(seed), settings.chains),
            jax.jit(jax.vmap(adapt, in_axes=(0, *chains))),
            jax.jit(jax.vmap(transitions, in_axes=(0, 0, *chains))),
            data,
            settings.tune,
            np.zeros(settings.chains, int),
        )

    def warm_up(self, z: np.ndarray) -> Any:
        """The state of each chain, and its step size and metric, after the warm-up from z (chains, n)."""
        state, found, steps = self.adapt(self._next_keys(), z, *self.data)
        self.steps_of_warm_up = np.asarray(steps)
        return state, found

    def draw(self, at: Any, draws: int) -> tuple[Any, np.ndarray, dict[str, np.ndarray]]:
        """The state after so many draws, z (chains, draws, n), and statistics (chains, draws)."""
        import jax

        state, found = at
        keys = jax.vmap(partial(jax.random.split, num=draws))(self._next_keys())
        state, (z, stats) = self.transitions(state, found, keys, *self.data)
        return (state, found), np.asarray(z), {name: np.asarray(values) for name, values in stats.items()}

    def _next_keys(self) -> Any:
        import jax

        self.keys, now = jax.numpy.moveaxis(jax.vmap(jax.random.split)(self.keys), 1, 0)
        return now


@dataclass
class _MadeChain:
    """What one chain has made, in blocks: x (draws, n), or what its recorder hands on in place of it."""

    of_z: Callable[[np.ndarray], np.ndarray]
    recorder: Recorder | None
    x: list[np.ndarray]
    stats: list[dict[str, np.ndarray]]

    @classmethod
    def of(cls, compiled: Compiled, recorders: Recorders | None) -> _MadeChain:
        if recorders is None:
            return cls(compiled.coordinates.x_of, None, [], [])
        recorder = recorders.another()
        return cls(lambda z: np.stack([recorder(draw) for draw in z]), recorder, [], [])

    def add(self, z: np.ndarray, stats: dict[str, np.ndarray]) -> None:
        self.x.append(self.of_z(z))
        self.stats.append(stats)

    def draws(self, steps_of_warm_up: int, seconds: float, *, interrupted: bool) -> Draws:
        if not self.x:
            raise KeyboardInterrupt
        x = np.concatenate(self.x)[None]
        stats = {name: np.concatenate([block[name] for block in self.stats])[None] for name in self.stats[0]}
        gradients = steps_of_warm_up + int(stats["n_steps"].sum())
        return of_one_chain(x, stats, gradients, seconds, interrupted=interrupted)


def _blocks(draws: int, size: int, chains: int, progress: bool) -> Any:
    """Numbers of draws that are made at once, all but the last alike, with a bar."""
    most = int(np.clip(_BLOCK_BYTES // (8 * size * chains), 1, _BLOCK))
    blocks = [min(most, draws - start) for start in range(0, draws, most)]
    if not progress:
        return blocks
    from rich.progress import track

    return track(blocks, "drawing, all chains at once")
