"""What was estimated, and for whom, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from glmm_zoo.errors import listing, plural_of
from glmm_zoo.estimands.asking import Asked, Setting
from glmm_zoo.estimands.contrasts import Contrast
from glmm_zoo.estimands.fitted import (
    EVENT_SCALES,
    EXPECTED_EVENTS,
    INCIDENCE,
    MEDIAN,
    RESTRICTED_MEAN,
    SURVIVAL,
    TIME_LOST,
)
from glmm_zoo.estimands.group_choice import GroupChoice
from glmm_zoo.estimands.linear_rows import EffectDraws
from glmm_zoo.estimands.rows_asked import Value
from glmm_zoo.estimands.survival import EventQuestion
from glmm_zoo.formulas.series import Series
from glmm_zoo.results.numbers import nominal
from glmm_zoo.tables.text_values import as_number

_SCALES = {
    "linear": "linear predictor", "zero": "probability of zero", "positive": "mean of what is above zero",
    "response": "new observation", "probability": "probability", SURVIVAL: "survival",
    INCIDENCE: "cumulative incidence", RESTRICTED_MEAN: "mean time", TIME_LOST: "mean time lost",
    MEDIAN: "median time", EXPECTED_EVENTS: "expected number of events",
}  # fmt: skip
_MOST_VALUES = 6  # that are listed
_OF_AMOUNT = ("difference", "ratio", "slope")  # measures that say of what they are
_OTHER_MEASURES = {
    "odds_ratio": "odds ratio", "nnt": "number needed to treat (benefit: fewer events)", "better": "probability of a higher score",
    "hazard_ratio": "hazard ratio", "time_ratio": "ratio of times",
}  # fmt: skip


def amount(setting: Setting) -> str:
    """What is predicted: "risk", "rate", "mean"."""
    outcome, scale = setting.outcome, setting.question.quantity.scale
    if scale in _SCALES:
        return _SCALES[scale]
    if outcome.family.choice == "reference":
        return _SCALES["probability"]
    if outcome.family.choice == "levels":
        return "expected score"
    if outcome.family.choice == "success":
        return "risk"
    return "rate" if outcome.coding.exposure and not setting.question.exposure.given else "mean"


def of_outcome(setting: Setting) -> str:
    """ "of deaths per 1000 units of years", "of calls in one unit of chicks", "of rating (1 is 'bad', 5 is 'good')"."""
    outcome, exposure, scale = setting.outcome, setting.question.exposure, setting.question.quantity.scale
    words = f"of {outcome.name}"
    if scale in EVENT_SCALES:
        words = "of the event" if outcome.family.responses == "time" else words  # whose name is that of the time
        words = {
            INCIDENCE: words, TIME_LOST: words.replace("of", "to", 1), EXPECTED_EVENTS: f"({outcome.name})"
        }.get(scale, f"free {words}")  # fmt: skip
        words += f" {'up to' if scale in (RESTRICTED_MEAN, TIME_LOST, EXPECTED_EVENTS) else 'at'} {listing(f'{t:g}' for t in setting.question.quantity.times)}"
    if outcome.coding.exposure and not exposure.given:
        per, one = ("per", "unit") if scale == "mean" else ("in", "one unit")
        words += f" {per} {one if exposure.units == 1 else f'{exposure.units:g} units'} of {listing(outcome.coding.exposure)}"
    if outcome.family.choice == "levels" and scale == "mean":
        words += f" (1 is {outcome.levels[0]!r}, {len(outcome.levels)} is {outcome.levels[-1]!r})"
    return words


def for_whom(choice: GroupChoice, effects: Mapping[str, EffectDraws]) -> str:
    """Whose group effects: "in a herd drawn from the population of herds"."""
    phrases = []
    for factor, how in choice.by_factor.items():
        a = "an" if factor[:1].lower() in "aeiou" else "a"
        process = effects[factor].process
        if process is not None:
            phrases.append(_of_process(process.series, how))
        elif effects[factor].members:
            phrases.append(_of_members(effects[factor], how, choice.unseen))
        elif effects[factor].for_each_row and how == "population":
            phrases.append(f"with the variation of single rows ({factor}) integrated over")
        elif effects[factor].table and how in ("population", "new"):
            drawn = ", drawn in each draw" if how == "new" else ""
            phrases.append(
                f"in {a} {factor} apart from those of table {effects[factor].table}, with their mean variance{drawn}"
            )
        elif how == "population":
            by = effects[factor].strata
            phrases.append(
                f"in {a} {factor} drawn from the population of {_plural(factor)}"
                + (f" of the row's own {by.column}" if by else "")
            )
        elif how == "typical":
            phrases.append(f"in a typical {factor} (its group effect is 0)")
        elif how == "observed":
            phrases.append(f"in each row's own {factor}{_unseen(choice.unseen)}")
        else:
            phrases.append(f"in one new {factor}, drawn in each draw")
    return ", ".join(phrases)


def _unseen(choice: str) -> str:
    unseen = {"population": "integrated over", "new": "drawn in each draw"}.get(choice)
    return f" (unseen ones are {unseen})" if unseen else ""


def _of_members(effects: EffectDraws, how: str, unseen: str) -> str:
    """Rows that belong to a level of each of several columns, by the weights that they have."""
    columns = f"{', '.join(effects.columns[:-1])} and {effects.columns[-1]}"
    return {
        "population": f"with the row's {columns} drawn from one population of levels",
        "typical": f"with a typical {columns} (their group effects are 0)",
        "observed": f"with each row's own {columns}{_unseen(unseen)}",
        "new": f"with one new {columns} each, drawn in each draw",
    }[how]


def _of_process(series: Series, how: str) -> str:
    called = series.called
    if how == "observed":
        return (
            f"with {called} as each {series.of} has it, at other times than the fit's by its distribution given these"
        )
    return f"with {called} of a new {series.of} integrated over" if how == "population" else f"with {called} at 0"


def _plural(factor: str) -> str:
    return plural_of(factor) if factor.isalpha() else f"levels of {factor}"


def averaged(asked: Asked, of_fit: bool, each: str) -> str:
    """Over which rows: "averaged over the rows of the fit"; `each` is what a row is."""
    averaging, rows = asked.averaging, "the fit" if of_fit else "the data"
    if averaging.each:
        words = f"for each {each} of {rows}"
    elif averaging.over is not None:
        words = f"averaged over the rows of {rows} within each {averaging.over}, then over these alike"
    else:
        words = f"averaged over the {plural_of(each)} of {rows}"
    if averaging.weights is not None:
        words += f" with weights {averaging.weights}"
    if averaging.by:
        words += f" by {listing(averaging.by)}"
    if asked.at:
        words += ", with " + " and ".join(_set_to(name, values) for name, values in asked.at.items())
    return words


def _set_to(name: str, values: Sequence[Value]) -> str:
    """ "age = 40, 60", of many numbers "age from 40 to 60 (21 values)"."""
    texts = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    numbers = [as_number(text) for text in texts]
    known = [n for n in numbers if n is not None]
    if len(values) <= _MOST_VALUES or len(known) < len(values):
        return f"{name} = {listing(texts, _MOST_VALUES)}"
    return f"{name} from {min(known):g} to {max(known):g} ({len(values)} values)"


def sentence(
    settings: Sequence[Setting],
    asked: Asked,
    *,
    of_fit: bool,
    measures: Mapping[str, Sequence[str]] | None = None,
    of: str = "",
) -> str:
    """The whole sentence; of comparisons and slopes `measures` by outcome, and what they are `of`."""
    subjects = []
    for setting in settings:
        words = (
            [_measure(m, amount(setting)) for m in measures[setting.outcome.name]] if measures else [amount(setting)]
        )
        subjects.append(f"{_and(words)} {of_outcome(setting)}")
    first = settings[0].question
    coding = first.outcome.coding
    subject = "; ".join(dict.fromkeys(subjects))
    parts = [
        subject[0].upper() + subject[1:] + of,
        averaged(asked, of_fit, "subject" if first.outcome.event and of_fit else "row"),
        for_whom(first.choice, coding.effects),
        "" if set(coding.optional) & set(asked.at) else coding.remark,
        *(first.notes if isinstance(first, EventQuestion) else ()),
    ]
    return f"{', '.join(filter(None, parts))}; median of {first.draws.size} draws, {nominal(asked.prob)} interval."


def _measure(measure: str, amount: str) -> str:
    """ "risk difference", "difference of the probability of zero"."""
    if measure not in _OF_AMOUNT:
        return _OTHER_MEASURES.get(measure, measure)
    return f"{measure} of the {amount}" if measure == "slope" or " of " in amount else f"{amount} {measure}"


def compared(contrasts: Sequence[Contrast]) -> str:
    """ " for period 2 against 1, 3 against 1", " for sex f against m and age +10": what is compared."""
    by_variable: dict[str, dict[str, None]] = {}
    for contrast in contrasts:
        first, *others = contrast.changes
        together = " and ".join((first.text, *(f"{change.variable} {change.text}" for change in others)))
        words = together.replace(" vs ", " against ") + (f" by {contrast.along}" if contrast.along else "")
        by_variable.setdefault(first.variable, {})[words] = None
    return " for " + "; ".join(f"{name} {listing(texts, 4)}" for name, texts in by_variable.items())


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def groups_text(asked: Asked, choice: GroupChoice) -> str:
    """The column `groups` of a table."""
    different = dict.fromkeys(choice.by_factor.values())
    if len(different) <= 1:
        return asked.groups if isinstance(asked.groups, str) else next(iter(different), "population")
    return ", ".join(f"{factor}: {how}" for factor, how in choice.by_factor.items())
