"""What the zoo says when something is wrong. Imports nothing of the zoo."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any


class InputError(ValueError):
    """The input is wrong; every problem found is told at once, one sentence each.

    Parameters
    ----------
    *problems
        Sentences that say what we got, what we expected and what to do.
    """

    def __init__(self, *problems: str):
        self.problems = tuple(dict.fromkeys(problems))
        if len(self.problems) == 1:
            super().__init__(self.problems[0])
        else:
            lines = "".join(f"\n  - {p}" for p in self.problems)
            super().__init__(f"{len(self.problems)} problems:{lines}")


class FitError(RuntimeError):
    """Sampling could not start or could not be finished; the input is not at fault."""


class ZooWarning(UserWarning):
    """The model is built, but its user should know something before trusting it."""


def raise_all(problems: Collection[str]) -> None:
    """Raise one `InputError` with all `problems`; return when there are none."""
    if problems:
        raise InputError(*problems)


def attempt[T](make: Callable[[], T], problems: list[str]) -> T | None:
    """What `make` returns, or None with its problems added to the list."""
    try:
        return make()
    except InputError as err:
        problems.extend(err.problems)
        return None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'age'?"` for the nearest of the known names, `""` when none is near."""
    known = list(known)
    folded = {k.strip().casefold(): k for k in reversed(known)}
    near = difflib.get_close_matches(word.strip().casefold(), folded, n=1, cutoff=0.55)
    return f"; did you mean {folded[near[0]]!r}?" if near else ""


def listing(names: Iterable[object], most: int = 12) -> str:
    """Names, comma separated, cut after `most`."""
    names = [str(n) for n in names]
    shown = ", ".join(names[:most])
    return shown + (f", ... ({len(names)} in all)" if len(names) > most else "")


def at_rows(rows: Sequence[int] | Any, most: int = 3) -> str:
    """`"row 4"` or `"rows 4, 9, 20, ..."`; rows, a sequence or an array from 0, are told from 1."""
    shown = ", ".join(str(int(r) + 1) for r in rows[:most])
    return f"row{'s' if len(rows) > 1 else ''} {shown}{', ...' if len(rows) > most else ''}"


def plural(count: int, noun: str) -> str:
    """`"1 row"`, `"3 rows"`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
