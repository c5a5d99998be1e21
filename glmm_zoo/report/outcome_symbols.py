"""The symbols of an outcome and of the levels of a factor, in the formula of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from glmm_zoo.report.mathml import ROW_INDEX, num, op, sub, sym
from glmm_zoo.report.parts import OutcomeParts, Parts


@dataclass(frozen=True)
class NumberedOutcome:
    """One outcome with the names of its symbols: of several, each has its number as an index, covariates with missing values their names."""

    parts: Parts
    of: OutcomeParts
    index: tuple[str, ...] = ()
    called: str = ""  # the symbol of the response

    def symbol(self, name: str, *indices: str) -> str:
        return sub(sym(name), *self.index, *indices)

    def of_category(self) -> NumberedOutcome:
        """With the symbols of one category or cause, k, where each has a linear predictor of its own."""
        taken = self.of.causes and "k" in self.of.family.formula  # by the shape of times
        return replace(self, index=(*self.index, sym("c" if taken else "k"))) if self.of.named else self

    def of_each_category(self) -> list[NumberedOutcome]:
        """With the symbols of each category or cause, by its number, where each has a linear predictor of its own."""
        if not self.of.named:
            return [self]
        return [replace(self, index=(*self.index[:-1], num(k))) for k in range(1, len(self.of.named) + 1)]

    def response(self) -> str:
        return sub(sym(self.called), ROW_INDEX) if self.called else self.symbol("y", ROW_INDEX)


def level_symbol(parts: Parts, factor: Sequence[str]) -> str:
    """ "herd[i]": the level that a row has."""
    return f"{factor_symbol(parts, factor)}{op('[')}{ROW_INDEX}{op(']')}"


def factor_symbol(parts: Parts, factor: Sequence[str]) -> str:
    return sym(":".join(parts.about.name(c) for c in factor))
