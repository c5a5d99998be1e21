"""`glmm-zoo update`: the tokens reach the change of the model, and the fit is saved as `fit` saves it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import glmm_zoo as zoo
from glmm_zoo import cli
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.results.storage import metadata


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a fit of them, fit.nc, of y, x and g only."""
    folder, rng = tmp_path_factory.mktemp("update"), np.random.default_rng(0)
    columns = {
        "y": rng.normal(size=60).round(3),
        "x": rng.normal(size=60).round(3),
        "age": rng.normal(size=60).round(3),
    }
    data = pd.DataFrame({**columns, "g": np.repeat([f"g{i}" for i in range(10)], 6)})
    data.to_csv(folder / "data.csv", index=False)
    model = zoo.hierarchical_linear(data, "y ~ x + (1 | g)", priors={"sd": "HalfNormal(2)"})
    zoo.save(zoo.fit(model, draws=100, tune=100, chains=2, seed=1), folder / "fit.nc")
    return folder


def test_a_variation_is_fitted_and_saved(
    fitted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(fitted)
    changes = "--formula|. ~ . + age - x|--data|data.csv|--prior|sd=default|--seed|2|--out|new.nc"
    code = cli.run(["update", "fit.nc", *changes.split("|")])
    assert code in (ExitCode.DONE, ExitCode.UNSOUND) and "saved new.nc" in capsys.readouterr().out
    content = metadata(zoo.load("new.nc"))
    spec, asked = content["spec"], content["sampling"]["asked"]
    assert spec["formula"] == "y ~ (1 | g) + age" and spec["given"] == {} and spec["data"]["source"] == "data.csv"
    assert (asked["draws"], asked["chains"], asked["seed"]) == (100, 2, 2)


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (
            ["--formula", ". ~ . + age"],
            "error: the file of the fit has no column 'age', only those that the fit used (y, x, g); ",
        ),
        (["--formula", ". ~ . - z"], "error: formula: there is no z to take out of 'y ~ x + (1 | g)'"),
        (["--survival", "data.csv"], "error: hierarchical_linear takes no survival table"),
        (["--draws", "3"], "error: --draws must be a whole number of at least 100, not 3"),
        (["--option", "centre=false"], "error: hierarchical_linear has no option 'centre'; did you mean 'center'?"),
        (["--out", "fit.nc"], "error: out: 'fit.nc' exists; use --overwrite"),
        (["--data", "data.csv", "--out", "data.csv"], "error: out: 'data.csv' should end in .nc"),
    ],
)
def test_what_cannot_be_is_told(
    fitted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tokens: list[str], told: str
) -> None:
    monkeypatch.chdir(fitted)
    assert cli.run(["update", "fit.nc", *tokens]) == 2
    assert capsys.readouterr().err.startswith(told)
