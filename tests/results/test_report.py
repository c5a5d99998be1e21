"""The report as a web page."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import jinja2.meta
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.results import summary
from glmm_zoo.results.report import html


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
