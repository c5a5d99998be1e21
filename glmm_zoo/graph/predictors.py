"""Linear predictors in PyMC.

eta = Intercept + X beta + sum over mo(x) of E_x (beta zeta_x) + sum over smooths s of (Xf_s linear_s + Zs_s w_s) + sum over factors g of Z_g u_g[level] + offset

    w_s ~ Normal(0, sd_s),
    u_g[level] ~ Normal(0, S_g),   S_g = diag(sd_g) R_g diag(sd_g),   R_g ~ LKJ

The priors of an intercept, and of intercepts that vary over a factor with slopes, hold at the covariates' means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.monotonic import Monotonic
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.smooths.smooth import Smooth
from glmm_zoo.graph.group_effects import group_effects
from glmm_zoo.graph.model import LinearPredictor, Model
from glmm_zoo.graph.neighbour_effects import neighbour_effects
from glmm_zoo.graph.serial_effects import serial_effects
from glmm_zoo.graph.smooth_weights import add_weights
from glmm_zoo.graph.structured_effects import effects_in_design
from glmm_zoo.graph.triangular import ZERO
from glmm_zoo.graph.variables import data_name, regression_coefficients, variable
from glmm_zoo.plans.groups import Group, smooth_name
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

    `drawn` says by the effects' variable who draws them (levels, k), where they are not independent between levels.

    With `center`, the prior on the intercept is on the predictor at the covariates' means, and `Intercept` is reported
    at zero covariates: eta = (c + (X - m) beta), Intercept = c - m beta.
    """
    for p in model.predictors:
        model.linear[p.prefix] = _population_part(model, p, center, also or {} if p.prefix == "" else {})
        for s in p.smooths:
            add_weights(model, p, s)
    effects = _effects_of_all_groups(model, drawn or {})
    for group in model.groups:
        _add_group_effects(model, group, effects[group.name("u")])
    return {prefix: linear.eta for prefix, linear in model.linear.items()}


def _effects_of_all_groups(model: Model, drawn: Mapping[str, Callable[[Model, Group], Tensor]]) -> dict[str, Tensor]:
    """Effects (levels, k) by the name of the variable. A factor with more levels may depend on those with fewer."""
    earlier: list[tuple[Group, Tensor]] = []
    effects = {g.name("u"): effects_in_design(model, g) for g in model.groups if g.in_design}
    for group in sorted((g for g in model.groups if not g.in_design), key=lambda g: len(g.factor.levels)):
        if group.name("u") in drawn:
            effects[group.name("u")] = drawn[group.name("u")](model, group)
        else:
            by_default = group_effects if group.series is None else serial_effects
            of_group = by_default if group.structure is None else neighbour_effects
            effects[group.name("u")] = of_group(model, group, earlier)
            earlier.append((group, effects[group.name("u")]))
    return effects


def _add_group_effects(model: Model, group: Group, u: Tensor) -> None:
    """z_k u[level of row, k] (n,) to the predictor that owns effect k, for every effect of the group; where rows have several levels,
    z_k times the sum over these of their weights times u."""
    dims = {p.prefix: p.dim for p in model.predictors}
    of_rows: dict[str, list[tuple[Tensor, Tensor | None]]] = {}  # predictors of one outcome share theirs
    for k, (owner, z) in enumerate(zip(group.owners, group.z, strict=True)):
        dim = dims[owner]
        if dim not in of_rows:
            of_rows[dim] = _levels_of_rows(group, owner, dim, f"_{dim}" if of_rows else "")
        parts = [u[level, k] if share is None else share * u[level, k] for level, share in of_rows[dim]]
        effect = sum(parts[1:], start=parts[0])
        if not np.all(z == 1):
            effect = pm.Data(data_name(f"{group.name('z')}_{k}"), np.ascontiguousarray(z), dims=dim) * effect
        linear = model.linear[owner]
        model.linear[owner] = replace(linear, eta=linear.eta + effect)


def _levels_of_rows(group: Group, owner: str, dim: str, where: str) -> list[tuple[Tensor, Tensor | None]]:
    """The level of each row (n,) and its weight, None where it is the only one; one pair for each member."""
    name, shares = data_name(group.name("level_of") + where), group.shares.get(owner)
    if shares is None:
        return [(pm.Data(name, group.codes[owner], dims=dim), None)]
    return [
        (pm.Data(f"{name}_{m}", codes, dims=dim), pm.Data(f"{name}_{m}_weight", share, dims=dim))
        for m, (codes, share) in enumerate(zip(group.codes[owner].T, shares.T, strict=True))
    ]


@dataclass
class _Terms:
    """Terms of one predictor as they are added: eta, and for each coefficient its column, its variable and its prior."""

    eta: Tensor
    columns: list[np.ndarray] = field(default_factory=list)
    coefficients: list[Tensor] = field(default_factory=list)
    elements: list[tuple[str, int]] = field(default_factory=list)
    priors: list[Prior] = field(default_factory=list)

    def add(
        self, columns: np.ndarray, coefficients: Tensor, elements: list[tuple[str, int]], priors: Sequence[Prior]
    ) -> None:
        """Put a block of columns (n, m) with their coefficients (m,) behind the others."""
        self.columns.append(columns)
        self.coefficients.append(coefficients)
        self.elements += elements
        self.priors += priors


def _population_part(
    model: Model, predictor: PredictorDesign, center: bool, also: Mapping[str, np.ndarray]
) -> LinearPredictor:
    """Intercept, coefficients, unpenalised parts of smooths, the columns `also`, and the offset."""
    terms = _Terms(ZERO)
    _add_intercept_and_beta(model, predictor, center, terms)
    for smooth in predictor.smooths:
        if smooth.linear.shape[1]:
            _add_unpenalised_part(model, predictor, smooth, terms)
    for name, values in also.items():
        coefficients = model[name] if model[name].ndim else model[name][None]
        terms.eta = terms.eta + pm.Data(data_name(f"{name}_columns"), np.ascontiguousarray(values)) @ coefficients
        dims = model.named_vars_to_dims.get(name)
        elements = _elements(model, name, str(dims[0])) if dims else [(name, 0)]
        terms.add(values, coefficients, elements, model.chosen[name.removesuffix("_at_means")])
    for monotonic in predictor.population.monotonic:
        _add_steps(model, predictor.prefix, monotonic, terms)
    if predictor.offset is not None:
        offset = data_name(prefixed(predictor.prefix, "offset"))
        terms.eta = terms.eta + pm.Data(offset, predictor.offset, dims=predictor.dim)
    if terms.eta.ndim == 0:
        terms.eta = terms.eta + pt.zeros(predictor.rows)
    design = np.hstack(terms.columns) if terms.columns else np.empty((predictor.rows, 0))
    coefficients = pt.concatenate(terms.coefficients) if terms.coefficients else pt.zeros(0)
    return LinearPredictor(design, coefficients, terms.elements, terms.priors, predictor.offset, terms.eta)


def _add_intercept_and_beta(model: Model, predictor: PredictorDesign, center: bool, terms: _Terms) -> None:
    """The variable of the intercept is made after beta, its column stands before those of beta."""
    X, prefix = predictor.population, predictor.prefix
    beta_name, coef = prefixed(prefix, "beta"), prefixed(prefix, "coef")
    means = X.means if center and X.labels and (X.intercept or predictor.cutpoints) else None
    values = np.ascontiguousarray(X.values if means is None else X.centred)
    at_means: Tensor = None
    if X.labels:
        at_means = regression_coefficients(model, beta_name, coef, None if means is None else X.to_zero)
        X_data = pm.Data(data_name(prefixed(prefix, "X")), values, dims=(predictor.dim, coef))
        terms.eta = terms.eta + X_data @ at_means
    if X.intercept:
        name = prefixed(prefix, "Intercept")
        free = name if means is None else f"{name}_at_means"
        intercept = variable(model, free, key=name)
        if means is not None:
            model.auxiliary.add(free)
            pm.Deterministic(name, intercept - pt.dot(means, model[beta_name]))
        terms.eta = terms.eta + intercept
        terms.add(np.ones((predictor.rows, 1)), intercept[None], [(free, 0)], model.chosen[name])
    if X.labels:
        terms.add(values, at_means, _elements(model, at_means.name, coef), model.chosen[beta_name])


def _add_steps(model: Model, prefix: str, monotonic: Monotonic, terms: _Terms) -> None:
    """What uneven steps of mo(x) change in the predictor: columns with the coefficients b zeta. Under Dirichlet(a) of D shares each has
    variance (D - 1) / (D^2 (D a + 1)), and the even part of b zeta has columns that sum to 0."""
    name, D, beta = monotonic.name(prefix), monotonic.size, prefixed(prefix, "beta")
    a = model.chosen[name][0].arguments["a"]
    shares: Any = pm.Dirichlet(name, a=np.full(D, a), dims=monotonic.dim(prefix))
    whole: Tensor = model[beta]
    coefficients: Tensor = pt.concatenate([whole[k] * shares for k in monotonic.places])
    terms.eta = terms.eta + pm.Data(data_name(f"{name}_columns"), monotonic.steps) @ coefficients
    sd = np.sqrt((D - 1) / (D**2 * (D * a + 1)))
    terms.add(
        monotonic.steps,
        coefficients,
        [],
        [model.chosen[beta][k].scaled(sd) for k in monotonic.places for _ in range(D)],
    )


def _add_unpenalised_part(model: Model, predictor: PredictorDesign, smooth: Smooth, terms: _Terms) -> None:
    """Xf linear to the predictor: one coefficient, or a vector of them."""
    name, dim = smooth_name(predictor, smooth, "linear"), smooth_name(predictor, smooth, "coef")
    several = smooth.linear.shape[1] > 1
    coefficients = variable(model, name, dim) if several else variable(model, name)[None]
    dims = (predictor.dim, dim) if several else None
    terms.eta = terms.eta + pm.Data(data_name(f"{name}_columns"), smooth.linear, dims=dims) @ coefficients
    elements = _elements(model, name, dim) if several else [(name, 0)]
    terms.add(smooth.linear, coefficients, elements, model.chosen[name])


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
