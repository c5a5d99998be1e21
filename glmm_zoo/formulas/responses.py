"""Left sides of formulas: `y`, `successes | trials(n)`, and `Surv(time, event)`, when an event came or was last known not to have come."""

from __future__ import annotations

from collections.abc import Sequence

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
    """`y`, `successes | trials(n)`, or `Surv(time, event)`.

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
    trials = None
    if bar is not None:
        addition = tokens[bar + 1 :]
        if not is_call_of(addition, {"trials"}):
            raise formula.error(
                f"after '|' only trials(n) is known{_instead_of_weights(value, addition)}", tokens[bar].at
            )
        if len(addition) == 3:
            raise formula.error("trials() is empty; write trials(n)", addition[0].at)
        constant = len(addition) == 4 and addition[2].text.isdigit()
        trials = int(addition[2].text) if constant else parse_expression(formula, addition[2:-1])
    if not value:
        raise formula.error("the response is missing before '|'")
    return Response(parse_expression(formula, value), trials)


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
    return f"; for a proportion of {n} make a column of successes, round({text_of(value)} * {n}), and write successes | trials({n})"
