"""The words of ratios, and how slopes differ between the levels of a factor, for the results paragraph."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from glmm_zoo.report.parts import Parts
from glmm_zoo.results.figures.effects import LOGARITHMS, coefficient_words
from glmm_zoo.results.figures.value_words import column_and_level, multiplied

_RATIOS = ("odds_ratio", "rate_ratio", "time_ratio", "hazard_ratio", "ratio_of_means")


def differences_of_slopes(
    parts: Parts, table: pd.DataFrame, variable: str | None
) -> Iterator[tuple[str, str, str, str, str]]:
    """Of each outcome the products of a number and a level, one of them of the variable, that are in no further product.

    Each is the outcome's prefix, "For one unit more of time the difference", the level "arm[drug]", the ratio that it is ("" of a
    difference), and its row of the summary.
    """
    products = {name: multiplied(name) for name in _products(table)}
    for outcome in parts.outcomes:
        lead = f"{outcome.prefix}_" if outcome.prefix else ""
        for name, factors in products.items():
            numbers = [f for f in factors if column_and_level(f)[1] is None]
            levels = [f for f in factors if f not in numbers]
            further = any({*factors} < {*others} for others in products.values())
            if (len(numbers), len(levels)) != (1, 1) or further or not _is_of(variable, factors):
                continue
            ratio = next((r for r in _RATIOS if f"{lead}{r}[{name}]" in table.index), "")
            row = f"{lead}{ratio or 'beta'}[{name}]"
            if row in table.index and (ratio or outcome.link == "identity"):
                what = ratio_words(ratio) or "difference"
                one_more = coefficient_words(parts.about, numbers[0])
                yield outcome.prefix, f"For one unit more of {one_more} the {what}", levels[0], ratio, row


def ratio_words(name: str) -> str:
    """ "odds ratio", "ratio of residual standard deviations"."""
    part = name.removesuffix("_ratio")
    return f"ratio of {LOGARITHMS[part]}s" if part in LOGARITHMS else name.replace("_", " ")


def _products(table: pd.DataFrame) -> list[str]:
    """The names of coefficients of products, of whatever outcome."""
    found = (re.fullmatch(r"(?:.*_)?beta\[(.*)\]", str(name)) for name in table.index)
    return list(dict.fromkeys(m[1] for m in found if m and len(multiplied(m[1])) > 1))


def _is_of(variable: str | None, factors: list[str]) -> bool:
    """Whether a column is in one of the factors of a product."""
    word = rf"(?<![\w.]){re.escape(str(variable))}(?![\w.])"
    return variable is not None and any(re.search(word, column_and_level(factor)[0]) for factor in factors)
