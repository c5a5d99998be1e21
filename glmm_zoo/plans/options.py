"""Types of a builder's options: read from the annotations of its signature, and the one way to read a value of each type.

A value comes as text from the command line, from TOML in a card, or from Python; what is not text already may be given as
text everywhere, so that all three mean the same. Text is never guessed to be anything where an option takes text: a column
may be called 2019, True or none.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, get_args

from glmm_zoo.errors import InputError, listing, shown
from glmm_zoo.tables.frames import Missing

LONGEST_TEXT = 10_000  # characters; formulas of a hundred terms have a tenth
LARGEST_WHOLE_NUMBER = 2**63 - 1
BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
_NOTHING = ("none", "null")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class OptionType:
    """What an option takes: any of the kinds that are true, one of `choices`, lists of `items`, dicts of `values` by text."""

    anything: bool = False
    nothing: bool = False
    text: bool = False
    boolean: bool = False
    whole_number: bool = False
    number: bool = False
    choices: tuple[str, ...] = ()
    items: OptionType | None = None
    values: OptionType | None = None

    def __or__(self, other: OptionType) -> OptionType:
        return OptionType(
            self.anything or other.anything,
            self.nothing or other.nothing,
            self.text or other.text,
            self.boolean or other.boolean,
            self.whole_number or other.whole_number,
            self.number or other.number,
            (*self.choices, *other.choices),
            self.items | other.items if self.items and other.items else self.items or other.items,
            self.values | other.values if self.values and other.values else self.values or other.values,
        )

    def __str__(self) -> str:
        """What it takes, in words."""
        words = ["text"] if self.text else [repr(choice) for choice in self.choices]
        words += ["true, false, yes or no"] if self.boolean else []
        words += ["a number"] if self.number else ["a whole number"] if self.whole_number else []
        if self.items:
            words.append(f"a list such as {['a', 'b'] if self.items.text else [1, 2]}")
        if self.values:
            words.append("a dict by name such as {'y': ...}")
        words += ["None"] if self.nothing else []
        return " or ".join(words)


_OF_NAME = {
    "Any": OptionType(anything=True),
    "str": OptionType(text=True),
    "bool": OptionType(boolean=True),
    "int": OptionType(whole_number=True),
    "float": OptionType(number=True),
    "Missing": OptionType(choices=get_args(Missing)),
}


def type_of_annotation(annotation: ast.expr | None) -> OptionType:
    """The type that an annotation declares: names of `_OF_NAME`, `Sequence[...]`, `tuple[...]`, `Mapping[str, ...]`, joined by `|`.

    An argument without an annotation takes anything.
    """
    if annotation is None:
        return OptionType(anything=True)
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return OptionType(nothing=True)
    if isinstance(annotation, ast.BinOp):
        return type_of_annotation(annotation.left) | type_of_annotation(annotation.right)
    if isinstance(annotation, ast.Name):
        return _OF_NAME[annotation.id]
    assert isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name), ast.dump(annotation)
    inside = annotation.slice
    of_last = type_of_annotation(inside.elts[-1] if isinstance(inside, ast.Tuple) else inside)
    return OptionType(values=of_last) if annotation.value.id == "Mapping" else OptionType(items=of_last)


class _WrongTypeError(Exception):
    """A value that an option of some type does not take."""


def read_option(name: str, value: Any, kind: OptionType) -> Any:
    """The value of an option, NumPy's and pandas' values as Python's.

    Raises
    ------
    InputError
        A value of another type, in one sentence that names the option, what was given and what is expected.
    """
    try:
        return _read(value, kind)
    except (_WrongTypeError, RecursionError):
        pass
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise InputError(f"{name} must be text of at most {LONGEST_TEXT:,} characters, not {len(value):,}")
    scalar = isinstance(value, int | float) and kind.text and not (kind.number or kind.items) and len(shown(value)) < 20
    hint = f"; a column of that name is written {str(value)!r}" if scalar else ""
    raise InputError(f"{name} must be {kind}, not {shown(value)}{hint}")


def increasing_times(times: Sequence[float]) -> tuple[float, ...]:
    """Times, when they are increasing numbers >= 0.

    Raises
    ------
    InputError
        No times, or others.
    """
    u = tuple(float(t) for t in times)
    if not u or not all(math.isfinite(t) for t in u) or u[0] < 0 or any(b <= a for a, b in pairwise(u)):
        raise InputError(f"times are increasing numbers >= 0, at least one, not {times!r}")
    return u


def _read(value: Any, kind: OptionType) -> Any:
    if kind.anything:
        return value
    for convert in ("tolist", "to_list"):  # of NumPy, pandas and polars
        if hasattr(value, convert):
            value = getattr(value, convert)()
            break
    if value is None and kind.nothing:
        return None
    if isinstance(value, str):
        return _read_text(value, kind)
    if isinstance(value, bool):
        if kind.boolean:
            return value
    elif isinstance(value, int | float):
        return _read_number(value, kind)
    elif isinstance(value, Mapping) and kind.values:
        if all(isinstance(key, str) for key in value):
            return {str(key): _read(v, kind.values) for key, v in value.items()}
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray) and kind.items:
        return [_read(item, kind.items) for item in value]
    raise _WrongTypeError


def _read_number(value: float, kind: OptionType) -> Any:
    if isinstance(value, float):
        whole = math.isfinite(value) and value == int(value) and abs(value) <= LARGEST_WHOLE_NUMBER
        if kind.number and math.isfinite(value):
            return value
        if kind.whole_number and whole:
            return int(value)
    elif (kind.number or kind.whole_number) and abs(value) <= LARGEST_WHOLE_NUMBER:
        return value
    if kind.items and not (kind.number or kind.whole_number):  # a list of one
        return [_read_number(value, kind.items)]
    raise _WrongTypeError


def _read_text(text: str, kind: OptionType) -> Any:
    """The value that text stands for; a list as `a,b`, `[a, b]` or `['a', 'b']`, a dict as `{'y': 'a'}`."""
    word = text.strip()
    if not text or len(text) > LONGEST_TEXT:
        raise _WrongTypeError
    for opening, given in (("[", kind.items), ("(", kind.items), ("{", kind.values)):
        if given and word.startswith(opening) and (literal := _literal(word)) is not None:
            return _read(literal, kind)
    if kind.text or text in kind.choices:
        return text
    if kind.nothing and word.casefold() in _NOTHING:
        return None
    if kind.boolean and word.casefold() in BOOLEANS:
        return BOOLEANS[word.casefold()]
    if (kind.whole_number or kind.number) and _WHOLE_NUMBER.fullmatch(word):
        return _read_number(int(word), kind)
    if kind.number and _NUMBER.fullmatch(word):
        return _read_number(float(word), kind)
    items = [item.strip().strip("'\"") for item in word.removeprefix("[").removesuffix("]").split(",")]
    listed = len(items) > 1 or word.startswith("[") or not (kind.number or kind.whole_number)
    if kind.items and listed and all(items) and not re.search(r"[{}\[\]()]", "".join(items)):
        return [_read_text(item, kind.items) for item in items]
    raise _WrongTypeError


def _literal(text: str) -> Any:
    """A list, tuple or dict written in JSON or in Python; None for what is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, list | tuple | dict) else None
    return None


def unknown_choices(options: Mapping[str, Any], known: Mapping[str, Sequence[str]]) -> list[str]:
    """Sentences about options that are none of the known words."""
    return [
        f"unknown {name} {options[name]!r}; known: {listing(words)}"
        for name, words in known.items()
        if options[name] not in words
    ]
