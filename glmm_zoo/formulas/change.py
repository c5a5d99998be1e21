"""A formula changed as R's update() changes it: `. ~ . - x + (1 + x | g)`, where "." is what stood on that side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from glmm_zoo.errors import InputError, listing
from glmm_zoo.formulas.expansion import Term, expanded
from glmm_zoo.formulas.grammar import MAX_TERMS, parse_formula, signed_parts
from glmm_zoo.formulas.terms import Formula, Symbol
from glmm_zoo.formulas.tokens import FormulaText, Token, source_of, tokenize

type _Parts = list[tuple[str, str]]  # sign and text of each summand of a right side

_INTERCEPT = ("0", "1")


def changed_formula(former: str, change: str) -> str:
    """The formula that a change makes of a former one.

    Parameters
    ----------
    former
        `"k | trials(n) ~ x + (1 | g)"`, or a right side alone, `"~ x"`.
    change
        `". ~ . + age - x"`. "." on the left is the former response with its trials(), or within an expression, `log(.)`, the
        response alone; on the right it is the former right side, to which terms are added, or from which they are taken. A
        side without "." is the new one; a left side left out, `"~ . + age"`, is the former one.

    Raises
    ------
    InputError
        A change that is none, or that takes out what is not there; the result may still be no formula of a model.
    """
    old, new = tokenize(former), tokenize(change, change=True)
    (old_left, old_right), (left, right) = _sides(old), _sides(new)
    if not right:
        raise new.error("write what becomes of the response, '~' and what becomes of the predictors: '. ~ . + x'")
    parts: _Parts = []
    for sign, tokens in signed_parts(new, right):
        text = source_of(new, tokens)
        if text == ".":
            if sign == "-":
                raise new.error("'.' cannot be taken out; leave it out", tokens[0].at)
            parts += [(s, source_of(old, part)) for s, part in signed_parts(old, old_right)]
        elif any(t.kind == "former" for t in tokens):
            at = next(t.at for t in tokens if t.kind == "former")
            raise new.error("on the right '.' stands alone, added with '+': . ~ . + x", at)
        elif text in _INTERCEPT:
            parts = [part for part in parts if part[1] not in _INTERCEPT]
            parts += [] if (sign == "+") == (text == "1") else [(sign, text)]
        elif sign == "+":
            _add(parts, text)
        else:
            _take_out(parts, text, former)
    response = _response(old, old_left, new, left)
    written = " ".join(f"{sign} {text}" for sign, text in parts).removeprefix("+ ") or "1"
    return f"{response} ~ {written}".strip()


def _sides(formula: FormulaText) -> tuple[Sequence[Token], Sequence[Token]]:
    """The tokens before and after the "~"."""
    tildes = [i for i, t in enumerate(formula.tokens) if t.text == "~"]
    if len(tildes) > 1:
        raise formula.error("more than one '~'", formula.tokens[tildes[1]].at)
    at = tildes[0] if tildes else len(formula.tokens)
    return formula.tokens[:at], formula.tokens[at + 1 :]


def _response(old: FormulaText, old_left: Sequence[Token], new: FormulaText, left: Sequence[Token]) -> str:
    """The left side with the former response in the place of "."."""
    whole, text = source_of(old, old_left), source_of(new, left)
    if text in ("", "."):
        return whole
    bar = next((i for i, t in enumerate(old_left) if t.text == "|"), len(old_left))
    value = source_of(old, old_left[:bar])
    for token in reversed([t for t in left if t.kind == "former"]):
        at = token.at - left[0].at
        text = f"{text[:at]}{value}{text[at + 1 :]}"
    return text


def _parsed(text: str) -> Formula:
    """A summand as the grammar reads it, without its text, so that `(1|g)` is `(1 | g)`."""
    return replace(parse_formula(f"~ {text}", response=False), text="")


def _add(parts: _Parts, text: str) -> None:
    """Add a term where it is not there; one that had been taken out comes back."""
    term = _parsed(text)
    same = [part for part in parts if part[1] not in _INTERCEPT and _parsed(part[1]) == term]
    for part in same:
        if part[0] == "-":
            parts.remove(part)
    if not same:
        parts.append(("+", text))


def _take_out(parts: _Parts, text: str, former: str) -> None:
    """Take out a summand, or subtract a term that products of the summands hold: x of `x * z`."""
    term = _parsed(text)
    same = [part for part in parts if part[0] == "+" and _parsed(part[1]) == term]
    for part in same:
        parts.remove(part)
    if same:
        return
    population: list[Symbol] = []
    for _, other in parts:
        if other not in _INTERCEPT:
            symbols = _parsed(other).population
            population += ["+", *symbols] if symbols != ("1",) else []
    is_population = not (term.groups or term.smooths or term.offsets)
    if not (is_population and _terms(term.population) <= _terms(population)):
        raise InputError(
            f"formula: there is no {text} to take out of {former.strip()!r}; it has {listing(other for _, other in parts)}"
        )
    parts.append(("-", text))


def _terms(symbols: Sequence[Symbol]) -> set[Term]:
    return expanded(symbols, MAX_TERMS)
