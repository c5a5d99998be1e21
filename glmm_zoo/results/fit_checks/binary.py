"""Checks of binary rows: rows that are alike as binomial counts, and predicted against observed shares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from glmm_zoo.results.findings import dispersion
from glmm_zoo.results.fit_checks.fit_check import OUT_OF_LINE, FitCheck, p_words
from glmm_zoo.results.fit_checks.spread import judged_spread
from glmm_zoo.results.numbers import percent
from glmm_zoo.results.predicted_rows import PredictedRows, rows_alike
from glmm_zoo.results.storage import metadata

BINS, ROWS_IN_BIN = 10, 25
CALIBRATION_DRAWS = 100


@dataclass(frozen=True)
class CalibrationBins:
    """Rows in bins from the least to the most likely: in each (bins,) the share `expected`, the share `observed`, and the sd of the
    latter if the model holds, means over the draws; `p` is the probability of being as far off over all bins."""

    expected: np.ndarray
    observed: np.ndarray
    sd: np.ndarray
    p: float


def calibration(rows: PredictedRows) -> CalibrationBins | None:
    """Predicted against observed shares of binary rows; None where there are too few rows, or nothing that tells them apart.

    Under each draw rows are sorted into bins by their probabilities there, and their sums compared with those (a realized discrepancy;
    Gelman, Meng & Stern 1996). Probabilities that have followed a row's own outcome, as means over the draws have, look too mild.
    """
    bins = min(BINS, len(rows.y) // ROWS_IN_BIN)
    few = rows.at_most(CALIBRATION_DRAWS)
    if bins < 3 or few.log_p is None:
        return None
    starts = np.linspace(0, len(few.y), bins + 1).astype(int)[:-1]
    sizes = np.diff(np.append(starts, len(few.y)))

    def sums(log_p: np.ndarray) -> list[np.ndarray]:
        likely = np.exp(log_p)
        predicted = np.clip(np.where(few.y == 1, likely, 1 - likely), 0, 1)
        order = np.argsort(predicted)
        return [np.add.reduceat(v[order], starts) for v in (few.y, predicted, predicted * (1 - predicted))]

    events, expected, variance = np.moveaxis(np.array([sums(log_p) for log_p in few.log_p]), 1, 0)  # (draws, bins) each
    if np.mean(expected[:, -1] / sizes[-1] - expected[:, 0] / sizes[0]) < 2 * np.sqrt(variance.max()) / sizes.min():
        return None
    from scipy.special import chdtrc  # slow to import

    distance = ((events - expected) ** 2 / np.maximum(variance, 1e-9)).sum(axis=1)
    sd = np.sqrt(variance.mean(axis=0)) / sizes
    p = float(np.mean(chdtrc(bins, distance)))
    return CalibrationBins(expected.mean(axis=0) / sizes, events.mean(axis=0) / sizes, sd, p)


def binary_checks(rows: PredictedRows, tree: xr.DataTree) -> Iterator[FitCheck]:
    """Rows that are alike as binomial counts, and predictions against what was observed."""
    sums, spec = rows_alike(tree, rows), metadata(tree)["spec"]
    if sums is not None and not any(2 * g["levels"] > len(sums.y) for g in spec["groups"].values()):
        yield judged_spread(
            rows.name, "binary", spec["builder"], *dispersion.pearson_spread(sums.y, sums.drawn, sums.weights)
        )
    found = calibration(rows)
    if found is None:
        return
    if found.p < OUT_OF_LINE:
        worst = int(np.argmax(np.abs(found.observed - found.expected) / found.sd))
        words = (
            f"Predictions are out of line with the data (P {p_words(found.p)}): where {percent(found.expected[worst])} was expected, "
            f"{percent(found.observed[worst])} was observed."
        )
        remedy = (
            "Look for a missing covariate, product of covariates or grouping factor, or try another link, and compare."
        )
        yield FitCheck(
            "calibration", rows.name, "caution", (words, remedy), "shares out of line with predictions", found.p
        )
    else:
        words = (
            f"Predictions are in line with the data (P {p_words(found.p)}): of the rows with the lowest predictions "
            f"{percent(found.observed[0])} were events ({percent(found.expected[0])} expected), of those with the highest "
            f"{percent(found.observed[-1])} ({percent(found.expected[-1])})."
        )
        yield FitCheck("calibration", rows.name, "sound", (words,), p=found.p)
