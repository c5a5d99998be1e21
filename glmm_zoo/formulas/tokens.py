"""A formula cut into tokens, and what can be asked of a row of tokens.

The first wall against code in formulas: what is not a token of the notation, names with double underscores and texts too
long or too deep are refused here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from glmm_zoo.errors import InputError

MAX_LENGTH = 2000  # characters
MAX_DEPTH = 20  # nested brackets

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<quoted>`[^`]*`)
      | (?P<string>"[^"\\]*"|'[^'\\]*')
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[^\W\d][\w.]*)
      | (?P<former>\.)
      | (?P<op>%[^%\s]*%|\*\*|\|\||==|!=|<=|>=|[-+*/:^|~(),=<>])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """One word, number, string or operator; `kind` is a group of `_TOKEN`."""

    kind: str
    text: str
    at: int  # position in the formula, from 0


@dataclass(frozen=True)
class FormulaText:
    """A formula as written, with its tokens, whose brackets match."""

    text: str
    tokens: tuple[Token, ...]

    def error(self, message: str, at: int | None = None) -> InputError:
        """The error to raise, which marks the position `at` in the formula."""
        return _error(self.text, message, at)


def tokenize(text: str, *, change: bool = False) -> FormulaText:
    """Cut a formula into tokens; in a `change` of another formula a "." stands for what was there.

    Raises
    ------
    InputError
        It is not text, it is too long, it has characters or names that no formula has, or its brackets do not match.
    """
    if not isinstance(text, str):
        raise InputError(f"a formula is text such as 'y ~ x + (1 | g)', not {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise InputError(f"the formula has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    formula = FormulaText(text, tuple(_tokens(text, change)))
    _check_brackets(formula)
    return formula


def _error(text: str, message: str, at: int | None) -> InputError:
    if at is None:
        return InputError(f"formula: {message} in {text.strip()!r}")
    return InputError(f"formula: {message} at position {at + 1}\n    {text}\n    {' ' * at}^")


def _tokens(text: str, change: bool) -> Iterator[Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or (match.lastgroup == "former" and not change):
            ch = text[at]
            problem = "unclosed quote" if ch in "\"'`" else f"{ch!r} is not allowed"
            quoted = (
                ""
                if ch in "\"'`."
                else "; a column whose name has such a character stands in backquotes, such as `age in %`,"
            )
            raise _error(text, problem + quoted, at)
        if match.lastgroup == "name" and re.search(r"(^|\.)__\w*__", match.group()):
            raise _error(text, f"{match.group()!r} is not allowed in a formula", at)
        if match.lastgroup == "quoted" and not match.group().strip("`").strip():
            raise _error(text, "a column without a name (``) is not allowed", at)
        if match.lastgroup != "space":
            yield Token(str(match.lastgroup), match.group(), at)
        at = match.end()


def _check_brackets(formula: FormulaText) -> None:
    open_at: list[int] = []
    for token in formula.tokens:
        if token.text == "(":
            open_at.append(token.at)
            if len(open_at) > MAX_DEPTH:
                raise formula.error(f"more than {MAX_DEPTH} nested brackets", token.at)
        elif token.text == ")":
            if not open_at:
                raise formula.error("unmatched ')'", token.at)
            open_at.pop()
        elif token.text.startswith("%"):
            raise formula.error(
                f"{token.text!r} is not supported; use a:x for an interaction, a/x for nesting", token.at
            )
    if open_at:
        raise formula.error("unmatched '('", open_at[-1])


# ---------------------------------------------------------------------------------------------- about a row of tokens


def column_name(token: Token) -> str:
    """The column that a name, or a name in backticks, means."""
    return token.text.strip("`") if token.kind == "quoted" else token.text


def source_of(formula: FormulaText, tokens: Sequence[Token]) -> str:
    """The part of a formula that these tokens are, as it is written; "" for none."""
    return formula.text[tokens[0].at : tokens[-1].at + len(tokens[-1].text)] if tokens else ""


def text_of(tokens: Sequence[Token]) -> str:
    return "".join(t.text for t in tokens)


def closing_bracket(tokens: Sequence[Token], opening: int) -> int | None:
    """The place of the bracket that closes the one at `opening`; None where a formula was cut inside of brackets."""
    depth = 0
    for i in range(opening, len(tokens)):
        depth += (tokens[i].text == "(") - (tokens[i].text == ")")
        if depth == 0:
            return i
    return None


def is_bracketed(tokens: Sequence[Token]) -> bool:
    """Whether one pair of brackets holds all of it."""
    return len(tokens) > 2 and tokens[0].text == "(" and closing_bracket(tokens, 0) == len(tokens) - 1


def is_call_of(tokens: Sequence[Token], functions: Collection[str]) -> bool:
    """Whether all of it is one call, `f(...)`, of one of the functions."""
    if len(tokens) < 3 or tokens[0].text not in functions or tokens[1].text != "(":
        return False
    return closing_bracket(tokens, 1) == len(tokens) - 1


def has_bar(tokens: Sequence[Token]) -> bool:
    """Whether a `|` or `||` stands outside of all brackets."""
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.text in ("|", "||"):
            return True
    return False


def split_arguments(tokens: Sequence[Token]) -> list[list[Token]]:
    """The arguments of a call, cut at the commas that are not in brackets."""
    arguments, depth = [list[Token]()], 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and depth == 0:
            arguments.append([])
        else:
            arguments[-1].append(token)
    return arguments
