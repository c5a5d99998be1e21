"""Leave-one-out: ArviZ's of rows, PSIS of levels against fits without them, comparisons and what is refused."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from hand_made_trees import tree_of
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.estimands import leave_one_out

pytestmark = pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")  # of few levels


def visits(levels: int = 8, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(levels), 5)
    x = rng.normal(size=len(g))
    y = 1 + 0.5 * x + rng.normal(size=levels)[g] + 0.7 * rng.normal(size=len(g))
    return pd.DataFrame({"g": [f"g{i}" for i in g], "x": x, "y": y, "h": [f"h{i % 6}" for i in range(len(g))]})


def conjugate(frame: pd.DataFrame, formula: str, draws: int = 500, prior: float = 1.0) -> xr.DataTree:
    """y ~ Normal(b, sigma) with group effects, sds and slope fixed: exact draws of b, given the sds; with the log-likelihood of rows."""
    model = zoo.hierarchical_linear(frame, formula)
    rng, S = np.random.default_rng(3), covariance(frame)
    precision = np.ones(len(frame)) @ np.linalg.solve(S, np.ones(len(frame))) + 1 / prior**2
    mean = np.ones(len(frame)) @ np.linalg.solve(S, frame.y - 0.5 * frame.x) / precision
    b = rng.normal(mean, precision**-0.5, size=(2, draws))
    ones = np.ones((2, draws))
    values = {"Intercept": b, "beta": 0.5 * ones[..., None], "sigma": 0.7 * ones, "sd_g": ones[..., None]}
    tree = tree_of(model, values)
    rows = stats.norm.logpdf(frame.y.to_numpy(), b[..., None] + 0.5 * frame.x.to_numpy(), np.sqrt(1 + 0.7**2))
    tree["log_likelihood"] = xr.Dataset({"y": (("chain", "draw", "row"), rows)}, {"row": np.arange(len(frame))})
    return tree


def covariance(d: pd.DataFrame) -> np.ndarray:
    return 1.0 * (d.g.to_numpy()[:, None] == d.g.to_numpy()) + 0.7**2 * np.eye(len(d))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return visits()


@pytest.fixture(scope="module")
def tree(frame: pd.DataFrame) -> xr.DataTree:
    return conjugate(frame, "y ~ x + (1 | g)")


@pytest.mark.filterwarnings("ignore:.*invalid value.*")
def test_rows_are_left_out_by_arviz(tree: xr.DataTree) -> None:
    ours, theirs = zoo.loo(tree), arviz_stats.loo(tree, pointwise=True)
    np.testing.assert_allclose([ours.elpd, ours.se, ours.p], [theirs.elpd, theirs.se, theirs.p], rtol=1e-12)
    np.testing.assert_allclose(ours.table["elpd"], theirs.elpd_i, rtol=1e-12)
    np.testing.assert_allclose(ours.table["pareto_k"], theirs.pareto_k, rtol=1e-12)
    assert list(ours.table["row"]) == list(range(1, 41))
    assert "own groups' other rows are known" in ours.sentence and "Pareto k is at most" in ours.sentence


def test_a_new_level_is_predicted_as_by_the_exact_posterior_of_the_others(
    frame: pd.DataFrame, tree: xr.DataTree
) -> None:
    """All is normal: y of a level given the others, with the intercept's prior Normal(0, 1)."""
    ours = zoo.loo(tree, level="g")
    assert ours.table.columns.tolist() == ["g", "elpd", "pareto_k"] and "elpd of a new g" in ours.sentence
    V = covariance(frame) + 1.0
    for level, elpd in zip(ours.table["g"], ours.table["elpd"], strict=True):
        out = (frame.g == level).to_numpy()
        A = V[np.ix_(out, ~out)] @ np.linalg.inv(V[np.ix_(~out, ~out)])
        e = (frame.y - 0.5 * frame.x).to_numpy()
        expected = stats.multivariate_normal.logpdf(e[out], A @ e[~out], V[np.ix_(out, out)] - A @ V[np.ix_(~out, out)])
        np.testing.assert_allclose(elpd, expected, atol=0.05)
    np.testing.assert_allclose(ours.elpd, ours.table["elpd"].sum())
    np.testing.assert_allclose(ours.se, np.sqrt(8 * np.var(ours.table["elpd"], ddof=1)))
    assert ours.doubtful == [] and "Pareto k" in repr(ours) and "g7" in repr(ours)


def test_levels_whose_k_is_large_are_told_with_the_advice(frame: pd.DataFrame) -> None:
    """One level is far from the others, and the draws of the intercept follow it."""
    wild = frame.assign(y=frame.y + 10 * (frame.g == "g3"))
    ours = zoo.loo(conjugate(wild, "y ~ x + (1 | g)", prior=100.0), level="g")
    assert ours.doubtful == ["g3"]
    assert "above 0.7 for 1 of 8 g" in ours.sentence and "(g g3)" in ours.sentence and "refit=True" in ours.sentence


def test_fits_are_compared_by_differences_of_single_levels(frame: pd.DataFrame, tree: xr.DataTree) -> None:
    shifted = conjugate(frame, "y ~ x + (1 | g)")
    shifted["posterior"] = shifted["posterior"].dataset.assign(Intercept=shifted["posterior"]["Intercept"] + 1.0)
    table = zoo.loo_compare({"shifted": shifted, "plain": tree}, level="g")
    assert table.index.tolist() == ["plain", "shifted"]
    d = zoo.loo(shifted, level="g").table["elpd"] - zoo.loo(tree, level="g").table["elpd"]
    assert table.loc["plain", "difference"] == 0
    np.testing.assert_allclose(table.loc["shifted", "difference"], d.sum(), rtol=1e-9)
    np.testing.assert_allclose(table.loc["shifted", "se_difference"], np.sqrt(len(d) * np.var(d)), rtol=1e-9)
    np.testing.assert_allclose(table["weight"].sum(), 1)
    gap, se = -table.loc["shifted", "difference"], table.loc["shifted", "se_difference"]
    said = "more than twice" if gap > 2 * se else "more than" if gap > se else "not more than"
    assert table.attrs["sentence"].startswith(
        f"'plain' predicts a new g better than 'shifted': its elpd is {gap:.1f} higher"
    )
    assert said in table.attrs["sentence"]


def test_what_cannot_be_compared_or_left_out_is_said(frame: pd.DataFrame, tree: xr.DataTree) -> None:
    other = conjugate(frame.assign(y=frame.y + 1), "y ~ x + (1 | g)")
    with pytest.raises(InputError, match="different responses"):
        zoo.loo_compare({"a": tree, "b": other})
    with pytest.raises(InputError, match="two fits or more by name"):
        zoo.loo_compare({"a": tree})
    with pytest.raises(InputError, match="level: no grouping factor 'gg'; did you mean 'g'"):
        zoo.loo(tree, level="gg")
    with pytest.raises(InputError, match="say of which"):
        zoo.loo(tree, refit=True)
    crossed = zoo.hierarchical_linear(frame, "y ~ x + (1 | h)")
    by_h = tree_of(
        crossed, {"Intercept": [[0.0, 0.1]], "beta": [[[0.5], [0.4]]], "sigma": [[1.0, 1.1]], "sd_h": [[[1.0], [0.5]]]}
    )
    with pytest.raises(InputError, match="no grouping factor 'g'"):
        zoo.loo_compare({"a": tree, "b": by_h}, level="g")
    with pytest.raises(InputError, match="no group log_likelihood"):
        zoo.loo(by_h)


@pytest.mark.parametrize(
    ("name", "level", "words"),
    [("joint", "g", "one outcome"), ("never at risk", "id", r"never at risk; loo\(\) leaves out one \w+ at a time")],
)
def test_models_whose_levels_are_not_left_out(name: str, level: str, words: str) -> None:
    model, values = row_models.model_of(name), row_models.evaluator(name)(1)[1]
    tree = tree_of(model, {n: values[n].values for n in row_models.reported(model)})
    with pytest.raises(InputError, match=words):
        zoo.loo(tree, level=level)
    if name == "never at risk":
        with pytest.raises(InputError, match="never at risk"):
            zoo.r2(tree)


@pytest.mark.slow
def test_a_refit_without_levels_is_what_smoothing_approximates(monkeypatch: pytest.MonkeyPatch) -> None:
    data = visits(levels=8, seed=4).assign(ill=lambda d: (d.y > 1).astype(int))
    model = zoo.hierarchical_logistic(data, "ill ~ x + (1 | g) + (1 | h)", priors={"sd[g]": "HalfNormal(2)"})
    tree = zoo.fit(model, draws=1000, tune=500, chains=2, seed=1)
    smoothed = zoo.loo(tree, level="g").table.set_index("g")
    monkeypatch.setattr(leave_one_out, "LARGEST_K", float(smoothed["pareto_k"].nlargest(3).iloc[-1]))
    ours = zoo.loo(tree, level="g", refit=True)
    pd.testing.assert_frame_equal(zoo.loo(tree, level="g", refit=True, workers=2).table, ours.table, check_exact=True)
    again = ours.table[ours.table["pareto_k"].isna()]
    assert len(again) == 2 and "fits without each of them" in ours.sentence
    np.testing.assert_allclose(again["elpd"], smoothed.loc[again["g"], "elpd"], atol=0.25)
    assert (again["elpd"].to_numpy() != smoothed.loc[again["g"], "elpd"]).all()
    np.testing.assert_allclose(ours.elpd, ours.table["elpd"].sum())
    np.testing.assert_allclose(ours.p + ours.elpd, zoo.loo(tree, level="g").p + smoothed["elpd"].sum())
