"""The accuracy of predictions, made at a landmark t, of an event in the window (t, h]: AUC, Brier score and calibration.

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
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from glmm_zoo.errors import InputError, plural, raise_all
from glmm_zoo.joint.risk_curves import Z_QUANTILE, aalen_johansen, checked_vectors, ratio_or_zero, wrong_values

PER_GROUP = 20  # subjects for each group of the calibration table, arbitrary


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and 95 % Wald interval, which may leave the range of the number."""

    value: float
    se: float
    lower: float
    upper: float


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

    Source: the docstring of this file; scaled Brier score: Kattan & Gerds (2018), Diagnostic and Prognostic Research 2.
    """
    later = np.zeros(np.shape(time)) if completed is None else completed
    risk, time, event, later = checked_vectors(risk=risk, time=time, event=event, completed=later)
    at_risk = time > landmark
    case = at_risk & (event == cause) & (time <= horizon)
    competing = at_risk & (event != cause) & (event > 0) & (time <= horizon)
    lost = at_risk & (event == 0) & (time < horizon)
    _require_window(time, at_risk, case, lost, landmark, horizon, cause)
    no_risk, no_later = (~((p >= 0) & (p <= 1)) for p in (risk, later))
    probability = "a probability in [0, 1]; predict one for everybody"
    raise_all(
        [
            *wrong_values("risk", risk, at_risk & no_risk, f"{probability} at risk"),
            *wrong_values("completed", later, lost & no_later, f"{probability} censored in the window"),
        ]
    )

    pi, T, d, case, competing, lost, later = (x[at_risk] for x in (risk, time, event, case, competing, lost, later))
    y = np.where(lost, later, case)
    weights = _CensoringWeights.of(np.minimum(T, horizon), lost & (completed is None))
    omega, F, E = weights.omega, weights.omega @ y, pi.mean()
    square = y * (1 - pi) ** 2 + (1 - y) * pi**2
    brier, null = omega @ square, F * (1 - F)
    below = _weight_below(pi, omega * (1 - y)) / (1 - F)  # sum_j omega_j (1 - y_j) k_ij / (1 - F)
    above = _weight_below(-pi, omega * y) / F
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
        auc=_wald_estimate(auc, U_auc),
        brier=_wald_estimate(brier, U_brier),
        scaled=_wald_estimate(1 - brier / null, U_scaled),
        observed=_wald_estimate(F, U_F),
        expected=float(E),
        ratio=_wald_estimate(F / E, (U_F - F / E * U_E) / E),
        in_the_large=_wald_estimate(F - E, U_F - U_E),
        calibration=_calibration(pi, T, d, case, lost, horizon, cause, groups),
    )


@dataclass(frozen=True)
class _CensoringWeights:
    """The weights `omega` (n,), and how they came about.

    `place` (n,) is the position of each end of follow-up among the k different ones, `lost` (n,) says who is censored then;
    `share` (k,) is c_u / (n_u - d_u), the part of those still followed who are censored at u, `left` (k,) the number l_u left
    after u.
    """

    omega: np.ndarray
    place: np.ndarray
    lost: np.ndarray
    share: np.ndarray
    left: np.ndarray

    @classmethod
    def of(cls, end: np.ndarray, lost: np.ndarray) -> _CensoringWeights:
        """From ends of follow-up min(T_i, h) (n,), and who is censored then (n,)."""
        place = np.unique(end, return_inverse=True)[1]
        gone, known = np.bincount(place, lost), np.bincount(place, ~lost)
        left = len(end) - np.cumsum(gone + known)
        share = ratio_or_zero(gone, gone + left)
        before = np.concatenate([[1.0], np.cumprod(1 - share)])  # G(u-)
        return cls(np.divide(~lost, len(end) * before[place]), place, lost, share, left)

    def influence(self, gradient: np.ndarray) -> np.ndarray:
        """U (n,) of an estimate theta with gradient g_i = d theta / d omega_i,

            U_j = g_j omega_j - sum_u (A_u / l_u) [1{j still followed at u} c_u / (n_u - d_u) - 1{j lost at u}],

        with A_u the sum of g_i omega_i after u: the bracket over l_u is the derivative of log G(u).
        """
        own = gradient * self.omega
        A = own.sum() - np.cumsum(np.bincount(self.place, own))
        change = ratio_or_zero(A, self.left)
        total = np.concatenate([[0.0], np.cumsum(change * self.share)])
        return own - total[self.place + self.lost] + self.lost * change[self.place]


def _weight_below(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """For each x_i (n,), the sum of the weights of all x_j below it and half of those that tie with it."""
    place = np.unique(x, return_inverse=True)[1]
    total = np.bincount(place, weight)
    return (np.cumsum(total) - total / 2)[place]


def _wald_estimate(value: Any, influence: np.ndarray) -> Estimate:
    """An estimate with its standard error from the influence U (n,) of each subject."""
    se = float(np.sqrt(influence @ influence))
    return Estimate(float(value), se, float(value - Z_QUANTILE * se), float(value + Z_QUANTILE * se))


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
    """The calibration table in groups of equal size by predicted risk."""
    groups = max(1, min(groups, len(risk) // PER_GROUP))
    edges = np.quantile(risk, np.arange(1, groups) / groups)
    group, size = np.unique(np.searchsorted(edges, risk), return_inverse=True, return_counts=True)[1:]
    members = [group == g for g in range(len(size))]
    observed, lower, upper = np.transpose([aalen_johansen(time[m], event[m], cause).at(horizon) for m in members])
    events, censored = (np.bincount(group, who).astype(int) for who in (case, lost))
    return Calibration(np.bincount(group, risk) / size, observed, lower, upper, size, events, censored)


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
