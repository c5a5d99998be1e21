"""Effects whose levels depend on each other as the Gaussian approximation has them: with a variance, and one number without bounds that
says how much, their correlation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from glmm_zoo.formulas.neighbours import AreaStructure
from glmm_zoo.formulas.series import Series
from glmm_zoo.inference import serial_precision
from glmm_zoo.inference.neighbour_precision import NeighbourPrecision, parts_of_variance
from glmm_zoo.inference.serial_precision import Tridiagonal
from glmm_zoo.plans.groups import Group

type Precision = Tridiagonal | NeighbourPrecision

_FARTHEST = 8.0  # of the correlation from where it starts
_STEP = 0.05  # of finite differences
_LONGEST = 1.0  # of a Newton step


@dataclass(frozen=True)
class Dependence:
    """Of the levels of one factor: where the correlation `begins`, the `precision` of the effects given their variance and that, and the log
    of the default prior of the correlation; the parameter's name and its value there, "" where there is none."""

    begins: float
    precision: Callable[[float, float], Precision]
    log_prior: Callable[[float], float]
    parameter: str
    natural: Callable[[float], float]


def dependence(group: Group) -> Dependence | None:
    """How the levels of a factor depend on each other; None where they do not, or by columns of the design."""
    if group.series is not None:
        return _of_series(group, group.series)
    return _of_neighbours(group, group.structure) if isinstance(group.structure, AreaStructure) else None


def _of_series(group: Group, series: Series) -> Dependence:
    def log_prior(correlation: float) -> float:
        if series.process == "ar1":
            return _logistic(correlation)
        return -correlation - series.middle_gap * float(np.exp(-correlation))

    return Dependence(
        serial_precision.first_correlation(series),
        lambda variance, correlation: serial_precision.precision(series, variance, correlation),
        log_prior,
        group.name(series.parameter),
        series.natural,
    )


def _of_neighbours(group: Group, of: AreaStructure) -> Dependence:
    none = np.zeros(len(of.part))
    return Dependence(
        0.0,
        lambda variance, logit: NeighbourPrecision(of, *parts_of_variance(of, variance, logit), none),
        _logistic,
        group.name("rho") if of.shared else "",
        lambda logit: float(1.0 / (1.0 + np.exp(-logit))),
    )


def _logistic(x: float) -> float:
    """The log density of a logistic distribution, which is uniform on the scale of a share, less a constant."""
    return -2.0 * float(np.log(np.cosh(0.5 * x)))


def next_dependence(
    of: Dependence,
    sd: float,
    correlation: float,
    information: np.ndarray,
    score: np.ndarray,
    prior_of_log_sd: tuple[float, float],
) -> tuple[float, float]:
    """The sd and the correlation after a Newton step on the evidence of all levels, with `information` (levels,) about each effect and
    `score` (levels,) at 0. Of the prior of log sd the first two derivatives are given; that of the correlation is its default."""
    slope, bend = prior_of_log_sd

    def objective(log_ratio: float, correlation: float) -> float:
        Q = of.precision(sd**2 * np.exp(2.0 * log_ratio), correlation)
        P = Q.plus(information)
        evidence = 0.5 * (Q.log_determinant() - P.log_determinant() + score @ P.solved(score[:, None])[:, 0])
        return float(evidence + of.log_prior(correlation) + slope * log_ratio + 0.5 * bend * log_ratio**2)

    x, steps = np.array([0.0, correlation]), np.eye(2) * _STEP
    middle = objective(*x)
    high, low = (np.array([objective(*(x + sign * e)) for e in steps]) for sign in (1, -1))
    hessian = np.diag((high - 2 * middle + low) / _STEP**2)
    for i, j in itertools.permutations(range(2)):
        hessian[i, j] = (objective(*(x + steps[0] + steps[1])) - high[0] - high[1] + middle) / _STEP**2
    values, vectors = np.linalg.eigh(-hessian)
    step = vectors @ (vectors.T @ ((high - low) / (2 * _STEP)) / np.maximum(np.abs(values), 0.1))
    x = x + step * min(1.0, _LONGEST / max(1e-12, float(np.max(np.abs(step)))))
    return float(sd * np.exp(x[0])), float(np.clip(x[1], of.begins - _FARTHEST, of.begins + _FARTHEST))
