"""The model of a fit as a formula: likelihood, linear predictors, group effects, and what a builder has of its own.

Row i; the level of a factor that it has is [i], so that β with the index period[i] is the coefficient of its period, 0 for the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from glmm_zoo.families.family import is_open
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.report.covariate_words import covariate_name
from glmm_zoo.report.group_math import effect_lines, numbered_effects
from glmm_zoo.report.mathml import (
    MINUS,
    PLUS,
    ROW_INDEX,
    Line,
    call,
    display,
    fraction,
    linked,
    normal,
    num,
    op,
    row,
    squared,
    sub,
    sym,
)
from glmm_zoo.report.member_words import sum_over_members
from glmm_zoo.report.outcome_symbols import NumberedOutcome, level_symbol
from glmm_zoo.report.parts import Part, Parts, Summand
from glmm_zoo.report.residual_words import residual_line, sds_by_visit
from glmm_zoo.report.study_math import meta_lines, network_lines
from glmm_zoo.trials.arms import META_ANALYSES


def model_math(parts: Parts) -> str:
    """The whole model as one MathML formula."""
    if parts.builder in META_ANALYSES:
        return display(list((meta_lines if parts.builder == "meta_analysis" else network_lines)(parts)))
    several = len(parts.outcomes) > 1
    outcomes = [NumberedOutcome(parts, o, (num(n),) if several else ()) for n, o in enumerate(parts.outcomes, start=1)]
    lines: list[Line] = []
    for outcome in outcomes:
        lines += [*_likelihood(outcome), *_predictors(outcome.of_category()), *_correlated_rows(outcome)]
    covariates = [NumberedOutcome(parts, c, (sym(n),), n) for c in parts.covariates for n in [covariate_name(parts, c)]]
    for covariate in covariates:
        lines += [*_likelihood(covariate), *_predictors(covariate)]
    lines += effect_lines(parts, [outcome.of_category() for outcome in (*outcomes, *covariates)])
    if parts.builder == "stepped_wedge":
        lines += _exposure(parts)
    if parts.spec["options"].get("residual_correlation"):
        lines.append(
            (call(sym("corr"), *(o.response() for o in outcomes if o.of.family.name == "gaussian")), "=", sym("ρ"))
        )
    if parts.event is not None:
        lines += _hazard(parts, outcomes)
    return display(lines)


# ---------------------------------------------------------------------------------------------------------- likelihood


def _likelihood(outcome: NumberedOutcome) -> Iterator[Line]:
    """The distribution of a response."""
    y, family, response = outcome.response(), outcome.of.family, outcome.of.main.formula.response
    of_never = outcome.parts.builder == "never_at_risk"
    alone = family.responses == "binary" and (response is None or response.trials is None)
    formula = _formula(outcome, "Bernoulli(p)" if alone else family.formula)
    if family.responses == "ordered":
        yield from _categories(outcome)
    elif family.responses == "unordered":
        k, other = sym("k"), sym("l")
        power = [f"<msup>{sym('e')}{row(outcome.symbol('η', of, ROW_INDEX))}</msup>" for of in (k, other)]
        total = f"{num(1)}{PLUS}<munder>{op('∑')}{other}</munder>{power[1]}"
        yield call(sym("P"), f"{y}{op('=')}{k}"), "=", fraction(power[0], total)
    elif family.responses == "time":
        if outcome.of.causes:
            outcome = outcome.of_category()
            formula = _formula(outcome, family.formula)
        hazard, log_time = (
            call(outcome.symbol("h", ROW_INDEX), sym("t")),
            call(sym("log"), outcome.symbol("T", ROW_INDEX)),
        )
        yield hazard if outcome.of.link == "log_hazard" else log_time, "=", formula
    elif family.ends:
        for event, probability in family.ends:
            yield call(sym("P"), _formula(outcome, event)), "=", _formula(outcome, probability)
        yield f"{y}{sym('\N{NO-BREAK SPACE}otherwise')}", "∼", formula
    elif family.zeros == "all":
        yield call(sym("P"), f"{y}{op('=')}{num(0)}"), "=", outcome.symbol("π", ROW_INDEX)
        positive = f"{op('|')}{y}{op('>')}{num(0)}"
        yield f"{y}{positive}", "∼", f"{formula}{positive}"
    elif family.zeros == "structural":
        zero = f"{y}{sym('\N{NO-BREAK SPACE}is a structural zero')}"
        yield call(sym("P"), zero), "=", outcome.symbol("π", ROW_INDEX)
        yield f"{y}{sym('\N{NO-BREAK SPACE}otherwise')}", "∼", formula
    elif family.truncated:
        seen = f"{op('|')}{_between(outcome, *(family.bounds or ()))}"
        yield f"{y}{seen}", "∼", f"{formula}{seen}"
    elif sds_by_visit(outcome.parts):
        yield y, "∼", normal(squared(_of_visit(outcome)), outcome.symbol("μ", ROW_INDEX))
    else:
        yield f"{y}{op('|')}{sym('at risk')}" if of_never else y, "∼", formula
    if of_never:
        subject = level_symbol(outcome.parts, (outcome.parts.spec["options"]["subject"],))
        yield call(sym("P"), f"{subject}{sym('\N{NO-BREAK SPACE}is never at risk')}"), "=", sub(sym("π"), subject)


def _between(outcome: NumberedOutcome, low: float | str, high: float | str) -> str:
    """ "1 ≤ y ≤ limit", without an end that is open."""

    def end(of: float | str) -> str:
        return sub(sym(outcome.parts.about.name(of)), ROW_INDEX) if isinstance(of, str) else num(f"{of:g}")

    lead = "" if is_open(low) else f"{end(low)}{op('≤')}"
    return f"{lead}{outcome.response()}{'' if is_open(high) else f'{op("≤")}{end(high)}'}"


def _of_visit(outcome: NumberedOutcome) -> str:
    return outcome.symbol("σ", level_symbol(outcome.parts, (outcome.parts.spec["options"]["time"],)))


def _correlated_rows(outcome: NumberedOutcome) -> list[Line]:
    """The correlation of two rows of a subject."""

    def visit(index: str) -> str:
        return f"{sym(outcome.parts.spec['options']['time'])}{op('[')}{sym(index)}{op(']')}"

    line = residual_line(outcome.parts, lambda index: outcome.symbol("y", sym(index)), visit)
    return [] if line is None else [line]


def _formula(outcome: NumberedOutcome, text: str) -> str:
    """The formula of a family: symbols of rows have their index, n may be one number of trials, y is the response."""
    family, response = outcome.of.family, outcome.of.main.formula.response
    of_rows = {family.symbol, "n", "z", *(own.symbol for own in family.own if own.name in outcome.of.others)}
    trials = response.trials if response is not None else None
    parts: list[str] = []
    for token in re.findall(r"[A-Za-z]{2,}|\S", text):
        if token == "²":
            parts[-1] = squared(parts[-1])
        elif token == "₀":
            parts[-1] = sub(parts[-1], num(0))
        elif token == "n" and isinstance(trials, int):
            parts.append(num(trials))
        elif token in of_rows:
            parts.append(outcome.symbol(token, ROW_INDEX))
        elif token == "y":
            parts.append(outcome.response())
        elif token in "kl" or len(token) > 1:
            parts.append(sym(token))
        else:
            parts.append(outcome.symbol(token) if token.isalpha() else num(token) if token.isdigit() else op(token))
    return "".join(parts)


def _of_row(outcome: NumberedOutcome, name: str) -> str:
    """An own parameter, which is that of the row where it has a predictor."""
    own = outcome.of.family.own_parameter(name)
    assert own is not None
    return outcome.symbol(own.symbol, *([ROW_INDEX] if name in outcome.of.others else []))


def _categories(outcome: NumberedOutcome) -> Iterator[Line]:
    """Cumulative or sequential probabilities of ordered categories."""
    k = sym("k")
    event, after = _formula(outcome, outcome.of.family.formula), f"{k}{PLUS}{num(1)}"
    nominal = outcome.parts.spec["facts"].get("nominal")
    cut = outcome.symbol("c", k, ROW_INDEX) if nominal else outcome.symbol("c", k)
    distance = f"{cut}{MINUS}{outcome.symbol('η', ROW_INDEX)}"
    if "disc" in outcome.of.others:
        distance = f"{_of_row(outcome, 'disc')}{op('(')}{distance}{op(')')}"
    yield linked(outcome.of.link, call(sym("P"), event)), "=", distance
    if nominal:
        yield (
            call(sym("log"), f"{sub(sym('c'), after, ROW_INDEX)}{MINUS}{cut}"), "=",
            f"{call(sym('log'), f'{sub(sym("c"), after)}{MINUS}{sub(sym("c"), k)}')}{PLUS}"
            f"{sub(sym('γ'), k)}{sub(sym('w'), ROW_INDEX)}",
        )  # fmt: skip


# --------------------------------------------------------------------------------------------------- linear predictors


def _predictors(outcome: NumberedOutcome) -> Iterator[Line]:
    """The linear predictor of the mean, then those of further parts."""
    of, s = outcome.of, outcome.symbol
    without_intercept, mean = of.family.responses == "ordered", s(of.family.symbol, ROW_INDEX)
    extra = [*_offsets(outcome), *_treatment(outcome.parts)]
    left = mean if of.family.symbol == "η" else linked(of.link, mean)
    yield left, "=", _predictor(outcome, of.main, extra, without_intercept)
    yield from _steps(outcome, of.main)
    for name, part in of.others.items():
        if name == "nominal":
            continue
        own = of.family.own_parameter(name)
        left = s(own.symbol if own else "π", ROW_INDEX)
        if name == "never":
            left = sub(sym("π"), level_symbol(outcome.parts, (outcome.parts.spec["options"]["subject"],)))
        yield linked(part.link, left), "=", _predictor(outcome, part, [])
        yield from _steps(outcome, part)


def _steps(outcome: NumberedOutcome, part: Part) -> Iterator[Line]:
    """mo(x) = D (s_1 + ... + s_x), x = 0, ..., D, for each monotonic effect of a predictor."""
    of = [sym(part.of)] if part.of else []
    expressions = dict.fromkeys(e for term in part.terms for e in term if e.kind == "monotonic")
    for x, levels in ((sym(outcome.parts.name(e)), outcome.parts.monotonic_levels(e)) for e in expressions):
        share = [outcome.symbol("s", *of, x, index) for index in (num(1), x)]
        sum_of_shares = f"{op('(')}{share[0]}{PLUS}{op('⋯')}{PLUS}{share[1]}{op(')')}"
        yield call(sym("mo"), x), "=", f"{num(len(levels) - 1)}{sum_of_shares}"


def _predictor(outcome: NumberedOutcome, part: Part, extra: Sequence[str], without_intercept: bool = False) -> str:
    """Intercept, coefficients, curves and group effects, added up."""
    level, coefficient, effect = outcome.of.letters(part.of)
    summands = (
        [] if without_intercept or not part.intercept else [outcome.symbol(level, *([num(0)] if part.of else []))]
    )
    summands += [_times(outcome, coefficient, term) for term in part.terms]
    for smooth in part.formula.smooths:
        of_by = [level_symbol(outcome.parts, (smooth.by,))] if smooth.by else []
        curve = outcome.symbol("f", *(sym(outcome.parts.about.name(v)) for v in smooth.variables), *of_by)
        summands.append(call(curve, *(sub(sym(outcome.parts.about.name(v)), ROW_INDEX) for v in smooth.variables)))
    summands += extra
    for group, effects in numbered_effects(part):
        loaded = outcome.parts.loaded(outcome.of, group)
        for term, number in effects:
            indices = *number, level_symbol(outcome.parts, group.factor)
            value = (
                sum_over_members(outcome.parts, group, effect, (*outcome.index, *number))
                if group.members
                else outcome.symbol("λ") + sub(sym(effect), num(1), *indices)
                if loaded
                else outcome.symbol(effect, *indices)
            )
            summands.append(value + _covariates(outcome.parts, term))
    return PLUS.join(summands) or num(0)


def _times(outcome: NumberedOutcome, coefficient: str, term: Summand) -> str:
    """A coefficient, with the levels of factors as indices, times the columns of numbers."""
    parts = outcome.parts
    indices = [
        f"{sym(parts.name(e))}{op('[')}{ROW_INDEX}{op(']')}" if parts.levels(e) else sym(parts.name(e)) for e in term
    ]
    return outcome.symbol(coefficient, *indices) + _covariates(parts, term)


def _covariates(parts: Parts, term: Summand) -> str:
    return "".join(
        call(sym("mo"), sub(sym(parts.name(e)), ROW_INDEX))
        if e.kind == "monotonic"
        else op("(") + sym(e.text) + op(")") + sub("<mrow></mrow>", ROW_INDEX)
        if e.kind == "call"
        else sub(sym(parts.name(e)), ROW_INDEX)
        for e in term
        if not parts.levels(e)
    )


def _offsets(outcome: NumberedOutcome) -> list[str]:
    """log of the exposure, and offsets."""
    exposure = None if outcome.called else outcome.parts.spec["options"].get("exposure")
    found = [call(sym("log"), sub(sym(outcome.parts.about.name(exposure)), ROW_INDEX))] if exposure else []
    return [*found, *(sub(sym(o.text), ROW_INDEX) for o in outcome.of.main.formula.offsets)]


def _treatment(parts: Parts) -> list[str]:
    """The effect of a stepped wedge, once the cluster of a row has crossed over."""
    if parts.builder != "stepped_wedge":
        return []
    course = parts.spec["facts"]["exposure_time"]
    treat = sub(sym("x"), ROW_INDEX)
    if course == "constant":
        found = [f"{sym('θ')}{treat}"]
    else:
        found = [f"{sub(sym('θ'), row(sym('e'), op('['), ROW_INDEX, op(']')))}{treat}"]
    if parts.spec["options"].get("treatment_effect") == "random":
        found.append(sub(sym("w"), level_symbol(parts, (parts.spec["facts"]["cluster"],))) + treat)
    return found


# ---------------------------------------------------------------------------------------------------- single builders


def _exposure(parts: Parts) -> Iterator[Line]:
    """What the effect of a wedge is after e periods, and the correlation of a cluster's periods where it decays."""
    facts, e = parts.spec["facts"], sym("e")
    if facts["exposure_time"] == "monotone":
        yield (
            sub(sym("θ"), e),
            "=",
            f"{sym('θ')}{op('(')}{sub(sym('s'), num(1))}{PLUS}{op('⋯')}{PLUS}{sub(sym('s'), e)}{op(')')}",
        )
    if facts["correlation"] == "decay":
        s, t, c = sym("s"), sym("t"), sym("c")
        distance = row(op("|"), t, MINUS, s, op("|"))
        yield call(sym("corr"), sub(sym("u"), c, s), sub(sym("u"), c, t)), "=", f"<msup>{sym('ρ')}{distance}</msup>"


def _hazard(parts: Parts, outcomes: Sequence[NumberedOutcome]) -> Iterator[Line]:
    """The hazard of the event of subject j at time t; of several causes, of each cause k."""
    event, t, j = parts.spec["event"], sym("t"), sym("j")
    k = [sym("k")] if len(event["causes"]) > 1 else []
    assert parts.event is not None
    part = Part("", "log", parts.event.covariates)
    summands = []
    for term in part.terms:
        indices = [
            f"{sym(parts.name(e))}{op('[')}{j}{op(']')}" if parts.levels(e) else sym(parts.name(e)) for e in term
        ]
        columns = [sub(sym(parts.name(e)), j) for e in term if not parts.levels(e)]
        summands.append(sub(sym("γ"), *k, *indices) + "".join(columns))
    by_name = {variable_name(o.of.prefix): o for o in outcomes}
    for n, label in enumerate(event["association"], start=1):
        name, _, form = label.rpartition(":") if label.split(":")[0] in by_name else ("", "", label)
        number = [num(n)] if len(event["association"]) > 1 else []
        summands.append(sub(sym("a"), *k, *number) + _followed(by_name.get(name, outcomes[0]), form))
    if parts.event.covariates.groups:
        summands.append(sub(sym("v"), j))
    risk = call(sym("exp"), PLUS.join(summands))
    yield call(sub(sym("h"), *k, j), t), "=", f"{call(sub(sym('h'), *k, num(0)), t)}{risk}"


def _followed(outcome: NumberedOutcome, label: str) -> str:
    """What of a marker's course the hazard follows."""
    form, _, covariate = label.partition(":")
    t, j, mean = sym("t"), sym("j"), outcome.symbol("μ" if outcome.of.link == "identity" else "η", sym("j"))
    times = sub(sym(covariate), j) if covariate else ""
    if form.startswith("value"):
        return call(mean, t) + times
    if form.startswith("slope"):
        return fraction(f"{sym('d')}{call(mean, t)}", f"{sym('d')}{t}") + times
    if form.startswith("area"):
        return f"{op('∫')}{call(mean, sym('s'))}{sym('d')}{sym('s')}{times}"
    return sym(label)
