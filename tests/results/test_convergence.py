"""Effective sample sizes, R-hat and Monte Carlo errors, against ArviZ's, one quantity at a time."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.base.array import array_stats

from glmm_zoo.results import convergence

pytestmark = pytest.mark.promise("convergence")

AXES = {"chain_axis": 0, "draw_axis": 1}
PEERS = {
    "bulk": (convergence.ess_bulk, lambda x: array_stats.ess(x, method="bulk", **AXES)),
    "bulk with rhat": (
        lambda x: convergence.ess_bulk_and_rhat(x)[0],
        lambda x: array_stats.ess(x, method="bulk", **AXES),
    ),
    "tail": (convergence.ess_tail, lambda x: array_stats.ess(x, method="tail", prob=(0.05, 0.95), **AXES)),
    "rhat": (lambda x: convergence.ess_bulk_and_rhat(x)[1], lambda x: array_stats.rhat(x, method="rank", **AXES)),
    "error of mean": (convergence.mcse_mean, lambda x: array_stats.mcse(x, method="mean", **AXES)),
    "error of sd": (convergence.mcse_sd, lambda x: array_stats.mcse(x, method="sd", **AXES)),
}


def draws(chains: int, n: int) -> np.ndarray:
    """Autoregressions from antithetic to sticky, a heavy tail, chains apart, ties, a drift."""
    rng = np.random.default_rng(8)
    found = []
    for phi in (-0.7, -0.2, 0.0, 0.5, 0.9, 0.99):
        x = rng.normal(size=(chains, n))
        for t in range(1, n):
            x[:, t] += phi * x[:, t - 1]
        found.append(x)
    found += [rng.standard_t(2, (chains, n)), rng.normal(size=(chains, n)) + np.arange(chains)[:, None]]
    found += [np.round(rng.normal(size=(chains, n)), 1), rng.normal(size=(chains, n)) + np.linspace(0, 3, n)]
    return np.stack(found, axis=2)


@pytest.mark.parametrize("name", list(PEERS))
@pytest.mark.parametrize(("chains", "n"), [(4, 1000), (2, 101), (3, 8)])
def test_equals_arviz(name, chains, n):
    ours, peer = PEERS[name]
    x = draws(chains, n)
    expected = [peer(x[:, :, i]) for i in range(x.shape[2])]
    np.testing.assert_allclose(ours(x), expected, rtol=1e-10)
