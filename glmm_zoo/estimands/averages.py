"""Averages of what is predicted of rows: only distinct rows are computed, in blocks that fit the processor's caches."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from glmm_zoo.estimands.event_times import event_quantity
from glmm_zoo.estimands.fitted import RESTRICTED_MEAN, TIME_SCALES, FittedOutcome
from glmm_zoo.estimands.group_choice import GroupChoice, check_levels, predictors_of_rows, student_effects
from glmm_zoo.estimands.linear_rows import EffectDraws, LinearRows
from glmm_zoo.estimands.new_observations import new_observations
from glmm_zoo.estimands.normal_means import Normal
from glmm_zoo.estimands.posterior import PosteriorDraws
from glmm_zoo.estimands.progress import block_by_block
from glmm_zoo.estimands.row_coding import Exposure
from glmm_zoo.estimands.row_moments import FEWEST_ROWS, RowMoments
from glmm_zoo.estimands.row_values import (
    RESPONSE,
    Covariances,
    Quantity,
    RowPredictors,
    pole_of_probabilities,
    quantity,
)
from glmm_zoo.estimands.rows_between import values_between
from glmm_zoo.estimands.student_mixture import drawn_mixture, mixture
from glmm_zoo.estimands.thresholds import thresholds_of_rows
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.formulas.terms import Expression
from glmm_zoo.tables.columns import Table

_BLOCK = 200_000  # draws times rows computed at a time
_BLOCK_BETWEEN = 2_000_000  # where rows are interpolated
_COARSE = 1e4  # errors of integrals of many rows, against those of few
_COARSER, _COARSEST = 0.2, 1e4  # than others are integrals whose share of a mixture is small
_COARSE_MIXTURE = 20, 1e-4  # points and tails of one that has errors of about 3e-5
_NARROW_MIXTURE = 0.5  # the share of their scale that nearly all Student-t effects keep


def quantity_asked(outcome: FittedOutcome, scale: str, times: Sequence[float]) -> Quantity:
    """What a scale is for an outcome, at these times where it is of events.

    Raises
    ------
    InputError
        A scale that is not known, or that the family does not have.
    """
    if outcome.family.event_times is not None and scale in TIME_SCALES and scale != "linear":
        return event_quantity(outcome, scale, times)
    return quantity(outcome, scale)


@dataclass(frozen=True)
class Question:
    """What is predicted of each row of a table, and for whom."""

    outcome: FittedOutcome
    quantity: Quantity
    choice: GroupChoice
    exposure: Exposure
    draws: PosteriorDraws
    _moments: RowMoments = field(default_factory=RowMoments, compare=False)

    def of_scale(self, scale: str) -> Question:
        """The same of another scale."""
        return replace(self, quantity=quantity_asked(self.outcome, scale, self.quantity.times))

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What says all of the question, beside outcome and draws themselves."""
        choice = (*self.choice.by_factor.items(), self.choice.unseen, self.choice.seed)
        return self.quantity.scale, self.quantity.times, choice, self.exposure, id(self.outcome), id(self.draws)

    def restricted_to(self, horizon: float) -> Question:
        """The restricted mean survival time up to a horizon."""
        return replace(self, quantity=event_quantity(self.outcome, RESTRICTED_MEAN, (horizon,)))

    def averages(
        self, table: Table, weights: sparse.csr_array, rows: dict[str, LinearRows] | None = None
    ) -> np.ndarray:
        """Weighted sums of the rows' values (categories, S, cells) for `weights` (cells, rows), where `rows` are coded already."""
        rows = self.outcome.coding.code(table, self.exposure) if rows is None else rows
        check_levels(rows, self.choice, table)
        if (linear := self._linear(rows)) is not None:
            return self.quantity.combine(weighted_predictor(linear, weights, self.draws.size)[None])
        averages = self._by_moments(rows, weights) if weights.shape[1] >= FEWEST_ROWS else None
        if averages is not None:
            return self.quantity.combine(averages)
        first, of_row = distinct_rows(rows, self.choice.by_level)
        if self.quantity.scale == RESPONSE:
            order = np.argsort(of_row, kind="stable")  # every row has an observation of its own
            first, of_row = order, np.argsort(order, kind="stable")
        trials, rng = self._trials(table), np.random.default_rng([self.choice.seed, 1])

        def values(places: np.ndarray) -> np.ndarray:
            in_rows = {part: linear.take(places) for part, linear in rows.items()}
            return self.of_rows(in_rows, trials[places], rng)

        integrated = self.quantity.interpolated and any(linear.random for linear in rows.values())
        block = _BLOCK_BETWEEN if integrated else _BLOCK
        return self.quantity.combine(weighted_sums(values, first, of_row, weights, max(1, block // self.draws.size)))

    def _linear(self, rows: dict[str, LinearRows]) -> LinearRows | None:
        """The linear predictor where it is what is asked, and no level of a row matters: its average is that of its columns."""
        alone = rows.get("") if len(rows) == 1 else None
        if alone is None or not self.quantity.is_predictor or alone.unknown or alone.bounds:
            return None
        levels_matter = any(self.choice.of(t.effects.factor) not in ("population", "typical") for t in alone.random)
        return None if levels_matter else alone

    def _by_moments(self, rows: dict[str, LinearRows], weights: sparse.csr_array) -> np.ndarray | None:
        """The weighted sums of very many rows; None where each must be computed, or that is as fast."""
        simple = self.quantity.scale not in (RESPONSE, "linear") and "nominal" not in rows and not self.outcome.nested
        if not simple or student_effects(rows, self.choice) is not None or any(r.bounds for r in rows.values()):
            return None
        size, thresholds = self.draws.size, thresholds_of_rows(self.outcome, self.draws, None)
        own = self._own_parameters()

        def values(variables: Mapping[str, Normal], covariances: Covariances, draws: slice) -> np.ndarray:
            """Each part by itself where it depends on some of the axes alone; those of times to an event in all points."""
            axes = next(iter(variables.values())).mean.ndim - 1
            flat = self.outcome.family.event_times is not None
            shape = [1] if flat else [1] * axes
            of_draws = {name: x[draws].reshape(-1, *shape, *x.shape[2:]) for name, x in own.items()}
            cuts = None if thresholds is None else thresholds[:, draws].reshape(len(thresholds), -1, *shape)
            if not flat:
                return self.quantity.values(RowPredictors(variables, covariances, of_draws, cuts))
            all_points = np.broadcast_shapes(*(part.shape for x in variables.values() for part in (x.mean, x.variance)))

            def in_points(x: np.ndarray) -> np.ndarray:
                return np.broadcast_to(x, all_points).reshape(all_points[0], -1)

            moved = {part: Normal(in_points(x.mean), in_points(x.variance)) for part, x in variables.items()}
            of_pairs = {pair: in_points(x) for pair, x in covariances.items()}
            found = self.quantity.values(RowPredictors(moved, of_pairs, of_draws, cuts))
            return np.broadcast_to(found, (len(found), all_points[0], int(np.prod(all_points[1:])))).reshape(
                -1, *all_points
            )

        return self._moments.averages(
            rows,
            weights,
            self.choice.by_level,
            lambda some: predictors_of_rows(some, self.choice, size),
            values,
            lambda: len(distinct_rows(rows, self.choice.by_level)[0]),
            share=self.quantity.interpolated or self.outcome.is_share(self.quantity.scale),
        )

    def _own_parameters(self) -> dict[str, np.ndarray]:
        """Draws (S, 1) of the family's own parameters that have no linear predictor, but for cutpoints."""
        return {name: self.draws[v][:, None] for name, v in self.outcome.own.items() if name != "cutpoints"}

    def _trials(self, table: Table) -> np.ndarray:
        """Trials (m,) of new observations: those of the rows where they say them, else one."""
        response = next(iter(self.outcome.parts.values())).formula.response
        trials = None if response is None else response.trials
        if isinstance(trials, Expression) and all(c in table.columns for c in trials.columns):
            return evaluate_expression(trials, table)
        return np.full(table.rows, float(trials) if isinstance(trials, int) else 1.0)

    def of_rows(self, rows: dict[str, LinearRows], trials: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Values (categories, S, m) of rows of these linear predictors; `trials` and `rng` are of new observations."""
        size = self.draws.size
        linear = {part: r for part, r in rows.items() if part != "nominal"}
        own = self._own_parameters()
        own |= {name: b for r in linear.values() for name, b in r.bounds.items()}
        thresholds = thresholds_of_rows(self.outcome, self.draws, rows.get("nominal"))
        student = student_effects(linear, self.choice)

        def predictors(mixing: np.ndarray | None) -> RowPredictors:
            coarser = _COARSE if size * len(trials) > _BLOCK else 1.0
            return RowPredictors(*predictors_of_rows(linear, self.choice, size, mixing), own, thresholds, coarser)

        if self.quantity.scale == RESPONSE:
            drawn = None if student is None or student.df is None else drawn_mixture(student.df, len(trials), rng)
            return new_observations(predictors(drawn), self.outcome, rng, trials)[None]
        values = self._interpolated(linear, predictors, student) if self.quantity.interpolated else None
        if values is None:
            values = self._mixed(predictors, student, coarse=self.outcome.nested)
        return np.broadcast_to(values, (len(values), size, len(trials)))

    def _mixed(
        self, predictors: Callable[[np.ndarray | None], RowPredictors], student: EffectDraws | None, *, coarse: bool
    ) -> np.ndarray:
        """Values (categories, S, m) of rows with these `predictors(mixing)`, over the mixing of Student-t effects if there are any, of
        probabilities with few digits if it may be `coarse`."""
        size = self.draws.size
        if student is None or student.df is None:
            return self.quantity.values(predictors(None))
        if self.quantity.scale == "linear" or (self.quantity.scale == "mean" and self.outcome.link == "identity"):
            return self.quantity.values(predictors(np.ones((size, 1))))  # a mean that no variance enters
        values = np.zeros(())
        for w, p in zip(*(mixture(student.df, *_COARSE_MIXTURE) if coarse else mixture(student.df)), strict=True):
            given = predictors(w[:, None])
            coarser = min(max(1.0, _COARSER / p.max()), _COARSEST) * given.coarser
            values = values + p[:, None] * self.quantity.values(replace(given, coarser=coarser))
        return values

    def _interpolated(
        self,
        linear: dict[str, LinearRows],
        predictors: Callable[[np.ndarray | None], RowPredictors],
        student: EffectDraws | None,
    ) -> np.ndarray | None:
        """Values (categories, S, m) of rows, computed at few points; None where that is not worthwhile."""
        size = self.draws.size
        all_rows = predictors(None if student is None else np.ones((size, 1)))
        if all(x.certain for x in all_rows.variables.values()):
            return None

        def at_points(means: Mapping[str, np.ndarray], row: int) -> np.ndarray:
            one = {part: rows.take(np.array([row])) for part, rows in linear.items()}
            thresholds = all_rows.thresholds
            if thresholds is not None and thresholds.shape[2] > 1:
                thresholds = thresholds[:, :, row : row + 1]

            def there(mixing: np.ndarray | None) -> RowPredictors:
                variables, covariances = predictors_of_rows(one, self.choice, size, mixing)
                moved = {part: replace(x, mean=means[part]) for part, x in variables.items()}
                return RowPredictors(moved, covariances, all_rows.own, thresholds, _COARSE)

            return self._mixed(there, student, coarse=self.outcome.nested)

        narrower = 1.0 if student is None else _NARROW_MIXTURE
        found = values_between(all_rows, pole_of_probabilities(self.outcome), at_points, narrower)
        return None if found is None else np.maximum(found, 0.0, out=found)


def weighted_sums(
    values: Callable[[np.ndarray], np.ndarray],
    first: np.ndarray,
    of_row: np.ndarray,
    weights: sparse.csr_array,
    step: int,
) -> np.ndarray:
    """Weighted sums (k, S, cells) of `values(places)` (k, S, m), for `weights` (cells, rows), computed for `step` rows at a time.

    Only the rows `first` are computed; `of_row` (rows,) says at which place among them the value of each row is.
    """
    n = len(of_row)
    places = sparse.csr_array((np.ones(n), (np.arange(n), of_row)), (n, len(first)))
    of_distinct = sparse.csr_array(weights @ places).tocsc()
    total = np.empty(0)
    for start in block_by_block(range(0, len(first), step)):
        block = slice(start, start + step)
        of_rows, in_block = values(first[block]), sparse.csr_array(of_distinct[:, block])
        cells = np.flatnonzero(np.diff(in_block.indptr))  # that have a row of this block
        total = np.zeros((*of_rows.shape[:2], weights.shape[0])) if start == 0 else total
        for k, of_one in enumerate(of_rows):
            total[k][:, cells] += (in_block[cells] @ of_one.T).T
    return total


def weighted_predictor(rows: LinearRows, weights: sparse.csr_array, size: int) -> np.ndarray:
    """Weighted sums (S, cells) of a linear predictor without group effects, for `weights` (cells, m)."""
    total = np.tile(weights @ rows.offset, (size, 1))
    for columns, draws in rows.blocks:
        total += draws @ (weights @ columns).T
    return total


def distinct_rows(rows: dict[str, LinearRows], by_level: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The first of the rows that are alike in all linear predictors, and for each row (m,) its place among those."""
    keys = np.column_stack([part for linear in rows.values() for part in linear.keys(by_level)]) + 0.0  # -0 is 0
    as_bytes = np.ascontiguousarray(keys).view(np.dtype((np.void, keys.dtype.itemsize * keys.shape[1]))).ravel()
    _, first, of_row = np.unique(as_bytes, return_index=True, return_inverse=True)
    return first, of_row.ravel()
