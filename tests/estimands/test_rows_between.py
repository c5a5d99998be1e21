"""Rows that are interpolated between few points, against integrals of each by a fine grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made_trees import tree_of
from scipy import special, stats

import glmm_zoo as zoo
from glmm_zoo.estimands import averages

N, CUTPOINTS, BETA = 1200, np.array([-0.6, 0.2, 0.9]), 0.5
EFFECTS = np.zeros((9, 2))


def table() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {"x": rng.normal(0, 1.5, N), "w": rng.normal(size=N), "g": np.arange(N) % 9, "rating": rng.integers(1, 5, N)}
    )


def probabilities(family: str, link: str, x: np.ndarray) -> np.ndarray:
    edge = np.ones((1, *x.shape[1:]))
    if family == "acat":
        return special.softmax(np.concatenate([0 * edge, -np.cumsum(x, axis=0)]), axis=0)
    below = special.expit(x) if link == "logit" else stats.gumbel_l.cdf(np.minimum(x, 30))
    if family == "cumulative":
        return np.diff(np.concatenate([0 * edge, below, edge]), axis=0)
    return np.concatenate([edge, np.cumprod(1 - below, axis=0)]) * np.concatenate([below, edge])


@pytest.fixture
def interpolated(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether rows were, of each block that was computed."""
    done, plain = [], averages.values_between

    def spied(*arguments: object) -> np.ndarray | None:
        found = plain(*arguments)  # pyright: ignore[reportArgumentType]
        done.append(found is not None)
        return found

    monkeypatch.setattr(averages, "values_between", spied)
    return done


@pytest.mark.parametrize(
    ("family", "link", "sd", "r", "slope"),
    [
        ("acat", "logit", (1.3, 1.0), -0.4, 0.5),
        ("sratio", "logit", (0.8, 0.4), 0.5, 0.3),
        ("cumulative", "logit", (2.5, 0.9), 0.6, 0.4),
        ("cumulative", "cloglog", (1.3, 1.0), -0.4, 0.5),
        ("acat", "logit", (0.05, 0.6), 0.3, 0.5),  # integrands too sharp for it
    ],
)
def test_categories_whose_scale_differs_between_groups(
    family: str, link: str, sd: tuple[float, float], r: float, slope: float, interpolated: list[bool]
) -> None:
    d = table()
    model = zoo.ordinal(d, "rating ~ x + (1 |p| g)", disc="~ w + (1 |p| g)", family=family, link=link)
    at = {
        "beta": [BETA], "cutpoints": CUTPOINTS, "disc_beta": [slope], "sd_g": sd, "corr_g": [[1, r], [r, 1]], "u_g": EFFECTS,
    }  # fmt: skip
    tree = tree_of(model, {name: np.asarray(value, float)[None, None] for name, value in at.items()})
    found = zoo.predictions(tree, d, scale="probability").table["mean"].to_numpy().reshape(N, 4)
    assert interpolated == [sd[0] > 0.1]
    z1, z2 = np.meshgrid(np.linspace(-8, 8, 401), np.linspace(-6, 6, 161), indexing="ij")
    both = np.exp(-0.5 * (z1**2 + z2**2))
    both /= both.sum()
    for i in [0, 1, *(int(f(d[c])) for c in "xw" for f in (np.argmin, np.argmax))]:
        eta = BETA * d.x[i] + sd[0] * (r * z2 + np.sqrt(1 - r * r) * z1)
        P = probabilities(family, link, np.exp(slope * d.w[i] + sd[1] * z2) * (CUTPOINTS[:, None, None] - eta))
        np.testing.assert_allclose(found[i], (P * both).sum(axis=(1, 2)), atol=6e-5)


def test_categories_under_student_t_effects(interpolated: list[bool]) -> None:
    d, sd, df, slope = table(), 0.8, 4.0, 0.4
    model = zoo.ordinal(d, 'rating ~ x + (1 | gr(g, dist="student"))', disc="~ w", family="acat")
    at = {"beta": [BETA], "cutpoints": CUTPOINTS, "disc_beta": [slope], "sd_g": [sd], "df_g": df, "u_g": EFFECTS[:, :1]}
    tree = tree_of(model, {name: np.asarray(value, float)[None, None] for name, value in at.items()})
    found = zoo.predictions(tree, d, scale="probability").table["mean"].to_numpy().reshape(N, 4)
    assert interpolated == [True]
    z = np.linspace(-60, 60, 40_001)
    weights = stats.t.pdf(z, df) * (z[1] - z[0])
    for i in [0, 1, *(int(f(d[c])) for c in "xw" for f in (np.argmin, np.argmax))]:
        P = probabilities("acat", "logit", np.exp(slope * d.w[i]) * (CUTPOINTS[:, None] - BETA * d.x[i] - sd * z))
        np.testing.assert_allclose(found[i], P @ weights, atol=6e-5)


def test_risks_whose_rows_differ_in_one_predictor(interpolated: list[bool]) -> None:
    d, sd = table().assign(y=lambda d: (d.rating > 2).astype(int)), 1.7
    model = zoo.hierarchical_logistic(d, "y ~ x + w + (1 | g)")
    at = {"Intercept": 0.3, "beta": [0.5, -0.4], "sd_g": [sd], "u_g": EFFECTS[:, :1]}
    tree = tree_of(model, {name: np.asarray(value, float)[None, None] for name, value in at.items()})
    found = zoo.predictions(tree, d).table["mean"].to_numpy()
    assert interpolated == [True]
    z = np.linspace(-9, 9, 2001)
    weights = np.exp(-0.5 * z * z) / np.exp(-0.5 * z * z).sum()
    expected = special.expit((0.3 + 0.5 * d.x - 0.4 * d.w).to_numpy()[:, None] + sd * z) @ weights
    np.testing.assert_allclose(found, expected, atol=2e-5)
