"""Logarithms of E f(z) over standard normal z, for an f that is given by its logarithm and may be narrow: a product over rows.

The integrand exp(g(z)), g = log f - z'z / 2 - D / 2 log(2 pi), is centred at its mode, which a few Newton steps find, and scaled by its
curvature there. Up to three dimensions are integrated by the trapezoid rule, from where the integrand has fallen by a factor of
1e-8 on one side to where it has on the other; more of them by importance sampling from that normal approximation with tails of a t
distribution.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

POINTS_BY_DIMENSION = {1: 61, 2: 21, 3: 13}  # in each dimension
_REACH = 6.0  # sds of a normal integrand
_FALL = 0.5 * _REACH**2
_WIDER = 1.2
_STEP = 1e-3  # of differences, in sds of the effects
_MOST_STEPS, _CLOSE = 40, 1e-3
_SAMPLES, _DF = 1024, 7

LogIntegrand = Callable[[np.ndarray], np.ndarray]  # (S, L, D) -> (S, L)


@dataclass(frozen=True)
class NormalApproximation:
    """Modes (S, L, D), log integrands there (S, L), and roots of the covariances (S, L, D, D) by their axes."""

    mode: np.ndarray
    value: np.ndarray
    axes: np.ndarray

    def at(self, t: np.ndarray) -> np.ndarray:
        """The point at t (..., D) in units of the axes."""
        return self.mode + np.einsum("slij,...slj->...sli", self.axes, np.broadcast_to(t, self.mode.shape))

    @property
    def log_volume(self) -> np.ndarray:
        """The log determinant of the axes (S, L)."""
        return np.linalg.slogdet(self.axes)[1]


def normal_approximation(g: LogIntegrand, shape: tuple[int, int], dimension: int) -> NormalApproximation:
    """The mode of each of S x L integrands and the curvature there, from 0 by Newton steps that are halved until they lead upwards."""
    z = np.zeros((*shape, dimension))
    value = g(z)
    for _ in range(_MOST_STEPS):
        gradient, precision = _derivatives(g, z, value)
        values, vectors = np.linalg.eigh(precision)
        values = np.maximum(values, 0.5)  # 1 is that of the normal density alone
        step = np.einsum("slij,slj->sli", vectors, np.einsum("slij,sli->slj", vectors, gradient) / values)
        step *= np.minimum(1.0, 1.0 / np.maximum(np.abs(step).max(axis=-1, keepdims=True), 1e-300))
        at = g(z + step)
        for _ in range(20):
            down = ~(at >= value - 1e-9 * np.abs(value))
            if not down.any():
                break
            step[down] *= 0.25
            at = g(z + step)
        z, value = z + step, at
        scaled = np.abs(np.einsum("slij,sli->slj", vectors, step)) * np.sqrt(values)
        if scaled.max(initial=0.0) < _CLOSE:
            break
    return NormalApproximation(z, value, vectors / np.sqrt(values)[:, :, None, :])


def _derivatives(g: LogIntegrand, z: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradient (S, L, D) and minus the second derivatives (S, L, D, D), by differences."""
    D = z.shape[-1]
    steps = _STEP * np.eye(D)
    up, down = [g(z + e) for e in steps], [g(z - e) for e in steps]
    gradient = np.stack([(a - b) / (2 * _STEP) for a, b in zip(up, down, strict=True)], axis=-1)
    precision = np.zeros((*z.shape, D))
    for i in range(D):
        precision[..., i, i] = (2 * value - up[i] - down[i]) / _STEP**2
        for j in range(i):
            both = g(z + steps[i] + steps[j])
            precision[..., i, j] = precision[..., j, i] = (up[i] + up[j] - value - both) / _STEP**2
    return gradient, precision


def log_normal_mean(
    log_f: LogIntegrand, shape: tuple[int, int], dimension: int, points: int | None = None
) -> np.ndarray:
    """log E f(z) (S, L) by the trapezoid rule, for z of up to three dimensions."""
    g = _with_normal_density(log_f, dimension)
    normal = normal_approximation(g, shape, dimension)
    n = points or POINTS_BY_DIMENSION[dimension]
    low, high = (_reach(g, normal, side) for side in (-1.0, 1.0))  # (S, L, D)
    step = (low + high) / (n - 1)
    total = np.full(shape, -np.inf)
    for place in itertools.product(range(n), repeat=dimension):
        total = np.logaddexp(total, g(normal.at(np.array(place) * step - low)))
    return total + np.log(step).sum(axis=-1) + normal.log_volume


def _with_normal_density(log_f: LogIntegrand, dimension: int) -> LogIntegrand:
    constant = 0.5 * dimension * np.log(2 * np.pi)
    return lambda z: log_f(z) - 0.5 * np.sum(z * z, axis=-1) - constant


def _reach(g: LogIntegrand, normal: NormalApproximation, side: float) -> np.ndarray:
    """How far along each axis (S, L, D) the integrand has fallen enough."""
    reach = np.full(normal.mode.shape, _REACH)
    for k, axis in enumerate(np.eye(reach.shape[-1])):

        def fallen(d: np.ndarray, axis: np.ndarray = axis) -> np.ndarray:
            return ~(g(normal.at(side * d[..., None] * axis)) > normal.value - _FALL)

        d = reach[..., k]
        for _ in range(8):
            enough = fallen(d / _WIDER)
            d = np.where(enough, d / _WIDER, d)
            if not enough.any():
                break
        for _ in range(40):
            short = ~fallen(d)
            if not short.any():
                break
            d = np.where(short, d * _WIDER, d)
        reach[..., k] = d
    return reach


def sampled_log_normal_mean(
    log_f: LogIntegrand, shape: tuple[int, int], dimension: int
) -> tuple[np.ndarray, np.ndarray]:
    """log E f(z) (S, L) by importance sampling at quasi-random points, and the logarithms of the weights (samples, S, L)."""
    from scipy.special import gammaln, ndtri
    from scipy.stats import chi2, qmc

    g = _with_normal_density(log_f, dimension)
    normal = normal_approximation(g, shape, dimension)
    uniform = qmc.Sobol(dimension + 1, rng=np.random.default_rng(0)).random(_SAMPLES)
    uniform = np.clip(uniform, 1e-12, 1 - 1e-12)
    t = ndtri(uniform[:, 1:]) * np.sqrt(_DF / chi2.ppf(uniform[:, :1], _DF))
    constant = gammaln(0.5 * (_DF + dimension)) - gammaln(0.5 * _DF) - 0.5 * dimension * np.log(_DF * np.pi)
    log_q = constant - 0.5 * (_DF + dimension) * np.log1p(np.sum(t * t, axis=-1) / _DF)
    weights = np.stack([g(normal.at(point)) for point in t]) - log_q[:, None, None] + normal.log_volume
    most = weights.max(axis=0)
    return most + np.log(np.mean(np.exp(weights - most), axis=0)), weights
