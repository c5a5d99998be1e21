"""The report as one self-contained web page, made from page.html.jinja and page.css beside this file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr
from markupsafe import Markup, escape

from glmm_zoo.errors import InputError
from glmm_zoo.report import blocks
from glmm_zoo.report.answer_text import answer_text
from glmm_zoo.report.catalogue import Catalogue
from glmm_zoo.report.checklist import checklist
from glmm_zoo.report.methods import methods
from glmm_zoo.report.model_text import model_text
from glmm_zoo.report.prior_text import prior_table
from glmm_zoo.report.reproduce import reproduce
from glmm_zoo.results.figures.picture import NARROW, WIDE, Picture
from glmm_zoo.results.figures.svg import DARK, LIGHT, Stylesheet, css_variables
from glmm_zoo.results.replacement import replace_file
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.verdicts import verdicts
from glmm_zoo.results.whole_fit import of_a_whole_fit

TEMPLATE, STYLE = "page.html.jinja", "page.css"
PARTS = ("Answer", "Estimates", "Verdict", "Model", "Priors", "Checks", "Methods", "Checklist", "Reproduce")
_LOOKS = {"sound": "w", "caution": "y", "unsound": "u"}


@of_a_whole_fit
def write_report(
    tree: xr.DataTree, path: str | os.PathLike[str], *, prob: float = 0.95, overwrite: bool = False
) -> Path:
    """Write one HTML file with everything in it: the answer, figures, tables, verdict, model, checks. It refers to nothing outside.

    Raises
    ------
    InputError
        A folder that is not there, an existing file without `overwrite`, a fit that was interrupted.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"report: folder {str(path.parent)!r} does not exist; make it first")
    if path.exists() and not overwrite:
        raise InputError(
            f"report: {str(path)!r} exists; use --overwrite (overwrite=True) to replace it, or another name"
        )
    replace_file(path, page(tree, prob=prob).encode())
    return path


def page(tree: xr.DataTree, *, prob: float = 0.95) -> str:
    """The page as text."""
    return _render(page_content(tree, prob))


def _render(content: Mapping[str, Any]) -> str:
    """The page: the template filled with `content`; a name that the template wants and the content lacks is an error."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_text_of(TEMPLATE)).render(content)


def _text_of(name: str) -> str:
    return files("glmm_zoo.report").joinpath(name).read_text(encoding="utf-8")
