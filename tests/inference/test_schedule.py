"""How often NUTS is run, seen by a sampler that says what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from glmm_zoo.inference import schedule
from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.coordinates import UNCHANGED, Coordinates
from glmm_zoo.inference.draws import Draws
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results import convergence

CHAINS, DRAWS = 4, 1000


class Sampler:
    """In place of NUTS: remembers what it was asked, and makes draws of two elements by `make(part, beginnings)`."""

    def __init__(self, make: Callable[[int, np.ndarray], np.ndarray], divergences: Callable[[float], int]):
        self.make, self.divergences = make, divergences
        self.settings: list[Settings] = []
        self.beginnings: list[np.ndarray] = []
        self.made: list[np.ndarray] = []
        self.gradients = [100]  # of the parts, the last of all that follow

    def __call__(self, compiled: Compiled, settings: Settings, beginnings: np.ndarray, **_: Any) -> Draws:
        x = self.make(len(self.made), beginnings)
        self.settings.append(settings)
        self.beginnings.append(beginnings)
        self.made.append(x)
        diverged = self.divergences(settings.target_accept or 0.8)
        shape = x.shape[:2]
        stats = {"diverging": (np.arange(x[..., 0].size) < diverged).reshape(shape), "energy": np.zeros(shape)}
        finished = np.full(len(x), x.shape[1])
        gradients = self.gradients[min(len(self.made), len(self.gradients)) - 1]
        return Draws(x, np.arange(x.shape[1]), stats, finished, gradients, False, 1.0, diverged, np.ones(len(x)))


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[schedule.Sampled, Sampler]]:
    """Runs the schedule with a sampler in place of NUTS, of a density whose first element is not a group effect."""

    def run(
        make: Any, divergences: Any = lambda _: 0, rows: int = 10, gradients: tuple[int, ...] = (100,), **settings: Any
    ) -> tuple[schedule.Sampled, Sampler]:
        sampler = Sampler(make, divergences)
        sampler.gradients[:] = gradients
        monkeypatch.setattr(schedule, "_without_group_effects", lambda _: np.array([0]))
        monkeypatch.setattr(schedule.nuts, "sample", sampler)
        program: Any = "machine code"
        compiled = Compiled(np.ones(2), lambda x: (0.0, -x), lambda _: lambda _: [], UNCHANGED, program, 0.0)
        asked = Settings(**{"draws": DRAWS, "chains": CHAINS, "seed": 1, **settings})
        model: Any = SimpleNamespace(rows=rows)
        return schedule.sample_with_retries(model, compiled, asked, progress=False), sampler

    return run


def chains_that_stay(apart: float, rng: np.random.Generator, mixed_up: bool = False) -> Callable[..., np.ndarray]:
    """Draws of two regions `apart` sds apart; of a chain in the region of its beginning, which element 1 tells.

    `mixed_up` has each chain go on from a draw of any chain.
    """

    def make(part: int, beginnings: np.ndarray) -> np.ndarray:
        side = np.sign(beginnings[:, 1]) if part else np.where(np.arange(CHAINS) % 2, 1.0, -1.0)
        side = rng.choice(side, CHAINS) if mixed_up and part else side
        x = rng.normal(size=(CHAINS, DRAWS, 2))
        x[..., 0] += side[:, None] * apart / 2
        x[..., 1] = side[:, None]
        return x

    return make


def r_hat(x: np.ndarray) -> float:
    return float(convergence.ess_bulk_and_rhat(x[:, :, :1])[1][0])


@pytest.mark.parametrize("apart", [1.0, 0.5])
def test_regions_that_chains_do_not_leave_are_never_sound(
    sampled: Any, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    first = [sampled(chains_that_stay(apart, rng)) for _ in range(10)]
    assert all(len(sampler.made) == 1 and r_hat(found.draws.x) >= 1.01 for found, sampler in first)
    monkeypatch.setattr(schedule, "RHAT", np.inf)  # even if chains that disagree went on
    own, of_any = (
        [r_hat(sampled(chains_that_stay(apart, rng, mixed_up))[0].draws.x) for _ in range(20)]
        for mixed_up in (False, True)
    )
    assert min(own) >= 1.01 and min(of_any) < 1.01


def offset(x: np.ndarray, r_hat_wanted: float) -> np.ndarray:
    """Draws whose chains are moved apart until R-hat of element 0 is as wanted."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        moved = x.copy()
        moved[..., 0] += middle * np.array([-1.0, 1.0, -1.0, 1.0])[:, None]
        low, high = (middle, high) if r_hat(moved) < r_hat_wanted else (low, middle)
    return moved


@pytest.mark.parametrize(("wanted", "go_on"), [(1.0098, True), (1.0102, False)])
def test_only_chains_that_agree_go_on(sampled: Any, wanted: float, go_on: bool) -> None:
    draws = offset(np.random.default_rng(2).normal(size=(CHAINS, DRAWS, 2)), wanted)
    assert abs(r_hat(draws) - wanted) < 1e-4
    assert (sampled(lambda *_: draws)[0].thin > 1) == go_on


def test_an_element_that_never_moves_does_not_go_on(sampled: Any) -> None:
    assert sampled(lambda *_: np.ones((CHAINS, DRAWS, 2)))[0].thin == 1


def slow(part: int, beginnings: np.ndarray) -> np.ndarray:
    """Draws correlated like an autoregression of 0.8."""
    rng = np.random.default_rng(part)
    x = rng.normal(size=(CHAINS, 4000, 2)) * 0.6
    for t in range(1, x.shape[1]):
        x[:, t] += 0.8 * x[:, t - 1]
    return x


def test_each_chain_goes_on_from_its_own_last_draw(sampled: Any) -> None:
    found, sampler = sampled(slow, draws=4000, tune=321)
    assert found.thin == len(sampler.made) > 2
    for before, beginnings in zip(sampler.made, sampler.beginnings[1:], strict=False):
        np.testing.assert_array_equal(beginnings, before[:, -1])
    assert len(np.unique(sampler.beginnings[0], axis=0)) == CHAINS
    assert len({s.seed for s in sampler.settings}) == len(sampler.made)
    assert [s.tune for s in sampler.settings] == [321] + [schedule.TUNE_ON] * (len(sampler.made) - 1)
    assert [s.target_accept for s in sampler.settings] == [0.8] + [0.7] * (len(sampler.made) - 1)
    assert found.runs == [schedule.Run(0.8, len(sampler.made), True, 0, 0.7)]
    other = sampled(slow, draws=4000, seed=2)[1]
    assert not {s.seed for s in other.settings} & {s.seed for s in sampler.settings}


@pytest.mark.parametrize(("beyond", "parts"), [(1.9, 2), (2.0, 3), (2.9, 3)])
def test_draws_beyond_those_asked_for_cost_what_can_be_afforded(
    sampled: Any, beyond: float, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient costs the 10 rows and the 2 unknowns; a part is 100 gradients."""
    monkeypatch.setattr(schedule, "AFFORDABLE", beyond * 100 * (10 + 2))
    assert sampled(slow, draws=4000)[0].thin == parts


@pytest.mark.parametrize("price", [5.0, 2.0, 1.0])
def test_chains_go_on_as_long_as_draws_gain_more_than_they_cost(
    sampled: Any, price: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of t times as many draws of this autoregression every t-th is worth (1 - 0.8^t) / (1 + 0.8^t); a part costs `price`
    times as much as all else, so worth / (1 + price t) is as large as it gets."""
    monkeypatch.setattr(schedule, "AFFORDABLE", 1e30)
    monkeypatch.setattr(schedule, "REST", 100 * (10 + 2) / price)
    t = np.arange(1, schedule.MOST_THIN + 1)
    best = t[np.argmax((1 - 0.8**t) / (1 + 0.8**t) / (1 + price * t))]
    assert sampled(slow, draws=4000)[0].thin == best


@pytest.mark.parametrize("bent", [True, False])
def test_where_group_effects_are_bent_a_part_costs_what_the_last_did(
    sampled: Any, bent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "AFFORDABLE", 1e30)
    monkeypatch.setattr(schedule, "REST", 100 * (10 + 2) / 2)
    monkeypatch.setattr(Coordinates, "bend_others", bent)
    t = np.arange(1, schedule.MOST_THIN + 1)
    best = t[np.argmax((1 - 0.8**t) / (1 + 0.8**t) / (0.5 + 1 + (t - 1) * (0.1 if bent else 1)))]
    assert sampled(slow, draws=4000, gradients=(100, 10))[0].thin == best


@pytest.mark.parametrize(("numbers", "parts"), [(1.9, 1), (2.0, 2), (3.5, 3)])
def test_no_more_draws_are_made_than_may_be_kept(
    sampled: Any, numbers: float, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "MOST_KEPT", numbers * CHAINS * 4000 * 2)
    assert sampled(slow, draws=4000)[0].thin == parts


def test_ctrl_c_before_a_part_begins_keeps_the_parts_there_are(sampled: Any) -> None:
    def make(part: int, beginnings: np.ndarray) -> np.ndarray:
        if part == 2:
            raise KeyboardInterrupt
        return slow(part, beginnings)

    found, _ = sampled(make, draws=4000)
    assert found.thin == 2 and np.isfinite(found.draws.x).all()


def heavy(part: int, beginnings: np.ndarray) -> np.ndarray:
    """Independent draws of a scale that is large for 20 of 200 draws: the centre mixes at once, the tails do not."""
    scale = np.where(np.arange(DRAWS) % 200 < 20, 9.0, 1.0)
    return np.random.default_rng(part).normal(size=(CHAINS, DRAWS, 2)) * scale[:, None]


def test_tails_count_as_the_centre_does(sampled: Any) -> None:
    x = heavy(0, np.zeros(0))[:, :, :1]
    assert convergence.ess_bulk(x)[0] > 3000 and convergence.ess_tail(x)[0] < 1000
    light = np.random.default_rng(0).normal(size=(CHAINS, DRAWS, 2))
    assert sampled(heavy, rows=3_000_000)[0].thin > 1  # gradients so dear that independent draws are not made again
    assert sampled(lambda *_: light, rows=3_000_000)[0].thin == 1


@pytest.mark.parametrize(
    ("divergences", "targets"),
    [
        ({0.8: 0}, [0.8]),
        ({0.8: 12, 0.95: 0}, [0.8, 0.95]),
        ({0.8: 42, 0.95: 1, 0.99: 0}, [0.8, 0.95, 0.99]),
        ({0.8: 42, 0.95: 1, 0.99: 3}, [0.8, 0.95, 0.99]),
    ],
)
def test_divergences_are_followed_by_a_higher_target_and_kept_in_mind(
    sampled: Any, divergences: dict[float, int], targets: list[float]
) -> None:
    found, sampler = sampled(lambda part, _: np.random.default_rng(part).normal(size=(4, 3, 2)), divergences.get)
    assert [s.target_accept for s in sampler.settings] == targets
    assert [(run.target_accept, run.divergences) for run in found.runs] == list(divergences.items())
    assert found.settings.target_accept == targets[-1] and found.draws.gradients == 100 * len(targets)
    assert found.draws.divergences == divergences[targets[-1]]


def test_a_target_that_was_given_is_kept(sampled: Any) -> None:
    found, sampler = sampled(slow, lambda _: 5, draws=4000, target_accept=0.9)
    assert [s.target_accept for s in sampler.settings] == [0.9] and found.thin == 1
    assert found.runs == [schedule.Run(0.9, 1, False, 5)]
    higher = sampled(slow, draws=4000, target_accept=0.9)[0].runs
    assert higher[0].parts > 1 and not higher[0].coordinates_from_draws


def test_parts_in_coordinates_from_draws_have_a_lower_target_unless_one_was_given(sampled: Any) -> None:
    found, sampler = sampled(slow, draws=4000)
    assert len(sampler.settings) > 1
    assert [s.target_accept for s in sampler.settings] == [0.8] + [0.7] * (len(sampler.settings) - 1)
    assert found.settings.target_accept == 0.8 and found.runs[0].target_on == 0.7
    found, sampler = sampled(slow, draws=4000, target_accept=0.8)
    assert {s.target_accept for s in sampler.settings} == {0.8} and found.runs[0].target_on is None


def test_a_part_that_diverges_in_bent_coordinates_is_made_again_in_straight_ones(sampled: Any) -> None:
    found, sampler = sampled(slow, {0.8: 0, 0.7: 5}.get, draws=4000)
    assert [s.target_accept for s in sampler.settings] == [0.8, 0.7] + [0.8] * (found.thin - 1)
    assert sampler.settings[1] == replace(sampler.settings[2], target_accept=0.7)  # the same part
    run = found.runs[-1]
    assert len(found.runs) == 1 and run.divergences == 0 and run.divergences_before == 5 and run.target_on is None
    assert found.draws.gradients == 100 * len(sampler.settings)


@pytest.mark.parametrize("draws", range(1, 9))
@pytest.mark.parametrize("chains", [1, 2, 3, 4])
def test_few_draws_are_no_warning(sampled, draws: int, chains: int) -> None:
    """Also where chains agree by chance, and no or all draws of the halves are in a tail."""
    rng = np.random.default_rng(3)
    for _ in range(40):
        last, _ = sampled(lambda part, _: rng.normal(size=(chains, draws, 2)), draws=draws, chains=chains)
        assert last.draws.x.shape == (chains, draws, 2)
