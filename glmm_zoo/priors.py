"""Priors: read from text, which is parsed and never evaluated; chosen for each parameter; and their defaults.

`Normal(0, 2.5)`, `StudentT(nu=3, mu=0, sigma=2.5)`, `LKJ(2)`: PyMC's names and argument order.

Where the defaults come from. s is the unit of the link scale: 1 for logit, probit, cloglog and log links, the standard
deviation of the response for an identity link. d is the spread of a column: the distance of its two values where it
has two, else its standard deviation.

* Intercept ~ StudentT(3, m, 2.5 s), m the response's mean for an identity link, the log of the crude rate for a log link
  (so that the unit of the exposure does not matter), 0 else; the shape is brms's.
* beta ~ Normal(0, 2.5 s / d): rstanarm's scale; two-valued columns by their distance as Gelman et al. (2008) advise; products
  of covariates are taken at the means of these.
* sd ~ Exponential(d / s), d = 1 for an intercept: the penalised-complexity shape of Simpson et al. (2017), its mean of
  one unit as in rstanarm and McElreath's texts.
* s_<x>_sd ~ Exponential(r / s), r the standard deviation over the rows of a curve whose weights have sd 1: the bend of
  a curve has one unit of standard deviation in the mean, as a group effect has.
* s_<x>_linear as beta: the unpenalised part of a smooth is a column like others.
* sigma ~ Exponential(1 / s); where log sigma has a predictor, its intercept as above, with m = log s and s = 1 there.
* corr ~ LKJ(2): mildly against correlations of +-1. Arbitrary, as everywhere.
* range of ou() ~ InverseGamma(1, m), m the median time between neighbours: their correlation exp(-m / range) is uniform on 0 to 1.
* ar1 and rho of repeated measures ~ Uniform(-1, 1), or Beta(1, 1) where it cannot be below 0: every value is as likely as any other.
* simplex_<x>, the shares of the steps of mo(x), ~ Dirichlet(1), every course as likely as any other, as in brms.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from glmm_zoo.errors import InputError, did_you_mean, listing, raise_all

Support = Literal["real", "positive", "unit", "correlation", "corr", "simplex"]
_INFINITY = math.inf
SMALLEST_ARGUMENT, LARGEST_ARGUMENT = 1e-150, 1e150


@dataclass(frozen=True)
class _Distribution:
    """What is known of a distribution.

    `arguments` in PyMC's order, each with its domain, "real" or "positive"; `lower` and `upper`, the ends of its support;
    `defaults` of arguments that may be left out; `alternatives`, sets of arguments of which one is to be given in full; `scale`, the
    arguments that change with the scale of the distribution, each with the power of it that it is multiplied by.
    """

    arguments: Mapping[str, str]
    lower: float = -_INFINITY
    upper: float = _INFINITY
    defaults: Mapping[str, float] = field(default_factory=dict)
    alternatives: tuple[tuple[str, ...], ...] = ()
    scale: Mapping[str, int] = field(default_factory=dict)


_LOCATION = {"mu": "real", "sigma": "positive"}
DISTRIBUTIONS: Mapping[str, _Distribution] = {
    "Normal": _Distribution(
        {**_LOCATION, "tau": "positive"},
        defaults={"mu": 0.0, "sigma": 1.0},
        alternatives=(("mu", "sigma"), ("mu", "tau")),
        scale={"sigma": 1, "tau": -2},
    ),
    "StudentT": _Distribution({"nu": "positive", **_LOCATION}, defaults={"mu": 0.0, "sigma": 1.0}, scale={"sigma": 1}),
    "Cauchy": _Distribution({"alpha": "real", "beta": "positive"}, scale={"beta": 1}),
    "Laplace": _Distribution({"mu": "real", "b": "positive"}, scale={"b": 1}),
    "Logistic": _Distribution({"mu": "real", "s": "positive"}, defaults={"mu": 0.0, "s": 1.0}, scale={"s": 1}),
    "SkewNormal": _Distribution(
        {"mu": "real", "sigma": "positive", "alpha": "real"}, defaults={"mu": 0.0, "sigma": 1.0}, scale={"sigma": 1}
    ),
    "Uniform": _Distribution({"lower": "real", "upper": "real"}),
    "Exponential": _Distribution(
        {"lam": "positive", "scale": "positive"}, 0, alternatives=(("lam",), ("scale",)), scale={"lam": -1, "scale": 1}
    ),
    "HalfNormal": _Distribution({"sigma": "positive"}, 0, defaults={"sigma": 1.0}, scale={"sigma": 1}),
    "HalfCauchy": _Distribution({"beta": "positive"}, 0, scale={"beta": 1}),
    "HalfStudentT": _Distribution(
        {"nu": "positive", "sigma": "positive"}, 0, defaults={"sigma": 1.0}, scale={"sigma": 1}
    ),
    "Gamma": _Distribution(
        {"alpha": "positive", "beta": "positive", "mu": "positive", "sigma": "positive"},
        0,
        alternatives=(("alpha", "beta"), ("mu", "sigma")),
        scale={"beta": -1, "mu": 1, "sigma": 1},
    ),
    "InverseGamma": _Distribution(
        {"alpha": "positive", "beta": "positive", "mu": "positive", "sigma": "positive"},
        0,
        defaults={"beta": 1.0},
        alternatives=(("alpha", "beta"), ("mu", "sigma")),
        scale={"beta": 1, "mu": 1, "sigma": 1},
    ),
    "LogNormal": _Distribution(_LOCATION, 0, defaults={"mu": 0.0, "sigma": 1.0}),
    "Weibull": _Distribution({"alpha": "positive", "beta": "positive"}, 0, scale={"beta": 1}),
    "Beta": _Distribution(
        {"alpha": "positive", "beta": "positive", "mu": "positive", "sigma": "positive"},
        0,
        1,
        alternatives=(("alpha", "beta"), ("mu", "sigma")),
    ),
    "LKJ": _Distribution({"eta": "positive"}),
    "Dirichlet": _Distribution({"a": "positive"}, 0, 1),  # the same a for every share
}
# A correlation matrix and shares that sum to one take one distribution each, which nothing else takes.
_ONLY: Mapping[Support, str] = {"corr": "LKJ", "simplex": "Dirichlet"}
_SUPPORTS: Mapping[Support, tuple[float, float, str]] = {  # lower and upper end, and in words
    "real": (-_INFINITY, _INFINITY, "any real number"),
    "positive": (0, _INFINITY, "a positive number"),
    "unit": (0, 1, "a number between 0 and 1"),
    "correlation": (-1, 1, "a number between -1 and 1"),
}


@dataclass(frozen=True)
class Prior:
    """A distribution of `DISTRIBUTIONS` with its arguments by name."""

    distribution: str
    arguments: Mapping[str, float]

    def __str__(self) -> str:
        first_arguments = list(DISTRIBUTIONS[self.distribution].arguments)[: len(self.arguments)]
        by_position = first_arguments == list(self.arguments)
        shown = [_number(v) if by_position else f"{k}={_number(v)}" for k, v in self.arguments.items()]
        return f"{self.distribution}({', '.join(shown)})"

    @property
    def interval(self) -> tuple[float, float]:
        """Where the density is positive."""
        if self.distribution == "Uniform":
            return self.arguments["lower"], self.arguments["upper"]
        distribution = DISTRIBUTIONS[self.distribution]
        return distribution.lower, distribution.upper

    def suits(self, support: Support) -> bool:
        """Whether a parameter of this support can have every value that the distribution can take."""
        if support in _ONLY or self.distribution in _ONLY.values():
            return _ONLY.get(support) == self.distribution
        low, high, _ = _SUPPORTS[support]
        return low <= self.interval[0] and self.interval[1] <= high

    def scaled(self, factor: float) -> Prior:
        """This prior so many times as wide about the same location; itself where its width is not a scale, as of Beta or LKJ."""
        powers = DISTRIBUTIONS[self.distribution].scale
        return Prior(self.distribution, {a: v * factor ** powers.get(a, 0) for a, v in self.arguments.items()})


def _number(value: float) -> str:
    return f"{value:.15g}"


def _rounded(value: float) -> float:
    """Four digits, so that a default is exactly what its text says."""
    return float(f"{value:.4g}")


def parse(text: str | Prior) -> Prior:
    """Read one prior; one that was read before comes back as it is.

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
    order = list(DISTRIBUTIONS[name].arguments)
    if len(call.args) > len(order):
        raise InputError(f"prior {text!r}: {name} takes {listing(order)}")
    given = dict(zip(order, (_constant(a, text) for a in call.args), strict=False))
    for keyword in call.keywords:
        if keyword.arg not in order:
            raise InputError(f"prior {text!r}: {name} has no argument {keyword.arg!r}; it takes {listing(order)}")
        if keyword.arg in given:
            raise InputError(f"prior {text!r}: {keyword.arg} is given twice")
        given[keyword.arg] = _constant(keyword.value, text)
    return _complete(name, given, text)


def _complete(name: str, given: dict[str, float], text: str) -> Prior:
    """The prior with the defaults of arguments that were left out; all are checked."""
    distribution = DISTRIBUTIONS[name]
    allowed = distribution.alternatives or (tuple(distribution.arguments),)
    possible = [arguments for arguments in allowed if set(given) <= set(arguments)]
    defaults = {k: v for k, v in distribution.defaults.items() if any(k in arguments for arguments in possible)}
    full = {**defaults, **given}
    if not any(set(arguments) == set(full) for arguments in allowed):
        raise InputError(f"prior {text!r}: {name} takes {' or '.join(listing(a) for a in allowed)}")
    for argument, value in full.items():
        if distribution.arguments[argument] == "positive" and not value > 0:
            raise InputError(f"prior {text!r}: {argument} must be > 0, not {_number(value)}")
    if name == "Beta" and "mu" in full and not (full["mu"] < 1 and full["sigma"] ** 2 < full["mu"] * (1 - full["mu"])):
        raise InputError(f"prior {text!r}: mu must be below 1 and sigma must be below sqrt(mu (1 - mu))")
    if name == "Uniform" and full["lower"] >= full["upper"]:
        raise InputError(f"prior {text!r}: lower must be below upper")
    return Prior(name, {a: full[a] for a in distribution.arguments if a in full})


def _constant(node: ast.expr, text: str) -> float:
    """The value of a number, with its sign."""
    sign = 1.0
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign, node = (-1.0 if isinstance(node.op, ast.USub) else 1.0), node.operand
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"prior {text!r}: arguments are numbers")
    written = ast.get_source_segment(text.strip(), node) or ""
    underflows = value == 0 and re.search("[1-9]", re.split("[eE]", written)[0])
    if underflows or (value and not SMALLEST_ARGUMENT <= value <= LARGEST_ARGUMENT):
        raise InputError(
            f"prior {text!r}: arguments are numbers, 0 or of a size between {SMALLEST_ARGUMENT:g} and {LARGEST_ARGUMENT:g}, so that "
            f"their squares are numbers too{f'; {written} would be 0' if underflows else ''}"
        )
    return sign * float(value)


# --------------------------------------------------------------------------------------- the prior of each parameter


@dataclass(frozen=True)
class Parameter:
    """A parameter, or a vector of parameters, that needs a prior; `defaults[i]` is that of element i.

    `keys[i]` are the names by which a user may give a prior for element i, narrowest first: "sd[site, x]", "sd[site]",
    "sd".
    """

    name: str
    support: Support
    keys: tuple[tuple[str, ...], ...]
    defaults: tuple[Prior, ...]


def parameter(name: str, support: Support, default: Prior) -> Parameter:
    """A scalar parameter whose key is its name."""
    return Parameter(name, support, ((name,),), (default,))


def coefficients(name: str, labels: Sequence[str], defaults: Sequence[Prior]) -> Parameter:
    """A vector of coefficients, one for each label, whose keys are `name[label]` and `name`."""
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
    all_keys = dict.fromkeys(k for p in parameters for keys in p.keys for k in keys)
    written = {**{_squeeze(k): k for k in all_keys}, **{k: k for k in all_keys}}  # also without spaces
    problems: list[str] = []
    chosen: dict[str, Prior] = {}
    for user_key, text in (given or {}).items():
        key = written.get(str(user_key)) or written.get(_squeeze(str(user_key)))
        if key is None:
            near = did_you_mean(str(user_key), all_keys) or ";"
            problems.append(f"{unknown_key(user_key)}{near} this model has: {listing(all_keys, 40)}")
            continue
        if key in chosen:
            problems.append(f"prior for {key} is given twice")
            continue
        try:
            prior = parse(text)
        except InputError as err:
            problems += err.problems
            continue
        supports: set[Support] = {p.support for p in parameters for keys in p.keys if key in keys}
        for support in sorted(supports):
            if not prior.suits(support):
                problems.append(_unsuited(str(user_key), prior, support))
        chosen[key] = prior
    raise_all(problems)
    return {
        p.name: tuple(
            next((chosen[key] for key in keys if key in chosen), default)
            for keys, default in zip(p.keys, p.defaults, strict=True)
        )
        for p in parameters
    }


def unknown_key(key: object) -> str:
    """How the sentence begins that tells of a key which fits no parameter."""
    return f"prior for unknown parameter {key!r}"


def _unsuited(key: str, prior: Prior, support: Support) -> str:
    """A sentence on a prior that does not suit the support of the parameter `key`."""
    if support == "corr":
        return f"prior {key} = {prior}: a correlation matrix takes LKJ(eta), for example LKJ(2)"
    if support == "simplex":
        return f"prior {key} = {prior}: shares that sum to one take Dirichlet(a), for example Dirichlet(1)"
    low, high, words = _SUPPORTS[support]
    suitable = [
        n for n, d in DISTRIBUTIONS.items()
        if n not in _ONLY.values() and ((low <= d.lower and d.upper <= high) or n == "Uniform")
    ]  # fmt: skip
    return f"prior {key} = {prior}: {key} is {words} and this prior is not; known for it: {listing(suitable, 99)}"


def _squeeze(key: str) -> str:
    return re.sub(r"\s+", "", key)


# ------------------------------------------------------------------------------------------------------------ defaults


def intercept_default(location: float, scale: float) -> Prior:
    """`location` is m, `scale` is s, the unit of the link scale."""
    return Prior("StudentT", {"nu": 3.0, "mu": _rounded(location), "sigma": _rounded(2.5 * scale)})


def beta_defaults(spreads: Sequence[float], scale: float) -> list[Prior]:
    """One for each column, by d, the spread of the column, and s, the unit of the link scale."""
    return [Prior("Normal", {"mu": 0.0, "sigma": _rounded(2.5 * scale / d)}) for d in spreads]


def sd_default(spread: float, scale: float) -> Prior:
    """By d (r for a smooth) and s: the standard deviation of effects whose column has this spread."""
    return Prior("Exponential", {"lam": _rounded(spread / scale)})


def range_default(gap: float) -> Prior:
    """The range of a process whose values are typically this far apart in time."""
    return Prior("InverseGamma", {"alpha": 1.0, "beta": _rounded(gap)})


CORR_DEFAULT = Prior("LKJ", {"eta": 2.0})
# of group effects: Juarez & Steel 2010; brms's, which has df > 1
DF_DEFAULT = Prior("Gamma", {"alpha": 2.0, "beta": 0.1})
EVERY_CORRELATION = Prior("Uniform", {"lower": -1.0, "upper": 1.0})
SIMPLEX_DEFAULT = Prior("Dirichlet", {"a": 1.0})
