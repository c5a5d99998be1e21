"""Whether residuals of repeated measures correlate as the structure has it: normalised by it, those of one subject are independent."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glmm_zoo.results.fit_checks.fit_check import PATTERN, FitCheck, far_from_expected, p_words
from glmm_zoo.results.numbers import written
from glmm_zoo.results.repeated_residuals import repeated_residuals
from glmm_zoo.results.storage import metadata

_MOST_LAGS = 5


def correlation_check(tree: xr.DataTree) -> FitCheck | None:
    """Correlations that are left a few rows apart; None of independent residuals and of a matrix without a structure."""
    spec = metadata(tree)["spec"]
    if spec["options"].get("residual") in (None, "unstructured"):
        return None
    residuals = repeated_residuals(tree)
    if residuals is None:
        return None
    most = min(_MOST_LAGS, int(np.bincount(residuals.subject).max()) - 1)
    observed, drawn = residuals.normalised().by_lag(most)
    p = far_from_expected(observed, drawn)
    return judged_correlation(
        spec["outcome"], spec["facts"]["subject"], spec["options"]["residual"], observed, drawn, p
    )


def judged_correlation(
    outcome: str, subject: str, residual: str, observed: np.ndarray, drawn: np.ndarray, p: float
) -> FitCheck:
    """What correlations of the data (lags,) and of predicted data (draws, lags) mean, given how often these are as far from 0."""
    worst = int(np.argmax(np.abs(observed) / drawn.std(axis=0)))
    rows = f"{worst + 1} row{'s' if worst else ''} apart"
    left = f"Normalised residuals of one {subject} {rows} correlate by {written(observed[worst], 2)} (P {p_words(p)})"
    if p >= PATTERN:
        return FitCheck("correlation", outcome, "sound", (f"{left}, no more than chance.",), p=p)
    others = "'unstructured'" if residual.startswith("toeplitz") else "'unstructured' or 'toeplitz'"
    words = f"{left}, which residual={residual!r} leaves out: standard errors of changes over time may be off."
    return FitCheck(
        "correlation", outcome, "caution", (words, f"Fit residual={others} and compare."), "correlation over time", p
    )
