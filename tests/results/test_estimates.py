"""Estimates as a table: probabilities of regions and of effects, and how a table is shown."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from glmm_zoo.errors import InputError
from glmm_zoo.report.terminal import estimates_table
from glmm_zoo.results.about import About
from glmm_zoo.results.estimates import Estimates, summarised
from glmm_zoo.results.report.estimates_text import estimates_as_text

SENTENCE = "Risk difference of b against a <in> a herd; 95 % interval"


def estimates(of: dict[str, Any], values: np.ndarray | None = None, **keywords: Any) -> Estimates:
    """Estimates of the given rows, by default with draws around 0.1, 1.1, 2.1, ..."""
    table = pd.DataFrame(of)
    if values is None:
        values = np.random.default_rng(1).normal(0.1 + np.arange(len(table)), 0.2, (2, 50, len(table)))
    return summarised(table, values, SENTENCE, **keywords)


def comparison(measures: tuple[str, ...] = ("difference", "ratio"), **keywords: Any) -> Estimates:
    of = {"variable": "arm", "contrast": "b vs a", "measure": list(measures), "groups": "population"}
    return estimates(of, **keywords)


# --------------------------------------------------------------------------------------------------------- probabilities

LIMIT = 0.25


def test_a_page_has_its_own_words_for_columns_and_levels() -> None:
    about = About(names={"arm": "treatment"}, units={"age": "years"}, levels={"sex": {"f": "women"}})
    of = {"variable": ["arm", "sex"], "sex": ["f", "m"], "age": [40.0, 50.0], "measure": "difference"}
    told, plain = (estimates_as_text(estimates(of), about=a) for a in (about, None))
    assert told.headings[:3] == ("Variable", "Sex", "Age, years") and plain.headings[:3] == ("variable", "sex", "age")
    assert [row.texts[:2] for row in told.rows] == [("treatment", "women"), ("sex", "m")]
    assert [row.texts[3:] for row in told.rows] == [row.texts[3:] for row in plain.rows]


@pytest.mark.parametrize("rope", [LIMIT, -LIMIT, (-LIMIT, LIMIT), {"difference": LIMIT}])
def test_a_region_includes_its_limits_and_nothing_beyond(rope: Any) -> None:
    beyond = np.nextafter(LIMIT, 1)
    values = np.array([-beyond, -LIMIT, LIMIT, beyond]).reshape(1, 4, 1)
    assert comparison(("difference",), values=values, rope=rope).table["p_rope"].item() == 0.5


def test_a_region_is_of_the_measures_whose_value_of_no_effect_it_holds() -> None:
    values = np.tile(np.linspace(0.5, 1.5, 11)[None, :, None], (1, 1, 4))
    measures = ("difference", "ratio", "odds_ratio", "nnt")
    of_differences = comparison(measures, values=values, rope=(-0.55, 0.55)).table["p_rope"]
    of_ratios = comparison(measures, values=values, rope=(0.95, 1.25)).table["p_rope"]
    np.testing.assert_allclose(of_differences, [1 / 11, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(of_ratios, [np.nan, 3 / 11, 3 / 11, np.nan])
    by_measure = comparison(measures, values=values, rope={"difference": (0.95, 1.25), "ratio": (1.35, 9)})
    np.testing.assert_allclose(by_measure.table["p_rope"], [3 / 11, 2 / 11, np.nan, np.nan])
    assert "p_rope" not in comparison(measures, values=values).table


@pytest.mark.parametrize("rope", [0, (0.1, -0.1), (0.1, 0.1), (np.nan, 1), (-1, 0, 1), "wide", {"difference": (2, 1)}])
def test_a_region_without_extent_is_told(rope: Any) -> None:
    with pytest.raises(InputError, match=r"rope is \(low, high\) with low < high, such as \(-0.01, 0.01\), not "):
        comparison(rope=rope)


def test_the_probability_of_an_effect_is_beside_no_effect_of_the_measure() -> None:
    values = np.tile(np.array([-0.1, 0.4, 0.6, 1.2])[None, :, None], (1, 1, 4))
    table = comparison(("difference", "ratio", "odds_ratio", "better"), values=values).table
    assert table["p_positive"].tolist() == [0.75, 0.25, 0.25, 0.5]


def test_a_column_with_the_name_of_a_statistic_stays_beside_it() -> None:
    found = estimates({"mean": [1.0, 2.0], "draw": ["x", "y"], "measure": "mean", "groups": "population"})
    assert found.table["mean_"].tolist() == [1.0, 2.0] and found.draws["draw_"].values.tolist() == ["x", "y"]
    np.testing.assert_allclose(found.table["mean"], found.draws["value"].mean(("chain", "draw")))
    assert found.of == ["mean_", "draw_", "measure", "groups"]


# ------------------------------------------------------------------------------------------------------------------ text


def test_what_tells_no_two_rows_apart_is_left_to_the_sentence() -> None:
    sentence, _, headings, *rows = repr(comparison()).splitlines()
    assert sentence == SENTENCE
    assert headings.split() == ["measure", "estimate", "95", "%", "interval", "P(>", "no", "effect)"]
    assert [row.split()[0] for row in rows] == ["difference", "ratio"]
    one = repr(comparison(("difference",))).splitlines()[2:]
    assert one[0].split()[:4] == ["variable", "contrast", "measure", "estimate"] and len(one) == 2
    assert one[0].endswith("P(> 0)")
    same = repr(
        estimates(
            {"variable": "arm", "contrast": ["b vs a", "c vs a"], "measure": "difference", "groups": "population"}
        )
    )
    assert same.splitlines()[2].split()[:2] == ["contrast", "estimate"]


def test_what_differs_is_shown_as_it_is_read() -> None:
    of = {
        "age": [40.0, -0.5],
        "on": [True, False],
        "arm": ["a", None],
        "measure": "mean",
        "groups": ["population", "typical"],
    }
    found = estimates(of)
    found.table["note"] = ["", "to harm"]
    rows = [line.split() for line in repr(found).splitlines()[3:]]
    assert rows[0][:4] == ["40", "True", "a", "population"] and rows[1][:4] == ["−0.5", "False", "–", "typical"]
    assert rows[1][-2:] == ["to", "harm"]


@pytest.mark.parametrize(
    ("measures", "shares", "heading", "cells"),
    [
        (["mean", "mean"], True, "estimate, %", [("10.0", "9.0 to 11.0"), ("20.0", "19.0 to 21.0")]),
        (["mean", "mean"], False, "estimate", [("0.1000", "0.0900 to 0.1100"), ("0.2000", "0.1900 to 0.2100")]),
        (["difference"] * 2, True, "estimate, percentage points", [("10.0", "9.0 to 11.0"), ("20.0", "19.0 to 21.0")]),
        (["difference", "ratio"], True, "estimate", [("10.0", "9.0 to 11.0"), ("0.20", "0.19 to 0.21")]),
        (["rmst", "nnt"], True, "estimate", [("0.1000", "0.0900 to 0.1100"), ("0", "0 to 0")]),
    ],
)
def test_shares_are_in_per_cent_and_their_differences_in_percentage_points(measures, shares, heading, cells) -> None:
    around = np.array([0.1, 0.2]) + np.random.default_rng(1).permutation(np.linspace(-0.01, 0.01, 2001))[:, None]
    of = pd.DataFrame({"arm": ["a", "b"], "measure": measures, "groups": "population"})
    found = summarised(of, around[None], SENTENCE, prob=0.999999, shares=[shares] * 2)
    table = estimates_as_text(found)
    assert table.headings[-2:] == (heading, "99.9999\u00a0% interval")
    assert [row.cells[-2:] for row in table.rows] == cells
    if measures == ["difference", "ratio"]:
        assert [row.cells[0] for row in table.rows] == ["difference, percentage points", "ratio"]


class Cells(HTMLParser):
    """The caption, and the rows of cells, of a table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = self.caption = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.inside = tag
        self.rows += [[]] if tag == "tr" else []
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in ("td", "th"):
            self.rows[-1][-1] += data
        elif self.inside == "caption":
            self.caption += data


def test_a_notebook_shows_the_sentence_and_the_rows() -> None:
    table = Cells(estimates({"arm": ["<b>", "a & b"], "measure": "mean", "groups": "population"})._repr_html_())
    assert table.caption == SENTENCE and [row[0] for row in table.rows] == ["arm", "<b>", "a & b"]
    assert len({len(row) for row in table.rows}) == 1


def printed(found: Estimates, width: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, soft_wrap=True)
    for thing in estimates_table(found):
        console.print(thing)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 160])
def test_no_number_is_cut_in_a_terminal(width: int) -> None:
    of = {
        "contrast": ["untreated vs treated with both", "b vs a"], "period": ["[1, 2)", "[2, 3)"], "measure": ["difference", "odds_ratio"],
        "groups": "population",
    }  # fmt: skip
    values = np.random.default_rng(1).normal([-0.0171, 11.98], 0.02, (2, 50, 2))
    found = estimates(of, values, rope=0.01)
    lines = printed(found, width)
    assert lines[0] == SENTENCE and "…" not in "".join(lines)
    for row in estimates_as_text(found).rows:
        assert all(text in "\n".join(lines) for text in row.cells[-4:])
    assert (lines[2].split()[:3] == ["contrast", "period", "measure"]) is (width == 160)


def test_of_many_rows_the_first_are_shown() -> None:
    many = estimates({"row": range(1, 10001), "measure": "mean", "groups": "typical"}, np.zeros((1, 3, 10000)))
    for lines in (repr(many).splitlines(), printed(many, 80)):
        assert lines[-1].startswith("... 10000 rows in all; ") and len(lines) < 32
    assert len(Cells(many._repr_html_()).rows) == 26 and "10000 rows in all" in many._repr_html_()
