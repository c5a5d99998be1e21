"""Thresholds between ordered categories, in place of an intercept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families import ordinal
from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.variables import variable


def add_cutpoints(
    model: Model, predictor: PredictorDesign, labels: Sequence[str], start: np.ndarray | None, *, center: bool
) -> Tensor:
    """Thresholds between ordered categories, in place of the intercept: P(Y <= k) rises with c_k - eta.

    With `center`, eta is (X - m) beta and c are the thresholds at the covariates' means; `cutpoints`, those at zero
    covariates, are c + m beta. One prior holds for each c. They are drawn in order where `start` (K - 1,) gives increasing
    initial values, else independently of each other.
    """
    name, dim = prefixed(predictor.prefix, "cutpoints"), prefixed(predictor.prefix, "cutpoint")
    X = predictor.population
    free = f"{name}_at_means" if center and X.labels else name
    model.add_coord(dim, list(labels))
    if start is None:
        at_means = variable(model, free, dim, key=name)
    else:
        at_means = ordinal.increasing(free, model.chosen[name][0], start, dim)
    if free == name:
        return at_means
    model.auxiliary.add(free)
    pm.Deterministic(name, at_means + pt.dot(X.means, model[prefixed(predictor.prefix, "beta")]), dims=dim)
    return at_means
