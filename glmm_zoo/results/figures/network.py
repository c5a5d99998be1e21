"""The network of a meta-analysis: a disc for each treatment, a line for each pair that studies compared."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import xarray as xr

from glmm_zoo.errors import plural
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.picture import SMALL, TEXT, Canvas, Picture
from glmm_zoo.results.figures.value_words import told
from glmm_zoo.results.networks import network_of
from glmm_zoo.results.numbers import whole
from glmm_zoo.results.storage import metadata
from glmm_zoo.trials.network import Network

_LARGEST, _SMALLEST = 44.0, 9.0  # px, the disc of the treatment of most persons, and of none
_WIDEST = 9.0  # px, the line of the pair of most studies
_HEIGHT, _NARROW_HEIGHT = 330, 270
_MOST_ROOM = 190, 104  # px for names beside the discs


def network(tree: xr.DataTree, about: About) -> Picture:
    """Discs are as large as their treatments have persons, or person-time, lines as wide as their pairs have studies."""
    found, column = network_of(tree), metadata(tree)["spec"]["options"]["treatment"]
    names = [about.level(column, label) for label in found.labels]
    sizes, both = found.arm_totals()[1].sum(axis=0), found.present.astype(int).T @ found.present
    pairs = [(a, b) for a, b in combinations(range(len(names)), 2) if both[a, b]]
    what = about.plural(about.individual) if about.individual else "participants"
    what = what if found.exposure is None else "person-time"
    several = int((found.present.sum(axis=1) > 2).sum())
    caption = (
        f"A disc for each treatment, its area as the {what}; a line for each pair that was compared within studies, its width and number the "
        f"studies. {'A study' if several == 1 else f'{several} studies'} of more than two treatments {'has' if several == 1 else 'have'} a line for each pair of them."
        if several
        else f"A disc for each treatment, its area as the {what}; a line for each pair that was compared within studies, its width and number "
        "the studies."
    )
    labels = [f"{names[a]} and {names[b]}" for a, b in pairs]
    alt = (
        f"{len(names)} treatments in {len(found.present)} studies, {len(pairs)} of {len(names) * (len(names) - 1) // 2} pairs compared: "
        f"{told(labels, [plural(int(both[a, b]), 'comparison') for a, b in pairs])}."
    )
    return Picture(
        "network", "Which treatments were compared", caption, alt,
        lambda canvas: _draw(canvas, found, names, sizes, both),
    )  # fmt: skip


def _draw(canvas: Canvas, found: Network, names: list[str], sizes: np.ndarray, both: np.ndarray) -> None:
    beside = _LARGEST / 2 + 8
    room = min(canvas.text_width(names) + beside, _MOST_ROOM[1] if canvas.narrow else _MOST_ROOM[0])
    height = _NARROW_HEIGHT if canvas.narrow else _HEIGHT
    (axis,) = canvas.panels(1, height, left=room, right=room, top=44, below=44)
    axis.set(xlim=(-1.12, 1.12), ylim=(-1.12, 1.12), xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
    x, y = np.cos(angle), np.sin(angle)
    for a, b in combinations(range(len(names)), 2):
        if both[a, b]:
            width = 1 + (_WIDEST - 1) * both[a, b] / both[~np.eye(len(both), dtype=bool)].max()
            axis.plot(x[[a, b]], y[[a, b]], color=canvas.colour["control"], linewidth=width, alpha=0.55, zorder=1)
    for a, b in combinations(range(len(names)), 2):
        if both[a, b]:  # off the middle, where lines cross
            canvas.note(
                axis,
                0.58 * x[a] + 0.42 * x[b],
                0.58 * y[a] + 0.42 * y[b],
                str(both[a, b]),
                role="ink",
                align="center",
                bold=True,
            )
    diameter = _SMALLEST + (_LARGEST - _SMALLEST) * np.sqrt(sizes / sizes.max())
    axis.scatter(x, y, s=diameter**2, color=canvas.colour["model"], linewidths=0, zorder=2, clip_on=False)
    for k, name in enumerate(canvas.shortened(names, room - beside)):
        side = "center" if abs(x[k]) < 0.3 else "left" if x[k] > 0 else "right"
        away = diameter[k] / 2 + 6
        shift = (0.0, np.sign(y[k]) * (away + 12)) if side == "center" else (np.sign(x[k]) * away, 0.0)
        canvas.note(
            axis, x[k], y[k], name, role="ink", align=side, shift=(float(shift[0]), float(shift[1]) + 6), size=TEXT
        )
        canvas.note(
            axis, x[k], y[k], whole(sizes[k]), align=side, shift=(float(shift[0]), float(shift[1]) - 7), size=SMALL
        )
