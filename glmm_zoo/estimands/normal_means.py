"""Means over normal distributions: exact where a closed form exists, else by the trapezoid rule.

The trapezoid rule converges geometrically for a smooth integrand on the whole line. Its error is about exp(-2 pi a / (sd h)) with h
the step and a the distance of the integrand's nearest pole from the real line, pi for the inverse logit; so h follows from the
sd. Gauss-Hermite with 15 points is off by 3e-3 at an sd of 4, where this rule has 61 points and an error of 2e-10.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glmm_zoo.families.links import LINKS

SPAN = 6.5  # in sds on either side
_WIDEST, _NARROWEST = 13 / 30, 13 / 1200  # steps
_STEP_OF_LOGIT = 0.87  # times 1 / sd: an error of 2e-10
_STEP = 0.43  # of functions of exp(exp(.)), an error of 1e-10
_RADIUS, _MOST_POINTS, _MANY = 5.5, 4000, 6  # of means over several variables
_ERROR = 1e-9  # of means over a variable and its scale
_VARIATION = 0.8  # of a probability that rises and falls, times the normal density: its error in steps of any size
_POLE_OF_LOG_SCALE = 1.2  # they are farther, and what is not bounded comes before them
_TOGETHER = 3000  # of them, in the processor's caches


@dataclass(frozen=True)
class Normal:
    """Independent normal variables with means (...) and variances (...)."""

    mean: np.ndarray
    variance: np.ndarray

    @property
    def certain(self) -> bool:
        """Whether they are numbers."""
        return not np.any(self.variance)


def nodes(sd: float, step: float = _STEP, beyond: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Points of the trapezoid rule for a standard normal variable that is multiplied by `sd`, and their weights, which sum to one.

    They reach `beyond` further up, where the integrand grows as exp(sd z) does.
    """
    h = min(max(step / max(sd, 1e-12), _NARROWEST), _WIDEST)
    return _nodes(round(2 * SPAN / h), round(beyond / h))


@functools.cache
def _nodes(intervals: int, beyond: int) -> tuple[np.ndarray, np.ndarray]:
    h = 2 * SPAN / intervals
    t = -SPAN + h * np.arange(intervals + beyond + 1)
    w = np.exp(-0.5 * t * t)
    return t, w / w.sum()


def mean_of(
    f: Callable[[np.ndarray], np.ndarray], x: Normal, step: float = _STEP, *, grows: bool = False
) -> np.ndarray:
    """E f(x), for f that takes (...) and gives (..., ...) with axes of its own in front; it may grow as exp(x) does."""
    if x.certain:
        return f(x.mean)
    sd = np.sqrt(x.variance)
    largest = float(sd.max())
    total = np.zeros(())
    for t, w in zip(*nodes(largest, step, min(largest, SPAN) if grows else 0.0), strict=True):
        value = f(x.mean + t * sd)
        value *= w
        value += total  # in place, since new memory takes as long as the function
        total = value
    return total


def mean_of_inverse_link(link: str, x: Normal) -> np.ndarray:
    """E g^-1(x): x; exp(mean + variance / 2); Phi(mean / sqrt(1 + variance)); by the trapezoid rule for logit and cloglog."""
    inverse = LINKS[link].inverse
    if link == "identity":
        return x.mean
    if link == "log":
        return np.exp(x.mean + 0.5 * x.variance)
    if link == "probit":
        return inverse(x.mean / np.sqrt(1.0 + x.variance))
    return mean_of(inverse, x, _STEP_OF_LOGIT if link == "logit" else _STEP)


def mean_given(
    first: str,
    variables: Mapping[str, Normal],
    covariances: Mapping[frozenset[str], np.ndarray],
    f: Callable[[np.ndarray, Mapping[str, Normal], Mapping[frozenset[str], np.ndarray]], np.ndarray],
) -> np.ndarray:
    """E over the variable `first` of f(its value, the others given it, their covariances given it)."""
    x, others = variables[first], {name: v for name, v in variables.items() if name != first}
    if x.certain:
        return f(x.mean, others, covariances)
    sd = np.sqrt(x.variance)
    safe = np.where(sd > 0, sd, 1.0)
    slopes = {
        name: covariances[frozenset((first, name))] / safe for name in others if frozenset((first, name)) in covariances
    }
    rest = {pair: c for pair, c in covariances.items() if first not in pair}
    for a, b in _pairs(list(slopes)):
        rest[frozenset((a, b))] = rest.get(frozenset((a, b)), np.zeros((1, 1))) - slopes[a] * slopes[b]
    total: np.ndarray | float = 0.0
    for t, w in zip(*nodes(float(sd.max())), strict=True):
        given = {
            name: Normal(v.mean + t * slopes[name], np.maximum(v.variance - slopes[name] ** 2, 0.0))
            if name in slopes
            else v
            for name, v in others.items()
        }
        total = total + w * f(x.mean + t * sd, given, rest)
    return np.asarray(total)


def mean_of_scaled(
    f: Callable[[np.ndarray], np.ndarray],
    thresholds: np.ndarray,
    x: Normal,
    log_scale: Normal,
    covariance: np.ndarray,
    pole: float,
    coarser: float = 1.0,
) -> np.ndarray:
    """E f(scale (thresholds - x)) (K, ...), for thresholds (k, ...) and bounded f from (k, m) to (K, m) that has no pole nearer to the
    real line than `pole`.

    One trapezoid rule inside another. A point of the outer one needs the more points of the inner one the larger its scale is, and may
    have the larger error the smaller its weight is. So what needs about as many points is computed together. Errors may be `coarser`, so
    many times as large.
    """
    parts = (x.mean, x.variance, log_scale.mean, log_scale.variance, covariance, *thresholds)
    shape = np.broadcast_shapes(*(part.shape for part in parts))
    mean, variance, log_mean, log_variance, covariance, *cuts = (np.broadcast_to(p, shape).ravel() for p in parts)
    sd = np.sqrt(log_variance)
    slope = covariance / np.where(sd > 0, sd, 1.0)
    left = np.sqrt(np.maximum(variance - slope**2, 0.0))
    order = np.argsort(left * np.exp(log_mean + 2 * sd))
    total = np.empty((len(f(np.zeros((len(cuts), 1)))), mean.size))
    for start in range(0, mean.size, _TOGETHER):
        at = order[start : start + _TOGETHER]
        some = (np.stack([cut[at] for cut in cuts]) - mean[at], slope[at], left[at], log_mean[at], sd[at])
        total[:, at] = _mean_of_some(f, *some, pole, _ERROR * coarser)
    return total.reshape(len(total), *shape)


def _mean_of_some(
    f: Callable[[np.ndarray], np.ndarray],
    distance: np.ndarray,
    slope: np.ndarray,
    left: np.ndarray,
    log_mean: np.ndarray,
    sd: np.ndarray,
    pole: float,
    error: float,
) -> np.ndarray:
    """The same of distances (k, m) of thresholds from the means of x."""
    total = np.zeros(())
    for t, w in zip(*_points_of(float(sd.max()), _POLE_OF_LOG_SCALE, 0.1 * error), strict=True):
        scale = np.exp(log_mean + t * sd)
        middle, reach = scale * (distance - t * slope), scale * left
        of_inner = min(error / w, 0.1)
        for z, v in zip(*_points_of(float(reach.max()), pole, of_inner, of_inner / _VARIATION), strict=True):
            value = f(middle - z * reach)
            value *= w * v
            value += total  # in place, as above
            total = value
    return total


def _points_of(sd: float, pole: float, error: float, fine: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Points of the trapezoid rule for a standard normal variable that is multiplied by `sd`, and their weights, which sum to one.

    Steps h have errors of exp(-2 pi pole / (sd h)) and, of the normal density, exp(-2 pi^2 / h^2); those of `fine` are always enough.
    """
    if sd == 0:
        return np.zeros(1), np.ones(1)
    digits = -np.log(error)
    span = np.sqrt(2 * digits)
    h = max(min(np.pi * np.sqrt(2 / digits), 2 * np.pi * pole / (sd * digits)), fine, _NARROWEST)
    t = np.linspace(-span, span, 2 * int(np.ceil(span / h)) + 1)
    w = np.exp(-0.5 * t * t)
    return t, w / w.sum()


def mean_of_several(
    f: Callable[[Mapping[str, np.ndarray]], np.ndarray],
    variables: Mapping[str, Normal],
    covariances: Mapping[frozenset[str], np.ndarray],
    steepness: float = 1.0,
    radius: float = _RADIUS,
) -> np.ndarray:
    """E f(values by name), for f that gives (..., ...) with axes of its own in front, over correlated normal variables.

    The trapezoid rule inside a ball of a `radius` in sds, with errors below 1e-5 for two or three variables up to an sd of 1, and
    below 1e-4 up to an sd of 3, where f is as steep as the inverse logit, with a `steepness` against that; for more variables, by at most `_MOST_POINTS` points and from `_MANY` on a quasi-random sequence, about 1e-3.
    """
    root = triangular_root(variables, covariances)
    axes = [j for j, loadings in enumerate(root.values()) if np.any(loadings[j])]
    steepest = max(
        (float(np.abs(loadings[j]).max()) for loadings in root.values() for j in range(len(loadings))), default=0.0
    )
    total = np.zeros(())
    for z, w in zip(*_points_of_several(len(axes), round(steepness * steepest, 1), radius), strict=True):
        at = dict(zip(axes, z, strict=True))
        value = f({
            name: sum((at[j] * loadings[j] for j in axes if j < len(loadings)), start=variables[name].mean)
            for name, loadings in root.items()
        })  # fmt: skip
        value *= w
        value += total  # in place, as above
        total = value
    return total


def triangular_root(
    variables: Mapping[str, Normal], covariances: Mapping[frozenset[str], np.ndarray]
) -> dict[str, list[np.ndarray]]:
    """Rows of the lower triangular matrix L of correlated normal variables x = mean + L z, z standard normal, by name."""
    root: dict[str, list[np.ndarray]] = {}
    for name, x in variables.items():
        known: list[np.ndarray] = []
        for j, (earlier, loadings) in enumerate(root.items()):
            covariance = covariances.get(frozenset((name, earlier)), np.zeros((1, 1)))
            rest = covariance - sum((a * b for a, b in zip(known, loadings[:j], strict=True)), start=np.zeros((1, 1)))
            known.append(np.where(loadings[j] > 0, rest / np.where(loadings[j] > 0, loadings[j], 1.0), 0.0))
        left = x.variance - sum((a * a for a in known), start=np.zeros((1, 1)))
        root[name] = [*known, np.sqrt(np.maximum(left, 0.0))]
    return root


@functools.cache
def _points_of_several(d: int, steepest: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, d) of standard normal variables that are multiplied by up to `steepest`, and their weights (N,), which sum to one."""
    if d == 0:
        return np.zeros((1, 0)), np.ones(1)
    if d >= _MANY:
        from scipy.special import ndtri

        ratio = 2.0  # of the sequence of Roberts: the root above 1 of x^(d + 1) = x + 1
        for _ in range(60):
            ratio = (1 + ratio) ** (1 / (d + 1))
        u = (0.5 + np.outer(np.arange(1, _MOST_POINTS), ratio ** -np.arange(1.0, d + 1))) % 1
        return ndtri(1 - np.abs(2 * u - 1)), np.full(len(u), 1 / len(u))
    ball = np.pi ** (d / 2) / math.gamma(d / 2 + 1) * radius**d
    h = max(min(1.0, 1.5 / max(steepest, 1e-12)), (ball / _MOST_POINTS) ** (1 / d))
    along = h * np.arange(-(radius // h), radius // h + 1)
    z = np.stack(np.meshgrid(*[along] * d, indexing="ij"), -1).reshape(-1, d)
    z = z[np.sum(z * z, axis=1) <= radius**2]
    w = np.exp(-0.5 * np.sum(z * z, axis=1))
    return z, w / w.sum()


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
