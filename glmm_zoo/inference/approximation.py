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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from glmm_zoo.inference.predictor_approximation import PredictorApproximation, before_the_first_round
from glmm_zoo.inference.predictor_data import PredictorData, predictor_data
from glmm_zoo.inference.row_likelihood import RowLikelihood, row_likelihood, standard_deviation_priors

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

_log = logging.getLogger("glmm_zoo")

NODES = 21  # of the Gauss-Hermite rule
ROUNDS = 100
TOLERANCE = 2e-3  # of eta, in units of its standard deviation
PHI_TOLERANCE = 0.02  # of the family's own parameters, unconstrained
TOGETHER = 10  # parameters of the family whose second derivatives are all computed,
SMALL = 1e5  # and so many parameters^2 x rows
_LONGEST_STEP = 3.0  # of eta in the first rounds, in units of the link
_SHORT_ROUNDS = 5  # after them the longest step doubles with each round
_LEAST_VARIANCE = 1e-6  # of eta at the nodes, in squared units of the link: differences of log f lose digits below
_WIDER = 1.5  # about as far as posteriors of sds of group effects reach
_NODES_OF_TWO, _MANY_BESIDE = 5, 3
SETTLED = 0.02  # a change up to which an approximation stands for its limit


@dataclass(frozen=True)
class GaussianApproximation:
    """What was found: q of each linear predictor, by prefix, and the family's own parameters `phi` (m,), unconstrained.

    `change` is that of the last round, in standard deviations of eta.
    """

    predictors: Mapping[str, PredictorApproximation]
    likelihood: RowLikelihood
    phi: np.ndarray
    change: float

    def estimates(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Means of the coefficients, by prefix, and of the group effects (levels, k), by "prefix factor"."""
        effects = {
            f"{prefix} {group.factor.name}": u
            for prefix, predictor in self.predictors.items()
            for group, u in zip(predictor.data.groups, predictor.u, strict=True)
        }
        return {prefix: predictor.b for prefix, predictor in self.predictors.items()}, effects

    def shared_weights(self, one: str, other: str) -> np.ndarray | None:
        """The weight (n,) that two predictors of the same rows share, minus the mean second derivative of log f by both; None of
        others. It is scaled as the weights of the two are from their curvatures."""
        rows, a, b = self.likelihood.rows_of[one], self.predictors[one], self.predictors[other]
        if rows != self.likelihood.rows_of[other]:
            return None
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES_OF_TWO)
        weights = weights / weights.sum()
        means = {p: q.mean for p, q in self.predictors.items() if self.likelihood.rows_of[p] == rows}
        sd_a, sd_b = (np.sqrt(np.maximum(q.variance, _LEAST_VARIANCE * q.data.unit**2)) for q in (a, b))
        bend = np.zeros((3, len(sd_a)))  # by one twice, by the other twice, by both
        for (h, v), (k, w) in itertools.product(zip(nodes, weights, strict=True), repeat=2):
            etas = {**means, one: a.mean + h * sd_a, other: b.mean + k * sd_b}
            bend -= v * w * np.outer([h * h - 1, k * k - 1, h * k], self.likelihood.rows(etas, self.phi)[rows])
        own = np.sqrt(np.maximum(bend[0] / sd_a**2, 1e-12) * np.maximum(bend[1] / sd_b**2, 1e-12))
        share = np.nan_to_num(bend[2] / (sd_a * sd_b) / own)
        return np.clip(share, -1.0, 1.0) * np.sqrt(a.w * b.w)


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
    Newton step on phi. Rounds that do not get nearer are damped."""
    predictors = {p: before_the_first_round(data) for p, data in _data_of_predictors(model, likelihood).items()}
    phi = likelihood.start.copy()
    change, fraction = np.inf, 1.0
    for turn in range(ROUNDS):
        before, change = change, 0.0
        longest = _LONGEST_STEP * 2.0 ** max(0, turn - _SHORT_ROUNDS)
        for p, predictor in predictors.items():
            w, score, curvature = _sites(likelihood, predictors, p, phi, longest)
            kept = 1.0 - fraction if turn else 0.0
            t = (1.0 - kept) * (w * predictor.mean + score) + kept * predictor.w * (predictor.y + predictor.data.offset)
            damped = (1.0 - kept) * w + kept * predictor.w
            updated = predictor.updated(damped, t / damped)
            moved = np.abs(updated.mean - predictor.mean) / np.sqrt(updated.variance + 1e-6 * predictor.data.unit**2)
            held_back = (w - curvature) * updated.variance
            change = max(change, float(np.max(moved)) / (1.0 - kept), float(np.max(held_back)), updated.change)
            predictors[p] = updated
        phi, step_of_phi = _newton(likelihood, predictors, phi)
        change = max(change, step_of_phi * TOLERANCE / PHI_TOLERANCE)
        if not all(np.isfinite(predictor.mean).all() for predictor in predictors.values()):
            raise FloatingPointError("it is not finite")
        if change < TOLERANCE and turn > 3:
            break
        fraction = max(0.1, fraction / 2) if change > before and turn > _SHORT_ROUNDS else min(1.0, 1.3 * fraction)
    if change > 1.0:
        raise FloatingPointError(f"it did not settle in {ROUNDS} rounds")
    steered = {p: _with_secant_weights(likelihood, predictors, p, phi) for p in predictors}
    return GaussianApproximation(steered, likelihood, phi, change), turn + 1


def _with_secant_weights(
    likelihood: RowLikelihood, predictors: Mapping[str, PredictorApproximation], prefix: str, phi: np.ndarray
) -> PredictorApproximation:
    """The approximation of one predictor with weights and working responses that hold as the sds of the effects move, too.

    Where a level has only zeros, say, its effect moves out as the sd grows, where its rows say less. The weight of a row is the
    change of its score for that of eta between the sds and `_WIDER` times these; curvatures hold at the sds alone.
    """
    here = predictors[prefix]
    if not here.S:
        return here
    wider = there = replace(here, S=[S * _WIDER**2 for S in here.S])
    w, score, _ = _sites(likelihood, predictors, prefix, phi, np.inf)
    for _round in range(6):
        own, its_score, _ = _sites(likelihood, {**predictors, prefix: there}, prefix, phi, np.inf)
        there = there.updated(own, there.mean + its_score / own)
        there = replace(there, S=wider.S, correlations=here.correlations, sds=here.sds)
    _, its_score, _ = _sites(likelihood, {**predictors, prefix: there}, prefix, phi, np.inf)
    moved = there.mean - here.mean
    far = (np.abs(moved) > 0.1 * np.sqrt(here.variance)) & np.isfinite(moved) & np.isfinite(its_score)
    secant = np.where(far, np.clip((score - its_score) / np.where(far, moved, 1.0), 0.2 * w, 2.0 * w), w)
    return replace(here, w=secant, y=here.mean + score / secant - here.data.offset)


def _data_of_predictors(model: Model, likelihood: RowLikelihood) -> dict[str, PredictorData]:
    """The arrays of every linear predictor that the likelihood has rows of."""
    smooths = [smooth for p in likelihood.rows_of for smooth in model.linear[p].smooth_weights]
    sizes = {g.name("sd"): len(g.strata) * len(g.labels) for g in model.groups}
    sizes |= {s.sd: s.sd_of.max() + 1 for s in smooths if not s.places}
    priors = standard_deviation_priors(model, sizes)
    return {
        p: predictor_data(
            p,
            model.linear[p],
            [g for g in model.groups if p in g.owners and not g.in_design],
            model.scales.get(p, 1.0),
            priors,
        )
        for p in likelihood.rows_of
    }


def _sites(
    likelihood: RowLikelihood,
    predictors: Mapping[str, PredictorApproximation],
    prefix: str,
    phi: np.ndarray,
    longest: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights w (n,), scores s (n,) and curvatures (n,) of the rows of one predictor, averaged over the others of these rows.

    A weight is the curvature, and more where s / w would be a step longer than `longest`, in units of the link. At the
    stationary point that changes the variance only, and nothing when `longest` has grown.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    predictor, rows = predictors[prefix], likelihood.rows_of[prefix]
    unit = predictor.data.unit
    sd = np.sqrt(np.maximum(predictor.variance, _LEAST_VARIANCE * unit**2))
    beside = {p: q for p, q in predictors.items() if likelihood.rows_of[p] == rows and p != prefix}
    score, curvature = np.zeros(len(sd)), np.zeros(len(sd))
    for etas, weight in _at_nodes(beside, 3):
        log_f = np.empty((len(nodes), len(sd)))
        for there, h in zip(log_f, nodes, strict=True):
            there[:] = likelihood.rows({**etas, prefix: predictor.mean + h * sd}, phi)[rows]
        middle = log_f[NODES // 2].copy()
        log_f[~np.isfinite(log_f)] = -1e10
        log_f -= middle
        score += weight * np.tensordot(weights * nodes, log_f, 1) / sd
        curvature -= weight * np.tensordot(weights * (nodes**2 - 1), log_f, 1) / sd**2
    curvature = np.maximum(curvature, 1e-6 / unit**2)
    return np.maximum(curvature, np.abs(score) / (longest * unit)), score, curvature


def _at_nodes(
    predictors: Mapping[str, PredictorApproximation], count: int
) -> list[tuple[dict[str, np.ndarray], float]]:
    """Values of these predictors, by prefix, and weights: Gauss-Hermite nodes of each, with all of the others; of many predictors the
    two points of each that are exact for cubic functions (McNamee & Stenger 1967)."""
    d = len(predictors)
    if d > _MANY_BESIDE:
        means = {p: q.mean for p, q in predictors.items()}
        return [
            ({**means, p: q.mean + sign * np.sqrt(d * q.variance)}, 0.5 / d)
            for p, q in predictors.items()
            for sign in (-1, 1)
        ]
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    rules = [
        [(p, q.mean + h * np.sqrt(q.variance), w) for h, w in zip(nodes, weights / weights.sum(), strict=True)]
        if q.variance.any()
        else [(p, q.mean, 1.0)]
        for p, q in predictors.items()
    ]
    return [
        ({p: eta for p, eta, _ in point}, float(np.prod([w for *_, w in point]))) for point in itertools.product(*rules)
    ]


def _newton(
    likelihood: RowLikelihood, predictors: Mapping[str, PredictorApproximation], phi: np.ndarray
) -> tuple[np.ndarray, float]:
    """One damped Newton step on the family's own parameters, unconstrained: where it leads, and its longest component.

    Derivatives are finite differences.
    """
    if not len(phi):
        return phi, 0.0
    by_rows: dict[tuple[int, int], list[str]] = {}
    for p, rows in likelihood.rows_of.items():
        by_rows.setdefault((rows.start, rows.stop), []).append(p)
    # predictors of different rows go through their nodes together
    rules = [_at_nodes({p: predictors[p] for p in own}, 3 if len(own) > 1 else NODES) for own in by_rows.values()]

    def objective(phi: np.ndarray) -> float:
        total = likelihood.prior(phi)
        for (start, stop), rule in zip(by_rows, rules, strict=True):
            total += sum(weight * float(np.sum(likelihood.rows(etas, phi)[start:stop])) for etas, weight in rule)
        return total

    d, middle, m = 0.05, objective(phi), len(phi)
    steps = np.eye(m) * d
    low, high = (np.array([objective(phi + sign * e) for e in steps]) for sign in (-1, 1))
    slope = (high - low) / (2 * d)
    hessian = np.diag((high - 2 * middle + low) / d**2)
    together = m <= TOGETHER or m * m * sum(len(predictor.mean) for predictor in predictors.values()) <= SMALL
    for i, j in itertools.combinations(range(m), 2) if together else ():
        hessian[i, j] = hessian[j, i] = (objective(phi + steps[i] + steps[j]) - high[i] - high[j] + middle) / d**2
    if not (np.isfinite(slope).all() and np.isfinite(hessian).all()):
        return phi, 0.0
    values, vectors = np.linalg.eigh(-hessian)
    step = vectors @ ((vectors.T @ slope) / np.maximum(np.abs(values), 1e-3))
    step *= min(1.0, 1.0 / max(1e-12, float(np.max(np.abs(step)))))
    return phi + step, float(np.max(np.abs(step)))
