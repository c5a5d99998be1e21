"""The ranks of the truth of every quantity as a picture: how far the share of them below each rank is from a uniform one's.

The band holds the lines of all quantities with a probability of at least 95 % if all are calibrated (Säilynoja, Bürkner & Vehtari 2022):
its half width is K sqrt(z (1 - z) / n) for n simulations, K by simulation such that one line leaves it with a probability of 0.05 / P of P.
"""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import pandas as pd

from glmm_zoo.errors import listing, plural
from glmm_zoo.results.figures.picture import Canvas, Picture

_POINTS = np.linspace(0, 1, 101)
_SIMULATED = 10_000
_HEIGHT = 240.0
_NAMED = 4  # lines


def rank_picture(ranks: pd.DataFrame) -> Picture:
    """One line for each quantity of `ranks` (simulations, quantities), each between 0 and 1."""
    apart = {str(name): share_below(column.dropna().to_numpy()) - _POINTS for name, column in ranks.items()}
    band = _band(len(ranks), len(apart))
    beyond = sorted(
        (name for name in apart if outside(apart[name], band)), key=lambda n: -float(np.abs(apart[n]).max())
    )
    finding = (
        f"Ranks leave the band for {listing(beyond, _NAMED)}."
        if beyond
        else f"The ranks of all {plural(len(apart), 'quantity')} stay within the band."
    )
    caption = (
        f"Each line is one quantity: how many more of its truths lie below each rank among the draws than if ranks were uniform, in percentage "
        f"points, in {plural(len(ranks), 'data set')} drawn from the model. The grey band holds all lines with a probability of 95 % if the model, its simulation "
        "and its sampler are right; a line that leaves it is orange. A line that rises, then falls below the band is of draws that are too high; "
        "one that is above at the left and below at the right is of posteriors that are too narrow."
    )
    return Picture("calibration", "Ranks of the truth", caption, finding, partial(_draw, apart, band, beyond))


def share_below(ranks: np.ndarray) -> np.ndarray:
    """The share of the ranks (n,) up to each place from 0 to 1."""
    return np.searchsorted(np.sort(ranks), _POINTS, side="right") / len(ranks)


@lru_cache(maxsize=8)
def _band(n: int, quantities: int) -> np.ndarray:
    """Half the width of the band at each place, 0 at both ends."""
    bins = len(_POINTS) - 1
    inner = _POINTS[1:-1]
    spread = np.sqrt(inner * (1 - inner) / n)
    counts = np.random.default_rng(1).multinomial(n, np.full(bins, 1 / bins), size=_SIMULATED).cumsum(axis=1)[:, :-1]
    largest = (np.abs(counts / n - inner) / spread).max(axis=1)
    half = np.quantile(largest, 1 - 0.05 / quantities) * spread
    return np.concatenate([[0.0], half, [0.0]])


def outside(apart: np.ndarray, band: np.ndarray) -> bool:
    """Whether a line leaves the band; its ends are at 0."""
    return bool((np.abs(apart) > band + 1e-9)[1:-1].any())


def _draw(apart: dict[str, np.ndarray], band: np.ndarray, beyond: list[str], canvas: Canvas) -> None:
    (axis,) = canvas.panels(1, _HEIGHT, left=44, right=16, top=12)
    most = max(1.3 * band.max(), *(1.1 * np.abs(line).max() for line in apart.values()))
    axis.set_xlim(0, 1)
    axis.set_ylim(-most, most)
    canvas.band(axis, _POINTS, -band, band, role="control", opacity=0.25)
    for name, line in apart.items():
        canvas.line(axis, _POINTS, line, role="data" if name in beyond else "model", width=1.2)
    for name in beyond[:_NAMED]:
        i = int(np.abs(apart[name]).argmax())
        canvas.note(
            axis, _POINTS[i], apart[name][i], name, role="data", align="center", shift=(0, 8 * np.sign(apart[name][i]))
        )
    canvas.points_axis(axis, vertical=True)
    ticks = canvas.ticks(axis, [0, 0.5, 1], ["lowest", "rank of the truth", "highest"])
    ticks.align = ("left", "center", "right")
