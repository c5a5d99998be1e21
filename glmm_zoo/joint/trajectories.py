"""How markers go on in every subject: the columns of their predictors at any time. Imports the rooms to its left.

A course is evaluated by the formula's own coding (`DesignMatrix.code_new_rows`), so that value, slope and integral over time of a predictor are
designs like that of the visits: what they are multiplied with, coefficients and effects, may be NumPy arrays or PyTensor variables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.formulas.population import CodeNewRows
from glmm_zoo.joint.events import subject_of
from glmm_zoo.plans.intake import Group
from glmm_zoo.plans.outcomes import Joint, Part
from glmm_zoo.tables.columns import Column, Table

Array = Any  # a NumPy array or a PyTensor variable
Get = Callable[[str], Array]  # a variable of the model by its name
Level = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of copies, by the level of a point and the number of the copy

_STEP = 1e-4  # of a slope's difference, as a share of the follow-up


@dataclass(frozen=True)
class Design:
    """Columns of a marker's predictor at N points: eta = Intercept one + X beta + sum over factors g of z_g u_g[level_g].

    `one` (N,), `X` (N, p), `level` (N,) and `z` (N, k) by factor.
    """

    one: np.ndarray
    X: np.ndarray
    level: Mapping[str, np.ndarray]
    z: Mapping[str, np.ndarray]

    def of(self, prefix: str, part: Part, groups: Sequence[Group], get: Get) -> Array:
        """eta (N,) of the outcome with this prefix."""
        eta: Array = 0.0
        if part.main.population.intercept:
            eta = get(prefixed(prefix, "Intercept")) * self.one
        if self.X.shape[1]:
            eta = eta + times(self.X, get(prefixed(prefix, "beta")))
        for group in groups:
            own = [k for k, owner in enumerate(group.owners) if owner == prefix]
            for column, k in zip(self.z[group.factor.name].T if own else (), own, strict=True):
                if column.any():
                    effect = get(group.name("u"))[self.level[group.factor.name], k]
                    eta = eta + (effect if np.all(column == 1.0) else column * effect)
        return eta + np.zeros(len(self.one))

    def repeated(self, many: int, own: Collection[str], level: Level) -> Design:
        """Every point `many` times, one after the other; copy m of a point has `level(its level, m)` of the factors `own`."""
        again, copy = copies(len(self.one), many)
        levels = {g: level(x[again], copy) if g in own else x[again] for g, x in self.level.items()}
        return Design(self.one[again], self.X[again], levels, {g: z[again] for g, z in self.z.items()})


def copies(points: int, many: int) -> tuple[np.ndarray, np.ndarray]:
    """Point and number of every copy (points x many,)."""
    return np.repeat(np.arange(points), many), np.tile(np.arange(many), points)


def times(X: np.ndarray, beta: Array) -> Array:
    """X beta (N,), X of data: a product of NumPy where beta is known, of PyTensor where it is not."""
    if isinstance(beta, np.ndarray):
        return X @ beta
    import pytensor.tensor as pt

    return pt.constant(X) @ beta


@dataclass(frozen=True)
class Course:
    """How one marker goes on in every subject: its columns at any time.

    `rows` holds a row of covariates for every visit, sorted by subject and time; `first` (n,) is the first of a subject and
    `visit` (rows,) when each was. `levels` (n,) are a subject's levels by factor. With `carried`, some covariates change, and at a
    time are those of the last visit before.
    """

    part: Part
    rows: Table
    time: str
    subject: np.ndarray
    visit: np.ndarray
    first: np.ndarray
    levels: Mapping[str, np.ndarray]
    carried: bool
    step: float

    @property
    def visits(self) -> np.ndarray:
        """Times of the visits (n, m) by subject, infinite where it has fewer."""
        rank = np.arange(len(self.visit)) - self.first[self.subject]
        found = np.full((len(self.first), rank.max() + 1), np.inf)
        found[self.subject, rank] = self.visit
        return found

    def columns(self, subject: np.ndarray, t: np.ndarray) -> Design:
        """The design of eta at times t (N,) of subjects (N,)."""
        at = self.first[subject]
        if self.carried:
            both = np.concatenate([self.subject, subject])
            order = np.lexsort((np.repeat([0, 1], [len(self.visit), len(t)]), np.concatenate([self.visit, t]), both))
            latest = np.maximum.accumulate(np.where(order < len(self.visit), order, -1))
            found = np.empty(len(both), int)
            found[order] = latest
            at = np.maximum(found[len(self.visit) :], at)
        columns = {name: column.take(at) for name, column in self.rows.columns.items()}
        columns[self.time] = Column(self.time, "number", t.astype(float), np.zeros(len(t), bool))
        table = replace(self.rows, columns=columns, rows=len(t), row_numbers=np.arange(len(t)))
        main = self.part.main
        levels = {e.factor.name: self.levels[e.factor.name][subject] for e in main.effects}
        return Design(
            np.ones(len(t)), _again(main.population.code_new_rows, table), levels,
            {e.factor.name: _again(e.code_new_rows, table) for e in main.effects},
        )  # fmt: skip

    def slope(self, subject: np.ndarray, t: np.ndarray) -> Design:
        """d eta / dt by central differences; within a step of 0, the slope at the step."""
        middle = np.maximum(t, self.step)
        low, high = self.columns(subject, middle - self.step), self.columns(subject, middle + self.step)
        return _combined([low, high], np.array([-1.0, 1.0]) / (2 * self.step))

    def area(self, subject: np.ndarray, t: np.ndarray, window: float | None) -> Design:
        """The integral of eta from 0, or from t - window, to t."""
        low = since(t, window)
        x, w = np.polynomial.legendre.leggauss(15)
        parts = [self.columns(subject, low + (t - low) * (1 + p) / 2) for p in x]
        return _combined(parts, w[:, None] * (t - low) / 2)


def since(t: np.ndarray, window: float | None) -> np.ndarray:
    """Where a window that ends at t begins (N,): at 0 where there is none."""
    return np.zeros(len(t)) if window is None else np.maximum(t - window, 0.0)


def _again(again: CodeNewRows, table: Table) -> np.ndarray:
    try:
        return again(table)
    except InputError as err:
        said = err.problems[0].split(" there")[0]
        raise InputError(
            f"{said} at all times up to the event, where the marker is needed; bs() ends at the last visit, cr() goes on"
        ) from None


def _combined(parts: Sequence[Design], weights: np.ndarray) -> Design:
    """Sum of designs of the same points, each times its weights, (parts,) or (parts, N)."""
    w = [np.broadcast_to(weight, len(parts[0].one)) for weight in weights]

    def total(columns: Sequence[np.ndarray]) -> np.ndarray:
        return sum((c.T * wi for c, wi in zip(columns, w, strict=True)), np.zeros(columns[0].T.shape)).T

    return Design(
        total([p.one for p in parts]),
        total([p.X for p in parts]),
        parts[0].level,
        {g: total([p.z[g] for p in parts]) for g in parts[0].z},
    )


def courses(
    joint: Joint, ids: Sequence[str], *, id: str, time: str, carried: bool, horizon: float, problems: list[str]
) -> list[Course]:
    """The course of every outcome; covariates that change between visits are told unless they are `carried` forward."""
    place = {level: i for i, level in enumerate(ids)}
    whole = joint.table
    subject = subject_of(whole, id, place)
    visit = whole[time].numbers("the time of a visit")
    order = np.lexsort((visit, subject))
    order = order[subject[order] >= 0]
    subject, visit = subject[order], visit[order]
    first = np.searchsorted(subject, np.arange(len(ids)))
    levels = _levels(joint, whole, place, id, problems)
    found = []
    for part in joint.parts:
        used = [c for c in part.main.formula.predictor_columns if c != time and not _only_groups(part, c)]
        changes = False
        rows = replace(whole, columns={c: whole[c] for c in used}).take(order)
        for name in used:
            column = rows[name]
            filled = _filled(column, subject, first)
            if filled.missing.any():
                who = ids[subject[int(np.argmax(filled.missing))]]
                problems.append(f"{id} {who!r} has no value of {name!r}, which the course of {part.name!r} needs")
                continue
            rows = replace(rows, columns={**rows.columns, name: filled})
            varies = np.flatnonzero(filled.values != filled.values[first][subject])
            changes |= len(varies) > 0
            if len(varies) and not carried:
                who = ids[int(subject[varies[0]])]
                problems.append(
                    f"column {name!r} of the longitudinal formula varies within {id} {who!r}: between visits and beyond the last it "
                    "is not known, but the hazard needs the marker at every time; leave it out, make it an outcome, or take "
                    "its last value with carry_forward=True"
                )
        found.append(Course(part, rows, time, subject, visit, first, levels, carried and changes, _STEP * horizon))
    return found


def _only_groups(part: Part, column: str) -> bool:
    """Whether a column only says which group a row belongs to."""
    f = part.main.formula
    pieces = [*f.population, *(p for g in f.groups for p in g.effects), *f.offsets]
    return all(isinstance(p, str) or column not in p.columns for p in pieces)


def _filled(column: Column, subject: np.ndarray, first: np.ndarray) -> Column:
    """A subject's missing values replaced by its first known one."""
    if not column.missing.any():
        return column
    known = np.flatnonzero(~column.missing)
    at = known[np.minimum(np.searchsorted(subject[known], np.arange(len(first))), len(known) - 1)]
    there = subject[at] == np.arange(len(first))
    values, missing = column.values.copy(), column.missing.copy()
    gaps = np.flatnonzero(missing)
    values[gaps], missing[gaps] = values[at[subject[gaps]]], ~there[subject[gaps]]
    return replace(column, values=values, missing=missing)


def _levels(
    joint: Joint, whole: Table, place: Mapping[str, int], id: str, problems: list[str]
) -> dict[str, np.ndarray]:
    """The level of every subject (n,) by factor, which does not change within a subject."""
    found: dict[str, np.ndarray] = {}
    at = subject_of(whole, id, place)
    for part in joint.parts:
        subject = at[np.searchsorted(whole.row_numbers, part.rows)]
        for e in part.main.effects:
            level = found.setdefault(e.factor.name, np.full(len(place), -1))
            kept = subject >= 0
            level[subject[kept]] = e.factor.codes[kept]
            if (level[subject[kept]] != e.factor.codes[kept]).any():
                problems.append(
                    f"grouping factor {e.factor.name!r} varies within {id}: the hazard of a subject needs the marker between "
                    "visits, and there is no telling whose effect it has; use factors that a subject belongs to as a whole"
                )
    return found


def subject_effects(part: Part, id: str) -> Any:
    """The effects of the subjects among those of an outcome: of the factor `id`, or the innermost that ends with it."""
    names = {g.name: g.factor for g in part.main.formula.groups}
    own = [e for e in part.main.effects if names[e.factor.name][-1] == id]
    if not own:
        raise InputError(
            f"the formula of {part.name!r} has no effects of the subjects ({id!r}); write (1 | {id}) or (1 + time | {id})"
        )
    return max(own, key=lambda e: len(names[e.factor.name]))
