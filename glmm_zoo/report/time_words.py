"""Times to an event in words: how they vary, and what their linear predictor is."""

from __future__ import annotations

from glmm_zoo.report.parts import OutcomeParts, Parts


def event_of(parts: Parts) -> str:
    """The user's word for the event, else "the event"."""
    return parts.about.event or "the event"


def time_likelihood(parts: Parts, outcome: OutcomeParts) -> str:
    """How times to an event vary."""
    what = event_of(parts)
    subject = (
        f"The hazard of {what} at time t" if outcome.link == "log_hazard" else f"The logarithm of the time to {what}"
    )
    return (
        f"{subject} {outcome.family.distribution}. Of a row that is censored it is known that the event had not come."
    )


def time_amount(outcome: OutcomeParts, what: str) -> str:
    """What the linear predictor of a time is."""
    return (
        f"η, the log hazard of {what}," if outcome.link == "log_hazard" else f"η, the level of the log time to {what},"
    )
