"""Series of times: the levels of g:time that `ar1(time | g)` or `ou(time | g)` has a value for, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.tables.columns import Column

PROCESSES = ("ar1", "ou")
_ROUNDING = 1e-6  # of whole numbers


@dataclass(frozen=True)
class Series:
    """The levels of a factor that are times of a stationary process.

    Attributes
    ----------
    process
        "ar1", whose correlation is rho between levels a step apart, or "ou", exp(-|t - s| / range).
    of, levels, time
        The name of the factor of the series and its levels, and the name of the column of times.
    codes, times
        The series of each level (levels,), and when it is (levels,); levels stand in the order of both.
    step
        The unit of the gaps: of "ar1" the greatest that all distances in time are multiples of, of "ou" 1.
    """

    process: str
    of: str
    levels: tuple[str, ...]
    time: str
    codes: np.ndarray
    times: np.ndarray
    step: float = 1.0

    @classmethod
    def of_rows(
        cls, process: str, of: tuple[str, tuple[str, ...], np.ndarray], time: Column, level: np.ndarray
    ) -> Series:
        """The series of levels, given the factor of the series, as its name, levels and codes of rows, and time and level of every row.

        Raises
        ------
        InputError
            Times that are no numbers, of "ar1" no whole ones; series of one time each.
        """
        name, levels, codes = of
        term = f"{process}({time.name} | {name})"
        values = time.numbers(term)
        if process == "ar1" and not np.all(np.abs(values - np.round(values)) < _ROUNDING):
            bad = np.abs(values - np.round(values)) >= _ROUNDING
            raise InputError(
                f"{term} takes whole numbers as times, and column {time.name!r} has {values[bad][0]:g} ({time.at(bad)}); number the "
                f"times, or write ou({time.name} | {name}), which goes by the time between them"
            )
        first = np.unique(level, return_index=True)[1]
        found = cls(process, name, levels, time.name, codes[first], values[first])
        later = found.gaps[found.later]
        if not len(later):
            raise InputError(
                f"every {name} has one {time.name}, so that nothing tells how values of {term} go together; leave the term out, or name "
                f"the column of the series after '|'"
            )
        if later.min() <= 0:
            at = int(np.flatnonzero(found.later & (found.gaps <= 0))[0])
            raise InputError(
                f"column {time.name!r} writes {found.times[at]:g} in two ways ({time.at(first[[at - 1, at]])}), and {term} has one value "
                "for each time; write a number in one way"
            )
        return replace(found, step=_step(later)) if process == "ar1" else found

    @cached_property
    def later(self) -> np.ndarray:
        """Which levels have one before them (levels,)."""
        return np.append(False, np.diff(self.codes) == 0)

    @cached_property
    def gaps(self) -> np.ndarray:
        """Steps to the level before (levels,); 0 for the first of a series."""
        gaps = np.append(0.0, np.diff(self.times)) / self.step
        return np.where(self.later, np.round(gaps) if self.process == "ar1" else gaps, 0.0)

    @property
    def called(self) -> str:
        """The term as a reader knows it."""
        return f"{self.process}({self.time} | {self.of})"

    @property
    def parameter(self) -> str:
        """What the name of the parameter of its correlation begins with."""
        return "ar1" if self.process == "ar1" else "range"

    def natural(self, unbounded: float) -> float:
        """The parameter whose logarithm, of "ar1" whose log((1 + ar1) / (1 - ar1)), this is."""
        return float(np.tanh(0.5 * unbounded) if self.process == "ar1" else np.exp(unbounded))

    @property
    def middle_gap(self) -> float:
        """The median of the gaps."""
        return float(np.median(self.gaps[self.later]))


def _step(gaps: np.ndarray) -> float:
    return float(reduce(np.gcd, np.unique(np.round(gaps).astype(np.int64))))
