"""Simulate stepped-wedge trials with known values, to plan a trial or to check what a model finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError, listing, plural, raise_all
from glmm_zoo.families.links import LINKS
from glmm_zoo.trials.stepped_wedge import WEDGE_CHOICES

if TYPE_CHECKING:
    import pandas as pd


def simulate_design(
    *,
    clusters: int = 12,
    periods: int = 5,
    size: Any = 20,
    sequences: int | None = None,
    crossover: Sequence[int] | None = None,
    family: str = "binomial",
    intercept: float = 0.0,
    period_effects: Sequence[float] | None = None,
    effect: float | Sequence[float] = 0.0,
    sd_cluster: float = 0.0,
    sd_cluster_period: float = 0.0,
    rho: float | None = None,
    sd_treatment: float = 0.0,
    sd_subject: float = 0.0,
    sigma: float = 1.0,
    alpha: float = 1.0,
    seed: int | None = None,
) -> pd.DataFrame:
    """A stepped-wedge trial drawn from the model of `stepped_wedge` with known values.

        eta = intercept + period_effects[t] + (effect[e] + r_c) treat + u_c + v_ct + w_subject

    Parameters
    ----------
    clusters, periods
        How many; periods are numbered from 0.
    size
        Individuals in each cluster and period, one number or an array (clusters, periods) with 0 where a cluster is not
        seen. Trials of one binomial row; rows of all other families.
    sequences
        How many groups of clusters cross over together; by default periods - 1, one group in every period but the first.
    crossover
        Instead of sequences: the first treated period of each cluster (clusters,); `periods` for never.
    family
        "binomial", "gaussian", "bernoulli", "poisson" or "negative_binomial"; eta is on its logit, identity or log link.
    period_effects
        Of periods 1, 2, ... against period 0 (periods - 1,); 0 by default.
    effect
        One number, or one for each number of periods since crossing over, 1 in the first treated period.
    sd_cluster, sd_cluster_period
        Of u and v. v is independent between periods, or has correlation rho^|t - s| where `rho` is given.
    sd_treatment
        Of r, the cluster's deviation from `effect`, independent of u.
    sd_subject
        Above 0 for a closed cohort: the same individuals in all periods, with effects w. Not for binomial rows.
    sigma, alpha
        Residual sd of a Gaussian response; shape of a negative binomial, var = mu + mu^2 / alpha.
    seed
        The same seed gives the same trial.

    Returns
    -------
    DataFrame
        Columns cluster (1, 2, ...), period, treat (0 or 1), y; n (trials) for binomial; subject for a cohort.

    Raises
    ------
    InputError
        Everything that is out of range.
    """
    import pandas as pd

    sequences = periods - 1 if sequences is None else sequences
    start = _crossover_periods(clusters, periods, sequences) if crossover is None else np.asarray(crossover)
    times = np.zeros(periods - 1) if period_effects is None else np.asarray(period_effects, float)
    sds = {
        "sd_cluster": sd_cluster, "sd_cluster_period": sd_cluster_period, "sd_treatment": sd_treatment,
        "sd_subject": sd_subject,
    }  # fmt: skip
    raise_all(
        _check_layout(clusters, periods, sequences, family, start, times, size, sd_subject)
        + [f"{name} must be a number >= 0, not {value!r}" for name, value in sds.items() if not value >= 0]
        + [
            f"{name} must be a number > 0, not {value!r}"
            for name, value in (("sigma", sigma), ("alpha", alpha))
            if not value > 0
        ]
        + ([f"rho must be between 0 and 1, not {rho!r}"] if rho is not None and not 0 < rho < 1 else [])
    )
    exposure = np.maximum(np.arange(periods) - start[:, None] + 1, 0)  # (C, T)
    by_exposure = _effects_by_exposure(effect, int(exposure.max()))
    rng = np.random.default_rng(seed)
    v = sd_cluster_period * _autocorrelated(rng, clusters, periods, 0.0 if rho is None else rho)  # (C, T)
    treatment = np.append(0.0, by_exposure)[exposure] + sd_treatment * rng.normal(size=(clusters, 1)) * (exposure > 0)
    u = sd_cluster * rng.normal(size=(clusters, 1))
    eta = intercept + np.append(0.0, times) + treatment + u + v  # (C, T)

    counts = np.broadcast_to(size, (clusters, periods))
    repeats = (counts > 0).astype(int) if family == "binomial" else counts
    cluster, period = (np.repeat(i.ravel(), repeats.ravel()) for i in np.indices((clusters, periods)))
    frame = {"cluster": cluster + 1, "period": period, "treat": (exposure[cluster, period] > 0).astype(int)}
    eta = eta[cluster, period]
    if sd_subject > 0:
        subject = cluster * size + np.tile(np.arange(size), clusters * periods)
        eta = eta + (sd_subject * rng.normal(size=clusters * size))[subject]
        frame["subject"] = subject + 1
    if family == "binomial":
        n = counts[cluster, period]
        return pd.DataFrame({**frame, "y": rng.binomial(n, LINKS["logit"].inverse(eta)), "n": n})
    return pd.DataFrame({**frame, "y": _draw_response(rng, family, eta, sigma, alpha)})


def _crossover_periods(clusters: int, periods: int, sequences: int) -> np.ndarray:
    """The first treated period of each cluster (clusters,), for groups of clusters that cross over together."""
    group = np.arange(clusters) * sequences // max(clusters, 1)
    return 1 + group * (periods - 1) // max(sequences, 1)


def _effects_by_exposure(effect: float | Sequence[float], longest: int) -> np.ndarray:
    """The effect after 1, 2, ... periods of treatment; one number holds for all of them."""
    effects = np.atleast_1d(np.asarray(effect, float))
    effects = np.repeat(effects, max(longest, 1)) if effects.size == 1 else effects
    if effects.size < longest:
        raise InputError(f"effect has {effects.size} values; the longest exposure is {plural(longest, 'period')}")
    return effects


def _autocorrelated(rng: np.random.Generator, clusters: int, periods: int, rho: float) -> np.ndarray:
    """Standard normal variables (clusters, periods) with correlation rho^|t - s| between periods of a cluster."""
    z = rng.normal(size=(clusters, periods))
    for t in range(1, periods):
        z[:, t] = rho * z[:, t - 1] + np.sqrt(1 - rho**2) * z[:, t]
    return z


def _draw_response(rng: np.random.Generator, family: str, eta: np.ndarray, sigma: float, alpha: float) -> np.ndarray:
    """A response (n,) of every individual, given its linear predictor."""
    if family == "gaussian":
        return rng.normal(eta, sigma)
    if family == "bernoulli":
        return rng.binomial(1, LINKS["logit"].inverse(eta))
    mu = np.exp(eta)
    return rng.poisson(mu if family == "poisson" else rng.gamma(alpha, mu / alpha))


def _check_layout(
    clusters: int, periods: int, sequences: int, family: str, start: np.ndarray, times: np.ndarray, size: Any, sd_subject: float
) -> list[str]:  # fmt: skip
    """Sentences about numbers of clusters, periods and individuals that do not fit together, or are out of range."""
    problems = [
        f"{name} must be a whole number of at least 2, not {value!r}"
        for name, value in (("clusters", clusters), ("periods", periods))
        if value < 2
    ]
    if family not in WEDGE_CHOICES["family"]:
        problems.append(f"unknown family {family!r}; known: {listing(WEDGE_CHOICES['family'])}")
    if not 1 <= sequences <= periods - 1:
        problems.append(f"sequences must be from 1 to periods - 1 = {periods - 1}, not {sequences!r}")
    if start.shape != (clusters,) or not np.isin(start, np.arange(periods + 1)).all():
        problems.append(f"crossover has one period from 0 to {periods} for each of the {clusters} clusters")
    if times.shape != (periods - 1,):
        problems.append(f"period_effects has {periods - 1} values, one for each period but the first, not {times.size}")
    if np.shape(size) not in ((), (clusters, periods)) or np.min(size) < 0 or not np.any(size):
        problems.append(f"size is a whole number > 0, or an array ({clusters}, {periods}) of numbers >= 0")
    if sd_subject > 0 and (family == "binomial" or np.shape(size) != ()):
        problems.append(
            "a closed cohort (sd_subject > 0) has one size, and one row for each subject: not family='binomial'"
        )
    return problems
