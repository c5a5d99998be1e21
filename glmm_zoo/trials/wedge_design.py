"""Stepped-wedge trials before any graph: who was treated when, whether that can be analysed, and how to simulate one.

Imports the rooms to its left; no PyMC. A design has C clusters, T periods and n rows of data.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import InputError, at_rows, attempt, listing, plural, raise_all
from glmm_zoo.families.families import Outcome
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.group_effects import GroupEffects, grouping_factor
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.population import DesignMatrix, aliased
from glmm_zoo.formulas.predictor import FEW_LEVELS
from glmm_zoo.formulas.terms import Expression, Formula, Response, quoted
from glmm_zoo.plans.intake import Single
from glmm_zoo.tables.columns import Column, Table, suspicious_text
from glmm_zoo.tables.frames import Missing, take_columns

if TYPE_CHECKING:
    import pandas as pd

CHOICES = {
    "family": ("binomial", "gaussian", "bernoulli", "poisson", "negative_binomial"),
    "correlation": ("exchangeable", "nested_exchangeable", "decay"),
    "exposure_time": ("constant", "categorical", "monotone"),
    "period_effects": ("categorical", "smooth"),
    "treatment_effect": ("common", "random"),
}
NEVER = "never"


def check_choices(**chosen: str) -> None:
    """Every option by name must be one of `CHOICES`."""
    raise_all(
        [
            f"unknown {option} {value!r}; known: {listing(CHOICES[option])}"
            for option, value in chosen.items()
            if value not in CHOICES[option]
        ]
    )


# ---------------------------------------------------------------------------------------------------------- the design


@dataclass(frozen=True)
class Roles:
    """The columns of a trial; either `treatment` or `crossover` is given."""

    cluster: str
    period: str
    treatment: str | None
    crossover: str | None
    subject: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        given = (self.cluster, self.period, self.treatment, self.crossover, self.subject)
        return tuple(c for c in given if c is not None)

    @property
    def cell(self) -> str:
        """The factor of cluster-periods."""
        return f"{self.cluster}:{self.period}"


@dataclass(frozen=True)
class Design:
    """Who was treated when.

    `cluster`, `period` (n,) are indices into `clusters` and `periods`, the latter in time order; `steps` (T,) is when
    each period is, in steps from the first. `treat` (n,) is 0 or 1, `exposure` (n,) the number of periods since the
    cluster crossed over, 1 in the first treated period and 0 under control. `treated` (C, T) is 0, 1, or -1 where a
    cluster was not seen, `rows` (C, T) counts rows.
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
    notes: tuple[str, ...]

    @property
    def exposures(self) -> tuple[str, ...]:
        """Exposure times that occur, as labels."""
        return tuple(str(e) for e in np.unique(self.exposure[self.exposure > 0]))

    @property
    def map(self) -> dict[str, Any]:
        """The design map, JSON-able: "0", "1" or "" of each cluster in each period, and the number of rows."""
        marks = np.array(["", "0", "1"])[self.treated + 1]
        return {
            "clusters": list(self.clusters),
            "periods": [variable_name(p) for p in self.periods],
            "treated": marks.tolist(),
            "rows": self.rows.tolist(),
        }


def read(
    data: Any,
    formula: str,
    roles: Roles,
    read_outcome: Callable[[Table, Response], Outcome],
    *,
    columns: Sequence[str] = (),
    missing: Missing = "error",
) -> Design:
    """The design of a trial, checked.

    Parameters
    ----------
    formula
        As the user wrote it; `columns` are further columns that the model uses, so that the same rows are complete.
    read_outcome
        The family's check of the response, so that its problems are told with those of the design.

    Raises
    ------
    InputError
        All problems of formula, columns, response and design together: columns that are not there, one cluster, one
        period, treatment that varies within a cluster and period, a cluster that goes back to control, a subject in
        two clusters, no period with treated and control clusters.
    """
    parsed = parse_formula(formula)
    problems = _roles_and_formula(roles, parsed)
    table = take_columns(data, list(dict.fromkeys([*parsed.columns, *roles.columns, *columns])), missing, problems)
    assert parsed.response is not None
    response = parsed.response
    attempt(lambda: read_outcome(table, response), problems)
    design = attempt(lambda: of_table(table, roles), problems)
    raise_all(problems)
    assert design is not None
    return design


def _roles_and_formula(roles: Roles, formula: Formula) -> list[str]:
    problems = [
        f"column {name!r} is given for two of cluster, period, treatment, crossover and subject; give one for each"
        for name in dict.fromkeys(roles.columns)
        if roles.columns.count(name) > 1
    ]
    added = {
        roles.treatment: "treatment=",
        roles.crossover: "crossover=",
        roles.cluster: "cluster= and correlation=",
        roles.subject: "subject=",
    }
    operands = [p for p in formula.population if isinstance(p, Expression)]
    for name in dict.fromkeys(c for o in (*operands, *formula.smooths) for c in o.columns if c in added):
        problems.append(
            f"formula: {name!r} comes into the model by {added[name]}; the formula has only covariates: leave it out"
        )
    for group in formula.groups:
        if set(group.factor) <= {roles.cluster, roles.period, roles.subject}:
            problems.append(
                f"formula: ({group.effects_text} | {group.name}) is not written here: the effects of clusters, cluster-periods "
                "and subjects are those of correlation=, treatment_effect= and subject=; group terms of other columns may stand"
            )
    return problems


def of_table(table: Table, roles: Roles) -> Design:
    """The design of the rows of a table."""
    problems: list[str] = []
    clusters = table[roles.cluster].codes_and_levels()
    periods = attempt(lambda: _periods(table[roles.period]), problems)
    if len(clusters[1]) == 1:
        problems.append(
            f"column {roles.cluster!r} has one cluster ({clusters[1][0]!r}); a stepped wedge compares clusters that cross "
            "over at different times, two at least"
        )
    if roles.subject is not None:
        problems += _wandering(table, roles.subject, roles.cluster)
    if periods is None:
        raise InputError(*problems)
    period, labels, steps, notes = periods
    if len(labels) == 1:
        problems.append(f"column {roles.period!r} has one period ({labels[0]!r}); a stepped wedge has two at least")
    shape = (len(clusters[1]), len(labels))
    cell = clusters[0] * shape[1] + period
    rows = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    start, what = None, ("0", "1")  # start (C,): index of the period of crossing over, T for never
    if roles.crossover is not None:
        start = attempt(lambda: _crossover(table, roles, clusters, labels), problems)
        treat = None if start is None else (period >= start[clusters[0]]).astype(float)
    else:
        assert roles.treatment is not None
        found = attempt(lambda: _treatment(table, roles.treatment or ""), problems)
        treat, what = found or (None, what)
    raise_all(problems)
    assert treat is not None
    if what != ("0", "1"):
        notes.append(f"column {roles.treatment!r}: control is {what[0]!r}, treated is {what[1]!r}")
    share = np.bincount(cell, treat, minlength=rows.size).reshape(shape) / np.maximum(rows, 1)
    treated = np.where(rows == 0, -1, np.where(share == 0, 0, 1))
    problems += _undone(clusters[1], labels, share, treated, roles)
    problems += _inseparable(labels, treated, roles)
    raise_all(problems)
    first = np.where((treated == 1).any(axis=1), np.argmax(treated == 1, axis=1), shape[1])
    start = first if start is None else start
    since = steps[period] - np.append(steps, 0)[start[clusters[0]]] + 1
    exposure = np.where(treat == 1, since, 0).astype(int)
    design = Design(
        clusters[1], labels, steps, clusters[0], period, treat, exposure, treated, rows,
        table[roles.period].kind == "number", tuple(notes),
    )  # fmt: skip
    return replace(design, notes=(*notes, *_remarks(design)))


def _periods(column: Column) -> tuple[np.ndarray, tuple[str, ...], np.ndarray, list[str]]:
    """Index of each row's period (n,), labels in time order, steps from the first (T,), and notes.

    Numbers, also those in a text column, go by value: with 0, 3, 6 a step is 3, with 1, 2, 4 the last is 3 steps after
    the first. Other text, and numbers that lie on no grid, go by rank.
    """
    if column.kind == "date" or suspicious_text(column):
        column.numbers("a period")
    codes, labels = column.codes_and_levels()
    declared = column.kind == "text" and list(labels) != sorted(labels)
    values = None
    if not declared and all(_number(label) is not None for label in labels):
        values = np.array([float(label) for label in labels])
        order = np.argsort(values, kind="stable")
        values, labels, codes = values[order], tuple(labels[i] for i in order), np.argsort(order)[codes]
    notes: list[str] = []
    steps = np.arange(len(labels))
    if values is None:
        notes.append(
            f"periods in the order {listing(labels)}: column {column.name!r} is text; a step is from one to the next"
        )
    elif len(labels) > 1:
        on_grid = (values - values[0]) / np.diff(values).min()
        if np.allclose(on_grid, np.round(on_grid), atol=1e-6):
            steps = np.round(on_grid).astype(int)
            gaps = np.flatnonzero(np.diff(steps) > 1)
            if len(gaps):
                far = [f"{labels[g]} and {labels[g + 1]} are {steps[g + 1] - steps[g]} periods apart" for g in gaps]
                notes.append(f"periods {listing(far, 3)}")
        else:
            notes.append(f"periods {listing(labels)} are not equally spaced; a step is from one to the next")
    return codes, labels, steps, notes


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _treatment(table: Table, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
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
    if len(levels) == 1:
        always = column.kind in ("number", "logical") and bool(column.values[0])
        never = column.kind in ("number", "logical") and not always
        what = "every row is treated" if always else "no row is treated" if never else "there is nothing to compare"
        raise InputError(f"column {name!r} has a single value ({levels[0]}): {what}")
    return codes.astype(float), levels


def _crossover(
    table: Table, roles: Roles, clusters: tuple[np.ndarray, tuple[str, ...]], periods: tuple[str, ...]
) -> np.ndarray:
    """Index of the period in which each cluster crosses over (C,), T for clusters that never do."""
    assert roles.crossover is not None
    name = roles.crossover
    codes, found = table[name].codes_and_levels()
    where = []
    for label in found:
        value, last = _number(label), _number(periods[-1])
        later = value is not None and last is not None and value > last
        same = [t for t, p in enumerate(periods) if p == label or (value is not None and _number(p) == value)]
        if not same and not later and label != NEVER:
            rows = at_rows(table.row_numbers[np.flatnonzero(codes == found.index(label))])
            raise InputError(
                f"column {name!r} holds {label}, which is none of the periods ({listing(periods)}; {rows}); give the first "
                f"treated period of the cluster, and for a cluster that is never treated a number after the last period or {NEVER!r}"
            )
        where.append(same[0] if same else len(periods))
    start = np.array(where)[codes]
    low, high = np.full(len(clusters[1]), len(periods)), np.zeros(len(clusters[1]), int)
    np.minimum.at(low, clusters[0], start)
    np.maximum.at(high, clusters[0], start)
    moving = np.flatnonzero(low != high)
    if len(moving):
        seen = sorted({found[i] for i in codes[clusters[0] == moving[0]]})
        raise InputError(
            f"column {name!r} must have one value for each cluster; {plural(len(moving), 'cluster')} with several "
            f"({clusters[1][moving[0]]!r} has {listing(seen, 4)})"
        )
    if (low == 0).all() or (low == len(periods)).all():
        what = "treated from the first period on" if (low == 0).all() else "never treated"
        raise InputError(f"column {name!r}: every cluster is {what}; there is nothing to compare")
    return low


def _wandering(table: Table, subject: str, cluster: str) -> list[str]:
    """A sentence when subjects are in more than one cluster."""
    codes, labels = table[cluster].codes_and_levels()
    people, names = table[subject].codes_and_levels()
    pairs = np.unique(np.column_stack([people, codes]), axis=0)
    many = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    if not len(many):
        return []
    homes = [labels[c] for c in pairs[pairs[:, 0] == many[0], 1]]
    return [
        f"a subject stays in one cluster; {plural(len(many), 'subject')} of {subject!r} in several ({names[many[0]]!r} in "
        f"{listing(homes, 4)}); where numbers start anew in every cluster, make a column of cluster and number"
    ]


def _undone(
    clusters: Sequence[str], periods: Sequence[str], share: np.ndarray, treated: np.ndarray, roles: Roles
) -> list[str]:
    """Sentences for treatment that varies within a cluster-period, and for clusters that go back to control."""
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
            f"Correct {roles.treatment!r}, or exchange its labels if the first one is not control"
        )
    return problems


def _inseparable(periods: Sequence[str], treated: np.ndarray, roles: Roles) -> list[str]:
    """A sentence when no period has both treated and control clusters, so that treatment is a contrast of periods."""
    on, off = (treated == 1).any(axis=0), (treated == 0).any(axis=0)
    if (on & off).any():
        return []
    with_treatment = [p for p, t in zip(periods, on, strict=True) if t]
    return [
        f"treatment and time cannot be told apart: in every period with treatment ({listing(with_treatment)}) all clusters "
        "seen are treated; clusters must cross over at different times, or some never"
    ]


def _remarks(design: Design) -> list[str]:
    """What is worth knowing of a sound design."""
    on, off = (design.treated == 1).any(axis=0), (design.treated == 0).any(axis=0)
    parts = []
    for here, words in ((on & ~off, "every cluster is treated"), (off & ~on, "no cluster is treated")):
        if here.any():
            parts.append(f"{words} in {_periods_in_words([p for p, h in zip(design.periods, here, strict=True) if h])}")
    notes = [f"{' and '.join(parts)}: such a period alone says nothing of the effect"] if parts else []
    still = ~((design.treated == 1).any(axis=1) & (design.treated == 0).any(axis=1))
    if still.all():
        notes.append(
            "no cluster is seen both under control and treated: the effect is a comparison between clusters alone"
        )
    return notes


def _periods_in_words(labels: Sequence[str]) -> str:
    return f"period{'s' if len(labels) > 1 else ''} {listing(labels)}"


def exposure_notes(design: Design) -> tuple[str, ...]:
    """Clusters whose exposure time is known only from the first period in which they were seen treated."""
    late = [
        name
        for name, row in zip(design.clusters, design.treated, strict=True)
        if (row == 1).any() and (np.argmax(row == 1) == 0 or row[np.argmax(row == 1) - 1] == -1)
    ]
    if not late:
        return ()
    return (
        f"{plural(len(late), 'cluster')} not seen under control in the period before the first treated one ({listing(late, 4)}): "
        "exposure time counts from the first period seen treated, unless crossover= says when it began",
    )


# ------------------------------------------------------------------------------------------------------- the predictor


def model_formula(text: str, roles: Roles, design: Design, correlation: str, period_effects: str) -> str:
    """The formula of the whole predictor but for treatment: periods, covariates as the user wrote them, group effects."""
    left, right = (side.strip() for side in text.split("~", 1))
    period = quoted(roles.period)
    if period_effects == "smooth":
        if not design.numeric or len(design.periods) < 5:
            raise InputError(
                f"period_effects='smooth' needs a numeric column of 5 periods or more; {roles.period!r} has "
                f"{plural(len(design.periods), 'period')} ({listing(design.periods, 5)}); use period_effects='categorical'"
            )
        time = f"cr({period}, df={min(4, len(design.periods) - 2)})"
    else:
        # text sorts 10 before 2, so that the first in time is named
        named = not design.numeric and _number(design.periods[0]) is not None
        time = f"C({period}, ref={design.periods[0]!r})" if named else f"C({period})"
    cell = f"(1 | {quoted(roles.cluster)}:{period})"
    groups = {
        "exchangeable": [f"(1 | {quoted(roles.cluster)})"],
        "nested_exchangeable": [f"(1 | {quoted(roles.cluster)})", cell],
        "decay": [cell],
    }[correlation]
    groups += [f"(1 | {quoted(roles.subject)})"] if roles.subject is not None else []
    return f"{left} ~ {' + '.join([time, *([] if right == '1' else [right]), *groups])}"


def with_treatment(part: Single, design: Design, roles: Roles, *, exposure_time: str, random: bool) -> Single:
    """The checked part with treatment in it: told apart from the other columns, and varying over clusters if `random`."""
    population = part.main.population
    if not population.intercept:
        raise InputError(
            "the first period is the reference of the others, so the model needs its intercept; write 1, not 0"
        )
    labels, columns = ("effect",), design.treat[:, None]
    if exposure_time == "categorical":
        labels = tuple(f"effect[{e}]" for e in design.exposures)
        columns = (design.exposure[:, None] == np.array([int(e) for e in design.exposures])).astype(float)
    both = DesignMatrix(np.column_stack([population.values, columns]), (*population.labels, *labels), intercept=True)
    problem = aliased(both)
    if problem:
        raise InputError(problem)
    effects = list(part.main.effects)
    if random:
        own = next((e for e in effects if e.factor.name == roles.cluster), None)
        z = design.treat[:, None] if own is None else np.column_stack([own.z, design.treat])
        names = ("treatment",) if own is None else (*own.labels, "treatment")
        block = tuple(range(len(names)))
        varying = GroupEffects(
            grouping_factor([roles.cluster], part.table), z, names, (block,), (1.0,) * len(names), (None,)
        )
        effects = [varying, *(e for e in effects if e is not own)]
    return replace(part, predictors=(replace(part.main, effects=tuple(effects)), *part.predictors[1:]))


def few_clusters(design: Design) -> tuple[str, ...]:
    """A sentence for few clusters where there is no effect of the cluster itself that `intake` would say it of."""
    if len(design.clusters) >= FEW_LEVELS:
        return ()
    return (
        f"{plural(len(design.clusters), 'cluster')}; from fewer than {FEW_LEVELS} the variance between clusters is poorly known "
        "and its posterior rests on the priors of sd and rho",
    )


# ---------------------------------------------------------------------------------------------------------- simulation


def simulate_design(
    *,
    clusters: int = 12,
    periods: int = 5,
    size: Any = 20,
    sequences: int | None = None,
    crossover: Sequence[int] | None = None,
    family: str = "binomial",
    intercept: float = 0.0,
    period_effects: Sequence[float] | None = None,
    effect: float | Sequence[float] = 0.0,
    sd_cluster: float = 0.0,
    sd_cluster_period: float = 0.0,
    rho: float | None = None,
    sd_treatment: float = 0.0,
    sd_subject: float = 0.0,
    sigma: float = 1.0,
    alpha: float = 1.0,
    seed: int | None = None,
) -> pd.DataFrame:
    """A stepped-wedge trial drawn from the model of `stepped_wedge` with known values.

        eta = intercept + period_effects[t] + (effect[e] + r_c) treat + u_c + v_ct + w_subject

    Parameters
    ----------
    clusters, periods
        How many; periods are numbered from 0.
    size
        Individuals in each cluster and period, one number or an array (clusters, periods) with 0 where a cluster is not
        seen. Trials of one binomial row; rows of all other families.
    sequences
        How many groups of clusters cross over together; by default periods - 1, one group in every period but the first.
    crossover
        Instead of sequences: the first treated period of each cluster (clusters,); `periods` for never.
    family
        "binomial", "gaussian", "bernoulli", "poisson" or "negative_binomial"; eta is on its logit, identity or log link.
    period_effects
        Of periods 1, 2, ... against period 0 (periods - 1,); 0 by default.
    effect
        One number, or one for each number of periods since crossing over, 1 in the first treated period.
    sd_cluster, sd_cluster_period
        Of u and v. v is independent between periods, or has correlation rho^|t - s| where `rho` is given.
    sd_treatment
        Of r, the cluster's deviation from `effect`, independent of u.
    sd_subject
        Above 0 for a closed cohort: the same individuals in all periods, with effects w. Not for binomial rows.
    sigma, alpha
        Residual sd of a Gaussian response; shape of a negative binomial, var = mu + mu^2 / alpha.
    seed
        The same seed gives the same trial.

    Returns
    -------
    DataFrame
        Columns cluster (1, 2, ...), period, treat (0 or 1), y; n (trials) for binomial; subject for a cohort.

    Raises
    ------
    InputError
        Everything that is out of range.
    """
    import pandas as pd

    steps = np.arange(periods)
    sequences = periods - 1 if sequences is None else sequences
    spread = 1 + (np.arange(clusters) * sequences // max(clusters, 1)) * (periods - 1) // max(sequences, 1)
    start = np.asarray(spread if crossover is None else crossover)
    times = np.zeros(periods - 1) if period_effects is None else np.asarray(period_effects, float)
    raise_all(
        _out_of_range(clusters, periods, sequences, family, start, times, size, sd_subject)
        + [
            f"{name} must be a number >= 0, not {value!r}"
            for name, value in (
                ("sd_cluster", sd_cluster), ("sd_cluster_period", sd_cluster_period), ("sd_treatment", sd_treatment),
                ("sd_subject", sd_subject),
            )
            if not value >= 0
        ]
        + [f"{name} must be a number > 0, not {value!r}" for name, value in (("sigma", sigma), ("alpha", alpha)) if not value > 0]
        + ([f"rho must be between 0 and 1, not {rho!r}"] if rho is not None and not 0 < rho < 1 else [])
    )  # fmt: skip
    exposure = np.maximum(steps - start[:, None] + 1, 0)  # (C, T)
    by_time = np.atleast_1d(np.asarray(effect, float))
    by_time = np.repeat(by_time, max(exposure.max(), 1)) if by_time.size == 1 else by_time
    if by_time.size < exposure.max():
        raise InputError(
            f"effect has {by_time.size} values; the longest exposure is {plural(int(exposure.max()), 'period')}"
        )
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(clusters, periods))
    decay = 0.0 if rho is None else rho
    for t in range(1, periods):
        z[:, t] = decay * z[:, t - 1] + np.sqrt(1 - decay**2) * z[:, t]
    change = np.append(0.0, by_time)[exposure] + sd_treatment * rng.normal(size=(clusters, 1)) * (exposure > 0)
    level = sd_cluster * rng.normal(size=(clusters, 1))
    eta = intercept + np.append(0.0, times) + change + level + sd_cluster_period * z  # (C, T)

    counts = np.broadcast_to(size, (clusters, periods))
    repeats = (counts > 0).astype(int) if family == "binomial" else counts
    cluster, period = (np.repeat(i.ravel(), repeats.ravel()) for i in np.indices((clusters, periods)))
    frame = {"cluster": cluster + 1, "period": period, "treat": (exposure[cluster, period] > 0).astype(int)}
    eta = eta[cluster, period]
    if sd_subject > 0:
        subject = cluster * size + np.tile(np.arange(size), clusters * periods)
        eta = eta + (sd_subject * rng.normal(size=clusters * size))[subject]
        frame["subject"] = subject + 1
    if family == "binomial":
        n = counts[cluster, period]
        return pd.DataFrame({**frame, "y": rng.binomial(n, _expit(eta)), "n": n})
    if family == "gaussian":
        y = rng.normal(eta, sigma)
    elif family == "bernoulli":
        y = rng.binomial(1, _expit(eta))
    else:
        mu = np.exp(eta)
        y = rng.poisson(mu if family == "poisson" else rng.gamma(alpha, mu / alpha))
    return pd.DataFrame({**frame, "y": y})


def _out_of_range(
    clusters: int, periods: int, sequences: int, family: str, start: np.ndarray, times: np.ndarray, size: Any, sd_subject: float
) -> list[str]:  # fmt: skip
    problems = [
        f"{name} must be a whole number of at least 2, not {value!r}"
        for name, value in (("clusters", clusters), ("periods", periods))
        if value < 2
    ]
    if family not in CHOICES["family"]:
        problems.append(f"unknown family {family!r}; known: {listing(CHOICES['family'])}")
    if not 1 <= sequences <= periods - 1:
        problems.append(f"sequences must be from 1 to periods - 1 = {periods - 1}, not {sequences!r}")
    if start.shape != (clusters,) or not np.isin(start, np.arange(periods + 1)).all():
        problems.append(f"crossover has one period from 0 to {periods} for each of the {clusters} clusters")
    if times.shape != (periods - 1,):
        problems.append(f"period_effects has {periods - 1} values, one for each period but the first, not {times.size}")
    if np.shape(size) not in ((), (clusters, periods)) or np.min(size) < 0 or not np.any(size):
        problems.append(f"size is a whole number > 0, or an array ({clusters}, {periods}) of numbers >= 0")
    if sd_subject > 0 and (family == "binomial" or np.shape(size) != ()):
        problems.append(
            "a closed cohort (sd_subject > 0) has one size, and one row for each subject: not family='binomial'"
        )
    return problems


def _expit(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
