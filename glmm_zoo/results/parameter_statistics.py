"""What the draws say of each parameter: mean, interval, Monte Carlo errors, effective draws and R-hat, one row each."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results import convergence

STATISTICS = ("mean", "median", "sd", "lower", "upper", "mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "r_hat")
IMPUTATION = "imputation"  # the coordinate of chains of several imputed tables, which stand table by table
LEAST_DRAWS = 4  # in a chain, for any diagnosis
_AT_ONCE = 25  # quantities diagnosed together: with more, arrays no longer fit the processor's caches
_MOST_THREADS = 4  # each of which has some twenty arrays of the draws of so many quantities


def element_labels(array: xr.DataArray) -> list[str]:
    """The names of a variable's elements, as ArviZ writes them: "beta[age]", "corr_id[Intercept, age]"."""
    dims = [d for d in array.dims if d not in ("chain", "draw")]
    if not dims:
        return [str(array.name)]
    index = pd.MultiIndex.from_product([[str(v) for v in array[d].values] for d in dims])
    return [f"{array.name}[{', '.join(entry)}]" for entry in index]


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def statistics(values: np.ndarray, prob: float = 0.95, imputations: int = 1) -> np.ndarray:
    """The numbers of `STATISTICS` (quantities, statistics) for draws (chain, draw, quantities).

    Of so many `imputations`, whose chains stand one after the other, R-hat is the largest within one, effective draws are added up, and
    errors are those of the draws alone: what the tables differ by is none.

    Diagnostics of a quantity that is constant, or has fewer than 4 draws in a chain, are NaN, and so is R-hat of a single
    chain.
    """
    parts = [values[:, :, start : start + _AT_ONCE] for start in range(0, values.shape[2], _AT_ONCE)]
    if len(parts) == 1:
        return _statistics(parts[0], prob, imputations)
    with ThreadPoolExecutor(min(_MOST_THREADS, processors())) as pool:  # NumPy lets go of the lock for most of it
        rows = list(pool.map(lambda part: _statistics(part, prob, imputations), parts))
    return np.concatenate([np.empty((0, len(STATISTICS))), *rows])


def _statistics(values: np.ndarray, prob: float, imputations: int) -> np.ndarray:
    values = values.astype(float, copy=False)  # some are kept in single precision
    if imputations > 1:
        return _pooled(values, prob, imputations)
    rows = np.full((values.shape[2], len(STATISTICS)), np.nan)
    lower, median, upper = np.quantile(values, [(1 - prob) / 2, 0.5, (1 + prob) / 2], axis=(0, 1))
    mean, several = values.mean(axis=(0, 1)), values.shape[0] * values.shape[1] > 1
    sd = values.std(axis=(0, 1), ddof=1) if several else np.full(len(mean), np.nan)
    rows[:, :5] = np.column_stack([mean, median, sd, lower, upper])
    varies = ~at_one_value(values, (0, 1))
    rows[~varies, 5:7] = 0.0
    values = values[:, :, varies]
    if not varies.any() or values.shape[1] < LEAST_DRAWS:
        return rows
    with np.errstate(divide="ignore", invalid="ignore"):  # where each chain has one value
        errors = convergence.mcse_mean(values), convergence.mcse_sd(values)
        ess_bulk, r_hat = convergence.ess_bulk_and_rhat(values)
        rows[varies, 5:9] = np.column_stack([*errors, ess_bulk, convergence.ess_tail(values)])
    if values.shape[0] > 1:
        rows[varies, 9] = r_hat
    return rows


def _pooled(values: np.ndarray, prob: float, imputations: int) -> np.ndarray:
    """The statistics of all draws, with the diagnostics of the tables put together."""
    each = np.stack(
        [_statistics(part, prob, 1) for part in np.split(values, imputations)]
    )  # (tables, quantities, statistics)
    rows = each[0].copy()
    rows[:, 0], rows[:, 2] = values.mean(axis=(0, 1)), values.std(axis=(0, 1), ddof=1)
    rows[:, [3, 1, 4]] = np.quantile(values, [(1 - prob) / 2, 0.5, (1 + prob) / 2], axis=(0, 1)).T
    error_of_variance = np.sqrt(np.sum((each[:, :, 2] * each[:, :, 6]) ** 2, axis=0))
    rows[:, 5] = np.sqrt(np.sum(each[:, :, 5] ** 2, axis=0)) / imputations
    rows[:, 6] = error_of_variance / (imputations * np.where(rows[:, 2] > 0, rows[:, 2], 1.0))
    rows[:, 7:9], rows[:, 9] = each[:, :, 7:9].sum(axis=0), each[:, :, 9].max(axis=0)
    return rows


def statistics_table(posterior: xr.Dataset, prob: float = 0.95) -> pd.DataFrame:
    """`statistics` of every element of every variable, one row each."""
    arrays = list(posterior.data_vars.values())
    imputations = len(np.unique(posterior[IMPUTATION])) if IMPUTATION in posterior.coords else 1
    rows = np.concatenate([statistics(elements(array), prob, imputations) for array in arrays])
    names = [label for array in arrays for label in element_labels(array)]
    return pd.DataFrame(rows, index=pd.Index(names, name="parameter"), columns=pd.Index(STATISTICS))


def at_one_value(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """Whether values are all the same along the axis but for rounding."""
    low, high = values.min(axis=axis), values.max(axis=axis)
    return high - low <= 1e-12 * np.maximum(high, -low)


def elements(array: xr.DataArray) -> np.ndarray:
    """Draws of a variable with its elements in one axis: (chain, draw, elements)."""
    values = array.transpose("chain", "draw", ...).values
    return values.reshape(*values.shape[:2], -1)


def group_effect_moments(tree: xr.DataTree) -> xr.Dataset:
    """Moments (statistic, ...) of the group effects of which not all draws are kept, of imputed tables together; none of other fits.

    R-hat is the largest of the tables', effective draws are added up, and errors are those of the draws alone.
    """
    if "group_effects" not in tree.children:
        return xr.Dataset()
    each = tree["group_effects"].to_dataset()
    if IMPUTATION not in each.dims:
        return each
    of = {str(name): each.sel(statistic=name) for name in each["statistic"].values}
    mean, count = of["mean"].mean(IMPUTATION), each.sizes[IMPUTATION]
    pooled = {
        "mean": mean,
        "sd": ((of["sd"] ** 2).mean(IMPUTATION) + ((of["mean"] - mean) ** 2).mean(IMPUTATION)) ** 0.5,
        "mcse_mean": (of["mcse_mean"] ** 2).sum(IMPUTATION, skipna=False) ** 0.5 / count,
        "ess_bulk": of["ess_bulk"].sum(IMPUTATION, skipna=False),
        "r_hat": of["r_hat"].max(IMPUTATION),
    }
    return xr.concat([pooled[name].assign_coords(statistic=name) for name in of], "statistic")


def moments_table(tree: xr.DataTree) -> pd.DataFrame:
    """The same columns for group effects of which the fit took moments as the draws were made; what these do not have is NaN."""
    columns = pd.Index(STATISTICS)
    tables = [pd.DataFrame(columns=columns, dtype=float)]
    for array in group_effect_moments(tree).data_vars.values():
        values = array.transpose("statistic", ...).values
        by_statistic = dict(zip(array["statistic"].values, values.reshape(len(values), -1), strict=True))
        labels = element_labels(array.isel(statistic=0, drop=True))
        tables.append(pd.DataFrame(by_statistic, pd.Index(labels)).reindex(columns=columns))
    return pd.concat(tables[1:] or tables)
