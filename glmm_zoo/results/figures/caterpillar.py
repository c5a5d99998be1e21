"""The levels of a grouping factor, sorted by their estimate."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.effects import predictor_words
from glmm_zoo.results.figures.estimated import quantiles_text
from glmm_zoo.results.figures.group_estimates import GroupEstimates, group_estimates
from glmm_zoo.results.figures.group_names import plural_of_levels
from glmm_zoo.results.figures.picture import SMALL, Canvas, Picture, capital
from glmm_zoo.results.figures.sheet import PANEL_BELOW, PANEL_TOP
from glmm_zoo.results.numbers import NO_BREAK, decimals, interval, whole
from glmm_zoo.results.storage import groups_of_outcomes, metadata, outcome_specs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = 2  # effects of one factor that are drawn
_NO_HEAD = 6  # px above a panel without words above it
ROW, STRIP = 22, 90  # px of a level, and of all those between the lowest and the highest
_BINS = 50  # of the spread, over the whole axis
NAME, SHORT = 190, 150  # px of names, and where there is less room


def caterpillar(tree: xr.DataTree, factor: str, about: About) -> Picture:
    """The levels of a grouping factor, sorted by their estimate, beside the population that they come from.

    Up to 40 levels are drawn each; of more, the 10 highest and the 10 lowest, and how the others are spread. Two effects of a factor,
    such as intercept and slope, have a panel each.

    Raises
    ------
    InputError
        A factor that has no effects in this fit.
    """
    groups = groups_of_outcomes(metadata(tree)["spec"])
    if factor not in groups:
        raise InputError(
            f"no group effects of {factor!r}{did_you_mean(factor, groups) or ';'} factors of this fit: {listing(groups)}"
        )
    effects = list(groups[factor]["effects"])
    panels = [group_estimates(tree, factor, effect, about) for effect in effects[:PANELS]]
    return Picture(
        f"caterpillar_{factor}",
        heading(tree, factor, about),
        _caption(panels, effects),
        " ".join(map(_finding, panels)),
        partial(_draw, panels=panels),
    )


def heading(tree: xr.DataTree, factor: str, about: About) -> str:
    """ "How herds differ", of effects on another predictor than that of the mean "How herds differ in the probability of zero"."""
    spec = metadata(tree)["spec"]
    predictor = spec["groups"][factor]["predictors"][0]
    other = predictor and predictor not in outcome_specs(spec)
    share = "the probability of " if spec["links"].get(predictor) == "logit" else ""
    of = f" in {share}{predictor_words(spec, predictor, about)}" if other else ""
    return f"How {plural_of_levels(tree, factor, about)} differ{of}"


def _caption(panels: list[GroupEstimates], effects: list[str]) -> str:
    first, word, plural = panels[0], panels[0].word, panels[0].plural
    numbered = ["First panel", "second panel"]
    what = "; ".join(f"{where}: {p.measure}" for where, p in zip(numbered, panels, strict=False))
    sentences = [
        f"{capital(plural)} sorted by their {'estimate' if len(panels) > 1 else first.short}.",
        f"{what}." if len(panels) > 1 else "",
        "Circles and lines: estimate with 50 % and 95 % intervals"
        + (f"; orange diamonds: the {word}’s raw {first.raw_word}" if first.raw is not None else "")
        + f"; dashed line and band: the median {word} and where 95 % of the population of {plural} lie"
        + (f", each level of {first.strata} with a standard deviation of its own." if first.strata else "."),
        first.holds_at,
        f"{capital(plural)} with few rows are drawn to {first.drawn_to}.",
        f"The order of two {plural} is uncertain where their intervals overlap.",
    ]
    if first.between.size:
        sentences.append(
            f"Of {whole(first.total)} {plural} the {len(first.labels) // 2} highest and lowest are drawn; the shape between is the spread of the "
            f"estimates of the other {whole(first.between.size)}."
        )
    if first.approximate:
        sentences.append(
            f"The fit kept means and standard deviations of the effects of {plural}: the intervals are those of normal distributions."
        )
    if len(effects) > PANELS:
        sentences.append(f"Not drawn: the effects of {listing(effects[PANELS:])}.")
    return " ".join(filter(None, sentences))


def _finding(panel: GroupEstimates) -> str:
    places = ((panel.quantiles[:, -1], panel.labels[-1]), (panel.quantiles[:, 0], panel.labels[0]))
    ends = (f"{quantiles_text(q, panel.scale)} in {label}" for q, label in places)
    low, high = panel.population[[0, 4]]
    span = interval(low, high, decimals(panel.scale, (low, high)), panel.scale)
    return (
        f"{capital(panel.measure)}: from {' to '.join(ends)}, of {whole(panel.total)} {panel.plural}; 95 % of the population of {panel.plural} "
        f"lie within {span}{f'{NO_BREAK}%' if panel.scale == 'risk' else ''}."
    )


# -------------------------------------------------------------------------------------------------------------- drawing


def _draw(canvas: Canvas, panels: list[GroupEstimates]) -> None:
    names = [canvas.shortened(p.labels, NAME if len(panels) == 1 and not canvas.narrow else SHORT) for p in panels]
    between = panels[0].between.size > 0
    height = ROW * (len(panels[0].labels) + 0.6) + (STRIP if between else 0)
    left = [
        canvas.text_width([*n, *([_between(p)] if between else [])]) + 12 for n, p in zip(names, panels, strict=True)
    ]
    counts = [canvas.text_width([*p.counts, p.counts_head], SMALL) + 12 if p.counts else 22 for p in panels]
    top = PANEL_TOP if panels[0].counts else _NO_HEAD
    axes = canvas.panels(len(panels), height, left=left, right=counts, top=top, below=PANEL_BELOW)
    for axis, panel, labels in zip(axes, panels, names, strict=True):
        at = np.arange(len(labels)) + (np.arange(len(labels)) >= len(labels) / 2) * (STRIP / ROW if between else 0)
        _limits(canvas, axis, panel)
        canvas.row_labels(axis, at, labels, pad=7)
        rows = np.array(axis.get_ylim())
        low, middle, high = (np.clip(panel.population[k], *axis.get_xlim()) for k in (0, 2, 4))
        axis.fill([low, high, high, low], np.repeat(rows, 2), facecolor=canvas.colour["model"], alpha=0.1, linewidth=0)
        canvas.no_effect(axis, float(middle))
        canvas.intervals(axis, at, panel.quantiles, scale=0.75)
        if panel.raw is not None:
            canvas.diamonds(axis, panel.raw, at, size=5.5)
        if panel.counts:
            canvas.row_numbers(axis, at, panel.counts, role="muted")
            canvas.note(axis, axis.get_xlim()[1], rows[1], panel.counts_head, shift=(8, 8))
        if between:
            _spread(canvas, axis, panel, at[len(at) // 2] - 0.7)
        canvas.axis_title(axis, panel.measure)


def _limits(canvas: Canvas, axis: Axes, panel: GroupEstimates) -> None:
    """Ends and ticks of an axis that holds all intervals and raw values."""
    values = np.concatenate([panel.quantiles.ravel(), panel.population, [] if panel.raw is None else panel.raw])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if panel.scale == "ratio":
        canvas.ratio_axis(axis, low * 0.97, high * 1.03)
        return
    margin = 0.03 * (high - low) or 1.0
    if panel.scale == "risk":
        axis.set_xlim(max(low - margin, 0.0), min(high + margin, 1.0))
        canvas.percent_axis(axis)
    else:
        axis.set_xlim(low - margin, high + margin)


def _between(panel: GroupEstimates) -> str:
    return f"{whole(panel.between.size)} between"


def _spread(canvas: Canvas, axis: Axes, panel: GroupEstimates, base: float) -> None:
    """The density of the estimates of the levels between, as one shape that stands at `base`, and how many they are."""
    to, back = (np.log, np.exp) if panel.scale == "ratio" else (np.asarray, np.asarray)
    low, high = to(axis.get_xlim())
    values = np.clip(to(panel.between), low, high)
    edges = np.linspace(low, high, _BINS + 1)
    share, edges = np.histogram(values, edges[max(np.searchsorted(edges, values.min(), "right") - 1, 0) :])
    heights = (STRIP / ROW - 1) * share / share.max()
    axis.fill(
        back(np.repeat(edges, 2)), base - np.concatenate([[0], np.repeat(heights, 2), [0]]),
        facecolor=canvas.colour["model"], alpha=0.35, linewidth=0,
    )  # fmt: skip
    axis.annotate(
        _between(panel), (0, base - 0.4), (-7, 0), xycoords=axis.get_yaxis_transform(), textcoords="offset points",
        ha="right", va="center", fontsize=SMALL, color=canvas.colour["muted"], annotation_clip=False,
    )  # fmt: skip
