"""Categorical mixed model (multinomial logit): unordered categories, each with a linear predictor of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("multinomial",)


def categorical(
    data: Any,
    formula: str,
    *,
    reference: str | float | bool | None = None,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """One of K unordered categories, with group effects.

        P(y_i = k) = e^eta_ik / (1 + sum over the K - 1 categories l of e^eta_il),  eta_i = 0 for the reference
        eta_ik = Intercept_k + x_i' beta_k + sum_g z_gi' u_gk[level of row i] + offset_i
        u_gk[level] ~ Normal(0, S_gk)

    exp(beta_k) is the ratio of the odds of category k against the reference for one unit more: the relative risk ratio of
    multinomial regression. The formula is that of each of the K - 1 predictors. Effects of a level are independent between
    categories, and with a label, `(1 |p| g)`, correlated over all of them. With two categories it is `hierarchical_logistic`.

    Parameters
    ----------
    data
        A data frame, one row for each choice.
    formula
        `"y ~ x + s(z) + (1 |p| g)"` with y a column of labels, logicals or whole numbers.
    reference
        The category against which the others are; by default the first in the declared order of the levels, or in the alphabet's.
        A frequent one is best: against a rare one all log odds are uncertain together, and sampling is slower.
    weights, impute, center, clusters, missing
        As in `hierarchical_linear`.
    priors
        Text by parameter, prefixed by the category's name: `car_Intercept`, `car_beta`, `car_beta[x]`, `car_sd[g]`; without a name for
        all categories: `Intercept`, `beta`, `sd`. `sd[g, car:Intercept]`, `corr`, `corr[g]` for effects with a label.

    Returns
    -------
    A PyMC model with `car_Intercept`, `car_beta` (car_coef), `car_sd_<g>`, `car_corr_<g>` and `car_u_<g>` for each category but the
    reference, log odds against it; `sd_<g>`, `corr_<g>` and `u_<g>` of effects with a label, called "car:Intercept".

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    options = {"reference": reference, "weights": weights, "impute": impute, "center": center, "clusters": clusters, "missing": missing}  # fmt: skip
    plan = plan_of_family("categorical", FAMILIES["categorical"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
