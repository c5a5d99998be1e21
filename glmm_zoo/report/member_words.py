"""Rows that belong to several levels of one factor, mm(g1, g2), in words and as a formula."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from glmm_zoo.formulas.terms import GroupTerm
from glmm_zoo.report.mathml import ROW_INDEX, listed, op, sub, sym
from glmm_zoo.report.parts import Parts, joined


def sum_over_members(parts: Parts, term: GroupTerm, effect: str, number: Sequence[str]) -> str:
    """The sum over the members m of a row of w_im u of the level of m, as a formula."""
    member = sym("m")
    level = f"{sym(parts.about.name(term.name))}{op('[')}{listed([ROW_INDEX, member])}{op(']')}"
    weight = sub(sym("w"), ROW_INDEX, member)
    return f"<munder>{op('∑')}{member}</munder>{weight}{sub(sym(effect), *number, level)}"


def member_sentences(parts: Parts, terms: Sequence[GroupTerm]) -> Iterator[str]:
    """How the shift of a row is made of those of its levels."""
    for term in {t.name: t for t in terms if t.members}.values():
        columns = joined([parts.about.name(c) for c in term.factor])
        weights = (
            f"in proportion to {joined([parts.about.name(c) for c in term.weights])}"
            if term.weights
            else "alike for all of them"
        )
        yield f"A row has the sum of the shifts of its {columns}, each times a weight w; the weights of a row sum to one and are {weights}."


def members_in_methods(parts: Parts, term: GroupTerm) -> str:
    """What a methods paragraph adds to a random effect; "" where a row has one level."""
    if not term.members:
        return ""
    how = (
        f"weights in proportion to {joined([parts.about.name(c) for c in term.weights])}"
        if term.weights
        else "equal weights"
    )
    return f" (multiple membership, Browne et al. 2001, with {how} that sum to one in each row)"
