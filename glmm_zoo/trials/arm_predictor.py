"""The arms of a meta-analysis as the outcome of a plan, its linear predictor without the treatment, and a row for each arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.group_effects import GroupEffects
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.terms import Expression
from glmm_zoo.plans.reading import SingleOutcome
from glmm_zoo.tables.columns import Column, Table
from glmm_zoo.trials.arms import Arms
from glmm_zoo.trials.heterogeneity import heterogeneity_note
from glmm_zoo.trials.network import Network

CODINGS = {"01": 0.0, "half": -0.5}  # of the random effect: what is added to 0 of control arms and 1 of treated ones
OWN = ("study_effect",)  # variables of the model that end as dimensions of group effects do


def baseline_predictor(of: Arms | Network, baseline: str) -> PredictorDesign:
    """The linear predictor without the treatment's effect: nothing ("fixed"), Intercept + u_i ("random"), or Intercept and one u_i
    for each arm ("bivariate")."""
    ones = np.ones(len(of.study.codes))
    effects: tuple[GroupEffects, ...] = ()
    if baseline == "random":
        effects = (GroupEffects(of.study, ones[:, None], ("Intercept",), ((0,),), (1.0,), (None,), taken=OWN),)
    elif isinstance(of, Arms) and baseline == "bivariate":
        z = np.column_stack([~of.treated, of.treated]).astype(float)
        effects = (GroupEffects(of.study, z, ("control", "treatment"), ((0, 1),), (1.0, 1.0), (None,), taken=OWN),)
    nothing = DesignMatrix(np.empty((len(ones), 0), order="F"), (), baseline != "fixed")
    offset = None if of.exposure is None else np.log(of.exposure)
    return PredictorDesign("", of.formula, nothing, offset, effects)


def single_of_arms(text: str, arms: Arms, baseline: str, heterogeneity: str | None) -> SingleOutcome:
    """The arms as the checked outcome that the plan starts from."""
    return _single(text, arms, baseline, arms.notes(), heterogeneity)


def single_of_network(
    text: str, network: Network, baseline: str, heterogeneity: str | None = None, reference_given: bool = True
) -> SingleOutcome:
    """The same of the arms of a network."""
    return _single(text, network, baseline, network.notes(reference_given), heterogeneity)


def _single(
    text: str, of: Arms | Network, baseline: str, notes: Sequence[str], heterogeneity: str | None
) -> SingleOutcome:
    named = [] if heterogeneity is None else [heterogeneity_note(heterogeneity)]
    family = FAMILIES["binomial" if of.exposure is None else "poisson"]
    family = replace(family, latent=False)  # an ICC between studies is of no use
    notes = (*of.table.notes, *notes, *named)
    return SingleOutcome(family, {"": text}, of.table, of.outcome, (baseline_predictor(of, baseline),), notes)


def table_of_arms(arms: Arms, treatment: str, exposure: str | None) -> Table:
    """One row for each arm, of a wide table too: its columns of response and exposure are then called as the formula has them."""
    if treatment in arms.table.columns:
        return arms.table
    n, response = len(arms.treated), arms.formula.response
    assert response is not None
    whole = arms.table.take(np.repeat(np.arange(arms.table.rows), 2))
    none = np.zeros(n, bool)
    columns = {**whole.columns, treatment: Column(treatment, "text", arms.treated.astype(int), none, arms.labels)}
    numbers = {response.value.columns[0]: arms.outcome.values}
    if isinstance(response.trials, Expression) and response.trials.kind == "column":
        numbers[response.trials.columns[0]] = arms.sizes
    if exposure is not None:
        numbers[exposure] = arms.sizes
    columns |= {name: Column(name, "number", values, none) for name, values in numbers.items()}
    return replace(whole, columns=columns, row_numbers=np.arange(n))
