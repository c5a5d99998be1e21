"""A fit of effects whose levels depend on each other: what its file, its estimands and its page say of levels with and without rows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.calibration.data_sets import draw_data_set
from glmm_zoo.calibration.ranks import log_likelihood_of_truth
from glmm_zoo.inference.datatree import kept_variables
from glmm_zoo.inference.settings import Settings
from glmm_zoo.refits.imputed import models_of_tables
from glmm_zoo.refits.variations import changed_model, priors_by_key
from glmm_zoo.registry import find_builder
from glmm_zoo.results.storage import metadata, stored_level_tables

LEVELS = [f"a{i}" for i in range(12)]  # the first two have no rows
SETTINGS = {"draws": 150, "tune": 150, "chains": 2, "cores": 1, "seed": 3, "thin": 1, "progress": False}


def animals() -> pd.DataFrame:
    rng, n = np.random.default_rng(2), 60
    at = np.arange(n) % 10 + 2
    return pd.DataFrame(
        {"calls": rng.poisson(np.exp(0.5 + 0.1 * (at - 6))), "x": rng.normal(size=n), "id": np.array(LEVELS)[at]}
    )


def relationships() -> pd.DataFrame:
    distance = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    return pd.DataFrame(np.exp(-distance / 3.0) * 1.5, index=LEVELS, columns=LEVELS)


def areas() -> pd.DataFrame:
    return pd.DataFrame({"from": LEVELS[:-1], "to": LEVELS[1:]})


@pytest.fixture(scope="module")
def relatives(tmp_path_factory: pytest.TempPathFactory) -> xr.DataTree:
    """As read from its file."""
    model = zoo.poisson(animals(), "calls ~ x + (1 | gr(id, cov=A))", tables={"A": relationships()})
    return zoo.load(zoo.save(zoo.fit(model, **SETTINGS), tmp_path_factory.mktemp("fits") / "fit.nc"))


@pytest.fixture(scope="module")
def neighbours() -> xr.DataTree:
    model = zoo.poisson(animals(), 'calls ~ x + car(W, gr=id, type="bym2")', tables={"W": areas()})
    return zoo.fit(model, **SETTINGS)


def posterior(tree: xr.DataTree, name: str) -> Any:
    return tree["posterior"][name].stack(sample=("chain", "draw")).transpose("sample", ...).values


def test_the_file_holds_the_table(relatives: xr.DataTree) -> None:
    table = stored_level_tables(relatives)["A"]
    np.testing.assert_array_equal(table.values, relationships())
    assert table.levels == tuple(LEVELS)
    assert metadata(relatives)["spec"]["data"]["tables"]["A"] == {
        "source": "the data frame",
        "levels": 12,
        "sha256": table.sha256(),
    }
    assert relatives["posterior"]["u_id"].id.values.tolist() == LEVELS


def test_the_model_is_built_again_from_the_file(relatives: xr.DataTree) -> None:
    model = zoo.model_of(relatives)
    structure = model.groups[0].structure
    assert structure is not None
    np.testing.assert_allclose(structure.table.values, relationships())
    assert [(g.factor.levels, g.codes[""].tolist()) for g in model.groups] == [
        (tuple(LEVELS), [LEVELS.index(i) for i in animals().id])
    ]


def test_updates_take_the_table_of_the_file_or_another(relatives: xr.DataTree) -> None:
    changed = changed_model(relatives, formula=". ~ . - x")
    assert changed.spec["data"]["tables"] == metadata(relatives)["spec"]["data"]["tables"]
    another = changed_model(relatives, tables={"A": relationships() / 1.5})
    assert another.spec["groups"]["id"]["structure"]["variance"] == pytest.approx(1.0)
    without = changed_model(relatives, formula=". ~ . - (1 | gr(id, cov=A)) + (1 | id)")
    assert "tables" not in without.spec["data"] and without.groups[0].structure is None


def test_priors_of_a_map_are_given_by_their_keys(neighbours: xr.DataTree) -> None:
    priors = priors_by_key(metadata(neighbours)["spec"])
    assert priors["rho[id]"] == "Beta(1, 1)" and priors["sd[id, Intercept]"] == "Exponential(1)"
    again = changed_model(neighbours, priors={"rho[id]": "Beta(1, 2)"})
    assert again.spec["priors"]["rho_id"] == "Beta(1, 2)"


def test_a_table_goes_with_the_data_sets_of_a_calibration_and_with_imputed_tables(relatives: xr.DataTree) -> None:
    drawn = draw_data_set(zoo.model_of(relatives), 3)
    assert drawn is not None and np.isfinite(log_likelihood_of_truth(drawn.model, drawn.truth))
    assert drawn.model.spec["data"]["tables"] == metadata(relatives)["spec"]["data"]["tables"]
    builder = find_builder("poisson")
    assert builder is not None
    imputed = [animals(), animals().assign(x=lambda d: d.x.where(d.index > 3, 0.0))]
    models = models_of_tables(
        builder, imputed, "calls ~ x + (1 | gr(id, cov=A))", {}, {"tables": {"A": relationships()}}
    )
    assert all(m.groups[0].structure is not None for m in models)


def test_levels_that_depend_on_each_other_stand_beside_other_laws_of_the_factor() -> None:
    data = animals().assign(t=lambda d: np.arange(len(d)) // 10, arm=lambda d: d.id.isin(["a2", "a3"]))
    model = zoo.poisson(
        data, "calls ~ x + (1 | gr(id, cov=A)) + (1 | gr(id, by=arm)) + ar1(t | id)", tables={"A": relationships()}
    )
    kinds = {g.factor.name: (g.structure is not None, g.by is not None, g.series is not None) for g in model.groups}
    assert kinds == {"id_A": (True, False, False), "id": (False, True, False), "id:t": (False, False, True)}
    estimates = zoo.quick(model)["mean"]
    assert {"sd_id_A[Intercept]", "sd_id[False, Intercept]", "sd_id:t[Intercept]"} <= set(estimates.index)


def test_a_level_without_rows_has_its_own_effect(relatives: xr.DataTree) -> None:
    new = pd.DataFrame({"x": [0.0, 1.0], "id": ["a0", "a5"]})
    found = zoo.predictions(relatives, new, groups="observed", scale="linear").draws
    expected = (
        posterior(relatives, "Intercept")[:, None]
        + posterior(relatives, "beta") * [0.0, 1.0]
        + posterior(relatives, "u_id")[:, [0, 5], 0]
    )
    values = found["value"].stack(sample=("chain", "draw")).transpose("sample", ...).values.reshape(expected.shape)
    np.testing.assert_allclose(values, expected, rtol=1e-9)


@pytest.mark.parametrize("unseen", ["error", "population", "new"])
def test_a_level_that_the_table_lacks_is_refused(relatives: xr.DataTree, unseen: str) -> None:
    with pytest.raises(
        zoo.InputError, match=r"id 'b' \(row 1\) is not in table 'A' of the fit, which says how the effects"
    ):
        zoo.predictions(relatives, pd.DataFrame({"x": [0.0], "id": ["b"]}), groups="observed", unseen=unseen)


def test_population_averages_have_the_mean_variance(relatives: xr.DataTree) -> None:
    """E exp(eta + u) = exp(eta + sd^2 1.5 / 2)."""
    asked = zoo.predictions(relatives, pd.DataFrame({"x": [0.5]}))
    eta = posterior(relatives, "Intercept") + 0.5 * posterior(relatives, "beta")[:, 0]
    expected = np.exp(eta + 0.75 * posterior(relatives, "sd_id")[:, 0] ** 2)
    assert asked.table["median"].item() == pytest.approx(np.median(expected), rel=1e-9)
    assert "in an id apart from those of table A, with their mean variance" in repr(asked)


def test_population_averages_of_areas_have_the_mean_variance(neighbours: xr.DataTree) -> None:
    Q = np.linalg.pinv(np.diag([1, *[2] * 10, 1]) - np.eye(12, k=1) - np.eye(12, k=-1))
    spatial = np.diag(Q) / np.exp(np.log(np.diag(Q)).mean())
    variance = 1 + posterior(neighbours, "rho_id") * (spatial.mean() - 1)
    eta = posterior(neighbours, "Intercept")
    expected = np.exp(eta + 0.5 * variance * posterior(neighbours, "sd_id")[:, 0] ** 2)
    asked = zoo.predictions(neighbours, pd.DataFrame({"x": [0.0]}))
    assert asked.table["median"].item() == pytest.approx(np.median(expected), rel=1e-9)


def test_the_median_ratio_has_the_mean_variance(relatives: xr.DataTree) -> None:
    sd = np.sqrt(1.5) * posterior(relatives, "sd_id")[:, 0]
    expected = np.exp(np.sqrt(2) * sd * stats.norm.ppf(0.75))
    assert zoo.summary(relatives).loc["median_rate_ratio[id]", "mean"] == pytest.approx(expected.mean(), rel=1e-9)


def test_new_groups_are_another_draw_of_all_levels(relatives: xr.DataTree) -> None:
    """Replicated rows of a level vary with their own effects, and not with those of the fit."""
    new = relatives["posterior_predictive_new_groups"].dataset["calls"].values
    old = relatives["posterior_predictive"].dataset["calls"].values.reshape(-1, new.shape[1])
    own = animals().groupby("id").calls.mean().reindex(animals().id).to_numpy()
    assert np.corrcoef(old.mean(axis=0), own)[0, 1] > 0.8
    assert abs(np.corrcoef(new.mean(axis=0), own)[0, 1]) < 0.5
    assert {"v_id", "u_id"}.isdisjoint(relatives["prior"].data_vars)
    assert {"v_id", "u_id"}.isdisjoint(relatives["log_prior"].data_vars)


def test_levels_are_not_left_out(relatives: xr.DataTree) -> None:
    with pytest.raises(zoo.InputError, match="level= is not there where the levels of 'id' depend on each other"):
        zoo.loo(relatives, level="id")


def test_no_draws_of_effects_are_kept_where_moments_are(relatives: xr.DataTree) -> None:
    kept = kept_variables(zoo.model_of(relatives), Settings(keep_group_effects="moments"))
    assert {v.name for v in kept.moments} == {"u_id", "v_id"}


def test_only_levels_with_rows_are_drawn(relatives: xr.DataTree) -> None:
    picture = zoo.plot(relatives, "caterpillar")
    texts = {t.get_text() for axis in picture.axes for t in (*axis.texts, *axis.get_yticklabels())}
    assert {"a2", "a11"} <= texts and texts.isdisjoint({"a0", "a1"})


def text_of(page: Path) -> str:
    plain = re.sub(r"<(style|script|svg)[^>]*>.*?</\1>", "", page.read_text(), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", plain))


def test_the_page_says_it(relatives: xr.DataTree, neighbours: xr.DataTree, tmp_path: Path) -> None:
    zoo.write_report(relatives, tmp_path / "relatives.html")
    page = text_of(tmp_path / "relatives.html")
    assert "The shifts of different ids are correlated: their covariance is σ² times that of table A." in page
    assert (
        "a random intercept for each id with the known covariance between ids of table A, which has 12 levels" in page
    )
    assert "u id ∼ MultivariateNormal ( 0 , σ id 2 A )" in page
    assert "10 ids" in page and "--table A=A.csv" in page.replace("\\ ", "")
    assert "ids with the mean variance of table A" in page
    zoo.write_report(neighbours, tmp_path / "neighbours.html")
    page = text_of(tmp_path / "neighbours.html")
    assert "A share ρ of the variance of the shifts of ids is spatial" in page
    assert "the BYM2 (Riebler et al. 2016) distribution between neighbours of table W" in page
    assert "beta (1, 1) for the spatial share of the variance" in page
    assert "A spatial share of the variance from 2.5 % to 97.5 %" in page.replace("\u00a0", " ")


def test_quick_estimates_have_the_sd(relatives: xr.DataTree) -> None:
    estimate = zoo.quick(zoo.model_of(relatives)).loc["sd_id[Intercept]", "mean"]
    assert estimate == pytest.approx(posterior(relatives, "sd_id").mean(), rel=0.5)


def test_what_the_prior_says_is_about_the_mean_variance() -> None:
    model = zoo.poisson(
        animals(), "calls ~ x + (1 | gr(id, cov=A))", tables={"A": relationships()},
        priors={"Intercept": "Normal(0, 0.001)", "beta": "Normal(0, 0.001)", "sd": "HalfNormal(0.001)"},
    )  # fmt: skip
    assert zoo.prior_predictive(model, draws=200, seed=1).table["median"].iloc[0] == pytest.approx(1.0, abs=0.01)
