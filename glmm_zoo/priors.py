"""Priors as text, parsed and never evaluated, and the defaults. Imports `errors`; no PyMC.

`Normal(0, 2.5)`, `StudentT(nu=3, mu=0, sigma=2.5)`, `LKJ(2)`: PyMC's names and argument order.

Where the defaults come from. s is the unit of the link scale: 1 for logit, probit, cloglog and log links, the standard
deviation of the response for an identity link. d is the spread of a column: the distance of its two values where it
has two, else its standard deviation.

* Intercept ~ StudentT(3, m, 2.5 s), m the response's mean for an identity link, the log of the crude rate for a log link
  (so that the unit of the exposure does not matter), 0 else; the shape is brms's.
* beta ~ Normal(0, 2.5 s / d): rstanarm's scale; two-valued columns by their distance as Gelman et al. (2008) advise.
* sd ~ Exponential(d / s), d = 1 for an intercept: the penalised-complexity shape of Simpson et al. (2017), its mean of
  one unit as in rstanarm and McElreath's texts.
* s_<x>_sd ~ Exponential(r / s), r the standard deviation over the rows of a curve whose weights have sd 1: the bend of
  a curve has one unit of standard deviation in the mean, as a group effect has.
* s_<x>_linear as beta: the unpenalised part of a smooth is a column like others.
* sigma ~ Exponential(1 / s).
* corr ~ LKJ(2): mildly against correlations of +-1. Arbitrary, as everywhere.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from glmm_zoo.errors import InputError, did_you_mean, listing

Support = Literal["real", "positive", "unit", "corr", "simplex"]
_INFINITY = math.inf


@dataclass(frozen=True)
class _Distribution:
    """Arguments in PyMC's order with their domain ("real", "positive"), and the interval of support."""

    arguments: Mapping[str, str]
    lower: float = -_INFINITY
    upper: float = _INFINITY
    defaults: Mapping[str, float] = field(default_factory=dict)
    alternatives: tuple[tuple[str, ...], ...] = ()  # sets of arguments of which one is to be given in full


_LOCATION = {"mu": "real", "sigma": "positive"}
DISTRIBUTIONS: Mapping[str, _Distribution] = {
    "Normal": _Distribution(
        {**_LOCATION, "tau": "positive"},
        defaults={"mu": 0.0, "sigma": 1.0},
        alternatives=(("mu", "sigma"), ("mu", "tau")),
    ),
    "StudentT": _Distribution({"nu": "positive", **_LOCATION}, defaults={"mu": 0.0, "sigma": 1.0}),
    "Cauchy": _Distribution({"alpha": "real", "beta": "positive"}),
    "Laplace": _Distribution({"mu": "real", "b": "positive"}),
    "Logistic": _Distribution({"mu": "real", "s": "positive"}, defaults={"mu": 0.0, "s": 1.0}),
    "SkewNormal": _Distribution(
        {"mu": "real", "sigma": "positive", "alpha": "real"}, defaults={"mu": 0.0, "sigma": 1.0}
    ),
    "Uniform": _Distribution({"lower": "real", "upper": "real"}),
    "Exponential": _Distribution({"lam": "positive", "scale": "positive"}, 0, alternatives=(("lam",), ("scale",))),
    "HalfNormal": _Distribution({"sigma": "positive"}, 0, defaults={"sigma": 1.0}),
    "HalfCauchy": _Distribution({"beta": "positive"}, 0),
    "HalfStudentT": _Distribution({"nu": "positive", "sigma": "positive"}, 0, defaults={"sigma": 1.0}),
    "Gamma": _Distribution(
        {"alpha": "positive", "beta": "positive", "mu": "positive", "sigma": "positive"},
        0,
        alternatives=(("alpha", "beta"), ("mu", "sigma")),
    ),
    "InverseGamma": _Distribution(
        {"alpha": "positive", "beta": "positive", "mu": "positive", "sigma": "positive"},
        0,
        defaults={"beta": 1.0},
        alternatives=(("alpha", "beta"), ("mu", "sigma")),
    ),
    "LogNormal": _Distribution(_LOCATION, 0, defaults={"mu": 0.0, "sigma": 1.0}),
    "Weibull": _Distribution({"alpha": "positive", "beta": "positive"}, 0),
    "Beta": _Distribution(
        {"alpha": "positive", "beta": "positive", "mu": "positive", "sigma": "positive"},
        0,
        1,
        alternatives=(("alpha", "beta"), ("mu", "sigma")),
    ),
    "LKJ": _Distribution({"eta": "positive"}),
    "Dirichlet": _Distribution({"a": "positive"}, 0, 1),  # the same a for every share
}
_ONLY: Mapping[Support, str] = {"corr": "LKJ", "simplex": "Dirichlet"}  # what is not one number has its own
_SUPPORTS: Mapping[Support, tuple[float, float, str]] = {
    "real": (-_INFINITY, _INFINITY, "any real number"),
    "positive": (0, _INFINITY, "a positive number"),
    "unit": (0, 1, "a number between 0 and 1"),
}


@dataclass(frozen=True)
class Prior:
    """A distribution of `DISTRIBUTIONS` with its arguments by name."""

    distribution: str
    arguments: Mapping[str, float]

    def __str__(self) -> str:
        known = list(DISTRIBUTIONS[self.distribution].arguments)[: len(self.arguments)]
        in_order = known == list(self.arguments)
        shown = [_number(v) if in_order else f"{k}={_number(v)}" for k, v in self.arguments.items()]
        return f"{self.distribution}({', '.join(shown)})"

    @property
    def interval(self) -> tuple[float, float]:
        """Where the density is positive."""
        if self.distribution == "Uniform":
            return self.arguments["lower"], self.arguments["upper"]
        known = DISTRIBUTIONS[self.distribution]
        return known.lower, known.upper

    def suits(self, support: Support) -> bool:
        """Whether every value it can take is one that a parameter of this support can have."""
        if support in _ONLY or self.distribution in _ONLY.values():
            return _ONLY.get(support) == self.distribution
        low, high, _ = _SUPPORTS[support]
        return low <= self.interval[0] and self.interval[1] <= high


def _number(value: float) -> str:
    return f"{value:.15g}"


def _rounded(value: float) -> float:
    """Four digits, so that a default is exactly what its text says."""
    return float(f"{value:.4g}")


def parse(text: str) -> Prior:
    """Read one prior.

    Raises
    ------
    InputError
        Unknown distributions and arguments (with the nearest name and what is known), numbers out of range.
    """
    if isinstance(text, Prior):
        return text
    if not isinstance(text, str):
        raise InputError(f"a prior is text such as 'Normal(0, 2.5)', not {type(text).__name__}")
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        call = None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)) or len(text) > 200:
        raise InputError(f"prior {text!r} is not a distribution; write for example Normal(0, 2.5)")
    name = call.func.id
    if name not in DISTRIBUTIONS:
        raise InputError(
            f"prior {text!r}: unknown distribution {name!r}{did_you_mean(name.replace('_', ''), DISTRIBUTIONS) or ';'} known: {listing(DISTRIBUTIONS, 99)}"
        )
    known = DISTRIBUTIONS[name]
    order = list(known.arguments)
    if len(call.args) > len(order):
        raise InputError(f"prior {text!r}: {name} takes {listing(order)}")
    given = dict(zip(order, (_constant(a, text) for a in call.args), strict=False))
    for keyword in call.keywords:
        if keyword.arg not in order:
            raise InputError(f"prior {text!r}: {name} has no argument {keyword.arg!r}; it takes {listing(order)}")
        if keyword.arg in given:
            raise InputError(f"prior {text!r}: {keyword.arg} is given twice")
        given[keyword.arg] = _constant(keyword.value, text)
    return _complete(name, given, known, text)


def _complete(name: str, given: dict[str, float], known: _Distribution, text: str) -> Prior:
    allowed = known.alternatives or (tuple(known.arguments),)
    full = {
        **{k: v for k, v in known.defaults.items() if any(k in a and set(given) <= set(a) for a in allowed)},
        **given,
    }
    if not any(set(a) == set(full) for a in allowed):
        raise InputError(f"prior {text!r}: {name} takes {' or '.join(listing(a) for a in allowed)}")
    for argument, value in full.items():
        if known.arguments[argument] == "positive" and not value > 0:
            raise InputError(f"prior {text!r}: {argument} must be > 0, not {_number(value)}")
    if name == "Beta" and "mu" in full and not (full["mu"] < 1 and full["sigma"] ** 2 < full["mu"] * (1 - full["mu"])):
        raise InputError(f"prior {text!r}: mu must be below 1 and sigma must be below sqrt(mu (1 - mu))")
    if name == "Uniform" and full["lower"] >= full["upper"]:
        raise InputError(f"prior {text!r}: lower must be below upper")
    return Prior(name, {a: full[a] for a in known.arguments if a in full})


def _constant(node: ast.expr, text: str) -> float:
    sign = 1.0
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign, node = (-1.0 if isinstance(node.op, ast.USub) else 1.0), node.operand
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"prior {text!r}: arguments are numbers")
    return sign * float(value)


# --------------------------------------------------------------------------------------------------- which one holds


@dataclass(frozen=True)
class Parameter:
    """A parameter, or a vector of them, that needs a prior.

    `keys[i]` are the words a user may say for element i, narrowest first ("sd[site, x]", "sd[site]", "sd").
    """

    name: str
    support: Support
    keys: tuple[tuple[str, ...], ...]
    defaults: tuple[Prior, ...]


def parameter(name: str, support: Support, default: Prior) -> Parameter:
    """A scalar parameter whose key is its name."""
    return Parameter(name, support, ((name,),), (default,))


def coefficients(name: str, labels: Sequence[str], defaults: Sequence[Prior]) -> Parameter:
    """A vector with keys `name[label]` and `name`."""
    return Parameter(name, "real", tuple((f"{name}[{label}]", name) for label in labels), tuple(defaults))


def choose(parameters: Sequence[Parameter], given: Mapping[str, str] | None) -> dict[str, tuple[Prior, ...]]:
    """The prior of every element of every parameter: the narrowest key that was given, else the default.

    Raises
    ------
    InputError
        Keys that fit no parameter of this model, priors that do not parse or do not suit the parameter's support.
    """
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"priors is a dict such as {{'beta': 'Normal(0, 1)'}}, not {type(given).__name__}")
    exact = dict.fromkeys(k for p in parameters for keys in p.keys for k in keys)
    known = {**{_squeeze(k): k for k in exact}, **{k: k for k in exact}}
    problems: list[str] = []
    stated: dict[str, Prior] = {}
    for key, text in (given or {}).items():
        meant = known.get(str(key)) or known.get(_squeeze(str(key)))
        if meant is None:
            near = did_you_mean(str(key), exact) or ";"
            problems.append(f"prior for unknown parameter {key!r}{near} this model has: {listing(exact, 40)}")
            continue
        if meant in stated:
            problems.append(f"prior for {meant} is given twice")
            continue
        try:
            prior = parse(text)
        except InputError as err:
            problems += err.problems
            continue
        supports: set[Support] = {p.support for p in parameters for keys in p.keys if meant in keys}
        for support in sorted(supports):
            if not prior.suits(support):
                problems.append(_unsuited(str(key), prior, support))
        stated[meant] = prior
    if problems:
        raise InputError(*problems)
    return {
        p.name: tuple(
            next((stated[key] for key in keys if key in stated), default)
            for keys, default in zip(p.keys, p.defaults, strict=True)
        )
        for p in parameters
    }


def _unsuited(key: str, prior: Prior, support: Support) -> str:
    if support == "corr":
        return f"prior {key} = {prior}: a correlation matrix takes LKJ(eta), for example LKJ(2)"
    if support == "simplex":
        return f"prior {key} = {prior}: shares that sum to one take Dirichlet(a), for example Dirichlet(1)"
    low, high, words = _SUPPORTS[support]
    fit = [
        n for n, d in DISTRIBUTIONS.items()
        if n not in _ONLY.values() and ((low <= d.lower and d.upper <= high) or n == "Uniform")
    ]  # fmt: skip
    return f"prior {key} = {prior}: {key} is {words} and this prior is not; known for it: {listing(fit, 99)}"


def _squeeze(key: str) -> str:
    return re.sub(r"\s+", "", key)


# ------------------------------------------------------------------------------------------------------------ defaults


def intercept_default(location: float, scale: float) -> Prior:
    return Prior("StudentT", {"nu": 3.0, "mu": _rounded(location), "sigma": _rounded(2.5 * scale)})


def beta_defaults(spreads: Sequence[float], scale: float) -> list[Prior]:
    """One for each column, by the spread of the column."""
    return [Prior("Normal", {"mu": 0.0, "sigma": _rounded(2.5 * scale / d)}) for d in spreads]


def sd_default(spread: float, scale: float) -> Prior:
    return Prior("Exponential", {"lam": _rounded(spread / scale)})


CORR_DEFAULT = Prior("LKJ", {"eta": 2.0})
