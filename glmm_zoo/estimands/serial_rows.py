"""Values of a process in other rows: those of times between and after the ones of the fit are normal given their neighbours.

With a and b the correlations with the value u_s before and u_r behind, 0 where there is none, and c = 1 - a^2 b^2,

    mean (a (1 - b^2) u_s + b (1 - a^2) u_r) / c,   variance sd^2 (1 - a^2) (1 - b^2) / c
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from glmm_zoo.formulas.new_rows import levels_in_rows
from glmm_zoo.formulas.series import Series
from glmm_zoo.tables.columns import Table


@dataclass(frozen=True)
class ProcessDraws:
    """A process of a fit: its series, and draws (S,) of its ar1 or range."""

    series: Series
    parameter: np.ndarray = field(compare=False)

    def correlation(self, steps: np.ndarray) -> np.ndarray:
        """Draws (S, m) of the correlation of values so many steps apart (m,); 0 of infinitely many."""
        x = self.parameter[:, None]
        known = np.where(np.isfinite(steps), steps, 0.0)
        w = np.sign(x) ** known * np.abs(x) ** known if self.series.process == "ar1" else np.exp(-known / x)
        return np.where(np.isfinite(steps), w, 0.0)


@dataclass(frozen=True)
class Neighbours:
    """Rows (m,) at times of a series: the levels `before` and `behind`, -1 where there are none, and the steps to these.

    `known` says whether the fit has the series, `between_steps` whether the time is none at which an "ar1" has values.
    """

    before: np.ndarray
    behind: np.ndarray
    steps_before: np.ndarray
    steps_behind: np.ndarray
    known: np.ndarray
    between_steps: np.ndarray

    def take(self, rows: np.ndarray) -> Neighbours:
        return Neighbours(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def conditional(self, process: ProcessDraws, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean (S, m), for values u (S, levels) of the fit, and the share of the variance that is left (S, m)."""
        a, b = process.correlation(self.steps_before), process.correlation(self.steps_behind)
        free_a, free_b = (np.maximum(1.0 - x * x, 1e-12) for x in (a, b))
        whole = free_a + a * a * free_b
        mean = (a * free_b * u[:, self.before] + b * free_a * u[:, self.behind]) / whole
        return mean, free_a * free_b / whole


def places_in_series(
    process: ProcessDraws, columns: tuple[str, ...], table: Table
) -> tuple[np.ndarray, np.ndarray | None, Neighbours | None]:
    """The level of each row (m,), -1 where the fit has none, what it is called (m,), and the levels around it.

    Times are known by their value, however it is written. None where the table lacks a column.
    """
    *of, time = columns
    series, m = process.series, table.rows
    own, names = levels_in_rows(series.levels, of, table)
    if names is None or time not in table.columns:
        return np.full(m, -1), None, None
    t = np.where(table[time].missing, np.nan, table[time].numbers(f"{series.process}()"))
    before, behind = np.full(m, -1), np.full(m, -1)
    level = np.full(m, -1)
    for code in np.unique(own[(own >= 0) & np.isfinite(t)]):
        rows = np.flatnonzero((own == code) & np.isfinite(t))
        levels = np.flatnonzero(series.codes == code)
        times = series.times[levels]
        at = np.searchsorted(times, t[rows])
        here = (at < len(times)) & (times[np.minimum(at, len(times) - 1)] == t[rows])
        level[rows[here]] = levels[at[here]]
        before[rows] = np.where(at > 0, levels[np.maximum(at, 1) - 1], -1)
        behind[rows] = np.where(at < len(times), levels[np.minimum(at, len(times) - 1)], -1)
    steps_before = np.where(before >= 0, (t - series.times[before]) / series.step, np.inf)
    steps_behind = np.where(behind >= 0, (series.times[behind] - t) / series.step, np.inf)
    steps = np.where(before >= 0, steps_before, np.where(behind >= 0, steps_behind, 0.0))
    whole = np.abs(steps - np.round(steps)) < 1e-6 if series.process == "ar1" else np.ones(m, bool)
    if series.process == "ar1":
        steps_before, steps_behind = np.round(steps_before), np.round(steps_behind)
    labels = np.array([f"{name}:{x:g}" if name and np.isfinite(x) else "" for name, x in zip(names, t, strict=True)])
    return level, labels, Neighbours(before, behind, steps_before, steps_behind, own >= 0, ~whole)
