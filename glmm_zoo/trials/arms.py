"""Read and check the arms of trials for a meta-analysis, from a long or a wide table. Imports no PyMC.

A long table has one row for each arm. A wide one has one row for each study and the columns of the response twice,
`events1, n1, events2, n2` or `events_1, n_1, events_2, n_2`: arm 1 is the control, arm 2 the treated one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, attempt, listing, raise_all
from glmm_zoo.families.binomial import successes
from glmm_zoo.families.counts import counted
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.group_effects import GroupingFactor, grouping_factor
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.formulas.predictor import check_columns
from glmm_zoo.formulas.terms import Expression, Formula, Response, Symbol, signed_summands
from glmm_zoo.plans.reading import PARTLY_OBSERVED_ELSEWHERE, log_exposure
from glmm_zoo.tables.columns import Table
from glmm_zoo.tables.frames import Missing, column_names, take_columns
from glmm_zoo.trials.control import treated_rows
from glmm_zoo.trials.study_covariates import covariates_of_studies

FEW_STUDIES = 6
META_ANALYSES = ("meta_analysis", "network_meta_analysis")  # builders whose rows are arms of studies


@dataclass(frozen=True)
class ArmCounts:
    """The counts of n arms of S studies, checked.

    `outcome` has the n counts, `exposure` (n,) the person-time of rates, else None. `study` holds the S studies and the study of
    each arm.
    """

    formula: Formula
    table: Table
    outcome: Outcome
    exposure: np.ndarray | None
    study: GroupingFactor

    @property
    def sizes(self) -> np.ndarray:
        """Persons or person-time of each arm (n,)."""
        sizes = self.outcome.trials if self.exposure is None else self.exposure
        assert sizes is not None  # risks have trials
        return sizes

    @property
    def log_rate(self) -> float:
        """log of the crude rate over all arms; 0 for risks."""
        return 0.0 if self.exposure is None else float(np.log(self.outcome.values.sum() / self.exposure.sum()))


@dataclass(frozen=True)
class Arms(ArmCounts):
    """Control and treated arms: `treated` (n,) says which arms are.

    `covariates` (S, p) are those of the studies, as coded, None where there are none; `labels` names the control and the treated arm.
    """

    treated: np.ndarray
    labels: tuple[str, str]
    covariates: DesignMatrix | None

    def totals(self) -> dict[str, np.ndarray]:
        """Counts and sizes of both arms of each study (S,), rows of one arm added up."""
        return {
            f"{arm}_{what}": np.bincount(self.study.codes, values * rows, len(self.study.levels))
            for arm, rows in (("control", ~self.treated), ("treated", self.treated))
            for what, values in (("events", self.outcome.values), ("size", self.sizes))
        }

    def rough_effects(self) -> tuple[np.ndarray, np.ndarray]:
        """Each study's log odds or rate ratio and its variance (S,), with 1/2 added to every count so that they are finite.

        They only tell the sampler where to look; the model has the counts as they are.
        """
        t, of_risks = self.totals(), self.exposure is None
        treated, control = (
            rough_level(t[f"{arm}_events"], t[f"{arm}_size"], of_risks) for arm in ("treated", "control")
        )
        return treated[0] - control[0], treated[1] + control[1]

    def rough_heterogeneity(self) -> float:
        """Standard deviation of the effects given the covariates; it only tells the sampler where to look."""
        y, variance = self.rough_effects()
        X = np.column_stack([np.ones(len(y)), *([self.covariates.values] if self.covariates else [])])
        return heterogeneity_by_moments(y, variance, X)

    def facts(self, treatment: str) -> dict[str, Any]:
        """What the report says of the studies, JSON-able: names, counts of both arms, how covariates are coded."""
        X = self.covariates
        coded = {"means": dict(zip(X.labels, X.means.tolist(), strict=True)), **X.learnt} if X else {"means": {}}
        totals = {name: sums.tolist() for name, sums in self.totals().items()}
        return {
            "study": variable_name(self.study.name),
            "labels": list(self.labels),
            "arms": {"variable": treatment, "control": self.labels[0], "treated": self.labels[1]},
            "totals": totals,
            "covariates": coded,
        }

    def notes(self) -> list[str]:
        """Sentences that the user should know: which arm is the control, studies without events, few studies."""
        t, studies = self.totals(), len(self.study.levels)
        events, sizes = t["control_events"] + t["treated_events"], t["control_size"] + t["treated_size"]
        notes = [f"treated is {self.labels[1]!r}, control {self.labels[0]!r}"]
        uninformative = (events == 0) | (events == sizes) if self.exposure is None else events == 0
        if uninformative.any():
            notes.append(
                f"{uninformative.sum()} of {studies} studies have no events, or nothing but events, in both arms "
                f"({listing(np.array(self.study.levels)[uninformative], 6)}); they are kept as they are, without a correction, and say "
                "next to nothing of the effect"
            )
        if studies < FEW_STUDIES:
            notes.append(
                f"{studies} studies: from fewer than {FEW_STUDIES} tau is poorly known and its posterior rests on its "
                "prior; heterogeneity= names empirical priors for log odds ratios"
            )
        return notes


def rough_level(events: np.ndarray, sizes: np.ndarray, of_risks: bool) -> tuple[np.ndarray, np.ndarray]:
    """The log odds, or log rate, of arms and its variance, with 1/2 added to every count so that they are finite."""
    y = events + 0.5
    others = sizes - y + 1 if of_risks else sizes
    return np.log(y / others), 1 / y + (1 / others if of_risks else 0)


def heterogeneity_by_moments(y: np.ndarray, variance: np.ndarray, X: np.ndarray) -> float:
    """Standard deviation of true effects around X b, given estimates y (n,) and the variances of their errors, by moments
    (DerSimonian & Laird 1986; Thompson & Sharp 1999), or the largest that cannot be told from 0 if that is more."""
    w = 1 / variance
    gain = np.linalg.pinv(X.T * w @ X)
    residual = y - X @ (gain @ (X.T @ (w * y)))
    tau2 = (w @ residual**2 - (len(y) - X.shape[1])) / max(w.sum() - np.trace(gain @ (X.T * w**2 @ X)), 1e-9)
    return float(np.sqrt(max(tau2, np.sqrt(2 / np.sum(w**2)))))


def read_arms(
    data: Any,
    text: str,
    *,
    study: str,
    treatment: str,
    control: str | float | bool | None,
    exposure: str | None,
    missing: Missing,
) -> Arms:
    """Read and check the arms of all studies.

    Raises
    ------
    InputError
        Whatever is wrong with formula or data, with columns and rows as the user's table has them.
    """
    formula, response = arms_formula(text, study, treatment, exposure)
    problems: list[str] = []
    endings = _column_endings(response, column_names(data))
    if not endings:
        raise_all(_other_layout(response, exposure, column_names(data)))
    if endings and control is not None:
        raise InputError("control= names a label of a long table; in a wide one arm 1 is the control: leave it out")
    by_arm = [_with_ending(response, exposure, ending) for ending in endings or ("",)]  # of a long table, once
    columns = [study, *([] if endings else [treatment]), *formula.predictor_columns]
    columns += [c for r, time in by_arm for c in (*response_columns(r), *([time] if time else []))]
    table = take_columns(data, list(dict.fromkeys(columns)), missing, problems)
    counts = [attempt(lambda r=r, t=t: events_and_sizes(table, r, t), problems) for r, t in by_arm]
    treated_and_labels = None if endings else attempt(lambda: treated_rows(table[treatment], control), problems)
    check_columns(replace(formula, response=None), table, problems)
    raise_all(problems)
    y, sizes = (np.column_stack([c[k] for c in counts if c is not None]).ravel() for k in (0, 1))
    study_of_row = grouping_factor([study], table)
    if treated_and_labels is None:
        labels, treated = ("arm 1", "arm 2"), np.tile([False, True], table.rows)
        study_of_arm = replace(study_of_row, codes=np.repeat(study_of_row.codes, 2))
        problems += _studies_in_several_rows(study_of_row, table)
    else:
        (treated, labels), study_of_arm = treated_and_labels, study_of_row
        problems += _studies_with_one_arm(study_of_row, treated, labels, table)
    if len(study_of_row.levels) < 2:
        problems.append(
            f"{study!r} has one study ({listing(map(repr, study_of_row.levels))}); a meta-analysis needs at least two"
        )
    covariates = attempt(lambda: covariates_of_studies(formula, table, study_of_row), problems)
    raise_all(problems)
    return Arms(
        formula, table, outcome_of_arms(response, y, sizes, exposure, len(study_of_row.levels)), sizes if exposure else None,
        study_of_arm, treated, labels, covariates,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- the formula


def arms_formula(text: str, study: str, treatment: str, exposure: str | None) -> tuple[Formula, Response]:
    """The formula with study covariates alone on its right, and its response.

    Raises
    ------
    InputError
        What a formula may have in other models and not for arms of studies.
    """
    formula = parse_formula(text)
    response = formula.response
    assert response is not None
    problems = _unavailable_terms(formula, response, study, exposure)
    formula = replace(formula, population=tuple(_study_terms(formula, treatment, problems)))
    raise_all(problems)
    return formula, response


def _unavailable_terms(formula: Formula, response: Response, study: str, exposure: str | None) -> list[str]:
    """Sentences about what a formula may have in other models and not in a meta-analysis."""
    problems = [PARTLY_OBSERVED_ELSEWHERE] if response.seen_in_part else []
    if formula.groups:
        problems.append(
            f"formula: the effects of the studies are the model's own; leave ({formula.groups[0].effects_text} | "
            f"{formula.groups[0].name}) out and choose baseline='fixed' or 'random'"
        )
    if formula.smooths:
        problems.append(
            f"formula: {formula.smooths[0].source} is not available for covariates of studies; use bs(x, df=5)"
        )
    if formula.offsets:
        problems.append("formula: give the person-time as exposure='column' instead of offset()")
    if response.value.kind != "column":
        problems.append(f"the response is a column of counts, not {response.value.text!r}; make the column first")
    if response.trials is not None and exposure is not None:
        problems.append("trials() gives risks and exposure= gives rates; keep one of them")
    if response.trials is None and exposure is None:
        problems.append(
            f"the response is counts of events: {response.value.text} | trials(n) for risks, with n the size of the arm, "
            f"or {response.value.text} with exposure='column' of person-time for rates"
        )
    if any(isinstance(piece, Expression) and study in piece.columns for piece in formula.population):
        problems.append(f"formula: {study!r} names the studies, which have effects of their own; leave it out")
    return problems


def _study_terms(formula: Formula, treatment: str, problems: list[str]) -> list[Symbol]:
    """The right side without the treatment and without the 1 of the intercept: the study covariates."""
    kept: list[Symbol] = []
    for sign, summand in signed_summands(formula.population):
        columns = {c for p in summand if isinstance(p, Expression) for c in p.columns}
        first = summand[0]
        if treatment in columns:
            plain = (
                len(summand) == 1 and isinstance(first, Expression) and first.kind != "call" and first.reference is None
            )
            if sign == "-" or not plain:
                problems.append(
                    f"formula: {treatment!r} is the treatment and stands for itself, '~ {treatment} + x': each further "
                    "term is a study covariate that modifies its effect; control= names the control"
                )
        elif not columns:
            if (sign, *summand) != ("+", "1"):
                problems.append("formula: the studies' baselines are the intercepts and cannot be left out; drop the 0")
        else:
            kept += [sign, *summand] if kept or sign == "-" else summand
    return kept


def response_columns(response: Response) -> tuple[str, ...]:
    """The columns of the events and of the trials."""
    trials = response.trials.columns if isinstance(response.trials, Expression) else ()
    return (*response.value.columns, *trials)


def _column_endings(response: Response, names: Sequence[str]) -> tuple[str, str] | None:
    """What the columns of arm 1 and of arm 2 end in in a wide table; None for a long one."""
    (events,) = response.value.columns
    pairs = [pair for pair in (("1", "2"), ("_1", "_2")) if any(f"{events}{ending}" in names for ending in pair)]
    return None if events in names or not pairs else pairs[0]


_LAYOUTS = (  # of other packages: events and size of the treated arm, then of the control
    ("metafor", ("ai", "n1i", "ci", "n2i")),
    ("metafor", ("x1i", "t1i", "x2i", "t2i")),
    ("meta", ("event.e", "n.e", "event.c", "n.c")),
    ("meta", ("event.e", "time.e", "event.c", "time.c")),
)


def _other_layout(response: Response, exposure: str | None, names: Sequence[str]) -> list[str]:
    """A sentence about a wide table whose columns are called otherwise."""
    (events,), size = response.value.columns, exposure or (response_columns(response)[1:] or ("n",))[0]
    found = next((layout for layout in _LAYOUTS if set(layout[1]) <= set(names)), None)
    if events in names or found is None:
        return []
    ours = (f"{events}2", f"{size}2", f"{events}1", f"{size}1")
    renamed = listing((f"{old} to {new}" for old, new in zip(found[1], ours, strict=True)), 4)
    return [
        f"the table has {found[0]}'s columns {listing(found[1])}; a wide table is expected to have {events} and {size} of the control with "
        f"a 1, of the treated arm with a 2: rename {renamed}"
    ]


def _with_ending(response: Response, exposure: str | None, ending: str) -> tuple[Response, str | None]:
    """Response and exposure of one arm of a wide table, whose columns end in `ending`."""

    def of_arm(operand: Expression) -> Expression:
        renamed = replace(operand, columns=tuple(f"{c}{ending}" for c in operand.columns))
        return replace(renamed, text=renamed.source) if ending else operand

    trials = of_arm(response.trials) if isinstance(response.trials, Expression) else response.trials
    return replace(response, value=of_arm(response.value), trials=trials), f"{exposure}{ending}" if exposure else None


# ------------------------------------------------------------------------------------------------------------- the data


def events_and_sizes(table: Table, response: Response, exposure: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Events, and trials or person-time, of each row (n,)."""
    if exposure is None:
        return successes(table, response)[:2]
    problems: list[str] = []
    y = attempt(lambda: counted(table, response.value.columns[0]), problems)
    attempt(lambda: log_exposure(table, exposure), problems)
    raise_all(problems)
    assert y is not None  # else there were problems
    return y, table[exposure].numbers("exposure")


def _studies_with_one_arm(
    study: GroupingFactor, treated: np.ndarray, labels: tuple[str, str], table: Table
) -> list[str]:
    """Sentences about studies of a long table without a control or without a treated arm."""
    n = len(study.levels)
    return [
        f"study {study.levels[k]!r} has one arm only, none with {absent!r} ({table.at(study.codes == k)}); a meta-analysis "
        "compares the arms of a study: add the other arm or drop the study"
        for absent, present in ((labels[0], ~treated), (labels[1], treated))
        for k in np.flatnonzero(np.bincount(study.codes, present, n) == 0)
    ]


def _studies_in_several_rows(study: GroupingFactor, table: Table) -> list[str]:
    """Sentences about studies with several rows of a wide table."""
    return [
        f"study {study.levels[k]!r} has {n} rows ({table.at(study.codes == k)}); a wide table has one row for each study"
        for k, n in enumerate(np.bincount(study.codes))
        if n > 1
    ]


def outcome_of_arms(
    response: Response, y: np.ndarray, sizes: np.ndarray, exposure: str | None, studies: int
) -> Outcome:
    """The counts y of n arms and their sizes (n,) as a binomial outcome, or with `exposure` as a Poisson one."""
    name = response.value.columns[0]
    everyone = exposure is None and np.all(y == sizes)
    if np.all(y == 0) or everyone:
        raise InputError(f"response {name!r} has a single value: {'all' if everyone else 'no'} events in every arm")
    if exposure:
        words = f"{name} in {exposure}: Poisson counts of events, {studies} studies"
        return Outcome(name, y, None, float(np.log(np.mean(y))), 1.0, words)
    trials = response.trials.text if isinstance(response.trials, Expression) else str(response.trials)
    return Outcome(name, y, sizes, description=f"{name} of {trials}: binomial counts of events, {studies} studies")
