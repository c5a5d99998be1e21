"""The event of a joint model in rows of covariates: one row for each subject, with what the event and the markers need of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glmm_zoo.estimands.linear_rows import EffectDraws
from glmm_zoo.estimands.posterior import PosteriorDraws
from glmm_zoo.estimands.row_coding import RowCoding, effect_draws, population_levels
from glmm_zoo.families.event_status import event_text
from glmm_zoo.formulas.terms import Expression
from glmm_zoo.joint.association import association_covariates
from glmm_zoo.joint.events import subject_positions
from glmm_zoo.joint.hazards import HazardModel
from glmm_zoo.joint.prediction.fitted import FittedJointModel
from glmm_zoo.joint.trajectories import Trajectory
from glmm_zoo.plans.groups import Group
from glmm_zoo.plans.plan import PlannedOutcome
from glmm_zoo.tables.columns import Table


def event_name(fit: FittedJointModel) -> str:
    """What the event is called: its column, its expression, or its causes."""
    events = fit.hazard.events
    if events.competing:
        return " or ".join(events.causes)
    event = events.formula.event
    return events.formula.text.split("~")[0].strip() if event is None else event_text(event)


def subject_rows(fit: FittedJointModel) -> Table:
    """A row for each subject of the fit: the event's covariates at its entry, the markers' at its first visit."""
    events, visits = fit.hazard.events, fit.joint.table
    first = np.flatnonzero(np.diff(events.subject, prepend=-1))
    rows = events.table.take(first)
    columns = dict(rows.columns)
    for trajectory in fit.hazard.trajectories:
        at_first_visit = trajectory.covariates.take(trajectory.first_visit)
        columns = {**at_first_visit.columns, **columns}
    position = {label: i for i, label in enumerate(events.ids)}
    subject = subject_positions(visits, fit.id, position)
    of_groups = [c for p in fit.joint.parts for g in p.main.formula.groups for c in g.factor if c not in columns]
    if of_groups:  # all subjects were measured: else the event has these columns
        first_row = np.unique(subject, return_index=True)[1][-len(position) :]
        columns |= {c: visits[c].take(first_row) for c in of_groups}
    return replace(rows, columns=columns)


def marker_groups(fit: FittedJointModel) -> tuple[Group, ...]:
    """The group effects of the markers that the hazard depends on."""
    prefixes = {fit.joint.parts[term.outcome].prefix for term in fit.hazard.terms}
    return tuple(g for g in fit.hazard.groups if prefixes & set(g.owners))


def group_effect_draws(fit: FittedJointModel, draws: PosteriorDraws) -> dict[str, EffectDraws]:
    """Their draws, by the name of their variable."""
    columns = {g.name: g.factor for p in fit.joint.parts for g in p.main.formula.groups}
    return {g.name("u"): effect_draws(g, columns, draws) for g in marker_groups(fit)}


def event_coding(fit: FittedJointModel, draws: PosteriorDraws) -> RowCoding:
    """The columns that a row of the event needs, with the levels of factors; its rows are coded by `hazard_in_rows`."""
    events, options = fit.hazard.events, fit.options
    followed = [fit.joint.parts[t.outcome] for t in fit.hazard.terms if t.form != "shared_effects"]
    columns = [*events.formula.covariates.predictor_columns, *association_covariates(options["association"])]
    columns += [c for part in followed for c in _covariates_of_course(part) if c != fit.time]
    levels = {name: tuple(of) for name, of in events.covariates.learnt.get("levels", {}).items()}
    levels = {**population_levels({part.prefix: part.main for part in followed}), **levels}
    effects = group_effect_draws(fit, draws).values()
    return RowCoding(tuple(dict.fromkeys(columns)), {e.factor: e for e in effects}, levels, (), lambda *_: {})


def _covariates_of_course(part: PlannedOutcome) -> list[str]:
    formula = part.main.formula
    symbols = [*formula.population, *(s for g in formula.groups for s in g.effects)]
    return [c for symbol in symbols if isinstance(symbol, Expression) for c in symbol.columns]


def hazard_in_rows(fit: FittedJointModel, table: Table) -> HazardModel:
    """The hazards of subjects with the covariates of m rows, which stay as they are; each is its own level of every factor."""
    m, origin = table.rows, fit.hazard.events.origin
    subject = np.arange(m)
    events = fit.hazard.events.of_others(
        table, tuple(map(str, subject)), subject, np.full(m, origin), np.full(m, np.inf), np.zeros(m)
    )
    if events.frailty:  # which is added to what is averaged, see `event_numbers`
        events = replace(
            events, formula=replace(events.formula, covariates=replace(events.formula.covariates, groups=()))
        )
    return fit.hazard.of_others(events, [_course_in_rows(t, table) for t in fit.hazard.trajectories])


def _course_in_rows(trajectory: Trajectory, table: Table) -> Trajectory:
    subject = np.arange(table.rows)
    columns = {c: table[c] for c in trajectory.covariates.columns if c in table.columns}
    return replace(
        trajectory, covariates=replace(table, columns=columns), subject=subject, visit_time=np.zeros(table.rows),
        first_visit=subject, levels=dict.fromkeys(trajectory.levels, subject), carry_forward=False,
    )  # fmt: skip
