"""The report in a terminal: what `glmm-zoo fit` and `glmm-zoo summary` print, as rich renderables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from glmm_zoo.results.findings import Finding, findings
from glmm_zoo.results.paper_table import PaperTable
from glmm_zoo.results.report.estimates_text import estimates_as_text
from glmm_zoo.results.report.wording import finding_rows, is_derived, overview, summary_headings, summary_rows
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.summary import summary
from glmm_zoo.results.whole_fit import of_a_whole_fit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from glmm_zoo.results.estimates import Estimates

MOST_ROWS = 25  # of a table of findings or of estimates


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
        for name, cells in zip(rows.index, summary_rows(rows), strict=True):
            table.add_row(Text(str(name)), *cells)
        lines += [table, ""]
    return lines


def estimates_table(estimates: Estimates) -> list[RenderableType]:
    """The sentence and the table, at most `MOST_ROWS` rows of it."""
    from rich.text import Text

    n = len(estimates.table)
    rest = [Text(f"... {n} rows in all; --out table.csv writes them")] if n > MOST_ROWS else []
    return [Text(estimates.sentence), "", _as_rich(estimates_as_text(estimates, MOST_ROWS)), *rest]


def _as_rich(shown: PaperTable) -> RenderableType:
    """A table in a terminal; numbers are not broken, as words are."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for i, (heading, numbers) in enumerate(zip(shown.headings, shown.numeric, strict=True)):
        widest = max((len(row.texts[i]) for row in shown.rows), default=0) if numbers else None
        table.add_column(Text(heading), overflow="fold", min_width=widest, justify="right" if numbers else "left")
    for row in shown.rows:
        table.add_row(*map(Text, row.texts))
    return table


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
            for row in finding_rows(data.head(MOST_ROWS)):
                table.add_row(*map(Text, row))
            lines.append(table)
            if len(data) > MOST_ROWS:
                lines.append(Text(f"... {len(data)} rows in all; the file and the HTML report have them"))
        lines.append("")
    return lines
