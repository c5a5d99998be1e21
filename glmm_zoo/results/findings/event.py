"""Does the event follow the marker? Hazard ratios of covariates and association, and the hazard over time.

A hazard ratio exp(assoc) is that of one unit more of the term at the same time, for the same subject; per standard deviation it is
exp(assoc s), s the standard deviation of the term over the person-time of the data. Where the model has the coefficients of terms at
the means of covariates, assoc and term are those there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.results.about import about_of
from glmm_zoo.results.figures.estimated import response_words
from glmm_zoo.results.findings.finding import Finding, draws_of, interval_table
from glmm_zoo.results.numbers import alone, decimals, interval, nominal, written
from glmm_zoo.results.parameter_statistics import element_labels
from glmm_zoo.results.storage import metadata

MEANINGS = {
    "surv_hazard_ratio": "hazard ratio of the event for one unit more, for the same subject and marker",
    "assoc_hazard_ratio": "hazard ratio of the event for one unit more of the term, for the same subject",
    "assoc_hazard_ratio_per_sd": "the same for one standard deviation more of the term, over the person-time of the data",
}
TIMES = 8  # rows of the table of hazards


def find(tree: xr.DataTree, prob: float) -> Finding:
    """Hazard ratios, and the hazard at the means of covariates and marker."""
    posterior, event = tree["posterior"].dataset, metadata(tree)["spec"]["event"]
    quantities: dict[str, np.ndarray] = {}
    if "surv_beta" in posterior:
        quantities |= _ratios("surv_hazard_ratio", posterior["surv_beta"])
    quantities |= _ratios("assoc_hazard_ratio", posterior["assoc"])
    place, assoc = "", posterior["assoc"]
    if "assoc_at_means" in posterior:
        place, assoc = ", at the covariates' means", posterior["assoc_at_means"]
    quantities |= _ratios("assoc_hazard_ratio_per_sd", assoc * posterior["assoc_sd"])
    return Finding(
        "the event and the marker",
        tuple(_sentences(tree, quantities, place, prob)),
        {"hazard": _hazards(posterior, event, prob)},
        quantities,
        MEANINGS | {"assoc_hazard_ratio_per_sd": MEANINGS["assoc_hazard_ratio_per_sd"] + place},
    )


def _ratios(name: str, coefficients: xr.DataArray) -> dict[str, np.ndarray]:
    """exp of every element (chain, draw) of the coefficients, by `name[label]`."""
    ordered = coefficients.transpose("chain", "draw", ...).rename(name)
    values = np.exp(ordered.values).reshape(*ordered.shape[:2], -1)
    return {label: values[..., i] for i, label in enumerate(element_labels(ordered))}


def _sentences(
    tree: xr.DataTree, quantities: Mapping[str, np.ndarray], place: str, prob: float
) -> Iterator[str]:  # fmt: skip
    """How many events there were, what each association means for the hazard, and who entered late; `place` says where those per
    standard deviation are."""
    posterior, event = tree["posterior"].dataset, metadata(tree)["spec"]["event"]
    counts = listing(
        f"{n} of {cause!r}" if len(event["causes"]) > 1 else plural(n, "event")
        for cause, n in zip(event["causes"], event["events"], strict=True)
    )
    without = event.get("without_event", 0) if event.get("recurrent") else 0
    counts += f" ({without} without one)" if without else ""
    yield f"{event['subjects']} subjects, {counts} in {alone(event['person_time'])} {about_of(tree).person_time or 'units of person-time'}."
    tail = (1 - prob) / 2
    terms = posterior["association"].values.tolist()
    sd_of_term = dict(zip(terms, np.median(draws_of(posterior, "assoc_sd"), (0, 1)), strict=True))
    for name, draws in quantities.items():
        kind, label = name[:-1].split("[", 1)
        if kind != "assoc_hazard_ratio":
            continue
        per_sd = quantities[f"assoc_hazard_ratio_per_sd[{label}]"]
        term = next(a for a in terms if label == a or label.startswith(f"{a}, "))  # "term, cause" with several causes
        low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail])
        d, d_sd = (decimals("ratio", np.quantile(x, [tail, 0.5, 1 - tail])) for x in (draws, per_sd))
        yield (
            f"One unit more of {_of_marker(tree, label)} goes with {written(middle, d)} times the hazard ({interval(low, high, d, 'ratio')}, {nominal(prob)}) "
            f"at the same time for the same subject; one standard deviation more, {alone(sd_of_term[term])}, with "
            f"{written(float(np.median(per_sd)), d_sd)} times{place}."
        )
    if event.get("frailty"):
        sd = draws_of(posterior, event["frailty"])
        low, middle, high = np.quantile(np.exp(sd), [tail, 0.5, 1 - tail])
        d = decimals("ratio", (low, middle, high))
        yield (
            f"Subjects differ beyond that: one standard deviation more of the frailty goes with {written(middle, d)} times the hazard "
            f"({interval(low, high, d, 'ratio')}, {nominal(prob)})."
        )
    if event["entered_late"]:
        yield (
            f"{plural(event['entered_late'], 'subject')} entered after time {event.get('origin', 0.0):g}: "
            + (
                "they count from then on."
                if event.get("recurrent")
                else "the likelihood allows for their having survived until then."
            )
        )


def _of_marker(tree: xr.DataTree, label: str) -> str:
    """ "CD4", "slope of CD4", where there is one marker; else the association's own label, which names its outcome."""
    formula = metadata(tree)["spec"].get("formula")
    if not isinstance(formula, str):
        return label
    term, comma, cause = label.partition(", ")
    marker = response_words(about_of(tree).outcome, formula.partition("~")[0].strip())
    return f"{marker if term == 'value' else f'{term} of {marker}'}{comma}{cause}"


def _hazards(posterior: xr.Dataset, event: Mapping[str, Any], prob: float) -> pd.DataFrame:
    """The hazard per unit of time of an average subject whose marker stays at its mean, over the follow-up."""
    curve = posterior["surv_log_hazard"]
    times = curve["surv_time"].values.astype(float)
    shown = np.unique(np.linspace(0, len(times) - 1, TIMES).round().astype(int))
    rows = {}
    for cause in event["causes"]:
        of_cause = curve.sel(cause=cause) if "cause" in curve.dims else curve
        for i in shown:
            label = f"{times[i]:.4g}" + (f", {cause}" if "cause" in curve.dims else "")
            rows[label] = np.exp(of_cause.isel(surv_time=i).transpose("chain", "draw").values)
    return interval_table(rows, prob, "hazard at time")
