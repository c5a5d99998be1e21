"""Does the model reproduce the data? What was observed beside what the model predicts, in the form that suits the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.results.about import About
from glmm_zoo.results.censored_values import censored_values
from glmm_zoo.results.figures.densities import kernel_density
from glmm_zoo.results.figures.picture import BANDS, Canvas, Picture, capital
from glmm_zoo.results.findings import dispersion
from glmm_zoo.results.fit_checks.binary import CalibrationBins, calibration
from glmm_zoo.results.fit_checks.covariates import mean_by_stretch
from glmm_zoo.results.fit_checks.spread import count_bins, rows_in_bins
from glmm_zoo.results.numbers import alone, decimals, percent, probability, whole, written
from glmm_zoo.results.predicted_rows import PredictedRows, levels_in_rows_of, predicted_rows
from glmm_zoo.results.storage import metadata, outcome_specs
from glmm_zoo.results.studies import StudiesApart, studies_apart
from glmm_zoo.trials.arms import META_ANALYSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_DRAWS = 1000
_MOST_OUTCOMES = 4
_MOST_STUDIES = 60
_REPLICATED = 100  # data sets whose densities make the band
_POINTS = 80
_MOST_LEVELS, _LEAST_ROWS = 8, 10  # of a factor whose levels are shown apart, and rows in each
_TITLED, _PERCENT, _BARE = 64, 78, 16  # px at the left of a panel
_HEIGHT, _NARROW_HEIGHT, _ROW = 220, 190, 24


@dataclass(frozen=True)
class Panel:
    """One panel: its title, how it is drawn, what its marks are, and what it shows, with numbers."""

    title: str
    draw: Callable[[Canvas, Axes], None]
    marks: str
    finding: str
    left: float = _TITLED  # px that labels and title of the vertical axis need


def predictive_check(tree: xr.DataTree, about: About) -> Picture:
    """Observed against predicted, in at most three panels; of several outcomes a panel for each, of a meta-analysis a row for each study."""
    if metadata(tree)["spec"]["builder"] in META_ANALYSES:
        return _of_studies(studies_apart(tree), about)
    outcomes = list(predicted_rows(tree))
    several = len(outcomes) > 1
    panels = []
    for rows in outcomes[:_MOST_OUTCOMES]:
        panels += islice(_panels(tree, rows, about), 1 if several else 3)
    words = []
    for panel, place in zip(panels, ("First", "Second", "Third", "Fourth"), strict=False):
        words.append(f"{place} panel: {panel.marks}" if len(panels) > 1 else capital(panel.marks))
    if len(outcomes) > _MOST_OUTCOMES:
        words.append(f"Not drawn: {listing(rows.label for rows in outcomes[_MOST_OUTCOMES:])}.")
    counts = [censored_values(tree, prefix) for prefix in outcome_specs(metadata(tree)["spec"])]
    censored = sum(int(limits.censored.sum()) for limits in counts if limits is not None)
    if censored:
        words.append(
            f"In the place of {plural(censored, 'censored value')} are such as the model predicts within their limits."
        )
    finding = " ".join(panel.finding for panel in panels)
    return Picture(
        "predictive_check", "Observed and predicted data", " ".join(words), finding, partial(_draw, panels=panels)
    )


def _draw(canvas: Canvas, panels: list[Panel]) -> None:
    axes = canvas.panels(
        len(panels),
        _NARROW_HEIGHT if canvas.narrow else _HEIGHT,
        left=[panel.left for panel in panels],
        right=20,
    )
    for axis, panel in zip(axes, panels, strict=True):
        canvas.title(axis, panel.title)
        panel.draw(canvas, axis)


def _panels(tree: xr.DataTree, rows: PredictedRows, about: About) -> Iterator[Panel]:
    """What suits the outcome, the most telling first."""
    every, rows = rows, rows.at_most(_MOST_DRAWS)
    several = len(tree["observed_data"].dataset.data_vars) > 1
    name = about.name(rows.label)
    of = f" of {name}" if several else ""
    if rows.kind == "binary":
        found = calibration(every)
        yield _number_of_events(rows, about, of) if found is None else _calibration(found, of)
    elif rows.kind in ("ordered", "unordered"):
        yield _categories(tree, rows, about, of)
    elif rows.kind == "continuous":
        yield _density(rows, name)
    else:
        yield _rootogram(rows, about, of)
        yield _spread(every)
    for column in rows.covariates if rows.kind == "continuous" else ():
        found = mean_by_stretch(rows, column)
        if found is not None:
            yield _means(*found, name, about.axis(column))
            break
    if rows.kind == "continuous" and not several:
        found = levels_in_rows_of(tree, every)
        for column in sorted(found, key=lambda column: column != about.of):
            levels, counts = np.unique(found[column], return_counts=True)
            if 2 <= len(levels) <= _MOST_LEVELS and counts.min() >= _LEAST_ROWS:
                yield _by_level(every.at_most(_REPLICATED), column, found[column], levels, name, about)
                break


# -------------------------------------------------------------------------------------------------------------- panels


def _calibration(found: CalibrationBins, of: str) -> Panel:
    outside = np.abs(found.observed - found.expected) > 1.96 * found.sd

    def draw(canvas: Canvas, axis: Axes) -> None:
        low, high = np.clip(found.expected + 1.96 * np.outer([-1, 1], found.sd), 0, 1)
        most = min(1.0, 1.05 * max(found.observed.max(), high.max()))
        axis.set_xlim(0, min(1.0, 1.05 * found.expected.max()))
        axis.set_ylim(0, most)
        canvas.band(axis, found.expected, low, high, role="control", opacity=0.25)
        ends = np.array([0, min(axis.get_xlim()[1], most)])
        canvas.line(axis, ends, ends, role="control", width=1, dashed=True)
        canvas.diamonds(axis, found.expected, found.observed)
        canvas.percent_axis(axis)
        canvas.percent_axis(axis, vertical=True)
        canvas.axis_title(axis, "predicted")
        canvas.axis_title(axis, "observed", vertical=True)

    marks = (
        f"rows{of} in {len(found.expected)} bins from the least to the most likely event under each draw, means over the draws; diamonds: the share "
        "observed; dashed line: predictions that come true; band: where 95 % of the bins lie if they do."
    )
    finding = (
        f"{int(outside.sum())} of {len(outside)} bins{of} lie outside their 95 % band; observed shares go from {percent(found.observed[0])} where "
        f"{percent(found.expected[0])} was predicted to {percent(found.observed[-1])} where {percent(found.expected[-1])} was."
    )
    return Panel(f"Observed against predicted{of}", draw, marks, finding, _PERCENT)


def _number_of_events(rows: PredictedRows, about: About, of: str) -> Panel:
    events = about.plural(about.outcome or "event")
    observed, drawn = int(rows.y.sum()), rows.drawn.sum(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    marks = f"number of {events}{of} in data sets from the model (grey), and in the data (orange)."
    finding = f"{whole(observed)} {events}{of} were observed, {whole(low)} to {whole(high)} (95 %) predicted."
    return Panel(capital(f"number of {events}{of}"), _histogram(drawn, observed, events), marks, finding, _BARE)


def _histogram(drawn: np.ndarray, observed: float, axis_title: str) -> Callable[[Canvas, Axes], None]:
    """A density of values of predicted data sets (draws,), and a line at the observed one."""

    def draw(canvas: Canvas, axis: Axes) -> None:
        low, high = min(np.quantile(drawn, 0.001), observed), max(np.quantile(drawn, 0.999), observed)
        margin = 0.05 * (high - low) or 1.0
        x = np.linspace(low - margin, high + margin, _POINTS)
        density = kernel_density(drawn, x)
        axis.set_xlim(x[0], x[-1])
        axis.set_ylim(0, 1.15 * density.max())
        canvas.no_axis(axis)
        canvas.band(axis, x, np.zeros_like(x), density, role="control", opacity=0.35)
        axis.vlines(observed, 0, 1.03 * density.max(), colors=canvas.colour["data"], linewidth=2.5)
        right = observed > (x[0] + x[-1]) / 2
        canvas.note(
            axis,
            observed,
            1.09 * density.max(),
            "observed",
            role="data",
            align="right" if right else "left",
            shift=(4 if right else -4, 0),
        )
        canvas.axis_title(axis, axis_title)

    return draw


def _spread(rows: PredictedRows) -> Panel:
    observed, expected = dispersion.pearson_spread(rows.y, rows.drawn, rows.weights)
    p = probability(float(np.mean(expected >= observed)))
    marks = (
        "squared residuals per row, each in units of the variance that the other rows predict: data sets from the model (grey) and the data "
        "(orange)."
    )
    finding = (
        f"Residuals vary {written(observed / float(expected.mean()), 1)} times as much as expected; of data sets from the model a share of {p} "
        "varies as much."
    )
    return Panel(
        "Spread", _histogram(expected, observed, "mean squared residual, 1 is expected"), marks, finding, _BARE
    )


def _rootogram(rows: PredictedRows, about: About, of: str) -> Panel:
    edges = count_bins(rows)
    observed, quantiles = rows_in_bins(rows.y, edges), np.quantile(rows_in_bins(rows.drawn, edges), BANDS, axis=0)
    outside = (observed < quantiles[0]) | (observed > quantiles[4])
    at = np.arange(len(observed))

    def draw(canvas: Canvas, axis: Axes) -> None:
        axis.set_xlim(-0.6, len(at) - 0.4)
        axis.set_yscale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
        axis.set_ylim(0, 1.08 * max(observed.max(), quantiles[4].max()))
        axis.bar(at, observed, width=0.75, color=canvas.colour["data"], alpha=0.35, linewidth=0)
        canvas.intervals(axis, at, quantiles, vertical=True, scale=0.6)
        step = -(-len(at) // (8 if canvas.narrow else 12))
        canvas.ticks(axis, at[::step], [written(edge, 0) for edge in edges[:-1][::step]])
        counts = about.plural(about.outcome) if about.outcome else about.name(rows.name)
        canvas.axis_title(axis, f"{counts} in a row" + ("" if edges[-1] == len(at) else ", from this number on"))
        canvas.axis_title(axis, "rows, on a root scale", vertical=True)

    marks = (
        f"how many rows{of} have how many {about.plural(about.outcome) if about.outcome else 'counts'}; bars: observed; circles and lines: "
        "predicted, median with 50 % and 95 % intervals."
    )
    zeros = ""
    if edges[1] == 1:
        zeros = f", {whole(observed[0])} rows are 0 and {whole(quantiles[0, 0])} to {whole(quantiles[4, 0])} (95 %) were predicted to be"
    finding = f"{int(outside.sum())} of {len(at)} bars{of} lie outside their 95 % interval{zeros}."
    return Panel(f"Observed and predicted{of or ' counts'}", draw, marks, finding)


def _categories(tree: xr.DataTree, rows: PredictedRows, about: About, of: str) -> Panel:
    spec = metadata(tree)["spec"]
    said = outcome_specs(spec).get(rows.name, spec).get("levels") or spec["facts"].get("levels")
    levels = said or [str(int(k)) for k in range(int(max(rows.y.max(), rows.drawn.max())) + 1)]
    at = np.arange(len(levels))
    first = rows.y.min() if rows.y.min() == rows.drawn.min() and rows.y.max() - rows.y.min() == len(levels) - 1 else 0
    observed = np.array([(rows.y - first == k).mean() for k in at])
    quantiles = np.quantile(np.stack([(rows.drawn - first == k).mean(axis=1) for k in at]), BANDS, axis=1)
    outside = (observed < quantiles[0]) | (observed > quantiles[4])

    def draw(canvas: Canvas, axis: Axes) -> None:
        axis.set_xlim(-0.6, len(at) - 0.4)
        axis.set_ylim(0, min(1.0, 1.08 * max(observed.max(), quantiles[4].max())))
        axis.bar(at, observed, width=0.75, color=canvas.colour["data"], alpha=0.35, linewidth=0)
        canvas.intervals(axis, at, quantiles, vertical=True, scale=0.7)
        room = (canvas.width if canvas.narrow else canvas.width - 60) / len(at) - 6
        names = [about.level(rows.label, level) for level in levels]
        canvas.ticks(axis, at, canvas.shortened(names, room, 11.5))
        canvas.percent_axis(axis, vertical=True)
        canvas.axis_title(axis, about.name(rows.label))

    marks = f"share of each category{of}; bars: observed; circles and lines: predicted, median with 50 % and 95 % intervals."
    worst = int(np.abs(observed - quantiles[2]).argmax())
    finding = (
        f"{int(outside.sum())} of {len(at)} categories{of} lie outside their 95 % interval; the farthest off is {about.level(rows.label, levels[worst])}, "
        f"{percent(observed[worst])} observed and {percent(quantiles[2, worst])} predicted."
    )
    return Panel(f"Observed and predicted{of or ' categories'}", draw, marks, finding, _PERCENT)


def _density(rows: PredictedRows, name: str) -> Panel:
    low, high = np.quantile(rows.y, [0, 1])
    margin = 0.15 * (high - low) or 1.0
    x = np.linspace(low - margin, high + margin, _POINTS)
    observed = kernel_density(rows.y, x)
    sets = rows.drawn[:: -(-len(rows.drawn) // _REPLICATED)]
    lower, upper = np.quantile([kernel_density(y, x) for y in sets], [0.025, 0.975], axis=0)
    share = float(np.mean((observed < lower) | (observed > upper)))

    def draw(canvas: Canvas, axis: Axes) -> None:
        axis.set_xlim(x[0], x[-1])
        axis.set_ylim(0, 1.1 * max(observed.max(), upper.max()))
        canvas.no_axis(axis)
        canvas.band(axis, x, lower, upper, role="control", opacity=0.35)
        canvas.line(axis, x, observed, role="data")
        canvas.axis_title(axis, name)

    marks = f"density of {name} in the data (orange line), and where 95 % of the densities of data sets from the model lie (band)."
    finding = (
        f"The density of {name} lies in the band of predicted data sets over {percent(1 - share, 0)} of its range."
    )
    return Panel(capital(f"density of {name}"), draw, marks, finding, _BARE)


def _means(x: np.ndarray, observed: np.ndarray, drawn: np.ndarray, name: str, axis_title: str) -> Panel:
    """Means by stretches of a covariate: places (k,), observed (k,) and predicted ones (draws, k)."""
    quantiles = np.quantile(drawn, BANDS, axis=0)
    outside = (observed < quantiles[0]) | (observed > quantiles[4])

    def draw(canvas: Canvas, axis: Axes) -> None:
        values = np.concatenate([quantiles[[0, 4]].ravel(), observed])
        margin = 0.08 * float(np.ptp(values)) or 1.0
        axis.set_xlim(x.min() - 0.08 * np.ptp(x), x.max() + 0.08 * np.ptp(x))
        axis.set_ylim(values.min() - margin, values.max() + margin)
        canvas.intervals(axis, x, quantiles, vertical=True, scale=0.7)
        canvas.diamonds(axis, x, observed)
        canvas.axis_title(axis, axis_title)
        canvas.axis_title(axis, f"mean {name}", vertical=True)

    worst = int(np.abs((observed - quantiles[2]) / drawn.std(axis=0)).argmax())
    d = decimals("number", quantiles[[0, 4], worst])
    marks = (
        f"mean {name} in stretches of {axis_title} with about equally many rows; diamonds: observed; circles and lines: predicted, median with 50 % "
        "and 95 % intervals."
    )
    finding = (
        f"{int(outside.sum())} of {len(x)} observed means lie outside their 95 % interval; the farthest off is {written(observed[worst], d)} at "
        f"{axis_title} {alone(x[worst])}, where {written(quantiles[0, worst], d)} to {written(quantiles[4, worst], d)} was predicted."
    )
    return Panel("Means observed and predicted", draw, marks, finding)


def _by_level(
    rows: PredictedRows, column: str, labels: np.ndarray, levels: np.ndarray, name: str, about: About
) -> Panel:
    """The 10, 50 and 90 % points of an outcome within each level of a factor (n,)."""
    shares = (0.1, 0.5, 0.9)
    observed = np.array([np.quantile(rows.y[labels == level], shares) for level in levels])  # (levels, 3)
    drawn = np.stack([np.quantile(rows.drawn[:, labels == level], shares, axis=1) for level in levels])
    quantiles = np.quantile(drawn, BANDS, axis=2)  # (5, levels, 3)
    outside = (observed < quantiles[0]) | (observed > quantiles[4])
    names = [about.level(column, level) for level in levels]
    of = about.name(column)

    def draw(canvas: Canvas, axis: Axes) -> None:
        at = np.arange(len(levels))
        values = np.concatenate([quantiles[[0, 4]].ravel(), observed.ravel()])
        margin = 0.08 * float(np.ptp(values)) or 1.0
        axis.set_xlim(-0.6, len(at) - 0.4)
        axis.set_ylim(values.min() - margin, values.max() + margin)
        for k in range(len(shares)):
            canvas.intervals(axis, at, quantiles[:, :, k], vertical=True, scale=0.7)
            canvas.diamonds(axis, at, observed[:, k])
        room = (canvas.width if canvas.narrow else canvas.width / 2 - 60) / len(at) - 6
        canvas.ticks(axis, at, canvas.shortened(names, room, 11.5))
        canvas.axis_title(axis, of)
        canvas.axis_title(axis, name, vertical=True)

    marks = (
        f"the values of {name} below which 10, 50 and 90 % of the rows lie, by {of}; diamonds: observed; circles and lines: predicted, median with "
        "50 % and 95 % intervals."
    )
    level, k = np.unravel_index(int(np.abs(observed - quantiles[2]).argmax()), observed.shape)
    d = decimals("number", quantiles[[0, 4], level, k])
    finding = (
        f"{int(outside.sum())} of {outside.size} points of the distribution by {of} lie outside their 95 % interval; the farthest off is the {percent(shares[k], 0)} point of "
        f"{names[level]}, {written(observed[level, k], d)} where {written(quantiles[0, level, k], d)} to {written(quantiles[4, level, k], d)} was predicted."
    )
    return Panel(capital(f"{name} by {of}"), draw, marks, finding)


# ------------------------------------------------------------------------------------------------------- meta-analysis


def _of_studies(studies: StudiesApart, about: About) -> Picture:
    """Each study's own ratio against the interval expected for it; of many those farthest off."""
    away = np.abs(studies.own - studies.middle) / (studies.upper - studies.lower)
    shown = np.sort(np.argsort(-away, kind="stable")[:_MOST_STUDIES])
    outside = studies.outside
    words = f"{'size and covariates' if studies.covariates else 'size'}"
    names = [studies.labels[i] for i in np.flatnonzero(outside)]
    caption = (
        f"Each study’s own ratio (diamond) against the 95 % interval expected for a study of its {words} (bar, blue; the circle is its middle); "
        "orange diamonds lie outside. Log axis."
        + (
            f" The {_MOST_STUDIES} of {len(away)} {studies.what} that are farthest off are drawn."
            if len(away) > _MOST_STUDIES
            else ""
        )
    )
    which = f": {listing(names, 3)}" if names else ""
    finding = (
        f"{len(names)} of {len(away)} {studies.what} lie outside the 95 % interval expected for their {words}{which}."
    )

    def draw(canvas: Canvas) -> None:
        labels = canvas.shortened([studies.labels[i] for i in shown], 130 if canvas.narrow else 220)
        left = canvas.text_width(labels) + 12
        (axis,) = canvas.panels(1, _ROW * (len(shown) + 0.4), left=left, right=16, top=12)
        at = np.arange(len(shown))
        low, middle, high, own = (np.exp(v[shown]) for v in (studies.lower, studies.middle, studies.upper, studies.own))
        canvas.row_labels(axis, at, labels)
        canvas.ratio_axis(axis, 0.95 * min(low.min(), own.min()), 1.05 * max(high.max(), own.max()))
        canvas.no_effect(axis, 1.0)
        axis.hlines(at, low, high, colors=canvas.colour["model"], linewidth=5, alpha=0.45)
        style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 5}
        axis.plot(middle, at, color=canvas.colour["model"], **style)
        for role, which in (("control", ~outside[shown]), ("data", outside[shown])):
            canvas.diamonds(axis, own[which], at[which], role=role, size=8)
        canvas.axis_title(axis, "own ratio of the study, log axis")

    return Picture("predictive_check", "Studies against what is expected of them", caption, finding, draw)
