"""Group effects whose levels depend on each other, in words and as a formula."""

from __future__ import annotations

from collections.abc import Iterator

from glmm_zoo.formulas.terms import GroupTerm
from glmm_zoo.report.mathml import MINUS, PLUS, fraction, num, op, power, row, sub, sym
from glmm_zoo.report.member_words import members_in_methods
from glmm_zoo.report.parts import Parts


def structure_described(parts: Parts, term: GroupTerm) -> dict[str, object]:
    """What the spec says of how the levels of a term depend on each other; empty where they do not."""
    name = term.name.replace(" ", "_")
    found = (
        g["structure"] for g in parts.spec["groups"].values() if "structure" in g and g["sd"].endswith(f"sd_{name}")
    )
    return next(found, {}) if term.structure else {}


def among_levels(term: GroupTerm) -> str:
    """The covariance of the effects of all levels with sd 1, as a formula; "" where they are independent."""
    if term.structure is None:
        return ""
    table, kind = term.structure
    if kind == "cov":
        return sym(table)
    inverse = power(sub(sym("Q"), sym(table)), op("−"))
    if kind == "icar":
        return inverse
    share = sub(sym("ρ"), sym(":".join(term.factor)))
    spatial = share + fraction(inverse, sym("s"))
    return row(op("("), spatial, PLUS, op("("), num(1), MINUS, share, op(")"), sym("I"), op(")"))


def structure_sentences(parts: Parts, terms: list[GroupTerm]) -> Iterator[str]:
    """How the effects of levels depend on each other."""
    for term in {t.name: t for t in terms if t.structure is not None}.values():
        assert term.structure is not None
        table, kind = term.structure
        name, plural = parts.group_name(term.factor), parts.group_plural(term.factor)
        if kind == "cov":
            yield f"The shifts of different {plural} are correlated: their covariance is σ² times that of table {table}."
            continue
        around = f"a {name} differs from the mean of its neighbours, which table {table} names, by a normal amount"
        if kind == "icar":
            yield f"Neighbouring {plural} are alike: {around}, and the shifts of a connected map sum to zero (intrinsic autoregression, Q the number of neighbours less who they are)."
        else:
            yield (
                f"A share ρ of the variance of the shifts of {plural} is spatial, {around} (intrinsic autoregression, scaled by s to a variance "
                f"near 1, which sums to zero), and the rest is of each {name} by itself."
            )


def structure_in_methods(parts: Parts, term: GroupTerm) -> str:
    """What a methods paragraph adds to a random effect; "" where levels are independent and a row has one."""
    if term.structure is None:
        return members_in_methods(parts, term)
    table, kind = term.structure
    levels = structure_described(parts, term).get("levels")
    of_levels = f", which has {levels} levels" if levels else ""
    if kind == "cov":
        return f" with the known covariance between {parts.group_plural(term.factor)} of table {table}{of_levels}"
    law = "intrinsic conditional autoregressive (Besag et al. 1991)" if kind == "icar" else "BYM2 (Riebler et al. 2016)"
    return f" with the {law} distribution between neighbours of table {table}{of_levels}"


def structured_terms(parts: Parts) -> list[GroupTerm]:
    """The group terms whose levels depend on each other."""
    return [g for o in parts.outcomes for p in (o.main, *o.others.values()) for g in p.formula.groups if g.structure]


def averaged_over(parts: Parts) -> str:
    """What population averages are over where levels depend on each other; "" where none do."""
    tables = dict.fromkeys(
        f"{parts.group_plural(t.factor)} with the mean variance of table {t.structure[0]}"
        for t in structured_terms(parts)
        if t.structure
    )
    return f", as those of {' and '.join(tables)}" if tables else ""
