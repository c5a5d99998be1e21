"""What a report says of a process along series, ar1(time | g) or ou(time | g): in the model's words and formula, methods, priors and results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from glmm_zoo.formulas.terms import GroupTerm
from glmm_zoo.report.mathml import call, fraction, num, op, power, sub, sym
from glmm_zoo.report.parts import Parts, article
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.effects import predictor_words
from glmm_zoo.results.numbers import Scale

_NAMES = {"ar1": "first-order autoregressive process", "ou": "Ornstein\N{EN DASH}Uhlenbeck process"}


def processes(parts: Parts) -> dict[str, Mapping[str, Any]]:
    """What the file says of each process, by the variable of its correlation."""
    found = (group.get("process") for group in parts.spec["groups"].values())
    return {process["parameter"]: process for process in found if process}


def process_item(parts: Parts, group: GroupTerm, effect: str) -> str:
    """ "a shift u that changes over month within each patient"."""
    *of, time = group.factor
    return f"a shift {effect} that changes over {parts.about.name(time)} within each {parts.group_name(tuple(of))}"


def process_sentences(parts: Parts) -> Iterator[str]:
    """How values of one series correlate."""
    for process in processes(parts).values():
        time, of = parts.about.name(process["time"]), parts.group_name(tuple(process["of"].split(":")))
        if process["kind"] == "ar1":
            how = f"have the correlation ρ, which falls by this factor with each further step of {process['step']:g}"
            yield f"Two shifts of one {of} a step of {process['step']:g} in {time} apart {how}."
        else:
            yield f"The correlation of two shifts of one {of} falls by the factor 0.37 (1/e) for each ℓ of {time} between them."


def process_line(parts: Parts, group: GroupTerm, effect: str) -> tuple[str, str, str]:
    """corr(u_g,s, u_g,t) = ρ^|t - s|, or exp(-|t - s| / ℓ)."""
    *of, _ = group.factor
    g, s, t = sym(parts.group_name(tuple(of))), sym("s"), sym("t")
    apart = f"<mrow>{op('|')}{t}{op('−')}{s}{op('|')}</mrow>"
    steps = [p["step"] for p in processes(parts).values() if (p["of"], p["time"]) == (":".join(of), group.factor[-1])]
    apart = apart if steps[0] == 1 else fraction(apart, num(steps[0]))
    right = power(sym("ρ"), apart) if group.process == "ar1" else call(sym("exp"), op("−") + fraction(apart, sym("ℓ")))
    return call(sym("corr"), sub(sym(effect), g, s), sub(sym(effect), g, t)), "=", right


def process_methods(parts: Parts, group: GroupTerm) -> str:
    """ "a first-order autoregressive process over month within each patient"."""
    *of, time = group.factor
    return f"{article(_NAMES[group.process])} over {parts.about.name(time)} within each {parts.group_name(tuple(of))}"


def process_results(parts: Parts, table: pd.DataFrame, written: Callable[[str, Scale], str]) -> Iterator[str]:
    """The autocorrelation or the range; `written(name, scale)` is a row of the summary."""
    for name, process in processes(parts).items():
        if name in table.index:
            time, of = parts.about.name(process["time"]), parts.group_name(tuple(process["of"].split(":")))
            ar1 = process["kind"] == "ar1"
            what = f"autocorrelation over one step of {time}" if ar1 else f"range in {time}"
            yield f"The {what} within one {of}{_of_predictor(parts.spec, name, parts.about)} was {written(name, 'correlation' if ar1 else 'number')}."


def process_prior(parts: Parts, variable: str) -> str:
    """What a prior of a process is of: "Correlations of values one step of month apart"; "" of another variable."""
    process = processes(parts).get(variable)
    if process is None:
        return ""
    time = parts.about.name(process["time"])
    if process["kind"] == "ar1":
        return f"Correlations of values one step of {time} apart"
    return f"Distances in {time} after which a correlation has fallen to 0.37"


def process_label(spec: Mapping[str, Any], variable: str, about: About) -> str:
    """ "month within patient"."""
    process = next(g["process"] for g in spec["groups"].values() if g.get("process", {}).get("parameter") == variable)
    of = " within ".join(about.name(c) for c in reversed(process["of"].split(":")))
    return f"{about.name(process['time'])} within {of}{_of_predictor(spec, variable, about)}"


def _of_predictor(spec: Mapping[str, Any], variable: str, about: About) -> str:
    """ " (zero part)" of a process of a further linear predictor."""
    lead = re.sub(r"_?(ar1|range)_.*", "", variable)
    return f" ({predictor_words(spec, lead, about)})" if lead else ""
