"""Models built again from the files of their fits, and variations of them; fits are made without sampling but for one."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from hand_made_trees import tree_of
from rows import ROWS, Row

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.refits import variations
from glmm_zoo.results.storage import metadata, write_metadata


def bare_tree(model):
    """A fit's file without draws of what a model's rebuilding does not need."""
    return tree_of(model, {})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_model_of_a_file_is_that_of_its_data(row: Row) -> None:
    model = row_models.model_of(row.name)
    tree = bare_tree(model)
    again = variations.model_of(tree)
    assert {**again.spec, "auxiliary": sorted(again.auxiliary)} == metadata(tree)["spec"]
    assert again.coords == model.coords
    point = row_models.random_point(model, 3)
    found, expected = (row_models.function(m, [m.logp()])(point)[0] for m in (again, model))
    assert found == expected


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_priors_in_force_can_be_given(row: Row) -> None:
    priors = variations.priors_by_key(row_models.model_of(row.name).spec)
    again = row_models.build(row, priors=priors)
    assert again.spec["priors"] == row_models.model_of(row.name).spec["priors"]


# ------------------------------------------------------------------------------------------------ what tables can hold


def table(**columns) -> pd.DataFrame:
    d = row_models.ROWS[0].data()
    return d.assign(
        day=pd.to_datetime("2024-02-01") + pd.to_timedelta(d.index % 8 * 31, unit="D"),
        dose=pd.Categorical(d.arm, categories=["zero", "low", "mid"], ordered=True),
        site=pd.Categorical(np.roll(d.arm, 7), categories=["mid", "zero", "low"]),
        fed=np.roll(d.sex, 5) == "m",
        **columns,
    )


HOLED = table().assign(x=lambda d: d.x.mask(d.index % 9 == 0), fed=lambda d: d.fed.astype("boolean").mask(d.index == 4))


@pytest.mark.parametrize(
    "options",
    [
        {"missing": "drop"},
        {"missing": "drop", "priors": {"beta": "Normal(0, 1)", "beta[x]": "Normal(0, 2)", "sd[g]": "HalfNormal(3)"}},
        {"missing": "drop", "clusters": "fixed"},
    ],
)
def test_dropped_rows_dates_orders_and_logicals_come_back(options: dict, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        model = zoo.hierarchical_linear(HOLED, "y ~ x + dose + site + fed + (1 | g) + (1 | day) + (1 | sex)", **options)
    tree = zoo.load(zoo.save(bare_tree(model), tmp_path / "fit.nc"))
    again = zoo.model_of(tree)
    assert {**again.spec, "auxiliary": sorted(again.auxiliary)} == metadata(tree)["spec"]
    assert again.spec["data"]["dropped"] == 9 and any("dropped 9 of 72 rows" in note for note in again.spec["notes"])
    assert again.coords == model.coords
    np.testing.assert_array_equal(again.frame.row_numbers, model.frame.row_numbers)
    point = row_models.random_point(model, 3)
    density = [row_models.function(m, [m.logp()])(point)[0] for m in (model, again)]
    assert density[0] == density[1]


def test_a_table_that_was_not_fitted_is_refused() -> None:
    tree = bare_tree(zoo.hierarchical_linear(table(), "y ~ x + (1 | g)"))
    tree["constant_data"] = tree["constant_data"].dataset.assign(x=lambda d: d.x + 1)
    with pytest.raises(InputError, match="not the one that was fitted"):
        zoo.model_of(tree)


def test_an_older_file_keeps_all_of_its_priors() -> None:
    tree = bare_tree(zoo.hierarchical_linear(table(), "y ~ x + (1 + x | g)"))
    content = metadata(tree)
    given = content["spec"].pop("given")
    assert given == {}
    write_metadata(tree, content)
    assert zoo.model_of(tree).spec["priors"] == content["spec"]["priors"]
    assert zoo.model_of(tree).spec["given"]["sd[g, x]"] == content["spec"]["priors"]["sd_g"]["sd[g, x]"]


# ----------------------------------------------------------------------------------------------------------- variations


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    """x of a sixth of the rows is missing, and they are dropped."""
    priors = {"beta[x]": "Normal(0, 2)", "sd[g]": "HalfNormal(3)"}
    return bare_tree(
        zoo.hierarchical_linear(HOLED.drop(columns="fed"), "y ~ x + w + (1 | g)", missing="drop", priors=priors)
    )


def spec_of(tree: xr.DataTree, **changes) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        return variations.changed_model(tree, **changes).spec


def test_another_formula_is_that_of_the_builder(tree: xr.DataTree) -> None:
    kept = HOLED.dropna(subset="x")
    expected = zoo.hierarchical_linear(kept, "y ~ w + (1 | g)", missing="drop", priors={"sd[g]": "HalfNormal(3)"}).spec
    with pytest.warns(ZooWarning) as told:
        ours = variations.changed_model(tree, formula=". ~ . - x").spec
    assert sorted(str(w.message)[:35] for w in told) == [
        "8 rows of the data frame that the f", "priors of the former fit for beta[x",
    ]  # fmt: skip
    assert ours["data"]["dropped"] == 8 and ours["notes"] == [str(told[0].message)]
    assert {**ours, "notes": [], "data": None} == {**expected, "notes": [], "data": None}


def test_priors_are_added_taken_back_and_chosen_anew(tree: xr.DataTree) -> None:
    was = metadata(tree)["spec"]
    ours = spec_of(tree, priors={"sd": "Exponential(5)", "beta[x]": None})
    plain = zoo.hierarchical_linear(HOLED, "y ~ x + w + (1 | g)", missing="drop").spec["priors"]
    assert ours["given"] == {"sd": "Exponential(5)"}
    assert ours["priors"] == {**plain, "sd_g": "Exponential(5)"}
    assert (ours["data"], ours["notes"]) == (was["data"], was["notes"])


def test_other_data_take_the_place_of_the_files(tree: xr.DataTree) -> None:
    with pytest.raises(
        InputError, match=r"no column 'age', only those that the fit used \(y, x, w, g\).*data=\.\.\. \(--data"
    ):
        spec_of(tree, formula=". ~ . + age")
    data = table(age=np.arange(72) % 5)
    ours = spec_of(tree, formula=". ~ . + age", data=data)
    assert ours["data"]["rows"] == 72 and ours["data"]["dropped"] == 0 and "age" in ours["data"]["columns"]
    assert (
        spec_of(tree, data=data.assign(y=10 * data.y))["priors"]["sigma"] != metadata(tree)["spec"]["priors"]["sigma"]
    )


def test_outcomes_and_events_have_changes_of_their_own() -> None:
    frame = next(row for row in ROWS if row.name == "joint").data()
    pairs = {"ill ~ x + (1 |p| g)": "bernoulli", "c ~ x + (1 |p| g)": "negative_binomial"}
    joint = bare_tree(zoo.joint_outcomes(frame, pairs))
    assert spec_of(joint, formula=". ~ . - x")["formula"] == "ill ~ (1 |p| g); c ~ (1 |p| g)"
    one = spec_of(joint, formula=[". ~ .", ". ~ . - x"], options={"families": "bernoulli,poisson"})
    assert one["formula"] == "ill ~ x + (1 |p| g); c ~ (1 |p| g)" and one["outcomes"]["c"]["family"] == "poisson"
    with pytest.raises(InputError, match=r"has 2 formulas .* and 3 changes are given"):
        spec_of(joint, formula=[". ~ ."] * 3)
    row = next(row for row in ROWS if row.name == "joint survival")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        survival = bare_tree(row_models.build(row))
    event = spec_of(survival, options={"event": ". ~ 1"})["formulas"]["event"]
    assert event == row.options["event"].split("~")[0] + "~ 1"


def test_what_was_asked_of_the_sampler_and_said_of_the_fit_is_kept() -> None:
    first = zoo.fit(zoo.card("multicenter").model(), draws=300, tune=300, seed=4, about={"question": "Does it?"})
    assert metadata(first)["sampling"]["thin"] > 1  # of its own choice, which is made again
    again = zoo.update(first)
    xr.testing.assert_identical(first["posterior"].dataset, again["posterior"].dataset)
    assert metadata(again)["about"] == {"question": "Does it?"}
    assert metadata(again)["spec"] == metadata(first)["spec"]
    other = zoo.update(first, seed=5, draws=40)
    assert other["posterior"].sizes["draw"] == 40 and metadata(other)["sampling"]["asked"]["seed"] == 5


def test_arms_with_gaps_outcomes_with_gaps_and_subjects_without_a_covariate_come_back() -> None:
    by_name = {row.name: row for row in ROWS}
    wide = pd.DataFrame(
        {"study": list("abcdefgh"), "events1": range(1, 9), "n1": 50, "events2": range(2, 10), "n2": 60}
    )
    wide["lat"] = np.where(wide.study == "c", np.nan, np.arange(8.0))
    followed = by_name["joint survival"].data().assign(age=lambda d: d.age.mask(d.id == "p07"))
    gaps = by_name["joint"].data().assign(x=lambda d: d.x.mask(d.index == 7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        models = [
            zoo.meta_analysis(wide, "events | trials(n) ~ lat", missing="drop", heterogeneity="general"),
            zoo.joint_outcomes(gaps, {"ill ~ x + (1 |p| g)": "bernoulli(probit)", "c ~ w + (1 |p| g)": "poisson"}, missing="drop"),
            zoo.joint_survival(
                followed, None, {"y ~ time + (1 | id)": "gaussian"}, event="Surv(years, death) ~ age", missing="drop",
                baseline="exponential",
            ),
        ]  # fmt: skip
    for model in models:
        again = zoo.model_of(bare_tree(model))
        assert {**again.spec, "auxiliary": []} == {**metadata(bare_tree(model))["spec"], "auxiliary": []}
        assert again.coords == model.coords and any("dropped" in note for note in again.spec["notes"])
