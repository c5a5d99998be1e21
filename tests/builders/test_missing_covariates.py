"""Covariates with missing values, mi(x): their gaps are unknowns with a linear predictor of their own."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import glmm_zoo as zoo
from glmm_zoo.errors import FitError, InputError
from glmm_zoo.estimands.posterior import posterior_draws
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.report.answer import Answer
from glmm_zoo.report.methods import methods
from glmm_zoo.report.model_text import model_text
from glmm_zoo.report.prior_text import prior_text
from glmm_zoo.results.predicted_rows import predicted_rows

FORMULA, IMPUTE = "y ~ mi(x) * z + (1 | g)", {"w": "~ z", "x": "~ mi(w) + z + (1 | h)"}


def people() -> pd.DataFrame:
    """90 rows; x is missing in every sixth, w in every seventh, g has 10 levels and h 6."""
    rng, n = np.random.default_rng(3), 90
    i, z = np.arange(n), rng.normal(size=n)
    w = 20 + 5 * z + 4 * rng.normal(size=n)
    x = 1 + 0.2 * w + 0.5 * z + rng.normal(size=6)[i % 6] + rng.normal(size=n)
    y = 2 + 0.8 * x - 0.5 * z + 0.6 * rng.normal(size=10)[i % 10] + 0.7 * rng.normal(size=n)
    return pd.DataFrame(
        {"y": y, "x": np.where(i % 6 == 1, np.nan, x), "w": np.where(i % 7 == 2, np.nan, w), "z": z, "full": x, "count": rng.poisson(3, n),
         "g": [f"g{k}" for k in i % 10], "h": [f"h{k}" for k in (i // 2) % 6], "kind": rng.choice(["a", "b", "c"], n)}
    )  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return zoo.hierarchical_linear(people(), FORMULA, impute=IMPUTE)


@pytest.fixture(scope="module")
def tree(model):
    return zoo.fit(model, draws=150, tune=300, chains=2, seed=1, progress=False)


def _at(model, outputs, **given):
    """Outputs at a random point, and the named variables there, with those that are given."""
    rng = np.random.default_rng(5)
    point = {name: rng.normal(0, 0.5, np.shape(v)) for name, v in model.initial_point().items()} | given
    names = [*model.free_RVs, *model.deterministics]
    run = model.compile_fn(
        [*outputs, *model.replace_rvs_by_values(names)],
        inputs=model.value_vars, mode="FAST_COMPILE", on_unused_input="ignore",
    )  # fmt: skip
    values = run(point)
    return values[: len(outputs)], dict(zip([v.name for v in names], values[len(outputs) :], strict=True))


# ----------------------------------------------------------------------------------------------------------- the density


def test_density_of_outcome_covariates_and_gaps_is_scipys(model) -> None:
    d = people()
    terms = model.logp(vars=[model[name] for name in ("y", "x", "w", "mi_x", "mi_w")], sum=False)
    found, p = _at(model, terms)
    w, x = (d[name].to_numpy().copy() for name in ("w", "x"))
    no_w, no_x = np.isnan(w), np.isnan(x)
    w[no_w], x[no_x] = p["mi_w"], p["mi_x"]
    z, g, h = d.z.to_numpy(), d.g.str[1:].astype(int), d.h.str[1:].astype(int)
    mu_w = p["w_Intercept"] + p["w_beta"][0] * z
    mu_x = p["x_Intercept"] + np.column_stack([w, z]) @ p["x_beta"] + p["x_u_h"][h, 0]
    mu = p["Intercept"] + np.column_stack([x, z, x * z]) @ p["beta"] + p["u_g"][g, 0]
    of_x, of_w = stats.norm.logpdf(x, mu_x, p["x_sigma"]), stats.norm.logpdf(w, mu_w, p["w_sigma"])
    expected = [stats.norm.logpdf(d.y, mu, p["sigma"]), of_x[~no_x], of_w[~no_w], of_x[no_x], of_w[no_w]]
    for ours, scipys in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, scipys, rtol=1e-9)
    assert compile_model(model).program is not None  # machine code by the kernel, without JAX
    rows = np.flatnonzero(no_x)
    assert list(model.coords["mi_x_row"]) == rows.tolist() and model.named_vars_to_dims["mi_x"] == ("mi_x_row",)


@pytest.mark.parametrize(
    ("builder", "response", "options"),
    [
        ("categorical", "kind", {}),
        pytest.param("negative_binomial", "count", {"dispersion": "~ mi(x)"}, marks=pytest.mark.slow),
        pytest.param("ordinal", "kind", {"levels": "a,b,c", "disc": "~ mi(x)"}, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_outcome_is_as_with_the_unknowns_in_the_table(builder, response, options) -> None:
    d = people()
    build, others = getattr(zoo, builder), {key: str(v).replace("mi(x)", "x") for key, v in options.items()}
    with_gaps = build(d, f"{response} ~ mi(x) + z", impute={"x": "~ 1"}, **options)
    (ours,), p = _at(with_gaps, with_gaps.logp(vars=with_gaps.outcomes, sum=False))
    filled = d.x.to_numpy().copy()
    filled[d.x.isna()] = p["mi_x"]
    complete = build(d.assign(x=filled), f"{response} ~ x + z", center=False, **others)
    free = {rv.name: complete.rvs_to_values[rv].name for rv in complete.free_RVs}
    transforms = {rv.name: complete.rvs_to_transforms[rv] for rv in complete.free_RVs}
    given = {
        free[name]: p[name] if t is None else np.asarray(t.forward(p[name], *complete[name].owner.inputs).eval())
        for name, t in transforms.items()
    }
    (theirs,), _ = _at(complete, complete.logp(vars=complete.outcomes, sum=False), **given)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_gaps_integrated_out_are_the_normal_density_in_closed_form() -> None:
    """y | x ~ N(a + b x, s^2) and x ~ N(m, t^2): y ~ N(a + b m, s^2 + b^2 t^2)."""
    d = people().assign(x=lambda d: d.full.where(d.index != 4))
    model = zoo.hierarchical_linear(d, "y ~ mi(x)", impute={"x": "~ z"}, center=False)
    terms = [model.logp(vars=[model["y"]], sum=False)[0][4], *model.logp(vars=[model["mi_x"]], sum=False)]
    _, p = _at(model, terms)
    run = model.compile_fn(terms, inputs=model.value_vars, mode="FAST_COMPILE", on_unused_input="ignore")
    rng = np.random.default_rng(5)
    point = {name: rng.normal(0, 0.5, np.shape(v)) for name, v in model.initial_point().items()}

    def joint(x: float) -> float:
        of_y, of_x = run({**point, "mi_x": np.array([x])})
        return float(np.exp(of_y + of_x[0]))

    total, _ = integrate.quad(joint, -30, 30, limit=200)
    m = p["x_Intercept"] + p["x_beta"][0] * d.z[4]
    a, b = p["Intercept"], p["beta"][0]
    exact = stats.norm.pdf(d.y[4], a + b * m, np.hypot(p["sigma"], b * p["x_sigma"]))
    np.testing.assert_allclose(total, exact, rtol=1e-6)


def test_gaps_have_the_linear_predictor_of_rows_that_are_alike() -> None:
    """Curves, slopes of groups and an offset: 12 rows again, without x."""
    d = people().assign(x=lambda d: d.full)
    both = pd.concat([d, d[:12].assign(x=np.nan)], ignore_index=True)
    impute = {"x": '~ s(z, k=5, bs="cr") + (1 + z | g) + offset(full) + kind'}
    model = zoo.hierarchical_linear(both, "y ~ mi(x):kind", impute=impute)
    mu = model["mi_x"].owner.op.dist_params(model["mi_x"].owner)[0]
    graphs = model.replace_rvs_by_values([mu, model.linear["x"].eta])
    (of_gaps, of_rows), _ = _at(model, graphs)
    np.testing.assert_allclose(of_gaps, of_rows[:12], rtol=1e-12)
    assert np.ptp(of_gaps) > 0.1


def test_without_gaps_the_outcome_is_the_ordinary_model() -> None:
    d = people().assign(x=lambda d: d.full)
    with_mi, ordinary = (
        zoo.hierarchical_linear(d, "y ~ mi(x) + z", impute={"x": "~ z"}),
        zoo.hierarchical_linear(d, "y ~ full + z"),
    )
    names = ["Intercept_at_means", "beta", "sigma", "y"]
    found = [_at(m, m.logp(vars=[m[name] for name in names], sum=False), sigma_log__=np.array(0.3), beta=np.array([0.4, -0.2]),
                 Intercept_at_means=np.array(1.0))[0] for m in (with_mi, ordinary)]  # fmt: skip
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert "mi_x" not in with_mi.named_vars and with_mi.spec["covariates"]["x"]["missing"] == 0
    assert zoo.quick(with_mi).loc["beta[mi(x)]", "mean"] == pytest.approx(
        zoo.quick(ordinary).loc["beta[full]", "mean"], abs=0.01
    )


# ----------------------------------------------------------------------------------------------------------------- input


@pytest.mark.parametrize(
    ("formula", "options", "words"),
    [
        ("y ~ mi(x)", {}, r"mi\(x\) needs a linear predictor of 'x': impute=\{'x': '~ z'\}"),
        ("y ~ mi(x)", {"impute": {"x": "z", "w": "z"}}, r"impute names 'w', and no formula has mi\(w\)"),
        ("y ~ mi(x) + x", {"impute": {"x": "z"}}, r"'x' stands in mi\(x\) and elsewhere in the formulas"),
        ("y ~ mi(x) + s(x)", {"impute": {"x": "z"}}, r"'x' stands in mi\(x\) and elsewhere in the formulas"),
        ("y ~ mi(x)", {"impute": {"x": "y"}}, "the response 'y' is used in the predictor of 'x'"),
        ("y ~ mi(x)", {"impute": {"x": "x"}}, "impute: 'x' is used in its own predictor"),
        ("y ~ mi(x) + mi(w)", {"impute": {"x": "mi(w)", "w": "z"}}, r"the predictor of 'x' has mi\(w\), so that 'w' comes first"),
        ("y ~ mi(x)", {"impute": {"x": "z + (1 |p| g)"}}, r"independent of others; write \(1 \| g\) without a label"),
        ("y ~ mi(x)", {"impute": {"x": "z + (1 | mm(g, h))"}}, r"is not available in the predictor of 'x'"),
        ("y ~ mi(x)", {"impute": {"x": "~ nothing"}}, "no column 'nothing'"),
        ("y ~ mi(x)", {"impute": {"x": "z +"}}, "impute of 'x': formula"),
        ("y ~ mi(x)", {"impute": {"x": "z"}, "weights": "count"}, r"weights= and mi\(\) are not available together"),
        ("y ~ mi(x) * mi(w)", {"impute": {"x": "z", "w": "z"}}, r"multiplies what stands in mo\(\) or mi\(\)"),
        ("y ~ z + (1 + mi(x) | g)", {"impute": {"x": "z"}}, r"mi\(\) cannot vary over a grouping factor"),
        ("y ~ log(mi(x))", {"impute": {"x": "z"}}, r"mi\(\) stands alone or in an interaction"),
        ("y ~ mi(x, z)", {"impute": {"x": "z"}}, r"mi\(\) takes one column: mi\(x\)"),
        ("y ~ mi(g)", {"impute": {"g": "z"}}, r"column 'g' is text .* and mi\(g\) needs numbers"),
        ("y ~ mi(x)", {"impute": {"x": "z"}, "residual": "ar1", "time": "count", "within": "g"}, r"mi\(\) is not available beside correlated"),
    ],
)  # fmt: skip
def test_what_is_refused(formula, options, words) -> None:
    with pytest.raises(InputError, match=words):
        zoo.hierarchical_linear(people(), formula, **options)


def test_other_gaps_are_missing_values_and_a_binary_covariate_is_refused() -> None:
    d = people()
    d.loc[3, "z"] = np.nan
    with pytest.raises(InputError, match=r"column 'z' has 1 missing value \(row 4\)"):
        zoo.hierarchical_linear(d, "y ~ mi(x)", impute={"x": "z"})
    dropped = zoo.hierarchical_linear(d, "y ~ mi(x)", impute={"x": "z"}, missing="drop")
    assert dropped.rows == 89 and dropped.spec["covariates"]["x"]["missing"] == 15
    assert any("'x' has no value in 15 rows of 89" in note for note in dropped.spec["notes"])
    d = people().assign(x=lambda d: (d.x > d.x.median()).where(d.x.notna()).astype(float))
    with pytest.raises(InputError, match=r"mi\(x\) takes a continuous covariate, and 'x' has two values"):
        zoo.hierarchical_linear(d, "y ~ mi(x)", impute={"x": "z"})


def _of_subjects(changed: float) -> pd.DataFrame:
    """Twelve subjects of four rows; `base`, one number for each, lacks all rows of three, and differs by `changed` in one row."""
    rng = np.random.default_rng(6)
    subject = np.repeat(np.arange(12), 4)
    base = rng.normal(size=12)[subject]
    base[1] += changed
    table = pd.DataFrame({"y": rng.normal(size=48) + base, "base": np.where(subject % 4 == 3, np.nan, base), "s": subject, "t": np.tile([0.0, 1, 2, 3], 12)})  # fmt: skip
    return table.astype({"s": "str"})


def test_a_covariate_of_subjects_is_warned_of() -> None:
    build = {"formula": "y ~ t + mi(base) + (1 | s)", "impute": {"base": "~ 1"}}
    with pytest.warns(
        zoo.ZooWarning, match="'base' has one value within each s, and .* takes the 4 gaps of one s for as many"
    ) as told:
        zoo.hierarchical_linear(_of_subjects(0), **build)
    assert {warning.filename for warning in told} == {__file__}, "the place that is told is the user's line"
    zoo.hierarchical_linear(_of_subjects(1e-9), **build)
    single = _of_subjects(0)
    single.loc[[13, 14, 15, 29, 30, 31, 45, 46, 47], "base"] = 0.3  # one gap a subject
    single.loc[[12, 28, 44], "base"] = np.nan
    zoo.hierarchical_linear(single, **build)


def test_previews_and_calibration_are_refused(model) -> None:
    with pytest.raises(FitError, match="a preview has the mean in the place of missing values of"):
        zoo.quick(model)
    with pytest.raises(InputError, match=r"calibrate the model without mi\(\)"):
        zoo.calibrate(model, n=1)


# ------------------------------------------------------------------------------------------------------------- estimands


def test_predictions_use_the_imputed_values_of_each_draw(tree) -> None:
    d = people()
    found = zoo.predictions(tree, groups="typical")
    p = posterior_draws(tree, 1000)
    x = np.broadcast_to(d.x.to_numpy(), (p.size, 90)).copy()
    x[:, d.x.isna()] = p["mi_x"]
    z, b = d.z.to_numpy(), p["beta"]
    eta = p["Intercept"][:, None] + b[:, :1] * x + b[:, 1:2] * z + b[:, 2:] * x * z
    np.testing.assert_allclose(found.draws["value"].values.reshape(p.size, 90), eta, rtol=1e-9)
    assert found.table["x"].isna().sum() == 15
    step, pair = (zoo.comparisons(tree, "x", contrast=c).draws["value"].values.ravel() for c in (1, (0, 2)))
    slope = b[:, 0] + b[:, 2] * z.mean()
    np.testing.assert_allclose(step, slope, rtol=1e-9)
    np.testing.assert_allclose(pair, 2 * slope, rtol=1e-9)
    with pytest.raises(
        InputError, match=r"column 'x' has 15 missing values \(rows 2, 8, 14, ...\); correct the file or leave"
    ):
        zoo.predictions(tree, d)
    with pytest.raises(
        InputError,
        match=r"column 'x' has no value in rows 2, 8, 14, \.\.\. of the fit, so that rows cannot be averaged by",
    ):
        zoo.predictions(tree, by="x")


def test_a_file_gives_back_the_model_and_only_the_outcome_is_left_out(tree, model, tmp_path) -> None:
    zoo.save(tree, tmp_path / "fit.nc")
    loaded = zoo.load(tmp_path / "fit.nc")
    again = zoo.model_of(loaded)
    assert again.spec["data"]["sha256"] == model.spec["data"]["sha256"]
    assert again.spec["covariates"] == model.spec["covariates"]
    for ours, theirs in zip(again.predictors, model.predictors, strict=True):
        np.testing.assert_array_equal(ours.population.values, theirs.population.values)
    assert list(loaded["log_likelihood"].data_vars) == ["y"] == list(loaded["posterior_predictive"].data_vars)
    loo = zoo.loo(loaded)
    assert len(loo.table) == 90 and "level=" not in loo.sentence.partition("known")[0]
    with pytest.raises(InputError, match="level= is not there where missing values of 'w' are unknowns"):
        zoo.loo(loaded, level="g")
    for name in ("mi_x", "mi_w"):
        assert name in loaded["posterior"] and name not in loaded["prior"] and name not in loaded["log_prior"]
    assert not any(name.startswith("mi_") for name in zoo.summary(loaded).index)


def test_the_words_tell_of_the_gaps(tree) -> None:
    text = model_text(tree)
    assert "In the 15 rows without a value, x is an unknown of the model" in text.words
    assert "The mean μ of x has a level α, changes β for each unit of w and z and a shift u for each h." in text.words
    told = methods(tree, Answer(None), 0.95)[0]
    assert (
        "15 of 90 values of x were missing; they were unknowns of the model with a normal distribution, whose mean had w and z"
        in told
    )
    assert "the residual standard deviation of x" in told and "random intercept for each g" in told
    rows = {(row.parameter, row.allows) for row in prior_text(tree)}
    assert any(name == "x_Intercept" and "Mean x from" in allows for name, allows in rows)
    (rows_of_y,) = predicted_rows(tree)
    assert np.isnan(rows_of_y.covariates["x"]).sum() == 15


@pytest.mark.slow
def test_the_page_has_the_limit_and_no_picture_of_groups_of_a_covariate(tree, tmp_path) -> None:
    zoo.write_report(tree, tmp_path / "fit.html")
    page = (tmp_path / "fit.html").read_text()
    words = re.sub(r"<[^>]+>", "", page)
    assert "x is missing in 15 of 90 rows, where it is known from its own predictor and from the outcome" in words
    assert "How gs differ" in words and "How hs differ" not in words
