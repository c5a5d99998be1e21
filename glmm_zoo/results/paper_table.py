"""A table as readers see it, on the page, in a terminal and in files: its cells are text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from glmm_zoo.results.numbers import INFINITE, MINUS, NONE, THIN

_NUMBER = rf"(?:[<>] )?[{MINUS}-]?(?:[\d{THIN}]+(?:\.\d+)?|{INFINITE})"
_NUMBERS = re.compile(rf"{_NUMBER}(?: to {_NUMBER})?|[{NONE}-]|")


@dataclass(frozen=True)
class PaperRow:
    """A row: its label and its cells; without cells it is a heading of the rows below it."""

    label: str
    cells: tuple[str, ...] = ()

    @property
    def heading(self) -> bool:
        return not self.cells

    @property
    def texts(self) -> tuple[str, ...]:
        """The label and the cells."""
        return (self.label, *self.cells)


@dataclass(frozen=True)
class PaperTable:
    """A table with its caption, the headings of its columns (the first is that of the labels), its rows and a note below it.

    `words` says that its cells are words, which stand at the left, and below each other on a telephone.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    note: str = ""
    words: bool = False

    @classmethod
    def of(cls, caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]], **more: object) -> PaperTable:
        """A table of rows of text, of which each begins with its label."""
        made = tuple(PaperRow(label, tuple(cells)) for label, *cells in rows)
        return cls(caption, tuple(headings), made, **more)  # pyright: ignore[reportArgumentType]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, which stand at the right."""
        rows = [row.texts for row in self.rows if not row.heading]
        return [not self.words and all(is_number(row[i]) for row in rows) for i in range(len(self.headings))]


def is_number(text: str) -> bool:
    """Whether a cell is a number, an interval, or says that there is none."""
    return _NUMBERS.fullmatch(text) is not None
