"""Conway-Maxwell-Poisson mixed model: counts that vary less than Poisson, or more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("compois", "conway_maxwell_poisson")


def com_poisson(
    data: Any,
    formula: str,
    *,
    dispersion: str | None = None,
    zi: str | None = None,
    exposure: str | None = None,
    per: float = 1.0,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Counts less variable than Poisson (underdispersed), or more, with group effects.

        P(y_i = y) = lambda_i^y / (y!)^nu / Z(lambda_i, nu),  Z(lambda, nu) = sum_j lambda^j / (j!)^nu
        lambda_i such that the mean is mu_i,  log mu_i = eta_i
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + log exposure_i
        u_g[level] ~ Normal(0, S_g)

    nu = 1 is Poisson; for nu > 1 the variance is less than the mean, about mu / nu. The mean is exactly mu_i, and coefficients
    are logarithms of ratios of means, as in `poisson` (Huang 2017). glmmTMB's `compois` reports 1 / nu.
    A nu below both 1.5e-5 mu and 301 / mu, at most 0.067, is taken for the less of these, and one above 300 for 300.

    Parameters
    ----------
    data, formula, exposure, per, weights, impute, center, clusters, missing
        As in `poisson`.
    dispersion
        `"~ x + (1 | g)"` models log nu; without it nu is one number.
    zi
        `"~ 1"` or `"~ x + (1 | g)"` models logit zi, the probability that a row is a structural zero; without it there are none.
    priors
        Text by parameter: those of `poisson`, and `nu` or `nu_Intercept`, `nu_beta`; `zi_Intercept`, `zi_beta`, `zi_sd`.

    Returns
    -------
    A PyMC model with the variables of `poisson`, and `nu`, or `nu_Intercept` and `nu_beta` (nu_coef) on its log scale;
    `zi_Intercept`, `zi_beta` (zi_coef) and so on, on the logit scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, formulas of nu and zi, data or priors.
    """
    options = {
        "dispersion": dispersion, "zi": zi, "exposure": exposure, "per": per, "weights": weights, "impute": impute, "center": center,
        "clusters": clusters, "missing": missing,
    }  # fmt: skip
    family = FAMILIES["com_poisson" if zi is None else "zero_inflated_com_poisson"]
    plan = plan_of_family("com_poisson", family, data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
