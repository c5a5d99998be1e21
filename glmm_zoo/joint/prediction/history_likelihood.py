"""The likelihood of a subject's effects given its history: log p(y, T > t | b), its gradient and its information.

The derivatives of the density of the measurements by a linear predictor are numerical, so that they serve all families. Hazards are integrated as in the likelihood of the event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

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

# from linear predictors, each (..., R_p), and a draw of the variables by name to log f (..., R) of all measurements
type LogDensity = Callable[[Sequence[np.ndarray], Mapping[str, np.ndarray]], np.ndarray]


# -------------------------------------------------------------------------------------------------------- measurements


def measurement_log_density(histories: Sequence[MeasurementHistory]) -> LogDensity:
    """log f of every measurement (..., R), one outcome after the other, given all linear predictors (..., R_p) and one draw of the
    variables."""

    def log_density(etas: Sequence[np.ndarray], draw: Mapping[str, np.ndarray]) -> np.ndarray:
        found, of_predictors = list[np.ndarray](), iter(etas)
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
        return np.concatenate(found, axis=-1) if found else np.zeros(0)

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
class _RowsOfSubjects:
    """Rows that are sorted by subject: `subject` (R,), and of each subject that has any, in `whose`, the `first`."""

    subject: np.ndarray
    whose: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, subject: np.ndarray) -> _RowsOfSubjects:
        first = np.flatnonzero(np.diff(subject, prepend=-1))
        return cls(subject, subject[first], first)

    def sums(self, values: np.ndarray, n: int, axis: int = 0) -> np.ndarray:
        """Sums by subject of values along an axis of R rows, which has n after that."""
        total = np.zeros((*values.shape[:axis], n, *values.shape[axis + 1 :]))
        if len(self.first):
            total[(*[slice(None)] * axis, self.whose)] = np.add.reduceat(values, self.first, axis=axis)
        return total


@dataclass(frozen=True)
class _PredictorRows:
    """One linear predictor at the R_p measurements of its outcome: eta = its value at b = 0 + Z b of the row's subject.

    `Z` (R_p, q) and `offset` (R_p,); `rows` is where its measurements are among all, `step` that of its numerical derivatives.
    """

    predictor: PredictorDesign
    part: PlannedOutcome
    design: MarkerDesign
    offset: np.ndarray
    Z: np.ndarray
    of_subjects: _RowsOfSubjects
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
            rows, of_subjects = slice(end, end + len(h.subject)), _RowsOfSubjects.of(h.subject)
            for p, design, offset in zip(h.predictors, h.designs, h.offsets, strict=True):
                Z = _subject_columns(fit, p, design, len(h.subject))
                step = _ROW_STEP * (h.part.outcome.scale if p.prefix == h.part.prefix else 1.0)
                predictors.append(
                    _PredictorRows(p, replace(h.part, main=p), design, offset, Z, of_subjects, rows, step)
                )
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
        """Each (..., R_p), at b (..., n, q)."""
        return [
            eta + np.einsum("rq,...rq->...r", p.Z, b[..., p.of_subjects.subject, :])
            for eta, p in zip(at_zero, self.predictors, strict=True)
        ]

    def log_f(self, at_zero: Sequence[np.ndarray], b: np.ndarray, draw: Mapping[str, np.ndarray]) -> np.ndarray:
        """log p(y | b) (M, n) at M times b (M, n, q)."""
        f, total = self.log_density(self._linear_predictors(at_zero, b), draw), np.zeros(b.shape[:-1])
        for p in {p.rows.start: p for p in self.predictors}.values():  # one predictor of each outcome
            total += p.of_subjects.sums(f[:, p.rows], b.shape[1], axis=1)
        return total

    @cached_property
    def _at_nodes(self) -> _RowsOfSubjects:
        """Whose each of the N points is at which the hazards are evaluated."""
        integral = self.survived.integral
        return _RowsOfSubjects.of(self.survived.group[integral.interval] if integral else np.zeros(0, int))

    @cached_property
    def _log_linear(self) -> bool:
        """Whether logarithms of hazards, and of their integrals over pieces, are linear in the effects."""
        integral = self.survived.integral
        followed = any(term.mean_scale for term in self.survived.hazard.terms)
        return integral is not None and integral.kind != "linear" and not followed

    def derivatives(
        self,
        at_zero: Sequence[np.ndarray],
        b: np.ndarray,
        draw: Mapping[str, np.ndarray],
        lookup_at: Callable[[np.ndarray], VariableLookup],
        sd: np.ndarray,
        slopes: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (n, q) and information (n, q, q) of log p(y, T > t | b), that between predictors of a row left out.

        `lookup_at` gives the variables of the model at b; `sd` (q,) are the standard deviations of the effects, and `slopes` those
        of the hazards that `constant_slopes` found.
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
            gradient += p.of_subjects.sums(((high - low) / (2.0 * p.step))[:, None] * p.Z, n)
            information += p.of_subjects.sums(curvature[:, None, None] * p.Z[:, :, None] * p.Z[:, None, :], n)
        integral = self.survived.integral
        if integral is not None:
            H = self._contributions(integral, lookup_at(b))
            slope = self._slopes(integral, H, b, lookup_at, sd) if slopes is None else slopes
            gradient -= self._at_nodes.sums(np.einsum("kn,knq->nq", H, slope), n)
            information += self._at_nodes.sums(np.einsum("kn,knq,knp->nqp", H, slope, slope), n)
        return gradient, information

    def constant_slopes(
        self, b: np.ndarray, lookup_at: Callable[[np.ndarray], VariableLookup], sd: np.ndarray
    ) -> np.ndarray | None:
        """d log h / d b (causes, N, q) of N points where it does not depend on b (n, q); None where it does, or without hazards."""
        integral = self.survived.integral
        if integral is None or not self._log_linear:
            return None
        return self._slopes(integral, self._contributions(integral, lookup_at(b)), b, lookup_at, sd)

    def _contributions(self, integral: HazardIntegral, value_of: VariableLookup) -> np.ndarray:
        """What N points add to the cumulative hazard (causes, N)."""
        return np.stack([integral.contributions(k, value_of, np) for k in self.survived.hazard.causes])

    def _slopes(
        self,
        integral: HazardIntegral,
        H: np.ndarray,
        b: np.ndarray,
        lookup_at: Callable[[np.ndarray], VariableLookup],
        sd: np.ndarray,
    ) -> np.ndarray:
        """d log h / d b (causes, N, q) at b, where N points contribute H (causes, N)."""
        step = _EFFECT_STEP * np.diag(sd)
        log_H = np.log(np.maximum(H, 1e-300))
        beyond = [self._contributions(integral, lookup_at(b + step[k])) for k in range(b.shape[1])]
        slopes = [(np.log(np.maximum(H_k, 1e-300)) - log_H) / step[k, k] for k, H_k in enumerate(beyond)]
        return np.stack(slopes, axis=-1)


def _subject_columns(fit: FittedJointModel, p: PredictorDesign, design: MarkerDesign, rows: int) -> np.ndarray:
    """The columns Z (rows, q) of a linear predictor that the effects of a subject are multiplied with."""
    Z = np.zeros((rows, fit.effect_count))
    for g in fit.subject_groups:
        own = fit.effect_slices[g.name("u")].start + np.flatnonzero([owner == p.prefix for owner in g.owners])
        if len(own):
            Z[:, own] = design.z[g.factor.name]
    return Z
