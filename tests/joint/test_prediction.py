"""Dynamic prediction: against integration over the effects on a grid, limits, simulation, other tables, wrong inputs."""

from __future__ import annotations

import functools
import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from data_sets import data_set
from reference_posteriors import reference
from scipy import stats
from scipy.interpolate import BSpline
from scipy.special import expit

import glmm_zoo as zoo
from glmm_zoo import cli
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.inference.datatree import data_groups
from glmm_zoo.joint.prediction import dynamic, effect_sampler
from glmm_zoo.results import storage

S = np.array([[0.64, 0.06], [0.06, 0.0625]])  # covariance of the effects: sds 0.8 and 0.25, correlation 0.3
TRUTH = {
    "Intercept": 1.0, "beta": [0.3, -0.2], "sigma": 0.4, "sd_id": [0.8, 0.25], "corr_id": [[1, 0.3], [0.3, 1]],
    "surv_Intercept": -3.0, "surv_beta": [-0.4], "assoc": [0.6],
}  # fmt: skip
FORMULA = "y ~ time + time:drug + (1 + time | id)"
END = 8.0


def eta(t, drug, b):
    return 1.0 + b[..., 0] + (0.3 - 0.2 * drug + b[..., 1]) * t


def patients(
    n: int = 40, seed: int = 1, alpha: float = 0.6, lead: str = "p", censored: float = 0.3
) -> tuple[pd.DataFrame, pd.DataFrame]:
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
    points = {k: np.asarray(v, float)[None] for k, v in values.items()} | {
        k: np.asarray(v) for k, v in (also or {}).items()
    }
    many = max(len(v) for v in points.values())
    dims = {k: model.named_vars_to_dims.get(k, ()) for k in points}
    coords = {d: [str(x) for x in model.coords[d]] for found in dims.values() for d in found}
    posterior = {
        k: (("chain", "draw", *dims[k]), np.broadcast_to(v, (many, *v.shape[1:]))[None]) for k, v in points.items()
    }
    groups = {"posterior": xr.Dataset(posterior, coords), **data_groups(model)}
    tree = xr.DataTree.from_dict(groups)
    storage.write_metadata(tree, {"spec": model.spec})
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

    def hazard_until(u):
        s = np.linspace(0, u, 301)
        return np.trapezoid(np.exp(log_h(s, b[:, None, :])), s, axis=1)

    at_t = hazard_until(t)
    log_p = log_f(b) - at_t - 0.5 * (x**2).sum(axis=1)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    return np.array([p @ np.exp(at_t - hazard_until(u)) for u in times]), p @ f(b)


@pytest.mark.parametrize("association", ["value", "slope", "area"])
def test_monotonic_steps_of_a_marker_predict_as_levels_of_a_factor_do(association: str) -> None:
    visits, survival = patients()
    visits = visits.assign(stage=pd.factorize(visits.id)[0] % 4)
    shares = np.array([0.2, 0.5, 0.3])
    reached, predicted = np.cumsum(shares), []
    for term, values in (
        ("mo(stage)", {"beta": [0.3, 0.4, 0.05], "simplex_stage": shares}),
        ("C(stage)", {"beta": [0.3, *(1.2 * reached), *(0.15 * reached)]}),
    ):
        model = build(visits, survival, f"y ~ time * {term} + (1 + time | id)", association=association)
        predicted.append(predict(tree_at(model, {**TRUTH, **values})))
    for name in predicted[1].data_vars:
        np.testing.assert_allclose(predicted[0][name].values, predicted[1][name].values, rtol=1e-9, err_msg=str(name))


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
    assert 0.9 < found.ess.item() <= 1 and found.measurements.item() == len(own)


def test_binary_marker_as_integrated_on_a_grid():
    """All ones: the likelihood has no mode of its own, and log f is far from quadratic."""
    rng = np.random.default_rng(3)
    n = 30
    visits = pd.DataFrame({"id": np.repeat(np.arange(n), 5), "time": np.tile(np.arange(5.0), n)})
    visits["y"] = rng.integers(0, 2, len(visits))
    visits.loc[visits.id == 4, "y"] = 1
    survival = pd.DataFrame({"id": np.arange(n), "years": 6.0, "death": np.arange(n) % 2})
    model = build(
        visits, survival, "y ~ time + (1 | id)", "Surv(years, death) ~ 1", families="bernoulli", baseline="weibull"
    )
    truth = {
        "Intercept": -0.5,
        "beta": [0.2],
        "sd_id": [2.0],
        "surv_Intercept": -3.0,
        "weibull_shape": 1.4,
        "assoc": [0.7],
    }
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


def test_ordered_marker_as_integrated_on_a_grid():
    """Cutpoints are those at zero covariates, which the fit centres."""
    visits, survival = patients()
    visits["grade"] = np.digitize(visits.y, [0.5, 2.0])
    model = build(visits, survival, "grade ~ time + drug + (1 | id)", families="ordinal")
    truth = {
        "beta": [0.5, -0.3], "cutpoints": [-0.5, 1.5], "sd_id": [1.5], "surv_Intercept": -3.0, "surv_beta": [-0.4], "assoc": [0.6],
    }  # fmt: skip
    found = predict(tree_at(model, truth), ids=["p7"], draws=200)
    own, drug = visits[(visits.id == "p7") & (visits.time <= 3)], float(survival.drug[7] == "b")
    cuts = np.array([-np.inf, -0.5, 1.5, np.inf])

    def line(t, b):
        return 0.5 * t - 0.3 * drug + b[..., 0]

    def log_f(b):
        at = line(own.time.values, b[:, None, :])
        g = own.grade.values
        return np.log(expit(cuts[g + 1] - at) - expit(cuts[g] - at)).sum(axis=1)

    S_u, at_5 = integrated(
        lambda b: line(5.0, b),
        log_f,
        lambda s, b: -3 - 0.4 * drug + 0.6 * line(s, b),
        3.0,
        found.time.values,
        np.array([[2.25]]),
    )
    np.testing.assert_allclose(found.survival.sel(id="p7"), S_u, atol=1e-3)
    np.testing.assert_allclose(found.marker.sel(id="p7", time=5.0, outcome="grade"), at_5, atol=3e-3)
    assert found.response.isnull().all()


def test_mean_scale_and_spline_as_integrated_on_a_grid():
    """A hazard that is not linear in the effects: of the expected count, with a penalised spline as baseline."""
    visits, survival = patients()
    visits["n"] = np.random.default_rng(2).poisson(np.exp(0.3 * visits.y))
    model = build(
        visits, survival, "n ~ time + (1 | id)", families="poisson", association="value(mean)", baseline="bspline"
    )
    weights = np.array([-3.5, -3, -3.5, -2.5, -3, -3.5, -4, -3, -3, -2.5, -3.5])
    truth = {
        "Intercept": 0.3,
        "beta": [0.1],
        "sd_id": [0.6],
        "surv_beta": [-0.4],
        "assoc": [0.3],
        "h0_weights": weights,
    }
    found = predict(tree_at(model, truth), ids=["p7"], draws=200)
    own, drug = visits[(visits.id == "p7") & (visits.time <= 3)], float(survival.drug[7] == "b")
    width = survival.years.max() / 9
    log_h0 = BSpline(width * np.arange(-2, 12), weights, 2)

    def mu(t, b):
        return np.exp(0.3 + 0.1 * t + b[..., 0])

    def log_f(b):
        return stats.poisson.logpmf(own.n.values, mu(own.time.values, b[:, None, :])).sum(axis=1)

    S_u, at_5 = integrated(
        lambda b: mu(5.0, b),
        log_f,
        lambda s, b: log_h0(s) - 0.4 * drug + 0.3 * mu(s, b),
        3.0,
        found.time.values,
        np.array([[0.36]]),
    )
    np.testing.assert_allclose(found.survival.sel(id="p7"), S_u, atol=1e-3)
    np.testing.assert_allclose(found.response.sel(id="p7", time=5.0, outcome="n"), at_5, rtol=5e-3)


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


def test_means_and_bands_are_of_all_posterior_points():
    """No association: S is known at each of 201 points of the posterior, so are its mean and quantiles."""
    log_h = np.linspace(-5.0, -2.0, 201) - 0.1 * np.cos(np.arange(201))
    tree = tree_at(build(*patients()), TRUTH | {"assoc": [0.0], "surv_beta": [0.0]}, {"surv_Intercept": log_h})
    S = np.exp(-np.exp(log_h)[:, None] * (np.array([4.0, 5.0, 7.0]) - 3.0))
    for prob in (0.95, 0.5):
        found, ends = predict(tree, ids=["p7"], draws=201, prob=prob), [(1 - prob) / 2, (1 + prob) / 2]
        np.testing.assert_allclose(found.survival[0], S.mean(axis=0), rtol=1e-9)
        for name in ("{}", "probability_{}"):
            for side, quantile in zip(("lower", "upper"), np.quantile(S, ends, axis=0), strict=True):
                np.testing.assert_allclose(found[name.format(side)][0], quantile, rtol=1e-9)
    half = predict(tree, ids=["p7"], draws=100)  # evenly spaced among the points
    np.testing.assert_allclose(half.survival[0], S[np.arange(100) * 201 // 100].mean(axis=0), rtol=1e-9)


def test_median_and_bands_of_survival_are_of_subjects_alike():
    """Without measurements the effects are normal: S(8 | b) of many subjects, skewed, so that its mean is not its median."""
    b = np.random.default_rng(4).multivariate_normal([0, 0], S, 40_000)
    s = np.linspace(0, 8, 161)
    S_b = np.exp(-np.trapezoid(np.exp(-3 + 0.6 * eta(s, 0.0, b[:, None, :])), s, axis=1))
    nothing = pd.DataFrame({"id": ["new"], "time": [0.0], "drug": ["a"], "y": [np.nan]})
    found = predict(fitted(), nothing, ids=["new"], landmark=0.0, times=[8.0], draws=3000, prob=0.5)
    for name, q in (("lower", 0.25), ("median", 0.5), ("upper", 0.75)):
        assert (S_b < found[name].item()).mean() == pytest.approx(q, abs=4 * np.sqrt(q * (1 - q) / 3000)), name
    assert abs((S_b < found.survival.item()).mean() - 0.5) > 0.05
    np.testing.assert_allclose(found.survival.item(), S_b.mean(), atol=0.01)


def test_bands_of_the_marker_have_the_probability_asked_for():
    """Without measurements the marker at 0 is Normal(1, 0.8) among subjects, whose quantiles are known."""
    nothing = pd.DataFrame({"id": ["new"], "time": [0.0], "drug": ["a"], "y": [np.nan]})
    for prob in (0.95, 0.5):
        found = predict(fitted(), nothing, ids=["new"], landmark=0.0, times=[0.0], draws=3000, prob=prob)
        z = stats.norm.ppf((1 + prob) / 2)
        error = 4 * np.sqrt((1 - prob**2) / 4 / 3000) / stats.norm.pdf(z) * 0.8
        np.testing.assert_allclose(found.marker_lower.item(), 1 - 0.8 * z, atol=error)
        np.testing.assert_allclose(found.marker_upper.item(), 1 + 0.8 * z, atol=error)


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
        H = np.concatenate(
            [np.zeros((len(b), 1)), np.cumsum((both[:, 1:] + both[:, :-1]) / 2, axis=1) * (s[1] - s[0])], 1
        )
        return np.trapezoid(one * np.exp(-H), s, axis=1)

    _, expected = integrated(cif, log_f, lambda s, b: np.log(h_1(s, b) + h_2(s, b)), 3.0, [7.0])
    np.testing.assert_allclose(found.cif.sel(cause="1", time=7.0, id="p7"), expected, atol=5e-4)


def test_calibrated_in_simulation():
    """With parameters known, of those alive at 3 as many survive 5 as predicted from their histories."""
    visits, survival = patients(n=600, seed=5, lead="n", censored=0.0)
    survival = survival[survival.years > 3]
    found = predict(fitted(), visits[visits.id.isin(survival.id)], survival, times=[5.0], draws=20)
    alive = (survival.set_index("id").years.loc[found.id.values] > 5).values
    p = found.survival.values[:, 0]
    z = (alive - p).sum() / np.sqrt((p * (1 - p)).sum())
    assert abs(z) < 3
    worse = np.argsort(p)[: len(p) // 3]
    assert abs((alive - p)[worse].sum()) / np.sqrt((p * (1 - p))[worse].sum()) < 3


# ------------------------------------------------------------------------------------------------- whose data, which table


def same(a: xr.Dataset, b: xr.Dataset) -> None:
    assert list(a.id.values) == list(b.id.values)
    for name in a.data_vars:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-12, err_msg=str(name))


def test_a_new_subject_is_like_an_old_one_with_its_history():
    """Other rows beside it, its own event and later visits do not matter, nor how the tables are given."""
    visits, survival = patients()
    old = predict(fitted(), ids=["p7", "p0"])
    asked = survival.id.isin(["p7", "p0"])
    more = visits.assign(y=np.where(visits.time <= 3, visits.y, 99.0))
    new = predict(fitted(), more, survival[asked][["id", "drug"]], ids=["p7", "p0"])
    same(new, old)
    one_table = more[more.id.isin(["p7", "p0"])].sample(frac=1.0, random_state=1)
    same(predict(fitted(), one_table, ids=["p7", "p0"]), old)
    same(predict(fitted(), landmark={"p7": 3.0, "p0": 3.0}), old)


def test_one_subject_whoever_else_is_asked_for():
    whole = predict(fitted())
    same(predict(fitted(), ids=["p7"]), whole.sel(id=["p7"]))
    other = predict(fitted(), seed=1)
    assert (other.lower != whole.lower).any()
    same(predict(fitted()), whole)
    several = predict(fitted(), landmark={"p7": 3.0, "p0": 1.0}, times=[4.0, 5.0])
    same(several.sel(id=["p7"]), predict(fitted(), ids=["p7"], times=[4.0, 5.0]))


def test_loaded_equals_fresh(tmp_path):
    same(predict(storage.load(zoo.save(fitted(), tmp_path / "fit.nc"))), predict(fitted()))


def test_without_measurements_effects_have_their_prior():
    survival = pd.DataFrame({"id": ["new"], "drug": ["b"]})
    nothing = pd.DataFrame({"id": ["other"], "time": [0.0], "drug": ["a"], "y": [1.0]})
    found = predict(fitted(), nothing, survival, ids=["new"], draws=200)
    assert found.measurements.item() == 0 and "'new'" in found.note
    S_u, at_5 = integrated(
        lambda b: eta(5.0, 1.0, b),
        lambda b: np.zeros(len(b)),
        lambda s, b: -3.4 + 0.6 * eta(s, 1.0, b),
        3.0,
        found.time.values,
    )
    np.testing.assert_allclose(found.survival.sel(id="new"), S_u, atol=5e-4)
    np.testing.assert_allclose(found.marker.sel(id="new", time=5.0, outcome="y"), at_5, atol=3e-3)
    row = nothing.assign(id="new", drug="b", y=np.nan)
    same(predict(fitted(), pd.concat([nothing, row]), survival, ids=["new"], draws=200), found)


def test_a_first_visit_after_the_landmark_is_not_used():
    """It only tells what never changes."""
    visits, survival = patients()
    found = predict(fitted(), visits[visits.time > 0], survival, ids=["p7"], landmark=0.5)
    assert found.measurements.item() == 0
    nothing = visits.assign(y=visits.y.where(visits.time != visits.time))
    same(found, predict(fitted(), nothing, survival, ids=["p7"], landmark=0.5))


def test_effects_of_groups_of_subjects_are_those_of_the_fit():
    """A clinic's effect moves the marker of its subjects, as an offset would."""
    visits, survival = patients()
    clinic = {i: f"c{k % 8}" for k, i in enumerate(survival.id)}
    visits["clinic"] = visits.id.map(clinic)
    model = build(visits, survival, "y ~ time + time:drug + (1 | clinic) + (1 + time | id)")
    u = np.linspace(-1, 1, 8)
    found = predict(tree_at(model, TRUTH | {"sd_clinic": [0.7], "u_clinic": u[:, None]}), ids=["p7", "p0"])
    level = visits.id.map({i: u[int(c[1:])] for i, c in clinic.items()})
    moved = predict(tree_at(build(visits.assign(y=visits.y - level), survival), TRUTH), ids=["p7", "p0"])
    rate = np.exp(0.6 * np.array([u[7], u[0]]))
    np.testing.assert_allclose(
        found.marker.sel(outcome="y"), moved.marker.sel(outcome="y") + np.array([[u[7]], [u[0]]]), atol=0.02
    )
    for i, r in zip(("p7", "p0"), rate, strict=True):
        shifted = tree_at(
            build(visits.assign(y=visits.y - level), survival), TRUTH | {"surv_Intercept": -3 + np.log(r)}
        )
        np.testing.assert_allclose(found.survival.sel(id=i), predict(shifted, ids=[i]).survival.sel(id=i), atol=1e-6)


def test_several_outcomes_inform_of_each_other():
    """With effects that are perfectly tied, a count says of the Gaussian marker what it says of itself."""
    visits, survival = patients()
    rng = np.random.default_rng(2)
    visits["n"] = rng.poisson(np.exp(0.5 * visits.y))
    model = build(
        visits, survival, {"y ~ time + (1 | id)": "gaussian", "n ~ 1 + (1 | id)": "zero_inflated_poisson"}, zi={"n": "~ drug"},
        association={"y": "value"},
    )  # fmt: skip
    truth = {
        "y_Intercept": 1.0, "y_beta": [0.3], "y_sigma": 0.4, "n_Intercept": 0.5, "n_zi_Intercept": -2.0, "n_zi_beta": [0.5],
        "sd_id": [0.8, 0.5], "corr_id": [[1, 0.8], [0.8, 1]], "surv_Intercept": -3.0, "surv_beta": [-0.4], "assoc": [0.6],
    }  # fmt: skip
    blind = visits.assign(y=np.nan)
    found = predict(tree_at(model, truth), blind[blind.id == "p7"], survival, ids=["p7"], draws=200)
    own, drug = visits[(visits.id == "p7") & (visits.time <= 3)], float(survival.drug[7] == "b")
    cov = np.array([[0.64, 0.32], [0.32, 0.25]])

    def log_f(b):
        zero = expit(-2 + 0.5 * drug)
        p = (1 - zero) * stats.poisson.pmf(own.n.values, np.exp(0.5 + b[:, 1:]))
        return np.log(p + zero * (own.n.values == 0)).sum(axis=1)

    def log_h(s, b):
        return -3 - 0.4 * drug + 0.6 * (1 + 0.3 * s + b[..., 0])

    S_u, _ = integrated(lambda b: b[:, 0], log_f, log_h, 3.0, found.time.values, cov)
    np.testing.assert_allclose(found.survival.sel(id="p7"), S_u, atol=1e-3)
    assert found.response.dims == ("outcome", "id", "time") and found.measurements.item() == len(own)


def test_covariates_that_change_are_those_known_at_the_landmark():
    visits, survival = patients()
    half = np.minimum(2.0, survival.years / 2)
    first = survival.assign(start=0.0, stop=half, death=False, dose=1.0)
    second = survival.assign(start=half, stop=survival.years, dose=3.0)
    event = "Surv(start, stop, death) ~ dose"
    tree = tree_at(build(visits, pd.concat([first, second]), event=event), TRUTH | {"surv_beta": [0.2], "assoc": [0.0]})
    known = pd.DataFrame({"id": ["p7"] * 3, "start": [0.0, 1.0, 3.5], "dose": [1.0, 2.0, 9.0]})
    found = predict(tree, visits, known, ids=["p7"])
    np.testing.assert_allclose(
        found.survival, np.exp(-np.exp(-3 + 0.2 * 2.0) * (found.time.values[None] - 3)), rtol=1e-9
    )


def test_a_row_of_covariates_that_begins_at_the_landmark_is_known():
    """(start, stop]: what begins at the landmark is what holds after it; offsets of the event add to its log hazard."""
    visits, survival = patients()
    rows = survival.assign(
        start=np.where(survival.id == "p1", 0.25, 0.0), dose=np.arange(40) % 2, extra=np.arange(40) % 3
    )
    event = "Surv(start, years, death) ~ dose + offset(extra)"
    tree = tree_at(build(visits, rows, event=event), TRUTH | {"surv_beta": [0.2], "assoc": [0.0]})
    known = pd.DataFrame({"id": "p7", "start": [3.0, 0.0, 3.0001], "dose": [2.0, 1.0, 9.0], "extra": [0.5, 0.0, 9.0]})
    found = predict(tree, visits, known, ids=["p7"])
    np.testing.assert_allclose(
        found.survival, np.exp(-np.exp(-3 + 0.2 * 2.0 + 0.5) * (found.time.values[None] - 3)), rtol=1e-9
    )


def test_an_offset_of_the_marker_is_that_of_its_measurements():
    """Measurements moved by an offset say the same of the subject, and predictions are without it."""
    visits, survival = patients()
    known = visits.id.map({i: float(np.sin(k)) for k, i in enumerate(survival.id)})
    moved = visits.assign(known=known, y=visits.y + known)
    tree = tree_at(build(moved, survival, FORMULA.replace("+ (1", "+ offset(known) + (1")), TRUTH)
    same(predict(tree, ids=["p7", "p0"]), predict(fitted(), ids=["p7", "p0"]))
    covariates = survival[["id", "drug"]]
    same(predict(tree, moved, covariates, ids=["p7", "p0"]), predict(fitted(), ids=["p7", "p0"]))


def test_follow_up_in_several_rows_ends_with_the_last():
    """Rows (start, stop] of other subjects in any order: who entered when, and who had the event by the landmark."""
    visits, survival = patients()
    first = survival.assign(start=0.0, stop=survival.years / 2, death=False)
    second = survival.assign(start=survival.years / 2, stop=survival.years)
    rows, event = pd.concat([second, first]), "Surv(start, stop, death) ~ drug"
    tree = tree_at(build(visits, rows, event=event), TRUTH)
    ids = ["p7", "p0", "p2"]
    own = pd.DataFrame({"id": ids * 2, "start": [2.0] * 3 + [0.0] * 3, "stop": [9.0] * 3 + [2.0] * 3, "death": False})
    own["drug"] = own.id.map(survival.set_index("id").drug)
    history = visits[visits.id.isin(ids)]
    for landmark in (1.0, 3.0):  # nobody is told not to have been followed
        assert list(predict(tree, history, own, ids=ids, landmark=landmark, draws=2).id.values) == ids
    last = (own.id == "p0") & (own.start > 0)
    dead = own.assign(death=last, stop=own.stop.where(~last, 2.5))
    with pytest.warns(ZooWarning, match="id 'p0': had the event by the landmark 3; left out"):
        found = predict(tree, history, dead, draws=2)
    assert set(found.id.values) == {"p7", "p2"}


def test_who_enters_at_the_landmark_is_followed_then():
    visits, survival = patients()
    late = survival.assign(start=np.where(survival.id == "p7", 1.0, 0.0))
    tree = tree_at(build(visits, late, event="Surv(start, years, death) ~ drug"), TRUTH)
    assert "p7" in predict(tree, landmark=1.0).id.values
    assert "p7" not in predict(tree, landmark=0.999).id.values
    with pytest.warns(ZooWarning, match="fitted to these subjects"):
        at_risk = [zoo.landmark_accuracy(tree, landmark=t, horizon=5.0, draws=2).at_risk for t in (0.999, 1.0)]
    assert at_risk[1] == (survival.years > 1).sum() and at_risk[0] == at_risk[1] - 1


def test_whose_follow_up_ends_at_the_landmark_is_not_followed_beyond():
    visits, survival = patients()
    ends = survival.assign(
        years=survival.years.where(survival.id != "p7", 3.0), death=survival.death & (survival.id != "p7")
    )
    tree = tree_at(build(visits[(visits.id != "p7") | (visits.time < 3)], ends), TRUTH)
    assert "p7" not in predict(tree, draws=2).id.values and "p7" in predict(tree, draws=2, landmark=2.999).id.values
    with pytest.warns(ZooWarning, match="fitted to these subjects"):
        found = zoo.landmark_accuracy(tree, landmark=3.0, horizon=5.0, draws=2)
    assert found.at_risk == (survival.years > 3).sum() - 1


def test_events_in_intervals_and_late_entry():
    """The history says that the subject lived to the landmark, however its own event is known."""
    visits, survival = patients()
    between = survival.assign(
        left=np.minimum(survival.years, np.maximum(visits.groupby("id").time.max()[survival.id].values, 0.5))
    )
    between["right"] = between.years.where(between.death)
    interval = tree_at(build(visits, between, event='Surv(left, right, type="interval2") ~ drug'), TRUTH)
    ids = ["p7"]
    same(predict(interval, ids=ids), predict(fitted(), ids=ids))
    alive = (between.left >= 3) & (between.left.where(~between.death, between.years) > 3)
    assert set(predict(interval).id.values) == set(between.id[alive])
    with pytest.raises(InputError, match="needs the times of events"):
        zoo.landmark_accuracy(interval, landmark=2.0, horizon=5.0)
    late = survival.assign(start=np.where(survival.id == "p7", 0.5, 0.0))
    tree = tree_at(build(visits, late, event="Surv(start, years, death) ~ drug"), TRUTH)
    same(predict(tree, ids=ids), predict(fitted(), ids=ids))
    assert "p7" not in predict(tree, landmark=0.25).id.values


def test_levels_have_the_order_that_was_declared():
    visits, survival = patients()
    kind = pd.CategoricalDtype(["b", "a"])
    tables = [d.assign(drug=d.drug.astype(kind)) for d in (visits, survival)]
    tree = tree_at(build(*tables), TRUTH)
    swapped = [d.assign(drug=d.drug.map({"a": "b", "b": "a"})) for d in (visits, survival)]
    np.testing.assert_allclose(predict(tree).survival, predict(tree_at(build(*swapped), TRUTH)).survival, rtol=1e-12)


# -------------------------------------------------------------------------------------------------------------- wrong input


def refused(words: str, *tables, tree=None, **more) -> None:
    with pytest.raises(InputError, match=words):
        predict(tree or fitted(), *tables, **more)


def test_wrong_input_is_told():
    visits, survival = patients()
    survival = survival[["id", "drug"]]
    refused("no id 'p77'; did you mean", ids=["p77"])
    refused("'p7' is asked for twice", ids=["p7", "p7"])
    refused("increasing numbers >= 0", times=[5.0, 4.0])
    refused("increasing numbers >= 0", times=[5.0, 5.0])
    refused("increasing numbers >= 0", times=[])
    refused("times must be a list such as", times=[np.nan])
    for prob in (95.0, 1.0, 0.0):
        refused("prob must be between 0 and 1", prob=prob)
    refused("draws must be a whole number", draws=0)
    refused("a landmark is a time >= 0", landmark=-1.0)
    refused("landmark has no time for id 'p0'", landmark={"p7": 3.0}, ids=["p0"])
    refused("nobody of the fit was followed at the landmark 9", landmark=9.0)
    refused("no column 'drug'", visits, survival.drop(columns="drug"))
    refused("no column 'y'", visits.drop(columns="y"), survival)
    refused(r"level 'c' of 'drug' \(rows 1, 2, .*\) was not in the data of the fit", visits, survival.assign(drug="c"))
    refused("id 'p0' has several rows", visits, pd.concat([survival, survival.head(1)]))
    refused("'drug' of the event varies within id", visits.assign(drug=np.resize(["a", "b"], len(visits))))
    refused("column 'time' must be >= 0; row 1 has -1", visits.assign(time=visits.time - 1.0), survival)
    refused("column 'time' has 1 missing value", visits.assign(time=visits.time.where(visits.index > 0)), survival)
    refused("infinite", visits.assign(y=np.where(visits.index, visits.y, np.inf)), survival)
    refused(
        "'p0' has no visit, and the marker needs 'drug'",
        visits[visits.id != "p0"],
        survival.drop(columns="drug"),
        tree=no_event_covariate(),
    )
    other = tree_at(zoo.hierarchical_linear(visits, "y ~ time + (1 | id)"), {"Intercept": 1.0})
    refused("is of a fit of joint_survival, and this is one of hierarchical_linear", tree=other)


@functools.cache
def no_event_covariate() -> xr.DataTree:
    truth = {k: v for k, v in TRUTH.items() if k != "surv_beta"}
    return tree_at(build(*patients(), event="Surv(years, death) ~ 1"), truth)


def test_unknown_clinics_are_refused():
    visits, survival = patients()
    visits["clinic"] = visits.id.map({i: f"c{k % 8}" for k, i in enumerate(survival.id)})
    model = build(visits, survival, "y ~ time + time:drug + (1 | clinic/id)")
    truth = {k: v for k, v in TRUTH.items() if k not in ("sd_id", "corr_id")}
    tree = tree_at(model, truth | {"sd_clinic": [0.7], "u_clinic": np.zeros((8, 1)), "sd_clinic:id": [0.8]})
    assert predict(tree).sizes["id"] > 10
    refused(
        r"clinic 'c9' \(rows 1, 2, .*\) was not in the data of the fit; levels: c0",
        visits.assign(clinic="c9"),
        survival[["id", "drug"]],
        tree=tree,
    )
    refused("kept moments only", tree=tree_at(model, truth | {"sd_clinic": [0.7], "sd_clinic:id": [0.8]}))


def _with_ess(draw, ess, *given):
    return replace(draw(*given), ess=np.full(1, ess))


def test_what_is_doubtful_is_told(monkeypatch):
    gone = patients()[1].query("years < 3 and not death").id.iloc[0]
    with pytest.warns(ZooWarning, match=f"id '{gone}': not followed at the landmark"):
        predict(fitted(), ids=[gone])
    for ess, few in ((0.199, True), (0.2, False)):
        draws = functools.partial(_with_ess, effect_sampler.draw_predictions, ess)
        monkeypatch.setattr(dynamic, "draw_predictions", draws)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            predict(fitted(), ids=["p7"], draws=5)
        assert [str(w.message).startswith("id 'p7': less than 20% of the points") for w in told] == [True] * few
    monkeypatch.undo()
    with pytest.warns(ZooWarning, match="times up to 20 go beyond the last follow-up of the fit, 8"):
        predict(fitted(), times=[5.0, 20.0], ids=["p7"])


def test_nobody_is_lost():
    """Visits without a row of the event: told by name, unless ids ask for others."""
    visits, survival = patients()
    alive = survival[survival.years > 3][["id", "drug"]]
    with pytest.warns(
        ZooWarning, match=r"id 'p1', 'p12', .*: visits, but no row in survival, .*; left out; give a row"
    ):
        found = predict(fitted(), visits, alive)
    assert set(found.id.values) == set(alive.id)
    same(predict(fitted(), visits, alive, ids=["p7"]), found.sel(id=["p7"]))


def test_who_had_the_event_by_the_landmark_is_not_predicted_alive():
    """At the time of the landmark, too; who was censored before is, with a word."""
    visits, survival = patients()
    ids = ["p7", "p0", "p2", "p3"]
    v, s = visits[visits.id.isin(ids)], survival[survival.id.isin(ids)].set_index("id").loc[ids].reset_index()
    v = v[v.time < 2.9]
    s["years"], s["death"] = [3.0, 3.001, 2.9, 3.0], [True, True, False, False]
    with pytest.warns(ZooWarning) as told:
        found = predict(fitted(), v, s)
    assert list(found.id.values) == ["p0", "p2", "p3"]
    assert "id 'p7': had the event by the landmark 3; left out" in str(told[0].message)
    assert "id 'p2': not followed at the landmark" in str(told[1].message)
    refused(r"id 'p7' had the event by the landmark \('p7' at 3, the landmark is 3\)", v, s, ids=ids)
    refused("id 'p7' had the event by", v, s, landmark={"p7": 3.0})
    refused("nobody of the tables was followed at the landmark 3", v, s[s.id == "p7"])
    own = survival.query("years < 3 and death").id.iloc[0]
    refused(f"id '{own}' had the event by the landmark", ids=[own])
    together = v.merge(s.drop(columns="drug"), on="id")
    with pytest.warns(ZooWarning) as told:
        same(predict(fitted(), together), found)
    assert "'p7': had the event" in str(told[0].message)


def test_tables_that_contradict_each_other_are_refused():
    visits, survival = patients()
    other = survival[["id", "drug"]].assign(drug=lambda d: d.drug.mask(d.id == "p7", d.drug.map({"a": "b", "b": "a"})))
    was, told = (t.set_index("id").drug["p7"] for t in (survival, other))
    words = rf"^column 'drug' says {was} of id 'p7' in the visits and {told} in the event data \(id 'p7'\); it never changes within a subject"
    refused(words, visits, other)
    refused(words, visits, other, ids=["p7"])
    predict(fitted(), visits, other, ids=["p0"])


@pytest.mark.parametrize(
    ("years", "death", "landmark", "words"),
    [
        (
            3.5,
            True,
            3.0,
            r"^id 'p39' has visits after the end of its follow-up \('p39' at 4, and the event was at 3.5\); correct one of the tables",
        ),
        (
            4.0,
            True,
            3.0,
            r"^id 'p39' has visits after the end of its follow-up \('p39' at 5, and the event was at 4\); correct one of the tables",
        ),
        (
            3.5,
            True,
            1.0,
            r"^id 'p39' has visits after the end of its follow-up \('p39' at 4, and the event was at 3.5\); correct one of the tables",
        ),
        (
            2.5,
            False,
            3.0,
            r"^id 'p39' has visits after the end of its follow-up \('p39' at 3, and the follow-up ends at 2.5\); correct one of the tables",
        ),
        (3.0, False, 3.0, None),
        (9.0, True, 3.0, None),
    ],
)
def test_visits_after_the_event_are_refused(years, death, landmark, words):
    visits, survival = patients()
    assert visits[visits.id == "p39"].time.max() >= 5
    event = survival[survival.id == "p39"].assign(years=years, death=death)
    v = visits[visits.id == "p39"]
    if words is None:
        predict(fitted(), v, event, landmark=landmark)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)  # not followed at the landmark
        refused(words, v, event, landmark=landmark)
        refused(words, v.merge(event.drop(columns="drug"), on="id"), landmark=landmark)


def test_values_that_are_no_values_are_refused():
    visits, survival = patients()
    survival["age"] = np.linspace(30.0, 70.0, len(survival))
    model = build(visits, survival, event="Surv(years, death) ~ drug + age")
    tree = tree_at(model, TRUTH | {"surv_beta": [-0.4, 0.01]})
    covariates = survival[["id", "drug", "age"]]
    words = r"column 'age' of id 'p7' is 1e\+09, and in the data of the fit from 30 to 70; correct it"
    refused(
        words, visits, covariates.assign(age=covariates.age.where(covariates.id != "p7", 1e9)), tree=tree, ids=["p7"]
    )
    refused("column 'y' of id 'p7' is 1e", visits.assign(y=1e12), covariates, tree=tree, ids=["p7"])
    flat = tree_at(model, TRUTH | {"surv_beta": [-0.4, 1e-5]})
    for age, sound in ((7070.0, True), (7071.0, False), (-6970.0, True), (-6971.0, False)):  # 100 times 70 beyond
        there = covariates.assign(age=covariates.age.where(covariates.id != "p7", age))
        if sound:
            predict(flat, visits, there, ids=["p7"], draws=2)
        else:
            refused(f"column 'age' of id 'p7' is {age:g}", visits, there, tree=tree, ids=["p7"], draws=2)
    far = covariates.assign(age=covariates.age.where(covariates.id != "p7", 7000.0))
    steep = tree_at(model, TRUTH | {"surv_beta": [-0.4, 0.3]})
    refused("id 'p7': the prediction leaves the range of numbers", visits, far, tree=steep, ids=["p7"])
    assert np.isfinite(predict(tree, visits, far, ids=["p0"]).survival).all()


@pytest.mark.parametrize("early", [0.0, 0.01])
def test_times_are_compared_with_the_follow_up(early):
    """Whose rows all begin at 0, or hardly later, has said nothing against rows that begin in the midst of the follow-up."""
    visits, survival = patients()
    rows = survival.assign(start=np.where(survival.id == "p1", early, 0.0))
    tree = tree_at(build(visits, rows, event="Surv(start, years, death) ~ drug"), TRUTH)
    known = survival[["id", "drug"]].assign(start=0.0)
    later = pd.concat([known, known[known.id == "p7"].assign(start=3.0)])
    same(predict(tree, visits, later, ids=["p7"]), predict(tree, visits, known, ids=["p7"]))
    for start, sound in ((2 * early + 100 * END - 1, True), (2 * early + 101 * END + 1, False), (1e9, False)):
        there = pd.concat([known, known[known.id == "p7"].assign(start=start)])
        if sound:
            predict(tree, visits, there, ids=["p7"], draws=2)
        else:
            refused("column 'start' of id 'p7' is ", visits, there, tree=tree, ids=["p7"], draws=2)


def test_visits_of_a_fit_with_one_time_may_be_later():
    visits, survival = patients()
    model = build(visits.assign(time=0.0), survival, "y ~ drug + (1 | id)")
    tree = tree_at(model, {k: v for k, v in TRUTH.items() if k != "corr_id"} | {"beta": [0.2], "sd_id": [0.8]})
    own, covariates = visits[visits.id == "p7"], survival[["id", "drug"]]
    assert predict(tree, own, covariates, ids=["p7"], draws=2).measurements.item() == (own.time <= 3).sum()
    refused("column 'time' of id 'p7' is 1e", own.assign(time=1e9), covariates, tree=tree, ids=["p7"])


@pytest.mark.parametrize(("extra", "sound"), [(3.0, True), (99.0, True), (101.0, False), (1e9, False)])
def test_what_is_zero_in_all_of_the_fit_is_compared_with_one(extra, sound):
    visits, survival = patients()
    event = "Surv(years, death) ~ drug + offset(extra)"
    tree = tree_at(build(visits, survival.assign(extra=0.0), event=event), TRUTH | {"surv_Intercept": -150.0})
    known = survival[["id", "drug"]].assign(extra=extra)
    if sound:
        assert np.isfinite(predict(tree, visits, known, ids=["p7"], draws=2).survival).all()
    else:
        refused(f"column 'extra' of id 'p7' is {re.escape(f'{extra:g}')}", visits, known, tree=tree, ids=["p7"])


def test_options_have_types():
    refused("seed must be a whole number >= 0, not -1", seed=-1)
    refused("seed must be a whole number, not 1.5", seed=1.5)
    refused("draws must be a whole number, not True", draws=True)
    refused("prob must be a number, not 'most'", prob="most")
    refused("landmark must be a number", landmark="soon")
    refused("times must be a list", times="soon")
    refused("ids must be a list", ids={"p7": 1})
    same(predict(fitted(), times="4,5,7", draws="60", ids="p7"), predict(fitted(), ids=["p7"]))
    assert list(predict(fitted(), ids=("p7",), times=(4.0,), landmark="3").time.values) == [4.0]


def test_mistakes_of_the_caller_are_not_told_as_the_files():
    refused("^landmark names nobody", landmark={})
    refused("^ids names nobody", ids=[])
    with pytest.raises(InputError, match=r"^landmark must be a number"):
        zoo.landmark_accuracy(fitted(), landmark="a", horizon=5.0)
    with pytest.raises(
        InputError, match=r"^cause='x' is for competing causes, and this fit has one event; leave it out"
    ):
        zoo.landmark_accuracy(fitted(), landmark=3.0, horizon=5.0, cause="x")


def test_memory_is_estimated_before_work(monkeypatch):
    refused(
        r"1000000000 draws of 1 subject at 3 times need \d+\.\d GB of memory, and .* are free", ids=["p7"], draws=10**9
    )
    refused("ask for fewer draws or times", draws=20_000, times=np.linspace(4, 7, 200_000))
    needed = []
    monkeypatch.setattr(dynamic, "available_memory", lambda: needed[-1])
    for most, fits in ((1e12, True), (1.0, False)):
        needed.append(most)
        if fits:
            predict(fitted(), ids=["p7"], draws=5)
        else:
            refused("are free", ids=["p7"], draws=5)


# ---------------------------------------------------------------------------------------------------------------- accuracy


def test_accuracy_of_other_subjects():
    visits, survival = patients(n=300, seed=9, lead="n")
    found = zoo.landmark_accuracy(fitted(), visits, survival, landmark=2.0, horizon=5.0, draws=10)
    assert found.at_risk == (survival.years > 2).sum()
    at_risk = survival[survival.years > 2]
    own = visits[visits.id.isin(at_risk.id)]
    risk = 1 - predict(fitted(), own, at_risk, landmark=2.0, times=[5.0], draws=10).survival
    np.testing.assert_allclose(found.expected, risk.mean())
    assert 0.6 < found.auc.value < 0.95 and 0 < found.scaled.value < 0.6
    assert abs(found.in_the_large.value) < 3 * found.in_the_large.se
    with pytest.warns(ZooWarning, match="fitted to these subjects"):
        own = zoo.landmark_accuracy(fitted(), landmark=2.0, horizon=5.0, draws=10)
    assert own.at_risk == (patients()[1].years > 2).sum()


def test_accuracy_with_causes():
    visits, survival = patients(n=60)
    survival["cause"] = np.where(survival.death, np.where(np.arange(60) % 2, "relapse", "death"), "censored")
    model = build(visits, survival, event="Surv(years, cause) ~ drug")
    truth = TRUTH | {"surv_Intercept": [-3.5, -3.5], "surv_beta": [[-0.4, 0.3]], "assoc": [[0.6, 0.6]]}
    tree = tree_at(model, truth)
    with pytest.raises(InputError, match="cause is one of death, relapse, not None"):
        zoo.landmark_accuracy(tree, landmark=1.0, horizon=6.0)
    with pytest.warns(ZooWarning, match="fitted to these subjects"):
        own = zoo.landmark_accuracy(tree, landmark=1.0, horizon=6.0, cause="relapse", draws=10)
    window = (survival.years > 1) & (survival.years <= 6)
    assert own.events == (window & (survival.cause == "relapse")).sum() and own.cause == 2
    renamed = survival.assign(cause=survival.cause.where(survival.cause != "death", "censored"))
    only = zoo.landmark_accuracy(tree, visits, renamed, landmark=1.0, horizon=6.0, cause="relapse", draws=10)
    assert only.events == own.events and only.competing == 0


# ------------------------------------------------------------------------------------------------------------ command line


def test_command_line(tmp_path, capsys):
    visits, survival = patients()
    file = str(zoo.save(fitted(), tmp_path / "fit.nc"))
    usual = ["predict", file, "--landmark", "3", "--times", "4,5,7", "--draws", "60"]
    assert cli.run([*usual, "--id", "p7", "--id", "p0"]) == 0
    out = capsys.readouterr().out
    assert "given the history up to 3" in out and "p7" in out and "marker[y]" in out
    expected = predict(fitted(), ids=["p7"])
    assert cli.run([*usual, "--id", "p7", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose([r["survival"] for r in rows], expected.survival.values[0], rtol=1e-12)
    assert [r["time"] for r in rows] == [4.0, 5.0, 7.0] and {r["id"] for r in rows} == {"p7"}
    visits.to_csv(tmp_path / "visits.csv", index=False)
    survival[["id", "drug"]].to_csv(tmp_path / "survival.csv", index=False)
    tables = ["--data", str(tmp_path / "visits.csv"), "--survival", str(tmp_path / "survival.csv")]
    assert cli.run([*usual, *tables, "--id", "p7", "--format", "csv"]) == 0
    (tmp_path / "out.csv").write_text(capsys.readouterr().out)
    found = pd.read_csv(tmp_path / "out.csv")
    np.testing.assert_allclose(found["marker[y]"], expected.marker.values[0, 0], rtol=1e-9)
    assert list(found)[:3] == ["id", "time", "survival"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--times", "4;5"], "--times is numbers separated by commas"),
        (["--times", "5,4"], "times are increasing numbers"),
        (["--times", "5", "--seed", "-1"], "seed must be a whole number >= 0, not -1"),
        (["--times", "5", "--seed", "1.5"], "a whole number is expected"),
        (["--times", "5", "--draws", "1000000000"], "of memory"),
        (["--times", "5", "--id", "nobody"], "no id 'nobody'"),
        (["--times", "5", "--survival", "x.csv"], "goes with --data"),
        (["--times", "5", "--data", "no.csv"], "'no.csv' does not exist"),
        ([], "times"),
    ],
)
def test_command_line_says_what_is_wrong(tmp_path, capsys, more, words):
    file = str(zoo.save(fitted(), tmp_path / "fit.nc"))
    assert cli.run(["predict", file, "--landmark", "3", *more]) == 2
    assert words in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------ the aids trial


# JM averages 200 draws of parameters and effects, of a survival with an sd of about .1 between them: .007, twice that for 95 %. It
# has draws about the maximum of the likelihood, JMbayes2 a spline baseline with priors of its own: the two differ by up to .015.
PEERS_DIFFER = 0.015


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::glmm_zoo.errors.ZooWarning")
def test_aids_trial_as_other_packages_have_it():
    """History to 12 months: S(20 | 12) of each patient by JM and by JMbayes2; accuracy in (12, 16] by JMbayes2 with the same kind of
    weights."""
    recorded = reference("aids_prediction")["parameters"]
    visits, survival = data_set("JM_aids.csv"), data_set("JM_aids.id.csv")
    visits["y"] = np.sqrt(visits.CD4)
    model = zoo.joint_survival(
        visits, survival, "y ~ obstime + obstime:drug + (1 + obstime | patient)", event="Surv(Time, death) ~ drug",
        time="obstime", id="patient", baseline="piecewise", cuts=reference("aids_jm_piecewise")["cuts"],
    )  # fmt: skip
    tree = zoo.fit(model, seed=1)
    covariates = survival[["patient", "drug"]]  # patient 100 died before: as if that were not known
    found = zoo.dynamic_prediction(tree, visits, covariates, landmark=12.0, times=[20.0], ids=[2, 10, 100])
    for peer in ("JM", "JMbayes2"):
        survivals = [recorded[f"survival {patient} {peer}"]["estimate"] for patient in (2, 10, 100)]
        np.testing.assert_allclose(found.survival.values[:, 0], survivals, atol=PEERS_DIFFER)
    accuracy = zoo.landmark_accuracy(tree, landmark=12.0, horizon=16.0)
    assert (accuracy.at_risk, accuracy.events) == (recorded["at_risk"]["count"], recorded["events"]["count"])
    assert abs(accuracy.auc.value - recorded["auc"]["estimate"]) < 0.015
    assert abs(accuracy.brier.value - recorded["brier"]["estimate"]) < 0.002
