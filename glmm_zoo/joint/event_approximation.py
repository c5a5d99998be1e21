"""A normal approximation of the posterior of the event's parameters, given estimates of the longitudinal part.

It is found by a Poisson regression on points of the follow-up, and tells the sampler where to start and how parameters are scaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pymc.logprob.transforms import Transform

from glmm_zoo.families.tensors import Array, VariableLookup
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.formulas.structures import KnownCovariance
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.transforms.bent_log import BentLogTransform
from glmm_zoo.graph.transforms.group_effects import GroupEffectsInformation, GroupEffectsTransform
from glmm_zoo.joint.hazards import FRAILTY, FRAILTY_SD, HazardModel, HazardPoints, person_time_nodes
from glmm_zoo.plans.groups import Group

EVENT = "event"  # the observed variable
_STEPS = 50  # of Newton's method, at most
_LEAST_SD, _SETTLED = 0.05, 0.01  # of frailties, and its change in the last round
_AT_MEANS = "_at_means"


class EventApproximation:
    """The approximation for one model: `hazard` is its event, `center` as it was built with.

    `name` is the observed variable that it stands for.
    """

    name = EVENT

    def __init__(self, model: Model, hazard: HazardModel, center: bool):
        self.model, self.hazard, self.center = model, hazard, center

    def approximate(
        self, coefficients: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray]
    ) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]:
        """Elements (variable, index) of the event's parameters, unconstrained, with their mean (m,) and covariance (m, m).

        `coefficients` has, by prefix, those of each linear predictor, its intercept first; `effects` the group effects. Causes
        are independent of each other.
        """
        rows = self._follow_up(coefficients, effects)
        by_cause: list[tuple[list[tuple[str, int]], np.ndarray, np.ndarray]] = []
        for k, cause in enumerate(self.hazard.causes):
            elements, mean, precision = self._prior(cause)
            theta, information = _poisson_mode(
                rows.D, rows.sum_at_events(k), rows.log_time, rows.offset, mean, precision
            )
            by_cause.append(_with_log_shape(elements, theta, np.linalg.inv(information)))
        return self._free_elements(by_cause)

    def transforms(
        self, coefficients: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray]
    ) -> dict[str, Transform]:
        """What the sampler moves in the place of frailties and their sd, from the same regression: given its other parameters theta the
        events of a subject say v (c - B' theta) - A v^2 / 2 of its frailty v, near the mode.
        """
        events = self.hazard.events
        if not events.frailty:
            return {}
        rows, n = self._follow_up(coefficients, effects), len(events.ids)
        _, mean, precision = self._prior(None)
        v, sd, d = np.zeros(n), 1.0, events.counts
        for _ in range(_STEPS):
            before, offset = sd, rows.offset + v[rows.subject]
            theta, _ = _poisson_mode(rows.D, rows.sum_at_events(0), rows.log_time, offset, mean, precision)
            mu = np.exp(np.clip(rows.D @ theta + rows.log_time + rows.offset, -700.0, 50.0))
            H = np.bincount(rows.subject, mu, n)
            A = H * np.exp(v)
            v = v + np.clip((d - A - v / sd**2) / (A + sd**-2.0), -1.0, 1.0)
            A = H * np.exp(v)
            sd = max(float(np.sqrt(np.mean(v**2 + 1 / (A + sd**-2.0)))), _LEAST_SD)
            if abs(sd - before) < _SETTLED * sd:
                break
        B = np.zeros((n, len(theta)))
        np.add.at(B, rows.subject, rows.D * (mu * np.exp(v[rows.subject]))[:, None])
        information = GroupEffectsInformation(A[:, None, None], (A * v + d - A + B @ theta)[:, None], B[:, None, :])
        return {FRAILTY: GroupEffectsTransform(1, information), FRAILTY_SD: BentLogTransform(sd)}

    def _follow_up(self, coefficients: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray]) -> _FollowUp:
        """Points of the follow-up and the events, with the columns of log h given estimates of the longitudinal part."""
        hazard, events = self.hazard, self.hazard.events
        value_of = self._lookup(coefficients, effects)
        stop = events.stop.copy()
        stop[events.last] = (events.left + events.time) / 2  # the middle of an interval
        rows, t, weight = person_time_nodes(events.begin, stop)
        came = events.event_rows
        return _FollowUp(
            events.subject[rows],
            self._design(hazard.points(events.subject[rows], rows, t), value_of),
            np.log(np.maximum(weight, 1e-300)),
            np.zeros(len(t)) if events.offset is None else events.offset[rows],
            self._design(hazard.points(events.subject[came], came, stop[came]), value_of),
            events.row_status[came],
        )

    def _free_elements(
        self, by_cause: Sequence[tuple[list[tuple[str, int]], np.ndarray, np.ndarray]]
    ) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]:
        """All causes together, without the variables that the model holds fixed."""
        free = {rv.name for rv in self.model.free_RVs}
        kept_by_cause = [[i for i, (rv, _) in enumerate(elements) if rv in free] for elements, _, _ in by_cause]
        size = sum(len(kept) for kept in kept_by_cause)
        covariance, at = np.zeros((size, size)), 0
        for kept, (_, _, C) in zip(kept_by_cause, by_cause, strict=True):
            covariance[at : at + len(kept), at : at + len(kept)] = C[np.ix_(kept, kept)]
            at += len(kept)
        return (
            [elements[i] for kept, (elements, _, _) in zip(kept_by_cause, by_cause, strict=True) for i in kept],
            np.concatenate([mean[kept] for kept, (_, mean, _) in zip(kept_by_cause, by_cause, strict=True)]),
            covariance,
        )

    def _lookup(self, coefficients: Mapping[str, np.ndarray], effects: Mapping[str, np.ndarray]) -> VariableLookup:
        """The estimates of the longitudinal part under the names of the model's variables."""
        values: dict[str, Array] = {}
        for p in self.model.predictors:
            X, of_predictor = p.population, coefficients[p.prefix]
            lead = int(X.intercept)
            beta = of_predictor[lead : lead + len(X.labels)]
            if f"{prefixed(p.prefix, 'beta')}_at_means" in self.model.auxiliary:
                beta = X.to_zero @ beta
            values[prefixed(p.prefix, "beta")] = beta
            if lead:
                centred = f"{prefixed(p.prefix, 'Intercept')}_at_means" in self.model.auxiliary
                values[prefixed(p.prefix, "Intercept")] = of_predictor[0] - (X.means @ beta if centred else 0.0)
            values |= {m.name(p.prefix): np.full(m.size, 1 / m.size) for m in X.monotonic}
        for group in self.model.groups:
            u = values[group.name("u")] = np.zeros((len(group.factor.levels), len(group.labels)))
            for prefix in dict.fromkeys(group.owners):
                own = [k for k, owner in enumerate(group.owners) if owner == prefix]
                if isinstance(group.structure, KnownCovariance):
                    u[:, own] = group.structure.basis @ self._coordinates(group, coefficients[prefix], prefix)
                elif f"{prefix} {group.factor.name}" in effects:
                    u[:, own] = effects[f"{prefix} {group.factor.name}"]
            if group.to_zero is not None:
                u[:] = u @ group.to_zero.T
        return values.__getitem__

    def _coordinates(self, group: Group, of_predictor: np.ndarray, prefix: str) -> np.ndarray:
        """Those (q, effects) of effects with a known covariance, which are the weights of columns and follow the other coefficients."""
        linear = self.model.linear[prefix]
        start = len(linear.priors)
        for weights in linear.smooth_weights:
            if weights.name == group.random:
                return of_predictor[start : start + len(weights.sd_of)].reshape(len(weights.places), -1).T
            start += len(weights.sd_of)
        raise AssertionError(f"no columns of {group.random}")

    def _design(self, points: HazardPoints, value_of: VariableLookup) -> np.ndarray:
        """Columns (N, m) of log h: those of the baseline, the covariates and the association terms, centred as in the model."""
        hazard, events, baseline = self.hazard, self.hazard.events, self.hazard.baseline
        B = baseline.basis(points.t)
        if "h0_precision" in self.model.chosen:
            v, A = baseline.random_walk
            B = np.column_stack([np.ones(len(B)), B @ v, B @ A / np.sqrt(_prior_precision(self.model))])
        if baseline.kind == "weibull":
            B = np.column_stack([B, np.log(np.maximum(points.t - baseline.origin, 1e-300))])
        X = events.covariates
        W = (X.centred if self.center else X.values)[points.row]
        terms = enumerate(hazard.terms)
        f = np.column_stack(
            [hazard.term_value(points, j, value_of, np) - (t.centre if self.center else 0.0) for j, t in terms]
        )
        return np.column_stack([B, W, f @ self.model.to_zero["assoc"] if "assoc" in self.model.to_zero else f])

    def _prior(self, cause: int | None) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]:
        """Elements in the order of `_design`, with the means and precisions (m,) of their priors, as if all were normal."""
        elements, mean, precision = event_elements(self.model, self.hazard, cause), [], []
        for name, position in elements:
            chosen = self.model.chosen.get(name.removesuffix(_AT_MEANS))
            if chosen is None or name == "weibull_shape":
                prior = {"mu": 0.0, "sigma": 1.0}
            else:
                prior = chosen[position].arguments
            mean.append(prior.get("mu", 0.0))
            precision.append(prior.get("sigma", 100.0) ** -2.0)
        return elements, np.array(mean), np.array(precision)


@dataclass(frozen=True)
class _FollowUp:
    """N points of the follow-up: whose each is, the columns of log h there D (N, m), the log of the time that it stands for, the offset;
    and of E events the columns `at_event` (E, m) and their cause, from 1."""

    subject: np.ndarray
    D: np.ndarray
    log_time: np.ndarray
    offset: np.ndarray
    at_event: np.ndarray
    cause: np.ndarray

    def sum_at_events(self, k: int) -> np.ndarray:
        """The sum of the columns (m,) at the events of the cause at position k."""
        return self.at_event[self.cause == k + 1].sum(axis=0)


def event_elements(model: Model, hazard: HazardModel, cause: int | None) -> list[tuple[str, int]]:
    """The elements (variable, position) of the parameters of one cause, baseline, covariates, associations, as the model has them free."""
    baseline, causes = hazard.baseline, len(hazard.events.causes)
    if "h0_precision" in model.chosen:
        sizes = {"h0_level": 1, "h0_trend": 1, "h0_steps": baseline.size - 2}
    else:
        sizes = {baseline.variable: baseline.size}
    if baseline.kind == "weibull":
        sizes["weibull_shape"] = 1
    sizes |= {"surv_beta": len(hazard.events.covariates.labels), "assoc": len(hazard.terms)}
    return [
        (f"{name}{_AT_MEANS}" if f"{name}{_AT_MEANS}" in model.named_vars else name, i * causes + (cause or 0))
        for name, size in sizes.items()
        for i in range(size)
    ]


def _poisson_mode(
    D: np.ndarray,
    sum_at_events: np.ndarray,
    log_time: np.ndarray,
    offset: np.ndarray,
    mean: np.ndarray,
    precision: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Mode theta (m,) and information (m, m) of a Poisson regression with independent normal priors, by Newton's method.

    D (N, m) are columns at points of the follow-up, which stand for exp(log_time) (N,); `sum_at_events` (m,) is the sum of the
    columns at the events.
    """
    theta, information = mean.copy(), np.diag(precision)
    for _ in range(_STEPS):
        mu = np.exp(np.clip(D @ theta + log_time + offset, -700.0, 50.0))
        score = sum_at_events - D.T @ mu - precision * (theta - mean)
        information = (D * mu[:, None]).T @ D + np.diag(precision)
        step = np.linalg.solve(information, score)
        step *= min(1.0, 2.0 / max(1e-12, float(np.max(np.abs(D @ step)))))
        theta = theta + step
        if np.max(np.abs(D @ step)) < 1e-6:
            break
    return theta, information


def _with_log_shape(
    elements: Sequence[tuple[str, int]], theta: np.ndarray, covariance: np.ndarray
) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]:
    """With the logarithm of a Weibull shape, s + 1, in place of s: log h = a + s log t, a = log lambda + log k."""
    theta = theta.copy()
    shape = next((i for i, (rv, _) in enumerate(elements) if rv == "weibull_shape"), None)
    if shape is not None:
        k = max(1.0 + theta[shape], 0.2)
        J = np.eye(len(theta))
        J[0, shape], J[shape, shape] = -1.0 / k, 1.0 / k
        theta[0], theta[shape] = theta[0] - np.log(k), np.log(k)
        covariance = J @ covariance @ J.T
    return list(elements), theta, covariance


def _prior_precision(model: Model) -> float:
    """The prior mean of the precision of a spline's second differences, 10 where the prior is no gamma."""
    arguments = model.chosen["h0_precision"][0].arguments
    return arguments["alpha"] / arguments["beta"] if {"alpha", "beta"} <= set(arguments) else 10.0
