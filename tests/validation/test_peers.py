"""Posteriors against peers' fits and against integrals that involve no sampler. Slow: run by `make validate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from data_sets import data_set
from reference_posteriors import JOINT, MAXIMA, PRIORS, REFERENCES, Joint, Maximum, Reference, reference
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.tables.files import read_table

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: row.file)
@pytest.mark.promise("peers", "frailty")
def test_posterior_equals_the_peers(row: Reference) -> None:
    priors = {key: prior for key, prior in {**PRIORS, **row.priors}.items() if prior}
    model = getattr(zoo, row.builder)(data_set(row.data), row.formula, center=False, priors=priors, **row.options)
    tree = zoo.fit(model, draws=4000, seed=20, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    agree(zoo.summary(tree), named(row))


def named(row: Reference | Joint) -> dict[str, Mapping[str, float]]:
    """The peer's parameters by our names."""
    peer = reference(row.file)["parameters"]
    return {ours: peer[theirs] for theirs, ours in row.names.items()}


def agree(ours: pd.DataFrame, peer: Mapping[str, Mapping[str, float]]) -> None:
    """Means within four combined Monte Carlo errors, sds within 5 % and theirs."""
    for name, b in peer.items():
        a = ours.loc[name]
        z = (a["mean"] - b["mean"]) / np.hypot(a["mcse_mean"], b["mcse_mean"])
        assert abs(z) < 4, f"{name}: mean {a['mean']:.4f}, peer {b['mean']:.4f}, z {z:.1f}"
        allowed = 0.05 * b["sd"] + 2 * np.hypot(a["mcse_sd"], b["mcse_sd"])
        assert abs(a["sd"] - b["sd"]) < allowed, f"{name}: sd {a['sd']:.4f}, peer {b['sd']:.4f}"


@pytest.mark.promise("peers")
def test_curve_equals_brms() -> None:
    grid = pd.DataFrame(reference("sim_gamm_poisson")["curve"])
    priors = {**PRIORS, "s_x_sd": "Exponential(0.2)"}
    data = data_set("sim_gamm_poisson.csv")
    model = zoo.gamm(data, "y ~ trt + s(x) + (1 | id)", family="poisson", center=False, priors=priors)
    tree = zoo.fit(model, draws=4000, seed=20, progress=False)
    curve = zoo.curves(tree, at={"x": grid["x"].tolist()}, prob=0.9).isel(curve=0)
    assert (abs(curve["mean"] - grid["mean"]) < 4 * grid["sd"] / np.sqrt(2000)).all()  # brms has 2000 effective draws
    for ours, theirs in (("lower", "q5"), ("upper", "q95")):
        assert (abs(curve[ours] - grid[theirs]) < 0.1 * grid["sd"]).all()


@pytest.mark.parametrize("row", JOINT, ids=lambda row: row.file)
@pytest.mark.promise("peers")
def test_joint_outcomes_equal_the_peers(row: Joint) -> None:
    model = zoo.joint_outcomes(row.data(), row.formulas, center=False, priors=row.priors)
    tree = zoo.fit(model, draws=4000, seed=20, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    agree(zoo.summary(tree), named(row))


@pytest.mark.promise("known_covariance")
def test_areas_with_neighbours_equal_brms() -> None:
    card, priors = zoo.card("lip_cancer"), {**PRIORS, "rho": "Beta(1, 1)"}
    (data,), tables = card.tables(), card.level_tables()
    model = zoo.poisson(data, card.file.formula, exposure="expected", center=False, priors=priors, tables=tables)
    names = {
        "b_Intercept": "Intercept", "b_IaffD10": "beta[I(aff/10)]", "sdcar": "sd_district[Intercept]", "rhocar": "rho_district"
    }  # fmt: skip
    tree = zoo.fit(model, draws=4000, seed=20, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    peer = reference("lip_cancer_bym2")["parameters"]
    agree(zoo.summary(tree), {ours: peer[theirs] for theirs, ours in names.items()})


@pytest.mark.parametrize("row", MAXIMA, ids=lambda row: row.data.removesuffix(".csv"))
def test_posterior_lies_at_the_maximum_of_the_likelihood(row: Maximum) -> None:
    """Under the weak default priors: coefficients within 0.3 SE, sds of group effects up to 15 % above."""
    model = getattr(zoo, row.builder)(data_set(row.data), row.formula, **row.options)
    tree = zoo.fit(model, seed=21, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    summary, maximum = zoo.summary(tree), reference(row.file)["parameters"]
    for theirs, name in row.names.items():
        ours, estimate, error = summary.loc[name], maximum[theirs]["estimate"], maximum[theirs].get("se")
        if error is None:
            assert 1 <= ours["median"] / estimate < 1.15, f"{name}: {ours['median']:.4f}, maximum {estimate}"
        else:
            off = (ours["mean"] - estimate) / error
            assert abs(off) < 0.3, f"{name}: {ours['mean']:.4f}, maximum {estimate}, {off:.2f} SE off"


@pytest.mark.promise("peers")
def test_imputed_tables_equal_rubins_rules_by_lme4() -> None:
    data = data_set("sim_imputed.csv")
    tables = [data[["y", "z", "g"]].assign(x=data[f"x{k}"]) for k in range(1, 6)]
    tree = zoo.fit_imputed(zoo.hierarchical_linear, tables, "y ~ x + z + (1 | g)", seed=22, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    ours, summary = zoo.missing_information(tree), zoo.summary(tree)
    for theirs, name in (("(Intercept)", "Intercept"), ("x", "beta[x]"), ("z", "beta[z]")):
        peer = reference("imputed_maximum")["parameters"][theirs]
        assert abs(summary.loc[name, "mean"] - peer["estimate"]) < 0.05 * np.sqrt(peer["within"])
        np.testing.assert_allclose(ours.loc[name, ["within", "between"]], [peer["within"], peer["between"]], rtol=0.1)
        np.testing.assert_allclose(ours.loc[name, "fmi"], peer["fmi"], atol=0.02)


@pytest.mark.promise("integration")
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
    tree = zoo.fit(card.model(), **asdict(replace(card.settings, seed=1)), progress=False)
    verdict = zoo.check(tree)
    assert verdict.sound, str(verdict)


def test_csv_and_frame_give_the_same_draws(tmp_path) -> None:
    card = zoo.card("multicenter")
    frame = pd.read_csv(card.data_path)
    from_file = zoo.fit(zoo.logistic(read_table(card.data_path), card.file.formula), draws=200, seed=5, progress=False)
    from_frame = zoo.fit(zoo.logistic(frame, card.file.formula), draws=200, seed=5, cores=2, progress=False)
    np.testing.assert_array_equal(from_file.posterior["beta"].values, from_frame.posterior["beta"].values)
