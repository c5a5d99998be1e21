"""Checks of times to an event: do as many events come as expected, in each period of time and along each covariate?

With S_i(t) the probability that the event of row i comes after t as the other rows predict it, r_i(t) = -log S_i(t) are the events that
are expected of the row until t: what is left of status less r_i(stop) is a martingale. Sums of it over rows, or over a period, are
compared with Poisson counts of the expected number, which is careful: the rows have made the estimates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import xarray as xr

from glmm_zoo.families.event_times import RowsFollowed, follow_up
from glmm_zoo.families.registry import family_of_fit
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.fit_checks.covariates import stretches_of
from glmm_zoo.results.fit_checks.fit_check import PATTERN, FitCheck, far_from_expected, p_words
from glmm_zoo.results.numbers import alone, written
from glmm_zoo.results.predicted_rows import PredictedRows, predicted_times
from glmm_zoo.results.storage import metadata, stored_table
from glmm_zoo.tables.frames import take_columns_with_gaps

PERIODS, EVENTS_IN_PERIOD, FEW_ROWS = 6, 5, 10
_SIMULATED = 20_000


def event_checks(tree: xr.DataTree, most_draws: int) -> Iterator[FitCheck]:
    """Events over time and along the covariates; none where the file has no draws, or events are known only to lie in intervals."""
    rows = predicted_times(tree)
    if rows is None:
        return
    facts = metadata(tree)["spec"]["facts"]
    if facts["in_intervals"] or facts["before"]:
        return
    yield from checks_of_rows(rows.at_most(most_draws), follow_up_of_fit(tree), about_of(tree))


def follow_up_of_fit(tree: xr.DataTree) -> RowsFollowed:
    """The follow-up of the rows of a fit of times to an event, read from its table again."""
    spec = metadata(tree)["spec"]
    response = parse_formula(spec["formula"]).response
    assert response is not None
    table = take_columns_with_gaps(stored_table(tree), list(response.columns))
    return follow_up(family_of_fit(spec["family"], spec).read(table, response, spec["options"]["censored"]))


def checks_of_rows(rows: PredictedRows, followed: RowsFollowed, about: About) -> Iterator[FitCheck]:
    """The check over time, then those along the covariates."""
    came = followed.status > 0
    tried: dict[str, tuple[np.ndarray, np.ndarray, Mapping[int, str]]] = {}
    periods = min(PERIODS, int(came.sum()) // EVENTS_IN_PERIOD)
    if periods > 1:
        ends = np.unique(np.quantile(followed.stop[came], np.linspace(0, 1, periods + 1)[1:-1]))
        edges = np.array([0.0, *ends, followed.stop.max()])
        until = np.stack([expected_events(rows, np.minimum(followed.stop, t)).sum() for t in edges])
        period = np.searchsorted(ends, followed.stop, side="left")
        observed = np.bincount(period[came], minlength=len(edges) - 1).astype(float)
        words = {k: f"from {alone(a)} to {alone(b)}" for k, (a, b) in enumerate(pairwise(edges))}
        tried["time"] = observed, np.diff(until), words
    expected = expected_events(rows, followed.stop)
    for column, x in rows.covariates.items():
        codes, words = _parts(x, column, about)
        if codes is not None:
            tried[column] = np.bincount(codes, came), np.bincount(codes, expected), words
    for column, (observed, of_part, words) in tried.items():
        name = "time" if column == "time" else about.name(column)
        yield judged_events(rows.name, name, observed, of_part, words, len(tried))


def expected_events(rows: PredictedRows, t: np.ndarray) -> np.ndarray:
    """-log S_i(t) (n,) at a time of each row (n,); beyond all draws that of half of one."""
    later = (rows.weights * (rows.drawn > t)).sum(axis=0)
    return -np.log(np.maximum(later, 0.5 / len(rows.drawn)))


def judged_events(
    outcome: str, name: str, observed: np.ndarray, expected: np.ndarray, words: Mapping[int, str], tried: int
) -> FitCheck:
    """What observed and expected numbers of events (parts,) mean; `tried` is the number of such checks."""
    rng = np.random.default_rng(0)
    drawn = rng.poisson(expected, (_SIMULATED, len(expected))) - expected
    p = far_from_expected(observed - expected, drawn)
    along = "Over time" if name == "time" else f"Along {name}"
    if p >= PATTERN / tried:
        return FitCheck(
            "events", outcome, "sound", (f"{along}, as many events came as expected (P {p_words(p)}).",), p=p
        )
    worst = np.sort(np.argsort(-((observed - expected) ** 2) / np.maximum(expected, 0.5))[:2])
    found = "; ".join(
        f"{words[int(k)]} {observed[k]:g} came and {written(float(expected[k]), 1)} were expected" for k in worst
    )
    remedy = (
        "Let the baseline hazard follow time more freely (baseline='bspline'), or take another distribution, and compare."
        if name == "time"
        else f"Give {name} a bend, or rows (start, stop] and a product with time where its effect changes, and compare."
    )
    found = f"{along}, events are out of line (P {p_words(p)}): {found}."
    return FitCheck("events", outcome, "caution", (found, remedy), f"events out of line {along.lower()}", p)


def _parts(x: np.ndarray, column: str, about: About) -> tuple[np.ndarray | None, Mapping[int, str]]:
    """The part (n,) of a covariate that each row is in, levels or stretches, with its words; None where there are too few rows."""
    levels, codes = np.unique(x, return_inverse=True)
    if x.dtype.kind == "U" or len(levels) == 2:
        words = {
            k: f"where {about.name(column)} is {about.level(column, level)}" for k, level in enumerate(levels.tolist())
        }
        return (codes if 1 < len(levels) <= len(x) / FEW_ROWS else None), words
    codes = stretches_of(x)
    if codes is None:
        return None, {}
    ends = [(x[codes == k].min(), x[codes == k].max()) for k in range(codes.max() + 1)]
    return codes, {k: f"from {alone(a)} to {alone(b)}" for k, (a, b) in enumerate(ends)}
