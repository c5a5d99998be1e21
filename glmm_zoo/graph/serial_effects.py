"""The values of a stationary process at the times of each series, u_g (levels, 1), with sd_g and correlation w between levels:

w = ar1^steps      or      w = exp(-time / range)
u_i = w_i u_(i-1) + sd sqrt(1 - w_i^2) z_i,   u = sd z for the first of a series
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.series import Series
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.recurrences import beside, onward
from glmm_zoo.graph.transforms.serial_effects import SerialEffectsTransform
from glmm_zoo.graph.triangular import ONE
from glmm_zoo.graph.variables import standard_deviation, variable
from glmm_zoo.plans.groups import Group


def serial_effects(model: Model, group: Group, earlier: Sequence[tuple[Group, Tensor]]) -> Tensor:
    """u_g (levels, 1), given the effects of the factors before it."""
    assert group.series is not None
    sd = standard_deviation(model, group.name("sd"), group.effect_dim)[0]
    weight, left = _of_levels(group.series, variable(model, group.name(group.series.parameter)))
    (owner,) = set(group.owners)
    mates = [u for other, u in earlier if owner in other.owners]
    model.group_effect_names.append(group.name("u"))
    return pm.CustomDist(
        group.name("u"),
        weight,
        sd * sd * left,
        model.linear[owner].coefficients,
        *mates,
        logp=_logp,
        dist=lambda w, q, *_: onward(w, pt.sqrt(q) * pm.Normal.dist(0.0, 1.0, size=len(group.factor.levels)))[:, None],
        signature=f"(n),(n),(p){''.join(f',(g{i},k{i})' for i in range(len(mates)))}->(n,k)",
        dims=(group.dim, group.effect_dim),
        transform=SerialEffectsTransform(),
        class_name="AutoregressiveNormal",
    )


def _of_levels(series: Series, parameter: Tensor) -> tuple[Tensor, Tensor]:
    """w and 1 - w^2 of every level (levels,); 0 and 1 for the first of a series."""
    gaps, which = np.unique(series.gaps[series.later], return_inverse=True)
    gap = np.full(len(series.gaps), len(gaps))
    gap[series.later] = which
    if series.process == "ar1":
        w: Tensor = pt.stack([_power(parameter, int(k)) for k in gaps])
        left: Tensor = (1.0 - w) * (1.0 + w)
    else:
        w = pt.exp(-gaps / parameter)
        lost: Tensor = pt.expm1(-2.0 * gaps / parameter)
        left = -lost
    with_first: list[Tensor] = [pt.concatenate([w, pt.zeros(1)]), pt.concatenate([left, pt.ones(1)])]
    return with_first[0][gap], with_first[1][gap]


def _power(x: Tensor, k: int) -> Tensor:
    """x^k by squaring, for x of either sign."""
    if k < 2:
        return x if k else ONE
    half = _power(x, k // 2)
    return half * half * x if k % 2 else half * half


def _logp(u: Tensor, w: Tensor, q: Tensor, *_: Tensor) -> Tensor:
    e: Tensor = u[:, 0] - w * beside(u[:, 0], 1)
    return -0.5 * (pt.sum(e * e / q + pt.log(q)) + u.shape[0] * np.log(2 * np.pi))
