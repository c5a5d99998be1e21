"""A fit from end to end on small data: the tree, its verdict, its file, interruption, and who is told what."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pyarrow as pa
import pymc as pm
import pytest
import xarray as xr
from scipy import special

import glmm_zoo as zoo
from glmm_zoo.graph.model import Model
from glmm_zoo.inference import datatree, nuts, predictive
from glmm_zoo.inference.draws import Draws
from glmm_zoo.plans.intake import Plan
from glmm_zoo.results import diagnostics, storage, summary
from glmm_zoo.tables import data as columns

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


def test_same_seed_same_draws_whatever_the_cores(model) -> None:
    settings = {"draws": 50, "tune": 60, "chains": 2, "seed": 9, "progress": False}
    one, two = (zoo.fit(model, cores=c, **settings) for c in (1, 2))
    assert storage.about(one)["sampling"]["thin"] > 1  # chains went on from draws
    np.testing.assert_array_equal(one["posterior"]["u_site"].values, two["posterior"]["u_site"].values)
    other = zoo.fit(model, **{**settings, "seed": 10})
    assert not np.array_equal(one["posterior"]["beta"].values, other["posterior"]["beta"].values)


def test_file_round_trip(tree: xr.DataTree, tmp_path: Path) -> None:
    path = zoo.save(tree, tmp_path / "fit.nc")
    loaded = zoo.load(path)
    for group in GROUPS[:-1]:
        xr.testing.assert_identical(tree[group].to_dataset(), loaded[group].to_dataset())
    pd.testing.assert_frame_equal(zoo.summary(tree), zoo.summary(loaded))
    assert str(zoo.check(loaded)) == str(zoo.check(tree)) == loaded["report"].attrs["verdict"]
    content = json.loads(loaded.attrs["glmm_zoo"])
    assert content["spec"]["formula"] == "y ~ x + (1 + x | site)" and content["sampling"]["seed"] == 3
    assert list(tmp_path.iterdir()) == [path]


def test_tables_come_back_from_a_file(tmp_path: Path) -> None:
    visits = pd.DataFrame({"y": [1.5, 2.0, 0.1], "n/m": [3, 1, 2], "dead": [True, False, True], "arm": ["b", "a", "é"]})
    dates = [datetime.date(2020, 1, 31), None, datetime.date(1999, 12, 1)]
    events = pd.DataFrame(
        {
            "years": [0.5, np.nan, 3.0],
            "n": pd.array([1, 2, None], dtype="Int64"),
            "dead": pd.array([True, None, False], dtype="boolean"),
            "arm": ["", None, "?"],
            "when": dates,
        }
    )
    main = columns.take(visits, list(visits))
    beside = {name: columns._column(name, c) for name, c in zip(events, pa.table(events).columns, strict=True)}
    further = columns.Table(beside, 3, "events", row_numbers=np.array([4, 7, 8]))
    with Model(Plan({}, main, (), {}, 3, also={"event_row": further})) as model:
        pm.Normal("y", 0, 1, observed=pm.Data("_y", visits["y"]), dims="row")
    tree = xr.DataTree.from_dict(datatree.data_groups(model))
    storage.label(tree, {"spec": {}})
    loaded = zoo.load(zoo.save(tree, tmp_path / "fit.nc"))
    for one in (tree, loaded):
        assert "event_row:years" in one["constant_data"] and one["constant_data"]["n_m"].attrs["column"] == "n/m"
        back = storage.table_of(one)
        pd.testing.assert_frame_equal(back, visits, check_names=False)
        assert columns.take(back, list(visits)).sha256() == main.sha256()
        expected = events.assign(n=[1.0, 2.0, np.nan], when=["2020-01-31", None, "1999-12-01"])
        found = storage.table_of(one, "event_row")
        pd.testing.assert_frame_equal(found, expected.set_index(pd.Index([4, 7, 8], name="event_row")))
    with pytest.raises(zoo.InputError, match=r"no table of 'events'; it has those of row, event_row"):
        storage.table_of(loaded, "events")


def test_an_existing_file_is_kept(tree: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fit.nc"
    path.write_bytes(b"old")
    with pytest.raises(zoo.InputError, match="exists; use --overwrite"):
        zoo.save(tree, path)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        zoo.save(tree, path, overwrite=True)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "empty", "foreign"])
def test_a_damaged_file_is_told(tree: xr.DataTree, tmp_path: Path, damage: str) -> None:
    path = zoo.save(tree, tmp_path / "fit.nc")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        middle = len(content) // 2
        content[middle] ^= 0xFF
        path.write_bytes(content)
    elif damage == "foreign":
        xr.DataTree.from_dict({"posterior": xr.Dataset()}).to_netcdf(path, engine="h5netcdf")
    else:
        path.write_bytes(b"" if damage == "empty" else b"hello" * 100)
    with pytest.raises(zoo.InputError, match=r"damaged|not a fit of glmm_zoo"):
        zoo.load(path)


def planted(tree: xr.DataTree, **changes: xr.DataArray) -> xr.DataTree:
    """A copy of the tree with variables of posterior or sample_stats replaced."""
    copy = tree.copy(deep=True)
    for name, values in changes.items():
        group = "posterior" if name in copy["posterior"] else "sample_stats"
        copy[group][name] = values
    return copy


@pytest.mark.parametrize("fault", ["divergences", "rhat", "ess_bulk", "bfmi", "tree_depth", "complete"])
def test_each_fault_is_found_by_its_check(tree: xr.DataTree, fault: str) -> None:
    stats, intercept = tree["sample_stats"], tree["posterior"]["Intercept"]
    rng = np.random.default_rng(0)
    walk = xr.zeros_like(intercept) + np.cumsum(rng.normal(size=intercept.shape), axis=1)
    changes = {
        "divergences": {"diverging": stats["diverging"] | (stats["tree_depth"] >= 0)},
        "rhat": {"Intercept": intercept + intercept["chain"]},
        "ess_bulk": {"Intercept": walk},
        "bfmi": {"energy": xr.zeros_like(stats["energy"]) + np.cumsum(rng.normal(size=intercept.shape), axis=1)},
        "tree_depth": {"reached_max_treedepth": stats["tree_depth"] >= 0},
        "complete": {"Intercept": intercept.where(intercept["draw"] < 400)},
    }[fault]
    verdict = zoo.check(planted(tree, **changes))
    assert not verdict.sound and fault in {p.check for p in verdict.problems}
    assert all(str(p).endswith(".") for p in verdict.problems)


def test_independent_draws_are_sound(tree: xr.DataTree) -> None:
    rng = np.random.default_rng(2)
    posterior = tree["posterior"].data_vars
    ideal = {str(n): xr.zeros_like(v) + rng.normal(size=v.shape) for n, v in posterior.items() if "corr" not in str(n)}
    stats = tree["sample_stats"]
    ideal |= {
        "diverging": stats["diverging"] & False,
        "energy": xr.zeros_like(stats["energy"]) + rng.normal(size=(4, 500)),
    }
    fixed = planted(tree, **ideal)
    fixed["posterior"] = fixed["posterior"].to_dataset().drop_vars("corr_site")
    verdict = zoo.check(fixed)
    assert verdict.sound, str(verdict)
    assert len(verdict.table) == 1 + 1 + 2 + 20  # Intercept, beta, sds and group effects; not what only carries others


def test_summary_numbers(tree: xr.DataTree) -> None:
    found = zoo.summary(tree, prob=0.8)
    beta = tree["posterior"]["beta"].sel(coef="x").values
    sd = tree["posterior"]["sd_site"].sel(site_effect="Intercept").values
    np.testing.assert_allclose(found.loc["beta[x]", ["lower", "upper"]].astype(float), np.quantile(beta, [0.1, 0.9]))
    assert found.loc["odds_ratio[x]", "mean"] == pytest.approx(np.exp(beta).mean())
    assert found.loc["icc[site]", "median"] == pytest.approx(np.median(sd**2 / (sd**2 + np.pi**2 / 3)))
    # Larsen & Merlo 2005: a variance of 1 between clusters is a median odds ratio of 2.60
    assert np.exp(np.sqrt(2) * summary._NORMAL_UPPER_QUARTILE) == pytest.approx(2.596, abs=1e-3)
    assert "corr_site[Intercept, x]" in found.index and "corr_site[Intercept, Intercept]" not in found.index
    assert not any(name.startswith("u_") for name in found.index)
    assert "u_site[s3, x]" in zoo.summary(tree, group_effects=True).index


def test_large_data_are_thinned_and_said_so(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datatree, "MAX_POINTWISE", 120 * 2 * 25)
    monkeypatch.setattr(predictive, "MAX_PREDICTIVE", 120 * 2 * 10)
    small = zoo.fit(model, draws=100, tune=100, chains=2, seed=1, progress=False)
    assert small["log_likelihood"].sizes["draw"] == 25 and small["posterior_predictive"].sizes["draw"] == 10
    assert sum("to keep the file small" in n for n in storage.about(small)["spec"]["notes"]) == 2


def test_moments_are_those_of_the_draws(model, tmp_path: Path) -> None:
    settings = {"draws": 101, "tune": 100, "chains": 3, "cores": 2, "seed": 2, "thin": 2, "progress": False}
    whole = zoo.fit(model, **settings, keep_group_effects="draws")
    zoo.save(zoo.fit(model, **settings, keep_group_effects="moments"), tmp_path / "f.nc")
    kept = zoo.load(tmp_path / "f.nc")
    assert "u_site" not in kept["posterior"]
    for group in ("posterior", "log_likelihood", "posterior_predictive"):
        for name, v in kept[group].data_vars.items():
            np.testing.assert_allclose(v, whole[group][name], rtol=1e-12, atol=1e-12)
    every = zoo.fit(model, **{**settings, "draws": 202, "thin": 1}, keep_group_effects="draws")["posterior"]["u_site"]
    moments = kept["group_effects"]["u_site"]
    assert moments.dims == ("statistic", "site", "site_effect")
    both = every.stack(sample=("chain", "draw"))
    np.testing.assert_allclose(moments.sel(statistic="mean"), both.mean("sample"), rtol=1e-9)
    np.testing.assert_allclose(moments.sel(statistic="sd"), both.std("sample", ddof=1), rtol=1e-9)
    r_hat = [[arviz_stats.rhat(u, method="split") for u in by_level] for by_level in every.values.transpose(2, 3, 0, 1)]
    np.testing.assert_allclose(moments.sel(statistic="r_hat"), r_hat, rtol=1e-9)
    found = zoo.summary(kept, group_effects=True)
    assert found.loc["u_site[s3, x]", "sd"] == moments.sel(site="s3", site_effect="x", statistic="sd")
    assert any("group_effects" in note for note in storage.about(kept)["spec"]["notes"])


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
    with pytest.raises(zoo.Interrupted) as stop:
        zoo.fit(model, draws=100, tune=100, chains=2, seed=1, progress=False)
    tree = stop.value.tree
    assert len(runs) == 2 and storage.about(tree)["sampling"]["finished"] == [100, 65]
    beta = tree["posterior"]["beta"].values
    assert np.isfinite(beta[0]).all() and np.isfinite(beta[1, :65]).all() and np.isnan(beta[1, 65:]).all()
    assert "chain 1 has 65" in str(zoo.check(tree))


def test_draws_of_too_many_group_effects_are_not_kept(model, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"draws": 20, "tune": 20, "chains": 2, "seed": 2, "thin": 1, "progress": False, "target_accept": 0.8}
    monkeypatch.setattr(datatree, "MOST_EFFECTS", 20 * 2 * 20 - 1)
    assert "group_effects" in zoo.fit(model, **settings)
    monkeypatch.setattr(datatree, "MOST_EFFECTS", 20 * 2 * 20)
    assert "group_effects" not in zoo.fit(model, **settings)
    with pytest.raises(zoo.InputError, match="keep_group_effects must be one of auto, draws, moments"):
        zoo.fit(model, keep_group_effects="mean")


def test_report_is_one_file(tree: xr.DataTree, tmp_path: Path) -> None:
    path = zoo.write_report(tree, tmp_path / "fit.html")
    html = path.read_text()
    assert "<h1>" in html and "odds_ratio[x]" in html and "data:image/png;base64" in html
    assert "http" not in html.replace("http-equiv", "")
    assert summary.MEANINGS["icc"] in html


def test_ctrl_c_keeps_the_draws_and_marks_the_file(data: pd.DataFrame, tmp_path: Path) -> None:
    pd.concat([data] * 200).to_csv(tmp_path / "d.csv", index=False)  # so many rows that it is not done in time
    command = [sys.executable, "-m", "glmm_zoo", "fit", "logistic", "d.csv", "--formula", "y ~ x + (1 + x | site)"]
    command += ["--draws", "200000", "--tune", "200", "--chains", "2", "--out", "f.nc"]
    run = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ})
    time.sleep(30)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 130, err
    partial = tmp_path / "f.partial.nc"
    assert not (tmp_path / "f.nc").exists() and "marked as interrupted" in err and "Traceback" not in err
    loaded = zoo.load(partial)
    assert storage.about(loaded)["sampling"]["interrupted"]
    verdict = diagnostics.check(loaded)
    assert not verdict.sound and verdict.problems[0].check == "complete"
    with pytest.raises(zoo.InputError, match="interrupted"):
        zoo.summary(loaded)
