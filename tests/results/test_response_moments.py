"""Means and variances of responses given their linear predictors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from glmm_zoo.results import response_moments


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
    mean, variance = response_moments.count_moments(family, np.array(mu), {n: np.array(v) for n, v in own.items()})
    np.testing.assert_allclose([mean, variance], [f @ k, f @ k**2 - (f @ k) ** 2], rtol=1e-9)
