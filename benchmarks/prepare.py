"""The peers' input: each posterior as a table of coded columns and a description that no tool's formula is needed for.

The columns are those of our own design (factors coded, sums formed), under plain names: y, n (trials), offset, x1, x2, ...
(coefficients), g1, ... (levels of a factor), g1z1, ... (covariates of its effects after the intercept), s1z1, ... (the
penalised part of a smooth, whose variable is there too), w1, ... (the probability of never being at risk). Making them is
in nobody's time, which favours the peers: ours reads the raw data.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import fit_zoo
import numpy as np
import pandas as pd
from fit_zoo import REFERENCES

from glmm_zoo.plans.groups import groups_of

POSTERIORS = {reference.file: reference for reference in REFERENCES if reference.benchmark}
FAMILIES = {
    "hierarchical_logistic": "binomial",
    "stepped_wedge": "binomial",
    "poisson": "poisson",
    "negative_binomial": "negative_binomial",
    "zero_inflated_negative_binomial": "zero_inflated_negative_binomial",
    "ordinal": "ordinal",
    "never_at_risk": "never_at_risk",
}


def prepare(name: str, folder: Path) -> dict[str, Any]:
    """Write `folder`/data.csv and `folder`/spec.json; returns the latter."""
    reference, model = POSTERIORS[name], fit_zoo.build(name)
    (outcome,) = model.observed_RVs
    linear = model.linear[""]
    keep = [i for i, (rv, _) in enumerate(linear.elements) if rv != "Intercept"]
    columns: dict[str, np.ndarray] = {"y": model.rvs_to_values[outcome].get_value().astype(int)}
    columns |= {f"x{j}": linear.design[:, i] for j, i in enumerate(keep, 1)}
    smooths = _smooths(model, columns)
    lines = {smooth["linear"] for smooth in smooths}  # brms makes them itself
    terms = [f"x{j}" for j, i in enumerate(keep, 1) if linear.elements[i][0] not in lines]
    terms += [smooth["term"] for smooth in smooths]
    family = FAMILIES[reference.builder]
    if trials := re.search(r"trials\((\w+)\)", reference.formula):
        columns["n"] = model.frame.columns[trials[1]].values.astype(int)
    elif family == "binomial":
        family = "bernoulli"
    if linear.offset is not None:
        columns["offset"] = linear.offset
        terms.append("offset(offset)")
    groups = []
    for g, group in enumerate(groups_of(model.predictors), 1):
        columns[f"g{g}"] = group.factor.codes + 1
        covariates = [f"g{g}z{k}" for k in range(1, len(group.labels))]
        columns |= dict(zip(covariates, group.z[1:], strict=True))
        terms.append(f"({' + '.join(['1', *covariates])} | g{g})")
        groups.append({"name": group.dim, "effects": list(group.labels), "columns": covariates})
    if "never" in model.linear:
        design = model.linear["never"].design[:, 1:][columns["g1"] - 1]
        columns |= {f"w{j}": w for j, w in enumerate(design.T, 1)}

    def names(prefix: str, elements: list[tuple[str, int]]) -> list[str]:
        """Elements as ArviZ names them: `beta[age]`, or `effect`."""
        labels = model.coords.get(f"{prefix}coef", ())
        return [f"{rv}[{labels[i]}]" if rv == f"{prefix}beta" else rv for rv, i in elements]

    spec = {
        "name": name,
        "family": family,
        "right_side": " + ".join(terms),
        "coefficients": names("", [linear.elements[i] for i in keep]),
        "never": names("never_", model.linear["never"].elements[1:]) if "never" in model.linear else [],
        "cutpoints": list(model.coords.get("cutpoint", ())),
        "groups": groups,
        "smooths": smooths,
        "priors": _priors(model),
    }
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(folder / "data.csv", index=False)
    (folder / "spec.json").write_text(json.dumps(spec, indent=1, ensure_ascii=False))
    return spec


def _smooths(model: Any, columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Smooths of one variable with one sd; their columns are added."""
    (predictor, *_) = model.predictors
    smooths = []
    parts = zip(predictor.smooths, predictor.formula.smooths, model.linear[""].smooth_weights, strict=True)
    for s, (smooth, term, curves) in enumerate(parts, 1):
        (variable,) = smooth.variables
        penalised = {f"s{s}z{k}": z for k, z in enumerate(smooth.penalised.T, 1)}
        columns |= {variable: model.frame.columns[variable].values, **penalised}
        linear = f"{curves.sd.removesuffix('_sd')}_linear"
        smooths.append(
            {"variable": variable, "term": term.source, "linear": linear, "sd": curves.sd, "columns": list(penalised)}
        )
    return smooths


def _priors(model: Any) -> dict[str, dict[str, Any]]:
    """Distribution and arguments by block: Intercept, beta, sd, corr, alpha, zi, cutpoints, never_Intercept, never_beta."""
    blocks: dict[str, dict[str, Any]] = {}
    for key, priors in model.chosen.items():
        block = key.split("_")[0] if key.startswith(("sd_", "corr_")) else key.replace("effect", "beta")
        for prior in priors:
            content = {"distribution": prior.distribution, "arguments": dict(prior.arguments)}
            if blocks.setdefault(block, content) != content:
                raise ValueError(f"priors of {block} differ: {blocks[block]}, {content}; the peers' scripts take one")
    return blocks
