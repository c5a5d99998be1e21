"""Read and check both tables of a joint model, of the markers and of the event, together. Imports no PyMC."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, attempt, plural, raise_all, warn
from glmm_zoo.families.baselines import read_baseline_hazard
from glmm_zoo.families.time_laws import PRECISION, SHAPE, TREND
from glmm_zoo.formulas.event_formula import parse_event_formula
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.neighbours import AreaStructure
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.terms import EventFormula, quoted
from glmm_zoo.joint.association import association_covariates, read_association
from glmm_zoo.joint.event_checks import check_events_and_visits, contradictions
from glmm_zoo.joint.events import Events, read_events, subjects_left_out
from glmm_zoo.joint.followed_rows import ids_in_words
from glmm_zoo.joint.hazards import FRAILTY, FRAILTY_DIM, FRAILTY_SD, HazardModel
from glmm_zoo.joint.trajectories import read_trajectories, subject_effects
from glmm_zoo.joint.unmeasured import AllSubjects, subjects_without_a_course, with_unmeasured_subjects
from glmm_zoo.plans.groups import groups_of
from glmm_zoo.plans.joint_outcomes import JointOutcomes, formula_family_pairs, read_joint_outcomes
from glmm_zoo.plans.plan import PlannedOutcome
from glmm_zoo.priors import Parameter, Prior, beta_defaults, parameter, sd_default
from glmm_zoo.tables.columns import Table
from glmm_zoo.tables.frames import Missing, SomeRows, take_columns, take_columns_with_gaps

OWN_NAMES = frozenset(
    {"event", "association", "cause", "piece", "h0_basis", "h0_step", "surv_coef", FRAILTY, FRAILTY_DIM, FRAILTY_SD}
)


def read_joint_model(
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
    recurrent: bool,
    choices: Mapping[str, Any],
    missing: Missing,
    clusters: str,
) -> tuple[JointOutcomes, HazardModel]:
    """Read and check both parts of a joint model before any graph is built.

    Raises
    ------
    InputError
        Everything that is wrong with the formulas; or with both tables; or with association and baseline.
    """
    event_formula, pairs = _read_formulas(formulas, families, event, time)
    problems: list[str] = []
    columns = attempt(lambda: association_covariates(association), []) or []
    dropped: list[str] = []
    if survival is not None or missing == "drop":
        read = attempt(lambda: _without_subjects(longitudinal, survival, event_formula, id, columns), [])
        longitudinal, dropped = read or (longitudinal, dropped)
    joint = attempt(
        lambda: read_joint_outcomes(
            longitudinal, pairs, choices=choices, missing=missing, clusters=clusters, columns=(id, time), bare=True
        ),
        problems,
    )
    visits = attempt(lambda: take_columns(longitudinal, [id, time], missing), problems)
    measured = joint.table if joint else visits
    event_problems: list[str] = []

    def read_event(data: Any) -> Events | None:
        return read_events(
            data, event_formula, id=id, repeated=survival is None, columns=columns, censored=censored, causes=causes,
            order=measured[id].group_labels()[1] if measured else (), missing=missing, recurrent=recurrent,
            problems=event_problems,
        )  # fmt: skip

    event_data = longitudinal if survival is None else survival
    events = attempt(lambda: read_event(event_data), event_problems)
    if missing == "drop" and joint and events and not event_problems:
        lost, lacking = subjects_without_a_course(joint, events, longitudinal, survival, id=id, time=time)
        event_data, rows = _rows_without(event_data, lost, id)
        if rows:
            events = attempt(lambda: read_event(event_data), event_problems)
            visits = take_columns(_rows_without(longitudinal, lost, id)[0], [id, time], missing)
            dropped.append(
                f"{ids_in_words(id, lost)} without a value of {', '.join(lacking)} in visits or event data: dropped from the event data "
                f"too, {plural(rows, 'row')}"
            )
    problems += [p if p.startswith("event:") else f"event: {p}" for p in event_problems]
    notes = _check_together(joint, events, visits, id, time, problems)
    if joint is not None and events is not None and survival is not None:
        shared = [c for c in events.table.columns if c in joint.table.columns and c not in (id, time)]
        problems += contradictions(events, joint.table, shared, id)
    raise_all(problems)
    assert joint is not None and events is not None
    _refuse_own_names(joint)
    joint = _with_correlated_subject_effects(joint, id)
    everybody = with_unmeasured_subjects(joint, events, longitudinal, survival, id=id, time=time)
    joint = everybody.joint
    hazard = _read_hazard(everybody, association, association_scale, baseline, cuts, carry_forward, time, id)
    notes = [*events.notes, *dropped, *everybody.notes, *notes]
    for note in notes:
        warn(note)
    return replace(joint, notes=(*joint.notes, *(n for n in notes if n not in joint.notes))), hazard


def _without_subjects(
    data: Any, survival: Any, formula: EventFormula, id: str, columns: Sequence[str]
) -> tuple[Any, list[str]]:
    """The visits without those of subjects who are left out of the event's table for a missing value, and a note of that."""
    subjects, lacking = subjects_left_out(data if survival is None else survival, formula, id, columns)
    kept, rows = _rows_without(data, subjects, id)
    note = (
        f"{ids_in_words(id, subjects)} without a value of {', '.join(lacking)} in the event data: dropped from the visits too, "
        f"{plural(rows, 'row')}"
    )
    return kept, [note] if rows else []


def _rows_without(data: Any, subjects: Collection[str], id: str) -> tuple[Any, int]:
    """The rows that are not of these subjects, and how many are; all rows where nothing would be left."""
    codes, labels = (column := take_columns_with_gaps(data, [id])[id]).group_labels()
    out = np.array([label in subjects for label in labels], bool)[codes] & ~column.missing
    return (SomeRows(data, ~out), int(out.sum())) if out.any() and not out.all() else (data, 0)


def _read_formulas(formulas: Any, families: Any, event: str, time: str) -> tuple[EventFormula, list[tuple[str, str]]]:
    """The parsed formula of the event, and (formula, family) of every outcome."""
    count = 1 if isinstance(formulas, str) else len(formulas)
    families = ["gaussian"] * count if families is None and not isinstance(formulas, Mapping) else families
    problems: list[str] = []
    event_formula = attempt(lambda: parse_event_formula(event), problems)
    pairs = attempt(lambda: formula_family_pairs(formulas, families), problems)
    for text, _ in pairs or ():
        formula = attempt(lambda text=text: parse_formula(text), problems)
        if formula and formula.smooths:
            problems.append(
                f"s() is not available in a joint model of survival: {text!r}; write cr({time}, df=4) or poly({time}, 2)"
            )
    raise_all(problems)
    assert event_formula is not None and pairs is not None
    return event_formula, pairs


def _check_together(
    joint: JointOutcomes | None, events: Events | None, visits: Table | None, id: str, time: str, problems: list[str]
) -> list[str]:
    """Check as much of both tables against each other as could be read; the notes of `check_events_and_visits`."""
    if events is None or visits is None:
        return []
    by_outcome = {part.name: _rows_of(joint, part) for part in joint.parts} if joint else {"the marker": visits}
    return check_events_and_visits(events, by_outcome, visits, id=id, time=time, problems=problems)


def _rows_of(joint: JointOutcomes, part: PlannedOutcome) -> Table:
    """The joint table's rows with a value of one outcome."""
    return joint.table.take(np.searchsorted(joint.table.row_numbers, part.rows))


def _refuse_own_names(joint: JointOutcomes) -> None:
    """Outcomes and grouping factors must not have the name of a variable or dimension of the event."""
    names = {*(e.factor.name for p in joint.predictors for e in p.effects), *(p.name for p in joint.parts)}
    raise_all([f"{name!r} is a name of the model's own; rename the column" for name in sorted(names & OWN_NAMES)])


def _read_hazard(
    everybody: AllSubjects,
    association: Any,
    association_scale: str,
    baseline: str,
    cuts: Any,
    carry_forward: bool,
    time: str,
    id: str,
) -> HazardModel:
    """Trajectories, association terms and baseline hazard; all that is wrong with the latter two is told together."""
    problems: list[str] = []
    joint, events = everybody.joint, everybody.events
    _refuse_late_entry_of_relatives(joint, events, id)
    trajectories = read_trajectories(
        everybody.with_rows, events.ids, id=id, time=time, carry_forward=carry_forward, origin=events.origin,
        horizon=events.horizon, problems=problems,
    )  # fmt: skip
    raise_all(problems)
    trajectories = [replace(t, part=part) for t, part in zip(trajectories, joint.parts, strict=True)]
    terms = attempt(
        lambda: read_association(association, association_scale, joint, events, trajectories, id=id), problems
    )
    baseline_hazard = attempt(
        lambda: read_baseline_hazard(baseline, cuts, events.stop[events.event_rows], events.origin, events.horizon),
        problems,
    )
    raise_all(problems)
    assert terms is not None and baseline_hazard is not None
    return HazardModel(events, trajectories, terms, baseline_hazard, groups_of(joint.predictors), id)


def _with_correlated_subject_effects(joint: JointOutcomes, id: str) -> JointOutcomes:
    """Subject effects that have no label of their own, as in (1 |p| id), get the label `id`, so that they are correlated between
    the outcomes."""
    for part in joint.parts:
        subject_effects(part, id)
    special = [
        g.factor_source
        for p in joint.predictors
        for g in p.formula.groups
        if replace(g, cov=None).factor_source != ":".join(map(quoted, g.factor))
    ]
    if special:
        raise InputError(
            f"group effects of {special[0]} are not available in joint_survival; write the column alone, (1 | {id})"
        )
    if len(joint.parts) == 1:
        return joint
    names = {subject_effects(part, id).factor.name for part in joint.parts}
    main_prefixes = {part.prefix for part in joint.parts}

    def labelled(p: PredictorDesign) -> PredictorDesign:
        effects = tuple(
            replace(e, shared=tuple(s or id for s in e.shared))
            if p.prefix in main_prefixes
            and e.factor.name in names
            and (len(e.labels) == 1 or len(e.blocks) == 1)
            and not isinstance(e.structure, AreaStructure)
            else e
            for e in p.effects
        )
        return replace(p, effects=effects)

    by_prefix = {p.prefix: labelled(p) for p in joint.predictors}
    parts = tuple(replace(part, main=by_prefix[part.prefix]) for part in joint.parts)
    return replace(joint, parts=parts, predictors=tuple(by_prefix[p.prefix] for p in joint.predictors))


def _refuse_late_entry_of_relatives(joint: JointOutcomes, events: Events, id: str) -> None:
    """Subjects that entered late are in the data by a probability over effects of their own, which are to be independent."""
    if events.recurrent or not (events.entry > events.origin).any():
        return
    terms = [g.source for part in joint.parts for g in part.main.formula.groups if g.structure and id in g.factor]
    if terms:
        raise InputError(
            f"{terms[0]}: effects of subjects that depend on each other are not available where subjects enter late, since who is in the data "
            "is there by a probability of all relatives together; leave the table out, or begin the follow-up at its origin for all"
        )


# ---------------------------------------------------------------------------------------------------------------- priors

LEVEL_SD = 10.0  # of the default prior of log h0, about the log of the crude rate


def hazard_parameters(hazard: HazardModel, given: Mapping[str, str] | None) -> list[Parameter]:
    """The parameters that need a prior beside those of the longitudinal part, in the order of the formulas.

    `given` are the user's priors as text. One on `h0_weights` stands in place of the random walk: each weight is then
    independent, at the means of covariates and marker.
    """
    events, baseline, causes = hazard.events, hazard.baseline, hazard.events.causes

    def by_cause(
        name: str, labels: Sequence[str], defaults: Sequence[Sequence[Prior]], support: Any = "real"
    ) -> Parameter:
        """A parameter over labels and, where there are several, causes; defaults by label and cause. No labels: a scalar."""
        keys, flat = [], []
        for label, by_label in zip(labels or [""], defaults, strict=True):
            inside = [label] if label else []
            for cause, default in zip(causes, by_label, strict=True):
                narrowest = [*inside, *([cause] if events.competing else [])]
                names = [f"{name}[{', '.join(narrowest)}]"] if narrowest else []
                names += [f"{name}[{label}]"] if label and events.competing else []
                keys.append((*names, name))
                flat.append(default)
        return Parameter(name, support, tuple(keys), tuple(flat))

    followed = (events.time - events.origin).sum()
    rates = [np.log(max((events.row_status == k).sum(), 0.5) / followed) for k in range(1, len(causes) + 1)]
    crude = [Prior("Normal", {"mu": float(f"{r:.4g}"), "sigma": LEVEL_SD}) for r in rates]
    count = len(causes)
    parameters: list[Parameter] = []
    if events.covariates.labels:
        defaults = beta_defaults(events.covariates.spreads.tolist(), 1.0)
        parameters.append(by_cause("surv_beta", events.covariates.labels, [[d] * count for d in defaults]))
    defaults = beta_defaults([t.scale for t in hazard.terms], 1.0)
    parameters.append(by_cause("assoc", [t.label for t in hazard.terms], [[d] * count for d in defaults]))
    if baseline.kind == "bspline" and not _independent_weights(given):
        parameters += [by_cause("h0_level", (), [crude]), by_cause("h0_trend", (), [[TREND] * count])]
        parameters.append(by_cause("h0_precision", (), [[PRECISION] * count], "positive"))
    else:
        labels = baseline.labels if baseline.dim else ()
        parameters.append(by_cause(baseline.variable, labels, [crude] * baseline.size))
    if baseline.kind == "weibull":
        parameters.append(by_cause("weibull_shape", (), [[SHAPE] * count], "positive"))
    if events.frailty:
        parameters.append(parameter(FRAILTY_SD, "positive", sd_default(1.0, 1.0)))
    return parameters


def _independent_weights(given: Mapping[str, str] | None) -> bool:
    """Whether the user gave a prior for the weights of the spline themselves."""
    return any(str(key).strip().startswith("h0_weights") for key in (given or {}))


def describe_hazard(hazard: HazardModel) -> dict[str, Any]:
    """What the spec of a fit says of the event, JSON-able."""
    events = hazard.events
    return {
        "formulas": {"event": events.formula.text},
        "event": {
            "id": hazard.id,
            "baseline": hazard.baseline.kind,
            "cuts": hazard.baseline.cuts.tolist(),
            "origin": events.origin,
            "horizon": events.horizon,
            "weights": [hazard.baseline.variable] * (hazard.baseline.kind == "bspline") + [FRAILTY] * events.frailty,
            "causes": list(events.causes),
            "association": [t.label for t in hazard.terms],
            "levels": dict(events.covariates.learnt.get("levels", {})),
            "subjects": len(events.ids),
            "events": [int((events.row_status == k).sum()) for k in range(1, len(events.causes) + 1)],
            "entered_late": int((events.entry > events.origin).sum()),
            "person_time": float((events.stop - events.begin).sum()),
            "recurrent": events.recurrent,
            "frailty": FRAILTY_SD if events.frailty else "",
            "without_event": int((events.counts == 0).sum()),
            "data": {"rows": events.table.rows, "source": events.table.source, "sha256": events.table.sha256()},
        },
    }
