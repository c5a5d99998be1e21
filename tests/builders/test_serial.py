"""A process along series, ar1(time | g) and ou(time | g): densities, transport, limits, draws, estimands and what is refused."""

from __future__ import annotations

import functools
import itertools
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from scipy import stats
from scipy.special import roots_hermitenorm

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.report.catalogue import Catalogue


@functools.cache
def counts(times: tuple[float, ...] = (0, 1, 2, 4, 5, 7), subjects: int = 12) -> pd.DataFrame:
    """Counts of subjects at some of the times, in no order."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame(itertools.product([f"s{k:02d}" for k in range(subjects)], times), columns=["id", "t"])
    level = dict(zip(d.id.unique(), rng.normal(0, 0.8, subjects), strict=True))
    d = d.assign(x=rng.normal(size=len(d)), y=rng.poisson(np.exp(0.4 + d.id.map(level))))
    d["ill"], d["size"] = (d.y > 1).astype(int), d.y + 0.5
    return d[rng.random(len(d)) < 0.8].sample(frac=1.0, random_state=1, ignore_index=True)


def correlation(process: str, parameter: float, apart: np.ndarray) -> np.ndarray:
    return parameter**apart if process == "ar1" else np.exp(-apart / parameter)


def covariance(model: Any, process: str, values: dict[str, Any]) -> np.ndarray:
    """Of the levels "s01:4", in the model's order, by hand."""
    of, times = zip(*(str(level).split(":") for level in model.coords["id:t"]), strict=True)
    apart = np.abs(np.subtract.outer(np.array(times, float), np.array(times, float)))
    name = "ar1_id:t" if process == "ar1" else "range_id:t"
    same = np.equal.outer(of, of)
    return values["sd_id:t"].item() ** 2 * same * correlation(process, values[name].item(), apart)


def values_at(model: Any, point: Any, *more: Any) -> tuple[dict[str, Any], list[np.ndarray]]:
    variables = [*model.free_RVs, *model.deterministics]
    found = row_models.function(model, [*model.replace_rvs_by_values(variables), *more])(point)
    return dict(zip([v.name for v in variables], found, strict=False)), found[len(variables) :]


@pytest.mark.parametrize("process", ["ar1", "ou"])
@pytest.mark.parametrize("informed", [False, True])
def test_values_are_normal_with_the_covariance_of_the_process_and_the_transport_has_its_jacobian(process, informed):
    model: Any = zoo.poisson(counts(), f"y ~ x + {process}(t | id) + (1 | id)")
    if informed:
        model, start = parameterize(model, "auto")
        assert start is not None
        assert model.rvs_to_transforms[model["u_id:t"]].information is not None
    u = model["u_id:t"]
    z = model.rvs_to_values[u].name
    point = row_models.random_point(model, 2)
    terms = [model.logp(vars=[u], jacobian=jacobian) for jacobian in (False, True)]
    values, (plain, with_jacobian) = values_at(model, point, *terms)
    effects = values["u_id:t"][:, 0]
    of = covariance(model, process, values)
    np.testing.assert_allclose(plain, stats.multivariate_normal(cov=of).logpdf(effects), rtol=1e-9)
    run = row_models.function(model, model.replace_rvs_by_values([u]))
    J = row_models.jacobian(lambda x: run({**point, z: x[:, None]})[0].ravel(), point[z].ravel())
    np.testing.assert_allclose(with_jacobian - plain, np.linalg.slogdet(J)[1], rtol=1e-6)


def test_a_negative_autocorrelation_and_times_three_apart():
    d = counts().assign(t3=lambda d: 3 * d.t - 5)
    one, other = zoo.poisson(d, "y ~ x + ar1(t | id)"), zoo.poisson(d, "y ~ x + ar1(t3 | id)")
    point = row_models.random_point(one, 4) | {"ar1_id:t_interval__": np.array(-0.8)}
    values, (log_p,) = values_at(one, point, one.logp(vars=[one["u_id:t"]], jacobian=False))
    assert values["ar1_id:t"] < 0
    of = covariance(one, "ar1", values)
    np.testing.assert_allclose(log_p, stats.multivariate_normal(cov=of).logpdf(values["u_id:t"][:, 0]), rtol=1e-9)
    renamed = {name.replace("id:t", "id:t3"): value for name, value in point.items()}
    np.testing.assert_allclose(
        row_models.function(one, [one.logp()])(point), row_models.function(other, [other.logp()])(renamed)
    )


@pytest.mark.parametrize("process", ["ar1", "ou"])
def test_under_a_gaussian_likelihood_the_transport_is_the_posterior(process):
    """log p(y, u) + log|du/dz| falls as that of independent standard normal z, where sigma is what the approximation found."""
    rng = np.random.default_rng(5)
    d = counts().assign(y=lambda d: rng.normal(2.0, 1.0, len(d)) + d.id.str[1:].astype(float) / 3)
    base: Any = zoo.hierarchical_linear(d, f"y ~ {process}(t | id)")
    model, start = parameterize(base, "auto")
    assert start is not None
    z = model.rvs_to_values[model["u_id:t"]].name
    point = model.initial_point() | dict(start.point)
    log_p = row_models.function(model, [model.logp()])
    other = {**point, z: rng.normal(size=point[z].shape)}
    (at_zero,), (there,) = log_p({**point, z: np.zeros(point[z].shape)}), log_p(other)
    np.testing.assert_allclose(there - at_zero, -0.5 * np.sum(other[z] ** 2), rtol=1e-6)


def test_a_gaussian_process_beside_residuals_has_the_marginal_density_of_both():
    d = counts().assign(y=lambda d: d["size"])
    model: Any = zoo.hierarchical_linear(d, "y ~ x + ou(t | id)", center=False)
    point = row_models.random_point(model, 7)
    values, (of_u, of_y) = values_at(
        model, point, model.logp(vars=[model["u_id:t"]], jacobian=False), model.logp(vars=[model["y"]])
    )
    place = {level: i for i, level in enumerate(model.coords["id:t"])}
    at = np.array([place[f"{i}:{t}"] for i, t in zip(d.id, d.t, strict=True)])
    K, mean = covariance(model, "ou", values)[np.ix_(at, at)], values["Intercept"] + values["beta"][0] * d.x
    noise = values["sigma"] ** 2 * np.eye(len(d))
    joint = stats.multivariate_normal(mean, K + noise).logpdf(d.y)  # p(y) p(u | y) = p(u) p(y | u)
    gain = K @ np.linalg.inv(K + noise)
    given_y = stats.multivariate_normal(gain @ (d.y - mean), K - gain @ K, allow_singular=False)
    np.testing.assert_allclose(of_u + of_y, joint + given_y.logpdf(values["u_id:t"][at, 0]), rtol=1e-8)


@pytest.mark.slow
def test_the_likelihood_integrates_over_the_values_as_brute_force_does():
    """Over z by the transport in the graph, and over the values of each series by products of the Cholesky factor."""
    d = pd.DataFrame({"id": ["a", "a", "a", "b"], "t": [0, 1, 3, 1], "y": [0, 2, 6, 4]})
    model, start = parameterize(zoo.poisson(d, "y ~ ar1(t | id)", center=False), "auto")
    assert start is not None
    names = {rv.name: model.rvs_to_values[rv].name for rv in model.free_RVs}
    sd, rho, level = 0.9, 0.6, 0.5
    point = {**model.initial_point(), "Intercept": np.array(level)}
    variables = row_models.function(model, model.replace_rvs_by_values([model["sd_id:t"], model["ar1_id:t"]]))
    point[names["ar1_id:t"]] = np.array(np.log((1 + rho) / (1 - rho)))
    bent = model.rvs_to_transforms[model["sd_id:t"]].forward(np.array([sd]), *model["sd_id:t"].owner.inputs).eval()
    point[names["sd_id:t"]] = bent
    np.testing.assert_allclose(np.ravel(np.concatenate([np.ravel(v) for v in variables(point)])), [sd, rho])
    run = row_models.function(model, [model.logp(vars=[model["y"]]) + model.logp(vars=[model["u_id:t"]])])
    x, w = roots_hermitenorm(11)
    w = w / w.sum()
    grid = np.array(list(itertools.product(x, repeat=4)))
    weights = np.prod(np.array(list(itertools.product(w, repeat=4))), axis=1)
    z_name = names["u_id:t"]
    terms = [run({**point, z_name: z[:, None]})[0] + 0.5 * z @ z + 2 * np.log(2 * np.pi) for z in grid]
    ours = np.log(weights @ np.exp(terms))

    def alone(times: list[int], y: list[int]) -> float:
        apart = np.abs(np.subtract.outer(times, times))
        root = np.linalg.cholesky(sd**2 * rho**apart)
        x, w = roots_hermitenorm(41)
        nodes = np.array(list(itertools.product(x, repeat=len(times))))
        share = np.prod(np.array(list(itertools.product(w / w.sum(), repeat=len(times)))), axis=1)
        return np.log(share @ np.exp(stats.poisson(np.exp(level + nodes @ root.T)).logpmf(y).sum(axis=1)))

    np.testing.assert_allclose(ours, alone([0, 1, 3], [0, 2, 6]) + alone([1], [4]), rtol=1e-6)


@pytest.mark.parametrize(
    ("process", "extreme", "like"), [("ar1", 1e-9, "id:t"), ("ou", 1e-3, "id:t"), ("ou", 1e9, "id")]
)
def test_limits_are_independent_values_and_one_value_of_a_series(process, extreme, like):
    """Without correlation (1 | id:t); with a range far beyond the times all values of a series are one, (1 | id)."""
    model: Any = zoo.poisson(counts(), f"y ~ x + {process}(t | id)")
    of = np.array([str(level).split(":")[0] for level in model.coords["id:t"]])
    point = row_models.random_point(model, 3)
    name = model.rvs_to_values[model["ar1_id:t" if process == "ar1" else "range_id:t"]].name
    point[name] = np.array(2 * np.arctanh(extreme) if process == "ar1" else np.log(extreme))
    z = model.rvs_to_values[model["u_id:t"]].name
    values, (log_p,) = values_at(model, point, model.logp(vars=[model["u_id:t"]], jacobian=False))
    u, sd = values["u_id:t"][:, 0], values["sd_id:t"].item()
    if like == "id:t":
        np.testing.assert_allclose(log_p, stats.norm(0, sd).logpdf(u).sum(), rtol=1e-6)
    else:
        last = np.append(of[1:] != of[:-1], True)
        np.testing.assert_allclose(u, (sd * point[z][last, 0])[np.unique(of, return_inverse=True)[1]], atol=1e-3)


def test_draws_of_the_prior_have_the_correlation_of_the_process():
    priors = {"sd": "Uniform(1.999, 2.001)", "range": "Uniform(2.999, 3.001)", "Intercept": "Normal(0, 1)"}
    model: Any = zoo.poisson(counts(), "y ~ ou(t | id)", priors=priors)
    drawn = model_draws(model)
    u = drawn["u_id:t"].values[0, :, :, 0]
    K = covariance(model, "ou", {"sd_id:t": np.array(2.0), "range_id:t": np.array(3.0)})
    assert np.abs(np.cov(u.T) - K).max() < 0.6  # 4 standard errors of 2000 draws of variance 4 are 0.5


def model_draws(model: Any) -> Any:
    from glmm_zoo.inference.prior_draws import prior_as_fit

    return prior_as_fit(model, 2000, 1)["posterior"]


# ------------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ ar1(half | id)", r"takes whole numbers as times, and column 'half' has 3.5 \(rows? \d.*ou\(half \| id\)"),
        ("y ~ ou(word | id)", r"column 'word' is text \(one\) and ou\(word \| id\) needs numbers|has one level"),
        ("y ~ ar1(t | id) + (1 | id:t)", "are about the same values, one for each id:t; keep one"),
        ("y ~ ar1(t | id) + ou(t | id)", "are about the same values"),
        ("y ~ ar1(t | id/site)", "takes one grouping factor"),
        ("y ~ ar1(t, id)", r"takes a column of times and a grouping factor: ar1\(time \| g\)"),
        ("y ~ x - ar1(t | id)", "cannot be subtracted"),
        ("y ~ x:ar1(t | id)", r"ar1\(\) stands alone"),
        ("y ~ ar1(t | row)", "every row has one t, so that nothing tells"),
    ],
)  # fmt: skip
def test_a_formula_is_refused(formula, words):
    d = counts().assign(half=lambda d: d.t / 2, word="one", row=lambda d: np.arange(len(d)))
    with pytest.raises(InputError, match=words):
        zoo.poisson(d, formula)


def test_a_process_beside_correlated_residuals_or_further_outcomes_is_refused():
    d = counts()
    with pytest.raises(InputError, match=r"ar1\(t \| id\) and residual='ar1' both say"):
        zoo.hierarchical_linear(d, "size ~ ar1(t | id)", residual="ar1", within="id", time="t")
    with pytest.raises(InputError, match=r"ar1\(t \| id\) stands in models of one outcome"):
        zoo.joint_outcomes(d, ["y ~ ar1(t | id)", "size ~ x"], families=["poisson", "gamma"])
    with pytest.raises(InputError, match="this prior is not"):
        zoo.poisson(d, "y ~ ar1(t | id)", priors={"ar1": "Normal(0, 1)"})


def test_a_prior_is_set_by_factor_and_the_default_range_goes_by_the_gaps():
    model: Any = zoo.poisson(counts(), "y ~ ou(t | id)")
    gaps = [np.diff(np.sort(of.t)) for _, of in counts().groupby("id")]
    assert model.spec["priors"]["range_id:t"] == f"InverseGamma(1, {np.median(np.concatenate(gaps)):g})"
    given: Any = zoo.poisson(
        counts(), "y ~ ar1(t | id)", priors={"ar1[id:t]": "Uniform(0, 1)", "sd[id:t]": "HalfNormal(2)"}
    )
    assert given.spec["priors"]["ar1_id:t"] == "Uniform(0, 1)"
    assert given.spec["priors"]["sd_id:t"] == "HalfNormal(2)"


@pytest.mark.parametrize(
    ("builder", "formula", "options", "name"),
    [
        ("zero_inflated_poisson", "y ~ x", {"zi": "~ ar1(t | id)"}, "zi_ar1_id:t"),
        ("hierarchical_logistic", "ill ~ x + ou(t | id)", {}, "range_id:t"),
        ("gamma", "size ~ x", {"dispersion": "~ ar1(t | id)"}, "shape_ar1_id:t"),
        ("gamm", "y ~ s(x, k=4) + ar1(t | id)", {"family": "negative_binomial"}, "ar1_id:t"),
    ],
)  # fmt: skip
def test_every_predictor_of_a_model_of_one_outcome_takes_a_process(builder, formula, options, name):
    model: Any = row_models.builder(builder)(counts(), formula, **options)
    assert name in model.named_vars
    adapted, start = parameterize(model, "auto")
    compiled = compile_model(adapted, start)
    assert compiled.program is not None  # no falling back to JAX
    assert np.isfinite(compiled.value_and_gradient(compiled.start)[1]).all()


# ------------------------------------------------------------------------------------------------------------- estimands


@functools.cache
def fitted() -> xr.DataTree:
    return zoo.fit(zoo.poisson(counts(), "y ~ x + ar1(t | id)"), draws=100, tune=300, chains=2, seed=1)


def asked(**new: Any) -> Any:
    return zoo.predictions(
        fitted(), pd.DataFrame({"x": 0.0, **new}), groups="observed", scale="linear", unseen="population"
    )


def test_other_times_of_a_known_series_have_the_conditional_normal_distribution():
    """Between, before and after the times of the fit, by the formula of the multivariate normal distribution."""
    from glmm_zoo.estimands.fitted import read_fitted
    from glmm_zoo.estimands.group_choice import predictors_of_rows, read_group_choice
    from glmm_zoo.estimands.row_coding import Exposure
    from glmm_zoo.tables.frames import take_columns

    d, times = counts(), np.array([-2, 3, 6, 9])
    of = d[d.id == "s02"]
    seen = np.sort(of.t.to_numpy())
    new = pd.DataFrame({"x": 0.0, "id": "s02", "t": times})
    model = read_fitted(fitted(), 40)
    (outcome,) = model.outcomes.values()
    rows = outcome.coding.code(take_columns(new, ["x", "id", "t"]), Exposure())
    choice = read_group_choice("observed", "error", outcome.coding.factors, 0)
    found = predictors_of_rows(rows, choice, model.draws.size)[0][""]
    level = [list(model.tree["posterior"]["id:t"].values).index(f"s02:{t}") for t in seen]
    for s in range(0, model.draws.size, 7):
        sd, rho = model.draws["sd_id:t"][s, 0], model.draws["ar1_id:t"][s]
        K = lambda a, b: sd**2 * rho ** np.abs(np.subtract.outer(a, b)).astype(float)  # noqa: B023, E731
        gain = K(times, seen) @ np.linalg.inv(K(seen, seen))
        mean = model.draws["Intercept"][s] + gain @ model.draws["u_id:t"][s, level, 0]
        np.testing.assert_allclose(found.mean[s], mean, rtol=1e-6)
        left = np.diag(K(times, times) - gain @ K(seen, times))
        np.testing.assert_allclose(found.variance[s], np.where(np.isin(times, seen), 0.0, left), rtol=1e-6, atol=1e-9)


def test_times_are_known_by_their_value_and_other_series_are_integrated_over():
    as_text = asked(id=["s02"], t=[float(counts()[counts().id == "s02"].t.min())])
    whole = asked(id=["s02"], t=[int(counts()[counts().id == "s02"].t.min())])
    assert as_text.table["median"].tolist() == whole.table["median"].tolist()
    alone = asked(id=["nobody"], t=[3])
    population = zoo.predictions(fitted(), pd.DataFrame({"x": [0.0]}), scale="linear")
    np.testing.assert_allclose(alone.table["median"], population.table["median"])
    assert (
        "ar1(t | id) as each id has it, at other times than the fit's by its distribution given these" in alone.sentence
    )
    assert "with ar1(t | id) of a new id integrated over" in population.sentence


def test_the_average_of_a_population_has_the_marginal_sd():
    posterior = fitted()["posterior"].dataset
    found = zoo.predictions(fitted(), pd.DataFrame({"x": [0.0]}), draws=200)
    by_hand = np.exp(posterior["Intercept"] + 0.5 * posterior["sd_id:t"][..., 0] ** 2)
    np.testing.assert_allclose(found.table["median"], np.median(by_hand), rtol=1e-6)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: zoo.predictions(fitted(), groups="new"), r"'new' draws one level, and a new id has a value of ar1\(t \| id\) for each t"),
        (lambda: zoo.slopes(fitted(), "t", groups="observed"), r"has values at steps of 1, and rows are between them.*fit ou\(t \| id\)"),
        (lambda: zoo.loo(fitted(), level="id:t"), r"level= is not there where values of ar1\(t \| id\) are correlated over time"),
        (
            lambda: zoo.predictions(fitted(), pd.DataFrame({"x": [0.0], "id": ["nobody"], "t": [1]}), groups="observed"),
            r"no series of ar1\(t \| id\) for row 1; unseen='population' integrates over its values",
        ),
    ],
)  # fmt: skip
def test_an_estimand_is_refused(ask, words):
    with pytest.raises(InputError, match=words):
        ask()


def test_the_page_tells_of_the_process(tmp_path):
    zoo.write_report(fitted(), tmp_path / "fit.html")
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", (tmp_path / "fit.html").read_text()))
    for words in (
        "a shift u that changes over t within each id",
        "Two shifts of one id a step of 1 in t apart have the correlation",
        "a first-order autoregressive process over t within each id",
        "Correlations of values one step of t apart from −0.95 to 0.95",
        "The autocorrelation over one step of t within one id was",
        "Autocorrelations of one step",
    ):
        assert words in page, words
    assert "random intercept for each combination" not in page
    assert "caterpillar" not in Catalogue(fitted()).entries  # values over time are no groups to be sorted


def test_a_file_knows_the_process_and_its_model_can_be_built_again(tmp_path):
    zoo.save(fitted(), tmp_path / "fit.nc")
    tree = zoo.load(tmp_path / "fit.nc")
    assert zoo.model_of(tree).spec["groups"] == fitted_spec()["groups"]
    assert fitted_spec()["groups"]["id:t"]["process"] == {
        "kind": "ar1", "parameter": "ar1_id:t", "of": "id", "time": "t", "series": 12, "step": 1.0,
    }  # fmt: skip
    np.testing.assert_allclose(zoo.r2(tree).loc["Bayesian R2 with group effects", "mean"], zoo.r2(fitted()).iloc[0, 0])


def fitted_spec() -> dict[str, Any]:
    from glmm_zoo.results.storage import metadata

    return metadata(fitted())["spec"]
