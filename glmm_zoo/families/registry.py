"""The families: one record for each distribution of a response, which every builder uses.

A new family is a file beside this one, with its density, its moments and its record, a line in `FAMILIES`, and a builder of
its own if it is to be fitted alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.families import binomial, categorical, counts, gaussian, log_densities, moments, ordinal
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.links import PROBABILITY_LINKS, probability_link
from glmm_zoo.families.nominal import Nominal, nominal_steps
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.terms import Response
from glmm_zoo.priors import Parameter, parameter, sd_default
from glmm_zoo.tables.columns import Table

# ----------------------------------------------------------------------------------------------------------- Gaussian


def _read_gaussian(table: Table, response: Response, _: Any) -> Outcome:
    return gaussian.read_gaussian(table, response)


def _observe_gaussian(name: str, outcome: Outcome, eta: Tensor, _: str, own: Mapping[str, Tensor]) -> None:
    gaussian.observe_gaussian(name, outcome, eta, own["sigma"])


def _sigma(outcome: Outcome) -> Parameter:
    return parameter("sigma", "positive", sd_default(1.0, outcome.scale))


# ------------------------------------------------------------------------------------------------ Bernoulli, binomial


def _binary_family(name: str, read: Callable[[Table, Response, Any], Outcome]) -> Family:
    return Family(
        name,
        tuple(PROBABILITY_LINKS),
        read,
        _observe_binomial,
        moments.bernoulli_moments,
        log_densities.binomial_log_density,
        choice="success",
        one_per_row=binomial.has_many_trials,
        doubts=lambda outcome, columns: [
            *binomial.separated(outcome, columns.values, columns.labels),
            *binomial.separated_references(outcome, columns),
        ],
        latent=True,
    )


def _observe_binomial(name: str, outcome: Outcome, eta: Tensor, link: str, _: Mapping[str, Tensor]) -> None:
    binomial.observe_binomial(name, outcome, eta, probability_link(link))


# ------------------------------------------------------------------------------------------------------------- counts


def _read_count(table: Table, response: Response, _: Any) -> Outcome:
    return counts.read_count(table, response)


_WITH_ZEROS: Mapping[Callable[..., None], Callable[..., Any]] = {
    counts.observe_zero_inflated: counts.zero_inflated_log_f,
    counts.observe_hurdle: counts.hurdle_log_f,
}


def _count_family(
    name: str, count: counts.Count, observe: Callable[..., None] = counts.observe_count, of: str = ""
) -> Family:
    """A family of counts. `observe` adds its likelihood, with a share of zeros if it is not that of plain counts; `of`
    completes "expected count", which is what its rates count."""
    zeros = observe is not counts.observe_count

    def add(name: str, outcome: Outcome, eta: Tensor, _: str, own: Mapping[str, Tensor]) -> None:
        share = [own["zi"]] if zeros else []
        size = [own["alpha"]] if count.sized else []
        observe(name, count, outcome, *share, eta, *size)

    zi = OwnParameter("zi", "logit", lambda _: counts.uniform_share("zi"), option="zi", doubts=counts.separated_zeros)
    alpha = OwnParameter("alpha", "log", lambda _: counts.ALPHA, option="dispersion")
    return Family(
        name,
        ("log",),
        _read_count,
        add,
        moments.hurdle_moments if observe is counts.observe_hurdle else moments.count_moments,
        log_densities.count_log_density(count, _WITH_ZEROS.get(observe)),
        own=(*([zi] if zeros else []), *([alpha] if count.sized else [])),
        one_per_row=lambda _: True,
        doubts=lambda outcome, columns: [
            *(counts.without_zeros(outcome) if zeros else ()),
            *counts.without_large(outcome, columns),
            *(counts.without_large(outcome, columns, least=2) if observe is counts.observe_hurdle else ()),
        ],
        findings=("rates", "dispersion", "zeros"),
        counted=f"expected count{of}",
        count_alone=moments.count_alone,
    )


_BUT_ZEROS, _BEFORE_ZEROS = " but for structural zeros", " before zeros are cut off"


def negative_binomial_family(name: str, parameterization: str) -> Family:
    """The negative binomial family of that name, with variance quadratic ("nb2") or linear ("nb1") in the mean.

    Raises
    ------
    InputError
        Another parameterization.
    """
    if parameterization not in counts.NEGATIVE_BINOMIALS:
        raise InputError(f"unknown parameterization {parameterization!r}; known: {listing(counts.NEGATIVE_BINOMIALS)}")
    count = counts.NEGATIVE_BINOMIALS[parameterization]
    if name.startswith("zero_inflated"):
        family = _count_family(name, count, counts.observe_zero_inflated, _BUT_ZEROS)
    elif name.startswith("hurdle"):
        family = _count_family(name, count, counts.observe_hurdle, _BEFORE_ZEROS)
    else:
        family = _count_family(name, count)
    if parameterization == "nb1":
        linear = moments.of_linear_variance
        return replace(family, moments=linear(family.moments), count_alone=linear(moments.count_alone))
    return family


# -------------------------------------------------------------------------------------------------- ordered categories


def _ordered_family(
    name: str,
    kind: ordinal.ThresholdFamily,
    links: Sequence[str],
    probabilities: moments.Probabilities,
    log_density: log_densities.RowLogDensity,
) -> Family:
    def read(table: Table, response: Response, levels: Any) -> Outcome:
        return ordinal.read_ordered(table, response, ordinal.level_names(levels))

    def add(name: str, outcome: Outcome, eta: Tensor, link: str, own: Mapping[str, Tensor]) -> None:
        steps, pattern = ordinal.threshold_steps(own["cutpoints"]), np.zeros(len(outcome.values), int)
        ordinal.observe_ordered(name, kind, outcome, probability_link(link), eta, steps, pattern)

    return Family(
        name,
        tuple(links),
        read,
        add,
        moments.category_moments(probabilities),
        log_density,
        own=(OwnParameter("cutpoints", "thresholds", lambda _: ordinal.CUTPOINTS),),
        choice="levels",
        doubts=lambda outcome, columns: [
            *ordinal.unseen_levels(outcome),
            *ordinal.separated_categories(outcome, columns),
        ],
        code=ordinal.ordered_predictor,
        latent=kind.cumulative,
        probabilities=probabilities,
    )


def with_nominal(family: Family, nominal: Nominal) -> Family:
    """The cumulative family with thresholds whose distances depend on covariates."""

    def add(name: str, outcome: Outcome, eta: Tensor, link: str, own: Mapping[str, Tensor]) -> None:
        steps = nominal_steps(own["cutpoints"], nominal, own["nominal_beta"])
        ordinal.observe_ordered(name, ordinal.CUMULATIVE, outcome, probability_link(link), eta, steps, nominal.pattern)

    gamma = OwnParameter(
        "nominal_beta", "identity", lambda _: nominal.parameter, dim="nominal_coef", labels=nominal.labels,
        to_zero=nominal.to_zero,
    )  # fmt: skip
    return replace(family, own=(*family.own, gamma), observe=add, findings=("proportional_odds",))


# ----------------------------------------------------------------------------------------------------------- registry

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "gaussian",
            ("identity",),
            _read_gaussian,
            _observe_gaussian,
            moments.gaussian_moments,
            log_densities.gaussian_log_density,
            own=(OwnParameter("sigma", "identity", _sigma),),
        ),
        _binary_family("bernoulli", binomial.read_bernoulli),
        _binary_family("binomial", binomial.read_binomial),
        _count_family("poisson", counts.POISSON),
        negative_binomial_family("negative_binomial", "nb2"),
        _count_family("zero_inflated_poisson", counts.POISSON, counts.observe_zero_inflated, _BUT_ZEROS),
        negative_binomial_family("zero_inflated_negative_binomial", "nb2"),
        _count_family("hurdle_poisson", counts.POISSON, counts.observe_hurdle, _BEFORE_ZEROS),
        negative_binomial_family("hurdle_negative_binomial", "nb2"),
        _ordered_family(
            "ordinal",
            ordinal.CUMULATIVE,
            tuple(PROBABILITY_LINKS),
            moments.cumulative_probabilities,
            log_densities.cumulative_log_density,
        ),
        _ordered_family(
            "sratio",
            ordinal.STOPPING_RATIO,
            tuple(PROBABILITY_LINKS),
            moments.stopping_ratio_probabilities,
            log_densities.sequential_log_density(ordinal.stopping_ratio_log_f),
        ),
        _ordered_family(
            "acat",
            ordinal.ADJACENT_CATEGORY,
            ("logit",),
            moments.adjacent_category_probabilities,
            log_densities.sequential_log_density(ordinal.adjacent_category_log_f),
        ),
        categorical.CATEGORICAL,
    )
}
ALIASES = {
    "nb": "negative_binomial", "zip": "zero_inflated_poisson", "zinb": "zero_inflated_negative_binomial",
    "cumulative": "ordinal",
}  # fmt: skip


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
