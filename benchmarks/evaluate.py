"""What a fit is worth: the draws of any tool under our names, their effective sizes, and their distance from the reference.

Population parameters are those that the reference lists: all but the group effects.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats


@dataclass(frozen=True)
class Draws:
    """`population`: (chain, draw) of each parameter as ArviZ names ours; `groups` (chain, draw, m), all group effects."""

    population: Mapping[str, np.ndarray]
    groups: np.ndarray


def read(tool: str, path: Path, spec: Mapping[str, Any]) -> Draws:
    """The draws that a fit saved."""
    if tool == "brms":
        return _renamed(_brms(path), _brms_names(spec), r"r_g\d+\[.*")
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        flat = _flat(tree["posterior"].dataset.load())
    if tool == "bambi":
        draws = _renamed(flat, _bambi_names(spec), r"1\|g\d+\[.*")
        if "psi" in flat:  # PyMC's share of rows that are no structural zeros
            draws = Draws({**draws.population, "zi": 1 - flat["psi"]}, draws.groups)
        return draws
    return _renamed(flat, {} if tool == "zoo" else _pymc_names(spec), r"u_.*")


def _flat(posterior: xr.Dataset) -> dict[str, np.ndarray]:
    """(chain, draw) of every element, named `variable[label, label]`."""
    elements = {}
    for name, v in posterior.data_vars.items():
        dims = v.dims[2:]
        labels = [[str(x) for x in v.coords[d].values] if d in v.coords else range(v.sizes[d]) for d in dims]
        for at in itertools.product(*(range(v.sizes[d]) for d in dims)):
            where = ", ".join(str(labels[k][i]) for k, i in enumerate(at))
            elements[f"{name}[{where}]" if dims else str(name)] = v.values[(..., *at)]
    return elements


def _brms(path: Path) -> dict[str, np.ndarray]:
    description = json.loads(path.with_suffix(".names.json").read_text())
    values = np.fromfile(path.with_suffix(".bin")).reshape(description["shape"], order="F")  # draw, chain, variable
    return dict(zip(description["names"], values.transpose(2, 1, 0), strict=True))


def _renamed(flat: Mapping[str, np.ndarray], names: Mapping[str, str], groups: str) -> Draws:
    effects = [v for name, v in flat.items() if re.fullmatch(groups, name)]
    empty = np.empty((*next(iter(flat.values())).shape, 0))
    return Draws({names.get(n, n): v for n, v in flat.items()}, np.stack(effects, axis=-1) if effects else empty)


def _pymc_names(spec: Mapping[str, Any]) -> dict[str, str]:
    labels = itertools.chain(*([(b, name) for name in spec[b]] for b in ("coefficients", "never")))
    variables = {"coefficients": "beta", "never": "never_beta"}
    scalar_sds = {f"sd_{g['name']}": f"sd_{g['name']}[Intercept]" for g in spec["groups"]}
    return {f"{variables[block]}[{name}]": name for block, name in labels} | scalar_sds


def _bambi_names(spec: Mapping[str, Any]) -> dict[str, str]:
    return {
        **{f"x{j}": name for j, name in enumerate(spec["coefficients"], 1)},
        **{f"1|g{g}_sigma": f"sd_{group['name']}[Intercept]" for g, group in enumerate(spec["groups"], 1)},
        **{f"threshold[{k}]": f"cutpoints[{label}]" for k, label in enumerate(spec["cutpoints"])},
    }


def _brms_names(spec: Mapping[str, Any]) -> dict[str, str]:
    names = {
        "b_Intercept": "Intercept",
        "shape": "alpha",
        **{f"b_x{j}": name for j, name in enumerate(spec["coefficients"], 1)},
        **{f"b_Intercept[{k}]": f"cutpoints[{label}]" for k, label in enumerate(spec["cutpoints"], 1)},
        **{f"bs_s{smooth['variable']}_1": smooth["linear"] for smooth in spec["smooths"]},
        **{f"sds_s{smooth['variable']}_1": smooth["sd"] for smooth in spec["smooths"]},
    }
    for g, group in enumerate(spec["groups"], 1):
        effects = list(zip(["Intercept", *group["columns"]], group["effects"], strict=True))
        names |= {f"sd_g{g}__{theirs}": f"sd_{group['name']}[{ours}]" for theirs, ours in effects}
        for (a, first), (b, second) in itertools.combinations(effects, 2):
            names[f"cor_g{g}__{a}__{b}"] = f"corr_{group['name']}[{first}, {second}]"
    return names


def worth(draws: Draws, names: Mapping[str, str], reference: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Worst effective sizes, and the largest |z| of means against the reference with the parameter it is found at.

    z = (mean - reference mean) / sqrt(sum of the two squared Monte Carlo errors).

    Raises
    ------
    KeyError
        A parameter of the reference that the draws lack.
    """
    theirs = list(names)
    x = np.stack([draws.population[names[t]] for t in theirs], axis=-1)  # (chain, draw, parameter)
    means, errors = (np.array([reference[t][what] for t in theirs]) for what in ("mean", "mcse_mean"))
    mcse = array_stats.mcse(x, chain_axis=0, draw_axis=1, method="mean")
    z = (x.mean(axis=(0, 1)) - means) / np.hypot(mcse, errors)
    worst = int(np.argmax(np.where(np.isnan(z), np.inf, np.abs(z))))
    judged = {"z_max": abs(float(z[worst])), "z_at": names[theirs[worst]]}
    for method in ("bulk", "tail"):
        judged[f"ess_{method}"] = _least(x, method)
        if draws.groups.shape[-1]:
            judged[f"ess_{method}_groups"] = _least(draws.groups, method)
    return judged


def _least(x: np.ndarray, method: str) -> float:
    """Of the variables of the last axis; NaN where one of them has none. Tails are those of 5 and 95 %, as in Stan."""
    tails = {"prob": (0.05, 0.95)} if method == "tail" else {}
    return float(np.min(array_stats.ess(x, chain_axis=0, draw_axis=1, method=method, **tails)))
