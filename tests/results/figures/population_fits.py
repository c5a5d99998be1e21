"""Small fits without sampling, whose populations are drawn, with names that a stranger might give."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from hand_made_trees import tree_of

import glmm_zoo as zoo
from glmm_zoo.errors import ZooWarning

HOSTILE = ("<script>alert(1)</script>", "$x_1$ & {y}", "a level whose name goes on and on, far beyond what has room")
SHAPE = (2, 100)


def build(builder: Any, *arguments: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)  # few groups, few levels
        return builder(*arguments, **options)


def around(*centres: float, sd: float = 0.2, seed: int = 1) -> np.ndarray:
    """Draws (*SHAPE, n) around these values."""
    return np.asarray(centres) + sd * np.random.default_rng(seed).normal(size=(*SHAPE, len(centres)))


def correlated(factor: str, groups: int) -> dict[str, np.ndarray]:
    """Two correlated effects of each group."""
    rho = 0.5 + 0.1 * np.random.default_rng(9).uniform(-1, 1, SHAPE)
    matrix = np.ones((*SHAPE, 2, 2))
    matrix[..., 0, 1] = matrix[..., 1, 0] = rho
    effects = around(*np.linspace(-1, 1, 2 * groups)).reshape(*SHAPE, groups, 2)
    return {f"sd_{factor}": around(1.0, 0.5, sd=0.05), f"corr_{factor}": matrix, f"u_{factor}": effects}


@functools.cache
def herds(levels: tuple[str, ...] = ("1", "2", "3", "4")) -> xr.DataTree:
    """Counts of events in ten herds at each level of `period`."""
    rng, k = np.random.default_rng(2), len(levels)
    data = pd.DataFrame({"period": np.repeat(levels, 10), "herd": [f"h{i}" for i in range(10)] * k})
    data["n"] = rng.integers(5, 40, len(data))
    data["y"] = rng.binomial(data["n"], 0.2)
    model = build(zoo.hierarchical_logistic, data, "y | trials(n) ~ C(period) + (1 | herd)")
    values = {
        "Intercept": around(-1.4)[..., 0], "sd_herd": 0.5 + np.abs(around(0.1)), "u_herd": around(*[0.0] * 10)[..., None],
        **({"beta": around(*np.linspace(-0.5, -1.5, k - 1))} if k > 1 else {}),
    }  # fmt: skip
    return tree_of(model, values)


@functools.cache
def growth(levels: tuple[str, ...] = ("a", "b")) -> xr.DataTree:
    """A measurement, which may be negative, at six times in twelve subjects of each arm, with slopes of their own."""
    rng = np.random.default_rng(3)
    subject = np.arange(12 * len(levels)).repeat(6)
    data = pd.DataFrame({"time": np.tile(np.arange(6.0), 12 * len(levels)), "subject": [f"s{i}" for i in subject]})
    data["arm"] = [levels[i % len(levels)] for i in subject]
    data["y"] = -3 + 0.5 * data["time"] + rng.normal(0, 1, len(data))
    model = build(zoo.hierarchical_linear, data, "y ~ arm * time + (1 + time | subject)")
    k, n = len(levels), 12 * len(levels)
    return tree_of(
        model,
        {
            "Intercept": around(-3.0)[..., 0], "beta": around(*[0.5] * (2 * k - 1), sd=0.1), "sigma": 1 + 0 * around(0.0)[..., 0],
            **correlated("subject", n), **{f"{name}_at_means": v for name, v in correlated("subject", n).items()},
        },
    )  # fmt: skip


@functools.cache
def calls(formula: str = "y ~ fed + time + (1 | nest)") -> xr.DataTree:
    """Counts with more zeros."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"fed": ["no", "yes"] * 40, "time": rng.uniform(0, 9, 80), "nest": np.repeat(np.arange(8), 10)})
    data["y"] = rng.poisson(3, 80) * rng.binomial(1, 0.6, 80)
    data["days"] = rng.integers(1, 4, 80)
    model = build(zoo.zero_inflated_poisson, data, formula, zi="~ fed")
    return tree_of(
        model,
        {
            "Intercept": around(1.0)[..., 0], "beta": around(-0.4, 0.02, sd=0.05), "sd_nest": 0.3 + 0 * around(0.0),
            "u_nest": around(*[0.0] * 8)[..., None], "zi_Intercept": around(-0.5)[..., 0], "zi_beta": around(0.6),
        },
    )  # fmt: skip


@functools.cache
def ratings(levels: tuple[str, ...] = ("cold", "warm")) -> xr.DataTree:
    """Four ordered categories."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"temp": np.tile(levels, 30), "judge": np.repeat(np.arange(6), 5 * len(levels))})
    data["y"] = rng.integers(1, 5, len(data))
    model = build(zoo.ordinal, data, "y ~ temp + (1 | judge)")
    return tree_of(
        model,
        {
            "beta": around(*[1.0] * (len(levels) - 1)), "cutpoints": np.sort(around(-1.0, 0.5, 2.0), axis=-1),
            "sd_judge": 0.4 + 0 * around(0.0), "u_judge": around(*[0.0] * 6)[..., None],
        },
    )  # fmt: skip


@functools.cache
def absent() -> xr.DataTree:
    """Subjects who may never be at risk, by `mined`, with different numbers of visits."""
    rng, n = np.random.default_rng(6), 30
    visits = rng.integers(2, 6, n)
    data = pd.DataFrame(
        {"site": np.arange(n).repeat(visits), "mined": np.where(np.arange(n) % 2, "yes", "no").repeat(visits)}
    )
    data["y"] = rng.poisson(1.5, len(data)) * rng.binomial(1, 0.5, n).repeat(visits)
    model = build(zoo.never_at_risk, data, "y ~ mined + (1 | site)", subject="site", never="~ mined")
    zeros = len(model.spec["facts"]["all_zero"]["rows"])
    share = np.random.default_rng(10).uniform(0, 1, (*SHAPE, zeros))
    return tree_of(
        model,
        {
            "Intercept": around(0.3)[..., 0], "beta": around(-0.5), "sd_site": 0.4 + 0 * around(0.0),
            "u_site": around(*[0.0] * n)[..., None], "never_Intercept": around(-1.0)[..., 0],
            "never_Intercept_at_means": around(-0.5)[..., 0], "never_beta": around(1.0, seed=2),
            "never_share": 0.3 + 0 * around(0.0)[..., 0], "never_all_zero": 9 + 0 * around(0.0)[..., 0], "never_probability": share,
        },
    )  # fmt: skip


@functools.cache
def two_outcomes() -> xr.DataTree:
    """Whether there is a complaint, and a measurement, in twenty patients under two arms, with correlated effects."""
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"id": np.arange(20).repeat(4), "arm": np.where(np.arange(20) % 2, "new", "old").repeat(4)})
    data["ill"], data["weight"] = rng.binomial(1, 0.4, 80), rng.normal(70, 5, 80)
    pairs = [("ill ~ arm + (1 |p| id)", "bernoulli"), ("weight ~ arm + (1 |p| id)", "gaussian")]
    return tree_of(
        build(zoo.joint_outcomes, data, pairs),
        {
            "ill_Intercept": around(-0.5)[..., 0], "ill_beta": around(0.4), "weight_Intercept": around(70.0)[..., 0],
            "weight_beta": around(-2.0), "weight_sigma": 5 + 0 * around(0.0)[..., 0], **correlated("id", 20),
        },
    )  # fmt: skip


@functools.cache
def curve() -> xr.DataTree:
    """A smooth curve of x."""
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"x": np.linspace(0, 1, 60), "g": np.arange(60) % 6})
    data["y"] = np.sin(6 * data["x"]) + rng.normal(0, 0.3, 60)
    return tree_of(
        build(zoo.hierarchical_linear, data, "y ~ s(x) + (1 | g)"),
        {
            "Intercept": around(0.0)[..., 0], "s_x_linear": around(0.5)[..., 0], "s_x_sd": 1 + 0 * around(0.0)[..., 0],
            "s_x_weights": around(*np.linspace(-1, 1, 8)), "sd_g": 0.3 + 0 * around(0.0), "u_g": around(*[0.0] * 6)[..., None],
            "sigma": 0.3 + 0 * around(0.0)[..., 0],
        },
    )  # fmt: skip
