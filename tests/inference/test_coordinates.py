"""The coordinates that the sampler moves."""

from __future__ import annotations

import numpy as np
from rows import visits

import glmm_zoo as zoo
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.parameterization import parameterize


def test_coordinates_estimated_from_draws_are_of_unit_size_and_uncorrelated() -> None:
    model = zoo.hierarchical_logistic(visits(), "ill ~ x + (1 + x | g)")
    compiled = compile_model(*parameterize(model, "auto"))
    rng, elements = np.random.default_rng(2), np.array([0, 1, 3])
    root = np.tril(rng.normal(size=(3, 3))) + 2 * np.eye(3)
    x = rng.normal(size=(50_000, compiled.size))
    x[:, elements] = 3.0 + x[:, elements] @ root.T
    halves = [x[None, :20_000], x[None, 20_000:]]
    estimated = compiled.in_coordinates_from(halves, elements, 50_000)
    z = estimated.coordinates.z_of(x)
    np.testing.assert_allclose(np.cov(z[:, elements].T), np.eye(3), atol=1e-3)
    np.testing.assert_allclose(z[:, elements].mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(estimated.coordinates.x_of(z), x, rtol=1e-9)
    np.testing.assert_array_equal(z[:, 4:], x[:, 4:])
    uncertain = compiled.in_coordinates_from(halves, elements, 1e-9)  # nothing is made of correlations
    few = uncertain.coordinates.z_of(x)[:, elements]
    np.testing.assert_allclose(few.std(axis=0), 1, rtol=0.01)
    np.testing.assert_allclose(np.corrcoef(few.T), np.corrcoef(compiled.coordinates.z_of(x)[:, elements].T), atol=1e-6)
    at = compiled.start + 0.1
    np.testing.assert_allclose(
        estimated.value_and_gradient_of_z()(estimated.coordinates.z_of(at))[0],
        compiled.value_and_gradient(at)[0],
        rtol=1e-9,
    )
