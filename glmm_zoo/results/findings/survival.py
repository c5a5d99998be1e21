"""How much the data say of the event: how many came, in how much follow-up, and who entered late."""

from __future__ import annotations

import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.results.about import about_of
from glmm_zoo.results.findings.finding import Finding
from glmm_zoo.results.numbers import alone
from glmm_zoo.results.storage import metadata

_KNOWN = {"in_intervals": "known only to lie in an interval", "before": "known only to have come before a time"}


def find(tree: xr.DataTree, prob: float) -> Finding:
    """Events and follow-up."""
    spec = metadata(tree)["spec"]
    facts, causes = spec["facts"], spec["levels"]
    censoring = [f"{plural(facts[what], 'event')} {words}" for what, words in _KNOWN.items() if facts[what]]
    by_cause = f" ({listing(f'{n} of {c}' for c, n in zip(causes, facts['by_cause'], strict=True))})" if causes else ""
    follow_up = about_of(tree).person_time or "units of follow-up"
    sentences = [
        f"{plural(facts['events'], 'event')}{by_cause} in {plural(facts['rows'], 'row')} and {alone(facts['person_time'])} {follow_up}"
        f"{'; ' if censoring else ''}{' and '.join(censoring)}."
    ]
    if facts["entered_late"]:
        sentences.append(
            f"{plural(facts['entered_late'], 'row')} {'begins' if facts['entered_late'] == 1 else 'begin'} after time {facts['origin']:g}: "
            "each counts from then on, given the group effects."
        )
    return Finding("the event", tuple(sentences))
