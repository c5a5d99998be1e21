"""Counts with more zeros: how often there are none, and how many there are, by level or along a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.adjusted_means import level_columns, means_panel, upright_means, upright_ticks
from glmm_zoo.results.figures.curves import along, bands
from glmm_zoo.results.figures.effects import LEAST_AXIS, MARKS, Forest, RowLayout, draw_rows, panels_of
from glmm_zoo.results.figures.estimated import (
    Amount,
    amount_of,
    estimated,
    exposure_column,
    fitted_family,
    value_limits,
)
from glmm_zoo.results.figures.picture import Canvas, Picture, capital
from glmm_zoo.results.figures.raw_data import RawData, raw_data
from glmm_zoo.results.figures.value_words import told
from glmm_zoo.results.numbers import NO_BREAK

_MOST_LEVELS = 12  # beyond, numbers are a curve
_HEIGHT = 190.0  # px
_NTH = ("First", "Second", "Third")


@dataclass(frozen=True)
class _Part:
    """One panel: estimates, what they are of, the value observed at each level (n,), NaN where there is none, and the values of a number
    along which there is a curve."""

    panel: Forest
    amount: Amount
    observed: np.ndarray
    x: np.ndarray | None

    @property
    def limits(self) -> tuple[float, float]:
        return value_limits(self.panel.of.quantiles, self.observed[np.isfinite(self.observed)], self.amount)


def zero_part(tree: xr.DataTree, parts: Sequence[Estimates], about: About, *, outcome: str | None = None) -> Picture:
    """A panel for each of two or three averages at the same levels: the probability of zero, the mean, the mean of what is above zero.

    Parameters
    ----------
    parts
        From `predictions` with `scale="zero"`, `"mean"`, `"positive"`, in the order of the panels.
    outcome
        One of several.

    Raises
    ------
    InputError
        No averages.
    """
    if not parts:
        raise InputError(
            'zero_part draws averages of several scales, and got none; ask predictions for scale="zero" and "mean"'
        )
    data = raw_data(tree, outcome)
    shown = [_part(tree, part, about, data, outcome) for part in parts[: len(_NTH)]]
    seen = any(np.isfinite(part.observed).any() for part in shown)
    first = shown[0]
    marks = capital(MARKS) if first.x is None else f"Line = median, bands = 50 and 95{NO_BREAK}% intervals"
    whose = (
        "All are population-averaged. " if all(set(part.table["groups"]) == {"population"} for part in parts) else ""
    )
    panels = " ".join(f"{n} panel: {p.amount.words}." for n, p in zip(_NTH, shown, strict=False))
    diamonds = "; orange diamonds = observed" if seen else ""
    hurdle = fitted_family(tree, outcome).zeros == "all"
    kinds = "" if hurdle else " Zeros are those of both kinds, structural and by chance."
    caption = f"{panels} {whose}{marks}{diamonds}.{kinds}"
    alt = "; ".join(f"{p.amount.words}, {told(*_few(p))}" for p in shown)
    return Picture(
        "zero_part", "How often none, and how many", caption, f"{capital(alt)}, with 95{NO_BREAK}% intervals.",
        lambda canvas: _draw(canvas, shown),
    )  # fmt: skip


def _part(tree: xr.DataTree, part: Estimates, about: About, data: RawData, outcome: str | None) -> _Part:
    measure = str(part.table["measure"].iloc[0])
    amount = amount_of(tree, about, measure, outcome)
    of = estimated(part)
    columns = level_columns(of.of)
    numeric = len(of.of) > _MOST_LEVELS and len(columns) == 1 and of.of[columns[0]].dtype.kind in "iuf"
    place = data.where(of.of, columns) if not numeric else None
    observed = np.full(len(of.of), np.nan) if place is None else _observed(data, place, measure, len(of.of))
    if exposure_column(tree) and measure != "mean":
        observed = np.full(len(of.of), np.nan)
    x = of.of[along(of.of)].to_numpy(float) if numeric else None
    return _Part(means_panel(of, about, amount), amount, observed, x)


def _observed(data: RawData, place: np.ndarray, measure: str, levels: int) -> np.ndarray:
    """The share of zeros, the mean, or the mean of what is above zero, of the rows at each level (levels,)."""
    found = np.full(levels, np.nan)
    for i in range(levels):
        y, size = data.values[place == i], data.sizes[place == i]
        if measure == "positive":
            y, size = y[y > 0], size[y > 0]
        if len(y):
            found[i] = np.mean(y == 0) if measure == "zero" else y.sum() / size.sum()
    return found


def _few(part: _Part) -> tuple[list[str], list[str]]:
    """Labels and numbers of all levels, of a curve those of its ends and its middle."""
    n = len(part.panel.labels)
    rows = range(n) if part.x is None else sorted({0, n // 2, n - 1})
    told_of = part.panel.of.told
    return [part.panel.labels[i] for i in rows], [told_of[i] for i in rows]


# -------------------------------------------------------------------------------------------------------------- drawing


def _draw(canvas: Canvas, parts: Sequence[_Part]) -> None:
    """Beside each other where levels have room along the horizontal axis, else rows below each other."""
    across = len(parts)
    width = canvas.width / (1 if canvas.narrow else across) - 74
    ticks = upright_ticks(canvas, parts[0].panel, width)
    if parts[0].x is not None or ticks is not None:
        below = 42 + 15 * max(text.count("\n") for text in ticks or [""])
        axes = canvas.panels(
            len(parts), _HEIGHT, left=54, right=14 if parts[0].x is not None else 20, below=below,
            across=None if canvas.narrow else across,
        )  # fmt: skip
        for axis, part in zip(axes, parts, strict=True):
            q = part.panel.of.quantiles
            axis.set_ylim(part.limits)
            if part.amount.scale == "risk":
                canvas.percent_axis(axis, vertical=True)
            if part.x is not None:
                axis.set_xlim(part.x.min(), part.x.max())
                bands(canvas, axis, part.x, q, "model", "-")
                canvas.title(axis, part.panel.title)
                canvas.axis_title(axis, part.panel.axis)
            else:
                upright_means(canvas, axis, part.panel, ticks or [])
                canvas.diamonds(axis, np.arange(len(part.observed)) - 0.2, part.observed)
        return
    layouts = [RowLayout.of(canvas, part.panel, 110 if canvas.narrow else 260) for part in parts]
    if any(canvas.width - x.left - x.right < LEAST_AXIS for x in layouts):
        layouts = [x.with_medians(canvas, part.panel) for x, part in zip(layouts, parts, strict=True)]
    for axis, part, layout in zip(panels_of(canvas, layouts, across=1), parts, layouts, strict=True):
        axis.set_xlim(part.limits)
        if part.amount.scale == "risk":
            canvas.percent_axis(axis)
        draw_rows(canvas, axis, replace(part.panel, axis=""), layout)
        canvas.diamonds(axis, part.observed, np.arange(len(part.observed)) + 0.25)
