"""The event of a joint model in PyMC: the priors of the hazard, and the likelihood of the follow-up.

Given a subject's effects its event is independent of its measurements, with log-likelihood

    sum_k [status = k] log h_k(time) - H(time)                     followed to its event, or censored
    log(1 - exp(-(H(time) - H(left)))) - H(left)                   an event between two visits

H the cumulative hazard of all causes from the origin, when the first subject entered. Who entered at a time V after it is in the
data because it survived V, so its likelihood is divided by the probability of that, see `late_entry`. Of events that come again see
`recurrent`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.shape_utils import rv_size_is_none

from glmm_zoo.families.tensors import Tensor, VariableLookup
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.graph.model import Model
from glmm_zoo.graph.variables import regression_coefficients, variable
from glmm_zoo.joint.event_approximation import EVENT, EventApproximation
from glmm_zoo.joint.hazards import HazardModel, person_time_nodes, sums_by_group
from glmm_zoo.joint.late_entry import late_entry_correction
from glmm_zoo.joint.recurrent import observe_recurrent_events

CURVE_TIMES = 40  # of the hazard's curve in the report
_FRACTIONS = 16  # of a follow-up, for the probabilities of its causes
_LEAST = 1e-300  # of a probability that is divided by


def observe_event(model: Model, hazard: HazardModel, *, center: bool = True) -> None:
    """Add hazard and likelihood of the event to a model that has its longitudinal part."""
    events = hazard.events
    level_at_means = _add_variables(model, hazard, center)

    def value_of(name: str) -> Tensor:
        return model[name]

    dim = variable_name(hazard.id)
    if dim not in model.coords:
        model.add_coord(dim, list(events.ids))
    if events.recurrent:
        observe_recurrent_events(model, hazard, dim, value_of)
    else:
        _observe_one_event(hazard, dim, value_of, late_entry_correction(model, hazard, value_of))
    _add_term_spreads(model, hazard, value_of)
    _add_hazard_curve(model, hazard, level_at_means, value_of)
    model.event = EventApproximation(model, hazard, center)
    model.preview_note = (
        "this preview regresses the event on estimates of the markers: its rows assoc[...] may be too near 0 by more than a posterior "
        "standard deviation"
    )


def _observe_one_event(hazard: HazardModel, dim: str, value_of: VariableLookup, correction: Tensor) -> None:
    """The status at the end of every subject's follow-up; `correction` (n,) is that for late entry."""
    events, causes = hazard.events, hazard.causes
    n, last = len(events.ids), events.last
    subjects, interval = np.arange(n), (events.left < events.time) & (events.status > 0)
    before = hazard.integral(events.subject, np.arange(len(events.subject)), events.begin, _event_free_until(hazard))
    within = hazard.integral(subjects[interval], last[interval], events.left[interval], events.time[interval])
    end = hazard.points(subjects, last, events.time)
    log_h = [hazard.log_hazard(end, k, value_of, pt) for k in causes]
    H = [before.sums(events.subject, n, k, value_of, pt) for k in causes]
    dH = sum((within.sums(subjects[interval], n, k, value_of, pt) for k in causes), pt.zeros(n))
    shares = _shares_of_causes(hazard, events.begin, value_of) if len(causes) > 1 else []
    pm.CustomDist(
        EVENT,
        correction,
        dH,
        *log_h,
        *H,
        *shares,
        logp=_log_density(interval, len(causes)),
        dist=_event_in_follow_up(n, len(causes)),
        signature=f"{','.join(['(n)'] * (2 + 2 * len(causes) + len(shares)))}->(n)",
        observed=pm.Data(f"_{EVENT}_observed", events.status.astype(float), dims=dim),
        dims=dim,
        class_name="Event",
    )


def _log_density(interval: np.ndarray, causes: int) -> Callable[..., Tensor]:
    """log p of every subject's status (n,); `interval` (n,) says whose event is known only to lie in an interval.

    The density is a function of the status, the correction for late entry, the cumulative hazard dH within the interval, and
    log h at the end and H until then for each cause, all (n,); the shares of the causes, which follow, do not enter it.
    """

    def log_p(status: Tensor, correction: Tensor, dH: Tensor, *hazards: Tensor) -> Tensor:
        log_h, H = hazards[:causes], hazards[causes : 2 * causes]
        total: Tensor = -1.0 * correction
        for k in range(causes):
            exact = pt.switch(pt.eq(status, k + 1.0), log_h[k], 0.0)
            total = total - H[k] + (exact if not interval.any() else pt.switch(interval, 0.0, exact))
        if interval.any():
            risk: Tensor = pt.switch(interval, dH, 1.0)
            minus_probability: Tensor = pt.expm1(-risk)
            happened: Tensor = pt.eq(status, 1.0)
            total = total + pt.switch(happened & interval, pt.log(-minus_probability), 0.0)
        return total

    return log_p


def _event_in_follow_up(n: int, causes: int) -> Callable[..., Tensor]:
    """A random status of every subject (n,): whether its event comes within its own follow-up, and by which cause."""

    def draw(_: Tensor, dH: Tensor, *rest: Tensor) -> Tensor:
        *hazards, size = rest
        H, shares = list(hazards[causes : 2 * causes]), hazards[2 * causes :]
        total: Tensor = sum(H, dH)
        shape = None if rv_size_is_none(size) else (*tuple(size), n)
        minus_probability: Tensor = pt.expm1(-total)
        happens = pm.Bernoulli.dist(p=-minus_probability, size=shape)
        if causes == 1:
            return pt.cast(happens, "float64")
        cause = pm.Categorical.dist(p=pt.stack(shares, axis=-1), size=shape)
        return pt.cast(happens * (cause + 1), "float64")

    return draw


def _shares_of_causes(hazard: HazardModel, begin: np.ndarray, value_of: VariableLookup) -> list[Tensor]:
    """The probability (n,) that an event within a subject's follow-up is of each cause: the integral of h_k S, over that of h S.

    It is summed over fractions of the follow-up, the ratio of the causes' hazards constant on each, as `effect_sampler` has it.
    They are shorter near the beginning, since where hazards are high hardly anybody lives to see the end. `begin` (R,) is when
    the follow-up of every row begins.
    """
    events = hazard.events
    n, first = len(events.ids), np.append(0, events.last[:-1] + 1)
    share = np.arange(_FRACTIONS + 1) ** 2 / _FRACTIONS**2
    ends = begin[first, None] + (events.time - begin[first])[:, None] * share  # (n, _FRACTIONS + 1)
    low = np.maximum(begin[:, None], ends[events.subject, :-1])
    high = np.minimum(events.stop[:, None], ends[events.subject, 1:])
    row, fraction = np.nonzero(high > low)
    integral = hazard.integral(events.subject[row], row, low[row, fraction], high[row, fraction])
    subject, size = np.tile(np.arange(n), _FRACTIONS), _FRACTIONS * n
    dH = [integral.sums(fraction * n + events.subject[row], size, k, value_of, pt) for k in hazard.causes]
    all_causes: Tensor = sum(dH, pt.zeros(size))
    before, after = (n * f[:, None] + np.arange(n) for f in np.triu_indices(_FRACTIONS, 1))
    H = sums_by_group(all_causes[before.ravel()], after.ravel(), size, pt)
    minus_probability: Tensor = pt.expm1(-all_causes)
    event: Tensor = pt.exp(-H) * (-minus_probability) / pt.maximum(all_causes, _LEAST)
    probabilities = [sums_by_group(event * h, subject, n, pt) for h in dH]
    total: Tensor = pt.maximum(sum(probabilities, pt.zeros(n)), _LEAST)
    return [p / total for p in probabilities]


def _event_free_until(hazard: HazardModel) -> np.ndarray:
    """The end of every row's interval (R,); of a subject's last row, the time until which it is known to have had no event."""
    events = hazard.events
    until = events.stop.copy()
    until[events.last] = np.minimum(until[events.last], events.left)
    return until


def _add_variables(model: Model, hazard: HazardModel, center: bool) -> Tensor:
    """Coefficients and baseline hazard under their priors. With `center` the prior on the level of log h0 is on that at the means
    of covariates and marker; what is reported is at zero of both. Returns how much higher it is at the means, by cause."""
    events, baseline, terms = hazard.events, hazard.baseline, hazard.terms
    cause = ("cause",) if events.competing else ()
    if cause:
        model.add_coord("cause", list(events.causes))
    model.add_coord("association", [t.label for t in terms])
    regression_coefficients(model, "assoc", ("association", *cause), hazard.to_zero if center else None)
    shift: Tensor = pt.zeros(len(events.causes)) if cause else pt.constant(0.0)
    shift = shift + np.array([t.centre for t in terms]) @ model["assoc"]
    if events.covariates.labels:
        model.add_coord("surv_coef", list(events.covariates.labels))
        regression_coefficients(
            model, "surv_beta", ("surv_coef", *cause), events.covariates.to_zero if center else None
        )
        shift = shift + events.covariates.means @ model["surv_beta"]
    if baseline.kind == "weibull":
        variable(model, "weibull_shape", cause)
    if baseline.dim:
        model.add_coord(baseline.dim, baseline.labels)
    dims = ((baseline.dim,) if baseline.dim else ()) + cause
    if "h0_precision" in model.chosen:
        _add_random_walk(model, hazard, shift if center else pt.zeros_like(shift), dims)
    elif not center:
        variable(model, baseline.variable, dims)
    else:
        at_means = f"{baseline.variable}_at_means"
        model.auxiliary.add(at_means)
        pm.Deterministic(
            baseline.variable, variable(model, at_means, dims, key=baseline.variable) - shift, dims=dims or None
        )
    return shift


def _add_random_walk(model: Model, hazard: HazardModel, shift: Tensor, dims: tuple[str, ...]) -> None:
    """The weights of a spline baseline under a random walk of second order, lower by `shift` (scalar, or by cause)."""
    baseline, cause = hazard.baseline, dims[1:]
    v, A = baseline.random_walk
    model.add_coord("h0_step", [str(i + 1) for i in range(A.shape[1])])
    model.auxiliary |= {"h0_level", "h0_trend", "h0_steps"}
    level, trend = variable(model, "h0_level", cause), variable(model, "h0_trend", cause)
    precision = variable(model, "h0_precision", cause)
    steps = pm.Normal("h0_steps", 0.0, 1.0, dims=("h0_step", *cause))
    walk: Tensor = pt.constant(A) @ steps / pt.sqrt(precision)
    line: Tensor = v[:, None] * trend if cause else v * trend
    pm.Deterministic(baseline.variable, level - shift + line + walk, dims=dims)


def _add_term_spreads(model: Model, hazard: HazardModel, value_of: VariableLookup) -> None:
    """The standard deviation of every f over the person-time of the data, for hazard ratios per standard deviation; of what
    the coefficients at the covariates' means are for, where these are others."""
    events = hazard.events
    rows, t, weight = person_time_nodes(events.begin, events.stop)
    weight = weight / weight.sum()
    points = hazard.points(events.subject[rows], rows, t)
    terms = [hazard.term_value(points, j, value_of, pt) - term.centre for j, term in enumerate(hazard.terms)]
    if "assoc" in model.to_zero:
        terms = [
            sum((x * f for x, f in zip(w, terms, strict=True) if x), pt.zeros(len(t))) for w in model.to_zero["assoc"].T
        ]
    spreads = []
    for f in terms:
        mean: Tensor = pt.sum(weight * f)
        square: Tensor = pt.sum(weight * f * f)
        spreads.append(pt.sqrt(square - mean * mean))
    model.auxiliary.add("assoc_sd")
    pm.Deterministic("assoc_sd", pt.stack(spreads), dims="association")


def _add_hazard_curve(model: Model, hazard: HazardModel, level_at_means: Tensor, value_of: VariableLookup) -> None:
    """log h at the means of covariates and of the marker on a grid of times, for the report, with these means as attributes."""
    origin, horizon = hazard.events.origin, hazard.events.horizon
    t = origin + (horizon - origin) * np.arange(1, CURVE_TIMES + 1) / CURVE_TIMES
    cause = ("cause",) if hazard.events.competing else ()
    log_h0 = [hazard.baseline.log_hazard(t, k, value_of, pt) + np.zeros(CURVE_TIMES) for k in hazard.causes]
    model.add_coord("surv_time", t.tolist())
    model.auxiliary.add("surv_log_hazard")
    covariates = hazard.events.covariates
    at = {
        "association": {t.label: float(t.centre) for t in hazard.terms},
        "covariates": dict(zip(covariates.labels, covariates.means.tolist(), strict=True)),
    }
    model.attributes["surv_log_hazard"] = {
        "baseline": hazard.baseline.kind, "knots": hazard.baseline.ends, "at": json.dumps(at, ensure_ascii=False),
    }  # fmt: skip
    log_h: Tensor = pt.stack(log_h0, axis=1) + level_at_means if cause else log_h0[0] + level_at_means
    pm.Deterministic("surv_log_hazard", log_h, dims=("surv_time", *cause))
