"""What text in cells really is: identifiers, dates, numbers in another spelling, labels spelt twice, codes of missing values."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.group_effects import grouping_factor
from glmm_zoo.formulas.predictor import check_columns, code_predictor
from glmm_zoo.tables.columns import merge_tables, stack_tables
from glmm_zoo.tables.files import ReadOptions, read_table
from glmm_zoo.tables.frames import take_columns
from glmm_zoo.tables.text_values import certain_order, in_time_order, near_duplicates


@pytest.fixture
def read(tmp_path):
    def read(cells, **options):
        path = tmp_path / "t.csv"
        path.write_text("g,y\n" + "".join(f'"{cell}",{i}\n' for i, cell in enumerate(cells)))
        return read_table(path, ReadOptions(**options))

    return read


def levels_of(raw):
    return grouping_factor(["g"], take_columns(raw, ["g", "y"])).levels


@pytest.mark.parametrize(
    "cells, levels",
    [
        (["1E5", "100000", "2E1", "20", "33", "44"], ("20", "2E1", "33", "44", "100000", "1E5")),
        (["2.50", "10", "2.5"], ("2.5", "2.50", "10")),
        (["+5", "5", "4"], ("4", "+5", "5")),
        (["007", "7"], ("007", "7")),
        (["3.0", "1.0", "20.0"], ("1", "3", "20")),  # as pandas writes whole numbers of a column that had gaps
        (["10", "9"], ("9", "10")),
    ],
)
def test_identifiers_keep_their_text(read, cells, levels):
    factor = grouping_factor(["g"], table := take_columns(read(cells), ["g", "y"]))
    assert factor.levels == levels
    expected = [str(int(float(c))) if c.endswith(".0") else c for c in cells]
    assert [levels[code] for code in factor.codes] == expected
    if table["g"].kind == "number":
        assert table["g"].numbers("a test").tolist() == [float(c) for c in cells]


def test_identifiers_keep_their_text_in_rows_taken_and_put_together(read):
    table = take_columns(read(["1E5", "100000", "2.50"]), ["g", "y"])
    assert grouping_factor(["g"], table.take(np.array([0, 2]))).levels == ("2.50", "1E5")
    first, second = table.take(np.array([0, 1])), table.take(np.array([2]))
    assert grouping_factor(["g"], merge_tables([first, second])).levels == ("2.50", "100000", "1E5")
    assert grouping_factor(["g"], stack_tables(first, second)).levels == ("2.50", "100000", "1E5")
    plain = take_columns(pd.DataFrame({"g": [100000], "y": [1]}), ["g", "y"])
    stacked = grouping_factor(["g"], stack_tables(first, plain))
    assert stacked.levels[stacked.codes[2]] == "100000"
    assert len(stacked.levels) == 2


def test_rows_in_messages_are_those_of_the_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,arm,y\nA,1,\nA,0,2.5\nB,1,oops\nB,0,1.5\nC,1,2.2\n")
    table = take_columns(read_table(path), ["id", "arm", "y"], "drop")
    with pytest.raises(InputError, match=r"1 value is not \('oops', row 3\)"):
        table["y"].numbers("the response")
    with pytest.raises(InputError, match=r"\('oops', row 3\)"):
        table.take(np.array([1]))["y"].numbers("the response")


@pytest.mark.parametrize(
    "odd, words",
    [
        (["20,1", "20,25"], r"'20,1' has a decimal comma; read the file with --decimal ','"),
        (["1,234", "12,345"], r"'1,234' has a separator of thousands; write 1234 in the file"),
        (["1,234,567.5"], r"separator of thousands; write 1234567.5"),
        (["1 234"], r"separator of thousands; write 1234"),
        (["1'234"], r"separator of thousands; write 1234"),
        (["1.234,5"], r"points between thousands and a decimal comma; write 1234.5"),
        (["<0.5", "< 1"], r"'<0.5' is a value below a limit of detection and not a missing one.*the limit 0.5 or half.*write C\(g\) for a factor"),
        ([">100"], r"'>100' is a value above a limit of detection.*the limit 100,"),
        (["7%"], r"'7%' is a number with a sign of its unit; write 7 in the file"),
        (["$3"], r"sign of its unit; write 3 "),
        (["−5"], r"typographic minus; write -5 "),
        (["20,1", "<0.5"], r"several ways; write all as plain numbers in the file, such as 20.1 for '20,1'"),
        (["."], r"name what stands for a missing value with --na '\.'"),
    ],
)  # fmt: skip
def test_numbers_in_another_spelling_are_named(read, odd, words):
    table = take_columns(read(["1.5", "2.5", "3.5", "4.5", *odd]), ["g", "y"])
    problems = []
    check_columns(parse_formula("y ~ g"), table, problems)
    (problem,) = problems
    with pytest.raises(InputError, match=words):
        table["g"].numbers("it")
    assert ("--na" in problem) == (odd == ["."])


def test_the_remedy_for_decimal_commas_works(read):
    table = take_columns(read(["20,0", "20,1", "3"], decimal=","), ["g", "y"])
    assert table["g"].numbers("it").tolist() == [20.0, 20.1, 3.0]


@pytest.mark.parametrize(
    "cells", [["2021-01-02", "2021-01-03"], ["31.1.2021", "1.2.2021"], ["2021-01-02T10:30", "2021/1/3"]]
)
def test_dates_are_no_factor_unless_asked_for(read, cells):
    table = take_columns(read(cells), ["g", "y"])
    problems = []
    check_columns(parse_formula("y ~ g"), table, problems)
    assert problems == [
        "column 'g' holds dates and the formula needs numbers; make a number of it, e.g. days since entry"
    ]
    assert len(code_predictor(parse_formula("y ~ C(g)"), table).population.labels) == 1
    assert set(grouping_factor(["g"], table).levels) == set(cells)


def test_groups_of_dates_are_in_order_of_time(read):
    assert levels_of(read(["1.2.2021", "31.1.2021", "1.12.2020"])) == ("1.12.2020", "31.1.2021", "1.2.2021")


@pytest.mark.parametrize("text", ["2021-1", "12-2021", "1.2.3", "2021", "2021-01-02b"])
def test_what_is_no_date(read, text):
    assert take_columns(read([text, "a"]), ["g"])["g"].kind == "text"
    assert take_columns(read([text]), ["g"])["g"].kind != "date"


def test_days_that_may_be_months():
    assert in_time_order(["1/2/2021", "3/1/2021"]) is None
    assert in_time_order(["2/1/2021", "13/1/2021"]) == [0, 1]
    assert in_time_order(["1/13/2021", "2/1/2021"]) == [0, 1]
    assert in_time_order(["1.1.2021", "2.2.2020"]) == [1, 0]


def test_labels_that_differ_in_blanks_or_case(read):
    with pytest.warns(ZooWarning, match=r"'F' and 'f', 'M' and 'M '\); if they are one, write each"):
        table = take_columns(read(["F", "f", "M", "M "]), ["g", "y"])
    assert "column 'g' has labels" in table.notes[-1]
    with pytest.warns(ZooWarning, match="if they are one, --strip takes blanks off"):
        take_columns(read(["F", "M", "M "]), ["g", "y"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        take_columns(read(["F", "M", "M "], strip=True), ["g", "y"])
        take_columns(read(["F", "M", "FM"]), ["g", "y"])
    assert near_duplicates(["a  b", "A b", "ab"]) == [("a  b", "A b")]


def test_codes_of_missing_values_are_named_and_can_be_values(read):
    with pytest.raises(InputError, match=r"2 missing values \(rows 2, 3: 'NA'\).*--not-na 'NA'"):
        take_columns(read(["DE", "NA", "NA"]), ["g", "y"])
    assert levels_of(read(["DE", "NA", "NA"], not_na=("NA",))) == ("DE", "NA")
    with pytest.raises(InputError, match=r"1 missing value \(row 2: '-'\)(?!.*not-na)"):
        take_columns(read(["1", "-"], na=("-",)), ["g", "y"])


@pytest.mark.parametrize(
    "labels, order",
    [
        (["Month 1", "Month 10", "Month 2"], ("Month 1", "Month 2", "Month 10")),
        (["Q1 2020", "Q1 2019", "Q4 2019"], ("Q1 2019", "Q4 2019", "Q1 2020")),
        (["2020-Q2", "2020-Q1"], ("2020-Q1", "2020-Q2")),
        (["Feb 2020", "Jan 2021", "January 2020"], ("January 2020", "Feb 2020", "Jan 2021")),
        (["2.3.2020", "25.2.2020"], ("25.2.2020", "2.3.2020")),
        (["mild", "none", "severe"], None),
        (["week 1", "month 1"], None),
        (["1 of 3", "2 of 3"], None),
        (["T1", "t1"], None),
    ],
)
def test_an_order_is_proposed_only_if_it_is_certain(labels, order):
    assert certain_order(labels) == order
