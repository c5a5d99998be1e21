"""The posterior summary against the draws."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.results import storage, summary


def test_summary_numbers(tree: xr.DataTree) -> None:
    found = zoo.summary(tree, prob=0.8)
    beta = tree["posterior"]["beta"].sel(coef="x").values
    sd = tree["posterior"]["sd_site_at_means"].sel(site_effect="Intercept").values
    np.testing.assert_allclose(found.loc["beta[x]", ["lower", "upper"]].astype(float), np.quantile(beta, [0.1, 0.9]))
    assert found.loc["odds_ratio[x]", "mean"] == pytest.approx(np.exp(beta).mean())
    assert found.loc["icc[site]", "median"] == pytest.approx(np.median(sd**2 / (sd**2 + np.pi**2 / 3)))
    # Larsen & Merlo 2005: a variance of 1 between clusters is a median odds ratio of 2.60
    assert np.exp(np.sqrt(2) * summary._NORMAL_UPPER_QUARTILE) == pytest.approx(2.596, abs=1e-3)
    assert {"sd_site[Intercept]", "sd_site_at_means[Intercept]"} <= set(found.index)
    assert "corr_site[Intercept, x]" in found.index and "corr_site[Intercept, Intercept]" not in found.index
    assert not any(name.startswith("u_") for name in found.index)
    assert "u_site[s3, x]" in zoo.summary(tree, group_effects=True).index


def test_a_correlation_is_listed_once_where_nothing_is_derived(tree: xr.DataTree) -> None:
    content = storage.metadata(tree)
    spec = {**content["spec"], "link": "probit", "latent_variance": None}  # no ratio, no ICC
    plain = tree.copy()
    storage.write_metadata(plain, {**content, "spec": spec})
    assert not summary.derived_quantities(plain)
    found = zoo.summary(plain)
    assert [name for name in found.index if name.startswith("corr_")] == [
        "corr_site_at_means[Intercept, x]",
        "corr_site[Intercept, x]",
    ]
