"""Estimates as pictures have them: quantiles of their draws, and their numbers by the one rule of digits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.families.family import Family
from glmm_zoo.families.registry import family_described
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates
from glmm_zoo.results.figures.over_time import at_time
from glmm_zoo.results.figures.picture import BANDS, capital
from glmm_zoo.results.numbers import NO_BREAK, Scale, column_decimals, estimate_text, interval, on_scale
from glmm_zoo.results.storage import metadata, outcome_specs, stored_table

_SHARES = ("probability", "zero", "survival", "incidence")  # scales of predictions that are shares
_OF_SHARES = ("odds_ratio", "nnt")  # measures that only shares have


@dataclass(frozen=True)
class Estimated:
    """Estimates of one measure.

    Attributes
    ----------
    of
        What each of the n is of.
    quantiles
        (5, n), those at `BANDS`.
    scale, mcse
        How they are written, and the Monte Carlo error (n,).
    """

    of: pd.DataFrame
    quantiles: np.ndarray
    scale: Scale
    mcse: np.ndarray

    @property
    def texts(self) -> list[str]:
        """ "0.38 (0.21 to 0.67)", all with the same decimals where they can, without a unit."""
        return [
            f"{on_scale(q[2], self.scale, d)} ({interval(q[0], q[4], d, self.scale)})"
            for q, d in zip(self.quantiles.T, self._decimals, strict=True)
        ]

    @property
    def medians(self) -> list[str]:
        """ "0.38", of shares "38.0 %"."""
        unit = f"{NO_BREAK}%" if self.scale == "risk" else ""
        return [f"{on_scale(m, self.scale, d)}{unit}" for m, d in zip(self.quantiles[2], self._decimals, strict=True)]

    @property
    def told(self) -> list[str]:
        """ "22.0 % (15.4 to 31.1 %)": the texts with the sign of per cent, for a sentence."""
        if self.scale != "risk":
            return self.texts
        return [f"{m} {t.split(' ', 1)[1][:-1]}{NO_BREAK}%)" for m, t in zip(self.medians, self.texts, strict=True)]

    @property
    def _decimals(self) -> list[int]:
        return column_decimals(self.scale, [q[[0, 2, 4]] for q in self.quantiles.T], list(self.mcse))

    def take(self, rows: np.ndarray | Sequence[int]) -> Estimated:
        """Some of them."""
        return Estimated(self.of.iloc[rows], self.quantiles[:, rows], self.scale, self.mcse[rows])


def estimated(estimates: Estimates, rows: np.ndarray | None = None) -> Estimated:
    """Those of the `rows` (n,) of the table, by default all; they have one scale."""
    rows = np.arange(len(estimates.table)) if rows is None else np.asarray(rows)
    scale = estimates.scales[rows[0] if len(rows) else 0]
    draws = estimates.draws["value"].values.reshape(-1, len(estimates.table))[:, rows]
    mcse = np.nan_to_num(estimates.table["mcse"].to_numpy(float)[rows])
    return Estimated(estimates.table[estimates.of].iloc[rows], np.quantile(draws, BANDS, axis=0), scale, mcse)


def of_shares(comparisons: Estimates, outcome: str | None = None) -> bool:
    """Whether what is compared are shares, of one of several outcomes or in all rows."""
    table = comparisons.table
    rows = np.full(len(table), True) if outcome is None else (table["outcome"] == outcome).to_numpy()
    scales = np.array(comparisons.scales, object)[rows]
    return bool((scales == "points").any() or table["measure"][rows].isin(_OF_SHARES).any())


def quantiles_text(quantiles: np.ndarray, scale: Scale) -> str:
    """ "0.47 (0.36 to 0.59)" of quantiles at `BANDS` (5,)."""
    return estimate_text(float(quantiles[2]), float(quantiles[0]), float(quantiles[4]), scale)


@dataclass(frozen=True)
class Amount:
    """What means are of: the words, "risk of a new case", their scale, the scale of their differences, their unit, and whether they
    cannot be below zero."""

    words: str
    scale: Scale
    of_differences: Scale
    unit: str
    from_zero: bool = True

    @property
    def title(self) -> str:
        """ "Mean reaction time, ms"."""
        return f"{capital(self.words)}{f', {self.unit}' if self.unit else ''}"


_FARTHEST = (
    4.0  # times the range of the middle 96 % of raw values, or of the intervals, that an axis goes beyond the intervals
)


def value_limits(quantiles: np.ndarray, raw: np.ndarray, amount: Amount) -> tuple[float, float]:
    """The limits of an axis of values: the intervals and, but for what is far out, the raw values; what cannot be below zero begins
    there."""
    low, high = float(quantiles.min()), float(quantiles.max())
    if len(raw):
        reach = _FARTHEST * max(high - low, float(np.ptp(np.quantile(raw, [0.02, 0.98]))))
        low, high = max(min(low, raw.min()), low - reach), min(max(high, raw.max()), high + reach)
    low = 0.0 if amount.from_zero else low
    high = min(high, 1.0) if amount.scale == "risk" else high
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def beyond_words(raw: np.ndarray, limits: tuple[float, float]) -> str:
    """How many raw values an axis leaves out."""
    count = int(((raw < limits[0]) | (raw > limits[1])).sum())
    return f" ({count} beyond the axis)" if count else ""


def amount_of(tree: xr.DataTree, about: About, measure: str = "mean", outcome: str | None = None) -> Amount:
    """What predictions of a measure are of."""
    said = about.outcome_of(outcome or "")
    family = fitted_family(tree, outcome)
    words, kind = response_words(said.outcome, observed_name(tree, outcome)), family.responses
    if measure in _SHARES or (kind == "time" and measure == "mean"):
        measure = measure if measure in _SHARES else "incidence" if metadata(tree)["spec"]["levels"] else "survival"
        kinds = {
            "zero": f"probability of no {words}{for_one_unit(tree, about, outcome)}", "survival": f"probability of no {about.event or 'event'} so far",
            "incidence": "cumulative incidence",
        }  # fmt: skip
        return Amount(kinds.get(measure, f"probability of {words}"), "risk", "points", "")
    if measure == "events":
        return Amount(f"expected number of {about.plural(about.event or 'event')}", "number", "number", "")
    if measure == "positive":
        one = for_one_unit(tree, about, outcome)
        where = ", where any" if one else " where there are any"  # shorter, for it is a title of a narrow panel
        return Amount(f"mean number of {words}{one}{where}", "number", "number", "")
    if kind == "binary":
        return Amount(f"risk of {words}", "risk", "points", "")
    if kind == "unordered":
        return Amount(f"probability of each category of {words}", "risk", "points", "")
    if kind == "ordered":
        return Amount(f"expected score of {words}", "number", "number", "", from_zero=False)
    if kind == "count":
        per = exposure_column(tree)
        rate = f"rate of {words} per {said.unit or units_of(tree, per)}"
        return Amount(rate if per else f"mean number of {words}", "number", "number", "")
    return Amount(f"mean {words}", "number", "number", said.unit, from_zero="log" in family.links)


def when(tree: xr.DataTree, about: About, estimates: Estimates, measure: str = "mean") -> str:
    """ " at 5 years" of what is told of the time to an event, " up to 5 years" of a mean time; else ""."""
    times = set(estimates.table["time"]) if fitted_family(tree).responses == "time" and "time" in estimates.of else ()
    return f" {'up to' if measure == 'rmst' else 'at'} {at_time(about, *times)}" if len(times) == 1 else ""


def for_one_unit(tree: xr.DataTree, about: About, outcome: str | None) -> str:
    """ " in one unit of days": for how much exposure zeros of counts with an exposure are, whatever rates are per; else ""."""
    exposure = exposure_column(tree)
    own = about.outcome_of(outcome or "").unit if units_of_rates(tree) == 1 else ""
    return f" in one {own or f'unit of {about.name(exposure)}'}" if exposure else ""


def response_words(said: str, response: str) -> str:
    """What an outcome is called: "log(bilirubin)" where the response is log(bili) and it was said to be bilirubin."""
    function = re.fullmatch(r"(\w+)\(.+\)", response)
    return f"{function[1]}({said})" if said and function and function[1] not in said else said or response


def prefix_of(specs: Mapping[str, Any], outcome: str | None) -> str:
    """Of the variables of one of several outcomes, or of the only one."""
    return outcome if outcome is not None and outcome in specs else next(iter(specs))


def fitted_family(tree: xr.DataTree, outcome: str | None = None) -> Family:
    """The family of one of several outcomes or the only one."""
    specs = outcome_specs(metadata(tree)["spec"])
    return family_described(specs[prefix_of(specs, outcome)])


def observed_name(tree: xr.DataTree, outcome: str | None = None) -> str:
    """The name of the response, with its success, of one of several outcomes or the only one."""
    specs = outcome_specs(metadata(tree)["spec"])
    return with_success(response_name(tree, outcome), specs[prefix_of(specs, outcome)]["response"])


def response_name(tree: xr.DataTree, outcome: str | None = None) -> str:
    """The column of the response where it is one, else its name among variables, such as "logbili"."""
    spec = metadata(tree)["spec"]
    specs = outcome_specs(spec)
    prefix = prefix_of(specs, outcome)
    name = specs[prefix].get("outcome") or prefix or str(spec["formula"]).partition("~")[0].strip()
    return {variable_name(column): column for column in map(str, stored_table(tree).columns)}.get(name, name)


def with_success(name: str, response: str) -> str:
    """ "status = good" where the response says which label is the success."""
    success = re.search(r"success is ('.*?'), failure", response)
    return f"{name} = {success[1][1:-1]}" if success and success[1] != "'1'" else name


def units_of(tree: xr.DataTree, exposure: str) -> str:
    """What rates are per by themselves: "unit of days", "1000 units of days"."""
    per = units_of_rates(tree)
    return f"unit of {exposure}" if per == 1 else f"{per:g} units of {exposure}"


def units_of_rates(tree: xr.DataTree) -> float:
    """How many units of exposure rates are for, as the builder was told by `per`."""
    return float(metadata(tree)["spec"]["facts"].get("per", 1.0))


def exposure_column(tree: xr.DataTree) -> str:
    """The column that rates are per; "" where there is none, or none that is a column alone."""
    spec = metadata(tree)["spec"]
    if spec["options"].get("exposure"):
        return str(spec["options"]["exposure"])
    logs = re.findall(r"offset\(log\((\w+)\)\)", spec["formula"]) if isinstance(spec["formula"], str) else []
    return logs[0] if len(logs) == 1 else ""
