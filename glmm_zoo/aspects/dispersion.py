"""Do counts vary as much as the model says? A posterior check by Pearson's statistic.

    X2(y) = (1 / n) sum_i (y_i - m_i)^2 / v_i

m_i and v_i are the mean and variance of row i over the predictive draws, so X2 of predicted data is near 1. The observed
X2 is compared with that of the predicted data (Gelman, Meng & Stern 1996). The model has seen the data, so that a sound
one gives shares nearer to one half than uniform ones: an alarm is rarer than its share says.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.aspects import Finding, intervals, percent, predicted
from glmm_zoo.storage import about

ALARM = 0.01  # share of predicted data on the far side of the observed; arbitrary


def find(tree: xr.DataTree, prob: float) -> Finding:
    """X2 as observed and as predicted, and a sentence when they do not agree."""
    y, drawn = predicted(tree)
    mean = drawn.mean(axis=0)
    variance = np.maximum(drawn.var(axis=0), 1 / len(drawn))  # less cannot be seen in so many draws
    observed = float(np.mean((y - mean) ** 2 / variance))
    expected = np.mean((drawn - mean) ** 2 / variance, axis=1)
    more, less = float(np.mean(expected >= observed)), float(np.mean(expected <= observed))
    low, high = intervals({"X2": expected}, prob, "statistic").loc["X2", ["lower", "upper"]]
    words = (
        f"Pearson dispersion of the data is {observed:.2f}; that of data predicted by the model is {low:.2f} to {high:.2f} "
        f"({percent(prob)}), as large as this in {100 * more:.1f} %."
    )
    table = pd.DataFrame(
        {"observed": [observed], "lower": [low], "upper": [high], "p": [more]},
        pd.Index(["Pearson dispersion"], name="statistic"),
    )
    return Finding("dispersion", (words, *_advice(about(tree)["spec"]["builder"], more, less)), {"check": table})


def _advice(builder: str, more: float, less: float) -> tuple[str, ...]:
    if more < ALARM:
        instead = (
            f"Try {builder.replace('poisson', 'negative_binomial')}, or an effect for every row: (1 | obs) with a column "
            "obs that numbers the rows."
            if "poisson" in builder
            else "Look for a missing covariate or grouping factor, or try dispersion='~ x' or the other parameterization."
        )
        return (
            f"The counts vary more than the model allows (overdispersion), so its intervals are likely too narrow. {instead}",
        )
    if less < ALARM:
        return (
            "The counts vary less than the model says (underdispersion), so its intervals are likely wider than need be.",
        )
    return ()
