"""What the likelihood of a subject that entered late is divided by: the probability of surviving until its entry V,

    S(V) = E[exp(-H(V | u))],  u ~ Normal(0, L L')

marginal over its effects, whose distribution is that of all at the origin, the first entry (van den Berg & Drepper 2016; Crowther et al. 2016).
To integrate the hazard from V on instead, as JMbayes2 does, would say that effects have this distribution among those who were
still there at V.

u = L Q x with x standard normal. Along the first axis of x, which the rotation Q of each subject turns to where its hazard
changes most, S(V | u) falls from 1 to 0 as steeply as the association is strong: there are many equidistant nodes. Across, it
hardly changes, and few nodes of Gauss and Hermite do.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Array, Tensor, VariableLookup
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.triangular import unpacked, with_root
from glmm_zoo.joint.hazards import HazardModel, sums_by_group
from glmm_zoo.joint.trajectories import subject_effects
from glmm_zoo.plans.groups import Group

_LONG_AXIS = np.linspace(-6.5, 6.5, 37)
_ACROSS = {1: 1, 2: 5, 3: 3}  # nodes in each other dimension, by the number of effects
_SOBOL_NODES = 256  # in four dimensions and more
_LEAST = 1e-300  # of a probability whose logarithm is taken
_PLACE = 0.7  # of the point whose design gives the direction, as a share of the time until entry


def late_entry_correction(model: Model, hazard: HazardModel, value_of: VariableLookup) -> Tensor:
    """log S(V) + H(V | u) (n,), 0 for those who are followed from the origin: what to take from the log-likelihood after V."""
    events = hazard.events
    late = np.flatnonzero(events.entry > events.origin)
    n = len(events.ids)
    if not len(late):
        return pt.zeros(n)
    group = subject_group(model, hazard)
    x, weight = rotatable_normal_nodes(len(group.labels))
    nodes = len(weight)
    first = np.searchsorted(events.subject, late)
    effects = _effects_at_nodes(model, hazard, group, late, first, x)

    def at_nodes(name: str) -> Tensor:
        return effects if name == group.name("u") else model[name]

    until_entry = hazard.integral(late, first, np.full(len(late), events.origin), events.entry[late])
    place = np.zeros(len(group.factor.levels), int)
    place[levels_of_subjects(hazard, group)[late]] = np.arange(len(late))
    by_node = until_entry.repeated(nodes, [group.factor.name], lambda level, node: nodes * place[level] + node)
    copies = np.arange(nodes * len(late))
    H = sum((by_node.sums(copies, len(copies), k, at_nodes, pt) for k in hazard.causes), pt.zeros(len(copies)))
    survived = sums_by_group(
        np.tile(weight, len(late)) * pt.exp(-H), np.repeat(np.arange(len(late)), nodes), len(late), pt
    )
    own_H = sum((until_entry.sums(late, n, k, value_of, pt) for k in hazard.causes), pt.zeros(n))
    return own_H + pt.zeros(n)[late].inc(pt.log(pt.maximum(survived, _LEAST)))


def subject_group(model: Model, hazard: HazardModel) -> Group:
    """The subject effects of all outcomes together."""
    names = {subject_effects(c.part, hazard.id).factor.name for c in hazard.trajectories}
    return next(g for g in model.groups if g.factor.name in names)


def levels_of_subjects(hazard: HazardModel, group: Group) -> np.ndarray:
    """The level (n,) of the subjects' own factor that every subject is."""
    return next(c.levels[group.factor.name] for c in hazard.trajectories if group.factor.name in c.levels)


def rotatable_normal_nodes(dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Points x (M, dimensions) and weights (M,) of an expectation over a standard normal vector, with the most values along the
    first axis: equidistant nodes times Gauss-Hermite rules, from four dimensions on a Sobol sequence."""
    if dimensions in _ACROSS:
        density = np.exp(-0.5 * _LONG_AXIS**2)
        across, w = np.polynomial.hermite_e.hermegauss(_ACROSS[dimensions])
        axes = [(_LONG_AXIS, density / density.sum()), *[(across, w / w.sum())] * (dimensions - 1)]
        x, weights = ([*product(*parts)] for parts in zip(*axes, strict=True))
        return np.array(x), np.prod(weights, axis=1)
    from scipy.special import ndtri
    from scipy.stats.qmc import Sobol

    u = Sobol(dimensions, seed=1).random(_SOBOL_NODES)
    return ndtri(u), np.full(_SOBOL_NODES, 1 / _SOBOL_NODES)


def _effects_at_nodes(
    model: Model, hazard: HazardModel, group: Group, late: np.ndarray, first: np.ndarray, x: np.ndarray
) -> Tensor:
    """u = T L Q x (late x nodes, q), T those at zero of effects at the means, Q the reflection of each subject that takes the first
    axis to the direction L' T' z in which its log hazard changes, up to a sign."""
    L, q = unpacked(model.covariance_roots[group.free("u")]), x.shape[1]
    T = np.eye(q) if group.to_zero is None else group.to_zero
    if q == 1:
        return with_root(L, np.tile(x, (len(late), 1)))
    at_zero = _gradient_of_log_hazard(model, hazard, group, late, first)
    z = [sum((T[m, k] * at_zero[m] for m in range(q) if T[m, k]), pt.zeros(len(late))) for k in range(q)]
    d = [sum((L[m][k] * z[m] for m in range(k, q)), pt.zeros(len(late))) for k in range(q)]
    d[0] = d[0] + 1e-6 * L[0][0]  # a direction, whatever the association
    length = pt.sqrt(sum((dk * dk for dk in d), pt.zeros(len(late))))
    v = [dk / length for dk in d]
    v[0] = v[0] + pt.switch(pt.ge(v[0], 0.0), 1.0, -1.0)
    v = [vk[np.repeat(np.arange(len(late)), len(x))] for vk in v]
    points = list(np.tile(x, (len(late), 1)).T)
    along: Tensor = sum((vk * xk for vk, xk in zip(v, points, strict=True)), pt.zeros(len(points[0])))
    along = 2.0 * along / sum((vk * vk for vk in v), pt.zeros(len(points[0])))
    at_means = with_root(L, pt.stack([xk - vk * along for vk, xk in zip(v, points, strict=True)], axis=1))
    return at_means if group.to_zero is None else at_means @ pt.constant(T.T)


def _gradient_of_log_hazard(
    model: Model, hazard: HazardModel, group: Group, late: np.ndarray, first: np.ndarray
) -> Sequence[Tensor]:
    """How much the log hazard, summed over causes, changes with each of the q subject effects (late,): its differences from that
    at zero of all coefficients and effects."""
    origin = hazard.events.origin
    points = hazard.points(late, first, origin + _PLACE * (hazard.events.entry[late] - origin))
    zeros: dict[str, Array] = {g.name("u"): np.zeros((len(g.factor.levels), len(g.labels))) for g in hazard.groups}
    for c in hazard.trajectories:
        zeros[prefixed(c.part.prefix, "Intercept")] = 0.0
        zeros |= {m.name(c.part.prefix): np.zeros(m.size) for m in c.part.main.population.monotonic}
        zeros[prefixed(c.part.prefix, "beta")] = np.zeros(len(c.part.main.population.labels))
    alpha = model["assoc"] if not hazard.events.competing else model["assoc"].sum(axis=1)
    gradient = []
    for unit in np.eye(len(group.labels)):
        moved = zeros | {group.name("u"): zeros[group.name("u")] + unit}
        steps = [
            hazard.term_value(points, j, moved.__getitem__, np) - hazard.term_value(points, j, zeros.__getitem__, np)
            for j in range(len(hazard.terms))
        ]
        gradient.append(sum((alpha[j] * step for j, step in enumerate(steps)), pt.zeros(len(late))))
    return gradient
