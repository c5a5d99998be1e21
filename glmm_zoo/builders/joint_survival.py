"""Joint survival: a longitudinal outcome and the time to an event that depends on how it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glmm_zoo.joint.reading import describe_hazard, hazard_parameters, read_joint_model
from glmm_zoo.plans.joint_outcomes import plan_joint_outcomes
from glmm_zoo.tables.frames import Missing

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

ALIASES = ("jm",)


def joint_survival(
    longitudinal: Any,
    survival: Any,
    formula: str | Sequence[str] | Mapping[str, str],
    *,
    event: str,
    time: str = "time",
    id: str = "id",
    association: str | Sequence[str] | Mapping[str, str] = "value",
    association_scale: str = "linear_predictor",
    baseline: str = "bspline",
    cuts: int | Sequence[float] | Mapping[str, Any] | None = None,
    families: Sequence[str] | str | None = None,
    causes: Sequence[str | float | bool] | None = None,
    censored: str | float | bool | None = None,
    carry_forward: bool = False,
    recurrent: bool = False,
    zi: Mapping[str, str] | None = None,
    zoi: Mapping[str, str] | None = None,
    coi: Mapping[str, str] | None = None,
    dispersion: Mapping[str, str] | None = None,
    disc: Mapping[str, str] | None = None,
    success: Mapping[str, str | float | bool] | None = None,
    levels: Mapping[str, Sequence[str | float] | str] | None = None,
    bounds: Mapping[str, Sequence[float] | str] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """A longitudinal marker and the time to an event whose hazard follows the marker: a shared-parameter joint model.

        y_ij ~ F(eta_i(t_ij)),  subject i, visit j,  eta_i(t) = Intercept + x_i(t)' beta + z_i(t)' u_i,  u_i ~ Normal(0, S)
        log h_i(t) = log h0(t) + w_i(t)' surv_beta + sum_a assoc_a f_ia(t)
        log p(T_i, d_i | u_i) = d_i log h_i(T_i) - H_i(T_i),  H_i(t) = int_0^t h_i(s) ds

    f is what of the marker the hazard follows (`association`):

        value              eta_i(t)
        slope              d eta_i(t) / dt
        area, area(2)      int eta_i(s) ds from 0, or over the last 2 units of time, to t (stan_jm's etaauc; JMbayes2 divides by t)
        shared_effects     u_i, one coefficient for each effect of the subject

    u_i are the effects at zero of the slopes' columns, `u_<id>`: with `(1 + time | id)` the level at time 0 and the slope, and the
    coefficient of the slope compares subjects of one level at time 0.

    exp(assoc) is a hazard ratio per unit of f for the same subject, given u and w: not that of a population. Given u_i, visits and
    event are independent, and visits and censoring must not depend on u_i otherwise. An offset of the longitudinal formula
    belongs to the measurement and is no part of eta_i(t).

    Parameters
    ----------
    longitudinal
        A data frame with a row for every visit.
    survival
        A data frame with a row for every subject, or rows (start, stop]; None where the longitudinal rows hold the event too,
        repeated in every row of a subject or as (start, stop] rows. Subjects are matched by the values of `id`. Who has an event
        and no measurement informs the hazard; what the longitudinal formula needs of it is a column here. On the command line:
        `glmm-zoo fit jm visits.csv --survival events.csv`.
    formula
        The longitudinal formula, `"log(bili) ~ year + drug:year + (1 + year | id)"`; several formulas, with `families` in step,
        for several markers, whose effects of a subject are all correlated. `(1 | clinic/id)` and other factors that a subject
        belongs to as a whole are welcome, also those of relatives and of areas with neighbours, `(1 | gr(id, cov=A))`, `car(W, gr=area,
        type="icar")`. Curves over time by poly(year, 2) and cr(year, df=4); not s().
    event
        `"Surv(years, death) ~ drug"`, right censored; `Surv(start, stop, death)`: covariates that change over time, or entry
        after time 0; `Surv(left, right, type="interval2")` (left or right missing: open), `Surv(time, time2, event,
        type="interval")` and `Surv(time, event, type="left")` as in R. The event is 0/1, logical, `status == "dead"`, or a
        column of causes: 0 and a number or label for each; every cause has hazard, coefficients and association of its own.
    time, id
        Columns of the longitudinal table: when a visit was, in the unit of the event's time and from the same origin; the subject,
        in both tables.
    association
        Terms added with "+", each alone or with a covariate of the event, `"value + slope"`, `"value*drug"`, `"value:drug"`; one
        text for all markers, or one for each by its name.
    association_scale
        "linear_predictor", or "mean": f of the expected marker, g^-1(eta), its slope and area; `value(mean)` for one term.
    baseline
        "bspline": log h0 quadratic on nine equal segments with a random-walk prior of second order (JMbayes2's); "piecewise":
        constant between `cuts`; "weibull", h0 = lambda k t^(k - 1); "exponential".
    cuts
        Of a piecewise baseline: how many cut points, at quantiles of the times of events, or the times themselves; by default at
        most 6, with 5 events or more in each piece. Of any baseline: what the spec of another fit says of its own, `event`,
        so that knots and horizon are the same.
    families
        As in `joint_outcomes`; by default "gaussian".
    causes, censored
        Values of the event's column that are causes, where others are to be refused, and the value that is no event, where it is not
        0 or a word like "censored" or "alive".
    carry_forward
        Covariates of the longitudinal formula that change between visits go on at their last value; otherwise they are refused,
        because the hazard needs them at every time.
    recurrent
        Events come again: rows (start, stop] of `Surv(start, stop, event)`, one up to each event and one from the last to the end of
        follow-up; between rows a subject is not at risk. The time of the hazard is that since the origin. `~ drug + (1 | id)` gives
        subjects a frailty, a part of the log hazard of their own that no marker has.
    zi, zoi, coi, dispersion, disc, success, levels, bounds
        By response, as in `joint_outcomes`.
    center
        Priors are those at the means of covariates and marker, as in `hierarchical_linear`, those of log h0 and of `assoc` in
        `value*age` and `shared_effects` too; what is reported is at zero, but hazard ratios per standard deviation are at the means.
    clusters, missing
        As in `hierarchical_linear`, `missing` for both tables.
    priors
        Text by parameter: those of the longitudinal part as always; `surv_beta`, `surv_beta[drug]`, `assoc`, `assoc[value]` (per
        unit of the term), `surv_Intercept`, `weibull_shape`, `log_h0`; of a bspline `h0_level`, `h0_trend`, `h0_precision`, or
        `h0_weights` for independent weights instead of the random walk. With causes also `assoc[value, dead]`. By default
        Normal(0, 2.5 / spread) for surv_beta and assoc, Normal(log crude rate, 10) for log h0, LogNormal(0, 0.5) for the shape,
        Gamma(5, 0.5) for the precision of second differences of the weights, Exponential(1) for `frailty_sd`.

    Returns
    -------
    A PyMC model with `Intercept`, `beta`, `sigma`, `sd_<g>`, `corr_<g>`, `u_<g>` of one marker, or `<outcome>_Intercept` ... of
    several; `surv_beta` (surv_coef), `assoc` (association: "value", "slope", "shared_effects[time]", "<outcome>:value" of several
    markers), `surv_Intercept`, `weibull_shape`, `log_h0` (piece) or `h0_weights` (h0_basis): log h0 at zero of covariates and
    marker; with several causes a further dim `cause`. The event is the observed variable `event`, 0 or the number of its cause; its
    predictive draws say whether it comes within the subject's own follow-up. Of events that come again it is their number in the
    subject's follow-up; with a frailty `frailty_sd` and `frailty` by subject.

    Notes
    -----
    H by Gauss-Kronrod's 15 points, Gauss-Legendre's 7 in short intervals that do not begin at 0; in t = T s^3 for a Weibull baseline, whose
    hazard may be infinite at 0; in closed form for piecewise and exponential baselines where f is linear in time, and for a
    Weibull one where f does not change. The hazard begins when the first subject entered, and the effects are those of
    who was there then. A subject that entered at V after it is in the data because it survived V: its likelihood is divided by the
    probability of that, marginal over its effects. JMbayes2 integrates the hazard from V on instead, which is right
    if the effects have their distribution among those who entered. Events that come again keep nobody from entering, so that there
    nothing is divided by; given the effects they are a Poisson process.

    Raises
    ------
    InputError
        Everything that is wrong with formulas, tables or priors.

    References
    ----------
    Wulfsohn & Tsiatis (1997), Biometrics 53:330; Rizopoulos (2012), Joint Models for Longitudinal and Time-to-Event Data.
    """
    by_response = {
        "zi": zi, "zoi": zoi, "coi": coi, "dispersion": dispersion, "disc": disc, "success": success, "levels": levels, "bounds": bounds
    }  # fmt: skip
    joint, hazard = read_joint_model(
        longitudinal, survival, formula, event=event, time=time, id=id, association=association,
        association_scale=association_scale, baseline=baseline, cuts=cuts, families=families, causes=causes,
        censored=censored, carry_forward=carry_forward, recurrent=recurrent,
        choices=by_response,
        clusters=clusters, missing=missing,
    )  # fmt: skip
    options = {
        "event": event, "time": time, "id": id, "association": association, "association_scale": association_scale,
        "baseline": baseline, "cuts": cuts, "families": families, "causes": causes, "censored": censored,
        "carry_forward": carry_forward, "recurrent": recurrent, **by_response,
        "center": center, "clusters": clusters, "missing": missing,
    }  # fmt: skip
    plan = plan_joint_outcomes(
        "joint_survival", joint, options, priors, findings=("event",), extra=hazard_parameters(hazard, priors),
        more=describe_hazard(hazard),
    )  # fmt: skip
    plan = replace(plan, rows=plan.rows + len(hazard.events.ids), also={"event_row": hazard.events.table})
    # PyMC is imported once the input has proved sound
    from glmm_zoo.graph.build import observe_outcomes
    from glmm_zoo.graph.model import Model
    from glmm_zoo.joint.likelihood import observe_event

    with Model(plan) as model:
        observe_outcomes(model, plan)
        observe_event(model, hazard, center=center)
    return model
