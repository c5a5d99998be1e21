"""What a report says of outcomes that share effects, against closed forms of a Gaussian and a Poisson outcome."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from glmm_zoo.results import storage
from glmm_zoo.results.findings import propensities

DRAW = ("chain", "draw")
EFFECTS = ["y:Intercept", "y:x", "c:Intercept"]
LEVELS = ["p", "q", "r"]
Z = {"low (10 %)": -1.2815515655446004, "median": 0.0, "high (90 %)": 1.2815515655446004}


def made_up(loaded: bool = False) -> tuple[xr.DataTree, dict[str, np.ndarray]]:
    """Two chains of 30 draws; y ~ x + (1 + x | id) Gaussian, c ~ w + (1 | id) Poisson, means of x 0.5 and of w 2."""
    rng, n = np.random.default_rng(5), (2, 30)
    sd = rng.lognormal(-0.7, 0.2, (*n, 3))
    A = np.eye(3) + rng.normal(0, 0.5, (*n, 3, 3))
    R = A @ np.swapaxes(A, -1, -2)
    R = R / np.sqrt(np.einsum("...ii,...jj->...ij", R, R))
    u = sd[..., None, :] * rng.normal(size=(*n, 3, 3))  # (chain, draw, level, effect)
    v = {"sd": sd, "R": R, "u": u, "sigma": rng.lognormal(0, 0.2, n), "loading": rng.normal(0.5, 0.3, n)}
    v |= {"y_level": rng.normal(1, 0.2, n), "y_beta": rng.normal(0, 0.3, n)}
    v |= {"c_level": rng.normal(0, 0.2, n), "c_beta": rng.normal(0, 0.1, n)}
    data = {f"{m}_Intercept": (DRAW, v[f"{m}_level"]) for m in "yc"}
    data |= {f"{m}_beta": ((*DRAW, f"{m}_coef"), v[f"{m}_beta"][..., None]) for m in "yc"}
    data["y_sigma"] = (DRAW, v["sigma"])
    shared = [0] if loaded else [0, 1, 2]
    names = [EFFECTS[k] for k in shared]
    data["sd_id"] = ((*DRAW, "id_effect"), sd[..., shared])
    data["u_id"] = ((*DRAW, "id", "id_effect"), u[..., shared])
    if loaded:
        data["c_loading"] = (DRAW, v["loading"])
    else:
        data["corr_id"] = ((*DRAW, "id_effect", "id_effect_bis"), R)
    coords = {"id": LEVELS, "id_effect": names, "id_effect_bis": names, "y_coef": ["x"], "c_coef": ["w"]}
    group = {
        "sd": "sd_id", "u": "u_id", "effects": names, "effect_dim": "id_effect", "predictors": ["y"] if loaded else ["y", "c"]
    }  # fmt: skip
    spec = {
        "outcomes": {"y": {"family": "gaussian", "link": "identity"}, "c": {"family": "poisson", "link": "log"}},
        "formulas": {}, "learnt": {"y": {"means": [0.5]}, "c": {"means": [2.0]}}, "groups": {"id": group},
        "facts": {
            "means": {"y": {"id": [1.0, 0.5]}, "c": {"id": [1.0]}}, "rows": {"y": {"id": [4, 5, 6]}, "c": {"id": [0, 1, 2]}},
            "loaded": {"effect": "u_id" if loaded else None, "outcomes": ["c"] if loaded else []},
        },
    }  # fmt: skip
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(data, coords)})
    storage.write_metadata(tree, {"spec": spec})
    v["s_y"] = np.sqrt(sd[..., 0] ** 2 + 0.25 * sd[..., 1] ** 2 + sd[..., 0] * sd[..., 1] * R[..., 0, 1])
    v["s_c"] = sd[..., 2]
    v["cov"] = sd[..., 2] * (sd[..., 0] * R[..., 0, 2] + 0.5 * sd[..., 1] * R[..., 1, 2])
    return tree, v


def quantiles(draws: np.ndarray, tail: float) -> np.ndarray:
    return np.quantile(draws, [0.5, tail, 1 - tail])


@pytest.mark.parametrize(("prob", "tail"), [(0.9, 0.05), (0.95, 0.025)])
def test_the_correlation_is_that_of_predictors_at_the_means_of_slopes(prob: float, tail: float) -> None:
    tree, v = made_up()
    found, r = propensities.find(tree, prob), v["cov"] / (v["s_y"] * v["s_c"])
    np.testing.assert_allclose(found.quantities["propensity_correlation[id: y, c]"], r)
    row = found.tables["correlation"].loc["propensity_correlation[id: y, c]"]
    np.testing.assert_allclose(row.to_numpy(), [*quantiles(r, tail), (r > 0).mean()])
    middle, low, high = quantiles(r, tail)
    assert found.sentences == (
        f"id: y, c: correlation of the propensities {middle:.2f} ({100 * prob:g}\u00a0% {low:.2f} to {high:.2f}); it is positive "
        f"with probability {(r > 0).mean():.2f}.".replace("-", "−"),
    )
    high_both = [stats.multivariate_normal([0, 0], [[1, x], [x, 1]]).cdf([-0.6744897502] * 2) for x in r.ravel()]
    both = found.tables["new_subject"].loc["P(both high)[id: y, c]"]
    np.testing.assert_allclose(both.to_numpy(), quantiles(np.array(high_both), tail), atol=1e-4)


def test_responses_of_a_new_subject_have_the_moments_of_normal_and_log_normal() -> None:
    """E c = exp(m + s^2 / 2), var c = E c + (E c)^2 (exp(s^2) - 1), cov(y, c) = cov E c; E(c | y) by the conditional law."""
    tree, v = made_up()
    found = propensities.find(tree, 0.8)
    m_y, m_c = v["y_level"] + 0.5 * v["y_beta"], v["c_level"] + 2 * v["c_beta"]
    r, s_y, s_c = v["cov"] / (v["s_y"] * v["s_c"]), v["s_y"], v["s_c"]
    mean_c = np.exp(m_c + s_c**2 / 2)
    corr = v["cov"] * mean_c / np.sqrt((s_y**2 + v["sigma"] ** 2) * (mean_c + mean_c**2 * np.expm1(s_c**2)))
    row = found.tables["new_subject"].loc["response_correlation[id: y, c]"]
    np.testing.assert_allclose(row.to_numpy(), quantiles(corr, 0.1), rtol=1e-6)
    for name, z in Z.items():
        c_given_y = np.exp(m_c + r * s_c * z + s_c**2 * (1 - r**2) / 2)
        row = found.tables["given"].loc[f"c given y {name}"]
        np.testing.assert_allclose(row.to_numpy(), quantiles(c_given_y, 0.1), rtol=1e-8)
        row = found.tables["given"].loc[f"y given c {name}"]
        np.testing.assert_allclose(row.to_numpy(), quantiles(m_y + r * s_y * z, 0.1), rtol=1e-8)


@pytest.mark.parametrize("loaded", [False, True])
def test_subjects_have_their_own_expected_responses(loaded: bool) -> None:
    tree, v = made_up(loaded)
    table = propensities.find(tree, 0.8).tables["subjects_id"]
    u = v["u"]
    y = (v["y_level"] + 0.5 * v["y_beta"])[..., None] + (u[..., 0] if loaded else u[..., 0] + 0.5 * u[..., 1])
    c_effect = v["loading"][..., None] * u[..., 0] if loaded else u[..., 2]
    c = np.exp((v["c_level"] + 2 * v["c_beta"])[..., None] + c_effect)
    assert table["y rows"].tolist() == [4, 5, 6] and table["c rows"].tolist() == [0, 1, 2]
    for name, expected in (("y", y), ("c", c)):
        for k, level in enumerate(LEVELS):
            found = table.loc[level, [name, f"{name} lower", f"{name} upper"]].astype(float)
            np.testing.assert_allclose(found, quantiles(expected[..., k], 0.1))


def test_with_one_effect_the_sign_of_the_loading_is_what_is_said() -> None:
    tree, v = made_up(loaded=True)
    found, up = propensities.find(tree, 0.8), v["loading"] > 0
    assert not found.quantities and "correlation" not in found.tables
    assert found.sentences == (
        f"id: y, c: one effect of a subject stands for both; they rise together with probability {up.mean():.2f}.",
    )
    m_c, s_c = v["c_level"] + 2 * v["c_beta"], v["loading"] * v["sd"][..., 0]
    row = found.tables["given"].loc["c given y high (90 %)"]
    np.testing.assert_allclose(row.to_numpy(), quantiles(np.exp(m_c + s_c * Z["high (90 %)"]), 0.1), rtol=1e-8)
    low = found.tables["new_subject"].loc["P(both high)[id: y, c]", "lower"]
    np.testing.assert_allclose(low, 0.25 if up.mean() > 0.9 else 0.0, atol=1e-3)


def test_correlated_residuals_of_two_gaussian_outcomes_add_to_their_covariance() -> None:
    tree, v = made_up()
    rho = np.tanh(np.random.default_rng(2).normal(0.4, 0.3, (2, 30)))
    content = storage.metadata(tree)
    content["spec"]["outcomes"]["c"] = {"family": "gaussian", "link": "identity"}
    corr = np.stack([np.stack([rho**0, rho], -1), np.stack([rho, rho**0], -1)], -2)
    more = {"corr_residual": ((*DRAW, "residual", "residual_bis"), corr), "c_sigma": (DRAW, 2 * v["sigma"])}
    coords = {"residual": ["y", "c"], "residual_bis": ["y", "c"]}
    tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().merge(xr.Dataset(more, coords)))
    storage.write_metadata(tree, content)
    row = propensities.find(tree, 0.8).tables["new_subject"].loc["response_correlation[id: y, c]"]
    sigma = v["sigma"]
    expected = (v["cov"] + rho * 2 * sigma**2) / np.sqrt((v["s_y"] ** 2 + sigma**2) * (v["s_c"] ** 2 + 4 * sigma**2))
    np.testing.assert_allclose(row.to_numpy(), quantiles(expected, 0.1), rtol=1e-8)


@pytest.mark.parametrize(("chains", "each", "kept"), [(4, 100, 100), (4, 101, 51), (2, 300, 150), (4, 1000, 100)])
def test_quadratures_are_at_four_hundred_draws_at_most(chains: int, each: int, kept: int) -> None:
    draws = np.zeros((chains, each))
    assert draws[propensities._thinning(draws)].shape == (chains, kept)
