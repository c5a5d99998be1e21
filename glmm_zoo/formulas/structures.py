"""How group effects of different levels depend on each other: known covariances of relatives, and areas with neighbours.

    gr(g, cov=A)         u ~ Normal(0, sd^2 A)
    car, type="icar"     u ~ Normal(0, sd^2 Q^-), Q = diag(number of neighbours) - W, Q^- its generalised inverse
    car, type="bym2"     u ~ Normal(0, sd^2 (rho Q^- / s + (1 - rho) I)), s the geometric mean of the diagonal of Q^-

Effects sum to zero in each connected part of a map, and s is that of the part; an area without neighbours has
u ~ Normal(0, sd^2) in "bym2". (Besag, York & Mollie 1991; Riebler et al. 2016; Freni-Sterrantino, Ventrucci & Rue 2018.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.tables.level_tables import LevelTable

NEIGHBOUR_KINDS = ("icar", "bym2")
_SINGULAR = 1e-9  # the smallest eigenvalue of a covariance, as a part of the largest


@dataclass(frozen=True, eq=False)
class LevelStructure:
    """u (levels,) = basis (levels, q) v, v_j independent, each with the sd of the effects.

    Of "bym2" that of v_j is sd sqrt(rho ratios_j + 1 - rho), `ratios` (q,). `variance` is the mean over the levels of the variance of
    effects whose sd is 1, where rho is 1.
    """

    kind: str  # "cov" or one of `NEIGHBOUR_KINDS`
    table: LevelTable
    basis: np.ndarray
    variance: float
    ratios: np.ndarray | None = None

    def scales(self, rho: float) -> np.ndarray:
        """The sds (q,) of the coordinates v of effects whose sd is 1."""
        return np.ones(self.basis.shape[1]) if self.ratios is None else np.sqrt(rho * self.ratios + 1.0 - rho)


@lru_cache(maxsize=4)  # predictors of one model share it
def covariance_structure(table: LevelTable) -> LevelStructure:
    """That of effects with the covariance in a table.

    Raises
    ------
    InputError
        A table that is not symmetric or not positive definite.
    """
    A = _symmetric(table, "a covariance")
    values = np.linalg.eigvalsh(A)
    if values[0] <= _SINGULAR * values[-1]:
        same = _levels_alike(table, A)
        raise InputError(
            f"table {table.name!r} is no covariance: it is not positive definite, its smallest eigenvalue is {values[0]:.3g} and its largest "
            f"{values[-1]:.3g}; {same or 'correct it, or give the nearest positive definite matrix (Matrix::nearPD in R)'}"
        )
    return LevelStructure("cov", table, np.linalg.cholesky(A), float(np.mean(np.diag(A))))


@lru_cache(maxsize=4)
def neighbour_structure(table: LevelTable, kind: str) -> LevelStructure:
    """That of effects of areas, of which the table says which are neighbours.

    Raises
    ------
    InputError
        A table that is not symmetric, or has other numbers than 0 and 1, or names an area its own neighbour; of "icar" an area
        without neighbours.
    """
    W = _symmetric(table, "an adjacency")
    others = np.argwhere((W != 0) & (W != 1))
    if len(others):
        a, b = others[0]
        raise InputError(
            f"table {table.name!r} says who is a neighbour, by 1 and 0, and {_entry(table, a, b)}; make it 1 or 0"
        )
    own = np.flatnonzero(np.diag(W))
    if len(own):
        raise InputError(
            f"table {table.name!r} says that {table.levels[own[0]]!r} is its own neighbour; put 0 on the diagonal"
        )
    parts = _connected_parts(W)
    alone = [table.levels[part[0]] for part in parts if len(part) == 1]
    if len(alone) == len(parts):
        raise InputError(
            f"table {table.name!r} has no neighbours at all; write (1 | g) for effects without a structure"
        )
    if kind == "icar" and alone:
        raise InputError(
            f'table {table.name!r}: {listing(map(repr, alone), 4)} {"has" if len(alone) == 1 else "have"} no neighbours, so that type="icar" says '
            'nothing of the effect there; use type="bym2", or join each to an area across the water'
        )
    Q = np.diag(W.sum(axis=1)) - W
    if kind == "icar":
        return _intrinsic(table, Q, parts)
    basis, ratios, place = np.zeros(Q.shape), np.zeros(len(Q)), 0
    for part in parts:
        values, vectors = np.linalg.eigh(Q[np.ix_(part, part)])
        inverse = np.append(0.0, 1.0 / values[1:]) if len(part) > 1 else np.ones(1)
        at = slice(place, place := place + len(part))
        basis[part, at] = vectors * np.sign(
            np.sqrt(np.arange(1, len(part) + 1)) @ vectors
        )  # else signs are the library's
        ratios[at] = inverse / np.exp(np.mean(np.log(vectors**2 @ inverse)))
    return LevelStructure(kind, table, basis, float(np.mean(basis**2 @ ratios)), ratios)


def _intrinsic(table: LevelTable, Q: np.ndarray, parts: Sequence[np.ndarray]) -> LevelStructure:
    """The last effect of each part is minus the sum of the others."""
    basis, place = np.zeros((len(Q), len(Q) - len(parts))), 0
    for part in parts:
        root = np.linalg.cholesky(np.linalg.pinv(Q[np.ix_(part, part)], hermitian=True)[:-1, :-1])
        at = slice(place, place := place + len(part) - 1)
        basis[part, at] = np.vstack([root, -root.sum(axis=0)])
    return LevelStructure("icar", table, basis, float(np.mean(np.sum(basis**2, axis=1))))


def _symmetric(table: LevelTable, what: str) -> np.ndarray:
    """The numbers of a table that is symmetric up to rounding, made so exactly."""
    values = table.values
    off = np.argwhere(np.abs(values - values.T) > 1e-8 * np.abs(values).max())
    if len(off):
        a, b = off[0]
        raise InputError(
            f"table {table.name!r} is not symmetric, as {what} is: {_entry(table, a, b)} and {_entry(table, b, a)}; correct one"
        )
    return (values + values.T) / 2


def _entry(table: LevelTable, a: int, b: int) -> str:
    return f"row {table.levels[a]!r}, column {table.levels[b]!r} has {table.values[a, b]:g}"


def _levels_alike(table: LevelTable, A: np.ndarray) -> str:
    """A remedy where two levels have the same row, as clones have."""
    _, first = np.unique(A.round(10), axis=0, return_index=True)
    again = np.setdiff1d(np.arange(len(A)), first)
    if not len(again):
        return ""
    twin = next(i for i in range(len(A)) if i != again[0] and np.allclose(A[i], A[again[0]]))
    pair = sorted((table.levels[twin], table.levels[again[0]]))
    return f"{pair[0]!r} and {pair[1]!r} have the same row; give them one level"


def _connected_parts(W: np.ndarray) -> list[np.ndarray]:
    """The places of the areas of each part of the map that is connected."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count, of_level = connected_components(csr_array(W), directed=False)
    return [np.flatnonzero(of_level == c) for c in range(count)]


def structure_in_words(structure: LevelStructure) -> str:
    """A note for the fit on a map in several parts; "" for others."""
    if structure.ratios is None and structure.kind != "icar":
        return ""
    sizes = sorted((len(part) for part in _connected_parts(structure.table.values)), reverse=True)
    if len(sizes) == 1:
        return ""
    alone = sum(size == 1 for size in sizes)
    parts = f"{plural(len(sizes) - alone, 'connected part')} of {listing(s for s in sizes if s > 1)} levels"
    islands = f", and {plural(alone, 'level')} without neighbours" if alone else ""
    return f"table {structure.table.name!r} has {parts}{islands}; the structured effects sum to zero in each part, and each is scaled by itself"
