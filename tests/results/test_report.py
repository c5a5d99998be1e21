"""The report as a web page."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import jinja2.meta
import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.results import storage, summary
from glmm_zoo.results.report import html, wording


def test_report_is_one_file(tree: xr.DataTree, tmp_path: Path) -> None:
    path = zoo.write_report(tree, tmp_path / "fit.html")
    html = path.read_text()
    assert "<h1>" in html and "odds_ratio[x]" in html and "data:image/png;base64" in html
    assert "http" not in html.replace("http-equiv", "")
    assert summary.MEANINGS["icc"] in html


def test_the_template_wants_what_the_page_has(tree: xr.DataTree) -> None:
    template = files(html.__package__).joinpath(html.TEMPLATE).read_text(encoding="utf-8")
    wanted = jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(template))
    assert wanted == set(html._page_content(tree, 0.95))


def test_text_of_users_is_escaped(tree: xr.DataTree) -> None:
    content = html._page_content(tree, 0.95)
    page = html._render({**content, "notes": ["<script>alert(1)</script>"]})
    assert "&lt;script&gt;" in page and "<script>" not in page


SAMPLED = [
    ([(0.95, 0, 1, False)], " after 500, target_accept 0.95,"),
    (
        [(0.8, 0, 3, True)],
        ", each the last of 3, after 500, in 3 parts, each chain going on from its own last draw after 100 of warm-up "
        "in new coordinates, target_accept 0.8,",
    ),
    (
        [(0.8, 12, 1, False), (0.95, 1, 2, False), (0.99, 0, 2, False)],
        ", each the last of 2, after 500, in 2 parts, each chain going on from its own last draw after 100 of warm-up, "
        "target_accept 0.99 (2 runs abandoned, with 12 divergent transitions at 0.8, 1 divergent transition at 0.95),",
    ),
]


@pytest.mark.parametrize(("runs", "words"), SAMPLED)
def test_the_report_says_how_it_was_sampled(
    tree: xr.DataTree, runs: list[tuple[float, int, int, bool]], words: str
) -> None:
    copy = tree.copy(deep=True)
    content = storage.metadata(copy)
    (run,) = content["sampling"]["runs"]
    assert (run["target_accept"], run["parts"], run["divergences"]) == (0.95, content["sampling"]["thin"], 0)
    names = ("target_accept", "divergences", "parts", "coordinates_from_draws")
    last = dict(zip(names, runs[-1], strict=True))
    content["sampling"] |= {"runs": [dict(zip(names, run, strict=True)) for run in runs], "tune_between": 100}
    content["sampling"] |= {"target_accept": last["target_accept"], "thin": last["parts"]}
    storage.write_metadata(copy, content)
    said = wording.overview(copy)["sampled"]
    assert said.startswith(f"4 chains x 500 draws{words} seed 3, "), said
    del content["sampling"]["runs"], content["sampling"]["tune_between"]  # a file from before they were kept
    storage.write_metadata(copy, content)
    assert "parts" not in wording.overview(copy)["sampled"] and zoo.check(copy) is not None
