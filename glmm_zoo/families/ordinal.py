"""Ordered categories: their probabilities given eta and the thresholds between them.

Symbols: y in 0, ..., K - 1 the position of a category, c_k the threshold above category k, F the inverse of the link,
x_k = disc (c_k - eta), disc 1 where it has no predictor.

    cumulative   P(Y <= k) = F(x_k)                       c_0 < ... < c_{K-2} cut one latent variable
    sratio       P(Y = k | Y >= k) = F(x_k)               stopping ratio
    acat         P(Y = k | Y in {k, k + 1}) = F(x_k)      adjacent category, logit link

Thresholds enter a density as steps, c_0 and then c_k - c_{k-1}, so that a tiny step keeps its digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.families.links import ProbabilityLink
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Array, Tensor, functions_of, import_pytensor
from glmm_zoo.priors import Prior, parameter

CUTPOINTS = parameter("cutpoints", "real", Prior("StudentT", {"nu": 3.0, "mu": 0.0, "sigma": 2.5}))  # brms's


def threshold_steps(cutpoints: Tensor, W: Tensor = None, gamma: Tensor = None) -> Tensor:
    """Thresholds (m, K - 1) as steps: one pattern, or those of W (m, q) with gamma (q (K - 2),)."""
    pt = import_pytensor()
    first, distances = cutpoints[None, :1], (cutpoints[1:] - cutpoints[:-1])[None, :]
    if W is None:
        return pt.concatenate([first, distances], axis=1)
    factor = pt.exp(W @ gamma.reshape((W.shape[1], -1)))
    return pt.concatenate([pt.repeat(first, W.shape[0], axis=0), distances * factor], axis=1)


def increasing(name: str, prior: Prior, start: np.ndarray, dim: str) -> Tensor:
    """A vector whose elements each have the prior's density and are in order, as brms has it: drawn by sorting."""
    import pymc as pm
    from pymc.distributions import transforms

    pt, distribution = import_pytensor(), getattr(pm, prior.distribution)
    low, high = (bound if np.isfinite(bound) else None for bound in prior.interval)
    inside = [] if low is None and high is None else [transforms.Interval(low, high)]
    if low is not None:
        start = low + np.exp(start) if high is None else low + (high - low) / (1 + np.exp(-start))

    def independent(arguments: Iterable[Tensor], size: Any = None) -> Tensor:
        return distribution.dist(**dict(zip(prior.arguments, arguments, strict=True)), size=size)

    return pm.CustomDist(
        name,
        *(np.full(len(start), value) for value in prior.arguments.values()),
        logp=lambda value, *arguments: pm.logp(independent(arguments), value),
        dist=lambda *both: pt.sort(independent(both[:-1], both[-1])),
        dims=dim,
        transform=transforms.Chain([*inside, transforms.ordered]) if inside else transforms.ordered,
        support_point=lambda rv, size, *arguments: pt.constant(start),
        class_name=f"Ordered{prior.distribution}",
    )


def initial_cutpoints(outcome: Outcome) -> np.ndarray:
    """Logits of the shares at or below each level but the highest (K - 1,): where sampling of cutpoints starts."""
    counts = np.bincount(outcome.values.astype(int), minlength=len(outcome.levels)).astype(float)
    if (counts == 0).any():  # half a row more in each keeps them in order and finite
        counts += 0.5
    below = np.cumsum(counts)[:-1] / counts.sum()
    return np.log(below / (1 - below))


# ----------------------------------------------------------------------------------------------------------- likelihood


@dataclass(frozen=True)
class ThresholdFamily:
    """`log_f(link, y, eta, steps, pattern, top, *log_disc)` = log P(y) (n,), `above(link, x)` = P(Y > k) (n, top) for all k < top.

    top = K - 1 is the highest category. `cumulative` says that thresholds are in order and cut one latent variable.
    """

    name: str
    cumulative: bool
    log_f: Callable[[ProbabilityLink, Tensor, Tensor, Tensor, Tensor, int], Tensor]
    above: Callable[[ProbabilityLink, Tensor], Tensor]


def _x(eta: Tensor, steps: Tensor, pattern: Tensor, *log_disc: Tensor) -> Tensor:
    """disc (c_k - eta) (n, top)."""
    pt = import_pytensor()
    x = pt.cumsum(steps, axis=1)[pattern] - eta[..., None]
    return x * pt.exp(log_disc[0])[..., None] if log_disc else x


def _cumulative_log_f(
    link: ProbabilityLink, y: Tensor, eta: Tensor, steps: Tensor, pattern: Tensor, top: int, *log_disc: Tensor
) -> Tensor:
    """log P(y) = log(F(b) - F(a)), a = disc (c_{y-1} - eta) and b = disc (c_y - eta); no n x K matrix is made."""
    pt = import_pytensor()
    k = pt.cast(y, "int64")
    below, above = pattern * top + pt.maximum(k - 1, 0), pattern * top + pt.minimum(k, top - 1)
    thresholds = pt.cumsum(steps, axis=1).ravel()
    a, b = thresholds[below] - eta, thresholds[above] - eta
    gap = steps.ravel()[above]
    if log_disc:
        a, b, gap = (x * pt.exp(log_disc[0]) for x in (a, b, gap))
    return log_between_thresholds(link, k, top, a, b, pt.switch((k > 0) & (k < top), gap, 1.0))


def log_between_thresholds(link: ProbabilityLink, k: Array, top: int, a: Array, b: Array, gap: Array) -> Array:
    """log(F(b) - F(a)) for gap = b - a; a is -infinity for k = 0 and b infinity for k = top, whatever is given, with a gap of 1."""
    pt = functions_of(a)
    inside = (k > 0) & (k < top)
    return pt.switch(inside, link.log_between(a, b, gap), pt.switch(k > 0, link.log_q(a), link.log_p(b)))


def _cumulative_above(link: ProbabilityLink, x: Tensor) -> Tensor:
    return import_pytensor().exp(link.log_q(x))


def _sratio_log_f(
    link: ProbabilityLink, y: Tensor, eta: Tensor, steps: Tensor, pattern: Tensor, top: int, *log_disc: Tensor
) -> Tensor:
    return stopping_ratio_log_f(link, y, _x(eta, steps, pattern, *log_disc), top)


def stopping_ratio_log_f(link: ProbabilityLink, y: Array, x: Array, top: int) -> Array:
    """log P(y) = log F(x_y) + sum_{k < y} log(1 - F(x_k)), the first term only for y < top"""
    pt = functions_of(x)
    k, y = np.arange(top), y[..., None]
    return pt.sum(pt.switch(k < y, link.log_q(x), pt.switch(pt.eq(k, y), link.log_p(x), 0.0)), axis=-1)


def _sratio_above(link: ProbabilityLink, x: Tensor) -> Tensor:
    pt = import_pytensor()
    return pt.exp(pt.cumsum(link.log_q(x), axis=-1))


def _acat_log_f(
    link: ProbabilityLink, y: Tensor, eta: Tensor, steps: Tensor, pattern: Tensor, top: int, *log_disc: Tensor
) -> Tensor:
    return adjacent_category_log_f(link, y, _x(eta, steps, pattern, *log_disc), top)


def adjacent_category_log_f(_: ProbabilityLink, y: Array, x: Array, top: int) -> Array:
    """log P(y) = s_y - log sum_k e^{s_k}, s_k = -(x_0 + ... + x_{k-1})"""
    pt = functions_of(x)
    scores = _acat_scores(x)
    chosen = pt.sum(pt.switch(pt.eq(np.arange(top + 1), y[..., None]), scores, 0.0), axis=-1)
    return chosen - pt.logsumexp(scores, axis=-1)


def _acat_scores(x: Array) -> Array:
    pt = functions_of(x)
    return pt.concatenate([pt.zeros_like(x[..., :1]), -pt.cumsum(x, axis=-1)], axis=-1)


def _acat_above(link: ProbabilityLink, x: Tensor) -> Tensor:
    pt = import_pytensor()
    return 1.0 - pt.cumsum(pt.special.softmax(_acat_scores(x), axis=-1), axis=-1)[..., :-1]


CUMULATIVE = ThresholdFamily("Cumulative", True, _cumulative_log_f, _cumulative_above)
STOPPING_RATIO = ThresholdFamily("StoppingRatio", False, _sratio_log_f, _sratio_above)
ADJACENT_CATEGORY = ThresholdFamily("AdjacentCategory", False, _acat_log_f, _acat_above)


def observe_ordered(
    name: str,
    family: ThresholdFamily,
    outcome: Outcome,
    link: ProbabilityLink,
    eta: Tensor,
    steps: Tensor,
    pattern: np.ndarray,
    log_disc: Sequence[Tensor] = (),
) -> None:
    """y_i falls in category k with the family's probability given eta_i, the thresholds of its pattern, and disc_i, if any."""
    import pymc as pm
    from pymc.distributions.shape_utils import rv_size_is_none

    pt, top = import_pytensor(), len(outcome.levels) - 1

    def draw(eta: Tensor, steps: Tensor, pattern: Tensor, *rest: Any) -> Tensor:
        *log_disc, size = rest
        u = pm.Uniform.dist(0.0, 1.0, size=eta.shape if rv_size_is_none(size) else size)
        return pt.sum(u[..., None] < family.above(link, _x(eta, steps, pattern, *log_disc)), axis=-1, dtype="float64")

    observe_rows(
        name,
        family.name,
        outcome,
        [eta, steps, pm.Data(f"_{name}_pattern", pattern, dims=outcome.dim), *log_disc],
        lambda y, eta, steps, pattern, *log_disc: family.log_f(link, y, eta, steps, pattern, top, *log_disc),
        draw,
        signature=f"(),(m,k),(){',()' * len(log_disc)}->()",
    )
