"""Pictures of populations: what is drawn is what the draws and the data say, and any names are words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from checked_pictures import checked, circles, discs, segments, words
from hand_made_trees import tree_of
from matplotlib.collections import PathCollection
from population_fits import HOSTILE, absent, around, build, calls, curve, growth, herds, ratings, two_outcomes
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.results.about import About, AboutOutcome
from glmm_zoo.results.figures.adjusted_means import adjusted_means
from glmm_zoo.results.figures.categories import categories
from glmm_zoo.results.figures.correlation import correlation
from glmm_zoo.results.figures.curves import curves_by, smooths
from glmm_zoo.results.figures.effects import coefficient_words, conditional_effects, effects
from glmm_zoo.results.figures.estimated import amount_of
from glmm_zoo.results.figures.group_lines import group_lines
from glmm_zoo.results.figures.never_share import never_share
from glmm_zoo.results.figures.outcomes_effects import outcomes_effects
from glmm_zoo.results.figures.picture import BANDS, NARROW, WIDE, Picture
from glmm_zoo.results.figures.slopes_scatter import slopes_scatter
from glmm_zoo.results.figures.zero_part import zero_part

ABOUT = About(outcome="a new case", names={"period": "quarter", "herd": "herd"}, plurals={"herd": "herds"})
GRID = [0.0, 1.0, 2.5, 4.0, 5.0]
MANY = tuple(f"level {i}" for i in range(40))
TWELVE = tuple("abcdefghijkl")


def by_period(tree: xr.DataTree, about: About = ABOUT) -> Picture:
    return adjusted_means(tree, zoo.predictions(tree, by="period"), about, zoo.comparisons(tree, "period"))


def over_time(tree: xr.DataTree, **more: object) -> Picture:
    means = zoo.predictions(tree, by="arm", at={"time": GRID})
    return curves_by(tree, means, About(outcome="weight", unit="kg", units={"time": "years"}), **more)


def in_parts(tree: xr.DataTree, **asked: object) -> Picture:
    return zero_part(
        tree, [zoo.predictions(tree, scale=s, **asked) for s in ("zero", "mean", "positive")], About(outcome="calls")
    )


PICTURES = {
    "effects": lambda: effects(zoo.comparisons(herds(), "period"), ABOUT),
    "effects, hostile": lambda: effects(zoo.comparisons(herds(HOSTILE), "period"), About()),
    "effects, many": lambda: effects(zoo.comparisons(herds(TWELVE), "period", contrast="pairwise"), About()),
    "conditional_effects": lambda: conditional_effects(herds(), ABOUT),
    "conditional_effects, two kinds": lambda: conditional_effects(absent(), About()),
    "conditional_effects, hostile": lambda: conditional_effects(herds(HOSTILE), About()),
    "adjusted_means": lambda: by_period(herds()),
    "adjusted_means, hostile": lambda: by_period(herds(HOSTILE), About(outcome=HOSTILE[1])),
    "adjusted_means, one level": lambda: adjusted_means(
        herds(), zoo.predictions(herds(), by=True, at={"period": ["2"]}), ABOUT
    ),
    "adjusted_means, twelve": lambda: by_period(herds(TWELVE), About()),
    "adjusted_means, many": lambda: by_period(herds(MANY), About()),
    "adjusted_means, below zero": lambda: adjusted_means(
        growth(), zoo.predictions(growth(), by="arm"), About(unit="kg"), zoo.comparisons(growth(), "arm")
    ),
    "curves_by": lambda: over_time(growth()),
    "curves_by, hostile": lambda: over_time(growth(HOSTILE)),
    "curves_by, many": lambda: over_time(growth(TWELVE)),
    "curves_by, groups": lambda: over_time(growth(), own=zoo.predictions(growth(), groups="observed")),
    "curves_by, one": lambda: curves_by(
        growth(), zoo.predictions(growth(), by=True, at={"time": GRID}), About(outcome=HOSTILE[2])
    ),
    "smooths": lambda: smooths(curve(), About(names={"x": "$x$"})),
    "group_lines": lambda: group_lines(
        growth(), zoo.predictions(growth(), groups="observed"), zoo.predictions(growth()), About(outcome="weight")
    ),
    "categories": lambda: categories(
        ratings(), zoo.predictions(ratings(), by="temp", scale="probability"), About(outcome="bitterness")
    ),
    "categories, hostile": lambda: categories(
        ratings(HOSTILE), zoo.predictions(ratings(HOSTILE), by="temp", scale="probability"),
        About(levels={"y": {"1": HOSTILE[0], "2": HOSTILE[1]}}),
    ),
    "categories, many": lambda: categories(
        ratings(MANY), zoo.predictions(ratings(MANY), by="temp", scale="probability"), About()
    ),
    "zero_part": lambda: in_parts(calls(), by="fed"),
    "zero_part, curve": lambda: in_parts(calls(), by=True, at={"time": list(np.linspace(0, 9, 15))}),
    "never_at_risk": lambda: never_share(absent(), About(levels={"mined": {"yes": HOSTILE[2], "no": HOSTILE[1]}})),
    "outcomes_effects": lambda: outcomes_effects(
        zoo.comparisons(two_outcomes(), "arm"), About(outcomes={"weight": AboutOutcome("weight", "kg")})
    ),
    "correlation": lambda: correlation(growth(), About(names={"time": HOSTILE[2]})),
    "correlation of outcomes": lambda: correlation(two_outcomes(), About()),
    "slopes_scatter": lambda: slopes_scatter(growth(), About(names={"subject": HOSTILE[0]})),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_words_stay_inside_and_marks_in_their_axes(name):
    checked(PICTURES[name]())


# ------------------------------------------------------------------------------------------------------ intervals by level


def quantiles_of(estimates: zoo.Estimates, measure: str) -> np.ndarray:
    """Quantiles (5, n) of the draws of a measure."""
    rows = np.flatnonzero(estimates.table["measure"] == measure)
    return np.quantile(estimates.draws["value"].values[..., rows], BANDS, axis=(0, 1))


def test_comparisons_are_drawn_where_their_quantiles_are():
    compared = zoo.comparisons(herds(), "period")
    picture = effects(compared, ABOUT)
    first, second = picture.figure(WIDE).axes
    for axis, measure in ((first, "difference"), (second, "ratio")):
        q = quantiles_of(compared, measure)
        np.testing.assert_allclose(circles(axis)[:, 0], q[2])
        np.testing.assert_allclose(segments(axis, 1.8)[:, :, 0].T, q[[0, 4]])
        np.testing.assert_allclose(segments(axis, 6)[:, :, 0].T, q[[1, 3]])
    assert first.get_xlabel() == "percentage points" and second.get_xscale() == "log"
    shown = words(picture.figure(WIDE))
    assert "quarter 2 vs 1" in shown and "2 vs 1" in words(picture.figure(NARROW))
    for row in quantiles_of(compared, "ratio").T:
        low, median, high = (f"{round(v, 2):.2f}" for v in (row[0], row[2], row[4]))
        assert f"{median} ({low} to {high})" in picture.alt


def test_a_difference_of_risks_alone_is_in_percentage_points():
    figure = effects(zoo.comparisons(herds(), "period", measures="difference"), ABOUT).figure(WIDE)
    assert len(figure.axes) == 1 and figure.axes[0].get_xlabel() == "percentage points"


def test_ratios_within_a_group_are_exp_of_the_coefficients():
    figure = conditional_effects(herds(), ABOUT).figure(WIDE)
    q = np.exp(np.quantile(herds()["posterior"]["beta"].values, BANDS, axis=(0, 1)))
    np.testing.assert_allclose(circles(figure.axes[0])[:, 0], q[2], rtol=1e-3)  # between two draws
    np.testing.assert_allclose(segments(figure.axes[0], 1.8)[:, :, 0].T, q[[0, 4]], rtol=1e-2)


def test_coefficients_are_told_in_words():
    about = About(names={"arm": "drug", "x.1": "age"}, levels={"arm": {"1": "new"}})
    assert coefficient_words(about, "arm[1]:I(x.1/10)") == "new × age/10"
    assert coefficient_words(about, "arm[2]") == "drug 2"
    assert coefficient_words(About(names={"visit no": "visit"}), "dose[B: high]:visit no") == "B: high × visit"


def test_colons_of_levels_and_brackets_of_column_names_are_not_taken_apart():
    about = About(names={"CRP [mg/l]": "CRP", "age at entry": "age"}, levels={"arm [a, b]": {"b": "new"}})
    assert coefficient_words(about, "treatment[B: new]:years") == "B: new × years"
    assert coefficient_words(about, "CRP [mg/l]") == "CRP"
    assert coefficient_words(about, "log(CRP [mg/l]):I(age at entry/10)") == "log(CRP) × age/10"
    assert coefficient_words(about, "arm [a, b][b]") == "new"
    assert coefficient_words(about, "dose[[high]]:age[<65: low]") == "[high] × <65: low"


def test_intervals_that_are_far_out_are_cut_with_an_arrow():
    compared = zoo.comparisons(herds(), "period", measures=["ratio"])
    compared.draws["value"].values[:, :20, 0] *= 1e9
    axis = effects(compared, ABOUT).figure(WIDE).axes[0]
    assert len(circles(axis, ">")) == 1 and axis.get_xlim()[1] < 100


def test_averages_stand_over_the_proportions_of_single_herds():
    tree = herds()
    means = zoo.predictions(tree, by="period")
    picture = by_period(tree)
    axis, second = picture.figure(WIDE).axes
    np.testing.assert_allclose(circles(axis)[:, 1], quantiles_of(means, "mean")[2])
    np.testing.assert_allclose(segments(axis, 1.8)[:, :, 1].T, quantiles_of(means, "mean")[[0, 4]])
    data = tree["constant_data"].to_dataset().to_pandas()
    np.testing.assert_allclose(np.sort(discs(axis)[0][:, 1]), np.sort(data["y"] / data["n"]))
    np.testing.assert_allclose(circles(second)[:, 0], quantiles_of(zoo.comparisons(tree, "period"), "difference")[2])
    assert second.get_title() == "" and "Difference from quarter 1" in words(picture.figure(WIDE))
    assert "observed proportions of single herds, larger for more observations" in picture.caption


def test_raw_values_that_are_many_or_far_out_are_told():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"arm": ["a", "b"] * 400, "g": np.repeat(np.arange(8), 100), "y": rng.normal(5, 1, 800)})
    data.loc[::200, "y"] = 1e6
    tree = tree_of(
        build(zoo.hierarchical_linear, data, "y ~ arm + (1 | g)"),
        {
            "Intercept": around(5.0)[..., 0], "beta": around(0.3), "sigma": 1 + 0 * around(0.0)[..., 0],
            "sd_g": 0.2 + 0 * around(0.0), "u_g": around(*[0.0] * 8)[..., None],
        },
    )  # fmt: skip
    picture = adjusted_means(tree, zoo.predictions(tree, by="arm"), About())
    checked(picture)
    assert "a sample of 300 of 800" in picture.caption and "beyond the axis" in picture.caption


def test_effects_of_several_outcomes_share_no_axis():
    with pytest.raises(InputError, match="effects are of one outcome, and these are of ill, weight"):
        effects(zoo.comparisons(two_outcomes(), "arm"), About())
    compared = zoo.comparisons(two_outcomes(), "arm")
    axes = outcomes_effects(compared, About()).figure(WIDE).axes
    for axis, q in zip(axes, quantiles_of(compared, "difference").T, strict=True):
        np.testing.assert_allclose(circles(axis)[0, 0], q[2])
        low, high = axis.get_xlim()
        assert low == pytest.approx(-high)
    assert [axis.get_xlabel() for axis in axes] == ["percentage points", ""]


# ------------------------------------------------------------------------------------------------------------- curves


def test_curves_and_their_difference_are_those_of_the_draws():
    tree = growth()
    means = zoo.predictions(tree, by="arm", at={"time": GRID})
    first, second = over_time(tree).figure(WIDE).axes
    draws = means.draws["value"].values.reshape(-1, len(means.table))
    arm = means.table["arm"].to_numpy()
    lines = [line.get_xydata() for line in first.lines]
    for line, name in zip(lines, "ab", strict=True):
        np.testing.assert_allclose(line, np.column_stack([GRID, np.median(draws[:, arm == name], axis=0)]))
    difference = next(line for line in second.lines if len(line.get_xdata()) == len(GRID))
    np.testing.assert_allclose(difference.get_ydata(), np.median(draws[:, arm == "b"] - draws[:, arm == "a"], axis=0))
    beta = tree["posterior"]["beta"].sel(coef=["arm[b]", "arm[b]:time"]).values.reshape(-1, 2)
    np.testing.assert_allclose(
        difference.get_ydata(), np.median(beta @ np.array([np.ones(5), GRID]), axis=0), atol=0.05
    )
    data = tree["constant_data"].to_dataset().to_pandas()
    assert {tuple(p) for p in np.concatenate(discs(first)).round(6)} <= {
        tuple(p) for p in data[["time", "y"]].to_numpy().round(6)
    }


@pytest.mark.slow
def test_curves_are_drawn_where_levels_have_colons_and_brackets():
    data = pd.DataFrame({"arm": ["A: usual", "B: [new]"] * 20, "time": np.arange(40.0) % 7})
    data["y"] = np.random.default_rng(1).normal(data["time"])
    tree = zoo.fit(
        zoo.hierarchical_linear(data, "y ~ arm * time"), seed=1, draws=50, tune=100, chains=2, progress=False
    )
    assert "B: [new] minus A: usual" in [
        text.get_text() for axes in zoo.plot(tree, "curves").axes for text in axes.texts
    ]


def test_labels_of_curves_begin_beyond_the_discs_at_their_ends():
    """Proportions of most observations are the largest discs, and here they are at the last dose."""
    data = pd.DataFrame(
        {"arm": ["a", "b"] * 4, "dose": np.repeat(np.arange(4.0), 2), "n": np.repeat([5, 20, 50, 90], 2)}
    )
    data["y"] = data["n"] // 3
    model = build(zoo.hierarchical_logistic, data, "y | trials(n) ~ arm * dose")
    tree = tree_of(model, {"Intercept": around(-0.7)[..., 0], "beta": around(0.3, 0.1, 0.1, sd=0.05)})
    means = zoo.predictions(tree, by=True, at={"arm": ["a", "b"], "dose": [0.0, 1.0, 2.0, 3.0]})
    figure = curves_by(tree, means, About()).figure(WIDE)
    figure.canvas.draw()
    axis, ends = figure.axes[0], []
    for cloud in (c for c in axis.collections if isinstance(c, PathCollection)):
        places = axis.transData.transform(np.asarray(cloud.get_offsets()))[:, 0]
        ends.append(np.max(places + np.sqrt(cloud.get_sizes()) / 2 * figure.dpi / 72))
    labels = [text.get_window_extent().x0 for text in axis.texts if text.get_text() in ("a", "b")]
    assert len(labels) == 2 and min(labels) > max(ends)


def test_curves_need_a_number_and_few_groups():
    with pytest.raises(InputError, match="along a column of more than two numbers, and these estimates are of period"):
        curves_by(herds(), zoo.predictions(herds(TWELVE), by="period"), About())
    tree = growth(tuple("abcdefghijklm"))
    with pytest.raises(InputError, match="at most 12 curves, and these are 13"):
        over_time(tree)


def test_a_smooth_curve_is_that_of_curves():
    axis = smooths(curve(), About()).figure(WIDE).axes[0]
    found = zoo.curves(curve()).isel(curve=0)
    np.testing.assert_allclose(axis.lines[0].get_ydata(), found["response_mean"])
    assert f"edf {float(found['edf']):.1f}" in smooths(curve(), About()).alt


def test_single_groups_have_their_own_line_and_data():
    tree = growth()
    own = zoo.predictions(tree, groups="observed")
    figure = group_lines(tree, own, zoo.predictions(tree), About()).figure(WIDE)
    assert len(figure.axes) == 12
    names = [w for w in words(figure) if w.startswith("s")]
    level = own.table.groupby("subject")["median"].mean().sort_values()
    assert names[0] == level.index[0] and names[-1] == level.index[-1]
    line = figure.axes[0].lines[1].get_ydata()
    np.testing.assert_allclose(line, own.table[own.table["subject"] == names[0]].sort_values("time")["median"])


# ----------------------------------------------------------------------------------------------- categories, zeros, groups


def test_bars_are_the_probabilities_and_the_shares_observed():
    tree = ratings()
    asked = zoo.predictions(tree, by="temp", scale="probability")
    axis = categories(tree, asked, About()).figure(WIDE).axes[0]
    ends = [np.ptp(patch.get_xy()[:, 0]) for patch in axis.patches if np.ptp(patch.get_xy()[:, 1]) > 15]
    data = tree["constant_data"].to_dataset().to_pandas()
    shares = pd.crosstab(data["temp"], data["y"], normalize="index")
    means = asked.table.pivot(index="temp", columns="category", values="mean")
    expected = np.concatenate([np.concatenate([shares.loc[t], means.loc[t]]) for t in ("cold", "warm")])
    np.testing.assert_allclose(ends, expected)


def test_zeros_and_means_stand_beside_what_was_observed():
    tree = calls()
    axes = in_parts(tree, by="fed").figure(WIDE).axes
    data = tree["constant_data"].to_dataset().to_pandas()
    zero = data.groupby("fed")["y"].agg(lambda y: (y == 0).mean())
    np.testing.assert_allclose(circles(axes[0], "D")[:, 1], zero)
    np.testing.assert_allclose(circles(axes[1], "D")[:, 1], data.groupby("fed")["y"].mean())
    np.testing.assert_allclose(circles(axes[2], "D")[:, 1], data[data["y"] > 0].groupby("fed")["y"].mean())
    q = quantiles_of(zoo.predictions(tree, scale="zero", by="fed"), "zero")
    np.testing.assert_allclose(circles(axes[0])[:, 1], q[2])


def test_zeros_of_rates_are_said_to_be_for_one_unit_of_exposure():
    """A rate's probability of no call is of one day, not of the days that a row has."""
    tree = calls("y ~ fed + time + offset(log(days)) + (1 | nest)")
    about = About(outcome="calls")
    assert amount_of(tree, about, "zero").words == "probability of no calls in one unit of days"
    assert amount_of(tree, about, "positive").words == "mean number of calls in one unit of days, where any"
    assert amount_of(tree, About(outcome="calls", unit="day"), "zero").words == "probability of no calls in one day"
    assert amount_of(calls(), about, "zero").words == "probability of no calls"


def test_the_share_never_at_risk_is_that_of_the_coefficients():
    tree = absent()
    first, second = never_share(tree, About()).figure(WIDE).axes
    posterior = tree["posterior"]
    at_means, beta = posterior["never_Intercept_at_means"].values, posterior["never_beta"].values[..., 0]
    expected = [np.median(expit(at_means + beta * (x - 0.5))) for x in (0, 1)]  # half of the subjects are mined
    np.testing.assert_allclose(circles(first)[:, 0], expected)
    probability = posterior["never_probability"].mean(("chain", "draw")).values
    np.testing.assert_allclose(np.sort(discs(second)[0][:, 1]), np.sort(probability))


def test_correlations_and_the_ellipse_are_those_of_the_draws():
    tree = growth()
    rho = tree["posterior"]["corr_subject_at_means"].values[..., 0, 1]
    assert f"{np.median(rho):.2f}" in words(correlation(tree, About()).figure(WIDE))
    axis = slopes_scatter(tree, About()).figure(WIDE).axes[0]
    np.testing.assert_allclose(discs(axis)[0], tree["posterior"]["u_subject_at_means"].mean(("chain", "draw")))
    ellipse = max((line.get_xydata() for line in axis.lines), key=len)
    sd = np.median(tree["posterior"]["sd_subject_at_means"], axis=(0, 1))
    assert np.abs(ellipse).max(0) == pytest.approx(
        2.4477 * sd, rel=2e-3
    )  # the square root of chi-squared with 2 df at 0.95
    with pytest.raises(InputError, match="slopes_scatter draws correlated group effects of this fit, and it has none"):
        slopes_scatter(herds(), About())
