"""The design of a stepped-wedge trial: clusters by periods, when they cross over, and what was observed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from glmm_zoo.errors import plural
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.picture import SMALL, Canvas, Picture
from glmm_zoo.results.figures.wedge_cells import WedgeCells, pooled, wedge_cells
from glmm_zoo.results.numbers import decimals, percent, written
from glmm_zoo.results.storage import metadata

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEAD = 56  # px of the name of a period, at least
SINGLY, MOST_CELLS = 40, 320  # clusters that have a row each, and cells
ROW, GAP, WAVE = 20, 10, 42  # px of a cluster, between waves, and of the words for a wave
LIGHT, DARK = 0.05, 0.50  # opacity of the lowest and the highest value


def design_map(tree: xr.DataTree, about: About) -> Picture:
    """Clusters by wave and period: colour and number are what was observed, a thick line is where clusters cross over.

    More than 40 clusters, or 320 cells, are pooled by wave.
    """
    cells = wedge_cells(tree, about)
    word = about.name(metadata(tree)["spec"]["options"]["cluster"])
    singly = len(cells.clusters) <= SINGLY and cells.values.size <= MOST_CELLS
    order = np.argsort(cells.start, kind="stable")
    waves = np.unique(cells.start[order], return_inverse=True)[1]
    what = (
        "events in per cent"
        if cells.shares
        else f"mean {about.outcome or 'outcome'}{f', {about.unit}' if about.unit else ''}"
    )
    each = f"a {word} in a period" if singly else f"a wave of {about.plural(word)} in a period, pooled"
    sizes = np.bincount(waves)
    return Picture(
        "design_map",
        "Design and data",
        f"Each cell is {each}: {what}; darker is more. Grey: {cells.control}; blue: {cells.intervention}; the thick line is where the "
        f"{word} crossed over.{' A cell with a dash was not observed.' if (cells.sizes == 0).any() else ''}",
        f"{plural(len(cells.clusters), word)} in {plural(len(sizes), 'wave')} ({', '.join(map(str, sizes))}) over "
        f"{plural(len(cells.periods), 'period')}; {_observed(cells)}.",
        partial(_draw, cells=cells, order=order, waves=waves, singly=singly),
    )  # fmt: skip


def _observed(cells: WedgeCells) -> str:
    """What was observed under both conditions, in words."""
    means = [float(pooled(*(a[cells.treated == t].sum()[None] for a in (cells.sums, cells.sizes)))[0]) for t in (0, 1)]
    texts = [percent(m) if cells.shares else written(m, decimals("number", means)) for m in means]
    return f"observed {texts[0]} under {cells.control} and {texts[1]} under {cells.intervention}"


# -------------------------------------------------------------------------------------------------------------- drawing


def _draw(canvas: Canvas, cells: WedgeCells, order: np.ndarray, waves: np.ndarray, singly: bool) -> None:
    count, periods = waves.max() + 1, len(cells.periods)
    rows = [order[waves == w] for w in range(count)]
    names = [cells.clusters[i].split(", ")[-1] for i in order] if singly else []
    names = canvas.shortened(names, 100, SMALL)
    heights = [len(r) if singly else 1.6 for r in rows]
    left = canvas.text_width(names, SMALL) + (34 if singly else 62)
    (axis,) = canvas.panels(1, ROW * sum(heights) + GAP * (count - 1), left=left, right=8, top=28, below=8)
    top = np.cumsum([0, *(h + GAP / ROW for h in heights)])
    axis.set_xlim(0, periods)
    axis.set_ylim(top[-1] - GAP / ROW, 0)
    axis.set_axis_off()
    wide = axis.get_position().width * canvas.width / periods  # px of a cell
    _heads(canvas, axis, cells.periods, wide)
    for w, (members, y) in enumerate(zip(rows, top, strict=False)):
        groups = [[i] for i in members] if singly else [list(members)]
        step = heights[w] / len(groups)
        for k, group in enumerate(groups):
            _cells(canvas, axis, cells, group, y + k * step, step, wide)
            if singly:
                name = names[int(np.flatnonzero(order == group[0])[0])]
                canvas.note(axis, 0, y + (k + 0.5) * step, name, align="right", shift=(-6, 0))
        start = cells.start[members[0]]
        if start < periods:
            axis.plot(
                [start] * 2,
                [y, y + heights[w]],
                color=canvas.colour["ink"],
                linewidth=2.6,
                solid_capstyle="butt",
                zorder=4,
            )
        axis.annotate(
            f"wave {w + 1}" if not singly or ROW * heights[w] > WAVE else str(w + 1), (0, y + heights[w] / 2), (-left + 14 if singly else -10, 0), textcoords="offset points",
            rotation=90 if singly else 0, ha="center" if singly else "right", va="center", fontsize=SMALL,
            fontweight="bold", color=canvas.colour["ink"], annotation_clip=False,
        )  # fmt: skip


def _heads(canvas: Canvas, axis: Axes, periods: list[str], wide: float) -> None:
    """The names of the periods, as many as have room, with the word where it has."""
    with_word = [f"period {p}" for p in periods]
    texts = (
        with_word
        if canvas.text_width(with_word, SMALL) < wide
        else canvas.shortened(periods, max(wide - 4, HEAD), SMALL)
    )
    every = int(np.ceil((canvas.text_width(texts, SMALL) + 4) / wide))
    for j in range(0, len(periods), every):
        canvas.note(axis, j + 0.5, 0, texts[j], role="ink", align="center", shift=(0, 10))


def _cells(
    canvas: Canvas, axis: Axes, cells: WedgeCells, group: list[int], y: float, height: float, wide: float
) -> None:
    """The cells of one row, of one cluster or of those of a wave together."""
    sums, sizes = cells.sums[group].sum(axis=0), cells.sizes[group].sum(axis=0)
    values, everything = pooled(sums, sizes), cells.values
    low, high = (0.0, np.nanmax(everything)) if cells.shares else (np.nanmin(everything), np.nanmax(everything))
    gap_x, gap_y = 1.5 / wide, 1.0 / ROW
    texts = _texts(canvas, cells, sums, sizes, values, wide)
    for j, (value, text) in enumerate(zip(values, texts, strict=True)):
        if np.isfinite(value):
            share = (value - low) / (high - low) if high > low else 0.5
            axis.fill(
                [j + gap_x, j + 1 - gap_x, j + 1 - gap_x, j + gap_x], [y + gap_y] * 2 + [y + height - gap_y] * 2,
                facecolor=canvas.colour["model" if cells.treated[group[0], j] == 1 else "control"],
                alpha=round(LIGHT + (DARK - LIGHT) * float(np.clip(share, 0, 1)), 2), linewidth=0,
            )  # fmt: skip
        if text:
            canvas.note(axis, j + 0.5, y + height / 2, text, role="ink", align="center", size=11)


def _texts(
    canvas: Canvas, cells: WedgeCells, sums: np.ndarray, sizes: np.ndarray, values: np.ndarray, wide: float
) -> list[str]:
    """What stands on cells: "18 (3/17)" where all have room, else "18", else nothing."""
    if cells.shares:
        short = [f"{100 * v:.0f}" if np.isfinite(v) else "–" for v in values]
        counts = [f"{s} ({a:.0f}/{n:.0f})" if n else s for s, a, n in zip(short, sums, sizes, strict=True)]
        longest = canvas.text_width([f"100 ({cells.sums.max():.0f}/{cells.sizes.max():.0f})"], 11)
    else:
        finite = cells.values[np.isfinite(cells.values)]
        d = decimals("number", [finite.min(), finite.max()])
        short = counts = [written(v, d) for v in values]
        longest = np.inf
    if longest + 6 < wide:
        return counts
    return short if canvas.text_width(short, 11) + 4 < wide else [""] * len(short)
