"""Predictions for a few patients at a landmark: the marker with its course on the one side, survival from then on on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.figures.marker_hazard import fixed_ticks, level_series
from glmm_zoo.results.figures.over_time import at_time, event_word, free_of, time_axis
from glmm_zoo.results.figures.picture import TEXT, Canvas, Picture
from glmm_zoo.results.numbers import NO_BREAK, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class PatientCourse:
    """One patient.

    Attributes
    ----------
    name, words
        What it is called, "25", and what its course was, "low".
    visits, values
        When the marker was measured, and what it was, as it is shown (m,).
    times, marker, survival
        Times (n,), and at them the expected marker and the probability of being free of the event, given that it was at the
        landmark: each (3, n), lower end, middle, upper end; survival is NaN before the landmark.
    end, event
        When its follow-up ended, and whether with the event.
    """

    name: str
    words: str
    visits: np.ndarray
    values: np.ndarray
    times: np.ndarray
    marker: np.ndarray
    survival: np.ndarray
    end: float
    event: bool


def patients(
    courses: Sequence[PatientCourse], landmark: float, marker: str, log: bool, about: About, note: str = ""
) -> Picture:
    """Predictions for patients, three or fewer.

    Parameters
    ----------
    landmark
        When they are made, of what had been measured by then.
    marker
        The marker with its unit, as an axis has it.
    log
        Whether the marker is on a log axis.
    note
        What else is to be told in the caption.
    """
    word, individual = event_word(about), about.individual or "subject"
    when = at_time(about, landmark)
    horizon = courses[0].times[-1]
    told = "; ".join(_told(c, individual, word, about) for c in courses)
    alt = (
        f"Predictions at {when} for {len(courses)} {about.plural(individual)}, {free_of(about)} until {at_time(about, horizon)} with "
        f"probability: {told}"
    )
    caption = (
        f"Predictions at {when} (dotted line) for {len(courses)} {about.plural(individual)}. Upper row (on a phone the first column): "
        f"{marker}{', log axis' if log else ''}; full dots were used, open ones came later; line and band: expected level and its "
        f"95{NO_BREAK}% interval, of the level and not of measurements. Lower row (second column): probability of being {free_of(about)}, given "
        f"that at {when}; the band holds 95{NO_BREAK}% of {about.plural(individual)} with such a history. Orange mark: what happened, a cross for the event, a disc where it was last seen without. {note}"
    ).strip()

    def draw(canvas: Canvas) -> None:
        _draw(canvas, courses, landmark, marker, log, about)

    return Picture("patients", _upper_first(f"{about.plural(individual)} at {when}"), caption, f"{alt}.", draw)


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _told(course: PatientCourse, individual: str, word: str, about: About) -> str:
    low, middle, high = course.survival[:, -1]
    happened = f"{word if course.event else 'last seen'} at {at_time(about, course.end)}"
    return (
        f"{individual} {course.name} ({course.words}) {percent(middle)} ({percent(low)} to {percent(high)}), {happened}"
    )


def _draw(
    canvas: Canvas, courses: Sequence[PatientCourse], landmark: float, marker: str, log: bool, about: About
) -> None:
    n = len(courses)
    left = [46] * (2 * n) if canvas.narrow else 2 * [62, *[46] * (n - 1)]
    axes = canvas.panels(2 * n, 120 if canvas.narrow else 150, left=left, right=8, across=2 if canvas.narrow else n)
    of_marker, of_survival = (axes[::2], axes[1::2]) if canvas.narrow else (axes[:n], axes[n:])
    shown = np.concatenate([v for c in courses for v in (c.values, c.marker[1])])
    low, high = np.nanmin(shown), np.nanmax(shown)
    horizon = courses[0].times[-1]
    for i, (course, upper, lower) in enumerate(zip(courses, of_marker, of_survival, strict=True)):
        for axis in (upper, lower):
            axis.set_xlim(0, horizon)
            axis.axvline(landmark, color=canvas.colour["muted"], linewidth=1, linestyle=(0, (1, 2)))
        if log:
            upper.set_yscale("log")
        limits = (low / 2, high * 2) if log else (low - 0.3 * (high - low), high + 0.3 * (high - low))
        upper.set_ylim(*limits)
        if log:
            ticks = level_series(*limits)
            fixed_ticks(canvas, upper, ticks[:: max(1, len(ticks) // 4)], vertical=True)
        _draw_marker(canvas, upper, course, landmark)
        _draw_survival(canvas, lower, course, landmark, event_word(about))
        canvas.title(upper, _upper_first(f"{about.individual or 'subject'} {course.name}: {course.words}"))
        if canvas.narrow or i == 0:
            canvas.note(lower, 0, 1.02, free_of(about).capitalize(), role="ink", bold=True, shift=(0, 15), size=TEXT)
        if not canvas.narrow and i == 0:
            canvas.axis_title(upper, marker, vertical=True)
        if not canvas.narrow or i == n - 1:
            for axis in (lower, *((upper,) if canvas.narrow else ())):
                canvas.axis_title(axis, time_axis(about))


def _draw_marker(canvas: Canvas, axis: Axes, course: PatientCourse, landmark: float) -> None:
    canvas.band(axis, course.times, course.marker[0], course.marker[2])
    before = course.times <= landmark
    canvas.line(axis, course.times[before], course.marker[1][before])
    after = course.times >= landmark
    canvas.line(axis, course.times[after], course.marker[1][after], dashed=True)
    used = course.visits <= landmark
    style = {
        "linestyle": "none",
        "marker": "o",
        "markersize": 4.5,
        "markeredgecolor": canvas.colour["ink"],
        "zorder": 5,
        "clip_on": False,
    }
    axis.plot(course.visits[used], course.values[used], markerfacecolor=canvas.colour["ink"], **style)
    axis.plot(course.visits[~used], course.values[~used], markerfacecolor=canvas.colour["paper"], **style)


def _draw_survival(canvas: Canvas, axis: Axes, course: PatientCourse, landmark: float, word: str) -> None:
    after = course.times >= landmark
    t, (low, middle, high) = course.times[after], course.survival[:, after]
    axis.set_ylim(0, 1.02)
    canvas.band(axis, t, low, high)
    canvas.line(axis, t, middle)
    canvas.percent_axis(axis, vertical=True)
    canvas.ticks(axis, [0, 0.5, 1], vertical=True)
    end = min(course.end, t[-1])
    y = 0.06 if np.interp(end, t, middle) > 0.35 else 0.92  # away from the curve
    axis.plot(
        end, y, marker="X" if course.event else "o", markersize=8 if course.event else 6, linestyle="none",
        color=canvas.colour["data"], zorder=6, clip_on=False,
    )  # fmt: skip
    late = end > 0.6 * t[-1]
    words = word if course.event else "last seen"
    canvas.note(axis, end, y, words, role="data", align="right" if late else "left", shift=(-8 if late else 8, 0))
