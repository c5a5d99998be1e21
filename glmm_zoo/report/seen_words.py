"""Sentences on responses that are truncated or censored, and on weights of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from glmm_zoo.errors import plural
from glmm_zoo.families.partly_observed import bounds_words
from glmm_zoo.report.parts import OutcomeParts, Parts, joined
from glmm_zoo.results.storage import outcome_specs


def seen_sentences(parts: Parts, outcome: OutcomeParts) -> Iterator[str]:
    """What is told of what was not seen."""
    if outcome.family.truncated:
        yield "Coefficients are about this distribution before it is truncated, and means are those of the values that can be seen."
    counts = _censored(parts, outcome)
    if counts:
        yield (
            f"Of {counts} only limits are known, and each enters by the probability that the model gives to what lies beyond; estimates "
            "are about the values themselves."
        )
    weights = parts.spec["options"].get("weights")
    if weights:
        yield (
            f"The log-likelihood of each row is multiplied by its weight, {parts.about.name(weights)}; estimates over rows and checks against "
            "the data count each row once."
        )


def seen_methods(parts: Parts, outcome: OutcomeParts) -> Iterator[str]:
    """The same for a methods paragraph."""
    if outcome.family.truncated:
        words = bounds_words(*(outcome.family.bounds or ()))
        yield f"The likelihood was that of values truncated to those {words}; expected values are those of the truncated distribution."
    counts = _censored(parts, outcome)
    if counts:
        yield f"The likelihood of {counts} was the probability of lying beyond their limits."
    weights = parts.spec["options"].get("weights")
    if weights:
        yield f"The log-likelihood of each observation was multiplied by its weight ({parts.about.name(weights)})."


def _censored(parts: Parts, outcome: OutcomeParts) -> str:
    """ "12 left-censored and 3 right-censored values"."""
    response = str(outcome_specs(parts.spec)[outcome.prefix]["response"])
    found = [
        (int(n), f"{n} {how}-censored") for n, how in re.findall(r", (\d+) (left|right|interval)-censored", response)
    ]
    if not found:
        return ""
    return f"{joined([text for _, text in found])} {plural(found[-1][0], 'value').partition(' ')[2]}"
