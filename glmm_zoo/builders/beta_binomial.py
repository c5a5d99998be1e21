"""Beta-binomial mixed model: counts of successes that vary more than binomial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("betabinomial",)


def beta_binomial(
    data: Any,
    formula: str,
    *,
    dispersion: str | None = None,
    link: str = "logit",
    success: str | float | bool | None = None,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Overdispersed counts of successes with group effects.

        y_i ~ Binomial(n_i, P_i),  P_i ~ Beta(mu_i phi, (1 - mu_i) phi),  link(mu_i) = eta_i
        var y_i = n_i mu_i (1 - mu_i) (1 + (n_i - 1) / (1 + phi))
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    Two trials of a row are correlated by 1 / (1 + phi); phi -> infinity is `hierarchical_logistic`. phi is that of brms's
    beta_binomial and glmmTMB's betabinomial.

    Parameters
    ----------
    data, formula, link, success
        As in `hierarchical_logistic`: `"successes | trials(n) ~ x + (1 | g)"`. Single trials say nothing of phi.
    dispersion
        `"~ x + (1 | g)"` models log phi; without it phi is one number.
    weights, impute, center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: those of `hierarchical_logistic`, and `phi` or `phi_Intercept`, `phi_beta`.

    Returns
    -------
    A PyMC model with the variables of `hierarchical_logistic`, and `phi`, or `phi_Intercept` and `phi_beta` (phi_coef) on its
    log scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    options = {"dispersion": dispersion, "link": link, "success": success, "weights": weights, "impute": impute, "center": center, "clusters": clusters}  # fmt: skip
    options["missing"] = missing
    plan = plan_of_family("beta_binomial", FAMILIES["beta_binomial"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
