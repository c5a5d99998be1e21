"""Words for what the rows of a picture are of: levels, values of numbers, comparisons."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pandas as pd

from glmm_zoo.errors import listing
from glmm_zoo.results.about import About
from glmm_zoo.results.numbers import MINUS, NO_BREAK, alone
from glmm_zoo.results.report.estimates_text import label
from glmm_zoo.tables.text_values import as_number

NOT_OF = ("measure", "groups", "estimate")  # columns that say nothing of which row or level it is
_YES_OR_NO = ("yes", "no", "true", "false")
_MOST_TOLD = 12  # numbers of a text for who cannot see the picture
_MOST_LINES = 3


def value_words(about: About, column: str, value: Any, *, short: bool = False) -> str:
    """ "terbinafine", "quarter 4", "time 12 months", "contact yes"; `short` leaves out the column."""
    text = label(value)
    words = about.level(column, text)
    if words != text:
        return words
    amount = as_number(text.replace(MINUS, "-"))
    number, unit = amount is not None, about.unit_of(column)
    if amount is not None and not float(amount).is_integer():
        text = alone(float(amount))
    words = f"{MINUS}{text[1:]}" if number and text.startswith("-") else text
    words += f"{NO_BREAK}{unit}" if number and unit else ""
    return f"{about.name(column)} {words}" if (number or text.casefold() in _YES_OR_NO) and not short else words


def multiplied(coefficient: str) -> list[str]:
    """What a coefficient's name multiplies: "arm[B: new]" and "time" of "arm[B: new]:time". A colon before a space is a column's."""
    parts, begin = [], 0
    for place, depth in enumerate(_depths(coefficient)):
        if coefficient[place] == ":" and depth == 0 and coefficient[place + 1 : place + 2] != " ":
            parts.append(coefficient[begin:place])
            begin = place + 1
    return [*parts, coefficient[begin:]]


def column_and_level(part: str) -> tuple[str, str | None]:
    """ "period" and "4" of "period[4]". What stands in brackets behind a space, "CRP [mg/l]", belongs to the column's name."""
    opened = [k for k, depth in enumerate(_depths(part)) if depth == 1 and part[k] == "["]
    if not opened or not part.endswith("]") or opened[-1] == 0 or part[opened[-1] - 1].isspace():
        return part, None
    return part[: opened[-1]], part[opened[-1] + 1 : -1]


def _depths(text: str) -> list[int]:
    """How many brackets are open at each character; an opening one is within itself."""
    steps = [(c == "[") - (before == "]") for before, c in zip(f" {text}", text, strict=False)]
    return list(accumulate(steps))


def sides(contrast: str) -> tuple[str, str] | None:
    """What is compared with what: "4 vs 1"; None of a step, of several variables, and where a level's own name has these words."""
    parts = contrast.split(" vs ")
    return (parts[0], parts[1]) if len(parts) == 2 else None


def comparison_words(about: About, variable: str, contrast: str, *, short: bool = False) -> str:
    """ "quarter 4 vs 1", "terbinafine vs itraconazole", "age +10 years"."""
    found = sides(contrast)
    if found is not None:
        high, low = found
        return f"{value_words(about, variable, high, short=short)} vs {value_words(about, variable, low, short=True)}"
    unit = about.unit_of(variable) if as_number(contrast) is not None else ""
    words = f"{contrast.replace('-', MINUS) if unit or as_number(contrast) is not None else contrast}"
    words += f"{NO_BREAK}{unit}" if unit else ""
    return words if short else f"{about.name(variable)} {words}"


def row_words(of: pd.DataFrame, about: About, *, short: bool = False) -> list[str]:
    """What each row is of, without what all have in common; a comparison stands first."""
    apart = [c for c in of if c not in NOT_OF and of[c].nunique(dropna=False) > 1]
    compared = "contrast" in of and ({"contrast", "variable"} & set(apart) or not apart)
    several = "variable" in apart
    said = ("variable", "contrast", *(("exposure_time",) if compared else ()))  # a contrast says for which time it is
    others = [c for c in apart if c not in said]
    texts = []
    for _, row in of.iterrows():
        words = []
        if compared:
            words.append(comparison_words(about, row["variable"], row["contrast"], short=short and not several))
        words += [value_words(about, str(c), row[c], short=short) for c in others if pd.notna(row[c])]
        texts.append(", ".join(words))
    return texts


def wrapped(text: str, px: float, size: float, letter: float = 0.56) -> str:
    """A label broken into lines of at most `px`, three at most, of which the last may end in an ellipsis."""
    letters = max(int(px / (size * letter)), 4)
    return (
        "\n".join(textwrap.wrap(text, letters, max_lines=_MOST_LINES, placeholder="…", break_on_hyphens=False)) or text
    )


def told(labels: Sequence[str], texts: Sequence[str]) -> str:
    """ "quarter 2 vs 1 0.38 (0.21 to 0.67), quarter 3 vs 1 ...", of many the first."""
    return listing((f"{name} {text}".strip() for name, text in zip(labels, texts, strict=True)), _MOST_TOLD)
