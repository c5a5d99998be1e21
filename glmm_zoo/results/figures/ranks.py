"""Do the chains agree? The ranks of each chain's draws among all draws, and the draws themselves in order.

With agreeing chains the ranks of a chain are uniform; what is drawn is how far the share of them below each rank is from that
(Säilynoja, Bürkner & Vehtari 2022). The band holds all chains of all P parameters of the fit with probability 95 %: its half width is
K sqrt(z (1 - z) (1 - 1/C) / n), n the effective draws of a chain and C the number of chains. K is by simulation for one parameter,
and grows as the largest of P normal variables does, K^2 + 2 log P.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import xarray as xr

from glmm_zoo.errors import listing, number_word
from glmm_zoo.results.about import About
from glmm_zoo.results.convergence import ess_bulk, ess_bulk_and_rhat, split_chains
from glmm_zoo.results.figures.picture import Canvas, Picture
from glmm_zoo.results.numbers import NO_BREAK, written
from glmm_zoo.results.parameter_statistics import at_one_value, element_labels, elements
from glmm_zoo.results.storage import metadata, random_effect_variables, reported_variables
from glmm_zoo.results.summary import repeated_correlations

_MOST = 6  # parameters
_POINTS = 40  # at which the share of ranks is drawn
_SIMULATED = 4000
_PROB = 0.95
_DRAWN = 60  # of each chain, where draws are drawn in order
_HEIGHT, _NARROW_HEIGHT = 120, 90


@dataclass(frozen=True)
class ChainDraws:
    """A parameter: its draws (chains, draws), those of the two halves where there is one chain, its R-hat, and effective draws of a
    chain."""

    name: str
    draws: np.ndarray
    r_hat: float
    effective: float


def worst_parameters(tree: xr.DataTree) -> tuple[list[ChainDraws], int]:
    """The parameters of the population with the largest R-hat, the worst first, and how many there are in all."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    hidden, repeated = random_effect_variables(spec), set(repeated_correlations(posterior))
    names, values = [], []
    for name in reported_variables(posterior, spec):
        if name not in hidden:
            labels, draws = element_labels(posterior[name]), elements(posterior[name])
            kept = [
                i for i, label in enumerate(labels) if label not in repeated and not at_one_value(draws[..., i], (0, 1))
            ]
            names += [labels[i] for i in kept]
            values.append(draws[..., kept])
    draws = np.concatenate(values, axis=2)
    draws = split_chains(draws) if len(draws) == 1 else draws
    with np.errstate(divide="ignore", invalid="ignore"):  # chains at one value
        r_hat = ess_bulk_and_rhat(draws)[1]
        order = np.argsort(-np.nan_to_num(r_hat, nan=np.inf), kind="stable")[:_MOST]
        effective = np.mean([ess_bulk(chain[None]) for chain in draws[..., order]], axis=0)
    most = draws.shape[1]  # more effective draws than draws are no gain for ranks
    shown = [
        ChainDraws(names[i], draws[..., i], float(r_hat[i]), float(np.nanmin([n, most])))
        for i, n in zip(order, effective, strict=True)
    ]
    return shown, len(names)


def rank_departures(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places z (points,) between 0 and 1, and how much larger than z the share of each chain's ranks up to z is (chains, points)."""
    chains, n = draws.shape
    order = np.argsort(draws, axis=None, kind="stable")
    of_chain = np.eye(chains)[order // n]  # which chain each of the ordered draws is from
    places = np.unique(np.linspace(0, chains * n, _POINTS + 1).round().astype(int))
    share = np.vstack([np.zeros(chains), np.cumsum(of_chain, axis=0)])[places].T / n
    z = places / (chains * n)
    return z, share - z


def rank_band(z: np.ndarray, chains: int, effective: float, parameters: int) -> np.ndarray:
    """Half the width of the band at each place z (points,)."""
    return np.hypot(_bound(chains), np.sqrt(2 * np.log(parameters))) * np.sqrt(
        z * (1 - z) * (1 - 1 / chains) / effective
    )


@lru_cache(maxsize=8)
def _bound(chains: int) -> float:
    """What the largest standardised departure of agreeing chains exceeds with a probability of 5 %."""
    rng = np.random.default_rng(1)
    z = np.arange(1, _POINTS) / _POINTS
    walk = np.cumsum(rng.standard_normal((_SIMULATED, chains, _POINTS)), axis=2) / np.sqrt(_POINTS)
    bridge = walk[..., :-1] - z * walk[..., -1:]
    apart = (bridge - bridge.mean(axis=1, keepdims=True)) / np.sqrt(z * (1 - z) * (1 - 1 / chains))
    return float(np.quantile(np.abs(apart).max(axis=(1, 2)), _PROB))


def ranks(tree: xr.DataTree, about: About) -> Picture:
    """Departure of each chain's ranks from uniform ones, of the at most six parameters with the largest R-hat."""
    shown, total = worst_parameters(tree)
    departures = [rank_departures(one.draws) for one in shown]
    bands = [rank_band(z, len(one.draws), one.effective, total) for one, (z, _) in zip(shown, departures, strict=True)]
    outside = [
        np.flatnonzero((np.abs(apart) > band + 1e-9).any(axis=1))
        for (_, apart), band in zip(departures, bands, strict=True)
    ]
    halves = tree["posterior"].sizes["chain"] == 1
    what = "half of the chain" if halves else "chain"
    left = [
        f"{one.name} ({what} {listing(k + 1 for k in found)})"
        for one, found in zip(shown, outside, strict=True)
        if len(found)
    ]
    worst = f"the largest R-hat is {written(shown[0].r_hat, 3)}, of {shown[0].name}"
    finding = (
        f"Ranks leave the band in which chains agree for {listing(left)}; {worst}."
        if left
        else f"{_all(len(shown[0].draws), halves)} stay within the band in which chains agree, in all {len(shown)} parameters drawn; {worst}."
    )
    caption = (
        f"Each line is one {what}: how many more of its draws lie below each rank than if ranks were spread evenly, in percentage points. "
        f"In the grey band, which holds the lines of all parameters with a probability of 95 %, chains agree; a line that leaves it is orange. "
        + (
            f"The {len(shown)} of {total} parameters with the largest R-hat, the worst first."
            if len(shown) < total
            else ""
        )
    )
    title = "Ranks of the draws by chain"
    return Picture("ranks", title, caption.strip(), finding, partial(_draw_ranks, shown, departures, bands, outside))


def _all(chains: int, halves: bool) -> str:
    return "Both halves of the chain" if halves else f"All {number_word(chains)} chains"


def _draw_ranks(
    shown: list[ChainDraws],
    departures: list[tuple[np.ndarray, np.ndarray]],
    bands: list[np.ndarray],
    outside: list[np.ndarray],
    canvas: Canvas,
) -> None:
    axes = _small_panels(canvas, [one.name for one in shown])
    for axis, (z, apart), band, found in zip(axes, departures, bands, outside, strict=True):
        most = max(1.3 * band.max(), 1.1 * np.abs(apart).max())
        axis.set_xlim(0, 1)
        axis.set_ylim(-most, most)
        canvas.band(axis, z, -band, band, role="control", opacity=0.25)
        for k, line in enumerate(apart):
            canvas.line(axis, z, line, role="data" if k in found else "model", width=1.3)
            if k in found:
                i = int(np.abs(line).argmax())
                canvas.note(
                    axis, z[i], line[i], str(k + 1), role="data", align="center", shift=(0, 7 * np.sign(line[i]))
                )
        canvas.points_axis(axis, vertical=True)
        ticks = canvas.ticks(axis, [0, 0.5, 1], ["lowest", "" if canvas.narrow else "rank", "highest"])
        ticks.align = ("left", "center", "right")


def _small_panels(canvas: Canvas, names: list[str]) -> list:
    """A small panel for each name, three in a row, two on a telephone."""
    across = min(2 if canvas.narrow else 3, len(names))
    height = _NARROW_HEIGHT if canvas.narrow else _HEIGHT
    axes = canvas.panels(len(names), height, left=40, right=16, across=across, below=28)
    for axis, name in zip(axes, names, strict=True):
        canvas.title(axis, name.replace(" ", NO_BREAK))
    return axes


def trace(tree: xr.DataTree, about: About) -> Picture:
    """The draws of each chain in order, every k-th of them, of the parameters that `ranks` has."""
    shown, _ = worst_parameters(tree)
    n = shown[0].draws.shape[1]
    step = -(-n // _DRAWN)
    spread = [np.ptp(one.draws.mean(axis=1)) / one.draws.std() for one in shown]
    worst = int(np.argmax(spread))
    finding = f"The means of the chains differ by at most {written(spread[worst], 2)} of a standard deviation of the draws, in {shown[worst].name}."
    caption = (
        f"The draws of each chain in order, one line for each chain{f', every {step}th draw' if step > 1 else ''}. Chains that agree lie over "
        "one another and wander without a trend."
    )
    return Picture("trace", "Draws by chain", caption, finding, partial(_draw_trace, shown, step))


def _draw_trace(shown: list[ChainDraws], step: int, canvas: Canvas) -> None:
    from matplotlib.ticker import MaxNLocator

    roles = ("model", "data", "control", "ink")
    for axis, one in zip(_small_panels(canvas, [one.name for one in shown]), shown, strict=True):
        places = np.arange(0, one.draws.shape[1], step)
        axis.set_xlim(1, one.draws.shape[1])
        margin = 0.05 * float(np.ptp(one.draws))
        axis.set_ylim(one.draws.min() - margin, one.draws.max() + margin)
        axis.xaxis.set_major_locator(MaxNLocator(2, integer=True))
        for k, draws in enumerate(one.draws[:8]):
            canvas.line(axis, places + 1, draws[places], role=roles[k % len(roles)], width=0.7)
