"""Rows of repeated measures: the residual standard deviation of a row's visit, as a linear predictor of its logarithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing
from glmm_zoo.estimands.linear_rows import LinearRows
from glmm_zoo.estimands.posterior import PosteriorDraws
from glmm_zoo.estimands.row_coding import Exposure, RowCoding
from glmm_zoo.tables.columns import Table


def with_sds_by_visit(coding: RowCoding, spec: Mapping[str, Any], draws: PosteriorDraws) -> RowCoding:
    """The coding with the part "sigma" where every visit has a residual sd of its own; else the same."""
    if not spec["facts"].get("sds_by_visit"):
        return coding
    column, log_sds = spec["options"]["time"], np.log(draws["sigma"])
    visits = [str(v) for v in draws.posterior[spec["facts"]["visit"]].values]

    def code(table: Table, exposure: Exposure) -> dict[str, LinearRows]:
        codes, levels = table[column].codes_and_levels()
        unknown = [level for level in levels if level not in visits]
        if unknown:
            raise InputError(
                f"column {column!r} has {listing(unknown)}, and the fit has the visits {listing(visits, 20)}"
            )
        of_row = np.array([visits.index(level) for level in levels])[codes]
        sigma = LinearRows(((np.eye(len(visits))[of_row], log_sds),), np.zeros(table.rows))
        return {**coding.code(table, exposure), "sigma": sigma}

    return replace(coding, columns=tuple(dict.fromkeys([*coding.columns, column])), code=code)
