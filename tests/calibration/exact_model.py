"""A hierarchical model whose posterior is known, drawn from without a sampler, with faults that can be planted in it.

    y_ij ~ Normal(o_ij + x_ij' beta + u_0j + u_1j s_ij, 9),   (u_0j, u_1j) ~ Normal(0, t^2 (1, rho; rho, 1))
    w_ij ~ Bernoulli(expit(g z_ij))
    beta ~ Normal(0, 9),   g ~ Normal(0, 1),   t ~ HalfNormal(3),   rho ~ LKJ(1), which is uniform

An intercept and an arm are in x, and three covariates of which the data say little.

Given t and rho all else is normal. t and rho are drawn on a grid of cells of equal prior probability, within which they are uniform in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.special import expit, log_expit

from glmm_zoo.calibration.ranks import rank

GROUPS, ROWS, DRAWS = 6, 6, 150
SCALE = 3.0
_CELLS_T, _CELLS_RHO, _CELLS_G = 48, 16, 200
COEFFICIENTS = ("beta[1]", "beta[arm]", "beta[v1]", "beta[v2]", "beta[v3]")
FAULTS = (
    "an sd for a variance",
    "a dropped Jacobian",
    "LKJ exponent off by one",
    "offset counted twice",
    "swapped arms",
    "group effects shrunk twice by 10 %",
    "a prior 20 % too narrow",
    "the zero part's sign",
    "thinning that keeps the best",
    "a sampler that ignores one gradient component",
    "rows counted twice",
    "effects of the neighbouring group",
    "the sign of a correlation",
)


@dataclass(frozen=True)
class Design:
    """Offsets, covariates and groups (n,), the same in all data sets."""

    offset: np.ndarray
    X: np.ndarray
    Z: np.ndarray
    z: np.ndarray


@lru_cache(maxsize=1)
def design() -> Design:
    rng, n = np.random.default_rng(1), GROUPS * ROWS
    group = np.repeat(np.arange(GROUPS), ROWS)
    x = np.tile([0.0, 1.0], n // 2)
    X = np.column_stack([np.ones(n), x, 0.05 * rng.normal(size=(n, 3))])
    Z = np.zeros((n, 2 * GROUPS))
    Z[np.arange(n), 2 * group], Z[np.arange(n), 2 * group + 1] = 1.0, rng.normal(size=n)
    return Design(SCALE * rng.normal(size=n), X, Z, rng.normal(size=n))


def t_of(p: np.ndarray) -> np.ndarray:
    return SCALE * stats.halfnorm.ppf(p)


def rho_of(p: np.ndarray) -> np.ndarray:
    return 2 * p - 1


@lru_cache(maxsize=4)
def _given(variance_is_sd: bool, arms_swapped: bool, sd: float, times: int) -> tuple[np.ndarray, ...]:
    """By cell of t and rho, of rows that are counted so many times: gain (cells, k, n) and root (cells, k, k) of the effects given y, whitening (cells, n, n) of y."""
    d, n = design(), GROUPS * ROWS
    X = d.X.copy()
    if arms_swapped:
        X[:, 1] = 1 - X[:, 1]
    W = np.column_stack([X, d.Z])
    t, rho = (v.ravel() for v in np.meshgrid(_middles(_CELLS_T, t_of), _middles(_CELLS_RHO, rho_of), indexing="ij"))
    gains, roots, whitening = [], [], []
    for s, r in zip(t if variance_is_sd else t**2, rho, strict=True):
        prior = np.zeros((W.shape[1], W.shape[1]))
        k = len(COEFFICIENTS)
        prior[:k, :k] = sd**2 * np.eye(k)
        prior[k:, k:] = np.kron(np.eye(GROUPS), s * np.array([[1, r], [r, 1]]))
        V = W @ prior @ W.T + SCALE**2 / times * np.eye(n)
        whiten = np.linalg.inv(np.linalg.cholesky(V))
        gain = prior @ W.T @ whiten.T @ whiten
        gains.append(gain)
        whitening.append(whiten)
        roots.append(np.linalg.cholesky(prior - gain @ W @ prior + 1e-12 * np.eye(len(prior))))
    return t, rho, np.array(gains), np.array(roots), np.array(whitening)


def _middles(cells: int, quantile) -> np.ndarray:
    return quantile((np.arange(cells) + 0.5) / cells)


def ranks_of_one(rng: np.random.Generator, fault: str = "") -> dict[str, float]:
    """Ranks of parameters drawn from the prior among draws of the posterior given data drawn with them, which has a fault if one is named."""
    assert fault in ("", *FAULTS)
    d, n = design(), GROUPS * ROWS
    truth = {name: SCALE * rng.normal() for name in COEFFICIENTS} | {"g": rng.normal()}
    t, rho = float(t_of(rng.uniform())), float(rho_of(rng.uniform()))
    root = t * np.linalg.cholesky(np.array([[1, rho], [rho, 1]]))
    u = (rng.normal(size=(GROUPS, 2)) @ root.T).ravel()
    y = d.offset + d.X @ np.array([truth[name] for name in COEFFICIENTS]) + d.Z @ u + SCALE * rng.normal(size=n)
    w = rng.uniform(size=n) < expit(truth["g"] * d.z)

    of_t, of_rho, gains, roots, whitening = _given(
        fault == FAULTS[0],
        fault == FAULTS[4],
        (0.8 if fault == FAULTS[6] else 1.0) * SCALE,
        2 if fault == FAULTS[10] else 1,
    )
    residual = y - d.offset * (2 if fault == FAULTS[3] else 1)
    white = whitening @ residual
    log_w = np.log(np.diagonal(whitening, axis1=1, axis2=2)).sum(axis=1) - 0.5 * (white**2).sum(axis=1)
    if fault == FAULTS[1]:
        log_w -= np.log(of_t)
    if fault == FAULTS[2]:
        log_w += np.log1p(-(of_rho**2))
    weights = np.exp(log_w - log_w.max())
    many = 2 * DRAWS if fault == FAULTS[8] else DRAWS
    cell = rng.choice(len(weights), many, p=weights / weights.sum())
    effects = gains[cell] @ residual + np.einsum("mij,mj->mi", roots[cell], rng.normal(size=(many, gains.shape[1])))
    if fault == FAULTS[9]:  # its place is never pulled towards the data
        effects[:, 1] = SCALE * rng.normal(size=many)
    draws = {name: effects[:, i] for i, name in enumerate(COEFFICIENTS)}
    draws["t"] = t_of((cell // _CELLS_RHO + rng.uniform(size=many)) / _CELLS_T)
    draws["rho"] = rho_of((cell % _CELLS_RHO + rng.uniform(size=many)) / _CELLS_RHO)
    if fault == FAULTS[12]:
        draws["rho"] = -draws["rho"]
    shrunk = 0.9 if fault == FAULTS[5] else 1.0
    away = 2 if fault == FAULTS[11] else 0  # an intercept and a slope of each group
    for k in range(len(u)):
        draws[f"u_g[{k}]"] = shrunk * effects[:, len(COEFFICIENTS) + (k + away) % len(u)]
    g = _middles(_CELLS_G, stats.norm.ppf)
    sign = -1 if fault == FAULTS[7] else 1
    log_g = np.where(w, log_expit(sign * g[:, None] * d.z), log_expit(-sign * g[:, None] * d.z)).sum(axis=1)
    of_g = np.exp(log_g - log_g.max())
    draws["g"] = stats.norm.ppf((rng.choice(_CELLS_G, many, p=of_g / of_g.sum()) + rng.uniform(size=many)) / _CELLS_G)
    log_likelihood = _log_likelihood(y, w, draws["g"], effects)
    if fault == FAULTS[8]:
        best = np.sort(np.argsort(log_likelihood)[DRAWS:])  # in the order in which they were drawn
        draws, log_likelihood = {name: v[best] for name, v in draws.items()}, log_likelihood[best]
    known = {**truth, "t": t, "rho": rho, **{f"u_g[{k}]": u[k] for k in range(len(u))}}
    found = {name: rank(float(known[name]), v[None], rng) for name, v in draws.items()}
    at_truth = _log_likelihood(
        y, w, np.array([truth["g"]]), np.concatenate([[truth[name] for name in COEFFICIENTS], u])[None]
    )
    return found | {"log-likelihood": rank(float(at_truth[0]), log_likelihood[None], rng)}


def _log_likelihood(y: np.ndarray, w: np.ndarray, g: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """By draw (m,)."""
    d = design()
    mean = d.offset + effects @ np.column_stack([d.X, d.Z]).T
    zero = np.where(w, log_expit(g[:, None] * d.z), log_expit(-g[:, None] * d.z))
    return stats.norm.logpdf(y, mean, SCALE).sum(axis=1) + zero.sum(axis=1)
