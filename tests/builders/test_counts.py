"""Families of counts in their limits and tails, their simulation, exposures and wrong input."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pymc as pm
import pytest
import row_models
from rows import visits
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.families import counts
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.inference.compile import compile_model

# ------------------------------------------------------------------------------------------------------------ densities

P, NB = counts.POISSON, counts.NEGATIVE_BINOMIAL
FAMILIES = {
    f"{count.name} {observe.__name__}": (observe, count)
    for count in (P, NB)
    for observe in (counts.observe_count, counts.observe_zero_inflated, counts.observe_hurdle)
}
every_family = pytest.mark.parametrize(("observe", "count"), FAMILIES.values(), ids=FAMILIES)


def likelihood(observe: Callable, count: counts.Count, y, **parameters) -> pm.Model:
    """A model with a flat vector for each of logit_zi, eta and log_a that the family has."""
    names = [*(["logit_zi"] if observe is not counts.observe_count else []), "eta", *(["log_a"] if count is NB else [])]
    with pm.Model(coords={"row": range(len(y))}) as model:
        vectors = [pm.Flat(name, dims="row", initval=np.broadcast_to(parameters[name], len(y))) for name in names]
        observe("y", count, Outcome("y", np.asarray(y, float)), *vectors)
    return model


def log_density(observe: Callable, count: counts.Count, y, **parameters) -> np.ndarray:
    """Pointwise (n,), by PyTensor."""
    y = np.atleast_1d(np.asarray(y, float))
    model = likelihood(observe, count, y, **parameters)
    (pointwise,) = model.logp(vars=model.observed_RVs, sum=False)
    return row_models.function(model, [pointwise])(model.initial_point())[0]


def exact_negative_binomial(y: int, mu: float, a: float) -> float:
    """Gamma(y + a) / (Gamma(a) a^y) is the product of 1 + j / a over j < y: no difference of large numbers."""
    rising = math.fsum(math.log1p(j / a) for j in range(y))
    return rising - math.lgamma(y + 1) + y * math.log(mu) - (y + a) * math.log1p(mu / a)


SIZES = [1e-12, 1e-3, 0.7, 30.0, 999.0, 1001.0, 1e4, 1e5, 1e6, 1e8, 1e10, 1e12, 1e15]


@pytest.mark.parametrize("a", SIZES)
def test_negative_binomial_keeps_its_digits(a):
    y, mu = map(np.ravel, np.meshgrid([0, 1, 2, 7, 60, 900], [1e-6, 0.4, 3.0, 80.0, 2000.0]))
    found = log_density(counts.observe_count, NB, y, eta=np.log(mu), log_a=np.log(a))
    exact = [exact_negative_binomial(int(k), m, a) for k, m in zip(y, mu, strict=True)]
    np.testing.assert_allclose(found, exact, rtol=3e-12, atol=3e-12)


@pytest.mark.parametrize("a", [1e4, 1e6, 1e8, 1e12])
@pytest.mark.promise("limits")
def test_negative_binomial_of_large_alpha_is_poisson(a):
    y, mu = map(np.ravel, np.meshgrid([0, 1, 5, 30], [0.01, 1.0, 20.0]))
    found = log_density(counts.observe_count, NB, y, eta=np.log(mu), log_a=np.log(a))
    first_order = ((y - mu) ** 2 - y) / (2 * a)
    np.testing.assert_allclose(found, stats.poisson.logpmf(y, mu) + first_order, atol=30**3 / a**2 + 1e-12)


@pytest.mark.parametrize("count", [P, NB], ids=lambda c: c.name)
@pytest.mark.promise("limits")
def test_without_excess_zeros_it_is_the_count_itself(count):
    y, eta = map(np.ravel, np.meshgrid([0, 1, 2, 12], [-6.0, 0.3, 3.0]))
    size = {"log_a": -0.4} if count is NB else {}
    plain = log_density(counts.observe_count, count, y, eta=eta, **size)
    inflated = log_density(counts.observe_zero_inflated, count, y, eta=eta, logit_zi=-600.0, **size)
    np.testing.assert_allclose(inflated, plain, rtol=1e-13)
    f0 = np.exp(log_density(counts.observe_count, count, np.zeros(len(y)), eta=eta, **size))
    hurdle = log_density(counts.observe_hurdle, count, y, eta=eta, logit_zi=np.log(f0 / (1 - f0)), **size)
    np.testing.assert_allclose(hurdle, plain, rtol=1e-9)


@pytest.mark.parametrize("count", [P, NB], ids=lambda c: c.name)
def test_above_zero_a_tiny_mean_gives_ones(count):
    """As mu -> 0, f(1) / (1 - f(0)) -> 1 and f(2) / f(1) -> mu / 2, or (a + 1) / a times as much."""
    eta, log_a = np.array([-690.0, -100.0, -40.0, -31.0, -29.0]), 0.6
    size = {"log_a": log_a} if count is NB else {}
    ones, twos = (
        log_density(counts.observe_hurdle, count, np.full(5, y), eta=eta, logit_zi=-700.0, **size) for y in (1, 2)
    )
    np.testing.assert_allclose(ones, 0.0, atol=1e-12)
    np.testing.assert_allclose(twos, eta - np.log(2) + (np.log1p(np.exp(-log_a)) if count is NB else 0.0), atol=1e-11)


def test_nb1_is_nb2_of_size_alpha_mu():
    nb = row_models.builder("negative_binomial")
    linear, quadratic = (nb(visits(), "c ~ 1", parameterization=form) for form in ("nb1", "nb2"))
    for intercept, alpha in ((0.8, 0.3), (-2.0, 5.0)):
        one, other = (
            row_models.function(m, [m.observedlogp])({"Intercept": np.array(intercept), "alpha_log__": np.log(a)})[0]
            for m, a in ((linear, alpha), (quadratic, alpha * np.exp(intercept)))
        )
        np.testing.assert_allclose(one, other, rtol=1e-12)


ETA = [-690.0, -300.0, -40.0, -37.0, -15.0, -3.0, 0.0, 2.0, 10.0, 31.0]
Y = [0.0, 1.0, 2.0, 1e3, 1e6, 1e12]


@every_family
def test_density_and_gradient_are_finite_in_the_tails(observe, count):
    log_a = [-20.0, -1.0, 0.0, 5.0, 12.0] if count is NB else [0.0]
    logit_zi = [-700.0, -30.0, 0.0, 30.0, 700.0] if observe is not counts.observe_count else [0.0]
    y, eta, log_a, logit_zi = map(np.ravel, np.meshgrid(Y, ETA, log_a, logit_zi))
    eta = eta + 1e-3  # off the seams of the pieces, where JAX takes half of each side's slope
    model = likelihood(observe, count, y, eta=eta, log_a=log_a, logit_zi=logit_zi)
    point = model.initial_point()
    compiled = compile_model(model)
    value, gradient = compiled.value_and_gradient(compiled.start)
    expected, slope = row_models.function(model, [model.logp(), model.dlogp()])(point)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    scale = np.maximum(1.0, np.tile(np.maximum(y, np.exp(eta)), len(point)))
    np.testing.assert_allclose(gradient / scale, slope / scale, atol=1e-7)


@every_family
def test_gradient_is_that_of_the_density(observe, count):
    rng, n = np.random.default_rng(2), 40
    y = rng.negative_binomial(1, 0.2, n) * 1.0
    eta, log_a, logit_zi = rng.normal(1, 2, n), rng.normal(0, 3, n), rng.normal(0, 2, n)
    compiled = compile_model(likelihood(observe, count, y, eta=eta, log_a=log_a, logit_zi=logit_zi))
    numerical = row_models.jacobian(lambda x: np.array([compiled.value_and_gradient(x)[0]]), compiled.start)[0]
    np.testing.assert_allclose(compiled.value_and_gradient(compiled.start)[1], numerical, rtol=1e-5, atol=1e-5)


# ----------------------------------------------------------------------------------------------------------- simulation


def chi_square(draws: np.ndarray, pmf: Callable[[np.ndarray], np.ndarray], least: int) -> float:
    """p-value of counts in bins of an expected 10 or more, the last of which has the tail; 1 if that is a single bin."""
    k = np.arange(least, draws.max() + 1)
    expected = len(draws) * pmf(k)
    expected[-1] += len(draws) - expected.sum()
    seen, known = [0.0], [0.0]
    for value, e in zip(k, expected, strict=True):
        if known[-1] >= 10 and expected[k >= value].sum() >= 10:
            seen.append(0.0)
            known.append(0.0)
        seen[-1] += np.sum(draws == value)
        known[-1] += e
    return float(stats.chisquare(seen, known).pvalue) if len(seen) > 1 else 1.0


DRAWN = [(P, mu, None) for mu in (1e-9, 0.03, 1.2, 40.0)] + [
    (NB, mu, a) for mu, a in ((0.03, 0.5), (1.2, 0.05), (1.2, 1e9), (40.0, 3.0), (0.5, 1e15))
]


@functools.cache
def distribution(mu: float, a: float | None):
    return stats.poisson(mu) if a is None or a > 1e8 else stats.nbinom(a, a / (a + mu))


@pytest.mark.parametrize(("count", "mu", "a"), DRAWN, ids=lambda v: getattr(v, "name", str(v)))
def test_draws_have_the_exact_distribution_and_so_without_zeros(count, mu, a):
    n = 20_000
    parameters = [np.full(n, np.log(v)) for v in (mu, a) if v is not None]
    known = distribution(mu, a)
    draws = pm.draw(count.draw(*parameters), random_seed=3)
    assert chi_square(draws, known.pmf, 0) > 1e-3
    above = pm.draw(count.draw_above_zero(*parameters), random_seed=4)
    assert above.min() >= 1
    assert chi_square(above, lambda k: np.exp(known.logpmf(k) - np.log(-np.expm1(known.logpmf(0)))), 1) > 1e-3


def test_draws_survive_extreme_parameters():
    eta, log_a = map(np.ravel, np.meshgrid([-800.0, -30.0, 0.0, 30.0, 60.0, 800.0], [-800.0, -30.0, 0.0, 30.0, 800.0]))
    for draw in (NB.draw, NB.draw_above_zero):
        y = pm.draw(draw(eta, log_a), random_seed=1)
        assert np.all((y >= 0) & (y == np.round(y)) & (y < 1e17))
    for draw in (P.draw, P.draw_above_zero):
        assert np.isfinite(pm.draw(draw(eta), random_seed=1)).all()


# ------------------------------------------------------------------------------------------------- exposures and offsets


def test_exposure_is_the_offset_of_its_logarithm():
    poisson = row_models.builder("poisson")
    frame = visits()
    one = poisson(frame, "k ~ x + (1 | g)", exposure="days")
    other = poisson(frame, "k ~ x + offset(log(days)) + (1 | g)")
    point = row_models.random_point(one, 1)
    a, b = (row_models.function(m, [m.logp()])(point)[0] for m in (one, other))
    np.testing.assert_allclose(a, b, rtol=1e-14)
    assert one.spec["priors"] == other.spec["priors"]
    assert one.spec["facts"] == other.spec["facts"] == {"exposure": "days", "per": 1.0, "of": "expected count"}


def test_the_unit_of_exposure_only_shifts_the_intercept():
    frame = visits().assign(years=lambda d: d.days / 365.25)
    days, years = (row_models.builder("poisson")(frame, "k ~ x + (1 | g)", exposure=e) for e in ("days", "years"))
    (m, s), (m_years, s_years) = (
        (prior.arguments["mu"], prior.arguments["sigma"])
        for model in (days, years)
        for prior in model.chosen["Intercept"]
    )
    assert s == s_years == 2.5
    assert m == pytest.approx(np.log(frame.k.sum() / frame.days.sum()), rel=1e-3)
    assert m_years - m == pytest.approx(np.log(365.25), abs=2e-3)
    assert all(days.spec["priors"][name] == years.spec["priors"][name] for name in ("beta", "sd_g"))
    point = row_models.random_point(days, 1)
    moved = {**point, "Intercept_at_means": point["Intercept_at_means"] + m_years - m}
    a, b = (row_models.function(model, [model.logp()])(x)[0] for model, x in ((days, point), (years, moved)))
    assert a == pytest.approx(b, rel=1e-3)


def test_an_offset_of_the_zero_part_stays_there():
    frame = visits()
    model = row_models.builder("zero_inflated_poisson")(frame, "c ~ x", zi="~ w + offset(v)", exposure="days")
    plain = row_models.builder("zero_inflated_poisson")(frame, "c ~ x", zi="~ w", exposure="days")
    point = row_models.random_point(model, 1)
    (logit_zi, eta), (plain_logit_zi, plain_eta) = (
        row_models.function(m, m.replace_rvs_by_values(m["c"].owner.inputs[1:3]))(point) for m in (model, plain)
    )
    np.testing.assert_allclose(eta, plain_eta)
    np.testing.assert_allclose(logit_zi - plain_logit_zi, frame.v)


def test_exposure_of_an_offset():
    frame = visits()
    for offset, exposure in (("log(days)", "days"), ("w", "exp(w)"), ("log(days*n)", "days*n")):
        model = zoo.poisson(frame, f"k ~ x + offset({offset})", per=np.int64(10))
        assert model.spec["facts"]["exposure"] == exposure and model.spec["facts"]["per"] == 10
    two = zoo.poisson(frame, "k ~ x + offset(log(days)) + offset(log(n))")
    assert two.spec["facts"]["exposure"] == "exp(log(days) + log(n))"


# ----------------------------------------------------------------------------------------------------- several predictors

ZIP = "zero_inflated_poisson"


@pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")
def test_few_levels_are_written_as_population_terms_in_each_predictor():
    frame = visits()
    asked = {"exposure": "days", "zi": "~ w + (1 | arm) + (1 | g)"}
    found = row_models.builder(ZIP)(frame, "c ~ x + (1 | arm) + (1 | h)", clusters="fixed", **asked)
    meant = row_models.builder(ZIP)(frame, "c ~ x + C(arm) + (1 | h)", **asked | {"zi": "~ w + C(arm) + (1 | g)"})
    point = row_models.random_point(found, 1)
    a, b = (row_models.function(m, [m.logp()])(point)[0] for m in (found, meant))
    np.testing.assert_allclose(a, b, rtol=1e-13)
    assert found.spec["formulas"]["zi"].startswith("~ ")
    assert sum("written as population terms" in note for note in found.spec["notes"]) == 2


def test_rows_are_dropped_for_a_column_of_the_zero_part_alone():
    holes = visits()
    holes.loc[[3, 17], "w"] = np.nan
    whole = holes.drop(index=[3, 17])
    asked = {"zi": "~ w + (1 | g)", "exposure": "days"}
    dropped = row_models.builder(ZIP)(holes, "c ~ x + (1 | h)", missing="drop", **asked)
    meant = row_models.builder(ZIP)(whole, "c ~ x + (1 | h)", **asked)
    point = row_models.random_point(dropped, 1)
    a, b = (row_models.function(m, [m.logp()])(point)[0] for m in (dropped, meant))
    assert a == b and dropped.spec["data"]["dropped"] == 2
    with pytest.raises(InputError, match=r"'w'.*rows 4, 18"):
        row_models.builder(ZIP)(holes, "c ~ x + (1 | h)", **asked)


def test_shared_label_correlates_count_and_zero_part_in_the_prior():
    frame = visits()
    model = row_models.builder(ZIP)(
        frame,
        "c ~ x + (1 |p| g)",
        zi="~ (1 |p| g)",
        priors={"corr": "LKJ(0.2)", "sd[g, zi:Intercept]": "HalfNormal(3)"},
    )
    u, R, sd = pm.draw([model["u_g"], model["corr_g"], model["sd_g"]], draws=400, random_seed=1)
    z = u / sd[:, None, :]
    observed = (z[..., 0] * z[..., 1]).mean(axis=1)
    assert np.corrcoef(observed, R[:, 0, 1])[0, 1] > 0.8
    assert (
        sd[:, 1].std() > 2 * sd[:, 0].std() * 0.6
        and model.spec["priors"]["sd_g"]["sd[g, zi:Intercept]"] == "HalfNormal(3)"
    )


def test_an_effect_for_every_row_belongs_to_the_count_part():
    frame = visits().assign(obs=np.arange(72))
    model = row_models.builder(ZIP)(frame, "c ~ x + (1 | obs)", zi="~ w")
    assert len(model.coords["obs"]) == 72
    for builder, option in ((ZIP, "zi"), ("hurdle_poisson", "zi"), ("negative_binomial", "dispersion")):
        with pytest.raises(InputError, match=r"'obs' has 72 levels for 72 rows"):
            row_models.builder(builder)(frame, "c ~ x", **{option: "~ (1 | obs)"})


def test_dispersion_takes_group_effects():
    model = row_models.builder("negative_binomial")(visits(), "c ~ x + (1 | g)", dispersion="~ w + (1 | g)")
    assert {"sd_g", "u_g", "alpha_sd_g", "alpha_u_g", "alpha_Intercept", "alpha_beta"} <= set(
        row_models.reported(model)
    )
    assert "alpha" not in model.named_vars and "alpha" not in model.spec["priors"]


# ---------------------------------------------------------------------------------------------------------- wrong input


WRONG = {
    "exposure and offset": (ZIP, "c ~ x + offset(log(days))", {"exposure": "days"}, r"say the same thing twice; keep one"),
    "unknown exposure": ("poisson", "c ~ x", {"exposure": "day"}, r"no column 'day'; did you mean 'days'\?"),
    "exposure that is no name": ("poisson", "c ~ x", {"exposure": [1.0, 2.0]}, r"exposure must be text or None, not \[1\.0, 2\.0\]"),
    "empty exposure": ("poisson", "c ~ x", {"exposure": ""}, r"exposure must be text or None, not ''"),
    "response as its own predictor": (ZIP, "c ~ x", {"zi": "~ c"}, r"zi: the response 'c' is also used as a predictor"),
    "trials": ("poisson", "k | trials(n) ~ x", {}, r"trials\(\) belongs to a binomial response"),
    "expression": ("poisson", "log(k) ~ x", {}, r"is a column, not 'log\(k\)'"),
    "text": ("poisson", "reply ~ x", {}, r"column 'reply' is text \(no, yes\) and a count needs numbers"),
    "negative": ("poisson", "y ~ x", {}, r"needs whole numbers; 72 values not .*\n.*needs counts >= 0; \d+ values? not"),
    "parameterization": ("negative_binomial", "c ~ x", {"parameterization": "nb3"}, r"unknown parameterization 'nb3'; known: nb2, nb1"),
    "per of zero": ("poisson", "c ~ x", {"per": 0}, r"per must be a number > 0"),
    "per of infinity": ("hurdle_poisson", "c ~ x", {"per": np.inf}, r"per must be a number, not inf"),
    "per as text": (ZIP, "c ~ x", {"per": "many"}, r"per must be a number, not 'many'"),
    "column in zi": (ZIP, "c ~ x", {"zi": "~ mind"}, r"no column 'mind'"),
    "response in zi": (ZIP, "c ~ x", {"zi": "c ~ x"}, r"zi: "),
    "unfinished zi": ("hurdle_poisson", "c ~ x", {"zi": "~ x +"}, r"zi: "),
    "code in zi": ("hurdle_poisson", "c ~ x", {"zi": "~ __import__('os')"}, r"zi: .*__import__"),
    "both formulas": (ZIP, "c ~ x +", {"zi": "~ w *"}, r"2 problems:\n(.|\n)*zi: "),
    "text in zi": (ZIP, "c ~ x", {"zi": "~ log(reply)"}, r"'reply' is text"),
    "prior of a part that is not there": (ZIP, "c ~ x", {"priors": {"zi_beta": "Normal(0, 1)"}}, r"unknown parameter 'zi_beta'"),
    "prior off its support": (ZIP, "c ~ x", {"priors": {"zi": "Normal(0, 1)"}}, r"zi is a number between 0 and 1"),
    "alpha with a formula": ("nb", "c ~ x", {"dispersion": "~ w", "priors": {"alpha": "Exponential(1)"}}, r"unknown parameter 'alpha'; did you mean"),
}  # fmt: skip


@pytest.mark.parametrize(("builder", "formula", "options", "words"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_told_in_a_sentence(builder, formula, options, words):
    with pytest.raises(InputError, match=words):
        getattr(zoo, builder)(visits(), formula, **options)


def test_names_that_would_be_shared_are_refused():
    frame = visits().assign(zi_g=lambda d: d.h)
    with pytest.raises(InputError, match=r"'zi_g' and 'g' would share the name 'zi_g_effect'"):
        zoo.zip(frame, "c ~ x + (1 | zi_g)", zi="~ (1 + w | g)")


def test_nothing_but_zeros_is_refused_and_no_zeros_are_warned_of():
    for builder in ("poisson", "nb", "zip", "zinb", "hurdle_poisson", "hurdle_negative_binomial"):
        with pytest.raises(InputError, match=r"response 'c' has a single value \(0\) in every row"):
            getattr(zoo, builder)(visits().assign(c=0), "c ~ x")
    positive = visits().assign(c=lambda d: d.c + 1)
    for builder in ("zip", "zinb", "hurdle_poisson", "hurdle_negative_binomial"):
        with pytest.warns(ZooWarning, match="'c' has no zeros"):
            model = getattr(zoo, builder)(positive, "c ~ x")
        assert any("has no zeros" in note for note in model.spec["notes"])
    zoo.poisson(positive, "c ~ x")
