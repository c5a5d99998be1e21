"""The commands prior and sensitivity."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of_prior

import glmm_zoo as zoo
from glmm_zoo.cli import run
from glmm_zoo.estimands.prior_predictive import prior_predictive
from glmm_zoo.results.storage import metadata, write_metadata

DATA = pd.DataFrame({"y": [0, 1, 1, 0, 1, 0] * 4, "arm": ["a", "b"] * 12})


@pytest.fixture
def csv(tmp_path: Path) -> str:
    DATA.to_csv(tmp_path / "data.csv", index=False)
    return str(tmp_path / "data.csv")


def test_what_priors_say(csv: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "prior",
        "hierarchical_logistic",
        csv,
        "--formula",
        "y ~ arm",
        "--prior",
        "beta=Normal(0, 1)",
        "--seed",
        "3",
    ]
    assert run([*arguments, "--out", str(tmp_path / "prior.svg")]) == 0
    model = zoo.hierarchical_logistic(DATA, "y ~ arm", priors={"beta": "Normal(0, 1)"})
    found = prior_predictive(model, seed=3)
    printed = " ".join(capsys.readouterr().out.split())
    assert all(" ".join(sentence.split()) in printed for sentence in found.sentences)
    assert "<svg" in (tmp_path / "prior.svg").read_text()
    assert run([*arguments, "--format", "csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    pd.testing.assert_series_equal(table["median"], found.table["median"])
    assert run([*arguments, "--out", "prior.xlsx"]) == 2
    assert "should end in .csv for the table, or in one of .svg, .png, .pdf" in capsys.readouterr().err


def test_sensitivity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = tree_of_prior(zoo.hierarchical_logistic(DATA, "y ~ arm"), draws=300)
    beta = tree["posterior"]["beta"]
    tree["log_prior"] = xr.Dataset({"beta": -0.5 * (beta / 2.5) ** 2}).assign_coords(draw=range(300))
    tree["log_likelihood"] = xr.Dataset(
        {"y": (-0.5 * (beta.isel(coef=0) - 1) ** 2).expand_dims(row=[0], axis=2)}
    ).assign_coords(draw=range(300))
    file = str(zoo.save(tree, tmp_path / "fit.nc"))
    assert run(["sensitivity", file, "beta", "--out", str(tmp_path / "table.csv")]) == 0
    printed = capsys.readouterr().out
    assert "Power-scaling from the fit alone: 1 prior" in " ".join(printed.split())
    table = pd.read_csv(tmp_path / "table.csv")
    expected = zoo.sensitivity(tree, ["beta"]).table
    assert list(table["target"]) == list(expected["target"])
    pd.testing.assert_series_equal(table["to_prior"], expected["to_prior"].reset_index(drop=True))
    assert run(["sensitivity", file, "beat"]) == 2
    assert "did you mean 'beta'" in capsys.readouterr().err


def test_sensitivity_speaks_in_the_words_of_the_user() -> None:
    """The answer's comparisons are called as `about` says; the numbers are the same."""
    tree = tree_of_prior(zoo.hierarchical_logistic(DATA, "y ~ arm"), draws=300)
    beta = tree["posterior"]["beta"]
    tree["log_prior"] = xr.Dataset({"beta": -0.5 * (beta / 2.5) ** 2}).assign_coords(draw=range(300))
    terms = (-0.5 * (beta.isel(coef=0) - 1) ** 2).expand_dims(row=[0], axis=2)
    tree["log_likelihood"] = xr.Dataset({"y": terms}).assign_coords(draw=range(300))
    before = zoo.sensitivity(tree, []).table
    content = metadata(tree)
    content["about"] = {"names": {"arm": "treatment"}, "levels": {"arm": {"a": "placebo", "b": "drug"}}}
    write_metadata(tree, content)
    found = zoo.sensitivity(tree, [])
    assert "difference of arm b vs a" in set(before["target"])
    assert "difference of treatment drug vs placebo" in set(found.table["target"])
    assert "treatment drug vs placebo" in " ".join(found.sentences)
    pd.testing.assert_series_equal(found.table["to_prior"], before["to_prior"])
