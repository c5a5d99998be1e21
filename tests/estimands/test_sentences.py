"""What is asked in vain is refused, and a sentence says what was estimated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, plural, plural_of
from glmm_zoo.estimands.group_choice import GroupChoice
from glmm_zoo.estimands.linear_rows import EffectDraws
from glmm_zoo.estimands.wording import for_whom
from glmm_zoo.results.about import About

pytestmark = pytest.mark.promise("sentences")


@pytest.fixture(scope="module")
def calls() -> xr.DataTree:
    data = pd.DataFrame(
        {
            "y": [3, 0, 2, 5, 1, 4] * 4,
            "fed": ["no", "yes"] * 12,
            "chicks": [2, 3, 4, 5] * 6,
            "nest": [1, 2, 3, 4, 5, 6] * 4,
        }
    )
    model = zoo.poisson(data, "y ~ fed + (1 | nest)", exposure="chicks")
    return tree_of(
        model,
        {"Intercept": 0.1, "beta": [-0.4], "sd_nest": [0.5], "u_nest": [[0.2], [0.0], [-0.3], [0.0], [0.0], [0.0]]},
    )


@pytest.mark.parametrize(
    ("ask", "column", "words"),
    [
        (zoo.comparisons, "nest", "'nest' is a grouping factor, whose levels differ only in what each has of its own"),
        (zoo.slopes, "nest", "ask for groups='observed'"),
        (zoo.comparisons, "chicks", "'chicks' is the exposure of the counts and is not compared; per= or at= say"),
    ],
)
def test_what_changes_nothing_is_not_compared(calls, ask, column, words):
    with pytest.raises(InputError) as raised:
        ask(calls, column)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"measures": []}, "measures is empty; name some of difference, ratio"),
        ({"scale": ["mean"]}, "scale must be text, not ['mean']"),
    ],
)
def test_arguments_of_another_kind_are_told(calls, asked, words):
    with pytest.raises(InputError) as raised:
        zoo.comparisons(calls, "fed", **asked)
    assert words in str(raised.value)


def test_a_level_that_the_fit_lacks_is_told_without_rows():
    data = pd.DataFrame({"y": [0.1, 0.4, 0.2, 0.9] * 3, "quarter": [1, 2, 3] * 4})
    tree = tree_of(
        zoo.hierarchical_linear(data, "y ~ C(quarter)"), {"Intercept": 0.0, "beta": [1.0, 2.0], "sigma": 1.0}
    )
    for ask in (
        lambda: zoo.predictions(tree, at={"quarter": 7}, by=True),
        lambda: zoo.comparisons(tree, "quarter", contrast="7 vs 1"),
    ):
        with pytest.raises(
            InputError, match=r"^level '7' of 'quarter' was not in the data of the fit; levels: 1, 2, 3$"
        ):
            ask()


def test_a_column_of_a_table_has_the_values_of_at(calls):
    of_series, of_list = (
        zoo.predictions(calls, at={"fed": values}, by=True).table
        for values in (pd.Series(["no", "yes"]), ["no", "yes"])
    )
    pd.testing.assert_frame_equal(of_series, of_list)


def test_groups_coded_by_numbers_are_compared_as_levels(calls):
    table = zoo.comparisons(calls, "nest", measures="ratio", groups="observed").table
    assert list(table["contrast"]) == [f"{level} vs 1" for level in range(2, 7)]
    np.testing.assert_allclose(table["mean"], np.exp([-0.2, -0.5, -0.2, -0.2, -0.2]), rtol=1e-12)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "Rate difference and rate ratio of y per unit of chicks for fed yes against no, "),
        ({"scale": "zero", "measures": "difference"}, "Difference of the probability of zero of y in one unit of chicks for"),
        ({"over": "nest"}, ", averaged over the rows of the fit within each nest, then over these alike, "),
        ({"groups": "observed", "unseen": "new"}, "in each row's own nest (unseen ones are drawn in each draw)"),
        ({"groups": "observed", "unseen": "population"}, "in each row's own nest (unseen ones are integrated over)"),
    ],
)  # fmt: skip
def test_a_sentence_says_what_was_estimated(calls, asked, words):
    assert words in zoo.comparisons(calls, "fed", **asked).sentence


def test_each_outcome_has_its_own_measures():
    data = pd.DataFrame(
        {"y": [0, 1, 1] * 8, "z": [0.1, 0.5, 0.2, 0.9] * 6, "x": ["a", "b"] * 12, "id": [1, 2, 3, 4, 5, 6] * 4}
    )
    model = zoo.joint_outcomes(data, [("y ~ x + (1 |p| id)", "binomial"), ("z ~ x + (1 |p| id)", "gaussian")])
    values = {"y_Intercept": 0.0, "y_beta": [1.0], "z_Intercept": 0.0, "z_beta": [1.0], "z_sigma": 1.0}
    tree = tree_of(model, {**values, "sd_id": [1.0, 1.0], "corr_id": [[1.0, 0.0], [0.0, 1.0]]})
    estimates = zoo.comparisons(tree, "x")
    assert (
        "number needed to treat (benefit: fewer events) of y; mean difference of z for x b against a"
        in estimates.sentence
    )


def test_variables_that_change_together_are_told_one_by_one(calls):
    assert (
        " for fed yes against no and nest 2 against 1, "
        in zoo.comparisons(calls, ["fed", "nest"], contrast={"nest": "2 vs 1"}, groups="observed").sentence
    )


@pytest.mark.parametrize(
    ("singular", "several"),
    [
        ("study", "studies"), ("day", "days"), ("child", "children"), ("Person", "People"), ("school class", "school classes"),
        ("patient_id", "patient_ids"), ("box", "boxes"), ("batch", "batches"), ("fish", "fish"), ("series", "series"),
        ("analysis", "analyses"), ("axis", "axes"), ("litters", "litters"), ("bus", "buses"), ("woman", "women"), ("human", "humans"),
        ("g", "gs"), ("calf", "calves"), ("herd2", "herd2s"), ("", "s"),
    ],
)  # fmt: skip
def test_plurals(singular: str, several: str) -> None:
    assert plural_of(singular) == several
    assert plural(2, singular) == f"2 {several}" and plural(1, singular) == f"1 {singular}"
    assert About().plural(singular) == several


def test_a_population_is_told_in_the_plural() -> None:
    effects = {
        name: EffectDraws(name, f"u_{name}", (name,), ("a",), np.ones((1, 1, 1)), lambda: np.ones((1, 1, 1)))
        for name in ("study", "child", "site:ward")
    }
    told = for_whom(GroupChoice(dict.fromkeys(effects, "population")), effects)
    assert told == (
        "in a study drawn from the population of studies, in a child drawn from the population of children, "
        "in a site:ward drawn from the population of levels of site:ward"
    )
