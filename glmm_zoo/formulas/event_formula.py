"""The formula of an event, `Surv(years, death) ~ drug`: when it came or was last known not to have come, and its covariates."""

from __future__ import annotations

from collections.abc import Sequence

from glmm_zoo.formulas.expressions import parse_expression
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.terms import EventFormula, Expression, StatusTest
from glmm_zoo.formulas.tokens import FormulaText, Token, column_name, is_call_of, split_arguments, tokenize

# What Surv() is, by its `type` and the number of its other arguments.
_SURVIVAL_KINDS = {
    ("", 2): "right", ("right", 2): "right", ("", 3): "counting", ("counting", 3): "counting",
    ("interval2", 2): "interval2", ("interval", 3): "interval", ("left", 2): "left",
}  # fmt: skip


def parse_event_formula(text: str) -> EventFormula:
    """Parse the formula of an event: `"Surv(years, death) ~ drug"`.

    Raises
    ------
    InputError
        One sentence that says what is wrong and, where it helps, where.
    """
    formula = tokenize(text)
    example = "Surv(years, death) ~ drug, or ~ 1"
    tilde = next((i for i, t in enumerate(formula.tokens) if t.text == "~"), None)
    if tilde is None:
        raise formula.error(f"write the event, '~' and its covariates: {example}")
    left, right = formula.tokens[:tilde], formula.tokens[tilde + 1 :]
    if not is_call_of(left, {"Surv"}):
        raise formula.error(f"the left side of an event is Surv(time, event) or Surv(start, stop, event): {example}", 0)
    if not right:
        raise formula.error("nothing follows '~'; write 1 for no covariates")
    kind, times, event = _parse_surv(formula, left)
    start = right[0].at
    covariates = parse_formula(formula.text[start:], response=False)
    if covariates.groups or covariates.smooths:
        raise formula.error(
            'the covariates of an event are population terms; a frailty of the subject is association="shared_effects"',
            start,
        )
    return EventFormula(formula.text.strip(), kind, times, event, covariates)


def _parse_surv(
    formula: FormulaText, tokens: Sequence[Token]
) -> tuple[str, tuple[Expression, ...], Expression | StatusTest | None]:
    """The kind of censoring, the times, and the event, of a call of Surv()."""
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
    return kind, tuple(t for t in arguments if isinstance(t, Expression)), event
