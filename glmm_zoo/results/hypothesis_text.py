"""A hypothesis as text, `odds_ratio[trt] > 1`: names of the summary, numbers, arithmetic, comparisons.

It is cut into tokens, put into the order of computation (Dijkstra's shunting yard), and computed with a stack, so that
nothing is evaluated as Python and no text is too deep.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing, shown
from glmm_zoo.formulas.expressions import MAX_EXPONENT
from glmm_zoo.formulas.tokens import MAX_DEPTH, MAX_LENGTH, Token, text_of

RELATIONS = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}  # and "=", which needs a region
_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow}
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4}
_BINDING_OF_SIGN = 3
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs}
_MEASURES = {"-": "difference", "/": "ratio"}
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<function>[^\W\d][\w.]*(?=\s*\())
      | (?P<name>`[^`]+`|[^\W\d][\w.:]*)
      | (?P<op>\*\*|<=|>=|==|[-+*/()<>=])
    """,
    re.VERBOSE,
)
_GOES_ON = re.compile(r"[\w.:\[\]]")  # after what is a name only in part


@dataclass(frozen=True)
class Side:
    """An expression: its text with the names of the summary, and its tokens, each after what it is computed from."""

    text: str
    tokens: tuple[Token, ...]

    def computed(self, draws: Mapping[str, Any]) -> tuple[Any, str]:
        """Its value, an array where it has a parameter, and whether it is a "difference" or "ratio" of such, or a "value"."""
        stack: list[Any] = []
        measure = "value"
        with np.errstate(all="ignore"):  # whoever asked is told where the value is not finite
            for token in self.tokens:
                measure = "value"
                if token.kind == "number":
                    stack.append(np.float64(token.text))
                elif token.kind == "name":
                    stack.append(draws[token.text])
                elif token.kind == "function":
                    stack.append(_FUNCTIONS[token.text](stack.pop()))
                elif token.kind == "sign":
                    stack.append(-stack.pop())
                else:
                    right, left = stack.pop(), stack.pop()
                    if np.ndim(left) and np.ndim(right):
                        measure = _MEASURES.get(token.text, "value")
                    if token.text == "**" and not np.ndim(right) and abs(right) > MAX_EXPONENT:
                        raise hypothesis_error(
                            self.text, f"an exponent that is a number is at most {MAX_EXPONENT}, not {right:g}"
                        )
                    stack.append(_ARITHMETIC[token.text](left, right))
        return stack.pop(), measure


@dataclass(frozen=True)
class HypothesisText:
    """A hypothesis taken apart: expressions, and the relations (">", "<", ">=", "<=", "=") between them."""

    text: str
    sides: tuple[Side, ...]
    relations: tuple[str, ...]

    @property
    def said(self) -> str:
        """The hypothesis with the names of the summary."""
        first, *others = (side.text for side in self.sides)
        return " ".join([first, *(f"{r} {s}" for r, s in zip(self.relations, others, strict=True))])


def hypothesis_error(text: str, message: str) -> InputError:
    """The error to raise, which shows the text whole unless it is very long."""
    return InputError(f"hypothesis {repr(text) if len(text) <= 200 else shown(text)}: {message}")


def parse_hypothesis(text: str, names: Collection[str]) -> HypothesisText:
    """Take a hypothesis apart.

    Parameters
    ----------
    names
        The names of the summary. Spaces and backticks in a name do not count, and its levels (`beta[trt]` for
        `beta[trt[drug]]`) or all in brackets may be left out where one name remains.

    Raises
    ------
    InputError
        It is not text, it is too long or too deep, it has names, characters or functions that are not known here, or it is
        not arithmetic.
    """
    if not isinstance(text, str):
        raise InputError(f"a hypothesis is text such as 'beta[a] > beta[b]', not {shown(text)}")
    if len(text) > MAX_LENGTH:
        raise InputError(f"the hypothesis has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    parts, relations = [list[Token]()], list[str]()
    depth = 0
    for token in _tokens(text, names):
        depth += (token.text == "(") - (token.text == ")")
        if token.kind != "op" or token.text not in (*RELATIONS, "=", "=="):
            parts[-1].append(token)
        elif depth:
            raise hypothesis_error(
                text, f"{token.text!r} at position {token.at + 1} stands in brackets, where none can"
            )
        else:
            parts.append([])
            relations.append("=" if token.text == "==" else token.text)
    if len(relations) > 1 and (len(relations) > 2 or len({r[0] for r in relations}) > 1 or "=" in relations):
        raise hypothesis_error(text, "it has one comparison, or two in one direction such as -1 < a < 1")
    sides = tuple(Side(text_of(part).strip(), tuple(_in_order_of_computation(text, part))) for part in parts)
    return HypothesisText(text.strip(), sides, tuple(relations))


def _tokens(text: str, names: Collection[str]) -> Iterator[Token]:
    """The tokens of a text, spaces too; a parameter has its name in the summary."""
    lengths = sorted({len(name) for name in names}, reverse=True)
    at = 0
    while at < len(text):
        # names have whatever characters columns and levels have, so that the longest that stands here is taken
        whole = (text[at : at + n] for n in lengths)
        name = next((n for n in whole if n in names and not _GOES_ON.match(text, at + len(n))), None)
        match = _TOKEN.match(text, at)
        if name is not None:
            yield Token("name", name, at)
            at += len(name)
        elif match is None:
            hint = "; for a power write x**2" if text[at] == "^" else ""
            raise hypothesis_error(text, f"{text[at]!r} at position {at + 1} is not allowed{hint}")
        elif match.lastgroup == "name":
            end = _end_of_brackets(text, match.end())
            yield Token("name", _meant(text, text[at:end], names), at)
            at = end
        else:
            yield _checked(text, Token(str(match.lastgroup), match.group(), at))
            at = match.end()


def _end_of_brackets(text: str, opening: int) -> int:
    """Where the square brackets that open at a place end; the place itself where none opens."""
    if not text.startswith("[", opening):
        return opening
    depth = 0
    for i in range(opening, len(text)):
        depth += (text[i] == "[") - (text[i] == "]")
        if depth == 0:
            return i + 1
    raise hypothesis_error(text, f"unmatched '[' at position {opening + 1}")


def _checked(text: str, token: Token) -> Token:
    """A token that is no parameter, if it may stand in a hypothesis."""
    if token.kind == "function" and token.text not in _FUNCTIONS:
        allowed = f"{did_you_mean(token.text, _FUNCTIONS) or ';'} allowed: {listing(_FUNCTIONS)}"
        raise hypothesis_error(text, f"unknown function {shown(token.text)}{allowed}")
    if token.kind == "number" and not np.isfinite(float(token.text)):
        raise hypothesis_error(text, f"the number {shown(token.text)} is too large")
    return token


def _meant(text: str, written: str, names: Collection[str]) -> str:
    """The name of the summary that is meant by one that was written otherwise."""
    word = _without_spaces(written)
    found = [n for n in names if _without_spaces(n) == word]
    found = found or [
        n for n in names if word in (_without_spaces(re.sub(r"\[[^\[\]]*\](?=.)", "", n)), n.split("[")[0])
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise hypothesis_error(text, f"{shown(written)} may be {listing(found, 6)}; write which")
    advice = did_you_mean(written, names) or "; zoo.summary(tree, group_effects=True) has the names"
    raise hypothesis_error(text, f"no parameter is called {shown(written)}{advice}")


def _without_spaces(name: str) -> str:
    return re.sub(r"[\s`]+", "", name)


def _in_order_of_computation(text: str, tokens: Sequence[Token]) -> list[Token]:
    """An expression's tokens without brackets and spaces, each operator and function after its operands."""
    done: list[Token] = []
    waiting: list[Token] = []
    operand_next = True
    for token in tokens:
        if token.kind == "space":
            continue
        if operand_next and token.kind in ("number", "name"):
            done.append(token)
            operand_next = False
        elif operand_next and (token.kind == "function" or token.text == "("):
            waiting.append(token)
        elif operand_next and token.text in ("+", "-"):
            waiting += [Token("sign", token.text, token.at)] if token.text == "-" else []
        elif operand_next:
            raise hypothesis_error(text, f"a parameter or a number is expected before {_place(token)}")
        elif token.text == ")":
            _close(text, token, done, waiting)
        elif token.kind == "op" and token.text in _BINDING:
            while waiting and _goes_first(waiting[-1], token):
                done.append(waiting.pop())
            waiting.append(token)
            operand_next = True
        else:
            raise hypothesis_error(text, f"an operator is expected before {_place(token)}")
        if sum(w.text == "(" for w in waiting) > MAX_DEPTH:
            raise hypothesis_error(text, f"more than {MAX_DEPTH} nested brackets")
    unmatched = next((token for token in waiting if token.text == "("), None)
    if unmatched is not None:
        raise hypothesis_error(text, f"unmatched {_place(unmatched)}")
    if operand_next:
        after = f"after {_place(tokens[-1])}" if tokens else "on each side of a comparison"
        raise hypothesis_error(text, f"a parameter or a number is expected {after}")
    return [*done, *reversed(waiting)]


def _place(token: Token) -> str:
    return f"{shown(token.text)} at position {token.at + 1}"


def _close(text: str, token: Token, done: list[Token], waiting: list[Token]) -> None:
    """What waits inside of the brackets that a token closes is computed, and then the function that they belong to."""
    while waiting and waiting[-1].text != "(":
        done.append(waiting.pop())
    if not waiting:
        raise hypothesis_error(text, f"unmatched {_place(token)}")
    waiting.pop()
    if waiting and waiting[-1].kind == "function":
        done.append(waiting.pop())


def _goes_first(waiting: Token, operator: Token) -> bool:
    """Whether what waits is computed before an operator that stands behind it; powers are computed from the right."""
    if waiting.text == "(":
        return False
    binding = _BINDING_OF_SIGN if waiting.kind == "sign" else _BINDING[waiting.text]
    return binding > _BINDING[operator.text] or (binding == _BINDING[operator.text] and operator.text != "**")
