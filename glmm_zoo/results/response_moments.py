"""Mean and variance of one response of an outcome, given its linear predictor, for every draw of a fit with several outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.families.links import LINKS
from glmm_zoo.results.findings.finding import draws_of

Thinning = tuple[slice, slice]  # chains and draws that a quadrature is done for
NORMAL_NODES = 15


@dataclass(frozen=True)
class ResponseMoments:
    """One outcome of a fit.

    Attributes
    ----------
    family, link
        As the spec names them.
    level
        Draws (chain, draw) of the linear predictor at the covariates' means.
    parameters
        Draws (chain, draw, ...) of the family's own parameters: "sigma", "alpha", "zi", "cutpoints"; those with formulas of
        their own at the covariates' means.
    """

    family: str
    link: str
    level: np.ndarray
    parameters: Mapping[str, np.ndarray]

    def moments(self, kept: Thinning, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """E(y) and var(y), both (..., chain, draw), at linear predictors that differ by `deviation` from `level`."""
        eta = self.level[kept] + deviation
        parameters = {name: draws[kept] for name, draws in self.parameters.items()}
        if self.family == "gaussian":
            return eta, np.broadcast_to(parameters["sigma"] ** 2, eta.shape)
        if self.family in ("bernoulli", "binomial"):
            p = LINKS[self.link].inverse(eta)
            return p, p * (1 - p)
        if "cutpoints" in parameters:
            x = parameters["cutpoints"] - eta[..., None]
            P = category_probabilities(self.family, x, LINKS[self.link].inverse)
            k = np.arange(1, P.shape[-1] + 1)
            return P @ k, P @ k**2 - (P @ k) ** 2
        return count_moments(self.family, np.exp(eta), parameters)

    def expected(self, kept: Thinning, shift: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """Draws (chain, draw) of E(y) over eta ~ Normal(level + shift, sd^2), by quadrature."""
        x, w = normal_nodes()
        return np.tensordot(w, self.moments(kept, shift[kept] + x[:, None, None] * sd[kept])[0], 1)


def response_of(posterior: xr.Dataset, spec: Mapping[str, Any], name: str) -> ResponseMoments:
    """The outcome called `name`."""
    outcome = spec["outcomes"][name]
    parameters = {
        part: draws_of(posterior, f"{name}_{part}")
        for part in ("sigma", "alpha", "zi", "cutpoints")
        if f"{name}_{part}" in posterior
    }
    for part, link in (("zi", "logit"), ("alpha", "log")):
        if f"{name}_{part}" in spec["formulas"]:
            parameters[part] = LINKS[link].inverse(_predictor_at_means(posterior, spec, f"{name}_{part}"))
    return ResponseMoments(outcome["family"], outcome["link"], _predictor_at_means(posterior, spec, name), parameters)


def _predictor_at_means(posterior: xr.Dataset, spec: Mapping[str, Any], prefix: str) -> np.ndarray:
    """A linear predictor at the means of its covariates (chain, draw), without offset."""
    intercept = draws_of(posterior, f"{prefix}_Intercept") if f"{prefix}_Intercept" in posterior else 0.0
    if f"{prefix}_beta" not in posterior:
        return intercept + np.zeros((posterior.sizes["chain"], posterior.sizes["draw"]))
    return intercept + draws_of(posterior, f"{prefix}_beta") @ np.array(spec["learnt"][prefix]["means"])


def category_probabilities(family: str, x: np.ndarray, F: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Probabilities (..., K) of ordered categories, x = cutpoint - eta (..., K - 1), F the inverse link."""
    edge = np.ones((*x.shape[:-1], 1))
    if family == "acat":
        weight = np.exp(np.cumsum(np.concatenate([0 * edge, -x], axis=-1), axis=-1))
        return weight / weight.sum(axis=-1, keepdims=True)
    if family == "sratio":
        past = np.cumprod(np.concatenate([edge, 1 - F(x)], axis=-1), axis=-1)
        return past * np.concatenate([F(x), edge], axis=-1)
    return np.diff(np.concatenate([0 * edge, F(x), edge], axis=-1), axis=-1)


def count_moments(family: str, mu: np.ndarray, parameters: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a count with more or fewer zeros.

    `mu` is the mean of the Poisson or negative binomial part and f0 its P(0); a hurdle takes all its zeros away before it adds
    those of "zi", a zero-inflated family keeps them.
    """
    alpha = parameters.get("alpha")
    square = mu + mu**2 if alpha is None else mu + mu**2 * (1 + 1 / alpha)
    zi = parameters.get("zi", np.zeros(()))
    f0 = np.exp(-mu if alpha is None else -alpha * np.log1p(mu / alpha))
    share = (1 - zi) / (1 - f0) if family.startswith("hurdle") else 1 - zi
    return share * mu, share * square - (share * mu) ** 2


def normal_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Hermite nodes and weights, both (NORMAL_NODES,), for means over a standard normal."""
    x, w = np.polynomial.hermite_e.hermegauss(NORMAL_NODES)
    return x, w / w.sum()
