"""What a link function means for a reader of results: the mean of a linear predictor, and the name of exp(coefficient).

NumPy only; SciPy is imported when a logit or probit is inverted. `eta` is a linear predictor of any shape, and the result
has that shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


def identity(eta: np.ndarray) -> np.ndarray:
    """The mean is the linear predictor itself."""
    return eta


def inverse_logit(eta: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-eta))."""
    from scipy.special import expit

    return expit(eta)


def inverse_probit(eta: np.ndarray) -> np.ndarray:
    """Phi(eta), the standard normal distribution function."""
    from scipy.special import ndtr

    return ndtr(eta)


def inverse_cloglog(eta: np.ndarray) -> np.ndarray:
    """1 - exp(-exp(eta))."""
    return -np.expm1(-np.exp(eta))


@dataclass(frozen=True)
class Scale:
    """What one link means for a reader of results.

    Attributes
    ----------
    inverse
        The mean of a linear predictor, element by element.
    ratio
        What exp(coefficient) is called: "odds_ratio", "hazard_ratio" or "rate_ratio"; None where it is no ratio of anything.
    median_ratio
        What exp(sqrt(2) sd Phi^-1(3/4)) of an intercept's sd between groups is called; None where nobody uses it.
    """

    inverse: Callable[[np.ndarray], np.ndarray]
    ratio: str | None
    median_ratio: str | None


SCALES: Mapping[str, Scale] = {
    "identity": Scale(identity, None, None),
    "log": Scale(np.exp, "rate_ratio", "median_rate_ratio"),
    "logit": Scale(inverse_logit, "odds_ratio", "median_odds_ratio"),
    "probit": Scale(inverse_probit, None, None),
    "cloglog": Scale(inverse_cloglog, "hazard_ratio", None),
}
