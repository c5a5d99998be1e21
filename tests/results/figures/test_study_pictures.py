"""Pictures of a meta-analysis: what is drawn is what the draws and the counts say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from checked_pictures import checked, circles, discs, segments, words
from hand_made_trees import tree_of
from scipy.special import expit, logit
from scipy.stats.contingency import odds_ratio

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.baseline_risks import baseline_risks
from glmm_zoo.results.figures.bubble import bubble
from glmm_zoo.results.figures.forest import forest
from glmm_zoo.results.figures.picture import BANDS, NARROW, WIDE

ABOUT = About(
    outcome="case", names={"lat": "latitude"}, units={"lat": "°"}, label=["author", "year"],
    levels={"treat": {"arm 1": "not", "arm 2": "vaccinated"}},
)  # fmt: skip
FORMULA = "events | trials(n) ~ treat"


def studies(n: int, name: str = "S{}") -> pd.DataFrame:
    """A wide table; the first study has no events under control."""
    rng = np.random.default_rng(n)
    data = pd.DataFrame(
        {
            "study": [name.format(i) for i in range(n)],
            "events1": rng.poisson(9, n) + 1, "n1": rng.integers(80, 900, n),
            "events2": rng.poisson(6, n) + 1, "n2": rng.integers(80, 900, n),
            "lat": rng.integers(0, 60, n),
        }
    )  # fmt: skip
    data.loc[0, "events1"] = 0
    return data


def fit_of(data: pd.DataFrame, covariate: bool = True) -> xr.DataTree:
    """A fit with draws around the studies' own ratios, drawn to one half."""
    model = zoo.meta_analysis(data, FORMULA + (" + lat" if covariate else ""), study="study")
    rng, n, shape = np.random.default_rng(3), len(data), (2, 60)
    order = [list(data["study"]).index(level) for level in model.coords["study"]]
    risks = [(data[f"events{k}"] + 0.5) / (data[f"n{k}"] + 1) for k in (1, 2)]
    own = (logit(risks[1]) - logit(risks[0])).to_numpy()[order]
    values = {
        "effect": -0.5 + 0.1 * rng.normal(size=shape), "tau": np.abs(0.2 + 0.05 * rng.normal(size=shape)),
        "study_effect": 0.5 * own - 0.2 + 0.1 * rng.normal(size=(*shape, n)),
        "study_Intercept": rng.normal(size=(*shape, n)),
        **({"beta": -0.02 + 0.004 * rng.normal(size=(*shape, 1))} if covariate else {}),
    }  # fmt: skip
    return tree_of(model, values)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return studies(9)


@pytest.fixture(scope="module")
def tree(data: pd.DataFrame) -> xr.DataTree:
    tree = fit_of(data)
    table = tree["constant_data"].dataset
    for column, values in (("author", [f"Author {i}" for i in range(9)]), ("year", 1950 + np.arange(9))):
        kind = {"column": column, "kind": "text" if column == "author" else "number"} | (
            {"missing": "?"} if column == "author" else {}
        )
        table = table.assign({column: xr.Variable("row", values, kind)})
    tree["constant_data"] = xr.DataTree(table)
    return tree


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_forest_has_the_quantiles_of_the_draws_and_each_study_s_own_ratio(data, tree, width) -> None:
    picture = forest(tree, ABOUT)
    axis = checked(picture)[width].axes[0]
    order = np.lexsort((-_information(data), -data["lat"]))
    draws = np.exp(tree["posterior"].dataset["study_effect"].values.reshape(-1, 9))
    drawn = circles(axis)
    np.testing.assert_allclose(drawn[:9, 0], np.median(draws, axis=0)[order])
    np.testing.assert_allclose(
        drawn[9, 0], np.median(np.exp(tree["posterior"].dataset["effect"])), rtol=0.2
    )  # a new trial's
    thin = segments(axis, 1.8 * 0.7)
    np.testing.assert_allclose(thin[:, :, 0], np.quantile(draws, [0.025, 0.975], axis=0).T[order])
    thick = segments(axis, 6 * 0.7)
    np.testing.assert_allclose(thick[:, :, 0], np.quantile(draws, [0.25, 0.75], axis=0).T[order])
    own = [
        odds_ratio([[r.events2, r.n2 - r.events2], [r.events1, r.n1 - r.events1]], kind="sample").statistic
        for r in data.iloc[order].itertuples()
        if r.events1
    ]
    np.testing.assert_allclose(discs(axis)[0][:, 0], own)
    assert f"{np.median(np.exp(tree['posterior'].dataset['effect'])):.2f}" in picture.alt


def _information(data: pd.DataFrame) -> np.ndarray:
    counts = [data.events1, data.events2, data.n1 - data.events1, data.n2 - data.events2]
    with np.errstate(divide="ignore"):
        return 1 / np.sum([1 / count.to_numpy(float) for count in counts], axis=0)


def test_a_forest_names_studies_by_their_label_columns_and_says_what_is_what(data, tree) -> None:
    picture = forest(tree, ABOUT)
    figures = checked(picture)
    first = int(np.lexsort((-_information(data), -data["lat"]))[0])
    for told in (
        f"Author {first}, {1950 + first}",
        f"{data.lat[first]}°",
        "odds ratio, vaccinated against not",
        "← fewer cases",
    ):
        assert told in words(figures[WIDE])
    assert f"Author {first}, {1950 + first} · {data.lat[first]}°" in words(figures[NARROW])
    assert "from high (top) to low latitude" in picture.caption and "empty or full arm" in picture.caption
    assert f"Mean study ({data.lat.mean():.1f}°)" in words(figures[WIDE])


def test_intervals_beyond_the_axis_end_in_arrows() -> None:
    data = studies(5)
    data.loc[1, ["events1", "n1", "events2", "n2"]] = [1, 20, 1, 800]
    axis = checked(forest(fit_of(data, covariate=False), About()))[WIDE].axes[0]
    assert len(circles(axis, "<")) == 1
    assert circles(axis, "<")[0, 0] == pytest.approx(axis.get_xlim()[0])


def test_of_many_studies_those_with_most_information_are_drawn_with_hostile_names_as_they_are() -> None:
    data = studies(64, "$x_{}$ & <b>Sankt Oberndorf an der schönen blauen Donau et al.</b>")
    picture = forest(fit_of(data), About())
    figures = checked(picture)
    assert "The 60 of 64 studies with most information are drawn" in picture.caption
    assert len(circles(figures[WIDE].axes[0])) == 61
    assert any(text.startswith("$x_") and text.endswith("…") for text in words(figures[WIDE]))
    least = data["study"][int(np.argsort(np.nan_to_num(_information(data)))[0])]
    assert not any(text.startswith(least[:8]) for text in words(figures[WIDE]))


def test_long_words_stay_inside(tree) -> None:
    long = "vaccinated by a nurse of the village with the strain that was to be had in that year"
    about = About(outcome="case of tuberculosis of the lungs or of another organ", levels={"treat": {"arm 2": long}})
    for width, figure in checked(forest(tree, about)).items():
        assert any(text.startswith("← fewer case of") and text.endswith("…") for text in words(figure)), width


def test_a_bubble_has_the_mean_along_the_covariate_and_the_own_ratios(data, tree) -> None:
    picture = bubble(tree, ABOUT)
    for figure in checked(picture).values():
        axis = figure.axes[0]
        x, y = np.asarray(axis.lines[0].get_xydata()).T
        posterior = tree["posterior"].dataset
        effect, slope = (posterior[name].values.ravel()[:, None] for name in ("effect", "beta"))
        np.testing.assert_allclose(y, np.exp(np.median(effect + slope * (x - data.lat.mean()), axis=0)))
        assert len(discs(axis)[0]) == 8
        np.testing.assert_allclose(sorted(discs(axis)[0][:, 0]), sorted(data.lat[1:]))
    assert "A relation among studies, not among persons." in picture.caption


def test_no_bubble_without_a_covariate_that_is_a_number(data) -> None:
    with pytest.raises(InputError, match="the trials are in the figure forest"):
        bubble(fit_of(data, covariate=False), About())


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_risks_without_treatment_have_the_differences_that_the_effect_gives_there(data, tree, width) -> None:
    p = np.array([0.001, 0.01, 0.05, 0.1])
    mean, new = (
        zoo.comparisons(
            tree,
            "treat",
            at={"baseline": list(p), "lat": [float(data.lat.mean())]},
            measures=["difference", "nnt"],
            groups=groups,
        )
        for groups in ("typical", "new")
    )
    picture = baseline_risks(mean, new, ABOUT)
    first, second = checked(picture)[width].axes
    fewer = 1000 * (p - expit(logit(p) + tree["posterior"].dataset["effect"].values.ravel()[:, None]))
    np.testing.assert_allclose(circles(first)[:, 0], np.median(fewer, axis=0), rtol=1e-6)
    np.testing.assert_allclose(circles(second)[:, 0], 1000 / np.median(fewer, axis=0), rtol=1e-6)
    low, high = np.quantile(1000 / fewer[:, 3], [0.025, 0.975])
    assert f"number needed to treat {1000 / np.median(fewer[:, 3]):.0f} ({low:.0f} to {high:.0f})" in picture.alt


def test_no_number_needed_to_treat_where_the_difference_may_be_nothing(tree) -> None:
    unclear = tree.copy()
    unclear["posterior"] = xr.DataTree(
        unclear["posterior"].dataset.assign(effect=unclear["posterior"].dataset["effect"] + 0.5)
    )
    asked = {"at": {"baseline": [0.1, 0.2]}, "measures": ["difference", "nnt"]}
    mean, new = (zoo.comparisons(unclear, "treat", groups=groups, **asked) for groups in ("typical", "new"))
    figures = checked(baseline_risks(mean, new, About()))
    assert words(figures[WIDE]).count("benefit to harm") == 2
    assert len(BANDS) == 5 and not len(circles(figures[WIDE].axes[1]))
