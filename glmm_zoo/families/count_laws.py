"""The distribution functions of Poisson and negative binomial counts.

Up to a few counts they are sums. With f(k) = f(0) t_1 ... t_k, t_k = u / k for Poisson counts, u = mu, and (u + (k - 1) x) / k for
negative binomial ones, x = mu / (mu + a) and u = a x:

    P(Y < n) = f(0) S,  S = 1 + t_1 (1 + t_2 (1 + ... t_{n-1}))
    P(Y >= n) = 1 - f(0) - f(0) (S - 1), and where t_{n+1} is small the sum f(n) (1 + t_{n+1} (1 + t_{n+2} (1 + ...)))

Further up they are the tails of gamma and beta variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from glmm_zoo.families.count_tails import count_tail, poisson_tail
from glmm_zoo.families.counts import NEGATIVE_BINOMIAL, POISSON, Count
from glmm_zoo.families.law import Law, mass_between, within_by_raising
from glmm_zoo.families.moments import Own
from glmm_zoo.families.tails import both_tails, log_beta_tail, log_gamma_tails
from glmm_zoo.families.tensors import Array, functions_of, import_pytensor

_MOST_POISSON, _SMALL_POISSON, _TERMS_POISSON = (
    40,
    1 / 2,
    26,
)  # counts; below which t_{n+1} is small; terms that are enough for 1e-9
_FEW, _SMALL, _TERMS = (
    (10, 24),
    (1 / 6, 0.6),
    (16, 50),
)  # the same of negative binomial counts, up to the first and up to the second
_LARGEST_LOG = 18.0  # of u in S, which is then nothing beside s
_LEAST = 1e-300  # of what a logarithm is taken of, where a switch leaves it out

type _Tails = Callable[..., tuple[Array, Array]]  # log P(Y < n) and log P(Y >= n), of n (n,) >= 1, eta and the size


def _poisson_tails(n: np.ndarray, eta: Array) -> tuple[Array, Array]:
    """P(Y >= n) = P(X <= mu) of X ~ Gamma(n, 1), whose density at mu is f(n - 1)."""
    if n.max() <= _MOST_POISSON:
        pt = functions_of(eta)
        u = pt.exp(pt.minimum(eta, _LARGEST_LOG))
        return _tails_of_few(n, POISSON.log_f(n, eta), pt.exp(eta), u, 0.0, _SMALL_POISSON, _TERMS_POISSON)
    of_graph = not isinstance(eta, np.ndarray | np.number | float)
    one_limit = of_graph and (n == n.flat[0]).all()
    shape = import_pytensor().constant(n.flat[0], dtype="float64") if one_limit else n
    at_least, below = log_gamma_tails(shape, eta, POISSON.log_f(n, eta) + np.log(n))
    if of_graph and not one_limit:
        return poisson_tail(False, n, eta, below), poisson_tail(True, n, eta, at_least)
    return below, at_least


def _negative_binomial_tails(n: np.ndarray, eta: Array, log_a: Array) -> tuple[Array, Array]:
    """P(Y >= n) = P(X <= mu / (mu + a)) of X ~ Beta(n, a), whose logit has the density n f(n) there."""
    tails = _negative_binomial_tails_by_integrals(n, eta, log_a)
    if isinstance(eta, np.ndarray | np.number | float):
        return tails
    below, at_least = (count_tail(k == 1, n, eta, log_a, tail) for k, tail in enumerate(tails))
    return below, at_least


def _negative_binomial_tails_by_integrals(n: np.ndarray, eta: Array, log_a: Array) -> tuple[Array, Array]:
    pt = functions_of(eta)
    a, z = pt.exp(log_a), eta - log_a
    if n.max() <= _FEW[-1]:
        x, log_f0 = pt.exp(-pt.softplus(-z)), NEGATIVE_BINOMIAL.log_f0(eta, log_a)
        u, small = pt.minimum(a * x, np.exp(_LARGEST_LOG)), np.where(n <= _FEW[0], *_SMALL)
        return _tails_of_few(
            n, NEGATIVE_BINOMIAL.log_f(n, eta, log_a), -log_f0, u, x, small, _TERMS[int(n.max() > _FEW[0])]
        )
    rare = eta < np.log(n)
    inner = log_beta_tail(pt.switch(rare, n, a), pt.switch(rare, a, n), pt.switch(rare, z, -z))
    at_least, below = both_tails(rare, NEGATIVE_BINOMIAL.log_f(n, eta, log_a) + np.log(n) + inner)
    return below, at_least


def _tails_of_few(
    n: np.ndarray, log_f: Array, s: Array, u: Array, x: Array | float, small: Any, terms: int
) -> tuple[Array, Array]:
    """log P(Y < n) and log P(Y >= n), given log f(n) and s = -log f(0)."""
    pt = functions_of(u)
    rest: Array | float = 0.0  # S - 1
    for k in range(int(n.max()) - 1, 0, -1):
        rest = (u + (k - 1) * x) * np.where(k < n, 1 / k, 0.0) * (1 + rest)
    below = pt.log1p(rest) - s
    f0 = pt.exp(-s)
    direct = pt.maximum(-pt.expm1(-s) - f0 * rest, _LEAST)
    few, x_of_few = pt.minimum(u, small * (n + 1)), x if isinstance(x, float) else pt.minimum(x, small * (n + 1) / n)
    series: Array | float = 0.0
    for j in range(terms, 0, -1):
        series = (few + (n + j - 1) * x_of_few) * (1 / (n + j)) * (1 + series)
    rare = (u + n * x < small * (n + 1)) & (n > 1)
    return below, pt.switch(rare, log_f, 0.0) + pt.log(pt.switch(rare, 1 + series, direct))


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
