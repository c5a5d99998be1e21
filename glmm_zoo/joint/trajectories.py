"""The trajectory of a marker in every subject: the columns of its linear predictor at any time.

A trajectory is evaluated by the formula's own coding (`DesignMatrix.code_new_rows`), so that value, slope and integral over time of a linear
predictor are designs like that of the visits. The coefficients and effects that a design is multiplied with may be NumPy arrays or
PyTensor variables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.families.tensors import Array, VariableLookup, matrix_product
from glmm_zoo.formulas.group_effects import GroupEffects
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.joint.events import subject_positions
from glmm_zoo.plans.groups import Group
from glmm_zoo.plans.joint_outcomes import JointOutcomes
from glmm_zoo.plans.plan import PlannedOutcome
from glmm_zoo.tables.columns import Column, Table

LevelOfCopy = Callable[[np.ndarray, np.ndarray], np.ndarray]  # from a point's level and the number of its copy

_SLOPE_STEP = 1e-4  # of the difference quotient of a slope, as a share of the follow-up


@dataclass(frozen=True)
class MarkerDesign:
    """Columns of a marker's linear predictor at N points: eta = Intercept one + X beta + sum over factors g of z_g u_g[level_g], and
    what uneven steps of monotonic effects change, E (beta zeta).

    `one` (N,), `X` (N, p), `level` (N,) and `z` (N, k) by factor, `steps` (N, q D) by column.
    """

    one: np.ndarray
    X: np.ndarray
    level: Mapping[str, np.ndarray]
    z: Mapping[str, np.ndarray]
    steps: Mapping[str, np.ndarray]

    def linear_predictor(
        self, prefix: str, part: PlannedOutcome, groups: Sequence[Group], value_of: VariableLookup
    ) -> Array:
        """eta (N,) of the outcome with this prefix."""
        eta: Array = 0.0
        if part.main.population.intercept:
            eta = value_of(prefixed(prefix, "Intercept")) * self.one
        if self.X.shape[1]:
            eta = eta + matrix_product(self.X, value_of(prefixed(prefix, "beta")))
        for m in part.main.population.monotonic:
            shares, beta = value_of(m.name(prefix)), value_of(prefixed(prefix, "beta"))
            for place, columns in zip(m.places, np.split(self.steps[m.column], len(m.places), axis=1), strict=True):
                if columns.any():
                    eta = eta + beta[place] * matrix_product(np.ascontiguousarray(columns), shares)
        for group in groups:
            own = [k for k, owner in enumerate(group.owners) if owner == prefix]
            for column, k in zip(self.z[group.factor.name].T if own else (), own, strict=True):
                if column.any():
                    effect = value_of(group.name("u"))[self.level[group.factor.name], k]
                    eta = eta + (effect if np.all(column == 1.0) else column * effect)
        return eta + np.zeros(len(self.one))

    def repeated(self, copies: int, factors: Collection[str], level_of_copy: LevelOfCopy) -> MarkerDesign:
        """Every point `copies` times, one after the other.

        Copy m of a point has `level_of_copy(its level, m)` of `factors` and the point's own level of all others.
        """
        point, copy = copy_indices(len(self.one), copies)
        levels = {g: level_of_copy(x[point], copy) if g in factors else x[point] for g, x in self.level.items()}
        z, steps = ({name: x[point] for name, x in columns.items()} for columns in (self.z, self.steps))
        return MarkerDesign(self.one[point], self.X[point], levels, z, steps)


def copy_indices(points: int, copies: int) -> tuple[np.ndarray, np.ndarray]:
    """The point and the number of every copy (points x copies,)."""
    return np.repeat(np.arange(points), copies), np.tile(np.arange(copies), points)


@dataclass(frozen=True)
class Trajectory:
    """One marker in n subjects, whose columns can be had at any time.

    `covariates` holds a row for every visit, sorted by subject and time, `subject` and `visit_time` (visits,) say whose and
    when it was, and `first_visit` (n,) is a subject's first row. `levels` (n,) are a subject's levels by factor. Where
    `carry_forward` is true some covariates change, and at any time have their values of the last visit before.
    `slope_step` is half the width of the difference quotient of a slope. `time` names the column of time, `origin` is where areas
    begin.
    """

    part: PlannedOutcome
    covariates: Table
    time: str
    subject: np.ndarray
    visit_time: np.ndarray
    first_visit: np.ndarray
    levels: Mapping[str, np.ndarray]
    carry_forward: bool
    slope_step: float
    origin: float = 0.0

    @property
    def visit_times_by_subject(self) -> np.ndarray:
        """Times of the visits (n, m), infinite where a subject has fewer."""
        rank = np.arange(len(self.visit_time)) - self.first_visit[self.subject]
        times = np.full((len(self.first_visit), rank.max() + 1), np.inf)
        times[self.subject, rank] = self.visit_time
        return times

    def value_design(self, subject: np.ndarray, t: np.ndarray) -> MarkerDesign:
        """The design of eta at times t (N,) of subjects (N,)."""
        row = self._last_visit_before(subject, t) if self.carry_forward else self.first_visit[subject]
        columns = {name: column.take(row) for name, column in self.covariates.columns.items()}
        columns[self.time] = Column(self.time, "number", t.astype(float), np.zeros(len(t), bool))
        table = replace(self.covariates, columns=columns, rows=len(t), row_numbers=np.arange(len(t)))
        main = self.part.main
        levels = {e.factor.name: self.levels[e.factor.name][subject] for e in main.effects}
        return MarkerDesign(
            np.ones(len(t)), _code_at_times(main.population.code_new_rows, table), levels,
            {e.factor.name: _code_at_times(e.code_new_rows, table) for e in main.effects},
            {m.column: _code_at_times(m.code_new_rows, table) for m in main.population.monotonic},
        )  # fmt: skip

    def _last_visit_before(self, subject: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The row (N,) of the last visit up to t, or of the first visit where there is none before.

        Visits and times are sorted together by subject and time; the last visit is then the largest row so far.
        """
        visits = len(self.visit_time)
        subject_of_both = np.concatenate([self.subject, subject])
        order = np.lexsort((np.repeat([0, 1], [visits, len(t)]), np.concatenate([self.visit_time, t]), subject_of_both))
        latest = np.maximum.accumulate(np.where(order < visits, order, -1))
        row = np.empty(len(subject_of_both), int)
        row[order] = latest
        return np.maximum(row[visits:], self.first_visit[subject])

    def slope_design(self, subject: np.ndarray, t: np.ndarray) -> MarkerDesign:
        """The design of d eta / dt by central differences; within a step of the origin, that of the slope at the step."""
        middle = np.maximum(t, self.origin + self.slope_step)
        low = self.value_design(subject, middle - self.slope_step)
        high = self.value_design(subject, middle + self.slope_step)
        return _weighted_sum([low, high], np.array([-1.0, 1.0]) / (2 * self.slope_step))

    def area_design(self, subject: np.ndarray, t: np.ndarray, window: float | None) -> MarkerDesign:
        """The design of the integral of eta from the origin, or from t - window, to t, by Gauss-Legendre's 15 points."""
        low = window_start(t, window, self.origin)
        x, w = np.polynomial.legendre.leggauss(15)
        designs = [self.value_design(subject, low + (t - low) * (1 + p) / 2) for p in x]
        return _weighted_sum(designs, w[:, None] * (t - low) / 2)


def window_start(t: np.ndarray, window: float | None, origin: float) -> np.ndarray:
    """Where a window that ends at t begins (N,): at the origin where there is none."""
    return np.full(len(t), origin) if window is None else np.maximum(t - window, origin)


def _code_at_times(code_again: Callable[[Table], np.ndarray], table: Table) -> np.ndarray:
    """Columns coded at other times; where that fails, the error says why these times are needed."""
    try:
        return code_again(table)
    except InputError as err:
        problem = err.problems[0].split(" there")[0]
        raise InputError(
            f"{problem} at all times up to the event, where the marker is needed; bs() ends at the last visit, cr() goes on"
        ) from None


def _weighted_sum(designs: Sequence[MarkerDesign], weights: np.ndarray) -> MarkerDesign:
    """Sum of designs of the same N points, each times its weights, (designs,) or (designs, N)."""
    w = [np.broadcast_to(weight, len(designs[0].one)) for weight in weights]

    def total(columns: Sequence[np.ndarray]) -> np.ndarray:
        return sum((c.T * wi for c, wi in zip(columns, w, strict=True)), np.zeros(columns[0].T.shape)).T

    return MarkerDesign(
        total([d.one for d in designs]),
        total([d.X for d in designs]),
        designs[0].level,
        {g: total([d.z[g] for d in designs]) for g in designs[0].z},
        {c: total([d.steps[c] for d in designs]) for c in designs[0].steps},
    )


# -------------------------------------------------------------------------------------------------------------- reading


def read_trajectories(
    joint: JointOutcomes,
    ids: Sequence[str],
    *,
    id: str,
    time: str,
    carry_forward: bool,
    origin: float,
    horizon: float,
    problems: list[str],
) -> list[Trajectory]:
    """The trajectory of every outcome. Covariates that change between visits are added to `problems`, unless `carry_forward`."""
    position = {label: i for i, label in enumerate(ids)}
    table = joint.table
    subject = subject_positions(table, id, position)
    visit_time = table[time].numbers("the time of a visit")
    order = np.lexsort((visit_time, subject))
    order = order[subject[order] >= 0]
    subject, visit_time = subject[order], visit_time[order]
    first_visit = np.searchsorted(subject, np.arange(len(ids)))
    levels = _levels_of_subjects(joint, position, id, problems)
    trajectories = []
    for part in joint.parts:
        used = [c for c in part.main.formula.predictor_columns if c != time and not _only_in_groups(part, c)]
        changes = False
        covariates = replace(table, columns={c: table[c] for c in used}).take(order)
        for name in used:
            filled = _with_first_known_value(covariates[name], subject, first_visit)
            if filled.missing.any():
                who = ids[subject[int(np.argmax(filled.missing))]]
                problems.append(f"{id} {who!r} has no value of {name!r}, which the course of {part.name!r} needs")
                continue
            covariates = replace(covariates, columns={**covariates.columns, name: filled})
            varies = np.flatnonzero(filled.values != filled.values[first_visit][subject])
            changes |= len(varies) > 0
            if len(varies) and not carry_forward:
                who = ids[int(subject[varies[0]])]
                problems.append(
                    f"column {name!r} of the longitudinal formula varies within {id} {who!r}: between visits and beyond the last it "
                    "is not known, but the hazard needs the marker at every time; leave it out, make it an outcome, or take "
                    "its last value with carry_forward=True"
                )
        trajectories.append(
            Trajectory(
                part, covariates, time, subject, visit_time, first_visit, levels, carry_forward and changes,
                _SLOPE_STEP * (horizon - origin), origin,
            )
        )  # fmt: skip
    return trajectories


def _only_in_groups(part: PlannedOutcome, column: str) -> bool:
    """Whether a column only says which group a row belongs to."""
    f = part.main.formula
    pieces = [*f.population, *(p for g in f.groups for p in g.effects), *f.offsets]
    return all(isinstance(p, str) or column not in p.columns for p in pieces)


def _with_first_known_value(column: Column, subject: np.ndarray, first_visit: np.ndarray) -> Column:
    """The column with a subject's missing values replaced by its first known one."""
    if not column.missing.any():
        return column
    known = np.flatnonzero(~column.missing)
    row = known[np.minimum(np.searchsorted(subject[known], np.arange(len(first_visit))), len(known) - 1)]
    has_value = subject[row] == np.arange(len(first_visit))
    values, missing = column.values.copy(), column.missing.copy()
    gaps = np.flatnonzero(missing)
    values[gaps], missing[gaps] = values[row[subject[gaps]]], ~has_value[subject[gaps]]
    return replace(column, values=values, missing=missing)


def _levels_of_subjects(
    joint: JointOutcomes, position: Mapping[str, int], id: str, problems: list[str]
) -> dict[str, np.ndarray]:
    """The level of every subject (n,) by factor. A factor whose level changes within a subject is added to `problems`."""
    levels: dict[str, np.ndarray] = {}
    subject_of_row = subject_positions(joint.table, id, position)
    for part in joint.parts:
        subject = subject_of_row[np.searchsorted(joint.table.row_numbers, part.rows)]
        for e in part.main.effects:
            level = levels.setdefault(e.factor.name, np.full(len(position), -1))
            known = subject >= 0
            level[subject[known]] = e.factor.codes[known]
            if (level[subject[known]] != e.factor.codes[known]).any():
                problems.append(
                    f"grouping factor {e.factor.name!r} varies within {id}: the hazard of a subject needs the marker between "
                    "visits, and there is no telling whose effect it has; use factors that a subject belongs to as a whole"
                )
    return levels


def subject_effects(part: PlannedOutcome, id: str) -> GroupEffects:
    """The subject effects among the group effects of an outcome: those of the factor `id`, or of the innermost that ends with it, and of
    those that are independent between subjects where there are others too."""
    names = {g.name: g.factor for g in part.main.formula.groups}
    own = [e for e in part.main.effects if names[e.factor.name][-1] == id]
    if not own:
        raise InputError(
            f"the formula of {part.name!r} has no effects of the subjects ({id!r}); write (1 | {id}) or (1 + time | {id})"
        )
    return max(own, key=lambda e: (e.structure is None, len(names[e.factor.name])))
