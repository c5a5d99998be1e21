"""What the priors say before the data: of rows, and of what the answering variable changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.figures.picture import BANDS, Canvas, Picture, capital
from glmm_zoo.results.numbers import written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 30
_RATIOS = ("ratio", "hazard ratio")
_MOST_CONTRASTS = 6


def prior_predictive_picture(
    table: pd.DataFrame, draws: xr.Dataset, sentences: Sequence[str], words: Mapping[str, str]
) -> Picture:
    """The prior of rows and of contrasts of the first outcome.

    Parameters
    ----------
    table, draws, sentences, words
        Those of a `PriorPredictive`.
    """
    values = draws["value"].values
    first = table["outcome"] == table["outcome"].iloc[0]
    of_rows = table[first & (table["of"] == "rows") & (table["measure"] == table["measure"].iloc[0])]
    contrasts = table[first & table["of"].str.contains(" vs | \\+", regex=True)]
    measure = "ratio" if (contrasts["measure"] == "ratio").any() and of_rows["below"].isna().all() else "difference"
    contrasts = contrasts[contrasts["measure"] == measure].head(_MOST_CONTRASTS)
    caption = (
        "Draws from the priors alone, before the data; a row has the effects of groups drawn anew. Grey: the prior of a row of the data"
        + (
            " (first panel), and of differences or ratios of averages over rows (second panel)."
            if len(contrasts)
            else "."
        )
        + " It does not say what the data will show, only what the priors hold for possible."
    )
    return Picture(
        "prior_predictive", "What the priors say before the data", caption, sentences[1],
        partial(_draw, of_rows, contrasts, values, words),
    )  # fmt: skip


def _draw(
    of_rows: pd.DataFrame, contrasts: pd.DataFrame, values: np.ndarray, words: Mapping[str, str], canvas: Canvas
) -> None:
    labels = [words[str(of)] for of in contrasts["of"]]
    several = len(of_rows) > 1
    lefts = [canvas.text_width(list(of_rows["category"])) + 14 if several else 20.0]
    lefts += [min(canvas.text_width(labels) + 14, 0.45 * canvas.width)] if labels else []
    height = max(150.0, 26.0 * max(len(of_rows), len(labels)))
    axes = canvas.panels(len(lefts), height, left=lefts, right=24)
    drawn = values[:, of_rows.index]
    if several:
        axes[0].set_xlim(0, 1)
        canvas.intervals(axes[0], np.arange(len(of_rows)), np.quantile(drawn, BANDS, axis=0), role="control")
        canvas.row_labels(axes[0], np.arange(len(of_rows), dtype=float), list(of_rows["category"]))
        canvas.percent_axis(axes[0])
    else:
        _histogram(canvas, axes[0], of_rows.iloc[0], drawn[:, 0])
    canvas.title(axes[0], f"{capital(words['rows'])} in a row")
    if labels:
        points = not several and bool(of_rows["below"].notna().all())
        _contrasts(canvas, axes[1], contrasts, values[:, contrasts.index], labels, points=points)


def _histogram(canvas: Canvas, axis: Axes, row: pd.Series, draws: np.ndarray) -> None:
    """Shares of the prior: of a risk from 0 to 100 %, of a positive mean over orders of magnitude, of another over its own range."""
    is_risk, positive = bool(np.isfinite(row["below"])), bool((draws > 0).all())
    finite = draws[np.isfinite(draws)]
    if is_risk:
        edges = np.linspace(0, 1, _BINS + 1)
    elif positive:
        low, high = np.log10(np.quantile(finite, [0.005, 0.995]))
        edges = np.logspace(low, high, _BINS + 1)
        axis.set_xscale("log")
    else:
        low, high = np.quantile(finite, [0.005, 0.995])
        edges = np.linspace(low, high, _BINS + 1)
    shares = np.histogram(finite, edges)[0] / len(draws)
    axis.stairs(shares, edges, fill=True, color=canvas.colour["control"], alpha=0.45)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(0, 1.08 * shares.max())
    canvas.no_axis(axis)
    if is_risk:
        canvas.percent_axis(axis)
    elif positive:
        from matplotlib.ticker import LogLocator

        long = canvas.narrow or edges[0] < 1e-4  # labels such as 0.000001
        axis.xaxis.set_major_locator(LogLocator(numticks=4 if long else 5))
        axis.xaxis.set_major_formatter(lambda value, _: written(value, max(0, -round(np.log10(value)))))


def _contrasts(
    canvas: Canvas, axis: Axes, contrasts: pd.DataFrame, draws: np.ndarray, labels: Sequence[str], *, points: bool
) -> None:
    """Intervals of differences, or ratios, of averages over rows."""
    at, measure = np.arange(len(contrasts), dtype=float), str(contrasts["measure"].iloc[0])
    bands = np.stack([np.quantile(d[np.isfinite(d)], BANDS) for d in draws.T], axis=1)
    if measure in _RATIOS:
        canvas.ratio_axis(axis, max(bands.min(), 1e-3), min(bands.max(), 1e3))
        canvas.no_effect(axis, 1.0)
    else:
        bands = 100 * bands if points else bands
        edge = 1.05 * np.abs(bands).max()
        axis.set_xlim(-edge, edge)
        canvas.no_effect(axis, 0.0)
    canvas.intervals(axis, at, bands, role="control")
    canvas.row_labels(axis, at, labels)
    canvas.title(
        axis, f"{measure.capitalize()}, percentage points" if points else f"{measure.capitalize()} of averages"
    )
