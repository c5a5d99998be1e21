"""Group effects whose levels depend on each other, u = basis v with v independent between its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.group_effects import add_effects_at_zero, correlated_draw, correlated_logp, effect_roots
from glmm_zoo.graph.model import Model, SmoothWeights
from glmm_zoo.graph.transforms.group_effects import GroupEffectsTransform
from glmm_zoo.graph.triangular import unpacked
from glmm_zoo.graph.variables import data_name, variable
from glmm_zoo.plans.groups import Group

EXPECTED_SHARE = 0.5  # rho, for the Gaussian approximation


def structured_effects(model: Model, group: Group) -> Tensor:
    """u_g (levels, k), whose coordinates v_g (q, k) are variables; their columns become those of the linear predictors."""
    structure, k = group.structure, len(group.labels)
    assert structure is not None
    q, dim = structure.basis.shape[1], f"{group.random}_coordinate"
    model.add_coord(dim, range(q))
    model.auxiliary.add(group.random)
    model.group_effect_names.append(group.random)
    root: Tensor = pt.stack(effect_roots(model, group)[0])
    packed = root
    if structure.ratios is not None:
        rho = variable(model, group.name("rho"))
        scales: Tensor = pt.sqrt(1.0 + rho * (pt.constant(structure.ratios) - 1.0))
        packed = scales[:, None] * root
    owners = list(dict.fromkeys(group.owners))
    v = pm.CustomDist(
        group.random,
        packed,
        pt.concatenate([model.linear[p].coefficients for p in owners]),
        logp=correlated_logp,
        dist=correlated_draw,
        signature="(m),(p)->(k)",
        dims=(dim, group.effect_dim),
        transform=GroupEffectsTransform(k),
        class_name="MvNormal" if group.correlated else "Normal",
    )
    basis = pm.Data(data_name(f"{group.random}_basis"), structure.basis, dims=(group.dim, dim))
    u = pt.stack([basis @ v[:, j] for j in range(k)], axis=1)
    u = pm.Deterministic(group.free("u"), u, dims=(group.dim, group.effect_dim))
    for p in owners:
        _add_columns(model, group, p, v)
    if group.to_zero is not None:
        add_effects_at_zero(model, group, u, [unpacked(root)])
    return u


def _add_columns(model: Model, group: Group, prefix: str, v: Tensor) -> None:
    """Z basis to the design of a predictor, as the columns of the weights of a smooth are; eta has its effects already."""
    assert group.structure is not None
    linear, own = model.linear[prefix], [j for j, owner in enumerate(group.owners) if owner == prefix]
    columns = group.structure.basis[group.codes[prefix]]
    scales = np.tile(group.structure.scales(EXPECTED_SHARE), len(own))
    weights = SmoothWeights(
        group.random,
        group.free("sd"),
        np.repeat(np.arange(len(own)), columns.shape[1]),
        group.name("sd"),
        tuple(own),
        scales,
    )
    model.linear[prefix] = replace(
        linear,
        design=np.hstack([linear.design, *(group.z[j][:, None] * columns for j in own)]),
        coefficients=pt.concatenate([linear.coefficients, *(v[:, j] for j in own)]),
        smooth_weights=(*linear.smooth_weights, weights),
    )
