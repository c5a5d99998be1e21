"""Log densities of responses given their linear predictors, in NumPy, by the functions that the graphs are built of.

Every function takes y (m,), eta (..., m), the family's own parameters on the scales on which they enter a graph (the log
of "sigma" and "alpha", the logit of "zi", each (..., m) or (..., 1); "cutpoints" (..., m or 1, K - 1)), the name of the link, and the trials
(m,) of binomial counts or None; it returns log f(y) (..., m).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmm_zoo.families.binomial import log_binomial
from glmm_zoo.families.counts import Count
from glmm_zoo.families.links import ProbabilityLink, probability_link
from glmm_zoo.families.moments import Own
from glmm_zoo.families.ordinal import log_between_thresholds
from glmm_zoo.families.tensors import functions_of

type RowLogDensity = Callable[[np.ndarray, np.ndarray, Own, str, np.ndarray | None], np.ndarray]


def gaussian_log_density(y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
    """-((y - eta) / sigma)^2 / 2 - log(sigma) - log(2 pi) / 2"""
    log_sigma = own["sigma"]
    return -0.5 * ((y - eta) * functions_of(log_sigma).exp(-log_sigma)) ** 2 - log_sigma - 0.5 * np.log(2 * np.pi)


def binomial_log_density(y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
    """Of one trial in each row where there are none."""
    of = probability_link(link)
    if trials is None:
        return np.where(y > 0.5, of.log_p(eta), of.log_q(eta))
    return log_binomial(y, trials, eta, of)


def count_log_density(count: Count, with_zeros: Callable[..., np.ndarray] | None = None) -> RowLogDensity:
    """Of counts, or of `with_zeros(count, y, logit zi, eta, *size)`."""

    def log_density(y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
        size = [own["alpha"]] if count.sized else []
        return count.log_f(y, eta, *size) if with_zeros is None else with_zeros(count, y, own["zi"], eta, *size)

    return log_density


def cumulative_log_density(
    y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None
) -> np.ndarray:
    """log(F(disc (c_y - eta)) - F(disc (c_{y-1} - eta)))"""
    cutpoints, disc = own["cutpoints"], np.exp(own.get("disc", 0.0))
    top, k = cutpoints.shape[-1], y.astype(int)
    shape = np.broadcast_shapes(cutpoints.shape[:-1], y.shape)
    cutpoints = np.broadcast_to(cutpoints, (*shape, top))
    ends = (np.broadcast_to(j, shape)[..., None] for j in (np.maximum(k - 1, 0), np.minimum(k, top - 1)))
    low, high = (np.take_along_axis(cutpoints, j, -1)[..., 0] for j in ends)
    gap = np.where((k > 0) & (k < top), disc * (high - low), 1.0)
    return log_between_thresholds(probability_link(link), k, top, disc * (low - eta), disc * (high - eta), gap)


def sequential_log_density(
    log_f: Callable[[ProbabilityLink, np.ndarray, np.ndarray, int], np.ndarray],
) -> RowLogDensity:
    """Of categories whose `log_f(link, y, x, top)` depends on all x_k = disc (c_k - eta)."""

    def log_density(y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
        cutpoints, disc = own["cutpoints"], np.exp(np.asarray(own.get("disc", 0.0)))
        return log_f(probability_link(link), y, disc[..., None] * (cutpoints - eta[..., None]), cutpoints.shape[-1])

    return log_density
