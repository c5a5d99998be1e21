"""What a meta-analysis says: the pooled effect, a new trial's, each study's, and what they mean in absolute terms.

    d_new ~ Normal(effect, tau)                        the effect in a new trial like the average one
    p_1 = link^-1(link(p_0) + effect)                  risk (or rate) under treatment at baseline risk p_0
    risk difference = p_1 - p_0,  NNT = 1 / |p_1 - p_0|

An interval of the NNT is made from that of the risk difference: where the latter includes 0 it runs through infinity,
from a number needed to treat for one to benefit (NNTB) to one for one to be harmed (NNTH), Altman (1998). Elsewhere the
few draws on the other side of 0 are near it, and 1 / |p_1 - p_0| puts them beyond the limits, where they belong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.families.links import LINKS
from glmm_zoo.results.findings.finding import Finding, draws_of, interval_table
from glmm_zoo.results.numbers import NO_BREAK, alone, decimals, interval, nominal, points, probability, whole, written
from glmm_zoo.results.storage import metadata

_NNT = "number needed to treat"


@dataclass(frozen=True)
class _Measure:
    """What effects are called: risks and odds ratios with a logit link, rates and rate ratios with a log link."""

    ratio: str  # "odds_ratio" or "rate_ratio"
    ratio_words: str
    amount: str  # "risk" or "rate"
    of_risks: bool


def find(tree: xr.DataTree, prob: float) -> Finding:
    """Pooled and new-trial ratios, risk (or rate) difference, and a table of the studies for a forest plot."""
    posterior, content = tree["posterior"].dataset, metadata(tree)
    spec, facts = content["spec"], content["spec"]["facts"]
    measure = _measure(spec["link"])
    effect, tau = draws_of(posterior, "effect"), draws_of(posterior, "tau")
    z = np.random.default_rng([content["sampling"]["seed"], 1]).standard_normal(effect.shape)
    new_effect = effect + tau * z
    quantities = {measure.ratio: np.exp(effect), f"{measure.ratio}_new": np.exp(new_effect)}
    words = measure.ratio_words
    pooled = interval_table(quantities, prob, "quantity").set_axis([f"pooled {words}", f"{words} in a new trial"])
    tables = {
        "pooled": pooled.rename_axis("quantity"),
        "studies": _studies(posterior, facts, measure.of_risks, prob),
    }
    sentences = [
        f"A new trial's {words} is below 1 with probability {probability(float(np.mean(new_effect < 0)))}, the pooled one "
        f"with probability {probability(float(np.mean(effect < 0)))}: fewer events with {facts['labels'][1]!r} than with {facts['labels'][0]!r}."
    ]
    p0, source = _baseline(facts)
    if 0 < p0 < (1 if measure.of_risks else np.inf):
        difference = _difference(p0, effect, measure.of_risks)
        quantities[f"{measure.amount}_difference"] = difference
        tables["absolute"] = _absolute(p0, difference, measure, prob)
        sentences += _absolute_sentences(p0, source, tables["absolute"], difference, facts, measure, prob)
        if _NNT in tables["absolute"].index:
            quantities["nnt"] = 1 / np.maximum(np.abs(difference), np.spacing(p0))  # what rounds to 0
    else:
        sentences.append(
            f"No control arm has events to take a {measure.amount} from: baseline_risk= gives the absolute effects."
        )
    return Finding("pooled effect", tuple(sentences), tables, quantities, _meanings(measure, facts, p0, source))


def _measure(link: str) -> _Measure:
    ratio = LINKS[link].ratio
    if ratio is None:
        raise InputError(f"a meta-analysis has a logit or log link, not {link!r}")
    of_risks = link == "logit"
    return _Measure(ratio, ratio.replace("_", " "), "risk" if of_risks else "rate", of_risks)


def _meanings(measure: _Measure, facts: Mapping[str, Any], p0: float, source: str) -> dict[str, str]:
    """What the quantities are, for the glossary of the report."""
    ratio, words, amount = measure.ratio, measure.ratio_words, measure.amount
    average = " of a study with average covariates" if facts["covariates"]["means"] else ""
    return {
        ratio: f"pooled {words}{average}; with a covariate in brackets, the ratio of {words}s for one unit more of it",
        f"{ratio}_new": f"{words} in a new trial: its interval is the prediction interval",
        f"{amount}_difference": f"{amount} with treatment less {amount} without, at a {amount} of {_amount(p0, measure)} without ({source})",
        "nnt": "number needed to treat for one event fewer or more, at the same risk without treatment; left out where the "
        "risk difference may be 0. Read its median: draws near 0 make its mean large",
    }


def _baseline(facts: Mapping[str, Any]) -> tuple[float, str]:
    """The risk or rate without treatment, and where it is from."""
    if facts["baseline_risk"] is not None:
        return float(facts["baseline_risk"]), "as given"
    totals = facts["totals"]
    return sum(totals["control_events"]) / sum(totals["control_size"]), "the crude one of all control arms"


def _difference(p0: float, effect: np.ndarray, of_risks: bool) -> np.ndarray:
    """Draws (chain, draw) of p_1 - p_0."""
    if not of_risks:
        return p0 * np.expm1(effect)
    # SciPy's inverse logit rounds the last digit otherwise; reports are to stay the same to the last bit
    return 1 / (1 + np.exp(-(np.log(p0) - np.log1p(-p0) + effect))) - p0


def _absolute(p0: float, difference: np.ndarray, measure: _Measure, prob: float) -> pd.DataFrame:
    """Risk with treatment, risk difference and, where its interval is without 0, the number needed to treat."""
    amount = measure.amount
    table = interval_table(
        {f"{amount} with treatment": p0 + difference, f"{amount} difference": difference}, prob, "quantity"
    )
    _, low, high = table.loc[f"{amount} difference"]
    if measure.of_risks and not low <= 0 <= high:
        table.loc[_NNT] = [1 / abs(float(np.median(difference))), *sorted((1 / abs(low), 1 / abs(high)))]
    return table


def _absolute_sentences(
    p0: float,
    source: str,
    table: pd.DataFrame,
    difference: np.ndarray,
    facts: Mapping[str, Any],
    measure: _Measure,
    prob: float,
) -> Iterator[str]:
    amount, median = measure.amount, float(np.median(difference))
    _, low, high = table.loc[f"{amount} difference"]
    unit = "" if measure.of_risks else f" per unit of {facts['exposure']}"
    scale = "points" if measure.of_risks else "number"
    d = decimals(scale, (median, low, high))
    yield (
        f"At a {amount} of {_amount(p0, measure)}{unit} without treatment ({source}) the {amount} difference is "
        f"{points(median, d) if measure.of_risks else written(median, d)}, {interval(low, high, d, scale)} ({nominal(prob)})."
    )
    if _NNT in table.index:
        fewest, most = sorted((1 / abs(low), 1 / abs(high)))
        yield (
            f"One event {'fewer' if median < 0 else 'more'} for every {_number(median)} treated "
            f"({_number(1 / fewest)} to {_number(1 / most)})."
        )
    elif measure.of_risks:
        sides = [f"{_number(-low)} or more for one to have no event (NNTB)"] if low < 0 else []
        sides += [f"{_number(high)} or more for one to have one (NNTH)"] if high > 0 else []
        yield f"That includes 0: the number needed to treat is {', through infinity, to '.join(sides) or 'infinite'}."


def _number(difference: float) -> str:
    """Persons to treat, rounded as in tables."""
    return whole(1 / abs(difference))


def _amount(p0: float, measure: _Measure) -> str:
    """A risk in per cent, or a rate."""
    return f"{alone(100 * p0)}{NO_BREAK}%" if measure.of_risks else alone(p0)


def _studies(posterior: xr.Dataset, facts: Mapping[str, Any], of_risks: bool, prob: float) -> pd.DataFrame:
    """Each study: its arms, its own ratio with a Wald interval where no arm is empty or full, and the model's."""
    totals = {name: np.array(sums) for name, sums in facts["totals"].items()}  # (studies,) each
    log_ratio, half_width = own_ratios(totals, of_risks, prob)
    effects = np.exp(draws_of(posterior, "study_effect"))  # (chain, draw, studies)
    levels = [str(level) for level in posterior[facts["study"]].values]
    shrunken = interval_table({level: effects[..., k] for k, level in enumerate(levels)}, prob, "study")
    table = pd.DataFrame(
        {
            **{
                arm: [f"{y:g}/{n:g}" for y, n in zip(totals[f"{arm}_events"], totals[f"{arm}_size"], strict=True)]
                for arm in ("treated", "control")
            },
            "own": np.exp(log_ratio),
            "own lower": np.exp(log_ratio - half_width),
            "own upper": np.exp(log_ratio + half_width),
        },
        pd.Index(levels, name="study"),
    )
    return table.assign(**{str(name): values.to_numpy() for name, values in shrunken.items()})


def own_ratios(totals: Mapping[str, np.ndarray], of_risks: bool, prob: float) -> tuple[np.ndarray, np.ndarray]:
    """The log ratio of each study (studies,) from its own table, and the half width of its Wald interval.

    With a, c the events of treated and control: log (a / b) - log (c / d), b and d being those without event, or for rates the
    person-times, and the squared standard error the sum of 1 / count. Both are NaN where one of the counts is 0.
    """
    counts = [totals["treated_events"], totals["control_events"]]
    if of_risks:
        counts += [totals[f"{arm}_size"] - totals[f"{arm}_events"] for arm in ("treated", "control")]
    positive = np.all([count > 0 for count in counts], axis=0)
    counts = [np.where(positive, count, np.nan) for count in counts]
    a, c = counts[:2]
    b, d = counts[2:] if of_risks else (totals["treated_size"], totals["control_size"])
    error = np.sqrt(np.sum([1 / count for count in counts], axis=0))
    return np.log(a / b) - np.log(c / d), NormalDist().inv_cdf((1 + prob) / 2) * error
