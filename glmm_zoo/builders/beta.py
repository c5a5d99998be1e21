"""Beta mixed model: proportions, with shares of exact zeros and ones where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from glmm_zoo.errors import InputError
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("zoib",)


def beta(
    data: Any,
    formula: str,
    *,
    dispersion: str | None = None,
    zi: str | None = None,
    zoi: str | None = None,
    coi: str | None = None,
    bounds: Sequence[float] | str | None = None,
    link: str = "logit",
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Proportions with group effects.

        y_i ~ Beta(mu_i phi, (1 - mu_i) phi),  link(mu_i) = eta_i,  var y_i = mu_i (1 - mu_i) / (1 + phi)
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    With `zi` zero has a probability of its own, and with `zoi` zero and one have,

        P(y_i = 0) = zi_i
        P(y_i = 0) = zoi_i (1 - coi_i),  P(y_i = 1) = zoi_i coi_i

    as in brms's zero_inflated_beta and zero_one_inflated_beta: mu and phi are then of the values between. `ordered_beta` has
    zeros, ones and the values between move together.

    Parameters
    ----------
    data, formula
        A data frame, and `"y ~ x + (1 | g)"`, y between 0 and 1 or between `bounds`.
    dispersion
        `"~ x + (1 | g)"` models log phi; without it phi is one number.
    zi
        `"~ 1"` or `"~ x + (1 | g)"` models logit zi, the probability of zero, where there are zeros and no ones.
    zoi
        The same of logit zoi, the probability of zero or one.
    coi
        Beside zoi, `"~ x + (1 | g)"` models logit coi, the probability that what is zero or one is one; without it coi is one number.
    bounds
        The ends of the scale, such as "0,100"; the model is of shares of it.
    link
        "logit", "probit" or "cloglog".
    weights, impute, center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: those of `hierarchical_logistic`, and `phi` or `phi_Intercept`, `phi_beta`; `zi_Intercept`,
        `zoi_Intercept`, `zoi_beta`, `zoi_sd`, `coi` or `coi_Intercept` and so on.

    Returns
    -------
    A PyMC model with the variables of `hierarchical_logistic`, and `phi`, or `phi_Intercept` and `phi_beta` (phi_coef) on its
    log scale; `zi_Intercept`, `zoi_Intercept`, `zoi_beta` (zoi_coef), `zoi_sd_<g>`, `coi` and so on, on the logit scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors; zi beside zoi, coi without zoi.
    """
    if zoi is None and coi is not None:
        raise InputError(
            "coi= is the share of ones among zeros and ones; give zoi=, their probability, with it: zoi='~ 1'"
        )
    if zoi is not None and zi is not None:
        raise InputError(
            "zi= is the probability of zero where there are no ones, zoi= that of zero or one; give one of them"
        )
    family = "zero_one_inflated_beta" if zoi is not None else "zero_inflated_beta" if zi is not None else "beta"
    options = {
        "dispersion": dispersion, "zi": zi, "zoi": zoi, "coi": coi, "bounds": bounds, "link": link, "weights": weights, "impute": impute, "center": center,
        "clusters": clusters, "missing": missing,
    }  # fmt: skip
    plan = plan_of_family("beta", FAMILIES[family], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
