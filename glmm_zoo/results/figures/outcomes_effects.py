"""Effects on several outcomes: a panel for each on its own scale, no effect at the same place in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import RATIOS, Estimates
from glmm_zoo.results.figures.effects import LEAST_AXIS, MARKS, Forest, RowLayout, draw_rows, panels_of
from glmm_zoo.results.figures.estimated import estimated, of_shares
from glmm_zoo.results.figures.picture import Canvas, Picture, capital
from glmm_zoo.results.figures.value_words import row_words, told
from glmm_zoo.results.numbers import NO_BREAK

_MOST_OUTCOMES = 8


def outcomes_effects(comparisons: Estimates, about: About) -> Picture:
    """Comparisons of several outcomes: risk differences, differences of means, and ratios of counts, each in its own unit."""
    outcomes = [str(o) for o in dict.fromkeys(comparisons.table["outcome"])]
    panels = [_panel(comparisons, about, outcome) for outcome in outcomes[:_MOST_OUTCOMES]]
    more = (
        f" The first {_MOST_OUTCOMES} of {len(outcomes)} outcomes are drawn." if len(outcomes) > _MOST_OUTCOMES else ""
    )
    caption = (
        f"A panel for each outcome, each on its own scale with no effect (dashed) at the same place: sizes cannot be compared between "
        f"panels. {capital(MARKS)}.{more}"
    )
    alt = "; ".join(
        f"{p.title}{f', {p.axis},' if p.axis else ''} with 95{NO_BREAK}% interval: {told(p.labels, p.of.texts)}"
        for p in panels
    )
    return Picture(
        "outcomes_effects", "Effects on all outcomes", caption, f"{alt}.", lambda canvas: _draw(canvas, panels)
    )


def _panel(comparisons: Estimates, about: About, outcome: str) -> Forest:
    """Differences of shares and of means; ratios of counts."""
    table = comparisons.table
    measures = list(table["measure"][table["outcome"] == outcome])
    shares = of_shares(comparisons, outcome)
    measure = "ratio" if "ratio" in measures and not shares else measures[0]
    rows = np.flatnonzero((table["outcome"] == outcome) & (table["measure"] == measure))
    of = estimated(comparisons, rows)
    said = about.outcome_of(outcome)
    words = said.outcome or outcome
    titles = {
        "difference": f"risk of {words}, difference" if shares else f"mean {words}, difference",
        "ratio": f"mean number of {words}, ratio",
    }
    axis = "log axis" if measure in RATIOS else "percentage points" if shares else said.unit
    told_of = of.of.drop(columns="outcome")
    return Forest(
        of, row_words(told_of, about), row_words(told_of, about, short=True), 1.0 if measure in RATIOS else 0.0,
        capital(titles.get(measure, f"{words}, {measure}")), axis,
    )  # fmt: skip


def _draw(canvas: Canvas, panels: Sequence[Forest]) -> None:
    """Below each other, with limits as far to the left of no effect as to its right."""
    layouts = [RowLayout.of(canvas, panel, 110 if canvas.narrow else 260) for panel in panels]
    left, right = max(x.left for x in layouts), max(x.right for x in layouts)
    if canvas.width - left - right < LEAST_AXIS:
        layouts = [x.with_medians(canvas, panel) for x, panel in zip(layouts, panels, strict=True)]
        right = max(x.right for x in layouts)
    axes = panels_of(canvas, [replace(x, left=left, right=right) for x in layouts], across=1)
    for axis, panel, layout in zip(axes, panels, layouts, strict=True):
        q = panel.of.quantiles
        if panel.of.scale == "ratio":
            most = 1.1 * max(float(np.exp(np.abs(np.log(q)).max())), 1.5)
            canvas.ratio_axis(axis, 1 / most, most)
        else:
            most = 1.1 * float(np.abs(q).max())
            axis.set_xlim(-most, most)
            if panel.of.scale == "points":
                canvas.points_axis(axis)
        draw_rows(canvas, axis, panel, layout)
