"""The page of a report: its blocks and their order, what may not be in it, and what it says."""

from __future__ import annotations

import copy
import re
from importlib.resources import files
from pathlib import Path

import jinja2.meta
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.report import page
from glmm_zoo.results.about import KEY
from glmm_zoo.results.storage import metadata, write_metadata
from glmm_zoo.results.verdicts import worst_of
from tests.report.conftest import fit_of, short_fit_of
from tests.report.parsed import Node, parsed

SIZE = 500_000  # bytes
HOSTILE = "<script>alert('$x_1$')</script>&\"`**"


def page_of(tree: xr.DataTree, folder: Path) -> str:
    return zoo.write_report(tree, folder / "page.html").read_text(encoding="utf-8")


def test_pages_have_their_blocks_in_order(page_of_an_example: str) -> None:
    root = parsed(page_of_an_example)
    ids = [n.attributes["id"] for n in root.every() if "id" in n.attributes]
    assert len(ids) == len(set(ids))
    assert [n.attributes["id"] for n in root.all("h2")] == [
        p.lower() for p in page.PAGE_PARTS if p not in ("Answer", "Verdict")
    ]
    assert len(root.all("h1")) == 1 and root.all("html")[0].attributes["lang"] == "en"
    assert [a.attributes["href"] for a in root.all("nav")[0].all("a")] == [f"#{p.lower()}" for p in page.PAGE_PARTS]
    assert len(page_of_an_example.encode()) < SIZE
    check_tables(root)
    check_figures(root, ids)


def check_tables(root: Node) -> None:
    for table in root.all("table"):
        assert len(table.all("caption")) == 1 and table.all("caption")[0].text.startswith("Table ")
        assert all(th.attributes.get("scope") for th in table.all("th"))
        columns = len(table.all("thead")[0].all("th"))
        for row in table.all("tbody")[0].all("tr"):
            cells = [c for c in row.children if isinstance(c, Node)]
            assert sum(int(c.attributes.get("colspan", 1)) for c in cells) == columns
    for box in root.all("div", **{"class": "scroll"}):
        assert box.attributes["tabindex"] == "0" and box.attributes["role"] == "region" and box.attributes["aria-label"]


def check_figures(root: Node, ids: list[str], *, key: bool = True) -> None:
    figures = root.all("figure")
    assert figures and ("key" in figures[0].attributes.get("class", "")) == key
    for figure in figures:
        picture = figure.all("div", **{"class": "plot"})[0]
        assert picture.attributes["role"] == "img" and len(picture.attributes["aria-label"]) > 20
        assert len(figure.all("figcaption")[0].text) > 40
        assert len(figure.all("svg")) == 2
        for svg in figure.all("svg"):
            assert svg.all("path") and svg.all("text")
            for node in svg.every():
                assert "clip-path" not in node.attributes and "style" not in node.attributes
                reference = node.attributes.get("href", "#").removeprefix("#")
                assert not reference or reference in ids
    numbered = [f.all("figcaption")[0].all("b")[0].text for f in figures]
    assert numbered == [f"Figure {i + 1}." for i in range(len(figures))]


def test_nothing_is_outside_and_colours_are_the_pages(page_of_an_example: str) -> None:
    root = parsed(page_of_an_example)
    for node in root.every():
        assert not any(k in node.attributes for k in ("src", "srcset", "xlink:href"))
        assert node.attributes.get("href", "#").startswith("#")
    assert "http" not in page_of_an_example and "url(" not in page_of_an_example
    style = root.all("style")[0].text
    classes = style[style.index(".z0{") :]
    assert not re.search(r"#[0-9a-f]{3,6}\b", classes, re.IGNORECASE)
    sizes = [float(px) for px in re.findall(r"font-size:([\d.]+)px", classes)]
    assert sizes and min(sizes) >= 11


def test_the_template_wants_what_the_page_has() -> None:
    template = files(page.__package__).joinpath(page.TEMPLATE).read_text(encoding="utf-8")
    wanted = jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(template))
    assert wanted == set(page.page_content(fit_of("multicenter"), 0.95))


def test_a_fit_that_is_not_sound_has_no_answer(tmp_path: Path) -> None:
    root = parsed(page_of(short_fit_of("multicenter"), tmp_path))
    header = root.all("header")[0]
    tags = [n.attributes.get("class", n.tag) for n in header.children if isinstance(n, Node)]
    assert tags[:4] == ["kicker", "h1", "verdict bad", "answer"]
    assert header.all("p", **{"class": "answer"})[0].text.startswith("No answer yet: ")


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    tree = copy.deepcopy(fit_of("multicenter"))
    words = {
        "question": HOSTILE, "outcome": HOSTILE, "individual": HOSTILE, "names": {"period": HOSTILE, "herd": HOSTILE},
        "levels": {"period": {"1": HOSTILE}}, "of": "period",
    }  # fmt: skip
    write_metadata(tree, {**metadata(tree), KEY: words})
    html = page_of(tree, tmp_path)
    root = parsed(html)
    assert len(root.all("script")) == 1 and "alert" not in root.all("script")[0].text
    assert root.all("h1")[0].text == HOSTILE and root.all("title")[0].text == HOSTILE


def test_hostile_names_of_columns_and_levels(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    arm, site = (
        rng.choice(["<b>a</b>", '$x$ & "y"'], 80),
        rng.choice(["<i>1", "</svg>", "'3'", "{{ 4 }}", "%s", "&amp;"], 80),
    )
    data = pd.DataFrame({"y": rng.integers(0, 2, 80), "a<r>m": arm, "s&ite": site})
    model = zoo.hierarchical_logistic(data, "y ~ `a<r>m` + (1 | `s&ite`)")
    tree = zoo.fit(model, draws=120, tune=200, chains=2, thin=1, seed=1, progress=False)
    root = parsed(page_of(tree, tmp_path))
    assert not root.all("i") and len(root.all("script")) == 1
    drawn = " ".join(text.text for text in root.all("text"))
    assert "<b>a</b>" in drawn or "$x$" in drawn


def test_numbers_on_the_page_are_those_of_the_functions(tmp_path: Path) -> None:
    tree = fit_of("multicenter")
    root = parsed(page_of(tree, tmp_path))
    answer = root.all("p", **{"class": "answer"})[0].text
    means = zoo.predictions(tree, at={"period": ["1", "4"]}, by=True).table["median"]
    change = zoo.comparisons(tree, "period", contrast=("4", "1"), measures="difference").table.iloc[0]
    told = [float(n) for n in re.findall(r"\d+\.\d+", answer)]
    expected = [100 * means[0], 100 * means[1], -100 * change["median"], -100 * change["upper"], -100 * change["lower"]]
    assert told == pytest.approx(expected, abs=0.051)


def test_what_was_asked_of_a_fit_is_shown(tmp_path: Path) -> None:
    tree = fit_of("multicenter")
    asked = zoo.store_estimates(tree, "herds", zoo.predictions(tree, by=["herd"], groups="observed"))
    without, with_it = (parsed(page.render(page.page_content(t, 0.95))) for t in (tree, asked))
    assert len(with_it.all("table")) == len(without.all("table")) + 1
    assert any("herd" in table.all("caption")[0].text for table in with_it.all("table"))


def test_the_strip_and_the_methods_tell_the_same_of_sampling(tmp_path: Path) -> None:
    """R-hat of everything, effective draws of parameters: those of a herd's effect may be fewer."""
    tree = fit_of("multicenter")
    text = re.sub(r"<[^>]+>|[\s\u2009\u00a0]+", " ", page_of(tree, tmp_path))
    table = zoo.check(tree).table
    own = table[~table.index.str.startswith("u_")]
    few = min(own["ess_bulk"].min(), own["ess_tail"].min())
    assert [int(n.replace(" ", "")) for n in re.findall(r"at least ([\d ]+) effective draws", text)] == [round(few)] * 2
    effect = own.iloc[:1].rename({own.index[0]: "u_herd[1]"}) / 10
    assert worst_of(pd.concat([own, effect]), metadata(tree)["spec"])[1] == pytest.approx(few)
