"""Times to an event in words: how they vary, and what their linear predictor is."""

from __future__ import annotations

from collections.abc import Iterator

from glmm_zoo.errors import listing
from glmm_zoo.formulas.terms import Expression
from glmm_zoo.report.parts import OutcomeParts, Parts


def event_of(parts: Parts) -> str:
    """The user's word for the event, else "the event"."""
    return parts.about.event or "the event"


def cause_words(parts: Parts, cause: str) -> str:
    """What a cause of the event is called, by the column of the event where its levels have words."""
    response = parts.outcomes[0].main.formula.response
    event = None if response is None or response.event is None else response.event.event
    return parts.about.level(event.columns[0], cause) if isinstance(event, Expression) else cause


def time_likelihood(parts: Parts, outcome: OutcomeParts) -> str:
    """How times to an event vary."""
    what = event_of(parts)
    if outcome.causes:
        what = f"each cause of {what} ({listing([cause_words(parts, cause) for cause in outcome.causes], 9)})"
    subject = (
        f"The hazard of {what} at time t" if outcome.link == "log_hazard" else f"The logarithm of the time to {what}"
    )
    compete = " The cause that comes first is seen, and censors the others." if outcome.causes else ""
    return f"{subject} {outcome.family.distribution}.{compete} Of a row that is censored it is known that the event had not come."


def time_amount(outcome: OutcomeParts, what: str) -> str:
    """What the linear predictor of a time is."""
    what = f"each cause of {what}" if outcome.causes else what
    return (
        f"η, the log hazard of {what}," if outcome.link == "log_hazard" else f"η, the level of the log time to {what},"
    )


def followed_words(parts: Parts) -> str:
    """What is followed beside the markers of a joint model: "time to death", "recurrent relapses"."""
    if parts.spec["event"].get("recurrent"):
        return f"recurrent {parts.about.plural(parts.about.event or 'event')}"
    return f"time to {event_of(parts)}"


def recurrence_methods(parts: Parts) -> Iterator[str]:
    """How events that come again were modelled."""
    if parts.event is not None and parts.spec["event"].get("recurrent"):
        frailty = " and a normal frailty of the subject in the log hazard" if parts.event.covariates.groups else ""
        yield f"Recurrent events were a Poisson process in the time since the origin, given the random effects{frailty}."
