"""What a row costs: nanoseconds for a row's density and gradient of every family, and how many times a negative binomial's that is.

    python benchmarks/row_costs.py                      all; seconds each
    python benchmarks/row_costs.py beta_binomial        those whose names begin so

Simulated data of 10,000 rows, `y ~ x + (1 | g)` with 100 groups. Each family is timed in turn with the negative binomial, by
processor time, the least of 30 repetitions; compiled code is for the processor at hand.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

import glmm_zoo as zoo
from glmm_zoo.inference.compile import compile_model

ROWS, GROUPS, TIMES, AT_ONCE = 10_000, 100, 30, 10
RNG = np.random.default_rng(1)
G, X = np.sort(RNG.integers(0, GROUPS, ROWS)), RNG.normal(size=ROWS)
ETA = 0.4 * X + RNG.normal(0, 0.5, GROUPS)[G]
P = 1 / (1 + np.exp(-ETA))
N = RNG.integers(1, 31, ROWS)
SHARE = np.clip(RNG.beta(5 * P, 5 * (1 - P)), 1e-9, 1 - 1e-9)
REAL, POSITIVE = ETA + RNG.standard_t(5, ROWS), np.exp(ETA) * RNG.gamma(2.0, 0.5, ROWS)
ENDS = np.where(RNG.random(ROWS) < 0.1, 0.0, np.where(RNG.random(ROWS) < 0.1, 1.0, SHARE))
RIGHT = "(1 | g)"


def counts(mean: float) -> np.ndarray:
    return RNG.negative_binomial(2, 2 / (2 + mean * np.exp(ETA)))


def near_poisson(mean: float) -> np.ndarray:
    return RNG.poisson(mean * np.exp(0.3 * X))


def limited(y: np.ndarray) -> pd.DataFrame:
    """A third beyond a limit, to the left or to the right."""
    low, high = np.quantile(y, [0.15, 0.85])
    return pd.DataFrame({"y": np.clip(y, low, high), "c": np.where(y < low, -1, np.where(y > high, 1, 0))})


def limited_by_row(y: np.ndarray) -> pd.DataFrame:
    """A third beyond limits that are wherever they were counted."""
    return pd.DataFrame({"y": y, "c": RNG.choice([-1, 0, 0, 0, 0, 1], ROWS)})


def case(
    build: Callable[..., object], y: np.ndarray | pd.DataFrame, left: str = "y", right: str = "", **options: object
) -> Callable:
    table = pd.DataFrame(y) if isinstance(y, pd.DataFrame) else pd.DataFrame({"y": y})
    return lambda: build(
        table.assign(x=X[: len(table)], g=G[: len(table)], n=N[: len(table)]), f"{left} ~ x + (1 | g){right}", **options
    )


CASES: dict[str, Callable] = {
    "negative_binomial": case(zoo.negative_binomial, counts(3.0)),
    "negative_binomial, mean 30": case(zoo.negative_binomial, counts(30.0)),
    "negative_binomial, dispersion": case(zoo.negative_binomial, counts(3.0), dispersion="~ x"),
    "hierarchical_linear": case(zoo.hierarchical_linear, REAL),
    "poisson": case(zoo.poisson, near_poisson(3.0)),
    "hierarchical_logistic": case(zoo.hierarchical_logistic, RNG.binomial(N, P), "y | trials(n)"),
    "zero_inflated_negative_binomial": case(zoo.zero_inflated_negative_binomial, counts(3.0)),
    "hurdle_negative_binomial": case(zoo.hurdle_negative_binomial, counts(3.0)),
    "beta_binomial": case(zoo.beta_binomial, RNG.binomial(N, SHARE), "y | trials(n)"),
    "beta_binomial, dispersion": case(zoo.beta_binomial, RNG.binomial(N, SHARE), "y | trials(n)", dispersion="~ x"),
    "beta_binomial, 500 trials": case(zoo.beta_binomial, RNG.binomial(500, SHARE), "y | trials(500)"),
    "gamma": case(zoo.gamma, POSITIVE),
    "gamma, dispersion": case(zoo.gamma, POSITIVE, dispersion="~ x"),
    "lognormal": case(zoo.lognormal, POSITIVE),
    "lognormal, dispersion": case(zoo.lognormal, POSITIVE, dispersion="~ x"),
    "weibull": case(zoo.weibull, POSITIVE),
    "weibull, dispersion": case(zoo.weibull, POSITIVE, dispersion="~ x + (1 | g)"),
    "weibull, cens": case(zoo.weibull, limited(POSITIVE), "y | cens(c)"),
    "weibull, trunc": case(zoo.weibull, np.maximum(POSITIVE, 0.1), "y | trunc(lb = 0.1)"),
    "student_t": case(zoo.student_t, REAL),
    "beta": case(zoo.beta, SHARE),
    "beta, dispersion": case(zoo.beta, SHARE, dispersion="~ x"),
    "beta, zoi": case(zoo.beta, ENDS, zoi="~ 1"),
    "ordered_beta": case(zoo.ordered_beta, ENDS),
    "ordinal": case(zoo.ordinal, pd.qcut(ETA + RNG.logistic(size=ROWS), 5, labels=False)),
    "categorical": case(zoo.categorical, np.array(["a", "b", "c"])[pd.qcut(ETA + RNG.logistic(size=ROWS), 3, labels=False)]),
    "com_poisson, mean 3": case(zoo.com_poisson, near_poisson(3.0)),
    "com_poisson, mean 30": case(zoo.com_poisson, near_poisson(30.0)),
    "com_poisson, mean 300": case(zoo.com_poisson, near_poisson(300.0)),
    "com_poisson, dispersion": case(zoo.com_poisson, near_poisson(3.0), dispersion="~ x"),
    "hierarchical_linear, cens": case(zoo.hierarchical_linear, limited(REAL), "y | cens(c)"),
    "student_t, cens": case(zoo.student_t, limited(REAL), "y | cens(c)"),
    "gamma, cens": case(zoo.gamma, limited(POSITIVE), "y | cens(c)"),
    "poisson, cens": case(zoo.poisson, limited(near_poisson(10.0)), "y | cens(c)"),
    "negative_binomial, cens": case(zoo.negative_binomial, limited(counts(10.0)), "y | cens(c)"),
    "student_t, trunc": case(zoo.student_t, np.maximum(REAL, -2.0), "y | trunc(lb = -2)"),
    "gamma, trunc": case(zoo.gamma, np.maximum(POSITIVE, 0.1), "y | trunc(lb = 0.1)"),
    "poisson, trunc": case(zoo.poisson, np.maximum(near_poisson(3.0), 2), "y | trunc(lb = 2)"),
    "poisson, trunc at 60": case(zoo.poisson, np.minimum(near_poisson(50.0), 60), "y | trunc(ub = 60)"),
    "poisson, limits by row": case(zoo.poisson, limited_by_row(near_poisson(50.0)), "y | cens(c)"),
    "negative_binomial, trunc": case(zoo.negative_binomial, np.maximum(counts(3.0), 2), "y | trunc(lb = 2)"),
    "negative_binomial, trunc at 60": case(zoo.negative_binomial, np.minimum(counts(30.0), 60), "y | trunc(ub = 60)"),
    "negative_binomial, limits by row": case(zoo.negative_binomial, limited_by_row(counts(10.0)), "y | cens(c)"),
    "negative_binomial, limits to 300": case(zoo.negative_binomial, limited_by_row(counts(50.0)), "y | cens(c)"),
    "negative_binomial, dispersion, trunc": case(zoo.negative_binomial, np.maximum(counts(3.0), 2), "y | trunc(lb = 2)", dispersion="~ x"),
}  # fmt: skip


def gradient_of(model: object) -> Callable[[], object]:
    """One call of the density and its gradient near the start."""
    compiled = compile_model(model)  # type: ignore[arg-type]
    assert compiled.program is not None, "not in machine code"
    x, out = compiled.start + np.random.default_rng(2).normal(0, 0.1, compiled.size), np.zeros(compiled.size)
    assert np.isfinite(compiled.program(x, out))
    return lambda: compiled.program(x, out)  # type: ignore[misc]


def nanoseconds(run: Callable[[], object]) -> float:
    began = time.process_time_ns()
    for _ in range(AT_ONCE):
        run()
    return (time.process_time_ns() - began) / (AT_ONCE * ROWS)


def main() -> None:
    reference = gradient_of(CASES["negative_binomial"]())
    for name, build in CASES.items():
        if not name.startswith(tuple(sys.argv[1:] or [""])):
            continue
        run, times = gradient_of(build()), []
        for _ in range(TIMES):
            times.append((nanoseconds(run), nanoseconds(reference)))
        own, of_reference = np.min(times, axis=0)
        print(f"{name:34}{own:8.1f} ns{own / of_reference:8.2f}", flush=True)


if __name__ == "__main__":
    main()
