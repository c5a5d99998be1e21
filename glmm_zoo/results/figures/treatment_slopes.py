"""The effects of a network's treatments against the reference over a covariate of the studies, or over their level under it."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from glmm_zoo.families.links import LINKS
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.estimated import quantiles_text
from glmm_zoo.results.figures.picture import BANDS, Canvas, Picture, capital
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.findings.network import treatment_names
from glmm_zoo.results.networks import network_of, treatment_effects
from glmm_zoo.results.storage import metadata
from glmm_zoo.trials.interactions import BASELINE
from glmm_zoo.trials.network import Network

_POINTS = 40  # of a curve
_MOST_PANELS = 8
_HEIGHT = 150.0  # px


def sloped_covariate(network: Network) -> str | None:
    """The first covariate that is a column of numbers, else the level under the reference; None where effects have no such slope."""
    slopes = network.interactions
    column = next((name for name in slopes.names if name in network.table.columns), None)
    return column if column is not None or slopes.level is None else BASELINE


def treatment_slopes(tree: xr.DataTree, about: About) -> Picture:
    """A panel for each treatment: its ratio against the reference along the covariate, and the studies' own."""
    network, spec = network_of(tree), metadata(tree)["spec"]
    covariate = sloped_covariate(network)
    assert covariate is not None  # else the fit has no such figure
    of_level = covariate == BASELINE and network.interactions.level is not None
    i, t = network.contrasts.T
    own, of_reference = network.rough_contrasts()[0], network.first[i] == 0
    if of_level:
        x = draws_of(tree["posterior"].dataset, "study_Intercept").mean(axis=(0, 1))
    else:
        X = network.interactions.covariates
        assert X is not None  # the covariate is one of its columns
        x = X.values[:, X.labels.index(covariate)]
    grid = np.linspace(x.min(), x.max(), _POINTS)
    effects = [np.exp(treatment_effects(tree, network, {covariate: value})) for value in grid]
    bands = np.stack([np.quantile(each, BANDS, axis=(0, 1)) for each in effects], axis=-1)  # (5, T, points)
    names, ratio = treatment_names(tree), str(LINKS[spec["link"]].ratio).replace("_", " ")
    amount = "odds" if network.exposure is None else "rate"
    what = f"log {amount} under {names[0]}" if of_level else about.name(covariate)
    treatments = range(1, min(len(names), _MOST_PANELS + 1))
    discs = {k: (x[i[at]], np.exp(own[at])) for k in treatments for at in [of_reference & (t == k)]}
    level = ", here the mean of its draws" if of_level else ""
    left_out = f" The first {_MOST_PANELS} of {len(names) - 1} treatments." if len(names) > _MOST_PANELS + 1 else ""
    ends = (
        f"{names[k]}: {quantiles_text(bands[:, k, 0], 'ratio')} to {quantiles_text(bands[:, k, -1], 'ratio')}"
        for k in treatments
    )
    return Picture(
        "treatment_slopes",
        f"{capital(ratio)}s against {names[0]} over {what}",
        f"Each treatment’s {ratio} against {names[0]} in the mean study at that {what}{level}: line and band are the median and the 95 % interval; "
        "discs are the studies’ own ratios, with 1/2 added to every count. A relation among studies, not among persons." + left_out,
        f"{capital(ratio)}s at the lowest and the highest {what}. {'; '.join(ends)}.",
        partial(
            _draw, grid=grid, bands=bands, discs=discs, names=names,
            words=what if of_level else about.axis(covariate),
        ),
    )  # fmt: skip


def _draw(
    canvas: Canvas, grid: np.ndarray, bands: np.ndarray, discs: dict[int, tuple[np.ndarray, np.ndarray]], names: list[str], words: str
) -> None:  # fmt: skip
    axes = canvas.panels(len(discs), _HEIGHT, left=50)
    drawn = np.concatenate([bands[[0, 4]][:, list(discs)].ravel(), *(y for _, y in discs.values())])
    margin = 0.04 * np.ptp(grid)
    for axis, (k, (x, y)) in zip(axes, discs.items(), strict=True):
        canvas.ratio_axis(axis, drawn.min() / 1.2, drawn.max() * 1.2, vertical=True)
        axis.set_xlim(grid[0] - margin, grid[-1] + margin)
        canvas.band(axis, grid, bands[0, k], bands[4, k])
        canvas.line(axis, grid, bands[2, k])
        canvas.no_effect(axis, 1, vertical=False)
        canvas.discs(axis, x, y, role="data", opacity=0.7)
        canvas.title(axis, f"{names[k]} against {names[0]}")
        canvas.axis_title(axis, words)
