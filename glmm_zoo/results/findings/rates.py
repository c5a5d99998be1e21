"""Rates per unit of exposure: exp(linear predictor without offset) at zero covariates and at the covariates' means."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glmm_zoo.results.findings.finding import Finding, draws_of
from glmm_zoo.results.storage import metadata


def find(tree: xr.DataTree, prob: float) -> Finding:
    """`rate[...]` for `per` units of exposure, at group effects of zero, the median group, if there are groups."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    if "Intercept" not in posterior:
        return Finding("rates")
    per = spec["facts"]["per"]
    log_rate = draws_of(posterior, "Intercept")
    quantities = {"rate[covariates at zero]": per * np.exp(log_rate)}
    if "beta" in posterior:
        beta, means = draws_of(posterior, "beta"), np.array(spec["learnt"][""]["means"])
        quantities["rate[covariates at means]"] = per * np.exp(log_rate + beta @ means)
    where = ", at group effects of zero" if spec["groups"] else ""
    words = f"{spec['facts']['of']} per {_unit(spec['facts']['exposure'], per)}{where}"
    return Finding("rates", (), {}, quantities, {"rate": words})


def _unit(exposure: str | None, per: float) -> str:
    noun = f"unit of {exposure}" if exposure else "row"
    return noun if per == 1 else f"{per:g} {noun.replace('unit', 'units', 1) if exposure else 'rows'}"
