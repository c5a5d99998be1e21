"""Correlated residuals of repeated measures: densities, limits, draws, estimands and what is refused."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import row_models
import xarray as xr
from data_sets import data_set
from reference_posteriors import MONTHS, reference
from rows import repeated
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.inference.compile import compile_model

TIMES = {"unstructured": "month", "car1": "month", "compound": "month", "compoundh": "month"}
STRUCTURES = ("unstructured", "ar1", "ar1h", "car1", "compound", "compoundh", "toeplitz", "toeplitzh")
WITHIN: dict[str, Any] = {"within": "subject"}


def trial() -> pd.DataFrame:
    return data_set("HSAUR3_BtheB.csv")


def subject_sums(frame: pd.DataFrame, logp: Any) -> np.ndarray:
    return np.array([logp(rows) for _, rows in frame.groupby("subject")])


def matrix(structure: str, p: dict[str, np.ndarray], rows: pd.DataFrame) -> np.ndarray:
    """Correlations of the rows of one subject, by hand."""
    visit, month = rows.visit.to_numpy() - 1, rows.month.to_numpy()
    apart = np.abs(np.subtract.outer(visit, visit))
    if structure == "unstructured":
        return p["corr_residual"][np.ix_(visit, visit)]
    if structure.startswith("toeplitz"):
        return np.append(1.0, p["rho"])[apart]
    if structure == "car1":
        return p["rho"] ** np.abs(np.subtract.outer(month, month))
    return np.where(apart == 0, 1.0, p["rho"]) if structure.startswith("compound") else p["rho"] ** apart


@functools.cache
def model_of(structure: str, formula: str = MONTHS, **options: Any) -> Any:
    time = TIMES.get(structure, "visit")
    return zoo.hierarchical_linear(trial(), formula, residual=structure, time=time, **WITHIN, **options)


def values_at(model: Any, point: Any) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """All variables, the linear predictor and the log-likelihood of each subject."""
    variables = [*model.free_RVs, *model.deterministics]
    run = row_models.function(
        model,
        [
            *model.replace_rvs_by_values([*variables, model.linear[""].eta]),
            *model.logp(vars=model.observed_RVs, sum=False),
        ],
    )
    *values, eta, pointwise = run(point)
    return {v.name: x for v, x in zip(variables, values, strict=True)}, eta, pointwise


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_is_the_multivariate_normal_of_each_subject(structure):
    frame, model = trial(), model_of(structure)
    for seed in (1, 2):
        p, eta, pointwise = values_at(model, row_models.random_point(model, seed))

        def logp(rows: pd.DataFrame, p: Any = p, eta: Any = eta) -> float:
            sd = p["sigma"][rows.visit.to_numpy() - 1] if p["sigma"].ndim else np.full(len(rows), p["sigma"])
            law = stats.multivariate_normal(eta[rows.index], np.outer(sd, sd) * matrix(structure, p, rows))
            return float(law.logpdf(rows.bdi.to_numpy()))

        np.testing.assert_allclose(pointwise, subject_sums(frame, logp), rtol=1e-9)


@pytest.mark.parametrize("structure", ["ar1", "toeplitz"])
def test_correlations_may_be_negative(structure):
    model = model_of(structure)
    point = row_models.random_point(model, 1) | {
        model.rvs_to_values[rv].name: np.full(np.shape(model.initial_point()[model.rvs_to_values[rv].name]), -1.0)
        for rv in model.free_RVs if rv.name in ("rho", "partial_rho")
    }  # fmt: skip
    p, eta, pointwise = values_at(model, point)
    assert np.ravel(p["rho"])[0] < -0.3

    def logp(rows: pd.DataFrame) -> float:
        law = stats.multivariate_normal(eta[rows.index], p["sigma"] ** 2 * matrix(structure, p, rows))
        return float(law.logpdf(rows.bdi.to_numpy()))

    np.testing.assert_allclose(pointwise, subject_sums(trial(), logp), rtol=1e-9)


@pytest.mark.parametrize("structure", ["unstructured", "ar1", "ar1h", "car1", "compound", "toeplitz"])
def test_the_likelihood_at_the_maximum_is_that_of_gls(structure):
    """Every free variable is set to nlme's estimate, in R's coding of the columns."""
    gls = reference("beat_the_blues_maximum")["parameters"][structure]
    model = model_of(structure, center=False)
    r, sds = np.array(gls["correlations"]), np.array(gls["sds"])
    R = np.eye(4)
    R[np.tril_indices(4, -1)] = [r[0], r[1], r[3], r[2], r[4], r[5]]
    R = R + R.T - np.eye(4)
    at = {
        "Intercept": gls["coefficients"][0], "beta": np.array(gls["coefficients"][1:]),
        "sigma": sds if model["sigma"].ndim else sds[0], "rho": r[0], "rho_at_gap": r[0], "partial_rho": partial(R[0])[1:],
        "pcorr_residual": (1 + partial_of_pairs(R)) / 2,
    }  # fmt: skip
    transformed = {}
    for rv in model.free_RVs:
        transform, value = model.rvs_to_transforms[rv], model.rvs_to_values[rv]
        x = np.asarray(at[rv.name], float)
        transformed[value.name] = x if transform is None else transform.forward(x, *rv.owner.inputs).eval()
    if structure == "car1":  # the estimate is for one month, and the middle gap is two
        (value,) = (model.rvs_to_values[rv] for rv in model.free_RVs if rv.name == "rho_at_gap")
        transformed[value.name] = stats.logistic.ppf(r[0] ** gap_of(trial()))
    total = values_at(model, transformed)[2].sum()
    assert total == pytest.approx(gls["logLik"], abs=2e-4)  # six digits of the estimates


def gap_of(frame: pd.DataFrame) -> float:
    return float(frame.sort_values(["subject", "month"]).groupby("subject").month.diff().median())


def partial(row: np.ndarray) -> np.ndarray:
    """Partial autocorrelations of a first row of a Toeplitz matrix, the first of them 1, by solving for the last coefficient."""
    T = lambda k: row[np.abs(np.subtract.outer(range(k), range(k)))]  # noqa: E731
    return np.array([1.0, *(np.linalg.solve(T(k), row[1 : k + 1])[-1] for k in range(1, len(row)))])


def partial_of_pairs(R: np.ndarray) -> np.ndarray:
    """Partial correlations of i and j given those before j, (1, 0), (2, 0), (2, 1), ..., by inverting submatrices."""
    found = []
    for i in range(1, len(R)):
        for j in range(i):
            at = [*range(j), j, i]
            inverse = np.linalg.inv(R[np.ix_(at, at)])
            found.append(-inverse[-1, -2] / np.sqrt(inverse[-1, -1] * inverse[-2, -2]))
    return np.array(found)


# ----------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("structure", ["unstructured", "ar1", "car1", "compound", "toeplitz"])
def test_without_correlation_rows_are_independent(structure):
    model, plain = model_of(structure), zoo.hierarchical_linear(trial(), MONTHS)
    point = row_models.random_point(model, 3)
    for rv in model.free_RVs:
        name = model.rvs_to_values[rv].name
        if rv.name == "rho_at_gap" or (rv.name == "rho" and structure == "compound"):
            point[name] = np.array(-80.0)
        elif "rho" in rv.name or rv.name == "pcorr_residual":
            point[name] = np.zeros_like(point[name])
        elif rv.name == "sigma":
            point[name] = np.full_like(point[name], 2.0)
    rows = row_models.function(plain, plain.logp(vars=plain.observed_RVs, sum=False))
    alone = rows({name: point[name] if np.ndim(value) == np.ndim(point[name]) else np.array(2.0)
                  for name, value in plain.initial_point().items()})[0]  # fmt: skip
    expected = subject_sums(trial(), lambda rows: alone[rows.index].sum())
    np.testing.assert_allclose(values_at(model, point)[2], expected, rtol=1e-9)


def test_compound_is_a_random_intercept_with_its_effects_integrated_out():
    """sd_id^2 = rho sigma^2 and what is left of sigma: by the normal integral of each subject, 61 nodes."""
    model, frame = model_of("compound"), trial()
    (name,) = (model.rvs_to_values[rv].name for rv in model.free_RVs if rv.name == "sigma")
    p, eta, pointwise = values_at(model, row_models.random_point(model, 5) | {name: np.log(np.array(9.0))})
    x, w = np.polynomial.hermite_e.hermegauss(61)
    sd, left = p["sigma"] * np.sqrt(p["rho"]), p["sigma"] * np.sqrt(1 - p["rho"])

    def integral(rows: pd.DataFrame) -> float:
        given = stats.norm.logpdf(rows.bdi.to_numpy(), eta[rows.index] + sd * x[:, None], left).sum(axis=1)
        return float(np.log(np.exp(given - given.max()) @ w / w.sum()) + given.max())

    np.testing.assert_allclose(pointwise, subject_sums(frame, integral), rtol=1e-6)


def test_ar1_and_car1_agree_at_visits_one_unit_apart():
    ar1, car1 = model_of("ar1"), zoo.hierarchical_linear(trial(), MONTHS, residual="car1", time="visit", **WITHIN)
    point = row_models.random_point(car1, 2)
    rho = values_at(car1, point)[0]["rho"]
    (name,) = (ar1.rvs_to_values[rv].name for rv in ar1.free_RVs if rv.name == "rho")
    same = {k: v for k, v in point.items() if k in ar1.initial_point()} | {name: np.log1p(rho) - np.log1p(-rho)}
    np.testing.assert_allclose(values_at(ar1, same)[2], values_at(car1, point)[2], rtol=1e-10)


def test_the_formula_of_dispersion_stands_for_sds_by_visit():
    by_formula = model_of("unstructured", dispersion="~ 0 + C(month)")
    point = row_models.random_point(by_formula, 4)
    p, _, pointwise = values_at(by_formula, point)
    plain = model_of("unstructured")
    (name,) = (plain.rvs_to_values[rv].name for rv in plain.free_RVs if rv.name == "sigma")
    same = {k: v for k, v in point.items() if k in plain.initial_point()} | {name: p["sigma_beta"]}
    np.testing.assert_allclose(values_at(plain, same)[2], pointwise, rtol=1e-10)


# ------------------------------------------------------------------------------------------------------------- simulation


@pytest.mark.parametrize(
    "structure",
    ["ar1", "compound", *(pytest.param(s, marks=pytest.mark.slow) for s in ("unstructured", "car1", "toeplitz"))],
)
def test_draws_have_the_covariance_of_the_structure(structure):
    frame, model, draws = trial(), model_of(structure), 4000
    p, eta, _ = values_at(model, row_models.random_point(model, 7, 0.4))
    one = {v.name: row_models.labelled(model, v.name, p[v.name]) for v in model.unobserved_RVs}
    tree = xr.DataTree.from_dict(
        {"posterior": xr.Dataset({n: v.expand_dims(chain=[0], draw=range(draws)) for n, v in one.items()})}
    )
    drawn = pm.sample_posterior_predictive(tree, model=model, random_seed=1, progressbar=False).posterior_predictive
    y = drawn.dataset["bdi"].values[0] - eta
    whole = [rows for _, rows in frame.groupby("subject") if len(rows) == 4]
    found = np.mean([np.cov(y[:, rows.index].T) for rows in whole], axis=0)
    sd = np.broadcast_to(p["sigma"], 4)
    expected = np.outer(sd, sd) * matrix(structure, p, whole[0])
    np.testing.assert_allclose(found, expected, atol=5 * expected.max() / np.sqrt(draws * len(whole)))
    others = np.corrcoef(y[:, [rows.index[0] for rows in whole]].T) - np.eye(len(whole))
    assert np.abs(others).max() < 5 / np.sqrt(draws)


# ---------------------------------------------------------------------------------------------------------------- fits


@functools.cache
def fitted(structure: str) -> xr.DataTree:
    return zoo.fit(model_of(structure), draws=200, tune=300, chains=2, seed=1, progress=False)


def test_contrasts_at_every_visit_are_sums_of_coefficients():
    tree = fitted("unstructured")
    beta = tree["posterior"].dataset["beta"]
    found = zoo.comparisons(tree, "treatment", by="month", draws=400)
    for month, value in zip((2, 3, 5, 8), found.table["mean"], strict=True):
        more = beta.sel(coef=f"treatment[BtheB]:month[{month}]").mean().item() if month > 2 else 0.0
        assert value == pytest.approx(beta.sel(coef="treatment[BtheB]").mean().item() + more, abs=1e-9)
    change = zoo.comparisons(tree, "month", by="treatment", draws=400).table
    usual = change[change["treatment"] == "TAU"].set_index("contrast")["mean"]
    assert usual["8 vs 2"] == pytest.approx(beta.sel(coef="month[8]").mean().item(), abs=1e-9)


def test_new_observations_have_the_sd_of_their_visit():
    tree = fitted("unstructured")
    sd = zoo.predictions(tree, scale="response", draws=400).table["sd"].groupby(trial()["month"]).mean()
    sigma = tree["posterior"].dataset["sigma"].mean(("chain", "draw")).values
    np.testing.assert_allclose(sd, sigma, rtol=0.08)


def test_a_subject_is_left_out_and_no_other_level():
    tree = fitted("unstructured")
    loo = zoo.loo(tree)
    assert list(loo.table["subject"]) == [str(s) for s in sorted(trial()["subject"].unique())]
    with pytest.raises(InputError, match=r"residuals are correlated; loo\(\) leaves out one subject at a time"):
        zoo.loo(tree, level="subject")
    assert 0 < zoo.r2(tree).loc["Nakagawa marginal R2", "mean"] < 1


def test_findings_and_answer_are_of_visits(tmp_path):
    zoo.save(fitted("unstructured"), tmp_path / "fit.nc")
    tree = zoo.load(tmp_path / "fit.nc")
    finding = zoo.findings(tree)["residuals"]
    posterior = tree["posterior"].dataset
    assert finding.tables["standard deviation"].loc["5", "median"] == pytest.approx(
        posterior["sigma"].sel(month="5").median().item()
    )
    assert finding.tables["correlation"].loc["3", "8"] == pytest.approx(
        posterior["corr_residual"].sel(month="3", month_bis="8").median().item()
    )
    page = tmp_path / "fit.html"
    zoo.write_report(tree, page)
    text = re.sub(r"<[^>]+>", "", page.read_text())
    assert "each pair of months has a correlation ρ of its own, and each month has a σ of its own" in text
    assert "280 rows, 97 subjects" in text and "with month 8" in text
    assert "an unstructured correlation of the residuals of each subject over month" in text


@pytest.mark.parametrize(("structure", "lag"), [("ar1", [0.7, 0.49, 0.343]), ("toeplitz", [0.6, 0.3, 0.2])])
def test_correlations_of_findings_go_by_lag(structure, lag):
    tree = fitted(structure).copy()
    rho = tree["posterior"].dataset["rho"]
    value = (
        xr.full_like(rho, 0.7) if rho.ndim == 2 else rho * 0 + xr.DataArray(lag, dims="lag", coords={"lag": rho["lag"]})
    )
    tree["posterior"] = xr.DataTree(tree["posterior"].dataset.assign(rho=value))
    table = zoo.findings(tree)["residuals"].tables["correlation"]
    np.testing.assert_allclose(table.loc["1"].to_numpy(), [1.0, *lag])


def test_the_sampler_finds_the_truth_beside_group_effects():
    rng = np.random.default_rng(5)
    n, T = 150, 4
    d = pd.DataFrame({"id": np.repeat(np.arange(n), T), "visit": np.tile(np.arange(T), n)}).assign(
        site=lambda d: d.id % 10
    )
    R = 0.7 ** np.abs(np.subtract.outer(range(T), range(T)))
    d["x"] = rng.normal(size=len(d))
    d["y"] = rng.multivariate_normal(np.zeros(T), R, n).ravel() * 2 + 1 + 0.5 * d.x + rng.normal(0, 1, 10)[d.site]
    d = d[rng.random(len(d)) > 0.15]
    model = zoo.hierarchical_linear(d, "y ~ x + (1 | site)", residual="ar1", time="visit", within="id")
    tree = zoo.fit(model, draws=300, chains=2, seed=2, progress=False)
    assert zoo.check(tree).sound
    summary = zoo.summary(tree)
    for name, truth in (("beta[x]", 0.5), ("sigma", 2.0), ("rho", 0.7)):
        assert abs(summary.loc[name, "mean"] - truth) < 4 * summary.loc[name, "sd"], name
    assert "icc[site]" in summary.index


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_kernel_knows_every_structure(structure):
    assert compile_model(model_of(structure)).program is not None


# ------------------------------------------------------------------------------------------------------------- refusals


def of(**changes: Any) -> Any:
    options = {"residual": "unstructured", "time": "visit", "within": "id", **changes}
    frame, formula = options.pop("frame", repeated()), options.pop("formula", "y ~ x")
    return lambda: zoo.hierarchical_linear(frame, formula, **options)


WRONG = {
    "structure": (of(residual="ar2"), r"unknown residual 'ar2'; did you mean .*known: unstructured, toeplitz, ar1"),
    "no time": (of(time=None), r"residual='unstructured' needs time=, the column of the visits \(--option time=NAME\)"),
    "no subjects": (of(within=None), r"needs within=, the column of the subjects whose residuals are correlated"),
    "column": (of(within="idd"), r"within='idd' is no column of the data; did you mean 'id'"),
    "time alone": (of(residual=None, within=None), r"time= and within= are for correlated residuals; say how"),
    "twice": (
        of(frame=repeated().assign(visit=lambda d: d.visit.replace(7, 4))),
        r"id 's\d+' has two rows at visit 4 \(rows \d+, \d+\); residual='unstructured' takes one row of a subject at each visit",
    ),
    "one visit": (
        of(frame=repeated().assign(visit=1).drop_duplicates("id")), r"column 'visit' has one visit only, 1; .* two visits or more",
    ),
    "one row each": (of(frame=repeated().drop_duplicates("id")), r"every id has one row, so that no residuals are of one subject"),
    "unequal": (
        of(residual="ar1"),
        r"column 'visit' has visits at 1, 2, 4, 7, which are not equally far apart, and residual='ar1' counts visits; "
        r"residual='car1' goes by the time between them",
    ),
    "alphabet": (
        of(residual="toeplitz", frame=repeated().assign(visit=lambda d: "week " + d.visit.astype(str))),
        r"column 'visit' is text, .* whose order is the alphabet's, and residual='toeplitz' needs that of time",
    ),
    "time of text": (of(residual="car1", frame=repeated().assign(visit=lambda d: "w" + d.visit.astype(str))), r"is text .* needs numbers"),
    "many visits": (
        of(frame=pd.DataFrame({"id": np.arange(60) % 2, "visit": np.arange(60) // 2, "x": 0.1, "y": np.arange(60.0) % 7})
           .assign(x=lambda d: d.y**2)),
        r"residual='unstructured' takes at most 20 visits, and column 'visit' has 30; 'ar1', 'car1' and 'compound' take any number",
    ),
    "intercepts": (
        of(formula="y ~ x + (1 | id)"), r"\(1 \| id\) and residual='unstructured' say the same thing of each id",
    ),
    "prior": (of(residual="car1", priors={"rho": "Normal(0, 1)"}), r"prior rho = Normal\(0, 1\): rho is a number between 0 and 1"),
}  # fmt: skip


@pytest.mark.parametrize(("build", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_an_ordered_factor_has_the_order_of_its_levels():
    weeks = repeated().assign(
        visit=lambda d: pd.Categorical("week " + d.visit.astype(str), [f"week {v}" for v in (7, 4, 2, 1)], ordered=True)
    )
    model = zoo.hierarchical_linear(weeks, "y ~ x", residual="ar1h", time="visit", within="id")
    assert model.coords["visit"] == ("week 7", "week 4", "week 2", "week 1")
