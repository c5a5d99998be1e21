"""The posterior summary: a row for each parameter, and one for each quantity derived from them.

    odds ratio           exp(beta)                                             logit link; rate ratio: log link
    ICC of factor g      sd_g^2 / (sum over factors sd^2 + v)                  v: sigma^2, or the latent variance
    median odds ratio    exp(sqrt(2) sd_g Phi^-1(3/4))                         logit link (Larsen & Merlo 2005)
    median rate ratio    the same                                              log link (Austin et al. 2018)

The latent variance of a binary outcome is pi^2/3 (logit), 1 (probit), pi^2/6 (cloglog). With varying slopes sd_g is that of
the intercepts at the means of the slopes' covariates, `sd_<g>_at_means`; with center=False at zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.families.causes import own_of_cause
from glmm_zoo.families.links import LINKS
from glmm_zoo.families.registry import family_described
from glmm_zoo.plans.options import OptionType, read_option
from glmm_zoo.results.diagnostics import incomplete
from glmm_zoo.results.findings import findings
from glmm_zoo.results.imputations import imputed_tables
from glmm_zoo.results.parameter_statistics import (
    STATISTICS,
    element_labels,
    elements,
    moments_table,
    statistics,
    statistics_table,
)
from glmm_zoo.results.storage import (
    EFFECT_DRAWS,
    metadata,
    outcome_specs,
    random_effect_variables,
    reported_variables,
    sd_at_means,
)
from glmm_zoo.results.structures import row_ratio
from glmm_zoo.results.whole_fit import of_a_whole_fit

_WHERE = ", where slopes vary too at the means of their covariates (with center=False at zero)"
MEANINGS = {
    "odds_ratio": "odds ratio for one unit more, at equal group effects",
    "hazard_ratio": "hazard ratio for one unit more, at equal group effects",
    "time_ratio": "ratio of times for one unit more, at equal group effects",
    "median_hazard_ratio": "median hazard ratio between two rows alike but for their level" + _WHERE,
    "median_time_ratio": "median ratio of times between two rows alike but for their level" + _WHERE,
    "rate_ratio": "rate ratio for one unit more, at equal group effects",
    "ratio_of_means": "ratio of means for one unit more, at equal group effects",
    "icc": "share of the latent variance that lies between levels, of mm() with a row's mean sum of squared weights"
    + _WHERE,
    "median_odds_ratio": "median odds ratio between two rows alike but for their level" + _WHERE,
    "median_rate_ratio": "median rate ratio between two rows alike but for their level" + _WHERE,
    "median_ratio_of_means": "median ratio of means between two rows alike but for their level" + _WHERE,
}
_NORMAL_UPPER_QUARTILE = 0.6744897501960817


@of_a_whole_fit
def summary(tree: xr.DataTree, *, prob: float = 0.95, group_effects: bool = False) -> pd.DataFrame:
    """Posterior summary, one row for each parameter and derived quantity.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    prob
        Probability inside the equal-tailed interval `lower` to `upper`.
    group_effects
        Also a row for every group effect `u_<g>` and every weight `s_<x>_weights`, `h0_weights`; of group effects of which the
        fit did not keep all draws, quantiles are of those kept, NaN without any, and `ess_tail` is NaN.

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
    prob = read_option("prob", prob, OptionType(number=True))
    if not 0 < prob < 1:
        raise InputError(f"the probability of the interval must be between 0 and 1, not {prob}")
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    gap = incomplete(tree, set(map(str, posterior)) - (set() if group_effects else random_effect_variables(spec)))
    if gap is not None:
        raise InputError(f"no summary: {gap}; fit again")
    parameters = _of_parameters(posterior, spec, prob, group_effects)
    others = [_of_derived(tree, prob)]
    if group_effects:
        others.append(_of_moments(tree, prob))
    return pd.concat([parameters, *(rows for rows in others if len(rows))]).rename_axis("parameter")


def _of_moments(tree: xr.DataTree, prob: float) -> pd.DataFrame:
    """The group effects whose moments are of all draws; quantiles are those of the draws that are kept."""
    table = moments_table(tree)
    if EFFECT_DRAWS in tree.children:
        arrays = tree[EFFECT_DRAWS].dataset.rename(effect_draw="draw").data_vars.values()
        for values, labels in ((elements(array), element_labels(array)) for array in arrays):
            at = (1 - prob) / 2, 0.5, (1 + prob) / 2
            table.loc[labels, ["lower", "median", "upper"]] = np.quantile(values, at, axis=(0, 1)).T
    return table


def _of_parameters(posterior: xr.Dataset, spec: Mapping[str, Any], prob: float, group_effects: bool) -> pd.DataFrame:
    """The model's parameters in the order of the posterior, random effects last if they are wanted."""
    names = reported_variables(posterior, spec)
    effects = random_effect_variables(spec)
    shown = [n for n in names if n not in effects] + [n for n in names if n in effects and group_effects]
    parameters = statistics_table(posterior[shown], prob)
    parameters = parameters[parameters["ess_bulk"].notna()]  # without the ones of a correlation matrix
    return parameters.drop(index=repeated_correlations(posterior), errors="ignore")


def repeated_correlations(posterior: xr.Dataset) -> list[str]:
    """The names of the elements of correlation matrices that repeat one above the diagonal, or are 1 on it."""
    repeated = []
    for name, array in posterior.data_vars.items():
        if str(name).startswith("corr_") or "_corr_" in str(name):
            *strata, _, effect_dim = array.dims[2:]
            effects = [str(v) for v in array[effect_dim].values]
            leads = [f"{s}, " for s in array[strata[0]].values] if strata else [""]
            repeated += [f"{name}[{s}{a}, {b}]" for s in leads for i, a in enumerate(effects) for b in effects[: i + 1]]
    return repeated


def _of_derived(tree: xr.DataTree, prob: float) -> pd.DataFrame:
    draws = derived_quantities(tree)
    if not draws:
        return pd.DataFrame(columns=pd.Index(STATISTICS))
    rows = statistics(np.stack(list(draws.values()), axis=2), prob, len(imputed_tables(tree)) or 1)
    return pd.DataFrame(rows, index=pd.Index(list(draws)), columns=pd.Index(STATISTICS))


def derived_quantities(tree: xr.DataTree) -> dict[str, np.ndarray]:
    """Draws (chain, draw) of the quantities derived from the parameters, by name."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    outcomes = outcome_specs(spec)
    quantities: dict[str, np.ndarray] = {}
    ratios = {p: (link, "ratio" if link == "log" else LINKS[link].ratio) for p, link in spec["links"].items()}
    ratios |= {p: (o["link"], family_described(o).ratio(o["link"])) for p, o in outcomes.items()}
    for prefix, (link, ratio) in ratios.items():
        if ratio:
            quantities.update(_ratios(posterior, prefix, link, ratio))
    for prefix, outcome in outcomes.items():
        for of in family_described(outcome).event_times or (prefix,):
            quantities.update(_between_levels(posterior, spec, of, outcome))
    for finding in findings(tree, checks=False).values():
        quantities.update(finding.quantities)
    return quantities


def _ratios(posterior: xr.Dataset, prefix: str, link: str, ratio: str) -> dict[str, np.ndarray]:
    """exp of every coefficient of one linear predictor."""
    lead = f"{prefix}_" if prefix else ""
    if f"{lead}beta" not in posterior:
        return {}
    # of a cumulative model P(Y <= k) falls with eta, and with it the hazard of stopping at k
    falls = link == "cloglog" and f"{lead}cutpoints" in posterior
    quantities = {}
    for coef in posterior[f"{lead}coef"].values:
        draws = posterior[f"{lead}beta"].sel({f"{lead}coef": coef}).values
        with np.errstate(over="ignore"):  # the ratio of a unit that is far beyond the data is infinite
            quantities[f"{lead}{ratio}[{coef}]"] = np.exp(-draws if falls else draws)
    return quantities


def _between_levels(
    posterior: xr.Dataset, spec: Mapping[str, Any], prefix: str, outcome: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """ICC and median ratio of every factor with a varying intercept of one outcome; no ICC where sigma differs between rows.

    Where rows belong to several levels, mm(g1, g2), both are of the weighted sums that rows have, in the mean of their variances, of two rows
    without a level in common. Where a factor's sd differs between the levels of another column, there is an ICC of each factor in each of these levels. Of
    Student-t effects the ICC has their variance, and there is no median ratio, which is that of normal effects.
    """
    lead = f"{prefix}_" if prefix else ""
    if f"{lead}disc" in spec["links"]:  # they are others in every row
        return {}
    sds: dict[str, xr.DataArray] = {}
    student: set[str] = set()
    for group in spec["groups"].values():
        label = f"{prefix}:Intercept" if prefix and f"{prefix}:Intercept" in group["effects"] else "Intercept"
        if label in group["effects"] and prefix in group["predictors"]:
            factor = group["sd"].split("sd_", 1)[1]
            sd = posterior[sd_at_means(group)].sel({group["effect_dim"]: label}, drop=True)
            sds[factor] = sd * row_ratio(posterior, group)
            if "df" in group:  # sd is a scale, and the variance of df <= 2 infinite
                df = posterior[group["df"]]
                sds[factor] = sds[factor] * np.sqrt(xr.where(df > 2, df / (df - 2), np.inf))
                student.add(factor)
    quantities: dict[str, np.ndarray] = {}
    residual = None if spec.get("facts", {}).get("sds_by_visit") else _residual_variance(posterior, prefix, outcome)
    if residual is not None and sds:
        for where, own in _in_each_stratum(sds):
            total = sum(sd**2 for sd in own.values()) + residual
            for factor, sd in own.items():
                rest = residual + sum(other**2 for f, other in own.items() if f != factor)
                quantities[f"{lead}icc[{factor}{where}]"] = 1 - rest / total if factor in student else sd**2 / total
    family = family_described(outcome)
    name = family.median_ratio(outcome["link"])
    if name is not None:
        for factor, sd in ((f, sd) for f, sd in sds.items() if f not in student):
            for where, own in _in_each_stratum({factor: sd}):
                with np.errstate(over="ignore"):
                    quantities[f"{lead}{name}[{factor}{where}]"] = np.exp(
                        np.sqrt(2) * own[factor] * _NORMAL_UPPER_QUARTILE
                    )
    return quantities


def _in_each_stratum(sds: Mapping[str, xr.DataArray]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The sds (chain, draw) by factor in each combination of levels of the columns by which they differ, and ", a" for these levels."""
    dims = list(dict.fromkeys(dim for sd in sds.values() for dim in sd.dims[2:]))
    levels = {dim: next(sd[dim].values for sd in sds.values() if dim in sd.dims).tolist() for dim in dims}
    for labels in product(*levels.values()):
        at = dict(zip(dims, labels, strict=True))
        own = {f: sd.sel({d: at[d] for d in dims if d in sd.dims}).values for f, sd in sds.items()}
        yield "".join(f", {label}" for label in labels), own


def _residual_variance(posterior: xr.Dataset, prefix: str, outcome: Mapping[str, Any]) -> Any:
    """The variance within levels on the scale of the predictor: of what is measured that of a row, on a log link the one that a lognormal
    variable of its mean and variance has; of a time that of its logarithm; else that of the latent variable. None where there is no one
    such variance."""
    family = family_described(outcome)
    if family.event_times is not None:
        known = {own.name: own.on_its_scale(posterior[own.name].values) for own in family.own if own.name in posterior}
        return family.event_times[prefix].log_variance(own_of_cause(prefix, known))
    lead = f"{prefix}_" if prefix else ""
    if family.responses != "measured" or outcome["link"] not in ("identity", "log"):
        return outcome["latent_variance"]
    names = [own.name for own in family.own]
    if any(f"{lead}{name}" not in posterior for name in names):
        return None
    own = {name: posterior[f"{lead}{name}"].values for name in names}
    mean, spread = family.moments(np.zeros_like(own[names[0]]), own, outcome["link"])
    return spread if outcome["link"] == "identity" else np.log1p(spread / mean**2)
