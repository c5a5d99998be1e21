"""Read and check the design of a stepped-wedge trial: which clusters were treated when, and whether that can be analysed.

A design has C clusters, T periods and n rows of data. Imports no PyMC.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, attempt, listing, plural, raise_all
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.terms import Expression, Formula, Response
from glmm_zoo.tables.columns import Table
from glmm_zoo.tables.frames import Missing, take_columns
from glmm_zoo.trials.wedge_columns import TrialColumns, read_periods, read_treatment

WEDGE_CHOICES = {
    "family": ("binomial", "gaussian", "bernoulli", "poisson", "negative_binomial"),
    "correlation": ("exchangeable", "nested_exchangeable", "decay"),
    "exposure_time": ("constant", "categorical", "monotone"),
    "period_effects": ("categorical", "smooth"),
    "treatment_effect": ("common", "random"),
}


def check_wedge_choices(**chosen: str) -> None:
    """Every option, given by name, must have a value of `WEDGE_CHOICES`."""
    raise_all(
        [
            f"unknown {option} {value!r}; known: {listing(WEDGE_CHOICES[option])}"
            for option, value in chosen.items()
            if value not in WEDGE_CHOICES[option]
        ]
    )


# ---------------------------------------------------------------------------------------------------------- the design


@dataclass(frozen=True)
class WedgeDesign:
    """Which clusters were treated in which periods.

    `cluster`, `period` (n,) are indices into `clusters` and `periods`, the latter in time order; `steps` (T,) is when
    each period is, in steps from the first. `treat` (n,) is 0 or 1, `exposure` (n,) the number of periods since the
    cluster crossed over, 1 in the first treated period and 0 under control. `treated` (C, T) is 0, 1, or -1 where a
    cluster was not seen, `rows` (C, T) counts rows. `numeric` says that periods are numbers, `declared` that they are text whose
    levels are in time order.
    """

    clusters: tuple[str, ...]
    periods: tuple[str, ...]
    steps: np.ndarray
    cluster: np.ndarray
    period: np.ndarray
    treat: np.ndarray
    exposure: np.ndarray
    treated: np.ndarray
    rows: np.ndarray
    numeric: bool
    declared: bool
    notes: tuple[str, ...]

    @property
    def exposures(self) -> tuple[str, ...]:
        """Exposure times that occur, as labels."""
        return tuple(str(e) for e in np.unique(self.exposure[self.exposure > 0]))

    @property
    def design_map(self) -> dict[str, Any]:
        """The design map, JSON-able: "0", "1" or "" of each cluster in each period, and the number of rows."""
        marks = np.array(["", "0", "1"])[self.treated + 1]
        return {
            "clusters": list(self.clusters),
            "periods": [variable_name(p) for p in self.periods],
            "treated": marks.tolist(),
            "rows": self.rows.tolist(),
        }


def read_stepped_wedge(
    data: Any,
    formula: str,
    names: TrialColumns,
    read_outcome: Callable[[Table, Response], Outcome],
    *,
    columns: Sequence[str] = (),
    parts: Mapping[str, Formula] | None = None,
    missing: Missing = "error",
    by_exposure: bool = False,
) -> WedgeDesign:
    """The design of a trial, checked.

    Parameters
    ----------
    formula
        As the user wrote it; `columns` are further columns that the model uses, so that the same rows are complete.
    parts
        The formulas of further predictors, by the names of their parameters. The treatment may stand in them.
    read_outcome
        The family's check of the response, so that its problems are told with those of the design.
    by_exposure
        Whether the effect depends on exposure time.

    Raises
    ------
    InputError
        All problems of formula, columns, response and design together: columns that are not there, one cluster, one
        period, treatment that varies within a cluster and period, a cluster that goes back to control, a subject in
        two clusters, no period with treated and control clusters, the treatment as a covariate by another name.
    """
    parsed = parse_formula(formula)
    problems = _check_names(names, parsed)
    parts = parts or {}
    used = [*parsed.columns, *names.given, *columns, *(c for part in parts.values() for c in part.columns)]
    table = take_columns(data, list(dict.fromkeys(used)), missing, problems)
    assert parsed.response is not None
    response = parsed.response
    attempt(lambda: read_outcome(table, response), problems)
    design = attempt(lambda: _design_of_table(table, names), problems)
    raise_all(problems)
    assert design is not None
    problems = [
        f"formula: {again}: leave it out" for again in _treatment_again(table, design, names, parsed, by_exposure)
    ]
    for name, part in parts.items():
        again = _treatment_again(table, design, names, part, by_exposure, besides=names.treatment)
        problems += [f"{name}: {found}: to use it here, give it as treatment=" for found in again]
    raise_all(problems)
    return design


def _check_names(names: TrialColumns, formula: Formula) -> list[str]:
    """Sentences about columns that are given for two things, and about terms that the options already bring into the model."""
    problems = [
        f"column {name!r} is given for two of cluster, period, treatment, crossover and subject; give one for each"
        for name in dict.fromkeys(names.given)
        if names.given.count(name) > 1
    ]
    added = {
        names.treatment: "treatment=",
        names.crossover: "crossover=",
        names.cluster: "cluster= and correlation=",
        names.subject: "subject=",
    }
    operands = [p for p in formula.population if isinstance(p, Expression)]
    for name in dict.fromkeys(c for o in (*operands, *formula.smooths) for c in o.columns if c in added):
        problems.append(
            f"formula: {name!r} comes into the model by {added[name]}; the formula has only covariates: leave it out"
        )
    for group in formula.groups:
        if set(group.factor) <= {names.cluster, names.period, names.subject}:
            problems.append(
                f"formula: {group.source} is not written here: the effects of clusters, cluster-periods "
                "and subjects are those of correlation=, treatment_effect= and subject=; group terms of other columns may stand"
            )
    return problems


def _treatment_again(
    table: Table,
    design: WedgeDesign,
    names: TrialColumns,
    formula: Formula,
    by_exposure: bool,
    besides: str | None = None,
) -> Iterator[str]:
    """What covariates are the treatment by another name: period and treatment say their value, or period and exposure time if the effect
    depends on that, and the period alone does not. The column `besides` is not asked about."""
    operands = [e for e in (*formula.population, *formula.smooths) if not isinstance(e, str)]
    used = [*((c,) for o in operands for c in o.columns), *(group.factor for group in formula.groups)]
    given = f"treatment={names.treatment}" if names.treatment else f"crossover={names.crossover}"
    _, first, cell = np.unique(
        np.column_stack([design.period, design.exposure if by_exposure else design.treat]),
        axis=0, return_index=True, return_inverse=True,
    )  # fmt: skip
    for columns in dict.fromkeys(used):
        if columns == (besides,):
            continue
        coded = [table[c].codes_and_levels() for c in columns]
        value = np.unique(np.column_stack([codes for codes, _ in coded]), axis=0, return_inverse=True)[1].ravel()
        if (value != value[first][cell.ravel()]).any():
            continue
        for i, j in itertools.pairwise(first):  # cells of one period follow each other, control first
            if design.period[i] == design.period[j] and value[i] != value[j]:
                under, with_it = (":".join(levels[codes[row]] for codes, levels in coded) for row in (i, j))
                yield (
                    f"{':'.join(columns)!r} is the treatment by another name, which comes into the model by {given} (in period "
                    f"{design.periods[design.period[i]]} it is {under!r} in every row under control and {with_it!r} in every treated row)"
                )
                break


def _design_of_table(table: Table, names: TrialColumns) -> WedgeDesign:
    """The design of the rows of a table."""
    problems: list[str] = []
    clusters = table[names.cluster].group_labels()
    periods = attempt(lambda: read_periods(table[names.period], names.period_order), problems)
    if len(clusters[1]) == 1:
        problems.append(
            f"column {names.cluster!r} has one cluster ({clusters[1][0]!r}); a stepped wedge compares clusters that cross "
            "over at different times, two at least"
        )
    if names.subject is not None:
        problems += _subjects_in_several_clusters(table, names.subject, names.cluster)
    if periods is None:
        raise InputError(*problems)
    if len(periods.labels) == 1:
        problems.append(
            f"column {names.period!r} has one period ({periods.labels[0]!r}); a stepped wedge has two at least"
        )
    read = attempt(lambda: read_treatment(table, names, clusters, periods), problems)
    raise_all(problems)
    assert read is not None
    treat, start, notes = read
    shape = (len(clusters[1]), len(periods.labels))
    cell = clusters[0] * shape[1] + periods.of_row
    rows = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    share = np.bincount(cell, treat, minlength=rows.size).reshape(shape) / np.maximum(rows, 1)
    treated = np.where(rows == 0, -1, np.where(share == 0, 0, 1))
    problems += _mixed_or_undone(clusters[1], periods.labels, share, treated, names)
    problems += _inseparable_from_time(periods.labels, treated)
    raise_all(problems)
    if start is None:
        start = np.where((treated == 1).any(axis=1), np.argmax(treated == 1, axis=1), shape[1])
    since = periods.steps[periods.of_row] - np.append(periods.steps, 0)[start[clusters[0]]] + 1
    exposure = np.where(treat == 1, since, 0).astype(int)
    design = WedgeDesign(
        clusters[1], periods.labels, periods.steps, clusters[0], periods.of_row, treat, exposure, treated, rows,
        table[names.period].kind == "number", periods.labels == table[names.period].codes_and_levels()[1], (*periods.notes, *notes),
    )  # fmt: skip
    return replace(design, notes=(*design.notes, *_design_notes(design)))


def _subjects_in_several_clusters(table: Table, subject: str, cluster: str) -> list[str]:
    """A sentence when subjects are in more than one cluster."""
    codes, labels = table[cluster].group_labels()
    subject_codes, subjects = table[subject].group_labels()
    pairs = np.unique(np.column_stack([subject_codes, codes]), axis=0)
    several = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    if not len(several):
        return []
    clusters = [labels[c] for c in pairs[pairs[:, 0] == several[0], 1]]
    return [
        f"a subject stays in one cluster; {plural(len(several), 'subject')} of {subject!r} in several ({subjects[several[0]]!r} in "
        f"{listing(clusters, 4)}); where numbers start anew in every cluster, make a column of cluster and number"
    ]


def _mixed_or_undone(
    clusters: Sequence[str], periods: Sequence[str], share: np.ndarray, treated: np.ndarray, names: TrialColumns
) -> list[str]:
    """Sentences about treatment that varies within a cluster-period, and about clusters that go back to control.

    `share` (C, T) is the share of treated rows.
    """
    problems = []
    mixed = np.argwhere((share > 0) & (share < 1))
    if len(mixed):
        cells = [f"cluster {clusters[c]!r} in period {periods[t]}" for c, t in mixed]
        problems.append(
            f"treatment varies within {plural(len(mixed), 'cluster-period')} ({listing(cells, 3)}); a stepped wedge treats a "
            "whole cluster from one period on"
        )
    back = []
    for c, name in enumerate(clusters):
        seen = [t for t in range(len(periods)) if treated[c, t] >= 0 and share[c, t] in (0, 1)]
        turn = next(((s, t) for s, t in itertools.pairwise(seen) if treated[c, s] > treated[c, t]), None)
        if turn is not None:
            back.append(f"cluster {name!r}: treated in period {periods[turn[0]]}, control in period {periods[turn[1]]}")
    if back:
        problems.append(
            f"{plural(len(back), 'cluster')} going back to control ({listing(back, 3)}); in a stepped wedge treatment stays. "
            f"Correct {names.treatment!r}, or exchange its labels if the first one is not control"
        )
    return problems


def _inseparable_from_time(periods: Sequence[str], treated: np.ndarray) -> list[str]:
    """A sentence when no period has both treated and control clusters, so that treatment is a contrast of periods."""
    some_treated, some_control = (treated == 1).any(axis=0), (treated == 0).any(axis=0)
    if (some_treated & some_control).any():
        return []
    with_treatment = [p for p, is_treated in zip(periods, some_treated, strict=True) if is_treated]
    return [
        f"treatment and time cannot be told apart: in every period with treatment ({listing(with_treatment)}) all clusters "
        "seen are treated; clusters must cross over at different times, or some never"
    ]


def _design_notes(design: WedgeDesign) -> list[str]:
    """Sentences that the user of a sound design should know: which periods and clusters compare nothing by themselves."""
    some_treated, some_control = (design.treated == 1).any(axis=0), (design.treated == 0).any(axis=0)
    parts = []
    for where, words in (
        (some_treated & ~some_control, "every cluster is treated"),
        (some_control & ~some_treated, "no cluster is treated"),
    ):
        if where.any():
            parts.append(f"{words} in {_periods_in_words(np.array(design.periods)[where])}")
    notes = [f"{' and '.join(parts)}: such a period alone says nothing of the effect"] if parts else []
    unchanged = ~((design.treated == 1).any(axis=1) & (design.treated == 0).any(axis=1))
    if unchanged.all():
        notes.append(
            "no cluster is seen both under control and treated: the effect is a comparison between clusters alone"
        )
    return notes


def _periods_in_words(labels: Sequence[str] | np.ndarray) -> str:
    """`"period 3"`, `"periods 3, 4"`."""
    return f"period{'s' if len(labels) > 1 else ''} {listing(labels)}"
