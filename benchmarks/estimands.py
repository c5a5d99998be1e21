"""Seconds and peak memory of predictions of 10,000 distinct rows with 1000 draws: `python benchmarks/estimands.py`.

The model is a logistic one with a random intercept (sd 1), so that every row and draw is an integral. The draws are made, not sampled.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTENSOR_FLAGS": "mode=FAST_COMPILE"}

import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hand_made_trees import tree_of

import glmm_zoo as zoo

ROWS, CHAINS, DRAWS = 10_000, 4, 250


def peak() -> float:
    """Largest resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=ROWS), "g": np.arange(ROWS) % 100, "y": np.arange(ROWS) % 2})
    model = zoo.hierarchical_logistic(data, "y ~ x + (1 | g)")
    shape = (CHAINS, DRAWS)
    tree = tree_of(
        model,
        {
            "Intercept": rng.normal(-1, 0.1, shape), "beta": rng.normal(0.5, 0.1, (*shape, 1)), "sd_g": np.ones((*shape, 1)),
            "u_g": rng.normal(0, 1, (*shape, 100, 1)),
        },
    )  # fmt: skip
    print(f"before: {peak():.2f} GB")
    for name, ask in {
        "predictions, average": lambda: zoo.predictions(tree, by=True),
        "comparisons": lambda: zoo.comparisons(tree, "x"),
        "slopes": lambda: zoo.slopes(tree, "x"),
        "predictions, each row": lambda: zoo.predictions(tree),
    }.items():
        start = time.perf_counter(), time.process_time()
        ask()
        print(
            f"{name}: {time.perf_counter() - start[0]:.1f} s, {time.process_time() - start[1]:.1f} s of CPU, peak {peak():.2f} GB"
        )


if __name__ == "__main__":
    main()
