"""What pictures of an event over time share: words for time and event, lines with bands, their labels, numbers at risk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.picture import BANDS, SMALL, Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROLES = ("control", "model", "data")  # of at most three lines
MOST_TICKS = 150
_LABEL = 14  # px between labels of lines


def event_word(about: About) -> str:
    """ "death", "event" where it is not told."""
    return about.event or "event"


def free_of(about: About) -> str:
    """ "alive", where the event is death, else "free of transplantation"."""
    word = event_word(about)
    return "alive" if word == "death" else f"free of {word}"


def time_axis(about: About) -> str:
    """ "years", "time" where the unit is not told."""
    return about.time_unit or "time"


def at_time(about: About, t: float) -> str:
    """ "5 years", "time 5" where the unit is not told."""
    return f"{t:.3g} {about.time_unit}" if about.time_unit else f"time {t:.3g}"


def people(about: About, count: int) -> str:
    """ "312 patients"."""
    word = about.individual or "subject"
    return f"{count} {about.plural(word) if count != 1 else word}"


def band_quantiles(estimates: Estimates, rows: np.ndarray) -> np.ndarray:
    """Quantiles (5, n) at `BANDS` of these rows of a table of estimates."""
    draws = estimates.draws["value"].values
    return np.quantile(draws.reshape(-1, draws.shape[-1])[:, rows], BANDS, axis=0)


def line_with_bands(
    canvas: Canvas, axis: Axes, x: np.ndarray, q: np.ndarray, role: str, *, lighter: bool = False
) -> None:
    """The median as a line in bands of 95 and 50 %; `lighter` where bands of several lines lie on one another."""
    canvas.band(axis, x, q[0], q[4], role=role, opacity=0.12 if lighter else 0.16)
    canvas.band(axis, x, q[1], q[3], role=role, opacity=0.16 if lighter else 0.22)
    canvas.line(axis, x, q[2], role=role)


def label_lines(canvas: Canvas, axis: Axes, ends: Sequence[float], labels: Sequence[str], roles: Sequence[str]) -> None:
    """A label at the right end of each line, moved so that none lies on another; `ends` are the last values of the lines."""
    x = axis.get_xlim()[1]
    places = axis.transData.transform([(x, y) for y in ends])[:, 1]
    order = np.argsort(places)
    moved = places[order].copy()
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + _LABEL)
    moved -= max(0.0, (moved - places[order]).mean())
    for place, i in zip(moved, order.tolist(), strict=True):
        canvas.note(axis, x, ends[i], str(labels[i]), role=str(roles[i]), bold=True, shift=(6, place - places[i]))


def numbers_at_risk(
    canvas: Canvas,
    axis: Axes,
    times: np.ndarray,
    counts: Sequence[int],
    words: str,
    *,
    line: int = 0,
    role: str = "ink",
) -> None:
    """How many are at risk at these times, in a line below the title of the axis, with a role's colour where there are several."""
    style = {
        "xycoords": axis.get_xaxis_transform(),
        "textcoords": "offset points",
        "fontsize": SMALL,
        "annotation_clip": False,
    }
    low, high = axis.get_xlim()
    axis.annotate(words, (low, 0), (0, -48), ha="left", va="center", color=canvas.colour["muted"], **style)
    for t, count in zip(times, counts, strict=True):
        align = "left" if t <= low else "right" if t >= high else "center"
        axis.annotate(
            f"{count}", (t, 0), (0, -64 - 16 * line), ha=align, va="center", color=canvas.colour[role], **style
        )


def time_ticks(canvas: Canvas, axis: Axes) -> np.ndarray:
    """The ticks of an axis of time, as many as there is room for, so that numbers at risk stand below them."""
    from matplotlib.ticker import MaxNLocator

    low, high = axis.get_xlim()
    ticks = np.array(MaxNLocator(5 if canvas.narrow else 8, steps=[1, 2, 5, 10]).tick_values(low, high))
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    canvas.ticks(axis, ticks)
    return ticks


def some_of(values: np.ndarray, most: int = MOST_TICKS) -> np.ndarray:
    """At most so many of the values, evenly from the smallest to the largest."""
    values = np.sort(values)
    return values if len(values) <= most else values[np.linspace(0, len(values) - 1, most).round().astype(int)]


def rug(axis: Axes, values: np.ndarray, colour: str) -> None:
    """Small ticks at the foot of an axis, one for each value."""
    axis.plot(
        values, np.full(len(values), 0.02), transform=axis.get_xaxis_transform(), linestyle="none", marker="|", markersize=7,
        markeredgewidth=0.8, color=colour, alpha=0.7,
    )  # fmt: skip
