"""mo(x): where it may stand, and how the order of its levels is read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.new_rows import predictor_in_rows
from glmm_zoo.formulas.predictor import code_predictor, collapse_rows
from glmm_zoo.formulas.terms import as_text
from glmm_zoo.tables.frames import take_columns

DATA = pd.DataFrame(
    {
        "y": np.arange(12.0), "z": np.arange(12.0) % 5, "dose": np.arange(12) % 4, "month": [f"Month {9 + i % 3}" for i in range(12)],
        "grade": np.array(["low", "mid", "high"])[np.arange(12) % 3], "gap": [0, 1, 3] * 4, "half": np.arange(12) % 4 / 2,
        "yes": np.arange(12) % 2, "many": np.arange(12) * 2, "flag": np.arange(12) % 2 > 0, "g": list("abcdef") * 2,
        "unseen": pd.Categorical(["a", "b", "c"] * 4, list("abcd"), ordered=True),
    }
)  # fmt: skip


def code(right: str, data: pd.DataFrame = DATA):
    formula = parse_formula(f"y ~ {right}")
    return code_predictor(formula, take_columns(data, formula.predictor_columns))


def test_it_is_written_as_it_was_read():
    text = 'mo(dose) * z + mo(grade, levels="low,mid,high")'
    assert as_text(parse_formula(f"y ~ {text}").population) == text
    assert parse_formula("y ~ mo(`my dose`)").predictor_columns == ("my dose",)


def test_columns_and_steps_of_an_interaction():
    X = code("mo(dose) * z").population
    x, z = DATA.dose.to_numpy(float), DATA.z.to_numpy()
    assert X.labels == ("mo(dose)", "z", "mo(dose):z")
    np.testing.assert_array_equal(X.values, np.column_stack([x, z, x * z]))
    (m,) = X.monotonic
    assert (m.levels, m.places, m.step_labels) == (("0", "1", "2", "3"), (0, 2), ["0|1", "1|2", "2|3"])
    steps = np.column_stack([3 * (x >= k) - x for k in (1, 2, 3)])
    np.testing.assert_array_equal(m.steps, np.hstack([steps, steps * z[:, None]]))
    np.testing.assert_array_equal(m.steps[:, :3].sum(axis=1), 0)


def test_other_rows_have_the_levels_of_the_fit():
    design = code('mo(grade, levels="low,mid,high"):z')
    other = predictor_in_rows(design, take_columns(DATA.iloc[[5, 1]], ["grade", "z"]))
    np.testing.assert_array_equal(other.population.values[:, 0], [0.0, 1.0])
    np.testing.assert_array_equal(other.population.monotonic[0].steps, design.population.monotonic[0].steps[[5, 1]])
    with pytest.raises(InputError, match=r"level 'huge' of 'grade' \(row 1\) was not in the data of the fit"):
        predictor_in_rows(design, take_columns(DATA.iloc[[5]].assign(grade="huge"), ["grade", "z"]))


def test_rows_are_equal_only_if_their_steps_are():
    design = code("mo(dose):z", DATA.assign(dose=[2, 1, 0, 3] * 3, z=[1, 2, 0, 1] * 3))
    assert len(set(design.population.values[:2, 0])) == 1
    assert len(collapse_rows(design)[2]) == 4


def test_a_level_that_never_occurs_is_kept_where_the_formula_names_it():
    (m,) = code('mo(gap, levels="0,1,2,3")').population.monotonic
    assert m.levels == ("0", "1", "2", "3") and set(m.steps[:, 1]) == {0.0, -1.0}


@pytest.mark.parametrize(
    ("right", "words"),
    [
        ("mo(grade)", r'mo\(grade\): text levels without an order .*mo\(grade, levels="lowest,...,highest"\)'),
        ("mo(month)", r'if they are in this order, say so: mo\(month, levels="Month 9,Month 10,Month 11"\)'),
        ("mo(gap)", r"mo\(gap\): level '2' never occurs; .*say so: mo\(gap, levels=\"0,1,3\"\); if it is one, mo\(gap, levels=\"0,1,2,3\"\)"),
        ("mo(unseen)", r"mo\(unseen\): level 'd' never occurs; .*levels=\"a,b,c\".*levels=\"a,b,c,d\""),
        ("mo(half)", r"mo\(half\) needs whole numbers or named levels; 6 values not whole \(0.5, rows 2, 4"),
        ("mo(yes)", r"mo\(yes\) needs three levels or more and has 0, 1; write yes alone"),
        ("mo(many)", r"mo\(many\) would have 22 steps \(0 to 22\).*s\(many\)"),
        ("mo(flag)", r"mo\(flag\): the column holds logicals"),
        ('mo(grade, levels="low,mid")', r"level 'high' \(rows 3, 6, .*\) is none of levels=low, mid"),
        ('mo(grade, levels="low,mid,low")', "give each once, from the lowest to the highest"),
        ("mo(dose, 3)", r"mo\(\) takes a column and, where its levels have no order of their own"),
        ("mo(dose + z)", r"mo\(\) takes a column"),
        ("log(mo(dose))", r"mo\(\) stands alone or in an interaction"),
        ("z + offset(mo(dose))", r"mo\(\) stands alone or in an interaction"),
        ("(mo(dose) | g)", r"mo\(\) cannot vary over a grouping factor"),
        ("mo(dose):mo(gap, levels=\"0,1,3\")", r"'mo\(dose\):mo\(gap\)' multiplies two monotonic effects"),
        ("mo(gap, levels=\"0,1,3\") + mo(gap, levels=\"3,1,0\"):z", r"two orders of its levels in one formula"),
        ("mo(dose) + dose", r"rank deficient: 'dose' is a linear combination of 'mo\(dose\)'"),
        ("mo(dose) + C(dose)", "rank deficient"),
    ],
)  # fmt: skip
def test_what_cannot_be(right, words):
    with pytest.raises(InputError, match=words):
        code(right)


def test_it_is_no_response():
    with pytest.raises(InputError, match=r"mo\(\) stands alone or in an interaction"):
        parse_formula("mo(y) ~ z")
