"""What is predicted of a row, given its linear predictors as normal variables: group effects are integrated out.

    mean         E(y): risk, rate, expected value; of unordered categories the probability of each; with a share s of structural zeros, or of subjects never at risk, (1 - s) E(count)
    zero         P(y = 0) = 1 - (1 - s) P(count > 0)
    positive     E(y | y > 0) = E(y) / P(y > 0)
    probability  P(y = k) of each category
    linear       the linear predictor, whose group effects have mean zero

Each is a mean over the distribution of the group effects, taken before any ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.estimands.fitted import TIME_SCALES, FittedOutcome
from glmm_zoo.estimands.normal_means import (
    Normal,
    mean_given,
    mean_of,
    mean_of_inverse_link,
    mean_of_scaled,
    mean_of_several,
)
from glmm_zoo.families.links import LINKS
from glmm_zoo.families.moments import Own

RESPONSE = "response"
SHARES = ("zi", "never")  # parts that say how probable it is that a row can only be zero
Covariances = Mapping[frozenset[str], np.ndarray]


@dataclass(frozen=True)
class RowPredictors:
    """The linear predictors of m rows as normal variables (S, m) by part, with the covariances of those that are correlated.

    `own` are draws of the family's own parameters, each (S, 1) or (S, m), `thresholds` (K - 1, S, m) of ordered categories. Errors of
    integrals may be `coarser`, so many times as large, where these are part of a mixture.
    """

    variables: Mapping[str, Normal]
    covariances: Covariances
    own: Own
    thresholds: np.ndarray | None = None
    coarser: float = 1.0
    _known: dict[str, np.ndarray] = field(default_factory=dict, compare=False)

    def once(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """What several quantities of these rows have in common, computed for the first of them."""
        if name not in self._known:
            self._known[name] = compute()
        return self._known[name]


@dataclass(frozen=True)
class Quantity:
    """What is predicted: its name, the categories or times that it is given for, and `values(predictors)` (categories, S, m).

    `label` is what a category is called, "category" or "cause"; `combine` makes what is told of the averages (..., S, cells) of these.
    `interpolated` says that it is made of probabilities of categories, which `rows_between` interpolates, `is_predictor` that it is the
    mean of the only linear predictor.
    """

    scale: str
    categories: tuple[str, ...]
    values: Callable[[RowPredictors], np.ndarray]
    times: tuple[float, ...] = ()
    combine: Callable[[np.ndarray], np.ndarray] = lambda averages: averages
    label: str = "category"
    interpolated: bool = False
    is_predictor: bool = False

    @property
    def identities(self) -> list[dict[str, Any]]:
        """What each value is of, beside its row."""
        categories = [{self.label: category} if category else {} for category in self.categories]
        return [{**category, "time": t} for category in categories for t in self.times] if self.times else categories


def quantity(outcome: FittedOutcome, scale: str) -> Quantity:
    """What a scale is for an outcome.

    Raises
    ------
    InputError
        A scale that is not known, or that the family does not have.
    """
    family, link = outcome.family, outcome.link
    ordered, binary, counts = family.choice == "levels", family.choice == "success", family.counted is not None
    never = "never" in outcome.parts or "never" in outcome.own
    if family.event_times is not None and scale != "linear":
        scales = f"{listing(TIME_SCALES)}, all but the last two at times="
        if scale == "mean":  # the default, which nobody may have typed
            raise InputError(f"{outcome.name!r} is a time to an event; name what is asked of it, scale= {scales}")
        raise InputError(f"scale={scale!r} is none of {outcome.name!r}, a time to an event; scales: {scales}")
    if len(outcome.prefixes) > 1 and family.event_times is not None:
        return Quantity(
            scale, outcome.levels, lambda p: np.stack([x.mean for x in p.variables.values()]), label="cause"
        )
    known: dict[str, Callable[[RowPredictors], np.ndarray]] = {
        "mean": lambda p: _mean(p, outcome)[None],
        "linear": lambda p: p.variables[""].mean[None],
        RESPONSE: lambda p: p.variables[""].mean[None],  # drawn, see `averages`
    }
    categories = ("",)
    if family.choice == "reference":
        known = {"linear": lambda p: np.stack([x.mean for x in p.variables.values()])}
        known |= dict.fromkeys(("mean", "probability"), lambda p: unordered_probabilities(p, outcome))
        categories = outcome.levels[1:] if scale == "linear" else outcome.levels
    if ordered:
        known["probability"] = lambda p: category_probabilities(p, outcome)
        known["mean"] = lambda p: np.tensordot(
            np.arange(1.0, len(outcome.levels) + 1), category_probabilities(p, outcome), 1
        )[None]
    if binary:
        known["probability"] = lambda p: np.stack([1 - _mean(p, outcome), _mean(p, outcome)])
    if counts or never:
        known["zero"] = lambda p: 1 - _positive(p, outcome)[None]
    if counts:
        known["positive"] = lambda p: (_mean(p, outcome) / _positive(p, outcome))[None]
    if scale not in known:
        raise InputError(
            f"scale={scale!r} is none of {outcome.name!r} ({family.name}, {link} link){did_you_mean(scale, known) or ';'} scales: "
            f"{listing(known)}"
        )
    if scale == "probability" and not categories[0]:
        categories = outcome.levels if ordered else ("no event", "event")
    smooth = scale in ("mean", "probability") and (ordered or (binary and set(outcome.parts) == {""}))
    interpolated = smooth and outcome.link != "identity"
    return Quantity(
        scale, categories, known[scale], interpolated=interpolated, is_predictor=_is_predictor(outcome, scale)
    )


def _is_predictor(outcome: FittedOutcome, scale: str) -> bool:
    """Whether what is asked of a row is the mean of its linear predictor, the only one of the outcome."""
    family = outcome.family
    if set(outcome.parts) != {""} or family.choice == "reference":
        return False
    other = bool(family.truncated or family.counted or family.choice) or family.centre != "mean"
    return scale == "linear" or (scale == "mean" and outcome.link == "identity" and not other)


# ---------------------------------------------------------------------------------------------------- with a share of zeros

Inner = Callable[[Normal, Own], np.ndarray]  # of the main predictor, given the family's own parameters


def _mean(p: RowPredictors, outcome: FittedOutcome) -> np.ndarray:
    """E(y) (S, m)."""
    return p.once("mean", lambda: _expected(p, outcome))


def _expected(p: RowPredictors, outcome: FittedOutcome) -> np.ndarray:
    link, alone = outcome.link, outcome.family.count_alone
    if "zoi" in p.variables or "zoi" in p.own:
        return _with_ends(p, outcome)
    if p.thresholds is not None:  # of a proportion, whose ends they cut off
        own = {"phi": np.ones((1, 1)), "cutpoints": np.moveaxis(p.thresholds, 0, -1)}  # the mean is that of every phi
        return mean_of(lambda eta: outcome.family.moments(eta, own, link)[0], p.variables[""])
    if outcome.family.truncated or (outcome.family.centre != "mean" and not outcome.family.ends):
        return _with_share(
            p, lambda x, own: mean_of(lambda eta: outcome.family.moments(eta, own, link)[0], x, grows=True)
        )
    if alone is None or outcome.family.zeros != "all":
        return _with_share(p, lambda x, own: mean_of_inverse_link(link, x))

    def of_positive_count(x: Normal, own: Own) -> np.ndarray:
        """mu / P(y > 0) = mu + mu P(y = 0) / P(y > 0), which grows less."""

        def rest(eta: np.ndarray) -> np.ndarray:
            mu, _, above = alone(eta, own)
            return mu * (1 - above) / np.maximum(above, 1e-300)

        return mean_of_inverse_link("log", x) + mean_of(rest, x, grows=True)

    return _with_share(p, of_positive_count)


def _with_ends(p: RowPredictors, outcome: FittedOutcome) -> np.ndarray:
    """E[(1 - zoi) mean + zoi coi] (S, m), of what is 0 or 1 with probability zoi and then 1 with probability coi."""

    def given(zoi: np.ndarray, others: Mapping[str, Normal]) -> np.ndarray:
        ones = mean_of_inverse_link("logit", others["coi"]) if "coi" in others else p.own["coi"]
        return (1 - zoi) * mean_of_inverse_link(outcome.link, others[""]) + zoi * ones

    if "zoi" in p.own:
        return given(p.own["zoi"], p.variables)
    return mean_given(
        "zoi", p.variables, p.covariances, lambda eta, others, _: given(LINKS["logit"].inverse(eta), others)
    )


def _positive(p: RowPredictors, outcome: FittedOutcome) -> np.ndarray:
    """P(y > 0) (S, m)."""
    return p.once("positive", lambda: _above_zero(p, outcome))


def _above_zero(p: RowPredictors, outcome: FittedOutcome) -> np.ndarray:
    alone, link = outcome.family.count_alone, outcome.link
    if alone is None:
        return _with_share(p, lambda x, own: mean_of_inverse_link(link, x))
    if outcome.family.zeros == "all":
        return _with_share(p, lambda x, own: np.ones(np.broadcast_shapes(x.mean.shape, x.variance.shape)))
    return _with_share(p, lambda x, own: mean_of(lambda eta: alone(eta, own)[2], x))


def _with_share(p: RowPredictors, inner: Inner) -> np.ndarray:
    """E[(1 - s) inner] (S, m): a product of two means, unless a label correlates the effects of both parts."""
    variables = dict(p.variables)
    share = next((part for part in SHARES if part in variables), None)
    if share is not None and any(share in pair for pair in p.covariances):

        def given_share(eta: np.ndarray, others: Mapping[str, Normal], rest: Covariances) -> np.ndarray:
            return (1 - LINKS["logit"].inverse(eta)) * _over_dispersion(others, rest, p.own, inner)

        return mean_given(share, variables, p.covariances, given_share)
    factor: np.ndarray | float = 1.0 if share is None else 1 - mean_of_inverse_link("logit", variables.pop(share))
    for part in (part for part in SHARES if part in p.own):
        factor = factor * (1 - p.own[part])
    return factor * _over_dispersion(variables, p.covariances, p.own, inner)


def _over_dispersion(variables: Mapping[str, Normal], covariances: Covariances, own: Own, inner: Inner) -> np.ndarray:
    """E of `inner` over the predictor of the logarithm of an own parameter, if there is one, and the main predictor."""
    part = next((part for part in variables if part), None)
    if part is None:
        return inner(variables[""], own)

    def given(eta: np.ndarray, others: Mapping[str, Normal], rest: Covariances) -> np.ndarray:
        return inner(others[""], {**own, part: np.exp(eta)})

    return mean_given(part, variables, covariances, given)


# -------------------------------------------------------------------------------------------------------------- categories


def unordered_probabilities(p: RowPredictors, outcome: FittedOutcome) -> np.ndarray:
    """P(y = k) (K, S, m) of categories that have a linear predictor each, but for the reference."""

    def at(etas: Mapping[str, np.ndarray]) -> np.ndarray:
        weights = np.ones((len(outcome.levels), *np.broadcast_shapes(*(eta.shape for eta in etas.values()))))
        for weight, eta in zip(weights[1:], etas.values(), strict=True):
            np.exp(np.minimum(eta, 700.0), out=weight)
        weights /= weights.sum(axis=0)
        return weights

    return mean_of_several(at, p.variables, p.covariances)


def category_probabilities(p: RowPredictors, outcome: FittedOutcome) -> np.ndarray:
    """P(y = k) (K, S, m), of what depends on disc (threshold_k - eta); of a cumulative model P(y <= k) = E F of it."""
    return p.once("categories", lambda: _of_categories(p, outcome))


def pole_of_probabilities(outcome: FittedOutcome) -> float:
    """How near to the real line their poles are, as functions of scale times the linear predictor."""
    return 2 * np.pi / max(4, len(outcome.levels))


def _of_categories(p: RowPredictors, outcome: FittedOutcome) -> np.ndarray:
    assert p.thresholds is not None
    cutpoints, inverse = p.thresholds, LINKS[outcome.link].inverse
    zero = np.zeros((1, 1))
    x, log_disc = p.variables[""], p.variables.get("disc", Normal(zero, zero))
    if not outcome.family.latent or not (log_disc.certain or outcome.link == "probit"):
        probabilities = outcome.family.probabilities
        assert probabilities is not None
        return mean_of_scaled(
            lambda of_thresholds: probabilities(of_thresholds, inverse), cutpoints, x, log_disc,
            p.covariances.get(frozenset(("", "disc")), zero), pole_of_probabilities(outcome), p.coarser,
        )  # fmt: skip

    def up_to(x: Normal, own: Own) -> np.ndarray:
        disc = own.get("disc", np.ones((1, 1)))
        scaled = [Normal(disc * (c - x.mean), disc**2 * x.variance) for c in cutpoints]
        return np.stack([mean_of_inverse_link(outcome.link, of_one) for of_one in scaled])

    below = _over_dispersion(p.variables, p.covariances, p.own, up_to)
    edge = np.ones_like(below[:1])
    return np.diff(np.concatenate([0 * edge, below, edge]), axis=0)
