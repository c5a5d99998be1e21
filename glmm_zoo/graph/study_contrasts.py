"""The effects of studies of several arms: contrasts with each study's baseline, correlated within a study.

d ~ Normal(mean, tau^2 C),   C is 1 on the diagonal, 1/2 between contrasts of one study, else 0        (Higgins & Whitehead 1996)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.transforms.study_effects import ContrastsTransform, apart, log_scales, with_contrasts
from glmm_zoo.graph.variables import standard_deviation
from glmm_zoo.trials.network import Network


def arm_contrasts(model: Model, network: Network, mean: Tensor, dim: str) -> Tensor:
    """What random effects of their studies add to arms (n,), around the `mean` of each contrast (C,): 0 to studies' baselines."""
    model.add_coord(dim, network.contrast_labels)
    tau = standard_deviation(model, "tau", near=network.rough_heterogeneity())
    d = study_contrasts("study_effect", mean, tau, network.blocks, network.rough_contrasts(), dim)
    arm = pm.Data("_contrast_of", np.maximum(network.contrast_of, 0), dims="row")
    return pm.Data("_in_contrast", np.sign(network.contrast_of + 1.0), dims="row") * d[arm]


def study_contrasts(
    name: str,
    mean: Tensor,
    tau: Tensor,
    blocks: Sequence[np.ndarray],
    rough: tuple[np.ndarray, np.ndarray, np.ndarray],
    dim: str,
) -> Tensor:
    """The random variable d (C,). `blocks` are those of `with_contrasts`, `rough` each contrast's estimate (C,) from its study alone and
    the variances that its own arm and the baseline's give it, from which the sampler starts."""
    estimate, own, base = rough
    size = len(estimate)
    constant = 0.5 * size * np.log(2 * np.pi) + log_scales(blocks)

    def logp(d: Tensor, mean: Tensor, tau: Tensor) -> Tensor:
        z = (apart(blocks, d) - apart(blocks, mean)) / tau
        square: Tensor = pt.sum(z * z)
        log_tau: Tensor = pt.log(tau)
        return -0.5 * square - size * log_tau - constant

    def dist(mean: Tensor, tau: Tensor, size: Tensor) -> Tensor:
        return mean + tau * with_contrasts(blocks, pm.Normal.dist(0.0, 1.0, size=len(estimate)))

    center, variance = np.empty((2, size))
    sums = np.zeros((2, len(blocks[0])))  # of the estimates and variances before
    for j, block in enumerate(blocks, start=1):  # f_j = sqrt(2 j / (j + 1)) (d_j - (d_1 + ... + d_(j - 1)) / j)
        d, v = before = sums[:, : len(block)]
        center[block] = np.sqrt(2 * j / (j + 1)) * (estimate[block] - d / j)
        variance[block] = 2 * j / (j + 1) * (own[block] + (v + base[block]) / j**2)
        sums = before + np.stack([estimate, own])[:, block]
    transform = ContrastsTransform(center, variance, blocks)
    return pm.CustomDist(
        name, mean, tau, logp=logp, dist=dist, signature="(c),()->(c)", dims=dim, transform=transform,
        class_name="MvNormal",
    )  # fmt: skip
