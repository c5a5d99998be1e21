"""A posterior's reference by plain PyMC, where no fit of another program is kept: `fit_reference.py NAME...` writes tests/references/.

The model is that of `plain_pymc.py`, sampled by nutpie: 4 chains, warm-up 2000, 5000 draws each, target_accept 0.9, seed 1. Density,
coordinates and compiler are none of ours; PyMC's own NUTS is compared with it by the benchmark.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import evaluate
import nutpie
import plain_pymc
from arviz_stats.base import array_stats
from prepare import POSTERIORS, prepare

HERE = Path(__file__).parent
CHAINS, WARMUP, DRAWS, TARGET = 4, 2000, 5000, 0.9


def main(name: str) -> None:
    reference, folder = POSTERIORS[name], HERE / "work" / name
    spec = prepare(name, folder)
    model = plain_pymc.build(*plain_pymc.read(folder / "spec.json"))
    options = {"chains": CHAINS, "tune": WARMUP, "target_accept": TARGET, "seed": 1, "progress_bar": False}
    tree = nutpie.sample(nutpie.compile_pymc_model(model), draws=DRAWS, save_warmup=False, **options)
    out = folder / "reference.nc"
    tree.to_netcdf(out, engine="h5netcdf")
    draws = evaluate.read("pymc", out, spec).population
    parameters, rhats = {}, []
    for theirs, ours in reference.names.items():
        x = draws[ours]
        of_mean, of_sd = (array_stats.mcse(x, chain_axis=0, draw_axis=1, method=method) for method in ("mean", "sd"))
        about = {"mean": x.mean(), "sd": x.std(ddof=1), "mcse_mean": of_mean, "mcse_sd": of_sd}
        parameters[theirs] = {what: float(f"{float(value):.6g}") for what, value in about.items()}
        rhats.append(float(array_stats.rhat(x, chain_axis=0, draw_axis=1)))
    record = {
        "peer": f"PyMC {version('pymc')}, sampled by nutpie {version('nutpie')}",
        "data": reference.data,
        "model": f"the plain, non-centred model of benchmarks/plain_pymc.py: {spec['family']}, y ~ {spec['right_side']}",
        "design": f"x1, ... are {', '.join(spec['coefficients'])}, not centred; groups {_groups(spec)}",
        "priors": [
            f"{block} ~ {p['distribution']}({_arguments(p['arguments'])})" for block, p in spec["priors"].items()
        ],
        "sampler": {"chains": CHAINS, "warmup": WARMUP, "draws_per_chain": DRAWS, "seed": 1, "target_accept": TARGET},
        "divergences": int(tree["sample_stats"]["diverging"].sum()),
        "max_rhat": round(max(rhats), 5),
        "parameters": parameters,
    }
    (HERE.parent / "tests" / "references" / f"{name}.json").write_text(_text(record))


def _groups(spec: dict) -> str:
    return ", ".join(f"g{g} {group['name']}" for g, group in enumerate(spec["groups"], 1)) or "none"


def _arguments(arguments: dict[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in arguments.items())


def _text(record: dict) -> str:
    """JSON with a line for each field, and for each parameter."""

    def joined(fields: dict, indent: str) -> str:
        lines = [f"{indent}{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
        return ",\n".join(lines)

    above = {key: value for key, value in record.items() if key != "parameters"}
    return f'{{\n{joined(above, " ")},\n "parameters": {{\n{joined(record["parameters"], "  ")}\n }}\n}}\n'


if __name__ == "__main__":
    for name in sys.argv[1:]:
        main(name)
