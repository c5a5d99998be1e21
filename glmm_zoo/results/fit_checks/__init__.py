"""Does the model fit the data? Each check compares what was observed with data that the model predicts, from the file alone.

A check has P, the share of predicted data sets that are as far off as the observed one. The limits of P are chosen so that of fits
of true models about one in ten is told a hint of anything, and none that its estimates are not to be trusted; see
docs/decisions/0072-three-verdicts.md. Residuals against covariates are those of the fit itself, which makes that check careful.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from glmm_zoo.errors import listing
from glmm_zoo.results.about import about_of
from glmm_zoo.results.fit_checks.binary import binary_checks
from glmm_zoo.results.fit_checks.correlation import correlation_check
from glmm_zoo.results.fit_checks.covariates import category_checks, pattern_checks
from glmm_zoo.results.fit_checks.events import event_checks
from glmm_zoo.results.fit_checks.fit_check import WITHIN, FitCheck, usual_number
from glmm_zoo.results.fit_checks.spread import distribution_check, spread_checks, zeros_check
from glmm_zoo.results.fit_checks.tails import tails_check
from glmm_zoo.results.numbers import nominal
from glmm_zoo.results.predicted_rows import predicted_rows
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.studies import studies_apart
from glmm_zoo.trials.arms import META_ANALYSES

_MOST_DRAWS = 2000


def fit_checks(tree: xr.DataTree) -> Iterator[FitCheck]:
    """Every check that suits the model, of every outcome."""
    spec, about = metadata(tree)["spec"], about_of(tree)
    if spec["builder"] in META_ANALYSES:
        yield _studies_check(tree)
        return
    if "event_times" in spec["facts"]:
        yield from event_checks(tree, _MOST_DRAWS)
    for rows in predicted_rows(tree):
        few = rows.at_most(_MOST_DRAWS)
        if rows.kind == "binary":
            yield from binary_checks(rows, tree)
        elif rows.kind in ("binomial", "count"):
            yield from spread_checks(rows, tree)
            if "zeros" in spec["aspects"]:
                yield zeros_check(tree, rows)
            yield distribution_check(few)
        if rows.kind in ("ordered", "unordered"):
            yield from category_checks(few, about)
        else:
            yield from pattern_checks(few, spec, about)
        if rows.kind == "continuous":
            yield tails_check(few)
    correlation = correlation_check(tree)
    if correlation is not None:
        yield correlation


def _studies_check(tree: xr.DataTree) -> FitCheck:
    """Studies whose own effects lie outside what is expected of a study of their size and covariates."""
    studies = studies_apart(tree)
    outside, usual = studies.outside, usual_number(len(studies.labels), 1 - WITHIN)
    words = (
        f"{int(outside.sum())} of {len(outside)} {studies.what} lie outside the {nominal(WITHIN)} interval expected for "
        f"{'their size and covariates' if studies.covariates else 'their size'} (at most {usual} would be usual)"
    )
    names = listing(np.array(studies.labels)[outside], 3)
    words += f": {names}." if outside.any() else "."
    if outside.sum() <= usual:
        return FitCheck("studies", "", "sound", (words,))
    remedy = "Look for what these studies have in common, and compare with a fit without them."
    return FitCheck("studies", "", "caution", (words, remedy), "studies out of line")
