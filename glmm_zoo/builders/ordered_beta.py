"""Ordered beta mixed model: ratings on a visual scale, with its ends and the values between on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("ordbeta",)


def ordered_beta(
    data: Any,
    formula: str,
    *,
    bounds: Sequence[float] | str | None = None,
    dispersion: str | None = None,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Values on a scale with two ends, some of them at an end, with group effects.

        P(y_i = 0) = F(c_1 - eta_i),  P(y_i = 1) = F(eta_i - c_2),  F(x) = 1 / (1 + e^-x),  c_1 < c_2
        y_i ~ Beta(mu_i phi, (1 - mu_i) phi) between,  mu_i = F(eta_i)
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    One predictor moves zeros, ones and the values between; `beta` has predictors of their own for them (`zoi`, `coi`). phi and
    the cutpoints are those of glmmTMB's ordbeta.

    Parameters
    ----------
    data, formula
        A data frame, and `"y ~ x + (1 | g)"`, y from 0 to 1 or between `bounds`.
    bounds
        The ends of the scale, such as "0,100" for a visual scale in millimetres; the model is of shares of it.
    dispersion
        `"~ x + (1 | g)"` models log phi; without it phi is one number.
    weights, impute, center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: those of `hierarchical_logistic`, `cutpoints` as in `ordinal`, and `phi` or `phi_Intercept`, `phi_beta`.

    Returns
    -------
    A PyMC model with the variables of `hierarchical_logistic`, `cutpoints` (cutpoint: "0|between", "between|1"), and `phi`, or
    `phi_Intercept` and `phi_beta` (phi_coef) on its log scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.

    Source: Kubinec (2022), Political Analysis 31:519.
    """
    options = {"bounds": bounds, "dispersion": dispersion, "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing}  # fmt: skip
    plan = plan_of_family("ordered_beta", FAMILIES["ordered_beta"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
