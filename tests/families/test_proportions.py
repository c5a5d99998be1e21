"""Beta-binomial, beta and ordered beta: densities in their limits and tails, moments, draws, wrong input, expectations over groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import row_models
from rows import shares, visits
from scipy import integrate, stats
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.estimands.fitted import FittedOutcome
from glmm_zoo.estimands.normal_means import Normal
from glmm_zoo.estimands.row_values import RowPredictors, quantity
from glmm_zoo.families.registry import FAMILIES

INVERSE = {"logit": stats.logistic.cdf, "probit": stats.norm.cdf, "cloglog": stats.gumbel_l.cdf}
INSIDE = np.array([1e-9, 0.01, 0.3, 0.75, 1 - 1e-6])
ETA = np.array([-12.0, -3.0, -0.4, 0.0, 1.5, 3.0])[:, None]
LOG_PHI = np.log([0.02, 0.8, 5.0, 60.0, 900.0, 1100.0])[:, None]


def density(name: str, y, eta, link: str = "logit", trials=None, **own) -> np.ndarray:
    return FAMILIES[name].log_density(np.asarray(y, float), np.asarray(eta, float), own, link, trials)


@pytest.mark.parametrize("link", INVERSE)
def test_beta_binomial_is_scipys(link):
    n = np.array([1.0, 3.0, 12.0, 12.0, 200.0])
    y = np.array([1.0, 0.0, 12.0, 5.0, 3.0])
    p, phi = INVERSE[link](ETA[1:-1]), np.exp(LOG_PHI[1:-1])
    expected = stats.betabinom.logpmf(y, n, p * phi, (1 - p) * phi)
    np.testing.assert_allclose(density("beta_binomial", y, ETA[1:-1], link, n, phi=LOG_PHI[1:-1]), expected, rtol=1e-9)


def test_beta_binomial_without_spread_is_binomial():
    y, n = np.arange(13.0), np.full(13, 12.0)
    binomial = stats.binom.logpmf(y, 12, expit(ETA))
    np.testing.assert_allclose(density("beta_binomial", y, ETA, trials=n, phi=np.array(40.0)), binomial, rtol=1e-12)
    near = density("beta_binomial", y, ETA[1:], trials=n, phi=np.log(1e8))  # rho = 1e-8: 66 pairs of trials at most
    np.testing.assert_allclose(near, binomial[1:], atol=1e-5)


@pytest.mark.parametrize("link", INVERSE)
def test_beta_is_scipys(link):
    p, phi = INVERSE[link](ETA[1:-1]), np.exp(LOG_PHI[1:-1])
    expected = stats.beta.logpdf(INSIDE, p * phi, (1 - p) * phi)
    np.testing.assert_allclose(
        density("beta", INSIDE, ETA[1:-1], link, phi=LOG_PHI[1:-1]), expected, rtol=1e-9, atol=1e-9
    )


def test_densities_are_finite_in_the_tails():
    eta = np.array([-600.0, -40.0, 40.0, 600.0])[:, None]
    cutpoints = np.broadcast_to([-1.0, 1.0], (4, 1, 2))
    for name, y, own in (
        ("beta_binomial", [0.0, 1.0], {}), ("beta", [1e-12, 0.5], {}), ("zero_inflated_beta", [0.0, 0.5], {"zi": eta}),
        ("zero_one_inflated_beta", [0.0, 1.0, 0.5], {"zoi": eta, "coi": -eta}),
        ("ordered_beta", [0.0, 1.0, 0.5], {"cutpoints": cutpoints}),
    ):  # fmt: skip
        assert np.isfinite(density(name, y, eta, phi=np.array(1.0), **own)).all(), name


def test_without_ends_the_densities_are_that_of_beta():
    plain = density("beta", INSIDE, ETA, phi=np.array(1.2))
    far = {"zoi": np.array(-45.0), "coi": np.array(0.3)}
    np.testing.assert_allclose(
        density("zero_one_inflated_beta", INSIDE, ETA, phi=np.array(1.2), **far), plain, atol=1e-12
    )
    cutpoints = np.array([[[-60.0, 60.0]]])
    np.testing.assert_allclose(
        density("ordered_beta", INSIDE, ETA, phi=np.array(1.2), cutpoints=cutpoints), plain, atol=1e-12
    )


def test_ordered_beta_cuts_one_latent_variable():
    low, high, eta = -0.7, 1.1, 0.4
    found = density("ordered_beta", [0.0, 1.0], eta, phi=np.array(0.0), cutpoints=np.array([low, high]))
    np.testing.assert_allclose(np.exp(found), [expit(low - eta), expit(eta - high)], rtol=1e-12)
    inside = density("ordered_beta", INSIDE, eta, phi=np.log(4.0), cutpoints=np.array([low, high]))
    beta = stats.beta.logpdf(INSIDE, 4 * expit(eta), 4 * expit(-eta))
    np.testing.assert_allclose(inside, beta + np.log(expit(high - eta) - expit(low - eta)), rtol=1e-9)


OWN = {
    "beta": {}, "zero_inflated_beta": {"zi": 0.3}, "zero_one_inflated_beta": {"zoi": 0.25, "coi": 0.6},
    "ordered_beta": {"cutpoints": np.array([-0.7, 1.1])},
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_moments_and_draws_are_those_of_the_density(name):
    eta, phi = 0.4, 4.0
    logits = {k: v if k == "cutpoints" else np.log(v / (1 - v)) for k, v in OWN[name].items()}

    def f(y) -> float:
        return float(np.exp(density(name, [y], eta, phi=np.log(phi), **logits))[0])

    ends = {
        0.0: f(0.0) if name != "beta" else 0.0,
        1.0: f(1.0) if name in ("zero_one_inflated_beta", "ordered_beta") else 0.0,
    }
    total, mean, square = (
        integrate.quad(lambda y, k=k: y**k * f(y), 0, 1)[0] + sum(y**k * p for y, p in ends.items()) for k in (0, 1, 2)
    )
    assert total == pytest.approx(1, abs=1e-8)
    own = {**{k: np.asarray(v) for k, v in OWN[name].items()}, "phi": np.array(phi)}
    found = FAMILIES[name].moments(np.array(eta), own, "logit")
    np.testing.assert_allclose(found, [mean, square - mean**2], rtol=1e-7)
    draw = FAMILIES[name].draw
    assert draw is not None
    y = draw(np.random.default_rng(1), np.full(40000, eta), own, "logit")
    assert abs(y.mean() - mean) < 4 * y.std() / 200 and y.std() == pytest.approx(np.sqrt(found[1]), rel=0.02)
    np.testing.assert_allclose([np.mean(y == end) for end in ends], list(ends.values()), atol=0.01)


# ------------------------------------------------------------------------------------------------- expectations over groups


def outcome_of(name: str) -> FittedOutcome:
    return FittedOutcome("y", "", FAMILIES[name], "logit", {}, {}, None, (), None)  # type: ignore[arg-type]


def test_mean_of_zeros_and_ones_over_correlated_effects():
    """Against draws of three correlated predictors."""
    m, S = [0.3, -0.8, 0.5], np.array([[0.5, 0.3, 0.0], [0.3, 0.6, 0.2], [0.0, 0.2, 0.4]])
    parts = ("", "zoi", "coi")
    variables = {
        p: Normal(np.full((1, 1), a), np.full((1, 1), v)) for p, a, v in zip(parts, m, np.diag(S), strict=True)
    }
    covariances = {frozenset((parts[i], parts[j])): np.full((1, 1), S[i, j]) for i, j in ((0, 1), (1, 2))}
    found = quantity(outcome_of("zero_one_inflated_beta"), "mean").values(RowPredictors(variables, covariances, {}))
    mu, zoi, coi = expit(np.random.default_rng(3).multivariate_normal(m, S, 400_000)).T
    assert found.item() == pytest.approx(np.mean((1 - zoi) * mu + zoi * coi), abs=1e-3)


def test_mean_of_zeros_over_correlated_effects():
    S = np.array([[0.5, 0.3], [0.3, 0.6]])
    variables = {p: Normal(np.full((1, 1), m), np.full((1, 1), v)) for p, m, v in (("", 0.3, 0.5), ("zi", -0.8, 0.6))}
    p = RowPredictors(variables, {frozenset(("", "zi")): np.full((1, 1), 0.3)}, {"phi": np.full((1, 1), 3.0)})
    found = quantity(outcome_of("zero_inflated_beta"), "mean").values(p)
    mu, zi = expit(np.random.default_rng(3).multivariate_normal([0.3, -0.8], S, 400_000)).T
    assert found.item() == pytest.approx(np.mean((1 - zi) * mu), abs=1e-3)


def test_mean_of_ordered_beta_over_an_effect():
    cutpoints = np.array([-0.7, 1.1])
    x = {"": Normal(np.full((1, 1), 0.4), np.full((1, 1), 0.9))}
    p = RowPredictors(x, {}, {"phi": np.full((1, 1), 3.0)}, cutpoints[:, None, None])
    found = quantity(outcome_of("ordered_beta"), "mean").values(p)

    def mean(eta):
        one, zero = expit(eta - 1.1), expit(-0.7 - eta)
        return ((1 - zero - one) * expit(eta) + one) * stats.norm.pdf(eta, 0.4, np.sqrt(0.9))

    assert found.item() == pytest.approx(integrate.quad(mean, -12, 12)[0], rel=1e-7)


# ------------------------------------------------------------------------------------------------------------- wrong input

P, Q, PAIN = "p ~ x + (1 | g)", "q ~ x + (1 | g)", "pain ~ x + (1 | g)"
WRONG = {
    "zeros": ("beta", Q, {}, r"strictly between 0 and 1; \d+ values not \(0 in rows .*\); zi='~ 1' gives them a share of their own"),
    "zeros and ones": ("beta", PAIN, {"bounds": "0,10"}, r"between 0 and 10; \d+ values not \(0 in rows .* 10 in rows .*\); zoi='~ 1' gives"),
    "ones beside zi": ("beta", PAIN, {"bounds": "0,10", "zi": "~ 1"}, r"\(10 in rows .*\); zoi='~ 1'"),
    "percentages": ("beta", "pct ~ x", {}, r"needs values from 0 to 1; \d+ values not \(.*, row.*\); if these are percentages give bounds='0,100'"),
    "beyond bounds": ("ordered_beta", "y ~ x", {"bounds": "0,1"}, "needs values from 0 to 1; .* other ends of the scale are given as in bounds"),
    "bounds": ("beta", P, {"bounds": "1,0"}, "two increasing numbers such as '0,100', not '1,0'"),
    "words": ("ordered_beta", PAIN, {"bounds": "none,all"}, "two increasing numbers"),
    "trials": ("beta", "k | trials(n) ~ x", {}, "counts of successes: beta_binomial"),
    "only ends": ("ordered_beta", "ill ~ x", {}, "nothing but 0, 1, the ends of its scale; for these use hierarchical_logistic"),
    "constant": ("beta", "half ~ x", {}, "single value"),
    "coi alone": ("beta", P, {"coi": "~ x"}, "give zoi=, their probability, with it"),
    "both": ("beta", P, {"zi": "~ 1", "zoi": "~ 1"}, "give one of them"),
    "link": ("ordered_beta", PAIN, {"dispersion": "pain"}, "dispersion|phi"),
    "more than n": ("beta_binomial", "n | trials(k) ~ x", {}, "trials"),
    "proportion": ("beta_binomial", "p | trials(n) ~ x", {}, "it looks like a proportion of n"),
}  # fmt: skip


@pytest.mark.parametrize(("builder", "formula", "options", "said"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_told(builder, formula, options, said):
    d = shares().assign(half=0.5, pct=lambda d: 99 * d.p)
    with pytest.raises(InputError, match=said):
        row_models.builder(builder)(d, formula, **options)


DOUBTS = {
    "single trials": ("beta_binomial", "ill ~ x", {}, "no row of 'ill' has more than one trial"),
    "no zeros": ("beta", P, {"zi": "~ 1"}, "'p' has no zeros: what the model says of their share rests on the prior of zi"),
    "no ones": ("beta", Q, {"zoi": "~ 1"}, "'q' has no ones: .* rests on the prior of coi"),
    "no ends": ("ordered_beta", P, {}, "neither zeros nor ones: .* beta says the same without them"),
    "separated": ("beta_binomial", "none | trials(n) ~ sex", {}, "'sex\\[m\\]' separates the outcome"),
    "separated zeros": ("beta", "apart ~ x", {"zi": "~ sex"}, "zi: .* zeros of 'apart' among the \\d+ rows where sex is"),
}  # fmt: skip


@pytest.mark.parametrize(("builder", "formula", "options", "said"), DOUBTS.values(), ids=DOUBTS)
def test_doubts_are_told(builder, formula, options, said):
    d = shares()
    d = d.assign(none=np.where(d.sex == "m", 0, d.k), apart=np.where(d.sex == "m", 0.0, d.p))
    with pytest.warns(ZooWarning, match=said):
        row_models.builder(builder)(d, formula, **options)


def test_an_end_that_never_occurs_is_noted():
    model = zoo.ordered_beta(shares(), Q)
    assert (
        "response 'q' has no ones: what the model says of their share rests on the prior of cutpoints"
        in model.spec["notes"]
    )


def test_bounds_are_the_ends_of_the_scale():
    d = shares()
    one, other = zoo.ordered_beta(d, PAIN, bounds=[0, 10]), zoo.ordered_beta(d.assign(pain=d.pain / 10), PAIN)
    point = row_models.random_point(one, 1)
    np.testing.assert_allclose(one.compile_logp()(point), other.compile_logp()(point), rtol=1e-12)
    assert one.spec["response"] == "pain: shares of the scale from 0 to 10"


# --------------------------------------------------------------------------------------------------- with other builders


def test_proportions_are_families_of_gamm_and_joint_outcomes():
    d = shares()
    smooth = zoo.gamm(
        d, "pain ~ s(x, k=5) + (1 | g)", family="beta", zoi="~ s(w, k=5)", bounds="0,10", dispersion="~ w"
    )
    assert {"s_x_sd", "zoi_s_w_sd", "coi", "phi_beta"} <= {v.name for v in smooth.free_RVs}
    joint = zoo.joint_outcomes(
        d, {"k | trials(n) ~ x + (1 |p| g)": "beta_binomial", "pain ~ x + (1 |p| g)": "zero_one_inflated_beta"},
        bounds={"pain": "0,10"}, zoi={"pain": "~ w + (1 |p| g)"},
    )  # fmt: skip
    assert {"k_phi", "pain_phi", "pain_coi", "pain_zoi_beta", "sd_g"} <= {v.name for v in joint.free_RVs}
    assert tuple(joint.coords["g_effect"]) == ("k:Intercept", "pain:Intercept", "pain_zoi:Intercept")
    with pytest.raises(InputError, match="zoi= is for families beta, not for 'gaussian'"):
        zoo.gamm(visits(), "y ~ s(x)", zoi="~ x")


def test_a_proportion_is_the_marker_of_an_event():
    visit, person = np.tile([0.0, 1.0], 30), np.repeat(np.arange(30), 2)
    measured = pd.DataFrame({"id": person, "time": visit, "p": 0.2 + 0.01 * (np.arange(60) % 50)})
    people = pd.DataFrame({"id": np.arange(30), "years": 1.5 + 0.1 * np.arange(30), "death": np.arange(30) % 2})
    options = {"event": "Surv(years, death) ~ 1", "families": "beta"}
    model = zoo.joint_survival(measured, people, "p ~ time + (1 | id)", association="value(mean)", **options)
    assert "phi" in {v.name for v in model.free_RVs} and np.isfinite(model.compile_logp()(model.initial_point()))
    ends = measured.assign(p=np.where(person == 0, 0.0, measured.p))
    with pytest.raises(InputError, match="has no one mean that follows its predictor"):
        zoo.joint_survival(
            ends,
            people,
            "p ~ time + (1 | id)",
            association="value(mean)",
            **{**options, "families": "zero_inflated_beta"},
        )


def test_a_fit_tells_how_alike_trials_of_a_row_are():
    tree = zoo.fit(zoo.card("litters").model(), draws=60, tune=150, chains=2, seed=1, progress=False)
    rho = 1 / (1 + tree["posterior"]["phi"].values)
    assert zoo.summary(tree).loc["trial_correlation", "median"] == pytest.approx(np.median(rho))
    (sentence,) = zoo.findings(tree)["trial_correlation"].sentences
    assert sentence.startswith(f"Two trials of a row are correlated by {np.median(rho):.2f} (")
    assert f"varies {1 + 9 * np.median(rho):.1f} times" in sentence
