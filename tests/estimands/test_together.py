"""What a page computes once is what each question by itself gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of_prior
from row_models import model_of

import glmm_zoo as zoo
from glmm_zoo.estimands import averages
from glmm_zoo.estimands.predictions import predictions_on
from glmm_zoo.results.once import computed_once, once

ZERO_INFLATED = "zip, zi"


def draws(estimates: zoo.Estimates) -> np.ndarray:
    return estimates.draws["value"].values


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return tree_of_prior(model_of(ZERO_INFLATED))


def test_scales_together_are_scales_apart(tree: xr.DataTree) -> None:
    scales = ("mean", "zero", "positive")
    asked: dict[str, Any] = {"at": {"x": [0.0, 1.0]}, "by": True, "prob": 0.9}
    together = predictions_on(tree, scales, **asked)
    assert list(together) == list(scales)
    for scale, found in together.items():
        apart = zoo.predictions(tree, scale=scale, **asked)
        np.testing.assert_array_equal(draws(found), draws(apart))
        assert found.sentence == apart.sentence
        assert found.table.equals(apart.table)


def test_values_of_a_grid_are_those_of_each_value(tree: xr.DataTree) -> None:
    grid = [-1.0, 0.0, 0.5]
    together = draws(zoo.predictions(tree, at={"x": grid}, by=True))
    each = [draws(zoo.predictions(tree, at={"x": x}, by=True)) for x in grid]
    np.testing.assert_array_equal(together, np.concatenate(each, axis=2))


def test_averages_that_come_again_are_not_computed_again(tree: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: dict[str, Any] = {"contrast": (0.0, 1.0)}
    alone = zoo.comparisons(tree, "x", **compared)
    counted: list[int] = []
    usual = averages.weighted_sums
    monkeypatch.setattr(averages, "weighted_sums", lambda *of: counted.append(1) or usual(*of))
    with computed_once():
        zoo.predictions(tree, at={"x": [0.0, 1.0]}, by=True)
        before = len(counted)
        again = zoo.comparisons(tree, "x", **compared)
        assert before == len(counted) == 2
        zoo.comparisons(tree, "x", **compared, groups="typical")  # of other people
        assert len(counted) == 4
    np.testing.assert_array_equal(draws(alone), draws(again))
    zoo.comparisons(tree, "x", **compared)
    assert len(counted) == 6  # nothing is kept outside


def test_what_is_kept_is_of_one_object() -> None:
    first, second = [1], [2]
    with computed_once():
        assert once("sum", first, lambda: sum(first)) == 1
        assert once("sum", second, lambda: sum(second)) == 2
        assert once("sum", first, lambda: 3) == 1
    assert once("sum", first, lambda: 3) == 3


def test_a_level_that_the_fit_lacks_is_said_of_its_row_once() -> None:
    frame = pd.DataFrame({"y": [0, 1] * 8, "x": np.arange(16.0), "q": list("aabb") * 4, "h": np.arange(16) // 2})
    tree = tree_of_prior(zoo.hierarchical_logistic(frame, "y ~ x + q + (1 | h)"))
    with pytest.raises(zoo.InputError, match=r"level 'c' of 'q' \(row 2\) was not in the data"):
        zoo.predictions(tree, pd.DataFrame({"q": ["a", "c"]}), at={"x": [0.0, 1.0]})
