"""The hazard against today's marker, and the risk of the event within a while at some of its levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.over_time import (
    MOST_TICKS,
    ROLES,
    band_quantiles,
    event_word,
    label_lines,
    line_with_bands,
    rug,
    some_of,
)
from glmm_zoo.results.figures.picture import RATIO_TICKS, Canvas, Picture
from glmm_zoo.results.numbers import MINUS, NO_BREAK, estimate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 30  # px
_FINE_RATIOS = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 1.8, 2.2])


@dataclass(frozen=True)
class MarkerAxis:
    """How a marker is shown: its name, unit and axis title; `log` says that the hazard follows its logarithm; `measured` are values
    that were measured, on the scale that is shown; `reference` is the level that has ratio 1."""

    name: str
    unit: str
    log: bool
    measured: np.ndarray
    reference: float

    @property
    def title(self) -> str:
        return f"{self.name} today{f', {self.unit}' if self.unit else ''}"

    def level(self, value: float) -> str:
        """ "5 mg/dl"."""
        text = f"{value:.4g}".replace("-", MINUS)
        return f"{text}{NO_BREAK}{self.unit}" if self.unit else text


@dataclass(frozen=True)
class MarkerRisks:
    """The risk of the event within a while by level of the marker: `estimates` by `marker`, `title`, and of whom it `holds`."""

    estimates: Estimates
    title: str
    holds: str

    def texts(self, marker: MarkerAxis) -> list[str]:
        """ "5 mg/dl 9.2 % (7.0 to 12.1 %)"."""
        rows = self.estimates.table.itertuples()
        return [f"{marker.level(r.marker)} {estimate_text(r.median, r.lower, r.upper, 'risk', r.mcse)}" for r in rows]


def marker_hazard(
    ratios: Estimates, marker: MarkerAxis, step: Estimates, about: About, risks: MarkerRisks | None = None
) -> Picture:
    """The hazard ratio against today's marker.

    Parameters
    ----------
    ratios
        Hazard ratios by `marker` and `line`, a cause where there are several.
    step
        The ratio of a doubling where the marker is on a log axis, else of one standard deviation more, for each line; its column
        `step` says which.
    risks
        Of the event within a while, for a second panel.
    """
    table = ratios.table
    lines = [str(line) for line in dict.fromkeys(table["line"])]
    rows = [np.flatnonzero(table["line"] == line) for line in lines]
    x = table["marker"].to_numpy(float)[rows[0]]
    quantiles = [band_quantiles(ratios, of_line) for of_line in rows]
    what = str(step.table["step"].iloc[0])
    steps = [f"× {estimate_text(r.median, r.lower, r.upper, 'ratio', r.mcse)}" for r in step.table.itertuples()]
    told = "; ".join(f"{f'{line}, ' if line else ''}{what} {text}" for line, text in zip(lines, steps, strict=True))
    word = event_word(about)
    alt = f"Hazard of {word} by today’s {marker.name}: {told}"
    first = (
        f"hazard of {word} by today’s {marker.name}, for the same subject, relative to {marker.level(marker.reference)}, with bands of 50 "
        f"and 95{NO_BREAK}%; ticks are levels measured{', a sample' if len(marker.measured) > MOST_TICKS else ''}. That the line is straight "
        f"is the model’s assumption.{'' if marker.log else f' {what[0].upper()}{what[1:]} is one standard deviation of the measurements.'}"
    )
    caption = f"{first[0].upper()}{first[1:]}"
    if risks is not None:
        alt += f"; {risks.title[0].lower()}{risks.title[1:]}: {', '.join(risks.texts(marker))}"
        caption = (
            f"First panel: {first} Second panel: {risks.title[0].lower()}{risks.title[1:]}, by level then, {risks.holds}; circle = median, "
            f"thick line = 50{NO_BREAK}%, thin line = 95{NO_BREAK}% interval."
        )

    def draw(canvas: Canvas) -> None:
        first, *second = _panels(canvas, risks, marker)
        _draw_ratios(canvas, first, x, quantiles, lines, marker, about)
        if len(lines) == 1:
            canvas.note(
                first,
                x[-1],
                first.get_ylim()[0],
                f"{what}: {steps[0].split(' (')[0]}",
                align="right",
                role="model",
                shift=(0, 24),
            )
        if risks is not None:
            _draw_risks(canvas, second[0], risks, marker)
            canvas.axis_title(second[0], f"probability of {word}")

    return Picture("marker_hazard", f"Hazard and {marker.name}", caption, f"{alt}.", draw)


def _panels(canvas: Canvas, risks: MarkerRisks | None, marker: MarkerAxis) -> list[Axes]:
    if risks is None:
        return canvas.panels(1, 240, left=48, right=90)
    levels = [marker.level(v) for v in risks.estimates.table["marker"]]
    return canvas.panels(2, max(200, _ROW * len(levels)), left=[48, canvas.text_width(levels) + 12], right=[24, 16])


def _draw_ratios(
    canvas: Canvas,
    axis: Axes,
    x: np.ndarray,
    quantiles: list[np.ndarray],
    lines: list[str],
    marker: MarkerAxis,
    about: About,
) -> None:
    low, high = min(q[0].min() for q in quantiles), max(q[4].max() for q in quantiles)
    axis.set_yscale("log")
    axis.set_ylim(min(low, 0.8), max(high, 1.25))
    low, high = axis.get_ylim()
    ticks = RATIO_TICKS[(low <= RATIO_TICKS) & (high >= RATIO_TICKS)]
    fixed_ticks(canvas, axis, ticks if len(ticks) > 2 else _FINE_RATIOS, vertical=True)
    if marker.log:
        axis.set_xscale("log")
        axis.set_xlim(x[0], x[-1])
        fixed_ticks(canvas, axis, level_series(x[0], x[-1]))
    axis.set_xlim(x[0], x[-1])
    canvas.no_effect(axis, 1.0, vertical=False)
    roles = ROLES if len(lines) > 1 else ("model",)
    for q, role in zip(quantiles, roles, strict=False):
        line_with_bands(canvas, axis, x, q, role, lighter=len(lines) > 1)
    if len(lines) > 1:
        label_lines(canvas, axis, [q[2, -1] for q in quantiles], lines, roles)
    rug(axis, some_of(marker.measured[(marker.measured >= x[0]) & (marker.measured <= x[-1])]), canvas.colour["ink"])
    canvas.title(axis, f"Hazard of {event_word(about)} ({marker.level(marker.reference)} = 1)")
    canvas.axis_title(axis, marker.title)


def _draw_risks(canvas: Canvas, axis: Axes, risks: MarkerRisks, marker: MarkerAxis) -> None:
    table = risks.estimates.table
    at = np.arange(len(table))
    q = band_quantiles(risks.estimates, at)
    axis.set_xlim(0, min(1.0, q[4].max() * 1.05))
    canvas.row_labels(axis, at, [marker.level(v) for v in table["marker"]])
    canvas.intervals(axis, at, q)
    canvas.percent_axis(axis)
    canvas.title(axis, risks.title)


def level_series(low: float, high: float) -> np.ndarray:
    """1, 2, 5, 10, 20, ... between two positive numbers."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    series = np.sort(np.outer(powers, [1, 2, 5]).ravel())
    return series[(series >= low) & (series <= high)]


def fixed_ticks(canvas: Canvas, axis: Axes, ticks: np.ndarray, *, vertical: bool = False) -> None:
    """Those of the ticks of a log axis that lie within its limits, as plain numbers."""
    low, high = axis.get_ylim() if vertical else axis.get_xlim()
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    canvas.ticks(axis, ticks, [f"{t:g}" for t in ticks], vertical=vertical)
