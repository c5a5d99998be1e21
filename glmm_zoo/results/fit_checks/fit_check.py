"""What one check of the fit to the data consists of, and the limits and words that checks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from glmm_zoo.results.numbers import probability
from glmm_zoo.results.predicted_rows import PredictedRows

Soundness = Literal["sound", "caution", "unsound"]
HINT, SIGN = 0.05, 0.01  # P of what is called a hint, and a sign, of more spread
PATTERN = 0.03  # P of a pattern in the residuals, divided by the number of covariates
OUT_OF_LINE = 0.02  # P of predictions that are out of line with what was observed
GROSS, GROSS_RATIO = 0.001, 2.0  # P, and times that residuals vary more than expected, of what is not to be trusted
WITHIN = 0.95


@dataclass(frozen=True)
class FitCheck:
    """One check: `name` is that of its entry in docs/guides/diagnostics.md, `doubt` names what was found, "" where nothing was, `p` is how often the model does as badly, NaN where that has no
    meaning; `ratio` is that of observed to expected spread, where the check is of spread."""

    name: str
    outcome: str
    state: Soundness
    sentences: tuple[str, ...]
    doubt: str = ""
    p: float = np.nan
    ratio: float = np.nan


def far_from_expected(observed: np.ndarray, drawn: np.ndarray) -> float:
    """The share of predicted data sets whose departures (draws, cells) are as far from 0, in units of their sds, as the observed (cells,)."""
    variance = drawn.var(axis=0)
    varies = variance > 0
    distances = (drawn[:, varies] ** 2 / variance[varies]).sum(axis=1)
    return float(np.mean(distances >= (observed[varies] ** 2 / variance[varies]).sum() - 1e-9))


def below(rows: PredictedRows) -> np.ndarray:
    """The probability of each value (n,), or of a smaller one, by the other rows."""
    return (rows.weights * (rows.drawn <= rows.y)).sum(axis=0)


def above(rows: PredictedRows) -> np.ndarray:
    """The probability of each value (n,), or of a larger one, by the other rows."""
    return (rows.weights * (rows.drawn >= rows.y)).sum(axis=0)


def usual_number(of: int, share: float) -> int:
    """The most of so many that lie outside in 95 % of the cases, each with probability `share`."""
    k = np.arange(1, of + 1)
    # from one probability of the binomial distribution to the next
    steps = np.log((of - k + 1) / k * share / (1 - share))
    return int(np.argmax(np.cumsum(np.exp(of * np.log1p(-share) + np.append(0.0, np.cumsum(steps)))) >= WITHIN))


def p_words(p: float) -> str:
    """ "= 0.02", "< 0.01"."""
    text = probability(p)
    return text if text[0] in "<>" else f"= {text}"
