"""What is told of cells of the data: empty combinations, levels without positive counts, terms that say one thing twice."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.predictor import code_predictor
from glmm_zoo.plans.reading import read_outcome
from glmm_zoo.tables.frames import take_columns

RNG = np.random.default_rng(3)
N = 120
FRAME = pd.DataFrame(
    {
        "site": np.repeat([f"s{i:02d}" for i in range(12)], 10),
        "arm": np.tile(["a", "b"], 60),
        "dose": np.tile(["high", "low", "none"], 40),
        "x": RNG.normal(size=N),
        "days": RNG.integers(20, 400, N),
        "y": RNG.poisson(3, N) + 1,
        "k": RNG.integers(1, 3, N) % 2,
    }
)
COUNTS = [name for name, family in FAMILIES.items() if family.counted]


def told(frame: pd.DataFrame, formula: str, family: str = "poisson") -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_outcome(frame, formula, FAMILIES[family])
    return [str(w.message) for w in caught if w.category is ZooWarning and "no zeros" not in str(w.message)]


@pytest.mark.parametrize("family", COUNTS)
@pytest.mark.parametrize(("factor", "level"), [("arm", "a"), ("arm", "b"), ("dose", "high"), ("dose", "none")])
def test_levels_without_positive_counts_are_told_in_every_family(family, factor, level):
    none = FRAME.assign(y=FRAME.y.where(FRAME[factor] != level, 0))
    (sentence,) = told(none, f"y ~ {factor} + (1 | site)", family)
    rows = (FRAME[factor] == level).sum()
    assert sentence.startswith(
        f"all counts of 'y' are 0 in the {rows} rows where {factor} is {level!r}; what the model says of"
    )
    one = none.assign(y=none.y.where(none.index != none.index[none[factor] == level][0], 2))
    assert told(one, f"y ~ {factor} + (1 | site)", family) == []


def test_positive_counts_at_one_end_of_a_column_are_told():
    numbers = FRAME.assign(x=np.tile([0, 1, 2, 3], 30))
    (sentence,) = told(numbers.assign(y=numbers.y * (numbers.x == 3)), "y ~ x")
    assert sentence.startswith("all counts of 'y' are 0 but where x is 3, its highest value")
    assert told(numbers.assign(y=numbers.y * (numbers.x >= 2)), "y ~ x") == []
    assert told(numbers.assign(y=numbers.y * (numbers.x == 2)), "y ~ x") == []


ZEROS = [name for name in COUNTS if name.startswith(("hurdle", "zero_inflated"))]


def told_of_zi(y: np.ndarray, zi: str, family: str) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_outcome(FRAME.assign(y=y), "y ~ 1", FAMILIES[family], also={"zi": zi})
    return [str(w.message) for w in caught if w.category is ZooWarning]


@pytest.mark.parametrize("family", ZEROS)
@pytest.mark.parametrize("level", ["high", "low", "none"])
def test_levels_that_separate_zeros_from_positive_counts_are_told(family, level):
    some = FRAME.y.where(np.arange(N) % 4 > 0, 0)  # zeros in every level
    rows = np.flatnonzero(FRAME.dose == level)
    for value, what in ((0, "nothing but zeros"), (2, "no zeros")):
        y = some.to_numpy().copy()
        y[rows] = value
        (sentence,) = told_of_zi(y, "~ dose + (1 | site)", family)
        assert sentence.startswith(
            f"zi: {what} of 'y' among the 40 rows where dose is {level!r}; what zi says of dose there"
        )
        y[rows[0]] = 2 - value
        assert told_of_zi(y, "~ dose + (1 | site)", family) == []


@pytest.mark.parametrize("family", ZEROS)
def test_a_column_on_one_side_of_which_all_zeros_lie_is_told(family):
    x = FRAME.x.to_numpy()
    for sign in (1, -1):
        (sentence,) = told_of_zi(np.where(sign * x > 0.5, 0, 3), "~ x", family)
        assert sentence.startswith("zi: all zeros of 'y' lie on one side of x; its coefficient rests on its prior")
        mixed = np.where(sign * x > 0.5, 0, 3)
        mixed[np.argmax(sign * x)] = 3
        assert told_of_zi(mixed, "~ x", family) == []


def test_a_reference_level_of_nothing_but_failures_is_told():
    (sentence,) = told(FRAME.assign(k=FRAME.k * (FRAME.dose != "high")), "k ~ dose", "bernoulli")
    assert "nothing but failures in the 40 rows of its reference level, where dose is 'high'" in sentence
    assert told(FRAME, "k ~ dose", "bernoulli") == []


@pytest.mark.parametrize(
    ("offset", "doubtful"),
    [
        ("days", True), ("I(days / 7)", True), ("I(days / 100)", False), ("log(days)", False), ("logged", False), ("I(log(days))", False),
        ("years", True), ("from_zero", False), ("halves", False),
    ],
)  # fmt: skip
def test_an_offset_that_is_no_logarithm_is_told(offset, doubtful):
    """An exposure is above 0; whole numbers are no exposures where there are two of them, log(1) and log(e)."""
    frame = FRAME.assign(logged=np.log(FRAME.days), years=np.tile([1, 2, 3, 5], 30), halves=np.tile([1, 2], 60))
    frame["from_zero"] = frame.years - 1
    found = told(frame, f"y ~ x + offset({offset}) + (1 | site)")
    assert len(found) == doubtful
    if doubtful:
        meant = f"offset(log({offset.removeprefix('I(').removesuffix(')').replace(' ', '')}))"
        assert f"{meant} is likely meant" in found[0]
        assert told(frame, f"y ~ x + {meant} + (1 | site)") == []
        assert told(frame, f"y ~ x + offset({offset}) + (1 | site)", "gaussian") == []


def test_the_span_of_an_offset_that_no_rate_has():
    ends = np.r_[0.5, 7.4, np.full(N - 2, 0.7)]
    assert told(FRAME.assign(o=ends), "y ~ offset(o)") == []
    assert len(told(FRAME.assign(o=ends + (ends > 7) * 0.2), "y ~ offset(o)")) == 1


def test_a_factor_that_is_fixed_and_random_is_told():
    (sentence,) = told(FRAME, "y ~ site + (1 | site)", "gaussian")
    assert "every level of 'site' has an effect of its own among the population terms" in sentence
    assert told(FRAME.assign(year=np.repeat(range(12), 10)), "y ~ year + (1 | year)", "gaussian") == []
    assert len(told(FRAME.assign(year=np.repeat(range(12), 10)), "y ~ C(year) + (1 | year)", "gaussian")) == 1
    assert told(FRAME, "y ~ dose + (1 | site:dose) + (1 | site)", "gaussian") == []


def test_labels_that_begin_anew_are_told():
    school = FRAME.assign(klass=np.tile(np.repeat([1, 2], 5), 12))
    found = told(school, "y ~ 1 + (1 | site) + (1 | klass)", "gaussian")
    assert any("write (1 | site/klass), which has 24 groups" in s for s in found)
    for formula in ("y ~ 1 + (1 | site/klass)", "y ~ 1 + (1 | site) + (1 | dose)"):
        assert not any("groups" in s for s in told(school, formula, "gaussian"))
    crossed = "y ~ 1 + (1 | site) + (1 | klass)"
    twice = school.groupby(["site", "klass"]).head(2)  # the fewest rows that each combination may have
    assert any("24 groups" in s for s in told(twice, crossed, "gaussian"))
    assert not any("groups" in s for s in told(twice[1:], crossed, "gaussian"))
    one_class = school[(school.site != "s05") | (school.klass == 1)]  # a site that has a class 1 only
    assert not any("groups" in s for s in told(one_class, crossed, "gaussian"))


@pytest.mark.parametrize(("arm", "dose"), [("a", "high"), ("a", "none"), ("b", "high"), ("b", "none")])
def test_empty_cells_are_named_and_the_advice_works(arm, dose):
    frame = FRAME[(FRAME.arm != arm) | (FRAME.dose != dose)]
    table = take_columns(frame, ["arm", "dose", "y"])
    for formula in ("y ~ arm * dose", "y ~ arm + dose + dose:arm"):
        with pytest.raises(InputError, match=rf"no rows with .*{arm}.*") as caught:
            code_predictor(parse_formula(formula), table)
        text = str(caught.value)
        assert f"arm {arm!r}" in text and f"dose {dose!r}" in text
    assert "write dose + arm without it" in text
    code_predictor(parse_formula("y ~ dose + arm"), table)
    one = pd.concat([frame, FRAME[(FRAME.arm == arm) & (FRAME.dose == dose)][:1]])
    code_predictor(parse_formula("y ~ arm * dose"), take_columns(one, ["arm", "dose", "y"]))


def test_a_cell_of_one_row_is_not_called_empty():
    """The design is deficient for another reason, with one row in a cell and none in another."""
    rare = FRAME[(FRAME.arm == "b") | (FRAME.dose == "low") | (FRAME.index == 0)]  # arm a: high once, none never
    with pytest.raises(InputError, match="no rows with") as caught:
        code_predictor(parse_formula("y ~ arm * dose"), take_columns(rare, ["arm", "dose", "y"]))
    assert "dose 'none'" in str(caught.value) and "dose 'high'" not in str(caught.value)


def test_other_layouts_of_proportions_are_told_the_way_to_ours():
    n = np.arange(10, 10 + N)
    frame = FRAME.assign(
        n=n, k=n // 3, fail=n - n // 3, prop=np.round(n // 3 / n, 4), pct=np.round(100 * (n // 3) / n, 1)
    )

    def refused(formula: str) -> str:
        with pytest.raises(InputError) as caught:
            read_outcome(frame, formula, FAMILIES["binomial"])
        return str(caught.value)

    ways = {
        "cbind(k, fail) ~ x": "k | trials(k + fail)",
        "cbind(k, n - k) ~ x": "k | trials(n)",
        "k / n ~ x": "k | trials(n)",
    }
    for formula, ours in ways.items():
        assert f"write {ours}" in refused(formula)
        found = read_outcome(frame, f"{ours} ~ x", FAMILIES["binomial"]).outcome
        assert (found.values == frame.k).all() and found.trials is not None and (found.trials == n).all()
    assert "round(prop * n), and write successes | trials(n)" in refused("prop | weights(n) ~ x")
    assert "looks like a proportion of n: make a column of successes, round(prop * n)" in refused(
        "prop | trials(n) ~ x"
    )
    assert "looks like a percentage of n: make a column of successes, round(pct / 100 * n)" in refused(
        "pct | trials(n) ~ x"
    )
    assert "round(prop * n), and write successes | trials(n)" in refused("prop ~ x")
    assert (np.round(frame.prop * n) == frame.k).all() and (np.round(frame.pct / 100 * n) == frame.k).all()


def test_a_category_that_the_sample_lacks_is_kept_where_levels_name_it():
    frame = FRAME.assign(r=np.tile([0, 1, 3, 4], 30))
    with pytest.warns(
        ZooWarning, match="'r': category '2' never occurs; what is said of its probability rests on the prior"
    ):
        model = zoo.ordinal(frame, "r ~ x", levels="0,1,2,3,4")
    assert model.coords["cutpoint"] == ("0|1", "1|2", "2|3", "3|4")
    start = model.initial_point()
    assert all(np.isfinite(v).all() for v in start.values())
    assert np.isfinite(model.compile_logp()(start))
