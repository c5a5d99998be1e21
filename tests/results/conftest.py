"""A small fit that the tests of results read; none changes it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import special

import glmm_zoo as zoo


@pytest.fixture(scope="session")
def tree() -> xr.DataTree:
    """Binary outcomes at ten sites, which differ in level and slope."""
    rng = np.random.default_rng(1)
    site = np.repeat([f"s{i}" for i in range(10)], 12)
    x = rng.normal(size=120)
    eta = -0.3 + 0.8 * x + rng.normal(0, 0.8, 10)[np.repeat(np.arange(10), 12)]
    data = pd.DataFrame({"y": rng.binomial(1, special.expit(eta)), "x": x, "site": site})
    model = zoo.hierarchical_logistic(data, "y ~ x + (1 + x | site)")
    return zoo.fit(model, draws=500, tune=500, seed=3, target_accept=0.95, progress=False)
