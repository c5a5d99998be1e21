"""What every picture has: a name, a title, a caption, a text for who cannot see it, and a function that draws it at any width.

A picture is drawn for 720 px, and again for the 343 px of a telephone with fewer ticks and panels below each other; text keeps its
size in both. One point is one pixel.
"""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError, listing
from glmm_zoo.results.figures.sheet import SMALL, TEXT, Sheet
from glmm_zoo.results.figures.svg import COLOURS, Stylesheet, standalone_svg
from glmm_zoo.results.replacement import replace_file
from glmm_zoo.results.storage import check_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW = 720, 343  # px
BANDS = (0.025, 0.25, 0.5, 0.75, 0.975)  # the quantiles that bound 95 and 50 %, and the median
RATIO_TICKS = np.array([0.001, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 10, 20, 50, 100, 1000])
ENDINGS = (".svg", ".png", ".pdf")
BOLD_LETTER = 0.62  # of its size is how wide a bold letter is, about
BOLD = 1.1  # times as wide as others are bold letters
TITLE_LINE = 16  # px of each further line of a title
PLAIN_TEXT: Any = {"text.parse_math": False}  # a dollar sign of a name begins no formula


@dataclass(frozen=True)
class Picture:
    """A picture of a fit.

    Attributes
    ----------
    name, title
        The word it is asked for by, and what it shows.
    caption
        What each mark is, what the raw data are, whose quantity it is, what cannot be read from it.
    alt
        The finding in one sentence with its numbers.
    draw
        Draws on a canvas.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[Canvas], None] = field(repr=False)

    def figure(self, width: int = WIDE) -> Figure:
        """The picture as a figure of matplotlib, `width` pixels wide, on paper of its own: a page around it may be dark."""
        figure = self._on_the_page(width)
        figure.set_facecolor(COLOURS["paper"])
        return figure

    def _on_the_page(self, width: int) -> Figure:
        """The picture without paper, as it stands inside a page and in files for print."""
        import matplotlib as mpl

        canvas = Canvas(width)
        with mpl.rc_context(PLAIN_TEXT):
            self.draw(canvas)
        return canvas.figure

    def inline_svg(self, width: int, styles: Stylesheet) -> str:
        """The picture as SVG inside a page: colours are the page's, classes are those of `styles`."""
        from glmm_zoo.results.figures.svg_renderer import svg_of

        return svg_of(self._on_the_page(width), styles)

    def save(self, path: str | os.PathLike[str], *, width: int = WIDE, overwrite: bool = False) -> Path:
        """Write the picture in the form that the ending says: .svg, .png or .pdf.

        Raises
        ------
        InputError
            Another ending, or a file that cannot be written.
        """
        path = check_picture_file(path, overwrite=overwrite)
        ending = path.suffix.lower()
        if ending == ".svg":
            styles = Stylesheet()
            content = standalone_svg(self.inline_svg(width, styles), styles, title=self.alt).encode()
        else:
            content = _drawn(self._on_the_page(width), ending[1:])
        replace_file(path, content)
        return path


def check_picture_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """The path, when a picture can be written there.

    Raises
    ------
    InputError
        An ending for which there is no form, and all that `check_target` refuses.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise InputError(
            f"out: {str(path)!r} should end in one of {listing(ENDINGS)}, which says the form of the picture"
        )
    return check_target(path, overwrite=overwrite)


def check_width(width: int) -> None:
    """Refuse a width in which nothing can be read.

    Raises
    ------
    InputError
        A width that is not between 300 and 3000 px.
    """
    if not 300 <= width <= 3000:
        raise InputError(
            f"width must be between 300 and 3000 pixels, not {width}; a page has {WIDE}, a telephone {NARROW}"
        )


def _drawn(figure: Figure, form: str) -> bytes:
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({**PLAIN_TEXT, "pdf.fonttype": 42}):
        metadata: dict[str, Any] = {"pdf": {"CreationDate": None}}.get(form, {})
        figure.savefig(
            buffer,
            format=form,
            dpi=216 if form == "png" else 72,
            metadata=metadata,
            facecolor=COLOURS["paper"] if form == "png" else "none",
        )
    return buffer.getvalue()


class Canvas(Sheet):
    """A figure of a given width in pixels, with what all pictures draw: intervals, bands, raw data, axes and labels."""

    # ------------------------------------------------------------------------------------------------------- marks

    def intervals(
        self,
        axis: Axes,
        at: np.ndarray,
        quantiles: np.ndarray,
        *,
        role: str = "model",
        vertical: bool = False,
        scale: float = 1.0,
        marker: str = "o",
    ) -> None:
        """Intervals of 95 % (thin) and 50 % (thick) with the median as a circle, one at each of `at` (n,).

        `quantiles` (5, n) are those at `BANDS`. What lies beyond the limits of the axis, which are set before, is cut there, with an
        arrow.
        """
        low, high = sorted(axis.get_ylim() if vertical else axis.get_xlim())
        q = np.clip(quantiles, low, high)
        lines = axis.vlines if vertical else axis.hlines
        colour = self.colour[role]
        lines(at, q[0], q[4], colors=colour, linewidth=1.8 * scale)
        lines(at, q[1], q[3], colors=colour, linewidth=6 * scale)
        inside = (quantiles[2] >= low) & (quantiles[2] <= high)
        style: dict[str, Any] = {"linestyle": "none", "markeredgecolor": colour, "clip_on": False}
        points = (np.asarray(at)[inside], q[2][inside])
        axis.plot(
            *(points if vertical else points[::-1]), marker=marker, markersize=7.5 * np.sqrt(scale), zorder=5,
            markerfacecolor=self.colour["paper"], markeredgewidth=2 * np.sqrt(scale), **style,
        )  # fmt: skip
        arrows = (("v", quantiles[0] < low, low), ("^", quantiles[4] > high, high))
        for arrow, beyond, edge in arrows if vertical else (("<", *arrows[0][1:]), (">", *arrows[1][1:])):
            if beyond.any():
                ends = (np.asarray(at)[beyond], np.full(beyond.sum(), edge))
                ends = ends if vertical else ends[::-1]
                axis.plot(*ends, marker=arrow, markersize=6, markerfacecolor=colour, **style)

    def band(self, axis: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray, *, role: str = "model", opacity: float = 0.18) -> None:  # fmt: skip
        """A band between `low` and `high` (n,) over `x` (n,), as one polygon."""
        from matplotlib.patches import Polygon

        bottom, top = axis.get_ylim() if not axis.get_autoscaley_on() else (-np.inf, np.inf)
        y = np.clip(np.concatenate([low, high[::-1]]), bottom, top)
        corners = np.column_stack([np.concatenate([x, x[::-1]]), y])
        axis.add_artist(Polygon(corners, facecolor=self.colour[role], alpha=opacity, linewidth=0))
        axis.update_datalim(corners)
        axis.autoscale_view()

    def line(self, axis: Axes, x: np.ndarray, y: np.ndarray, *, role: str = "model", width: float = 2, dashed: bool = False, style: str = "", opacity: float = 1) -> None:  # fmt: skip
        """A line; parts beyond limits that were set before are left out. `style` is that of matplotlib, such as ":"."""
        bottom, top = axis.get_ylim() if not axis.get_autoscaley_on() else (-np.inf, np.inf)
        y = np.where((y >= bottom) & (y <= top), y, np.nan)
        style = style or ("--" if dashed else "-")
        axis.plot(x, y, color=self.colour[role], linewidth=width, linestyle=style, alpha=opacity)

    def discs(self, axis: Axes, x: np.ndarray, y: np.ndarray, *, role: str = "control", diameter: np.ndarray | float = 5, opacity: float = 0.4) -> None:  # fmt: skip
        """Raw data as discs of these diameters in px; those beyond limits that were set before are left out."""
        x, y, size = np.broadcast_arrays(x, y, np.square(np.asarray(diameter, float)))
        inside = np.full(x.shape, True)
        for values, limits, free in (
            (x, axis.get_xlim(), axis.get_autoscalex_on()),
            (y, axis.get_ylim(), axis.get_autoscaley_on()),
        ):
            inside &= free | ((values >= min(limits)) & (values <= max(limits)))
        axis.scatter(
            x[inside], y[inside], s=size[inside], facecolors=self.colour[role], alpha=opacity, linewidths=0,
            zorder=1.5,
        )  # fmt: skip

    def diamonds(self, axis: Axes, x: np.ndarray, y: np.ndarray, *, role: str = "data", size: float = 6) -> None:
        """Raw values of groups as diamonds."""
        axis.plot(
            x, y, linestyle="none", marker="D", markersize=size * 0.75, color=self.colour[role], zorder=6, clip_on=False
        )

    def no_effect(self, axis: Axes, at: float, *, vertical: bool = True) -> None:
        """The dashed line of no effect."""
        (axis.axvline if vertical else axis.axhline)(
            at, color=self.colour["muted"], linewidth=1, linestyle=(0, (4, 3)), zorder=0.5
        )

    # ------------------------------------------------------------------------------------------------ words and axes

    def title(self, axis: Axes, text: str) -> None:
        """What a panel shows, above it at the left; what is too long for one line goes on below, and the panel is so much lower."""
        box, height = axis.get_position(), self.figure.get_figheight() * 72
        row = [a.get_position() for a in self.figure.axes if abs(a.get_position().y0 - box.y0) * height < 1]
        first = self.narrow and box.x0 == min(mate.x0 for mate in row)
        left = 4 if first else box.x0 * self.width
        end = min((mate.x0 * self.width for mate in row if mate.x0 > box.x0), default=float(self.width))
        room = max(int((end - left - 8) / (BOLD_LETTER * TEXT)), 8)
        lines = _lines(text, room)
        while room > 8 and BOLD * self.text_width(lines) > end - left - 4:  # of wide letters
            room -= 1
            lines = _lines(text, room)
        lower = (len(lines) - 1) * TITLE_LINE
        axis.set_position((box.x0, box.y0, box.width, box.height - lower / height))
        axis.annotate(
            "\n".join(lines), (0, 1), (left - box.x0 * self.width, 12), xycoords="axes fraction",
            textcoords="offset points", fontsize=TEXT, fontweight="bold", color=self.colour["ink"], annotation_clip=False,
            va="bottom",
        )  # fmt: skip

    def axis_title(self, axis: Axes, text: str, *, vertical: bool = False) -> None:
        """What an axis is, with its unit; below a horizontal axis as far in its middle as the figure has room."""
        style: dict[str, Any] = {"fontsize": SMALL, "color": self.colour["ink"], "labelpad": 5}
        if vertical:
            axis.set_ylabel(text, **style)
            return
        (text,) = self.shortened([text], self.width - 8, SMALL)
        box, half = axis.get_position(), self.text_width([text], SMALL) / 2 + 3
        middle = np.clip((box.x0 + box.x1) / 2 * self.width, half, max(self.width - half, half))
        axis.set_xlabel(text, x=float(middle / self.width - box.x0) / box.width, **style)

    def note(self, axis: Axes, x: float, y: float, text: str, *, role: str = "muted", align: str = "left", bold: bool = False, shift: tuple[float, float] = (0, 0), size: float = SMALL) -> None:  # fmt: skip
        """Words at a place of the axis, shifted by px."""
        axis.annotate(
            text, (x, y), shift, textcoords="offset points", ha=align, va="center", fontsize=size,
            fontweight="bold" if bold else "normal", color=self.colour[role], annotation_clip=False,
        )  # fmt: skip

    def end_labels(
        self, axis: Axes, x: float, y: Sequence[float], texts: Sequence[str], roles: Sequence[str], *, gap: float = 6
    ) -> None:
        """Words so many px right of the ends of lines, at (x, y) in data, moved apart where they would be over one another."""
        pixels = axis.transData.transform(np.column_stack([np.full(len(y), x), y]))[:, 1]
        low, high = (axis.bbox.y0, axis.bbox.y1)
        lines = np.array([text.count("\n") + 1 for text in texts])
        wanted = np.clip(pixels, low, high)
        order = np.argsort(wanted, kind="stable")
        for before, after in pairwise(order):
            apart = (lines[before] + lines[after]) / 2 * (TEXT + 2.5)
            wanted[after] = max(wanted[after], wanted[before] + apart)
        wanted -= max(0.0, float(wanted.max() - high - 8))
        for text, role, of, to in zip(texts, roles, pixels, wanted, strict=True):
            at = float(axis.transData.inverted().transform((0, of))[1])
            self.note(axis, x, at, text, role=role, shift=(gap, float(to - of)), size=TEXT)

    def row_labels(self, axis: Axes, at: np.ndarray, labels: Sequence[str], *, pad: float = 3) -> None:
        """Labels of rows at the left of the axis, the first row at the top, no spine."""
        self.row_ticks(axis, at, labels, pad=pad)
        axis.spines["left"].set_visible(False)
        axis.set_ylim(max(at) + 0.7, min(at) - 0.7)

    def row_ticks(self, axis: Axes, at: Sequence[float] | np.ndarray, labels: Sequence[str], *, pad: float = 3) -> None:
        """Labels at the left of an axis, so many px away, without marks."""
        ticks = self.ticks(axis, at, labels, vertical=True)
        ticks.size, ticks.marks, ticks.pad = TEXT, False, pad

    def row_numbers(self, axis: Axes, at: np.ndarray, texts: Sequence[str], *, role: str = "ink") -> None:
        """Numbers of rows at the right of the axis, below each other."""
        for y, text in zip(at, texts, strict=True):
            axis.annotate(
                text, (1, y), (8, 0), xycoords=axis.get_yaxis_transform(), textcoords="offset points", va="center",
                fontsize=SMALL, color=self.colour[role], annotation_clip=False,
            )  # fmt: skip

    def ratio_axis(self, axis: Axes, low: float, high: float, *, vertical: bool = False) -> None:
        """A log axis with ticks at simple ratios; the limits take in 1 and at least a factor of 2."""
        low, high = min(low, 0.75), max(high, 1.35)
        axis.set(**{"yscale" if vertical else "xscale": "log", "ylim" if vertical else "xlim": (low, high)})
        ticks = RATIO_TICKS[(low <= RATIO_TICKS) & (high >= RATIO_TICKS)]
        if len(ticks) < 3:
            finer = np.array([0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 1.8])
            ticks = finer[(low <= finer) & (high >= finer)]
        ticks = self._apart(axis, ticks, vertical)
        self.ticks(axis, ticks, [f"{t:g}" for t in ticks], vertical=vertical)

    def _apart(self, axis: Axes, ticks: np.ndarray, vertical: bool) -> np.ndarray:
        """Those ticks of an axis whose labels have room, 1 before all others, then from the inside."""
        pixels = axis.transData.transform(np.column_stack([ticks, ticks]))[:, int(vertical)]
        half = np.array([SMALL if vertical else self.text_width([f"{tick:g}"], SMALL) / 2 + 3 for tick in ticks])
        kept: list[int] = []
        for i in np.argsort(np.abs(np.log(ticks)), kind="stable"):
            if all(abs(pixels[i] - pixels[k]) >= half[i] + half[k] for k in kept):
                kept.append(int(i))
        return ticks[sorted(kept)]

    def percent_axis(self, axis: Axes, *, vertical: bool = False) -> None:
        """Ticks of an axis whose values are shares, as per cent."""
        (axis.yaxis if vertical else axis.xaxis).set_major_formatter(
            lambda value, _: f"{100 * value:.4g} %".replace("-", "−")
        )

    def points_axis(self, axis: Axes, *, vertical: bool = False) -> None:
        """Ticks of an axis whose values are differences of shares, as percentage points."""
        (axis.yaxis if vertical else axis.xaxis).set_major_formatter(
            lambda value, _: f"{100 * value:.4g}".replace("-", "−")
        )


def _lines(text: str, room: int) -> list[str]:
    """At most three lines of so many letters, cut with an ellipsis where a word or the text is longer."""
    lines = textwrap.wrap(text, room, max_lines=3, placeholder="…", break_long_words=False)
    return [line if len(line) <= room else f"{line[: room - 1]}…" for line in lines]


def capital(text: str) -> str:
    """The text with a capital letter at its beginning, as a sentence or a head has."""
    return text[:1].upper() + text[1:]
