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
from glmm_zoo.trials.heterogeneity import EFFECT, heterogeneity_problems, study_levels, tau_prior
from glmm_zoo.trials.network import Network, read_network

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("nma",)
NETWORK_CHOICES = {
    "trt_effects": ("random", "fixed"),
    "consistency": ("consistency", "ume"),
    "baseline": ("fixed", "random"),
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

    The baseline of a study is the one of its treatments that comes first, the reference before all others. With consistency direct and
    indirect evidence are of one effect; unrelated mean effects have one for each pair that was compared, so that a fit that is no
    better, and a tau that is no smaller, speak for consistency (Dias et al. 2013, TSD 4). Fixed baselines let nothing but the arms of a
    study tell its effects.

    Parameters
    ----------
    data
        One row for each arm. Several rows of one treatment in a study, say of two doses, share an effect.
    formula
        `"events | trials(n) ~ treat"`; `treat` may be left out.
    study, treatment
        Columns.
    reference
        The treatment that the others are compared with; by default the first of a declared order or of numbers, the one label that is
        called as controls are ("placebo", "usual care"), else the treatment of most studies.
    trt_effects, consistency, baseline
        See above.
    exposure, heterogeneity, missing
        As in `meta_analysis`.
    priors
        Text by parameter: `effect`, `effect[B vs A]`, `tau`; `study_Intercept` with fixed baselines, `Intercept` and `sd` with random
        ones. Defaults as in `meta_analysis`: effect ~ Normal(0, 2.5), tau ~ HalfNormal(1), study_Intercept ~ Normal(m, 5).

    Returns
    -------
    A PyMC model with `effect` (contrast: "B vs A"), `tau` and `study_effect` (study:treat, "1:B") = delta with random effects, and `study_Intercept` (study), or `Intercept`, `sd_<study>` and `u_<study>`.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors; a study with one arm, a network in parts that no study connects.
    """
    options = {
        "study": study, "treatment": treatment, "reference": reference, "trt_effects": trt_effects,
        "consistency": consistency, "baseline": baseline, "exposure": exposure, "heterogeneity": heterogeneity,
        "missing": missing,
    }  # fmt: skip
    _check(options, priors or {})
    network = read_network(
        data, formula, study=study, treatment=treatment, reference=reference, exposure=exposure, missing=missing
    )
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
    from glmm_zoo.graph.study_contrasts import study_contrasts
    from glmm_zoo.graph.variables import standard_deviation, variable

    study = variable_name(network.study.name)
    with Model(plan) as model:
        model.add_coord("contrast", list(labels))
        variable(model, "effect", "contrast")
        of_arm = np.vstack([design, np.zeros(len(labels))])[network.contrast_of]  # (n, effects), 0 for baselines
        if baseline == "random":
            at_first = np.eye(len(network.labels))[network.first[network.study.codes]][:, 1:]
            by_row = {"effect": at_first + (of_arm if trt_effects == "fixed" else 0.0)}
            eta = linear_predictors(model, also=by_row)[""]
        else:
            model.add_coord(study, list(network.study.levels))
            i = pm.Data("_study_of", network.study.codes, dims="row")
            eta = linear_predictors(model)[""] + variable(model, "study_Intercept", study)[i]
            if trt_effects == "fixed":
                eta = eta + pm.math.dot(of_arm, model["effect"])
        if trt_effects == "random":
            in_study = f"{study}:{variable_name(treatment)}"
            model.add_coord(in_study, network.contrast_labels)
            tau = standard_deviation(model, "tau", near=network.rough_heterogeneity())
            mean, rough = pm.math.dot(design, model["effect"]), network.rough_contrasts()
            d = study_contrasts("study_effect", mean, tau, network.blocks, rough, in_study)
            arm = pm.Data("_contrast_of", np.maximum(network.contrast_of, 0), dims="row")
            eta = eta + pm.Data("_in_contrast", np.sign(network.contrast_of + 1.0), dims="row") * d[arm]
        observe_outcome(model, plan.outcomes[0], {"": eta})
    return model


def _check(options: Mapping[str, Any], priors: Mapping[str, str]) -> None:
    """What can be said of the options before the data are read."""
    problems = unknown_choices(options, NETWORK_CHOICES)
    if options["consistency"] == "ume" and options["baseline"] == "random":
        problems.append(
            "consistency='ume' has effects of pairs and none of a treatment against the reference, on which the levels of baseline='random' "
            "are; use baseline='fixed'"
        )
    raise_all([*problems, *heterogeneity_problems(options, priors, tau=options["trt_effects"] == "random")])


def _parameters(network: Network, labels: tuple[str, ...], options: Mapping[str, Any]) -> list[Parameter]:
    """What needs a prior beside the group effects."""
    needed = [coefficients("effect", labels, [EFFECT] * len(labels))]
    if options["trt_effects"] == "random":
        needed.append(parameter("tau", "positive", tau_prior(options["heterogeneity"])))
    if options["baseline"] == "fixed":
        needed.append(study_levels(network.study.levels, network.log_rate))
    return needed
