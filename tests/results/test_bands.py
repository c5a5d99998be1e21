"""Bands, slopes, responses and effective degrees of freedom of curves, from made-up posteriors."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr
from scipy import special

import glmm_zoo as zoo
from glmm_zoo.formulas.smooths.bases import Basis, spline_basis
from glmm_zoo.results import storage
from glmm_zoo.results.curves import credible_bands
from glmm_zoo.results.smooth_curves import SmoothCurve, smooth_curves

DRAW = ("chain", "draw")
AT = np.linspace(0.1, 0.9, 9)


@cache
def basis() -> Basis:
    return spline_basis("x", np.linspace(0.0, 1.0, 40) ** 2, "tp", 6)


@cache
def made_up(link: str, prefix: str = "") -> tuple[xr.DataTree, np.ndarray, np.ndarray]:
    """Two chains of 40 draws of s(x, by=arm) with two levels; draws (80, levels, 9) of the curves and (80,) of the level."""
    rng, n, lead = np.random.default_rng(6), (2, 40), f"{prefix}_" if prefix else ""
    w, line = rng.normal(0, 0.4, (*n, 8)), rng.normal(0, 0.5, (*n, 2))
    intercept, beta = rng.normal(0.3, 0.2, n), rng.normal(0.5, 0.3, (*n, 2))
    data = {
        f"{lead}Intercept": (DRAW, intercept), f"{lead}beta": ((*DRAW, f"{lead}coef"), beta),
        "s_x_sd": ((*DRAW, "arm"), rng.lognormal(-1, 0.3, (*n, 2))), "s_x_linear": ((*DRAW, "column"), line),
        "s_x_weights": ((*DRAW, "weight"), w),
    }  # fmt: skip
    smooth = {
        "label": "s(x, by=arm)", "variables": ["x"], "prefix": prefix, "basis": basis().to_json(), "sd": "s_x_sd",
        "sd_of": [0] * 4 + [1] * 4, "weights": "s_x_weights", "linear": "s_x_linear", "curves": ["low", "high"],
    }  # fmt: skip
    part = {"link": "identity", "links": {prefix: link}} if prefix else {"link": link, "links": {}}
    spec = {
        "smooths": [smooth],
        "learnt": {prefix: {"means": [2.0, -1.0]}},
        "aspects": ["smooths"],
        "groups": {},
        **part,
    }
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(data, {f"{lead}coef": ["a", "b"]})})
    storage.write_metadata(tree, {"spec": spec})
    Xf, Zs = basis().columns(AT)
    curve = [(line[..., [j]] @ Xf.T + w[..., 4 * j : 4 * j + 4] @ Zs.T).reshape(80, 9) for j in (0, 1)]
    return tree, np.stack(curve, 1), (intercept + 2 * beta[..., 0] - beta[..., 1]).ravel()


INVERSE = {"identity": lambda eta: eta, "log": np.exp, "logit": special.expit}


@pytest.mark.parametrize("prefix", ["", "zi"])
@pytest.mark.parametrize("link", INVERSE)
@pytest.mark.parametrize(("prob", "tail"), [(0.8, 0.1), (0.95, 0.025)])
def test_curves_and_responses_are_means_and_quantiles_of_the_draws(prefix, link, prob, tail):
    tree, f, level = made_up(link, prefix)
    c = zoo.curves(tree, at={"x": AT}, prob=prob)
    assert c["curve"].values.tolist() == ["s(x, by=arm) [low]", "s(x, by=arm) [high]"]
    assert c.attrs["prob"] == prob and c["x"].values.tolist() == [AT.tolist()] * 2
    np.testing.assert_allclose(c["mean"], f.mean(0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        [c["lower"], c["upper"]], np.quantile(f, [tail, 1 - tail], axis=0), rtol=1e-9, atol=1e-12
    )
    mu = INVERSE[link](level[:, None, None] + f)
    np.testing.assert_allclose(c["response_mean"], mu.mean(0), rtol=1e-9)
    eta = np.quantile(level[:, None, None] + f, [tail, 1 - tail], axis=0)
    np.testing.assert_allclose([c["response_lower"], c["response_upper"]], INVERSE[link](eta), rtol=1e-9)
    for name in ("", "response_"):
        assert (c[f"{name}lower_simultaneous"] < c[f"{name}lower"]).all()
        assert (c[f"{name}upper_simultaneous"] > c[f"{name}upper"]).all()


@pytest.mark.parametrize(("prob", "tail"), [(0.8, 0.1), (0.95, 0.025)])
def test_slopes_are_those_of_the_drawn_curves(prob, tail):
    tree, _, _ = made_up("log")
    c = zoo.curves(tree, at={"x": AT}, prob=prob)
    e = 1e-5
    high, low = (np.stack([curve.at(AT[:, None] + h) for curve in smooth_curves(tree)], 1) for h in (e, -e))
    slope = (high - low) / (2 * e)
    np.testing.assert_allclose(c["slope_mean"], slope.mean(0), rtol=1e-5, atol=1e-6)
    band = np.quantile(slope, [tail, 1 - tail], axis=0)
    np.testing.assert_allclose([c["slope_lower"], c["slope_upper"]], band, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prob", [0.5, 0.9, 0.95])
def test_a_simultaneous_band_holds_whole_curves_and_a_pointwise_one_points(prob):
    f = np.random.default_rng(1).normal(size=(4000, 6)) @ np.random.default_rng(2).normal(size=(6, 30)) + 3.0
    band = credible_bands(f, prob)
    whole = ((f >= band["lower_simultaneous"]) & (f <= band["upper_simultaneous"])).all(axis=1).mean()
    points = ((f >= band["lower"]) & (f <= band["upper"])).mean(axis=0)
    assert whole == pytest.approx(prob, abs=1e-3)
    np.testing.assert_allclose(points, prob, atol=1e-3)
    ratio = (band["upper_simultaneous"] - band["mean"]) / f.std(axis=0)
    np.testing.assert_allclose(ratio, ratio[0])
    np.testing.assert_allclose(band["upper_simultaneous"] + band["lower_simultaneous"], 2 * f.mean(axis=0))


@pytest.mark.parametrize("lines", [0, 1])
def test_edf_is_the_trace_of_the_ridge_matrix(lines):
    """A Gaussian curve with X'X = diag(d), sigma 1: given sd a weight has mean d y / (d + 1 / sd^2), variance 1 / (d + 1 / sd^2)."""
    rng, m = np.random.default_rng(3), 40_000
    d, y = np.array([50.0, 8.0, 3.0, 0.5, 0.1]), np.array([1.0, -0.5, 2.0, 0.3, 0.0])
    sd_of = np.array([0, 0, 1, 1, 1])
    sd = rng.lognormal([-0.5, 0.3], [0.3, 0.5], (m, 2))
    precision = d + 1 / sd[:, sd_of] ** 2
    weights = d * y / precision + rng.normal(size=(m, 5)) / np.sqrt(precision)
    curve = SmoothCurve("s(x)", ("x",), "", basis(), sd, sd_of, np.zeros((m, lines)), weights)
    assert curve.edf() == pytest.approx(lines + (d / precision).sum(axis=1).mean(), abs=0.04)


def test_the_table_of_curves_has_edf_and_how_many_functions_there_are():
    tree, _, _ = made_up("log")
    table = zoo.findings(tree)["smooths"].tables["curves"]
    curves = list(smooth_curves(tree))
    assert table["at most"].tolist() == [5, 5] and table["edf"].tolist() == [curve.edf() for curve in curves]
    assert table["basis"].tolist() == ["thin-plate regression spline"] * 2
    assert table["edf"].iloc[0] != table["edf"].iloc[1]
