"""Does the model fit the data? Each check compares what was observed with data that the model predicts, from the file alone.

A check has P, the share of predicted data sets that are as far off as the observed one. The limits of P are chosen so that of fits
of true models about one in ten is told a hint of anything, and none that its estimates are not to be trusted; see
docs/decisions/0080-three-verdicts.md. Residuals against covariates are those of the fit itself, which makes that check careful.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from glmm_zoo.errors import at_rows, listing
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.findings import dispersion, zeros
from glmm_zoo.results.numbers import alone, nominal, percent, probability, whole, written
from glmm_zoo.results.predicted_rows import PredictedRows, predicted_rows, rows_alike
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.studies import studies_apart

State = Literal["sound", "caution", "unsound"]
HINT, SIGN = 0.05, 0.01  # P of what is called a hint, and a sign, of more spread
PATTERN = 0.03  # P of a pattern in the residuals, divided by the number of covariates
GROSS, GROSS_RATIO = 0.001, 2.0  # P, and times that residuals vary more than expected, of what is not to be trusted
HEAVY = 7.0  # kurtosis: that of t with 5.5 degrees of freedom, of which a normal likelihood uses five rows in six
MOST_DRAWS = 2000
STRETCHES = 6  # of a covariate
ROWS_IN_STRETCH = 10
OUT_OF_LINE = 0.02  # P of predictions that are out of line with what was observed
BINS, ROWS_IN_BIN = 10, 25
PROB = 0.95
FAR = 0.001  # probability on each side of what is called far off


@dataclass(frozen=True)
class FitCheck:
    """One check: `doubt` names what was found, "" where nothing was, `p` is how often the model does as badly, NaN where that has no
    meaning; `ratio` is that of observed to expected spread, where the check is of spread."""

    name: str
    outcome: str
    state: State
    sentences: tuple[str, ...]
    doubt: str = ""
    p: float = np.nan
    ratio: float = np.nan


def fit_checks(tree: xr.DataTree) -> Iterator[FitCheck]:
    """Every check that suits the model, of every outcome."""
    spec, about = metadata(tree)["spec"], about_of(tree)
    if spec["builder"] == "meta_analysis":
        yield _studies(tree, about)
        return
    for rows in predicted_rows(tree):
        if rows.kind == "binary":
            yield from _of_binary(rows, tree)
        elif rows.kind in ("binomial", "count"):
            yield from _spread(rows, spec)
            if "zeros" in spec["aspects"]:
                yield _zeros(tree, rows)
        few = rows.at_most(MOST_DRAWS)
        if rows.kind == "ordered":
            yield from _categories(few, about)
        else:
            yield from _patterns(few, spec, about)
        if rows.kind == "continuous":
            yield _tails(few)


# -------------------------------------------------------------------------------------------------------------- spread


def _spread(rows: PredictedRows, spec: Mapping[str, Any]) -> Iterator[FitCheck]:
    """Pearson's statistic against what the other rows predict, and how many rows lie outside their intervals."""
    if dispersion.effect_for_nearly_every_row(spec):
        words = "With an effect for nearly every row the model takes up variation of any size, so the spread was not judged."
        yield FitCheck("spread", rows.name, "sound", (words,))
    else:
        yield judged_spread(rows.name, rows.kind, spec["builder"], *dispersion.spread(rows.y, rows.drawn, rows.weights))
    yield _outside(rows)


def judged_spread(outcome: str, kind: str, builder: str, observed: float, expected: np.ndarray) -> FitCheck:
    """What the ratio of observed to expected spread means, given the statistic of predicted data sets (draws,)."""
    times = observed / float(expected.mean())
    more, less = float(np.mean(expected >= observed)), float(np.mean(expected <= observed))
    found = f"Residuals vary {written(times, 1)} times as much as expected (P {_p(more)})"
    allowed = "a binomial" if kind in ("binary", "binomial") else "the model of the counts"
    state: State = "sound"
    doubt, then = "", "."
    if more < HINT:
        state = "unsound" if more < GROSS and times >= GROSS_RATIO else "caution"
        doubt = f"more spread than {allowed} allows"
        narrow = "so intervals are too narrow" if more < SIGN else "if that is real, intervals are too narrow"
        then = f"{', ' if more < SIGN else ': '}{narrow}. {_what_gives_more_spread(kind, builder)}"
    elif less < SIGN:
        state, doubt = "caution", f"less spread than {allowed} has"
        then = ": intervals are likely wider than need be."
    return FitCheck("spread", outcome, state, (found + then,), doubt, more, times)


def _what_gives_more_spread(kind: str, builder: str) -> str:
    if builder == "stepped_wedge":
        return "Try correlation='nested_exchangeable', which gives each cluster-period an effect, and compare."
    if kind == "binary":
        return "Look for a grouping factor or a product of covariates by which rows differ, and compare."
    if kind == "binomial":
        return "Add a column that numbers the rows and the term (1 | row), and compare."
    return dispersion.what_gives_more_spread(builder)


def _outside(rows: PredictedRows) -> FitCheck:
    """How many rows lie outside the interval that the other rows predict."""
    tail = (1 - PROB) / 2
    outside = int(((_below(rows) < tail) | (_above(rows) < tail)).sum())
    usual = _usual_number(len(rows.y), 1 - PROB)
    words = (
        f"{whole(outside)} of {whole(len(rows.y))} rows lie outside the {nominal(PROB)} interval that the other rows predict (at most "
        f"{whole(usual)} would be usual)."
    )
    return FitCheck("outside", rows.name, "sound", (words,))


def _below(rows: PredictedRows) -> np.ndarray:
    """P(y) of each row being as small (n,), by the other rows."""
    return (rows.weights * (rows.drawn <= rows.y)).sum(axis=0)


def _above(rows: PredictedRows) -> np.ndarray:
    return (rows.weights * (rows.drawn >= rows.y)).sum(axis=0)


def _usual_number(of: int, share: float) -> int:
    """The most of so many that lie outside in 95 % of the cases, each with probability `share`."""
    from scipy.special import bdtrc

    k = np.arange(of + 1)
    return int(k[bdtrc(k, of, share) <= 1 - PROB][0])


def _zeros(tree: xr.DataTree, rows: PredictedRows) -> FitCheck:
    """The finding on zeros."""
    finding = zeros.find(tree, PROB)
    alarmed = len(finding.sentences) > 1
    observed, median = finding.tables["check"].loc["zeros", ["observed", "expected"]]
    doubt = f"{'more' if observed > median else 'fewer'} zeros than expected" if alarmed else ""
    p = float(finding.tables["check"].loc["zeros", "p"])
    return FitCheck("zeros", rows.name, "caution" if alarmed else "sound", finding.sentences, doubt, p)


# ---------------------------------------------------------------------------------------------------------- covariates


def _patterns(rows: PredictedRows, spec: Mapping[str, Any], about: About) -> Iterator[FitCheck]:
    """Residuals against each covariate: does a stretch of it lie above or below the model?"""
    mean = rows.drawn.mean(axis=0)
    scale = np.ones(len(mean)) if rows.kind == "binary" else np.maximum(rows.drawn.std(axis=0), 1 / len(rows.drawn))
    observed, drawn = (rows.y - mean) / scale, (rows.drawn - mean) / scale
    tried = {column: stretch for column, x in rows.covariates.items() if (stretch := _stretches(x)) is not None}
    for column, stretch in tried.items():
        member = np.eye(stretch.max() + 1)[stretch]  # (n, stretches)
        p = _chi_square(observed @ member, drawn @ member)
        away = (observed @ member) / member.sum(axis=0)
        if p < PATTERN / len(tried):
            words = _pattern_words(rows, column, about.name(column), stretch, mean, np.argsort(-np.abs(away))[:2])
            remedy = _bend(column, spec)
            yield FitCheck("pattern", rows.name, "caution", (words, remedy), f"a bend along {about.name(column)}", p)
        else:
            words = f"Along {about.name(column)}, the residuals leave no pattern (P {_p(p)})."
            yield FitCheck("pattern", rows.name, "sound", (words,), p=p)


def _stretches(x: np.ndarray) -> np.ndarray | None:
    """The stretch (n,) of a column of numbers that each row is in, about equally many rows in each; None where there are too few rows
    for three."""
    stretches = min(STRETCHES, len(x) // ROWS_IN_STRETCH)
    edges = np.unique(np.quantile(x, np.linspace(0, 1, stretches + 1)[1:-1])) if stretches > 2 else np.empty(0)
    codes = np.unique(np.searchsorted(edges, x, side="right"), return_inverse=True)[1]
    return codes if codes.max() > 1 else None


def _chi_square(observed: np.ndarray, drawn: np.ndarray) -> float:
    """The share of predicted data sets whose sums (draws, cells) are as far from 0, in units of their sds, as the observed (cells,)."""
    variance = drawn.var(axis=0)
    varies = variance > 0
    distances = (drawn[:, varies] ** 2 / variance[varies]).sum(axis=1)
    return float(np.mean(distances >= (observed[varies] ** 2 / variance[varies]).sum() - 1e-9))


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


def _categories(rows: PredictedRows, about: About) -> Iterator[FitCheck]:
    """Categories of ordered outcomes by each covariate."""
    present = np.unique(rows.y)
    codes = {column: _level_codes(x) for column, x in rows.covariates.items()}
    for column, code in codes.items():
        cells = [(rows.y == k, rows.drawn == k, code == level) for k in present for level in np.unique(code)]
        expected = np.array([(drawn * here).sum(axis=1).mean() for _, drawn, here in cells])
        observed = np.array([(y & here).sum() for y, _, here in cells]) - expected
        drawn = np.stack([(drawn * here).sum(axis=1) for _, drawn, here in cells], axis=1) - expected
        p = _chi_square(observed, drawn)
        if p < PATTERN / len(codes):
            remedy = f"Let its effect differ between the thresholds, nominal='~ {column}', and compare."
            words = f"By {about.name(column)}, categories are not as often observed as expected (P {_p(p)})."
            doubt = f"categories out of place by {about.name(column)}"
            yield FitCheck("categories", rows.name, "caution", (words, remedy), doubt, p)
        else:
            words = f"By {about.name(column)}, each category is about as often observed as expected (P {_p(p)})."
            yield FitCheck("categories", rows.name, "sound", (words,), p=p)


def _level_codes(x: np.ndarray) -> np.ndarray:
    stretch = _stretches(x) if x.dtype.kind == "f" and len(np.unique(x)) > STRETCHES else None
    return np.unique(x, return_inverse=True)[1] if stretch is None else stretch


def _p(p: float) -> str:
    text = probability(p)
    return text if text[0] in "<>" else f"= {text}"


# -------------------------------------------------------------------------------------------- binary and continuous rows


@dataclass(frozen=True)
class Calibration:
    """Rows in bins from the least to the most likely by the other rows: in each (bins,) the share `expected`, the share `observed`,
    and the sd of the latter if predictions are right; `p` is the probability of being as far off over all bins."""

    expected: np.ndarray
    observed: np.ndarray
    sd: np.ndarray
    p: float


def calibration(rows: PredictedRows) -> Calibration | None:
    """Predicted against observed shares of binary rows; None where there are too few rows, or nothing that tells them apart."""
    from scipy.special import chdtrc

    predicted = np.clip(np.where(rows.y == 1, rows.density, 1 - rows.density), 0, 1)
    bins = min(BINS, len(predicted) // ROWS_IN_BIN)
    if bins < 3 or not np.isfinite(predicted).all():
        return None
    parts = np.array_split(np.argsort(predicted, kind="stable"), bins)
    expected, observed = (np.array([v[part].mean() for part in parts]) for v in (predicted, rows.y))
    sd = np.array([np.sqrt((predicted[part] * (1 - predicted[part])).sum()) / len(part) for part in parts])
    if expected[-1] - expected[0] < 2 * sd.max() or not sd.all():
        return None
    return Calibration(expected, observed, sd, float(chdtrc(bins, (((observed - expected) / sd) ** 2).sum())))


def _of_binary(rows: PredictedRows, tree: xr.DataTree) -> Iterator[FitCheck]:
    """Rows that are alike as binomial counts, and predictions against what was observed."""
    sums, spec = rows_alike(tree, rows), metadata(tree)["spec"]
    if sums is not None and not any(2 * g["levels"] > len(sums.y) for g in spec["groups"].values()):
        yield judged_spread(rows.name, "binary", spec["builder"], *dispersion.spread(sums.y, sums.drawn, sums.weights))
    found = calibration(rows)
    if found is None:
        return
    if found.p < OUT_OF_LINE:
        worst = int(np.argmax(np.abs(found.observed - found.expected) / found.sd))
        words = (
            f"Predictions are out of line with the data (P {_p(found.p)}): where {percent(found.expected[worst])} was expected, "
            f"{percent(found.observed[worst])} was observed."
        )
        remedy = (
            "Look for a missing covariate, product of covariates or grouping factor, or try another link, and compare."
        )
        yield FitCheck(
            "calibration", rows.name, "caution", (words, remedy), "shares out of line with predictions", found.p
        )
    else:
        words = (
            f"Predictions are in line with the data (P {_p(found.p)}): of the rows with the lowest predictions "
            f"{percent(found.observed[0])} were events ({percent(found.expected[0])} expected), of those with the highest "
            f"{percent(found.observed[-1])} ({percent(found.expected[-1])})."
        )
        yield FitCheck("calibration", rows.name, "sound", (words,), p=found.p)


def _tails(rows: PredictedRows) -> FitCheck:
    """Values that are farther off than a normal distribution has them."""
    mean, scale = rows.drawn.mean(axis=0), rows.drawn.std(axis=0)
    kurtosis = _kurtosis((rows.y - mean) / scale)
    p = float(np.mean(_kurtosis((rows.drawn - mean) / scale) >= kurtosis))
    far = np.minimum(_below(rows), _above(rows))
    farthest = np.argsort(far, kind="stable")[: int((far < FAR).sum())]
    usual = _usual_number(len(far), 2 * FAR)
    words = (
        f"{whole(len(farthest))} of {whole(len(far))} values lie outside the {nominal(1 - 2 * FAR)} interval that the other rows "
        f"predict (at most {whole(usual)} would be usual)"
    )
    if len(farthest) > usual and not kurtosis > HEAVY:
        words += ", a few more than a normal distribution has"
    if not (p < SIGN and kurtosis > HEAVY):
        return FitCheck("tails", rows.name, "sound", (f"{words}.",), p=p)
    remedy = "Look at them for errors, and compare with a fit without them."
    return FitCheck(
        "tails", rows.name, "caution", (f"{words}: {at_rows(rows.rows[farthest])}.", remedy), "values far off", p
    )


def _kurtosis(z: np.ndarray) -> np.ndarray:
    """The fourth moment of the rows in the last axis over the square of the second."""
    square = z**2
    return (square**2).mean(axis=-1) / square.mean(axis=-1) ** 2


def _studies(tree: xr.DataTree, about: About) -> FitCheck:
    """Studies whose own effects lie outside what is expected of a study of their size and covariates."""
    studies = studies_apart(tree)
    outside, usual = studies.outside, _usual_number(len(studies.labels), 1 - PROB)
    words = (
        f"{int(outside.sum())} of {len(outside)} studies lie outside the {nominal(PROB)} interval expected for "
        f"{'their size and covariates' if studies.covariates else 'their size'} (at most {usual} would be usual)"
    )
    names = listing(np.array(studies.labels)[outside], 3)
    words += f": {names}." if outside.any() else "."
    if outside.sum() <= usual:
        return FitCheck("studies", "", "sound", (words,))
    remedy = "Look for what these studies have in common, and compare with a fit without them."
    return FitCheck("studies", "", "caution", (words, remedy), "studies out of line")
