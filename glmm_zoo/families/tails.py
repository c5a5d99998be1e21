"""Logarithms of incomplete beta and gamma functions, for tensors and NumPy arrays, with derivatives in all their arguments.

Each is a tail of a density that falls from where the tail begins, so that far out nothing is lost:

    tail = e^h(x) int_0^inf e^(h(x +- s) - h(x)) ds

by the trapezoid rule in t with s = d e^(t - e^-t), d the scale on which the integrand falls; the integral does not depend on d. With 49
points the error is below 1e-11 for shapes from 0.01 to 10,000 (Takahasi & Mori 1974).
"""

from __future__ import annotations

import numpy as np

from glmm_zoo.families.links import log_1m_exp_minus
from glmm_zoo.families.tensors import Array, functions_of

_T = np.arange(-3.2, 4.01, 0.15)
_S = np.exp(_T - np.exp(-_T))
_W = 0.15 * _S * (1 + np.exp(-_T))
_LEAST = 1e-300  # of what a logarithm is taken of, where a switch leaves it out


def log_beta_tail(a: Array, b: Array, x: Array) -> Array:
    """log (1 + e^x) int_0^inf e^(-a s) (1 + e^x (1 - e^-s))^(b - 1) ds, for x <= log(a / b): what P(X < x) of the logit X of a beta variable
    is divided by its density at x."""
    pt = functions_of(x)
    odds = pt.exp(x)
    d = 1 / (pt.maximum(a - b * odds, 0.0) + pt.minimum(pt.sqrt(a * (1 + a / (b + 1))), a))
    s = d[..., None] * _S
    falls = -a[..., None] * s + (b[..., None] - 1) * pt.log1p(-odds[..., None] * pt.expm1(-s))
    return pt.softplus(x) + pt.log(d) + pt.log(pt.sum(pt.exp(falls) * _W, axis=-1))


def log_gamma_lower_tail(a: Array, x: Array) -> Array:
    """log int_0^inf e^(-a s + x (1 - e^-s)) ds, for x <= a: what P(X < x) of a gamma variable is divided by x and its density at x."""
    pt = functions_of(x)
    d = 1 / (a - x + pt.minimum(pt.sqrt(a), a))
    s = d[..., None] * _S
    falls = -a[..., None] * s - x[..., None] * pt.expm1(-s)
    return pt.log(d) + pt.log(pt.sum(pt.exp(falls) * _W, axis=-1))


def log_gamma_upper_tail(a: Array, x: Array) -> Array:
    """log int_0^inf (1 + s / x)^(a - 1) e^-s ds, for x >= a: what P(X > x) of a gamma variable is divided by its density at x."""
    pt = functions_of(x)
    d = 1 / ((x - a) / x + 1 / pt.sqrt(x + 1))
    s = d[..., None] * _S
    falls = (a[..., None] - 1) * pt.log1p(s / x[..., None]) - s
    return pt.log(d) + pt.log(pt.sum(pt.exp(falls) * _W, axis=-1))


def log_gamma_tails(a: Array, log_x: Array, log_density: Array) -> tuple[Array, Array]:
    """log P(X <= x) and log P(X > x) of X ~ Gamma(a, 1), given the logarithm of x times its density at x."""
    pt = functions_of(log_x)
    below = log_x < pt.log(a)
    x = pt.exp(log_x)
    small = log_density + pt.switch(
        below, log_gamma_lower_tail(a, pt.minimum(x, a)), log_gamma_upper_tail(a, pt.maximum(x, a)) - log_x
    )
    return both_tails(below, small)


def both_tails(below: Array, small: Array) -> tuple[Array, Array]:
    """log P(X <= x) and log P(X > x), given the logarithm of the smaller tail and whether it is the one below."""
    pt = functions_of(small)
    large = -pt.maximum(-small, _LEAST)
    large = log_1m_exp_minus(-large)
    return pt.switch(below, small, large), pt.switch(below, large, small)


def log_between(low: tuple[Array, Array], high: tuple[Array, Array]) -> Array:
    """log P(a < X <= b), given log P(X <= .) and log P(X > .) at a and at b: as a difference of the smaller tails."""
    pt = functions_of(low[0])
    lower = high[0] < low[1]
    large, small = pt.switch(lower, high[0], low[1]), pt.switch(lower, low[0], high[1])
    return large + log_1m_exp_minus(pt.maximum(large - small, _LEAST))
