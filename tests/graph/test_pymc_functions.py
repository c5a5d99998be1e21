"""`pm.do` and `pm.compute_log_likelihood` on our models, with orders and smooths, and where they begin."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
import row_models
import xarray as xr
from rows import ROWS

NAMES = ["ordinal", "ordinal cloglog", "ordinal, nominal", "gamm", "gamm, zero part"]


@pytest.mark.parametrize("name", NAMES)
def test_log_likelihood_by_pymc_is_scipys(name):
    row = next(r for r in ROWS if r.name == name)
    model = row_models.model_of(name)
    _, values, _ = row_models.evaluator(name)(1)
    free = {v.name: values[v.name].expand_dims(chain=[0], draw=[0]) for v in model.free_RVs}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(free)})
    with model:
        found = pm.compute_log_likelihood(tree, extend_inferencedata=False, progressbar=False)
    pointwise = row_models.together(model, found)[0, 0]
    np.testing.assert_allclose(pointwise, row.log_likelihood(row.data(), values), rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_coefficient_may_be_set_by_pymc(name):
    """log p without the prior of beta, at the value that beta is set to."""
    model = row_models.model_of(name)
    point, values, _ = row_models.evaluator(name)(2)
    beta = "s_x_linear" if "beta" not in values else "beta"
    changed = pm.do(model, {beta: values[beta].values})
    rest = [v for v in model.free_RVs if v.name != beta]
    expected = row_models.function(model, [model.logp(vars=[*rest, *model.observed_RVs])])(point)[0]
    there = {v.name: point[v.name] for v in changed.value_vars}
    found = changed.compile_fn([changed.logp()], inputs=changed.value_vars, on_unused_input="ignore")(there)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("name", ["zip, zi", "wedge, random effect", "ordinal, nominal", "joint survival"])
def test_the_initial_point_is_pymcs(name):
    model = row_models.model_of(name)
    found, expected = model.initial_point(), pm.Model.initial_point(model)
    assert [*found] == [*expected]
    for variable, value in found.items():
        assert value.dtype == expected[variable].dtype
        np.testing.assert_allclose(value, expected[variable], rtol=1e-14, atol=1e-15)
