"""What a fit says beyond its estimates, one file for each question.

Each of these files has `find(tree, prob) -> Finding`, which sees a DataTree, fresh or loaded, and never a builder. A model's
spec lists the files that concern it under the key "aspects". That key, the names in it, and the keys "facts" and "learnt"
are part of the format of fit files, so a file here keeps its name.
"""

from __future__ import annotations

import importlib
from functools import partial

import xarray as xr

from glmm_zoo.results.findings.finding import Finding
from glmm_zoo.results.once import once
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.whole_fit import of_a_whole_fit

_CHECKS = ("dispersion", "zeros")  # of data against predictions, from which no quantity is derived


@of_a_whole_fit
def findings(tree: xr.DataTree, prob: float = 0.95, *, checks: bool = True) -> dict[str, Finding]:
    """What the fit says of each aspect of its model, by name.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    prob
        Probability inside the intervals of the tables.
    checks
        Whether data are also held against predictions, which takes longer than all else.
    """
    names = [name for name in metadata(tree)["spec"]["aspects"] if checks or name not in _CHECKS]
    return {name: once(("finding", name, prob), tree, partial(_find, name, tree, prob)) for name in names}


def _find(name: str, tree: xr.DataTree, prob: float) -> Finding:
    return importlib.import_module(f"glmm_zoo.results.findings.{name}").find(tree, prob)
