"""What the sampler moves in place of the group effects, and that a fit leaves the model as it found it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import xarray as xr
from rows import visits

import glmm_zoo as zoo
from glmm_zoo.inference import nuts

FORMULA = "ill ~ s(w, k=5) + x + (1 + x | g) + (1 | h)"
SETTINGS = {"draws": 20, "tune": 30, "chains": 2, "cores": 1, "seed": 4, "thin": 1, "target_accept": 0.8}


def build() -> Any:
    return zoo.hierarchical_logistic(visits(), FORMULA)


def sampled(model: Any, parameterization: str) -> xr.Dataset:
    tree = zoo.fit(model, **SETTINGS, parameterization=parameterization, progress=False)
    return tree["posterior"].to_dataset()


@contextmanager
def left_alone(model: Any) -> Iterator[None]:
    """Checks that value variables, transforms and initial point are those from before, the very same objects."""
    transforms, values, variables = (
        dict(x) for x in (model.rvs_to_transforms, model.rvs_to_values, model.values_to_rvs)
    )
    contents = {rv: dict(vars(t)) for rv, t in transforms.items() if t is not None}
    point = model.initial_point()
    yield
    assert dict(model.rvs_to_transforms) == transforms
    assert dict(model.rvs_to_values) == values and dict(model.values_to_rvs) == variables
    for rv, content in contents.items():
        assert vars(model.rvs_to_transforms[rv]) == content
    after = model.initial_point()
    assert list(after) == list(point)
    for name, value in point.items():
        np.testing.assert_array_equal(after[name], value)


def test_every_fit_of_a_model_is_parameterized_as_it_says() -> None:
    """One after the other on one model, each has the draws of a fit of a new model, bit for bit."""
    model = build()
    with left_alone(model):
        found = {how: sampled(model, how) for how in ("centered", "auto", "noncentered")}
    for how, posterior in found.items():
        xr.testing.assert_identical(posterior, sampled(build(), how))
    assert not np.array_equal(found["auto"]["beta"], found["noncentered"]["beta"])
    assert not np.array_equal(found["centered"]["beta"], found["noncentered"]["beta"])


def test_two_fits_at_one_seed_are_the_same() -> None:
    model = build()
    xr.testing.assert_identical(sampled(model, "auto"), sampled(model, "auto"))


def test_a_preview_leaves_the_model_alone() -> None:
    model = build()
    with left_alone(model):
        first = zoo.quick(model)
    with left_alone(model):
        sampled(model, "auto")
        assert zoo.quick(model).equals(first)


@pytest.mark.parametrize("error", [KeyboardInterrupt, zoo.FitError])
def test_a_fit_that_fails_leaves_the_model_alone(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise error

    model = build()
    monkeypatch.setattr(nuts, "sample", failing)
    for how in ("centered", "auto", "noncentered"):
        with left_alone(model), pytest.raises(error):
            sampled(model, how)
