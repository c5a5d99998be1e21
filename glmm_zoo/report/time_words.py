"""Times to an event in words: their distributions, their baseline hazards, and what their linear predictor is."""

from __future__ import annotations

from glmm_zoo.report.parts import OutcomeParts, Parts

BASELINE_WORDS = {
    "bspline": "a penalised B-spline of time", "piecewise": "constant between cut points",
    "weibull": "that of a Weibull distribution", "exponential": "constant over time",
}  # fmt: skip
TIME_DISTRIBUTIONS = {"weibull": "Weibull", "lognormal": "lognormal", "loglogistic": "log-logistic"}


def event_of(parts: Parts) -> str:
    """The user's word for the event, else "the event"."""
    return parts.about.event or "the event"


def time_likelihood(parts: Parts) -> str:
    """How times to an event vary."""
    learnt, what = parts.spec["facts"]["event_times"], event_of(parts)
    censored = "Of a row that is censored it is known that the event had not come."
    if "distribution" in learnt:
        law = TIME_DISTRIBUTIONS[learnt["distribution"]]
        return f"The logarithm of the time to {what} is η plus an error, with which the time has a {law} distribution. {censored}"
    baseline = BASELINE_WORDS[learnt["baseline"]]
    return f"The hazard of {what} at time t is exp(η) times the baseline hazard h₀(t), {baseline} and the same for all. {censored}"


def time_amount(outcome: OutcomeParts, what: str) -> str:
    """What the linear predictor of a time is."""
    return (
        f"η, the log hazard of {what}," if outcome.link == "log_hazard" else f"η, the level of the log time to {what},"
    )
