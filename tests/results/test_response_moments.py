"""Mean and variance of a response of one outcome of several, with parts that have formulas of their own."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import special

from glmm_zoo.results.response_moments import normal_nodes, response_of

DRAW = ("chain", "draw")
ALL = (slice(None), slice(None))


def test_parts_with_formulas_stand_at_the_means_of_their_covariates() -> None:
    rng, n = np.random.default_rng(1), (2, 15)
    names = ("c_Intercept", "c_zi_Intercept", "c_zi_beta", "c_alpha_Intercept", "c_alpha_beta")
    v = {name: rng.normal(0.2, 0.4, n) for name in names}
    data = {
        name: (DRAW, x) if "beta" not in name else ((*DRAW, f"{name[:-4]}coef"), x[..., None]) for name, x in v.items()
    }
    spec = {
        "outcomes": {"c": {"family": "zero_inflated_negative_binomial", "link": "log"}},
        "formulas": {"c_zi": "~ x", "c_alpha": "~ w"}, "learnt": {"c_zi": {"means": [2.0]}, "c_alpha": {"means": [-0.5]}},
    }  # fmt: skip
    response = response_of(xr.Dataset(data), spec, "c")
    zi = special.expit(v["c_zi_Intercept"] + 2 * v["c_zi_beta"])
    alpha = np.exp(v["c_alpha_Intercept"] - 0.5 * v["c_alpha_beta"])
    deviation = rng.normal(size=n)
    mu = np.exp(v["c_Intercept"] + deviation)
    mean, variance = response.moments(ALL, deviation)
    np.testing.assert_allclose(mean, (1 - zi) * mu)
    np.testing.assert_allclose(variance, (1 - zi) * (mu + mu**2 * (1 + 1 / alpha)) - mean**2)
    some = (slice(None), slice(None, None, 4))
    np.testing.assert_allclose(response.moments(some, deviation[some])[0], mean[some])
    shift, sd = rng.normal(size=n), rng.lognormal(-0.5, 0.3, n)
    expected = (1 - zi) * np.exp(v["c_Intercept"] + shift + sd**2 / 2)
    np.testing.assert_allclose(response.expected(ALL, shift, sd), expected, rtol=1e-8)


def test_an_outcome_has_its_own_parameters() -> None:
    rng = np.random.default_rng(2)
    sigma, beta = rng.lognormal(size=(2, 2, 9)), rng.normal(size=(2, 9, 2))
    data = {"y_sigma": (DRAW, sigma[0]), "z_sigma": (DRAW, sigma[1]), "z_beta": ((*DRAW, "z_coef"), beta)}
    spec = {"outcomes": {m: {"family": "gaussian", "link": "identity"} for m in "yz"}, "formulas": {}}
    spec["learnt"] = {"z": {"means": [3.0, -1.0]}}
    for name, level, s in (("y", 0.0 * sigma[0], sigma[0]), ("z", 3 * beta[..., 0] - beta[..., 1], sigma[1])):
        mean, variance = response_of(xr.Dataset(data), spec, name).moments(ALL, np.full((2, 9), 0.5))
        np.testing.assert_allclose(mean, level + 0.5)
        np.testing.assert_allclose(variance, s**2)


def test_nodes_have_the_moments_of_the_standard_normal() -> None:
    x, w = normal_nodes()
    np.testing.assert_allclose([w @ x**k for k in (0, 1, 2, 4, 6, 8)], [1, 0, 1, 3, 15, 105], atol=1e-9)
