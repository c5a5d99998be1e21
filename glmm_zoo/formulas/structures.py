"""How group effects of different levels depend on each other: known covariances of relatives, and areas with neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.neighbours import AreaStructure, symmetric
from glmm_zoo.tables.level_tables import LevelTable

_SINGULAR = 1e-9  # the smallest eigenvalue of a covariance, as a part of the largest


@dataclass(frozen=True, eq=False)
class KnownCovariance:
    """Of `gr(g, cov=A)`: u ~ Normal(0, sd^2 A), u (levels,) = basis (levels, levels) v, v independent, each with the sd of the effects.
    `variance` is the mean over the levels of the variance of effects whose sd is 1."""

    table: LevelTable
    basis: np.ndarray
    variance: float

    kind = "cov"
    shared = False


type LevelStructure = KnownCovariance | AreaStructure


@lru_cache(maxsize=4)  # predictors of one model share it
def covariance_structure(table: LevelTable) -> KnownCovariance:
    """That of effects with the covariance in a table.

    Raises
    ------
    InputError
        A list of pairs; a table that is not symmetric or not positive definite.
    """
    if table.is_list:
        raise InputError(
            f'table {table.name!r} is a list of neighbours, and cov= takes covariances, a square table; write car({table.name}, gr=g, type="bym2")'
        )
    A = symmetric(table, "a covariance")
    values = np.linalg.eigvalsh(A)
    if values[0] <= _SINGULAR * values[-1]:
        same = _levels_alike(table, A)
        raise InputError(
            f"table {table.name!r} is no covariance: it is not positive definite, its smallest eigenvalue is {values[0]:.3g} and its largest "
            f"{values[-1]:.3g}; {same or 'correct it, or give the nearest positive definite matrix (Matrix::nearPD in R)'}"
        )
    return KnownCovariance(table, np.linalg.cholesky(A), float(np.mean(np.diag(A))))


def _levels_alike(table: LevelTable, A: np.ndarray) -> str:
    """A remedy where two levels have the same row, as clones have."""
    _, first = np.unique(A.round(10), axis=0, return_index=True)
    again = np.setdiff1d(np.arange(len(A)), first)
    if not len(again):
        return ""
    twin = next(i for i in range(len(A)) if i != again[0] and np.allclose(A[i], A[again[0]]))
    pair = sorted((table.levels[twin], table.levels[again[0]]))
    return f"{pair[0]!r} and {pair[1]!r} have the same row; give them one level"
