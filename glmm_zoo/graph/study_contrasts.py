"""The effects of studies of several arms: contrasts with each study's baseline, correlated within a study.

d ~ Normal(mean, tau^2 C),   C is 1 on the diagonal, 1/2 between contrasts of one study, else 0        (Higgins & Whitehead 1996)
"""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.transforms.study_effects import ContrastsTransform


def study_contrasts(
    name: str, mean: Tensor, tau: Tensor, root: np.ndarray, rough: tuple[np.ndarray, np.ndarray], dim: str
) -> Tensor:
    """The random variable d (C,). `root` (C, C) is the Cholesky factor of its correlation, `rough` each contrast's estimate (C,) from its
    study alone and the covariance (C, C) of their errors, from which the sampler starts."""
    inverse = np.linalg.inv(root)
    estimate, covariance = rough
    constant = 0.5 * len(root) * np.log(2 * np.pi) + np.log(np.diag(root)).sum()

    def logp(d: Tensor, mean: Tensor, tau: Tensor) -> Tensor:
        z = pt.dot(inverse, d - mean) / tau
        return -0.5 * pt.sum(z * z) - len(root) * pt.log(tau) - constant

    def dist(mean: Tensor, tau: Tensor, size: Tensor) -> Tensor:
        return mean + tau * pt.dot(root, pm.Normal.dist(0.0, 1.0, size=len(root)))

    transform = ContrastsTransform(inverse @ estimate, np.diag(inverse @ covariance @ inverse.T), root, inverse)
    return pm.CustomDist(
        name, mean, tau, logp=logp, dist=dist, signature="(c),()->(c)", dims=dim, transform=transform,
        class_name="MvNormal",
    )  # fmt: skip
