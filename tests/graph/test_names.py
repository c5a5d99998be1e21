"""Columns may have any name: that of a dimension, a variable, data or a reserved word of the model itself."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from rows import ROWS, Row, visits

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.inference.datatree import data_groups

WORDS = [
    "row",
    "chain",
    "draw",
    "sample",
    "obs",
    "y",
    "study",
    "treat",
    "beta",
    "coef",
    "Intercept",
    "sd_x",
    "u_g",
    "cutpoints",
    "cutpoint",
    "time",
    "id",
    "sigma",
    "alpha",
    "zi",
    "never",
    "tau",
    "rho",
    "effect",
    "study_effect",
    "corr_g",
    "s_x",
    "cause",
    "association",
    "surv_time",
    "event",
    "g_effect",
    "Intercept_at_means",
    "observed",
    "log_likelihood",
    "nominal",
    "residual",
]
FIRST_ROWS = {row.builder: row for row in reversed(ROWS)}.values()


def renamed(row: Row, old: str, new: str) -> tuple[pd.DataFrame, Any, Any]:
    """The row's data, formula and options with the column `old` called `new`."""

    def there(value: Any) -> Any:
        if isinstance(value, str):
            return (
                new
                if value == old
                else re.sub(rf"(?<!\w){re.escape(old)}(?![\w(])", f"`{new}`", value)
                if "~" in value
                else value
            )
        if isinstance(value, dict):
            return {there(k): there(x) for k, x in value.items()}
        return type(value)(map(there, value)) if isinstance(value, list | tuple) else value

    defaults = inspect.signature(row_models.builder(row.builder)).parameters.values()
    options = {p.name: old for p in defaults if p.default == old and isinstance(p.default, str)} | dict(row.options)
    return (
        row.data().rename(columns={old: new}),
        there(row.formula),
        {key: there(value) for key, value in options.items()},
    )


def check_names(model: Any) -> None:
    """What is reported fits into one Dataset with its labels, and so do the data."""
    reported, dims_of = row_models.reported(model), model.named_vars_to_dims
    labels = {d: [str(v) for v in model.coords[d]] for name in reported for d in dims_of.get(name, ())}
    zeros = {
        name: (dims_of.get(name, ()), np.zeros([len(labels[d]) for d in dims_of.get(name, ())])) for name in reported
    }
    assert set(xr.Dataset(zeros, labels)) == set(reported)
    assert len(data_groups(model)["constant_data"]) == len(model.frame.columns) + sum(
        len(t.columns) for t in model.also.values()
    )


@pytest.mark.parametrize("row", FIRST_ROWS, ids=lambda row: row.builder)
def test_a_column_with_any_name_works_or_is_named(row: Row):
    model = row_models.model_of(row.name)
    own = sorted({*model.named_vars, *model.coords, *(name.lstrip("_") for name in model.named_vars)})
    columns = [c for c in row.data().columns if c in model.frame.columns]
    pairs = [(old, new) for old in columns for new in dict.fromkeys([*own, *WORDS]) if new not in row.data().columns]
    chosen = np.random.default_rng(len(pairs)).permutation(len(pairs))[:6]
    for old, new in (pairs[i] for i in chosen):
        frame, formula, options = renamed(row, old, new)
        try:
            other = row_models.build(row, frame, formula, **options)
        except InputError as err:
            assert new in str(err) and "rename" in str(err), (old, new, err)
        else:
            check_names(other)


def trials() -> pd.DataFrame:
    study = np.repeat(["A", "B", "C", "D", "E", "F", "G"], 2)
    return pd.DataFrame({"study": study, "treat": [0, 1] * 7, "r": np.arange(14) % 5 + 2, "n": 40})


@pytest.mark.parametrize("baseline", ["random", "bivariate"])
def test_studies_are_in_a_column_called_study(baseline):
    model = zoo.meta_analysis(trials(), "r | trials(n) ~ treat", baseline=baseline)
    dims = model.named_vars_to_dims
    assert tuple(dims["study_effect"]) == ("study",) and tuple(dims["u_study"]) == ("study", "study_effect_")
    assert tuple(dims["sd_study"]) == ("study_effect_",)
    check_names(model)
    other = zoo.meta_analysis(
        trials().rename(columns={"study": "trial"}), "r | trials(n) ~ treat", baseline=baseline, study="trial"
    )
    assert tuple(other.named_vars_to_dims["sd_trial"]) == ("trial_effect",)


def test_a_column_called_otherwise_in_the_fit_is_told():
    model = zoo.hierarchical_linear(visits().rename(columns={"g": "row"}), "y ~ x + (1 | row)")
    assert "sd_row_" in model.named_vars
    assert any(note.startswith("column 'row' is called 'row_'") for note in model.spec["notes"])


@pytest.mark.parametrize(
    ("columns", "formula", "told"),
    [
        ({"g": "a/b", "h": "a_b"}, "y ~ x + (1 | `a/b`) + (1 | a_b)", "columns 'a/b' and 'a_b' would share the name 'a_b'"),
        ({"g": "row", "x": "row_"}, "y ~ row_ + (1 | row)", "columns 'row_' and 'row' would share|columns 'row' and 'row_' would share"),
    ],
)  # fmt: skip
def test_two_columns_with_one_name_are_told(columns, formula, told):
    with pytest.raises(InputError, match=told):
        zoo.hierarchical_linear(visits().drop(columns=["a", "b"]).rename(columns=columns), formula)


@pytest.mark.parametrize("part", ["sd", "corr", "u"])
def test_a_factor_may_be_called_as_a_variable_of_another_part(part):
    name = f"zi_{part}_g"
    frame = visits().rename(columns={"h": name})
    model = zoo.zero_inflated_poisson(frame, f"c ~ x + (1 | {name})", zi="~ x + (1 + x | g)")
    assert name in model.named_vars and f"{name}_" in model.coords and name not in model.coords
    check_names(model)
