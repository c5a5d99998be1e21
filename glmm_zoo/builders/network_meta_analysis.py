"""Network meta-analysis of trials from the counts of their arms: several treatments, direct and indirect evidence, ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import raise_all
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.plans.options import unknown_choices
from glmm_zoo.plans.reading import remark
from glmm_zoo.plans.single_outcome import plan_single_outcome
from glmm_zoo.priors import Parameter, coefficients, parameter
from glmm_zoo.tables.frames import Missing
from glmm_zoo.trials.arm_predictor import single_of_network
from glmm_zoo.trials.arms import arms_formula
from glmm_zoo.trials.heterogeneity import EFFECT, heterogeneity_problems, study_levels, tau_prior
from glmm_zoo.trials.interactions import INTERACTIONS, interaction_problems
from glmm_zoo.trials.network import Network, read_network

if TYPE_CHECKING:
    from glmm_zoo.families.tensors import Tensor
    from glmm_zoo.graph.model import Model

ALIASES = ("nma",)
NETWORK_CHOICES = {
    "trt_effects": ("random", "fixed"),
    "consistency": ("consistency", "ume"),
    "baseline": ("fixed", "random"),
    "interactions": INTERACTIONS,
}


def network_meta_analysis(
    data: Any,
    formula: str,
    *,
    study: str = "study",
    treatment: str = "treat",
    reference: str | float | bool | None = None,
    trt_effects: str = "random",
    consistency: str = "consistency",
    baseline: str = "fixed",
    interactions: str = "common",
    baseline_regression: bool | float = False,
    exposure: str | None = None,
    heterogeneity: str | None = None,
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Network meta-analysis of arms (Dias, Sutton, Ades & Welton 2013; NICE DSU TSD 2 and 4): the counts have their exact likelihood.

        y_ik ~ Binomial(n_ik, p_ik),  logit p_ik = eta_ik                 study i, arm k; or Poisson(T_ik r_ik), log r_ik = eta_ik
        eta_i1 = b_i,  eta_ik = b_i + delta_ik                            arm 1 is the study's own baseline
        delta_ik ~ Normal(m_ik, tau^2),  correlation of delta_ik, delta_il 1/2        "random"; delta_ik = m_ik with "fixed"
        m_ik = effect[t_ik] - effect[t_i1],  effect[reference] = 0        "consistency"
        m_ik = effect[t_ik vs t_i1]                                       "ume": unrelated mean effects
        b_i = study_Intercept_i                                           baseline "fixed"
        b_i = Intercept + effect[t_i1] + u_i,  u_i ~ Normal(0, sd_<study>)            baseline "random"

    With covariates of the studies, in place of effect[t] in study i (network meta-regression, TSD 3):

        D_it = effect[t] + sum over covariates j of (x_ij - mean of x_j) B_jt,  D of the reference = 0
        B_jt = beta_j                                                     interactions "common"
        B_jt = beta_jt                                                    "independent"
        B_jt = beta_jt ~ Normal(beta_mean_j, beta_sd_j^2)                 "exchangeable"

    so that `effect` is that of the average study, and a covariate that changes all effects alike leaves those of treatments against each
    other as they are. With baseline_regression the study's level under the reference, mu_i, is a covariate too, whose value is known no
    better than the arms tell (TSD 3, section 5.2):

        b_i = mu_i + D_i,t_i1,  mu_i = study_Intercept_i,  D_it has the term (mu_i - m) B_t

    m is the mean log odds, or log rate, of the reference's arms, or that of a risk, or rate, that is given: baseline_regression=0.1.

    The baseline of a study is the one of its treatments that comes first, the reference before all others. With consistency direct and
    indirect evidence are of one effect; unrelated mean effects have one for each pair that was compared, so that a fit that is no
    better, and a tau that is no smaller, speak for consistency (Dias et al. 2013, TSD 4). Fixed baselines let nothing but the arms of a
    study tell its effects.

    Parameters
    ----------
    data
        One row for each arm. Several rows of one treatment in a study, say of two doses, share an effect.
    formula
        `"events | trials(n) ~ treat + x"`, x being study covariates; `treat` may be left out.
    study, treatment
        Columns.
    reference
        The treatment that the others are compared with; by default the first of a declared order or of numbers, the one label that is
        called as controls are ("placebo", "usual care"), else the treatment of most studies.
    trt_effects, consistency, baseline, interactions, baseline_regression
        See above. Slopes are of consistent effects, those over the baseline of fixed ones.
    exposure, heterogeneity, missing
        As in `meta_analysis`.
    priors
        Text by parameter: `effect`, `effect[B vs A]`, `tau`; `study_Intercept` with fixed baselines, `Intercept` and `sd` with random
        ones; `beta`, `beta[x]`, `beta[x:treat[B]]`, or `beta_mean` and `beta_sd` of exchangeable slopes. Defaults as in `meta_analysis`:
        effect ~ Normal(0, 2.5), tau ~ HalfNormal(1), study_Intercept ~ Normal(m, 5), slopes of a covariate with standard deviation s ~
        Normal(0, 2.5 / s); beta_sd ~ HalfNormal(1 / s), the spread of effects that tau has, one s away from the mean.

    Returns
    -------
    A PyMC model with `effect` (contrast: "B vs A"), `tau` and `study_effect` (study:treat, "1:B") = delta with random effects, and `study_Intercept` (study), or `Intercept`, `sd_<study>` and `u_<study>`;
    `beta` (coef) of covariates, "x" or "x:treat[B]", and "baseline" for that of the level.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors; a study with one arm, a network in parts that no study connects.
    """
    options = {
        "study": study, "treatment": treatment, "reference": reference, "trt_effects": trt_effects,
        "consistency": consistency, "baseline": baseline, "exposure": exposure, "heterogeneity": heterogeneity,
        "missing": missing, "interactions": interactions, "baseline_regression": baseline_regression,
    }  # fmt: skip
    _check(formula, options, priors or {})
    network = read_network(
        data, formula, study=study, treatment=treatment, reference=reference, exposure=exposure, missing=missing,
        interactions=interactions, baseline_regression=baseline_regression,
    )  # fmt: skip
    single = single_of_network(formula, network, baseline, heterogeneity, reference is not None)
    others = np.eye(len(network.labels))[network.treatment][:, 1:]
    arms = DesignMatrix(others, tuple(f"{treatment}[{label}]" for label in network.labels[1:]), intercept=True)
    labels, design = network.effects(consistency == "consistency")
    plan = plan_single_outcome(
        "network_meta_analysis",
        remark(single, single.family.doubts(single.outcome, arms)),
        options,
        priors,
        extra=_parameters(network, labels, options),
        findings=("network",),
        facts={**network.facts(treatment), "exposure": exposure},
    )
    import pymc as pm  # PyMC is imported once the input has proved sound

    from glmm_zoo.graph.likelihood import observe_outcome
    from glmm_zoo.graph.model import Model
    from glmm_zoo.graph.predictors import linear_predictors
    from glmm_zoo.graph.study_contrasts import arm_contrasts
    from glmm_zoo.graph.study_slopes import study_slopes, with_slopes
    from glmm_zoo.graph.variables import variable

    study, slopes, of_study = variable_name(network.study.name), network.interactions, network.study.codes
    with Model(plan) as model:
        model.add_coord("contrast", list(labels))
        effect, beta = variable(model, "effect", "contrast"), study_slopes(model, slopes)
        of_arm = np.vstack([design, np.zeros(len(labels))])[network.contrast_of]  # (n, effects), 0 for baselines
        of_arm = of_arm * (trt_effects == "fixed")
        at_first = network.against[1][of_study]
        level: Tensor = None
        if baseline == "random":
            by_row = {"effect": at_first + of_arm}
            if beta is not None and interactions != "exchangeable":
                by_row[beta.name] = slopes.over_covariates(of_study, by_row["effect"])
            eta = linear_predictors(model, also=by_row)[""]
            if interactions == "exchangeable":
                eta = with_slopes(slopes, eta, beta, of_study, by_row["effect"], level)
        else:
            model.add_coord(study, list(network.study.levels))
            level = variable(model, "study_Intercept", study)
            eta = linear_predictors(model)[""] + level[pm.Data("_study_of", of_study, dims="row")]
            if slopes.level is not None:  # the level is that of the reference, not of the study's own first arm
                of_arm = of_arm + at_first
            if of_arm.any():
                eta = eta + with_slopes(slopes, pm.math.dot(of_arm, effect), beta, of_study, of_arm, level)
        if trt_effects == "random":
            mean = with_slopes(slopes, pm.math.dot(design, effect), beta, network.contrasts[:, 0], design, level)
            eta = eta + arm_contrasts(model, network, mean, f"{study}:{variable_name(treatment)}")
        observe_outcome(model, plan.outcomes[0], {"": eta})
    return model


def _check(formula: str, options: Mapping[str, Any], priors: Mapping[str, str]) -> None:
    """What can be said of the options before the data are read."""
    study, treatment, exposure = (options[name] for name in ("study", "treatment", "exposure"))
    covariates = bool(arms_formula(formula, study, treatment, exposure)[0].population)
    problems = [*unknown_choices(options, NETWORK_CHOICES), *interaction_problems(options, covariates)]
    if options["consistency"] == "ume" and options["baseline"] == "random":
        problems.append(
            "consistency='ume' has effects of pairs and none of a treatment against the reference, on which the levels of baseline='random' "
            "are; use baseline='fixed'"
        )
    raise_all([*problems, *heterogeneity_problems(options, priors, tau=options["trt_effects"] == "random")])


def _parameters(network: Network, labels: tuple[str, ...], options: Mapping[str, Any]) -> list[Parameter]:
    """What needs a prior beside the group effects."""
    needed = [coefficients("effect", labels, [EFFECT] * len(labels)), *network.interactions.parameters()]
    if options["trt_effects"] == "random":
        needed.append(parameter("tau", "positive", tau_prior(options["heterogeneity"])))
    if options["baseline"] == "fixed":
        needed.append(study_levels(network.study.levels, network.log_rate))
    return needed
