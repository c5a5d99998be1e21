"""How alike are the trials of a row? The intraclass correlation of beta-binomial counts, rho = 1 / (1 + phi), 0 in a binomial.

var y = n p (1 - p) (1 + (n - 1) rho)
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from glmm_zoo.results.findings.finding import Finding, draws_of
from glmm_zoo.results.numbers import interval, nominal, written
from glmm_zoo.results.storage import metadata

_EXAMPLE = 10  # trials


def find(tree: xr.DataTree, prob: float) -> Finding:
    """`trial_correlation`, of phi at the means of its covariates where it has any, and how much more counts vary by it."""
    posterior = tree["posterior"].dataset
    where, name, words = "", "trial_correlation", "correlation of two trials of a row, 1 / (1 + phi)"
    if "phi" in posterior:
        phi = draws_of(posterior, "phi")
    elif "phi_Intercept" in posterior:
        log_phi = draws_of(posterior, "phi_Intercept")
        if "phi_beta" in posterior:
            where, name = " at the means of the covariates of phi", "trial_correlation[covariates at means]"
            log_phi = log_phi + draws_of(posterior, "phi_beta") @ np.array(
                metadata(tree)["spec"]["learnt"]["phi"]["means"]
            )
        phi = np.exp(log_phi)
    else:
        return Finding("trials of a row")
    rho, tail = 1 / (1 + phi), (1 - prob) / 2
    low, middle, high = np.quantile(rho, [tail, 0.5, 1 - tail])
    least, times, most = (1 + (_EXAMPLE - 1) * r for r in (low, middle, high))
    sentence = (
        f"Two trials of a row are correlated by {written(middle, 2)} ({interval(low, high, 2)}, {nominal(prob)}){where}, where a binomial has 0: "
        f"the number of successes of {_EXAMPLE} trials varies {written(times, 1)} times ({interval(least, most, 1)}) as much as binomial."
    )
    return Finding("trials of a row", (sentence,), {}, {name: rho}, {"trial_correlation": words})
