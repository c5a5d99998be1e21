"""The distribution function of a family: what it says of a response that is known only to lie within bounds, or that is only seen there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmm_zoo.families.links import probability_link
from glmm_zoo.families.moments import Own
from glmm_zoo.families.tails import log_between
from glmm_zoo.families.tensors import Array, functions_of

type Tails = Callable[[np.ndarray], tuple[Array, Array]]


@dataclass(frozen=True)
class Law:
    """Probabilities of a response Y between ends, which are data (n,) or numbers, an open one minus or plus infinity.

    Attributes
    ----------
    log_mass
        `log_mass(low, high, eta, own)` = log P(low < Y <= high) (..., n), for tensors and NumPy, `own` as a density takes them.
    within
        `within(low, high, eta, own)`: mean and variance of Y given low < Y <= high in NumPy, `own` as in `log_mass`.
    frozen
        `frozen(eta, own)`: SciPy's distribution, `own` as in `moments`.
    """

    log_mass: Callable[[Any, Any, Array, Any], Array]
    within: Callable[[float, float, np.ndarray, Own], tuple[np.ndarray, np.ndarray]]
    frozen: Callable[[np.ndarray, Own], Any]


def mass_between(
    low: Any, high: Any, tails: Tails, between: Callable[[np.ndarray, np.ndarray], Array] | None = None
) -> Array:
    """log P(low < Y <= high), given `tails(x)` = log P(Y <= x) and log P(Y > x), and `between(low, high)` where that knows more digits.

    Ends below or above all that is possible are minus or plus infinity.
    """
    low, high = np.broadcast_arrays(np.asarray(low, float), np.asarray(high, float))
    no_low, no_high = np.isinf(low), np.isinf(high)
    unbounded = no_low & no_high
    if unbounded.all():
        return np.zeros(())
    if unbounded.any():  # beside rows that have bounds, which stand in their place and are left out
        finite = np.concatenate([low[~no_low], high[~no_high]])[0]
        inside = mass_between(np.where(unbounded, finite, low), np.where(unbounded, np.inf, high), tails, between)
        return functions_of(inside).switch(unbounded, 0.0, inside)
    if no_low.all():
        return tails(high)[0]
    if no_high.all():
        return tails(low)[1]
    first, last = np.where(no_low, high, low), np.where(no_high, low, high)
    if not (~no_low & ~no_high).any():
        below, above = tails(first)
        return functions_of(below).switch(no_low, below, above)
    at_low, at_high = tails(first), tails(last)
    inside = log_between(at_low, at_high) if between is None else between(first, last)
    xp = functions_of(inside)
    return xp.switch(no_low, at_high[0], xp.switch(no_high, at_low[1], inside))


def normal_mass(low: Any, high: Any, mean: Array, log_sigma: Array) -> Array:
    """log P(low < Y <= high) of Y ~ Normal(mean, sigma)."""
    link, scale = probability_link("probit"), functions_of(log_sigma).exp(-log_sigma)

    def tails(x: np.ndarray) -> tuple[Array, Array]:
        z = (x - mean) * scale
        return link.log_p(z), link.log_q(z)

    def between(low: np.ndarray, high: np.ndarray) -> Array:
        gap = np.where(high > low, high - low, 1.0)
        return link.log_between((low - mean) * scale, (high - mean) * scale, gap * scale)

    return mass_between(low, high, tails, between)


def within_by_raising(
    log_mass: Callable[[Any, Any, Array, Any], Array],
    raised: Callable[[int, np.ndarray, Own], tuple[np.ndarray, np.ndarray, Own]],
    *,
    falling: bool = False,
) -> Callable[[float, float, np.ndarray, Own], tuple[np.ndarray, np.ndarray]]:
    """Mean and variance of Y within bounds, given `raised(k, eta, own)` = log m, eta* and own* with

        E[Y^k; low < Y <= high] = m P(low < Y* <= high)

    or, `falling`, E[Y (Y - 1) ... (Y - k + 1); ...] = m P(low - k < Y* <= high - k); `own` as `log_mass` takes them.
    """

    def within(low: float, high: float, eta: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray]:
        log_all = log_mass(low, high, eta, own)
        first, second = (
            np.exp(log_m - log_all + log_mass(low - k * falling, high - k * falling, *changed))
            for k, (log_m, *changed) in ((k, raised(k, eta, own)) for k in (1, 2))
        )
        mean = np.clip(first, low, high)
        return mean, np.maximum(second + (mean if falling else 0.0) - mean**2, 0.0)

    return within
