"""As what two averages are compared: difference, ratio, odds ratio, number needed to treat, P(higher score).

Ratios are ratios of averages: each is taken within a draw, of what has been integrated over groups and averaged over rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.estimands.fitted import EXPECTED_EVENTS, MEDIAN, RESTRICTED_MEAN, SURVIVAL, TIME_LOST, FittedOutcome
from glmm_zoo.families.links import LINKS
from glmm_zoo.plans.options import OptionType, read_option
from glmm_zoo.results.estimates import NUMBER_NEEDED, Estimates
from glmm_zoo.results.numbers import whole

DIFFERENCE, RATIO, ODDS_RATIO, BETTER = "difference", "ratio", "odds_ratio", "better"
HAZARD_RATIO, TIME_RATIO = "hazard_ratio", "time_ratio"  # at equal group effects


def measures_of(outcome: FittedOutcome, scale: str, asked: Any) -> list[str]:
    """The measures that are asked for, by default all that the scale has.

    Raises
    ------
    InputError
        Measures that are not known, or that the scale does not have.
    """
    family = outcome.family
    allowed = [DIFFERENCE]
    is_share = outcome.is_share(scale)
    positive_mean = scale == "mean" and family.responses in ("count", "measured") and family.links != ("identity",)
    if is_share or positive_mean or scale in ("positive", RESTRICTED_MEAN, TIME_LOST, MEDIAN, EXPECTED_EVENTS):
        allowed.append(RATIO)
    if is_share:
        allowed.append(ODDS_RATIO)
    if family.event_times is not None and scale == "linear":
        allowed.append(LINKS[outcome.link].ratio or "")
    if scale == "mean" and family.choice == "success":
        allowed.append(NUMBER_NEEDED)
    if scale in ("mean", "probability") and family.choice == "levels":
        allowed.append(BETTER)
    if scale == SURVIVAL:
        allowed.append(RESTRICTED_MEAN)
    if asked is None:
        return allowed
    read = read_option("measures", asked, OptionType(text=True, items=OptionType(text=True)))
    names = [read] if isinstance(read, str) else read
    if not names:
        raise InputError(f"measures is empty; name some of {listing(allowed)}, or leave it out")
    for name in names:
        if name not in allowed:
            if name == RESTRICTED_MEAN:
                raise InputError(
                    f"measures: {name!r} is of scale={SURVIVAL!r} at times=, which a model of times to an event has"
                )
            near = did_you_mean(str(name), allowed) or ";"
            of = "" if scale == "mean" else f"scale={scale!r} of "  # the default, which nobody may have typed
            raise InputError(f"measures: {name!r} is none of {of}{outcome.name!r}{near} measures: {listing(allowed)}")
    return list(dict.fromkeys(names))


def compare(measure: str, high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Draws (...) of a measure of two averages (...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if measure == DIFFERENCE:
            return high - low
        if measure == RATIO:
            return high / low
        if measure in (HAZARD_RATIO, TIME_RATIO):
            return np.exp(high - low)
        if measure == ODDS_RATIO:
            return high / (1 - high) / (low / (1 - low))
        return 1 / np.abs(high - low)


def better(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Draws (...) of P(score of one > score of another) + half of P(equal), for probabilities (K, ...) of the categories."""
    below = np.cumsum(low, axis=0) - low
    return np.sum(high * (below + 0.5 * low), axis=0)


def with_numbers_needed(estimates: Estimates, differences: np.ndarray, prob: float) -> Estimates:
    """Numbers needed to treat from the risk differences (S, numbers) that they are of: 1 over the ends of their intervals.

    Where the interval of the difference includes 0 there is no number, only from how many on there may be benefit, fewer events,
    or harm, more events (Altman 1998, BMJ 317:1309).
    """
    table = estimates.table.copy()
    rows = np.flatnonzero(table["measure"] == NUMBER_NEEDED)
    if not len(rows):
        return estimates
    table["note"] = ""
    tail = (1 - prob) / 2
    for row, d in zip(rows, differences.T, strict=True):
        low, median, high = np.quantile(d, [tail, 0.5, 1 - tail])
        numbers: dict[str, Any] = dict.fromkeys(("mean", "median", "sd", "lower", "upper", "mcse"), np.nan)
        if low <= 0 <= high:
            note = f"benefit from {_number(low)}, or harm from {_number(high)}"
        else:
            numbers |= {"mean": 1 / abs(d.mean()), "median": 1 / abs(median)}
            numbers |= dict(zip(("lower", "upper"), sorted((1 / abs(low), 1 / abs(high))), strict=True))
            note = "to benefit: fewer events" if median < 0 else "to harm: more events"
        table.loc[row, list(numbers)] = list(numbers.values())
        table.loc[row, ["p_positive", "note"]] = [float(np.mean(d > 0)), note]
    return replace(estimates, table=table)


def _number(end: float) -> str:
    """How many are needed at one end of the interval of a difference."""
    return "infinity" if end == 0 else whole(1 / abs(end))
