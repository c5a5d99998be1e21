"""Who entered late survived until then: against adaptive quadrature over effects and time, for associations from none to strong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.replace import clone_replace
from scipy import integrate

import glmm_zoo as zoo

pytestmark = pytest.mark.filterwarnings("ignore:.* events? for:glmm_zoo.errors.ZooWarning")
ENTRY = np.array([0.5, 2.0, 6.0, 0.0])
END = np.array([3.0, 9.0, 12.0, 12.0])  # long follow-up after the marker's visits


def model(effects: str, association: str = "value", baseline: str = "weibull"):
    k = np.arange(12)
    visits = pd.DataFrame({"id": np.repeat(k, 2), "step": np.tile([0.0, 0.4], 12)})
    visits["time"] = ENTRY[visits.id % 4] + visits.step
    visits["y"] = np.sin(1.0 + np.arange(24))
    events = pd.DataFrame({"id": k, "entry": ENTRY[k % 4], "years": END[k % 4], "death": 1 - k % 2})
    formula = f"y ~ time + ({effects} | id)"
    return zoo.joint_survival(
        visits, events, formula, event="Surv(entry, years, death) ~ 1", association=association, baseline=baseline
    )


def event_terms(m, **values) -> np.ndarray:
    """The event's log-likelihood (n,) at effects of zero."""
    q = len(values["sd_id"])
    fixed = {m[k]: pt.constant(np.asarray(x, float)) for k, x in {**values, "u_id": np.zeros((12, q))}.items()}
    for root, group in zip(m.covariance_roots.values(), m.groups, strict=True):
        corr = np.asarray(values.get("corr_id", np.eye(q)))
        S = np.outer(values["sd_id"], values["sd_id"]) * corr
        to_means = np.eye(q) if group.to_zero is None else np.linalg.inv(group.to_zero)
        L = np.linalg.cholesky(to_means @ S @ to_means.T)
        fixed[root] = pt.constant(np.array([L[i, j] for i in range(q) for j in range(i + 1)]))
    term = clone_replace(pm.logp(m["event"], m.rvs_to_values[m["event"]]), fixed)
    return pytensor.function([], term)()


def log_survival(log_h, V: float, S: np.ndarray) -> float:
    """log E exp(-H(V | u)), u ~ Normal(0, S): adaptive over the first axis of z, u = L z; Gauss-Hermite across and Gauss-Legendre in
    time, each with many points."""
    L, q = np.linalg.cholesky(S), len(S)
    t, w = np.polynomial.legendre.leggauss(200)
    t, w = V * ((1 + t) / 2) ** 3, w * V / 2 * 3 * ((1 + t) / 2) ** 2
    z, v = np.linspace(-8, 8, 401) if q == 2 else np.zeros(1), 1.0
    v = np.exp(-0.5 * z * z) / np.exp(-0.5 * z * z).sum()

    def inside(z0: float) -> float:
        u = np.stack([np.full(len(z), z0), z][:q]).T @ L.T
        H = np.exp(log_h(t, u[:, :1], u[:, 1:] if q == 2 else 0.0)) @ w
        return v @ np.exp(-H) * np.exp(-0.5 * z0 * z0) / np.sqrt(2 * np.pi)

    return np.log(integrate.quad(inside, -9, 9, limit=400, epsabs=1e-12, epsrel=1e-9)[0])


CASES = [(1, a, rate) for a in (0.0, 1.0, 2.0, 3.0) for rate in (0.01, 0.3)]
CASES += [(2, a, rate) for a in (0.0, 1.0, 2.0, 3.0) for rate in (0.001, 0.1)]


@pytest.mark.parametrize(("effects", "assoc", "rate"), CASES)
@pytest.mark.parametrize("baseline", ["weibull", "exponential"])
def test_survival_until_entry_is_that_of_adaptive_quadrature(baseline, effects, assoc, rate):
    sd, corr = np.array([1.0, 0.2][:effects]), np.array([[1.0, 0.3], [0.3, 1.0]])[:effects, :effects]
    shape = 1.4 if baseline == "weibull" else 1.0
    m = model("1 + time" if effects == 2 else "1", baseline=baseline)
    values = {"Intercept": 0.2, "beta": [0.1], "sd_id": sd, "surv_Intercept": np.log(rate), "assoc": [assoc]}
    values |= {"corr_id": corr} if effects == 2 else {}
    found = event_terms(m, **values, **({"weibull_shape": 1.4} if baseline == "weibull" else {}))

    def log_h(t, u0=0.0, u1=0.0):
        return np.log(rate * shape) + (shape - 1) * np.log(t) + assoc * (0.2 + u0 + (0.1 + u1) * t)

    for i, (V, T) in enumerate(zip(ENTRY, END, strict=True)):
        H = integrate.quad(lambda s: np.exp(log_h(s**3)) * 3 * s * s, np.cbrt(V), np.cbrt(T), epsabs=1e-12)[0]
        late = log_survival(log_h, V, np.outer(sd, sd) * corr) if V else 0.0
        H += integrate.quad(lambda s: np.exp(log_h(s**3)) * 3 * s * s, 0, np.cbrt(V), epsabs=1e-12)[0] if V else 0.0
        expected = (1 - i % 2) * log_h(T) - H - late
        assert abs(found[i] - expected) < 1e-3 * max(1.0, abs(expected)), (i, found[i] - expected, late)
