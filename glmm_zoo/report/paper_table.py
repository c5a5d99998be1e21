"""A table as readers see it, on the page and in files: its cells are text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """A row: its label and its cells; without cells it is a heading of the rows below it."""

    label: str
    cells: tuple[str, ...] = ()

    @property
    def heading(self) -> bool:
        return not self.cells


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
