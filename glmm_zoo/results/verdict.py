"""What is said of the draws of a fit: whether they can be trusted, and the problems that were found."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from glmm_zoo.errors import more_about, plural


@dataclass(frozen=True)
class Problem:
    """One failed check: what was found, what it means for this model, what to try first.

    `check` is the name of its entry in docs/guides/diagnostics.md.
    """

    check: str
    found: str
    meaning: str
    advice: str

    def __str__(self) -> str:
        return f"{self.found}. {self.meaning} {self.advice}"


@dataclass(frozen=True)
class Verdict:
    """What the diagnostics say: sound, sound with remarks, or not sound, with the problems.

    `remarks` are worth knowing and no reason against the draws. `table` has one row for each parameter, group effects
    included. `found` is what holds of a sound fit, in one line.
    """

    sound: bool
    problems: tuple[Problem, ...]
    table: pd.DataFrame
    remarks: tuple[Problem, ...] = ()
    found: str = ""

    def __str__(self) -> str:
        remarked = plural(len(self.remarks), "remark")
        if self.sound:
            lines = [f"Sound{f', with {remarked}' if self.remarks else ''}: {self.found}."]
        else:
            lines = [f"Not to be trusted yet: {plural(len(self.problems), 'check')} failed."]
        lines += [f"  - {problem}" for problem in self.problems]
        lines += [f"And {remarked}:"] if self.remarks and not self.sound else []
        lines += [f"  - {remark}" for remark in self.remarks]
        more = more_about([told.check for told in (*self.problems, *self.remarks)])
        return "\n".join([*lines, *([more] if more else [])])
