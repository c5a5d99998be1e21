"""Estimates as text for people: what each is of, the median with its interval, and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmm_zoo.results.numbers import (
    MINUS,
    NONE,
    Scale,
    alone,
    column_decimals,
    interval,
    nominal,
    on_scale,
    probability,
)
from glmm_zoo.results.paper_table import PaperTable

if TYPE_CHECKING:
    from glmm_zoo.results.about import About
    from glmm_zoo.results.estimates import Estimates

UNITS: Mapping[str, str] = {"risk": "%", "points": "percentage points"}
_BESIDE: dict[str, tuple[str, Callable[[Any], str]]] = {  # other columns of a table: heading, and how they are written
    "p_rope": ("P(in region)", probability),
    "p": ("P", probability),
    "posterior_odds": ("posterior odds", alone),
    "note": ("note", str),
}


def label(value: Any) -> str:
    """A value that says what an estimate is, as text: numbers as they are read, "–" where there is none."""
    if pd.isna(value):
        return NONE
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        return f"{value:.10g}".replace("-", MINUS)
    return str(value)


def estimate_cells(
    rows: Sequence[tuple[float, float, float]], scales: Sequence[Scale], mcse: Sequence[float] = ()
) -> list[tuple[str, str]]:
    """Estimate and interval of each (median, lower, upper), without units; those of one scale share decimals as far as they can."""
    cells: dict[int, tuple[str, str]] = {}
    errors = list(mcse) or [0.0] * len(rows)
    for scale in dict.fromkeys(scales):
        of_scale = [i for i, other in enumerate(scales) if other == scale]
        each = column_decimals(scale, [rows[i] for i in of_scale], [errors[i] for i in of_scale])
        for i, d in zip(of_scale, each, strict=True):
            median, low, high = rows[i]
            cells[i] = on_scale(median, scale, d), interval(low, high, d, scale)
    return [cells[i] for i in range(len(rows))]


def interval_heading(prob: float | None) -> str:
    """ "95 % interval"."""
    return f"{nominal(prob)} interval" if prob else "interval"


def estimates_as_text(estimates: Estimates, most: int | None = None, about: About | None = None) -> PaperTable:
    """The first `most` estimates, without columns that tell no two of them apart; the sentence is the caption.

    Columns, levels and headings are as in the data, or where there is an `about`, in its words and as a page has them.

    Of a single estimate all that says what it is stays, but `groups`, which the sentence has. Risks and other shares are in per cent,
    their differences in percentage points, which the headings say, or each measure where they differ.
    """
    table, scales = estimates.table, estimates.scales
    names = [c for c in estimates.of if _tells_apart(table[c])]
    names = names or [c for c in estimates.of if c != "groups" and table[c].notna().any()]
    head = table.head(most or len(table))
    columns = {str(c): [label(value) for value in head[c]] for c in names}
    units = [UNITS.get(scale, "") for scale in scales]
    together = f", {units[0]}" if len(set(units)) == 1 and units[0] else ""
    if not together and "measure" in columns:
        columns["measure"] = [f"{m}, {u}" if u else m for m, u in zip(columns["measure"], units, strict=False)]
    rows = head[["median", "lower", "upper"]].to_numpy(float)
    cells = estimate_cells(list(map(tuple, rows)), scales[: len(head)], head["mcse"].tolist())
    columns[f"estimate{together}"], columns[interval_heading(estimates.prob)] = map(list, zip(*cells, strict=True))
    if estimates.of_effects:
        nulls = {null for null in estimates.nulls if np.isfinite(null)}
        above = f"{nulls.pop():g}" if len(nulls) == 1 else "no effect"
        columns[f"P(> {above})"] = [probability(p) for p in head["p_positive"]]
    columns |= {heading: [write(v) for v in head[c]] for c, (heading, write) in _BESIDE.items() if c in head}
    if about is not None:
        words = {"variable": lambda _, cell: about.name(cell)}
        columns = {
            _heading(about, c): [words.get(c, about.level)(c, cell) for cell in cells] for c, cells in columns.items()
        }
    return PaperTable.of(estimates.sentence, list(columns), list(zip(*columns.values(), strict=True)))


def _heading(about: About, column: str) -> str:
    words = about.axis(column)
    return f"{words[:1].upper()}{words[1:]}"


def _tells_apart(column: pd.Series) -> bool:
    return column.nunique(dropna=False) > 1
