"""The likelihood of repeated measures: the residuals of a subject are jointly normal, one term for each subject.

With e_i = (y_i - eta_i) / sigma of the m rows of subject i, standardised residuals with correlation matrix R_i,

    log f(y_i) = -(e_i' R_i^-1 e_i + log det R_i + m log(2 pi)) / 2 - sum log sigma

    one before      ar1, car1: z = (e_t - w e_s) / sqrt(v) given the row before, w = rho^(t - s), v = 1 - w^2
    exchangeable    e' R^-1 e = (e'e - rho (1'e)^2 / (1 + (m - 1) rho)) / (1 - rho),  det R = (1 - rho)^(m - 1) (1 + (m - 1) rho)
    by pattern      z = L^-1 e, L the Cholesky factor of the correlations of the visits that were seen, one for each pattern of them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Protocol

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.shape_utils import rv_size_is_none

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.correlation import correlation_factor
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.transforms.autoregressive import along_series
from glmm_zoo.graph.triangular import ONE, ROUNDING, ZERO
from glmm_zoo.graph.variables import data_name, log_positive, variable
from glmm_zoo.plans.plan import PlannedOutcome
from glmm_zoo.plans.residuals import RESIDUAL, Residuals


class ResidualLaw(Protocol):
    """The law of standardised residuals e (n,), given the correlations as a vector."""

    def log_density(self, e: Tensor, correlations: Tensor) -> Tensor:
        """log f of the residuals of each subject (S,), without the constant."""
        ...

    def draw(self, correlations: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        """Residuals (*batch, n)."""
        ...


def observe_repeated_measures(
    model: Model, planned: PlannedOutcome, residuals: Residuals, etas: Mapping[str, Tensor]
) -> None:
    """y (n,) over all rows; its log density is a vector over subjects."""
    codes, y = residuals.subjects.codes, planned.outcome.values
    if residuals.structure == "unstructured" or residuals.by_visit:
        model.add_coord(residuals.dim, list(residuals.visits))
    if residuals.by_visit:
        log_sigma: Tensor = variable(model, "sigma", residuals.dim)
        log_sigma = pt.log(log_sigma[residuals.visit])
    else:
        log_sigma = log_positive(model, "sigma", etas) + pt.zeros(len(y))
    law, correlations = _law_of(model, residuals)
    constant = -0.5 * np.log(2 * np.pi) * np.bincount(codes)

    def log_p(y: Tensor, eta: Tensor, log_sigma: Tensor, correlations: Tensor) -> Tensor:
        return law.log_density((y - eta) * pt.exp(-log_sigma), correlations) - _sums(log_sigma, codes) + constant

    def draw(eta: Tensor, log_sigma: Tensor, correlations: Tensor, size: Tensor) -> Tensor:
        return eta + pt.exp(log_sigma) * law.draw(correlations, () if rv_size_is_none(size) else tuple(size))

    eta = etas[planned.prefix]
    pm.CustomDist(
        planned.name,
        eta,
        log_sigma,
        correlations,
        logp=log_p,
        dist=draw,
        signature="(n),(n),(m)->(n)",
        observed=pm.Data(data_name(f"{planned.name}_observed"), y, dims="row"),
        dims="row",
        class_name="MvNormal",
    )
    model.no_preview = (
        f"quick takes rows as independent, and the residuals of one {residuals.subjects.name} are correlated here"
    )
    model.working_log_likelihood = -0.5 * ((y - eta) * pt.exp(-log_sigma)) ** 2 - log_sigma


def _law_of(model: Model, residuals: Residuals) -> tuple[ResidualLaw, Tensor]:
    """The law of the residuals and the correlations that it takes."""
    if residuals.structure == "unstructured":
        return _ByPattern.of_pairs(residuals), _pairs(model, residuals)
    if residuals.structure == "toeplitz":
        return _ByPattern.of_lags(residuals), _lags(model, len(residuals.visits))
    if residuals.structure == "compound":
        return _Exchangeable(residuals.subjects.codes), variable(model, "rho")[None]
    law = _OneBefore.of(residuals)
    if residuals.structure == "ar1":
        return law, law.of_steps(variable(model, "rho"))
    model.auxiliary.add("rho_at_gap")
    log_rho: Tensor = pt.log(variable(model, "rho_at_gap"))
    log_rho = log_rho / law.middle_gap
    pm.Deterministic("rho", pt.exp(log_rho))
    return law, law.of_times(log_rho)


def _sums(rows: Tensor, codes: np.ndarray) -> Tensor:
    """Sums over the rows of each subject (S,)."""
    return pt.zeros(int(codes.max()) + 1)[codes].inc(rows)


# ----------------------------------------------------------------------------------------------------------- correlations


def _pairs(model: Model, residuals: Residuals) -> Tensor:
    """Correlations of the pairs of visits, in the order of `combinations`, and `corr_residual`."""
    visits = residuals.visits
    model.add_coord(f"{residuals.dim}_bis", list(visits))
    model.auxiliary.add(f"pcorr_{RESIDUAL}")
    eta = model.chosen[f"corr_{RESIDUAL}"][0].arguments["eta"]
    C = correlation_factor(model, f"pcorr_{RESIDUAL}", visits, eta)
    of_pair = {(i, j): _product(C[i][: i + 1], C[j][: i + 1]) for i, j in combinations(range(len(visits)), 2)}
    places = range(len(visits))
    R = [[ONE if i == j else of_pair[min(i, j), max(i, j)] for j in places] for i in places]
    pm.Deterministic(
        f"corr_{RESIDUAL}", pt.stack([pt.stack(row) for row in R]), dims=(residuals.dim, f"{residuals.dim}_bis")
    )
    return pt.stack(list(of_pair.values()))


def _lags(model: Model, visits: int) -> Tensor:
    """Autocorrelations rho_k, k = 1 to visits - 1, from partial ones p_k, which are free (Durbin & Levinson):

    rho_k = p_k v_(k-1) + sum_{j<k} a_j rho_(k-j),  a_j - p_k a_(k-j) for a_j after it,  v_k = v_(k-1) (1 - p_k^2)
    """
    model.add_coord("lag", [str(k) for k in range(1, visits)])
    model.auxiliary.add("partial_rho")
    p = variable(model, "partial_rho", "lag")
    rho: list[Tensor] = []
    a: list[Tensor] = []
    v: Tensor = ONE
    for k in range(visits - 1):
        rho.append(p[k] * v + _product(a, rho[::-1]))
        a = [*(x - p[k] * y for x, y in zip(a, a[::-1], strict=True)), p[k]]
        v = v * (1.0 - p[k] * p[k])
    return pm.Deterministic("rho", pt.stack(rho), dims="lag")


def _product(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    return sum((x * y for x, y in zip(a, b, strict=True)), start=ZERO)


# ------------------------------------------------------------------------------------------------------------------- laws


@dataclass(frozen=True)
class _Exchangeable:
    """All residuals of a subject correlate alike, by rho >= 0. `codes` (n,) say whose row is which."""

    codes: np.ndarray

    def log_density(self, e: Tensor, correlations: Tensor) -> Tensor:
        rho, m = correlations[0], np.bincount(self.codes).astype(float)
        together: Tensor = 1.0 + (m - 1.0) * rho
        square = (_sums(e * e, self.codes) - rho * _sums(e, self.codes) ** 2 / together) / (1.0 - rho)
        log_rest: Tensor = pt.log1p(-rho)
        return -0.5 * (square + (m - 1.0) * log_rest + pt.log(together))

    def draw(self, correlations: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        rho = correlations[0]
        shared = pm.Normal.dist(0.0, 1.0, size=(*batch, int(self.codes.max()) + 1))
        own = pm.Normal.dist(0.0, 1.0, size=(*batch, len(self.codes)))
        return pt.sqrt(rho) * shared[..., self.codes] + pt.sqrt(1.0 - rho) * own


@dataclass(frozen=True)
class _OneBefore:
    """A residual depends on the one before it of the same subject.

    `before` (n,) has the row before each, the first of a subject itself; `gaps` (G,) the distances in time that occur, and `gap` (n,)
    which of them lies before a row, G before the first; `blocks` are those of `along_series`.
    """

    codes: np.ndarray
    before: np.ndarray
    gaps: np.ndarray
    gap: np.ndarray
    blocks: Sequence[np.ndarray]

    @classmethod
    def of(cls, residuals: Residuals) -> _OneBefore:
        codes, time = residuals.subjects.codes, residuals.time
        order = np.lexsort((time, codes))
        chains = sorted(np.split(order, np.flatnonzero(np.diff(codes[order])) + 1), key=len, reverse=True)
        before = np.arange(len(codes))
        for chain in chains:
            before[chain[1:]] = chain[:-1]
        later = before != np.arange(len(codes))
        gaps, which = np.unique((time - time[before])[later], return_inverse=True)
        gap = np.full(len(codes), len(gaps))
        gap[later] = which
        blocks = [np.array([c[k] for c in chains if len(c) > k]) for k in range(len(chains[0]))]
        return cls(codes, before, gaps, gap, blocks)

    @property
    def middle_gap(self) -> float:
        """The median distance in time of a row to the one before it, for which the prior of car1 holds in every unit of time."""
        return float(np.median(self.gaps[self.gap[self.gap < len(self.gaps)]]))

    def of_times(self, log_rho: Tensor) -> Tensor:
        """w of every gap and then of none, 0, followed by v of these: (2 (G + 1),)."""
        log_w = self.gaps * log_rho
        v: Tensor = pt.expm1(2.0 * log_w)
        return pt.concatenate([pt.exp(log_w), pt.zeros(1), -v, pt.ones(1)])

    def of_steps(self, rho: Tensor) -> Tensor:
        """The same of gaps that are whole numbers, for which rho may be below 0."""
        powers: list[Tensor] = [ONE]
        for _ in range(int(self.gaps.max())):
            powers.append(powers[-1] * rho)
        w: Tensor = pt.stack([powers[int(gap)] for gap in self.gaps])
        return pt.concatenate([w, pt.zeros(1), 1.0 - w * w, pt.ones(1)])

    def _of_rows(self, correlations: Tensor) -> tuple[Tensor, Tensor]:
        return correlations[self.gap], pt.sqrt(correlations[self.gap + len(self.gaps) + 1])

    def log_density(self, e: Tensor, correlations: Tensor) -> Tensor:
        w, scale = self._of_rows(correlations)
        z = (e - w * e[self.before]) / scale
        return _sums(-0.5 * z * z - pt.log(scale), self.codes)

    def draw(self, correlations: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        z = pm.Normal.dist(0.0, 1.0, size=(*batch, len(self.codes)))
        return along_series(self.blocks, *self._of_rows(correlations), z)


@dataclass(frozen=True)
class _ByPattern:
    """A Cholesky factor for every pattern of visits seen.

    `rows` (S, K) are the rows of each subject in the order of visits, `seen` (S, K) whether there is one; `pattern` (S,) is which
    pattern a subject has. Of pattern p, places i and j correlate by element `element[p, i, j]` of the correlations, those without a row
    by a last one, 0.
    """

    rows: np.ndarray
    seen: np.ndarray
    pattern: np.ndarray
    element: np.ndarray

    @classmethod
    def of_pairs(cls, residuals: Residuals) -> _ByPattern:
        k = len(residuals.visits)
        pairs = np.full((k, k), k * (k - 1) // 2)
        for at, (i, j) in enumerate(combinations(range(k), 2)):
            pairs[i, j] = pairs[j, i] = at
        return cls._of(residuals, pairs)

    @classmethod
    def of_lags(cls, residuals: Residuals) -> _ByPattern:
        visits = np.arange(len(residuals.visits))
        return cls._of(residuals, np.abs(visits[:, None] - visits) - 1)

    @classmethod
    def _of(cls, residuals: Residuals, of_visits: np.ndarray) -> _ByPattern:
        """`of_visits` (T, T) is the element of every pair of visits."""
        codes, visit = residuals.subjects.codes, residuals.visit
        order = np.lexsort((visit, codes))
        many = np.bincount(codes)
        place = np.arange(len(codes)) - np.repeat(np.cumsum(many) - many, many)
        rows = np.full((len(many), many.max()), -1)
        rows[codes[order], place] = order
        seen = rows >= 0
        patterns, pattern = np.unique(np.where(seen, visit[rows], -1), axis=0, return_inverse=True)
        both = (patterns >= 0)[:, :, None] & (patterns >= 0)[:, None, :]
        element = np.where(both, of_visits[patterns[:, :, None], patterns[:, None, :]], -1)
        return cls(np.maximum(rows, 0), seen, pattern.ravel(), element)

    def _factors(self, correlations: Tensor) -> list[list[Tensor]]:
        """Rows of the lower triangle of each pattern's factor (patterns,); 1 on the diagonal where there is no row."""
        with_zero: Tensor = pt.concatenate([correlations, pt.zeros(1)])
        L: list[list[Tensor]] = []
        for i in range(self.rows.shape[1]):
            row: list[Tensor] = []
            for j in range(i):
                row.append((with_zero[self.element[:, i, j]] - _product(row, L[j][:j])) / L[j][j])
            left = pt.maximum(1.0 - _product(row, row), ROUNDING)
            L.append([*row, pt.sqrt(left + pt.zeros(len(self.element)))])
        return L

    def log_density(self, e: Tensor, correlations: Tensor) -> Tensor:
        z: list[Tensor] = []
        L = self._factors(correlations)
        for i, (*row, last) in enumerate(L):
            seen = self.seen[:, i].astype(float)
            known = _product([x[self.pattern] for x in row], z)
            z.append((e[self.rows[:, i]] * seen - known) / last[self.pattern])
        log_det = _product([pt.log(row[-1]) for row in L], [ONE] * len(L))
        return -0.5 * _product(z, z) - log_det[self.pattern]

    @cached_property
    def _place_of_row(self) -> np.ndarray:
        """The place of every row (n,) in `rows` written as one vector."""
        places = np.flatnonzero(self.seen)
        return places[np.argsort(self.rows.ravel()[places])]

    def draw(self, correlations: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        subjects, most = self.rows.shape
        z = pm.Normal.dist(0.0, 1.0, size=(*batch, subjects, most))
        e: list[Tensor] = [
            _product([x[self.pattern] for x in row], [z[..., j] for j in range(len(row))])
            for row in self._factors(correlations)
        ]
        places: Tensor = pt.stack(e, axis=-1)
        return places.reshape((*batch, subjects * most))[..., self._place_of_row]
