"""How many events come, where they come again: the expected number over time beside the mean number that came (Nelson and Aalen)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.over_time import at_time, band_quantiles, event_word, time_axis
from glmm_zoo.results.figures.picture import SMALL, Canvas, Picture
from glmm_zoo.results.figures.survival_curves import draw_curves, observed_at
from glmm_zoo.results.figures.value_words import value_words
from glmm_zoo.results.numbers import NO_BREAK, estimate_text, written


@dataclass(frozen=True)
class MeanNumber:
    """The mean cumulative number of events M(t) = sum_{u <= t} d_u / n_u, of d_u events among n_u at risk at u.

    `value` (k,) holds from `time` (k,), 0 first, to just before the next one; `at_risk` is the number just before it.

    Source: Nelson (1988), Journal of Quality Technology 20:24; Lawless & Nadeau (1995), Technometrics 37:158.
    """

    time: np.ndarray
    value: np.ndarray
    at_risk: np.ndarray

    @classmethod
    def of(cls, start: np.ndarray, stop: np.ndarray, event: np.ndarray) -> MeanNumber:
        """From rows (start, stop] (R,), and whether each ends with an event (R,)."""
        time = np.unique(np.append(0.0, stop))
        at_risk = np.searchsorted(np.sort(start), time, "left") - np.searchsorted(np.sort(stop), time, "left")
        came = np.bincount(np.searchsorted(time, stop), event, len(time))
        return cls(time, np.cumsum(came / np.maximum(at_risk, 1)), at_risk)


def event_numbers(
    expected: Estimates, variable: str, observed: Mapping[str, MeanNumber], about: About, note: str
) -> Picture:
    """Expected numbers by `time` and by level of the variable, "" of all together, beside those of the data by level."""
    table = expected.table
    of_row = table[variable].astype(str) if variable else np.full(len(table), "")
    rows = [np.flatnonzero(of_row == level) for level in observed]
    times = table["time"].to_numpy(float)[rows[0]]
    quantiles = [band_quantiles(expected, of_level) for of_level in rows]
    labels = [value_words(about, variable, level) if level else "" for level in observed]
    what = f"number of {about.plural(event_word(about))}"
    told = "; ".join(
        f"{label} at {at_time(about, times[-1])} {estimate_text(q[2, -1], q[0, -1], q[4, -1], 'number')}, observed "
        f"{written(float(observed_at(curve, times[-1:])[0]), 2)}".strip()
        for label, q, curve in zip(labels, quantiles, observed.values(), strict=True)
    )
    caption = (
        f"Expected {what}{f' by {about.name(variable)}' if variable else ''}. Lines: the model, averaged over the population of subjects and over "
        f"the covariates as they are, with bands of 50 and 95{NO_BREAK}%, pointwise. Dashed steps: the mean number in the data of those at risk. "
        f"They agree where follow-up ends independently of the events; the numbers below are those at risk. {note}"
    )

    def draw(canvas: Canvas) -> None:
        right = canvas.text_width(labels, SMALL) + 18 if len(labels) > 1 else 14
        (axis,) = canvas.panels(1, 230 if canvas.narrow else 260, left=50, right=right, below=70 + 16 * len(labels))
        most = max(q[4, -1] for q in quantiles)
        axis.set_ylim(0, 1.03 * max(most, *(observed_at(c, times[-1:])[0] for c in observed.values())))
        draw_curves(canvas, axis, times, quantiles, labels, list(observed.values()), 0.0, shares=False)
        canvas.title(axis, f"Expected {what}: model (line), data (dashed)")
        canvas.axis_title(axis, time_axis(about))

    return Picture("event_numbers", "Numbers of events", caption, f"Expected {what}: {told}.", draw)
