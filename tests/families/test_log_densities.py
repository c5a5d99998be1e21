"""Log densities in NumPy are SciPy's, also where probabilities and means are tiny or huge."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, log_expit, log_ndtr, logit, logsumexp

from glmm_zoo.families.family import Family
from glmm_zoo.families.registry import FAMILIES, negative_binomial_family

ETA = np.array([-30.0, -12.0, -4.0, -0.7, 0.0, 0.3, 2.0, 6.0])[:, None]  # draws by rows
COUNTS = np.array([0.0, 1.0, 2.0, 17.0, 400.0])
LOG_P = {
    "logit": (log_expit, lambda x: log_expit(-x)),
    "probit": (log_ndtr, lambda x: log_ndtr(-x)),
    "cloglog": (lambda x: np.log(-np.expm1(-np.exp(x))), lambda x: -np.exp(x)),
}


def density(family: Family, y: np.ndarray, eta: np.ndarray, link: str = "", trials: np.ndarray | None = None, **own):
    given = {name: np.reshape(value, (-1, 1)) if np.ndim(value) < 2 else value for name, value in own.items()}
    found = family.log_density(y, eta, given, link or family.links[0], trials)
    assert found.shape == np.broadcast_shapes(y.shape, eta.shape)
    return found


def test_gaussian() -> None:
    y, sigma = np.array([-1e3, -2.0, 0.0, 5.0]), np.geomspace(1e-3, 1e3, len(ETA))
    expected = stats.norm.logpdf(y, ETA, sigma[:, None])
    np.testing.assert_allclose(density(FAMILIES["gaussian"], y, ETA, sigma=np.log(sigma)), expected, rtol=1e-9)


@pytest.mark.parametrize("link", LOG_P)
@pytest.mark.parametrize("name", ["bernoulli", "binomial"])
def test_binary_and_binomial(name: str, link: str) -> None:
    log_p, log_q = (f(ETA) for f in LOG_P[link])
    y = np.array([0.0, 1.0])
    np.testing.assert_allclose(density(FAMILIES[name], y, ETA, link), np.where(y == 1, log_p, log_q), rtol=1e-9)
    y, n = np.array([0.0, 3.0, 12.0, 40.0]), np.array([5.0, 3.0, 30.0, 1000.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        chosen = stats.binom.logpmf(y, n, 0.5) + n * np.log(2)
        expected = chosen + y * log_p + np.where(n > y, (n - y) * log_q, 0.0)
    np.testing.assert_allclose(density(FAMILIES[name], y, ETA, link, n), expected, rtol=1e-9, atol=1e-12)


def of_counts(parameterization: str, mu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    if parameterization == "poisson":
        return stats.poisson.logpmf(COUNTS, mu)
    size = alpha * mu if parameterization == "nb1" else alpha
    return stats.nbinom.logpmf(COUNTS, size, size / (size + mu))


@pytest.mark.parametrize("parameterization", ["poisson", "nb1", "nb2"])
@pytest.mark.parametrize("zeros", ["", "zero_inflated_", "hurdle_"])
def test_counts_with_and_without_further_zeros(parameterization: str, zeros: str) -> None:
    eta = np.linspace(-8, 8, 9)[:, None]
    alpha, zi = np.geomspace(0.05, 60, 9)[:, None], expit(np.linspace(-20, 8, 9))[:, None]
    nb = parameterization != "poisson"
    name = f"{zeros}{'negative_binomial' if nb else 'poisson'}"
    family = negative_binomial_family(name, parameterization) if nb else FAMILIES[name]
    own = {**({"alpha": np.log(alpha)} if nb else {}), **({"zi": logit(zi)} if zeros else {})}
    plain = of_counts(parameterization, np.exp(eta), alpha)
    expected = plain
    if zeros == "zero_inflated_":
        expected = np.where(COUNTS == 0, np.logaddexp(np.log(zi), np.log1p(-zi) + plain), np.log1p(-zi) + plain)
    if zeros == "hurdle_":
        positive = np.log(-np.expm1(plain[:, :1]))  # log(1 - f(0))
        expected = np.where(COUNTS == 0, np.log(zi), np.log1p(-zi) + plain - positive)
    np.testing.assert_allclose(density(family, COUNTS, eta, **own), expected, rtol=2e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "link"), [(name, link) for name in ("ordinal", "sratio", "acat") for link in FAMILIES[name].links]
)
def test_ordered_categories(name: str, link: str) -> None:
    rng = np.random.default_rng(1)
    cutpoints = np.sort(rng.normal(size=(6, 1, 3)), axis=2)
    y, eta = np.array([3.0, 0.0, 1.0, 2.0, 1.0]), rng.normal(size=(6, 5))
    log_p, log_q = LOG_P[link]
    x = cutpoints - eta[..., None]
    if name == "ordinal":
        F = np.exp(log_p(x))
        edge = np.ones((6, 5, 1))
        log_of_each = np.log(np.diff(np.concatenate([0 * edge, F, edge], axis=2), axis=2))
    elif name == "sratio":
        past = np.cumsum(log_q(x), axis=2)
        log_of_each = np.concatenate([log_p(x[..., :1]), past[..., :-1] + log_p(x[..., 1:]), past[..., -1:]], axis=2)
    else:
        scores = np.concatenate([np.zeros((6, 5, 1)), -np.cumsum(x, axis=2)], axis=2)
        log_of_each = scores - logsumexp(scores, axis=2, keepdims=True)
    expected = np.take_along_axis(log_of_each, np.broadcast_to(y.astype(int), (6, 5))[..., None], axis=2)[..., 0]
    found = density(FAMILIES[name], y, eta, link, cutpoints=cutpoints)
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    log_disc = np.linspace(-1.0, 1.0, 5)[None]  # disc stretches all distances of a row
    stretched = density(FAMILIES[name], y, eta, link, cutpoints=cutpoints, disc=np.repeat(log_disc, 6, axis=0))
    x = np.exp(log_disc)[..., None] * (cutpoints - eta[..., None])
    np.testing.assert_allclose(density(FAMILIES[name], y, 0 * eta, link, cutpoints=x), stretched, rtol=1e-12)
    by_row = np.broadcast_to(cutpoints, (6, 5, 3)) + rng.normal(size=(1, 5, 1))
    moved = density(FAMILIES[name], y, eta, link, cutpoints=by_row)
    for i in range(5):
        alone = density(FAMILIES[name], y[i : i + 1], eta[:, i : i + 1], link, cutpoints=by_row[:, i : i + 1])
        np.testing.assert_allclose(moved[:, i], alone[:, 0], rtol=1e-12)


def test_a_narrow_category_far_in_the_tail_keeps_its_digits() -> None:
    """phi(20) * 1e-7, where Phi is 1 to all digits."""
    cutpoints, y = np.array([20.0, 20.0 + 1e-7]).reshape(1, 1, 2), np.array([1.0])
    found = density(FAMILIES["ordinal"], y, np.zeros((1, 1)), "probit", cutpoints=cutpoints)
    np.testing.assert_allclose(found, stats.norm.logpdf(20 + 5e-8) + np.log(1e-7), rtol=1e-9)
