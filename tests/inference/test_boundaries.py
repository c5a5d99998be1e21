"""The kernel at its boundaries: sizes 0, 1 and 2, extreme values, and points where functions have a kink or change branch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import pytest
import row_models
from pytensor import function
from pytensor.gradient import grad
from rows import visits
from scipy import special

import glmm_zoo as zoo
from glmm_zoo.graph.transforms.bent_log import BentLogTransform
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.kernel.density import GraphCompiler
from glmm_zoo.inference.parameterization import parameterize

OPTIONS = {"on_unused_input": "ignore"}


@dataclass(frozen=True)
class Density:
    """A model's log density with its gradient as functions of x (n,): the kernel's and PyTensor's."""

    names: list[str]  # of the value variable of each element
    start: np.ndarray
    kernel: Callable[[np.ndarray], tuple[float, np.ndarray]]
    pytensor: Callable[[np.ndarray], tuple[float, np.ndarray]]

    def by_differences(self, x: np.ndarray, step: float = 1e-5) -> np.ndarray:
        steps = step * np.eye(len(x))
        return np.array([(self.kernel(x + e)[0] - self.kernel(x - e)[0]) / (2 * step) for e in steps])


def density_of(model: Any) -> Density:
    point = model.initial_point()
    values = [point[v.name] for v in model.value_vars]
    ends = np.cumsum([np.size(v) for v in values])
    density = model.logp()
    program = GraphCompiler(model.value_vars, [np.shape(v) for v in values]).with_gradient(density)
    peer = function(model.value_vars, [density, *grad(density, model.value_vars)], **OPTIONS)

    def kernel(x: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.zeros(len(x))
        return program(np.ascontiguousarray(x), gradient), gradient

    def pytensor(x: np.ndarray) -> tuple[float, np.ndarray]:
        parts = (p.reshape(np.shape(v)) for p, v in zip(np.split(x, ends[:-1]), values, strict=True))
        value, *gradient = peer(*parts)
        return float(value), np.concatenate([np.ravel(g) for g in gradient])

    names = [v.name for v, x in zip(model.value_vars, values, strict=True) for _ in range(np.size(x))]
    return Density(names, np.concatenate([np.ravel(v) for v in values]).astype(float), kernel, pytensor)


def compare(density: Density, x: np.ndarray) -> None:
    """Value and gradient are PyTensor's and those of differences."""
    value, gradient = density.kernel(x)
    peer, gradient_of_peer = density.pytensor(x)
    np.testing.assert_allclose(value, peer, rtol=1e-9)
    np.testing.assert_allclose(gradient, density.by_differences(x), rtol=1e-4, atol=1e-4 * (1 + 1e-4 * abs(value)))
    smooth = np.isclose(gradient_of_peer, gradient, rtol=1e-7, atol=1e-7)
    assert smooth.all() or (x == 0).any(), (np.array(density.names)[~smooth], gradient, gradient_of_peer)


def check_extremes(density: Density, x: np.ndarray) -> None:
    """With the first element of each variable far out, the density is a number or -inf, and a gradient beside it finite."""
    for i in {name: density.names.index(name) for name in density.names}.values():
        for far in (-50.0, -26.5, 26.5, 50.0):
            there = x.copy()
            there[i] = far
            value, gradient = density.kernel(there)
            assert np.isfinite(value) or value == -np.inf, (density.names[i], far, value)
            assert value == -np.inf or np.isfinite(gradient).all(), (density.names[i], far, gradient)


def check(model: Any, seed: int = 1) -> None:
    density = density_of(model)
    rng = np.random.default_rng(seed)
    x = density.start + rng.normal(0, 0.3, len(density.start))
    compare(density, x)
    compare(density, np.zeros_like(x))
    check_extremes(density, x)


def frame(n: int = 12, seed: int = 3) -> pd.DataFrame:
    rng, i = np.random.default_rng(seed), np.arange(n)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n), "ill": i % 2, "k": rng.integers(0, 4, n), "n": 4, "c": np.where(i % 3, i % 5, 0),
            "x": rng.normal(size=n), "w": rng.normal(size=n), "two": np.where(i % 3 == 0, "no", "yes"),
            "three": i % 3, "g": [f"g{j}" for j in i // 2], "pair": [f"p{j}" for j in i % 2], "one": "A",
            "id": [f"s{j}" for j in i // 2], "visit": i % 2,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("link", "family"),  # adjacent categories have the logit link
    [*product(["logit", "probit", "cloglog"], ["cumulative", "sratio"]), ("logit", "acat")],
)
def test_an_ordinal_model_of_two_categories_is_the_binary_one(family, link):
    """P(Y > 1) with cutpoint c is P(1) with intercept -c; for cloglog the categories are turned."""
    data = frame()
    model = zoo.ordinal(data, "two ~ x + (1 | g)", levels=["no", "yes"], family=family, link=link)
    check(model)
    turned = link == "cloglog"
    binary = zoo.hierarchical_logistic(data, "two ~ x + (1 | g)", success="no" if turned else "yes", link=link)
    names = {"cutpoints_at_means_ordered__": "Intercept_at_means", "cutpoints_at_means": "Intercept_at_means"}
    ours, theirs = density_of(model), density_of(binary)
    values = dict(zip(ours.names, np.random.default_rng(1).normal(size=len(ours.names)), strict=False))
    at = {
        "u_g_z__": np.random.default_rng(2).normal(size=6),
        **{k: np.array([v]) for k, v in values.items() if k != "u_g_z__"},
    }

    def likelihood(model: Any, flip: dict[str, float]) -> np.ndarray:
        pointwise = model.logp(vars=model.observed_RVs, sum=False)
        point = {
            v.name: flip.get(names.get(v.name, v.name), 1.0)
            * at[back(v.name)].reshape(np.shape(model.initial_point()[v.name]))
            for v in model.value_vars
        }
        return row_models.function(model, pointwise)(point)[0]

    def back(name: str) -> str:
        return name if name in at else next(k for k, v in names.items() if v == name and k in at)

    assert len(theirs.names) == len(ours.names)
    signs = {"Intercept_at_means": 1.0, "beta": -1.0, "u_g_z__": -1.0} if turned else {"Intercept_at_means": -1.0}
    np.testing.assert_allclose(likelihood(model, {}), likelihood(binary, signs), rtol=1e-10)


SMALL = [
    ("hierarchical_linear", "y ~ x", {}, 2), ("hierarchical_linear", "y ~ 0 + x", {}, 2), ("hierarchical_linear", "y ~ 1 + (1 | g)", {}, 4),
    ("hierarchical_logistic", "ill ~ 1", {}, 2), ("hierarchical_logistic", "k | trials(n) ~ x + (0 + x | pair)", {}, 12),
    ("poisson", "c ~ 1", {}, 2), ("negative_binomial", "c ~ x + (1 + x | pair)", {}, 12), ("zero_inflated_poisson", "c ~ 1", {}, 2),
    ("hurdle_negative_binomial", "c ~ 1 + (1 | pair)", {}, 12), ("ordinal", "three ~ 1", {}, 3), ("ordinal", "three ~ x + (1 | pair)", {}, 12),
    ("ordinal", "three ~ 1", {"family": "sratio", "link": "cloglog"}, 12), ("gamm", "y ~ s(x, k=3)", {}, 6),
    ("joint_outcomes", ["two ~ x + (1 |p| pair)", "y ~ 1 + (1 |p| pair)"], {"families": ["ordinal", "gaussian"], "levels": {"two": ["no", "yes"]}}, 12),
]  # fmt: skip


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case[0]} {case[1]} {case[3]}")
@pytest.mark.parametrize("how", ["noncentered", "auto"])
def test_the_kernel_at_sizes_zero_one_and_two(case, how):
    name, formula, options, n = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = row_models.builder(name)(frame(n), formula, **options)
        check(parameterize(model, how)[0])


def pieces(rng: np.random.Generator) -> tuple[str, str, dict[str, Any]]:
    """A builder, a formula and options, at random."""
    name, response = [
        ("hierarchical_linear", "y"), ("hierarchical_logistic", "ill"), ("hierarchical_logistic", "k | trials(n)"), ("poisson", "c"),
        ("negative_binomial", "c"), ("zero_inflated_poisson", "c"), ("hurdle_poisson", "c"), ("ordinal", "three"),
    ][rng.integers(8)]  # fmt: skip
    population = ["1", "x", "x + w", "x * w", "x + s(w, k=4)"][rng.integers(5)]
    groups = ["", " + (1 | g)", " + (1 + x | g)", " + (1 + x || pair)", " + (0 + x | g) + (1 | pair)"][rng.integers(5)]
    options = {}
    if name in ("ordinal", "hierarchical_logistic"):
        options["link"] = ["logit", "probit", "cloglog"][rng.integers(3)]
    return name, f"{response} ~ {population}{groups}", options


@pytest.mark.parametrize("seed", range(8))
def test_the_kernel_on_random_models(seed):
    rng = np.random.default_rng(seed)
    name, formula, options = pieces(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = row_models.builder(name)(frame(24, seed), formula, **options)
        check(parameterize(model, ["auto", "noncentered"][seed % 2])[0], seed)


def test_an_sd_far_below_its_estimate_leaves_prior_and_jacobian():
    """There the group effects are 0, so the density differs between two points by prior and change of variables alone."""
    model, _ = parameterize(
        zoo.hierarchical_logistic(frame(), "ill ~ x + (1 | g)", priors={"sd": "Exponential(1)"}), "auto"
    )
    transform = model.rvs_to_transforms[model["sd_g"]]
    assert isinstance(transform, BentLogTransform)
    density = density_of(model)
    i, x = density.names.index("sd_g_log__"), np.random.default_rng(1).normal(0, 0.3, len(density.start))

    def at(value: float) -> tuple[float, float]:
        x[i] = value
        found, gradient = density.kernel(x)
        return found, gradient[i]

    def jacobian(v: float) -> float:
        below = np.log1p(np.exp(-v)) if v > -30 else -v
        return v - below**2 + np.log(1 + 2 * below * special.expit(-v))

    base = at(-20.0)[0] - jacobian(-20.0)
    for v in (-25.0, -26.0, -27.0, -50.0, -500.0):  # e^b underflows between -26 and -27
        value, slope = at(v)
        np.testing.assert_allclose(value - jacobian(v), base, rtol=1e-10, atol=1e-10 * abs(value))
        np.testing.assert_allclose(slope, (jacobian(v + 1e-4) - jacobian(v - 1e-4)) / 2e-4, rtol=1e-6)


KINKS = {
    "sigmoid of the negative": (lambda x: pt.sigmoid(-x), lambda x: special.expit(-x) * -special.expit(x)),
    "sigmoid": (pt.sigmoid, lambda x: special.expit(x) * special.expit(-x)),
    "sigmoid of a difference": (lambda x: pt.sigmoid(1.0 - x - 1.0), lambda x: special.expit(-x) * -special.expit(x)),
    "softplus of the negative": (lambda x: pt.softplus(-x), lambda x: -special.expit(-x)),
    "softplus of a negative product": (lambda x: pt.softplus(-(x * 2.0)), lambda x: -2 * special.expit(-2 * x)),
    "log of a sum of exponentials": (lambda x: pt.logaddexp(x, 2.0 * x), lambda x: 1 + special.expit(x)),
    "the same beside 0": (lambda x: pt.logaddexp(0.0, x), special.expit),
    "the same before 0": (lambda x: pt.logaddexp(x, 0.0), special.expit),
    "the same of the negative": (lambda x: pt.logaddexp(0.0, -x), lambda x: -special.expit(-x)),
    "log of a sigmoid": (lambda x: pt.log(pt.sigmoid(x)), lambda x: special.expit(-x)),
    "log of 1 - sigmoid": (lambda x: pt.log1p(-pt.sigmoid(x)), lambda x: -special.expit(x)),
}


@pytest.mark.parametrize("name", list(KINKS))
def test_slopes_where_a_function_changes_branch(name):
    """At 0, at -0, and just below and above the point from which sigmoids are read from their argument; and far out."""
    graph, slope = KINKS[name]
    at = np.array([0.0, -0.0, 1e-300, -1e-300, 17.999, 18.0, 18.001, -17.999, -18.0, -18.001, 50.0, -50.0])
    for size in (1, 12):  # written out, and as a loop
        x = pt.vector("x", shape=(size if size == 1 else 24,))
        for values in at if size == 1 else [np.repeat(at, 2)]:
            where = np.atleast_1d(values)
            gradient = np.zeros(len(where))
            GraphCompiler([x], [where.shape]).with_gradient(pt.sum(graph(x)))(where, gradient)
            np.testing.assert_allclose(gradient, slope(where), rtol=1e-7, atol=1e-300)


def test_sums_and_products_of_nothing():
    x = pt.vector("x", shape=(3,))
    nothing = x[:0]
    density = pt.sum(x**2) + pt.sum(nothing) + pt.sum(pt.exp(pt.concatenate([nothing, x]))) + pt.sum(pt.cumsum(nothing))
    gradient, at = np.zeros(3), np.array([0.1, -0.2, 0.3])
    value = GraphCompiler([x], [(3,)]).with_gradient(density + pt.dot(nothing, nothing))(at, gradient)
    np.testing.assert_allclose(value, np.sum(at**2 + np.exp(at)))
    np.testing.assert_allclose(gradient, 2 * at + np.exp(at))


def test_a_model_without_unknowns_of_a_kind_compiles():
    compile_model(zoo.ordinal(frame(), "two ~ 1", levels=["no", "yes"]))
    compile_model(zoo.poisson(visits().assign(n=1), "n ~ 0 + x"))
