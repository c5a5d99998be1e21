"""Observed against expected zeros: the number of zeros in the data and in data predicted by the model."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from glmm_zoo.aspects import Finding, intervals, percent, predicted

ALARM = 0.01


def find(tree: xr.DataTree, prob: float) -> Finding:
    """How many zeros there are, how many the model predicts, and a sentence when they do not agree."""
    y, drawn = predicted(tree)
    observed, expected = int((y == 0).sum()), (drawn == 0).sum(axis=1)
    median, low, high = intervals({"zeros": expected}, prob, "count").loc["zeros"]
    more, fewer = float((expected >= observed).mean()), float((expected <= observed).mean())
    words = [
        f"{observed} of {len(y)} counts are zero; the model predicts {median:.0f}, {low:.0f} to {high:.0f} ({percent(prob)})."
    ]
    if more < ALARM:
        words.append("There are more zeros than the model predicts: let their share depend on covariates, zi='~ x'.")
    elif fewer < ALARM:
        words.append("There are fewer zeros than the model predicts: a model without excess zeros may do.")
    table = pd.DataFrame(
        {"observed": [observed], "expected": [median], "lower": [low], "upper": [high], "p": [more]},
        pd.Index(["zeros"], name="count"),
    )
    return Finding("zeros", tuple(words), {"check": table})
