"""What a fit says about people: estimates in a table, with their draws and a sentence that says what was estimated."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.results.parameter_statistics import statistics

RATIOS = ("ratio", "odds_ratio")  # measures whose value of no effect is 1
NUMBER_NEEDED = "nnt"
STATISTIC_COLUMNS = ("mean", "median", "sd", "lower", "upper", "p_positive", "mcse", "ess")
Region = float | tuple[float, float] | Mapping[str, float | tuple[float, float]]


@dataclass(frozen=True, repr=False)
class Estimates:
    """Estimates of one question to a fit.

    Attributes
    ----------
    table
        One row for each estimate: what it is of (`variable`, `contrast`, columns of the data, `outcome`, `category`, `time`),
        `measure`, `groups`, then mean, median, sd, lower, upper, `p_positive` (the probability that it is above 0; of a ratio
        above 1), `mcse` and `ess` of the mean, and `p_rope` where a region was given.
    draws
        `value` (chain, draw, estimate), with the columns that say what an estimate is as coordinates.
    sentence
        What was estimated and for whom, in words.
    """

    table: pd.DataFrame
    draws: xr.Dataset
    sentence: str

    def __repr__(self) -> str:
        return f"{self.sentence}\n\n{self.table.to_string(index=False, float_format='%.4g')}"


def summarised(
    of: pd.DataFrame, draws: np.ndarray, sentence: str, *, prob: float = 0.95, rope: Region | None = None
) -> Estimates:
    """Estimates of draws (chain, draw, estimate).

    Parameters
    ----------
    of
        What each estimate is of, one row each, with the columns `measure` and `groups`.
    prob
        Probability inside the equal-tailed interval.
    rope
        A region of practical equivalence: (low, high), or one by measure; r is (-r, r). A region that is not by measure is that of
        the measures whose value of no effect lies in it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a single draw there is no sd
        rows = statistics(draws, prob)
    null = np.where(of["measure"].isin(RATIOS), 1.0, 0.0)
    table = of.reset_index(drop=True).assign(
        **dict(zip(STATISTIC_COLUMNS[:5], rows[:, :5].T, strict=True)),
        p_positive=np.mean(draws > null, axis=(0, 1)),
        mcse=rows[:, 5],
        ess=rows[:, 7],
    )
    if rope is not None:
        table["p_rope"] = [
            _share_in_region(rope, m, z, draws[:, :, i])
            for i, (m, z) in enumerate(zip(of["measure"], null, strict=True))
        ]
    coords = {str(c): ("estimate", table[c].to_numpy()) for c in of.columns}
    dataset = xr.Dataset({"value": (("chain", "draw", "estimate"), draws)}, coords)
    return Estimates(table, dataset, sentence)


def _share_in_region(rope: Region, measure: str, null: float, draws: np.ndarray) -> float:
    """The share of draws in the region of a measure; NaN where none is given for it."""
    region = rope.get(measure) if isinstance(rope, Mapping) else rope
    if region is None:
        return np.nan
    ends = (-abs(region), abs(region)) if isinstance(region, int | float) else tuple(region)
    if len(ends) != 2 or not all(isinstance(end, int | float) for end in ends) or not ends[0] < ends[1]:
        raise InputError(f"rope is (low, high) with low < high, such as (-0.01, 0.01), not {region!r}")
    low, high = ends
    if not isinstance(rope, Mapping) and not low <= null <= high:
        return np.nan
    return float(np.mean((draws >= low) & (draws <= high)))
