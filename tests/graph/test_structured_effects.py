"""Effects whose levels depend on each other: their density against SciPy's, limits, and how the sampler moves them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models
from pytensor.gradient import grad
from rows import visits
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.graph.transforms.group_effects import (
    GroupEffectsInformation,
    GroupEffectsTransform,
    TwinInformation,
)
from glmm_zoo.inference.parameterization import parameterize

LEVELS = list("ABCDEFGHIJ")  # J has no rows


def covariance() -> pd.DataFrame:
    R = np.random.default_rng(0).normal(size=(10, 20))
    return pd.DataFrame(R @ R.T / 20, index=LEVELS, columns=LEVELS)


MODELS = {
    "intercepts": "y ~ x + (1 | gr(g, cov=A))",
    "slopes": "y ~ x + (1 + w | gr(g, cov=A))",
    "uncorrelated": "y ~ x + (1 + w || gr(g, cov=A)) + (1 | h)",
    "beside independent ones": "y ~ x + (1 | gr(g, cov=A)) + (1 | g)",
}
V = {"beside independent ones": "v_g_A"}  # else v_g


def build(name: str) -> Any:
    return zoo.hierarchical_linear(visits(), MODELS[name], center=False, tables={"A": covariance()})


def informed(model: Any, name: str) -> Any:
    """The model with arbitrary information in the transform of the coordinates."""
    rng, k = np.random.default_rng(4), 2 if "+ w" in MODELS[name] else 1
    p = len(model.linear[""].elements)
    root = rng.normal(size=(10, k, k))
    turn = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    twin = TwinInformation(rng.uniform(0, 9, 10), 0.7) if name in V else None
    A, c, B = root @ root.transpose(0, 2, 1), rng.normal(size=(10, k)), rng.normal(size=(10, k, p))
    information = GroupEffectsInformation(A, c, B, turn=turn, twin=twin)
    return model.with_transforms({V.get(name, "v_g"): GroupEffectsTransform(k, information)})


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.promise("known_covariance")
def test_density_is_that_of_scipy_and_the_change_of_variables_is_exact(name: str) -> None:
    model = informed(build(name), name)
    others = [model["corr_g"]] if "corr_g" in model.named_vars else []
    v_g = V.get(name, "v_g")
    outputs = model.replace_rvs_by_values([*(model[f"{x}{v_g[1:]}"] for x in ("v", "u", "sd")), *others])
    run = row_models.function(model, [*outputs, *(model.logp(vars=[model[v_g]], jacobian=j) for j in (False, True))])
    point = row_models.random_point(model, 2)
    v, u, sd, *more, plain, whole = run(point)
    R = more[0] if more else np.eye(len(sd))
    of_u = stats.multivariate_normal(cov=np.kron(covariance(), np.outer(sd, sd) * R)).logpdf(u.ravel())
    # the density of u is that of v over the determinant of what makes u of v, for each effect
    basis = model.groups[0].structure.basis
    assert plain - len(sd) * np.linalg.slogdet(basis)[1] == pytest.approx(of_u, rel=1e-9)
    np.testing.assert_allclose(u, basis @ v, atol=1e-12)
    z = model.rvs_to_values[model[v_g]].name
    J = row_models.jacobian(lambda x: run({**point, z: x.reshape(v.shape)})[0].ravel(), point[z].ravel())
    np.testing.assert_allclose(whole - plain, np.linalg.slogdet(J)[1], rtol=1e-6, atol=1e-7)


def test_the_identity_is_a_plain_factor() -> None:
    """With A = I the log density is that of (1 + w | g) at the same point."""
    levels = LEVELS[:9]
    identity = pd.DataFrame(np.eye(9), index=levels, columns=levels)
    model = zoo.hierarchical_linear(visits(), "y ~ x + (1 + w | gr(g, cov=I))", tables={"I": identity})
    plain = zoo.hierarchical_linear(visits(), "y ~ x + (1 + w | g)")
    point = row_models.random_point(plain, 3)
    renamed = {name.replace("u_g", "v_g"): value for name, value in point.items()}
    here, there = (row_models.function(m, [m.logp()])(p)[0] for m, p in ((plain, point), (model, renamed)))
    assert there == pytest.approx(here, rel=1e-12)


@pytest.mark.parametrize("name", ["intercepts", "slopes"])
def test_given_all_else_what_the_sampler_moves_is_nearly_standard_normal(name: str) -> None:
    """Of a Gaussian response: the second derivatives of the log density by z are those of independent normal variables where the
    turned coordinates are independent, and their diagonal is elsewhere."""
    model, start = parameterize(build(name), "auto")
    assert start is not None
    point = {**model.initial_point(), **start.point}
    z = next(v for v in model.value_vars if v.name.startswith("v_g"))
    run = row_models.function(model, [grad(model.logp(), z)])
    shape = point[z.name].shape
    hessian = row_models.jacobian(lambda x: run({**point, z.name: x.reshape(shape)})[0].ravel(), point[z.name].ravel())
    np.testing.assert_allclose(np.diag(hessian), -1.0, atol=0.02)
    if name == "intercepts":
        np.testing.assert_allclose(hessian, -np.eye(len(hessian)), atol=0.02)


@pytest.mark.parametrize("log_sd", [-2.0, -0.5, 1.0])
def test_beside_independent_effects_both_are_nearly_standard_normal_at_any_of_their_sds(log_sd: float) -> None:
    """Of a Gaussian response with as many rows for each level: the second derivatives of the log density by the z of both are those of
    independent normal variables, wherever the standard deviation of the independent ones is."""
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"g": np.repeat(LEVELS, 12), "x": rng.normal(size=120)})
    d["y"] = rng.normal(size=120) + 0.8 * (
        rng.normal(size=10) + np.linalg.cholesky(covariance()) @ rng.normal(size=10)
    ).repeat(12)
    model = zoo.hierarchical_linear(d, "y ~ x + (1 | gr(g, cov=A)) + (1 | g)", center=False, tables={"A": covariance()})
    model, start = parameterize(model, "auto")
    assert start is not None
    sd = model.rvs_to_values[model["sd_g"]].name
    shifted = np.atleast_1d(
        model.rvs_to_transforms[model["sd_g"]].forward(np.exp([log_sd]), *model["sd_g"].owner.inputs).eval()
    )
    point = {**model.initial_point(), **start.point, sd: shifted}
    moved = [model.rvs_to_values[model[name]] for name in ("v_g_A", "u_g")]
    run = row_models.function(model, grad(model.logp(), moved))
    sizes = [point[z.name].shape for z in moved]

    def slopes(x: np.ndarray) -> np.ndarray:
        parts = {z.name: of.reshape(shape) for z, of, shape in zip(moved, np.split(x, [10]), sizes, strict=True)}
        return np.concatenate([s.ravel() for s in run({**point, **parts})])

    hessian = row_models.jacobian(slopes, np.concatenate([point[z.name].ravel() for z in moved]))
    np.testing.assert_allclose(hessian, -np.eye(20), atol=0.05)


def test_a_factor_may_have_effects_with_and_without_a_table() -> None:
    model = zoo.hierarchical_linear(visits(), "y ~ x + (1 | gr(g, cov=A)) + (1 | g)", tables={"A": covariance()})
    assert model["u_g_A"].eval().shape == (10, 1) and model["u_g"].eval().shape == (9, 1)
    run = row_models.function(
        model,
        model.replace_rvs_by_values([model[n] for n in ("u_g_A", "u_g", "beta", "Intercept")] + [model.linear[""].eta]),
    )
    a, b, beta, intercept, eta = run(row_models.random_point(model, 1))
    at = [LEVELS.index(g) for g in visits().g]
    np.testing.assert_allclose(eta, intercept + beta[0] * visits().x + a[at, 0] + b[at, 0], rtol=1e-10)


def test_outcomes_share_the_levels_of_a_table() -> None:
    """Rows of an outcome that lacks some levels have the effects of their own."""
    frame = visits()
    frame.loc[frame.g.isin(["A", "B"]), "c"] = np.nan
    reverse = covariance().loc[LEVELS[::-1], LEVELS[::-1]]
    formulas = {"y ~ x + (1 |p| gr(g, cov=A))": "gaussian", "c ~ x + (1 |p| gr(g, cov=A))": "poisson"}
    model = zoo.joint_outcomes(frame, formulas, tables={"A": reverse})
    u, eta, intercept, beta = row_models.function(
        model, model.replace_rvs_by_values([model["u_g"], model.linear["c"].eta, model["c_Intercept"], model["c_beta"]])
    )(row_models.random_point(model, 1))
    rows = frame.dropna(subset="c")
    at = [LEVELS[::-1].index(g) for g in rows.g]
    np.testing.assert_allclose(eta, intercept + beta[0] * rows.x + u[at, 1], rtol=1e-10)
