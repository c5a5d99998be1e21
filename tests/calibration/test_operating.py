"""Operating characteristics: against the normal theory of two arms, and by hand from their records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.calibration.operating import (
    Decision,
    OperatingCharacteristics,
    StudyFile,
    Truth,
    fixed_values,
    read_study,
)
from glmm_zoo.cli.commands import app
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.errors import InputError

ARM = 30
STUDY = """schema = 1
title = "Two arms"
model = "hierarchical_linear"
data = "design.csv"
formula = "y ~ treat"

[priors]
Intercept = "Normal(0, 20)"
beta = "Normal(0, 20)"
sigma = "LogNormal(0, 0.001)"

[sampling]
draws = 150
tune = 200

[decide]
parameter = "beta[treat]"
above = 0.0

[[truth]]
name = "none"
parameters = { Intercept = 0, "beta[treat]" = 0 }

[[truth]]
name = "some"
parameters = { Intercept = 1, "beta[treat]" = 0.6 }
"""


def study(folder: Path, old: str = "", new: str = "") -> Path:
    treat = np.repeat([0.0, 1.0], ARM)
    rng = np.random.default_rng(0)
    pd.DataFrame({"y": rng.normal(size=2 * ARM), "treat": treat, "x": rng.normal(size=2 * ARM)}).to_csv(
        folder / "design.csv", index=False
    )
    path = folder / "study.toml"
    assert old in STUDY
    path.write_text(STUDY.replace(old, new) if old else STUDY)
    return path


@pytest.mark.slow
def test_two_gaussian_arms_have_the_normal_theory(tmp_path: Path) -> None:
    """With a known sd and flat priors: type-I error 0.025, power Phi(effect / se - 1.96), coverage 0.95, width 2 x 1.96 se, no bias."""
    table = zoo.simulate(study(tmp_path), 150, workers=2).table
    se = np.sqrt(2 / ARM)
    for name, effect in (("none", 0.0), ("some", 0.6)):
        row, power = table.loc[name], stats.norm.sf(1.96 - effect / se)
        assert abs(row["decided"] - power) < 4 * np.sqrt(power * (1 - power) / 150)
        assert abs(row["coverage"] - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 150)
        assert abs(row["bias"]) < 4 * row["mcse_bias"] and row["mcse_bias"] == pytest.approx(
            se / np.sqrt(150), rel=0.25
        )
        assert row["rmse"] == pytest.approx(se, abs=4 * row["mcse_rmse"]) and row["value"] == effect
        assert row["width"] == pytest.approx(2 * 1.96 * se, rel=0.03)


def test_a_study_goes_on_and_its_table_is_that_of_its_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study(tmp_path)
    whole = zoo.simulate(path, 2, folder=tmp_path / "whole")
    zoo.simulate(path, 1, folder=tmp_path / "cut")
    code = app(["simulate", str(path), "--n", "2", "--out", str(tmp_path / "cut")], result_action="return_value")
    assert code == ExitCode.DONE and "P(beta[treat] > 0) > 0.975" in capsys.readouterr().out
    pd.testing.assert_frame_equal(zoo.simulate(path, 2, folder=tmp_path / "cut").table, whole.table)
    some = pd.DataFrame([s for s in whole.simulations if s["truth"] == "some"])
    assert len(some) == 2 and (some["value"] == 0.6).all()
    assert whole.table.loc["some", "bias"] == pytest.approx(some["mean"].mean() - 0.6)
    with pytest.raises(InputError, match="simulations of another study"):
        zoo.simulate(study(tmp_path, "= 0.6", "= 0.7"), 2, folder=tmp_path / "cut")


def test_the_characteristics_of_records() -> None:
    records = tuple(
        {"simulation": i, "truth": "t", "value": 1.0, "mean": mean, "lower": low, "upper": high, "decided": d, "sound": True}
        for i, (mean, low, high, d) in enumerate([(0.5, 0.0, 1.0, True), (1.5, 1.1, 2.0, False), (1.2, 0.2, 2.2, True), (0.8, 0.0, 1.6, True)])
    )  # fmt: skip
    file = StudyFile(1, "t", "poisson", Decision(parameter="a", above=0.0), [Truth("t", {})], "y ~ x", data="d.csv")
    failed: Any = {"simulation": 4, "truth": "t", "failed": "why"}
    row = OperatingCharacteristics(file, (*records, failed)).table.loc["t"]
    assert row["simulations"] == 4 and row["failed"] == 1 and row["bias"] == pytest.approx(0.0)
    assert (
        row["coverage"] == 0.75
        and row["decided"] == 0.75
        and row["mcse_decided"] == pytest.approx(np.sqrt(0.75 * 0.25 / 4))
    )
    assert row["rmse"] == pytest.approx(np.sqrt((0.25 + 0.25 + 0.04 + 0.04) / 4)) and row["width"] == pytest.approx(
        1.375
    )


def test_a_stepped_wedge_is_a_case_and_groups_are_drawn_with_the_true_sd(tmp_path: Path) -> None:
    path = tmp_path / "wedge.toml"
    path.write_text(
        'schema = 1\ntitle = "wedge"\nmodel = "stepped_wedge"\nformula = "y ~ 1"\n'
        '[design]\nclusters = 6\nperiods = 4\nsize = 5\nfamily = "gaussian"\nseed = 1\n'
        '[options]\ncluster = "cluster"\nperiod = "period"\ntreatment = "treat"\nfamily = "gaussian"\n'
        '[decide]\nparameter = "effect"\nabove = 0\n[[truth]]\nname = "a"\n[truth.parameters]\neffect = 0.5\n"sd_cluster[Intercept]" = 2.5\n'
    )
    file, model = read_study(path)
    fixed = fixed_values(model, file.truth[0])
    assert {k: v.tolist() for k, v in fixed.items()} == {"effect": 0.5, "sd_cluster": [2.5]}
    from glmm_zoo.calibration.data_sets import draw_data_set

    drawn = [draw_data_set(model, seed, fixed) for seed in range(20)]
    truths = [d.truth["posterior"].dataset for d in drawn if d is not None]
    assert all(t["effect"].item() == 0.5 and t["sd_cluster"].item() == 2.5 for t in truths)
    u = np.concatenate([t["u_cluster"].values.ravel() for t in truths])
    assert u.std() == pytest.approx(2.5, rel=4 / np.sqrt(2 * len(u)))
    sigmas = [t["sigma"].item() for t in truths]
    assert np.std(sigmas) > 0.1  # drawn from its prior, since the truth does not name it


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("above = 0.0", "", "neither above nor below"),
        ("above = 0.0", "above = 0.0\nbelow = 1.0", "both above and below"),
        ("above = 0.0", "above = 0.0\nprobability = 1.0", "probability must be between 0 and 1"),
        ('"some"', '"none"', "names that differ"),
        ('data = "design.csv"\n', "", "one of them"),
        (
            '"beta[treat]" = 0.6',
            '"beta[trat]" = 0.6',
            r"no parameter 'beta[trat]' of its own; did you mean 'beta[treat]'?",
        ),
        ("y ~ treat", "y ~ trat", "no column 'trat'"),
        ("above", "abov", "unknown key 'abov'; did you mean 'above'?"),
        ("schema = 1", "schema = 3", "the version of study files"),
    ],
)
def test_what_is_no_study_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        zoo.simulate(study(tmp_path, old, new), 1)
    assert said in str(refused.value)


def test_a_variable_is_named_whole_or_not_at_all(tmp_path: Path) -> None:
    path = study(tmp_path, "y ~ treat", "y ~ treat + x")
    with pytest.raises(InputError, match="name all of beta, or none"):
        zoo.simulate(path, 1)
