"""Correlated effects of relatives against an integral that involves no Markov chain. Slow: run by `make validate`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from data_sets import data_set
from scipy import stats

import glmm_zoo as zoo

pytestmark = pytest.mark.slow


def exact() -> pd.DataFrame:
    """Means, sds and their errors of the posterior of y ~ age + (1 + age | gr(animal, cov=A)), by importance sampling.

    Given sds, correlation and sigma the coefficients are integrated out: along the eigenvectors of A the three records of each animal
    are independent of the others. The intercept's StudentT(3, 0, 2.5) is integrated on a grid.
    """
    data, A = data_set("sim_animals.csv"), data_set("sim_animals_A.csv").set_index("Unnamed: 0")
    ids, Z = data.animal.unique(), np.array([[1.0, -1], [1, 0], [1, 1]])
    assert data.age.tolist() == [-1, 0, 1] * len(ids)
    values, vectors = np.linalg.eigh(A.loc[ids, ids].to_numpy())
    y = vectors.T @ data.y.to_numpy().reshape(-1, 3)
    X = (vectors.T @ np.ones(len(ids)))[:, None, None] * Z
    centre, scale = np.array([0.07, -0.62, 0.42, -0.42]), np.array([0.11, 0.2, 0.19, 0.08])
    points = centre + scale * np.random.default_rng(0).standard_t(8, size=(20_000, 4))
    grid = np.linspace(-1, 4, 801)
    t_prior = stats.t.logpdf(grid / 2.5, 3)
    found, log_weights = [], []
    for point in points:
        (a, b, sigma), rho = np.exp(point[[0, 1, 3]]), np.tanh(point[2])
        S = np.array([[a * a, a * b * rho], [a * b * rho, b * b]])
        V = values[:, None, None] * (Z @ S @ Z.T) + sigma**2 * np.eye(3)
        inverse = np.linalg.inv(V)
        covariance = np.linalg.inv(np.einsum("nia,nij,njb->ab", X, inverse, X) + np.diag([0, 1 / 2.5**2]))
        r = np.einsum("nia,nij,nj->a", X, inverse, y)
        mean = covariance @ r
        log_f = -0.5 * (np.linalg.slogdet(V)[1].sum() + np.einsum("ni,nij,nj", y, inverse, y) - mean @ r)
        log_f += 0.5 * np.linalg.slogdet(covariance)[1]
        of_grid = np.exp(stats.norm.logpdf(grid, mean[0], np.sqrt(covariance[0, 0])) + t_prior)
        log_prior = -a - b - sigma + point[[0, 1, 3]].sum() + 2 * np.log1p(-rho * rho)  # with the Jacobians
        log_weights.append(
            log_f + np.log(of_grid.sum()) + log_prior - stats.t.logpdf((point - centre) / scale, 8).sum()
        )
        intercept = of_grid @ grid / of_grid.sum()
        beta = mean[1] + covariance[0, 1] / covariance[0, 0] * (intercept - mean[0])
        found.append([intercept, beta, a, b, rho, sigma])
    w = np.exp(np.array(log_weights) - max(log_weights))
    w /= w.sum()
    mean = w @ np.array(found)
    sd = np.sqrt(w @ (np.array(found) - mean) ** 2)
    names = ["Intercept", "beta[age]", "sd_animal[Intercept]", "sd_animal[age]", "corr_animal[Intercept, age]", "sigma"]
    return pd.DataFrame({"mean": mean, "sd": sd, "mcse_mean": sd * np.sqrt((w**2).sum())}, names)


@pytest.mark.promise("known_covariance")
def test_correlated_effects_of_relatives_equal_the_integral() -> None:
    """brms's fit of this model is 4 to 6 of its Monte Carlo errors off in Intercept and sd_animal[Intercept]."""
    tables = {"A": data_set("sim_animals_A.csv").set_index("Unnamed: 0")}
    priors = {
        "Intercept": "StudentT(3, 0, 2.5)",
        "beta": "Normal(0, 2.5)",
        "sd": "Exponential(1)",
        "corr": "LKJ(2)",
        "sigma": "Exponential(1)",
    }
    formula = "y ~ age + (1 + age | gr(animal, cov=A))"
    model = zoo.hierarchical_linear(data_set("sim_animals.csv"), formula, center=False, priors=priors, tables=tables)
    tree = zoo.fit(model, draws=4000, seed=20, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    ours, truth = zoo.summary(tree), exact()
    for name, row in truth.iterrows():
        error = np.hypot(ours.loc[name, "mcse_mean"], row["mcse_mean"])
        assert abs(ours.loc[name, "mean"] - row["mean"]) < 4 * error, name
        if name not in ("Intercept", "beta[age]"):  # whose sds above are those of conditional means
            assert ours.loc[name, "sd"] == pytest.approx(row["sd"], rel=0.05), name
