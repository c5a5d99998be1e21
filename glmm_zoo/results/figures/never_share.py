"""Subjects who are never at risk: their share by level, and how sure it is of each subject with zeros only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import expit

from glmm_zoo.errors import InputError
from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import summarised
from glmm_zoo.results.figures.effects import MARKS, Forest, RowLayout, draw_rows
from glmm_zoo.results.figures.estimated import Estimated, estimated
from glmm_zoo.results.figures.picture import Canvas, Picture, capital
from glmm_zoo.results.figures.raw_data import diameters, jitter
from glmm_zoo.results.figures.value_words import told, value_words
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.findings.susceptibility import find
from glmm_zoo.results.numbers import NO_BREAK
from glmm_zoo.results.storage import metadata

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 180.0  # px
_BINS = np.linspace(0, 1, 11)
_SURE = (0.1, 0.9)  # probabilities below and above which a subject is told from the others


def never_share(tree: xr.DataTree, about: About) -> Picture:
    """The probability of never being at risk by level of a factor of its predictor, at the means of the other covariates, and the
    probability of each subject with zeros only, as a histogram, or against the number of visits where that differs.

    Raises
    ------
    InputError
        A fit of another model.
    """
    if "never_share" not in tree["posterior"]:
        raise InputError(
            f"never_at_risk is of fits of never_at_risk, and this one is of {metadata(tree)['spec']['builder']}"
        )
    of, labels, axis = _shares(tree, about)
    subjects = find(tree, 0.95).tables.get("subjects", pd.DataFrame({"rows": [], "probability": []}))
    every, name = (
        metadata(tree)["spec"]["facts"]["others"]["subjects"] + len(subjects),
        metadata(tree)["spec"]["facts"]["subject"],
    )
    names = about.plural(about.name(name))
    panel = Forest(of, labels, labels, np.nan, "Never at risk", axis)
    probability, rows = subjects["probability"].to_numpy(float), subjects["rows"].to_numpy(float)
    by_visits = len(np.unique(rows)) > 1
    second = (
        f"each of the {len(subjects)} {names} with zeros only by number of visits and probability of never being at risk"
        if by_visits
        else f"the {len(subjects)} {names} with zeros only by their probability of never being at risk"
        + (f"; all have {rows[0]:.0f} visits" if len(rows) else "")
    )
    unsure = int(((probability > _SURE[0]) & (probability < _SURE[1])).sum())
    caption = (
        f"First panel: probability that one of the {names} is never at risk{', ' if axis else ''}{axis}, {MARKS}. Second panel: {second}. "
        f"Zeros alone do not tell never at risk from a low rate: probabilities far from 0 and 1 are of {names} about whom the data do not decide."
    )
    alt = (
        f"Probability of never being at risk, with 95{NO_BREAK}% interval: {told(labels, of.told)}; of {every} {names} {len(subjects)} have "
        f"zeros only, and for {unsure} of these the probability is between {_SURE[0]:g} and {_SURE[1]:g}."
    )

    def draw(canvas: Canvas) -> None:
        layout = RowLayout.of(canvas, panel, 110)
        axes = canvas.panels(
            2,
            [max(layout.height, 0 if canvas.narrow else _HEIGHT), _HEIGHT],
            left=[layout.left, 56],
            right=[layout.right, 28],
        )
        axes[0].set_xlim(0, 1)
        canvas.percent_axis(axes[0])
        draw_rows(canvas, axes[0], panel, layout)
        canvas.title(axes[1], f"{capital(names)} with zeros only")
        (_against_visits if by_visits else _histogram)(canvas, axes[1], probability, rows)
        if not by_visits:
            canvas.axis_title(axes[1], names, vertical=True)

    return Picture("never_at_risk", "Never at risk", caption, alt, draw)


def _shares(tree: xr.DataTree, about: About) -> tuple[Estimated, list[str], str]:
    """The probability at each level of the first factor of its predictor, at the means of other columns; the overall share where there is
    no factor. With labels, and where the others are held."""
    posterior, learnt = tree["posterior"].dataset, metadata(tree)["spec"]["learnt"].get("never", {"levels": {}})
    factor = next(iter(learnt["levels"]), None)
    coefficients = [str(c) for c in posterior["never_coef"].values] if "never_beta" in posterior else []
    names = [f"{factor}[{level}]" for level in learnt["levels"].get(factor, [])]
    own = [i for i, c in enumerate(coefficients) if c in names]
    if factor is None or len(own) != len(names) - 1 or any(":" in c for c in coefficients):
        values, labels, where = [draws_of(posterior, "never_share")], ["all"], "averaged over them"
    else:
        beta, means = draws_of(posterior, "never_beta"), np.asarray(learnt["means"])
        level = draws_of(posterior, "never_Intercept_at_means") - beta[..., own] @ means[own]
        at = {coefficients[i]: beta[..., i] for i in own}
        values = [expit(level + at.get(name, 0.0)) for name in names]
        labels = [value_words(about, factor, each) for each in learnt["levels"][factor]]
        where = "at the means of other covariates" if len(coefficients) > len(own) else ""
    table = pd.DataFrame({"level": labels, "measure": "probability"})
    return estimated(summarised(table, np.stack(values, axis=2), "", shares=[True] * len(values))), labels, where


def _histogram(canvas: Canvas, axis: Axes, probability: np.ndarray, rows: np.ndarray) -> None:
    """Numbers of subjects in ten bins of probability."""
    counts = np.histogram(probability, _BINS)[0]
    axis.set(xlim=(0, 1), ylim=(0, 1.08 * max(counts.max(), 1)))
    for low, count in zip(_BINS[:-1], counts, strict=True):
        if count:
            axis.fill(
                low + np.array([0.004, 0.096, 0.096, 0.004]), [0, 0, count, count], linewidth=0,
                facecolor=(canvas.colour["model"], 0.6),
            )  # fmt: skip
    canvas.percent_axis(axis)
    canvas.axis_title(axis, "probability of never being at risk")


def _against_visits(canvas: Canvas, axis: Axes, probability: np.ndarray, rows: np.ndarray) -> None:
    """One disc a subject: its number of visits and its probability."""
    kept = (
        np.arange(len(rows))
        if len(rows) <= 300
        else np.sort(np.random.default_rng(1).choice(len(rows), 300, replace=False))
    )
    axis.set(xlim=(rows.min() - 0.6, rows.max() + 0.6), ylim=(-0.04, 1.04))
    canvas.discs(
        axis,
        rows[kept] + 0.5 * jitter(len(kept)),
        probability[kept],
        role="model",
        diameter=diameters(np.ones(len(kept))),
    )
    canvas.percent_axis(axis, vertical=True)
    canvas.axis_title(axis, "visits, all without an event")
