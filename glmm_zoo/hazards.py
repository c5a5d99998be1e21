"""The hazard of an event that follows how markers go: association terms, baseline hazards, integrals over time. Imports the rooms
to its left; PyTensor when a graph is built.

    log h_ik(t) = log h0_k(t) + w_i(t)' gamma_k + sum_j alpha_jk f_ij(t),   cause k, subject i

f_ij(t) is a functional of a marker's linear predictor eta_i(t): its value, its slope, its integral from 0 to t; or a subject's
effect u_i. All of these are linear in coefficients and effects, so each is the marker's own design at other columns: values,
differences or integrals of the columns of X and Z. Arrays of points in time are made once; the sums over them are written once
and take NumPy arrays and PyTensor variables alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from glmm_zoo import outcomes
from glmm_zoo.data import Column, Missing, Table, take
from glmm_zoo.design import Again, Predictor, code, spread
from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, raise_all
from glmm_zoo.events import Events, check_together
from glmm_zoo.events import read as read_events
from glmm_zoo.formula import parse, parse_event
from glmm_zoo.intake import Group, groups_of, named, warn
from glmm_zoo.outcomes import Joint, Part
from glmm_zoo.priors import Parameter, Prior, beta_defaults

Array = Any  # a NumPy array or a PyTensor variable
Get = Callable[[str], Array]  # a variable of the model by its name

BASELINES = ("bspline", "piecewise", "weibull", "exponential")
WHATS = ("value", "slope", "area", "shared_effects")
SCALES = ("linear_predictor", "mean")
PIECES = 7
SEGMENTS, DEGREE = 9, 2  # of the spline, as in JMbayes2
EVENTS_PER_PIECE = 5
_STEP = 1e-4  # of a slope's difference, as a share of the follow-up

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


# ------------------------------------------------------------------------------------------------------- courses of markers


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
            eta = get(named(prefix, "Intercept")) * self.one
        if self.X.shape[1]:
            eta = eta + _times(self.X, get(named(prefix, "beta")))
        for group in groups:
            own = [k for k, owner in enumerate(group.owners) if owner == prefix]
            for column, k in zip(self.z[group.factor.name].T if own else (), own, strict=True):
                if column.any():
                    effect = get(group.name("u"))[self.level[group.factor.name], k]
                    eta = eta + (effect if np.all(column == 1.0) else column * effect)
        return eta + np.zeros(len(self.one))


def _times(X: np.ndarray, beta: Array) -> Array:
    """X beta (N,), X of data: a product of NumPy where beta is known, of PyTensor where it is not."""
    return X @ beta if isinstance(beta, np.ndarray) else _constant(X) @ beta


def _constant(x: np.ndarray) -> Array:
    import pytensor.tensor as pt

    return pt.constant(x)


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
            np.ones(len(t)), _again(main.population.again, table), levels,
            {e.factor.name: _again(e.again, table) for e in main.effects},
        )  # fmt: skip

    def slope(self, subject: np.ndarray, t: np.ndarray) -> Design:
        """d eta / dt by central differences; within a step of 0, the slope at the step."""
        middle = np.maximum(t, self.step)
        low, high = self.columns(subject, middle - self.step), self.columns(subject, middle + self.step)
        return _combined([low, high], np.array([-1.0, 1.0]) / (2 * self.step))

    def area(self, subject: np.ndarray, t: np.ndarray, window: float | None) -> Design:
        """The integral of eta from 0, or from t - window, to t."""
        low = np.zeros(len(t)) if window is None else np.maximum(t - window, 0.0)
        x, w = np.polynomial.legendre.leggauss(15)
        parts = [self.columns(subject, low + (t - low) * (1 + p) / 2) for p in x]
        return _combined(parts, w[:, None] * (t - low) / 2)


def _again(again: Again, table: Table) -> np.ndarray:
    try:
        return again(table)
    except InputError as err:
        raise InputError(
            *(
                f"{p}: the marker is needed at every time up to the event; bs() ends at the last visit, cr() goes on"
                for p in err.problems
            )
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
    codes, known = whole[id].factor()
    subject = np.array([place.get(level, -1) for level in known])[codes]
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
        rows = replace(
            whole,
            columns={c: whole[c].take(order) for c in used},
            rows=len(order),
            row_numbers=whole.row_numbers[order],
        )
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
    codes, known = whole[id].factor()
    at = np.array([place.get(level, -1) for level in known])[codes]
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


# ---------------------------------------------------------------------------------------------------------- association


@dataclass(frozen=True)
class Term:
    """One f of the hazard.

    `what` is one of `WHATS`, of the outcome with this position; `mean` says that it is that of the expected marker and not of
    its predictor; `effect` is the position of a shared effect among those of the outcome; `by` (R,) multiplies it, by row of the
    event. `scale` is its unit for the default prior, `centre` a constant near its mean.
    """

    label: str
    outcome: int
    what: str
    window: float | None = None
    mean: bool = False
    effect: int = 0
    by: np.ndarray | None = None
    scale: float = 1.0
    centre: float = 0.0


_ASSOCIATION = re.compile(
    r"\s*(?P<what>\w+)\s*(?:\(\s*(?P<inside>[^()]*?)\s*\))?\s*(?:(?P<op>[*:])\s*(?P<by>`[^`]+`|[\w.]+))?\s*"
)


def association_texts(association: Any, names: Sequence[str]) -> dict[str, list[str]]:
    """The terms asked for of every outcome, as text; one text is for all of them."""
    if isinstance(association, Mapping):
        known = {str(n): str(n) for n in names}
        problems = [
            f"association: no outcome {o!r}{did_you_mean(str(o), names) or ';'} outcomes: {listing(names)}"
            for o in association
            if str(o) not in known
        ]
        raise_all(problems)
        return {n: _summands(association[n]) if n in association else [] for n in names}
    return {n: _summands(association) for n in names}


def _summands(text: Any) -> list[str]:
    parts = [text] if isinstance(text, str) else list(text) if isinstance(text, Sequence) else None
    if parts is None or not all(isinstance(p, str) for p in parts):
        raise InputError(f"association is text such as 'value + slope', or one for each outcome by name, not {text!r}")
    return [p.strip() for part in parts for p in re.split(r"\+(?![^(]*\))", part) if p.strip()]


def covariates_of(association: Any, names: Sequence[str]) -> list[str]:
    """The columns that association terms interact with."""
    found = []
    for text in (t for texts in association_texts(association, names).values() for t in texts):
        match = _ASSOCIATION.fullmatch(text)
        if match and match["by"]:
            found.append(match["by"].strip("`"))
    return list(dict.fromkeys(found))


def association_terms(
    association: Any, scale: str, joint: Joint, events: Events, course: Sequence[Course], *, id: str
) -> list[Term]:
    """The terms of the hazard, in the order of the outcomes.

    Raises
    ------
    InputError
        Unknown terms, a slope that no subject has of its own, the mean scale where there is no one mean.
    """
    if scale not in SCALES:
        raise InputError(f"association_scale is one of {listing(SCALES)}, not {scale!r}")
    names = [part.name for part in joint.parts]
    asked = association_texts(association, names)
    if not any(asked.values()):
        raise InputError(f"association has no term; terms: {listing(WHATS)}, added with '+'")
    found: list[Term] = []
    problems: list[str] = []
    for m, part in enumerate(joint.parts):
        for text in asked[part.name]:
            try:
                made = _term(text, m, part, scale, events, course[m], id)
            except InputError as err:
                problems += err.problems
                continue
            lead = f"{part.name}:" if len(names) > 1 else ""
            found += [replace(t, label=f"{lead}{t.label}") for t in made]
    labels = [t.label for t in found]
    problems += [f"association: {x!r} stands twice" for x in dict.fromkeys(labels) if labels.count(x) > 1]
    raise_all(problems)
    return found


def _term(text: str, m: int, part: Part, scale: str, events: Events, course: Course, id: str) -> list[Term]:
    match = _ASSOCIATION.fullmatch(text)
    if match is None or match["what"] not in WHATS:
        word = match["what"] if match else text
        raise InputError(
            f"association: unknown term {text!r}{did_you_mean(word, WHATS) or ';'} terms: {listing(WHATS)}, area(2) for the last 2 "
            "units of time, value(mean) on the scale of the mean, value:drug or value*drug with a covariate of the event"
        )
    what, inside = match["what"], (match["inside"] or "").replace("window", "").strip(" =")
    mean, window = scale == "mean" and what != "shared_effects", None
    for word in filter(None, (w.strip() for w in inside.split(","))):
        if word in ("mean", "linear_predictor") and what != "shared_effects":
            mean = word == "mean"
        elif what == "area" and re.fullmatch(r"\d+\.?\d*|\.\d+", word) and float(word) > 0:
            window = float(word)
        else:
            raise InputError(
                f"association: {text!r}: {what}() takes {'a window > 0, ' if what == 'area' else ''}mean or nothing"
            )
    if mean and part.link not in (*INVERSE, "identity"):
        raise InputError(
            f"association: {text!r}: the mean is there for links {listing((*INVERSE, 'identity'))}, not {part.link!r}"
        )
    if mean and (part.main.cutpoints or part.family.parts.get("zi")):
        raise InputError(
            f"association: {text!r}: family {part.family_name!r} has no one mean that follows its predictor; use the linear predictor"
        )
    if mean and part.link == "identity":
        mean = False
    base = (
        f"{what}({', '.join([*(['mean'] if mean else []), *([f'{window:g}'] if window else [])])})"
        if mean or window
        else what
    )
    if what == "shared_effects":
        terms = _shared(m, part, id)
    else:
        size, level = _size_and_level(what, window, mean, part, course, events)
        terms = [Term(base, m, what, window, mean, scale=size, centre=level)]
        if what == "slope":
            _check_slope(part, course, id)
    if not match["by"]:
        return terms
    coded = _by(match["by"].strip("`"), events)
    with_covariate = [
        replace(
            t,
            label=f"{t.label}:{label}",
            by=values,
            scale=t.scale * spread(values),
            centre=t.centre * float(values.mean()),
        )
        for t in terms
        for label, values in coded
    ]
    return [*terms, *with_covariate] if match["op"] == "*" else with_covariate


def _by(name: str, events: Events) -> list[tuple[str, np.ndarray]]:
    pieces = parse(f"~ {name if re.fullmatch(r'[^\\W\\d][\\w.]*', name) else f'`{name}`'}", response=False).population
    columns = code(pieces, events.table)
    return list(zip(columns.labels, columns.values.T, strict=True))


def _shared(m: int, part: Part, id: str) -> list[Term]:
    effects = subject_effects(part, id)
    several = len(effects.labels) > 1
    return [
        Term(
            f"shared_effects[{label}]" if several else "shared_effects", m, "shared_effects", effect=k,
            scale=part.outcome.scale / effects.spreads[k],
        )
        for k, label in enumerate(effects.labels)
    ]  # fmt: skip


def subject_effects(part: Part, id: str) -> Any:
    """The effects of the subjects among those of an outcome: of the factor `id`, or the innermost that ends with it."""
    names = {g.name: g.factor for g in part.main.formula.groups}
    own = [e for e in part.main.effects if names[e.factor.name][-1] == id]
    if not own:
        raise InputError(
            f"the formula of {part.name!r} has no effects of the subjects ({id!r}); write (1 | {id}) or (1 + time | {id})"
        )
    return max(own, key=lambda e: len(names[e.factor.name]))


def _size_and_level(
    what: str, window: float | None, mean: bool, part: Part, course: Course, events: Events
) -> tuple[float, float]:
    """The unit of a term and a constant near its mean, by the scale and location of the outcome."""
    unit, level = part.outcome.scale, part.outcome.location
    if mean:
        values = part.outcome.values if part.outcome.trials is None else part.outcome.values / part.outcome.trials
        unit, level = float(np.std(values)), float(np.mean(values))
    if what == "value":
        return unit, level
    if what == "slope":
        return unit / (spread(course.visit) if np.ptp(course.visit) > 0 else events.horizon), 0.0
    length = float(np.mean(events.time)) / 2
    length = length if window is None else min(length, window)
    return unit * length, level * length


def _check_slope(part: Part, course: Course, id: str) -> None:
    some = np.arange(len(course.first))
    design = course.slope(some, np.full(len(some), course.visit.max() / 2))
    if not any(z.any() for z in design.z.values()):
        raise InputError(
            f"association: the slope of {part.name!r} is the same for all subjects, so it cannot be told from the baseline hazard; "
            f"give them slopes of their own: (1 + {course.time} | {id})"
        )


# --------------------------------------------------------------------------------------------------------------- baseline


@dataclass(frozen=True)
class Baseline:
    """log h0(t) on (0, horizon]. `cuts` are the inner cut points of `piecewise`, left-open as in JM.

        exponential   log lambda
        weibull       log lambda + log k + (k - 1) log t                    h0 = lambda k t^(k - 1)
        piecewise     log xi_j on (c_(j-1), c_j]
        bspline       B(t)' theta, B quadratic on equal segments; theta = level + trend v + A e / sqrt(precision)

    with v from -1 to 1, e ~ Normal(0, 1) and D2 A = I: the second differences of theta are Normal(0, 1 / sqrt(precision)), a
    random walk of second order (JMbayes2's penalty). After the horizon, h0 stays as it was there.
    """

    kind: str
    horizon: float
    cuts: np.ndarray = field(default_factory=lambda: np.empty(0))

    @cached_property
    def knots(self) -> np.ndarray:
        width = self.horizon / SEGMENTS
        return width * np.arange(-DEGREE, SEGMENTS + DEGREE + 1)

    @property
    def size(self) -> int:
        """How many coefficients log h0 has."""
        return {"piecewise": len(self.cuts) + 1, "bspline": SEGMENTS + DEGREE}.get(self.kind, 1)

    @property
    def name(self) -> str:
        """The variable of the coefficients, as reported."""
        return {"piecewise": "log_h0", "bspline": "h0_weights"}.get(self.kind, "surv_Intercept")

    @property
    def labels(self) -> list[str]:
        if self.kind == "piecewise":
            ends = [0.0, *self.cuts, self.horizon]
            return [f"{a:g}-{b:g}" for a, b in pairwise(ends)]
        return [str(i + 1) for i in range(self.size)]

    @cached_property
    def walk(self) -> tuple[np.ndarray, np.ndarray]:
        """v (size,) and A (size, size - 2)."""
        D2 = np.diff(np.eye(self.size), 2, axis=0)
        return np.linspace(-1.0, 1.0, self.size), D2.T @ np.linalg.inv(D2 @ D2.T)

    def basis(self, t: np.ndarray) -> np.ndarray:
        """Columns (N, size) of log h0(t), but for the shape of `weibull`."""
        if self.kind == "piecewise":
            return np.eye(self.size)[self.piece(t)]
        if self.kind == "bspline":
            from scipy.interpolate import BSpline

            inside = np.clip(t, 0.0, self.horizon * (1 - 1e-12))
            return BSpline.design_matrix(inside, self.knots, DEGREE).toarray()
        return np.ones((len(t), 1))

    def piece(self, t: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.cuts, t, side="left")

    def at(self, t: np.ndarray, k: int | None, get: Get, xp: Any) -> Array:
        """log h0_k(t) (N,), or a scalar."""
        coefficients = of_cause(get(self.name), k)
        if self.kind == "piecewise":
            return coefficients[self.piece(t)]
        if self.kind == "bspline":
            return _times(self.basis(t), coefficients)
        if self.kind == "exponential":
            return coefficients
        shape = of_cause(get("weibull_shape"), k)
        return coefficients + xp.log(shape) + (shape - 1.0) * np.log(t)


def of_cause(values: Array, k: int | None) -> Array:
    """The part of a variable that is about cause k, its last axis; None where there is one cause."""
    return values if k is None else values[..., k]


def read_baseline(kind: str, cuts: Any, events: Events) -> Baseline:
    """The baseline hazard asked for.

    Raises
    ------
    InputError
        Unknown kinds; cut points that are not increasing inside the follow-up, or belong to another kind.
    """
    if kind not in BASELINES:
        raise InputError(
            f"unknown baseline {kind!r}{did_you_mean(str(kind), BASELINES) or ';'} known: {listing(BASELINES)}"
        )
    if cuts is not None and kind != "piecewise":
        raise InputError(f"cuts belong to baseline='piecewise', not to {kind!r}")
    times = np.sort(events.time[events.status > 0])
    if kind != "piecewise":
        return Baseline(kind, events.horizon)
    if isinstance(cuts, Sequence | np.ndarray) and not isinstance(cuts, str):
        points = np.asarray(cuts, float)
        if len(points) and not (np.all(np.diff(points) > 0) and points[0] > 0 and points[-1] < events.horizon):
            raise InputError(
                f"cuts are increasing times inside the follow-up, between 0 and {events.horizon:g}, not {listing(points.tolist())}"
            )
    elif cuts is None or (isinstance(cuts, int) and not isinstance(cuts, bool) and cuts >= 0):
        pieces = cuts + 1 if cuts is not None else max(1, min(PIECES, len(times) // EVENTS_PER_PIECE))
        points = np.unique(np.quantile(times, np.linspace(0, 1, pieces + 1)[1:-1]))
    else:
        raise InputError(f"cuts is a number of cut points or a list of times, not {cuts!r}")
    return Baseline(kind, events.horizon, points[points < events.horizon])


# ----------------------------------------------------------------------------------------------------------------- hazard


@dataclass(frozen=True)
class Points:
    """N points in time of subjects, with all that their hazards need: `subject`, `row` (of the event), `t` (N,), and the
    designs of each term's marker: one, two for the slope of a mean, many for the area under one."""

    subject: np.ndarray
    row: np.ndarray
    t: np.ndarray
    designs: Sequence[Sequence[Design]]

    def at_nodes(self, factor: str, nodes: int) -> Points:
        """Every point `nodes` times, with node m as the level of the factor, instead of the subject's."""
        again, level = np.repeat(np.arange(len(self.t)), nodes), np.tile(np.arange(nodes), len(self.t))

        def moved(d: Design) -> Design:
            levels = {g: level if g == factor else x[again] for g, x in d.level.items()}
            return Design(d.one[again], d.X[again], levels, {g: z[again] for g, z in d.z.items()})

        designs = [[moved(d) for d in each] for each in self.designs]
        return Points(self.subject[again], self.row[again], self.t[again], designs)


INVERSE: Mapping[str, Callable[[Array, Any], Array]] = {
    "log": lambda eta, xp: xp.exp(eta),
    "logit": lambda eta, xp: 1.0 / (1.0 + xp.exp(-eta)),
}
DERIVATIVE: Mapping[str, Callable[[Array, Any], Array]] = {
    "log": lambda eta, xp: xp.exp(eta),
    "logit": lambda eta, xp: 1.0 / (2.0 + xp.exp(eta) + xp.exp(-eta)),
}
_AREA_NODES = np.polynomial.legendre.leggauss(7)


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
        low = np.zeros(len(t)) if term.window is None else np.maximum(t - term.window, 0.0)
        return [course.columns(subject, low + (t - low) * (1 + x) / 2) for x in _AREA_NODES[0]]

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
            low = np.zeros(len(points.t)) if term.window is None else np.maximum(points.t - term.window, 0.0)
            w = _AREA_NODES[1][:, None] * (points.t - low) / 2
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
            found = found + _times(np.ascontiguousarray(W), of_cause(get("surv_beta"), k))
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
        low, middle, high = (self.points(subject, row, t) for t in (a, (a + b) / 2, b))
        columns = [
            [np.column_stack([d.one, d.X, *d.z.values()]) for d in (designs[0] for designs in p.designs)]
            for p in (low, middle, high)
        ]
        size = [1e-9 * (1 + max(np.abs(x).max(), np.abs(z).max())) for x, z in zip(columns[0], columns[2], strict=True)]
        if self.baseline.kind == "weibull":
            same = all(np.abs(x - z).max() < s for x, z, s in zip(columns[0], columns[2], size, strict=True))
            return "constant" if same else ""
        bends = (np.abs(y - (x + z) / 2).max() < s for x, y, z, s in zip(*columns, size, strict=True))
        return "linear" if all(bends) else ""


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

    def at_nodes(self, factor: str, nodes: int) -> Integral:
        """With every point at `nodes` values of a factor's effects (see `Points.at_nodes`)."""
        again = np.repeat(np.arange(len(self.owner)), nodes)
        points = [p.at_nodes(factor, nodes) for p in self.points]
        return replace(
            self,
            points=points,
            owner=self.owner[again],
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


# ---------------------------------------------------------------------------------------------------------------- reading

OWN_NAMES = frozenset({"event", "association", "cause", "piece", "h0_basis", "h0_step", "surv_coef"})


def read(
    longitudinal: Any,
    survival: Any,
    formulas: Any,
    *,
    event: str,
    time: str,
    id: str,
    association: Any,
    association_scale: str,
    baseline: str,
    cuts: Any,
    families: Any,
    causes: Any,
    censored: Any,
    carry_forward: bool,
    choices: Mapping[str, Any],
    missing: Missing,
    clusters: str,
) -> tuple[Joint, Hazard]:
    """Read and check both parts of a joint model before any graph is built.

    Raises
    ------
    InputError
        Everything that is wrong with the formulas; or with both tables; or with association and baseline.
    """
    many = 1 if isinstance(formulas, str) else len(formulas)
    families = ["gaussian"] * many if families is None and not isinstance(formulas, Mapping) else families
    problems: list[str] = []
    parsed = attempt(lambda: parse_event(event), problems)
    pairs = attempt(lambda: outcomes.in_pairs(formulas, families), problems)
    for text, _ in pairs or ():
        formula = attempt(lambda text=text: parse(text), problems)
        if formula and formula.smooths:
            problems.append(
                f"s() is not available in a joint model of survival: {text!r}; write cr({time}, df=4) or poly({time}, 2)"
            )
    raise_all(problems)
    assert parsed is not None and pairs is not None
    columns = attempt(lambda: covariates_of(association, [t.split("~")[0].strip() for t, _ in pairs]), []) or []
    joint = attempt(
        lambda: outcomes.read(
            longitudinal, pairs, choices=choices, missing=missing, clusters=clusters, columns=(id, time), bare=True
        ),
        problems,
    )
    whole = attempt(lambda: take(longitudinal, [id, time], missing), problems)
    order = whole[id].factor()[1] if whole else ()
    of_event: list[str] = []
    events = attempt(
        lambda: read_events(
            longitudinal if survival is None else survival, parsed, id=id, repeated=survival is None, columns=columns,
            censored=censored, causes=causes, order=order, missing=missing, problems=of_event,
        ),
        of_event,
    )  # fmt: skip
    problems += [p if p.startswith("event:") else f"event: {p}" for p in of_event]
    notes: list[str] = []
    if events and whole:
        visits = {part.name: _rows_of(joint, part) for part in joint.parts} if joint else {"the marker": whole}
        notes = check_together(events, visits, whole, id=id, time=time, problems=problems)
    raise_all(list(dict.fromkeys(problems)))
    assert joint is not None and events is not None
    taken = {*(e.factor.name for p in joint.predictors for e in p.effects), *(p.name for p in joint.parts)} & OWN_NAMES
    raise_all([f"{name!r} is a name of the model's own; rename the column" for name in sorted(taken)])
    tied = _tied(joint, id)
    made = courses(tied, events.ids, id=id, time=time, carried=carry_forward, horizon=events.horizon, problems=problems)
    raise_all(problems)
    terms = attempt(lambda: association_terms(association, association_scale, tied, events, made, id=id), problems)
    found = attempt(lambda: read_baseline(baseline, cuts, events), problems)
    raise_all(problems)
    assert terms is not None and found is not None
    for note in (notes := [*events.notes, *notes]):
        warn(note)
    tied = replace(tied, notes=(*tied.notes, *(n for n in notes if n not in tied.notes)))
    return tied, Hazard(events, made, terms, found, groups_of(tied.predictors), id)


def _rows_of(joint: Joint, part: Part) -> Table:
    """The joint table's rows with a value of one outcome."""
    at = np.searchsorted(joint.table.row_numbers, part.rows)
    columns = {name: column.take(at) for name, column in joint.table.columns.items()}
    return replace(joint.table, columns=columns, rows=len(at), row_numbers=part.rows)


def _tied(joint: Joint, id: str) -> Joint:
    """Effects of the subjects are correlated between outcomes, as if their terms had one label, where they have none."""
    if len(joint.parts) == 1:
        return joint
    for part in joint.parts:
        subject_effects(part, id)
    names = {subject_effects(part, id).factor.name for part in joint.parts}
    mains = {part.prefix for part in joint.parts}

    def tied(p: Predictor) -> Predictor:
        effects = tuple(
            replace(e, shared=tuple(s or id for s in e.shared))
            if p.prefix in mains and e.factor.name in names and (len(e.labels) == 1 or len(e.blocks) == 1)
            else e
            for e in p.effects
        )
        return replace(p, effects=effects)

    by_prefix = {p.prefix: tied(p) for p in joint.predictors}
    parts = tuple(replace(part, main=by_prefix[part.prefix]) for part in joint.parts)
    return replace(joint, parts=parts, predictors=tuple(by_prefix[p.prefix] for p in joint.predictors))


# ---------------------------------------------------------------------------------------------------------------- priors

LEVEL_SD = 10.0  # of the default prior of log h0, about the log of the crude rate
TREND = Prior("Normal", {"mu": 0.0, "sigma": 5.0})
PRECISION = Prior("Gamma", {"alpha": 5.0, "beta": 0.5})  # JMbayes2's
SHAPE = Prior("LogNormal", {"mu": 0.0, "sigma": 0.5})


def parameters(hazard: Hazard, given: Mapping[str, str] | None) -> list[Parameter]:
    """What needs a prior beside the longitudinal part, in the order of the formulas.

    A prior on `h0_weights` stands in place of the random walk: each is then independent, at the means of covariates and marker.
    """
    events, baseline, causes = hazard.events, hazard.baseline, hazard.events.causes

    def over(name: str, labels: Sequence[str], defaults: Sequence[Sequence[Prior]], support: Any = "real") -> Parameter:
        """Over labels and, where there are several, causes; defaults by label and cause. No labels: a scalar."""
        keys, flat = [], []
        for label, of_label in zip(labels or [""], defaults, strict=True):
            inside = [label] if label else []
            for cause, default in zip(causes, of_label, strict=True):
                narrow = [*inside, *([cause] if events.competing else [])]
                found = [f"{name}[{', '.join(narrow)}]"] if narrow else []
                found += [f"{name}[{label}]"] if label and events.competing else []
                keys.append((*found, name))
                flat.append(default)
        return Parameter(name, support, tuple(keys), tuple(flat))

    rates = [np.log(max((events.status == k).sum(), 0.5) / events.time.sum()) for k in range(1, len(causes) + 1)]
    crude = [Prior("Normal", {"mu": float(f"{r:.4g}"), "sigma": LEVEL_SD}) for r in rates]
    many = len(causes)
    found: list[Parameter] = []
    if events.covariates.labels:
        defaults = beta_defaults(events.covariates.spreads.tolist(), 1.0)
        found.append(over("surv_beta", events.covariates.labels, [[d] * many for d in defaults]))
    defaults = beta_defaults([t.scale for t in hazard.terms], 1.0)
    found.append(over("assoc", [t.label for t in hazard.terms], [[d] * many for d in defaults]))
    if baseline.kind == "bspline" and not independent_weights(given):
        found += [over("h0_level", (), [crude]), over("h0_trend", (), [[TREND] * many])]
        found.append(over("h0_precision", (), [[PRECISION] * many], "positive"))
    elif baseline.size > 1 or baseline.kind == "piecewise":
        found.append(over(baseline.name, baseline.labels, [crude] * baseline.size))
    else:
        found.append(over("surv_Intercept", (), [crude]))
    if baseline.kind == "weibull":
        found.append(over("weibull_shape", (), [[SHAPE] * many], "positive"))
    return found


def independent_weights(given: Mapping[str, str] | None) -> bool:
    return any(str(key).strip().startswith("h0_weights") for key in (given or {}))


def told(hazard: Hazard) -> dict[str, Any]:
    """What a spec says of the event, JSON-able."""
    events = hazard.events
    return {
        "formulas": {"event": events.formula.text},
        "event": {
            "id": hazard.id,
            "baseline": hazard.baseline.kind,
            "cuts": hazard.baseline.cuts.tolist(),
            "horizon": events.horizon,
            "weights": [hazard.baseline.name] if hazard.baseline.kind == "bspline" else [],
            "causes": list(events.causes),
            "association": [t.label for t in hazard.terms],
            "subjects": len(events.ids),
            "events": [int((events.status == k).sum()) for k in range(1, len(events.causes) + 1)],
            "entered_late": int((events.entry > 0).sum()),
            "person_time": float((events.time - events.entry).sum()),
            "data": {"rows": events.table.rows, "source": events.table.source, "sha256": events.table.sha256()},
        },
    }
