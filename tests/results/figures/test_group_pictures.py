"""Caterpillars: the levels of a factor have the quantiles of the draws, their raw proportions, and stand in the order of their estimates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from checked_pictures import checked, circles, segments, words
from hand_made_trees import tree_of
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.caterpillar import caterpillar
from glmm_zoo.results.figures.picture import NARROW, WIDE
from glmm_zoo.results.figures.svg import Stylesheet
from glmm_zoo.results.storage import metadata, write_metadata

ABOUT = About(outcome="new case", individual="animal", names={"herd": "farm"})
SHAPE = (2, 40)


def herds(n: int, name: Callable[[int], object] = lambda i: i + 1) -> pd.DataFrame:
    rng = np.random.default_rng(n)
    herd = np.repeat(np.arange(n), 3)
    size = rng.integers(5, 40, 3 * n)
    data = {
        "cases": rng.binomial(size, 0.2),
        "size": size,
        "x": rng.normal(size=3 * n),
        "herd": [name(int(i)) for i in herd],
    }
    return pd.DataFrame(data)


def fit_of(data: pd.DataFrame, **more: np.ndarray) -> xr.DataTree:
    """A fit with draws that are far from each other, and a slope of 0."""
    model = zoo.hierarchical_logistic(data, "cases | trials(size) ~ x + (1 | herd)")
    rng, n = np.random.default_rng(5), data["herd"].nunique()
    level = -1.5 + 0.2 * rng.normal(size=SHAPE)
    values = {
        "Intercept": level, "Intercept_at_means": level, "beta": np.zeros((*SHAPE, 1)),
        "sd_herd": 0.5 + 0.05 * rng.random(size=(*SHAPE, 1)),
        "u_herd": (0.5 * rng.normal(size=n) + 0.3 * rng.normal(size=(*SHAPE, n)))[..., None],
    }  # fmt: skip
    return tree_of(model, values | more)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_risks_of_levels_are_those_of_the_draws_beside_raw_proportions(width) -> None:
    data = herds(12)
    tree = fit_of(data)
    axis = checked(picture := caterpillar(tree, "herd", ABOUT))[width].axes[0]
    posterior = tree["posterior"].dataset
    risks = expit(posterior["Intercept"].values[..., None] + posterior["u_herd"].values[..., 0]).reshape(-1, 12)
    order = np.argsort(-np.median(risks, axis=0))
    np.testing.assert_allclose(circles(axis)[:, 0], np.median(risks, axis=0)[order])
    np.testing.assert_allclose(segments(axis, 1.8 * 0.75)[:, :, 0], np.quantile(risks, [0.025, 0.975], axis=0).T[order])
    np.testing.assert_allclose(segments(axis, 6 * 0.75)[:, :, 0], np.quantile(risks, [0.25, 0.75], axis=0).T[order])
    by_herd = data.groupby("herd")[["cases", "size"]].sum().iloc[order]
    np.testing.assert_allclose(circles(axis, "D")[:, 0], by_herd["cases"] / by_herd["size"])
    names = [f"farm {herd}" for herd in by_herd.index]
    assert [label.get_text() for label in axis.get_yticklabels()] == names
    assert words(axis.figure)[: len(names)] == [
        f"{r.cases}/{r.size_}" for r in by_herd.rename(columns={"size": "size_"}).itertuples()
    ]
    lowest, highest = (f"{100 * np.median(risks, axis=0)[i]:.1f}" for i in (order[-1], order[0]))
    assert lowest in picture.alt and highest in picture.alt and names[0] in picture.alt
    band = np.asarray(axis.patches[0].get_xy())[:2, 0]  # pyright: ignore[reportAttributeAccessIssue]
    rng = np.random.default_rng(1)
    new = expit(
        posterior["Intercept"].values.ravel() + posterior["sd_herd"].values.ravel() * rng.normal(size=(20_000, 80))
    )
    np.testing.assert_allclose(band, np.quantile(new, [0.025, 0.975]), rtol=0.03)


def test_of_many_levels_the_ends_are_drawn_and_the_others_as_their_spread() -> None:
    data = herds(60, lambda i: f"$a_{i}$ & <b>Sankt Oberndorf an der schönen blauen Donau {i}</b>")
    tree = fit_of(data)
    picture = caterpillar(tree, "herd", ABOUT)
    for figure in checked(picture).values():
        axis = figure.axes[0]
        assert len(circles(axis)) == 20
        assert "40 between" in words(figure)
        risks = expit(
            tree["posterior"].dataset["Intercept"].values[..., None]
            + tree["posterior"].dataset["u_herd"].values[..., 0]
        )
        best = np.sort(np.argsort(-tree["posterior"].dataset["u_herd"].values.mean(axis=(0, 1)).ravel())[:10])
        np.testing.assert_allclose(np.sort(circles(axis)[:10, 0]), np.sort(np.median(risks[..., best], axis=(0, 1))))
    assert "Of 60 farms the 10 highest and lowest are drawn" in picture.caption


def test_ten_thousand_levels_are_drawn() -> None:
    data = pd.DataFrame({"y": np.tile([0, 1], 10_000), "herd": np.repeat(np.arange(10_000), 2)})
    model = zoo.hierarchical_logistic(data, "y ~ 1 + (1 | herd)")
    rng = np.random.default_rng(2)
    u = rng.normal(size=(2, 50, 10_000, 1))
    level = np.zeros((2, 50))
    tree = tree_of(
        model, {"Intercept": level, "Intercept_at_means": level, "sd_herd": level[..., None] + 1, "u_herd": u}
    )
    picture = caterpillar(tree, "herd", About())
    assert "9980 between" in words(checked(picture)[WIDE])


def test_intercepts_and_slopes_have_a_panel_each_and_slopes_are_those_of_the_level(tree) -> None:
    picture = caterpillar(tree, "site", About())
    first, second = checked(picture)[NARROW].axes
    posterior = tree["posterior"].dataset
    slopes = (posterior["beta"].values[..., None, 0] + posterior["u_site"].values[..., 1]).reshape(-1, 10)
    np.testing.assert_allclose(circles(second)[:, 0], np.sort(np.exp(np.median(slopes, axis=0)))[::-1], rtol=1e-3)
    means = np.array([tree["constant_data"].dataset["x"].values.mean()])
    level = posterior["Intercept"].values + posterior["beta"].values @ means
    at_means = posterior["u_site"].values[..., 0] + means * posterior["u_site"].values[..., 1]
    risks = expit(level[..., None] + at_means).reshape(-1, 10)
    np.testing.assert_allclose(circles(first)[:, 0], np.sort(np.median(risks, axis=0))[::-1], rtol=1e-3)
    assert "odds ratio per unit of x" in words(second.figure)


def test_moments_in_place_of_draws_give_intervals_of_normal_distributions() -> None:
    data = herds(12)
    tree = fit_of(data)
    u = tree["posterior"].dataset["u_herd"]
    moments = xr.concat(
        [u.mean(("chain", "draw")), u.std(("chain", "draw"))], pd.Index(["mean", "sd"], name="statistic")
    )
    tree["posterior"] = xr.DataTree(tree["posterior"].dataset.drop_vars("u_herd"))
    tree["group_effects"] = xr.DataTree(xr.Dataset({"u_herd": moments}))
    picture = caterpillar(tree, "herd", ABOUT)
    axis = checked(picture)[WIDE].axes[0]
    mean, sd = u.values.mean(axis=(0, 1)).ravel(), u.values.std(axis=(0, 1)).ravel()
    order = np.argsort(-mean)
    np.testing.assert_allclose(circles(axis)[:, 0], np.exp(mean)[order])
    ends = np.exp(mean[:, None] + sd[:, None] * [-1.959964, 1.959964])[order]
    np.testing.assert_allclose(segments(axis, 1.8 * 0.75)[:, :, 0], ends, rtol=1e-6)
    assert "odds ratio against the median" in words(axis.figure) and "those of normal distributions" in picture.caption


def test_levels_of_nested_factors_have_both_names_and_no_raw_values() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"y": rng.normal(size=96), "clinic": np.repeat(np.arange(1, 9), 12), "ward": np.tile(["a", "b", "c"], 32)}
    )
    model = zoo.hierarchical_linear(data, "y ~ 1 + (1 | clinic/ward)")
    zeros = np.zeros((2, 40))
    values = {
        "Intercept": zeros, "Intercept_at_means": zeros, "sd_clinic": zeros[..., None] + 1, "sd_clinic:ward": zeros[..., None] + 1,
        "u_clinic": rng.normal(size=(2, 40, 8, 1)), "u_clinic:ward": rng.normal(size=(2, 40, 24, 1)), "sigma": zeros + 1,
    }  # fmt: skip
    tree = tree_of(model, values)
    figure = checked(picture := caterpillar(tree, "clinic:ward", About(unit="mmHg")))[WIDE]
    assert {"clinic 1, a", "clinic 4, c"} <= set(words(figure))
    assert "Wards within clinics sorted by their mean." in picture.caption
    assert not len(circles(figure.axes[0], "D"))
    figure = checked(caterpillar(tree, "clinic", About(unit="mmHg")))[WIDE]
    np.testing.assert_allclose(
        np.sort(circles(figure.axes[0], "D")[:, 0]), np.sort(data.groupby("clinic")["y"].mean().to_numpy())
    )


def test_a_factor_that_the_fit_lacks(tree) -> None:
    with pytest.raises(InputError, match="no group effects of 'sit'; did you mean 'site'"):
        caterpillar(tree, "sit", About())


def test_names_in_letters_that_the_font_of_matplotlib_lacks_are_text_in_svg() -> None:
    picture = caterpillar(fit_of(herds(6, lambda i: f"日本語{i}")), "herd", ABOUT)
    assert "日本語3" in picture.inline_svg(NARROW, Stylesheet())


def test_a_response_has_its_own_name_where_variables_have_another() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"/y///": rng.normal(size=24), "herd": np.arange(24) // 4})
    model = zoo.hierarchical_linear(data, "`/y///` ~ 1 + (1 | herd)")
    level = rng.normal(size=SHAPE)
    values = {
        "Intercept": level,
        "sigma": np.ones(SHAPE),
        "sd_herd": np.ones((*SHAPE, 1)),
        "u_herd": np.zeros((*SHAPE, 6, 1)),
    }
    picture = caterpillar(tree_of(model, values), "herd", About())
    assert picture.alt.startswith("Mean of /y///: from ") and "_y_" not in picture.caption


def test_an_interrupted_fit_has_no_figures() -> None:
    tree = fit_of(herds(6))
    content = metadata(tree)
    content["sampling"] = {"draws": 100, "chains": 2, "finished": [100, 40]}
    write_metadata(tree, content)
    with pytest.raises(
        InputError, match="no figure: the run was interrupted: of 100 draws each, chain 1 has 40; fit again"
    ):
        zoo.plot(tree, "caterpillar")
