"""Rows that belong to several levels of one factor, mm(g1, g2)."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import row_models
from hand_made_trees import tree_of_prior
from pytensor.gradient import grad
from rows import patients, two_schools
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.estimands.fitted import read_fitted
from glmm_zoo.estimands.group_choice import GroupChoice, predictors_of_rows
from glmm_zoo.estimands.row_coding import Exposure
from glmm_zoo.formulas import predictor
from glmm_zoo.formulas.members import member_levels, members_in_rows
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.report.answer import Answer
from glmm_zoo.report.methods import methods
from glmm_zoo.report.model_words import model_words
from glmm_zoo.report.parts import read_parts
from glmm_zoo.results.figures.caterpillar import caterpillar
from glmm_zoo.results.figures.group_names import rows_of_factor
from glmm_zoo.results.predicted_rows import predicted_rows
from glmm_zoo.tables.frames import take_columns

FORMULA = "ill ~ x + (1 | mm(g1, g2, weights=cbind(w1, w2))) + (1 | h)"


def pupils() -> pd.DataFrame:
    """300 rows in 20 schools: g1 and g2 are the same in every tenth; h has 6 levels."""
    rng, n = np.random.default_rng(5), 300
    schools = np.array([f"s{k:02d}" for k in range(20)])
    g1, g2 = rng.integers(0, 20, n), rng.integers(0, 20, n)
    g2[::10] = g1[::10]
    w1, w2 = rng.uniform(0.2, 2.0, (2, n))
    x, u = rng.normal(size=n), 1.5 * rng.normal(size=20)
    eta = 0.5 * x + (w1 * u[g1] + w2 * u[g2]) / (w1 + w2)
    ill = (rng.random(n) < expit(eta)).astype(int)
    return pd.DataFrame(
        {"ill": ill, "y": eta + rng.normal(size=n), "x": x, "g1": schools[g1], "g2": schools[g2], "w1": w1, "w2": w2,
         "h": [f"h{k}" for k in rng.integers(0, 6, n)]}
    )  # fmt: skip


@pytest.fixture(scope="module")
def tree():
    return zoo.fit(zoo.hierarchical_logistic(pupils(), FORMULA), draws=200, chains=2, seed=1)


def _draws(tree, name):
    return tree["posterior"][name].values.reshape(-1, *tree["posterior"][name].shape[2:])


# --------------------------------------------------------------------------------------------------------- the columns


def test_levels_are_those_of_all_columns():
    """Text by the alphabet, numbers by their values, also where one column has gaps and its numbers a point."""
    text = take_columns(pd.DataFrame({"a": ["z", "b"], "b": ["c", "z"]}), ["a", "b"])
    assert member_levels(["a", "b"], text) == ("b", "c", "z")
    numbers = take_columns(pd.DataFrame({"a": [10, 9, 2], "b": [9.0, 2.0, np.nan]}), ["a", "b"], "drop")
    assert member_levels(["a", "b"], numbers) == ("2", "9", "10")


def test_a_level_that_a_row_has_twice_has_both_weights():
    d = pd.DataFrame(
        {
            "a": ["p", "p", "q"],
            "b": ["q", "p", "r"],
            "c": ["r", "p", "q"],
            "u": [1, 2, 3],
            "v": [1, 3, 0],
            "w": [2, 5, 1],
        }
    )
    table = take_columns(d, list(d))
    codes, labels, shares = members_in_rows(("p", "q", "r"), ["a", "b", "c"], ["u", "v", "w"], table)
    np.testing.assert_allclose(shares, [[0.25, 0.25, 0.5], [1, 0, 0], [1, 0, 0]])
    assert codes.tolist() == [[0, 1, 2], [0, 0, 0], [1, 2, 1]] and labels.tolist() == d[["a", "b", "c"]].values.tolist()
    equal = members_in_rows(("p", "q", "r"), ["a", "b"], None, table)[2]
    np.testing.assert_allclose(equal, [[0.5, 0.5], [1, 0], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("change", "formula", "words"),
    [
        ({"w2": -1.0}, FORMULA, r"column 'w2' must be >= 0 and finite \(weights of mm\(\)\); rows 1, 2, 3 have -1, ..."),
        ({"w1": 0, "w2": 0}, FORMULA, r"columns 'w1', 'w2' are all 0 in rows 1, 2, 3 \(weights of mm\(\)\), which would belong to no level; give one of"),
        ({"w2": "a lot"}, FORMULA, r"'w2'"),
        ({"g2": None}, FORMULA, r"'g2'"),
        ({}, "y ~ x + (1 | mm(g1, g2, scale=FALSE))", r"weights of mm\(\) are always divided by their sum in each row"),
        ({}, "y ~ x + (1 | mm(g1, g2)) + (0 + x | mm(g1, g2, weights=cbind(w1, w2)))", r"'g1\+g2' stands as mm\(g1, g2\) and as mm\(g1, g2, weights="),
        ({"g1": "s01", "g2": "s01"}, "y ~ x + (1 | mm(g1, g2))", "has one level"),
    ],
)  # fmt: skip
def test_what_is_refused(change, formula, words):
    rows = slice(0, 2) if "g1" not in change else slice(None)
    d = pupils().astype({"w2": object} if change.get("w2") == "a lot" else {})
    for column, value in change.items():
        d.loc[rows, column] = value
    with pytest.raises(InputError, match=words):
        zoo.hierarchical_linear(d, formula.replace("ill", "y"))


def test_rows_without_a_member_are_left_out():
    d = pupils()
    d.loc[[3, 7], "g2"] = None
    model = zoo.hierarchical_linear(d, "y ~ x + (1 | mm(g1, g2))", missing="drop")
    assert model.rows == 298 and model.spec["data"]["dropped"] == 2


def test_few_levels_are_noted():
    d = pupils().assign(
        g1=lambda d: d.g1.str[-1].replace(dict(zip("456789", "012301", strict=True))), g2=lambda d: d.g1
    )
    notes = zoo.hierarchical_linear(d, "y ~ x + (1 | mm(g1, g2))", clusters="fixed").spec["notes"]
    assert any("'g1+g2' has 4 levels, of which a row has several" in note for note in notes)


def test_more_columns_than_fit_in_memory_are_refused(monkeypatch):
    monkeypatch.setattr(predictor, "MOST_IN_COLUMNS", 5_000)
    with pytest.raises(
        InputError,
        match=r"'g1\+g2' has 20 levels, of which each of 300 rows has several: their columns would take 0 GB",
    ):
        zoo.hierarchical_linear(pupils(), "y ~ x + (1 | mm(g1, g2))")


def test_joint_survival_refuses_them():
    d = patients().assign(g2=lambda d: np.roll(d.id, 3))
    with pytest.raises(InputError, match=r"mm\(id, g2\) are not available in joint_survival"):
        zoo.joint_survival(d, None, "y ~ time + (1 | id) + (1 | mm(id, g2))", event="Surv(years, death) ~ drug")


# ------------------------------------------------------------------------------------------------------------- density


def test_members_that_are_the_same_are_one_group():
    """With g2 = g1 the model is that with (1 + x | g1)."""
    d = pupils().assign(g2=lambda d: d.g1)
    many = zoo.hierarchical_linear(d, "y ~ x + (1 + x | mm(g1, g2, weights=cbind(w1, w2)))")
    one = zoo.hierarchical_linear(d, "y ~ x + (1 + x | g1)")
    point = row_models.random_point(one, 3)
    renamed = {name.replace("g1", "g1+g2"): value for name, value in point.items()}
    (found,), (expected,) = (row_models.function(m, [m.logp()])(p) for m, p in ((many, renamed), (one, point)))  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_equal_rows_are_cells_with_their_weights():
    d = pd.concat([two_schools()] * 2, ignore_index=True).assign(
        x=lambda d: d.x.round(), w1=lambda d: 1 + (d.w1 > 15), w2=1
    )
    models = [
        zoo.hierarchical_logistic(d, "ill ~ x + (1 | mm(g, g2, weights=cbind(w1, w2)))", collapse=c)
        for c in (True, False)
    ]
    assert models[0].rows < models[1].rows
    point = row_models.random_point(models[1], 2)
    values = [row_models.function(m, [m.logp(vars=m.free_RVs), m.logp()])(point) for m in models]
    gap = [b - a for a, b in values]  # log-likelihoods, up to the binomial coefficients
    other = row_models.random_point(models[1], 9)
    more = [row_models.function(m, [m.logp(vars=m.free_RVs), m.logp()])(other) for m in models]
    np.testing.assert_allclose(gap[0] - gap[1], np.subtract(*[b - a for a, b in more]), rtol=1e-9)


def test_the_transport_makes_effects_of_a_gaussian_model_standard_normal():
    """Given the sds their posterior is normal, so that the second derivatives of the log density by the moved effects are those of
    independent standard normal ones."""
    model, start = parameterize(zoo.hierarchical_linear(pupils(), "y ~ 1 + (1 | mm(g1, g2))", center=False), "auto")
    assert start is not None
    value = model.rvs_to_values[model["u_g1+g2"]]
    point = {**model.initial_point(), **start.point}
    gradient = row_models.function(model, [grad(model.logp(), value)])
    moved = [gradient({**point, value.name: 0.5 * sign * np.eye(20)[:, [k]]})[0] for k in range(20) for sign in (1, -1)]
    hessian = np.squeeze(np.subtract(moved[::2], moved[1::2]))
    np.testing.assert_allclose(hessian, -np.eye(20), atol=0.1)


# ----------------------------------------------------------------------------------------------------------- estimands


def _risk(eta, variance):
    x = np.linspace(-9, 9, 401)  # the trapezoid rule
    w = np.exp(-(x**2) / 2)
    return expit(eta[:, None] + np.sqrt(variance)[:, None] * x) @ (w / w.sum())


def test_averages_integrate_over_the_weighted_sum(tree):
    """Its variance is sd^2 times the sum of squared weights, of a level that a row has twice with the sum of both."""
    alpha, beta, sd, of_h = (_draws(tree, name) for name in ("Intercept", "beta", "sd_g1+g2", "sd_h"))
    rows = pd.DataFrame(
        {
            "x": [1.0, 1.0, 1.0],
            "w1": [1.0, 1.0, 3.0],
            "w2": [1.0, 1.0, 1.0],
            "g1": ["s01", "s01", "s01"],
            "g2": ["s02", "s01", "s02"],
        }
    )
    found = zoo.predictions(tree, rows).draws["value"].values
    for k, square in enumerate((0.5, 1.0, 0.75**2 + 0.25**2)):
        exact = _risk(alpha + beta[:, 0], square * sd[:, 0] ** 2 + of_h[:, 0] ** 2)
        np.testing.assert_allclose(found[..., k].ravel(), exact, atol=2e-5)
    gap = zoo.predictions(tree, rows.assign(g2=["s02", None, None])).draws["value"].values
    np.testing.assert_allclose(gap[..., :2], found[..., [0, 0]], rtol=1e-9)
    without = zoo.predictions(tree, rows[["x", "w1", "w2"]])
    np.testing.assert_allclose(without.draws["value"].values[..., 1], found[..., 0], rtol=1e-9)
    assert "with the row's g1 and g2 drawn from one population of levels" in without.sentence
    with pytest.raises(InputError, match="lack column 'w1'"):
        zoo.predictions(tree, rows[["x"]])


def test_own_new_and_unknown_members(tree):
    u, of_x = _draws(tree, "u_g1+g2")[:, :, 0], _draws(tree, "Intercept") + _draws(tree, "beta")[:, 0]
    sd = _draws(tree, "sd_g1+g2")[:, 0]
    rows = pd.DataFrame({"x": 1.0, "w1": [1.0, 1.0], "w2": [3.0, 3.0], "g1": ["s03", "s04"], "g2": ["s05", "new"]})
    groups = {"g1+g2": "observed", "h": "typical"}
    own = zoo.predictions(tree, rows.head(1), groups=groups, scale="linear").draws["value"].values
    np.testing.assert_allclose(own.ravel(), of_x + 0.25 * u[:, 3] + 0.75 * u[:, 5], rtol=1e-9)
    with pytest.raises(InputError, match=r"g1\+g2 'new' \(row 2\) was not in the data of the fit"):
        zoo.predictions(tree, rows, groups=groups)
    mixed = zoo.predictions(tree, rows, groups=groups, unseen="population").draws["value"].values[..., 1]
    np.testing.assert_allclose(mixed.ravel(), _risk(of_x + 0.25 * u[:, 4], (0.75 * sd) ** 2), atol=1e-6)
    drawn = (
        zoo.predictions(tree, rows, groups={**groups, "g1+g2": "new"}, scale="linear")
        .draws["value"]
        .values[..., 0]
        .ravel()
        - of_x
    )
    z = drawn / (sd * np.sqrt(0.25**2 + 0.75**2))
    assert abs(z.mean()) < 0.2 and abs(z.std() - 1) < 0.12


def test_summary_r2_and_loo(tree):
    table, d = zoo.summary(tree), pupils()
    w = d.w1 / (d.w1 + d.w2)
    squares = np.where(d.g1 == d.g2, 1.0, w**2 + (1 - w) ** 2)
    sd, of_h = _draws(tree, "sd_g1+g2")[:, 0], _draws(tree, "sd_h")[:, 0]
    between = sd**2 * squares.mean()
    icc = between / (between + of_h**2 + np.pi**2 / 3)
    np.testing.assert_allclose(table.loc["icc[g1+g2]", "mean"], icc.mean(), rtol=1e-9)
    conditional = zoo.r2(tree).loc["Nakagawa conditional R2", "mean"]
    fixed = _draws(tree, "beta")[:, 0] ** 2 * d.x.var()
    total = fixed + between + of_h**2
    np.testing.assert_allclose(conditional, np.mean(total / (total + np.pi**2 / 3)), rtol=1e-6)
    with pytest.raises(InputError, match="level= is not there for 'g1\\+g2', of which a row has several levels"):
        zoo.loo(tree, level="g1+g2")
    assert len(zoo.loo(tree, level="h").table) == 6
    assert np.isfinite(zoo.loo(tree).elpd)


def test_a_level_in_which_all_members_lie_is_not_left_out():
    d = pupils().assign(town=lambda d: np.arange(len(d)) % 7)
    d["g1"], d["g2"] = (d[c] + "-" + d.town.astype(str) for c in ("g1", "g2"))
    tree = tree_of_prior(zoo.hierarchical_logistic(d, "ill ~ x + (1 | mm(g1, g2)) + (1 | town)"))
    with pytest.raises(InputError, match=r"level='town' would leave out all that is known of levels of 'g1\+g2'"):
        zoo.loo(tree, level="town")


def test_new_groups_are_drawn_anew(tree):
    """Pupils of new schools vary more than pupils of those of the fit; posterior predictive shares vary as sd of the row does."""
    new, fit = (
        tree["posterior_predictive_new_groups"]["ill"].values,
        tree["posterior_predictive"]["ill"].values.reshape(-1, 300),
    )
    assert new.shape[1] == 300 and new.mean(axis=1).std() > 1.3 * fit.mean(axis=1).std()


def test_effects_of_two_predictors_and_of_two_outcomes():
    """A label correlates effects of a level, and outcomes share the levels: each is integrated with its own weights."""
    d = pupils()
    model = zoo.hierarchical_linear(
        d, "y ~ x + (1 |p| mm(g1, g2, weights=cbind(w1, w2)))", dispersion="~ (1 |p| mm(g1, g2, weights=cbind(w1, w2)))"
    )
    assert model.named_vars_to_dims["u_g1+g2"] == ("g1+g2", "g1+g2_effect")
    assert list(model.coords["g1+g2_effect"]) == ["Intercept", "sigma:Intercept"]
    fit = read_fitted(tree_of_prior(model), 100)
    (outcome,), draws = fit.outcomes.values(), fit.draws
    rows = outcome.coding.code(outcome.table, Exposure())
    variables, covariances = predictors_of_rows(rows, GroupChoice({"g1+g2": "population"}), draws.size)
    w = d.w1 / (d.w1 + d.w2)
    squares = np.where(d.g1 == d.g2, 1.0, w**2 + (1 - w) ** 2)
    sd, r = draws["sd_g1+g2"], draws["corr_g1+g2"][:, 0, 1]
    np.testing.assert_allclose(variables["sigma"].variance, sd[:, [1]] ** 2 * squares, rtol=1e-9)
    np.testing.assert_allclose(
        covariances[frozenset(("", "sigma"))], (sd.prod(axis=1) * r)[:, None] * squares, rtol=1e-9
    )
    assert parameterize(model, "auto")[1] is not None
    joint = zoo.joint_outcomes(
        d.assign(y=d.y.where(np.arange(300) < 250)),
        [("y ~ x + (1 |p| mm(g1, g2))", "gaussian"), ("ill ~ x + (1 |p| mm(g1, g2))", "bernoulli")],
    )
    assert list(joint.coords["g1+g2"]) == [f"s{k:02d}" for k in range(20)]
    assert parameterize(joint, "auto")[1] is not None


# ------------------------------------------------------------------------------------------------------ words and files


def test_what_is_told(tree):
    parts = read_parts(tree)
    words, paper = model_words(parts), " ".join(methods(tree, Answer(None)))
    assert "a shift u for each g1 or g2" in words
    assert (
        "A row has the sum of the shifts of its g1 and g2, each times a weight w; the weights of a row sum to one and are in proportion to "
        "w1 and w2." in words
    )
    assert (
        "(multiple membership, Browne et al. 2001, with weights in proportion to w1 and w2 that sum to one in each row)"
        in paper
    )
    assert "20 g1s or g2s" in paper
    picture = caterpillar(tree, "g1+g2", parts.about)
    assert "g1s or g2s" in picture.caption and "proportion" not in picture.caption
    assert rows_of_factor(tree, "g1+g2").labels(parts.about, np.array([0, 19])) == ["s00", "s19"]


def test_members_and_weights_are_no_covariates_of_checks(tree):
    (rows,) = predicted_rows(tree)
    assert list(rows.covariates) == ["x"]


@pytest.mark.slow
def test_page_file_and_variations(tree, tmp_path):
    zoo.save(tree, tmp_path / "fit.nc")
    again = zoo.load(tmp_path / "fit.nc")
    zoo.write_report(again, tmp_path / "fit.html")
    page = (tmp_path / "fit.html").read_text()
    assert "∑" in page and "--level h" in page and "--level g1+g2" not in page
    assert zoo.model_of(again).spec["groups"] == zoo.hierarchical_logistic(pupils(), FORMULA).spec["groups"]
    wider = zoo.update(
        again, priors={"sd[g1+g2]": "Exponential(0.5)"}, draws=50, tune=100, chains=2, seed=2, progress=False
    )
    assert re.search("0.5", str(zoo.model_of(wider).spec["priors"]["sd_g1+g2"]))
