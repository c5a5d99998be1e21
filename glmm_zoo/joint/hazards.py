"""The hazard of an event that follows how markers go: association terms, baseline hazards, integrals over time. Imports the rooms
to its left; PyTensor when a graph is built.

    log h_ik(t) = log h0_k(t) + w_i(t)' gamma_k + sum_j alpha_jk f_ij(t),   cause k, subject i

f_ij(t) is a functional of a marker's linear predictor eta_i(t): its value, its slope, its integral from 0 to t; or a subject's
effect u_i. All of these are linear in coefficients and effects, so each is the marker's own design at other columns: values,
differences or integrals of the columns of X and Z. Arrays of points in time are made once; the sums over them are written once
and take NumPy arrays and PyTensor variables alike.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.joint.association import DERIVATIVE, INVERSE, Term
from glmm_zoo.joint.baselines import Baseline, of_cause
from glmm_zoo.joint.events import Events
from glmm_zoo.joint.trajectories import Array, Course, Design, Get, Level, copies, since, subject_effects, times
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
GAUSS = np.polynomial.legendre.leggauss(7)


@dataclass(frozen=True)
class Points:
    """N points in time of subjects, with all that their hazards need: `subject`, `row` (of the event), `t` (N,), and the
    designs of each term's marker: one, two for the slope of a mean, many for the area under one."""

    subject: np.ndarray
    row: np.ndarray
    t: np.ndarray
    designs: Sequence[Sequence[Design]]

    def repeated(self, many: int, own: Collection[str], level: Level) -> Points:
        """Copies of every point; see `Design.repeated`."""
        again, _ = copies(len(self.t), many)
        designs = [[d.repeated(many, own, level) for d in each] for each in self.designs]
        return Points(self.subject[again], self.row[again], self.t[again], designs)


@dataclass(frozen=True)
class Hazard:
    """The hazard of every cause as a function of time: events, courses of the markers, association terms and baseline."""

    events: Events
    courses: Sequence[Course]
    terms: Sequence[Term]
    baseline: Baseline
    groups: Sequence[Group]
    id: str

    @property
    def causes(self) -> list[int | None]:
        """Positions of the causes in variables, None where there is one."""
        return list(range(len(self.events.causes))) if self.events.competing else [None]

    def points(self, subject: np.ndarray, row: np.ndarray, t: np.ndarray) -> Points:
        return Points(subject, row, t, [self._designs(term, subject, t) for term in self.terms])

    def _designs(self, term: Term, subject: np.ndarray, t: np.ndarray) -> list[Design]:
        course = self.courses[term.outcome]
        if term.what == "shared_effects":
            effects = subject_effects(course.part, self.id)
            name = effects.factor.name
            z = np.zeros((len(t), len(effects.labels)))
            z[:, term.effect] = 1.0
            zeros = {e.factor.name: np.zeros((len(t), len(e.labels))) for e in course.part.main.effects}
            levels = {e.factor.name: course.levels[e.factor.name][subject] for e in course.part.main.effects}
            p = len(course.part.main.population.labels)
            return [Design(np.zeros(len(t)), np.zeros((len(t), p)), levels, {**zeros, name: z})]
        if term.what == "value":
            return [course.columns(subject, t)]
        if term.what == "slope":
            slope = course.slope(subject, t)
            return [slope, course.columns(subject, t)] if term.mean else [slope]
        if not term.mean:
            return [course.area(subject, t, term.window)]
        low = since(t, term.window)
        return [course.columns(subject, low + (t - low) * (1 + x) / 2) for x in GAUSS[0]]

    def feature(self, points: Points, j: int, get: Get, xp: Any) -> Array:
        """f_j (N,)."""
        term = self.terms[j]
        part = self.courses[term.outcome].part
        etas = [d.of(part.prefix, part, self.groups, get) for d in points.designs[j]]
        found = etas[0]
        if term.mean and term.what == "value":
            found = INVERSE[part.link](etas[0], xp)
        elif term.mean and term.what == "slope":
            found = etas[0] * DERIVATIVE[part.link](etas[1], xp)
        elif term.mean:
            w = GAUSS[1][:, None] * (points.t - since(points.t, term.window)) / 2
            found = sum(wi * INVERSE[part.link](eta, xp) for wi, eta in zip(w, etas, strict=True))
        return found if term.by is None else found * term.by[points.row]

    def log_rate(self, points: Points, k: int | None, get: Get, xp: Any) -> Array:
        """log h_k (N,) at the points."""
        return self.baseline.at(points.t, k, get, xp) + self.log_ratio(points, k, get, xp)

    def log_ratio(self, points: Points, k: int | None, get: Get, xp: Any) -> Array:
        """log(h_k / h0_k) (N,) at the points."""
        found: Array = np.zeros(len(points.t))
        if self.events.covariates.labels:
            W = self.events.covariates.values[points.row]
            found = found + times(np.ascontiguousarray(W), of_cause(get("surv_beta"), k))
        if self.events.offset is not None:
            found = found + self.events.offset[points.row]
        alpha = of_cause(get("assoc"), k)
        for j in range(len(self.terms)):
            found = found + alpha[j] * self.feature(points, j, get, xp)
        return found

    def integral(self, subject: np.ndarray, row: np.ndarray, a: np.ndarray, b: np.ndarray) -> Integral:
        """What gives the integrals of the hazard over intervals (a, b] (S,) of subjects, in these rows of the event."""
        edges = self._edges(subject)
        low, high = np.maximum(a[:, None], edges[:, :-1]), np.minimum(b[:, None], edges[:, 1:])
        owner, piece = np.nonzero(high > low)
        subject, row, a, b = subject[owner], row[owner], low[owner, piece], high[owner, piece]
        kind = self._exact(subject, row, a, b)
        if kind == "linear":
            ends = self.points(subject, row, a), self.points(subject, row, b)
            return Integral(self, kind, ends, owner, np.log(b - a), a, b)
        if kind == "constant":
            return Integral(self, kind, (self.points(subject, row, b),), owner, np.zeros(len(a)), a, b)
        long = (a == 0.0) | (b - a > self.baseline.horizon / 4)
        made = []
        for (x, w), those in ((KRONROD, np.flatnonzero(long)), (GAUSS, np.flatnonzero(~long))):
            if not len(those):
                continue
            s, weight = np.broadcast_to((1 + x) / 2, (len(those), len(x))), np.broadcast_to(w / 2, (len(those), len(x)))
            singular = (self.baseline.kind == "weibull") & (a[those] == 0.0)[:, None]  # t = b s^3, for shapes below 1
            weight = np.where(singular, 3 * s**2 * weight, weight)
            s = np.where(singular, s**3, s)
            length = (b - a)[those, None]
            made.append(
                (np.repeat(those, len(x)), (a[those, None] + length * s).ravel(), np.log(weight * length).ravel())
            )
        which, t, log_weight = (np.concatenate(parts) for parts in zip(*made, strict=True)) if made else (
            np.empty(0, int), np.empty(0), np.empty(0)
        )  # fmt: skip
        order = np.argsort(which, kind="stable")
        which, t, log_weight = which[order], t[order], log_weight[order]
        nodes = self.points(subject[which], row[which], t)
        return Integral(self, "quadrature", (nodes,), owner[which], log_weight, t, t)

    def _edges(self, subject: np.ndarray) -> np.ndarray:
        """Times (S, m), increasing, between which the hazard is smooth: cut points, windows of areas, and visits at which
        covariates change that are carried forward."""
        fixed = np.array([0.0, *self.baseline.cuts, *(t.window for t in self.terms if t.window), np.inf])
        changes = [c.visits[subject] for c in self.courses if c.carried]
        return np.sort(np.hstack([np.tile(fixed, (len(subject), 1)), *changes]), axis=1)

    def _exact(self, subject: np.ndarray, row: np.ndarray, a: np.ndarray, b: np.ndarray) -> str:
        """How the integral has a closed form: "linear" in time within intervals, "constant", or ""."""
        rough = any(t.mean for t in self.terms) or any(c.carried for c in self.courses)
        if rough or self.baseline.kind == "bspline" or not len(a):
            return ""
        places = np.array([0.0, 1.0, 0.5, 0.3])
        columns = [
            [np.column_stack([d.one, d.X, *d.z.values()]) for d in (designs[0] for designs in p.designs)]
            for p in (self.points(subject, row, a + (b - a) * place) for place in places)
        ]
        constant = linear = True
        for low, high, *inside in zip(*columns, strict=True):
            size = 1e-9 * (1 + max(np.abs(low).max(), np.abs(high).max()))
            constant &= all(np.abs(x - low).max() < size for x in (high, *inside))
            line = (low + place * (high - low) for place in places[2:])
            linear &= all(np.abs(x - y).max() < size for x, y in zip(inside, line, strict=True))
        if self.baseline.kind == "weibull":
            return "constant" if constant else ""
        return "linear" if linear else ""


@dataclass(frozen=True)
class Integral:
    """Integrals of the hazard over intervals of time.

    Quadrature: sum of exp(log weight + log h) over points. Linear in t on (a, b], baseline constant there, with m and d the mean
    and half the difference of log h at a and b: (b - a) exp(m) sinh(d) / d. Constant but for a Weibull baseline:
    exp(log lambda + rest) (b^k - a^k).
    """

    hazard: Hazard
    kind: str
    points: Sequence[Points]
    owner: np.ndarray  # of the intervals asked for, by point
    log_weight: np.ndarray
    a: np.ndarray
    b: np.ndarray

    def parts(self, k: int | None, get: Get, xp: Any) -> Array:
        """What each point gives (N,)."""
        h = self.hazard
        if self.kind == "quadrature":
            return xp.exp(self.log_weight + h.log_rate(self.points[0], k, get, xp))
        if self.kind == "linear":
            low, high = (h.log_ratio(p, k, get, xp) for p in self.points)
            middle = h.baseline.at(self.b, k, get, xp) + 0.5 * (low + high) + self.log_weight
            return xp.exp(middle) * _sinhc(0.5 * (high - low), xp)
        shape = of_cause(get("weibull_shape"), k)
        first = np.where(self.a > 0, self.a, 1.0)
        power = xp.exp(shape * np.log(self.b)) - np.where(self.a > 0, 1.0, 0.0) * xp.exp(shape * np.log(first))
        return xp.exp(of_cause(get("surv_Intercept"), k) + h.log_ratio(self.points[0], k, get, xp)) * power

    def repeated(self, many: int, own: Collection[str], level: Level) -> Integral:
        """Copies of every interval, one after the other; see `Design.repeated`."""
        again, copy = copies(len(self.owner), many)
        points = [p.repeated(many, own, level) for p in self.points]
        return replace(
            self,
            points=points,
            owner=many * self.owner[again] + copy,
            log_weight=self.log_weight[again],
            a=self.a[again],
            b=self.b[again],
        )

    def sums(self, of: np.ndarray, size: int, k: int | None, get: Get, xp: Any) -> Array:
        """Integrals added up (size,); `of` says which sum an interval belongs to."""
        if not len(self.owner):
            return np.zeros(size)
        return summed(self.parts(k, get, xp), of[self.owner], size, xp)


def _sinhc(d: Array, xp: Any) -> Array:
    """sinh(d) / d."""
    small = abs(d) < 1e-2
    safe = xp.where(small, 1.0, d)
    return xp.where(small, 1.0 + d * d / 6.0 + d * d * d * d / 120.0, (xp.exp(safe) - xp.exp(-safe)) / (2.0 * safe))


def summed(values: Array, of: np.ndarray, size: int, xp: Any) -> Array:
    """Sums (size,) of values (N,) by what each belongs to."""
    return np.bincount(of, values, size) if xp is np else xp.zeros(size)[of].inc(values)
