"""Estimates a reader wants: on the link scale, and on the natural one. Imports `errors`, `storage`, `diagnostics`.

    odds ratio           exp(beta)                                             logit link
    ICC of factor g      sd_g^2 / (sum over factors sd^2 + v)                  v: sigma^2, or the latent variance
    median odds ratio    exp(sqrt(2) sd_g Phi^-1(3/4))                         logit link (Larsen & Merlo 2005)

The latent variance of a binary outcome is pi^2/3 (logit), 1 (probit), pi^2/6 (cloglog). With varying slopes the ICC is
that of the intercepts: at zero of the slopes' covariates.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.diagnostics import STATISTICS, incomplete, statistics, table
from glmm_zoo.errors import InputError
from glmm_zoo.storage import about

_RATIOS = {"logit": "odds_ratio", "cloglog": "hazard_ratio", "log": "rate_ratio"}
_NORMAL_UPPER_QUARTILE = 0.6744897501960817


def summary(tree: xr.DataTree, *, prob: float = 0.95, group_effects: bool = False) -> pd.DataFrame:
    """Posterior summary, one row for each parameter and derived quantity.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    prob
        Probability inside the equal-tailed interval `lower` to `upper`.
    group_effects
        Also a row for every group effect `u_<g>`.

    Returns
    -------
    DataFrame
        Index "beta[age]", "sd_site[Intercept]", "odds_ratio[age]", "icc[site]", ...; columns mean, median, sd, lower,
        upper, mcse_mean, mcse_sd, ess_bulk, ess_tail, r_hat as numbers.

    Raises
    ------
    InputError
        When `prob` is not between 0 and 1, or the fit was interrupted.
    """
    if not 0 < prob < 1:
        raise InputError(f"the probability of the interval must be between 0 and 1, not {prob}")
    gap = incomplete(tree)
    if gap is not None:
        raise InputError(f"no summary: {gap}; fit again")
    posterior = tree["posterior"].dataset
    spec = about(tree)["spec"]
    names = [str(n) for n in posterior.data_vars if n not in spec["auxiliary"]]
    effects = {f"u_{g}" for g in spec["groups"]}
    shown = [n for n in names if n not in effects] + [n for n in names if n in effects and group_effects]
    parameters = table(posterior[shown], prob)
    parameters = parameters[parameters["ess_bulk"].notna()]  # the ones of a correlation matrix
    repeated = _repeated(posterior)
    derived = {name: statistics(values, prob) for name, values in natural(tree).items()}
    extra = pd.DataFrame(list(derived.values()), index=pd.Index(list(derived)), columns=pd.Index(STATISTICS))
    both = pd.concat([parameters.drop(index=repeated, errors="ignore"), extra]) if len(extra) else parameters
    return both.rename_axis("parameter")


def _repeated(posterior: xr.Dataset) -> list[str]:
    """The upper halves of correlation matrices."""
    found = []
    for name, array in posterior.data_vars.items():
        if str(name).startswith("corr_") or "_corr_" in str(name):
            effects = [str(v) for v in array[array.dims[-1]].values]
            found += [f"{name}[{a}, {b}]" for i, a in enumerate(effects) for b in effects[:i]]
    return found


def natural(tree: xr.DataTree) -> dict[str, np.ndarray]:
    """Draws (chain, draw) of the derived quantities, by name."""
    posterior, spec = tree["posterior"].dataset, about(tree)["spec"]
    found: dict[str, np.ndarray] = {}
    ratio = _RATIOS.get(spec["link"])
    if ratio and "beta" in posterior:
        for coef in posterior["coef"].values:
            found[f"{ratio}[{coef}]"] = np.exp(posterior["beta"].sel(coef=coef).values)
    sds = {
        g: posterior[group["sd"]].sel({f"{g}_effect": "Intercept"}).values
        for g, group in spec["groups"].items()
        if "Intercept" in group["effects"]
    }
    residual = posterior["sigma"].values ** 2 if "sigma" in posterior else spec["latent_variance"]
    if residual is not None and sds:
        total = sum(sd**2 for sd in sds.values()) + residual
        found.update({f"icc[{g}]": sd**2 / total for g, sd in sds.items()})
    if spec["link"] == "logit":
        found.update(
            {f"median_odds_ratio[{g}]": np.exp(np.sqrt(2) * sd * _NORMAL_UPPER_QUARTILE) for g, sd in sds.items()}
        )
    return found
