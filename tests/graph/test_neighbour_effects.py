"""Effects of areas with neighbours: their density against SciPy's, how the sampler moves them, and large maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import row_models
from pytensor.gradient import grad
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.formulas.neighbours import neighbour_structure
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.compile_jax import by_jax
from glmm_zoo.inference.neighbour_precision import NeighbourPrecision
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.tables.level_tables import read_level_table

PARTS = [range(30), range(30, 33), [33], [34]]  # a lattice of 5 x 6, a triangle, two islands
LEVELS = [f"a{i:02d}" for i in range(35)]


def adjacency(islands: bool = True) -> pd.DataFrame:
    at, W = np.arange(30).reshape(5, 6), np.zeros((35, 35), int)
    for one, other in ((at[1:], at[:-1]), (at[:, 1:], at[:, :-1]), (np.array([30, 31, 32]), np.array([31, 32, 30]))):
        W[one, other] = W[other, one] = 1
    size = 35 if islands else 33
    return pd.DataFrame(W[:size, :size], LEVELS[:size], LEVELS[:size])


def rows(islands: bool = True) -> pd.DataFrame:
    """Some areas have none."""
    rng, levels = np.random.default_rng(0), LEVELS if islands else LEVELS[:33]
    g = np.array(levels)[rng.integers(2, len(levels), 80)]
    return pd.DataFrame({"g": g, "x": rng.normal(size=80), "y": rng.normal(size=80), "c": rng.poisson(2, 80)})


def covariance(kind: str, size: int = 35) -> np.ndarray:
    """Of the structured part of effects whose variance is 1."""
    W, C = adjacency().to_numpy(float), np.zeros((35, 35))
    Q = np.diag(W.sum(axis=1)) - W
    for part in map(list, PARTS):
        at = np.ix_(part, part)
        inverse = np.linalg.pinv(Q[at], hermitian=True, rcond=1e-10) if len(part) > 1 else np.eye(1)
        C[at] = inverse / np.exp(np.log(np.diag(inverse)).mean()) if kind == "bym2" else inverse
    return C[:size, :size]


def build(kind: str) -> Any:
    islands = kind == "bym2"
    formula = f'c ~ x + car(W, gr=g, type="{kind}")'
    return zoo.poisson(rows(islands), formula, center=False, tables={"W": adjacency(islands)})


def flat(model: Any, point: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(point[v.name]) for v in model.value_vars])


@pytest.fixture(scope="module", params=["icar", "bym2"])
def moved(request: pytest.FixtureRequest) -> Any:
    """The model in the units of the approximation, and a point of it."""
    model, start = parameterize(build(request.param), "auto")
    assert start is not None
    return request.param, model, row_models.random_point(model, 2)


def test_density_is_that_of_scipy_and_the_change_of_variables_is_exact(moved: Any) -> None:
    kind, model, point = moved
    names = ["v_g", "u_g", "sd_g", *(["rho_g", "e_g"] if kind == "bym2" else [])]
    effects = [model[n] for n in names if n in ("v_g", "e_g")]
    outputs = model.replace_rvs_by_values([model[n] for n in names])
    run = row_models.function(
        model, [*outputs, *(model.logp(vars=[v], jacobian=j) for v in effects for j in (False, True))]
    )
    v, u, sd, *rest = run(point)
    size, C = len(v), covariance(kind, len(v))
    J = np.zeros((size, size))
    for part in map(list, PARTS[:2]):
        J[np.ix_(part, part)] = 1 / len(part)
    rho, e = (rest[0], rest[1]) if kind == "bym2" else (1.0, np.zeros_like(u))
    plain, whole = rest[-2 * len(effects)], rest[-2 * len(effects) + 1]
    assert plain == pytest.approx(stats.multivariate_normal(cov=sd**2 * rho * (C + J)).logpdf(v[:, 0]), rel=1e-9)
    np.testing.assert_allclose(u, v - J @ v + e, atol=1e-12)
    if kind == "bym2":
        assert rest[-2] == pytest.approx(stats.norm(0, sd * np.sqrt(1 - rho)).logpdf(e).sum(), rel=1e-9)
    z = model.rvs_to_values[model["v_g"]].name
    slopes = row_models.jacobian(lambda x: run({**point, z: x.reshape(v.shape)})[0].ravel(), point[z].ravel())
    np.testing.assert_allclose(whole - plain, np.linalg.slogdet(slopes)[1], rtol=1e-6, atol=1e-7)


def test_the_effects_are_what_the_sampler_moves_and_back(moved: Any) -> None:
    _, model, point = moved
    rv = model["v_g"]
    value, transform, inputs = model.rvs_to_values[rv], model.rvs_to_transforms[rv], rv.owner.inputs
    both = transform.forward(transform.backward(value, *inputs), *inputs)
    again = row_models.function(model, model.replace_rvs_by_values([both]))(point)[0]
    np.testing.assert_allclose(again, point[value.name], atol=1e-12)


def test_machine_code_has_the_density_and_the_gradient_of_the_graph(moved: Any) -> None:
    _, model, point = moved
    compiled = compile_model(model)
    assert compiled.program is not None
    value, gradient = compiled.value_and_gradient(flat(model, point))
    slopes_of: Any = grad(model.logp(), model.value_vars)
    density, *slopes = row_models.function(model, [model.logp(), *slopes_of])(point)
    assert value == pytest.approx(density, rel=1e-12)
    np.testing.assert_allclose(gradient, np.concatenate([np.ravel(s) for s in slopes]), atol=1e-10)


@pytest.mark.slow
def test_jax_has_them_too(moved: Any) -> None:
    _, model, point = moved
    x = flat(model, point)
    found = by_jax(model, [np.shape(point[v.name]) for v in model.value_vars], x).value_and_gradient(x)
    value, gradient = compile_model(model).value_and_gradient(x)
    assert found[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(found[1], gradient, atol=1e-10)


@pytest.mark.parametrize("kind", ["icar", "bym2"])
def test_given_all_else_what_the_sampler_moves_is_nearly_standard_normal(kind: str) -> None:
    """Of a Gaussian response, also at twice the sd at which the transform was made."""
    islands = kind == "bym2"
    built = zoo.hierarchical_linear(
        rows(islands), f'y ~ x + car(W, gr=g, type="{kind}")', center=False, tables={"W": adjacency(islands)}
    )
    model, start = parameterize(built, "auto")
    assert start is not None
    point = {**model.initial_point(), **start.point}
    moved = [v for v in model.value_vars if v.name[:3] in ("v_g", "e_g")]
    slopes: Any = grad(model.logp(), moved)
    run = row_models.function(model, slopes)
    ends = np.cumsum([point[v.name].size for v in moved])

    def gradient(x: np.ndarray) -> np.ndarray:
        parts = {v.name: p.reshape(-1, 1) for v, p in zip(moved, np.split(x, ends[:-1]), strict=True)}
        return np.concatenate([g.ravel() for g in run({**point, **parts})])

    at = np.concatenate([point[v.name].ravel() for v in moved])
    np.testing.assert_allclose(row_models.jacobian(gradient, at), -np.eye(len(at)), atol=0.02)
    point["sd_g_log__"] = point["sd_g_log__"] + np.log(2)
    values = np.linalg.eigvalsh(row_models.jacobian(gradient, at))
    assert values.min() > -1.8 and values.max() < -0.6


@pytest.mark.parametrize(("kind", "share"), [("icar", 1.0), ("bym2", 0.3)])
def test_the_precision_of_the_approximation_is_the_inverse_covariance(kind: str, share: float) -> None:
    islands = kind == "bym2"
    of = neighbour_structure(read_level_table("W", adjacency(islands)), kind)
    size, rng = len(of.part), np.random.default_rng(3)
    A, c = np.where(np.arange(size) % 7, rng.gamma(2, 1, size), 0.0), rng.normal(size=(size, 2))
    C = 2.0 * (share * covariance(kind, size) + (1 - share) * np.eye(size))
    Q = NeighbourPrecision(of, 2.0 * share, 2.0 * (1 - share), np.zeros(size))
    P, whole = Q.plus(A), np.linalg.inv(np.eye(size) + C * A) @ C
    np.testing.assert_allclose(P.solved(c), whole @ c, atol=2e-3)
    np.testing.assert_allclose(P.diagonal_of_inverse(), np.diag(whole), atol=2e-3)
    expected = np.linalg.slogdet(np.eye(size) + C * A)[1]
    assert P.log_determinant() - Q.log_determinant() == pytest.approx(expected, rel=1e-3)
    np.testing.assert_allclose(np.linalg.inv(Q.full() + np.diag(A)), whole, atol=2e-3)


def test_a_draw_of_the_prior_has_the_covariance_of_the_map() -> None:
    """f' C^- f / a is chi-square, with as many degrees of freedom as C has rank."""
    model = build("bym2")
    u, e, sd, rho = pm.draw([model[n] for n in ("u_g", "e_g", "sd_g", "rho_g")], draws=200, random_seed=1)
    f = (u - e)[:, :, 0] / (sd * np.sqrt(rho)[:, None])
    for part in PARTS[:2]:
        np.testing.assert_allclose(f[:, list(part)].sum(axis=1), 0.0, atol=1e-8)
    square = np.einsum("di,ij,dj->d", f, np.linalg.pinv(covariance("bym2"), hermitian=True, rcond=1e-10), f)
    assert stats.kstest(square, stats.chi2(33).cdf).pvalue > 1e-3
