"""Covariates with missing values: their own likelihood, and their gaps as unknowns in the linear predictors.

x_i ~ Normal(mu_i, sigma_x) in every row, observed or not,   eta = X b + b z (x_gap - fill) in rows without x
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.missing_values import MissingValues
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.graph.likelihood import observe_outcome
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.variables import data_name
from glmm_zoo.plans.groups import Group, smooth_name
from glmm_zoo.plans.missing_covariates import MissingCovariate
from glmm_zoo.plans.plan import PlannedOutcome


def add_missing_covariates(model: Model, etas: dict[str, Tensor]) -> None:
    """Add each covariate's likelihood and unknowns, and what these change in the linear predictors `etas`, by prefix."""
    unknowns: dict[str, Tensor] = {}  # less the fill, by column
    for covariate in model.covariates:
        c, family = covariate, FAMILIES["gaussian"]
        planned = PlannedOutcome(c.prefix, c.prefix, family, family.links[0], c.outcome, c.main, c.observed)
        observe_outcome(model, planned, etas)
        if len(covariate.missing):
            model.no_preview = f"a preview has the mean in the place of missing values of {covariate.column!r}"
            unknowns[covariate.column] = _unknowns(model, covariate, unknowns)
            for p in model.predictors:
                for m in p.population.missing:
                    if m.column == covariate.column and m.slopes.any():
                        etas[p.prefix] = etas[p.prefix] + _change(model, p, m, unknowns[m.column])
                        model.linear[p.prefix] = replace(model.linear[p.prefix], eta=etas[p.prefix])


def _unknowns(model: Model, covariate: MissingCovariate, others: dict[str, Tensor]) -> Tensor:
    """The missing values (G,) of a covariate, less the fill; its predictor may have those of `others`."""
    gaps, start = covariate.gaps, covariate.outcome.location
    mu = _linear_predictor(model, gaps)
    for m in gaps.population.missing:
        if m.slopes.any():
            mu = mu + _change(model, gaps, m, others[m.column])
    sigma = model[prefixed(covariate.prefix, "sigma")]
    x: Tensor = pm.Normal(covariate.unknown, mu=mu, sigma=sigma, dims=gaps.dim, initval=np.full(gaps.rows, start))
    return x - start


def _change(model: Model, predictor: PredictorDesign, missing: MissingValues, unknown: Tensor) -> Tensor:
    """b z (x - fill) (n,)."""
    name = data_name(f"{predictor.dim}_{prefixed(predictor.prefix, f'mi_{missing.column}')}")
    beta: Tensor = model[prefixed(predictor.prefix, "beta")]
    slopes = pm.Data(f"{name}_slopes", missing.slopes) @ beta[np.array(missing.places)]
    return slopes * unknown[pm.Data(f"{name}_gap", missing.gaps, dims=predictor.dim)]


def _linear_predictor(model: Model, design: PredictorDesign) -> Tensor:
    """The linear predictor in further rows, with the coefficients and effects that are in the model."""
    prefix, X = design.prefix, design.population
    eta: Tensor = pt.zeros(design.rows)
    if X.intercept:
        eta = eta + model[prefixed(prefix, "Intercept")]
    columns = [(prefixed(prefix, "beta"), X.values)] if X.labels else []
    for s in design.smooths:
        columns += [(smooth_name(design, s, what), z) for what, z in (("linear", s.linear), ("weights", s.penalised))]
    for name, values in columns:
        if values.shape[1]:
            data = pm.Data(data_name(f"{design.dim}_{name}"), np.ascontiguousarray(values))
            eta = eta + data @ pt.atleast_1d(model[name])
    if design.offset is not None:
        eta = eta + pm.Data(data_name(f"{design.dim}_offset"), design.offset, dims=design.dim)
    for e in design.effects:
        group = next(g for g in model.groups if g.factor.name == e.factor.name and prefix in g.owners)
        eta = eta + _group_effects(model, design, group, e.z, e.factor.codes)
    return eta


def _group_effects(model: Model, design: PredictorDesign, group: Group, z: np.ndarray, codes: np.ndarray) -> Tensor:
    """z' u[level] (n,)."""
    level = pm.Data(data_name(f"{design.dim}_level_of_{group.dim}"), codes, dims=design.dim)
    effects = [model[group.name("u")][level, k] for k in range(len(group.labels))]
    for k, column in enumerate(z.T):
        if not np.all(column == 1):
            name = data_name(f"{design.dim}_z_{group.dim}_{k}")
            effects[k] = pm.Data(name, np.ascontiguousarray(column), dims=design.dim) * effects[k]
    return sum(effects[1:], start=effects[0])
