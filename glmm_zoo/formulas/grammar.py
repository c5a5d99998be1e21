"""lme4's formula notation, parsed without evaluating any of it: `y ~ x + s(z) + offset(log(t)) + (1 + x | g)`.

A formula is cut into tokens, its right side into summands, and each summand is a group term, a smooth, an offset, or
population effects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.expansion import TooManyTermsError, expanded
from glmm_zoo.formulas.expressions import MISSING, MONOTONIC, SMOOTHS, parse_expression, parse_missing, parse_monotonic
from glmm_zoo.formulas.group_terms import parse_car, parse_factors, refuse_two_intercepts, with_names_apart
from glmm_zoo.formulas.responses import parse_response
from glmm_zoo.formulas.series import PROCESSES
from glmm_zoo.formulas.terms import (
    USUAL_SMOOTH,
    Expression,
    Formula,
    GroupTerm,
    SmoothTerm,
    Symbol,
)
from glmm_zoo.formulas.tokens import (
    FormulaText,
    Token,
    closing_bracket,
    column_name,
    has_bar,
    is_bracketed,
    is_call_of,
    split_arguments,
    text_of,
    tokenize,
)

MAX_K = 100  # functions of a smooth
MAX_TERMS = 500  # that products and powers of sums may stand for


def parse_formula(text: str, *, response: bool = True) -> Formula:
    """Parse a formula.

    Parameters
    ----------
    text
        `"y ~ x + offset(log(t)) + (1 + x | g)"`; with `response=False`, a right side only, `"~ x + (1 | g)"`.

    Raises
    ------
    InputError
        One sentence that says what is wrong and, where it helps, where.
    """
    return _parse_sides(tokenize(text), response)


# ------------------------------------------------------------------------------------------------------ the two sides


def _parse_sides(formula: FormulaText, response: bool) -> Formula:
    tokens = formula.tokens
    tildes = [i for i, t in enumerate(tokens) if t.text == "~"]
    if len(tildes) > 1:
        raise formula.error("more than one '~'", tokens[tildes[1]].at)
    if response and (not tildes or tildes[0] == 0):
        raise formula.error("write the response, '~' and the predictors: 'y ~ x + (1 | g)'")
    left = tokens[: tildes[0]] if tildes else ()
    right = tokens[tildes[0] + 1 :] if tildes else tokens
    if not response and left:
        raise formula.error("only a right side is expected here, '~ x + (1 | g)'")
    if not right:
        raise formula.error("nothing follows '~'; write 1 for an intercept alone" if tildes else "the formula is empty")
    if right[-1].kind == "op" and right[-1].text != ")":
        raise formula.error(f"the formula ends after {right[-1].text!r}", right[-1].at)
    parsed = _parse_right_side(formula, right)
    if response:
        parsed = replace(parsed, response=parse_response(formula, left))
    refuse_two_intercepts(parsed.groups)
    explained = parsed.response and (parsed.response.event or parsed.response.value)
    in_both = [c for c in explained.columns if c in parsed.predictor_columns] if explained else []
    if in_both:
        raise InputError(f"formula: the response {in_both[0]!r} is also used as a predictor")
    return parsed


def _parse_right_side(formula: FormulaText, right: Sequence[Token]) -> Formula:
    """The formula without its response."""
    population: list[Symbol] = []
    offsets: list[Expression] = []
    groups: list[GroupTerm] = []
    smooths: list[SmoothTerm] = []
    for sign, tokens in signed_parts(formula, right):
        if is_bracketed(tokens) and has_bar(tokens[1:-1]):
            _refuse_minus(formula, sign, tokens, "a group term")
            groups += _parse_group_terms(formula, tokens[1:-1])
        elif is_call_of(tokens, {"car"}):
            _refuse_minus(formula, sign, tokens, "car()")
            groups.append(parse_car(formula, tokens))
        elif is_call_of(tokens, PROCESSES):
            _refuse_minus(formula, sign, tokens, f"{tokens[0].text}()")
            groups.append(_parse_process(formula, tokens))
        elif is_call_of(tokens, {"offset"}):
            _refuse_minus(formula, sign, tokens, "offset()")
            if len(tokens) == 3:
                raise formula.error("offset() is empty", tokens[0].at)
            offsets.append(parse_expression(formula, tokens[2:-1]))
        elif is_call_of(tokens, SMOOTHS):
            _refuse_minus(formula, sign, tokens, f"{tokens[0].text}()")
            term = _parse_smooth(formula, tokens)
            if isinstance(term, GroupTerm):
                groups.append(term)
            elif term in smooths:
                raise formula.error(f"{term.source} stands twice", tokens[0].at)
            else:
                smooths.append(term)
        else:
            if population or sign == "-":
                population.append(sign)
            population += _parse_algebra(formula, tokens)
    _refuse_many_terms(formula, population, right[0])
    return Formula(
        formula.text.strip(),
        None,
        tuple(population) or ("1",),
        tuple(offsets),
        with_names_apart(groups),
        tuple(smooths),
    )


def signed_parts(formula: FormulaText, tokens: Sequence[Token]) -> Iterator[tuple[str, list[Token]]]:
    """What is added up, each with its sign: cut at the "+" and "-" that are not in brackets."""
    depth, sign, summand = 0, "+", list[Token]()
    for i, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.text in ("+", "-") and token.kind == "op":
            if summand:
                yield sign, summand
            elif i > 0:
                raise formula.error(f"two operators in a row before {token.text!r}", token.at)
            sign, summand = token.text, []
        else:
            summand.append(token)
    if summand:
        yield sign, summand


def _refuse_minus(formula: FormulaText, sign: str, tokens: Sequence[Token], term: str) -> None:
    if sign == "-":
        raise formula.error(f"{term} cannot be subtracted; leave it out", tokens[0].at)


# ------------------------------------------------------------------------------------------------------------- smooths


def _parse_smooth(formula: FormulaText, tokens: Sequence[Token]) -> SmoothTerm | GroupTerm:
    """`s(x, by=f, bs="cr", k=10)`, `t2(x, z)`, or the group term (1 | g) that `s(g, bs="re")` is."""
    at, function = tokens[0].at, tokens[0].text
    example = 's(x, by=f, bs="cr", k=10)' if function == "s" else "t2(x, z, k=5)"
    columns, bs, k, by = _smooth_arguments(formula, tokens, example)
    usual_bs, usual_k = USUAL_SMOOTH[function]
    basis, size = bs.text[1:-1] if bs else usual_bs, int(k.text) if k else usual_k
    wanted = 2 if function == "t2" or basis == "fs" else 1
    if len(columns) != wanted or len(set(columns)) != wanted:
        hint = "s(x), or t2(x, z) for a surface" if function == "s" else example
        hint = 's(x, g, bs="fs")' if basis == "fs" else hint
        raise formula.error(f"{function}() names {len(columns)} columns where {wanted} are expected: {hint}", at)
    if by and (function == "t2" or basis == "fs"):
        raise formula.error(f"by= is not available for {'t2()' if function == 't2' else 'bs=fs'}", at)
    if basis == "re":
        if by or k:
            raise formula.error('s(g, bs="re") is (1 | g) and takes no by or k; write (0 + x | g) for a slope', at)
        return GroupTerm(("1",), (columns[0],))
    if basis == "fs":
        return SmoothTerm((columns[0],), "fs", size, columns[1])
    return SmoothTerm(tuple(columns), basis, size, column_name(by) if by else None)


def _smooth_arguments(
    formula: FormulaText, tokens: Sequence[Token], example: str
) -> tuple[list[str], Token | None, Token | None, Token | None]:
    """The columns of s() or t2(), then what is given for bs, k and by, each of its kind."""
    function = tokens[0].text
    columns: list[str] = []
    given: dict[str, Token] = {}
    for part in split_arguments(tokens[2:-1]):
        if len(part) == 1 and part[0].kind in ("name", "quoted") and not given:
            columns.append(column_name(part[0]))
        elif len(part) == 3 and part[0].text in ("by", "bs", "k") and part[1].text == "=":
            if part[0].text in given:
                raise formula.error(f"{part[0].text} of {function}() is given twice", part[0].at)
            given[part[0].text] = part[2]
        else:
            raise formula.error(
                f"{text_of(part)!r} is not expected; {function}() takes columns, by=, bs= and k=, {example}; "
                "for log(x) make a column of it",
                part[0].at if part else tokens[0].at,
            )
    bs, k, by = given.get("bs"), given.get("k"), given.get("by")
    if bs is not None and bs.kind != "string":
        raise formula.error(f'bs of {function}() is a basis in quotes, bs="cr"', bs.at)
    if k is not None and not (k.text.isdigit() and 3 <= int(k.text) <= MAX_K):
        raise formula.error(f"k of {function}() is a whole number from 3 to {MAX_K}", k.at)
    if by is not None and by.kind not in ("name", "quoted"):
        raise formula.error(f"by of {function}() is a column", by.at)
    return columns, bs, k, by


# --------------------------------------------------------------------------------------------------------- group terms


def _parse_group_terms(formula: FormulaText, tokens: Sequence[Token]) -> list[GroupTerm]:
    """What stands in the brackets of a group term; `(1 | a/b)` is two terms, one of a and one of a:b."""
    bars = [i for i, t in enumerate(tokens) if t.text in ("|", "||")]
    label = None
    if len(bars) == 2 and all(tokens[b].text == "|" for b in bars) and bars[1] == bars[0] + 2:
        label = tokens[bars[0] + 1].text
    elif len(bars) != 1:
        raise formula.error(
            "a group term is (effects | factor), (effects || factor) or (effects |label| factor)", tokens[0].at
        )
    effects, factor = tokens[: bars[0]], tokens[bars[-1] + 1 :]
    if not effects:
        raise formula.error("no effects before '|'; write (1 | g) for an intercept", tokens[bars[0]].at)
    if not factor:
        raise formula.error("no grouping factor after '|'", tokens[bars[-1]].at)
    symbols = _parse_sum(formula, effects)
    _refuse_many_terms(formula, symbols, effects[0])
    if any(isinstance(symbol, Expression) and symbol.kind == "monotonic" for symbol in symbols):
        raise formula.error(
            "mo() cannot vary over a grouping factor; write (1 + x | g) for slopes along the numbers of its levels",
            effects[0].at,
        )
    if any(isinstance(symbol, Expression) and symbol.kind == "missing" for symbol in symbols):
        raise formula.error(
            "mi() cannot vary over a grouping factor; write mi(x) among the population terms", effects[0].at
        )
    correlated = tokens[bars[0]].text == "|"
    terms = parse_factors(formula, factor)
    return [replace(t, effects=symbols, correlated=correlated, label=label) for t in terms]


def _parse_process(formula: FormulaText, tokens: Sequence[Token]) -> GroupTerm:
    """`ar1(time | g)`: a value for every g and time."""
    process, inner = tokens[0].text, tokens[2:-1]
    bars = [i for i, t in enumerate(inner) if t.text == "|"]
    if bars != [1] or inner[0].kind not in ("name", "quoted") or len(inner) < 3:
        raise formula.error(
            f"{process}() takes a column of times and a grouping factor: {process}(time | g)", tokens[0].at
        )
    factors = parse_factors(formula, inner[2:])
    if len(factors) > 1 or factors[0] != GroupTerm((), factors[0].factor):
        raise formula.error(f"{process}() takes one grouping factor, g or a:b", inner[2].at)
    return GroupTerm(("1",), (*factors[0].factor, column_name(inner[0])), process=process)


# -------------------------------------------------------------------------------------------------- algebra of terms


def _parse_sum(formula: FormulaText, tokens: Sequence[Token]) -> tuple[Symbol, ...]:
    """A sum of terms, without the sign of the first unless it is a minus."""
    symbols = [
        symbol
        for sign, summand in signed_parts(formula, tokens)
        for symbol in (sign, *_parse_algebra(formula, summand))
    ]
    if not symbols:
        raise formula.error("a term is missing", tokens[0].at)
    return tuple(symbols[1:] if symbols[0] == "+" else symbols)


def _parse_algebra(formula: FormulaText, tokens: Sequence[Token]) -> list[Symbol]:
    """One summand as symbols of the algebra of terms: operands between the operators : * / ^, each checked."""
    symbols: list[Symbol] = []
    i, wants_operand = 0, True
    while i < len(tokens):
        token = tokens[i]
        if token.text in ("|", "||"):
            raise formula.error("write group terms in parentheses: (x | g)", token.at)
        if wants_operand:
            operand, i = _parse_operand(formula, tokens, i)
            symbols += operand
            wants_operand = False
        else:
            if token.text not in (":", "*", "/", "^", "**"):
                raise formula.error(f"an operator is missing before {token.text!r}", token.at)
            if token.text in ("^", "**"):
                symbols += _parse_power(formula, tokens, i, symbols)
                i += 2
            else:
                symbols.append(token.text)
                i += 1
                wants_operand = True
    if wants_operand:
        last = tokens[-1] if tokens else None
        raise formula.error(
            f"the formula ends after {last.text!r}" if last else "a term is missing", last.at if last else None
        )
    return symbols


def _refuse_many_terms(formula: FormulaText, symbols: Sequence[Symbol], first: Token) -> None:
    """Refuse what products and powers make of a sum, before formulaic works it out; a sum may be as long as it likes."""
    most = max(MAX_TERMS, sum(isinstance(symbol, Expression) for symbol in symbols))
    try:
        expanded(symbols, most)
    except TooManyTermsError:
        raise formula.error(
            f"the products in it stand for more than {most} terms; write only the interactions that matter, as a:b",
            first.at,
        ) from None


def _parse_operand(formula: FormulaText, tokens: Sequence[Token], i: int) -> tuple[list[Symbol], int]:
    """The operand that begins at token i, a bracket, 0, 1 or an expression, and the token that follows it."""
    token = tokens[i]
    if token.text == "(":
        end = _closing(formula, tokens, i)
        inner = tokens[i + 1 : end]
        if not inner:
            raise formula.error("empty brackets", token.at)
        if has_bar(inner):
            raise formula.error("a group term stands alone, added with '+'", token.at)
        return ["(", *_parse_sum(formula, inner), ")"], end + 1
    if token.kind == "number":
        if token.text not in ("0", "1"):
            raise formula.error("only 0 or 1 (the intercept) may stand alone; for arithmetic write I(...)", token.at)
        return [token.text], i + 1
    if token.kind in ("name", "quoted"):
        is_call = token.kind == "name" and i + 1 < len(tokens) and tokens[i + 1].text == "("
        end = _closing(formula, tokens, i + 1) if is_call else i
        if is_call and token.text in {*SMOOTHS, *PROCESSES, "offset"}:
            raise formula.error(f"{token.text}() stands alone, added with '+'", token.at)
        special = {MONOTONIC: parse_monotonic, MISSING: parse_missing} if is_call else {}
        return [special.get(token.text, parse_expression)(formula, tokens[i : end + 1])], end + 1
    raise formula.error(f"{token.text!r} is not expected", token.at)


def _closing(formula: FormulaText, tokens: Sequence[Token], opening: int) -> int:
    closing = closing_bracket(tokens, opening)
    if closing is None:
        raise formula.error("unmatched '('", tokens[opening].at)
    return closing


def _parse_power(formula: FormulaText, tokens: Sequence[Token], i: int, symbols: Sequence[Symbol]) -> list[Symbol]:
    """The power that begins at token i, after `symbols` that end in a bracket: `(a + b + c)^2`."""
    token = tokens[i]
    if symbols[-1] != ")":
        raise formula.error(f"{token.text!r} means interaction; for a square write I(x**2)", token.at)
    order = tokens[i + 1] if i + 1 < len(tokens) else None
    if order is None or order.kind != "number" or not order.text.isdigit() or not 1 <= int(order.text) <= 5:
        raise formula.error("after ^ a whole number from 1 to 5 is expected: (a + b + c)^2", token.at)
    opening = len(symbols) - 1 - symbols[::-1].index("(")
    operands = sum(isinstance(symbol, Expression) for symbol in symbols[opening:])
    if math.comb(operands + int(order.text), operands) > MAX_TERMS:
        raise formula.error(f"{operands} terms to the power of {order.text} make too many columns", token.at)
    return ["**", order.text]
