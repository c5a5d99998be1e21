"""Times to an event: proportional hazards and accelerated failure times, with censoring and late entry.

Row i is followed from start_i on; its event came at stop_i, or in (left_i, stop_i], or had not come by stop_i. With h the hazard and
H its integral,

    log h(stop) - (H(stop) - H(start))                                   the event came at stop
    -(H(left) - H(start)) + log(1 - exp(-(H(stop) - H(left))))           it came in (left, stop]
    -(H(stop) - H(start))                                                it had not come

Given the group effects rows are independent: those of one subject with covariates that change, or with events that come again, are
rows (start, stop], and a row that entered late counts from then on, given the effects.

    proportional hazards       log h(t) = eta + log h0(t)
        exponential            h0 = 1
        weibull                h0 = k (t / unit)^(k - 1)
        piecewise              log h0 = B(t)' (0, log_h0_ratio), B the indicators of the pieces
        bspline                log h0 = B(t)' (trend v + A e / sqrt(precision)), as `BaselineHazard` has it, without the level

of which the mean over the times of events is taken, so that eta is the log hazard on average over these.
    accelerated failure time   log t = eta + s z,  P(z <= x) = F(x)
        weibull                F(x) = 1 - exp(-e^x), s = 1 / k
        loglogistic            F(x) = 1 / (1 + e^-x), s = 1 / k
        lognormal              F = Phi, s = sigma

Own parameters enter as log k, log sigma, and as they are. They are scalars or vectors in a graph, and with draws in NumPy (S, 1) or
(S, 1, K); times are always data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.families.baselines import BaselineHazard, read_baseline_hazard
from glmm_zoo.families.event_times import RowsFollowed, doubtful_events, follow_up, read_event_time, rows_followed
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.links import probability_link
from glmm_zoo.families.moments import Own
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor, matrix_product
from glmm_zoo.formulas.terms import Response
from glmm_zoo.priors import Parameter, Prior, coefficients, parameter
from glmm_zoo.tables.columns import Table

TIME_LAWS = {
    "weibull": "cloglog",
    "lognormal": "probit",
    "loglogistic": "logit",
}  # of times, and the links that are their F
SHAPE = Prior("LogNormal", {"mu": 0.0, "sigma": 0.5})
TREND = Prior("Normal", {"mu": 0.0, "sigma": 5.0})
PRECISION = Prior("Gamma", {"alpha": 5.0, "beta": 0.5})  # JMbayes2's
RATIO = Prior("Normal", {"mu": 0.0, "sigma": 2.5})  # of the log hazard in a piece against the first
_GAUSS = np.polynomial.legendre.leggauss(7)
_LEAST = 1e-300  # of a probability whose logarithm is taken
_GRID = 20  # intervals in a segment of a spline, in which simulated times are interpolated

# ---------------------------------------------------------------------------------------------------------- distributions


@dataclass(frozen=True)
class ProportionalHazards:
    """log h(t) = eta + log h0(t); `unit` is that of time in a Weibull hazard, `centre` (size,) the mean of B over the times of events."""

    baseline: BaselineHazard
    unit: float = 1.0
    centre: np.ndarray = field(default_factory=lambda: np.zeros(1))

    @property
    def origin(self) -> float:
        """0, but for a hazard that is known where there are data."""
        return self.baseline.origin if self.baseline.kind in ("piecewise", "bspline") else 0.0

    @property
    def breaks(self) -> np.ndarray:
        """The cut points of a piecewise hazard."""
        return self.baseline.cuts

    def spread(self, own: Mapping[str, np.ndarray]) -> float:
        """That of exp(-e^eta)."""
        return 1.0

    @property
    def own(self) -> tuple[OwnParameter, ...]:
        """The parameters of h0."""
        kind = self.baseline.kind
        if kind == "weibull":
            return (OwnParameter("shape", "log", lambda _: parameter("shape", "positive", SHAPE)),)
        if kind == "piecewise" and self.baseline.size > 1:
            labels = tuple(self.baseline.labels[1:])
            ratios = coefficients("log_h0_ratio", labels, [RATIO] * len(labels))
            return (OwnParameter("log_h0_ratio", "identity", lambda _: ratios, dim="piece", labels=labels),)
        if kind != "bspline":
            return ()
        labels = tuple(str(i + 1) for i in range(self.baseline.size - 2))
        return (
            OwnParameter("h0_trend", "identity", lambda _: parameter("h0_trend", "real", TREND)),
            OwnParameter("h0_precision", "identity", lambda _: parameter("h0_precision", "positive", PRECISION)),
            OwnParameter("h0_steps", "identity", lambda _: _standard_normal("h0_steps"), dim="h0_step", labels=labels),
        )

    def log_hazard(self, t: np.ndarray, eta: Array, own: Mapping[str, Array]) -> Array:
        """log h (n,) at times (n,) > 0."""
        return eta + self._log_h0(t, own)

    def cumulative(self, t: np.ndarray, eta: Array, own: Mapping[str, Array]) -> Array:
        """H (n,) at times (n,) >= the origin, counted from there; of a Weibull hazard from 0."""
        xp, H0 = functions_of(eta), self._cumulative_h0(t, own)
        return xp.exp(eta) * H0

    def inverse(self, H: Tensor, eta: Tensor, own: Mapping[str, Tensor]) -> Tensor:
        """The times at which H is so much, in a graph."""
        pt = import_pytensor()
        H0 = H * pt.exp(-eta)
        if self.baseline.kind == "exponential" or not self.own:
            return H0
        if self.baseline.kind == "weibull":
            return self.unit * pt.exp(pt.log(H0 / self.unit) * pt.exp(-own["shape"]))
        ends = self.baseline.ends if self.baseline.kind == "piecewise" else self._segments
        fine = 1 if self.baseline.kind == "piecewise" else _GRID
        grid = np.append(
            np.concatenate([np.linspace(a, b, fine + 1)[:-1] for a, b in pairwise(ends)]),
            ends[-1],
        )
        at_grid = self._cumulative_h0(grid, own)
        place = pt.clip(pt.sum(at_grid <= H0[..., None], axis=-1) - 1, 0, len(grid) - 2)
        low, high = at_grid[place], at_grid[place + 1]
        within = pt.constant(grid)[place] + (H0 - low) / (high - low) * pt.constant(np.diff(grid))[place]
        beyond = ends[-1] + (H0 - at_grid[-1]) * pt.exp(-self._log_h0(ends[-1:], own))
        return pt.switch(at_grid[-1] < H0, beyond, within)

    @property
    def _segments(self) -> np.ndarray:
        """Where the polynomials of the spline meet, from the origin to the horizon."""
        knots = self.baseline.knots
        inside = (knots > self.baseline.origin) & (knots < self.baseline.horizon * (1 - 1e-9))
        return np.array([self.baseline.origin, *knots[inside], self.baseline.horizon])

    def _log_h0(self, t: np.ndarray, own: Mapping[str, Array]) -> Array:
        kind = self.baseline.kind
        if kind == "weibull":
            log_k = own["shape"]
            return log_k + (functions_of(log_k).exp(log_k) - 1.0) * np.log(t / self.unit)
        if kind == "exponential" or not self.own:
            return np.zeros(len(t))
        basis = self.baseline.basis(t) - self.centre
        if kind == "piecewise":
            return _product(basis[:, 1:], own["log_h0_ratio"])
        v, A = self.baseline.random_walk
        bends = _product(basis @ A, own["h0_steps"]) * own["h0_precision"] ** -0.5
        return own["h0_trend"] * (basis @ v) + bends

    def _cumulative_h0(self, t: np.ndarray, own: Mapping[str, Array]) -> Array:
        kind, origin, horizon = self.baseline.kind, self.baseline.origin, self.baseline.horizon
        if kind == "weibull":
            log_k = own["shape"]
            xp = functions_of(log_k)
            log_t = np.log(np.maximum(t, 1e-300 * self.unit) / self.unit)
            return np.where(t > 0, self.unit, 0.0) * xp.exp(xp.exp(log_k) * log_t)
        if kind == "exponential" or not self.own:
            return t
        if kind == "piecewise":
            ends = np.array([origin, *self.baseline.cuts, np.inf])
            exposure = np.clip(t[:, None], ends[:-1], ends[1:]) - ends[:-1]
            levels = self._log_h0(np.array([*self.baseline.cuts, horizon]), own)
            return _sums(exposure, functions_of(levels).exp(levels))
        exp = functions_of(own["h0_trend"]).exp
        x, w = (1 + _GAUSS[0]) / 2, _GAUSS[1] / 2
        ends, inside = self._segments, np.clip(t, origin, horizon)
        at = np.clip(np.searchsorted(ends, inside, side="right") - 1, 0, len(ends) - 2)
        part = inside - ends[at]
        total: Array = sum(
            part * wq * exp(self._log_h0(ends[at] + part * xq, own)) for xq, wq in zip(x, w, strict=True)
        )
        nodes = (ends[:-1, None] + np.diff(ends)[:, None] * x).ravel()
        of_segment = np.kron(np.diag(np.diff(ends)), w)  # (segments, nodes)
        before = (at[:, None] > np.arange(len(ends) - 1)).astype(
            float
        )  # whole segments before the one that a time is in
        total = total + _sums(before, _sums(of_segment, exp(self._log_h0(nodes, own))))
        if (t > horizon).any():
            total = total + np.maximum(t - horizon, 0.0) * exp(self._log_h0(np.array([horizon]), own))
        return total


@dataclass(frozen=True)
class AcceleratedFailure:
    """log t = eta + s z, z with the distribution function of a link's inverse."""

    distribution: str
    origin: float = 0.0
    breaks: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def own(self) -> tuple[OwnParameter, ...]:
        """The shape, or the standard deviation of log t."""
        if self.distribution == "lognormal":
            return (
                OwnParameter(
                    "sigma", "log", lambda _: parameter("sigma", "positive", Prior("Exponential", {"lam": 1.0}))
                ),
            )
        return (OwnParameter("shape", "log", lambda _: parameter("shape", "positive", SHAPE)),)

    def spread(self, own: Mapping[str, np.ndarray]) -> np.ndarray:
        """s"""
        return np.exp(self._log_s(own))

    def _log_s(self, own: Mapping[str, Array]) -> Array:
        return own["sigma"] if self.distribution == "lognormal" else -own["shape"]

    def _z(self, t: np.ndarray, eta: Array, own: Mapping[str, Array]) -> Array:
        return (np.log(t) - eta) * functions_of(eta).exp(-self._log_s(own))

    def log_hazard(self, t: np.ndarray, eta: Array, own: Mapping[str, Array]) -> Array:
        """log h (n,) = log f(z) - log(1 - F(z)) - log s - log t, at times (n,) > 0."""
        z, link = self._z(t, eta, own), probability_link(TIME_LAWS[self.distribution])
        if self.distribution == "weibull":
            log_ratio: Array = z
        elif self.distribution == "loglogistic":
            log_ratio = link.log_p(z)
        else:
            log_ratio = -0.5 * z * z - 0.5 * np.log(2 * np.pi) - link.log_q(z)
        return log_ratio - self._log_s(own) - np.log(t)

    def cumulative(self, t: np.ndarray, eta: Array, own: Mapping[str, Array]) -> Array:
        """H (n,) = -log(1 - F(z)) at times (n,) >= 0."""
        link = probability_link(TIME_LAWS[self.distribution])
        H = -link.log_q(self._z(np.where(t > 0, t, 1.0), eta, own))
        return H if (t > 0).all() else np.where(t > 0, 1.0, 0.0) * H

    def inverse(self, H: Tensor, eta: Tensor, own: Mapping[str, Tensor]) -> Tensor:
        """The times at which H is so much, in a graph."""
        pt = import_pytensor()
        if self.distribution == "weibull":
            z = pt.log(H)
        elif self.distribution == "loglogistic":
            z = H + pt.log(-pt.expm1(-H))
        else:
            z = np.sqrt(2.0) * pt.erfcinv(2.0 * pt.exp(-H))
        return pt.exp(eta + pt.exp(self._log_s(own)) * z)


_Times = ProportionalHazards | AcceleratedFailure


def _standard_normal(name: str) -> Parameter:
    return parameter(name, "real", Prior("Normal", {"mu": 0.0, "sigma": 1.0}))


def _product(X: np.ndarray, beta: Array) -> Array:
    """X beta (N,), of draws (S, 1, K) in NumPy (S, N)."""
    return _sums(X, beta[..., 0, :] if isinstance(beta, np.ndarray) and beta.ndim > 1 else beta)


def _sums(X: np.ndarray, values: Array) -> Array:
    """X times values (..., K): (..., N)."""
    return values @ X.T if isinstance(values, np.ndarray) else matrix_product(X, values)


# ------------------------------------------------------------------------------------------------------------- likelihood


def time_log_likelihood(of: _Times, rows: RowsFollowed, eta: Array, own: Mapping[str, Array]) -> Array:
    """That of every row (n,), see above."""
    xp, interval = functions_of(eta), rows.interval
    exact = (rows.status > 0) & ~interval
    until = np.where(interval, rows.left, rows.stop)
    total: Array = -of.cumulative(until, eta, own)
    if (rows.start > 0).any():
        total = total + of.cumulative(rows.start, eta, own)
    if exact.any():
        total = total + xp.switch(exact, of.log_hazard(rows.stop, eta, own), 0.0)
    if interval.any():
        risk = of.cumulative(np.where(interval, rows.stop, 2 * rows.stop), eta, own) - of.cumulative(until, eta, own)
        total = total + xp.switch(interval, xp.log(-xp.expm1(-xp.maximum(risk, _LEAST))), 0.0)
    return total


def _family(name: str, link: str, of: _Times) -> Family:
    """The record of a distribution of times."""

    def observe(name: str, outcome: Outcome, eta: Tensor, _: str, own: Mapping[str, Tensor]) -> None:
        _observe(name, of, outcome, eta, own)

    def log_density(y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
        assert trials is not None
        return time_log_likelihood(of, rows_followed(y, trials), eta, own)

    def moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
        raise InputError("a time that may be censored has no mean here; ask for survival at times")

    def read(table: Table, response: Response, censored: Any) -> Outcome:
        outcome = read_event_time(table, response, censored)
        return outcome if link == "log_hazard" else replace(outcome, location=-outcome.location)

    return Family(
        name, (link,), read, observe, moments, log_density, own=of.own, choice="censored", doubts=doubtful_events,
        findings=("survival",), event_times=of,
    )  # fmt: skip


def _observe(name: str, of: _Times, outcome: Outcome, eta: Tensor, own: Mapping[str, Tensor]) -> None:
    """A time to an event after the row's start; its simulation is not censored."""
    import pymc as pm
    from pymc.distributions.shape_utils import rv_size_is_none

    pt = import_pytensor()
    rows, n, names = follow_up(outcome), len(outcome.values), list(own)
    if "h0_steps" in own:
        pm.modelcontext(None).auxiliary.add("h0_steps")  # pyright: ignore[reportAttributeAccessIssue]

    def draw(_: Tensor, eta: Tensor, *parameters: Tensor) -> Tensor:
        *values, size = parameters
        of_names = dict(zip(names, values, strict=True))
        waiting = pm.Exponential.dist(1.0, size=(n,) if rv_size_is_none(size) else (*tuple(size), n))
        return of.inverse(waiting + of.cumulative(rows.start, eta, of_names), eta, of_names)

    pm.CustomDist(
        name,
        time_log_likelihood(of, rows, eta, own),
        eta,
        *own.values(),
        logp=lambda y, log_f, *_: pt.switch(y > 0, log_f, -np.inf),
        dist=draw,
        signature=f"(n),(n){''.join(',(k)' if own[p].ndim else ',()' for p in names)}->(n)",
        observed=pm.Data(f"_{name}_observed", outcome.values, dims=outcome.dim),
        dims=outcome.dim,
        class_name="EventTime",
    )


# ---------------------------------------------------------------------------------------------------------------- records

PROPORTIONAL_HAZARDS, ACCELERATED_FAILURE = "proportional_hazards", "accelerated_failure"


def read_event_times(distribution: str | None, baseline: str, cuts: Any, outcome: Outcome) -> dict[str, Any]:
    """What distribution of times was asked for, with what is learnt of it from the data; JSON-able.

    Raises
    ------
    InputError
        Unknown distributions and baselines; cut points that are not inside the follow-up.
    """
    if distribution is not None:
        if distribution not in TIME_LAWS:
            raise InputError(
                f"unknown distribution {distribution!r}{did_you_mean(str(distribution), TIME_LAWS) or ';'} known: {listing(TIME_LAWS)}, or "
                "none for proportional hazards"
            )
        if cuts is not None:
            raise InputError("cuts belong to baseline='piecewise', not to a distribution of times")
        return {"distribution": distribution}
    rows = follow_up(outcome)
    times = rows.stop[rows.status > 0]
    hazard = read_baseline_hazard(baseline, cuts, times, float(rows.start.min()), float(rows.stop.max()))
    unit = float(f"{np.median(times):.1g}") if baseline == "weibull" else 1.0
    return {
        "baseline": hazard.kind,
        "cuts": hazard.cuts.tolist(),
        "origin": hazard.origin,
        "horizon": hazard.horizon,
        "unit": unit,
        "centre": hazard.basis(times).mean(axis=0).tolist(),
    }


def event_time_family(learnt: Mapping[str, Any]) -> Family:
    """The family of what `read_event_times` gave."""
    if "distribution" in learnt:
        return _family(ACCELERATED_FAILURE, "log_time", AcceleratedFailure(learnt["distribution"]))
    hazard = BaselineHazard(learnt["baseline"], learnt["horizon"], np.array(learnt["cuts"]), learnt["origin"])
    return _family(
        PROPORTIONAL_HAZARDS, "log_hazard", ProportionalHazards(hazard, learnt["unit"], np.array(learnt["centre"]))
    )


def undecided_event_time_family(distribution: str | None) -> Family:
    """The family of a response that is to be read before what `read_event_times` gives is known."""
    if distribution is None:
        return _family(PROPORTIONAL_HAZARDS, "log_hazard", ProportionalHazards(BaselineHazard("exponential", np.inf)))
    return _family(ACCELERATED_FAILURE, "log_time", AcceleratedFailure(distribution))
