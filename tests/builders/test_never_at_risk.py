"""Never at risk: limits, the sum over the latent trait by brute force, stability, bad inputs, and what the report says."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import row_models
from data_sets import data_set
from rows import ALL_ZERO, followed
from scipy import stats
from scipy.special import expit, log_expit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.results.findings import findings
from glmm_zoo.results.storage import metadata

logging.getLogger("pymc").setLevel(logging.ERROR)
never_at_risk = row_models.builder("never_at_risk")
POISSON = "c ~ x + (1 | id)"


def log_likelihood(model, point) -> np.ndarray:
    """Pointwise, at the values of `point` and 0 for the others."""
    start = {name: np.zeros(np.shape(value)) for name, value in model.initial_point().items()} | point
    return row_models.function(model, model.logp(vars=model.observed_RVs, sum=False))(start)[0]


# -------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("family", "plain", "formula"),
    [
        ("poisson", "poisson", POISSON),
        ("negative_binomial", "negative_binomial", POISSON),
        ("bernoulli", "hierarchical_logistic", "ill ~ x + (1 | id)"),
    ],
)
@pytest.mark.promise("limits")
def test_without_anyone_never_at_risk_it_is_the_plain_model(family, plain, formula):
    mixture = never_at_risk(followed(), formula, never="~ 1", family=family)
    model = row_models.builder(plain)(followed(), formula)
    point = row_models.random_point(model, 4)
    with_trait = log_likelihood(mixture, {**point, "never_Intercept": np.array(-2000.0)})
    assert with_trait.shape == (12,)
    np.testing.assert_allclose(with_trait.sum(), log_likelihood(model, point).sum(), rtol=1e-12)


@pytest.mark.promise("limits")
def test_one_visit_of_each_subject_is_zero_inflated():
    frame = followed().assign(id=lambda d: np.arange(len(d)))
    with pytest.warns(ZooWarning, match="one row: this is the zero-inflated model"):
        mixture = never_at_risk(frame, "c ~ x + (1 | h)", never="~ w", exposure="days")
    inflated = row_models.builder("zero_inflated_poisson")(frame, "c ~ x + (1 | h)", zi="~ w", exposure="days")
    point = row_models.random_point(inflated, 2)
    renamed = {name.replace("zi_", "never_"): value for name, value in point.items()}
    np.testing.assert_allclose(log_likelihood(mixture, renamed), log_likelihood(inflated, point), rtol=1e-12)


def test_trials_are_as_many_rows_of_one_trial():
    one = pd.DataFrame({"id": np.repeat(np.arange(6), 4), "y": [0, 0, 0, 0] * 3 + [0, 1, 0, 1] * 3, "w": 0.5})
    one["w"] = one["id"] % 4 * 0.3
    many = one.groupby("id", as_index=False).agg(y=("y", "sum"), n=("y", "size"), w=("w", "first"))
    options = {"never": "~ w", "family": "bernoulli"}
    with pytest.warns(ZooWarning, match="one row"):
        summed = never_at_risk(many, "y | trials(n) ~ 1", **options)
    single = never_at_risk(one, "y ~ 1", **options)
    point = row_models.random_point(single, 3)
    difference = log_likelihood(summed, point) - log_likelihood(single, point)
    np.testing.assert_allclose(difference, np.log([1, 1, 1, 6, 6, 6]), atol=1e-12)


# ----------------------------------------------------------------------------------------------------- the latent trait


def test_the_likelihood_is_the_sum_over_all_traits():
    """Sum over the 2^5 ways in which five subjects can have the trait of P(trait) P(y | trait)."""
    frame = pd.DataFrame({"id": list("badbceadcb"), "y": [0, 0, 2, 0, 0, 0, 0, 1, 0, 3], "x": np.linspace(-1, 1, 10)})
    frame["w"] = frame["id"].map(dict(zip("abcde", (0.2, -1.0, 0.7, 0.9, 1.4), strict=True)))
    model = never_at_risk(frame, "y ~ x", never="~ w", center=False)
    point = {"Intercept": 0.3, "beta": np.array([0.8]), "never_Intercept": -0.4, "never_beta": np.array([1.1])}
    f = stats.poisson.pmf(frame["y"], np.exp(0.3 + 0.8 * frame["x"]))
    pi = expit(-0.4 + 1.1 * frame.groupby("id")["w"].first())
    total = 0.0
    for trait in itertools.product([True, False], repeat=5):
        has = dict(zip("abcde", trait, strict=True))
        chance = np.prod([pi[i] if has[i] else 1 - pi[i] for i in has])
        rows = np.where(frame["id"].map(has), frame["y"] == 0, f)
        total += chance * rows.prod()
    np.testing.assert_allclose(log_likelihood(model, point).sum(), np.log(total), rtol=1e-13)


@pytest.mark.parametrize("logit", [-1e4, -750.0, -30.0, -1.0, 0.0, 30.0, 750.0])
def test_long_follow_up_and_extreme_shares_lose_nothing(logit):
    """500 rows of zeros with e^-S = e^10000, beside a subject at risk: density, and its gradient as JAX computes it."""
    frame = pd.DataFrame({"id": np.repeat(["a", "b"], 500), "y": np.repeat([0, 20], 500), "days": 20.0})
    model = never_at_risk(frame, "y ~ 1", never="~ 1", exposure="days")
    point = {"Intercept": np.array(0.0), "never_Intercept": np.array(logit)}
    S = np.array([-1e4, stats.poisson.logpmf(20, 20.0) * 500])
    expected = [np.logaddexp(log_expit(logit), log_expit(-logit) + S[0]), log_expit(-logit) + S[1]]
    np.testing.assert_allclose(log_likelihood(model, point), expected, rtol=1e-12, atol=1e-12)
    (gradient,) = row_models.function(model, [model.dlogp()])(point)
    assert np.isfinite(gradient).all()
    _, sampled = compile_model(model).value_and_gradient(np.array([0.0, logit]))
    np.testing.assert_allclose(sampled, gradient, rtol=1e-9)


def test_probability_of_the_trait_is_bayes_rule():
    frame = followed()
    model = never_at_risk(frame, POISSON, never="~ w", exposure="days", center=False)
    point = row_models.random_point(model, 8)
    names = ["never_probability", "never_all_zero", "never_share", "u_id", "sd_id"]
    q, expected, share, u, _ = row_models.function(model, model.replace_rvs_by_values([model[n] for n in names]))(point)
    by_id = dict(zip(sorted(set(frame["id"])), u[:, 0], strict=True))
    mu = frame["days"] * np.exp(point["Intercept"] + point["beta"][0] * frame["x"] + frame["id"].map(by_id))
    none = np.exp(-mu.groupby(frame["id"]).sum())
    pi = expit(point["never_Intercept"] + point["never_beta"][0] * frame.groupby("id")["w"].first())
    assert tuple(model.coords["never_subject"]) == ALL_ZERO
    np.testing.assert_allclose(q, (pi / (pi + (1 - pi) * none))[list(ALL_ZERO)], rtol=1e-9)
    np.testing.assert_allclose([expected, share], [none.sum(), pi.mean()], rtol=1e-9)


def test_a_simulated_subject_is_never_at_risk_in_all_its_rows():
    frame = followed().assign(days=1e4)
    model = never_at_risk(frame, "c ~ 1", exposure="days", priors={"Intercept": "Normal(0, 0.1)"})
    y = pm.draw(model["c"], draws=200, random_seed=1)
    zeros = pd.DataFrame((y == 0).T).groupby(frame["id"].to_numpy()).mean()
    assert set(np.unique(zeros)) == {0.0, 1.0}  # all rows or none, since the rate is far from zero
    assert 0.4 < zeros.to_numpy().mean() < 0.6  # never ~ Uniform(0, 1)


def test_the_trait_may_vary_between_groups_of_subjects():
    frame = followed().assign(site=lambda d: d["id"].map({f"s{k:02d}": f"p{k % 6}" for k in range(1, 13)}))
    model = never_at_risk(frame, "c ~ x + (1 | site)", never="~ w + (1 | site)")
    assert {"sd_site", "never_sd_site"} <= {rv.name for rv in model.free_RVs}
    assert np.isfinite(row_models.function(model, [model.logp()])(row_models.random_point(model, 1))[0])


# ----------------------------------------------------------------------------------------------------------- bad inputs


@pytest.mark.parametrize(
    ("formula", "options", "words"),
    [
        ("c ~ x", {"subject": "person"}, "subject='person' is no column of the data; say which column"),
        ("c ~ x", {"never": "~ x"}, r"column 'x' varies within subject 's03' \(.*, .*; rows \d+, \d+\); never= takes"),
        ("c ~ x", {"never": "~ w:days"}, "column 'days' varies within subject"),
        ("c ~ x + (1 |p| h)", {"never": "~ (1 |p| h)"}, "cannot share the label 'p'"),
        ("c ~ x", {"never": "~ (1 | id)"}, "'id' has 12 levels for 12 rows, one row each"),
        ("c ~ x", {"never": "~ 0 + nothing"}, "no column 'nothing'"),
        ("c ~ x", {"never": "c ~ w"}, "never: .*right side"),
        ("c ~ x", {"family": "binomial"}, "unknown family 'binomial'; .*bernoulli"),
        ("ill ~ x", {"family": "bernoulli", "exposure": "days"}, "exposure='days' belongs to counts"),
        ("c ~ x", {"success": 1}, "success=1 names a level"),
        ("c ~ x + offset(w)", {"exposure": "days"}, "the same thing twice"),
        ("nil ~ x", {}, "has a single value"),
        ("nil ~ x", {"family": "bernoulli"}, "has a single value"),
        ("c ~ x", {"priors": {"never_beta": "Normal(0, 1)"}}, "prior for unknown parameter 'never_beta'"),
        ("c ~ x", {"per": 0}, "per must be a number > 0"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_told_in_words(formula, options, words):
    with pytest.raises(InputError, match=words):
        never_at_risk(followed().assign(nil=0), formula, **options)


@pytest.mark.parametrize("value", [None, np.nan])
def test_a_missing_subject_is_named(value):
    frame = followed()
    frame.loc[6, "id"] = value
    with pytest.raises(InputError, match=r"column 'id' has 1 missing value \(row 7\)"):
        never_at_risk(frame, "c ~ x")


def test_data_without_candidates_and_single_trials_are_warned_of():
    seen = followed().loc[lambda d: ~d["id"].isin(ALL_ZERO)].reset_index(drop=True)
    with pytest.warns(ZooWarning, match="every subject of 'id' has a non-zero 'c'"):
        model = never_at_risk(seen, "c ~ x")
    assert "never_probability" not in model.named_vars
    assert np.isfinite(row_models.function(model, [model.logp()])(model.initial_point())[0])
    with pytest.warns(ZooWarning, match="one row of one trial"):
        never_at_risk(followed().assign(id=lambda d: np.arange(len(d))), "ill ~ x", family="bernoulli")


# ---------------------------------------------------------------------------------------------------------- the report


def test_a_fit_has_a_term_for_each_subject_and_its_report_survives_the_file(tmp_path):
    model = never_at_risk(followed(), POISSON, never="~ w", exposure="days")
    tree = zoo.fit(model, draws=100, tune=200, chains=2, cores=1, seed=1, progress=False)
    pointwise = tree["log_likelihood"]["c"]
    assert pointwise.dims == ("chain", "draw", "id")
    assert pointwise["id"].values.tolist() == sorted(set(followed()["id"]))
    assert tree["posterior_predictive"]["c"].dims == ("chain", "draw", "row")
    assert not {"never_share", "never_all_zero", "never_probability"} & set(
        zoo.summary(tree).index.str.split("[").str[0]
    )
    assert {"share[never at risk]", "never_odds_ratio[w]"} <= set(zoo.summary(tree).index)
    zoo.save(tree, tmp_path / "fit.nc")
    loaded = zoo.load(tmp_path / "fit.nc")
    (fresh, again) = (findings(t)["susceptibility"] for t in (tree, loaded))
    assert fresh.sentences == again.sentences
    for name, table in fresh.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name], check_index_type=False)
        assert f"susceptibility/{name}" in {node.path.removeprefix("/report/") for node in loaded["report"].subtree}
    follow_up = followed().groupby("id").agg(rows=("c", "size"), exposure=("days", "sum")).loc[list(ALL_ZERO)]
    pd.testing.assert_frame_equal(
        fresh.tables["subjects"][["rows", "exposure"]].sort_index(),
        follow_up,
        check_names=False,
        check_index_type=False,
    )
    again_pymc = pm.compute_log_likelihood(tree.copy(), model=model, progressbar=False)["log_likelihood"]["c"]
    np.testing.assert_allclose(again_pymc.values, pointwise.values, rtol=1e-8)


# ---------------------------------------------------------------------------------------------- controls on real data


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "formula", "options", "subjects", "zeros"),
    [
        ("geepack_ohio.csv", "resp ~ age + smoke + (1 | id)", {"family": "bernoulli"}, 537, 355),
        ("lme4_grouseticks.csv", "TICKS ~ C(YEAR) + cHEIGHT + (1 | BROOD)", {"subject": "BROOD"}, 118, 22),
    ],
)
def test_low_rates_are_not_taken_for_a_trait(file, formula, options, subjects, zeros):
    """Maximum likelihood puts the share at 0 in both."""
    model = never_at_risk(data_set(file), formula, **options)
    tree = zoo.fit(model, draws=2000, seed=3, progress=False)
    facts, said = metadata(tree)["spec"]["facts"], " ".join(findings(tree)["susceptibility"].sentences)
    assert (len(facts["all_zero"]["rows"]), facts["others"]["subjects"]) == (zeros, subjects - zeros)
    assert "do not show a group that is never at risk and cannot tell one from low rates" in said
    assert f"{zeros} have" in said and "is the same model without this part" in said
    share = tree["posterior"]["never"].values
    assert np.quantile(share, 0.025) < 0.02
    expected = tree["posterior"]["never_all_zero"].values
    assert np.quantile(expected, 0.999) > zeros  # low rates alone leave as many subjects with zeros only
