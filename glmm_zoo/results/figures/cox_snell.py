"""Cox and Snell's residuals of times to an event: what is left of them is exponential where the model is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.figures.over_time import ROLES, event_word, label_lines, line_with_bands
from glmm_zoo.results.figures.picture import BANDS, SMALL, Canvas, Picture
from glmm_zoo.results.numbers import NO_BREAK, percent

_POINTS = 40
_LAST = 0.05  # of exp(-r), up to which residuals are shown


Survival = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cox_snell(lines: Mapping[str, tuple[np.ndarray, Survival]], about: About) -> Picture:
    """The distribution of residuals against the standard exponential one.

    Parameters
    ----------
    lines
        By cause, "" of an only one: residuals, draws (S, n), and `survival(r, at)`, the share (points,) of residuals r (n,) beyond `at`,
        censored ones allowed for.
    """
    ends = [float(np.median(residuals.max(axis=1))) for residuals, _ in lines.values()]
    at = np.linspace(0.0, min(-np.log(_LAST), max(ends)), _POINTS)
    quantiles = [
        np.quantile(np.stack([survival(r, at) for r in residuals]), BANDS, axis=0)
        for residuals, survival in lines.values()
    ]
    middle = min(int(np.searchsorted(at, np.log(2))), len(at) - 1)
    several = len(lines) > 1
    word = event_word(about)
    caption = (
        f"Cox–Snell residuals: the cumulative hazard {'of each cause in' if several else 'of'} each row until its {word}, or until it was last "
        f"seen, given the effects of its groups. Where the model is right, they are exponential (dashed). Line: the share of residuals beyond "
        f"(Kaplan–Meier{', the other causes censored' if several else ''}), with bands of 50 and 95{NO_BREAK}%. With few rows for each group its "
        "effect follows them, and they look better than new ones would."
    )
    shares = "; ".join(
        f"{line} {percent(float(q[2, middle]))}".strip() for line, q in zip(lines, quantiles, strict=True)
    )
    told = (
        f"Share of residuals beyond {at[middle]:.2g}: {shares}, of an exponential distribution "
        f"{percent(float(np.exp(-at[middle])))}."
    )

    def draw(canvas: Canvas) -> None:
        right = canvas.text_width(list(lines), SMALL) + 18 if several else 14
        (axis,) = canvas.panels(1, 230 if canvas.narrow else 260, left=50, right=right)
        roles = ROLES if several else ("model",)
        axis.set_xlim(0, at[-1])
        axis.set_ylim(0, 1.01)
        for q, role in zip(quantiles, roles, strict=False):
            line_with_bands(canvas, axis, at, q, role, lighter=several)
        canvas.line(axis, at, np.exp(-at), role="ink" if several else "data", dashed=True)
        if several:
            label_lines(canvas, axis, [q[2, -1] for q in quantiles], list(lines), roles)
        canvas.percent_axis(axis, vertical=True)
        canvas.title(axis, "Share of residuals beyond: rows (line), exponential (dashed)")
        canvas.axis_title(axis, "residual, cumulative hazard")

    return Picture("cox_snell", "Cox–Snell residuals", caption, told, draw)
