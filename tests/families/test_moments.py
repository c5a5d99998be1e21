"""Means and variances of responses given their linear predictors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from glmm_zoo.families.registry import FAMILIES, negative_binomial_family


@pytest.mark.parametrize(
    ("family", "own"),
    [
        ("poisson", {}), ("negative_binomial", {"alpha": 1.7}), ("zero_inflated_poisson", {"zi": 0.3}),
        ("zero_inflated_negative_binomial", {"zi": 0.3, "alpha": 1.7}), ("hurdle_poisson", {"zi": 0.3}),
        ("hurdle_negative_binomial", {"zi": 0.3, "alpha": 1.7}),
    ],
)  # fmt: skip
def test_moments_of_counts(family, own):
    k, mu = np.arange(400), 2.5
    f = stats.nbinom(1.7, 1.7 / (1.7 + mu)).pmf(k) if "alpha" in own else stats.poisson(mu).pmf(k)
    if family.startswith("zero"):
        f = 0.7 * f + 0.3 * (k == 0)
    if family.startswith("hurdle"):
        f = np.where(k == 0, 0.3, 0.7 * f / (1 - f[0]))
    mean, variance = FAMILIES[family].moments(np.log(mu), {n: np.array(v) for n, v in own.items()}, "log")
    np.testing.assert_allclose([mean, variance], [f @ k, f @ k**2 - (f @ k) ** 2], rtol=1e-9)


@pytest.mark.parametrize("zeros", ["", "zero_inflated_", "hurdle_"])
def test_moments_of_counts_whose_variance_is_linear_in_the_mean(zeros):
    k, mu, alpha = np.arange(400), 2.5, 0.8
    f = stats.nbinom(alpha * mu, alpha / (1 + alpha)).pmf(k)  # var = mu + mu / alpha
    assert f @ k**2 - (f @ k) ** 2 == pytest.approx(mu + mu / alpha)
    if zeros == "zero_inflated_":
        f = 0.7 * f + 0.3 * (k == 0)
    if zeros == "hurdle_":
        f = np.where(k == 0, 0.3, 0.7 * f / (1 - f[0]))
    own = {"alpha": np.array(alpha), **({"zi": np.array(0.3)} if zeros else {})}
    mean, variance = negative_binomial_family(f"{zeros}negative_binomial", "nb1").moments(np.log(mu), own, "log")
    np.testing.assert_allclose([mean, variance], [f @ k, f @ k**2 - (f @ k) ** 2], rtol=1e-9)


@pytest.mark.parametrize(
    ("link", "law"), [("logit", stats.logistic), ("probit", stats.norm), ("cloglog", stats.gumbel_l)]
)
def test_moments_of_one_trial_and_of_measurements(link, law):
    eta = np.array([-1.0, 0.3])
    for family in ("bernoulli", "binomial"):
        mean, variance = FAMILIES[family].moments(eta, {}, link)
        np.testing.assert_allclose([mean, variance], [law.cdf(eta), law.cdf(eta) * law.sf(eta)], rtol=1e-12)
    mean, variance = FAMILIES["gaussian"].moments(eta, {"sigma": np.array(1.5)}, "identity")
    assert mean is eta and variance.tolist() == [2.25, 2.25]


def test_moments_of_ordered_categories():
    """Of the numbers 1, 2, 3, from probabilities written out by hand."""
    eta, c = np.array(0.4), np.array([-0.5, 1.1])
    F = stats.logistic.cdf(c - eta)
    odds = np.exp(-(c - eta))  # of category k + 1 against k in adjacent categories
    by_hand = {
        "ordinal": [F[0], F[1] - F[0], 1 - F[1]],
        "sratio": [F[0], (1 - F[0]) * F[1], (1 - F[0]) * (1 - F[1])],
        "acat": np.array([1, odds[0], odds[0] * odds[1]]) / (1 + odds[0] + odds[0] * odds[1]),
    }
    for family, P in by_hand.items():
        k = np.array([1, 2, 3])
        mean, variance = FAMILIES[family].moments(eta, {"cutpoints": c}, "logit")
        np.testing.assert_allclose([mean, variance], [P @ k, P @ k**2 - (P @ k) ** 2], rtol=1e-12)
        stretched = FAMILIES[family].moments(eta, {"cutpoints": c, "disc": np.array(1.7)}, "logit")
        np.testing.assert_allclose(
            stretched, FAMILIES[family].moments(0 * eta, {"cutpoints": 1.7 * (c - eta)}, "logit")
        )
        sure = FAMILIES[family].moments(eta, {"cutpoints": c, "disc": np.array(1e300)}, "logit")
        np.testing.assert_allclose(sure, (2.0, 0.0), atol=1e-12)  # it lies between the thresholds


def test_every_family_has_moments_of_its_own_parameters():
    for family in FAMILIES.values():
        own = {parameter.name: np.array(0.4) for parameter in family.own} | {"cutpoints": np.array([-1.0, 1.0])}
        mean, variance = family.moments(np.array([0.2]), own, family.links[0])
        assert np.isfinite(mean) and variance > 0
