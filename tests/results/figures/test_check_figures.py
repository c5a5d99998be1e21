"""Pictures of checks: the numbers drawn are those of other computations, and all is inside and can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.priors import parse
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.densities import kernel_density, prior_density, prior_quantiles
from glmm_zoo.results.figures.picture import WIDE, Canvas, Picture
from glmm_zoo.results.figures.predictive_check import predictive_check
from glmm_zoo.results.figures.prior_posterior import prior_posterior, priors_and_posteriors
from glmm_zoo.results.figures.ranks import rank_band, rank_departures, ranks, trace
from glmm_zoo.results.fit_checks import fit_checks
from glmm_zoo.results.fit_checks.binary import calibration
from glmm_zoo.results.predicted_rows import predicted_rows
from tests.hand_made_trees import tree_of
from tests.predicted_trees import common_rate, predicted_tree, shares_of_groups, straight_line
from tests.results.figures.checked_pictures import checked


def drawn_well(picture: Picture) -> None:
    """As every picture is, with at most 300 marks."""
    for figure in checked(picture).values():
        assert sum(len(axis.lines) + len(axis.collections) + len(axis.patches) for axis in figure.axes) <= 300


def studies() -> xr.DataTree:
    n = [40, 300, 80, 150, 60]
    data = pd.DataFrame(
        {
            "s": np.repeat(list("abcde"), 2),
            "treat": [0, 1] * 5,
            "n": np.repeat(n, 2),
            "y": [8, 4, 60, 30, 16, 9, 30, 31, 50, 9],
        }
    )
    rng = np.random.default_rng(12)
    model = zoo.meta_analysis(data, "y | trials(n) ~ treat", study="s", treatment="treat")
    effect, tau = rng.normal(-0.6, 0.1, (1, 500)), np.abs(rng.normal(0, 0.2, (1, 500)))
    zeros = np.zeros((1, 500, 5))
    return tree_of(model, {"effect": effect, "tau": tau, "study_effect": zeros, "study_Intercept": zeros})


def of_kind(kind: str) -> xr.DataTree:
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(20), 10)
    if kind == "continuous":
        return straight_line(np.arange(100.0), rng.normal(size=100), rng)
    if kind == "counts":
        return common_rate(rng.poisson(2.0, 80), rng)
    if kind == "large counts":
        return common_rate(rng.negative_binomial(1, 0.02, 80), rng)
    if kind == "binary":
        return shares_of_groups(rng.binomial(1, rng.beta(2, 2, 20)[group]), group, rng)
    if kind == "few binary":
        return shares_of_groups(rng.binomial(1, 0.4, 30), np.arange(30) % 3, rng)
    if kind == "ordered":
        drawn = rng.integers(1, 4, (300, 90))
        facts = {"levels": ["low", "middle", "high"]}
        return predicted_tree(
            drawn[0],
            drawn,
            link="logit",
            columns={"x": np.arange(90.0)},
            builder="ordinal",
            family="ordinal",
            facts=facts,
        )
    return studies()


@pytest.mark.parametrize("kind", ["continuous", "counts", "large counts", "binary", "few binary", "ordered", "studies"])
def test_predictive_checks_are_drawn_well(kind):
    drawn_well(predictive_check(of_kind(kind), About()))


@pytest.mark.parametrize("draw", [ranks, trace, prior_posterior])
def test_pictures_of_a_fit_are_drawn_well(tree, draw):
    drawn_well(draw(tree, About(of="x")))


# ----------------------------------------------------------------------------------------------------- predictive check


def bar_heights(axis: Axes) -> list[float]:
    return [bar.get_height() for bar in axis.patches if isinstance(bar, Rectangle)]


def test_bars_and_intervals_of_counts():
    tree = of_kind("counts")
    axis = predictive_check(tree, About()).figure().axes[0]
    y, drawn = tree["observed_data"].dataset["y"].values, tree["posterior_predictive"].dataset["y"].values[0]
    numbers = np.arange(y.max() + 1)
    assert bar_heights(axis) == [(y == k).sum() for k in numbers]
    medians = [np.median((np.minimum(drawn, y.max()) == k).sum(axis=1)) for k in numbers]
    circles = next(line for line in axis.lines if line.get_marker() == "o")
    np.testing.assert_allclose(np.asarray(circles.get_ydata(), float), medians)


def test_the_spread_drawn_is_that_of_the_verdict():
    tree = of_kind("counts")
    picture = predictive_check(tree, About())
    ratio = next(check.ratio for check in fit_checks(tree) if check.name == "spread")
    assert f"Residuals vary {ratio:.1f} times as much as expected" in picture.alt


def test_diamonds_of_binary_rows():
    tree = of_kind("binary")
    picture = predictive_check(tree, About())
    (rows,) = predicted_rows(tree)
    found = calibration(rows)
    assert found is not None
    diamonds = next(line for line in picture.figure().axes[0].lines if line.get_marker() == "D")
    np.testing.assert_allclose(np.array(diamonds.get_data()), [found.expected, found.observed])
    outside = (np.abs(found.observed - found.expected) > 1.96 * found.sd).sum()
    assert picture.alt.startswith(f"{outside} of {len(found.sd)} bins lie outside")


def test_points_of_the_distribution_by_level():
    """In the second arm the data vary three times as much as the model says, which means do not show; the arm of the question is first."""
    rng = np.random.default_rng(7)
    arm, site = np.repeat(["a", "b"], 60), np.tile(["n", "s"], 60)
    y = rng.normal(size=120) * np.where(arm == "a", 1, 3)
    tree = predicted_tree(y, rng.normal(size=(400, 120)), link="identity", columns={"site": site, "arm": arm})
    picture = predictive_check(tree, About(of="arm"))
    axis = picture.figure().axes[-1]
    diamonds = np.array([line.get_ydata() for line in axis.lines if line.get_marker() == "D"])  # (points, levels)
    by_hand = [np.quantile(y[arm == level], [0.1, 0.5, 0.9]) for level in "ab"]
    np.testing.assert_allclose(diamonds.T, by_hand)
    assert "3 of 6 points of the distribution by arm" in picture.alt and "point of b" in picture.alt
    drawn_well(picture)
    few = predictive_check(
        predicted_tree(y[:69], rng.normal(size=(400, 69)), link="identity", columns={"arm": arm[:69]}), About()
    )
    just = predictive_check(
        predicted_tree(y[:70], rng.normal(size=(400, 70)), link="identity", columns={"arm": arm[:70]}), About()
    )
    assert "by arm" not in few.alt and "by arm" in just.alt  # nine and ten rows of b


def test_means_by_stretch():
    tree = of_kind("continuous")
    picture = predictive_check(tree, About(names={"x": "age"}, units={"x": "years"}))
    x, y = np.arange(100.0), tree["observed_data"].dataset["y"].values
    parts = pd.qcut(x, 6, labels=False)
    diamonds = next(line for line in picture.figure().axes[1].lines if line.get_marker() == "D")
    places, means = np.array(diamonds.get_data())
    np.testing.assert_allclose(places, pd.Series(x).groupby(parts).mean(), atol=0.6)
    np.testing.assert_allclose(means, pd.Series(y).groupby(parts).mean(), atol=0.1)
    assert "age, years" in picture.caption


def test_shares_of_categories():
    tree = of_kind("ordered")
    axis = predictive_check(tree, About(levels={"y": {"low": "none"}})).figure().axes[0]
    y = tree["observed_data"].dataset["y"].values
    np.testing.assert_allclose(bar_heights(axis), [(y == k).mean() for k in (1, 2, 3)])
    assert [label.get_text() for label in axis.get_xticklabels()][1:] == ["middle", "high"]


def test_a_study_outside_is_named_and_orange():
    picture = predictive_check(studies(), About())
    diamonds = [line for line in picture.figure().axes[0].lines if line.get_marker() == "D"]
    colours = {line.get_color(): len(np.asarray(line.get_xdata())) for line in diamonds}
    assert colours == {"#626d7b": 4, "#b04f16": 1}
    assert picture.alt == "1 of 5 studies lie outside the 95 % interval expected for their size: e."


# ---------------------------------------------------------------------------------------------------------------- ranks


def test_departures_are_those_of_empirical_distributions_of_ranks():
    draws = np.random.default_rng(1).normal(size=(3, 50)) + np.array([[0.0], [0.5], [0.0]])
    z, apart = rank_departures(draws)
    shares = stats.rankdata(draws).reshape(3, 50) / 150
    for k in range(3):
        np.testing.assert_allclose(apart[k], [(shares[k] <= place + 1e-12).mean() - place for place in z], atol=1e-12)


@pytest.mark.parametrize("parameters", [1, 10])
def test_the_band_holds_agreeing_chains(parameters):
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(200):
        found = []
        for _ in range(parameters):
            z, apart = rank_departures(rng.normal(size=(4, 100)))
            found.append((np.abs(apart) <= rank_band(z, 4, 100, parameters) + 1e-9).all())
        inside.append(all(found))
    assert 0.9 <= np.mean(inside) <= 1.0


def test_a_chain_that_departs_is_named(tree):
    stuck = tree.copy()
    posterior = stuck["posterior"].to_dataset()
    moved = posterior["beta"] + 2 * posterior["beta"].std() * (posterior["chain"] == 2)
    stuck["posterior"] = xr.DataTree(posterior.assign(beta=moved))
    picture = ranks(stuck, About())
    assert "beta[x] (chain" in picture.alt and "3" in picture.alt.split("beta[x] (chain")[1].split(")")[0]
    assert "All four chains stay within the band" in ranks(tree, About()).alt


# ------------------------------------------------------------------------------------------------------------ densities

DISTRIBUTIONS = {
    "Normal(298, 140)": stats.norm(298, 140), "Normal(mu=1, tau=4)": stats.norm(1, 0.5), "StudentT(3, 0.6, 2.8)": stats.t(3, 0.6, 2.8),
    "Cauchy(3, 1)": stats.cauchy(3, 1), "Laplace(1, 2)": stats.laplace(1, 2), "Logistic(1, 2)": stats.logistic(1, 2),
    "SkewNormal(1, 2, 3)": stats.skewnorm(3, 1, 2), "Uniform(-1, 4)": stats.uniform(-1, 5), "Exponential(0.02)": stats.expon(scale=50),
    "Exponential(scale=3)": stats.expon(scale=3), "HalfNormal(0.001)": stats.halfnorm(scale=0.001), "HalfCauchy(2)": stats.halfcauchy(scale=2),
    "HalfStudentT(4, 2)": None, "Gamma(5, 0.5)": stats.gamma(5, scale=2), "Gamma(mu=2, sigma=1)": stats.gamma(4, scale=0.5),
    "InverseGamma(0.4, 0.3)": stats.invgamma(0.4, scale=0.3), "InverseGamma(mu=2, sigma=1)": stats.invgamma(6, scale=10),
    "LogNormal(1, 0.5)": stats.lognorm(0.5, scale=np.e), "Weibull(2, 3)": stats.weibull_min(2, scale=3), "Beta(2, 3)": stats.beta(2, 3),
    "Beta(mu=0.4, sigma=0.2)": stats.beta(2, 3), "LKJ(2)": stats.beta(2.5, 2.5, -1, 2), "Dirichlet(1)": stats.beta(1, 2),
}  # fmt: skip


@pytest.mark.parametrize("text", DISTRIBUTIONS)
def test_densities_and_quantiles_of_priors(text):
    """A correlation of three effects, a share of three."""
    exact, prior, q = DISTRIBUTIONS[text], parse(text), np.array([0.25, 0.5, 0.75])
    if exact is None:
        half = stats.t(4, scale=2)
        x = half.ppf(0.5 + q / 2)
        np.testing.assert_allclose(prior_density(prior, x), 2 * half.pdf(x))
    else:
        x = exact.ppf(q)
        np.testing.assert_allclose(prior_density(prior, x, 3), exact.pdf(x))
    np.testing.assert_allclose(prior_quantiles(prior, q, 3), x, rtol=2e-3, atol=1e-4 * np.ptp(x))


def test_density_of_draws():
    draws = np.random.default_rng(4).normal(3, 2, 900)
    grid = np.linspace(-2, 8, 11)
    np.testing.assert_allclose(kernel_density(draws, grid), stats.gaussian_kde(draws, "silverman")(grid), rtol=0.2)
    halves = kernel_density(np.abs(draws - 3), np.linspace(0, 12, 2001), 0.0)
    assert halves.sum() * 12 / 2000 == pytest.approx(1, abs=0.01)


def test_priors_stand_by_their_parameters(tree):
    found = {one.name: one for one in priors_and_posteriors(tree, About(of="x"))}
    assert list(found)[:3] == ["sd_site[Intercept]", "sd_site[x]", "beta[x]"]
    sd = found["sd_site[x]"]
    posterior = tree["posterior"].dataset
    draws = (
        posterior["sd_site_at_means" if "sd_site_at_means" in posterior else "sd_site"]
        .sel(site_effect="x")
        .values.ravel()
    )
    np.testing.assert_array_equal(sd.draws, draws)
    rate = float(str(sd.prior).split("(")[1].rstrip(")"))
    prior = stats.expon(scale=1 / rate)
    assert sd.narrowed == pytest.approx(
        np.ptp(np.quantile(draws, [0.25, 0.75])) / np.ptp(prior.ppf([0.25, 0.75])), rel=1e-3
    )
    widest = max(found.values(), key=lambda one: one.narrowed)
    assert f"50 % interval of {widest.name} is {widest.narrowed:.2f} as wide" in prior_posterior(tree, About()).alt


def test_lines_of_axes_stand_at_the_edges_of_their_panel() -> None:
    (axis,) = Canvas(WIDE).panels(1, 100)
    axis.set(xlim=(-1, 1), ylim=(-1, 1))
    for side, across, edge in (("left", 0, axis.bbox.x0), ("bottom", 1, axis.bbox.y0)):
        spine = axis.spines[side]
        ends = spine.get_transform().transform(spine.get_path().vertices)
        np.testing.assert_allclose(ends[:, across], edge)
