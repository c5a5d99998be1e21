"""The report in a terminal: what `glmm-zoo fit` and `glmm-zoo summary` print, as rich renderables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from glmm_zoo.errors import InputError, more_about
from glmm_zoo.report.answer import answering
from glmm_zoo.report.tables import comparison_groups, conditional_groups, mean_groups, table_of_groups, whose
from glmm_zoo.results.about import about_of
from glmm_zoo.results.findings import Finding, findings
from glmm_zoo.results.imputations import imputed_tables, most_missing
from glmm_zoo.results.once import computed_once
from glmm_zoo.results.paper_table import PaperTable
from glmm_zoo.results.report.estimates_text import estimates_as_text, interval_heading
from glmm_zoo.results.report.wording import (
    conditional_words,
    finding_rows,
    is_derived,
    overview,
    summary_headings,
    summary_rows,
)
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.summary import summary
from glmm_zoo.results.table_forms import text_lines
from glmm_zoo.results.whole_fit import of_a_whole_fit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from glmm_zoo.results.estimates import Estimates

_MOST_ROWS = 25  # of a table of findings or of estimates
_MARGIN = 9  # letters of what stands before the overview's lines


@of_a_whole_fit
def full_report(tree: xr.DataTree, *, prob: float = 0.95, spell: Callable[[str], str] = str) -> list[RenderableType]:
    """What `glmm-zoo fit` prints: overview, notes, tables of estimates, findings; the verdict follows it there.

    `spell` turns advice into the form in which its reader follows it.
    """
    from rich.text import Text

    lines = [
        Text.assemble((f"{name:<{_MARGIN}}", "bold"), value.replace("\n", "\n" + " " * _MARGIN))
        for name, value in overview(tree).items()
    ]
    notes = [Text(f"note: {spell(note)}", style="yellow") for note in metadata(tree)["spec"]["notes"]]
    notes += [Text(most_missing(tree))] if imputed_tables(tree) else []
    estimates = summary_tables(tree, summary(tree, prob=prob), prob)
    return [*lines, *notes, "", *estimates, *_findings(findings(tree, prob), spell)]


@of_a_whole_fit
def summary_tables(tree: xr.DataTree, summary: pd.DataFrame, prob: float) -> list[RenderableType]:
    """What the model expects of the population, then what it says at equal group effects and of groups, then its own parameters."""
    from rich.text import Text

    head = ("", "Estimate", interval_heading(prob))
    lines: list[RenderableType] = []
    try:
        with computed_once():
            answer = answering(tree, prob=prob)
        averaged = [*mean_groups(tree, answer), *comparison_groups(tree, answer)]
        title = f"What the model expects{whose(tree, about_of(tree), answer)}"
    except InputError as err:
        averaged, title = [], ""
        lines += [Text(f"no averages over the population: {err}", style="yellow"), ""]
    if averaged:
        lines += paper_lines(table_of_groups(title, head, averaged))
    conditional = list(conditional_groups(tree, summary))
    if conditional:
        words = conditional_words(metadata(tree)["spec"])
        title = f"{words[:1].upper()}{words[1:]}; at the right the names for `hypotheses`"
        lines += paper_lines(table_of_groups(title, (*head, ""), conditional, named=True))
    return [*lines, *_parameters(summary[~is_derived(tree, summary)], prob)]


def _parameters(rows: pd.DataFrame, prob: float) -> list[RenderableType]:
    """The model's own parameters."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="The model's own parameters", title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    table.add_column("", overflow="fold", min_width=min(60, max(len(str(name)) for name in rows.index)))
    for heading in summary_headings(prob):
        table.add_column(heading, justify="right")
    for name, cells in zip(rows.index, summary_rows(rows), strict=True):
        table.add_row(Text(str(name)), *cells)
    return [table, ""]


def paper_lines(table: PaperTable) -> list[RenderableType]:
    """A table with its caption and its note."""
    from rich.text import Text

    note = [Text(table.note)] if table.note else []
    return [Text(table.caption, style="bold"), *map(Text, text_lines(table)), *note, ""]


def estimates_table(estimates: Estimates) -> list[RenderableType]:
    """The sentence and the table, at most `_MOST_ROWS` rows of it."""
    from rich.text import Text

    n = len(estimates.table)
    rest = [Text(f"... {n} rows in all; --out table.csv writes them")] if n > _MOST_ROWS else []
    return [Text(estimates.sentence), "", _as_rich(estimates_as_text(estimates, _MOST_ROWS)), *rest]


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


def _findings(findings: Mapping[str, Finding], spell: Callable[[str], str]) -> list[RenderableType]:
    """Title, sentences and tables of each finding, and where to read more; of a table at most `_MOST_ROWS` rows."""
    from rich.table import Table
    from rich.text import Text

    lines: list[RenderableType] = []
    for finding in findings.values():
        if finding.empty:
            continue
        lines += [Text(finding.title, style="bold"), *(Text(spell(sentence)) for sentence in finding.sentences)]
        for data in finding.tables.values():
            table = Table(box=None, pad_edge=False)
            for heading in ("", *map(str, data.columns)):
                table.add_column(heading, justify="left" if heading == "" else "right")
            for row in finding_rows(data.head(_MOST_ROWS)):
                table.add_row(*map(Text, row))
            lines.append(table)
            if len(data) > _MOST_ROWS:
                lines.append(Text(f"... {len(data)} rows in all; the file and the HTML report have them"))
        lines.append("")
    return (
        [*lines, Text(more_about([name for name, finding in findings.items() if not finding.empty])), ""]
        if lines
        else []
    )
