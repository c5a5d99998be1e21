"""Power-scaling: the numbers are ArviZ's, the reweighted posteriors those of conjugate models, the words those of planted priors."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_stats.psense import psense_summary
from hand_made_trees import tree_of
from matplotlib.text import Text
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.estimands import sensitivity
from glmm_zoo.estimands.sensitivity import ALL, CONFLICT, INFORMS, NO_SIGN, diagnosis, power_scaled

CHAINS, DRAWS = 2, 1000


def conjugate(mu: float, sigma: float, rows: int = 60, slope: float = 0.0) -> xr.DataTree:
    """y ~ Normal(b x, 1) with b ~ Normal(mu, sigma): exact draws of b, with their log prior and the log-likelihood of rows."""
    rng = np.random.default_rng(5)
    x = np.tile([-1.0, 1.0, 0.5], rows // 3)
    y = slope * x + rng.normal(size=rows)
    priors = {"beta": f"Normal({mu}, {sigma})", "sigma": "HalfNormal(1)"}
    model = zoo.hierarchical_linear(pd.DataFrame({"x": x, "y": y}), "y ~ 0 + x", priors=priors, center=False)
    mean, sd = posterior_of(x, y, mu, sigma)
    b = mean + sd * stats.norm.ppf((np.arange(CHAINS * DRAWS) + 0.5) / (CHAINS * DRAWS))
    b = rng.permutation(b).reshape(CHAINS, DRAWS)
    tree = tree_of(model, {"beta": b[..., None], "sigma": np.ones_like(b)})
    priors = {"beta": stats.norm.logpdf(b, mu, sigma)[..., None], "sigma": np.full(b.shape, stats.halfnorm.logpdf(1.0))}
    tree["log_prior"] = xr.Dataset(
        {"beta": (("chain", "draw", "coef"), priors["beta"]), "sigma": (("chain", "draw"), priors["sigma"])},
        {"coef": ["x"], "draw": np.arange(DRAWS)},
    )
    rows_of = stats.norm.logpdf(y, b[..., None] * x, 1.0)
    tree["log_likelihood"] = xr.Dataset(
        {"y": (("chain", "draw", "row"), rows_of)}, {"row": np.arange(rows), "draw": np.arange(DRAWS)}
    )
    return tree


def posterior_of(x: np.ndarray, y: np.ndarray, mu: float, sigma: float) -> tuple[float, float]:
    precision = x @ x + sigma**-2
    return float((x @ y + mu / sigma**2) / precision), float(precision**-0.5)


def row_of(tree: xr.DataTree, prior: str = "beta[x]") -> pd.Series:
    table = power_scaled(tree, None, None, 0.95).table
    return table[table["prior"] == prior].iloc[0]


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return conjugate(0.8, 0.2)


def theirs(tree: xr.DataTree, **of) -> pd.DataFrame:
    logging.disable(logging.WARNING)  # of what it found, which we tell ourselves
    try:
        return psense_summary(tree, var_names=["beta"], **of)
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("prior", [(0.8, 0.2), (5.0, 0.1), (0.0, 100.0)])
def test_the_sensitivities_are_arviz_s(prior: tuple[float, float]) -> None:
    tree = conjugate(*prior)
    table = theirs(tree, round_to=12)
    for of, names in ((ALL, None), ("beta[x]", ["beta"])):
        ours = row_of(tree, of)
        expected = (table if names is None else theirs(tree, prior_var_names=names, round_to=12)).loc["beta[x]"]
        np.testing.assert_allclose(
            [ours["to_prior"], ours["to_likelihood"]], expected[["prior", "likelihood"]].to_list(), rtol=1e-6
        )
        assert (ours["diagnosis"] == NO_SIGN) == (expected["diagnosis"] == "✓")


def test_a_prior_half_and_twice_as_strong_is_that_of_the_conjugate_model(tree: xr.DataTree) -> None:
    data = tree["constant_data"].dataset
    x, y = data["x"].values, tree["observed_data"].dataset["y"].values
    ours = row_of(tree)
    for strength, alpha in (("half", 0.5), ("twice", 2.0)):
        mean, sd = posterior_of(x, y, 0.8, 0.2 / np.sqrt(alpha))
        low, high = stats.norm.interval(0.95, mean, sd)
        np.testing.assert_allclose(
            ours[[f"{strength}_median", f"{strength}_lower", f"{strength}_upper"]].astype(float),
            [mean, low, high],
            atol=0.02,
        )
        assert ours[f"{strength}_k"] < 0.7
    assert ours["text"] == "Normal(0.8, 0.2)"


def test_planted_priors_are_called_what_they_are() -> None:
    conflict, flat, weak = conjugate(5.0, 0.1), conjugate(0.0, 100.0), conjugate(0.0, 0.02, rows=3)
    found = power_scaled(conflict, None, None, 0.95)
    assert row_of(conflict)["diagnosis"] == row_of(conflict, ALL)["diagnosis"] == CONFLICT
    assert row_of(conflict, "sigma")["diagnosis"] == NO_SIGN  # whose density is the same in every draw
    told = found.sentences[1]
    assert told.startswith("beta[x]: a sign of prior-data conflict: the prior of beta[x], Normal(5, 0.1), and the data")
    assert set(power_scaled(flat, None, None, 0.95).table["diagnosis"]) == {NO_SIGN}
    assert power_scaled(flat, None, None, 0.95).sentences[1] == "No sign that a prior decides beta[x]."
    found = power_scaled(weak, None, None, 0.95)
    assert row_of(weak)["diagnosis"] == row_of(weak, ALL)["diagnosis"] == INFORMS
    assert "the prior of beta[x], Normal(0, 0.02), informs it and the likelihood is weak" in found.sentences[1]


@pytest.mark.parametrize(
    ("to_prior", "to_likelihood", "expected"),
    [(0.0499, 0.3, NO_SIGN), (0.05, 0.05, CONFLICT), (0.05, 0.0499, NO_SIGN), (0.0501, 0.0499, INFORMS), (0.0501, 0.05, CONFLICT)],
)  # fmt: skip
def test_the_threshold(to_prior: float, to_likelihood: float, expected: str) -> None:
    assert diagnosis(to_prior, to_likelihood) == expected


def test_the_words_of_a_weight_that_cannot_be_trusted(tree: xr.DataTree) -> None:
    row = row_of(tree).copy()
    for k, trusted in ((0.69, True), (0.71, False)):
        row["half_k"] = k
        assert ("Pareto k is 0.71, too large" in sensitivity._sentence(row)) != trusted


def test_a_thinned_likelihood_is_aligned(tree: xr.DataTree) -> None:
    thinned = tree.copy()
    thinned["log_likelihood"] = tree["log_likelihood"].dataset.isel(draw=slice(0, None, 3))
    assert row_of(thinned)["to_prior"] == row_of(tree)["to_prior"]
    expected = theirs(tree.sel(draw=thinned["log_likelihood"].draw), round_to=12).loc["beta[x]", "likelihood"]
    assert row_of(thinned)["to_likelihood"] == pytest.approx(expected, rel=1e-9)


def test_outcomes_are_summed(tree: xr.DataTree) -> None:
    two = tree.copy()
    y = tree["log_likelihood"].dataset["y"]
    two["log_likelihood"] = xr.Dataset({"a": y[:, :, :20], "b": y[:, :, 20:].rename(row="b_row")})
    assert row_of(two)["to_likelihood"] == pytest.approx(row_of(tree)["to_likelihood"], rel=1e-9)


def test_estimates_are_targets_of_the_draws_that_they_have(tree: xr.DataTree) -> None:
    estimates = zoo.comparisons(tree, "x", contrast=1.0, draws=500)  # beta itself, of every fourth draw
    found = power_scaled(tree, [], estimates, 0.95)
    assert set(found.table["target"]) == {"difference of x +1"}
    ours = found.table[found.table["prior"] == ALL].iloc[0]
    expected = theirs(tree.isel(draw=slice(0, None, 4)), round_to=12).loc["beta[x]"]
    np.testing.assert_allclose(
        [ours["to_prior"], ours["to_likelihood"]], expected[["prior", "likelihood"]].to_list(), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop_nodes("log_prior"), "no group log_prior"),
        (lambda t: t.drop_nodes("log_likelihood"), "no group log_likelihood"),
    ],
)
def test_what_a_fit_lacks(tree: xr.DataTree, change, words: str) -> None:
    with pytest.raises(InputError, match=words):
        power_scaled(change(tree), None, None, 0.95)


def test_what_is_refused(tree: xr.DataTree) -> None:
    with pytest.raises(InputError, match="no parameter 'beto'; did you mean 'beta"):
        power_scaled(tree, ["beto"], None, 0.95)
    with pytest.raises(InputError, match="nothing was asked"):
        power_scaled(tree, [], None, 0.95)
    with pytest.raises(InputError, match="these estimates have 1 chains of 300 draws"):
        power_scaled(tree, None, zoo.comparisons(tree.isel(chain=[0]), "x", draws=300), 0.95)
    with pytest.raises(InputError, match="between 0 and 1"):
        power_scaled(tree, None, None, 1.0)
    few = tree.copy()
    few["log_likelihood"] = tree["log_likelihood"].dataset.isel(draw=slice(0, 40))
    with pytest.raises(InputError, match="kept for 40 of the 1000 draws"):
        power_scaled(few, None, None, 0.95)


# ---------------------------------------------------------------------------------------------------------------- fits


@pytest.fixture(scope="module")
def fitted() -> xr.DataTree:
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(6), 6)
    d = pd.DataFrame({"x": rng.normal(size=36), "w": rng.normal(size=36), "g": [f"g{i}" for i in g]})
    d["y"] = 1 + 0.6 * d.x + rng.normal(size=6)[g] + 0.5 * rng.normal(size=36)
    priors = {"beta[x]": "StudentT(3, 0, 0.02)"}
    model = zoo.hierarchical_linear(d, "y ~ x + w + (1 + x | g)", priors=priors)
    return zoo.fit(model, seed=1, draws=200, tune=200, chains=2, progress=False)


@pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")
def test_every_prior_is_scaled_under_its_name(fitted: xr.DataTree) -> None:
    found = zoo.sensitivity(fitted)
    texts = dict(zip(found.table["prior"], found.table["text"], strict=True))
    assert list(texts) == [
        ALL, "Intercept", "beta[x]", "beta[w]", "sd_g[Intercept]", "sd_g[x]", "corr_g", "sigma",
    ]  # fmt: skip
    assert texts["beta[x]"] == "StudentT(3, 0, 0.02)" and texts["corr_g"] == "LKJ(2)"
    assert texts["beta[w]"].startswith("Normal(0, ")
    assert found.table["target"].iloc[0].startswith("difference of x ")  # the answer comes first
    total = fitted["log_prior"].dataset.to_stacked_array("term", ["chain", "draw"]).sum("term")
    scaled = sum(p.log_density for p in sensitivity._priors(fitted))
    np.testing.assert_allclose(scaled, total.transpose("chain", "draw"))


@pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")
def test_fits_again_have_the_scales_halved_and_doubled(fitted: xr.DataTree) -> None:
    found = zoo.sensitivity(fitted, ["beta[x]"], estimates=lambda tree: zoo.comparisons(tree, "x"), refit=True)
    row = found.table[found.table["target"] == "beta[x]"].iloc[0]
    texts = zoo.update(fitted, priors={"beta[x]": "StudentT(3, 0, 0.04)"}, draws=4, tune=4).attrs["glmm_zoo"]
    assert "StudentT(3, 0, 0.04)" in texts
    assert row["halved_median"] < row["median"] < row["doubled_median"]  # the data say 0.6, the prior 0
    assert row["doubled_shift"] == pytest.approx(
        (row["doubled_median"] - np.median(fitted["posterior"]["beta"].sel(coef="x"))) / row["sd"], rel=1e-6
    )
    assert "Fitted again with the scales of 6 priors halved, and doubled: medians move" in " ".join(found.sentences)
    with pytest.raises(InputError, match="give a function of a fit"):
        zoo.sensitivity(fitted, estimates=zoo.comparisons(fitted, "x"), refit=True)


@pytest.mark.parametrize("width", [720, 343])
def test_the_picture(tree: xr.DataTree, width: int) -> None:
    found = power_scaled(tree, None, None, 0.95)
    picture = found.picture
    moved = max(abs(found.table[f"{s}_median"] - found.table["median"]).iloc[0] for s in ("half", "twice"))
    assert f"{moved / found.table['sd'].iloc[0]:.3g}" in picture.alt and "beta[x]" in picture.alt
    figure = picture.figure(width)
    figure.canvas.draw()
    texts = [t.get_window_extent() for t in figure.findobj(Text) if t.get_text()]
    assert all(box.x0 >= -1 and box.x1 <= width + 1 for box in texts)
