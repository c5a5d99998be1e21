"""What was checked, what was expected, what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ResultState = Literal["passed", "failed", "noted"]


@dataclass(frozen=True)
class Result:
    """One check: of what, what was looked at, what was expected and found. "noted" is what is told and not judged."""

    of: str
    what: str
    expected: str
    found: str
    state: ResultState


def judged(of: str, what: str, expected: str, found: str, passed: bool) -> Result:
    """The result of a check that passed or failed."""
    return Result(of, what, expected, found, "passed" if passed else "failed")
