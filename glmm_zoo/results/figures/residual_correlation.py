"""Correlations of the residuals of repeated measures by pair of visits: as the model has them, and those of the data's residuals."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.correlation import disc_of_correlation, square_of_cells
from glmm_zoo.results.figures.picture import TEXT, Canvas, Picture
from glmm_zoo.results.figures.value_words import told
from glmm_zoo.results.findings.finding import draws_of
from glmm_zoo.results.findings.residuals import residual_correlations
from glmm_zoo.results.numbers import alone, written
from glmm_zoo.results.repeated_residuals import repeated_residuals
from glmm_zoo.results.storage import metadata
from glmm_zoo.tables.text_values import as_number

_MOST_VISITS = 8
_LARGEST = 44.0  # px, the disc of a correlation of 1
_LONGEST = 30.0  # px of a name of a visit above a column


def residual_correlation(tree: xr.DataTree, about: About) -> Picture:
    """Below the diagonal the medians of the model's correlations, above it those of residuals, on it the residual sds.

    Raises
    ------
    InputError
        A fit without correlated residuals, or with more visits than the file has correlations of.
    """
    facts = metadata(tree)["spec"]["facts"]
    residuals = repeated_residuals(tree) if "visits" in facts else None
    if residuals is None:
        raise InputError("the residuals of this fit have no matrix of correlations by visit")
    k = min(len(residuals.names), _MOST_VISITS)
    model = np.median(residual_correlations(tree), axis=(0, 1))[:k, :k]
    seen = residuals.between_visits()[:k, :k]
    sds = _sds(tree, facts["visit"], k)
    visit, subject = about.name(facts["visit"]), about.name(facts["subject"])
    names = [f"{visit} {name}" if as_number(name) is not None else name for name in residuals.names[:k]]
    diagonal = (
        "on it the residual standard deviation (median)"
        if sds is not None
        else "the residual standard deviation differs between rows"
    )
    more = f" The first {k} of {len(residuals.names)} are drawn." if len(residuals.names) > k else ""
    caption = (
        f"How the rows of one {subject} go together by {visit}, beside what the formula says. Below the diagonal: correlations that the model "
        f"has of the residuals, median, the area of a disc as its number (blue: positive, orange: negative). Above it: those of the residuals of "
        f"the data, from {about.plural(subject)} with both; {diagonal}.{more}"
    )
    pairs = [(i, j) for i in range(k) for j in range(i)]
    texts = [f"{written(model[i, j], 2)}, of the data {_or_none(seen[i, j])}" for i, j in pairs]
    title = f"Residual correlations by {visit}"
    alt = f"{title}: {told([f'{names[j]} and {names[i]}' for i, j in pairs], texts)}."
    return Picture(
        "residual_correlation", title, caption, alt,
        lambda canvas: _draw(canvas, names, residuals.names[:k], (model, seen), sds),
    )  # fmt: skip


def _sds(tree: xr.DataTree, visit: str, k: int) -> np.ndarray | None:
    """The residual sd of each visit (k,); None where it has a formula."""
    posterior = tree["posterior"].dataset
    if "sigma" not in posterior:
        return None
    by_visit = visit in posterior["sigma"].dims
    medians = np.median(draws_of(posterior, "sigma"), axis=(0, 1))
    return medians[:k] if by_visit else np.full(k, medians)


def _or_none(value: float) -> str:
    return written(value, 2) if np.isfinite(value) else "none"


def _draw(
    canvas: Canvas,
    names: list[str],
    short: tuple[str, ...],
    correlations: tuple[np.ndarray, np.ndarray],
    sds: np.ndarray | None,
) -> None:
    model, seen = correlations
    rows, columns = short if canvas.narrow else names, short
    if canvas.text_width(short) > _LONGEST:
        columns = [str(i + 1) for i in range(len(short))]
        rows = [f"{number}  {name}" for number, name in zip(columns, rows, strict=True)]
    axis, cell, row = square_of_cells(canvas, rows, columns)
    largest = min(_LARGEST, cell - 6, row - 6)
    for i in range(len(names)):
        if sds is not None:
            canvas.note(axis, i, i, alone(sds[i]), role="ink", align="center", size=TEXT)
        for j in range(i):
            disc_of_correlation(canvas, axis, (i, j), model[i, j], largest)
            if np.isfinite(seen[j, i]):
                canvas.note(axis, i, j, written(seen[j, i], 2), align="center", size=TEXT)
