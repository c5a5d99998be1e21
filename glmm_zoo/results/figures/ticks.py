"""Axes, and the ticks of an axis: one artist that draws all of them, where matplotlib makes five for each tick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.backend_bases import RendererBase
from matplotlib.lines import Line2D
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from glmm_zoo.results.figures.svg_renderer import SvgRenderer, label_of

LENGTH, MARK_WIDTH = 3.5, 0.8  # px of the mark of a tick


class _NoTicks:
    """An empty list, in place of the tick that matplotlib makes of each axis to copy its look."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, axis: Any, owner: type) -> Any:
        return axis.__dict__.setdefault(self.name, [])


class _Bare:
    majorTicks: Any = _NoTicks()  # noqa: N815 - matplotlib's names
    minorTicks: Any = _NoTicks()  # noqa: N815

    def set_clip_path(self, path: Any, transform: Any = None) -> None:
        """Nothing, since nothing of this axis is drawn; of matplotlib's it is a sixth of the time that axes take to be made."""


class _Across(_Bare, XAxis):
    pass


class _Up(_Bare, YAxis):
    pass


class BareAxes(Axes):
    """Axes whose ticks are drawn by `Ticks`; without matplotlib's own they are made in less than half the time."""

    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = _Across(self, clear=False), _Up(self, clear=False)
        for sides, axis in (("bottom", "top"), self.xaxis), (("left", "right"), self.yaxis):
            for side in sides:
                self.spines[side].register_axis(axis)

    def tick_params(self, axis: Any = "both", **kwargs: Any) -> None:
        """Nothing, as there are no ticks of matplotlib, which asks for this twice of each axes."""

    def grid(self, visible: bool | None = None, which: Any = "major", axis: Any = "both", **kwargs: Any) -> None:
        """Nothing: lines of a grid belong to ticks of matplotlib."""


class Ticks(Artist):
    """The marks and labels of the ticks that the locator and the formatter of an axis say, and the title of the axis.

    The axis of matplotlib itself is not drawn; its scale, limits, locator, formatter and title are what is drawn here.

    Attributes
    ----------
    size, pad
        Of labels, and between them and their marks, in px.
    marks
        Whether there are marks beside labels.
    align
        How labels stand to their ticks along the axis, one word for each tick, where not in their middle.
    opposite
        Whether they stand at the top, or at the right.
    """

    def __init__(self, axes: Axes, *, vertical: bool, size: float, label_colour: str, mark_colour: str):
        super().__init__()
        self._of, self.along = axes, axes.yaxis if vertical else axes.xaxis
        self.along.set_visible(False)
        self.size, self.pad, self.marks, self.opposite = size, 3.0, True, False
        self.align: Sequence[str] = ()
        self._colours = label_colour, mark_colour
        self.set_clip_on(False)
        axes.add_artist(self)
        self.set_clip_on(False)

    def get_window_extent(self, renderer: RendererBase | None = None) -> Bbox:
        """The box around the words, for whoever crops a figure to what is in it, as Jupyter does."""
        if not (self.get_visible() and self._of.axison):
            return Bbox.null()
        boxes = [text.get_window_extent(renderer) for text in self.texts()]
        return Bbox.union(boxes) if boxes else Bbox.null()

    def draw(self, renderer: RendererBase) -> None:
        """Draw marks, labels and title."""
        if not (self.get_visible() and self._of.axison):
            return
        places, labels = self._shown()
        if isinstance(renderer, SvgRenderer):
            self._draw_svg(places, labels, renderer)
            return
        if self.marks and len(places):
            marker: Any = TICKDOWN if self._horizontal else TICKLEFT
            line = Line2D(
                *self._pixels(places, 0), linestyle="none", marker=marker, markersize=LENGTH, color=self._colours[1],
                markeredgewidth=MARK_WIDTH,
            )  # fmt: skip
            line.set_figure(self._of.figure)
            line.draw(renderer)
        texts = self._texts(places, labels)
        for text in texts:
            text.draw(renderer)
        if self.along.label.get_text():
            self._place_title([text.get_window_extent(renderer) for text in texts], [t.get_text() for t in texts])
            self.along.label.draw(renderer)

    def _draw_svg(self, places: np.ndarray, labels: Sequence[str], renderer: SvgRenderer) -> None:
        """The same, without the artists that matplotlib needs."""
        if self.marks and len(places):
            mark = np.array([0.0, -LENGTH] if self._horizontal else [-LENGTH, 0.0])
            renderer.draw_marks(*self._pixels(places, 0), mark, self._colours[1], MARK_WIDTH)
        x, y = self._pixels(places, self._away)
        shown = [k for k, label in enumerate(labels) if label]
        words = [label_of(labels[k], self.size, *self._aligned(k)) for k in shown]
        renderer.draw_labels(x[shown], y[shown], words, self._colours[0])
        if self.along.label.get_text():
            boxes = [Bbox(label.box + np.array([x[k], y[k]])) for k, label in zip(shown, words, strict=True)]
            self._place_title(boxes, [labels[k] for k in shown])
            self.along.label.draw(renderer)

    def texts(self) -> list[Text]:
        """The words of labels and title as artists, in their places."""
        texts = self._texts(*self._shown())
        title = self.along.label
        if not title.get_text():
            return texts
        self._place_title([text.get_window_extent() for text in texts], [text.get_text() for text in texts])
        return [*texts, title]

    def get_tightbbox(self, renderer: RendererBase | None = None) -> Bbox:
        """The room of labels and title in px: notebooks cut figures to what they hold, `bbox_inches="tight"`."""
        seen = self.get_visible() and self._of.axison
        boxes = [text.get_window_extent(renderer) for text in self.texts()] if seen else []
        return Bbox.union(boxes) if boxes else Bbox.null()

    @property
    def _horizontal(self) -> bool:
        return isinstance(self.along, XAxis)

    def _shown(self) -> tuple[np.ndarray, list[str]]:
        """The ticks (n,) within the limits, and their labels."""
        places = np.asarray(self.along.get_majorticklocs(), float)
        labels = self.along.get_major_formatter().format_ticks(list(places))
        low, high = sorted(self.along.get_view_interval())
        slack = 1e-9 * (high - low)
        inside = (places >= low - slack) & (places <= high + slack)
        return places[inside], [label for label, seen in zip(labels, inside, strict=True) if seen]

    def _pixels(self, places: np.ndarray, away: float) -> tuple[np.ndarray, np.ndarray]:
        """Where the ticks are (n,), so many px away from the axis."""
        box, transform = self._of.bbox, self._of.transData
        if self._horizontal:
            x = transform.transform(np.column_stack([places, np.full(len(places), self._of.get_ylim()[0])]))[:, 0]
            return x, np.full(len(x), box.y1 + away if self.opposite else box.y0 - away)
        y = transform.transform(np.column_stack([np.full(len(places), self._of.get_xlim()[0]), places]))[:, 1]
        return np.full(len(y), box.x1 + away if self.opposite else box.x0 - away), y

    def _texts(self, places: np.ndarray, labels: Sequence[str]) -> list[Text]:
        x, y = self._pixels(places, self._away)
        made = []
        for k, label in enumerate(labels):
            if label:
                ha, va = self._aligned(k)
                text = Text(
                    x[k], y[k], label, ha=ha, va=va, fontsize=self.size, color=self._colours[0], parse_math=False
                )
                text.set_figure(self._of.figure)
                made.append(text)
        return made

    @property
    def _away(self) -> float:
        """How many px labels are away from the axis."""
        return self.pad + (LENGTH if self.marks else 0)

    def _aligned(self, k: int) -> tuple[str, str]:
        """How label k stands to its tick, across and upwards."""
        if not self._horizontal:
            return "right", "center"
        return self.align[k] if self.align else "center", "bottom" if self.opposite else "top"

    def _place_title(self, boxes: Sequence[Any], labels: Sequence[str]) -> None:
        """Put the title beyond the labels, which have these boxes."""
        order = sorted(range(len(boxes)), key=lambda k: labels[k].count("\n"))
        reaching = [boxes[k] for k in (order[-1:] if self._horizontal else order)] or [self._of.bbox]
        box, title, pad = Bbox.union(reaching), self.along.label, self.along.labelpad
        if self._horizontal:
            title.set_y(box.y0 - pad)
        else:
            title.set_x(box.x0 - pad)
