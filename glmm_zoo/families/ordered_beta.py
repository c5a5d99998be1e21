"""Proportions with zeros and ones on one scale with the values between: ordered beta (Kubinec 2022, Political Analysis 31:519).

    P(y = 0) = F(c_1 - eta),  P(y = 1) = F(eta - c_2),  else Beta(mu phi, (1 - mu) phi) with mu = F(eta),  F the inverse logit

Two cutpoints c_1 < c_2 cut the latent variable into zero, between and one, so that one effect moves all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from glmm_zoo.families.beta import (
    INSIDE,
    PHI_OF_BETA,
    beta_moments,
    draw_beta,
    drawn_beta,
    log_beta_inside,
    read_proportion,
    without_ends,
)
from glmm_zoo.families.family import Family, OwnParameter
from glmm_zoo.families.links import LINKS, log_1m_exp_minus, probability_link
from glmm_zoo.families.moments import Own
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.ordinal import CUTPOINTS
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.formulas.population import DesignMatrix
from glmm_zoo.formulas.terms import Response
from glmm_zoo.tables.columns import Table

_LOGIT = probability_link("logit")
_ENDS = {0.0: "zeros", 1.0: "ones"}


def log_ordered_beta(y: Array, eta: Array, log_phi: Array, low: Array, high: Array) -> Array:
    """log P(y = 0), log P(y = 1), or log P(0 < y < 1) + log Beta(y), for cutpoints `low` < `high`.

    With s(x) = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), a = low - eta and b = high - eta these are -s(-a), -s(b) and
    -s(a) - s(-b) + log(1 - e^(a - b)): one logarithm of a product.
    """
    pt = functions_of(eta)
    a, b = low - eta, high - eta
    above_a, above_b = pt.maximum(a, 0.0), pt.maximum(b, 0.0)
    linear = pt.switch(y > 0, pt.switch(y < 1, above_a + above_b - b, above_b), above_a - a)
    product = pt.switch(y < 1, 1 + pt.exp(-pt.abs(a)), 1.0) * pt.switch(y > 0, 1 + pt.exp(-pt.abs(b)), 1.0)
    inside = log_1m_exp_minus(high - low) + log_beta_inside(y, eta, log_phi, _LOGIT)
    return pt.switch((y > 0) & (y < 1), inside, 0.0) - linear - pt.log(product)


def _read(table: Table, response: Response, bounds: Any) -> Outcome:
    """A proportion, with a note where one of the ends never occurs."""
    outcome = read_proportion(table, response, bounds, zeros=True, ones=True)
    unseen = without_ends(outcome, _ENDS, "cutpoints")
    return replace(outcome, notes=tuple(unseen)) if len(unseen) == 1 else outcome


def _doubts(outcome: Outcome, _: DesignMatrix) -> list[str]:
    if ((outcome.values == 0) | (outcome.values == 1)).any():
        return []
    return [
        f"response {outcome.name!r} has neither zeros nor ones: the cutpoints rest on their prior; beta says the same without them"
    ]


def _observe(name: str, outcome: Outcome, eta: Tensor, link: str, own: Mapping[str, Tensor]) -> None:
    low, high = own["cutpoints"][0], own["cutpoints"][1]
    observe_rows(name, "OrderedBeta", outcome, [eta, own["phi"], low, high], log_ordered_beta, _draw)


def _draw(eta: Tensor, log_phi: Tensor, low: Tensor, high: Tensor, shape: Any) -> Tensor:
    import pymc as pm

    pt = import_pytensor()
    y = draw_beta(eta, log_phi, _LOGIT, shape)
    u = pm.Uniform.dist(0.0, 1.0, size=y.shape)
    return pt.switch(u < _LOGIT.p(low - eta), 0.0, pt.switch(u < _LOGIT.p(high - eta), y, 1.0))


def _log_density(y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
    return log_ordered_beta(y, eta, own["phi"], own["cutpoints"][..., 0], own["cutpoints"][..., 1])


def _moments(eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
    F, cutpoints = LINKS["logit"].inverse, own["cutpoints"]
    zero, one = F(cutpoints[..., 0] - eta), F(eta - cutpoints[..., 1])
    mu, variance = beta_moments(eta, own, "logit")
    mean, square = (1 - zero - one) * mu + one, (1 - zero - one) * (variance + mu**2) + one
    return mean, square - mean**2


def _drawn(rng: np.random.Generator, eta: np.ndarray, own: Own, _: str) -> np.ndarray:
    F, u, cutpoints = LINKS["logit"].inverse, rng.random(eta.shape), own["cutpoints"]
    low, high = (u < F(cutpoints[..., k] - eta) for k in (0, 1))
    return np.where(low, 0.0, np.where(high, drawn_beta(rng, F(eta), own["phi"]), 1.0))


_CUTPOINTS = OwnParameter(
    "cutpoints", "thresholds", lambda _: CUTPOINTS, labels=("0|between", "between|1"), words="the thresholds", symbol="c", why="brms's"
)  # fmt: skip

ORDERED_BETA = Family(
    "ordered_beta",
    ("logit",),
    _read,
    _observe,
    _moments,
    _log_density,
    responses="measured",
    called="ordered beta",
    distribution="is 0, between or 1 as two thresholds c₁ and c₂, the lower and the upper, cut its latent variable; between them it has a beta distribution with mean m "
    "and precision φ",
    formula="Beta(mφ, (1−m)φ)",
    own=(_CUTPOINTS, PHI_OF_BETA),
    draw=_drawn,
    ends=(("y=0", "logit⁻¹(c₁−logit(m))"), ("y=1", "logit⁻¹(logit(m)−c₂)")),
    centre=INSIDE,
    choice="bounds",
    doubts=_doubts,
)
