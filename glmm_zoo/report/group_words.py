"""The distributions of group effects, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator

from glmm_zoo.report.member_words import member_sentences
from glmm_zoo.report.parts import Parts, effects_of, joined
from glmm_zoo.report.serial_words import process_sentences
from glmm_zoo.report.structure_words import structure_sentences


def group_sentences(parts: Parts) -> Iterator[str]:
    """How group effects are distributed."""
    of = (*parts.outcomes, *parts.covariates)
    every = [(o, g) for o in of for p in (o.main, *o.others.values()) for g in p.formula.groups]
    terms = [g for outcome, g in every if not parts.loaded(outcome, g)]
    if not terms:
        return
    of = joined(list(dict.fromkeys(parts.group_plural(g.called) for g in terms)))
    several = len(terms) > 1 or any(len(list(effects_of(g))) > 1 for g in terms)
    each = "each kind with a standard deviation σ of its own" if several else "with standard deviation σ"
    yield (
        f"The shifts of {of} come from normal distributions around 0, {each}."
        if several
        else (f"The shifts of {of} come from a normal distribution around 0 {each}.")
    )
    for g in terms:
        if g.dist == "student":
            yield (
                f"Those of {parts.group_plural(g.called)} come from a Student-t distribution of ν degrees of freedom in place of a "
                f"normal one, with σ as its scale, so that single {parts.group_plural(g.called)} may be far off."
            )
        if g.by:
            own = (
                "standard deviations and correlations"
                if g.correlated and len(list(effects_of(g))) > 1
                else "a standard deviation"
            )
            yield f"Each level of {parts.about.name(g.by)} has {own} of its own for the shifts of its {parts.group_plural(g.called)}."
    for outcome in dict.fromkeys(outcome.prefix for outcome, g in every if parts.loaded(outcome, g)):
        yield f"The shift u of {outcome} is that of {parts.outcomes[0].prefix} times a loading λ."
    if parts.spec["options"].get("residual_correlation"):
        yield "What is left of the two normal outcomes in one row is correlated too."
    told = []
    for (factor, label), (effects, predictors) in parts.blocks().items():
        if effects > 1:
            in_formula = f" with the label {label}" if label and not label.isdigit() else ""
            of = (
                ""
                if predictors == 1 and not any(o.named for o in parts.outcomes)
                else f" of all {'causes' if parts.outcomes[0].causes else 'categories'}"
                if len(parts.outcomes) == 1 and parts.outcomes[0].named
                else f" of all outcomes{in_formula}"
                if len(parts.outcomes) > 1
                else " of both parts"
            )
            told.append(f"The shifts{of} of one {parts.group_name(factor)} are correlated.")
    structured = (*structure_sentences(parts, terms), *member_sentences(parts, terms))
    yield from dict.fromkeys([*told, *process_sentences(parts), *structured])
