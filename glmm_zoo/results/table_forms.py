"""A table for readers in every form: HTML, LaTeX, Word, Markdown."""

from __future__ import annotations

import html
import io
import os
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from glmm_zoo.errors import InputError, listing
from glmm_zoo.results.numbers import INFINITE, MINUS, NO_BREAK, NONE, THIN
from glmm_zoo.results.paper_table import PaperRow, PaperTable

_TEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "*": "{*}",  # an option after a row's end
        MINUS: "$-$", THIN: r"\,", NO_BREAK: "~", NONE: "--", INFINITE: r"$\infty$",
    }
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- HTML


def html_table(table: PaperTable) -> str:
    """A table in HTML, with a caption, and with scopes for who listens to it; of a class that pages of notebooks style, dark ones too."""
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in table.headings)
    body = "\n".join(_html_row(row, table.numeric) for row in table.rows)
    note = f"<p>{html.escape(table.note)}</p>\n" if table.note else ""
    return (
        f'<table class="dataframe"><caption>{html.escape(table.caption)}</caption>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table>\n{note}"
    )


def _html_row(row: PaperRow, numeric: Sequence[bool]) -> str:
    if row.heading:
        return f'<tr><th scope="rowgroup" colspan="{len(numeric)}">{html.escape(row.label)}</th></tr>'
    cells = [
        f"<td{' style="text-align:right"' if right else ''}>{html.escape(text)}</td>"
        for text, right in zip(row.cells, numeric[1:], strict=True)
    ]
    return f'<tr><th scope="row">{html.escape(row.label)}</th>{"".join(cells)}</tr>'


def html_page(table: PaperTable) -> str:
    """A page that has the table and refers to nothing."""
    return f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Table</title>\n{html_table(table)}</html>\n'


# --------------------------------------------------------------------------------------------------------------- LaTeX


def latex_table(table: PaperTable) -> str:
    """A table in LaTeX with the rules of the package booktabs."""
    numeric = table.numeric
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{table.caption.translate(_TEX)}}}",
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
        r"\toprule",
        _tex_row(table.headings),
        r"\midrule",
    ]
    for i, row in enumerate(table.rows):
        if row.heading:
            lines += [r"\addlinespace"] if i else []
            lines.append(rf"\multicolumn{{{len(numeric)}}}{{l}}{{\textit{{{row.label.translate(_TEX)}}}}} \\")
        else:
            lines.append(_tex_row(row.texts))
    lines += [r"\bottomrule", r"\end{tabular}", *([rf"\par {table.note.translate(_TEX)}"] if table.note else [])]
    return "\n".join([*lines, r"\end{table}", ""])


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(cell.translate(_TEX) for cell in cells) + r" \\"


# ------------------------------------------------------------------------------------------------------------ Markdown


def markdown_table(table: PaperTable) -> str:
    """A pipe table below its caption; a heading of rows is a row whose other cells are empty."""
    rules = [" ---: " if right else " --- " for right in table.numeric]
    lines = [table.caption, "", _pipes(table.headings), f"|{'|'.join(rules)}|"]
    for row in table.rows:
        lines.append(_pipes([row.label, *row.cells, *([""] * (len(rules) - len(row.texts)))]))
    return "\n".join([*lines, *(["", table.note] if table.note else []), ""])


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(re.sub(r'([\\`*_{}<>|#\[\]])', r'\\\1', ' '.join(cell.splitlines())) for cell in cells)} |"


# ---------------------------------------------------------------------------------------------------------------- Word


def word_table(table: PaperTable) -> bytes:
    """A Word document: the caption, then the table, whose head is repeated on each page, and the note."""
    from docx import Document
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml.ns import qn

    document = Document()
    document.core_properties.author = ""
    document.add_paragraph(f"Table 1. {table.caption}", style="Caption").paragraph_format.keep_with_next = True
    made = document.add_table(len(table.rows) + 1, len(table.headings), style="Light Shading")
    made._tblPr.find(qn("w:tblLook")).set(qn("w:noHBand"), "1")
    numeric = table.numeric
    for place, (made_row, row) in enumerate(
        zip(made.rows, (PaperRow(table.headings[0], table.headings[1:]), *table.rows), strict=True)
    ):
        properties = made_row._tr.get_or_add_trPr()
        for name in ("w:cantSplit", *(["w:tblHeader"] if place == 0 else [])):
            properties.append(properties.makeelement(qn(name), {}))
        cells = made_row.cells
        if row.heading:
            cells = (cells[0].merge(cells[-1]),)
        for cell, text, right in zip(cells, row.texts, numeric, strict=False):
            cell.text = text
            if right:
                cell.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT
    if table.note:
        document.add_paragraph(table.note)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------------------- plain text


def text_lines(table: PaperTable) -> list[str]:
    """The headings, then the rows, below each other; headings of rows stand alone, and their rows are moved in."""
    under = any(row.heading for row in table.rows)
    rows = [
        table.headings,
        *(((f"  {row.label}" if under else row.label), *row.cells) for row in table.rows if not row.heading),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = table.numeric

    def line(cells: Sequence[str]) -> str:
        placed = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(cells, widths, numeric, strict=True))
        return "  ".join(placed).rstrip()

    filled = iter(rows[1:])
    return [line(table.headings), *(row.label if row.heading else line(next(filled)) for row in table.rows)]


def text_table(table: PaperTable) -> str:
    """Caption, lines and note, as Python shows a table."""
    return "\n".join([table.caption, "", *text_lines(table), *(["", table.note] if table.note else [])])


def check_ending(path: str | os.PathLike[str], endings: Collection[str]) -> None:
    """Refuse a file whose ending says no form.

    Raises
    ------
    InputError
        Such an ending.
    """
    if Path(path).suffix.lower() not in endings:
        raise InputError(
            f"out: {str(path)!r} should end in one of {listing(endings)}, which says the form of the table"
        )


FORMS: dict[str, Callable[[PaperTable], bytes]] = {
    ".tex": lambda table: latex_table(table).encode(),
    ".docx": word_table,
    ".html": lambda table: html_page(table).encode(),
    ".md": lambda table: markdown_table(table).encode(),
}
