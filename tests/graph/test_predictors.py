"""Several predictors in one model, built from the pieces: names, shared group effects, awkward column names."""

from __future__ import annotations

import numpy as np
import pytest
import row_models
import xarray as xr
from rows import visits

from glmm_zoo import priors
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.predictor import code_predictor
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.predictors import linear_predictors
from glmm_zoo.plans.groups import groups_of
from glmm_zoo.plans.parameters import predictor_parameters
from glmm_zoo.plans.plan import Plan
from glmm_zoo.tables.frames import take_columns


def two_predictors(main: str, zi: str):
    """A model of two predictors with the prefixes "" and "zi", without a likelihood, and its etas."""
    table = take_columns(visits(), ["x", "w", "days", "g", "h"])
    parts = tuple(
        code_predictor(parse_formula(text, response=False), table, prefix) for text, prefix in ((main, ""), (zi, "zi"))
    )
    chosen = priors.choose(predictor_parameters(parts, 0.0, 1.0), None)
    with Model(Plan({}, table, parts, chosen, table.rows)) as model:
        etas = linear_predictors(model)
    return model, etas, parts


SHARED = ("~ x + (1 |p| g)", "~ w + (1 |p| g)")
APART = ("~ x + (1 | g)", "~ w + (1 | g)")
NAMES = {
    "one block by its label": (
        SHARED, {"beta", "zi_beta", "Intercept", "zi_Intercept", "sd_g", "corr_g", "u_g"}, {"pcorr_g"},
        {"g_effect": ("Intercept", "zi:Intercept"), "coef": ("x",), "zi_coef": ("w",)},
    ),
    "apart without a label": (
        APART, {"beta", "zi_beta", "Intercept", "zi_Intercept", "sd_g", "u_g", "zi_sd_g", "zi_u_g"}, set(),
        {"g_effect": ("Intercept",), "zi_g_effect": ("Intercept",)},
    ),
    "apart with different labels": (
        ("~ (1 |p| g)", "~ (1 |q| g)"), {"Intercept", "zi_Intercept", "sd_g", "u_g", "zi_sd_g", "zi_u_g"}, set(),
        {"g_effect": ("Intercept",), "zi_g_effect": ("Intercept",)},
    ),
    "slopes share too": (
        ("~ x + (1 + x |p| g)", "~ w + (1 |p| g) + (1 | h)"),
        {"beta", "zi_beta", "Intercept", "zi_Intercept", "sd_g", "corr_g", "u_g", "zi_sd_h", "zi_u_h"}, {"pcorr_g"},
        {"g_effect": ("Intercept", "x", "zi:Intercept"), "zi_h_effect": ("Intercept",)},
    ),
    "only one of two terms is shared": (
        ("~ (1 |p| g) + (0 + x | g)", "~ (1 |p| g)"),
        {"Intercept", "zi_Intercept", "sd_g", "corr_g", "u_g"}, {"pcorr_g"},
        {"g_effect": ("Intercept", "x", "zi:Intercept")},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("formulas", "reported", "auxiliary", "coords"), NAMES.values(), ids=NAMES)
def test_names_of_two_predictors(formulas, reported, auxiliary, coords):
    model, _, _ = two_predictors(*formulas)
    assert set(row_models.reported(model)) == reported
    assert {name for name in model.auxiliary if "at_means" not in name} == auxiliary
    assert {d: tuple(model.coords[d]) for d in coords} == coords
    for name in reported | auxiliary:
        assert model[name].ndim == len(model.named_vars_to_dims.get(name, ()))


def values_of(model, etas, seed=0):
    names = [*row_models.reported(model), *(n for n in model.named_vars if n in ("corr_g_at_means",))]
    run = row_models.function(model, model.replace_rvs_by_values([*(model[n] for n in names), etas[""], etas["zi"]]))
    *values, eta, zi = run(row_models.random_point(model, seed))
    return {n: row_models.labelled(model, n, v) for n, v in zip(names, values, strict=True)}, eta, zi


@pytest.mark.parametrize("formulas", [SHARED, APART], ids=["shared", "apart"])
def test_each_effect_enters_its_own_predictor(formulas):
    frame = visits()
    model, etas, _ = two_predictors(*formulas)
    p, eta, zi = values_of(model, etas)
    u_main = p["u_g"].sel(g_effect="Intercept", g=frame.g.values).values
    u_zi = (
        p["u_g"].sel(g_effect="zi:Intercept", g=frame.g.values).values
        if formulas is SHARED
        else p["zi_u_g"].sel(zi_g_effect="Intercept", g=frame.g.values).values
    )
    np.testing.assert_allclose(eta, p["Intercept"].item() + frame.x * p["beta"].item() + u_main, rtol=1e-10)
    np.testing.assert_allclose(zi, p["zi_Intercept"].item() + frame.w * p["zi_beta"].item() + u_zi, rtol=1e-10)


def test_a_shared_label_correlates_and_a_partly_shared_one_only_its_own():
    model, etas, _ = two_predictors(*SHARED)
    p, *_ = values_of(model, etas)
    assert 0.01 < abs(p["corr_g"].sel(g_effect="Intercept", g_effect_bis="zi:Intercept").item()) < 1
    model, etas, parts = two_predictors(*NAMES["only one of two terms is shared"][0])
    R = values_of(model, etas)[0]["corr_g_at_means"]
    assert abs(R.sel(g_effect="Intercept", g_effect_bis="zi:Intercept").item()) > 0.01
    assert R.sel(g_effect="x", g_effect_bis=["Intercept", "zi:Intercept"]).values.tolist() == [0.0, 0.0]
    (group,) = groups_of(parts)
    assert sorted(map(sorted, group.blocks)) == [[0, 2], [1]]


def three(*texts: str):
    table = take_columns(visits(), ["x", "g"])
    prefixes = ("", "zi", "never")
    return groups_of(
        [code_predictor(parse_formula(t, response=False), table, p) for t, p in zip(texts, prefixes, strict=True)]
    )


def test_groups_of_three_predictors_have_different_names_and_no_effect_twice():
    alone = three("~ (1 | g)", "~ (1 |p| g)", "~ (1 |p| g)")
    assert len({g.name("sd") for g in alone}) == len(alone) == 2
    chained = three("~ (1 |p| g)", "~ (1 |p| g) + (0 + x |q| g)", "~ (0 + x |q| g)")
    effects = [(owner, label.rsplit(":")[-1]) for g in chained for owner, label in zip(g.owners, g.labels, strict=True)]
    assert sorted(effects) == [("", "Intercept"), ("never", "x"), ("zi", "Intercept"), ("zi", "x")]


# ------------------------------------------------------------------------------------------------------- awkward names

AWKWARD = ["X", "offset", "beta", "coef", "sigma", "row", "draw", "chain", "sd_g", "u_g", "a/b", "corr_x",
           "level_of_g", "z_g_1", "y_observed", "Intercept_at_means", "größe", "my col", ".hidden"]  # fmt: skip


@pytest.mark.parametrize("role", ["response", "group", "predictor"])
@pytest.mark.parametrize("name", AWKWARD)
def test_any_column_name_may_be_used(name, role):
    old = {"response": "y", "group": "g", "predictor": "x"}[role]
    names = {"y": "y", "g": "g", "x": "x"} | {old: f"`{name}`"}
    frame = visits().rename(columns={old: name})
    model = row_models.builder("hierarchical_linear")(
        frame, f"{names['y']} ~ {names['x']} + offset(w) + (1 + {names['x']} | {names['g']})"
    )
    arrays = {n: row_models.labelled(model, n, v.eval() if hasattr(v, "get_value") else np.zeros(v.shape.eval()))
              for n, v in model.named_vars.items()}  # fmt: skip
    xr.Dataset(arrays)  # dims and variables of the same name would clash
    assert not any("/" in n for n in model.named_vars)
    if role == "predictor":
        assert list(model.coords["coef"]) == [name]
