"""The kernel at its boundaries: sizes 0, 1 and 2, extreme values, and points where functions have a kink or change branch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import pytest
import row_models
from pytensor import function
from pytensor.gradient import grad
from rows import ROWS, visits
from scipy import special

import glmm_zoo as zoo
from glmm_zoo.graph.transforms.bent_log import BentLogTransform
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.kernel.density import GraphCompiler
from glmm_zoo.inference.parameterization import parameterize

OPTIONS = {"mode": "FAST_COMPILE", "on_unused_input": "ignore"}


@dataclass(frozen=True)
class Density:
    """A model's log density with its gradient as functions of x (n,): the kernel's and PyTensor's."""

    names: list[str]  # of the value variable of each element
    start: np.ndarray
    kernel: Callable[[np.ndarray], tuple[float, np.ndarray]]
    pytensor: Callable[[np.ndarray], tuple[float, np.ndarray]]

    def by_differences(self, x: np.ndarray, step: float = 1e-5) -> np.ndarray:
        steps = step * np.eye(len(x))
        return np.array([(self.kernel(x + e)[0] - self.kernel(x - e)[0]) / (2 * step) for e in steps])


def density_of(model: Any) -> Density:
    point = model.initial_point()
    values = [point[v.name] for v in model.value_vars]
    ends = np.cumsum([np.size(v) for v in values])
    density = model.logp()
    program = GraphCompiler(model.value_vars, [np.shape(v) for v in values]).with_gradient(density)
    peer = function(model.value_vars, [density, *grad(density, model.value_vars)], **OPTIONS)

    def kernel(x: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.zeros(len(x))
        return program(np.ascontiguousarray(x), gradient), gradient

    def pytensor(x: np.ndarray) -> tuple[float, np.ndarray]:
        parts = (p.reshape(np.shape(v)) for p, v in zip(np.split(x, ends[:-1]), values, strict=True))
        value, *gradient = peer(*parts)
        return float(value), np.concatenate([np.ravel(g) for g in gradient])

    names = [v.name for v, x in zip(model.value_vars, values, strict=True) for _ in range(np.size(x))]
    return Density(names, np.concatenate([np.ravel(v) for v in values]).astype(float), kernel, pytensor)


def compare(density: Density, x: np.ndarray) -> None:
    """Value and gradient are PyTensor's and those of differences."""
    value, gradient = density.kernel(x)
    peer, gradient_of_peer = density.pytensor(x)
    np.testing.assert_allclose(value, peer, rtol=1e-9)
    np.testing.assert_allclose(gradient, density.by_differences(x), rtol=1e-4, atol=1e-4 * (1 + 1e-4 * abs(value)))
    smooth = np.isclose(gradient_of_peer, gradient, rtol=1e-7, atol=1e-7)
    assert smooth.all() or (x == 0).any(), (np.array(density.names)[~smooth], gradient, gradient_of_peer)


def check_extremes(density: Density, x: np.ndarray) -> None:
    """With the first element of each variable far out, the density is a number or -inf, and a gradient beside it finite."""
    for i in {name: density.names.index(name) for name in density.names}.values():
        for far in (-50.0, -26.5, 26.5, 50.0):
            there = x.copy()
            there[i] = far
            value, gradient = density.kernel(there)
            assert np.isfinite(value) or value == -np.inf, (density.names[i], far, value)
            assert value == -np.inf or np.isfinite(gradient).all(), (density.names[i], far, gradient)


def check(model: Any, seed: int = 1) -> None:
    density = density_of(model)
    rng = np.random.default_rng(seed)
    x = density.start + rng.normal(0, 0.3, len(density.start))
    compare(density, x)
    compare(density, np.zeros_like(x))
    check_extremes(density, x)


def frame(n: int = 12, seed: int = 3) -> pd.DataFrame:
    rng, i = np.random.default_rng(seed), np.arange(n)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n), "ill": i % 2, "k": rng.integers(0, 4, n), "n": 4, "c": np.where(i % 3, i % 5, 0),
            "x": rng.normal(size=n), "w": rng.normal(size=n), "two": np.where(i % 3 == 0, "no", "yes"),
            "three": i % 3, "g": [f"g{j}" for j in i // 2], "pair": [f"p{j}" for j in i % 2], "one": "A",
            "id": [f"s{j}" for j in i // 2], "visit": i % 2,
        }
    )  # fmt: skip
