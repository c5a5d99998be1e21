"""Estimates in files of each form and inside a fit: what is read is what was written."""

from __future__ import annotations

import re
from pathlib import Path

import docx
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from docx.enum.text import WD_ALIGN_PARAGRAPH

import glmm_zoo as zoo
from glmm_zoo.results import storage
from glmm_zoo.results.estimates import Estimates, summarised
from glmm_zoo.results.report.estimates_text import estimates_as_text

SENTENCE = "Risk of 50 % & more in arm_b against {a} < b, ü; 95 % interval"
OF = pd.DataFrame(
    {
        "variable": "arm",
        "contrast": ["b_1 vs a", "[0, 5) vs a", "* vs a", "50% & more vs a"],
        "n/m a": [1.5, np.nan, 2, 1e-7],
        "n_m_a": ["x", None, "", "?"],
        "dose": [1, 2, 3, 4],
        "on": [True, False, True, False],
        "level": pd.Categorical(["high", "low", None, "high"], ["low", "high"], ordered=True),
        "measure": ["difference", "ratio"] * 2,
        "groups": "population",
    }
)


@pytest.fixture
def found() -> Estimates:
    values = np.random.default_rng(1).normal(size=(2, 25, 4)) * [1, 1e-9, 1e9, 0]
    values[0, 0, 1] = np.inf
    with np.errstate(invalid="ignore"):
        made = summarised(OF, values, SENTENCE, rope=0.1, shares=[True, False, False, False])
    return Estimates(made.table.assign(note=["", "benefit from 3, or harm from 5", "", ""]), made.draws, SENTENCE)


def same(one: Estimates, other: Estimates) -> None:
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    xr.testing.assert_identical(one.draws, other.draws)
    assert one.sentence == other.sentence and one.scales == other.scales and one.prob == other.prob


def fit() -> xr.DataTree:
    """As little as is a fit."""
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"a": (("chain", "draw"), np.zeros((2, 25)))})})
    storage.write_metadata(tree, {"spec": {}})
    return tree


# ----------------------------------------------------------------------------------------------------------------- files


def test_csv_has_all_digits(found: Estimates, tmp_path: Path) -> None:
    path = zoo.write_estimates(found, tmp_path / "a.csv")
    back = pd.read_csv(path, keep_default_na=False, na_values={c: [""] for c in found.table if c != "note"})
    numbers = found.table.select_dtypes("number")
    pd.testing.assert_frame_equal(back[list(numbers)], numbers, check_exact=True)
    assert list(back) == list(found.table) and back["contrast"].tolist() == OF["contrast"].tolist()


def test_netcdf_has_draws_table_and_sentence(found: Estimates, tmp_path: Path) -> None:
    with xr.open_dataset(zoo.write_estimates(found, tmp_path / "a.NC")) as stored:
        np.testing.assert_array_equal(stored["value"], found.draws["value"])
        np.testing.assert_array_equal(stored["mean"], found.table["mean"])
        assert stored["contrast"].values.tolist() == OF["contrast"].tolist() and stored.attrs["sentence"] == SENTENCE
        assert {v.attrs["column"] for v in stored.coords.values()} == set(OF)


def test_tex_is_whole_rows_between_rules(found: Estimates, tmp_path: Path) -> None:
    text = zoo.write_estimates(found, tmp_path / "a.tex").read_text()
    assert r"\caption{Risk of 50 \% \& more in arm\_b against \{a\} \textless{} b, ü; 95 \% interval}" in text
    head, *rows = re.search(r"\\toprule\n(.*)\\\\\n\\midrule\n((?:.*\n)*)\\bottomrule", text).groups()  # type: ignore[union-attr]
    rows = rows[0].splitlines()
    columns = re.search(r"\\begin{tabular}{(\w+)}", text)[1]  # type: ignore[index]
    cells = [re.split(r" (?<!\\)& ", row.removesuffix(r" \\")) for row in (head, *rows)]
    assert {len(row) for row in cells} == {len(columns)} and len(rows) == 4
    assert [row[0] for row in cells] == ["contrast", r"b\_1 vs a", "{[}0, 5) vs a", "{*} vs a", r"50\% \& more vs a"]
    assert not re.search(r"(?<!\\)[%#_]", "".join(map("".join, cells)))
    estimate = cells[0].index("estimate")
    signs = [row[estimate].startswith("$-$") for row in cells[1:]]
    assert signs == (found.table["median"] < 0).tolist() and columns[estimate] == "r" and columns[0] == "l"
    assert cells[0][estimate + 1] == r"95~\% interval" and "to $-$" not in cells[4][estimate + 1]


def test_word_has_the_sentence_and_the_cells(found: Estimates, tmp_path: Path) -> None:
    document = docx.Document(str(zoo.write_estimates(found, tmp_path / "a.docx")))
    shown = estimates_as_text(found)
    assert document.paragraphs[0].text == f"Table 1. {SENTENCE}" and document.paragraphs[0].style.name == "Caption"
    (table,) = document.tables
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        list(shown.headings),
        *(list(row.texts) for row in shown.rows),
    ]
    assert table.style.name == "Light Shading" and table.rows[0]._tr.trPr.xpath("w:tblHeader")
    right = [cell.paragraphs[0].alignment == WD_ALIGN_PARAGRAPH.RIGHT for cell in table.rows[1].cells]
    assert right == shown.numeric and right[shown.headings.index("estimate")] and not right[0]


def test_markdown_is_a_pipe_table(found: Estimates, tmp_path: Path) -> None:
    caption, _, *lines = zoo.write_estimates(found, tmp_path / "a.md").read_text().splitlines()
    shown = estimates_as_text(found)
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert caption == SENTENCE and {len(row) for row in rows} == {len(shown.headings)}
    assert [cell.endswith(":") for cell in rows[1]] == shown.numeric
    plain = [[re.sub(r"\\(.)", r"\1", cell) for cell in row] for row in rows]
    assert plain[0] == [h.strip() for h in shown.headings]
    assert plain[2:] == [[text.strip() for text in row.texts] for row in shown.rows]


def test_html_is_one_page_that_refers_to_nothing(found: Estimates, tmp_path: Path) -> None:
    page = zoo.write_estimates(found, tmp_path / "a.html").read_text()
    assert "<caption>Risk of 50 % &amp; more in arm_b against {a} &lt; b, ü; 95 % interval</caption>" in page
    assert (
        not re.search("http|src=|href=|<script", page)
        and page.count("<tr>") == 5
        and page.count('scope="col"') > 5
        and "<!doctype html>" in page
    )


@pytest.mark.parametrize("name", ["a.xlsx", "a", ".csv", "a.csv.gz", "csv"])
def test_another_ending_is_told_with_those_there_are(found: Estimates, tmp_path: Path, name: str) -> None:
    with pytest.raises(
        zoo.InputError, match=r"should end in one of \.csv, \.tex, \.docx, \.html, \.md, \.nc, which says"
    ):
        zoo.write_estimates(found, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["csv", "tex", "docx", "html", "md", "nc"])
def test_a_file_is_replaced_whole_or_not_at_all(
    found: Estimates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"old")
    with pytest.raises(zoo.InputError, match="exists; use --overwrite"):
        zoo.write_estimates(found, path)
    with pytest.raises(zoo.InputError, match="none' does not exist; make it first"):
        zoo.write_estimates(found, tmp_path / "none" / path.name)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(storage.os, "fsync", full_disk)
        with pytest.raises(OSError, match=r"No space left on device; it needs .*; free some space and try again"):
            zoo.write_estimates(found, path, overwrite=True)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    zoo.write_estimates(found, path, overwrite=True)
    assert len(path.read_bytes()) > 300


# ----------------------------------------------------------------------------------------------------------- inside a fit


def test_a_fit_carries_its_estimates(found: Estimates, tmp_path: Path) -> None:
    few = Estimates(found.table[:1], found.draws.isel(estimate=slice(1), draw=slice(3)), "Of one.")
    empty = fit()
    one = zoo.store_estimates(empty, "risk-2_a", found)
    two = zoo.store_estimates(one, "few", few)
    assert zoo.stored_estimates(empty) == {} and list(zoo.stored_estimates(one)) == ["risk-2_a"]
    for tree in (two, zoo.load(zoo.save(two, tmp_path / "fit.nc"))):
        stored = zoo.stored_estimates(tree)
        assert list(stored) == ["risk-2_a", "few"] and repr(stored["few"]) == repr(few)
        same(stored["risk-2_a"], found)
    again = zoo.store_estimates(zoo.load(tmp_path / "fit.nc"), "risk-2_a", few)
    assert zoo.stored_estimates(again)["risk-2_a"].sentence == "Of one." and len(zoo.stored_estimates(again)) == 2


@pytest.mark.parametrize("name", ["", "a b", "a/b", ".a", "_a", "é", 65 * "a", 3, None])
def test_a_name_is_a_plain_word(found: Estimates, name: str) -> None:
    with pytest.raises(
        zoo.InputError, match="the name of stored estimates must be a plain word of letters, digits, _ and -"
    ):
        zoo.store_estimates(fit(), name, found)


def test_what_is_no_fit_carries_none(found: Estimates) -> None:
    with pytest.raises(zoo.InputError, match="this is not a fit of glmm_zoo"):
        zoo.store_estimates(xr.DataTree(), "a", found)
    damaged = zoo.store_estimates(fit(), "a", found)
    damaged["estimands/a"] = damaged["estimands/a"].to_dataset().drop_vars("value")
    with pytest.raises(zoo.InputError, match="this fit is not as glmm_zoo wrote it"):
        zoo.stored_estimates(damaged)


def test_a_fit_with_estimates_is_read_as_before_and_reported(tree: xr.DataTree, tmp_path: Path) -> None:
    of = pd.DataFrame({"variable": "arm", "contrast": ["b_1 vs a", "50% & more vs a"], "measure": "difference"})
    plain = summarised(of, np.random.default_rng(1).normal(size=(2, 25, 2)), SENTENCE)
    carrying = zoo.store_estimates(tree, "risk", plain)
    loaded = zoo.load(zoo.save(carrying, tmp_path / "fit.nc"))
    pd.testing.assert_frame_equal(zoo.summary(loaded), zoo.summary(tree))
    assert str(zoo.check(loaded)) == str(zoo.check(tree))
    without, with_them = (zoo.write_report(t, tmp_path / f"{i}.html").read_text() for i, t in enumerate((tree, loaded)))
    assert "Asked of this fit" in with_them and "Asked of this fit" not in without
    assert "Risk of 50\N{NO-BREAK SPACE}% &amp; more" in with_them and "50% &amp; more vs a" in with_them
