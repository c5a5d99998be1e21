"""Times to an event as a family: their likelihood with censoring and late entry, their simulation, and their record.

Row i is followed from start_i on; its event came at stop_i, or in (left_i, stop_i], or had not come by stop_i. With h the hazard and
H its integral,

    log h(stop) - (H(stop) - H(start))                                   the event came at stop
    -(H(left) - H(start)) + log(1 - exp(-(H(stop) - H(left))))           it came in (left, stop]
    -(H(stop) - H(start))                                                it had not come

Of competing causes it is the sum of these over causes, in each of which the events of the others are censored.
Given the group effects rows are independent: those of one subject with covariates that change, or with events that come again, are
rows (start, stop], and a row that entered late counts from then on, given the effects. The distributions are in `time_laws`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.families.baselines import BaselineHazard, read_baseline_hazard
from glmm_zoo.families.causes import own_of_cause, with_cause
from glmm_zoo.families.event_times import (
    RowsFollowed,
    cause_names,
    doubtful_events,
    follow_up,
    read_event_time,
    rows_followed,
)
from glmm_zoo.families.family import Family
from glmm_zoo.families.moments import Own
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.families.time_laws import TIME_LAWS, AcceleratedFailure, ProportionalHazards
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.terms import Response
from glmm_zoo.tables.columns import Table

_LEAST = 1e-300  # of a probability whose logarithm is taken

_Times = ProportionalHazards | AcceleratedFailure
_ByCause = Mapping[str, _Times]  # by the name of the linear predictor, "" of an only cause


# ------------------------------------------------------------------------------------------------------------- likelihood


def time_log_likelihood(of: _ByCause, rows: RowsFollowed, eta: Array, own: Mapping[str, Array]) -> Array:
    """That of every row (n,), see above, given eta (n,), of several causes (n, causes)."""
    if "" in of:
        return _of_one_cause(of[""], rows, eta, own)
    return sum(
        _of_one_cause(law, rows.of_cause(k + 1), eta[..., k], own_of_cause(cause, own))
        for k, (cause, law) in enumerate(of.items())
    )


def _of_one_cause(of: _Times, rows: RowsFollowed, eta: Array, own: Mapping[str, Array]) -> Array:
    xp, interval = functions_of(eta), rows.interval
    exact = (rows.status > 0) & ~interval
    until = np.where(interval, rows.left, rows.stop)
    total: Array = -of.cumulative(until, eta, own)
    if (rows.start > 0).any():
        total = total + of.cumulative(rows.start, eta, own)
    if exact.any():
        total = total + xp.switch(exact, of.log_hazard(rows.stop, eta, own), 0.0)
    if interval.any():
        risk = of.cumulative(np.where(interval, rows.stop, 2 * rows.stop), eta, own) - of.cumulative(until, eta, own)
        total = total + xp.switch(interval, xp.log(-xp.expm1(-xp.maximum(risk, _LEAST))), 0.0)
    return total


def _family(name: str, link: str, of: _ByCause, causes: Sequence[Any] | None = None) -> Family:
    """The record of the distribution of times of each cause; `causes` are their values in the data, where they were named or read."""
    law = next(iter(of.values()))

    def observe(name: str, outcome: Outcome, eta: Tensor, _: str, own: Mapping[str, Tensor]) -> None:
        _observe(name, of, outcome, eta, own)

    def log_density(y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
        assert trials is not None
        return time_log_likelihood(of, rows_followed(y, trials), eta, own)

    def moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
        raise InputError("a time that may be censored has no mean here; ask for survival at times")

    def read(table: Table, response: Response, censored: Any) -> Outcome:
        outcome = read_event_time(table, response, censored, causes)
        if link == "log_hazard":
            return outcome
        return replace(outcome, location=-outcome.location, locations=tuple(-x for x in outcome.locations))

    return Family(
        name, (link,), read, observe, moments, log_density, responses="time", called={"log_hazard": "proportional-hazards", "log_time": "accelerated-failure-time"}[link], distribution=law.words,
        formula=law.formula, own=tuple(with_cause(cause, own) for cause, of_cause in of.items() for own in of_cause.own),
        choice="censored", doubts=doubtful_events, findings=("survival",), predictors=cause_names, event_times=of,
    )  # fmt: skip


def _observe(name: str, of: _ByCause, outcome: Outcome, eta: Tensor, own: Mapping[str, Tensor]) -> None:
    """A time to an event after the row's start, of several causes to the first; its simulation is not censored."""
    import pymc as pm
    from pymc.distributions.shape_utils import rv_size_is_none

    pt = import_pytensor()
    rows, n, names = follow_up(outcome), len(outcome.values), list(own)
    log_f = time_log_likelihood(of, rows, eta, own)
    log_f = log_f if outcome.weights is None else outcome.weights * log_f
    steps = {p for p in own if p.endswith("h0_steps")}
    pm.modelcontext(None).auxiliary.update(steps)  # pyright: ignore[reportAttributeAccessIssue]

    def draw(_: Tensor, eta: Tensor, *parameters: Tensor) -> Tensor:
        *values, size = parameters
        of_names = dict(zip(names, values, strict=True))
        times = []
        for k, (cause, law) in enumerate(of.items()):
            of_cause, eta_k = own_of_cause(cause, of_names), eta[..., k] if cause else eta
            waiting = pm.Exponential.dist(1.0, size=(n,) if rv_size_is_none(size) else (*tuple(size), n))
            times.append(law.inverse(waiting + law.cumulative(rows.start, eta_k, of_cause), eta_k, of_cause))
        return reduce(pt.minimum, times)

    pm.CustomDist(
        name,
        log_f,
        eta,
        *own.values(),
        logp=lambda y, log_f, *_: pt.switch(y > 0, log_f, -np.inf),
        dist=draw,
        signature=f"(n),{'(n)' if '' in of else '(n,c)'}{''.join(',(k)' if own[p].ndim else ',()' for p in names)}->(n)",
        observed=pm.Data(f"_{name}_observed", outcome.values, dims=outcome.dim),
        dims=outcome.dim,
        class_name="EventTime",
    )


# ---------------------------------------------------------------------------------------------------------------- records

PROPORTIONAL_HAZARDS, ACCELERATED_FAILURE = "proportional_hazards", "accelerated_failure"


def read_event_times(distribution: str | None, baseline: str, cuts: Any, outcome: Outcome) -> dict[str, Any]:
    """What distribution of times was asked for, with what is learnt of it from the data, of several causes by cause; JSON-able.

    Raises
    ------
    InputError
        Unknown baselines; cut points that are not inside the follow-up.
    """
    if distribution is not None and cuts is not None:
        raise InputError("cuts belong to baseline='piecewise', not to a distribution of times")
    rows, causes = follow_up(outcome), outcome.levels
    if not causes:
        return _learnt(distribution, baseline, cuts, rows)
    known = cuts.get("causes") if isinstance(cuts, Mapping) else None
    by_cause = known if isinstance(known, Mapping) else dict.fromkeys(causes, cuts)
    of = {c: _learnt(distribution, baseline, by_cause.get(c), rows.of_cause(k)) for k, c in enumerate(causes, start=1)}
    return {**({"distribution": distribution} if distribution else {"baseline": baseline}), "causes": of}


def _learnt(distribution: str | None, baseline: str, cuts: Any, rows: RowsFollowed) -> dict[str, Any]:
    """That of one cause."""
    if distribution is not None:
        return {"distribution": distribution}
    times = rows.stop[rows.status > 0]
    hazard = read_baseline_hazard(baseline, cuts, times, float(rows.start.min()), float(rows.stop.max()))
    unit = float(f"{np.median(times):.1g}") if baseline == "weibull" else 1.0
    centre = hazard.basis(times).mean(axis=0).tolist()
    known = cuts if isinstance(cuts, Mapping) else {}
    return {
        "baseline": hazard.kind,
        "cuts": hazard.cuts.tolist(),
        "origin": hazard.origin,
        "horizon": hazard.horizon,
        "unit": known.get("unit", unit),
        "centre": known.get("centre", centre),
    }


def event_time_family(learnt: Mapping[str, Any]) -> Family:
    """The family of what `read_event_times` gave."""
    causes = learnt.get("causes")
    of = {"": _law(learnt)} if causes is None else {variable_name(c): _law(of_cause) for c, of_cause in causes.items()}
    name, link = (ACCELERATED_FAILURE, "log_time") if "distribution" in learnt else (PROPORTIONAL_HAZARDS, "log_hazard")
    return _family(name, link, of, None if causes is None else list(causes))


def _law(learnt: Mapping[str, Any]) -> _Times:
    """The distribution of one cause."""
    if "distribution" in learnt:
        return AcceleratedFailure(learnt["distribution"])
    hazard = BaselineHazard(learnt["baseline"], learnt["horizon"], np.array(learnt["cuts"]), learnt["origin"])
    return ProportionalHazards(hazard, learnt["unit"], np.array(learnt["centre"]))


def undecided_event_time_family(distribution: str | None, causes: Sequence[Any] | None) -> Family:
    """The family of a response that is to be read before what `read_event_times` gives is known; `causes` are those that were named.

    Raises
    ------
    InputError
        Unknown distributions.
    """
    if distribution is None:
        law: _Times = ProportionalHazards(BaselineHazard("exponential", np.inf))
        return _family(PROPORTIONAL_HAZARDS, "log_hazard", {"": law}, causes)
    if distribution not in TIME_LAWS:
        raise InputError(
            f"unknown distribution {distribution!r}{did_you_mean(str(distribution), TIME_LAWS) or ';'} known: {listing(TIME_LAWS)}, or "
            "none for proportional hazards"
        )
    return _family(ACCELERATED_FAILURE, "log_time", {"": AcceleratedFailure(distribution)}, causes)
