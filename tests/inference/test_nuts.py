"""What NUTS is told and what is kept of what it says."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pymc as pm
import pytest

from glmm_zoo.inference import nuts
from glmm_zoo.inference.compile import Compiled, compile_model
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
