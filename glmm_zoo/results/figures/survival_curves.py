"""Survival of a population by level of a variable, beside what was observed (Kaplan-Meier)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.over_time import (
    ROLES,
    at_time,
    band_quantiles,
    free_of,
    label_lines,
    line_with_bands,
    numbers_at_risk,
    time_axis,
    time_ticks,
)
from glmm_zoo.results.figures.picture import SMALL, Canvas, Picture
from glmm_zoo.results.figures.value_words import value_words
from glmm_zoo.results.numbers import NO_BREAK, estimate_text, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Steps(Protocol):
    """A step curve of what was observed: `value` (k,) holds from `time` on, `at_risk` is the number just before it."""

    @property
    def time(self) -> np.ndarray: ...
    @property
    def value(self) -> np.ndarray: ...
    @property
    def at_risk(self) -> np.ndarray: ...


def survival_curves(
    survival: Estimates,
    variable: str,
    observed: Mapping[str, Steps],
    about: About,
    note: str = "",
    *,
    told: bool = True,
) -> Picture:
    """Survival over time by level of a variable.

    Parameters
    ----------
    survival
        Survival by `time` and by the variable's level, averaged over the population.
    variable
        The column; "" for all together.
    observed
        By level, in the order of the lines, the step curve of what was observed.
    note
        What else is to be told in the caption.
    told
        Whether the step curves are drawn: of rows that entered late, or whose event lies in an interval, they are not right.
    """
    table = survival.table
    labels, rows = lines_of(about, table, variable, observed)
    times = table["time"].to_numpy(float)[rows[0]]
    quantiles = [band_quantiles(survival, np.flatnonzero(of_level)) for of_level in rows]
    last = len(times) - 1
    words = "; ".join(
        f"{label} {', '.join(told_at(about, times[i], q[:, i], curve if told else None) for i in (last // 2, last))}".strip()
        for label, q, curve in zip(labels, quantiles, observed.values(), strict=True)
    )
    data = (
        "Dashed steps: the data (Kaplan–Meier). They agree where censoring is independent of the event; the numbers below are those at risk."
        if told
        else "The data have no simple curve beside it, as rows began late or events lie in intervals."
    )
    title = free_of(about).capitalize()
    caption = (
        f"{title}{f' by {about.name(variable)}' if variable else ''}. Lines: the model, averaged over the population of subjects and over the "
        f"covariates as they are, with bands of 50 and 95{NO_BREAK}%, pointwise. {data} {note}"
    ).strip()

    def draw(canvas: Canvas) -> None:
        _draw(canvas, times, quantiles, labels, list(observed.values()), about, told)

    of = "model and Kaplan–Meier" if told else "model"
    return Picture("survival_curves", "Survival", caption, f"{title}, {of}: {words}.", draw)


def lines_of(
    about: About, table: pd.DataFrame, variable: str, levels: Iterable[str]
) -> tuple[list[str], list[np.ndarray]]:
    """The labels of the lines of these levels of a variable, and which rows of a table (n,) are theirs; all where it is ""."""
    of_row = table[variable].astype(str).to_numpy() if variable else np.full(len(table), "")
    labels = [value_words(about, variable, level) if level else "" for level in levels]
    return labels, [of_row == level for level in levels]


def observed_at(curve: Steps, t: np.ndarray) -> np.ndarray:
    """The value of a step curve at times (n,)."""
    return curve.value[np.searchsorted(curve.time, t, "right") - 1]


def told_at(about: About, t: float, q: np.ndarray, curve: Steps | None) -> str:
    """ "at 5 years 62 % (55 to 69 %), observed 63 %"."""
    observed = f", observed {percent(float(observed_at(curve, np.array([t]))[0]))}" if curve is not None else ""
    return f"at {at_time(about, t)} {estimate_text(q[2], q[0], q[4], 'risk')}{observed}"


def _draw(
    canvas: Canvas,
    times: np.ndarray,
    quantiles: Sequence[np.ndarray],
    labels: Sequence[str],
    observed: Sequence[Steps],
    about: About,
    told: bool,
) -> None:
    right = canvas.text_width(labels, SMALL) + 18 if len(labels) > 1 else 14
    (axis,) = canvas.panels(1, 230 if canvas.narrow else 260, left=50, right=right, below=70 + 16 * len(labels))
    axis.set_ylim(0, 1.01)
    draw_curves(canvas, axis, times, quantiles, labels, observed if told else [], 1.0)
    canvas.title(axis, f"{free_of(about).capitalize()}: model (line){', Kaplan–Meier (dashed)' if told else ''}")
    canvas.axis_title(axis, time_axis(about))


def draw_curves(
    canvas: Canvas,
    axis: Axes,
    times: np.ndarray,
    quantiles: Sequence[np.ndarray],
    labels: Sequence[str],
    observed: Sequence[Steps],
    start: float,
    *,
    shares: bool = True,
) -> None:
    """Shares, or numbers, over time that begin at `start`, a line with bands for each label, beside the step curves of what was observed, if any, with
    the numbers at risk below; quantiles (5, times) of each."""
    several = len(labels) > 1
    roles = ROLES if several else ("model",)
    axis.set_xlim(0, times[-1])
    x = np.append(0.0, times)
    for q, role in zip(quantiles, roles, strict=False):
        line_with_bands(canvas, axis, x, np.column_stack([np.full(5, start), q]), role, lighter=several)
    for curve, role in zip(observed, roles, strict=False):
        inside = curve.time <= times[-1]
        t, value = np.append(curve.time[inside], times[-1]), curve.value[inside]
        axis.plot(
            t, np.append(value, value[-1]), drawstyle="steps-post", color=canvas.colour[role], linewidth=1.2,
            linestyle=(0, (4, 2)),
        )  # fmt: skip
    if several:
        label_lines(canvas, axis, [q[2, -1] for q in quantiles], labels, roles)
    ticks = time_ticks(canvas, axis)
    for line, (curve, role) in enumerate(zip(observed, roles, strict=False)):
        counts = [int(curve.at_risk[curve.time >= t].max(initial=0)) for t in ticks]
        numbers_at_risk(canvas, axis, ticks, counts, "" if line else "at risk", line=line, role=role)
    if shares:
        canvas.percent_axis(axis, vertical=True)
