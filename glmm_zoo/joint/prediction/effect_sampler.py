"""Draws of what is predicted for subjects with a history: over the posterior of the parameters and over the effects of a subject.

A subject was measured at times up to a landmark t and free of the event until then. Its probability of staying so until u > t is

    pi(u | t) = P(T > u | T > t, y up to t) = E_theta E_b [S(u | b) / S(t | b)],    S(u | b) = exp(-H(u | b)),

theta from the posterior and b, the subject's own effects, from

    p(b | T > t, y, theta)  ∝  prod_j f(y_j | b) S(t | b) Normal(b; 0, Sigma)

(Rizopoulos 2011, Biometrics 67). theta does not learn from the history anew. For every draw of theta, M points b_m about the
mode of p, t-distributed with its curvature, have weights w_m ∝ p(b_m) / t(b_m), sum_m w_m = 1: sum_m w_m g(b_m) is the
mean of g, and one b_m picked with these weights is a draw of b. This serves all families: f comes from the graph that is
fitted, its derivatives are numerical, and a poor t costs precision, as `ess` shows, but no error remains as M grows. The
points are quasi-random and the same for all subjects, so that predictions for one do not depend on who else is asked for.

Cumulative incidence int_t^u h_k S / S(t) ds is summed over fractions (a, a + d] of the intervals between times, the ratio of the
causes' hazards constant on each:

    S(a | b) / S(t | b) (1 - exp(-dH)) dH_k / dH
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from glmm_zoo.errors import InputError, listing
from glmm_zoo.families.links import LINKS
from glmm_zoo.families.tensors import VariableLookup
from glmm_zoo.joint.prediction.fitted import FittedJointModel
from glmm_zoo.joint.prediction.histories import SubjectHistories
from glmm_zoo.joint.prediction.history_likelihood import CumulativeHazards, HistoryLikelihood, level_of_copy
from glmm_zoo.joint.trajectories import MarkerDesign
from glmm_zoo.results.storage import posterior_with_effects

EFFECT_POINTS = 16  # M, an even number
DEGREES_OF_FREEDOM = 8.0  # of the t: its tails are longer than those of the normal prior of b
FRACTIONS = 8  # of an interval between times, for cumulative incidence
_FIRST_STEPS, _LATER_STEPS = 25, 2  # of Newton to the mode: for the first draw of theta, then from the mode before
_LONGEST_STEP = 5.0  # of Newton, in sds of an effect


@dataclass(frozen=True)
class PredictionDraws:
    """For every one of D draws of theta, by what is predicted: `means` (D, n, ...) over b, and `picks`, the values at one b each.

    `ess` (n,) is the share of the points for b that are effective.
    """

    means: Mapping[str, np.ndarray]
    picks: Mapping[str, np.ndarray]
    ess: np.ndarray


def draw_predictions(
    fit: FittedJointModel, subjects: SubjectHistories, times: np.ndarray, draws: int, seed: int
) -> PredictionDraws:
    """Survival and cumulative incidence of n subjects from their landmarks to the times (T,), and their markers at these."""
    theta = _posterior_draws(fit, draws)
    sampler = _EffectSampler.of(fit, HistoryLikelihood.of(fit, subjects))
    factors, n, M = sampler.subject_factors, len(subjects.ids), EFFECT_POINTS
    Sigma = _effect_covariance(fit, theta)
    x, log_t, u = _quasi_random_points(fit.effect_count, draws, seed)
    ahead = _hazards_ahead(subjects, times).copied(M, factors)
    subject, t = np.repeat(np.arange(n), len(times)), np.tile(times, n)
    markers = [
        trajectory.value_design(subject, t).repeated(M, factors, level_of_copy(M))
        for trajectory in subjects.hazard.trajectories
    ]
    means: dict[str, np.ndarray] = {}
    picks: dict[str, np.ndarray] = {}
    ess, mode = np.zeros(n), np.zeros((n, fit.effect_count))
    for d in range(draws):
        draw = {name: values[d] for name, values in theta.items()}
        steps = _LATER_STEPS if d else _FIRST_STEPS
        mode, b, w = sampler.weighted_points(draw, Sigma[d], mode, steps, x[d], log_t[d])
        ess += 1.0 / (w**2).sum(axis=1) / (M * draws)
        picked = np.minimum((np.cumsum(w, axis=1) < u[d]).sum(axis=1), M - 1)
        value_of = sampler.lookup(draw)(b.reshape(n * M, -1))
        for name, g in _predicted_values(fit, n, len(times), ahead, markers, value_of).items():
            if not d:
                means[name], picks[name] = (np.empty((draws, *g.shape[:-1])) for _ in range(2))
            means[name][d] = np.einsum("n...m,nm->n...", g, w)
            picks[name][d] = g[np.arange(n), ..., picked]
    return PredictionDraws(means, picks, ess)


@dataclass(frozen=True)
class _EffectSampler:
    """Weighted points for the effects b of n subjects; `survived` are their hazards until the landmarks for M copies of each."""

    fit: FittedJointModel
    likelihood: HistoryLikelihood
    subject_factors: Sequence[str]
    survived: CumulativeHazards

    @classmethod
    def of(cls, fit: FittedJointModel, likelihood: HistoryLikelihood) -> _EffectSampler:
        factors = [g.factor.name for g in fit.subject_groups]
        return cls(fit, likelihood, factors, likelihood.survived.copied(EFFECT_POINTS, factors))

    def lookup(self, draw: Mapping[str, np.ndarray]) -> Callable[[np.ndarray], VariableLookup]:
        """The variables of the model at a draw of theta, as a function of the effects b (levels, q)."""
        slices = self.fit.effect_slices
        return lambda b: {**draw, **{name: b[:, at] for name, at in slices.items()}}.__getitem__

    def weighted_points(
        self,
        draw: Mapping[str, np.ndarray],
        Sigma: np.ndarray,
        mode: np.ndarray,
        steps: int,
        x: np.ndarray,
        log_t: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mode (n, q) of b, points (n, M, q) about it and their weights (n, M), at one draw of theta.

        `mode` is where the search begins, of so many `steps` of Newton's method; x (M, q) are the points before they are scaled
        and log_t (M,) their log density.
        """
        likelihood, lookup_at = self.likelihood, self.lookup(draw)
        n, q = mode.shape
        at_zero = likelihood.at_zero(lookup_at(np.zeros((n, q))))
        K, sd = np.linalg.inv(Sigma), np.sqrt(np.diag(Sigma))
        P, slopes = np.empty((n, q, q)), likelihood.constant_slopes(mode, lookup_at, sd)
        for _ in range(steps):
            gradient, information = likelihood.derivatives(at_zero, mode, draw, lookup_at, sd, slopes)
            P = K + information
            step = np.linalg.solve(P, (gradient - mode @ K)[:, :, None])[:, :, 0]
            longest = np.maximum(np.abs(step / sd).max(axis=1), 1e-12)
            mode = mode + step * np.minimum(1.0, _LONGEST_STEP / longest)[:, None]
        L = np.linalg.cholesky(P)  # (n, q, q), of the last step
        b = mode[:, None, :] + np.linalg.solve(np.swapaxes(L, 1, 2), x.T).swapaxes(1, 2)  # (n, M, q)
        M = len(x)
        H = self.survived.sums(lookup_at(b.reshape(n * M, q))).sum(axis=1).reshape(n, M)
        log_f = likelihood.log_f(at_zero, b.swapaxes(0, 1), draw)
        log_w = log_f.T - H - 0.5 * np.einsum("nmq,qp,nmp->nm", b, K, b) - log_t
        return mode, b, special.softmax(log_w, axis=1)


# ------------------------------------------------------------------------------------------------ draws of the parameters


def _posterior_draws(fit: FittedJointModel, draws: int) -> dict[str, np.ndarray]:
    """Draws (D, ...) of everything but the subjects' effects, evenly spaced among those of the fit; again from the first where
    it has fewer."""
    subject_variables = {name for g in fit.subject_groups for name in (g.name("u"), g.free("u"))}
    others = [g for g in fit.hazard.groups if g.name("u") not in subject_variables]
    posterior = posterior_with_effects(fit.tree) if others else fit.tree["posterior"].to_dataset()
    kept = posterior.drop_vars(subject_variables, errors="ignore").stack(sample=("chain", "draw"))
    without_draws = [g.factor.name for g in others if g.name("u") not in kept]
    if without_draws:
        raise InputError(
            f"of the effects of {listing(map(repr, without_draws))} the fit kept moments only; fit again with keep_group_effects='draws'"
        )
    finished = np.flatnonzero(
        np.isfinite(kept["assoc"].transpose("sample", ...).values.reshape(kept.sizes["sample"], -1)).all(1)
    )
    chosen = kept.isel(sample=finished[np.arange(draws) * len(finished) // draws])
    return {str(name): v.transpose("sample", ...).values for name, v in chosen.data_vars.items()}


def _effect_covariance(fit: FittedJointModel, theta: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sigma (D, q, q) of the subject effects, which are independent between groups."""
    q = fit.effect_count
    Sigma = np.zeros((len(theta["assoc"]), q, q))
    for g in fit.subject_groups:
        at, sd = fit.effect_slices[g.name("u")], theta[g.name("sd")]
        corr = theta[g.name("corr")] if g.name("corr") in theta else np.eye(len(g.labels))
        Sigma[:, at, at] = sd[:, :, None] * corr * sd[:, None, :]
    return Sigma


def _quasi_random_points(q: int, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points x (D, M, q) of q independent t's and their log density (D, M), up to a constant; numbers (D,) in (0, 1) to pick one
    point of each draw with.

    Half of the points are k a mod 1 in (0, 1)^q with a_j = phi^-j, phi the positive root of phi^(q + 1) = phi + 1 (Roberts 2018),
    moved around by an amount of its own for every draw of theta (Cranley & Patterson 1976), the others their opposites: what is odd
    in x has its mean exactly.
    """
    phi = 2.0
    for _ in range(40):  # a contraction
        phi = (1 + phi) ** (1 / (q + 1))
    rng = np.random.default_rng(seed)
    net = np.arange(EFFECT_POINTS // 2)[:, None] * phi ** -np.arange(1.0, q + 1)
    u = np.clip((net + rng.random((draws, 1, q))) % 1.0, 1e-12, 1 - 1e-12)
    half = special.stdtrit(DEGREES_OF_FREEDOM, u)
    x = np.concatenate([half, -half], axis=1)
    log_t = -0.5 * (DEGREES_OF_FREEDOM + 1) * np.log1p(x**2 / DEGREES_OF_FREEDOM).sum(axis=-1)
    return x, log_t, rng.random(draws)


# ------------------------------------------------------------------------------------------------------ what is predicted


def _hazards_ahead(subjects: SubjectHistories, times: np.ndarray) -> CumulativeHazards:
    """Cumulative hazards over the intervals from landmark to times, (n, T), in fractions where causes compete: (n, T, F)."""
    n, T, F = len(subjects.ids), len(times), FRACTIONS if subjects.hazard.events.competing else 1
    start = np.maximum(subjects.landmark[:, None], np.append(0.0, times[:-1]))
    length = np.maximum(times - start, 0.0)
    a, b = (start[:, :, None] + length[:, :, None] * (np.arange(F) + end) / F for end in (0, 1))
    row = np.repeat(subjects.hazard.events.last, T * F)
    return CumulativeHazards.over(subjects.hazard, row, a.ravel(), b.ravel(), np.arange(n * T * F), n * T * F)


def _predicted_values(
    fit: FittedJointModel,
    n: int,
    T: int,
    ahead: CumulativeHazards,
    markers: Sequence[MarkerDesign],
    value_of: VariableLookup,
) -> dict[str, np.ndarray]:
    """What is predicted at M points b: `survival` (n, T, M), `cif` (n, T, causes, M), markers (n, T, outcomes, M)."""
    M = EFFECT_POINTS
    dH = ahead.sums(value_of).reshape(n, -1, M, len(fit.hazard.causes))  # (n, T F, M, causes)
    all_causes = dH.sum(axis=-1)
    H, ends = np.cumsum(all_causes, axis=1), slice(all_causes.shape[1] // T - 1, None, all_causes.shape[1] // T)
    values = {"survival": np.exp(-H[:, ends])}
    if fit.hazard.events.competing:
        share = dH / np.where(all_causes > 0, all_causes, 1.0)[..., None]
        in_fraction = (np.exp(all_causes - H) * -np.expm1(-all_causes))[..., None] * share
        values["cif"] = np.moveaxis(np.cumsum(in_fraction, axis=1)[:, ends], 2, 3)
    etas = [
        design.linear_predictor(part.prefix, part, fit.hazard.groups, value_of).reshape(n, T, M)
        for design, part in zip(markers, fit.joint.parts, strict=True)
    ]
    values["marker"] = np.stack(etas, axis=2)
    values["response"] = np.stack(
        [
            np.full(eta.shape, np.nan) if part.main.cutpoints else LINKS[part.link].inverse(eta)
            for eta, part in zip(etas, fit.joint.parts, strict=True)
        ],
        axis=2,
    )
    return values
