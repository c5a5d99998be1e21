"""Intercepts of groups against their slopes, one disc a group, with the ellipse in which the model has 95 % of groups."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import special

from glmm_zoo.errors import listing
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.group_effect_words import CorrelatedEffects, correlated_effects
from glmm_zoo.results.figures.picture import Canvas, Picture
from glmm_zoo.results.figures.raw_data import MOST_RAW, diameters
from glmm_zoo.results.numbers import NO_BREAK, written

_HEIGHT = 300.0  # px
_CELLS = 15  # in each direction, into which more groups than `MOST_RAW` are counted
_RADIUS = float(np.sqrt(special.chdtri(2, 0.05)))  # of the ellipse, in standard deviations
_ANGLES = np.linspace(0, 2 * np.pi, 73)


def slopes_scatter(tree: xr.DataTree, about: About, *, factor: str | None = None) -> Picture:
    """The first two effects of a grouping factor against each other, by default of the first factor with correlated effects.

    Raises
    ------
    InputError
        A fit without correlated group effects.
    """
    found = correlated_effects(tree, about, "slopes_scatter", factor)
    first, second = (word[:1].upper() + word[1:] for word in found.words[:2])
    name, names = about.name(found.factor), about.plural(about.name(found.factor))
    x, y, count = _discs(found)
    few = len(x) == len(found.effects)
    ellipses = [_ellipse(sd, rho, _radius(found)) for sd, rho in zip(found.sd, found.correlations, strict=True)]
    told = [
        f"{written(low_high[0], 2)} (95{NO_BREAK}% interval {written(low_high[1], 2)} to {written(low_high[2], 2)})"
        + (f" in {stratum}" if stratum else "")
        for stratum, rho in zip(found.strata, found.correlations, strict=True)
        for low_high in [np.quantile(rho[..., 0, 1], [0.5, 0.025, 0.975])]
    ]
    lines = (
        f"the lines are, for {listing(found.strata)}, the ellipses" if len(ellipses) > 1 else "the line is the ellipse"
    )
    where = ", at the means of the columns of slopes" if found.at_means else ""
    marks = (
        f"each disc is one {name} (mean of its draws)" if few else f"discs count {names} in {_CELLS} by {_CELLS} cells"
    )
    caption = (
        f"Effects of {names} on the scale of the link, as differences from the mean {name}{where}: {marks}; {lines} with "
        f"95{NO_BREAK}% of the population of {names}, at median standard deviations and correlation. Effects of {names} with few data are "
        f"drawn to the middle."
    )
    alt = f"{first} against {second[:1].lower()}{second[1:]} of {len(found.effects)} {names}: correlation {', '.join(told)}."

    def draw(canvas: Canvas) -> None:
        (axis,) = canvas.panels(1, _HEIGHT, left=76, right=16)
        reach = np.abs(ellipses).max(axis=(0, 2))
        for low_high, values, furthest in ((axis.set_xlim, x, reach[0]), (axis.set_ylim, y, reach[1])):
            most = 1.08 * max(np.abs(values).max(), furthest)
            low_high(-most, most)
        canvas.no_effect(axis, 0.0)
        canvas.no_effect(axis, 0.0, vertical=False)
        for stratum, ellipse in zip(found.strata, ellipses, strict=True):
            canvas.line(axis, *ellipse)
            if stratum:
                x_top, y_top = ellipse[:, ellipse[1].argmax()]
                canvas.note(axis, x_top, y_top, stratum, align="center", shift=(0, 4))
        canvas.discs(axis, x, y, role="model", diameter=diameters(count) if not few else 6, opacity=0.45)
        canvas.axis_title(axis, first)
        canvas.axis_title(axis, second, vertical=True)

    return Picture("slopes_scatter", f"Effects of {names}", caption, alt, draw)


def _discs(found: CorrelatedEffects) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both effects (n,) and how many groups each disc is for."""
    x, y = found.effects.T[:2]
    if len(x) <= MOST_RAW:
        return x, y, np.ones(len(x))
    counts, xs, ys = np.histogram2d(x, y, _CELLS)
    i, j = np.nonzero(counts)
    middle = [(edges[1:] + edges[:-1]) / 2 for edges in (xs, ys)]
    return middle[0][i], middle[1][j], counts[i, j]


def _radius(found: CorrelatedEffects) -> float:
    """The radius that 95 % of standard effects lie within: bivariate normal, or Student-t at the median degrees of freedom."""
    return _RADIUS if found.df is None else float(np.sqrt(2 * special.fdtri(2, np.median(found.df), 0.95)))


def _ellipse(sd: np.ndarray, correlations: np.ndarray, radius: float) -> np.ndarray:
    """The ellipse (2, n) at the medians of draws of sds (chain, draw, k) and correlations (chain, draw, k, k)."""
    sd, rho = np.median(sd, axis=(0, 1))[:2], float(np.median(correlations[..., 0, 1]))
    covariance = np.outer(sd, sd) * np.array([[1, rho], [rho, 1]])
    return radius * np.linalg.cholesky(covariance) @ np.array([np.cos(_ANGLES), np.sin(_ANGLES)])
