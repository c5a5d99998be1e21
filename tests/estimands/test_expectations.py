"""What is expected of rows, for every builder variant of `rows.py`: whose groups, which scale, against quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of, tree_of_prior
from integrated_rows import (
    asked_rows,
    integrated,
    mean,
    of_outcome,
    own_groups,
    points,
    probability,
    tree_of_row,
    with_small_sds,
    without_groups,
)  # fmt: skip
from row_models import build
from rows import ROWS, Row, ratings
from scipy import integrate, special, stats

import glmm_zoo as zoo

LATER = ("stepped_wedge", "meta_analysis", "network_meta_analysis", "joint_survival", "survival")
ALL = {row.name: row for row in ROWS if row.builder not in LATER}
SINGLE = [
    row
    for row in ALL.values()
    if row.builder not in ("joint_outcomes", "categorical")
    and "student" not in str(row.formula)  # averages over t effects are in tests of their own
]
JOINT = [
    (row, key.removesuffix("_row"))
    for row in ALL.values()
    if row.builder == "joint_outcomes"
    for key in row.rows(row.data())
]
COUNTS = [
    row
    for row in SINGLE
    if row.builder not in ("never_at_risk", "gamm")
    and "y" not in row.columns
    and row.mean is None  # Conway-Maxwell-Poisson, in its own tests
    and {"c", "k"} & {*row.columns}
    and "n" not in row.columns
]
OF_CATEGORIES = [row for row in ALL.values() if row.builder in ("ordinal", "categorical")]


def each(rows: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


def draws_of(estimates: zoo.Estimates) -> np.ndarray:
    """Draws (S, estimates), chain by chain."""
    return estimates.draws["value"].values.reshape(-1, len(estimates.table))


@each(SINGLE)
def test_rows_of_the_fit_equal_the_mean_of_their_family(row: Row) -> None:
    tree, d = tree_of_row(row.name), asked_rows(row)
    rtol = 1e-5 if "trunc(" in str(row.formula) else 1e-6  # means between bounds bend more, for both integrals
    for groups, of in (
        ("observed", lambda p: own_groups(row, d, p, mean(row))),
        ("typical", lambda p: own_groups(row, d, without_groups(p), mean(row))),
        ("population", lambda p: integrated(row, d, p, mean(row))),
    ):
        found = zoo.predictions(tree, groups=groups)
        expected = np.array([of(p) for p in points(tree)])
        np.testing.assert_allclose(draws_of(found), expected, rtol=rtol, atol=1e-12, err_msg=groups)
        np.testing.assert_allclose(found.table["mean"], expected.mean(axis=0), rtol=rtol)
        ends = np.quantile(expected, [0.025, 0.975], axis=0)
        np.testing.assert_allclose(found.table[["lower", "upper"]].to_numpy().T, ends, rtol=rtol)


@pytest.mark.parametrize(("row", "name"), JOINT, ids=[f"{row.name}: {name}" for row, name in JOINT])
def test_outcomes_of_several_equal_the_mean_of_their_family(row: Row, name: str) -> None:
    tree, d, of = tree_of_row(row.name), asked_rows(row), of_outcome(row, name)
    expected = [own_groups(row, d, p, of) for p in points(tree)]
    np.testing.assert_allclose(draws_of(zoo.predictions(tree, groups="observed", outcome=name)), expected, rtol=1e-6)
    parts = [part for part in row.also if part == name or part.startswith(f"{name}_")]
    if row.name == "joint, loading" and name == "c":
        expected = [
            own_groups(row, d, without_groups(p), of) * np.exp((p["c_loading"].item() * p["ill_sd_g"].item()) ** 2 / 2)
            for p in points(tree)
        ]
    else:
        expected = [integrated(row, d, p, of, parts) for p in points(tree)]
    found = zoo.predictions(tree, outcome=name)
    np.testing.assert_allclose(draws_of(found), expected, rtol=1e-6)
    assert set(found.table["outcome"]) == {name}


@each(COUNTS)
def test_zeros_and_positive_counts(row: Row) -> None:
    tree, d = tree_of_row(row.name), asked_rows(row)
    response = "c" if "c" in row.columns else "k"
    zero = np.array([integrated(row, d, p, probability(row, response, 0)) for p in points(tree)])
    average = np.array([integrated(row, d, p, mean(row)) for p in points(tree)])
    np.testing.assert_allclose(draws_of(zoo.predictions(tree, scale="zero")), zero, rtol=1e-6, atol=1e-9)
    positive = draws_of(zoo.predictions(tree, scale="positive"))
    np.testing.assert_allclose(positive * (1 - zero), average, rtol=1e-5)


@each([row for row in SINGLE if row.builder == "never_at_risk"])
def test_zeros_of_subjects_never_at_risk(row: Row) -> None:
    def zero(d: pd.DataFrame, p: dict[str, xr.DataArray], eta: np.ndarray, others: dict[str, np.ndarray]) -> np.ndarray:
        never = special.expit(others["never"]) if others else p["never"].item()
        if row.options.get("family") == "bernoulli":
            alone = special.expit(-eta)
        elif "alpha" in p:
            a = p["alpha"].item()
            alone = stats.nbinom(a, a / (a + np.exp(eta))).pmf(0)
        else:
            alone = np.exp(-np.exp(eta))
        return never + (1 - never) * alone

    tree, d = tree_of_row(row.name), asked_rows(row)
    expected = [integrated(row, d, p, zero) for p in points(tree)]
    np.testing.assert_allclose(draws_of(zoo.predictions(tree, scale="zero")), expected, rtol=1e-6)


@each(OF_CATEGORIES)
def test_probabilities_of_categories(row: Row) -> None:
    tree, d = tree_of_row(row.name), asked_rows(row)
    of = {"grade": ["low", "mid", "high"], "rating": [1, 2, 3, 4], "mode": ["walk", "bus", "car"]}
    response, names = next((response, names) for response, names in of.items() if response in row.columns)
    found = zoo.predictions(tree, scale="probability")
    table, draws = found.table, draws_of(found)
    for name in names:
        expected = [integrated(row, d, p, probability(row, response, name)) for p in points(tree)]
        several = row.builder == "categorical"  # linear predictors, whose means are of fewer digits
        np.testing.assert_allclose(
            draws[:, table["category"] == str(name)], expected, rtol=1e-6, atol=1e-6 if several else 1e-10
        )
    by_category = np.stack([draws[:, table["category"] == str(name)] for name in names])
    np.testing.assert_allclose(by_category.sum(axis=0), 1.0, rtol=1e-12)
    scores = draws_of(zoo.predictions(tree))
    if row.builder == "categorical":  # which has no scores
        np.testing.assert_array_equal(scores, draws)
        return
    np.testing.assert_allclose(np.tensordot(np.arange(1, len(names) + 1), by_category, 1), scores, rtol=1e-12)


# ------------------------------------------------------------------------------------------- parts with groups of their own


def _shared(row: Row, parts: tuple[str, ...], **options: object) -> Row:
    """The row with an effect of g in each part, all correlated."""
    also = {
        part: (lambda d: {"w": d.w}, lambda d, part=part: {"g": (d.g, {f"{part}:Intercept": 1.0})}) for part in parts
    }
    return replace(row, formula="c ~ x + (1 |p| g)", also=also, options={**row.options, **options})


OF_BOTH = "~ w + (1 |p| g)"
HURDLE_NB = next(row for row in SINGLE if row.name == "hurdle negative binomial")
SHARED = {
    "hurdle poisson, zi": _shared(next(row for row in SINGLE if row.name == "hurdle poisson"), ("zi",), zi=OF_BOTH),
    "negative binomial, dispersion": _shared(
        next(row for row in SINGLE if row.name == "negative binomial, dispersion"), ("alpha",), dispersion=OF_BOTH
    ),
    "hurdle nb1, zi and dispersion": _shared(HURDLE_NB, ("zi", "alpha"), zi=OF_BOTH, dispersion=OF_BOTH),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
def test_effects_that_several_parts_share(name: str) -> None:
    row = SHARED[name]
    tree = with_small_sds(tree_of_prior(build(row), 1))
    d = asked_rows(row).head(3)
    for scale, of in (("mean", mean(row)), ("zero", probability(row, "c", 0)))[: 1 if len(row.also) > 1 else 2]:
        expected = np.array([integrated(row, d, p, of) for p in points(tree)])
        found = draws_of(zoo.predictions(tree, d, scale=scale))
        np.testing.assert_allclose(found, expected, rtol=3e-6, atol=1e-12, err_msg=scale)


@pytest.mark.parametrize(
    ("name", "sd", "f"),
    [
        ("logistic", 6.0, special.expit),
        ("cloglog", 6.0, lambda eta: -np.expm1(-np.exp(eta))),
        ("ordinal cloglog", 5.0, lambda eta: 1 + sum(stats.gumbel_l.sf(c - eta) for c in (-1.0, 0.5, 2.0))),
        ("hurdle poisson", 2.5, lambda eta: special.expit(-0.3) * np.exp(eta) / -np.expm1(-np.exp(eta))),
    ],
)
def test_large_standard_deviations(name: str, sd: float, f: Callable[[float], float]) -> None:
    row = replace(ALL[name], Z=lambda d: {"g": (d.g, {"Intercept": 1.0})})
    options = {"zi": "~ 1"} if "hurdle" in name else {}
    model = build(row, formula=row.formula.replace("(0 + x | g)", "(1 | g)"), **options)
    values = {
        "Intercept": 0.7,
        "zi_Intercept": 0.3,
        "zi": special.expit(0.3),
        "cutpoints": [-1.0, 0.5, 2.0],
        "sd_g": [sd],
    }
    values |= {"beta": np.zeros(len(model.coords["coef"]))}
    tree = tree_of(model, {k: v for k, v in values.items() if k in model.named_vars})
    at = {"w": 0.7} if "ordinal" in name else {}
    eta = 0.7
    expected = integrate.quad(
        lambda z: f(eta + sd * z) * stats.norm.pdf(z), -14, 14, epsabs=1e-13, epsrel=1e-11, limit=2000
    )[0]
    np.testing.assert_allclose(draws_of(zoo.predictions(tree, by=True, at=at))[0], expected, rtol=1e-6)


def test_a_zero_part_and_a_count_against_dblquad() -> None:
    row = SHARED["hurdle poisson, zi"]
    tree = with_small_sds(tree_of_prior(build(row), 1, seed=3))
    d, p = asked_rows(row).head(1), next(points(tree))
    at = without_groups(p)
    eta, zi = row.eta(d, at).item(), row.eta(d, at, "zi").item()
    sd = p["sd_g"].values
    u = stats.multivariate_normal(cov=p["corr_g"].values * np.outer(sd, sd))

    def expected(f) -> float:
        return integrate.dblquad(
            lambda b, a: f(eta + a, zi + b) * u.pdf([a, b]),
            *[s * k for s in sd for k in (-8, 8)][:2],
            -8 * sd[1],
            8 * sd[1],
            epsabs=1e-9,
        )[0]

    def share(b: float) -> float:
        return special.expit(-b)

    average = expected(lambda a, b: share(b) * np.exp(a) / -np.expm1(-np.exp(a)))
    above = expected(lambda a, b: share(b))
    for scale, value in (("mean", average), ("zero", 1 - above), ("positive", average / above)):
        np.testing.assert_allclose(draws_of(zoo.predictions(tree, d, scale=scale))[0], value, rtol=1e-6, err_msg=scale)


@pytest.mark.parametrize("family", ["sratio", "acat"])
def test_categories_of_groups_that_differ_in_level_and_discrimination(family: str) -> None:
    """E over both effects of a group, correlated, of probabilities, by a fine grid."""
    d = ratings()
    model = zoo.ordinal(d, "rating ~ x + (1 |p| g)", disc="~ w + (1 |p| g)", family=family)
    sd, r, c, b, a = np.array([0.8, 0.4]), 0.5, np.array([-0.6, 0.9, 0.2]), 0.5, 0.3
    at = {
        "beta": [b], "cutpoints": c, "disc_beta": [a], "sd_g": sd, "corr_g": [[1, r], [r, 1]], "u_g": np.zeros((9, 2)),
    }  # fmt: skip
    tree = tree_of(model, {name: np.asarray(value, float)[None, None] for name, value in at.items()})
    found = zoo.predictions(tree, d.head(3), scale="probability").table["mean"].to_numpy().reshape(3, 4)
    z1, z2 = np.meshgrid(*[np.linspace(-8, 8, 401)] * 2, indexing="ij")
    both = np.exp(-0.5 * (z1**2 + z2**2))
    both /= both.sum()
    for i in range(3):
        eta = b * d.x[i] + sd[0] * z1
        x = np.exp(a * d.w[i] + sd[1] * (r * z1 + np.sqrt(1 - r**2) * z2)) * (c[:, None, None] - eta)
        if family == "acat":
            P = special.softmax(np.concatenate([np.zeros((1, 401, 401)), -np.cumsum(x, axis=0)]), axis=0)
        else:
            past = np.concatenate([np.ones((1, 401, 401)), np.cumprod(stats.logistic.sf(x), axis=0)])
            P = past * np.concatenate([stats.logistic.cdf(x), np.ones((1, 401, 401))])
        np.testing.assert_allclose(found[i], (P * both).sum(axis=(1, 2)), rtol=1e-5)
