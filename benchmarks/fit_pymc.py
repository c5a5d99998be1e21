"""One fit by plain PyMC: `fit_pymc.py pymc|nutpie SPEC OUT DRAWS SEED CORES`; writes OUT (NetCDF) and .json."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import plain_pymc
import pymc as pm


def by_pymc(model: pm.Model, draws: int, seed: int, cores: int) -> tuple[Any, dict[str, Any]]:
    gradients = 0

    def count(trace: Any, draw: Any) -> None:
        nonlocal gradients
        gradients += sum(int(stats["tree_size"]) for stats in draw.stats)

    began = time.perf_counter()
    tree = pm.sample(
        draws,
        chains=4,
        cores=cores,
        random_seed=seed,
        model=model,
        nuts_sampler="pymc",
        progressbar=False,
        callback=count,
    )
    sample = float(tree["posterior"].attrs["sampling_time"])
    return tree, {
        "compile_s": time.perf_counter() - began - sample,
        "sample_s": sample,
        "gradients": gradients,
        "version": f"pymc {version('pymc')}",
    }


def by_nutpie(model: pm.Model, draws: int, seed: int, cores: int) -> tuple[Any, dict[str, Any]]:
    import nutpie

    began = time.perf_counter()
    compiled = nutpie.compile_pymc_model(model)
    ready = time.perf_counter()
    tree = nutpie.sample(compiled, draws=draws, chains=4, cores=cores, seed=seed, progress_bar=False)
    return tree, {
        "compile_s": ready - began,
        "sample_s": time.perf_counter() - ready,
        "gradients": int(sum(tree[group]["n_steps"].sum() for group in ("warmup_sample_stats", "sample_stats"))),
        "version": f"nutpie {version('nutpie')}",
    }


def main(sampler: str, spec: str, out: str, draws: str, seed: str, cores: str) -> None:
    model = plain_pymc.build(*plain_pymc.read(Path(spec)))
    tree, facts = {"pymc": by_pymc, "nutpie": by_nutpie}[sampler](model, int(draws), int(seed), int(cores))
    tree.to_netcdf(out, engine="h5netcdf")
    facts["divergences"] = int(tree["sample_stats"]["diverging"].sum())
    Path(out).with_suffix(".json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
