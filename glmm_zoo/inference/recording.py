"""What is recorded of each draw as it is made, where the draws of all variables do not fit in memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.compile_jax import Vectorized
from glmm_zoo.inference.draws import Draws
from glmm_zoo.inference.moments import BatchMeans, Moments, batch_length, pooled_moments
from glmm_zoo.inference.settings import Settings


@dataclass(frozen=True)
class Recording:
    """What is kept of a draw x (n,) where not x itself.

    `every` are the variables kept of each draw, `moments` those of which only the moments are. Of the draws `x_draws`, x is
    kept too, and of the draws `effect_draws` so many `effects`, the first numbers of `moments`.
    """

    every: Vectorized
    moments: Vectorized
    x_draws: np.ndarray
    effect_draws: np.ndarray
    effects: int


@dataclass
class Recorded:
    """What was recorded of a chain beside what it handed on: x of some draws (k, n), group effects of others (m, effects) in single
    precision, the moments of its halves, and those of its batches. The effects are given up when chains are put together."""

    x: np.ndarray
    effects: np.ndarray
    halves: tuple[Moments, Moments]
    batches: Moments


class Recorders:
    """The recorders of a run, made by the chains in any order and from any thread; the first is of no chain."""

    def __init__(self, recording: Recording, compiled: Compiled, settings: Settings):
        self._made = (recording, compiled, settings)
        self._numbers = itertools.count()
        self._by_number = dict[int, Recorder]()
        self.first = self.another()

    def another(self) -> Recorder:
        """A recorder with a number that no other has."""
        recording, compiled, settings = self._made
        number = next(self._numbers)
        self._by_number[number] = Recorder(recording, number, compiled, settings)
        return self._by_number[number]

    def recorded(self, x: np.ndarray) -> Recorded:
        """What was recorded of the chain that handed on x (draws, size), beside that."""
        return self._by_number[int(x[0, 0]) if len(x) else 0].recorded


class Recorder:
    """What one chain hands on at each draw: the number of the recorder, then the variables recorded.

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
        self.middle = settings.draws * self.thin // 2
        self.made = -settings.tune  # draws so far, negative during warm-up
        x = np.full((len(recording.x_draws), compiled.size), np.nan)
        effects = np.zeros((len(recording.effect_draws), recording.effects), np.float32)
        halves = Moments(size_of_moments), Moments(size_of_moments)
        self.length = batch_length(settings.draws * self.thin)
        self.recorded = Recorded(x, effects, halves, BatchMeans(size_of_moments, self.length))
        self.row_of_x, self.row_of_effects = (
            {int(draw): row for row, draw in enumerate(draws)} for draws in (recording.x_draws, recording.effect_draws)
        )

    def __call__(self, z: np.ndarray) -> np.ndarray:
        made, self.made = self.made, self.made + 1
        handed_on = np.zeros(self.size)
        handed_on[0] = self.number
        if made < 0:
            return handed_on
        x = self.coordinates.x_of(z)
        moments = _flat(self.recording.moments(x[None]))
        self.recorded.halves[made >= self.middle].add(moments)
        self.recorded.batches.add(moments)
        if (made + 1) % self.thin == 0:
            handed_on[1:] = _flat(self.recording.every(x[None]))
            draw = made // self.thin
            if draw in self.row_of_x:
                self.recorded.x[self.row_of_x[draw]] = x
            if draw in self.row_of_effects:
                self.recorded.effects[self.row_of_effects[draw]] = moments[: self.recording.effects]
        return handed_on

    def of_all(self, made: Draws, of_chain: Sequence[Recorded]) -> Draws:
        """The draws with x and moments as they were recorded of each chain, and what `made` has in place of x as variables."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        parts = np.split(made.x[:, :, 1:], ends[:-1], axis=2)
        return replace(
            made,
            x=np.stack([r.x for r in of_chain]),
            x_draws=self.recording.x_draws,
            recorded=[p.reshape(*p.shape[:2], *s) for p, s in zip(parts, self.shapes, strict=True)],
            moments=pooled_moments([h for r in of_chain for h in r.halves], [r.batches for r in of_chain], self.length),
            effects=_stacked(of_chain),
        )


def _stacked(of_chain: Sequence[Recorded]) -> np.ndarray:
    """The group effects (chains, m, effects), each given up as soon as it is copied, so that they are not there twice."""
    first = of_chain[0].effects
    whole = np.empty((len(of_chain), *first.shape), first.dtype)
    for row, recorded in zip(whole, of_chain, strict=True):
        row[:] = recorded.effects
        recorded.effects = recorded.effects[:0].copy()
    return whole


def _flat(variables: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([v.ravel() for v in variables]) if variables else np.zeros(0)
