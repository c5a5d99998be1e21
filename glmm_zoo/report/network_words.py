"""The model of a network meta-analysis in sentences, for the page and for a methods paragraph."""

from __future__ import annotations

from collections.abc import Iterator

from glmm_zoo.report.parts import Parts, article


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
    yield f"Each {study} has a level b of its own, which {level}, in the first of its treatments, and log {ratio}s δ of the others against it."
    reference = parts.about.level(options["treatment"], facts["labels"][0])
    mean = (
        f"the difference of the effects d of the two treatments against {reference}, so that direct and indirect evidence are of one effect "
        "(consistency)"
        if options["consistency"] == "consistency"
        else "an effect d of that pair of treatments, which has nothing to do with those of other pairs (unrelated mean effects)"
    )
    if options["trt_effects"] == "random":
        yield f"Each δ varies normally with standard deviation τ around {mean}; those of one {study} have correlation 1/2, as they share its first arm."
    else:
        yield f"Each δ is {mean}, the same in all {studies} (fixed effects)."
    yield "Counts enter with their exact likelihood; nothing is added to zeros (one-stage model)."


def network_methods(parts: Parts) -> Iterator[str]:
    """Design, sizes and model, as a methods paragraph has them."""
    options, facts = parts.spec["options"], parts.spec["facts"]
    of_risks = parts.spec["link"] == "logit"
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
        f"meta-analysis with {likelihood}, {levels}, and {effects} (log {'odds' if of_risks else 'rate'} ratios){vary}; the reference was "
        f"{parts.about.level(options['treatment'], facts['labels'][0])}."
    )
