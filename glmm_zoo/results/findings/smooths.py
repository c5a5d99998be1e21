"""Smooth curves: what the sd of their weights means, and their effective degrees of freedom."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from glmm_zoo.formulas.smooths.splines import BASES
from glmm_zoo.formulas.smooths.tensor_products import TensorProduct
from glmm_zoo.results.findings.finding import Finding
from glmm_zoo.results.smooth_curves import smooth_curves


def find(tree: xr.DataTree, prob: float) -> Finding:
    """A table of edf by curve, and what it means; the sds are in the summary."""
    curves = list(smooth_curves(tree))
    table = pd.DataFrame(
        {
            "edf": [curve.edf() for curve in curves],
            "at most": [curve.linear.shape[1] + curve.weights.shape[1] for curve in curves],
            "basis": [
                "tensor product" if isinstance(curve.basis, TensorProduct) else BASES[curve.basis.bs]
                for curve in curves
            ],
        },
        pd.Index([curve.label for curve in curves], name="curve"),
    )
    words = (
        "Each curve is a random effect: f(x) = Xf(x) linear + Zs(x) weights with weights ~ Normal(0, sd^2), which is the spline "
        "with penalty 1 / sd^2 on its bends. With sd = 0 only the part without penalty is left, a straight line (cc and fs: nothing); "
        "edf counts how many coefficients the data have freed, of at most as many as the basis has.",
        "zoo.curves(tree) gives every curve on a grid, with pointwise and simultaneous bands and its slope.",
    )
    return Finding("smooth curves", words, {"curves": table})
