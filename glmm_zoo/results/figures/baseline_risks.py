"""What a meta-analysis says to patients: cases fewer in 1000 and numbers needed to treat at risks without treatment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import NUMBER_NEEDED, Estimates
from glmm_zoo.results.figures.picture import BANDS, SMALL, Canvas, Picture, capital
from glmm_zoo.results.numbers import decimals, interval, whole, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMN = "baseline"  # the column of the estimates
_ROW = 38  # px
_PER = 1000
NO_NUMBER = "benefit to harm"


def baseline_risks(mean: Estimates, new: Estimates, about: About) -> Picture:
    """Risk differences at risks without treatment, in the mean trial and in a new one, and numbers needed to treat in the mean trial.

    Both are comparisons of a meta-analysis at values of `baseline`, with the measure "difference"; those of rates, which have no "nnt",
    are drawn without numbers needed to treat.
    """
    risks, of_mean = _differences(mean)
    fewer = bool(np.median(of_mean[2]) < 0)
    sign, word = (-1.0, "fewer") if fewer else (1.0, "more")
    of_mean, of_new = (np.sort(sign * q, axis=0) for q in (of_mean, _differences(new)[1]))
    events, labels = about.plural(about.outcome or "event"), [_per_thousand(risk) for risk in risks]
    needed = [_needed(q) for q in of_mean.T] if NUMBER_NEEDED in set(mean.table["measure"]) else []
    told = [f"at a {label} without treatment {_text(q)}" for label, q in zip(labels, of_mean.T, strict=True)]
    told = [
        f"{text}{f', number needed to treat {n}' if n else ''}"
        for text, n in zip(told, needed or [""] * len(told), strict=True)
    ]
    caption = (
        f"{f'First panel: {events}' if needed else capital(events)} {word} per {_PER} treated in the mean trial (blue: median, 50 % and 95 % "
        f"intervals) and in a new trial (orange: 95 % prediction interval), by the risk without treatment; below 0 means "
        f"{'more' if fewer else 'fewer'}."
    )
    if needed:
        caption += (
            f" Second panel: how many are treated in the mean trial for one {word}, log axis; none is given where the interval of "
            "the difference includes 0."
        )
    words = (f"{capital(events)} {word} per {_PER}", f"Treated for one {word}")
    return Picture(
        "baseline_risks",
        f"{words[0]} at risks without treatment",
        caption,
        f"{words[0]} in the mean trial: {'; '.join(told)}.",
        partial(_draw, labels=labels, mean=of_mean, new=of_new, needed=needed, words=words),
    )


def _differences(estimates: Estimates) -> tuple[np.ndarray, np.ndarray]:
    """The risks without treatment (n,), and quantiles at `BANDS` of the differences (5, n)."""
    rows = np.flatnonzero(estimates.table["measure"] == "difference")
    draws = estimates.draws["value"].values.reshape(-1, len(estimates.table))[:, rows]
    return estimates.table[_COLUMN].to_numpy(float)[rows], np.quantile(draws, BANDS, axis=0)


def _per_thousand(risk: float) -> str:
    return f"risk {_PER * risk:.4g} per {_PER}"


def _text(q: np.ndarray) -> str:
    q = _PER * q
    d = max(decimals("number", q[[0, 2, 4]]), 0)
    return f"{written(q[2], d)} ({interval(q[0], q[4], d)})"


def _needed(q: np.ndarray) -> str:
    """The number needed to treat, "" where the interval includes 0."""
    if q[0] <= 0 <= q[4]:
        return ""
    fewest, most = sorted(1 / np.abs(q[[0, 4]]))
    return f"{whole(1 / abs(q[2]))} ({whole(fewest)} to {whole(most)})"


# -------------------------------------------------------------------------------------------------------------- drawing


def _draw(
    canvas: Canvas, labels: list[str], mean: np.ndarray, new: np.ndarray, needed: list[str], words: tuple[str, str]
) -> None:
    at, texts = np.arange(len(labels)), [_text(q) for q in mean.T]
    left, numbers = canvas.text_width(labels) + 10, [text or NO_NUMBER for text in needed]
    right = [canvas.text_width(t, SMALL) + 14 for t in (texts, numbers)]
    count = 2 if needed else 1
    axes = canvas.panels(
        count, _ROW * (len(at) + 0.4), left=[left, left if canvas.narrow else 12][:count], right=right[:count], below=24
    )
    for axis, names, title in zip(axes, (labels, labels if canvas.narrow else [""] * len(labels)), words, strict=False):
        canvas.row_labels(axis, at, names)
        canvas.title(axis, title)
    both = _PER * np.concatenate([mean, new], axis=1)
    if both.min() > 0:
        _log_axis(canvas, axes[0], both.min(), both.max())
    else:
        margin = 0.04 * np.ptp(both)
        axes[0].set_xlim(min(both.min() - margin, 0), max(both.max() + margin, 0))
        canvas.no_effect(axes[0], 0)
    axes[0].hlines(at + 0.22, _PER * new[0], _PER * new[4], colors=canvas.colour["data"], linewidth=4, alpha=0.5)
    canvas.intervals(axes[0], at - 0.1, _PER * mean, scale=0.85)
    canvas.row_numbers(axes[0], at, texts)
    if needed:
        _draw_needed(canvas, axes[1], at - 0.1, mean, np.array([bool(text) for text in needed]))
        canvas.row_numbers(axes[1], at, numbers)


def _draw_needed(canvas: Canvas, axis: Axes, at: np.ndarray, mean: np.ndarray, told: np.ndarray) -> None:
    """Numbers needed to treat on a log axis, of those differences whose interval is without 0."""
    if not told.any():
        canvas.ticks(axis, [])
        return
    numbers = np.sort(1 / np.abs(mean[:, told]), axis=0)
    _log_axis(canvas, axis, numbers.min(), numbers.max())
    canvas.intervals(axis, at[told], numbers, scale=0.85)


def _log_axis(canvas: Canvas, axis: Axes, low: float, high: float) -> None:
    """A horizontal log axis with ticks at 1, 2 and 5 of each power of ten, as far as there is room."""
    axis.set_xscale("log")
    axis.set_xlim(low / 1.1, high * 1.1)
    powers = 10.0 ** np.arange(np.floor(np.log10(low / 1.1)), np.ceil(np.log10(high * 1.1)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = np.outer(powers, steps).ravel()
        ticks = ticks[(ticks >= low / 1.1) & (ticks <= high * 1.1)]
        if len(ticks) * 38 < axis.get_position().width * canvas.width:
            break
    canvas.ticks(axis, ticks, [f"{t:.6g}" for t in ticks])
