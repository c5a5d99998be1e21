"""How parameters and estimates move if the priors are made half and twice as strong."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from glmm_zoo.errors import plural
from glmm_zoo.results.figures.picture import SMALL, Canvas, Picture
from glmm_zoo.results.numbers import alone

MOST_TARGETS = 12
_LONGEST = 18  # letters of a label in one line of a narrow picture
# What is drawn of each target: the columns of the table, the colour, and the marker.
VERSIONS = {
    "half as strong": ("half_", "data", "D"),
    "as it is": ("", "model", "o"),
    "twice as strong": ("twice_", "control", "s"),
}


def sensitivity_picture(table: pd.DataFrame, *, all_priors: str) -> Picture:
    """Intervals of each target under all priors half as strong, as they are, and twice as strong.

    Parameters
    ----------
    table
        That of a `Sensitivity`.
    all_priors
        What it calls all priors together.
    """
    rows = table[table["prior"] == all_priors]
    shown = rows.nlargest(MOST_TARGETS, "to_prior").sort_index() if len(rows) > MOST_TARGETS else rows
    moved = np.abs(np.stack([shown[f"{v}_median"] - shown["median"] for v in ("half", "twice")])).max(0) / shown["sd"]
    most = int(np.argmax(moved.to_numpy()))
    which = f" The {MOST_TARGETS} most sensitive of {plural(len(rows), 'target')}." if len(shown) < len(rows) else ""
    caption = (
        "Circle: median with the priors as they are, with its 95 % interval; diamond and square: if all priors are half and twice as "
        "strong. The unit is the standard deviation of each posterior, so that what has different units stands on one axis. It cannot "
        f"be read from it what other kinds of prior would give.{which}"
    )
    alt = (
        f"If all priors were half or twice as strong, {shown['target'].iloc[most]} would move most, by {alone(float(moved.iloc[most]))} "
        "posterior standard deviations."
    )
    return Picture("sensitivity", "Sensitivity to the priors", caption, alt, partial(_draw, shown))


def _draw(rows: pd.DataFrame, canvas: Canvas) -> None:
    labels = list(rows["target"])
    if canvas.narrow:
        labels = [_in_two_lines(label) for label in labels]
    at = np.arange(len(rows), dtype=float)
    left = min(canvas.text_width(labels) + 14, 0.55 * canvas.width)
    axis = canvas.panels(1, 34 * len(rows) + 20, left=left, top=44)[0]
    of_version = {name: _standardised(rows, lead) for name, (lead, _, _) in VERSIONS.items()}
    every = np.concatenate([q.ravel() for q in of_version.values()])
    axis.set_xlim(every.min() - 0.2, every.max() + 0.2)
    canvas.row_labels(axis, at, labels)
    canvas.no_effect(axis, 0.0)
    for shift, (name, (_, role, marker)) in zip((-0.25, 0.0, 0.25), VERSIONS.items(), strict=True):
        canvas.intervals(axis, at + shift, of_version[name], role=role, scale=0.5, marker=marker)
    for place, (name, (_, role, _)) in enumerate(VERSIONS.items()):
        axis.annotate(
            name, ((place + 0.5) / len(VERSIONS), 1), (0, -14), xycoords="figure fraction", textcoords="offset points",
            ha="center", fontsize=SMALL, color=canvas.colour[role], annotation_clip=False,
        )  # fmt: skip
    unit = "posterior sds" if canvas.narrow else "posterior standard deviations"
    canvas.axis_title(axis, f"{unit} from the median")


def _in_two_lines(label: str) -> str:
    """A long label broken before its bracket, or after its first comma."""
    if len(label) <= _LONGEST:
        return label
    return label.replace("[", "\n[", 1) if "[" in label.split(", ")[0] else label.replace(", ", ",\n", 1)


def _standardised(rows: pd.DataFrame, lead: str) -> np.ndarray:
    """Ends and median (5, targets) in posterior standard deviations from the present median; the 50 % band is not shown."""
    lower, median, upper = (
        ((rows[f"{lead}{q}"] - rows["median"]) / rows["sd"]).to_numpy() for q in ("lower", "median", "upper")
    )
    return np.stack([lower, median, median, median, upper])
