"""Left sides of formulas: `y`, `successes | trials(n)`, `y | trunc(lb, ub) + cens(c)`, and `Surv(time, event)`, when an event came or was
last known not to have come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from glmm_zoo.formulas.expressions import parse_expression
from glmm_zoo.formulas.terms import Expression, Response, StatusTest, Surv
from glmm_zoo.formulas.tokens import FormulaText, Token, column_name, is_call_of, split_arguments, text_of

# What Surv() is, by its `type` and the number of its other arguments.
_SURVIVAL_KINDS = {
    ("", 2): "right", ("right", 2): "right", ("", 3): "counting", ("counting", 3): "counting",
    ("interval2", 2): "interval2", ("interval", 3): "interval", ("left", 2): "left",
}  # fmt: skip


def parse_surv(formula: FormulaText, tokens: Sequence[Token]) -> Surv:
    """The call of Surv() that the tokens are.

    Raises
    ------
    InputError
        Other arguments than Surv() takes.
    """
    arguments: list[Expression | StatusTest] = []
    censoring = ""
    for part in split_arguments(tokens[2:-1]):
        if len(part) == 3 and part[0].text == "type" and part[1].text == "=" and part[2].kind == "string":
            censoring = part[2].text[1:-1]
        elif len(part) == 3 and part[1].text in ("==", "!=") and part[2].kind == "string":
            arguments.append(StatusTest(column_name(part[0]), part[2].text[1:-1], part[1].text == "=="))
        elif part:
            arguments.append(parse_expression(formula, part))
    kind = _SURVIVAL_KINDS.get((censoring, len(arguments)))
    if kind is None:
        raise formula.error(
            'Surv() takes (time, event), (start, stop, event), (left, right, type="interval2"), '
            '(time, time2, event, type="interval") or (time, event, type="left")',
            tokens[0].at,
        )
    event = None if kind == "interval2" else arguments.pop()
    for argument in arguments:
        if isinstance(argument, StatusTest):
            raise formula.error(
                f"Surv() has a comparison with {argument.level!r} where a time is expected", tokens[0].at
            )
    return Surv(kind, tuple(t for t in arguments if isinstance(t, Expression)), event)


def parse_response(formula: FormulaText, tokens: Sequence[Token]) -> Response:
    """`y`, `successes | trials(n)`, `y | trunc(lb, ub) + cens(c)`, or `Surv(time, event)`.

    Raises
    ------
    InputError
        What is none of these.
    """
    if is_call_of(tokens, {"Surv"}):
        surv = parse_surv(formula, tokens)
        return Response(surv.times[-1], event=surv)
    bar = next((i for i, t in enumerate(tokens) if t.text == "|"), None)
    value = tokens if bar is None else tokens[:bar]
    if is_call_of(value, {"cbind"}):
        raise formula.error(f"cbind() is not used here; write {_instead_of_cbind(value)} ~ ...", value[0].at)
    said: dict[str, Any] = {}
    for addition in [] if bar is None else _split_additions(tokens[bar + 1 :]):
        role = next((name for name in _ROLES if is_call_of(addition, {name})), None)
        if role is None:
            raise formula.error(
                f"after '|' only trials(n), trunc(lb, ub) and cens(c) are known{_instead_of_weights(value, addition)}",
                tokens[bar or 0].at,
            )
        if len(addition) == 3:
            raise formula.error(f"{role}() is empty; write {_ROLES[role][1]}", addition[0].at)
        if _ROLES[role][0] in said:
            raise formula.error(f"{role}() stands twice", addition[0].at)
        said[_ROLES[role][0]] = _READERS[role](formula, addition)
    if not value:
        raise formula.error("the response is missing before '|'")
    return Response(parse_expression(formula, value), **said)


def _split_additions(tokens: Sequence[Token]) -> list[list[Token]]:
    """What stands behind the bar, cut at each + that is not in brackets."""
    additions, depth = [list[Token]()], 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "+" and depth == 0:
            additions.append([])
        else:
            additions[-1].append(token)
    return additions


def _trials(formula: FormulaText, call: Sequence[Token]) -> Expression | int:
    constant = len(call) == 4 and call[2].text.isdigit()
    return int(call[2].text) if constant else parse_expression(formula, call[2:-1])


def _bounds(formula: FormulaText, call: Sequence[Token]) -> tuple[float | str, float | str]:
    """The numbers or columns of trunc(lb, ub), each of which may have its name; an end that is not there is open."""
    found: dict[str, float | str] = {"lb": -math.inf, "ub": math.inf}
    given: set[str] = set()
    for place, part in enumerate(split_arguments(call[2:-1])):
        named = len(part) > 2 and part[0].text in found and part[1].text == "="
        name, end = (part[0].text, part[2:]) if named else (("lb", "ub", "")[min(place, 2)], part)
        value = _bound(end)
        if not name or name in given or value is None:
            raise formula.error(
                f"trunc() takes numbers or columns, trunc(lb = 1) or trunc(lb = 0, ub = limit), not {text_of(part)}",
                call[0].at,
            )
        found[name] = value
        given.add(name)
    lb, ub = found["lb"], found["ub"]
    if lb == ub or (isinstance(lb, float) and isinstance(ub, float) and lb > ub):
        low, high = (end if isinstance(end, str) else f"{end:g}" for end in (lb, ub))
        raise formula.error(f"trunc() needs lb below ub, not {low} and {high}", call[0].at)
    return lb, ub


def _bound(tokens: Sequence[Token]) -> float | str | None:
    """A number, the name of a column, or None for what is neither."""
    try:
        value = float(text_of(tokens))
    except ValueError:
        return column_name(tokens[0]) if len(tokens) == 1 and tokens[0].kind in ("name", "quoted") else None
    return value if math.isfinite(value) else None


def _censoring(formula: FormulaText, call: Sequence[Token]) -> tuple[str, ...]:
    """The columns of cens(c, y2)."""
    arguments = split_arguments(call[2:-1])
    names = [column_name(a[0]) for a in arguments if len(a) == 1 and a[0].kind in ("name", "quoted")]
    if len(names) != len(arguments) or len(names) > 2:
        raise formula.error(
            "cens() takes a column that says how each value is censored, cens(c), and where there are intervals one of their upper ends, "
            "cens(c, y2)",
            call[0].at,
        )
    return tuple(names)


# By what stands after the bar: the field of the response that it fills, and how it is written.
_ROLES = {"trials": ("trials", "trials(n)"), "trunc": ("bounds", "trunc(lb = 1)"), "cens": ("censoring", "cens(c)")}
_READERS = {"trials": _trials, "trunc": _bounds, "cens": _censoring}


def _instead_of_cbind(call: Sequence[Token]) -> str:
    """Our way to write `cbind(successes, failures)`, where failures may be `n - successes`."""
    arguments = split_arguments(call[2:-1])
    if len(arguments) != 2 or not all(arguments) or len(arguments[0]) != 1:
        return "successes | trials(n)"
    successes, failures = text_of(arguments[0]), arguments[1]
    if len(failures) == 3 and failures[1].text == "-" and failures[2].text == successes:
        return f"{successes} | trials({failures[0].text})"
    return f"{successes} | trials({successes} + {text_of(failures)})"


def _instead_of_weights(value: Sequence[Token], addition: Sequence[Token]) -> str:
    """Our way to write a proportion with its number of trials as weights, `prop | weights(n)`."""
    if not is_call_of(addition, {"weights"}):
        return ""
    n = text_of(addition[2:-1]) or "n"
    return (
        f"; weights of the likelihood are the option weights={n!r}; for a proportion of {n} make a column of successes, "
        f"round({text_of(value)} * {n}), and write successes | trials({n})"
    )
