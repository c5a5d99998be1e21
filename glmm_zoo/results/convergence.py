"""Effective sample sizes (ESS), R-hat and Monte Carlo standard errors (MCSE) of many quantities at once; E-BFMI.

Vehtari, Gelman, Simpson, Carpenter & Buerkner (2021), as ArviZ computes them one quantity at a time; tests compare. `x` is
(chains, draws, quantities) everywhere, and what is returned is (quantities,) unless said otherwise. Imports nothing of the zoo.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np

TAIL = (0.05, 0.95)


def split_chains(x: np.ndarray) -> np.ndarray:
    """The two halves of each chain as chains (2 chains, draws // 2, quantities); the middle draw of an odd number is left out."""
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, -half:]])


def normal_scores(x: np.ndarray) -> np.ndarray:
    """Normal quantiles, of the shape of `x`, of the ranks among all draws of a quantity; ties have their average rank."""
    flat = np.ascontiguousarray(x.reshape(-1, x.shape[2]).T)  # (quantities, n)
    m, n = flat.shape
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, 1)
    position = np.arange(n)
    changes = ordered[:, 1:] != ordered[:, :-1]
    edge = np.ones((m, 1), bool)
    first = np.maximum.accumulate(np.where(np.hstack([edge, changes]), position, 0), axis=1)
    last = np.minimum.accumulate(np.where(np.hstack([changes, edge]), position, n)[:, ::-1], axis=1)[:, ::-1]
    scores = np.empty((m, n))
    np.put_along_axis(scores, order, _scores(n)[first + last], 1)  # first + last is twice the average rank from 0
    return scores.T.reshape(x.shape)


@lru_cache(maxsize=8)
def _scores(n: int) -> np.ndarray:
    """Normal quantiles of the ranks 1, 1.5, ..., n that n draws can have (2 n - 1,)."""
    quantile = NormalDist().inv_cdf
    return np.array([quantile((1.0 + i / 2 - 0.375) / (n + 0.25)) for i in range(2 * n - 1)])


def ess_bulk_and_rhat(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ESS for the centre of the distribution; and rank-normalised split R-hat, the larger of bulk and folded."""
    halves = split_chains(x)
    scores = normal_scores(halves)
    folded = normal_scores(np.abs(halves - np.median(halves, axis=(0, 1))))
    return ess(scores), np.maximum(_rhat(scores), _rhat(folded))


def _rhat(x: np.ndarray) -> np.ndarray:
    """The root of the variance of all draws over that within chains, as Gelman & Rubin estimate both."""
    n = x.shape[1]
    within, between = x.var(axis=1, ddof=1).mean(axis=0), n * x.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt((between / within + n - 1) / n)


def ess(x: np.ndarray) -> np.ndarray:
    """Effective sample size for the mean of chains that are already split: Geyer's initial monotone sequence."""
    chains, n, m = x.shape
    centred = x - x.mean(axis=1, keepdims=True)
    length = min(k << max(0, (-(-2 * n // k) - 1).bit_length()) for k in (1, 3, 5))  # at least 2 n, with small factors
    spectrum = np.fft.rfft(centred, length, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=0)
    covariance = np.fft.irfft(power, length, axis=0)[:n] / n  # of the chains on average
    within = covariance[0] * n / (n - 1.0)
    total = within * (n - 1.0) / n
    if chains > 1:
        total = total + x.mean(axis=1).var(axis=0, ddof=1)
    rho = 1.0 - (within - covariance) / total
    rho[0] = 1.0
    pairs = rho[: n // 2 * 2].reshape(-1, 2, m).sum(axis=1)[: max(1, (n - 2) // 2)]
    negative = pairs <= 0
    end = np.where(negative.any(axis=0), negative.argmax(axis=0), len(pairs) - 1)
    before = np.arange(len(pairs))[:, None] < end
    monotone = np.minimum.accumulate(pairs, axis=0)
    tau = -1.0 + 2.0 * (monotone * before).sum(axis=0) + np.maximum(rho[2 * end, np.arange(m)], 0.0)
    return chains * n / np.maximum(tau, 1 / np.log10(chains * n))


def ess_bulk(x: np.ndarray) -> np.ndarray:
    """ESS for the centre of the distribution."""
    return ess(normal_scores(split_chains(x)))


def ess_tail(x: np.ndarray) -> np.ndarray:
    """ESS for the quantiles `TAIL`, the smaller of the two."""
    low, high = np.quantile(x, TAIL, axis=(0, 1))
    below, above = (x <= low).astype(float), (x <= high).astype(float)
    return np.minimum(ess(split_chains(below)), ess(split_chains(above)))


def mcse_mean(x: np.ndarray) -> np.ndarray:
    """Monte Carlo standard error of the mean."""
    return x.std(axis=(0, 1), ddof=1) / np.sqrt(ess(split_chains(x)))


def mcse_sd(x: np.ndarray) -> np.ndarray:
    """Monte Carlo standard error of the standard deviation, by the delta method from that of the variance."""
    square = (x - x.mean(axis=(0, 1))) ** 2
    variance = square.mean(axis=(0, 1))
    error_of_variance = ((square**2).mean(axis=(0, 1)) - variance**2) / ess(split_chains(square))  # squared
    return np.sqrt(error_of_variance / variance / 4)


def bfmi(energy: np.ndarray) -> np.ndarray:
    """E-BFMI of chains (...) from the energies (..., draws) of all their transitions (Betancourt 2016); NaN of fewer than two."""
    if energy.shape[-1] < 2:
        return np.full(energy.shape[:-1], np.nan)
    with np.errstate(invalid="ignore"):  # energies that are all equal
        return np.square(np.diff(energy)).mean(axis=-1) / energy.var(axis=-1, ddof=1)
