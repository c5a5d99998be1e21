"""What the likelihood of a subject that entered late is divided by: the probability of surviving until its entry V,

    S(V) = E[exp(-H(V | u))],  u ~ Normal(0, L L')

marginal over its effects, whose distribution is that of all at the origin, the first entry (van den Berg & Drepper 2016; Crowther et al. 2016).
To integrate the hazard from V on instead, as JMbayes2 does, would say that effects have this distribution among those who were
still there at V.

u = L Q x with x standard normal. Along the first axis of x, which the rotation Q of each subject turns to where its hazard
changes most, S(V | u) falls from 1 to 0 as steeply as the association is strong: there are many equidistant nodes. Across, it
hardly changes, and few nodes do. A log hazard is linear in x but where it follows an expected marker.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytensor.tensor as pt

from glmm_zoo.families.baselines import for_cause
from glmm_zoo.families.tensors import Array, Tensor, VariableLookup
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.graph.mean_survival import LEAST_SURVIVAL, log_mean_survival, rotatable_normal_nodes
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.triangular import unpacked, with_root
from glmm_zoo.joint.hazards import HazardIntegral, HazardModel, HazardPoints, sums_by_group
from glmm_zoo.joint.trajectories import subject_effects
from glmm_zoo.plans.groups import Group

_PLACE = 0.7  # of the point whose design gives the direction, as a share of the time until entry


def late_entry_correction(model: Model, hazard: HazardModel, value_of: VariableLookup) -> Tensor:
    """log S(V) + H(V | u) (n,), 0 for those who are followed from the origin: what to take from the log-likelihood after V."""
    events = hazard.events
    late = np.flatnonzero(events.entry > events.origin)
    n = len(events.ids)
    if not len(late):
        return pt.zeros(n)
    first = np.searchsorted(events.subject, late)
    follow_up = late, first, np.full(len(late), events.origin), events.entry[late]
    until_entry = hazard.integral(*follow_up)
    own_H = sum((until_entry.sums(late, n, k, value_of, pt) for k in hazard.causes), pt.zeros(n))
    group = subject_group(model, hazard)
    middle = hazard.points(late, first, events.origin + _PLACE * (events.entry[late] - events.origin))
    along = _Rotation(model, hazard, group, middle)
    if any(term.mean_scale for term in hazard.terms):
        log_survived = _log_survival_at_nodes(model, hazard, group, late, until_entry, along)
    else:
        if until_entry.kind == "linear":
            until_entry = hazard.integral(*follow_up, closed_form=False)
        log_survived = _log_survival(model, hazard, group, until_entry, along)
    return own_H + pt.zeros(n)[late].inc(log_survived)


def _log_survival(
    model: Model, hazard: HazardModel, group: Group, until_entry: HazardIntegral, along: _Rotation
) -> Tensor:
    """log S (late,) where log hazards are linear in the effects."""
    zeros = np.zeros((len(group.factor.levels), len(group.labels)))

    def at_zero(name: str) -> Array:
        return zeros if name == group.name("u") else model[name]

    points, causes = until_entry.points[0], hazard.causes
    level = [until_entry.log_contributions(k, at_zero, pt) for k in causes]
    slopes = [
        along.of_points(_gradient_of_log_hazard(model, hazard, group, points, k), until_entry.interval) for k in causes
    ]
    subject = np.tile(until_entry.interval, len(causes))
    starts = np.append(0, np.cumsum(np.bincount(subject)))
    in_order = np.argsort(subject, kind="stable")

    def of_all(by_cause: Sequence[Tensor]) -> Tensor:
        if len(causes) == 1:
            return by_cause[0]
        one_after_another: Tensor = pt.concatenate(by_cause)
        return one_after_another[in_order]

    return log_mean_survival(starts, of_all(level), [of_all(of_axis) for of_axis in zip(*slopes, strict=True)])


def _log_survival_at_nodes(
    model: Model, hazard: HazardModel, group: Group, late: np.ndarray, until_entry: HazardIntegral, along: _Rotation
) -> Tensor:
    """log S (late,) from the hazards at every node, whatever they are of the effects."""
    x, weight = rotatable_normal_nodes(len(group.labels))
    nodes, size = len(weight), len(weight) * len(late)
    effects = along.effects(x)
    place = np.zeros(len(group.factor.levels), int)
    place[levels_of_subjects(hazard, group)[late]] = np.arange(len(late))

    def at_nodes(name: str) -> Tensor:
        return effects if name == group.name("u") else model[name]

    by_node = until_entry.repeated(nodes, [group.factor.name], lambda level, node: nodes * place[level] + node)
    H = sum((by_node.sums(np.arange(size), size, k, at_nodes, pt) for k in hazard.causes), pt.zeros(size))
    survived = sums_by_group(
        np.tile(weight, len(late)) * pt.exp(-H), np.repeat(np.arange(len(late)), nodes), len(late), pt
    )
    return pt.log(pt.maximum(survived, LEAST_SURVIVAL))


def subject_group(model: Model, hazard: HazardModel) -> Group:
    """The subject effects of all outcomes together."""
    names = {subject_effects(c.part, hazard.id).factor.name for c in hazard.trajectories}
    return next(g for g in model.groups if g.factor.name in names)


def levels_of_subjects(hazard: HazardModel, group: Group) -> np.ndarray:
    """The level (n,) of the subjects' own factor that every subject is."""
    return next(c.levels[group.factor.name] for c in hazard.trajectories if group.factor.name in c.levels)


class _Rotation:
    """Effects u = T L Q x of every late subject, T those at zero of effects at the means, Q the reflection that takes the first axis to
    the direction L' T' z in which the log hazard at a point of each subject changes, up to a sign."""

    def __init__(self, model: Model, hazard: HazardModel, group: Group, middle: HazardPoints):
        self.L, self.q, self.n = unpacked(model.covariance_roots[group.free("u")]), len(group.labels), len(middle.t)
        self.T = np.eye(self.q) if group.to_zero is None else group.to_zero
        self.v: list[Tensor] = []  # Q = I - 2 v v' / v'v
        if self.q == 1:
            return
        by_cause = [_gradient_of_log_hazard(model, hazard, group, middle, k) for k in hazard.causes]
        d = self._of_standard([sum(of_all[1:], of_all[0]) for of_all in zip(*by_cause, strict=True)])
        d[0] = d[0] + 1e-6 * self.L[0][0]  # a direction, whatever the association
        length = pt.sqrt(sum((dk * dk for dk in d), pt.zeros(self.n)))
        self.v = [dk / length for dk in d]
        self.v[0] = self.v[0] + pt.switch(pt.ge(self.v[0], 0.0), 1.0, -1.0)

    def _of_standard(self, gradient: Sequence[Tensor]) -> list[Tensor]:
        """L' T' of a gradient by the effects."""
        q, L, T = self.q, self.L, self.T
        zero = pt.zeros(gradient[0].shape)
        z: list[Tensor] = [sum((T[m, k] * gradient[m] for m in range(q) if T[m, k]), zero) for k in range(q)]
        return [sum((L[m][k] * z[m] for m in range(k, q)), zero) for k in range(q)]

    def _reflected(self, x: Sequence[Tensor], subject: np.ndarray) -> list[Tensor]:
        """Q x of points (N,) of subjects (N,), coordinate by coordinate."""
        if not self.v:
            return list(x)
        scale = 2.0 / sum((vk * vk for vk in self.v), pt.zeros(self.n))
        v = [vk[subject] for vk in self.v]
        along: Tensor = sum((vk * xk for vk, xk in zip(v, x, strict=True)), pt.zeros(len(subject)))
        along = along * scale[subject]
        return [xk - vk * along for vk, xk in zip(v, x, strict=True)]

    def of_points(self, gradient: Sequence[Tensor], subject: np.ndarray) -> list[Tensor]:
        """By each x, from the gradient by the effects, at points (N,) of subjects (N,)."""
        return self._reflected(self._of_standard(gradient), subject)

    def effects(self, x: np.ndarray) -> Tensor:
        """The effects (n nodes, q) of every subject at nodes x (nodes, q)."""
        points = self._reflected(list(np.tile(x, (self.n, 1)).T), np.repeat(np.arange(self.n), len(x)))
        at_means = with_root(self.L, pt.stack(points, axis=1))
        return at_means @ pt.constant(self.T.T)


def _gradient_of_log_hazard(
    model: Model, hazard: HazardModel, group: Group, points: HazardPoints, cause: int | None
) -> list[Tensor]:
    """How much the log hazard of a cause changes with each of the q subject effects (N,), where the coefficients and effects are zero."""
    zeros: dict[str, Array] = {g.name("u"): np.zeros((len(g.factor.levels), len(g.labels))) for g in hazard.groups}
    for c in hazard.trajectories:
        zeros[prefixed(c.part.prefix, "Intercept")] = 0.0
        zeros |= {m.name(c.part.prefix): np.zeros(m.size) for m in c.part.main.population.monotonic}
        zeros[prefixed(c.part.prefix, "beta")] = np.zeros(len(c.part.main.population.labels))
    alpha, at_zero = for_cause(model["assoc"], cause), zeros.__getitem__
    gradient = []
    for unit in np.eye(len(group.labels)):
        moved = zeros | {group.name("u"): zeros[group.name("u")] + unit}
        steps = [
            hazard.term_value(points, j, moved.__getitem__, np) - hazard.term_value(points, j, at_zero, np)
            for j in range(len(hazard.terms))
        ]
        gradient.append(sum((alpha[j] * step for j, step in enumerate(steps) if step.any()), pt.zeros(len(points.t))))
    return gradient
