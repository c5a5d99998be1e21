"""What a model derives once from its graph is what PyMC derives each time: densities, initial point, what stands for variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytest
from pymc.initial_point import make_initial_point_fn

from glmm_zoo.calibration.certify import design_model
from glmm_zoo.families.tensors import as_it_stands, evaluated
from glmm_zoo.inference.parameterization import parameterize

MODELS = ["poisson", "ordinal", "gamm", "joint_survival", "meta_analysis"]
FORMS = ["auto", "noncentered", "centered"]


@pytest.fixture(scope="module", params=[(name, form) for name in MODELS for form in FORMS], ids="-".join)
def model(request: Any) -> Any:
    name, form = request.param
    return parameterize(design_model(name), form)[0]


def values_of(model: Any, graphs: list[Any], point: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Graphs of the value variables, by PyTensor."""
    options: dict[str, Any] = {"on_unused_input": "ignore", "mode": as_it_stands()}
    run = model.compile_fn(graphs, inputs=model.value_vars, point_fn=False, **options)
    return run(*(point[v.name] for v in model.value_vars))


def moved(model: Any) -> dict[str, np.ndarray]:
    """A point beside the initial one."""
    rng = np.random.default_rng(1)
    return {name: value + rng.normal(0.0, 0.2, np.shape(value)) for name, value in model.initial_point().items()}


def test_initial_point_is_pymcs(model: Any) -> None:
    theirs = make_initial_point_fn(model=model, return_transformed=True)(0)
    ours = model.initial_point()
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name].shape == value.shape
        assert ours[name] == pytest.approx(value, rel=1e-12, abs=1e-12), name


def test_densities_are_pymcs(model: Any) -> None:
    point, rvs = moved(model), model.basic_RVs
    for jacobian in (True, False):
        theirs = values_of(model, pm.Model.logp(model, rvs, jacobian, sum=False), point)
        ours = values_of(model, model.logp(rvs, jacobian, sum=False), point)
        for rv, one, other in zip(rvs, ours, theirs, strict=True):
            assert np.array_equal(one, other), rv
        total, others = values_of(
            model, [model.logp(jacobian=jacobian), pm.Model.logp(model, jacobian=jacobian)], point
        )
        assert total == others
    assert model.logp(sum=False)[0] is model.logp(vars=model.value_vars[0], sum=False)[0]


def test_what_stands_for_variables_has_their_values(model: Any) -> None:
    point, shown = moved(model), [*model.free_RVs, *model.deterministics]
    theirs = values_of(model, model.replace_rvs_by_values(shown), point)
    known = {v: point[v.name] for v in model.value_vars}
    for rv, stands in model.derived.stands.items():
        (known[rv],) = evaluated([stands], known)
    for v, one, other in zip(shown, evaluated(shown, known), theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-12, abs=1e-12), v
    for jacobian in (True, False):
        priors = evaluated([model.derived.log_prior(rv, jacobian=jacobian) for rv in model.free_RVs], known)
        theirs = values_of(model, pm.Model.logp(model, model.free_RVs, jacobian, sum=False), point)
        for rv, one, other in zip(model.free_RVs, priors, theirs, strict=True):
            assert np.shape(one) == np.shape(other)
            assert one == pytest.approx(other, rel=1e-12, abs=1e-12), rv


def test_a_model_that_changed_is_derived_anew() -> None:
    model = design_model("poisson")
    before, density = model.initial_point(), model.logp()
    assert model.logp(sum=False) == model.logp(sum=False)
    centred = model.with_transforms({"u_id": None})
    assert model.initial_point().keys() == before.keys() != centred.initial_point().keys()
    assert centred.logp() is not density
    with model:
        pm.Normal("another")
    assert "another" in model.initial_point()
    assert len(model.logp(sum=False)) == len(model.basic_RVs)
    with model:
        pm.Potential("more", 3.0 + 0.0 * model["Intercept"])
    with_it, without = (
        model.compile_fn(of.logp(model), inputs=model.value_vars)(model.initial_point())
        for of in (type(model), pm.Model)
    )
    assert with_it == without
    with pytest.raises(ValueError, match="not found among the model variables"):
        model.logp(vars=pm.Normal.dist())


def test_a_graph_is_not_evaluated_with_draws_or_without_its_inputs() -> None:
    model = design_model("poisson")
    with pytest.raises(ValueError, match="random variable that is not given"):
        evaluated([model["Intercept"]], {})
    with pytest.raises(ValueError, match="which is not given"):
        evaluated([model.value_vars[0] + 1.0], {})
