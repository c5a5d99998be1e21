"""The model of a network meta-analysis in sentences, for the page and for a methods paragraph."""

from __future__ import annotations

from collections.abc import Iterator

from glmm_zoo.report.parts import Parts, article, joined
from glmm_zoo.results.numbers import alone


def network_words(parts: Parts, what: str) -> Iterator[str]:
    """The model in sentences; `what` is the outcome in words."""
    facts, options = parts.spec["facts"], parts.spec["options"]
    study, of_risks = parts.about.name(facts["study"]), parts.spec["link"] == "logit"
    studies, ratio = parts.about.plural(study), "odds ratio" if of_risks else "rate ratio"
    amount = "a binomial count of those at risk" if of_risks else "a Poisson count of person-time"
    yield f"In each arm of {article(study)} the number with the outcome ({what}) is {amount}."
    level = (
        "says nothing of the levels of others"
        if options["baseline"] == "fixed"
        else f"varies normally between {studies}"
    )
    reference, over_level = parts.about.level(options["treatment"], facts["labels"][0]), over_levels(parts)
    own = f"b of its own, which {level}, in the first of its treatments, and log {ratio}s δ of the others against it"
    if over_level:
        own = f"b of its own under {reference}, which {level}, and log {ratio}s δ of its treatments against the first of them"
    yield f"Each {study} has a level {own}."
    sloped = facts.get("slopes")
    mean = (
        f"the difference of the effects {'D' if sloped else 'd'} of the two treatments against {reference}, so that direct and indirect evidence are of one effect "
        "(consistency)"
        if options["consistency"] == "consistency"
        else "an effect d of that pair of treatments, which has nothing to do with those of other pairs (unrelated mean effects)"
    )
    if options["trt_effects"] == "random":
        yield f"Each δ varies normally with standard deviation τ around {mean}; those of one {study} have correlation 1/2, as they share its first arm."
    else:
        yield f"Each δ is {mean}, the same in all {studies} (fixed effects)."
    if sloped:
        yield f"The effects D change along a line in {joined(slope_names(parts))}, {_SLOPES[options['interactions']]}; d are those {_middle(parts)}."
    yield "Counts enter with their exact likelihood; nothing is added to zeros (one-stage model)."


_SLOPES = {
    "common": "with one slope for all treatments against the reference",
    "exchangeable": "with slopes that vary normally between treatments around a common one",
    "independent": "with a slope for each treatment against the reference",
}


def over_levels(parts: Parts) -> bool:
    """Whether effects change with the level of a study under the reference."""
    return parts.spec["facts"].get("reference_level") is not None


def slope_names(parts: Parts) -> list[str]:
    """What effects change with, in words."""
    facts = parts.spec["facts"]
    names = [":".join(parts.name(e) for e in term) for term in parts.outcomes[0].main.terms]
    reference = parts.about.level(parts.spec["options"]["treatment"], facts["labels"][0])
    amount = "odds" if parts.spec["link"] == "logit" else "rate"
    return [*names, *([f"the log {amount} under {reference}"] if over_levels(parts) else [])]


def _middle(parts: Parts) -> str:
    """Where the effects are those without slopes."""
    facts = parts.spec["facts"]
    told = ["where covariates have their mean over the studies"] if facts["covariates"]["means"] else []
    if over_levels(parts):
        told.append(
            f"at {'log odds' if parts.spec['link'] == 'logit' else 'a log rate'} of {alone(facts['reference_level'])}"
        )
    return " and ".join(told)


def network_methods(parts: Parts) -> Iterator[str]:
    """Design, sizes and model, as a methods paragraph has them."""
    options, facts = parts.spec["options"], parts.spec["facts"]
    of_risks, names = parts.spec["link"] == "logit", slope_names(parts)
    line = f", around a line in {joined(names)}, {_SLOPES[options['interactions']]}" if names else ""
    kind = "meta-regression" if names else "meta-analysis"
    studies = parts.group_count((facts["study"],), parts.groups[facts["study"]])
    random = options["trt_effects"] == "random"
    likelihood = "binomial likelihoods of all arms" if of_risks else "Poisson likelihoods of all arms with person-time"
    effects = "consistent effects" if options["consistency"] == "consistency" else "unrelated mean effects"
    levels = (
        "a level of its own for each study"
        if options["baseline"] == "fixed"
        else "normally distributed levels of the studies"
    )
    vary = " that vary normally between studies, with correlation 1/2 within those of several arms" if random else ""
    yield (
        f"{studies} of {len(facts['labels'])} treatments were combined in a one-stage Bayesian {options['trt_effects']}-effects network "
        f"{kind} with {likelihood}, {levels}, and {effects} (log {'odds' if of_risks else 'rate'} ratios){vary}{line}; the reference was "
        f"{parts.about.level(options['treatment'], facts['labels'][0])}."
    )
