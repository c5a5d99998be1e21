"""Operating characteristics: against the normal theory of two arms, and by hand from their records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.calibration.operating import OperatingCharacteristics
from glmm_zoo.calibration.study import Decision, Study, Truth, fixed_values, read_study
from glmm_zoo.cli.commands import app_of
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


SEVERAL = """[[decide]]
parameter = "beta[treat]"
above = 0.0

[[decide]]
name = "difference of means"
comparison = "treat"
below = 1.0
probability = 0.9

[[decide]]
parameter = "Intercept"

"""


def several(folder: Path) -> Path:
    return study(folder, STUDY[STUDY.index("[decide]") : STUDY.index("[[truth]]")], SEVERAL)


@pytest.mark.slow
def test_two_gaussian_arms_have_the_normal_theory(tmp_path: Path) -> None:
    """With a known sd and flat priors: shares decided by the normal formula, coverage 0.95, width 2 x 1.96 se, no bias, of each quantity.

    The mean difference is normal about the effect with se = sqrt(2 / ARM), and P(effect > c | y) = Phi((estimate - c) / se).
    """
    n, se = 150, np.sqrt(2 / ARM)
    table = zoo.simulate(several(tmp_path), n, workers=2).table
    z90 = stats.norm.ppf(0.9)
    shares = {
        ("beta[treat]", "none"): (0.0, se, stats.norm.sf(1.96), "type-I error"),
        ("beta[treat]", "some"): (0.6, se, stats.norm.sf(1.96 - 0.6 / se), "power"),
        ("difference of means", "none"): (0.0, se, stats.norm.cdf(1 / se - z90), "power"),
        ("difference of means", "some"): (0.6, se, stats.norm.cdf(0.4 / se - z90), "power"),
        ("Intercept", "none"): (0.0, np.sqrt(1 / ARM), None, ""),
        ("Intercept", "some"): (1.0, np.sqrt(1 / ARM), None, ""),
    }
    assert [*table.index] == [*shares]
    for of, (value, se_of, share, what) in shares.items():
        row = table.loc[of]
        assert row["is"] == what and row["value"] == pytest.approx(value, abs=1e-12)
        if share is None:
            assert np.isnan(row["decided"])
        else:
            assert abs(row["decided"] - share) < 4 * np.sqrt(share * (1 - share) / n)
        assert abs(row["coverage"] - 0.95) < 4 * np.sqrt(0.95 * 0.05 / n)
        assert abs(row["bias"]) < 4 * row["mcse_bias"]
        assert row["mcse_bias"] == pytest.approx(se_of / np.sqrt(n), rel=0.25)
        assert row["rmse"] == pytest.approx(se_of, abs=4 * row["mcse_rmse"])
        assert row["width"] == pytest.approx(2 * 1.96 * se_of, rel=0.03)


@pytest.mark.slow
def test_truths_of_the_prior_are_covered_as_often_as_intervals_promise() -> None:
    """Of parameters drawn from the priors of the analysis 95 % lie in 95 % intervals, and means are off by nothing on average; the rmse is the sd of
    the posterior, 1 / sqrt(1 / 0.5^2 + n / 4) for a known sd of 1 and arms of n / 2 at -1/2 and 1/2."""
    n, sims = 2 * ARM, 150
    data = pd.DataFrame({"y": np.random.default_rng(0).normal(size=n), "treat": np.repeat([-0.5, 0.5], ARM)})
    priors = {"Intercept": "Normal(0, 1)", "beta": "Normal(0, 0.5)", "sigma": "LogNormal(0, 0.001)"}
    model = zoo.hierarchical_linear(data, "y ~ treat", priors=priors)
    found = zoo.simulate(
        model, sims, truth={"of the prior": {}}, decide=[{"parameter": "beta[treat]", "above": 0.0}],
        sampling={"draws": 150, "tune": 200}, workers=2,
    )  # fmt: skip
    row = found.table.loc["beta[treat]", "of the prior"]
    sd = 1 / np.sqrt(1 / 0.5**2 + n / 4)
    assert abs(row["coverage"] - 0.95) < 4 * np.sqrt(0.95 * 0.05 / sims) and abs(row["bias"]) < 4 * row["mcse_bias"]
    assert row["rmse"] == pytest.approx(sd, abs=4 * row["mcse_rmse"])
    assert row["width"] == pytest.approx(2 * 1.96 * sd, rel=0.03)
    values = [s["quantities"]["beta[treat]"]["value"] for s in found.simulations]
    assert row["is"] == "" and np.std(values) == pytest.approx(0.5, rel=0.25)  # right at some values, wrong at others


def test_a_study_goes_on_and_its_table_is_that_of_its_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = several(tmp_path)
    whole = zoo.simulate(path, 2, folder=tmp_path / "whole")
    zoo.simulate(path, 1, folder=tmp_path / "cut")
    code = app_of()(["simulate", str(path), "--n", "2", "--out", str(tmp_path / "cut")], result_action="return_value")
    said = " ".join(capsys.readouterr().out.split())
    assert code == ExitCode.DONE and "P(beta[treat] > 0) > 0.975" in said and "type-I error" in said
    assert "And decided for an effect, P(difference of means < 1) > 0.9" in said
    pd.testing.assert_frame_equal(zoo.simulate(path, 2, folder=tmp_path / "cut").table, whole.table)
    some = [s["quantities"] for s in whole.simulations if s["truth"] == "some"]
    assert len(some) == 2 and {q["beta[treat]"]["value"] for q in some} == {0.6}
    assert [*some[0]] == ["beta[treat]", "difference of means", "Intercept"]
    means = [q["beta[treat]"]["mean"] for q in some]
    assert whole.table.loc[("beta[treat]", "some"), "bias"] == pytest.approx(np.mean(means) - 0.6)
    with pytest.raises(InputError, match="simulations of another study"):
        zoo.simulate(study(tmp_path, "= 0.6", "= 0.7"), 2, folder=tmp_path / "cut")


def test_a_model_is_simulated_as_its_file_is(tmp_path: Path) -> None:
    path = study(tmp_path)
    _, model = read_study(path)
    words: Any = {
        "truth": {"none": {"Intercept": 0, "beta[treat]": 0}, "some": {"Intercept": 1, "beta[treat]": 0.6}},
        "decide": {"parameter": "beta[treat]", "above": 0.0},
    }
    by_words = zoo.simulate(model, 1, **words, sampling={"draws": 150, "tune": 200})
    pd.testing.assert_frame_equal(by_words.table, zoo.simulate(path, 1).table)
    for wrong, said in (
        ({"decide": None}, "of a model give decide too"),
        ({"truth": {"none": {"beta[treat]": "no"}}}, "Expected `float`"),
        ({"decide": {"parameter": "beta[treat]", "abov": 0}}, "unknown key 'abov'; did you mean 'above'"),
        ({"decide": {"parameter": "beta[trat]", "above": 0}}, r"no parameter 'beta\[trat\]'; did you mean"),
        ({"sampling": {"chain": 2}}, "unknown key 'chain'"),
    ):
        with pytest.raises(InputError, match=said):
            zoo.simulate(model, 1, **{**words, **wrong})
    with pytest.raises(InputError, match="truth, seed of a study file are in the file"):
        zoo.simulate(path, 1, truth=words["truth"], seed=3)


def test_the_characteristics_of_records() -> None:
    rows = [(0.5, 0.0, 1.0, True), (1.5, 1.1, 2.0, False), (1.2, 0.2, 2.2, True), (0.8, 0.0, 1.6, True)]
    records = tuple(
        {
            "simulation": i, "truth": "t", "sound": True,
            "quantities": {"a": {"value": 1.0, "mean": mean, "lower": low, "upper": high, "decided": decided}},
        }
        for i, (mean, low, high, decided) in enumerate(rows)
    )  # fmt: skip
    failed: Any = {"simulation": 4, "truth": "t", "failed": "why"}
    for at, what in (("above", "power"), ("below", "type-I error")):
        decide = Decision(parameter="a", above=0.0) if at == "above" else Decision(parameter="a", below=0.0)
        row = OperatingCharacteristics(Study("t", [decide], [Truth("t", {})], 1, {}, {}), (*records, failed)).table.loc[
            "a", "t"
        ]
        assert what in repr(OperatingCharacteristics(Study("t", [decide], [Truth("t", {})], 1, {}, {}), records))
        assert row["is"] == what and row["simulations"] == 4 and row["failed"] == 1
        assert row["bias"] == pytest.approx(0.0) and row["coverage"] == 0.75 and row["decided"] == 0.75
        assert row["mcse_decided"] == pytest.approx(np.sqrt(0.75 * 0.25 / 4)) and row["width"] == pytest.approx(1.375)
        assert row["rmse"] == pytest.approx(np.sqrt((0.25 + 0.25 + 0.04 + 0.04) / 4))


def test_a_stepped_wedge_is_a_case_and_groups_are_drawn_with_the_true_sd(tmp_path: Path) -> None:
    path = tmp_path / "wedge.toml"
    path.write_text(
        'schema = 1\ntitle = "wedge"\nmodel = "stepped_wedge"\nformula = "y ~ 1"\n'
        '[design]\nclusters = 6\nperiods = 4\nsize = 5\nfamily = "gaussian"\nseed = 1\n'
        '[options]\ncluster = "cluster"\nperiod = "period"\ntreatment = "treat"\nfamily = "gaussian"\n'
        '[decide]\nparameter = "effect"\nabove = 0\n[[truth]]\nname = "a"\n[truth.parameters]\neffect = 0.5\n"sd_cluster[Intercept]" = 2.5\n'
    )
    wedge, model = read_study(path)
    fixed = fixed_values(model, wedge.truth[0])
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
        ('parameter = "beta[treat]"', "", "neither parameter nor comparison"),
        ('parameter = "beta[treat]"', 'parameter = "beta[trat]"', "no parameter 'beta[trat]'; did you mean"),
        ("[decide]", '[[decide]]\nparameter = "beta[treat]"\n[[decide]]', "with names that differ; give each its name"),
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
