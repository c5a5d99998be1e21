"""Categories as bars by level: their probabilities from the model below the observed shares, the lowest, or the reference, at the left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.adjusted_means import level_columns
from glmm_zoo.results.figures.estimated import fitted_family, observed_name
from glmm_zoo.results.figures.picture import SMALL, TEXT, Canvas, Picture, capital
from glmm_zoo.results.figures.raw_data import raw_data
from glmm_zoo.results.figures.value_words import told, value_words, wrapped
from glmm_zoo.results.numbers import NO_BREAK, percent, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_LEVELS = 12
_BAR, _GAP, _KEY = 21, 14, 20  # px of a bar, between levels, and of a line of the names of categories
_LIGHTEST, _DARKEST = 0.06, 0.5  # opacity of the lowest and of the highest category, on which ink can be read


@dataclass(frozen=True)
class _Level:
    """One level: its name, mean probabilities (categories,) from the model, counts (categories,) observed, or none."""

    name: str
    model: np.ndarray
    observed: np.ndarray

    @property
    def bars(self) -> list[tuple[str, str, np.ndarray]]:
        """What each bar is, its colour and its shares, the observed one first."""
        n = self.observed.sum()
        seen = [("observed", "control", self.observed / n)] if n else []
        return [*seen, ("model", "model", self.model)]


def categories(tree: xr.DataTree, probabilities: Estimates, about: About, *, outcome: str | None = None) -> Picture:
    """Probabilities of categories by level, with the observed shares above them.

    Parameters
    ----------
    probabilities
        From `predictions` with `scale="probability"`, of unordered categories with any but "linear".
    outcome
        One of several.

    Raises
    ------
    InputError
        Estimates without categories.
    """
    table = probabilities.table
    if "category" not in table:
        raise InputError(
            'categories draws probabilities of categories, and these have none; ask predictions for scale="probability"'
        )
    rows = table if outcome is None else table[table["outcome"] == outcome]
    response = observed_name(tree, outcome)
    names = [value_words(about, response, c, short=True) for c in dict.fromkeys(rows["category"])]
    every = _levels(tree, rows[probabilities.of], rows["mean"].to_numpy(float), about, outcome)
    levels = [every[i] for i in np.unique(np.linspace(0, len(every) - 1, _MOST_LEVELS).round().astype(int))]
    words = about.outcome_of(outcome or "").outcome or response
    upper = "upper bar = shares observed, lower bar = " if any(level.observed.any() for level in levels) else ""
    unordered = fitted_family(tree, outcome).responses == "unordered"
    order = (
        f"the reference, {names[0]}, is at the left"
        if unordered
        else "the lowest category is at the left, and darker is higher"
    )
    whose = "population-averaged " if set(rows["groups"]) == {"population"} else ""
    caption = f"{capital(f'{upper}{whose}')}probability of each category of {words} from the model (mean of the draws); {order}.{f' {len(levels)} of {len(every)} levels are drawn.' if len(levels) < len(every) else ''}"
    texts = [told(names, [percent(p) for p in level.model]) for level in levels]
    alt = "; ".join(f"{level.name}: {text}" if level.name else text for level, text in zip(levels, texts, strict=True))
    return Picture(
        "categories", capital(words), caption, f"Probability of each category of {words}: {alt}.",
        lambda canvas: _draw(canvas, levels, names, capital(words)),
    )  # fmt: skip


def _levels(tree: xr.DataTree, of: pd.DataFrame, means: np.ndarray, about: About, outcome: str | None) -> list[_Level]:
    """The levels in the order of the estimates."""
    first = of[of["category"] == of["category"].iloc[0]]
    by = level_columns(first.drop(columns="category"))
    data = raw_data(tree, outcome)
    place = data.where(first, by) if by else np.zeros(len(data.values), int)
    count = of["category"].nunique()
    category = (data.values - 1).astype(int)
    found = []
    for i, (_, row) in enumerate(first.iterrows()):
        same = (of[by] == row[by]).all(axis=1) if by else np.full(len(of), True)
        observed = category[place == i] if place is not None else np.empty(0, int)
        name = ", ".join(value_words(about, c, row[c]) for c in by)
        found.append(_Level(name, means[np.asarray(same)], np.bincount(observed, minlength=count)))
    return found


# -------------------------------------------------------------------------------------------------------------- drawing


def _draw(canvas: Canvas, levels: Sequence[_Level], names: Sequence[str], title: str) -> None:
    labels = [wrapped(level.name, 90 if canvas.narrow else 180, TEXT) for level in levels]
    left, right = max(canvas.text_width(labels) + 12, 22), canvas.text_width(["observed"], SMALL) + 14
    keys = _key_places(canvas, names, canvas.width - left - right)
    top = _KEY * (1 + max(line for line, _ in keys)) + 6
    heights = [
        max(len(level.bars) * _BAR, 15 * (label.count("\n") + 1)) + _GAP
        for level, label in zip(levels, labels, strict=True)
    ]
    (axis,) = canvas.panels(1, top + sum(heights), left=left, right=right)
    axis.set(xlim=(0, 1), ylim=(top + sum(heights), 0))
    axis.spines["left"].set_visible(False)
    width = axis.get_position().width * canvas.width
    opacities = np.linspace(_LIGHTEST, _DARKEST, len(names))
    for name, opacity, (line, at) in zip(names, opacities, keys, strict=True):
        _box(canvas, axis, (at / width, _KEY * line + 3, 12 / width, 12), "model", opacity)
        canvas.note(axis, at / width, _KEY * line + 9, name, role="ink", shift=(17, 0))
    y, middles = top, []
    for level, height in zip(levels, heights, strict=True):
        middles.append(y + len(level.bars) * _BAR / 2)
        for what, role, shares in level.bars:
            _bar(canvas, axis, y, shares, role, opacities, width)
            canvas.note(axis, 1, y + _BAR / 2 - 1, what, shift=(8, 0))
            y += _BAR
        y += height - len(level.bars) * _BAR
    canvas.row_ticks(axis, middles, labels)
    canvas.percent_axis(axis)
    canvas.title(axis, title)


def _bar(
    canvas: Canvas, axis: Axes, y: float, shares: np.ndarray, role: str, opacities: np.ndarray, width: float
) -> None:
    """A bar whose shares stand on it in per cent, where they have room."""
    ends = np.concatenate([[0.0], np.cumsum(shares)])
    for share, start, opacity in zip(shares, ends, opacities, strict=False):
        if share <= 0:
            continue
        _box(canvas, axis, (start, y, share, _BAR - 3), role, opacity)
        text = f"{written(100 * share, 0)}{NO_BREAK}%"
        if canvas.text_width([text], SMALL) + 4 <= share * width:
            canvas.note(axis, start + share / 2, y + (_BAR - 3) / 2, text, role="ink", align="center")


def _box(canvas: Canvas, axis: Axes, box: tuple[float, float, float, float], role: str, opacity: float) -> None:
    """A rectangle (x, y, width, height) with a thin edge, so that the lightest is seen too."""
    x, y, width, height = box
    axis.fill(
        [x, x + width, x + width, x], [y, y, y + height, y + height], facecolor=(canvas.colour[role], opacity),
        edgecolor=canvas.colour[role], linewidth=0.8,
    )  # fmt: skip


def _key_places(canvas: Canvas, names: Sequence[str], width: float) -> list[tuple[int, float]]:
    """The line and the px from the left of the name of each category."""
    line, at, places = 0, 0.0, []
    for name in names:
        taken = canvas.text_width([name], SMALL) + 34
        if at and at + taken > width:
            line, at = line + 1, 0.0
        places.append((line, at))
        at += taken
    return places
