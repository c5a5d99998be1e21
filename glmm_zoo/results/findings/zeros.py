"""Observed against expected zeros: the number of zeros in the data and in data predicted by the model.

Many zeros are no sign of a mechanism of their own: a low mean or overdispersion makes them too (Warton 2005).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import xarray as xr

from glmm_zoo.results.findings.dispersion import UNDERDISPERSED, model_in_words
from glmm_zoo.results.findings.finding import Finding, interval_table
from glmm_zoo.results.numbers import interval, nominal, whole
from glmm_zoo.results.storage import metadata

ALARM = 0.01  # share of predicted data on the far side of the observed; arbitrary


def find(tree: xr.DataTree, prob: float) -> Finding:
    """How many zeros there are, how many the model predicts, and a sentence when they do not agree."""
    spec = metadata(tree)["spec"]
    y = tree["observed_data"].dataset[spec["outcome"]].values.astype(float)  # (n,)
    predicted = tree["posterior_predictive"].dataset[spec["outcome"]].transpose("chain", "draw", "row")
    drawn = predicted.values.reshape(-1, len(y)).astype(float)  # (draws, n)
    observed, expected = int((y == 0).sum()), (drawn == 0).sum(axis=1)
    median, low, high = interval_table({"zeros": expected}, prob, "count").loc["zeros"]
    more, fewer = float((expected >= observed).mean()), float((expected <= observed).mean())
    words = f"{observed} of {len(y)} counts are zero; data predicted by the model have {interval(low, high, 0)} zeros ({nominal(prob)}), median {whole(median)}."
    table = pd.DataFrame(
        {"observed": [observed], "expected": [median], "lower": [low], "upper": [high], "p": [more]},
        pd.Index(["zeros"], name="count"),
    )
    return Finding(
        "zeros", (words, *_advice(model_in_words(spec), more, fewer, spec.get("options", {}))), {"check": table}
    )


def _advice(builder: str, more: float, fewer: float, options: Mapping[str, Any]) -> tuple[str, ...]:
    """What to try when few predicted data sets have as many zeros as observed, or more (`more`), or as few (`fewer`)."""
    if min(more, fewer) >= ALARM:
        return ()
    disagreement = f"There are {'more' if more < ALARM else 'fewer'} zeros than the model predicts."
    count = builder.removeprefix("zero_inflated_").removeprefix("hurdle_")
    if builder == UNDERDISPERSED and (fewer < ALARM or options.get("zi") is None):
        instead = "Try dispersion='~ x'." if fewer < ALARM else "Try zi='~ 1', a share of structural zeros."
    elif (
        builder == UNDERDISPERSED
        or builder.startswith("hurdle")
        or (builder.startswith("zero_inflated") and more < ALARM)
    ):
        instead = "Let their share depend on covariates or groups: zi='~ x + (1 | g)'."
    elif fewer < ALARM:
        instead = f"Try hurdle_{count}, in which the share of zeros may be lower than that of the counts' distribution."
    elif count == "poisson":
        instead = "Overdispersion alone makes many zeros: try negative_binomial before zero_inflated_poisson or hurdle_poisson."
    else:
        instead = f"Try zero_inflated_{count} or hurdle_{count}."
    return (f"{disagreement} {instead}",)
