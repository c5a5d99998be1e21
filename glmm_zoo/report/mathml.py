"""Formulas as MathML: symbols, indices, functions and lines; every text is escaped."""

from __future__ import annotations

import html
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import chain, repeat

SIDES = ("right", "center", "left")
_LETTERS, _LEAST_LETTERS = 62, 24  # of a line that a printed page has room for, and of its right side


def sym(text: str) -> str:
    """A symbol: one letter in italics, a word upright."""
    escaped = html.escape(text)
    return f"<mi>{escaped}</mi>" if len(text) == 1 else f"<mtext>{escaped}</mtext>"


def num(value: object) -> str:
    """A number."""
    return f"<mn>{html.escape(str(value))}</mn>"


def op(text: str) -> str:
    """An operator or a bracket."""
    return f"<mo>{html.escape(text)}</mo>"


def row(*parts: str) -> str:
    """Parts that belong together."""
    return f"<mrow>{''.join(parts)}</mrow>"


def listed(parts: Sequence[str], separator: str = ",") -> str:
    """Parts with commas, or another operator, between them."""
    return op(separator).join(parts)


def sub(base: str, *indices: str) -> str:
    """A base with indices below it, which commas separate."""
    return f"<msub>{base}{row(listed(indices))}</msub>" if indices else base


def power(base: str, exponent: str) -> str:
    """A base with an exponent."""
    return f"<msup>{base}{exponent}</msup>"


def call(function: str, *arguments: str) -> str:
    """ "f(a, b)" """
    return f"{function}{op('(')}{listed(arguments)}{op(')')}"


def fraction(above: str, below: str) -> str:
    """A fraction."""
    return f"<mfrac>{row(above)}{row(below)}</mfrac>"


def barred(base: str) -> str:
    """A symbol with a bar."""
    return f"<mover>{base}{op('¯')}</mover>"


def normal(variance: str, mean: str = "<mn>0</mn>") -> str:
    """A normal distribution."""
    return call(sym("Normal"), mean, variance)


def student_law(df: str, variance: str) -> str:
    """A Student-t distribution around 0, by the square of its scale."""
    return call(sym("StudentT"), df, num(0), variance)


def squared(base: str) -> str:
    """A square."""
    return power(base, num(2))


def display(lines: Sequence[tuple[str, str, str]]) -> str:
    """Lines "left = right" below each other, aligned at their relation, as one formula; a long right side goes on below itself."""
    room = max(_LETTERS - max((_letters(left) for left, _, _ in lines), default=0), _LEAST_LETTERS)
    cells = [
        (left if first else "", op(relation) if first else "", part)
        for left, relation, right in lines
        for first, part in zip(chain([True], repeat(False)), _broken(right, room), strict=False)
    ]
    rows = "".join(
        "<mtr>"
        + "".join(f'<mtd style="text-align:{s}">{row(c)}</mtd>' for s, c in zip(SIDES, line, strict=True))
        + "</mtr>"
        for line in cells
    )
    return f'<math display="block"><mtable columnalign="right center left" columnspacing=".3em">{rows}</mtable></math>'


def _letters(mathml: str) -> int:
    return len("".join(ET.fromstring(row(mathml)).itertext()))


def _broken(right: str, room: int) -> list[str]:
    """A right side in pieces of about so many letters, each after the first beginning with its plus sign."""
    if _letters(right) <= room:
        return [right]
    pieces, last = [""], ""
    for part in ET.fromstring(row(right)):
        text = ET.tostring(part, encoding="unicode")
        if text == PLUS:
            pieces, last = _joined(pieces, last, room), ""
        last += text
    return _joined(pieces, last, room)


def _joined(pieces: list[str], term: str, room: int) -> list[str]:
    """The pieces with one more term, which begins a new piece where the last one has no room for it."""
    *before, last = pieces
    return [*before, last + term] if not last or _letters(last + term) <= room else [*pieces, term]


Line = tuple[str, str, str]
ROW_INDEX = sym("i")
PLUS, MINUS = op("+"), op("−")


def linked(link: str, mean: str) -> str:
    """g(mean)."""
    if link == "identity":
        return mean
    if link == "probit":
        return call(f"<msup>{sym('Φ')}{row(op('−'), num(1))}</msup>", mean)
    if link == "cloglog":
        return call(sym("log"), f"{MINUS}{call(sym('log'), f'{num(1)}{MINUS}{mean}')}")
    return call(sym(link), mean)
