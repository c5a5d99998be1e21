"""What a joint model of markers and an event says of a subject from its history: survival to later times, and its markers.

A subject was measured at times up to a landmark t and free of the event until then. Its probability of staying so until u > t is

    pi(u | t) = P(T > u | T > t, y up to t) = E_theta E_b [S(u | b) / S(t | b)],    S(u | b) = exp(-H(u | b)),

theta from the posterior and b, the subject's own effects, from

    p(b | T > t, y, theta)  ∝  prod_j f(y_j | b) S(t | b) Normal(b; 0, Sigma)

(Rizopoulos 2011, Biometrics 67). theta does not learn from the history anew. For every draw of theta, M points b_m about the
mode of p, t-distributed with its curvature, have weights w_m ∝ p(b_m) / t(b_m), sum_m w_m = 1: sum_m w_m g(b_m) is the
mean of g, and one b_m picked with these weights is a draw of b. This serves all families: f comes from the graph that is
fitted, its derivatives are numerical, and a poor t costs precision, told by `ess`, but leaves nothing wrong as M grows. The
points are quasi-random and the same for all subjects: what is said of one does not depend on who else is asked for.

Cumulative incidence int_t^u h_k S / S(t) ds is summed over fractions (a, a + d] of the intervals between times, the ratio of the
causes' hazards constant on each:

    S(a | b) / S(t | b) (1 - exp(-dH)) dH_k / dH

Imports every room but `cli`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from scipy import special, stats

from glmm_zoo.errors import InputError, ZooWarning, at_rows, did_you_mean, listing, raise_all
from glmm_zoo.families.families import Outcome
from glmm_zoo.formulas.design import Columns, Factor, Predictor, evaluate, factor
from glmm_zoo.formulas.grammar import Operand
from glmm_zoo.joint import landmarks
from glmm_zoo.joint.association import Term, association_terms, covariates_of
from glmm_zoo.joint.baselines import Baseline
from glmm_zoo.joint.events import Events, few, subject_of
from glmm_zoo.joint.events import read as read_events
from glmm_zoo.joint.hazards import Hazard, Integral
from glmm_zoo.joint.reading import read as read_joint
from glmm_zoo.joint.trajectories import Course, Design, Get, Level, courses, subject_effects
from glmm_zoo.plans import outcomes
from glmm_zoo.plans.intake import Group, named
from glmm_zoo.plans.outcomes import Joint, Part
from glmm_zoo.results.curves import INVERSE
from glmm_zoo.results.storage import about, table_of
from glmm_zoo.tables.data import Column, Table, names_of, stacked, take, with_gaps

EVENT_TABLE = "event_row"  # the dimension of the event's rows in a fit
POINTS = 16  # M, a power of 2
FREEDOM = 8.0  # of the t: its tails are longer than those of the normal prior of b
FRACTIONS = 8  # of an interval between times, for cumulative incidence
_FIRST, _LATER = 25, 2  # Newton steps to the mode: for the first draw of theta, then from the mode before
_ROW_STEP, _EFFECT_STEP = 1e-2, 1e-3  # of numerical derivatives, in units of an outcome's scale and of an effect's sd
_LONGEST = 5.0  # Newton step, in sds of an effect
_DOUBTFUL = 0.2  # share of effective points


# --------------------------------------------------------------------------------------------------------- what was fitted


@dataclass(frozen=True)
class Fitted:
    """A joint model read again from what its tree holds, coded as it was fitted."""

    tree: xr.DataTree
    options: Mapping[str, Any]
    joint: Joint
    hazard: Hazard

    @property
    def id(self) -> str:
        return self.hazard.id

    @property
    def time(self) -> str:
        return self.options["time"]

    @property
    def names(self) -> list[str]:
        """The outcomes as their formulas name them."""
        return [self.joint.texts[part.prefix].split("~")[0].strip() for part in self.joint.parts]

    def choice(self, part: Part) -> Any:
        """What was said of an outcome's response beside its formula."""
        names = (part.name, self.names[[p.name for p in self.joint.parts].index(part.name)])
        said = [self.options[option] or {} for option in part.family.choices]
        return next((choice[name] for choice in said for name in names if name in choice), None)

    @cached_property
    def own(self) -> tuple[Group, ...]:
        """The effects that each subject has of its own; other factors are groups of subjects."""
        names = {subject_effects(part, self.id).factor.name for part in self.joint.parts}
        return tuple(g for g in self.hazard.groups if g.factor.name in names)

    @property
    def effects(self) -> int:
        """q, how many effects a subject has of its own."""
        return sum(len(g.labels) for g in self.own)

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where the own effects of each group, by the name of their variable, are in b (q,)."""
        ends = np.cumsum([0, *(len(g.labels) for g in self.own)]).tolist()
        return {g.name("u"): slice(a, b) for g, a, b in zip(self.own, ends[:-1], ends[1:], strict=True)}


def read_again(tree: xr.DataTree) -> Fitted:
    """The joint model of a fit, fresh or loaded.

    Raises
    ------
    InputError
        A fit of another builder; data that are not coded as they were.
    """
    spec = about(tree)["spec"]
    if spec["builder"] != "joint_survival":
        raise InputError(f"dynamic prediction is of a fit of joint_survival, and this is one of {spec['builder']}")
    options, texts = spec["options"], spec["formula"].split("; ")
    pairs = {t: f"{o['family']}({o['link']})" for t, o in zip(texts, spec["outcomes"].values(), strict=True)}
    names = (
        "event", "time", "id", "association", "association_scale", "baseline", "cuts", "causes", "censored", "carry_forward",
        "missing", "clusters",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)  # told when it was fitted
        joint, hazard = read_joint(
            table_of(tree), table_of(tree, EVENT_TABLE), pairs, families=None,
            choices={name: options[name] for name in ("zi", "dispersion", "success", "levels")},
            **{name: options[name] for name in names},
        )  # fmt: skip
    _check_coding(tree, joint, hazard)
    return Fitted(tree, options, joint, hazard)


def _check_coding(tree: xr.DataTree, joint: Joint, hazard: Hazard) -> None:
    """What the columns are multiplied with has their labels."""
    found: dict[str, Sequence[str]] = {named(p.prefix, "coef"): p.population.labels for p in joint.predictors}
    found |= {g.effect_dim: g.labels for g in hazard.groups} | {g.dim: g.factor.levels for g in hazard.groups}
    found |= {"surv_coef": hazard.events.covariates.labels, "association": [t.label for t in hazard.terms]}
    found |= {"cause": hazard.events.causes}
    coords = tree["posterior"].coords
    for dim, labels in found.items():
        if dim in coords and (was := [str(x) for x in coords[dim].values]) != list(labels):
            raise InputError(
                f"{dim}: the data in this file are coded as {listing(labels)} and were fitted as {listing(was)}: an older glmm_zoo did not "
                "keep the order of levels that a data frame declares; fit again"
            )


# ------------------------------------------------------------------------------------------------------------ the subjects


@dataclass(frozen=True)
class History:
    """Measurements of one outcome up to the landmarks, R rows sorted by subject.

    `part` has their values; `designs` are those of its predictors, by prefix, and `offsets` (R,) what else they have.
    """

    part: Part
    predictors: Sequence[Predictor]
    subject: np.ndarray
    designs: Sequence[Design]
    offsets: Sequence[np.ndarray]


@dataclass(frozen=True)
class Subjects:
    """n subjects with their landmarks (n,), hazards and histories; those of an outcome that nobody has are left out."""

    ids: tuple[str, ...]
    landmark: np.ndarray
    hazard: Hazard
    histories: Sequence[History]

    @property
    def measurements(self) -> np.ndarray:
        n = len(self.ids)
        return sum((np.bincount(h.subject, minlength=n) for h in self.histories), np.zeros(n, int))


def _read_subjects(
    fit: Fitted, longitudinal: Any, survival: Any, landmark: float | Mapping[Any, float], ids: Sequence[Any] | None
) -> Subjects:
    """The subjects asked for, of the fit or of other tables, with what was known of them at their landmarks."""
    own = longitudinal is None and survival is None
    longitudinal = table_of(fit.tree) if longitudinal is None else longitudinal
    survival = table_of(fit.tree, EVENT_TABLE) if own else survival
    visits, people = _visits(fit, longitudinal), _people(fit, longitudinal, survival)
    asked, t = _asked(fit, people[fit.id].factor()[1], landmark, ids, own)
    place = {label: i for i, label in enumerate(asked)}
    events = _event_rows(fit, people, place, t)
    visits = _known_at(fit, _with_everybody(fit, visits, survival, place), place, t)
    joint, problems = _of_rows(fit, visits, place), list[str]()
    made = courses(
        joint, asked, id=fit.id, time=fit.time, carried=fit.options["carry_forward"],
        horizon=fit.hazard.events.horizon, problems=problems,
    )  # fmt: skip
    for name, level in made[0].levels.items():
        nowhere = [asked[i] for i in np.flatnonzero(level < 0)]
        problems += [f"{fit.id} {few(nowhere)} has no value of {name!r}; the marker has its effect"] if nowhere else []
    raise_all(problems)
    hazard = replace(
        fit.hazard,
        events=events,
        courses=made,
        terms=_terms(fit, events.table),
        baseline=_Kept.of(fit.hazard.baseline),
    )
    histories = [_history(fit, joint, course, place, t) for course in made]
    return Subjects(asked, t, hazard, [h for h in histories if len(h.subject)])


def _visits(fit: Fitted, data: Any) -> Table:
    """All rows of visits, with gaps except in subject and time; subjects are labels."""
    take(data, [fit.id, fit.time])
    visits = with_gaps(data, [fit.id, fit.time, *(c for p in fit.joint.predictors for c in p.formula.columns)])
    t = visits[fit.time].numbers("the time of a visit")
    if (t < 0).any():
        row = at_rows(np.flatnonzero(t < 0)[:1])
        raise InputError(f"column {fit.time!r} must be >= 0; {row} has {t[t < 0][0]:g}; correct the times")
    codes, labels = visits[fit.id].factor()
    return replace(visits, columns={**visits.columns, fit.id: Column(fit.id, "text", codes, codes < 0, labels)})


def _people(fit: Fitted, longitudinal: Any, survival: Any) -> Table:
    """Rows of the event's covariates; where they stand with the visits, the first of each subject, as all say the same."""
    formula = fit.hazard.events.formula
    began = formula.times[0].columns if formula.kind == "counting" else ()
    by = covariates_of(fit.options["association"])
    columns = list(dict.fromkeys([*began, *formula.covariates.predictor_columns, *by]))
    people = take(longitudinal if survival is None else survival, [fit.id, *columns])
    codes, labels = people[fit.id].factor()
    if formula.kind == "counting":
        return people
    first = np.unique(codes, return_index=True)[1]
    if survival is not None and len(first) < len(codes):
        twice = [labels[i] for i in np.flatnonzero(np.bincount(codes) > 1)]
        raise InputError(f"survival: {fit.id} {few(twice)} has several rows; one row for each subject is expected")
    varies = [c for c in columns if (people[c].values != people[c].values[first][codes]).any()]
    raise_all(
        [f"column {c!r} of the event varies within {fit.id}; give survival=, a row for each subject" for c in varies]
    )
    return people.take(first)


def _asked(
    fit: Fitted, known: Sequence[str], landmark: float | Mapping[Any, float], ids: Sequence[Any] | None, own: bool
) -> tuple[tuple[str, ...], np.ndarray]:
    """Who is predicted, and from when on (n,). Of the fit's own, those that were followed then, unless ids are given."""
    several = isinstance(landmark, Mapping)
    asked = [str(i) for i in ids] if ids is not None else [str(i) for i in landmark] if several else list(known)
    given = {str(i): float(t) for i, t in landmark.items()} if several else dict.fromkeys(asked, float(landmark))
    lacking = [i for i in asked if i not in given]
    problems = [f"landmark has no time for {fit.id} {few(lacking)}; give one for each of the ids"] if lacking else []
    problems += [
        f"no {fit.id} {i!r}{did_you_mean(i, known) or ';'} known: {listing(known)}"
        for i in asked
        if i not in set(known)
    ]
    problems += [f"{fit.id} {i!r} is asked for twice" for i in dict.fromkeys(asked) if asked.count(i) > 1]
    problems += [f"a landmark is a time >= 0, not {t:g}" for t in dict.fromkeys(given.values()) if not 0 <= t < np.inf]
    raise_all(problems)
    if own:
        events = fit.hazard.events
        at = {i: k for k, i in enumerate(events.ids)}
        entry, left, end, then = (
            *(x[[at[i] for i in asked]] for x in (events.entry, events.left, events.time)), np.array([given[i] for i in asked]),
        )  # fmt: skip
        there = (entry <= then) & (then <= left) & (then < end)
        away = [i for i, followed in zip(asked, there, strict=True) if not followed]
        if away and ids is None and not several:
            asked = [i for i in asked if i not in set(away)]
            if not asked:
                raise InputError(f"nobody of the fit was followed at the landmark {landmark:g}; choose an earlier one")
        elif away:
            warnings.warn(
                f"{fit.id} {few(away)}: not followed at the landmark; the prediction supposes that they were free of the event then",
                ZooWarning,
                stacklevel=4,
            )
    return tuple(asked), np.array([given[i] for i in asked])


def _event_rows(fit: Fitted, people: Table, place: Mapping[str, int], t: np.ndarray) -> Events:
    """Rows of the event that had begun at the landmark; the last one goes on, with its covariates, for ever."""
    formula, subject = fit.hazard.events.formula, subject_of(people, fit.id, place)
    start = evaluate(formula.times[0], people) if formula.kind == "counting" else np.zeros(people.rows)
    order = np.lexsort((start, subject))
    order = order[subject[order] >= 0]
    subject, start = subject[order], start[order]
    first = np.diff(subject, prepend=-1) > 0
    kept = first | (start <= t[subject])
    subject, start, table = subject[kept], np.where(first, 0.0, start)[kept], people.take(order[kept])
    stop = np.where(np.diff(subject, append=len(place)) > 0, np.inf, np.append(start[1:], np.inf))
    offsets = [evaluate(o, table) for o in formula.covariates.offsets]
    zero, covariates = np.zeros(len(place)), fit.hazard.events.covariates
    return replace(
        fit.hazard.events, table=table, ids=tuple(place), subject=subject, start=start, stop=stop, entry=zero, left=t, time=t,
        status=zero.astype(int), covariates=replace(covariates, values=covariates.again(table)),
        offset=np.sum(offsets, axis=0) if offsets else None,
    )  # fmt: skip


def _with_everybody(fit: Fitted, visits: Table, survival: Any, place: Mapping[str, int]) -> Table:
    """The visits, with a row at time 0 for those who have none: their covariates stand with those of the event."""
    never = [i for i in place if i not in visits[fit.id].levels]
    if not never:
        return visits
    formulas = [part.main.formula for part in fit.joint.parts]
    columns = list(dict.fromkeys(c for f in formulas for c in f.predictor_columns if c not in (fit.id, fit.time)))
    lacking = [c for c in columns if c not in names_of(survival)]
    if lacking:
        raise InputError(
            f"{fit.id} {few(never)} has no visit, and the marker needs {listing(map(repr, lacking))}; add columns of that name to "
            "survival, or a row of visits without a measurement"
        )
    rows = with_gaps(survival, [fit.id, *columns])
    subject = subject_of(rows, fit.id, {i: k for k, i in enumerate(never)})
    rows = rows.take(np.array([np.flatnonzero(subject == k)[0] for k in range(len(never))]))
    codes = np.arange(len(never))
    at_zero = {
        fit.id: Column(fit.id, "text", codes, codes < 0, tuple(never)),
        fit.time: Column(fit.time, "number", np.zeros(len(never)), codes < 0),
    }
    return stacked(visits, replace(rows, columns={**rows.columns, **at_zero}))


def _known_at(fit: Fitted, visits: Table, place: Mapping[str, int], t: np.ndarray) -> Table:
    """Visits up to the landmark, sorted by subject and time; the first one of a subject in any case, for what never changes."""
    subject, visit = subject_of(visits, fit.id, place), visits[fit.time].numbers("the time of a visit")
    order = np.lexsort((visit, subject))
    order = order[subject[order] >= 0]
    subject, visit = subject[order], visit[order]
    known = visits.take(order[(np.diff(subject, prepend=-1) > 0) | (visit <= t[subject])])
    return replace(known, row_numbers=np.arange(known.rows))


def _of_rows(fit: Fitted, visits: Table, place: Mapping[str, int]) -> Joint:
    """The joint model of other rows: all that have a level of each factor, which is a subject or a level of the fit."""
    own, problems = {g.factor.name for g in fit.own}, list[str]()

    def moved(p: Predictor) -> Predictor:
        columns = {g.name: g.factor for g in p.formula.groups}
        effects = []
        for e in p.effects:
            if e.factor.name in own:
                effects.append(
                    replace(e, factor=Factor(e.factor.name, tuple(place), subject_of(visits, fit.id, place)))
                )
                continue
            known = ~np.logical_or.reduce([visits[c].missing for c in columns[e.factor.name]])
            codes = np.full(visits.rows, -1)
            there = factor(columns[e.factor.name], visits.take(known))
            new = [x for x in there.levels if x not in e.factor.levels]
            if new:
                levels = listing(e.factor.levels)
                problems.append(f"{e.factor.name} {few(new)} was not in the data of the fit; levels: {levels}")
            at = {x: i for i, x in enumerate(e.factor.levels)}
            codes[known] = np.array([at.get(x, -1) for x in there.levels])[there.codes]
            effects.append(replace(e, factor=Factor(e.factor.name, e.factor.levels, codes)))
        return replace(p, effects=tuple(effects))

    found = {p.prefix: moved(p) for p in fit.joint.predictors}
    raise_all(problems)
    parts = []
    for part in fit.joint.parts:
        main = found[part.prefix]
        rows = np.flatnonzero(np.logical_and.reduce([e.factor.codes >= 0 for e in main.effects]))
        effects = (replace(e, factor=replace(e.factor, codes=e.factor.codes[rows])) for e in main.effects)
        parts.append(replace(part, main=replace(main, effects=tuple(effects)), rows=rows))
    return replace(fit.joint, parts=tuple(parts), predictors=tuple(found.values()), table=visits)


def _terms(fit: Fitted, table: Table) -> list[Term]:
    """The terms of the association in other rows of the event."""
    if all(term.by is None for term in fit.hazard.terms):
        return list(fit.hazard.terms)
    events = fit.hazard.events
    both = replace(events, table=stacked(events.table, table))
    terms = association_terms(
        fit.options["association"], fit.options["association_scale"], fit.joint, both, fit.hazard.courses, id=fit.id
    )
    if [t.label for t in terms] != [t.label for t in fit.hazard.terms]:
        new = [t.label for t in terms if t.label not in [known.label for known in fit.hazard.terms]]
        raise InputError(f"association: {listing(new)} is of a level that was not in the data of the fit")
    return [t if t.by is None else replace(t, by=t.by[events.table.rows :]) for t in terms]


def _history(fit: Fitted, joint: Joint, course: Course, place: Mapping[str, int], t: np.ndarray) -> History:
    """What was measured of the outcome of a course by the landmarks."""
    visits, part = joint.table, course.part
    fitted = next(p for p in fit.joint.parts if p.prefix == part.prefix)
    response = part.main.formula.response
    assert response is not None
    trials = response.trials.columns if isinstance(response.trials, Operand) else ()
    values = [visits[c] for c in (*response.value.columns, *trials)]
    subject, visit = subject_of(visits, fit.id, place), visits[fit.time].numbers("the time of a visit")
    rows = np.flatnonzero(~np.logical_or.reduce([v.missing for v in values]) & (visit <= t[subject]))
    measured = visits.take(rows)
    predictors = [p for p in joint.predictors if p.dim == part.main.dim]
    if not len(rows):
        return History(part, predictors, subject[rows], (), ())
    needed = dict.fromkeys(c for p in predictors for c in p.formula.predictor_columns)
    lacking = [c for c in needed if measured[c].missing.any() and c not in course.rows.columns]
    raise_all(
        [
            f"column {c!r} has no value in {visits.at(visits[c].missing)}, where {part.name!r} is measured"
            for c in lacking
        ]
    )
    names = [c.name for c in values]
    whole = fit.joint.table
    at = np.searchsorted(whole.row_numbers, fitted.rows)
    old = replace(whole.take(at), columns={c: whole[c].take(at) for c in names})
    both = stacked(old, replace(measured, columns={c: measured[c] for c in names}))
    outcome = part.family.read(both, response, fit.choice(part))
    tail = slice(old.rows, None)
    own = replace(
        fitted.outcome, values=outcome.values[tail], trials=None if outcome.trials is None else outcome.trials[tail]
    )
    designs, offsets = [], []
    for p in predictors:
        if p.prefix == part.prefix:
            designs.append(course.columns(subject[rows], visit[rows]))
        else:
            level = {e.factor.name: e.factor.codes[rows] for e in p.effects}
            z = {e.factor.name: e.again(measured) for e in p.effects}
            designs.append(Design(np.ones(len(rows)), p.population.again(measured), level, z))
        offsets.append(np.sum([np.zeros(len(rows)), *(evaluate(o, measured) for o in p.formula.offsets)], axis=0))
    return History(replace(part, outcome=own, rows=rows), predictors, subject[rows], designs, offsets)


# ------------------------------------------------------------------------------------------------- densities and integrals


type Rows = Callable[[Sequence[np.ndarray], Mapping[str, np.ndarray]], np.ndarray]


def _density(fit: Fitted, histories: Sequence[History], theta: Mapping[str, np.ndarray]) -> Rows:
    """log f of every measurement (R,), one outcome after the other, given all predictors and one draw of the families' own
    parameters: the likelihood of the model that was fitted, at these rows. `theta` has draws (D, ...)."""
    import pymc as pm
    from pytensor.graph.replace import clone_replace
    from pytensor.graph.traversal import graph_inputs

    from glmm_zoo.graph.model import Model
    from glmm_zoo.inference.kernel.density import GraphCompiler

    def bare(p: Predictor, outcome: Outcome) -> Predictor:
        columns = Columns(np.empty((len(outcome.values), 0)), (), p.population.intercept)
        return replace(p, population=columns, offset=None, effects=(), smooths=())

    known = {h.part.prefix: _with_all_levels(h.part.outcome) for h in histories}
    predictors = [bare(p, known[h.part.prefix]) for h in histories for p in h.predictors]
    more = [
        p.rows - len(h.subject) for p, h in zip(predictors, (h for h in histories for _ in h.predictors), strict=True)
    ]
    main = {p.prefix: p for p in predictors}
    parts = tuple(
        replace(
            h.part, outcome=known[h.part.prefix], main=main[h.part.prefix], rows=np.arange(main[h.part.prefix].rows)
        )
        for h in histories
    )
    joint = replace(fit.joint, parts=parts, predictors=tuple(predictors))
    with Model(outcomes.plan("joint_survival", joint, {}, None)) as model:
        outcomes.observe(model, joint)
    etas = [model.linear[p.prefix].eta for p in predictors]
    inputs = [eta.type() for eta in etas]
    log_f = [pm.logp(rv, model.rvs_to_values[rv]) for rv in model.observed_RVs]
    parameters = [rv.type(rv.name) for rv in model.free_RVs]
    graph = clone_replace(
        log_f, dict(zip([*etas, *model.free_RVs], [*inputs, *parameters], strict=True)), rebuild_strict=False
    )
    used = [v for v in parameters if v in set(graph_inputs(graph))]
    names, size = [str(v.name) for v in used], sum(len(part.rows) for part in parts)
    there = np.concatenate(
        [np.arange(len(part.rows)) < len(h.subject) for part, h in zip(parts, histories, strict=True)]
    )
    shapes = [*((p.rows,) for p in predictors), *(theta[name].shape[1:] for name in names)]
    run, _ = GraphCompiler([*inputs, *used], shapes).outputs(graph)

    def rows(etas: Sequence[np.ndarray], draw: Mapping[str, np.ndarray]) -> np.ndarray:
        out = np.zeros(size)
        padded = (np.append(eta, np.zeros(k)) for eta, k in zip(etas, more, strict=True))
        run(np.concatenate([*padded, *(np.ravel(draw[name]) for name in names)]), out)
        return out[there]

    return rows


def _with_all_levels(outcome: Outcome) -> Outcome:
    """With a row more for each of its ordered levels, all of which an ordered family wants to see."""
    return replace(outcome, values=np.append(outcome.values, np.arange(len(outcome.levels))))


class _Kept(Baseline):
    """A baseline that keeps its columns at points in time that come again with every draw."""

    @classmethod
    def of(cls, baseline: Baseline) -> _Kept:
        return cls(baseline.kind, baseline.horizon, baseline.cuts)

    @cached_property
    def _columns(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        return {}

    def basis(self, t: np.ndarray) -> np.ndarray:
        if id(t) not in self._columns:
            self._columns[id(t)] = t, super().basis(t)  # with t, so that no other array has its id
        return self._columns[id(t)][1]


@dataclass(frozen=True)
class Hazards:
    """Integrals of the hazard over S intervals, each of them of one of `size` sums, by cause.

    With `copies` every subject stands for so many, one after the other, each with effects of its own.
    """

    hazard: Hazard
    integral: Integral | None
    of: np.ndarray
    size: int

    @classmethod
    def over(cls, hazard: Hazard, row: np.ndarray, a: np.ndarray, b: np.ndarray, of: np.ndarray, size: int) -> Hazards:
        """Over (a, b] (S,) in rows of the event (S,)."""
        subject = hazard.events.subject[row]
        return cls(hazard, hazard.integral(subject, row, a, b) if (b > a).any() else None, of, size)

    def copied(self, many: int, own: Sequence[str]) -> Hazards:
        of = (many * self.of[:, None] + np.arange(many)).ravel()
        integral = None if self.integral is None else self.integral.repeated(many, own, _of_copy(many))
        return replace(self, integral=integral, of=of, size=many * self.size)

    def sums(self, get: Get) -> np.ndarray:
        """(size, causes)."""
        causes = self.hazard.causes
        if self.integral is None:
            return np.zeros((self.size, len(causes)))
        return np.stack([self.integral.sums(self.of, self.size, k, get, np) for k in causes], axis=1)

    def parts(self, get: Get) -> np.ndarray:
        """What each point gives, (causes, N)."""
        assert self.integral is not None
        return np.stack([self.integral.parts(k, get, np) for k in self.hazard.causes])


def _of_copy(many: int) -> Level:
    """The own effects of copy m of subject i stand at many i + m."""
    return lambda subject, copy: many * subject + copy


# ------------------------------------------------------------------------------------------------------------- the effects


@dataclass(frozen=True)
class Likelihood:
    """log p(y, T > t | b) of every subject. Predictor p at its rows is base_p + Z_p b, `Z` (R_p, q); rows by outcome."""

    fit: Fitted
    subjects: Subjects
    rows: Rows
    parts: Sequence[tuple[Predictor, Part, Design, np.ndarray]]  # of each predictor, with its offset
    Z: Sequence[np.ndarray]
    subject: Sequence[np.ndarray]
    places: Sequence[slice]  # of a predictor's rows among all
    steps: Sequence[float]
    lived: Hazards

    @classmethod
    def of(cls, fit: Fitted, subjects: Subjects, theta: Mapping[str, np.ndarray]) -> Likelihood:
        parts, Z, subject, places, steps, end = [], [], [], [], [], 0
        for h in subjects.histories:
            for p, design, offset in zip(h.predictors, h.designs, h.offsets, strict=True):
                z = np.zeros((len(h.subject), fit.effects))
                for g in fit.own:
                    mine = fit.places[g.name("u")].start + np.flatnonzero([owner == p.prefix for owner in g.owners])
                    if len(mine):
                        z[:, mine] = design.z[g.factor.name]
                parts.append((p, replace(h.part, main=p), design, offset))
                Z.append(z)
                subject.append(h.subject)
                places.append(slice(end, end + len(h.subject)))
                steps.append(_ROW_STEP * (h.part.outcome.scale if p.prefix == h.part.prefix else 1.0))
            end += len(h.subject)
        rows = _density(fit, subjects.histories, theta) if subjects.histories else lambda *_: np.zeros(0)
        events, t = subjects.hazard.events, subjects.landmark[subjects.hazard.events.subject]
        lived = Hazards.over(
            subjects.hazard, np.arange(len(t)), np.minimum(events.start, t), np.minimum(events.stop, t), events.subject,
            len(subjects.ids),
        )  # fmt: skip
        return cls(fit, subjects, rows, parts, Z, subject, places, steps, lived)

    def base(self, get: Get) -> list[np.ndarray]:
        """Predictors at b = 0, which is what `get` has for the subjects' effects."""
        groups = self.fit.hazard.groups
        return [design.of(p.prefix, part, groups, get) + offset for p, part, design, offset in self.parts]

    def log_f(self, base: Sequence[np.ndarray], b: np.ndarray, draw: Mapping[str, np.ndarray]) -> np.ndarray:
        """log p(y | b) (n,) at b (n, q)."""
        etas = [e + np.einsum("rq,rq->r", z, b[s]) for e, z, s in zip(base, self.Z, self.subject, strict=True)]
        f, total = self.rows(etas, draw), np.zeros(len(b))
        for place, s in {(p.start, p.stop): (p, s) for p, s in zip(self.places, self.subject, strict=True)}.values():
            total += np.bincount(s, f[place], len(b))
        return total

    def derivatives(
        self, base: Sequence[np.ndarray], b: np.ndarray, draw: Mapping[str, np.ndarray], get: Callable[..., Get],
        sd: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Gradient (n, q) and information (n, q, q) of log p(y, T > t | b), that between predictors of a row left out."""
        n, q = b.shape
        slope, information = np.zeros((n, q)), np.zeros((n, q, q))
        etas = [e + np.einsum("rq,rq->r", z, b[s]) for e, z, s in zip(base, self.Z, self.subject, strict=True)]
        middle = self.rows(etas, draw)
        for j, (z, s, place, h) in enumerate(zip(self.Z, self.subject, self.places, self.steps, strict=True)):
            low, high = (
                self.rows([e + h * sign if i == j else e for i, e in enumerate(etas)], draw)[place]
                for sign in (-1.0, 1.0)
            )
            w = np.maximum((2.0 * middle[place] - high - low) / h**2, 0.0)
            slope += _by_subject(((high - low) / (2.0 * h))[:, None] * z, s, n)
            information += _by_subject(w[:, None, None] * z[:, :, None] * z[:, None, :], s, n)
        if self.lived.integral is not None:
            H = self.lived.parts(get(b))
            e = _EFFECT_STEP * np.diag(sd)
            log_H = np.log(np.maximum(H, 1e-300))
            g = np.stack(
                [(np.log(np.maximum(self.lived.parts(get(b + e[k])), 1e-300)) - log_H) / e[k, k] for k in range(q)],
                axis=-1,
            )  # (causes, N, q), d log h / d b
            s = self.lived.of[self.lived.integral.owner]
            slope -= _by_subject(np.einsum("kn,knq->nq", H, g), s, n)
            information += _by_subject(np.einsum("kn,knq,knp->nqp", H, g, g), s, n)
        return slope, information


def _by_subject(values: np.ndarray, subject: np.ndarray, n: int) -> np.ndarray:
    """Sums (n, ...) of values (R, ...), sorted by subject."""
    total = np.zeros((n, *values.shape[1:]))
    if len(values):
        first = np.flatnonzero(np.diff(subject, prepend=-1))
        total[subject[first]] = np.add.reduceat(values, first)
    return total


def _posterior(fit: Fitted, draws: int) -> dict[str, np.ndarray]:
    """Draws (D, ...) of everything but the subjects' effects, evenly spaced among those of the fit; again from the first where
    it has fewer."""
    own = {g.name("u") for g in fit.own}
    kept = fit.tree["posterior"].dataset.drop_vars(own, errors="ignore").stack(sample=("chain", "draw"))
    gone = [g.factor.name for g in fit.hazard.groups if g.name("u") not in {*own, *kept}]
    if gone:
        raise InputError(
            f"of the effects of {listing(map(repr, gone))} the fit kept moments only; fit again with keep_group_effects='draws'"
        )
    finished = np.flatnonzero(
        np.isfinite(kept["assoc"].transpose("sample", ...).values.reshape(kept.sizes["sample"], -1)).all(1)
    )
    at = finished[np.arange(draws) * len(finished) // draws]
    chosen = kept.isel(sample=at)
    return {str(name): v.transpose("sample", ...).values for name, v in chosen.data_vars.items()}


def _covariance(fit: Fitted, theta: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sigma (D, q, q) of the own effects: independent between groups."""
    q = fit.effects
    Sigma = np.zeros((len(theta["assoc"]), q, q))
    for g in fit.own:
        at, sd = fit.places[g.name("u")], theta[g.name("sd")]
        corr = theta[g.name("corr")] if g.correlated else np.eye(len(g.labels))
        Sigma[:, at, at] = sd[:, :, None] * corr * sd[:, None, :]
    return Sigma


def _points(q: int, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points x (D, M, q) of q independent t's and their log density, up to a constant; numbers (D,) in (0, 1) to pick one with.

    Half of them are a Sobol sequence in (0, 1)^q, moved around by an amount of its own for every draw of theta (Cranley &
    Patterson 1976), the others their opposites: what is odd in x has its mean exactly.
    """
    rng = np.random.default_rng(seed)
    net = stats.qmc.Sobol(q, rng=rng).random(POINTS // 2)
    u = np.clip((net + rng.random((draws, 1, q))) % 1.0, 1e-12, 1 - 1e-12)
    half = special.stdtrit(FREEDOM, u)
    x = np.concatenate([half, -half], axis=1)
    return x, -0.5 * (FREEDOM + 1) * np.log1p(x**2 / FREEDOM).sum(axis=-1), rng.random(draws)


@dataclass(frozen=True)
class Predicted:
    """For every draw of theta, the mean over b, `means` (D, n, ...), and the value at one b, `picks`, of what is asked for, by
    name; the share of points that are effective `ess` (n,)."""

    means: Mapping[str, np.ndarray]
    picks: Mapping[str, np.ndarray]
    ess: np.ndarray


def _predict(fit: Fitted, subjects: Subjects, times: np.ndarray, draws: int, seed: int) -> Predicted:
    """Survival and cumulative incidence from the landmark to the times (T,), and markers at them, of n subjects."""
    theta = _posterior(fit, draws)
    likelihood, own = Likelihood.of(fit, subjects, theta), [g.factor.name for g in fit.own]
    n, q, T, M = len(subjects.ids), fit.effects, len(times), POINTS
    Sigma = _covariance(fit, theta)
    x, log_t, u = _points(q, draws, seed)
    lived, ahead = likelihood.lived.copied(M, own), _ahead(subjects, times).copied(M, own)
    curves = [
        c.columns(np.repeat(np.arange(n), T), np.tile(times, n)).repeated(M, own, _of_copy(M))
        for c in subjects.hazard.courses
    ]
    means: dict[str, np.ndarray] = {}
    picks: dict[str, np.ndarray] = {}
    ess, mode = np.zeros(n), np.zeros((n, q))
    for d in range(draws):
        draw = {name: values[d] for name, values in theta.items()}

        def get(b: np.ndarray, draw: Mapping[str, np.ndarray] = draw) -> Get:
            return {**draw, **{name: b[:, at] for name, at in fit.places.items()}}.__getitem__

        base, K, sd = likelihood.base(get(np.zeros((n, q)))), np.linalg.inv(Sigma[d]), np.sqrt(np.diag(Sigma[d]))
        for _ in range(_LATER if d else _FIRST):
            slope, information = likelihood.derivatives(base, mode, draw, get, sd)
            P = K + information
            step = np.linalg.solve(P, (slope - mode @ K)[:, :, None])[:, :, 0]
            mode = mode + step * np.minimum(1.0, _LONGEST / np.maximum(np.abs(step / sd).max(axis=1), 1e-12))[:, None]
        L = np.linalg.cholesky(P)  # (n, q, q), of the last step
        b = mode[:, None, :] + np.linalg.solve(np.swapaxes(L, 1, 2), x[d].T).swapaxes(1, 2)  # (n, M, q)
        H = lived.sums(get(b.reshape(n * M, q))).sum(axis=1).reshape(n, M)
        log_f = np.stack([likelihood.log_f(base, b[:, m], draw) for m in range(M)], axis=1)
        log_w = log_f - H - 0.5 * np.einsum("nmq,qp,nmp->nm", b, K, b) - log_t[d]
        w = special.softmax(log_w, axis=1)
        ess += 1.0 / (w**2).sum(axis=1) / (M * draws)
        picked = np.minimum((np.cumsum(w, axis=1) < u[d]).sum(axis=1), M - 1)
        for name, g in _functions(fit, subjects, ahead, curves, get(b.reshape(n * M, q)), T).items():
            if not d:
                means[name], picks[name] = (np.empty((draws, *g.shape[:-1])) for _ in range(2))
            means[name][d] = np.einsum("n...m,nm->n...", g, w)
            picks[name][d] = g[np.arange(n), ..., picked]
    return Predicted(means, picks, ess)


def _ahead(subjects: Subjects, times: np.ndarray) -> Hazards:
    """Hazards over the intervals from landmark to times, (n, T), in fractions where causes compete: (n, T, F)."""
    n, T, F = len(subjects.ids), len(times), FRACTIONS if subjects.hazard.events.competing else 1
    start = np.maximum(subjects.landmark[:, None], np.append(0.0, times[:-1]))
    length = np.maximum(times - start, 0.0)
    a, b = (start[:, :, None] + length[:, :, None] * (np.arange(F) + end) / F for end in (0, 1))
    row = np.repeat(subjects.hazard.events.last, T * F)
    return Hazards.over(subjects.hazard, row, a.ravel(), b.ravel(), np.arange(n * T * F), n * T * F)


def _functions(
    fit: Fitted, subjects: Subjects, ahead: Hazards, curves: Sequence[Design], get: Get, T: int
) -> dict[str, np.ndarray]:
    """What is predicted, as functions of b: (n, T, M), `cif` (n, T, causes, M), markers (n, T, outcomes, M)."""
    n, M = len(subjects.ids), POINTS
    dH = ahead.sums(get).reshape(n, -1, M, len(fit.hazard.causes))  # (n, T F, M, causes)
    whole = dH.sum(axis=-1)
    H, ends = np.cumsum(whole, axis=1), slice(whole.shape[1] // T - 1, None, whole.shape[1] // T)
    found = {"survival": np.exp(-H[:, ends])}
    if fit.hazard.events.competing:
        share = dH / np.where(whole > 0, whole, 1.0)[..., None]
        came = (np.exp(whole - H) * -np.expm1(-whole))[..., None] * share
        found["cif"] = np.moveaxis(np.cumsum(came, axis=1)[:, ends], 2, 3)
    etas = [
        design.of(part.prefix, part, fit.hazard.groups, get).reshape(n, T, M)
        for design, part in zip(curves, fit.joint.parts, strict=True)
    ]
    found["marker"] = np.stack(etas, axis=2)
    found["response"] = np.stack(
        [
            np.full(eta.shape, np.nan) if part.main.cutpoints else INVERSE[part.link](eta)
            for eta, part in zip(etas, fit.joint.parts, strict=True)
        ],
        axis=2,
    )
    return found


# ------------------------------------------------------------------------------------------------------------------ public


def dynamic_prediction(
    tree: xr.DataTree,
    longitudinal: Any = None,
    survival: Any = None,
    *,
    landmark: float | Mapping[Any, float],
    times: Sequence[float],
    ids: Sequence[Any] | None = None,
    prob: float = 0.95,
    draws: int = 400,
    seed: int = 0,
) -> xr.Dataset:
    """Survival of subjects beyond a time, given their history up to it and that they were free of the event then, and their markers.

    Parameters
    ----------
    tree
        A fit of `joint_survival`, fresh or loaded; it holds all that is needed for its own subjects.
    longitudinal
        Visits of new subjects: a data frame with the columns of the longitudinal formulas, `id` and `time`; a measurement that is
        missing, or later than the landmark, is not used. None: the subjects of the fit.
    survival
        One row for each subject to predict, or rows (start, stop], with the covariates of the event; what it says of the event
        itself is not read, and covariates stay as they are at the landmark. Without it covariates are looked for among the
        visits. A subject without any visit is predicted from its covariates alone.
    landmark
        A time >= 0, in the unit of the fit, or one for each id.
    times
        Increasing times >= 0. Up to the landmark survival is 1; markers are given at all of them.
    ids
        Whose prediction, of all in the tables. Of the fit's own by default those that were still followed at the landmark.
    prob
        Probability inside the intervals.
    draws
        Draws from the posterior, of those that the fit has.
    seed
        The same seed gives the same numbers.

    Returns
    -------
    Dataset
        Over id and time: `survival`, pi(u | t), the mean over parameters and effects. Two intervals are given:
        `lower` to `upper`, with `median` inside, are quantiles of S(u | b) / S(t | b) over draws of parameters and effects, which say
        how much subjects with this history differ (the interval of JM and JMbayes2); `probability_lower` to
        `probability_upper` are those of the probability itself, its mean over effects, which varies only because parameters
        are not known. With competing causes `cif` (cause, id, time), the probability of the event by that cause by then, with
        `cif_lower` and `cif_upper` over parameters and effects; survival is free of all causes.
        Over outcome, id and time: `marker`, the linear predictor without offset, and `response`, its inverse link (of the part
        that counts for zero-inflated and hurdle families; NaN for ordered categories), with `_lower` and `_upper`: bands of the
        expected marker, not of measurements. Over id: `landmark`, the number of `measurements` used, and `ess`, the share of the
        points for a subject's effects that are effective, from 0 to 1; below 0.2 there is a warning.

    Raises
    ------
    InputError
        A fit of another builder; columns that are not there; ids and levels that are not known; times that do not increase.

    Source: Rizopoulos (2011), Biometrics 67:819; cumulative incidence: Andrinopoulou et al. (2017), Statistics in Medicine 36:3203.
    """
    u = _checked_times(times)
    problems = [f"prob must be between 0 and 1, not {prob}"] if not 0 < prob < 1 else []
    problems += [f"draws must be a whole number >= 1, not {draws!r}"] if not isinstance(draws, int) or draws < 1 else []
    raise_all(problems)
    fit = read_again(tree)
    subjects = _read_subjects(fit, longitudinal, survival, landmark, ids)
    horizon = fit.hazard.events.horizon
    if u[-1] > horizon:
        warnings.warn(
            f"times up to {u[-1]:g} go beyond the last follow-up of the fit, {horizon:g}: the baseline hazard rests on its form and its "
            "prior there",
            ZooWarning,
            stacklevel=2,
        )
    found = _predict(fit, subjects, u, draws, seed)
    doubtful = [i for i, ess in zip(subjects.ids, found.ess, strict=True) if ess < _DOUBTFUL]
    if doubtful:
        warnings.warn(
            f"{fit.id} {few(doubtful)}: less than {_DOUBTFUL:.0%} of the points for the effects are effective; compare seeds, with more draws",
            ZooWarning,
            stacklevel=2,
        )
    return _dataset(fit, subjects, u, found, prob, draws)


def _checked_times(times: Sequence[float]) -> np.ndarray:
    u = np.atleast_1d(np.asarray(times, float))
    if u.ndim != 1 or not len(u) or not (np.isfinite(u).all() and u[0] >= 0 and (np.diff(u) > 0).all()):
        raise InputError(f"times are increasing numbers >= 0, at least one, not {times!r}")
    return u


def _dataset(
    fit: Fitted, subjects: Subjects, times: np.ndarray, found: Predicted, prob: float, draws: int
) -> xr.Dataset:
    tail, dims = (1 - prob) / 2, {"survival": (), "cif": ("cause",), "marker": ("outcome",), "response": ("outcome",)}
    ends = [tail, 1 - tail]
    variables: dict[str, Any] = {}

    def add(name: str, values: np.ndarray, more: Sequence[str]) -> None:
        variables[name] = (*more, "id", "time"), np.moveaxis(values, 2, 0) if more else values

    for name, means in found.means.items():
        add(name, means.mean(axis=0), dims[name])
        lower, upper = np.quantile(found.picks[name], ends, axis=0)
        lead = "" if name == "survival" else f"{name}_"
        add(f"{lead}lower", lower, dims[name])
        add(f"{lead}upper", upper, dims[name])
    add("median", np.median(found.picks["survival"], axis=0), ())
    for side, values in zip(("lower", "upper"), np.quantile(found.means["survival"], ends, axis=0), strict=True):
        add(f"probability_{side}", values, ())
    variables |= {
        "landmark": ("id", subjects.landmark), "measurements": ("id", subjects.measurements), "ess": ("id", found.ess),
    }  # fmt: skip
    coords: dict[str, Any] = {"id": list(subjects.ids), "time": times, "outcome": [p.name for p in fit.joint.parts]}
    if fit.hazard.events.competing:
        coords["cause"] = list(fit.hazard.events.causes)
    without = [i for i, count in zip(subjects.ids, subjects.measurements, strict=True) if not count]
    note = (
        f"{fit.id} {few(without)}: no measurement by the landmark; predicted from covariates alone" if without else ""
    )
    return xr.Dataset(variables, coords, {"prob": prob, "draws": draws, "note": note})


def table(prediction: xr.Dataset) -> Any:
    """A prediction as a pandas DataFrame with a row for each id and time; one column for each cause and outcome."""
    columns = {
        name if not more else f"{name}[{label}]": variable.sel({more[0]: label}) if more else variable
        for name, variable in prediction.data_vars.items()
        if {"id", "time"} <= set(variable.dims)
        for more in [[str(d) for d in variable.dims if d not in ("id", "time")]]
        for label in (prediction[more[0]].values.tolist() if more else [""])
    }
    flat = xr.Dataset({name: v.drop_vars(("cause", "outcome"), errors="ignore") for name, v in columns.items()})
    return flat.to_dataframe(dim_order=["id", "time"]).reset_index()


def landmark_accuracy(
    tree: xr.DataTree,
    longitudinal: Any = None,
    survival: Any = None,
    *,
    landmark: float,
    horizon: float,
    cause: str | int | None = None,
    draws: int = 200,
    seed: int = 0,
) -> landmarks.Accuracy:
    """How good are dynamic predictions of the event in (landmark, horizon], made at the landmark for all at risk then?

    Discrimination (time-dependent AUC), Brier score and calibration, with inverse-probability-of-censoring weights: see
    `landmarks.Accuracy`. For the subjects of the fit itself, whose events the model has learnt from, they are better than for
    others, which a warning says; give tables of others for an honest answer.

    Parameters
    ----------
    tree
        A fit of `joint_survival`, fresh or loaded.
    longitudinal, survival
        Tables as they were given to the builder, of other subjects: follow-up and event are read too. None: those of the fit.
    landmark, horizon
        Times, in the unit of the fit.
    cause
        With competing causes, the one whose event is predicted.
    draws, seed
        As for `dynamic_prediction`.

    Raises
    ------
    InputError
        What `dynamic_prediction` and `landmarks.accuracy` refuse; events known only to lie in an interval; an unknown cause.
    """
    fit = read_again(tree)
    causes, own = list(fit.hazard.events.causes), longitudinal is None and survival is None
    if len(causes) > 1 and (cause is None or str(cause) not in causes):
        raise InputError(f"cause is one of {listing(causes)}, not {cause!r}")
    events = fit.hazard.events if own else _followed(fit, longitudinal, survival)
    if (events.left < events.time).any():
        raise InputError(
            "accuracy at a landmark needs the times of events, and some are known only to lie in an interval"
        )
    at_risk = (events.entry <= landmark) & (events.time > landmark)
    ids = [i for i, there in zip(events.ids, at_risk, strict=True) if there]
    if not ids:
        raise InputError(f"nobody is at risk at the landmark {landmark:g}; choose an earlier one")
    if own:
        warnings.warn(
            "the model was fitted to these subjects and their events: accuracy for others is lower; give tables of other subjects",
            ZooWarning,
            stacklevel=2,
        )
    found = dynamic_prediction(
        tree, longitudinal, survival, landmark=landmark, times=[horizon], ids=ids, draws=draws, seed=seed
    )
    number = causes.index(str(cause)) + 1 if len(causes) > 1 else 1
    risk = found["cif"].sel(cause=str(cause)) if len(causes) > 1 else 1.0 - found["survival"]
    position = {name: i + 1 for i, name in enumerate(causes)}
    status = np.array([0, *(position[name] for name in events.causes)])[events.status] if not own else events.status
    return landmarks.accuracy(
        risk.sel(time=horizon).values,
        events.time[at_risk],
        status[at_risk],
        landmark=landmark,
        horizon=horizon,
        cause=number,
    )


def _followed(fit: Fitted, longitudinal: Any, survival: Any) -> Events:
    """The events of other subjects, whose causes are those of the fit."""
    problems: list[str] = []
    causes = fit.hazard.events.causes
    found = read_events(
        longitudinal if survival is None else survival, fit.hazard.events.formula, id=fit.id, repeated=survival is None,
        censored=fit.options["censored"], causes=causes if len(causes) > 1 else fit.options["causes"],
        missing=fit.options["missing"], problems=problems,
    )  # fmt: skip
    raise_all(problems)
    assert found is not None
    return found
