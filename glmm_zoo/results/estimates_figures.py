"""Pictures of estimates: intervals, curves with bands, and bars of categories; each has the sentence as its title."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmm_zoo.errors import InputError, listing
from glmm_zoo.results.figures.picture import BANDS
from glmm_zoo.results.report.estimates_text import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from glmm_zoo.results.estimates import Estimates

STYLE = "arviz-variat"
MOST_DRAWN = {"intervals": 60, "curves": 12, "bars": 30}  # in one panel
LETTERS_PER_INCH = 11  # of the title; 13 of mixed text would fit
LONGEST_LINE = 30  # letters of a label, which goes on below
BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1)}


@dataclass(frozen=True)
class _Picture:
    """What is drawn: the kind, the column along the horizontal axis of curves, the columns that tell intervals, curves or bars
    apart, and how many of them a panel has."""

    kind: str
    x: str | None
    by: Sequence[str]
    count: int


@dataclass(frozen=True)
class _Panel:
    """The estimates of one measure of one outcome: what each is of, quantiles (5, n) and means (n,), what is noted where there is no
    interval, and the value of no effect, NaN of predictions."""

    title: str
    of: pd.DataFrame
    quantiles: np.ndarray
    means: np.ndarray
    notes: Sequence[str]
    null: float


def estimates_figure(estimates: Estimates, data: pd.DataFrame | None, no_effect: Mapping[str, float]) -> Figure:
    """The picture that suits the estimates; `no_effect` has the value of no effect of each measure for which it is not 0.

    Raises
    ------
    InputError
        More estimates than can be read in a picture; data without a response, or where no curves are drawn.
    """
    import arviz_plots  # noqa: F401 (its styles)
    import matplotlib.pyplot as plt

    of = estimates.table[estimates.of]
    picture = _picture_of(of)
    points = None if data is None else _raw_data(data, picture, of)
    panels = list(_panels(estimates, no_effect))
    across = 2 if len(panels) == 4 else min(len(panels), 3)
    down = -(-len(panels) // across)
    width, height = _inches(picture, _labels(of, picture.by))
    width, height = across * width + 1, down * height + 1  # with the title
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(down, across, figsize=(width, height), squeeze=False, layout="constrained")
        for axis, panel in zip(axes.flat, panels, strict=False):
            if points is not None:
                axis.plot(*points, "o", color="0.6", alpha=0.5, markersize=3, zorder=0)
            {"intervals": _intervals, "curves": _curves, "bars": _bars}[picture.kind](axis, panel, picture)
        for axis in axes.flat[len(panels) :]:
            axis.remove()
        figure.suptitle(
            textwrap.fill(_plain(estimates.sentence), int(width * LETTERS_PER_INCH)), size=11, weight="normal"
        )
    return figure


# --------------------------------------------------------------------------------------------------------- what is drawn


def _picture_of(of: pd.DataFrame) -> _Picture:
    """Bars of categories, curves over a number, or intervals; comparisons are curves only where intervals are too many."""
    apart = [c for c in of if c not in ("measure", "outcome") and of[c].nunique(dropna=False) > 1]
    if not of.drop(columns="row", errors="ignore").duplicated().any():
        apart = [c for c in apart if c != "row"]
    largest = int(of.groupby(_panel_columns(of), dropna=False).size().max())
    x = _numeric_column(of[apart])
    arms = [c for c in apart if c != "category"]
    if _is_comparison(of):
        kind = "curves" if x is not None and largest > MOST_DRAWN["intervals"] else "intervals"
    elif "category" in apart and _combinations(of, arms) <= MOST_DRAWN["bars"]:
        kind = "bars"
    else:
        kind = "intervals" if x is None else "curves"
    by = {"intervals": apart, "curves": [c for c in apart if c != x], "bars": arms}[kind]
    count = largest if kind == "intervals" else _combinations(of, by)
    if count > MOST_DRAWN[kind]:
        raise InputError(
            f"plot: {count} {kind} in one picture cannot be read, at most {MOST_DRAWN[kind]} are drawn; average over rows with by=, or "
            "ask for fewer values with at="
        )
    return _Picture(kind, x, by, count)


def _inches(picture: _Picture, labels: Sequence[str]) -> tuple[float, float]:
    """Width and height of a panel with these labels beside it."""
    letters = max(len(line) for text in labels for line in text.split("\n"))
    lines = max(text.count("\n") + 1 for text in labels)
    return 4 + letters / 8, 4 if picture.kind == "curves" else 1.5 + max(0.35, 0.25 * lines) * picture.count


def _is_comparison(of: pd.DataFrame) -> bool:
    return bool({"variable", "contrast", "hypothesis"} & set(of))


def _panel_columns(of: pd.DataFrame) -> list[str]:
    return [c for c in ("outcome", "measure") if c in of]


def _numeric_column(of: pd.DataFrame) -> str | None:
    """Time, or the column of numbers that has most values, where it has more than two; numbers of rows are names."""
    numbers = [str(c) for c in of if of[c].dtype.kind in "iuf" and c != "row"]
    values = {c: n for c in numbers if (n := of[c].nunique()) > 2}
    return "time" if "time" in values else max(values, key=lambda c: values[c], default=None)


def _combinations(of: pd.DataFrame, columns: Sequence[str]) -> int:
    return len(of[columns].drop_duplicates()) if columns else 1


def _raw_data(data: pd.DataFrame, picture: _Picture, of: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Values of the column along the axis and of the response, which is the only column that the estimates do not have."""
    if picture.kind != "curves":
        raise InputError(
            f"plot: data are drawn behind curves over a column of numbers, and these are {picture.kind}; leave data out"
        )
    responses = [c for c in data if c not in of]
    if picture.x not in data or len(responses) != 1:
        raise InputError(
            f"plot: data has the columns {listing(data)}, and {picture.x} and the response are expected; "
            f"give data[[{picture.x!r}, RESPONSE]]"
        )
    return data[picture.x].to_numpy(float), data[responses[0]].to_numpy(float)


def _panels(estimates: Estimates, no_effect: Mapping[str, float]) -> Iterator[_Panel]:
    """One for each measure of each outcome; what has no interval in the table, such as a number needed to treat, has none here."""
    table, of = estimates.table, estimates.table[estimates.of]
    draws = estimates.draws["value"].values.reshape(-1, len(of))
    notes = table["note"] if "note" in table else pd.Series("", table.index)
    for key, rows in of.groupby(_panel_columns(of), sort=False, dropna=False):
        values, told = draws[:, rows.index], table["median"].notna().to_numpy()[rows.index]
        with np.errstate(invalid="ignore"):  # between infinite ratios
            quantiles = np.where(told, np.quantile(values, BANDS, axis=0), np.nan)
        null = no_effect.get(str(key[-1]), 0.0) if _is_comparison(of) else np.nan
        noted = list(notes[rows.index].where(~told, ""))
        yield _Panel(" of ".join(map(str, key[::-1])), rows, quantiles, values.mean(axis=0), noted, null)


# -------------------------------------------------------------------------------------------------------------- drawing


def _intervals(axis: Axes, panel: _Panel, picture: _Picture) -> None:
    """A row for each estimate, the first at the top: 95 % thin, 50 % thick, the median as a point."""
    low, lower, median, upper, high = panel.quantiles
    rows = np.arange(len(panel.of))
    colour = _colour(0)
    axis.hlines(rows, low, high, color=colour, linewidth=1.5)
    axis.hlines(rows, lower, upper, color=colour, linewidth=4)
    axis.plot(median, rows, "o", color=colour)
    for row, note in enumerate(panel.notes):
        axis.text(0.5, row, _plain(note), transform=axis.get_yaxis_transform(), ha="center", va="center", size="small")
    if np.isfinite(panel.null):
        axis.axvline(panel.null, color="0.4", linestyle="--", zorder=0)
    axis.set_yticks(rows, _labels(panel.of, picture.by))
    axis.set_ylim(len(rows) - 0.5, -0.5)
    _measured(axis, "x", panel)


def _curves(axis: Axes, panel: _Panel, picture: _Picture) -> None:
    """A curve of medians with bands of 50 and 95 % for each combination of the other columns."""
    from matplotlib.ticker import MaxNLocator

    labels = pd.Series(_labels(panel.of, picture.by))
    x = panel.of[picture.x].to_numpy(float)
    for i, name in enumerate(labels.unique()):
        rows = np.flatnonzero(labels == name)
        rows = rows[np.argsort(x[rows], kind="stable")]
        low, lower, median, upper, high = panel.quantiles[:, rows]
        axis.fill_between(x[rows], low, high, alpha=0.2, color=_colour(i), linewidth=0)
        axis.fill_between(x[rows], lower, upper, alpha=0.35, color=_colour(i), linewidth=0)
        axis.plot(x[rows], median, color=_colour(i), label=name)
    if np.isfinite(panel.null):
        axis.axhline(panel.null, color="0.4", linestyle="--", zorder=0)
    if picture.by:
        axis.legend(**BESIDE)
    if panel.title.startswith("survival"):
        axis.set_ylim(0, 1)
    axis.set_xlabel(_plain(str(picture.x)))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=bool(np.all(x == np.round(x)))))
    _measured(axis, "y", panel)


def _bars(axis: Axes, panel: _Panel, picture: _Picture) -> None:
    """A bar for each arm, of the mean probabilities of the categories in their order, which the colours have too."""
    from matplotlib import colormaps

    places, arms = pd.factorize(np.array(_labels(panel.of, picture.by), dtype=object))
    ends = np.zeros(len(arms))
    categories = panel.of["category"].unique()
    for category, colour in zip(categories, colormaps["viridis"](np.linspace(0.1, 0.9, len(categories))), strict=True):
        rows = np.flatnonzero(panel.of["category"] == category)
        left = ends[places[rows]]
        axis.barh(places[rows], panel.means[rows], left=left, color=colour, label=_plain(label(category)))
        ends[places[rows]] += panel.means[rows]
    axis.set_yticks(range(len(arms)), arms)
    axis.set_ylim(len(arms) - 0.5, -0.5)
    axis.legend(title="category", **BESIDE)
    _measured(axis, "x", panel)


def _colour(i: int) -> str:
    """A colour of the style, which "C0" is only as long as the style is in use."""
    from matplotlib import rcParams

    colours = rcParams["axes.prop_cycle"].by_key()["color"]
    return colours[i % len(colours)]


def _measured(axis: Axes, along: str, panel: _Panel) -> None:
    """Name an axis by what it measures; that of ratios, whose value of no effect is 1, is logarithmic."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    axis.set(**{f"{along}label": _plain(panel.title)})
    ticks: Any = getattr(axis, f"{along}axis")
    ticks.set_major_locator(MaxNLocator(5))
    if panel.null == 1:
        axis.set(**{f"{along}scale": "log"})
        ticks.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0), numticks=7))
        ticks.set_major_formatter(StrMethodFormatter("{x:g}"))
        ticks.set_minor_formatter(NullFormatter())


def _labels(of: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """What each row is of in words: "2 vs 1, age 40"."""
    if not columns:
        return [""] * len(of)
    names = {c: "" if c in ("variable", "contrast", "hypothesis", "category") else f"{c} " for c in columns}
    parts = [[names[c] + label(v) if pd.notna(v) else "" for v in of[c]] for c in columns]
    texts = (textwrap.fill(", ".join(filter(None, row)), LONGEST_LINE) for row in zip(*parts, strict=True))
    return [_plain(text) for text in texts]


def _plain(text: str) -> str:
    """Text in which a dollar sign does not begin a formula."""
    return text.replace("$", r"\$")
