"""Grouping factors of group terms: `a`, `a:b`, `a/b`, brms's `gr(g, by=arm)` and `mm(g1, g2)`; and areas, `car(W, gr=area)`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from glmm_zoo.errors import InputError, listing
from glmm_zoo.formulas.neighbours import NEIGHBOUR_KINDS
from glmm_zoo.formulas.terms import GroupTerm, Symbol
from glmm_zoo.formulas.tokens import FormulaText, Token, column_name, is_call_of, split_arguments, text_of

LAWS = ("gaussian", "student")  # of group effects
_NAMES = ("name", "quoted")
_SAID_OTHERWISE = {
    "cor": "write (x || g) for effects that are not correlated", "id": "write (x |p| g) for a label",
    "scale": "weights of mm() are always divided by their sum in each row",
}  # fmt: skip


def parse_factors(formula: FormulaText, tokens: Sequence[Token]) -> list[GroupTerm]:
    """The factors that stand after the bar of a group term, each as a term without effects.

    Raises
    ------
    InputError
        What is neither a column, `a:b`, `a/b`, `gr()` nor `mm()`.
    """
    if is_call_of(tokens, {"gr"}):
        return [_parse_gr(formula, tokens)]
    if is_call_of(tokens, {"mm"}):
        return [_parse_mm(formula, tokens)]
    names, operators = tokens[::2], tokens[1::2]
    only_columns = all(t.kind in _NAMES for t in names)
    if not only_columns or any(t.text not in ("/", ":") for t in operators) or len(names) != len(operators) + 1:
        raise formula.error(
            "a grouping factor is a column, a:b or a/b, or it stands alone in gr(g, by=f) or mm(g1, g2)", tokens[0].at
        )
    factors: list[tuple[str, ...]] = [(column_name(names[0]),)]
    for operator, name in zip(operators, names[1:], strict=True):
        interaction = (*factors[-1], column_name(name))
        if operator.text == "/":
            factors.append(interaction)
        else:
            factors[-1] = interaction
    return [GroupTerm((), factor) for factor in factors]


def _parse_gr(formula: FormulaText, tokens: Sequence[Token]) -> GroupTerm:
    """`gr(g, by=arm, cov=A, dist="student")`; g may be a:b."""
    example = 'gr(g, by=f, cov=A, dist="student")'
    first, *others = split_arguments(tokens[2:-1])
    factors = parse_factors(formula, first) if first else []
    if len(factors) != 1 or tokens[2].text in ("gr", "mm"):
        raise formula.error(f"gr() takes one grouping factor, a column or a:b: {example}", tokens[0].at)
    given = _named_arguments(formula, tokens[0], others, ("by", "cov", "dist"), example)
    for what in ("by", "cov"):
        if what in given and (len(given[what]) != 1 or given[what][0].kind not in _NAMES):
            meant = "a column" if what == "by" else "the name of a table"
            raise formula.error(f"{what} of gr() is {meant}: {example}", tokens[0].at)
    law = text_of(given["dist"]).strip("\"'") if "dist" in given else LAWS[0]
    if law not in LAWS or ("dist" in given and given["dist"][0].kind != "string"):
        raise formula.error('dist of gr() is "gaussian" or "student"', given["dist"][0].at)
    by, cov = (column_name(given[what][0]) if what in given else None for what in ("by", "cov"))
    return GroupTerm((), factors[0].factor, by=by, cov=cov, dist=law)


def _parse_mm(formula: FormulaText, tokens: Sequence[Token]) -> GroupTerm:
    """`mm(g1, g2, weights=cbind(w1, w2))`."""
    example = "mm(g1, g2, weights=cbind(w1, w2))"
    arguments = split_arguments(tokens[2:-1])
    members = [column_name(a[0]) for a in arguments if len(a) == 1 and a[0].kind in _NAMES]
    if len(members) < 2 or len(set(members)) != len(members):
        raise formula.error(f"mm() takes two or more different columns: {example}", tokens[0].at)
    given = _named_arguments(formula, tokens[0], arguments[len(members) :], ("weights",), example)
    weights = None
    if "weights" in given:
        call = given["weights"]
        columns = split_arguments(call[2:-1]) if is_call_of(call, {"cbind"}) else []
        if len(columns) != len(members) or any(len(c) != 1 or c[0].kind not in _NAMES for c in columns):
            raise formula.error(
                f"weights of mm() are {len(members)} columns, one for each member: {example}", call[0].at
            )
        weights = tuple(column_name(c[0]) for c in columns)
    return GroupTerm((), tuple(members), members=True, weights=weights)


def parse_car(formula: FormulaText, tokens: Sequence[Token]) -> GroupTerm:
    """`car(W, gr=area, type="bym2")`, the varying intercept of areas that have neighbours."""
    example = 'car(W, gr=area, type="bym2")'
    first, *others = split_arguments(tokens[2:-1])
    if len(first) != 1 or first[0].kind not in _NAMES:
        raise formula.error(f"car() takes the name of a table of neighbours first: {example}", tokens[0].at)
    given = _named_arguments(formula, tokens[0], others, ("gr", "type"), example)
    factors = parse_factors(formula, given["gr"]) if "gr" in given else []
    if len(factors) != 1 or given["gr"][0].text in ("gr", "mm") and len(given["gr"]) > 1:
        raise formula.error(f"gr of car() is the column of the areas: {example}", tokens[0].at)
    kind = text_of(given["type"]).strip("\"'") if "type" in given else ""
    if kind not in NEIGHBOUR_KINDS or given["type"][0].kind != "string":
        raise formula.error(
            'type of car() is "icar", intrinsic, or "bym2", with a part that is not spatial', tokens[0].at
        )
    return GroupTerm(("1",), factors[0].factor, car=(column_name(first[0]), kind))


def with_names_apart(groups: Sequence[GroupTerm]) -> tuple[GroupTerm, ...]:
    """The terms, of which one with a table is known as "id_A" where the factor "id" has effects without one, or with another, too."""
    structures = {g.name: dict.fromkeys(h.structure for h in groups if h.name == g.name) for g in groups}
    return tuple(
        replace(g, known_as=f"{g.name}_{g.structure[0]}") if g.structure and len(structures[g.name]) > 1 else g
        for g in groups
    )


def _named_arguments(
    formula: FormulaText, function: Token, arguments: Sequence[Sequence[Token]], known: Sequence[str], example: str
) -> dict[str, Sequence[Token]]:
    """What is given for each of the `known` names, `name=value`."""
    given: dict[str, Sequence[Token]] = {}
    for part in arguments:
        name = part[0].text if len(part) > 2 and part[1].text == "=" else ""
        if name in given:
            raise formula.error(f"{name} of {function.text}() is given twice", part[0].at)
        if name not in known:
            hint = _SAID_OTHERWISE.get(name) or f"{function.text}() is written {example}"
            raise formula.error(f"{text_of(part)!r} is not expected; {hint}", part[0].at if part else function.at)
        given[name] = part[2:]
    return given


def refuse_two_intercepts(groups: Sequence[GroupTerm]) -> None:
    """Refuse a second intercept that varies over one factor."""
    with_intercept: set[str] = set()
    for group in groups:
        symbols = list(group.effects)
        if symbols[0] == "0" or symbols[:2] == ["-", "1"] or _drops_intercept(symbols):
            continue
        again = [g.source for g in groups if g.name == group.name]
        if len(again) > 1 and any(g.process for g in groups if g.name == group.name):
            raise InputError(f"{listing(again)} are about the same values, one for each {group.name}; keep one of them")
        if group.name in with_intercept:
            raise InputError(
                f"group {group.name!r} has two intercept terms; write (0 + x | {group.name}) for a slope without a second intercept"
            )
        with_intercept.add(group.name)


def _drops_intercept(symbols: Sequence[Symbol]) -> bool:
    return any(a == "-" and b == "1" or a == "+" and b == "0" for a, b in itertools.pairwise(symbols))
