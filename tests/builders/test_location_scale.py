"""Predictors of second parameters: the standard deviation of Gaussian responses, the discrimination of ordered categories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import row_models
from data_sets import data_set
from hand_made_trees import tree_of
from reference_posteriors import reference
from rows import ratings, visits
from scipy import stats
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.estimands.leave_one_out import left_out_levels


def pointwise(model, values) -> np.ndarray:
    """The log-likelihood of each row at values of the variables that PyMC draws, by name."""
    given = {model[name]: np.asarray(value, float) for name, value in values.items()}
    logp = model.logp(vars=model.observed_RVs, sum=False)
    point = {}
    for rv, value in given.items():
        transform = model.rvs_to_transforms[rv]
        point[model.rvs_to_values[rv].name] = (
            value if transform is None else transform.forward(value, *rv.owner.inputs).eval()
        )
    return np.concatenate(row_models.function(model, logp)(point))


def test_a_dispersion_that_is_the_same_in_every_row_is_sigma():
    d = visits()
    plain = zoo.hierarchical_linear(d, "y ~ x")
    at = {"Intercept_at_means": 2.5, "beta": [0.3]}
    modelled = zoo.hierarchical_linear(d, "y ~ x", dispersion="~ w")
    found = pointwise(modelled, {**at, "sigma_Intercept_at_means": np.log(1.7), "sigma_beta": [0.0]})
    np.testing.assert_allclose(found, pointwise(plain, {**at, "sigma": 1.7}), rtol=1e-12)
    assert "sigma" not in modelled.named_vars


KINDS = [
    ("cumulative", "logit"),
    ("cumulative", "probit"),
    ("cumulative", "cloglog"),
    ("sratio", "cloglog"),
    ("acat", "logit"),
]


@pytest.mark.parametrize(("family", "link"), KINDS)
def test_a_discrimination_without_effects_is_the_plain_model(family, link):
    d, kind = ratings(), {"family": family, "link": link}
    at = {"beta": [0.3], "cutpoints_at_means": [-1.0, 0.2, 1.1]}
    found = pointwise(zoo.ordinal(d, "rating ~ x", disc="~ w", **kind), {**at, "disc_beta": [0.0]})
    np.testing.assert_allclose(found, pointwise(zoo.ordinal(d, "rating ~ x", **kind), at), rtol=1e-12)


@pytest.mark.parametrize("law", [stats.logistic, stats.norm, stats.gumbel_l])
def test_a_discrimination_multiplies_the_distance_from_the_threshold_of_each_stage(law):
    """Thresholds of stages need not be in order."""
    link, c, d = (
        {"logistic": "logit", "norm": "probit", "gumbel_l": "cloglog"}[law.name],
        np.array([0.3, -0.9, 0.8]),
        ratings(),
    )
    model = zoo.ordinal(d, "rating ~ x", disc="~ 0 + w", family="sratio", link=link, center=False)
    found = pointwise(model, {"beta": [0.4], "cutpoints": c, "disc_beta": [0.7]})
    expected = []
    for y, eta, disc in zip(d.rating - 1, 0.4 * d.x, np.exp(0.7 * d.w), strict=True):
        past = sum(law.logsf(disc * (c[k] - eta)) for k in range(y))
        expected.append(past + (law.logcdf(disc * (c[y] - eta)) if y < 3 else 0.0))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("family", ["cumulative", "sratio", "acat"])
def test_of_two_categories_the_discrimination_stretches_the_logit(family):
    d = ratings().assign(rating=lambda d: (d.rating > 2).astype(int))
    model = zoo.ordinal(d, "rating ~ x", disc="~ 0 + w", family=family, center=False)
    eta = np.exp(0.7 * d.w) * (0.4 * d.x - 0.2)
    found = pointwise(model, {"beta": [0.4], "cutpoints": [0.2], "disc_beta": [0.7]})
    np.testing.assert_allclose(found, stats.bernoulli.logpmf(d.rating, expit(eta)), rtol=1e-9)


def test_correlated_residuals_have_the_standard_deviations_of_their_rows():
    d = visits().assign(t=lambda d: d.x + d.v)
    model = zoo.joint_outcomes(
        d, {"y ~ x": "gaussian", "t ~ 1": "gaussian"}, residual_correlation=True, dispersion={"y": "~ w", "t": "~ sex"}
    )
    at = {
        "y_Intercept_at_means": 2.0, "y_beta": [0.5], "t_Intercept": 1.0, "y_sigma_Intercept_at_means": 0.3, "y_sigma_beta": [0.4],
        "t_sigma_Intercept_at_means": -0.2, "t_sigma_beta": [0.9], "pcorr_residual": [0.675],
    }  # fmt: skip
    found = pointwise(model, at).reshape(2, -1).sum(axis=0)
    male = (d.sex == "m").to_numpy(float)
    s = np.exp([0.3 + 0.4 * (d.w - d.w.mean()), -0.2 + 0.9 * (male - male.mean())])
    r = np.array([d.y - 2.0 - 0.5 * (d.x - d.x.mean()), d.t - 1.0])
    for i in range(len(d)):
        S = np.outer(s[:, i], s[:, i]) * [[1, 0.35], [0.35, 1]]
        np.testing.assert_allclose(found[i], stats.multivariate_normal.logpdf(r[:, i], cov=S), rtol=1e-9)


def test_the_default_prior_of_the_standard_deviation_has_no_unit():
    for unit in (1.0, 1000.0):
        d = visits().assign(y=lambda d, unit=unit: unit * d.y)
        priors = zoo.hierarchical_linear(d, "y ~ x", dispersion="~ w + (1 | g)").spec["priors"]
        assert priors["sigma_Intercept"] == f"StudentT(3, {np.log(np.std(d.y)):.4g}, 2.5)"
        assert priors["sigma_sd_g"] == "Exponential(1)"


@pytest.mark.parametrize("builder", ["hierarchical_linear", "gamm"])
def test_curves_and_groups_of_the_standard_deviation(builder):
    model = row_models.builder(builder)(visits(), "y ~ x + (1 | g)", dispersion="~ s(w, k=5) + (1 + x | h)")
    assert {"sigma_s_w_sd", "sigma_sd_h", "sigma_corr_h"} <= set(model.named_vars)


def test_a_label_correlates_location_and_scale_of_a_marker_too():
    d = visits()
    model = zoo.joint_outcomes(
        d, {"y ~ x + (1 |p| g)": "gaussian", "ill ~ x + (1 |p| g)": "bernoulli"}, dispersion={"y": "~ (1 |p| g)"}
    )
    assert model.coords["g_effect"] == ("y:Intercept", "y_sigma:Intercept", "ill:Intercept")


REFUSED = {
    "nothing in disc": ("ordinal", {"disc": "~ 1"}, "names nothing: the cutpoints stand for its intercept"),
    "disc and nominal of another family": ("ordinal", {"disc": "~ w", "nominal": "~ x", "family": "acat"}, "nominal belongs to family 'cumulative', not 'acat'"),
    "disc and nominal": ("ordinal", {"disc": "~ x", "nominal": "~ x"}, "nominal and disc both have 'x'.*leave it out of one"),
    "the response": ("ordinal", {"disc": "~ rating"}, "disc: the response 'rating' is also used as a predictor"),
    "an unknown column": ("ordinal", {"disc": "~ absent"}, "absent"),
    "gamm": ("gamm", {"disc": "~ w"}, r"disc= is for families ordinal, not for 'gaussian'"),
    "sigma itself": ("hierarchical_linear", {"dispersion": "~ w", "priors": {"sigma": "Exponential(1)"}}, "unknown parameter 'sigma'; did you mean"),
    "a missing value": ("hierarchical_linear", {"dispersion": "~ gap"}, r"'gap'.*row 3"),
    "a group for each row": ("hierarchical_linear", {"dispersion": "~ (1 | each)"}, "'each' has 72 levels for 72 rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be(case):
    builder, options, words = REFUSED[case]
    d = ratings().assign(gap=lambda d: d.w.mask(d.index == 2), each=[f"r{i}" for i in range(72)])
    with pytest.raises(InputError, match=words):
        row_models.builder(builder)(d, "rating ~ x" if builder == "ordinal" else "y ~ x", **options)


def test_another_outcome_has_no_dispersion():
    formulas = {"y ~ x + (1 |p| g)": "gaussian", "ill ~ x + (1 |p| g)": "bernoulli"}
    with pytest.raises(InputError, match="dispersion: family 'bernoulli' of 'ill' has none"):
        zoo.joint_outcomes(visits(), formulas, dispersion={"ill": "~ x"})


def test_zero_of_a_covariate_of_disc_lies_among_its_values():
    d = ratings().assign(age=lambda d: 50 + 3 * d.w)
    with pytest.warns(ZooWarning, match=r"disc: age goes from .* I\(age - 49\.\d+\) in disc="):
        zoo.ordinal(d, "rating ~ x", disc="~ age")


def test_the_likelihood_at_the_maximum_of_clm_is_its_own():
    d = data_set("ordinal_soup.csv")
    for link, at in reference("soup_scale_maximum")["parameters"].items():
        model = zoo.ordinal(d, "sureness ~ test", disc="~ test", link=link, center=False)
        found = pointwise(model, {"cutpoints": at["cutpoints"], "beta": [at["beta"]], "disc_beta": [-at["zeta"]]})
        np.testing.assert_allclose(found.sum(), at["log_likelihood"], rtol=1e-9, err_msg=link)


def test_the_likelihood_at_the_maximum_of_lme_is_its_own():
    d = data_set("nlme_Orthodont.csv")
    at = {name: value["estimate"] for name, value in reference("orthodont_varident_maximum")["parameters"].items()}
    model = zoo.hierarchical_linear(d, "distance ~ I(age - 11) + female + (1 | subject)", dispersion="~ female")
    tree = tree_of(
        model,
        {
            "Intercept": [[at["Intercept"]]], "beta": [[[at["beta_age"], at["beta_female"]]]], "sd_subject": [[[at["sd_subject"]]]],
            "sigma_Intercept": [[at["log_sigma_male"]]], "sigma_beta": [[[at["log_sigma_female"] - at["log_sigma_male"]]]],
        },
    )  # fmt: skip
    of_subjects = left_out_levels(tree, "subject").likelihood().values
    np.testing.assert_allclose(of_subjects.sum(), reference("orthodont_varident_maximum")["log_likelihood"], rtol=1e-9)


def frame(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, t = np.arange(rows) % 30, rng.integers(0, 2, rows)
    u = rng.multivariate_normal([0, 0], [[0.5, 0.15], [0.15, 0.1]], 30)
    scale = np.exp(0.5 * t + u[g, 1])
    return pd.DataFrame(
        {
            "y": 40 + 8 * (u[g, 0] + scale * rng.normal(size=rows)), "t": t, "g": [f"g{i:02d}" for i in g],
            "rating": np.searchsorted([-1.2, 0.0, 1.2], u[g, 0] + t + rng.logistic(size=rows) * scale) + 1,
        }
    )  # fmt: skip


@pytest.mark.slow
def test_the_truth_is_found():
    d = frame(1800, 3)
    linear = zoo.fit(
        zoo.hierarchical_linear(d, "y ~ t + (1 |p| g)", dispersion="~ t + (1 |p| g)"),
        draws=500,
        tune=500,
        chains=2,
        seed=1,
    )
    ordinal = zoo.fit(
        zoo.ordinal(d, "rating ~ t + (1 |p| g)", disc="~ t + (1 |p| g)"), draws=500, tune=500, chains=2, seed=1
    )
    for tree, name, truth in ((linear, "sigma_beta[t]", 0.5), (linear, "sd_g[sigma:Intercept]", 0.316), (linear, "corr_g[Intercept, sigma:Intercept]", 0.67),
                              (ordinal, "disc_beta[t]", -0.5), (ordinal, "sd_g[disc:Intercept]", 0.316)):  # fmt: skip
        row = zoo.summary(tree, prob=0.99).loc[name]
        assert row["lower"] < truth < row["upper"], name
        assert int(tree["sample_stats"].dataset["diverging"].sum()) == 0
