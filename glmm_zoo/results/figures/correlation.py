"""Correlations of group effects as a matrix: a disc and the number for each pair, the interval across the diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, listing
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.group_effect_words import correlated_effects
from glmm_zoo.results.figures.picture import BANDS, SMALL, TEXT, Canvas, Picture
from glmm_zoo.results.figures.value_words import told, wrapped
from glmm_zoo.results.numbers import NO_BREAK, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_EFFECTS = 8
_LARGEST = 44.0  # px, the disc of a correlation of 1
_WITH_INTERVAL = 88.0  # px of a cell in which an interval has room


def correlation(tree: xr.DataTree, about: About, *, factor: str | None = None) -> Picture:
    """Correlations of the effects of a grouping factor, by default of the first that has them.

    Raises
    ------
    InputError
        A fit without correlated group effects.
    """
    found = correlated_effects(tree, about, "correlation", factor)
    if len(found.strata) > 1:
        raise InputError(
            f"correlation draws one matrix, and the effects of {found.factor} have one for each of {listing(found.strata)}"
        )
    words, k = found.words[:_MOST_EFFECTS], min(len(found.words), _MOST_EFFECTS)
    draws = found.correlations.reshape(-1, *found.correlations.shape[3:])[:, :k, :k]
    quantiles = np.quantile(draws, BANDS, axis=0)
    name = about.name(found.factor)
    pairs = [(i, j) for i in range(k) for j in range(i)]
    texts = [f"{_two(quantiles[2, i, j])} ({_two(quantiles[0, i, j])} to {_two(quantiles[4, i, j])})" for i, j in pairs]
    labels = [f"{words[i]} and {words[j]}" for i, j in pairs]
    where = " Intercepts are at the means of the columns of slopes." if found.at_means else ""
    more = (
        f" The first {_MOST_EFFECTS} of {len(found.words)} effects are drawn."
        if len(found.words) > _MOST_EFFECTS
        else ""
    )
    caption = (
        f"Correlations of the effects of {about.plural(name)}: disc and number = median, the area is as the correlation (blue: positive, "
        f"orange: negative); across the diagonal the 95{NO_BREAK}% interval. They say how {about.plural(name)} differ, not what within one "
        f"goes together.{where}{more}"
    )
    alt = f"Correlations of the effects of {about.plural(name)} with 95{NO_BREAK}% interval: {told(labels, texts)}."
    return Picture(
        "correlation", f"Correlations of the effects of {about.plural(name)}", caption, alt,
        lambda canvas: _draw(canvas, words, quantiles),
    )  # fmt: skip


def _two(value: float) -> str:
    return written(value, 2)


def _draw(canvas: Canvas, words: Sequence[str], quantiles: np.ndarray) -> None:
    """Rows are named at the left by number and words, columns at the top by number."""
    k = len(words)
    labels = [wrapped(f"{i + 1}  {text}", 120 if canvas.narrow else 240, TEXT) for i, text in enumerate(words)]
    axis, cell, row = square_of_cells(canvas, labels, [str(i + 1) for i in range(k)])
    largest = min(_LARGEST, cell - 6, row - 6)
    for i in range(k):
        for j in range(k):
            _cell(canvas, axis, i, j, quantiles[:, i, j], largest, interval=cell >= _WITH_INTERVAL)


def square_of_cells(canvas: Canvas, labels: Sequence[str], columns: Sequence[str]) -> tuple[Axes, float, float]:
    """An axis of cells (k, k), named at the left and at the top, and the width and height of a cell in px."""
    k = len(labels)
    left = canvas.text_width(labels) + 12
    cell = min((canvas.width - left - 12) / k, 110.0)
    row = max(min(cell, _LARGEST + 10), 16.0 * (1 + max(text.count("\n") for text in labels)), 34.0)
    right = canvas.width - left - k * cell
    (axis,) = canvas.panels(1, k * row, left=left, right=right, top=24, below=10)
    axis.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5))
    ticks = canvas.ticks(axis, range(k), columns)
    ticks.size, ticks.marks, ticks.opposite = TEXT, False, True
    canvas.row_ticks(axis, range(k), labels)
    for spine in axis.spines.values():
        spine.set_visible(False)
    edges = np.arange(k + 1) - 0.5
    axis.vlines(edges, -0.5, k - 0.5, colors=canvas.colour["line"], linewidth=1, zorder=0.5)
    axis.hlines(edges, -0.5, k - 0.5, colors=canvas.colour["line"], linewidth=1, zorder=0.5)
    return axis, cell, row


def _cell(canvas: Canvas, axis: Axes, i: int, j: int, q: np.ndarray, largest: float, *, interval: bool) -> None:
    """Below the diagonal disc and number, above it the interval, in two lines where it has no room in one."""
    if i > j:
        disc_of_correlation(canvas, axis, (i, j), q[2], largest)
    elif i < j:
        text = f"{_two(q[0])} to{' ' if interval else chr(10)}{_two(q[4])}"
        canvas.note(axis, j, i, text, align="center", size=SMALL)


def disc_of_correlation(canvas: Canvas, axis: Axes, at: tuple[int, int], value: float, largest: float) -> None:
    """A disc whose area is as the correlation, and its number, in a cell (row, column)."""
    i, j = at
    role, diameter = "model" if value >= 0 else "data", largest * np.sqrt(abs(value))
    canvas.discs(axis, np.array([j]), np.array([i]), role=role, diameter=diameter, opacity=0.3)
    canvas.note(axis, j, i, _two(value), role="ink", align="center", size=TEXT)
