"""Do counts vary as much as the model says? A posterior check by Pearson's statistic.

    X2(y) = (1 / n) sum_i (y_i - m_i)^2 / v_i

m_i and v_i are the mean and variance of row i over the predictive draws, so X2 of predicted data is near 1. The observed
X2 is compared with that of the predicted data (Gelman, Meng & Stern 1996).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.aspects import Finding, intervals, percent, predicted
from glmm_zoo.storage import about

ALARM = 0.01  # share of predicted data that vary as much as the observed


def find(tree: xr.DataTree, prob: float) -> Finding:
    """X2 as observed and as predicted, and a sentence when they do not agree."""
    y, drawn = predicted(tree)
    mean, variance = drawn.mean(axis=0), drawn.var(axis=0)
    known = variance > 0
    observed = float(np.mean((y - mean)[known] ** 2 / variance[known])) if known.any() else np.nan
    expected = np.mean((drawn - mean)[:, known] ** 2 / variance[known], axis=1)
    share = float(np.mean(expected >= observed))
    low, high = intervals({"X2": expected}, prob, "statistic").loc["X2", ["lower", "upper"]]
    words = (
        f"Pearson dispersion {observed:.2f}; data predicted by the model have {low:.2f} to {high:.2f} ({percent(prob)}), "
        f"{100 * share:.1f} % of them at least as much."
    )
    table = pd.DataFrame(
        {"observed": [observed], "lower": [low], "upper": [high], "p": [share]},
        pd.Index(["Pearson dispersion"], name="statistic"),
    )
    return Finding("dispersion", (words, *_advice(tree, share)), {"check": table})


def _advice(tree: xr.DataTree, share: float) -> tuple[str, ...]:
    builder = about(tree)["spec"]["builder"]
    if share < ALARM:
        first = (
            f"{builder.replace('poisson', 'negative_binomial')}, or an effect for every row: a column that numbers the rows and (1 | row)"
            if "poisson" in builder
            else "more covariates or group effects, or dispersion='~ x'"
        )
        return (f"The counts vary more than the model allows, so its intervals are too narrow. Try {first}.",)
    if share > 1 - ALARM:
        return ("The counts vary less than the model says, so its intervals are wider than they need to be.",)
    return ()
