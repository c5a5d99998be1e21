"""What a formula's algebra stands for, without computing any column: `a * b` is a, b and a:b."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from glmm_zoo.formulas.terms import Expression, Symbol

Term = frozenset[Expression]  # what is multiplied; of the intercept nothing


class TooManyTermsError(ValueError):
    """An expansion has more terms than were allowed."""


def expanded(symbols: Sequence[Symbol], most: int) -> set[Term]:
    """The terms that symbols stand for, each once; what is subtracted counts too.

    The product of n factors of two terms has 2^n, so it is not worked out beyond `most`.

    Raises
    ------
    TooManyTermsError
        More than `most` terms in all, or in a part.
    """
    return _Reader(symbols, most).sum() if symbols else set()


class _Reader:
    """Reads symbols from left to right; each method reads what binds at least as closely as its name says."""

    def __init__(self, symbols: Sequence[Symbol], most: int):
        self.symbols, self.most, self.at = symbols, most, 0

    def next_is(self, *operators: str) -> bool:
        here = self.symbols[self.at] if self.at < len(self.symbols) else None
        return isinstance(here, str) and here in operators

    def read(self) -> Symbol:
        self.at += 1
        return self.symbols[self.at - 1]

    def bounded(self, terms: Iterator[Term] | set[Term]) -> set[Term]:
        found: set[Term] = set()
        for term in terms:
            found.add(term)
            if len(found) > self.most:
                raise TooManyTermsError
        return found

    def interactions(self, left: set[Term], right: set[Term]) -> Iterator[Term]:
        return (a | b for a, b in product(left, right))

    def sum(self) -> set[Term]:
        found: set[Term] = set()
        if self.next_is("+", "-"):
            self.read()
        while True:
            found = self.bounded(found | self.crossing())
            if not self.next_is("+", "-"):
                return found
            self.read()

    def crossing(self) -> set[Term]:
        found = self.interaction()
        while self.next_is("*", "/"):
            nested = self.read() == "/"
            right = self.interaction()
            inner = {frozenset[Expression]().union(*found)} if nested else found  # (a + b)/c is a + b + a:b:c
            found = self.bounded(found | (set() if nested else right) | self.bounded(self.interactions(inner, right)))
        return found

    def interaction(self) -> set[Term]:
        found = self.power()
        while self.next_is(":"):
            self.read()
            found = self.bounded(self.interactions(found, self.power()))
        return found

    def power(self) -> set[Term]:
        base = found = self.operand()
        while self.next_is("**", "^"):
            self.read()
            for _ in range(int(str(self.read())) - 1):
                found = self.bounded(found | self.bounded(self.interactions(found, base)))
        return found

    def operand(self) -> set[Term]:
        symbol = self.read()
        if isinstance(symbol, Expression):
            return {frozenset([symbol])}
        if symbol == "(":
            found = self.sum()
            self.read()
            return found
        return {frozenset()} if symbol == "1" else set()
