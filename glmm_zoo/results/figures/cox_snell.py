"""Cox and Snell's residuals of times to an event: what is left of them is exponential where the model is right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.figures.over_time import event_word, line_with_bands
from glmm_zoo.results.figures.picture import BANDS, Canvas, Picture
from glmm_zoo.results.numbers import NO_BREAK, percent

_POINTS = 40
_LAST = 0.05  # of exp(-r), up to which residuals are shown


def cox_snell(residuals: np.ndarray, survival: Callable[[np.ndarray, np.ndarray], np.ndarray], about: About) -> Picture:
    """The distribution of residuals against the standard exponential one.

    Parameters
    ----------
    residuals
        Draws (S, n).
    survival
        `survival(r, at)`: the share (points,) of residuals r (n,) beyond `at`, censored ones allowed for.
    """
    at = np.linspace(0.0, min(-np.log(_LAST), float(np.median(residuals.max(axis=1)))), _POINTS)
    curves = np.stack([survival(r, at) for r in residuals])
    q = np.quantile(curves, BANDS, axis=0)
    middle = int(np.searchsorted(at, np.log(2)))
    word = event_word(about)
    caption = (
        f"Cox–Snell residuals: the cumulative hazard of each row until its {word}, or until it was last seen, given the effects of its "
        f"groups. Where the model is right, they are exponential (dashed). Line: the share of residuals beyond (Kaplan–Meier), with bands of "
        f"50 and 95{NO_BREAK}%. With few rows for each group its effect follows them, and they look better than new ones would."
    )
    told = (
        f"Share of residuals beyond {at[middle]:.2g}: {percent(float(q[2, middle]))}, of an exponential distribution "
        f"{percent(float(np.exp(-at[middle])))}."
    )

    def draw(canvas: Canvas) -> None:
        (axis,) = canvas.panels(1, 230 if canvas.narrow else 260, left=50, right=14)
        axis.set_xlim(0, at[-1])
        axis.set_ylim(0, 1.01)
        line_with_bands(canvas, axis, at, q, "model")
        canvas.line(axis, at, np.exp(-at), role="data", dashed=True)
        canvas.percent_axis(axis, vertical=True)
        canvas.title(axis, "Share of residuals beyond: rows (line), exponential (dashed)")
        canvas.axis_title(axis, "residual, cumulative hazard")

    return Picture("cox_snell", "Cox–Snell residuals", caption, told, draw)
