"""What is compared with what: levels of a factor, values of a number, or several variables that change together."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing, shown
from glmm_zoo.estimands.fitted import FittedOutcome
from glmm_zoo.estimands.rows_asked import Value, constant, finite_number, shifted, with_values
from glmm_zoo.plans.options import OptionType, read_option
from glmm_zoo.tables.columns import Table

KINDS = ("reference", "pairwise", "sequential")


@dataclass(frozen=True)
class Change:
    """One variable at `high` against `low`, or at its own value plus `step` against that."""

    variable: str
    high: Value = ""
    low: Value = ""
    step: float | None = None

    @property
    def text(self) -> str:
        """ "2 vs 1", the first against the second; "+10"."""
        return f"{_text(self.high)} vs {_text(self.low)}" if self.step is None else f"{self.step:+g}"

    def sides(self, outcome: FittedOutcome, high: Table, low: Table) -> tuple[Table, Table]:
        """Both tables with the variable at its values."""
        if self.step is not None:
            return shifted(high, self.variable, self.step), low
        return with_values(outcome, high, {self.variable: self.high}), with_values(
            outcome, low, {self.variable: self.low}
        )


@dataclass(frozen=True)
class Contrast:
    """Variables that change together.

    Attributes
    ----------
    along, times
        Both sides are averages over these values of a further column, each alike.
    course
        What these are, in words.
    """

    changes: tuple[Change, ...]
    along: str = ""
    times: tuple[int, ...] = ()
    course: str = ""

    @property
    def settings(self) -> list[dict[str, Value]]:
        """The values of the further column, if there is one."""
        return [{self.along: time} for time in self.times] or [{}]

    @property
    def identity(self) -> dict[str, Value]:
        """What the estimates are of beside the variable."""
        return self.settings[0] if len(self.times) == 1 else {}

    @property
    def variable(self) -> str:
        return ", ".join(change.variable for change in self.changes)

    @property
    def text(self) -> str:
        return ", ".join([self.values, *([self.course] if self.course else [])])

    @property
    def values(self) -> str:
        """What is compared with what, the same for all times of a course."""
        return ", ".join(change.text for change in self.changes)

    def sides(self, outcome: FittedOutcome, table: Table) -> tuple[Table, Table]:
        """The table with the variables at what is compared, and with those that it is compared with."""
        high = low = table
        for change in self.changes:
            high, low = change.sides(outcome, high, low)
        return high, low


def along_courses(outcome: FittedOutcome, contrasts: Sequence[Contrast], fixed: Collection[str]) -> list[Contrast]:
    """The contrasts; those of a variable whose effect depends on how long it has lasted on average, at each time, and at the last one.

    `fixed` are columns that are set, or by which rows are kept apart: a course is not run through where the time is one of them.
    """
    found = []
    for contrast in contrasts:
        names = [change.variable for change in contrast.changes]
        course = next((c for name, c in outcome.coding.courses.items() if name in names), None)
        if course is None or course.column in fixed:
            found.append(contrast)
            continue
        words, times, last = course.column.replace("_", " "), course.values, course.values[-1]
        span = f"{times[0]} to {last}" if len(times) == last - times[0] + 1 > 1 else listing(times)
        labelled = [(times, f"average of {words}s {span} (TATE)"), *(((time,), f"{words} {time}") for time in times)]
        labelled.append(((last,), f"long-term ({words} {last})"))
        found += [Contrast(contrast.changes, course.column, t, label) for t, label in labelled]
    return found


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_variables(variables: Any, contrast: Any) -> dict[str, Any]:
    """What each variable is compared at: one of `KINDS`, a number, two values, or text of these.

    Parameters
    ----------
    variables
        A name, or names of variables that change together; "age=40,60" says the values too.
    contrast
        One of `KINDS`; a number added, or two values: of a number from the first to the second, of a factor the first against the
        second, or as text "b vs a"; for several variables any of these by variable.

    Raises
    ------
    InputError
        What is no name, contrasts of variables that are not compared.
    """
    by_variable: dict[str, Any] = {}
    for name in _names_of(variables):
        name, equals, values = (part.strip() for part in name.partition("="))
        by_variable[name] = tuple(v.strip() for v in values.split(",")) if equals else "reference"
    if isinstance(contrast, Mapping):
        unknown = [str(name) for name in contrast if name not in by_variable]
        if unknown:
            raise InputError(f"contrast names {unknown[0]!r}, which is not compared; variables: {listing(by_variable)}")
        by_variable |= contrast
    elif not (isinstance(contrast, str) and contrast == "reference"):
        by_variable = dict.fromkeys(by_variable, contrast)
    return by_variable


def _names_of(variables: Any) -> list[str]:
    """The names of variables, of which there is one at least."""
    names = read_option("variables", variables, OptionType(text=True, items=OptionType(text=True)))
    if not names:
        raise InputError(f"variables is the name of a column, or several, not {shown(variables)}")
    return [names] if isinstance(names, str) else names


def contrasts_of(
    outcome: FittedOutcome, by_variable: Mapping[str, Any], controls: Mapping[str, str] | None = None
) -> list[Contrast]:
    """All contrasts of the variables that an outcome has; "reference" compares with the level that `controls` has for a factor, if any.

    Raises
    ------
    InputError
        Contrasts that cannot be made.
    """
    known = {name: asked for name, asked in by_variable.items() if name in outcome.coding.known}
    changes = [_changes(outcome, name, asked, (controls or {}).get(name)) for name, asked in known.items()]
    return [Contrast(together) for together in itertools.product(*changes)]


def levels_of(outcome: FittedOutcome, name: str) -> tuple[Value, ...] | None:
    """The levels that a variable is compared at, its reference first; None of a number that takes more than two values and is no group."""
    if name in outcome.coding.levels:
        return outcome.coding.levels[name]
    column = outcome.table[name]
    if column.kind != "number":
        return column.codes_and_levels()[1]
    values = np.unique(column.values)
    is_label = name not in outcome.coding.columns and name not in outcome.coding.exposure
    return tuple(float(v) for v in values) if len(values) == 2 or is_label else None


def _changes(outcome: FittedOutcome, name: str, asked: Any, control: str | None = None) -> list[Change]:
    """The changes of one variable, whose levels may have a control."""
    levels = levels_of(outcome, name)
    is_number = outcome.table[name].kind == "number" and name not in outcome.coding.levels
    if isinstance(asked, str) and asked in KINDS:
        if levels is None and asked == "reference":
            return [Change(name, step=1.0)]
        if levels is None:
            raise InputError(
                f"contrast={asked!r} compares levels, and {name!r} is a number; give two values, contrast={{{name!r}: (from, to)}}"
            )
        if asked == "reference" and not is_number:
            levels = sorted(levels, key=lambda level: level != control)  # the control first, the others as they are
        return [Change(name, high, low) for high, low in _pairs(levels, asked)]
    if isinstance(asked, str) and (pair := re.fullmatch(r"\s*(.+?)\s+vs\.?\s+(.+?)\s*", asked)):
        return [_checked(outcome, Change(name, _typed(pair[1], is_number), _typed(pair[2], is_number)))]
    number = finite_number(asked)
    if number and is_number:
        return [Change(name, step=number)]
    asked = asked.tolist() if isinstance(asked, np.ndarray) else asked
    several = isinstance(asked, Sequence) and not isinstance(asked, str | bytes)
    if several and len(asked) == 1:
        return _changes(outcome, name, asked[0], control)
    if several and len(asked) == 2:
        first, second = (_typed(v, is_number) for v in asked)
        return [_checked(outcome, Change(name, second, first) if is_number else Change(name, first, second))]
    raise InputError(
        f"contrast of {name!r} must be one of {listing(KINDS)}, {'a number other than 0 to add, ' if is_number else ''}or two values, not {shown(asked)}"
    )


def _pairs(levels: Sequence[Value], kind: str) -> list[tuple[Value, Value]]:
    if kind == "reference":
        return [(level, levels[0]) for level in levels[1:]]
    if kind == "sequential":
        return [(b, a) for a, b in itertools.pairwise(levels)]
    return [(b, a) for a, b in itertools.combinations(levels, 2)]


def _typed(value: Any, is_number: bool) -> Value:
    value = value.item() if isinstance(value, np.generic) else value
    number = finite_number(value) if is_number else None
    return value if number is None else number


def _checked(outcome: FittedOutcome, change: Change) -> Change:
    """The change, if its variable can have both values."""
    for value in (change.high, change.low):
        constant(outcome, change.variable, value, 1)
    if change.high == change.low:
        raise InputError(f"contrast: {change.variable!r} is compared with itself ({_text(change.high)})")
    return change
