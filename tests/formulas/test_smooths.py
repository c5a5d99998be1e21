"""Smooths: bases against mgcv's, the split into polynomial and random part, and curves of a fit.

Values of mgcv 1.8-41 were made by, for each basis `bs` and x <- MASS::mcycle$times:

    sm <- smoothCon(s(x, bs = bs, k = 10), data = data.frame(x), absorb.cons = TRUE, diagonal.penalty = TRUE)[[1]]
    r <- smooth2random(sm, "x", type = 2); Z <- r$rand[[1]]
    c(rowSums(Z^2)[c(1, 50, 100, 133)], sum(Z^2), sum(abs(r$Xf)))                       # SPLIT
    b <- gam(accel ~ s(times, bs = bs, k = 20), data = mcycle, method = "REML")
    sqrt(b$sig2 / b$sp); sqrt(b$sig2); sum(b$edf[-1]); predict(b, data.frame(times = seq(3, 57, length = 10)))    # FITS
    x <- rep(0:14, times = 1:15) / u, in units u of 1, 3, 7, 10, 11 and 13, bs = "tp": unique values of sum(Z^2)    # WEEKS
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import row_models
from data_sets import data_set
from rows import visits

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.formulas.smooths.bases import Basis, group_curve_basis, spline_basis
from glmm_zoo.formulas.smooths.smooth import factor_smooth, plain_smooth, smooth_by_factor, smooth_by_numbers
from glmm_zoo.formulas.smooths.tensor_products import basis_from_json, tensor_product
from glmm_zoo.inference.compile import compile_model
from glmm_zoo.inference.parameterization import parameterize

MCYCLE = data_set("MASS_mcycle.csv")
TIMES = MCYCLE["times"].to_numpy()
SPLIT = {
    "tp": [0.3559938105, 0.06097197183, 0.1128795752, 0.6397489751, 19.22944, 14.736889],
    "cr": [347.8643127, 15.30708603, 57.54135702, 377.9512749, 8123.1426, 302.88972],
    "ps": [68.68828414, 3.228970905, 12.99345441, 41.69399035, 1589.6368, 133.98971],
    "cc": [39.07333547, 14.16139144, 30.28876826, 39.07333547, 3247.6811, 0],
}
FITS = {
    "tp": (629.52618, 22.608552, 12.176163, [-1.4386553, -1.4555664, -25.044299, -117.36061, -21.462582, 35.776254, 5.2269672, 1.3513979, -5.7383704, 6.851079]),
    "cr": (4.4836952, 22.561297, 11.784904, [-1.3673616, -1.3837214, -24.527844, -117.46184, -21.615578, 36.174001, 5.6094326, 0.14502632, -7.0891744, 7.9531276]),
    "ps": (12.032941, 22.64049, 11.034497, [-1.3891771, -0.8067542, -26.115664, -118.77373, -21.958521, 35.515625, 5.0735647, 0.90280905, -6.1757398, 7.0736203]),
    "cc": (4.8015369, 22.484707, 10.771634, [1.2298271, -1.4534671, -24.485822, -117.49571, -21.596949, 36.198606, 5.612061, 0.041040549, -6.2788352, 1.5499947]),
}  # fmt: skip
WEEKS = {
    5: [6.728508, 5.104678], 8: [24.063857, 18.443735], 9: [19.196452, 20.898599], 10: [32.626029, 24.393689],
    12: [50.322307, 37.157169], 15: [3.177232],
}  # fmt: skip


@pytest.mark.parametrize("k", WEEKS)
@pytest.mark.promise("smooths")
def test_on_equally_spaced_values_the_scale_is_mgcvs_and_does_not_depend_on_the_unit(k):
    """mgcv's depends on it, by rounding, unless every value has a function."""
    weeks = np.repeat(np.arange(15.0), np.arange(1, 16))
    found = [
        (spline_basis("week", x, "tp", k).columns(x)[1] ** 2).sum()
        for x in (weeks, weeks + 1, weeks / 3, weeks / 7, 0.1 * weeks, 7 * weeks - 3)
    ]
    np.testing.assert_allclose(found, found[0], rtol=1e-7)
    assert min(abs(found[0] / np.array(WEEKS[k]) - 1)) < 1e-6


@pytest.mark.parametrize("bs", SPLIT)
@pytest.mark.promise("smooths")
def test_the_split_is_mgcvs_up_to_rotation(bs):
    Xf, Zs = spline_basis("times", TIMES, bs, 10).columns(TIMES)
    found = [*(Zs**2).sum(axis=1)[[0, 49, 99, 132]], (Zs**2).sum(), np.abs(Xf).sum()]
    np.testing.assert_allclose(found, SPLIT[bs], rtol=1e-6)
    np.testing.assert_allclose([Xf.sum(), *Zs.sum(axis=0)] if Xf.size else Zs.sum(axis=0), 0, atol=1e-7)


@pytest.mark.parametrize("bs", FITS)
@pytest.mark.promise("smooths")
def test_fit_and_edf_under_the_same_sd_are_mgcvs(bs):
    sd, sigma, edf, fit = FITS[bs]
    B = spline_basis("times", TIMES, bs, 20)
    Xf, Zs = B.columns(TIMES)
    X = np.hstack([np.ones((len(TIMES), 1)), Xf, Zs])
    penalty = np.diag([0.0] * (1 + Xf.shape[1]) + [(sigma / sd) ** 2] * Zs.shape[1])
    C = np.linalg.inv(X.T @ X + penalty)
    b = C @ X.T @ MCYCLE["accel"].to_numpy()
    at = np.linspace(3, 57, 10)
    np.testing.assert_allclose(np.hstack([np.ones((10, 1)), *B.columns(at)]) @ b, fit, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(np.trace(C @ X.T @ X) - 1, edf, rtol=1e-4)


@pytest.mark.parametrize("bs", SPLIT)
def test_derivative_straight_ends_and_json(bs):
    B = spline_basis("times", TIMES, bs, 8)
    x = np.linspace(-20, 80, 41) + 0.123
    for part, slope in zip(B.columns(x), B.columns(x, 1), strict=True):
        low, high = (Basis.from_json(json.loads(json.dumps(B.to_json()))).columns(x + h) for h in (-1e-4, 1e-4))
        other = next((b - a) / 2e-4 for a, b in zip(low, high, strict=True) if a.shape == part.shape)
        np.testing.assert_allclose(slope, other, rtol=1e-4, atol=1e-4)
        if bs != "cc":
            np.testing.assert_allclose(np.diff(part[:4], 2, axis=0), 0, atol=1e-6 * np.abs(part).max())
    if bs == "cc":
        period = TIMES.max() - TIMES.min()
        np.testing.assert_allclose(B.columns(x)[1], B.columns(x + period)[1], atol=1e-9)


@pytest.mark.parametrize("bs", SPLIT)
def test_sd_zero_leaves_the_polynomial_and_many_functions_change_little(bs):
    B = spline_basis("times", TIMES, bs, 10)
    assert B.linear.shape[1] == (bs != "cc")
    if bs != "cc":
        line = B.columns(np.linspace(0, 60, 9))[0][:, 0]
        np.testing.assert_allclose(np.diff(line, 2), 0, atol=1e-10)
        assert line[-1] > line[0]
    y = MCYCLE["accel"].to_numpy()

    def fitted(k: int) -> np.ndarray:
        Xf, Zs = spline_basis("times", TIMES, bs, k).columns(TIMES)
        X = np.hstack([np.ones((len(y), 1)), Xf, Zs])
        size = np.mean(Zs**2) * Zs.shape[1]
        penalty = np.diag([1e-9] * (1 + Xf.shape[1]) + [0.02 * size] * Zs.shape[1])
        return X @ np.linalg.solve(X.T @ X + penalty, X.T @ y)

    assert np.abs(fitted(40) - fitted(30)).max() < 0.1 * np.abs(fitted(30)).max()


def test_a_factor_has_a_curve_for_each_level_and_numbers_have_their_constant():
    """With sim_gamm_poisson's x and trt the sums of squares are mgcv's: 31.528542 and 31.242277; here the laws."""
    rng = np.random.default_rng(1)
    x, codes, w = rng.uniform(size=200), rng.integers(0, 3, 200), rng.uniform(0, 2, 200)
    s = smooth_by_factor("s(x, by=f)", "x", x, "tp", 6, "f", (("a", "b", "c"), codes))
    assert s.name == "x:f" and s.linear.shape == (200, 3) and s.penalised.shape == (200, 12)
    for j in range(3):
        assert np.all(s.penalised[codes != j][:, s.sd_of == j] == 0)
    _, alone = plain_smooth("s(x)", "x", x, "tp", 6).basis.columns(x)
    np.testing.assert_allclose(s.penalised[codes == 1][:, s.sd_of == 1], alone[codes == 1], atol=1e-12)
    first = np.sum(s.penalised[:, s.sd_of == 0] ** 2) / 4
    np.testing.assert_allclose(np.sum(s.linear[:, 0] ** 2), first, rtol=1e-9)
    s = smooth_by_numbers("s(x, by=w)", "x", x, "cr", 6, "w", w)
    assert s.linear.shape == (200, 2) and s.penalised.shape == (200, 4)
    assert s.linear_labels == ("constant", "line")
    np.testing.assert_allclose(s.linear[:, 0] / w, np.full(200, s.linear[0, 0] / w[0]), rtol=1e-9)


def test_curves_of_groups_have_parts_of_mean_square_one():
    x = np.random.default_rng(2).uniform(3, 9, 150)
    B = group_curve_basis("x", x, 6)
    Xf, Zs = B.columns(x)
    assert Xf.shape == (150, 0) and Zs.shape == (150, 6)
    np.testing.assert_allclose(Zs[:, 0], 1)
    np.testing.assert_allclose(np.mean(Zs[:, 1] ** 2), 1)
    np.testing.assert_allclose(Zs[:, 1], (x - x.mean()) / x.std(), rtol=1e-8)
    np.testing.assert_allclose(np.mean(np.sum(Zs[:, 2:] ** 2, axis=1)), 1)
    np.testing.assert_allclose(Zs[:, :2].T @ Zs[:, 2:], 0, atol=1e-8)


@pytest.mark.parametrize("bs", ["cr", "ps", "tp"])
def test_a_surface_holds_its_polynomial_and_its_margins(bs):
    rng = np.random.default_rng(3)
    x = rng.uniform([0, 5], [1, 9], (250, 2))
    B = tensor_product(("x", "z"), x, bs, 5)
    assert basis_from_json(json.loads(json.dumps(B.to_json()))).columns(x)[1].shape == (250, 21)
    Xf, Zs = B.columns(x)
    assert Xf.shape == (250, 3) and sum(B.parts) == 21  # as t2(x, z) of mgcv: 25 - 4, in parts of 6, 6 and 9
    np.testing.assert_allclose([*Xf.sum(axis=0), *Zs.sum(axis=0)], 0, atol=1e-8)
    target = x[:, 0] * x[:, 1]
    X = np.column_stack([np.ones(250), Xf])
    np.testing.assert_allclose(X @ np.linalg.lstsq(X, target, rcond=None)[0], target, rtol=1e-7)
    step = np.array([1e-5, 0])
    for slope, low, high in zip(B.columns(x, 1), B.columns(x - step), B.columns(x + step), strict=True):
        np.testing.assert_allclose(slope, (high - low) / 2e-5, atol=1e-5 * max(1, np.abs(slope).max()))


@pytest.mark.parametrize("bs", ["cr", "ps", "tp"])
def test_the_margins_of_a_surface_are_of_one_size(bs):
    """Each column of 1 and the line has mean square one over the rows, and so have those of the bends together."""
    x = np.random.default_rng(4).uniform([0, 5], [1, 900], (200, 2)) ** [1, 0.5]
    for margin, values in zip(tensor_product(("x", "z"), x, bs, 6).margins, x.T, strict=True):
        line, bends = margin.columns(values)
        np.testing.assert_allclose((line**2).mean(axis=0), 1)
        np.testing.assert_allclose((bends**2).mean(), 1)


def test_the_spread_of_a_curve_is_the_sd_of_its_draws_over_its_rows():
    """Of a curve by a level, over the rows of the level."""
    rng = np.random.default_rng(5)
    x, codes = rng.uniform(0, 3, 300), rng.integers(0, 3, 300)
    by_level = smooth_by_factor("s(x, by=f)", "x", x, "tp", 6, "f", (("a", "b", "c"), codes))
    groups = factor_smooth("s(x, f, bs='fs')", "x", x, 6, "f", (("a", "b", "c"), codes))
    for smooth in (plain_smooth("s(x)", "x", x, "tp", 6), by_level, groups):
        for sd in range(len(smooth.sds)):
            weights = rng.normal(size=(smooth.penalised.shape[1], 20_000)) * (smooth.sd_of == sd)[:, None]
            curves = smooth.penalised @ weights
            rows = (curves != 0).any(axis=1)
            assert smooth is not by_level or (rows == (codes == sd)).all()
            assert smooth.spread(sd) == pytest.approx(np.sqrt((curves[rows] ** 2).mean()), rel=0.03)


def test_the_ends_of_the_data_are_not_beyond_them():
    x = np.linspace(2.0, 5.0, 30)
    for basis in (spline_basis("x", x, "cr", 5), spline_basis("x", x, "tp", 5)):
        np.testing.assert_array_equal(basis.beyond(np.array([1.999, 2.0, 5.0, 5.001])), [True, False, False, True])


ERRORS = {
    "y ~ s(x, k=90)": "k=90 is more than the 72 unique values of 'x'; use k=72 or less",
    "y ~ s(h)": "k=10 is more than the 7 unique values of 'h'",
    "y ~ s(g)": "column 'g'.*number",
    "y ~ s(nowhere)": "nowhere",
    "y ~ s(x, by=nowhere)": "nowhere",
    "y ~ s(x, bs='qq')": "unknown basis bs='qq'; known: .*tp.*cr",
    "y ~ s(x, k=2)": "whole number from 3 to 100",
    "y ~ s(x, bs='ps', k=3)": "k=3 is too small for bs='ps'; k is at least 4",
    "y ~ x + s(x)": r"s\(x\) \(line\)' is a linear combination of 'Intercept', 'x'",
    "y ~ s(x) + s(x, k=5)": "linear combination|share the name",
    "y ~ s(x, bs='cc') + s(x, bs='cc', k=5)": "share the name 's_x_sd'",
    "y ~ s(x) + s(x)": r"s\(x\) stands twice",
    "y ~ s(log(x))": "make a column of it",
    "y ~ s(x, fx=1)": "is not expected; s\\(\\) takes",
    "y ~ s(x, v)": "names 2 columns where 1 are expected: .*t2",
    "y ~ s(x, bs='fs')": "names 1 columns where 2 are expected",
    "y ~ t2(x)": "names 1 columns where 2 are expected",
    "y ~ t2(x, v, bs='cc')": "has no line",
    "y ~ t2(x, v, by=g)": "by= is not available",
    "y ~ s(x, a, by=g, bs='fs')": "by= is not available",
    "y ~ s(g, bs='re', k=4)": "takes no by or k",
    "y ~ s()": "is not expected|names 0 columns",
    "y ~ x - s(v)": "cannot be subtracted",
    "y ~ s(y)": "also used as a predictor",
}


@pytest.mark.parametrize(("formula", "words"), ERRORS.items(), ids=list(ERRORS))
def test_errors_are_one_clear_sentence(formula, words):
    with pytest.raises(InputError, match=words):
        zoo.gamm(visits(), formula)


def test_gamm_refuses_what_its_family_does_not_have():
    with pytest.raises(InputError, match="unknown family 'poison'; did you mean 'poisson'"):
        zoo.gamm(visits(), "c ~ s(x)", family="poison")
    with pytest.raises(InputError, match="zi= is for families"):
        zoo.gamm(visits(), "c ~ s(x)", family="poisson", zi="~ x")


def test_re_is_a_group_term():
    a, b = (zoo.lmm(visits(), f"y ~ x + {term}") for term in ('s(g, bs="re")', "(1 | g)"))
    point = row_models.random_point(a, 1)
    assert row_models.function(a, [a.logp()])(point) == row_models.function(b, [b.logp()])(point)


BUILDERS = {
    "lmm": lambda d: zoo.lmm(d, "y ~ w + s(x, by=sex, k=5) + (1 + w | g)"),
    "logistic": lambda d: zoo.logistic(d, "ill ~ s(x, bs='ps', k=6) + s(w, by=v, k=5)"),
    "nb": lambda d: zoo.nb(d, "c ~ s(x, k=5)", dispersion="~ s(w, k=5)"),
    "hurdle": lambda d: zoo.hurdle_poisson(d, "c ~ s(x, k=5) + (1 |p| g)", zi="~ s(x, k=5) + (1 |p| g)"),
    "ordinal": lambda d: zoo.ordinal(d.assign(h=d.h % 3), "h ~ s(x, bs='cc', k=6) + (1 | g)"),
    "fs": lambda d: zoo.lmm(d, "y ~ w + s(x, k=6) + s(x, g, bs='fs', k=5)"),
    "t2": lambda d: zoo.poisson(d, "c ~ t2(x, v, k=4) + (1 | g)"),
    "never": lambda d: zoo.never_at_risk(d.assign(id=d.g, c=d.c * (d.g < "F")), "c ~ s(x, k=5) + (1 | id)"),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_weights_are_normal_and_every_transform_is_exact(name):
    """log p(x, weights) = plain density + log|d weights / d z|, whatever the approximation says; and it compiles."""
    model, _ = parameterize(BUILDERS[name](visits()), "auto")
    assert compile_model(model).program is not None
    names = model.smooth_weight_names
    assert names
    for weights in names:
        rv = model[weights]
        z = model.rvs_to_values[rv].name
        sd = model[weights.replace("_weights", "_sd")]
        transform = model.rvs_to_transforms[rv]
        inputs = model.replace_rvs_by_values(rv.owner.inputs)
        value = transform.backward(model.rvs_to_values[rv], *inputs)
        run = row_models.function(model, [
            *model.replace_rvs_by_values([rv, sd]), *(model.logp(vars=[rv], jacobian=j) for j in (False, True)),
            transform.forward(value, *inputs),
        ])  # fmt: skip
        point = row_models.random_point(model, 2)
        w, scale, plain, whole, back = run(point)
        scale = np.ravel(scale)[
            next(s.sd_of for p in model.linear.values() for s in p.smooth_weights if s.name == weights)
        ]
        np.testing.assert_allclose(
            plain, np.sum(-0.5 * (w / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))), rtol=1e-9
        )
        J = row_models.jacobian(lambda v: run({**point, z: v})[0], point[z])  # noqa: B023
        np.testing.assert_allclose(whole - plain, np.linalg.slogdet(J)[1], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(back, point[z], rtol=1e-8, atol=1e-9)


def test_a_gaussian_model_is_standard_normal_in_z_for_every_sd():
    """As for group effects: for one smooth and a Gaussian outcome the approximation is exact."""
    model, start = parameterize(zoo.lmm(visits(), "y ~ s(x, k=8)"), "auto")
    assert start is not None
    point = {**{k: np.array(v, float) for k, v in model.initial_point().items()}, **start.point}
    a = model.rvs_to_transforms[model["s_x_weights"]].information.a
    Zs = np.asarray(model["_s_x_weights_columns"].get_value())
    point["sigma_log__"] = np.array(0.5 * np.log(np.trace(Zs.T @ Zs) / a.sum()))  # as in the weights
    rng = np.random.default_rng(0)
    density, found = row_models.function(model, [model.logp()]), []
    point["s_x_sd_log__"] = np.array(1.3)
    point["s_x_linear"] = np.array(0.7)
    for _ in range(4):
        z = rng.normal(size=len(a))
        found.append(density({**point, "s_x_weights_z__": z})[0] + 0.5 * z @ z)
    np.testing.assert_allclose(found, found[0], rtol=1e-8)


def test_edf_from_draws_is_the_trace():
    """A Gaussian outcome with mgcv's REML sds: the edf of mgcv, from draws of the posterior."""
    sd, sigma, edf, _ = FITS["tp"]
    priors = {"s_times_sd": f"Uniform({0.98 * sd}, {1.02 * sd})", "sigma": f"Uniform({0.99 * sigma}, {1.01 * sigma})",
              "s_times_linear": "Normal(0, 10000)"}  # fmt: skip
    tree = zoo.fit(zoo.gamm(MCYCLE, "accel ~ s(times, k=20)", priors=priors), seed=2, progress=False)
    np.testing.assert_allclose(zoo.curves(tree)["edf"].item(), edf, rtol=0.03)


@pytest.mark.parametrize("bs", ["tp", "cr", "ps", "cc"])
@pytest.mark.parametrize(
    "change", [lambda x: x * 1e100, lambda x: x * 1e300, lambda x: x * 1e-100, lambda x: np.append(x[1:], 1e6)]
)
def test_values_without_a_basis_are_told(bs, change):
    """A basis of numbers, or one sentence."""
    x = change(np.linspace(0.0, 1.0, 60))
    try:
        basis = spline_basis("dose", x, bs, 10)
    except InputError as err:
        assert "s(dose): 'dose' goes from" in str(err) and "no basis can be computed" in str(err)
    else:
        line, bends = basis.columns(x)
        assert np.isfinite(line).all() and np.isfinite(bends).all()


def test_an_outlier_of_a_thin_plate_smooth_is_told():
    x = np.append(np.linspace(0.0, 1.0, 60), 1e6)
    with pytest.raises(InputError, match=r"'dose' goes from 0 to 1e\+06, half of it from .* correct an outlier"):
        spline_basis("dose", x, "tp", 10)
    spline_basis("dose", np.append(x[:-1], 10.0), "tp", 10)


def test_a_curve_needs_several_values():
    d = pd.DataFrame(
        {"x": np.tile(np.arange(12.0), 5), "g": np.arange(60) // 6, "one": 3.0, "y": np.sin(np.arange(60))}
    )
    d["arm"] = np.where(d.index % 12 == 1, "rare", np.where(d.g % 2, "a", "b"))
    with pytest.raises(
        InputError, match=r"s\(one\): 'one' has one value \(3\), and a curve needs several; leave it out"
    ):
        zoo.gamm(d, "y ~ s(one) + (1 | g)")
    with pytest.raises(InputError, match=r"arm 'rare' occurs at one value of 'x' only, which makes no curve; join"):
        zoo.gamm(d, "y ~ arm + s(x, by=arm, k=5) + (1 | g)")
