"""The log-likelihood of each level of a grouping factor, its effects and those nested inside integrated out.

log f(rows of the level) = log E prod_i f(y_i | eta_i),  eta_i = what is given + sum over factors g integrated of z_gi' R_g z_g,
z_g standard normal, R_g R_g' = S_g
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.estimands.fitted import FittedModel, FittedOutcome
from glmm_zoo.estimands.group_choice import covariance_root
from glmm_zoo.estimands.linear_rows import LinearRows, RandomTerm, own_effects
from glmm_zoo.estimands.log_integrals import POINTS_BY_DIMENSION, log_normal_mean, sampled_log_normal_mean
from glmm_zoo.estimands.progress import block_by_block
from glmm_zoo.estimands.row_coding import Exposure
from glmm_zoo.estimands.student_mixture import mixture
from glmm_zoo.estimands.thresholds import thresholds_of_rows
from glmm_zoo.tables.columns import Table

_BLOCK = 200_000  # draws times rows computed at a time
_MIXTURE_POINTS = 16  # over the scales of Student-t effects
_NESTED_POINTS = 31  # in each of two dimensions or more, one integral inside another


@dataclass(frozen=True)
class LevelLikelihood:
    """Draws (S, L) of the log-likelihood of each level.

    `integrated` are the factors whose effects are integrated out, the left-out one first, `given` those that are not. `pareto_k`
    (L,) is that of the importance sampling which integrates; None where there is none.
    """

    levels: tuple[str, ...]
    values: np.ndarray
    integrated: tuple[str, ...]
    given: tuple[str, ...]
    pareto_k: np.ndarray | None = None


@dataclass(frozen=True)
class RowsOfLevels:
    """Rows whose likelihood is computed: their linear predictors, response, trials and weights, and the level of each factor (m,), as a number
    and as it is called, by the factor's name."""

    outcome: FittedOutcome
    parts: Mapping[str, LinearRows]
    y: np.ndarray
    trials: np.ndarray | None
    codes: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]
    weights: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> RowsOfLevels:
        return replace(
            self,
            parts={part: linear.take(rows) for part, linear in self.parts.items()},
            y=self.y[rows],
            trials=None if self.trials is None else self.trials[rows],
            codes={factor: codes[rows] for factor, codes in self.codes.items()},
            labels={factor: labels[rows] for factor, labels in self.labels.items()},
            weights=None if self.weights is None else self.weights[rows],
        )

    def is_inside(self, inner: str, outer: str) -> bool:
        """Whether each level of one factor occurs in one level of another only."""
        pairs = np.unique(np.column_stack([self.codes[inner], self.codes[outer]]), axis=0)
        return len(pairs) == len(np.unique(self.codes[inner]))

    def members_inside(self, outer: str) -> str | None:
        """A factor of which rows have several levels, each of them in one level of the outer factor only; None where there is none."""
        pairs: dict[str, set[tuple[str, int]]] = {}
        for term in (t for linear in self.parts.values() for t in linear.random if t.effects.members):
            assert term.labels is not None
            found = zip(term.labels.tolist(), self.codes[outer].tolist(), strict=True)
            pairs.setdefault(term.effects.factor, set()).update(found)
        return next((f for f, found in pairs.items() if len(found) == len({label for label, _ in found})), None)


def rows_by_level(
    outcome: FittedOutcome, table: Table, y: np.ndarray, trials: np.ndarray | None, weights: np.ndarray | None
) -> RowsOfLevels:
    """The rows of a table with the exposure that they have, and with responses that are given."""
    parts = outcome.coding.code(table, Exposure(given=frozenset(outcome.coding.exposure)))
    terms = [term for linear in parts.values() for term in linear.random if not term.effects.members]
    labels = {term.effects.factor: term.labels for term in terms if term.labels is not None}
    codes = {t.effects.factor: t.labels if t.labels is not None and (t.codes < 0).any() else t.codes for t in terms}
    numbers = {factor: np.unique(of_rows, return_inverse=True)[1].ravel() for factor, of_rows in codes.items()}
    return RowsOfLevels(outcome, parts, y, trials, numbers, labels, weights)


def level_likelihood(model: FittedModel, rows: RowsOfLevels, factor: str, inside: Sequence[str]) -> LevelLikelihood:
    """Draws of the log-likelihood of each level of a factor that occurs in the rows; the effects of the factors `inside`, coarse ones
    first, go with it."""
    integrated, size = (factor, *inside), model.draws.size
    rows = rows.take(np.lexsort([rows.codes[f] for f in reversed(integrated)]))
    starts = _level_of_row(rows.codes[factor])[1]
    ends = np.append(starts[1:], len(rows.y))
    terms = [t for linear in rows.parts.values() for t in linear.random if t.effects.factor in integrated]
    sizes = {t.effects.variable: t.effects.covariance.shape[-1] for t in terms}
    one_each = set(sizes.values()) == {1} and len(sizes) == len(integrated)
    chain = one_each and all(rows.is_inside(b, a) for a, b in pairwise(integrated))
    mixing, log_p = _mixture_of_levels(terms, factor, size)
    values, pareto_k = [], []
    for block in block_by_block(list(_blocks(starts, ends, max(1, _BLOCK // size)))):
        value, k = np.array(-np.inf), np.full(len(block), np.nan)
        for w, p in zip(mixing, log_p, strict=True):
            given = _GivenRows.of(model, rows.take(np.arange(starts[block[0]], ends[block[-1]])), integrated, w)
            of_w, its_k = _integral(given, (size, len(block)), integrated if chain else ())
            value, k = np.logaddexp(value, of_w + p[:, None]), np.fmax(k, its_k)
        values.append(value)
        pareto_k.append(k)
    k = np.concatenate(pareto_k)
    return LevelLikelihood(
        tuple(map(str, rows.labels[factor][starts])),
        np.concatenate(values, axis=1),
        integrated,
        tuple(f for f in rows.outcome.coding.factors if f not in integrated),
        None if np.isnan(k).all() else k,
    )


def _mixture_of_levels(terms: Sequence[RandomTerm], factor: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """What the covariance of the effects of a level of the factor left out is multiplied by (points, S), and the logarithms of the
    probabilities of that: 1 alone, but of Student-t effects.

    Raises
    ------
    InputError
        Student-t effects of a factor nested inside, whose levels have such a number each.
    """
    student = next((t.effects for t in terms if t.effects.df is not None), None)
    if student is None or student.df is None:
        return np.ones((1, size)), np.zeros((1, size))
    if student.factor != factor:
        raise InputError(
            f"level={factor!r} integrates over the Student-t effects of each {student.factor} inside, which is not available; "
            f"leave out level={student.factor!r}, or rows"
        )
    w, p = mixture(student.df, _MIXTURE_POINTS)
    return w, np.log(np.maximum(p, 1e-300))


def _integral(given: _GivenRows, shape: tuple[int, int], chain: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The logarithm of the likelihood of each level (S, L), its effects integrated out, and the Pareto k (L,) of it, if any."""
    k = np.full(shape[1], np.nan)
    if given.dimension <= max(POINTS_BY_DIMENSION):
        return log_normal_mean(given.log_likelihood, shape, given.dimension), k
    if chain:
        return given.nested(chain), k
    value, weights = sampled_log_normal_mean(given.log_likelihood, shape, given.dimension)
    return value, _worst_pareto_k(weights)


def _blocks(starts: np.ndarray, ends: np.ndarray, most: int) -> list[list[int]]:
    """Levels in runs of at most so many rows, of one level at least."""
    blocks: list[list[int]] = []
    first = 0
    for level, end in enumerate(ends):
        if not blocks or end - first > most:
            blocks.append([])
            first = starts[level]
        blocks[-1].append(level)
    return blocks


def _worst_pareto_k(weights: np.ndarray, draws: int = 20) -> np.ndarray:
    """The largest Pareto k (L,) of log weights (samples, S, L), of a few draws."""
    import arviz_stats  # noqa: F401  # registers the accessor

    S = weights.shape[1]
    few = weights[:, np.unique(np.linspace(0, S - 1, min(draws, S)).astype(int))]
    spread = np.ptp(few, axis=0) > 1e-6  # equal weights are exact
    of_log_likelihood = xr.DataArray(-few, dims=("sample", "few", "level"))
    _, k = of_log_likelihood.azstats.psislw(r_eff=1.0, dim=["sample"])
    return np.where(spread, k.transpose("few", "level").values, -np.inf).max(axis=0)


# ------------------------------------------------------------------------------------------------------ given the effects


@dataclass(frozen=True)
class _IntegratedTerm:
    """A term in m rows: columns (S, m, K) that multiply the K standard normal effects of the rows' level of a factor."""

    part: str
    factor: str
    variable: str
    columns: np.ndarray


@dataclass(frozen=True)
class _GivenRows:
    """Rows, sorted by level, with what is not integrated: predictors (S, m) by part, and draws of the family's own parameters.

    `level` (m,) and `starts` (L,) say which rows each level has; the effects of all that is integrated are z (S, L, dimension), of
    which those of a row at the term's K columns are from `places` (m,) on, by the variable of the effects.
    """

    rows: RowsOfLevels
    own: Mapping[str, np.ndarray]
    etas: Mapping[str, np.ndarray]
    terms: tuple[_IntegratedTerm, ...]
    level: np.ndarray
    starts: np.ndarray
    places: Mapping[str, np.ndarray]
    dimension: int

    @classmethod
    def of(cls, model: FittedModel, rows: RowsOfLevels, integrated: Sequence[str], mixing: np.ndarray) -> _GivenRows:
        etas, terms = {}, []
        for part, linear in rows.parts.items():
            eta = linear.fixed(model.draws.size) if part != "nominal" else None
            for term in linear.random:
                if term.effects.factor in integrated:
                    terms.append(
                        _IntegratedTerm(part, term.effects.factor, term.effects.variable, _columns(term, mixing))
                    )
                else:
                    eta += own_effects(term, term.effects.of_levels(), _known_levels(term))
            if eta is not None:
                etas[part] = eta
        level, starts = _level_of_row(rows.codes[integrated[0]])
        places, dimension = {}, 0
        for term in terms:
            if term.variable not in places:
                place = _place_within(level, rows.codes[term.factor])
                K = term.columns.shape[-1]
                places[term.variable] = dimension + K * place
                dimension += K * (int(place.max()) + 1)
        return cls(rows, _own_parameters(model, rows), etas, tuple(terms), level, starts, places, dimension)

    def row_log_density(self, etas: Mapping[str, np.ndarray]) -> np.ndarray:
        """log f(y_i) (S, m), times the weights of rows that have any."""
        outcome = self.rows.outcome
        own = {**self.own, **{part: eta for part, eta in etas.items() if part}}
        log_f = outcome.family.log_density(self.rows.y, outcome.main(etas), own, outcome.link, self.rows.trials)
        return log_f if self.rows.weights is None else log_f * self.rows.weights

    def log_likelihood(self, z: np.ndarray) -> np.ndarray:
        """The log-likelihood (S, L) of each level given its effects (S, L, D)."""
        etas = dict(self.etas)
        for term in self.terms:
            for k, column in enumerate(np.moveaxis(term.columns, -1, 0)):
                etas[term.part] = etas[term.part] + column * z[:, self.level, self.places[term.variable] + k]
        return np.add.reduceat(self.row_log_density(etas), self.starts, axis=1)

    def nested(self, factors: Sequence[str]) -> np.ndarray:
        """log E (S, L) by one integral inside another, where each level has one effect and lies in one level of the factor before."""
        level_of_row, starts = zip(*(_level_of_row(self.rows.codes[f]) for f in factors), strict=True)

        def of_levels(depth: int, etas: Mapping[str, np.ndarray]) -> np.ndarray:
            if depth == len(factors):
                return self.row_log_density(etas)
            level, inner = level_of_row[depth], starts[depth]
            if depth + 1 < len(factors):
                inner = level_of_row[depth + 1][inner]

            def given(z: np.ndarray) -> np.ndarray:
                moved = dict(etas)
                for term in self.terms:
                    if term.factor == factors[depth]:
                        moved[term.part] = moved[term.part] + term.columns[:, :, 0] * z[:, level, 0]
                return np.add.reduceat(of_levels(depth + 1, moved), inner, axis=1)

            shape = (len(next(iter(etas.values()))), len(starts[depth]))
            return log_normal_mean(given, shape, 1, _NESTED_POINTS)

        return of_levels(0, self.etas)


def _place_within(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The place (m,) of each row's level of one factor among those of its level of another; 0 where both are the same."""
    pairs, of_row = np.unique(np.column_stack([outer, inner]), axis=0, return_inverse=True)
    first = np.searchsorted(pairs[:, 0], pairs[:, 0])
    return (np.arange(len(pairs)) - first)[of_row.ravel()]


def _own_parameters(model: FittedModel, rows: RowsOfLevels) -> dict[str, np.ndarray]:
    """Draws of the family's own parameters, (S, 1), and thresholds (S, m or 1, K - 1)."""
    known = {own.name: own for own in rows.outcome.family.own if own.scale != "thresholds"}
    own = {
        name: known[name].on_its_scale(model.draws[variable])[:, None]
        for name, variable in rows.outcome.own.items()
        if name in known
    }
    thresholds = thresholds_of_rows(rows.outcome, model.draws, rows.parts.get("nominal"))
    return own if thresholds is None else {**own, "cutpoints": np.moveaxis(thresholds, 0, -1)}


def _columns(term: RandomTerm, mixing: np.ndarray) -> np.ndarray:
    S = term.effects.covariance
    columns = np.empty((len(S), len(term.z), S.shape[-1]))
    for rows, of_rows in term.covariances:
        root = covariance_root(of_rows)[:, list(term.places), :]  # (S, k, K)
        columns[:, rows] = np.einsum("mj,sjk->smk", term.z[rows], root)
    if term.effects.df is not None:
        columns *= np.sqrt(mixing)[:, None, None]
    return columns if term.loading is None else columns * term.loading[:, None, None]


def _known_levels(term: RandomTerm) -> np.ndarray:
    if (term.codes < 0).any():
        assert term.labels is not None
        label = term.labels[term.codes < 0][0]
        raise InputError(
            f"{term.effects.factor} {label!r} occurs in what is left out only, so that nothing is known of its effect; leave out "
            f"a level of {term.effects.factor} instead, or use refit=False"
        )
    return term.codes


def _level_of_row(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of each row's level (m,) among those of sorted rows, and where each begins."""
    new = np.append(True, labels[1:] != labels[:-1])
    return np.cumsum(new) - 1, np.flatnonzero(new)
