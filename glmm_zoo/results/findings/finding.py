"""What one finding consists of, and what the files of this folder share to make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr


@dataclass(frozen=True)
class Finding:
    """What a fit says of one aspect of its model, in words and numbers.

    `sentences` say what was found and what to do about it. `tables` are data frames with a named index. `quantities`
    are draws (chain, draw) of derived quantities, which the summary lists by name, "rate[at means]"; `meanings` says
    what each is, by the name before the bracket.
    """

    title: str
    sentences: tuple[str, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    quantities: Mapping[str, np.ndarray] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show beside the rows that `quantities` have in the summary."""
        return not (self.sentences or self.tables)


def draws_of(posterior: xr.Dataset, name: str, **labels: Any) -> np.ndarray:
    """Draws (chain, draw, ...) of a variable, or of its elements at `labels` of its dimensions."""
    return posterior[name].sel(labels).transpose("chain", "draw", ...).values


def interval_table(draws: Mapping[str, np.ndarray], prob: float, index: str) -> pd.DataFrame:
    """Median and equal-tailed interval of quantities (chain, draw), one row each; `index` says what the rows are."""
    tail = (1 - prob) / 2
    rows = [np.quantile(values, [0.5, tail, 1 - tail]) for values in draws.values()]
    return pd.DataFrame(rows, pd.Index(list(draws), name=index), pd.Index(["median", "lower", "upper"]))
