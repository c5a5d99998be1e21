"""The probability of surviving, averaged over effects in which log hazards are linear:

    log S_i = log E exp(-H_i(x)),   H_i(x) = sum over the points t of subject i of exp(a_t + c_t' x),   x ~ Normal(0, I)

x has many equidistant values along its first axis, along which S_i(x) may fall steeply, and few across. So exp(a_t + c_t' x) is a product of two
factors at all of them: a power of one number for the first axis, and one of few numbers for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations, pairwise, product
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from glmm_zoo.families.tensors import Tensor

LONG_AXIS = np.linspace(-6.5, 6.5, 37)
STEEPEST_SLOPE = 80.0  # of a coefficient; steeper ones are taken to be this, so that all factors are finite
HIGHEST_LOG_HAZARD = 300.0  # of a log hazard, likewise
LEAST_SURVIVAL = 1e-300  # of a probability whose logarithm is taken


@cache
def long_weights() -> np.ndarray:
    """The weights of the values along the first axis."""
    density = np.exp(-0.5 * LONG_AXIS**2)
    return density / density.sum()


@cache
def across(dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (J, dimensions - 1) and weights (J,) of a rule for standard normal numbers: Gauss and Hermite's with 5 points for one number
    and 3 x 3 for two, Stroud and Secrest's of degree 5 for three and four, whose weights would be negative for more, and of degree 3
    from then on.
    """
    n = dimensions - 1
    if n <= 2:
        x, w = np.polynomial.hermite_e.hermegauss({0: 1, 1: 5, 2: 3}[n])
        points = np.array([*product(x, repeat=n)]).reshape(len(x) ** n, n)
        return points, np.array([*product(w / w.sum(), repeat=n)]).prod(axis=1)
    axes = np.vstack([np.eye(n), -np.eye(n)])
    if n > 4:
        return np.sqrt(n) * axes, np.full(2 * n, 1 / (2 * n))
    between = np.array(
        [
            s * np.eye(n)[i] + t * np.eye(n)[j]
            for i, j in combinations(range(n), 2)
            for s, t in product((1, -1), repeat=2)
        ]
    )
    parts = [
        (np.zeros((1, n)), 2 / (n + 2)),
        (np.sqrt(n + 2) * axes, (4 - n) / (2 * (n + 2) ** 2)),
        (np.sqrt((n + 2) / 2) * between, (n + 2) ** -2),
    ]
    used = [(x, np.full(len(x), w)) for x, w in parts if w]
    return np.vstack([x for x, _ in used]), np.concatenate([w for _, w in used])


def rotatable_normal_nodes(dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """All points (37 J, dimensions) and weights (37 J,) of an expectation over a standard normal vector."""
    points, weights = across(dimensions)
    x = np.hstack([np.repeat(LONG_AXIS, len(points))[:, None], np.tile(points, (len(LONG_AXIS), 1))])
    return x, np.outer(long_weights(), weights).ravel()


class MeanSurvival(Op):
    """log S (n,) of `starts` (n + 1,), where the points of each subject begin, a (N,) and as many c (N,) as x has dimensions.

    With `slopes` the derivatives of log S by a and by each c at the points of its subject, one vector after the other.
    """

    __props__ = ("starts", "slopes")

    def __init__(self, starts: tuple[int, ...], slopes: bool = False):
        assert starts[0] == 0 and all(a < b for a, b in pairwise(starts)), "each subject has points"
        self.starts, self.slopes = starts, slopes

    def make_node(self, a: Any, *c: Any) -> Apply:
        inputs = [pt.as_tensor_variable(x) for x in (a, *c)]
        size = self.starts[-1] * len(inputs) if self.slopes else len(self.starts) - 1
        return Apply(self, inputs, [pt.tensor(dtype="float64", shape=(size,))])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        log_survival, slopes = mean_survival(self.starts, *map(np.asarray, inputs))
        output_storage[0][0] = slopes.ravel() if self.slopes else log_survival

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [node.outputs[0].type.shape]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        assert not self.slopes, "second derivatives are not known"
        slopes: Any = MeanSurvival(self.starts, True)(*inputs)
        g, n = cotangents[0][np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))], self.starts[-1]
        return [g * slopes[k * n : (k + 1) * n] for k in range(len(inputs))]


def mean_survival(starts: Sequence[int], a: np.ndarray, *c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log S (n,), and its derivatives (1 + dimensions, N) by a and by each of c at the points of the subject."""
    y, w = across(len(c))
    weights, steep = np.outer(long_weights(), w), np.clip(c, -STEEPEST_SLOPE, STEEPEST_SLOPE)
    A, E = np.exp(np.minimum(a, HIGHEST_LOG_HAZARD)), np.exp(np.outer(steep[0], LONG_AXIS))
    F = np.exp(steep[1:].T @ y.T)  # (N, J)
    log_survival, slopes = np.empty(len(starts) - 1), np.empty((1 + len(c), len(a)))
    for i, (begin, end) in enumerate(pairwise(starts)):
        e, f = E[begin:end], F[begin:end]
        with np.errstate(over="ignore"):
            at_nodes = weights * np.exp(-((A[begin:end, None] * e).T @ f))
        total = max(at_nodes.sum(), LEAST_SURVIVAL)
        log_survival[i] = np.log(total)
        shares = -A[begin:end] / total if total > LEAST_SURVIVAL else np.zeros(end - begin)
        along = e * (f @ at_nodes.T)
        slopes[0, begin:end], slopes[1, begin:end] = shares * along.sum(axis=1), shares * (along @ LONG_AXIS)
        for k in range(len(c) - 1):
            slopes[2 + k, begin:end] = shares * ((f * (e @ at_nodes)) @ y[:, k])
    return log_survival, slopes


def log_mean_survival(starts: np.ndarray, a: Tensor, c: Sequence[Tensor]) -> Tensor:
    """log S (n,)."""
    return MeanSurvival(tuple(starts.tolist()))(a, *c)
