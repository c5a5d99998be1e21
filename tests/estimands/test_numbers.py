"""Maximum-likelihood values of lme4 fed in as one draw give the numbers of an independent integration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of, tree_of_prior
from scipy import integrate, special, stats

import glmm_zoo as zoo

pytestmark = pytest.mark.promise("risks")

MODELS = Path(__file__).parents[2] / "models"
B0, B_TERB, B_TIME, B_BOTH, SD = -1.618327, -0.1607798, -0.3910029, -0.1367905, 4.006647


@pytest.fixture(scope="module")
def toenail() -> xr.DataTree:
    """glmer(outcome ~ treatment * time + (1 | patientID), binomial, nAGQ = 50)"""
    data = pd.read_csv(MODELS / "longitudinal_logistic" / "data.csv")
    model = zoo.hierarchical_logistic(
        data, "outcome ~ treatment * time + (1 | patientID)", success="moderate or severe"
    )
    b = {"treatment[terbinafine]": B_TERB, "time": B_TIME, "treatment[terbinafine]:time": B_BOTH}
    beta = [b[label] for label in model.coords["coef"]]
    return tree_of(model, {"Intercept": B0, "beta": beta, "sd_patientID": [SD]})


@pytest.fixture(scope="module")
def epil() -> xr.DataTree:
    """glmer(y ~ lbase * trt + lage + V4 + (1 | subject), poisson, nAGQ = 25)"""
    data = pd.read_csv(MODELS / "seizures" / "data.csv")
    model = zoo.poisson(data, "y ~ lbase * trt + lage + V4 + (1 | subject)")
    b = {"lbase": 0.8844, "trt[progabide]": -0.3369, "lage": 0.4807, "V4": -0.1610, "lbase:trt[progabide]": 0.3387}
    return tree_of(model, {"Intercept": 1.8327, "beta": [b[x] for x in model.coords["coef"]], "sd_subject": [0.502386]})


def means(estimates: zoo.Estimates, **where: object) -> np.ndarray:
    table = estimates.table
    for name, value in where.items():
        table = table[table[name] == value]
    return table["mean"].to_numpy()


def risk(eta: float) -> float:
    """E inverse logit(eta + SD z) by adaptive quadrature."""
    return integrate.quad(lambda z: special.expit(eta + SD * z) * stats.norm.pdf(z), -12, 12, epsabs=1e-13, limit=500)[
        0
    ]


def test_risks_of_a_population_of_patients(toenail: xr.DataTree) -> None:
    arms = ["itraconazole", "terbinafine"]
    risks = zoo.predictions(toenail, at={"treatment": arms, "time": [0, 3, 12]}, by=True)
    effects = zoo.comparisons(toenail, "treatment", at={"time": [0, 3, 12]})
    published = {0: (0.3559422, 0.3423741), 3: (0.2621176, 0.2215539), 12: (0.0753897, 0.0325935)}
    for month, of_lme4 in published.items():
        a, b = risk(B0 + B_TIME * month), risk(B0 + B_TERB + (B_TIME + B_BOTH) * month)
        found = np.concatenate([means(risks, treatment=arm, time=month) for arm in arms])
        np.testing.assert_allclose(found, [a, b], rtol=1e-8)
        np.testing.assert_allclose(found, of_lme4, atol=1e-5)
        for measure, value in (("difference", b - a), ("ratio", b / a), ("odds_ratio", b / (1 - b) / (a / (1 - a)))):
            np.testing.assert_allclose(means(effects, time=month, measure=measure), value, rtol=1e-7)
        np.testing.assert_allclose(means(effects, time=month, measure="nnt"), 1 / (a - b), rtol=1e-7)


def test_average_over_the_rows_and_a_typical_patient(toenail: xr.DataTree) -> None:
    risks = zoo.predictions(toenail, at={"treatment": ["itraconazole", "terbinafine"]}, by=True)
    np.testing.assert_allclose(means(risks), [0.2322265, 0.1960153], atol=1e-5)
    np.testing.assert_allclose(
        means(zoo.comparisons(toenail, "treatment", measures="difference")), -0.0362112, atol=1e-5
    )
    typical = zoo.comparisons(toenail, "treatment", measures="difference", groups="typical")
    np.testing.assert_allclose(means(typical), -0.0170572, atol=1e-5)


def test_a_ratio_of_means_under_a_log_link_does_not_depend_on_the_sd(epil: xr.DataTree) -> None:
    typical, population = (
        zoo.predictions(epil, at={"trt": ["placebo", "progabide"]}, by=True, groups=g)
        for g in ("typical", "population")
    )
    np.testing.assert_allclose(means(population) / means(typical), np.exp(0.502386**2 / 2), rtol=1e-12)
    np.testing.assert_allclose(means(population), [8.459803, 7.376391], rtol=3e-3)  # the coefficients have four digits
    ratios = [means(zoo.comparisons(epil, "trt", groups=g), measure="ratio") for g in ("typical", "population")]
    np.testing.assert_allclose(*ratios, rtol=1e-12)


def test_new_rows_need_no_column_that_is_set_on_both_sides(toenail: xr.DataTree) -> None:
    months = pd.DataFrame({"time": [0.0, 3.0, 12.0]})
    found = zoo.comparisons(toenail, "treatment", months, measures="difference")
    at = zoo.comparisons(toenail, "treatment", at={"time": [0, 3, 12]}, measures="difference")
    np.testing.assert_allclose(means(found), means(at).mean(), rtol=1e-12)
    with pytest.raises(zoo.InputError, match="lack column 'time'"):
        zoo.comparisons(toenail, "time", pd.DataFrame({"treatment": ["terbinafine"]}))


@pytest.mark.parametrize("curve", ["s(x, k=4)", "cr(x, df=3)", "cs(x, df=3)"])
def test_a_curve_beyond_the_data_is_told_once(curve: str) -> None:
    frame = pd.DataFrame({"y": np.arange(40) % 7 * 1.0, "x": np.linspace(0, 10, 40)})
    tree = tree_of_prior(zoo.lmm(frame, f"y ~ {curve}"))
    zoo.predictions(tree, pd.DataFrame({"x": [0.0, 10.0]}))
    for arguments in ({"data": pd.DataFrame({"x": [5.0, 10.5, 11.0]})}, {"at": {"x": [5, 10.5, 11]}, "by": True}):
        with pytest.warns(zoo.ZooWarning, match=r"x = 10.5.* goes beyond the data of the fit, 0 to 10: c?[rs]") as told:
            zoo.predictions(tree, **arguments)
        assert len(told) == 1
