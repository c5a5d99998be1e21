"""The exceptions and the warning of the zoo, and helpers that word their messages. Imports nothing of the zoo."""

from __future__ import annotations

import difflib
import os
import re
import reprlib
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

_PACKAGE = str(Path(__file__).parent)


class InputError(ValueError):
    """The input is wrong; all problems with it are told at once.

    Parameters
    ----------
    *problems
        One sentence for each problem: what we got, what we expected and what to do. One given twice is told once.
    """

    def __init__(self, *problems: str):
        self.problems = tuple(dict.fromkeys(problems))
        if len(self.problems) == 1:
            super().__init__(self.problems[0])
        else:
            lines = "".join(f"\n  - {problem}" for problem in self.problems)
            super().__init__(f"{len(self.problems)} problems:{lines}")


class FitError(RuntimeError):
    """Sampling could not start or could not be finished; the input is not at fault."""


class ZooWarning(UserWarning):
    """The model or the result is made, but its user should know something before trusting it."""


def warn(sentence: str) -> None:
    """Tell a user of something to know before trusting a model or result; the place told is their own line."""
    warnings.warn(sentence, ZooWarning, skip_file_prefixes=(_PACKAGE,))


def raise_all(problems: Collection[str]) -> None:
    """Raise an `InputError` that tells all problems; do nothing if there are none."""
    if problems:
        raise InputError(*problems)


def attempt[T](make: Callable[[], T], problems: list[str]) -> T | None:
    """Return what `make` returns; if it raises an `InputError`, add its problems to the list and return None.

    So several steps are tried before `raise_all` tells what is wrong with any of them.
    """
    try:
        return make()
    except InputError as err:
        problems.extend(err.problems)
        return None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'age'?"` with the known name nearest to the word, `""` if none is near.

    Case and surrounding spaces do not count. Of known names that are then the same, the first is meant.
    """
    name_of_folded = {name.strip().casefold(): name for name in reversed(list(known))}
    nearest = difflib.get_close_matches(word.strip().casefold(), name_of_folded, n=1, cutoff=0.55)
    return f"; did you mean {name_of_folded[nearest[0]]!r}?" if nearest else ""


def more_about(entries: Iterable[str]) -> str:
    """`"More: glmm-zoo explain rhat zeros."`: the command that prints these entries of docs/guides/diagnostics.md; "" of none."""
    return f"More: glmm-zoo explain {' '.join(dict.fromkeys(entries))}." if entries else ""


def listing(names: Iterable[object], most: int = 12) -> str:
    """`"a, b, c"`; of more than `most` names the first and their number: `"a, b, ... (30 in all)"`."""
    names = [str(name) for name in names]
    shown = ", ".join(names[:most])
    return shown + (f", ... ({len(names)} in all)" if len(names) > most else "")


def at_rows(rows: Sequence[int] | Any, most: int = 3) -> str:
    """`"row 4"` or `"rows 4, 9, 20, ..."`: the first `most` of the rows, which count from 0 in `rows` and from 1 in the text."""
    shown = ", ".join(str(int(row) + 1) for row in rows[:most])
    return f"row{'s' if len(rows) > 1 else ''} {shown}{', ...' if len(rows) > most else ''}"


def plural(count: int, noun: str) -> str:
    """`"1 row"`, `"3 rows"`: the noun in the singular or plural, after its count."""
    return f"{count} {noun if count == 1 else plural_of(noun)}"


_SAME = "sheep|fish|deer|species|series|offspring|staff|cattle|swine|aircraft|data"
_IRREGULAR = {
    "child": "children", "person": "people", "woman": "women", "man": "men", "mouse": "mice", "louse": "lice", "tooth": "teeth",
    "foot": "feet", "goose": "geese", "ox": "oxen", "calf": "calves", "leaf": "leaves", "half": "halves", "wolf": "wolves", "life": "lives",
    "knife": "knives", "wife": "wives", "stratum": "strata", "bacterium": "bacteria", "criterion": "criteria", "phenomenon": "phenomena",
    "locus": "loci", "nucleus": "nuclei", "stimulus": "stimuli", "fungus": "fungi", "genus": "genera", "larva": "larvae",
    "matrix": "matrices", "index": "indices", "potato": "potatoes", "tomato": "tomatoes", "quiz": "quizzes",
}  # fmt: skip
_ENDINGS = (
    (r"(?<=[^aeiou])y$|(?<=qu)y$", "ies"),
    (r"(?<=[sx])is$", "es"),
    (r"(?<=[^aius])s$", "s"),
    (r"(?<=[sxz])$|(?<=ch)$|(?<=sh)$", "es"),
)


def plural_of(noun: str) -> str:
    """`"studies"` of `"study"`, `"children"` of `"child"`, `"school classes"` of `"school class"`."""
    lead, word = re.fullmatch(r"(.*?)([^\W\d_]*)", noun, re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess]
    if re.fullmatch(_SAME, word.lower()):
        return noun
    if word.lower() in _IRREGULAR:
        return lead + word[0] + _IRREGULAR[word.lower()][1:]
    for ending, in_plural in _ENDINGS:
        if re.search(ending, word):
            return lead + re.sub(ending, in_plural, word, count=1)
    return f"{noun}s"


def number_word(count: int) -> str:
    """`"four"`, up to twelve; other counts in digits."""
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    return words[count - 1] if 1 <= count <= len(words) else str(count)


def shown(value: Any) -> str:
    """A value for a message: short, whatever it is."""
    if isinstance(value, str) and len(value) > 60:
        return f"{value[:40]!r}... ({len(value):,} characters)"
    if value is None or isinstance(value, str | bool | int | float | list | tuple | dict):
        try:
            return reprlib.repr(value)
        except ValueError:  # a whole number of thousands of digits
            return "a number of thousands of digits"
    return f"a {type(value).__name__}"


_KINDS = {  # of what functions of the package hand on to each other, by class: what it is, and where it comes from
    "Model": ("a model", "a builder makes one, such as zoo.poisson(data, formula)"),
    "DataTree": ("a fit", "zoo.fit(model) samples one, zoo.load(path) reads one from a file"),
    "Estimates": ("estimates", "zoo.predictions, zoo.comparisons and zoo.slopes return them"),
    "FitTable": ("a table of a fit", "zoo.table(fit) returns one"),
}


def check_kind(taker: str, value: Any, kind: str) -> None:
    """Refuse, in the name of the function `taker`, what is not of a `kind` that the package makes: "Model", "DataTree", "Estimates",
    "FitTable".

    Raises
    ------
    InputError
        What it is, and where one of that kind comes from.
    """
    if kind not in _classes(value):
        what, source = _KINDS[kind]
        raise InputError(f"{taker} takes {what}, not {kind_words(value)}; {source}")


def not_a_fit(value: Any) -> str:
    """A sentence on what was given in place of a fit."""
    what = kind_words(value)
    lacks = "it has no 'glmm_zoo' attribute" if what == "a fit" else f"it is {what}"
    return f"this is not a fit of glmm_zoo: {lacks}; {_KINDS['DataTree'][1]}"


def kind_words(value: Any) -> str:
    """`"a model"`, `"the text 'fits/x.nc'"`, `"a DataFrame"`: what a value is."""
    known = next((_KINDS[name][0] for name in _classes(value) if name in _KINDS), None)
    if known:
        return known
    if isinstance(value, str):
        return f"the text {shown(value)}"
    if isinstance(value, os.PathLike):
        return f"the path {shown(os.fspath(value))}"
    return "None" if value is None else f"a {type(value).__name__}"


def _classes(value: Any) -> list[str]:
    return [c.__name__ for c in type(value).__mro__]
