"""The priors of a fit by the posterior's names: what each allows in natural units, why it is what it is, and whose it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import exp

import numpy as np
import xarray as xr

from glmm_zoo.families.links import LINKS
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.priors import Prior, parse
from glmm_zoo.report.model_words import is_measured, outcome_words, said_of
from glmm_zoo.report.parts import Parts, article, joined, read_parts
from glmm_zoo.report.prior_of import PriorOf, origin_of, read_prior_of
from glmm_zoo.report.prior_quantiles import correlation_quantile, prior_quantile
from glmm_zoo.report.prior_reasons import CENTRES, REASONS
from glmm_zoo.report.serial_words import process_prior
from glmm_zoo.results import numbers
from glmm_zoo.results.figures.effects import coefficient_words
from glmm_zoo.results.figures.estimated import exposure_column
from glmm_zoo.results.figures.value_words import column_and_level, multiplied
from glmm_zoo.results.storage import against_reference, stratum_of
from glmm_zoo.trials.arms import META_ANALYSES

INNER = numbers.nominal(0.95)
NORMAL_975 = 1.959963984540054
EXTREME = 1000.0  # ratios and rates beyond it, or below its inverse, are not told apart


@dataclass(frozen=True)
class PriorText:
    """The prior of one parameter, or of a vector whose elements have the same one.

    `allows` is a sentence on what it allows in natural units, `why` one on where a default comes from ("" of others), `origin` is
    "default", "yours", or "" where the file does not tell.
    """

    parameter: str
    prior: str
    allows: str
    why: str
    origin: str


def prior_text(tree: xr.DataTree) -> list[PriorText]:
    """The priors of a fit in the order of its file."""
    parts = read_parts(tree)
    rows = []
    for variable, text in parts.spec["priors"].items():
        elements = {"": text} if isinstance(text, str) else text
        for element, prior in elements.items():
            of = read_prior_of(parts, variable, element)
            origin = origin_of(parts.spec, variable, element, prior)
            why = "" if origin == "yours" else _why(parts, of, parse(prior))
            allows = f"{_allows(parts, of, parse(prior))}."
            rows.append(
                PriorText(element or variable, prior, allows, f"{why[:1].upper()}{why[1:]}." if why else "", origin)
            )
    return rows


# ------------------------------------------------------------------------------------------------------- what it allows


def _allows(parts: Parts, of: PriorOf, prior: Prior) -> str:
    """What the prior allows, in the units people think in."""
    if of.kind in ("corr", "exposure_shares", "simplex"):
        return _of_several(parts, of, prior)
    low, middle, high = (prior_quantile(prior, q) for q in (0.025, 0.5, 0.975))
    if of.own is not None and of.own.scale == "logit":
        return f"Probabilities of {of.own.words} from {_percent(low)} to {_percent(high)} ({INNER})"
    if of.own is not None:
        values = {"low": low, "middle": middle, "high": high, "most": prior_quantile(prior, 0.95)}
        written = {name: _value(of.own.shown(value)) for name, value in values.items()}
        return of.own.allows.format(**written, unit=_unit(parts, of), inner=INNER)
    if of.kind in _ALLOWED:
        return _ALLOWED[of.kind](parts, of, prior, low, middle, high)
    return f"Values from {_value(low)} to {_value(high)} ({INNER})"


def _intercept(parts: Parts, of: PriorOf, _: Prior, low: float, middle: float, high: float) -> str:
    """A baseline: a risk, a rate, or a mean."""
    inverse = LINKS[of.link].inverse
    ordered, measured = (of.outcome.family.responses == kind for kind in ("ordered", "measured"))
    if (ordered or of.variable.endswith("cutpoints")) and not of.part:
        low, middle, high = (float(inverse(np.float64(v))) for v in (low, middle, high))
        return f"The share at or below a threshold: median {_percent(middle)}, {INNER} of it from {_percent(low)} to {_percent(high)}{_held_at(parts, of)}"
    if of.link in ("logit", "probit", "cloglog"):
        low, middle, high = (float(inverse(np.float64(v))) for v in (low, middle, high))
        own = of.outcome.family.own_parameter(of.part)
        share = own.words if own is not None else "never being at risk"
        mean = f"{of.outcome.family.centre} of {outcome_words(parts, of.outcome)}"
        what = f"probability of {share}" if of.part else mean if measured else "risk"
        category = against_reference(parts.spec, of.variable.partition("_Intercept")[0])
        what = f"probability of {category.replace(' against ', ' rather than ', 1)}" if category else what
        return f"Median {what} {_percent(middle)}, {INNER} of it from {_percent(low)} to {_percent(high)}{_held_at(parts, of)}"
    if of.link in ("log_hazard", "log_time"):
        return _level_of_times(parts, of, low, middle, high)
    if of.link == "log":
        per = exposure_column(parts.tree)
        own = of.outcome.family.own_parameter(of.part)
        family, response = of.outcome.family, outcome_words(parts, of.outcome)
        words = (
            "mean count" if family.responses == "count" else f"mean {response}" if family.centre == "mean" else response
        )
        what = own.symbol if own is not None else f"rate per unit of {parts.about.name(per)}" if per else words
        return f"Median {what} {_ratio(exp(middle))}, {INNER} of it from {_ratio(exp(low))} to {_ratio(exp(high))}{_held_at(parts, of)}"
    unit = _unit(parts, of)
    return f"Mean {outcome_words(parts, of.outcome)} from {_value(low)} to {_value(high)}{unit} ({INNER}){_held_at(parts, of)}"


def _level_of_times(parts: Parts, of: PriorOf, low: float, middle: float, high: float) -> str:
    """The level of a hazard, or of a time."""
    time = parts.about.time_unit or "units of time"
    if of.link == "log_time":
        return f"Median time {_ratio(exp(middle))} {time}, {INNER} of it from {_ratio(exp(low))} to {_ratio(exp(high))}{_held_at(parts, of)}"
    return _hazard_level(parts, of, Prior("Normal", {}), low, middle, high) + _held_at(parts, of)


def _coefficient(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    """A ratio, or a difference of an identity link."""
    ratio = _ratio_of(of)
    if ratio:
        one, _, rest = ratio.replace("_", " ").partition(" of ")
        words = f"{one.capitalize()}s{rest and f' of {rest}'}"
        words = f"Ratios of {words[:1].lower()}{words[1:]}" if len(_multiplied(of)) > 1 else words
        return f"{words} from {_ratio(exp(low))} to {_ratio(exp(high))} ({INNER}){_per(parts, of)}"
    what = "Differences" if of.link == "identity" else f"Differences of the {of.link}"
    return f"{what} from {_value(low)} to {_value(high)}{_unit(parts, of)} ({INNER}){_per(parts, of)}"


def _ratio_of(of: PriorOf) -> str | None:
    """What exp of a coefficient of the predictor is: of the log of a positive parameter a ratio, but none of rates."""
    if not of.part:
        return of.outcome.family.ratio(of.link)
    return "ratio" if of.link == "log" else LINKS[of.link].ratio


def _per(parts: Parts, of: PriorOf) -> str:
    """ " for one unit of age"; nothing of a level, or where a vector is meant."""
    numbers_among = [n for n in _multiplied(of) if column_and_level(n)[1] is None]
    if any("mo(" in n for n in numbers_among):
        name = ":".join(numbers_among)
        return f" for one mean step of {coefficient_words(parts.about, name).replace(' (mean step)', '')}"
    return f" for one unit of {joined([_column(parts, n) for n in numbers_among])}" if numbers_among else ""


def _multiplied(of: PriorOf) -> list[str]:
    """What a coefficient multiplies: "week" and "arm[b]" of a product; nothing where a vector is meant."""
    inside = re.fullmatch(r".*?\[(.*)\]", of.element)
    if inside is None:
        return []
    return multiplied(inside[1] if of.kind == "coefficient" else inside[1].split(", ")[-1])


def _smooth_line(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    return f"The straight part of the curve, on the scale of the {_scale(of)}: slopes from {_value(low)} to {_value(high)} ({INNER})"


def _smooth_sd(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    most = prior_quantile(prior, 0.95)
    return f"How much the curve bends: from a straight line (0) to a wiggly one; median {_value(middle)}, {INNER} below {_value(most)}"


def _scale(of: PriorOf) -> str:
    return {"logit": "log odds", "log": "logarithm", "identity": "outcome"}.get(of.link, of.link.replace("_", " "))


def _sd(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    """How much levels differ: by a factor, or in the unit of the outcome."""
    most = prior_quantile(prior, 0.95)
    group = _group(parts, of)
    start = f"Median {_value(middle)}, {INNER} below {_value(most)}"
    slope = _slope(parts, of)
    ratio = _ratio_of(of)
    if of.link == "identity":
        effect = f" in the effect of {slope}" if slope else ""
        return f"{start}{_unit(parts, of)}: {group} from alike to {_value(NORMAL_975 * most)}{_unit(parts, of)} from the average{effect}"
    if ratio is None:
        return start
    words = ratio.replace("_", " ")
    of_what = f"{article(words)} of {slope}" if slope else _LEVELS[words]
    return f"{start}: {group} from alike to {of_what} {_ratio(exp(NORMAL_975 * most))} times the average"


def _tau(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    most = prior_quantile(prior, 0.95)
    ratio = (LINKS[of.link].ratio or "ratio").replace("_", " ")
    studies = parts.about.plural(parts.about.name(parts.spec["facts"]["study"]))
    factor = _ratio(exp(NORMAL_975 * most))
    return f"Median {_value(middle)}, {INNER} below {_value(most)}: {studies} from alike to {article(ratio)} {factor} times the average"


def _slopes_sd(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    most = prior_quantile(prior, 0.95)
    return f"Median {_value(middle)}, {INNER} below {_value(most)}: slopes of treatments from alike to {_value(NORMAL_975 * most)} from their mean"


def _df(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    group = parts.group_plural(tuple(of.variable.split("df_", 1)[1].split(":")))
    return f"From {_value(low)}, tails that let single {group} be far off, to {_value(high)}, nearly normal ({INNER})"


def _group(parts: Parts, of: PriorOf) -> str:
    factor = of.variable.split("sd_", 1)[1]
    of_table = {g["sd"].split("sd_", 1)[1]: g["structure"] for g in parts.spec["groups"].values() if "structure" in g}
    name = next((g for g in parts.groups if g.replace(" ", "_") == factor.replace(" ", "_")), factor)
    return parts.group_plural(tuple(of_table[factor]["columns"] if factor in of_table else name.split(":")))


def _slope(parts: Parts, of: PriorOf) -> str:
    """The column of a slope whose sd it is, "" of an intercept."""
    inside = re.fullmatch(r".*?\[(.*)\]", of.element)
    effect = inside[1].split(", ", 1)[-1] if inside and ", " in inside[1] else "Intercept"
    group = next((g for g in parts.spec["groups"].values() if g["sd"] == of.variable), {})
    effect = stratum_of(group, effect)[1].split(":", 1)[-1]
    return "" if effect.endswith("Intercept") else _column(parts, effect)


def _share(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    return f"Probabilities of never being at risk from {_percent(low)} to {_percent(high)} ({INNER})"


def _autocorrelation(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    visits = parts.spec["options"].get("time")
    of_two = f"two values of {parts.about.name(visits)}" if visits else "neighbouring periods"
    what = process_prior(parts, of.variable) or {
        "rho_at_gap": f"Correlations over the median gap of {visits and parts.about.name(visits)}", "partial_rho": "Partial autocorrelations",
    }.get(of.variable, f"Correlations of {of_two}")  # fmt: skip
    return f"{what} from {_value(low)} to {_value(high)} ({INNER})"


def _spatial_share(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    return f"A spatial share of the variance from {_percent(low)} to {_percent(high)} ({INNER})"


def _nominal(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    return f"Distances between thresholds that change by a factor from {_ratio(exp(low))} to {_ratio(exp(high))} ({INNER}) for one unit"


def _hazard_coefficient(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    terms = [of.element[len("assoc[") : -1]] if of.element else parts.spec["event"]["association"]
    marker = f" for one unit more of the marker ({joined(terms)})" if of.variable == "assoc" else ""
    return f"Hazard ratios from {_ratio(exp(low))} to {_ratio(exp(high))} ({INNER}){marker}"


def _hazard_level(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    time = f" per {parts.about.time_unit.removesuffix('s')}" if parts.about.time_unit else " per unit of time"
    return f"Median {_ratio(exp(middle))} events{time}, {INNER} from {_ratio(exp(low))} to {_ratio(exp(high))}"


def _frailty(parts: Parts, of: PriorOf, prior: Prior, low: float, middle: float, high: float) -> str:
    most = prior_quantile(prior, 0.95)
    subjects = parts.about.plural(parts.about.name(parts.spec["event"]["id"]))
    return f"Median {_value(middle)}, {INNER} below {_value(most)}: {subjects} from alike to a hazard {_ratio(exp(NORMAL_975 * most))} times the average"


_ALLOWED = {
    "intercept": _intercept, "coefficient": _coefficient, "smooth line": _smooth_line, "smooth sd": _smooth_sd, "sd": _sd, "df": _df,
    "share": _share, **dict.fromkeys(("autocorrelation", "range"), _autocorrelation), "spatial share": _spatial_share, "tau": _tau,
    "beta_sd": _slopes_sd,
    "study_Intercept": _intercept, "effect": _coefficient,
    "nominal_beta": _nominal, "hazard coefficient": _hazard_coefficient, "hazard level": _hazard_level, "frailty_sd": _frailty,
}  # fmt: skip


def _of_several(parts: Parts, of: PriorOf, prior: Prior) -> str:
    """A matrix of correlations, or shares that sum to one."""
    if of.kind == "exposure_shares":
        return "Shares of the long-term effect that each period of exposure adds; together 1"
    if of.kind == "simplex":
        return f"Shares of the whole change along {_monotonic(parts, of)} that each step has; together 1"
    sizes = [len(g["effects"]) for name, g in parts.spec["groups"].items() if of.variable.endswith(f"corr_{name}")]
    size = sizes[0] if sizes else len(parts.spec["facts"].get("visits", ("", "")))
    high = correlation_quantile(prior, size, 0.975)
    return f"Each correlation from {_value(-high)} to {_value(high)} ({INNER})"


def _monotonic(parts: Parts, of: PriorOf) -> str:
    """The words for the column whose steps have these shares."""
    part = of.outcome.others[of.part] if of.part else of.outcome.main
    columns = [e.columns[0] for term in part.terms for e in term if e.kind == "monotonic"]
    return next(parts.about.name(c) for c in columns if of.variable.endswith(f"simplex_{variable_name(c)}"))


def _value(value: float) -> str:
    return numbers.rough(value)


def _ratio(value: float) -> str:
    """A ratio or a rate; what is beyond imagination is only said to be."""
    if 1 / EXTREME <= value <= EXTREME:
        return numbers.rough(value)
    return f"above {numbers.whole(EXTREME)}" if value > 1 else f"below {1 / EXTREME:g}"


def _held_at(parts: Parts, of: PriorOf) -> str:
    """Where the prior of a baseline holds."""
    if parts.builder in META_ANALYSES:  # whose covariates are no part of the baselines
        return ""
    part = of.outcome.others[of.part] if of.part else of.outcome.main
    centred = part.terms and parts.spec["options"].get("center", True)
    before = " before truncation" if of.outcome.family.truncated and not of.part else ""
    return f"{before}, with covariates at their means" if centred else before


def _column(parts: Parts, name: str) -> str:
    """The words for a column of a coefficient; I(day/365) is day/365."""
    return parts.about.name(re.sub(r"^(?:I|mi)\((.*)\)$", r"\1", name))


def _percent(share: float) -> str:
    """ "22 %", "7.5 %", "below 0.1 %"."""
    return numbers.percent(share, 0 if 0.1 <= share <= 0.9 else 1).replace("< ", "below ").replace("> ", "above ")


def _unit(parts: Parts, of: PriorOf) -> str:
    unit = said_of(parts, of.outcome).unit if is_measured(of.outcome) else ""
    return f"{numbers.NO_BREAK}{unit}" if unit else ""


# ------------------------------------------------------------------------------------------------------------------ why


def _why(parts: Parts, of: PriorOf, prior: Prior) -> str:
    """Where the default of a parameter comes from; "" where the prior has not its shape."""
    shape, reason = REASONS.get(of.kind, ("", ""))
    if of.own is not None and of.own.why:
        return of.own.why
    if of.kind == "intercept" and of.part == "sigma":
        reason = f"centred at the log of the standard deviation of the response; {reason}"
    if of.kind == "intercept" and not of.part:
        centre = CENTRES.get((of.outcome.family.responses, of.link))
        reason = f"{centre}; {reason}" if centre else reason
    if of.kind == "tau" and parts.spec["options"].get("heterogeneity"):
        return f"an empirical prior, {parts.spec['options']['heterogeneity']} (Turner et al. 2012)"
    return reason if prior.distribution in shape.split("|") else ""


_LEVELS = {
    "odds ratio": "odds", "rate ratio": "a rate", "hazard ratio": "a hazard", "time ratio": "a time", "ratio of means": "a mean",
    "ratio": "a value",
}  # fmt: skip
