"""Student-t mixed model: a continuous outcome with values far off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("student",)


def student_t(
    data: Any,
    formula: str,
    *,
    dispersion: str | None = None,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Continuous responses with group effects and tails that are heavier than normal ones.

        y_i ~ StudentT(nu, eta_i, sigma)
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    A value far off pulls the estimates less the farther off it is. nu is estimated; nu -> infinity is `hierarchical_linear`. sigma is
    the scale: the standard deviation is sigma sqrt(nu / (nu - 2)), infinite for nu <= 2.

    Parameters
    ----------
    data, formula, weights, impute, center, clusters, missing
        As in `hierarchical_linear`.
    dispersion
        `"~ x + (1 | g)"` models log sigma; without it sigma is one number.
    priors
        Text by parameter: those of `hierarchical_linear`, and `nu`; of `dispersion` `sigma_Intercept`, by default StudentT(3, log sd(y), 2.5), and
        `sigma_beta`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>`, `u_<g>` and `sigma` in units of y, and `nu`; with `dispersion`
    `sigma_Intercept` and `sigma_beta` (sigma_coef) on the log scale of sigma.

    Raises
    ------
    InputError
        As in `hierarchical_linear`.
    """
    options = {"dispersion": dispersion, "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing}  # fmt: skip
    plan = plan_of_family("student_t", FAMILIES["student_t"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
