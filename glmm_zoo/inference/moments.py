"""Means and variances of quantities too many to keep every draw of. Imports nothing of the zoo."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MOMENT_NAMES = ("mean", "sd", "mcse_mean", "ess_bulk", "r_hat")


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


class BatchMeans(Moments):
    """The moments of the means of every `length` values one after another; those after the last whole batch are left out."""

    def __init__(self, size: int, length: int):
        super().__init__(size)
        self.length, self._inside, self._total = length, 0, np.zeros(size)

    def add(self, value: np.ndarray) -> None:
        self._inside += 1
        self._total += value
        if self._inside == self.length:
            super().add(self._total / self.length)
            self._inside, self._total = 0, np.zeros(len(value))


def batch_length(values: int) -> int:
    """The root of the number of values in a chain (Flegal & Jones 2010)."""
    return max(1, math.isqrt(values))


def pooled_moments(parts: Sequence[Moments], batches: Sequence[Moments], length: int) -> np.ndarray:
    """`MOMENT_NAMES` of all values together (5, k), from the moments of the halves of every chain and those of its batches of this
    length.

    The variance of the batch means about the mean of all is `length` times smaller than that of the values where these are
    independent, and n / ess_bulk times as large as then where n values are worth ess_bulk independent ones; mcse_mean is
    sd / sqrt(ess_bulk), and ess_bulk at most n log10(n), as ArviZ has it. r_hat is split R-hat (Gelman et al. 2013, section 11.4), sqrt(((n - 1) W + B) / (n W)) with the mean W of the
    halves' variances and n times the variance of their means B; not of ranks, which need every draw. NaN where a half
    has fewer than two values.
    """
    made = [p for p in parts if p.count]
    if not made:
        return np.full((len(MOMENT_NAMES), len(parts[0].mean)), np.nan)
    total, mean, variance = _together(made)
    ess, r_hat = np.full((2, len(mean)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # of what does not vary
        if min(b.count for b in batches) > 1:
            ess = np.minimum(total * variance / (length * _together(batches)[2]), total * np.log10(total))
        if len(made) == len(parts) and min(p.count for p in made) > 1:
            within = np.mean([p.squares / (p.count - 1) for p in made], axis=0)
            n, between = total / len(made), np.var([p.mean for p in made], axis=0, ddof=1)
            r_hat = np.sqrt((n - 1) / n + between / within)
        return np.stack([mean, np.sqrt(variance), np.sqrt(variance / ess), ess, r_hat])


def _together(parts: Sequence[Moments]) -> tuple[int, np.ndarray, np.ndarray]:
    """How many values all parts have, their mean and their variance."""
    total = sum(p.count for p in parts)
    mean = sum((p.count * p.mean for p in parts), start=np.zeros(1)) / total
    spread = sum((p.squares + p.count * (p.mean - mean) ** 2 for p in parts), start=np.zeros(1))
    return total, mean, spread / max(total - 1, 1)
