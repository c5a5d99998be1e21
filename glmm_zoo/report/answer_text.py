"""The answer of a fit as a sentence with its numbers, and what the number is. What stands out is between two asterisks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import listing, number_word
from glmm_zoo.report.answer import Answer, answer_time, part_column
from glmm_zoo.report.network_answer import network_answer
from glmm_zoo.report.parts import article, joined, read_parts
from glmm_zoo.report.structure_words import averaged_over, structured_terms
from glmm_zoo.report.time_words import cause_words
from glmm_zoo.results import numbers
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.figures.estimated import fitted_family, response_name, units_of, with_success
from glmm_zoo.results.figures.over_time import at_time, free_of
from glmm_zoo.results.figures.value_words import value_words
from glmm_zoo.results.findings import findings
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.numbers import NO_BREAK, Scale
from glmm_zoo.results.storage import metadata, outcome_specs
from glmm_zoo.tables.text_values import as_number

_MOST_CATEGORIES, _MOST_ARMS = 3, 4  # that are told
LOGS = {"log": np.e, "log2": 2.0, "log10": 10.0}


def answer_text(tree: xr.DataTree, answer: Answer, prob: float = 0.95) -> tuple[str, str]:
    """The sentence, and "What this number is"; of a model without covariates it is the mean of all."""
    about, builder = about_of(tree), metadata(tree)["spec"]["builder"]
    if builder == "joint_survival":
        return _of_hazard(tree, about, prob)
    if builder == "meta_analysis":
        return _of_trials(tree, about, answer, prob)
    if builder == "network_meta_analysis":
        return network_answer(tree, about, prob)
    if answer.means is None:
        return _of_course(tree, about, answer, prob), _what_it_is(tree, about, answer)
    estimates = answer.comparisons or answer.means
    outcomes = [str(o) for o in dict.fromkeys(estimates.table.get("outcome", pd.Series(dtype=str)))] or [None]
    if builder == "joint_outcomes":
        together = _of_correlation(tree, about, prob)
        if together and not about.of:
            return together
    of_outcome = _of_outcome if answer.comparisons is not None else _of_all
    sentences = [
        of_outcome(tree, about, a, outcome, prob) for outcome in outcomes for a in _each_category(answer, outcome)
    ]
    return " ".join(sentences), _what_it_is(tree, about, answer)


def _each_category(answer: Answer, outcome: str | None) -> Iterator[Answer]:
    """The answer for each category of an unordered outcome, or cause of an event, of many those that change most; as it is for others."""
    estimates = answer.comparisons or answer.means
    assert estimates is not None
    table = _rows_of(estimates.table, outcome)
    column = part_column(table)
    if column is None:
        yield answer
        return
    size = (
        table[table["measure"].isin(["difference", "mean", "incidence"])]
        .groupby(column, sort=False)["median"]
        .agg(lambda m: m.abs().max())
    )
    most = size.nlargest(_MOST_CATEGORIES).index
    for category in (c for c in size.index if c in most):
        of = {
            name: replace(e, table=e.table[e.table[column] == category])
            for name, e in (("means", answer.means), ("comparisons", answer.comparisons))
            if e is not None
        }
        yield replace(answer, **of)


# ---------------------------------------------------------------------------------------------------- means and changes


def _of_outcome(tree: xr.DataTree, about: About, answer: Answer, outcome: str | None, prob: float) -> str:
    """ "The risk of a new case was 22.0 % in quarter 1 and 6.2 % in quarter 4: 15.6 percentage points lower (...)." """
    assert answer.means is not None and answer.comparisons is not None and answer.variable is not None
    means, compared = (_rows_of(e.table, outcome) for e in (answer.means, answer.comparisons))
    by_value = means.set_index(means[answer.variable].map(_as_text))
    scale, variable = mean_scale(tree, outcome), answer.variable
    what = _amount_of_rows(tree, about, outcome, means)
    unit = f"{NO_BREAK}%" if scale == "risk" else _unit(tree, about, outcome)

    def value(side: str) -> str:
        return f"**{_median(by_value.loc[_nearest(by_value, side)], scale)}{unit}**"

    def place(side: str) -> str:
        return f"for {value_words(about, variable, as_number(side) if answer.numeric else side)}"

    told = _contrasts_told(about, answer, compared)
    changes = {c: _change(compared[compared["contrast"] == c], tree, about, outcome, prob) for c in told}
    high, low = _sides(told[0])
    if len(told) == 1:
        return f"The {what} was {value(low)} {place(low)} and {value(high)} {place(high)}: {changes[told[0]]}"
    sentences = [f"The {what} was {value(low)} {place(low)}."]
    for contrast, change in changes.items():
        high, _ = _sides(contrast)
        sentences.append(f"{place(high).replace('for', 'For', 1)} it was {value(high)}: {change}")
    left = compared["contrast"].nunique() - len(told)
    return " ".join([*sentences, *([f"The table compares {number_word(left)} more."] if left else [])])


def _contrasts_told(about: About, answer: Answer, compared: pd.DataFrame) -> list[str]:
    """What is told of the comparisons: of numbers, such as doses and periods, the last one; of arms each with what it is compared with, of
    very many those that differ most."""
    contrasts = [str(c) for c in dict.fromkeys(compared["contrast"])]
    ordered = answer.numeric or all(as_number(about.level(answer.variable or "", v)) is not None for v in answer.values)
    if ordered or len(contrasts) == 1:
        return contrasts[-1:]
    if len(contrasts) <= _MOST_ARMS:
        return contrasts
    size = compared[compared["measure"] == "difference"].set_index("contrast")["median"].abs()
    most = set(size.nlargest(_MOST_ARMS).index)
    return [c for c in contrasts if c in most]


def _of_course(tree: xr.DataTree, about: About, answer: Answer, prob: float) -> str:
    """ "The risk of k for treat 1 against treat 0, average of exposure times 1 to 3 (TATE): 2 percentage points higher (...)." """
    assert answer.comparisons is not None and answer.variable is not None
    table = answer.comparisons.table
    rows = table[table["contrast"] == table["contrast"].iloc[0]]
    contrast, _, when = str(rows["contrast"].iloc[0]).partition(", ")
    high, low = (value_words(about, answer.variable, side) for side in _sides(contrast))
    return f"The {amount_told(tree, about, None)} for {high} against {low}, {when}: {_change(rows, tree, about, None, prob)}"


def _of_all(tree: xr.DataTree, about: About, answer: Answer, outcome: str | None, prob: float) -> str:
    """ "The risk of a new case was 22.0 % (95 % interval 15.4 to 31.1 %)." """
    assert answer.means is not None
    row, scale = _rows_of(answer.means.table, outcome).iloc[0], mean_scale(tree, outcome)
    d = numbers.decimals(scale, row[["median", "lower", "upper"]], row["mcse"])
    unit = f"{NO_BREAK}%" if scale == "risk" else _unit(tree, about, outcome)
    interval = numbers.interval(row["lower"], row["upper"], d, scale)
    what = _amount_of_rows(tree, about, outcome, _rows_of(answer.means.table, outcome))
    return f"The {what} was **{_median(row, scale)}{unit}** ({numbers.nominal(prob)} interval {interval}{unit})."


def _median(row: pd.Series, scale: Scale) -> str:
    d = numbers.decimals(scale, row[["median", "lower", "upper"]], row["mcse"])
    return numbers.on_scale(row["median"], scale, d)


def _change(rows: pd.DataFrame, tree: xr.DataTree, about: About, outcome: str | None, prob: float) -> str:
    """ "**15.6 percentage points** lower (95 % interval 8.6 to 23.6 lower)." and what an interval across no effect leaves open."""
    measures = rows.set_index("measure")
    counted = mean_scale(tree, outcome) == "number" and "ratio" in measures.index
    measure: Any = measures.loc["ratio" if counted else "difference"]
    scale: Scale = "ratio" if counted else "points" if mean_scale(tree, outcome) == "risk" else "number"
    median, low, high = (float(measure[c]) for c in ("median", "lower", "upper"))
    d = numbers.decimals(scale, (median, low, high), float(measure["mcse"]))
    share = numbers.nominal(prob)
    p = float(measure["p_positive"])
    null = 1.0 if counted else 0.0
    spans = low <= null <= high
    likely = f"; probability of being {'higher' if p > 0.5 else 'lower'} {numbers.probability(max(p, 1 - p))}"
    if counted:
        size = f"**{numbers.on_scale(median, scale, d)} times** as much"
        return f"{size} ({share} interval {numbers.interval(low, high, d, scale)} times{likely if spans else ''})."
    unit = " percentage points" if scale == "points" else _unit(tree, about, outcome)
    texts = [numbers.on_scale(abs(value), scale, d) for value in (median, low, high)]
    amount, least, most = (t + (" percentage point" if (t, scale) == ("1", "points") else unit) for t in texts)
    size = f"**{amount}** {'lower' if median < 0 else 'higher'}"
    if not spans:
        near, far = sorted((abs(low), abs(high)))
        return f"{size} ({share} interval {numbers.interval(near, far, d, scale)})."
    size = f"{size}, but no difference is not excluded" if texts[0].strip("0.") else f"**{amount}** of difference"
    return f"{size} ({share} interval from {least} lower to {most} higher{likely})."


def _amount_of_rows(tree: xr.DataTree, about: About, outcome: str | None, rows: pd.DataFrame) -> str:
    """`amount_told`, or that of rows of one category or cause."""
    if (column := part_column(rows)) is None:
        return amount_told(tree, about, outcome)
    return part_told(tree, about, outcome, str(rows[column].iloc[0]))


def part_told(tree: xr.DataTree, about: About, outcome: str | None, part: str) -> str:
    """What is told of one category, "probability of car", or of one cause: "cumulative incidence of relapse at 5 years"."""
    if fitted_family(tree, outcome).responses == "time":
        return f"cumulative incidence of {cause_words(read_parts(tree), part)} at {at_time(about, answer_time(metadata(tree)['spec']))}"
    return f"probability of {value_words(about, response_name(tree, outcome), part)}"


def mean_scale(tree: xr.DataTree, outcome: str | None) -> Scale:
    """How means of an outcome are written: risks in per cent, all else as numbers."""
    return "risk" if fitted_family(tree, outcome).responses in ("binary", "unordered", "time") else "number"


def amount_told(tree: xr.DataTree, about: About, outcome: str | None) -> str:
    """What is told of an outcome: "risk of a new case", "rate of calls per nestling", "mean reaction time"."""
    spec = _outcome_spec(tree, outcome)
    said = about.outcome_of(outcome or "")
    kind = fitted_family(tree, outcome).responses
    words = said.outcome or with_success(about.name(response_name(tree, outcome)), str(spec["response"]))
    if kind == "time":
        what = "cumulative incidence of each cause" if spec["levels"] else f"probability of being {free_of(about)}"
        return f"{what} at {at_time(about, answer_time(metadata(tree)['spec']))}"
    if kind == "unordered":
        return f"probability of each category of {words}"
    if kind == "binary":
        return f"risk of {said.an_outcome or words}"
    if kind == "ordered":
        return f"expected score of {words}"
    if kind == "count":
        per = exposure_of(tree, spec)
        one = said.unit or (units_of(tree, about.name(per)) if per else "")
        return f"{'rate' if per else 'mean number'} of {words}{f' per {one}' if one else ''}"
    return f"mean {words}"


def exposure_of(tree: xr.DataTree, spec: Any) -> str:
    """The columns of the exposure of counts, "" where there is none."""
    formula = str(spec.get("formula", ""))
    if "offset(" in formula:
        return formula.split("offset(", 1)[1].split(")")[0].removeprefix("log(")
    return str(metadata(tree)["spec"]["options"].get("exposure") or "")


def _outcome_spec(tree: xr.DataTree, outcome: str | None) -> Any:
    specs = outcome_specs(metadata(tree)["spec"])
    return specs.get(outcome or "", next(iter(specs.values())))


def _unit(tree: xr.DataTree, about: About, outcome: str | None) -> str:
    """The unit of what is measured; that of counts is what they are per."""
    unit = about.outcome_of(outcome or "").unit
    return f"{NO_BREAK}{unit}" if unit and fitted_family(tree, outcome).responses != "count" else ""


def _rows_of(table: pd.DataFrame, outcome: str | None) -> pd.DataFrame:
    return table if outcome is None else table[table["outcome"] == outcome]


def _sides(contrast: str) -> tuple[str, str]:
    """The two values of a contrast "4 vs 1"; the first may have these words in its own name."""
    high, _, low = contrast.rpartition(" vs ")
    return high, low


def _as_text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _nearest(means: pd.DataFrame, value: str) -> str:
    """The value of the means that a side of a contrast is, or the nearest one of a grid."""
    if value in means.index:
        return value
    target = float(value)
    return min(means.index, key=lambda text: abs(float(text) - target))


def _what_it_is(tree: xr.DataTree, about: About, answer: Answer) -> str:
    """Whose number it is, averaged how, and what it is not."""
    parts = read_parts(tree)
    of_tables = [":".join(term.factor) for term in structured_terms(parts)]
    groups = [n for n, levels in parts.groups.items() if levels < parts.spec["data"]["rows"] or n in of_tables]
    averaged = "averaged over the rows of the data"
    if answer.at:
        averaged += " with " + joined([value_words(about, column, value) for column, value in answer.at.items()])
    expected = f"The {amount_told(tree, about, None)}" if not answer_of_several(answer) else "The expected value"
    names = [about.name(g) if g in about.names else parts.group_name(tuple(g.split(":"))) for g in groups]
    whose = about.individual
    if not names:
        others = ", other covariates as they are in the data" if answer.variable is not None else ""
        return f"{expected}{f' of {article(whose)}' if whose else ''}, {averaged}{others}."
    of = joined(
        [f"{article(name)} drawn at random from the population of such {_plural(about, name)}" for name in names]
    )
    who = f"of {article(whose)} in {of}" if whose and whose not in names else f"of {of}" if whose else f"in {of}"
    return (
        f"{expected} {who}, {averaged} (population-averaged{averaged_over(parts)}). It is not that of a typical {names[0]}, whose effect is "
        f"zero{', and not an odds ratio' if mean_scale(tree, None) == 'risk' else ''}."
    )


def answer_of_several(answer: Answer) -> bool:
    """Whether there are several outcomes."""
    return answer.means is not None and "outcome" in answer.means.table and answer.means.table["outcome"].nunique() > 1


def _plural(about: About, name: str) -> str:
    first, of, rest = name.partition(" of ")
    return f"{about.plural(first)}{of}{rest}"


# ---------------------------------------------------------------------------------- outcomes together, hazards, trials


def _of_correlation(tree: xr.DataTree, about: About, prob: float) -> tuple[str, str] | None:
    """The correlation of the first two propensities of a subject that the model correlates; None where there are none."""
    table = findings(tree, prob, checks=False)["propensities"].tables.get(
        "correlation", pd.DataFrame(columns=["lower", "upper"])
    )
    table = table[table["lower"] < table["upper"]]
    if table.empty:
        return None
    factor, first, second = re.fullmatch(r".*\[(.+?): (.+), (.+)\]", str(table.index[0])).groups()  # pyright: ignore[reportOptionalMemberAccess]
    row, subject = table.iloc[0], about.individual or about.name(factor)
    names = [about.outcome_of(name).outcome or about.name(name) for name in (first, second)]
    d = numbers.decimals("ratio", row[["median", "lower", "upper"]])
    middle, low, high = (numbers.written(row[c], d) for c in ("median", "lower", "upper"))
    subjects, one, other = about.plural(subject), amount_told(tree, about, first), amount_told(tree, about, second)
    if row["lower"] <= 0 <= row["upper"]:
        tendency = f"Whether {subjects} with a higher {one} tend to have a higher or a lower {other} is open"
    else:
        tendency = f"{subjects.capitalize()} with a higher {one} tend to have a {'lower' if row['median'] < 0 else 'higher'} {other}"
    sentence = f"{tendency}: correlation **{middle}** ({numbers.nominal(prob)} interval {low} to {high})."
    what = (
        f"The correlation between {about.plural(subject)} of what {article(subject)} tends to, over the whole time of the study, in "
        f"{names[0]} and in {names[1]}, apart from covariates. It is not the correlation of single measurements."
    )
    return sentence, what


def _of_hazard(tree: xr.DataTree, about: About, prob: float) -> tuple[str, str]:
    """The hazard ratio of the first association, of a doubling where the marker is a logarithm."""
    spec, posterior = metadata(tree)["spec"], tree["posterior"].dataset
    marker = next(iter(outcome_specs(spec)))
    response = str(spec["formula"] if isinstance(spec["formula"], str) else spec["formula"][0]).split("~")[0].strip()
    said = about.outcome_of(marker)
    words = said.outcome or response
    event = about.event or "the event"
    label = str(posterior["assoc"][_own_dim(posterior["assoc"])].values[0])
    draws = draws_of(posterior, "assoc").reshape(posterior.sizes["chain"], posterior.sizes["draw"], -1)[..., 0]
    base = next((b for log, b in LOGS.items() if response.startswith(f"{log}(")), None)
    if base is None or "value" not in label:
        factor, step = np.exp(draws), f"one unit{f' ({said.unit})' if said.unit else ''} higher"
    else:
        factor, step = np.exp(draws * np.log(2) / np.log(base)), "twice as high"
    tail = (1 - prob) / 2
    median, low, high = np.quantile(factor, [0.5, tail, 1 - tail])
    d = numbers.decimals("ratio", (median, low, high))
    individual = about.individual or "subject"
    subject = f"{article(individual).capitalize()} whose current {words} is {step}"
    if "value" not in label:
        subject = f"{article(individual).capitalize()} whose {label} of {words} is {step}"
    sentence = (
        f"{subject} has **{numbers.on_scale(median, 'ratio', d)} times** the hazard of {event} at that time "
        f"({numbers.nominal(prob)} interval {numbers.interval(low, high, d, 'ratio')})."
    )
    what = (
        f"The ratio of the hazards of {event} of two {about.plural(individual)} with the same covariates at the same time, whose true "
        f"(error-free) {words} differ so. It describes an association, not what a change of {words} would do."
    )
    return sentence, what


def _own_dim(array: xr.DataArray) -> str:
    return next(str(d) for d in array.dims if d not in ("chain", "draw"))


def _of_trials(tree: xr.DataTree, about: About, answer: Answer, prob: float) -> tuple[str, str]:
    """The ratio of the mean trial, and where that of a new trial lies."""
    table = findings(tree, prob, checks=False)["pooled"].tables["pooled"]
    (name, mean), (_, new) = list(table.iterrows())[:2]
    ratio = str(name).removeprefix("pooled ")
    d = numbers.decimals("ratio", mean)
    values, share = [about.level(str(answer.variable), v) for v in answer.values], numbers.nominal(prob)
    outcome = about.outcome or metadata(tree)["spec"]["outcome"]
    sentence = (
        f"In the mean trial the {ratio} of {outcome}, {values[1]} against {values[0]}, is "
        f"**{numbers.on_scale(mean['median'], 'ratio', d)}** ({share} interval {numbers.interval(mean['lower'], mean['upper'], d, 'ratio')}); "
        f"the true {ratio} of a new trial lies between {numbers.interval(new['lower'], new['upper'], d, 'ratio').replace(' to ', ' and ')} "
        f"with probability {share}."
    )
    covariates = [c for c in _trial_covariates(tree) if c]
    at = f", at the mean {listing(map(about.name, covariates))} of the trials" if covariates else ""
    what = (
        f"The {ratio} at the centre of the population of trials{at}. The second range is for the true effect in one new trial, drawn from "
        "that population. How many cases that means depends on the risk without treatment."
    )
    return sentence, what


def _trial_covariates(tree: xr.DataTree) -> list[str]:
    posterior = tree["posterior"].dataset
    return [str(v) for v in posterior["coef"].values] if "beta" in posterior else []
