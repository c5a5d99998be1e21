"""Columns of a formula in other rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.new_rows import levels_in_rows, predictor_in_rows
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


@pytest.mark.parametrize(("of_fit", "of_rows"), [([0.0, 0.5, 1.5, 2.0], [2.0, 0.0]), ([0.0, 1.0, 2.0], [2.0, 0.0])])
def test_a_number_is_the_same_level_whatever_the_other_rows_are(of_fit: list[float], of_rows: list[float]) -> None:
    """0 is called "0.0" beside 0.5, and "0" beside 2."""
    predictor = code_predictor(
        parse_formula("~ C(dose)", response=False), take_columns(pd.DataFrame({"dose": of_fit}), ["dose"])
    )
    for rows in (of_rows, [*of_rows, 0.5][: len(of_fit) - 1], [int(v) for v in of_rows]):
        table = take_columns(pd.DataFrame({"dose": rows}), ["dose"])
        values = predictor_in_rows(predictor, table).population.values
        np.testing.assert_array_equal(values.argmax(axis=1)[0], len(of_fit) - 2)
        np.testing.assert_array_equal(values[1], 0.0)
    with pytest.raises(InputError, match=r"level '7' of 'dose' \(row 1\) was not in the data of the fit"):
        predictor_in_rows(predictor, take_columns(pd.DataFrame({"dose": [7.0]}), ["dose"]))


def test_groups_that_are_numbers_with_decimals_are_known_again() -> None:
    table = take_columns(pd.DataFrame({"dose": [2.0, 0.0, 7.0], "site": ["a", "b", "a"]}), ["dose", "site"])
    assert levels_in_rows(("0.0", "0.5", "2.0"), ["dose"], table)[0].tolist() == [2, 0, -1]
    assert levels_in_rows(("a:2.0", "b:0.0", "b:0.5"), ["site", "dose"], table)[0].tolist() == [0, 1, -1]
