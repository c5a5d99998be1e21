"""What the variables of a model's graph are at a truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glmm_zoo.families.tensors import evaluated

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


def values_at_truth(model: Model, truth: xr.DataTree, outputs: Sequence[Any]) -> list[np.ndarray]:
    """Variables of a model's graph, or graphs of them, at the one draw of a tree, with the model's data."""
    posterior = truth["posterior"].dataset
    unknowns = {v: posterior[v.name].values.reshape(posterior[v.name].shape[2:]) for v in model.free_RVs}
    data = {v: model.rvs_to_values[v] for v in model.observed_RVs}
    known = dict(zip(data, evaluated(list(data.values()), {}), strict=True))
    return evaluated(outputs, {**known, **unknowns})
