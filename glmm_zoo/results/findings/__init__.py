"""What a fit says beyond its estimates: one file for each aspect of a model, named as the fit file names the aspect.

Each of these files has `find(tree, prob) -> Finding`, which sees a DataTree, fresh or loaded, and never a builder. A model's
spec lists its aspects under the key "aspects"; that key and the names in it are part of the file format, and so are the
keys "facts" and "learnt" that the findings read, whatever a file here is called inside.
"""

from __future__ import annotations

import importlib

import xarray as xr

from glmm_zoo.results.findings.finding import Finding
from glmm_zoo.results.storage import metadata


def findings(tree: xr.DataTree, prob: float = 0.95) -> dict[str, Finding]:
    """What the fit says of each aspect of its model, by name.

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    prob
        Probability inside the intervals of the tables.
    """
    names = metadata(tree)["spec"]["aspects"]
    return {name: importlib.import_module(f"glmm_zoo.results.findings.{name}").find(tree, prob) for name in names}
