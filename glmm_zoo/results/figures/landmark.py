"""How good predictions made at a landmark are: calibration, and the area under the curve (AUC) by how far ahead they look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.figures.over_time import at_time, event_word, people, time_axis
from glmm_zoo.results.figures.picture import Canvas, Picture
from glmm_zoo.results.numbers import NO_BREAK, interval, on_scale, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from glmm_zoo.joint.prediction.accuracy_measures import Accuracy


def landmark(accuracies: Sequence[Accuracy], about: About, note: str = "") -> Picture:
    """Calibration at the last horizon, and the AUC at each.

    Parameters
    ----------
    accuracies
        Of predictions made at one landmark, by horizon.
    note
        Of whom they are: a sentence for the caption.
    """
    last = accuracies[-1]
    word, when, until = event_word(about), at_time(about, last.landmark), at_time(about, last.horizon)
    auc = last.auc
    told = (
        f"Predictions at {when} of {word} by {until}: AUC {on_scale(auc.value, 'probability', 2)} "
        f"({interval(auc.lower, auc.upper, 2)}), expected {percent(last.expected)}, observed {percent(last.observed.value)}"
    )
    caption = (
        f"Predictions at {when} for {people(about, last.at_risk)} still followed then, of {word} by {until} (first panel; "
        f"{last.events} had it, {last.censored} were censored before). First panel: groups of predicted risk, low to high; circle = observed "
        f"risk, line = its 95{NO_BREAK}% interval, dashed = where both are the same. Second panel: AUC, the probability that who has the event "
        f"by then had the higher predicted risk (0.5: chance), with 95{NO_BREAK}% intervals. {note}"
    ).strip()

    def draw(canvas: Canvas) -> None:
        first, second = canvas.panels(2, 200, left=[64, 44], right=[24, 14])
        _draw_calibration(canvas, first, last)
        _draw_auc(canvas, second, accuracies)
        canvas.title(first, f"Observed and predicted risk by {until}")
        canvas.title(second, f"AUC of predictions at {when}")
        canvas.axis_title(first, "predicted risk")
        canvas.axis_title(first, "observed", vertical=True)
        canvas.axis_title(second, f"horizon, {time_axis(about)}" if about.time_unit else "horizon")

    return Picture("landmark", f"Predictions at {when}", caption, f"{told}.", draw)


def _draw_calibration(canvas: Canvas, axis: Axes, accuracy: Accuracy) -> None:
    groups = accuracy.calibration
    top = min(1.0, 1.08 * max(np.nanmax([groups.predicted, groups.observed]), np.nanmax(np.append(groups.upper, 0.05))))
    axis.set_xlim(0, top)
    axis.set_ylim(0, top)
    axis.plot([0, top], [0, top], color=canvas.colour["muted"], linewidth=1, linestyle=(0, (4, 3)))
    axis.vlines(groups.predicted, groups.lower, groups.upper, colors=canvas.colour["data"], linewidth=1.8)
    axis.plot(
        groups.predicted, groups.observed, linestyle="none", marker="o", markersize=6.5, markeredgewidth=1.8, clip_on=False,
        markeredgecolor=canvas.colour["data"], markerfacecolor=canvas.colour["paper"],
    )  # fmt: skip
    canvas.percent_axis(axis)
    canvas.percent_axis(axis, vertical=True)


def _draw_auc(canvas: Canvas, axis: Axes, accuracies: Sequence[Accuracy]) -> None:
    horizons = np.array([a.horizon for a in accuracies])
    values, lower, upper = (np.array([getattr(a.auc, end) for a in accuracies]) for end in ("value", "lower", "upper"))
    lower, upper = np.clip(lower, 0, 1), np.clip(upper, 0, 1)
    pad = 0.08 * (np.ptp(horizons) or 1.0)
    axis.set_xlim(horizons.min() - pad, horizons.max() + pad)
    axis.set_ylim(min(0.4, np.nanmin(lower)), 1.0)
    canvas.no_effect(axis, 0.5, vertical=False)
    axis.vlines(horizons, lower, upper, colors=canvas.colour["data"], linewidth=1.8)
    axis.plot(
        horizons, values, linestyle="none", marker="o", markersize=6.5, markeredgewidth=1.8, clip_on=False,
        markeredgecolor=canvas.colour["data"], markerfacecolor=canvas.colour["paper"],
    )  # fmt: skip
    canvas.ticks(axis, horizons)
