"""The methods paragraph of a paper, from the file of a fit: design, model, priors, sampler, diagnostics and estimand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import xarray as xr

from glmm_zoo.errors import plural
from glmm_zoo.families.links import PROBABILITY_LINKS
from glmm_zoo.families.time_laws import TIME_LAW_WORDS
from glmm_zoo.formulas.terms import GroupTerm
from glmm_zoo.priors import parse
from glmm_zoo.report.answer import Answer
from glmm_zoo.report.covariate_words import covariate_methods, covariate_name
from glmm_zoo.report.imputed import imputed_methods
from glmm_zoo.report.model_words import outcome_words
from glmm_zoo.report.network_words import network_methods
from glmm_zoo.report.parts import OutcomeParts, Part, Parts, Summand, article, effects_of, joined, read_parts, sizes
from glmm_zoo.report.prior_of import prior_kind
from glmm_zoo.report.prior_words import DISTRIBUTION_WORDS, prior_words
from glmm_zoo.report.residual_words import residual_methods
from glmm_zoo.report.results_text import results_text
from glmm_zoo.report.seen_words import seen_methods
from glmm_zoo.report.serial_words import process_methods
from glmm_zoo.report.structure_words import averaged_over, structure_in_methods
from glmm_zoo.report.time_words import cause_words, followed_words, recurrence_methods
from glmm_zoo.results import numbers
from glmm_zoo.results.figures.effects import LOGARITHMS
from glmm_zoo.results.imputations import imputed_tables
from glmm_zoo.results.report.stored import stored_diagnostics
from glmm_zoo.results.verdicts import worst_of
from glmm_zoo.results.whole_fit import of_a_whole_fit
from glmm_zoo.trials.arms import META_ANALYSES

_CORRELATIONS = {
    "exchangeable": "exchangeable", "nested_exchangeable": "nested exchangeable", "decay": "discrete-time decay",
}  # fmt: skip
_COURSES = {
    "constant": "a constant effect of the intervention",
    "categorical": "an effect of the intervention for each number of periods of exposure",
    "monotone": "an effect of the intervention that changes monotonically with exposure",
}
_BASELINES = {
    "bspline": "a penalised B-spline log baseline hazard", "piecewise": "a piecewise constant baseline hazard",
    "weibull": "a Weibull baseline hazard", "exponential": "a constant baseline hazard",
}  # fmt: skip
_META = {
    "fixed": "a level of its own for each study", "random": "normally distributed levels of the studies",
    "bivariate": "correlated normal effects of both arms",
}  # fmt: skip


@of_a_whole_fit
def methods(tree: xr.DataTree, answer: Answer, prob: float = 0.95) -> list[str]:
    """A methods and a results paragraph, ready to paste; without estimates there is no second one.

    Parameters
    ----------
    answer
        What the fit answers: its averages, and these compared.
    prob
        Probability inside the intervals, as in `answer`.
    """
    parts = read_parts(tree)
    sentences = [
        *_model(parts), *imputed_methods(tree), _priors(parts), _sampler(parts), *_diagnostics(parts), *_estimand(parts, answer),
        f"We report posterior medians with equal-tailed {numbers.nominal(prob)} credible intervals.",
    ]  # fmt: skip
    results = results_text(parts, answer, prob)
    return [" ".join(sentences), *([results] if results else [])]


# --------------------------------------------------------------------------------------------------------------- model


def _model(parts: Parts) -> Iterator[str]:
    """Design, sizes, and the formula in words."""
    if parts.builder in META_ANALYSES:
        yield from (_meta if parts.builder == "meta_analysis" else network_methods)(parts)
        return
    size = f" ({', '.join(sizes(parts))})"
    several = len(parts.outcomes) > 1
    if several or parts.event is not None:
        yield from _joint(parts, size)
        return
    outcome = parts.outcomes[0]
    contents = [*_wedge(parts), *_predictor(parts, outcome.main), *residual_methods(parts)]
    trial = " of a stepped-wedge trial" if parts.builder == "stepped_wedge" else ""
    subject, were = _response(parts, outcome)
    yield f"{subject}{trial}{size} {were} analysed with a Bayesian {_family(parts, outcome)}{_with(contents)}."
    yield from _categories(parts, outcome)
    yield from seen_methods(parts, outcome)
    for name, part in outcome.others.items():
        yield f"{_cap(_of_part(parts, outcome, name))} {_was(outcome, name)} modelled with {_items(_predictor(parts, part))}."
    yield from covariate_methods(parts, [_predictor(parts, c.main) for c in parts.covariates])
    for factor in (factor for (factor, _), (_, predictors) in parts.blocks().items() if predictors > 1):
        yield f"The random effects of one {parts.group_name(factor)} on both parts are correlated."


def _categories(parts: Parts, outcome: OutcomeParts) -> Iterator[str]:
    """What the linear predictors of unordered categories, or of competing causes, are."""
    if outcome.causes:
        names = joined([cause_words(parts, cause) for cause in outcome.causes])
        amount = (
            "cause-specific hazard"
            if outcome.link == "log_hazard"
            else "distribution of times, with the others censored,"
        )
        yield f"The causes of the event, {names}, compete: each had a {amount} and a linear predictor of these terms of its own."
        for group in (g for g in outcome.main.formula.groups if g.label):
            yield f"The random effects of one {parts.group_name(group.called)} are correlated between the causes."
    if outcome.family.responses == "unordered":
        reference, *others = outcome.levels
        each = (
            f"{joined(others)} each had a linear predictor of these terms"
            if len(others) > 1
            else f"{others[0]} had a linear predictor"
        )
        yield f"Against the reference category {reference}, {each}."
        labelled = [g for g in outcome.main.formula.groups if g.label]
        for group in labelled if len(others) > 1 else ():
            yield f"The random effects of one {parts.group_name(group.called)} are correlated between the categories."


def _response(parts: Parts, outcome: OutcomeParts) -> tuple[str, str]:
    """What was analysed, and whether it was or were."""
    what = outcome_words(parts, outcome)
    response = outcome.main.formula.response
    kind = outcome.family.responses
    if kind == "measured":
        return _cap(what), "was"
    if kind == "time":
        return f"Time to {what}", "was"
    if kind == "ordered":
        return f"The ordered outcome {what}", "was"
    if kind == "unordered":
        return f"The categorical outcome {what}", "was"
    if kind == "binary" and (response is None or response.trials is None):
        return f"The binary outcome {what}", "was"
    what = parts.about.plural(what) if kind == "binary" and parts.about.outcome else what
    return "Counts" if what == "count" else f"Counts of {what}", "were"


def _of_part(parts: Parts, outcome: OutcomeParts, name: str) -> str:
    """What a further linear predictor is: "the log odds of a structural zero", "the logarithm of the shape"."""
    if name == "never":
        return f"the log odds that {article(parts.about.name(parts.spec['options']['subject']))} is never at risk"
    own = outcome.family.own_parameter(name)
    if own is None:
        return "the distance between thresholds"
    return f"the {'log odds' if own.scale == 'logit' else 'logarithm'} of {own.words}"


def _was(outcome: OutcomeParts, name: str) -> str:
    """Log odds were modelled, a logarithm was."""
    own = outcome.family.own_parameter(name)
    return "were" if name == "never" or (own is not None and own.scale == "logit") else "was"


def _family(parts: Parts, outcome: OutcomeParts) -> str:
    """ "binomial mixed model with a logit link"."""
    mixed = "mixed model" if outcome.main.formula.groups else "regression model"
    name = f"{outcome.family.called} {mixed}"
    if outcome.link in PROBABILITY_LINKS:
        name += f" with a {outcome.link} link"
    if outcome.family.responses == "time":
        learnt = parts.spec["facts"]["event_times"]
        law = learnt.get("distribution")
        name += f" with {f'{TIME_LAW_WORDS[law]} times' if law else _BASELINES[learnt['baseline']]}"
    if parts.builder == "never_at_risk":
        name += f", in which {article(parts.about.name(parts.spec['options']['subject']))} may never be at risk"
    return name


def _with(contents: Sequence[str]) -> str:
    return f", with {_items(contents)}" if contents else ""


def _items(contents: Sequence[str]) -> str:
    return joined(list(contents)) if contents else "a single level"


def _predictor(parts: Parts, part: Part) -> list[str]:
    """The terms of a linear predictor: covariates, interactions, curves, offsets and group effects."""
    single = [_covariate(parts, t) for t in part.terms if len(t) == 1]
    products = [" and ".join(_column(parts, (e,)) for e in t) for t in part.terms if len(t) > 1]
    found = [f"{joined(single)} as covariate{'s' if len(single) > 1 else ''}"] if single else []
    found += [f"the interaction of {p}" for p in products]
    for smooth in part.formula.smooths:
        by = f" for each {parts.about.name(smooth.by)}" if smooth.by else ""
        found.append(f"a penalised smooth of {joined([parts.about.name(v) for v in smooth.variables])}{by}")
    exposure = parts.spec["options"].get("exposure") if not part.of else None
    offsets = [f"the logarithm of {parts.about.name(exposure)}"] if exposure else []
    offsets += [o.text for o in part.formula.offsets]
    found += [f"{o} as an offset" for o in offsets]
    return [*found, *(_random(parts, g) + structure_in_methods(parts, g) for g in part.formula.groups)]


def _covariate(parts: Parts, term: Summand) -> str:
    if term[0].kind == "monotonic":
        return f"{_column(parts, term)} (monotonic, Bürkner and Charpentier 2020)"
    return f"{_column(parts, term)} (categorical)" if parts.levels(term[0]) else _column(parts, term)


def _column(parts: Parts, term: Summand) -> str:
    return re.sub(r"^I\((.*)\)$", r"\1", parts.name(term[0]))


def _random(parts: Parts, group: GroupTerm) -> str:
    """ "a random intercept and slope of time for each subject"."""
    if group.process:
        return process_methods(parts, group)
    terms = list(effects_of(group))
    law = "Student-t distributed " if group.dist == "student" else ""
    by = f" with variances of its own in each level of {parts.about.name(group.by)}" if group.by else ""
    slopes = [" by ".join(_column(parts, (e,)) for e in t) for t in terms if t]
    if len(terms) == 1:
        return f"a {law}random {f'slope of {slopes[0]}' if slopes else 'intercept'} for each {parts.group_name(group.called)}{by}"
    of = [*(["intercepts"] if () in terms else []), *(f"slopes of {s}" for s in slopes)]
    return f"{'correlated' if group.correlated else 'independent'} {law}random {joined(of)} for each {parts.group_name(group.called)}{by}"


def _wedge(parts: Parts) -> list[str]:
    if parts.builder != "stepped_wedge":
        return []
    facts = parts.spec["facts"]
    random = ", which varies between clusters" if parts.spec["options"].get("treatment_effect") == "random" else ""
    return [
        f"{_COURSES[facts['exposure_time']]}{random}",
        f"{_CORRELATIONS[facts['correlation']]} correlation within clusters",
    ]


def _joint(parts: Parts, size: str) -> Iterator[str]:
    """Several outcomes, and the event that a marker goes with."""
    names = [outcome_words(parts, o) for o in parts.outcomes]
    event = f" and {followed_words(parts)}" if parts.event is not None else ""
    yield f"{_cap(joined(names))}{event} were analysed together with a Bayesian joint model{size}."
    for outcome, name in zip(parts.outcomes, names, strict=True):
        yield f"{_cap(name)} was modelled by a {_family(parts, outcome)}{_with(_predictor(parts, outcome.main))}."
        yield from _categories(parts, outcome)
        yield from seen_methods(parts, outcome)
        for of, part in outcome.others.items():
            words = f"{_of_part(parts, outcome, of)} of {name} {_was(outcome, of)}"
            yield f"{_cap(words)} modelled with {_items(_predictor(parts, part))}."
    if len(parts.outcomes) > 1 and any(predictors > 1 for _, predictors in parts.blocks().values()):
        yield "Random effects of the same level are correlated between outcomes."
    if parts.event is not None:
        forms = joined([label.replace("_", " ") for label in parts.spec["event"]["association"]])
        covariates = [_column(parts, t) for t in Part("", "log", parts.event.covariates).terms]
        after = f" and {joined(covariates)}" if covariates else ""
        baseline = _BASELINES[parts.spec["options"]["baseline"]]
        yield f"The hazard was proportional, with {baseline}, and depended on the marker ({forms}){after}."
        yield from recurrence_methods(parts)


def _meta(parts: Parts) -> Iterator[str]:
    options, facts = parts.spec["options"], parts.spec["facts"]
    of_risks = parts.spec["link"] == "logit"
    covariates = [_column(parts, t) for t in parts.outcomes[0].main.terms]
    kind = "random-effects meta-regression" if covariates else "random-effects meta-analysis"
    studies = parts.group_count((facts["study"],), parts.groups[facts["study"]])
    likelihood = (
        "binomial likelihoods of both arms" if of_risks else "Poisson likelihoods of both arms with person-time"
    )
    ratio = "log odds ratios" if of_risks else "log rate ratios"
    line = (
        f" around a linear function of {joined(covariates)}, centred at the mean of the studies" if covariates else ""
    )
    yield (
        f"{studies} were combined in a one-stage Bayesian {kind} with {likelihood}, {_META[options['baseline']]}, and "
        f"{ratio} that vary normally{line}."
    )


# -------------------------------------------------------------------------------------------------------------- priors


def _priors(parts: Parts) -> str:
    """ "Priors were Student-t (3 degrees of freedom, 0, 2.5) for the intercept, ..." """
    by_kind: dict[str, list[str]] = {}
    for variable, text in parts.spec["priors"].items():
        texts = [text] if isinstance(text, str) else list(text.values())
        by_kind.setdefault(_prior_of(parts, variable), []).extend(texts)
    by_prior: dict[str, list[str]] = {}
    for kind, texts in by_kind.items():
        distinct = list(dict.fromkeys(texts))
        names = list(dict.fromkeys(parse(t).distribution for t in distinct))
        if len(distinct) > 2 and len(names) == 1:
            words = f"{DISTRIBUTION_WORDS.get(names[0], names[0])}, scaled to the data,"
        else:
            words = joined([prior_words(parse(t)) for t in distinct])
        by_prior.setdefault(words, []).append(kind)
    told = [f"{words} for {joined(kinds)}" for words, kinds in by_prior.items()]
    given = parts.spec.get("given")
    whose = " All are defaults." if given == {} else ""
    return f"Priors were {'; '.join(told)}.{whose}"


def _prior_of(parts: Parts, variable: str) -> str:
    """What a prior is of: "the intercept of the zero part", "the shape", "coefficients of the log of the shape"."""
    kind, outcome, part = prior_kind(parts, variable)
    own = outcome.family.own_parameter(part or kind) or outcome.family.own_parameter(variable)
    if outcome in parts.covariates:
        return f"{own.words if own is not None else _KINDS.get(kind, variable)} of {covariate_name(parts, outcome)}"
    if own is not None and not part and own.scale != "logit":
        return own.words or _KINDS.get(kind, variable)
    of_log = f" of the log of {own.words}" if own is not None and part and own.scale == "log" else ""
    return f"{_KINDS.get(kind, variable)}{of_log or _PARTS.get(part, '')}"


_KINDS = {
    "intercept": "the intercept", "coefficient": "coefficients", "sd": "standard deviations between levels of groups",
    "corr": "correlations", "df": "degrees of freedom of group effects", "tau": "the heterogeneity tau",
    "beta_sd": "the standard deviation of slopes",
    "study_Intercept": "the levels of studies", "effect": "the effect", "hazard coefficient": "log hazard ratios",
    "hazard level": "the level of the log baseline hazard", "h0_trend": "the trend of the log baseline hazard",
    "h0_precision": "its smoothness", "h0_steps": "its steps", "frailty_sd": "the standard deviation of the frailty",
    "smooth sd": "the bend of curves", "smooth line": "the straight parts of curves", "share": "probabilities", "zi": "probabilities",
    "autocorrelation": "correlations", "range": "ranges", "spatial share": "the spatial share of the variance",
    "weibull_shape": "the Weibull shape", "exposure_shares": "the shares of the effect by exposure", "loading": "loadings",
    "nominal_beta": "departures from proportional odds", "simplex": "the shares of the steps of monotonic effects",
}  # fmt: skip
_PARTS = {
    "zi": " of the zero part",
    "never": " of never being at risk",
    **{part: f" of the log {words}" for part, words in LOGARITHMS.items()},
}


# ------------------------------------------------------------------------------------------------ sampler and estimand


def _sampler(parts: Parts) -> str:
    sampling, versions = parts.content["sampling"], parts.content.get("versions", {})
    thin, draws = sampling.get("thin", 1), sampling.get("draws", parts.tree["posterior"].sizes["draw"])
    chains = sampling.get("chains", parts.tree["posterior"].sizes["chain"]) // (len(imputed_tables(parts.tree)) or 1)
    kept = f"{draws} draws kept in each" + (f", every {_ordinal(thin)} of {draws * thin}" if thin > 1 else "")
    warm = f" after {sampling['tune']} for warm-up" if "tune" in sampling else ""
    used = [
        f"{name} {versions[key]}"
        for name, key in (("glmm_zoo", "glmm-zoo"), ("PyMC", "pymc"), ("nutpie", "nutpie"), ("BlackJAX", "blackjax"))
        if key in versions
    ]
    return f"The posterior was sampled with the No-U-Turn Sampler ({plural(chains, 'chain')}, {kept}{warm}{'; ' if used else ''}{', '.join(used)})."


def _ordinal(n: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(n, f"{n}th")


def _diagnostics(parts: Parts) -> Iterator[str]:
    """R-hat, effective draws and divergences, as the file's own diagnosis has them."""
    if "report/diagnostics" not in [node.path.strip("/") for node in parts.tree.subtree]:
        return
    table = stored_diagnostics(parts.tree)
    divergent = int(parts.tree["sample_stats"].dataset["diverging"].values.sum())
    r_hat, few, _ = worst_of(table, parts.spec)
    no = "no divergent transitions" if not divergent else plural(divergent, "divergent transition")
    were = "was" if divergent == 1 else "were"
    yield f"R-hat was at most {r_hat:.3f}, parameters had at least {numbers.whole(few)} effective draws, and there {were} {no}."


def _estimand(parts: Parts, answer: Answer) -> Iterator[str]:
    """Whose averages are reported."""
    estimates = answer.means or answer.comparisons
    if estimates is None:
        return
    if parts.builder in META_ANALYSES:
        yield "The mean effect is that at the centre of the population of studies; the prediction interval is that of the effect in a new one."
        return
    used = estimates.draws.sizes["chain"] * estimates.draws.sizes["draw"]
    groups = joined([parts.group_plural(tuple(g.split(":"))) for g in parts.groups]) if parts.groups else ""
    out = (
        f", and the effects of {groups} were integrated out (population-averaged{averaged_over(parts)})"
        if groups
        else ""
    )
    yield (
        f"Averages and comparisons are over the rows of the data in each of {used} draws{out}, with all else as it is in the data."
    )


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:] if _is_word(text) else text


def _is_word(text: str) -> bool:
    """Whether it begins with a word, and not with code such as log(bili)."""
    return "(" not in text.split(" ")[0]
