"""Models of the rows, built once, and their graphs evaluated at points; nothing is sampled here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from pytensor.gradient import grad
from rows import ROWS, Row, Values

import glmm_zoo as zoo

Point = Mapping[str, np.ndarray]  # unconstrained values by name, as PyMC names them


def builder(name: str) -> Callable[..., Any]:
    return getattr(zoo, name)


def build(row: Row, frame: pd.DataFrame | None = None, formula: str | None = None, **options: Any) -> Any:
    """The row's model, on other data, another formula or with other options if given."""
    data = row.data() if frame is None else frame
    return builder(row.builder)(data, *row.tables, formula or row.formula, **{**row.options, **options})


@functools.cache
def model_of(name: str) -> Any:
    return build(next(row for row in ROWS if row.name == name))


def survival_model(**options: Any) -> Any:
    """A joint model of 48 subjects with two visits each, every second of whom dies."""
    i = np.arange(48)
    subjects = pd.DataFrame({"id": i, "years": 1.0 + i, "death": i % 2, "late": i % 3})
    times = np.column_stack([0.0 * i, 0.9 + 0.9 * i]).ravel()
    measured = pd.DataFrame({"id": np.repeat(i, 2), "time": times, "y": np.arange(96) % 5.0})
    options = {"event": "Surv(years, death) ~ 1", **options}
    return builder("joint_survival")(measured, subjects, "y ~ time + (1 | id)", **options)


def random_point(model: Any, seed: int, scale: float = 0.6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0.0, scale, np.shape(value)) for name, value in model.initial_point().items()}


def function(model: Any, outputs: Sequence[Any]) -> Callable[[Point], list[np.ndarray]]:
    return model.compile_fn(list(outputs), inputs=model.value_vars, on_unused_input="ignore")


def labelled(model: Any, name: str, value: np.ndarray) -> xr.DataArray:
    dims = model.named_vars_to_dims.get(name, tuple(f"{name}_{i}" for i in range(np.ndim(value))))
    return xr.DataArray(value, dims=dims, coords={d: list(model.coords[d]) for d in dims if d in model.coords})


def reported(model: Any) -> list[str]:
    """Variables of the posterior as users see it."""
    return [v.name for v in (*model.free_RVs, *model.deterministics) if v.name not in model.auxiliary]


@functools.cache
def evaluator(name: str) -> Callable[[int], tuple[dict[str, np.ndarray], Values, np.ndarray]]:
    """seed -> a random point of the row's model, all its variables there, its pointwise log-likelihood."""
    model = model_of(name)
    variables = [*model.free_RVs, *model.deterministics]
    pointwise = model.logp(vars=model.observed_RVs, sum=False)
    run = function(model, [*model.replace_rvs_by_values(variables), *pointwise])

    def at(seed: int) -> tuple[dict[str, np.ndarray], Values, np.ndarray]:
        point = random_point(model, seed)
        values = run(point)
        named = {v.name: labelled(model, v.name, x) for v, x in zip(variables, values, strict=False)}
        return point, named, np.concatenate(values[len(variables) :])

    return at


def together(model: Any, responses: xr.Dataset) -> np.ndarray:
    """The rows of all responses of a model (..., n), one response after the other."""
    return np.concatenate([responses[rv.name].values for rv in model.observed_RVs], axis=-1)


@functools.cache
def log_density(name: str) -> Callable[[Point], tuple[float, np.ndarray]]:
    """The row's log density at a point, and its gradient (elements,)."""
    model = model_of(name)
    density = model.logp()
    run = function(model, [density, *grad(density, model.value_vars)])

    def at(point: Point) -> tuple[float, np.ndarray]:
        value, *gradient = run(point)
        return float(value), np.concatenate([np.ravel(g) for g in gradient])

    return at


def jacobian(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Numerical df/dx by central differences."""
    e = step * np.eye(len(x))
    return np.stack([(f(x + d) - f(x - d)) / (2 * step) for d in e], axis=1)
