"""Zero-inflated Poisson mixed model: counts with more zeros than Poisson."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("zip",)


def zero_inflated_poisson(
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
    """Counts, some of which are zero for another reason.

        P(y_i = 0) = zi_i + (1 - zi_i) e^(-mu_i)
        P(y_i = y) = (1 - zi_i) Poisson(y | mu_i),  y > 0
        log mu_i = eta_i,  logit zi_i = w_i' gamma + group effects
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + log exposure_i

    zi is the probability that a row is a structural zero: PyMC's `psi` is 1 - zi.

    Parameters
    ----------
    data, formula, exposure, per
        As in `poisson`.
    zi
        `"~ x + (1 | g)"` models logit zi, with covariates and group effects of its own; without it zi is one
        probability. A label correlates effects of both parts on one factor: `(1 |p| site)` in both formulas.
    weights, impute, center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[x]`, `sd`, `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`,
        `zi` or `zi_Intercept`, `zi_beta`, `zi_sd`, `zi_corr`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>` and `u_<g>`, logarithms of rates;
    `zi` or `zi_Intercept`, `zi_beta` (zi_coef), `zi_sd_<g>`, `zi_u_<g>`, on the logit scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    options = {"zi": zi, "exposure": exposure, "per": per, "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing}  # fmt: skip
    plan = plan_of_family("zero_inflated_poisson", FAMILIES["zero_inflated_poisson"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
