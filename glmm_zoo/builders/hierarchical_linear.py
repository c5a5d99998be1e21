"""Linear mixed model: a continuous outcome, varying intercepts and slopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("lmm",)


def hierarchical_linear(
    data: Any,
    formula: str,
    *,
    dispersion: str | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Gaussian responses with group effects.

        y_i ~ Normal(eta_i, sigma)
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    With `dispersion` the residual standard deviation has a linear predictor too (a location-scale model),

        y_i ~ Normal(eta_i, sigma_i),  log sigma_i = sigma_Intercept + w_i' sigma_beta + group effects

    and a label correlates effects on both: with `(1 |p| id)` in both formulas some subjects are higher and more variable.

    Parameters
    ----------
    data
        A data frame, one row for each observation.
    formula
        `"y ~ x + (1 + x | g)"`; the response may be an expression, `log(y)`.
    dispersion
        `"~ x + (1 | g)"` models log sigma, with covariates, curves and group effects of its own; without it sigma is one
        number. exp(sigma_beta) is a ratio of standard deviations.
    center
        Priors of the intercept, of intercepts that vary beside slopes, and of main effects of covariates that are
        multiplied hold at the covariates' means (True) or at zero (False). `Intercept`, `beta`, `sd_<g>`, `corr_<g>` and
        `u_<g>` are at zero covariates either way, `sd_<g>_at_means` and `corr_<g>_at_means` at the means.
    clusters
        "fixed" writes grouping factors with fewer than 6 levels as population terms.
    missing
        "error" refuses rows with missing values, "drop" drops them and says so.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[x]`, `sd`, `sd[g]`, `sd[g, x]`, `corr`, `corr[g]`, `sigma` or
        `sigma_Intercept`, `sigma_beta`, `sigma_sd`, `sigma_corr`. By default sigma_Intercept ~ StudentT(3, log sd(y), 2.5) and
        the others as on every log scale.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>`, `u_<g>` and `sigma`, in units of y; with `dispersion`
    `sigma_Intercept`, `sigma_beta` (sigma_coef), `sigma_sd_<g>`, `sigma_u_<g>` on the log scale in place of `sigma`.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    options = {"dispersion": dispersion, "center": center, "clusters": clusters, "missing": missing}
    plan = plan_of_family("hierarchical_linear", FAMILIES["gaussian"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
