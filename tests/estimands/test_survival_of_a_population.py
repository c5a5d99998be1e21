"""Joint survival: standardised survival, incidence and restricted means against integration on a grid, limits, g-computation."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of
from scipy import integrate, stats
from scipy.interpolate import BSpline

import glmm_zoo as zoo
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.estimands import event_integral
from glmm_zoo.results import storage

END, DRAWS = 8.0, 3
KNOTS, WEIGHTS = END / 9 * np.arange(-2, 12), np.array([-3.5, -3, -3.5, -2.5, -3, -3.5, -4, -3, -3, -2.5, -3.5])
TIMES = [1.0, 4.0, 7.0]
FORMULA, EVENT = "y ~ time + time:drug + (1 + time | id)", "Surv(years, death) ~ drug + age"


def several(*values: Any) -> np.ndarray:
    """Points of the posterior (1, DRAWS, ...): each value by itself."""
    return np.array(values, float)[None]


POSTERIOR = {
    "Intercept": several(1.0, 0.7, 1.2), "beta": several([0.3, -0.2], [0.25, -0.3], [0.35, -0.1]), "sigma": several(0.4, 0.5, 0.3),
    "sd_id": several([0.8, 0.25], [1.2, 0.4], [0.5, 0.1]), "corr_id": several(*([[1, r], [r, 1]] for r in (0.3, -0.4, 0.6))),
    "surv_Intercept": several(-3.0, -3.3, -2.6), "surv_beta": several([-0.4, 0.02], [-0.1, 0.03], [-0.6, 0.01]),
    "assoc": several([0.6], [0.9], [-0.4]),
}  # fmt: skip


@functools.cache
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Twenty-four subjects of two arms and three ages, with a visit at each whole time."""
    rng, n = np.random.default_rng(3), 24
    k = np.arange(n)
    survival = pd.DataFrame(
        {"id": [f"p{i:02d}" for i in k], "drug": np.where(k % 2, "b", "a"), "age": 50.0 + 10 * (k % 3), "years": rng.uniform(2, END, n)}
    )  # fmt: skip
    survival["death"] = (rng.random(n) < 0.7).astype(int)
    survival.loc[0, "years"] = END
    rows = [(i, float(t)) for i in k for t in range(int(END)) if t < survival.years[i]]
    i, t = (np.array(x) for x in zip(*rows, strict=True))
    y = 1 + rng.normal(size=n)[i] + 0.3 * t + 0.4 * rng.normal(size=len(i))
    visits = survival.loc[i, ["id", "drug"]].reset_index(drop=True).assign(time=t, y=y, n=rng.poisson(2.0, len(i)))
    return visits, survival


def build(
    visits: pd.DataFrame, survival: pd.DataFrame, formula: Any = FORMULA, event: str = EVENT, **options: Any
) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)  # few events
        return zoo.joint_survival(visits, survival, formula, event=event, **{"baseline": "exponential", **options})


def tree_at(model: Any, also: Mapping[str, Any] | None = None, without: tuple[str, ...] = ()) -> xr.DataTree:
    return tree_of(model, {k: v for k, v in {**POSTERIOR, **(also or {})}.items() if k not in without})


@functools.cache
def fitted() -> xr.DataTree:
    return tree_at(build(*tables()))


def draw(name: str, d: int, also: Mapping[str, Any]) -> np.ndarray:
    return {**POSTERIOR, **also}[name][0, d]


def points_in_time(t: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and weights of integrals from 0 to t: pieces between which all hazards here are smooth, crowded towards 0."""
    x, w = np.polynomial.legendre.leggauss(12)
    breaks = np.unique([0.0, 2.0, 5.0, t, *(KNOTS[3:-3])])
    breaks = breaks[breaks <= t]
    pieces = [
        (a + (b - a) * ((1 + x) / 2) ** 3, w / 2 * 3 * ((1 + x) / 2) ** 2 * (b - a))
        for a, b in itertools.pairwise(breaks)
    ]
    return np.concatenate([s for s, _ in pieces]), np.concatenate([w for _, w in pieces])


def free(log_h: Callable[..., np.ndarray], cov: np.ndarray, t: float, side: int = 51) -> float:
    """E exp(-H(t | u)) by a grid of u and of time."""
    q = len(cov)
    x = np.stack(np.meshgrid(*[np.linspace(-6.5, 6.5, side)] * q, indexing="ij"), axis=-1).reshape(-1, q)
    weight = np.exp(-0.5 * (x**2).sum(axis=1))
    u = x @ np.linalg.cholesky(cov).T
    s, w = points_in_time(t)
    return float(weight @ np.exp(-np.exp(log_h(s, u[:, None, :])) @ w) / weight.sum())


def covariance(d: int) -> np.ndarray:
    sd, corr = POSTERIOR["sd_id"][0, d], POSTERIOR["corr_id"][0, d]
    return np.diag(sd) @ corr @ np.diag(sd)


def eta(d: int, drug: float, s: np.ndarray, u: np.ndarray) -> np.ndarray:
    b = POSTERIOR["beta"][0, d]
    return POSTERIOR["Intercept"][0, d] + u[..., 0] + (b[0] + b[1] * drug + u[..., 1]) * s


ASSOCIATIONS: dict[str, Callable[..., np.ndarray]] = {
    "value": lambda d, g, s, u: eta(d, g, s, u),
    "slope": lambda d, g, s, u: POSTERIOR["beta"][0, d] @ [1, g] + u[..., 1] + 0 * s,
    "value:drug": lambda d, g, s, u: g * eta(d, g, s, u),
    "area(2)": lambda d, g, s, u: np.minimum(s, 2.0) * eta(d, g, s - np.minimum(s, 2.0) / 2, u),
}
BASELINES: dict[str, tuple[dict[str, Any], Callable[..., Any], dict[str, Any]]] = {
    "exponential": ({}, lambda d, s: POSTERIOR["surv_Intercept"][0, d], {}),
    "weibull": (
        {"weibull_shape": several(0.6, 1.4, 1.0)},
        lambda d, s: POSTERIOR["surv_Intercept"][0, d] + (lambda k: np.log(k) + (k - 1) * np.log(np.maximum(s, 1e-300)))([0.6, 1.4, 1.0][d]),
        {},
    ),
    "piecewise": (
        {"log_h0": several([-3, -2.5, -4], [-3.5, -3, -2], [-3, -3, -3])},
        lambda d, s: np.array([[-3, -2.5, -4], [-3.5, -3, -2], [-3, -3, -3]][d])[np.searchsorted([2.0, 5.0], s)],
        {"cuts": [2.0, 5.0]},
    ),
    "bspline": ({"h0_weights": several(WEIGHTS, WEIGHTS + 0.3, WEIGHTS[::-1])}, lambda d, s: BSpline(KNOTS, [WEIGHTS, WEIGHTS + 0.3, WEIGHTS[::-1]][d], 2)(s), {}),
}  # fmt: skip


def log_hazard(d: int, drug: float, age: float, association: str, baseline: str) -> Callable[..., np.ndarray]:
    gamma = POSTERIOR["surv_beta"][0, d] @ [drug, age]
    alpha, of = POSTERIOR["assoc"][0, d, 0], ASSOCIATIONS[association]
    return lambda s, u: BASELINES[baseline][1](d, s) + gamma + alpha * of(d, drug, s, u)


def standardised(
    d: int, t: float, drugs: list[float] | None, association: str = "value", baseline: str = "exponential"
) -> float:
    """The mean over the subjects of the fit: all with their own drug, or all with this one."""
    own = tables()[1]
    found = [
        free(log_hazard(d, drug, age, association, baseline), covariance(d), t) * share / len(own)
        for (name, age), share in own.groupby(["drug", "age"]).size().items()  # pyright: ignore[reportGeneralTypeIssues]
        for drug in [float(name == "b") if drugs is None else drugs[0]]
    ]
    return sum(found)


def values(estimates: zoo.Estimates, **where: Any) -> np.ndarray:
    """Draws (D, estimates)."""
    rows = np.logical_and.reduce(
        [estimates.table[c] == v for c, v in where.items()] or [np.ones(len(estimates.table), bool)]
    )
    return estimates.draws["value"].values[0][:, np.flatnonzero(rows)]


# --------------------------------------------------------------------------------------------------------- against a grid


@pytest.mark.parametrize(
    ("association", "baseline"),
    [("value", b) for b in BASELINES] + [(a, "exponential") for a in ASSOCIATIONS if a != "value"],
)
def test_survival_is_the_mean_over_effects_of_exp_minus_the_cumulative_hazard(association: str, baseline: str) -> None:
    also, _, options = BASELINES[baseline]
    without = ("surv_Intercept",) if baseline in ("piecewise", "bspline") else ()
    tree = tree_at(build(*tables(), association=association, baseline=baseline, **options), also, without)
    found = zoo.predictions(tree, by=True, scale="survival", times=TIMES)
    assert list(found.table["time"]) == TIMES and set(found.table["measure"]) == {"survival"}
    expected = [[standardised(d, t, None, association, baseline) for t in TIMES] for d in range(DRAWS)]
    atol = 5e-5 if baseline == "bspline" else 1e-5  # whose third derivatives jump at the knots
    np.testing.assert_allclose(values(found), expected, atol=atol)
    np.testing.assert_allclose(found.table["mean"], np.mean(expected, axis=0), atol=atol)


def test_a_variable_changes_in_the_event_and_in_the_marker() -> None:
    found = zoo.comparisons(fitted(), "drug", scale="survival", times=TIMES, horizon=5.0)
    sides = np.array([[[standardised(d, t, [g]) for t in TIMES] for d in range(DRAWS)] for g in (0.0, 1.0)])
    a, b = sides
    np.testing.assert_allclose(values(found, measure="difference"), b - a, atol=1e-5)
    np.testing.assert_allclose(values(found, measure="ratio"), b / a, rtol=1e-4)
    np.testing.assert_allclose(values(found, measure="odds_ratio"), b / (1 - b) * (1 - a) / a, rtol=2e-3)
    x, w = np.polynomial.legendre.leggauss(8)
    s, w = 2.5 * (1 + x), 2.5 * w
    means = [[w @ [standardised(d, t, [g]) for t in s] for d in range(DRAWS)] for g in (0.0, 1.0)]
    np.testing.assert_allclose(values(found, measure="rmst")[:, 0], np.subtract(means[1], means[0]), atol=1e-4)
    assert found.table.loc[found.table.measure == "rmst", "time"].tolist() == [5.0]
    assert set(found.table.contrast) == {"b vs a"}
    last = zoo.comparisons(fitted(), "drug", scale="survival", times=TIMES, measures="rmst")
    assert last.table["time"].tolist() == [7.0] and last.table["measure"].tolist() == ["rmst"]
    assert "for drug b against a, averaged over the subjects of the fit" in found.sentence
    assert "free of death at 1, 4, 7" in found.sentence and "mean time up to 5" in found.sentence


def test_the_hazard_may_follow_an_expected_count() -> None:
    """No linear function of the effects."""
    model = build(*tables(), "n ~ time + (1 | id)", families="poisson", association="value(mean)")
    also = {
        "Intercept": several(0.3, 0.0, 0.5), "beta": several([0.1], [0.15], [0.0]), "sd_id": several([0.6], [0.9], [0.3]),
        "assoc": several([0.3], [0.5], [-0.2]),
    }  # fmt: skip
    tree = tree_at(model, also, ("sigma", "corr_id"))
    found = zoo.predictions(tree, by="age", scale="survival", times=TIMES, at={"drug": "b"})
    for j, age in enumerate((50.0, 60.0, 70.0)):
        for d in range(DRAWS):

            def log_h(s: np.ndarray, u: np.ndarray, d: int = d, age: float = age) -> np.ndarray:
                mu = np.exp(also["Intercept"][0, d] + also["beta"][0, d, 0] * s + u[..., 0])
                gamma = POSTERIOR["surv_beta"][0, d] @ [1, age]
                return POSTERIOR["surv_Intercept"][0, d] + gamma + also["assoc"][0, d, 0] * mu

            expected = [free(log_h, also["sd_id"][0, d][:, None] ** 2, t, 4001) for t in TIMES]
            np.testing.assert_allclose(values(found)[d, 3 * j : 3 * j + 3], expected, atol=2e-5)


@functools.cache
def two_markers() -> xr.DataTree:
    model = build(
        *tables(), {"y ~ time + (1 + time | id)": "gaussian", "n ~ time + (1 + time | id)": "poisson"}, "Surv(years, death) ~ drug",
    )  # fmt: skip
    R = np.array([[1, 0.3, 0.2, 0.0], [0.3, 1, 0.1, 0.2], [0.2, 0.1, 1, -0.3], [0, 0.2, -0.3, 1]])
    return tree_of(
        model,
        {
            "y_Intercept": 1.0, "y_beta": [0.3], "y_sigma": 0.4, "n_Intercept": 0.5, "n_beta": [0.1], "sd_id": [0.8, 0.25, 0.5, 0.1],
            "corr_id": R, "surv_Intercept": -3.0, "surv_beta": [-0.4], "assoc": [0.6, 0.4],
        },
    )  # fmt: skip


def test_two_markers_have_four_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against simulation; quasi-random points, where a product of points would be too many, are told."""
    posterior = two_markers()["posterior"].dataset
    sd, R = posterior["sd_id"].values.ravel(), posterior["corr_id"].values[0, 0]
    u = np.random.default_rng(1).multivariate_normal(np.zeros(4), sd[:, None] * R * sd, 100_000)
    s = np.linspace(0, 7, 71)
    log_h = -3 + 0.6 * (1 + 0.3 * s + u[:, :1] + u[:, 1:2] * s) + 0.4 * (0.5 + 0.1 * s + u[:, 2:3] + u[:, 3:] * s)
    expected = np.exp(-np.trapezoid(np.exp(log_h), s, axis=1))
    asked = {"at": {"drug": "a"}, "by": True, "scale": "survival", "times": [7.0]}
    found = zoo.predictions(two_markers(), **asked)
    np.testing.assert_allclose(found.table["mean"], expected.mean(), atol=4 * expected.std() / np.sqrt(len(u)))
    assert "quasi-random" not in found.sentence
    monkeypatch.setattr(event_integral, "MOST_NODES", 128)
    quasi = zoo.predictions(two_markers(), **asked, seed=2)
    np.testing.assert_allclose(quasi.table["mean"], found.table["mean"], atol=0.02)
    assert "4 group effects integrated over by 128 quasi-random points, seed 2" in quasi.sentence


def test_the_rule_is_exact_in_each_direction() -> None:
    for sd in (0.1, 0.3, 0.45, 0.8, 1.5, 4.0):
        nodes = event_integral.event_nodes(np.array([sd]), 0)
        for a in (-4.0, -1.0, 1.0):
            exact = integrate.quad(
                lambda z, a=a, sd=sd: np.exp(-np.exp(a + sd * z)) * stats.norm.pdf(z), -9, 9, epsabs=1e-12, limit=200
            )[0]
            np.testing.assert_allclose(nodes.weights @ np.exp(-np.exp(a + sd * nodes.points[:, 0])), exact, atol=1e-5)


# ------------------------------------------------------------------------------------------------------------------ limits


def test_draws_with_the_same_points_are_computed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = {name: np.concatenate([values, values], axis=1) for name, values in POSTERIOR.items()}
    twice["Intercept"] = twice["Intercept"] + 0.1 * np.arange(2 * DRAWS)
    asked = {"by": "drug", "scale": "survival", "times": TIMES}
    tree = tree_of(build(*tables()), twice)
    together = values(zoo.predictions(tree, **asked))
    assert len(np.unique(together, axis=0)) == 2 * DRAWS
    monkeypatch.setattr(event_integral, "_AT_ONCE", 1)
    np.testing.assert_allclose(together, values(zoo.predictions(tree, **asked)), atol=1e-13)


def test_without_association_the_event_is_by_itself() -> None:
    tree = tree_at(build(*tables()), {"assoc": several([0.0], [0.0], [0.0])})
    found = zoo.predictions(tree, scale="survival", times=TIMES)
    own = tables()[1]
    X = np.column_stack([own.drug == "b", own.age])
    rate = np.exp(POSTERIOR["surv_Intercept"][0][:, None] + POSTERIOR["surv_beta"][0] @ X.T)  # (D, n)
    order = (
        [own.id.tolist().index(i) for i in found.table["id"]]
        if "id" in found.table
        else np.repeat(np.arange(len(own)), 3)
    )
    expected = np.exp(-rate[:, order] * found.table["time"].to_numpy())
    np.testing.assert_allclose(values(found), expected, rtol=1e-9)


def test_effects_without_spread_are_those_of_a_typical_subject() -> None:
    tree = tree_at(build(*tables()), {"sd_id": several([0.0, 0.0], [1e-7, 0.0], [0.0, 1e-7])})
    asked = {"by": "drug", "scale": "survival", "times": TIMES}
    np.testing.assert_allclose(
        values(zoo.predictions(tree, **asked)), values(zoo.predictions(fitted(), groups="typical", **asked)), rtol=1e-6
    )


def test_own_and_new_subjects() -> None:
    """Each subject's own effects are plugged in; new ones have, over many draws, the mean of the population."""
    rng, many = np.random.default_rng(1), 4000
    n = tables()[1].id.nunique()
    model = build(*tables())
    u = rng.normal(size=(1, DRAWS, n, 2))
    levels = list(model.coords["id"])
    tree = tree_at(model, {"u_id": u})
    found = zoo.predictions(tree, by="id", groups="observed", scale="survival", times=[4.0])
    own, s = tables()[1].set_index("id"), np.linspace(0, 4, 2001)
    for d in range(DRAWS):
        for j, i in enumerate(found.table["id"]):
            h = log_hazard(d, float(own.drug[i] == "b"), own.age[i], "value", "exponential")(
                s, u[0, d, levels.index(i)]
            )
            np.testing.assert_allclose(values(found)[d, j], np.exp(-np.trapezoid(np.exp(h), s)), atol=1e-6)
    one_point = {k: np.broadcast_to(v[:, :1], (1, many, *v.shape[2:])) for k, v in POSTERIOR.items()}
    tree = tree_of(model, one_point)
    asked = {"by": True, "scale": "survival", "times": [4.0], "draws": many}
    new = zoo.predictions(tree, groups="new", **asked)
    population = zoo.predictions(tree, **(asked | {"draws": 1}))
    se = values(new).std() / np.sqrt(many)
    assert abs(new.table["mean"][0] - population.table["mean"][0]) < 4 * se
    assert values(new).std() > 0.1


def test_subjects_who_were_not_in_the_fit() -> None:
    """With `unseen`, beside one who was."""
    model, u = build(*tables()), np.random.default_rng(1).normal(size=(1, DRAWS, 24, 2))
    tree, asked = tree_at(model, {"u_id": u}), {"scale": "survival", "times": [4.0]}
    rows = pd.DataFrame({"id": ["p03", "new", "other"], "drug": ["b", "b", "b"], "age": [50.0, 50.0, 50.0]})
    with pytest.raises(InputError, match=r"id 'new', 'other' \(rows 2, 3\) was not in the data of the fit"):
        zoo.predictions(tree, rows, groups="observed", **asked)
    found = values(zoo.predictions(tree, rows, groups="observed", unseen="population", **asked))
    np.testing.assert_array_equal(found[:, 1], found[:, 2])
    np.testing.assert_allclose(found[:, 1], values(zoo.predictions(tree, rows[1:2], by=True, **asked))[:, 0], rtol=1e-9)
    own = values(zoo.predictions(tree, rows[:1], by=True, groups="observed", **asked))
    np.testing.assert_allclose(found[:, 0], own[:, 0], rtol=1e-9)
    drawn = values(zoo.predictions(tree, rows, groups="observed", unseen="new", **asked))
    assert (np.abs(drawn[:, 1] - drawn[:, 2]) > 1e-3).all()


def test_a_clinic_of_ones_own_and_subjects_of_a_population() -> None:
    """The clinic's effect moves the marker, as its intercept does."""
    visits, survival = tables()
    clinic = {i: f"c{k % 4}" for k, i in enumerate(survival.id)}
    model = build(
        visits.assign(clinic=visits.id.map(clinic)), survival, "y ~ time + time:drug + (1 | clinic) + (1 + time | id)"
    )
    u = np.array([-1.0, 0.0, 0.5, 1.0])
    tree = tree_at(model, {"sd_clinic": several([0.5], [0.5], [0.5]), "u_clinic": several(*[u[:, None]] * DRAWS)})
    asked = {"scale": "survival", "times": [4.0]}
    found = zoo.predictions(tree, by="clinic", groups={"clinic": "observed"}, **asked)
    for j, level in enumerate(found.table["clinic"]):
        kept = survival.id.map(clinic) == level
        moved = tree_at(build(*tables()), {"Intercept": POSTERIOR["Intercept"] + u[int(level[1:])]})
        alone = zoo.predictions(moved, survival[kept], by=True, **asked)
        np.testing.assert_allclose(values(found)[:, j], values(alone)[:, 0], rtol=1e-6)
    both = {"sd_id": np.hypot(POSTERIOR["sd_id"], [0.5, 0.0])}
    both["corr_id"] = several(
        *(np.eye(2) + (1 - np.eye(2)) * covariance(d)[0, 1] / np.prod(both["sd_id"][0, d]) for d in range(DRAWS))
    )
    together = zoo.predictions(tree_at(build(*tables()), both), by=True, **asked)
    np.testing.assert_allclose(values(zoo.predictions(tree, by=True, **asked)), values(together), atol=1e-5)


# --------------------------------------------------------------------------------------------------------- causes and time


def test_causes_add_up() -> None:
    visits, survival = tables()
    survival = survival.assign(
        cause=np.where(survival.death, np.where(np.arange(24) % 3, "relapse", "death"), "censored")
    )
    model = build(visits, survival, event="Surv(years, cause) ~ drug")
    also = {
        "surv_Intercept": several([-2.5, -3.5], [-3, -3], [-2, -4]), "surv_beta": several([[-0.4, 0.3]], [[0.1, 0]], [[0.2, -0.5]]),
        "assoc": several([[0.6, -0.5]], [[0.2, 0.3]], [[0.0, 0.7]]),
    }  # fmt: skip
    tree = tree_at(model, also)
    asked = {"at": {"drug": "b"}, "by": True, "times": TIMES}
    incidence, survived = (zoo.predictions(tree, scale=scale, **asked) for scale in ("incidence", "survival"))
    assert list(incidence.table["cause"]) == ["death"] * 3 + ["relapse"] * 3
    of_cause = [values(incidence, cause=c) for c in ("death", "relapse")]
    np.testing.assert_allclose(of_cause[0] + of_cause[1] + values(survived), 1.0, atol=1e-9)
    s = np.linspace(0, 4, 401)
    x, w = np.polynomial.hermite_e.hermegauss(60)
    for d in range(DRAWS):
        u = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2) @ np.linalg.cholesky(covariance(d)).T
        h = [
            np.exp(also["surv_Intercept"][0, d, k] + also["surv_beta"][0, d, 0, k] + also["assoc"][0, d, 0, k] * eta(d, 1.0, s, u[:, None, :]))
            for k in (0, 1)
        ]  # fmt: skip
        H = integrate.cumulative_simpson(h[0] + h[1], x=s, axis=1, initial=0.0)
        for k in (0, 1):
            expected = np.outer(w, w).ravel() @ np.trapezoid(h[k] * np.exp(-H), s, axis=1) / w.sum() ** 2
            np.testing.assert_allclose(of_cause[k][d, 1], expected, atol=1e-4)
    assert "Cumulative incidence of death or relapse at 1, 4, 7" in incidence.sentence
    free, lost = (zoo.predictions(tree, scale=scale, **asked) for scale in ("rmst", "rmtl"))
    of_cause = [values(lost, cause=c) for c in ("death", "relapse")]
    np.testing.assert_allclose(of_cause[0] + of_cause[1] + values(free), np.tile(TIMES, (DRAWS, 1)), rtol=1e-3)
    assert "Mean time lost to death or relapse up to 1, 4, 7" in lost.sentence


@pytest.mark.parametrize("baseline", ["weibull", "piecewise"])
def test_the_restricted_mean_is_the_integral_of_the_curve(baseline: str) -> None:
    also, _, options = BASELINES[baseline]
    without = ("surv_Intercept",) if baseline == "piecewise" else ()
    tree = tree_at(build(*tables(), baseline=baseline, **options), also, without)
    s = 7.0 * np.linspace(0, 1, 201) ** 3
    curve = values(zoo.predictions(tree, by=True, scale="survival", times=s[1:]))
    curve = np.column_stack([np.ones(DRAWS), curve])
    found = values(zoo.predictions(tree, by=True, scale="rmst", times=[3.0, 7.0]))
    np.testing.assert_allclose(found[:, 1], integrate.simpson(curve, x=s, axis=1), atol=1e-4)
    one = values(zoo.predictions(tree, by=True, scale="rmst", times=[3.0]))
    np.testing.assert_allclose(found[:, 0], one[:, 0], atol=1e-6)


def test_time_begins_when_the_first_subject_entered() -> None:
    visits, survival = tables()
    late = survival.assign(start=np.where(np.arange(24) % 2, 0.5, 1.0))
    tree = tree_at(
        build(visits[visits.time >= 1], late, event="Surv(start, years, death) ~ drug + age"),
        {"assoc": several([0], [0], [0])},
    )
    found = zoo.predictions(tree, by=True, at={"drug": "a", "age": 60}, scale="survival", times=[0.25, 4.0])
    rate = np.exp(POSTERIOR["surv_Intercept"][0] + POSTERIOR["surv_beta"][0] @ [0, 60.0])
    np.testing.assert_allclose(values(found), np.column_stack([np.ones(3), np.exp(-rate * 3.5)]), rtol=1e-9)
    mean = zoo.predictions(tree, by=True, at={"drug": "a", "age": 60}, scale="rmst", times=[0.25, 4.0])
    np.testing.assert_allclose(
        values(mean), np.column_stack([np.full(3, 0.25), 0.5 - np.expm1(-rate * 3.5) / rate]), rtol=1e-6
    )


def test_covariates_that_change_are_those_at_entry() -> None:
    visits, survival = tables()
    first = survival.assign(start=0.0, stop=survival.years / 2, death=0, dose=1.0)
    second = survival.assign(start=survival.years / 2, stop=survival.years, dose=3.0)
    model = build(visits, pd.concat([first, second]), event="Surv(start, stop, death) ~ dose")
    tree = tree_at(model, {"surv_beta": several([0.2], [0.1], [0.3]), "assoc": several([0], [0], [0])})
    found = zoo.predictions(tree, by=True, scale="survival", times=[4.0])
    rate = np.exp(POSTERIOR["surv_Intercept"][0] + np.array([0.2, 0.1, 0.3]))
    np.testing.assert_allclose(values(found)[:, 0], np.exp(-rate * 4), rtol=1e-9)
    assert "covariates as they were at entry" in found.sentence
    assert "at entry" not in zoo.predictions(fitted(), by=True, scale="survival", times=[4.0]).sentence


# ------------------------------------------------------------------------------------------------------------ whose rows


def test_rows_of_another_table_are_coded_as_those_of_the_fit(tmp_path: Any) -> None:
    survival = tables()[1]
    asked = {"by": True, "scale": "survival", "times": TIMES}
    own = values(zoo.predictions(fitted(), **asked))
    shuffled = survival.sample(frac=1.0, random_state=1)[["age", "drug"]]
    np.testing.assert_allclose(values(zoo.predictions(fitted(), shuffled, **asked)), own, rtol=1e-12)
    loaded = storage.load(zoo.save(fitted(), tmp_path / "fit.nc"))
    np.testing.assert_array_equal(values(zoo.predictions(loaded, **asked)), own)
    weighted = survival.assign(w=np.where(survival.drug == "a", 3.0, 1.0))
    of_a, of_b = values(zoo.predictions(fitted(), by="drug", scale="survival", times=[4.0])).T
    found = values(zoo.predictions(fitted(), weighted, by=True, weights="w", scale="survival", times=[4.0]))
    np.testing.assert_allclose(found[:, 0], (3 * of_a + of_b) / 4, rtol=1e-9)


def test_the_slope_is_the_derivative() -> None:
    found = zoo.slopes(fitted(), "age", scale="survival", times=[4.0])
    low, high = (
        values(
            zoo.predictions(
                fitted(), tables()[1].assign(age=tables()[1].age + e), by=True, scale="survival", times=[4.0]
            )
        )
        for e in (-0.1, 0.1)
    )
    np.testing.assert_allclose(values(found), (high - low) / 0.2, rtol=1e-3)


def test_markers_are_outcomes() -> None:
    found = zoo.predictions(fitted(), at={"time": [0, 3], "drug": ["a", "b"]}, by=True)
    b, rows = POSTERIOR["beta"][0], [(t, g) for t in (0, 3) for g in (0, 1)]
    expected = [[POSTERIOR["Intercept"][0, d] + (b[d, 0] + b[d, 1] * g) * t for t, g in rows] for d in range(DRAWS)]
    np.testing.assert_allclose(values(found), expected, rtol=1e-12)
    counts = zoo.predictions(two_markers(), at={"time": 3.0}, by=True, outcome="n")
    variance = 0.25 + 9 * 0.01 + 6 * (-0.3 * 0.5 * 0.1)
    np.testing.assert_allclose(counts.table["mean"], np.exp(0.5 + 0.1 * 3 + variance / 2), rtol=1e-9)
    assert set(zoo.predictions(two_markers(), by=True).table["outcome"]) == {"y", "n"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, r"scale='survival' is at times; give times=, such as times=\[1, 5\]"),
        ({"times": [3, 2]}, "times are increasing numbers >= 0"),
        ({"times": "soon"}, "times must be a list"),
        ({"times": [1], "scale": "mean"}, "times= goes with scale= survival, incidence, rmst, rmtl, events; name one of these"),
        ({"times": [1], "outcome": "y"}, "no outcome 'y'; .*outcomes: death"),
        ({"times": [1], "at": {"drug": "c"}}, "level 'c' of 'drug' was not in the data of the fit"),
        ({"times": [1], "at": {"time": 1}}, "at: the model has no column 'time'"),
        ({"times": [1], "groups": "own"}, "groups must be one of"),
        ({"times": [1], "data": pd.DataFrame({"age": [50.0]})}, "the data lack column 'drug'"),
        ({"times": [1], "data": pd.DataFrame({"age": [50.0], "drug": ["c"]})}, "level 'c' of 'drug' .* was not in the data of the fit"),
        ({"times": [1], "groups": "observed", "data": pd.DataFrame({"age": [50.0], "drug": ["a"]})}, "the data lack column 'id'"),
    ],
)  # fmt: skip
def test_wrong_questions_are_told(more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        zoo.predictions(fitted(), **{"by": True, "scale": "survival", **more})


def test_wrong_horizons_and_other_models_are_told() -> None:
    with pytest.raises(InputError, match="horizon= is of the measure 'rmst'"):
        zoo.comparisons(fitted(), "drug", horizon=5.0)
    with pytest.raises(InputError, match="measures: 'nnt' is none of scale='survival'"):
        zoo.comparisons(fitted(), "drug", scale="survival", times=[1.0], measures="nnt")
    other = tree_of(
        zoo.hierarchical_linear(tables()[0], "y ~ time + (1 | id)"),
        {"Intercept": 1.0, "beta": [0.1], "sd_id": [1.0], "sigma": 1.0},
    )
    with pytest.raises(
        InputError,
        match="scale='survival' is of the event of a joint_survival or survival model, and this fit is of hierarchical_linear",
    ):
        zoo.predictions(other, scale="survival", times=[1.0])
    with pytest.warns(ZooWarning, match="times up to 20 go beyond the last follow-up of the fit, 8"):
        zoo.predictions(fitted(), by=True, scale="survival", times=[20.0])


def test_an_offset_of_the_hazard_is_a_shift_of_its_intercept() -> None:
    """The same in all rows, it is added to log h0; with draws one by one as with all in one product."""
    visits, survival = tables()
    shifted = {"surv_Intercept": POSTERIOR["surv_Intercept"] + 0.4}
    asked: dict[str, Any] = {"at": {"drug": ["a", "b"]}, "by": True, "scale": "survival", "times": TIMES}
    with_offset = tree_at(build(visits, survival.assign(o=0.4), event=f"{EVENT} + offset(o)"))
    found = zoo.predictions(with_offset, **asked).draws["value"].values
    expected = zoo.predictions(tree_at(build(visits, survival), shifted), **asked).draws["value"].values
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_integral.RowHazards, "_linear", False)
        np.testing.assert_allclose(zoo.predictions(with_offset, **asked).draws["value"].values, found, rtol=1e-12)
