"""Association terms: the functions of a marker's trajectory that the hazard of the event depends on, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, raise_all
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.population import CodeNewRows, code_terms, spread
from glmm_zoo.formulas.terms import quoted
from glmm_zoo.joint.events import Events
from glmm_zoo.joint.trajectories import Trajectory, subject_effects
from glmm_zoo.plans.joint_outcomes import JointOutcomes
from glmm_zoo.plans.plan import PlannedOutcome
from glmm_zoo.tables.columns import Table

ASSOCIATION_FORMS = ("value", "slope", "area", "shared_effects")
ASSOCIATION_SCALES = ("linear_predictor", "mean")
MEAN_LINKS = ("log", "logit", "identity")  # of outcomes whose mean a hazard may depend on

# g^-1(eta) and its derivative, by link; xp is NumPy or `pytensor.tensor`. The identity needs neither.


@dataclass(frozen=True)
class AssociationTerm:
    """One function f(t) of a marker's trajectory that has a coefficient in the log hazard.

    `form` is one of `ASSOCIATION_FORMS`, of the outcome at position `outcome`, over the last `window` units of time for an
    area. `mean_scale` says that it is that of the expected marker and not of its linear predictor; `effect` is the position of
    a shared effect among the subject effects of the outcome. f is multiplied by the covariate `by` (R,), by row of the event,
    which is called `by_label` and has the mean `by_mean` where it is numbers; `code_by(table)` (m,) is the covariate in other rows.
    `scale` is the unit of f for the default prior, `centre` a constant near its mean.
    """

    label: str
    outcome: int
    form: str
    window: float | None = None
    mean_scale: bool = False
    effect: int = 0
    by: np.ndarray | None = None
    by_label: str = ""
    by_mean: float = 0.0
    scale: float = 1.0
    centre: float = 0.0
    code_by: CodeNewRows | None = field(default=None, compare=False)

    def in_rows(self, table: Table) -> AssociationTerm:
        """The term in other rows of the event."""
        return self if self.code_by is None else replace(self, by=self.code_by(table))

    @property
    def function(self) -> tuple[Any, ...]:
        """What of the marker it is, without the covariate."""
        return self.outcome, self.form, self.window, self.mean_scale, self.effect


_TERM_SYNTAX = re.compile(
    r"\s*(?P<form>\w+)\s*(?:\(\s*(?P<inside>[^()]*?)\s*\))?\s*(?:(?P<op>[*:])\s*(?P<by>`[^`]+`|[\w.]+))?\s*"
)


def association_texts(association: Any, names: Sequence[str]) -> dict[str, list[str]]:
    """The text of each term, by outcome; text without the name of an outcome is for all of them."""
    if isinstance(association, Mapping):
        problems = [
            f"association: no outcome {o!r}{did_you_mean(str(o), names) or ';'} outcomes: {listing(names)}"
            for o in association
            if str(o) not in names
        ]
        raise_all(problems)
        return {n: _split_terms(association[n]) if n in association else [] for n in names}
    return {n: _split_terms(association) for n in names}


def _split_terms(text: Any) -> list[str]:
    """The terms between the plus signs of one text, or of several; a plus inside parentheses does not count."""
    texts = [text] if isinstance(text, str) else list(text) if isinstance(text, Sequence) else None
    if texts is None or not all(isinstance(t, str) for t in texts):
        raise InputError(f"association is text such as 'value + slope', or one for each outcome by name, not {text!r}")
    return [term.strip() for t in texts for term in re.split(r"\+(?![^(]*\))", t) if term.strip()]


def association_covariates(association: Any) -> list[str]:
    """The columns that association terms interact with."""
    texts = association.values() if isinstance(association, Mapping) else [association]
    matches = (_TERM_SYNTAX.fullmatch(term) for text in texts for term in _split_terms(text))
    return list(dict.fromkeys(match["by"].strip("`") for match in matches if match and match["by"]))


def read_association(
    association: Any, scale: str, joint: JointOutcomes, events: Events, trajectories: Sequence[Trajectory], *, id: str
) -> list[AssociationTerm]:
    """The association terms of the hazard, in the order of the outcomes.

    Raises
    ------
    InputError
        Unknown terms, a slope that no subject has of its own, the mean scale where there is no one mean.
    """
    if scale not in ASSOCIATION_SCALES:
        raise InputError(f"association_scale is one of {listing(ASSOCIATION_SCALES)}, not {scale!r}")
    names = [part.name for part in joint.parts]
    texts = association_texts(association, names)
    if not any(texts.values()):
        raise InputError(f"association has no term; terms: {listing(ASSOCIATION_FORMS)}, added with '+'")
    terms: list[AssociationTerm] = []
    problems: list[str] = []
    for m, part in enumerate(joint.parts):
        for text in texts[part.name]:
            of_text = attempt(
                lambda t=text, m=m: _terms_of_text(t, m, joint, scale, events, trajectories[m], id), problems
            )
            lead = f"{part.name}:" if len(names) > 1 else ""
            terms += [replace(t, label=f"{lead}{t.label}") for t in of_text or ()]
    labels = [t.label for t in terms]
    problems += [f"association: {x!r} stands twice" for x in dict.fromkeys(labels) if labels.count(x) > 1]
    raise_all(problems)
    return terms


def associations_at_zero(
    terms: Sequence[AssociationTerm], parts: Sequence[PlannedOutcome], id: str
) -> np.ndarray | None:
    """What makes of coefficients at the covariates' means those at zero, (terms, terms); None where they are the same.

    At the means f w is f (w - mean), w numbers, where f is a term too, and the shared effects are those at the means of
    their slopes' columns, u = T u_at_means.
    """
    to_zero = np.eye(len(terms))
    for j, term in enumerate(terms):
        alone = [i for i, t in enumerate(terms) if t.by is None and t.function == term.function]
        to_zero[alone, j] -= term.by_mean
    for m, by in {(t.outcome, t.by_label) for t in terms if t.form == "shared_effects"}:
        T = subject_effects(parts[m], id).to_zero
        if T is not None:
            at = [j for j, t in enumerate(terms) if (t.outcome, t.form, t.by_label) == (m, "shared_effects", by)]
            to_zero[:, at] = to_zero[:, at] @ np.linalg.inv(T).T
    return None if np.array_equal(to_zero, np.eye(len(terms))) else to_zero


def _terms_of_text(
    text: str, m: int, joint: JointOutcomes, scale: str, events: Events, trajectory: Trajectory, id: str
) -> list[AssociationTerm]:
    """The terms that one text stands for: "value*drug" is value and value:drug, "shared_effects" one term for each effect."""
    part = joint.parts[m]
    match = _TERM_SYNTAX.fullmatch(text)
    if match is None or match["form"] not in ASSOCIATION_FORMS:
        word = match["form"] if match else text
        raise InputError(
            f"association: unknown term {text!r}{did_you_mean(word, ASSOCIATION_FORMS) or ';'} terms: {listing(ASSOCIATION_FORMS)}, area(2) for the last 2 "
            "units of time, value(mean) on the scale of the mean, value:drug or value*drug with a covariate of the event"
        )
    form = match["form"]
    mean_scale, window = _arguments(text, form, match["inside"], scale == "mean")
    if mean_scale:
        _check_mean(text, part)
        mean_scale = part.link != "identity"
    if form == "area" and trajectory.carry_forward:
        raise InputError(
            f"association: {text!r}: the area under a marker is not available with carry_forward=True, where its covariates jump"
        )
    if form == "shared_effects":
        terms = _shared_effects(m, part, id)
    else:
        arguments = ", ".join([*(["mean"] if mean_scale else []), *([f"{window:g}"] if window else [])])
        label = f"{form}({arguments})" if arguments else form
        visit_times = joint.table[trajectory.time].numbers("the time of a visit")
        unit, level = _scale_and_centre(form, window, mean_scale, part, visit_times, events)
        terms = [AssociationTerm(label, m, form, window, mean_scale, scale=unit, centre=level)]
        if form == "slope":
            _check_slope(part, trajectory, id)
    if not match["by"]:
        return terms
    name = match["by"].strip("`")
    covariates = _covariate_columns(name, events)
    interactions = [
        replace(
            t,
            label=f"{t.label}:{label}",
            by=values,
            code_by=code,
            by_label=label,
            by_mean=float(values.mean()) if label == name else 0.0,
            scale=t.scale * spread(values),
            centre=t.centre * float(values.mean()),
        )
        for t in terms
        for label, values, code in covariates
    ]
    return [*terms, *interactions] if match["op"] == "*" else interactions


def _arguments(text: str, form: str, inside: str | None, mean_by_default: bool) -> tuple[bool, float | None]:
    """What stands in the parentheses of a term: whether it is on the scale of the mean, and the window of an area."""
    mean_scale, window = mean_by_default and form != "shared_effects", None
    words = (inside or "").replace("window", "").strip(" =").split(",")
    for word in filter(None, (w.strip() for w in words)):
        if word in ("mean", "linear_predictor") and form != "shared_effects":
            mean_scale = word == "mean"
        elif form == "area" and re.fullmatch(r"\d+\.?\d*|\.\d+", word) and float(word) > 0:
            window = float(word)
        else:
            raise InputError(
                f"association: {text!r}: {form}() takes {'a window > 0, ' if form == 'area' else ''}mean or nothing"
            )
    return mean_scale, window


def _check_mean(text: str, part: PlannedOutcome) -> None:
    """The scale of the mean needs a link that we can invert, and a family with one mean."""
    if part.link not in MEAN_LINKS:
        raise InputError(f"association: {text!r}: the mean is there for links {listing(MEAN_LINKS)}, not {part.link!r}")
    if part.main.cutpoints or "zi" in part.family.options or part.family.centre != "mean":
        raise InputError(
            f"association: {text!r}: family {part.family.name!r} has no one mean that follows its predictor; use the linear predictor"
        )


def _covariate_columns(name: str, events: Events) -> list[tuple[str, np.ndarray, CodeNewRows]]:
    """Label and values (R,) of each column that a covariate of the event is coded as, and what makes those of other rows."""
    columns = code_terms(parse_formula(f"~ {quoted(name)}", response=False).population, events.table)
    return [
        (label, values, lambda table, k=k: columns.code_new_rows(table)[:, k])
        for k, (label, values) in enumerate(zip(columns.labels, columns.values.T, strict=True))
    ]


def _shared_effects(m: int, part: PlannedOutcome, id: str) -> list[AssociationTerm]:
    """A term for each subject effect of the outcome at position m."""
    effects = subject_effects(part, id)
    several = len(effects.labels) > 1
    return [
        AssociationTerm(
            f"shared_effects[{label}]" if several else "shared_effects", m, "shared_effects", effect=k,
            scale=part.outcome.scale / effects.spreads[k],
        )
        for k, label in enumerate(effects.labels)
    ]  # fmt: skip


def _scale_and_centre(
    form: str, window: float | None, mean_scale: bool, part: PlannedOutcome, t: np.ndarray, events: Events
) -> tuple[float, float]:
    """The unit of a term and a constant near its mean, from the scale and location of the outcome and the times of visits."""
    unit, level = part.outcome.scale, part.outcome.location
    if mean_scale:
        of_trials = part.family.choice == "success" and part.outcome.trials is not None
        values = part.outcome.values / part.outcome.trials if of_trials else part.outcome.values
        unit, level = float(np.std(values)), float(np.mean(values))
    if form == "value":
        return unit, level
    if form == "slope":
        return unit / (spread(t) if np.ptp(t) > 0 else events.horizon - events.origin), 0.0
    length = float(np.mean(events.time - events.origin)) / 2
    length = length if window is None else min(length, window)
    return unit * length, level * length


def _check_slope(part: PlannedOutcome, trajectory: Trajectory, id: str) -> None:
    """The slope must differ between subjects, or it is a part of the baseline hazard."""
    subjects = np.arange(len(trajectory.first_visit))
    design = trajectory.slope_design(subjects, np.full(len(subjects), trajectory.visit_time.max() / 2))
    if not any(z.any() for z in design.z.values()):
        raise InputError(
            f"association: the slope of {part.name!r} is the same for all subjects, so it cannot be told from the baseline hazard; "
            f"give them slopes of their own: (1 + {trajectory.time} | {id})"
        )
