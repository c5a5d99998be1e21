"""Survival, restricted mean and median times of a population, against integrals of SciPy's distributions."""

from __future__ import annotations

import numpy as np
import pytest
from integrated_rows import asked_rows, covariance, integrated, own_groups, points, tree_of_row, without_groups
from rows import ROWS, Row
from scipy import integrate, optimize, stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError

LOGNORMAL, WEIBULL = (next(r for r in ROWS if r.name == f"survival, {name}") for name in ("lognormal", "late entry"))
UNIT = float(f"{WEIBULL.data().query('dead == 1').t.median():.1g}")


def law(row: Row, p, eta):
    if row is LOGNORMAL:
        return stats.lognorm(s=p["sigma"].item(), scale=np.exp(eta))
    k = p["shape"].item()
    return stats.weibull_min(c=k, scale=UNIT * (UNIT * np.exp(eta)) ** (-1 / k))


def beyond(row: Row, t: float):
    return lambda d, p, eta, others: law(row, p, eta).sf(t)


def draws_of(estimates: zoo.Estimates) -> np.ndarray:
    return estimates.draws["value"].values.reshape(-1, len(estimates.table))


def test_survival_is_that_of_the_distribution() -> None:
    tree, d, t = tree_of_row(WEIBULL.name), asked_rows(WEIBULL), 2.5
    for groups, of in (("observed", own_groups), ("population", integrated)):
        found = draws_of(zoo.predictions(tree, scale="survival", times=[t], groups=groups))
        expected = [of(WEIBULL, d, p, beyond(WEIBULL, t)) for p in points(tree)]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_lognormal_survival_in_a_population_is_lognormal() -> None:
    """log T is normal with the variance of the groups and that of the times, however small one of them is."""
    tree, d, t = tree_of_row(LOGNORMAL.name), asked_rows(LOGNORMAL), 2.5
    found = draws_of(zoo.predictions(tree, scale="survival", times=[t]))
    for one, p in zip(found, points(tree), strict=True):
        mean = LOGNORMAL.eta(d, without_groups(p))
        sd = np.sqrt(p["sigma"].item() ** 2 + covariance(LOGNORMAL, d, p, [""], ())[:, 0, 0])
        np.testing.assert_allclose(one, stats.norm.sf(np.log(t), mean, sd), rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_mean_and_median_of_an_average_curve() -> None:
    tree, d = tree_of_row(LOGNORMAL.name), asked_rows(LOGNORMAL)
    horizon = d.t.max()
    found = draws_of(zoo.predictions(tree, scale="rmst", times=[1.5, 3.0], groups="typical", by=True))
    at_zero = [{k: v * 0 if k.startswith("u_") else v for k, v in p.items()} for p in points(tree)]
    curves = [lambda t, p=p: own_groups(LOGNORMAL, d, p, beyond(LOGNORMAL, t)).mean() for p in at_zero]
    np.testing.assert_allclose(found, [[integrate.quad(S, 0, t)[0] for t in (1.5, 3.0)] for S in curves], rtol=1e-5)
    if all(S(horizon) < 0.5 for S in curves):
        found = draws_of(zoo.predictions(tree, scale="median", groups="typical", by=True))
        halves = [[optimize.brentq(lambda t, S=S: S(t) - 0.5, 1e-9, horizon)] for S in curves]
        np.testing.assert_allclose(found, halves, rtol=2e-3)
    else:
        with pytest.raises(InputError, match="half of the rows still are free of the event at"):
            zoo.predictions(tree, scale="median", groups="typical", by=True)


def test_comparisons_of_survival_are_within_a_draw() -> None:
    tree = tree_of_row(WEIBULL.name)
    asked = {"scale": "survival", "times": [1.0, 3.0]}
    low, high = (draws_of(zoo.predictions(tree, at={"x": x}, by=True, **asked)) for x in (0, 1))
    found = zoo.comparisons(tree, "x", contrast=(0, 1), measures=["difference", "rmst"], horizon=2.0, **asked)
    means = [draws_of(zoo.predictions(tree, at={"x": x}, by=True, scale="rmst", times=[2.0])) for x in (0, 1)]
    expected = np.column_stack([high - low, means[1] - means[0]])
    np.testing.assert_allclose(draws_of(found), expected, rtol=1e-9, atol=1e-12)
    ratio = draws_of(zoo.comparisons(tree, "x", scale="linear", measures="hazard_ratio"))
    np.testing.assert_allclose(ratio[:, 0], np.exp(tree["posterior"]["beta"].values.ravel()), rtol=1e-9)


def test_what_a_time_has_not_is_told() -> None:
    tree = tree_of_row(WEIBULL.name)
    with pytest.raises(
        InputError, match="'t' is a time to an event; name what is asked of it, scale= survival, incidence, rmst, rmtl"
    ):
        zoo.predictions(tree)
    with pytest.raises(InputError, match="give times="):
        zoo.predictions(tree, scale="survival")
