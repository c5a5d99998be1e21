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

from glmm_zoo.results.findings import Finding, draws_of, intervals, percent
from glmm_zoo.results.storage import about

RATIOS = {"logit": "odds_ratio", "log": "rate_ratio"}
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
    posterior, spec = tree["posterior"].dataset, about(tree)["spec"]
    effects = _effects(posterior)
    link = spec["link"]
    ratios = {f"{RATIOS[link]}[{name}]": np.exp(d) for name, d in effects.items()} if link in RATIOS else {}
    alike = _correlations(posterior, spec)
    tables = {"effects": intervals({**effects, **ratios}, prob, "effect")}
    shown = {**alike, **({"rho": draws_of(posterior, "rho")} if "rho" in posterior else {})}
    if shown:
        tables["correlation"] = intervals(shown, prob, "correlation")
    given = {name: d for name, d in effects.items() if name in MEANINGS and name not in posterior}
    return Finding(
        "stepped wedge",
        _sentences(spec, tables["effects"], prob),
        {**tables, **_maps(spec["facts"]["map"])},
        {**given, **ratios, **alike},
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

    C, B, S = (variance(facts[which]) for which in ("cluster", "cell", "subject"))
    residual = draws_of(posterior, "sigma") ** 2 if "sigma" in posterior else spec["latent_variance"]
    found = {}
    if residual is not None and np.ndim(C + B):
        total = C + B + S + residual
        found["icc_within_period"] = (C + B) / total
        if facts["correlation"] == "nested_exchangeable":
            found["icc_between_period"] = C / total
    if np.ndim(C) and np.ndim(B):
        found["cac"] = C / (C + B)
    if residual is not None and np.ndim(S):
        found["iac"] = S / (S + residual)
    return found


def _sentences(spec: dict[str, Any], effects: pd.DataFrame, prob: float) -> tuple[str, ...]:
    facts, link = spec["facts"], spec["link"]
    main = "effect" if facts["exposure_time"] == "constant" else "time_averaged_effect"
    said = f"{main.replace('_', '-').replace('-effect', ' effect')} {_told(effects.loc[main])}"
    if link in RATIOS:
        ratio = RATIOS[link]
        said += f" on the {link} scale, {ratio.replace('_', ' ')} {_told(effects.loc[f'{ratio}[{main}]'])}"
    words = [
        f"Predictor: {facts['predictor']}, plus the effect of treatment.",
        f"{said[0].upper()}{said[1:]} (median, {percent(prob)} interval), at equal effects of clusters.",
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


def _told(row: pd.Series) -> str:
    return f"{row['median']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})"


def _maps(design: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Clusters by periods: "1" treated, "0" control, "" not seen; and how many rows there are."""
    clusters = pd.Index(design["clusters"], name="cluster")
    return {
        name: pd.DataFrame(design[part], clusters, pd.Index(design["periods"]))
        for name, part in (("design", "treated"), ("rows", "rows"))
    }
