"""The hazard of an event over time, a line for each level of a marker or for each cause, with the numbers at risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.over_time import (
    MOST_TICKS,
    ROLES,
    at_time,
    band_quantiles,
    event_word,
    label_lines,
    line_with_bands,
    numbers_at_risk,
    rug,
    some_of,
    time_axis,
    time_ticks,
)
from glmm_zoo.results.figures.picture import SMALL, Canvas, Picture
from glmm_zoo.results.numbers import NO_BREAK, estimate_text

_PER = (1, 100, 1000, 10_000, 100_000, 1_000_000)
_HIGHEST = 3  # times the highest median: bands are cut there


@dataclass(frozen=True)
class ObservedEnds:
    """When each of n subjects entered and left, and its status: 0 or the number of a cause; all (n,)."""

    entry: np.ndarray
    time: np.ndarray
    status: np.ndarray

    def at_risk(self, t: float) -> int:
        """How many were followed just after time t."""
        return int(((self.entry <= t) & (self.time > t)).sum())


def hazard(curves: Estimates, followed: ObservedEnds, holds: str, about: About) -> Picture:
    """The hazard over time.

    Parameters
    ----------
    curves
        Hazards per unit of time by `time` and `line`, a level of the marker or a cause.
    followed
        The raw follow-up, for the numbers at risk and the times of events.
    holds
        For whom the hazards are, at which level of the marker and of the covariates: a sentence for the caption.
    """
    table = curves.table
    lines = [str(line) for line in dict.fromkeys(table["line"])]
    rows = [np.flatnonzero(table["line"] == line) for line in lines]
    quantiles = [band_quantiles(curves, of_line) for of_line in rows]
    top = max(q[2].max() for q in quantiles)
    per = next((p for p in _PER if top * p >= 2), _PER[-1])
    times = table["time"].to_numpy(float)[rows[0]]
    word, unit = event_word(about), about.person_time or "units of time"
    title = (
        f"{about.plural(word).capitalize()} per {per if per > 1 else 'unit of time'} {unit if per > 1 else ''}".strip()
    )
    shown = [len(times) // 5, len(times) // 2, len(times) - 1]
    told = "; ".join(
        f"{line or word} {', '.join(f'at {at_time(about, times[i])} {estimate_text(*(per * q[[2, 0, 4], i]))}' for i in shown)}"
        for line, q in zip(lines, quantiles, strict=True)
    )
    events = followed.time[followed.status > 0]
    marks = f"Ticks are {about.plural(word)}{f', {MOST_TICKS} of {len(events)}' if len(events) > MOST_TICKS else ''}."
    caption = (
        f"{title} over time. {holds} Line = median, darker band = 50{NO_BREAK}%, lighter band = 95{NO_BREAK}%, pointwise. {marks} The "
        "numbers below are those still followed; where few are, the curve rests on the smoothness of its prior."
    )

    def draw(canvas: Canvas) -> None:
        _draw(canvas, times, [per * q for q in quantiles], lines, followed, title, about)

    return Picture("hazard", "Hazard over time", caption, f"{title}: {told}.", draw)


def _draw(
    canvas: Canvas,
    times: np.ndarray,
    quantiles: list[np.ndarray],
    lines: list[str],
    followed: ObservedEnds,
    title: str,
    about: About,
) -> None:
    roles = ROLES if len(lines) > 1 else ("model",)
    labelled = len(lines) > 1
    right = canvas.text_width(lines, SMALL) + 18 if labelled else 14
    (axis,) = canvas.panels(1, 230 if canvas.narrow else 260, right=right, below=76)
    origin = min(followed.entry.min(), times[0])
    axis.set_xlim(origin, times[-1])
    highest = max(q[2].max() for q in quantiles)
    axis.set_ylim(0, min(max(q[4].max() for q in quantiles), _HIGHEST * highest) * 1.03)
    for q, role in zip(quantiles, roles, strict=False):
        line_with_bands(canvas, axis, times, q, role, lighter=labelled)
    if labelled:
        label_lines(canvas, axis, [q[2, -1] for q in quantiles], lines, roles)
    rug(axis, some_of(followed.time[(followed.status > 0) & (followed.time <= times[-1])]), canvas.colour["ink"])
    ticks = time_ticks(canvas, axis)
    numbers_at_risk(canvas, axis, ticks, [followed.at_risk(t) for t in ticks], "still followed")
    canvas.title(axis, title)
    canvas.axis_title(axis, time_axis(about))
