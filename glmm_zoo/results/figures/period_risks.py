"""What happens in each period of a stepped-wedge trial under both conditions, and the difference between them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.estimated import Amount, Estimated, amount_of, estimated
from glmm_zoo.results.figures.picture import BANDS, SMALL, Canvas, Picture, capital
from glmm_zoo.results.figures.wedge_cells import WedgeCells, pooled, wedge_cells
from glmm_zoo.results.storage import metadata
from glmm_zoo.tables.text_values import as_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_DISCS = 200
NAME, TICK = 140, 64  # px of the names of periods, in rows and below an axis
_ROW = 30  # px
_APART = 0.08  # periods from the middle to each condition


def period_risks(tree: xr.DataTree, means: Estimates, comparisons: Estimates, about: About) -> Picture:
    """Means by period under both conditions with what was observed, and their difference by period.

    Parameters
    ----------
    means
        Predictions by the column of the periods and that of treatment. Drawn are those of conditions that some cluster had.
    comparisons
        With the measure "difference" by period. Drawn are those of periods with both conditions, and the mean of these.
    """
    cells, amount = wedge_cells(tree, about), amount_of(tree, about)
    period = metadata(tree)["spec"]["options"]["period"]
    seen = np.array([[(cells.treated[:, j] == t).any() for j in range(len(cells.periods))] for t in (0, 1)])
    both = np.flatnonzero(seen.all(axis=0))
    arms = [_arm(means, cells, amount, period, treated, seen[int(treated)]) for treated in (False, True)]
    differences, labels = _differences(comparisons, cells, amount, period, both)
    words, unit = (
        amount.words,
        "percentage points" if amount.of_differences == "points" else amount.unit or "difference",
    )
    mean = f"{differences.told[-1]} {unit}" if len(both) else ""
    ends = (
        f"{name} from {e.told[0]} in {_period(cells.periods[j[0]])} to {e.told[-1]} in {_period(cells.periods[j[-1]])}"
        for name, (e, j) in zip((cells.control, cells.intervention), arms, strict=True)
    )
    return Picture(
        "period_risks",
        f"{capital(words)} by period",
        _caption(cells, words, bool(len(both))),
        f"{capital(words)}: {', '.join(ends)}" + (f"; {cells.intervention} minus {cells.control}, {labels[-1]}: {mean}." if mean else "."),
        partial(_draw, cells=cells, amount=amount, arms=arms, differences=differences, labels=labels, unit=unit),
    )  # fmt: skip


def _caption(cells: WedgeCells, words: str, compared: bool) -> str:
    discs = (
        "single clusters, larger for larger clusters" if cells.values.size <= MOST_DISCS else "all clusters together"
    )
    caption = (
        f"{'First panel: population' if compared else 'Population'}-averaged {words} by period, circles with 50 % and 95 % intervals; discs are "
        f"what was observed in {discs} (grey: {cells.control}, orange: {cells.intervention}). Periods with one condition show that one."
    )
    if not compared:
        return f"{caption} No period has both, so their difference rests on the model alone."
    return (
        f"{caption} Second panel: {cells.intervention} minus {cells.control} in the periods that have both, with 50 % and 95 % intervals, and "
        "the mean of these periods (orange)."
    )


def _arm(
    means: Estimates, cells: WedgeCells, amount: Amount, period: str, treated: bool, seen: np.ndarray
) -> tuple[Estimated, np.ndarray]:
    """The means under one condition in the periods that have it, and the places of these periods."""
    table = means.table
    of_arm = np.array([cells.conditions[_level(v)] is treated for v in table[cells.column]])
    places = np.array([cells.labels.index(_level(v)) for v in table[period]])
    rows = np.flatnonzero(of_arm & seen[places])
    rows = rows[np.argsort(places[rows], kind="stable")]
    return estimated(means, rows), places[rows]


def _differences(
    comparisons: Estimates, cells: WedgeCells, amount: Amount, period: str, both: np.ndarray
) -> tuple[Estimated, list[str]]:
    """The differences of the periods with both conditions, and last their mean; their labels."""
    table = comparisons.table
    places = np.array([cells.labels.index(_level(v)) for v in table[period]])
    rows = np.flatnonzero((table["measure"] == "difference") & np.isin(places, both))
    rows = rows[np.argsort(places[rows], kind="stable")]
    each = estimated(comparisons, rows)
    if not len(rows):
        return each, []
    draws = comparisons.draws["value"].values.reshape(-1, len(table))[:, rows].mean(axis=1)
    quantiles = np.column_stack([each.quantiles, np.quantile(draws, BANDS)])
    all_of = Estimated(
        pd.concat([each.of, each.of.iloc[-1:]]), quantiles, each.scale, np.append(each.mcse, each.mcse.mean())
    )
    names = [cells.periods[j] for j in places[rows]]
    labels = [_period(name) for name in names]
    return all_of, [*labels, f"mean of {names[0]} to {names[-1]}" if len(names) > 1 else "their mean"]


def _level(value: object) -> str:
    """A value of a table of estimates as the fit names levels."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _period(name: str) -> str:
    return f"period {name}" if as_number(name) is not None else name


# -------------------------------------------------------------------------------------------------------------- drawing


def _draw(
    canvas: Canvas, cells: WedgeCells, amount: Amount, arms: list[tuple[Estimated, np.ndarray]], differences: Estimated,
    labels: list[str], unit: str,
) -> None:  # fmt: skip
    texts, labels = differences.texts if labels else [], canvas.shortened(labels, NAME)
    left = canvas.text_width(labels) + 12
    axes = canvas.panels(
        2 if labels else 1, max(_ROW * (len(labels) + 0.4), 200), left=[52, left][: 2 if labels else 1],
        right=[12, canvas.text_width(texts, SMALL) + 14][: 2 if labels else 1], widths=[1.5, 1] if labels else None,
    )  # fmt: skip
    _draw_means(canvas, axes[0], cells, amount, arms)
    canvas.title(axes[0], capital(amount.words))
    if not labels:
        return
    axis, at = axes[1], np.append(np.arange(len(labels) - 1.0), len(labels) - 0.7)
    canvas.row_labels(axis, at, labels)
    q = differences.quantiles
    margin = 0.05 * (q[4].max() - q[0].min())
    axis.set_xlim(min(q[0].min() - margin, 0), max(q[4].max() + margin, 0))
    if amount.of_differences == "points":
        canvas.points_axis(axis)
    canvas.no_effect(axis, 0)
    canvas.intervals(axis, at[:-1], q[:, :-1])
    canvas.intervals(axis, at[-1:], q[:, -1:], role="data", marker="D")
    canvas.row_numbers(axis, at, texts)
    canvas.title(axis, f"{capital(cells.intervention)} minus {cells.control}")
    canvas.axis_title(axis, unit)


def _draw_means(
    canvas: Canvas, axis: Axes, cells: WedgeCells, amount: Amount, arms: list[tuple[Estimated, np.ndarray]]
) -> None:
    """Means with intervals under both conditions beside each other, and what was observed outside of them."""
    observed = cells.values if cells.values.size <= MOST_DISCS else None
    quantiles = np.concatenate([e.quantiles for e, _ in arms], axis=1)
    drawn = np.append(quantiles, cells.values[np.isfinite(cells.values)] if observed is not None else [])
    low, high = (0.0 if amount.scale == "risk" else drawn.min(), drawn.max())
    axis.set_ylim(low - (0 if amount.scale == "risk" else 0.05) * (high - low), high + 0.14 * (high - low))
    axis.set_xlim(-0.5, len(cells.periods) - 0.5)
    for treated, (e, places), role, side in zip((0, 1), arms, ("control", "model"), (-1, 1), strict=True):
        _draw_observed(canvas, axis, cells, treated, side, singly=observed is not None)
        at = places + side * _APART
        axis.plot(at, e.quantiles[2], linestyle="--", linewidth=1, color=canvas.colour[role])
        canvas.intervals(axis, at, e.quantiles, role=role, vertical=True, scale=0.85)
        half = axis.get_position().width * canvas.width / 2 - 10
        (name,) = canvas.shortened([cells.intervention if treated else cells.control], half / 1.1, SMALL)
        end = axis.get_xlim()[treated]
        canvas.note(
            axis, end, axis.get_ylim()[1], name, role=role, align="right" if treated else "left", bold=True,
            shift=(-4 if treated else 6, -6),
        )  # fmt: skip
    names, wide = canvas.shortened(cells.periods, TICK, SMALL), axis.get_position().width * canvas.width
    every = max(int(np.ceil(len(names) * (canvas.text_width(names, SMALL) + 8) / wide)), 1)
    canvas.ticks(axis, range(0, len(names), every), names[::every])
    if amount.scale == "risk":
        canvas.percent_axis(axis, vertical=True)
    canvas.axis_title(axis, "period")


def _draw_observed(canvas: Canvas, axis: Axes, cells: WedgeCells, treated: int, side: int, *, singly: bool) -> None:
    sums, sizes = (np.where(cells.treated == treated, values, 0.0) for values in (cells.sums, cells.sizes))
    if not singly:
        sums, sizes = sums.sum(axis=0, keepdims=True), sizes.sum(axis=0, keepdims=True)
    values = pooled(sums, sizes)
    told = np.isfinite(values)
    x = np.broadcast_to(np.arange(values.shape[1]) + side * 0.28, values.shape)
    diameter = 3 + 4 * np.sqrt(sizes / sizes.max()) if singly else np.full(values.shape, 8.0)
    canvas.discs(
        axis, x[told], values[told], role="data" if treated else "control", diameter=diameter[told], opacity=0.5
    )
