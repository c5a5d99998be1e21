"""What a model is made of, as a report speaks of it: outcomes, their linear predictors, the terms and group effects in these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from glmm_zoo.errors import plural
from glmm_zoo.families.family import Family
from glmm_zoo.families.partly_observed import partly_observed
from glmm_zoo.families.registry import FAMILIES, family_of_fit
from glmm_zoo.formulas.event_formula import parse_event_formula
from glmm_zoo.formulas.expansion import expanded
from glmm_zoo.formulas.grammar import MAX_TERMS, parse_formula
from glmm_zoo.formulas.terms import EventFormula, Expression, Formula, GroupTerm, Response, Symbol, signed_summands
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.storage import metadata, outcome_formulas, outcome_specs
from glmm_zoo.trials.arms import META_ANALYSES

_COEFFICIENTS, _EFFECTS = "βγδζκ", "uvwrq"  # of the main linear predictor, then of further ones
Summand = tuple[Expression, ...]  # what is multiplied


@dataclass(frozen=True)
class Part:
    """One linear predictor: `of` is "" of the main one, else what it is of: "zi", "alpha", "sigma", "disc", "never", "nominal"."""

    of: str
    link: str
    formula: Formula

    @property
    def intercept(self) -> bool:
        return self.of != "disc" and not any(
            s == "-" and part in (["1"],) or part == ["0"] for s, part in signed_summands(self.formula.population)
        )

    @property
    def terms(self) -> list[Summand]:
        """The population terms, main effects first, else in the order of the formula."""
        return terms_of(self.formula.population)


@dataclass(frozen=True)
class OutcomeParts:
    """One outcome: its prefix in the posterior, family, link, main linear predictor and further ones by what they are of, categories.

    Of unordered categories `main` is that of each but the reference, the first of the `levels`; of competing causes, which are the levels
    of a time to an event, that of each.
    """

    prefix: str
    family: Family
    link: str
    main: Part
    others: Mapping[str, Part]
    levels: tuple[str, ...] = ()

    @property
    def causes(self) -> tuple[str, ...]:
        """The competing causes of an event; none where there is one."""
        return self.levels if self.family.responses == "time" else ()

    @property
    def named(self) -> tuple[str, ...]:
        """The categories, or causes, that each have a main linear predictor; none where there is one for all."""
        return self.levels[1:] if self.family.responses == "unordered" else self.causes

    def letters(self, part: str) -> tuple[str, str, str]:
        """The symbols of the level, the coefficients and the group effects of a linear predictor."""
        place = list(self.others).index(part) + 1 if part else 0
        return _COEFFICIENTS[place] if part else "α", _COEFFICIENTS[place], _EFFECTS[place]


@dataclass(frozen=True)
class Parts:
    """A model: its file, what is said of it in words, its outcomes, and the event of a joint model of survival."""

    tree: xr.DataTree
    content: Mapping[str, Any]
    about: About
    outcomes: tuple[OutcomeParts, ...]
    event: EventFormula | None
    covariates: tuple[
        OutcomeParts, ...
    ] = ()  # with missing values, mi(x), each as the outcome of its own linear predictor

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.content["spec"]

    @property
    def builder(self) -> str:
        return self.spec["builder"]

    @property
    def groups(self) -> dict[str, int]:
        """The number of levels of each grouping factor by its name, once for each factor; the studies of a meta-analysis too."""
        found: dict[str, int] = {}
        if self.builder in META_ANALYSES:
            facts = self.spec["facts"]
            found[facts["study"]] = facts["studies"] if "studies" in facts else len(facts["totals"]["control_events"])
        terms = (g for o in self.outcomes for part in (o.main, *o.others.values()) for g in part.formula.groups)
        for term in terms:
            levels = [g["levels"] for name, g in self.spec["groups"].items() if _is_of(name, term)]
            if levels:
                found[":".join(term.called)] = levels[0]
        return found

    def shared(self, group: GroupTerm) -> bool:
        """Whether the effects of a term are correlated with those of other linear predictors."""
        of_subject = self.event is not None and len(self.outcomes) > 1 and group.name == self.spec["event"]["id"]
        return group.label is not None or of_subject

    def blocks(self) -> dict[tuple[tuple[str, ...], str], tuple[int, int]]:
        """By factor and label, or number of the term: how many effects are correlated with each other, and of how many predictors."""
        found: dict[tuple[tuple[str, ...], str], tuple[int, int]] = {}
        of = (*self.outcomes, *self.covariates)
        every = [(o, g) for o in of for p in (o.main, *o.others.values()) for g in p.formula.groups]
        for i, (outcome, group) in enumerate(every):
            if not self.loaded(outcome, group):
                key = (group.called, (group.label or "") if self.shared(group) else str(i))
                effects, predictors = found.get(key, (0, 0))
                own = len(list(effects_of(group))) if group.correlated or self.shared(group) else 1
                own *= len(outcome.named) or 1 if group.label else 1
                found[key] = (effects + own, predictors + 1)
        return found

    def loaded(self, outcome: OutcomeParts, group: GroupTerm) -> bool:
        """Whether the effects of a term are those of the first outcome times a loading."""
        of_one_effect = self.spec["options"].get("shared") == "loading" and group.label is not None
        return of_one_effect and outcome.prefix in self.spec["facts"]["loaded"]["outcomes"]

    def levels(self, expression: Expression) -> tuple[str, ...] | None:
        """The levels of a factor, the reference first; None of numbers and of monotonic effects."""
        if expression.kind in ("monotonic", "missing"):
            return None
        column = expression.columns[0]
        for learnt in self.spec["learnt"].values():
            if column in learnt.get("levels", {}):
                return _reference_first(learnt["levels"][column], expression.reference)
        if expression.kind == "call":
            return None
        stored = self.tree["constant_data"].dataset
        of_column = [v for v in stored.data_vars.values() if v.attrs.get("column") == column]
        if not of_column or (expression.kind == "column" and of_column[0].attrs["kind"] == "number"):
            return None
        return _reference_first(sorted({str(v) for v in of_column[0].values.tolist()}), expression.reference)

    def monotonic_levels(self, expression: Expression) -> tuple[str, ...]:
        """The levels of mo(x), from the lowest."""
        every = (learnt.get("levels", {}) for learnt in self.spec["learnt"].values())
        return next(tuple(levels[expression.columns[0]]) for levels in every if expression.columns[0] in levels)

    def name(self, expression: Expression) -> str:
        """The words for what a column, a factor or an expression is."""
        return self.about.name(expression.columns[0]) if expression.kind != "call" else expression.text

    def group_name(self, factor: tuple[str, ...]) -> str:
        """ "herd", of an interaction "combination of site and spp"."""
        names = [self.about.name(column) for column in factor]
        return names[0] if len(names) == 1 else f"combination of {joined(names)}"

    def group_plural(self, factor: tuple[str, ...]) -> str:
        """ "herds", "combinations of site and spp"."""
        if len(factor) == 1:
            return self.about.plural(self.about.name(factor[0]))
        return self.group_name(factor).replace("combination", "combinations", 1)

    def group_count(self, factor: tuple[str, ...], count: int) -> str:
        """ "15 herds"."""
        return f"{count} {self.group_plural(factor)}" if count != 1 else f"1 {self.group_name(factor)}"


def read_parts(tree: xr.DataTree) -> Parts:
    """What the model of a fit is made of."""
    content = metadata(tree)
    spec = content["spec"]
    texts = outcome_formulas(spec)
    outcomes = tuple(
        _outcome(spec, prefix, of, text) for (prefix, of), text in zip(outcome_specs(spec).items(), texts, strict=True)
    )
    event = parse_event_formula(spec["formulas"]["event"]) if "event" in spec["formulas"] else None
    covariates = tuple(_covariate(prefix, of) for prefix, of in spec.get("covariates", {}).items())
    return Parts(tree, content, about_of(tree), outcomes, event, covariates)


def _covariate(prefix: str, of: Mapping[str, Any]) -> OutcomeParts:
    """A covariate with missing values, whose response is its column."""
    response = Response(Expression("column", of["column"], (of["column"],), "{0}"))
    formula = replace(parse_formula(of["formula"], response=False), response=response)
    return OutcomeParts(prefix, FAMILIES["gaussian"], "identity", Part("", "identity", formula), {})


def _outcome(spec: Mapping[str, Any], prefix: str, of: Mapping[str, Any], text: str) -> OutcomeParts:
    lead = f"{prefix}_" if prefix else ""
    main = Part("", of["link"], parse_formula(spec["facts"].get("predictor", text)))
    if spec["builder"] in META_ANALYSES:
        main = replace(main, formula=_without(main.formula, spec["options"]["treatment"]))
    others = {
        name.removeprefix(lead): Part(
            name.removeprefix(lead), spec["links"].get(name, "identity"), parse_formula(formula, response=False)
        )
        for name, formula in spec["formulas"].items()
        if name != "event" and name.startswith(lead)
    }
    levels = tuple(of.get("levels", ()))
    family = family_of_fit(of["family"], spec)
    if main.formula.response is not None:
        family = partly_observed(family, main.formula.response)
    return OutcomeParts(prefix, family, of["link"], main, others, levels)


def _without(formula: Formula, column: str) -> Formula:
    """The formula of a meta-analysis without its treatment, which is no covariate."""
    kept: list[Symbol] = []
    for sign, summand in signed_summands(formula.population):
        if not (len(summand) == 1 and isinstance(summand[0], Expression) and summand[0].columns == (column,)):
            kept += [sign, *summand]
    return replace(formula, population=tuple(kept[1:] if kept[:1] == ["+"] else kept) or ("1",))


def _is_of(name: str, term: GroupTerm) -> bool:
    return name == term.name or name.endswith(f"_{term.name}") or name.replace("_", " ") == term.name.replace("_", " ")


def terms_of(symbols: tuple[Symbol, ...]) -> list[Summand]:
    """The terms that symbols of the algebra of terms stand for, main effects first, else in their order; without the intercept."""
    order = {e: i for i, e in reversed(list(enumerate(s for s in symbols if isinstance(s, Expression))))}
    found: dict[frozenset[Expression], None] = {}
    for sign, summand in signed_summands(symbols):
        for term in sorted(expanded(summand, MAX_TERMS), key=lambda t: (len(t), sorted(order[e] for e in t))):
            if sign == "+":
                found[term] = None
            else:
                found.pop(term, None)
    terms = [tuple(sorted(term, key=order.__getitem__)) for term in found if term]
    return sorted(terms, key=len)


def effects_of(group: GroupTerm) -> Iterator[Summand]:
    """The effects of a group term that vary: () for the intercept, then the terms of the slopes."""
    part = Part("", "", Formula("", None, group.effects))
    if part.intercept:
        yield ()
    yield from part.terms


def _reference_first(levels: list[str], reference: str | None) -> tuple[str, ...]:
    if reference is None:
        return tuple(levels)
    return (reference, *(level for level in levels if level != reference))


def joined(words: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def article(noun: str) -> str:
    """ "a herd", "an animal"."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def sizes(parts: Parts) -> list[str]:
    """ "56 rows", "15 herds": the sizes of the data."""
    spec = parts.spec
    found = [plural(spec["data"]["rows"], "row")]
    found += [parts.group_count(tuple(name.split(":")), n) for name, n in parts.groups.items()]
    if spec["options"].get("residual") and spec["options"]["within"] not in parts.groups:
        found.append(parts.group_count((spec["options"]["within"],), spec["facts"]["subjects"]))
    if "event" in spec:
        found.append(plural(sum(spec["event"]["events"]), "event"))
    return found
