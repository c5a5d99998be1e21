"""Survival averaged over effects: sums over the nodes one by one, many nodes, finite differences, JAX."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor.compile.maker import function
from pytensor.gradient import grad
from scipy.stats import norm

from glmm_zoo.graph.mean_survival import across, log_mean_survival, rotatable_normal_nodes
from glmm_zoo.inference.compile_jax import _jax, _lower
from glmm_zoo.inference.kernel.density import GraphCompiler

STARTS = np.array([0, 3, 4, 21, 40])


def by_hand(x: np.ndarray, w: np.ndarray, a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """log S of every subject from the hazards at all nodes."""
    hazards = np.exp(a[:, None] + c.T @ x.T)
    with np.errstate(over="ignore"):
        return np.log([w @ np.exp(-hazards[b:e].sum(axis=0)) for b, e in pairwise(STARTS)])


def points(q: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(q)
    return rng.normal(-2.0, 1.0, 40), rng.normal(0.0, 0.7, (q, 40))


@pytest.mark.parametrize("q", [1, 2, 3, 6])
def test_value_and_gradient_are_those_of_sums_over_all_nodes(q):
    a, c = points(q)
    x, weight = rotatable_normal_nodes(q)
    shared = c[-1, 0] if q > 1 else 0.8  # one of them the same at all points
    c[-1] = shared
    v, s = [pt.vector(shape=(40,)) for _ in range(q)], pt.scalar()
    survival = log_mean_survival(STARTS, v[0], [*v[1:], s * np.ones(40)])
    times = np.array([1.0, -2.0, 0.5, 3.0])
    density: Any = pt.sum(survival * times)
    values: list[Any] = [*v, s]
    at = np.concatenate([a, *c[:-1], [shared]])

    def expected(at: np.ndarray) -> float:
        slopes = np.vstack([at[40:-1].reshape(q - 1, 40), np.full(40, at[-1])])
        return float(times @ by_hand(x, weight, at[:40], slopes))

    found = np.zeros(len(at))
    shapes: list[tuple[int, ...]] = [*[(40,)] * q, ()]
    assert GraphCompiler(values, shapes).with_gradient(density)(at, found) == pytest.approx(expected(at), rel=1e-12)
    differences = [(expected(at + e) - expected(at - e)) / 2e-5 for e in 1e-5 * np.eye(len(at))]
    np.testing.assert_allclose(found, differences, rtol=1e-6, atol=1e-8)
    if q != 2:
        return
    slopes: Any = grad(density, values)
    own: Any = function(values, [density, *slopes], mode="FAST_COMPILE")
    value, *parts = own(*np.split(at[:-1], q), at[-1])
    assert value == pytest.approx(expected(at), rel=1e-12)
    np.testing.assert_allclose(np.concatenate([np.ravel(p) for p in parts]), found, rtol=1e-9, atol=1e-12)
    jax = _jax()
    lowered, data = _lower([density], values, shapes)
    value, passed = jax.value_and_grad(lambda x: lowered(*parts_of(jax, x, q), *data)[0])(at)
    assert float(value) == pytest.approx(expected(at), rel=1e-12)
    np.testing.assert_allclose(passed, found, rtol=1e-9, atol=1e-12)


def parts_of(jax, x, q: int) -> list:
    """The parts of x that the values are."""
    return [*jax.numpy.split(x[:-1], q), x[-1]]


@pytest.mark.parametrize("subjects", [1, 2])
def test_what_is_far_out_is_finite(subjects):
    """Hazards that nobody survives, or without end; coefficients that no factor holds."""
    starts = np.arange(subjects + 1) * 2
    values = [pt.vector(shape=(2 * subjects,)) for _ in range(3)]
    compiled = GraphCompiler(values, [(2 * subjects,)] * 3).with_gradient(
        pt.sum(log_mean_survival(starts, values[0], values[1:]))
    )
    for a, c, d in (
        (50.0, 0.1, 0.1),
        (900.0, 2.0, -2.0),
        (-900.0, 2.0, 1.0),
        (0.0, 400.0, -400.0),
        (10.0, -400.0, 50.0),
    ):
        gradient = np.zeros(6 * subjects)
        value = compiled(np.repeat([a, c, d], 2 * subjects), gradient)
        assert np.isfinite(value) and np.isfinite(gradient).all()
        if a >= 50.0:
            assert value == pytest.approx(subjects * np.log(1e-300)) and not gradient.any()
        if a <= -900.0:
            assert value == pytest.approx(0.0, abs=1e-9)
    gradient = np.zeros(6 * subjects)
    half = compiled(
        np.repeat([0.0, 400.0, 0.0], 2 * subjects), gradient
    )  # all with x < 0 survive, and at 0 exp(-2) of them
    at_zero = norm.pdf(0.0) * 6.5 / 18
    assert half == pytest.approx(subjects * np.log(0.5 - at_zero / 2 + at_zero * np.exp(-2.0)), rel=1e-6)


@pytest.mark.parametrize("q", [2, 3, 4, 5, 6, 7])
def test_points_across_have_the_moments_of_normal_numbers(q):
    x, w = across(q)
    degree = 5 if q < 6 else 3
    assert (w > 0).all() and w.sum() == pytest.approx(1.0)
    for powers in product(range(degree + 1), repeat=q - 1):
        if sum(powers) <= degree:
            moments = [norm.moment(k) if k else 1.0 for k in powers]
            assert w @ np.prod(x ** np.array(powers), axis=1) == pytest.approx(np.prod(moments), abs=1e-12)


@pytest.mark.parametrize("q", [3, 4, 5])
@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_few_points_across_do_what_many_do(q, strength):
    """Along directions that are near the first axis, as hazards have them after the rotation."""
    rng = np.random.default_rng(q)
    a, c = rng.normal(-3.0, 0.5, 40), rng.normal(0.0, 0.15, (q, 40)) * strength
    c[0] = strength * rng.uniform(0.5, 1.2, 40)
    z, v = np.polynomial.hermite_e.hermegauss({3: 15, 4: 7, 5: 5}[q])
    first = np.linspace(-7.0, 7.0, 57)
    axes = [(first, norm.pdf(first)), *[(z, v)] * (q - 1)]
    x = np.array([*product(*(x for x, _ in axes))])
    weights = np.array([*product(*(w / w.sum() for _, w in axes))]).prod(axis=1)
    found = by_hand(*rotatable_normal_nodes(q), a, c)
    np.testing.assert_allclose(found, by_hand(x, weights, a, c), atol=2e-4)
