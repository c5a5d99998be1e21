"""The network of a fitted meta-analysis, read again from its file, and how well the model fits its arms.

D_ik = 2 (log p(y_ik | y_ik) - log p(y_ik | eta_ik))                residual deviance of an arm
pD = mean D - D at the mean of eta,  DIC = mean D + pD              (Spiegelhalter et al. 2002, as in NICE DSU TSD 2 to 4)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from glmm_zoo.families.links import LINKS
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.storage import metadata, stored_table
from glmm_zoo.trials.network import Network, read_network


@dataclass(frozen=True)
class Deviance:
    """Of all arms: the posterior mean of the residual deviance, the effective number of parameters, and their sum."""

    arms: int
    mean: float
    effective: float

    @property
    def dic(self) -> float:
        return self.mean + self.effective


def network_of(tree: xr.DataTree) -> Network:
    """The arms that were fitted."""
    spec = metadata(tree)["spec"]
    options = spec["options"]
    return read_network(
        stored_table(tree), spec["formula"], study=options["study"], treatment=options["treatment"],
        reference=spec["facts"]["labels"][0], exposure=options["exposure"], missing=options["missing"],
        interactions=options.get("interactions", "common"), baseline_regression=options.get("baseline_regression", False),
    )  # fmt: skip


def contrasts_of_studies(tree: xr.DataTree, network: Network) -> np.ndarray:
    """Draws (chain, draw, contrasts) of the true effects in the studies; fixed effects are those of the treatments."""
    posterior = tree["posterior"].dataset
    return draws_of(posterior, "study_effect") if "study_effect" in posterior else mean_contrasts(tree, network)


def mean_contrasts(tree: xr.DataTree, network: Network) -> np.ndarray:
    """Draws (chain, draw, contrasts) of the mean effects in studies with their covariates."""
    consistent = metadata(tree)["spec"]["options"]["consistency"] == "consistency"
    return _mean_effects(tree, network, network.contrasts[:, 0], network.effects(consistent)[1])


def _mean_effects(tree: xr.DataTree, network: Network, study: np.ndarray, against: np.ndarray) -> np.ndarray:
    """Draws (chain, draw, m) of mean effects in these studies (m,), of the treatments `against` (m, effects)."""
    posterior = tree["posterior"].dataset
    effect, beta, level = (
        draws_of(posterior, name) if name in posterior else np.empty(0)
        for name in ("effect", "beta", "study_Intercept")
    )
    return network.interactions.effects(study, against, effect, beta, level)


def deviance(tree: xr.DataTree, network: Network) -> Deviance | None:
    """None where the fit kept only moments of the studies' levels."""
    eta = _arm_predictors(tree, network)
    if eta is None:
        return None
    of_risks = network.exposure is None
    y, size = network.outcome.values, network.sizes
    link = LINKS["logit" if of_risks else "log"]

    def of(eta: np.ndarray) -> np.ndarray:
        mu = size * link.inverse(eta)
        if of_risks:
            return 2 * (_excess(y, mu) + _excess(size - y, size - mu)).sum(axis=-1)
        return 2 * (_excess(y, mu) - (y - mu)).sum(axis=-1)

    mean = float(of(eta).mean())
    return Deviance(len(y), mean, mean - float(of(eta.mean(axis=(0, 1)))))


def _excess(y: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """y log(y / mu), 0 where y is."""
    return y * (np.log(np.maximum(y, 1)) - np.log(mu))


def _arm_predictors(tree: xr.DataTree, network: Network) -> np.ndarray | None:
    """Draws (chain, draw, arms) of log odds, or log rates."""
    posterior, facts = tree["posterior"].dataset, metadata(tree)["spec"]["facts"]
    studies, at_first = np.arange(len(network.first)), network.against[1]
    if "study_Intercept" in posterior:
        level = draws_of(posterior, "study_Intercept")
        if network.interactions.level is not None:
            level = level + _mean_effects(tree, network, studies, at_first)
    elif f"u_{facts['study']}" in posterior:
        u = draws_of(posterior, f"u_{facts['study']}")[..., 0]
        level = draws_of(posterior, "Intercept")[..., None] + u + _mean_effects(tree, network, studies, at_first)
    else:
        return None
    delta = contrasts_of_studies(tree, network)
    own = np.concatenate([delta, np.zeros((*delta.shape[:-1], 1))], axis=-1)[..., network.contrast_of]
    return level[..., network.study.codes] + own


def treatment_effects(tree: xr.DataTree, network: Network, at: Mapping[str, float]) -> np.ndarray:
    """Draws (chain, draw, T) of each treatment's effect against the reference, whose own is 0, of a model with consistency: where
    covariates and "baseline", the log odds or log rate under the reference, are as in `at`, and else at their means."""
    slopes, posterior = network.interactions, tree["posterior"].dataset
    effect = draws_of(posterior, "effect")
    away = np.array([[at[name] - middle if name in at else 0.0 for name, middle in slopes.middles.items()]])
    if away.any():
        against = np.eye(effect.shape[-1])
        effect = effect + draws_of(posterior, "beta") @ slopes.columns(np.repeat(away, len(against), axis=0), against).T
    return np.concatenate([np.zeros((*effect.shape[:-1], 1)), effect], axis=-1)
