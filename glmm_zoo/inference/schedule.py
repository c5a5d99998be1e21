"""How often NUTS is run: again with a higher target after divergences, and on from draws that are too correlated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.inference import interrupts, nuts
from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.draws import Draws, joined_and_thinned
from glmm_zoo.inference.nuts import TARGET_ACCEPT, Recording
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results import convergence

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

TARGETS = (TARGET_ACCEPT, 0.95, 0.99)  # of the acceptance probability, the next after a divergence
MOST_THIN = 8
REST = 7e8  # gradients x (rows + unknowns) that take as long as all of a small fit but sampling: some three seconds
AFFORDABLE = 1.5e9  # of the draws that are made beyond those asked for
MOST_KEPT = 5e7  # numbers in memory
TUNE_ON = 100  # warm-up draws where a chain goes on from draws


@dataclass(frozen=True)
class Sampled:
    """The draws that are kept, the settings with which they were made, and how many were made for each of them."""

    draws: Draws
    settings: Settings
    thin: int


def sample_with_retries(
    model: Model, compiled: Compiled, settings: Settings, *, progress: bool, recording: Recording | None = None
) -> Sampled:
    """Sample with the target of the settings; without one with the first of `TARGETS`, and from the start again with the
    next as long as a transition diverged."""
    if settings.target_accept is not None:
        return _sample_once(model, compiled, settings, progress, recording)
    sampled = _sample_once(model, compiled, replace(settings, target_accept=TARGETS[0]), progress, recording)
    for target in TARGETS[1:]:
        if sampled.draws.interrupted or interrupts.received() or not sampled.draws.stats["diverging"].any():
            break
        again = _sample_once(model, compiled, replace(settings, target_accept=target), progress, recording)
        sampled = replace(again, draws=again.draws.with_cost_of(sampled.draws))
    return sampled


def _sample_once(
    model: Model, compiled: Compiled, settings: Settings, progress: bool, recording: Recording | None
) -> Sampled:
    """Draws thinned as the settings say, or as far as it pays; where they are recorded as they are made, not at all."""
    draws = nuts.sample(compiled, settings, progress=progress, recording=recording)
    if settings.thin or recording or draws.interrupted:
        return Sampled(draws, settings, settings.thin or 1)
    parts = _continued(model, compiled, draws, settings, progress)
    return Sampled(joined_and_thinned(parts, len(parts)), settings, len(parts))


def _continued(model: Model, compiled: Compiled, first: Draws, settings: Settings, progress: bool) -> Sequence[Draws]:
    """Equally many draws over and over, beginning with the first; they are to be thinned to as many as the first has.

    Chains go on as long as what is kept gains by a larger share than the time grows, at the first of `TARGETS` in coordinates
    estimated from the draws there are, which are no good where draws diverge. The worst parameter but the group effects
    counts.
    """
    own = _without_group_effects(model)
    cost = first.gradients * (model.rows + compiled.size)
    most = min(MOST_THIN, 1 + int(AFFORDABLE / cost), int(MOST_KEPT / first.x.size))
    parts, bulk, tail = [first], np.zeros(len(own)), np.zeros(len(own))
    able = compiled.program is not None and len(own) > 0 and first.x.shape[1] >= 4
    while (
        able
        and len(parts) < most
        and not (interrupts.received() or parts[-1].interrupted or parts[-1].stats["diverging"].any())
    ):
        x, made = parts[-1].x, len(parts)
        bulk, tail = bulk + convergence.ess_bulk(x[:, :, own]), tail + convergence.ess_tail(x[:, :, own])
        effective = max(1.0, min(bulk.min(), tail.min()))
        share = min(effective / (made * x.shape[0] * x.shape[1]), 1.0)
        if _gain(share, made) < (REST + (made + 1) * cost) / (REST + made * cost):
            break
        usual = (settings.target_accept or TARGETS[0]) <= TARGETS[0]
        parts.append(
            nuts.sample(
                compiled.in_coordinates_from([p.x for p in parts], own, effective) if usual else compiled,
                replace(settings, tune=TUNE_ON, thin=1, seed=_seed_of_part(settings.seed, made)),
                beginnings=x.reshape(-1, compiled.size),
                progress=progress,
            )
        )
    return parts


def _without_group_effects(model: Model) -> np.ndarray:
    """Positions in the unconstrained vector of all but group effects and smooths' weights."""
    effects = {model.rvs_to_values[model[u]] for u in (*model.group_effect_names, *model.smooth_weight_names)}
    initial = model.initial_point()
    return np.flatnonzero(
        np.concatenate([np.full(np.size(initial[v.name]), v not in effects) for v in model.value_vars])
    )


def _gain(share: float, made: int) -> float:
    """How many times more every (t + 1)-th of (t + 1) times as many draws are worth than every t-th of t times as many.

    If draws are worth a `share` r of independent ones, they are correlated like rho = (1 - r) / (1 + r), and of t times as
    many every t-th is worth (1 - rho^t) / (1 + rho^t).
    """
    rho = (1 - share) / (1 + share)
    now, then = ((1 - rho**t) / (1 + rho**t) for t in (made, made + 1))
    return then / now


def _seed_of_part(seed: int | None, part: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=(part, 1)).generate_state(1)[0])
