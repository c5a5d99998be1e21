"""Do counts vary as much as the model says? A posterior check by Pearson's statistic.

    X2(y) = (1 / n) sum_i (y_i - m_i)^2 / v_i

m_i and v_i are the mean and variance that the other rows predict of row i: of the predictive draws, weighted by 1 / p(y_i),
truncated (Ionides 2008). Without the weights, group effects that have followed their few rows hide what varies too much.
X2 is compared with that of data predicted by the model (Gelman, Meng & Stern 1996).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.findings.finding import Finding, interval_table
from glmm_zoo.results.numbers import interval, nominal, percent, written
from glmm_zoo.results.storage import metadata

ALARM = 0.01  # share of predicted data on the far side of the observed; arbitrary


def find(tree: xr.DataTree, prob: float) -> Finding:
    """Pearson's statistic as observed and as predicted, and a sentence when they do not agree."""
    spec = metadata(tree)["spec"]
    y = tree["observed_data"].dataset[spec["outcome"]].values.astype(float)
    drawn, weights = _predicted_by_others(tree, spec["outcome"])
    observed = float(np.mean((y - (weights * drawn).sum(axis=0)) ** 2 / _variance(drawn, weights)))
    equal = np.full_like(weights, 1 / len(weights))
    expected = np.mean((drawn - drawn.mean(axis=0)) ** 2 / _variance(drawn, equal), axis=1)
    more, less = float(np.mean(expected >= observed)), float(np.mean(expected <= observed))
    low, high = interval_table({"X2": expected}, prob, "statistic").loc["X2", ["lower", "upper"]]
    words = (
        f"Pearson dispersion is {written(observed, 2)}, each count against what the others predict of it; in data from the model "
        f"it is {interval(low, high, 2)} ({nominal(prob)}), and as large as this in {percent(more)}."
    )
    table = pd.DataFrame(
        {"observed": [observed], "lower": [low], "upper": [high], "p": [more]},
        pd.Index(["Pearson dispersion"], name="statistic"),
    )
    return Finding("dispersion", (words, *_advice(spec, more, less)), {"check": table})


def _predicted_by_others(tree: xr.DataTree, outcome: str) -> tuple[np.ndarray, np.ndarray]:
    """Predictive draws and their weights, both (draws, n), of the draws for which the file has prediction and density.

    With these weights the draws of a row are as the other rows predict it.
    """
    predicted, pointwise = (tree[group].dataset[outcome] for group in ("posterior_predictive", "log_likelihood"))
    drawn, log_p = (
        array.stack(sample=("chain", "draw")).transpose("sample", "row").values.astype(float)
        for array in xr.align(predicted, pointwise, join="inner")
    )
    weights = np.exp(log_p.min(axis=0) - log_p)
    weights = np.minimum(weights, np.sqrt(len(weights)) * weights.mean(axis=0))
    return drawn, weights / weights.sum(axis=0)


def _variance(drawn: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted variance (n,) of the draws (draws, n) of each row; less than 1 / draws cannot be seen in so many draws."""
    spread = (weights * (drawn - (weights * drawn).sum(axis=0)) ** 2).sum(axis=0)
    return np.maximum(spread, 1 / len(drawn))


def _advice(spec: Mapping[str, Any], more: float, less: float) -> tuple[str, ...]:
    """What to try when few predicted data sets vary as much as observed, or more (`more`), or as little (`less`)."""
    builder = spec["builder"]
    if any(2 * group["levels"] > spec["data"]["rows"] for group in spec["groups"].values()):
        return (
            "With an effect for nearly every row the model takes up variation of any size; this check cannot judge it.",
        )
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
