"""The results paragraph of a paper: averages, comparisons, ratios within groups, and how groups differ, with their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pandas as pd

from glmm_zoo.formulas.names import prefixed, variable_name
from glmm_zoo.report.answer import Answer
from glmm_zoo.report.answer_text import amount_told, mean_scale, part_told
from glmm_zoo.report.covariate_words import covariate_name
from glmm_zoo.report.model_words import is_measured, outcome_words, said_of
from glmm_zoo.report.parts import Parts, article, joined
from glmm_zoo.report.product_words import differences_of_slopes, ratio_words
from glmm_zoo.report.residual_words import residual_results, structure_of
from glmm_zoo.report.serial_words import process_results
from glmm_zoo.report.time_words import cause_words
from glmm_zoo.results import numbers
from glmm_zoo.results.estimates import NUMBER_NEEDED
from glmm_zoo.results.figures.effects import LOGARITHMS, coefficient_words
from glmm_zoo.results.figures.estimated import fitted_family, for_one_unit
from glmm_zoo.results.figures.value_words import column_and_level, comparison_words, multiplied
from glmm_zoo.results.network_slopes import slope_words
from glmm_zoo.results.numbers import Scale
from glmm_zoo.results.report.stored import summary_of
from glmm_zoo.results.report.wording import equal_words, is_derived
from glmm_zoo.results.storage import against_reference, sd_at_means, stratum_of
from glmm_zoo.results.structures import effects_of_element
from glmm_zoo.tables.text_values import as_number
from glmm_zoo.trials.arms import META_ANALYSES

VALUES_TOLD = 4  # of a variable that are told; of more the first and the last
FACTORS_TOLD = 4
_MEASURES = {
    "ratio": "ratio",
    "odds_ratio": "odds ratio",
    "better": "probability of a higher score",
    "rmst": "difference of the restricted mean time",
}
_OF_TRIAL = {  # rows of the summary, their words and their scale
    "odds_ratio": ("the odds ratio in the mean study", "ratio"), "rate_ratio": ("the rate ratio in the mean study", "ratio"),
    "odds_ratio_new": ("the odds ratio in a new study (prediction interval)", "ratio"),
    "rate_ratio_new": ("the rate ratio in a new study (prediction interval)", "ratio"),
    "risk_difference": ("the risk difference at the baseline risk", "points"),
    "rate_difference": ("the rate difference at the baseline rate", "number"), "tau": ("the heterogeneity tau", "number"),
    "odds_ratio[effect]": ("the odds ratio of the intervention within a cluster", "ratio"),
    "rate_ratio[effect]": ("the rate ratio of the intervention within a cluster", "ratio"),
    "icc_within_period": ("the intraclass correlation within a period", "icc"),
    "icc_between_period": ("that between periods", "icc"), "cac": ("the cluster autocorrelation", "icc"),
    "share[never at risk]": ("the share never at risk", "risk"),
}  # fmt: skip


def results_text(parts: Parts, answer: Answer, prob: float) -> str:
    """The paragraph; "" where nothing was estimated."""
    table = summary_of(parts.tree, prob)
    told = [
        *_averages(parts, answer),
        *_comparisons(parts, answer),
        *_trial(table),
        *_ratios(parts, table, answer),
        *_slopes(parts, table, answer),
        *_groups(parts, table),
    ]
    if not told:
        return ""
    return f"Medians with {numbers.nominal(prob)} credible intervals: {told[0][:1].lower() + told[0][1:]} {' '.join(told[1:])}".strip()


# ------------------------------------------------------------------------------------------------ averages, comparisons


def _averages(parts: Parts, answer: Answer) -> Iterator[str]:
    """ "The risk of a new case was 22.0 % (15.4 to 31.1 %) for quarter 1, ..." """
    told = [("", answer.means), *((s, e) for s, e in answer.further.items() if s in _FURTHER)]
    for scale_name, estimates in told:
        if estimates is None:
            continue
        for outcome, category, rows in _by_outcome(estimates.table):
            one = for_one_unit(parts.tree, parts.about, outcome)
            what = f"{_FURTHER[scale_name]}{one}" if scale_name else _amount(parts, outcome)
            what = part_told(parts.tree, parts.about, outcome, category) if category else what
            scale: Scale = "risk" if scale_name in _SHARES else mean_scale(parts.tree, outcome)
            unit = _unit(parts, outcome) if scale == "number" else ""
            ends = rows if len(rows) <= VALUES_TOLD else rows.iloc[[0, -1]]
            values = [
                f"{_written(row, scale, unit)} {_place(parts, answer.variable, row)}".strip()
                for _, row in ends.iterrows()
            ]
            yield f"The {what} was {joined(values)}."


_FURTHER = {"zero": "probability of a zero", "positive": "mean of what is above zero"}
_SHARES = ("zero",)


def _comparisons(parts: Parts, answer: Answer) -> Iterator[str]:
    """ "For quarter 4 against 1 the difference was ..., the ratio ... and the odds ratio ...": of many contrasts the first and the last."""
    if answer.comparisons is None or answer.variable is None or parts.builder in META_ANALYSES:
        return
    for outcome, category, rows in _by_outcome(answer.comparisons.table):
        contrasts = list(dict.fromkeys(rows["contrast"]))
        contrasts = contrasts if len(contrasts) < VALUES_TOLD else [contrasts[0], contrasts[-1]]
        of = f" in {outcome_words_of(parts, outcome)}" if outcome is not None else ""
        what = part_told(parts.tree, parts.about, outcome, category) if category else _of_time(parts, outcome)
        of = f"{of} in the {what}" if what else of
        for contrast in contrasts:
            told = rows[(rows["contrast"] == contrast) & (rows["measure"] != NUMBER_NEEDED)]
            first, *others = [_measure(parts, outcome, row) for _, row in told.iterrows()]
            items = [f"{first[0]}{of} was {first[1]}", *(f"the {name} {value}" for name, value in others)]
            yield f"For {_contrast(parts, answer.variable, contrast)} the {joined(items)}."


def _of_time(parts: Parts, outcome: str | None) -> str:
    """What of a time to an event is compared; "" of other outcomes."""
    of_times = fitted_family(parts.tree, outcome).responses == "time"
    return amount_told(parts.tree, parts.about, outcome) if of_times else ""


def _measure(parts: Parts, outcome: str | None, row: pd.Series) -> tuple[str, str]:
    """A measure's name and "−15.6 percentage points (−23.6 to −8.6)"; what it is of is told of categories and times, else it is a risk."""
    measure, family = str(row["measure"]), fitted_family(parts.tree, outcome)
    told = family.responses in ("unordered", "time")
    if measure in ("difference", "slope"):
        risk = mean_scale(parts.tree, outcome) == "risk"
        scale: Scale = "points" if risk else "number"
        return f"{'risk ' if risk and not told else ''}{measure}", _written(
            row, scale, _unit(parts, outcome) if scale == "number" else ""
        )
    if measure == "rmst":
        unit = parts.about.time_unit
        return _MEASURES[measure], _written(row, "number", f"{numbers.NO_BREAK}{unit}" if unit else "")
    of_risks = measure == "ratio" and mean_scale(parts.tree, outcome) == "risk" and not told
    name = f"{'risk ' if of_risks else ''}{_MEASURES.get(measure, measure)}"
    averaged = "population-averaged " if measure == "odds_ratio" and parts.groups else ""
    return f"{averaged}{name}", _written(row, "probability" if measure == "better" else "ratio")


def _amount(parts: Parts, outcome: str | None) -> str:
    """ "risk of a new case", "mean log(bilirubin)": of a response that is transformed it is the mean of that."""
    of = next((o for o in parts.outcomes if o.prefix == (outcome or "")), parts.outcomes[0])
    return (
        f"mean {outcome_words(parts, of)}"
        if of.family.responses == "measured"
        else amount_told(parts.tree, parts.about, outcome)
    )


def outcome_words_of(parts: Parts, outcome: str | None) -> str:
    """The words for the outcome of that name."""
    return next((outcome_words(parts, o) for o in parts.outcomes if o.prefix == outcome), outcome or "")


def _by_outcome(table: pd.DataFrame) -> Iterator[tuple[str | None, str, pd.DataFrame]]:
    """The rows of each outcome, and of each category of an unordered one, or of each cause."""
    part = "cause" if "cause" in table else "category"
    keys = [table[c] if c in table else pd.Series("", table.index) for c in ("outcome", part)]
    for (outcome, category), rows in table.groupby(keys, sort=False):
        yield str(outcome) or None, str(category), rows


def _place(parts: Parts, variable: str | None, row: pd.Series) -> str:
    """ "for quarter 1", "at time 4 years"; "" of a mean of all."""
    if variable is None:
        return ""
    value = row[variable]
    text = _number(f"{value:.10g}" if isinstance(value, float) else str(value))
    unit = parts.about.unit_of(variable)
    words = parts.about.level(variable, value)
    if words != str(value):
        return f"for {words}"
    if unit and as_number(str(value)) is not None:
        return f"at {parts.about.name(variable)} {text}{numbers.NO_BREAK}{unit}"
    return f"for {parts.about.name(variable)} {text}"


def _number(text: str) -> str:
    """With a true minus sign, where it is a number."""
    return text.replace("-", numbers.MINUS) if as_number(text) is not None else text


def _contrast(parts: Parts, variable: str, contrast: str) -> str:
    high, found, low = contrast.rpartition(" vs ")
    if not found:
        return f"{parts.about.name(variable)} {contrast}"
    words = [parts.about.level(variable, side) for side in (high, low)]
    name = "" if words != [high, low] else f"{parts.about.name(variable)} "
    return f"{name}{_number(words[0])} against {_number(words[1])}"


# ------------------------------------------------------------------------------------------- parameters and groups


def _trial(table: pd.DataFrame) -> Iterator[str]:
    """What meta-analyses, stepped wedges and subjects never at risk have of their own."""
    for name, (words, scale) in _OF_TRIAL.items():
        if name in table.index:
            yield f"{words[:1].upper()}{words[1:]} was {_written(table.loc[name], scale)}."  # pyright: ignore[reportArgumentType]


def _ratios(parts: Parts, table: pd.DataFrame, answer: Answer) -> Iterator[str]:
    """Ratios of the answering variable at equal group effects, where it is in no product; of a joint model those of the hazard."""
    pattern = re.compile(
        rf"(?:(.*)_)?(odds_ratio|rate_ratio|hazard_ratio|time_ratio|ratio_of_means|(?:{'|'.join(LOGARITHMS)})_ratio)\[(.*)\]"
    )
    meta = parts.builder == "meta_analysis"
    found = [m for m in map(pattern.fullmatch, table.index[is_derived(parts.tree, table)]) if m and m[3] != "effect"]
    found = [m for m in found if m[1] != "median"]  # between levels of groups, which the paragraph has elsewhere
    factors = {m[3]: [column_and_level(factor)[0] for factor in multiplied(m[3])] for m in found}
    in_product = any(answer.variable in of and len(of) > 1 for of in factors.values())
    for match in found:
        prefix, ratio, label = match[1] or "", ratio_words(match[2]), match[3]
        value = _written(table.loc[match[0]], "ratio")
        if prefix == "assoc":
            yield f"The {ratio} for one unit more of the marker ({label}) was {value}."
        elif prefix == "surv":
            yield f"The {ratio} for {_label(parts, label)} at an equal course of the marker was {value}."
        elif label in parts.spec["facts"].get("slopes", ()):
            of = slope_words(parts.spec, parts.about, label)
            yield f"For one more of {of} the {ratio} was multiplied by {value}."
        elif parts.builder == "network_meta_analysis":
            words = comparison_words(parts.about, parts.spec["options"]["treatment"], label, short=True)
            yield f"The {ratio} of {words.replace(' vs ', ' against ')} in the mean study was {value}."
        elif meta:
            yield f"For {_label(parts, label)} the {ratio} was multiplied by {value}."
        elif factors[label] == [answer.variable] and not in_product and "per_sd" not in prefix:
            part = f" of {zero}" if (zero := _zeros(parts).get(prefix.split("_")[-1])) else ""
            part += f" of {category}" if (category := _of_predictor(parts, prefix)) else ""
            part += (
                f" of {outcome_words_of(parts, prefix)}" if prefix in {o.prefix for o in parts.outcomes} - {""} else ""
            )
            of_one = " where disc is 1" if match[2] == "odds_ratio" and _has_disc(parts, prefix) else ""
            yield f"The {ratio}{part} for {_label(parts, label)} {_within(parts)}{of_one} was {value}."


def _slopes(parts: Parts, table: pd.DataFrame, answer: Answer) -> Iterator[str]:
    for prefix, told, level, ratio, row in differences_of_slopes(parts, table, answer.variable):
        of = f" in {outcome_words_of(parts, prefix)}" if prefix else ""
        of = f"{of} {_within(parts)} was multiplied by" if ratio else f"{of} changed by"
        scale, unit = ("ratio", "") if ratio else ("number", _unit(parts, prefix))
        yield f"{told} for {_label(parts, level)}{of} {_written(table.loc[row], scale, unit)}."


def _of_predictor(parts: Parts, prefix: str) -> str:
    """What one of several linear predictors is of: "car against bus", a cause; "" of others."""
    cause = next((c for c in parts.outcomes[0].causes if variable_name(c) == prefix), None)
    return against_reference(parts.spec, prefix) if cause is None else cause_words(parts, cause)


def _has_disc(parts: Parts, prefix: str) -> bool:
    return any(o.prefix == prefix and "disc" in o.others for o in parts.outcomes)


def _zeros(parts: Parts) -> dict[str, str]:
    """What the further parts of a model are the probability of."""
    shares = {own.name: own.words for outcome in parts.outcomes for own in outcome.family.own if own.scale == "logit"}
    return {**shares, "never": "never being at risk"}


def _within(parts: Parts) -> str:
    """At which group effects a ratio holds."""
    if len(parts.groups) == 1:
        return f"within {article(parts.group_name(tuple(next(iter(parts.groups)).split(':'))))}"
    return equal_words(parts.spec)


def _label(parts: Parts, label: str) -> str:
    """ "period[2]" as "quarter 2 against 1"; a number "one unit more of age"."""
    found = re.fullmatch(r"(.*?)\[(.*)\]", label)
    if found is None:
        if label.startswith("mo(") and ":" not in label:
            return f"the mean step of {parts.about.name(label[3:-1])}"
        return f"one unit more of {parts.about.name(re.sub(r'^(?:I|mi)\((.*)\)$', r'\1', label))}"
    learnt = [part["levels"][found[1]] for part in parts.spec["learnt"].values() if found[1] in part.get("levels", {})]
    reference = f" against {parts.about.level(found[1], learnt[0][0])}" if learnt else ""
    words = parts.about.level(found[1], found[2])
    name = "" if words != found[2] else f"{parts.about.name(found[1])} "
    return f"{name}{words}{reference}"


def _groups(parts: Parts, table: pd.DataFrame) -> Iterator[str]:
    """How groups differ, at the means of the columns of slopes: standard deviations, intraclass correlations, median ratios, correlations."""
    groups_of = {g["sd"]: g for g in parts.spec["groups"].values()}
    for variable, group in list(groups_of.items())[:FACTORS_TOLD]:
        rows = [n for n in table.index if re.fullmatch(rf"{re.escape(sd_at_means(group))}(\[.*\])?", n)]
        lead, _, factor = variable.partition("sd_")
        groups = parts.group_plural(tuple(factor.split(":")))
        part = lead.rstrip("_").split("_")[-1]
        zero = _zeros(parts).get(part) or _of_predictor(parts, lead.rstrip("_"))
        amount = "log odds" if part in _zeros(parts) else _LOGS.get(parts.outcomes[0].link, "log odds")
        of_part = (
            f" in the {amount} of {zero}" if zero else f" of the log {LOGARITHMS[part]}" if part in LOGARITHMS else ""
        )
        of_covariate = [covariate_name(parts, c) for c in parts.covariates if lead == f"{c.prefix}_"]
        of_part = f" of {of_covariate[0]}" if of_covariate else of_part
        effects = [_of_effect(parts, group, n) if len(rows) > 1 else "" for n in rows]
        told = [f"{_written(table.loc[n], 'number')}{effect}" for n, effect in zip(rows, effects, strict=True)]
        if told:
            what = "Student-t scale" if "df" in group else "standard deviation"
            were = f"{what}s were" if len(rows) > 1 else f"{what} was"
            where = ", at the means of the columns of slopes," if group.get("at_means") else ""
            yield f"Between {groups}{where} the {were.replace(' w', f'{of_part or _scale(parts)} w', 1)} {joined(told)}."
        if group.get("df") in table.index:
            yield f"The degrees of freedom of the effects of {groups} were {_written(table.loc[group['df']], 'number')}."
        causes = parts.outcomes[0].causes if not lead else ()
        strata = group["by"]["levels"] if "by" in group else [""]
        for (name, words, scale), cause, stratum in product(_OF_FACTOR, ("", *causes), strata):
            named = prefixed(variable_name(cause), lead + name) if cause else lead + name
            row = f"{named}[{factor}{f', {stratum}' if stratum else ''}]"
            if row in table.index and parts.builder != "stepped_wedge":
                of_cause = f" of {cause_words(parts, cause)}" if cause else ""
                where = f" in {parts.about.level(group['by']['column'], stratum)}" if stratum else ""
                yield f"The {words}{of_cause} of {groups}{where} was {_written(table.loc[row], scale)}."
    yield from residual_results(
        parts, table, lambda name: _written(table.loc[name], "number" if name.startswith("sigma") else "correlation")
    )
    yield from process_results(parts, table, lambda name, scale: _written(table.loc[name], scale))
    elsewhere = {"corr_residual"} if structure_of(parts) else set()
    elsewhere |= {g["sd"].replace("sd_", "corr_", 1) for g in groups_of.values() if "corr" in g.get("at_means", {})}
    for name in (n for n in table.index if n.startswith("corr_") and n.split("[")[0] not in elsewhere):
        variable, inside = name.removesuffix("]").split("[", 1)
        group = next(
            (g for s, g in groups_of.items() if variable.removesuffix("_at_means") == s.replace("sd_", "corr_", 1)), {}
        )
        stratum, inside = stratum_of(group, inside)
        one, other = effects_of_element(group, inside)
        where = f" in {parts.about.level(group['by']['column'], stratum)}" if stratum else ""
        yield (
            f"The correlation of the {_effect(parts, one)} and the {_effect(parts, other)}{where} was "
            f"{_written(table.loc[name], 'correlation')}."
        )
    for own in parts.outcomes[0].family.own if len(parts.outcomes) == 1 else ():
        if own.name in table.index and "{unit}" in own.allows:
            yield f"{own.words[:1].upper()}{own.words[1:]} was {_written(table.loc[own.name], 'number', _unit(parts, None))}."


_OF_FACTOR: tuple[tuple[str, str, Scale], ...] = (
    ("icc", "intraclass correlation", "icc"), ("median_odds_ratio", "median odds ratio", "ratio"),
    ("median_rate_ratio", "median rate ratio", "ratio"), ("median_ratio_of_means", "median ratio of means", "ratio"),
    ("median_hazard_ratio", "median hazard ratio", "ratio"), ("median_time_ratio", "median ratio of times", "ratio"),
)  # fmt: skip


_LOGS = {"log_hazard": "log hazard", "log_time": "log time"}


def _scale(parts: Parts) -> str:
    """The scale of a standard deviation between groups of a single outcome."""
    link = parts.outcomes[0].link
    scale = {"logit": " of the log odds", "log": " of the logarithm"}.get(
        link, f" of the {_LOGS[link]}" if link in _LOGS else ""
    )
    return scale if len(parts.outcomes) == 1 else ""


def _effect(parts: Parts, effect: str) -> str:
    """ "logy:time" as "slope of time of logy", "arm[B: new]" as "slope of B: new"; "intercept"."""
    first, _, rest = effect.partition(":")
    if not any(first in group["predictors"] for group in parts.spec["groups"].values() if first):
        return _effect_alone(parts, effect)
    named = _of_predictor(parts, first) if parts.outcomes[0].causes else outcome_words_of(parts, first)
    of = " of the zero part" if first == "zi" else f" of {named}"
    return _effect_alone(parts, rest) + (f" of the log {LOGARITHMS[first]}" if first in LOGARITHMS else of)


def _effect_alone(parts: Parts, effect: str) -> str:
    return "intercept" if effect == "Intercept" else f"slope of {coefficient_words(parts.about, effect)}"


def _of_effect(parts: Parts, group: Mapping[str, Any], name: str) -> str:
    """ " for the slope of time", where several effects have a standard deviation, " in drug" where strata have their own."""
    stratum, effect = stratum_of(group, name.removesuffix("]").split("[", 1)[1])
    of = f" for the {_effect(parts, effect)}" if len(group["effects"]) > 1 or not stratum else ""
    return of + (f" in {parts.about.level(group['by']['column'], stratum)}" if stratum else "")


def _written(row: Any, scale: Scale, unit: str = "") -> str:
    """ "0.47 (0.36 to 0.59)" with its unit."""
    mcse = row.get("mcse", row.get("mcse_mean", 0.0))
    text = numbers.estimate_text(
        row["median"], row["lower"], row["upper"], scale, 0.0 if pd.isna(mcse) else float(mcse)
    )
    return text.replace(" (", f"{unit} (", 1) if unit else text


def _unit(parts: Parts, outcome: str | None) -> str:
    of = next((o for o in parts.outcomes if o.prefix == (outcome or "")), parts.outcomes[0])
    unit = said_of(parts, of).unit if is_measured(of) else ""
    return f"{numbers.NO_BREAK}{unit}" if unit else ""
