"""What a fit says beyond its estimates, one aspect of a model per file. Imports `errors`, `storage`, `diagnostics`.

A model's spec names its aspects; the file of that name in this folder has `find(tree, prob) -> Finding`. It sees a
DataTree, fresh or loaded, and never a builder.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.storage import about


@dataclass(frozen=True)
class Finding:
    """One aspect of a fit, in words and numbers.

    `sentences` say what was found and what to do about it. `tables` are data frames with a named index. `quantities`
    are draws (chain, draw) of derived quantities, which the summary lists by name, "rate[at means]"; `meanings` says
    what each is, by the name before the bracket.
    """

    title: str
    sentences: tuple[str, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    quantities: Mapping[str, np.ndarray] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)


def findings(tree: xr.DataTree, prob: float = 0.95) -> dict[str, Finding]:
    """What the fit says of each aspect of its model, by name.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    prob
        Probability inside the intervals of the tables.
    """
    names = about(tree)["spec"]["aspects"]
    return {name: importlib.import_module(f"glmm_zoo.results.findings.{name}").find(tree, prob) for name in names}


def draws_of(posterior: xr.Dataset, name: str, **labels: Any) -> np.ndarray:
    """Draws (chain, draw, ...) of a variable or of its elements at `labels`."""
    return posterior[name].sel(labels).transpose("chain", "draw", ...).values


def predicted(tree: xr.DataTree) -> tuple[np.ndarray, np.ndarray]:
    """The outcome as observed (n,) and as predicted for the same rows (draws, n)."""
    name = about(tree)["spec"]["outcome"]
    drawn = tree["posterior_predictive"].dataset[name].stack(sample=("chain", "draw")).transpose("sample", "row")
    return tree["observed_data"].dataset[name].values.astype(float), drawn.values.astype(float)


def intervals(draws: Mapping[str, np.ndarray], prob: float, index: str) -> pd.DataFrame:
    """Median and equal-tailed interval of quantities (chain, draw), one row each; `index` says what the rows are."""
    tail = (1 - prob) / 2
    rows = [np.quantile(d, [0.5, tail, 1 - tail]) for d in draws.values()]
    return pd.DataFrame(rows, pd.Index(list(draws), name=index), pd.Index(["median", "lower", "upper"]))


def percent(prob: float) -> str:
    """`"95 %"`."""
    return f"{100 * prob:g} %"
