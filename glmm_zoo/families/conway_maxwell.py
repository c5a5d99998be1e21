"""The sums of the Conway-Maxwell-Poisson distribution given its mean, in NumPy.

    f(y) = lambda^y / (y!)^nu / Z(lambda, nu),  Z = sum_j lambda^j / (j!)^nu,  with the lambda whose mean is mu = e^eta

(Huang 2017). lambda is found by Newton's method, each step with the sums over all terms that count; for large means Z is its
asymptotic series (Gaunt, Iyengar, Olde Daalhuis & Simsek 2019) in m = lambda^(1 / nu), to 1e-10 of what it adds.
"""

from __future__ import annotations

from math import comb, factorial, prod
from typing import NamedTuple

import numpy as np

from glmm_zoo.families.tensors import Array, functions_of

MOST_NU = 300.0  # nu beyond is taken for this, where hardly more than two counts are possible
LEAST_BY_MEAN, LEAST_TIMES_MEAN = (
    1.5e-5,
    301.0,
)  # nu below 1.5e-5 mu and 301 / mu is taken for the less of these, at most 0.067
FAR, FAR_MEAN, FAR_SPREAD = 300.0, 50.0, 2.0  # from nu mu = 300, mu = 50 and mu / nu = 2 on the series is taken
TINY = -40.0  # below this eta only 0 and 1 count
LEAST_SHARE = 1e-13  # of a variance beside the mean: below are rounding errors
STEPS, TERMS = 40, 5000  # at most; no nu that is possible has more terms that count
TWO, SHARE = 5.0, 1e-14  # from nu = 5 (mu + 1) on two counts are nearly all there is; the least share of one of them
NEGLIGIBLE = 1e-17  # a term beside the sum
CLOSE = 1e-4  # of the root in log lambda, times the sd: from there derivatives reach it
CLOSER = 1e-8  # where the highest derivatives are of use too
MANY_ROWS = 500  # with a common nu, from which on sums are interpolated
TABLE_FROM, TABLE_TO, CELLS_PER_UNIT = (
    -6.0,
    8.0,
    32.0,
)  # the eta for which they are, and the steps; twice as wide in NumPy
TABLE_NU, TABLE_SPREAD = 4.5, 1.5  # up to this nu, and for means above 1.5 nu: others depend on eta less smoothly
_LEAST_NU, _PER_LOG_NU, _RUN = 0.1, 16.0, 40  # in NumPy: the least nu; the steps of log nu; rows for a table of one nu
_AT_ONCE, _TABLE = 2048, 200  # rows in the cache; terms from 0 on that are all computed at once; rows for a table


def _completing(n: int) -> np.ndarray:
    """From the first n Taylor coefficients of a polynomial of 2 n at 0 and at 1 to the others at 0 (n, 2 n)."""
    at_one = np.array([[comb(j, i) for j in range(2 * n)] for i in range(n)], float)
    return np.linalg.solve(at_one[:, n:], np.hstack([-at_one[:, :n], np.eye(n)])).round()


COMPLETED = {n: _completing(n) for n in (3, 4)}


class Sums(NamedTuple):
    """log lambda, log Z, var y, E log y! and cov(y, log y!), each of the shape of eta and nu together."""

    log_rate: Array
    log_norm: Array
    variance: Array
    log_factorial: Array
    covariance: Array


def possible(eta: Array, nu: Array) -> Array:
    """nu within what sums and series reach for the mean e^eta, between bounds that only extremely overdispersed counts, and counts
    without any variation, would pass."""
    xp = functions_of(eta + nu)
    least = xp.minimum(LEAST_BY_MEAN * xp.exp(eta), LEAST_TIMES_MEAN * xp.exp(-eta))
    return xp.minimum(xp.maximum(nu, least), MOST_NU)


def conway_maxwell(eta: Array, nu: Array) -> Sums:
    """The sums for the logarithm of the mean, eta, and a `possible` nu."""
    eta, nu = np.broadcast_arrays(np.asarray(eta, float), np.asarray(nu, float))
    shape, eta, nu = eta.shape, eta.ravel(), nu.ravel()
    mu = np.exp(np.maximum(eta, TINY))
    tiny, far = eta < TINY, (mu >= FAR_MEAN) & (mu * nu >= FAR) & (mu >= FAR_SPREAD * nu)
    found = np.stack([eta, np.exp(eta), np.exp(eta), np.zeros_like(eta), np.zeros_like(eta)])
    found[:, far] = _series(mu[far], nu[far])
    near = np.flatnonzero(~(tiny | far))
    found[:, near] = _interpolated(eta[near], nu[near])
    return Sums(*found.reshape(5, *shape))


def _interpolated(eta: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """The five sums (5, k), of many eta with one nu, one after another, from a table of each such nu."""
    mu, wide = np.exp(eta), CELLS_PER_UNIT / 2
    run = np.cumsum(nu != np.append(np.nan, nu[:-1])) - 1
    smooth = (eta >= TABLE_FROM) & (eta < TABLE_TO) & ((nu <= TABLE_NU) | (mu >= nu * TABLE_SPREAD))
    smooth &= (nu >= _LEAST_NU) & (np.bincount(run, minlength=1)[run] > _RUN)
    found = np.empty((5, len(eta)))
    if smooth.any():
        at = np.flatnonzero(smooth)
        place = (eta[at] - TABLE_FROM) * wide
        first, many = run[at[0]], round((TABLE_TO - TABLE_FROM) * wide) + 1
        cell = (run[at] - first) * many + place.astype(int)
        used = np.zeros((run[at[-1]] - first + 1) * many, bool)
        used[cell] = used[cell + 1] = True
        node, begins = np.flatnonzero(used), np.flatnonzero(np.diff(run, prepend=-1))
        table = _between_shapes(node % many, nu[begins[node // many + first]], 1 / wide)
        number, t = np.cumsum(used) - 1, place % 1.0
        for part in np.split(np.arange(len(at)), range(_AT_ONCE, len(at), _AT_ONCE)):
            left, right = (table[:, number[cell[part] + k]] for k in (0, 1))
            found[:, at[part]] = _in_cells(left, right, t[part], mu[at[part]], wide)
    others = np.flatnonzero(~smooth)
    for rows in np.split(others, range(_AT_ONCE, len(others), _AT_ONCE)):
        found[:, rows] = _solved(mu[rows], nu[rows])[:5]
    return found


def _between_shapes(cell: np.ndarray, nu: np.ndarray, h: float) -> np.ndarray:
    """`_taylor` at the beginnings of cells (k,): where many have the same, by polynomials in log nu through those of eight nu."""
    place = np.log(nu) * _PER_LOG_NU
    line = np.floor(place).astype(int) - 3
    x, line, least = place - line, line - line.min(), line.min()
    used = np.zeros((line.max() + 8, cell.max() + 1), bool)
    for i in range(8):
        used[line + i, cell] = True
    if 2 * used.sum() > len(cell):
        return _taylor(TABLE_FROM + cell * h, nu, h)
    lines, cells = np.nonzero(used)
    table = _taylor(TABLE_FROM + cells * h, np.exp((lines + least) / _PER_LOG_NU), h)
    number = np.cumsum(used).reshape(used.shape) - 1
    weights = [prod((x - j) / (i - j) for j in range(8) if j != i) for i in range(8)]
    parts = (weight * table[:, number[line + i, cell]] for i, weight in enumerate(weights))
    return sum(parts, start=np.zeros_like(nu))


def _taylor(eta: np.ndarray, nu: np.ndarray, h: float) -> np.ndarray:
    """Taylor coefficients (7, k) in steps of h: four of the entropy mu log lambda - log Z, three of E log y!."""
    mu = np.exp(eta)
    parts = np.split(np.arange(len(eta)), range(_AT_ONCE, len(eta), _AT_ONCE))
    rate, log_norm, variance, f, covariance, third, second = np.hstack([_solved(mu[p], nu[p], CLOSER) for p in parts])
    r1 = mu / variance
    r2 = r1 - r1 * r1 * third / variance
    entropy = [mu * rate - log_norm, mu * rate, mu * (rate + r1), mu * (rate + 2 * r1 + r2)]
    of_f = [f, covariance * r1, second * r1 * r1 + covariance * r2]
    return np.array([*entropy, *of_f]) * np.array([h**k / factorial(k) for k in (0, 1, 2, 3, 0, 1, 2)])[:, None]


def _in_cells(left: np.ndarray, right: np.ndarray, t: np.ndarray, mu: np.ndarray, per_unit: float) -> np.ndarray:
    """The five sums (5, k) at t in cells, from the Taylor coefficients at both ends."""

    def polynomial(of: slice, derivatives: int) -> list[np.ndarray]:
        ends = np.vstack([left[of], right[of]])
        c = [*left[of], *(COMPLETED[len(ends) // 2] @ ends)]
        held = []
        for d in range(derivatives + 1):
            held.append(np.polynomial.polynomial.polyval(t, np.array(c), tensor=False) * per_unit**d)
            c = [k * x for k, x in enumerate(c)][1:]
        return held

    entropy, by_eta, twice = polynomial(slice(0, 4), 2)
    log_factorial, slope = polynomial(slice(4, 7), 1)
    variance = mu * mu / (twice - by_eta)
    return np.array([by_eta / mu, by_eta - entropy, variance, log_factorial, slope / mu * variance])


def first_rate(mu: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """log lambda to begin with: of the mode near mu, of a mean below 1 of what is between geometric, Poisson and Bernoulli, and of a
    large nu of two neighbouring counts alone."""
    mode, bend = mu + (nu - 1) / (2 * nu), (1 - nu) / (1 + nu)
    small = np.log(mu) - np.log(np.maximum(1 + bend * mu, 0.1))
    below = np.floor(mu)
    share = np.clip(mu - below, SHARE, 1 - SHARE)
    of_two = nu * np.log(below + 1) + np.log(share / (1 - share))
    of_mode = np.where(mode > np.maximum(1.0, mu / 2), nu * np.log(np.maximum(mode, 0.1)), small)
    return np.where(nu > TWO * (mu + 1), of_two, of_mode)


def _solved(mu: np.ndarray, nu: np.ndarray, close: float = CLOSE) -> np.ndarray:
    """The five sums and the cumulants of y thrice, and of y twice and log y! (7, k), by Newton's method on log(M / (1 + c M)), M the mean at lambda, which is linear in log lambda for nu = 0
    and 1; a step that leaves where the root is known to be goes to the middle of it, the last is a Taylor series."""
    rate, c = first_rate(mu, nu), np.maximum((1 - nu) / (1 + nu), 0.0)
    low, high = np.full_like(mu, -np.inf), np.full_like(mu, np.inf)
    mean, log_norm, variance, third, log_factorial, covariance, second = _sums(rate, nu)
    for _ in range(STEPS):
        low, high = np.where(mean < mu, rate, low), np.where(mean > mu, rate, high)
        variance = np.maximum(variance, LEAST_SHARE * mean)
        bent = mean * (1 + c * mean) / variance
        step = np.clip(np.log(mu * (1 + c * mean) / (mean * (1 + c * mu))) * bent, -2, 2)
        if np.all(~(np.abs(step) * np.maximum(np.sqrt(variance), 1.0) > close)):
            break
        new = rate + step
        with np.errstate(invalid="ignore"):
            rate = np.where(((new <= low) | (new >= high)) & (np.abs(step) > 0.1), (low + high) / 2, new)
        mean, log_norm, variance, third, log_factorial, covariance, second = _sums(rate, nu)
    variance = np.maximum(variance, LEAST_SHARE * mean)
    ratio = third / variance
    d = (mu - mean) / variance
    d = d * (1 - d * ratio / 2 * (1 - d * ratio))
    return np.stack([
        rate + d, log_norm + d * (mean + d * (variance / 2 + d * third / 6)), variance + d * third,
        log_factorial + d * (covariance + d * second / 2), covariance + d * second, third, second,
    ])  # fmt: skip


def _sums(rate: np.ndarray, nu: np.ndarray) -> tuple[np.ndarray, ...]:
    """The mean at log lambda, log Z, the next two cumulants of y, and E log y!, with the cumulants of it and y and of it and y twice:
    terms from the first that counts, as ratios to it."""
    from scipy.special import gammaln

    mode = np.exp(np.minimum(rate / nu, 30.0))
    count = mode.max() + 10 * np.sqrt((mode / nu).max()) + 20 if len(mode) else 1
    if count < _TABLE and (found := _sums_of_table(rate, nu, int(count))) is not None:
        return found
    first = np.maximum(np.floor(mode - 9 * np.sqrt(mode / nu) - 1), 0.0)
    term, total, f = np.ones_like(rate), np.ones_like(rate), np.zeros_like(rate)
    d1, d2, d3, f1, df, d2f = (
        np.zeros_like(rate) for _ in range(6)
    )  # d the distance from the first, f log y! less that of the first
    for d in range(1, TERMS + 1):
        log_j = np.log(first + d)
        f += log_j
        term *= np.exp(rate - nu * log_j)
        total += term
        more, with_f = term * d, term * f
        d1 += more
        d2 += more * d
        d3 += more * (d * d)
        f1 += with_f
        df += with_f * d
        d2f += with_f * (d * d)
        going = (first + d < mode) | (term > NEGLIGIBLE * total)
        if not going.any():
            break
    total = np.where(going, np.nan, total)
    at_first = gammaln(first + 1)
    mean, *cumulants = _cumulants(*(x / total for x in (d1, d2, d3, f1, df, d2f)))
    cumulants[2] += at_first
    return (first + mean, np.log(total) + first * rate - nu * at_first, *cumulants)


def _sums_of_table(rate: np.ndarray, nu: np.ndarray, count: int) -> tuple[np.ndarray, ...] | None:
    """The same from the first `count` terms; None where that leaves out one that counts."""
    from scipy.special import gammaln

    j = np.arange(count, dtype=float)
    f = gammaln(j + 1)
    terms = np.outer(rate, j) - np.outer(nu, f)
    most = terms.max(axis=1)
    np.exp(terms - most[:, None], out=terms)
    total, *sums = np.stack([np.ones(count), j, j * j, j**3, f, j * f, j * j * f]) @ terms.T
    if np.any(terms[:, -1] > NEGLIGIBLE * total):
        return None
    mean, *cumulants = _cumulants(*(x / total for x in sums))
    return (mean, np.log(total) + most, *cumulants)


def _cumulants(
    d1: np.ndarray, d2: np.ndarray, d3: np.ndarray, f1: np.ndarray, df: np.ndarray, d2f: np.ndarray
) -> tuple[np.ndarray, ...]:
    """From the means of d, d^2, d^3, f, d f and d^2 f: those of d, d and d, three times d, f, d and f, twice d and f."""
    return (
        d1, d2 - d1 * d1, d3 - d1 * (3 * d2 - 2 * d1 * d1), f1, df - d1 * f1, d2f - 2 * d1 * df - f1 * (d2 - 2 * d1 * d1)
    )  # fmt: skip


def _series(mu: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """The five sums (5, k) from log Z = nu m - (nu - 1) / 2 log(2 pi m) - log(nu) / 2 + a1 / (nu m) + a2 / (nu m)^2 + a3 / (nu m)^3."""
    square = nu * nu
    a1, a2 = (square - 1) / 24, (square - 1) / 48
    a3 = (square - 1) * (161 - 9 * square) / 5760
    m, shift = mu, (nu - 1) / (2 * nu)
    for _ in range(5):
        x = 1 / (nu * m)
        m = mu + shift + x * (a1 + x * (2 * a2 + 3 * a3 * x)) / nu
    x, log_m = 1 / (nu * m), np.log(m)
    slope = 1 + x * x * (a1 + x * (4 * a2 + 9 * a3 * x))  # of the mean by m
    b1, b3 = (square + 1) / 24, (483 - 170 * square - 9 * square**2) / 5760
    by_nu = m - 0.5 * np.log(2 * np.pi * m) - 0.5 / nu + m * x * x * (b1 + x * (1 / 24 + b3 * x))
    bend = 1 - 0.5 / m - x * x * (b1 + x * (1 / 12 + 3 * b3 * x))
    log_norm = nu * m - (nu - 1) / 2 * np.log(2 * np.pi * m) - 0.5 * np.log(nu) + x * (a1 + x * (a2 + a3 * x))
    return np.stack(
        [nu * log_m, log_norm, m / nu * slope, mu * log_m - by_nu, m / nu * (slope * log_m + mu / m - bend)]
    )
