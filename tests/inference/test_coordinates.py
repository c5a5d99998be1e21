"""The coordinates that the sampler moves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rows import visits
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.inference import bends
from glmm_zoo.inference.compile import Compiled, compile_model
from glmm_zoo.inference.parameterization import parameterize


def test_coordinates_estimated_from_draws_are_of_unit_size_and_uncorrelated() -> None:
    model = zoo.hierarchical_logistic(visits(), "ill ~ x + (1 + x | g)")
    compiled = compile_model(*parameterize(model, "auto"))
    rng, elements = np.random.default_rng(2), np.array([0, 1, 3])
    root = np.tril(rng.normal(size=(3, 3))) + 2 * np.eye(3)
    x = rng.normal(size=(50_000, compiled.size))
    x[:, elements] = 3.0 + x[:, elements] @ root.T
    halves = [x[None, :20_000], x[None, 20_000:]]
    estimated = compiled.coordinates.estimated_from(halves, elements, 50_000)
    z = estimated.z_of(x)
    np.testing.assert_allclose(np.cov(z[:, elements].T), np.eye(3), atol=1e-3)
    np.testing.assert_allclose(z[:, elements].mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(estimated.x_of(z), x, rtol=1e-9)
    np.testing.assert_array_equal(z[:, 4:], x[:, 4:])
    uncertain = compiled.coordinates.estimated_from(halves, elements, 1e-9)  # nothing is made of correlations
    few = uncertain.z_of(x)[:, elements]
    np.testing.assert_allclose(few.std(axis=0), 1, rtol=0.01)
    np.testing.assert_allclose(np.corrcoef(few.T), np.corrcoef(compiled.coordinates.z_of(x)[:, elements].T), atol=1e-6)


def test_bent_coordinates_make_draws_normal_and_have_the_density_of_their_jacobian() -> None:
    """The density of z is that of x times |dx / dz|, by differences; gradients too. Logs of gammas are skew, cubes have long tails."""
    compiled = compile_model(*parameterize(zoo.hierarchical_logistic(visits(), "ill ~ x + (1 + x | g)"), "auto"))
    rng, elements = np.random.default_rng(2), np.array([0, 1, 3])
    x = rng.normal(size=(20_000, compiled.size))
    x[:, 0], x[:, 1] = np.log(rng.gamma(0.5, size=len(x))), np.sinh(1.5 * x[:, 1])
    bent = compiled.in_coordinates_from([x[None]], elements, 5000, bent=True)
    at = bent.coordinates
    z = at.z_of(x)
    np.testing.assert_allclose(at.x_of(z), x, rtol=1e-9, atol=1e-9)
    assert (np.abs(stats.skew(x[:, at.index])) > 1).any() and (stats.kurtosis(x[:, at.index]) > 1).sum() == 2
    assert (np.abs(stats.skew(z[:, at.index])) < 0.15).all() and (np.abs(stats.kurtosis(z[:, at.index])) < 1).all()

    assert not at.bend_others
    density_is_that_of_the_jacobian(compiled, bent, z[7] / 2)


def density_is_that_of_the_jacobian(compiled: Compiled, bent: Compiled, there: np.ndarray) -> None:
    at, value_and_gradient, step = bent.coordinates, bent.value_and_gradient_of_z(), 1e-6
    sides = [there + sign * step * e for e in np.eye(len(there)) for sign in (1, -1)]
    plus, minus = (np.array([value_and_gradient(s)[0] for s in sides[k::2]]) for k in (0, 1))
    np.testing.assert_allclose(value_and_gradient(there)[1], (plus - minus) / (2 * step), rtol=1e-4, atol=1e-5)
    to_x = np.array([(at.x_of(a) - at.x_of(b)) / (2 * step) for a, b in zip(sides[::2], sides[1::2], strict=True)])
    stretched = np.linalg.slogdet(to_x)[1] - np.log(np.diagonal(at.root)).sum()  # the straight part is left out
    assert at.bends is not None and at.bends.log_jacobian(there[at.bends.index]) == pytest.approx(stretched, abs=1e-5)
    expected = compiled.value_and_gradient(at.x_of(there))[0] + stretched
    assert value_and_gradient(there)[0] == pytest.approx(expected, rel=1e-8)


def test_many_skew_group_effects_are_bent_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Just below and above the limits of skewness and of number; a gamma variable of shape k has skewness 2 / sqrt(k)."""
    table = pd.DataFrame(
        {"y": np.arange(90) % 2, "x": np.linspace(-1, 1, 90), "g": [f"g{k}" for k in np.arange(90) % 30]}
    )
    compiled = compile_model(*parameterize(zoo.hierarchical_logistic(table, "y ~ x + (1 | g)"), "auto"))
    own, effects, rng = np.arange(3), np.arange(3, compiled.size), np.random.default_rng(5)
    normal = rng.normal(size=(4, 5000, compiled.size))
    monkeypatch.setattr(bends, "_AT_ONCE", 7)  # elements that are looked at together make no difference
    least = bends.FEWEST_SKEW
    for skewness, many, bent in ((0.37, 25, 0), (0.43, least - 1, 0), (0.43, least, least), (1.5, 25, 25)):
        x, skew = normal.copy(), effects[1 : 1 + many]
        gamma = 2 * stats.gamma.ppf((np.arange(20_000) + 0.5) / 20_000, 4 / skewness**2) - 3
        for k in skew:
            x[..., k] = rng.permutation(gamma).reshape(4, 5000)
        found = compiled.in_coordinates_from([x[:, :2000], x[:, 2000:]], own, 2000, bent=True)
        at = found.coordinates
        assert at.bends is not None and at.bend_others is (bent > 0)
        assert set(at.bends.index) == {*own, *skew[:bent]}
        z = at.z_of(x)
        np.testing.assert_allclose(at.x_of(z), x, rtol=1e-9, atol=1e-9)
        if bent:
            assert np.abs(stats.skew(z[..., skew].reshape(-1, many))).max() < skewness / 4
            density_is_that_of_the_jacobian(compiled, found, z[0, 7] / 2)


def test_where_there_are_no_other_elements_none_is_bent() -> None:
    x = np.random.default_rng(3).gamma(0.5, size=(2, 500, 3))
    of = bends.fitted_to_skew([x], np.array([], dtype=int), 1000.0)
    assert of.index.shape == of.shift.shape == of.size.shape == of.skew.shape == of.tail.shape == (0,)


def test_few_draws_bend_little() -> None:
    w = np.random.default_rng(1).gamma(0.5, size=(200, 1))
    w = (w - w.mean()) / w.std()
    little, much = (bends.fitted(w, effective, np.arange(1)) for effective in (1e-6, 1e6))
    np.testing.assert_allclose(
        [little.shift[0], little.size[0], little.skew[0], little.tail[0]], [0, 1, 0, 1], atol=1e-4
    )
    assert much.skew[0] > 0.5
