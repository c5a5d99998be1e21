"""The studies of a meta-analysis, each against what the model expects of a study of its size and covariates.

    own log ratio ~ Normal(effect + (x - mean of x)' beta, tau^2 + s^2)

s is the standard error of a study's own log ratio. Where a study has an arm without events, 1/2 is added to its counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from glmm_zoo.results.about import about_of
from glmm_zoo.results.figures.group_names import rows_of_factor
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.findings.pooled import own_ratios
from glmm_zoo.results.storage import metadata, stored_table
from glmm_zoo.trials.arms import read_arms

_PROB = 0.95


@dataclass(frozen=True)
class StudiesApart:
    """Each study's `own` log ratio (studies,), and the `lower`, `middle` and `upper` end of the interval expected for it."""

    labels: tuple[str, ...]
    own: np.ndarray
    lower: np.ndarray
    middle: np.ndarray
    upper: np.ndarray
    covariates: tuple[str, ...]

    @property
    def outside(self) -> np.ndarray:
        """Which studies lie outside (studies,)."""
        return (self.own < self.lower) | (self.own > self.upper)


def studies_apart(tree: xr.DataTree) -> StudiesApart:
    """The studies of a fitted meta-analysis, on the log scale of ratios."""
    posterior, content = tree["posterior"].dataset, metadata(tree)
    spec = content["spec"]
    options = spec["options"]
    arms = read_arms(
        stored_table(tree), spec["formula"], study=options["study"], treatment=options["treatment"],
        control=options["control"], exposure=options["exposure"], missing=options["missing"],
    )  # fmt: skip
    rough, variance = arms.rough_effects()
    own, half_width = own_ratios(arms.totals(), arms.exposure is None, _PROB)
    own = np.where(np.isfinite(own), own, rough)
    error = np.where(np.isfinite(half_width), half_width / _quantile(_PROB), np.sqrt(variance))
    mean = draws_of(posterior, "effect").reshape(-1, 1)  # (draws, studies) below
    if arms.covariates is not None:
        beta = draws_of(posterior, "beta").reshape(len(mean), -1)
        mean = mean + beta @ (arms.covariates.values - arms.covariates.means).T
    sd = np.hypot(draws_of(posterior, "tau").reshape(-1, 1), error)
    z = np.random.default_rng([content["sampling"]["seed"], 2]).standard_normal(sd.shape)
    lower, middle, upper = np.quantile(mean + sd * z, [(1 - _PROB) / 2, 0.5, (1 + _PROB) / 2], axis=0)
    labels = rows_of_factor(tree, spec["facts"]["study"]).labels(about_of(tree), np.arange(len(own)))
    covariates = () if arms.covariates is None else arms.covariates.labels
    return StudiesApart(tuple(labels), own, lower, middle, upper, covariates)


def _quantile(prob: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + prob) / 2)
