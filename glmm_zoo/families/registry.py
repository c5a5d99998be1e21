"""The families: one record for each distribution of a response, which every builder uses.

A new family is a file beside this one, with its density, its moments and its record, a line in `FAMILIES`, and a builder of
its own if it is to be fitted alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.families import (
    beta,
    beta_binomial,
    binomial,
    categorical,
    com_poisson,
    count_laws,
    counts,
    gamma,
    gaussian,
    log_densities,
    lognormal,
    moments,
    ordered_beta,
    ordered_categories,
    ordered_predictors,
    ordinal,
    student_t,
    weibull,
)
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.law import Law
from glmm_zoo.families.links import PROBABILITY_LINKS, probability_link
from glmm_zoo.families.nominal import Nominal, nominal_steps
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.shares import share_of_zeros
from glmm_zoo.families.survival import event_time_family
from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.terms import Response
from glmm_zoo.tables.columns import Table

# ------------------------------------------------------------------------------------------------ Bernoulli, binomial


def _binary_family(name: str, read: Callable[[Table, Response, Any], Outcome]) -> Family:
    return Family(
        name,
        tuple(PROBABILITY_LINKS),
        read,
        _observe_binomial,
        moments.bernoulli_moments,
        log_densities.binomial_log_density,
        responses="binary",
        called="binomial",
        distribution="is binomial with probability p",
        formula="Binomial(n, p)",
        choice="success",
        one_per_row=binomial.has_many_trials,
        doubts=binomial.doubts_of_successes,
        latent=True,
    )


def _observe_binomial(name: str, outcome: Outcome, eta: Tensor, link: str, _: Mapping[str, Tensor]) -> None:
    binomial.observe_binomial(name, outcome, eta, probability_link(link))


# ------------------------------------------------------------------------------------------------------------- counts


@dataclass(frozen=True)
class _Zeros:
    """How a share of zeros goes with counts: its likelihood and density, and the words for it.

    `of` completes "expected count", which is what rates count; `share` is what zi is the probability of; `predicate` has the
    place of the distribution's words.
    """

    kind: Literal["structural", "all"] | None
    observe: Callable[..., None]
    log_f: Callable[..., Any] | None = None
    called: str = ""
    of: str = ""
    share: str = ""
    predicate: str = "has {}"


_NO_ZEROS = _Zeros(None, counts.observe_count)
_INFLATED = _Zeros(
    "structural", counts.observe_zero_inflated, counts.zero_inflated_log_f, "zero-inflated ", " but for structural zeros",
    "a structural zero", "is a structural zero with probability π; otherwise it has {}, which may be 0 too",
)  # fmt: skip
_HURDLE = _Zeros(
    "all", counts.observe_hurdle, counts.hurdle_log_f, "hurdle ", " before zeros are cut off", "a zero",
    "is 0 with probability π; what is above 0 has {} without its zeros",
)  # fmt: skip


def _count_family(
    name: str,
    count: counts.Count,
    distribution: tuple[str, str, str],
    law: Law,
    alpha: OwnParameter | None = None,
    zeros: _Zeros = _NO_ZEROS,
) -> Family:
    """A family of counts; `distribution` has what it is called, its words and its formula."""

    def add(name: str, outcome: Outcome, eta: Tensor, _: str, own: Mapping[str, Tensor]) -> None:
        share = [own["zi"]] if zeros.kind else []
        size = [own["alpha"]] if alpha else []
        zeros.observe(name, count, outcome, *share, eta, *size)

    called, words, formula = distribution
    return Family(
        name,
        ("log",),
        counts.read_count,
        add,
        moments.hurdle_moments if zeros is _HURDLE else moments.count_moments,
        log_densities.count_log_density(count, zeros.log_f),
        responses="count",
        called=f"{zeros.called}{called}",
        distribution=zeros.predicate.format(words),
        formula=formula,
        own=(*([share_of_zeros(zeros.share)] if zeros.kind else []), *([alpha] if alpha else [])),
        zeros=zeros.kind,
        one_per_row=lambda _: True,
        doubts=lambda outcome, columns: [
            *(counts.without_zeros(outcome) if zeros.kind else ()),
            *counts.without_large(outcome, columns),
            *(counts.without_large(outcome, columns, least=2) if zeros is _HURDLE else ()),
        ],
        findings=("rates", "dispersion", "zeros"),
        counted=f"expected count{zeros.of}",
        count_alone=moments.count_alone,
        law=None if zeros.kind else law,
    )


_POISSON = ("Poisson", "a Poisson distribution with mean μ", "Poisson(μ)")
_VARIANCES: Mapping[str, tuple[str, str, Callable[[float], float]]] = {  # and the shape; the variance at a mean of 10
    "nb2": ("μ + μ²/φ", "φ", lambda alpha: 10 + 100 / alpha),
    "nb1": ("μ + μ/φ", "φμ", lambda alpha: 10 + 10 / alpha),
}


def negative_binomial_family(name: str, parameterization: str) -> Family:
    """The negative binomial family of that name, with variance quadratic ("nb2") or linear ("nb1") in the mean.

    Raises
    ------
    InputError
        Another parameterization.
    """
    if parameterization not in counts.NEGATIVE_BINOMIALS:
        raise InputError(f"unknown parameterization {parameterization!r}; known: {listing(counts.NEGATIVE_BINOMIALS)}")
    variance, shape, at_ten = _VARIANCES[parameterization]
    alpha = OwnParameter(
        "alpha", "log", lambda _: counts.ALPHA, option="dispersion", words="the shape", symbol="φ", shown=at_ten,
        allows="At a mean of 10, variances from {high} to {low} ({inner}); a Poisson count has 10",
        why="near the prior that has a Poisson count as its simplest case; brms has the same",
    )  # fmt: skip
    words = f"a negative binomial distribution with mean μ and variance {variance}"
    zeros = _INFLATED if name.startswith("zero_inflated") else _HURDLE if name.startswith("hurdle") else _NO_ZEROS
    count, told = counts.NEGATIVE_BINOMIALS[parameterization], ("negative binomial", words, f"NegBinomial(μ, {shape})")
    family = _count_family(name, count, told, count_laws.NEGATIVE_BINOMIAL_LAW, alpha, zeros)
    if parameterization == "nb1":
        linear, law = moments.of_linear_variance, family.law and count_laws.of_linear_size(family.law)
        return replace(family, moments=linear(family.moments), count_alone=linear(moments.count_alone), law=law)
    return family


# -------------------------------------------------------------------------------------------------- ordered categories


def _ordered_family(
    name: str,
    kind: ordinal.ThresholdFamily,
    links: Sequence[str],
    probabilities: moments.Probabilities,
    log_density: log_densities.RowLogDensity,
    **told: Any,
) -> Family:
    def read(table: Table, response: Response, levels: Any) -> Outcome:
        return ordered_categories.read_ordered(table, response, ordered_categories.level_names(levels))

    def add(name: str, outcome: Outcome, eta: Tensor, link: str, own: Mapping[str, Tensor]) -> None:
        steps, pattern = ordinal.threshold_steps(own["cutpoints"]), np.zeros(len(outcome.values), int)
        ordinal.observe_ordered(name, kind, outcome, probability_link(link), eta, steps, pattern, _log_disc(own))

    cutpoints = OwnParameter("cutpoints", "thresholds", lambda _: ordinal.CUTPOINTS)
    disc = OwnParameter(
        "disc",
        "log",
        None,
        option="disc",
        code=ordered_predictors.discrimination_predictor,
        doubts=ordered_predictors.zero_far_away,
        words="the discrimination",
        symbol="d",
    )
    return Family(
        name,
        tuple(links),
        read,
        add,
        moments.category_moments(probabilities),
        log_density,
        responses="ordered",
        **told,
        own=(cutpoints, disc),
        choice="levels",
        doubts=lambda outcome, columns: [
            *ordered_categories.unseen_levels(outcome),
            *ordered_categories.separated_categories(outcome, columns),
        ],
        code=ordered_predictors.ordered_predictor,
        latent=kind.cumulative,
        probabilities=probabilities,
    )


def _log_disc(own: Mapping[str, Tensor]) -> list[Tensor]:
    """log of the discrimination of ordered categories, which is 1 but where it has a linear predictor."""
    return [own["disc"]] if "disc" in own else []


def with_nominal(family: Family, nominal: Nominal) -> Family:
    """The cumulative family with thresholds whose distances depend on covariates."""

    def add(name: str, outcome: Outcome, eta: Tensor, link: str, own: Mapping[str, Tensor]) -> None:
        steps = nominal_steps(own["cutpoints"], nominal, own["nominal_beta"])
        ordinal.observe_ordered(
            name, ordinal.CUMULATIVE, outcome, probability_link(link), eta, steps, nominal.pattern, _log_disc(own)
        )

    coefficients = OwnParameter(
        "nominal_beta", "identity", lambda _: nominal.parameter, dim="nominal_coef", labels=nominal.labels,
        to_zero=nominal.to_zero,
    )  # fmt: skip
    return replace(family, own=(*family.own, coefficients), observe=add, findings=("proportional_odds",))


# ----------------------------------------------------------------------------------------------------------- registry

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        gaussian.GAUSSIAN,
        student_t.STUDENT_T,
        gamma.GAMMA,
        lognormal.LOGNORMAL,
        weibull.WEIBULL,
        _binary_family("bernoulli", binomial.read_bernoulli),
        _binary_family("binomial", binomial.read_binomial),
        beta_binomial.BETA_BINOMIAL,
        beta.BETA,
        beta.ZERO_INFLATED_BETA,
        beta.ZERO_ONE_INFLATED_BETA,
        ordered_beta.ORDERED_BETA,
        _count_family("poisson", counts.POISSON, _POISSON, count_laws.POISSON_LAW),
        negative_binomial_family("negative_binomial", "nb2"),
        _count_family("zero_inflated_poisson", counts.POISSON, _POISSON, count_laws.POISSON_LAW, zeros=_INFLATED),
        negative_binomial_family("zero_inflated_negative_binomial", "nb2"),
        _count_family("hurdle_poisson", counts.POISSON, _POISSON, count_laws.POISSON_LAW, zeros=_HURDLE),
        negative_binomial_family("hurdle_negative_binomial", "nb2"),
        com_poisson.COM_POISSON,
        com_poisson.ZERO_INFLATED_COM_POISSON,
        _ordered_family(
            "ordinal",
            ordinal.CUMULATIVE,
            tuple(PROBABILITY_LINKS),
            moments.cumulative_probabilities,
            log_densities.cumulative_log_density,
            called="cumulative",
            distribution="Thresholds c, one between neighbouring categories, cut it into the categories' probabilities, so that an "
            "effect is the same at every threshold",
            formula="y≤k",
        ),
        _ordered_family(
            "sratio",
            ordinal.STOPPING_RATIO,
            tuple(PROBABILITY_LINKS),
            moments.stopping_ratio_probabilities,
            log_densities.sequential_log_density(ordinal.stopping_ratio_log_f),
            called="stopping-ratio",
            distribution="Thresholds c, one for each category but the last, say how probable it is to stop at that category once it "
            "is reached",
            formula="y=k|y≥k",
        ),
        _ordered_family(
            "acat",
            ordinal.ADJACENT_CATEGORY,
            ("logit",),
            moments.adjacent_category_probabilities,
            log_densities.sequential_log_density(ordinal.adjacent_category_log_f),
            called="adjacent-category",
            distribution="Thresholds c, one for each pair of neighbouring categories, say how probable the lower one of the two is",
            formula="y=k|y∈{k,k+1}",
        ),
        categorical.CATEGORICAL,
    )
}
ALIASES = {
    "nb": "negative_binomial", "zip": "zero_inflated_poisson", "zinb": "zero_inflated_negative_binomial",
    "cumulative": "ordinal", "student": "student_t", "compois": "com_poisson",
}  # fmt: skip


def family_of_fit(name: str, spec: Mapping[str, Any]) -> Family:
    """The family of an outcome of a fit from its name, what was learnt of times to an event, and the options that its builder had."""
    if "event_times" in spec["facts"]:
        return event_time_family(spec["facts"]["event_times"])
    parameterization = spec["options"].get("parameterization")
    return FAMILIES[name] if parameterization is None else negative_binomial_family(name, parameterization)


def family_described(outcome: Mapping[str, Any]) -> Family:
    """The family of an outcome from its part of the spec of a fit; in one that an older version wrote without it, by builder and link.

    Of a response that is seen in part it has the bounds, and else what is said of the response itself.
    """
    if "event_times" in outcome.get("facts", {}):
        return event_time_family(outcome["facts"]["event_times"])
    of_link = {"identity": "gaussian", "log": "poisson"}.get(outcome["link"], "binomial")
    family = FAMILIES[outcome.get("family", "ordinal" if outcome.get("builder") == "ordinal" else of_link)]
    low, high = outcome.get("bounds") or (None, None)
    seen = (-np.inf if low is None else low, np.inf if high is None else high)
    return replace(family, bounds=seen) if outcome.get("bounds") else family


def family_and_link(text: str) -> tuple[Family, str]:
    """Family and link of text such as "poisson" or "bernoulli(probit)".

    Raises
    ------
    InputError
        Unknown families, and links that the family does not have.
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\(\s*(?:link\s*=\s*)?['\"]?(\w+)['\"]?\s*\))?\s*", str(text))
    name = ALIASES.get(match[1], match[1]) if match else str(text)
    if match is None or name not in FAMILIES:
        raise InputError(f"unknown family {text!r}{did_you_mean(name, FAMILIES) or ';'} known: {listing(FAMILIES, 99)}")
    family: Family = FAMILIES[name]
    return family, checked_link(family, match[2] or family.links[0])


def checked_link(family: Family, link: str) -> str:
    """The link, if the family has it.

    Raises
    ------
    InputError
        If it does not.
    """
    if link in family.links:
        return link
    default, *others = family.links
    if others:
        probability_link(link)
    instead = "; for other links use 'cumulative' or 'sratio'" if family.name == "acat" else ""
    raise InputError(f"family {family.name!r} has the {default} link, not {link!r}{instead}")
