"""Both parts of a joint model of markers and an event, read and checked together. Imports the rooms to its left; no PyMC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from glmm_zoo.errors import attempt, raise_all
from glmm_zoo.formulas.event_formula import parse_event_formula
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.joint.association import association_terms, covariates_of
from glmm_zoo.joint.baselines import read_baseline
from glmm_zoo.joint.events import check_together
from glmm_zoo.joint.events import read as read_events
from glmm_zoo.joint.hazards import Hazard
from glmm_zoo.joint.trajectories import courses, subject_effects
from glmm_zoo.plans import outcomes
from glmm_zoo.plans.intake import groups_of, warn
from glmm_zoo.plans.outcomes import Joint, Part
from glmm_zoo.priors import Parameter, Prior, beta_defaults
from glmm_zoo.tables.columns import Table
from glmm_zoo.tables.frames import Missing, take_columns

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
    parsed = attempt(lambda: parse_event_formula(event), problems)
    pairs = attempt(lambda: outcomes.in_pairs(formulas, families), problems)
    for text, _ in pairs or ():
        formula = attempt(lambda text=text: parse_formula(text), problems)
        if formula and formula.smooths:
            problems.append(
                f"s() is not available in a joint model of survival: {text!r}; write cr({time}, df=4) or poly({time}, 2)"
            )
    raise_all(problems)
    assert parsed is not None and pairs is not None
    columns = attempt(lambda: covariates_of(association), []) or []
    joint = attempt(
        lambda: outcomes.read(
            longitudinal, pairs, choices=choices, missing=missing, clusters=clusters, columns=(id, time), bare=True
        ),
        problems,
    )
    whole = attempt(lambda: take_columns(longitudinal, [id, time], missing), problems)
    order = whole[id].codes_and_levels()[1] if whole else ()
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
    raise_all(problems)
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
    return joint.table.take(np.searchsorted(joint.table.row_numbers, part.rows))


def _tied(joint: Joint, id: str) -> Joint:
    """Effects of the subjects are correlated between outcomes, as if their terms had one label, where they have none."""
    for part in joint.parts:
        subject_effects(part, id)
    if len(joint.parts) == 1:
        return joint
    names = {subject_effects(part, id).factor.name for part in joint.parts}
    mains = {part.prefix for part in joint.parts}

    def tied(p: PredictorDesign) -> PredictorDesign:
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
    if baseline.kind == "bspline" and not _independent_weights(given):
        found += [over("h0_level", (), [crude]), over("h0_trend", (), [[TREND] * many])]
        found.append(over("h0_precision", (), [[PRECISION] * many], "positive"))
    else:
        found.append(over(baseline.name, baseline.labels if baseline.dim else (), [crude] * baseline.size))
    if baseline.kind == "weibull":
        found.append(over("weibull_shape", (), [[SHAPE] * many], "positive"))
    return found


def _independent_weights(given: Mapping[str, str] | None) -> bool:
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
