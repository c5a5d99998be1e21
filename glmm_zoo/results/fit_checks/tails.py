"""A check of continuous outcomes: values that are farther off than the model has them."""

from __future__ import annotations

import numpy as np

from glmm_zoo.errors import at_rows
from glmm_zoo.results.fit_checks.fit_check import SIGN, FitCheck, above, below, usual_number
from glmm_zoo.results.numbers import nominal, whole
from glmm_zoo.results.predicted_rows import PredictedRows

HEAVY = 7.0  # kurtosis: that of t with 5.5 degrees of freedom, of which a normal likelihood uses five rows in six
FAR = 0.001  # probability on each side of what is called far off


def tails_check(rows: PredictedRows) -> FitCheck:
    """Values that are farther off than the model has them."""
    mean, scale = rows.drawn.mean(axis=0), rows.drawn.std(axis=0)
    kurtosis = _kurtosis((rows.y - mean) / scale)
    p = float(np.mean(_kurtosis((rows.drawn - mean) / scale) >= kurtosis))
    far = np.minimum(below(rows), above(rows))
    farthest = np.argsort(far, kind="stable")[: int((far < FAR).sum())]
    usual = usual_number(len(far), 2 * FAR)
    words = (
        f"{whole(len(farthest))} of {whole(len(far))} values lie outside the {nominal(1 - 2 * FAR)} interval that the other rows "
        f"predict (at most {whole(usual)} would be usual)"
    )
    if len(farthest) > usual and not kurtosis > HEAVY:
        words += ", a few more than the model has"
    if not (p < SIGN and kurtosis > HEAVY):
        return FitCheck("tails", rows.name, "sound", (f"{words}.",), p=p)
    remedy = "Look at them for errors, and compare with a fit without them."
    return FitCheck(
        "tails", rows.name, "caution", (f"{words}: {at_rows(rows.rows[farthest])}.", remedy), "values far off", p
    )


def _kurtosis(z: np.ndarray) -> np.ndarray:
    """The fourth moment of the rows in the last axis over the square of the second."""
    square = z**2
    return (square**2).mean(axis=-1) / square.mean(axis=-1) ** 2
