"""Incidence of competing causes, time lost to them and survival of all, against quadrature on a fine grid and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import cumulative_trapezoid

from glmm_zoo.estimands.competing_causes import values_over_time
from glmm_zoo.estimands.normal_means import Normal
from glmm_zoo.estimands.row_values import RowPredictors
from glmm_zoo.families.baselines import BaselineHazard
from glmm_zoo.families.causes import own_of_cause
from glmm_zoo.families.time_laws import AcceleratedFailure, ProportionalHazards

TIMES = (1.0, 2.5, 4.0)
WEIBULL = ProportionalHazards(BaselineHazard("weibull", 5.0), 2.0)
SPLINE = ProportionalHazards(BaselineHazard("bspline", 5.0), 1.0, np.full(11, 1 / 11))
PIECES = ProportionalHazards(BaselineHazard("piecewise", 5.0, np.array([1.2, 3.0])), 1.0, np.zeros(3))
LAWS = {
    "hazards": {"a": WEIBULL, "b": SPLINE},
    "falling hazards": {"a": WEIBULL, "b": WEIBULL},
    "pieces": {"a": PIECES, "b": PIECES},
    "times": {"a": AcceleratedFailure("lognormal"), "b": AcceleratedFailure("loglogistic")},
}
OWN = {
    "a_shape": np.log([[0.7]]), "b_shape": np.log([[1.6]]), "a_sigma": np.log([[0.8]]), "b_h0_trend": np.array([[0.8]]),
    "b_h0_precision": np.array([[2.0]]), "b_h0_steps": np.linspace(-1, 1, 9)[None, None],
    "a_log_h0_ratio": np.array([[[0.8, -0.5]]]), "b_log_h0_ratio": np.array([[[-1.0, 0.4]]]),
}  # fmt: skip


def means(laws: dict) -> dict[str, float]:
    """Levels of log hazards, or of log times, with which most events come in the time of TIMES."""
    sign = -1 if isinstance(laws["a"], ProportionalHazards) else 1
    return {"a": sign * 1.2, "b": sign * 1.6}


def predictors(laws: dict, sds: tuple[float, float], rho: float) -> RowPredictors:
    variables = {
        c: Normal(np.array([[m]]), np.array([[sd**2]])) for (c, m), sd in zip(means(laws).items(), sds, strict=True)
    }
    return RowPredictors(variables, {frozenset("ab"): np.array([[rho * sds[0] * sds[1]]])}, {})


def by_quadrature(laws: dict, sds: tuple[float, float], rho: float) -> dict[str, np.ndarray]:
    """Values at TIMES: an even grid over both effects, and steps in time that are short in the beginning, where a hazard may be infinite."""
    z = np.linspace(-6, 6, 37)
    u, v = (x.ravel() for x in np.meshgrid(z, z))
    w = np.exp(-(u**2 + v**2) / 2)
    x = np.linspace(0, 1, 401)[1:]  # t = last x^4, dt = 4 last x^3 dx
    t = TIMES[-1] * x**4
    mean = means(laws)
    eta = {"a": mean["a"] + sds[0] * u, "b": mean["b"] + sds[1] * (rho * u + np.sqrt(1 - rho**2) * v)}
    H = {c: law.cumulative(t, eta[c][:, None], own_of_cause(c, OWN)) for c, law in laws.items()}
    h = {c: np.exp(law.log_hazard(t, eta[c][:, None], own_of_cause(c, OWN))) for c, law in laws.items()}
    S = np.exp(-H["a"] - H["b"])
    f = {c: (w / w.sum()) @ (h[c] * S) * 4 * TIMES[-1] * x**3 for c in laws}
    S, t, x = np.append(1.0, (w / w.sum()) @ S), np.append(0.0, t), np.append(0.0, x)
    F = {c: cumulative_trapezoid(np.append(0.0, f[c]), x, initial=0) for c in laws}
    over_time = {"survival": [S], "rmst": [cumulative_trapezoid(S, t, initial=0)], "incidence": F.values()}
    over_time["rmtl"] = [cumulative_trapezoid(F[c], t, initial=0) for c in laws]
    return {scale: np.concatenate([np.interp(TIMES, t, y) for y in ys]) for scale, ys in over_time.items()}


@pytest.mark.parametrize("laws", LAWS.values(), ids=LAWS)
def test_values_are_those_of_quadrature(laws: dict) -> None:
    sds, rho = (0.6, 0.9), 0.5
    p = predictors(laws, sds, rho)
    for scale, values in by_quadrature(laws, sds, rho).items():
        found = values_over_time(laws, OWN, p, scale, TIMES)[:, 0, 0]
        np.testing.assert_allclose(found, values, rtol=5e-3, err_msg=scale)


def test_wide_effects_are_integrated_over_too() -> None:
    sds, rho = (2.0, 0.3), -0.7
    found = values_over_time(LAWS["hazards"], OWN, predictors(LAWS["hazards"], sds, rho), "incidence", TIMES)[:, 0, 0]
    np.testing.assert_allclose(found, by_quadrature(LAWS["hazards"], sds, rho)["incidence"], rtol=3e-3)


def test_constant_hazards_have_a_closed_form() -> None:
    """F_k = a_k (1 - e^(-at)) / a, rmtl_k = a_k (t - (1 - e^(-at)) / a) / a with a the sum; before the origin there is no event."""
    law = ProportionalHazards(BaselineHazard("exponential", 5.0))
    p, t, a = predictors({"a": law}, (0.0, 0.0), 0.0), np.array(TIMES), np.exp([-1.2, -1.6])
    gone = 1 - np.exp(-a.sum() * t)
    expected = {
        "survival": 1 - gone, "incidence": np.outer(a, gone).ravel() / a.sum(), "rmst": gone / a.sum(),
        "rmtl": np.outer(a, t - gone / a.sum()).ravel() / a.sum(),
    }  # fmt: skip
    for scale, values in expected.items():
        found = values_over_time({"a": law, "b": law}, {}, p, scale, TIMES)[:, 0, 0]
        np.testing.assert_allclose(found, values, rtol=1e-9, err_msg=scale)
    late = ProportionalHazards(BaselineHazard("piecewise", 5.0, np.array([3.0]), 1.0), 1.0, np.zeros(2))
    own = {"a_log_h0_ratio": np.zeros((1, 1, 1)), "b_log_h0_ratio": np.zeros((1, 1, 1))}
    found = {s: values_over_time({"a": late, "b": late}, own, p, s, (0.5, 3.0))[:, 0, 0] for s in expected}
    np.testing.assert_allclose(found["rmst"], [0.5, 1 + (1 - np.exp(-2 * a.sum())) / a.sum()], rtol=1e-9)
    np.testing.assert_allclose(found["incidence"][::2], 0.0)
    np.testing.assert_allclose(found["incidence"][1::2].sum() + found["survival"][1], 1.0, rtol=1e-12)
