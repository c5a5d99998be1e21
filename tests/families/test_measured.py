"""Gamma, lognormal and Student-t responses: densities, limits, draws, means, and what is told of them."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from reference_posteriors import reference
from rows import patients, visits
from scipy import integrate, stats
from scipy.special import gamma, gammaln

import glmm_zoo as zoo
from glmm_zoo.families.registry import FAMILIES

ETA = np.linspace(-6, 6, 7)[:, None]
Y = np.array([1e-4, 0.3, 1.0, 7.5, 2e3])
SIZES = np.geomspace(1e-2, 1e6, 17)  # of shapes and degrees of freedom, across the seam at 1000


def log_density(name: str, y: np.ndarray, eta: np.ndarray, **own: float) -> np.ndarray:
    given = {key: np.array([[value]]) for key, value in own.items()}
    return FAMILIES[name].log_density(y, eta, given, FAMILIES[name].links[0], None)


# ------------------------------------------------------------------------------------------------- densities and limits


@pytest.mark.parametrize("shape", SIZES)
def test_gamma_density(shape: float) -> None:
    expected = stats.gamma.logpdf(Y, shape, scale=np.exp(ETA) / shape)
    np.testing.assert_allclose(log_density("gamma", Y, ETA, shape=np.log(shape)), expected, rtol=1e-9, atol=1e-7)


def test_gamma_of_shape_one_is_exponential() -> None:
    np.testing.assert_allclose(
        log_density("gamma", Y, ETA, shape=0.0), stats.expon.logpdf(Y, scale=np.exp(ETA)), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("shape", [0.2, 1.0, 9.0])
def test_weibull_density(shape: float) -> None:
    law = stats.weibull_min(shape, scale=np.exp(ETA) / gamma(1 + 1 / shape))
    found = log_density("weibull", Y, ETA, shape=np.log(shape))
    np.testing.assert_allclose(found, law.logpdf(Y), rtol=1e-10, atol=1e-10)
    if shape == 1:
        np.testing.assert_allclose(found, log_density("gamma", Y, ETA, shape=0.0), rtol=1e-12, atol=1e-12)


def test_weibull_times_have_the_maximum_of_survreg() -> None:
    """Its intercept is that of log scale, its scale 1 / k."""
    record = reference("pbc_weibull_maximum")
    estimate = {name: p["estimate"] for name, p in record["parameters"].items()}
    d = pd.read_csv(Path(__file__).parents[1] / "data" / record["data"])
    d = d.assign(alive=d.death == 0)
    model, k = zoo.weibull(d, "futimeYears | cens(alive) ~ age + trt", center=False), 1 / estimate["scale"]
    run = row_models.function(model, [model.logp(vars=model.observed_RVs, jacobian=False)])
    names = [model.rvs_to_values[model[name]].name for name in ("Intercept", "beta", "shape")]
    beta = np.array([estimate["Intercept"] + gammaln(1 + 1 / k), estimate["age"], estimate["trt"]])

    def log_likelihood(step: np.ndarray) -> float:
        at = dict(zip(names, (beta[0] + step[0], beta[1:] + step[1:3], np.log(k) + step[3]), strict=True))
        return float(run({**model.initial_point(), **at})[0])

    assert log_likelihood(np.zeros(4)) == pytest.approx(record["log_likelihood"], rel=1e-9)
    for step in np.diag([1e-3, 1e-5, 1e-3, 1e-3]):
        here, there = log_likelihood(step), log_likelihood(-step)
        assert abs(here - there) < 1e-3 * abs(here + there - 2 * record["log_likelihood"])


@pytest.mark.parametrize("sigma", [0.05, 1.0, 4.0])
def test_lognormal_density_is_the_normal_one_of_the_logarithm(sigma: float) -> None:
    expected = stats.norm.logpdf(np.log(Y), ETA, sigma) - np.log(Y)
    np.testing.assert_allclose(log_density("lognormal", Y, ETA, sigma=np.log(sigma)), expected, rtol=1e-10)


@pytest.mark.parametrize("nu", SIZES)
def test_student_density(nu: float) -> None:
    expected = stats.t.logpdf(Y, nu, ETA, 0.7)
    found = log_density("student_t", Y, ETA, sigma=np.log(0.7), nu=nu)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


def test_student_of_many_degrees_of_freedom_is_gaussian() -> None:
    y = np.linspace(-3, 3, 7)
    own = {"sigma": np.log(1.3)}
    np.testing.assert_allclose(
        log_density("student_t", y, ETA / 6, nu=1e9, **own), stats.norm.logpdf(y, ETA / 6, 1.3), rtol=1e-7
    )


@pytest.mark.parametrize(
    ("name", "own", "of"),
    [
        ("gamma", {"shape": 2.5}, lambda mu: stats.gamma(2.5, scale=mu / 2.5)),
        ("weibull", {"shape": 2.5}, lambda mu: stats.weibull_min(2.5, scale=mu / gamma(1.4))),
        ("lognormal", {"sigma": 0.6}, lambda m: stats.lognorm(0.6, scale=m)),
        ("student_t", {"sigma": 0.8, "nu": 5.0}, lambda m: stats.t(5, np.log(m), 0.8)),
    ],
)
def test_moments_and_draws_are_those_of_the_distribution(name: str, own: dict[str, float], of) -> None:
    family, eta, given = FAMILIES[name], np.full((40_000, 1), 0.7), {k: np.array(v) for k, v in own.items()}
    expected = of(np.exp(0.7))
    assert family.draw is not None
    mean, variance = family.moments(eta[:1], given, family.links[0])
    np.testing.assert_allclose([mean.item(), variance.item()], expected.stats(), rtol=1e-12)
    drawn = family.draw(np.random.default_rng(1), eta, given, family.links[0])
    assert stats.kstest(drawn.ravel(), expected.cdf).pvalue > 0.001


def test_a_student_outcome_of_two_degrees_of_freedom_or_fewer_has_no_variance() -> None:
    own = {"sigma": np.ones(3), "nu": np.array([1.0, 2.0, 4.0])}
    assert FAMILIES["student_t"].moments(np.zeros(3), own, "identity")[1].tolist() == [np.inf, np.inf, 2.0]


# ------------------------------------------------------------------------------------------------------------ refusals

ZEROS = visits().assign(days=lambda d: d.days.mask(d.index < 2, 0.0))
BELOW = visits().assign(days=lambda d: d.days.mask(d.index == 4, -2.0))


@pytest.mark.parametrize(
    ("builder", "frame", "formula", "options", "words"),
    [
        ("gamma", ZEROS, "days ~ x", {}, r"'days' needs numbers > 0; 2 values not \(0, rows 1, 2\), zeros; there is no hurdle"),
        ("lognormal", BELOW, "days ~ x", {}, r"'days' needs numbers > 0; 1 value not \(-2, row 5\), values below 0; hierarchical_linear"),
        ("gamma", visits(), "log(days) - 9 ~ x", {}, r"needs numbers > 0; 72 values not"),
        ("gamma", visits().assign(days=2.0), "days ~ x", {}, "single value"),
        ("gamma", visits(), "k | trials(n) ~ x", {}, r"trials\(\) belongs to a binomial response; a gamma one"),
        ("lognormal", visits(), "days ~ x", {"dispersion": "~ x + (1 | h)"}, "sigma of a lognormal outcome takes no group effects.*'h'"),
        ("student_t", visits(), "y ~ x", {"priors": {"shape": "Gamma(1, 1)"}}, "shape"),
    ],
)  # fmt: skip
def test_refusals(builder: str, frame: pd.DataFrame, formula: str, options: dict, words: str) -> None:
    with pytest.raises(zoo.InputError, match=words):
        getattr(zoo, builder)(frame, formula, **options)


def test_exposure_is_not_offered() -> None:
    with pytest.raises(zoo.InputError, match="exposure= is for families"):
        zoo.gamm(visits(), "days ~ x", family="gamma", exposure="c")


# -------------------------------------------------------------------------------------------------------------- fits


@functools.cache
def fit_of(name: str) -> xr.DataTree:
    model = {
        "gamma": lambda: zoo.gamma(visits(), "days ~ sex + (1 | g)", dispersion="~ w + (1 | h)"),
        "lognormal": lambda: zoo.lognormal(visits(), "days ~ sex + (1 | g)"),
        "student": lambda: zoo.student_t(visits(), "y ~ sex + (1 | g)", dispersion="~ w + (1 | g)"),
    }[name]()
    return zoo.fit(model, draws=40, tune=100, chains=2, thin=1, seed=1, progress=False)


def test_the_mean_of_a_lognormal_outcome_is_that_of_its_distribution() -> None:
    """exp(eta + sd^2 / 2 + sigma^2 / 2), by quadrature over the sum of both normal variables."""
    tree = fit_of("lognormal")
    p = tree["posterior"].dataset.stack(draw_=("chain", "draw"))
    variance = p["sd_g"].values[0] ** 2 + p["sigma"].values ** 2
    estimates = zoo.predictions(tree, at={"sex": "f"}, by=True)
    expected = [
        integrate.quad(lambda z, a=a, v=v: np.exp(a + np.sqrt(v) * z) * stats.norm.pdf(z), -12, 12 + np.sqrt(v))[0]
        for a, v in zip(p["Intercept"].values, variance, strict=True)
    ]
    np.testing.assert_allclose(np.sort(estimates.draws["value"].values.ravel()), np.sort(expected), rtol=1e-6)


def test_ratios_are_of_means() -> None:
    tree = fit_of("gamma")
    names = zoo.summary(tree).index
    assert {"ratio_of_means[sex[m]]", "median_ratio_of_means[g]", "shape_ratio[w]"} <= set(names)
    assert not any("rate_ratio" in name for name in names)
    compared = zoo.comparisons(tree, "sex")
    assert compared.table["measure"].tolist() == ["difference", "ratio"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gamma", ("has a gamma distribution with mean μ and variance μ²/φ", "ratio of means", "Bayesian gamma mixed model")),
        ("lognormal", ("has a lognormal distribution with median m", "log of m, the median of days", "ratio of means")),
        ("student", ("Student-t distribution of ν degrees of freedom and scale σ", "degrees of freedom", "mean y")),
    ],
)  # fmt: skip
def test_the_page_speaks_of_means(name: str, words: tuple[str, ...], tmp_path) -> None:
    zoo.write_report(fit_of(name), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert all(word in page for word in words), [word for word in words if word not in page]
    assert "rate ratio" not in page.lower() and "mean count" not in page


def test_a_file_has_the_model(tmp_path) -> None:
    zoo.save(fit_of("student"), tmp_path / "f.nc")
    tree = zoo.load(tmp_path / "f.nc")
    assert zoo.model_of(tree).spec["family"] == "student_t"
    assert zoo.posterior_predictive(tree, seed=1)["y"].notnull().all() if hasattr(zoo, "posterior_predictive") else True
    assert np.isfinite(zoo.predictions(tree, scale="response").table["mean"]).all()


# ------------------------------------------------------------------------------------------- with other structures


def test_families_of_smooths_and_of_several_outcomes() -> None:
    smooth = zoo.gamm(visits(), "days ~ s(x, k=5) + (1 | g)", family="lognormal")
    joint = zoo.joint_outcomes(
        visits(), ["days ~ x + (1 |p| g)", "y ~ x + (1 |p| g)"], families="gamma, student", dispersion={"days": "~ w"}
    )
    assert smooth.spec["builder"] == "lognormal" and "sigma" in smooth.named_vars
    assert {"days_shape_Intercept", "days_shape_beta", "y_sigma", "y_nu"} <= set(joint.named_vars)


def test_means_over_groups_that_differ_in_a_weibull_shape_are_those_of_the_predictor() -> None:
    """exp(eta + sd^2 / 2), whatever the shapes."""
    model = zoo.weibull(visits(), "days ~ sex + (1 |p| g)", dispersion="~ w + (1 |p| g)")
    tree = zoo.fit(model, draws=40, tune=100, chains=2, thin=1, seed=1, progress=False)
    p = tree["posterior"].dataset.stack(draw_=("chain", "draw"))
    expected = np.exp(p["Intercept"].values + 0.5 * p["sd_g"].sel(g_effect="Intercept").values ** 2)
    found = zoo.predictions(tree, at={"sex": "f"}, by=True).draws["value"].values
    np.testing.assert_allclose(np.sort(found.ravel()), np.sort(expected), rtol=1e-6)


def test_shapes_of_weibull_times_may_follow_covariates() -> None:
    formulas = {"days ~ x": "weibull", "y ~ 1": "gaussian"}
    model = zoo.joint_outcomes(visits(), formulas, dispersion={"days": "~ w"}, center=False)
    names = ("days_Intercept", "days_beta", "days_shape_Intercept", "days_shape_beta")
    values = model.replace_rvs_by_values([model[name] for name in names])
    run = row_models.function(model, [*values, *model.logp(vars=[model["days"]], sum=False)])
    a, b, c, e, found = run(row_models.random_point(model, 2, 0.3))
    d = visits()
    k = np.exp(c + e[0] * d.w.to_numpy())
    law = stats.weibull_min(k, scale=np.exp(a + b[0] * d.x.to_numpy()) / gamma(1 + 1 / k))
    np.testing.assert_allclose(found, law.logpdf(d.days), rtol=1e-10)


def test_a_marker_of_a_joint_model() -> None:
    visited = patients().assign(pos=lambda d: np.exp(d.y / 2))
    subjects = visited.groupby("id", as_index=False).first()[["id", "years", "death", "drug"]]
    asked = {"event": "Surv(years, death) ~ drug"}
    for family in ("gamma", "weibull"):
        model = zoo.joint_survival(visited, subjects, "pos ~ time + (1 | id)", families=family, **asked)
        assert (
            np.isfinite(model.compile_logp(mode="FAST_COMPILE")(model.initial_point())) and "shape" in model.named_vars
        )
    with pytest.raises(zoo.InputError, match="family 'lognormal' has no one mean that follows its predictor"):
        zoo.joint_survival(
            visited, subjects, "pos ~ time + (1 | id)", families="lognormal", association="value(mean)", **asked
        )
