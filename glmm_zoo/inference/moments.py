"""Means and variances of quantities too many to keep every draw of. Imports nothing of the zoo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOMENT_NAMES = ("mean", "sd", "r_hat")


class Moments:
    """Count, mean and sum of squared deviations of a vector (k,), one value after another (Welford 1962)."""

    def __init__(self, size: int):
        self.count = 0
        self.mean, self.squares = np.zeros(size), np.zeros(size)

    def add(self, value: np.ndarray) -> None:
        self.count += 1
        change = value - self.mean
        self.mean += change / self.count
        self.squares += change * (value - self.mean)


def pooled_moments(parts: Sequence[Moments]) -> np.ndarray:
    """`MOMENT_NAMES` of all values together (3, k), from the moments of the halves of every chain.

    r_hat is split R-hat (Gelman et al. 2013, section 11.4), sqrt(((n - 1) W + B) / (n W)) with the mean W of the
    halves' variances and n times the variance of their means B; not of ranks, which need every draw. NaN where a half
    has fewer than two values.
    """
    made = [p for p in parts if p.count]
    if not made:
        return np.full((len(MOMENT_NAMES), len(parts[0].mean)), np.nan)
    counts = np.array([p.count for p in made])[:, None]
    means, squares = np.stack([p.mean for p in made]), np.stack([p.squares for p in made])
    total = counts.sum()
    mean = (counts * means).sum(axis=0) / total
    spread = squares.sum(axis=0) + (counts * (means - mean) ** 2).sum(axis=0)
    r_hat = np.full(len(mean), np.nan)
    if len(made) == len(parts) and counts.min() > 1:
        within, n = (squares / (counts - 1)).mean(axis=0), counts.mean()
        r_hat = np.sqrt((n - 1) / n + means.var(axis=0, ddof=1) / within)
    return np.stack([mean, np.sqrt(spread / max(total - 1, 1)), r_hat])
