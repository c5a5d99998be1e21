"""PyTensor, imported when a graph is built and not before, and the same functions for NumPy arrays."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

Tensor = Any  # a PyTensor variable: its own types do not describe arithmetic
Array = Any  # a NumPy array or a PyTensor variable
VariableLookup = Callable[[str], Array]  # from the name of a variable of the model to its value


def import_pytensor() -> Any:
    """The module `pytensor.tensor`."""
    return importlib.import_module("pytensor.tensor")


def as_it_stands() -> Any:
    """PyTensor's mode for a graph that is evaluated a few times: node by node in Python, with bounds of indices checked.

    Rewriting the graph first, as its other modes do, takes ten times as long as evaluating it.
    """
    mode: Any = importlib.import_module("pytensor.compile.mode")
    return mode.Mode("py", "minimum_compile")


def functions_of(x: Array) -> Any:
    """What a density computes with: `pytensor.tensor` for a PyTensor variable, for numbers the same functions of NumPy."""
    return _of_numpy() if isinstance(x, np.ndarray | np.number | float) else import_pytensor()


def _of_numpy() -> Any:
    from scipy import special  # imported when a density is asked for

    return SimpleNamespace(
        abs=np.abs, clip=np.clip, concatenate=np.concatenate, cumsum=np.cumsum, eq=np.equal, erfc=special.erfc, exp=np.exp,
        expm1=np.expm1, gammaln=special.gammaln, log=np.log, log1p=np.log1p, logaddexp=np.logaddexp,
        logsumexp=special.logsumexp, maximum=np.maximum, minimum=np.minimum, softplus=lambda x: np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))),
        sqrt=np.sqrt, sum=np.sum, switch=np.where, zeros_like=np.zeros_like,
    )  # fmt: skip


def matrix_product(X: np.ndarray, beta: Array) -> Array:
    """X beta (N,), X of data: a product of NumPy where beta is known, of PyTensor where it is not."""
    if isinstance(beta, np.ndarray):
        return X @ beta
    return import_pytensor().constant(X) @ beta
