"""Do outcomes go together? Correlations of the subjects' propensities, and what they mean for responses.

The propensity of a subject for outcome m is its predictor at the covariates' means, eta_m = mean_m + W_m u, with effects
u ~ Normal(0, S); other group effects, and parts such as zi, are at their means. Then for a new subject

    cov(eta_a, eta_b) = W_a S W_b'                                    correlation r of the propensities
    corr(y_a, y_b) = [cov(mu_a, mu_b) + cov_ab] / sqrt(V_a V_b)       mu_m = E(y_m | eta_m), V_m = var mu_m + E var(y_m | eta_m)
    P(both high) = P(Z_a > q, Z_b > q), q the upper quartile          1/16 where r = 0
    E(y_b | eta_a) = E mu_b(eta),  eta ~ Normal(mean_b + r s_b z_a, s_b^2 (1 - r^2)),  z_a = (eta_a - mean_a) / s_a

by Gauss-Hermite quadrature for every draw; cov_ab is that of residuals of one row, if they are correlated. Predictions of a
subject in the data rest on its history in all outcomes: where it has no rows of an outcome, on the others alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtr, ndtri

from glmm_zoo.results.findings.finding import Finding, draws_of, interval_table
from glmm_zoo.results.numbers import decimals, interval, nominal, probability, written
from glmm_zoo.results.response_moments import ResponseMoments, Thinning, normal_nodes, response_of
from glmm_zoo.results.storage import metadata

DRAWS = 400  # of the posterior, for what takes a quadrature at each
HIGH = ndtri(0.75)
GIVEN = {"low (10 %)": ndtri(0.1), "median": 0.0, "high (90 %)": ndtri(0.9)}
MEANINGS = {
    "propensity_correlation": "correlation over subjects of the predictors of two outcomes, at the covariates' means",
    "response_correlation": "correlation of one response of each outcome over subjects, at the covariates' means",
}


@dataclass(frozen=True)
class Propensities:
    """The propensities of M outcomes that have effects of one factor in common.

    Attributes
    ----------
    factor, levels, outcomes
        Names; levels only where `deviations` are there.
    covariance
        Draws (chain, draw, M, M) of W S W'.
    deviations
        Some draws (chain, draw, M, levels) of W u, the propensities of the factor's levels less their means, and which these draws
        are is in `kept`; None where the fit kept no draws of the effects.
    one_effect
        Whether the outcomes share one effect with loadings, so that every correlation is 1 or -1.
    """

    factor: str
    levels: list[str]
    outcomes: list[str]
    covariance: np.ndarray
    deviations: np.ndarray | None
    kept: Thinning
    one_effect: bool


@dataclass(frozen=True)
class Pair:
    """Two outcomes of `Propensities`: their names, and draws (chain, draw) of the propensities' sds and correlation."""

    factor: str
    one: str
    two: str
    sd_one: np.ndarray
    sd_two: np.ndarray
    r: np.ndarray

    @property
    def label(self) -> str:
        return f"{self.factor}: {self.one}, {self.two}"


def find(tree: xr.DataTree, prob: float) -> Finding:
    """Correlations with their probability of being positive, and predictions of one outcome from another."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    correlations: dict[str, np.ndarray] = {}
    new_subject: dict[str, np.ndarray] = {}
    given: dict[str, np.ndarray] = {}
    sentences: list[str] = []
    subjects: dict[str, pd.DataFrame] = {}
    for propensities in _shared_effects(posterior, spec):
        kept = propensities.kept
        responses = {name: response_of(posterior, spec, name) for name in propensities.outcomes}
        for a, b in permutations(range(len(propensities.outcomes)), 2):
            pair = _pair(propensities, a, b)
            given.update(_expected_given(pair, responses[pair.two], kept))
            if a < b:
                if not propensities.one_effect:
                    correlations[f"propensity_correlation[{pair.label}]"] = pair.r
                new_subject.update(_of_new_subject(posterior, pair, responses, kept))
                sentences.append(_sentence(pair, propensities.one_effect, prob))
        if propensities.deviations is not None:
            subjects[f"subjects_{propensities.factor}"] = _subjects(
                spec, propensities, propensities.deviations, responses, prob
            )
    if not new_subject:
        return Finding("propensities")
    tables = {
        **_correlation_table(correlations, prob),
        "new_subject": interval_table(new_subject, prob, "new subject"),
        "given": interval_table(given, prob, "expected response"),
        **subjects,
    }
    return Finding("propensities", tuple(sentences), tables, correlations, MEANINGS)


# ----------------------------------------------------------------------------------------------------- propensities


def _shared_effects(posterior: xr.Dataset, spec: Mapping[str, Any]) -> Iterator[Propensities]:
    """Factors whose effects two outcomes or more have in common."""
    means, loaded = spec["facts"]["means"], spec["facts"]["loaded"]
    for factor, group in spec["groups"].items():
        outcomes = [name for name in spec["outcomes"] if name in group["predictors"]]
        sd = draws_of(posterior, group["sd"])  # (chain, draw, effects)
        one_effect = group["u"] == loaded["effect"]
        if one_effect:  # u stands as it is in the first outcome, times a loading in the others
            loadings = [draws_of(posterior, f"{name}_loading")[..., None] for name in loaded["outcomes"]]
            W = np.stack([np.ones_like(sd), *loadings], axis=-2)
            factor = factor.removeprefix(f"{outcomes[0]}_")
            outcomes = [*outcomes, *loaded["outcomes"]]
        else:
            W = np.zeros((len(outcomes), sd.shape[-1]))
            for i, name in enumerate(outcomes if len(outcomes) > 1 else ()):
                W[i, [label.startswith(f"{name}:") for label in group["effects"]]] = means[name][factor]
        if len(outcomes) < 2:
            continue
        corr = group["sd"].replace("sd_", "corr_", 1)
        R = draws_of(posterior, corr) if corr in posterior else np.eye(sd.shape[-1])
        S = sd[..., :, None] * R * sd[..., None, :]
        levels, deviations, kept = [], None, _thinning(S)
        if group["u"] in posterior:
            levels = [str(level) for level in posterior[posterior[group["u"]].dims[-2]].values]
            some = draws_of(posterior, group["u"])[kept]
            deviations = (W[kept] if W.ndim > 2 else W) @ np.swapaxes(some, -1, -2)
        yield Propensities(factor, levels, outcomes, W @ S @ np.swapaxes(W, -1, -2), deviations, kept, one_effect)


def _pair(propensities: Propensities, a: int, b: int) -> Pair:
    C, outcomes = propensities.covariance, propensities.outcomes
    sd_one, sd_two = np.sqrt(C[..., a, a]), np.sqrt(C[..., b, b])
    return Pair(propensities.factor, outcomes[a], outcomes[b], sd_one, sd_two, C[..., a, b] / (sd_one * sd_two))


def _thinning(draws: np.ndarray) -> Thinning:
    """All chains and equally spaced draws: at most `DRAWS` together."""
    chains, each = draws.shape[:2]
    return slice(None), slice(None, None, max(1, -(-chains * each // DRAWS)))


# ------------------------------------------------------------------------------------------------------ what they mean


def _correlation_table(correlations: Mapping[str, np.ndarray], prob: float) -> dict[str, pd.DataFrame]:
    if not correlations:
        return {}
    table = interval_table(correlations, prob, "correlation")
    table["P(> 0)"] = [float((r > 0).mean()) for r in correlations.values()]
    return {"correlation": table}


def _sentence(pair: Pair, one_effect: bool, prob: float) -> str:
    positive = probability(float((pair.r > 0).mean()))
    if one_effect:
        return f"{pair.label}: one effect of a subject stands for both; they rise together with probability {positive}."
    median, low, high = interval_table({"r": pair.r}, prob, "").loc["r"]
    d = decimals("correlation", (median, low, high))
    return (
        f"{pair.label}: correlation of the propensities {written(median, d)} ({nominal(prob)} {interval(low, high, d)}); it is positive "
        f"with probability {positive}."
    )


def _expected_given(pair: Pair, response: ResponseMoments, kept: Thinning) -> dict[str, np.ndarray]:
    """Draws (chain, draw) of the second response's mean at a low, middle and high propensity of the first."""
    residual_sd = pair.sd_two * np.sqrt(np.maximum(1 - pair.r * pair.r, 0))
    return {
        f"{pair.two} given {pair.one} {level}": response.expected(kept, pair.r * pair.sd_two * z, residual_sd)
        for level, z in GIVEN.items()
    }


def _of_new_subject(
    posterior: xr.Dataset, pair: Pair, responses: Mapping[str, ResponseMoments], kept: Thinning
) -> dict[str, np.ndarray]:
    """Draws (chain, draw) of the probability that both propensities are high, and of the responses' correlation."""
    residual = _residual_covariance(posterior, pair, responses)
    return {
        f"P(both high)[{pair.label}]": both_high(pair.r[kept]),
        f"response_correlation[{pair.label}]": response_correlation(
            pair, responses[pair.one], responses[pair.two], kept, residual
        ),
    }


def both_high(r: np.ndarray) -> np.ndarray:
    """P(Z_a > q, Z_b > q) = int_q^inf phi(z) Phi((r z - q) / sqrt(1 - r^2)) dz, of the shape of r."""
    x, w = np.polynomial.legendre.leggauss(60)
    z, w = HIGH + 4 * (x + 1), 4 * w
    density = w * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return ndtr((r[..., None] * z - HIGH) / np.sqrt(np.maximum(1 - r[..., None] ** 2, 1e-12))) @ density


def response_correlation(
    pair: Pair, one: ResponseMoments, two: ResponseMoments, kept: Thinning, residual: np.ndarray
) -> np.ndarray:
    """Draws (chain, draw) of corr(y_a, y_b); `residual` (chain, draw) is the covariance of their residuals in one row."""
    x, w = normal_nodes()
    s, t, r = pair.sd_one[kept], pair.sd_two[kept], pair.r[kept]
    a, b = (
        x[:, None, None, None],
        x[None, :, None, None],
    )  # nodes of the first propensity and of the second given the first
    mu_a, var_a = one.moments(kept, a * s)
    mu_b, var_b = two.moments(kept, (r * a + np.sqrt(np.maximum(1 - r * r, 0)) * b) * t)
    weight = (w[:, None] * w[None, :])[..., None, None]

    def mean(values: np.ndarray) -> np.ndarray:
        return np.sum(weight * values, axis=(0, 1))

    m_a, m_b = mean(mu_a), mean(mu_b)
    V_a = mean((mu_a - m_a) ** 2 + var_a)
    V_b = mean((mu_b - m_b) ** 2 + var_b)
    return (mean((mu_a - m_a) * (mu_b - m_b)) + residual[kept]) / np.sqrt(V_a * V_b)


def _residual_covariance(posterior: xr.Dataset, pair: Pair, responses: Mapping[str, ResponseMoments]) -> np.ndarray:
    """Of two Gaussian outcomes in one row (chain, draw), 0 where residuals are independent."""
    one, two = pair.one, pair.two
    if "corr_residual" not in posterior or not {one, two} <= set(posterior["residual"].values.tolist()):
        return np.zeros((posterior.sizes["chain"], posterior.sizes["draw"]))
    rho = draws_of(posterior, "corr_residual", residual=one, residual_bis=two)
    return rho * responses[one].parameters["sigma"] * responses[two].parameters["sigma"]


def _subjects(
    spec: Mapping[str, Any],
    propensities: Propensities,
    deviations: np.ndarray,
    responses: Mapping[str, ResponseMoments],
    prob: float,
) -> pd.DataFrame:
    """Expected responses of every subject at the covariates' means, and how many rows of each outcome it has."""
    table = pd.DataFrame(index=pd.Index(propensities.levels, name=propensities.factor))
    tail = (1 - prob) / 2
    for i, name in enumerate(propensities.outcomes):
        by_level = np.moveaxis(deviations[..., i, :], -1, 0)  # (levels, chain, draw)
        mu = responses[name].moments(propensities.kept, by_level)[0].reshape(len(propensities.levels), -1)
        table[f"{name} rows"] = spec["facts"]["rows"][name][propensities.factor]
        table[name] = np.median(mu, axis=1)
        table[f"{name} lower"], table[f"{name} upper"] = np.quantile(mu, [tail, 1 - tail], axis=1)
    return table
