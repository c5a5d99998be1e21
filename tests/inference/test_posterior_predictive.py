"""Predictive draws follow the seed of the fit."""

from __future__ import annotations

import numpy as np
import pytest
import row_models
from rows import visits

import glmm_zoo as zoo
from glmm_zoo.inference import posterior_predictive
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.draws import Draws


def test_draws_of_one_posterior_differ_between_seeds_and_not_within_one() -> None:
    model = zoo.lmm(visits(), "y ~ x")
    point = row_models.random_point(model, 1)
    x = np.tile(np.concatenate([np.ravel(point[v.name]) for v in model.value_vars]), (2, 30, 1))
    drawn = Draws(
        x, np.arange(30), {"diverging": np.zeros((2, 30), bool)}, np.array([30, 30]), 0, False, 0.0, 0, np.ones(2)
    )
    compiled = compile_model(model)
    one, again, other = (
        posterior_predictive.posterior_predictive(model, compiled, drawn, seed)["y"].values for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.isin(other, one).any()
    assert len(np.unique(one)) == one.size  # every chain, draw and row has noise of its own


def test_a_fit_hands_its_seed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, draw = [], posterior_predictive.posterior_predictive
    monkeypatch.setattr(
        posterior_predictive, "posterior_predictive", lambda *given: (seeds.append(given[-1]), draw(*given))[1]
    )
    for seed in (8, 9):
        zoo.fit(zoo.lmm(visits(), "y ~ x"), draws=20, tune=50, chains=2, seed=seed, progress=False)
    assert seeds == [8, 9]
