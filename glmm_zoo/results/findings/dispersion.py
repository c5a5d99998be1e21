"""Do counts vary as much as the model says? A posterior check by Pearson's statistic.

    X2(y) = (1 / n) sum_i (y_i - m_i)^2 / v_i

m_i and v_i are the mean and variance that the other rows predict of row i (`predicted_by_others`). X2 is compared with that of data
predicted by the model (Gelman, Meng & Stern 1996).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.findings.finding import Finding, interval_table
from glmm_zoo.results.numbers import interval, nominal, percent, written
from glmm_zoo.results.once import once
from glmm_zoo.results.predicted_rows import predicted_by_others
from glmm_zoo.results.storage import metadata

ALARM = 0.01  # share of predicted data on the far side of the observed; arbitrary
UNDERDISPERSED = "com_poisson"  # the builder of counts that vary less than Poisson counts


def find(tree: xr.DataTree, prob: float) -> Finding:
    """Pearson's statistic as observed and as predicted, and a sentence when they do not agree."""
    spec = metadata(tree)["spec"]
    y = tree["observed_data"].dataset[spec["outcome"]].values.astype(float)
    observed, expected = pearson_spread(y, *predicted_by_others(tree, spec["outcome"]))
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


def pearson_spread(y: np.ndarray, drawn: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Pearson's statistic of the rows y (n,), and of each predicted data set (draws,).

    `drawn` and `weights` (draws, n) are those of `predicted_by_others`.
    """

    def spread() -> tuple[float, np.ndarray]:
        least = 1 / len(drawn)  # a smaller variance cannot be seen in so many draws
        expected = np.einsum("dn,dn->n", weights, drawn)
        variance = np.maximum(np.einsum("dn,dn->n", weights, (drawn - expected) ** 2), least)
        squares = (drawn - drawn.mean(axis=0)) ** 2
        of_sets = squares @ (1 / np.maximum(squares.mean(axis=0), least)) / len(y)
        return float(np.mean((y - expected) ** 2 / variance)), of_sets

    return once("pearson", weights, spread)  # which are of one prediction of one set of rows


def effect_for_nearly_every_row(spec: Mapping[str, Any]) -> bool:
    """Whether group effects take up variation of any size, so that the spread cannot be judged."""
    return any(2 * group["levels"] > spec["data"]["rows"] for group in spec["groups"].values())


def model_in_words(spec: Mapping[str, Any]) -> str:
    """The builder by which the family of counts is chosen, of `gamm` its family."""
    return spec["family"] if spec["builder"] == "gamm" else spec["builder"]


def what_gives_more_spread(builder: str) -> str:
    """What to try where counts vary more than the model allows."""
    if "poisson" in builder and builder != UNDERDISPERSED:
        return (
            f"Try {builder.replace('poisson', 'negative_binomial')}, or an effect for every row: (1 | obs) with a column "
            "obs that numbers the rows."
        )
    other = " or the other parameterization" if "negative_binomial" in builder else ""
    return f"Look for a missing covariate or grouping factor, or try dispersion='~ x'{other}."


def what_gives_less_spread(builder: str) -> str:
    """What to try where counts vary less than the model says."""
    if builder == UNDERDISPERSED:
        return "Try dispersion='~ x'."
    zeros = " with zi='~ 1'" if builder.startswith("zero_inflated") else ""
    return f"Try {UNDERDISPERSED}{zeros}, whose counts may vary less than Poisson counts."


def _advice(spec: Mapping[str, Any], more: float, less: float) -> tuple[str, ...]:
    """What to try when few predicted data sets vary as much as observed, or more (`more`), or as little (`less`)."""
    if effect_for_nearly_every_row(spec):
        return (
            "With an effect for nearly every row the model takes up variation of any size; this check cannot judge it.",
        )
    if more < ALARM:
        return (
            f"The counts vary more than the model allows (overdispersion), so its intervals are likely too narrow. {what_gives_more_spread(model_in_words(spec))}",
        )
    if less < ALARM:
        return (
            "The counts vary less than the model says (underdispersion), so its intervals are likely wider than need be. "
            f"{what_gives_less_spread(model_in_words(spec))}",
        )
    return ()
