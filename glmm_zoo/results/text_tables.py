"""A table for readers in every form: HTML, LaTeX, Word, Markdown."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from glmm_zoo.results.numbers import INFINITE, MINUS, NO_BREAK, NONE, THIN

_NUMBER = rf"(?:[<>] )?[{MINUS}-]?(?:[\d{THIN}]+(?:\.\d+)?|{INFINITE})"
_NUMBERS = re.compile(rf"{_NUMBER}(?: to {_NUMBER})?|[{NONE}-]|")
_TEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "*": "{*}",  # an option after a row's end
        MINUS: "$-$", THIN: r"\,", NO_BREAK: "~", NONE: "--", INFINITE: r"$\infty$",
    }
)  # fmt: skip
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#])")


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are text.

    Attributes
    ----------
    caption
        What the table shows, of whom.
    headings
        One for each column.
    rows
        As many cells as headings, or one: a subheading of the rows below it.
    notes
        Sentences below the table.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, which stand at the right."""
        whole = [row for row in self.rows if not is_subheading(row, self.headings)]
        return [all(is_number(row[i]) for row in whole) for i in range(len(self.headings))]


def is_number(text: str) -> bool:
    """Whether a cell is a number, an interval, or says that there is none."""
    return _NUMBERS.fullmatch(text) is not None


def is_subheading(row: Sequence[str], headings: Sequence[str]) -> bool:
    """Whether a row is one cell over all columns."""
    return len(row) == 1 < len(headings)


def html_table(table: TextTable) -> str:
    """A table in HTML, with a caption and with scopes for who listens to it."""
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in table.headings)
    body = "\n".join(_html_row(row, table) for row in table.rows)
    notes = "".join(f"<p>{html.escape(note)}</p>\n" for note in table.notes)
    return (
        f"<table><caption>{html.escape(table.caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table>\n{notes}"
    )


def _html_row(row: Sequence[str], table: TextTable) -> str:
    if is_subheading(row, table.headings):
        return f'<tr><th scope="colgroup" colspan="{len(table.headings)}">{html.escape(row[0])}</th></tr>'
    numeric = table.numeric
    cells = [
        f"<td{' style=text-align:right' if right else ''}>{html.escape(text)}</td>"
        for text, right in zip(row, numeric, strict=True)
    ]
    if not numeric[0]:
        cells[0] = f'<th scope="row">{html.escape(row[0])}</th>'
    return f"<tr>{''.join(cells)}</tr>"


def html_page(table: TextTable) -> str:
    """A page that has the table and refers to nothing."""
    return f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Table</title>\n{html_table(table)}</html>\n'


def latex_table(table: TextTable) -> str:
    """A table in LaTeX with the rules of the package booktabs."""
    numeric = table.numeric
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{table.caption.translate(_TEX)}}}",
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
        r"\toprule",
        _tex_row(table.headings, [False] * len(numeric)),
        r"\midrule",
    ]
    for i, row in enumerate(table.rows):
        if is_subheading(row, table.headings):
            lines += [r"\addlinespace"] if i else []
            lines.append(rf"\multicolumn{{{len(numeric)}}}{{l}}{{\textit{{{row[0].translate(_TEX)}}}}} \\")
        else:
            lines.append(_tex_row(row, numeric))
    lines += [r"\bottomrule", r"\end{tabular}", *(rf"\par {note.translate(_TEX)}" for note in table.notes)]
    return "\n".join([*lines, r"\end{table}", ""])


def _tex_row(row: Sequence[str], numeric: Sequence[bool]) -> str:
    """A row; the hyphen before a number is a minus."""
    cells = (re.sub("^-(?=.)", MINUS, t) if right else t for t, right in zip(row, numeric, strict=True))
    return " & ".join(cell.translate(_TEX) for cell in cells) + r" \\"


def markdown_table(table: TextTable) -> str:
    """A pipe table below its caption; a subheading is the first cell of a row of its own."""

    def line(cells: Sequence[str]) -> str:
        filled = [*cells, *[""] * (len(table.headings) - len(cells))]
        return f"| {' | '.join(' '.join(_MARKDOWN.sub(r'\\\1', cell).split(chr(10))) for cell in filled)} |"

    rule = [" ---: " if right else " --- " for right in table.numeric]
    rows = [
        f"| *{line(row)[2:].split(' |')[0]}* |{' |' * (len(table.headings) - 1)}"
        if is_subheading(row, table.headings)
        else line(row)
        for row in table.rows
    ]
    notes = [note for sentence in table.notes for note in ("", sentence)]
    return "\n".join([table.caption, "", line(table.headings), f"|{'|'.join(rule)}|", *rows, *notes, ""])


def word_table(table: TextTable) -> bytes:
    """A Word document: the caption, then the table, whose heading is repeated on each page."""
    from docx import Document
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml.ns import qn

    document = Document()
    document.core_properties.author = ""
    document.add_paragraph(f"Table 1. {table.caption}", style="Caption").paragraph_format.keep_with_next = True
    made = document.add_table(len(table.rows) + 1, len(table.headings), style="Light Shading")
    made._tblPr.find(qn("w:tblLook")).set(qn("w:noHBand"), "1")
    numeric = table.numeric
    for made_row, texts in zip(made.rows, (table.headings, *table.rows), strict=True):
        properties = made_row._tr.get_or_add_trPr()
        properties.append(properties.makeelement(qn("w:cantSplit"), {}))
        cells = made_row.cells
        if is_subheading(texts, table.headings):
            cells = (cells[0].merge(cells[-1]),)
        for cell, text, right in zip(cells, texts, numeric, strict=False):
            cell.text = text
            if right:
                cell.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT
    heading = made.rows[0]._tr.get_or_add_trPr()
    heading.append(heading.makeelement(qn("w:tblHeader"), {}))
    for note in table.notes:
        document.add_paragraph(note)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


FORMS: dict[str, Callable[[TextTable], bytes]] = {
    ".tex": lambda table: latex_table(table).encode(),
    ".docx": word_table,
    ".html": lambda table: html_page(table).encode(),
    ".md": lambda table: markdown_table(table).encode(),
}
