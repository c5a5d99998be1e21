"""Mean and variance of a response given its linear predictor, in NumPy: what reports of a fit compute with.

Every function takes eta (...), the family's own parameters as they are in the posterior ("sigma", "alpha", "zi",
"cutpoints"), and the name of the link; it returns E(y) and var(y), both (...).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from glmm_zoo.families.links import LINKS

Own = Mapping[str, np.ndarray]


def gaussian_moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    """eta and sigma^2"""
    return eta, np.broadcast_to(own["sigma"] ** 2, eta.shape)


def bernoulli_moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    """p and p (1 - p), of one trial"""
    p = LINKS[link].inverse(eta)
    return p, p * (1 - p)


def count_moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    """Of a Poisson or negative binomial (nb2) count, with a share "zi" of further zeros if there is one."""
    return with_share_of_zeros(count_alone(eta, own), own)


def with_share_of_zeros(alone: tuple[np.ndarray, np.ndarray, np.ndarray], own: Own) -> tuple[np.ndarray, np.ndarray]:
    """Of a count with these E(y) and E(y^2), with a share "zi" of further zeros if there is one."""
    mu, square, _ = alone
    share = 1 - own.get("zi", np.zeros(()))
    return share * mu, share * square - (share * mu) ** 2


def hurdle_moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    """Of a count whose zeros are all taken away before a share "zi" of zeros is added."""
    mu, square, above = count_alone(eta, own)
    share = (1 - own["zi"]) / above
    return share * mu, share * square - (share * mu) ** 2


def count_alone(eta: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E(y), E(y^2) and P(y > 0) of the count alone, without a share of further zeros."""
    mu, alpha = np.exp(eta), own.get("alpha")
    if alpha is None:
        return mu, mu + mu**2, -np.expm1(-mu)
    return mu, mu + mu**2 * (1 + 1 / alpha), -np.expm1(-alpha * np.log1p(mu / alpha))


def of_linear_variance[R](moments: Callable[..., R]) -> Callable[..., R]:
    """The same of a negative binomial with var = mu + mu / alpha (nb1), which has the shape alpha mu."""
    return lambda eta, own, *link: moments(eta, {**own, "alpha": own["alpha"] * np.exp(eta)}, *link)


Probabilities = Callable[[np.ndarray, Callable[[np.ndarray], np.ndarray]], np.ndarray]


def category_moments(probabilities: Probabilities) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Of the number 1, ..., K of an ordered category, whose `probabilities(x, F)` (K, ...) depend on x = cutpoints - eta
    (K - 1, ...) and the inverse link F."""

    def moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
        x = np.moveaxis(own["cutpoints"] - eta[..., None], -1, 0)
        P = probabilities(x * own["disc"] if "disc" in own else x, LINKS[link].inverse)
        k = np.arange(1, len(P) + 1)
        mean = np.tensordot(k, P, 1)
        return mean, np.tensordot(k**2, P, 1) - mean**2

    return moments


def cumulative_probabilities(x: np.ndarray, F: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """P(Y <= k) = F(x_k)"""
    below, P = F(x), np.empty((len(x) + 1, *x.shape[1:]))
    P[0], P[-1] = below[0], 1 - below[-1]
    np.subtract(below[1:], below[:-1], out=P[1:-1])
    return P


def stopping_ratio_probabilities(x: np.ndarray, F: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """P(Y = k | Y >= k) = F(x_k)"""
    stops, P = F(x), np.ones((len(x) + 1, *x.shape[1:]))
    for k in range(len(x)):
        np.multiply(P[k : k + 1], 1 - stops[k : k + 1], out=P[k + 1 : k + 2])
    P[:-1] *= stops
    return P


def adjacent_category_probabilities(x: np.ndarray, F: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """P(Y = k | Y in {k, k + 1}) = F(x_k), F the inverse logit"""
    weights = np.zeros((len(x) + 1, *x.shape[1:]))
    for k in range(len(x)):  # np.cumsum along a first axis takes ten times as long
        np.subtract(weights[k : k + 1], x[k : k + 1], out=weights[k + 1 : k + 2])
    weights -= weights.max(axis=0)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=0)
    return weights
