"""Fits of several imputed tables in one tree: the fit of each, what they say together, and how much the gaps cost.

The chains of all tables stand one after the other, with `imputation`, the number of their table from 1, beside them. A table's own values
of the columns that differ are in the group `imputed_data`, what its own fit says of itself under the key "imputations" of the metadata.
Variance within, W, and between, B, the means of m tables, and the share of information about a parameter that is missing (Rubin 1987):

    T = W + (1 + 1/m) B,   r = (1 + 1/m) B / W,   df = (m - 1) (1 + 1/r)^2,   fmi = (r + 2 / (df + 3)) / (r + 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, plural
from glmm_zoo.results.numbers import whole, written
from glmm_zoo.results.parameter_statistics import IMPUTATION, element_labels, elements, statistics_table
from glmm_zoo.results.storage import metadata, random_effect_variables, reported_variables, write_metadata
from glmm_zoo.results.verdict import Verdict

IMPUTATIONS = "imputations"  # of the metadata
IMPUTED = "imputed_data"
_WIDER = 0.02  # intervals by Rubin's rules, from which on it is said; arbitrary


def imputed_tables(tree: xr.DataTree) -> list[dict[str, Any]]:
    """What the fit of each imputed table says of itself; none of a fit of one table."""
    return metadata(tree).get(IMPUTATIONS, [])


def imputations_of(tree: xr.DataTree) -> list[xr.DataTree]:
    """The fits of the imputed tables, without their reports; of one table the fit itself."""
    content, tables = metadata(tree), imputed_tables(tree)
    if not tables:
        return [tree]
    of_all = {key: value for key, value in content.items() if key != IMPUTATIONS}
    found = []
    for k, own in enumerate(tables):
        groups = {
            name: _chains_of(group.to_dataset(), k, len(tables))
            for name, group in tree.children.items()
            if name not in ("report", "estimands", IMPUTED)
        }
        imputed = tree[IMPUTED].to_dataset().isel({IMPUTATION: k}, drop=True)
        groups["constant_data"] = groups["constant_data"].assign(
            {name: (v.dims, v.values, groups["constant_data"][name].attrs) for name, v in imputed.data_vars.items()}
        )
        one = xr.DataTree.from_dict(groups)
        write_metadata(one, {**of_all, **own, "spec": {**content["spec"], **own["spec"]}})
        found.append(one)
    return found


def _chains_of(group: xr.Dataset, k: int, count: int) -> xr.Dataset:
    """The part of a group that is of table k of so many."""
    if "chain" not in group.dims:
        return group.isel({IMPUTATION: k}) if IMPUTATION in group.dims else group
    chains = group.sizes["chain"] // count
    some = group.isel(chain=slice(k * chains, (k + 1) * chains)).drop_vars(IMPUTATION, errors="ignore")
    return some.assign_coords(chain=np.arange(some.sizes["chain"]))


def refuse_imputations(tree: xr.DataTree, what: str) -> None:
    """Raise an InputError where a fit is of several imputed tables, and `what` was asked is of one."""
    tables = imputed_tables(tree)
    if tables:
        raise InputError(
            f"{what} is of one table, and this fit is of {len(tables)} imputed ones; ask it of each: zoo.imputations(tree) are their fits"
        )


def missing_information(tree: xr.DataTree) -> pd.DataFrame:
    """How much the estimate of each parameter differs between imputed tables.

    Returns
    -------
    DataFrame
        Index as in `summary`; columns `within`, the mean of the variances in each table; `between`, the variance of the means; `fmi`, the
        fraction of missing information about it.

    Raises
    ------
    InputError
        A fit of one table.
    """
    count = len(imputed_tables(tree))
    if not count:
        raise InputError("this fit is of one table; zoo.fit_imputed fits several imputed ones")
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    effects = random_effect_variables(spec)
    names, rows = [], []
    for name in (n for n in reported_variables(posterior, spec) if n not in effects):
        values = np.stack(np.split(elements(posterior[name]), count))  # (table, chain, draw, elements)
        within, means = values.var(axis=(1, 2), ddof=1).mean(axis=0), values.mean(axis=(1, 2))
        between = means.var(axis=0, ddof=1)
        r = (1 + 1 / count) * between / np.where(within > 0, within, np.inf)
        with np.errstate(divide="ignore"):
            df = (count - 1) * (1 + 1 / r) ** 2
        names += element_labels(posterior[name])
        rows.append(np.column_stack([within, between, (r + 2 / (df + 3)) / (r + 1)]))
    table = pd.DataFrame(
        np.concatenate(rows), pd.Index(names, name="parameter"), pd.Index(["within", "between", "fmi"])
    )
    return table[table["within"] > 0]


def most_missing(tree: xr.DataTree) -> str:
    """A sentence on the parameter of which most information is missing."""
    table, count = missing_information(tree), len(imputed_tables(tree))
    fmi, part = table["fmi"], table["between"] / count
    told = (
        f"Of what complete data would tell, up to {100 * fmi.max():.0f}\N{NO-BREAK SPACE}% is missing "
        f"({fmi.idxmax()}; fraction of missing information)."
    )
    pooled_variance = table["within"] + table["between"] - part
    wider = float(np.sqrt((pooled_variance + 2 * part) / pooled_variance).max()) - 1
    if wider < _WIDER:
        return told
    return (
        f"{told} Of so few tables the intervals are too narrow, by Rubin's rules up to {100 * wider:.0f}\N{NO-BREAK SPACE}% (Zhou and "
        "Reiter 2010); impute more often."
    )


def verdict_of_imputations(tree: xr.DataTree, verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on the fits of all imputed tables: sound where each is; what they differ by is no fault of the sampler."""
    problems, remarks = (
        tuple(
            replace(problem, found=f"Imputation {k}: {problem.found}")
            for k, verdict in enumerate(verdicts, start=1)
            for problem in getattr(verdict, kind)
        )
        for kind in ("problems", "remarks")
    )
    posterior = tree["posterior"].dataset
    table = statistics_table(posterior[reported_variables(posterior, metadata(tree)["spec"])])
    if any(not len(v.table) for v in verdicts):
        return Verdict(False, problems, table.iloc[:0], remarks)
    each = pd.concat([v.table for v in verdicts])
    divergent = any("no divergences" not in v.found for v in verdicts)
    found = (
        f"in each of {plural(len(verdicts), 'imputed table')} R-hat at most {written(each['r_hat'].max(), 3)}, at least "
        f"{whole(each[['ess_bulk', 'ess_tail']].min().min())} effective draws{'' if divergent else ', no divergences'}, all chains complete"
    )
    return Verdict(all(v.sound for v in verdicts), problems, table, remarks, found)
