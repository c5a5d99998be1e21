"""What every model promises, over the rows of `rows.py`: laws of the graph, without sampling a posterior."""

from __future__ import annotations

import datetime
import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import row_models
import xarray as xr
from rows import ROWS, Row, visits
from scipy import stats
from scipy.special import betaln

import glmm_zoo
from glmm_zoo.errors import InputError
from glmm_zoo.graph.transforms.autoregressive import AutoregressiveTransform
from glmm_zoo.graph.transforms.serial_effects import SerialEffectsTransform
from glmm_zoo.inference import compile
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.draws import Draws
from glmm_zoo.inference.kernel.expression import UnsupportedError
from glmm_zoo.inference.posterior_predictive import posterior_predictive

logging.getLogger("pymc").setLevel(logging.ERROR)

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
BUILDERS = sorted(p.stem for p in (Path(glmm_zoo.__file__).parent / "builders").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", BUILDERS)
def test_every_builder_has_a_row(name):
    assert any(row.builder == name for row in ROWS), f"add a row for {name} to tests/rows.py"


# --------------------------------------------------------------------------------------------------- graph and density


@every_row
def test_density_and_gradient_are_finite_at_the_start(row: Row):
    start = row_models.model_of(row.name).initial_point()
    value, gradient = row_models.log_density(row.name)(start)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert gradient.size == sum(np.size(x) for x in start.values())


@every_row
@pytest.mark.promise("log_likelihood")
def test_pointwise_log_likelihood_is_scipys(row: Row):
    frame = row.data()
    for seed in range(3):
        _, values, pointwise = row_models.evaluator(row.name)(seed)
        np.testing.assert_allclose(pointwise, row.log_likelihood(frame, values), rtol=1e-9, atol=1e-14)


@every_row
def test_variables_and_dims_are_those_of_the_row(row: Row):
    model = row_models.model_of(row.name)
    dims = model.named_vars_to_dims
    assert {v.name: tuple(dims.get(v.name, ())) for v in model.free_RVs} == dict(row.free)
    assert {name: tuple(dims.get(name, ())) for name in row_models.reported(model)} == dict(row.posterior)
    frame = row.data()
    expected = {**row.coords, **row.levels(frame), **{dim: tuple(rows) for dim, rows in row.rows(frame).items()}}
    assert {d: tuple(c) for d, c in model.coords.items()} == expected


@every_row
def test_the_callers_frame_is_not_changed(row: Row):
    frame = row.data()
    row_models.build(row, frame)
    pd.testing.assert_frame_equal(frame, row.data())


# --------------------------------------------------------------------------------------- order and labels do not matter


def shuffled(row: Row):
    """Rows in another order, and group levels renamed so that their order is reversed; numbers stay numbers."""
    frame, renamed = row.data().sample(frac=1.0, random_state=3), {}
    for column in (c for c, kind in row.columns.items() if kind == "group"):
        seen = sorted(set(frame[column].tolist()))
        new = [-v for v in seen] if frame[column].dtype.kind == "i" else [f"L{99 - i}" for i in range(len(seen))]
        renamed[column] = dict(zip(map(str, seen), map(str, new), strict=True))
        frame[column] = frame[column].map(dict(zip(seen, new, strict=True)))
    return frame, row.formula, renamed


def declared(row: Row):
    """Grouping columns as pandas categoricals whose declared order is the reverse, with a level that never occurs."""
    frame = row.data()
    for column in (c for c, kind in row.columns.items() if kind == "group"):
        levels = sorted(set(frame[column].astype(str)), reverse=True)
        frame[column] = pd.Categorical(frame[column].astype(str), categories=["never", *levels])
    return frame, row.formula, {}


def reordered(row: Row):
    """Group terms in the reverse order, and first in the formula."""
    terms = re.findall(r"\([^()]*\|[^()]*\)", row.formula.split("~")[1])
    left, right = row.formula.split("~")
    for term in terms:
        right = right.replace(f"+ {term}", "")
    return row.data(), f"{left}~ {' + '.join(terms[::-1])} + {right}", {}


def moved(point: row_models.Point, old, new, renamed) -> dict[str, np.ndarray]:
    """The same values at the same labels in the other model: whatever has the dims of a variable is permuted by them."""
    found = {}
    for rv in old.free_RVs:
        value = old.rvs_to_values[rv]
        x = point[value.name]
        for axis, dim in enumerate(old.named_vars_to_dims.get(rv.name, ())):
            maps = [renamed.get(column, {}) for column in dim.split(":")]
            was = list(old.coords[dim])
            if any(maps) and not dim.endswith("_effect"):
                was = [":".join(m.get(p, p) for m, p in zip(maps, lv.split(":"), strict=True)) for lv in was]
            if was == list(new.coords[dim]):  # a simplex moves one element fewer than it has labels
                continue
            x = np.take(x, [was.index(level) for level in new.coords[dim]], axis=axis)
        found[value.name] = x
    return found


CHANGES = [
    pytest.param(row, change, id=f"{row.name}-{change.__name__}")
    for row in ROWS for change in (shuffled, declared, reordered)
    if change is shuffled or row.name in ("binomial crossed", "linear uncorrelated, offsets", "linear nested")
]  # fmt: skip


@pytest.mark.parametrize(("row", "change"), CHANGES)
def test_order_and_labels_do_not_matter(row: Row, change):
    frame, formula, renamed = change(row)
    old, new = row_models.model_of(row.name), row_models.build(row, frame, formula)
    point = row_models.random_point(old, 5)
    there = moved(point, old, new, renamed)
    here, _ = row_models.log_density(row.name)(point)
    np.testing.assert_allclose(row_models.function(new, [new.logp()])(there)[0], here, rtol=1e-11)


# ------------------------------------------------------------------------------------------------------------ simulation


def _repeated(values: dict, names: list[str], draws: int) -> xr.DataTree:
    """A posterior of `draws` times the same point."""
    one = {name: values[name].expand_dims(chain=[0], draw=range(draws)) for name in names}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(one)})


@every_row
def test_prior_predictive_is_in_support_and_follows_the_seed(row: Row):
    model, frame = row_models.model_of(row.name), row.data()
    first, again, other = (
        pm.sample_prior_predictive(draws=5, model=model, random_seed=seed).prior_predictive.to_dataset()
        for seed in (1, 1, 2)
    )
    assert row.support(frame, row_models.together(model, first)).all()
    assert [first[rv.name].dims for rv in model.observed_RVs] == [("chain", "draw", dim) for dim in row.rows(frame)]
    xr.testing.assert_identical(first.drop_attrs(), again.drop_attrs())
    assert not first.equals(other)


@every_row
def test_posterior_predictive_has_the_moments_of_the_density(row: Row):
    model, frame, draws = row_models.model_of(row.name), row.data(), 300
    _, values, _ = row_models.evaluator(row.name)(11)
    tree = _repeated(values, [rv.name for rv in model.unobserved_RVs], draws)  # as `fit` keeps them
    y, again = (
        row_models.together(
            model,
            pm.sample_posterior_predictive(
                of, model=model, random_seed=4, progressbar=False
            ).posterior_predictive.to_dataset(),
        )[0]
        for of in (tree, tree.isel(draw=slice(3)))
    )
    assert np.array_equal(y[:3], again)
    assert row.support(frame, y).all()
    mean, sd = row.mean_and_sd(frame, values)
    assert np.all(np.abs(y.mean(axis=0) - mean) < 5 * (sd / np.sqrt(draws) + 1 / draws))


@every_row
def test_fit_predicts_with_the_moments_of_the_density(row: Row):
    """Of two points that take turns, so that a draw must be made from its own."""
    model, frame, draws = row_models.model_of(row.name), row.data(), 300
    points = [row_models.evaluator(row.name)(seed)[:2] for seed in (11, 12)]
    x = np.stack([np.concatenate([np.ravel(point[v.name]) for v in model.value_vars]) for point, _ in points])
    stats = {"diverging": np.zeros((1, 2 * draws), bool)}
    drawn = Draws(
        np.tile(x, (1, draws, 1)), np.arange(2 * draws), stats, np.array([2 * draws]), 0, False, 0.0, 0, np.ones(1)
    )
    found = posterior_predictive(model, compile_model(model), drawn, 4)
    y = row_models.together(model, found)[0]
    assert row.support(frame, y).all()
    for turn, (_, values) in enumerate(points):
        mean, sd = row.mean_and_sd(frame, values)
        of_one = y[turn::2]
        assert np.all(np.abs(of_one.mean(axis=0) - mean) < 5 * (sd / np.sqrt(draws) + 1 / draws))
        assert (np.diff(of_one, axis=0) != 0).any(axis=1).mean() > 0.5  # draws of their own


# --------------------------------------------------------------------------------------------------------- wrong columns

FAULTY = 3  # from 0, so "row 4" in a message


def _wrong(frame: pd.DataFrame, column: str, kind: str, fault: str) -> pd.DataFrame:
    if fault == "missing":
        return frame.drop(columns=column)
    values = frame[column].astype(object)
    if fault == "NaN":
        values[FAULTY] = None
    elif fault == "infinite":
        values[FAULTY] = np.inf
    elif fault == "text":  # a number column with a slip of the keyboard in it
        values = values.astype(str)
        values[FAULTY] = "1,5o"
    elif fault == "dates":
        values = pd.Series([datetime.datetime(2024, 1, 1 + i % 9) for i in range(len(frame))])
    elif fault == "mixed":
        values[FAULTY] = 1.5 if kind in ("label", "factor", "group") else "many"
        values[FAULTY + 1] = ("a", "pair")
    elif fault == "zero":
        values[FAULTY] = 0
    elif fault == "negative":
        values[FAULTY] = -1
    elif fault == "fraction":
        values[FAULTY] = 0.5
    elif fault == "three":
        values[FAULTY] = "perhaps"
    elif fault == "two":
        values[FAULTY] = 2
    if fault in ("NaN", "infinite", "fraction") and kind in ("number", "binary", "count", "rank", "exposure", "share"):
        values = values.astype(float)
    return frame.assign(**{column: values.infer_objects()})


FAULTS = {
    "number": ("missing", "NaN", "infinite", "text", "dates", "mixed"),
    "binary": ("missing", "NaN", "infinite", "text", "dates", "mixed", "two", "negative", "fraction"),
    "count": ("missing", "NaN", "infinite", "text", "dates", "mixed", "negative", "fraction"),
    "share": ("missing", "NaN", "infinite", "text", "dates", "mixed", "negative"),
    "rank": ("missing", "NaN", "infinite", "text", "dates", "mixed", "fraction"),
    "exposure": ("missing", "NaN", "infinite", "text", "dates", "mixed", "negative", "zero"),
    "label": ("missing", "NaN", "three", "dates", "mixed"),
    "factor": ("missing", "NaN", "dates", "mixed"),
    "group": ("missing", "NaN", "mixed"),
}
NAMES_THE_ROW = ("NaN", "infinite", "text", "fraction", "negative", "zero")
CASES = {
    f"{row.builder}-{column}-{fault}": (row, column, kind.rstrip("?"), fault)
    for row in ROWS for column, kind in row.columns.items() for fault in FAULTS[kind.rstrip("?")]
    if (kind[-1], fault) != ("?", "NaN")  # one of several outcomes
}  # fmt: skip


@pytest.mark.parametrize(("row", "column", "kind", "fault"), CASES.values(), ids=CASES)
def test_a_wrong_column_is_named(row: Row, column, kind, fault):
    with pytest.raises(InputError) as caught:
        row_models.build(row, _wrong(row.data(), column, kind, fault))
    message = str(caught.value)
    assert re.search(rf"\b{column}\b", message), message
    if fault in NAMES_THE_ROW and (kind, fault) not in (("binary", "negative"), ("binary", "text")):  # levels are told
        assert f"row {FAULTY + 1}" in message, message
    if fault == "dates" and (row.builder, column) != ("stepped_wedge", "period"):  # periods may be dates
        assert "date" in message, message


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (1 | a/g)"])
def test_dates_group_rows_as_their_text_does(formula):
    dates = {level: datetime.date(2024, 1, 1 + 3 * i) for i, level in enumerate("ABCDEFGHI")}
    frames = [visits().assign(g=lambda d: d.g.map(dates)), visits().assign(g=lambda d: d.g.map(dates).astype(str))]
    models = [row_models.builder("hierarchical_linear")(frame, formula) for frame in frames]
    point = row_models.random_point(models[0], 1)
    assert models[0].coords == models[1].coords
    one, other = (row_models.function(m, [m.logp()])(point)[0] for m in models)
    assert one == other


# ---------------------------------------------------------------------------------------------------------- group effects


def _factors(model) -> list[str]:
    """All but those correlated between levels, which test_stepped_wedge.py and test_serial.py test."""
    return [
        rv.name for rv in model.free_RVs
        if re.match(r"(\w+_)?u_", rv.name)
        and not isinstance(model.rvs_to_transforms[rv], AutoregressiveTransform | SerialEffectsTransform)
    ]  # fmt: skip


@every_row
@pytest.mark.promise("group_effects")
def test_group_effects_are_normal_or_t_with_sd_and_corr_and_the_transform_has_its_jacobian(row: Row):
    model = row_models.model_of(row.name)
    for name in _factors(model):
        u = model[name]
        z = model.rvs_to_values[u].name
        sd = model[name.replace("u_", "sd_", 1)]
        has_corr = name.replace("u_", "corr_", 1) in model.named_vars
        corr = [model[name.replace("u_", "corr_", 1)]] if has_corr else []
        df = [model[name.replace("u_", "df_", 1)]] if name.replace("u_", "df_", 1) in model.named_vars else []
        run = row_models.function(
            model,
            [*model.replace_rvs_by_values([u, sd, *corr, *df]),
             *(model.logp(vars=[u], jacobian=j) for j in (False, True))],
        )  # fmt: skip
        point = row_models.random_point(model, 2)
        effects, scale, *R, plain, with_jacobian = run(point)
        if scale.ndim == 2:  # of levels "a1:2" by a
            scale = scale[[model.coords["a"].index(level.split(":")[0]) for level in model.coords[name[2:]]]]
        S = np.zeros((len(effects), 1, 1)) + scale[..., :, None] * scale[..., None, :] * (
            R[0] if corr else np.eye(scale.shape[-1])
        )
        laws = [stats.multivariate_t(shape=s, df=R[-1]) if df else stats.multivariate_normal(cov=s) for s in S]
        expected = sum(law.logpdf(x) for law, x in zip(laws, effects, strict=True))
        np.testing.assert_allclose(plain, expected, rtol=1e-9)
        J = row_models.jacobian(lambda x: run({**point, z: x.reshape(effects.shape)})[0].ravel(), point[z].ravel())  # noqa: B023
        np.testing.assert_allclose(with_jacobian - plain, np.linalg.slogdet(J)[1], rtol=1e-6, atol=1e-7)


@pytest.mark.promise("group_effects")
def test_effects_of_two_blocks_are_independent_of_each_other():
    _, values, _ = row_models.evaluator("linear, two blocks")(0)
    R = values["corr_g_at_means"].values
    assert np.all(R[:2, 2:] == 0)
    assert abs(R[0, 1]) > 0.01 and abs(R[2, 3]) > 0.01
    np.testing.assert_allclose(np.diag(R), 1.0)


# -------------------------------------------------------------------------------------------------------- LKJ correlation


def correlated_model(k: int, eta: float):
    extra = "".join(f" + x{j}" for j in range(1, k))
    rng = np.random.default_rng(1)
    frame = visits().assign(**{f"x{j}": rng.normal(size=72) for j in range(1, k)})
    linear = row_models.builder("hierarchical_linear")
    return linear(frame, f"y ~ 1 + (1{extra} | g)", priors={"corr": f"LKJ({eta})"})


def log_lkj_constant(k: int, eta: float) -> float:
    """log of the integral of det(R)^(eta - 1), Lewandowski, Kurowicka & Joe (2009), eq. 16."""
    j = np.arange(1, k)
    shape = eta + (k - j - 1) / 2
    return float(np.sum((2 * eta - 2 + k - j) * (k - j)) * np.log(2) + np.sum((k - j) * betaln(shape, shape)))


@pytest.mark.parametrize(("k", "eta"), [(2, 0.7), (2, 4.0), (3, 1.0), (3, 4.0), (4, 0.7), (4, 2.0)])
@pytest.mark.promise("group_effects")
def test_correlations_have_the_lkj_density(k, eta):
    model = correlated_model(k, eta)
    p = model["pcorr_g"]
    value = model.rvs_to_values[p].name
    lower = np.tril_indices(k, -1)
    run = row_models.function(model, [*model.replace_rvs_by_values([model["corr_g_at_means"]]), model.logp(vars=[p])])
    for seed in range(3):
        point = row_models.random_point(model, seed, scale=1.0)
        R, density = run(point)
        J = row_models.jacobian(lambda v: run({**point, value: v})[0][lower], point[value])  # noqa: B023
        lkj = (eta - 1) * np.linalg.slogdet(R)[1] - log_lkj_constant(k, eta)
        np.testing.assert_allclose(density, lkj + np.linalg.slogdet(J)[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("k", "eta"), [(2, 2.0), (3, 0.7), (4, 2.0)])
def test_prior_draws_of_correlations_have_the_lkj_marginals(k, eta):
    R = pm.draw(correlated_model(k, eta)["corr_g_at_means"], draws=1500, random_seed=8)
    a = eta - 1 + k / 2
    for i, j in zip(*np.tril_indices(k, -1), strict=True):
        assert stats.kstest((R[:, i, j] + 1) / 2, stats.beta(a, a).cdf).pvalue > 1e-3


# --------------------------------------------------------------------------------------------------- priors and centring


CENTRED = [r for r in ROWS if r.name in ("linear nested", "logistic", "binomial crossed", "zinb, shared")]


@pytest.mark.parametrize("row", CENTRED, ids=lambda row: row.name)
def test_centring_moves_only_the_prior_of_the_intercept(row: Row):
    frame, text = row.data(), "StudentT(3, 0.4, 1.7)"
    designs = {"": row.X} | {f"{prefix}_": X for prefix, (X, _) in row.also.items()}
    options = {"priors": {**row.options.get("priors", {}), **{f"{lead}Intercept": text for lead in designs}}}
    yes, no = (row_models.build(row, frame, center=center, **options) for center in (True, False))
    parts = [yes[f"{lead}{name}"] for lead in designs for name in ("beta", "Intercept")]
    run = row_models.function(yes, [*yes.replace_rvs_by_values(parts), yes.logp(), yes.observedlogp])
    point = row_models.random_point(yes, 9)
    *values, with_centre, likelihood = run(point)
    prior, difference = stats.t(3, 0.4, 1.7), 0.0
    for (lead, X), beta, intercept in zip(designs.items(), values[::2], values[1::2], strict=True):
        at_means = point.pop(f"{lead}Intercept_at_means")
        means = np.array([np.mean(np.asarray(x, float)) for x in X(frame).values()])
        np.testing.assert_allclose(intercept, at_means - means @ beta, rtol=1e-12)
        point[f"{lead}Intercept"] = intercept
        difference += prior.logpdf(at_means) - prior.logpdf(intercept)
    without, same = row_models.function(no, [no.logp(), no.observedlogp])(point)
    np.testing.assert_allclose(same, likelihood, rtol=1e-10)
    np.testing.assert_allclose(with_centre - without, difference, rtol=1e-8)


def test_mixed_priors_have_the_density_of_each():
    row = next(r for r in ROWS if r.name == "linear, mixed priors")
    model = row_models.model_of(row.name)
    point, p, _ = row_models.evaluator(row.name)(1)
    rest = [rv for rv in model.free_RVs if rv.name != "u_g_at_means"]
    expected = (
        stats.norm(1, 4).logpdf(p["Intercept_at_means"])
        + stats.norm(0, 2).logpdf(p["beta"].sel(coef=["x", "v"])).sum()
        + stats.t(4, 0.5, 1.5).logpdf(p["beta"].sel(coef="w"))
        + stats.halfnorm(scale=2).logpdf(p["sd_g_at_means"].sel(g_effect="Intercept"))
        + stats.expon(scale=1 / 3).logpdf(p["sd_g_at_means"].sel(g_effect="x"))
        + stats.gamma(2, scale=1).logpdf(p["sigma"])
    )
    np.testing.assert_allclose(row_models.function(model, [model.logp(vars=rest, jacobian=False)])(point)[0], expected)


# --------------------------------------------------------------------------------------------------------- the JAX path


@pytest.mark.parametrize(
    "name",
    [
        "linear, two blocks",
        "binomial crossed",
        "poisson, offset",
        "negative binomial, nb1",
        "zinb, shared",
        "hurdle negative binomial",
        "never at risk",
        "wedge, decay",
        "wedge, monotone",
        "ordinal, nominal",
        "joint, residuals",
    ],
)
def test_jax_computes_what_pytensor_computes(name, monkeypatch):
    def unknown(*_):
        raise UnsupportedError("this graph")

    monkeypatch.setattr(compile, "_by_kernel", unknown)
    row = next(r for r in ROWS if r.name == name)
    model, frame = row_models.model_of(name), row.data()
    keep = [v.name for v in model.unobserved_RVs]
    compiled = compile_model(model)
    points = [row_models.evaluator(name)(seed) for seed in range(3)]
    x = np.stack([np.concatenate([np.ravel(p[v.name]) for v in model.value_vars]) for p, _, _ in points])
    assert compiled.size == x.shape[1]
    for xi, (point, _, _) in zip(x, points, strict=True):
        value, gradient = compiled.value_and_gradient(xi)
        expected, expected_gradient = row_models.log_density(name)(point)
        np.testing.assert_allclose(value, expected, rtol=1e-10)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-7, atol=1e-8)
    expanded = dict(zip(keep, compiled.variables(model.replace_rvs_by_values(model.unobserved_RVs))(x), strict=True))
    terms = np.concatenate(compiled.variables(model.logp(vars=model.observed_RVs, sum=False))(x), axis=1)
    for i, (_, values, _) in enumerate(points):
        for v in keep:
            np.testing.assert_allclose(expanded[v][i], values[v].values, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(terms[i], row.log_likelihood(frame, values), rtol=1e-9)
