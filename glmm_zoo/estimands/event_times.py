"""Times to an event in a population: survival, restricted mean and median survival time of rows of covariates.

    survival    S(t) = E exp(-H(t | eta)),  eta normal over the group effects; incidence 1 - S(t)
    rmst        int_0^t S(s) ds; rmtl t - rmst
    median      the time at which S is 1/2, of an average the time at which the average is

Averaged over rows in each draw: standardised over covariates. Those of competing causes are in `competing_causes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from glmm_zoo.errors import InputError, warn
from glmm_zoo.estimands.competing_causes import values_over_time
from glmm_zoo.estimands.fitted import INCIDENCE, MEDIAN, OF_CAUSES, RESTRICTED_MEAN, SURVIVAL, FittedOutcome
from glmm_zoo.estimands.group_choice import predictors_of_rows, read_group_choice
from glmm_zoo.estimands.normal_means import Normal, mean_of
from glmm_zoo.estimands.posterior import PosteriorDraws
from glmm_zoo.estimands.row_coding import Exposure
from glmm_zoo.estimands.row_values import Quantity, RowPredictors
from glmm_zoo.families.causes import own_of_cause
from glmm_zoo.families.event_times import RowsFollowed, follow_up

_GRID = 60  # times in the follow-up, between which a median is interpolated
_UNREACHED = 0.025  # of draws, in which the median may be beyond the follow-up
_PANELS = np.array(
    [0.004, 0.03, 0.12, 0.35, 1.0]
)  # of the time up to the last, shorter where many may have the event soon
_GAUSS = np.polynomial.legendre.leggauss(12)


def own_on_scales(outcome: FittedOutcome, own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The family's own parameters as its density takes them."""
    known = {o.name: o for o in outcome.family.own}
    return {name: known[name].on_its_scale(values) for name, values in own.items()}


def rows_of_fit(outcome: FittedOutcome) -> RowsFollowed:
    """The follow-up of the rows of the fit."""
    assert outcome.response is not None
    return follow_up(outcome.response)


def survival_sums(outcome: FittedOutcome, p: RowPredictors, times: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums (k, S, m) of S(t) at increasing times (n,) with weights (k, n), where there is one cause."""
    assert outcome.family.event_times is not None
    law, x, own = outcome.family.event_times[""], p.variables[""], own_on_scales(outcome, p.own)
    s, early = law.spread(own), int(np.searchsorted(times, law.origin, side="right"))
    course, later = law.course(times[early:], own), weights[:, early:]

    def sums(z: np.ndarray) -> np.ndarray:
        total = np.empty((len(weights), *z.shape))
        total[:] = weights[:, :early].sum(axis=1)[:, None, None]
        H = course(s * z)
        for j, of_time in enumerate(later.T):
            S = np.exp(-H(j))
            for k in np.flatnonzero(of_time):
                total[k] += of_time[k] * S
        return total

    return mean_of(sums, Normal(x.mean / s, x.variance / s**2))


def event_quantity(outcome: FittedOutcome, scale: str, times: Sequence[float]) -> Quantity:
    """What a scale of events is for an outcome whose response is a time to an event."""
    horizon, laws = float(rows_of_fit(outcome).stop.max()), outcome.family.event_times
    assert laws is not None

    def of_scale(p: RowPredictors, scale: str, times: Sequence[float]) -> np.ndarray:
        """(times, S, m), of each cause (causes times, S, m)"""
        if "" not in laws:
            return values_over_time(laws, own_on_scales(outcome, p.own), p, scale, times)
        if scale in (SURVIVAL, INCIDENCE):
            S = survival_sums(outcome, p, np.array(times), np.eye(len(times)))
            return S if scale == SURVIVAL else 1 - S
        free = _restricted(outcome, p, times)
        return free if scale == RESTRICTED_MEAN else np.reshape(times, (-1, 1, 1)) - free

    if scale == MEDIAN:
        grid = horizon * (np.arange(_GRID + 1) / _GRID) ** 2
        return Quantity(scale, ("",), lambda p: of_scale(p, SURVIVAL, grid.tolist()), combine=_median(grid))
    if times[-1] > horizon:
        warn(
            f"times up to {times[-1]:g} go beyond the last follow-up of the fit, {horizon:g}: survival rests on the form of the hazard "
            "there"
        )
    causes = outcome.levels if scale in OF_CAUSES and outcome.levels else ("",)
    return Quantity(scale, causes, lambda p: of_scale(p, scale, times), tuple(times), label="cause")


def _restricted(outcome: FittedOutcome, p: RowPredictors, times: Sequence[float]) -> np.ndarray:
    """The restricted mean (times, S, m), where there is one cause."""
    assert outcome.family.event_times is not None
    law = outcome.family.event_times[""]
    breaks = [c for c in (law.origin, *law.breaks) if c < times[-1]]
    ends = np.unique([0.0, *times, *breaks, *times[-1] * _PANELS])
    nodes = [(a + (b - a) * (1 + _GAUSS[0]) / 2, (b - a) * _GAUSS[1] / 2) for a, b in pairwise(ends)]
    t, w = (np.concatenate(parts) for parts in zip(*nodes, strict=True))
    return survival_sums(outcome, p, t, w * (t < np.array(times)[:, None]))


def _median(grid: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """From survival at the times of the grid to the median."""

    def combine(S: np.ndarray) -> np.ndarray:
        """The time (1, S, cells) at which survival (times, S, cells) is 1/2, by interpolation of its logarithm."""
        below = S < 0.5
        unreached = ~below.any(axis=0)
        if unreached.mean() > _UNREACHED:
            raise InputError(
                f"scale='median': half of the rows still are free of the event at {grid[-1]:g}, the end of the follow-up, in "
                f"{unreached.mean():.0%} of the draws, so that the median is not known; ask for scale='rmst' or 'survival' at times within it"
            )
        after = np.where(unreached, len(grid) - 1, below.argmax(axis=0))[None]
        low, high = (np.log(np.maximum(np.take_along_axis(S, i, 0), 1e-300)) for i in (after - 1, after))
        share = np.clip((low - np.log(0.5)) / np.where(low > high, low - high, 1.0), 0.0, 1.0)
        return grid[after - 1] + share * (grid[after] - grid[after - 1])

    return combine


def hazard_over_time(outcome: FittedOutcome, draws: PosteriorDraws, times: np.ndarray) -> dict[str, np.ndarray]:
    """h (S, times) of each cause at the mean of its linear predictor over the rows of the fit, group effects 0."""
    laws, linear = outcome.family.event_times, outcome.coding.code(outcome.table, Exposure())
    assert laws is not None
    own, found = own_on_scales(outcome, _own_draws(outcome, draws)), {}
    for cause, law in laws.items():
        eta = linear[cause].fixed(draws.size).mean(axis=1, keepdims=True)
        log_h = law.log_hazard(times, eta, own_of_cause(cause, own))
        found[cause] = np.exp(np.broadcast_to(log_h, (draws.size, len(times))))
    return found


def residuals(outcome: FittedOutcome, draws: PosteriorDraws) -> dict[str, np.ndarray]:
    """Cox and Snell's residuals H(stop) - H(start) (S, n) of the rows of the fit for each cause, given the effects of their groups."""
    laws, rows = outcome.family.event_times, rows_of_fit(outcome)
    assert laws is not None
    choice = read_group_choice("observed", "error", outcome.coding.factors, 0)
    variables, _ = predictors_of_rows(outcome.coding.code(outcome.table, Exposure()), choice, draws.size)
    own, found = own_on_scales(outcome, _own_draws(outcome, draws)), {}
    for cause, law in laws.items():
        eta, of_cause = variables[cause].mean, own_of_cause(cause, own)
        found[cause] = law.cumulative(rows.stop, eta, of_cause)
        if (rows.start > law.origin).any():
            found[cause] = found[cause] - law.cumulative(rows.start, eta, of_cause)
    return found


def _own_draws(outcome: FittedOutcome, draws: PosteriorDraws) -> dict[str, np.ndarray]:
    return {name: draws[variable][:, None] for name, variable in outcome.own.items()}
