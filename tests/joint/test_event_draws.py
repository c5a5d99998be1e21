"""Predictive draws of the event: which cause it has, against the integral of its hazard times survival."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
from pytensor.graph.replace import clone_replace
from scipy import integrate

import glmm_zoo as zoo
from glmm_zoo.inference.compile import compile_model

CUTS = (1.0, 2.5)
DRAWS = 4000
pytestmark = pytest.mark.filterwarnings("ignore:.* events? of cause:glmm_zoo.errors.ZooWarning")


def tables(n: int = 12) -> tuple[pd.DataFrame, pd.DataFrame]:
    k = np.arange(n)
    visits = pd.DataFrame({"id": np.repeat(k, 2), "time": np.tile([0.0, 0.1], n)})
    visits["y"] = np.sin(1.0 + np.arange(2 * n))
    events = pd.DataFrame({"id": k, "years": 0.5 + k * 0.4, "cause": k % 3, "entry": np.where(k % 2, 0.2, 0.0)})
    return visits[(visits.time > 0.0) | (visits.id % 2 == 0)].assign(time=lambda d: d.time + 0.2 * (d.id % 2)), events


def competing(event: str, **options):
    return zoo.joint_survival(*tables(), "y ~ 1 + (1 | id)", event=event, **options)


def shares_drawn(model, **values) -> np.ndarray:
    """Of the draws of every subject's event (n,), the share with no event, cause 1, cause 2."""
    fixed = {"Intercept": 0.0, "assoc": np.zeros((1, 2)), "u_id": np.zeros((12, 1)), "sd_id": np.ones(1), **values}
    event = clone_replace(model["event"], {model[name]: pt.constant(np.asarray(x, float)) for name, x in fixed.items()})
    drawn = pm.draw(event, draws=DRAWS, random_seed=1, mode="FAST_COMPILE")  # what it depends on is computed once
    return np.stack([(drawn == k).mean(axis=0) for k in range(3)], axis=1)


def assert_frequencies(found: np.ndarray, exact: np.ndarray) -> None:
    assert np.all(np.abs(found - exact) < 4.5 * np.sqrt(exact * (1 - exact) / DRAWS) + 0.004), (found, exact)


def test_causes_of_weibull_hazards_that_differ_in_shape():
    """One early, one late: the first has most of the events, though its cumulative hazard is the smaller one."""
    model = competing("Surv(years, cause) ~ 1", baseline="weibull")
    k, rate = np.array([0.6, 4.0]), np.array([1.5, 0.02])
    found = shares_drawn(model, surv_Intercept=np.log(rate), weibull_shape=k)

    def incidence(T: float, cause: int) -> float:
        h = lambda t: rate[cause] * k[cause] * t ** (k[cause] - 1) * np.exp(-(rate * t**k).sum())  # noqa: E731
        return integrate.quad(lambda s: h(s**3) * 3 * s * s, 0, np.cbrt(T), limit=200)[0]

    years = tables()[1].years
    F = np.array([[incidence(T, 0), incidence(T, 1)] for T in years])
    assert F[-1, 0] > 0.85 and (rate * years.max() ** k)[1] > 2 * (rate * years.max() ** k)[0]
    assert_frequencies(found, np.column_stack([1 - F.sum(axis=1), F]))


def test_causes_of_piecewise_hazards_after_late_entry():
    """In closed form, by pieces, from the entry on."""
    model = competing("Surv(entry, years, cause) ~ 1", baseline="piecewise", cuts=list(CUTS))
    h = np.array([[2.0, 0.05], [0.1, 0.6], [0.05, 3.0]])  # piece, cause
    found = shares_drawn(model, log_h0=np.log(h))
    expected = []
    for row in tables()[1].itertuples():
        at_risk, F = 1.0, np.zeros(2)
        for a, b, hazards in zip((0.0, *CUTS), (*CUTS, np.inf), h, strict=True):
            length = max(0.0, min(b, row.years) - max(a, row.entry))
            died = at_risk * -np.expm1(-length * hazards.sum())
            F, at_risk = F + died * hazards / hazards.sum(), at_risk - died
        expected.append([at_risk, *F])
    assert_frequencies(found, np.array(expected))


def test_the_sampler_s_compiler_knows_the_shares():
    """Fits draw from what the kernel computes: the shares are compiled there, and add up."""
    model = competing("Surv(years, cause) ~ 1", baseline="bspline")
    shares = [v for v in model["event"].owner.inputs if getattr(v.type, "ndim", 0) == 1 and v.type.dtype == "float64"][
        -2:
    ]
    compiled = compile_model(model)
    assert compiled.program is not None
    one, other = compiled.variables(model.replace_rvs_by_values(shares))(compiled.start[None])
    np.testing.assert_allclose(one + other, 1.0, rtol=1e-9)
