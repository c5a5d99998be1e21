"""The distributions of group effects, in the formula of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from glmm_zoo.formulas.terms import GroupTerm
from glmm_zoo.report.mathml import Line, call, listed, normal, num, op, squared, student_law, sub, sym
from glmm_zoo.report.outcome_symbols import NumberedOutcome, factor_symbol
from glmm_zoo.report.parts import Part, Parts, Summand, effects_of
from glmm_zoo.report.serial_words import process_line
from glmm_zoo.report.structure_words import among_levels


def effect_lines(parts: Parts, outcomes: Sequence[NumberedOutcome]) -> Iterator[Line]:
    """The distribution of the effects of each group term; effects that are correlated have one line."""
    shared: dict[tuple[str, str], list[str]] = {}
    between: dict[str, str] = {}
    if parts.spec["options"].get("treatment_effect") == "random":
        cluster = factor_symbol(parts, (parts.spec["facts"]["cluster"],))
        of_main = outcomes[0].of.main.formula.groups
        label = next((g.label for g in of_main if g.name == parts.spec["facts"]["cluster"]), None)
        shared[parts.spec["facts"]["cluster"], label or ""] = [sub(sym("w"), cluster)]
    for outcome in outcomes:
        for part in (outcome.of.main, *outcome.of.others.values()):
            for group, numbered in numbered_effects(part):
                letter = outcome.of.letters(part.of)[2]
                factor, numbers = factor_symbol(parts, group.called), [number for _, number in numbered]
                which = [
                    factor,
                    *([f"{sym(parts.about.name(group.by))}{op('[')}{factor}{op(']')}"] if group.by else []),
                ]
                owners = outcome.of_each_category() if group.label else [outcome]
                effects = [o.symbol(letter, *number, factor) for o in owners for number in numbers]
                if parts.loaded(outcome.of, group):
                    continue
                between[group.name] = among_levels(group)
                if parts.shared(group) or ((group.name, "") in shared and not part.of):
                    shared.setdefault((group.name, group.label or ""), []).extend(effects)
                elif len(effects) == 1 or not group.correlated:
                    of = [*outcome.index, *([sym(letter)] if part.of else [])]
                    for effect, number in zip(effects, numbers, strict=True):
                        variance = squared(sub(sym("σ"), *of, *number, *which))
                        student = sub(sym("ν"), factor) if group.dist == "student" else ""
                        yield _single(effect, variance, between[group.name], student)
                    if group.process:
                        yield process_line(parts, group, letter)
                else:
                    student = sub(sym("ν"), factor) if group.dist == "student" else ""
                    yield _correlated(effects, sub(sym("Σ"), *which), between[group.name], student)
    for (name, _), effects in shared.items():
        factor = factor_symbol(parts, name.split(":"))
        yield (
            _correlated(effects, sub(sym("Σ"), factor), between.get(name, ""))
            if len(effects) > 1
            else _single(effects[0], squared(sub(sym("σ"), factor)), between.get(name, ""))
        )


def numbered_effects(part: Part) -> Iterator[tuple[GroupTerm, list[tuple[Summand, list[str]]]]]:
    """Each group term with its effects and their numbers, which go on where a factor has several terms; a single effect has none."""
    groups = [(group, list(effects_of(group))) for group in part.formula.groups]
    for i, (group, terms) in enumerate(groups):
        before, of_factor = (
            sum(len(others) for other, others in some if other.name == group.name) for some in (groups[:i], groups)
        )
        yield group, [(t, [num(before + n)] if of_factor > 1 else []) for n, t in enumerate(terms, start=1)]


def _single(effect: str, variance: str, between: str, student: str = "") -> Line:
    """One effect of each level; `between` is the covariance between levels, "" where they are independent, `student` the degrees of
    freedom of a Student-t law, "" of a normal one."""
    if student:
        return effect, "∼", student_law(student, variance)
    if not between:
        return effect, "∼", normal(variance)
    return effect, "∼", call(sym("MultivariateNormal"), num(0), variance + between)


def _correlated(effects: Sequence[str], covariance: str, between: str, student: str = "") -> Line:
    vector = f"{op('(')}{listed(effects)}{op(')')}"
    law = ["MultivariateStudentT", student] if student else ["MultivariateNormal"]
    return vector, "∼", call(sym(law[0]), *law[1:], num(0), covariance + (op("⊗") + between if between else ""))
