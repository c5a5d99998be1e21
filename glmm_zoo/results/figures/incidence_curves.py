"""Cumulative incidence of competing causes by level of a variable, beside what was observed (Aalen-Johansen)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.over_time import band_quantiles, time_axis
from glmm_zoo.results.figures.picture import SMALL, Canvas, Picture
from glmm_zoo.results.figures.survival_curves import Steps, draw_curves, lines_of, told_at
from glmm_zoo.results.numbers import NO_BREAK


def incidence_curves(
    incidence: Estimates,
    variable: str,
    observed: Mapping[str, Mapping[str, Steps]],
    causes: Mapping[str, str],
    about: About,
    note: str = "",
    *,
    told: bool = True,
) -> Picture:
    """The cumulative incidence of each cause over time by level of a variable, a panel for each cause.

    Parameters
    ----------
    incidence
        Incidence by `cause`, `time` and the variable's level, averaged over the population.
    variable
        The column; "" for all together.
    observed
        By cause and level, in the order of panels and lines, the step curve of what was observed.
    causes
        The words for each of these causes.
    note
        What else is to be told in the caption.
    told
        Whether the step curves are drawn: of rows that entered late they are not right.
    """
    table = incidence.table
    labels, rows = lines_of(about, table, variable, next(iter(observed.values())))
    times = np.unique(table["time"].to_numpy(float))
    quantiles = {
        cause: [band_quantiles(incidence, np.flatnonzero((table["cause"] == cause) & of_level)) for of_level in rows]
        for cause in observed
    }
    last = len(times) - 1
    words = "; ".join(
        f"{causes[cause]}{f', {label},' if label else ''} "
        + ", ".join(told_at(about, times[i], q[:, i], curve if told else None) for i in (last // 2, last))
        for cause, of_levels in quantiles.items()
        for label, q, curve in zip(labels, of_levels, observed[cause].values(), strict=True)
    )
    data = (
        "Dashed steps: the data (Aalen–Johansen). They agree where censoring is independent of the event; the numbers below are those at risk."
        if told
        else "The data have no simple curve beside it, as rows began late."
    )
    caption = (
        f"Cumulative incidence of each cause{f' by {about.name(variable)}' if variable else ''}: the share of rows in which it has come, where the "
        f"others may come before. Lines: the model, averaged over the population of subjects and over the covariates as they are, with bands of "
        f"50 and 95{NO_BREAK}%, pointwise. {data} {note}"
    ).strip()

    def draw(canvas: Canvas) -> None:
        right = canvas.text_width(labels, SMALL) + 18 if len(labels) > 1 else 14
        height = 200 if canvas.narrow else 230
        axes = canvas.panels(len(observed), height, left=50, right=right, below=70 + 16 * len(labels))
        top = max(q.max() for of_levels in quantiles.values() for q in of_levels)
        for axis, (cause, of_levels) in zip(axes, quantiles.items(), strict=True):
            axis.set_ylim(0, min(1.01, 1.08 * float(top)))
            draw_curves(canvas, axis, times, of_levels, labels, list(observed[cause].values()) if told else [], 0.0)
            canvas.title(axis, f"{causes[cause]}: model (line){', data (dashed)' if told else ''}")
            canvas.axis_title(axis, time_axis(about))

    of = "model and Aalen–Johansen" if told else "model"
    return Picture("incidence_curves", "Cumulative incidence", caption, f"Cumulative incidence, {of}: {words}.", draw)
