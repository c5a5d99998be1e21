"""What of a marker a hazard follows: the terms of an association, read and checked. Imports the rooms to its left."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, attempt, did_you_mean, listing, raise_all
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.population import code_terms, spread
from glmm_zoo.formulas.terms import quoted
from glmm_zoo.joint.events import Events
from glmm_zoo.joint.trajectories import Array, Course, subject_effects
from glmm_zoo.plans.outcomes import Joint, Part

WHATS = ("value", "slope", "area", "shared_effects")
SCALES = ("linear_predictor", "mean")
INVERSE: Mapping[str, Callable[[Array, Any], Array]] = {
    "log": lambda eta, xp: xp.exp(eta),
    "logit": lambda eta, xp: 1.0 / (1.0 + xp.exp(-eta)),
}
DERIVATIVE: Mapping[str, Callable[[Array, Any], Array]] = {
    "log": lambda eta, xp: xp.exp(eta),
    "logit": lambda eta, xp: 1.0 / (2.0 + xp.exp(eta) + xp.exp(-eta)),
}


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
        problems = [
            f"association: no outcome {o!r}{did_you_mean(str(o), names) or ';'} outcomes: {listing(names)}"
            for o in association
            if str(o) not in names
        ]
        raise_all(problems)
        return {n: _summands(association[n]) if n in association else [] for n in names}
    return {n: _summands(association) for n in names}


def _summands(text: Any) -> list[str]:
    parts = [text] if isinstance(text, str) else list(text) if isinstance(text, Sequence) else None
    if parts is None or not all(isinstance(p, str) for p in parts):
        raise InputError(f"association is text such as 'value + slope', or one for each outcome by name, not {text!r}")
    return [p.strip() for part in parts for p in re.split(r"\+(?![^(]*\))", part) if p.strip()]


def covariates_of(association: Any) -> list[str]:
    """The columns that association terms interact with."""
    texts = association.values() if isinstance(association, Mapping) else [association]
    matches = (_ASSOCIATION.fullmatch(text) for each in texts for text in _summands(each))
    return list(dict.fromkeys(match["by"].strip("`") for match in matches if match and match["by"]))


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
            made = attempt(lambda t=text, m=m, p=part: _term(t, m, p, scale, events, course[m], id), problems)
            lead = f"{part.name}:" if len(names) > 1 else ""
            found += [replace(t, label=f"{lead}{t.label}") for t in made or ()]
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
    if what == "area" and course.carried:
        raise InputError(
            f"association: {text!r}: the area under a marker is not available with carry_forward=True, where its covariates jump"
        )
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
    columns = code_terms(parse_formula(f"~ {quoted(name)}", response=False).population, events.table)
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
