"""What is said of a model in words is read, held against the model, and stored with the columns that label its groups."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import row_models
from rows import arms, trial, visits

import glmm_zoo as zoo
from glmm_zoo.inference.said import words_of
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.storage import metadata, stored_table

WARD = [f"ward {i % 5}" for i in range(72)]


def labelled() -> pd.DataFrame:
    """Visits with two columns that no formula uses, of which one lacks values, and two rows without x."""
    d = visits().assign(ward=WARD, year=np.where(np.arange(72) % 7, 1900.0 + np.arange(72), np.nan))
    d.loc[[3, 40], "x"] = np.nan
    return d


def fitted(model: Any, **about: Any) -> Any:
    return zoo.fit(model, draws=20, tune=50, chains=2, seed=1, progress=False, about=about or None)


@pytest.mark.parametrize("frame", [lambda d: d, pl.from_pandas], ids=["pandas", "polars"])
def test_labels_follow_the_rows_that_are_kept(frame: Any, tmp_path: Path) -> None:
    d = labelled()
    said = {"question": "Does it?", "label": ["ward", "year"], "names": {"ward": "the ward", "x": "dose"}}
    tree = fitted(zoo.lmm(frame(d), "y ~ x + (1 | g)", missing="drop"), **said)
    plain = fitted(zoo.lmm(frame(d), "y ~ x + (1 | g)", missing="drop"))
    loaded = zoo.load(zoo.save(tree, tmp_path / "fit.nc"))
    assert about_of(loaded) == About(
        question="Does it?", label=["ward", "year"], names={"ward": "the ward", "x": "dose"}
    )
    table, kept = stored_table(loaded), d.drop(index=[3, 40])
    assert [*table] == ["y", "x", "g", "ward", "year"]
    assert table.index.tolist() == kept.index.tolist()
    assert table["ward"].tolist() == kept["ward"].tolist()
    np.testing.assert_array_equal(table["year"], kept["year"])
    assert metadata(tree)["spec"] == metadata(plain)["spec"]  # columns and SHA-256 are those of the model
    np.testing.assert_array_equal(tree["posterior"]["beta"], plain["posterior"]["beta"])
    means = [zoo.predictions(t, at={"x": [0, 1]}, by=True).table for t in (loaded, plain)]
    pd.testing.assert_frame_equal(*means)


def test_labels_of_outcomes_with_rows_of_their_own_and_of_both_tables_of_survival() -> None:
    d = visits().assign(ward=WARD, w=lambda v: v["w"].where(np.arange(72) % 4 > 0))
    model = zoo.joint_outcomes(
        d, ["y ~ x + (1 |p| g)", "w ~ x + (1 |p| g)"], families=["gaussian", "gaussian"], missing="drop"
    )
    _, labels = words_of(model, {"label": ["ward"], "outcomes": {"w": {"unit": "m"}}})
    assert labels["row"]["ward"].text.tolist() == [WARD[i] for i in model.frame.row_numbers]

    i = np.arange(48)
    place = np.array([f"p{k % 3}" for k in i])
    subjects = pd.DataFrame({"id": i, "years": 1.0 + i, "death": i % 2, "place": place}).iloc[::-1]
    times = np.column_stack([0.0 * i, 0.9 + 0.9 * i]).ravel()
    measured = pd.DataFrame(
        {"id": np.repeat(i, 2), "time": times, "y": np.arange(96) % 5.0, "place": np.repeat(place, 2)}
    )
    model = row_models.builder("joint_survival")(
        measured, subjects, "y ~ time + (1 | id)", event="Surv(years, death) ~ 1"
    )
    _, labels = words_of(model, {"label": ["place"]})
    for dim, table in {"row": model.frame, **model.also}.items():
        ids = np.array(table["id"].as_written().text, int)
        assert labels[dim]["place"].text.tolist() == place[ids].tolist()


def test_a_frame_that_was_changed_is_refused_rather_than_matched_by_place() -> None:
    d = visits().assign(ward=WARD)
    model = zoo.lmm(d, "y ~ x + (1 | g)")
    d[["y", "x", "g"]] = d[["y", "x", "g"]].to_numpy()[::-1]
    with pytest.raises(
        zoo.InputError, match="the data frame was changed after the model was built; build the model again"
    ):
        words_of(model, {"label": ["ward"]})


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ({"questoin": "?"}, "about: no field 'questoin'; did you mean 'question'?"),
        ({"good": "worse"}, "about: Invalid enum value 'worse' - at `$.good`"),
        ({"names": {"armm": "arm"}}, "about: names: the model has no variable 'armm'; did you mean 'arm'? variables: y, x, arm, g"),
        ({"units": {"ward": "m"}}, "about: units: the model has no variable 'ward'"),
        ({"of": "ward", "label": ["ward"]}, "about: of: the model has no variable 'ward'"),
        ({"at": {"xx": 1}}, "about: at: the model has no variable 'xx'; did you mean 'x'?"),
        ({"levels": {"arm": {"lo": "low"}}}, "about: levels: 'arm' has no level 'lo'; did you mean 'low'? levels: low, mid, zero"),
        ({"of": "arm", "control": "none"}, "about: control: 'arm' has no level 'none'"),
        ({"control": "low"}, "about: control='low' is a level of the variable that 'of' names; give of, too"),
        ({"label": ["wardd"]}, "about: label: the data have no column 'wardd'; did you mean 'ward'?"),
        ({"outcomes": {"z": {"unit": "m"}}}, "about: outcomes: the model has no outcome 'z'; outcomes: y"),
        ("nowhere.toml", "about: file 'nowhere.toml' cannot be read: No such file or directory; give a .toml file"),
    ],
)  # fmt: skip
def test_words_about_nothing_are_refused_before_sampling(about: Any, sentence: str) -> None:
    model = zoo.lmm(visits().assign(ward=WARD), "y ~ x + arm + (1 | g)")
    with pytest.raises(zoo.InputError, match=re.escape(sentence)):
        zoo.fit(model, about=about)


def test_a_file_of_words(tmp_path: Path) -> None:
    path = tmp_path / "about.toml"
    path.write_text('question = "Does it?"\nof = "arm"\ncontrol = "zero"\n[units]\nx = "mg"\n', encoding="utf-8")
    model = zoo.lmm(visits(), "y ~ x + arm")
    expected = About(question="Does it?", of="arm", control="zero", units={"x": "mg"})
    assert words_of(model, path)[0] == words_of(model, str(path))[0] == words_of(model, expected)[0] == expected
    path.write_text("question = Does it?")
    with pytest.raises(zoo.InputError, match=r"about: .*about\.toml is not TOML: "):
        words_of(model, path)


def test_a_cards_words_serve_another_formula_as_far_as_they_go() -> None:
    model = zoo.lmm(visits(), "y ~ x + (1 | g)")
    model.about = About(
        question="Does it?", of="arm", control="low", label=["ward"], names={"x": "dose", "arm": "arm"}, units={"arm": "m"},
        levels={"g": {"A": "first", "Z": "last"}}, outcomes={"y": {}, "z": {}},
    )  # fmt: skip
    kept = About(question="Does it?", names={"x": "dose"}, levels={"g": {"A": "first"}}, outcomes={"y": {}})
    assert words_of(model, None) == (kept, {})


def test_control_and_treated_of_trials_stand_in_the_file() -> None:
    meta = zoo.meta_analysis(arms(), "ev | trials(size) ~ arm", study="trial", treatment="arm")
    assert meta.spec["facts"]["arms"] == {"variable": "arm", "control": "placebo", "treated": "active"}
    d = trial().assign(treat=lambda v: np.where(v["treat"] == 1, "new", "usual care"))
    wedge = zoo.stepped_wedge(d, "y ~ 1", family="gaussian")
    assert wedge.spec["facts"]["arms"] == {"variable": "treat", "control": "usual care", "treated": "new"}
    crossover = zoo.stepped_wedge(trial(), "y ~ 1", family="gaussian", crossover="first")
    assert crossover.spec["facts"]["arms"] == {"variable": "treat", "control": "0", "treated": "1"}
    for model, control in ((meta, "placebo"), (wedge, "usual care"), (crossover, "0")):
        assert words_of(model, {"control": control})[0].control == control
