"""Hurdle Poisson mixed model: whether there is any event, and how many if so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ()


def hurdle_poisson(
    data: Any,
    formula: str,
    *,
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
    """Counts in two parts: zero or not, and the size of those above zero.

        P(y_i = 0) = zi_i
        P(y_i = y) = (1 - zi_i) Poisson(y | mu_i) / (1 - e^(-mu_i)),  y > 0
        log mu_i = eta_i,  logit zi_i = w_i' gamma + group effects
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + log exposure_i

    zi is the probability of any zero (brms's `hu`); mu is the mean before zeros are cut off.

    Parameters
    ----------
    data, formula, exposure, per, weights, impute, center, clusters, missing
        As in `poisson`.
    zi
        `"~ x + (1 | g)"` models the logit of the probability of a zero, with covariates and group effects of its own;
        without it zi is one probability. A label correlates effects of both parts on one factor: `(1 |p| site)` in both
        formulas.
    priors
        Text by parameter, with the names of `zero_inflated_poisson`.

    Returns
    -------
    A PyMC model with the variables of `zero_inflated_poisson`; `beta` are logarithms of ratios of mu.

    Raises
    ------
    InputError
        As in `poisson`.
    """
    options = {"zi": zi, "exposure": exposure, "per": per, "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing}  # fmt: skip
    plan = plan_of_family("hurdle_poisson", FAMILIES["hurdle_poisson"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
