"""PyTensor's scalar operations as expressions, by the name of their class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmm_zoo.inference.kernel.expression import Expressions, Node


def chain(op: str) -> Callable[..., Node]:
    """An operation on two numbers, applied to any number of them from the left."""

    def run(E: Expressions, *args: Node) -> Node:
        result = args[0]
        for a in args[1:]:
            result = E(op, result, a)
        return result

    return run


def _plain(op: str) -> Callable[..., Node]:
    return lambda E, *args: E(op, *args)


def _softplus(E: Expressions, x: Node) -> Node:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).

    The slope of |x| at 0 is taken to be 1, and |-x| is |x|: so there the maximum is x, but 0 for the negative of something.
    """
    zero = E.number(0.0)
    high = E("select", E("gt" if x.op == "neg" else "ge", x, zero), x, zero)
    return E("add", high, E("log1p", E("exp", E("neg", E("abs", x)))))


def _sigmoid(E: Expressions, x: Node) -> Node:
    """e^min(x, 0) / (1 + e^-|x|)"""
    e = E("exp", E("neg", E("abs", x)))
    return E("div", E("select", E("ge", x, E.number(0.0)), E.number(1.0), e), E("add", E.number(1.0), e))


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
    high = E("select", E("ge", a, b), a, b)
    return E("add", high, E("log1p", E("exp", E("neg", E("abs", E("sub", a, b))))))


def _sign(E: Expressions, x: Node) -> Node:
    zero, one = E.number(0.0), E.number(1.0)
    return E("select", E("gt", x, zero), one, E("select", E("lt", x, zero), E.number(-1.0), zero))


def _erf(E: Expressions, x: Node) -> Node:
    return E("sub", E.number(1.0), E("erfc", x))


SCALARS: dict[str, Callable[..., Node]] = {
    "Add": chain("add"), "Mul": chain("mul"), "Sub": _plain("sub"), "TrueDiv": _plain("div"), "Neg": _plain("neg"),
    "Exp": _plain("exp"), "Log": _plain("log"), "Log1p": _plain("log1p"), "Expm1": _plain("expm1"), "Sqrt": _plain("sqrt"),
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
