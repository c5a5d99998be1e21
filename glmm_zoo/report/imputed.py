"""What a page says of the fit of several imputed tables, and whose pictures it draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.figures.picture import Picture
from glmm_zoo.results.imputations import imputations_of, imputed_tables, missing_information
from glmm_zoo.results.numbers import alone, percent
from glmm_zoo.results.paper_table import PaperTable
from glmm_zoo.results.parameter_statistics import statistics_table
from glmm_zoo.results.storage import metadata, reported_variables


def missing_table(tree: xr.DataTree) -> PaperTable:
    """How much estimates differ between the tables, and how much of what complete data would tell is missing."""
    table: pd.DataFrame = missing_information(tree)
    rows = [
        (str(name), alone(float(np.sqrt(row["within"]))), alone(float(np.sqrt(row["between"]))), percent(row["fmi"], 0))
        for name, row in table.iterrows()
    ]
    head = ("Parameter", "SD within a table", "SD between tables", "Missing information")
    caption = f"What the gaps cost: the fits of {len(imputed_tables(tree))} imputed tables compared (Rubin 1987)."
    return PaperTable.of(caption, head, rows)


def imputed_methods(tree: xr.DataTree) -> Iterator[str]:
    """The sentence of a methods paragraph."""
    count = len(imputed_tables(tree))
    if count:
        yield (
            f"The model was fitted to each of {count} imputed data sets, and the draws of all fits were put together (Zhou and Reiter 2010); the "
            f"fraction of missing information was at most {percent(missing_information(tree)['fmi'].max(), 0)}."
        )


def of_first(tree: xr.DataTree, draw: Callable[[xr.DataTree], Picture]) -> Picture:
    """A picture that is of one table: of several imputed ones of the first."""
    return _of(tree, 0, draw)


def of_least_agreeing(tree: xr.DataTree, draw: Callable[[xr.DataTree], Picture]) -> Picture:
    """A picture of the chains: of several imputed tables of that whose chains agree least, since they agree within a table only."""
    worst = 0
    if imputed_tables(tree):
        names = reported_variables(tree["posterior"].dataset, metadata(tree)["spec"])
        tables = [statistics_table(fit["posterior"].dataset[names]) for fit in imputations_of(tree)]
        worst = int(np.argmax([table["r_hat"].max() for table in tables]))
    return _of(tree, worst, draw)


def _of(tree: xr.DataTree, k: int, draw: Callable[[xr.DataTree], Picture]) -> Picture:
    fits = imputations_of(tree)
    picture = draw(fits[k])
    of = f" It is of imputed table {k + 1} of {len(fits)}."
    return picture if len(fits) == 1 else replace(picture, caption=picture.caption + of)
