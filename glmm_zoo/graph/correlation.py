"""Correlations of group effects under LKJ, built from partial correlations.

The LKJ densities of the partial correlations are independent betas (Lewandowski, Kurowicka & Joe 2009): p_ij of the pair
(i, j) given the effects before j is 2 b - 1 with b ~ Beta(a_j, a_j), a_j = eta + (k - 2 - j) / 2, j from 0, k effects.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.triangular import ROUNDING, lower_positions


def correlation_factor(model: Model, name: str, labels: Sequence[str], eta: float) -> list[list[Tensor]]:
    """Cholesky factor C (k, k) of a correlation matrix under LKJ(eta), row by row from its partial correlations:

    C_ij = p_ij prod_{m<j} sqrt(1 - p_im^2), C_ii = prod_{m<i} sqrt(1 - p_im^2)
    """
    k = len(labels)
    pairs = lower_positions(k - 1)  # p_ij of effects i + 1 and j
    shape = np.array([eta + (k - 2 - j) / 2 for _, j in pairs])
    model.add_coord(f"{name}_pair", [f"{labels[i + 1]}|{labels[j]}" for i, j in pairs])
    p = 2.0 * pm.Beta(name, shape, shape, dims=f"{name}_pair") - 1.0
    zero, one = pt.constant(0.0), pt.constant(1.0)
    rows = [[one, *[zero] * (k - 1)]]
    for i in range(1, k):
        left, row = one, []
        for j in range(i):
            pij = p[pairs.index((i - 1, j))]
            row.append(pij * left)
            left = left * pt.sqrt(pt.maximum(1.0 - pij * pij, ROUNDING))
        rows.append([*row, left, *[zero] * (k - 1 - i)])
    return rows
