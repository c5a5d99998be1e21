"""The effect in a stepped-wedge trial by how long clusters have been treated."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.families.links import LINKS
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.estimated import quantiles_text
from glmm_zoo.results.figures.picture import BANDS, SMALL, Canvas, Picture, capital
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.numbers import Scale
from glmm_zoo.results.storage import metadata

_ROW = 26  # px
_TIMES = "exposure_time"


def exposure_effect(tree: xr.DataTree, about: About) -> Picture:
    """The effect by exposure time, and its mean over those that occur.

    Raises
    ------
    InputError
        A fit whose effect is one for all exposure times.
    """
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    if _TIMES not in posterior["effect"].dims:
        raise InputError(
            "exposure_effect: this fit has one effect for all exposure times; fit with exposure_time='categorical' to see how it changes"
        )
    draws = draws_of(posterior, "effect")
    draws = draws.reshape(-1, draws.shape[-1])
    times = [str(time) for time in posterior[_TIMES].values]
    ratio = LINKS[spec["link"]].ratio
    quantiles = np.quantile(np.column_stack([draws, draws.mean(axis=1)]), BANDS, axis=0)
    scale: Scale = "number" if ratio is None else "ratio"
    quantiles = quantiles if ratio is None else np.exp(quantiles)
    unit = about.unit or "unit of the outcome"
    words = f"difference, {unit}" if ratio is None else str(ratio).replace("_", " ")
    words = f"{words}, intervention against control"
    labels = [f"{time} period{'' if time == '1' else 's'}" for time in times] + [f"mean of {times[0]} to {times[-1]}"]
    texts = [quantiles_text(q, scale) for q in quantiles.T]
    return Picture(
        "exposure_effect",
        "Effect by time since crossing over",
        "Effect by the number of periods since the cluster crossed over (blue), and its mean over these (orange): circle = median, thick line = "
        "50 % interval, thin line = 95 % interval, at equal effects of clusters. Intervals are wide where few clusters were treated that long.",
        f"{capital(words)}: {', '.join(f'{text} at {label}' for text, label in zip(texts[:-1], labels[:-1], strict=True))}; {labels[-1]} {texts[-1]}.",
        partial(_draw, labels=labels, quantiles=quantiles, texts=texts, words=words, ratio=ratio is not None),
    )  # fmt: skip


def _draw(canvas: Canvas, labels: list[str], quantiles: np.ndarray, texts: list[str], words: str, ratio: bool) -> None:
    at = np.append(np.arange(len(labels) - 1.0), len(labels) - 0.6)
    (axis,) = canvas.panels(
        1,
        _ROW * (len(labels) + 1),
        left=canvas.text_width(labels) + 12,
        right=canvas.text_width(texts, SMALL) + 14,
        top=14,
    )
    canvas.row_labels(axis, at, labels)
    low, high = quantiles[0].min(), quantiles[4].max()
    if ratio:
        canvas.ratio_axis(axis, low * 0.95, high * 1.05)
    else:
        margin = 0.04 * (high - low)
        axis.set_xlim(min(low - margin, 0), max(high + margin, 0))
    canvas.no_effect(axis, 1 if ratio else 0)
    canvas.intervals(axis, at[:-1], quantiles[:, :-1])
    canvas.intervals(axis, at[-1:], quantiles[:, -1:], role="data", marker="D")
    canvas.row_numbers(axis, at, texts)
    canvas.axis_title(axis, words)
