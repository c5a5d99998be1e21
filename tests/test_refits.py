"""Models built again from the files of their fits, and variations of them; fits are made without sampling but for one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import row_models
from hand_made_trees import tree_of
from rows import ROWS, Row

from glmm_zoo import refits
from glmm_zoo.errors import ZooWarning
from glmm_zoo.registry import find_builder
from glmm_zoo.results.storage import metadata


def bare_tree(model):
    """A fit's file without draws of what a model's rebuilding does not need."""
    return tree_of(model, {})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_model_of_a_file_is_that_of_its_data(row: Row) -> None:
    model = row_models.model_of(row.name)
    tree = bare_tree(model)
    again = refits.model_of(tree)
    assert {**again.spec, "auxiliary": sorted(again.auxiliary)} == metadata(tree)["spec"]
    assert again.coords == model.coords
    point = row_models.random_point(model, 3)
    assert row_models.function(again, [again.logp()])(point)[0] == row_models.log_density(row.name)(point)
