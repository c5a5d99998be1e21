"""Group effects of which a row has those of several levels: whose levels depend on each other, u = basis v with v independent between
its rows; and those of mm(g1, g2), where a row has a weighted sum of u.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.structures import KnownCovariance
from glmm_zoo.graph.group_effects import (
    add_effects_at_zero,
    correlated_draw,
    correlated_logp,
    effect_roots,
    group_effects,
)
from glmm_zoo.graph.model import Model, SmoothWeights
from glmm_zoo.graph.transforms.group_effects import GroupEffectsTransform
from glmm_zoo.graph.triangular import unpacked
from glmm_zoo.graph.variables import data_name
from glmm_zoo.plans.groups import Group, plain_twin


def effects_in_design(model: Model, group: Group) -> Tensor:
    """u_g (levels, k), whose columns, or those of their coordinates, become those of the linear predictors."""
    if group.structure is not None:
        return _structured_effects(model, group)
    u = group_effects(model, group, [])
    for p in dict.fromkeys(group.owners):
        _add_columns(model, group, p, u)
    return u


def _structured_effects(model: Model, group: Group) -> Tensor:
    """u_g (levels, k), whose coordinates v_g (q, k) are variables."""
    structure, k = group.structure, len(group.labels)
    assert isinstance(structure, KnownCovariance)
    q, dim = structure.basis.shape[1], f"{group.random}_coordinate"
    model.add_coord(dim, range(q))
    model.auxiliary.add(group.random)
    model.group_effect_names.append(group.random)
    root: Tensor = pt.stack(effect_roots(model, group)[0])
    owners = list(dict.fromkeys(group.owners))
    twin = plain_twin(group, model.groups)
    v = pm.CustomDist(
        group.random,
        root,
        pt.concatenate([model.linear[p].coefficients for p in owners]),
        *([] if twin is None else [pt.stack(effect_roots(model, twin)[0])]),
        logp=correlated_logp,
        dist=correlated_draw,
        signature=f"(m),(p){'' if twin is None else ',(t)'}->(k)",
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
    """Z basis, or Z with the weights of the levels, to the design of a predictor, as the columns of the weights of a smooth are; eta has
    its effects already."""
    linear, own = model.linear[prefix], [j for j, owner in enumerate(group.owners) if owner == prefix]
    codes = group.codes[prefix]
    if isinstance(group.structure, KnownCovariance):
        columns = group.structure.basis[codes]
    else:
        columns = np.zeros((len(codes), len(group.factor.levels)))
        for level, share in zip(codes.T, group.shares[prefix].T, strict=True):
            columns[np.arange(len(codes)), level] += share
    weights = SmoothWeights(
        group.random,
        group.free("sd"),
        np.repeat(np.arange(len(own)), columns.shape[1]),
        group.name("sd"),
        tuple(own),
    )
    model.linear[prefix] = replace(
        linear,
        design=np.hstack([linear.design, *(group.z[j][:, None] * columns for j in own)]),
        coefficients=pt.concatenate([linear.coefficients, *(v[:, j] for j in own)]),
        smooth_weights=(*linear.smooth_weights, weights),
    )
