"""The probability of being free of an event, integrated over the effects of groups: E exp(-H(t | u)), u ~ Normal(0, S).

H is no linear function of u, so that the integral has as many dimensions as there are effects. It is taken along the principal axes
of what the effects do to the log hazard, sd_k in the k-th direction: one to seven points of Gauss and Hermite where sd_k <= 0.5, else
the trapezoid rule on +-5 with steps of at most 0.7 / sd_k. The error is then below 1e-5 in each direction: exp(-exp(z)) is analytic for
|Im z| < pi / 2. Where the product of all directions has more than 4096 points, 4096 quasi-random ones are taken in their place.

Where log h = a_i(t) + c(t)' u, of associations on the scale of the linear predictor, the hazards of n rows, s times and M
points are a product of matrices, exp(a) (n, s) times exp(c' u) (s, M).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from glmm_zoo.estimands.group_choice import covariance_root
from glmm_zoo.families.baselines import for_cause
from glmm_zoo.families.tensors import VariableLookup
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.joint.hazards import HazardIntegral, HazardModel
from glmm_zoo.joint.prediction.history_likelihood import level_of_copy
from glmm_zoo.plans.groups import Group

MOST_NODES = 4096  # a power of 2
_FEW_POINTS = ((1e-3, 1), (0.15, 3), (0.35, 5), (0.5, 7))  # up to an sd, points of Gauss and Hermite
_GAUSS_HERMITE = {n: np.polynomial.hermite_e.hermegauss(n) for _, n in _FEW_POINTS}
_STEP, _SPAN, _LEAST_WEIGHT = 0.7, 5.0, 1e-9
_STEPS_AN_OCTAVE = 8  # of the trapezoid rule, so that draws share their points
_PROBE = 2.0  # sds at which a hazard that is not log-linear in the effects is looked at
_LARGEST = 700.0  # of a number whose exponential is taken
_AT_ONCE = 1 << 18  # numbers of several draws that are computed together, 2 MB


@dataclass(frozen=True)
class Nodes:
    """Points (M, Q) of a standard normal vector with weights (M,), which sum to one."""

    points: np.ndarray
    weights: np.ndarray
    quasi_random: bool = False


_ONE_NODE = Nodes(np.empty((1, 0)), np.ones(1))


def event_nodes(sds: np.ndarray, seed: int) -> Nodes:
    """Points for exp(-exp(...)) of a variable that has these sds (Q,) in its directions."""
    rules = tuple(map(_rule, sds))
    if np.prod([float(len(_axis(rule)[0])) for rule in rules]) > MOST_NODES:
        from scipy.special import ndtri
        from scipy.stats.qmc import Sobol

        u = Sobol(len(sds), rng=np.random.default_rng(seed)).random(MOST_NODES)
        points = ndtri(np.clip(u, 1e-12, 1 - 1e-12))
        return Nodes(points, np.full(MOST_NODES, 1 / MOST_NODES), True)
    return _product_nodes(rules)


@lru_cache(maxsize=128)  # of at most 4096 points each
def _product_nodes(rules: tuple[float, ...]) -> Nodes:
    points, weights = np.empty((1, 0)), np.ones(1)
    for x, w in map(_axis, rules):
        points = np.column_stack([np.repeat(points, len(x), axis=0), np.tile(x, len(points))])
        weights = np.outer(weights, w).ravel()
    kept = weights > _LEAST_WEIGHT
    return Nodes(points[kept], weights[kept] / weights[kept].sum())


def _rule(sd: float) -> float:
    """The number of points of Gauss and Hermite where few are enough, else minus the step of the trapezoid rule, one of a few."""
    if few := next((n for most, n in _FEW_POINTS if sd <= most), 0):
        return few
    step = max(min(1.0, _STEP / sd), 2 * _SPAN / MOST_NODES)
    return -(2.0 ** (np.floor(_STEPS_AN_OCTAVE * np.log2(step)) / _STEPS_AN_OCTAVE))


@lru_cache(maxsize=128)
def _axis(rule: float) -> tuple[np.ndarray, np.ndarray]:
    if rule > 0:
        x, w = _GAUSS_HERMITE[int(rule)]
    else:
        side = int(np.ceil(_SPAN / -rule))
        x = -rule * np.arange(-side, side + 1)
        w = np.exp(-0.5 * x * x)
    return x, w / w.sum()


# -------------------------------------------------------------------------------------------------- effects of the groups


@dataclass(frozen=True)
class RowEffects:
    """The Q effects that the hazards of m rows depend on, as (group, place): `shift` (S, m, Q) are known ones, those that are
    `open` (m, Q) are integrated over with covariance (S, Q, Q)."""

    effects: Sequence[tuple[Group, int]]
    shift: np.ndarray | None
    open: np.ndarray
    covariance: np.ndarray

    def values(self, u: np.ndarray) -> dict[str, np.ndarray]:
        """Effects u (L, Q) of L levels, by the names of their variables."""
        by_name: dict[str, np.ndarray] = {}
        for q, (group, k) in enumerate(self.effects):
            by_name.setdefault(group.name("u"), np.zeros((len(u), len(group.labels))))[:, k] = u[:, q]
        return by_name


# ---------------------------------------------------------------------------------------------------------- in m rows


@dataclass(frozen=True)
class RowHazards:
    """The hazards of m rows over E intervals one after the other, at s points in time; `interval` (s,) says in which each is."""

    hazard: HazardModel
    effects: RowEffects
    integral: HazardIntegral | None
    interval: np.ndarray
    intervals: int
    seed: int
    of_mean: bool = False

    @classmethod
    def over(
        cls, hazard: HazardModel, effects: RowEffects, ends: np.ndarray, seed: int, *, of_mean: bool = False
    ) -> RowHazards:
        """From the origin to the ends (E,), each interval from the end before; with `of_mean` the mean hazard alone is wanted."""
        m, E = len(hazard.events.ids), len(ends)
        ends = np.maximum(ends, hazard.events.origin)
        start = np.append(hazard.events.origin, ends[:-1])
        if not (ends > start).any():
            return cls(hazard, effects, None, np.empty(0, int), E, seed, of_mean)
        row = np.repeat(np.arange(m), E)
        integral = hazard.integral(row, row, np.tile(start, m), np.tile(ends, m), closed_form=False)
        return cls(hazard, effects, integral, integral.interval[: len(integral.interval) // m], E, seed, of_mean)

    def increments(
        self, value_of: VariableLookup, draws: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, Nodes, np.ndarray]]:
        """Some of the draws (b,), some of the rows (n,), points M, and the cumulative hazard of each cause over each interval
        (causes, E, b, n, M). `value_of` has all draws of a variable, `draws` of them."""
        integral, every = self.integral, np.arange(draws)
        if integral is None:
            m, causes = len(self.effects.open), len(self.hazard.causes)
            yield every, np.arange(m), event_nodes(np.empty(0), 0), np.zeros((causes, self.intervals, draws, m, 1))
        elif any(term.mean_scale for term in self.hazard.terms):
            for d in range(draws):
                rows, nodes, hazards = self._of_any_form(integral, d, _at_draw(value_of, d))
                yield every[d : d + 1], rows, nodes, hazards[:, :, None]
        else:
            numbers = len(self.hazard.causes) * len(integral.interval)
            for some in _blocks(every, numbers):
                yield from self._of_log_linear_form(integral, some, value_of)

    def _by_interval(self, sum_of: Callable[[slice], np.ndarray], total: np.ndarray) -> None:
        """Fill `total` (E, ...) with sums over the points of each interval."""
        first = np.searchsorted(self.interval, np.arange(self.intervals + 1))
        for e in range(self.intervals):
            total[e] = sum_of(slice(first[e], first[e + 1]))

    # ------------------------------------------------------------------------------------ log h = a(t) + c(t)' u

    @cached_property
    def per_effect(self) -> np.ndarray:
        """What each association term is for a unit of each effect (m, s, terms, Q)."""
        assert self.integral is not None
        points, effects = self.integral.points[0], self.effects.effects
        columns = np.zeros((len(points.t), len(self.hazard.terms), len(effects)))
        for j, term in enumerate(self.hazard.terms):
            prefix = self.hazard.trajectories[term.outcome].part.prefix
            for q, (group, k) in enumerate(effects):
                if group.owners[k] == prefix:
                    place = [i for i, owner in enumerate(group.owners) if owner == prefix].index(k)
                    columns[:, j, q] = points.designs[j][0].z[group.factor.name][:, place]
            if term.by is not None:
                columns[:, j] *= term.by[points.row][:, None]
        return columns.reshape(len(self.effects.open), -1, *columns.shape[1:])

    @cached_property
    def alike(self) -> list[np.ndarray]:
        """The rows whose hazards change alike with what is integrated over, by the first of them."""
        keys = (self.per_effect * self.effects.open[:, None, None, :]).reshape(len(self.effects.open), -1) + 0.0
        pattern = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
        return [np.flatnonzero(pattern == p) for p in range(pattern.max() + 1)]

    def _without_effects(self, integral: HazardIntegral, draws: np.ndarray, value_of: VariableLookup) -> np.ndarray:
        """The contributions to the hazards (causes, b, m, s) where effects that are integrated over are 0."""
        causes, m = self.hazard.causes, len(self.effects.open)
        hazard = replace(self.hazard, groups=())
        log_h = np.empty((len(causes), len(draws), m, len(self.interval)))
        if self.effects.shift is None and self._linear:
            for of_cause, cause in zip(log_h, causes, strict=True):
                of_points = integral.log_weight + self._log_hazards(integral, cause, value_of, draws)
                of_cause[:] = of_points.reshape(of_cause.shape)
            return np.exp(np.minimum(log_h, _LARGEST))
        for i, d in enumerate(draws):
            at = _at_draw(value_of, d)
            for of_cause, cause in zip(log_h, causes, strict=True):
                of_points = integral.log_weight + hazard.log_hazard(integral.points[0], cause, at, np)
                of_cause[i] = of_points.reshape(m, -1)
                if self.effects.shift is not None:
                    of_effects = np.einsum("msjq,j->msq", self.per_effect, for_cause(at("assoc"), cause))
                    of_cause[i] += np.einsum("msq,mq->ms", of_effects, self.effects.shift[d])
        return np.exp(np.minimum(log_h, _LARGEST))

    @property
    def _linear(self) -> bool:
        """Whether the log hazard is made of products of columns and coefficients alone, of these and the association terms."""
        markers = (self.hazard.trajectories[term.outcome].part.main for term in self.hazard.terms)
        steps = any(marker.population.monotonic for marker in markers)
        return not (steps or self.hazard.events.frailty or self.hazard.baseline.kind == "weibull")

    def _log_hazards(
        self, integral: HazardIntegral, cause: int | None, value_of: VariableLookup, draws: np.ndarray
    ) -> np.ndarray:
        """`HazardModel.log_hazard` (b, N) of these draws without group effects, all draws in one product."""
        points, events, baseline = integral.points[0], self.hazard.events, self.hazard.baseline

        def coefficients(name: str, cause: int | None = None) -> np.ndarray:
            return for_cause(value_of(name)[draws], cause).reshape(len(draws), -1)

        log_h = coefficients(baseline.variable, cause) @ baseline.basis(points.t).T
        if events.covariates.labels:
            log_h += coefficients("surv_beta", cause) @ events.covariates.values[points.row].T
        if events.offset is not None:
            log_h += events.offset[points.row]
        alpha = coefficients("assoc", cause)
        for j, (term, designs) in enumerate(zip(self.hazard.terms, points.designs, strict=True)):
            part, design = self.hazard.trajectories[term.outcome].part, designs[0]
            eta = np.zeros((len(draws), len(points.t)))
            if part.main.population.intercept:
                eta += coefficients(prefixed(part.prefix, "Intercept")) * design.one
            if design.X.shape[1]:
                eta += coefficients(prefixed(part.prefix, "beta")) @ design.X.T
            log_h += alpha[:, j : j + 1] * (eta if term.by is None else eta * term.by[points.row])
        return log_h

    def _of_log_linear_form(
        self, integral: HazardIntegral, draws: np.ndarray, value_of: VariableLookup
    ) -> Iterator[tuple[np.ndarray, np.ndarray, Nodes, np.ndarray]]:
        causes, fixed = self.hazard.causes, self._without_effects(integral, draws, value_of)
        alpha, root = value_of("assoc")[draws], covariance_root(self.effects.covariance[draws])
        for rows in self.alike:
            per_effect = self.per_effect[rows[0]] * self.effects.open[rows[0]]
            of_causes = [np.einsum("sjq,bj->bsq", per_effect, for_cause(alpha, cause)) for cause in causes]
            directions = np.concatenate(of_causes, axis=1) @ root  # (b, causes s, Q)
            for some, nodes, log_ratio in self._ratios(directions, len(rows)):
                ratio = np.exp(np.minimum(log_ratio, _LARGEST, out=log_ratio), out=log_ratio)
                hazards = np.empty((len(causes), self.intervals, len(some), len(rows), len(nodes.weights)))
                for of_cause, f, g in zip(hazards, fixed, np.split(ratio, len(causes), axis=1), strict=True):
                    f = f[some[:, None], rows]
                    self._by_interval(lambda at, f=f, g=g: f[..., at] @ g[:, at], of_cause)
                yield draws[some], rows, nodes, hazards

    def _ratios(self, directions: np.ndarray, rows: int) -> Iterator[tuple[np.ndarray, Nodes, np.ndarray]]:
        """Of effects that act along these directions (b, causes s, Q) on the log hazards: places of draws with the same points M, and
        what these add to the log hazards (draws, causes s, M)."""
        if self.of_mean:  # E exp(c'u) in closed form
            yield np.arange(len(directions)), _ONE_NODE, 0.5 * (directions**2).sum(axis=2)[..., None]
            return
        axes = np.linalg.eigh(np.swapaxes(directions, 1, 2) @ directions)[1][..., ::-1]
        along = directions @ axes
        sds = np.abs(along).max(axis=1, initial=0.0)
        alike: dict[tuple[float, ...], list[int]] = {}
        for i, rules in enumerate(tuple(map(_rule, of_draw)) for of_draw in sds):
            alike.setdefault(rules, []).append(i)
        for places in alike.values():
            nodes = event_nodes(sds[places[0]], self.seed)
            of_draw = len(nodes.weights) * max(rows * self.intervals * len(self.hazard.causes), along.shape[1])
            for some in _blocks(np.array(places), of_draw):
                yield some, nodes, along[some] @ nodes.points.T

    # ------------------------------------------------------------------------------- hazards that follow an expected marker

    def _of_any_form(
        self, integral: HazardIntegral, d: int, value_of: VariableLookup
    ) -> tuple[np.ndarray, Nodes, np.ndarray]:
        m, Q = self.effects.open.shape
        root = covariance_root(self.effects.covariance[d])
        sds = np.zeros(Q)
        if Q:
            probes = _PROBE * np.concatenate([np.eye(Q), -np.eye(Q)])
            h = np.log(np.maximum(self._at_points(integral, d, value_of, probes @ root.T), 1e-300))
            sds = np.abs(h[..., :Q] - h[..., Q:]).max(axis=(0, 1, 2)) / (2 * _PROBE)
        nodes = event_nodes(1.5 * sds, self.seed)
        h = self._at_points(integral, d, value_of, nodes.points @ root.T)
        hazards = np.empty((len(h), self.intervals, m, len(nodes.weights)))
        for of_cause, f in zip(hazards, h, strict=True):
            self._by_interval(lambda at, f=f: f[:, at].sum(axis=1), of_cause)
        return np.arange(m), nodes, hazards

    def _at_points(self, integral: HazardIntegral, d: int, value_of: VariableLookup, u: np.ndarray) -> np.ndarray:
        """Contributions to the cumulative hazards (causes, m, s, M) at effects u (M, Q)."""
        m, M = len(self.effects.open), len(u)
        at = self.effects.open[:, None, :] * u  # (m, M, Q)
        if self.effects.shift is not None:
            at = at + self.effects.shift[d][:, None, :]
        factors = {group.factor.name for group, _ in self.effects.effects}
        copies = integral.repeated(M, factors, level_of_copy(M))
        lookup = _lookup(value_of, self.effects.values(at.reshape(m * M, -1)))
        h = [copies.contributions(cause, lookup, np) for cause in self.hazard.causes]
        return np.minimum(np.stack(h), 1e300).reshape(len(h), m, -1, M)


def _lookup(value_of: VariableLookup, effects: dict[str, np.ndarray]) -> VariableLookup:
    return lambda name: effects[name] if name in effects else value_of(name)


def _at_draw(value_of: VariableLookup, d: int) -> VariableLookup:
    return lambda name: value_of(name)[d]


def _blocks(draws: np.ndarray, numbers: int) -> Iterator[np.ndarray]:
    """Parts of the draws, each of which so many numbers are computed of at a time."""
    step = max(_AT_ONCE // max(numbers, 1), 1)
    return (draws[i : i + step] for i in range(0, len(draws), step))
