"""Shares of values that a family has a part of its own for, such as zeros beside counts and ones beside proportions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmm_zoo.families.counts import separated_share, uniform_share
from glmm_zoo.families.family import OwnParameter
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.population import DesignMatrix


def own_share(name: str, at: Callable[[np.ndarray], np.ndarray], words: str, one: str, symbol: str) -> OwnParameter:
    """The probability of what `at` (n,) says of the values, called `words`, `one` of which is said singly."""

    def doubts(outcome: Outcome, design: DesignMatrix) -> list[str]:
        return separated_share(name, at(outcome.values), f"{words} of {outcome.name!r}", "row", design)

    return OwnParameter(
        name, "logit", lambda _: uniform_share(name), option=name, doubts=doubts, words=one, symbol=symbol,
        why="every value is as likely as any other",
    )  # fmt: skip


def share_of_zeros(one: str) -> OwnParameter:
    """zi, the probability of a zero or of a kind of it, `one` of which is said singly."""
    return own_share("zi", lambda y: y == 0, "zeros", one, "π")
