"""Slopes of the effects of studies over their covariates, and over the studies' levels under the reference."""

from __future__ import annotations

import numpy as np
import pymc as pm
from scipy.linalg import block_diag

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.transforms.study_effects import StudyEffectsTransform
from glmm_zoo.graph.variables import regression_coefficients, standard_deviation, variable
from glmm_zoo.trials.interactions import Interactions


def study_slopes(model: Model, interactions: Interactions) -> Tensor | None:
    """The slopes (coef,), those of products at the means of their covariates; None where effects have none."""
    names, X = interactions.names, interactions.covariates
    if not names:
        return None
    model.add_coord("coef", list(interactions.labels))
    if interactions.kind == "exchangeable":
        model.add_coord("covariate", list(names))
        mean, sd = variable(model, "beta_mean", "covariate"), standard_deviation(model, "beta_sd", "covariate")
        of = np.repeat(np.arange(len(names)), interactions.per_covariate)
        nothing_known = StudyEffectsTransform(np.zeros(len(of)), np.full(len(of), np.inf))
        return pm.Normal("beta", mean[of], sd[of], dims="coef", default_transform=None, transform=nothing_known)
    to_zero = None if X is None or X.to_zero is None else X.to_zero
    if to_zero is not None and interactions.level is not None:
        to_zero = block_diag(to_zero, np.eye(1))
    return regression_coefficients(model, "beta", "coef", to_zero)


def with_slopes(
    interactions: Interactions,
    effects: Tensor,
    beta: Tensor | None,
    study: np.ndarray,
    against: np.ndarray,
    level: Tensor,
) -> Tensor:
    """D (m,) of these studies (m,), given the effects (m,) of treatments `against` (m, treatments) where there are no slopes."""
    if beta is None:
        return effects
    own = interactions.of_covariates
    if own:
        effects = effects + pm.math.dot(interactions.over_covariates(study, against), beta[:own])
    if interactions.level is not None:
        slope = pm.math.dot(interactions.over_level(against), beta[own:])
        effects = effects + slope * (level[study] - interactions.level)
    return effects
