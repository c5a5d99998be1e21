"""Linear predictors of ordered categories, whose cutpoints stand for the intercepts of all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.formulas.predictor import PredictorDesign, code_predictor
from glmm_zoo.formulas.terms import Formula
from glmm_zoo.tables.columns import Table


def ordered_predictor(formula: Formula, table: Table, prefix: str = "") -> PredictorDesign:
    """A right side whose intercept is left to the cutpoints: factors are coded as beside one, even after `0 +`."""
    return replace(_without_intercept(formula, table, prefix), cutpoints=True)


def discrimination_predictor(formula: Formula, table: Table, prefix: str) -> PredictorDesign:
    """That of log disc, whose level is left to the cutpoints too."""
    coded = _without_intercept(formula, table, prefix)
    if not (coded.population.labels or coded.effects or coded.smooths or coded.offset is not None):
        raise InputError(
            f"disc={formula.text!r} names nothing: the cutpoints stand for its intercept; give a column or a group, '~ x + (1 | g)'"
        )
    return coded


def _without_intercept(formula: Formula, table: Table, prefix: str) -> PredictorDesign:
    coded = code_predictor(replace(formula, population=(*formula.population, "+", "1")), table, prefix)
    return replace(coded, formula=formula, population=replace(coded.population, intercept=False))


def zero_far_away(outcome: Outcome, design: DesignMatrix) -> list[str]:
    """Sentences for columns of disc far from zero, where disc is 1, so that cutpoints and coefficients hold for no row."""
    return [
        f"disc: {label} goes from {x.min():.4g} to {x.max():.4g} and disc is 1 where it is 0, so that cutpoints and coefficients are those of "
        f"no row; I({label} - {np.median(x):.4g}) in disc= would be easier to read and to sample"
        for label, x in zip(design.labels, design.values.T, strict=True)
        if min(abs(x.min()), abs(x.max())) > np.ptp(x) and x.min() * x.max() > 0
    ]
