"""Fits made again from their files: the same bits, another seed, another posterior, other data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.cli.commands import app_of
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.errors import InputError
from glmm_zoo.refits.replay import Replay
from glmm_zoo.results.storage import metadata, write_metadata


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    x, g = rng.normal(size=80), np.arange(80) % 8
    data = pd.DataFrame({"y": rng.poisson(np.exp(0.5 + 0.3 * x)), "x": x, "g": g, "name": [f"ward {j}" for j in g]})
    model = zoo.poisson(data, "y ~ x + (1 | g)")
    tree = zoo.fit(model, seed=4, draws=300, tune=300, chains=2, progress=False, about={"label": ["name"]})
    return zoo.save(tree, tmp_path_factory.mktemp("replay") / "fit.nc")


def changed(file: Path, change: Callable[[dict[str, Any]], None]) -> xr.DataTree:
    """The fit of the file with other metadata."""
    tree = zoo.load(file)
    content = copy.deepcopy(metadata(tree))
    change(content)
    write_metadata(tree, content)
    return tree


def test_a_file_is_made_again_to_the_bit(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = zoo.replay(zoo.load(file), progress=False)
    assert found.exact and found.agrees and not found.changed
    assert "the same bits" in found.sentence and (found.table[["mean_apart", "sd_apart"]] == 0).all(axis=None)
    assert app_of()(["replay", str(file)], result_action="return_value") == ExitCode.DONE
    assert "the same bits" in capsys.readouterr().out


def test_another_seed_is_the_same_posterior(file: Path) -> None:
    def other_seed(content: dict[str, Any]) -> None:
        content["sampling"]["asked"]["seed"] = 5
        content["versions"]["pymc"] = "6.3.0"

    found = zoo.replay(changed(file, other_seed), progress=False)
    assert not found.exact and found.agrees
    assert {"posterior", "log_likelihood", "posterior_predictive"} <= set(found.differing)
    assert not {"observed_data", "constant_data"} & set(found.differing)
    assert "the posteriors agree" in found.sentence and "6.3.0 in the file" in found.sentence
    apart = found.table.loc["beta[x]", "mean_apart"]
    one, other = (zoo.summary(tree).loc["beta[x]"] for tree in (zoo.load(file), found.tree))
    assert apart == pytest.approx(
        (one["mean"] - other["mean"]) / np.hypot(one["mcse_mean"], other["mcse_mean"]), rel=1e-9
    )


def test_another_prior_is_another_posterior(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def narrow(content: dict[str, Any]) -> None:
        content["spec"]["given"] = {"beta": "Normal(0, 0.01)"}

    target = zoo.save(changed(file, narrow), tmp_path / "other.nc")
    assert app_of()(["replay", str(target)], result_action="return_value") == ExitCode.UNSOUND
    out = " ".join(capsys.readouterr().out.split())
    assert "the posteriors do not agree" in out and "beta[x] by" in out


def test_other_draws_of_data_are_not_compared(file: Path) -> None:
    tree = zoo.load(file)
    tree["observed_data"] = tree["observed_data"].dataset.map(lambda y: y + (y.row == 0))
    found = zoo.replay(tree, progress=False)
    assert not found.agrees and "the data that the model is of are not the same" in found.sentence


@pytest.mark.parametrize(("apart", "agrees"), [(0.999, True), (1.001, False)])
@pytest.mark.parametrize("column", ["mean_apart", "sd_apart"])
def test_the_limit_is_one_in_a_thousand_of_all_comparisons(apart: float, agrees: bool, column: str) -> None:
    names = ["a", "b", "c"]
    limit = float(stats.norm.isf(0.001 / 12))
    table = pd.DataFrame(0.0, index=pd.Index(names), columns=pd.Index(["mean_apart", "sd_apart"]))
    table.loc["b", column] = -apart * limit
    assert Replay(xr.DataTree(), ("posterior",), table, limit, {}).agrees is agrees


def test_the_limit_grows_with_the_parameters(file: Path) -> None:
    found = zoo.replay(zoo.load(file), progress=False)
    assert found.limit == pytest.approx(stats.norm.isf(0.001 / (4 * len(found.table))))


def test_an_interrupted_fit_is_refused(file: Path) -> None:
    tree = zoo.load(file)
    draws = tree["posterior"].dataset
    tree["posterior"] = draws.where(draws.draw < 100)
    with pytest.raises(InputError, match=r"^no replay: .* fit again"):
        zoo.replay(tree)
