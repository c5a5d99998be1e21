"""The report in a terminal: what `glmm-zoo fit` and `glmm-zoo summary` print, as rich renderables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from glmm_zoo.results.findings import Finding, findings
from glmm_zoo.results.report.wording import cell, is_derived, overview, summary_cells, summary_headings
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.summary import summary
from glmm_zoo.results.whole_fit import of_a_whole_fit

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_ROWS = 25  # of a finding's table


@of_a_whole_fit
def full_report(tree: xr.DataTree, *, prob: float = 0.95) -> list[RenderableType]:
    """What `glmm-zoo fit` prints: overview, notes, tables of estimates, findings; the verdict follows it there."""
    from rich.text import Text

    lines = [Text.assemble((f"{name:<9}", "bold"), value) for name, value in overview(tree).items()]
    notes = [Text(f"note: {note}", style="yellow") for note in metadata(tree)["spec"]["notes"]]
    estimates = summary_tables(tree, summary(tree, prob=prob), prob)
    return [*lines, *notes, "", *estimates, *_findings(findings(tree, prob).values())]


@of_a_whole_fit
def summary_tables(tree: xr.DataTree, summary: pd.DataFrame, prob: float) -> list[RenderableType]:
    """A table of the model's parameters, then one of the quantities derived from them."""
    from rich.table import Table
    from rich.text import Text

    derived = is_derived(tree, summary)
    lines: list[RenderableType] = []
    for title, rows in (("estimates", summary[~derived]), ("natural scale", summary[derived])):
        if not len(rows):
            continue
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("", overflow="fold", min_width=min(60, max(len(str(name)) for name in rows.index)))
        for heading in summary_headings(prob):
            table.add_column(heading, justify="right")
        for name, row in rows.iterrows():
            table.add_row(Text(str(name)), *summary_cells(row))
        lines += [table, ""]
    return lines


def _findings(findings: Iterable[Finding]) -> list[RenderableType]:
    """Title, sentences and tables of each finding; of a table at most `MOST_ROWS` rows."""
    from rich.table import Table
    from rich.text import Text

    lines: list[RenderableType] = []
    for finding in findings:
        if finding.empty:
            continue
        lines += [Text(finding.title, style="bold"), *(Text(sentence) for sentence in finding.sentences)]
        for data in finding.tables.values():
            table = Table(box=None, pad_edge=False)
            for heading in ("", *map(str, data.columns)):
                table.add_column(heading, justify="left" if heading == "" else "right")
            for name, *values in data.head(MOST_ROWS).itertuples():
                table.add_row(Text(str(name)), *(cell(value) for value in values))
            lines.append(table)
            if len(data) > MOST_ROWS:
                lines.append(Text(f"... {len(data)} rows in all; the file and the HTML report have them"))
        lines.append("")
    return lines
