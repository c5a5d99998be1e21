"""Columns of a formula in other rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.new_rows import predictor_in_rows
from glmm_zoo.formulas.predictor import code_predictor
from glmm_zoo.tables.frames import take_columns


def test_a_logical_may_be_a_number_in_other_rows() -> None:
    fit = take_columns(pd.DataFrame({"treated": [True, False, True]}), ["treated"])
    predictor = code_predictor(parse_formula("~ treated", response=False), fit)
    rows = take_columns(pd.DataFrame({"treated": [1, 0, 0, 1]}), ["treated"])
    np.testing.assert_array_equal(predictor_in_rows(predictor, rows).population.values[:, 0], [1, 0, 0, 1])
    wrong = take_columns(pd.DataFrame({"treated": [1, 2]}), ["treated"])
    with pytest.raises(InputError, match=r"level '1' of 'treated' \(row 1\) was not in the data of the fit"):
        predictor_in_rows(predictor, wrong)
