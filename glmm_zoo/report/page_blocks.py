"""The blocks of a page: figures and tables, numbered in their order, headings, notes and folded parts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from glmm_zoo.results.figures.picture import NARROW, WIDE, Picture
from glmm_zoo.results.figures.svg import Stylesheet
from glmm_zoo.results.numbers import NO_BREAK
from glmm_zoo.results.paper_table import PaperTable


@dataclass(frozen=True)
class FigureBlock:
    """A figure drawn for both widths."""

    number: int
    name: str
    caption: str
    alt: str
    wide: Markup
    narrow: Markup
    key: bool = False
    kind: str = "figure"


@dataclass(frozen=True)
class TableRow:
    """A row: its label and its cells, each with whether it is a number; a heading has no cells."""

    label: Markup
    cells: tuple[tuple[Markup, bool], ...]
    heading: bool


@dataclass(frozen=True)
class TableBlock:
    """A table; `words` says that its cells are words, which stand below each other on a telephone."""

    number: int
    caption: str
    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]
    words: bool
    kind: str = "table"


@dataclass(frozen=True)
class TextBlock:
    """A heading, a note, or a paragraph (`kind`)."""

    kind: str
    text: str


@dataclass(frozen=True)
class FoldedBlock:
    """Blocks under a summary that opens them."""

    text: str
    blocks: tuple[Block, ...]
    open: bool = False
    kind: str = "folded"


type Block = FigureBlock | TableBlock | TextBlock | FoldedBlock


@dataclass
class Blocks:
    """Makes blocks and counts them; the styles of all figures are collected."""

    styles: Stylesheet = field(default_factory=Stylesheet)
    figures: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)

    def figure(self, picture: Picture, *, key: bool = False) -> FigureBlock:
        """A picture with the next number."""
        self.figures.append(picture.name)
        n = len(self.figures)
        wide, narrow = (Markup(picture.inline_svg(width, self.styles)) for width in (WIDE, NARROW))
        return FigureBlock(n, picture.name, unbroken(picture.caption), picture.alt, wide, narrow, key)

    def table(self, name: str, table: PaperTable) -> TableBlock:
        """A table with the next number."""
        self.tables.append(name)
        numeric = tuple(table.numeric)
        rows = tuple(
            TableRow(marked(row.label), tuple(zip(map(marked, row.cells), numeric[1:], strict=False)), row.heading)
            for row in table.rows
        )
        notes = (table.note,) if table.note else ()
        return TableBlock(len(self.tables), unbroken(table.caption), table.headings, numeric, rows, notes, table.words)


def unbroken(text: str) -> str:
    """Text of which no line begins with a sign of per cent."""
    return text.replace(" %", f"{NO_BREAK}%")


def marked(text: str) -> Markup:
    """Text with `code` between backquotes and **what stands out** between asterisks, neither inside the other; all else escaped."""
    tags = re.sub(r"\*\*(.+?)\*\*|`(.+?)`", _tagged, str(escape(text)))
    return Markup(tags)


def _tagged(found: re.Match[str]) -> str:
    return f"<b>{found[1]}</b>" if found[1] else f"<code>{found[2]}</code>"
