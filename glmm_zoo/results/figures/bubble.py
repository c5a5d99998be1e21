"""The ratios of the trials of a meta-analysis against their covariate."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.estimated import quantiles_text
from glmm_zoo.results.figures.picture import BANDS, Canvas, Picture, capital
from glmm_zoo.results.figures.study_effects import (
    Covariate,
    StudyEffects,
    covariate_text,
    of_what,
    study_effects,
)
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.storage import metadata

POINTS = 50  # of the curves
NAMED = 4  # trials beyond the band of a new one, with their names
SMALLEST, LARGEST = 4.0, 20.0  # px, diameters of discs


def bubble(tree: xr.DataTree, about: About) -> Picture:
    """The trials' own ratios against the first covariate that is a number, with the band of the mean trial and that of a new one.

    Raises
    ------
    InputError
        A meta-analysis without a covariate that is a column of numbers.
    """
    study = study_effects(tree, about)
    covariate = study.covariate
    if covariate is None or not np.isfinite(covariate.mean):
        raise InputError(
            "bubble: it is drawn over a covariate that is a number and stands alone in the formula, and this fit has none; the trials are in "
            "the figure forest"
        )
    x = covariate.values.to_numpy(float)
    grid = np.linspace(x.min(), x.max(), POINTS)
    mean, new = _bands(tree, covariate, grid)
    word, name = about.name(study.rows.columns[0]), about.name(covariate.column)
    treated, control, _ = of_what(tree, about)
    ends = (
        f"{quantiles_text(mean[:, i], 'ratio')} at {name} {covariate_text(about, covariate.column, grid[i])}"
        for i in (0, -1)
    )
    return Picture(
        "bubble",
        f"{capital(study.ratio)} against {name}",
        f"{capital(about.plural(word))} by {name}: discs are their own {study.ratio}s, disc area by information. Line and dark band: the mean of "
        f"{about.plural(word)} at that {name}, with 95 % interval; light band: where a new {word} lies with 95 % probability. A relation among "
        f"{about.plural(word)}, not among persons." + _without_own(study, word),
        f"The {study.ratio} of the mean {word} goes from {' to '.join(ends)}.",
        partial(
            _draw, study=study, x=x, grid=grid, mean=mean, new=new, words=f"{study.ratio}, {treated} against {control}",
            axis_words=about.axis(covariate.column),
        ),
    )  # fmt: skip


def _without_own(study: StudyEffects, word: str) -> str:
    lacking = int(np.isnan(study.own[1]).sum())
    return (
        f" Without disc: {lacking} with an empty or full arm, which have no {study.ratio} of their own."
        if lacking
        else ""
    )


def _bands(tree: xr.DataTree, covariate: Covariate, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles at `BANDS` (5, points) of the ratio of the mean trial along the covariate, others at their means, and of a new one."""
    posterior, seed = tree["posterior"].dataset, metadata(tree)["sampling"]["seed"]
    slope = draws_of(posterior, "beta", coef=covariate.column).ravel()
    effect = draws_of(posterior, "effect").ravel()[:, None] + slope[:, None] * (grid - covariate.mean)
    z = np.random.default_rng([seed, 1]).standard_normal(len(effect))
    new = effect + (draws_of(posterior, "tau").ravel() * z)[:, None]
    return np.exp(np.quantile(effect, BANDS, axis=0)), np.exp(np.quantile(new, BANDS, axis=0))


def _draw(
    canvas: Canvas, study: StudyEffects, x: np.ndarray, grid: np.ndarray, mean: np.ndarray, new: np.ndarray, words: str, axis_words: str
) -> None:  # fmt: skip
    (axis,) = canvas.panels(1, 260 if canvas.narrow else 300, left=50)
    own, told = study.own[1], np.isfinite(study.own[1])
    low, high = min(new[0].min(), own[told].min(initial=np.inf)), max(new[4].max(), own[told].max(initial=-np.inf))
    canvas.ratio_axis(axis, low / 1.3, high * 1.3, vertical=True)
    margin = 0.04 * np.ptp(grid)
    axis.set_xlim(grid[0] - margin, grid[-1] + margin)
    canvas.band(axis, grid, new[0], new[4], opacity=0.1)
    canvas.band(axis, grid, mean[0], mean[4], opacity=0.22)
    canvas.line(axis, grid, mean[2])
    canvas.no_effect(axis, 1, vertical=False)
    share = np.sqrt(study.information / max(study.information.max(), 1e-300))
    size = SMALLEST + (LARGEST - SMALLEST) * share
    canvas.discs(axis, x[told], own[told], role="data", diameter=size[told], opacity=0.6)
    beyond = np.array([np.interp(x, grid, new[k]) for k in (0, 4)])
    distance = np.maximum(np.log(beyond[0] / own), np.log(own / beyond[1]))
    for i in np.argsort(-np.nan_to_num(distance, nan=-np.inf), kind="stable")[:NAMED]:
        if distance[i] > 0:
            right = x[i] < grid.mean()
            (name,) = canvas.shortened([study.labels[i]], axis.get_position().width * canvas.width / 2 - 20)
            shift = size[i] / 2 + 5
            canvas.note(
                axis,
                float(x[i]),
                float(own[i]),
                name,
                align="left" if right else "right",
                shift=(shift if right else -shift, 0),
            )
    canvas.axis_title(axis, axis_words)
    canvas.title(axis, capital(words))
