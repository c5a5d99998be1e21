"""Data sets drawn from models, ranks, and the record of a calibration."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from rows import ROWS, Row, visits
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.calibration import calibrate as module
from glmm_zoo.calibration.calibrate import SimulationBasedCalibration, calibrate
from glmm_zoo.calibration.data_sets import DrawnDataSet, draw_data_set
from glmm_zoo.calibration.rank_picture import rank_picture
from glmm_zoo.calibration.ranks import log_likelihood_of_truth, rank, spread_of_kinds
from glmm_zoo.cli.commands import app_of
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.errors import InputError
from glmm_zoo.inference.fit import fit_draws
from glmm_zoo.inference.prior_draws import determined_by_the_prior
from glmm_zoo.refits.spread import spread_tasks
from glmm_zoo.results.storage import stored_table

# a nu of Conway-Maxwell-Poisson counts beyond 300, which its prior draws, is cut, and not by hand
DRAWN = [
    row for row in ROWS if not row.builder.endswith("survival") and "cens(" not in str(row.formula) and row.mean is None
]
SMALL: Any = {"draws": 60, "tune": 100, "chains": 2}


def drawn(row: Row) -> DrawnDataSet:
    model = row_models.model_of(row.name)
    return next(d for seed in range(20) if (d := draw_data_set(model, seed)) is not None)


def with_responses_of(found: DrawnDataSet, row: Row) -> pd.DataFrame:
    """The row's data with the responses that were drawn, as the table has them."""
    table, d = stored_table(found.truth), row.data()
    for name in map(str, found.truth["observed_data"].dataset.data_vars):
        d.loc[table.index, name] = table[name].astype(d[name].dtype)
    return d


FIRST = {row.builder: row.name for row in reversed(DRAWN)}  # the others take a while


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[] if row.name in FIRST.values() else pytest.mark.slow, id=row.name) for row in DRAWN],
)
def test_the_data_are_those_of_the_draw_and_all_else_stays(row: Row) -> None:
    """The model that the builder makes of the table has the responses that were drawn, the priors, and the log density by hand."""
    model, found = row_models.model_of(row.name), drawn(row)
    assert found.model.spec["priors"] == model.spec["priors"]
    for one, other in zip(found.model.predictors, model.predictors, strict=True):
        np.testing.assert_array_equal(one.population.values, other.population.values)
    values = {
        str(name): array.isel(chain=0, draw=0) for name, array in found.truth["posterior"].dataset.data_vars.items()
    }
    with np.errstate(divide="ignore"):  # of the branch of a zero that the density does not take
        by_hand = np.sum(row.log_likelihood(with_responses_of(found, row), values))
    assert log_likelihood_of_truth(found.model, found.truth) == pytest.approx(by_hand, rel=1e-8)


def test_labels_and_units_are_those_of_the_column() -> None:
    data = visits().assign(reply=lambda d: d["reply"].map({"no": "alive", "yes": "dead"}))
    model = zoo.hierarchical_logistic(data, "reply ~ x + (1 | g)", success="dead")
    found = draw_data_set(model, 3)
    assert found is not None
    table = stored_table(found.truth)
    assert set(table["reply"]) == {"alive", "dead"}
    np.testing.assert_array_equal(table["reply"] == "dead", found.truth["observed_data"]["reply"].values == 1)


def test_a_computed_response_gets_a_column_of_its_own() -> None:
    model = zoo.hierarchical_linear(visits(), "log(days) | trunc(lb=-1) ~ x + (1 | g)")
    found = draw_data_set(model, 3)
    assert (
        found is not None
        and found.truth["observed_data"].to_dataset().to_dataarray().min() > -1
        and "days" not in found.model.spec["formula"]
    )
    observed = next(iter(found.truth["observed_data"].dataset.data_vars.values()))
    table = stored_table(found.truth)
    np.testing.assert_array_equal(observed.values, table["simulated_response"])
    assert not np.allclose(observed.values, np.log(visits()["days"]))


def test_what_cannot_be_drawn_is_refused() -> None:
    data = visits().assign(v2=lambda d: d["days"] / 30, below=lambda d: (d["y"] < 2).astype(int) * -1)
    with pytest.raises(InputError, match="which values are censored"):
        calibrate(zoo.hierarchical_linear(data, "y | cens(below) ~ x + (1 | g)"), 1)
    with pytest.raises(InputError, match="weights other than 1"):
        calibrate(zoo.hierarchical_linear(data, "y ~ x + (1 | g)", weights="v2"), 1)


@pytest.mark.promise("calibration")
def test_ranks_of_exact_draws_are_uniform_whatever_their_number() -> None:
    rng = np.random.default_rng(1)
    found = [rank(rng.normal(), rng.normal(size=(2, 40)), rng) for _ in range(2000)]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_ranks_of_draws_with_ties_are_uniform() -> None:
    rng = np.random.default_rng(2)
    found = [rank(rng.poisson(1.0), rng.poisson(1.0, size=(2, 40)).astype(float), rng) for _ in range(2000)]
    assert stats.kstest(found, "uniform").pvalue > 0.01


@pytest.mark.promise("calibration")
def test_ranks_of_dependent_draws_are_uniform() -> None:
    rng = np.random.default_rng(3)

    def dependent() -> np.ndarray:
        x = rng.normal(size=(2, 300))
        for t in range(1, 300):
            x[:, t] = 0.9 * x[:, t - 1] + np.sqrt(1 - 0.81) * x[:, t]
        return x

    found = np.array([rank(rng.normal(), dependent(), rng) for _ in range(1000)])
    assert abs(np.mean((found < 0.05) | (found > 0.95)) - 0.1) < 0.05  # unthinned it is much more


def of_ranks(**by_name: np.ndarray) -> SimulationBasedCalibration:
    n = len(next(iter(by_name.values())))
    return SimulationBasedCalibration(
        tuple(
            {
                "simulation": i, "refused": 0, "sound": True, "divergences": 0, "seconds": 1.0,
                "ranks": {k: float(v[i]) for k, v in by_name.items()},
            }
            for i in range(n)
        )
    )  # fmt: skip


@pytest.mark.promise("calibration")
def test_what_is_uniform_is_calibrated_and_what_is_too_narrow_is_not() -> None:
    rng = np.random.default_rng(4)
    even = (np.arange(200) + 0.5) / 200
    narrow = stats.norm.cdf(rng.normal(size=200), scale=0.7)  # posterior sds 30 % too small
    assert of_ranks(a=rng.permutation(even)).calibrated
    found = of_ranks(a=even, b=narrow)
    assert not found.calibrated and "not uniform for 'b'" in found.sentence
    table = found.table
    assert table.index[0] == "b" and table.loc["b", "p_adjusted"] == pytest.approx(2 * table.loc["b", "p"])


def test_the_spread_of_a_kind_is_seen_where_that_of_one_is_not() -> None:
    """Six group effects, each 12 % too narrow, 200 simulations: found together; false alarms of uniform ones are as many as they say."""
    rng = np.random.default_rng(6)
    names = [f"u_g[{k}, Intercept]" for k in range(6)]

    def p_of(scale: float) -> float:
        common = rng.normal(size=(200, 1))
        ranks = stats.norm.cdf(np.sqrt(0.3) * common + np.sqrt(0.7) * rng.normal(size=(200, 6)), scale=scale)
        ((name, found),) = spread_of_kinds(pd.DataFrame(ranks, columns=names))
        assert name == "spread of all group effects" and found[0] == 1200
        return found[3]

    assert np.mean([p_of(0.88) < 0.001 for _ in range(50)]) > 0.7
    alarms = np.mean([p_of(1.0) < 0.05 for _ in range(1000)])
    assert abs(alarms - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 1000)
    assert not list(spread_of_kinds(pd.DataFrame({"u_g[A]": [0.5, 0.2], "beta[x]": [0.1, 0.9]})))


def test_the_limit_and_the_least_number() -> None:
    even = (np.arange(20) + 0.5) / 20
    assert of_ranks(a=even).calibrated and not of_ranks(a=even[:19]).calibrated
    for p, calibrated in ((0.0099, False), (0.0101, True)):
        found = of_ranks(a=even)
        found.__dict__["table"] = pd.DataFrame({"p": [p], "p_adjusted": [p]}, index=["a"])
        assert found.calibrated is calibrated


def test_a_calibration_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    model = zoo.hierarchical_logistic(
        visits(), "ill ~ x + (1 | g)", priors={"beta": "Normal(0, 1)", "sd": "HalfNormal(1)"}
    )
    whole = calibrate(model, 3, folder=tmp_path / "whole", seed=2, **SMALL)
    calibrate(model, 2, folder=tmp_path / "cut", seed=2, **SMALL)
    file = tmp_path / "cut" / "simulations.jsonl"
    file.write_text(file.read_text()[:-20])
    again = calibrate(model, 3, folder=tmp_path / "cut", seed=2, **SMALL)
    pd.testing.assert_frame_equal(whole.ranks, again.ranks)
    assert [json.loads(line)["simulation"] for line in file.read_text().splitlines()] == [0, 1, 2]
    names = set(whole.ranks)
    assert {"Intercept", "beta[x]", "sd_g[Intercept]", "u_g[A, Intercept]", "log-likelihood"} <= names
    assert any("prediction" in name for name in names) and any("comparison" in name for name in names)
    assert "too few to judge" in whole.sentence
    with pytest.raises(InputError, match="another seed"):
        calibrate(model, 3, folder=tmp_path / "cut", seed=3, **SMALL)


def test_what_is_ranked_has_the_bits_of_a_fit() -> None:
    model = zoo.hierarchical_logistic(visits(), "ill ~ x + (1 | g)")
    short, whole = fit_draws(model, seed=2, **SMALL), zoo.fit(model, seed=2, progress=False, **SMALL)
    assert {*short.children} == {"posterior", "sample_stats", "log_likelihood", "observed_data", "constant_data"}
    for group in ("posterior", "sample_stats", "log_likelihood", "constant_data"):
        xr.testing.assert_identical(short[group].dataset, whole[group].dataset)
    assert {str(v.name) for v in determined_by_the_prior(model)} == {*map(str, whole["prior"].data_vars)}


def test_refused_data_are_drawn_anew_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, calls = drawn(next(row for row in ROWS if row.name == "logistic")), []

    def refusing(model: object, drawn: xr.DataTree, seed: int) -> DrawnDataSet | None:
        calls.append(drawn["posterior"]["Intercept"].item())
        return taken if len(calls) > 2 else None

    monkeypatch.setattr(module, "data_set_of", refusing)
    model = row_models.model_of("logistic")
    found = calibrate(model, 1, **SMALL)
    assert found.simulations[0]["refused"] == 2 and len(set(calls)) == 3
    monkeypatch.setattr(module, "data_set_of", lambda model, drawn, seed: None)
    monkeypatch.setattr(module, "ATTEMPTS", 3)
    with pytest.raises(InputError, match="3 draws"):
        calibrate(model, 1, **SMALL)


def test_the_command_line_says_that_it_is_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    visits().to_csv(tmp_path / "visits.csv", index=False)
    words = [
        "calibrate",
        "poisson",
        str(tmp_path / "visits.csv"),
        "--formula",
        "k ~ x + (1 | g)",
        "--prior",
        "beta=Normal(0, 0.5)",
    ]
    words += [
        "--prior",
        "Intercept=Normal(1, 0.5)",
        "--prior",
        "sd=HalfNormal(0.5)",
        "--n",
        "2",
        "--out",
        str(tmp_path / "c"),
    ]
    code = app_of()([*words, "--draws", "60", "--tune", "100", "--chains", "2"], result_action="return_value")
    assert code == ExitCode.UNSOUND and "too few to judge" in capsys.readouterr().out
    assert len((tmp_path / "c" / "simulations.jsonl").read_text().splitlines()) == 2


# ---------------------------------------------------------------------------------------------------------- workers


def squared(x: int, beside: Path) -> int:
    """The square; the process that has 3 first dies."""
    with contextlib.suppress(FileExistsError):
        if x == 3:
            (beside / "died").touch(exist_ok=False)
            os._exit(1)
    return x * x


def dies(x: int) -> int:
    os._exit(1)


def _lost(x: int, why: str) -> int:
    assert "died" in why
    return -x


def test_a_task_whose_worker_dies_is_done_by_another(tmp_path: Path) -> None:
    found = list(spread_tasks(squared, [1, 2, 3, 4], tmp_path, workers=2, lost=_lost))
    assert sorted(found) == [1, 4, 9, 16] and (tmp_path / "died").exists()
    assert list(spread_tasks(squared, [4, 3], tmp_path, workers=None, lost=_lost)) == [16, 9]


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_lost_with_its_reason_and_others_are_not() -> None:
    assert list(spread_tasks(dies, [5], workers=1, lost=_lost)) == [-5]


@pytest.mark.slow
def test_workers_find_the_same_bits(tmp_path: Path) -> None:
    model = zoo.hierarchical_logistic(
        visits(), "ill ~ x + (1 | g)", priors={"beta": "Normal(0, 1)", "sd": "HalfNormal(1)"}
    )
    pd.testing.assert_frame_equal(calibrate(model, 3, **SMALL).ranks, calibrate(model, 3, workers=2, **SMALL).ranks)


@pytest.mark.parametrize("workers", [0, -1, True, 1.5])
def test_workers_that_are_none_are_refused(workers: Any) -> None:
    with pytest.raises(InputError, match="workers must be a number of processes"):
        list(spread_tasks(squared, [1], Path(), workers=workers, lost=_lost))


def test_a_dask_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed: pip install 'glmm-zoo\[cluster\]'"):
        list(spread_tasks(squared, [1], Path(), workers="tcp://here:1", lost=_lost))


# ---------------------------------------------------------------------------------------------------------- the picture


def test_the_band_holds_all_lines_in_95_of_100() -> None:
    """Uniform ranks of 5 independent quantities, 200 simulations each, leave it 5 times in 100; narrow posteriors nearly always."""
    rng = np.random.default_rng(5)

    def left(ranks: np.ndarray) -> bool:
        return rank_picture(pd.DataFrame(ranks)).alt.startswith("Ranks leave")

    uniform = np.mean([left(rng.uniform(size=(200, 5))) for _ in range(300)])
    narrow = [left(stats.norm.cdf(rng.normal(size=(200, 5)), scale=0.7)) for _ in range(20)]
    assert 0.005 < uniform < 0.1 and np.mean(narrow) > 0.9


def test_the_picture_names_what_leaves_the_band(tmp_path: Path) -> None:
    even = (np.arange(200) + 0.5) / 200
    found = of_ranks(a=even, low=even**3)
    path = found.picture.save(tmp_path / "ranks.svg")
    assert "Ranks leave the band for low." in path.read_text() and ">low<" in path.read_text()
    for width in (343, 720):
        found.picture.figure(width)
