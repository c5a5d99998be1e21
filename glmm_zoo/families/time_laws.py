"""Distributions of times to an event: hazards that are proportional, and times that are accelerated.

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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import exp

import numpy as np

from glmm_zoo.families.baselines import BASELINE_WORDS, BaselineHazard
from glmm_zoo.families.family import OwnParameter
from glmm_zoo.families.links import probability_link
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor, matrix_product
from glmm_zoo.priors import Parameter, Prior, coefficients, parameter

TIME_LAWS = {
    "weibull": "cloglog",
    "lognormal": "probit",
    "loglogistic": "logit",
}  # of times, and the links that are their F
TIME_LAW_WORDS = {"weibull": "Weibull", "lognormal": "lognormal", "loglogistic": "log-logistic"}
SHAPE = Prior("LogNormal", {"mu": 0.0, "sigma": 0.5})
TREND = Prior("Normal", {"mu": 0.0, "sigma": 5.0})
PRECISION = Prior("Gamma", {"alpha": 5.0, "beta": 0.5})  # JMbayes2's
RATIO = Prior("Normal", {"mu": 0.0, "sigma": 2.5})  # of the log hazard in a piece against the first
_GAUSS = np.polynomial.legendre.leggauss(
    5
)  # relative errors of H below 1e-6 while the hazard changes by less than e^2 in a segment
_GRID = 20  # intervals in a segment of a spline, in which simulated times are interpolated

_SHAPE = OwnParameter(
    "shape", "log", lambda _: parameter("shape", "positive", SHAPE), words="the shape of the times", symbol="k",
    why="a hazard that is constant (1), falls or rises",
)  # fmt: skip
_SIGMA = OwnParameter(
    "sigma", "log", lambda _: parameter("sigma", "positive", Prior("Exponential", {"lam": 1.0})),
    words="the standard deviation of the logarithm", symbol="σ",
    allows="Median {middle}, {inner} below {most}, on the scale of the logarithm", why="the mean is one unit of the logarithm",
)  # fmt: skip


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

    def log_variance(self, own: Mapping[str, np.ndarray]) -> None:
        """None: eta is a level of the log hazard."""

    @property
    def own(self) -> tuple[OwnParameter, ...]:
        """The parameters of h0."""
        kind = self.baseline.kind
        if kind == "weibull":
            return (_SHAPE,)
        if kind == "piecewise" and self.baseline.size > 1:
            labels = tuple(self.baseline.labels[1:])
            ratios = coefficients("log_h0_ratio", labels, [RATIO] * len(labels))
            return (
                OwnParameter(
                    "log_h0_ratio", "identity", lambda _: ratios, dim="piece", labels=labels, shown=exp,
                    words="the log hazard in a piece against the first", allows="Hazard ratios from {low} to {high} ({inner})",
                    why="weak: 2.5 on the log scale between the first piece and another",
                ),
            )  # fmt: skip
        if kind != "bspline":
            return ()
        labels = tuple(str(i + 1) for i in range(self.baseline.size - 2))
        return (
            OwnParameter("h0_trend", "identity", lambda _: parameter("h0_trend", "real", TREND)),
            OwnParameter("h0_precision", "identity", lambda _: parameter("h0_precision", "positive", PRECISION)),
            OwnParameter(
                "h0_steps", "identity", lambda _: _standard_normal("h0_steps"), dim="h0_step", labels=labels,
                why="standard normal steps of a random walk, whose size the precision has",
            ),
        )  # fmt: skip

    @property
    def words(self) -> str:
        """What the hazard at time t is."""
        return f"is exp(η) times the baseline hazard h₀(t), {BASELINE_WORDS[self.baseline.kind]} and the same for all"

    @property
    def formula(self) -> str:
        """What the hazard at time t is, in symbols."""
        return "h₀(t)exp(η)"

    def log_hazard(self, t: np.ndarray, eta: Array, own: Mapping[str, Array]) -> Array:
        """log h (n,) at times (n,) > 0."""
        return eta + self._log_h0(t, own)

    def cumulative(self, t: np.ndarray, eta: Array, own: Mapping[str, Array]) -> Array:
        """H (n,) at times (n,) >= the origin, counted from there; of a Weibull hazard from 0."""
        xp, H0 = functions_of(eta), self._cumulative_h0(t, own)
        return xp.exp(eta) * H0

    def course(
        self, t: np.ndarray, own: Mapping[str, np.ndarray]
    ) -> Callable[[np.ndarray], Callable[[int], np.ndarray]]:
        """From eta to `cumulative` at the j-th of times (k,): the integral of h0 is computed once."""
        H0 = np.atleast_2d(self._cumulative_h0(t, own))

        def given(eta: np.ndarray) -> Callable[[int], np.ndarray]:
            ratio = np.exp(eta)
            return lambda j: ratio * H0[:, j, None]

        return given

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
        return (_SIGMA,) if self.distribution == "lognormal" else (_SHAPE,)

    @property
    def words(self) -> str:
        """What the logarithm of the time is."""
        return f"is η plus an error, with which the time has a {TIME_LAW_WORDS[self.distribution]} distribution"

    @property
    def formula(self) -> str:
        """What the logarithm of the time is, in symbols."""
        return "η+σz" if self.distribution == "lognormal" else "η+z/k"

    def spread(self, own: Mapping[str, np.ndarray]) -> np.ndarray:
        """s"""
        return np.exp(self._log_s(own))

    def log_variance(self, own: Mapping[str, np.ndarray]) -> np.ndarray:
        """s^2 var(z)"""
        return probability_link(TIME_LAWS[self.distribution]).latent_variance * self.spread(own) ** 2

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

    def course(
        self, t: np.ndarray, own: Mapping[str, np.ndarray]
    ) -> Callable[[np.ndarray], Callable[[int], np.ndarray]]:
        """From eta to `cumulative` at the j-th of times (k,)."""
        return lambda eta: lambda j: self.cumulative(t[j : j + 1], eta, own)

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


def _standard_normal(name: str) -> Parameter:
    return parameter(name, "real", Prior("Normal", {"mu": 0.0, "sigma": 1.0}))


def _product(X: np.ndarray, beta: Array) -> Array:
    """X beta (N,), of draws (S, 1, K) in NumPy (S, N)."""
    return _sums(X, beta[..., 0, :] if isinstance(beta, np.ndarray) and beta.ndim > 1 else beta)


def _sums(X: np.ndarray, values: Array) -> Array:
    """X times values (..., K): (..., N)."""
    return values @ X.T if isinstance(values, np.ndarray) else matrix_product(X, values)
