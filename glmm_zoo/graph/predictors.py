"""Linear predictors in PyMC.

eta = Intercept + X beta + sum over smooths s of (Xf_s linear_s + Zs_s w_s) + sum over factors g of Z_g u_g[level] + offset

    w_s ~ Normal(0, sd_s),
    u_g[level] ~ Normal(0, S_g),   S_g = diag(sd_g) R_g diag(sd_g),   R_g ~ LKJ
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.graph.group_effects import group_effects
from glmm_zoo.graph.model import LinearPredictor, Model
from glmm_zoo.graph.smooth_weights import add_weights
from glmm_zoo.graph.triangular import ZERO
from glmm_zoo.graph.variables import data_name, variable
from glmm_zoo.plans.groups import Group, groups_of, smooth_name
from glmm_zoo.priors import Prior


def linear_predictors(
    model: Model,
    *,
    center: bool = True,
    drawn: Mapping[str, Callable[[Model, Group], Tensor]] | None = None,
    also: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Tensor]:
    """eta (n,) of every predictor of the model, by prefix.

    `also` holds columns (n, m) of the main predictor whose coefficients are variables of their own, already in the
    model, by name.

    `drawn` says by factor who draws its effects (levels, k), where they are not independent between levels.

    With `center`, the prior on the intercept is on the predictor at the covariates' means, and `Intercept` is reported
    at zero covariates: eta = (c + (X - m) beta), Intercept = c - m beta.
    """
    for p in model.predictors:
        model.linear[p.prefix] = _population(model, p, center, also or {} if p.prefix == "" else {})
        for s in p.smooths:
            add_weights(model, p, s)
    dims = {p.prefix: p.dim for p in model.predictors}
    earlier: list[tuple[Group, Tensor]] = []
    effects: dict[str, Tensor] = {}
    for group in sorted(groups_of(model.predictors), key=lambda g: len(g.factor.levels)):
        if group.factor.name in (drawn or {}):
            effects[group.name("u")] = (drawn or {})[group.factor.name](model, group)
        else:
            effects[group.name("u")] = group_effects(model, group, earlier)
            earlier.append((group, effects[group.name("u")]))
    for group in groups_of(model.predictors):
        u = effects[group.name("u")]
        level_of: dict[str, Tensor] = {}  # by what the rows are: predictors of one outcome share theirs
        for k, (owner, z) in enumerate(zip(group.owners, group.z, strict=True)):
            dim = dims[owner]
            if dim not in level_of:
                name = group.name("level_of") + (f"_{dim}" if level_of else "")
                level_of[dim] = pm.Data(data_name(name), group.codes[owner], dims=dim)
            effect = u[level_of[dim], k]
            if not np.all(z == 1):
                effect = pm.Data(data_name(f"{group.name('z')}_{k}"), np.ascontiguousarray(z), dims=dim) * effect
            linear = model.linear[owner]
            model.linear[owner] = replace(linear, eta=linear.eta + effect)
    return {prefix: linear.eta for prefix, linear in model.linear.items()}


def _population(
    model: Model, predictor: PredictorDesign, center: bool, also: Mapping[str, np.ndarray]
) -> LinearPredictor:
    X, prefix = predictor.population, predictor.prefix
    eta: Tensor = ZERO
    columns: list[np.ndarray] = []
    parts: list[Tensor] = []
    elements: list[tuple[str, int]] = []
    priors: list[Prior] = []
    means = X.means if center and X.labels and (X.intercept or predictor.cutpoints) else None
    if X.labels:
        beta = variable(model, prefixed(prefix, "beta"), prefixed(prefix, "coef"))
        values = np.ascontiguousarray(X.values if means is None else X.values - means)
        eta = (
            eta
            + pm.Data(data_name(prefixed(prefix, "X")), values, dims=(predictor.dim, prefixed(prefix, "coef"))) @ beta
        )
        columns, parts = [values], [beta]
        elements = _elements(model, prefixed(prefix, "beta"), prefixed(prefix, "coef"))
        priors = [*model.chosen[prefixed(prefix, "beta")]]
    if X.intercept:
        name = prefixed(prefix, "Intercept")
        if means is None:
            intercept = variable(model, name)
        else:
            model.auxiliary.add(f"{name}_at_means")
            intercept = variable(model, f"{name}_at_means", key=name)
            pm.Deterministic(name, intercept - pt.dot(means, beta))
        eta = eta + intercept
        columns, parts = [np.ones((predictor.rows, 1)), *columns], [intercept[None], *parts]
        elements = [(name if means is None else f"{name}_at_means", 0), *elements]
        priors = [*model.chosen[name], *priors]
    for s in (s for s in predictor.smooths if s.linear.shape[1]):
        name, dim = smooth_name(predictor, s, "linear"), smooth_name(predictor, s, "coef")
        several = s.linear.shape[1] > 1
        coefficient = variable(model, name, dim) if several else variable(model, name)[None]
        dims = (predictor.dim, dim) if several else (predictor.dim, None)
        eta = eta + pm.Data(data_name(f"{name}_columns"), s.linear, dims=dims) @ coefficient
        columns, parts = [*columns, s.linear], [*parts, coefficient]
        elements = [*elements, *(_elements(model, name, dim) if several else [(name, 0)])]
        priors = [*priors, *model.chosen[name]]
    for name, values in also.items():
        coefficient = model[name] if model[name].ndim else model[name][None]
        eta = eta + pm.Data(data_name(f"{name}_columns"), np.ascontiguousarray(values)) @ coefficient
        columns, parts = [*columns, values], [*parts, coefficient]
        dims = model.named_vars_to_dims.get(name)
        elements = [*elements, *(_elements(model, name, str(dims[0])) if dims else [(name, 0)])]
        priors = [*priors, *model.chosen[name]]
    if predictor.offset is not None:
        eta = eta + pm.Data(data_name(prefixed(prefix, "offset")), predictor.offset, dims=predictor.dim)
    if eta.ndim == 0:
        eta = eta + pt.zeros(predictor.rows)
    design = np.hstack(columns) if columns else np.empty((predictor.rows, 0))
    coefficients = pt.concatenate(parts) if parts else pt.zeros(0)
    return LinearPredictor(design, coefficients, elements, priors, predictor.offset, eta)


def _elements(model: Model, name: str, dim: str) -> list[tuple[str, int]]:
    """The random variable that holds each element of a vector made by `variable`, and its position there."""
    free = {rv.name for rv in model.free_RVs}
    if name in free:
        return [(name, i) for i in range(len(model.coords[dim]))]
    labels: Any = model.coords[dim]
    element_of_label = {}
    for part in (n for n in free if n.startswith(f"{name}_") and f"{n}_{dim}" in model.coords):
        element_of_label.update({label: (part, i) for i, label in enumerate(model.coords[f"{part}_{dim}"])})
    return [element_of_label[label] for label in labels]
