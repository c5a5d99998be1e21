"""Truncated and censored responses: limits, what is refused, and what is told of a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.families.partly_observed import partly_observed
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.terms import Expression, Response
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.report.page import write_report
from glmm_zoo.results.censored_values import censored_values
from glmm_zoo.results.predicted_rows import predicted_rows

LIMIT = -0.2


def visits() -> pd.DataFrame:
    """12 groups of 10; k are counts, y numbers of which those below a limit stand at it."""
    rng, g = np.random.default_rng(1), np.repeat(np.arange(12), 10)
    x = rng.normal(size=120)
    eta = 0.3 + 0.4 * x + 0.4 * rng.normal(size=12)[g]
    y = eta + 0.8 * rng.normal(size=120)
    return pd.DataFrame(
        {
            "x": x, "g": g.astype(str), "k": rng.poisson(np.exp(eta)), "y": np.maximum(y, LIMIT),
            "c": np.where(y < LIMIT, "left", "none"), "z": np.maximum(y, LIMIT) + 1,
        }
    )  # fmt: skip


def log_likelihood(model, at) -> np.ndarray:
    return row_models.function(model, model.logp(vars=model.observed_RVs, sum=False))(at)[0]


# -------------------------------------------------------------------------------------------------------------- limits


def test_where_nothing_is_censored_or_cut_off_it_is_the_plain_model() -> None:
    d = visits().assign(c="none")
    for formula in ("y | cens(c) ~ x", "y | cens(c, z) ~ x", "y | trunc(lb = -99, ub = 99) ~ x"):
        seen, plain = zoo.hierarchical_linear(d, formula), zoo.hierarchical_linear(d, "y ~ x")
        at = plain.initial_point()
        np.testing.assert_allclose(log_likelihood(seen, at), log_likelihood(plain, at), rtol=1e-10)


def test_ways_to_say_how_values_are_censored_are_one() -> None:
    d = visits()
    codes = {"none": 0, "left": -1}
    ways = [d, d.assign(c=d.c.map(codes)), d.assign(y=-d.y, x=-d.x, c=d.c == "left")]
    models = [zoo.hierarchical_linear(w, "y | cens(c) ~ 0 + x", priors={"beta": "Normal(0, 1)"}) for w in ways]
    at = models[0].initial_point() | {"beta": np.array([0.4])}
    first, *others = (log_likelihood(m, at) for m in models)
    for other in others:  # right-censored is left-censored of the negative
        np.testing.assert_allclose(other, first, rtol=1e-12)


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("builder", "formula", "change", "said"),
    [
        ("poisson", "k | trunc(lb = 1) ~ x", {}, r"response 'k' is truncated to values from 1 on; \d+ values not \(0, rows? \d+.*correct the bounds of trunc"),
        ("hierarchical_linear", "y | trunc(ub = 1) ~ x", {}, r"truncated to values up to 1; \d+ values not \(1\.\d+, rows? "),
        ("hierarchical_linear", "y | trunc(lb = log(x)) ~ x", {}, r"trunc\(\) takes numbers or columns, trunc\(lb = 1\) or trunc\(lb = 0, ub = limit\), not lb=log\(x\)"),
        ("hierarchical_linear", "y | trunc(lb = low) ~ x", {"low": [9, *[-9] * 119]}, r"response 'y' is truncated to values from low on; 1 value not \([-\d.]+, row 1, where they go from 9 on\); correct"),
        ("hierarchical_linear", "y | trunc(low, high) ~ x", {"low": -9, "high": [*[9] * 118, -9, -10]}, "trunc\\(\\) needs lb below ub .from low to high.; rows 119, 120 have -9 and -9"),
        ("hierarchical_linear", "y | trunc(low, low) ~ x", {"low": -9}, "needs lb below ub, not low and low"),
        ("hierarchical_linear", "y | trunc(lb = low) ~ x", {"low": "a"}, "'low'"),
        ("hierarchical_linear", "y | trunc(lb = low) ~ x", {"low": [None, *[-9] * 119]}, "'low' has 1 missing value .row 1"),
        ("hierarchical_linear", "y | trunc(lb = lo) ~ x", {"low": -9}, "no column 'lo'.*'low'"),
        ("hierarchical_linear", "y | trunc(3, 1) ~ x", {}, "needs lb below ub, not 3 and 1"),
        ("hierarchical_linear", "y | trunc() ~ x", {}, r"trunc\(\) is empty; write trunc\(lb = 1\)"),
        ("hierarchical_linear", "y | trunc(1) + trunc(2) ~ x", {}, r"trunc\(\) stands twice"),
        ("hierarchical_linear", "y | cens(c + 1) ~ x", {}, r"cens\(\) takes a column that says how each value is censored"),
        ("hierarchical_linear", "y | cens(c) ~ x", {"c": ["below", *["none"] * 119]}, r"column 'c' says how values are censored: none, left, right or interval, or 0, -1, 1 or 2; 'below' stands in row 1"),
        ("hierarchical_linear", "y | cens(c) ~ x", {"c": [3, *[0] * 119]}, "3 stands in row 1"),
        ("hierarchical_linear", "y | cens(c) ~ x", {"c": [2, *[0] * 119]}, r"censored in intervals \(row 1\), whose upper ends are a second column: cens\(c, y2\)"),
        ("hierarchical_linear", "y | cens(c, z) ~ x", {"c": [2, *[0] * 119], "z": -9.0}, "column 'z' has the upper ends of intervals that begin at 'y'; row 1 has -9 above"),
        ("hierarchical_linear", "y | cens(c, z) ~ x", {"c": [2, *[0] * 119], "z": np.nan}, "row 1 has missing above"),
        ("hierarchical_logistic", "up | cens(c) ~ x", {"up": [0, 1] * 60}, r"cens\(\) is not there for family 'binomial'; families that have it: gaussian, student_t"),
        ("hurdle_poisson", "k | trunc(lb = 1) ~ x", {}, r"trunc\(\) is not there for family 'hurdle_poisson'"),
    ],
)  # fmt: skip
def test_what_is_refused(builder: str, formula: str, change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        getattr(zoo, builder)(visits().assign(**change), formula)


def test_models_whose_rows_are_not_independent_refuse_them() -> None:
    d = visits().assign(t=np.tile(np.arange(10), 12), n=5)
    with pytest.raises(InputError, match="leave them out here"):
        zoo.hierarchical_linear(d, "y | cens(c) ~ x", residual="ar1", time="t", within="g")
    with pytest.raises(InputError, match="leave them out here"):
        zoo.never_at_risk(d, "k | trunc(ub = 99) ~ x", subject="g", family="poisson")
    of_both = {"families": ["gaussian", "gaussian"]}
    with pytest.raises(InputError, match=r"trunc\(\) is for models of one outcome, and 'y' is one of several"):
        zoo.joint_outcomes(d, ["y | trunc(ub = 99) ~ x + (1 |p| g)", "z ~ x + (1 |p| g)"], **of_both)
    with pytest.raises(InputError, match=r"leave it out, or the cens\(\) of 'y'"):
        zoo.joint_outcomes(d, ["y | cens(c) ~ x", "z ~ x"], residual_correlation=True, **of_both)


@pytest.mark.parametrize("builder", ["gamma", "student_t"])
def test_known_slopes_of_tails_are_those_of_their_values(builder: str) -> None:
    d = visits().assign(w=lambda d: np.exp(d.y))
    for formula in ("w | trunc(lb = 0.5, ub = 99) ~ x", "w | cens(c) ~ x"):
        compiled = compile_model(getattr(zoo, builder)(d, formula))
        assert compiled.program is not None
        x = np.random.default_rng(1).normal(0, 0.7, compiled.size)
        value, gradient = compiled.value_and_gradient(x)
        for i, step in enumerate(1e-4 * np.eye(compiled.size)):
            ahead = [compiled.value_and_gradient(x + k * step)[0] for k in (-2, -1, 1, 2)]
            slope = np.dot([1, -8, 8, -1], ahead) / 12e-4
            assert gradient[i] == pytest.approx(slope, rel=1e-8, abs=1e-8 * abs(value))


@pytest.mark.slow
@pytest.mark.parametrize("builder", ["gamma", "student_t"])
def test_known_slopes_of_tails_are_those_that_jax_takes(builder: str) -> None:
    """It goes back through the values."""
    d = visits().assign(w=lambda d: np.exp(d.y))
    model, rng = getattr(zoo, builder)(d, "w | trunc(lb = 0.5, ub = 99) ~ x"), np.random.default_rng(1)
    ours, of_jax = (compile_model(model, backend=backend) for backend in ("kernel", "jax"))
    for _ in range(3):
        x = rng.normal(0, 0.7, ours.size)
        (value, gradient), (again, slopes) = ours.value_and_gradient(x), of_jax.value_and_gradient(x)
        assert value == pytest.approx(again, rel=1e-12)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-7)


# -------------------------------------------------------------------------------------------------- bounds of the rows

FAMILIES_WITH_BOUNDS = {
    "hierarchical_linear": "y", "student_t": "y", "lognormal": "w", "gamma": "w", "weibull": "w", "poisson": "k", "negative_binomial": "k",
}  # fmt: skip


@pytest.mark.parametrize(("builder", "y"), FAMILIES_WITH_BOUNDS.items())
def test_every_row_has_its_own_bounds(builder: str, y: str) -> None:
    """Density, means, variances and draws of each row are those of a model whose bounds are these numbers."""
    d = visits().assign(w=lambda d: np.exp(d.y / 4), even=lambda d: np.arange(len(d)) % 2 == 0)
    lows, highs = (
        (-4.0, -6.0) if y == "y" else (0.1, 0.05) if y == "w" else (1.0, 0.0),
        (9.0, 7.0) if y != "k" else (30.0, 25.0),
    )
    d = d.assign(low=np.where(d.even, *lows), high=np.where(d.even, *highs))
    d = d[(d[y] >= d.low) & (d[y] <= d.high)].reset_index(drop=True)
    assert len(d) > 60
    whole = getattr(zoo, builder)(d, f"{y} | trunc(low, high) ~ x")
    at = row_models.random_point(whole, 4)
    found = log_likelihood(whole, at)
    family = partly_observed(
        FAMILIES[whole.spec["family"]], Response(Expression("column", y, (y,), "{0}"), bounds=("low", "high"))
    )
    eta, rng = np.linspace(-0.5, 1.0, 6).reshape(3, 2), np.random.default_rng(1)
    own = {"sigma": 0.7, "nu": 7.0, "shape": 2.0, "alpha": 1.5}
    own = {o.name: np.full((3, 1), own[o.name]) for o in family.own}
    rows = {"lb": np.array(lows), "ub": np.array(highs)}
    mean, variance = family.moments(eta, {**own, **rows}, whole.spec["link"])
    drawn = family.draw(
        rng, np.tile(eta[1], (4000, 1)), {**{n: x[:1] for n, x in own.items()}, **rows}, whole.spec["link"]
    )
    for k, numbers in enumerate(zip(lows, highs, strict=True)):
        text = f"{y} | trunc({numbers[0]}, {numbers[1]}) ~ x"
        alone = getattr(zoo, builder)(d[(d[y] >= numbers[0]) & (d[y] <= numbers[1])], text, center=False)
        other = getattr(zoo, builder)(d, f"{y} | trunc(low, high) ~ x", center=False)
        places = ((d.even if k == 0 else ~d.even)[(d[y] >= numbers[0]) & (d[y] <= numbers[1])]).to_numpy()
        of_all = (d.even if k == 0 else ~d.even).to_numpy()
        point = row_models.random_point(other, 4)
        np.testing.assert_allclose(
            log_likelihood(other, point)[of_all], log_likelihood(alone, point)[places], rtol=1e-9
        )
        constant = partly_observed(FAMILIES[whole.spec["family"]], parse_formula(text).response)
        np.testing.assert_allclose(
            [mean[:, k], variance[:, k]], [m[:, k] for m in constant.moments(eta, own, whole.spec["link"])], rtol=1e-9
        )
        assert drawn[:, k].min() >= numbers[0] and drawn[:, k].max() <= numbers[1]
        np.testing.assert_allclose(drawn[:, k].mean(), mean[1, k], atol=4 * np.sqrt(variance[1, k] / 4000))
    assert np.isfinite(found).all()


@pytest.fixture(scope="module")
def limited() -> xr.DataTree:
    d = visits().assign(low=lambda d: np.where(np.arange(len(d)) % 2, 1, 0))
    return zoo.fit(zoo.poisson(d[d.k >= d.low], "k | trunc(lb = low) ~ x + (1 | g)"), draws=250, seed=1)


@pytest.mark.slow
def test_estimates_are_between_the_bounds_of_the_rows(limited: xr.DataTree, tmp_path) -> None:
    rows = pd.DataFrame({"x": 0.5, "low": [0, 1, 2]})
    found = zoo.predictions(limited, rows, groups="typical", draws=10_000).draws["value"].values.reshape(-1, 3)
    p = limited["posterior"].dataset
    mu = np.exp(p["Intercept"] + 0.5 * p["beta"].sel(coef="x")).values.ravel()
    above_1 = 1 - np.exp(-mu) * (1 + mu)
    for k, expected in enumerate((mu, mu / -np.expm1(-mu), mu * -np.expm1(-mu) / above_1)):
        np.testing.assert_allclose(np.sort(found[:, k]), np.sort(expected), rtol=1e-7)
    new = zoo.predictions(limited, rows, scale="response").draws["value"].values
    assert (new.reshape(-1, 3).min(axis=0) >= [0, 1, 2]).all()
    with pytest.raises(InputError, match="lack column 'low'"):
        zoo.predictions(limited, rows[["x"]])
    drawn = limited["posterior_predictive"]["k"].values
    low = limited["constant_data"]["low"].values
    assert (drawn >= low).all() and (drawn[..., low == 0] == 0).any()
    assert np.isfinite(zoo.r2(limited)["mean"]).all() and zoo.loo(limited, level="g").table["elpd"].notna().all()
    zoo.save(limited, tmp_path / "limited.nc")
    tree = zoo.load(tmp_path / "limited.nc")
    write_report(tree, tmp_path / "limited.html")
    page = (tmp_path / "limited.html").read_text()
    assert "of which only values from low on are seen" in page and "values truncated to those from low on" in page
    assert zoo.model_of(tree).spec["bounds"] == ["low", None]


# ---------------------------------------------------------------------------------------------------------------- fits


@pytest.fixture(scope="module")
def truncated() -> xr.DataTree:
    d = visits()
    return zoo.fit(zoo.poisson(d[d.k > 0], "k | trunc(lb = 1) ~ x + (1 | g)"), draws=250, seed=1)


@pytest.fixture(scope="module")
def censored() -> xr.DataTree:
    return zoo.fit(zoo.hierarchical_linear(visits(), "y | cens(c) ~ x + (1 | g)"), draws=250, seed=1)


def test_means_and_new_observations_are_those_between_the_bounds(truncated: xr.DataTree) -> None:
    found = zoo.predictions(truncated, at={"x": [0.5]}, by="x", groups="typical", draws=10_000).draws["value"]
    p = truncated["posterior"].dataset
    mu = np.exp(p["Intercept"] + 0.5 * p["beta"].sel(coef="x")).values
    np.testing.assert_allclose(np.sort(found.values.ravel()), np.sort((mu / -np.expm1(-mu)).ravel()), rtol=1e-9)
    assert float(truncated["posterior_predictive"]["k"].min()) == 1
    new = zoo.predictions(truncated, at={"x": [0.5]}, scale="response")
    assert new.draws["value"].values.min() >= 1
    assert zoo.r2(truncated).index.tolist() == ["Bayesian R2 with group effects", "Bayesian R2 without group effects"]


def test_the_log_likelihood_of_a_file_is_that_of_its_rows(censored: xr.DataTree) -> None:
    d, p = visits(), censored["posterior"].dataset.isel(chain=0, draw=0)
    u = p["u_g"].sel(g=xr.DataArray(d.g.to_numpy(), dims="row")).values[:, 0]
    eta = p["Intercept"].item() + p["beta"].item() * d.x + u
    law = stats.norm(eta, p["sigma"].item())
    expected = np.where(d.c == "left", law.logcdf(d.y), law.logpdf(d.y))
    found = censored["log_likelihood"]["y"].sel(chain=0, draw=p.draw.item()).values
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert zoo.loo(censored, level="g").table["pareto_k"].max() < 1


def test_censored_values_are_completed_where_they_lie(censored: xr.DataTree) -> None:
    limits = censored_values(censored)
    assert limits is not None and limits.censored.sum() == (visits().c == "left").sum()
    (rows,) = predicted_rows(censored)
    assert (rows.y[limits.censored] <= LIMIT).all() and len(np.unique(rows.y[limits.censored])) > 20
    np.testing.assert_array_equal(rows.y[~limits.censored], visits().y[~limits.censored])


def test_the_page_tells_of_it(truncated: xr.DataTree, censored: xr.DataTree, tmp_path) -> None:
    pages = []
    for name, tree in (("truncated", truncated), ("censored", censored)):
        zoo.save(tree, tmp_path / f"{name}.nc")
        write_report(zoo.load(tmp_path / f"{name}.nc"), tmp_path / f"{name}.html")
        pages.append((tmp_path / f"{name}.html").read_text())
    assert "of which only values from 1 on are seen" in pages[0] and "before it is truncated" in pages[0]
    assert "Bayesian truncated Poisson mixed model" in pages[0] and "the mean of k before truncation" in pages[0]
    assert "<mo>|</mo><mn>1</mn><mo>≤</mo>" in pages[0]
    n = (visits().c == "left").sum()
    assert f"{n} left-censored values only limits are known" in pages[1]
    assert f"In the place of {n} censored values are such as the model predicts within their limits" in pages[1]
    assert "censored ones at their limits" in pages[1]


def test_a_file_makes_its_model_again(truncated: xr.DataTree) -> None:
    model = zoo.model_of(truncated)
    assert model.spec["bounds"] == [1.0, None] and model.spec["response"] == "k: counts, values from 1 on"
    assert zoo.update(truncated, formula=". ~ . - x", draws=20, tune=50, chains=1).children


# --------------------------------------------------------------------------------------------- outcomes and markers


def test_one_of_several_outcomes_may_be_censored() -> None:
    d = visits()
    formulas, families = ["y | cens(c) ~ x", "k ~ x"], ["gaussian", "poisson"]
    both = zoo.joint_outcomes(d, formulas, families=families, center=False)
    alone = zoo.hierarchical_linear(d, formulas[0], center=False)
    at = both.initial_point() | {"y_beta": np.array([0.3])}
    of_y = {name.removeprefix("y_"): value for name, value in at.items() if name.startswith("y_")}
    np.testing.assert_allclose(log_likelihood(both, at), log_likelihood(alone, of_y), rtol=1e-12)


@pytest.fixture(scope="module")
def marker() -> tuple[pd.DataFrame, pd.DataFrame, xr.DataTree]:
    """48 subjects with two measurements each, of which those that are 0 are below a limit of detection."""
    i = np.arange(48)
    subjects = pd.DataFrame({"id": i, "years": 1.0 + i, "death": i % 2})
    measured = pd.DataFrame(
        {
            "id": np.repeat(i, 2),
            "time": np.column_stack([0.0 * i, 0.9 + 0.9 * i]).ravel(),
            "y": np.arange(96) % 5.0,
            "c": np.where(np.arange(96) % 5 == 0, -1, 0),
        }
    )
    model = zoo.joint_survival(
        measured, subjects, "y | cens(c) ~ time + (1 | id)", event="Surv(years, death) ~ 1", baseline="exponential"
    )
    return measured, subjects, zoo.fit(model, draws=50, tune=100, chains=2, seed=1)


def test_a_marker_may_have_a_limit_of_detection(marker) -> None:
    measured, _, tree = marker
    p = tree["posterior"].dataset.isel(chain=0, draw=0)
    eta = p["Intercept"].item() + p["beta"].item() * measured.time + p["u_id"].values[measured.id, 0]
    law = stats.norm(eta, p["sigma"].item())
    expected = np.where(measured.c == -1, law.logcdf(measured.y), law.logpdf(measured.y))
    found = tree["log_likelihood"]["y"].sel(chain=0, draw=p.draw.item()).values
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_history_of_a_new_patient_may_be_below_the_limit(marker) -> None:
    _, _, tree = marker
    said = {}
    for name, (y, c) in {"high": (4.0, -1), "low": (0.5, -1), "seen": (0.5, 0)}.items():
        new = pd.DataFrame({"id": [999], "time": [0.5], "y": [y], "c": [c]})
        found = zoo.dynamic_prediction(tree, new, landmark=1.0, times=[3.0], draws=100)
        said[name] = float(found.survival.mean())
    assert all(0 < value < 1 for value in said.values()) and len(set(said.values())) == 3
