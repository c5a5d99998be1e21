"""How often NUTS is run: again with a higher target after divergences, and on from draws that are too correlated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.inference import interrupts, nuts
from glmm_zoo.inference.beginnings import first_beginnings
from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.coordinates import MOST_CORRELATED
from glmm_zoo.inference.draws import Draws, joined_and_thinned
from glmm_zoo.inference.kept import Chain, KeptChains
from glmm_zoo.inference.recording import Recording
from glmm_zoo.inference.settings import TARGET_ACCEPT, Settings
from glmm_zoo.results import convergence
from glmm_zoo.results.diagnostics import HIGHER_TARGETS, RHAT
from glmm_zoo.results.parameter_statistics import LEAST_DRAWS
from glmm_zoo.results.storage import random_effect_variables
from glmm_zoo.tables.memory import give_back_what_is_free

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

TARGETS = (TARGET_ACCEPT, *HIGHER_TARGETS)  # of the acceptance probability, the next after a divergence
MOST_THIN = 8
REST = 7e8  # gradients x (rows + unknowns) that take as long as all of a small fit but sampling: some three seconds
AFFORDABLE = 1.5e9  # of the draws that are made beyond those asked for
MOST_KEPT = 5e7  # numbers in memory
TUNE_ON = 100  # warm-up draws where a chain goes on from draws
TARGET_ON = 0.7  # of the acceptance probability where it does so in coordinates estimated from draws, if none was given
FEWEST = 100  # draws of each chain that are made at once where a number of effective ones is wanted
MARGIN = 1.1  # times as many draws as it seems to take


@dataclass(frozen=True)
class Run:
    """Draws made with one target: how many parts each chain has, whether coordinates were estimated from draws between
    them, how many transitions after warm-up diverged, the target of the later parts where it was another, and how many
    transitions diverged in a part that was made again."""

    target_accept: float
    parts: int
    coordinates_from_draws: bool
    divergences: int
    target_on: float | None = None
    divergences_before: int = 0


@dataclass(frozen=True)
class Sampled:
    """The draws that are kept, the settings with which they were made, how many were made for each of them, and all runs, of
    which the last made these; and whether a signal kept it from going on."""

    draws: Draws
    settings: Settings
    thin: int
    runs: Sequence[Run]
    cut_short: bool = False


def sample_with_retries(
    model: Model,
    compiled: Compiled,
    settings: Settings,
    *,
    progress: bool,
    recording: Recording | None = None,
    kept: KeptChains | None = None,
    elsewhere: Callable[..., dict[int, Chain]] | None = None,
) -> Sampled:
    """Sample with the target of the settings; without one with the first of `TARGETS`, and from the start again with the
    next as long as a transition diverged. `elsewhere` makes the chains of a run where they are not made here."""
    first, *others = TARGETS if settings.target_accept is None else [settings.target_accept]
    sample = partial(_part, progress=progress, kept=kept, elsewhere=elsewhere)
    sampled = _sample_once(model, compiled, settings, first, sample, recording)
    for target in others:
        if sampled.draws.interrupted or not sampled.draws.divergences:
            break
        if interrupts.received():
            return replace(sampled, cut_short=True)
        sampled = replace(sampled, draws=sampled.draws.without_values())  # nobody reads these draws again
        again = _sample_once(model, compiled, settings, target, sample, recording)
        sampled = replace(again, draws=again.draws.with_cost_of(sampled.draws), runs=[*sampled.runs, *again.runs])
    return sampled


def _part(*arguments: Any, **keywords: Any) -> Draws:
    """Draws by NUTS, after which there is no more in memory than they are."""
    draws = nuts.sample(*arguments, **keywords)
    give_back_what_is_free(draws.x.nbytes)
    return draws


def _sample_once(
    model: Model,
    compiled: Compiled,
    settings: Settings,
    target: float,
    sample: Callable[..., Draws],
    recording: Recording | None,
) -> Sampled:
    """Draws thinned as the settings say, or as far as it pays; where they are recorded as they are made, not at all."""
    given = settings.target_accept is not None
    settings = replace(settings, target_accept=target)
    own = _without_group_effects(model)
    beginnings = first_beginnings(compiled, own, settings.chains, settings.seed)
    wanted = None if settings.effective is None or recording else _Wanted(model, compiled, settings)
    begun = settings if wanted is None else replace(settings, draws=wanted.at_first)
    parts, cut_short = [sample(compiled, begun, beginnings, recording=recording)], False
    anew = target <= TARGETS[0] and len(own) <= MOST_CORRELATED
    onward = _Onward(compiled, settings, own, sample, anew=anew, lower=not given)
    if wanted is not None:
        parts, cut_short = _until_effective(parts[0], wanted, onward)
        thin = wanted.thin(parts)
    else:
        if not (settings.thin or recording or parts[0].interrupted):
            parts, cut_short = _continued(parts[0], model.rows, onward)
        thin = len(parts)
    draws = joined_and_thinned(parts, thin)
    run = Run(target, len(parts), anew and len(parts) > 1, draws.divergences, *onward.about(parts))
    if wanted is not None:
        settings = replace(settings, draws=draws.x.shape[1])
    return Sampled(draws, settings, settings.thin or thin, [run], cut_short)


class _Onward:
    """Makes the parts after the first, in which each chain goes on from its own last draw: `anew` in coordinates estimated from
    the draws there are, which are no good where draws diverge. Elements `own` are all but the group effects.

    Bent coordinates and their long steps are given up where a part diverges: it is made again in straight ones, at the first target.
    """

    def __init__(
        self,
        compiled: Compiled,
        settings: Settings,
        own: np.ndarray,
        sample: Callable[..., Draws],
        *,
        anew: bool,
        lower: bool,
    ):
        self.compiled, self.own, self.anew = compiled, own, anew
        self._settings, self._sample = replace(settings, tune=TUNE_ON, thin=1, effective=None), sample
        self._bent, self._lower, self._again = anew and compiled.can_be_bent, lower, 0

    def part(self, parts: Sequence[Draws], effective: float, draws: int, *, anew: bool) -> Draws:
        """The next one, of so many draws; those there are are worth `effective` independent ones."""
        seed = _seed_of_part(self._settings.seed, len(parts))
        on = replace(self._settings, draws=draws, seed=seed)
        made = self._made(parts, effective, on, anew=anew)
        if made.divergences and self._bent and not made.interrupted:
            self._bent, self._again = False, made.divergences
            made = self._made(parts, effective, on, anew=anew).with_cost_of(made)
        return made

    def _made(self, parts: Sequence[Draws], effective: float, on: Settings, *, anew: bool) -> Draws:
        bent = self._bent and anew
        if anew:
            draws = [p.x for p in parts]
            self.compiled = self.compiled.in_coordinates_from(draws, self.own, effective, bent=bent)
        on = replace(on, target_accept=TARGET_ON) if bent and self._lower else on
        return self._sample(self.compiled, on, parts[-1].x[:, -1])

    def about(self, parts: Sequence[Draws]) -> tuple[float | None, int]:
        """The target of later parts where it is another, and how many transitions diverged in one that was made again."""
        lower = self._bent and self._lower and len(parts) > 1
        return TARGET_ON if lower else None, self._again


def _continued(first: Draws, rows: int, onward: _Onward) -> tuple[list[Draws], bool]:
    """Equally many draws over and over, beginning with the first, to be thinned to as many as the first has; and whether a signal
    kept them from going on.

    Chains go on only if those of the first part agree: R-hat then sees in the parts what it saw in the first; and as long as what is
    kept gains by a larger share than the time grows. The worst of the elements that are no group effects counts.
    """
    compiled, own = onward.compiled, onward.own
    each = rows + compiled.size  # of a gradient
    cost = each * first.gradients
    most = min(MOST_THIN, 1 + int(AFFORDABLE / cost), int(MOST_KEPT / first.x.size))
    parts, bulk, tail = [first], np.zeros(len(own)), np.zeros(len(own))
    able = compiled.program is not None and _agree(first, own)
    while able and len(parts) < most and not (parts[-1].interrupted or parts[-1].divergences):
        x, made = parts[-1].x, len(parts)
        with np.errstate(all="ignore"):  # few draws, none or all of which are in a tail
            bulk, tail = bulk + convergence.ess_bulk(x[:, :, own]), tail + convergence.ess_tail(x[:, :, own])
        effective = max(1.0, min(bulk.min(), tail.min()))
        share = min(effective / (made * x.shape[0] * x.shape[1]), 1.0)
        spent, another = made * cost, cost
        if onward.compiled.coordinates.bend_others:  # which halves trees, or more
            spent, another = each * sum(part.gradients for part in parts), each * parts[-1].gradients
        if _gain(share, made) < (REST + spent + another) / (REST + spent):
            break
        if interrupts.received():
            return parts, True
        try:
            parts.append(onward.part(parts, effective, x.shape[1], anew=onward.anew))
        except KeyboardInterrupt:  # before a draw
            return parts, True
    return parts, False


class _Wanted:
    """So many effective draws of every parameter that is no group effect or weight of a smooth."""

    def __init__(self, model: Model, compiled: Compiled, settings: Settings):
        effects = random_effect_variables(model.spec) | model.auxiliary
        shown = [v for v in model.unobserved_RVs if v.name not in effects]
        self._values = compiled.variables(shown)
        self.settings, self._count = settings, settings.effective or 0
        self.most = MOST_THIN * settings.draws if compiled.program is not None else settings.draws

    @property
    def at_first(self) -> int:
        """Draws of each chain before any are looked at: half of them effective are enough."""
        few = max(FEWEST, -(-2 * self._count // self.settings.chains))
        return min(self.settings.draws, few) if self.most > self.settings.draws else self.settings.draws

    def thin(self, parts: Sequence[Draws]) -> int:
        """Of so many draws one is kept."""
        return -(-_made(parts) // self.settings.draws)

    def found(self, parts: Sequence[Draws]) -> float:
        """The fewest effective draws that a parameter has of those kept."""
        x = joined_and_thinned(parts, self.thin(parts)).x
        values = self._values(x.reshape(-1, x.shape[2]))
        table = np.column_stack([v.reshape(len(v), -1) for v in values]).reshape(*x.shape[:2], -1)
        with np.errstate(all="ignore"):  # what is always the same, as 1 in a correlation matrix
            return max(1.0, float(np.nanmin([convergence.ess_bulk(table), convergence.ess_tail(table)])))

    def missing(self, parts: Sequence[Draws], found: float) -> int:
        """About how many more draws of each chain it takes; none where these are enough, or no more are made."""
        made = _made(parts)
        if found >= self._count or made >= self.most:
            return 0
        return int(np.clip(MARGIN * made * self._count / found - made, FEWEST, self.most - made))


def _made(parts: Sequence[Draws]) -> int:
    return sum(part.x.shape[1] for part in parts)


def _until_effective(first: Draws, wanted: _Wanted, onward: _Onward) -> tuple[list[Draws], bool]:
    """Draws until there are as many effective ones as wanted, each part about as long as the parts before say that it takes."""
    parts = [first]
    while not (parts[-1].interrupted or parts[-1].divergences):
        found = wanted.found(parts)
        more = wanted.missing(parts, found)
        if not more:
            break
        if interrupts.received():
            return parts, True
        try:
            parts.append(onward.part(parts, found, more, anew=onward.anew and _agree(first, onward.own)))
        except KeyboardInterrupt:  # before a draw
            return parts, True
    return parts, False


def _agree(draws: Draws, own: np.ndarray) -> bool:
    """Whether R-hat of these elements is below its limit."""
    if draws.interrupted or not len(own) or draws.x.shape[1] < LEAST_DRAWS:
        return False
    with np.errstate(all="ignore"):
        return bool((convergence.ess_bulk_and_rhat(draws.x[:, :, own])[1] < RHAT).all())


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
