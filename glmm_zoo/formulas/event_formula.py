"""The formula of an event, `Surv(years, death) ~ drug`: when it came or was last known not to have come, and its covariates."""

from __future__ import annotations

from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.responses import parse_surv
from glmm_zoo.formulas.terms import EventFormula
from glmm_zoo.formulas.tokens import is_call_of, tokenize


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
    surv = parse_surv(formula, left)
    start = right[0].at
    covariates = parse_formula(formula.text[start:], response=False)
    if covariates.smooths:
        raise formula.error("the covariates of an event are population terms; s() is not there", start)
    return EventFormula(surv.kind, surv.times, surv.event, formula.text.strip(), covariates)
