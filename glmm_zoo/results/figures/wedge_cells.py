"""What the pictures of a stepped-wedge trial share: what was observed in each cluster and period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from glmm_zoo.formulas.names import variable_name
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.group_names import rows_of_factor
from glmm_zoo.results.figures.raw_data import raw_data
from glmm_zoo.results.storage import metadata
from glmm_zoo.trials.wedge_columns import TREATMENT

YES_OR_NO = ("0", "1", "False", "True")  # levels that say nothing themselves


@dataclass(frozen=True)
class WedgeCells:
    """Clusters (C) by periods (T) of a trial.

    Attributes
    ----------
    sums, sizes
        Of the responses, and of trials, exposure or rows (C, T).
    treated
        1 or 0, -1 where a cluster was not seen (C, T).
    clusters, periods
        Their names in words; `labels` are the periods as the fit has them.
    column, conditions
        The column of treatment, and by its levels whether it is that of treatment.
    control, intervention
        The words for the two.
    shares
        Whether `sums` are events of `sizes` trials.
    """

    sums: np.ndarray
    sizes: np.ndarray
    treated: np.ndarray
    clusters: list[str]
    periods: list[str]
    labels: list[str]
    column: str
    conditions: dict[str, bool]
    control: str
    intervention: str
    shares: bool

    @property
    def values(self) -> np.ndarray:
        """Proportions, rates or means (C, T), NaN where nothing was observed."""
        return pooled(self.sums, self.sizes)

    @property
    def start(self) -> np.ndarray:
        """The period in which a cluster crosses over (C,), T for never."""
        treated = self.treated == 1
        return np.where(treated.any(axis=1), treated.argmax(axis=1), treated.shape[1])


def pooled(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Sums by sizes, NaN where there are none."""
    return np.divide(sums, sizes, out=np.full(sums.shape, np.nan), where=sizes > 0)


def wedge_cells(tree: xr.DataTree, about: About) -> WedgeCells:
    """What was observed in a stepped-wedge trial."""
    spec = metadata(tree)["spec"]
    options, design = spec["options"], spec["facts"]["map"]
    cluster, period = (rows_of_factor(tree, variable_name(options[name])) for name in ("cluster", "period"))
    place = np.array([design["periods"].index(level) for level in period.levels])
    shape = (len(design["clusters"]), len(design["periods"]))
    cell = cluster.codes * shape[1] + place[period.codes]
    raw = raw_data(tree)
    sums, sizes = (np.bincount(cell, values, shape[0] * shape[1]).reshape(shape) for values in (raw.values, raw.sizes))
    signs = {"1": 1, "0": 0, "": -1}
    treated = np.array([[signs[t] for t in row] for row in design["treated"]])
    column = options["treatment"] or TREATMENT
    conditions = {"0": False, "1": True}
    if column in cluster.table:
        of_rows = zip(cluster.table[column].map(str), (treated.ravel()[cell] == 1).tolist(), strict=True)
        conditions = dict(sorted(set(of_rows), key=lambda pair: pair[1]))
    control, intervention = (
        usual if about.level(column, level) == level and level in YES_OR_NO else about.level(column, level)
        for level, usual in zip(conditions, ("control", "intervention"), strict=True)
    )
    return WedgeCells(
        sums, sizes, treated, cluster.labels(about, np.arange(shape[0])),
        [about.level(options["period"], p) for p in design["periods"]], design["periods"], column, conditions, control, intervention,
        raw.shares,
    )  # fmt: skip
