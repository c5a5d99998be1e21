"""How cost grows: simulated logistic data with a random intercept and slope, each size in a process of its own.

    python benchmarks/growth.py                                  the table, to growth.csv
    python benchmarks/growth.py --rows 1000000 --groups 100000 --sample --draws 400 --tune 300    one size, and a fit
    python benchmarks/growth.py --fits 10000         whole fits up to so many rows, with lme4 and glmmTMB, to growth_fits.csv

Seconds of build (table to model), of the reference pass, of compiling and of 1000 gradients on one core; peak memory of
the process, the data included.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
SIZES = [
    (rows, groups) for rows in (10**3, 10**4, 10**5, 10**6) for groups in (10, 10**3, 10**5) if groups <= rows / 10
]
FORMULA = "y ~ a + b + c + t + (1 + t | g)"


def simulated(rows: int, groups: int) -> pd.DataFrame:
    """logit P(y) = -0.5 + 0.3 a - 0.2 b + 0.1 c + 0.5 t + u_g + v_g t; sd(u) = 1, sd(v) = 0.5, correlation 0.4."""
    rng = np.random.default_rng(1)
    g = rng.integers(0, groups, rows)
    X = rng.normal(size=(rows, 4))
    u = rng.multivariate_normal([0, 0], [[1, 0.2], [0.2, 0.25]], groups)
    eta = -0.5 + X @ [0.3, -0.2, 0.1, 0.5] + u[g, 0] + u[g, 1] * X[:, 3]
    y = (rng.uniform(size=rows) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"y": y, **dict(zip("abct", X.T, strict=True)), "g": g})


PEERS = {  # R: data d, formula f -> a fit
    "lme4": "lme4::glmer(f, d, binomial)",
    "glmmTMB": "glmmTMB::glmmTMB(f, d, binomial)",
}


def fits(most: int, path: Path) -> None:
    """Whole fits of ten rows a group at defaults, each in a process of its own: processor seconds and peak memory of ours, with what its
    draws are worth, and of maximum likelihood."""
    with path.open("w", newline="") as file, tempfile.TemporaryDirectory() as folder:
        fields = ("rows", "groups", "tool", "cpu_s", "memory_gb", "ess", "r_hat", "gradients")
        writer = csv.DictWriter(file, fields, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for rows in (r for r in (10**3, 10**4, 10**5, 10**6) if r <= most):
            groups, table = rows // 10, Path(folder) / "d.csv"
            simulated(rows, groups).to_csv(table, index=False)
            ours = [sys.executable, __file__, "--rows", str(rows), "--groups", str(groups), "--sample"]
            r = f'd <- read.csv("{table}"); d$g <- factor(d$g); f <- {FORMULA}; print('
            for tool, command in {
                "ours": ours,
                **{p: ["Rscript", "-e", f"{r}{call})"] for p, call in PEERS.items()},
            }.items():
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                assert process.stdout is not None
                told = process.stdout.read()
                _, status, used = os.wait4(process.pid, 0)
                if status:
                    sys.exit(f"{tool} failed with {rows} rows")
                line = {"rows": rows, "groups": groups, "tool": tool, "cpu_s": round(used.ru_utime + used.ru_stime, 1)}
                line |= {"memory_gb": round(used.ru_maxrss / 2**20, 2)}
                line |= json.loads(told.splitlines()[-1]) if tool == "ours" else {}
                writer.writerow(line)
                file.flush()
                print(line, flush=True)


def gigabytes() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def measure(rows: int, groups: int, sample: dict[str, int] | None) -> dict[str, float]:
    import glmm_zoo as zoo
    from glmm_zoo.inference.compile import compile_model
    from glmm_zoo.inference.parameterization import parameterize

    zoo.hierarchical_logistic(simulated(100, 5), FORMULA)  # imports what building needs
    data = simulated(rows, groups)
    measured: dict[str, float] = {"rows": rows, "groups": groups}

    def timed(name: str, began: float) -> None:
        measured[name] = round(time.perf_counter() - began, 3)

    began = time.perf_counter()
    model = zoo.hierarchical_logistic(data, FORMULA)
    timed("build_s", began)
    if sample is not None:
        began = time.perf_counter()
        tree = zoo.fit(model, seed=1, progress=False, **sample)
        timed("fit_s", began)
        table, about = zoo.summary(tree), json.loads(tree.attrs["glmm_zoo"])
        measured |= {
            "r_hat": round(table["r_hat"].max(), 4),
            "ess": round(table[["ess_bulk", "ess_tail"]].min().min()),
            "gradients": about["sampling"]["gradients"],
            "divergences": int(tree["sample_stats"]["diverging"].sum()),
            "memory_gb": gigabytes(),
        }
        print(table.to_string(), zoo.check(tree), *about["spec"]["notes"], sep="\n", file=sys.stderr)
        return measured
    began = time.perf_counter()
    parameterized, start = parameterize(model, "auto")
    timed("pass_s", began)
    began = time.perf_counter()
    compiled = compile_model(parameterized, start)
    timed("compile_s", began)
    x, many = compiled.start, max(5, 10**7 // rows)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(many):
            compiled.value_and_gradient(x)
        times.append((time.perf_counter() - began) / many)
    return {**measured, "thousand_gradients_s": round(1000 * min(times), 4), "memory_gb": gigabytes()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int)
    parser.add_argument("--groups", type=int)
    parser.add_argument("--sample", action="store_true", help="fit it too")
    parser.add_argument("--draws", type=int)
    parser.add_argument("--tune", type=int)
    parser.add_argument("--fits", type=int, metavar="ROWS", help="whole fits up to so many rows, with lme4 and glmmTMB")
    given = parser.parse_args()
    if given.fits:
        fits(given.fits, HERE / "growth_fits.csv")
        return
    if given.rows:
        settings = {name: value for name in ("draws", "tune") if (value := getattr(given, name))}
        print(json.dumps(measure(given.rows, given.groups, settings if given.sample else None)))
        return
    with (HERE / "growth.csv").open("w", newline="") as file:
        writer = None
        for rows, groups in SIZES:
            command = [sys.executable, __file__, "--rows", str(rows), "--groups", str(groups)]
            line = json.loads(
                subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
            )
            writer = writer or csv.DictWriter(file, line)
            if rows == SIZES[0][0] and groups == SIZES[0][1]:
                writer.writeheader()
            writer.writerow(line)
            file.flush()
            print(line)


if __name__ == "__main__":
    main()
