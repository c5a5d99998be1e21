"""A fit from end to end on small data: the tree, its draws and moments, interruption, and who is told what."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import special

import glmm_zoo as zoo
from glmm_zoo.inference import datatree, nuts, schedule
from glmm_zoo.inference.draws import Draws
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results import storage

GROUPS = (
    "posterior", "sample_stats", "log_likelihood", "posterior_predictive", "observed_data", "constant_data", "report"
)  # fmt: skip


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    site = np.repeat([f"s{i}" for i in range(10)], 12)
    x = rng.normal(size=120)
    eta = -0.3 + 0.8 * x + rng.normal(0, 0.8, 10)[np.repeat(np.arange(10), 12)]
    return pd.DataFrame({"y": rng.binomial(1, special.expit(eta)), "x": x, "site": site})


@pytest.fixture(scope="module")
def model(data: pd.DataFrame):
    return zoo.hierarchical_logistic(data, "y ~ x + (1 + x | site)")


@pytest.fixture(scope="module")
def tree(model) -> xr.DataTree:
    return zoo.fit(model, draws=500, tune=500, seed=3, target_accept=0.95, progress=False)


def test_tree_has_the_groups_and_names(tree: xr.DataTree) -> None:
    assert set(GROUPS) <= set(tree.children)
    posterior = tree["posterior"].dataset
    dims = {name: v.dims[2:] for name, v in posterior.data_vars.items()}
    assert dims == {
        "Intercept": (),
        "beta": ("coef",),
        "sd_site": ("site_effect",),
        "corr_site": ("site_effect", "site_effect_bis"),
        "u_site": ("site", "site_effect"),
        "sd_site_at_means": ("site_effect",),
        "corr_site_at_means": ("site_effect", "site_effect_bis"),
        "u_site_at_means": ("site", "site_effect"),
        "Intercept_at_means": (),
        "pcorr_site": ("pcorr_site_pair",),
    }
    assert list(posterior["site"].values[:2]) == ["s0", "s1"]
    assert tree["log_likelihood"]["y"].dims == ("chain", "draw", "row")
    assert set(np.unique(tree["posterior_predictive"]["y"])) == {0, 1}


def test_pointwise_log_likelihood_is_that_of_the_stored_draws(tree: xr.DataTree, data: pd.DataFrame) -> None:
    p = tree["posterior"].dataset
    u = p["u_site"].sel(site=xr.DataArray(data["site"].to_numpy(), dims="row"))
    eta = p["Intercept"] + p["beta"].sel(coef="x") * xr.DataArray(data["x"].to_numpy(), dims="row")
    eta = eta + u.sel(site_effect="Intercept") + u.sel(site_effect="x") * xr.DataArray(data["x"].to_numpy(), dims="row")
    sign = xr.DataArray(2 * data["y"].to_numpy() - 1, dims="row")
    expected = special.log_expit((sign * eta).transpose("chain", "draw", "row").values)
    np.testing.assert_allclose(tree["log_likelihood"]["y"].values, expected, rtol=1e-9)


def test_same_seed_same_draws_whatever_the_cores(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "RHAT", np.inf)
    settings = {"draws": 50, "tune": 60, "chains": 2, "seed": 9, "progress": False}
    one, two = (zoo.fit(model, cores=c, **settings) for c in (1, 2))
    assert storage.metadata(one)["sampling"]["thin"] > 1  # chains went on from draws
    np.testing.assert_array_equal(one["posterior"]["u_site"].values, two["posterior"]["u_site"].values)
    other = zoo.fit(model, **{**settings, "seed": 10})
    assert not np.array_equal(one["posterior"]["beta"].values, other["posterior"]["beta"].values)


def test_without_a_seed_each_fit_has_its_own_and_records_it(data: pd.DataFrame) -> None:
    model = zoo.hierarchical_logistic(data, "y ~ x")
    settings = {"draws": 5, "tune": 20, "chains": 1, "thin": 1, "progress": False, "target_accept": 0.8}
    seeds = [storage.metadata(zoo.fit(model, **settings))["sampling"]["seed"] for _ in range(2)]
    assert seeds[0] != seeds[1] and all(0 <= seed < 2**32 for seed in seeds)


def test_settings_have_one_default_each() -> None:
    """As the documentation has them: 4 chains of 500 warm-up draws and 1000 draws."""
    asked = {
        name: p.default
        for name, p in inspect.signature(zoo.fit).parameters.items()
        if name not in ("model", "progress", "about", "resume", "workers")
    }
    assert asked == dataclasses.asdict(Settings())
    assert (asked["draws"], asked["tune"], asked["chains"]) == (1000, 500, 4)


def test_large_data_are_thinned_and_said_so(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datatree, "MAX_POINTWISE", 120 * 2 * 25)
    small = zoo.fit(model, draws=100, tune=100, chains=2, seed=1, progress=False)
    assert small["log_likelihood"].sizes["draw"] == 25 and small["log_prior"].sizes["draw"] == 100
    assert small["posterior_predictive"]["draw"].equals(small["log_likelihood"]["draw"])
    assert sum("to keep the file small" in n for n in storage.metadata(small)["spec"]["notes"]) == 1
    alone = small.sel(draw=small["log_likelihood"].draw)
    assert np.isfinite(
        arviz_stats.psense_summary(alone, var_names=["beta"])[["prior", "likelihood"]].to_numpy(float)
    ).all()


def test_moments_are_those_of_the_draws(model, tmp_path: Path) -> None:
    settings = {"draws": 101, "tune": 100, "chains": 3, "cores": 2, "seed": 2, "thin": 2, "progress": False}
    whole = zoo.fit(model, **settings, keep_group_effects="draws")
    zoo.save(zoo.fit(model, **settings, keep_group_effects="moments"), tmp_path / "f.nc")
    kept = zoo.load(tmp_path / "f.nc")
    assert not {"u_site", "u_site_at_means"} & set(kept["posterior"].data_vars)
    for group in ("posterior", "log_likelihood", "log_prior", "posterior_predictive"):
        for name, v in kept[group].data_vars.items():
            np.testing.assert_allclose(v, whole[group][name], rtol=1e-12, atol=1e-12)
    every = zoo.fit(model, **{**settings, "draws": 202, "thin": 1}, keep_group_effects="draws")
    moments = kept["group_effects"]["u_site"]
    energy = every["sample_stats"]["energy"].values
    for thinned in (whole, kept):  # from the energies of all transitions
        np.testing.assert_allclose(thinned["sample_stats"]["bfmi"], arviz_stats.bfmi(energy), rtol=1e-6)
    every = every["posterior"]["u_site"]
    assert moments.dims == ("statistic", "site", "site_effect")
    both = every.stack(sample=("chain", "draw"))
    np.testing.assert_allclose(moments.sel(statistic="mean"), both.mean("sample"), rtol=1e-9)
    np.testing.assert_allclose(moments.sel(statistic="sd"), both.std("sample", ddof=1), rtol=1e-9)
    r_hat = [[arviz_stats.rhat(u, method="split") for u in by_level] for by_level in every.values.transpose(2, 3, 0, 1)]
    np.testing.assert_allclose(moments.sel(statistic="r_hat"), r_hat, rtol=1e-9)
    found = zoo.summary(kept, group_effects=True)
    assert found.loc["u_site[s3, x]", "sd"] == moments.sel(site="s3", site_effect="x", statistic="sd")
    assert any("group_effects" in note for note in storage.metadata(kept)["spec"]["notes"])


def test_ctrl_c_while_chains_go_on_keeps_the_draws(model, monkeypatch: pytest.MonkeyPatch) -> None:
    sample, runs = nuts.sample, []

    def stopped(*args: Any, **options: Any) -> Draws:
        drawn = sample(*args, **options)
        runs.append(drawn)
        if len(runs) == 1:
            return drawn
        drawn.x[1, 31:] = np.nan
        return dataclasses.replace(drawn, finished=np.array([100, 31]), interrupted=True)

    monkeypatch.setattr(nuts, "sample", stopped)
    monkeypatch.setattr(schedule, "RHAT", np.inf)
    with pytest.raises(zoo.Interrupted) as stop:
        zoo.fit(model, draws=100, tune=100, chains=2, seed=1, progress=False)
    tree = stop.value.tree
    assert len(runs) == 2 and storage.metadata(tree)["sampling"]["finished"] == [100, 65]
    beta = tree["posterior"]["beta"].values
    assert np.isfinite(beta[0]).all() and np.isfinite(beta[1, :65]).all() and np.isnan(beta[1, 65:]).all()
    assert "chain 1 has 65" in str(zoo.check(tree))


def test_draws_of_too_many_group_effects_are_not_kept(model, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"draws": 20, "tune": 20, "chains": 2, "seed": 2, "thin": 1, "progress": False, "target_accept": 0.8}
    monkeypatch.setattr(datatree, "MOST_EFFECTS", 2 * 20 * 2 * 20 - 1)
    assert "group_effects" in zoo.fit(model, **settings)
    monkeypatch.setattr(datatree, "MOST_EFFECTS", 2 * 20 * 2 * 20)
    assert "group_effects" not in zoo.fit(model, **settings)
    with pytest.raises(zoo.InputError, match="keep_group_effects must be one of auto, draws, moments"):
        zoo.fit(model, keep_group_effects="mean")
