"""Residuals of repeated measures on the page: their correlations as numbers, and whether the structure leaves any."""

from __future__ import annotations

import functools
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from checked_pictures import checked, words

import glmm_zoo as zoo
from glmm_zoo.report.catalogue import Catalogue
from glmm_zoo.results.about import About
from glmm_zoo.results.figures.residual_correlation import residual_correlation
from glmm_zoo.results.findings.residuals import residual_correlations
from glmm_zoo.results.fit_checks import fit_checks
from glmm_zoo.results.fit_checks.correlation import judged_correlation
from glmm_zoo.results.fit_checks.fit_check import PATTERN
from glmm_zoo.results.numbers import alone
from glmm_zoo.results.repeated_residuals import RepeatedResiduals, repeated_residuals

TIMES = np.array([1, 2, 4, 7])


@functools.cache
def measured(rho: float = 0.8, subjects: int = 150) -> pd.DataFrame:
    """Residuals with correlation rho^|j - k| over four visits, every ninth missed, in no order."""
    rng = np.random.default_rng(12)
    R = rho ** np.abs(np.subtract.outer(range(4), range(4)))
    e = rng.normal(size=(subjects, 4)) @ np.linalg.cholesky(R).T * [1.0, 1.0, 2.0, 3.0]
    d = pd.DataFrame({"id": np.repeat([f"s{k:03d}" for k in range(subjects)], 4), "week": np.tile(TIMES, subjects)})
    d = d.assign(visit=np.tile(range(4), subjects), y=10.0 + e.ravel())
    return d[np.arange(len(d)) % 9 != 4].sample(frac=1.0, random_state=1, ignore_index=True)


@functools.cache
def fitted(residual: str, time: str = "visit") -> xr.DataTree:
    model = zoo.hierarchical_linear(measured(), "y ~ 1", residual=residual, time=time, within="id")
    return zoo.fit(model, draws=150, tune=300, chains=2, seed=1)


def residuals(residual: str, time: str = "visit") -> RepeatedResiduals:
    found = repeated_residuals(fitted(residual, time))
    assert found is not None
    return found


def test_correlations_of_the_data_are_those_of_pandas():
    e = residuals("ar1h")
    wide = measured().pivot(index="id", columns="visit", values="y")
    seen = wide - wide.mean()
    by_hand = np.array([[(seen[i] * seen[j]).mean() for j in range(4)] for i in range(4)])
    both = np.array([[(seen[i][seen[j].notna()] ** 2).mean() for j in range(4)] for i in range(4)])
    np.testing.assert_allclose(e.between_visits(), by_hand / np.sqrt(both * both.T), atol=0.03)
    assert e.names == ("0", "1", "2", "3")


def test_normalised_residuals_are_white_where_the_structure_is_right_and_their_sums_of_squares_stay():
    right, wrong = residuals("ar1h").normalised(), residuals("compoundh").normalised()
    assert np.abs(right.by_lag(3)[0]).max() < 0.15
    assert right.by_lag(1)[0][0] < wrong.by_lag(1)[0][0] - 0.1
    e = residuals("ar1h")
    rows = np.flatnonzero(e.subject == e.subject[0])
    R = e.correlations[np.ix_(e.visit[rows], e.visit[rows])]
    quadratic = e.observed[rows] @ np.linalg.inv(R) @ e.observed[rows]
    np.testing.assert_allclose(np.sum(right.observed[rows] ** 2), quadratic)


@pytest.mark.parametrize(
    ("residual", "time", "state"),
    [("ar1h", "visit", "sound"), ("compoundh", "visit", "caution"), ("car1", "week", "caution")],
)
def test_the_check_finds_what_a_structure_leaves_out(residual, time, state):
    (found,) = [check for check in fit_checks(fitted(residual, time)) if check.name == "correlation"]
    assert found.state == state, found.sentences
    assert ("no more than chance" in found.sentences[0]) == (state == "sound")
    if state == "caution":
        assert (
            found.doubt == "correlation over time" and "Fit residual='unstructured' or 'toeplitz'" in found.sentences[1]
        )


@pytest.mark.parametrize(("p", "state"), [(PATTERN - 1e-6, "caution"), (PATTERN, "sound")])
def test_the_limit_of_the_check(p, state):
    drawn = np.random.default_rng(1).normal(0, 0.1, (100, 3))
    found = judged_correlation("y", "id", "toeplitz", np.array([0.0, 0.3, 0.1]), drawn, p)
    assert found.state == state and "2 rows apart correlate by 0.30" in found.sentences[0]
    assert state == "sound" or found.sentences[1] == "Fit residual='unstructured' and compare."


def test_a_matrix_without_structure_and_independent_residuals_are_not_judged():
    assert not [check for check in fit_checks(fitted("unstructured")) if check.name == "correlation"]


def test_many_visits_are_judged_by_their_times():
    rng = np.random.default_rng(3)
    d = pd.DataFrame(
        {"id": np.repeat(list("abcdefgh"), 25), "day": np.tile(np.arange(25), 8), "y": rng.normal(size=200)}
    )
    tree = zoo.fit(
        zoo.hierarchical_linear(d, "y ~ 1", residual="ar1", time="day", within="id"),
        draws=100,
        tune=200,
        chains=2,
        seed=1,
    )
    found = repeated_residuals(tree)
    assert found is not None
    rho = float(tree["posterior"]["rho"].mean())
    np.testing.assert_allclose(found.correlations[3, 20], rho**17, atol=1e-12)
    assert "residual_correlation" not in Catalogue(tree).entries


def test_the_page_shows_the_correlations(tmp_path):
    zoo.write_report(fitted("ar1h"), tmp_path / "fit.html")
    page = re.sub(r"\s+", " ", (tmp_path / "fit.html").read_text())
    assert "How visits go together" in page
    assert "Below the diagonal: correlations that the model has of the residuals" in page
    assert "Normalised residuals of one id" in page
    alt = re.search(r"Residual correlations by visit: ([^\"<]*)", page)
    assert alt and re.match(r"visit 0 and visit 1 0\.\d\d, of the data 0\.\d\d", alt[1])


@pytest.mark.parametrize(("residual", "time"), [("ar1h", "visit"), ("compoundh", "visit"), ("car1", "week")])
def test_the_picture_can_be_read_at_both_widths(residual, time):
    picture = residual_correlation(fitted(residual, time), About())
    model = np.median(residual_correlations(fitted(residual, time)), axis=(0, 1))
    for figure in checked(picture).values():
        told = words(figure)
        assert f"{model[2, 0]:.2f}" in told
        seen = residuals(residual, time).between_visits()[0, 3]
        assert f"{seen:.2f}" in told
    sigma = np.median(fitted(residual, time)["posterior"]["sigma"].values, axis=(0, 1))
    assert alone(float(np.ravel(sigma)[-1])) in told


def test_long_names_of_visits_stand_at_the_rows_and_numbers_above_the_columns():
    names = [f"visit after week {week}" for week in TIMES]
    d = measured().assign(when=lambda d: pd.Categorical([names[v] for v in d.visit], names, ordered=True))
    model = zoo.hierarchical_linear(d, "y ~ 1", residual="toeplitz", time="when", within="id")
    tree = zoo.fit(model, draws=50, tune=150, chains=2, seed=1)
    for figure in checked(residual_correlation(tree, About())).values():
        told = words(figure)
        assert {"1", "2", "3", "4", "2  visit after week 2"} <= set(told) and names[0] not in told
