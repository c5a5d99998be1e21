"""What late entry costs in a joint model: microseconds of processor for the density and its gradient, with late entry and without.

    python benchmarks/joint_costs.py                    gradients: `pbc`, and 243 subjects of whom 242 entered late
    python benchmarks/joint_costs.py fit                fits 60 subjects whose time is their age: seconds of processor, gradients, draws

Simulated subjects enter at ages from 50 to 62, have a visit each year and two effects, and die at a rate that follows their marker. Times
of gradients are the least of 30 repetitions.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import pandas as pd

import glmm_zoo as zoo
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.results.storage import metadata

TIMES, AT_ONCE = 30, 20


def by_age(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits and events of n subjects who were alive at their entry."""
    rng, visits, events = np.random.default_rng(seed), [], []
    grid = np.linspace(0.0, 30.0, 3001)
    while len(events) < n:
        u = np.array([0.8, 0.05]) * rng.normal(size=2)
        eta = 1.0 + u[0] + (0.06 + u[1]) * grid
        H = np.cumsum(np.exp(-5.5 + 0.05 * grid + 0.8 * eta)) * grid[1]
        died = grid[min(np.searchsorted(H, rng.exponential()), 3000)]
        entry = rng.uniform(0.0, 12.0) if events else 0.0
        if died <= entry:
            continue
        stop = min(died, entry + rng.uniform(3.0, 8.0))
        at = np.arange(entry, stop, 1.0)
        y = np.interp(at, grid, eta) + rng.normal(0, 0.3, len(at))
        visits.append(pd.DataFrame({"id": len(events), "age": 50 + at, "y": y}))
        events.append((len(events), 50 + entry, 50 + stop, int(died == stop)))
    return pd.concat(visits, ignore_index=True), pd.DataFrame(events, columns=["id", "entry", "end", "death"])


def model_by_age(n: int, seed: int, late: bool = True, **options: Any) -> zoo.Model:
    visits, events = by_age(n, seed)
    if late:
        event = "Surv(entry, end, death) ~ 1"
    else:
        event, visits, events = (
            "Surv(end, death) ~ 1",
            visits.assign(age=visits.age - 50),
            events.assign(end=events.end - 50),
        )
    return zoo.joint_survival(visits, events, "y ~ age + (1 + age | id)", event=event, time="age", **options)


def microseconds(model: zoo.Model) -> float:
    compiled = compile_model(*parameterize(model, "auto"))
    assert compiled.program is not None, "not in machine code"
    x, out, times = compiled.start, np.zeros(compiled.size), []
    assert np.isfinite(compiled.program(x, out))
    for _ in range(TIMES):
        began = time.process_time_ns()
        for _ in range(AT_ONCE):
            compiled.program(x, out)
        times.append((time.process_time_ns() - began) / AT_ONCE / 1000)
    return min(times)


def main() -> None:
    if sys.argv[1:] == ["fit"]:
        model, began = model_by_age(60, 3), time.process_time()
        tree = zoo.fit(model, seed=1, progress=False)
        seconds, table = time.process_time() - began, zoo.summary(tree)
        print(table.to_string())
        least = table[["ess_bulk", "ess_tail"]].min().min()
        print(
            f"{seconds:.1f} s of processor, {metadata(tree)['sampling']['gradients']} gradients, {least:.0f} effective draws or more"
        )
        return
    pbc = zoo.card("pbc").model()
    print(f"pbc: {microseconds(pbc):.0f} us")
    for baseline in ("bspline", "weibull", "piecewise"):
        without, late = (microseconds(model_by_age(243, 2, late, baseline=baseline)) for late in (False, True))
        print(f"{baseline}: {without:.0f} us without, {late:.0f} us with late entry, {late / without:.1f} times")


if __name__ == "__main__":
    main()
