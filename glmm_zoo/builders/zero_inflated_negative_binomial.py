"""Zero-inflated negative binomial mixed model: overdispersed counts with excess zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import negative_binomial_family
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("zinb",)


def zero_inflated_negative_binomial(
    data: Any,
    formula: str,
    *,
    zi: str | None = None,
    dispersion: str | None = None,
    parameterization: str = "nb2",
    exposure: str | None = None,
    per: float = 1.0,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Overdispersed counts, some of which are zero for another reason.

        P(y_i = 0) = zi_i + (1 - zi_i) f(0 | mu_i, alpha)
        P(y_i = y) = (1 - zi_i) f(y | mu_i, alpha),  y > 0
        log mu_i = eta_i,  logit zi_i = w_i' gamma + group effects
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + log exposure_i

    f is the negative binomial density of `negative_binomial`; zi is the probability that a row is a structural zero.

    Parameters
    ----------
    data, formula, dispersion, parameterization, exposure, per, weights, impute, center, clusters, missing
        As in `negative_binomial`.
    zi
        `"~ x + (1 | g)"` models logit zi, as in `zero_inflated_poisson`; without it zi is one probability.
    priors
        Text by parameter: those of `negative_binomial`, and of zi those of `zero_inflated_poisson`.

    Returns
    -------
    A PyMC model with the variables of `negative_binomial`, and `zi`, or `zi_Intercept` and `zi_beta` (zi_coef) on the
    logit scale with `zi_sd_<g>` and `zi_u_<g>`.

    Raises
    ------
    InputError
        As in `negative_binomial`.
    """
    options = {
        "zi": zi, "dispersion": dispersion, "parameterization": parameterization, "exposure": exposure, "per": per,
        "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing,
    }  # fmt: skip
    family = negative_binomial_family("zero_inflated_negative_binomial", parameterization)
    plan = plan_of_family("zero_inflated_negative_binomial", family, data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
