"""Nonparametric curves of survival (Kaplan-Meier) and of the risk of one cause among several (Aalen-Johansen)."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from glmm_zoo.errors import InputError, at_rows, raise_all

PROB = 0.95  # inside every interval here and in `accuracy_measures`
Z_QUANTILE = NormalDist().inv_cdf(0.5 + PROB / 2)


@dataclass(frozen=True)
class StepCurve:
    """A step function of time with a row for 0 and for each time at which somebody has the event or is censored.

    All arrays are (k,). `value` holds from `time` to just before the next one; `lower` and `upper` are its 95 % limits,
    normal for log(-log(survival)) and NaN where the value is 0 or 1; `at_risk` is the number just before `time`,
    `events` (of all causes) and `censored` the numbers at it.
    """

    time: np.ndarray
    value: np.ndarray
    se: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray
    censored: np.ndarray

    def at(self, times: ArrayLike) -> np.ndarray:
        """Value, lower and upper (3, *shape of times); NaN after the last time if somebody is censored there."""
        times = np.asarray(times, float)
        row = np.searchsorted(self.time[1:], times, "right")
        values = np.stack([self.value, self.lower, self.upper])[:, row]
        return np.where((times > self.time[-1]) & (self.censored[-1] > 0), np.nan, values)


def kaplan_meier(time: ArrayLike, event: ArrayLike) -> StepCurve:
    """Survival S(t) = prod_{u <= t} (1 - d_u / n_u), of d_u events among n_u at risk, with Greenwood's errors,

        se^2 = S(t)^2 sum_{u <= t} d_u / (n_u (n_u - d_u)).

    Parameters
    ----------
    time
        End of follow-up (n,), >= 0, in any unit.
    event
        0 censored, anything else an event (n,).

    Raises
    ------
    InputError
        Shapes differ; times are negative or not finite; events are not whole numbers >= 0.

    Source: Kaplan & Meier (1958), Journal of the American Statistical Association 53.
    """
    time, event = checked_vectors(time=time, event=event)
    u, n, d, c = _counts_by_time(time, event > 0, event == 0)
    S = np.cumprod(1 - d / n)
    se = S * np.sqrt(np.cumsum(ratio_or_zero(d, n * (n - d))))
    return StepCurve(u, S, se, *_limits(1 - S, S, se), n, d, c)


def aalen_johansen(time: ArrayLike, event: ArrayLike, cause: int = 1) -> StepCurve:
    """Risk F(t) = sum_{u <= t} S(u-) d1_u / n_u of one cause among several, of d1_u of the d_u events among n_u at risk,

        se^2 = sum_{u <= t} (F(t) - F(u))^2 d_u / (n_u (n_u - d_u)) + S(u-)^2 d1_u (n_u - d1_u) / n_u^3
                            - 2 (F(t) - F(u)) S(u-) d1_u / n_u^2,

    with S the Kaplan-Meier estimate for all causes. With one cause it is 1 - S, errors and limits included.

    Parameters
    ----------
    time
        End of follow-up (n,), >= 0, in any unit.
    event
        0 censored, k = cause k (n,).

    Raises
    ------
    InputError
        Shapes differ; times are negative or not finite; events are not whole numbers >= 0.

    Source: Marubini & Valsecchi (1995), Analysing Survival Data from Clinical Trials and Observational Studies, 10.3.
    """
    time, event = checked_vectors(time=time, event=event)
    u, n, d, c = _counts_by_time(time, event > 0, event == 0)
    d1 = _counts_by_time(time, event == cause, event == 0)[2]
    S = np.cumprod(1 - d / n)
    before = np.concatenate([[1.0], S[:-1]])  # S(u-)
    F, others = np.cumsum(before * d1 / n), np.cumsum(before * (d - d1) / n)
    a, b = ratio_or_zero(d, n * (n - d)), before * d1 / n**2
    square = F**2 * np.cumsum(a) - 2 * F * np.cumsum(a * F + b)
    square += np.cumsum(a * F**2 + before**2 * d1 * (n - d1) / n**3 + 2 * F * b)
    se = np.sqrt(np.maximum(square, 0.0))
    lower, upper = _limits(F, S + others, se)
    return StepCurve(u, F, se, 1 - upper, 1 - lower, n, d, c)


def _counts_by_time(time: np.ndarray, *kinds: np.ndarray) -> tuple[np.ndarray, ...]:
    """Times (k,), 0 first, numbers at risk just before each, and for each kind (n,) how many at it."""
    u, place = np.unique(np.concatenate([[0.0], time]), return_inverse=True)
    at = [np.bincount(place[1:], kind, len(u)).astype(int) for kind in (np.ones(len(time)), *kinds)]
    return u, at[0][::-1].cumsum()[::-1], *at[1:]


def ratio_or_zero(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b (k,), and 0 where b is 0, because then nobody is left for whom it would matter."""
    return np.divide(a, b, out=np.zeros(len(b)), where=b > 0)


def _limits(F: np.ndarray, S: np.ndarray, se: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S^exp(+-z se / (S log S)) for S = 1 - F. Both are given because a tiny one would be rounded to 0."""
    S = np.where((F > 0) & (S > 0), S, np.nan)
    half = Z_QUANTILE * se / np.abs(S * np.log(S))
    return S ** np.exp(half), S ** np.exp(-half)


def checked_vectors(**named: ArrayLike) -> list[np.ndarray]:
    """The arguments as arrays (n,), when their shapes, the times and the events are what they should be.

    `time` and `event` must be among them.
    """
    arrays = {name: np.asarray(value, float) for name, value in named.items()}
    time, event = arrays["time"], arrays["event"]
    if time.ndim != 1 or not time.size or any(a.shape != time.shape for a in arrays.values()):
        got = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        raise InputError(
            f"got shapes {got}; expected (n,) for each, one value for each subject; pass them in one order"
        )
    no_time, no_code = (~(np.isfinite(x) & (x >= 0)) for x in (time, event))
    no_code |= event != np.floor(event)
    raise_all(
        [
            *wrong_values("time", time, no_time, "a number >= 0; correct it or drop the subject"),
            *wrong_values("event", event, no_code, "0 (censored) or the number of a cause; recode it"),
        ]
    )
    return list(arrays.values())


def wrong_values(name: str, values: np.ndarray, where: np.ndarray, expected: str) -> list[str]:
    """A sentence about the values (n,) that are wrong, `where` (n,); none where there are none."""
    rows = np.flatnonzero(where)
    return [f"{name}: got {values[rows[0]]:g} in {at_rows(rows)}; expected {expected}"] if rows.size else []
