"""The log-likelihood of a level with its effects integrated out, against closed forms, SciPy's quadrature and brute force."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from hand_made_trees import tree_of
from rows import ROWS, Row
from scipy import integrate, stats
from scipy.special import expit, gammaln, logsumexp

import glmm_zoo as zoo
from glmm_zoo.estimands import log_integrals
from glmm_zoo.estimands.leave_one_out import left_out_levels
from glmm_zoo.estimands.level_likelihood import LevelLikelihood

pytestmark = pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")  # of few levels


def likelihood(tree: xr.DataTree, level: str) -> LevelLikelihood:
    return left_out_levels(tree, level).likelihood()


# --------------------------------------------------------------------------------------- every family, by a grid in SciPy

ONE_EFFECT = [
    ("logistic", "g"), ("binomial crossed", "h"), ("binomial, offset, no intercept", "g"), ("probit", "g"),
    ("cloglog", "g"), ("poisson", "g"), ("poisson, offset", "h"), ("negative binomial", "g"),
    ("negative binomial, dispersion", "g"), ("negative binomial, nb1", "g"), ("zip", "g"),
    ("hurdle poisson", "g"), ("hurdle negative binomial", "g"), ("ordinal probit, labels", "h"), ("ordinal cloglog", "g"),
    ("ordinal, nominal", "g"), ("ordinal sratio", "g"), ("ordinal acat", "g"), ("gamm", "g"),
]  # fmt: skip
TWO_EFFECTS = [
    ("logistic, two labels", "g"),
    ("zinb, shared", "g"),
    ("ordinal", "g"),
    ("linear, dispersion", "g"),
    ("ordinal, disc", "g"),
]
SEEDS = (3, 4)


def points(row: Row) -> tuple[xr.DataTree, list[Any]]:
    """A tree of two posterior points, and the points."""
    model, found = row_models.model_of(row.name), [row_models.evaluator(row.name)(seed)[1] for seed in SEEDS]
    names = row_models.reported(model)
    return tree_of(model, {n: np.stack([p[n].values for p in found])[None] for n in names}), found


@pytest.mark.parametrize(
    ("name", "factor"), [*ONE_EFFECT, *(pytest.param(*two, marks=pytest.mark.slow) for two in TWO_EFFECTS)]
)
def test_of_every_family_is_that_of_a_grid_of_scipys_densities(name: str, factor: str) -> None:
    """A coarse grid finds where the integrand of each level is, a fine one sums over it."""
    row = next(row for row in ROWS if row.name == name)
    tree, found = points(row)
    ours, frame = likelihood(tree, factor), row.data()
    level = frame[factor].astype(str).map(ours.levels.index).to_numpy()
    for s, values in enumerate(found):
        u = next(n for n in values if n.endswith(f"u_{factor}"))
        sd, K = values[u.replace("u_", "sd_")].values, values[u].shape[1]
        corr = values.get(u.replace("u_", "corr_"))
        root = np.linalg.cholesky(np.outer(sd, sd) * (np.eye(K) if corr is None else corr.values))
        order = [list(ours.levels).index(str(label)) for label in values[u][factor].values]

        def log_integrand(z: np.ndarray, values: Any = values, u: str = u, root: Any = root, order: Any = order) -> Any:
            """(levels,) for effects z (levels, K)."""
            with np.errstate(all="ignore"):  # of SciPy, far from the mode
                of_rows = row.log_likelihood(frame, {**values, u: xr.zeros_like(values[u]) + (z @ root.T)[order]})
            of_rows = np.where(np.isnan(of_rows), -np.inf, of_rows)
            return np.bincount(level, of_rows, len(z)) + stats.norm.logpdf(z).sum(axis=1)

        low, width = (
            np.full((len(order), K), -40.0 if K == 1 else -10.0),
            np.full((len(order), K), 80.0 if K == 1 else 20.0),
        )
        for n in (161, 41, 41) if K == 1 else (31, 31, 31):
            unit = np.array(list(product(np.linspace(0, 1, n), repeat=K)))
            g = np.stack([log_integrand(low + width * t) for t in unit])
            total = logsumexp(g, axis=0) + np.sum(np.log(width / (n - 1)), axis=1)
            near = g > g.max(axis=0) - 30
            ends = [
                (unit[near[:, a]].min(axis=0) - 1 / n, unit[near[:, a]].max(axis=0) + 1 / n) for a in range(len(low))
            ]
            low, width = low + width * np.array([a for a, _ in ends]), width * np.array([b - a for a, b in ends])
        np.testing.assert_allclose(ours.values[s], total, rtol=1e-7 if K == 1 else 1e-5)


# --------------------------------------------------------------------------------------------------------- closed forms


def visits(seed: int, sizes: list[int]) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=len(g)), "w": rng.normal(size=len(g))})
    frame["b"] = [f"{a}.{i % 3}" for i, a in enumerate(frame.g)]
    frame["y"] = 1 + frame.x + rng.normal(size=len(g))
    frame["ill"] = rng.integers(0, 2, len(g))
    frame["c"] = rng.poisson(2.0, len(g))
    order = rng.permutation(len(g))
    return frame.iloc[order].reset_index(drop=True)


SIZES = [1, 4, 9, 6, 3, 12]


def test_gaussian_intercepts_and_slopes_are_multivariate_normal() -> None:
    frame, rng = visits(1, SIZES), np.random.default_rng(2)
    model = zoo.hierarchical_linear(frame, "y ~ x + (1 + x | g)")
    draws = 4
    b, sigma, sd = rng.normal(size=(1, draws, 2)), rng.uniform(0.2, 2, (1, draws)), rng.uniform(0.1, 3, (1, draws, 2))
    r = np.array([-0.8, 0.0, 0.5, 0.95])
    corr = np.eye(2) + r[:, None, None] * (1 - np.eye(2))
    tree = tree_of(
        model,
        {"Intercept": b[..., 0], "beta": b[..., 1:], "sigma": sigma, "sd_g": sd, "corr_g": corr[None]},
    )
    ours = likelihood(tree, "g")
    for s in range(draws):
        S = np.outer(sd[0, s], sd[0, s]) * corr[s]
        for place, level in enumerate(ours.levels):
            d = frame[frame.g == level]
            Z = np.column_stack([np.ones(len(d)), d.x])
            V = Z @ S @ Z.T + sigma[0, s] ** 2 * np.eye(len(d))
            expected = stats.multivariate_normal.logpdf(d.y, Z @ b[0, s], V)
            np.testing.assert_allclose(ours.values[s, place], expected, rtol=1e-9)


def test_nested_effects_with_slopes_are_multivariate_normal_by_importance_sampling() -> None:
    """Two effects of g and two of each of its three levels of b: eight dimensions."""
    frame = visits(3, SIZES)
    model = zoo.hierarchical_linear(frame, "y ~ x + (1 + x || g) + (1 + w || b)")
    sds = {"sd_g": [[[1.3, 0.4], [0.2, 2.0]]], "sd_b": [[[0.7, 0.9], [1.1, 0.1]]]}
    tree = tree_of(model, {"Intercept": [[0.5, 1.0]], "beta": [[[1.0], [0.3]]], "sigma": [[0.8, 1.2]], **sds})
    ours = likelihood(tree, "g")
    assert ours.integrated == ("g", "b") and ours.pareto_k is not None and (ours.pareto_k < 0.7).all()
    for s in range(2):
        b, sigma = np.array([[0.5, 1.0], [1.0, 0.3]])[s], (0.8, 1.2)[s]
        for place, level in enumerate(ours.levels):
            d = frame[frame.g == level]
            one, x, w = np.ones(len(d)), d.x.to_numpy(), d.w.to_numpy()
            same = (d.b.to_numpy()[:, None] == d.b.to_numpy()).astype(float)
            (g0, g1), (b0, b1) = sds["sd_g"][0][s], sds["sd_b"][0][s]
            V = g0**2 * np.outer(one, one) + g1**2 * np.outer(x, x)
            V += same * (b0**2 * np.outer(one, one) + b1**2 * np.outer(w, w)) + sigma**2 * np.eye(len(d))
            mean = (0.5, 1.0)[s] + (1.0, 0.3)[s] * x
            np.testing.assert_allclose(
                ours.values[s, place], stats.multivariate_normal.logpdf(d.y, mean, V), atol=0.02, err_msg=str(b)
            )


# ------------------------------------------------------------------------------------------------- quadrature of SciPy

LOGISTIC = ("ill", zoo.hierarchical_logistic, lambda y, eta: np.where(y == 1, expit(eta), expit(-eta)))
POISSON = ("c", zoo.poisson, lambda y, eta: np.exp(y * eta - np.exp(eta) - gammaln(y + 1)))


@pytest.mark.parametrize(("y", "build", "f"), [LOGISTIC, POISSON], ids=["logistic", "poisson"])
@pytest.mark.parametrize("sd", [0.05, 1.0, 5.0])
def test_an_intercept_is_that_of_adaptive_quadrature(y: str, build: Callable, f: Callable, sd: float) -> None:
    frame = visits(5, SIZES)
    tree = tree_of(build(frame, f"{y} ~ x + (1 | g)"), {"Intercept": -0.5, "beta": [0.8], "sd_g": [sd]})
    ours = likelihood(tree, "g")
    for place in (0, 2, 5):
        d = frame[frame.g == ours.levels[place]]
        of_y, eta = d[y].to_numpy(), -0.5 + 0.8 * d.x.to_numpy()
        g = lambda t, of_y=of_y, eta=eta: np.prod(f(of_y, eta + sd * t)) * np.exp(-0.5 * t * t)  # noqa: E731
        ends = np.linspace(-9, 9, 13)
        expected = sum(integrate.quad(g, a, b, epsabs=0, epsrel=1e-10)[0] for a, b in pairwise(ends))
        np.testing.assert_allclose(ours.values[0, place], np.log(expected / np.sqrt(2 * np.pi)), rtol=1e-8)


@pytest.mark.parametrize(("y", "build", "f"), [LOGISTIC, POISSON], ids=["logistic", "poisson"])
def test_an_intercept_and_a_slope_are_those_of_double_quadrature(y: str, build: Callable, f: Callable) -> None:
    frame = visits(6, [2, 7])
    values = {"Intercept": 0.3, "beta": [0.8], "sd_g": [1.5, 0.7], "corr_g": [[1.0, 0.6], [0.6, 1.0]]}
    ours = likelihood(tree_of(build(frame, f"{y} ~ x + (1 + x | g)"), values), "g")
    root = np.linalg.cholesky(np.outer([1.5, 0.7], [1.5, 0.7]) * values["corr_g"])
    t, h = np.linspace(-8, 8, 241, retstep=True)
    z = np.stack(np.meshgrid(t, t), axis=-1).reshape(-1, 2)
    u = z @ root.T
    for place, level in enumerate(ours.levels):
        d = frame[frame.g == level]
        x = d.x.to_numpy()
        eta = 0.3 + 0.8 * x + u[:, :1] + u[:, 1:] * x
        fine = np.sum(np.prod(f(d[y].to_numpy(), eta), axis=1) * stats.norm.pdf(z).prod(axis=1)) * h**2
        np.testing.assert_allclose(ours.values[0, place], np.log(fine), atol=1e-5)
        if level == "g0":
            of_y, fixed = d[y].to_numpy(), 0.3 + 0.8 * x
            g = lambda a, b, of_y=of_y, x=x, fixed=fixed: (  # noqa: E731
                np.prod(f(of_y, fixed + root[0, 0] * b + (root[1, 0] * b + root[1, 1] * a) * x))
                * np.exp(-0.5 * (a * a + b * b))
            )
            both = integrate.dblquad(g, -6, 6, -6, 6, epsabs=1e-7, epsrel=1e-5)[0] / (2 * np.pi)
            np.testing.assert_allclose(fine, both, rtol=1e-4)


@pytest.mark.parametrize(("y", "build", "f"), [LOGISTIC, POISSON], ids=["logistic", "poisson"])
def test_nested_intercepts_are_those_of_brute_force(y: str, build: Callable, f: Callable) -> None:
    """One to three levels of b inside each g, so up to four dimensions; several points."""
    frame = visits(7, [1, 4, 9, 6])
    sds, at = [(0.8, 1.7), (2.5, 0.3), (0.1, 0.1)], (-0.4, 0.2, 1.0)
    values = {
        "Intercept": [list(at)],
        "beta": [[[0.5]] * 3],
        "sd_g": [[[a] for a, _ in sds]],
        "sd_b": [[[b] for _, b in sds]],
    }
    ours = likelihood(tree_of(build(frame, f"{y} ~ x + (1 | g) + (1 | b)"), values), "g")
    assert ours.integrated == ("g", "b") and ours.given == () and ours.pareto_k is None
    t, h = np.linspace(-8, 8, 161, retstep=True)
    phi = stats.norm.pdf(t) * h
    for s, (sd_g, sd_b) in enumerate(sds):
        for place, level in enumerate(ours.levels):
            product = phi.copy()  # over u_g
            for _, d in frame[frame.g == level].groupby("b"):
                eta = at[s] + 0.5 * d.x.to_numpy() + sd_g * t[:, None, None] + sd_b * t[:, None]
                product *= np.prod(f(d[y].to_numpy(), eta), axis=2) @ phi
            np.testing.assert_allclose(ours.values[s, place], np.log(product.sum()), rtol=1e-8)


def test_importance_sampling_agrees_with_the_nested_rule() -> None:
    frame = visits(8, [12, 9, 12])
    model = zoo.hierarchical_logistic(frame, "ill ~ x + (1 | g) + (1 | b)")
    tree = tree_of(model, {"Intercept": [[0.1, 1.0]], "beta": [[[0.5], [1.0]]], "sd_g": [[[1.5], [0.4]]], "sd_b": [[[0.8], [2.0]]]})  # fmt: skip
    exact = likelihood(tree, "g")
    slopes = zoo.hierarchical_logistic(frame, "ill ~ x + (1 | g) + (1 + w || b)")
    values = {"Intercept": [[0.1, 1.0]], "beta": [[[0.5], [1.0]]], "sd_g": [[[1.5], [0.4]]], "sd_b": [[[0.8, 1e-9], [2.0, 1e-9]]]}  # fmt: skip
    sampled = likelihood(tree_of(slopes, values), "g")
    assert exact.pareto_k is None and sampled.pareto_k is not None and (sampled.pareto_k < 0.7).all()
    np.testing.assert_allclose(sampled.values, exact.values, atol=0.02)


def test_what_is_crossed_stays_given() -> None:
    frame = visits(9, [6, 6, 6])
    frame["h"] = [f"h{i % 4}" for i in range(len(frame))]
    model = zoo.poisson(frame, "c ~ x + (1 | g) + (1 | h)")
    u = np.array([0.5, -1.0, 0.3, 2.0])
    values = {"Intercept": 0.1, "beta": [0.2], "sd_g": [0.9], "sd_h": [1.0], "u_h": u[:, None]}
    ours = likelihood(tree_of(model, values), "g")
    assert ours.given == ("h",)
    moved = frame.assign(o=u[frame.h.str[1:].astype(int)])
    alone = zoo.poisson(moved, "c ~ x + offset(o) + (1 | g)")
    expected = likelihood(tree_of(alone, {"Intercept": 0.1, "beta": [0.2], "sd_g": [0.9]}), "g")
    np.testing.assert_allclose(ours.values, expected.values, rtol=1e-12)


# ------------------------------------------------------------------------------------------------------- the rule itself


@pytest.mark.parametrize("points", [5, 61])
def test_a_rule_that_is_too_coarse_is_seen(points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(log_integrals.POINTS_BY_DIMENSION, 1, points)
    frame = visits(5, SIZES)
    tree = tree_of(zoo.poisson(frame, "c ~ x + (1 | g)"), {"Intercept": 0.0, "beta": [0.0], "sd_g": [3.0]})
    ours, d = likelihood(tree, "g").values[0, 5], frame[frame.g == "g5"]
    t, h = np.linspace(-9, 9, 4001, retstep=True)
    fine = np.log(
        np.sum(np.prod(stats.poisson.pmf(d.c.to_numpy(), np.exp(3 * t)[:, None]), axis=1) * stats.norm.pdf(t)) * h
    )
    assert (abs(ours - fine) < 1e-8) == (points == 61)


def test_narrow_far_and_flat_integrands() -> None:
    """Many trials: the width is 1e-4 of the prior's; counts of 10^6 from an intercept of 0; no success in any row, sd 8."""
    one = lambda y, sd: lambda z: y * sd * z[..., 0] - np.exp(sd * z[..., 0])  # noqa: E731  # Poisson without y!
    for y, sd in ((1e6, 3.0), (1e8, 5.0), (0.0, 0.1), (3.0, 20.0)):
        found = log_integrals.log_normal_mean(one(y, sd), (1, 1), 1)[0, 0]
        at = np.log(max(y, 1.0)) / sd
        width = 60 / (sd * np.sqrt(max(y, 1.0)))
        t, h = np.linspace(max(at - width, -12), min(at + width, 12), 200_001, retstep=True)
        log_g = one(y, sd)(t[:, None]) + stats.norm.logpdf(t)
        np.testing.assert_allclose(found, logsumexp(log_g) + np.log(h), rtol=1e-8, atol=1e-7)
    flat = lambda z: 20 * np.log(expit(-8 * z[..., 0]))  # noqa: E731
    t, h = np.linspace(-12, 12, 200_001, retstep=True)
    expected = logsumexp(flat(t[:, None]) + stats.norm.logpdf(t)) + np.log(h)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(log_integrals.log_normal_mean(flat, (1, 1), 1), expected, rtol=1e-5)
