"""One fit by bambi, in an environment of its own: `fit_bambi.py SPEC OUT DRAWS SEED CORES`; writes OUT (NetCDF) and .json."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bambi as bmb
import numpy as np
import pandas as pd
import pymc as pm

FAMILIES = {
    "negative_binomial": "negativebinomial",
    "zero_inflated_negative_binomial": "zero_inflated_negativebinomial",
    "ordinal": "cumulative",
}


def build(spec: dict[str, Any], data: pd.DataFrame) -> bmb.Model:
    def prior(block: str, **more: Any) -> bmb.Prior:
        chosen = spec["priors"][block]
        return bmb.Prior(chosen["distribution"], **chosen["arguments"], **more)

    family = spec["family"]
    response = "p(y, n)" if family == "binomial" else "y"
    priors: dict[str, Any] = {f"x{j}": prior("beta") for j in range(1, len(spec["coefficients"]) + 1)}
    priors |= {f"1|g{g}": bmb.Prior("Normal", mu=0, sigma=prior("sd")) for g in range(1, len(spec["groups"]) + 1)}
    priors |= {name: prior(block) for name, block in {"alpha": "alpha", "psi": "zi"}.items() if block in spec["priors"]}
    if family == "ordinal":
        data["y"] = pd.Categorical(data["y"], ordered=True)
        start = np.linspace(-2, 2, len(spec["cutpoints"]))
        priors["threshold"] = prior("cutpoints", transform=pm.distributions.transforms.ordered, initval=start)
    else:
        priors["Intercept"] = prior("Intercept")
    return bmb.Model(
        f"{response} ~ {spec['right_side']}",
        data,
        family=FAMILIES.get(family, family),
        priors=priors,
        categorical=[f"g{g}" for g in range(1, len(spec["groups"]) + 1)],
        auto_scale=False,
        center_predictors=False,
    )


def main(spec: str, out: str, draws: str, seed: str, cores: str) -> None:
    gradients = 0

    def count(trace: Any, draw: Any) -> None:
        nonlocal gradients
        gradients += sum(int(stats["tree_size"]) for stats in draw.stats)

    model = build(json.loads(Path(spec).read_text()), pd.read_csv(Path(spec).with_name("data.csv")))
    began = time.perf_counter()
    tree = model.fit(int(draws), chains=4, cores=int(cores), random_seed=int(seed), progressbar=False, callback=count)
    sample = float(tree["posterior"].attrs["sampling_time"])
    compile_s = time.perf_counter() - began - sample
    tree.to_netcdf(out, engine="h5netcdf")
    facts = {
        "compile_s": compile_s,
        "sample_s": sample,
        "gradients": gradients,
        "divergences": int(tree["sample_stats"]["diverging"].sum()),
        "version": f"bambi {version('bambi')}",
    }
    Path(out).with_suffix(".json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
