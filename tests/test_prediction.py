"""Dynamic prediction: against integration over the effects on a grid, limits, simulation, other tables, wrong inputs."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo import cli, fitting, prediction, storage
from glmm_zoo.errors import InputError, ZooWarning

AIDS = Path("/work/shared/data/tests-only")
S = np.array([[0.64, 0.06], [0.06, 0.0625]])  # covariance of the effects: sds 0.8 and 0.25, correlation 0.3
TRUTH = {
    "Intercept": 1.0, "beta": [0.3, -0.2], "sigma": 0.4, "sd_id": [0.8, 0.25], "corr_id": [[1, 0.3], [0.3, 1]],
    "surv_Intercept": -3.0, "surv_beta": [-0.4], "assoc": [0.6],
}  # fmt: skip
FORMULA = "y ~ time + time:drug + (1 + time | id)"
END = 8.0


def eta(t, drug, b):
    return 1.0 + b[..., 0] + (0.3 - 0.2 * drug + b[..., 1]) * t


def patients(n: int = 40, seed: int = 1, alpha: float = 0.6, lead: str = "p", censored: float = 0.3) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits at 0, 1, 2, ... and the event under TRUTH, censored at END or before."""
    rng = np.random.default_rng(seed)
    b, drug = rng.multivariate_normal([0, 0], S, n), rng.integers(0, 2, n)
    grid = np.linspace(0, END, 801)
    h = np.exp(-3.0 - 0.4 * drug[:, None] + alpha * eta(grid, drug[:, None], b[:, None, :]))
    H = np.concatenate([np.zeros((n, 1)), np.cumsum((h[:, 1:] + h[:, :-1]) / 2 * grid[1], axis=1)], axis=1)
    T = np.array([np.interp(e, x, grid, right=np.inf) for e, x in zip(rng.exponential(size=n), H, strict=True)])
    C = np.where(rng.random(n) < censored, rng.uniform(2, END, n), END)
    ids = [f"{lead}{i}" for i in range(n)]
    survival = pd.DataFrame({"id": ids, "drug": np.where(drug, "b", "a"), "years": np.minimum(T, C), "death": T < C})
    rows = [(i, float(t)) for i in range(n) for t in range(int(END)) if t < survival.years[i]]
    i, t = (np.array(x) for x in zip(*rows, strict=True))
    y = eta(t, drug[i], b[i]) + 0.4 * rng.normal(size=len(i))
    visits = pd.DataFrame({"id": np.array(ids)[i], "time": t, "drug": survival.drug.values[i], "y": y})
    return visits, survival


def tree_at(model, values: dict, also: dict | None = None) -> xr.DataTree:
    """A fit whose posterior is one point, or the points of `also` (points, ...)."""
    points = {k: np.asarray(v, float)[None] for k, v in values.items()} | {k: np.asarray(v) for k, v in (also or {}).items()}
    many = max(len(v) for v in points.values())
    dims = {k: model.named_vars_to_dims.get(k, ()) for k in points}
    coords = {d: [str(x) for x in model.coords[d]] for found in dims.values() for d in found}
    posterior = {
        k: (("chain", "draw", *dims[k]), np.broadcast_to(v, (many, *v.shape[1:]))[None]) for k, v in points.items()
    }
    groups = {"posterior": xr.Dataset(posterior, coords), **fitting._data_groups(model)}
    tree = xr.DataTree.from_dict(groups)
    storage.label(tree, {"spec": model.spec})
    return tree


def build(visits, survival, formula=FORMULA, event="Surv(years, death) ~ drug", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)  # few events, few levels
        return zoo.joint_survival(visits, survival, formula, event=event, **{"baseline": "exponential", **options})


@functools.cache
def fitted() -> xr.DataTree:
    return tree_at(build(*patients()), TRUTH)


def predict(tree, *tables, times=(4.0, 5.0, 7.0), landmark=3.0, draws=60, **more) -> xr.Dataset:
    return zoo.dynamic_prediction(tree, *tables, times=times, landmark=landmark, draws=draws, **more)


def integrated(f, log_f, log_h, t: float, times, cov=S) -> tuple[np.ndarray, np.ndarray]:
    """S(u | t) and E[f(b)] by brute force: sums over a grid of b, H by the trapezium rule."""
    q = len(cov)
    side = {1: 4001, 2: 161}[q]
    x = np.stack(np.meshgrid(*[np.linspace(-6.5, 6.5, side)] * q, indexing="ij"), axis=-1).reshape(-1, q)
    b = x @ np.linalg.cholesky(cov).T

    def H(u):
        s = np.linspace(0, u, 301)
        return np.trapezoid(np.exp(log_h(s, b[:, None, :])), s, axis=1)

    at_t = H(t)
    log_p = log_f(b) - at_t - 0.5 * (x**2).sum(axis=1)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    return np.array([p @ np.exp(at_t - H(u)) for u in times]), p @ f(b)


# -------------------------------------------------------------------------------------------------------- against a grid

ASSOCIATIONS = {
    "value": lambda s, d, b: 0.6 * eta(s, d, b),
    "slope": lambda s, d, b: 0.6 * (0.3 - 0.2 * d + b[..., 1]) + 0 * s,
    "area(2)": lambda s, d, b: 0.6 * np.minimum(s, 2.0) * eta(s - np.minimum(s, 2.0) / 2, d, b),
    "value:drug": lambda s, d, b: 0.6 * d * eta(s, d, b),
}


@pytest.mark.parametrize("association", ["value", "slope", "area(2)", "value:drug"])
@pytest.mark.parametrize("who", ["p0", "p7"])
def test_gaussian_marker_as_integrated_on_a_grid(association, who):
    visits, survival = patients()
    tree = fitted() if association == "value" else tree_at(build(visits, survival, association=association), TRUTH)
    own, times = visits[(visits.id == who) & (visits.time <= 3)], np.array([4.0, 5.0, 7.0])
    drug = float(own.drug.iloc[0] == "b")

    def log_f(b):
        return stats.norm.logpdf(own.y.values, eta(own.time.values, drug, b[:, None, :]), 0.4).sum(axis=1)

    def log_h(s, b):
        return -3.0 - 0.4 * drug + ASSOCIATIONS[association](s, drug, b)

    S_u, at_5 = integrated(lambda b: eta(5.0, drug, b), log_f, log_h, 3.0, times)
    found = predict(tree, ids=[who], times=times, draws=200)
    np.testing.assert_allclose(found.survival.sel(id=who), S_u, atol=3e-4)
    np.testing.assert_allclose(found.marker.sel(id=who, time=5.0, outcome="y"), at_5, atol=3e-3)
    assert found.ess.item() > 0.9 and found.measurements.item() == len(own)


def test_binary_marker_as_integrated_on_a_grid():
    """All ones: the likelihood has no mode of its own, and log f is far from quadratic."""
    rng = np.random.default_rng(3)
    n = 30
    visits = pd.DataFrame({"id": np.repeat(np.arange(n), 5), "time": np.tile(np.arange(5.0), n)})
    visits["y"] = rng.integers(0, 2, len(visits))
    visits.loc[visits.id == 4, "y"] = 1
    survival = pd.DataFrame({"id": np.arange(n), "years": 6.0, "death": np.arange(n) % 2})
    model = build(visits, survival, "y ~ time + (1 | id)", "Surv(years, death) ~ 1", families="bernoulli", baseline="weibull")
    truth = {"Intercept": -0.5, "beta": [0.2], "sd_id": [2.0], "surv_Intercept": -3.0, "weibull_shape": 1.4, "assoc": [0.7]}
    found = predict(tree_at(model, truth), ids=[3, 4], landmark=4.0, times=[5.0, 6.0], draws=200)
    for i in (3, 4):
        own = visits[visits.id == i]
        sign = 2 * own.y.values - 1

        def log_f(b, t=own.time.values, sign=sign):
            return np.log(expit(sign * (-0.5 + 0.2 * t + b))).sum(axis=1)

        def log_h(s, b):
            return -3.0 + np.log(1.4) + 0.4 * np.log(np.maximum(s, 1e-12)) + 0.7 * (-0.5 + 0.2 * s + b[..., 0])

        S_u, p = integrated(lambda b: expit(-0.5 + 0.2 * 5 + b[:, 0]), log_f, log_h, 4.0, [5.0, 6.0], np.array([[4.0]]))
        np.testing.assert_allclose(found.survival.sel(id=str(i)), S_u, atol=1e-3)
        np.testing.assert_allclose(found.response.sel(id=str(i), time=5.0, outcome="y"), p, atol=2e-3)
    assert found.ess.min() > 0.8


# ------------------------------------------------------------------------------------------------------------------ limits


def test_survival_decreases_from_one():
    found = predict(fitted(), times=[1.0, 3.0, 3.5, 4, 5, 6, 7, 8])
    assert (found.survival.sel(time=[1.0, 3.0]) == 1).all()
    assert (found.survival.diff("time").sel(time=slice(3.5, None)) < 0).all()
    assert ((found.lower <= found["median"]) & (found["median"] <= found.upper)).all()
    inside = (found.lower <= found.probability_lower) & (found.probability_upper <= found.upper)
    assert inside.sel(time=slice(3.5, None)).all()
    followed = patients()[1].set_index("id").years > 3
    assert set(found.id.values) == set(followed.index[followed])


def test_no_association_is_the_survival_model():
    found = predict(tree_at(build(*patients()), TRUTH | {"assoc": [0.0]}))
    drug = patients()[1].set_index("id").drug.loc[found.id.values] == "b"
    expected = np.exp(-np.exp(-3 - 0.4 * drug.values[:, None]) * (found.time.values - 3.0))
    for name in ("survival", "lower", "upper", "probability_lower"):
        np.testing.assert_allclose(found[name], expected, rtol=1e-9)


def test_precise_measurements_leave_one_value_of_the_effects():
    visits, survival = patients()
    found = predict(tree_at(build(visits, survival), TRUTH | {"sigma": 1e-5}), ids=["p7"], landmark=1.0, times=[4.0])
    own, drug = visits[(visits.id == "p7") & (visits.time <= 1)], float(survival.drug[7] == "b")
    b = np.linalg.solve([[1.0, 0.0], [1.0, 1.0]], own.y.values - eta(own.time.values, drug, np.zeros(2)))
    s = np.linspace(1, 4, 2001)
    plugged = np.exp(-np.trapezoid(np.exp(-3 - 0.4 * drug + 0.6 * eta(s, drug, b)), s))
    for name in ("survival", "lower", "upper"):
        np.testing.assert_allclose(found[name].item(), plugged, rtol=1e-4)


def test_causes_add_up():
    visits, survival = patients()
    survival["cause"] = np.where(survival.death, np.arange(len(survival)) % 2 + 1, 0)
    model = build(visits, survival, event="Surv(years, cause) ~ drug")
    truth = TRUTH | {"surv_Intercept": [-2.5, -3.5], "surv_beta": [[-0.4, 0.3]], "assoc": [[0.6, -0.5]]}
    found = predict(tree_at(model, truth), ids=["p7"], times=[3.0, 5.0, 7.0])
    np.testing.assert_allclose(found.cif.sum("cause") + found.survival, 1.0, rtol=1e-12)
    assert (found.cif.sel(time=3.0) == 0).all()
    own, drug = visits[(visits.id == "p7") & (visits.time <= 3)], float(survival.drug[7] == "b")

    def log_f(b):
        return stats.norm.logpdf(own.y.values, eta(own.time.values, drug, b[:, None, :]), 0.4).sum(axis=1)

    def h_1(s, b):
        return np.exp(-2.5 - 0.4 * drug + 0.6 * eta(s, drug, b))

    def h_2(s, b):
        return np.exp(-3.5 + 0.3 * drug - 0.5 * eta(s, drug, b))

    def cif(b):
        s = np.linspace(3, 7, 201)
        one, both = h_1(s, b[:, None, :]), h_1(s, b[:, None, :]) + h_2(s, b[:, None, :])
        H = np.concatenate([np.zeros((len(b), 1)), np.cumsum((both[:, 1:] + both[:, :-1]) / 2, axis=1) * (s[1] - s[0])], 1)
        return np.trapezoid(one * np.exp(-H), s, axis=1)

    _, expected = integrated(cif, log_f, lambda s, b: np.log(h_1(s, b) + h_2(s, b)), 3.0, [7.0])
    np.testing.assert_allclose(found.cif.sel(cause="1", time=7.0, id="p7"), expected, atol=5e-4)


def test_calibrated_in_simulation():
    """With parameters known, of those alive at 3 as many survive 5 as predicted from their histories."""
    visits, survival = patients(n=600, seed=5, lead="n", censored=0.0)
    survival = survival[survival.years > 3]
    found = predict(fitted(), visits, survival, times=[5.0], draws=20)
    alive = (survival.set_index("id").years.loc[found.id.values] > 5).values
    p = found.survival.values[:, 0]
    z = (alive - p).sum() / np.sqrt((p * (1 - p)).sum())
    assert abs(z) < 3
    worse = np.argsort(p)[: len(p) // 3]
    assert abs((alive - p)[worse].sum()) / np.sqrt((p * (1 - p))[worse].sum()) < 3
