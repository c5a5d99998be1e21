"""Residuals of one subject that are correlated: which rows are whose, at which visits, and the parameters of the correlation.

y_i = X_i beta + Z_i u + e_i,  e_i ~ Normal(0, D_i R_i D_i) for the rows i of one subject, D_i their residual sds, R_i by structure

    unstructured    a correlation of its own for every pair of visits
    toeplitz        rho_k between visits k apart
    ar1             rho^k
    car1            rho^|t - s| at times t and s
    compound        rho between all visits

A visit that was missed leaves the correlations of the others as they are. Source: Pinheiro & Bates (2000), section 5.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing
from glmm_zoo.families.counts import uniform_share
from glmm_zoo.formulas.group_effects import GroupingFactor, grouping_factor
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.plans.reading import SingleOutcome
from glmm_zoo.priors import CORR_DEFAULT, EVERY_CORRELATION, Parameter, parameter
from glmm_zoo.tables.columns import Column

RESIDUAL = "residual"  # what corr_residual is named after
MOST_VISITS = 20  # of structures with a factor for every pattern of missed visits, whose work grows with their cube


def _correlations(_: int) -> Parameter:
    return Parameter(f"corr_{RESIDUAL}", "corr", ((f"corr[{RESIDUAL}]", "corr"),), (CORR_DEFAULT,))


def _autocorrelation(_: int) -> Parameter:
    return parameter("rho", "correlation", EVERY_CORRELATION)


def _partial_autocorrelations(visits: int) -> Parameter:
    return Parameter(
        "partial_rho", "correlation", (("partial_rho", "rho"),) * (visits - 1), (EVERY_CORRELATION,) * (visits - 1)
    )


def _share(name: str) -> Callable[[int], Parameter]:
    return lambda _: replace(uniform_share("rho"), name=name)


@dataclass(frozen=True)
class Structure:
    """How the residuals of a subject correlate.

    `parameter(visits)` is the parameter of the correlations of so many visits with its default prior. `in_steps` says that visits are
    equally far apart, `at_times` that they are at times, else they are names. `holds_subjects` says that an intercept of every subject
    is in it already, `has_factors` that patterns of missed visits have a Cholesky factor each.
    """

    parameter: Callable[[int], Parameter]
    in_steps: bool = False
    at_times: bool = False
    holds_subjects: bool = False
    has_factors: bool = False


STRUCTURES: Mapping[str, Structure] = {
    "unstructured": Structure(_correlations, holds_subjects=True, has_factors=True),
    "toeplitz": Structure(_partial_autocorrelations, in_steps=True, holds_subjects=True, has_factors=True),
    "ar1": Structure(_autocorrelation, in_steps=True),
    "car1": Structure(_share("rho_at_gap"), at_times=True),
    "compound": Structure(_share("rho"), holds_subjects=True),
}
BY_VISIT = (
    "unstructured",
    *(f"{name}h" for name in ("toeplitz", "ar1", "compound")),
)  # h: heterogeneous, as in R's mmrm
RESIDUALS = (*dict.fromkeys((*STRUCTURES, *BY_VISIT)),)


@dataclass(frozen=True)
class Residuals:
    """The rows of every subject, and how their residuals correlate.

    Attributes
    ----------
    structure
        A name of `STRUCTURES`.
    by_visit
        Whether every visit has a residual sd of its own, where these have no formula.
    dim, visits
        The dimension of the visits, and how they are called, in order.
    visit, time
        The place of each row's visit (n,), and when it is (n,).
    subjects
        Whose row is each.
    """

    structure: str
    by_visit: bool
    dim: str
    visits: tuple[str, ...]
    visit: np.ndarray
    time: np.ndarray
    subjects: GroupingFactor

    @property
    def times(self) -> np.ndarray:
        """When each visit is (visits,)."""
        return self.time[np.unique(self.visit, return_index=True)[1]]


def read_residuals(single: SingleOutcome, options: Mapping[str, Any]) -> Residuals:
    """Whose row each is, and at which visit.

    Raises
    ------
    InputError
        Two rows of a subject at one visit, one visit only, visits whose distances or order a structure needs and that have none.
    """
    table, name = single.table, options["residual"]
    by_visit = name in BY_VISIT and "sigma" not in single.texts
    latent = [g.source for g in single.main.formula.groups if g.process]
    if latent:
        raise InputError(
            f"{latent[0]} and residual={name!r} both say how rows of one series go together; keep one: the term beside independent residuals, "
            "or residual= alone"
        )
    structure = name if name in STRUCTURES else name.removesuffix("h")
    kind = STRUCTURES[structure]
    subjects, column = grouping_factor([options["within"]], table), table[options["time"]]
    visit, visits = column.codes_and_levels()
    if kind.at_times:
        time = column.numbers(f"residual={name!r}")
    else:
        _check_visits(column, visits, name)
        time = visit.astype(float)
    order = np.lexsort((visit, subjects.codes))
    twice = (np.diff(subjects.codes[order]) == 0) & (np.diff(visit[order]) == 0)
    if twice.any():
        first = int(np.flatnonzero(twice)[0])
        rows = np.sort(order[first : first + 2])
        raise InputError(
            f"{subjects.name} {subjects.levels[subjects.codes[rows[0]]]!r} has two rows at {column.name} {visits[visit[rows[0]]]} "
            f"({column.at(rows)}); residual={name!r} takes one row of a subject at each visit: drop or average them"
        )
    if len(twice) and not (np.diff(subjects.codes[order]) == 0).any():
        raise InputError(
            f"every {subjects.name} has one row, so that no residuals are of one subject; leave residual= out, or name the column "
            "of the subjects by within="
        )
    same = [e.factor.name for e in single.main.effects if _same_groups(e.factor.codes, subjects.codes)]
    if kind.holds_subjects and same:
        raise InputError(
            f"(1 | {same[0]}) and residual={name!r} say the same thing of each {subjects.name}, that its rows are alike; leave out one"
        )
    return Residuals(structure, by_visit, variable_name(column.name), visits, visit, time, subjects)


def _check_visits(column: Column, visits: Sequence[str], residual: str) -> None:
    kind = STRUCTURES[residual if residual in STRUCTURES else residual.removesuffix("h")]
    if len(visits) < 2:
        raise InputError(
            f"column {column.name!r} has one visit only, {visits[0]}; residual={residual!r} is about residuals of two visits or more"
        )
    if kind.has_factors and len(visits) > MOST_VISITS:
        raise InputError(
            f"residual={residual!r} takes at most {MOST_VISITS} visits, and column {column.name!r} has {len(visits)}; "
            "'ar1', 'car1' and 'compound' take any number"
        )
    if not kind.in_steps:
        return
    if not column.has_declared_order:
        raise InputError(
            f"column {column.name!r} is text, {listing(visits, 4)}, whose order is the alphabet's, and residual={residual!r} needs that "
            "of time; give visits as numbers or as an ordered factor"
        )
    if column.kind == "number":
        steps = np.diff(np.unique(column.values.astype(float)))
        if np.ptp(steps) > 1e-6 * steps.max():
            raise InputError(
                f"column {column.name!r} has visits at {listing(visits, 6)}, which are not equally far apart, and residual={residual!r} counts "
                "visits; residual='car1' goes by the time between them, or give a column that numbers the visits"
            )


def _same_groups(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two factors put the same rows together."""
    pairs = len(np.unique(np.column_stack([a, b]), axis=0))
    return pairs == len(np.unique(a)) == len(np.unique(b))
