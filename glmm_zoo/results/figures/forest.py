"""Forest plot of a meta-analysis: the trials' own ratios and the model's, the mean trial, and a new one."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from glmm_zoo.results.about import About
from glmm_zoo.results.figures.estimated import quantiles_text
from glmm_zoo.results.figures.picture import SMALL, TEXT, Canvas, Picture, capital
from glmm_zoo.results.figures.study_effects import StudyEffects, at_mean, covariate_text, of_what, study_effects
from glmm_zoo.results.numbers import decimals, interval

MOST = 60  # trials
ROW, TWO_LINES = 27, 38  # px of a trial, and where its name stands above its interval
_APART = 4.5  # px from the middle of its two intervals to each
NAME, COVARIATE, NUMBERS = 190, 70, 132  # px of the columns beside the axis
BEYOND = 3.0  # how many times farther than the model's intervals the axis goes for the trials' own


def forest(tree: xr.DataTree, about: About) -> Picture:
    """The trials of a meta-analysis, sorted by their covariate or else by their information.

    Each has its own ratio with its Wald interval (grey) and the model's estimate (blue); below are the mean trial (diamond) and the
    prediction interval of a new one. Of more than 60 trials those with most information are drawn.
    """
    study = study_effects(tree, about)
    drawn = np.sort(np.argsort(-study.information, kind="stable")[:MOST])
    shown = study.order()
    shown = shown[np.isin(shown, drawn)]
    word = about.name(study.rows.columns[0])
    treated, control, events = of_what(tree, about)
    words = f"{study.ratio}, {treated} against {control}"
    sides = (f"← fewer {events}", f"more {events} →")
    return Picture(
        "forest",
        capital(f"{study.ratio} of each {word}"),
        _caption(study, about, word, len(shown)),
        _alt(study, word, shown),
        partial(_draw, study=study, about=about, word=word, shown=shown, words=words, sides=sides),
    )


def _caption(study: StudyEffects, about: About, word: str, drawn: int) -> str:
    words = about.plural(word)
    by = f"by {about.name(study.covariate.column)}" if study.covariate else "by how much they tell"
    if study.covariate and study.covariate.numeric:
        by = f"from high (top) to low {about.name(study.covariate.column)}"
    like = f"{words} like it" if study.covariate else f"all {words}"
    sentences = [
        f"{capital(words)} {'' if by.startswith('from') else 'sorted '}{by}.",
        f"Grey squares: the {word}’s own {study.ratio} with 95 % interval, larger squares for more information.",
        f"Blue circles: the model’s estimate for that {word} with 50 % and 95 % intervals, drawn to what {like} show; the numbers belong to "
        "them.",
        f"Orange: the mean {word} (diamond, 95 % interval) and the prediction interval of a new one (bar, 95 %).",
    ]
    total = len(study.labels)
    if drawn < total:
        sentences.append(f"The {drawn} of {total} {words} with most information are drawn; the estimates rest on all.")
    if np.isnan(study.own).any():
        sentences.append(f"A {word} with an empty or full arm has no ratio of its own.")
    return " ".join(sentences)


def _alt(study: StudyEffects, word: str, shown: np.ndarray) -> str:
    lowest, highest = (shown[pick(study.model[2, shown])] for pick in (np.argmin, np.argmax))
    ends = (f"{quantiles_text(study.model[:, i], 'ratio')} in {study.labels[i]}" for i in (lowest, highest))
    low, high = study.new[[0, 4]]
    return (
        f"The {study.ratio} of the mean {word} is {quantiles_text(study.mean, 'ratio')}, and that of a new {word} lies within "
        f"{interval(low, high, decimals('ratio', (low, high)), 'ratio')} with a probability of 95 %; the {len(shown)} estimates go from "
        f"{' to '.join(ends)}."
    )


# -------------------------------------------------------------------------------------------------------------- drawing


def _draw(
    canvas: Canvas, study: StudyEffects, about: About, word: str, shown: np.ndarray, words: str, sides: tuple[str, str]
) -> None:
    n, row = len(shown), TWO_LINES if canvas.narrow else ROW
    names = [f"Mean {word}{at_mean(study, about)}", f"A new {word}{at_mean(study, about)}"]
    labels = [*(study.labels[i] for i in shown), *names]
    values = _covariate_texts(study, about, shown)
    numbers = [quantiles_text(q, "ratio") for q in (*study.model[:, shown].T, study.mean, study.new)]
    left = 14 if canvas.narrow else min(canvas.text_width(labels), NAME) + 10 + (COVARIATE if values else 0)
    (axis,) = canvas.panels(1, row * (n + 2.6), left=left, right=14 if canvas.narrow else NUMBERS, top=30, below=62)
    at = np.append(np.arange(n), [n + 0.4, n + 1.4])
    axis.set_ylim(n + 2, -0.6)
    canvas.no_axis(axis)
    canvas.ratio_axis(axis, *_limits(study, shown))
    axis.axhline(n - 0.3, color=canvas.colour["line"], linewidth=1)
    middle = at + (8 / row if canvas.narrow else 0)  # of the intervals, below a name that stands above them
    _references(canvas, study.mean[2], middle, row)
    _own(canvas, study, shown, middle[:n] - _APART / row)
    canvas.intervals(axis, middle[:n] + _APART / row, study.model[:, shown], scale=0.7)
    _mean_and_new(canvas, study, middle[n:], row)
    (_names_above if canvas.narrow else _names_beside)(canvas, at, labels, values, numbers)
    _heads(canvas, study, about, word, bool(values))
    canvas.axis_title(axis, words)
    below = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "fontsize": SMALL,
        "color": canvas.colour["muted"],
    }
    fewer, more = canvas.shortened(sides, axis.get_position().width * canvas.width / 2 - 4, SMALL)
    for x, text, align in ((0, fewer, "left"), (1, more, "right")):
        axis.annotate(text, (x, 0), (0, -52), ha=align, **below)


def _limits(study: StudyEffects, shown: np.ndarray) -> tuple[float, float]:
    """Ends of the axis: all of the model's intervals, and the trials' own where they do not go far beyond."""
    low = min(study.model[0, shown].min(), study.new[0])
    high = max(study.model[4, shown].max(), study.new[4])
    own = study.own[:, shown]
    return max(np.nanmin([low, *own[0]]), low / BEYOND) * 0.95, min(np.nanmax([high, *own[2]]), high * BEYOND) * 1.05


def _references(canvas: Canvas, mean: float, at: np.ndarray, row: int) -> None:
    """The lines of no effect and of the mean trial, beside the intervals only where words stand between these."""
    (axis,) = canvas.figure.axes
    if not canvas.narrow:
        canvas.no_effect(axis, 1)
        axis.plot([mean] * 2, [-0.4, at[-1] + 0.4], color=canvas.colour["data"], linewidth=0.8, alpha=0.6, zorder=0.6)
        return
    for x, role in ((1.0, "muted"), (mean, "data")):
        axis.vlines(
            np.full(len(at), x), at - 10 / row, at + 10 / row, colors=canvas.colour[role], linewidth=0.8, zorder=0.6
        )


def _own(canvas: Canvas, study: StudyEffects, shown: np.ndarray, at: np.ndarray) -> None:
    """The trials' own ratios as squares, their side by information, with thin lines, and arrows where these are cut."""
    (axis,), colour = canvas.figure.axes, canvas.colour["control"]
    low, high = axis.get_xlim()
    own, told = study.own[:, shown], np.isfinite(study.own[1, shown])
    ends = np.clip(own, low, high)
    axis.hlines(at[told], ends[0, told], ends[2, told], colors=colour, linewidth=1.2)
    inside = told & (own[1] >= low) & (own[1] <= high)
    information = study.information[shown]
    side = 4 + 7 * np.sqrt(information / max(information.max(), 1e-300))
    axis.scatter(own[1, inside], at[inside], s=side[inside] ** 2, marker="s", facecolors=colour, linewidths=0, zorder=3)
    for arrow, beyond, edge in (("<", own[0] < low, low), (">", own[2] > high, high)):
        axis.plot(
            np.full(beyond.sum(), edge), at[beyond], marker=arrow, markersize=5, linestyle="none", color=colour, clip_on=False
        )  # fmt: skip


def _mean_and_new(canvas: Canvas, study: StudyEffects, at: np.ndarray, row: int) -> None:
    (axis,), colour = canvas.figure.axes, canvas.colour["data"]
    q, y = study.mean, at[0]
    axis.fill([q[0], q[2], q[4], q[2]], [y, y - 8 / row, y, y + 8 / row], facecolor=colour, linewidth=0, zorder=4)
    axis.hlines(at[1], study.new[0], study.new[4], colors=colour, linewidth=6, alpha=0.5)
    axis.plot(
        study.new[2], at[1], marker="o", markersize=6, markerfacecolor=canvas.colour["paper"], markeredgecolor=colour,
        markeredgewidth=1.6, linestyle="none", zorder=5,
    )  # fmt: skip


def _covariate_texts(study: StudyEffects, about: About, shown: np.ndarray) -> list[str]:
    if study.covariate is None:
        return []
    column, values = study.covariate.column, study.covariate.values.iloc[shown]
    if study.covariate.numeric:
        return [covariate_text(about, column, v) for v in values]
    return [about.level(column, v) for v in values]


def _names_beside(canvas: Canvas, at: np.ndarray, labels: list[str], values: list[str], numbers: list[str]) -> None:
    """Names, covariates and numbers in columns at the left and at the right of the axis."""
    (axis,) = canvas.figure.axes
    left = axis.get_position().x0 * canvas.width
    texts = canvas.shortened(labels, left - 10 - (COVARIATE if values else 0))
    for place, (y, label, number) in enumerate(zip(at, texts, numbers, strict=True)):
        bold = place >= len(labels) - 2
        _word(canvas, (0, y), (4 - left, 0), label, bold=bold)
        _word(canvas, (1, y), (10, 0), number, bold=bold, size=SMALL)
    for y, value in zip(at, canvas.shortened(values, COVARIATE - 4), strict=False):
        _word(canvas, (0, y), (-10, 0), value, align="right")


def _names_above(canvas: Canvas, at: np.ndarray, labels: list[str], values: list[str], numbers: list[str]) -> None:
    """Each trial's name and covariate above its interval, the numbers at the end of that line."""
    right = canvas.text_width(numbers, SMALL)
    ends = [f" · {value}" for value in values] + [""] * (len(labels) - len(values))
    free = canvas.width - right - 14
    texts = [
        canvas.shortened([label], free - canvas.text_width([end], SMALL), SMALL)[0] + end
        for label, end in zip(labels, ends, strict=True)
    ]
    for place, (y, label, number) in enumerate(zip(at - 11 / TWO_LINES, texts, numbers, strict=True)):
        bold = place >= len(labels) - 2
        _word(canvas, (0, y), (-10, 0), label, bold=bold, size=SMALL)
        _word(canvas, (1, y), (10, 0), number, bold=bold, size=SMALL, align="right")


def _heads(canvas: Canvas, study: StudyEffects, about: About, word: str, covariate: bool) -> None:
    """What the columns are."""
    (axis,) = canvas.figure.axes
    left = axis.get_position().x0 * canvas.width
    top = (0, axis.get_ylim()[1])
    align = "right" if canvas.narrow else "left"
    _word(canvas, top, (-10 if canvas.narrow else 4 - left, 14), capital(word), bold=True)
    _word(canvas, (1, top[1]), (10, 14), capital(f"{study.ratio} (95 %)"), bold=True, size=SMALL, align=align)
    if covariate and not canvas.narrow and study.covariate is not None:
        name = about.name(study.covariate.column)
        (text,) = canvas.shortened([name if name == study.covariate.column else capital(name)], COVARIATE + 10)
        _word(canvas, top, (-10, 14), text, bold=True, align="right")


def _word(
    canvas: Canvas, place: tuple[float, float], shift: tuple[float, float], text: str, *, bold: bool = False,
    size: float = TEXT, align: str = "left",
) -> None:  # fmt: skip
    """Words at a share of the axis' width and a row, shifted by px."""
    (axis,) = canvas.figure.axes
    axis.annotate(
        text, place, shift, xycoords=axis.get_yaxis_transform(), textcoords="offset points", va="center", ha=align, fontsize=size,
        fontweight="bold" if bold else "normal", color=canvas.colour["ink"], annotation_clip=False,
    )  # fmt: skip
