"""The likelihood of a subject's effects given its history: log p(y, T > t | b), its gradient and its information.

The derivatives of the density of the measurements by a linear predictor are numerical, so that they serve all families. Hazards are integrated as in the likelihood of the event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from glmm_zoo.families.tensors import VariableLookup
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.joint.hazards import HazardIntegral, HazardModel
from glmm_zoo.joint.prediction.fitted import FittedJointModel
from glmm_zoo.joint.prediction.histories import MeasurementHistory, SubjectHistories
from glmm_zoo.joint.trajectories import LevelOfCopy, MarkerDesign
from glmm_zoo.plans.plan import PlannedOutcome

_ROW_STEP, _EFFECT_STEP = 1e-2, 1e-3  # of numerical derivatives, in units of an outcome's scale and of an effect's sd

# from linear predictors, each (R_p,), and a draw of the variables by name to log f (R,) of all measurements
type LogDensity = Callable[[Sequence[np.ndarray], Mapping[str, np.ndarray]], np.ndarray]


# -------------------------------------------------------------------------------------------------------- measurements


def measurement_log_density(histories: Sequence[MeasurementHistory]) -> LogDensity:
    """log f of every measurement (R,), one outcome after the other, given all linear predictors and one draw of the variables."""

    def log_density(etas: Sequence[np.ndarray], draw: Mapping[str, np.ndarray]) -> np.ndarray:
        found, of_predictors = [np.zeros(0)], iter(etas)
        for h in histories:
            part, own_etas = h.part, {p.prefix: next(of_predictors) for p in h.predictors}
            own = {}
            for parameter in part.family.own:
                name = prefixed(part.prefix, parameter.name)
                if name in own_etas:
                    own[parameter.name] = own_etas[name]
                elif parameter.default is not None:  # else it is 1
                    own[parameter.name] = parameter.on_its_scale(draw[name])
            y, trials = part.outcome.values, part.outcome.trials
            found.append(part.family.log_density(y, own_etas[part.prefix], own, part.link, trials))
        return np.concatenate(found)

    return log_density


# ------------------------------------------------------------------------------------------------------------- hazards


@dataclass(frozen=True)
class CumulativeHazards:
    """Integrals of the hazard over S intervals, added up in `size` sums by cause; `group` (S,) is the sum of each interval.

    `integral` is None where all intervals are empty. After `copied`, every subject stands for several copies, one after the
    other, each with effects of its own.
    """

    hazard: HazardModel
    integral: HazardIntegral | None
    group: np.ndarray
    size: int

    @classmethod
    def over(
        cls, hazard: HazardModel, row: np.ndarray, a: np.ndarray, b: np.ndarray, group: np.ndarray, size: int
    ) -> CumulativeHazards:
        """Over (a, b] (S,) in rows of the event (S,)."""
        subject = hazard.events.subject[row]
        return cls(hazard, hazard.integral(subject, row, a, b) if (b > a).any() else None, group, size)

    def copied(self, copies: int, subject_factors: Sequence[str]) -> CumulativeHazards:
        """The sums of every copy of each subject, copy m of sum i at `copies` i + m."""
        group = (copies * self.group[:, None] + np.arange(copies)).ravel()
        integral = self.integral
        if integral is not None:
            integral = integral.repeated(copies, subject_factors, level_of_copy(copies))
        return replace(self, integral=integral, group=group, size=copies * self.size)

    def sums(self, value_of: VariableLookup) -> np.ndarray:
        """(size, causes)."""
        causes = self.hazard.causes
        if self.integral is None:
            return np.zeros((self.size, len(causes)))
        return np.stack([self.integral.sums(self.group, self.size, k, value_of, np) for k in causes], axis=1)


def level_of_copy(copies: int) -> LevelOfCopy:
    """The subject effects of copy m of subject i are at `copies` i + m."""
    return lambda subject, copy: copies * subject + copy


# ---------------------------------------------------------------------------------------------------------- likelihood


@dataclass(frozen=True)
class _PredictorRows:
    """One linear predictor at the R_p measurements of its outcome: eta = its value at b = 0 + Z b of the row's subject.

    `Z` (R_p, q), `subject` and `offset` (R_p,); `rows` is where its measurements are among all, `step` that of its numerical
    derivatives.
    """

    predictor: PredictorDesign
    part: PlannedOutcome
    design: MarkerDesign
    offset: np.ndarray
    Z: np.ndarray
    subject: np.ndarray
    rows: slice
    step: float


@dataclass(frozen=True)
class HistoryLikelihood:
    """log p(y, T > t | b) of n subjects, b (n, q) their effects.

    `survived` are the cumulative hazards of the subjects until their landmarks.
    """

    fit: FittedJointModel
    subjects: SubjectHistories
    log_density: LogDensity
    predictors: Sequence[_PredictorRows]
    survived: CumulativeHazards

    @classmethod
    def of(cls, fit: FittedJointModel, subjects: SubjectHistories) -> HistoryLikelihood:
        """The likelihood of the histories of these subjects."""
        predictors, end = [], 0
        for h in subjects.histories:
            rows = slice(end, end + len(h.subject))
            for p, design, offset in zip(h.predictors, h.designs, h.offsets, strict=True):
                Z = _subject_columns(fit, p, design, len(h.subject))
                step = _ROW_STEP * (h.part.outcome.scale if p.prefix == h.part.prefix else 1.0)
                predictors.append(_PredictorRows(p, replace(h.part, main=p), design, offset, Z, h.subject, rows, step))
            end += len(h.subject)
        log_density = measurement_log_density(subjects.histories)
        events, t = subjects.hazard.events, subjects.landmark[subjects.hazard.events.subject]
        survived = CumulativeHazards.over(
            subjects.hazard, np.arange(len(t)), np.minimum(events.start, t), np.minimum(events.stop, t), events.subject,
            len(subjects.ids),
        )  # fmt: skip
        return cls(fit, subjects, log_density, predictors, survived)

    def at_zero(self, value_of: VariableLookup) -> list[np.ndarray]:
        """The linear predictors where all subject effects are 0, which is what `value_of` has for them."""
        groups = self.fit.hazard.groups
        return [
            p.design.linear_predictor(p.predictor.prefix, p.part, groups, value_of) + p.offset for p in self.predictors
        ]

    def _linear_predictors(self, at_zero: Sequence[np.ndarray], b: np.ndarray) -> list[np.ndarray]:
        return [eta + np.einsum("rq,rq->r", p.Z, b[p.subject]) for eta, p in zip(at_zero, self.predictors, strict=True)]

    def log_f(self, at_zero: Sequence[np.ndarray], b: np.ndarray, draw: Mapping[str, np.ndarray]) -> np.ndarray:
        """log p(y | b) (n,) at b (n, q)."""
        f, total = self.log_density(self._linear_predictors(at_zero, b), draw), np.zeros(len(b))
        for p in {p.rows.start: p for p in self.predictors}.values():  # one predictor of each outcome
            total += np.bincount(p.subject, f[p.rows], len(b))
        return total

    def derivatives(
        self,
        at_zero: Sequence[np.ndarray],
        b: np.ndarray,
        draw: Mapping[str, np.ndarray],
        lookup_at: Callable[[np.ndarray], VariableLookup],
        sd: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (n, q) and information (n, q, q) of log p(y, T > t | b), that between predictors of a row left out.

        `lookup_at` gives the variables of the model at b; `sd` (q,) are the standard deviations of the effects.
        """
        n, q = b.shape
        gradient, information = np.zeros((n, q)), np.zeros((n, q, q))
        etas = self._linear_predictors(at_zero, b)
        middle = self.log_density(etas, draw)
        for j, p in enumerate(self.predictors):
            low, high = (
                self.log_density([eta + p.step * sign if i == j else eta for i, eta in enumerate(etas)], draw)[p.rows]
                for sign in (-1.0, 1.0)
            )
            curvature = np.maximum((2.0 * middle[p.rows] - high - low) / p.step**2, 0.0)
            gradient += _sums_by_subject(((high - low) / (2.0 * p.step))[:, None] * p.Z, p.subject, n)
            information += _sums_by_subject(curvature[:, None, None] * p.Z[:, :, None] * p.Z[:, None, :], p.subject, n)
        integral = self.survived.integral
        if integral is not None:
            H, slope = self._hazard_derivatives(integral, b, lookup_at, sd)
            subject = self.survived.group[integral.interval]
            gradient -= _sums_by_subject(np.einsum("kn,knq->nq", H, slope), subject, n)
            information += _sums_by_subject(np.einsum("kn,knq,knp->nqp", H, slope, slope), subject, n)
        return gradient, information

    def _hazard_derivatives(
        self,
        integral: HazardIntegral,
        b: np.ndarray,
        lookup_at: Callable[[np.ndarray], VariableLookup],
        sd: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Contributions of N points to the cumulative hazard (causes, N), and d log h / d b there (causes, N, q)."""

        def contributions(effects: np.ndarray) -> np.ndarray:
            value_of = lookup_at(effects)
            return np.stack([integral.contributions(k, value_of, np) for k in self.survived.hazard.causes])

        H = contributions(b)
        step = _EFFECT_STEP * np.diag(sd)
        log_H = np.log(np.maximum(H, 1e-300))
        slopes = [
            (np.log(np.maximum(contributions(b + step[k]), 1e-300)) - log_H) / step[k, k] for k in range(b.shape[1])
        ]
        return H, np.stack(slopes, axis=-1)


def _subject_columns(fit: FittedJointModel, p: PredictorDesign, design: MarkerDesign, rows: int) -> np.ndarray:
    """The columns Z (rows, q) of a linear predictor that the effects of a subject are multiplied with."""
    Z = np.zeros((rows, fit.effect_count))
    for g in fit.subject_groups:
        own = fit.effect_slices[g.name("u")].start + np.flatnonzero([owner == p.prefix for owner in g.owners])
        if len(own):
            Z[:, own] = design.z[g.factor.name]
    return Z


def _sums_by_subject(values: np.ndarray, subject: np.ndarray, n: int) -> np.ndarray:
    """Sums (n, ...) of values (R, ...), sorted by subject."""
    total = np.zeros((n, *values.shape[1:]))
    if len(values):
        first = np.flatnonzero(np.diff(subject, prepend=-1))
        total[subject[first]] = np.add.reduceat(values, first)
    return total
