"""The marginal log-likelihood of a joint model by adaptive Gauss-Hermite, through the pointwise terms of our graph."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pytensor.graph.replace import clone_replace


def marginal_log_likelihood(
    model: Any, id: str, y: str, named: Mapping[str, Any], S: np.ndarray, nodes: int = 9
) -> float:
    """sum_i log int p(y_i | u) p(T_i, d_i | u) Normal(u; 0, S) du, with values of the variables as they are reported."""
    fixed = {model[name]: pt.constant(np.asarray(x, float)) for name, x in named.items()}
    u = pt.matrix("u")
    fixed[model[f"u_{id}"]] = u
    terms = [pm.logp(model[name], model.rvs_to_values[model[name]]) for name in (y, "event")]
    marker_terms, event_terms = clone_replace(terms, fixed)
    effects = next(g for g in model.predictors[0].effects if g.factor.name == id)
    n, k = len(model.coords[id]), len(S)
    summed = pt.zeros(n)[effects.factor.codes].inc(marker_terms) + event_terms
    run = pytensor.function([u], summed)
    P, constant = np.linalg.inv(S), -0.5 * (k * np.log(2 * np.pi) + np.linalg.slogdet(S)[1])

    def joint(x: np.ndarray) -> np.ndarray:
        return run(x) - 0.5 * np.einsum("ia,ab,ib->i", x, P, x) + constant

    at, e = np.zeros((n, k)), 1e-4 * np.sqrt(np.diag(S))
    for _ in range(30):
        g, H = np.zeros((n, k)), np.zeros((n, k, k))
        middle = joint(at)
        for a in range(k):
            da = np.eye(k)[a] * e
            up, down = joint(at + da), joint(at - da)
            g[:, a], H[:, a, a] = (up - down) / (2 * e[a]), (up - 2 * middle + down) / e[a] ** 2
            for b in range(a):
                db = np.eye(k)[b] * e
                cross = joint(at + da + db) - joint(at + da - db) - joint(at - da + db) + joint(at - da - db)
                H[:, a, b] = H[:, b, a] = cross / (4 * e[a] * e[b])
        step = np.linalg.solve(-H, g[..., None])[..., 0]
        at = at + step
        if np.abs(step / e).max() < 1e-2:
            break
    L = np.linalg.cholesky(np.linalg.inv(-H))  # (n, k, k)
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    total = np.full(n, -np.inf)
    for m in product(range(nodes), repeat=k):
        z = x[list(m)]
        log_term = joint(at + L @ z) + 0.5 * z @ z + np.log(w[list(m)]).sum()
        total = np.logaddexp(total, log_term)
    return float(np.sum(total + np.linalg.slogdet(L)[1]))
