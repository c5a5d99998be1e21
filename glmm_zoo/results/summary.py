"""Estimates a reader wants: on the link scale, and on the natural one. Imports `errors`, `storage`, `diagnostics`,
`aspects`.

    odds ratio           exp(beta)                                             logit link; rate ratio: log link
    ICC of factor g      sd_g^2 / (sum over factors sd^2 + v)                  v: sigma^2, or the latent variance
    median odds ratio    exp(sqrt(2) sd_g Phi^-1(3/4))                         logit link (Larsen & Merlo 2005)
    median rate ratio    the same                                              log link (Austin et al. 2018)

The latent variance of a binary outcome is pi^2/3 (logit), 1 (probit), pi^2/6 (cloglog). With varying slopes the ICC is
that of the intercepts: at zero of the slopes' covariates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.results import storage
from glmm_zoo.results.diagnostics import STATISTICS, incomplete, labels_of, statistics, table
from glmm_zoo.results.findings import findings
from glmm_zoo.results.storage import about

RATIOS = {"logit": "odds_ratio", "cloglog": "hazard_ratio", "log": "rate_ratio"}
MEDIAN_RATIOS = {"logit": "median_odds_ratio", "log": "median_rate_ratio"}
MEANINGS = {
    "odds_ratio": "odds ratio for one unit more, at equal group effects",
    "hazard_ratio": "hazard ratio for one unit more, at equal group effects",
    "rate_ratio": "rate ratio for one unit more, at equal group effects",
    "icc": "share of the latent variance that lies between levels, at zero of any slope",
    "median_odds_ratio": "median odds ratio between two rows alike but for their level",
    "median_rate_ratio": "median rate ratio between two rows alike but for their level",
}
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
        Also a row for every group effect `u_<g>` and every weight `s_<x>_weights`, `h0_weights`; where the fit kept only moments of the
        group effects, the other columns are NaN.

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
    effects = storage.effects(spec)
    shown = [n for n in names if n not in effects] + [n for n in names if n in effects and group_effects]
    parameters = table(posterior[shown], prob)
    parameters = parameters[parameters["ess_bulk"].notna()]  # the ones of a correlation matrix
    repeated = _repeated(posterior)
    derived = natural(tree)
    extra = pd.DataFrame(columns=pd.Index(STATISTICS))
    if derived:
        rows = statistics(np.stack(list(derived.values()), axis=2), prob)
        extra = pd.DataFrame(rows, index=pd.Index(list(derived)), columns=pd.Index(STATISTICS))
    both = pd.concat([parameters.drop(index=repeated, errors="ignore"), extra]) if len(extra) else parameters
    if group_effects and "group_effects" in tree:
        both = pd.concat([both, *(_of_moments(v) for v in tree["group_effects"].data_vars.values())])
    return both.rename_axis("parameter")


def _of_moments(effects: xr.DataArray) -> pd.DataFrame:
    values = effects.transpose("statistic", ...).values
    known = dict(zip(effects["statistic"].values, values.reshape(len(values), -1), strict=True))
    labels = labels_of(effects.isel(statistic=0, drop=True))
    return pd.DataFrame(known, index=pd.Index(labels)).reindex(columns=pd.Index(STATISTICS))


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
    outcomes = storage.outcomes(spec)
    found: dict[str, np.ndarray] = {}
    for prefix, link in {**{p: of["link"] for p, of in outcomes.items()}, **spec["links"]}.items():
        lead = f"{prefix}_" if prefix else ""
        ratio = (
            "ratio" if prefix not in outcomes and link == "log" else RATIOS.get(link)
        )  # a positive parameter is no rate
        if ratio and f"{lead}beta" in posterior:
            for coef in posterior[f"{lead}coef"].values:
                draws = posterior[f"{lead}beta"].sel({f"{lead}coef": coef}).values
                if link == "cloglog" and f"{lead}cutpoints" in posterior:  # P(Y <= k) falls with eta, and so its hazard
                    draws = -draws
                found[f"{lead}{ratio}[{coef}]"] = np.exp(draws)
    for prefix, of in outcomes.items():
        found.update(_between_levels(posterior, spec, prefix, of))
    for finding in findings(tree).values():
        found.update(finding.quantities)
    return found


def _between_levels(
    posterior: xr.Dataset, spec: Mapping[str, Any], prefix: str, outcome: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """ICC and median ratio of every factor with a varying intercept of one outcome."""
    lead = f"{prefix}_" if prefix else ""
    sds = {}
    for group in spec["groups"].values():
        label = f"{prefix}:Intercept" if prefix and f"{prefix}:Intercept" in group["effects"] else "Intercept"
        if label in group["effects"] and prefix in group["predictors"]:
            factor = group["sd"].split("sd_", 1)[1]
            sds[factor] = posterior[group["sd"]].sel({group["effect_dim"]: label}).values
    found: dict[str, np.ndarray] = {}
    residual = posterior[f"{lead}sigma"].values ** 2 if f"{lead}sigma" in posterior else outcome["latent_variance"]
    if residual is not None and sds:
        total = sum(sd**2 for sd in sds.values()) + residual
        found.update({f"{lead}icc[{g}]": sd**2 / total for g, sd in sds.items()})
    if outcome["link"] in MEDIAN_RATIOS:
        name = MEDIAN_RATIOS[outcome["link"]]
        found.update({f"{lead}{name}[{g}]": np.exp(np.sqrt(2) * sd * _NORMAL_UPPER_QUARTILE) for g, sd in sds.items()})
    return found
