"""Tables of a fit: what is read back from each form is what the functions give."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import docx
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from docx.enum.text import WD_ALIGN_PARAGRAPH
from hand_made_trees import tree_of_prior
from rows import ratings
from scipy import special

import glmm_zoo as zoo
from glmm_zoo.report import tables, terminal
from glmm_zoo.report.answer import answering
from glmm_zoo.report.answer_text import answer_text
from glmm_zoo.report.catalogue import Catalogue
from glmm_zoo.results.about import about_of
from glmm_zoo.results.figures.effects import conditional_effects
from glmm_zoo.results.storage import metadata, write_metadata


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    """Binary outcomes of two arms at eight sites; what is said of it in words has marks of every markup language."""
    rng = np.random.default_rng(1)
    site = np.repeat([f"s{i}" for i in range(8)], 20)
    arm = np.tile(["a", "b"], 80)
    eta = -0.5 - 0.8 * (arm == "b") + rng.normal(0, 0.6, 8)[np.repeat(np.arange(8), 20)]
    data = pd.DataFrame({"y": rng.binomial(1, special.expit(eta)), "arm": arm, "site": site})
    fit = zoo.fit(zoo.logistic(data, "y ~ arm + (1 | site)"), draws=200, tune=300, chains=2, seed=2, progress=False)
    content = metadata(fit)
    content["about"] = {"outcome": "50% & <more>_{x}", "good": "lower", "levels": {"arm": {"b": "drug | A*"}}}
    write_metadata(fit, content)
    return fit


def read(text: str) -> float:
    return float(text.replace("−", "-").replace("\u202f", "").lstrip("<> "))


def rows_of(table: zoo.FitTable) -> dict[tuple[str, str], tuple[str, ...]]:
    """The cells of each row by its heading and label."""
    found, heading = {}, ""
    for row in table.text.rows:
        if row.heading:
            heading = row.label
        else:
            found[heading, row.label] = row.cells
    return found


def test_estimates_are_those_of_predictions_comparisons_and_summary(tree: xr.DataTree) -> None:
    made = zoo.table(tree, prob=0.9)
    rows = rows_of(made)
    means = zoo.predictions(tree, at={"arm": ["a", "b"]}, by=True, prob=0.9).table
    compared = zoo.comparisons(tree, "arm", prob=0.9).table.set_index("measure")
    summary = zoo.summary(tree, prob=0.9)
    expected = {
        ("Risk of 50% & <more>_{x}, %", "arm a" if ("Risk of 50% & <more>_{x}, %", "arm a") in rows else "a"): (
            100,
            means.iloc[0],
        ),
        ("Risk of 50% & <more>_{x}, %", "drug | A*"): (100, means.iloc[1]),
        ("Risk difference, percentage points", "drug | A* vs a"): (100, compared.loc["difference"]),
        ("Risk ratio", "drug | A* vs a"): (1, compared.loc["ratio"]),
        ("Odds ratio, at equal group effects", "drug | A*"): (1, summary.loc["odds_ratio[arm[b]]"]),
        ("Standard deviations between groups, logit scale", "site, intercept"): (1, summary.loc["sd_site[Intercept]"]),
        ("Intraclass correlation, latent scale", "site"): (1, summary.loc["icc[site]"]),
    }
    for key, (factor, row) in expected.items():
        estimate, ends = rows[key]
        low, high = ends.split(" to ")
        for text, value in ((estimate, row["median"]), (low, row["lower"]), (high, row["upper"])):
            digits = len(text.partition(".")[2])
            if text[0] not in "<>":
                assert read(text) == pytest.approx(factor * value, abs=0.5001 * 10.0**-digits), key
    assert "population-averaged in the population of sites" in made.text.caption
    assert made.text.headings == ("", "Estimate", "90\u00a0% interval")
    of_ratio = made.data[made.data["name"] == "odds_ratio[arm[b]]"]
    assert of_ratio["median"].item() == summary.loc["odds_ratio[arm[b]]", "median"]


class Cells(HTMLParser):
    """Rows of cells with the scope of each head cell, and the caption."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.scopes: list[str | None] = []
        self.caption, self.inside = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.inside = tag
        self.rows += [[]] if tag == "tr" else []
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "th":
            self.scopes.append(dict(attrs).get("scope"))

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in ("td", "th"):
            self.rows[-1][-1] += data
        self.caption += data if self.inside == "caption" else ""


def test_every_form_has_the_rows(tree: xr.DataTree, tmp_path: Path) -> None:
    made = zoo.table(tree)
    text = made.text
    expected = [list(text.headings), *(list(row.texts) for row in text.rows)]

    page = Cells(zoo.write_table(made, tmp_path / "t.html").read_text())
    assert page.rows == expected and page.caption == text.caption
    assert set(page.scopes) == {"col", "row", "rowgroup"}

    document = docx.Document(str(zoo.write_table(made, tmp_path / "t.docx")))
    (word,) = document.tables
    assert document.paragraphs[0].style.name == "Caption" and document.paragraphs[0].text == f"Table 1. {text.caption}"
    assert word.style.name == "Light Shading" and word.rows[0]._tr.trPr.xpath("w:tblHeader")
    for row, told in zip(word.rows[1:], text.rows, strict=True):
        cells = [cell.text for cell in row.cells]
        assert cells == (
            [told.label] * 3 if told.heading else list(told.texts)
        )  # merged cells are read once for each column
        assert len(row._tr.tc_lst) == (1 if told.heading else 3)
        if not told.heading:
            right = [cell.paragraphs[0].alignment == WD_ALIGN_PARAGRAPH.RIGHT for cell in row.cells]
            assert right == [False, True, True]

    lines = zoo.write_table(made, tmp_path / "t.md").read_text().splitlines()[2:]
    pipes = [[re.sub(r"\\(.)", r"\1", c.strip()) for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert [[c for i, c in enumerate(row) if c or i == 0] for row in (pipes[0], *pipes[2:])] == [
        [c for i, c in enumerate(row) if c or i == 0] for row in expected
    ]

    latex = zoo.write_table(made, tmp_path / "t.tex").read_text()
    body = latex[latex.index("\\midrule") : latex.index("\\bottomrule")]
    assert body.count(r"\multicolumn{3}{l}") == sum(row.heading for row in text.rows)
    assert (
        r"Risk of 50\% \& \textless{}more\textgreater{}\_\{x\}, \%" in body and "−" not in body and "\u202f" not in body
    )
    difference = next(row for row in text.rows if row.label.endswith(" vs a") and row.cells[0].startswith("−"))
    assert rf"drug \textbar{{}} A{{*}} vs a & $-${difference.cells[0][1:]} & " in body

    back = pd.read_csv(
        zoo.write_table(made, tmp_path / "t.csv"),
        keep_default_na=False,
        na_values={c: [""] for c in made.data.select_dtypes("number")},
    )
    pd.testing.assert_frame_equal(back, made.data, check_exact=True)


def test_other_tables(tree: xr.DataTree) -> None:
    means, compared = zoo.table(tree, "means").data, zoo.table(tree, "comparisons").data
    pd.testing.assert_frame_equal(means, zoo.predictions(tree, at={"arm": ["a", "b"]}, by=True).table)
    pd.testing.assert_frame_equal(compared, zoo.comparisons(tree, "arm").table)
    checked = zoo.table(tree, "diagnostics")
    told = {row.label: row.cells for row in checked.text.rows}
    table = zoo.check(tree).table
    assert set(told) == set(table.index)
    assert read(told["beta[arm[b]]"][0]) == pytest.approx(table.loc["beta[arm[b]]", "r_hat"], abs=5.1e-4)
    assert read(told["beta[arm[b]]"][1]) == round(table.loc["beta[arm[b]]", "ess_bulk"])
    priors = {row.label: row.cells[0] for row in zoo.table(tree, "priors").text.rows}
    assert priors == metadata(tree)["spec"]["priors"]
    with pytest.raises(zoo.InputError, match="there is no table 'priorss'; did you mean 'priors'\\?"):
        zoo.table(tree, "priorss")


def test_levels_are_compared_with_the_control_that_was_said() -> None:
    """Of three levels, whose reference in the formula is another; means begin with the control."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"y": rng.normal(size=60), "arm": np.tile(["a", "b", "c"], 20)})
    about = {"of": "arm", "control": "b", "outcome": "pain", "levels": {"arm": {"a": "drug", "b": "placebo"}}}
    fit = zoo.fit(
        zoo.hierarchical_linear(data, "y ~ arm"),
        draws=100,
        tune=200,
        chains=2,
        seed=1,
        progress=False,
        about=about,
    )
    made = zoo.table(fit, "comparisons")
    expected = [zoo.comparisons(fit, "arm", contrast=pair).table for pair in (("a", "b"), ("c", "b"))]
    pd.testing.assert_frame_equal(made.data, pd.concat(expected, ignore_index=True))
    asked = zoo.comparisons(fit, "arm")
    pd.testing.assert_frame_equal(asked.table, made.data)
    assert "arm a against b, c against b" in asked.sentence
    assert list(zoo.comparisons(fit, "arm", contrast="sequential").table["contrast"].unique()) == ["b vs a", "c vs b"]
    sentence, _ = answer_text(fit, answering(fit))
    differences = made.data[made.data["measure"] == "difference"].set_index("contrast")["median"]
    for other, contrast in (("drug", "a vs b"), ("c", "c vs b")):
        amounts = re.search(rf"For {other} it was \*\*([−\d.]+)\*\*: \*\*([\d.]+)\*\* (higher|lower)", sentence)
        assert amounts and float(amounts[2]) == pytest.approx(abs(differences[contrast]), abs=0.051), sentence
        assert (amounts[3] == "lower") == (differences[contrast] < 0)
    assert sentence.startswith("The mean pain was") and sentence.count("placebo") == 1
    labels = [label for _, label in rows_of(made)]
    assert labels[0] == "drug vs placebo" and labels[1].endswith("c vs placebo")
    means = zoo.table(fit, "means")
    assert list(means.data["arm"]) == ["b", "a", "c"]
    assert [label for heading, label in rows_of(means) if heading == "Mean pain"][:2] == ["placebo", "drug"]
    assert "Population" in means.text.caption and "Medians with 95" in means.text.caption


def test_a_table_without_covariates_has_what_there_is(tree: xr.DataTree, tmp_path: Path) -> None:
    data = pd.DataFrame({"y": np.random.default_rng(1).normal(size=30), "g": np.tile(list("abcdef"), 5)})
    model = zoo.lmm(data, "y ~ 1 + (1 | g)")
    plain = zoo.fit(model, draws=100, tune=200, chains=2, seed=1, progress=False)
    headings = {row.label for row in zoo.table(plain).text.rows if row.heading}
    assert {"Standard deviations between groups", "Residual standard deviation"} <= headings
    mean = zoo.predictions(plain, by=[]).table.iloc[0]
    assert zoo.table(plain, "means").data["median"].tolist() == pytest.approx([mean["median"]])
    shown = read(rows_of(zoo.table(plain))["Mean y", "averaged over all rows"][0])
    assert shown == pytest.approx(mean["median"], abs=0.06)
    with pytest.raises(zoo.InputError, match="this fit has no comparisons of a variable that answers its question"):
        zoo.table(plain, "comparisons")
    with pytest.raises(zoo.InputError, match=r"should end in one of \.csv, \.tex, \.docx, \.html, \.md, which says"):
        zoo.write_table(zoo.table(plain), tmp_path / "t.xlsx")


def test_competing_causes_have_hazard_ratios_and_incidences_a_time() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame(
        {"t": rng.exponential(2, 60), "arm": np.tile(["a", "b"], 30), "how": np.tile(["died", "moved", "0"], 20)}
    )
    model = zoo.survival(data, "Surv(t, how) ~ arm", baseline="exponential", censored="0")
    fit = zoo.fit(model, draws=200, tune=300, chains=2, seed=2, progress=False)
    headings = [row.label for row in zoo.table(fit).text.rows if row.heading]
    time = re.fullmatch(r"Cumulative incidence at time ([\d.]+), %", headings[0])
    assert (
        time is not None and f"Difference of the cumulative incidence at time {time[1]}, percentage points" in headings
    )
    rows = rows_of(zoo.table(fit))
    for cause in ("died", "moved"):
        ratio = np.median(np.exp(fit["posterior"].dataset[f"{cause}_beta"].values))
        assert read(rows[f"Hazard ratio of {cause}, with all else equal", "b"][0]) == pytest.approx(ratio, rel=0.05)


def test_the_page_has_the_probability_of_the_good_direction(tree: xr.DataTree) -> None:
    found = tables.estimate_tables(tree, answering(tree))
    assert list(found) == ["means", "comparisons", "conditional", "parameters"]
    p = zoo.comparisons(tree, "arm").table.set_index("measure").loc["difference", "p_positive"]
    row = next(row for row in found["comparisons"].rows if not row.heading)
    assert found["comparisons"].headings[-1] == "P(lower)"
    assert read(row.cells[-1]) == pytest.approx(1 - p, abs=0.0101)


def test_one_percentage_point_is_one_at_either_end(tree: xr.DataTree) -> None:
    answer = answering(tree)
    assert answer.comparisons is not None
    table = answer.comparisons.table.copy()
    of = table["measure"] == "difference"
    table.loc[of, ["median", "lower", "upper", "mcse"]] = [-0.12, -0.25, 0.0101, 0.02]
    sentence, _ = answer_text(tree, replace(answer, comparisons=replace(answer.comparisons, table=table)))
    assert "from 25 percentage points lower to 1 percentage point higher" in sentence


def test_without_groups_all_else_is_equal() -> None:
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"y": rng.poisson(3, 60), "arm": np.tile(["a", "b", "c"], 20)})
    fit = zoo.fit(zoo.poisson(data, "y ~ arm"), draws=100, tune=200, chains=2, seed=1, progress=False)
    table = zoo.table(fit)
    told = "\n".join(map(str, terminal.full_report(fit, spell=str)))
    assert (
        "Rate ratio, with all else equal" in set(table.data["heading"])
        and "then with all else equal." in table.text.caption
    )
    assert "With all else equal; at the right" in told and "group effects" not in told
    picture = conditional_effects(fit, about_of(fit))
    assert picture.title == "Ratios" and "With all else equal, for one unit more" in picture.caption


def test_a_terminal_says_first_what_is_expected_of_the_population(tree: xr.DataTree) -> None:
    lines = [str(line) for line in terminal.full_report(tree, spell=lambda text: text.upper())]
    text = "\n".join(lines)
    places = [
        text.index(part)
        for part in ("What the model expects", "Risk difference", "At equal group effects", "rich.table")
    ]
    assert places == sorted(places) and "odds_ratio[arm[b]]" in text
    assert "priors   Intercept ~ " in text and "\n         beta ~ " in text


@pytest.mark.parametrize("first", ["ordinal", "zero_inflated_poisson"])
def test_scales_of_the_first_of_several_outcomes_are_not_asked_of_others(first: str) -> None:
    data = ratings().assign(u=lambda d: d.x + 1, rating=lambda d: d.rating - 1)
    model = zoo.joint_outcomes(data, {"rating ~ x + (1 |p| g)": first, "u ~ x + (1 |p| g)": "gaussian"})
    answer = answering(tree_of_prior(model))
    assert answer.means is not None and set(answer.means.table["outcome"]) == {"rating", "u"} and not answer.further


def test_several_outcomes_have_pictures_of_their_categories_and_zeros() -> None:
    """What the pictures tell is what `predictions` gives of each outcome, at the values of the answering variable it depends on."""
    data = ratings().assign(u=lambda d: d.x + 1, rating=lambda d: d.rating - 1, n=lambda d: d.rating, w="a")
    data.loc[::2, "w"] = "b"
    families = {
        "rating ~ w + (1 |p| g)": "ordinal",
        "n ~ x + (1 |p| g)": "zero_inflated_poisson",
        "u ~ w + (1 |p| g)": "gaussian",
    }
    catalogue = Catalogue(sampled_tree := tree_of_prior(zoo.joint_outcomes(data, families), 40))
    assert {"categories", "zero_part"} <= set(catalogue.entries)
    assert [e.section for n, e in catalogue.entries.items() if n in ("categories", "zero_part")] == ["estimates"] * 2
    shares = zoo.predictions(sampled_tree, at={"w": ["a", "b"]}, by=True, outcome="rating", scale="probability").table
    alt = catalogue.picture("categories").alt
    assert [float(n) for n in re.findall(r"([\d.]+)\s%", alt)] == pytest.approx(100 * shares["mean"], abs=0.5)
    zero = zoo.predictions(sampled_tree, outcome="n", by=True, scale="zero").table.iloc[0]
    told = re.match(r"Probability of no n, ([\d.]+)\s% \(([\d.]+) to", catalogue.picture("zero_part").alt)
    assert told is not None
    assert [float(n) for n in told.groups()] == pytest.approx(100 * zero[["median", "lower"]].to_numpy(float), abs=0.5)
