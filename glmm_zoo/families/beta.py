"""Proportions: the beta distribution of values strictly between 0 and 1, and shares of exact zeros and ones beside it.

Symbols: mu = link^-1(eta) the mean, phi the precision, var = mu (1 - mu) / (1 + phi); f the density of Beta(mu phi, (1 - mu) phi).

    zero_inflated_beta       P(y = 0) = zi,                                       else f
    zero_one_inflated_beta   P(y = 0) = zoi (1 - coi),  P(y = 1) = zoi coi,       else f
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.families.beta_binomial import PHI, draw_share, drawn_share
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.links import LINKS, PROBABILITY_LINKS, ProbabilityLink, probability_link
from glmm_zoo.families.moments import Own
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.shares import own_share
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.formulas.terms import Response
from glmm_zoo.tables.columns import Table

_LEAST, _MOST = 1e-300, 1 - 2.0**-53  # draws of what is strictly between 0 and 1 are cut here


# ------------------------------------------------------------------------------------------------------------ responses


def ends_of_scale(bounds: Any) -> tuple[float, float]:
    """The ends of a scale, given as two numbers or as text "0,100"; 0 and 1 for None."""
    if bounds is None:
        return 0.0, 1.0
    parts = bounds.split(",") if isinstance(bounds, str) else bounds
    try:
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError):
        low = high = np.nan
    if not -np.inf < low < high < np.inf:
        raise InputError(f"bounds are the ends of the scale, two increasing numbers such as '0,100', not {bounds!r}")
    return low, high


def read_proportion(table: Table, response: Response, bounds: Any = None, *, zeros: bool, ones: bool) -> Outcome:
    """Numbers from the low to the high end of a scale, `bounds`, as shares of it; whether there may be `zeros` and `ones`."""
    if response.trials is not None:
        raise InputError("trials() belongs to counts of successes: beta_binomial; a proportion is y ~ ...")
    low, high = ends_of_scale(bounds)
    name = response.value.text
    if response.value.kind == "factor":
        raise InputError(f"the response is numeric here; write {name} ~ ... without C()")
    given = evaluate_expression(response.value, table)
    y = (given - low) / (high - low)
    bad = (y < 0) | (y > 1)
    if bad.any():
        percentages = bounds is None and given.min() >= 0 and 1 < given.max() <= 100
        raise InputError(
            f"response {name!r} needs values from {low:g} to {high:g}; {plural(int(bad.sum()), 'value')} not ({given[bad][0]:g}, "
            f"{table.at(bad)}); {'if these are percentages give' if percentages else 'other ends of the scale are given as in'} bounds='0,100'"
        )
    if not ((y > 0) & (y < 1)).any():
        raise InputError(
            f"response {name!r} holds nothing but {listing(f'{v:g}' for v in np.unique(given))}, the ends of its scale; for these use "
            "hierarchical_logistic"
        )
    if len(y) > 1 and np.all(y == y[0]):
        raise InputError(f"response {name!r} has a single value ({given[0]:g}) in every row; there is nothing to model")
    refused = (y == 0) & (not zeros) | (y == 1) & (not ones)
    if refused.any():
        ends = [f"{end:g} in {table.at(y == at)}" for end, at in ((low, 0), (high, 1)) if (refused & (y == at)).any()]
        raise InputError(
            f"response {name!r} needs values strictly between {low:g} and {high:g}; {plural(int(refused.sum()), 'value')} not ("
            f"{listing(ends)}); {'zoi' if (y == 1).any() else 'zi'}='~ 1' gives them a share of their own, and ordered_beta has them on "
            "one scale with the others"
        )
    of = "proportions" if (low, high) == (0, 1) else f"shares of the scale from {low:g} to {high:g}"
    return Outcome(name, y, None, description=f"{name}: {of}")


def without_ends(outcome: Outcome, ends: Mapping[float, str], what: str) -> list[str]:
    """Sentences on ends of the scale, 0 and 1 by their names, that no row has: what is said of them rests on a prior."""
    return [
        f"response {outcome.name!r} has no {word}: what the model says of their share rests on the prior of {what}"
        for end, word in ends.items()
        if not (outcome.values == end).any()
    ]


# ------------------------------------------------------------------------------------------------------------ densities


def log_beta(y: Array, eta: Array, log_phi: Array, link: ProbabilityLink) -> Array:
    """log f(y) = log Gamma(phi) / (Gamma(a) Gamma(b)) + (a - 1) log y + (b - 1) log(1 - y), a = mu phi, b = (1 - mu) phi;
    Gamma(a) = Gamma(1 + a) / a keeps it finite for small a."""
    pt = functions_of(eta)
    log_a, log_b = link.log_p(eta) + log_phi, link.log_q(eta) + log_phi
    a, b = pt.exp(log_a), pt.exp(log_b)
    log_gammas = pt.gammaln(1 + pt.exp(log_phi)) - pt.gammaln(1 + a) - pt.gammaln(1 + b)
    return log_gammas + log_a + log_b - log_phi + (a - 1) * pt.log(y) + (b - 1) * pt.log1p(-y)


def log_beta_inside(y: Array, eta: Array, log_phi: Array, link: ProbabilityLink) -> Array:
    """`log_beta`, and something finite where y is 0 or 1."""
    return log_beta(functions_of(eta).switch((y > 0) & (y < 1), y, 0.5), eta, log_phi, link)


def _log_zero_inflated(link: ProbabilityLink, y: Array, eta: Array, log_phi: Array, logit_zi: Array) -> Array:
    pt = functions_of(eta)
    inside = -pt.softplus(logit_zi) + log_beta_inside(y, eta, log_phi, link)
    return pt.switch(y > 0, inside, -pt.softplus(-logit_zi))


def _log_zero_one_inflated(
    link: ProbabilityLink, y: Array, eta: Array, log_phi: Array, logit_zoi: Array, logit_coi: Array
) -> Array:
    pt = functions_of(eta)
    inside = -pt.softplus(logit_zoi) + log_beta_inside(y, eta, log_phi, link)
    end = -pt.softplus(-logit_zoi) - pt.softplus(pt.switch(y > 0.5, -logit_coi, logit_coi))
    return pt.switch((y > 0) & (y < 1), inside, end)


def draw_beta(eta: Tensor, log_phi: Tensor, link: ProbabilityLink, shape: Any = None) -> Tensor:
    """y ~ f, strictly between 0 and 1."""
    return import_pytensor().clip(draw_share(eta, log_phi, link, shape), _LEAST, _MOST)


# --------------------------------------------------------------------------------------------------- moments and draws


def beta_moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    """mu and mu (1 - mu) / (1 + phi)"""
    mu = LINKS[link].inverse(eta)
    return mu, mu * (1 - mu) / (1 + own["phi"])


def _zero_inflated_moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    return moments_beside_ends(own["zi"], 0.0, *beta_moments(eta, own, link))


def _zero_one_inflated_moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    return moments_beside_ends(own["zoi"], own["coi"], *beta_moments(eta, own, link))


def moments_beside_ends(
    share: np.ndarray, ones: np.ndarray | float, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of values with this mean and variance beside a `share` of zeros and ones, of which those that are one are `ones`."""
    whole = (1 - share) * mean + share * ones
    return whole, (1 - share) * (variance + mean**2) + share * ones - whole**2


def _draw_zero_inflated(link: ProbabilityLink, eta: Tensor, log_phi: Tensor, logit_zi: Tensor, shape: Any) -> Tensor:
    import pymc as pm

    y = draw_beta(eta, log_phi, link, shape)
    return y * pm.Bernoulli.dist(logit_p=-logit_zi + import_pytensor().zeros_like(y))


def _draw_zero_one_inflated(
    link: ProbabilityLink, eta: Tensor, log_phi: Tensor, logit_zoi: Tensor, logit_coi: Tensor, shape: Any
) -> Tensor:
    import pymc as pm

    pt = import_pytensor()
    y = draw_beta(eta, log_phi, link, shape)
    is_end, is_one = (pm.Bernoulli.dist(logit_p=logit + pt.zeros_like(y)) for logit in (logit_zoi, logit_coi))
    return pt.switch(is_end, is_one, y)


def drawn_beta(rng: np.random.Generator, mu: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """`draw_beta` in NumPy."""
    return np.clip(drawn_share(rng, mu, phi), _LEAST, _MOST)


# ------------------------------------------------------------------------------------------------------------- records

INSIDE = "mean of values between 0 and 1"
PHI_OF_BETA = replace(
    PHI,
    allows="At a mean of 0.5, standard deviations from {high} to {low} ({inner})",
    shown=lambda phi: 0.5 / (1 + phi) ** 0.5,
    why="that of a negative binomial's shape: wide, with little weight near 0",
)


def _beta_family(
    name: str,
    class_name: str,
    log_f: Callable[..., Array],
    draw: Callable[..., Tensor],
    moments: Callable[..., tuple[np.ndarray, np.ndarray]],
    new: Callable[[np.random.Generator, np.ndarray, Own], np.ndarray],
    shares: Sequence[OwnParameter] = (),
    ends: tuple[tuple[str, str], ...] = (),
    at_ends: str = "",
) -> Family:
    """A family whose density takes y, eta, log phi and the logits of its `shares` after the link; `new(rng, y, own)` puts ends among
    values y that are drawn without, and `at_ends` are the words for them."""
    zeros, ones = bool(shares), len(shares) > 1
    words = {0.0: "zeros"} if zeros else {}
    words |= {1.0: "ones"} if ones else {}
    names = ["phi", *(share.name for share in shares)]

    def observe(name: str, outcome: Outcome, eta: Tensor, link: str, own: Mapping[str, Tensor]) -> None:
        of = probability_link(link)
        observe_rows(name, class_name, outcome, [eta, *(own[n] for n in names)], partial(log_f, of), partial(draw, of))

    def log_density(y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
        return log_f(probability_link(link), y, eta, *(own[n] for n in names))

    return Family(
        name,
        tuple(PROBABILITY_LINKS),
        partial(read_proportion, zeros=zeros, ones=ones),
        observe,
        moments,
        log_density,
        responses="measured",
        called=f"{name.replace('_', '-').replace('-beta', ' beta')}",
        distribution=f"{at_ends}has a beta distribution with mean {'m' if ends else 'μ'} and precision φ",
        formula="Beta(mφ, (1−m)φ)" if ends else "Beta(μφ, (1−μ)φ)",
        centre=INSIDE if ends else "mean",
        own=(*shares, PHI_OF_BETA),
        draw=lambda rng, eta, own, link: new(rng, drawn_beta(rng, LINKS[link].inverse(eta), own["phi"]), own),
        ends=ends,
        choice="bounds",
        doubts=lambda outcome, _: without_ends(outcome, words, "coi" if ones else "zi"),
    )


BETA = _beta_family(
    "beta",
    "Beta",
    lambda link, y, eta, log_phi: log_beta(y, eta, log_phi, link),
    lambda link, eta, log_phi, size: draw_beta(eta, log_phi, link, size),
    beta_moments,
    lambda _, y, __: y,
)
ZERO_INFLATED_BETA = _beta_family(
    "zero_inflated_beta",
    "ZeroInflatedBeta",
    _log_zero_inflated,
    _draw_zero_inflated,
    _zero_inflated_moments,
    lambda rng, y, own: np.where(rng.random(y.shape) < own["zi"], 0.0, y),
    [own_share("zi", lambda y: y == 0, "zeros", "a zero", "π")],
    (("y=0", "π"),),
    "is 0 with probability π; otherwise it ",
)
ZERO_ONE_INFLATED_BETA = _beta_family(
    "zero_one_inflated_beta",
    "ZeroOneInflatedBeta",
    _log_zero_one_inflated,
    _draw_zero_one_inflated,
    _zero_one_inflated_moments,
    lambda rng, y, own: np.where(rng.random(y.shape) < own["zoi"], rng.random(y.shape) < own["coi"], y),
    [
        own_share("zoi", lambda y: (y == 0) | (y == 1), "zeros and ones", "a zero or one", "π"),
        replace(own_share("coi", lambda y: y == 1, "ones", "a one among zeros and ones", "κ"), doubts=lambda *_: ()),
    ],
    (("y∈{0,1}", "π"), ("y=1|y∈{0,1}", "κ")),
    "is 0 or 1 with probability π, and then 1 with probability κ; otherwise it ",
)
