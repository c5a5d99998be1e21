"""Population averages by level over the raw data, and their differences from the level that others are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.effects import (
    LEAST_AXIS,
    MARKS,
    MOST_FOREST_ROWS,
    Forest,
    RowLayout,
    draw_rows,
    panels_of,
)
from glmm_zoo.results.figures.estimated import Amount, Estimated, amount_of, beyond_words, estimated, value_limits
from glmm_zoo.results.figures.picture import SMALL, Canvas, Picture, capital
from glmm_zoo.results.figures.raw_data import diameters, jitter, raw_data
from glmm_zoo.results.figures.value_words import NOT_OF, row_words, sides, told, value_words, wrapped
from glmm_zoo.results.numbers import NO_BREAK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 200.0  # px
_MOST_NUMBERED = 6  # levels beside whose circles the medians stand


@dataclass(frozen=True)
class _Raw:
    """Raw data behind means: places (n,) among them, values (n,), sizes (n,), and what they are."""

    place: np.ndarray
    values: np.ndarray
    sizes: np.ndarray
    words: str


def adjusted_means(
    tree: xr.DataTree,
    means: Estimates,
    about: About,
    comparisons: Estimates | None = None,
    *,
    outcome: str | None = None,
) -> Picture:
    """Averages by level with the raw data behind them, and differences of these.

    Parameters
    ----------
    means, comparisons
        From `predictions` by the levels of a variable, and from `comparisons` of it, of which the differences are drawn.
    outcome
        One of several.
    """
    table = means.table
    rows = np.arange(len(table)) if outcome is None else np.flatnonzero(table["outcome"] == outcome)
    measure = str(table["measure"].iloc[rows[0]])
    amount = amount_of(tree, about, measure, outcome)
    first = means_panel(estimated(means, rows[:MOST_FOREST_ROWS]), about, amount)
    raw = _raw(tree, first.of, about, outcome) if measure == "mean" else None
    second = None if comparisons is None else differences_panel(comparisons, amount, about, outcome)
    limits = value_limits(first.of.quantiles, np.empty(0) if raw is None else raw.values, amount)
    caption = f"{'First panel: ' if second else ''}{_whose(means)}{amount.words}, {MARKS}"
    caption += f"; grey discs are {raw.words}{beyond_words(raw.values, limits)}." if raw is not None else "."
    caption += f" The first {MOST_FOREST_ROWS} of {len(rows)} are drawn." if len(rows) > MOST_FOREST_ROWS else ""
    alt = f"{first.title}, with 95{NO_BREAK}% interval: {told(first.labels, first.of.told)}"
    if second is not None:
        title = f"{second.title[:1].lower()}{second.title[1:]}{f', {second.axis}' if second.axis else ''}"
        caption += f" Second panel: {title}."
        alt += f"; {title}: {told(second.labels, second.of.texts)}"
    caption = capital(caption)
    return Picture(
        "adjusted_means",
        first.title,
        caption,
        f"{alt}.",
        lambda canvas: _draw(canvas, first, second, raw, limits),
    )


def means_panel(of: Estimated, about: About, amount: Amount) -> Forest:
    """Averages by level as rows; the axis is that of the levels."""
    columns = level_columns(of.of)
    if len(columns) == 1:
        labels, short = ([value_words(about, columns[0], v, short=s) for v in of.of[columns[0]]] for s in (False, True))
    else:
        labels, short = (row_words(of.of, about, short=s) for s in (False, True))
    axis = about.axis(columns[0]) if len(columns) == 1 else ""
    return Forest(of, labels, short, np.nan, amount.title, axis)


def differences_panel(comparisons: Estimates, amount: Amount, about: About, outcome: str | None = None) -> Forest:
    """The differences among comparisons; where all are from the same level it is in the title."""
    table = comparisons.table
    of_outcome = True if outcome is None else table["outcome"] == outcome
    rows = np.flatnonzero((table["measure"] == "difference") & of_outcome)[:MOST_FOREST_ROWS]
    of = estimated(comparisons, rows)
    axis = "percentage points" if amount.of_differences == "points" else amount.unit
    columns = [c for c in ("variable", "contrast") if of.of[c].nunique() > 1]
    found = [sides(str(c)) for c in of.of["contrast"]]
    lows = {pair[1] for pair in found if pair is not None}
    if columns != ["variable"] and len(lows) == 1 and None not in found and level_columns(of.of) in ([], ["contrast"]):
        variable = str(of.of["variable"].iloc[0])
        highs = [pair[0] for pair in found if pair is not None]
        labels, short = ([value_words(about, variable, high, short=s) for high in highs] for s in (False, True))
        return Forest(of, labels, short, 0.0, f"Difference from {value_words(about, variable, lows.pop())}", axis)
    labels, short = (row_words(of.of, about, short=s) for s in (False, True))
    return Forest(of, labels, short, 0.0, "Difference", axis)


def level_columns(of: pd.DataFrame) -> list[str]:
    """The columns that tell estimates apart; of a single one all that say what it is."""
    known = [str(c) for c in of if c not in (*NOT_OF, "outcome", "variable") and of[c].notna().any()]
    return [c for c in known if of[c].nunique(dropna=False) > 1] or (known if len(of) == 1 else [])


def _raw(tree: xr.DataTree, of: Estimated, about: About, outcome: str | None) -> _Raw | None:
    data = raw_data(tree, outcome)
    place = data.where(of.of, level_columns(of.of))
    if place is None or not (place >= 0).any():
        return None
    return _Raw(*data.discs(place, about))


def _whose(means: Estimates) -> str:
    return "population-averaged " if set(means.table["groups"]) == {"population"} else ""


# -------------------------------------------------------------------------------------------------------------- drawing


def _draw(canvas: Canvas, first: Forest, second: Forest | None, raw: _Raw | None, limits: tuple[float, float]) -> None:
    """Levels along the horizontal axis where their names have room there, else rows."""
    ticks = upright_ticks(canvas, first, canvas.width - 72 if canvas.narrow or second is None else 0.35 * canvas.width)
    upright = ticks is not None
    widest = 110 if canvas.narrow else 120 if upright else 260
    layouts = [RowLayout.of(canvas, panel, widest) for panel in (first, second) if panel is not None]
    room = canvas.width if canvas.narrow or not upright else 0.6 * canvas.width
    for i, panel in enumerate((first, second)):
        if panel is not None and room - layouts[i].left - layouts[i].right < LEAST_AXIS:
            layouts[i] = layouts[i].with_medians(canvas, panel)
    if not upright:
        axes = panels_of(canvas, layouts, across=1)
        axes[0].set_xlim(limits)
        draw_rows(canvas, axes[0], replace(first, axis=""), layouts[0])
    else:
        layouts[0] = replace(layouts[0], left=56.0, right=16.0, height=_HEIGHT)
        widths = [max(1.25, 0.4 * len(ticks)), 1]
        axes = panels_of(canvas, layouts, widths=widths, below=42 + 15 * max(text.count("\n") for text in ticks))
        axes[0].set_ylim(limits)
        upright_means(canvas, axes[0], first, ticks)
    if first.of.scale == "risk":
        canvas.percent_axis(axes[0], vertical=upright)
    if raw is not None:
        spread = 0.35 * min(1.0, len(first.labels) / 3) * jitter(len(raw.place))
        at = raw.place + (spread - 0.24 if upright else spread)
        points = (at, raw.values) if upright else (raw.values, at)
        canvas.discs(axes[0], *points, diameter=diameters(raw.sizes))
    if second is not None:
        draw_rows(canvas, axes[1], second, layouts[-1])


def upright_ticks(canvas: Canvas, panel: Forest, width: float) -> list[str] | None:
    """The names of levels broken into at most two lines each beside each other on `width` px, None where they have no room."""
    slot = width / len(panel.short) - 6
    ticks = [wrapped(text, slot, SMALL) for text in panel.short]
    whole = not any("…" in text or text.count("\n") > 1 for text in ticks)
    return ticks if whole and canvas.text_width(ticks, SMALL) <= slot else None


def upright_means(canvas: Canvas, axis: Axes, panel: Forest, ticks: Sequence[str]) -> None:
    """Levels from left to right, the medians beside their circles where they are few; limits upwards are set before."""
    at = np.arange(len(ticks))
    axis.set_xlim(-0.6, len(ticks) - 0.4)
    canvas.ticks(axis, at, ticks)
    canvas.intervals(axis, at, panel.of.quantiles, vertical=True)
    canvas.title(axis, panel.title)
    canvas.axis_title(axis, panel.axis)
    if len(ticks) <= _MOST_NUMBERED:
        texts, slot = panel.of.medians, axis.get_position().width * canvas.width / (len(at) + 0.2)
        if canvas.text_width(texts) > 0.5 * slot:  # the axis has the sign of per cent
            texts = [text.removesuffix(f"{NO_BREAK}%") for text in texts]
        for x, y, text in zip(at.tolist(), panel.of.quantiles[2], texts, strict=True):
            canvas.note(axis, x, y, text, role="model", bold=True, shift=(9, 0))
