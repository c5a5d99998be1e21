"""PyTensor, imported when a graph is built and not before."""

from __future__ import annotations

import importlib
from typing import Any

Tensor = Any  # a PyTensor variable: its own types do not describe arithmetic
Array = Any  # a NumPy array or a PyTensor variable


def import_pytensor() -> Any:
    """The module `pytensor.tensor`."""
    return importlib.import_module("pytensor.tensor")
