"""Comparisons as a forest: a row for each with its numbers, differences on a linear axis, ratios on a log axis, no effect as a line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, listing
from glmm_zoo.families.registry import FAMILIES, family_described
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.estimates import NO_EFFECT, NUMBER_NEEDED, RATIOS, Estimates, summarised
from glmm_zoo.results.figures.estimated import Estimated, estimated, of_shares
from glmm_zoo.results.figures.picture import SMALL, TEXT, Canvas, Picture, capital
from glmm_zoo.results.figures.value_words import column_and_level, multiplied, row_words, told, value_words, wrapped
from glmm_zoo.results.numbers import NO_BREAK
from glmm_zoo.results.report.wording import EQUAL_EFFECTS, equal_words
from glmm_zoo.results.storage import against_reference, metadata, outcome_specs
from glmm_zoo.results.summary import derived_quantities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_FOREST_ROWS = 40
_ROW, _LINE = 26, 15  # px of a row, and of each further line of its label
LEAST_AXIS = 110  # px, with which a row still has its interval in numbers
_FARTHEST = 30  # times the outermost medians: beyond, intervals of ratios are cut
MARKS = f"circle = median, thick line = 50{NO_BREAK}% interval, thin line = 95{NO_BREAK}% interval"
LOGARITHMS = {  # what has a predictor of its logarithm, in words
    own.name: own.words.removeprefix("the ")
    for family in reversed(list(FAMILIES.values()))
    for own in family.own
    if own.option and own.scale == "log"
}
_PREDICTOR_WORDS = {
    "never": "never being at risk",
    "surv": "the event",
    "assoc": "the marker",
}
_ORDINALS = ("First", "Second")
_KINDS = {
    "odds_ratio": "odds ratio",
    "rate_ratio": "rate ratio",
    "hazard_ratio": "hazard ratio",
    "time_ratio": "ratio of times",
    "ratio_of_means": "ratio of means",
}


@dataclass(frozen=True)
class Forest:
    """A panel with a row for each of n estimates.

    `labels` and `short` are those of the wide and of the narrow picture, `null` is the value of no effect.
    """

    of: Estimated
    labels: Sequence[str]
    short: Sequence[str]
    null: float
    title: str
    axis: str

    def first_rows(self) -> Forest:
        """As many rows as a picture has."""
        rows = np.arange(min(len(self.labels), MOST_FOREST_ROWS))
        return Forest(
            self.of.take(rows),
            self.labels[:MOST_FOREST_ROWS],
            self.short[:MOST_FOREST_ROWS],
            self.null,
            self.title,
            self.axis,
        )


def effects(comparisons: Estimates, about: About) -> Picture:
    """Comparisons, a panel for differences and one for ratios; odds ratios where there are no other ratios.

    Raises
    ------
    InputError
        Comparisons of several outcomes, which have no axis in common.
    """
    table = comparisons.table
    outcomes = dict.fromkeys(table.get("outcome", ()))
    if len(outcomes) > 1:
        raise InputError(f"effects are of one outcome, and these are of {listing(outcomes)}; ask for one with outcome=")
    measures = [str(m) for m in dict.fromkeys(table["measure"]) if m != NUMBER_NEEDED]
    if "ratio" in measures:
        measures = [m for m in measures if m != "odds_ratio"]
    panels = [_panel(comparisons, about, measure) for measure in measures[:2]]
    return forest_picture("effects", "Comparisons", _whose(comparisons), panels)


def conditional_effects(tree: xr.DataTree, about: About) -> Picture:
    """Ratios within a group: exp of the coefficients, for one unit more or for a level against the reference; a panel for each of at
    most two kinds.

    Raises
    ------
    InputError
        A fit without coefficients whose exp is a ratio.
    """
    found = conditional_ratios(tree)
    if not found:
        raise InputError("conditional_effects draws odds, rate and hazard ratios, and this fit has none; use effects")
    panels = []
    for kind, quantities in list(found.items())[:2]:
        of = pd.DataFrame({"coefficient": list(quantities), "measure": "ratio"})
        estimates = summarised(of, np.stack(list(quantities.values()), axis=2), "")
        labels = [coefficient_words(about, coefficient) for coefficient in quantities]
        panels.append(Forest(estimated(estimates), labels, labels, 1.0, capital(kind), "log axis"))
    equal = equal_words(metadata(tree)["spec"])
    whose = f"{capital(equal)}, for one unit more of a number or for a level against the reference."
    title = "Ratios within a group" if equal == EQUAL_EFFECTS else "Ratios"
    return forest_picture("conditional_effects", title, whose, panels)


def predictor_words(spec: Mapping[str, Any], predictor: str, about: About) -> str:
    """What the event or the outcome of a predictor is called, of an unordered category "car against bus"."""
    if category := against_reference(spec, predictor):
        return category
    for prefix, outcome in outcome_specs(spec).items():
        own = family_described(outcome).own_parameter(predictor.removeprefix(f"{prefix}_" if prefix else ""))
        if own is not None:
            return f"{own.words}{f' of {about.outcome_of(prefix).outcome or prefix}' if prefix else ''}"
    return _PREDICTOR_WORDS.get(predictor) or about.outcome_of(predictor).outcome or predictor


def coefficient_words(about: About, coefficient: str) -> str:
    """ "quarter 4" of "period[4]", "quarter 4 × time" of "period[4]:time", "dose (mean step)" of "mo(dose)"."""
    parts = []
    known = "".join(rf"(?<!\w){re.escape(name)}(?!\w)|" for name in sorted(about.names, key=len, reverse=True))
    for part in multiplied(coefficient):
        column, level = column_and_level(part)
        if monotonic := re.fullmatch(r"mo\((.*)\)", part):
            parts.append(f"{about.name(monotonic[1])} (mean step)")
            continue
        expression = re.sub(r"^(?:I|mi)\((.*)\)$", r"\1", part)
        words = re.sub(rf"{known}[^\W\d]\w*(?:\.\w+)*", lambda name: about.name(name[0]), expression)
        parts.append(words if level is None else value_words(about, column, level))
    return " × ".join(parts)


def forest_picture(name: str, title: str, caption: str, panels: Sequence[Forest]) -> Picture:
    """Panels as a picture; the caption goes on with what the marks are, and the alternative text has the numbers."""
    count = max(len(panel.labels) for panel in panels)
    drawn = [panel.first_rows() for panel in panels]
    titles = [f"{p.title}{f' ({p.axis})' if p.axis else ''}" for p in drawn]
    parts = (
        [f"{titles[0]}."]
        if len(drawn) == 1
        else [f"{n} panel: {_lower(t)}." for n, t in zip(_ORDINALS, titles, strict=False)]
    )
    cut = f"The first {MOST_FOREST_ROWS} of {count} rows are drawn." if count > MOST_FOREST_ROWS else ""
    alt = "; ".join(
        f"{t} with 95{NO_BREAK}% interval: {told(p.labels, p.of.told)}" for t, p in zip(titles, drawn, strict=True)
    )
    sentences = [*parts, caption, f"{capital(MARKS)}; dashed line = no effect.", cut]
    return Picture(name, title, " ".join(filter(None, sentences)), f"{alt}.", lambda canvas: _draw(canvas, drawn))


# -------------------------------------------------------------------------------------------------------------- drawing


def _draw(canvas: Canvas, panels: Sequence[Forest]) -> None:
    """Labels beside each panel; the second has none where it stands beside the first and has the same rows."""
    beside = not canvas.narrow and len(panels) > 1
    layouts = [RowLayout.of(canvas, p, 110 if canvas.narrow else 150 if beside else 260) for p in panels]
    if beside and layouts[0].labels == layouts[1].labels:
        layouts[1] = replace(layouts[1], labels=[""] * len(layouts[1].labels), left=16.0)
    taken = [layout.left for layout in layouts]
    room = (canvas.width - sum(taken)) / 2 if beside else canvas.width - max(taken)
    if any(room - layout.right < LEAST_AXIS for layout in layouts):
        layouts = [layout.with_medians(canvas, p) for layout, p in zip(layouts, panels, strict=True)]
    axes = panels_of(canvas, layouts)
    for axis, panel, layout in zip(axes, panels, layouts, strict=True):
        draw_rows(canvas, axis, panel, layout)


@dataclass(frozen=True)
class RowLayout:
    """Labels broken into lines, numbers, and the px that they, and all rows together, need."""

    labels: Sequence[str]
    numbers: Sequence[str]
    left: float
    right: float
    height: float

    @classmethod
    def of(cls, canvas: Canvas, panel: Forest, widest: float) -> RowLayout:
        """With labels of at most `widest` px, and intervals in numbers."""
        labels = [wrapped(text, widest, TEXT) for text in (panel.short if canvas.narrow else panel.labels)]
        row = _ROW + _LINE * max(text.count("\n") for text in labels)
        return cls(
            labels,
            panel.of.texts,
            canvas.text_width(labels) + 12,
            canvas.text_width(panel.of.texts, SMALL) + 16,
            row * (len(labels) + 0.4),
        )

    def with_medians(self, canvas: Canvas, panel: Forest) -> RowLayout:
        """With medians alone as numbers."""
        return replace(self, numbers=panel.of.medians, right=canvas.text_width(panel.of.medians, SMALL) + 16)


def panels_of(canvas: Canvas, layouts: Sequence[RowLayout], **settings: Any) -> list[Axes]:
    """A panel for each layout; `settings` are those of the canvas's panels."""
    sizes = zip(*((x.height, x.left, x.right) for x in layouts), strict=True)
    heights, left, right = (list(each) for each in sizes)
    return canvas.panels(len(layouts), heights, left=left, right=right, **settings)


def draw_rows(canvas: Canvas, axis: Axes, panel: Forest, layout: RowLayout) -> None:
    """One panel; limits that were set before stay."""
    at = np.arange(len(layout.labels))
    if axis.get_autoscalex_on():
        _limits(canvas, axis, panel)
    canvas.row_labels(axis, at, layout.labels)
    if np.isfinite(panel.null):
        canvas.no_effect(axis, panel.null)
    canvas.intervals(axis, at, panel.of.quantiles)
    canvas.row_numbers(axis, at, layout.numbers)
    canvas.title(axis, panel.title)
    canvas.axis_title(axis, panel.axis)


def _limits(canvas: Canvas, axis: Axes, panel: Forest) -> None:
    """The axis takes in the intervals and no effect; ratios are cut far beyond the medians."""
    q = panel.of.quantiles[:, np.isfinite(panel.of.quantiles[2])]
    if panel.of.scale == "ratio":
        low, high = max(q.min(), q[2].min() / _FARTHEST), min(q.max(), q[2].max() * _FARTHEST)
        canvas.ratio_axis(axis, low / 1.08, high * 1.08)
        return
    low, high = min(q.min(), panel.null), max(q.max(), panel.null)
    margin = 0.05 * (high - low)
    axis.set_xlim(low - margin, high + margin)
    if panel.of.scale == "points":
        canvas.points_axis(axis)


# ---------------------------------------------------------------------------------------------------------------- words


def _panel(comparisons: Estimates, about: About, measure: str) -> Forest:
    table = comparisons.table
    of = estimated(comparisons, np.flatnonzero(table["measure"] == measure))
    title, axis = _titles(comparisons, measure, about)
    return Forest(
        of, row_words(of.of, about), row_words(of.of, about, short=True), NO_EFFECT.get(measure, 0.0), title, axis
    )


def _titles(comparisons: Estimates, measure: str, about: About) -> tuple[str, str]:
    """The title of a panel and that of its axis."""
    measures = set(comparisons.table["measure"])
    shares, risk = of_shares(comparisons), NUMBER_NEEDED in measures
    if measure == "difference":
        title = ("Risk difference" if risk else "Difference of probabilities") if shares else "Difference"
        counted = not shares and "ratio" in measures
        return title, "percentage points" if shares else f"per {about.unit}" if counted and about.unit else about.unit
    if measure == "ratio":
        return ("Risk ratio" if risk else "Ratio of probabilities") if shares else "Ratio of means", "log axis"
    title = {"odds_ratio": "Odds ratio, population", "better": "Probability of a higher score"}.get(
        measure, capital(measure)
    )
    return title, "log axis" if measure in RATIOS else ""


def _whose(comparisons: Estimates) -> str:
    """Whose comparisons they are, in a sentence."""
    groups = dict.fromkeys(comparisons.table.get("groups", ()))
    whose = {
        "population": "averaged over the population of groups",
        "typical": "of a typical group, whose effect is zero",
    }
    words = [whose[g] for g in groups if g in whose]
    return f"Comparisons are {listing(words)}." if words else ""


def conditional_ratios(tree: xr.DataTree) -> Mapping[str, dict[str, np.ndarray]]:
    """Draws of ratios by coefficient, by kind."""
    spec, about = metadata(tree)["spec"], about_of(tree)
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, draws in derived_quantities(tree).items():
        matched = re.fullmatch(rf"(?:(.+)_)?({'|'.join(_KINDS)})\[(.+)\]", name)
        if matched is None or (matched[1] or "").endswith("median"):
            continue
        kind = _KINDS[matched[2]]
        kind = f"{kind} of {predictor_words(spec, matched[1], about)}" if matched[1] else kind
        found.setdefault(kind, {})[matched[3]] = draws
    return found


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
