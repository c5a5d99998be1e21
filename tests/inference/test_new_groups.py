"""Responses of groups with new effects have the moments of the marginal model, in closed form at one point of the posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from rows import arms, trial, visits
from scipy import special

import glmm_zoo as zoo
from glmm_zoo.inference import posterior_predictive
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.draws import Draws

CHAINS, DRAWS = 2, 4000
MOST_ERRORS = 5.5  # standard errors that one of some thousand covariances may be off


def _drawn(model: Any, draws: int, seed: int = 1) -> tuple[Draws, dict[str, np.ndarray]]:
    """Draws of one point of the posterior over and over, and its parameters there, by name."""
    point = row_models.random_point(model, seed, 0.3)
    x = np.tile(np.concatenate([np.ravel(point[v.name]) for v in model.value_vars]), (CHAINS, draws, 1))
    stats = {"diverging": np.zeros((CHAINS, draws), bool)}
    drawn = Draws(x, np.arange(draws), stats, np.full(CHAINS, draws), 0, False, 0.0, 0, np.ones(CHAINS))
    variables = [*model.free_RVs, *model.deterministics]
    values = row_models.function(model, model.replace_rvs_by_values(variables))(point)
    return drawn, {v.name: value for v, value in zip(variables, values, strict=True)}


def _replicated(monkeypatch: pytest.MonkeyPatch, model: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rows (sample, n) of the first response, and the parameters that they are drawn with."""
    monkeypatch.setattr(posterior_predictive, "NEW_GROUP_DRAWS", CHAINS * DRAWS)
    drawn, values = _drawn(model, DRAWS)
    tree = posterior_predictive.new_groups(model, compile_model(model), drawn, 3)
    assert tree is not None
    return tree[model.observed_RVs[0].name].values, values


def _assert_covariance(y: np.ndarray, expected: np.ndarray) -> None:
    error = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / len(y))
    assert np.max(np.abs(np.cov(y.T) - expected) / error) < MOST_ERRORS


def test_a_random_intercept_is_a_correlation_within_groups_and_none_between(monkeypatch: pytest.MonkeyPatch) -> None:
    d = visits()
    y, values = _replicated(monkeypatch, zoo.lmm(d, "y ~ 1 + (1 | g)"))
    sd, sigma = values["sd_g"].item(), values["sigma"]
    same = d.g.to_numpy()[:, None] == d.g.to_numpy()
    icc = sd**2 / (sd**2 + sigma**2)
    R, within = np.corrcoef(y.T), same & ~np.eye(len(d), dtype=bool)
    assert np.var(y) == pytest.approx(sd**2 + sigma**2, rel=0.02)
    assert R[within].mean() == pytest.approx(icc, abs=0.01)
    assert R[~same].mean() == pytest.approx(0.0, abs=0.01)
    assert np.mean(y) == pytest.approx(values["Intercept"], abs=0.05)


@pytest.mark.parametrize("center", [True, False])
def test_correlated_slopes_and_nested_and_crossed_factors(monkeypatch: pytest.MonkeyPatch, center: bool) -> None:
    d = visits()
    model = zoo.lmm(d, "y ~ x + (1 + x | g) + (1 | a / b) + (1 | h)", center=center)
    y, values = _replicated(monkeypatch, model)
    Z = np.column_stack([np.ones(len(d)), d.x])
    S = values["corr_g"] * np.outer(values["sd_g"], values["sd_g"])
    wards = d.a + ":" + d.b
    expected = np.eye(len(d)) * values["sigma"] ** 2 + (Z @ S @ Z.T) * _same(d.g)
    for levels, sd in ((d.a, "sd_a"), (wards, "sd_a:b"), (d.h, "sd_h")):
        expected = expected + values[sd].item() ** 2 * _same(levels)
    _assert_covariance(y, expected)


def _same(levels: pd.Series) -> np.ndarray:
    return levels.to_numpy()[:, None] == levels.to_numpy()


def test_drifting_clusters_keep_their_correlation_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    d = trial()
    y, values = _replicated(monkeypatch, zoo.stepped_wedge(d, "y ~ 1", family="gaussian", correlation="decay"))
    apart = np.abs(d.period.to_numpy()[:, None] - d.period.to_numpy())
    between = values["sd_cluster:period"].item() ** 2 * values["rho"] ** apart * _same(d.cluster)
    _assert_covariance(y, between + np.eye(len(d)) * values["sigma"] ** 2)


def test_trials_of_a_meta_analysis_have_new_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    """E y = n E expit(b + t d), d ~ Normal(effect, tau), by Gauss-Hermite quadrature."""
    d = arms()
    model = zoo.meta_analysis(d, "ev | trials(size) ~ drug", study="trial", treatment="drug")
    y, values = _replicated(monkeypatch, model)
    z, weight = np.polynomial.hermite_e.hermegauss(60)
    study = pd.factorize(d.trial, sort=True)[0]
    p = special.expit(
        values["study_Intercept"][study, None] + d.drug.to_numpy()[:, None] * (values["effect"] + values["tau"] * z)
    )
    weight = weight / weight.sum()
    n = d["size"].to_numpy()
    variance = n * ((p * (1 - p)) @ weight) + n**2 * (p**2 @ weight - (p @ weight) ** 2)
    assert np.max(np.abs(y.mean(axis=0) - n * (p @ weight)) / np.sqrt(variance / len(y))) < 4.5
    np.testing.assert_allclose(y.var(axis=0), variance, rtol=0.12)


def test_outcomes_share_new_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    d = visits()
    model = zoo.joint_outcomes(d, ["y ~ 1 + (1 |p| g)", "w ~ 1 + (1 |p| g)"], families=["gaussian", "gaussian"])
    monkeypatch.setattr(posterior_predictive, "NEW_GROUP_DRAWS", CHAINS * DRAWS)
    drawn, values = _drawn(model, DRAWS)
    tree = posterior_predictive.new_groups(model, compile_model(model), drawn, 3)
    assert tree is not None
    both = np.concatenate([tree["y"].values, tree["w"].values], axis=1)
    S = values["corr_g"] * np.outer(values["sd_g"], values["sd_g"])
    residual = np.repeat([values["y_sigma"] ** 2, values["w_sigma"] ** 2], len(d))
    _assert_covariance(both, np.kron(S, _same(d.g)) + np.diag(residual))


def test_at_most_200_draws_evenly_chosen_of_every_chain() -> None:
    model = zoo.lmm(visits(), "y ~ x + (1 | g)")
    drawn, _ = _drawn(model, 1000)
    tree = posterior_predictive.new_groups(model, compile_model(model), drawn, 3)
    assert tree is not None
    assert dict(tree.sizes) == {"sample": 200, "row": 72}
    assert tree["chain"].values.tolist() == [0] * 100 + [1] * 100
    assert tree["draw"].values.tolist() == [*range(0, 1000, 10)] * 2


def test_a_model_without_groups_and_one_of_survival_have_none() -> None:
    for model in (zoo.lmm(visits(), "y ~ x"), row_models.survival_model()):
        drawn, _ = _drawn(model, 10)
        assert posterior_predictive.new_groups(model, compile_model(model), drawn, 3) is None


def test_a_fit_has_the_groups_and_can_be_sliced() -> None:
    tree = zoo.fit(zoo.lmm(visits(), "y ~ x + (1 | g)"), draws=40, tune=80, chains=2, seed=1, progress=False)
    sliced = tree.sel(chain=[1], draw=[3, 11])
    assert dict(sliced["prior"].dataset.sizes) == {"chain": 1, "draw": 2, "coef": 1, "g_effect": 1}
    assert sliced["posterior_predictive_new_groups"].dataset.sizes["sample"] == 80
    xr.testing.assert_identical(
        sliced["prior"]["sd_g"].reset_coords(drop=True), tree["prior"]["sd_g"].sel(chain=[1], draw=[3, 11])
    )
