"""R2 against the formulas written by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of
from scipy.special import expit

import glmm_zoo as zoo

pytestmark = pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")  # of few levels
DRAWS = 5
WITH, WITHOUT = "Bayesian R2 with group effects", "Bayesian R2 without group effects"
MARGINAL, CONDITIONAL = "Nakagawa marginal R2", "Nakagawa conditional R2"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(7), 6)
    return pd.DataFrame(
        {
            "g": [f"g{i}" for i in g], "x": rng.normal(size=42), "y": rng.normal(size=42), "ill": rng.integers(0, 2, 42),
            "c": rng.poisson(2, 42), "days": rng.uniform(1, 9, 42), "each": [f"r{i}" for i in range(42)],
            "rank": rng.permutation(np.arange(42) % 3) + 1,
        }
    )  # fmt: skip


def points(seed: int = 2) -> dict[str, np.ndarray]:
    """Five points: (1, draw, ...) arrays."""
    rng = np.random.default_rng(seed)
    return {
        "Intercept": rng.normal(size=(1, DRAWS)), "beta": rng.normal(size=(1, DRAWS, 1)), "sigma": rng.uniform(0.5, 2, (1, DRAWS)),
        "sd_g": rng.uniform(0.3, 2, (1, DRAWS, 1)), "u_g": rng.normal(size=(1, DRAWS, 7, 1)), "alpha": rng.uniform(0.5, 4, (1, DRAWS)),
        "zi": rng.uniform(0.1, 0.6, (1, DRAWS)),
    }  # fmt: skip


def fit(model: object, values: dict[str, np.ndarray], *names: str) -> xr.DataTree:
    return tree_of(model, {name: values[name] for name in ("Intercept", "beta", "sd_g", "u_g", *names)})


def etas(frame: pd.DataFrame, values: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Linear predictors (draws, rows) without and with group effects."""
    fixed = values["Intercept"][0][:, None] + values["beta"][0] * frame.x.to_numpy()
    return fixed, fixed + values["u_g"][0][:, frame.g.str[1:].astype(int), 0]


def bayesian(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    return np.var(mean, axis=1, ddof=1) / (np.var(mean, axis=1, ddof=1) + np.mean(variance, axis=1))


def check(table: pd.DataFrame, name: str, draws: np.ndarray) -> None:
    low, high = np.quantile(draws, [0.025, 0.975])
    expected = [draws.mean(), np.median(draws), draws.std(ddof=1), low, high]
    np.testing.assert_allclose(
        table.loc[name, ["mean", "median", "sd", "lower", "upper"]].astype(float), expected, rtol=1e-9
    )


def test_gaussian(frame: pd.DataFrame) -> None:
    values = points()
    table = zoo.r2(fit(zoo.hierarchical_linear(frame, "y ~ x + (1 | g)"), values, "sigma"))
    fixed, full = etas(frame, values)
    s2, G, F = values["sigma"][0] ** 2, values["sd_g"][0, :, 0] ** 2, np.var(fixed, axis=1, ddof=1)
    check(table, WITH, bayesian(full, s2[:, None] + 0 * full))
    check(table, WITHOUT, bayesian(fixed, s2[:, None] + 0 * full))
    check(table, MARGINAL, F / (F + G + s2))
    check(table, CONDITIONAL, (F + G) / (F + G + s2))
    assert "not the same quantity" in table.attrs["sentence"]


def test_standard_deviations_and_discriminations_of_rows(frame: pd.DataFrame) -> None:
    """What is left is averaged over rows, and over group effects where these are not given."""
    rng, values = np.random.default_rng(7), points()
    b, sd, u = rng.normal(size=(1, DRAWS, 1)), rng.uniform(0.1, 0.5, (1, DRAWS, 1)), rng.normal(size=(1, DRAWS, 7, 1))
    fixed, full = etas(frame, values)
    G, F = values["sd_g"][0, :, 0] ** 2, np.var(fixed, axis=1, ddof=1)
    log_sigma = np.log(values["sigma"][0])[:, None] + b[0] * frame.x.to_numpy()
    own = {"sigma_Intercept": np.log(values["sigma"]), "sigma_beta": b, "sigma_sd_g": sd, "sigma_u_g": u}
    model = zoo.hierarchical_linear(frame, "y ~ x + (1 | g)", dispersion="~ x + (1 | g)")
    table = zoo.r2(fit(model, {**values, **own}, *own))
    check(table, WITH, bayesian(full, np.exp(2 * (log_sigma + u[0][:, frame.g.str[1:].astype(int), 0]))))
    left = np.mean(np.exp(2 * log_sigma + 2 * sd[0] ** 2), axis=1)
    check(table, MARGINAL, F / (F + G + left))
    own = {"cutpoints": np.sort(rng.normal(size=(1, DRAWS, 2)), axis=2), "disc_beta": b, "disc_sd_g": sd, "disc_u_g": u}
    model = zoo.ordinal(frame, "rank ~ x + (1 | g)", disc="~ x + (1 | g)")
    tree = tree_of(model, {**{n: values[n] for n in ("beta", "sd_g", "u_g")}, **own})
    left = np.pi**2 / 3 * np.mean(np.exp(-2 * b[0] * frame.x.to_numpy() + 2 * sd[0] ** 2), axis=1)
    check(zoo.r2(tree), CONDITIONAL, (F + G) / (F + G + left))


def test_logistic_and_the_variation_of_single_rows(frame: pd.DataFrame) -> None:
    """An effect of every row belongs to what is left, not to groups."""
    values = points(3)
    model = zoo.hierarchical_logistic(frame, "ill ~ x + (1 | g)")
    table = zoo.r2(fit(model, values))
    fixed, full = etas(frame, values)
    G, F = values["sd_g"][0, :, 0] ** 2, np.var(fixed, axis=1, ddof=1)
    check(table, WITH, bayesian(expit(full), expit(full) * expit(-full)))
    check(table, WITHOUT, bayesian(expit(fixed), expit(fixed) * expit(-fixed)))
    check(table, MARGINAL, F / (F + G + np.pi**2 / 3))
    each = zoo.poisson(frame, "c ~ x + (1 | g) + (1 | each)")
    sd = np.full((1, DRAWS, 1), 0.4)
    tree = tree_of(
        each,
        {
            **{n: values[n] for n in ("Intercept", "beta", "sd_g", "u_g")},
            "sd_each": sd,
            "u_each": np.zeros((1, DRAWS, 42, 1)),
        },
    )
    mean = np.mean(np.exp(fixed + 0.5 * (G[:, None] + 0.16)), axis=1)
    left = np.log1p(1 / mean) + 0.16
    table = zoo.r2(tree)
    check(table, MARGINAL, F / (F + G + left))
    check(table, CONDITIONAL, (F + G) / (F + G + left))


@pytest.mark.parametrize("parameterization", ["nb1", "nb2"])
def test_counts_with_an_exposure(frame: pd.DataFrame, parameterization: str) -> None:
    """log(1 + 1 / mean + 1 / alpha), and log(1 + (1 + 1 / alpha) / mean) for nb1; the exposure is not explained variance."""
    values = points(4)
    model = zoo.negative_binomial(frame, "c ~ x + (1 | g)", exposure="days", parameterization=parameterization)
    table = zoo.r2(fit(model, values, "alpha"))
    fixed, full = etas(frame, values)
    exposed, a = np.log(frame.days.to_numpy()), values["alpha"][0]
    G, F = values["sd_g"][0, :, 0] ** 2, np.var(fixed, axis=1, ddof=1)
    mu = np.exp(full + exposed)
    check(table, WITH, bayesian(mu, mu + (mu**2 if parameterization == "nb2" else mu) / a[:, None]))
    mean = np.mean(np.exp(fixed + exposed + 0.5 * G[:, None]), axis=1)
    left = np.log1p(1 / mean + 1 / a) if parameterization == "nb2" else np.log1p((1 + 1 / a) / mean)
    check(table, MARGINAL, F / (F + G + left))
    check(table, CONDITIONAL, (F + G) / (F + G + left))


def test_zero_inflated_counts_and_ordered_categories(frame: pd.DataFrame) -> None:
    values = points(5)
    table = zoo.r2(fit(zoo.zero_inflated_poisson(frame, "c ~ x + (1 | g)"), values, "zi"))
    _, full = etas(frame, values)
    mu, zi = np.exp(full), values["zi"][0][:, None]
    check(table, WITH, bayesian((1 - zi) * mu, (1 - zi) * mu * (1 + zi * mu)))
    cutpoints = np.sort(np.random.default_rng(6).normal(size=(1, DRAWS, 2)), axis=2)
    values |= {"cutpoints": cutpoints, "Intercept": np.zeros((1, DRAWS))}
    for family in ("cumulative", "sratio"):
        model = zoo.ordinal(frame, "rank ~ x + (1 | g)", levels=["1", "2", "3"], family=family)
        tree = tree_of(model, {n: values[n] for n in ("beta", "sd_g", "u_g", "cutpoints")})
        table = zoo.r2(tree)
        fixed, full = etas(frame, values)
        below = expit(cutpoints[0][:, None, :] - full[:, :, None])
        if family == "cumulative":
            P = np.stack([below[..., 0], below[..., 1] - below[..., 0], 1 - below[..., 1]])
            F, G = np.var(fixed, axis=1, ddof=1), values["sd_g"][0, :, 0] ** 2
            check(table, MARGINAL, F / (F + G + np.pi**2 / 3))
        else:
            P = np.stack(
                [below[..., 0], (1 - below[..., 0]) * below[..., 1], (1 - below[..., 0]) * (1 - below[..., 1])]
            )
            assert MARGINAL not in table.index
        score = np.arange(1, 4)[:, None, None]
        mean = np.sum(score * P, axis=0)
        check(table, WITH, bayesian(mean, np.sum(score**2 * P, axis=0) - mean**2))


def test_without_groups_there_is_one_of_each(frame: pd.DataFrame) -> None:
    values = points()
    tree = tree_of(zoo.hierarchical_linear(frame, "y ~ x"), {n: values[n] for n in ("Intercept", "beta", "sigma")})
    table = zoo.r2(tree)
    assert table.index.tolist() == [WITHOUT, MARGINAL]
    np.testing.assert_allclose(table.loc[WITHOUT, "mean"], table.loc[MARGINAL, "mean"])
