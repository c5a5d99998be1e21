"""The report as one self-contained web page, made from report.html.jinja beside this file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.results import diagnostics
from glmm_zoo.results.estimates_files import stored_estimates
from glmm_zoo.results.findings import Finding, findings
from glmm_zoo.results.report.estimates_text import estimates_as_text
from glmm_zoo.results.report.figures import estimates_picture, figures
from glmm_zoo.results.report.wording import finding_rows, is_derived, overview, summary_headings, summary_rows
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.summary import MEANINGS, summary
from glmm_zoo.results.whole_fit import of_a_whole_fit

TEMPLATE = "report.html.jinja"


@of_a_whole_fit
def write_report(
    tree: xr.DataTree, path: str | os.PathLike[str], *, prob: float = 0.95, overwrite: bool = False
) -> Path:
    """Write one HTML file with everything in it: verdict, model, tables, plots, provenance. It refers to nothing outside.

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
    path.write_text(_render(_page_content(tree, prob)), encoding="utf-8")
    return path


def _render(content: Mapping[str, Any]) -> str:
    """The page: the template filled with `content`; a name that the template wants and the content lacks is an error."""
    import jinja2

    template = files("glmm_zoo.results.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(content)


def _page_content(tree: xr.DataTree, prob: float) -> dict[str, Any]:
    """Everything that the template shows, by the names it uses."""
    content = metadata(tree)
    estimates = summary(tree, prob=prob)
    derived = is_derived(tree, estimates)
    tables = {"Estimates": estimates[~derived], "On the natural scale": estimates[derived]}
    every_finding = list(findings(tree, prob).values())
    verdict = diagnostics.check(tree)
    return {
        "overview": overview(tree),
        "verdict": str(verdict),
        "colour": "#c33" if not verdict.sound else "#c90" if verdict.remarks else "#2a7",
        "notes": content["spec"]["notes"],
        "columns": summary_headings(prob),
        "estimates": {
            title: list(zip(rows.index, summary_rows(rows), strict=True)) for title, rows in tables.items() if len(rows)
        },
        "glossary": _glossary(estimates, every_finding),
        "findings": [
            (finding.title, finding.sentences, [_table(table) for table in finding.tables.values()])
            for finding in every_finding
            if not finding.empty
        ],
        "people": [
            (name, stored.sentence, shown.headings, [row.texts for row in shown.rows], estimates_picture(stored))
            for name, stored in stored_estimates(tree).items()
            for shown in [estimates_as_text(stored)]
        ],
        "pictures": figures(tree),
        "provenance": _provenance(content),
    }


def _table(table: pd.DataFrame) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """A finding's table as headings and rows; a row is its name and its cells."""
    return list(table.columns), [(name, cells) for name, *cells in finding_rows(table)]


def _glossary(summary: pd.DataFrame, findings: Iterable[Finding]) -> dict[str, str]:
    """What each derived quantity in the summary means, by its name without prefix of an outcome and without label."""
    meanings = dict(MEANINGS)
    for finding in findings:
        meanings.update(finding.meanings)
    shown = summary.index.str.split("[").str[0].unique()
    return {name: words for name, words in meanings.items() if any(n == name or n.endswith(f"_{name}") for n in shown)}


def _provenance(content: Mapping[str, Any]) -> dict[str, str]:
    return {
        "made": content["created"],
        "SHA-256 of the data used": content["spec"]["data"]["sha256"],
        "machine": content["machine"],
        "versions": ", ".join(f"{k} {v}" for k, v in content["versions"].items()),
        "seconds": ", ".join(f"{k} {v:.1f}" for k, v in content["seconds"].items()),
    }
