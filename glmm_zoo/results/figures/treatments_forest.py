"""Forest of a network meta-analysis: each treatment against the reference, in the mean study and in a new one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import summarised
from glmm_zoo.results.figures.effects import Forest, forest_picture
from glmm_zoo.results.figures.estimated import estimated
from glmm_zoo.results.figures.picture import Picture, capital
from glmm_zoo.results.figures.value_words import comparison_words
from glmm_zoo.results.findings import findings
from glmm_zoo.results.storage import metadata


def treatments_forest(tree: xr.DataTree, about: About) -> Picture:
    """Ratios of the effects of a fit; those of unrelated mean effects are of the pairs that were compared."""
    spec, quantities = metadata(tree)["spec"], findings(tree, checks=False)["network"].quantities
    column, reference = (
        spec["options"]["treatment"],
        about.level(spec["options"]["treatment"], spec["facts"]["labels"][0]),
    )
    ume = spec["options"]["consistency"] == "ume"
    base = next(name.split("[")[0] for name in quantities)  # "odds_ratio"
    panels = []
    for name, title in ((base, f"{base.replace('_', ' ')}, mean study"), (f"{base}_new", "in a new study")):
        draws = {key[len(name) + 1 : -1]: q for key, q in quantities.items() if key.startswith(f"{name}[")}
        if draws:
            of = pd.DataFrame({"contrast": list(draws), "measure": "ratio"})
            estimates = summarised(of, np.stack(list(draws.values()), axis=2), "")
            words = [comparison_words(about, column, contrast, short=True) for contrast in draws]
            labels = words if ume else [each.removesuffix(f" vs {reference}") for each in words]
            panels.append(Forest(estimated(estimates), labels, labels, 1.0, capital(title), "log axis"))
    against = (
        "Pairs of treatments that studies compared." if ume else f"Each treatment against {reference}, the reference."
    )
    wider = " The interval of a new study has the spread of studies too." if len(panels) > 1 else ""
    return forest_picture("forest", f"{capital(base.replace('_', ' '))}s of the treatments", against + wider, panels)
