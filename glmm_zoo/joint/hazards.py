"""The hazard of an event given the trajectories of markers: baseline hazard, covariates, association terms, integrals over time.

    log h_ik(t) = log h0_k(t) + w_i(t)' gamma_k + sum_j alpha_jk f_ij(t),   cause k, subject i
                  + v_i, a frailty, where events come again

f_ij(t) is a functional of a marker's linear predictor eta_i(t): its value, its slope, its integral from 0 to t; or a subject's
effect u_i. All of these are linear in coefficients and effects, so each is the marker's own design at other columns: values,
differences or integrals of the columns of X and Z. Arrays of points in time are made once; the sums over them are written once
and take NumPy arrays and PyTensor variables alike. PyTensor is imported when a graph is built.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.families.baselines import BaselineHazard, CachedBaselineHazard, for_cause
from glmm_zoo.families.links import LINKS
from glmm_zoo.families.tensors import Array, VariableLookup, matrix_product
from glmm_zoo.joint.association import AssociationTerm, associations_at_zero
from glmm_zoo.joint.events import Events
from glmm_zoo.joint.trajectories import (
    LevelOfCopy,
    MarkerDesign,
    Trajectory,
    copy_indices,
    subject_effects,
    window_start,
)
from glmm_zoo.plans.groups import Group

# Kronrod's rule with 15 points on [-1, 1] (Piessens et al. 1983), the points from the middle outwards.
_POINTS = (
    0.0, 0.207784955007898467600689403773245, 0.405845151377397166906606412076961, 0.586087235467691130294144691258450,
    0.741531185599394439863864773280788, 0.864864423359769072789712788640926, 0.949107912342758524526189684047851,
    0.991455371120812639206854697526329,
)  # fmt: skip
_WEIGHTS = (
    0.209482141084727828012999174891714, 0.204432940075298892414161999234649, 0.190350578064785409913256402421014,
    0.169004726639267902826583426598550, 0.140653259715525918745189590510238, 0.104790010322250183839876322541518,
    0.063092092629978553290700663189204, 0.022935322010529224963732008058970,
)  # fmt: skip
KRONROD = (
    np.concatenate([-np.array(_POINTS[:0:-1]), _POINTS]),
    np.concatenate([_WEIGHTS[:0:-1], _WEIGHTS]),
)
FRAILTY = "frailty"  # the variable of the subjects' effects in the hazard alone
FRAILTY_SD, FRAILTY_DIM = "frailty_sd", "frailty_effect"
GAUSS = np.polynomial.legendre.leggauss(7)


@dataclass(frozen=True)
class HazardPoints:
    """N points in time of subjects, with all that their hazards need.

    `subject`, `row` (of the event) and `t` are (N,). `designs` holds, by association term, those of the term's marker: one, two
    for the slope of a mean, one for each quadrature point of the area under a mean.
    """

    subject: np.ndarray
    row: np.ndarray
    t: np.ndarray
    designs: Sequence[Sequence[MarkerDesign]]

    def repeated(self, copies: int, factors: Collection[str], level_of_copy: LevelOfCopy) -> HazardPoints:
        """Copies of every point; see `MarkerDesign.repeated`."""
        point, _ = copy_indices(len(self.t), copies)
        designs = [[d.repeated(copies, factors, level_of_copy) for d in of_term] for of_term in self.designs]
        return HazardPoints(self.subject[point], self.row[point], self.t[point], designs)


@dataclass(frozen=True)
class HazardModel:
    """The hazard of every cause as a function of time.

    `events` has the follow-up and the covariates of n subjects, `trajectories` their markers, one for each outcome; `terms` are
    the association terms, `groups` the group effects of all outcomes, and `id` names the column of subjects.
    """

    events: Events
    trajectories: Sequence[Trajectory]
    terms: Sequence[AssociationTerm]
    baseline: BaselineHazard
    groups: Sequence[Group]
    id: str

    @property
    def causes(self) -> list[int | None]:
        """Positions of the causes in variables, None where there is one."""
        return list(range(len(self.events.causes))) if self.events.competing else [None]

    def of_others(self, events: Events, trajectories: Sequence[Trajectory]) -> HazardModel:
        """The hazards of other subjects; the points in time at which they are wanted come again with every draw."""
        baseline = CachedBaselineHazard(
            self.baseline.kind, self.baseline.horizon, self.baseline.cuts, self.baseline.origin
        )
        terms = [term.in_rows(events.table) for term in self.terms]
        return replace(self, events=events, trajectories=trajectories, terms=terms, baseline=baseline)

    @property
    def to_zero(self) -> np.ndarray | None:
        """See `associations_at_zero`."""
        return associations_at_zero(self.terms, [c.part for c in self.trajectories], self.id)

    def points(self, subject: np.ndarray, row: np.ndarray, t: np.ndarray) -> HazardPoints:
        """The points at times t (N,) of subjects (N,) in rows of the event (N,)."""
        return HazardPoints(subject, row, t, [self._term_designs(term, subject, t) for term in self.terms])

    def _term_designs(self, term: AssociationTerm, subject: np.ndarray, t: np.ndarray) -> list[MarkerDesign]:
        trajectory = self.trajectories[term.outcome]
        if term.form == "shared_effects":
            return [self._shared_effect_design(term, subject)]
        if term.form == "value":
            return [trajectory.value_design(subject, t)]
        if term.form == "slope":
            slope = trajectory.slope_design(subject, t)
            return [slope, trajectory.value_design(subject, t)] if term.mean_scale else [slope]
        if not term.mean_scale:
            return [trajectory.area_design(subject, t, term.window)]
        low = window_start(t, term.window, trajectory.origin)
        return [trajectory.value_design(subject, low + (t - low) * (1 + x) / 2) for x in GAUSS[0]]

    def _shared_effect_design(self, term: AssociationTerm, subject: np.ndarray) -> MarkerDesign:
        """The design whose linear predictor is the shared effect itself: 1 for it, 0 for everything else."""
        trajectory = self.trajectories[term.outcome]
        effects, main, N = subject_effects(trajectory.part, self.id), trajectory.part.main, len(subject)
        z = np.zeros((N, len(effects.labels)))
        z[:, term.effect] = 1.0
        zeros = {e.factor.name: np.zeros((N, len(e.labels))) for e in main.effects}
        levels = {e.factor.name: trajectory.levels[e.factor.name][subject] for e in main.effects}
        X = np.zeros((N, len(main.population.labels)))
        steps = {m.column: np.zeros((N, m.steps.shape[1])) for m in main.population.monotonic}
        return MarkerDesign(np.zeros(N), X, levels, {**zeros, effects.factor.name: z}, steps)

    def term_value(self, points: HazardPoints, j: int, value_of: VariableLookup, xp: Any) -> Array:
        """f_j (N,) at the points; `xp` is NumPy or `pytensor.tensor`."""
        term = self.terms[j]
        part = self.trajectories[term.outcome].part
        link = LINKS[part.link]
        etas = [d.linear_predictor(part.prefix, part, self.groups, value_of) for d in points.designs[j]]
        f = etas[0]
        if term.mean_scale and term.form == "value":
            f = link.inverse(etas[0], xp)
        elif term.mean_scale and term.form == "slope":
            f = etas[0] * link.derivative(etas[1], xp)
        elif term.mean_scale:
            w = GAUSS[1][:, None] * (points.t - window_start(points.t, term.window, self.baseline.origin)) / 2
            f = sum(wi * link.inverse(eta, xp) for wi, eta in zip(w, etas, strict=True))
        return f if term.by is None else f * term.by[points.row]

    def log_hazard(self, points: HazardPoints, cause: int | None, value_of: VariableLookup, xp: Any) -> Array:
        """log h (N,) of a cause at the points."""
        return self.baseline.log_hazard(points.t, cause, value_of, xp) + self.log_hazard_ratio(
            points, cause, value_of, xp
        )

    def log_hazard_ratio(self, points: HazardPoints, cause: int | None, value_of: VariableLookup, xp: Any) -> Array:
        """log(h / h0) (N,) of a cause at the points."""
        log_ratio: Array = np.zeros(len(points.t))
        if self.events.covariates.labels:
            W = self.events.covariates.values[points.row]
            log_ratio = log_ratio + matrix_product(np.ascontiguousarray(W), for_cause(value_of("surv_beta"), cause))
        if self.events.offset is not None:
            log_ratio = log_ratio + self.events.offset[points.row]
        if self.events.frailty:
            log_ratio = log_ratio + value_of(FRAILTY)[points.subject, 0]
        alpha = for_cause(value_of("assoc"), cause)
        for j in range(len(self.terms)):
            log_ratio = log_ratio + alpha[j] * self.term_value(points, j, value_of, xp)
        return log_ratio

    # ------------------------------------------------------------------------------------------------- integrals

    def integral(
        self, subject: np.ndarray, row: np.ndarray, a: np.ndarray, b: np.ndarray, *, closed_form: bool = True
    ) -> HazardIntegral:
        """The integrals of the hazard over intervals (a, b] (S,) of subjects, in these rows of the event.

        Intervals are cut where the hazard is not smooth; the pieces then have a closed form together, or a quadrature rule.
        Without `closed_form` they always have a rule.
        """
        breaks = self._breakpoints(subject)
        low, high = np.maximum(a[:, None], breaks[:, :-1]), np.minimum(b[:, None], breaks[:, 1:])
        interval, piece = np.nonzero(high > low)
        subject, row, a, b = subject[interval], row[interval], low[interval, piece], high[interval, piece]
        kind = self._closed_form(subject, row, a, b) if closed_form else ""
        if kind == "linear":
            ends = self.points(subject, row, a), self.points(subject, row, b)
            return HazardIntegral(self, kind, ends, interval, np.log(b - a), a, b)
        if kind == "constant":
            return HazardIntegral(self, kind, (self.points(subject, row, b),), interval, np.zeros(len(a)), a, b)
        piece, t, log_weight = self.quadrature_nodes(a, b)
        nodes = self.points(subject[piece], row[piece], t)
        return HazardIntegral(self, "quadrature", (nodes,), interval[piece], log_weight, t, t)

    def quadrature_nodes(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Interval, time and log weight of each node of a rule over intervals (a, b] (S,), sorted by interval.

        Kronrod's 15 points for intervals that are long or begin at the origin, Gauss-Legendre's 7 for others. A Weibull hazard
        may be infinite at the origin 0; there the integral is taken in s with t = b s^3.
        """
        origin = self.baseline.origin
        long = (a == origin) | (b - a > (self.baseline.horizon - origin) / 4)
        by_rule = []
        for (x, w), intervals in ((KRONROD, np.flatnonzero(long)), (GAUSS, np.flatnonzero(~long))):
            if not len(intervals):
                continue
            shape = len(intervals), len(x)
            s, weight = np.broadcast_to((1 + x) / 2, shape), np.broadcast_to(w / 2, shape)
            singular = (self.baseline.kind == "weibull") & (a[intervals] == origin)[:, None]
            weight = np.where(singular, 3 * s**2 * weight, weight)
            s = np.where(singular, s**3, s)
            length = (b - a)[intervals, None]
            t = (a[intervals, None] + length * s).ravel()
            by_rule.append((np.repeat(intervals, len(x)), t, np.log(weight * length).ravel()))
        if not by_rule:
            return np.empty(0, int), np.empty(0), np.empty(0)
        interval, t, log_weight = (np.concatenate(arrays) for arrays in zip(*by_rule, strict=True))
        order = np.argsort(interval, kind="stable")
        return interval[order], t[order], log_weight[order]

    def _breakpoints(self, subject: np.ndarray) -> np.ndarray:
        """Times (S, m), increasing, between which the hazard is smooth: cut points, windows of areas, and visits at which
        covariates change that are carried forward."""
        origin = self.baseline.origin
        windows = [origin + t.window for t in self.terms if t.window]
        fixed = np.array([origin, *self.baseline.cuts, *windows, np.inf])
        changes = [c.visit_times_by_subject[subject] for c in self.trajectories if c.carry_forward]
        return np.sort(np.hstack([np.tile(fixed, (len(subject), 1)), *changes]), axis=1)

    def _closed_form(self, subject: np.ndarray, row: np.ndarray, a: np.ndarray, b: np.ndarray) -> str:
        """How log(h / h0) changes within all intervals, where that gives a closed form: "linear", "constant", or "" for none.

        The columns of the designs are compared at both ends and at two points inside.
        """
        rough = any(t.mean_scale for t in self.terms) or any(c.carry_forward for c in self.trajectories)
        if rough or self.baseline.kind == "bspline" or not len(a):
            return ""
        places = np.array([0.0, 1.0, 0.5, 0.3])
        columns = [
            [
                np.column_stack([d.one, d.X, *d.z.values(), *d.steps.values()])
                for d in (designs[0] for designs in p.designs)
            ]
            for p in (self.points(subject, row, a + (b - a) * place) for place in places)
        ]
        constant = linear = True
        for low, high, *inside in zip(*columns, strict=True):
            tolerance = 1e-9 * (1 + max(np.abs(low).max(), np.abs(high).max()))
            constant &= all(np.abs(x - low).max() < tolerance for x in (high, *inside))
            line = (low + place * (high - low) for place in places[2:])
            linear &= all(np.abs(x - y).max() < tolerance for x, y in zip(inside, line, strict=True))
        if self.baseline.kind == "weibull":
            return "constant" if constant else ""
        return "linear" if linear else ""


@dataclass(frozen=True)
class HazardIntegral:
    """Integrals of the hazard over intervals of time, each the sum of contributions of N points or pieces.

    "quadrature": exp(log weight + log h) at each point. "linear" in t on (a, b], baseline constant there, with m and d the mean
    and half the difference of log h at a and b: (b - a) exp(m) sinh(d) / d. "constant" but for a Weibull baseline:
    exp(log lambda + rest) (b^k - a^k). `interval` (N,) is the interval that each contributes to; `log_weight`, `a`, `b` (N,).
    """

    hazard: HazardModel
    kind: str
    points: Sequence[HazardPoints]
    interval: np.ndarray
    log_weight: np.ndarray
    a: np.ndarray
    b: np.ndarray

    def contributions(self, cause: int | None, value_of: VariableLookup, xp: Any) -> Array:
        """What each point or piece adds to its integral (N,)."""
        h = self.hazard
        if self.kind == "quadrature":
            return xp.exp(self.log_contributions(cause, value_of, xp))
        if self.kind == "linear":
            low, high = (h.log_hazard_ratio(p, cause, value_of, xp) for p in self.points)
            middle = h.baseline.log_hazard(self.b, cause, value_of, xp) + 0.5 * (low + high) + self.log_weight
            return xp.exp(middle) * _sinhc(0.5 * (high - low), xp)
        shape = for_cause(value_of("weibull_shape"), cause)
        a, b = self.a - h.baseline.origin, self.b - h.baseline.origin
        positive = np.where(a > 0, a, 1.0)
        power = xp.exp(shape * np.log(b)) - np.where(a > 0, 1.0, 0.0) * xp.exp(shape * np.log(positive))
        log_scale = for_cause(value_of("surv_Intercept"), cause)
        return xp.exp(log_scale + h.log_hazard_ratio(self.points[0], cause, value_of, xp)) * power

    def log_contributions(self, cause: int | None, value_of: VariableLookup, xp: Any) -> Array:
        """Their logarithms (N,), which are linear in effects unless an expected marker is followed; there are none of the kind "linear"."""
        h, (points, *ends) = self.hazard, self.points
        assert not ends, "sums of exponentials"
        if self.kind == "quadrature":
            return self.log_weight + h.log_hazard(points, cause, value_of, xp)
        shape = for_cause(value_of("weibull_shape"), cause)
        a, b = self.a - h.baseline.origin, self.b - h.baseline.origin
        log_ratio = np.log(np.where(a > 0, a, b) / b)
        log_power = shape * np.log(b) + xp.log(-xp.expm1(xp.where(a > 0, shape * log_ratio, -np.inf)))
        return (
            for_cause(value_of("surv_Intercept"), cause) + h.log_hazard_ratio(points, cause, value_of, xp) + log_power
        )

    def repeated(self, copies: int, factors: Collection[str], level_of_copy: LevelOfCopy) -> HazardIntegral:
        """Copies of every interval, one after the other; see `MarkerDesign.repeated`."""
        point, copy = copy_indices(len(self.interval), copies)
        return replace(
            self,
            points=[p.repeated(copies, factors, level_of_copy) for p in self.points],
            interval=copies * self.interval[point] + copy,
            log_weight=self.log_weight[point],
            a=self.a[point],
            b=self.b[point],
        )

    def sums(self, group: np.ndarray, size: int, cause: int | None, value_of: VariableLookup, xp: Any) -> Array:
        """Integrals added up (size,); `group` is the sum that each interval belongs to."""
        if not len(self.interval):
            return np.zeros(size)
        return sums_by_group(self.contributions(cause, value_of, xp), group[self.interval], size, xp)


def _sinhc(d: Array, xp: Any) -> Array:
    """sinh(d) / d, by its series near 0."""
    small = abs(d) < 1e-2
    safe = xp.where(small, 1.0, d)
    return xp.where(small, 1.0 + d * d / 6.0 + d * d * d * d / 120.0, (xp.exp(safe) - xp.exp(-safe)) / (2.0 * safe))


def sums_by_group(values: Array, group: np.ndarray, size: int, xp: Any) -> Array:
    """Sums (size,) of values (N,) over the groups that they belong to (N,)."""
    return np.bincount(group, values, size) if xp is np else xp.zeros(size)[group].inc(values)


def person_time_nodes(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss-Legendre's points in the interval of every row (R,): the row of each, its time, and how much time it stands for."""
    x, w = GAUSS
    length = (stop - start)[:, None]
    t = start[:, None] + length * (1 + x) / 2
    return np.repeat(np.arange(len(start)), len(x)), t.ravel(), (length * w / 2).ravel()
