"""The report as a web page."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

import glmm_zoo as zoo
from glmm_zoo.results import summary


def test_report_is_one_file(tree: xr.DataTree, tmp_path: Path) -> None:
    path = zoo.write_report(tree, tmp_path / "fit.html")
    html = path.read_text()
    assert "<h1>" in html and "odds_ratio[x]" in html and "data:image/png;base64" in html
    assert "http" not in html.replace("http-equiv", "")
    assert summary.MEANINGS["icc"] in html
