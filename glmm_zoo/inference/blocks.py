"""Group effects that are independent between blocks, given the parameters of the population.

A block is a level of the factor with the fewest levels, with the levels of other factors nested in it: every row belongs to one. Where
there are many, the group effects are sampled block by block, see `within_blocks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor.tensor as pt

from glmm_zoo.inference.coordinates import MOST_CORRELATED, UNCHANGED, Coordinates

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model
    from glmm_zoo.inference.kernel.machine import Function
    from glmm_zoo.plans.groups import Group

FEWEST_BLOCKS = 2000  # blocks; below, all parameters move together
LEAST_ACCEPTANCE = 0.5  # of the worst block
_TRIED = 8  # turns of each block
_QUARTER = np.pi / 2
_LEAST_TURN = 0.8  # of a quarter; turns are of random size, so that none comes back to where it began
_STEP = 1e-5  # of differences of the gradient, in units of a parameter
_CLOSE = 1e-6  # relative error of sums over many rows


@dataclass(frozen=True)
class EffectBlocks:
    """The elements of the unconstrained vector x that belong to the population, `population` (m,), and those of the `effects` (e,), with
    the block of each of these, `block_of` (e,); `count` blocks. `terms` (count,) is the part of the log density that the effects of each
    block enter, in the graph."""

    population: np.ndarray
    effects: np.ndarray
    block_of: np.ndarray
    count: int
    terms: Any


def blocks_of(model: Model, shapes: Sequence[tuple[int, ...]]) -> EffectBlocks | None:
    """The blocks of a model whose value variables have these shapes; None where there are few, or effects that are no blocks."""
    groups = model.groups
    whole = len(model.outcomes) == 1 and model.unit is None and model.event is None and not model.covariates
    if not (groups and whole and all(_plain(model, g) for g in groups)):
        return None
    levels = [len(g.factor.levels) for g in groups]
    top, count = int(np.argmin(levels)), min(levels)
    codes = [c for g in groups if (c := _codes(g, model.rows)) is not None]
    if count < FEWEST_BLOCKS or len(codes) < len(groups):
        return None
    above = [a for c, n in zip(codes, levels, strict=True) if (a := _above(c, codes[top], n)) is not None]
    if len(above) < len(groups):
        return None
    ends = np.cumsum([0, *(int(np.prod(s)) for s in shapes)])
    of_name = {model.values_to_rvs[v].name: k for k, v in enumerate(model.value_vars)}
    effects, block_of = [], []
    for g, levels_above in zip(groups, above, strict=True):
        k = of_name[g.random]
        effects.append(np.arange(ends[k], ends[k + 1]))
        block_of.append(np.repeat(levels_above, len(g.labels)))
    places = np.concatenate(effects)
    population = np.setdiff1d(np.arange(ends[-1]), places)
    if not 0 < len(population) <= MOST_CORRELATED:
        return None
    return EffectBlocks(population, places, np.concatenate(block_of), count, _terms(model, codes[top], above, count))


def _plain(model: Model, group: Group) -> bool:
    """Whether levels are independent and a row has one of them."""
    dependent = group.structure is not None or group.series is not None or group.shares or group.student
    return not dependent and group.random in model.group_effect_names


def _codes(group: Group, rows: int) -> np.ndarray | None:
    """The level of every row (n,), which is the same for all predictors."""
    first, *others = group.codes.values()
    return first if len(first) == rows and all(np.array_equal(first, c) for c in others) else None


def _above(codes: np.ndarray, top: np.ndarray, levels: int) -> np.ndarray | None:
    """The level of the factor above to which each level belongs; None where one belongs to several, or has no rows."""
    found = np.full(levels, -1)
    found[codes] = top
    return found if (found >= 0).all() and (found[codes] == top).all() else None


def _terms(model: Model, top: np.ndarray, above: Sequence[Any], count: int) -> Any:
    (rows,) = model.logp(vars=model.outcomes, sum=False)
    of_effects = model.logp(vars=[model[g.random] for g in model.groups], sum=False)
    total: Any = pt.inc_subtensor(pt.zeros(count)[top], rows)
    for term, levels in zip(of_effects, above, strict=True):
        total = pt.inc_subtensor(total[levels], term)
    return total


def separate(blocks: EffectBlocks, program: Function, x: np.ndarray) -> bool:
    """Whether the density is as `EffectBlocks` says, at x (n,): effects that move change the terms of their blocks and nothing else."""
    n, rng = len(x), np.random.default_rng(0)
    from_here, there = x.copy(), x.copy()
    from_here[blocks.effects] = rng.normal(size=len(blocks.effects))
    moved = rng.uniform(size=blocks.count) < 0.5
    move = moved[blocks.block_of]
    there[blocks.effects] = np.where(move, rng.normal(size=len(move)), from_here[blocks.effects])
    (one, terms), (other, others) = (_value_and_terms(program, point, n) for point in (from_here, there))
    change, size = others - terms, np.abs(terms).sum()
    still = np.abs(change[~moved]).max(initial=0.0) <= _CLOSE * (1 + np.abs(terms).max())
    return bool(still and abs((other - one) - change.sum()) <= _CLOSE * (1 + size))


def _value_and_terms(program: Function, x: np.ndarray, n: int) -> tuple[float, np.ndarray]:
    out = np.zeros(n + program.beside)
    return program(x, out), out[n:]


def turned(
    blocks: EffectBlocks,
    density: Callable[[np.ndarray], tuple[float, np.ndarray]],
    x: np.ndarray,
    out: np.ndarray,
    pushes: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x with the effects of every block moved, in so many steps, the blocks' terms there (count,), and the probability with which the
    move of each is accepted (count,).

    `out` is what the density wrote at x: its gradient and the terms of the blocks. See `within_blocks`."""
    places, n = blocks.effects, len(x)
    z, momentum = x[places], rng.normal(size=len(places))
    angle = _QUARTER * rng.uniform(_LEAST_TURN, 1.0) / pushes
    cos, sin = np.cos(angle), np.sin(angle)
    there, terms, energy = x.copy(), out[n:], momentum**2
    with np.errstate(all="ignore"):
        for _ in range(pushes):
            momentum = momentum + angle / 2 * (out[places] + z)
            z, momentum = cos * z + sin * momentum, cos * momentum - sin * z
            there[places] = z
            out = density(there)[1]
            momentum = momentum + angle / 2 * (out[places] + z)
        lost = np.bincount(blocks.block_of, (energy - momentum**2) / 2, blocks.count)
        probability = np.exp(np.minimum(out[n:] - terms + lost, 0.0))
    return there, out[n:], np.where(np.isfinite(probability), probability, 0.0)


def move_freely(blocks: EffectBlocks, program: Function, x: np.ndarray) -> bool:
    """Whether effects of every block move from a standard normal, with the other elements as in x (n,): where the data of a level make
    them far from normal, they would stay where they are."""
    rng, total = np.random.default_rng(0), np.zeros(blocks.count)

    def density(x: np.ndarray) -> tuple[float, np.ndarray]:
        out = np.zeros(len(x) + program.beside)
        return program(x, out), out

    for _ in range(_TRIED):
        there = x.copy()
        there[blocks.effects] = rng.normal(size=len(blocks.effects))
        total += turned(blocks, density, there, density(there)[1], 1, rng)[2]
    return bool(total.min() >= LEAST_ACCEPTANCE * _TRIED)


def population_coordinates(
    blocks: EffectBlocks, value_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray
) -> Coordinates:
    """Coordinates in which the parameters of the population, given the group effects as the sampler moves them, are about standard normal.

    Their precision is that of the curvature at x = start with effects drawn from a standard normal, which is about their distribution
    there. Directions without curvature keep their unit."""
    x, own = start.copy(), blocks.population
    x[blocks.effects] = np.random.default_rng(0).normal(size=len(blocks.effects))

    def slope(change: np.ndarray) -> np.ndarray:
        there = x.copy()
        there[own] += change
        return value_and_gradient(there)[1][own]

    steps = _STEP * np.eye(len(own))
    curvature = np.stack([(slope(-e) - slope(e)) / (2 * _STEP) for e in steps])
    values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    if not np.isfinite(values).all():
        values, vectors = np.ones(len(own)), np.eye(len(own))
    covariance = (vectors / np.maximum(values, 1.0)) @ vectors.T
    return UNCHANGED.with_block(own, start[own], np.linalg.cholesky(covariance))
