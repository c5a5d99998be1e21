"""The distribution functions of Poisson and negative binomial counts, by those of the gamma and beta variables that they are tails of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from glmm_zoo.families.counts import NEGATIVE_BINOMIAL, POISSON, Count
from glmm_zoo.families.law import Law, mass_between, within_by_raising
from glmm_zoo.families.moments import Own
from glmm_zoo.families.tails import both_tails, log_beta_tail, log_gamma_tails
from glmm_zoo.families.tensors import Array, functions_of

type _Tails = Callable[..., tuple[Array, Array]]  # log P(Y < n) and log P(Y >= n), of n (n,) >= 1, eta and the size


def _poisson_tails(n: np.ndarray, eta: Array) -> tuple[Array, Array]:
    """P(Y >= n) = P(X <= mu) of X ~ Gamma(n, 1), whose density at mu is f(n - 1)."""
    at_least, below = log_gamma_tails(n, eta, POISSON.log_f(n, eta) + np.log(n))
    return below, at_least


def _negative_binomial_tails(n: np.ndarray, eta: Array, log_a: Array) -> tuple[Array, Array]:
    """P(Y >= n) = P(X <= mu / (mu + a)) of X ~ Beta(n, a), whose logit has the density n f(n) there."""
    pt = functions_of(eta)
    a, x = pt.exp(log_a), eta - log_a
    rare = eta < np.log(n)
    inner = log_beta_tail(pt.switch(rare, n, a), pt.switch(rare, a, n), pt.switch(rare, x, -x))
    at_least, below = both_tails(rare, NEGATIVE_BINOMIAL.log_f(n, eta, log_a) + np.log(n) + inner)
    return below, at_least


def _log_mass(count: Count, tails: _Tails) -> Callable[[Any, Any, Array, Mapping[str, Array]], Array]:
    def log_mass(low: Any, high: Any, eta: Array, own: Mapping[str, Array]) -> Array:
        size = [own["alpha"]] if count.sized else []
        low, high = np.broadcast_arrays(np.floor(low), np.floor(high))
        low = np.where(low < 0, -np.inf, low)
        if (low == 0).all() and np.isinf(high).all():
            return count.log_1m_f0(eta, *size)
        return mass_between(low, high, lambda y: tails(y + 1, eta, *size))

    return log_mass


def _raised(k: int, eta: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray, Own]:
    """E[Y ... (Y - k + 1); ...] = mu^k (1 + 1 / a) ... P(...), of counts of which k fewer are seen: Poisson ones, or of size a + k."""
    if "alpha" not in own:
        return k * eta, eta, own
    log_raised = np.log(np.exp(own["alpha"]) + k)
    log_moment = k * eta + (np.log1p(np.exp(-own["alpha"])) if k == 2 else 0.0)
    return log_moment, eta + log_raised - own["alpha"], {"alpha": log_raised}


def _frozen(eta: np.ndarray, own: Own) -> Any:
    from scipy import stats  # slow to import

    mu, alpha = np.exp(eta), own.get("alpha")
    return stats.poisson(mu) if alpha is None else stats.nbinom(alpha, alpha / (alpha + mu))


def _law(count: Count, tails: _Tails) -> Law:
    log_mass = _log_mass(count, tails)
    return Law(log_mass, within_by_raising(log_mass, _raised, falling=True), _frozen)


def of_linear_size(law: Law) -> Law:
    """The same of a negative binomial with var = mu + mu / alpha (nb1), which has the size alpha mu."""
    return Law(
        lambda low, high, eta, own: law.log_mass(low, high, eta, {"alpha": own["alpha"] + eta}),
        lambda low, high, eta, own: law.within(low, high, eta, {"alpha": own["alpha"] + eta}),
        lambda eta, own: law.frozen(eta, {"alpha": own["alpha"] * np.exp(eta)}),
    )


POISSON_LAW = _law(POISSON, _poisson_tails)
NEGATIVE_BINOMIAL_LAW = _law(NEGATIVE_BINOMIAL, _negative_binomial_tails)
