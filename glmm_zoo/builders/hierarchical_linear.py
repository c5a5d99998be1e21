"""Linear mixed model: a continuous outcome, varying intercepts and slopes, repeated measures with correlated residuals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glmm_zoo.errors import InputError
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.plans.repeated_measures import plan_repeated_measures
from glmm_zoo.plans.single_outcome import plan_of_family
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("lmm", "mmrm")


def hierarchical_linear(
    data: Any,
    formula: str,
    *,
    dispersion: str | None = None,
    residual: str | None = None,
    time: str | None = None,
    within: str | None = None,
    weights: str | None = None,
    impute: Mapping[str, str] | None = None,
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

    With `residual` the residuals of one subject, the rows of one level of `within`, are correlated between visits, which `time`
    names (a mixed model for repeated measures, MMRM): those of visits j and k by

        "unstructured"  a correlation of its own, and a sigma for each visit
        "ar1"           rho^|j - k|, of equally spaced visits; "toeplitz" rho_|j - k|
        "car1"          rho^|t - s| at times t and s, which are numbers
        "compound"      rho >= 0, as a random intercept has it

    "ar1h", "toeplitzh" and "compoundh" have a sigma for each visit too; with `dispersion` its formula says what sigma is. Visits that
    a subject missed have no row. The likelihood is exact, one term for each subject.

    Parameters
    ----------
    data
        A data frame, one row for each observation.
    formula
        `"y ~ x + (1 + x | g)"`; the response may be an expression, `log(y)`.
    dispersion
        `"~ x + (1 | g)"` models log sigma, with covariates, curves and group effects of its own; without it sigma is one
        number. exp(sigma_beta) is a ratio of standard deviations.
    residual, time, within
        The structure, and the columns of visits and of subjects: `residual="unstructured", time="visit", within="id"`. A subject has
        one row at a visit. `(1 | id)` beside "ar1" and "car1" adds a correlation that stays; the others have it already.
    weights
        A column of numbers >= 0 by which the log-likelihood of each row is multiplied, as brms's weights() does: 2 is the row twice, 0
        leaves it out of the likelihood, a number between is a power prior of historical rows (Ibrahim & Chen 2000). Estimands and checks
        of the fit count each row once; the log-likelihood in the file, and with it loo, has the weights.
    impute
        `{"x": "~ z + (1 | g)"}` for a formula with `mi(x)`, a continuous covariate of which some values are missing: these are unknowns,
        x_i ~ Normal(mu_i, x_sigma) with the linear predictor mu that is given here, and rows that have x are its data (as brms's
        `bf(y ~ mi(x)) + bf(x | mi() ~ z)`). mi(x) may stand in interactions, `mi(x):z`; several covariates have mi() each, and the
        predictor of one may have mi() of those given before it. Rows with gaps in x are kept, whatever `missing` is.
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
        the others as on every log scale. `sigma[2]`, `corr[residual]`, LKJ(2) by default, `rho`, by default uniform: between -1
        and 1 for "ar1" and the partial autocorrelations of "toeplitz", between 0 and 1 for "compound" and, over the median gap between
        two visits, "car1".

        A covariate in mi() has its name before those of its own: `x_Intercept`, `x_beta`, `x_sd`, `x_sigma`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta` (coef), `sd_<g>`, `corr_<g>`, `u_<g>` and `sigma`, in units of y; with `dispersion`
    `sigma_Intercept`, `sigma_beta` (sigma_coef), `sigma_sd_<g>`, `sigma_u_<g>` on the log scale in place of `sigma`. With `residual`
    `corr_residual` (visit, visit_bis) or `rho`, of "toeplitz" by lag, and where visits have a sigma each `sigma` (visit). The log-likelihood
    is that of subjects. With `mi(x)` also `x_Intercept`, `x_beta` (x_coef), `x_sigma` and `mi_x` (mi_x_row), the missing values; the
    log-likelihood is that of y.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.
    """
    correlated = {"residual": residual, "time": time, "within": within}
    options = {
        "dispersion": dispersion, **correlated, "weights": weights, "impute": impute, "center": center, "clusters": clusters,
        "missing": missing,
    }  # fmt: skip
    if residual is not None and impute:
        raise InputError("mi() is not available beside correlated residuals; leave out impute= or residual=")
    if residual is not None and weights is not None:
        raise InputError("weights= are of rows whose residuals are independent; leave out weights= or residual=")
    if residual is not None:
        plan = plan_repeated_measures("hierarchical_linear", data, formula, options, priors)
    elif time is not None or within is not None:
        raise InputError(
            "time= and within= are for correlated residuals; say how they correlate, residual='unstructured'"
        )
    else:
        plan = plan_of_family("hierarchical_linear", FAMILIES["gaussian"], data, formula, options, priors)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
