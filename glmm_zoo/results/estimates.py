"""What a fit says about people: estimates in a table, with their draws and a sentence that says what was estimated."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, listing, shown
from glmm_zoo.results.numbers import Scale
from glmm_zoo.results.parameter_statistics import statistics
from glmm_zoo.results.report.estimates_text import estimates_as_text
from glmm_zoo.results.table_forms import html_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATIOS = ("ratio", "odds_ratio", "hazard_ratio", "time_ratio")  # measures whose value of no effect is 1
NUMBER_NEEDED = "nnt"
STATISTIC_COLUMNS = ("mean", "median", "sd", "lower", "upper", "p_positive", "mcse", "ess")
TAKEN_NAMES = (
    *STATISTIC_COLUMNS,
    "p_rope",
    "value",
    "chain",
    "draw",
    "estimate",
    "scale",
)  # of the table and the draws
NO_EFFECT = {**dict.fromkeys(RATIOS, 1.0), "better": 0.5, NUMBER_NEEDED: np.inf}  # of a measure, where it is not 0
_SCALES: dict[str, Scale] = {
    **dict.fromkeys(RATIOS, "ratio"),
    "better": "probability",
    NUMBER_NEEDED: "nnt",
    "rmst": "number",
}
MOST_SHOWN = 25  # rows; the table has all
Region = float | tuple[float, float] | Mapping[str, float | tuple[float, float]]


@dataclass(frozen=True, repr=False, eq=False)
class Estimates:
    """Estimates of one question to a fit.

    Attributes
    ----------
    table
        One row for each estimate: what it is of (`variable`, `contrast`, columns of the data, `outcome`, `category`, `time`),
        `measure`, `groups`, then mean, median, sd, lower, upper, `p_positive` (the probability that it is above 0; of a ratio
        above 1), `mcse` and `ess` of the mean, and `p_rope` where a region was given.
    draws
        `value` (chain, draw, estimate), with the columns that say what an estimate is as coordinates, and `scale`, how it is written
        (`results/numbers.py`); the attribute `prob` is the probability inside the intervals.
    sentence
        What was estimated and for whom, in words.
    """

    table: pd.DataFrame
    draws: xr.Dataset
    sentence: str

    @classmethod
    def of_table(
        cls,
        table: pd.DataFrame,
        of: Sequence[str],
        draws: np.ndarray,
        sentence: str,
        *,
        scales: Sequence[Scale] | None = None,
        prob: float | None = None,
    ) -> Estimates:
        """Estimates with draws (chain, draw, estimate), of which the columns `of` of the table say what each is."""
        if scales is None:
            scales = [_scale(measure, share=False) for measure in table["measure"]]
        coords = {column: ("estimate", table[column].to_numpy()) for column in of}
        coords["scale"] = ("estimate", np.array(scales, object))
        attrs = {} if prob is None else {"prob": prob}
        return cls(table, xr.Dataset({"value": (("chain", "draw", "estimate"), draws)}, coords, attrs), sentence)

    @property
    def of(self) -> list[str]:
        """The columns of the table that say what an estimate is."""
        return [str(column) for column in self.table if column in self.draws.coords]

    @property
    def scales(self) -> list[Scale]:
        """How each estimate is written: "risk" in per cent, "points" in percentage points, "ratio", ..., "number"."""
        return self.draws["scale"].values.tolist()

    @property
    def prob(self) -> float | None:
        """The probability inside the intervals; None where a file of an older version does not say it."""
        return self.draws.attrs.get("prob")

    @property
    def of_effects(self) -> bool:
        """Whether these are effects, which may be none, and not predictions."""
        return bool({"variable", "contrast", "hypothesis"} & set(self.of))

    @property
    def nulls(self) -> list[float]:
        """The value of no effect of each estimate."""
        return [NO_EFFECT.get(measure, 0.0) for measure in self.table["measure"]]

    def __repr__(self) -> str:
        shown = estimates_as_text(self, MOST_SHOWN)
        lines = pd.DataFrame([row.texts for row in shown.rows], columns=pd.Index(shown.headings)).to_string(index=False)
        return "\n\n".join([self.sentence, lines, *self._not_shown()])

    def _repr_html_(self) -> str:
        return html_table(estimates_as_text(self, MOST_SHOWN)) + "".join(self._not_shown())

    def _not_shown(self) -> list[str]:
        n = len(self.table)
        return [f"... {n} rows in all; .table has them"] if n > MOST_SHOWN else []

    def plot(self, data: pd.DataFrame | None = None) -> Figure:
        """The estimates as a picture with the sentence as its title.

        Comparisons are intervals of 50 and 95 % beside the line of no effect, predictions over a numeric column or over time curves with
        bands of 50 and 95 %, probabilities of ordered categories stacked bars, and all else intervals.

        Parameters
        ----------
        data
            Drawn behind curves: a table with the numeric column and the response.

        Raises
        ------
        InputError
            More estimates than can be read in a picture; data without a response, or where no curves are drawn.
        """
        from glmm_zoo.results.estimates_figures import estimates_figure

        return estimates_figure(self, data, NO_EFFECT)


def summarised(
    of: pd.DataFrame,
    draws: np.ndarray,
    sentence: str,
    *,
    prob: float = 0.95,
    rope: Region | None = None,
    shares: Sequence[bool] | None = None,
    imputations: int = 1,
) -> Estimates:
    """Estimates of draws (chain, draw, estimate).

    Parameters
    ----------
    of
        What each estimate is of, one row each, with the column `measure`; a name that table or draws have themselves gets an
        underscore.
    prob
        Probability inside the equal-tailed interval.
    rope
        A region of practical equivalence: (low, high), or one by measure; r is (-r, r). A region that is not by measure is that of
        the measures whose value of no effect lies in it.
    shares
        Which estimates are of probabilities, so that these are written in per cent and differences of them in percentage points; by
        default none is.
    imputations
        Of how many imputed tables the chains are, which stand one after the other.
    """
    of = of.rename(columns={name: f"{name}_" for name in TAKEN_NAMES})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of infinite draws, 1 over a difference of 0, there is no sd
        rows = statistics(draws, prob, imputations)
    null = of["measure"].map(lambda measure: NO_EFFECT.get(measure, 0.0)).to_numpy(float)
    table = of.reset_index(drop=True).assign(
        **dict(zip(STATISTIC_COLUMNS[:5], rows[:, :5].T, strict=True)),
        p_positive=np.mean(draws > null, axis=(0, 1)),
        mcse=rows[:, 5],
        ess=rows[:, 7],
    )
    if rope is not None:
        unknown = [name for name in rope if name not in set(of["measure"])] if isinstance(rope, Mapping) else []
        if unknown:
            raise InputError(
                f"rope names {shown(unknown[0])}, which is not estimated; measures: {listing(dict.fromkeys(of['measure']))}"
            )
        table["p_rope"] = [
            _share_in_region(rope, m, z, draws[:, :, i])
            for i, (m, z) in enumerate(zip(of["measure"], null, strict=True))
        ]
    scales: list[Scale] = [
        _scale(m, share) for m, share in zip(of["measure"], shares or [False] * len(of), strict=True)
    ]
    return Estimates.of_table(table, list(of.columns), draws, sentence, scales=scales, prob=prob)


def _scale(measure: str, share: bool) -> Scale:
    """How an estimate is written."""
    if measure in _SCALES or not share:
        return _SCALES.get(measure, "number")
    return "points" if measure in ("difference", "slope") else "risk"


def _share_in_region(rope: Region, measure: str, null: float, draws: np.ndarray) -> float:
    """The share of draws in the region of a measure; NaN where none is given for it."""
    region = rope.get(measure) if isinstance(rope, Mapping) else rope
    if region is None:
        return np.nan
    try:
        low, high = map(float, region if isinstance(region, Sequence) else (-abs(region), abs(region)))
    except (TypeError, ValueError, OverflowError):
        low = high = np.nan
    if not low < high:
        raise InputError(f"rope is (low, high) with low < high, such as (-0.01, 0.01), not {shown(region)}")
    if not isinstance(rope, Mapping) and not low <= null <= high:
        return np.nan
    return float(np.mean((draws >= low) & (draws <= high)))
