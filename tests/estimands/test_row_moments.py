"""Averages of very many rows by moments, against integrals of each row by SciPy's quad, and by a fine grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of
from scipy import integrate, special, stats

import glmm_zoo as zoo
from glmm_zoo.estimands import averages, row_moments

N, S = 1200, 3
RNG = np.random.default_rng(4)
Z = np.linspace(-9, 9, 601)
W = stats.norm.pdf(Z) / stats.norm.pdf(Z).sum()
BETA = np.array([[0.5, -0.3, 0.2], [0.8, -0.2, 0.1], [0.4, 0.1, -0.3]])  # of a, t, a:t
INTERCEPT, SD = np.array([-0.4, -1.0, 0.3]), np.array([[1.0, 0.6], [1.5, 0.3], [0.4, 1.2]])
CORR = np.stack([[[1, r], [r, 1]] for r in (0.3, -0.5, 0.0)])
CUTPOINTS = np.array([[-1.0, 0.2, 1.5]] * S)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    d = pd.DataFrame({"a": RNG.normal(size=N), "t": RNG.normal(size=N), "g": RNG.integers(0, 20, N)})
    d["y"], d["k"], d["count"] = RNG.integers(0, 2, N), RNG.integers(1, 5, N), RNG.poisson(1.0, N)
    return d


@pytest.fixture
def no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is computed by itself."""

    def refused(*_: Any) -> None:
        raise AssertionError("a row was computed by itself")

    monkeypatch.setattr(averages, "weighted_sums", refused)


def tree_with(model: Any, **values: np.ndarray) -> xr.DataTree:
    of_all = {"Intercept": INTERCEPT, "sd_g": SD, "corr_g": CORR, "u_g": np.zeros((S, 20, 2)), **values}
    return tree_of(model, {name: np.asarray(value, float)[None] for name, value in of_all.items()})


def binary(d: pd.DataFrame) -> xr.DataTree:
    return tree_with(zoo.hierarchical_logistic(d, "y ~ a * t + (1 + t | g)"), beta=BETA)


def predictor(d: pd.DataFrame, s: int, a: Any, *, b: np.ndarray = BETA) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of the linear predictor of each row, with a at these values."""
    t, (s0, s1), r = d.t.to_numpy(), SD[s], CORR[s, 0, 1]
    return INTERCEPT[s] + b[s, 0] * a + b[s, 1] * t + b[s, 2] * a * t, np.sqrt(
        s0**2 + 2 * r * s0 * s1 * t + s1**2 * t**2
    )


def risk(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    return special.expit(mean[:, None] + sd[:, None] * Z) @ W


def draws(estimates: zoo.Estimates) -> np.ndarray:
    return estimates.draws["value"].values[0]  # (S, estimates)


def test_the_fine_grid_is_scipys_quad(data: pd.DataFrame) -> None:
    mean, sd = (x[:5] for x in predictor(data, 1, 0.7))
    exact = [
        integrate.quad(lambda z, m=m, s=s: special.expit(m + s * z) * stats.norm.pdf(z), -np.inf, np.inf, epsabs=1e-12)[
            0
        ]
        for m, s in zip(mean, sd, strict=True)
    ]
    np.testing.assert_allclose(risk(mean, sd), exact, rtol=1e-10)


@pytest.mark.usefixtures("no_row")
def test_risks_along_a_grid_and_compared(data: pd.DataFrame) -> None:
    tree, grid = binary(data), [-1.0, 0.5, 2.0]
    found = draws(zoo.predictions(tree, at={"a": grid}, by=True))
    expected = [[risk(*predictor(data, s, a)).mean() for a in grid] for s in range(S)]
    np.testing.assert_allclose(found, expected, atol=1e-8)
    apart = draws(zoo.comparisons(tree, "a", contrast=(-1.0, 2.0), measures="difference"))[:, 0]
    np.testing.assert_allclose(apart, [of[2] - of[0] for of in expected], atol=1e-8)


def test_few_rows_that_differ_are_computed_each_by_itself(data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """999 rows that differ, and 1000."""
    asked: list[int] = []
    monkeypatch.setattr(row_moments, "_apart", lambda low, high: asked.append(1) or False)
    for different in (999, 1000):
        zoo.predictions(binary(data.assign(t=np.arange(N) % different / 100)), at={"a": [0.5]}, by=True)
        assert bool(asked) is (different == 1000)


@pytest.mark.usefixtures("no_row")
def test_rows_that_differ_by_a_constant(data: pd.DataFrame) -> None:
    """Without the product of a and t the moments of the first value of a are those of all."""
    b = BETA * [1, 1, 0]
    tree = tree_with(zoo.hierarchical_logistic(data, "y ~ a + t + (1 + t | g)"), beta=b[:, :2])
    found = draws(zoo.predictions(tree, at={"a": [-4.0, 0.5, 3.0]}, by=True))
    of_rows = [[risk(*predictor(data, s, a, b=b)).mean() for a in (-4.0, 0.5, 3.0)] for s in range(S)]
    np.testing.assert_allclose(found, of_rows, atol=1e-8)
    weighted = draws(zoo.predictions(tree, data.assign(w=np.arange(N)), at={"a": [0.5]}, by=True, weights="w"))[:, 0]
    own = [np.average(risk(*predictor(data, s, 0.5, b=b)), weights=np.arange(N)) for s in range(S)]
    np.testing.assert_allclose(weighted, own, atol=1e-8)


@pytest.mark.usefixtures("no_row")
def test_slopes_of_groups_that_are_observed(data: pd.DataFrame) -> None:
    """The effects of a row's own level are not moved by a constant where a is moved by one."""
    u, b = RNG.normal(size=(S, 20, 2)), BETA * [1, 1, 0]
    tree = tree_with(zoo.hierarchical_logistic(data, "y ~ a + t + (1 + a | g)"), beta=b[:, :2], u_g=u)
    found = draws(zoo.predictions(tree, at={"a": [-1.0, 2.0]}, by=True, groups="observed"))
    for s in range(S):
        of_levels = u[s][data.g]
        etas = [predictor(data, s, a, b=b)[0] + of_levels[:, 0] + of_levels[:, 1] * a for a in (-1.0, 2.0)]
        np.testing.assert_allclose(found[s], [special.expit(eta).mean() for eta in etas], atol=1e-8)


@pytest.mark.usefixtures("no_row")
def test_slopes(data: pd.DataFrame) -> None:
    found, step = draws(zoo.slopes(binary(data), "a"))[:, 0], 1e-4
    ends = [[risk(*predictor(data, s, data.a.to_numpy() + side)).mean() for side in (-step, step)] for s in range(S)]
    np.testing.assert_allclose(found, [(high - low) / (2 * step) for low, high in ends], atol=1e-6)


@pytest.mark.usefixtures("no_row")
def test_probabilities_of_categories(data: pd.DataFrame) -> None:
    tree = tree_with(zoo.ordinal(data, "k ~ a * t + (1 + t | g)"), beta=BETA, cutpoints=CUTPOINTS)
    found = draws(zoo.predictions(tree, at={"a": [0.5]}, by=True, scale="probability"))
    for s in range(S):
        mean, sd = predictor(data, s, 0.5)
        below = [risk(c - (mean - INTERCEPT[s]), sd).mean() for c in CUTPOINTS[s]]
        np.testing.assert_allclose(found[s], np.diff([0, *below, 1]), atol=1e-8)


@pytest.mark.usefixtures("no_row")
@pytest.mark.parametrize("scale", ["mean", "zero", "positive"])
def test_counts_with_zeros_that_differ_between_groups(data: pd.DataFrame, scale: str) -> None:
    data = pd.concat(
        [data.assign(t=0.5 * data.t + 0.01 * j) for j in range(5)], ignore_index=True
    )  # three numbers differ between rows
    model = zoo.zero_inflated_poisson(data, "count ~ a * t + (1 + t | g)", zi="~ t + (1 | g)")
    sd, zi_sd = SD / 3, 0.7  # effects of the two parts are independent
    tree = tree_with(
        model, beta=BETA, sd_g=sd, zi_Intercept=np.full(S, -0.5), zi_beta=np.full((S, 1), 0.4),
        zi_sd_g=np.full((S, 1), zi_sd), zi_u_g=np.zeros((S, 20, 1)),
    )  # fmt: skip
    found = draws(zoo.predictions(tree, at={"a": [0.5]}, by=True, scale=scale))[:, 0]
    for s in range(S):
        eta, own = predictor(data, s, 0.5)
        mu = np.exp(eta[:, None] + own[:, None] / 3 * Z)
        share = risk(-0.5 + 0.4 * data.t.to_numpy(), np.full(len(data), zi_sd))
        mean, above = (1 - share) * (mu @ W), (1 - share) * (-np.expm1(-mu) @ W)
        expected = {"mean": mean, "zero": 1 - above, "positive": mean / above}[scale]
        np.testing.assert_allclose(found[s], expected.mean(), rtol=1e-6)


def test_what_needs_too_many_points_is_computed_row_by_row(data: pd.DataFrame) -> None:
    steep = BETA * 60
    tree = tree_with(zoo.hierarchical_logistic(data, "y ~ a * t + (1 + t | g)"), beta=steep)
    found = draws(zoo.predictions(tree, at={"a": [0.5]}, by=True, groups="typical"))[:, 0]
    expected = [special.expit(predictor(data, s, 0.5, b=steep)[0]).mean() for s in range(S)]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_rows_that_are_all_the_same(data: pd.DataFrame) -> None:
    found = draws(zoo.predictions(binary(data), at={"a": [0.5], "t": [1.0]}, by=True))[:, 0]
    same = data.assign(t=1.0)
    np.testing.assert_allclose(found, [risk(*predictor(same, s, 0.5))[0] for s in range(S)], atol=1e-8)


@pytest.mark.usefixtures("no_row")
@pytest.mark.parametrize("groups", ["population", "typical"])
def test_means_that_are_the_linear_predictor_are_those_of_the_mean_columns(data: pd.DataFrame, groups: str) -> None:
    """Of few rows too: E(y) = Intercept + mean(x)'beta, whatever the group effects."""
    for d in (data, data.iloc[:300].reset_index(drop=True)):
        model = zoo.hierarchical_linear(d, "t ~ a * k + (1 + k | g)")
        tree = tree_with(model, beta=BETA, sigma=np.ones(S))
        found = zoo.predictions(tree, at={"a": [0.0, 1.5]}, by=True, groups=groups).draws["value"].values[0]
        k = d.k.mean()
        expected = [INTERCEPT + BETA @ np.array([a, k, a * k]) for a in (0.0, 1.5)]
        np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-12)
        linear = zoo.comparisons(binary(d), "a", contrast=(0.0, 1.5), scale="linear", groups=groups)
        np.testing.assert_allclose(
            linear.draws["value"].values[0, :, 0], 1.5 * (BETA[:, 0] + BETA[:, 2] * d.t.mean()), rtol=1e-12
        )


def test_means_of_a_truncated_response_are_not_the_linear_predictor(data: pd.DataFrame) -> None:
    model = zoo.hierarchical_linear(data.assign(t=data.t + 9), "t | trunc(lb=2) ~ a")
    tree = tree_of(model, {"Intercept": np.full((1, S), 1.0), "beta": np.zeros((1, S, 1)), "sigma": np.ones((1, S))})
    found = zoo.predictions(tree, by=True).draws["value"].values
    assert found == pytest.approx(stats.truncnorm(1.0, np.inf, loc=1.0).mean(), rel=1e-6)
