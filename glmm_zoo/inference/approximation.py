"""A quick Gaussian approximation of a model before sampling: where the sampler starts, and in what units it moves.

For each linear predictor eta = D b + offset + sum over factors Z_f u_f it looks for

    q(b, u) Gaussian,   w_i = -E_q[d2 log f(y_i | eta_i) / d eta_i^2],   s_i = E_q[d log f(y_i | eta_i) / d eta_i],

the stationary point of a Gaussian variational fit (Opper & Archambeau 2009), with the covariances of the group effects
by EM and the family's own parameters by Newton steps. With m, v the mean and variance of eta_i under q and h ~ N(0, 1),
Stein's identities give both derivatives from values of the density alone,

    s = E[h log f(m + sqrt(v) h)] / sqrt(v),    w = -E[(h^2 - 1) log f(m + sqrt(v) h)] / v,

by Gauss-Hermite quadrature, so that every family of the zoo is served by the density it has. Nothing here changes a
posterior: a bad approximation costs speed only.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from glmm_zoo.inference.predictor_approximation import PredictorApproximation, before_the_first_round
from glmm_zoo.inference.predictor_data import predictor_data
from glmm_zoo.inference.row_likelihood import RowLikelihood, row_likelihood

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

_log = logging.getLogger("glmm_zoo")

NODES = 11  # of the Gauss-Hermite rule
ROUNDS = 25
TOLERANCE = 2e-3  # of eta, in units of its standard deviation
PHI_TOLERANCE = 0.02  # of the family's own parameters, unconstrained
TOGETHER = 10  # parameters of the family whose second derivatives are all computed,
SMALL = 1e5  # and so many parameters^2 x rows
_LONGEST_STEP = 3.0  # no working response is further than this from eta, in units of the link


@dataclass(frozen=True)
class GaussianApproximation:
    """What was found: q of each linear predictor, by prefix, and the family's own parameters `phi` (m,), unconstrained."""

    predictors: Mapping[str, PredictorApproximation]
    likelihood: RowLikelihood
    phi: np.ndarray

    def estimates(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Means of the coefficients, by prefix, and of the group effects (levels, k), by "prefix factor"."""
        effects = {
            f"{prefix} {group.factor.name}": u
            for prefix, predictor in self.predictors.items()
            for group, u in zip(predictor.data.groups, predictor.u, strict=True)
        }
        return {prefix: predictor.b for prefix, predictor in self.predictors.items()}, effects


def approximate(model: Model) -> GaussianApproximation | None:
    """The approximation of a model's posterior, which leaves the model alone.

    None, with a line in the log, when it does not converge.
    """
    began = time.perf_counter()
    likelihood = row_likelihood(model)
    if likelihood is None:
        _log.info("no Gaussian approximation: a likelihood without rows; group effects are non-centred")
        return None
    try:
        # in matrices this small, threads wait for each other
        with threadpool_limits(1, "blas"), np.errstate(all="ignore"):
            approximation, rounds = _iterate(model, likelihood)
    except (np.linalg.LinAlgError, FloatingPointError, ValueError) as err:
        _log.info("the Gaussian approximation failed (%s); group effects are non-centred", err)
        return None
    _log.info("Gaussian approximation: %d rounds, %.2f s", rounds, time.perf_counter() - began)
    return approximation


def _iterate(model: Model, likelihood: RowLikelihood) -> tuple[GaussianApproximation, int]:
    """The approximation, and how many rounds it took. Each round solves for one predictor after the other, then takes a
    Newton step on phi."""
    groups = model.groups
    predictors = {}
    for p in likelihood.rows_of:
        data = predictor_data(p, model.linear[p], [g for g in groups if p in g.owners], model.scales.get(p, 1.0))
        predictors[p] = before_the_first_round(data)
    etas = {p: predictor.mean for p, predictor in predictors.items()}
    phi = likelihood.start.copy()
    change, step_of_phi = np.inf, np.inf if len(phi) else 0.0
    for turn in range(ROUNDS):
        change = 0.0
        for p in predictors:
            predictor = predictors[p].updated(*_working_response(likelihood, predictors[p], p, etas, phi))
            moved = np.abs(predictor.mean - etas[p]) / np.sqrt(predictor.variance + 1e-6)
            change = max(change, float(np.max(moved)))
            predictors[p], etas[p] = predictor, predictor.mean
        if step_of_phi > PHI_TOLERANCE:
            phi, step_of_phi = _newton(likelihood, etas, predictors, phi)
            change = max(change, step_of_phi)
        if not all(np.isfinite(predictor.mean).all() for predictor in predictors.values()):
            raise FloatingPointError("it is not finite")
        change = max(change, *(predictor.change for predictor in predictors.values()))
        if change < TOLERANCE and turn > 3:
            break
    if change > 1.0:
        raise FloatingPointError(f"it did not settle in {ROUNDS} rounds")
    return GaussianApproximation(predictors, likelihood, phi), turn + 1


def _working_response(
    likelihood: RowLikelihood,
    predictor: PredictorApproximation,
    prefix: str,
    etas: Mapping[str, np.ndarray],
    phi: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights w (n,) and working responses eta + s / w (n,) of the rows of one predictor, given the others."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    eta, rows = etas[prefix], likelihood.rows_of[prefix]
    sd = np.sqrt(np.clip(predictor.variance, 1e-4, 9.0))
    log_f = np.stack([likelihood.rows({**etas, prefix: eta + h * sd}, phi)[rows] for h in nodes])
    log_f = np.where(np.isfinite(log_f), log_f, -1e10) - log_f[NODES // 2]
    score = np.tensordot(weights * nodes, log_f, 1) / sd
    curvature = -np.tensordot(weights * (nodes**2 - 1), log_f, 1) / sd**2
    w = np.clip(curvature, 1e-6, 1e12)
    longest = _LONGEST_STEP * predictor.data.unit
    return w, eta + np.clip(score / w, -longest, longest)


def _newton(
    likelihood: RowLikelihood,
    etas: Mapping[str, np.ndarray],
    predictors: Mapping[str, PredictorApproximation],
    phi: np.ndarray,
) -> tuple[np.ndarray, float]:
    """One damped Newton step on the family's own parameters, unconstrained: where it leads, and its longest component.

    Derivatives are finite differences; three nodes will do for the expectation over eta.
    """
    nodes, weights = np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0]), np.array([1.0, 4.0, 1.0]) / 6.0
    if not any(predictor.variance.any() for predictor in predictors.values()):
        nodes, weights = np.zeros(1), np.ones(1)

    def objective(phi: np.ndarray) -> float:
        total = likelihood.prior(phi)
        for h, weight in zip(nodes, weights, strict=True):
            at_node = {p: eta + h * np.sqrt(predictors[p].variance) for p, eta in etas.items()}
            total += weight * float(np.sum(likelihood.rows(at_node, phi)))
        return total

    d, middle, m = 0.05, objective(phi), len(phi)
    steps = np.eye(m) * d
    low, high = (np.array([objective(phi + sign * e) for e in steps]) for sign in (-1, 1))
    slope = (high - low) / (2 * d)
    hessian = np.diag((high - 2 * middle + low) / d**2)
    together = m <= TOGETHER or m * m * sum(map(len, etas.values())) <= SMALL
    for i, j in itertools.combinations(range(m), 2) if together else ():
        hessian[i, j] = hessian[j, i] = (objective(phi + steps[i] + steps[j]) - high[i] - high[j] + middle) / d**2
    if not (np.isfinite(slope).all() and np.isfinite(hessian).all()):
        return phi, 0.0
    values, vectors = np.linalg.eigh(-hessian)
    step = vectors @ ((vectors.T @ slope) / np.maximum(np.abs(values), 1e-3))
    step *= min(1.0, 1.0 / max(1e-12, float(np.max(np.abs(step)))))
    return phi + step, float(np.max(np.abs(step)))
