"""What every function of the package says of a path, a model, a fit, estimates or a table in place of what it takes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hand_made_trees import tree_of_prior

import glmm_zoo as zoo

TAKES = {
    "tree": "fit",
    "trees": "fits",
    "model": "model",
    "estimates": "estimates",
    "table": "table",
}  # by first parameter
FUNCTIONS = [
    name
    for name in zoo.__all__
    if inspect.isfunction(getattr(zoo, name))
    and next(iter(inspect.signature(getattr(zoo, name)).parameters), "") in TAKES
]


def of_each_kind() -> dict[str, Any]:
    data = pd.DataFrame({"y": [1, 2, 3] * 6, "x": range(18), "g": list("abcdef") * 3})
    model = zoo.poisson(data, "y ~ x + (1 | g)")
    fit = tree_of_prior(model)
    return {
        "model": model, "fit": fit, "estimates": zoo.predictions(fit, by=True), "table": zoo.table(fit, "priors"),
        "the text 'fits/x.nc'": "fits/x.nc", "the path": Path("fits/x.nc"), "a DataFrame": data, "None": None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def kinds() -> dict[str, Any]:
    return of_each_kind()


def test_functions_of_all_kinds_are_looked_at() -> None:
    assert {"write_table", "write_estimates", "write_report", "loo_compare", "quick", "calibrate", "plot"} <= set(
        FUNCTIONS
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_of_another_kind_is_refused_in_a_sentence(name: str, kinds: dict[str, Any], tmp_path: Path) -> None:
    function = getattr(zoo, name)
    first, *others = inspect.signature(function).parameters.values()
    values = {"path": tmp_path / "x.csv", "landmark": 1.0, "times": [2.0], "horizon": 2.0, "window": 1.0}
    needed = [p.name for p in others if p.default is p.empty and p.kind != p.VAR_KEYWORD]
    required = {p: values.get(p, "x") for p in needed}
    for kind, value in kinds.items():
        if kind == TAKES[first.name]:
            continue
        with pytest.raises(zoo.InputError) as refused:
            function(value, **required)
        if first.name != "trees":
            assert kind in str(refused.value) and "zoo." in str(refused.value), (kind, str(refused.value))
    assert not any(tmp_path.iterdir())
