"""Fits of a manifest: each is made once, has the bits of the same fit made by itself, and one that fails stops no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import glmm_zoo as zoo
from glmm_zoo.cli.commands import app_of
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.errors import InputError
from glmm_zoo.refits.many import COLUMNS, read_manifest

MANIFEST = """
schema = 1

[all]
model = "logistic"
formula = "y ~ x + (1 | g)"
sampling = { draws = 150, tune = 200, thin = 1 }
seed = 3

[[fits]]
name = "first"
data = "first.csv"

[[fits]]
name = "second.year"
data = "second.csv"
formula = "y ~ x"
priors = { beta = "Normal(0, 1)" }

[[fits]]
name = "broken"
data = "third.csv"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng, here = np.random.default_rng(0), tmp_path / "study"
    here.mkdir()
    for name, at in {"first": here, "second": tmp_path, "third": here}.items():
        x = rng.normal(size=80)
        y = rng.binomial(1, 1 / (1 + np.exp(-x)))
        pd.DataFrame({"y": y, "x": x, "g": np.repeat([f"g{i}" for i in range(8)], 10)}).to_csv(
            at / f"{name}.csv", index=False
        )
    (here / "third.csv").write_text("y,x,g\n0,1,a\n1,,b\n")
    (here / "manifest.toml").write_text(MANIFEST.replace("second.csv", (tmp_path / "second.csv").as_posix()))
    monkeypatch.chdir(here)
    return here


def test_each_fit_is_made_once_and_one_that_fails_stops_no_other(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = zoo.fit_many("manifest.toml", folder="fits")
    assert list(table.columns) == list(COLUMNS) and list(table.index) == ["first", "second.year", "broken"]
    assert list(table["made"]) == [True, True, False] and table.loc["broken", "sampling"] == "failed"
    assert "'x' has 1 missing value" in table.loc["broken", "says"]
    assert list(table["rows"].iloc[:2]) == [80, 80] and list(table["draws"].iloc[:2]) == [600, 600]
    assert sorted(p.name for p in (folder / "fits").iterdir()) == ["first.nc", "second.year.nc"]

    alone = zoo.fit(
        zoo.hierarchical_logistic(pd.read_csv(folder.parent / "second.csv"), "y ~ x", priors={"beta": "Normal(0, 1)"}),
        draws=150, tune=200, thin=1, seed=3, progress=False,
    )  # fmt: skip
    stored = zoo.load("fits/second.year.nc")
    assert stored["posterior"].dataset.equals(alone["posterior"].dataset)
    diagnostics = zoo.check(alone).table
    assert table.loc["second.year", "r_hat"] == diagnostics["r_hat"].max()
    assert table.loc["second.year", "ess"] == diagnostics[["ess_bulk", "ess_tail"]].min().min()

    (folder / "fits" / "first.nc").unlink()
    before = (folder / "fits" / "second.year.nc").stat().st_mtime_ns
    assert app_of()(["fit-many", "manifest.toml"], result_action="return_value") == ExitCode.FAILED
    printed = capsys.readouterr()
    assert "error: broken: " in printed.err and "second.year" in printed.out
    assert (folder / "fits" / "second.year.nc").stat().st_mtime_ns == before and (folder / "fits" / "first.nc").exists()

    (folder / "manifest.toml").write_text(MANIFEST.replace("seed = 3", "seed = 4"))
    again = zoo.fit_many("manifest.toml", folder="fits")
    assert (
        list(again["sampling"]) == ["failed"] * 3
        and "differs in seed (3 there, 4 here); remove it" in again.loc["first", "says"]
    )
    assert (folder / "fits" / "second.year.nc").stat().st_mtime_ns == before


@pytest.mark.slow
def test_processes_find_the_same_bits(folder: Path) -> None:
    serial, spread = (zoo.fit_many("manifest.toml", folder=f, workers=w) for f, w in (("one", None), ("two", 2)))
    pd.testing.assert_frame_equal(serial.drop(columns="seconds"), spread.drop(columns="seconds"))
    for name in ("first", "second.year"):
        one, two = (zoo.load(f"{f}/{name}.nc") for f in ("one", "two"))
        for group in ("posterior", "sample_stats", "posterior_predictive"):
            assert one[group].dataset.identical(two[group].dataset)


@pytest.mark.parametrize(
    ("of", "to", "told"),
    [
        ('name = "second.year"', 'name = "First"', "several fits have the name 'first'"),
        ('name = "first"', 'name = "../first"', r"the name '\.\./first' is not that of a file"),
        ('data = "first.csv"', 'dat = "first.csv"', r"fit 'first': unknown key 'dat'; did you mean 'data'\?"),
        ("seed = 3", 'seed = "3"', "fit 'first': Expected `int`, got `str`"),
        ("schema = 1", "", "schema must be 1"),
        (MANIFEST, "schema = 1\nfits = []", r"one table \[\[fits\]\] or more"),
    ],
)
def test_what_is_no_manifest_is_told(tmp_path: Path, of: str, to: str, told: str) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST.replace(of, to, 1))
    with pytest.raises(InputError, match=told):
        read_manifest(path)
