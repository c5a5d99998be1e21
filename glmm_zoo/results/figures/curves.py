"""Averages along a number as curves over the raw data, the difference of two of them, and the smooth curves of a fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, listing
from glmm_zoo.results.about import About
from glmm_zoo.results.curves import curves
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.adjusted_means import level_columns
from glmm_zoo.results.figures.estimated import (
    Amount,
    Estimated,
    amount_of,
    beyond_words,
    estimated,
    fitted_family,
    value_limits,
)
from glmm_zoo.results.figures.group_names import rows_of_factor
from glmm_zoo.results.figures.picture import BANDS, TEXT, Canvas, Picture, capital
from glmm_zoo.results.figures.raw_data import RawData, diameters, raw_data
from glmm_zoo.results.figures.value_words import told, value_words, wrapped
from glmm_zoo.results.numbers import NO_BREAK, alone
from glmm_zoo.results.smooth_curves import smooth_curves
from glmm_zoo.results.storage import groups_of_outcomes, metadata

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT, _SMALL_HEIGHT = 220.0, 150.0  # px
_ROLES, _DASHES = ("model", "data", "control"), ("-", "--", ":", "-.")
_LOOKS = [(_ROLES[i % 3], _DASHES[(i % 3 + i // 3) % 4]) for i in range(12)]  # of groups: colour and dash
_WITH_BANDS = 3  # groups; of more there are lines alone
_MOST_LINES = 40  # of single groups
_MOST_CURVES = 12
_MOST_POINTS = 20  # along the number, beyond which binary data are put into bins
_BINS = 12
_BANDS_WORDS = f"bands = 50 and 95{NO_BREAK}% intervals at each value"


@dataclass(frozen=True)
class _Curve:
    """One group: its name, values of the number (n,) in order, estimates (n,) there, draws (S, n), and its raw data in discs."""

    name: str
    x: np.ndarray
    of: Estimated
    draws: np.ndarray
    discs: tuple[np.ndarray, np.ndarray, np.ndarray] | None


def curves_by(
    tree: xr.DataTree, means: Estimates, about: About, *, outcome: str | None = None, own: Estimates | None = None
) -> Picture:
    """Averages along a column of numbers, or over time, one curve for each value of another column; of two also their difference.

    Parameters
    ----------
    means
        From `predictions` at values of the number.
    outcome
        One of several.
    own
        From `predictions` of the rows of the fit with `groups="observed"`: thin lines of single groups in place of the data.

    Raises
    ------
    InputError
        Estimates without a column of more than two numbers, or of more groups than can be told apart.
    """
    table = means.table
    rows = np.arange(len(table)) if outcome is None else np.flatnonzero(table["outcome"] == outcome)
    measure = str(table["measure"].iloc[rows[0]])
    amount = amount_of(tree, about, measure, outcome)
    of = table[means.of].iloc[rows]
    x = along(of)
    by = [c for c in level_columns(of) if c != x]
    data = raw_data(tree, outcome) if measure == "mean" else None
    lines = _curves(means, rows, x, by, amount, about, data)
    if len(lines) > len(_LOOKS):
        raise InputError(
            f"curves_by draws at most {len(_LOOKS)} curves, and these are {len(lines)} ({listing(c.name for c in lines)}); "
            "ask for fewer values with at="
        )
    axis = about.axis(x) if x != "time" or x in of else f"time, {about.time_unit}".removesuffix(", ")
    thin = [] if own is None else _lines_of_groups(tree, own, x)
    if thin:
        lines = [replace(line, discs=None) for line in lines]
        raw = f"; thin lines are single {about.plural(about.name(_factor(tree)))} ({len(thin)} drawn)"
    else:
        raw = _raw_words(data, lines, amount)
    banded = f", {_BANDS_WORDS}" if len(lines) <= _WITH_BANDS else ""
    several = len(lines) == 2
    caption = f"{'First panel: ' if several else ''}{amount.words} by {about.name(x)}, line = median{banded}{raw}."
    caption += (
        f" Second panel: {_second_title(lines, amount)}, with the same bands; dashed line = no difference."
        if several
        else ""
    )
    return Picture(
        "curves", f"{amount.title} by {about.name(x)}", capital(caption), _alt(lines, amount, about, x),
        lambda canvas: _draw(canvas, lines, amount, axis, thin),
    )  # fmt: skip


def _lines_of_groups(tree: xr.DataTree, own: Estimates, x: str) -> list[np.ndarray]:
    """Values of the number and medians (2, n) of a sample of groups of the first factor."""
    rows = rows_of_factor(tree, _factor(tree))
    number, median = own.table[x].to_numpy(float), own.table["median"].to_numpy(float)
    levels = np.arange(len(rows.first))
    chosen = (
        levels if len(levels) <= _MOST_LINES else np.random.default_rng(1).choice(levels, _MOST_LINES, replace=False)
    )
    found = []
    for level in chosen:
        at = np.flatnonzero(rows.codes == level)
        at = at[np.argsort(number[at], kind="stable")]
        found.append(np.array([number[at], median[at]]))
    return found


def _factor(tree: xr.DataTree) -> str:
    return next(iter(groups_of_outcomes(metadata(tree)["spec"])))


def along(of: pd.DataFrame) -> str:
    """The column along which there are curves: time, or that of the most numbers.

    Raises
    ------
    InputError
        No column of more than two numbers.
    """
    numbers = {str(c): of[c].nunique() for c in of if of[c].dtype.kind in "iuf" and c != "row"}
    found = {c: n for c, n in numbers.items() if n > 2}
    if not found:
        raise InputError(
            f"curves are along a column of more than two numbers, and these estimates are of {listing(of.columns)}; draw adjusted_means"
        )
    return "time" if "time" in found else max(found, key=lambda c: found[c])


def _curves(
    means: Estimates, rows: np.ndarray, x: str, by: Sequence[str], amount: Amount, about: About, data: RawData | None
) -> list[_Curve]:
    of = means.table[means.of]
    draws = means.draws["value"].values.reshape(-1, len(of))
    cells = of.iloc[rows].groupby(list(by), sort=False, dropna=False) if by else [((), of.iloc[rows])]
    found = []
    for key, cell in cells:
        index = cell.index.to_numpy()
        index = index[np.argsort(of[x].to_numpy(float)[index], kind="stable")]
        name = ", ".join(value_words(about, c, v) for c, v in zip(by, key, strict=True))
        own = None
        if data is not None:
            place = data.where(cell.iloc[:1], list(by)) if by else np.zeros(len(data.values), int)
            own = _discs(data, place, x) if place is not None else None
        found.append(_Curve(name, of[x].to_numpy(float)[index], estimated(means, index), draws[:, index], own))
    most = sum(len(c.discs[0]) for c in found if c.discs is not None)
    return found if most <= 300 else [_fewer(c, 300 / most) for c in found]


def _discs(data: RawData, place: np.ndarray, x: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Places, values and sizes of discs: single values, or shares of rows with the same number or in the same bin of numbers."""
    if x not in data.rows:
        return None
    seen = place >= 0
    if not seen.any():
        return None
    numbers = data.rows[x].to_numpy(float)[seen]
    values, sizes = data.values[seen], data.sizes[seen]
    if not data.shares:
        return numbers, values / sizes, sizes
    cut = np.unique(numbers)
    if len(cut) > _MOST_POINTS:
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _BINS + 1)))
        bins = np.clip(np.searchsorted(edges, numbers, "right") - 1, 0, len(edges) - 2)
    else:
        bins = np.searchsorted(cut, numbers)
    n, trials, events, sums = (np.bincount(bins, w) for w in (np.ones(len(bins)), sizes, values, numbers))
    kept = n > 0
    return sums[kept] / n[kept], events[kept] / trials[kept], trials[kept]


def _fewer(curve: _Curve, share: float) -> _Curve:
    """A sample of the discs."""
    if curve.discs is None:
        return curve
    x, y, sizes = curve.discs
    n = len(x)
    kept = np.sort(np.random.default_rng(1).choice(n, max(int(share * n), 1), replace=False))
    return _Curve(curve.name, curve.x, curve.of, curve.draws, (x[kept], y[kept], sizes[kept]))


# ---------------------------------------------------------------------------------------------------------------- words


def _raw_words(data: RawData | None, lines: Sequence[_Curve], amount: Amount) -> str:
    """What the discs are, and how many are not drawn."""
    shown = sum(len(c.discs[0]) for c in lines if c.discs is not None)
    if data is None or not shown:
        return ""
    beyond = beyond_words(_raw_values(lines), _limits(lines, amount))
    if data.shares:
        return f"; discs are observed proportions, larger for more observations{beyond}"
    sample = f" (a sample of {shown} of {len(data.values)})" if shown < len(data.values) else ""
    return f"; discs are {data.words}{sample}{beyond}"


def _second_title(lines: Sequence[_Curve], amount: Amount) -> str:
    unit = "percentage points" if amount.of_differences == "points" else amount.unit
    return f"{lines[1].name} minus {lines[0].name}{f', {unit}' if unit else ''}"


def _alt(lines: Sequence[_Curve], amount: Amount, about: About, x: str) -> str:
    """Each curve at its ends and in the middle."""
    parts = []
    for line in lines:
        at = sorted({0, len(line.x) // 2, len(line.x) - 1})
        labels = [f"at {value_words(about, x, line.x[i])}" for i in at]
        parts.append(f"{f'{line.name}: ' if line.name else ''}{told(labels, line.of.take(at).told)}")
    return f"{amount.title}, with 95{NO_BREAK}% interval, {'; '.join(parts)}."


# -------------------------------------------------------------------------------------------------------------- drawing


def _draw(canvas: Canvas, lines: Sequence[_Curve], amount: Amount, x_title: str, thin: Sequence[np.ndarray]) -> None:
    several = len(lines) == 2
    names = [wrapped(line.name, 90 if canvas.narrow else 130, TEXT) for line in lines]
    gap = 6.0 + max((_at_the_end(line, len(_raw_values(lines))) for line in lines), default=0.0)
    right = canvas.text_width(names) + gap + 10 if len(lines) > 1 else 16.0
    axes = canvas.panels(
        1 + several, _HEIGHT, left=52, right=[right, 16.0][: 1 + several], widths=[1.2, 1][: 1 + several]
    )
    axis = axes[0]
    canvas.title(axis, amount.title)
    axis.set_ylim(_limits(lines, amount, thin))
    axis.set_xlim(min(c.x.min() for c in lines), max(c.x.max() for c in lines))
    for points in thin:
        canvas.line(axis, *points, role="control", width=0.8, opacity=0.45)
    for line, (role, style) in zip(lines, _LOOKS, strict=False):
        if line.discs is not None:
            x, y, sizes = line.discs
            own = role if 1 < len(lines) <= _WITH_BANDS else "control"
            canvas.discs(axis, x, y, role=own, diameter=diameters(sizes, len(_raw_values(lines))), opacity=0.35)
        if len(lines) <= _WITH_BANDS:
            bands(canvas, axis, line.x, line.of.quantiles, role, style)
        else:
            canvas.line(axis, line.x, line.of.quantiles[2], role=role, style=style)
    if amount.scale == "risk":
        canvas.percent_axis(axis, vertical=True)
    if len(lines) > 1:
        roles = [role for role, _ in _LOOKS]
        canvas.end_labels(
            axis, lines[0].x[-1], [c.of.quantiles[2, -1] for c in lines], names, roles[: len(lines)], gap=gap
        )
    canvas.axis_title(axis, x_title)
    if several:
        _difference(canvas, axes[1], lines, amount, x_title)


def _at_the_end(line: _Curve, shown: int) -> float:
    """The radius in px of the largest disc at the end of a curve, where its label begins."""
    if line.discs is None:
        return 0.0
    x, _, sizes = line.discs
    return float(np.max(np.broadcast_to(diameters(sizes, shown), x.shape)[x >= line.x.max()], initial=0.0)) / 2


def _difference(canvas: Canvas, axis: Axes, lines: Sequence[_Curve], amount: Amount, x_title: str) -> None:
    """The second curve minus the first, draw by draw, where both are."""
    x, first, second = np.intersect1d(lines[0].x, lines[1].x, return_indices=True)
    quantiles = np.quantile(lines[1].draws[:, second] - lines[0].draws[:, first], BANDS, axis=0)
    low, high = min(quantiles.min(), 0.0), max(quantiles.max(), 0.0)
    axis.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    canvas.no_effect(axis, 0.0, vertical=False)
    bands(canvas, axis, x, quantiles, "model", "-")
    if amount.of_differences == "points":
        canvas.points_axis(axis, vertical=True)
    canvas.title(axis, capital(_second_title(lines, amount)))
    canvas.axis_title(axis, x_title)


def bands(canvas: Canvas, axis: Axes, x: np.ndarray, quantiles: np.ndarray, role: str, style: str) -> None:
    """A line of medians in bands of 95 and 50 %; `quantiles` (5, n) are those at `BANDS`."""
    canvas.band(axis, x, quantiles[0], quantiles[4], role=role, opacity=0.15)
    canvas.band(axis, x, quantiles[1], quantiles[3], role=role, opacity=0.25)
    canvas.line(axis, x, quantiles[2], role=role, style=style)


def _limits(lines: Sequence[_Curve], amount: Amount, thin: Sequence[np.ndarray] = ()) -> tuple[float, float]:
    quantiles = np.concatenate([c.of.quantiles for c in lines], axis=1)
    raw = np.concatenate([_raw_values(lines), *(points[1] for points in thin)])
    return value_limits(quantiles if len(lines) <= _WITH_BANDS else quantiles[2], raw, amount)


def _raw_values(lines: Sequence[_Curve]) -> np.ndarray:
    return np.concatenate([c.discs[1] for c in lines if c.discs is not None] or [np.empty(0)])


# ------------------------------------------------------------------------------------------------------------- smooths


def smooths(tree: xr.DataTree, about: About) -> Picture:
    """The smooth curves of one variable, each on the scale of the response at the means of the covariates in a typical group, with a
    pointwise and a simultaneous band; on the scale of the link where there is no intercept.

    Raises
    ------
    InputError
        A fit without such curves.
    """
    found = [curve for curve in smooth_curves(tree) if len(curve.variables) == 1]
    if not found:
        raise InputError("smooths draws smooth curves of one variable, and this fit has none")
    every = curves(tree)
    shown = [every.sel(curve=curve.label) for curve in found[:_MOST_CURVES]]
    lead = "response_" if all(np.isfinite(c["response_mean"]).all() for c in shown) else ""
    alone_in_model = len(found) == 1 and "beta" not in tree["posterior"]
    data = raw_data(tree) if lead and alone_in_model and not fitted_family(tree).truncated else None
    discs = None if data is None else _discs(data, np.zeros(len(data.values), int), found[0].variables[0])
    titles = [
        _smooth_title(about, str(c["curve"].values), curve.variables[0], float(c["edf"]))
        for c, curve in zip(shown, found, strict=False)
    ]
    scale = (
        "at the mean of the covariates in a typical group"
        if lead
        else "on the scale of the link, where a curve has mean zero"
    )
    cut = f" The first {_MOST_CURVES} of {len(found)} curves are drawn." if len(found) > _MOST_CURVES else ""
    caption = (
        f"Smooth curves {scale}: line = mean, dark band = 95{NO_BREAK}% interval at each value, light band = 95{NO_BREAK}% band of the whole "
        f"curve; edf = effective degrees of freedom, 1 for a straight line{f'; discs are {data.words}' if data is not None and discs is not None else ''}.{cut}"
    )
    alt = "; ".join(
        _smooth_told(c, lead, title, curve.variables[0]) for c, curve, title in zip(shown, found, titles, strict=False)
    )

    def draw(canvas: Canvas) -> None:
        height = _HEIGHT if len(shown) < 3 else _SMALL_HEIGHT
        axes = canvas.panels(
            len(shown), height, left=52, right=14, across=None if len(shown) < 3 or canvas.narrow else 3
        )
        for axis, curve, title, of in zip(axes, shown, titles, found, strict=False):
            _smooth(canvas, axis, curve, lead, discs)
            canvas.title(axis, capital(title))
            canvas.axis_title(axis, about.axis(of.variables[0]))

    return Picture("smooths", "Smooth curves", caption, f"{alt}.", draw)


def _smooth(canvas: Canvas, axis: Axes, curve: xr.Dataset, lead: str, discs: tuple[np.ndarray, ...] | None) -> None:
    x, low, high = (
        curve["x"].values,
        curve[f"{lead}lower_simultaneous"].values,
        curve[f"{lead}upper_simultaneous"].values,
    )
    bottom, top = low.min(), high.max()
    if discs is not None:
        keep = np.random.default_rng(1).choice(len(discs[0]), min(300, len(discs[0])), replace=False)
        bottom, top = min(bottom, np.quantile(discs[1], 0.01)), max(top, np.quantile(discs[1], 0.99))
        inside = keep[(discs[1][keep] >= bottom) & (discs[1][keep] <= top)]
        canvas.discs(axis, discs[0][inside], discs[1][inside], diameter=diameters(discs[2][inside]))
    axis.set_ylim(bottom - 0.04 * (top - bottom), top + 0.04 * (top - bottom))
    axis.set_xlim(x.min(), x.max())
    canvas.band(axis, x, low, high, opacity=0.13)
    canvas.band(axis, x, curve[f"{lead}lower"].values, curve[f"{lead}upper"].values, opacity=0.25)
    canvas.line(axis, x, curve[f"{lead}mean"].values)


def _smooth_title(about: About, label: str, variable: str, edf: float) -> str:
    """ "ozone: edf 4.8" of "s(time, by=treat, k=6) [ozone]"."""
    part = label.split(" s(", 1)[0] if " s(" in label else ""
    level = label.rsplit("[", 1)[1].rstrip("]") if label.endswith("]") else ""
    by = re.search(r"by=([^,)]+)", label)
    level = about.level(by[1].strip(), level) if by else level
    words = ", ".join(filter(None, [part, level or about.name(variable)]))
    return f"{words}: edf {edf:.1f}"


def _smooth_told(curve: xr.Dataset, lead: str, title: str, variable: str) -> str:
    mean, x = curve[f"{lead}mean"].values, curve["x"].values
    low, high = int(mean.argmin()), int(mean.argmax())
    return f"{title}, lowest {alone(mean[low])} at {variable} {alone(x[low])}, highest {alone(mean[high])} at {alone(x[high])}"
