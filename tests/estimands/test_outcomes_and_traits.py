"""Several outcomes in one model, and subjects never at risk: each scale against sums by hand."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning

DRAWS = 3
X, W = np.polynomial.hermite_e.hermegauss(50)
W = W / W.sum()


def several(*values: Any) -> np.ndarray:
    """Points of the posterior (1, DRAWS, ...): each value by itself."""
    return np.array(values, float)[None]


def build(builder: Any, *arguments: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)  # few subjects, few levels
        return builder(*arguments, **options)


@functools.cache
def data() -> pd.DataFrame:
    """Twenty-four subjects of three sites and two arms at four times; outcomes have gaps in different rows."""
    rng, n = np.random.default_rng(1), 24
    k = np.repeat(np.arange(n), 4)
    d = pd.DataFrame({"id": [f"s{i:02d}" for i in k], "time": np.tile(np.arange(4.0), n), "x": rng.normal(size=n)[k]})
    d["site"], d["arm"] = np.array(list("uvw"))[k % 3], np.array(list("ab"))[k % 2]
    d["y"], d["v"] = rng.normal(size=len(d)), rng.normal(size=len(d))
    d["k"], d["b"] = rng.poisson(1.5, len(d)).astype(float), rng.integers(0, 2, len(d))
    d.loc[::3, "y"] = d.loc[1::4, "k"] = np.nan
    never = np.isin(k, [1, 2, 5])
    d["count"], d["hits"], d["n"] = (
        np.where(never, 0, rng.poisson(2, len(d))),
        np.where(never, 0, rng.binomial(5, 0.4, len(d))),
        5,
    )
    return d


def values(estimates: zoo.Estimates, **where: Any) -> np.ndarray:
    """Draws (D, estimates)."""
    rows = np.logical_and.reduce(
        [estimates.table[c] == v for c, v in where.items()] or [np.ones(len(estimates.table), bool)]
    )
    return estimates.draws["value"].values[0][:, np.flatnonzero(rows)]


# -------------------------------------------------------------------------------------------------------- joint outcomes

GAPS = {
    "y_Intercept": several(1, 2, 3), "y_beta": several([0.5], [0.3], [-0.2]), "y_sigma": several(1, 1, 1),
    "k_Intercept": several(0.2, 0.4, 0), "k_beta": several([0.1], [0.2], [0.0]), "k_sd_site": several([0.3], [0.6], [0.1]),
    "k_zi_Intercept": several(-1, 0, -2), "k_zi_beta": several([0.5], [-0.5], [0.2]),
    "sd_id": several([1, 0.5, 0.8], [0.5, 0.9, 1.2], [1, 0.2, 0.4]),
    "corr_id": several(*([[1, 0.2, 0.1], [0.2, 1, r], [0.1, r, 1]] for r in (-0.6, 0.5, 0.3))),
}  # fmt: skip


@functools.cache
def gaps(**also: Any) -> xr.DataTree:
    model = build(
        zoo.joint_outcomes, data(), {"y ~ x + (1 |p| id)": "gaussian", "k ~ time + (1 |p| id) + (1 | site)": "zero_inflated_poisson"},
        zi={"k": "~ x + (1 |p| id)"},
    )  # fmt: skip
    u = np.random.default_rng(2).normal(size=(1, DRAWS, 24, 3))
    return tree_of(model, {**GAPS, "u_id": u, "k_u_site": several(*[[[-0.5], [0.0], [0.5]]] * DRAWS)})


def zero_inflated_mean(d: int, time: np.ndarray, x: np.ndarray, site_sd: float) -> np.ndarray:
    """E[(1 - s) exp(eta)] over the correlated effects of both parts of a subject and that of a site (rows,)."""
    sd, R = GAPS["sd_id"][0, d, 1:], GAPS["corr_id"][0, d, 1:, 1:]
    u = np.stack(np.meshgrid(X, X, indexing="ij"), axis=-1).reshape(-1, 2) @ np.linalg.cholesky(sd[:, None] * R * sd).T
    log_mu = GAPS["k_Intercept"][0, d] + GAPS["k_beta"][0, d, 0] * time[:, None] + u[:, 0] + site_sd**2 / 2
    share = expit(GAPS["k_zi_Intercept"][0, d] + GAPS["k_zi_beta"][0, d, 0] * x[:, None] + u[:, 1])
    return ((1 - share) * np.exp(log_mu)) @ np.outer(W, W).ravel()


def test_each_outcome_has_its_own_rows_and_its_own_predictors() -> None:
    found, d = zoo.predictions(gaps(), by=True), data()
    assert list(found.table["outcome"]) == ["y", "k"]
    of_y, of_k = d[d.y.notna()], d[d.k.notna()]
    y = GAPS["y_Intercept"][0] + GAPS["y_beta"][0, :, 0] * of_y.x.mean()
    np.testing.assert_allclose(values(found, outcome="y")[:, 0], y, rtol=1e-12)
    k = [
        zero_inflated_mean(j, of_k.time.to_numpy(), of_k.x.to_numpy(), GAPS["k_sd_site"][0, j, 0]).mean()
        for j in range(DRAWS)
    ]
    np.testing.assert_allclose(values(found, outcome="k")[:, 0], k, rtol=1e-6)
    alone = zoo.predictions(gaps(), by=True, outcome="k")
    np.testing.assert_array_equal(values(alone), values(found, outcome="k"))
    with pytest.raises(InputError, match=r"no outcome 'q'.* outcomes: y, k"):
        zoo.predictions(gaps(), outcome="q")


def test_factors_of_one_outcome_are_chosen_by_name() -> None:
    of_k = data()[data().k.notna()]
    time, x = of_k.time.to_numpy(), of_k.x.to_numpy()
    typical = zoo.predictions(gaps(), by=True, outcome="k", groups={"site": "typical"})
    expected = [zero_inflated_mean(j, time, x, 0.0).mean() for j in range(DRAWS)]
    np.testing.assert_allclose(values(typical)[:, 0], expected, rtol=1e-6)
    observed = zoo.predictions(gaps(), by="site", outcome="k", groups={"site": "observed"})
    for level, shift in (("u", -0.5), ("v", 0.0), ("w", 0.5)):
        rows = (of_k.site == level).to_numpy()
        expected = [np.exp(shift) * zero_inflated_mean(j, time[rows], x[rows], 0.0).mean() for j in range(DRAWS)]
        np.testing.assert_allclose(values(observed, site=level)[:, 0], expected, rtol=1e-6)
    u = gaps()["posterior"]["u_id"].values[0]  # subjects in the order of the data
    own = zoo.predictions(gaps(), by=True, outcome="y", groups="observed")
    rows = np.flatnonzero(data().y.notna())
    line = GAPS["y_Intercept"][0][:, None] + GAPS["y_beta"][0] * data().x.to_numpy()[rows] + u[:, rows // 4, 0]
    np.testing.assert_allclose(values(own)[:, 0], line.mean(axis=1), rtol=1e-12)


def test_a_variable_of_one_outcome_is_compared_there() -> None:
    found = zoo.comparisons(gaps(), "time", measures="ratio", outcome="k")
    np.testing.assert_allclose(values(found)[:, 0], np.exp(GAPS["k_beta"][0, :, 0]), rtol=1e-9)
    both = zoo.comparisons(gaps(), "x", measures="difference")
    np.testing.assert_allclose(values(both, outcome="y")[:, 0], GAPS["y_beta"][0, :, 0], rtol=1e-9)


def test_a_shared_effect_is_loaded() -> None:
    model = build(
        zoo.joint_outcomes,
        data(),
        {"y ~ x + (1 |p| id)": "gaussian", "b ~ time + (1 |p| id)": "bernoulli"},
        shared="loading",
    )
    posterior = {
        "y_Intercept": several(1, 2, 3), "y_beta": several([0.5], [0.3], [-0.2]), "y_sigma": several(1, 1, 1), "y_sd_id": several([0.8], [1.5], [0.3]),
        "b_Intercept": several(-1, 0, 1), "b_beta": several([0.4], [0.1], [-0.3]), "b_loading": several(2.0, -1.0, 0.5),
        "y_u_id": np.random.default_rng(3).normal(size=(1, DRAWS, 24, 1)),
    }  # fmt: skip
    tree = tree_of(model, posterior)
    found = zoo.predictions(tree, by=True, outcome="b")
    eta = posterior["b_Intercept"][0][:, None] + posterior["b_beta"][0] * data().time.to_numpy()
    sd = np.abs(posterior["b_loading"][0] * posterior["y_sd_id"][0, :, 0])
    np.testing.assert_allclose(
        values(found)[:, 0], (expit(eta[..., None] + sd[:, None, None] * X) @ W).mean(axis=1), atol=1e-5
    )
    own = zoo.predictions(tree, by=True, outcome="b", groups="observed")
    u = posterior["b_loading"][0][:, None] * np.repeat(posterior["y_u_id"][0, :, :, 0], 4, axis=1)
    np.testing.assert_allclose(values(own)[:, 0], expit(eta + u).mean(axis=1), rtol=1e-9)


def test_correlated_residuals_change_no_mean() -> None:
    model = build(
        zoo.joint_outcomes, data(), {"y ~ x + (1 |p| id)": "gaussian", "v ~ time + (1 |p| id)": "gaussian"}, residual_correlation=True
    )  # fmt: skip
    tree = tree_of(
        model,
        {
            "y_Intercept": 1.0, "y_beta": [0.5], "y_sigma": 1.0, "v_Intercept": 2.0, "v_beta": [0.3], "v_sigma": 2.0, "sd_id": [1, 2],
            "corr_id": [[1, 0.5], [0.5, 1]], "corr_residual": [[1, 0.7], [0.7, 1]],
        },
    )  # fmt: skip
    found = zoo.predictions(tree, by=True).table.set_index("outcome")["mean"]
    np.testing.assert_allclose(found["y"], 1 + 0.5 * data()[data().y.notna()].x.mean(), rtol=1e-12)
    np.testing.assert_allclose(found["v"], 2 + 0.3 * 1.5, rtol=1e-12)


# ---------------------------------------------------------------------------------------------------------- never at risk

TRAIT = {
    "Intercept": several(0.5, 0.8, 0.2), "beta": several([0.1], [-0.2], [0.3]), "sd_id": several([0.5], [1.0], [0.2]),
    "never_Intercept": several(-1, 0, -2), "never_beta": several([0.7], [-0.4], [1.0]), "alpha": several(2.0, 1.0, 5.0),
    "u_id": np.random.default_rng(4).normal(size=(1, DRAWS, 24, 1)),
}  # fmt: skip


@functools.cache
def trait() -> xr.DataTree:
    return tree_of(
        build(zoo.never_at_risk, data(), "count ~ time + (1 | id)", never="~ arm", family="negative_binomial"), TRAIT
    )


def by_hand(u: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Each scale of counts, the average over rows (D,): at-risk share times what the negative binomial has, integrated over u."""
    time, arm = data().time.to_numpy(), (data().arm == "b").to_numpy()
    at_risk = 1 - expit(TRAIT["never_Intercept"][0][:, None] + TRAIT["never_beta"][0] * arm)  # (D, rows)
    eta = TRAIT["Intercept"][0][:, None] + TRAIT["beta"][0] * time
    points = TRAIT["sd_id"][0][:, :, None] * X if u is None else u["u"][:, :, None]
    weights = W if u is None else np.ones(1)
    mu, alpha = np.exp(eta[..., None] + points), TRAIT["alpha"][0][:, None, None]
    mean, positive = at_risk * (mu @ weights), at_risk * ((1 - (alpha / (alpha + mu)) ** alpha) @ weights)
    return {
        "mean": mean.mean(axis=1),
        "zero": 1 - positive.mean(axis=1),
        "positive": (mean / positive).mean(axis=1),
        "linear": eta.mean(axis=1),
    }


@pytest.mark.parametrize("scale", ["mean", "zero", "positive", "linear"])
def test_the_share_at_risk_multiplies_what_counts_have(scale: str) -> None:
    np.testing.assert_allclose(
        values(zoo.predictions(trait(), by=True, scale=scale))[:, 0], by_hand()[scale], rtol=1e-5
    )


@pytest.mark.parametrize("scale", ["mean", "zero", "positive"])
def test_groups_of_those_at_risk(scale: str) -> None:
    """`never` has no effects of subjects: its share is the same for a typical and for one's own."""
    typical = by_hand({"u": np.zeros((DRAWS, 1))})
    np.testing.assert_allclose(
        values(zoo.predictions(trait(), by=True, scale=scale, groups="typical"))[:, 0], typical[scale], rtol=1e-9
    )
    own = by_hand({"u": np.repeat(TRAIT["u_id"][0, :, :, 0], 4, axis=1)})
    np.testing.assert_allclose(
        values(zoo.predictions(trait(), by=True, scale=scale, groups="observed"))[:, 0], own[scale], rtol=1e-9
    )


def test_a_covariate_of_the_trait_is_compared() -> None:
    found = zoo.comparisons(trait(), "arm", measures=["difference", "ratio"])
    at_risk = [1 - expit(TRAIT["never_Intercept"][0] + TRAIT["never_beta"][0, :, 0] * g) for g in (0, 1)]
    np.testing.assert_allclose(values(found, measure="ratio")[:, 0], at_risk[1] / at_risk[0], rtol=1e-9)


def test_one_trial_of_those_at_risk() -> None:
    """Binomial counts: the risk of one trial, its ratio and odds ratio."""
    model = build(zoo.never_at_risk, data(), "hits | trials(n) ~ time + (1 | id)", family="bernoulli")
    posterior = {k: TRAIT[k] for k in ("Intercept", "beta", "sd_id")} | {"never": several(0.2, 0.5, 0.1)}
    tree = tree_of(model, posterior)
    at_risk = 1 - posterior["never"][0]

    def risk(time: float) -> np.ndarray:
        eta = posterior["Intercept"][0] + posterior["beta"][0, :, 0] * time
        return at_risk * (expit(eta[:, None] + posterior["sd_id"][0] * X) @ W)

    found = zoo.predictions(tree, at={"time": [0, 3]}, by=True)
    np.testing.assert_allclose(values(found), np.column_stack([risk(0), risk(3)]), rtol=1e-6)
    zero = zoo.predictions(tree, at={"time": [0, 3]}, by=True, scale="zero")
    np.testing.assert_allclose(values(zero), 1 - values(found), rtol=1e-9)
    odds = zoo.comparisons(tree, "time", contrast={"time": (0, 3)})
    np.testing.assert_allclose(
        values(odds, measure="odds_ratio")[:, 0], risk(3) / (1 - risk(3)) * (1 - risk(0)) / risk(0), rtol=1e-6
    )
