"""The studies of a meta-analysis, each against what the model expects of a study of its size and covariates.

    own log ratio ~ Normal(effect + (x - mean of x)' beta, tau^2 + s^2)

s is the standard error of a study's own log ratio. Where a study has an arm without events, 1/2 is added to its counts; in a network,
where each contrast of a study with its baseline counts, to all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.results.about import about_of
from glmm_zoo.results.figures.group_names import rows_of_factor
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.findings.pooled import own_ratios
from glmm_zoo.results.networks import mean_contrasts, network_of
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
    what: str = "studies"

    @property
    def outside(self) -> np.ndarray:
        """Which studies lie outside (studies,)."""
        return (self.own < self.lower) | (self.own > self.upper)


def studies_apart(tree: xr.DataTree) -> StudiesApart:
    """The studies of a fitted meta-analysis, or the contrasts of those of a network, on the log scale of ratios."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    if spec["builder"] == "network_meta_analysis":
        return _contrasts_apart(tree, spec)
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
    labels = rows_of_factor(tree, spec["facts"]["study"]).labels(about_of(tree), np.arange(len(own)))
    covariates = () if arms.covariates is None else arms.covariates.labels
    return _apart(tree, labels, own, error, mean, covariates)


def _contrasts_apart(tree: xr.DataTree, spec: Mapping[str, Any]) -> StudiesApart:
    """Each treatment of a study against the study's baseline."""
    network, about, column = network_of(tree), about_of(tree), spec["options"]["treatment"]
    own, variance, of_base = network.rough_contrasts()
    studies = rows_of_factor(tree, spec["facts"]["study"]).labels(about, np.arange(len(network.present)))
    words = [about.level(column, label) for label in network.labels]
    labels = [f"{studies[i]}: {words[t]} vs {words[network.first[i]]}" for i, t in network.contrasts]
    mean = mean_contrasts(tree, network).reshape(-1, len(own))
    names = network.interactions.names
    return replace(_apart(tree, labels, own, np.sqrt(variance + of_base), mean, names), what="contrasts of studies")


def _apart(
    tree: xr.DataTree,
    labels: Sequence[str],
    own: np.ndarray,
    error: np.ndarray,
    mean: np.ndarray,
    covariates: tuple[str, ...],
) -> StudiesApart:
    """Given the expected log ratios (draws, studies) and the standard errors of own ones (studies,)."""
    posterior = tree["posterior"].dataset
    tau = draws_of(posterior, "tau").reshape(-1, 1) if "tau" in posterior else np.zeros((len(mean), 1))
    sd = np.hypot(tau, error)
    z = np.random.default_rng([metadata(tree)["sampling"]["seed"], 2]).standard_normal(sd.shape)
    lower, middle, upper = np.quantile(mean + sd * z, [(1 - _PROB) / 2, 0.5, (1 + _PROB) / 2], axis=0)
    return StudiesApart(tuple(labels), own, lower, middle, upper, covariates)


def _quantile(prob: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + prob) / 2)
