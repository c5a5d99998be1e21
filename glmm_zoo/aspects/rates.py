"""Rates per unit of exposure: exp(linear predictor without offset) at zero covariates and at the covariates' means."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glmm_zoo.aspects import Finding, draws_of
from glmm_zoo.storage import about


def find(tree: xr.DataTree, prob: float) -> Finding:
    """`rate[...]` per `per` units of exposure, in the median group."""
    posterior, spec = tree["posterior"].dataset, about(tree)["spec"]
    if "Intercept" not in posterior:
        return Finding("rates")
    per, exposure = spec["facts"]["per"], spec["facts"]["exposure"]
    unit = f"{per:g} of {exposure}" if exposure else "row" if per == 1 else f"{per:g} rows"
    log_rate = draws_of(posterior, "Intercept")
    found = {"rate[covariates at zero]": per * np.exp(log_rate)}
    if "beta" in posterior:
        beta, means = draws_of(posterior, "beta"), np.array(spec["learnt"][""]["means"])
        found["rate[covariates at means]"] = per * np.exp(log_rate + beta @ means)
    return Finding("rates", (), {}, found, {"rate": f"expected count per {unit}, at group effects of zero"})
