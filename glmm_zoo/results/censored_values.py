"""Censored values of a fit: which they are, between what they lie, and values that a model predicts there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from glmm_zoo.families.partly_observed import CENSORING, censoring_codes
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.results.storage import metadata, outcome_formulas, outcome_specs, stored_table
from glmm_zoo.tables.frames import take_columns


@dataclass(frozen=True)
class CensoredValues:
    """Which values (n,) of an outcome are `censored`; of these it is known that they lie in (low, high], both (n,)."""

    censored: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def completed(self, y: np.ndarray, drawn: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """y (n,) with a value of its own predictive draws (draws, n) in the place of each that is censored; `weights` are those of the
        draws. If the model is right, these are values as they were before they were censored."""
        rng, y = np.random.default_rng(1), y.copy()
        for i in np.flatnonzero(self.censored):
            possible = np.flatnonzero((drawn[:, i] > self.low[i]) & (drawn[:, i] <= self.high[i]))
            if len(possible):
                share = weights[possible, i]
                y[i] = drawn[rng.choice(possible, p=share / share.sum()), i]
        return y


def censored_values(tree: xr.DataTree, prefix: str = "") -> CensoredValues | None:
    """Those of one of several outcomes, or of the only one; None where the response has no cens()."""
    spec = metadata(tree)["spec"]
    specs = outcome_specs(spec)
    prefix = prefix if prefix in specs else ""
    if not specs[prefix].get("bounds"):
        return None
    response = parse_formula(outcome_formulas(spec)[list(specs).index(prefix)]).response
    if response is None or not response.censoring:
        return None
    every = tree["observed_data"].dataset
    observed = every[prefix or str(next(iter(every.data_vars)))]  # a marker stands before its event
    (dim,), table = observed.dims, stored_table(tree)
    rows = table if dim == "row" else table.loc[observed[dim].values]
    column, *ends = response.censoring
    codes, y = censoring_codes(take_columns(rows, [column])[column]), observed.values.astype(float)
    upper = rows[ends[0]].to_numpy(float) if ends else y
    low = np.where(codes == CENSORING["left"], -np.inf, y)
    high = np.select([codes == CENSORING["right"], codes == CENSORING["interval"]], [np.inf, upper], y)
    return CensoredValues(codes != 0, low, high)
