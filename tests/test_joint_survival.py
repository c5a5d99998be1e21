"""Joint survival: the event's likelihood by hand, limits, invariances, marginal likelihoods, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import graph
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate, interpolate
from scipy.special import expit

import glmm_zoo as zoo

FORMULA = "y ~ time + (1 + time | id)"
EVENT = "Surv(years, death) ~ drug"
Rate = Callable[[str, float], float]  # log hazard of one cause, by subject and time


def people(n: int = 40, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """2 to 4 visits each of n subjects in 6 clinics, y and ill at `time`; of the subject drug, age, years and, four in five,
    death, by cause dead or moved; entry before years; (low, high] around years."""
    rng = np.random.default_rng(seed)
    k, many = np.arange(n), 2 + np.arange(n) % 3
    i = np.repeat(k, many)
    ids = np.array([f"p{j:02d}" for j in k])
    years = rng.uniform(1.0, 6.0, n)
    time = years[i] * np.concatenate([np.arange(m) / m for m in many])
    b = rng.normal(0, 1, n)
    visits = pd.DataFrame(
        {
            "id": ids[i], "clinic": np.array(list("uvwxyz"))[i % 6], "time": time,
            "y": 2.0 + b[i] + 0.3 * time + rng.normal(0, 0.5, len(i)), "ill": rng.binomial(1, expit(b[i])),
        }
    )  # fmt: skip
    death = (k % 5 > 0).astype(int)
    subjects = pd.DataFrame(
        {
            "id": ids, "drug": np.where(rng.random(n) < 0.5, "active", "placebo"), "age": rng.normal(50, 8, n), "years": years,
            "death": death, "cause": np.where(death == 0, "alive", np.where(k % 2, "moved", "dead")),
            "entry": np.where(k % 3 == 0, 0.0, rng.uniform(0.1, 0.9, n)), "low": years * 0.8, "high": years,
        }
    )  # fmt: skip
    return visits, subjects


def joint(formula: Any = FORMULA, event: str = EVENT, tables: Any = None, **options: Any) -> Any:
    visits, subjects = tables or people()
    return zoo.joint_survival(visits, subjects, formula, event=event, **options)


def values_of(model: Any, seed: int = 1, scale: float = 0.4, **fixed: Any) -> tuple[dict, dict, dict]:
    """A random point, the variables there by name with their labels, and the pointwise log-likelihood by observed variable."""
    variables = [*model.free_RVs, *model.deterministics]
    run = graph.function(
        model, [*model.replace_rvs_by_values(variables), *model.logp(vars=model.observed_RVs, sum=False)]
    )
    point = graph.random_point(model, seed, scale) | {k: np.asarray(v, float) for k, v in fixed.items()}
    found = run(point)
    named = {v.name: graph.labelled(model, v.name, x) for v, x in zip(variables, found, strict=False)}
    terms = dict(zip([rv.name for rv in model.observed_RVs], found[len(variables) :], strict=True))
    return point, named, terms


def total(model: Any, point: graph.Point) -> float:
    return float(graph.function(model, [model.logp()])(point)[0])


# -------------------------------------------------------------------------------------------------- the hazard, by hand


def line(p: Mapping[str, xr.DataArray]) -> Callable[[str], tuple[float, float]]:
    """Level and slope of a subject's marker."""
    b, u = p["beta"].values, p["u_id"].to_pandas()
    level, slope = u["Intercept"] + p["Intercept"].item(), (u["time"] if "time" in u else 0 * u["Intercept"]) + b[0]
    return lambda i: (level[i], slope[i])


def weibull(p: Mapping[str, xr.DataArray], horizon: float, k: str | None = None) -> Callable[[float], float]:
    at = {"cause": k} if k else {}
    level, shape = p["surv_Intercept"].sel(at).item(), p["weibull_shape"].sel(at).item()
    return lambda t: level + np.log(shape) + (shape - 1) * np.log(t)


def exponential(p: Mapping[str, xr.DataArray], horizon: float, k: str | None = None) -> Callable[[float], float]:
    level = p["surv_Intercept"].sel({"cause": k} if k else {}).item()
    return lambda t: level


def piecewise(p: Mapping[str, xr.DataArray], horizon: float, k: str | None = None) -> Callable[[float], float]:
    """Left-open pieces; their ends are read from the labels."""
    log_h0 = p["log_h0"].sel({"cause": k} if k else {})
    ends = [float(label.split("-")[1]) for label in log_h0["piece"].values]
    values = log_h0.values
    return lambda t: values[min(np.searchsorted(ends, t, side="left"), len(values) - 1)]


def bspline(p: Mapping[str, xr.DataArray], horizon: float, k: str | None = None) -> Callable[[float], float]:
    """Quadratic, nine equal segments."""
    knots = horizon / 9 * np.arange(-2, 12)
    return interpolate.BSpline(knots, p["h0_weights"].sel({"cause": k} if k else {}).values, 2)


BASELINES = {"weibull": weibull, "exponential": exponential, "piecewise": piecewise, "bspline": bspline}


def hazard(
    p: Mapping[str, xr.DataArray],
    s: pd.DataFrame,
    baseline: str,
    features: Mapping[str, Callable],
    k: str | None = None,
) -> Rate:
    """log h(i, t): baseline, drug, and the association terms by label."""
    log_h0 = BASELINES[baseline](p, s.years.max(), k)
    cause = {"cause": k} if k else {}
    gamma = p["surv_beta"].sel(surv_coef="drug[placebo]", **cause).item() if "surv_beta" in p else 0.0
    placebo = dict(zip(s.id, s.drug == "placebo", strict=True))
    alpha = {label: p["assoc"].sel(association=label, **cause).item() for label in features}
    assert set(p["assoc"]["association"].values) == set(features)
    return lambda i, t: log_h0(t) + gamma * placebo[i] + sum(a * features[q](i, t) for q, a in alpha.items())


def integral(rates: list[Rate], i: str, low: float, high: float, breaks: tuple[float, ...] = ()) -> float:
    """Of the hazards of all causes, over t = v^3, which takes the pole of a Weibull hazard at 0 away."""
    edges = np.cbrt([low, *sorted({b for b in breaks if low < b < high}), high])
    inner = lambda v: 3 * v * v * sum(np.exp(r(i, v**3)) for r in rates)  # noqa: E731
    pieces = zip(edges, edges[1:], strict=False)
    return sum(integrate.quad(inner, a, b, epsabs=1e-12, epsrel=1e-10, limit=200)[0] for a, b in pieces)


def close(found: np.ndarray, expected: list[float], size: float) -> None:
    """Log-likelihoods, to `size` times what each is made of."""
    expected = np.asarray(expected)
    error = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    assert error.max() < size, f"largest error {error.max():.2g}"


CUTS = (1.5, 3.0, 4.5)
VALUE = {"value": lambda level, slope, t: level + slope * t}
SLOPE = {"slope": lambda level, slope, t: slope}
AREA = {"area": lambda level, slope, t: level * t + slope * t * t / 2}


def _window(level, slope, t):
    low = max(t - 1.5, 0.0)
    return level * (t - low) + slope * (t * t - low * low) / 2


TERMS = {  # association, features of level and slope, what error quadrature may make
    "value": VALUE, "slope": SLOPE, "area": AREA, "area(1.5)": {"area(1.5)": _window},
    "value + slope": VALUE | SLOPE, "shared_effects": {},
}  # fmt: skip
EXACT = 1e-9
CASES = [
    ("weibull", "value", 2e-5), ("weibull", "slope", EXACT), ("weibull", "area", 2e-4), ("weibull", "shared_effects", EXACT),
    ("exponential", "value", EXACT), ("exponential", "area(1.5)", 1e-4), ("exponential", "value + slope", EXACT),
    ("piecewise", "value", EXACT), ("piecewise", "area", 1e-9), ("piecewise", "area(1.5)", 1e-4),
    ("bspline", "value", 1e-3), ("bspline", "slope", 1e-3),
]  # fmt: skip


@pytest.mark.parametrize(("baseline", "association", "size"), CASES, ids=lambda x: str(x))
def test_event_has_the_density_by_hand(baseline, association, size):
    cuts = {"cuts": list(CUTS)} if baseline == "piecewise" else {}
    model, (_, s) = joint(association=association, baseline=baseline, **cuts), people()
    for seed in (1, 2):
        _, p, terms = values_of(model, seed)
        marker, u = line(p), p["u_id"].to_pandas()
        features = {q: lambda i, t, f=f: f(*marker(i), t) for q, f in TERMS[association].items()} or {
            f"shared_effects[{e}]": lambda i, t, e=e: u.loc[i, e] for e in ("Intercept", "time")
        }
        rate = hazard(p, s, baseline, features)
        breaks = CUTS if cuts else ()
        kinks = (*breaks, 1.5) if "(" in association else breaks
        expected = [
            (rate(r.id, r.years) if r.death else 0.0) - integral([rate], r.id, 0.0, r.years, kinks)
            for r in s.itertuples()
        ]
        close(terms["event"], expected, size)


@pytest.mark.parametrize("by", ["value:drug", "value*age"])
def test_association_by_covariate(by):
    tables = people()
    tables[1]["age"] = (tables[1]["age"] - 50) / 8
    model, s = joint(association=by, baseline="weibull", tables=tables), tables[1].set_index("id", drop=False)
    _, p, terms = values_of(model)
    marker = line(p)
    size = {"value:drug[placebo]": s.drug == "placebo", "value": s.age * 0 + 1, "value:age": s.age}
    features = {
        str(q): lambda i, t, x=size[q]: x[i] * (marker(i)[0] + marker(i)[1] * t) for q in p["assoc"]["association"].values
    }  # fmt: skip
    assert set(features) == ({"value:drug[placebo]"} if ":" in by else {"value", "value:age"})
    rate = hazard(p, s, "weibull", features)
    close(
        terms["event"],
        [(rate(r.id, r.years) if r.death else 0.0) - integral([rate], r.id, 0.0, r.years) for r in s.itertuples()],
        2e-5,
    )


MEANS = {
    "value(mean)": lambda level, slope, t: expit(level + slope * t),
    "slope(mean)": lambda level, slope, t: slope * expit(level + slope * t) * expit(-level - slope * t),
    "area(mean)": lambda level, slope, t: (np.logaddexp(0, level + slope * t) - np.logaddexp(0, level)) / slope,
}


@pytest.mark.parametrize("association", MEANS)
def test_association_with_the_mean_of_a_binary_marker(association):
    """The area under expit(level + slope t) is the difference of log(1 + exp(.)) over the slope."""
    formula = FORMULA.replace("y ~", "ill ~")
    model, (_, s) = joint(formula, association=association, families="bernoulli", baseline="exponential"), people()
    _, p, terms = values_of(model)
    marker, f = line(p), MEANS[association]
    rate = hazard(p, s, "exponential", {association: lambda i, t: f(*marker(i), t)})
    expected = [
        (rate(r.id, r.years) if r.death else 0.0) - integral([rate], r.id, 0.0, r.years) for r in s.itertuples()
    ]
    close(terms["event"], expected, 1e-5)
    other = joint(formula, association=association.split("(")[0], association_scale="mean", families="bernoulli", baseline="exponential")  # fmt: skip
    np.testing.assert_allclose(values_of(other)[2]["event"], terms["event"], rtol=1e-12)


def test_a_marker_that_bends_and_its_slope():
    """poly(time, 2) and log(1 + time) at times between visits, with what the data taught poly."""
    model = joint("y ~ poly(time, 2) + (1 + log1p(time) | id)", baseline="weibull", association="value + slope")
    visits, s = people()
    _, p, terms = values_of(model)
    x = visits.time.to_numpy()
    Q, R = np.linalg.qr(np.column_stack([np.ones(len(x)), x - x.mean(), (x - x.mean()) ** 2]))
    sign = np.sign(np.diag(R))[1:]
    to_poly = np.linalg.inv(R)[:, 1:] * sign  # orthonormal columns of the powers of x - mean, as R's poly()
    b, u = p["beta"].values, p["u_id"].to_pandas()
    level = lambda i, t: (  # noqa: E731
        p["Intercept"].item() + np.array([1.0, t - x.mean(), (t - x.mean()) ** 2]) @ to_poly @ b
        + u.loc[i, "Intercept"] + u.loc[i, "log1p(time)"] * np.log1p(t)
    )  # fmt: skip
    slope = lambda i, t: np.array([0.0, 1.0, 2 * (t - x.mean())]) @ to_poly @ b + u.loc[i, "log1p(time)"] / (1 + t)  # noqa: E731
    rate = hazard(p, s, "weibull", {"value": level, "slope": slope})
    expected = [
        (rate(r.id, r.years) if r.death else 0.0) - integral([rate], r.id, 0.0, r.years) for r in s.itertuples()
    ]
    close(terms["event"], expected, 1e-4)


def test_covariates_carried_forward_change_at_visits():
    """A covariate of the marker that goes on at its last value: the hazard jumps at visits, and H is split there."""
    visits, s = people()
    visits["z"] = np.random.default_rng(5).integers(0, 2, len(visits)).astype(float)
    for baseline in ("exponential", "weibull"):
        model = joint("y ~ z + (1 | id)", baseline=baseline, tables=(visits, s), carry_forward=True)
        _, p, terms = values_of(model)
        u, beta = p["u_id"].to_pandas()["Intercept"], p["beta"].item()
        known = {i: (d.time.to_numpy(), d.z.to_numpy()) for i, d in visits.groupby("id")}

        def value(i, t):
            when, z = known[i]  # noqa: B023
            return p["Intercept"].item() + u[i] + beta * z[max(np.searchsorted(when, t, side="right") - 1, 0)]  # noqa: B023

        rate = hazard(p, s, baseline, {"value": value})
        expected = [
            (rate(r.id, r.years) if r.death else 0.0) - integral([rate], r.id, 0.0, r.years, tuple(known[r.id][0]))
            for r in s.itertuples()
        ]
        close(terms["event"], expected, 2e-5)


def test_nested_factors_and_several_markers():
    """(1 | clinic/id): the hazard follows both effects; with a second marker, each has its own term and effects correlate."""
    formulas = {"y ~ time + (1 + time | clinic/id)": "gaussian", "ill ~ time + (1 | clinic/id)": "bernoulli"}
    model, (visits, s) = joint(formulas, association="value", baseline="exponential"), people()
    _, p, terms = values_of(model, scale=0.3)
    assert list(p["assoc"]["association"].values) == ["y:value", "ill:value"]
    where = dict(zip(visits.id, visits.clinic, strict=True))
    inner = p["u_clinic:id"]

    def course(name, slope):
        def f(i, t):
            own = inner.sel({"clinic:id": f"{where[i]}:{i}"})
            outer = p[f"{name}_u_clinic"].sel(clinic=where[i])
            found = p[f"{name}_Intercept"].item() + p[f"{name}_beta"].item() * t
            found += (
                own.sel({"clinic:id_effect": f"{name}:Intercept"}).item()
                + outer.sel({f"{name}_clinic_effect": "Intercept"}).item()
            )
            if slope:
                found += t * (
                    own.sel({"clinic:id_effect": f"{name}:time"}).item()
                    + outer.sel({f"{name}_clinic_effect": "time"}).item()
                )
            return found

        return f

    features = {"y:value": course("y", True), "ill:value": course("ill", False)}
    log_h0 = p["surv_Intercept"].item() + p["surv_beta"].item() * (s.drug == "placebo").to_numpy()
    alpha = [p["assoc"].sel(association=q).item() for q in features]
    expected = []
    for r, level in zip(s.itertuples(), log_h0, strict=True):
        start, end = (
            level + sum(a * f(r.id, t) for a, f in zip(alpha, features.values(), strict=True)) for t in (0.0, r.years)
        )
        H = r.years * (np.exp(end) - np.exp(start)) / (end - start)
        expected.append(r.death * end - H)
    close(terms["event"], expected, EXACT)


# ------------------------------------------------------------------------------------------------------------------ limits


def closed_form(baseline: str, p: Mapping[str, xr.DataArray], s: pd.DataFrame) -> np.ndarray:
    """Log-likelihood (n,) of the event without a marker."""
    level = p["surv_beta"].item() * (s.drug == "placebo") + np.zeros(len(s))
    log_h0, H0 = np.zeros(len(s)), np.zeros(len(s))
    if baseline == "piecewise":
        for low, high, x in zip((0.0, *CUTS), (*CUTS, np.inf), p["log_h0"].values, strict=True):
            H0 += np.exp(x) * np.clip(s.years - low, 0.0, high - low)
            log_h0 += np.where((s.years > low) & (s.years <= high), x, 0.0)
    else:
        k = p["weibull_shape"].item() if baseline == "weibull" else 1.0
        H0 += np.exp(p["surv_Intercept"].item()) * s.years**k
        log_h0 += p["surv_Intercept"].item() + np.log(k) + (k - 1) * np.log(s.years)
    return s.death * (level + log_h0) - np.exp(level) * H0


@pytest.mark.parametrize("baseline", ["exponential", "weibull", "piecewise"])
def test_without_association_the_model_is_the_sum_of_its_parts(baseline):
    """alpha = 0: the event's closed form, the mixed model's density, and the priors of the event; nothing else."""
    options = {"cuts": list(CUTS)} if baseline == "piecewise" else {}
    model, (visits, s) = joint(baseline=baseline, **options), people()
    point, p, terms = values_of(model, assoc=np.zeros(1))
    np.testing.assert_allclose(
        terms["event"], closed_form(baseline, p, s), rtol=1e-6 if baseline == "weibull" else 1e-12
    )
    mixed = zoo.hierarchical_linear(visits, FORMULA)
    own = [rv for rv in model.free_RVs if rv.name not in {v.name for v in mixed.free_RVs}]
    assert {rv.name.removesuffix("_at_means") for rv in own} == set(p) & {
        "assoc",
        "surv_beta",
        "surv_Intercept",
        "weibull_shape",
        "log_h0",
    }
    prior = graph.function(model, [model.logp(vars=own)])(point)[0]
    assert model.spec["priors"]["beta"] == mixed.spec["priors"]["beta"]
    there = total(mixed, {v.name: point[v.name] for v in mixed.value_vars})
    np.testing.assert_allclose(total(model, point), there + prior + terms["event"].sum(), rtol=1e-12)
    for seed in (3, 4):
        moved = {
            **graph.random_point(model, seed),
            **{k: v for k, v in point.items() if not k.startswith(("u_id", "beta"))},
        }
        again = graph.function(model, [model.logp(vars=[model["event"]], sum=False)[0]])(moved)[0]
        np.testing.assert_allclose(again, terms["event"], rtol=1e-12)  # whatever the marker does


def test_one_piece_is_exponential():
    one, other = joint(baseline="piecewise", cuts=[]), joint(baseline="exponential")
    point, _, terms = values_of(one)
    there = {
        **{k: v for k, v in point.items() if not k.startswith("log_h0")},
        "surv_Intercept_at_means": point["log_h0_at_means"][0],
    }
    np.testing.assert_allclose(total(other, there), total(one, point), rtol=1e-9)  # constants of priors are rounded
    assert one.coords["piece"] == (f"0-{people()[1].years.max():g}",)


def test_pieces_of_one_height_are_one_piece():
    """More cut points change nothing where log h0 is the same on both sides of them, whatever the marker does."""
    one, more = (joint(baseline="piecewise", cuts=cuts, association=a) for a in ("value",) for cuts in ([], list(CUTS)))
    point, _, terms = values_of(one)
    there = {**point, "log_h0_at_means": np.full(4, point["log_h0_at_means"][0])}
    np.testing.assert_allclose(values_of(more, **there)[2]["event"], terms["event"], rtol=1e-12)


# ------------------------------------------------------------------------------------------------------------- invariances
