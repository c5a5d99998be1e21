"""The data behind a picture: what was observed in each row, and of what size the row is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.results.about import About
from glmm_zoo.results.censored_values import censored_values
from glmm_zoo.results.figures.estimated import exposure_column, fitted_family, prefix_of, units_of_rates
from glmm_zoo.results.figures.group_names import grouping_factors, rows_of_factor
from glmm_zoo.results.report.estimates_text import label
from glmm_zoo.results.storage import metadata, outcome_specs, stored_table
from glmm_zoo.tables.frames import take_columns
from glmm_zoo.tables.text_values import as_number

MOST_RAW = 300
_SMALLEST, _LARGEST, _MANY = 3.0, 14.0, 60  # px of discs, and from how many on the largest are smaller


@dataclass(frozen=True)
class RawData:
    """What was observed.

    Attributes
    ----------
    rows
        The columns of the fit, one row for each of the n observations.
    values, sizes
        (n,): counts and the trials or the exposure that they are of, or values and 1.
    shares
        Whether values over sizes are shares.
    groups
        The columns of each grouping factor of the model.
    censored
        How many values are limits of what was not seen.
    """

    rows: pd.DataFrame
    values: np.ndarray
    sizes: np.ndarray
    shares: bool
    groups: Sequence[tuple[str, ...]]
    censored: int = 0

    @property
    def words(self) -> str:
        """What single values are."""
        return "observations, censored ones at their limits" if self.censored else "observations"

    def where(self, of: pd.DataFrame, columns: Sequence[str]) -> np.ndarray | None:
        """For each observation the row (n,) of `of` that has its values of `columns`, -1 where none has; None where the data do not
        have these columns."""
        if not columns or not set(columns) <= set(self.rows):
            return None

        keys = {key: i for i, key in enumerate(self._labels(of, columns))}
        return np.array([keys.get(key, -1) for key in self._labels(self.rows, columns)])

    def _labels(self, table: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """The values of each row of a table as text, each value that a column has made text once."""
        labels = []
        for column in columns:
            codes, values = pd.factorize(table[column], use_na_sentinel=False)
            labels.append(np.array([self._label(column, value) for value in values], object)[codes])
        return zip(*labels, strict=True)

    def _label(self, column: str, value: Any) -> str:
        """A value as text; the levels of a column of numbers are text already, "0.0"."""
        number = as_number(value) if isinstance(value, str) and self.rows[column].dtype.kind in "iuf" else None
        return label(value if number is None else number)

    def discs(self, place: np.ndarray, about: About) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
        """Places (m,), ratios (m,) and sizes (m,) of at most `MOST_RAW` discs, and what each is, in words.

        Shares are those of groups at each of the places (n,) of observations, else of all; other values are single ones. Beyond
        that many a sample is drawn.
        """
        seen = place >= 0
        if not self.shares:
            index = _some(np.flatnonzero(seen))
            sample = "" if len(index) == seen.sum() else f" (a sample of {len(index)} of {seen.sum()})"
            return (
                place[index],
                self.values[index] / self.sizes[index],
                self.sizes[index],
                f"single {self.words}{sample}",
            )
        group, name = self._grouping(place)
        pairs, of = np.unique(np.column_stack([place[seen], group[seen]]), axis=0, return_inverse=True)
        events, trials = (np.bincount(of.ravel(), v[seen]) for v in (self.values, self.sizes))
        index = _some(np.arange(len(pairs)))
        sample = "" if len(index) == len(pairs) else f" (a sample of {len(index)} of {len(pairs)})"
        whose = f" of single {about.plural(about.name(name))}" if name else ""
        larger = ", larger for more observations" if np.ptp(trials) > 0 else ""
        words = f"observed proportions{whose}{sample}{larger}"
        return pairs[index, 0], events[index] / trials[index], trials[index], words

    def _grouping(self, place: np.ndarray) -> tuple[np.ndarray, str]:
        """Codes (n,) of the grouping factor that gives most discs of those that give few enough, and its name."""
        found = []
        for columns in self.groups:
            codes = self.rows.groupby(list(columns), sort=False).ngroup().to_numpy()
            pairs = len(np.unique(np.column_stack([place, codes]), axis=0))
            found.append((pairs <= MOST_RAW, pairs if pairs <= MOST_RAW else -pairs, codes, columns[-1]))
        if not found:
            return np.zeros(len(place), int), ""
        _, _, codes, name = max(found, key=lambda each: each[:2])
        return codes, name


def raw_data(tree: xr.DataTree, outcome: str | None = None) -> RawData:
    """What was observed of one of several outcomes, or of the only one."""
    spec = metadata(tree)["spec"]
    specs = outcome_specs(spec)
    prefix = prefix_of(specs, outcome)
    kind = fitted_family(tree, outcome).responses
    every = tree["observed_data"].dataset
    observed = every[prefix or str(next(iter(every.data_vars)))]  # the marker stands before its event
    table, (dim,) = stored_table(tree), observed.dims
    rows = table if dim == "row" else table.loc[observed[dim].values]  # those of one of several outcomes
    text = str(spec["formula"]).split("; ")[list(specs).index(prefix)]
    response = parse_formula(text).response
    trials = None if response is None else response.trials
    sizes = np.ones(len(rows))
    if isinstance(trials, int):
        sizes = np.full(len(rows), float(trials))
    elif trials is not None:
        sizes = evaluate_expression(trials, take_columns(rows, trials.columns))
    elif exposure := exposure_column(tree):
        sizes = rows[exposure].to_numpy(float) / units_of_rates(tree)
    shares = kind == "binary"
    groups = [tuple(rows_of_factor(tree, factor).columns) for factor in grouping_factors(tree)]
    groups = [columns for columns in groups if rows[list(columns)].notna().all(axis=None)]
    lowest = 1.0 if kind in ("ordered", "unordered") else 0.0  # the score of the first category
    limits = censored_values(tree, prefix)
    censored = 0 if limits is None else int(limits.censored.sum())
    return RawData(rows, lowest + observed.values, sizes, shares, groups, censored)


def diameters(sizes: np.ndarray, count: int | None = None) -> np.ndarray:
    """Of discs whose area is as their size, in px; smaller where they, or `count` in all, are many."""
    count = count or len(sizes)
    largest = _LARGEST if count <= _MANY else _LARGEST * (_MANY / count) ** 0.5
    return (
        np.maximum(largest * np.sqrt(sizes / sizes.max()), _SMALLEST) if np.ptp(sizes) > 0 else np.full(len(sizes), 4.5)
    )


def jitter(count: int) -> np.ndarray:
    """Shifts (count,) within a half to either side, the same every time."""
    return np.random.default_rng(1).uniform(-0.5, 0.5, count)


def _some(index: np.ndarray) -> np.ndarray:
    """At most `MOST_RAW` of them, in their order."""
    if len(index) <= MOST_RAW:
        return index
    return np.sort(np.random.default_rng(1).choice(index, MOST_RAW, replace=False))
