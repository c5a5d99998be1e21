"""Which of two labels of a treatment is the control. Imports no PyMC."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import numpy as np

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.families.outcome import level_called, level_of, level_text
from glmm_zoo.tables.columns import Column

_CONTROL = re.compile(
    r"\b(placebo|plac|pbo|controls?|ctrl|ctl|contr|sham|usual care|standard care|standard of care|standard|soc|no treatment|"
    r"untreated|unvaccinated|unexposed|no|none|not|non|without|reference|comparator|wait(ing)?[ -]?list|vehicle|before|pre)\b"
)


def treated_rows(column: Column, control: str | float | bool | None) -> tuple[np.ndarray, tuple[str, str]]:
    """Which rows are treated (n,), and the labels of control and treated."""
    if column.kind == "date":
        column.numbers("a treatment")
    codes, levels = column.codes_and_levels()
    if len(levels) != 2:
        raise InputError(
            f"treatment {column.name!r} has {plural(len(levels), 'value')} ({listing(levels, 5)}) where two are expected, control "
            "and treated; drop or join arms, or give another treatment= column"
        )
    if control is not None:
        name = level_of(control, levels)
        if name is None:
            raise InputError(
                f"treatment {column.name!r} has no value {level_text(control)!r} to be the control; it has {listing(levels)}"
            )
    else:
        name = levels[0] if in_known_order(column, levels) else control_by_name(levels)
        if name is None:
            ways = " or ".join(f"--option control={shlex.quote(level)}" for level in levels)
            raise InputError(
                f"treatment {column.name!r} has the labels {listing(map(repr, levels))}, of which neither is plainly the control; "
                f"say which: control={levels[0]!r} or control={levels[1]!r}, on the command line {ways}"
            )
    control_code = levels.index(name)
    return codes != control_code, (name, levels[1 - control_code])


def control_by_name(levels: Sequence[str]) -> str | None:
    """The one of several labels that is called as controls are, such as "placebo" or "usual care"; None if none or several are."""
    return level_called(levels, _CONTROL)


def in_known_order(column: Column, levels: Sequence[str]) -> bool:
    """Whether the order of the labels says something: numbers, logicals, and what the source declares."""
    return column.has_declared_order or all(re.fullmatch(r"[+-]?\d+(\.\d*)?", level) for level in levels)
