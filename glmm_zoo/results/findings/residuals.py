"""Residuals of repeated measures: their standard deviation at each visit, and how those of one subject correlate.

The correlation of visits j and k is that of the matrix, rho between any two (compound), rho^|j - k| (ar1), rho_|j - k| (toeplitz), or
rho^|t - s| at times t and s (car1).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.findings.finding import Finding, draws_of, interval_table
from glmm_zoo.results.numbers import written
from glmm_zoo.results.storage import metadata


def find(tree: xr.DataTree, prob: float) -> Finding:
    """Tables of standard deviations and of correlations by visit, and how closely measurements of one subject go together."""
    posterior, facts = tree["posterior"].dataset, metadata(tree)["spec"]["facts"]
    title = f"Residuals of one {facts['subject']}: medians by {facts['visit']}"
    lead = f"Two measurements of one {facts['subject']} correlate, beside what the formula says of them,"
    if "visits" not in facts:
        one = written(float(np.median(draws_of(posterior, "rho"))), 2)
        return Finding(title, (f"{lead} by {one} (median) where they are one unit of {facts['visit']} apart.",))
    visits, tables = list(facts["visits"]), {}
    if "sigma" in posterior and facts["visit"] in posterior["sigma"].dims:
        by_visit = {visit: draws_of(posterior, "sigma", **{facts["visit"]: visit}) for visit in visits}
        tables["standard deviation"] = interval_table(by_visit, prob, facts["visit"])
    middle = np.median(residual_correlations(tree), axis=(0, 1))
    tables["correlation"] = pd.DataFrame(middle, pd.Index(visits, name=facts["visit"]), pd.Index(visits))
    below = middle[np.tril_indices(len(visits), -1)]
    one = written(below.min(), 2)
    several = f"{one} to {written(below.max(), 2)} (medians), by which two they are"
    return Finding(title, (f"{lead} by {several if np.ptp(below) > 1e-9 else f'{one} (median)'}.",), tables)


def residual_correlations(tree: xr.DataTree) -> np.ndarray:
    """Draws (chain, draw, visits, visits) of the correlations of one subject's residuals."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    if "corr_residual" in posterior:
        return draws_of(posterior, "corr_residual")
    times = np.array(spec["facts"]["times"])
    rho, apart = draws_of(posterior, "rho"), np.abs(times[:, None] - times)
    if rho.ndim == 3:
        return np.concatenate([np.ones((*rho.shape[:2], 1)), rho], axis=-1)[..., apart.astype(int)]
    if spec["options"]["residual"].startswith("compound"):
        apart = (apart > 0).astype(float)
    return rho[..., None, None] ** apart
