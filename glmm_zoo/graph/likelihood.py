"""From a plan to a model: linear predictors, and the likelihood of every outcome given them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.gaussian import observe_gaussian
from glmm_zoo.families.ordinal import initial_cutpoints
from glmm_zoo.families.registry import OwnParameter
from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.graph.correlation import correlation_factor
from glmm_zoo.graph.cutpoints import add_cutpoints
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.predictors import linear_predictors
from glmm_zoo.graph.variables import log_positive, logit_share, variable
from glmm_zoo.plans.joint_outcomes import RESIDUAL
from glmm_zoo.plans.plan import Plan, PlannedOutcome


def build_model(plan: Plan) -> Model:
    """The model of a plan that needs nothing beside linear predictors and families."""
    with Model(plan) as model:
        observe_outcomes(model, plan)
    return model


def observe_outcomes(model: Model, plan: Plan) -> dict[str, Tensor]:
    """Add linear predictors and likelihoods of all outcomes; eta (n,) of every predictor, by prefix."""
    etas = linear_predictors(model, center=plan.center)
    for name, effects in plan.loadings.items():
        level = pm.Data(f"_{name}_loaded_level", effects.factor.codes, dims=f"{name}_row")
        etas[name] = etas[name] + variable(model, prefixed(name, "loading")) * model[plan.loaded_effect][level, 0]
        model.linear[name] = replace(model.linear[name], eta=etas[name])
    for planned in plan.outcomes:
        if plan.residual_pair and planned is plan.residual_pair[1]:
            _observe_given_first(model, plan.residual_pair[0], planned, etas)
        else:
            observe_outcome(model, planned, etas, center=plan.center)
    return etas


def observe_outcome(model: Model, planned: PlannedOutcome, etas: Mapping[str, Tensor], *, center: bool = True) -> None:
    """Add the family's own parameters and the likelihood of one outcome, given the linear predictors by prefix."""
    own = {p.name: _own_parameter(model, planned, p, etas, center) for p in planned.family.own}
    planned.family.observe(planned.name, planned.outcome, etas[planned.prefix], planned.link, own)


def _own_parameter(
    model: Model, planned: PlannedOutcome, parameter: OwnParameter, etas: Mapping[str, Tensor], center: bool
) -> Tensor:
    """A parameter of the family on the scale on which its density takes it."""
    name = prefixed(planned.prefix, parameter.name)
    if parameter.scale == "logit":
        return logit_share(model, name, etas)
    if parameter.scale == "log":
        return log_positive(model, name, etas)
    if parameter.scale == "thresholds":
        levels = planned.outcome.levels
        start = initial_cutpoints(planned.outcome) if planned.family.latent else None
        return add_cutpoints(model, planned.main, [f"{a}|{b}" for a, b in pairwise(levels)], start, center=center)
    if parameter.labels:
        dim = prefixed(planned.prefix, parameter.dim)
        model.add_coord(dim, list(parameter.labels))
        return variable(model, name, dim)
    return variable(model, name)


def _observe_given_first(
    model: Model, first: PlannedOutcome, second: PlannedOutcome, etas: Mapping[str, Tensor]
) -> None:
    """y_2 given y_1, whose residuals have correlation rho in the rows that have both, w = rho there and 0 elsewhere:

    y_2 ~ Normal(eta_2 + sigma_2 w (y_1 - eta_1) / sigma_1, sigma_2 sqrt(1 - w^2))
    """
    names = [first.name, second.name]
    model.add_coord(RESIDUAL, names)
    model.add_coord(f"{RESIDUAL}_bis", names)
    model.auxiliary.add(f"pcorr_{RESIDUAL}")
    eta = model.chosen[f"corr_{RESIDUAL}"][0].arguments["eta"]
    _, (rho, _) = correlation_factor(model, f"pcorr_{RESIDUAL}", names, eta)
    one = pt.constant(1.0)
    matrix = pt.stack([pt.stack([one, rho]), pt.stack([rho, one])])
    pm.Deterministic(f"corr_{RESIDUAL}", matrix, dims=(RESIDUAL, f"{RESIDUAL}_bis"))
    y_1, sigma_1 = model[first.name], model[prefixed(first.name, "sigma")]
    sigma_2 = variable(model, prefixed(second.name, "sigma"))
    both = np.isin(second.rows, first.rows)
    row_of_first = np.where(both, np.searchsorted(first.rows, second.rows), 0)
    w: Any = rho * both.astype(float)
    mean = etas[second.name] + sigma_2 * w * ((y_1 - etas[first.name]) / sigma_1)[row_of_first]
    observe_gaussian(second.name, second.outcome, mean, sigma_2 * pt.sqrt(1.0 - w * w))
