"""The arrays of one linear predictor that the Gaussian approximation computes with, and their sums over rows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.graph.transforms.group_effects import SharedInformation
from glmm_zoo.inference.row_likelihood import StandardDeviationPriors
from glmm_zoo.plans.groups import Group

if TYPE_CHECKING:
    from glmm_zoo.graph.model import LinearPredictor, SmoothWeights

WORK = 4e9  # multiplications of a round that solves for the effects of several factors at once,
NUMBERS = 6e6  # and numbers that it holds


@dataclass(frozen=True, eq=False)
class SmoothPart:
    """The weights of a smooth: their name, that of their sds, which sd each has (q,), their positions among the
    coefficients (q,), and the sd with which the curve varies over the rows as much as the `unit` of the predictor.

    `prior` is the name by which the sds have their prior, `places` are theirs among all of that name. `of_group` says that they are coordinates of group effects."""

    weights: str
    sd: str
    sd_of: np.ndarray
    positions: np.ndarray
    unit: float
    prior: str
    places: np.ndarray
    of_group: bool


@dataclass(frozen=True, eq=False)
class PredictorData:
    """eta (n,) = D b + offset + sum over factors f of Z_f u_f. Row i of factor f has covariates z[f][i] (k_f,) and level
    codes[f][i].

    groups
        The factors.
    columns
        By factor, the positions of this predictor's effects among all of the factor.
    z, codes
        By factor, (n, k_f) and (n,).
    smooths
        The smooths, whose weights are the last of the coefficients.
    D, offset
        (n, p) and (n,).
    unit
        The unit in which eta is of size one.
    precision, score
        (p,) each: the precisions of the coefficients' priors, 0 for weights of smooths; and these times their means.
    sd_priors
        The priors of the sds of effects and smooths' weights.
    """

    groups: Sequence[Group]
    columns: Sequence[Sequence[int]]
    z: Sequence[np.ndarray]
    codes: Sequence[np.ndarray]
    smooths: Sequence[SmoothPart]
    D: np.ndarray
    offset: np.ndarray
    unit: float
    precision: np.ndarray
    score: np.ndarray
    sd_priors: StandardDeviationPriors

    @property
    def names(self) -> list[str]:
        """The names of the effects, by factor."""
        return [g.free("u") for g in self.groups]

    @cached_property
    def levels(self) -> list[int]:
        """How many levels each factor has."""
        return [len(g.factor.levels) for g in self.groups]

    @cached_property
    def order(self) -> list[int]:
        """The factors, those with the fewest levels first."""
        return sorted(range(len(self.groups)), key=lambda f: self.levels[f])

    @cached_property
    def exact(self) -> bool:
        """Whether it is affordable to solve for all unknowns at once."""
        sizes = [levels * z.shape[1] for levels, z in sorted(zip(self.levels, self.z, strict=True), key=lambda x: x[0])]
        *others, largest = sizes or [0]
        rest = self.D.shape[1] + sum(others)
        return not others or (largest * rest <= NUMBERS and (largest + rest) * rest**2 <= WORK)

    @cached_property
    def pairs(self) -> Mapping[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
        """For each factor f and each e before it, the pairs of levels that meet in a row, as level of f x levels of e +
        level of e; and which of the pairs every row has (n,)."""
        return {
            (f, e): np.unique(self.codes[f] * self.levels[e] + self.codes[e], return_inverse=True)
            for i, f in enumerate(self.order)
            for e in self.order[:i]
        }

    def prior_precision(self, sds: Sequence[np.ndarray]) -> np.ndarray:
        """Of all coefficients (p,), given the sds of each smooth's weights."""
        precision = self.precision.copy()
        for smooth, sd in zip(self.smooths, sds, strict=True):
            precision[smooth.positions] = sd[smooth.sd_of] ** -2.0
        return precision

    def information(self, f: int, w: np.ndarray) -> np.ndarray:
        """Z_f' W Z_f by level (levels, k, k)."""
        z, k = self.z[f], self.z[f].shape[1]
        A = np.empty((self.levels[f], k, k))
        for i in range(k):
            for j in range(i + 1):
                A[:, i, j] = A[:, j, i] = np.bincount(self.codes[f], w * z[:, i] * z[:, j], self.levels[f])
        return A

    def by_level(self, f: int, x: np.ndarray) -> np.ndarray:
        """Z_f' x by level for columns x (n, m): (levels, k, m)."""
        z, levels = self.z[f], self.levels[f]
        if not x.shape[1]:
            return np.empty((levels, z.shape[1], 0))
        of_effects = [
            np.stack([np.bincount(self.codes[f], z[:, i] * column, levels) for column in x.T], axis=1)
            for i in range(z.shape[1])
        ]
        return np.stack(of_effects, axis=1)

    def shared(self, f: int, e: int, w: np.ndarray) -> SharedInformation:
        """The levels of f and of an earlier factor e that meet in a row, and what these rows have on both: Z_f' W Z_e."""
        pairs, pair_of_row = self.pairs[f, e]
        zf, ze = self.z[f], self.z[e]
        weights = np.array(
            [
                [np.bincount(pair_of_row, w * zf[:, i] * ze[:, j], len(pairs)) for j in range(ze.shape[1])]
                for i in range(zf.shape[1])
            ]
        )
        return SharedInformation(pairs // self.levels[e], pairs % self.levels[e], weights)

    def places(self, factors: Sequence[int]) -> dict[int, np.ndarray]:
        """Where the effects of these factors stand, after the coefficients and each other: (levels, k)."""
        start, places = self.D.shape[1], {}
        for f in factors:
            shape = self.levels[f], self.z[f].shape[1]
            size = shape[0] * shape[1]
            places[f] = start + np.arange(size).reshape(shape)
            start += size
        return places


def predictor_data(
    prefix: str, linear: LinearPredictor, groups: Sequence[Group], unit: float, sd_priors: StandardDeviationPriors
) -> PredictorData:
    """The predictor of this prefix, of which `groups` are the factors."""
    D = linear.design
    n, p = D.shape
    fixed = len(linear.priors)
    ends = fixed + np.cumsum([0, *(len(s.sd_of) for s in linear.smooth_weights)])
    positions = [np.arange(start, end) for start, end in itertools.pairwise(ends)]
    smooths = [_smooth_part(s, at, D, unit) for s, at in zip(linear.smooth_weights, positions, strict=True)]
    flat = [100.0 * unit / (_size(D[:, [i]]) or 1.0) for i in range(fixed)]
    precision = np.array(
        [prior.arguments.get("sigma", sd) ** -2.0 for prior, sd in zip(linear.priors, flat, strict=True)]
    )
    score = np.zeros(p)
    score[:fixed] = precision * [prior.arguments.get("mu", 0.0) for prior in linear.priors]
    columns = [[k for k, owner in enumerate(g.owners) if owner == prefix] for g in groups]
    return PredictorData(
        groups=list(groups),
        columns=columns,
        z=[np.column_stack([g.z[k] for k in own]) for g, own in zip(groups, columns, strict=True)],
        codes=[g.codes[prefix] for g in groups],
        smooths=smooths,
        D=D,
        offset=np.zeros(n) if linear.offset is None else linear.offset,
        unit=unit,
        precision=np.append(precision, np.zeros(p - fixed)),
        score=score,
        sd_priors=sd_priors,
    )


def _smooth_part(weights: SmoothWeights, positions: np.ndarray, D: np.ndarray, unit: float) -> SmoothPart:
    return SmoothPart(
        weights.name,
        weights.sd,
        weights.sd_of,
        positions,
        unit / _size(D[:, positions]),
        weights.prior or weights.sd,
        np.array(weights.places or range(weights.sd_of.max() + 1)),
        bool(weights.places),
    )


def _size(Z: np.ndarray) -> float:
    """Standard deviation over the rows of a curve whose weights have sd 1."""
    return float(np.sqrt(np.mean(np.sum(Z**2, axis=1))))
