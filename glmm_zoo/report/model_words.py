"""The model of a fit in plain sentences, made from its formulas and families."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from glmm_zoo.errors import listing
from glmm_zoo.families.baselines import BASELINE_WORDS
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.report.covariate_words import covariate_name, gaps_sentence
from glmm_zoo.report.group_words import group_sentences
from glmm_zoo.report.network_words import network_words
from glmm_zoo.report.parts import OutcomeParts, Part, Parts, Summand, article, effects_of, joined
from glmm_zoo.report.residual_words import residual_sentences
from glmm_zoo.report.seen_words import seen_sentences
from glmm_zoo.report.serial_words import process_item
from glmm_zoo.report.time_words import event_of, time_amount, time_likelihood
from glmm_zoo.results.about import AboutOutcome
from glmm_zoo.results.figures.estimated import with_success
from glmm_zoo.results.storage import outcome_specs
from glmm_zoo.trials.arms import META_ANALYSES

_CORRELATIONS = {
    "exchangeable": "observations of a cluster are alike to the same degree at all times (Hussey and Hughes 2007)",
    "nested_exchangeable": "observations of a cluster are more alike within a period than between periods (Hooper et al. 2016)",
    "decay": "the correlation within a cluster falls with each period between two observations, by the factor ρ (Kasza et al. 2019)",
}  # fmt: skip


def model_words(parts: Parts) -> str:
    """The whole model in sentences."""
    if parts.builder in META_ANALYSES:
        return " ".join(
            (_meta if parts.builder == "meta_analysis" else network_words)(
                parts, outcome_words(parts, parts.outcomes[0])
            )
        )
    sentences: list[str] = []
    for outcome in parts.outcomes:
        sentences += [_likelihood(parts, outcome), *seen_sentences(parts, outcome), *_predictors(parts, outcome)]
    for covariate in parts.covariates:
        sentences += [_likelihood(parts, covariate), *_predictors(parts, covariate), gaps_sentence(parts, covariate)]
    sentences += [*group_sentences(parts), *_curves(parts), *residual_sentences(parts)]
    if parts.builder == "stepped_wedge":
        sentences += _wedge(parts)
    if parts.event is not None:
        sentences += _event(parts)
    return " ".join(sentences)


# ------------------------------------------------------------------------------------------------------------- outcome


def response_column(outcome: OutcomeParts) -> str:
    """The response as the formula has it: "incidence", "log(bili)"."""
    response = outcome.main.formula.response
    return response.value.text if response else outcome.prefix


def outcome_words(parts: Parts, outcome: OutcomeParts) -> str:
    """The event, or what is counted or measured: the user's words, else the response's column."""
    if outcome in parts.covariates:
        return covariate_name(parts, outcome)
    said, response = said_of(parts, outcome), outcome.main.formula.response
    if outcome.family.responses == "time":
        return event_of(parts)
    if said.outcome and response is not None and response.value.kind == "call" and len(response.value.columns) == 1:
        function = response.value.code.split("(")[0]  # "log platelet count" is told of log(platelet) as it is
        return said.outcome if said.outcome.startswith(f"{function} ") else response.value.code.format(said.outcome)
    if said.outcome:
        return said.outcome
    column = parts.about.name(response_column(outcome))
    return with_success(column, str(outcome_specs(parts.spec)[outcome.prefix]["response"]))


def said_of(parts: Parts, outcome: OutcomeParts) -> AboutOutcome:
    """What the user said of an outcome."""
    return AboutOutcome() if outcome in parts.covariates else parts.about.outcome_of(outcome.prefix)


def is_measured(outcome: OutcomeParts) -> bool:
    """Whether the unit that was said is that of the response: it is measured, and not transformed."""
    response = outcome.main.formula.response
    return outcome.family.responses == "measured" and response is not None and response.value.kind != "call"


def individuals(parts: Parts, outcome: OutcomeParts) -> str:
    """Who has the outcome, in the plural; "trials" where nothing is said of it."""
    return parts.about.plural(parts.about.individual) if parts.about.individual else "trials"


def _likelihood(parts: Parts, outcome: OutcomeParts) -> str:
    """How a response varies around what the model predicts."""
    what, family = outcome_words(parts, outcome), outcome.family
    if family.responses == "time":
        return time_likelihood(parts, outcome)
    if family.responses == "measured":
        return f"{_capital(what)} {family.distribution}."
    if family.responses == "binary":
        response = outcome.main.formula.response
        if response is not None and response.trials is not None:
            size = response.trials if isinstance(response.trials, int) else response.trials.text
            count = f"{response_column(outcome)} of {size} {individuals(parts, outcome)}"
            start = f"In each row of {_subject(parts)} at risk" if parts.builder == "never_at_risk" else "In each row"
            return f"{start}, {count} had the event{_named(what, response_column(outcome))}; this number {family.distribution}."
        return f"In each row the event ({what}) came or did not, with probability p."
    if family.responses == "unordered":
        return f"{_capital(what)} is one of {len(outcome.levels)} unordered categories, {listing(outcome.levels, 9)}."
    if family.responses == "ordered":
        levels = parts.spec["facts"].get("levels") or ()
        return (
            f"{_capital(what)} is one of {len(levels)} ordered categories, {listing(levels, 9)}."
            if levels
            else (f"{_capital(what)} is one of several ordered categories.")
        )
    if parts.builder == "never_at_risk":
        subject = _subject(parts)
        return (
            f"{_capital(article(subject))} is never at risk with probability π, and then every count of it is 0; at risk, its count"
            f"{_named(what)} {family.distribution}."
        )
    return f"{'A' if family.zeros else 'The'} count{_named(what)} {family.distribution}."


def _subject(parts: Parts) -> str:
    return parts.about.name(parts.spec["options"]["subject"])


def amount_words(outcome: OutcomeParts, what: str, exposure: str | None, shares_zeros: bool) -> str:
    """What the linear predictor is: "the log odds of a new case"; `shares_zeros` where some subjects are never at risk."""
    family = outcome.family
    what = f"{what} before truncation" if family.truncated else what
    base = {"logit": "log odds", "probit": "probit", "cloglog": "complementary log-log"}
    if family.responses == "time":
        return time_amount(outcome, what)
    if family.responses == "unordered":
        return f"the log odds of each other category of {what} against {outcome.levels[0]}"
    if family.responses == "ordered":
        return f"the {base[outcome.link]} of a higher category of {what}"
    if family.responses == "binary":
        return f"the {base[outcome.link]}{'' if outcome.link == 'logit' else ' of the probability'} of {what}"
    if outcome.link in base:
        return f"the {base[outcome.link]} of {family.symbol}, the {family.centre} of {what},"
    if outcome.link == "log" and (shares_zeros or family.zeros):
        return f"the log of μ per unit of {exposure}" if exposure else "the log of μ"
    if outcome.link == "log":
        return (
            f"the log of the rate of {what} per unit of {exposure}"
            if exposure
            else f"the log of {family.symbol}, the {family.centre} of {what},"
        )
    return f"the {family.centre} {family.symbol} of {what}"


# --------------------------------------------------------------------------------------------------- linear predictors


def _predictors(parts: Parts, outcome: OutcomeParts) -> Iterator[str]:
    what = outcome_words(parts, outcome)
    if outcome.family.responses == "binary":
        what = said_of(parts, outcome).an_outcome or what
    exposure = parts.spec["options"].get("exposure")
    subject = amount_words(outcome, what, exposure and parts.about.name(exposure), parts.builder == "never_at_risk")
    own = list(_own(parts))
    thresholds = outcome.family.responses == "ordered"
    yield _sum(parts, outcome.main, subject, outcome.letters(""), own, thresholds)
    if outcome.family.responses == "unordered":
        yield "Each of these categories has levels, changes and shifts of its own, and together the probabilities are one (softmax)."
    if outcome.causes:
        yield "Each cause has a baseline, a level, changes and shifts of its own."
    if thresholds:
        yield _thresholds(parts, outcome)
    for name, part in outcome.others.items():
        if name == "nominal":
            terms = joined([_plain(parts, term) for term in part.terms])
            yield f"The effects of {terms} differ between the thresholds, those of others do not (proportional odds)."
            continue
        if name == "never":
            of = f"the log odds that {article(_subject(parts))} is never at risk"
        else:
            own_parameter = outcome.family.own_parameter(name)
            assert own_parameter is not None
            of = (
                f"the log odds of {own_parameter.words}"
                if part.link == "logit"
                else f"the log of {own_parameter.symbol}"
            )
            if name == "disc":
                yield (
                    "A row's distance from the thresholds is multiplied by its discrimination d: the smaller d is, the more its "
                    "categories scatter."
                )
        yield _sum(parts, part, of, outcome.letters(name), [])


def _sum(
    parts: Parts, part: Part, subject: str, letters: tuple[str, str, str], own: Sequence[str], thresholds: bool = False
) -> str:
    """ "The log odds of a new case has a level α, a shift β for ... and a shift u for each herd." """
    level, coefficient, effect = letters
    level = f"{level}₀" if part.of else level
    items = [] if thresholds or not part.intercept else [f"a level {level}"]
    items += _term_words(parts, part.terms, coefficient)
    items += [_smooth_words(parts, s.variables, s.by) for s in part.formula.smooths]
    items += own
    items += [f"the known offset {o.text}" for o in part.formula.offsets]
    for group in part.formula.groups:
        items.append(
            process_item(parts, group, effect)
            if group.process
            else _group_words(parts, list(effects_of(group)), group.called, effect)
        )
    if not items:
        return f"{_capital(subject)} is the same in every row."
    return f"{_capital(subject)} has {joined(items)}."


def _own(parts: Parts) -> Iterator[str]:
    if parts.builder == "stepped_wedge":
        course = parts.spec["facts"]["exposure_time"]
        cluster = parts.about.name(parts.spec["facts"]["cluster"])
        words = {
            "constant": f"the effect θ of the intervention from when {article(cluster)} has crossed over",
            "categorical": f"an effect θ of the intervention of its own for each number of periods since {article(cluster)} crossed over",
            "monotone": f"an effect θ of the intervention that grows or shrinks step by step with the periods since {article(cluster)} crossed over",
        }
        yield words[course]


def _term_words(parts: Parts, terms: Sequence[Summand], coefficient: str) -> list[str]:
    """One item for each factor; numbers together; interactions together."""
    alone = [t for t in terms if len(t) == 1 and not parts.levels(t[0])]
    numbers = [t for t in alone if t[0].kind != "monotonic"]
    items = []
    if numbers:
        change = "a change" if len(numbers) == 1 else "changes"
        items.append(f"{change} {coefficient} for each unit of {joined([_plain(parts, t) for t in numbers])}")
    for (expression,) in (t for t in alone if t not in numbers):
        name = parts.name(expression)
        items.append(
            f"a monotonic effect of {name}, {coefficient} for each step of it on average, in which each step has a share s of the whole change"
        )
    for term in terms:
        levels = parts.levels(term[0])
        if len(term) == 1 and levels:
            column, name = term[0].columns[0], parts.name(term[0])
            first, *others = (parts.about.level(column, level) for level in levels)
            lead = "" if column in parts.about.levels else f"{name} "
            shift = f"{lead}{others[0]} against {first}" if len(others) == 1 else f"each {name} other than {first}"
            items.append(f"a shift {coefficient} for {shift}")
    products = [_product(parts, t) for t in terms if len(t) > 1]
    if products:
        items.append(
            f"{'an interaction' if len(products) == 1 else 'interactions'} {coefficient} of {joined(products)}"
        )
    return items


def _product(parts: Parts, term: Summand) -> str:
    return " with ".join(_plain(parts, (e,)) for e in term)


def _plain(parts: Parts, term: Summand) -> str:
    """The words for the columns of a term; I(day/365) is day/365."""
    text = " by ".join(parts.name(e) for e in term)
    return re.sub(r"^I\((.*)\)$", r"\1", text)


def _smooth_words(parts: Parts, variables: Sequence[str], by: str | None) -> str:
    names = joined([parts.about.name(v) for v in variables])
    what = "surface" if len(variables) > 1 else "curve"
    return f"a smooth {what} f of {names}" + (f" for each {parts.about.name(by)}" if by else "")


def _group_words(parts: Parts, terms: Sequence[Summand], factor: tuple[str, ...], effect: str) -> str:
    slopes = [_plain(parts, t) for t in terms if t]
    shifts = [*(["of the level"] if () in terms else []), *(f"of the effect of {s}" for s in slopes)]
    each = f"for each {parts.group_name(factor)}"
    return f"a shift {effect} {each}" if not slopes else f"shifts {effect} {joined(shifts)} {each}"


def _thresholds(parts: Parts, outcome: OutcomeParts) -> str:
    told = outcome.family.distribution
    if "nominal" in outcome.others:
        return f"{told.partition(', so that')[0]}."
    return f"{told} (proportional odds)." if outcome.family.latent and outcome.link == "logit" else f"{told}."


def _curves(parts: Parts) -> Iterator[str]:
    if parts.spec["smooths"]:
        yield "How much a curve bends is estimated from the data: without bends it is a straight line."


# ----------------------------------------------------------------------------------------------------- single builders


def _wedge(parts: Parts) -> Iterator[str]:
    facts, options = parts.spec["facts"], parts.spec["options"]
    yield "Periods have effects of their own, so that change over time is not mistaken for an effect of the intervention."
    yield f"{_capital(_CORRELATIONS[facts['correlation']])}."
    if options.get("treatment_effect") == "random":
        yield "Clusters differ in the effect of the intervention too, by a shift w that is correlated with u."


def _meta(parts: Parts, what: str) -> Iterator[str]:
    facts, options = parts.spec["facts"], parts.spec["options"]
    study = parts.about.name(facts["study"])
    of_risks = parts.spec["link"] == "logit"
    control, treated = (parts.about.level(options["treatment"], label) for label in facts["labels"])
    ratio, amount = (
        ("odds ratio", "a binomial count of those at risk")
        if of_risks
        else ("rate ratio", "a Poisson count of person-time")
    )
    yield f"In each arm of {article(study)} ({treated}, or {control} as the control), the number with the outcome ({what}) is {amount}."
    covariates = [_plain(parts, t) for t in parts.outcomes[0].main.terms]
    line = f" around a line in {joined(covariates)}" if covariates else " around the mean δ"
    own = {
        "fixed": f"Each {study} has a level b of its own, which says nothing of the levels of others,",
        "random": f"Each {study} has a level b, which varies normally between {parts.about.plural(study)},",
        "bivariate": f"The two arms of each {study} have levels that vary together between {parts.about.plural(study)},",
    }[options["baseline"]]
    yield f"{own} and a log {ratio} d; these vary normally{line} with standard deviation τ."
    if covariates:
        count = "covariates count from their means" if len(covariates) > 1 else "covariate counts from its mean"
        yield f"The {count}, so that δ is the log {ratio} in the average {study}."
    yield "Counts enter with their exact likelihood; nothing is added to zeros (one-stage model)."


def _event(parts: Parts) -> Iterator[str]:
    spec = parts.spec
    event, options = spec["event"], spec["options"]
    subject = parts.about.name(event["id"])
    what = parts.about.event or "the event"
    assert parts.event is not None
    follow = joined([_followed(parts, label) for label in event["association"]])
    covariates = [_plain(parts, t) for t in Part("", "log", parts.event.covariates).terms]
    after = f" and on {joined(covariates)}" if covariates else ""
    causes = f" of each cause ({listing(event['causes'], 9)})" if len(event["causes"]) > 1 else ""
    yield f"The hazard of {what}{causes} depends on {follow} of the same {subject}{after}; the association is a."
    yield f"The baseline hazard is {BASELINE_WORDS[options['baseline']]}."
    if event.get("recurrent"):
        many = parts.about.plural(parts.about.event or "event")
        yield f"{_capital(many)} come again: given all this, those of {article(subject)} come independently of when the last one was."
    if parts.event.covariates.groups:
        sd = f"frailty v, which varies normally between {parts.about.plural(subject)}"
        yield f"Beyond that each {subject} has a {sd}."
    yield f"Both parts are estimated together, so that measurements that are missing because of {what} do not bias the marker's course."


def _followed(parts: Parts, label: str) -> str:
    """The part of a marker's course that the hazard follows, in words."""
    names = {variable_name(o.prefix): o for o in parts.outcomes}
    first, _, rest = label.partition(":")
    outcome, form = (names[first], rest) if first in names and rest else (parts.outcomes[0], label)
    marker = outcome_words(parts, outcome)
    form, _, by = form.partition(":")
    words = {
        "value": f"the true {marker} at the same moment", "slope": f"how fast the true {marker} changes",
        "area": f"the true {marker} summed up so far",
    }  # fmt: skip
    kind = next((v for k, v in words.items() if form.startswith(k)), f"the shift of the {marker} ({form})")
    return kind + (f", depending on {parts.about.name(by)}," if by else "")


def _capital(text: str) -> str:
    """With a capital letter, but for what is code: "log(bili)"."""
    return text if "(" in text.split(" ")[0] else text[:1].upper() + text[1:]


def _named(what: str, known: str = "count") -> str:
    """ " (new case)", nothing where that says no more than what is known."""
    return "" if what.lower() == known.lower() else f" ({what})"
