"""The answer of a fit: the variable that the question is about, what the model expects at its values, and a sentence.

The numbers are those of `predictions` and `comparisons` with their usual settings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.estimands.comparisons import comparisons
from glmm_zoo.estimands.fitted import (
    DRAWS_OF_NESTED,
    EXPECTED_EVENTS,
    INCIDENCE,
    SURVIVAL,
    USUAL_DRAWS,
    FittedModel,
    FittedOutcome,
    read_fitted,
)
from glmm_zoo.estimands.predictions import predictions, predictions_on
from glmm_zoo.results.about import about_of
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.value_words import column_and_level, multiplied
from glmm_zoo.results.imputations import imputations_of
from glmm_zoo.results.storage import metadata, stored_table
from glmm_zoo.results.whole_fit import of_a_whole_fit
from glmm_zoo.trials.arms import META_ANALYSES

# a number with as many values or fewer is compared from its first to its last; so many curves can be told apart
_MOST_LEVELS = 12
_MIDDLE = 0.025, 0.975  # quantiles between which means are told: at the ends of a long tail they are absurd
GRID = 25  # values of a number along which means are given


@dataclass(frozen=True)
class Answer:
    """What a fit answers.

    Attributes
    ----------
    variable
        The column whose effect answers the question; None where the model has no covariate, whose means are then one for all rows.
    values
        The values at which there are means: the levels of a factor, the reference first, or numbers.
    numeric
        Whether it is a number, along which means are a curve.
    at
        Values of other columns at which all is given; else it is averaged over the rows.
    means, comparisons
        Averages over the rows with the variable at each of its values, and these compared; None where they say nothing, as means of
        trials, those under a treatment whose effect depends on how long it has gone on, and those of a variable of the event alone.
    further
        Other averages at these values, by their scale: "zero", "positive", "probability" of each category, "survival", "events".
    along
        The number whose product with a factor is in the model, such as time, and None where there is none.
    trajectories, differences
        Averages at each level of the factor along that number, and these compared.
    """

    variable: str | None
    values: tuple[Any, ...] = ()
    numeric: bool = False
    at: Mapping[str, Any] = field(default_factory=dict)
    means: Estimates | None = None
    comparisons: Estimates | None = None
    further: Mapping[str, Estimates] = field(default_factory=dict)
    along: str | None = None
    trajectories: Estimates | None = None
    differences: Estimates | None = None


@of_a_whole_fit
def answering(tree: xr.DataTree, *, prob: float = 0.95) -> Answer:
    """The answer of a fit, fresh or loaded.

    The variable is the one that was said to be asked about (`about`), else the treatment of a trial, else the first of the formula.

    Parameters
    ----------
    prob
        Probability inside the intervals.
    """
    one = imputations_of(tree)[0]  # whose variables are those of all
    about, model = about_of(tree), read_fitted(one, USUAL_DRAWS)
    variable = about.of or _variable(model)
    scale = _scale_of_times(model.spec)
    draws = DRAWS_OF_NESTED if any(outcome.nested for outcome in model.outcomes.values()) else USUAL_DRAWS
    said: dict[str, Any] = {"prob": prob, "draws": draws}
    if variable is None:
        of_all: dict[str, Any] = {"at": about.at or None, "by": True, **said}
        further = predictions_on(tree, _scales(model), **of_all)
        return Answer(None, at=about.at, means=predictions(tree, **of_all, **scale), further=further)
    meta, event = model.spec["builder"] in META_ANALYSES, model.spec["builder"] == "joint_survival"
    of_event = event and not any(variable in outcome.coding.columns for outcome in model.outcomes.values())
    levels = _levels(read_fitted(one, USUAL_DRAWS, SURVIVAL) if of_event else model, variable)
    numbers = np.empty(0) if levels else _numbers(tree, variable)
    contrast = _contrast(levels, numbers)
    levels = sorted(levels, key=lambda level: level != about.control)  # the control first, the others as they are
    drawn = not (scale and model.spec["levels"])  # incidences are drawn over time, not along a number
    values = tuple(levels) or tuple(_grid(numbers, contrast, GRID if drawn else 3))
    at = {**_last_visit(model, variable), **about.at}
    asked: dict[str, Any] = {"at": {variable: list(values), **at}, "by": True, **said}
    course = any(variable in outcome.coding.courses for outcome in model.outcomes.values())
    tells_means = not (meta or course or of_event)
    further = predictions_on(tree, [*(["mean"] if tells_means and not scale else []), *_scales(model)], **asked)
    means = predictions(tree, **asked, **scale) if tells_means and scale else further.pop("mean", None)
    pairs = (
        model.spec["options"].get("consistency") == "ume"
    )  # unrelated effects, of the pairs that were compared alone
    of_pair: dict[str, Any] = {"contrast": contrast, **said, **scale}
    compared = None if of_event or pairs else comparisons(tree, variable, at=at or None, **of_pair)
    if event and variable in _of_event(tree):
        of_times = EXPECTED_EVENTS if model.spec["event"].get("recurrent") else SURVIVAL
        with contextlib.suppress(InputError):  # a number of events that is infinite
            further[of_times] = predictions(tree, **asked, scale=of_times, times=_times(model))
    along = _along(tree, variable) if 0 < len(levels) <= _MOST_LEVELS else None
    trajectories = differences = None
    if along is not None:
        grid = {**at, along: _grid(_numbers(tree, along))}
        trajectories = predictions(tree, at={variable: list(values), **grid}, by=True, **said, **scale)
        differences = comparisons(tree, variable, measures="difference", at=grid, **of_pair)
    numeric = not levels and len(np.unique(numbers)) > 2
    return Answer(variable, values, numeric, at, means, compared, further, along, trajectories, differences)


def _last_visit(model: FittedModel, variable: str) -> dict[str, Any]:
    """Of repeated measures the last visit, where the formula has it: it is what a trial is about.

    Numbers and declared levels have an order; of text, whose levels are in that of the alphabet, it is the last row of the subject
    who has most of them.
    """
    facts, options = model.spec["facts"], model.spec["options"]
    time = options.get("time")
    if "visits" not in facts or time == variable or time not in _variables(model):
        return {}
    table = stored_table(model.tree)
    if pd.api.types.is_numeric_dtype(table[time]):
        return {time: float(facts["visits"][-1])}
    if isinstance(table[time].dtype, pd.CategoricalDtype):
        return {time: facts["visits"][-1]}
    subject = table[options["within"]].astype(str)
    most = subject[subject.groupby(subject).transform("size").idxmax()]
    return {time: str(table[time][subject == most].iloc[-1])}


def _variables(model: FittedModel) -> set[str]:
    """The columns of the formulas."""
    return {
        c for outcome in model.outcomes.values() for design in outcome.parts.values() for c in design.formula.columns
    }


def _scale_of_times(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Of times to an event what is told of them: survival at a time, of competing causes the incidence of each."""
    if "event_times" not in spec["facts"]:
        return {}
    return {"scale": INCIDENCE if spec["levels"] else SURVIVAL, "times": [answer_time(spec)]}


def of_categories(answer: Answer) -> Estimates | None:
    """The probabilities of the categories of an outcome that has them, ordered or not."""
    if answer.means is not None and "category" in answer.means.table:
        return answer.means
    return answer.further.get("probability")


def part_column(table: pd.DataFrame) -> str | None:
    """The column of the unordered categories, or of the competing causes, that estimates are of; None where there are none."""
    return next((c for c in ("category", "cause") if c in table and (table[c] != "").all()), None)


def _variable(model: FittedModel) -> str | None:
    """The column that is asked about where nothing was said: the treatment of a trial, or the first that is neither a group nor an
    exposure."""
    outcomes = list(model.outcomes.values())
    if model.spec["builder"] == "stepped_wedge":
        return outcomes[0].coding.columns[-1]
    for outcome in outcomes:
        groups = {c for columns in outcome.coding.factors.values() for c in columns}
        for column in outcome.coding.columns:
            if column not in groups and column not in outcome.coding.exposure:
                return column
    return None


def _levels(model: FittedModel, variable: str) -> list[str]:
    """The levels of a factor, the reference first; none of a number."""
    found = [o.coding.levels[variable] for o in model.outcomes.values() if variable in o.coding.levels]
    return list(found[0]) if found else []


def _numbers(tree: xr.DataTree, variable: str) -> np.ndarray:
    """The values of a number in the rows of the fit, or of its events."""
    table = stored_table(tree)
    table = table if variable in table else stored_table(tree, "event_row")
    return table[variable].dropna().to_numpy(float)


def _grid(numbers: np.ndarray, compared: Sequence[float] = (), count: int = GRID) -> list[float]:
    """The values of a number at which means are given: all that there are where they are few, else `count` from the 2.5 % quantile of the
    data to the 97.5 % quantile, and those that are compared among them."""
    values = np.unique(numbers)
    if len(values) > _MOST_LEVELS:
        ends = [*np.quantile(numbers, _MIDDLE), *compared]
        return sorted({*_few_digits(np.linspace(min(ends), max(ends), count), values, 2), *compared})
    return values.tolist()


def _few_digits(chosen: np.ndarray, values: np.ndarray, digits: int) -> list[float]:
    """Numbers with so many digits after the first one of their spread, and none beyond the values of the data."""
    unit = 10.0 ** (int(np.floor(np.log10(np.ptp(chosen)))) - digits)
    low, high = np.ceil(values[0] / unit), np.floor(values[-1] / unit)
    short = [float(f"{unit * v:.12g}") for v in np.clip(np.round(chosen / unit), low, high)]
    return [float(v) for v in np.clip(short, values[0], values[-1])]


def _contrast(levels: list[str], numbers: np.ndarray) -> Any:
    """Levels against the control, where one was said, else against the reference; a number from low to high."""
    if levels:
        return "reference"
    values = np.unique(numbers)
    if len(values) <= _MOST_LEVELS:
        return float(values[0]), float(values[-1])
    return tuple(_few_digits(np.quantile(values, [0.25, 0.75], method="nearest"), values, 1))


def _along(tree: xr.DataTree, variable: str) -> str | None:
    """The number whose product with a factor is in the model: of a smooth for each level, or in a coefficient "a[b]:time"."""
    spec, posterior = metadata(tree)["spec"], tree["posterior"].dataset
    found = [s["variables"][0] for s in spec["smooths"] if f"by={variable}" in s["label"].replace(" ", "")]
    labels = posterior["coef"].values if "coef" in posterior.coords else ()
    for parts in (multiplied(str(label)) for label in labels):
        columns = [column_and_level(part)[0] for part in parts]
        if len(columns) == 2 and (own := {variable, f"mo({variable})", f"mi({variable})"} & set(columns)):
            found += [c for c in columns if c not in own]
    table = stored_table(tree)
    return next((c for c in found if c in table and table[c].dtype.kind in "iuf" and table[c].nunique() > 2), None)


def _scales(model: FittedModel) -> list[str]:
    """Further scales that belong to the answer of one outcome; of several each may have its own."""
    outcome, *others = model.outcomes.values()
    return [] if others else scales_of(outcome)


def scales_of(outcome: FittedOutcome) -> list[str]:
    """What is told of an outcome beside its mean: the categories of an ordered one, zeros of counts that have more of them."""
    if outcome.family.choice == "levels":
        return ["probability"]
    return ["zero", "positive"] if outcome.family.counted and {"zi", "never"} & {*outcome.parts, *outcome.own} else []


def _of_event(tree: xr.DataTree) -> set[str]:
    """The columns of the second table of a joint model."""
    return set(stored_table(tree, "event_row").columns)


def _times(model: FittedModel) -> list[float]:
    """A third and two thirds of the follow-up."""
    horizon = model.spec["event"]["horizon"]
    return [_rounded(horizon / 3, horizon), _rounded(2 * horizon / 3, horizon)]


def answer_time(spec: Mapping[str, Any]) -> float:
    """The time at which survival is told: a third of the follow-up."""
    origin, horizon = (spec["facts"][end] for end in ("origin", "horizon"))
    return _rounded(origin + (horizon - origin) / 3, horizon)


def _rounded(t: float, horizon: float) -> float:
    """To whole units where the follow-up is longer than six."""
    return float(round(t)) if horizon > 6 else float(f"{t:.2g}")
