"""Models compared by what they predict of rows, or of groups, that they did not see."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, listing
from glmm_zoo.estimands.leave_one_out import leave_one_out
from glmm_zoo.results.numbers import written


def loo_compare(trees: Mapping[str, xr.DataTree], *, level: str | None = None) -> pd.DataFrame:
    """Fits of the same data by their elpd, the best first.

    Parameters
    ----------
    trees
        Two fits or more by name, {"a": tree, "b": tree}.
    level
        As in `loo`: None compares predictions of rows, the name of a grouping factor, which all fits have, those of new levels.

    Returns
    -------
    DataFrame
        By name: `elpd`, `se`, `p`, `difference` to the best, `se_difference` from the differences of single rows or levels, `weight`
        (stacking, Yao et al. 2018), and `doubtful`, how many have a Pareto k above 0.7. `attrs["sentence"]` says which is better.

    Raises
    ------
    InputError
        Fits of different responses, and levels that are not the same.
    """
    from arviz_stats.loo import compare

    if not isinstance(trees, Mapping) or isinstance(trees, xr.DataTree) or len(trees) < 2:
        raise InputError("loo_compare takes two fits or more by name, {'a': tree, 'b': tree}")
    digests = {name: _digest(tree) for name, tree in trees.items()}
    first = next(iter(trees))
    other = [name for name in trees if digests[name] != digests[first]]
    if other:
        raise InputError(
            f"{first!r} and {other[0]!r} are fits of different responses, whose elpd cannot be compared; fit both to the same rows"
        )
    found = {name: leave_one_out(tree, level) for name, tree in trees.items()}
    units = {name: loo.table.iloc[:, 0].astype(str).tolist() for name, loo in found.items()}
    other = [name for name in found if units[name] != units[first]]
    if other:
        raise InputError(
            f"{first!r} and {other[0]!r} have different levels of {level!r}; leave out levels that both have"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compared = compare({name: loo.arviz for name, loo in found.items()}, round_to="none")
    table = pd.DataFrame(
        {
            "elpd": compared["elpd"],
            "se": compared["se"],
            "p": compared["p"],
            "difference": compared["elpd_diff"],
            "se_difference": compared["dse"],
            "weight": compared["weight"],
            "doubtful": [len(found[name].doubtful) for name in compared.index],
        }
    )
    table.attrs["sentence"] = _sentence(table, "row" if level is None else level)
    return table


def _digest(tree: xr.DataTree) -> str:
    """SHA-256 of the responses, in their order."""
    digest = hashlib.sha256()
    for _, values in sorted(tree["observed_data"].dataset.data_vars.items(), key=lambda item: str(item[0])):
        digest.update(np.ascontiguousarray(values.values, float).tobytes())
    return digest.hexdigest()


def _sentence(table: pd.DataFrame, unit: str) -> str:
    best, second = table.index[:2]
    gap, se = -float(table.loc[second, "difference"]), float(table.loc[second, "se_difference"])
    what = f"one more {unit}" if unit == "row" else f"a new {unit}"
    if gap > 2 * se:
        verdict = "which is more than twice its standard error"
    else:
        verdict = f"which is {'more' if gap > se else 'not more'} than its standard error"
    words = f"{best!r} predicts {what} better than {second!r}: its elpd is {written(gap, 1)} higher, {verdict}, {written(se, 1)}"
    doubtful = table.index[table["doubtful"] > 0].tolist()
    if doubtful:
        words += f"; Pareto k above 0.7 makes the elpd of {listing(map(repr, doubtful))} doubtful"
    return f"{words}."
