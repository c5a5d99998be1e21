"""Estimates of a fit of several imputed tables: each table's rows are its own, and their draws stand together."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Concatenate

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.estimands.fitted import USUAL_DRAWS
from glmm_zoo.results.estimates import STATISTIC_COLUMNS, Estimates
from glmm_zoo.results.imputations import imputations_of
from glmm_zoo.results.parameter_statistics import statistics


def of_each_imputation[**P](
    estimate: Callable[Concatenate[xr.DataTree, P], Estimates],
) -> Callable[Concatenate[xr.DataTree, P], Estimates]:
    """Estimates of the fit of each imputed table put together, from about as many draws as were asked for in all."""

    @functools.wraps(estimate)
    def estimating(tree: xr.DataTree, *arguments: P.args, **keywords: P.kwargs) -> Estimates:
        fits = imputations_of(tree)
        if len(fits) == 1:
            return estimate(tree, *arguments, **keywords)
        draws = keywords.get("draws", USUAL_DRAWS)
        if isinstance(draws, int) and draws >= 1:
            keywords["draws"] = -(-draws // len(fits))
        return _together([estimate(fit, *arguments, **keywords) for fit in fits])

    return estimating


def _together(found: Sequence[Estimates]) -> Estimates:
    """Estimates of one question from all tables. A column of the data that differs between the tables says nothing of an estimate."""
    first, count = found[0], len(found)
    if len({len(one.table) for one in found}) > 1:
        raise InputError(
            "the imputed tables give different numbers of estimates, since what they are kept apart by was imputed; say at which values with at="
        )
    same = [
        c for c in first.of if all(np.array_equal(first.table[c].astype(str), o.table[c].astype(str)) for o in found)
    ]
    draws = np.concatenate([one.draws["value"].values for one in found])
    prob = first.prob or 0.95
    rows = statistics(draws, prob, count)
    columns = dict(zip(STATISTIC_COLUMNS[:5], rows[:, :5].T, strict=True)) | {"mcse": rows[:, 5], "ess": rows[:, 7]}
    shares = {c: np.mean([one.table[c] for one in found], axis=0) for c in ("p_positive", "p_rope") if c in first.table}
    table: pd.DataFrame = first.table.assign(**columns, **shares).drop(columns=[c for c in first.of if c not in same])
    sentence = re.sub(
        r"\d+ draws", f"{draws.shape[0] * draws.shape[1]} draws of {count} imputed tables", first.sentence, count=1
    )
    return Estimates.of_table(table, same, draws, sentence, scales=first.scales, prob=first.prob)
