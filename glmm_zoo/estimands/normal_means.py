"""Means over normal distributions: exact where a closed form exists, else by the trapezoid rule.

The trapezoid rule converges geometrically for a smooth integrand on the whole line: with 61 points on +-6.5 sd the error of a
logistic integral is below 1e-9 at an sd of 4, where Gauss-Hermite with 15 points is off by 3e-3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glmm_zoo.families.links import LINKS

POINTS, SPAN = 61, 6.5
POINTS_OF_TWO = 31  # in each of two dimensions


@dataclass(frozen=True)
class Normal:
    """Independent normal variables with means (...) and variances (...)."""

    mean: np.ndarray
    variance: np.ndarray

    @property
    def certain(self) -> bool:
        """Whether they are numbers."""
        return not np.any(self.variance)


def nodes(points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Points of the trapezoid rule for a standard normal variable, and their weights, which sum to one."""
    t = np.linspace(-SPAN, SPAN, points)
    w = np.exp(-0.5 * t * t)
    return t, w / w.sum()


def mean_of(f: Callable[[np.ndarray], np.ndarray], x: Normal, points: int = POINTS) -> np.ndarray:
    """E f(x), for f that takes (...) and gives (..., ...) with axes of its own in front."""
    if x.certain:
        return f(x.mean)
    sd = np.sqrt(x.variance)
    total: np.ndarray | float = 0.0
    for t, w in zip(*nodes(points), strict=True):
        total = total + w * f(x.mean + t * sd)
    return np.asarray(total)


def mean_of_inverse_link(link: str, x: Normal, points: int = POINTS) -> np.ndarray:
    """E g^-1(x): x; exp(mean + variance / 2); Phi(mean / sqrt(1 + variance)); by the trapezoid rule for logit and cloglog."""
    inverse = LINKS[link].inverse
    if link == "identity":
        return x.mean
    if link == "log":
        return np.exp(x.mean + 0.5 * x.variance)
    if link == "probit":
        return inverse(x.mean / np.sqrt(1.0 + x.variance))
    return mean_of(inverse, x, points if link == "logit" else 2 * points)  # exp(-exp(x)) is steeper


def mean_given(
    first: str,
    variables: Mapping[str, Normal],
    covariances: Mapping[frozenset[str], np.ndarray],
    f: Callable[[np.ndarray, Mapping[str, Normal], Mapping[frozenset[str], np.ndarray]], np.ndarray],
    points: int,
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
    for pair in _pairs(list(slopes)):
        a, b = pair
        rest[frozenset(pair)] = rest.get(frozenset(pair), 0.0) - slopes[a] * slopes[b]
    total: np.ndarray | float = 0.0
    for t, w in zip(*nodes(points), strict=True):
        given = {
            name: Normal(v.mean + t * slopes[name], np.maximum(v.variance - slopes[name] ** 2, 0.0))
            if name in slopes
            else v
            for name, v in others.items()
        }
        total = total + w * f(x.mean + t * sd, given, rest)
    return np.asarray(total)


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
