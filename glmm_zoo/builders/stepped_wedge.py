"""Stepped-wedge cluster-randomised trial: clusters cross over to treatment at different times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError, listing
from glmm_zoo.families.counts import uniform_share
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.plans.groups import Group
from glmm_zoo.plans.single_outcome import plan_single_outcome
from glmm_zoo.priors import Parameter, Prior, beta_defaults, coefficients, parameter
from glmm_zoo.tables.frames import Missing
from glmm_zoo.trials.stepped_wedge import WEDGE_CHOICES, WedgeDesign, check_wedge_choices
from glmm_zoo.trials.wedge_columns import arms_of_trial, columns_of_trial
from glmm_zoo.trials.wedge_predictor import read_wedge_trial

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ()


def stepped_wedge(
    data: Any,
    formula: str,
    *,
    cluster: str = "cluster",
    period: str = "period",
    treatment: str | None = None,
    crossover: str | None = None,
    family: str = "binomial",
    correlation: str = "exchangeable",
    exposure_time: str = "constant",
    period_effects: str = "categorical",
    treatment_effect: str = "common",
    subject: str | None = None,
    period_order: Sequence[str] | str | None = None,
    exposure: str | None = None,
    dispersion: str | None = None,
    success: str | float | bool | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """Outcomes of clusters c in periods t, each cluster treated from its own period on.

        link(mu_i) = Intercept + period_t + x_i' beta + effect treat_ct + a_ct + u_subject + offset_i

        exchangeable             a_ct = u_c           u_c ~ Normal(0, sd_<cluster>)          (Hussey & Hughes 2007)
        nested_exchangeable      a_ct = u_c + v_ct    v_ct ~ Normal(0, sd_<cluster>:<period>)   (Hooper et al. 2016)
        decay                    a_ct = v_ct          corr(v_cs, v_ct) = rho^|t - s|            (Kasza et al. 2019)

    `effect` holds at equal cluster and subject effects: a log odds ratio (logit link), a log rate ratio (log link) or
    a difference of means. With e the number of periods since the cluster crossed over, 1 in the first treated one:

        constant                 effect
        categorical              effect_e, independent
        monotone                 effect_e = long_term_effect (shares_1 + ... + shares_e),  shares ~ Dirichlet(1, ..., 1)

    An effect that grows or fades with exposure is not averaged by the constant model: its estimate can lie outside the
    range of effect_e, even on the other side of zero (Kenny et al. 2022). Shares are those of monotonic effects in brms
    (Buerkner & Charpentier 2020).

    Parameters
    ----------
    data
        A data frame, one row for each individual and period, or for each cluster and period with `trials(n)`.
    formula
        Response and covariates: `"y | trials(n) ~ 1"`, `"y ~ age"`. Periods, treatment and the effects of clusters and
        subjects come from the options; group terms of other columns may stand.
    cluster, period
        Columns. Periods go by number, dates by time, text by its declared order or by `period_order`; the first is the
        reference of the others.
    treatment
        A column of 0 and 1, logicals or two labels of which one is called as controls are ("control", "usual care"); constant within a cluster and period. "treat" where
        neither this nor `crossover` is given.
    crossover
        Instead of `treatment`, a column with the first treated period of the row's cluster; for never, a number after
        the last period or "never".
    family
        "binomial" (counts with trials(n), or 0/1), "bernoulli", both with a logit link, "gaussian", "poisson",
        "negative_binomial".
    correlation, exposure_time
        As above; |t - s| and e are in steps from period to period.
    period_effects
        "categorical", or "smooth": a natural cubic spline of the period, of 3 or 4 columns.
    treatment_effect
        "random": clusters differ in their effect. The deviation is an effect `treatment` of the cluster beside its
        Intercept and correlated with it, so that clusters may differ more or less under treatment than under control.
    subject
        Closed cohort: a column that names the individual, who stays in one cluster.
    period_order
        Where periods are text: all of them from first to last, as a list or as text "spring,summer".
    exposure
        A column > 0 whose logarithm is the offset of counts.
    dispersion
        Gaussian: `"~ treat + (1 | cluster)"` models log sigma, negative binomial: log alpha, with covariates, periods and the treatment,
        and group effects of its own; `(1 |p| cluster)` correlates them with those of the cluster's level.
    success
        As in `hierarchical_logistic`.
    center, clusters, missing
        As in `hierarchical_linear`; the intercept's prior is that of control rows at the other covariates' means.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[period[1]]`, `effect`, `effect[1]`, `long_term_effect` (or `effect`),
        `exposure_shares` (Dirichlet(a)), `sd`, `sd[cluster]`, `sd[cluster:period]`, `corr`, `rho` (Beta(1, 1) by default:
        every autocorrelation is as likely as any other), `sigma`, `alpha`, or `sigma_Intercept`, `sigma_beta`, `sigma_sd`. effect ~ Normal(0, 2.5) by default, in sds
        of a Gaussian response.

    Returns
    -------
    A PyMC model with `Intercept` (control in the first period), `beta` (coef: `period[1]`, ..., then covariates),
    `effect`, a scalar or over exposure_time; `sd_<cluster>`, `sd_<cluster>:<period>`, `rho`, `sd_<subject>`; `corr_<cluster>`
    with a random treatment effect; `long_term_effect` and `exposure_shares` (exposure_time) if monotone; `sigma`, `alpha`, with
    `dispersion` in its place `sigma_Intercept` and `sigma_beta` (sigma_coef) on the log scale.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors, and designs that cannot be analysed: one cluster, a
        cluster that goes back to control, treatment that varies within a cluster and period, no period with both arms.
    """
    options = {
        "cluster": cluster, "period": period, "treatment": treatment, "crossover": crossover, "family": family,
        "correlation": correlation, "exposure_time": exposure_time, "period_effects": period_effects,
        "treatment_effect": treatment_effect, "subject": subject, "exposure": exposure, "dispersion": dispersion, "success": success,
        "center": center, "clusters": clusters, "missing": missing, "period_order": period_order,
    }  # fmt: skip
    check_wedge_choices(
        family=family, correlation=correlation, exposure_time=exposure_time, period_effects=period_effects,
        treatment_effect=treatment_effect,
    )  # fmt: skip
    if treatment is not None and crossover is not None:
        raise InputError(f"treatment={treatment!r} and crossover={crossover!r} say the same thing twice; keep one")
    if exposure is not None and FAMILIES[family].counted is None:
        raise InputError(f"exposure= is for counts (family='poisson' or 'negative_binomial'), not for {family!r}")
    if dispersion is not None and "dispersion" not in FAMILIES[family].options:
        takes = [name for name in WEDGE_CHOICES["family"] if "dispersion" in FAMILIES[name].options]
        raise InputError(f"dispersion= is for families {listing(takes)}, not for {family!r}")
    names = columns_of_trial(options)
    design, single = read_wedge_trial(data, formula, names, options)
    plan = plan_single_outcome(
        "stepped_wedge",
        replace(single, texts={**single.texts, "": formula}),
        options,
        priors,
        extra=_parameters(correlation, exposure_time, design, single.outcome.scale),
        findings=("wedge_effects",),
        facts={
            "predictor": single.texts[""],
            "correlation": correlation,
            "exposure_time": exposure_time,
            "cluster": variable_name(names.cluster),
            "cell": variable_name(names.cell),
            "subject": None if subject is None else variable_name(subject),
            "longest_exposure": int(design.exposure.max()),
            "map": design.design_map,
            "arms": arms_of_trial(single.table, names, design.treat),
        },
    )
    # PyMC is imported once the input has proved sound
    from glmm_zoo.graph.likelihood import observe_outcome
    from glmm_zoo.graph.model import Model
    from glmm_zoo.graph.predictors import linear_predictors

    with Model(plan) as model:
        of_cells = f"u_{variable_name(names.cell)}"
        decay = {of_cells: lambda model, group: _decaying(model, group, design)} if correlation == "decay" else {}
        also = _effect(model, design, exposure_time)
        etas = linear_predictors(model, center=center, drawn=decay, also=also)
        if exposure_time == "monotone":
            etas[""] = etas[""] + _monotone(model, design)
        observe_outcome(model, plan.outcomes[0], etas)
    return model


def _parameters(correlation: str, exposure_time: str, design: WedgeDesign, scale: float) -> list[Parameter]:
    """What needs a prior beside the linear predictor and the family."""
    (default,) = beta_defaults([1.0], scale)
    times = design.exposures
    needed = {
        "constant": [parameter("effect", "real", default)],
        "categorical": [coefficients("effect", times, [default] * len(times))],
        "monotone": [Parameter("long_term_effect", "real", (("long_term_effect", "effect"),), (default,))],
    }[exposure_time]
    if exposure_time == "monotone" and len(times) > 1:
        needed.append(parameter("exposure_shares", "simplex", Prior("Dirichlet", {"a": 1.0})))
    return [*needed, *([uniform_share("rho")] if correlation == "decay" else [])]


def _effect(model: Model, design: WedgeDesign, exposure_time: str) -> dict[str, np.ndarray]:
    """The columns (n, m) that `effect` is the coefficient of: treatment, or treatment by exposure time."""
    from glmm_zoo.graph.variables import variable

    if exposure_time == "constant":
        variable(model, "effect")
        return {"effect": design.treat[:, None].astype(float)}
    times = design.exposures
    model.add_coord("exposure_time", times)
    if exposure_time == "monotone":
        return {}
    variable(model, "effect", "exposure_time")
    return {"effect": (design.exposure[:, None] == np.array([int(e) for e in times])).astype(float)}


def _monotone(model: Model, design: WedgeDesign) -> Any:
    """effect_e (n,) at every row's exposure time, 0 under control."""
    import pymc as pm
    import pytensor.tensor as pt

    from glmm_zoo.graph.variables import variable

    times = design.exposures
    last = variable(model, "long_term_effect")
    reached: Any = np.ones(1)
    if len(times) > 1:
        a = np.full(len(times), model.chosen["exposure_shares"][0].arguments["a"])
        reached = pt.cumsum(pm.Dirichlet("exposure_shares", a=a, dims="exposure_time"))
    effect = pm.Deterministic("effect", last * reached, dims="exposure_time")
    level = np.searchsorted([0, *map(int, times)], design.exposure)  # 0 for control
    of_level: Any = pt.concatenate([np.zeros(1), effect])
    return of_level[pm.Data("_exposure_level", level, dims="row")]


def _decaying(model: Model, group: Group, design: WedgeDesign) -> Any:
    from glmm_zoo.graph.group_effects import autoregressive
    from glmm_zoo.graph.variables import variable

    _, first = np.unique(group.factor.codes, return_index=True)  # a row of each cluster-period
    rho = variable(model, "rho")
    return autoregressive(model, group, rho, design.cluster[first], design.steps[design.period[first]])
