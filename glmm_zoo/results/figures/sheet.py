"""A figure of matplotlib whose sizes are pixels: panels beside or below each other, and how wide text is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.results.figures.svg import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from glmm_zoo.results.figures.ticks import Ticks

TEXT, SMALL = 12.5, 11.5  # px
HINTED = 1.06  # of its width is that of text whose letters stand at whole pixels, at most
TICK_ROOM = 45  # px from one tick of a horizontal axis to the next, at least
PANEL_TOP, PANEL_BELOW = 30, 42  # px, for the title of a panel and its axis


class Sheet:
    """A figure of a given width in pixels, without marks."""

    def __init__(self, width: int):
        from matplotlib.figure import Figure

        self.width = width
        self.narrow = width < 500
        self.colour = COLOURS
        self.figure = Figure(figsize=(width / 72, 1), dpi=72, facecolor="none")
        self._ticks: dict[Axis, Ticks] = {}

    # ------------------------------------------------------------------------------------------------------ panels

    def panels(
        self,
        count: int,
        height: float | Sequence[float],
        *,
        left: float | Sequence[float] = 44,
        right: float | Sequence[float] = 12,
        top: float = PANEL_TOP,
        below: float = PANEL_BELOW,
        widths: Sequence[float] | None = None,
        across: int | None = None,
    ) -> list[Axes]:
        """Axes of `height` px each, beside each other where there is room (`across` in a row, two by default), else below each other.

        `left` and `right` are the px that labels and numbers need beside each panel, `top` and `below` those of title and axis;
        `widths` are the relative widths of panels that stand beside each other.
        """
        from glmm_zoo.results.figures.ticks import BareAxes

        in_row = 1 if self.narrow and across is None else min(count, across or 2)
        lefts, rights, heights = (list(np.broadcast_to(np.asarray(m, float), count)) for m in (left, right, height))
        of_rows = [max(heights[i : i + in_row]) for i in range(0, count, in_row)]
        total = sum(of_rows) + len(of_rows) * (top + below)
        self.figure.set_size_inches(self.width / 72, total / 72)
        axes = []
        for i in range(count):
            row, place = divmod(i, in_row)
            mates = range(row * in_row, min(count, (row + 1) * in_row))
            shares = np.ones(in_row) if widths is None or in_row == 1 else np.asarray(widths[: len(mates)], float)
            free = self.width - sum(lefts[m] + rights[m] for m in mates)
            if len(mates) < in_row:  # the last row is as wide as the others, not wider
                free = (self.width - sum(lefts[m] + rights[m] for m in range(in_row))) * len(mates) / in_row
            of_width = free * shares[: len(mates)] / shares[: len(mates)].sum()
            x = sum(lefts[m] + rights[m] + of_width[m - mates[0]] for m in mates[:place]) + lefts[i]
            y = total - sum(of_rows[: row + 1]) - row * (top + below) - top
            box = (x / self.width, y / total, float(of_width[place]) / self.width, of_rows[row] / total)
            axis = BareAxes(self.figure, box)
            self.figure.add_axes(axis)
            self._plain(axis)
            axes.append(axis)
        return axes

    def _plain(self, axis: Axes) -> None:
        """Spines left and below only, in grey; text in the page's ink."""
        from matplotlib.ticker import MaxNLocator

        from glmm_zoo.results.figures.ticks import Ticks

        axis.patch.set_visible(False)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axis.spines[side].set(color=self.colour["muted"], linewidth=0.8, position=("outward", 0))
        most = 4 if self.narrow else 5
        for along, vertical in ((axis.xaxis, False), (axis.yaxis, True)):
            self._ticks[along] = Ticks(
                axis, vertical=vertical, size=SMALL, label_colour=self.colour["ink"], mark_colour=self.colour["muted"]
            )
        for one, room in ((axis.xaxis, int(axis.get_position().width * self.width / TICK_ROOM)), (axis.yaxis, most)):
            one.set_major_locator(MaxNLocator(max(min(most, room), 2), steps=[1, 2, 2.5, 5, 10]))
            one.set_major_formatter(_ticks_as_written)

    def ticks(
        self,
        axis: Axes,
        at: Sequence[float] | np.ndarray,
        labels: Sequence[str] | None = None,
        *,
        vertical: bool = False,
    ) -> Ticks:
        """Ticks at these places alone, with these labels, or as numbers; what is returned can be set further."""
        from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

        along = axis.yaxis if vertical else axis.xaxis
        along.set_major_locator(FixedLocator(list(at)))
        along.set_minor_locator(NullLocator())
        if labels is not None:
            along.set_major_formatter(FixedFormatter(list(labels)))
        return self._ticks[along]

    def no_axis(self, axis: Axes, *, vertical: bool = True) -> None:
        """Neither ticks nor a line at the left, or below."""
        self.ticks(axis, [], vertical=vertical)
        axis.spines["left" if vertical else "bottom"].set_visible(False)

    def text_width(self, texts: Sequence[str], size: float = TEXT) -> float:
        """How many px the longest line of these texts takes in the font of matplotlib, which is wider than those of pages."""
        lines = (line for text in texts for line in text.split("\n"))
        return HINTED * size * max((sum(map(_letter_width, line)) for line in lines), default=0.0)

    def shortened(self, texts: Sequence[str], px: float, size: float = TEXT) -> list[str]:
        """These texts, those that take more than so many px cut short with an ellipsis."""
        return [text if self.text_width([text], size) <= px else self._cut(text, px, size) for text in texts]

    def _cut(self, text: str, px: float, size: float) -> str:
        kept = bisect_left(range(1, len(text)), True, key=lambda n: self.text_width([f"{text[:n]}…"], size) > px)
        return f"{text[:kept].rstrip()}…"


@cache
def _letter_width(letter: str) -> float:
    """How wide a letter of size 1 is in the font of matplotlib; 1 where it has none, as of Chinese."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    if not font.get_char_index(ord(letter)):
        return 1.0
    font.set_size(100, 72)
    return font.load_char(ord(letter)).linearHoriAdvance / 65536 / 100


def _ticks_as_written(value: float, _: object) -> str:
    return f"{value:.6g}".replace("-", "−")
