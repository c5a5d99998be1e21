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


@dataclass(frozen=True)
class CalibrationBins:
    """Rows in bins from the least to the most likely by the other rows: in each (bins,) the share `expected`, the share `observed`,
    and the sd of the latter if predictions are right; `p` is the probability of being as far off over all bins."""

    expected: np.ndarray
    observed: np.ndarray
    sd: np.ndarray
    p: float


def calibration(rows: PredictedRows) -> CalibrationBins | None:
    """Predicted against observed shares of binary rows; None where there are too few rows, or nothing that tells them apart."""
    from scipy.special import chdtrc

    predicted = np.clip(np.where(rows.y == 1, rows.density, 1 - rows.density), 0, 1)
    bins = min(BINS, len(predicted) // ROWS_IN_BIN)
    if bins < 3 or not np.isfinite(predicted).all():
        return None
    parts = np.array_split(np.argsort(predicted, kind="stable"), bins)
    expected, observed = (np.array([v[part].mean() for part in parts]) for v in (predicted, rows.y))
    sd = np.array([np.sqrt((predicted[part] * (1 - predicted[part])).sum()) / len(part) for part in parts])
    if expected[-1] - expected[0] < 2 * sd.max() or not sd.all():
        return None
    return CalibrationBins(expected, observed, sd, float(chdtrc(bins, (((observed - expected) / sd) ** 2).sum())))


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
