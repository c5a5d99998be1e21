"""Reverse-mode derivatives of expressions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from glmm_zoo.inference.kernel.bands import passed_through
from glmm_zoo.inference.kernel.expression import (
    PREDICATES,
    RECURRENCES,
    TRIANGULAR,
    Expressions,
    Node,
    UnsupportedError,
    reachable,
)
from glmm_zoo.inference.kernel.mean_survival import survival_slopes
from glmm_zoo.inference.kernel.recurrences import passed_on


def _local(E: Expressions, node: Node, g: Node) -> Iterable[tuple[Node, Node]]:
    """What an elementwise expression passes to its arguments of its own adjoint g."""
    a, b, c = (*node.args, node, node)[:3]  # as many as it has
    zero = E.number(0.0)
    match node.op:
        case "add":
            return (a, g), (b, g)
        case "sub":
            return (a, g), (b, E("neg", g))
        case "mul":
            return (a, E("mul", g, b)), (b, E("mul", g, a))
        case "div":
            t = E("div", g, b)
            return (a, t), (b, E("neg", E("mul", t, node)))
        case "neg":
            return ((a, E("neg", g)),)
        case "exp":
            return ((a, E("mul", g, node)),)
        case "log":
            return ((a, E("div", g, a)),)
        case "log1p":
            return ((a, E("div", g, E("add", E.number(1.0), a))),)
        case "expm1":
            return ((a, E("mul", g, E("add", node, E.number(1.0)))),)
        case "sqrt":
            return ((a, E("div", E("mul", E.number(0.5), g), node)),)
        case "abs":
            return ((a, E("select", E("ge", a, zero), g, E("neg", g))),)
        case "max" | "min":
            first = E("ge" if node.op == "max" else "le", a, b)
            return (a, E("select", first, g, zero)), (b, E("select", first, zero, g))
        case "select":
            return (b, E("select", a, g, zero)), (c, E("select", a, zero, g))
        case "lgamma":
            return ((a, E("mul", g, E("digamma", a))),)
        case "known_slopes":
            return tuple((x, E("mul", g, slope)) for x, slope in zip(node.args[1::2], node.args[2::2], strict=True))
        case "log_rising":
            return ((b, E("mul", g, E("rising_slope", *node.args))),)
        case "count_below" | "count_at_least":
            by_eta, by_size = (E(f"{node.op}_by_{of}", *node.args) for of in ("eta", "size"))
            return (b, E("mul", g, by_eta)), (c, E("mul", g, by_size))
        case "erfc":
            density = E("mul", E.number(-2 / math.sqrt(math.pi)), E("exp", E("neg", E("mul", a, a))))
            return ((a, E("mul", g, density)),)
        case "conway_log_rate" | "conway_log_norm":
            variance, covariance, log_factorial = (
                E(f"conway_{name}", *node.args) for name in ("variance", "covariance", "log_factorial")
            )
            mean, rate_by_nu = E("exp", a), E("div", covariance, variance)
            rate_by_eta = E("div", mean, variance)
            if node.op == "conway_log_rate":
                return (a, E("mul", g, rate_by_eta)), (b, E("mul", g, rate_by_nu))
            by_nu = E("sub", E("mul", mean, rate_by_nu), log_factorial)
            return (a, E("mul", g, E("mul", mean, rate_by_eta))), (b, E("mul", g, by_nu))
    raise UnsupportedError(f"derivative of {node.op}")


PASSED = {
    **dict.fromkeys(RECURRENCES, passed_on), **dict.fromkeys(TRIANGULAR, passed_through), "mean_survival": survival_slopes,
}  # fmt: skip


def gradient(E: Expressions, value: Node) -> Mapping[Node, Node]:
    """Adjoints of the leaves `input` and `load` of a number."""
    order = reachable([value])
    active = set()
    for node in order:
        if node.op in ("input", "load") or (node.op not in PREDICATES and any(a in active for a in node.args)):
            active.add(node)
    adjoint: dict[Node, dict[int | None, Node]] = {value: {None: E.number(1.0)}}

    def give(target: Node, amount: Node, size: int | None) -> None:
        """Add to an adjoint; what a vector of `size` passes to a number is summed in the end."""
        if target not in active or (amount.op == "number" and amount.static[0] == 0):
            return
        slot = size if target.domain is None else None
        held = adjoint.setdefault(target, {})
        held[slot] = E("add", held[slot], amount) if slot in held else amount

    leaves: dict[Node, Node] = {}
    for node in reversed(order):
        if node not in adjoint or node not in active:
            continue
        held = adjoint.pop(node)
        g = E.number(0.0)
        for size, amount in held.items():
            g = E("add", g, amount if size is None else E.sum(amount, size))
        if node.op in ("input", "load"):
            leaves[node] = g
        elif node.op == "sum":
            give(node.args[0], g, None)
        elif node.op == "element":
            (v,) = node.args
            assert v.domain is not None
            hot = np.zeros(v.domain)
            hot[node.static] = 1.0
            give(v, E("mul", g, E.constant(hot)), None)
        elif node.op == "gather":
            (v,) = node.args
            assert v.domain is not None
            if g.domain is None:
                counts = np.bincount(E.indices[node.static], minlength=v.domain).astype(float)
                give(v, E("mul", g, E.constant(counts)), None)
            else:
                give(v, E.scatter(g, node.static, v.domain), None)
        elif node.op == "scatter":
            index = E.indices[node.static]
            back = E.gather(g, index)
            give(node.args[0], back, len(index))
        elif node.op == "product":
            (v,) = node.args
            give(v, E.product(E.matrix(node).T, g), None)
        elif node.op == "pack":
            for i, v in enumerate(node.args):
                give(v, E.element(g, i), None)
        elif node.op in PASSED:
            passed = PASSED[node.op]
            for target, amount in passed(E, node, g):
                give(target, amount, node.domain)
        else:
            for target, amount in _local(E, node, g):
                give(target, amount, node.domain)
    return leaves
