"""Draws from the prior have the distributions that the spec states, by SciPy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import row_models
import xarray as xr
from rows import ROWS, visits
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.inference.prior_draws import prior

SCIPY = {
    "Normal": stats.norm,
    "StudentT": stats.t,
    "Exponential": lambda rate: stats.expon(scale=1 / rate),
    "HalfNormal": lambda sigma: stats.halfnorm(scale=sigma),
    "Gamma": lambda shape, rate: stats.gamma(shape, scale=1 / rate),
    "Beta": stats.beta,
    "InverseGamma": lambda shape, scale: stats.invgamma(shape, scale=scale),
    "Uniform": lambda lower, upper: stats.uniform(lower, upper - lower),
    "LogNormal": lambda mu, sigma: stats.lognorm(sigma, scale=np.exp(mu)),
}
SURELY_ANOTHER = 1e-6  # of a Kolmogorov-Smirnov test, some 800 of which are made


def distribution(text: str) -> Any:
    name, arguments = re.fullmatch(r"(\w+)\((.*)\)", text).groups()
    return SCIPY[name](*map(float, arguments.split(",")))


def stated(spec: dict, drawn: xr.Dataset, name: str, text: str | dict) -> Iterator[tuple[Any, np.ndarray]]:
    """Distributions of the spec with the draws (S,) of an element that should have each."""
    variable = f"{name}_at_means" if f"{name}_at_means" in drawn else name
    values = drawn[variable].stack(s=("chain", "draw")).transpose("s", ...).values
    values = values.reshape(len(values), -1)
    if "cutpoints" in name and np.all(
        np.diff(values) > 0
    ):  # those in order are sorted ones, so that a random one has the prior
        values = np.random.default_rng(1).permuted(values, axis=1)
    texts = [text] * values.shape[1] if isinstance(text, str) else list(text.values())
    assert len(texts) == values.shape[1]
    yield from zip(map(distribution, texts), values.T, strict=True)


@pytest.fixture(scope="module", params=[row.name for row in ROWS])
def drawn_row(request: pytest.FixtureRequest) -> tuple[Any, xr.Dataset]:
    """The model of a row and draws from its prior."""
    model = row_models.model_of(request.param)
    return model, prior(model, 2, 3000, 3)


def test_every_parameter_has_its_prior(drawn_row: tuple[Any, xr.Dataset]) -> None:
    _assert_priors(*drawn_row)


@pytest.mark.parametrize("baseline", ["bspline", "piecewise", "weibull"])
def test_every_parameter_of_survival_has_its_prior(baseline: str) -> None:
    model = row_models.survival_model(baseline=baseline)
    _assert_priors(model, prior(model, 2, 3000, 3))


def _assert_priors(model: Any, drawn: xr.Dataset) -> None:
    for name, text in model.spec["priors"].items():
        if isinstance(text, str) and text.startswith(("LKJ", "Dirichlet")):
            continue
        for expected, values in stated(model.spec, drawn, name, text):
            assert stats.kstest(values, expected.cdf).pvalue > SURELY_ANOTHER, name
    assert all(np.isfinite(v).all() for v in drawn.data_vars.values())


def test_the_intercept_is_that_at_zero_covariates(drawn_row: tuple[Any, xr.Dataset]) -> None:
    model, drawn = drawn_row
    for prefix, learnt in model.spec.get("learnt", {}).items():  # a meta-analysis has none
        lead = f"{prefix}_" if prefix else ""
        if f"{lead}Intercept_at_means" in drawn and f"{lead}beta_at_means" not in drawn:
            means = xr.DataArray(learnt["means"], dims=f"{lead}coef")
            at_means = drawn[f"{lead}Intercept"] + drawn[f"{lead}beta"] @ means
            np.testing.assert_allclose(drawn[f"{lead}Intercept_at_means"], at_means)


def test_correlations_have_the_marginals_of_lkj() -> None:
    """R_ij of k effects is 2 b - 1, b ~ Beta(a, a) with a = eta - 1 + k / 2."""
    model = zoo.lmm(visits(), "y ~ x + w + (1 + x + w | g)", center=False)
    R = prior(model, 4, 1000, 3)["corr_g"].stack(s=("chain", "draw")).transpose("s", ...).values
    a = 2 - 1 + 3 / 2
    for i, j in ((1, 0), (2, 0), (2, 1)):
        assert stats.kstest((R[:, i, j] + 1) / 2, stats.beta(a, a).cdf).pvalue > 1e-4


def test_shares_have_the_marginals_of_dirichlet() -> None:
    name = next(r.name for r in ROWS if r.options.get("exposure_time") == "monotone")
    model = row_models.model_of(name)
    drawn = prior(model, 4, 500, 3)
    shares = drawn["exposure_shares"].values
    a, k = float(re.findall(r"[\d.]+", model.spec["priors"]["exposure_shares"])[0]), shares.shape[-1]
    for i in range(k):
        assert stats.kstest(shares[..., i].ravel(), stats.beta(a, a * (k - 1)).cdf).pvalue > 1e-4
    np.testing.assert_allclose(drawn["effect"][..., -1], drawn["long_term_effect"])  # all shares are used up by then


def test_draws_follow_the_seed_and_differ_by_chain() -> None:
    model = zoo.lmm(visits(), "y ~ x + (1 | g)")
    one, again, other = (prior(model, 2, 100, seed) for seed in (4, 4, 5))
    xr.testing.assert_identical(one, again)
    assert not np.isin(other["beta"], one["beta"]).any()
    assert len(np.unique(one["beta"])) == one["beta"].size
