"""What holds for every picture, at both widths: words that can be read and stay inside, nothing outside the axes, SVG for a page."""

from __future__ import annotations

import re

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text

from glmm_zoo.results.figures.picture import NARROW, WIDE, Picture
from glmm_zoo.results.figures.svg import Stylesheet
from glmm_zoo.results.figures.ticks import Ticks

LEAST_TEXT = 11  # px


def checked(picture: Picture) -> dict[int, Figure]:
    """The figures of a picture by width, once all is as it should be."""
    for words in (picture.title, picture.caption, picture.alt):
        assert words and "nan" not in words and "inf " not in words and "  " not in words, words
    assert picture.alt.endswith(".") and re.search(r"\d", picture.alt)
    figures = {width: picture.figure(width) for width in (WIDE, NARROW)}
    for width, figure in figures.items():
        figure.draw_without_rendering()
        assert figure.bbox.width == width
        cropped = figure.get_tightbbox()  # inches, what Jupyter shows
        for text in texts(figure):
            box = text.get_window_extent()
            assert float(text.get_fontsize()) >= LEAST_TEXT, text
            assert "$" not in text.get_text() or not text.get_parse_math(), text
            assert box.x0 >= -1 and box.x1 <= width + 1, (text, box, width)
            assert box.y0 >= -1 and box.y1 <= figure.bbox.height + 1, (text, box)
            assert cropped.y0 * figure.dpi <= box.y0 + 1 and cropped.x0 * figure.dpi <= box.x0 + 1, (text, box, cropped)
        for axis in figure.axes:
            for points in marks(axis):
                _inside(axis, points)
        svg = picture.inline_svg(width, Stylesheet())
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?!\")", re.sub(r">[^<]*<", "><", svg)), "a colour of its own"
        assert "clip-path" not in svg
        ids = re.findall(r'\bid="([^"]*)"', svg)
        assert len(ids) == len(set(ids))
    return figures


def texts(figure: Figure | SubFigure) -> list[Text]:
    """The words of a figure that are seen: not labels of ticks beyond the limits of their axis."""
    found = [*figure.texts]
    for axis in figure.axes:
        found += [*axis.texts]
        for ticks in axis.artists:
            found += ticks.texts() if isinstance(ticks, Ticks) and axis.axison else []
    return [t for t in found if t.get_visible() and t.get_text().strip()]


def words(figure: Figure | SubFigure) -> list[str]:
    """The same as text."""
    return [t.get_text() for t in texts(figure)]


def marks(axis: Axes) -> list[np.ndarray]:
    """Points (n, 2), in the units of the axis, of everything that is drawn by them."""
    found = [np.asarray(line.get_xydata(), float) for line in axis.lines if line.get_transform() == axis.transData]
    for collection in axis.collections:
        if isinstance(collection, LineCollection):
            found += [np.asarray(segment) for segment in collection.get_segments()]
        elif isinstance(collection, PathCollection):
            found.append(np.asarray(collection.get_offsets()))
    return [*found, *(patch.get_patch_transform().transform(patch.get_path().vertices) for patch in axis.patches)]


def _inside(axis: Axes, points: np.ndarray) -> None:
    points = points[np.isfinite(points).all(axis=1)]
    pixels, (low, high) = axis.transData.transform(points), axis.get_window_extent().get_points()
    assert np.all(pixels >= low - 1) and np.all(pixels <= high + 1), points


def circles(axis: Axes, marker: str = "o") -> np.ndarray:
    """The points (n, 2) that are drawn with a marker, in the order drawn."""
    lines = [np.asarray(line.get_xydata(), float) for line in axis.lines if line.get_marker() == marker]
    return np.concatenate(lines) if lines else np.empty((0, 2))


def segments(axis: Axes, width: float) -> np.ndarray:
    """The lines (n, 2, 2) of a width, such as intervals."""
    found = [
        np.asarray(segment)
        for lines in axis.collections
        if isinstance(lines, LineCollection) and np.isclose(float(np.asarray(lines.get_linewidth()).ravel()[0]), width)
        for segment in lines.get_segments()
    ]
    return np.array(found)


def discs(axis: Axes) -> list[np.ndarray]:
    """The points (n, 2) of each cloud of discs or squares."""
    return [np.asarray(c.get_offsets()) for c in axis.collections if isinstance(c, PathCollection)]
