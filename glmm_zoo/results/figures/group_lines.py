"""Single groups along a number: the data of each, its own line, and the line of the population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.curves import along
from glmm_zoo.results.figures.estimated import amount_of, value_limits
from glmm_zoo.results.figures.group_names import grouping_factors, rows_of_factor
from glmm_zoo.results.figures.picture import Canvas, Picture
from glmm_zoo.results.figures.raw_data import raw_data
from glmm_zoo.results.numbers import alone

_MOST_GROUPS = 12
_HEIGHT = 96.0  # px


@dataclass(frozen=True)
class _Group:
    """A group's name, and at its values of the number (n,) in order the data, its own medians and those of the population."""

    name: str
    x: np.ndarray
    observed: np.ndarray
    own: np.ndarray
    mean: np.ndarray


def group_lines(
    tree: xr.DataTree, own: Estimates, means: Estimates, about: About, *, factor: str | None = None
) -> Picture:
    """Twelve groups, from the one with the lowest mean to the one with the highest.

    Parameters
    ----------
    own, means
        From `predictions` of the rows of the fit, with `groups="observed"` and without.
    factor
        The grouping factor, by default the first.

    Raises
    ------
    InputError
        Averages instead of single rows; rows without a column of more than two numbers.
    """
    data = raw_data(tree)
    if len(own.table) != len(data.values) or len(means.table) != len(data.values):
        raise InputError(
            f"group_lines draws predictions of the {len(data.values)} rows of the fit, and these are {len(own.table)} and {len(means.table)}; "
            "ask predictions without by="
        )
    rows = rows_of_factor(tree, factor or grouping_factors(tree)[0])
    groups = {c for columns in data.groups for c in columns}
    x = along(own.table[[c for c in own.of if c not in groups]])
    median = own.table["median"].to_numpy(float)
    level = np.bincount(rows.codes, median) / np.bincount(rows.codes)
    order = np.argsort(level, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, _MOST_GROUPS).round().astype(int))]
    number, seen, mean = own.table[x].to_numpy(float), data.values / data.sizes, means.table["median"].to_numpy(float)
    found = []
    for name, code in zip(rows.labels(about, chosen), chosen, strict=True):
        at = np.flatnonzero(rows.codes == code)
        at = at[np.argsort(number[at], kind="stable")]
        found.append(_Group(name, number[at], seen[at], median[at], mean[at]))
    amount = amount_of(tree, about)
    names = about.plural(about.name(rows.columns[-1]))
    every = "" if len(chosen) == len(order) else f" of {len(order)}, from the lowest mean to the highest"
    caption = (
        f"{len(chosen)} {names}{every}: discs = {data.words}, blue line = the model's median for this {about.name(rows.columns[-1])}, dashed "
        f"grey line = the same rows in the population."
    )
    low, high = found[0], found[-1]
    alt = (
        f"{amount.title} by {about.name(x)} of {len(chosen)} {names}: the model's mean is lowest for {low.name}, {alone(float(low.own.mean()))}, "
        f"and highest for {high.name}, {alone(float(high.own.mean()))}."
    )
    values = [np.concatenate([getattr(g, part) for g in found]) for part in ("own", "mean", "observed")]
    limits = value_limits(np.concatenate(values[:2]), values[2], amount)
    return Picture(
        "group_lines", f"{amount.title}: single {names}", caption, alt,
        lambda canvas: _draw(canvas, found, limits, about.axis(x), share=amount.scale == "risk"),
    )  # fmt: skip


def _draw(
    canvas: Canvas, groups: Sequence[_Group], limits: tuple[float, float], axis_title: str, *, share: bool
) -> None:
    """The same axes in all panels."""
    axes = canvas.panels(len(groups), _HEIGHT, left=50, right=10, below=40, across=2 if canvas.narrow else 4)
    low, high = (f(getattr(g.x, f.__name__)() for g in groups) for f in (min, max))
    margin = 0.04 * (high - low)
    for axis, group in zip(axes, groups, strict=True):
        axis.set(xlim=(low - margin, high + margin), ylim=limits)
        if share:
            canvas.percent_axis(axis, vertical=True)
        canvas.discs(axis, group.x, group.observed, diameter=4, opacity=0.5)
        canvas.line(axis, group.x, group.mean, role="control", width=1.2, dashed=True)
        canvas.line(axis, group.x, group.own, width=1.8)
        canvas.title(axis, canvas.shortened([group.name], axis.get_position().width * canvas.width - 10)[0])
        canvas.axis_title(axis, axis_title)
