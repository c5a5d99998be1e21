"""Tables of estimates as text: headings and rows, and these as HTML and as LaTeX."""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

_TEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "*": "{*}",  # an option after a row's end
    }
)  # fmt: skip


def three_digits(value: float) -> str:
    """Three significant digits, of whole thousands all; "-" where there is no number."""
    if np.isnan(value):
        return "-"
    if 999.5 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:#.3g}".rstrip(".") if value else "0"


def label(value: Any) -> str:
    """A value that says what an estimate is, as text: numbers as they are read, "-" where there is none."""
    if pd.isna(value):
        return "-"
    return f"{value:.10g}" if isinstance(value, Real) and not isinstance(value, bool) else str(value)


def text_rows(
    table: pd.DataFrame, of: Collection[str], digits: Callable[[float], str] = three_digits, most: int | None = None
) -> tuple[list[str], list[list[str]]]:
    """Headings and the first `most` rows of a table of estimates, without columns of `of` that tell no two rows apart.

    Of a single estimate all that says what it is stays, but `groups`, which the sentence has.
    """
    columns = [c for c in table if c not in of or _tells_apart(table[c])]
    if not set(columns) & set(of):
        columns = [c for c in table if c not in of or (c != "groups" and table[c].notna().any())]
    as_read = [c for c in columns if c in of or table[c].dtype.kind not in "iuf"]
    written = {**dict.fromkeys(columns, digits), **dict.fromkeys(as_read, label), "ess": _whole}
    rows = zip(*([written[c](value) for value in table[c].head(most or len(table))] for c in columns), strict=True)
    return [str(c) for c in columns], [list(row) for row in rows]


def _tells_apart(column: pd.Series) -> bool:
    return column.nunique(dropna=False) > 1


def _whole(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "-"


def is_number(text: str) -> bool:
    """Whether a cell stands at the right, as numbers do."""
    try:
        float(text)
    except ValueError:
        return text == "-"
    return True


def html_table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in HTML with its caption."""
    lines = [_html_row("th", headings), *(_html_row("td", row) for row in rows)]
    return f"<table><caption>{html.escape(caption)}</caption>\n" + "\n".join(lines) + "\n</table>"


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def latex_table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in LaTeX with the rules of the package booktabs."""
    columns = "".join("r" if all(map(is_number, cells)) else "l" for cells in zip(*rows, strict=True))
    head, *body = [" & ".join(map(_tex, row)) + r" \\" for row in (headings, *rows)]
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            rf"\caption{{{_tex(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _tex(text: str) -> str:
    """Text as LaTeX prints it; the sign of a number as a minus."""
    return f"$-${text[1:]}" if text.startswith("-") and text != "-" and is_number(text) else text.translate(_TEX)
