"""Modules that libraries import by the way and that a command seldom uses, loaded once something of them is asked for.

By `importlib.util.LazyLoader` of the standard library, in the process of the command line alone: in Python nothing is changed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

LATE = frozenset(
    {
        "asyncio",  # xarray
        "numpy.f2py",  # SciPy, by `from numpy import *`
        "scipy.sparse.linalg",  # formulaic
    }
)


class _Finder:
    """Finds the modules of `LATE`, and no others."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def load_late() -> None:
    """From now on, load the modules of `LATE` when something of them is asked for."""
    sys.meta_path.insert(0, _Finder)
