"""Pictures of estimates: what stands on the axes are quantiles of the draws, and every picture has the sentence."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import product
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from glmm_zoo.errors import InputError
from glmm_zoo.results.estimates import Estimates, summarised

SENTENCE = (
    "Risk difference of period 2 against period 1, for $2 and $3, of an animal of the study's mix in a herd drawn from the population "
    "of herds; mean of 402 draws, 95 % interval"
)
SHARES = np.array([-0.95, -0.5, 0, 0.5, 0.95])  # of the half-width: the quantiles of what is uniform


@pytest.fixture(autouse=True)
def no_windows() -> Iterator[None]:
    backend = mpl.get_backend()
    mpl.use("agg")
    yield
    plt.close("all")
    mpl.use(backend)


def uniform(centre: Any, half_width: float = 1.0) -> np.ndarray:
    """401 draws of each estimate at equal distances, in an order by chance, so that quantiles are exact."""
    steps = np.linspace(-1, 1, 401)
    rng = np.random.default_rng(1)
    return np.stack([c + half_width * rng.permutation(steps) for c in np.asarray(centre, float)], axis=1)[None]


def of_product(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(product(*columns.values()), columns=pd.Index(columns))


def estimates(of: pd.DataFrame, draws: np.ndarray) -> Estimates:
    return summarised(of.assign(groups="population"), draws, SENTENCE)


def axes_of(figure: Figure, *titles: str) -> list[Axes]:
    """The axes of a picture, which has the sentence inside its edges."""
    figure.draw_without_rendering()
    (title,) = figure.texts
    assert title.get_text().replace("\n", " ").replace(r"\$", "$") == SENTENCE
    box, edge = title.get_window_extent(), figure.bbox
    assert box.x0 >= 0 and box.x1 <= edge.x1 and box.y1 <= edge.y1
    assert {axis.get_xlabel() for axis in figure.axes} | {axis.get_ylabel() for axis in figure.axes} >= set(titles)
    return figure.axes


def bars_between(axis: Axes) -> list[np.ndarray]:
    """The ends of the horizontal lines that are drawn (rows, 2), thin ones first."""
    lines = [c for c in axis.collections if isinstance(c, LineCollection)]
    assert lines[0].get_linewidths()[0] < lines[1].get_linewidths()[0]
    return [np.array([segment[:, 0] for segment in c.get_segments() if segment.size]) for c in lines]


def vertical_at(axis: Axes) -> list[float]:
    return [float(line.get_xdata()[0]) for line in axis.lines if line.get_linestyle() == "--"]  # pyright: ignore


def words(axis: Axes) -> list[str]:
    return [t.get_text().replace("\n", " ") for t in axis.get_yticklabels()]


# ------------------------------------------------------------------------------------------------------------- intervals


def test_comparisons_are_intervals_beside_the_line_of_no_effect() -> None:
    of = of_product(measure=["difference", "ratio", "nnt"], contrast=["2 vs 1", "3 vs 1"]).assign(variable="period")
    centres = np.array([-0.2, 0.1, 0.8, 1.1, 12, 15])
    found = estimates(of, uniform(centres, 0.5))
    columns = ["mean", "median", "lower", "upper"]
    table = found.table.assign(note=["", "", "", "", "", "benefit from 9, or harm from 40"])
    table.loc[5, columns] = np.nan  # a number needed to treat whose interval goes through infinity
    axes = axes_of(Estimates(table, found.draws, SENTENCE).plot(), "difference", "ratio", "nnt")
    for axis, centre in zip(axes, centres.reshape(3, 2), strict=True):
        median = next(line for line in axis.lines if line.get_marker() == "o")
        shown = np.isfinite(median.get_xdata())
        assert shown.tolist() == [True, axis is not axes[2]]
        ends = centre[:, None] + 0.5 * SHARES
        np.testing.assert_allclose(median.get_xdata()[shown], centre[shown])
        np.testing.assert_allclose(bars_between(axis)[0], ends[shown][:, [0, 4]])
        np.testing.assert_allclose(bars_between(axis)[1], ends[shown][:, [1, 3]])
        assert words(axis) == ["2 vs 1", "3 vs 1"] and axis.yaxis_inverted()
    assert [vertical_at(axis) for axis in axes] == [[0], [1], []]
    assert [axis.get_xscale() for axis in axes] == ["linear", "log", "linear"]
    assert [t.get_text() for t in axes[2].texts] == ["", "benefit from 9, or harm from 40"]


def test_what_is_named_and_what_speaks_for_itself() -> None:
    of = of_product(contrast=["b vs a"], age=[40, 60.5], arm=["$x$", None]).assign(
        variable="dose", measure="difference"
    )
    (axis,) = axes_of(estimates(of, uniform(range(4))).plot())
    assert words(axis) == [r"age 40, arm \$x\$", "age 40", r"age 60.5, arm \$x\$", "age 60.5"]


def test_predictions_by_a_factor_have_no_line_of_no_effect() -> None:
    of = of_product(arm=["a", "b"], dose=[1, 2]).assign(measure="mean")  # two numbers are no curve
    (axis,) = axes_of(estimates(of, uniform(range(4))).plot(), "mean")
    assert words(axis) == ["arm a, dose 1", "arm a, dose 2", "arm b, dose 1", "arm b, dose 2"] and not vertical_at(axis)


def test_outcomes_have_panels_of_their_own() -> None:
    of = of_product(outcome=["pain", "sleep"], arm=["a", "b"]).assign(measure="mean")
    axes = axes_of(estimates(of, uniform(range(4))).plot(), "mean of pain", "mean of sleep")
    assert [bars_between(axis)[0].mean() for axis in axes] == pytest.approx([0.5, 2.5])


# ---------------------------------------------------------------------------------------------------------------- curves


def bands(axis: Axes) -> list[dict[float, list[float]]]:
    """The heights of the edge of each band by x."""
    found = []
    for collection in axis.collections:
        assert isinstance(collection, PolyCollection)
        heights: dict[float, set[float]] = {}
        for x, y in collection.get_paths()[0].vertices:
            heights.setdefault(float(x), set()).add(round(float(y), 9))
        found.append({x: sorted(ys) for x, ys in heights.items()})
    return found


def test_predictions_over_a_number_are_curves_with_bands() -> None:
    ages = [60, 20, 30]
    of = of_product(arm=["b", "a"], age=ages).assign(measure="mean")
    centres = 0.01 * of["age"].to_numpy() + (of["arm"] == "a")
    found = estimates(of, uniform(centres, 0.3))
    raw = pd.DataFrame({"y": [True, False], "age": [25, 55], "arm": ["a", "b"]})
    (axis,) = axes_of(found.plot(raw), "age", "mean")
    points, *curves = axis.lines
    np.testing.assert_array_equal([points.get_xdata(), points.get_ydata()], [[25, 55], [1, 0]])
    assert all(points.get_zorder() < c.get_zorder() for c in (*curves, *axis.collections))
    for i, (arm, curve) in enumerate(zip("ba", curves, strict=True)):
        at = 0.01 * np.sort(ages) + (arm == "a")
        assert curve.get_label() == f"arm {arm}"
        np.testing.assert_array_equal(curve.get_xdata(), sorted(ages))
        np.testing.assert_allclose(curve.get_ydata(), at)
        wide, narrow = bands(axis)[2 * i : 2 * i + 2]
        for x, centre in zip(sorted(ages), at, strict=True):
            np.testing.assert_allclose(wide[x], centre + 0.3 * SHARES[[0, 4]])
            np.testing.assert_allclose(narrow[x], centre + 0.3 * SHARES[[1, 3]])


def test_rows_over_a_number_are_one_curve_where_it_tells_them_apart() -> None:
    of = pd.DataFrame({"row": range(1, 31), "age": np.linspace(20, 60, 30), "arm": "a", "measure": "mean"})
    (axis,) = axes_of(estimates(of, uniform(range(30))).plot(), "age")
    (curve,) = axis.lines
    np.testing.assert_array_equal(curve.get_xdata(), of["age"])
    alike = estimates(of.assign(age=np.arange(30) % 15), uniform(range(30)))
    with pytest.raises(InputError, match="30 curves in one picture"):
        alike.plot()


def test_survival_goes_over_time_from_nothing_to_one() -> None:
    of = of_product(age=np.arange(4.0), time=[0, 6, 12]).assign(measure="survival")
    (axis,) = axes_of(estimates(of, uniform(np.linspace(1, 0.2, 12), 0.1)).plot(), "time", "survival")
    assert axis.get_ylim() == (0, 1) and [line.get_label() for line in axis.lines] == [f"age {i}" for i in range(4)]


def test_many_comparisons_over_a_number_are_a_curve_beside_the_line_of_no_effect() -> None:
    of = of_product(measure=["difference", "ratio"], age=np.arange(61)).assign(variable="arm", contrast="b vs a")
    axes = axes_of(
        estimates(of, uniform(np.tile(np.linspace(0.6, 2, 61), 2), 0.1)).plot(), "age", "difference", "ratio"
    )
    assert [line.get_ydata()[0] for axis in axes for line in axis.lines if line.get_linestyle() == "--"] == [0, 1]
    assert [axis.get_yscale() for axis in axes] == ["linear", "log"] and not axes[0].get_legend()
    few = estimates(of[of["age"] < 60], uniform(np.ones(120)))
    assert [len(words(axis)) for axis in few.plot().axes] == [60, 60]


DATA = pd.DataFrame({"age": [1, 2], "y": [0, 1], "z": [0, 1]})


@pytest.mark.parametrize("columns", [["age"], ["y"], ["age", "y", "z"], []])
def test_data_without_the_number_and_one_response_are_told(columns: list[str]) -> None:
    found = estimates(of_product(age=[1, 2, 3]).assign(measure="mean"), uniform(range(3)))
    with pytest.raises(
        InputError, match=r"plot: data has .*, and age and the response are expected; give data\[\['age', RESPONSE\]\]"
    ):
        found.plot(DATA[columns])


def test_data_behind_intervals_are_told() -> None:
    found = estimates(of_product(arm=["a", "b"]).assign(measure="mean"), uniform(range(2)))
    with pytest.raises(
        InputError, match="data are drawn behind curves over a column of numbers, and these are intervals"
    ):
        found.plot(DATA)


# ------------------------------------------------------------------------------------------------------------------ bars


def test_categories_are_stacked_in_their_order_by_arm() -> None:
    of = of_product(arm=["b", "a"], category=["never", "often", "daily"]).assign(measure="probability")
    share = np.array([0.5, 0.3, 0.2, 0.2, 0.2, 0.6])
    (axis,) = axes_of(estimates(of, uniform(share, 0.1)).plot(), "probability")
    assert [c.get_label() for c in axis.containers] == ["never", "often", "daily"]
    bars = [
        (bar.get_x(), bar.get_width(), round(bar.get_y() + bar.get_height() / 2)) for c in axis.containers for bar in c
    ]
    expected = [(0, 0.5, 0), (0, 0.2, 1), (0.5, 0.3, 0), (0.2, 0.2, 1), (0.8, 0.2, 0), (0.4, 0.6, 1)]
    np.testing.assert_allclose(bars, expected, atol=1e-12)
    assert words(axis) == ["arm b", "arm a"]


def test_categories_over_a_number_with_many_values_are_curves() -> None:
    of = of_product(age=np.arange(40), category=["never", "often"]).assign(measure="probability")
    (axis,) = axes_of(estimates(of, uniform(np.full(80, 0.5), 0.1)).plot(), "age")
    assert [line.get_label() for line in axis.lines] == ["never", "often"]


def test_differences_of_categories_are_intervals() -> None:
    of = of_product(contrast=["b vs a"], category=["never", "often"]).assign(variable="arm", measure="difference")
    (axis,) = axes_of(estimates(of, uniform([-0.1, 0.1])).plot(), "difference")
    assert words(axis) == ["never", "often"] and vertical_at(axis) == [0]


# ------------------------------------------------------------------------------------------------------------------ many


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            {"row": range(1, 10_001)},
            "10000 intervals in one picture cannot be read, at most 60 are drawn; average over rows",
        ),
        ({"row": range(1, 501), "age": [20, 40, 60]}, "500 curves in one picture cannot be read, at most 12 are drawn"),
        ({"herd": [f"h{i}" for i in range(31)], "category": ["a", "b"]}, "62 intervals in one picture cannot be read"),
    ],
)
def test_more_than_can_be_read_is_told(columns: dict[str, Any], told: str) -> None:
    of = of_product(**columns).assign(measure="mean")
    found = estimates(of, np.random.default_rng(1).normal(size=(1, 5, len(of))))
    with pytest.raises(InputError, match=f"plot: {told}"):
        found.plot()


def test_long_names_and_sentences_fit() -> None:
    of = of_product(arm=[20 * "treated, ", "b"], place=["a hospital that has a long name", "b"]).assign(measure="mean")
    (axis,) = axes_of(estimates(of, uniform(range(4))).plot())
    assert axis.get_window_extent().width > 200 and words(axis)[3] == "arm b, place b"
    assert max(map(len, textwrap.dedent(axis.get_yticklabels()[0].get_text()).split("\n"))) <= 30


def test_the_style_of_other_pictures_stays() -> None:
    with mpl.rc_context():
        mpl.rcdefaults()
        before = dict(mpl.rcParams)
        figure = estimates(of_product(arm=["a", "b"]).assign(measure="mean"), uniform(range(2))).plot()
        assert dict(mpl.rcParams) == before
        assert (
            figure.axes[0].lines[0].get_color()
            == plt.style.library["arviz-variat"]["axes.prop_cycle"].by_key()["color"][0]
        )
