"""How good were predictions of an event in a window (t, h], made at a landmark t? Imports `errors` only.

Subject i of the n still at risk at the landmark is followed to T_i; its predicted risk is pi_i, and y_i = 1 when it has
the event of interest by the horizon h. Whether those censored in the window have it is not known. The others stand for
them by their inverse probability of not being censored,

    omega_i = 1{T_i >= h or an event by h} / (n G(min(T_i, h)-)),    sum_i omega_i = 1,

with G the Kaplan-Meier estimate of not yet being censored, among those at risk at the landmark, events before
censorings where times tie: censored at h means known to be free of the event at h. With a model's own probabilities
y_i in (0, 1) of those censored in the window, everybody's status is known: omega_i = 1/n. Then

    F     = sum_i omega_i y_i,
    AUC   = sum_ij omega_i y_i omega_j (1 - y_j) k_ij / (F (1 - F)),    k_ij = 1, 1/2, 0 for pi_i >, =, < pi_j,
    Brier = sum_i omega_i {y_i (1 - pi_i)^2 + (1 - y_i) pi_i^2},

where F is the Kaplan-Meier (Aalen-Johansen) risk itself, and F (1 - F) the Brier score of predicting it for everybody.
Weighting needs censoring that is independent of everything, given survival to the landmark.

Standard errors are infinitesimal jackknives: each estimate is a smooth function theta of the subjects' case weights,
and se^2 = sum_j U_j^2 with U_j its derivative by that of subject j, through omega and through G. That is the influence
function of Blanche et al. (2015), exact, without a seed, O(n log n). The predictions are taken as given: a model
fitted to the same subjects looks better than it is, and its own uncertainty is not in these errors.

Blanche, Proust-Lima, Loubere, Berr, Dartigues & Jacqmin-Gadda (2015), Biometrics 71; Graf, Schmoor, Sauerbrei &
Schumacher (1999), Statistics in Medicine 18; Gerds & Schumacher (2006), Biometrical Journal 48.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from glmm_zoo.errors import InputError, at_rows, plural, raise_all

PROB = 0.95  # inside every interval of this room
PER_GROUP = 20  # subjects for each group of the calibration table, arbitrary
_Z = NormalDist().inv_cdf(0.5 + PROB / 2)


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and 95 % Wald interval, which may leave the range of the number."""

    value: float
    se: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Curve:
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
        found = np.stack([self.value, self.lower, self.upper])[:, np.searchsorted(self.time[1:], times, "right")]
        return np.where((times > self.time[-1]) & (self.censored[-1] > 0), np.nan, found)


@dataclass(frozen=True)
class Calibration:
    """Groups of predicted risk, low to high; all arrays are (groups,), so `pandas.DataFrame(vars(table))` is a table.

    `predicted` is the mean predicted risk; `observed` with its 95 % limits the Aalen-Johansen risk in the group, NaN
    when its follow-up ends before the horizon; `events` (of the cause) and `censored` are those in the window.
    """

    predicted: np.ndarray
    observed: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray
    censored: np.ndarray


@dataclass(frozen=True)
class Accuracy:
    """What `accuracy` returns.

    `events`, `competing` and `censored` count those at risk who, in the window, had the event of interest, had another
    one, were censored. `auc`, `brier` as above; `scaled` = 1 - brier / (F (1 - F)), 0 for predicting F for everybody;
    `observed` = F, `expected` = mean predicted risk; `ratio` = observed / expected, 1 when calibrated; `in_the_large` =
    observed - expected, 0 when calibrated.
    """

    landmark: float
    horizon: float
    cause: int
    at_risk: int
    events: int
    competing: int
    censored: int
    auc: Estimate
    brier: Estimate
    scaled: Estimate
    observed: Estimate
    expected: float
    ratio: Estimate
    in_the_large: Estimate
    calibration: Calibration


def accuracy(
    risk: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    *,
    landmark: float,
    horizon: float,
    cause: int = 1,
    completed: ArrayLike | None = None,
    groups: int = 10,
) -> Accuracy:
    """Discrimination, overall accuracy and calibration of predicted risks of an event in (landmark, horizon].

    Cases have the event of `cause` in the window. Controls are free of any event at the horizon or had a competing one
    before (definition ii of Blanche, Dartigues & Jacqmin-Gadda 2013, Statistics in Medicine 32): those without what
    `risk` is the probability of.

    Parameters
    ----------
    risk
        Predicted probability (n,) of the event of `cause` in the window, given survival to the landmark. Subjects with
        time <= landmark are left out, whatever stands here for them.
    time
        End of follow-up (n,), in the unit of `landmark` and `horizon`.
    event
        What ended it (n,): 0 censored, k = cause k.
    completed
        Predicted probability (n,) of the event of `cause` in (time, horizon], given survival to `time`, for those
        censored in the window: cases with this probability, controls with its complement (JM, JMbayes2:
        "model-based"), each also a tie with itself. Right when the model is, whereas weighting needs no model; its
        errors take these probabilities as known and are too small. Not read for the other subjects.
    groups
        Most groups of the calibration table, by quantiles of risk; fewer when less than 20 subjects for each are at
        risk or risks tie.

    Raises
    ------
    InputError
        Shapes differ; times are negative or not finite; events are not whole numbers >= 0; horizon <= landmark; nobody
        is at risk or followed to the horizon; no events of the cause or no controls; risks outside [0, 1].

    Source: this room's docstring; scaled Brier score: Kattan & Gerds (2018), Diagnostic and Prognostic Research 2.
    """
    later = np.zeros(np.shape(time)) if completed is None else completed
    risk, time, event, later = _vectors(risk=risk, time=time, event=event, completed=later)
    at_risk = time > landmark
    case = at_risk & (event == cause) & (time <= horizon)
    competing = at_risk & (event != cause) & (event > 0) & (time <= horizon)
    lost = at_risk & (event == 0) & (time < horizon)
    _require_window(time, at_risk, case, lost, landmark, horizon, cause)
    no_risk, no_later = (~((p >= 0) & (p <= 1)) for p in (risk, later))
    probability = "a probability in [0, 1]; predict one for everybody"
    raise_all(
        [
            *_wrong("risk", risk, at_risk & no_risk, f"{probability} at risk"),
            *_wrong("completed", later, lost & no_later, f"{probability} censored in the window"),
        ]
    )

    pi, T, d, case, competing, lost, later = (x[at_risk] for x in (risk, time, event, case, competing, lost, later))
    y = np.where(lost, later, case)
    weights = _Weights.of(np.minimum(T, horizon), lost & (completed is None))
    omega, F, E = weights.omega, weights.omega @ y, pi.mean()
    square = y * (1 - pi) ** 2 + (1 - y) * pi**2
    brier, null = omega @ square, F * (1 - F)
    below = _below(pi, omega * (1 - y)) / (1 - F)  # sum_j omega_j (1 - y_j) k_ij / (1 - F)
    above = _below(-pi, omega * y) / F
    auc = omega @ (y * below) / F
    # U of each: derivatives by omega_i of what stays the same when all omega are multiplied by one number
    U_F, U_E = weights.influence(y - F), (pi - E) / len(pi)
    U_brier = weights.influence(square - brier)
    U_auc = weights.influence(y * (below - auc) / F + (1 - y) * (above - auc) / (1 - F))
    U_scaled = (brier * (1 - 2 * F) / null * U_F - U_brier) / null
    return Accuracy(
        landmark,
        horizon,
        cause,
        at_risk=len(pi),
        events=int(case.sum()),
        competing=int(competing.sum()),
        censored=int(lost.sum()),
        auc=_estimate(auc, U_auc),
        brier=_estimate(brier, U_brier),
        scaled=_estimate(1 - brier / null, U_scaled),
        observed=_estimate(F, U_F),
        expected=float(E),
        ratio=_estimate(F / E, (U_F - F / E * U_E) / E),
        in_the_large=_estimate(F - E, U_F - U_E),
        calibration=_calibration(pi, T, d, case, lost, horizon, cause, groups),
    )


def kaplan_meier(time: ArrayLike, event: ArrayLike) -> Curve:
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
    time, event = _vectors(time=time, event=event)
    u, n, d, c = _counts(time, event > 0, event == 0)
    S = np.cumprod(1 - d / n)
    se = S * np.sqrt(np.cumsum(_over(d, n * (n - d))))
    return Curve(u, S, se, *_limits(1 - S, S, se), n, d, c)


def aalen_johansen(time: ArrayLike, event: ArrayLike, cause: int = 1) -> Curve:
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
    time, event = _vectors(time=time, event=event)
    u, n, d, c = _counts(time, event > 0, event == 0)
    d1 = _counts(time, event == cause, event == 0)[2]
    S = np.cumprod(1 - d / n)
    before = np.concatenate([[1.0], S[:-1]])  # S(u-)
    F, others = np.cumsum(before * d1 / n), np.cumsum(before * (d - d1) / n)
    a, b = _over(d, n * (n - d)), before * d1 / n**2
    square = F**2 * np.cumsum(a) - 2 * F * np.cumsum(a * F + b)
    square += np.cumsum(a * F**2 + before**2 * d1 * (n - d1) / n**3 + 2 * F * b)
    se = np.sqrt(np.maximum(square, 0.0))
    lower, upper = _limits(F, S + others, se)
    return Curve(u, F, se, 1 - upper, 1 - lower, n, d, c)


def _counts(time: np.ndarray, *kinds: np.ndarray) -> tuple[np.ndarray, ...]:
    """Times (k,), 0 first, numbers at risk just before each, and for each kind (n,) how many at it."""
    u, place = np.unique(np.concatenate([[0.0], time]), return_inverse=True)
    at = [np.bincount(place[1:], kind, len(u)).astype(int) for kind in (np.ones(len(time)), *kinds)]
    return u, at[0][::-1].cumsum()[::-1], *at[1:]


def _over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b (k,), 0 where b is: nobody is left, for whom it would matter."""
    return np.divide(a, b, out=np.zeros(len(b)), where=b > 0)


def _limits(F: np.ndarray, S: np.ndarray, se: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S^exp(+-z se / (S log S)) for S = 1 - F, both given because rounding would make a tiny one of 0."""
    S = np.where((F > 0) & (S > 0), S, np.nan)
    half = _Z * se / np.abs(S * np.log(S))
    return S ** np.exp(half), S ** np.exp(-half)


@dataclass(frozen=True)
class _Weights:
    """omega (n,), and how it came about: the place (n,) of each end of follow-up among the k different ones, who is lost
    to it then (n,), the share c_u / (n_u - d_u) of those still followed who are, and the number l_u left after (k,)."""

    omega: np.ndarray
    place: np.ndarray
    lost: np.ndarray
    share: np.ndarray
    left: np.ndarray

    @classmethod
    def of(cls, end: np.ndarray, lost: np.ndarray) -> _Weights:
        """From ends of follow-up min(T_i, h) (n,) and who is lost to it then (n,)."""
        place = np.unique(end, return_inverse=True)[1]
        gone, known = np.bincount(place, lost), np.bincount(place, ~lost)
        left = len(end) - np.cumsum(gone + known)
        share = _over(gone, gone + left)
        before = np.concatenate([[1.0], np.cumprod(1 - share)])  # G(u-)
        return cls(np.divide(~lost, len(end) * before[place]), place, lost, share, left)

    def influence(self, gradient: np.ndarray) -> np.ndarray:
        """U (n,) of an estimate theta with gradient g_i = d theta / d omega_i,

            U_j = g_j omega_j - sum_u (A_u / l_u) [1{j still followed at u} c_u / (n_u - d_u) - 1{j lost at u}],

        with A_u the sum of g_i omega_i after u: the bracket over l_u is the derivative of log G(u).
        """
        own = gradient * self.omega
        A = own.sum() - np.cumsum(np.bincount(self.place, own))
        change = _over(A, self.left)
        total = np.concatenate([[0.0], np.cumsum(change * self.share)])
        return own - total[self.place + self.lost] + self.lost * change[self.place]


def _below(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """For each x_i (n,) the sum of weights of the x_j below it, and half of those that tie."""
    place = np.unique(x, return_inverse=True)[1]
    total = np.bincount(place, weight)
    return (np.cumsum(total) - total / 2)[place]


def _estimate(value: Any, influence: np.ndarray) -> Estimate:
    se = float(np.sqrt(influence @ influence))
    return Estimate(float(value), se, float(value - _Z * se), float(value + _Z * se))


def _calibration(
    risk: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    case: np.ndarray,
    lost: np.ndarray,
    horizon: float,
    cause: int,
    groups: int,
) -> Calibration:
    groups = max(1, min(groups, len(risk) // PER_GROUP))
    edges = np.quantile(risk, np.arange(1, groups) / groups)
    group, size = np.unique(np.searchsorted(edges, risk), return_inverse=True, return_counts=True)[1:]
    members = [group == g for g in range(len(size))]
    observed, lower, upper = np.transpose([aalen_johansen(time[m], event[m], cause).at(horizon) for m in members])
    events, censored = (np.bincount(group, who).astype(int) for who in (case, lost))
    return Calibration(np.bincount(group, risk) / size, observed, lower, upper, size, events, censored)


def _vectors(**named: ArrayLike) -> list[np.ndarray]:
    """Arrays (n,), when their shapes, the times and the events are what they should be."""
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
            *_wrong("time", time, no_time, "a number >= 0; correct it or drop the subject"),
            *_wrong("event", event, no_code, "0 (censored) or the number of a cause; recode it"),
        ]
    )
    return list(arrays.values())


def _require_window(
    time: np.ndarray,
    at_risk: np.ndarray,
    case: np.ndarray,
    lost: np.ndarray,
    landmark: float,
    horizon: float,
    cause: int,
) -> None:
    """Raise unless there are cases and controls in (landmark, horizon] and follow-up to its end."""
    last, window = time.max(), f"in ({landmark:g}, {horizon:g}]"
    if not horizon > landmark:
        raise InputError(f"horizon must be after the landmark {landmark:g}; got {horizon:g}; choose a later horizon")
    if not at_risk.any():
        raise InputError(
            f"nobody is at risk after the landmark {landmark:g}; times end at {last:g}; choose an earlier one"
        )
    if last < horizon:
        raise InputError(f"follow-up ends at {last:g}, before the horizon {horizon:g}; choose an earlier horizon")
    if not case.any():
        who = plural(int(at_risk.sum()), "subject")
        raise InputError(
            f"none of {who} at risk has an event of cause {cause} {window}; choose a wider window or another cause"
        )
    if not (at_risk & ~case & ~lost).any():
        raise InputError(
            f"all at risk have an event of cause {cause} or are censored {window}, so there are no controls; "
            "choose an earlier horizon"
        )


def _wrong(name: str, values: np.ndarray, where: np.ndarray, expected: str) -> list[str]:
    """A sentence when some of the values (n,) are wrong (n,)."""
    rows = np.flatnonzero(where)
    return [f"{name}: got {values[rows[0]]:g} in {at_rows(rows)}; expected {expected}"] if rows.size else []
