"""What was estimated, and for whom, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from glmm_zoo.errors import listing
from glmm_zoo.estimands.asking import Asked, Setting
from glmm_zoo.estimands.fitted import INCIDENCE, RESTRICTED_MEAN, SURVIVAL
from glmm_zoo.estimands.group_choice import GroupChoice
from glmm_zoo.estimands.linear_rows import EffectDraws
from glmm_zoo.estimands.survival import EventQuestion
from glmm_zoo.results.findings.finding import percent

_AMOUNTS = {
    "linear": "Linear predictor", "zero": "Probability of zero", "positive": "Mean of what is above zero",
    "response": "New observation", SURVIVAL: "Probability of being free", INCIDENCE: "Cumulative incidence",
    RESTRICTED_MEAN: "Restricted mean time free",
}  # fmt: skip
_MEASURES = {
    "difference": "difference", "ratio": "ratio", "odds_ratio": "odds ratio", "nnt": "number needed to treat",
    "better": "probability of a higher score",
}  # fmt: skip


def amount(setting: Setting) -> str:
    """What is predicted: "Risk", "Expected count per unit of days", "Probability of each category"."""
    outcome, scale = setting.outcome, setting.question.quantity.scale
    family, name = outcome.family, outcome.name
    if scale in _AMOUNTS:
        words = _AMOUNTS[scale]
    elif family.choice == "levels":
        words = (
            "Probability of each category" if scale == "probability" else "Expected score (1 is the lowest category)"
        )
    elif family.choice == "success":
        words = "Probability of event and no event" if scale == "probability" else "Risk"
    elif family.counted is not None:
        words = "Expected count"
    else:
        words = "Expected value"
    words += f" of {name}"
    if isinstance(setting.question, EventQuestion):
        words += f" {'up to' if scale == RESTRICTED_MEAN else 'at'} {listing(f'{t:g}' for t in setting.question.quantity.times)}"
    exposure = setting.question.exposure
    if family.counted is not None and outcome.coding.exposure and scale != "zero" and not exposure.given:
        unit = listing(outcome.coding.exposure)
        words += f" per {'unit' if exposure.units == 1 else f'{exposure.units:g} units'} of {unit}"
    return words


def for_whom(choice: GroupChoice, effects: Mapping[str, EffectDraws]) -> str:
    """Whose group effects: "in a herd drawn from the population of herds"."""
    phrases = []
    for factor, how in choice.by_factor.items():
        if effects[factor].for_each_row and how == "population":
            phrases.append(f"with the variation of single rows ({factor}) integrated over")
        elif how == "population":
            phrases.append(f"in a {factor} drawn from the population of levels of {factor}")
        elif how == "typical":
            phrases.append(f"in a typical {factor} (effect 0)")
        elif how == "observed":
            phrases.append(f"in each row's own {factor}")
        else:
            phrases.append(f"in one new {factor}")
    return ", ".join(phrases)


def averaged(asked: Asked, of_fit: bool, each: str = "row") -> str:
    """Over which rows: "averaged over the rows of the fit"; `each` is what a row is."""
    averaging, rows = asked.averaging, "the fit" if of_fit else "the data"
    if averaging.each:
        words = f"for each {each} of {rows}"
    elif averaging.over is not None:
        words = f"averaged within levels of {averaging.over}, then over these alike, of {rows}"
    else:
        words = f"averaged over the {each}s of {rows}"
    if averaging.weights is not None:
        words += f" with weights {averaging.weights}"
    if averaging.by:
        words += f", by {listing(averaging.by)}"
    if asked.at:
        words += ", at " + listing(f"{name} = {listing(values, 6)}" for name, values in asked.at.items())
    return words


def sentence(
    settings: Sequence[Setting], asked: Asked, *, of_fit: bool, what: str = "", measures: Sequence[str] = ()
) -> str:
    """The whole sentence. `what` is compared, as `measures`."""
    amounts = listing(dict.fromkeys(amount(s) for s in settings))
    first = settings[0].question
    if measures:
        amounts = f"{listing(_MEASURES.get(m, m) for m in measures)} of {amounts[0].lower()}{amounts[1:]}"
        amounts = amounts[0].upper() + amounts[1:]
    of_event = isinstance(first, EventQuestion)
    rows = averaged(asked, of_fit, "subject" if of_event and of_fit else "row")
    parts = [f"{amounts}{what}", rows, for_whom(first.choice, first.outcome.coding.effects)]
    parts += first.notes if of_event else ()
    draws = first.draws.size
    return f"{', '.join(p for p in parts if p)}; mean of {draws} draws, {percent(asked.prob)} interval."


def groups_text(choice: GroupChoice) -> str:
    """The column `groups` of a table."""
    different = dict.fromkeys(choice.by_factor.values())
    if len(different) <= 1:
        return next(iter(different), "none")
    return ", ".join(f"{factor}: {how}" for factor, how in choice.by_factor.items())
