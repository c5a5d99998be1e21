"""The Gaussian approximation before sampling, and the change of variables that it steers."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytensor
import pytensor.tensor as pt
import pytest
import row_models
from rows import ROWS, visits
from scipy import stats
from scipy.integrate import quad

import glmm_zoo as zoo
from glmm_zoo.graph.transforms.bent_log import BentLogTransform
from glmm_zoo.graph.transforms.group_effects import (
    GroupEffectsInformation,
    GroupEffectsTransform,
    SharedInformation,
)
from glmm_zoo.inference import approximation
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.inference.predictor_approximation import before_the_first_round
from glmm_zoo.inference.predictor_data import predictor_data
from glmm_zoo.inference.row_likelihood import row_likelihood, standard_deviation_priors
from glmm_zoo.plans.groups import groups_of

BY_NAME = {row.name: row for row in ROWS}


def scrambled(model, seed: int = 3):
    """The model with arbitrary information in every transform: any must give an exact change of variables."""
    rng = np.random.default_rng(seed)
    shapes, transforms = model.eval_rv_shapes(), {}
    for u in model.group_effect_names:
        levels, k = shapes[u]
        _, coefficients, *earlier = (x for x in model[u].owner.inputs if getattr(x.type, "dtype", "") == "float64")
        p = coefficients.eval().shape[0]
        root = rng.normal(size=(levels, k, k))
        shared = [
            SharedInformation(
                rng.permutation(levels)[:5], rng.integers(0, 6, 5), rng.normal(size=(k, v.eval().shape[1], 5))
            )
            for v in earlier
        ]
        A, c, B = root @ root.transpose(0, 2, 1), rng.normal(size=(levels, k)), rng.normal(size=(levels, k, p))
        transforms[u] = GroupEffectsTransform(k, GroupEffectsInformation(A, c, B, shared))
    return model.with_transforms(transforms)


@pytest.mark.parametrize(
    "name", ["binomial crossed", "linear, three effects", "linear, two blocks", "linear uncorrelated, offsets"]
)
@pytest.mark.promise("change_of_variables")
def test_density_is_the_plain_one_plus_the_jacobian(name):
    model = scrambled(row_models.build(BY_NAME[name]))
    for u in model.group_effect_names:
        z = model.rvs_to_values[model[u]].name
        sd = model[u.replace("u_", "sd_", 1)]
        corr = u.replace("u_", "corr_", 1)
        others = [model[corr]] if corr in model.named_vars else []
        run = row_models.function(
            model,
            [
                *model.replace_rvs_by_values([model[u], sd, *others]),
                *(model.logp(vars=[model[u]], jacobian=j) for j in (False, True)),
            ],
        )
        point = row_models.random_point(model, 2)
        value, scale, *R, plain, whole = run(point)
        S = np.outer(scale, scale) * (R[0] if R else np.eye(len(scale)))
        np.testing.assert_allclose(plain, stats.multivariate_normal(cov=S).logpdf(value).sum(), rtol=1e-9)
        J = row_models.jacobian(lambda x: run({**point, z: x.reshape(value.shape)})[0].ravel(), point[z].ravel())  # noqa: B023
        np.testing.assert_allclose(whole - plain, np.linalg.slogdet(J)[1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["binomial crossed", "linear, three effects"])
def test_forward_inverts_backward(name):
    model = scrambled(row_models.build(BY_NAME[name]))
    point = row_models.random_point(model, 4)
    for u in model.group_effect_names:
        rv, value = model[u], model.rvs_to_values[model[u]]
        transform = model.rvs_to_transforms[rv]
        inputs = model.replace_rvs_by_values(rv.owner.inputs)
        there = transform.backward(value, *inputs)
        back = row_models.function(model, [transform.forward(there, *inputs)])(point)[0]
        np.testing.assert_allclose(back, point[value.name], rtol=1e-9, atol=1e-10)


@pytest.mark.promise("change_of_variables")
def test_the_scale_of_sds_is_exact():
    """Its mass is one, the derivative is that of the map, and it is the log scale above the mode."""
    bent, x = BentLogTransform(np.array(0.3)), pt.scalar("x")
    at = np.linspace(-12, 30, 43)
    sd, jacobian, back = bent.backward(x), bent.log_jac_det(x), bent.forward(bent.backward(x))
    run = pytensor.function([x], [sd, jacobian, back])
    values = np.array([run(v) for v in at])
    np.testing.assert_allclose(values[:, 2], at, atol=1e-9)
    h = 1e-5
    slope = [(run(v + h)[0] - run(v - h)[0]) / (2 * h) for v in at]
    np.testing.assert_allclose(np.exp(values[:, 1]), slope, rtol=1e-5)

    def density(v: float) -> float:
        return stats.halfnorm.pdf(run(v)[0]) * np.exp(run(v)[1])

    np.testing.assert_allclose(quad(density, -40, 40, points=[-5, 0, 5], limit=200)[0], 1.0, rtol=1e-6)
    np.testing.assert_allclose(values[at == 0, 0], 0.3)
    np.testing.assert_allclose(np.diff(np.log(values[at > 10, 0])), 1.0, atol=1e-3)
    assert np.log(values[at == -12, 0] / 0.3) < -144  # a normal tail: x^2, where the log scale has x


GAUSSIAN = {
    "one factor, slopes": "y ~ x + (1 + x | g)",
    "independent slopes": "y ~ x + (x || g)",
    "nested": "y ~ x + (1 | a/b)",
    "covariances by a column": "y ~ x + (1 + x | gr(a:b, by=a))",
    "offset": "y ~ x + offset(w) + (1 | g)",
    "no population effects": "y ~ 0 + (1 + x | g)",
}


@pytest.mark.parametrize("formula", GAUSSIAN.values(), ids=list(GAUSSIAN))
def test_a_gaussian_model_is_standard_normal_in_z_at_the_reference(formula):
    """For a Gaussian outcome the approximation is exact, so given the other parameters log p(z) = -z'z / 2 + constant:
    whatever is wrong in A, B, c, an offset or a pair of levels shows."""
    model, start = parameterize(zoo.lmm(visits(), formula), "auto")
    assert start is not None
    point = {**{k: np.array(v, float) for k, v in model.initial_point().items()}, **start.point}
    rng = np.random.default_rng(0)
    for name in [n for n in point if n.startswith(("beta", "Intercept"))]:
        point[name] = rng.normal(size=np.shape(point[name]))
    for name in [n for n in point if n.startswith("pcorr")]:
        point[name] = point[name] + 0.3  # the reference need not be met by the covariance of the effects
    innermost = model.group_effect_names[-1]
    information = model.rvs_to_transforms[model[innermost]].information
    rows = np.bincount(model["_level_of_" + innermost[2:].removesuffix("_at_means")].get_value())
    point["sigma_log__"] = 0.5 * np.log(rows / information.A[:, 0, 0])[0]  # as in the weights
    effects = [model.rvs_to_values[model[u]].name for u in model.group_effect_names]
    density = row_models.function(model, [model.logp()])
    found = []
    for _ in range(4):
        z = {name: rng.normal(size=np.shape(point[name])) for name in effects}
        found.append(density({**point, **z})[0] + 0.5 * sum(float(np.sum(v**2)) for v in z.values()))
    np.testing.assert_allclose(found, found[0], rtol=1e-8)


def test_the_pass_is_the_mixed_model_equations_for_a_gaussian_outcome():
    frame = visits()
    model = zoo.lmm(
        frame, "y ~ x + (1 | g)", center=False, priors={"Intercept": "Normal(0, 100)", "beta": "Normal(0, 100)"}
    )
    model, start = parameterize(model, "auto")
    assert start is not None
    (block,) = start.blocks
    assert [rv for rv, _ in block.elements] == ["Intercept", "beta"]
    sd, sigma = model.rvs_to_transforms[model["sd_g"]].mode[0], np.exp(float(start.point["sigma_log__"]))
    assert start.point["sd_g_log__"] == 0  # where sd is the mode
    X = np.column_stack([np.ones(72), frame.x])
    V = sd**2 * (np.equal.outer(*[np.asarray(frame.g.astype("category").cat.codes)] * 2)) + sigma**2 * np.eye(72)
    precision = X.T @ np.linalg.solve(V, X)
    np.testing.assert_allclose(block.mean, np.linalg.solve(precision, X.T @ np.linalg.solve(V, frame.y)), rtol=0.02)
    np.testing.assert_allclose(block.root @ block.root.T, np.linalg.inv(precision), rtol=0.05)


@pytest.mark.parametrize(
    "formula",
    [
        "ill ~ x + (1 + x | g)",
        "ill ~ x + (1 | a/b) + (1 + w | g)",
        "ill ~ x + (x | g) + (w | a)",
        "ill ~ 0 + (1 | g) + (1 | h)",
    ],
)
def test_a_round_solves_the_whole_system(formula):
    """Against the system of all unknowns written out: means, covariances, and what is left when factors are averaged over."""
    model = zoo.logistic(visits(), formula)
    rng = np.random.default_rng(5)
    groups = groups_of(model.predictors)
    priors = standard_deviation_priors(model, {g.name("sd"): len(g.labels) for g in groups})
    data = predictor_data("", model.linear[""], groups, 1.0, priors)
    assert data.exact
    n, p = data.D.shape
    first = before_the_first_round(data)
    first = replace(first, S=[np.diag(rng.uniform(0.5, 2, len(S)))[None] + 0.3 for (S,) in first.S])
    w, y = rng.uniform(0.5, 2, n), rng.normal(size=n)
    part = first.updated(w, y)
    columns, at, start = [data.D], [], p
    for z, codes, levels in zip(data.z, data.codes, data.levels, strict=True):
        of_level = np.eye(levels)[codes]
        columns.append((of_level[:, :, None] * z[:, None, :]).reshape(n, -1))
        at.append(start + np.arange(levels * z.shape[1]))
        start += levels * z.shape[1]
    X = np.hstack(columns)
    likelihood, response = X.T @ (w[:, None] * X), X.T @ (w * y)

    def prior(S):
        whole = np.zeros((start, start))
        for index, (one,) in zip(at, S, strict=True):
            whole[np.ix_(index, index)] = np.kron(np.eye(len(index) // len(one)), np.linalg.inv(one))
        return whole

    ridge = np.zeros((start, start))
    ridge[:p, :p] = np.diag(data.precision)
    C = np.linalg.inv(likelihood + prior(first.S) + ridge)
    mean = C @ (response + np.append(data.score, np.zeros(start - p)))
    np.testing.assert_allclose(part.b, mean[:p], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(part.covariance, C[:p, :p], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(part.variance, np.einsum("np,pq,nq->n", X, C, X), rtol=1e-8)
    np.testing.assert_allclose(part.mean, X @ mean, rtol=1e-8, atol=1e-10)
    for index, u, V, levels in zip(at, part.u, part.V, data.levels, strict=True):
        np.testing.assert_allclose(u.ravel(), mean[index], rtol=1e-8, atol=1e-10)
        whole = C[np.ix_(index, index)].reshape(levels, u.shape[1], levels, u.shape[1])
        np.testing.assert_allclose(V, np.einsum("gkgl->gkl", whole), rtol=1e-8, atol=1e-12)
    for f, index in enumerate(at):
        after = data.order[data.order.index(f) + 1 :]
        gone = np.concatenate([np.zeros(0, int), *(at[e] for e in after)])
        P = likelihood + prior(part.S)
        G = np.linalg.solve(P[np.ix_(gone, gone)], P[gone]).T
        left, c = likelihood - G @ P[gone], response - G @ response[gone]
        information, before = part.information_about(f)
        A, c_f, B = information.A, information.c, information.B
        k = A.shape[1]
        own = left[np.ix_(index, index)].reshape(len(A), k, len(A), k)
        np.testing.assert_allclose(A, np.einsum("gkgl->gkl", own), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(c_f.ravel(), c[index], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(B.reshape(len(index), p), left[index, :p], rtol=1e-8, atol=1e-10)
        assert list(before) == data.order[: data.order.index(f)]
        for e, pairs in zip(before, information.shared, strict=True):
            whole = np.zeros((len(A), k, data.levels[e], pairs.weights.shape[1]))
            whole[pairs.own, :, pairs.other] = pairs.weights.transpose(2, 0, 1)
            expected = left[np.ix_(index, at[e])].reshape(whole.shape)
            np.testing.assert_allclose(whole, expected, rtol=1e-8, atol=2e-6 * np.abs(expected).max())


def test_blocks_whiten_the_population_effects():
    model, start = parameterize(zoo.logistic(visits(), "ill ~ x + w + (1 | g)"), "auto")
    assert start is not None
    keep = ["Intercept_at_means", "beta"]
    plain, white = compile_model(model), compile_model(model, start)
    (block,) = start.blocks
    at_zero = white.coordinates.x_of(np.zeros((1, white.size)))
    found = white.variables(model.replace_rvs_by_values([model[k] for k in keep]))(at_zero)
    np.testing.assert_allclose(np.concatenate([np.ravel(v) for v in found]), block.mean, rtol=1e-12)
    z = np.random.default_rng(1).normal(size=white.size)
    sizes = {model.values_to_rvs[v].name: np.size(model.initial_point()[v.name]) for v in model.value_vars}
    first = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    index = [first[rv] + i for rv, i in block.elements]
    moved = z.copy()
    moved[index] = block.mean + block.root @ z[index]
    np.testing.assert_allclose(white.value_and_gradient_of_z()(z)[0], plain.value_and_gradient(moved)[0], rtol=1e-12)
    np.testing.assert_allclose(white.coordinates.x_of(z), moved, rtol=1e-13)
    np.testing.assert_allclose(white.coordinates.z_of(moved), z, rtol=1e-10)


def test_the_pass_is_near_the_maximum_likelihood_of_cbpp():
    model, start = parameterize(zoo.card("multicenter").model(), "auto")
    assert start is not None
    assert 0.55 < model.rvs_to_transforms[model["sd_herd"]].mode[0] < 0.8  # lme4, AGQ: 0.648
    (block,) = start.blocks
    np.testing.assert_allclose(block.mean[1:], [-0.991, -1.128, -1.580], atol=0.08)
    np.testing.assert_allclose(np.sqrt(np.diag(block.root @ block.root.T))[1:], [0.307, 0.327, 0.428], rtol=0.15)


def test_a_pass_that_fails_is_logged_and_leaves_the_non_centred_form(monkeypatch, caplog):
    def failing(*_):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(approximation, "_iterate", failing)
    model = zoo.logistic(visits(), "ill ~ x + (1 | g)")
    with caplog.at_level(logging.INFO, "glmm_zoo"):
        parameterized, start = parameterize(model, "auto")
    assert "non-centred" in caplog.text
    assert parameterized is model and start is None
    assert model.rvs_to_transforms[model["u_g"]].information is None


@pytest.mark.parametrize(
    "make",
    [
        lambda d: zoo.poisson(d, "count ~ x + (1 | g) + (1 | h)", exposure="days"),
        lambda d: zoo.nb(d, "count ~ x + (1 | g)"),
        lambda d: zoo.zip(d, "count ~ x + (1 |p| g)", zi="~ x + (1 |p| g)"),
        lambda d: zoo.hurdle_poisson(d, "count ~ x + (1 + x | g)", zi="~ w + (1 | h)"),
        lambda d: zoo.lmm(d, "y ~ x + (1 |p| g)", dispersion="~ x + (1 |p| g)"),
        lambda d: zoo.ordinal(d, "rank ~ x + (1 | g)", disc="~ x + (1 | h)", levels=["0", "1", "2"]),
    ],
    ids=["poisson crossed", "negative binomial", "zip shared label", "hurdle, two parts", "dispersion", "disc"],
)
def test_every_family_has_an_approximation(make):
    rng = np.random.default_rng(5)
    frame = visits().assign(
        count=lambda d: rng.poisson(np.exp(0.4 * d.x)) * rng.integers(0, 2, len(d)),
        rank=lambda d: d["count"].clip(0, 2),
    )
    model, start = parameterize(make(pd.DataFrame(frame)), "auto")
    assert start is not None
    for u in model.group_effect_names:
        A = model.rvs_to_transforms[model[u]].information.A
        assert np.isfinite(A).all() and A[:, 0, 0].max() > 0


def test_a_model_stays_non_centred():
    model = row_models.build(BY_NAME["binomial crossed"])
    parameterize(model, "auto")
    point = row_models.random_point(model, 1)
    sd, z, u = point["sd_g_log__"], point["u_g_z__"], model["u_g"]
    found = row_models.function(model, model.replace_rvs_by_values([u]))(point)[0]
    np.testing.assert_allclose(found, np.exp(sd) * z, rtol=1e-12)


@pytest.mark.parametrize("how", ["noncentered", "centered"])
@pytest.mark.promise("change_of_variables")
def test_the_classical_forms_have_the_same_posterior_density(how):
    """log p at the same group effects, without the Jacobian of the form."""
    row = BY_NAME["binomial crossed"]
    (one, _), (other, _) = (parameterize(row_models.build(row), form) for form in ("auto", how))
    point = row_models.random_point(one, 3)
    effects = row_models.function(one, one.replace_rvs_by_values([one[u] for u in one.group_effect_names]))(point)
    there = dict(point)
    for u, value in zip(one.group_effect_names, effects, strict=True):
        rv = other[u]
        transform = other.rvs_to_transforms[rv]
        target = other.rvs_to_values[rv].name
        if transform is None:
            there.pop(f"{u}_z__", None)
            there[target] = value
        else:
            there[target] = (
                value / row_models.function(one, one.replace_rvs_by_values([one[u.replace("u_", "sd_", 1)]]))(point)[0]
            )
    for s in one.expected_sds:
        there[f"{s}_log__"] = np.log(row_models.function(one, one.replace_rvs_by_values([one[s]]))(point)[0])
    here, same = (row_models.function(m, [m.logp(jacobian=False)])(p)[0] for m, p in ((one, point), (other, there)))
    np.testing.assert_allclose(here, same, rtol=1e-10)


def test_quick_is_a_labelled_preview():
    found = zoo.quick(zoo.card("multicenter").model())
    assert found.index.name == "approximate" and list(found.columns) == ["mean", "sd", "lower", "upper"]
    lme4 = {"Intercept": -1.399, "beta[period[2]]": -0.991, "beta[period[3]]": -1.128, "beta[period[4]]": -1.580}
    for name, value in lme4.items():
        assert abs(found.loc[name, "mean"] - value) < 0.1
        assert found.loc[name, "lower"] < value < found.loc[name, "upper"]
    assert np.isnan(found.loc["sd_herd[Intercept]", "sd"])
    linear = zoo.quick(zoo.lmm(visits(), "y ~ x + (1 | g)"))
    assert 1.5 < linear.loc["sigma", "mean"] < 2.5


@pytest.mark.filterwarnings("ignore:this preview:glmm_zoo.errors.ZooWarning")
@pytest.mark.parametrize("name", sorted({row.builder: row.name for row in ROWS}.values()))
def test_every_builder_has_a_preview_by_the_names_of_its_posterior(name):
    model = row_models.build(BY_NAME[name])
    try:
        found = zoo.quick(model)
    except zoo.FitError as err:  # random data may be beyond the approximation, which must say so
        assert "did not converge" in str(err)
        return
    for label, row in found.iterrows():
        variable = str(label).split("[")[0]
        assert np.isfinite(row["mean"]), label
        assert variable.removesuffix("_at_means") in row_models.reported(model), label
        if variable.endswith("beta"):
            assert row["sd"] > 0, label


@pytest.mark.parametrize("name", ["ordinal", "wedge", "meta, fixed", "zip, zi"])
def test_no_parameter_is_both_a_coefficient_and_the_familys_own(name):
    model = row_models.build(BY_NAME[name])
    density = row_likelihood(model)
    assert density is not None
    coefficients = {rv for linear in model.linear.values() for rv, _ in linear.elements}
    assert not coefficients & {rv for rv, _ in density.elements}
