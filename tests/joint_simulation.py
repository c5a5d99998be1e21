"""Subjects with a marker and an event time whose hazard depends on it, from the joint model itself.

    eta_i(t) = b0 + b1 t + b2 drug_i t + u0_i + u1_i t,       (u0, u1) ~ N(0, diag(sd) [1 corr; corr 1] diag(sd)),
    h_ik(t)  = shape_k / scale_k (t / scale_k)^(shape_k - 1) exp{gamma_k drug_i + alpha_k f_i(t)},  k = 1..causes,

with f the value eta_i(t), its slope b1 + b2 drug_i + u1_i, or the shared effects u_i. All are linear in t, so that with
gamma_k drug_i + alpha_k f_i(t) = p + q t the cumulative hazard is Kummer's function M,

    H_k(t) = exp(p) int_0^t shape/scale (s/scale)^(shape-1) exp(q s) ds = exp(p) (t/scale)^shape M(shape, shape + 1, q t).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, hyp1f1

_HALVINGS = 60  # of (0, end of follow-up]; 2^-60 of it is left


def simulate(
    n: int,
    seed: int,
    *,
    beta: Sequence[float],
    sd: Sequence[float],
    corr: float,
    sigma: float,
    gamma: ArrayLike,
    alpha: ArrayLike,
    shape: ArrayLike,
    scale: ArrayLike,
    association: Literal["value", "slope", "shared"] = "value",
    family: Literal["gaussian", "bernoulli", "poisson"] = "gaussian",
    visits: Sequence[float],
    censoring: tuple[float, float],
    entry: tuple[float, float] | None = None,
    causes: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Longitudinal rows (id, time, drug, y) and one row for each subject (id, years, death[, entry], drug).

    Parameters
    ----------
    n
        Subjects, every second on the drug. With `entry` fewer remain.
    beta, sd, corr, sigma
        Of the marker (3,), (2,), and its residual standard deviation (gaussian only); links are logit and log.
    gamma, alpha, shape, scale
        Of the hazards, one number for all causes or one for each (causes,). alpha of the "shared" effects is
        (alpha0, alpha1), or (causes, 2).
    visits
        Times (k,) in years since entry (0 without); a visit takes place when it is before `years`.
    censoring
        Limits of a uniform time of censoring; equal for the end of a study.
    entry
        Limits of a uniform time of entry; who has died or was censored before is not seen. death is 0 or the cause.
    """
    rng = np.random.default_rng(seed)
    drug = np.arange(n) % 2
    z = rng.normal(size=(2, n))
    u = np.stack([sd[0] * z[0], sd[1] * (corr * z[0] + np.sqrt(1 - corr**2) * z[1])])
    level, slope = beta[0] + u[0], beta[1] + beta[2] * drug + u[1]
    a = np.broadcast_to(alpha, (causes, 2) if association == "shared" else causes)
    q = np.zeros((causes, n))
    if association == "shared":
        p = a @ u
    elif association == "slope":
        p = np.outer(a, slope)
    else:
        p, q = np.outer(a, level), np.outer(a, slope)
    p = p + np.outer(np.broadcast_to(gamma, causes), drug)
    k, lam = (np.broadcast_to(x, causes)[:, None] for x in (shape, scale))

    end = rng.uniform(*censoring, n)
    mass = rng.exponential(size=n)
    years = until(mass, end, p, q, k, lam)
    died = cumulative(end, p, q, k, lam).sum(axis=0) >= mass
    share = k / lam * (years / lam) ** (k - 1) * np.exp(p + q * years)  # the hazards at the event (causes, n)
    cause = 1 + (np.cumsum(share, axis=0) < rng.uniform(size=n) * share.sum(axis=0)).sum(axis=0)
    start = np.zeros(n) if entry is None else rng.uniform(*entry, n)

    subjects = pd.DataFrame({"id": np.arange(n), "years": years, "death": np.where(died, cause, 0), "drug": drug})
    if entry is not None:
        subjects["entry"] = start
    seen = years > start
    time = start[:, None] + np.asarray(visits, float)  # (n, k)
    who, visit = np.nonzero((time < years[:, None]) & seen[:, None])
    eta = level[who] + slope[who] * time[who, visit]
    draw = {
        "gaussian": lambda: rng.normal(eta, sigma),
        "bernoulli": lambda: rng.binomial(1, expit(eta)),
        "poisson": lambda: rng.poisson(np.exp(eta)),
    }
    rows = pd.DataFrame({"id": who, "time": time[who, visit], "drug": drug[who], "y": draw[family]()})
    return rows, subjects[seen].reset_index(drop=True)


def cumulative(t: np.ndarray, p: np.ndarray, q: np.ndarray, shape: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """H_k(t) (causes, n) from t (n,), p and q (causes, n), shape and scale (causes, 1)."""
    return np.exp(p) * (t / scale) ** shape * hyp1f1(shape, shape + 1, q * t)


def until(
    mass: np.ndarray, end: np.ndarray, p: np.ndarray, q: np.ndarray, shape: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Times (n,) at which the hazards of all causes have added up to mass (n,), or the end (n,), by bisection."""
    low, high = np.zeros_like(end), end
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        over = cumulative(middle, p, q, shape, scale).sum(axis=0) >= mass
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return high
