"""What the variables of a model's graph are at a truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model


def values_at_truth(
    model: Model, truth: xr.DataTree, outputs: Callable[[Model], Sequence[Any]]
) -> Sequence[np.ndarray]:
    """Outputs of a model's graph, functions of its value variables, at the one draw of a tree."""
    from pytensor.compile.maker import function

    from glmm_zoo.families.tensors import as_it_stands

    plain = model.with_transforms({v.name: None for v in model.free_RVs})
    run: Any = function(plain.value_vars, list(outputs(plain)), mode=as_it_stands(), on_unused_input="ignore")
    posterior = truth["posterior"].dataset
    return run(*(posterior[v.name].values.reshape(posterior[v.name].shape[2:]) for v in plain.free_RVs))
