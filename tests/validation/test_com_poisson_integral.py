"""A posterior of Conway-Maxwell-Poisson counts against an integral on a grid, without a sampler. Slow: run by `make validate`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import gammaln, logsumexp

import glmm_zoo as zoo

pytestmark = pytest.mark.slow


def test_posterior_equals_an_integral() -> None:
    """First broods at three concentrations: given nu and the intercept the two coefficients are independent."""
    data = pd.read_csv(zoo.card("nitrofen").data_path).query("brood == 1")
    priors = {"Intercept": "Normal(1.5, 1)", "beta": "Normal(0, 0.5)", "nu": "LogNormal(0, 1)"}
    j, log_nu = np.arange(60.0), np.linspace(-1.5, 3.0, 46)
    log_mu = np.linspace(0.9, 2.5, 161)  # the intercept has every fourth of these
    log_f = np.empty((len(log_nu), len(log_mu), len(j)))
    for a, nu in enumerate(np.exp(log_nu)):
        rate = np.linspace(-3.0, 2.6 * nu + 3.0, 4001)
        w = np.multiply.outer(rate, j) - nu * gammaln(j + 1)
        w -= logsumexp(w, axis=1)[:, None]
        at = np.interp(log_mu, np.log(np.exp(w) @ j), rate)
        log_f[a] = np.multiply.outer(at, j) - nu * gammaln(j + 1)
    log_f -= logsumexp(log_f, axis=2)[..., None]
    of_cell = [log_f[..., data.young[data.conc == c].astype(int)].sum(axis=2) for c in (0, 80, 160)]  # (nu, mu)
    first = log_mu[::4]
    weight = of_cell[0][:, ::4] + stats.norm.logpdf(first, 1.5, 1) + stats.norm.logpdf(log_nu)[:, None]
    beta = np.subtract.outer(log_mu, first)  # (mu, first)
    given = [cell[..., None] + stats.norm.logpdf(beta, 0, 0.5) for cell in of_cell[1:]]
    total = [logsumexp(g, axis=1) for g in given]
    whole = weight + total[0] + total[1]
    p = np.exp(whole - logsumexp(whole))
    nu = np.exp(log_nu)
    expected = {
        "Intercept": [np.sum(p * first**k) for k in (1, 2)],
        "nu": [np.sum(p.sum(axis=1) * nu**k) for k in (1, 2)],
    }
    for name, g, t in zip(("beta[conc[80]]", "beta[conc[160]]"), given, total, strict=True):
        q = np.exp(g - t[:, None])
        expected[name] = [np.sum(p * np.einsum("amf,mf->af", q, beta**k)) for k in (1, 2)]

    model = zoo.com_poisson(data, "young ~ C(conc)", center=False, priors=priors)
    ours = zoo.summary(zoo.fit(model, draws=4000, seed=3, progress=False))
    for name, (mean, square) in expected.items():
        sd = np.sqrt(square - mean**2)
        assert abs(ours.loc[name, "mean"] - mean) < 4 * ours.loc[name, "mcse_mean"], (name, mean, ours.loc[name])
        assert abs(ours.loc[name, "sd"] / sd - 1) < 0.05, (name, sd, ours.loc[name])
