"""Expressions of columns in a formula, `log(x / 10)` or `C(arm, ref="b")`: checked, never evaluated.

formulaic, which codes terms later, evaluates Python, and a formula may come from a file that a stranger wrote. So every
function must be on a short list, every column is replaced by a place `{i}`, and what is left must parse to a syntax tree
of arithmetic and calls: the second wall, after that of the tokens. Nothing else goes on.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Sequence

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.formulas.terms import Expression
from glmm_zoo.formulas.tokens import FormulaText, Token, column_name, is_call_of, split_arguments, text_of

# What may be called: the arguments beyond the first, in order, with the largest whole number each may be.
_PLAIN: dict[str, int] = {}
_SPLINE = {"df": 100}
FUNCTIONS = {
    **dict.fromkeys(("I", "log", "log1p", "log2", "log10", "exp", "expm1", "sqrt", "abs"), _PLAIN),
    **dict.fromkeys(("scale", "center", "standardize", "C"), _PLAIN),
    "poly": {"degree": 10},
    "bs": {**_SPLINE, "degree": 5, "include_intercept": 1},
    **dict.fromkeys(("cr", "cs", "cc"), _SPLINE),
}
SMOOTHS = frozenset({"s", "t2"})  # calls that are terms of their own
MONOTONIC, MISSING = "mo", "mi"
MAX_NODES = 300  # of the syntax tree of an expression
MAX_EXPONENT = 10

_ARITHMETIC = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.keyword, ast.Load,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.UAdd, ast.USub,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq,
)  # fmt: skip


def parse_expression(formula: FormulaText, tokens: Sequence[Token]) -> Expression:
    """One expression, which is all of `tokens`: a column, a factor, or arithmetic and calls of the short list.

    Raises
    ------
    InputError
        A function or an operator that is not known here, arguments out of range, no column.
    """
    if len(tokens) == 1 and tokens[0].kind in ("name", "quoted"):
        name = column_name(tokens[0])
        return Expression("column", name, (name,), "{0}")
    code, columns = _with_places(formula, tokens)
    tree = _checked_tree(formula, code, tokens)
    if not columns:
        raise formula.error(f"{text_of(tokens)!r} names no column", tokens[0].at)
    if is_call_of(tokens, {"C"}):
        return _factor(formula, tree, columns, tokens)
    if any(t.text == "C" and following.text == "(" for t, following in itertools.pairwise(tokens)):
        raise formula.error("C() stands alone or in an interaction", tokens[0].at)
    return Expression("call", code.format(*columns), columns, code)


def _with_places(formula: FormulaText, tokens: Sequence[Token]) -> tuple[str, tuple[str, ...]]:
    """The tokens as Python with each column written `{i}`, and the columns; every token is one that may stand there."""
    columns: list[str] = []
    words: list[str] = []
    for i, token in enumerate(tokens):
        following = tokens[i + 1].text if i + 1 < len(tokens) else ""
        if token.kind == "quoted" or (token.kind == "name" and following not in ("(", "=")):
            if token.text not in ("True", "False"):
                name = column_name(token)
                if name not in columns:
                    columns.append(name)
                words.append(f"{{{columns.index(name)}}}")
                continue
        elif token.kind == "name" and following == "(":
            if token.text in (MONOTONIC, MISSING):
                raise formula.error(f"{token.text}() stands alone or in an interaction", token.at)
            if token.text not in FUNCTIONS:
                raise _unknown_function(formula, token)
        elif token.kind == "name" and not token.text.isidentifier():
            raise formula.error(f"{token.text!r} is not allowed in a formula", token.at)
        elif token.text in ("|", "||", "~", ":", "^"):
            hint = "; for a power write x**2" if token.text == "^" else ""
            raise formula.error(f"{token.text!r} is not allowed inside an expression{hint}", token.at)
        words.append(token.text)
    return _spelt(words), tuple(columns)


def _spelt(words: Sequence[str]) -> str:
    """Words as one text in which no two of them run together."""
    out = ""
    for word in words:
        ends_in_word = out[-1:].isalnum() or out[-1:] in ("}", "_", "'", '"')
        apart = ends_in_word and (word[0].isalnum() or word[0] in "{_'\"")
        apart |= out[-1:] in "*<>=!" and out != "" and word[0] in "*<>=!"
        out += (" " if apart else "") + (", " if word == "," else word)
    return out


def _unknown_function(formula: FormulaText, token: Token) -> InputError:
    if "__" in token.text or "." in token.text:
        return formula.error(f"{token.text!r} is not allowed in a formula", token.at)
    if token.text in ("factor", "as.factor"):
        return formula.error(f"unknown function {token.text!r}; write C(x)", token.at)
    known = sorted({*FUNCTIONS} | SMOOTHS | {"offset", MONOTONIC, MISSING}, key=str.lower)
    return formula.error(
        f"unknown function {token.text!r}{did_you_mean(token.text, known) or ';'} allowed: {listing(known, 99)}",
        token.at,
    )


# ------------------------------------------------------------------------------------------------------ the second wall


def _checked_tree(formula: FormulaText, code: str, tokens: Sequence[Token]) -> ast.expr:
    """The syntax tree of the code, which is small and has nothing but arithmetic and calls of the list."""
    try:
        tree = ast.parse(re.sub(r"\{(\d+)\}", r"v\1", code), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError, IndexError):
        raise formula.error(f"{text_of(tokens)!r} is not an expression", tokens[0].at) from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise formula.error("the expression is too long", tokens[0].at)
    text_allowed = is_call_of(tokens, {"C"})
    for node in ast.walk(tree):
        problem = _problem_of(node, text_allowed)
        if problem:
            raise formula.error(problem, tokens[0].at)
    return tree.body


def _problem_of(node: ast.AST, text_allowed: bool) -> str | None:
    """Why a node of the tree may not stand in a formula, or None."""
    if not isinstance(node, _ARITHMETIC):
        return f"{type(node).__name__} is not allowed in a formula"
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and not text_allowed:
        return f"text ({node.value!r}) is not allowed here"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = _number(node.right)
        if power is None or abs(power) > MAX_EXPONENT or _number(node.left) is not None:
            return f"a power is x**2: an exponent is a number of at most {MAX_EXPONENT}"
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            return "only the functions of the list may be called"
        return None if name == "C" else _problem_of_arguments(name, node)
    return None


def _problem_of_arguments(name: str, call: ast.Call) -> str | None:
    """Why the arguments beyond the first are not those that the function may have here, or None."""
    largest = FUNCTIONS[name]
    by_position = dict(zip(largest, call.args[1:], strict=False))
    by_keyword = {k.arg: k.value for k in call.keywords}
    too_many = len(call.args) - 1 > len(largest)
    if not call.args or too_many or not by_keyword.keys() <= largest.keys() - by_position.keys():
        return f"{name}() takes {' and '.join(['one expression', *largest])}"
    for argument, node in {**by_position, **by_keyword}.items():
        value = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(value, int) or not 0 <= value <= largest[str(argument)]:
            return f"{argument} of {name}() is a whole number of at most {largest[str(argument)]}"
    return None


def _factor(formula: FormulaText, call: ast.expr, columns: tuple[str, ...], tokens: Sequence[Token]) -> Expression:
    """`C(x)`, or `C(x, ref=...)` with a level in quotes or a number."""
    if isinstance(call, ast.Call) and len(call.args) == 1 and isinstance(call.args[0], ast.Name):
        given = [k.value for k in call.keywords if k.arg == "ref"]
        levels = [node.value for node in given if isinstance(node, ast.Constant)]
        levels += [n for node in given if isinstance(node, ast.UnaryOp) and (n := _number(node)) is not None]
        if len(levels) == len(call.keywords) <= 1:
            return Expression("factor", columns[0], columns, "{0}", str(levels[0]) if levels else None)
    raise formula.error('C() takes a column and a reference level: C(x) or C(x, ref="b")', tokens[0].at)


def parse_monotonic(formula: FormulaText, tokens: Sequence[Token]) -> Expression:
    """`mo(x)`, or `mo(x, levels="low,mid,high")` from the lowest level to the highest."""
    column, *more = split_arguments(tokens[2:-1])
    named = len(column) == 1 and column[0].kind in ("name", "quoted")
    given = len(more) == 1 and len(more[0]) == 3 and [t.text for t in more[0][:2]] == ["levels", "="]
    order = tuple(part.strip() for part in more[0][2].text[1:-1].split(",")) if given else None
    if not named or len(more) > 1 or (more and not (given and more[0][2].kind == "string")):
        raise formula.error(
            'mo() takes a column and, where its levels have no order of their own, these from the lowest: mo(x, levels="low,mid,high")',
            tokens[0].at,
        )
    if order is not None and (len(set(order)) < len(order) or "" in order):
        raise formula.error(
            f"levels of mo() are {listing(order)!r}; give each once, from the lowest to the highest", tokens[0].at
        )
    name = column_name(column[0])
    return Expression("monotonic", f"mo({name})", (name,), "{0}", order=order)


def parse_missing(formula: FormulaText, tokens: Sequence[Token]) -> Expression:
    """`mi(x)`, a covariate whose missing values are unknowns."""
    inner = tokens[2:-1]
    if len(inner) != 1 or inner[0].kind not in ("name", "quoted"):
        raise formula.error("mi() takes one column: mi(x)", tokens[0].at)
    name = column_name(inner[0])
    return Expression("missing", f"mi({name})", (name,), "{0}")


def _number(node: ast.AST) -> float | None:
    """The value of a number, with its sign, else None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _number(node.operand)
        return None if value is None else -value
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else None
