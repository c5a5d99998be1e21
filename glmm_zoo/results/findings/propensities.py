"""Do outcomes go together? Correlations of the subjects' propensities, and what they mean for responses.

The propensity of a subject for outcome m is its predictor at the covariates' means, eta_m = mean_m + W_m u, with effects
u ~ Normal(0, S); other group effects, and parts such as zi, are at their means. Then for a new subject

    cov(eta_a, eta_b) = W_a S W_b'                                    correlation r of the propensities
    corr(y_a, y_b) = [cov(mu_a, mu_b) + cov_ab] / sqrt(V_a V_b)       mu_m = E(y_m | eta_m), V_m = var mu_m + E var(y_m | eta_m)
    P(both high) = P(Z_a > q, Z_b > q), q the upper quartile          1/16 where r = 0
    E(y_b | eta_a) = E mu_b(eta),  eta ~ Normal(mean_b + r s_b z_a, s_b^2 (1 - r^2)),  z_a = (eta_a - mean_a) / s_a

by Gauss-Hermite quadrature for every draw; cov_ab is that of residuals of one row, if they are correlated. Predictions of a subject in the data rest on its history in all outcomes: where
it has no rows of an outcome, on the others alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import expit, ndtr, ndtri

from glmm_zoo.results.findings import Finding, draws_of, intervals, percent
from glmm_zoo.results.storage import about

DRAWS = 400  # of the posterior, for what takes a quadrature at each
NODES = 15
HIGH = ndtri(0.75)
GIVEN = {"low (10 %)": ndtri(0.1), "median": 0.0, "high (90 %)": ndtri(0.9)}
INVERSE: Mapping[str, Callable[[Any], Any]] = {
    "logit": expit, "probit": ndtr, "cloglog": lambda x: -np.expm1(-np.exp(x))
}  # fmt: skip
MEANINGS = {
    "propensity_correlation": "correlation over subjects of the predictors of two outcomes, at the covariates' means",
    "response_correlation": "correlation of one response of each outcome over subjects, at the covariates' means",
}


@dataclass(frozen=True)
class Tied:
    """Outcomes with effects of one factor in common: `C` (chain, draw, M, M) is the covariance of their propensities,
    `v` (chain, draw, M, levels) are the propensities of the levels, less their means, where the fit kept draws of the effects.
    `one` says that they are one effect with loadings, so that every correlation is 1 or -1."""

    factor: str
    levels: list[str]
    outcomes: list[str]
    C: np.ndarray
    v: np.ndarray | None
    one: bool


def find(tree: xr.DataTree, prob: float) -> Finding:
    """Correlations with their probability of being positive, and predictions of one outcome from another."""
    posterior, spec = tree["posterior"].dataset, about(tree)["spec"]
    quantities: dict[str, np.ndarray] = {}
    joint: dict[str, np.ndarray] = {}
    given: dict[str, np.ndarray] = {}
    words: list[str] = []
    tables: dict[str, pd.DataFrame] = {}
    for tied in _ties(posterior, spec):
        kept = _every(tied.C)
        response = {m: _Response(posterior, spec, m) for m in tied.outcomes}
        for a, b in permutations(range(len(tied.outcomes)), 2):
            one, two = tied.outcomes[a], tied.outcomes[b]
            sd = np.sqrt(np.stack([tied.C[..., a, a], tied.C[..., b, b]]))
            r = tied.C[..., a, b] / (sd[0] * sd[1])
            for level, z in GIVEN.items():
                given[f"{two} given {one} {level}"] = response[two].expected(
                    kept, r * sd[1] * z, sd[1] * np.sqrt(np.maximum(1 - r * r, 0))
                )
            if a < b:
                name = f"{tied.factor}: {one}, {two}"
                if not tied.one:
                    quantities[f"propensity_correlation[{name}]"] = r
                joint[f"P(both high)[{name}]"] = _both_high(r[kept])
                residual = _residual_covariance(posterior, one, two)
                joint[f"response_correlation[{name}]"] = _of_responses(
                    response[one], response[two], kept, sd, r, residual
                )
                words.append(_said(name, r, tied.one, prob))
        if tied.v is not None:
            tables[f"subjects_{tied.factor}"] = _subjects(spec, tied, tied.v, response, kept, prob)
    if not joint:
        return Finding("propensities")
    correlations = {}
    if quantities:
        correlations["correlation"] = intervals(quantities, prob, "correlation")
        correlations["correlation"]["P(> 0)"] = [float((r > 0).mean()) for r in quantities.values()]
    tables = {
        **correlations,
        "new_subject": intervals(joint, prob, "new subject"),
        "given": intervals(given, prob, "expected response"),
        **tables,
    }
    return Finding("propensities", tuple(words), tables, quantities, MEANINGS)


def _said(name: str, r: np.ndarray, one: bool, prob: float) -> str:
    positive = f"{(r > 0).mean():.3g}"
    if one:
        return f"{name}: one effect of a subject stands for both; they rise together with probability {positive}."
    median, low, high = intervals({"r": r}, prob, "").loc["r"]
    return (
        f"{name}: correlation of the propensities {median:.2f} ({percent(prob)} {low:.2f} to {high:.2f}); it is positive "
        f"with probability {positive}."
    )


def _every(draws: np.ndarray) -> tuple[slice, slice]:
    """Chains and draws that a quadrature is done for: at most `DRAWS`."""
    chains, each = draws.shape[:2]
    return slice(None), slice(None, None, max(1, -(-chains * each // DRAWS)))


def _ties(posterior: xr.Dataset, spec: Mapping[str, Any]) -> Iterator[Tied]:
    """Factors whose effects two outcomes or more have in common."""
    means, loaded = spec["facts"]["means"], spec["facts"]["loaded"]
    for factor, group in spec["groups"].items():
        found = [m for m in spec["outcomes"] if m in group["predictors"]]
        sd = draws_of(posterior, group["sd"])
        one = group["u"] == loaded["effect"]
        if one:  # u in the first outcome
            loadings = [draws_of(posterior, f"{m}_loading")[..., None] for m in loaded["outcomes"]]
            W = np.stack([np.ones_like(sd), *loadings], axis=-2)
            found, factor = [*found, *loaded["outcomes"]], factor.removeprefix(f"{found[0]}_")
        else:
            W = np.zeros((len(found), sd.shape[-1]))
            for i, m in enumerate(found if len(found) > 1 else ()):
                W[i, [label.startswith(f"{m}:") for label in group["effects"]]] = means[m][factor]
        corr = group["sd"].replace("sd_", "corr_", 1)
        R = draws_of(posterior, corr) if corr in posterior else np.eye(sd.shape[-1])
        S = sd[..., :, None] * R * sd[..., None, :]
        if len(found) > 1:
            levels, v = [], None
            if group["u"] in posterior:
                levels = [str(level) for level in posterior[posterior[group["u"]].dims[-2]].values]
                v = W @ np.swapaxes(draws_of(posterior, group["u"]), -1, -2)
            yield Tied(factor, levels, found, W @ S @ np.swapaxes(W, -1, -2), v, one)


class _Response:
    """Mean and variance of an outcome's response given its predictor, for every draw."""

    def __init__(self, posterior: xr.Dataset, spec: Mapping[str, Any], name: str):
        self.name, self.of = name, spec["outcomes"][name]
        self.mean = _at_means(posterior, spec, name)
        own = [
            str(v)
            for v in posterior.data_vars
            if str(v).removeprefix(f"{name}_") in ("sigma", "alpha", "zi", "cutpoints")
        ]
        self.own = {v.removeprefix(f"{name}_"): draws_of(posterior, v) for v in own}
        for part, inverse in (("zi", expit), ("alpha", np.exp)):
            if f"{name}_{part}" in spec["formulas"]:
                self.own[part] = inverse(_at_means(posterior, spec, f"{name}_{part}"))

    def moments(self, kept: Any, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """E(y) and var(y) at predictors (..., chain, draw) that differ by v from the mean one."""
        family, eta = self.of["family"], self.mean[kept] + v
        own = {name: draws[kept] for name, draws in self.own.items()}
        if family == "gaussian":
            return eta, np.broadcast_to(own["sigma"] ** 2, eta.shape)
        if family in ("bernoulli", "binomial"):
            p = INVERSE[self.of["link"]](eta)
            return p, p * (1 - p)
        if "cutpoints" in own:
            P = _categories(family, own["cutpoints"] - eta[..., None], INVERSE[self.of["link"]])
            k = np.arange(1, P.shape[-1] + 1)
            return P @ k, P @ k**2 - (P @ k) ** 2
        return _count_moments(family, np.exp(eta), own)

    def expected(self, kept: Any, shift: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """E mu(eta), eta ~ Normal(mean + shift, sd^2), (chain, draw)."""
        x, w = _normal_nodes()
        return np.tensordot(w, self.moments(kept, shift[kept] + x[:, None, None] * sd[kept])[0], 1)


def _at_means(posterior: xr.Dataset, spec: Mapping[str, Any], prefix: str) -> np.ndarray:
    """A predictor at the means of its covariates (chain, draw), without offset."""
    intercept = draws_of(posterior, f"{prefix}_Intercept") if f"{prefix}_Intercept" in posterior else 0.0
    if f"{prefix}_beta" not in posterior:
        return intercept + np.zeros((posterior.sizes["chain"], posterior.sizes["draw"]))
    return intercept + draws_of(posterior, f"{prefix}_beta") @ np.array(spec["learnt"][prefix]["means"])


def _categories(family: str, x: np.ndarray, F: Callable[[Any], Any]) -> np.ndarray:
    """Probabilities (..., K) of ordered categories, x = cutpoint - eta (..., K - 1)."""
    edge = np.ones((*x.shape[:-1], 1))
    if family == "acat":
        weight = np.exp(np.cumsum(np.concatenate([0 * edge, -x], axis=-1), axis=-1))
        return weight / weight.sum(axis=-1, keepdims=True)
    if family == "sratio":
        past = np.cumprod(np.concatenate([edge, 1 - F(x)], axis=-1), axis=-1)
        return past * np.concatenate([F(x), edge], axis=-1)
    return np.diff(np.concatenate([0 * edge, F(x), edge], axis=-1), axis=-1)


def _count_moments(family: str, mu: np.ndarray, own: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a count of mean mu, with more or fewer zeros: f0 = P(0) before them."""
    alpha = own.get("alpha")
    square = mu + mu**2 if alpha is None else mu + mu**2 * (1 + 1 / alpha)
    zi = own.get("zi", np.zeros(()))
    f0 = np.exp(-mu if alpha is None else -alpha * np.log1p(mu / alpha))
    share = (1 - zi) / (1 - f0) if family.startswith("hurdle") else 1 - zi
    return share * mu, share * square - (share * mu) ** 2


def _normal_nodes() -> tuple[np.ndarray, np.ndarray]:
    x, w = np.polynomial.hermite_e.hermegauss(NODES)
    return x, w / w.sum()


def _residual_covariance(posterior: xr.Dataset, one: str, two: str) -> np.ndarray:
    """Of two Gaussian outcomes in one row (chain, draw), 0 where residuals are independent."""
    if "corr_residual" not in posterior or not {one, two} <= set(posterior["residual"].values.tolist()):
        return np.zeros((posterior.sizes["chain"], posterior.sizes["draw"]))
    rho = draws_of(posterior, "corr_residual", residual=one, residual_bis=two)
    return rho * draws_of(posterior, f"{one}_sigma") * draws_of(posterior, f"{two}_sigma")


def _of_responses(
    one: _Response, two: _Response, kept: Any, sd: np.ndarray, r: np.ndarray, residual: np.ndarray
) -> np.ndarray:
    """corr(y_a, y_b) (chain, draw)."""
    x, w = _normal_nodes()
    s, t, r = sd[0][kept], sd[1][kept], r[kept]
    a, b = x[:, None, None, None], x[None, :, None, None]
    mu_a, var_a = one.moments(kept, a * s)
    mu_b, var_b = two.moments(kept, (r * a + np.sqrt(np.maximum(1 - r * r, 0)) * b) * t)
    weight = (w[:, None] * w[None, :])[..., None, None]

    def mean(values: np.ndarray) -> np.ndarray:
        return np.sum(weight * values, axis=(0, 1))

    m_a, m_b = mean(mu_a), mean(mu_b)
    V_a = mean((mu_a - m_a) ** 2 + var_a)
    V_b = mean((mu_b - m_b) ** 2 + var_b)
    return (mean((mu_a - m_a) * (mu_b - m_b)) + residual[kept]) / np.sqrt(V_a * V_b)


def _both_high(r: np.ndarray) -> np.ndarray:
    """P(Z_a > q, Z_b > q) = int_q^inf phi(z) Phi((r z - q) / sqrt(1 - r^2)) dz."""
    x, w = np.polynomial.legendre.leggauss(60)
    z, w = HIGH + 4 * (x + 1), 4 * w
    density = w * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return ndtr((r[..., None] * z - HIGH) / np.sqrt(np.maximum(1 - r[..., None] ** 2, 1e-12))) @ density


def _subjects(
    spec: Mapping[str, Any], tied: Tied, v: np.ndarray, response: Mapping[str, _Response], kept: Any, prob: float
) -> pd.DataFrame:
    """Expected responses of every subject at the covariates' means, and how many rows of each outcome it has."""
    table = pd.DataFrame(index=pd.Index(tied.levels, name=tied.factor))
    tail = (1 - prob) / 2
    for i, m in enumerate(tied.outcomes):
        mu = response[m].moments(kept, np.moveaxis(v[..., i, :][kept], -1, 0))[0].reshape(len(tied.levels), -1)
        table[f"{m} rows"] = spec["facts"]["rows"][m][tied.factor]
        table[m] = np.median(mu, axis=1)
        table[f"{m} lower"], table[f"{m} upper"] = np.quantile(mu, [tail, 1 - tail], axis=1)
    return table
