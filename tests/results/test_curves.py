"""Curves of a fit: their values, bands and slopes, beyond the data, in the report, of surfaces and of groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made_trees import tree_of_prior
from rows import ratings, visits

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.formulas.smooths.bases import Basis
from glmm_zoo.results.curves import level_and_inverse_link
from glmm_zoo.results.storage import metadata


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """sin(x) and a line by the zero part; saved and read again."""
    rng = np.random.default_rng(4)
    n = 300
    d = pd.DataFrame({"x": rng.uniform(0, 6, n), "w": rng.normal(size=n), "g": rng.integers(0, 12, n)})
    d["c"] = rng.poisson(np.exp(1 + np.sin(d.x))) * (rng.random(n) > 0.2)
    model = zoo.gamm(d, "c ~ w + s(x) + (1 | g)", family="zero_inflated_poisson", zi="~ s(w, k=5)")
    tree = zoo.fit(model, draws=500, seed=3, progress=False)
    path = tmp_path_factory.mktemp("smooths") / "fit.nc"
    zoo.save(tree, path)
    return tree, zoo.load(path)


def test_curves_of_a_fit_and_of_its_file(fitted):
    tree, again = fitted
    assert not tree["sample_stats"]["diverging"].values.any()
    c = zoo.curves(tree, points=25)
    for name, values in zoo.curves(again, points=25).items():
        np.testing.assert_array_equal(values, c[name])
    assert c["curve"].values.tolist() == ["s(x)", "zi s(w, k=5)"]
    one = c.sel(curve="s(x)")
    x = one["x"].values
    inside = slice(2, -2)
    assert np.abs(one["mean"] - np.sin(x) + np.mean(np.sin(x)))[inside].max() < 0.35
    assert np.abs(one["slope_mean"] - np.cos(x))[inside].max() < 0.8
    assert (one["lower_simultaneous"] < one["lower"]).all() and (one["upper_simultaneous"] > one["upper"]).all()
    assert np.mean((one["lower_simultaneous"] < one["mean"]) & (one["mean"] < one["upper_simultaneous"])) == 1
    posterior = tree["posterior"].dataset
    level = posterior["Intercept"] + posterior["beta"].sel(coef="w") * metadata(tree)["spec"]["learnt"][""]["means"][0]
    B = Basis.from_json(metadata(tree)["spec"]["smooths"][0]["basis"])
    Xf, Zs = B.columns(x)
    f = Xf[0, 0] * posterior["s_x_linear"] + (posterior["s_x_weights"] * Zs[0]).sum("s_x_weight")
    np.testing.assert_allclose(one["response_mean"][0], np.exp(level + f).mean(), rtol=1e-9)
    np.testing.assert_allclose(one["mean"][0], f.mean(), rtol=1e-9)
    assert 4 < one["edf"] < 9 and 0.9 < c["edf"].sel(curve="zi s(w, k=5)") < 3
    table = zoo.findings(tree)["smooths"].tables["curves"]
    assert table.loc["s(x)", "edf"] == one["edf"].item()
    assert "s_x_sd" in zoo.summary(tree).index and not zoo.summary(tree).index.str.contains("weights").any()


def test_extrapolation_warns_and_is_straight(fitted):
    with pytest.warns(ZooWarning, match="go beyond the data"):
        c = zoo.curves(fitted[0], at={"x": [7.0, 8.0, 9.0], "w": [0.0, 0.1, 0.2]})
    np.testing.assert_allclose(np.diff(c["mean"].sel(curve="s(x)"), 2), 0, atol=1e-8)
    with pytest.raises(InputError, match="the smooths are of"):
        zoo.curves(fitted[0], at={"x": [1.0]})


def test_report_shows_the_curves(fitted, tmp_path):
    html = zoo.write_report(fitted[1], tmp_path / "fit.html").read_text()
    assert "Smooth curves</h3>" in html and "edf" in html


def test_surfaces_and_curves_of_groups_have_their_shape():
    """In one model each: together they share their mean over the groups, which only the priors divide."""
    rng = np.random.default_rng(6)
    d = pd.DataFrame(rng.uniform(size=(400, 2)), columns=["x", "v"]).assign(g=rng.integers(0, 8, 400))
    d["y"] = 3 * np.exp(-8 * ((d.x - 0.5) ** 2 + (d.v - 0.5) ** 2)) + rng.normal(0, 0.3, 400)
    d["z"] = rng.normal(0, 1, 8)[d.g] * np.sin(2 * np.pi * d.x) + rng.normal(0, 0.3, 400)
    surface, groups = (
        zoo.fit(zoo.gamm(d, formula), draws=400, seed=5, progress=False)
        for formula in ("y ~ t2(x, v)", "z ~ s(x, g, bs='fs', k=7)")
    )
    assert not any(tree["sample_stats"]["diverging"].values.any() for tree in (surface, groups))
    c = zoo.curves(surface, points=50)
    assert c.sizes == {"curve": 1, "point": 49}
    peak = 3 * np.exp(-8 * ((c["x"] - 0.5) ** 2 + (c["z"] - 0.5) ** 2)).values[0]
    assert np.corrcoef(c["mean"][0], peak)[0, 1] > 0.98
    assert 8 < c["edf"] < 24
    c = zoo.curves(groups, points=40)
    assert c.sizes == {"curve": 8, "point": 40} and c["curve"][0] == 's(x, g, bs="fs", k=7) [0]'
    wave = [np.polyfit(np.sin(2 * np.pi * c["x"][g].values), c["mean"][g].values, 1)[0] for g in range(8)]
    np.testing.assert_allclose(wave, _amplitudes(d), atol=0.35)


def _amplitudes(d: pd.DataFrame) -> np.ndarray:
    """Least squares of z on the wave, group by group."""
    wave = np.sin(2 * np.pi * d.x)
    return ((wave * d.z).groupby(d.g).sum() / (wave**2).groupby(d.g).sum()).to_numpy()


def test_a_predictor_without_intercept_and_slopes_has_no_level():
    tree = tree_of_prior(zoo.ordinal(ratings(), "rating ~ 1 + (1 | g)"))
    level, inverse = level_and_inverse_link(tree, "")
    assert np.isnan(level).all() and level.shape == (12,) and inverse(0.3) == 0.3


def test_a_fit_without_smooths_has_no_curves():
    tree = zoo.fit(zoo.lmm(visits(), "y ~ x"), draws=20, tune=50, chains=2, seed=1, progress=False)
    with pytest.raises(InputError, match="no smooths"):
        zoo.curves(tree)
