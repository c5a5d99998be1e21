"""From a plan to a PyMC model: its linear predictors, then the likelihood of every outcome given them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from glmm_zoo.families.gaussian import observe_gaussian
from glmm_zoo.families.tensors import Tensor, without_traces
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.graph.correlation import correlation_factor
from glmm_zoo.graph.likelihood import observe_outcome
from glmm_zoo.graph.missing_covariates import add_missing_covariates
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.predictors import linear_predictors
from glmm_zoo.graph.residuals import observe_repeated_measures
from glmm_zoo.graph.variables import log_positive, variable
from glmm_zoo.plans.plan import Plan, PlannedOutcome
from glmm_zoo.plans.residuals import RESIDUAL


def build_model(plan: Plan) -> Model:
    """The model of a plan that needs nothing beside linear predictors and families."""
    with without_traces(), Model(plan) as model:
        observe_outcomes(model, plan)
    return model


def observe_outcomes(model: Model, plan: Plan) -> dict[str, Tensor]:
    """Add linear predictors and likelihoods of all outcomes; eta (n,) of every predictor, by prefix."""
    etas = linear_predictors(model, center=plan.center)
    add_missing_covariates(model, etas)
    for name, effects in plan.loadings.items():
        level = pm.Data(f"_{name}_loaded_level", effects.factor.codes, dims=f"{name}_row")
        etas[name] = etas[name] + variable(model, prefixed(name, "loading")) * model[plan.loaded_effect][level, 0]
        model.linear[name] = replace(model.linear[name], eta=etas[name])
    for planned in plan.outcomes:
        if plan.residual_pair and planned is plan.residual_pair[1]:
            _observe_given_first(model, plan.residual_pair[0], planned, etas)
        elif plan.residuals is not None:
            observe_repeated_measures(model, planned, plan.residuals, etas)
        else:
            observe_outcome(model, planned, etas, center=plan.center)
    return etas


def _observe_given_first(
    model: Model, first: PlannedOutcome, second: PlannedOutcome, etas: Mapping[str, Tensor]
) -> None:
    """y_2 given y_1, whose residuals have correlation rho in the rows that have both, w = rho there and 0 elsewhere:

    y_2 ~ Normal(eta_2 + sigma_2 w (y_1 - eta_1) / sigma_1, sigma_2 sqrt(1 - w^2)),  each sigma that of the row
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
    y_1, sigma_1 = model[first.name], prefixed(first.name, "sigma")
    log_sigma_1: Tensor = etas[sigma_1] if sigma_1 in etas else pt.log(model[sigma_1])
    log_sigma_2: Tensor = log_positive(model, prefixed(second.name, "sigma"), etas)
    both = np.isin(second.rows, first.rows)
    row_of_first = np.where(both, np.searchsorted(first.rows, second.rows), 0)
    w: Any = rho * both.astype(float)
    of_first: Tensor = ((y_1 - etas[first.name]) * pt.exp(-log_sigma_1))[row_of_first]
    mean = etas[second.name] + pt.exp(log_sigma_2) * w * of_first
    log_rest: Tensor = pt.log1p(-w * w)
    observe_gaussian(second.name, second.outcome, mean, log_sigma_2 + 0.5 * log_rest)
