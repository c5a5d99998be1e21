"""Rows of stepped-wedge trials: the effect of treatment, which may depend on how long it has lasted, beside periods and clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, listing
from glmm_zoo.estimands.linear_rows import LinearRows
from glmm_zoo.estimands.posterior import PosteriorDraws
from glmm_zoo.estimands.row_coding import Course, Exposure, RowCoding, standard_coding
from glmm_zoo.formulas.group_effects import GroupEffects
from glmm_zoo.formulas.learnt_columns import codes_of_levels
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.terms import GroupTerm
from glmm_zoo.plans.reading import SingleOutcome
from glmm_zoo.results.storage import stored_data
from glmm_zoo.tables.columns import Column, Table
from glmm_zoo.trials.stepped_wedge import WedgeDesign
from glmm_zoo.trials.wedge_columns import TREATMENT, arm_labels, columns_of_trial
from glmm_zoo.trials.wedge_predictor import read_wedge_trial

EXPOSURE_TIME = "exposure_time"  # a column that rows have beside those of the data


@dataclass(frozen=True)
class _Treatment:
    """The column of treatment with its labels, control first; the exposure times that have effects of their own, if any; draws of
    the effect (S, 1), or (S, times)."""

    column: str
    labels: tuple[str, str]
    times: tuple[int, ...]
    effect: np.ndarray

    def treated(self, table: Table) -> np.ndarray:
        """1 for treated rows, 0 for those under control (m,)."""
        return codes_of_levels(table[self.column], self.labels).astype(float)

    def block(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """The columns of treatment in rows, and draws of their coefficients.

        Raises
        ------
        InputError
            Treated rows without an exposure time that the fit has.
        """
        treated = self.treated(table)
        if not self.times:
            return treated[:, None], self.effect
        times, columns = listing(self.times), np.zeros((table.rows, len(self.times)))
        if not treated.any():
            return columns, self.effect
        if EXPOSURE_TIME not in table.columns:
            raise InputError(
                f"treated rows need {EXPOSURE_TIME!r}, the number of periods since the cluster crossed over, 1 in the first, and the data lack "
                f"it; add the column, or at={{{EXPOSURE_TIME!r}: {self.times[0]}}}; exposure times of the fit: {times}"
            )
        time = table[EXPOSURE_TIME].numbers("an exposure time")
        columns = (time[:, None] == np.array(self.times)) * treated[:, None]
        unknown = (treated == 1) & (columns.sum(axis=1) == 0)
        if unknown.any():
            raise InputError(
                f"{EXPOSURE_TIME!r} of a treated row must be one of the fit, {times}, not {time[unknown][0]:g} ({table.at(unknown)}); set it "
                f"by at={{{EXPOSURE_TIME!r}: {self.times[0]}}}"
            )
        return columns, self.effect


def read_wedge(tree: xr.DataTree, spec: Mapping[str, Any], draws: PosteriorDraws) -> tuple[SingleOutcome, RowCoding]:
    """The outcome of a fitted stepped-wedge trial, and how its rows become linear predictors.

    Its rows have the column of treatment, "treat" where the data say when clusters cross over, and `exposure_time` where the
    effect depends on it.
    """
    options = spec["options"]
    names = columns_of_trial(options)
    design, single = read_wedge_trial(stored_data(tree), spec["formula"], names, options)
    constant = options["exposure_time"] == "constant"
    single = replace(single, table=_with_own_columns(single.table, design, constant, names.treatment is None))
    column = names.treatment or TREATMENT
    times = () if constant else tuple(map(int, design.exposures))
    effect = draws["effect"].reshape(draws.size, -1)
    treatment = _Treatment(column, arm_labels(single.table[column], design.treat), times, effect)
    main = single.main
    if options["treatment_effect"] == "random":
        main = _with_varying_treatment(main, names.cluster, treatment)
    single = replace(single, predictors=(main, *single.predictors[1:]))
    counts = single.family.counted is not None
    parts = {p.prefix: p for p in single.predictors}
    standard = standard_coding(parts, draws, counts=counts, exposure=options["exposure"])

    def code(table: Table, exposure: Exposure) -> dict[str, LinearRows]:
        rows = standard.code(table, exposure)
        return {**rows, "": replace(rows[""], blocks=(*rows[""].blocks, treatment.block(table)))}

    return single, replace(
        standard,
        columns=(*(c for c in standard.columns if c != column), column),
        levels={**standard.levels, column: treatment.labels},
        code=code,
        optional=(EXPOSURE_TIME,) if times else (),
        courses={column: Course(EXPOSURE_TIME, times)} if times else {},
    )


def _with_own_columns(table: Table, design: WedgeDesign, constant: bool, crossover: bool) -> Table:
    """The table with the columns of treatment and exposure time that the data do not have."""
    added = {TREATMENT: design.treat} if crossover else {}
    added |= {} if constant else {EXPOSURE_TIME: design.exposure}
    taken = [name for name in added if name in table.columns]
    if taken:
        raise InputError(
            f"predictions of this fit need the name {taken[0]!r} for the trial's own, and a covariate has it; fit again with another name"
        )
    none = np.zeros(table.rows, bool)
    columns = {name: Column(name, "number", values.astype(int), none) for name, values in added.items()}
    return replace(table, columns={**table.columns, **columns})


def _with_varying_treatment(main: PredictorDesign, cluster: str, treatment: _Treatment) -> PredictorDesign:
    """The predictor with the effects of clusters coded in other rows too: an intercept, if there is one, and treatment."""

    def coded(effects: GroupEffects) -> GroupEffects:
        ones = len(effects.labels) - 1
        return replace(
            effects,
            code_new_rows=lambda table: np.column_stack([np.ones((table.rows, ones)), treatment.treated(table)]),
        )

    effects = tuple(coded(e) if e.factor.name == cluster else e for e in main.effects)
    groups = main.formula.groups
    if all(g.name != cluster for g in groups):
        groups = (*groups, GroupTerm((), (cluster,)))
    return replace(main, effects=effects, formula=replace(main.formula, groups=groups))
