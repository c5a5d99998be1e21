"""Read the columns of a stepped-wedge trial that say when a cluster was treated: periods, treatment, crossover. Imports no PyMC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, at_rows, listing, plural
from glmm_zoo.families.ordered_categories import level_names, order_is_needed
from glmm_zoo.tables.columns import Column, Table, suspicious_text
from glmm_zoo.tables.text_values import in_time_order
from glmm_zoo.trials.control import control_by_name

NEVER = "never"
TREATMENT = "treat"  # the column of treatment where the data say when clusters cross over


@dataclass(frozen=True)
class TrialColumns:
    """The names of a trial's columns; either `treatment` or `crossover` is given.

    `period_order` are the labels of the periods in time order, where the user gives them.
    """

    cluster: str
    period: str
    treatment: str | None
    crossover: str | None
    subject: str | None
    period_order: tuple[str, ...] | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """All that are given."""
        columns = (self.cluster, self.period, self.treatment, self.crossover, self.subject)
        return tuple(c for c in columns if c is not None)

    @property
    def cell(self) -> str:
        """The factor of cluster-periods."""
        return f"{self.cluster}:{self.period}"


def columns_of_trial(options: Mapping[str, Any]) -> TrialColumns:
    """The columns that the options of a stepped-wedge model name; the treatment is "treat" where none says when it began."""
    treatment, crossover = options["treatment"], options["crossover"]
    return TrialColumns(
        options["cluster"],
        options["period"],
        TREATMENT if crossover is None and treatment is None else treatment,
        crossover,
        options["subject"],
        level_names(options["period_order"], "period_order"),
    )


def arm_labels(column: Column, treated: np.ndarray) -> tuple[str, str]:
    """The labels of control and treated in the column of treatment; `treated` (n,) is 0 or 1."""
    codes, levels = column.codes_and_levels()
    return levels[codes[treated == 0][0]], levels[codes[treated == 1][0]]


def arms_of_trial(table: Table, names: TrialColumns, treated: np.ndarray) -> dict[str, str]:
    """The variable of treatment, and the labels of its control and treated rows, JSON-able."""
    column = names.treatment
    control, label = ("0", "1") if column is None else arm_labels(table[column], treated)
    return {"variable": column or TREATMENT, "control": control, "treated": label}


@dataclass(frozen=True)
class Periods:
    """The period of each row (n,) as an index into `labels`, which are in time order; `steps` (T,) from the first period."""

    of_row: np.ndarray
    labels: tuple[str, ...]
    steps: np.ndarray
    notes: tuple[str, ...]


def read_periods(column: Column, order: tuple[str, ...] | None = None) -> Periods:
    """The periods of a trial in time order.

    Numbers, also those in a text column, go by value: with 0, 3, 6 a step is 3, with 1, 2, 4 the last is 3 steps after
    the first. Dates, numbers that lie on no grid, and text in a declared order or in that of `order`, go by rank.
    """
    if suspicious_text(column):
        column.numbers("a period")
    codes, labels = column.codes_and_levels()
    places = _places_in_time(column, labels, order)
    if places is not None:
        labels, codes = tuple(labels[i] for i in places), np.argsort(places)[codes]
    values = None
    if places is None and all(number_or_none(label) is not None for label in labels):
        values = np.array([float(label) for label in labels])
        by_value = np.argsort(values, kind="stable")
        values, labels, codes = values[by_value], tuple(labels[i] for i in by_value), np.argsort(by_value)[codes]
    notes: list[str] = []
    steps = np.arange(len(labels))
    if values is None:
        notes.append(
            f"periods in the order {listing(labels)}: column {column.name!r} holds {'dates' if column.kind == 'date' else 'text'}; a step is "
            "from one to the next"
        )
    elif len(labels) > 1:
        on_grid = (values - values[0]) / np.diff(values).min()
        if on_grid[-1] < 2.0**53 and np.allclose(on_grid, np.round(on_grid), atol=1e-6):
            steps = np.round(on_grid).astype(int)
            gaps = np.flatnonzero(np.diff(steps) > 1)
            if len(gaps):
                distances = [
                    f"{labels[g]} and {labels[g + 1]} are {steps[g + 1] - steps[g]} periods apart" for g in gaps
                ]
                notes.append(f"periods {listing(distances, 3)}")
        else:
            notes.append(f"periods {listing(labels)} are not equally spaced; a step is from one to the next")
    return Periods(codes, labels, steps, tuple(notes))


def _places_in_time(column: Column, labels: tuple[str, ...], order: tuple[str, ...] | None) -> list[int] | None:
    """The places of labels in time order; None where they are all numbers, which go by value.

    Raises
    ------
    InputError
        Text, and dates that do not tell days from months, without an order; an order that does not name all labels.
    """
    if order is not None:
        unknown = [label for label in labels if label not in order]
        if unknown:
            raise InputError(
                f"column {column.name!r} has {listing(map(repr, unknown), 5)}, which period_order does not name ({listing(order)}); "
                "name all periods from first to last"
            )
        return sorted(range(len(labels)), key=lambda i: order.index(labels[i]))
    if column.kind == "text" and column.has_declared_order:
        return list(range(len(labels)))
    if all(number_or_none(label) is not None for label in labels):
        return None
    places = in_time_order(labels)
    if places is None:
        raise InputError(
            f"column {column.name!r} holds text ({listing(map(repr, labels), 5)}) and the alphabet is no order of time; "
            f"{order_is_needed('period_order', labels, 'first', 'last')}; or give a column of numbers as period="
        )
    return places


def number_or_none(text: str) -> float | None:
    """The number that a label is, None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def read_treatment(
    table: Table, names: TrialColumns, clusters: tuple[np.ndarray, tuple[str, ...]], periods: Periods
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Treatment as 0/1 (n,), the index of the period in which each cluster crosses over (C,), if the data say it, and notes.

    `clusters` are the cluster of each row (n,) and the labels of all.
    """
    if names.crossover is not None:
        start = _read_crossover(table, names.crossover, clusters, periods.labels)
        return (periods.of_row >= start[clusters[0]]).astype(float), start, []
    assert names.treatment is not None  # one of the two is given
    treat, labels = _read_treatment_column(table, names.treatment)
    same = labels == ("0", "1")
    notes = [] if same else [f"column {names.treatment!r}: control is {labels[0]!r}, treated is {labels[1]!r}"]
    return treat, None, notes


def _read_treatment_column(table: Table, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Treatment as 0/1 (n,), and the labels of control and treated."""
    column = table[name]
    if column.kind == "date" or suspicious_text(column):
        column.numbers("treatment")
    codes, levels = column.codes_and_levels()
    if column.kind == "number":
        bad = (column.values != 0) & (column.values != 1)
        if bad.any():
            raise InputError(
                f"column {name!r} must be 0 (control) or 1 (treated); {plural(int(bad.sum()), 'value')} not "
                f"({column.values[bad][0]:g}, {table.at(bad)})"
            )
    elif len(levels) > 2:
        raise InputError(
            f"column {name!r} has {len(levels)} levels ({listing(levels, 5)}); treatment has two, control first"
        )
    elif len(levels) == 2 and column.kind == "text" and not column.has_declared_order:
        control = control_by_name(levels)
        if control is None and levels != ("0", "1"):
            raise InputError(
                f"column {name!r} has the labels {listing(map(repr, levels))}, of which neither is plainly the control; make a column of "
                "0 (control) and 1 (treated)"
            )
        if control == levels[1]:
            codes, levels = 1 - codes, levels[::-1]
    if len(levels) == 1:
        always = column.kind in ("number", "logical") and bool(column.values[0])
        never = column.kind in ("number", "logical") and not always
        what = "every row is treated" if always else "no row is treated" if never else "there is nothing to compare"
        raise InputError(f"column {name!r} has a single value ({levels[0]}): {what}")
    return codes.astype(float), levels


def _read_crossover(
    table: Table, name: str, clusters: tuple[np.ndarray, tuple[str, ...]], periods: tuple[str, ...]
) -> np.ndarray:
    """Index of the period in which each cluster crosses over (C,), T for clusters that never do.

    `clusters` are the cluster of each row (n,) and the labels of all.
    """
    codes, labels = table[name].codes_and_levels()
    start_of_label = []
    for label in labels:
        value, last = number_or_none(label), number_or_none(periods[-1])
        later = value is not None and last is not None and value > last
        same = [t for t, p in enumerate(periods) if p == label or (value is not None and number_or_none(p) == value)]
        if not same and not later and label != NEVER:
            rows = at_rows(table.row_numbers[np.flatnonzero(codes == labels.index(label))])
            raise InputError(
                f"column {name!r} holds {label}, which is none of the periods ({listing(periods)}; {rows}); give the first "
                f"treated period of the cluster, and for a cluster that is never treated a number after the last period or {NEVER!r}"
            )
        start_of_label.append(same[0] if same else len(periods))
    start = np.array(start_of_label)[codes]
    low, high = np.full(len(clusters[1]), len(periods)), np.zeros(len(clusters[1]), int)
    np.minimum.at(low, clusters[0], start)
    np.maximum.at(high, clusters[0], start)
    moving = np.flatnonzero(low != high)
    if len(moving):
        seen = sorted({labels[i] for i in codes[clusters[0] == moving[0]]})
        raise InputError(
            f"column {name!r} must have one value for each cluster; {plural(len(moving), 'cluster')} with several "
            f"({clusters[1][moving[0]]!r} has {listing(seen, 4)})"
        )
    if (low == 0).all() or (low == len(periods)).all():
        what = "treated from the first period on" if (low == 0).all() else "never treated"
        raise InputError(f"column {name!r}: every cluster is {what}; there is nothing to compare")
    return low
