"""A posterior as a careful PyMC user would write it: non-centred group effects, no other transformation.

    eta = Intercept + X beta + offset + sum_g z_g u_g,   u_g = sd_g * raw_g,   raw_g ~ Normal(0, 1)

With correlated effects u_g = raw_g L', L from LKJCholeskyCov. A smooth adds its columns times sd * raw. `fit_pymc.py` samples it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt


def read(spec_path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """The description and the table that `prepare.py` wrote."""
    return json.loads(spec_path.read_text()), pd.read_csv(spec_path.with_name("data.csv"))


def build(spec: dict[str, Any], data: pd.DataFrame) -> pm.Model:
    def prior(block: str, name: str, **more: Any) -> Any:
        return getattr(pm, spec["priors"][block]["distribution"])(name, **spec["priors"][block]["arguments"], **more)

    def columns(prefix: str, labels: list[str]) -> np.ndarray:
        return data[[f"{prefix}{j}" for j in range(1, len(labels) + 1)]].to_numpy(float)

    y, family = data["y"].to_numpy(), spec["family"]
    coords = {"coef": spec["coefficients"], "never_coef": spec["never"], "cutpoint": spec["cutpoints"]}
    with pm.Model(coords={dim: labels for dim, labels in coords.items() if labels}) as model:
        eta = columns("x", spec["coefficients"]) @ prior("beta", "beta", dims="coef")
        if family != "ordinal":
            eta += prior("Intercept", "Intercept")
        if "offset" in data:
            eta += data["offset"].to_numpy()
        for g, group in enumerate(spec["groups"], 1):
            eta += _group_effects(model, spec, group, data[f"g{g}"].to_numpy() - 1, data[group["columns"]].to_numpy())
        for s, smooth in enumerate(spec["smooths"], 1):
            weights = prior(smooth["sd"], smooth["sd"]) * pm.Normal(f"raw_s{s}", shape=len(smooth["columns"]))
            eta += data[smooth["columns"]].to_numpy() @ weights
        if family == "bernoulli":
            pm.Bernoulli("y", logit_p=eta, observed=y)
        elif family == "binomial":
            pm.Binomial("y", n=data["n"].to_numpy(), logit_p=eta, observed=y)
        elif family == "poisson":
            pm.Poisson("y", mu=pt.exp(eta), observed=y)
        elif family == "negative_binomial":
            pm.NegativeBinomial("y", mu=pt.exp(eta), alpha=prior("alpha", "alpha"), observed=y)
        elif family == "zero_inflated_negative_binomial":
            psi, alpha = 1 - prior("zi", "zi"), prior("alpha", "alpha")  # psi: the share that is no structural zero
            pm.ZeroInflatedNegativeBinomial("y", psi=psi, mu=pt.exp(eta), alpha=alpha, observed=y)
        elif family == "ordinal":
            start = np.linspace(-2, 2, len(spec["cutpoints"]))
            ordered = pm.distributions.transforms.ordered
            cutpoints = prior("cutpoints", "cutpoints", dims="cutpoint", transform=ordered, initval=start)
            pm.OrderedLogistic("y", eta=eta, cutpoints=cutpoints, compute_p=False, observed=y)
        elif family == "never_at_risk":
            subject = data["g1"].to_numpy() - 1
            w = columns("w", spec["never"])[np.unique(subject, return_index=True)[1]]
            logit_pi = prior("never_Intercept", "never_Intercept")
            logit_pi += w @ prior("never_beta", "never_beta", dims="never_coef")
            of_rows = pm.logp(pm.Poisson.dist(mu=pt.exp(eta)), y)
            S = pt.zeros(len(w))[subject].inc(of_rows)
            at_risk = np.bincount(subject, y > 0) > 0
            log_1m_pi, log_pi = -pt.softplus(logit_pi), -pt.softplus(-logit_pi)
            pm.Potential("y", pt.where(at_risk, log_1m_pi + S, pt.logaddexp(log_pi, log_1m_pi + S)).sum())
    return model


def _group_effects(
    model: pm.Model, spec: dict[str, Any], group: dict[str, Any], level: np.ndarray, Z: np.ndarray
) -> Any:
    """What the effects of one factor add to eta (n,); `level` (n,), Z (n, k - 1) without the intercept's column."""
    name, effects = group["name"], group["effects"]
    model.add_coords({name: np.arange(level.max() + 1), f"{name}_effect": effects, f"{name}_effect_bis": effects})
    sd_prior = spec["priors"]["sd"]
    sd_distribution = getattr(pm, sd_prior["distribution"])
    if len(effects) == 1:
        sd = sd_distribution(f"sd_{name}", **sd_prior["arguments"])
        u = pm.Deterministic(f"u_{name}", sd * pm.Normal(f"raw_{name}", dims=name), dims=name)
        return u[level]
    L, corr, sd = pm.LKJCholeskyCov(
        f"chol_{name}",
        n=len(effects),
        eta=spec["priors"]["corr"]["arguments"]["eta"],
        sd_dist=sd_distribution.dist(**sd_prior["arguments"], shape=len(effects)),
        store_in_trace=False,
    )
    pm.Deterministic(f"sd_{name}", sd, dims=f"{name}_effect")
    pm.Deterministic(f"corr_{name}", corr, dims=(f"{name}_effect", f"{name}_effect_bis"))
    dims = (name, f"{name}_effect")
    u = pm.Deterministic(f"u_{name}", pm.Normal(f"raw_{name}", dims=dims) @ L.T, dims=dims)
    return u[level, 0] + (u[level, 1:] * Z).sum(axis=1)
