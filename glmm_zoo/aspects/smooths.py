"""Smooth curves: the sd that rules how far each bends from its polynomial, and its effective degrees of freedom."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from glmm_zoo.aspects import Finding, intervals
from glmm_zoo.bands import of_fit
from glmm_zoo.smooths import BASES


def find(tree: xr.DataTree, prob: float) -> Finding:
    """A table of sd and edf by curve, and what they mean."""
    found = list(of_fit(tree))
    table = intervals({curve.label: curve.sd for curve in found}, prob, "curve").rename(columns={"median": "sd"})
    table["edf"] = [curve.edf() for curve in found]
    table["at most"] = [curve.linear.shape[1] + curve.weights.shape[1] for curve in found]
    table["basis"] = [BASES[curve.basis.bs] for curve in found]
    words = (
        "Each curve is a random effect: f(x) = Xf(x) linear + Zs(x) weights with weights ~ Normal(0, sd^2), which is the spline "
        "with penalty 1 / sd^2 on its bends. With sd = 0 only the part without penalty is left, a straight line (cc: nothing); "
        "edf counts how many coefficients the data have freed, of at most as many as the basis has.",
        "zoo.curves(tree) gives every curve on a grid, with pointwise and simultaneous bands and its slope.",
    )
    return Finding("smooth curves", words, {"curves": pd.DataFrame(table)})
