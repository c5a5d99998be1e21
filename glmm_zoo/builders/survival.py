"""Survival: the time to an event with group effects, as proportional hazards or accelerated failure times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glmm_zoo.families.event_times import follow_up
from glmm_zoo.families.survival import event_time_family, read_event_times, undecided_event_time_family
from glmm_zoo.plans.reading import read_outcome
from glmm_zoo.plans.single_outcome import plan_single_outcome
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("frailty",)


def survival(
    data: Any,
    formula: str,
    *,
    baseline: str = "bspline",
    cuts: int | Sequence[float] | Mapping[str, Any] | None = None,
    distribution: str | None = None,
    causes: Sequence[str | float | bool] | None = None,
    censored: str | float | bool | None = None,
    weights: str | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """The time to an event in groups: patients of centres, or events that come again in a patient (frailty).

        log h_i(t) = eta_i + log h0(t)                                    proportional hazards
        log T_i = eta_i + s z_i                                           accelerated failure time, `distribution`
        eta_i = Intercept + x_i' beta + sum_g z_gi' u_g[level of row i] + offset_i
        u_g[level] ~ Normal(0, S_g)

    exp(beta) is a hazard ratio within a group, or a ratio of times. exp(u) is a lognormal frailty. Of competing causes each has a hazard
    with a baseline, coefficients and group effects of its own, in which the others are censored (cause-specific hazards).

    Parameters
    ----------
    data
        A data frame, one row for each subject, or rows (start, stop].
    formula
        `"Surv(years, death) ~ arm + s(age) + (1 | centre/ward)"`, right censored; `Surv(start, stop, death)`: entry after time 0,
        covariates that change, or with `(1 | id)` events that come again (see below); `Surv(left, right, type="interval2")` (left or right
        missing: open), `Surv(time, time2, event, type="interval")` and `Surv(time, event, type="left")` as in R. The event
        is 0/1, logical, `status == "dead"`, or a column of causes: 0 and a number or label for each. Effects of a level are independent
        between causes, and with a label, `(1 |p| centre)`, correlated over all of them. Rows (start, stop] of events that come again count
        in calendar time, the hazard as time since the origin has it; in gap time a row is `Surv(stop - start, event)`: time since the last event.
        A death that ends them is another cause: `Surv(start, stop, how) ~ arm + (1 |p| id)` has a frailty of each, correlated (a joint frailty model);
        incidences of a fit are then those of a row's first event, and a number of events is not predicted.
    baseline
        "bspline": log h0 quadratic on nine equal segments with a random-walk prior of second order (JMbayes2's); "piecewise":
        constant between `cuts`; "weibull", h0 = k (t / unit)^(k - 1), in which the unit is the median time of events with
        one digit; "exponential".
    cuts
        Of a piecewise baseline: how many cut points, at quantiles of the times of events, or the times themselves; by default at
        most 6, with 5 events or more in each piece. Of any baseline: what the spec of another fit says of its own, `facts["event_times"]`,
        so that knots and unit are the same.
    distribution
        "weibull", "lognormal" or "loglogistic" of times, in place of a baseline hazard: the accelerated-failure-time form.
    causes, censored
        Values of the event's column that are causes, where others are to be refused, and the value that is no event, where it is not
        0 or a word like "censored" or "alive".
    weights, center, clusters, missing
        As in `hierarchical_linear`; of competing causes a row has one weight for all of them.
    priors
        Text by parameter: `Intercept`, `beta`, `beta[age]`, `sd`, `sd[centre]`, `corr`; `shape`, by default LogNormal(0, 0.5), or
        `sigma` of a lognormal distribution, Exponential(1); `log_h0_ratio`, Normal(0, 2.5); `h0_trend`, Normal(0, 5),
        `h0_precision`, Gamma(5, 0.5). That of the intercept is about the log of the crude rate. Of competing causes `dead_beta`,
        `dead_shape` and so on of one, `beta`, `shape` of all.

    Returns
    -------
    A PyMC model with `Intercept`, the log hazard where h0 is 1, or the log time where z is 0; `beta` (coef), `sd_<g>`, `corr_<g>`,
    `u_<g>`, `s_<x>_sd` ...; `shape` k of a Weibull or log-logistic time; `sigma`; `log_h0_ratio` (piece), the log of h0 in a piece
    against the first; `h0_trend`, `h0_precision` and `h0_steps` of a spline; of competing causes each of these with the cause's name before
    it, `dead_beta` (dead_coef). The observed variable is the last time; its predictive draws are times to the event after the row's
    start, not censored, of competing causes to the first of them.

    Notes
    -----
    A row that begins at a time after 0 counts from then on, given the group effects: right for rows of one subject that follow each
    other, and for subjects who entered late if the effects have their distribution among those who entered. `joint_survival`
    divides by the probability of having survived until entry, marginal over the effects, instead.

    Raises
    ------
    InputError
        Everything that is wrong with formula, data or priors.

    References
    ----------
    Therneau & Grambsch (2000), Modeling Survival Data, chapters 8 and 9; Royston & Parmar (2013), BMC Med Res Methodol 13:152.
    """
    options = {
        "baseline": baseline, "cuts": cuts, "distribution": distribution, "causes": causes, "censored": censored,
        "weights": weights, "center": center, "clusters": clusters, "missing": missing,
    }  # fmt: skip
    undecided = undecided_event_time_family(distribution, causes)
    single = read_outcome(
        data, formula, undecided, choice=censored, missing=missing, clusters=clusters, weights=weights
    )
    learnt = read_event_times(distribution, baseline, cuts, single.outcome)
    single = replace(single, family=event_time_family(learnt))
    facts = {**follow_up(single.outcome).facts, "event_times": learnt}
    plan = plan_single_outcome("survival", single, options, priors, facts=facts)
    from glmm_zoo.graph.build import build_model  # PyMC is imported once the input has proved sound

    return build_model(plan)
