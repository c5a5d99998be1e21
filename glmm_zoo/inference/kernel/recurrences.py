"""Vectors whose elements are made one after another, as expressions: y_i = b_i + a_i y_(i-1), or y_(i+1), and the variances
p_i = q_i + c_i p_(i-1) / (1 + k_i p_(i-1)) of a filter. Each has a loop of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from glmm_zoo.inference.kernel.expression import Expressions, Node


def _moved(E: Expressions, v: Node, places: int, size: int) -> Node:
    """v_(i-1) for one place, v_(i+1) for -1; 0 where there is none."""
    source = np.arange(size) - places
    inside = (source >= 0) & (source < size)
    gathered = E.gather(v, np.clip(source, 0, size - 1))
    return gathered if inside.all() else E("mul", gathered, E.constant(inside.astype(float)))


def passed_on(E: Expressions, node: Node, g: Node) -> Iterable[tuple[Node, Node]]:
    """What one of these vectors passes to its arguments of its own adjoint g."""
    size = node.domain
    assert size is not None
    if node.op == "predicted":
        q, c, k = node.args
        before = _moved(E, node, 1, size)
        left = E("add", E.number(1.0), E("mul", k, before))
        slope = E("div", c, E("mul", left, left))
        total = E.recurrence("back", (_moved(E, slope, -1, size), g), size)
        return (q, total), (c, E("mul", total, E("div", before, left)))
    a, b = node.args
    step = 1 if node.op == "onward" else -1
    total = E.recurrence("back" if step == 1 else "onward", (_moved(E, a, -step, size), g), size)
    return (b, total), (a, E("mul", total, _moved(E, node, step, size)))
