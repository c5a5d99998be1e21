"""What NUTS is told and what is kept of what it says."""

from __future__ import annotations

import dataclasses

import arviz_stats
import numpy as np
import pymc as pm
import pytest

from glmm_zoo.inference import nuts
from glmm_zoo.inference.compile import Compiled, compile_model
from glmm_zoo.inference.coordinates import UNCHANGED
from glmm_zoo.inference.draws import Draws
from glmm_zoo.inference.settings import Settings


@pytest.fixture(scope="module")
def normal() -> Compiled:
    with pm.Model() as model:
        pm.Normal("x", 0, 1, shape=10)
    return compile_model(model)


def sampled(compiled: Compiled, **settings: float | int) -> Draws:
    asked = Settings(chains=2, cores=1, seed=3, tune=400, **settings)  # type: ignore[arg-type]
    return nuts.sample(compiled, asked, np.ones((2, compiled.size)), progress=False)


@pytest.mark.parametrize("target", [0.65, 0.8, 0.95])
def test_steps_are_tuned_for_the_target(normal: Compiled, target: float) -> None:
    rates = sampled(normal, draws=500, target_accept=target).stats["acceptance_rate"]
    assert abs(rates.mean() - target) < 0.05


def test_energies_and_divergences_of_draws_that_are_not_kept_count(
    normal: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, thinned = sampled(normal, draws=2000), sampled(normal, draws=500, thin=4)
    np.testing.assert_array_equal(thinned.x, whole.x[:, 3::4])
    expected = arviz_stats.bfmi(whole.stats["energy"])
    np.testing.assert_allclose(whole.bfmi, expected, rtol=1e-9)
    np.testing.assert_array_equal(thinned.bfmi, whole.bfmi)
    assert (
        np.abs(arviz_stats.bfmi(thinned.stats["energy"]) - expected) > 0.1
    ).all()  # what is kept would say otherwise
    diverging = dict(nuts._STATS, n_steps=("diverging", bool), diverging=("n_steps", int))  # each transition diverges
    monkeypatch.setattr(nuts, "_STATS", diverging)
    assert sampled(normal, draws=50, thin=4).divergences == 2 * 50 * 4


def test_gradients_are_those_of_warm_up_and_draws_together(normal: Compiled) -> None:
    calls = []

    def counted(x: np.ndarray) -> tuple[float, np.ndarray]:
        calls.append(x)
        return normal.value_and_gradient(x)

    in_python = dataclasses.replace(normal, program=None, value_and_gradient=counted)
    drawn = sampled(in_python, draws=50)
    assert drawn.gradients > drawn.stats["n_steps"].sum()
    assert drawn.gradients == pytest.approx(len(calls), rel=0.05)  # but for the search of a first step size


def test_trajectories_double_up_to_ten_times() -> None:
    """A normal density of correlation 0.99999: from end to end in steps as short as its other side is some hundreds of them."""
    precision = np.linalg.inv(np.array([[1.0, 0.99999], [0.99999, 1.0]]))
    compiled = Compiled(np.ones(2), lambda x: (-float(x @ precision @ x) / 2, -precision @ x), lambda _: lambda _: [], UNCHANGED, None, 0.0)  # fmt: skip
    stats = sampled(compiled, draws=100).stats
    assert 5 < stats["tree_depth"].max() <= nuts.MAX_TREE_DEPTH == 10
    assert not stats["reached_max_treedepth"].any()
