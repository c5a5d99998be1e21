"""NUTS for few parameters whose density is expensive, one transition at a time (Hoffman & Gelman 2014), in coordinates of unit size.

States are drawn by their weight along the trajectory, from its later half preferably (Betancourt 2017, A.3), which ends where it turns
back, or one of its halves with the next state does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

FALL = 1000.0  # of the log density, at which a trajectory has diverged; as in nutpie


@dataclass(frozen=True)
class Point:
    """q (m,), the log density there and its slope (m,); with x (n,), of which q is a part, and what the density's program wrote, `out`."""

    q: np.ndarray
    value: float
    slope: np.ndarray
    x: np.ndarray
    out: np.ndarray


@dataclass(frozen=True)
class _Tree:
    """Part of a trajectory: its ends with their momenta, a state drawn from it, the log of the states' weights, the sum of their momenta,
    and whether it may go on."""

    near: tuple[Point, np.ndarray]
    far: tuple[Point, np.ndarray]
    drawn: Point
    log_weight: float
    momentum: np.ndarray
    goes_on: bool = True

    def turned(self) -> _Tree:
        return replace(self, near=self.far, far=self.near)


@dataclass(frozen=True)
class Transition:
    """The point that was drawn, with statistics: mean acceptance probability, depth of the tree, whether it was cut at the greatest depth,
    whether it diverged, its steps, and its energy."""

    point: Point
    acceptance: float
    depth: int
    cut: bool
    diverged: bool
    steps: int
    energy: float


class PopulationNuts:
    """Transitions of a density q -> `Point`."""

    def __init__(self, density: Callable[[np.ndarray], Point], rng: np.random.Generator, greatest_depth: int):
        self.density, self.rng, self.greatest_depth = density, rng, greatest_depth

    def transition(self, start: Point, step: float) -> Transition:
        """From a point, by steps of this size."""
        momentum = self.rng.normal(size=len(start.q))
        self._energy = float(momentum @ momentum) / 2 - start.value
        self._accepted, self._steps, self._diverged = 0.0, 0, False
        tree = _Tree((start, momentum), (start, momentum), start, 0.0, momentum)
        depth, cut = 0, True
        while depth < self.greatest_depth:
            if self.rng.uniform() < 0.5:
                tree, step = tree.turned(), -step
            further = self._further(tree.far, step, depth)
            if not further.goes_on:
                cut = False
                break
            tree, depth = self._joined(tree, further, later=True), depth + 1
            if not tree.goes_on:
                cut = False
                break
        acceptance = self._accepted / max(self._steps, 1)
        return Transition(tree.drawn, acceptance, depth, cut, self._diverged, self._steps, self._energy)

    def _further(self, end: tuple[Point, np.ndarray], step: float, depth: int) -> _Tree:
        """2^depth states on from an end."""
        if depth == 0:
            return self._step(*end, step)
        first = self._further(end, step, depth - 1)
        if not first.goes_on:
            return first
        second = self._further(first.far, step, depth - 1)
        return self._joined(first, second) if second.goes_on else second

    def _step(self, point: Point, momentum: np.ndarray, step: float) -> _Tree:
        half = momentum + step / 2 * point.slope
        there = self.density(point.q + step * half)
        momentum = half + step / 2 * there.slope
        log_weight = there.value - float(momentum @ momentum) / 2 + self._energy
        if not math.isfinite(log_weight):
            log_weight = -math.inf
        self._steps += 1
        self._accepted += math.exp(min(log_weight, 0.0))
        diverged = log_weight < -FALL
        self._diverged |= diverged
        return _Tree((there, momentum), (there, momentum), there, log_weight, momentum, not diverged)

    def _joined(self, a: _Tree, b: _Tree, *, later: bool = False) -> _Tree:
        """Two parts of a trajectory of which b begins where a ends; a state of b is preferred if it is `later`."""
        log_weight = np.logaddexp(a.log_weight, b.log_weight)
        into_b = math.log(1 - self.rng.uniform()) < b.log_weight - (a.log_weight if later else log_weight)
        momentum = a.momentum + b.momentum
        goes_on = (
            _goes_on(momentum, a.near[1], b.far[1])
            and _goes_on(a.momentum + b.near[1], a.near[1], b.near[1])
            and _goes_on(a.far[1] + b.momentum, a.far[1], b.far[1])
        )
        return _Tree(a.near, b.far, b.drawn if into_b else a.drawn, float(log_weight), momentum, goes_on)


def _goes_on(total: np.ndarray, first: np.ndarray, last: np.ndarray) -> bool:
    """Whether a trajectory with this sum of momenta does not turn back at its ends."""
    return bool(total @ first > 0 and total @ last > 0)


class StepSize:
    """Dual averaging of the logarithm of the step size towards a mean acceptance probability (Hoffman & Gelman 2014, section 3.2)."""

    def __init__(self, target: float, first: float):
        self.target, self._about, self._count = target, math.log(2 * first), 0
        self._error, self._log, self._mean = 0.0, math.log(first), math.log(first)

    @property
    def now(self) -> float:
        """For the next transition of the warm-up."""
        return math.exp(self._log)

    @property
    def mean(self) -> float:
        """For the draws."""
        return math.exp(self._mean)

    def learn(self, acceptance: float) -> None:
        """What the last transition had."""
        self._count += 1
        share = 1 / (self._count + 10)
        self._error += share * (self.target - acceptance - self._error)
        self._log = self._about - math.sqrt(self._count) / 0.05 * self._error
        weight = self._count**-0.75
        self._mean += weight * (self._log - self._mean)
