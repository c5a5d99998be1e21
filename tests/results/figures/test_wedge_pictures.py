"""Pictures of a stepped-wedge trial: what was observed, risks by period, effects by exposure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from checked_pictures import checked, circles, discs, segments, words
from hand_made_trees import tree_of

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.design_map import DARK, LIGHT, design_map
from glmm_zoo.results.figures.exposure_effect import exposure_effect
from glmm_zoo.results.figures.period_risks import period_risks
from glmm_zoo.results.figures.picture import NARROW, WIDE

ABOUT = About(outcome="fall", levels={"arm": {"control": "usual care", "new": "new care"}})
SHAPE = (2, 30)


def trial(clusters: int = 8, periods: int = 5, name: str = "ward {}") -> pd.DataFrame:
    """Counts of falls; each fourth of the clusters crosses over in its own period."""
    rng = np.random.default_rng(clusters)
    c, t = (a.ravel() for a in np.meshgrid(np.arange(clusters), np.arange(periods), indexing="ij"))
    treated = t >= 1 + c * (periods - 1) // clusters
    n = rng.integers(10, 30, len(c))
    return pd.DataFrame(
        {
            "cluster": [name.format(i) for i in c], "period": t + 1, "arm": np.where(treated, "new", "control"),
            "y": rng.binomial(n, 0.3), "n": n,
        }
    )  # fmt: skip


def fit_of(data: pd.DataFrame, formula: str = "y | trials(n) ~ 1", **options) -> xr.DataTree:
    model = zoo.stepped_wedge(data, formula, treatment="arm", **options)
    rng = np.random.default_rng(2)
    zeros, periods, clusters = np.zeros(SHAPE), data["period"].nunique(), data["cluster"].nunique()
    times = (periods - 1,) if options.get("exposure_time") == "categorical" else ()
    values = {
        "Intercept": zeros - 1, "Intercept_at_means": zeros - 1, "beta": 0.1 * rng.normal(size=(*SHAPE, periods - 1)),
        "effect": -0.5 + 0.2 * rng.normal(size=(*SHAPE, *times)), "sd_cluster": zeros[..., None] + 0.3,
        "u_cluster": rng.normal(size=(*SHAPE, clusters, 1)), **({"sigma": zeros + 1} if "family" in options else {}),
    }  # fmt: skip
    return tree_of(model, values)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return trial()


@pytest.fixture(scope="module")
def tree(data: pd.DataFrame) -> xr.DataTree:
    return fit_of(data)


def test_a_design_map_has_what_was_observed_and_lines_where_clusters_cross_over(data, tree) -> None:
    picture = design_map(tree, ABOUT)
    figures = checked(picture)
    wide, narrow = words(figures[WIDE]), words(figures[NARROW])
    for row in data.itertuples():
        assert f"{100 * row.y / row.n:.0f} ({row.y}/{row.n})" in wide
    told = sorted(w for w in narrow if w.isdecimal() and int(w) <= 100)
    cells = [f"{100 * row.y / row.n:.0f}" for row in data.itertuples()]
    assert told == sorted([*cells, *(str(p) for p in range(1, 6) if str(p) in narrow)])
    axis = figures[WIDE].axes[0]
    assert sorted(float(np.asarray(line.get_xdata())[0]) for line in axis.lines) == [1, 2, 3, 4]
    shares = [patch.get_alpha() or 0.0 for patch in axis.patches]
    highest = (data.y / data.n).max()
    np.testing.assert_allclose(shares, LIGHT + (DARK - LIGHT) * (data.y / data.n) / highest, atol=0.006)
    observed = data.groupby("arm")[["y", "n"]].sum()
    for arm, name in (("control", "usual care"), ("new", "new care")):
        assert f"{100 * observed.y[arm] / observed.n[arm]:.1f} % under {name}" in picture.alt.replace("\u00a0", " ")
    assert "8 clusters in 4 waves (2, 2, 2, 2) over 5 periods" in picture.alt


def test_a_map_of_many_clusters_pools_the_waves() -> None:
    data = trial(100)
    picture = design_map(fit_of(data), ABOUT)
    wide = words(checked(picture)[WIDE])
    start = data["cluster"].map(data[data.arm == "new"].groupby("cluster")["period"].min())
    pooled = data.groupby([start, "period"])[["y", "n"]].sum()
    assert {f"{100 * r.y / r.n:.0f} ({r.y}/{r.n})" for r in pooled.itertuples()} <= set(wide)
    assert "a wave of clusters in a period, pooled" in picture.caption and "wave 4" in wide


def test_a_map_of_measurements_has_means_and_dashes_where_nothing_was_observed() -> None:
    data = trial(12, name="$w_{}$ & <b>Haus zum Heiligen Geist</b>").drop(index=[3, 17])
    data["y"] = data["y"] + 100.0
    picture = design_map(fit_of(data, "y ~ 1", family="gaussian"), About(outcome="pressure", unit="mmHg"))
    wide = words(checked(picture)[WIDE])
    assert wide.count("–") == 2 and "mean pressure, mmHg" in picture.caption
    told = [float(w) for w in wide if w.replace(".", "").isdecimal() and float(w) > 50]
    np.testing.assert_allclose(np.sort(told), np.sort(data.y), atol=0.5)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_risks_by_period_are_the_estimates_beside_what_each_cluster_had(data, tree, width) -> None:
    means = zoo.predictions(tree, at={"arm": ["control", "new"]}, by=["period"])
    differences = zoo.comparisons(tree, "arm", measures="difference", by=["period"])
    picture = period_risks(tree, means, differences, ABOUT)
    first, second = checked(picture)[width].axes
    table = means.table.sort_values(["arm", "period"], kind="stable")
    shown = table[((table.arm == "control") & (table.period < 5)) | ((table.arm == "new") & (table.period > 1))]
    np.testing.assert_allclose(circles(first)[:, 1], shown["median"])
    np.testing.assert_allclose(segments(first, 1.8 * 0.85)[:, :, 1], shown[["lower", "upper"]])
    for cloud, arm in zip(discs(first), ("control", "new"), strict=True):
        rows = data[data.arm == arm]
        np.testing.assert_allclose(np.sort(cloud[:, 1]), np.sort(rows.y / rows.n))
    draws = differences.draws["value"].values.reshape(-1, 5)[:, 1:4]
    np.testing.assert_allclose(circles(second)[:, 0], np.median(draws, axis=0))
    np.testing.assert_allclose(circles(second, "D")[:, 0], np.median(draws.mean(axis=1)))
    assert {"Risk of fall", "New care minus usual care", "mean of 2 to 4", "percentage points"} <= set(
        words(first.figure)
    )
    assert "mean of 2 to 4: −" in picture.alt


def test_long_names_of_conditions_and_periods_stay_inside(tree) -> None:
    means = zoo.predictions(tree, at={"arm": ["control", "new"]}, by=["period"])
    differences = zoo.comparisons(tree, "arm", measures="difference", by=["period"])
    levels = {
        "arm": {"control": "care as it was usual before the trial in all these wards", "new": "what the trial was about to try, at last"},
        "period": {str(i): f"the three months from January to March {2000 + i}" for i in range(1, 6)},
    }  # fmt: skip
    checked(period_risks(tree, means, differences, About(levels=levels)))
    checked(design_map(tree, About(levels=levels)))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_effects_by_exposure_are_those_of_the_draws_and_their_mean(data, width) -> None:
    tree = fit_of(data, exposure_time="categorical")
    picture = exposure_effect(tree, ABOUT)
    axis = checked(picture)[width].axes[0]
    effect = tree["posterior"].dataset["effect"].values.reshape(-1, 4)
    np.testing.assert_allclose(circles(axis)[:, 0], np.exp(np.median(effect, axis=0)))
    np.testing.assert_allclose(circles(axis, "D")[:, 0], np.exp(np.median(effect.mean(axis=1))))
    assert f"{np.exp(np.median(effect.mean(axis=1))):.2f}" in picture.alt
    assert "mean of 1 to 4" in words(axis.figure)


def test_one_effect_for_all_exposure_times_has_no_picture_by_them(tree) -> None:
    with pytest.raises(InputError, match="fit with exposure_time='categorical'"):
        exposure_effect(tree, ABOUT)
