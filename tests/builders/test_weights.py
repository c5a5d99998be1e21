"""Weights of rows: the log-likelihood of every family times them, their limits, what is refused and what is told of a fit."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from hand_made_trees import tree_of_prior
from rows import ROWS, Row, lives, visits
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.estimands.leave_one_out import left_out_levels
from glmm_zoo.report.model_words import model_words
from glmm_zoo.report.page import write_report
from glmm_zoo.report.parts import read_parts

FIRST = {  # a row of every builder, and of ordinal's and beta's families
    (row.builder, row.options.get("family"), "zi" in row.options, "zoi" in row.options): row
    for row in reversed(ROWS)
    if "weights" in inspect.signature(row_models.builder(row.builder)).parameters and not row.options.get("residual") and not row.options.get("collapse")
}  # fmt: skip


def pointwise(model, point) -> np.ndarray:
    return np.concatenate(row_models.function(model, model.logp(vars=model.observed_RVs, sum=False))(point))


@pytest.mark.parametrize("row", FIRST.values(), ids=lambda row: row.name)
def test_the_log_likelihood_of_a_row_is_multiplied_by_its_weight(row: Row) -> None:
    frame, rng = row.data(), np.random.default_rng(3)
    w = rng.choice([0.0, 0.3, 1.0, 2.0], len(frame))
    model = row_models.build(row, frame.assign(weight=w), weights="weight")
    point = row_models.random_point(model, 1)
    plain = pointwise(row_models.model_of(row.name), point)
    np.testing.assert_allclose(pointwise(model, point), w * plain, rtol=1e-12, atol=1e-14)


def test_a_weight_of_two_is_the_row_twice_and_of_none_the_row_left_out() -> None:
    d = visits().assign(weight=lambda d: np.arange(len(d)) % 3.0)
    often = d.loc[np.repeat(d.index, d.weight.astype(int))].reset_index(drop=True)
    formula, priors = "c ~ x + (1 | g)", {"Intercept": "Normal(0, 2)", "beta": "Normal(0, 1)"}
    weighted, repeated = (
        zoo.negative_binomial(data, formula, center=False, priors=priors, **options)
        for data, options in ((d, {"weights": "weight"}), (often, {}))
    )
    point = row_models.random_point(weighted, 2)
    densities = [row_models.function(m, [m.logp()])(point)[0] for m in (weighted, repeated)]
    np.testing.assert_allclose(densities[0], densities[1], rtol=1e-12)


@pytest.mark.filterwarnings("ignore:.* events? of cause:glmm_zoo.errors.ZooWarning", "ignore:event. .* has 2 causes")
@pytest.mark.parametrize("event", ["dead", "cause"])
def test_of_times_to_an_event_too(event: str) -> None:
    """A row counts with its weight for every cause; the page tells of it, and loo of a centre has it."""
    d = lives().assign(
        weight=lambda d: np.arange(len(d)) % 3.0,
        cause=lambda d: np.where(d.dead == 0, "alive", np.where(d.x > 0, "a", "b")),
    )
    often = d.loc[np.repeat(d.index, d.weight.astype(int))].reset_index(drop=True)
    formula = f"Surv(entry, t, {event}) ~ x + (1 | g)"
    weighted, repeated = (
        zoo.survival(
            data,
            formula,
            baseline="exponential",
            center=False,
            priors={"Intercept": "Normal(0, 2)", "beta": "Normal(0, 1)"},
            **options,
        )
        for data, options in ((d, {"weights": "weight"}), (often, {}))
    )
    point = row_models.random_point(weighted, 2)
    densities = [row_models.function(m, [m.logp()])(point)[0] for m in (weighted, repeated)]
    np.testing.assert_allclose(densities[0], densities[1], rtol=1e-10)
    tree = tree_of_prior(weighted)
    words = model_words(read_parts(tree))
    assert "multiplied by its weight, weight" in words
    asked = left_out_levels(tree, "g")
    assert asked.rows.weights is not None and asked.rows.weights.tolist() == d.weight.tolist()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([-1.0, *[1.0] * 71], r"column 'weight' must be >= 0 and finite \(weights\); row 1 has -1"),
        ([np.inf, *[1.0] * 71], r"column 'weight'.*row 1"),
        (0.0, r"column 'weight' is 0 in every row \(weights\)"),
        ("a", r"column 'weight' is text \(a\) and weights needs numbers"),
    ],
)
def test_what_is_refused(weights, said: str) -> None:
    with pytest.raises(InputError, match=said):
        zoo.hierarchical_linear(visits().assign(weight=weights), "y ~ x", weights="weight")


def test_what_weights_do_not_go_with() -> None:
    d = visits().assign(weight=1.0, t=np.arange(72))
    with pytest.raises(InputError, match="collapse=True sums rows"):
        zoo.hierarchical_logistic(d, "ill ~ arm", collapse=True, weights="weight")
    with pytest.raises(InputError, match="leave out weights= or residual="):
        zoo.hierarchical_linear(d, "y ~ x", residual="ar1", time="t", within="g", weights="weight")
    with pytest.raises(InputError, match="'wieght'"):
        zoo.poisson(d, "c ~ x", weights="wieght")
    with pytest.raises(InputError, match=r"weights of the likelihood are the option weights='weight'"):
        zoo.hierarchical_linear(d, "y | weights(weight) ~ x")


def test_censored_and_truncated_rows_have_weights_too() -> None:
    d = visits().assign(weight=np.arange(72) % 3.0, how=np.where(np.arange(72) % 4 == 0, 1, 0))
    formula = "y | trunc(lb = -99) + cens(how) ~ x"
    model, plain = (zoo.student_t(d, formula, **o) for o in ({"weights": "weight"}, {}))
    point = row_models.random_point(model, 1)
    np.testing.assert_allclose(pointwise(model, point), d.weight * pointwise(plain, point), rtol=1e-12)


# ---------------------------------------------------------------------------------------------------------------- a fit


@pytest.fixture(scope="module")
def historical() -> xr.DataTree:
    """A trial with rows of an older one at a weight of 0.3."""
    d = visits().assign(weight=lambda d: np.where(d.arm == "zero", 0.3, 1.0))
    return zoo.fit(zoo.hierarchical_linear(d, "y ~ x + (1 | g)", weights="weight"), draws=250, seed=1)


def test_leave_one_out_and_the_page_tell_of_weights(historical: xr.DataTree, tmp_path) -> None:
    rows, groups = zoo.loo(historical), zoo.loo(historical, level="g")
    for found in (rows, groups):
        assert "the log density of a row counts by its weight (weight)" in found.sentence
    w = np.where(visits().arm == "zero", 0.3, 1.0)
    unweighted = historical["log_likelihood"]["y"].values / w
    assert rows.elpd > 1.05 * unweighted.mean(axis=(0, 1)).sum()
    write_report(historical, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert (
        "multiplied by its weight, weight; estimates over rows and checks against the data count each row once" in page
    )
    assert "weights=weight" in page  # in the call that makes it again
    assert zoo.model_of(historical).spec["options"]["weights"] == "weight"


def test_weights_are_no_covariate(historical: xr.DataTree) -> None:
    table = zoo.predictions(historical, by="x", at={"x": [0.0, 1.0]}).table
    assert isinstance(table, pd.DataFrame) and "weight" not in table


def test_the_likelihood_of_a_group_has_the_weights_of_its_rows(historical: xr.DataTree) -> None:
    """f(y)^w is a normal density with variance sigma^2 / w, times (2 pi sigma^2)^((1 - w) / 2) / sqrt(w)."""
    asked, d = left_out_levels(historical, "g"), visits()
    found, w = asked.likelihood(), np.where(d.arm == "zero", 0.3, 1.0)
    draws = {name: asked.model.draws[name][7].ravel() for name in ("Intercept", "beta", "sigma", "sd_g")}
    variance = draws["sigma"] ** 2
    residual = (d.y - draws["Intercept"] - draws["beta"] * d.x).to_numpy()
    for level, value in zip(found.levels, found.values[7], strict=True):
        rows = (d.g == level).to_numpy()
        S = np.diag(variance / w[rows]) + draws["sd_g"] ** 2
        expected = stats.multivariate_normal.logpdf(residual[rows], cov=S)
        expected += (0.5 * (1 - w[rows]) * np.log(2 * np.pi * variance) - 0.5 * np.log(w[rows])).sum()
        np.testing.assert_allclose(value, expected, rtol=1e-5)
