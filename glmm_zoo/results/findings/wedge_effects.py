"""What a stepped-wedge trial found: the effect, how alike individuals of one cluster are, and who was treated when.

With C, B, S the variances of clusters, cluster-periods and subjects and v that of the residual (sigma^2; pi^2/3 for a
logit link), under control and on the scale of the link:

    within-period ICC             (C + B) / (C + B + S + v)      two individuals, same cluster and period
    between-period ICC            C / (C + B + S + v)            two individuals, same cluster, two periods
    cluster autocorrelation       CAC = C / (C + B)              Hooper et al. (2016); rho^|t - s| with decay
    individual autocorrelation    IAC = S / (S + v)

With decay C is 0 and B is the variance of a cluster in a period. For counts v depends on the mean (Nakagawa, Johnson &
Schielzeth 2017), so that an ICC would hold at one rate only: CAC alone is given, with the sds on the log scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.families.links import LINKS
from glmm_zoo.results.findings.finding import Finding, draws_of, interval_table
from glmm_zoo.results.numbers import estimate_text, nominal
from glmm_zoo.results.storage import metadata

MEANINGS = {
    "time_averaged_effect": "mean of the effects over the exposure times that occur",
    "long_term_effect": "effect at the longest exposure time that occurs",
    "icc_within_period": "correlation of two individuals of one cluster in one period, link scale, under control",
    "icc_between_period": "correlation of two individuals of one cluster in two periods, link scale, under control",
    "cac": "cluster autocorrelation: how far a cluster's level in one period is that in another",
    "iac": "individual autocorrelation: share of the variance between individuals that stays with the individual",
}


def find(tree: xr.DataTree, prob: float) -> Finding:
    """The effect on the scale of the link and its ratio, ICC and autocorrelations, effects by exposure, design map."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    effects = _effects(posterior)
    ratio = LINKS[spec["link"]].ratio
    ratios = {f"{ratio}[{name}]": np.exp(draws) for name, draws in effects.items()} if ratio else {}
    correlations = _correlations(posterior, spec)
    tables = {"effects": interval_table({**effects, **ratios}, prob, "effect")}
    with_rho = {**correlations, **({"rho": draws_of(posterior, "rho")} if "rho" in posterior else {})}
    if with_rho:
        tables["correlation"] = interval_table(with_rho, prob, "correlation")
    averages = {name: draws for name, draws in effects.items() if name in MEANINGS and name not in posterior}
    return Finding(
        "stepped wedge",
        _sentences(spec, tables["effects"], prob),
        {**tables, **_maps(spec["facts"]["map"])},
        {**averages, **ratios, **correlations},
        MEANINGS,
    )


def _effects(posterior: xr.Dataset) -> dict[str, np.ndarray]:
    """Draws (chain, draw) of the effect, or by exposure time and their summaries."""
    draws = draws_of(posterior, "effect")
    if draws.ndim == 2:
        return {"effect": draws}
    times = [str(e) for e in posterior["exposure_time"].values]
    return {
        **{f"effect[{e}]": draws[..., i] for i, e in enumerate(times)},
        "time_averaged_effect": draws.mean(axis=-1),
        "long_term_effect": draws[..., -1],
    }


def _correlations(posterior: xr.Dataset, spec: dict[str, Any]) -> dict[str, np.ndarray]:
    """Draws (chain, draw) of ICCs and autocorrelations that this model has."""
    facts, groups = spec["facts"], spec["groups"]

    def variance(factor: str | None) -> Any:
        if factor not in groups or "Intercept" not in groups[factor]["effects"]:
            return 0.0
        group = groups[factor]
        return draws_of(posterior, group["sd"], **{group["effect_dim"]: "Intercept"}) ** 2

    # variances (chain, draw) of clusters, cluster-periods and subjects; 0.0 where the model has no such effect
    C, B, S = (variance(facts[which]) for which in ("cluster", "cell", "subject"))
    residual = draws_of(posterior, "sigma") ** 2 if "sigma" in posterior else spec["latent_variance"]
    correlations = {}
    if residual is not None and np.ndim(C + B):
        total = C + B + S + residual
        correlations["icc_within_period"] = (C + B) / total
        if facts["correlation"] == "nested_exchangeable":
            correlations["icc_between_period"] = C / total
    if np.ndim(C) and np.ndim(B):
        correlations["cac"] = C / (C + B)
    if residual is not None and np.ndim(S):
        correlations["iac"] = S / (S + residual)
    return correlations


def _sentences(spec: dict[str, Any], effects: pd.DataFrame, prob: float) -> tuple[str, ...]:
    facts, link = spec["facts"], spec["link"]
    main = "effect" if facts["exposure_time"] == "constant" else "time_averaged_effect"
    estimate = f"{main.replace('_', '-').replace('-effect', ' effect')} {estimate_text(*effects.loc[main])}"
    ratio = LINKS[link].ratio
    if ratio:
        of_ratio = estimate_text(*effects.loc[f"{ratio}[{main}]"], scale="ratio")
        estimate += f" on the {link} scale, {ratio.replace('_', ' ')} {of_ratio}"
    words = [
        f"Predictor: {facts['predictor']}, plus the effect of treatment.",
        f"{estimate[0].upper()}{estimate[1:]} (median, {nominal(prob)} interval), at equal effects of clusters.",
    ]
    longest = facts["longest_exposure"]
    if facts["exposure_time"] == "constant" and longest > 1:
        words.append(
            f"One effect stands for 1 to {longest} periods of exposure. If it grows or fades with exposure this estimate is not "
            "its average and may mislead (Kenny et al. 2022): compare with exposure_time='categorical'."
        )
    if link == "log":
        words.append("For counts an ICC depends on the rate; the sds of the cluster effects are on the log scale.")
    return tuple(words)


def _maps(design: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Two tables of clusters by periods: "1" treated, "0" control, "" not seen; and how many rows there are."""
    clusters = pd.Index(design["clusters"], name="cluster")
    return {
        name: pd.DataFrame(design[part], clusters, pd.Index(design["periods"]))
        for name, part in (("design", "treated"), ("rows", "rows"))
    }
