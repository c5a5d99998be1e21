"""Meta-analysis of trials from the counts of their arms: pooled odds ratio or rate ratio, heterogeneity, meta-regression."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import raise_all
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.plans.options import unknown_choices
from glmm_zoo.plans.reading import remark
from glmm_zoo.plans.single_outcome import plan_single_outcome
from glmm_zoo.priors import Parameter, beta_defaults, coefficients, parameter
from glmm_zoo.tables.frames import Missing
from glmm_zoo.trials.arm_predictor import CODINGS, single_of_arms
from glmm_zoo.trials.arms import Arms, read_arms
from glmm_zoo.trials.heterogeneity import EFFECT, heterogeneity_problems, study_levels, tau_prior

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("meta",)
BASELINES = ("fixed", "random", "bivariate")


def meta_analysis(
    data: Any,
    formula: str,
    *,
    study: str = "study",
    treatment: str = "treat",
    baseline: str = "fixed",
    coding: str = "01",
    exposure: str | None = None,
    control: str | float | bool | None = None,
    baseline_risk: float | None = None,
    heterogeneity: str | None = None,
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """One-stage meta-analysis of two arms: the counts have their exact likelihood, so arms with no events stay as they are.

        y_it ~ Binomial(n_it, p_it),  logit p_it = eta_it                 study i, arm t: 0 control, 1 treated
        y_it ~ Poisson(T_it r_it),    log r_it = eta_it                   with person-time T = exposure
        eta_it = b_i + t m_i + s (d_i - m_i)                              s = t, or t - 1/2 with coding "half"
        m_i = effect + (x_i - mean of x)' beta,  d_i ~ Normal(m_i, tau)
        b_i = study_Intercept_i                                           baseline "fixed"
        b_i = Intercept + u_i,  u_i ~ Normal(0, sd_<study>)               baseline "random"; u_i, d_i independent

    With baseline "bivariate" the arms have correlated effects (van Houwelingen, Zwinderman & Stijnen 1993):

        eta_it = Intercept + t m_i + u_it,  (u_i0, u_i1) ~ Normal(0, S)
        d_i = m_i + u_i1 - u_i0,  tau^2 = s_0^2 + s_1^2 - 2 r s_0 s_1

    "fixed" lets nothing but the arms of one study tell its effect. With coding "01" all of the spread of effects is in
    the treated arms, whose log odds then vary more than those of controls; with "half" it is in both alike. The coding is
    that of the random effect only, as in metafor's rma.glmm; a bivariate model has none. Covariates modify the effect
    and are centred at their mean over the studies, so that `effect` is that of the average study. With a product x:w
    `beta` of x and w are slopes where the other is zero, and their priors hold where the other is at its mean.

    Parameters
    ----------
    data
        Long, one row for each arm, or wide, one row for each study with `events1, n1, events2, n2` (or `events_1`, ...)
        where arm 1 is the control. Several rows of one arm, say of two doses, share the study's effect.
    formula
        `"events | trials(n) ~ treat + x"`, x being study covariates; `treat` may be left out.
    study, treatment
        Columns; the treatment has two values and is not needed in a wide table.
    baseline, coding
        See above. `effect` is the log odds (or rate) ratio in any of them.
    exposure
        A column of person-time > 0, for a response without trials: log rate ratios.
    control
        The value of the treatment that is the control; by default 0, False, the first of a declared order, or the
        label that is called as controls are ("placebo", "usual care").
    baseline_risk
        Risk (or rate) without treatment that the risk difference and the number needed to treat are for; by default
        the crude one of all control arms.
    heterogeneity
        Name of an empirical prior of tau for log odds ratios (Turner et al. 2012), by outcome and comparison:
        "all-cause mortality", "semi-objective" or "subjective", then "pharmacological vs placebo",
        "pharmacological vs pharmacological" or "non-pharmacological", as in "subjective, non-pharmacological";
        or "general".
    missing
        "error" refuses rows with missing values, "drop" drops them and says so.
    priors
        Text by parameter: `effect`, `tau`, `beta`, `beta[x]`; `study_Intercept` with fixed baselines, `Intercept` and
        `sd` with random ones; with bivariate ones `Intercept`, `sd`, `corr`, and none for tau, which they determine.
        Defaults: effect ~ Normal(0, 2.5), that of any two-valued column; tau ~ HalfNormal(1), the wider of the two
        half-normals that Friede et al. (2017) use for log odds ratios; study_Intercept ~ Normal(m, 5) each,
        with m = 0 or the log of the crude rate: wide, so that rare events are rare without an effect on the ratios, and
        with tails that leave a trial without events a baseline that can be sampled.

    Returns
    -------
    A PyMC model with `effect` and `tau`, `beta` (coef), `study_effect` (study) = d_i, and `study_Intercept` (study), or
    `Intercept`, `sd_<study>` and `u_<study>`, or also `corr_<study>` with the effects "control" and "treatment".

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors; a study with one arm, a covariate that varies in a study.
    """
    options = {
        "study": study, "treatment": treatment, "baseline": baseline, "coding": coding, "exposure": exposure,
        "control": control, "baseline_risk": baseline_risk, "heterogeneity": heterogeneity, "missing": missing,
    }  # fmt: skip
    _check(options, priors or {})
    arms = read_arms(
        data, formula, study=study, treatment=treatment, control=control, exposure=exposure, missing=missing
    )
    single = single_of_arms(formula, arms, baseline, heterogeneity)
    treated = DesignMatrix(arms.treated[:, None].astype(float), (treatment,), intercept=True)
    plan = plan_single_outcome(
        "meta_analysis",
        remark(single, single.family.doubts(single.outcome, treated)),
        options,
        priors,
        extra=_parameters(arms, baseline, heterogeneity),
        findings=("pooled",),
        facts={**arms.facts(treatment), "baseline_risk": baseline_risk, "exposure": exposure},
    )
    import pymc as pm  # PyMC is imported once the input has proved sound

    from glmm_zoo.graph.likelihood import observe_outcome
    from glmm_zoo.graph.model import Model
    from glmm_zoo.graph.predictors import linear_predictors
    from glmm_zoo.graph.transforms.study_effects import StudyEffectsTransform
    from glmm_zoo.graph.variables import regression_coefficients, standard_deviation, variable

    study = variable_name(arms.study.name)
    with Model(plan) as model:
        model.add_coord(study, list(arms.study.levels))
        by_row = {"effect": arms.treated[:, None].astype(float)}  # columns that effect and beta are multiplied with
        mean = variable(model, "effect") + np.zeros(len(arms.study.levels))  # (S,)
        if arms.covariates is not None:
            model.add_coord("coef", list(arms.covariates.labels))
            X = arms.covariates.centred  # (S, p)
            beta = regression_coefficients(model, "beta", "coef", arms.covariates.to_zero)
            mean = mean + pm.math.dot(X, beta)
            by_row[beta.name] = arms.treated[:, None] * X[arms.study.codes]
        if baseline == "bivariate":
            eta = linear_predictors(model, also=by_row)[""]  # (n,)
            u, sd, r = model[f"u_{study}"], model[f"sd_{study}"], model[f"corr_{study}"][0, 1]
            pm.Deterministic("tau", pm.math.sqrt(sd[0] ** 2 + sd[1] ** 2 - 2 * r * sd[0] * sd[1]))
            pm.Deterministic("study_effect", mean + u[:, 1] - u[:, 0], dims=study)
        else:
            eta = linear_predictors(model)[""]
            tau = standard_deviation(model, "tau", near=arms.rough_heterogeneity())
            transform = StudyEffectsTransform(*arms.rough_effects())
            d = pm.Normal("study_effect", mean, tau, dims=study, default_transform=None, transform=transform)
            i = pm.Data("_study_of", arms.study.codes, dims="row")
            t, s = arms.treated.astype(float), arms.treated + CODINGS[coding]
            eta = eta + pm.Data("_t", t, dims="row") * mean[i] + pm.Data("_s", s, dims="row") * (d - mean)[i]
        if baseline == "fixed":
            eta = eta + variable(model, "study_Intercept", study)[i]
        observe_outcome(model, plan.outcomes[0], {"": eta})
    return model


def _check(options: Mapping[str, Any], priors: Mapping[str, str]) -> None:
    """What can be said of the options before the data are read."""
    problems = unknown_choices(options, {"baseline": BASELINES, "coding": tuple(CODINGS)})
    problems += heterogeneity_problems(options, priors, tau=options["baseline"] != "bivariate")
    risk, most = options["baseline_risk"], np.inf if options["exposure"] else 1
    if risk is not None and (isinstance(risk, bool) or not isinstance(risk, Real) or not 0 < float(risk) < most):
        words = "a rate > 0" if options["exposure"] else "a risk between 0 and 1"
        problems.append(f"baseline_risk must be {words}, not {risk!r}")
    raise_all(problems)


def _parameters(arms: Arms, baseline: str, heterogeneity: str | None) -> list[Parameter]:
    """What needs a prior beside the group effects."""
    needed = [parameter("effect", "real", EFFECT)]
    if baseline != "bivariate":
        needed.append(parameter("tau", "positive", tau_prior(heterogeneity)))
    if arms.covariates is not None:
        defaults = beta_defaults(arms.covariates.spreads.tolist(), 1.0)
        needed.append(coefficients("beta", arms.covariates.labels, defaults))
    if baseline == "fixed":
        needed.append(study_levels(arms.study.levels, arms.log_rate))
    return needed
