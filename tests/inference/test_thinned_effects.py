"""What a fit keeps of many group effects: moments of all draws, some draws in single precision, and what is computed from these."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.inference import datatree
from glmm_zoo.inference.moments import BatchMeans, Moments, batch_length, pooled_moments
from glmm_zoo.results import storage
from glmm_zoo.results.whole_fit import of_a_whole_fit

ASKED: dict[str, Any] = {"draws": 100, "tune": 100, "chains": 2, "thin": 1, "seed": 3, "progress": False}
FORMULA = "y ~ x + (1 + x | site)"


def table(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, site = rng.normal(1.0, 1.0, 160), np.arange(160) % 8
    eta = 0.5 * x + rng.normal(size=8)[site]
    return pd.DataFrame({"y": (rng.random(160) < expit(eta)).astype(int), "x": x, "site": [f"s{k}" for k in site]})


@pytest.fixture(scope="module")
def whole() -> xr.DataTree:
    return zoo.fit(zoo.hierarchical_logistic(table(), FORMULA), **ASKED)


@pytest.fixture(scope="module")
def thinned(tmp_path_factory: pytest.TempPathFactory) -> xr.DataTree:
    """A fit that may keep a third of the draws of its 16 group effects, from its file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datatree, "MOST_EFFECTS", 2 * 100 * 16 // 3)
        patch.setattr(storage, "READ_LATER", 2000)
        fit = zoo.fit(zoo.hierarchical_logistic(table(), FORMULA), **ASKED)
        return zoo.load(zoo.save(fit, tmp_path_factory.mktemp("thinned") / "fit.nc"))


def test_what_is_kept_is_what_all_draws_say(whole: xr.DataTree, thinned: xr.DataTree) -> None:
    u, kept = whole["posterior"]["u_site"], thinned["group_effect_draws"]["u_site"]
    assert "u_site" not in thinned["posterior"] and kept.dtype == np.float32
    assert list(kept["effect_draw"].values) == list(range(3, 100, 4))
    np.testing.assert_allclose(kept, u.isel(draw=kept["effect_draw"].values), rtol=1e-6)
    for name, of_all in thinned["posterior"].data_vars.items():
        np.testing.assert_allclose(of_all, whole["posterior"][name], rtol=1e-12, atol=1e-12)
    for name in ("u_site", "u_site_at_means"):
        moments, draws = thinned["group_effects"][name], whole["posterior"][name].stack(sample=("chain", "draw"))
        np.testing.assert_allclose(moments.sel(statistic="mean"), draws.mean("sample"), rtol=1e-9)
        np.testing.assert_allclose(moments.sel(statistic="sd"), draws.std("sample", ddof=1), rtol=1e-9)
    told = [note for note in storage.metadata(thinned)["spec"]["notes"] if "25 draws of each chain are kept" in note]
    assert len(told) == 1 and str(zoo.check(thinned))


def test_effects_that_are_kept_elsewhere_hide_no_other_error(thinned: xr.DataTree) -> None:
    @of_a_whole_fit
    def fails(tree: xr.DataTree) -> None:
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        fails(thinned)
    damaged = thinned.copy()
    damaged["group_effects"] = damaged["group_effects"].to_dataset().drop_vars("u_site_at_means")
    with pytest.raises(zoo.InputError, match=r"no posterior\['u_site_at_means'\]"):
        fails(damaged)


def test_the_summary_has_quantiles_of_the_draws_kept(whole: xr.DataTree, thinned: xr.DataTree) -> None:
    pd.testing.assert_frame_equal(zoo.summary(thinned), zoo.summary(whole))
    row = zoo.summary(thinned, group_effects=True, prob=0.8).loc["u_site[s3, x]"]
    draws = thinned["group_effect_draws"]["u_site"].sel(site="s3", site_effect="x").values
    np.testing.assert_allclose(row[["lower", "median", "upper"]].astype(float), np.quantile(draws, [0.1, 0.5, 0.9]))
    assert row["ess_bulk"] > 0 and np.isclose(row["mcse_mean"], row["sd"] / np.sqrt(row["ess_bulk"]))


def test_single_levels_are_told_of_from_the_draws_kept(thinned: xr.DataTree) -> None:
    at = thinned["group_effect_draws"]["effect_draw"].values
    b = thinned["posterior"].dataset.isel(draw=at)
    u = thinned["group_effect_draws"]["u_site"].sel(site="s2").values
    eta = b["Intercept"].values + u[..., 0] + 2 * (b["beta"].values[..., 0] + u[..., 1])
    new = pd.DataFrame({"x": [2.0], "site": ["s2"]})
    found = zoo.predictions(thinned, new, groups="observed", draws=50)
    np.testing.assert_allclose(found.table["median"], np.median(expit(eta)), rtol=1e-6)
    with pytest.raises(zoo.InputError, match=r"kept 50 draws, and 200 are asked for: ask for draws=50 or fewer"):
        zoo.predictions(thinned, new, groups="observed")
    asked = zoo.hypotheses(thinned, ["u_site[s2, Intercept] > 0", "Intercept > 0"])
    np.testing.assert_allclose(asked.table["p"], [(u[..., 0] > 0).mean(), (b["Intercept"].values > 0).mean()])


def test_large_arrays_are_read_when_they_are_asked_for(thinned: xr.DataTree, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "READ_LATER", 2000)
        path = zoo.save(thinned, tmp_path / "fit.nc")
        tree = zoo.load(path)
        read = lambda: {name: v._in_memory for name, v in tree["group_effect_draws"].dataset.variables.items()}  # noqa: E731
        assert not read()["u_site"] and read()["effect_draw"]
        zoo.summary(tree)
        assert not read()["u_site"] and not tree["log_likelihood"]["y"].variable._in_memory
        xr.testing.assert_identical(tree["group_effect_draws"].dataset, thinned["group_effect_draws"].dataset)
        tree.close()
        content = path.read_bytes()
        damaged = bytearray(content[: content.rindex(b"glmm_zoo sha256 ")])
        damaged[len(damaged) // 2] ^= 0xFF  # of a file whose digest another program removed
        path.write_bytes(damaged)
        with pytest.raises(zoo.InputError, match="damaged"):
            zoo.load(path)


def test_many_numbers_are_kept_in_single_precision(whole: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datatree, "MOST_DOUBLES", 2 * 100 * 32 - 1)
    monkeypatch.setattr(datatree, "_AT_ONCE", 1000)  # numbers, so of some draws after others
    single = zoo.fit(zoo.hierarchical_logistic(table(), FORMULA), **ASKED)
    for name, v in single["posterior"].data_vars.items():
        of_effects = str(name).startswith("u_")
        assert v.dtype == (np.float32 if of_effects else np.float64)
        np.testing.assert_array_equal(v, whole["posterior"][name].astype(v.dtype))
    assert any("single precision" in note for note in storage.metadata(single)["spec"]["notes"])
    a, b = (zoo.summary(tree, group_effects=True) for tree in (single, whole))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


def test_effective_draws_by_batch_means_are_those_of_an_autoregression() -> None:
    """n (1 - rho) / (1 + rho) of n draws that are correlated like rho^lag, also of draws that alternate."""
    rng, n, chains = np.random.default_rng(1), 4000, 4
    for rho in (-0.4, 0.0, 0.6):
        x = rng.normal(size=(chains, n, 100))
        for t in range(1, n):
            x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
        halves, batches = [], []
        for chain in x:
            batches.append(BatchMeans(100, batch_length(n)))
            halves += [Moments(100), Moments(100)]
            for t, value in enumerate(chain):
                halves[-2 if t < n // 2 else -1].add(value)
                batches[-1].add(value)
        mean, sd, error, ess, r_hat = pooled_moments(halves, batches, batch_length(n))
        np.testing.assert_allclose(mean, x.mean(axis=(0, 1)), atol=1e-12)
        np.testing.assert_allclose(ess.mean(), chains * n * (1 - rho) / (1 + rho), rtol=0.05)
        np.testing.assert_allclose(error, sd / np.sqrt(ess))
        np.testing.assert_allclose(ess[:3], [arviz_stats.ess(x[:, :, k], method="mean") for k in range(3)], rtol=0.35)
        assert r_hat.max() < 1.01


@pytest.mark.slow
def test_moments_of_imputed_tables_stand_together(monkeypatch: pytest.MonkeyPatch) -> None:
    data = table()
    tables = [data, data.assign(x=data["x"] + (data.index == 3))]
    asked = {**ASKED, "keep_group_effects": "auto"}
    whole = zoo.fit_imputed(zoo.hierarchical_logistic, tables, FORMULA, **asked)
    monkeypatch.setattr(datatree, "MOST_EFFECTS", 2 * 100 * 16 // 3)
    thinned = zoo.fit_imputed(zoo.hierarchical_logistic, tables, FORMULA, **asked)
    a, b = (zoo.summary(tree, group_effects=True).filter(like="u_site[", axis=0) for tree in (thinned, whole))
    np.testing.assert_allclose(a["mean"], b["mean"], rtol=1e-9)
    np.testing.assert_allclose(a["sd"], b["sd"], rtol=5e-3)  # by n, not by n - 1, between tables
    for one, other in zip(zoo.imputations(thinned), zoo.imputations(whole), strict=True):
        mean = other["posterior"]["u_site"].mean(("chain", "draw"))
        np.testing.assert_allclose(one["group_effects"]["u_site"].sel(statistic="mean"), mean, rtol=1e-9)
        assert one["group_effect_draws"].sizes["chain"] == 2


@pytest.mark.slow
def test_a_large_fit_at_defaults(tmp_path: Path) -> None:
    """20.4 million draws of group effects: every second one is kept, and nothing large is read for a summary."""
    rng = np.random.default_rng(1)
    site = np.arange(10_200) % 5100
    y = (rng.random(10_200) < expit(rng.normal(size=5100)[site])).astype(int)
    data = pd.DataFrame({"y": y, "x": rng.normal(size=10_200), "site": [f"s{k}" for k in site]})
    tree = zoo.fit(zoo.hierarchical_logistic(data, "y ~ x + (1 | site)"), seed=1, progress=False)
    path = zoo.save(tree, tmp_path / "fit.nc")
    assert path.stat().st_size < 120e6
    loaded = zoo.load(path)
    tracemalloc.start()
    pd.testing.assert_frame_equal(zoo.summary(loaded), zoo.summary(tree))
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    draws = tree["group_effect_draws"]["u_site"]
    assert draws.shape == (4, 500, 5100, 1)
    of_effects = zoo.summary(loaded, group_effects=True).filter(like="u_site[", axis=0)
    np.testing.assert_allclose(of_effects["mean"], draws.mean(("chain", "effect_draw")).values[:, 0], atol=0.15)
    assert of_effects["ess_bulk"].min() > 400 and zoo.check(loaded).sound == zoo.check(tree).sound
    zoo.save(loaded, path, overwrite=True)  # from itself
    assert zoo.replay(zoo.load(path), progress=False).exact
