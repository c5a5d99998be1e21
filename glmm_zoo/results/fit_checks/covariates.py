"""Checks against covariates: does a stretch of one lie above or below the model, is a category out of place?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from glmm_zoo.results.about import About
from glmm_zoo.results.fit_checks.fit_check import PATTERN, FitCheck, far_from_expected, p_words
from glmm_zoo.results.numbers import alone, percent, written
from glmm_zoo.results.predicted_rows import PredictedRows

STRETCHES, ROWS_IN_STRETCH = 6, 10
_AT_ONCE = 500_000  # residuals of predicted data computed together


def pattern_checks(rows: PredictedRows, spec: Mapping[str, Any], about: About) -> Iterator[FitCheck]:
    """Residuals against each covariate: does a stretch of it lie above or below the model?"""
    mean = rows.drawn.mean(axis=0)
    scale = np.ones(len(mean)) if rows.kind == "binary" else np.maximum(rows.drawn.std(axis=0), 1 / len(rows.drawn))
    observed, at_once = (rows.y - mean) / scale, max(1, _AT_ONCE // len(mean))
    tried = {column: stretch for column, x in rows.covariates.items() if (stretch := stretches_of(x)) is not None}
    for column, stretch in tried.items():
        member = _members(stretch)
        some = (rows.drawn[i : i + at_once] for i in range(0, len(rows.drawn), at_once))
        drawn = np.concatenate([((part - mean) / scale) @ member for part in some])
        p = far_from_expected(observed @ member, drawn)
        away = (observed @ member) / member.sum(axis=0)
        if p < PATTERN / len(tried):
            words = _pattern_words(rows, column, about.name(column), stretch, mean, np.argsort(-np.abs(away))[:2])
            remedy = _bend(column, spec)
            yield FitCheck("pattern", rows.name, "caution", (words, remedy), f"a bend along {about.name(column)}", p)
        else:
            words = f"Along {about.name(column)}, the residuals leave no pattern (P {p_words(p)})."
            yield FitCheck("pattern", rows.name, "sound", (words,), p=p)


def stretches_of(x: np.ndarray) -> np.ndarray | None:
    """The stretch (n,) of a column of numbers that each row is in, about equally many rows in each, -1 of rows without a value; None where
    there are too few rows for three."""
    known = ~np.isnan(x)
    stretches = min(STRETCHES, known.sum() // ROWS_IN_STRETCH)
    edges = np.unique(np.quantile(x[known], np.linspace(0, 1, stretches + 1)[1:-1])) if stretches > 2 else np.empty(0)
    codes = np.full(len(x), -1)
    codes[known] = np.unique(np.searchsorted(edges, x[known], side="right"), return_inverse=True)[1]
    return codes if codes.max() > 1 else None


def _members(stretch: np.ndarray) -> np.ndarray:
    """Which rows are in which stretch (n, stretches), as 0 and 1."""
    return (stretch[:, None] == np.arange(stretch.max() + 1)).astype(float)


def mean_by_stretch(rows: PredictedRows, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The mean of a covariate in each of its stretches (k,), and those of the outcome, observed (k,) and predicted (draws, k)."""
    x = rows.covariates[column]
    stretch = stretches_of(x)
    if stretch is None:
        return None
    member = _members(stretch)
    member = member / member.sum(axis=0)
    return np.nan_to_num(x) @ member, rows.y @ member, rows.drawn @ member


def _pattern_words(
    rows: PredictedRows, column: str, name: str, stretch: np.ndarray, mean: np.ndarray, worst: np.ndarray
) -> str:
    """Where along a covariate the data are off, in their own unit or as shares."""
    x, parts = rows.covariates[column], []
    for k in np.sort(worst):
        here = stretch == k
        observed, expected = rows.y[here].mean(), mean[here].mean()
        where = f"from {alone(x[here].min())} to {alone(x[here].max())}"
        if rows.kind == "continuous":
            way = "above" if observed > expected else "below"
            parts.append(
                f"{where} the observed mean of {rows.label} is {_two_digits(abs(observed - expected))} {way} the model's"
            )
        elif rows.kind == "binary":
            parts.append(f"{where} {percent(observed)} were observed and {percent(expected)} expected")
        else:
            parts.append(f"{where} {written(observed / expected, 2)} times as many as expected were observed")
    return f"Along {name}, the residuals leave a pattern: {'; '.join(parts)}."


def _two_digits(value: float) -> str:
    return written(value, max(0, 1 - int(np.floor(np.log10(value)))) if value else 0)


def _bend(column: str, spec: Mapping[str, Any]) -> str:
    also = next((f for f, g in spec["groups"].items() if any(column in effect for effect in g["effects"])), None)
    too = f", also to the effects of {also}" if also else ""
    if any(column in smooth.get("variables", ()) for smooth in spec["smooths"]):
        return f"Give s({column}) a larger k, and compare."
    return f"Add a bend, I({column}**2){too}, and compare."


def category_checks(rows: PredictedRows, about: About) -> Iterator[FitCheck]:
    """Categories by each covariate."""
    present = np.unique(rows.y)
    codes = {column: _level_codes(x) for column, x in rows.covariates.items()}
    for column, code in codes.items():
        cells = [(rows.y == k, rows.drawn == k, code == level) for k in present for level in np.unique(code)]
        expected = np.array([(drawn * here).sum(axis=1).mean() for _, drawn, here in cells])
        observed = np.array([(y & here).sum() for y, _, here in cells]) - expected
        drawn = np.stack([(drawn * here).sum(axis=1) for _, drawn, here in cells], axis=1) - expected
        p = far_from_expected(observed, drawn)
        if p < PATTERN / len(codes):
            remedy = (
                f"Let its effect differ between the thresholds, nominal='~ {column}' of the cumulative family, or the spread, disc='~ {column}', and compare."
                if rows.kind == "ordered"
                else f"Give {column} a bend or an interaction, and compare."
            )
            words = f"By {about.name(column)}, categories are not as often observed as expected (P {p_words(p)})."
            doubt = f"categories out of place by {about.name(column)}"
            yield FitCheck("categories", rows.name, "caution", (words, remedy), doubt, p)
        else:
            words = f"By {about.name(column)}, each category is about as often observed as expected (P {p_words(p)})."
            yield FitCheck("categories", rows.name, "sound", (words,), p=p)


def _level_codes(x: np.ndarray) -> np.ndarray:
    stretch = stretches_of(x) if x.dtype.kind == "f" and len(np.unique(x)) > STRETCHES else None
    return np.unique(x, return_inverse=True)[1] if stretch is None else stretch
