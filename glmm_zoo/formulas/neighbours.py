"""Areas of which some are neighbours: the precision of their effects, which is sparse.

    type="icar"     u ~ Normal(0, sd^2 Q^-), Q = diag(number of neighbours) - W, Q^- its generalised inverse
    type="bym2"     u ~ Normal(0, sd^2 (rho Q^- / s + (1 - rho) I)), s the geometric mean of the diagonal of Q^-

Effects sum to zero in each connected part of a map, and s is that of the part; an area without neighbours has
u ~ Normal(0, sd^2) in "bym2". (Besag, York & Mollie 1991; Riebler et al. 2016; Freni-Sterrantino, Ventrucci & Rue 2018.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.formulas.banded import Banded, widths_of
from glmm_zoo.tables.level_tables import LevelTable

NEIGHBOUR_KINDS = ("icar", "bym2")
_MOST_ENTRIES = 4e7  # of the band of a map: 0.3 GB


@dataclass(frozen=True, eq=False)
class AreaStructure:
    """How the effects of the areas of a map depend on each other.

    Attributes
    ----------
    kind, table
        One of `NEIGHBOUR_KINDS`, and where the neighbours come from.
    pairs
        The places of neighbours (pairs, 2).
    part, sizes
        The connected part of each area (levels,), and how many areas each has (parts,).
    scales
        s of each part (parts,), by which Q is multiplied; 1 for "icar" and for an area without neighbours.
    order
        The areas in the order in which Q has a narrow band (levels,).
    log_determinant
        The sum of the logs of the eigenvalues of Q that are not 0.
    variance
        The mean over the areas of the variance of effects whose sd is 1, where rho is 1.
    """

    kind: str
    table: LevelTable
    pairs: np.ndarray
    part: np.ndarray
    sizes: np.ndarray
    scales: np.ndarray
    order: np.ndarray
    log_determinant: float
    variance: float

    @property
    def shared(self) -> bool:
        """Whether a share rho of the variance is that of neighbours."""
        return self.kind == "bym2"

    @cached_property
    def place(self) -> np.ndarray:
        """Where each area stands in the order (levels,)."""
        return np.argsort(self.order)

    @cached_property
    def summing(self) -> np.ndarray:
        """Whether an area is in a part of several, where effects sum to zero (levels,)."""
        return self.sizes[self.part] > 1

    @cached_property
    def weights(self) -> np.ndarray:
        """What each pair of neighbours has in Q (pairs,)."""
        return self.scales[self.part[self.pairs[:, 0]]]

    @cached_property
    def widths(self) -> np.ndarray:
        """How far the rows of a root of Q reach before the diagonal (levels,)."""
        return widths_of(self.place[self.pairs], len(self.part))

    def grounded(self, extra: float) -> Banded:
        """Q in the order, with 1 for an area without neighbours, and `extra` in one of each part of several, so that it has an inverse."""
        return _band(self.pairs, self.weights, self.part, self.place, extra)


@lru_cache(maxsize=4)  # predictors of one model share it
def neighbour_structure(table: LevelTable, kind: str) -> AreaStructure:
    """That of effects of areas, of which the table says which are neighbours.

    Raises
    ------
    InputError
        A table that is not symmetric, or has other numbers than 0 and 1, or names an area its own neighbour; of "icar" an area
        without neighbours; a map of which no order makes the band narrow.
    """
    pairs = _pairs_of(table)
    levels = len(table.levels)
    part, sizes = _connected_parts(pairs, levels)
    alone = [table.levels[i] for i in np.flatnonzero(sizes[part] == 1)]
    if not len(pairs):
        raise InputError(
            f"table {table.name!r} has no neighbours at all; write (1 | g) for effects without a structure"
        )
    if kind == "icar" and alone:
        raise InputError(
            f'table {table.name!r}: {listing(map(repr, alone), 4)} {"has" if len(alone) == 1 else "have"} no neighbours, so that type="icar" says '
            'nothing of the effect there; use type="bym2", or join each to an area across the water'
        )
    order = _narrow_order(pairs, part, levels)
    place = np.argsort(order)
    entries = int(np.abs(np.diff(place[pairs])).max()) * levels
    if entries > _MOST_ENTRIES:
        raise InputError(
            f"table {table.name!r}: in no order that was found do neighbours of its {levels:,} levels stand near each other ({entries:,} numbers, "
            f"and at most {_MOST_ENTRIES:,.0f} are computed with), as they do on a map; leave out pairs that are far apart"
        )
    Q = _band(pairs, np.ones(len(pairs)), part, place, 1.0)
    variances = _variances(Q, part, sizes, order)
    log_sums = np.bincount(part, np.log(variances))
    scales = np.exp(log_sums / sizes) if kind == "bym2" else np.ones(len(sizes))
    # the determinant of Q with 1 added in one place counts spanning trees, that is the product of its eigenvalues over their number
    log_determinant = Q.log_determinant() + float(np.sum(np.log(sizes) + (sizes - 1) * np.log(scales)))
    return AreaStructure(
        kind, table, pairs, part, sizes, scales, order, log_determinant, float(np.mean(variances / scales[part]))
    )


def _variances(Q: Banded, part: np.ndarray, sizes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The diagonal of Q^- (levels,), from Q with 1 added in one place of each part; 1 for an area without neighbours."""
    own, rows = np.empty(len(part)), np.empty(len(part))
    own[order] = Q.diagonal_of_inverse()
    rows[order] = Q.solved(np.ones((len(part), 1)))[:, 0]  # the sums of the rows of its inverse, whose parts are blocks
    wholes = np.bincount(part, rows)
    return np.where(sizes[part] > 1, own - 2 * rows / sizes[part] + (wholes / sizes**2)[part], 1.0)


def _band(pairs: np.ndarray, weights: np.ndarray, part: np.ndarray, place: np.ndarray, extra: float) -> Banded:
    """The Laplacian of weighted pairs in the order of the places, with 1 for a level without a pair and `extra` for one in each part."""
    levels = len(part)
    low, high = np.sort(place[pairs], axis=1).T
    below = np.zeros((int((high - low).max()) + 1, levels))
    below[high - low, low] = -weights
    of_levels = np.bincount(pairs.ravel(), np.repeat(weights, 2), levels)
    one_of_each = np.unique(part, return_index=True)[1]
    of_levels[one_of_each] += np.where(of_levels[one_of_each] > 0, extra, 1.0)
    below[0, place] = of_levels
    return Banded(below)


def _pairs_of(table: LevelTable) -> np.ndarray:
    """The places of neighbours (pairs, 2), the lower one first."""
    if table.is_list:
        pairs, own = table.values, np.flatnonzero(table.values[:, 0] == table.values[:, 1])
        own = pairs[own, 0]
    else:
        W = table.values
        others = np.argwhere((W != 0) & (W != 1))
        if len(others):
            raise InputError(
                f"table {table.name!r} says who is a neighbour, by 1 and 0, and {entry(table, *others[0])}; make it 1 or 0"
            )
        symmetric(table, "an adjacency")
        own, pairs = np.flatnonzero(np.diag(W)), np.argwhere(np.triu(W) > 0)
    if len(own):
        raise InputError(
            f"table {table.name!r} says that {table.levels[own[0]]!r} is its own neighbour; "
            + ("leave that row out" if table.is_list else "put 0 on the diagonal")
        )
    return pairs


def symmetric(table: LevelTable, what: str) -> np.ndarray:
    """The numbers of a table that is symmetric up to rounding, made so exactly.

    Raises
    ------
    InputError
        Two numbers that differ.
    """
    values = table.square()
    off = np.argwhere(np.abs(values - values.T) > 1e-8 * np.abs(values).max())
    if len(off):
        a, b = off[0]
        raise InputError(
            f"table {table.name!r} is not symmetric, as {what} is: {entry(table, a, b)} and {entry(table, b, a)}; correct one"
        )
    return (values + values.T) / 2


def entry(table: LevelTable, a: int, b: int) -> str:
    return f"row {table.levels[a]!r}, column {table.levels[b]!r} has {table.square()[a, b]:g}"


def _graph(pairs: np.ndarray, levels: int) -> object:
    from scipy.sparse import csr_array

    both = np.concatenate([pairs, pairs[:, ::-1]]).T
    return csr_array((np.ones(both.shape[1]), (both[0], both[1])), shape=(levels, levels))


def _connected_parts(pairs: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """The connected part of each level (levels,), and the size of each part."""
    from scipy.sparse.csgraph import connected_components

    _, part = connected_components(_graph(pairs, levels), directed=False)
    return part, np.bincount(part)


def _narrow_order(pairs: np.ndarray, part: np.ndarray, levels: int) -> np.ndarray:
    """The levels in the order of Cuthill and McKee, reversed, one part after the other."""
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    order = reverse_cuthill_mckee(_graph(pairs, levels), symmetric_mode=True)
    return order[np.argsort(part[order], kind="stable")].astype(np.int64)


def map_in_words(structure: AreaStructure) -> str:
    """A note for the fit on a map in several parts; "" for others."""
    if len(structure.sizes) == 1:
        return ""
    sizes = sorted(structure.sizes.tolist(), reverse=True)
    alone = sum(size == 1 for size in sizes)
    parts = f"{plural(len(sizes) - alone, 'connected part')} of {listing(s for s in sizes if s > 1)} levels"
    islands = f", and {plural(alone, 'level')} without neighbours" if alone else ""
    return f"table {structure.table.name!r} has {parts}{islands}; the structured effects sum to zero in each part, and each is scaled by itself"
