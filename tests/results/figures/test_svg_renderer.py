"""What matplotlib draws comes out as elements of SVG at the same places, with the same looks."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glmm_zoo.results.figures import ticks
from glmm_zoo.results.figures.picture import Canvas
from glmm_zoo.results.figures.svg import COLOURS, Stylesheet
from glmm_zoo.results.figures.svg_renderer import svg_of


@pytest.fixture
def axis() -> Axes:
    """Axes without ticks and spines in the whole of a figure of 200 by 100 px, 0 to 2 across and 0 to 1 up."""
    axis = Figure(figsize=(200 / 72, 100 / 72), dpi=72, facecolor="none").add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.set(xlim=(0, 2), ylim=(0, 1))
    return axis


def drawn(axis: Axes) -> list[tuple[str, dict[str, str], dict[str, str], str]]:
    """Tag, attributes, style and text of each element."""
    figure, styles = axis.get_figure(root=True), Stylesheet()
    assert isinstance(figure, Figure)
    root = ElementTree.fromstring(svg_of(figure, styles))
    assert root.get("viewBox") == "0 0 200 100"
    rules = {name: dict(part.split(":") for part in style.split(";")) for style, name in styles._names.items()}
    return [(e.tag, dict(e.attrib), rules[e.attrib["class"]], e.text or "") for e in root]


def places(path: str) -> list[tuple[float, float]]:
    """The points of a path whose lines are relative; NaN between its parts."""
    at, found = np.zeros(2), []
    for letter, x, y in re.findall(r"([Ml])(-?[\d.]+) ?(-?[\d.]+)", path):
        at = np.array([float(x), float(y)]) + (at if letter == "l" else 0)
        found += [(np.nan, np.nan)] * (letter == "M" and bool(found)) + [tuple(at.round(1).tolist())]
    return found


def test_a_line_stands_where_it_is_and_is_broken_where_it_has_no_value(axis: Axes) -> None:
    axis.plot([0, 0.5, 1, 1.5, 2], [0, 1, np.nan, 0.5, 0.25], color=COLOURS["data"], linewidth=2, linestyle=(0, (4, 3)))
    ((tag, attributes, style, _),) = drawn(axis)
    assert tag == "path"
    expected = [(0.0, 100.0), (50.0, 0.0), (np.nan, np.nan), (150.0, 50.0), (200.0, 75.0)]
    np.testing.assert_allclose(places(attributes["d"]), expected)
    assert style == {"fill": "none", "stroke": "var(--c2)", "stroke-width": "2", "stroke-dasharray": "8,6"}


def test_a_long_line_keeps_its_shape(axis: Axes) -> None:
    x = np.linspace(0, 2, 2000)
    axis.plot(x, 0.5 + 0.4 * np.sin(5 * x), color=COLOURS["model"])
    at = np.array(places(drawn(axis)[0][1]["d"]))
    assert len(at) < 500
    np.testing.assert_allclose(np.interp(100 * x, at[:, 0], at[:, 1]), 100 - 50 - 40 * np.sin(5 * x), atol=0.3)


def test_discs_markers_and_intervals(axis: Axes) -> None:
    axis.scatter([0.5, 1], [0.5, 0.25], s=[36, 100], facecolors=COLOURS["control"], alpha=0.4, linewidths=0)
    axis.plot(
        [1.5, np.nan], [0.5, 0.5], "o", markersize=8, markerfacecolor=COLOURS["paper"], markeredgecolor=COLOURS["ink"],
        markeredgewidth=2,
    )  # fmt: skip
    axis.hlines([0.1, 0.9], [0.2, 0.4], [0.6, 1.2], colors=COLOURS["model"], linewidth=6)
    axis.plot([1], [1], marker="^", markersize=6, markerfacecolor="#123456", markeredgecolor="none")
    found = drawn(axis)
    circles = [(tuple(float(a[k]) for k in ("cx", "cy", "r")), style) for tag, a, style, _ in found if tag == "circle"]
    assert [at for at, _ in circles] == [(50, 50, 3), (100, 75, 5), (150, 50, 4)]
    assert circles[0][1] == {"fill": "var(--c3)", "fill-opacity": "0.4"}
    assert circles[2][1] == {"fill": "var(--bg)", "stroke": "var(--ink)", "stroke-width": "2"}
    lines = [places(a["d"]) for tag, a, style, _ in found if style.get("stroke-width") == "6"]
    assert lines == [[(20, 90), (60, 90)], [(40, 10), (120, 10)]]
    ((_, triangle, style, _),) = [e for e in found if e[2].get("fill") == "#123456"]
    assert triangle["d"].endswith("z") and "stroke" not in style
    assert sorted(places(triangle["d"]))[1] == (100.0, -3.0)


def test_what_has_no_colour_is_left_out(axis: Axes) -> None:
    axis.bar([1], [0.5], width=0.4, facecolor="none", edgecolor="none")
    axis.plot([0, 1], [0, 1], linewidth=0)
    assert drawn(axis) == []


def test_words_are_anchored_and_escaped(axis: Axes) -> None:
    axis.text(1, 0.5, "a < b & $c$", ha="center", va="baseline", fontsize=12, parse_math=False, color=COLOURS["muted"])
    axis.text(2, 0, "upwards", ha="right", va="bottom", rotation=90, rotation_mode="anchor", weight="bold")
    axis.text(0, 0.25, "dependencies\nare two", ha="left", va="baseline", fontsize=10)
    middle, upwards, first, second = drawn(axis)
    assert middle[3] == "a < b & $c$" and (middle[1]["x"], middle[1]["y"]) == ("100", "50")
    assert middle[2] == {"fill": "var(--muted)", "font-size": "12px", "text-anchor": "middle"}
    assert upwards[1]["transform"].startswith("rotate(-90 ") and upwards[2]["font-weight"] == "700"
    assert upwards[2]["text-anchor"] == "end" and float(upwards[1]["y"]) == 100
    assert (first[1]["x"], second[1]["x"]) == ("0", "0") and float(second[1]["y"]) == 75
    assert 9 < float(second[1]["y"]) - float(first[1]["y"]) < 16


@pytest.mark.parametrize("width", [720, 343])
def test_ticks_stand_where_matplotlib_puts_artists(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of several words, marks, titles, ticks at the top and along a log axis, with artists and without."""

    def drawn() -> str:
        canvas = Canvas(width)
        first, second = canvas.panels(2, 90, left=60, below=60)
        canvas.ticks(first, [0, 0.5, 1], ["lowest", "two\nlines", "highest É"]).align = ("left", "center", "right")
        canvas.row_ticks(first, [0.2, 0.8], ["a long name", "b\nbelow"])
        canvas.axis_title(first, "across")
        canvas.axis_title(first, "upwards", vertical=True)
        second.set_xlim(0.1, 10)
        canvas.ratio_axis(second, 0.1, 10)
        canvas.axis_title(second, "ratio", vertical=True)
        canvas.ticks(second, [0.2, 1], ["up", ""], vertical=True).opposite = True
        return svg_of(canvas.figure, Stylesheet())

    without = drawn()
    monkeypatch.setattr(ticks, "SvgRenderer", type(None))
    assert drawn() == without and without.count("<text") >= 13 and ">below<" in without
