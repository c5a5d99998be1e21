"""Rows of meta-analyses: arms of trials, at the baselines of their own trials or at a given risk or rate under control.

    eta = b + t m + s (d - m),   m = effect + (x - mean of x)' beta,   d ~ Normal(m, tau)

t is 0 under control and 1 under treatment, s is t or t - 1/2. At a given control risk b is the link of that risk, and s is t, so that
a control arm has it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.estimands.linear_rows import EffectDraws, LinearRows, RandomTerm
from glmm_zoo.estimands.posterior import PosteriorDraws
from glmm_zoo.estimands.row_coding import Exposure, RowCoding
from glmm_zoo.formulas.learnt_columns import codes_of_levels
from glmm_zoo.formulas.new_rows import levels_in_rows
from glmm_zoo.plans.groups import Group, groups_of
from glmm_zoo.plans.reading import SingleOutcome, log_exposure
from glmm_zoo.results.storage import stored_table
from glmm_zoo.tables.columns import Table
from glmm_zoo.trials.arm_predictor import CODINGS, single_of_arms, table_of_arms
from glmm_zoo.trials.arms import Arms, read_arms
from glmm_zoo.trials.interactions import BASELINE


@dataclass(frozen=True)
class _ArmCoding:
    """Arms with the draws of what they are made of. `baseline` and `coding` are the model's options."""

    arms: Arms
    draws: PosteriorDraws
    effects: EffectDraws
    treatment: str
    exposure: str | None
    baseline: str
    coding: str
    may_be_given: bool

    def code(self, table: Table, exposure: Exposure) -> dict[str, LinearRows]:
        treated = codes_of_levels(table[self.treatment], self.arms.labels).astype(float)
        blocks = [(treated[:, None], self.draws["effect"][:, None])]
        X = self.arms.covariates
        if X is not None:
            blocks.append((treated[:, None] * (X.code_new_rows(table) - X.means), self.draws["beta"]))
        offset = np.zeros(table.rows)
        if self.exposure is not None:
            own = self.exposure in exposure.given
            offset = log_exposure(table, self.exposure) if own else np.full(table.rows, np.log(exposure.units))
        codes, labels = levels_in_rows(self.effects.levels, self.effects.columns, table)
        given = self.may_be_given and BASELINE in table.columns
        if given:
            offset = offset + given_baseline(table, of_risks=self.exposure is None)
        elif self.baseline == "fixed":
            own = own_study(
                self.effects, table, codes, labels, "risk" if self.exposure is None else "rate", self.may_be_given
            )
            blocks.append((own, self.draws["study_Intercept"]))
        else:
            blocks.append((np.ones((table.rows, 1)), self.draws["Intercept"][:, None]))
        z = self._z(treated, given)
        term = RandomTerm(self.effects, tuple(range(z.shape[1])), z, codes, labels)
        return {"": LinearRows(tuple(blocks), offset, (term,))}

    def _z(self, treated: np.ndarray, given: bool) -> np.ndarray:
        """The columns (m, K) of a study's effects: d - m, after u with random baselines; those of both arms with bivariate ones."""
        baseline = np.full(len(treated), 0.0 if given else 1.0)
        if self.baseline == "bivariate":
            return np.column_stack([baseline - treated, treated])
        effect = treated + (0.0 if given else CODINGS[self.coding])
        return effect[:, None] if self.baseline == "fixed" else np.column_stack([baseline, effect])


def given_baseline(table: Table, *, of_risks: bool) -> np.ndarray:
    """The link of the risks, or rates, under control (m,)."""
    p = table[BASELINE].numbers("a control risk")
    wrong = (p <= 0) | (p >= (1 if of_risks else np.inf))
    if wrong.any():
        words = "a risk under control, between 0 and 1" if of_risks else "a rate under control, > 0"
        where = "" if wrong.all() else f" ({table.at(wrong)})"
        raise InputError(f"{BASELINE!r} must be {words}, not {p[wrong][0]:g}{where}")
    return np.log(p) - np.log1p(-p) if of_risks else np.log(p)


def own_study(
    effects: EffectDraws, table: Table, codes: np.ndarray, labels: np.ndarray | None, amount: str, may_be_given: bool
) -> np.ndarray:
    """Which study each row is of (m, studies), for the baselines of a model that has one for each study; `amount` is "risk" or "rate".

    Raises
    ------
    InputError
        Rows that do not say their study, or have one that the fit lacks.
    """
    name, levels = effects.factor, effects.levels
    way = f"with baseline='fixed' only its studies have a baseline; set a control {amount}"
    way += f", at={{{BASELINE!r}: 0.1}}" if may_be_given else ""
    if labels is None:
        raise InputError(f"the data lack {name!r}, and {way}, or add the column")
    unseen = codes < 0
    if unseen.any():
        label = str(labels[unseen][0])
        near = did_you_mean(label, levels) or ","
        raise InputError(
            f"{name} {label!r} ({table.at(unseen)}) was not in the data of the fit{near} and {way}; {name}: {listing(levels)}"
        )
    return np.eye(len(levels))[codes]


def read_meta(tree: xr.DataTree, spec: Mapping[str, Any], draws: PosteriorDraws) -> tuple[SingleOutcome, RowCoding]:
    """The arms of a fitted meta-analysis, one row each, and how rows become linear predictors."""
    options = spec["options"]
    study, treatment, exposure = options["study"], options["treatment"], options["exposure"]
    arms = read_arms(
        stored_table(tree), spec["formula"], study=study, treatment=treatment, control=options["control"],
        exposure=exposure, missing=options["missing"],
    )  # fmt: skip
    single = single_of_arms(spec["formula"], arms, options["baseline"], None)
    single = SingleOutcome(
        single.family, single.texts, table_of_arms(arms, treatment, exposure), arms.outcome, single.predictors, ()
    )
    columns = (treatment, *arms.formula.predictor_columns)
    may_be_given = BASELINE not in (study, exposure, *columns)  # else it is another column
    effects = _study_effects(arms, single, options["baseline"], draws)
    coding = _ArmCoding(arms, draws, effects, treatment, exposure, options["baseline"], options["coding"], may_be_given)
    optional = ([BASELINE] if may_be_given else []) + ([study] if options["baseline"] == "fixed" else [])
    learnt = {} if arms.covariates is None else arms.covariates.learnt.get("levels", {})
    return single, RowCoding(
        columns,
        {study: effects},
        {treatment: arms.labels, **{name: tuple(levels) for name, levels in learnt.items()}},
        () if exposure is None else (exposure,),
        coding.code,
        optional=tuple(optional),
        remark="at each row's own baseline" if options["baseline"] == "fixed" else "",
    )


def _study_effects(arms: Arms, single: SingleOutcome, baseline: str, draws: PosteriorDraws) -> EffectDraws:
    """The effects of studies: d - m; after u with random baselines; those of both arms with bivariate ones."""
    groups: tuple[Group, ...] = groups_of(single.predictors, center=False)
    tau = draws["tau"] if baseline != "bivariate" else np.empty(0)

    def deviations() -> np.ndarray:
        mean = draws["effect"][:, None]
        if arms.covariates is not None:
            mean = mean + draws["beta"] @ (arms.covariates.values - arms.covariates.means).T
        return draws["study_effect"] - mean

    def of_levels() -> np.ndarray:
        if baseline == "bivariate":
            return draws[groups[0].name("u")]
        own = [] if baseline == "fixed" else [draws[groups[0].name("u")][:, :, 0]]
        return np.stack([*own, deviations()], axis=-1)

    if baseline == "bivariate":
        covariance = draws.covariance(groups[0])
    else:
        sds = np.column_stack([*(draws[g.name("sd")] for g in groups), tau])
        covariance = sds[:, :, None] ** 2 * np.eye(sds.shape[1])
    name = arms.study.name
    return EffectDraws(name, "study_effect", (name,), arms.study.levels, covariance, of_levels)
