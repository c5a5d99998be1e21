"""PyTensor's scalar operations as expressions, by the name of their class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmm_zoo.inference.kernel.expression import Expressions, Node

_FAR = 18.0  # from here on 1 / (1 + e^-x) has lost half of the digits of its distance from 1
_OF_NONE = {"add": 0.0, "mul": 1.0, "and": 1.0, "or": 0.0}


def chain(op: str) -> Callable[..., Node]:
    """An operation on two numbers, applied to any number of them from the left; that of none is its neutral element."""

    def run(E: Expressions, *args: Node) -> Node:
        if not args:
            return E.number(_OF_NONE[op])
        result = args[0]
        for a in args[1:]:
            result = E(op, result, a)
        return result

    return run


def _plain(op: str) -> Callable[..., Node]:
    return lambda E, *args: E(op, *args)


def _softplus(E: Expressions, x: Node) -> Node:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)"""
    zero = E.number(0.0)
    high = E("select", _not_below(E, x, zero, x), x, zero)
    return E("add", high, E("log1p", E("exp", E("neg", E("abs", x)))))


def _not_below(E: Expressions, a: Node, b: Node, difference: Node) -> Node:
    """Whether a >= b, beside |difference| of the two.

    The slope of |x| at 0 is taken to be 1, and |-x| is |x|. So that slopes are right at 0 too, the negative of something is
    there on the other side.
    """
    return E("gt" if difference.op == "neg" else "ge", a, b)


def _sigmoid(E: Expressions, x: Node) -> Node:
    """e^min(x, 0) / (1 + e^-|x|)"""
    e = E("exp", E("neg", E("abs", x)))
    above = _not_below(E, x, E.number(0.0), x)
    s = E("div", E("select", above, E.number(1.0), e), E("add", E.number(1.0), e))
    if s.op != "number":
        E.sigmoids.setdefault(s, x)
    return s


def _log(E: Expressions, a: Node) -> Node:
    """log a; far out that of a sigmoid as -log(1 + e^-x)."""
    if a not in E.sigmoids:
        return E("log", a)
    x = E.sigmoids[a]
    far = E("gt", E("abs", x), E.number(_FAR))
    near = E("log", E("select", far, E.number(1.0), a))
    return E("select", far, E("neg", _softplus(E, E("neg", x))), near)


def _log1p(E: Expressions, a: Node) -> Node:
    """log(1 + a); far out that of the negative of a sigmoid as -log(1 + e^x)."""
    if a.op != "neg" or a.args[0] not in E.sigmoids:
        return E("log1p", a)
    x = E.sigmoids[a.args[0]]
    far = E("gt", x, E.number(_FAR))
    near = E("log1p", E("select", far, E.number(0.0), a))
    return E("select", far, E("neg", _softplus(E, x)), near)


def _sub(E: Expressions, a: Node, b: Node) -> Node:
    """a - b; far out 1 less a sigmoid as that of -x."""
    plain = E("sub", a, b)
    if b not in E.sigmoids or a.op != "number" or a.static[0] != 1.0:
        return plain
    x = E.sigmoids[b]
    return E("select", E("gt", x, E.number(_FAR)), _sigmoid(E, E("neg", x)), plain)


def _power(E: Expressions, a: Node, b: Node) -> Node:
    if b.op == "number":
        exponent = b.static[0]
        if exponent == round(exponent) and 0 < abs(exponent) <= 8:
            power = a
            for _ in range(int(abs(exponent)) - 1):
                power = E("mul", power, a)
            return power if exponent > 0 else E("div", E.number(1.0), power)
        if exponent == 0.5:
            return E("sqrt", a)
    return E("exp", E("mul", b, E("log", a)))


def _log_add_exp(E: Expressions, a: Node, b: Node) -> Node:
    difference = E("sub", a, b)
    high = E("select", _not_below(E, a, b, difference), a, b)
    return E("add", high, E("log1p", E("exp", E("neg", E("abs", difference)))))


def _sign(E: Expressions, x: Node) -> Node:
    zero, one = E.number(0.0), E.number(1.0)
    return E("select", E("gt", x, zero), one, E("select", E("lt", x, zero), E.number(-1.0), zero))


def _erf(E: Expressions, x: Node) -> Node:
    return E("sub", E.number(1.0), E("erfc", x))


SCALARS: dict[str, Callable[..., Node]] = {
    "Add": chain("add"), "Mul": chain("mul"), "Sub": _sub, "TrueDiv": _plain("div"), "Neg": _plain("neg"),
    "Exp": _plain("exp"), "Log": _log, "Log1p": _log1p, "Expm1": _plain("expm1"), "Sqrt": _plain("sqrt"),
    "Abs": _plain("abs"), "Maximum": _plain("max"), "Minimum": _plain("min"), "Switch": _plain("select"),
    "LT": _plain("lt"), "LE": _plain("le"), "GT": _plain("gt"), "GE": _plain("ge"), "EQ": _plain("eq"),
    "AND": chain("and"), "OR": chain("or"), "Invert": _plain("not"), "GammaLn": _plain("lgamma"), "Psi": _plain("digamma"),
    "Erfc": _plain("erfc"), "Erf": _erf, "Softplus": _softplus, "Sigmoid": _sigmoid, "Pow": _power,
    "LogAddExp": _log_add_exp, "Sign": _sign,
    "Sqr": lambda E, x: E("mul", x, x), "Reciprocal": lambda E, x: E("div", E.number(1.0), x),
    "Identity": lambda E, x: x, "Second": lambda E, _, x: x,
    "Clip": lambda E, x, low, high: E("min", E("max", x, low), high),
    "Log2": lambda E, x: E("mul", E("log", x), E.number(1 / np.log(2))),
}  # fmt: skip
