"""The event of a joint model in a population: survival, incidence by cause and restricted mean survival time of rows of covariates.

    survival    S(t) = E exp(-H(t | u)),  H the cumulative hazard of all causes, u the effects of subjects and groups
    incidence   F_k(t) = E int_0^t h_k(s | u) exp(-H(s | u)) ds
    rmst        int_0^t S(s) ds
    rmtl        int_0^t F_k(s) ds, the time lost to a cause
    events      E H(t | u, v), how many are expected of events that come again, v the frailty

Averaged over rows in each draw: standardised over covariates, which stay as they are while time goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from glmm_zoo.errors import InputError, warn
from glmm_zoo.estimands.averages import weighted_sums
from glmm_zoo.estimands.event_integral import Nodes, RowEffects, RowHazards
from glmm_zoo.estimands.event_numbers import check_scale, log_frailty
from glmm_zoo.estimands.event_rows import group_effect_draws, hazard_in_rows, marker_groups
from glmm_zoo.estimands.fitted import EXPECTED_EVENTS, INCIDENCE, OF_CAUSES, RESTRICTED_MEAN, FittedOutcome
from glmm_zoo.estimands.group_choice import GroupChoice, check_levels, known_part
from glmm_zoo.estimands.linear_rows import LinearRows, RandomTerm
from glmm_zoo.estimands.posterior import PosteriorDraws
from glmm_zoo.estimands.row_coding import Exposure
from glmm_zoo.formulas.new_rows import levels_in_rows
from glmm_zoo.joint.prediction.fitted import FittedJointModel
from glmm_zoo.tables.columns import Table

_ROWS = {False: 512, True: 32}  # computed at a time, many where the hazard is log-linear in the effects
_FRACTIONS = 64  # of the time until the last, on each of which the ratio of the causes' hazards is constant


@dataclass(frozen=True)
class EventQuantity:
    """What is predicted of an event, at which times; `causes` are those of incidence and of time lost, else ("",)."""

    scale: str
    times: tuple[float, ...]
    causes: tuple[str, ...]

    @property
    def identities(self) -> list[dict[str, Any]]:
        """What each value is of, beside its row."""
        return [{**({"cause": c} if c else {}), "time": t} for c in self.causes for t in self.times]


@dataclass(frozen=True)
class EventQuestion:
    """What is predicted of the event in each row of a table, and for whom. `notes` say what is to be told of the answer."""

    outcome: FittedOutcome
    fit: FittedJointModel
    quantity: EventQuantity
    choice: GroupChoice
    draws: PosteriorDraws
    exposure: Exposure = field(default_factory=Exposure)
    notes: dict[str, None] = field(default_factory=dict, compare=False)

    def of_scale(self, scale: str) -> EventQuestion:
        """The same of another scale."""
        return event_question(self.outcome, self.fit, scale, self.quantity.times, self.choice, self.draws, self.notes)

    def restricted_to(self, horizon: float) -> EventQuestion:
        """The restricted mean survival time up to a horizon."""
        return replace(self, quantity=EventQuantity(RESTRICTED_MEAN, (horizon,), ("",)))

    def averages(self, table: Table, weights: sparse.csr_array) -> np.ndarray:
        """Weighted sums of the rows' values (identities, S, cells) for `weights` (cells, rows)."""
        first, of_row = self._distinct_rows(table)
        step = _ROWS[any(term.mean_scale for term in self.fit.hazard.terms)]
        return weighted_sums(lambda places: self._values(table.take(places)), first, of_row, weights, step)

    def _distinct_rows(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """The first of the rows that are alike in what the event needs, and for each row (m,) its place among those."""
        coding = self.outcome.coding
        observed = [c for factor in self.choice.by_level for c in coding.factors[factor] if c in table.columns]
        columns = [table[c].values.astype(float) for c in dict.fromkeys([*coding.columns, *observed])]
        keys = np.column_stack([np.zeros(table.rows), *columns]) + 0.0
        _, first, of_row = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        return first, of_row.ravel()

    def _values(self, table: Table) -> np.ndarray:
        """(identities, S, m)"""
        effects = self._effects(table)
        hazard = hazard_in_rows(self.fit, table)
        ends, weights = self._ends()
        expected = self.quantity.scale == EXPECTED_EVENTS
        rows = RowHazards.over(hazard, effects, ends, self.choice.seed, of_mean=expected)
        values = np.zeros((len(self.quantity.identities), self.draws.size, table.rows))
        for draws, alike, nodes, increments in rows.increments(self.draws.__getitem__, self.draws.size):
            at_ends = self._at_ends(nodes, increments.reshape(*increments.shape[:2], -1, increments.shape[4]))
            values[:, draws[:, None], alike] = (weights @ at_ends).reshape(-1, len(draws), len(alike))
            if nodes.quasi_random:
                of = (
                    f"{nodes.points.shape[1]} group effects integrated over by {len(nodes.weights)} quasi-random points"
                )
                self.notes[f"{of}, seed {self.choice.seed}"] = None
        return values * np.exp(log_frailty(self.fit, self.draws, self.choice, table)) if expected else values

    def _effects(self, table: Table) -> RowEffects:
        """The group effects that the hazard depends on, known or integrated over."""
        groups, draws = marker_groups(self.fit), group_effect_draws(self.fit, self.draws)
        effects = [(g, k) for g in groups for k in range(len(g.labels))]
        one = np.ones((table.rows, 1))
        terms = []
        for g, k in effects:
            of = draws[g.name("u")]
            terms.append(RandomTerm(of, (k,), one, *levels_in_rows(of.levels, of.columns, table)))
        check_levels({"": LinearRows((), np.zeros(table.rows), tuple(terms))}, self.choice, table)
        parts = [known_part(term, self.choice) for term in terms]
        zero = np.zeros((self.draws.size, table.rows))
        known = any(shift is not None for shift, _ in parts)
        covariance = np.zeros((self.draws.size, len(effects), len(effects)))
        end = 0
        for g in groups:
            at = slice(end, end := end + len(g.labels))
            covariance[:, at, at] = draws[g.name("u")].covariance
        return RowEffects(
            effects,
            np.stack([zero if shift is None else shift for shift, _ in parts], axis=2) if known else None,
            np.column_stack([is_open for _, is_open in parts]),
            covariance,
        )

    # ------------------------------------------------------------------------------------------------------- over time

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Times (E,) at which survival, or incidence by cause, is wanted, and the weights (identities, causes E) of what is asked."""
        times, hazard = np.array(self.quantity.times), self.fit.hazard
        origin = hazard.events.origin
        if self.quantity.scale == RESTRICTED_MEAN:
            start = np.maximum(origin, np.append(0.0, times[:-1]))
            cuts = np.array([origin, *hazard.baseline.cuts, np.inf])
            low, high = np.maximum(start[:, None], cuts[:-1]), np.minimum(times[:, None], cuts[1:])
            of_time, piece = np.nonzero(high > low)
            of_piece, t, log_weight = hazard.quadrature_nodes(low[of_time, piece], high[of_time, piece])
            until = (np.arange(len(times))[:, None] >= of_time[of_piece]) * np.exp(log_weight)
            before = np.minimum(times, origin)[:, None]  # nobody had the event before the origin
            order = np.argsort(t, kind="stable")
            return np.append(origin, t[order]), np.hstack([before, until[:, order]])
        if self.quantity.scale not in OF_CAUSES:
            return times, np.eye(len(times))
        F = -(-_FRACTIONS // len(times))
        start = np.append(origin, np.maximum(times[:-1], origin))
        ends = start[:, None] + np.maximum(times - start, 0.0)[:, None] * (np.arange(F) + 1) / F
        picked = np.kron(np.eye(len(times)), np.eye(F)[-1:])
        if self.quantity.scale != INCIDENCE:  # the trapezoid rule; nobody had the event before the origin
            width = np.diff(np.append(origin, ends))
            picked = np.cumsum(picked[:, ::-1], axis=1)[:, ::-1] * width
            picked[:, :-1] += np.where(picked[:, 1:] > 0, picked[:, 1:], 0.0)
            picked /= 2
        return ends.ravel(), np.kron(np.eye(len(self.quantity.causes)), picked)

    def _at_ends(self, nodes: Nodes, increments: np.ndarray) -> np.ndarray:
        """Survival (E, n), or incidence (causes E, n), from cumulative hazards over the intervals (causes, E, n, M)."""
        of_all = increments.sum(axis=0) if len(increments) > 1 else increments[0]
        H = of_all.copy() if self.quantity.scale in OF_CAUSES else of_all
        for e in range(1, len(H)):  # NumPy's cumsum goes along an outer axis slowly
            H[e] += H[e - 1]
        if self.quantity.scale not in OF_CAUSES:
            if self.quantity.scale != EXPECTED_EVENTS:
                np.exp(np.negative(H, out=H), out=H)
            return H @ nodes.weights
        share = increments / np.where(of_all > 0, of_all, 1.0)
        incidence = np.exp(of_all - H) * -np.expm1(-of_all) * share
        return np.cumsum(incidence @ nodes.weights, axis=1).reshape(-1, increments.shape[2])


def event_question(
    outcome: FittedOutcome,
    fit: FittedJointModel,
    scale: str,
    times: Sequence[float],
    choice: GroupChoice,
    draws: PosteriorDraws,
    notes: dict[str, None] | None = None,
) -> EventQuestion:
    """What a scale is for an event.

    Raises
    ------
    InputError
        Times that are all before the first subject entered, the origin of the hazard; scales of one event where events come again.
    """
    events = fit.hazard.events
    check_scale(scale, fit.hazard)
    if times[-1] <= events.origin:
        raise InputError(
            f"times end at {times[-1]:g}, and the first subject of the fit entered at {events.origin:g}: nothing is known before; give later times"
        )
    if times[-1] > events.horizon:
        warn(
            f"times up to {times[-1]:g} go beyond the last follow-up of the fit, {events.horizon:g}: the baseline hazard rests on its form and its "
            "prior there"
        )
    causes = events.causes if scale in OF_CAUSES else ("",)
    notes = {} if notes is None else notes
    if len(events.subject) > len(events.ids) or any(t.carry_forward for t in fit.hazard.trajectories):
        notes["covariates as they were at entry"] = None
    return EventQuestion(outcome, fit, EventQuantity(scale, tuple(times), tuple(causes)), choice, draws, notes=notes)
