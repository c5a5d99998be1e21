"""Where the answer of predictions, comparisons and slopes goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made_trees import tree_of
from rows import networked_by_latitude

import glmm_zoo as zoo
from glmm_zoo.cli import run


@pytest.fixture
def file(tmp_path: Path) -> str:
    data = pd.DataFrame({"y": [0.1, 0.4, 0.2, 0.9] * 3, "arm": ["a", "b"] * 6})
    tree = tree_of(zoo.hierarchical_linear(data, "y ~ arm"), {"Intercept": 0.0, "beta": [1.0], "sigma": 1.0})
    return str(zoo.save(tree, tmp_path / "fit.nc"))


def test_estimates_that_are_stored_are_told(file, capsys):
    assert run(["comparisons", file, "arm", "--store", "effect"]) == 0
    assert "stored effect in" in " ".join(capsys.readouterr().out.split())
    assert set(zoo.load(file)["estimands"].children) == {"effect"}


def test_a_name_that_cannot_be_stored_is_refused_before_anything_is_computed(file, capsys):
    assert run(["comparisons", file, "arm", "--store", "my effect"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "the name of stored estimates must be a plain word" in printed.err


def test_a_league_table_says_where_covariates_are(tmp_path, capsys):
    model = zoo.network_meta_analysis(
        networked_by_latitude(), "ev | trials(size) ~ drug + lat", study="trial", treatment="drug", reference="A"
    )
    values = {
        v.name: np.full([len(model.coords[d]) for d in model.named_vars_to_dims.get(v.name) or ()], 0.3)
        for v in model.free_RVs
    }
    file = str(zoo.save(tree_of(model, values), tmp_path / "network.nc"))
    assert run(["table", file, "--of", "league", "--at", "lat=4"]) == 0
    assert "Comparisons of all treatments at lat 4.00: league." in " ".join(capsys.readouterr().out.split())
    assert run(["table", file, "--of", "league", "--at", "latt=4"]) == 2
    assert "--at names 'latt'; did you mean 'lat'" in " ".join(capsys.readouterr().err.split())
