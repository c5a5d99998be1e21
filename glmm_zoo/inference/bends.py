"""Monotone maps, one for each element, that make what is skew or has long tails about normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

SKEW = 0.4  # from this skewness on elements beside the population's parameters are bent,
FEWEST_SKEW = 20  # if they are so many
_NORMAL = np.array([-2.053749, -1.281552, -0.67449, 0.0, 0.67449, 1.281552, 2.053749])  # at the shares that follow
_SHARES = np.array([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])
_PRIOR_SD = 0.5  # of shift, log size, skew and log tail, which are 0 where nothing is bent
_STEPS, _LONGEST = 20, 0.5
_AT_ONCE = 500  # elements whose draws are looked at together


@dataclass(frozen=True)
class Bends:
    """w = shift + size sinh(tail (asinh(z) + skew)), element by element (Jones & Pewsey 2009, Biometrika 96, 761).

    z and w are elements `index` of the vector that the sampler moves. All five are (m,); size and tail are positive. `skew` 0 and `tail` 1
    leave a line.
    """

    index: np.ndarray
    shift: np.ndarray
    size: np.ndarray
    skew: np.ndarray
    tail: np.ndarray

    def forward(self, z: np.ndarray) -> np.ndarray:
        """w (..., m) of z (..., m)."""
        return self.shift + self.size * np.sinh(self.tail * (np.arcsinh(z) + self.skew))

    def backward(self, w: np.ndarray) -> np.ndarray:
        """z (..., m) of w (..., m)."""
        return np.sinh(np.arcsinh((w - self.shift) / self.size) / self.tail - self.skew)

    def log_jacobian(self, z: np.ndarray) -> np.ndarray:
        """log |dw / dz| (...) of z (..., m)."""
        u = self.tail * (np.arcsinh(z) + self.skew)
        return (np.log(self.size * self.tail * np.cosh(u)) - np.log1p(z * z) / 2).sum(axis=-1)


def fitted(w: np.ndarray, effective: float, index: np.ndarray) -> Bends:
    """Bends of draws w (draws, m) of elements `index`, of mean 0 and sd 1, that are worth `effective` independent ones.

    z has the normal distribution's quantiles as nearly as the draws tell: least squares of seven quantiles in units of their
    standard errors, with a normal prior for each of the four numbers.
    """
    wanted = np.quantile(w, _SHARES, axis=0).T  # (m, 7)
    density = np.exp(-(_NORMAL**2) / 2) / np.sqrt(2 * np.pi)
    errors = np.sqrt(_SHARES * (1 - _SHARES) / effective) / density
    t = np.zeros((w.shape[1], 4))
    for _ in range(_STEPS):
        of = _bends(t, index)
        s = np.arcsinh(_NORMAL) + of.skew[:, None]
        u, size, tail = of.tail[:, None] * s, of.size[:, None], of.tail[:, None]
        steep = size * np.cosh(u)
        slopes = np.stack([np.ones_like(u), size * np.sinh(u), steep * tail, steep * u], axis=2) / errors[:, None]
        misses = (of.shift[:, None] + size * np.sinh(u) - wanted) / errors
        curvature = slopes.transpose(0, 2, 1) @ slopes + np.eye(4) / _PRIOR_SD**2
        downhill = np.einsum("mqk,mq->mk", slopes, misses) + t / _PRIOR_SD**2
        t -= np.clip(np.linalg.solve(curvature, downhill[:, :, None])[:, :, 0], -_LONGEST, _LONGEST)
    return _bends(t, index)


def fitted_to_skew(draws: Sequence[np.ndarray], elements: np.ndarray, effective: float) -> Bends:
    """Bends of those of the elements that are skew in the draws, parts x (chains, draws, n) that are worth `effective` independent ones; of
    none if they are few."""
    none = fitted(np.empty((1, 0)), effective, elements[:0])
    found = [none]
    for first in range(0, len(elements), _AT_ONCE):
        some = elements[first : first + _AT_ONCE]
        x = np.concatenate([part[:, :, some].reshape(-1, len(some)) for part in draws])
        mean, sd = x.mean(axis=0), x.std(axis=0)
        w = (x - mean) / np.where(sd > 0, sd, 1.0)
        skew = np.abs((w**3).mean(axis=0)) > SKEW
        of = fitted(w[:, skew], effective, some[skew])
        found.append(replace(of, shift=mean[skew] + sd[skew] * of.shift, size=sd[skew] * of.size))
    return bends_of_all(found) if sum(len(of.index) for of in found) >= FEWEST_SKEW else none


def bends_of_all(parts: Sequence[Bends]) -> Bends:
    """Those of all elements."""
    return Bends(*(np.concatenate(of_all) for of_all in zip(*map(astuple, parts), strict=True)))


def _bends(t: np.ndarray, index: np.ndarray) -> Bends:
    """Of shift, log size, skew and log tail (m, 4)."""
    return Bends(index, t[:, 0], np.exp(t[:, 1]), t[:, 2], np.exp(t[:, 3]))
