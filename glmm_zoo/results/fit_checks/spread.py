"""Checks of counts: how much they vary, how many lie outside their intervals, how many are zero, how many rows have how many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from glmm_zoo.results.findings import dispersion, zeros
from glmm_zoo.results.fit_checks.fit_check import (
    GROSS,
    GROSS_RATIO,
    HINT,
    OUT_OF_LINE,
    SIGN,
    WITHIN,
    FitCheck,
    Soundness,
    above,
    below,
    far_from_expected,
    p_words,
    usual_number,
)  # fmt: skip
from glmm_zoo.results.numbers import nominal, whole, written
from glmm_zoo.results.predicted_rows import PredictedRows, predicted_for_new_groups
from glmm_zoo.results.storage import metadata

UNIT_BINS, COUNT_BINS = 15, 14  # counts up to which each has a bin of its own, and bins of larger ones


def spread_checks(rows: PredictedRows, tree: xr.DataTree) -> Iterator[FitCheck]:
    """Pearson's statistic against what the other rows predict, and how many rows lie outside their intervals.

    Where there is an effect for nearly every row, rows are counted that lie outside what is predicted with effects drawn anew.
    """
    spec = metadata(tree)["spec"]
    if not dispersion.effect_for_nearly_every_row(spec):
        found = dispersion.pearson_spread(rows.y, rows.drawn, rows.weights)
        yield judged_spread(rows.name, rows.kind, dispersion.model_in_words(spec), *found)
        yield outside_check(rows, "that the other rows predict")
        return
    words = (
        "With an effect for nearly every row the model takes up variation of any size, so the spread was not judged."
    )
    yield FitCheck("spread", rows.name, "sound", (words,))
    anew = predicted_for_new_groups(tree, rows)
    if anew is not None:
        yield outside_check(anew, "predicted for them with effects drawn anew")


def judged_spread(outcome: str, kind: str, builder: str, observed: float, expected: np.ndarray) -> FitCheck:
    """What the ratio of observed to expected spread means, given the statistic of predicted data sets (draws,)."""
    times = observed / float(expected.mean())
    more, less = float(np.mean(expected >= observed)), float(np.mean(expected <= observed))
    found = f"Residuals vary {written(times, 1)} times as much as expected (P {p_words(more)})"
    binomial = kind in ("binary", "binomial") and builder != "beta_binomial"
    allowed = "a binomial" if binomial else "the model of the counts"
    state: Soundness = "sound"
    doubt, then = "", "."
    if more < HINT:
        state = "unsound" if more < GROSS and times >= GROSS_RATIO else "caution"
        doubt = f"more spread than {allowed} allows"
        narrow = "so intervals are too narrow" if more < SIGN else "if that is real, intervals are too narrow"
        then = f"{', ' if more < SIGN else ': '}{narrow}. {_what_gives_more_spread(kind, builder)}"
    elif less < SIGN:
        state, doubt = "caution", f"less spread than {allowed} has"
        then = ": intervals are likely wider than need be."
        if kind not in ("binary", "binomial") and builder != "stepped_wedge":
            then += f" {dispersion.what_gives_less_spread(builder)}"
    return FitCheck("spread", outcome, state, (found + then,), doubt, more, times)


def _what_gives_more_spread(kind: str, builder: str) -> str:
    if builder == "stepped_wedge":
        return "Try correlation='nested_exchangeable', which gives each cluster-period an effect, and compare."
    if kind == "binary":
        return "Look for a grouping factor or a product of covariates by which rows differ, and compare."
    if kind == "binomial" and builder != "beta_binomial":
        another = "Fit beta_binomial, or add" if builder == "hierarchical_logistic" else "Add"
        return f"{another} a column that numbers the rows and the term (1 | row), and compare."
    return dispersion.what_gives_more_spread(builder)


def outside_check(rows: PredictedRows, which: str) -> FitCheck:
    """How many rows lie outside the interval of 95 % that `which` says."""
    tail = (1 - WITHIN) / 2
    outside = int(((below(rows) < tail) | (above(rows) < tail)).sum())
    usual = usual_number(len(rows.y), 1 - WITHIN)
    words = (
        f"{whole(outside)} of {whole(len(rows.y))} rows lie outside the {nominal(WITHIN)} interval {which} (at most {whole(usual)} would "
        "be usual)."
    )
    if outside <= 2 * usual:
        return FitCheck("outside", rows.name, "sound", (words,))
    remedy = "Look for what these rows have in common, and compare with another family or another grouping factor."
    return FitCheck("outside", rows.name, "caution", (words, remedy), "rows out of line")


def zeros_check(tree: xr.DataTree, rows: PredictedRows) -> FitCheck:
    """The finding on zeros."""
    finding = zeros.find(tree, WITHIN)
    alarmed = len(finding.sentences) > 1
    observed, median = finding.tables["check"].loc["zeros", ["observed", "expected"]]
    doubt = f"{'more' if observed > median else 'fewer'} zeros than expected" if alarmed else ""
    p = float(finding.tables["check"].loc["zeros", "p"])
    return FitCheck("zeros", rows.name, "caution" if alarmed else "sound", finding.sentences, doubt, p)


def count_bins(rows: PredictedRows) -> np.ndarray:
    """The lowest count of each bin and one beyond the highest: each count up to 15, else 0 and equally many predicted in each."""
    most = int(rows.y.max(initial=0))
    if most <= UNIT_BINS:
        return np.arange(most + 2)
    positive = rows.drawn[rows.drawn > 0]
    edges = np.quantile(positive, np.linspace(0, 1, COUNT_BINS)[:-1], method="lower").astype(int)
    return np.unique([0, 1, *edges[edges < most], most + 1])


def rows_in_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How many of the values (..., n) are in each bin (..., bins); those beyond are in the last."""
    codes = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return np.stack([(codes == k).sum(axis=-1) for k in range(len(edges) - 1)], axis=-1)


def distribution_check(rows: PredictedRows) -> FitCheck:
    """How many rows have how many counts."""
    edges = count_bins(rows)
    observed, drawn = rows_in_bins(rows.y, edges), rows_in_bins(rows.drawn, edges)
    mean = drawn.mean(axis=0)
    p = far_from_expected(observed - mean, drawn - mean)
    if p >= OUT_OF_LINE:
        return FitCheck("distribution", rows.name, "sound", (), p=p)
    worst = int(np.argmax(np.abs(observed - mean) / np.maximum(drawn.std(axis=0), 1)))
    bounds = dict.fromkeys(whole(v) for v in (edges[worst], edges[worst + 1] - 1))
    words = (
        f"Counts are spread otherwise than the model has them (P {p_words(p)}): {whole(observed[worst])} rows have {' to '.join(bounds)}, and "
        f"{whole(mean[worst])} are expected to."
    )
    remedy = "Look at the picture of observed and predicted data, and compare with another family."
    return FitCheck("distribution", rows.name, "caution", (words, remedy), "another distribution of the counts", p)
