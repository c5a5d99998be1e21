"""Posteriors against peers' fits and against integrals that involve no sampler. Slow: run by `make validate`."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from reference_posteriors import JOINT, MAXIMA, PRIORS, REFERENCES, SHARED, Joint, Maximum, Reference
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.tables.files import read_table

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.file)
def test_posterior_equals_the_peers(reference: Reference) -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared is not there: the references may not be copied into the project")
    fits = json.loads((SHARED / "references" / f"{reference.file}.json").read_text())
    peer = fits.get("brms", fits.get("stan"))["parameters"]
    data = pd.read_csv(SHARED / "data" / reference.data)
    if reference.file == "seeds_binomial_olre":
        data["plate"] = np.arange(len(data))
    build = getattr(zoo, reference.builder)
    priors = {key: prior for key, prior in {**PRIORS, **reference.priors}.items() if prior}
    model = build(data, reference.formula, center=False, priors=priors, **reference.options)
    tree = zoo.fit(model, draws=4000, seed=20, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    agree(zoo.summary(tree), {name: peer[theirs] for theirs, name in reference.names.items()})


def agree(ours: pd.DataFrame, peer: Mapping[str, Mapping[str, float]]) -> None:
    """Means within four combined Monte Carlo errors, sds within 5 % and theirs."""
    for name, b in peer.items():
        a = ours.loc[name]
        z = (a["mean"] - b["mean"]) / np.hypot(a["mcse_mean"], b["mcse_mean"])
        assert abs(z) < 4, f"{name}: mean {a['mean']:.4f}, peer {b['mean']:.4f}, z {z:.1f}"
        allowed = 0.05 * b["sd"] + 2 * np.hypot(a["mcse_sd"], b["mcse_sd"])
        assert abs(a["sd"] - b["sd"]) < allowed, f"{name}: sd {a['sd']:.4f}, peer {b['sd']:.4f}"


def test_curve_equals_brms() -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared is not there: the references may not be copied into the project")
    peer = json.loads((SHARED / "references" / "sim_gamm_poisson.json").read_text())["brms"]["extra"]["smooth_grid"]
    grid = pd.DataFrame(peer)
    priors = {**PRIORS, "s_x_sd": "Exponential(0.2)"}
    data = pd.read_csv(SHARED / "data" / "sim_gamm_poisson.csv")
    model = zoo.gamm(data, "y ~ trt + s(x) + (1 | id)", family="poisson", center=False, priors=priors)
    tree = zoo.fit(model, draws=4000, seed=20, progress=False)
    curve = zoo.curves(tree, at={"x": grid["x"].tolist()}, prob=0.9).isel(curve=0)
    assert (abs(curve["mean"] - grid["mean"]) < 4 * grid["sd"] / np.sqrt(2000)).all()  # brms has 2000 effective draws
    for ours, theirs in (("lower", "q5"), ("upper", "q95")):
        assert (abs(curve[ours] - grid[theirs]) < 0.1 * grid["sd"]).all()


@pytest.mark.parametrize("joint", JOINT, ids=lambda j: j.name)
def test_joint_outcomes_equal_the_peers(joint: Joint) -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared is not there: the data may not be copied into the project")
    model = zoo.joint_outcomes(joint.data(), joint.formulas, center=False, priors=joint.priors)
    tree = zoo.fit(model, draws=4000, seed=20, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    numbers = ("mean", "mcse_mean", "sd", "mcse_sd")
    agree(zoo.summary(tree), {name: dict(zip(numbers, row, strict=True)) for name, row in joint.peer.items()})


@pytest.mark.parametrize("fit", MAXIMA, ids=lambda m: m.data.removesuffix(".csv"))
def test_posterior_lies_at_the_maximum_of_the_likelihood(fit: Maximum) -> None:
    """Under the weak default priors: coefficients within 0.3 SE, sds of group effects up to 15 % above."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not there: the data may not be copied into the project")
    model = getattr(zoo, fit.builder)(pd.read_csv(SHARED / "data" / fit.data), fit.formula, **fit.options)
    tree = zoo.fit(model, seed=21, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    ours = zoo.summary(tree)
    for name, (estimate, error) in fit.coefficients.items():
        off = (ours.loc[name, "mean"] - estimate) / error
        assert abs(off) < 0.3, f"{name}: {ours.loc[name, 'mean']:.4f}, maximum {estimate}, {off:.2f} SE off"
    for name, estimate in fit.sds.items():
        assert 1 <= ours.loc[name, "median"] / estimate < 1.15, (
            f"{name}: {ours.loc[name, 'median']:.4f}, maximum {estimate}"
        )


def test_linear_mixed_model_equals_numerical_integration() -> None:
    """Given sd and sigma, (Intercept, beta) is Gaussian in closed form; sd and sigma are integrated on a grid."""
    rng = np.random.default_rng(3)
    group, x = np.repeat(np.arange(12), 5), rng.normal(size=60)
    y = 1.5 + 0.8 * x + rng.normal(0, 0.7, 12)[group] + rng.normal(0, 1.1, 60)
    data = pd.DataFrame({"y": y, "x": x, "g": group})
    priors = {"Intercept": "Normal(0, 3)", "beta": "Normal(0, 2)", "sd": "HalfNormal(1)", "sigma": "Exponential(1)"}

    X = np.column_stack([np.ones(60), x])
    prior = np.array([9.0, 4.0])
    same = (group[:, None] == group[None, :]).astype(float)
    log_sd, log_sigma = np.meshgrid(np.linspace(-6, 1.5, 160), np.linspace(-0.7, 0.8, 80), indexing="ij")
    moments, weight = [], []
    for ls, lr in zip(log_sd.ravel(), log_sigma.ravel(), strict=True):
        sd, sigma = np.exp(ls), np.exp(lr)
        V = sd**2 * same + sigma**2 * np.eye(60)
        marginal = V + (X * prior) @ X.T
        precision = np.linalg.inv(np.linalg.inv(np.diag(prior)) + X.T @ np.linalg.solve(V, X))
        mean = precision @ X.T @ np.linalg.solve(V, y)
        log_prior = stats.halfnorm.logpdf(sd) + stats.expon.logpdf(sigma) + ls + lr  # + Jacobian of the logs
        weight.append(stats.multivariate_normal.logpdf(y, np.zeros(60), marginal) + log_prior)
        moments.append([*mean, sd, sigma, *(np.diag(precision) + mean**2), sd**2, sigma**2])
    w = np.exp(np.array(weight) - max(weight))
    first, second = np.split(w @ np.array(moments) / w.sum(), 2)
    exact = pd.DataFrame(
        {"mean": first, "sd": np.sqrt(second - first**2)}, ["Intercept", "beta[x]", "sd_g[Intercept]", "sigma"]
    )

    tree = zoo.fit(zoo.lmm(data, "y ~ x + (1 | g)", center=False, priors=priors), draws=4000, seed=4, progress=False)
    ours = zoo.summary(tree).loc[exact.index]
    assert (abs(ours["mean"] - exact["mean"]) < 4 * ours["mcse_mean"]).all(), (ours, exact)
    assert (abs(ours["sd"] / exact["sd"] - 1) < 0.05).all(), (ours, exact)


@pytest.mark.parametrize("name", sorted(zoo.cards()))
def test_cards_fit_soundly(name: str) -> None:
    card = zoo.card(name)
    usual = card.file.sampling
    settings = {"draws": usual.draws, "tune": usual.tune, "thin": usual.thin, "target_accept": usual.target_accept}
    tree = zoo.fit(card.model(), seed=1, progress=False, **settings)
    verdict = zoo.check(tree)
    assert verdict.sound, str(verdict)


def test_csv_and_frame_give_the_same_draws(tmp_path) -> None:
    card = zoo.card("multicenter")
    frame = pd.read_csv(card.data_path)
    from_file = zoo.fit(zoo.logistic(read_table(card.data_path), card.file.formula), draws=200, seed=5, progress=False)
    from_frame = zoo.fit(zoo.logistic(frame, card.file.formula), draws=200, seed=5, cores=2, progress=False)
    np.testing.assert_array_equal(from_file.posterior["beta"].values, from_frame.posterior["beta"].values)
